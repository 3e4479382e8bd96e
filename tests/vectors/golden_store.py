"""FORMAT.md 5, 7, 8.1 and 9: a small history as the tables of a store keep it.

A unit's node and the hub write; what they write is judged, one change-set not yet. From the whole of it the rows of
every table are worked out by the definitions, not step by step.
"""
import datetime
import itertools

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from golden_base import (H, H16, Key, checksum, feed_id, field_set, framed, framed8, p_bytes, p_fixed64, p_text,
                         p_varint, run, seal, u8, u16, u32, u64, value, varint)

FEDERATION = bytes([0x5f]) * 32
UNIT = "17254"
BASE = 1785542400000  # milliseconds since 1970
FIRST_BIT = 1 << 63
MERGE_VERSION = 2  # 9.3


# 9.3: keys

def uk(unit, feed):
    return framed8(unit) + feed


def rk(collection, unit, key):
    return b"\0".join(x.encode() for x in (collection, unit, key))


# 9.4: index values

def hex64(v):
    return b"%016x" % ((v + (1 << 64) & (1 << 64) - 1) ^ FIRST_BIT)


def at_scale(decimal, scale):
    unscaled, has = decimal
    assert has <= scale
    return unscaled * 10 ** (scale - has)


def index_values(v, scale=0):
    kind, x = v
    if kind in ("text", "enumeration"):
        return [x.encode()[:96]]
    if kind in ("integer", "date", "timestamp"):
        return [hex64(x)]
    if kind == "decimal":
        return [hex64(at_scale(x, scale))]
    if kind == "boolean":
        return [b"%02x" % (1 if x else 0)]
    if kind == "bytes":
        return [bytes.fromhex(x)[:48].hex().encode()]
    if kind == "set":
        return sorted({i.encode()[:96] for i in x})
    raise ValueError(kind)


def index_cases():
    texts = ["", "a", "a" * 95, "a" * 96, "a" * 97, "Nguyễn Thị Ánh", "a" * 95 + "ễ", "ễ" * 40, "Đồng", "dong"]
    ints = [0, 1, -1, 255, 256, -256, 10 ** 12, -10 ** 12, (1 << 63) - 1, -(1 << 63)]
    cases = [("text", t, 0) for t in texts]
    cases += [("enumeration", "near_poor", 0)]
    cases += [("integer", i, 0) for i in ints]
    cases += [("decimal", d, 2) for d in
              ([0, 0], [5, 0], [50, 1], [500, 2], [-5, 0], [-501, 2], [123456, 2], [-1, 1])]
    cases += [("decimal", [-(1 << 63), 0], 0), ("decimal", [1, 0], 18), ("decimal", [-1, 18], 18)]
    cases += [("boolean", False, 0), ("boolean", True, 0)]
    cases += [("date", d, 0) for d in (0, 20666, -3653, -719162, 2932896)]
    cases += [("timestamp", t, 0) for t in (0, BASE, -1, -62135596800000)]
    cases += [("bytes", b.hex(), 0) for b in (b"", b"\0\xff", run(47, 1), run(48, 1), run(49, 1))]
    cases += [("set", ["a1", "b2", "xã"], 0), ("set", ["x" * 96 + "1", "x" * 96 + "2"], 0)]
    return [{"type": k, "scale": s, "value": value((k, x)), "index": index_values((k, x), s)} for k, x, s in cases]


# 2: keys

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def part(v):
    kind, x = v
    t = (datetime.date(1970, 1, 1) + datetime.timedelta(days=x)).isoformat() if kind == "date" else str(x)
    return "".join(chr(b) if b in UNRESERVED else "%%%02X" % b for b in t.encode())


def key_cases():
    cases = [
        [("text", "HN-0001")],
        [("text", "17254"), ("integer", 7)],
        [("text", "17254"), ("integer", -8)],
        [("integer", 0), ("integer", (1 << 63) - 1), ("integer", -(1 << 63))],
        [("text", "a b/c%d"), ("text", "~._-")],
        [("text", "Đỗ Thị Ửng"), ("enumeration", "near_poor")],
        [("text", "\x7f\x01+:@"), ("date", 20666)],
        [("date", 0), ("date", -1), ("date", -719162), ("date", 2932896), ("date", 11016)],
    ]
    return [{"parts": [{"type": k, "value": value((k, x))} for k, x in c], "key": "/".join(part(v) for v in c)}
            for c in cases]


