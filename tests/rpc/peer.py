#!/usr/bin/python3
"""A second implementation of the line, the frames and one call, written from FORMAT.md 6 and the Noise
specification alone, against ours in both roles. Debian's python3-cryptography and the standard library."""

import hashlib
import hmac
import os
import socket
import struct
import subprocess
import sys
import tempfile

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAME = b"Noise_IK_25519_ChaChaPoly_BLAKE2b"
REKEY = 65536


def blake(data):
    return hashlib.blake2b(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.blake2b).digest()


def hkdf2(ck, ikm):
    t = mac(ck, ikm)
    a = mac(t, b"\x01")
    return a, mac(t, a + b"\x02")


def tagged(tag, data):
    return hashlib.blake2b(bytes([len(tag)]) + tag + data, digest_size=32).digest()


def public(sk):
    return sk.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(sk, pk):
    return sk.exchange(X25519PublicKey.from_public_bytes(pk))


class Cipher:
    def __init__(self, key):
        self.key, self.n, self.count = key, 0, 0
        self.aead = ChaCha20Poly1305(key)

    def nonce(self):
        n = b"\0\0\0\0" + struct.pack("<Q", self.n)
        self.n += 1
        return n

    def seal(self, plain, ad=b""):
        return self.aead.encrypt(self.nonce(), plain, ad)

    def open(self, sealed, ad=b""):
        return self.aead.decrypt(self.nonce(), sealed, ad)

    def counted(self):
        """After each transport message of this direction."""
        self.count += 1
        if self.count % REKEY == 0:
            k = self.aead.encrypt(b"\0\0\0\0" + b"\xff" * 8, bytes(32), b"")[:32]
            self.key, self.aead = k, ChaCha20Poly1305(k)


class Symmetric:
    def __init__(self, prologue, responder):
        self.h = NAME.ljust(64, b"\0")
        self.ck = self.h
        self.cipher = None
        self.mix(prologue)
        self.mix(responder)

    def mix(self, data):
        self.h = blake(self.h + data)

    def key(self, ikm):
        self.ck, k = hkdf2(self.ck, ikm)
        self.cipher = Cipher(k[:32])

    def seal(self, plain):
        c = self.cipher.seal(plain, self.h)
        self.mix(c)
        return c

    def open(self, sealed):
        p = self.cipher.open(sealed, self.h)
        self.mix(sealed)
        return p

    def split(self):
        a, b = hkdf2(self.ck, b"")
        return Cipher(a[:32]), Cipher(b[:32])


def prologue(fed, nonce):
    return b"lienthong line 1" + fed + nonce


def knock(acceptor, nonce, msg):
    return hashlib.blake2b(nonce + msg, digest_size=16, key=tagged(b"lt1.knock", acceptor)).digest()


def read(s, n):
    out = b""
    while len(out) < n:
        d = s.recv(n - len(out))
        if not d:
            raise EOFError
        out += d
    return out


class Line:
    """Frames over a secured stream, or a local one."""

    def __init__(self, s, tx=None, rx=None):
        self.s, self.tx, self.rx = s, tx, rx

    def seal(self, kind, flags, call, payload):
        frame = struct.pack(">BBHI", kind, flags, 0, call) + payload
        if self.tx:
            frame = self.tx.seal(frame)
            self.tx.counted()
        return struct.pack(">H", len(frame)) + frame

    def send(self, kind, flags, call, payload=b""):
        self.s.sendall(self.seal(kind, flags, call, payload))

    def next(self):
        frame = read(self.s, struct.unpack(">H", read(self.s, 2))[0])
        if self.rx:
            frame = self.rx.open(frame)
            self.rx.counted()
        kind, flags, zero, call = struct.unpack(">BBHI", frame[:8])
        if kind >= 16:  # from a newer program: skipped
            return self.next()
        assert zero == 0
        return kind, flags, call, frame[8:]


def initiate(s, fed, sk, remote, break_knock=False):
    hello = read(s, 20)
    assert hello[:4] == b"LT1\n", hello
    nonce = hello[4:]
    sym = Symmetric(prologue(fed, nonce), remote)
    e = X25519PrivateKey.generate()
    msg = public(e)
    sym.mix(msg)
    sym.key(dh(e, remote))
    msg += sym.seal(public(sk))
    sym.key(dh(sk, remote))
    msg += sym.seal(b"")
    k = knock(remote, nonce, msg)
    if break_knock:
        k = bytes(16)
    s.sendall(struct.pack(">H", 16 + len(msg)) + k + msg)
    n = struct.unpack(">H", read(s, 2))[0]
    assert n == 48, n
    msg = read(s, n)
    re = msg[:32]
    sym.mix(re)
    sym.key(dh(e, re))
    sym.key(dh(sk, re))
    assert sym.open(msg[32:]) == b""
    tx, rx = sym.split()
    return Line(s, tx, rx)


def accept(s, fed, sk, expected):
    nonce = os.urandom(16)
    s.sendall(b"LT1\n" + nonce)
    n = struct.unpack(">H", read(s, 2))[0]
    assert n == 112, n
    body = read(s, n)
    msg = body[16:]
    assert body[:16] == knock(public(sk), nonce, msg)
    sym = Symmetric(prologue(fed, nonce), public(sk))
    re = msg[:32]
    sym.mix(re)
    sym.key(dh(sk, re))
    rs = sym.open(msg[32:80])
    assert rs == expected
    sym.key(dh(sk, rs))
    assert sym.open(msg[80:]) == b""
    e = X25519PrivateKey.generate()
    out = public(e)
    sym.mix(out)
    sym.key(dh(e, re))
    sym.key(dh(e, rs))
    out += sym.seal(b"")
    s.sendall(struct.pack(">H", len(out)) + out)
    rx, tx = sym.split()
    return Line(s, tx, rx)


