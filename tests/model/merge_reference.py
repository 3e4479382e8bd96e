#!/usr/bin/env python3
"""The merge rules of proto/FORMAT.md 5 and 7, and short rows (9.13), computed from their definitions, against the C implementation.

A history is a set of changes. Coverage is decided pair by pair from contexts, siblings by their
definition, rows by joining over all changes at once: there is no state that grows change by change, so
nothing here can share a mistake of order with the C code. The harness applies each history in several
orders, with repetitions; every row must be the bytes computed here, and so must what is shown.

usage: merge_reference.py HARNESS [--bugs]
  --bugs: the harness has planted bugs 1 to 10; each must be found.
Environment: LT_MERGE_SEED (default: random, always printed), LT_MERGE_HISTORIES (default 10000).
"""

import hashlib
import os
import random
import subprocess
import sys
import time

LWW, FIRST, MAX, MIN, SET, REVIEW = range(6)
ANY, UNIT, HUB = range(3)
BATCH = 250
BUGS = range(1, 11)


# ---- bytes ----------------------------------------------------------------------------------------

def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def u64(n):
    return n.to_bytes(8, "big")


def framed(b):
    return len(b).to_bytes(4, "big") + b


def pb_bytes(number, b):
    return varint(number << 3 | 2) + varint(len(b)) + b


def zigzag(n):
    return n * 2 if n >= 0 else -n * 2 - 1


def pb_value(v):
    """Value of types.proto. v: ("text", s), ("int", n), ("dec", unscaled, scale), ("bool", b), ("set", items)."""
    kind = v[0]
    if kind == "text":
        return pb_bytes(1, v[1].encode())
    if kind == "int":
        return b"\x10" + varint(zigzag(v[1]))
    if kind == "dec":
        body = b"\x08" + varint(zigzag(v[1])) if v[1] else b""
        return pb_bytes(3, body + (b"\x10" + varint(v[2]) if v[2] else b""))
    if kind == "bool":
        return b"\x20" + varint(int(v[1]))
    return pb_bytes(9, b"".join(pb_bytes(1, i.encode()) for i in v[1]))


def pb_field_set(name, fs):
    value, added, removed = fs
    return (pb_bytes(1, name.encode()) + pb_bytes(2, pb_value(value))
            + b"".join(pb_bytes(3, i.encode()) for i in added)
            + b"".join(pb_bytes(4, i.encode()) for i in removed))


def content(v):
    """What makes two values equal, and orders them within a type."""
    return (v[0], v[1] * 10 ** (18 - v[2])) if v[0] == "dec" else v


# ---- changes and the definition of coverage --------------------------------------------------------

class Change:
    def __init__(self, feed, seq, index):
        self.feed, self.seq, self.index = feed, seq, index
        self.stamp = self.hash8 = 0
        self.hub = self.delete = False
        self.context = {}   # feed -> (seq, hash8)
        self.sets = {}      # name -> (value, added, removed)
        self.cleared = []
        self.personal = {}  # name -> (value, added, removed)
        self.withheld = set()
        self.root = None

    def dot(self):
        return (self.feed, self.seq, self.index)

    def age(self):
        return (self.stamp, self.dot())

    def covers(self, other):
        if other.feed == self.feed:
            return (other.seq, other.index) < (self.seq, self.index)
        return other.feed in self.context and other.seq <= self.context[other.feed][0]

    def vector(self):
        v = {g: (n + 1, 0) for g, (n, _) in self.context.items()}
        v[self.feed] = (self.seq, self.index)
        return v

    def fields(self):
        return {""} | set(self.sets) | set(self.cleared) | (set(self.personal) - {"_actor"})

    def touches(self, field):
        return self.delete or field in self.fields()

    def value(self, field):
        fs = self.sets.get(field) or self.personal.get(field)
        return None if fs is None else fs[0]


