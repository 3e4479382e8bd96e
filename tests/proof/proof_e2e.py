#!/usr/bin/env python3
"""Proofs out of real daemons: made at a node, at the hub, for a department, and out of stopped stores; checked by ltctl and by the
second implementation, as they are and with every bit flipped.

usage: proof_e2e.py BIN [--all] [--seeds DIR]
    --all        the second implementation, too, with every bit; else with one bit of every byte
    --seeds DIR  leave every proof there, behind its root key: inputs of tests/fuzz/fuzz_proof.c
"""
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify_proof

BIN = os.path.abspath(sys.argv[1])
ALL = "--all" in sys.argv[2:]
SEEDS = sys.argv[sys.argv.index("--seeds") + 1] if "--seeds" in sys.argv else None
WAIT_S = 60
ENV = {**os.environ, "LIENTHONG_LANG": "en"}
ENV.pop("LIENTHONG_DIR", None)
UNIT, C = "16906", "household_poverty"
KEY = "16906/HN00500"
HOUSE = ["village=Bản Một", "head_name=Lô Văn Mẫu", "members=5", "class=ngheo", "recognised_year=2025",
         "reviewed_date=2025-09-15", "head_id_no=099085000001"]
procs = {}


def run(*args, code=0, env=ENV):
    p = subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, text=True, cwd=WORK, env=env, timeout=WAIT_S)
    if p.returncode != code:
        raise SystemExit(f"ltctl {' '.join(args)}: exit {p.returncode}, wanted {code}\n{p.stdout}{p.stderr}")
    return p.stdout if code == 0 else p.stderr


def start(program, directory):
    log = open(f"{WORK}/{directory}.log", "ab")
    procs[directory] = subprocess.Popen([f"{BIN}/{program}", "-C", directory], cwd=WORK, stderr=log, stdout=log)


def stop(directory):
    p = procs.pop(directory)
    p.send_signal(signal.SIGTERM)
    assert p.wait(WAIT_S) == 0, f"{directory} did not stop cleanly"


def until(what, *args):
    end = time.monotonic() + WAIT_S
    while subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, cwd=WORK, env=ENV).returncode != 0:
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.1)


