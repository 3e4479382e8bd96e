#!/usr/bin/python3
"""The decision of access against a reference by a second author (reference.py), in random provinces.

Usage: model_test.py [--requests N] [--jobs N] [--seed N] CATALOGUE LT-ACCESS
       model_test.py --bugs [--requests N] CATALOGUE LT-ACCESS-BUGS

Each province has a catalogue of its own making, some thirty askers in all states and with several grants that overlap, communes of
today and those that they were made of. 0: no answer differs, at least 30 % were yes, every rule decided at least 1,000
requests, and every role asked for every method; 1: one of that is not so. With --bugs: 0 when every planted error is found.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reference as ref  # noqa: E402

EACH_RULE = 1000  # decided at least, of a million
ALLOWED = 0.30
PER_WORLD = 10000
STATES = [0, 1, 2, 3, 4, 5]  # unspecified, pending, active, suspended, revoked, rejected
ROLE_NO = {"node": 1, "hub": 2, "department": 3, "operator": 4, "mirror": 5}
VERBS = ["read", "write", "inspect", "enrol", "erase", "pull", "open", "sync"]
OWN_VERBS = {"department": ["read"], "operator": ["read", "write", "inspect", "enrol", "erase"], "mirror": ["pull", "open"]}
# FORMAT.md 8.
BUILTIN = {
    "_catalogue": ["json", "count"], "_registry": ["role", "label"], "_key": ["sign_key", "state"],
    "_grant": ["verbs", "state"], "_unit": ["name", "type"], "_succession": ["kind", "note"],
    "_federation": ["province", "salt"], "_revocation": ["reason", "by"], "_verdict": ["verdict"],
    "_erase": ["reason", "basis"],
    "_ruling": ["ruling"],
}


class Asker:
    """who: a role of the reference; former: a principal that is not active."""

    def __init__(self, no, kind, role, state, unit, org, grants, machine, lost):
        self.no, self.unit, self.org, self.grants = no, unit, org, grants
        self.role_no = ROLE_NO.get(role, 0)
        self.commune = ref.is_commune(unit)
        self.json = {"kind": kind, "machine": machine, "unit": unit, "role": self.role_no, "state": state, "org": org,
                     "grants": grants, "lost": lost}
        self.role = role
        self.former = kind == 2 and (state != ref.ACTIVE or lost)
        if self.former:
            self.as_active = Asker(no, kind, role, ref.ACTIVE, unit, org, grants, machine, False)
            self.role = "stranger"
        self.cell = "former " + role if self.former else self.role


# ---- a province ----


def some(rng, pool, most):
    return rng.sample(pool, min(len(pool), 1 + int(rng.random() * most)))


def random_catalogue(rng, full):
    """Some of the collections, with other owners, readers, writers and personal levels."""
    cat = dict(full)
    cat["organisations"] = [dict(o) for o in full["organisations"]]
    for o in cat["organisations"]:
        if rng.random() < 0.35:
            o["kind"] = rng.choice(["department", "province", "party", "other"])
    orgs = [o["id"] for o in cat["organisations"]]
    cat["collections"] = []
    # A few that communes do not make: there are four.
    above = [c for c in full["collections"] if "commune" not in c["creators"]]
    rest = [c for c in full["collections"] if "commune" in c["creators"]]
    for c in rng.sample(above, 2) + rng.sample(rest, 7):
        commune = "commune" in c["creators"]
        c = dict(c)
        c["owner_departments"] = some(rng, orgs, 3)
        c["readers"] = some(rng, orgs, 6) if rng.random() < 0.8 else []
        if rng.random() < 0.5:
            c["readers"] = c["readers"] + ["all_departments"]
        c["writers"] = [x for x in ("commune", "province", "department")
                        if x in c["creators"] or rng.random() < (0.5 if commune or x != "commune" else 0.1)]
        tied = {x for check in c.get("checks", []) for side in (check["left"], check["right"]) for x in side}
        fields = []
        for f in c["fields"]:
            f = dict(f)
            if "." in f.get("ref", ""):
                del f["ref"]  # the collection may not be among them
            if f["type"] == "string" and not (f.get("in_key") or f.get("is_unit") or f["name"] in tied) and rng.random() < 0.5:
                f["personal"] = rng.choice(["none", "basic", "sensitive"])
            fields.append(f)
        c["fields"] = fields
        levels = {f["personal"] for f in fields}
        c["contains_personal_data"] = levels != {"none"}
        c["contains_sensitive_personal_data"] = "sensitive" in levels
        cat["collections"].append(c)
    return cat


def word_list(rng, pool, near):
    if rng.random() < 0.05:
        return []
    n = 1 + int(rng.random() * 3)
    words = [rng.choice(near) if near and rng.random() < 0.6 else rng.choice(pool) for _ in range(n)]
    if rng.random() < 0.45:
        words[int(rng.random() * n)] = "*" if rng.random() < 0.3 else "all"
    return words


def random_grants(rng, role, units, collections, near, fields):
    grants = []
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        col = word_list(rng, collections, near)
        within = [f for c in col for f in fields.get(c, [])]
        grants.append([
            word_list(rng, VERBS, OWN_VERBS.get(role, ["sync"])),
            word_list(rng, units, units[:5]),
            col,
            word_list(rng, [f for c in collections for f in fields[c]], within),
        ])
    return grants


def random_asker(rng, no, kind_role, units, communes, collections, fields, orgs, of_org):
    kind, role = kind_role
    state = ref.ACTIVE if rng.random() < 0.85 else rng.choice(STATES + [3, 3])
    unit = rng.choice(communes) if rng.random() < 0.95 else rng.choice(["", "_", units[1]])
    if role not in ("node", "clerk"):
        unit = "" if rng.random() < 0.8 else rng.choice(communes)
    org = rng.choice(orgs + 2 * sorted(ref.WIDE)) if role == "department" else ""
    if role == "department" and rng.random() < 0.08:
        org = rng.choice(["", "nobody", "all_departments"])
    grants = random_grants(rng, role, units, collections, of_org(org), fields)
    if role == "operator" and rng.random() < 0.3:
        grants.append([["enrol", "inspect", "read", "write"], ["all"], ["all"], ["all"]])
    if role == "operator" and rng.random() < 0.6:
        grants.append([["write"], ["all"], some(rng, collections, 4), ["all"]])
    if role == "operator" and rng.random() < 0.5:
        grants.append([["enrol"], some(rng, communes, 3), ["all"], ["all"] if rng.random() < 0.6 else ["status"]])
    lost = kind == 2 and rng.random() < 0.02
    return Asker(no, kind, role, state, unit, org, grants, role == "machine", lost)


CAST = ([(0, "stranger"), (1, "pending"), (2, "hub"), (3, "machine")] + [(3, "clerk")] * 3 + [(2, "node")] * 4 +
        [(2, "department")] * 12 + [(2, "operator")] * 7 + [(2, "mirror")] * 5)


class Province:
    def __init__(self, rng, full, communes_of_old):
        self.rng = rng
        self.cat = random_catalogue(rng, full)
        # Some communes of today, with those that they were made of: rights go by the code, not by what it was before.
        old_new = rng.sample(communes_of_old, 3)
        communes = sorted({code for pair in old_new for code in pair} | {"%05d" % rng.randrange(100000)})
        rng.shuffle(communes)
        self.province = rng.choice(["40", "38"])
        foreign = "38" if self.province == "40" else "40"
        self.units = ["_", self.province] + communes + [foreign]
        self.collections = [c["id"] for c in self.cat["collections"]] + sorted(ref.REFERENCE) + rng.sample(sorted(BUILTIN), 2)
        self.fields = {c["id"]: [f["name"] for f in c["fields"]] for c in self.cat["collections"]}
        self.fields.update({c: BUILTIN[c] for c in BUILTIN})
        orgs = [o["id"] for o in self.cat["organisations"]]
        self.askers = [random_asker(rng, i, kr, self.units, communes, self.collections, self.fields, orgs, self.of_org)
                       for i, kr in enumerate(CAST)]
        # One unit that nobody named stands for all the others.
        spare = next("%05d" % n for n in range(100000) if "%05d" % n not in communes)
        self.ref = ref.World(self.province, self.cat, set(BUILTIN), self.units + [spare])

    def of_org(self, org):
        """Collections that name this organisation."""
        return [c["id"] for c in self.cat["collections"] if org in c["readers"] + c["owner_departments"]]

    def line(self, requests):
        return json.dumps({
            "catalogue": self.cat, "province": self.province, "askers": [a.json for a in self.askers],
            "methods": ref.NAMES, "units": self.units, "collections": self.collections,
            "fields": [self.fields[c] for c in self.collections], "requests": requests,
        }, ensure_ascii=False).encode() + b"\n"

    def places(self, asker):
        """Where this one is likely to find something: methods of its role, units and collections of its grants."""
        own = [i for i, n in enumerate(ref.NAMES) if asker.role in ref.METHODS[n][0]]
        units = [i for i, u in enumerate(self.units) if u == asker.unit or any(u in g[1] for g in asker.grants)]
        col = {c for g in asker.grants for c in g[2]}
        col |= set(self.of_org(asker.org))
        cols = [i for i, c in enumerate(self.collections) if c in col]
        named = {f for g in asker.grants for f in g[3]}
        return (own, units or list(range(len(self.units))), cols or list(range(len(self.collections))), named)

    def requests(self, n):
        rnd = self.rng.random
        near = [self.places(a) for a in self.askers]
        na, nm, nu, nc = len(self.askers), len(ref.NAMES), len(self.units), len(self.collections)
        names = [self.fields[c] for c in self.collections]
        push, put = ref.NAMES.index("/lienthong.v1.Sync/Push"), ref.NAMES.index("/lienthong.v1.Records/Put")
        home = [self.units.index(x.unit) if x.unit in self.units else 0 for x in self.askers]
        nodes = [i for i, x in enumerate(self.askers) if x.role_no == 1]
        out = bytearray()
        for _ in range(n):
            a = int(rnd() * na)
            own, units, cols, named = near[a]
            m = own[int(rnd() * len(own))] if rnd() < 0.85 else int(rnd() * nm)
            u = units[int(rnd() * len(units))] if rnd() < 0.6 else int(rnd() * nu)
            c = cols[int(rnd() * len(cols))] if rnd() < 0.7 else int(rnd() * nc)
            f = int(rnd() * len(names[c]))
            if named and rnd() < 0.5:
                f = next((i for i, x in enumerate(names[c]) if x in named), f)
            if self.collections[c][0] == "_" and rnd() < 0.5:
                u = 0  # where they stand
            other = a if rnd() < 0.5 else nodes[int(rnd() * len(nodes))] if rnd() < 0.4 else int(rnd() * na)
            # What would come too seldom: nodes' own feeds, operators' writes.
            role_no = self.askers[a].role_no
            if role_no == 1 and rnd() < 0.3:
                m, other = push, a if rnd() < 0.7 else other
                u = home[a] if rnd() < 0.8 else u
            elif role_no == 4 and rnd() < 0.15:
                m = put
            out += bytes((a, m, u, c, f, other))
        return bytes(out)


# ---- asking and comparing ----


class Count:
    def __init__(self):
        self.asked = self.allowed = self.differ = 0
        self.rule = dict.fromkeys(ref.RULES, 0)
        self.cell = {}

    def add(self, other):
        self.asked += other["asked"]
        self.allowed += other["allowed"]
        self.differ += other["differ"]
        for k, v in other["rule"].items():
            self.rule[k] += v
        for k, v in other["cell"].items():
            self.cell[k] = self.cell.get(k, 0) + v


def compare(p, asked, got, count, each):
    """Every answer; and for rules that have not decided often enough, whether this one would be another without them."""
    decide, askers, units, cols = p.ref.decide, p.askers, p.units, p.collections
    fields = [p.fields[c] for c in cols]
    names, cell = ref.NAMES, count.cell
    open_rules = [r for r in ref.RULES if count.rule[r] < each]
    for i in range(len(got)):
        a, m, u, c, f, o = asked[6 * i:6 * i + 6]
        who = askers[a]
        question = (who, names[m], units[u], cols[c], fields[c][f], askers[o])
        want = decide(*question)
        may, opened, writer = want
        byte = may | opened << 1 | writer << 2
        key = (who.cell, m)
        cell[key] = cell.get(key, 0) + 1
        if may:
            count.allowed += 1
        if byte != got[i]:
            count.differ += 1
            if count.differ <= 5:
                print("differs: want %d, got %d: %s %s unit %s %s.%s other %d\n  %s" % (
                    byte, got[i], who.cell, names[m], units[u], cols[c], fields[c][f], o, json.dumps(who.json)), file=sys.stderr)
        if open_rules:
            for r in open_rules:
                if decide(*question, off=r) != want:
                    count.rule[r] += 1
                    if count.rule[r] >= each:
                        open_rules = [x for x in open_rules if x != r]
    count.asked += len(got)


def run_job(args, job, requests, each, driver, full, pairs, stop_early):
    count = Count()
    proc = subprocess.Popen(driver, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    world = 0
    while count.asked < requests:
        rng = random.Random("%d/%d/%d" % (args.seed, job, world))
        world += 1
        n = min(PER_WORLD, requests - count.asked)
        p = Province(rng, full, pairs)
        asked = p.requests(n)
        proc.stdin.write(p.line(n))
        proc.stdin.write(asked)
        proc.stdin.flush()
        got = proc.stdout.read(n)
        if len(got) != n:
            raise SystemExit("the program went away")
        compare(p, asked, got, count, each)
        if stop_early and count.differ:
            break
    proc.stdin.close()
    proc.wait()
    return count, world


def run_jobs(args, full, pairs):
    total, worlds, pipes = Count(), 0, []
    for job in range(args.jobs):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            share = args.requests // args.jobs + (job < args.requests % args.jobs)
            each = -(-EACH_RULE // args.jobs)
            count, n = run_job(args, job, share, each, [args.driver], full, pairs, False)
            with os.fdopen(w, "w") as out:
                json.dump({"asked": count.asked, "allowed": count.allowed, "differ": count.differ, "rule": count.rule,
                           "cell": {"%s|%d" % k: v for k, v in count.cell.items()}, "worlds": n}, out)
            os._exit(0)
        os.close(w)
        pipes.append((r, pid))
    for r, pid in pipes:
        with os.fdopen(r) as f:
            text = f.read()
        os.waitpid(pid, 0)
        if not text:
            raise SystemExit("a job did not end well")
        o = json.loads(text)
        total.add(o)
        worlds += o["worlds"]
    return total, worlds


def report(total, worlds, seconds, share):
    failed = []
    cells = {}
    for k, v in total.cell.items():
        role, m = k.split("|")
        cells[(role.split(" ")[0], int(m))] = cells.get((role.split(" ")[0], int(m)), 0) + v
    want = [(r, m) for r in ref.ROLES + ["former"] for m in range(len(ref.NAMES))]
    empty = ["%s %s" % (r, ref.NAMES[m]) for r, m in want if cells.get((r, m), 0) == 0]
    rare = {r: n for r, n in total.rule.items() if n < int(EACH_RULE * share)}
    allowed = total.allowed / max(1, total.asked)
    print("%d requests in %d provinces, %.1f s: %d answers differ" % (total.asked, worlds, seconds, total.differ))
    print("%.1f %% allowed" % (100 * allowed))
    print("%d rules, each decisive at least %d times (counted up to %d)" % (
        len(total.rule), min(total.rule.values()), EACH_RULE))
    print("%d cells of role and method, the rarest asked %d times" % (len(want), min(cells.get(c, 0) for c in want)))
    if total.differ or not total.asked:
        failed.append("answers differ")
    if share == 0:  # a taste: rare questions may be missing
        empty = []
    if allowed < ALLOWED:
        failed.append("too few are allowed")
    for r, n in rare.items():
        failed.append("rule \"%s\" (%s) decided only %d times" % (r, ref.RULES[r], n))
    for e in empty:
        failed.append("never asked: " + e)
    for f in failed:
        print("FAILED: " + f, file=sys.stderr)
    return 1 if failed else 0


def find_bugs(args, full, pairs):
    names = subprocess.run([args.driver, "--bugs"], check=True, capture_output=True, text=True).stdout.split()
    missed = []
    for name in names:
        sys.stderr.flush()
        quiet, sys.stderr = sys.stderr, open(os.devnull, "w")
        count, _ = run_job(args, 0, args.requests, 0, [args.driver, "--bug", name], full, pairs, True)
        sys.stderr.close()
        sys.stderr = quiet
        print("%-20s %s" % (name, "found within %d requests" % count.asked if count.differ else "NOT FOUND"))
        if not count.differ:
            missed.append(name)
    print("%d planted errors, %d found" % (len(names), len(names) - len(missed)))
    return 1 if missed or len(names) < 5 else 0


def succession(path):
    """Old and new codes of communes, of the table that the program's own data hold."""
    pairs = []
    with open(path, encoding="utf-8") as f:
        head = f.readline().strip().split(",")
        old, new = head.index("old_code"), head.index("new_code")
        for line in f:
            cells = line.strip().split(",")
            if len(cells) > max(old, new) and ref.is_commune(cells[old]) and ref.is_commune(cells[new]):
                if cells[old] != cells[new]:
                    pairs.append((cells[old], cells[new]))
    return pairs


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--requests", type=int, default=1200000)
    ap.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    ap.add_argument("--seed", type=int, default=20260701)
    ap.add_argument("--bugs", action="store_true")
    ap.add_argument("--share", type=float, default=1.0, help="of the thousand times that a rule must decide")
    ap.add_argument("catalogue")
    ap.add_argument("driver")
    args = ap.parse_args()
    with open(args.catalogue, encoding="utf-8") as f:
        full = json.load(f)
    pairs = succession(os.path.join(os.path.dirname(args.catalogue), "succession.csv"))
    if args.bugs:
        return find_bugs(args, full, pairs)
    began = time.monotonic()
    total, worlds = run_jobs(args, full, pairs)
    return report(total, worlds, time.monotonic() - began, args.share)


if __name__ == "__main__":
    sys.exit(main())
