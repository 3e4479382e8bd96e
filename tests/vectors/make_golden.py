#!/usr/bin/python3
"""Golden vectors of proto/FORMAT.md, by a second implementation.

Written from FORMAT.md and the .proto files alone: hashlib for BLAKE2b, PyNaCl for Ed25519 and X25519, and the
protobuf wire format by hand. Keys and salts are fixed, so the output is always the same.

    make_golden.py            write golden.json beside this file
    make_golden.py --check    compare with it; exit 1 and say where when it differs
"""
import base64
import json
import os
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from nacl.bindings import crypto_scalarmult_base

from golden_base import (H, H16, Key, checksum, feed_id, framed, framed8, p_bytes, p_fixed64, p_text, p_varint, root,
                         run, seal, u8, u32, u64)
import golden_checkpoint
import golden_erase
import golden_hub
import golden_line
import golden_parties
import golden_proof
import golden_store

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "golden.json")


def sample():
    """Three changes: every type of value, personal fields, actor, context, clears, a delete."""
    author = run(16, 0xa0)
    cs = {
        "federation": run(32, 0x40), "author": author, "unit": "23956", "lane": 2,
        "epoch": 0x1122334455667788, "seq": 7, "prev": run(32, 0x60),
        "stamp": 1785542400123 << 16 | 9, "hub_stamp": 1785542400000 << 16,
        "catalogue_version": 12, "key_no": 2, "seed": run(16, 0xe0),
    }
    cs["feed"] = feed_id(author, cs["lane"], cs["epoch"])
    cs["drafts"] = [
        {"collection": "ho_ngheo", "key": "HN-0001",
         "set": [
             {"name": "name", "value": ("text", "Lường Minh")},
             {"name": "amount", "value": ("integer", -1250000000)},
             {"name": "area", "value": ("decimal", [123456, 2])},
             {"name": "poor", "value": ("boolean", False)},
             {"name": "issued", "value": ("date", -3653)},
             {"name": "seen_at", "value": ("timestamp", 1785542400123)},
             {"name": "scan", "value": ("bytes", "00ff10")},
             {"name": "kind", "value": ("enumeration", "near_poor")},
             {"name": "tags", "value": ("set", ["a1", "b2", "xã"]), "added": ["b2"],
              "removed": ["c3", "d4"]},
         ],
         "personal": [
             {"name": "ho_ten", "value": ("text", "Nguyễn Thị Ánh")},
             {"name": "_actor", "value": ("text", "acc-7")},
             {"name": "birth_year", "value": ("integer", 1961)},
         ]},
        {"collection": "ho_ngheo", "key": "HN-0002/a%20b",
         "set": [{"name": "name", "value": ("text", "")}],
         "cleared": ["phone2", "note"],
         "personal": [{"name": "ho_ten", "value": ("text", "Lò Văn Bình")}],
         "context": [(feed_id(run(16, 0xd0), 3, 0x8000000000000001), 300, 0x0102030405060708),
                     (feed_id(run(16, 0x10), 1, 5), 1, 0xf1f2f3f4f5f6f7f8)]},
        {"collection": "du_an", "key": "DA-9", "delete": True,
         "personal": [{"name": "_actor", "value": ("text", "acc-7")}]},
    ]
    return cs


def first():
    """The first change-set of an epoch, nothing personal, two earlier epochs named."""
    author = run(16, 0xa0)
    cs = {
        "federation": run(32, 0x40), "author": author, "unit": "_", "lane": 1, "epoch": 1, "seq": 1,
        "prev": bytes(32), "stamp": 1, "hub_stamp": 0, "catalogue_version": 0, "key_no": 1,
        "seed": run(16, 0xe0),
        "earlier": [("_", feed_id(author, 1, 0), 128, run(32, 1)),
                    ("_", feed_id(author, 1, (1 << 64) - 1), 1, run(32, 2))],
    }
    cs["feed"] = feed_id(author, cs["lane"], cs["epoch"])
    cs["drafts"] = [{"collection": "_unit", "key": "23956"}]
    return cs


# 4: trust

ONSETS = "b c ch g h l m ng t th v x".split()
RIMES = "a ai am ao ap e em eo ep i ia im ip iu o oi om op u ui um up".split()
BEFORE_E_AND_I = {"c": "k", "g": "gh", "ng": "ngh"}
LEFT_OUT = "cu ghia ghip ghiu nghip nghiu ngu vu".split()
WORDS = sorted((BEFORE_E_AND_I.get(o, o) if r[0] in "ei" else o) + r for o in ONSETS for r in RIMES)
WORDS = [w for w in WORDS if w not in LEFT_OUT]


def words(data):
    return " ".join(WORDS[b] for b in data)