class History:
    def __init__(self):
        self.province = False
        self.rules = {}      # name -> (policy, authority)
        self.changes = []    # those that count: refused and held ones are not here
        self.feeds = []
        self.orders = []
        self.digest = False

    def policy(self, field):
        return self.rules.get(field, (LWW, ANY))[0]

    def counts(self, c, field):
        authority = ANY if field == "" else self.rules.get(field, (LWW, ANY))[1]
        if authority == UNIT:
            return not c.hub or self.province
        return c.hub if authority == HUB else True

    def touching(self, field):
        return [c for c in self.changes if c.touches(field) and self.counts(c, field)]

    def siblings(self, field):
        t = self.touching(field)
        return [c for c in t if not any(d.covers(c) for d in t if d is not c)]

    def after_deletes(self, field):
        """All changes to the field that no delete covers."""
        t = self.touching(field)
        deletes = [d for d in t if d.delete]
        return [c for c in t if not c.delete and not any(d.covers(c) for d in deletes)]

    def entries(self, field):
        if field != "" and self.policy(field) == FIRST:
            es = self.after_deletes(field)
        else:
            es = [c for c in self.siblings(field) if not c.delete]
        return sorted(es, key=Change.dot)

    def known_fields(self):
        return sorted({f for c in self.changes if not c.delete for f in c.fields() if self.counts(c, f)})


def join(changes):
    v = {}
    for c in changes:
        for g, pos in c.vector().items():
            v[g] = max(v.get(g, (0, 0)), pos)
    return v


# ---- the row --------------------------------------------------------------------------------------

def put_covers(v, numbers):
    out = varint(len(v))
    for g in sorted(v):
        out += varint(numbers[g]) + varint(v[g][0]) + varint(v[g][1])
    return out


def stripped(v, entries):
    positions = {(c.feed, c.seq, c.index) for c in entries}
    return {g: pos for g, pos in v.items() if (g,) + pos not in positions}


def put_field(f, covers, entries):
    out = bytes([len(f)]) + f.encode() + covers + varint(len(entries))
    for number, flags, raw in entries:
        out += varint(number) + bytes([flags]) + (varint(len(raw)) + raw if flags & 1 else b"")
    return out


def row_parts(h):
    """What comes before the fields, the fields, and the greatest stamp."""
    feeds = sorted({c.feed for c in h.changes} | {g for c in h.changes for g in c.context})
    numbers = {g: i for i, g in enumerate(feeds)}
    classes = []
    for hub in (False, True):
        deletes = [c for c in h.changes if c.delete and c.hub == hub]
        kept = sorted((c for c in deletes if not any(d.covers(c) for d in deletes)), key=Change.dot)
        classes.append((join(deletes), kept))
    fields = []
    for f in h.known_fields():
        puts = [c for c in h.touching(f) if not c.delete]
        fields.append((f, join(puts), h.entries(f)))
    named = {c.dot(): c for _, kept in classes for c in kept}
    named.update({c.dot(): c for _, _, es in fields for c in es})
    table = [named[d] for d in sorted(named)]
    at = {c.dot(): i for i, c in enumerate(table)}
    first = {c.dot() for f, _, es in fields for c in es if f and h.policy(f) == FIRST}
    rooted = {c.dot() for f, _, es in fields for c in es if f in c.personal}

    out = varint(len(feeds)) + b"".join(feeds)
    for g in feeds:
        top = max((c for c in h.changes if c.feed == g), key=lambda c: c.seq, default=None)
        out += b"\0" if top is None else varint(top.seq) + u64(top.hash8)
    out += varint(len(table))
    for c in table:
        flags = (1 if c.hub else 0) | (2 if c.dot() in first else 0) | (4 if c.dot() in rooted else 0)
        out += varint(numbers[c.feed]) + varint(c.seq) + varint(c.index) + u64(c.stamp) + bytes([flags])
        if flags & 2:
            out += put_covers({g: (n + 1, 0) for g, (n, _) in c.context.items()}, numbers)
        if flags & 4:
            out += c.root
    for v, kept in classes:
        out += put_covers(stripped(v, kept), numbers) + varint(len(kept))
        out += b"".join(varint(at[c.dot()]) for c in kept)
    out += varint(len(fields))
    listed = []
    for f, v, es in fields:
        entries = []
        for c in es:
            flags = 2 if f and h.policy(f) == FIRST else 0
            flags |= 1 if f in c.sets else 4 if f in c.personal else 0
            entries.append((at[c.dot()], flags, pb_field_set(f, c.sets[f]) if f in c.sets else b""))
        listed.append((f, put_covers(stripped(v, es), numbers), entries))
    return out, listed, max((c.stamp for c in table), default=0)


def row_bytes(h):
    head, fields, stamp = row_parts(h)
    return b"\x01" + head + b"".join(put_field(*f) for f in fields), stamp


