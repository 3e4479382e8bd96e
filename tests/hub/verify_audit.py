"""A second implementation of FORMAT.md 13: the read audit's log, and a unit's part of it. Written from that text alone.

    verify_audit.py log DIR ROOT_KEY [LOG NO HASH]     every file of DIR/audit; exits 1 and says what is wrong
    verify_audit.py part ROOT_KEY < hex lines          entry, part, part_salt, index, part_path, path, head, signature, certificate

What is good is printed as one JSON object.
"""
import hashlib
import json
import os
import struct
import sys

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey


class Bad(Exception):
    pass


def H(tag, m):
    tag = tag.encode()
    return hashlib.blake2b(bytes([len(tag)]) + tag + m, digest_size=32).digest()


def part_salt(salt, index):
    tag = b"lt1.audit-salt"
    return hashlib.blake2b(bytes([len(tag)]) + tag + struct.pack(">I", index), key=salt, digest_size=16).digest()


def root(leaves):
    if not leaves:
        return H("lt1.empty", b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return H("lt1.node", root(leaves[:k]) + root(leaves[k:]))


def up(leaf, n, i, path):
    """The root that a leaf leads to (RFC 6962)."""
    if n == 1:
        if path:
            raise Bad("path too long")
        return leaf
    if not path:
        raise Bad("path too short")
    k = 1
    while k * 2 < n:
        k *= 2
    if i < k:
        return H("lt1.node", up(leaf, k, i, path[:-1]) + path[-1])
    return H("lt1.node", path[-1] + up(leaf, n - k, i - k, path[:-1]))


class Reader:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, n):
        if self.at + n > len(self.b):
            raise Bad("cut off")
        self.at += n
        return self.b[self.at - n:self.at]

    def num(self, n):
        return int.from_bytes(self.take(n), "big")

    def framed(self):
        return self.take(self.num(4))

    def framed8(self):
        return self.take(self.num(1))

    def end(self):
        if self.at != len(self.b):
            raise Bad("bytes behind the end")


def signed_by(key, tag, body, sig):
    try:
        VerifyKey(key).verify(H(tag, body), sig)
    except (BadSignatureError, ValueError):
        raise Bad("signature of " + tag) from None


def message(b):
    """Protobuf: field number -> last value."""
    r, out = Reader(b), {}

    def varint():
        v = shift = 0
        while True:
            c = r.num(1)
            v |= (c & 127) << shift
            shift += 7
            if c < 128:
                return v
    while r.at < len(b):
        key = varint()
        kind = key & 7
        if kind == 0:
            v = varint()
        elif kind == 2:
            v = r.take(varint())
        else:
            raise Bad("wire type")
        out[key >> 3] = v
    return out


def hub_key(certificate, root_key, federation, hub, key_no):
    cert = message(certificate)
    signed_by(root_key, "lt1.certificate", cert[1], cert[2])
    body = message(cert[1])
    # CertificateBody: federation, principal, role, ..., as trust.proto numbers them
    named = {n: body.get(i) for n, i in FIELDS.items()}
    if named["federation"] != federation or named["principal"] != hub or named["key_no"] != key_no or named["role"] != HUB:
        raise Bad("certificate of another")
    return named["sign_key"]


def proto_numbers():
    """The field numbers of CertificateBody and the role's number, from the schema, which is part of the format."""
    import re
    path = os.path.join(os.path.dirname(__file__), "../../proto/lienthong/v1/")
    trust = open(path + "trust.proto").read()
    body = re.search(r"message CertificateBody \{(.*?)\n\}", trust, re.S).group(1)
    fields = {n: int(re.search(r"\b%s = (\d+)" % n, body).group(1))
              for n in ("federation", "principal", "role", "key_no", "sign_key")}
    everything = trust + open(path + "types.proto").read()
    return fields, int(re.search(r"ROLE_HUB = (\d+)", everything).group(1))


FIELDS, HUB = proto_numbers()


