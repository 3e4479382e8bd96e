"""FORMAT.md 15: a checkpoint, the hub's signature on it, a node's, and the rows of `local` that keep them."""
from golden_base import H, Key, feed_id, framed, run, u8, u32, u64


def head(lane, epoch, seq, first):
    return u8(lane) + u64(epoch) + u64(seq) + run(32, first)


def checkpoint(words):
    hub, node = Key(run(32, 2)), Key(run(32, 3))
    federation, author, principal = run(32, 0x10), run(16, 0x70), run(16, 0x40)
    heads = [head(1, 0x1122334455667788, 7, 0xa0), head(2, 5, 70000, 0xb0), head(2, 0xf000000000000006, 1, 0xc0)]
    body = u8(1) + federation + author + u32(3) + u64(1785542400123) + u64(81234) + run(32, 0xd0)
    body += u8(len(heads)) + b"".join(heads)
    # The hub's other word on the second feed, under the same number.
    other = body[:101] + u8(1) + head(2, 5, 70000, 0xb1)
    signature, other_signature = hub.sign("lt1.checkpoint", body), hub.sign("lt1.checkpoint", other)
    cosignature = node.sign("lt1.cosign", principal + u32(258) + H("lt1.checkpoint", body))
    header, header_signature = run(90, 0x11), run(64, 0x22)
    seen, found = 1785542460456, 1785542460999
    feed = feed_id(author, 2, 5)
    counted = u8(len(heads)) + b"".join(heads)
    rows = {
        "checkpoint": framed(body) + signature,
        "cosigned/" + principal.hex(): u8(1) + u64(seen) + framed(body) + signature + u32(258) + cosignature,
    }
    promised = H("lt1.checkpoint", body)[:16]
    before = u8(1) + u64(found) + u64(70000) + framed(body) + signature
    return {
        "hub_seed": hub.seed, "hub_key": hub.public, "node_seed": node.seed, "node_key": node.public,
        "federation": federation, "hub": author, "principal": principal,
        "body": body, "hash": H("lt1.checkpoint", body), "signature": signature,
        "other": other, "other_signature": other_signature, "cosignature": cosignature,
        "words": words(H("lt1.checkpoint-words", federation + author + counted)[:8]),
        "seen_ms": seen, "found_ms": found, "feed": feed, "header": header, "header_signature": header_signature,
        "rows": rows,
        "promised_name": "promised/" + promised.hex(), "promised": framed(body) + signature,
        "equivocation_name": "equivocation/" + feed.hex(),
        "equivocation_two": before + u8(1) + framed(other) + other_signature,
        "equivocation_came": u8(2) + u64(found) + u64(70000) + framed(run(80, 0x33)) + run(64, 0x44) + framed(header) + header_signature,
        "came": run(80, 0x33), "came_signature": run(64, 0x44),
        "equivocation_log": before + u8(2) + framed(header) + header_signature,
    }
