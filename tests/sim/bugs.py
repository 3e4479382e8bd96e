"""bugs.py LT-SIM-BUGS SIMBUG.H [NAME...]: each planted bug must be found within 1,000 seeds, by a seed that holds without it.

Prints for each the seeds that it took and what was seen. Exit code 1: one was not found.
"""
import os
import re
import subprocess
import sys

SEEDS = 1000
# What shows only where machines are restored, or files copied by hand.
OPTIONS = {"EPOCH_KEPT": ["--restores", "12"], "RECEIPTED_NOT_OFFERED": ["--restores", "12"]}
for _name in ("FORK_UNNOTICED", "FORK_NOT_KEPT", "RULING_FORGOTTEN", "ASIDE_MERGED", "ASIDE_SILENT", "TAIL_NOT_MET",
              "REISSUE_DROPPED", "REISSUE_EARLY", "REISSUE_DOUBLED",
              "HUB_ASKS_NOT", "TABLES_NO_WITNESS", "HUB_EPOCH_KEPT"):
    OPTIONS[_name] = ["--copies", "8"]
# Their two halves are apart by moments: copies of hubs would take the places of those that show it.
OPTIONS["REISSUE_EARLY"] = OPTIONS["REISSUE_DOUBLED"] = ["--node-copies", "8"]
# Two branches of the hub's own feed need that it is in a hurry when its files were put back.
OPTIONS["HUB_FORK_NOT_KEPT"] = ["--copies", "16"]


def planted(header):
    with open(header, encoding="utf-8") as f:
        return re.findall(r'^\tX\((\w+), "([^"]+)"\)', f.read(), re.M)


def run(program, bug, *args):
    env = dict(os.environ)
    env.pop("LT_SIM_BUG", None)
    if bug is not None:
        env["LT_SIM_BUG"] = bug
    done = subprocess.run([program, *args], env=env, capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stdout


def find(program, bug):
    """(seeds looked at, the seed, what it saw), or None."""
    first = 1
    while first <= SEEDS:
        code, out = run(program, bug, "--seeds", f"{first}..{SEEDS}", "-j", str(os.cpu_count() or 1), "--stop",
                        *OPTIONS.get(bug, []))
        hits = sorted((int(n), why) for n, why in re.findall(r"^seed (\d+) FAILED: (.*)", out, re.M))
        if code not in (0, 1) or not hits:
            return None
        for seed, why in hits:
            if run(program, None, "--seed", str(seed), *OPTIONS.get(bug, []))[0] == 0:
                return seed, why
        first = hits[-1][0] + 1
    return None


def main():
    program, header, *names = sys.argv[1:]
    bugs = [b for b in planted(header) if not names or b[0] in names]
    missed = []
    for name, text in bugs:
        found = find(program, name)
        if found is None:
            missed.append(name)
            print(f"{name}: NOT FOUND within {SEEDS} seeds: {text}", flush=True)
        else:
            print(f"{name}: found by seed {found[0]}: {found[1][:120]}", flush=True)
    print(f"{len(bugs) - len(missed)} of {len(bugs)} planted bugs found")
    return 1 if missed or not bugs else 0


sys.exit(main())
