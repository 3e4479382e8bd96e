"""FORMAT.md 8.2, 9.1, 9.3, 9.8, 9.9 and 9.11: a hub and a node of one federation, what each keeps of the other, and a file of receipts.

The node takes in what the hub says of it (its entry in the registry, two verdicts), its own change-sets, and in the place of one
of them another that the hub holds; the hub gets another branch of one of them.
"""
import json

from nacl.bindings import crypto_scalarmult_base

from golden_base import H, Key, feed_id, framed, p_bytes, p_text, p_varint, run, seal, u8, u16, u32, u64

UNIT, PROVINCE = "17254", "40"
NOW = 1795305600000  # milliseconds since 1970, the clock of the tests
HOUR = 3600 * 1000
URGENT, NORMAL, BULK = 1, 2, 3
ASIDE = 0x80  # 9.11: in the lane byte
ROLE_NODE, ROLE_HUB = 1, 2
UNKNOWN_COLLECTION, AUTHORITY = 1, 10  # ReasonCode


class Party:
    def __init__(self, principal, seed, line_secret):
        self.principal, self.key, self.line_secret = principal, Key(seed), line_secret
        self.line = crypto_scalarmult_base(line_secret)
        self.heads = {}

    def write(self, federation, unit, lane, epoch, stamp, drafts, **more):
        """The next change-set of a feed; kept False: another one in its place, not its head."""
        feed = feed_id(self.principal, lane, epoch)
        seq, prev = self.heads.get((unit, feed), (0, bytes(32)))
        cs = {"federation": federation, "author": self.principal, "unit": unit, "lane": lane, "epoch": epoch,
              "seq": seq + 1, "prev": prev, "stamp": stamp, "hub_stamp": 0,
              "catalogue_version": more.get("catalogue_version", 0), "key_no": 1, "seed": run(16, 0x99), "feed": feed,
              "drafts": drafts}
        made = seal(cs, self.key)
        if more.get("kept", True):
            self.heads[unit, feed] = (seq + 1, made["hash"])
        return {"unit": unit, "feed": feed, "seq": seq + 1, "hash": made["hash"], "stamp": stamp, "bare": made["bare"],
                "leaves": made["leaves"],
                "records": [(d["collection"], d["key"]) for d in drafts],
                "bytes": made["with_seed"] if made["leaves"] else made["bare"]}


# 4.1

def signed(tag, body, key):
    return p_bytes(1, body) + p_bytes(2, key.sign(tag, body))


def certificate(federation, hub, root):
    return signed("lt1.certificate", p_bytes(1, federation) + p_bytes(2, hub.principal) + p_varint(3, ROLE_HUB) +
                  p_varint(6, 1) + p_bytes(7, hub.key.public) + p_bytes(8, hub.line) + p_varint(9, 1) +
                  p_text(10, "hub"), root)


def receipt(federation, hub, cs, since, refused=()):
    return signed("lt1.receipt", p_bytes(1, federation) + p_bytes(2, hub.principal) + p_varint(3, 1) +
                  p_text(4, UNIT) + p_bytes(5, cs["feed"]) + p_varint(6, cs["seq"]) + p_bytes(7, cs["hash"]) +
                  p_varint(8, since) + b"".join(dot(9, *r) for r in refused), hub.key)


def dot(number, seq, index, reason):
    return p_bytes(number, p_varint(1, seq) + p_varint(2, index) + p_varint(3, reason), True)


# 8.2

def verdict(first, last, refused=()):
    return (p_bytes(1, last["feed"]) + p_varint(2, first["seq"]) + p_varint(3, last["seq"]) +
            p_bytes(4, last["hash"]) + b"".join(dot(5, *r) for r in refused))


def verdict_draft(first, bytes_):
    return {"collection": "_verdict", "key": "%s/%d" % (first["feed"].hex(), first["seq"]),
            "set": [{"name": "verdict", "value": ("bytes", bytes_.hex())}]}


# 9.1

def identity(role, federation, root, salt, who, hub_line, unit, addresses, cert):
    lines = [("role", u8(role)), ("federation", federation), ("root_key", root.public), ("salt", salt),
             ("principal", who.principal), ("key_no", u32(1)), ("sign_seed", who.key.seed),
             ("line_secret", who.line_secret), ("hub_line_key", hub_line), ("unit", unit.encode()), ("org", b""),
             ("token", bytes(16)), ("addresses", addresses), ("certificate", cert)]
    text = "LTID1\n" + "".join("%s=%s\n" % (n, b.hex()) for n, b in lines)
    return text + "sum=%s\n" % H("lt1.value", framed(b"identity") + framed(b"") + text.encode())[:8].hex()