# ---- short rows -----------------------------------------------------------------------------------

def record_of(h, row):
    """What of the shown record bears on the short row: FieldSets by name, and the bytes."""
    sets = {}
    for f in h.known_fields():
        s = show_field(h, f) if f else None
        if s is not None and s[1] is not None:
            sets[f] = pb_field_set(f, (s[1], (), ()))
    out = pb_bytes(1, b"thing") + b"".join(pb_bytes(4, sets[f]) for f in sorted(sets))
    return sets, out + pb_bytes(8, H(b"lt1.value", row, 16))


def short_row(h, sets):
    head, fields, _ = row_parts(h)

    def left(f):
        name, covers, entries = f
        if covers != b"\0" or len(entries) != 1 or name not in sets:
            return None
        number, flags, raw = entries[0]
        return (flags, number) if flags == 4 or (flags == 1 and raw == sets[name]) else None

    out, i, any_left = b"\x02" + head, 0, False
    while i < len(fields):
        of = left(fields[i])
        if of is None:
            out += put_field(*fields[i])
            i += 1
            continue
        n = 1
        while n < 64 and i + n < len(fields) and left(fields[i + n]) == of:
            n += 1
        out += bytes([(0x80 if of[0] == 1 else 0xc0) + n - 1]) + varint(of[1])
        i, any_left = i + n, True
    return out if any_left else None


# ---- what is shown --------------------------------------------------------------------------------

def differ(f, a, b):
    if a.value(f) is None or b.value(f) is None:
        return (a.value(f) is None) != (b.value(f) is None)
    return f in a.withheld or f in b.withheld or content(a.value(f)) != content(b.value(f))


def conflict_of(f, cs):
    return any(differ(f, a, b) for a in cs for b in cs if a is not b)


def show_field(h, f):
    """(change, value or None, withheld, conflict), or None; a change of None: nothing to show."""
    policy = h.policy(f)
    sib = [c for c in h.siblings(f) if not c.delete]
    if policy == FIRST:
        s = h.after_deletes(f)
        sib = [c for c in s if not any(c.covers(d) for d in s if d is not c)]
    if not sib:
        return None
    conflict = False
    if policy in (LWW, REVIEW, FIRST):
        pick = max(sib, key=Change.age) if policy == LWW else min(sib, key=Change.age)
        conflict = policy != LWW and conflict_of(f, sib)
        if pick.value(f) is None:
            return (None, None, False, conflict)
        hidden = f in pick.withheld
        return (pick, None if hidden else pick.value(f), hidden, conflict)
    vals = [c for c in sib if c.value(f) is not None]
    if not vals:
        return (None, None, False, False)
    newest = max(vals, key=Change.age)
    if any(f in c.withheld for c in vals):
        return (newest, None, True, False)
    if policy == SET:
        sets = [(c.sets.get(f) or c.personal.get(f)) for c in vals]
        removed = {i for s in sets for i in s[2]} - {i for s in sets for i in s[1]}
        items = {i for s in sets for i in s[0][1]} - removed
        return (newest, ("set", tuple(sorted(items, key=str.encode))), False, False)
    extreme = (max if policy == MAX else min)(content(c.value(f)) for c in vals)
    best = max((c for c in vals if content(c.value(f)) == extreme), key=Change.age)
    return (best, best.value(f), False, False)


def show_lines(h, stamp):
    sib = h.siblings("")
    exists = any(not c.delete for c in sib)
    incomplete = exists and any(c.delete for c in sib)
    shown = [(f, show_field(h, f)) for f in h.known_fields() if f] if exists else []
    shown = [(f, s) for f, s in shown if s is not None]
    nconflict = sum(s[3] for _, s in shown)
    shown = [(f, s) for f, s in shown if s[0] is not None]
    out = ["S %d %d %d %d %d" % (exists, incomplete, stamp, nconflict, len(shown))]
    for f, (c, value, withheld, conflict) in shown:
        out.append("V %s %d %d %s %d %d %s" % (f, conflict, withheld, c.feed.hex(), c.seq, c.index,
                                                "-" if value is None else pb_value(value).hex()))
    return out


def context_line(h, own):
    out = "X"
    for g in sorted({c.feed for c in h.changes} - {own}):
        top = max((c for c in h.changes if c.feed == g), key=lambda c: c.seq)
        out += " %s %d %d" % (g.hex(), top.seq, top.hash8)
    return out


