#!/usr/bin/env python3
"""A copied machine: the fork it makes, the ruling, and the evidence of both, out of real daemons; checked by ltctl and by the second
implementation, as it is and with each member altered.

usage: fork_e2e.py BIN
"""
import copy
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
import verify_fork

BIN = os.path.abspath(sys.argv[1])
WAIT_S = 60
UNIT, C = "16906", "household_poverty"
NAMES = ["Lô Văn Mẫu", "Vi Thị Thử"]
HOUSE = ["village=Bản Một", "members=5", "class=ngheo", "recognised_year=2025", "reviewed_date=2025-09-15",
         "head_id_no=099085000001"]
procs = {}


def env(lang="en"):
    e = {**os.environ, "LIENTHONG_LANG": lang}
    e.pop("LIENTHONG_DIR", None)
    return e


def ltctl(*args, lang="en"):
    return subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, text=True, cwd=WORK, env=env(lang), timeout=WAIT_S)


def run(*args, code=0, lang="en"):
    p = ltctl(*args, lang=lang)
    if p.returncode != code:
        raise SystemExit(f"ltctl {' '.join(args)}: exit {p.returncode}, wanted {code}\n{p.stdout}{p.stderr}")
    return p.stdout if code == 0 else p.stderr


def start(program, directory):
    with open(f"{WORK}/{directory}.log", "ab") as log:
        procs[directory] = subprocess.Popen([f"{BIN}/{program}", "-C", directory], cwd=WORK, stderr=log, stdout=log)


def stop(directory):
    p = procs.pop(directory)
    p.send_signal(signal.SIGTERM)
    assert p.wait(WAIT_S) == 0, f"{directory} did not stop cleanly"


def until(what, ask):
    end = time.monotonic() + WAIT_S
    while True:
        got = ask()
        if got:
            return got
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


def forks(directory):
    return [json.loads(x) for x in run("-C", directory, "forks", "--json").splitlines()]


def put(directory, number, name):
    until("written", lambda: ltctl("-C", directory, "put", C, f"16906/HN{number:05}", f"head_name={name}", *HOUSE).returncode == 0)


def up(directory):
    return lambda: ltctl("-C", directory, "forks").returncode == 0