def found():
    """A hub, a node that nobody has let in yet, a department."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run("-C", "hub", "hub", "init", "--province", "40", "--listen", f"tcp://127.0.0.1:{port}", "--root-words-file", "words")
    start("lt-hub", "hub")
    until("the hub answers", "-C", "hub", "nodes")
    run("-C", "hub", "enrol", "invite", "--unit", UNIT, "--auto-approve", "--out", "inv")
    run("-C", "node", "node", "init", "@inv", "--label", "Máy số 1")
    start("lt-node", "node")
    until("the catalogue comes down", "-C", "node", "get", "_unit", UNIT)
    run("-C", "hub", "enrol", "invite", "--org", "so_noi_vu", "--auto-approve", "--out", "inv-dept")
    run("-C", "dept", "client", "init", "@inv-dept")
    until("the department is let in", "-C", "dept", "client", "join")
    return [x.split("=")[1].strip() for x in open(f"{WORK}/hub/identity") if x.startswith("root_key=")][0]


def write_record():
    """Three changes, in three change-sets among others of other records."""
    n = ["-C", "node"]
    run(*n, "put", C, "16906/HN00400", *HOUSE)
    run(*n, "put", C, KEY, *HOUSE, "--actor", "lo.van.mau")
    run(*n, "put", C, "16906/HN00401", *HOUSE)
    run(*n, "put", C, KEY, "members=6", "head_name=Lô Văn Thử")
    run(*n, "put", C, KEY, "--clear", "head_id_no")
    run(*n, "put", C, "16906/HN00402", *HOUSE)
    run(*n, "delete", C, "16906/HN00402")


def proof(directory, name, *options, changes=3):
    """A proof made there; its bytes."""
    end = time.monotonic() + WAIT_S
    args = ["-C", directory, "prove", C, KEY, "--unit", UNIT, "-o", name, "--json", *options]
    while True:  # the verdicts may be still on their way
        p = subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
        said = json.loads(p.stdout) if p.returncode == 0 else {}
        if said.get("changes") == changes and said["unjudged"] == 0:
            break
        assert time.monotonic() < end and p.returncode in (0, 3), f"{args}\n{p.stdout}{p.stderr}"
        time.sleep(0.1)
    data = open(f"{WORK}/{name}", "rb").read()
    assert said["bytes"] == len(data)
    return data


def same(name, root):
    """Both implementations say the same of a file; what they say."""
    ours = json.loads(run("-C", "/nonexistent", "verify-proof", name, "--root", root, "--json"))
    theirs = verify_proof.check(open(f"{WORK}/{name}", "rb").read(), bytes.fromhex(root))
    if SEEDS:
        data = open(f"{WORK}/{name}", "rb").read()
        with open(f"{SEEDS}/{hashlib.sha1(data).hexdigest()}", "wb") as f:
            f.write(bytes.fromhex(root) + data)
    for k in ("good", "collection", "unit", "key", "federation"):
        assert ours[k] == theirs[k], (k, ours[k], theirs[k])
    by_dot = lambda c: (c["feed"], c["seq"], c["index"])
    a, b = sorted(ours["changes"], key=by_dot), sorted(theirs["changes"], key=by_dot)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        y["fields"] = sorted(y["fields"])
        x = {**x, "fields": sorted(x["fields"])}
        for k in y:
            assert x.get(k) == y[k], (k, x, y)
    return ours


def flip_all(name, root):
    """Every bit of the file, one at a time: both refuse."""
    data = open(f"{WORK}/{name}", "rb").read()
    with subprocess.Popen([f"{BIN}/proof_flip", f"{WORK}/{name}", root], stdout=subprocess.PIPE, text=True) as p:
        tried = range(8 * len(data)) if ALL else [8 * i + i % 8 for i in range(len(data))]
        for i in tried:
            bad = bytearray(data)
            bad[i // 8] ^= 1 << i % 8
            try:
                verify_proof.check(bytes(bad), bytes.fromhex(root))
            except verify_proof.Refused:
                continue
            raise AssertionError(f"byte {i // 8}, bit {i % 8}: the second implementation takes it")
        print(p.stdout.read().strip())
    assert p.returncode == 0
    return len(tried)


def check_made(root):
    at_node = proof("node", "node.proof")
    told = same("node.proof", root)
    states = [c["state"] for c in told["changes"]]
    assert states == ["accepted"] * 3, states
    first, second, third = told["changes"]
    assert first["fields"]["head_name"] == "Lô Văn Mẫu" and first["fields"]["_actor"] == "lo.van.mau"
    assert second["fields"] == {"members": 6, "head_name": "Lô Văn Thử"} or second["fields"]["members"] == 6
    assert third["cleared"] == ["head_id_no"] and all(not c["withheld"] for c in told["changes"])
    assert all(c["label"] == "Máy số 1" and c["since_ms"] and c["judged_ms"] for c in told["changes"]), told
    at_hub = proof("hub", "hub.proof")
    told = same("hub.proof", root)
    assert "head_name" in told["changes"][0]["withheld"] and "_actor" in told["changes"][0]["withheld"]
    assert "Lô Văn".encode() not in at_hub and b"099085000001" not in at_hub and b"lo.van.mau" not in at_hub
    assert all(c["since_ms"] for c in told["changes"])
    print(f"3 changes: {len(at_node)} bytes from the node, {len(at_hub)} from the hub")
    assert len(at_node) < 8192 and len(at_hub) < 8192
    return at_node, at_hub


def check_department(root):
    proof("dept", "dept.proof")
    told = same("dept.proof", root)
    shown = set(told["changes"][0]["fields"]) | set(told["changes"][0]["withheld"])
    assert {"head_name", "village", "_actor"} <= shown
    masked = {m for line in run("-C", "dept", "history", C, KEY, "--unit", UNIT, "--json").splitlines()
              for m in json.loads(line)["masked"]}
    withheld = {m for c in told["changes"] for m in c["withheld"]}
    assert withheld and withheld <= masked, (masked, withheld)  # history names what is hidden, set or not


def check_two_nodes(root):
    """A second machine of the commune goes on with the record: its change names the first one's."""
    run("-C", "hub", "enrol", "invite", "--unit", UNIT, "--auto-approve", "--out", "inv2")
    run("-C", "node2", "node", "init", "@inv2", "--label", "Máy số 2")
    start("lt-node", "node2")
    until("the record comes down", "-C", "node2", "get", C, KEY)
    run("-C", "node2", "put", C, KEY, "members=9")
    for directory in ("hub", "node2", "node"):
        data = proof(directory, f"{directory}.proof", changes=4)
        told = same(f"{directory}.proof", root)["changes"]
        assert [c["label"] for c in told] == ["Máy số 1"] * 3 + ["Máy số 2"] and told[3]["state"] == "accepted", told
        print(f"4 changes of 2 machines, from {directory}: {len(data)} bytes")
    stop("node2")


