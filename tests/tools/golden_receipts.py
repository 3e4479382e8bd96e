#!/usr/bin/python3
"""ltctl verify-receipt on a file as FORMAT.md 9.9 describes it, of receipts that the second implementation signed.

    golden_receipts.py BIN_DIR SOURCE_DIR
"""
import json
import os
import subprocess
import sys
import tempfile


def main():
    ltctl = os.path.join(sys.argv[1], "ltctl")
    with open(os.path.join(sys.argv[2], "tests", "vectors", "golden.json"), encoding="utf-8") as f:
        golden = json.load(f)
    saved, root = golden["saved_receipts"], golden["trust"]["root_key"]
    receipt = saved["receipts"][0]
    flipped = receipt[:-2] + ("00" if receipt[-2:] != "00" else "01")  # the last byte of the signature
    cases = [
        ("as made", saved, root, 0),
        ("twice the same", dict(saved, receipts=[receipt, receipt]), root, 0),
        ("one signature is false", dict(saved, receipts=[receipt, flipped]), root, 1),
        ("another root key than the certificate's", saved, golden["changeset"]["sign_key"], 1),
        ("the file's root key is not what is trusted", dict(saved, root_key="00" * 32), root, 0),
        ("another salt: another federation", dict(saved, salt="00" * 16), root, 1),
        ("a later version", dict(saved, version=2), root, 1),
        ("another format", dict(saved, format="receipts"), root, 1),
        ("no receipts", dict(saved, receipts=[]), root, 1),
    ]
    bad = 0
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "saved.json")
        for name, content, key, want in cases:
            with open(path, "w", encoding="utf-8") as f:
                json.dump(content, f)
            r = subprocess.run([ltctl, "verify-receipt", path, "--root", key], capture_output=True, text=True,
                               check=False)
            if r.returncode != want:
                bad += 1
                print("%s: exit %d, not %d\n%s%s" % (name, r.returncode, want, r.stdout, r.stderr))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
