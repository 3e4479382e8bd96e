"""What golden vectors are made of: layouts, hashes, signatures, protobuf by hand, values and sealed change-sets.

FORMAT.md 1 to 3, written from its text and the .proto files alone.
"""
import hashlib
import struct

import xxhash
from nacl.signing import SigningKey


# 1.1, 1.2: layouts and hashes

def u8(v):
    return struct.pack(">B", v)


def u16(v):
    return struct.pack(">H", v)


def u32(v):
    return struct.pack(">I", v)


def u64(v):
    return struct.pack(">Q", v)


def framed(x):
    return u32(len(x)) + x


def tagged(tag, m):
    t = tag.encode()
    return u8(len(t)) + t + m


def H(tag, m):
    return hashlib.blake2b(tagged(tag, m), digest_size=32).digest()


def H16(tag, m):
    return hashlib.blake2b(tagged(tag, m), digest_size=16).digest()


def run(n, first):
    """n bytes: first, first + 1, ..."""
    return bytes((first + i) % 256 for i in range(n))


# 1.3: signatures

class Key:
    def __init__(self, seed):
        self.seed = seed
        self.key = SigningKey(seed)
        self.public = bytes(self.key.verify_key)

    def sign(self, tag, m):
        return self.key.sign(H(tag, m)).signature


# 1.5: Merkle tree, as the definition says it

def root(leaves):
    n = len(leaves)
    if n == 0:
        return H("lt1.empty", b"")
    if n == 1:
        return leaves[0]
    k = 1
    while k * 2 < n:
        k *= 2
    return H("lt1.node", root(leaves[:k]) + root(leaves[k:]))


# protobuf wire format; proto3 leaves zero and empty fields out

def varint(v):
    assert 0 <= v < 1 << 64
    out = b""
    while v > 127:
        out += u8(v & 127 | 128)
        v >>= 7
    return out + u8(v)


def zigzag(v):
    return (v << 1) & (1 << 64) - 1 if v >= 0 else ((-v) << 1) - 1


def p_varint(number, v, always=False):
    return varint(number << 3) + varint(v) if v or always else b""


def p_fixed64(number, v):
    return varint(number << 3 | 1) + struct.pack("<Q", v) if v else b""


def p_bytes(number, b, always=False):
    return varint(number << 3 | 2) + varint(len(b)) + b if b or always else b""


def p_text(number, s, always=False):
    return p_bytes(number, s.encode(), always)


# 2: values. A value is a pair (type, content); a member of a oneof is written even when it is zero.

def value(v):
    kind, x = v
    if kind == "text":
        return p_text(1, x, True)
    if kind == "integer":
        return p_varint(2, zigzag(x), True)
    if kind == "decimal":
        return p_bytes(3, p_varint(1, zigzag(x[0])) + p_varint(2, x[1]), True)
    if kind == "boolean":
        return p_varint(4, 1 if x else 0, True)
    if kind == "date":
        return p_varint(5, zigzag(x), True)
    if kind == "timestamp":
        return p_varint(6, zigzag(x), True)
    if kind == "bytes":
        return p_bytes(7, bytes.fromhex(x), True)
    if kind == "enumeration":
        return p_text(8, x, True)
    if kind == "set":
        return p_bytes(9, b"".join(p_text(1, i, True) for i in sorted(x, key=str.encode)), True)
    raise ValueError(kind)


def field_set(f):
    return (p_text(1, f["name"]) + p_bytes(2, value(f["value"]), True) +
            b"".join(p_text(3, i, True) for i in f.get("added", [])) +
            b"".join(p_text(4, i, True) for i in f.get("removed", [])))


def by_name(fields):
    return sorted(fields, key=lambda f: f["name"].encode())


# 3: change-sets

def feed_id(author, lane, epoch):
    return author + u8(lane) + u64(epoch)


def salt_of(seed, index, field):
    m = tagged("lt1.salt", u32(index) + field.encode())
    return hashlib.blake2b(m, digest_size=16, key=seed).digest()


