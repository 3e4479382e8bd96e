#!/usr/bin/python3
"""A record's history with its proof, checked by a second implementation: from proto/FORMAT.md (1 to 4, 11) and the .proto files
alone, with hashlib for BLAKE2b, PyNaCl for Ed25519, and the protobuf wire format by hand.

    verify_proof.py FILE ROOT_KEY_HEX      one line of JSON; exit 0 proven, 1 not
"""
import hashlib
import json
import re
import struct
import sys
import unicodedata

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

PROOF_MAX = 1032192
DAY_MIN, DAY_MAX = -719162, 2932896  # 0001-01-01, 9999-12-31


class Refused(Exception):
    """Why the file proves nothing."""


def need(condition, why):
    if not condition:
        raise Refused(why)


# ---- 1: layouts, hashes, signatures ----

def framed(x):
    return struct.pack(">I", len(x)) + x


def H(tag, m):
    return hashlib.blake2b(bytes([len(tag)]) + tag.encode() + m, digest_size=32).digest()


def signed(key, tag, m, sig):
    return signed_hash(key, H(tag, m), sig)


def signed_hash(key, h, sig):
    try:
        VerifyKey(key).verify(h, sig)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


def root(leaves):
    """1.5"""
    if not leaves:
        return H("lt1.empty", b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return H("lt1.node", root(leaves[:k]) + root(leaves[k:]))


def root_by_path(leaf, i, n, path):
    """11.3, as the text says it: the last of the path is the half the leaf is not in."""
    need(i < n, "no such leaf")
    if n == 1:
        need(not path, "path too long")
        return leaf
    need(path, "path too short")
    k = 1
    while 2 * k < n:
        k *= 2
    if i < k:
        return H("lt1.node", root_by_path(leaf, i, k, path[:-1]) + path[-1])
    return H("lt1.node", path[-1] + root_by_path(leaf, i - k, n - k, path[:-1]))


# ---- protobuf, by schemas written off the .proto files: number -> (name, kind, repeated) ----

def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    out.append(v)
    return bytes(out)


def read_varint(b, at):
    v = shift = 0
    while True:
        need(at < len(b) and shift < 70, "cut off")
        v |= (b[at] & 127) << shift
        shift += 7
        at += 1
        if b[at - 1] < 128:
            need(v < 1 << 64, "varint over 64 bits")
            return v, at


def fields(b):
    """(number, wire type, value) of each field."""
    at = 0
    while at < len(b):
        tag, at = read_varint(b, at)
        number, kind = tag >> 3, tag & 7
        need(0 < number < 1 << 29, "no field number")
        if kind == 0:
            v, at = read_varint(b, at)
        elif kind in (1, 5):
            n = 8 if kind == 1 else 4
            need(len(b) - at >= n, "cut off")
            v, at = b[at:at + n], at + n
        elif kind == 2:
            n, at = read_varint(b, at)
            need(len(b) - at >= n, "cut off")
            v, at = b[at:at + n], at + n
        else:
            raise Refused("wire type")
        yield number, kind, v


WIRE = {"uint": 0, "u32": 0, "enum": 0, "bool": 0, "sint": 0, "sint32": 0, "int": 0, "fixed64": 1, "bytes": 2, "text": 2}
DECIMAL = {1: ("unscaled", "sint", False), 2: ("scale", "u32", False)}
TEXT_SET = {1: ("item", "text", True)}
VALUE = {1: ("text", "text", False), 2: ("integer", "sint", False), 3: ("decimal", DECIMAL, False), 4: ("boolean", "bool", False),
         5: ("date", "sint32", False), 6: ("timestamp", "sint", False), 7: ("bytes", "bytes", False),
         8: ("enumeration", "text", False), 9: ("set", TEXT_SET, False)}
FIELD_SET = {1: ("name", "text", False), 2: ("value", VALUE, False), 3: ("added", "text", True), 4: ("removed", "text", True)}
FEED_HEAD = {1: ("unit", "text", False), 2: ("feed", "bytes", False), 3: ("seq", "uint", False), 4: ("hash", "bytes", False)}
CONTEXT = {1: ("feed", "bytes", False), 2: ("seq", "uint", False), 3: ("hash8", "fixed64", False)}
CHANGE = {1: ("collection", "text", False), 2: ("key", "text", False), 3: ("kind", "enum", False), 4: ("set", FIELD_SET, True),
          5: ("cleared", "text", True), 6: ("context", CONTEXT, True), 7: ("personal", "text", True),
          8: ("personal_root", "bytes", False), 9: ("origin", "bytes", False), 10: ("adopt", "bytes", False)}
HEADER = {1: ("federation", "bytes", False), 2: ("author", "bytes", False), 3: ("unit", "text", False), 4: ("lane", "enum", False),
          5: ("epoch", "fixed64", False), 6: ("seq", "uint", False), 7: ("prev_hash", "bytes", False),
          8: ("stamp", "fixed64", False), 9: ("catalogue_version", "uint", False), 10: ("change_count", "u32", False),
          11: ("changes_root", "bytes", False), 12: ("key_no", "u32", False), 13: ("hub_stamp", "fixed64", False),
          14: ("earlier", FEED_HEAD, True)}
OPENED = {1: ("change", "u32", False), 2: ("name", "text", False), 3: ("salt", "bytes", False), 4: ("field_set", "bytes", False),
          5: ("leaf", "bytes", False)}
PROOF_CHANGE = {1: ("index", "u32", False), 2: ("change", "bytes", False), 3: ("path", "bytes", True), 4: ("opening", OPENED, True)}
PROOF_PART = {1: ("header", "bytes", False), 2: ("signature", "bytes", False), 3: ("change", PROOF_CHANGE, True)}
PROOF = {1: ("version", "u32", False), 2: ("collection", "text", False), 3: ("unit", "text", False), 4: ("key", "text", False),
         5: ("federation_salt", "bytes", False), 6: ("certificate", "bytes", True), 7: ("record", PROOF_PART, True),
         8: ("verdict", PROOF_PART, True), 9: ("registry", PROOF_PART, True), 10: ("link", "bytes", True),
         11: ("receipt", "bytes", True)}
SIGNED = {1: ("body", "bytes", False), 2: ("signature", "bytes", False)}
CERTIFICATE = {1: ("federation", "bytes", False), 2: ("principal", "bytes", False), 3: ("role", "enum", False),
               4: ("unit", "text", False), 5: ("org", "text", False), 6: ("key_no", "u32", False), 7: ("sign_key", "bytes", False),
               8: ("line_key", "bytes", False), 9: ("generation", "uint", False), 10: ("purpose", "text", False)}
REFUSED = {1: ("seq", "uint", False), 2: ("index", "u32", False), 3: ("reason", "enum", False)}
HELD = {1: ("seq", "uint", False), 2: ("index", "u32", False)}
CLAMP = {1: ("from", "uint", False), 2: ("to", "uint", False), 3: ("floor", "fixed64", False), 4: ("ceiling", "fixed64", False)}
VERDICT = {1: ("feed", "bytes", False), 2: ("from", "uint", False), 3: ("to", "uint", False), 4: ("to_hash", "bytes", False),
           5: ("refused", REFUSED, True), 6: ("held", HELD, True), 7: ("clamp", CLAMP, True), 8: ("settled", HELD, True),
           9: ("settling", "bool", False)}
RECEIPT = {1: ("federation", "bytes", False), 2: ("hub", "bytes", False), 3: ("key_no", "u32", False), 4: ("unit", "text", False),
           5: ("feed", "bytes", False), 6: ("seq", "uint", False), 7: ("hash", "bytes", False), 8: ("since_ms", "int", False),
           9: ("refused", REFUSED, True), 10: ("held", HELD, True), 11: ("clamp", CLAMP, True), 12: ("more", "bool", False)}
ZERO = {"bytes": b"", "text": "", "bool": False}


def read_text(b):
    try:
        s = b.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    need("\0" not in s, "NUL in a text")
    return s


def read(schema, b, exact=False):
    """A message as a dictionary. Singular fields stand once. exact: as 11.1 wants it, no other spelling."""
    out = {n: [] if rep else None if isinstance(k, dict) else ZERO.get(k, 0) for n, k, rep in schema.values()}
    out["has"] = set()
    for number, wire, v in fields(b):
        if number not in schema:
            need(not exact, "unknown field")
            continue
        name, kind, rep = schema[number]
        need(wire == (2 if isinstance(kind, dict) else WIRE[kind]), "wire type")
        need(rep or name not in out["has"], "a field stands twice")
        out["has"].add(name)
        if isinstance(kind, dict):
            v = read(kind, v, exact)
        elif kind == "text":
            v = read_text(v)
        elif kind in ("sint", "sint32"):
            v = (v >> 1) ^ -(v & 1)
        elif kind == "int":
            v = v - (1 << 64) if v >> 63 else v
        elif kind == "bool":
            v = v != 0
        elif kind in ("u32", "enum"):
            need(v < 1 << 32, "number over 32 bits")
        elif kind == "fixed64":
            v = struct.unpack("<Q", v)[0]
        if rep:
            out[name].append(v)
        else:
            out[name] = v
    if exact:
        need(write(schema, out) == b, "another spelling")
    return out


def write(schema, m):
    """The one spelling of 11.1, for the messages that have to have it."""
    out = b""
    for number in sorted(schema):
        name, kind, rep = schema[number]
        for v in m[name] if rep else [m[name]]:
            if isinstance(kind, dict):
                v = write(kind, v)
            elif kind == "text":
                v = v.encode()
            if isinstance(v, int):
                out += varint(number << 3) + varint(v) if v else b""
            elif rep or v:
                out += varint(number << 3 | 2) + varint(len(v)) + v
    return out


# ---- 2, 3: values, changes, headers ----

NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}\Z")
KEY = re.compile(r"[A-Za-z0-9._~%/-]{1,256}\Z")
UNIT = re.compile(r"(_|[0-9]{2}|[0-9]{5})\Z")


