#!/usr/bin/python3
"""Both implementations of the check say the same of every input of tests/fuzz/fuzz_proof.c: whether it holds, and what it tells.

usage: second.py PROOF_SAYS FOLDER...
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify_proof


def theirs(path):
    """What the second implementation says, as proof_says prints it."""
    with open(path, "rb") as f:
        data = f.read()
    try:
        told = verify_proof.check(data[32:], data[:32])["changes"]
    except verify_proof.Refused:
        return ["refused"]
    none = lambda x: -1 if x is None else x
    return ["good", *(f"{c['feed']}/{c['seq']}/{c['index']}:{c['state']}:{c['effective_ms']}:{none(c['judged_ms'])}:"
                      f"{none(c['since_ms'])}:{len(c['withheld'])}:{c['label'].encode().hex()}" for c in told)]


folders = [f for f in sys.argv[2:] if os.path.isdir(f)]
said = subprocess.run([sys.argv[1], *folders], capture_output=True, text=True, check=True).stdout.splitlines()
good = wrong = 0
for line in said:
    path, *ours = line.split(" ")
    want = theirs(path)
    good += ours[0] == "good"
    if ours != want:
        wrong += 1
        print(f"{path}\n  ours:   {' '.join(ours)}\n  theirs: {' '.join(want)}")
print(f"{len(said)} inputs, {good} of them hold, {wrong} told differently")
sys.exit(1 if wrong or not good or good == len(said) else 0)