def leaf_of(cs, index, draft, field, salt):
    place = (framed(cs["unit"].encode()) + cs["feed"] + u64(cs["seq"]) + u32(index) +
             framed(draft["collection"].encode()) + framed(draft["key"].encode()))
    return H("lt1.personal",
             salt + place + framed(field["name"].encode()) + framed(field_set(field)))


def change_bytes(cs, index, draft):
    """The bytes of one change and its leaves as (field, salt, leaf)."""
    personal = []
    for f in by_name(draft.get("personal", [])):
        salt = salt_of(cs["seed"], index, f["name"])
        personal.append((f, salt, leaf_of(cs, index, draft, f, salt)))
    out = p_text(1, draft["collection"]) + p_text(2, draft["key"])
    out += p_varint(3, 2 if draft.get("delete") else 1)
    for f in by_name(draft.get("set", [])):
        out += p_bytes(4, field_set(f), True)
    for name in sorted(draft.get("cleared", []), key=str.encode):
        out += p_text(5, name, True)
    for feed, seq, hash8 in sorted(draft.get("context", [])):
        out += p_bytes(6, p_bytes(1, feed) + p_varint(2, seq) + p_fixed64(3, hash8), True)
    for f, _, _ in personal:
        out += p_text(7, f["name"], True)
    if personal:
        out += p_bytes(8, root([leaf for _, _, leaf in personal]))
    return out, personal


def header_bytes(cs, changes):
    return (p_bytes(1, cs["federation"]) + p_bytes(2, cs["author"]) + p_text(3, cs["unit"]) +
            p_varint(4, cs["lane"]) + p_fixed64(5, cs["epoch"]) + p_varint(6, cs["seq"]) +
            p_bytes(7, cs["prev"]) + p_fixed64(8, cs["stamp"]) +
            p_varint(9, cs["catalogue_version"]) + p_varint(10, len(changes)) +
            p_bytes(11, root([H("lt1.change", c) for c in changes])) +
            p_varint(12, cs["key_no"]) + p_fixed64(13, cs["hub_stamp"]) +
            b"".join(p_bytes(14, p_text(1, u) + p_bytes(2, f) + p_varint(3, s) + p_bytes(4, h))
                     for u, f, s, h in cs.get("earlier", [])))


def opened(index, name, salt=b"", fs=b"", leaf=b""):
    return p_bytes(2, p_varint(1, index) + p_text(2, name) + p_bytes(3, salt) + p_bytes(4, fs) +
                   p_bytes(5, leaf), True)


def seal(cs, key):
    changes, leaves = [], []
    for i, d in enumerate(cs["drafts"]):
        c, personal = change_bytes(cs, i, d)
        changes.append(c)
        leaves += [(i, f, salt, leaf) for f, salt, leaf in personal]
    header = header_bytes(cs, changes)
    signature = key.sign("lt1.changeset", header)
    bare = (p_bytes(1, header) + p_bytes(2, signature) +
            b"".join(p_bytes(3, c, True) for c in changes))

    def with_openings(fields, seed=b""):
        return bare + p_bytes(4, p_bytes(1, seed) + b"".join(fields)) if fields else bare

    # 3.9: field 8 left out of the changes with leaves whose openings are all there
    def lean(fields, closed=(), seed=b""):
        out = p_bytes(1, header) + p_bytes(2, signature)
        for i, c in enumerate(changes):
            rest = any(n == i for n, _, _, _ in leaves) and i not in closed
            out += p_bytes(3, c[:-34] if rest else c, True)
        return out + (p_bytes(4, p_bytes(1, seed) + b"".join(fields)) if fields else b"")

    return {
        "header": header,
        "hash": H("lt1.changeset", header),
        "signature": signature,
        "changes": changes,
        "leaves": [{"change": i, "name": f["name"], "field_set": field_set(f), "salt": salt,
                    "leaf": leaf} for i, f, salt, leaf in leaves],
        "bare": bare,
        "with_seed": with_openings([opened(i, f["name"], fs=field_set(f))
                                    for i, f, _, _ in leaves], cs["seed"]),
        "with_salts": with_openings([opened(i, f["name"], salt, field_set(f))
                                     for i, f, salt, _ in leaves]),
        # every second opening withheld, from the second one on
        "with_withheld": with_openings(
            [opened(i, f["name"], leaf=leaf) if n % 2 else
             opened(i, f["name"], salt, field_set(f))
             for n, (i, f, salt, leaf) in enumerate(leaves)]),
        "lean_with_seed": lean([opened(i, f["name"], fs=field_set(f))
                                for i, f, _, _ in leaves], seed=cs["seed"]),
        "lean_with_salts": lean([opened(i, f["name"], salt, field_set(f))
                                 for i, f, salt, _ in leaves]),
        "lean_with_withheld": lean(
            [opened(i, f["name"], leaf=leaf) if n % 2 else
             opened(i, f["name"], salt, field_set(f))
             for n, (i, f, salt, leaf) in enumerate(leaves)],
            {i for n, (i, _, _, _) in enumerate(leaves) if n % 2}),
    }