def signed(tag, body, key):
    return p_bytes(1, body) + p_bytes(2, key.sign(tag, body))


def trust():
    root_key, hub, node = Key(run(32, 1)), Key(run(32, 2)), Key(run(32, 3))
    salt, token, principal = run(16, 0x30), run(16, 0x50), run(16, 0x70)
    line_secret = run(32, 0x90)
    line = crypto_scalarmult_base(line_secret)
    federation = H("lt1.federation", root_key.public + salt)

    certificate = (p_bytes(1, federation) + p_bytes(2, principal) + p_varint(3, 2) +
                   p_text(5, "UBND tỉnh") + p_varint(6, 3) + p_bytes(7, hub.public) +
                   p_bytes(8, line) + p_varint(9, 300) + p_text(10, "hub"))
    feed = feed_id(run(16, 0xa0), 3, 0x1122334455667788)
    receipt = (p_bytes(1, federation) + p_bytes(2, principal) + p_varint(3, 3) +
               p_text(4, "23956") + p_bytes(5, feed) + p_varint(6, 70000) +
               p_bytes(7, run(32, 0xb0)) + p_varint(8, 1785542400123) +
               p_bytes(9, p_varint(1, 69999) + p_varint(2, 5) + p_varint(3, 4), True) +
               p_bytes(10, p_varint(1, 70000), True) +
               p_bytes(11, p_varint(1, 1) + p_varint(2, 70000) + p_fixed64(3, 1 << 16) +
                       p_fixed64(4, 1785542400123 << 16 | 0xffff), True) +
               p_varint(12, 1))
    invitation = (p_bytes(1, root_key.public) + p_bytes(2, salt) + p_bytes(3, line) +
                  p_bytes(4, token) + p_text(5, "tcp://hub.example:7117") +
                  p_text(5, "tcp://[2001:db8::7]:7117") + p_varint(6, 1) + p_text(7, "23956") +
                  p_varint(9, 1790000000))
    checked = invitation + H16("lt1.token", invitation)[:4]
    return {
        "root_seed": root_key.seed, "hub_seed": hub.seed, "node_seed": node.seed,
        "salt": salt, "token": token, "principal": principal, "line_secret": line_secret,
        "line_public": line,
        "root_key": root_key.public,
        "federation": federation,
        "certificate": signed("lt1.certificate", certificate, root_key),
        "receipt": signed("lt1.receipt", receipt, hub),
        "invitation_line": "LT1." + base64.urlsafe_b64encode(checked).decode().rstrip("="),
        "token_hash": H("lt1.token", token),
        "join_proof": node.sign("lt1.join", federation + token + principal + node.public + line),
        "fingerprint": words(H("lt1.fingerprint", federation + principal + node.public + line)[:8]),
        "hub_words": words(H("lt1.hub-words", federation)[:8]),
        "all_words": words(bytes(range(256))),
        "root_words": words(root_key.seed + H("lt1.root-words", root_key.seed)[:1]),
        "identity": identity(federation, root_key, salt, principal, node, line_secret, token),
    }


# 9: on disk

def saved_receipts():
    t = trust()
    return {"format": "lienthong-receipts", "version": 1, "root_key": t["root_key"], "salt": t["salt"],
            "certificate": t["certificate"], "receipts": [t["receipt"]]}


def identity(federation, root_key, salt, principal, node, line_secret, token):
    lines = [("role", u8(1)), ("federation", federation), ("root_key", root_key.public),
             ("salt", salt), ("principal", principal), ("key_no", u32(258)),
             ("sign_seed", node.seed), ("line_secret", line_secret),
             ("hub_line_key", run(32, 0xc0)), ("unit", b"23956"), ("org", b""), ("token", token),
             ("addresses", b"tcp://hub.example:7117 tcp://[2001:db8::7]:7117"),
             ("certificate", b"")]
    text = "LTID1\n" + "".join("%s=%s\n" % (n, b.hex()) for n, b in lines)
    return text + "sum=%s\n" % H("lt1.value", framed(b"identity") + framed(b"") + text.encode())[:8].hex()


def stored_values():
    out = []
    for table, key, v in [("feed", run(34, 0), run(100, 7)), ("meta", b"format", b"LTST"),
                          ("held", run(46, 9), b""), ("x", b"", bytes(1000)), ("x", run(1, 1), run(3, 1)), ("x", run(200, 2), run(8, 2)),
                          ("x", run(511, 3), run(16, 3)), ("x", run(60, 4), run(200, 4)), ("x", run(20, 5), run(5000, 5))]:
        out.append({"table": table, "key": key, "value": v, "stored": v + checksum(table, key, v)})
    return out


