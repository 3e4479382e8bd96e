#!/usr/bin/env python3
"""Run a program as its systemd unit would let it: system calls and socket families that the unit forbids end it, or fail.

usage: filtered.py UNIT PROGRAM [ARGUMENT...]

systemd itself is not needed, only systemd-analyze, which knows what is in @system-service and the other groups. Where the unit
answers EPERM the program is killed: whoever calls what the unit forbids is to be found, also where it would make do without.
"""
import errno
import os
import resource
import socket
import subprocess
import sys

import seccomp


def settings(unit):
    found = {}
    with open(unit, encoding="utf-8") as f:
        for line in f:
            if "=" in line and line[0] not in "#;[":
                key, value = line.strip().split("=", 1)
                found.setdefault(key, []).append(value)
    return found


def group(name, seen=()):
    """The system calls in a group, groups in it resolved."""
    out = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], check=True, capture_output=True, text=True)
    calls = set()
    for word in (line.strip() for line in out.stdout.splitlines()):
        if word.startswith("@") and word != name and word not in seen:
            calls |= group(word, (*seen, name))
        elif word and word[0] not in "#@":
            calls.add(word)
    return calls


def allowed(lines):
    calls = set()
    for line in lines:
        remove = line.startswith("~")
        for word in line.lstrip("~").split():
            these = group(word) if word.startswith("@") else {word}
            calls = calls - these if remove else calls | these
    return calls | group("@default")


unit = settings(sys.argv[1])
assert unit["SystemCallFilter"][0].startswith("@"), "the unit allows what it names, and nothing else"
os.umask(int(unit["UMask"][0], 8))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
f = seccomp.SyscallFilter(seccomp.KILL_PROCESS if hasattr(seccomp, "KILL_PROCESS") else seccomp.KILL)
for call in sorted(allowed(unit["SystemCallFilter"]) - {"socket"}):
    try:
        f.add_rule(seccomp.ALLOW, call)
    except (RuntimeError, OSError, ValueError):
        pass  # not on this machine
families = sorted(getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split())
at = 0
for family in families:
    f.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, family))
    for other in range(at, family):
        f.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket", seccomp.Arg(0, seccomp.EQ, other))
    at = family + 1
f.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket", seccomp.Arg(0, seccomp.GE, at))
f.load()
os.execv(sys.argv[2], sys.argv[2:])
