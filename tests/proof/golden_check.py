#!/usr/bin/python3
"""The second implementation's check takes every good proof of golden_proof.py and none of the bad ones."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "vectors")]
import golden_proof
import verify_proof

STATE = ("seq", "index", "state", "effective_ms", "judged_ms")
for name, data, says in golden_proof.good():
    told = verify_proof.check(data, golden_proof.ROOT.public)["changes"]
    for t, s in zip(told, says or []):
        assert [t[k] for k in STATE] == [s[k] for k in STATE] and (t["since_ms"] or 0) == s["since_ms"], (name, t, s)
    assert says is None or len(told) == len(says), name
count = 0
for name, why, data in golden_proof.bad():
    count += 1
    try:
        verify_proof.check(data, golden_proof.ROOT.public)
    except verify_proof.Refused:
        continue
    sys.exit(f"taken, though {why} is wrong: {name}")
print(f"{count} bad ones refused")