# The collection of tests/store/world.c: policy, authority, personal, indexed.

FIELDS = {
    "": ("lww", "any", False, False),
    "a": ("lww", "any", False, True),
    "b": ("max", "any", False, False),
    "c": ("min", "unit", False, False),
    "d": ("set", "any", False, True),
    "e": ("review", "any", False, True),
    "f": ("first", "hub", False, False),
    "g": ("first", "any", False, True),
    "p": ("lww", "any", True, True),
    "q": ("review", "any", True, False),
}
SCALE = {"g": 2}


# 5.1, 7: the changes of a record, and what follows from all of them together

class Change:
    def __init__(self, made, index, draft):
        cs = made["given"]
        self.feed, self.seq, self.index = cs["feed"], cs["seq"], index
        self.dot = (self.feed, self.seq, self.index)
        self.hash8 = int.from_bytes(made["made"]["hash"][:8], "big")
        self.stamp = made["effective"]
        self.by_hub = made["by_hub"]
        self.delete = draft.get("delete", False)
        self.context = sorted(draft.get("context", []))
        self.position = made["position"]
        self.fields = {}  # name: ("set", FieldSet as given), ("personal", ...), ("clear",) or ("put",)
        for f in draft.get("set", []):
            self.fields[f["name"]] = ("set", f)
        for name in draft.get("cleared", []):
            self.fields[name] = ("clear",)
        for f in draft.get("personal", []):
            if f["name"] != "_actor":
                self.fields[f["name"]] = ("personal", f)
        if not self.delete:
            self.fields[""] = ("put",)
        self.root = draft["root"]
        self.withheld = set(made.get("withheld", [])) if index == 0 else set()

    def covers(self):
        v = {self.feed: (self.seq, self.index)}
        for feed, seq, _ in self.context:
            v[feed] = (seq + 1 if seq + 1 < 1 << 64 else seq, 0)
        return v

    def counts_for(self, name):
        return FIELDS[name][1] in ("any", "hub" if self.by_hub else "unit")


def join(vectors):
    out = {}
    for v in vectors:
        for feed, at in v.items():
            out[feed] = max(out.get(feed, (0, 0)), at)
    return out


def covered(change, v):
    return (change.seq, change.index) < v.get(change.feed, (0, 0))


def field_bytes(name, covers, entries):
    out = framed8(name) + covers + varint(len(entries))
    for change, flags, fs in entries:
        out += varint(change) + u8(flags) + (varint(len(fs)) + fs if flags & 1 else b"")
    return out


def whole_row(head, fields):
    return u8(1) + head + b"".join(field_bytes(*f) for f in fields)


# 9.13

def short_row(head, fields, shown):
    """shown: the FieldSets of the shown row by name."""
    def left_out(name, covers, entries):
        """(flags, change) where the field is left out."""
        if covers != varint(0) or len(entries) != 1 or name not in shown:
            return None
        change, flags, fs = entries[0]
        return (flags, change) if flags == 4 or flags == 1 and fs == shown[name] else None

    out = b""
    for left, run_of in itertools.groupby(fields, lambda f: left_out(*f)):
        run_of = list(run_of)
        if left is None:
            out += b"".join(field_bytes(*f) for f in run_of)
            continue
        n = len(run_of)
        while n > 0:
            out += u8((0x80 if left[0] == 1 else 0xc0) + min(n, 64) - 1) + varint(left[1])
            n -= 64
    if all(left_out(*f) is None for f in fields):
        return whole_row(head, fields)
    return u8(2) + head + out


