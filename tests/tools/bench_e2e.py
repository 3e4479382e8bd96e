"""lt-bench as people and scripts meet it: usage, the JSON, and nothing left behind, also when it is interrupted.
bench_e2e.py BIN-DIRECTORY"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

bench = os.path.join(sys.argv[1], "lt-bench")


def run(*args):
    return subprocess.run([bench, *args], capture_output=True, text=True, timeout=300)


def daemons_in(folder):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if folder.encode() in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


# usage
names = [line.split()[0] for line in run("--list").stdout.splitlines()]
assert {"intake-1", "intake-100", "intake-1000", "visible", "query", "connect", "node", "line", "hostile", "timing"} <= set(names), names
for wrong in (["--only", "nothing"], ["--only", "intake-1x"], ["--only", ""], ["--json"], ["extra"], ["--fast"]):
    r = run(*wrong)
    assert r.returncode == 2 and not r.stdout and "usage" in r.stderr, (wrong, r)
assert run("--help").returncode == 0
assert run("--only", "visible", "--dir", "/nonexistent").returncode == 3

# a small run: JSON that agrees with itself, and an empty folder afterwards
with tempfile.TemporaryDirectory() as folder:
    out = os.path.join(folder, "figures.json")
    work = os.path.join(folder, "work")
    os.mkdir(work)
    r = run("--quick", "--only", "visible", "--only", "node", "--only", "line", "--dir", work, "--json", out)
    assert r.returncode == 0, r
    assert os.listdir(work) == [], os.listdir(work)
    with open(out) as f:
        d = json.load(f)
    assert d["quick"] is True
    assert {"cpu", "cores", "kernel", "disk", "versions", "load_before", "others_cores"} <= set(d["machine"])
    assert {f["benchmark"] for f in d["figures"]} == {"visible", "node", "line"}
    budgets = [f for f in d["figures"] if "budget" in f]
    assert len(budgets) >= 5
    for f in budgets:
        met = f["value"] >= f["budget"] if f["budget_is"] == "at least" else f["value"] <= f["budget"]
        assert f["pass"] is met, f
        assert abs(f["ratio"] - f["value"] / f["budget"]) <= 1e-6 * abs(f["ratio"]), f
    # every figure stands in the table as well
    for f in d["figures"]:
        assert f["name"] in r.stdout, f
    assert f"{sum(f['pass'] for f in budgets)} of {len(budgets)} budgets met" in r.stdout

# interrupted while a daemon runs: folder and daemons go
with tempfile.TemporaryDirectory() as work:
    p = subprocess.Popen([bench, "--only", "visible", "--dir", work], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    # itself and its daemons; their folder is on their command line
    while len(daemons_in(work + "/lt-bench-")) < 2 and time.monotonic() < until:
        assert p.poll() is None, p.returncode
        time.sleep(0.01)
    p.send_signal(signal.SIGTERM)
    assert p.wait(60) == 128 + signal.SIGTERM, p.returncode
    while daemons_in(work + "/lt-bench-") and time.monotonic() < until:
        time.sleep(0.01)
    assert daemons_in(work + "/lt-bench-") == []
    assert os.listdir(work) == [], os.listdir(work)
print("lt-bench: usage, JSON and clean ends")
