"""The rules of access by a second author, in other terms: rights as sets of personal levels, read from the catalogue file.

Usage: access_reference.py catalogue.json questions. Each line holds a question and what the program decided
(tests/store/test_access.c); every difference is printed, and the exit code is 1 when there is one.
"""
import json
import re
import sys

PROVINCE = "40"
STRANGER, PENDING, PRINCIPAL, LOCAL = range(4)
NODE, HUB, DEPARTMENT, OPERATOR, MIRROR = 1, 2, 3, 4, 5
ACTIVE = 2
VERBS = ["none", "join", "sync", "read", "write", "inspect", "enrol"]
NEED_GRANT = {"read", "write", "inspect", "enrol"}
# FORMAT.md 8.
BUILTIN = {"_catalogue", "_registry", "_key", "_grant", "_unit", "_succession", "_federation", "_verdict"}
REFERENCE = {"_unit", "_succession", "_catalogue"}
BY_ROLE = {
    "stranger": "none join",
    "node": "none join sync",
    "department": "none join read",
    "operator": "none join read write inspect enrol",
    "other": "none",
    "clerk": "none read write inspect",
    "hub machine": "none join read write inspect enrol",
}


class Catalogue:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        self.kind = {o["id"]: o["kind"] for o in data["organisations"]}
        self.collection = {c["id"]: c for c in data["collections"]}
        self.personal = {
            (c["id"], f["name"]): f["personal"] for c in data["collections"] for f in c["fields"]
        }
        self.unit_field = {
            c["id"]: any(f.get("is_unit") for f in c["fields"]) for c in data["collections"]
        }


def covers(words, item):
    return item in words or "all" in words or "*" in words


class Question:
    def __init__(self, cat, cells):
        kind, at_hub, unit, role, state, org, grants = cells[:7]
        self.cat, self.org, self.unit = cat, org, unit
        self.grants = []
        for text in grants.split("|")[:-1]:
            self.grants.append([set(x.split(",")) - {""} for x in text.split(";")])
        kind, role = int(kind), int(role)
        self.who = "stranger"
        if kind == LOCAL:
            self.who = "hub machine" if at_hub == "1" else "clerk"
        if kind == PRINCIPAL and int(state) == ACTIVE:
            named = {NODE: "node", DEPARTMENT: "department", OPERATOR: "operator"}
            self.who = named.get(role, "other")

    def granted(self, verb, unit=None, collection=None, field=None, whole=False):
        if self.who not in ("department", "operator"):
            return True
        for verbs, units, collections, fields in self.grants:
            if not covers(verbs, verb):
                continue
            if collection is None:
                return True
            if self.who == "department" and collection in REFERENCE:
                return True  # FORMAT.md 8.3: whatever else this grant says
            if not covers(collections, collection):
                continue
            if not (covers(units, unit) if unit is not None else units):
                continue
            if whole and not fields & {"all", "*"}:
                continue
            if field is not None and not covers(fields, field):
                continue
            if fields:
                return True
        return False

    def verbs(self):
        mask = 0
        for i, verb in enumerate(["none", "join", "sync", "read", "write", "inspect", "enrol"]):
            if verb in BY_ROLE[self.who].split() and (verb not in NEED_GRANT or self.granted(verb)):
                mask |= 1 << i
        return mask

    def own_commune(self):
        if self.who in ("node", "clerk") and re.fullmatch("[0-9]{5}", self.unit):
            return self.unit
        return None

    def levels(self, unit, collection):
        """Which personal levels are in sight; grants apart. unit None: in some unit."""
        commune = unit is not None and re.fullmatch("[0-9]{5}", unit)
        if collection in BUILTIN:
            anywhere = collection == "_verdict" and (commune or unit == PROVINCE)
            if unit not in (None, "_") and not anywhere:
                return set()
            if self.who in ("operator", "hub machine"):
                return {"none"}
            common = collection in REFERENCE
            return {"none"} if common and (self.own_commune() or self.who == "department") else set()
        if unit is not None and not commune and unit != PROVINCE:
            return set()
        if self.who in ("operator", "hub machine"):
            return {"none"}
        if self.own_commune():
            if unit in (None, self.own_commune()):
                return {"none", "basic", "sensitive"}
            return {"none"} if unit == PROVINCE else set()
        if self.who != "department":
            return set()
        c, rights = self.cat.collection[collection], set()
        named = self.org in c["readers"]
        by_kind = "all_departments" in c["readers"] and self.cat.kind.get(self.org) == "department"
        if named or by_kind:
            rights |= {"none"}
        if self.org in c["owner_departments"]:
            rights |= {"none", "basic", "sensitive"}
        if self.org in ("ubnd_tinh", "van_phong_ubnd", "thanh_tra"):
            rights |= {"none", "basic"}
        return rights

    def records(self, unit, collection):
        return bool(self.levels(unit, collection)) and self.granted("read", unit, collection)

    def field(self, unit, collection, field):
        personal = self.cat.personal.get((collection, field), "none")
        return personal in self.levels(unit, collection) and self.granted(
            "read", unit, collection, field
        )

    def everywhere(self, collection, field):
        every = {"_", PROVINCE, "17254", "16906", "16855", "12121", "38", "00000", "99999"}
        for _, units, _, _ in self.grants:
            every |= units
        return all(
            self.field(u, collection, field) for u in every if self.records(u, collection)
        )

    def writer(self, unit, collection):
        if collection in BUILTIN:
            return 0
        c = self.cat.collection[collection]
        commune = re.fullmatch("[0-9]{5}", unit)
        fits = c["unit_rule"] == ("commune" if commune else "province")
        if self.who == "clerk":
            may = fits and commune and unit == self.unit and "commune" in c["writers"]
            return 1 if may else 0
        if self.who not in ("operator", "hub machine"):
            return 0
        if not commune:
            fits = unit == PROVINCE and (fits or not self.cat.unit_field[collection])
        if not fits or not self.granted("write", unit, collection, whole=True):
            return 0
        return 2 if "province" in c["writers"] else 4 if "department" in c["writers"] else 0

    def pull(self, unit):
        if self.who != "node":
            return False
        return unit in ("_", PROVINCE) or (unit == self.unit and unit.isdigit() and len(unit) == 5)


def main():
    cat = Catalogue(sys.argv[1])
    lines = wrong = 0
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            q = Question(cat, cells)
            unit, collection, field = cells[7:10]
            want = [
                q.verbs(),
                q.records(unit, collection),
                q.records(None, collection),
                q.field(unit, collection, field),
                q.everywhere(collection, field),
                q.writer(unit, collection),
                q.pull(unit),
            ]
            got = [int(x) for x in cells[10:]]
            lines += 1
            if [int(x) for x in want] != got:
                wrong += 1
                if wrong <= 10:
                    print("want", [int(x) for x in want], "got", got, line.rstrip("\n"))
    print(f"{lines} questions, {wrong} answered otherwise")
    return 1 if wrong or lines == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