class State:
    """All changes applied to a record, none twice."""

    def __init__(self, changes):
        self.changes = sorted(changes, key=lambda c: c.dot)
        self.classes = []
        for by_hub in (False, True):
            of = [c for c in self.changes if c.delete and c.by_hub == by_hub]
            v = join(c.covers() for c in of)
            self.classes.append((v, [c for c in of if not covered(c, v)], by_hub))
        self.names = sorted({n for c in self.changes for n in c.fields if c.counts_for(n)}, key=str.encode)

    def deleted(self, name):
        authority = FIELDS[name][1]
        return join(v for v, _, by_hub in self.classes if authority in ("any", "hub" if by_hub else "unit"))

    def touching(self, name):
        return [c for c in self.changes if name in c.fields and c.counts_for(name)]

    def vector(self, name):
        return join(c.covers() for c in self.touching(name))

    def entries(self, name):
        v = self.deleted(name)
        if FIELDS[name][0] != "first":
            v = join([v, self.vector(name)])
        return [c for c in self.touching(name) if not covered(c, v)]

    def siblings_of_existence(self):
        v = join([self.deleted(""), self.vector("")])
        dels = [c for _, ds, _ in self.classes for c in ds]
        return self.entries(""), [c for c in dels if not covered(c, v)]

    # 5.1

    def row(self):
        return whole_row(*self.parts())

    def parts(self):
        """The bytes from nfeed up to and with nfield, and the fields."""
        used = {c.feed for c in self.changes}
        named = {c.dot: c for _, ds, _ in self.classes for c in ds}
        first, personal = set(), set()
        for name in self.names:
            for c in self.entries(name):
                named[c.dot] = c
                if FIELDS[name][0] == "first":
                    first.add(c.dot)
                if c.fields[name][0] == "personal":
                    personal.add(c.dot)
        stored = {}
        for key, v, there in ([(("d", h), v, ds) for v, ds, h in self.classes] +
                              [(("f", n), self.vector(n), self.entries(n)) for n in self.names]):
            at = {(c.feed, (c.seq, c.index)) for c in there}
            stored[key] = {f: p for f, p in v.items() if (f, p) not in at}
        own = {d: {f: p for f, p in named[d].covers().items() if f != d[0]} for d in first}
        for v in list(stored.values()) + list(own.values()):
            used |= set(v)
        feeds = sorted(used)
        number = {f: i for i, f in enumerate(feeds)}
        dots = sorted(named)
        place = {d: i for i, d in enumerate(dots)}

        def covers(v):
            return varint(len(v)) + b"".join(varint(number[f]) + varint(v[f][0]) + varint(v[f][1]) for f in sorted(v))

        out = varint(len(feeds)) + b"".join(feeds)
        for f in feeds:
            of = [(c.seq, c.hash8) for c in self.changes if c.feed == f]
            out += varint(max(of)[0]) + u64(max(of)[1]) if of else varint(0)
        out += varint(len(dots))
        for d in dots:
            c = named[d]
            out += varint(number[c.feed]) + varint(c.seq) + varint(c.index) + u64(c.stamp)
            out += u8((1 if c.by_hub else 0) | (2 if d in first else 0) | (4 if d in personal else 0))
            out += covers(own[d]) if d in first else b""
            out += c.root if d in personal else b""
        for _, ds, by_hub in self.classes:
            numbers = sorted(place[c.dot] for c in ds)
            out += covers(stored["d", by_hub]) + varint(len(numbers)) + b"".join(varint(n) for n in numbers)
        out += varint(len(self.names))
        fields = []
        for name in self.names:
            entries = []
            for c in self.entries(name):
                kind = c.fields[name]
                bit1 = 2 if FIELDS[name][0] == "first" else 0
                flags = {"set": 1, "personal": 4, "clear": 0, "put": 0}[kind[0]] | bit1
                entries.append((place[c.dot], flags, field_set(kind[1]) if kind[0] == "set" else b""))
            fields.append((name, covers(stored["f", name]), entries))
        return out, fields

    def context(self):
        """3.6: what a change by somebody else has to name."""
        heads = {}
        for c in self.changes:
            heads[c.feed] = max(heads.get(c.feed, (0, 0)), (c.seq, c.hash8))
        return [{"feed": f, "seq": s, "hash8": u64(h)} for f, (s, h) in sorted(heads.items())]

    # 7

    def show_field(self, name):
        """(value or None, conflict, withheld)"""
        policy = FIELDS[name][0]
        sib = self.entries(name)
        if policy == "first":
            sib = [c for c in sib if not any(covered(o, c.covers()) for o in sib if o is not c)]

        def at_hand(c):
            return c.fields[name][0] == "set" or c.fields[name][0] == "personal" and name not in c.withheld

        def val(c):
            return c.fields[name][1]["value"] if at_hand(c) else None

        def is_clear(c):
            return c.fields[name][0] == "clear"

        def order(c):
            return (c.stamp, c.dot)

        def differ(x, y):
            if is_clear(x) or is_clear(y):
                return is_clear(x) != is_clear(y)
            return not (at_hand(x) and at_hand(y)) or val(x) != val(y)

        if not sib:
            return None, False, False
        values = [c for c in sib if not is_clear(c)]
        conflict = policy in ("review", "first") and any(differ(x, y) for x in sib for y in sib if x is not y)
        if policy in ("max", "min", "set"):
            if not values:
                return None, conflict, False
            if not all(at_hand(c) for c in values):
                return None, conflict, True
            if policy == "set":
                items = {i for c in values for i in val(c)[1]}
                added = {i for c in values for i in c.fields[name][1].get("added", [])}
                removed = {i for c in values for i in c.fields[name][1].get("removed", [])}
                return ("set", sorted(items - (removed - added), key=str.encode)), conflict, False
            pick = max if policy == "max" else min
            return pick((val(c) for c in values), key=lambda v: v[1]), conflict, False
        chosen = max(sib, key=order) if policy == "lww" else min(sib, key=order)
        if is_clear(chosen):
            return None, conflict, False
        return val(chosen), conflict, not at_hand(chosen)

    def shown(self, collection, unit, key):
        """9.6: (Record bytes, values by name, FieldSets by name), or None."""
        puts, dels = self.siblings_of_existence()
        if not puts:
            return None
        fields, conflicts, withheld, values, sets = b"", [], [], {}, {}
        for name in self.names:
            if name == "":
                continue
            v, conflict, away = self.show_field(name)
            if v is not None:
                values[name] = v
                sets[name] = p_text(1, name) + p_bytes(2, value(v), True)
                fields += p_bytes(4, sets[name], True)
            if conflict:
                conflicts.append(name)
            if away:
                withheld.append(name)
        stamps = [c.stamp for n in self.names for c in self.entries(n)]
        stamps += [c.stamp for _, ds, _ in self.classes for c in ds]
        out = p_text(1, collection) + p_text(2, unit) + p_text(3, key) + fields
        out += b"".join(p_text(6, n) for n in conflicts) + p_varint(7, 1 if dels else 0)
        out += p_bytes(8, H16("lt1.value", self.row()))
        out += b"".join(p_text(10, n) for n in withheld) + p_varint(11, max(stamps) >> 16)
        return out, values, sets


