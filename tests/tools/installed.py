#!/usr/bin/env python3
"""What cmake --install leaves, used by itself: a hub and a node made, a record put and got, the manual pages and the data there.

The daemons run with the system calls that their systemd units allow, and no others; a sanitizer's runtime needs more, and is let.

usage: installed.py BUILD CMAKE [SANITIZER]
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD, CMAKE = os.path.abspath(sys.argv[1]), sys.argv[2]
FILTERED = f"{os.path.dirname(os.path.abspath(__file__))}/filtered.py" if len(sys.argv) < 4 or sys.argv[3] == "" else None
EXPOSURE_MAX = 15  # in tenths, of systemd-analyze security
WAIT_S = 60
WANTED = """bin/lt-bench bin/lt-gen bin/ltctl sbin/lt-hub sbin/lt-node
share/doc/lienthong/CHANGELOG.md share/doc/lienthong/FORMAT.md
share/doc/lienthong/README.md share/doc/lienthong/THREATS.md share/lienthong/catalogue.json share/lienthong/directives.jsonl
share/lienthong/import/README.md share/lienthong/import/ho_ngheo.json share/lienthong/succession.csv
share/lienthong/units.csv share/man/man1/lt-bench.1 share/man/man1/lt-gen.1 share/man/man1/ltctl.1 share/man/man8/lt-hub.8
share/man/man8/lt-node.8 lib/systemd/system/lt-hub.service lib/systemd/system/lt-node.service lib/sysusers.d/lienthong.conf""".split()
procs = []


def install(prefix, destdir=""):
    env = {**os.environ, "DESTDIR": destdir}
    subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix], check=True, env=env, stdout=subprocess.DEVNULL)
    root = destdir + prefix
    for name in WANTED:
        assert os.path.isfile(f"{root}/{name}"), f"not installed: {name}"
    return root


def env_of(root):
    """As a newcomer has it: nothing but the tree and the system."""
    return {"PATH": f"{root}/bin:{root}/sbin:/usr/bin:/bin", "HOME": WORK, "LANG": "C.UTF-8", "LIENTHONG_LANG": "en"}


def run(root, *args, code=0):
    p = subprocess.run(args, capture_output=True, text=True, cwd=WORK, env=env_of(root), timeout=WAIT_S)
    assert p.returncode == code, f"{' '.join(args)}: exit {p.returncode}, wanted {code}\n{p.stdout}{p.stderr}"
    return p.stdout


def start(root, program, directory):
    log = open(f"{WORK}/{directory}.log", "ab")
    args = [f"{root}/sbin/{program}", "-C", directory]
    if FILTERED is not None:
        args = [sys.executable, FILTERED, f"{root}/lib/systemd/system/{program}.service", *args]
    procs.append(subprocess.Popen(args, cwd=WORK, env=env_of(root), stdout=log, stderr=log))


def until(root, what, *args):
    end = time.monotonic() + WAIT_S
    while subprocess.run(args, capture_output=True, cwd=WORK, env=env_of(root)).returncode != 0:
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def hub_and_node(root):
    url = f"tcp://127.0.0.1:{free_port()}"
    run(root, "ltctl", "-C", "hub", "hub", "init", "--province", "40", "--listen", url, "--addresses", url)
    start(root, "lt-hub", "hub")
    until(root, "the hub answers", "ltctl", "-C", "hub", "nodes")
    line = run(root, "ltctl", "-C", "hub", "enrol", "invite", "--unit", "17254", "--expires", "7d").strip()
    run(root, "ltctl", "-C", "node", "node", "init", line)
    start(root, "lt-node", "node")
    until(root, "the node asks to join", "ltctl", "-C", "hub", "enrol", "approve", "all")
    until(root, "the catalogue comes down", "ltctl", "-C", "node", "get", "_unit", "17254")
    day = run(root, "lt-gen", "dossiers", "--unit", "17254", "--day", "2026-09-01", "--count", "20")
    with open(f"{WORK}/day.jsonl", "w", encoding="utf-8") as f:
        f.write(day)
    run(root, "ltctl", "-C", "node", "import", "dossier", "day.jsonl")
    key = json.loads(day.splitlines()[0])["dossier_code"]
    run(root, "ltctl", "-C", "node", "put", "dossier", key, "result_doc_no=77/KQ-UBND")
    got = json.loads(run(root, "ltctl", "-C", "node", "get", "dossier", key, "--json"))
    assert got["fields"]["result_doc_no"] == "77/KQ-UBND", got
    until(root, "all is receipted", "ltctl", "-C", "node", "status")
    run(root, "ltctl", "-C", "hub", "import", "commune_profile")  # reads units.csv and succession.csv
    for p in procs:
        p.send_signal(signal.SIGTERM)
    assert all(p.wait(WAIT_S) == 0 for p in procs), "a daemon did not stop cleanly"
    procs.clear()


def units(root):
    """What a unit leaves open, as systemd counts it; and that it is a unit at all."""
    for name in ("lt-hub.service", "lt-node.service"):
        unit = f"{WORK}/{name}"
        with open(f"{root}/lib/systemd/system/{name}", encoding="utf-8") as f:
            text = f.read()
        program = name.removesuffix(".service")
        command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        assert command.split()[0].endswith(f"/sbin/{program}") and command.split()[0].startswith("ExecStart=/"), command
        with open(unit, "w", encoding="utf-8") as f:
            f.write(text.replace(command, f"ExecStart={BUILD}/bin/{program} -C /var/lib/lienthong"))
        p = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit],
                           capture_output=True, text=True, timeout=WAIT_S)
        assert p.returncode == 0 and "Overall exposure level" in p.stdout, f"{name} is too open\n{p.stdout}{p.stderr}"
        print(p.stdout.strip().splitlines()[-1])
        if FILTERED is not None:  # what the unit forbids is noticed below
            p = subprocess.run([sys.executable, FILTERED, unit, sys.executable, "-c", "import os; os.chroot('/')"], timeout=WAIT_S)
            assert p.returncode == -signal.SIGSYS, f"chroot was let through: {p.returncode}"
        # The gate can refuse: without its fences the same service is far from it.
        with open(unit, "w", encoding="utf-8") as f:
            f.write(text.split("CapabilityBoundingSet=")[0])
        p = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit],
                           capture_output=True, text=True, timeout=WAIT_S)
        assert p.returncode != 0, f"a service without fences passes\n{p.stdout}"


def bench(root):
    out = run(root, "lt-bench", "--quick", "--only", "visible", "--dir", WORK)
    assert "commit at the node to visible at the hub, p99" in out, out


def nothing_of_the_sources(root):
    """Without its own data it must say so, not read another tree's."""
    data = f"{root}/share/lienthong"
    for name in ("catalogue.json", "units.csv", "succession.csv"):
        os.rename(f"{data}/{name}", f"{data}/away")
        p = subprocess.run(["ltctl", "-C", "other", "hub", "init", "--province", "40"], capture_output=True, text=True,
                           cwd=WORK, env=env_of(root), timeout=WAIT_S)
        assert p.returncode != 0 and f"{root}/" in p.stderr and name in p.stderr, p.stderr
        shutil.rmtree(f"{WORK}/other", ignore_errors=True)
        os.rename(f"{data}/away", f"{data}/{name}")


WORK = os.path.realpath(tempfile.mkdtemp(prefix="lt-installed-"))
try:
    root = install(f"{WORK}/any where")
    units(root)
    hub_and_node(root)
    bench(root)
    nothing_of_the_sources(install("/opt/lienthong", f"{WORK}/staged"))
    assert not os.path.exists(f"{WORK}/staged{WORK}")
except BaseException:
    for name in os.listdir(WORK):
        if name.endswith(".log"):
            print(f"--- {name}\n{open(f'{WORK}/{name}').read()[-1500:]}")
    raise
finally:
    for p in procs:
        p.kill()
        p.wait()
    shutil.rmtree(WORK, ignore_errors=True)
print("the installed tree stands by itself")
