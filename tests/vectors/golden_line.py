"""FORMAT.md 6: the first bytes of a line, frames, and what stands in those that open and end a call."""
import hashlib
import os
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from golden_base import H, p_bytes, p_text, p_varint, run, u8, u16, u32, u64

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "rpc"))
import peer  # noqa: E402  (the second implementation of the handshake)

TYPES = {"REQUEST": 1, "DATA": 2, "END": 3, "CANCEL": 4, "CREDIT": 5, "PING": 6, "PONG": 7, "GOAWAY": 8, "ENCODINGS": 16,
         "TOKEN": 17}


def frame(name, flags, call, payload):
    data = u8(TYPES[name]) + u8(flags) + u16(0) + u32(call) + payload
    return {"type": TYPES[name], "flags": flags, "id": call, "payload": payload, "bytes": data}


def metadata(number, pairs):
    return b"".join(p_bytes(number, p_text(1, k) + p_text(2, v), True) for k, v in pairs)


def request_head():
    return (p_text(1, "/lienthong.v1.Sync/Push") + p_varint(2, 30000) + p_text(3, "req-00000017") + p_varint(4, 1) +
            metadata(5, [("trace", "a1"), ("who", "Lường Minh")]))


def status():
    info = p_text(1, "TOO_MANY") + p_text(2, "lienthong") + metadata(3, [("limit", "64")])
    return (p_varint(1, 8) + p_text(2, "too many calls") + p_bytes(3, info) + p_bytes(4, p_varint(1, 1500)) +
            p_bytes(5, p_text(1, "so_tien") + p_text(2, "max") + p_text(3, "too much")) +
            p_bytes(6, p_text(1, "vi") + p_text(2, "quá nhiều lời gọi")))


# 6.10

def resume_samples():
    """Both kinds of callers, the shortest and the longest position, an empty request."""
    secret = run(32, 0x11)
    return [
        {"secret": secret, "line_key": run(32, 0x51), "method": "/lttest.Echo/Walk", "request": p_varint(2, 10),
         "position": u64(4)},
        {"secret": secret, "line_key": b"", "method": "/lttest.Echo/Walk", "request": b"", "position": u8(0)},
        {"secret": run(32, 0x80), "line_key": bytes(32), "method": "/a.B/C", "request": run(300, 3),
         "position": run(111, 9)},
    ]


def resume_token(s):
    key = H("lt1.resume-key", s["secret"])
    caller = u8(1) + s["line_key"] if s["line_key"] else bytes(33)
    method = s["method"].encode()
    code = hashlib.blake2b(caller + H("lt1.resume-request", s["request"]) + u32(len(method)) + method + s["position"],
                           digest_size=16, key=key).digest()
    return u8(1) + code + s["position"]


def resume():
    return [{**s, "token": resume_token(s)} for s in resume_samples()]


def frames():
    return {
        "request_head": request_head(), "status": status(),
        "frame": [
            frame("REQUEST", 0, 1, request_head()),
            frame("DATA", 0, 1, run(16384, 7)),
            frame("DATA", 1, 1, run(5, 1)),
            frame("DATA", 3, 0xfffffffd, b""),
            frame("DATA", 2, 2, b""),
            frame("DATA", 5, 3, run(9, 0x28)),
            frame("END", 0, 1, status()),
            frame("END", 0, 2, b""),
            frame("CANCEL", 0, 4, b""),
            frame("CREDIT", 0, 1, u32(65536)),
            frame("PING", 0, 0, run(8, 0xf0)),
            frame("PONG", 0, 0, run(8, 0xf0)),
            frame("GOAWAY", 0, 0, u32(17) + "đang tắt".encode()),
            frame("ENCODINGS", 0, 0, u32(1)),
            frame("TOKEN", 0, 3, resume_token(resume_samples()[0])),
        ],
    }


# 6.1

def record(b):
    return u16(len(b)) + b


def handshake():
    """Every byte of both directions up to the first frames; all secrets are fixed."""
    federation, nonce = run(32, 0x40), run(16, 0x22)
    secrets = {name: run(32, first) for name, first in
               (("initiator", 0x11), ("acceptor", 0x31), ("initiator_ephemeral", 0x51), ("acceptor_ephemeral", 0x71))}
    i, a, ie, ae = (X25519PrivateKey.from_private_bytes(b) for b in secrets.values())
    remote = peer.public(a)
    s = peer.Symmetric(peer.prologue(federation, nonce), remote)
    first = peer.public(ie)
    s.mix(first)
    s.key(peer.dh(ie, remote))
    first += s.seal(peer.public(i))
    s.key(peer.dh(i, remote))
    first += s.seal(b"")
    second = peer.public(ae)
    s.mix(second)
    s.key(peer.dh(ae, peer.public(ie)))
    s.key(peer.dh(ae, peer.public(i)))
    second += s.seal(b"")
    up, down = s.split()
    ping, pong = frame("PING", 0, 0, run(8, 0xf0))["bytes"], frame("PONG", 0, 0, run(8, 0xf0))["bytes"]
    encodings = frame("ENCODINGS", 0, 0, u32(1))["bytes"]
    knock = peer.knock(remote, nonce, first)
    return {
        "federation": federation, "nonce": nonce, "secrets": secrets, "acceptor_public": remote,
        "hello": b"LT1\n" + nonce, "knock": knock,
        "first": record(knock + first), "second": record(second),
        "ping": ping, "pong": pong, "encodings": encodings,
        "sealed_ping": record(up.seal(ping)), "sealed_pong": record(down.seal(pong)),
        "sealed_encodings": record(down.seal(encodings)),
        "local": b"LTL1" + record(ping),
    }