# 9.9

def saved(root, salt, cert, receipts):
    return json.dumps({"format": "lienthong-receipts", "version": 1, "root_key": root.public.hex(),
                       "salt": salt.hex(), "certificate": cert.hex(), "receipts": [r.hex() for r in receipts]},
                      indent=1)


def name_of(kind, feed):
    return "%s/%s/%s/" % (kind, UNIT, feed.hex())


def registered(node):
    principal = node.principal.hex()
    return [
        {"collection": "_key", "key": principal + "/1",
         "set": [{"name": "line_key", "value": ("bytes", node.line.hex())},
                 {"name": "sign_key", "value": ("bytes", node.key.public.hex())},
                 {"name": "state", "value": ("enumeration", "active")}]},
        {"collection": "_registry", "key": principal,
         "set": [{"name": "role", "value": ("enumeration", "node")},
                 {"name": "state", "value": ("enumeration", "active")},
                 {"name": "unit", "value": ("text", UNIT)}]},
    ]


def thing(key, words, **more):
    return dict({"collection": "no_such", "key": key, "set": [{"name": "a", "value": ("text", words)}]}, **more)


# 9.3

def uk(feed, unit=UNIT):
    return u8(len(unit)) + unit.encode() + feed


def feed_row(cs, judged, position):
    """judged: the last change-set of the feed that counts or not for good, None for none."""
    seq, stamp = (judged["seq"], judged["stamp"]) if judged else (0, 0)
    return u64(cs["seq"]) + cs["hash"] + u64(cs["stamp"]) + u64(stamp) + u64(seq) + u32(1) + u64(position)


def dots(cs, position, feed):
    return {b"\0".join(x.encode() for x in (collection, cs["unit"], key)) + b"\0" + feed + u64(cs["seq"]) + u32(i):
            u64(position) for i, (collection, key) in enumerate(cs["records"])}


# 9.11

def aside(feed):
    return feed[:16] + u8(feed[16] | ASIDE) + feed[17:]