def rising(items):
    return all(a < b for a, b in zip(items, items[1:]))


def nfc(s):
    return unicodedata.is_normalized("NFC", s)


def check_value(v):
    members = [n for n, _, _ in VALUE.values() if n in v["has"]]
    need(len(members) == 1, "a value has one member")
    kind = members[0]
    x = v[kind]
    if kind in ("text", "enumeration"):
        need(nfc(x) and len(x.encode()) <= 65536, "text")
    elif kind == "decimal":
        need(x["scale"] <= 18, "scale")
    elif kind == "date":
        need(DAY_MIN <= x <= DAY_MAX, "date")
    elif kind == "timestamp":
        need(DAY_MIN * 86400000 <= x < (DAY_MAX + 1) * 86400000, "timestamp")
    elif kind == "bytes":
        need(len(x) <= 65536, "bytes")
    elif kind == "set":
        raw = [i.encode() for i in x["item"]]
        need(rising(raw) and all(raw) and all(map(nfc, x["item"])), "set")


def check_field_set(f):
    need(NAME.match(f["name"]) and f["value"] is not None, "field set")
    check_value(f["value"])


def check_feed(feed):
    need(len(feed) == 25 and 1 <= feed[16] <= 3, "feed")


def check_change(b, own):
    """3.3"""
    c = read(CHANGE, b)
    c["raw"] = b
    need(NAME.match(c["collection"]) and KEY.match(c["key"]) and c["kind"] in (1, 2), "collection, key or kind")
    sets = [f["name"] for f in c["set"]]
    for names in (sets, c["cleared"], c["personal"]):
        need(rising([n.encode() for n in names]) and all(NAME.match(n) for n in names), "names")
    every = sets + c["cleared"] + c["personal"]
    need(len(set(every)) == len(every) and len(every) <= 256, "names twice, or too many")
    if c["kind"] == 2:
        need(not sets and not c["cleared"] and set(c["personal"]) <= {"_actor"}, "a delete with fields")
    for f in c["set"]:
        check_field_set(f)
    need(len(c["context"]) <= 64 and rising([x["feed"] for x in c["context"]]), "context")
    for x in c["context"]:
        check_feed(x["feed"])
        need(x["seq"] >= 1 and x["feed"] != own, "context")
    need(len(c["personal_root"]) == (32 if c["personal"] else 0), "personal root")
    return c