# 5.3

def contribution(collection, unit, key, row):
    place = framed(collection.encode()) + framed(unit.encode()) + framed(key.encode())
    stream = Cipher(algorithms.ChaCha20(H("lt1.lthash", place + row), bytes(16)), mode=None).encryptor()
    return H("lt1.bucket", place)[0] % 16, stream.update(bytes(2048))


def lane_sum(parts):
    lanes = [0] * 1024
    for p in parts:
        for i in range(1024):
            lanes[i] += int.from_bytes(p[2 * i:2 * i + 2], "little")
    return b"".join((n % 65536).to_bytes(2, "little") for n in lanes)


# the history

def text(name, s):
    return {"name": name, "value": ("text", s)}


def history():
    node, hub = Key(run(32, 0x61)), Key(run(32, 0x62))
    n_feed = feed_id(run(16, 0x61), 2, 0x0102030405060708)
    h_feed = feed_id(run(16, 0x10), 2, 0xfffefdfcfbfaf9f8)
    u_feed = feed_id(run(16, 0x61), 1, 9)
    heads, out = {}, []

    def write(feed, key, by_hub, ms, counter, drafts, **more):
        seq, prev = heads.get(feed, (0, bytes(32)))
        cs = {"federation": FEDERATION, "author": feed[:16], "unit": UNIT, "lane": feed[16],
              "epoch": int.from_bytes(feed[17:], "big"), "seq": seq + 1, "prev": prev,
              "stamp": BASE + ms << 16 | counter, "hub_stamp": 0, "catalogue_version": 1, "key_no": 1 + by_hub,
              "seed": run(16, 0x80 + 16 * len(out)), "feed": feed, "drafts": drafts}
        made = seal(cs, key)
        heads[feed] = (seq + 1, made["hash"])
        clamp = more.get("clamp")
        stamp = cs["stamp"] if clamp is None else min(max(cs["stamp"], clamp[0]), clamp[1])
        e = {"given": cs, "made": made, "by_hub": by_hub, "position": len(out) + 1, "effective": stamp,
             "arrival": BASE + 60000 + 1000 * len(out), "form": "with_seed" if made["leaves"] else "bare",
             "judged": True}
        e.update(more)
        for d, c in zip(drafts, made["changes"]):
            d["root"] = b""
            at = c.rfind(b"\x42\x20")  # field 8, 32 bytes, the last of a change
            if d.get("personal"):
                assert at == len(c) - 34
                d["root"] = c[at + 2:]
        out.append(e)

    def after(*feeds):
        return [(f, heads[f][0], int.from_bytes(heads[f][1][:8], "big")) for f in feeds]

    def thing(no, fields, **more):
        return dict({"collection": "thing", "key": "%s/%s" % (UNIT, no), "set": fields}, **more)

    long_name = "Uỷ ban nhân dân xã Mường Lát, huyện Mường Lát, tỉnh Thanh Hoá, thôn Đoàn Kết – tổ dân phố số 7"
    assert len(long_name.encode()) > 96
    write(n_feed, node, False, 100, 3, [
        thing("7", [text("a", "Lường Minh"), {"name": "b", "value": ("integer", -5)},
                    {"name": "c", "value": ("integer", 12)},
                    {"name": "d", "value": ("set", ["a1", "xã"]), "added": ["a1", "xã"]},
                    {"name": "e", "value": ("enumeration", "red")},
                    {"name": "g", "value": ("decimal", [-15, 1])}],
              personal=[text("p", "Nguyễn Thị Ánh"), text("q", "079"), text("_actor", "acc-7")]),
        thing("-8", [text("a", long_name), {"name": "g", "value": ("decimal", [7, 0])}],
              personal=[text("q", "bí mật")]),
        thing("9", [text("a", "gone soon")])])
    seen = after(n_feed)
    write(h_feed, hub, True, 200, 0, [
        thing("7", [text("a", "by the hub"), {"name": "c", "value": ("integer", 1)}, text("f", "QĐ-1")], context=seen),
        thing("9", [], delete=True, context=seen)])
    # beside the hub's: neither has seen the other. Taken as later than it was signed; one dot is refused.
    write(n_feed, node, False, 300, 0, [
        thing("7", [{"name": "b", "value": ("integer", 40)}, {"name": "e", "value": ("enumeration", "blue")},
                    {"name": "d", "value": ("set", ["b2", "xã"]), "added": ["b2"], "removed": ["a1"]}],
              cleared=["a"]),
        thing("-8", [text("f", "not its to say")]),
        thing("9", [text("a", "here again")])],
          clamp=(BASE + 350 << 16, BASE + 400 << 16 | 0xffff), refused=[(1, 10)])
    # another lane of the node that had not seen what the hub wrote: a conflict; openings partly withheld
    write(u_feed, node, False, 310, 7, [
        thing("7", [{"name": "e", "value": ("enumeration", "green")}, {"name": "g", "value": ("decimal", [25, 1])}],
              personal=[text("_actor", "acc-8"), text("p", "Lò Văn Bình"), text("q", "080")], context=seen)],
          form="with_withheld", withheld=["p"])
    write(h_feed, hub, True, 500, 1, [
        thing("30", [text("a", "waits")], context=[(u_feed, 9, 0x0102030405060708)])], held=[0])
    write(h_feed, hub, True, 600, 0, [
        thing("-8", [text("f", "QĐ-2"), {"name": "d", "value": ("set", ["k1"]), "added": ["k1"]}], context=seen)])
    write(n_feed, node, False, 700, 0, [
        thing("7", [text("a", "not judged yet"), {"name": "b", "value": ("integer", 41)}], context=after(h_feed, u_feed)),
        thing("9", [], delete=True)], judged=False)
    return out, u_feed