# ---- the digest -----------------------------------------------------------------------------------

def H(tag, m, size=32):
    return hashlib.blake2b(bytes([len(tag)]) + tag + m, digest_size=size).digest()


def chacha20_block(key, counter):
    s = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]
    s += [int.from_bytes(key[i:i + 4], "little") for i in range(0, 32, 4)] + [counter, 0, 0, 0]
    x = list(s)

    def quarter(a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xffffffff
            t = x[r] ^ x[p]
            x[r] = (t << n | t >> (32 - n)) & 0xffffffff
    for _ in range(10):
        for k in range(4):
            quarter(k, 4 + k, 8 + k, 12 + k)
        for k in range(4):
            quarter(k, 4 + (k + 1) % 4, 8 + (k + 2) % 4, 12 + (k + 3) % 4)
    return b"".join(((a + b) & 0xffffffff).to_bytes(4, "little") for a, b in zip(x, s))


def digest_line(ident, row):
    where = b"".join(framed(i.encode()) for i in ident)
    key = H(b"lt1.lthash", where + row)
    stream = b"".join(chacha20_block(key, i) for i in range(32))
    return "D %d %s" % (H(b"lt1.bucket", where)[0] % 16, H(b"lt1.lthash", stream, 16).hex())


# ---- random histories -----------------------------------------------------------------------------

ITEMS = ["a", "b", "c", "ă", "đ"]
NAMES = ["alpha", "beta", "b2", "gamma", "name", "zeta"]


class Author:
    def __init__(self, rng, hub):
        self.id, self.hub = rng.randbytes(16), hub
        self.applied = {}   # feed -> how many of its change-sets
        self.epoch = rng.randrange(1, 4)


def random_value(rng, kind):
    if kind == "int":
        return ("int", rng.choice((-7, 0, 1, 1, 300)))
    if kind == "dec":
        return rng.choice((("dec", 15, 1), ("dec", 150, 2), ("dec", -2, 0), ("dec", 0, 3), ("dec", 149, 2)))
    if kind == "bool":
        return ("bool", rng.random() < .5)
    if kind == "set":
        return ("set", tuple(sorted(rng.sample(ITEMS, rng.randrange(4)), key=str.encode)))
    return ("text", rng.choice(("x", "y", "Nguyễn", "z" * 130)))


def random_field_set(rng, kind):
    v = random_value(rng, kind)
    if kind != "set":
        return (v, (), ())
    rest = [i for i in ITEMS if i not in v[1]]
    pick = lambda of: tuple(sorted(rng.sample(of, rng.randrange(min(len(of), 2) + 1)), key=str.encode))
    return (v, pick(v[1]), pick(rest))


def fill_put(rng, c, kinds):
    for f, kind in kinds.items():
        what = rng.random()
        if what < .35:
            c.sets[f] = random_field_set(rng, kind)
        elif what < .45:
            c.cleared.append(f)
        elif what < .55:
            c.personal[f] = random_field_set(rng, kind)
    c.cleared.sort()


def learn(rng, author, sets, careful):
    """The author hears more of other feeds, each in its order; a careful one holds back what names what
    it has not applied."""
    for g, of in sets.items():
        n = author.applied.get(g, 0)
        for cs in of[n:rng.randrange(n, len(of) + 1)]:
            known = lambda f, seq: any(o[0].seq >= seq for o in sets.get(f, [])[:author.applied.get(f, 0)])
            if careful and not all(known(f, s) for c in cs for f, (s, _) in c.context.items() if f in sets):
                break
            author.applied[g] = author.applied.get(g, 0) + 1


def true_context(author, sets, own):
    out = {}
    for g, n in author.applied.items():
        if g != own and n > 0:
            last = sets[g][n - 1][0]
            out[g] = (last.seq, last.hash8)
    return out


def bend_context(rng, context, sets, own):
    """What careless, old or hostile authors would write."""
    how = rng.random()
    if how < .3:
        return {}
    if how < .6:
        return {g: e for g, e in context.items() if rng.random() < .6}
    out = {g: (rng.randrange(1, of[-1][0].seq + 3), rng.getrandbits(64))
           for g, of in sets.items() if g != own and rng.random() < .6}
    if rng.random() < .2:
        out[rng.randbytes(16) + b"\x02" + u64(1)] = (rng.choice((1, 5, 2 ** 64 - 2)), rng.getrandbits(64))
    return out


def write(rng, author, lanes, sets, kinds, bent, ages):
    if rng.random() < .12:  # a new machine, or a restore: a new epoch, knowing only part
        author.epoch += rng.randrange(1, 3)
        author.applied = {g: rng.randrange(n + 1) for g, n in author.applied.items()}
    feed = author.id + bytes([rng.choice(lanes)]) + u64(author.epoch)
    of = sets.setdefault(feed, [])
    seq = (of[-1][0].seq if of else 0) + rng.choice((1, 1, 2, 100))
    context = true_context(author, sets, feed)
    hash8, stamp = rng.getrandbits(64), rng.randrange(1, ages) << rng.choice((0, 0, 40))
    index, cs = rng.choice((0, 0, 3)), []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        c = Change(feed, seq, index)
        c.hub, c.stamp, c.hash8 = author.hub, stamp, hash8
        c.context = bend_context(rng, context, sets, feed) if rng.random() < bent else dict(context)
        c.delete = rng.random() < .22
        if not c.delete:
            fill_put(rng, c, kinds)
        if rng.random() < .3:
            c.personal["_actor"] = (("text", "acc-%d" % rng.randrange(9)), (), ())
        c.withheld = {f for f in c.personal if rng.random() < .2}
        c.root = rng.randbytes(32) if c.personal else None
        cs.append(c)
        index += rng.choice((1, 1, 150))
    of.append(cs)
    author.applied[feed] = len(of)


def random_order(rng, n):
    order = list(range(n))
    if rng.random() < .8:
        rng.shuffle(order)
    for _ in range(rng.choice((0, 1, 3))):
        order.insert(rng.randrange(len(order) + 1), rng.randrange(n))
    return order


def random_history(rng):
    h = History()
    h.province = rng.random() < .25
    kinds = {}
    for f in rng.sample(NAMES, rng.randrange(1, 5)):
        policy = rng.choice((LWW, FIRST, FIRST, MAX, MIN, SET, REVIEW))
        kinds[f] = {SET: "set", MAX: rng.choice(("int", "dec")), MIN: rng.choice(("int", "dec"))}.get(
            policy) or rng.choice(("text", "int", "dec", "bool"))
        if policy != LWW or rng.random() < .8:  # the others: fields that no catalogue knows
            h.rules[f] = (policy, rng.choice((ANY, ANY, UNIT, HUB)))
    authors = [Author(rng, rng.random() < .3) for _ in range(rng.randrange(1, 5))]
    lanes = rng.choice(((2,), (2,), (1, 3)))
    bent, ages = rng.choice((0, 0, .2, 1)), rng.choice((2, 4, 1000))
    careful = rng.random() < .6
    sets = {}
    for _ in range(rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 16))):
        author = rng.choice(authors)
        learn(rng, author, sets, careful)
        write(rng, author, lanes, sets, kinds, bent, ages)
    refused = rng.choice((0, 0, .15))
    every = [c for of in sets.values() for cs in of for c in cs]
    h.changes = [c for c in every if rng.random() >= refused] or every[:1]
    clamped = rng.choice((0, 0, .4))
    for c in h.changes:
        if rng.random() < clamped:
            c.stamp = min(max(c.stamp, 2), 5)
    rng.shuffle(h.changes)
    h.feeds = sorted(sets)
    h.orders = [random_order(rng, len(h.changes)) for _ in range(4)]
    h.orders.append([i for i in range(len(h.changes)) for _ in range(2)])
    return h