def check_header(b, federation):
    """3.1"""
    h = read(HEADER, b)
    need(len(h["federation"]) == 32 and len(h["author"]) == 16 and UNIT.match(h["unit"]) and 1 <= h["lane"] <= 3, "header")
    need(h["seq"] >= 1 and len(h["prev_hash"]) == 32 and 1 <= h["change_count"] <= 1024, "header")
    need(len(h["changes_root"]) == 32 and h["key_no"] >= 1, "header")
    need(h["seq"] > 1 or h["prev_hash"] == bytes(32), "prev_hash at seq 1")
    need(h["seq"] == 1 or not h["earlier"], "earlier epochs")
    h["feed"] = h["author"] + bytes([h["lane"]]) + struct.pack(">Q", h["epoch"])
    for e in h["earlier"]:
        check_feed(e["feed"])
        need(e["unit"] == h["unit"] and e["feed"][:17] == h["feed"][:17] and e["feed"] != h["feed"], "earlier epoch")
        need(e["seq"] >= 1 and len(e["hash"]) == 32, "earlier epoch")
    need(h["federation"] == federation, "another federation")
    h["hash"] = H("lt1.changeset", b)
    return h


# ---- 11 ----

def read_part(m, federation):
    p = {"h": check_header(m["header"], federation), "signature": m["signature"], "change": []}
    h = p["h"]
    need(len(m["signature"]) == 64 and m["change"], "part")
    need(rising([c["index"] for c in m["change"]]), "order of changes")
    for c in m["change"]:
        need(all(len(x) == 32 for x in c["path"]), "path")
        leaf = H("lt1.change", c["change"])
        need(root_by_path(leaf, c["index"], h["change_count"], c["path"]) == h["changes_root"], "path")
        d = check_change(c["change"], h["feed"])
        p["change"].append({"index": c["index"], "c": d, "opening": c["opening"], "state": "accepted"})
    return p