def check_hub_record(root):
    """What the hub wrote needs no verdict."""
    for directory in ("hub", "node", "dept"):
        run("-C", directory, "prove", "_unit", UNIT, "-o", "unit.proof")
        told = same("unit.proof", root)["changes"]
        assert len(told) == 1 and told[0]["by_hub"] and told[0]["state"] == "accepted"


def check_stopped(root):
    """Without the hub, what it has not judged is left out; out of stores that nobody runs, the same comes."""
    stop("hub")
    run("-C", "node", "put", C, KEY, "members=10")
    run("-C", "node", "put", C, "16906/HN00600", *HOUSE)
    said = json.loads(run("-C", "node", "prove", C, KEY, "-o", "later.proof", "--json"))
    assert (said["changes"], said["unjudged"]) == (4, 1), said
    run("-C", "node", "prove", C, "16906/HN00600", "-o", "x", code=3)
    assert same("later.proof", root)["changes"] == same("node.proof", root)["changes"]
    stop("node")
    for directory in ("node", "hub"):
        before = same(f"{directory}.proof", root)
        said = json.loads(run("-C", directory, "prove", C, KEY, "--unit", UNIT, "-o", "offline.proof", "--offline", "--json"))
        assert said["changes"] == 4, said
        assert same("offline.proof", root)["changes"] == before["changes"]
    run("-C", "dept", "prove", C, KEY, "--unit", UNIT, "-o", "x", "--offline", code=2)


def check_commands(root):
    n = ["-C", "node"]
    run(*n, "prove", C, "16906/HN00999", "-o", "x", code=1)
    run(*n, "prove", "nothing", KEY, "-o", "x", code=1)
    run(*n, "prove", C, KEY, code=2)
    run(*n, "prove", C, "-o", "x", code=2)
    assert not os.path.exists(f"{WORK}/x")
    run(*n, "verify-proof", "node.proof")  # the root of this machine's federation
    run("-C", "/nonexistent", "verify-proof", "node.proof", code=3)
    run("-C", "/nonexistent", "verify-proof", "nowhere.proof", "--root", root, code=3)
    run(*n, "verify-proof", "node.proof", "--root", "123", code=2)
    run(*n, "verify-proof", "node.proof", "--root", "xx yy", code=2)
    assert "NOT PROVEN" in run(*n, "verify-proof", "node.proof", "--root", "00" * 31 + "01", code=1)
    assert "KHÔNG CHỨNG MINH" in run(*n, "verify-proof", "inv", code=1, env={**ENV, "LIENTHONG_LANG": "vi"})
    words = open(f"{WORK}/words").read()
    assert "NOT PROVEN" in run(*n, "verify-proof", "node.proof", "--root", words.strip(), code=1)  # those of the secret key
    for lang, needle in (("en", "ACCEPTED by the hub"), ("vi", "Đầu mối ĐÃ CHẤP NHẬN")):
        said = run("--lang", lang, *n, "verify-proof", "node.proof")
        assert said.count(needle) == 3 and "Máy số 1" in said, said
        assert ("Not proven:" if lang == "en" else "Không chứng minh:") in said


WORK = tempfile.mkdtemp(prefix="lt-proof-")
try:
    ROOT = found()
    write_record()
    check_made(ROOT)
    check_department(ROOT)
    check_commands(ROOT)
    shutil.copy(f"{WORK}/node.proof", f"{WORK}/three.proof")
    check_two_nodes(ROOT)
    check_hub_record(ROOT)
    check_stopped(ROOT)
    begun = time.monotonic()
    flips = flip_all("three.proof", ROOT)
    print(f"{flips} of them with the second implementation, each refused, {time.monotonic() - begun:.1f} s")
except BaseException:
    for log_name in os.listdir(WORK):
        if log_name.endswith(".log"):
            print(f"--- {log_name}\n{open(f'{WORK}/{log_name}').read()[-1500:]}")
    raise
finally:
    for proc in procs.values():
        proc.kill()
        proc.wait()
    shutil.rmtree(WORK, ignore_errors=True)
print("every step held")