def framed8(text):
    return u8(len(text.encode())) + text.encode()


def siphash(key, m):
    """SipHash-2-4, from its paper."""
    mask = 2 ** 64 - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rotl(x, n):
        return (x << n | x >> (64 - n)) & mask

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask
            v[2] = (v[2] + v[3]) & mask
            v[1] = rotl(v[1], 13) ^ v[0]
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[1]) & mask
            v[0] = (v[0] + v[3]) & mask
            v[1] = rotl(v[1], 17) ^ v[2]
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = rotl(v[2], 32)
    whole = m + bytes(-(len(m) + 1) % 8) + bytes([len(m) % 256])
    for i in range(0, len(whole), 8):
        word = int.from_bytes(whole[i:i + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")


# The vector of the paper: key 00 to 0f, message 00 to 0e.
assert siphash(bytes(range(16)), bytes(range(15))) == (0xa129ca6149be45e5).to_bytes(8, "little")


def xxh3(seed, m):
    return xxhash.xxh3_64_intdigest(m, seed)


# Vectors that xxHash publishes for XXH3: bytes of a generator, seeds 0 and its first prime, one length for each way it goes.
XXH3_SEED, XXH3_BYTES = 0x9e3779b185ebca8d, bytearray()
XXH3_STATE = 2654435761
while len(XXH3_BYTES) < 403:
    XXH3_BYTES.append(XXH3_STATE >> 56)
    XXH3_STATE = XXH3_STATE * XXH3_SEED % 2 ** 64
for n, unseeded, seeded in [(0, 0x2d06800538d394c2, 0xa8a6b918b2f0364a), (1, 0xc44bdff4074eecdb, 0x032be332dd766ef8),
                            (6, 0x27b56a84cd2d7325, 0x84589c116ab59ab9), (12, 0xa713daf0dfbb77e7, 0xe7303e1b2336de0e),
                            (24, 0xa3fe70bf9d3510eb, 0x850e80fc35bdd690), (48, 0x397da259ecba1f11, 0xadc2cbaa44acc616),
                            (80, 0xbcdefbbb2c47c90a, 0xc6dd0cb699532e73), (195, 0xcd94217ee362ec3a, 0xba68003d370cb3d9),
                            (403, 0xcdeb804d65c6dea4, 0x6259f6ecfd6443fd)]:
    assert xxh3(0, bytes(XXH3_BYTES[:n])) == unseeded and xxh3(XXH3_SEED, bytes(XXH3_BYTES[:n])) == seeded


def checksum(table, key, v):
    """9.2"""
    if table == "meta":
        place = siphash(b"lt1.value".ljust(16, b"\0"), framed(b"meta") + framed(key))
        return siphash(place + place, v)
    return u64(xxh3(xxh3(0, framed(table.encode()) + framed(key)), v))
