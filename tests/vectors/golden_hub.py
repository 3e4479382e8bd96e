"""FORMAT.md 9.3, 9.7 and 9.8: what a hub alone keeps."""
from golden_base import H, feed_id, framed8, run, u8, u16, u32, u64
from golden_store import MERGE_VERSION

NOW = 1795305600000  # milliseconds since 1970, the clock of the hub's tests
UNIT = "17254"
NODE = 1  # Role


def fresh_row(seen, urgent, normal, bulk, offset, feeds):
    row = u8(1) + u64(seen) + u64(urgent) + u64(normal) + u64(bulk) + u64(offset & (1 << 64) - 1) + u8(len(feeds))
    return row + b"".join(feed + u64(announced) + u64(held) for feed, announced, held in feeds)


def hub():
    principal, token = run(16, 0x70), H("lt1.token", run(16, 0x50))
    normal, bulk = feed_id(principal, 2, 0x1122334455667788), feed_id(principal, 3, 1)
    times = {"seen": NOW - 4000, "urgent": NOW - 1000, "normal": NOW - 5000, "bulk": 0, "offset": -1500}
    first = [(normal, 5, 3), (bulk, 2, 0)]
    after = [(normal, 5, 5), (bulk, 2, 0)]
    alarm = (u8(1) + u64(NOW) + u64(NOW) + u64(1) + u8(NODE) + framed8(UNIT) + framed8("") + principal +
             framed8("192.0.2.1"))
    operator = run(16, 0x20)
    return {
        "unit": UNIT, "principal": principal, "feed": normal, "times": times,
        "fresh_key": UNIT.encode() + b"\0" + principal,
        "fresh": fresh_row(feeds=first, **times),
        "fresh_held": fresh_row(feeds=after, **dict(times, seen=NOW, urgent=NOW, normal=NOW)),
        "token_hash": token, "alarm_key": b"a" + token,
        "alarm": alarm,
        # Seen to by an operator 5 s later; by somebody at the hub's machine.
        "operator": operator,
        "alarm_acknowledged": alarm + u64(NOW + 5000) + u64(1) + operator,
        "alarm_acknowledged_here": alarm + u64(NOW + 5000) + u64(1) + bytes(16),
        "cursor_end": u32(MERGE_VERSION) + u64(1),
        "quarantine": u16(1),
    }
