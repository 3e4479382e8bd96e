#!/usr/bin/env python3
"""How a machine is taken in, as its people see it: the invitation's line, file and QR code, what is said of a bad one, the words
that both ends read.

usage: enrol_e2e.py BIN
"""
import base64
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata

import zbar
from PIL import Image

BIN = os.path.abspath(sys.argv[1])
WAIT_S = 60
EN = {**os.environ, "LIENTHONG_LANG": "en"}
EN.pop("LIENTHONG_DIR", None)
VI = {**EN, "LIENTHONG_LANG": "vi"}
procs = {}


def ltctl(*args, code=0, env=EN, stdin=None):
    """(stdout, stderr)"""
    p = subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, text=True, cwd=WORK, env=env, timeout=WAIT_S, input=stdin,
                       stdin=subprocess.DEVNULL if stdin is None else None)
    if p.returncode != code:
        raise SystemExit(f"ltctl {' '.join(args)}: exit {p.returncode}, wanted {code}\n{p.stdout}{p.stderr}")
    return p.stdout, p.stderr


def run(*args, **more):
    return ltctl(*args, **more)[0]


def complaint(*args, **more):
    return ltctl(*args, **{"code": 1, **more})[1]


def start(program, directory):
    log = open(f"{WORK}/{directory}.log", "ab")
    procs[directory] = subprocess.Popen([f"{BIN}/{program}", "-C", directory], cwd=WORK, stderr=log, stdout=log)


def stop(directory):
    p = procs.pop(directory)
    p.send_signal(signal.SIGTERM)
    assert p.wait(WAIT_S) == 0, f"{directory} did not stop cleanly"


def again(directory):
    """It asks at once, instead of after its 5 s."""
    stop(directory)
    start("lt-node", directory)


def until(what, done):
    end = time.monotonic() + WAIT_S
    while not (got := done()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)
    return got


