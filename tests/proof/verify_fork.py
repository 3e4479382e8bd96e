#!/usr/bin/python3
"""Evidence of a fork, checked by a second implementation: from proto/FORMAT.md (1 to 4, 8.6, 14) and the .proto files alone.

    verify_fork.py FILE ROOT_KEY_HEX      one line of JSON; exit 0 proven, 1 not
"""
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from verify_proof import CERTIFICATE, CHANGE, H, HEADER, SIGNED, Refused, need, read, root, signed

RULING_KEY = {1: ("key_no", "u32", False), 2: ("sign_key", "bytes", False)}
RULING = {1: ("feed", "bytes", False), 2: ("seq", "uint", False), 3: ("counts", "bytes", False), 4: ("other", "bytes", False),
          5: ("key", RULING_KEY, True)}
MEMBERS = {"format", "version", "root_key", "salt", "unit", "feed", "seq", "keys", "counts", "other", "certificate", "ruling"}
ROLE_HUB = 2
PUT = 1


def raw(v, length=None):
    need(isinstance(v, str) and v and re.fullmatch("([0-9a-f]{2})+", v), "no lower-case hexadecimal digits")
    need(length is None or len(v) == 2 * length, "wrong length")
    return bytes.fromhex(v)


def only(o, names):
    need(isinstance(o, dict) and set(o) == set(names), "members")


def whole(v, least):
    need(isinstance(v, int) and not isinstance(v, bool) and v >= least, "no number")
    return v


def feed_of(h):
    return h["author"] + bytes([h["lane"]]) + struct.pack(">Q", h["epoch"])


def branch(o, f, keys):
    only(o, ("header", "signature", "leaves"))
    header = raw(o["header"])
    h = read(HEADER, header)
    need(h["federation"] == f["federation"] and h["unit"] == f["unit"] and feed_of(h) == f["feed"], "another feed")
    need(len(h["prev_hash"]) == 32 and h["key_no"] in keys, "prev_hash, key")
    need(signed(keys[h["key_no"]], "lt1.changeset", header, raw(o["signature"], 64)), "signature of a branch")
    need(isinstance(o["leaves"], list) and 1 <= len(o["leaves"]) <= 1024 and len(o["leaves"]) == h["change_count"], "leaves")
    need(root([raw(x, 32) for x in o["leaves"]]) == h["changes_root"], "changes_root")
    return h, H("lt1.changeset", header)


def certificate(b, root_key, federation):
    cert = read(SIGNED, b)
    need(signed(root_key, "lt1.certificate", cert["body"], cert["signature"]), "certificate")
    body = read(CERTIFICATE, cert["body"])
    need(body["federation"] == federation and body["role"] == ROLE_HUB, "no hub of this federation")
    return body


def act(o, f, hub):
    only(o, ("header", "signature", "changes"))
    header = raw(o["header"])
    h = read(HEADER, header)
    need(h["federation"] == f["federation"] and h["author"] == hub["principal"] and h["key_no"] == hub["key_no"], "whose ruling")
    need(signed(hub["sign_key"], "lt1.changeset", header, raw(o["signature"], 64)), "signature of the ruling")
    need(isinstance(o["changes"], list) and len(o["changes"]) == 1 and h["change_count"] == 1, "one change")
    change = raw(o["changes"][0])
    need(root([H("lt1.change", change)]) == h["changes_root"], "changes_root of the ruling")
    c = read(CHANGE, change)
    need(h["unit"] == f["unit"] and c["collection"] == "_ruling" and c["kind"] == PUT and len(c["set"]) == 1, "no ruling")
    need(c["set"][0]["name"] == "ruling", "no ruling")
    return read(RULING, c["set"][0]["value"]["bytes"]), c["key"], h["stamp"] >> 16


def check(text, root_key):
    f = json.loads(text)
    only(f, MEMBERS)
    need(f["format"] == "lienthong-fork" and whole(f["version"], 1) == 1, "format")
    need(raw(f["root_key"], 32) == root_key, "another root key")
    federation = H("lt1.federation", root_key + raw(f["salt"], 16))
    at = {"federation": federation, "unit": f["unit"], "feed": raw(f["feed"], 25)}
    seq = whole(f["seq"], 1)
    need(isinstance(f["keys"], list) and 1 <= len(f["keys"]) <= 2, "keys")
    for k in f["keys"]:
        only(k, ("key_no", "sign_key"))
    keys = {whole(k["key_no"], 1): raw(k["sign_key"], 32) for k in f["keys"]}
    a, counts = branch(f["counts"], at, keys)
    b, other = branch(f["other"], at, keys)
    need(a["seq"] == seq and b["seq"] in (seq, seq + 1), "numbers")
    if b["seq"] == seq + 1:
        other = b["prev_hash"]
    need(counts != other, "the same")
    need({a["key_no"], b["key_no"]} == set(keys), "a key too many")
    hub = certificate(raw(f["certificate"]), root_key, federation)
    r, key, ms = act(f["ruling"], at, hub)
    need(r["feed"] == at["feed"] and r["seq"] == seq and r["counts"] == counts and r["other"] == other, "another ruling")
    need([(k["key_no"], k["sign_key"]) for k in r["key"]] == [(k["key_no"], raw(k["sign_key"])) for k in f["keys"]], "other keys")
    need(key == "%s/%d/%s" % (f["feed"], seq, other[:8].hex()), "key of the record")
    return {"good": True, "unit": f["unit"], "feed": f["feed"], "seq": seq, "counts": counts.hex(), "other": other.hex(),
            "ruled_ms": ms}


if __name__ == "__main__":
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            print(json.dumps(check(file.read(), bytes.fromhex(sys.argv[2]))))
    except (Refused, ValueError, KeyError, TypeError) as e:
        print(json.dumps({"good": False, "error": str(e)}))
        sys.exit(1)