def verdict(e):
    refused = b"".join(p_bytes(5, p_varint(1, e["given"]["seq"]) + p_varint(2, i) + p_varint(3, r), True)
                       for i, r in e.get("refused", []))
    held = b"".join(p_bytes(6, p_varint(1, e["given"]["seq"]) + p_varint(2, i), True) for i in e.get("held", []))
    clamp = b""
    if "clamp" in e:
        seq = e["given"]["seq"]
        clamp = p_bytes(7, p_varint(1, seq) + p_varint(2, seq) + p_fixed64(3, e["clamp"][0]) +
                        p_fixed64(4, e["clamp"][1]), True)
    if not refused and not held and not clamp:
        return None
    cs = e["given"]
    return p_bytes(1, cs["feed"]) + p_varint(2, cs["seq"]) + p_varint(3, cs["seq"]) + refused + held + clamp


def log_tables(entries):
    feed, entry, seq, opening, judgement = {}, {}, {}, {}, {}
    running, judged = bytes(32), {}
    for e in entries:
        cs, made, position = e["given"], e["made"], e["position"]
        name = uk(cs["unit"], cs["feed"])
        running = H("lt1.log", running + u64(position) + made["hash"])
        entry[u64(position)] = u8(0) + u64(e["arrival"]) + running + framed8(cs["unit"]) + made["bare"]
        seq[name + u64(cs["seq"])] = u64(position)
        if e["judged"]:
            judged[name] = (cs["seq"], e["effective"])
            v = verdict(e)
            if v is not None:
                judgement[u64(position)] = v
        j = judged.get(name, (0, 0))
        feed[name] = (u64(cs["seq"]) + made["hash"] + u64(cs["stamp"]) + u64(j[1]) + u64(j[0]) + u32(cs["key_no"]) +
                      u64(position))
        for n, leaf in enumerate(made["leaves"]):
            key = u64(position) + u32(leaf["change"]) + leaf["name"].encode()
            away = e["form"] == "with_withheld" and n % 2
            opening[key] = u8(1) + leaf["leaf"] if away else u8(0) + leaf["salt"] + leaf["field_set"]
        if e["form"] == "with_seed":
            opening[u64(position) + u32(0xffffffff)] = cs["seed"]
    return {"feed": feed, "entry": entry, "seq": seq, "opening": opening, "judgement": judgement}