def on_terminal(*args, columns=200):
    """What a terminal of so many columns gets."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(WORK)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
        os.execve(f"{BIN}/ltctl", ["ltctl", *args], EN)
    got = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        got += part
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return got.decode().replace("\r\n", "\n")


# ---- the code, drawn as a terminal draws it ----

PALETTE = {16: 0, 231: 255}  # of the 256 colours: black and white
BLOCKS = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


def render(text, ink, paper):
    """Pixels of the lines of half blocks on a terminal of these colours, 4 to a half block."""
    rows = []
    for line in text.splitlines():
        fg, bg, up, down = ink, paper, [], []
        for sgr, char in re.findall("\x1b\\[([0-9;]*)m|(.)", line):
            if char:
                assert char in BLOCKS, line
                top, bottom = BLOCKS[char]
                up.append(fg if top else bg)
                down.append(fg if bottom else bg)
            elif sgr in ("", "0"):
                fg, bg = ink, paper
            else:
                for k, n in re.findall("(38|48);5;([0-9]+)", sgr):
                    if k == "38":
                        fg = PALETTE[int(n)]
                    else:
                        bg = PALETTE[int(n)]
        rows += [up, down]
    width = max(map(len, rows))
    margin = 3  # of the terminal itself
    image = Image.new("L", (width + 2 * margin, len(rows) + 2 * margin), paper)
    for y, row in enumerate(rows):
        for x, v in enumerate(row):
            image.putpixel((x + margin, y + margin), v)
    return image.resize((image.width * 4, image.height * 4), Image.NEAREST)


def decode(image):
    scanner = zbar.ImageScanner()
    scanner.parse_config("enable")
    seen = zbar.Image(image.width, image.height, "Y800", image.tobytes())
    scanner.scan(seen)
    return [s.data for s in seen]


def qr_lines(out):
    return "".join(x + "\n" for x in out.splitlines() if "\x1b" in x)


def check_qr():
    for unit, more in (("17254", ()), ("16906", [x for n in range(8) for x in ("--address", f"tcp://hub{n}.{'n' * 100}.example:7340")])):
        out = run("-C", "hub", "enrol", "invite", "--unit", unit, "--qr", *more)
        line = out.splitlines()[0]
        code = qr_lines(out)
        assert out == line + "\n" + code and len(set(map(len, code.splitlines()))) == 1 or more
        for name, ink, paper in (("dark", 255, 0), ("light", 0, 255), ("grey", 200, 60)):
            assert decode(render(code, ink, paper)) == [line], f"{unit}, on a {name} terminal"
    # At a terminal it is drawn, if it fits and is wanted; elsewhere when asked for.
    out = on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254")
    assert decode(render(qr_lines(out), 255, 0)) == [x for x in out.splitlines() if x.startswith("LT1.")]
    assert not qr_lines(on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254", "--no-qr"))
    out = on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254", columns=40)
    assert not qr_lines(out) and "too narrow" in out and "LT1." in out
    assert not qr_lines(run("-C", "hub", "enrol", "invite", "--unit", "17254"))
    ltctl("-C", "hub", "enrol", "invite", "--unit", "17254", "--qr", "--no-qr", code=2)
    # Of the widths that it fits at all, the narrowest still reads.
    fits = [n for n in range(45, 90) if qr_lines(on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254", columns=n))][:1]
    out = on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254", columns=fits[0])
    assert decode(render(qr_lines(out), 0, 255)) == [x for x in out.splitlines() if x.startswith("LT1.")]


def check_file():
    out = run("-C", "hub", "enrol", "invite", "--unit", "17254", "-o", "letter")
    assert out == "", "the secret went to a pipe, too"
    text = open(f"{WORK}/letter").read()
    assert os.stat(f"{WORK}/letter").st_mode & 0o777 == 0o600 and os.listdir(WORK).count("letter") == 1
    assert unicodedata.is_normalized("NFC", text) and "17254" in text and "Con Cuông" in text, text
    assert "Có hiệu lực đến" in text and "một lần" in text
    (line,) = [x for x in text.splitlines() if x.startswith("LT1.")]
    before = len(json.loads(run("-C", "hub", "rpc", "call", "Admin/ListEnrolments", "{}")).get("enrolment", []))
    assert "there already" in complaint("-C", "hub", "enrol", "invite", "--unit", "17254", "--out", "letter")
    assert open(f"{WORK}/letter").read() == text and before == 0
    shown = on_terminal("-C", "hub", "enrol", "invite", "--unit", "17254", "-o", "letter2", "--no-qr")
    (line2,) = [x for x in open(f"{WORK}/letter2").read().splitlines() if x.startswith("LT1.")]
    assert line2 in shown.splitlines()
    # The file cannot be written: the line is on standard output, for it is nowhere else.
    p = subprocess.run([f"{BIN}/ltctl", "-C", "hub", "enrol", "invite", "--unit", "17254", "-o", "no_such_folder/letter"],
                       capture_output=True, text=True, cwd=WORK, env=EN, timeout=WAIT_S, stdin=subprocess.DEVNULL)
    assert p.returncode != 0 and [x[:4] for x in p.stdout.splitlines()] == ["LT1."] and "letter" in p.stderr, (p.stdout, p.stderr)
    run("-C", "hub", "enrol", "invite", "--mirror", "-o", "letter3")
    assert "Dành cho: máy chủ bản sao\n" in open(f"{WORK}/letter3").read()
    return text, line


def check_forms(text, line):
    """However it comes, each form makes a machine; nothing is asked of the hub here."""
    folded = "\r\n".join(line[i:i + 40] for i in range(0, len(line), 40))
    forms = {
        "line": ([line], None), "words": (line[:30].split() + [line[30:90], line[90:]], None), "stdin": ([], line), "dash": (["-"], line + "\n"),
        "folded": ([folded], None), "quoted": ([], "> Kính gửi:\n" + "".join(f"> {x}\n" for x in folded.splitlines())),
        "bom": ([], "\ufeff" + text.replace("\n", "\r\n")), "nfd": ([], unicodedata.normalize("NFD", text)),
        "file": (["letter"], None), "at": (["@letter"], None), "blanks": (["  " + " ".join(line[i:i + 7] for i in range(0, len(line), 7))], None),
    }
    for name, (args, stdin) in forms.items():
        out = run("-C", f"form-{name}", "node", "init", *args, stdin=stdin)
        assert "17254" in out, (name, out)
    open(f"{WORK}/utf16", "wb").write(text.encode("utf-16"))
    run("-C", "form-utf16", "node", "init", "utf16")


def check_bad(line):
    changed = line[:60] + ("A" if line[60] != "A" else "B") + line[61:]
    cases = (
        (line[:100], "cut off", "bị cắt"), (line[:-1], "cut off", "bị cắt"), (changed, "checksum", "mã kiểm tra"),
        ("LT2" + line[3:], "newer version", "phiên bản mới hơn"), ("Kính gửi xã", "no invitation", "không phải thư mời"),
        ("", "no invitation", "không phải thư mời"), ("x" * 70000, "too long", "dài quá"))
    for text, en, vi in cases:
        assert en in complaint("-C", "bad", "node", "init", "-", stdin=text), (text, en)
        assert vi in complaint("-C", "bad", "node", "init", "-", stdin=text, env=VI), (text, vi)
    assert "no such" in complaint("-C", "bad", "node", "init", "@nowhere", code=3).lower()
    old = run("-C", "hub", "enrol", "invite", "--unit", "17254", "--expires", "1").strip()
    until("it expires", lambda: "has expired" in ltctl("-C", "bad", "node", "init", old, code=1)[1] if expired(old) else False)
    assert "đã hết hạn" in complaint("-C", "bad", "node", "init", old, env=VI)
    assert not os.path.exists(f"{WORK}/bad"), "a refused invitation left something"
    run("-C", "late", "node", "init", old, "--anyway")


def expired(line):
    """By its own word: field 9, the last one before the check of 4 bytes."""
    raw = base64.urlsafe_b64decode(line[4:] + "=" * (-len(line[4:]) % 4))[:-4]
    assert raw[-6] == 0x48
    at = sum((b & 0x7f) << 7 * i for i, b in enumerate(raw[-5:]))
    return time.time() > at


def words_of(text):
    """Those of the machine and of the province, as its people see them."""
    own = re.search("words of this machine: *(.*)", text)
    return own and own.group(1).strip(), re.search("words of the province: *(.*)", text).group(1).strip()


def waiting():
    return [x for x in map(json.loads, run("-C", "hub", "enrol", "list", "--json").splitlines()) if x.get("state") == "pending"]


def other(words, at):
    """One of them heard wrongly."""
    w = words.split()
    w[at] = "ba" if w[at] != "ba" else "xup"
    return " ".join(w)


def with_marks(words):
    """As somebody types them whose keyboard puts tone marks and capitals everywhere."""
    return ", ".join(unicodedata.normalize("NFC", w[:1].upper() + w[1:].replace("a", "a\u0301").replace("o", "o\u0302\u0300")) for w in words.split())


def check_in(line):
    """Three machines of one commune, each with its own invitation: one in, one refused, one whose invitation was cancelled before."""
    made = run("-C", "node1", "node", "init", "-", "--label", "Máy một cửa", stdin=line)
    own, province = words_of(made)
    assert len(own.split()) == len(province.split()) == 8 and own != province
    # Both ends read the same.
    shown = json.loads(run("-C", "node1", "node", "show", "--json"))
    assert (shown["words"], shown["province_words"]) == (own, province) == words_of(run("-C", "node1", "node", "show"))
    hub = subprocess.run([f"{BIN}/ltctl", "-C", "hub", "status"], capture_output=True, text=True, cwd=WORK, env=EN, timeout=WAIT_S).stdout
    assert words_of(hub)[1] == province and words_of(hub)[0] is None
    assert province in open(f"{WORK}/letter").read()
    start("lt-node", "node1")
    (asked,) = until("node1 asks", waiting)
    assert asked["fingerprint"] == own and asked["unit_name"] == "Con Cuông" and asked["address"].startswith("127.0.0.1") and asked["asked_ms"] > 0
    for env, parts in ((EN, ("WAITING", "Con Cuông (17254)", "Máy một cửa", own, province, "127.0.0.1")), (VI, ("ĐANG CHỜ", "Con Cuông (17254)", own, province))):
        out = run("-C", "hub", "enrol", "list", env=env)
        assert all(x in out for x in parts), out

    def status():
        return subprocess.run([f"{BIN}/ltctl", "-C", "node1", "status"], capture_output=True, text=True, cwd=WORK, env=EN).stdout
    until("the node serves", status)
    assert words_of(status()) == (own, province)
    # Approved by what was heard, and by nothing else.
    approve = ("-C", "hub", "enrol", "approve")
    assert "7 of the 8" in complaint(*approve, "--words", other(own, 3))
    assert "not the one that you speak with" in complaint(*approve, "--words", "ba ba ba ba ba ba ba ba")
    assert "7/8" in complaint(*approve, asked["principal"], "--words", other(own, 7), env=VI)
    assert "word 2, 'na'" in complaint(*approve, "--words", "la na ba ba ba ba ba ba", code=2)
    assert "7 were given" in complaint(*approve, "--words", " ".join(own.split()[:7]), code=2)
    complaint(*approve, "--words", "", code=2)
    complaint(*approve, code=2)
    complaint(*approve, "all", "--words", own, code=2)
    bad = ("-C", "hub", "rpc", "call", "Admin/Approve")
    _, err = ltctl(*bad, json.dumps({"principal": base64.b64encode(bytes.fromhex(asked["principal"])).decode(), "words": other(own, 0)}), code=1)
    assert "WORDS" in err or "words" in err, err
    assert waiting() == [asked]
    assert "active" in run(*approve, "--words", with_marks(own))
    assert waiting() == []
    complaint(*approve, "--words", own)
    again("node1")
    until("node1 is in", lambda: subprocess.run([f"{BIN}/ltctl", "-C", "node1", "get", "_unit", "17254"], capture_output=True, cwd=WORK).returncode == 0)
    # Refused: its people read why.
    second = run("-C", "hub", "enrol", "invite", "--unit", "17254", "--label", "Máy hai").strip()
    run("-C", "node2", "node", "init", "-", stdin=second)
    start("lt-node", "node2")
    (asked,) = until("node2 asks", waiting)
    run("-C", "hub", "enrol", "reject", asked["principal"], "--reason", "máy này không phải của xã")
    again("node2")
    state = ["-C", "node2", "status"]

    def reads(env, *parts):
        def now():
            out = subprocess.run([f"{BIN}/ltctl", *state], capture_output=True, text=True, cwd=WORK, env=env).stdout
            return all(p in out for p in parts)
        return now
    until("node2 reads why", reads(VI, "tỉnh không nhận máy này: máy này không phải của xã; hãy"))
    assert reads(EN, "the province has refused this machine: máy này không phải của xã; ask for a new invitation")()
    # Cancelled before anybody used it.
    third = run("-C", "hub", "enrol", "invite", "--unit", "17254").strip()
    before = [json.loads(x) for x in run("-C", "hub", "enrol", "invitations", "--json").splitlines()]
    assert all(x["state"] == "open" and x["unit_name"] == "Con Cuông" for x in before if x["unit"] == "17254")
    text = run("-C", "hub", "enrol", "invitations", "--all") + json.dumps(before)
    assert third not in text and third[90:120] not in text and "open" in text and "used" in text
    run("-C", "node3", "node", "init", "-", stdin=third)
    new = before[-1]["id"]
    complaint("-C", "hub", "enrol", "cancel", new[:7], code=2)
    complaint("-C", "hub", "enrol", "cancel", "0" * 64)
    assert "cancelled" in run("-C", "hub", "enrol", "cancel", new[:16])
    assert "đã hủy" in run("-C", "hub", "enrol", "cancel", new, env=VI)
    after = [json.loads(x) for x in run("-C", "hub", "enrol", "invitations", "--json").splitlines()]
    assert new not in [x["id"] for x in after] and len(after) == len(before) - 1
    used = [json.loads(x) for x in run("-C", "hub", "enrol", "invitations", "--all", "--json").splitlines()]
    used = [x for x in used if x["state"] == "used"]
    assert len(used) == 2 and "has been used" in complaint("-C", "hub", "enrol", "cancel", used[0]["id"])
    start("lt-node", "node3")
    state[1] = "node3"
    until("node3 reads why", reads(VI, "tỉnh đã hủy thư mời này; hãy"))


def check_gone():
    """What was decided about a machine since it was let in is what the list says of it, not what was answered then."""
    who = next(json.loads(x)["principal"] for x in run("-C", "hub", "enrol", "list", "--json").splitlines() if json.loads(x)["state"] == "active")

    def said(env):
        (row,) = [x for x in run("-C", "hub", "enrol", "list", env=env).splitlines() if who in x]
        return row.split("  ")[0]

    def state():
        return next(x["state"] for x in map(json.loads, run("-C", "hub", "enrol", "list", "--json").splitlines()) if x["principal"] == who)
    assert (said(EN), said(VI)) == ("active", "đang hoạt động")
    run("-C", "hub", "keys", "suspend", who)
    until("it is suspended", lambda: state() == "suspended")
    run("-C", "hub", "keys", "resume", who)
    until("it is resumed", lambda: state() == "active")
    run("-C", "hub", "keys", "revoke", who, "--reason", "stolen")
    until("it is revoked", lambda: state() == "revoked")
    assert (said(EN), said(VI)) == ("revoked", "đã thu hồi"), (said(EN), said(VI))
    assert waiting() == []


def main():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run("-C", "hub", "hub", "init", "--province", "40", "--listen", f"tcp://127.0.0.1:{port}", "--root-words-file", "root.words")
    start("lt-hub", "hub")
    until("the hub answers", lambda: subprocess.run([f"{BIN}/ltctl", "-C", "hub", "nodes"], capture_output=True, cwd=WORK).returncode == 0)
    check_qr()
    text, line = check_file()
    check_forms(text, line)
    check_bad(line)
    check_in(line)
    check_gone()
    for directory in list(procs):
        stop(directory)


WORK = tempfile.mkdtemp(prefix="lt_enrol_")
try:
    main()
    print("ok")
finally:
    for p in procs.values():
        p.kill()
    shutil.rmtree(WORK)