def read_entry(b):
    r = Reader(b)
    e = {}
    if r.num(1) != 1:
        raise Bad("version")
    e["kind"], e["seq"], e["time"], e["until"] = r.num(1), r.num(8), r.num(8), r.num(8)
    e["count"], e["asker"], e["who"] = r.num(4), r.num(1), r.take(16).hex()
    e["method"], e["status"], e["query"] = r.framed8().decode("ascii"), r.num(1), r.take(32)
    e["nparts"], e["root"] = r.num(2), r.take(32)
    r.end()
    if not 1 <= e["kind"] <= 4 or e["asker"] > 2:
        raise Bad("entry")
    return e


def read_part(b):
    r = Reader(b)
    p = {"unit": r.framed8().decode("ascii"), "no": r.num(8), "prev": r.take(32),
         "rows": r.num(4), "masked": r.num(4), "withheld": r.num(4)}
    p["collection"] = [r.framed8().decode("ascii") for _ in range(r.num(1))]
    r.end()
    return p


def read_head(b):
    r = Reader(b)
    if r.num(1) != 1:
        raise Bad("version")
    h = {"federation": r.take(32), "hub": r.take(16), "key_no": r.num(4), "log": r.num(8), "no": r.num(8),
         "first": r.num(8), "count": r.num(4), "root": r.take(32), "prev": r.take(32), "time": r.num(8)}
    r.end()
    return h


def read_start(b):
    r = Reader(b)
    if r.num(1) != 1:
        raise Bad("version")
    s = {"federation": r.take(32), "hub": r.take(16), "key_no": r.num(4), "certificate": r.framed(), "log": r.num(8),
         "segment": r.num(8), "next_seq": r.num(8), "next_head": r.num(8), "prev": r.take(32), "time": r.num(8)}
    s["units"] = {}
    for _ in range(r.num(4)):
        unit = r.framed8().decode("ascii")
        s["units"][unit] = (r.num(8), r.take(32))
    r.end()
    return s


class Log:
    def __init__(self, root_key):
        self.root_key = root_key
        self.begun = False
        self.entries = []
        self.heads = {}
        self.seen = 0

    def start(self, payload):
        r = Reader(payload)
        body, sig = r.framed(), r.take(64)
        r.end()
        s = read_start(body)
        self.key = hub_key(s["certificate"], self.root_key, s["federation"], s["hub"], s["key_no"])
        signed_by(self.key, "lt1.audit-start", body, sig)
        if self.begun:
            if s["segment"] != self.s["segment"] + 1:
                raise Bad("a file is missing")
            if s["log"] == self.s["log"]:
                if self.open or (s["next_seq"], s["next_head"], s["prev"]) != (self.seq, self.no, self.prev):
                    raise Bad("does not go on")
                if s["units"] != self.units:
                    raise Bad("table of units")
            elif (s["next_seq"], s["next_head"], s["units"]) != (1, 1, {}):
                raise Bad("another log")
        self.begun = True
        self.s, self.seq, self.no, self.units, self.open = s, s["next_seq"], s["next_head"], dict(s["units"]), []
        self.prev = H("lt1.audit-start", body)

    def entry(self, payload):
        r = Reader(payload)
        b, salt = r.framed(), r.take(16)
        e = read_entry(b)
        if e["seq"] != self.seq:
            raise Bad("entry out of order")
        leaves, parts = [], []
        for i in range(e["nparts"]):
            pb = r.framed()
            p = read_part(pb)
            no, leaf = self.units.get(p["unit"], (0, bytes(32)))
            if p["no"] != no + 1 or p["prev"] != leaf:
                raise Bad("part out of order")
            leaf = H("lt1.audit-part", part_salt(salt, i) + pb)
            self.units[p["unit"]] = (p["no"], leaf)
            leaves.append(leaf)
            parts.append(p)
        r.end()
        if root(leaves) != e["root"]:
            raise Bad("parts")
        e["parts"], e["salt"] = parts, salt
        self.open.append(H("lt1.audit", b))
        self.entries.append(e)
        self.seq += 1

    def head(self, payload):
        r = Reader(payload)
        body, sig = r.framed(), r.take(64)
        r.end()
        signed_by(self.key, "lt1.audit-head", body, sig)
        h = read_head(body)
        if (h["log"], h["no"], h["prev"], h["count"], h["first"], h["root"], h["key_no"], h["federation"], h["hub"]) != (
                self.s["log"], self.no, self.prev, len(self.open), self.seq - len(self.open), root(self.open),
                self.s["key_no"], self.s["federation"], self.s["hub"]):
            raise Bad("head")
        self.prev = H("lt1.audit-head", body)
        self.heads[(h["log"], h["no"])] = self.prev
        self.no += 1
        self.open = []
        self.seen += 1