def at_node(federation, hub, node):
    """What comes, in this order, each at the position that its place gives it; and the rows that follow from it."""
    stamp = NOW - 100000 << 16

    def own(n, lane, drafts, **more):
        return node.write(federation, UNIT, lane, 0x1122334455667788, stamp + n, drafts, **more)

    acts = hub.write(federation, "_", NORMAL, 1, stamp, registered(node))
    n1 = own(1, NORMAL, [thing("1", "một"), thing("2", "hai")])
    n2 = own(2, NORMAL, [thing("3", "ba"), thing("4", "bốn"), thing("5", "năm")])
    n3 = own(3, NORMAL, [thing("6", "sáu")])
    u1 = own(4, URGENT, [thing("7", "bảy")])
    n4 = own(5, NORMAL, [thing("8", "chưa về")])  # it never comes
    n5 = own(6, NORMAL, [thing("9", "chưa về")])
    refused = [(1, 1, UNKNOWN_COLLECTION), (2, 0, AUTHORITY), (2, 2, UNKNOWN_COLLECTION)]
    now = verdict(n1, n2, refused)
    v1 = hub.write(federation, UNIT, URGENT, 2, stamp + 7, [verdict_draft(n1, now)])
    later = [verdict(n3, n4, [(3, 0, UNKNOWN_COLLECTION)]), verdict(n5, n5)]
    v2 = hub.write(federation, UNIT, URGENT, 2, stamp + 8, [verdict_draft(n3, later[0]), verdict_draft(n5, later[1])])
    b1 = own(9, BULK, [thing("10", "mười")])
    theirs = own(11, BULK, [thing("11", "ở đầu mối")], kept=False)
    ours = own(10, BULK, [thing("11", "chỉ ở đây"), thing("12", "chỉ ở đây")])
    comes = [acts, n1, n2, n3, u1, b1, ours, v1, v2, theirs]
    position = {id(cs): n for n, cs in enumerate(comes, 1)}
    at = [(cs, position[id(cs)]) for cs in comes]
    stays = [(cs, p) for cs, p in at if cs is not ours]
    seq = {uk(cs["feed"], cs["unit"]) + u64(cs["seq"]): u64(p) for cs, p in stays}
    seq[uk(aside(ours["feed"])) + u64(ours["seq"])] = u64(position[id(ours)])
    # Of a feed the last one; the hub's count at once, its verdict speaks of n1 and n2.
    judged = {acts["feed"]: acts, v2["feed"]: v2, n2["feed"]: n2}
    feed = {uk(cs["feed"], cs["unit"]): feed_row(cs, judged.get(cs["feed"]), p) for cs, p in stays}
    # What has been judged, acts (verdicts stand in no history), and the branch that only this machine has.
    history = {k: v for cs, p in at if cs in (acts, n1, n2) for k, v in dots(cs, p, cs["feed"]).items()}
    overlay = dots(ours, position[id(ours)], aside(ours["feed"]))
    history.update(overlay)
    of_seq = {cs["seq"]: position[id(cs)] for cs in (n1, n2, n3)}
    # n1's is of the day before in Vietnam: NOW is 07:00 there.
    got = [(u1, NOW - 50000, ()), (n1, NOW - 7 * HOUR - 1, ()), (n2, NOW - 7 * HOUR, refused), (n3, NOW - 40000, ())]
    receipts = [receipt(federation, hub, *g) for g in got]
    last = {(cs["feed"], (since + 7 * HOUR) // (24 * HOUR)): n for n, (cs, since, _) in enumerate(got)}
    waiting = name_of("verdict", n1["feed"]) + "%016x" % position[id(v2)]
    return {
        "comes": [cs["bytes"] for cs in comes],
        "receipts": receipts,
        "tables": {
            "receipt": {uk(got[n][0]["feed"]) + u64(got[n][0]["seq"]): receipts[n] for n in last.values()},
            "feed": feed, "seq": seq, "history": history, "overlay": overlay,
            "quarantine": {u64(of_seq[seq]) + u32(i): u16(reason) for seq, i, reason in refused},
        },
        "waiting": {(waiting + "00000000").encode(): later[0], (waiting + "00000001").encode(): later[1]},
    }


def at_hub(federation, node):
    """Two change-sets under one number; the one that comes second has openings. And a dot that is decided late."""
    stamp = NOW - 90000 << 16
    epoch = 0x8877665544332211
    first = node.write(federation, UNIT, NORMAL, epoch, stamp, [thing("1", "trước")], catalogue_version=1, kept=False)
    second = node.write(federation, UNIT, NORMAL, epoch, stamp + 1,
                        [thing("1", "sau", personal=[{"name": "_actor", "value": ("text", "acc-7")}])],
                        catalogue_version=1, kept=False)
    assert second["bytes"] != second["bare"]
    name = name_of("fork", second["feed"]) + "%016x/%s" % (second["seq"], second["hash"][:8].hex())
    settled = name_of("settled", first["feed"])
    return {
        "first": first["bytes"], "second": second["bytes"], "feed": first["feed"],
        "fork": {name.encode(): second["bare"]},
        "settled": {
            (settled + "%016x/%08x" % (1, 0)).encode(): u64(0),
            (settled + "%016x/%08x" % (0x123456789abcdef0, 0x3ff)).encode(): u64(AUTHORITY),
        },
    }


def rows(table):
    return [{"key": k, "value": table[k]} for k in sorted(table)]


def parties():
    root, salt = Key(run(32, 1)), run(16, 0x30)
    hub = Party(run(16, 0x10), run(32, 2), run(32, 0x91))
    node = Party(run(16, 0x61), run(32, 3), run(32, 0x90))
    federation = H("lt1.federation", root.public + salt)
    cert = certificate(federation, hub, root)
    n = at_node(federation, hub, node)
    h = at_hub(federation, node)
    kept = n["tables"]["receipt"]
    return {
        "root_seed": root.seed, "node_seed": node.key.seed, "node_line_secret": node.line_secret,
        "node_principal": node.principal, "unit": UNIT, "province": PROVINCE, "certificate": cert,
        "identity_hub": identity(ROLE_HUB, federation, root, salt, hub, hub.line, PROVINCE, b"", cert),
        "identity_node": identity(ROLE_NODE, federation, root, salt, node, hub.line, UNIT,
                                  b"tcp://127.0.0.1:1", b""),
        "node": {
            "comes": n["comes"], "receipts": n["receipts"],
            "tables": {name: rows(t) for name, t in n["tables"].items()},
            "local": rows({b"hub_certificate": cert, b"province": PROVINCE.encode(), **n["waiting"]}),
            "saved": saved(root, salt, cert, [kept[k] for k in sorted(kept)]),
        },
        "hub": dict(h, fork=rows(h["fork"]), settled=rows(h["settled"])),
    }