def place(p):
    return p["h"]["feed"], p["h"]["seq"]


def read_parts(list_of, federation):
    parts = [read_part(m, federation) for m in list_of]
    need(rising([place(p) for p in parts]), "order of parts")
    return parts


def check_openings(h, change):
    """11.4, 3.4"""
    c = change["c"]
    need(len(change["opening"]) == len(c["personal"]), "openings")
    leaves, change["shown"], change["withheld"] = [], {}, []
    for name, o in zip(c["personal"], change["opening"]):
        need(o["change"] == 0 and o["name"] == name, "opening of another field")
        if o["leaf"]:
            need(len(o["leaf"]) == 32 and not o["salt"] and not o["field_set"], "opening")
            leaves.append(o["leaf"])
            change["withheld"].append(name)
            continue
        need(len(o["salt"]) == 16 and o["field_set"], "opening")
        f = read(FIELD_SET, o["field_set"])
        check_field_set(f)
        need(f["name"] == name, "opening names another field")
        change["shown"][name] = f["value"]
        leaves.append(H("lt1.personal", o["salt"] + framed(h["unit"].encode()) + h["feed"] + struct.pack(">QI", h["seq"], change["index"])
                        + framed(c["collection"].encode()) + framed(c["key"].encode()) + framed(name.encode())
                        + framed(o["field_set"])))
    need(not leaves or root(leaves) == c["personal_root"], "an opening is not what was signed")