def synced(folder):
    """audit.synced: a log, the number of a file of it, and how many bytes of that are on the disk."""
    try:
        b = open(os.path.join(folder, "audit.synced"), "rb").read()
    except FileNotFoundError:
        return 0, 0, 0
    if len(b) != 33 or b[0] != 1 or H("lt1.audit-synced", b[:25])[:8] != b[25:]:
        return 0, 0, 0
    return tuple(int.from_bytes(b[i:i + 8], "big") for i in (1, 9, 17))


def log(folder, root_key, head=None):
    it = Log(root_key)
    names = sorted(n for n in os.listdir(os.path.join(folder, "audit")) if len(n) == 10 and n.isdigit())
    torn = 0
    synced_log, last, had = synced(folder)
    for name in names:
        b = open(os.path.join(folder, "audit", name), "rb").read()
        at = 0
        while at < len(b):
            left = b[at:]
            n = int.from_bytes(left[:4], "big") if len(left) >= 4 else len(b)
            whole = len(left) >= 13 + n
            if not whole or H("lt1.audit-frame", left[4:5 + n])[:8] != left[5 + n:13 + n]:
                if name != names[-1]:
                    raise Bad("damaged bytes")
                torn = len(left)
                break
            {b"S": it.start, b"E": it.entry, b"H": it.head}[left[4:5]](left[5:5 + n])
            at += 13 + n
        # What had been synced and answered for is torn by no stop.
        if it.s and (it.s["log"], int(name)) == (synced_log, last) and name == names[-1] and at < had:
            raise Bad("damaged or missing, and had been synced")
    if head is not None and it.heads.get(head[:2]) != head[2]:
        raise Bad("the head that was seen is not there")
    show = ("kind", "seq", "count", "asker", "who", "method", "status")
    return {"entries": [dict({k: e[k] for k in show}, query=e["query"].hex(), salt=e["salt"].hex(),
                             parts=[[p["unit"], p["no"], p["rows"], p["masked"], p["withheld"], p["collection"]]
                                    for p in e["parts"]])
                        for e in it.entries],
            "heads": it.seen, "open": len(it.open), "torn": torn, "files": len(names)}


def commitment(salt, method, query):
    return H("lt1.audit-query", salt + struct.pack(">I", len(method)) + method + query)


def part(lines, root_key):
    entry, pb, salt, index, part_path, path, head, sig, certificate = lines
    cut = lambda b: [b[i:i + 32] for i in range(0, len(b), 32)]
    e, p, h = read_entry(entry), read_part(pb), read_head(head)
    key = hub_key(certificate, root_key, h["federation"], h["hub"], h["key_no"])
    signed_by(key, "lt1.audit-head", head, sig)
    if up(H("lt1.audit-part", salt + pb), e["nparts"], int.from_bytes(index, "big"), cut(part_path)) != e["root"]:
        raise Bad("part")
    if not 0 <= e["seq"] - h["first"] < h["count"]:
        raise Bad("entry outside of the head")
    if up(H("lt1.audit", entry), h["count"], e["seq"] - h["first"], cut(path)) != h["root"]:
        raise Bad("entry")
    return {"unit": p["unit"], "no": p["no"], "rows": p["rows"], "method": e["method"]}


def main():
    try:
        if sys.argv[1] == "log":
            a = sys.argv[2:]
            head = (int(a[2]), int(a[3]), bytes.fromhex(a[4])) if len(a) > 2 else None
            print(json.dumps(log(a[0], bytes.fromhex(a[1]), head)))
        elif sys.argv[1] == "part":
            print(json.dumps(part([bytes.fromhex(line.strip()) for line in sys.stdin], bytes.fromhex(sys.argv[2]))))
        else:
            print(commitment(*[bytes.fromhex(a) for a in sys.argv[2:]]).hex())
    except (Bad, KeyError, IndexError, UnicodeDecodeError) as e:
        print("bad: %s" % e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