def enrolment():
    """9.7: the rows of `enrol`, before and after they are used."""
    token, principal, sign, line = run(16, 0x50), run(16, 0x70), run(32, 0x21), run(32, 0x43)
    expires, asked = 1795305660, 1795305599123
    lists = [["read"], ["16906", "40"], ["dossier", "proposal"], ["all"]]
    grant = b"".join(p_text(n, word) for n, words in enumerate(lists, 1) for word in words)
    head = u64(expires) + u8(3) + framed8("") + framed8("so_tu_phap") + framed8("Sở Tư pháp")
    who = u8(3) + framed8("") + framed8("so_tu_phap") + framed8("Sở Tư pháp") + sign + line + framed8("192.0.2.1")
    who += u64(asked)
    return {"token": token, "token_hash": H("lt1.token", token), "principal": principal, "sign_key": sign,
            "line_key": line, "expires_s": expires, "asked_ms": asked, "grant": grant,
            "invitation": u8(2) + head + u8(0) + u8(0) + bytes(16) + framed(grant),
            "invitation_used": u8(2) + head + u8(0) + u8(1) + principal + framed(grant),
            "invitation_version_1": u8(1) + head + u8(0) + u8(0) + bytes(16),
            "asker_pending": u8(2) + u8(1) + who + framed(grant),
            "asker_active": u8(2) + u8(2) + who + framed(grant),
            "reason": "máy này không có trong danh sách", "asker_rejected":
            u8(2) + u8(5) + who + framed(grant) + framed8("máy này không có trong danh sách"),
            "asker_version_1": u8(1) + u8(1) + who,
            # Another machine came with it once more, at 2026-11-22T00:00:00Z.
            "alarm_key": b"a" + H("lt1.token", token),
            "alarm": u8(1) + 2 * u64(1795305600000) + u64(1) + u8(3) + framed8("") + framed8("so_tu_phap") + principal +
            framed8("198.51.100.7")}


def digest():
    collection, unit, key, row = b"ho_ngheo", b"23956", b"HN-0001", run(77, 1)
    place = framed(collection) + framed(unit) + framed(key)
    # RFC 8439: the first 16 bytes of ChaCha20's state after the key are the counter (little-endian) and the nonce
    key_stream = Cipher(algorithms.ChaCha20(H("lt1.lthash", place + row), bytes(16)), mode=None).encryptor()
    lanes = key_stream.update(bytes(2048))
    return {"collection": collection.decode(), "unit": unit.decode(), "key": key.decode(),
            "row": row, "bucket": H("lt1.bucket", place)[0] % 16, "contribution": lanes,
            "short": H16("lt1.lthash", lanes), "revision": H16("lt1.value", row)}


def golden():
    key = Key(run(32, 0x20))
    hashes = [("lt1.change", b""), ("lt1.token", run(16, 0)), ("lt1.root-words", run(32, 5)),
              ("lt1.changeset", run(200, 3)), ("lt1.value", bytes(1000))]
    leaves = [H("lt1.change", u8(i)) for i in range(9)]
    return {
        "about": "made by make_golden.py; bytes are hexadecimal",
        "hash": [{"tag": t, "message": m, "h": H(t, m), "h16": H16(t, m)} for t, m in hashes],
        "merkle": [{"leaves": leaves[:n], "root": root(leaves[:n])} for n in range(10)],
        "changeset": {"sign_seed": key.seed, "sign_key": key.public, "given": sample(),
                      "made": seal(sample(), key)},
        "changeset_first": {"sign_seed": key.seed, "sign_key": key.public, "given": first(),
                            "made": seal(first(), key)},
        "trust": trust(),
        "saved_receipts": saved_receipts(),
        "value": stored_values(),
        "enrolment": enrolment(),
        "store": golden_store.store(),
        "line": golden_line.frames(),
        "resume": golden_line.resume(),
        "handshake": golden_line.handshake(),
        "hub": golden_hub.hub(),
        "parties": golden_parties.parties(),
        "erase": golden_erase.erase(),
        "digest": digest(),
        "proof": golden_proof.proof(),
        "checkpoint": golden_checkpoint.checkpoint(words),
    }


def plain(x):
    """Bytes as hexadecimal; 64-bit numbers that JSON readers may round as decimal text."""
    if isinstance(x, bytes):
        return x.hex()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, int) and not isinstance(x, bool) and abs(x) >= 1 << 53:
        return str(x)
    return x


def main():
    text = json.dumps(plain(golden()), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        with open(PATH, encoding="utf-8") as f:
            there = f.read().splitlines()
        made = text.splitlines()
        for n, (a, b) in enumerate(zip(there, made), 1):
            if a != b:
                sys.exit("golden.json, line %d: %s\nmade now: %s" % (n, a, b))
        if len(there) != len(made):
            sys.exit("golden.json has %d lines, made now: %d" % (len(there), len(made)))
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    with open(PATH, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