# ---- talking to the harness -----------------------------------------------------------------------

def change_line(c):
    w = ["C", c.feed.hex(), c.seq, c.index, c.stamp, c.hash8, int(c.hub), int(c.delete), len(c.context)]
    for g in sorted(c.context):
        w += [g.hex(), *c.context[g]]
    w.append(len(c.sets))
    w += [pb_field_set(f, c.sets[f]).hex() for f in sorted(c.sets)]
    w += [len(c.cleared), *c.cleared, len(c.personal)]
    for f in sorted(c.personal):
        w += [f, "-" if f in c.withheld else pb_field_set(f, c.personal[f]).hex()]
    w.append(c.root.hex() if c.root else "-")
    return " ".join(map(str, w))


IDENT = ("dossier", "17254", "H21.65-250709-0001")


def script(rng, h):
    """Commands for the harness and the answers it must give."""
    cmd = ["H", "P %d" % h.province] + ["F %s %d %d" % (f, *r) for f, r in sorted(h.rules.items())]
    cmd += [change_line(c) for c in h.changes]
    row, stamp = row_bytes(h)
    answer = []
    for i, order in enumerate(h.orders):
        missing = [k for k in range(len(h.changes)) if k not in order]
        cmd.append("O " + " ".join(map(str, order + missing)))
        answer.append("R =" if i else "R " + row.hex())
    cmd.append("S")
    answer += show_lines(h, stamp)
    if answer[-1].startswith("V "):
        sets, record = record_of(h, row)
        cmd.append("M " + record.hex())
        answer.append("M " + (short_row(h, sets) or row).hex())
    own = rng.choice(h.feeds)
    cmd.append("X " + own.hex())
    answer.append(context_line(h, own))
    g, seq, index = rng.choice(h.feeds), rng.randrange(1, 9), rng.randrange(3)
    cmd.append("T %s %d %d" % (g.hex(), seq, index))
    answer.append("T %d" % (max((c.seq for c in h.changes if c.feed == g), default=0) >= seq))
    if h.digest:
        cmd.append("D " + " ".join(IDENT))
        answer.append(digest_line(IDENT, row))
    return cmd, answer