def derived_tables(entries):
    judged, all_of, hist, over = {}, {}, {}, {}
    for e in entries:
        for i, d in enumerate(e["given"]["drafts"]):
            name = rk(d["collection"], UNIT, d["key"])
            c = Change(e, i, d)
            dot = name + b"\0" + c.feed + u64(c.seq) + u32(c.index)
            hist[dot] = u64(c.position)
            if not e["judged"]:
                over[dot] = u64(c.position)
                all_of.setdefault(name, []).append(c)
            elif i not in [r for r, _ in e.get("refused", [])] and i not in e.get("held", []):
                judged.setdefault(name, []).append(c)
                all_of.setdefault(name, []).append(c)
    record, shown, index, digest, contexts = {}, {}, {}, {}, []
    for name, changes in judged.items():
        key = name.split(b"\0")[2].decode()
        row = record[name] = State(changes).row()
        bucket, part = contribution("thing", UNIT, key, row)
        digest.setdefault(rk("thing", UNIT, "") + u8(bucket), []).append(part)
        contexts.append({"row": row, "context": State(changes).context()})
    for name, changes in all_of.items():
        key = name.split(b"\0")[2].decode()
        s = State(changes).shown("thing", UNIT, key)
        if s is None:
            continue
        shown[name], values, _ = s
        values = {n: v for n, v in values.items() if FIELDS[n][3]}
        values["no"] = ("integer", int(key.split("/")[1]))
        for field, v in values.items():
            for iv in index_values(v, SCALE.get(field, 0)):
                index[b"\0".join([b"thing", field.encode(), iv, UNIT.encode(), key.encode()])] = b""
    return {"record": record, "shown": shown, "index": index, "history": hist,
            "digest": {k: lane_sum(v) for k, v in digest.items()}, "overlay": over}, contexts