def fork_it():
    """The node writes, with the hub; its copy does, without; then the copy meets the hub. The root key."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run("-C", "hub", "hub", "init", "--province", "40", "--listen", f"tcp://127.0.0.1:{port}", "--root-words-file", "words")
    start("lt-hub", "hub")
    until("the hub answers", up("hub"))
    assert forks("hub") == []
    assert "No feed has two branches" in run("-C", "hub", "forks")
    # It answers before its tables show what the first start wrote.
    until("the hub knows the unit",
          lambda: ltctl("-C", "hub", "enrol", "invite", "--unit", UNIT, "--auto-approve", "--out", "inv").returncode == 0)
    run("-C", "node", "node", "init", "@inv", "--label", "Máy số 1")
    start("lt-node", "node")
    until("the catalogue comes down", lambda: ltctl("-C", "node", "get", "_unit", UNIT).returncode == 0)
    put("node", 1, NAMES[0])
    until("the hub has it", lambda: ltctl("-C", "hub", "get", C, "16906/HN00001", "--unit", UNIT).returncode == 0)
    stop("node")
    shutil.copytree(f"{WORK}/node", f"{WORK}/twin", ignore=shutil.ignore_patterns("sock"))
    start("lt-node", "node")
    until("the node answers", up("node"))
    put("node", 2, NAMES[0])
    until("the hub has that", lambda: ltctl("-C", "hub", "get", C, "16906/HN00002", "--unit", UNIT).returncode == 0)
    stop("node")
    stop("hub")
    start("lt-node", "twin")
    until("the copy answers", up("twin"))
    put("twin", 3, NAMES[1])
    start("lt-hub", "hub")
    until("ruled at the hub", lambda: [f for f in ltctl_forks("hub") if f["ruled_ms"] and f["here"]])
    until("ruled at the node", lambda: [f for f in ltctl_forks("twin") if f["ruled_ms"] and f["here"]])
    return [x.split("=")[1].strip() for x in open(f"{WORK}/hub/identity", encoding="utf-8") if x.startswith("root_key=")][0]


def ltctl_forks(directory):
    p = ltctl("-C", directory, "forks", "--json")
    return [json.loads(x) for x in p.stdout.splitlines()] if p.returncode == 0 else []


def verify(name, root):
    return ltctl("-C", "/nonexistent", "forks", "verify", name, "--root", root, "--json")


def second(text, root):
    try:
        return verify_fork.check(text, bytes.fromhex(root))
    except (verify_fork.Refused, ValueError, KeyError, TypeError):
        return None


def places(o, path=()):
    """Every member and item."""
    items = o.items() if isinstance(o, dict) else enumerate(o) if isinstance(o, list) else ()
    for k, v in items:
        yield path + (k,)
        yield from places(v, path + (k,))


def altered(v, at):
    if isinstance(v, str):
        if all(c in "0123456789abcdef" for c in v):
            i = at % len(v)
            return v[:i] + "0123456789abcdef"[int(v[i], 16) ^ 1] + v[i + 1:]
        return v + "x"
    if isinstance(v, int):
        return v + 1
    return []


def with_at(o, path, v):
    o = copy.deepcopy(o)
    to = o
    for k in path[:-1]:
        to = to[k]
    if v is None:
        del to[path[-1]]
    else:
        to[path[-1]] = v
    return o


def refused(o, root, what):
    text = json.dumps(o)
    assert second(text, root) is None, f"{what}: the second implementation takes it"
    with open(f"{WORK}/bad", "w", encoding="utf-8") as f:
        f.write(text)
    p = verify("bad", root)
    said = json.loads(p.stdout)
    assert p.returncode == 1 and said["good"] is False and len(said["error"]) > 10, (what, p.stdout, p.stderr)


def alter_each(o, root):
    for path in places(o):
        v = o
        for k in path:
            v = v[k]
        refused(with_at(o, path, altered(v, 7)), root, path)
        refused(with_at(o, path, None), root, ("without", *path))
        # Every digit, for the second implementation alone; ltctl sees one of the last.
        if isinstance(v, str) and len(v) > 60:
            for at in range(len(v)):
                assert second(json.dumps(with_at(o, path, altered(v, at))), root) is None, (path, at)
            refused(with_at(o, path, altered(v, len(v) - 2)), root, path)
            refused(with_at(o, path, v.upper() + ("" if v.upper() != v else "00")), root, path)
    refused(with_at(o, ("more",), 1), root, "a member too many")
    refused({**o, "counts": o["other"], "other": o["counts"]}, root, "the other way round")
    refused({**o, "other": o["counts"]}, root, "one branch twice")
    refused({**o, "keys": o["keys"] + [{"key_no": 9, "sign_key": "00" * 32}]}, root, "a key too many")
    assert verify("whole", "00" * 32).returncode == 1


def main():
    root = fork_it()
    at_hub, at_node = forks("hub"), forks("twin")
    assert len(at_hub) == 1 and len(at_node) == 1, (at_hub, at_node)
    for k in ("unit", "feed", "seq", "counts", "other", "ruled_ms", "hub"):
        assert at_hub[0][k] == at_node[0][k], k
    f = at_hub[0]
    for lang, word in (("en", "does not"), ("vi", "không tính")):
        assert word in run("-C", "hub", "forks", lang=lang) and f["counts"][:16] in run("-C", "twin", "forks", lang=lang)
    assert "'ltctl forks'" in run("-C", "hub", "status")
    assert json.loads(run("-C", "hub", "status", "--json"))["forks"] == 1
    run("-C", "hub", "forks", "export", UNIT, f["feed"], str(f["seq"]), "-o", "whole")
    run("-C", "twin", "forks", "export", UNIT, f["feed"], str(f["seq"]), "-o", "whole2")
    run("-C", "hub", "forks", "export", UNIT, f["feed"], "999", "-o", "none", code=1)
    with open(f"{WORK}/whole", encoding="utf-8") as file:
        text = file.read()
    with open(f"{WORK}/whole2", encoding="utf-8") as file:
        assert json.loads(file.read()) == json.loads(text)
    ours = json.loads(verify("whole", root).stdout)
    theirs = second(text, root)
    assert theirs is not None and ours == theirs, (ours, theirs)
    for k in ("unit", "feed", "seq", "counts", "other", "ruled_ms"):
        assert ours[k] == f[k], k
    # Nobody is in it, and nothing of what was said.
    for word in NAMES + ["099085000001", "HN00002", "HN00003", "Bản Một", "head_name"]:
        assert word not in text and word.encode().hex() not in text, word
    alter_each(json.loads(text), root)
    # Over a restart it is written no second time.
    stop("hub")
    start("lt-hub", "hub")
    until("the hub is back", up("hub"))
    put("twin", 4, NAMES[1])
    until("and works", lambda: ltctl("-C", "hub", "get", C, "16906/HN00004", "--unit", UNIT).returncode == 0)
    assert forks("hub") == at_hub


with tempfile.TemporaryDirectory() as WORK:
    try:
        main()
    finally:
        for p in procs.values():
            p.kill()
