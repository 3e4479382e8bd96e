"""Proofs of a record's history (FORMAT.md 11): good ones for golden.json, and each way in which one can be false.

Every bad one is false in one thing only, by keys that the forger would have; `why` names that thing.

    golden_proof.py     the bad ones as JSON on standard output: too much for the file of vectors, and always the same
"""
import json

from golden_base import H, Key, feed_id, p_bytes, p_fixed64, p_text, p_varint, root, run, seal

ROOT, OTHER_ROOT, HUB, NODE, THIEF = (Key(run(32, first)) for first in (0x01, 0x31, 0x61, 0x91, 0xc1))
SALT = run(16, 0x70)
FED = H("lt1.federation", ROOT.public + SALT)
HUB_ID, NODE_ID, STRANGER_ID = run(16, 0x90), run(16, 0x50), run(16, 0x58)
UNIT = "16906"
MS = 1785542400000
RECORD = ("household_poverty", "16906/HN00500")
OTHER = ("household_poverty", "16906/HN00501")


def stamp(n):
    return MS + n * 1000 << 16


def audit_path(leaves, i):
    """RFC 6962, 2.1.1, lowest hash first."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if i < k:
        return audit_path(leaves[:k], i) + [root(leaves[k:])]
    return audit_path(leaves[k:], i - k) + [root(leaves[:k])]


def put(where, context=(), personal=(), cleared=(), **values):
    return {"collection": where[0], "key": where[1], "set": [{"name": n, "value": v} for n, v in values.items()],
            "personal": [{"name": n, "value": ("text", v)} for n, v in personal], "cleared": list(cleared),
            "context": list(context)}


class Feed:
    """Change-sets of one feed, by seq."""

    def __init__(self, author, key, unit, lane, epoch, federation=FED, key_no=1):
        self.author, self.key, self.unit, self.lane, self.epoch = author, key, unit, lane, epoch
        self.federation, self.key_no = federation, key_no
        self.id = feed_id(author, lane, epoch)
        self.made = []

    def add(self, at, *drafts, prev=None):
        if prev is None:
            prev = self.made[-1]["hash"] if self.made else bytes(32)
        seq = len(self.made) + 1
        cs = {"federation": self.federation, "author": self.author, "unit": self.unit, "lane": self.lane, "epoch": self.epoch,
              "feed": self.id, "seq": seq, "prev": prev, "stamp": stamp(at), "hub_stamp": 0, "catalogue_version": 1,
              "key_no": self.key_no, "seed": run(16, seq), "drafts": list(drafts)}
        made = seal(cs, self.key)
        made["seq"] = seq
        self.made.append(made)
        return made

    def at(self, seq):
        return self.made[seq - 1]


def opening(leaf, withheld=False):
    if withheld:
        return p_text(2, leaf["name"]) + p_bytes(5, leaf["leaf"])
    return p_text(2, leaf["name"]) + p_bytes(3, leaf["salt"]) + p_bytes(4, leaf["field_set"])


def openings_of(made, i, withheld=()):
    return [opening(x, x["name"] in withheld) for x in made["leaves"] if x["change"] == i]


def change(made, i, openings=(), path=None, index=None):
    if path is None:
        path = audit_path([H("lt1.change", c) for c in made["changes"]], i)
    return (p_varint(1, i if index is None else index) + p_bytes(2, made["changes"][i]) + b"".join(p_bytes(3, h, True) for h in path) +
            b"".join(p_bytes(4, o, True) for o in openings))


def part(made, *changes, signature=None):
    return (p_bytes(1, made["header"]) + p_bytes(2, made["signature"] if signature is None else signature) +
            b"".join(p_bytes(3, c, True) for c in changes))


def record_part(made, i, withheld=()):
    return part(made, change(made, i, openings_of(made, i, withheld)))


def verdict(feed, first, to, refused=(), held=(), clamp=(), settled=(), settling=False, to_hash=None):
    """A change of _verdict."""
    v = (p_bytes(1, feed.id) + p_varint(2, first) + p_varint(3, to) + p_bytes(4, to_hash or feed.at(to)["hash"]) +
         b"".join(p_bytes(5, p_varint(1, s) + p_varint(2, i) + p_varint(3, r), True) for s, i, r in refused) +
         b"".join(p_bytes(6, p_varint(1, s) + p_varint(2, i), True) for s, i in held) +
         b"".join(p_bytes(7, p_varint(1, a) + p_varint(2, b) + p_fixed64(3, lo) + p_fixed64(4, hi), True) for a, b, lo, hi in clamp) +
         b"".join(p_bytes(8, p_varint(1, s) + p_varint(2, i), True) for s, i in settled) +
         p_varint(9, 1 if settling else 0))
    return put(("_verdict", "%s/%d" % (feed.id.hex(), first)), verdict=("bytes", v.hex()))


def signed(tag, body, key):
    return p_bytes(1, body) + p_bytes(2, key.sign(tag, body))


def certificate(key=ROOT, principal=HUB_ID, role=2, key_no=1, federation=FED):
    body = (p_bytes(1, federation) + p_bytes(2, principal) + p_varint(3, role) + p_text(4, "40") + p_varint(6, key_no) +
            p_bytes(7, HUB.public) + p_bytes(8, run(32, 0x77)) + p_varint(9, 1) + p_text(10, "hub"))
    return signed("lt1.certificate", body, key)


def receipt(feed, seq, since, key=HUB, digest=None, feed_id_=None):
    body = (p_bytes(1, FED) + p_bytes(2, HUB_ID) + p_varint(3, 1) + p_text(4, UNIT) + p_bytes(5, feed_id_ or feed.id) +
            p_varint(6, seq) + p_bytes(7, digest or feed.at(seq)["hash"]) + p_varint(8, MS + since * 1000))
    return signed("lt1.receipt", body, key)


def node_acts(unit=UNIT, state="active", key=NODE, author=NODE_ID, role="node", key_state="active"):
    return [put(("_registry", author.hex()), role=("enumeration", role), unit=("text", unit), state=("enumeration", state),
                label=("text", "Máy số 1")),
            put(("_grant", author.hex() + "/1"), state=("enumeration", "active")),
            put(("_key", author.hex() + "/1"), sign_key=("bytes", key.public.hex()), state=("enumeration", key_state))]


class World:
    """Two feeds of a node, judged by the hub; parts of the proof, for a case to change."""

    def __init__(self, node_key=NODE, acts=None, later_acts=(), unit=UNIT, verdict_unit=None, verdict_lane=1, hub=HUB,
                 author=NODE_ID, gap=False, federation=FED, verdicts=None):
        self.registry_feed = Feed(HUB_ID, HUB, "_", 2, 7)
        self.acts = self.registry_feed.add(1, *(node_acts() if acts is None else acts))
        self.later = [self.registry_feed.add(at, d) for at, d in later_acts]
        a = self.a = Feed(author, node_key, unit, 2, 1, federation)
        b = self.b = Feed(author, node_key, unit, 2, 2, federation)
        a.add(10, put(OTHER, members=("integer", 3)))
        a.add(11, put(OTHER, members=("integer", 4)),
              put(RECORD, personal=[("head_name", "Lô Văn Mẫu"), ("_actor", "lo.van.mau")], members=("integer", 5),
                  village=("text", "Bản Một")), put(OTHER, members=("integer", 5)))
        a.add(12, put(OTHER, members=("integer", 6)), prev=run(32, 9) if gap else None)
        a.add(99999, put(RECORD, members=("integer", 6), personal=[("head_name", "Lô Văn Thử")]))
        a.add(100000, put(OTHER, members=("integer", 7)))
        b.add(20, put(RECORD, [(a.id, 4, int.from_bytes(a.at(4)["hash"][:8], "big"))], cleared=["head_name"], members=("integer", 7)))
        b.add(21, put(RECORD, members=("integer", -1)))
        v = self.v = Feed(HUB_ID, hub, verdict_unit or unit, verdict_lane, 7)
        if verdicts is None:
            verdicts = [(30, [verdict(a, 1, 3, refused=[(1, 0, 4)])]),
                        (31, [verdict(a, 4, 5, clamp=[(4, 5, stamp(3), stamp(31))]), verdict(b, 1, 2, [(2, 0, 4)], [(1, 0)])]),
                        (32, [verdict(b, 1, 1, settled=[(1, 0)], settling=True)])]
        else:
            verdicts = verdicts(a, b)
        for at, drafts in verdicts:
            v.add(at, *drafts)
        self.version, self.where, self.unit, self.salt = 1, RECORD, unit, SALT
        self.certificates = [certificate()]
        self.records = [record_part(a.at(2), 1), record_part(a.at(4), 0), record_part(b.at(1), 0), record_part(b.at(2), 0)]
        self.verdicts = [part(m, *[change(m, i) for i in range(len(m["changes"]))]) for m in v.made]
        self.registry = [part(self.acts, *[change(self.acts, i) for i, c in enumerate(self.acts["changes"])
                                           if not c.startswith(p_text(1, "_grant"))])]
        self.registry += [part(m, change(m, 0)) for m in self.later]
        self.links = [a.at(3)["header"], a.at(5)["header"]]
        self.receipts = [receipt(a, 3, 40), receipt(a, 5, 41), receipt(b, 2, 42)]
        self.tail = b""

    def bytes(self):
        return (p_varint(1, self.version) + p_text(2, self.where[0]) + p_text(3, self.unit) + p_text(4, self.where[1]) +
                p_bytes(5, self.salt) + b"".join(p_bytes(6, c, True) for c in self.certificates) +
                b"".join(p_bytes(7, c, True) for c in self.records) + b"".join(p_bytes(8, c, True) for c in self.verdicts) +
                b"".join(p_bytes(9, c, True) for c in self.registry) + b"".join(p_bytes(10, c, True) for c in self.links) +
                b"".join(p_bytes(11, c, True) for c in self.receipts) + self.tail)


def says(feed, seq, index, state, at, judged, since, reason=0):
    return {"feed": feed.id, "seq": seq, "index": index, "state": state, "effective_ms": MS + at * 1000,
            "judged_ms": MS + judged * 1000, "since_ms": MS + since * 1000, "reason": reason}


def good():
    """(name, proof, what it says)"""
    w = World()
    out = [("four changes of two feeds", w.bytes(),
            [says(w.a, 2, 1, "accepted", 11, 30, 40), says(w.a, 4, 0, "accepted", 31, 31, 41),
             says(w.b, 1, 0, "accepted", 20, 31, 42), says(w.b, 2, 0, "refused", 21, 31, 42, 4)])]
    w = World()
    w.records[0] = record_part(w.a.at(2), 1, ["head_name", "_actor"])
    w.receipts, w.records, w.verdicts, w.links = w.receipts[:1], w.records[:1], w.verdicts[:1], w.links[:1]
    out.append(("one change, its personal values withheld", w.bytes(), [says(w.a, 2, 1, "accepted", 11, 30, 40)]))
    w = World()
    del w.records[0], w.receipts[:], w.verdicts[2], w.verdicts[0], w.links[0]
    held = [says(w.a, 4, 0, "accepted", 31, 31, 0), says(w.b, 1, 0, "held", 20, 31, 0), says(w.b, 2, 0, "refused", 21, 31, 0, 4)]
    for h in held:
        h["since_ms"] = 0
    out.append(("no receipts, and the settling verdict not there yet", w.bytes(), held))
    w = World(later_acts=[(33, put(("_key", NODE_ID.hex() + "/1"), state=("enumeration", "revoked")))])
    out.append(("the key was revoked after the verdicts", w.bytes(), None))
    return out


def bad():
    """(name, why, proof)"""
    out = []

    def case(name, why, world=None, **attributes):
        w = world or World()
        for k, v in attributes.items():
            setattr(w, k, v)
        out.append((name, why, w.bytes()))

    w = World()
    two = w.a.at(2)
    case("the path of another change", "path", records=[part(two, change(two, 1, openings_of(two, 1), audit_path(
        [H("lt1.change", c) for c in two["changes"]], 2))), *w.records[1:]])
    case("under another index", "path", records=[part(two, change(two, 1, openings_of(two, 1), index=2)), *w.records[1:]])
    case("a path upside down", "path", records=[part(two, change(two, 1, openings_of(two, 1), audit_path(
        [H("lt1.change", c) for c in two["changes"]], 1)[::-1])), *w.records[1:]])
    case("a path too long", "path", records=[part(two, change(two, 1, openings_of(two, 1), audit_path(
        [H("lt1.change", c) for c in two["changes"]], 1) + [bytes(32)])), *w.records[1:]])
    case("another record's change", "record", records=[record_part(two, 0), *w.records[1:]])
    case("another record named", "record", where=OTHER)
    case("another unit named", "record", unit="17254")
    case("receipt of another feed", "receipt", receipts=[*w.receipts[:2], receipt(w.b, 2, 42, feed_id_=feed_id(STRANGER_ID, 2, 2))])
    case("receipt of another branch", "receipt", receipts=[receipt(w.a, 3, 40, digest=run(32, 3)), *w.receipts[1:]])
    case("receipt signed by the node", "receipt", receipts=[receipt(w.a, 3, 40, key=NODE), *w.receipts[1:]])
    case("receipt below the change", "receipt", receipts=[receipt(w.a, 1, 40), *w.receipts])
    case("a receipt twice", "order", receipts=[w.receipts[0], *w.receipts])
    case("author without a key", "author", registry=[part(w.acts, change(w.acts, 0))])
    case("author not registered", "author", registry=[part(w.acts, change(w.acts, 2))])
    case("no acts about the author", "author", registry=[])
    case("author of another unit", "author", World(acts=node_acts(unit="17254")))
    case("author is a department", "author", World(acts=node_acts(role="department")))
    case("acts about somebody else", "author", World(acts=node_acts(author=STRANGER_ID)))
    late = World(acts=[node_acts()[1]], later_acts=[(50, d) for d in node_acts() if d["collection"] != "_grant"])
    late.registry = late.registry[1:]
    case("author registered after the verdict", "author", late)
    case("key revoked before the verdict", "revoked",
         World(later_acts=[(29, put(("_key", NODE_ID.hex() + "/1"), state=("enumeration", "revoked")))]))
    case("author suspended before the verdict", "revoked",
         World(later_acts=[(29, put(("_registry", NODE_ID.hex()), state=("enumeration", "suspended")))]))
    case("author only pending", "revoked", World(acts=node_acts(state="pending")))
    case("signed by another key", "signature", World(node_key=THIEF))
    case("the hub's acts signed by the node", "signature", World(hub=NODE))
    case("verdict left out", "no_verdict", verdicts=[w.verdicts[1], w.verdicts[2]])
    case("a settling verdict in its place", "no_verdict",
         World(verdicts=lambda a, b: [(30, [verdict(a, 1, 3, refused=[(1, 0, 4), (3, 0, 4)], settling=True)]),
                                      (31, [verdict(a, 4, 5), verdict(b, 1, 2)])]))
    case("two verdicts on one change-set", "verdicts",
         World(verdicts=lambda a, b: [(30, [verdict(a, 1, 3, refused=[(2, 1, 4)])]), (31, [verdict(a, 2, 5), verdict(b, 1, 2)])]))
    case("verdict on another branch", "chain",
         World(verdicts=lambda a, b: [(30, [verdict(a, 1, 3, to_hash=run(32, 5))]), (31, [verdict(a, 4, 5), verdict(b, 1, 2)])]))
    case("verdict of another unit", "act", World(verdict_unit="17254"))
    case("verdict in the normal lane", "act", World(verdict_lane=2))
    case("an act that is no verdict", "act", World(verdicts=lambda a, b: [(30, [put(RECORD, members=("integer", 1))])]))
    named = [x for x in two["leaves"] if x["name"] == "head_name"][0]
    one = part(two, change(two, 1, [opening(dict(named, name="_actor")), openings_of(two, 1)[1]]))
    case("opening of another field", "opening", records=[one, *w.records[1:]])
    four = w.a.at(4)
    moved = part(two, change(two, 1, [openings_of(two, 1)[0], openings_of(four, 0)[0]]))
    case("value of another change", "opening", records=[moved, *w.records[1:]])
    case("an opening missing", "opening", records=[part(two, change(two, 1, openings_of(two, 1)[:1])), *w.records[1:]])
    case("no openings", "opening", records=[part(two, change(two, 1)), *w.records[1:]])
    wrong_leaf = opening({"name": "head_name", "leaf": run(32, 1)}, True)
    case("a leaf that was never signed", "opening",
         records=[part(two, change(two, 1, [openings_of(two, 1)[0], wrong_leaf])), *w.records[1:]])
    case("chain cut off", "chain", links=w.links[:1])
    case("chain with a hole", "chain", links=w.links[1:])
    case("chain of another branch", "chain", World(gap=True))
    case("a link for nothing", "useless", links=[w.a.at(1)["header"], *w.links])
    case("a certificate for nothing", "useless", certificates=[certificate(), certificate(principal=STRANGER_ID)])
    case("a verdict for nothing", "useless",
         World(verdicts=lambda a, b: [(30, [verdict(a, 1, 1), verdict(a, 2, 5), verdict(b, 1, 2)])]))
    case("an act for nothing", "useless", World(later_acts=[(2, d) for d in node_acts(author=STRANGER_ID)[:1]]))
    case("no certificate", "act", certificates=[])
    case("certificate not by the root key", "certificate", certificates=[certificate(NODE)])
    case("certificate of a node", "certificate", certificates=[certificate(role=1)])
    case("certificate of another federation", "federation", certificates=[certificate(federation=run(32, 2))])
    case("a certificate twice", "order", certificates=[certificate(), certificate()])
    case("a named change left out", "context", records=[w.records[0], *w.records[2:]], links=[w.links[0]], receipts=[w.receipts[0],
         w.receipts[2]], verdicts=[w.verdicts[0], part(w.v.at(2), change(w.v.at(2), 1)), w.verdicts[2]])
    case("change-sets of another federation", "federation", World(federation=run(32, 6)))
    case("another salt", "federation", salt=run(16, 0))
    case("parts out of order", "order", records=[w.records[1], w.records[0], *w.records[2:]])
    case("a part twice", "order", records=[w.records[0], *w.records])
    case("a part as its own link", "order", links=[w.a.at(2)["header"], *w.links])
    case("a later version", "newer", version=2)
    case("an unknown field", "spelling", tail=p_varint(12, 1))
    case("a number with a byte too much", "spelling")
    good_bytes = World().bytes()
    out[-1] = (*out[-1][:2], b"\x08\x81\x00" + good_bytes[2:])
    case("fields in another order", "spelling")
    out[-1] = (*out[-1][:2], good_bytes[2:] + good_bytes[:2])
    case("cut off", "form")
    out[-1] = (*out[-1][:2], good_bytes[:-1])
    case("nothing", "form")
    out[-1] = (*out[-1][:2], b"")
    return out


def paths():
    leaves = [H("lt1.change", bytes([i])) for i in range(33)]
    return [{"n": n, "index": i, "path": audit_path(leaves[:n], i), "root": root(leaves[:n])}
            for n in (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33) for i in sorted({0, n // 2, n - 1})]


def proof():
    return {"root_key": ROOT.public, "other_root_key": OTHER_ROOT.public, "federation": FED,
            "good": [{"name": n, "proof": p, "says": s} for n, p, s in good()],
            "paths": paths()}


if __name__ == "__main__":
    print(json.dumps([{"name": n, "why": y, "proof": p.hex()} for n, y, p in bad()]))