def hub_tables(entries):
    """What a hub has of it: no overlay, and short rows."""
    judged = {}
    for e in entries:
        for i, d in enumerate(e["given"]["drafts"]):
            if e["judged"] and i not in [r for r, _ in e.get("refused", [])] and i not in e.get("held", []):
                judged.setdefault(rk(d["collection"], UNIT, d["key"]), []).append(Change(e, i, d))
    record, shown = {}, {}
    for name, changes in judged.items():
        s = State(changes)
        what = s.shown("thing", UNIT, name.split(b"\0")[2].decode())
        record[name] = s.row() if what is None else short_row(*s.parts(), what[2])
        if what is not None:
            shown[name] = what[0]
    return {"record": record, "shown": shown}


def made_up(fields, nchange, personal=(), away=(), other=(), covered=()):
    """A row of one feed: fields are (name, change number or None for a clear), personal and away (not at hand) names; other: fields
    that show something else than their entry; covered: fields with covers."""
    feed = feed_id(run(16, 0x71), 2, 5)
    of = {}
    for name, change in fields:
        of.setdefault(change, []).append(name)
    head = varint(1) + feed + varint(nchange) + u64(0x1122334455667788) + varint(nchange)
    for i in range(nchange):
        bit2 = any(n in personal for n in of.get(i, []))
        head += varint(0) + varint(i + 1) + varint(0) + u64(BASE + i << 16) + u8(4 if bit2 else 0)
        head += run(32, i % 256) if bit2 else b""
    head += 4 * varint(0) + varint(len(fields) + 1)
    rows = [("", varint(0), [(0, 0, b"")])]
    sets = {}
    for name, change in fields:
        fs = p_text(1, name) + p_bytes(2, value(("text", "of " + name)), True)
        flags = 4 if name in personal else 1
        covers = varint(1) + varint(0) + varint(change + 2) + varint(0) if name in covered else varint(0)
        rows.append((name, covers, [(change, flags, fs if flags == 1 else b"")]))
        if name in other:
            sets[name] = p_text(1, name) + p_bytes(2, value(("text", "another")), True)
        elif name not in away:
            sets[name] = fs
    record = p_text(1, "thing") + p_text(2, UNIT) + p_text(3, UNIT + "/1")
    record += b"".join(p_bytes(4, sets[n], True) for n in sorted(sets))
    record += p_bytes(8, H16("lt1.value", whole_row(head, rows)))
    record += b"".join(p_text(10, n) for n in sorted(away)) + p_varint(11, BASE)
    return {"row": whole_row(head, rows), "record": record, "short": short_row(head, rows, sets)}


