"""FORMAT.md 8.5, 9.3, 9.8 and 12.8: values that are erased, by an act of a hub and by a list of such acts."""
from golden_base import H, Key, by_name, p_bytes, p_fixed64, p_text, p_varint, run, u8, u32, u64
from golden_parties import NORMAL, NOW, UNIT, URGENT, Party, certificate, thing

SALT = run(16, 0xb0)
STAMP = NOW << 16


def hash8(changeset):
    return int.from_bytes(changeset["hash"][:8], "big")


def erasure(changes):
    """The bytes of field `dots`."""
    return b"".join(
        p_bytes(1, p_bytes(1, c["feed"]) + p_varint(2, c["seq"]) + p_varint(3, index) +
                b"".join(p_text(4, f, True) for f in fields) + p_fixed64(5, hash8(c)), True)
        for c, index, fields in changes)


def act(number, dots, by):
    fields = [{"name": "dots", "value": ("bytes", dots.hex())}, {"name": "reason", "value": ("enumeration", "request")},
              {"name": "basis", "value": ("text", "Luật 91/2025/QH15, đơn số 12")},
              {"name": "by", "value": ("bytes", by.hex())}]
    return {"collection": "_erase", "key": str(number), "set": by_name(fields)}


def note(changeset, index, field):
    """9.8: the row of table local for one value that is named."""
    return "erased/%s/%s/%016x/%08x/%s" % (UNIT, changeset["feed"].hex(), changeset["seq"], index, field)


def erase():
    root = Key(run(32, 0x31))
    federation = H("lt1.federation", root.public + SALT)
    hub = Party(run(16, 0x10), run(32, 0x32), run(32, 0x33))
    node = Party(run(16, 0x20), run(32, 0x34), run(32, 0x35))
    person = [{"name": "p", "value": ("text", "Nguyễn Văn Xóa")}, {"name": "q", "value": ("text", "bệnh cần quên")},
              {"name": "_actor", "value": ("text", "acc-7")}]
    one = node.write(federation, UNIT, NORMAL, 5, STAMP, [dict(thing("17254/1", "một"), personal=person),
                                                         dict(thing("17254/2", "hai"), personal=person[:1])])
    # The act names two fields of the first change, one of the second, and a change-set that is still to come.
    coming = node.write(federation, UNIT, NORMAL, 5, STAMP + 1, [dict(thing("17254/3", "ba"), personal=person[:2])])
    named = [(one, 0, ["_actor", "p"]), (one, 1, ["p"]), (coming, 0, ["q"])]
    number = (1 << 63) - 1
    said = hub.write(federation, UNIT, URGENT, 9, STAMP + 2, [act(number, erasure(named), run(16, 0x77))])
    # Somebody else's, which a list passes by.
    foreign = node.write(federation, UNIT, URGENT, 6, STAMP + 3, [act(7, erasure(named[:1]), run(16, 0x77))])
    cert = certificate(federation, hub, root)
    return {
        "unit": UNIT, "federation": federation, "root_key": root.public, "hub_key": hub.key.public,
        "node_key": node.key.public,
        "changeset": one["bytes"], "coming": coming["bytes"], "number": str(number),
        "named": [{"feed": c["feed"], "seq": c["seq"], "index": i, "hash8": c["hash"][:8], "field": fields}
                  for c, i, fields in named],
        "dots": erasure(named), "act": said["bytes"],
        "list": p_varint(1, 1) + b"".join(p_bytes(2, c["bytes"]) for c in (said, foreign)) + p_bytes(3, cert),
        "notes": {note(c, i, f): c["hash"][:8] for c, i, fields in named for f in fields},
        "uncompacted": {"uncompacted": u8(1)},
        "unsaid": "unsaid/%s/%s/%016x/%s" % (UNIT, said["feed"].hex(), said["seq"], said["hash"][:8].hex()),
        # Behind the act, with the first change-set at position 1 and the second at 2.
        "opening": opening_rows([(1, one, {(0, "_actor"), (0, "p"), (1, "p")}), (2, coming, {(0, "q")})]),
    }


def opening_rows(log):
    """9.3: what is named is 2 and its leaf, and the seed of a change-set of which something went is gone."""
    out = {}
    for position, c, gone in log:
        for n in c["leaves"]:
            key = u64(position) + u32(n["change"]) + n["name"].encode()
            out[key.hex()] = (u8(2) + n["leaf"] if (n["change"], n["name"]) in gone
                              else u8(0) + n["salt"] + n["field_set"])
    return out