class Proof:
    def __init__(self, data, root_key):
        need(len(data) <= PROOF_MAX, "too long")
        self.m = m = read(PROOF, data, exact=True)
        need(m["version"] == 1, "version")
        need(len(m["federation_salt"]) == 16 and m["record"] and UNIT.match(m["unit"]), "form")
        self.federation = H("lt1.federation", root_key + m["federation_salt"])
        self.root_key = root_key
        self.certificates()
        self.record, self.verdict, self.registry = (read_parts(m[n], self.federation) for n in ("record", "verdict", "registry"))
        self.records()
        self.chain()
        self.verdicts()
        self.authors()
        self.receipts()
        self.context()
        need(all(c["used"] for c in self.hubs.values()), "certificate for nothing")
        need(all(p["used"] for p in self.places.values()), "link for nothing")

    def certificates(self):
        """11.2"""
        self.hubs = {}
        for b in self.m["certificate"]:
            need(len(b) <= 4096, "certificate")
            outer = read(SIGNED, b, exact=True)
            need(signed(self.root_key, "lt1.certificate", outer["body"], outer["signature"]), "certificate not by this root key")
            c = read(CERTIFICATE, outer["body"])
            need(len(c["principal"]) == 16 and len(c["sign_key"]) == 32 and len(c["line_key"]) == 32 and c["key_no"] >= 1, "certificate")
            need(c["federation"] == self.federation and c["role"] == 2, "certificate of no hub here")
            need((c["principal"], c["key_no"]) not in self.hubs, "certificate twice")
            self.hubs[c["principal"], c["key_no"]] = {"key": c["sign_key"], "used": False}

    def is_hub(self, author):
        return any(p == author for p, _ in self.hubs)

    def hub_key(self, author, key_no):
        need((author, key_no) in self.hubs, "not a hub's key")
        self.hubs[author, key_no]["used"] = True
        return self.hubs[author, key_no]["key"]

    def hub_part(self, p, unit):
        key = self.hub_key(p["h"]["author"], p["h"]["key_no"])
        need(p["h"]["unit"] == unit, "an act of another unit")
        need(signed_hash(key, p["h"]["hash"], p["signature"]), "an act the hub did not sign")
        need(all(not c["opening"] and c["c"]["kind"] == 1 for c in p["change"]), "an act is a put without openings")

    def records(self):
        for p in self.record:
            need(p["h"]["unit"] == self.m["unit"], "another unit")
            for c in p["change"]:
                need((c["c"]["collection"], c["c"]["key"]) == (self.m["collection"], self.m["key"]), "another record")
                check_openings(p["h"], c)

    def chain(self):
        """11.7"""
        links = [check_header(b, self.federation) for b in self.m["link"]]
        need(rising([(h["feed"], h["seq"]) for h in links]), "order of links")
        need(all(h["unit"] == self.m["unit"] for h in links), "link of another unit")
        self.places = {place(p): {"h": p["h"], "used": True} for p in self.record}
        for h in links:
            need((h["feed"], h["seq"]) not in self.places, "a header twice")
            self.places[h["feed"], h["seq"]] = {"h": h, "used": False}

    def leads(self, h, seq, digest):
        """An unbroken run of headers from h to (seq, digest) of its feed; those on the way are used."""
        if seq < h["seq"]:
            return False
        way, before = [], h
        for s in range(h["seq"] + 1, seq + 1):
            p = self.places.get((h["feed"], s))
            if p is None or p["h"]["prev_hash"] != before["hash"]:
                return False
            way.append(p)
            before = p["h"]
        if before["hash"] != digest:
            return False
        for p in way:
            p["used"] = True
        return True

    def verdicts(self):
        """11.5"""
        rulings = []
        for p in self.verdict:
            self.hub_part(p, self.m["unit"])
            need(p["h"]["lane"] == 1, "a verdict outside the urgent lane")
            for c in p["change"]:
                c = c["c"]
                need(c["collection"] == "_verdict" and [f["name"] for f in c["set"]] == ["verdict"], "no verdict")
                need("bytes" in c["set"][0]["value"]["has"], "no verdict")
                v = read(VERDICT, c["set"][0]["value"]["bytes"])
                need(len(v["feed"]) == 25 and 1 <= v["from"] <= v["to"] and len(v["to_hash"]) == 32, "verdict")
                need(c["key"] == f"{v['feed'].hex()}/{v['from']}", "key of a verdict")
                rulings.append({"v": v, "stamp": p["h"]["stamp"], "settles": v["settling"] or bool(v["settled"]), "used": False})
        for p in self.record:
            h = p["h"]
            p["effective"], p["judged"] = h["stamp"], None
            if self.is_hub(h["author"]):
                continue
            speaks = [r for r in rulings if r["v"]["feed"] == h["feed"] and r["v"]["from"] <= h["seq"] <= r["v"]["to"]]
            covers = [r for r in speaks if not r["settles"]]
            need(len(covers) == 1, "not covered by one verdict")
            self.judge(p, covers[0])
            for c in p["change"]:
                self.settle(h, c, [r for r in speaks if r["settles"]])
        need(all(r["used"] for r in rulings), "verdict for nothing")

    def judge(self, p, ruling):
        v, h = ruling["v"], p["h"]
        need(self.leads(h, v["to"], v["to_hash"]), "chain to the verdict")
        ruling["used"], p["judged"] = True, ruling["stamp"]
        for c in v["clamp"]:
            if c["from"] <= h["seq"] <= c["to"]:
                p["effective"] = min(max(h["stamp"], c["floor"]), c["ceiling"])
        for c in p["change"]:
            dot = (h["seq"], c["index"])
            reasons = [r["reason"] for r in v["refused"] if (r["seq"], r["index"]) == dot]
            if reasons:
                c["state"], c["reason"] = "refused", reasons[0]
            elif dot in [(d["seq"], d["index"]) for d in v["held"]]:
                c["state"] = "held"

    def settle(self, h, c, rulings):
        for r in rulings:
            dot = (h["seq"], c["index"])
            reasons = [x["reason"] for x in r["v"]["refused"] if (x["seq"], x["index"]) == dot]
            yes = dot in [(d["seq"], d["index"]) for d in r["v"]["settled"]]
            if c["state"] != "held" or not (reasons or yes):
                continue
            need(self.leads(h, r["v"]["to"], r["v"]["to_hash"]), "chain to the verdict")
            r["used"] = True
            c["state"] = "refused" if reasons else "accepted"
            if reasons:
                c["reason"] = reasons[0]

    def authors(self):
        """11.6"""
        acts = []
        for p in self.registry:
            self.hub_part(p, "_")
            for c in p["change"]:
                need(c["c"]["collection"] in ("_key", "_registry"), "no act about an author")
                acts.append({"c": c["c"], "stamp": p["h"]["stamp"], "order": (p["h"]["stamp"], *place(p), c["index"]), "used": False})
        acts.sort(key=lambda a: a["order"])
        for p in self.record:
            h = p["h"]
            if self.is_hub(h["author"]):
                key = self.hub_key(h["author"], h["key_no"])
                p["label"] = ""
            else:
                key = self.author_key(p, acts)
            need(signed_hash(key, h["hash"], p["signature"]), "not signed by its author")
        need(all(a["used"] for a in acts), "act for nothing")

    def author_key(self, p, acts):
        h, sign_keys, now = p["h"], [], {}
        names = {"_registry": h["author"].hex(), "_key": f"{h['author'].hex()}/{h['key_no']}"}
        for a in acts:
            col = a["c"]["collection"]
            if a["c"]["key"] != names[col]:
                continue
            a["used"] = True
            values = {f["name"]: f["value"] for f in a["c"]["set"]}
            if col == "_key" and "sign_key" in values:
                sign_keys.append(values["sign_key"]["bytes"])
            if a["stamp"] < p["judged"]:
                now.update({(col, n): v["enumeration"] or v["text"] for n, v in values.items()})
        need(sign_keys and len(set(sign_keys)) == 1 and len(sign_keys[0]) == 32, "author without a key")
        need((now.get(("_registry", "role")), now.get(("_registry", "unit"))) == ("node", self.m["unit"]), "author not of this unit")
        need(now.get(("_key", "state")) == "active" and now.get(("_registry", "state")) == "active", "author or key not valid then")
        p["label"] = now.get(("_registry", "label"), "")
        return sign_keys[0]

    def receipts(self):
        """11.8"""
        order = []
        for b in self.m["receipt"]:
            outer = read(SIGNED, b, exact=True)
            r = read(RECEIPT, outer["body"])
            need(len(r["hub"]) == 16 and len(r["feed"]) == 25 and len(r["hash"]) == 32 and r["seq"] >= 1, "receipt")
            key = self.hub_key(r["hub"], r["key_no"])
            need(signed(key, "lt1.receipt", outer["body"], outer["signature"]), "receipt not signed by the hub")
            need(r["federation"] == self.federation and r["unit"] == self.m["unit"], "receipt of another federation or unit")
            order.append((r["feed"], r["seq"]))
            of = [p for p in self.record if p["h"]["feed"] == r["feed"] and self.leads(p["h"], r["seq"], r["hash"])]
            need(of, "receipt of another feed")
            for p in of:
                p.setdefault("since_ms", r["since_ms"])
        need(rising(order), "order of receipts")

    def context(self):
        """11.9"""
        parts = {place(p): p["h"]["hash"] for p in self.record}
        for p in self.record:
            for c in p["change"]:
                for x in c["c"]["context"] if c["state"] == "accepted" else []:
                    named = parts.get((x["feed"], x["seq"]))
                    need(named is not None and named[:8] == struct.pack(">Q", x["hash8"]), "names a change that is left out")

    def summary(self):
        out = []
        for p in self.record:
            for c in p["change"]:
                out.append({"feed": p["h"]["feed"].hex(), "seq": p["h"]["seq"], "index": c["index"], "hash": p["h"]["hash"].hex(),
                            "kind": "delete" if c["c"]["kind"] == 2 else "put", "state": c["state"], "label": p["label"],
                            "author": p["h"]["author"].hex(), "key_no": p["h"]["key_no"],
                            "by_hub": self.is_hub(p["h"]["author"]), "cleared": c["c"]["cleared"],
                            "fields": sorted([f["name"] for f in c["c"]["set"]] + list(c["shown"])), "withheld": c["withheld"],
                            "stamp_ms": p["h"]["stamp"] >> 16, "effective_ms": p["effective"] >> 16,
                            "since_ms": p.get("since_ms"), "judged_ms": p["judged"] and p["judged"] >> 16})
        return {"good": True, "collection": self.m["collection"], "unit": self.m["unit"], "key": self.m["key"],
                "federation": self.federation.hex(), "changes": out}


def check(data, root_key):
    """The summary; Refused says why not."""
    return Proof(data, root_key).summary()


def main():
    with open(sys.argv[1], "rb") as f:
        data = f.read(PROOF_MAX + 1)
    try:
        print(json.dumps(check(data, bytes.fromhex(sys.argv[2])), ensure_ascii=False))
    except Refused as why:
        print(json.dumps({"good": False, "error": str(why)}))
        sys.exit(1)


if __name__ == "__main__":
    main()