def short_cases():
    def names(n):
        return ["f%03d" % i for i in range(n)]

    cases = [made_up([], 1)]
    for n in (1, 2, 63, 64, 65, 127, 128, 129, 200):
        cases.append(made_up([(f, 0) for f in names(n)], 1))
        cases.append(made_up([(f, 0) for f in names(n)], 1, personal=names(n)))
    cases.append(made_up([(f, i) for i, f in enumerate(names(140))], 140))
    cases.append(made_up([(f, i) for i, f in enumerate(names(140))], 140, personal=names(140)[1::2]))
    cases.append(made_up([(f, i // 3) for i, f in enumerate(names(20))], 7, personal=names(20)[5:9]))
    cases.append(made_up([(f, 0) for f in names(9)], 1, personal=names(9)[2:7], away=names(9)[3:5]))
    cases.append(made_up([(f, 0) for f in names(9)], 1, away=names(9)))
    cases.append(made_up([(f, 0) for f in names(9)], 1, other=names(9)))
    cases.append(made_up([(f, 0) for f in names(9)], 1, other=names(9)[0::2]))
    cases.append(made_up([(f, 0) for f in names(9)], 1, other=names(9)[1::2], away=names(9)[8:]))
    cases.append(made_up([(f, 0) for f in names(70)], 1, other=names(70)[64:65]))
    cases.append(made_up([("b" * 64, 0), ("c", 0)], 1, other=["b" * 64]))
    cases.append(made_up([(f, 0) for f in names(6)], 2, covered=names(6)[1:3], personal=names(6)[2:4]))
    return cases


def rows(table):
    return [{"key": k, "value": table[k]} for k in sorted(table)]


def request(entries):
    cs = entries[0]["given"]
    written = {"unit": UNIT, "key": cs["drafts"][0]["key"], "feed": cs["feed"], "seq": cs["seq"], "index": 0}
    reply = (p_text(1, UNIT) + p_text(2, written["key"]) + p_bytes(3, cs["feed"]) + p_varint(4, cs["seq"]) +
             p_varint(5, 0))
    return written, reply


# 9.12

def upto(key, byte, times):
    """Up to the times-th such byte; the whole key where there are not so many."""
    parts = key.split(byte)
    return key if len(parts) <= times else byte.join(parts[:times]) + byte


SEGMENT = {
    "feed": lambda key: b"", "opening": lambda key: key[:7], "judgement": lambda key: key[:7],
    "held": lambda key: key[:1 + key[0]], "overlay": lambda key: upto(key, b"\0", 2), "request": lambda key: key[:1],
    "local": lambda key: upto(key, b"/", 2),
}


def sums(tables):
    out = {b"\0": u8(1)}
    segments = {}
    for name, segment in SEGMENT.items():
        for key, v in tables[name].items():
            stored = checksum(name, key, v)
            segments.setdefault(framed8(name) + segment(key), []).append(int.from_bytes(stored, "big"))
    for key, all_of in segments.items():
        out[key] = u64(len(all_of)) + u64(sum(all_of) % (1 << 64))
    return out


def store():
    entries, missing = history()
    tables = log_tables(entries)
    derived, contexts = derived_tables(entries)
    tables.update(derived)
    held = [e for e in entries if "held" in e][0]
    tables["held"] = {uk(UNIT, missing) + u64(9) + u64(held["position"]) + u32(0): b""}
    written, reply = request(entries)
    request_id = run(16, 0xc1)
    tables["request"] = {request_id: reply}
    asked = BASE + 1000  # after the latest stamp
    tables["request_at"] = {u64(asked) + request_id: b""}
    epoch = bytes([0x5a]) * 8
    tables["local"] = {
        b"hlc": u64(BASE + 900 << 16 | 5), b"hub_stamp": u64(BASE + 800 << 16),
        b"epoch/" + UNIT.encode() + b"/3": epoch,
        b"rows": u32(MERGE_VERSION) + u64(1) + u8(0),
        b"mend": u8(0) + u64(0),
    }
    tables["sums"] = sums(tables)
    return {
        "federation": FEDERATION, "unit": UNIT, "catalogue_version": 1,
        "entries": [{"bytes": e["made"][e["form"]], "hash": e["made"]["hash"], "by_hub": e["by_hub"],
                     "arrival_ms": e["arrival"], "judged": e["judged"], "effective": u64(e["effective"]),
                     "refused": e.get("refused", []), "held": e.get("held", []),
                     "clamp": [u64(v) for v in e.get("clamp", [])]} for e in entries],
        "missing": {"feed": missing, "seq": 9, "position": held["position"], "change": 0},
        "request": dict(written, id=request_id, asked_ms=asked),
        "local": {"hlc": u64(BASE + 900 << 16 | 5), "hub_stamp": u64(BASE + 800 << 16), "epoch": epoch, "lane": 3},
        "tables": {name: rows(t) for name, t in sorted(tables.items())},
        "hub": {name: rows(t) for name, t in sorted(hub_tables(entries).items())},
        "short": short_cases(),
        "contexts": contexts,
        "index": index_cases(),
        "keys": key_cases(),
        "catalogue": catalogue(),
        "meta": [{"kind": kind, "format_begins": b"LTST" + u16(2) + u8(kind)} for kind in (1, 2, 3)],
    }


# 8.1

def catalogue():
    parts = [("thing", '{"id":"thing","fields":[]}'), ("", '{"format":2}'), ("đơn", "{}"), ("thi", '{"id":"thi"}')]
    joined = b"".join(framed(i.encode()) + framed(j.encode()) for i, j in sorted(parts, key=lambda p: p[0].encode()))
    return {"parts": [{"id": i, "json": j} for i, j in parts], "digest": H("lt1.catalogue", joined)}