def run(harness, scripts, bug=None):
    """The first script, by size, that the harness answers wrongly, with its answer; None if none."""
    text = "" if bug is None else "B %d\n" % bug
    text += "".join("\n".join(cmd) + "\n" for cmd, _ in scripts)
    p = subprocess.run([harness], input=text, capture_output=True, text=True, check=False)
    got, at, wrong = p.stdout.splitlines(), 0, []
    if p.returncode != 0:  # no bug, planted or not, may end the process
        sys.exit("the harness ended with %d (bug %s): %s" % (p.returncode, bug, p.stderr.strip()))
    # a wrong answer may have more or fewer lines: each history's answer begins with its first row
    for cmd, answer in scripts:
        end = at + 1
        while end < len(got) and not (got[end].startswith("R ") and got[end - 1][0] in "TD"):
            end += 1
        if got[at:end] != answer:
            wrong.append((cmd, answer, got[at:end]))
        at = end
    return min(wrong, key=lambda w: len(w[0])) if wrong else None


def explain(found):
    cmd, answer, got = found
    print("commands:")
    print("\n".join(cmd))
    for a, g in zip(answer + [""] * len(got), got + [""] * len(answer)):
        if a != g:
            print("expected: %s\n     got: %s" % (a, g))


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--bugs"]):
        print(__doc__, file=sys.stderr)
        return 2
    harness, bugs = sys.argv[1], len(sys.argv) == 3
    seed = int(os.environ.get("LT_MERGE_SEED") or int.from_bytes(os.urandom(4), "big"))
    total = int(os.environ.get("LT_MERGE_HISTORIES") or 10000)
    print("seed %d, %d histories (LT_MERGE_SEED, LT_MERGE_HISTORIES)" % (seed, total), flush=True)
    rng, begun, done = random.Random(seed), time.monotonic(), 0
    alive = dict.fromkeys(BUGS) if bugs else {}
    while done < total and (alive or not bugs):
        scripts = []
        for i in range(min(BATCH, total - done)):
            h = random_history(rng)
            h.digest = (done + i) % 50 == 0
            scripts.append(script(rng, h))
        if bugs and run(harness, scripts, 0) is not None:
            print("wrong without a planted bug: run without --bugs")
            return 1
        for bug in list(alive):
            found = run(harness, scripts, bug)
            if found is not None:
                print("bug %d found within %d histories" % (bug, done + len(scripts)))
                del alive[bug]
        if not bugs:
            found = run(harness, scripts)
            if found is not None:
                explain(found)
                print("seed %d, histories %d to %d" % (seed, done, done + len(scripts)))
                return 1
        done += len(scripts)
    if alive:
        print("not found: %s" % ", ".join(map(str, alive)))
        return 1
    print("%d histories in %.1f s: %s" % (done, time.monotonic() - begun,
                                          "all bugs found" if bugs else "all as defined"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