# ---- protobuf by hand: only what is needed ----

def field(number, data):
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def fields(data):
    out, at = {}, 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            out[key >> 3] = varint()
        else:
            n = varint()
            out[key >> 3] = data[at:at + n]
            at += n
    return out


def check(line, call, service=b""):
    """Health.Check; returns (status fields, answer fields or None)."""
    line.send(1, 0, call, field(1, b"/grpc.health.v1.Health/Check") + bytes([2 << 3, 100 | 128, 39]) + field(3, b"py-1"))
    line.send(2, 3, call, field(1, service) if service else b"")
    answer = None
    while True:
        kind, flags, got, payload = line.next()
        if kind == 7:
            continue
        assert got == call, (kind, got)
        if kind == 2:
            assert flags & 1 and flags & 2 and not flags & 4
            answer = fields(payload)
        elif kind == 3:
            return fields(payload), answer


def closed(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def as_initiator(port, sock, fed, sk, remote):
    def connect():
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(30)
        return s

    line = initiate(connect(), fed, sk, remote)
    status, answer = check(line, 1)
    assert status.get(1, 0) == 0, status
    assert answer == {1: 1}, answer
    status, answer = check(line, 3, b"no.such.Service")
    assert status[1] == 5 and answer is None, status
    assert fields(status[3])[1] == b"NO_SUCH_SERVICE"

    # Over the re-key of both directions, by real counts.
    sent = got = 0
    while got < REKEY + 200:
        line.s.sendall(b"".join(line.seal(6, 0, 0, struct.pack(">Q", sent + i)) for i in range(200)))
        sent += 200
        while got < sent:
            kind, _, call, payload = line.next()
            assert (kind, call, payload) == (7, 0, struct.pack(">Q", got)), got
            got += 1
    status, answer = check(line, 5)
    assert answer == {1: 1}

    # A wrong knock, an unknown key, another federation: a close and nothing else.
    for args in ((fed, sk, remote, True), (fed, X25519PrivateKey.generate(), remote), (os.urandom(32), sk, remote)):
        s = connect()
        try:
            initiate(s, *args)
            raise AssertionError("let in")
        except (EOFError, ConnectionResetError):
            assert closed(s)
    # An altered transport message ends the connection.
    bad = bytearray(line.seal(6, 0, 0, bytes(8)))
    bad[-1] ^= 1
    line.s.sendall(bad)
    assert closed(line.s)

    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(sock)
    s.sendall(b"LTL1")
    status, answer = check(Line(s), 1)
    assert status.get(1, 0) == 0 and answer == {1: 1}
    # What comes behind message 2 of a right handshake, but under wrong keys, changes nothing and is cut.
    line = initiate(connect(), fed, sk, remote)
    line.tx = Cipher(bytes(32))
    line.send(6, 0, 0, bytes(8))
    assert closed(line.s)


def dialed(binary, fed, own, client_sk, serve, lie=False):
    """Let the C client dial us; returns what it printed."""
    listener = socket.create_server(("127.0.0.1", 0))
    remote = public(X25519PrivateKey.generate()) if lie else public(own)
    raw = client_sk.private_bytes_raw() if hasattr(client_sk, "private_bytes_raw") else secret_of(client_sk)
    p = subprocess.Popen([binary, "dial", str(listener.getsockname()[1]), fed.hex(), raw.hex(), remote.hex()],
                         stdout=subprocess.PIPE)
    s, _ = listener.accept()
    s.settimeout(30)
    try:
        serve(accept(s, fed, own, public(client_sk)))
    except (AssertionError, EOFError, InvalidTag):
        if not lie:
            raise
    s.close()
    out = p.communicate(timeout=30)[0].decode().strip()
    assert p.returncode == 0
    return out


def secret_of(sk):
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat
    return sk.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def answer_check(line):
    kind, flags, call, payload = line.next()
    assert (kind, call, len(payload)) == (6, 0, 8), "the first frame is a PING"
    line.send(7, 0, 0, payload)
    kind, flags, call, payload = line.next()
    assert (kind, flags, call) == (1, 0, 1)
    head = fields(payload)
    assert head[1] == b"/grpc.health.v1.Health/Check" and head[2] == 10000, head
    kind, flags, call, payload = line.next()
    assert (kind, flags, call, payload) == (2, 3, 1, b"")
    line.send(2, 0, 1, b"\x08")  # in two pieces
    line.send(2, 3, 1, b"\x02")
    line.send(3, 0, 1, b"")
    try:
        line.next()
    except (EOFError, ConnectionResetError):
        pass


def refuse_check(line):
    line.next()
    line.next()
    line.next()
    line.send(3, 0, 1, b"\x08\x0e" + field(2, "hub đang dừng".encode()))
    try:
        line.next()
    except (EOFError, ConnectionResetError):
        pass


def main():
    binary = sys.argv[1]
    fed = os.urandom(32)
    server, client = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as d:
        sock = d + "/sock"
        p = subprocess.Popen([binary, "serve", fed.hex(), secret_of(server).hex(), public(client).hex(), sock],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            as_initiator(int(p.stdout.readline()), sock, fed, client, public(server))
        finally:
            p.stdin.close()
            assert p.wait(30) == 0
    assert dialed(binary, fed, server, client, answer_check) == "0 2"
    assert dialed(binary, fed, server, client, refuse_check) == "14 -1 hub đang dừng"
    assert dialed(binary, fed, server, client, answer_check, lie=True) == "no connection"
    print("ok")


if __name__ == "__main__":
    main()
