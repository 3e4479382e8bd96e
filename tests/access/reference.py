"""Who may do what: the rules of FORMAT.md 8.3 and the catalogue's readers_rule by a second author, in other terms.

World.decide() answers one question. Each sentence of the rules has a name, and can be left out (off=name), so that whoever
asks can see whether it was this sentence that decided.
"""
import re

# Columns: somebody unknown or not active any more, one who waits for an answer; node, department, operator, mirror and
# another hub, all active; a clerk at a node's own machine, somebody at the hub's own machine.
ROLES = ["stranger", "pending", "node", "department", "operator", "mirror", "hub", "clerk", "machine"]
# A method without a row is nobody's. The last word: what else must hold.
TABLE = """
/grpc.health.v1.Health/Check               x x x x x x x x x -
/lienthong.v1.Enrol/Join                   x x x x x x . . x -
/lienthong.v1.Sync/Hello                   . . x . . . . . . -
/lienthong.v1.Sync/Push                    . . x . . . . . . push
/lienthong.v1.Sync/Pull                    . . x . . x . . . pull
/lienthong.v1.Sync/Announce                . . x . . . . . . -
/lienthong.v1.Sync/Fetch                   . . x . . . . . . -
/lienthong.v1.Sync/Supply                  . . x . . . . . . -
/lienthong.v1.Sync/Rotate                  . . x . . . . . . -
/lienthong.v1.Sync/EndRotation             . . x . . . . . . -
/lienthong.v1.Records/Put                  . . . . x . . x x write
/lienthong.v1.Records/Delete               . . . . x . . x x write
/lienthong.v1.Records/Import               . . . . x . . x x write
/lienthong.v1.Query/Get                    . . . x x . . x x field
/lienthong.v1.Query/List                   . . . x x . . x x filter
/lienthong.v1.Query/Aggregate              . . . x x . . x x filter
/lienthong.v1.Query/History                . . . x x . . x x field
/lienthong.v1.Query/Freshness              . . . x x . . x x records
/lienthong.v1.Query/Refused                . . . x x . . x x records
/lienthong.v1.Query/Prove                  . . . x x . . x x field
/lienthong.v1.Admin/Status                 . . . . x . . x x -
/lienthong.v1.Admin/ListNodes              . . . . x . . x x inspect
/lienthong.v1.Admin/ListFeeds              . . . . x . . x x inspect
/lienthong.v1.Admin/ReadLog                . . . . x . . x x log
/lienthong.v1.Admin/ListReceipts           . . . . x . . x x -
/lienthong.v1.Admin/Invite                 . . . . x . . . x give
/lienthong.v1.Admin/ListEnrolments         . . . . x . . . x give
/lienthong.v1.Admin/Approve                . . . . x . . . x give
/lienthong.v1.Admin/Reject                 . . . . x . . . x give
/lienthong.v1.Admin/ListInvitations        . . . . x . . . x give
/lienthong.v1.Admin/CancelInvitation       . . . . x . . . x give
/lienthong.v1.Admin/AcknowledgeAlarm       . . . . x . . . x enrol
/lienthong.v1.Admin/Scrub                  . . . . x . . x x inspect
/lienthong.v1.Admin/Rebuild                . . . . x . . x x rebuild
/lienthong.v1.Admin/Recovery               . . . . x . . x x inspect
/lienthong.v1.Admin/ListForks              . . . . x . . x x inspect
/lienthong.v1.Admin/ShowCheckpoint         . . . . x . . x x inspect
/lienthong.v1.Keys/ListPrincipals          . . . . x . . . x give
/lienthong.v1.Keys/ChangePrincipal         . . . . x . . . x give
/lienthong.v1.Keys/ReplacePrincipal        . . . . x . . . x give
/lienthong.v1.Admin/ListGrants             . . . . x . . . x give
/lienthong.v1.Admin/GiveGrant              . . . . x . . . x give
/lienthong.v1.Admin/TakeGrant              . . . . x . . . x give
/lienthong.v1.Keys/RotateKeys              . . . . x . . x x -
/lienthong.v1.Audit/ListEntries            . . . . x . . x x inspect
/lienthong.v1.Audit/VerifyLog              . . . . x . . x x inspect
/lienthong.v1.Audit/ProveEntry             . . . . x . . x x inspect
/lienthong.v1.Audit/UnitParts              . . x . . . . . . -
/lienthong.v1.Admin/Erase                  . . . . x . . . x erase
/lienthong.v1.Admin/WhoHolds               . . . . x . . . x erase
/lienthong.v1.Admin/ListErasures           . . . . x . . . x -
/lienthong.v1.Reflection/ListServices      x x x x x x x x x -
/lienthong.v1.Reflection/Describe          x x x x x x x x x -
"""
# The verb that a grant must have; others need none.
VERB = {"write": "write", "field": "read", "filter": "read", "records": "read", "inspect": "inspect", "log": "inspect",
        "give": "enrol", "enrol": "enrol", "erase": "erase", "rebuild": "inspect", "pull": "pull"}
VERB_OF_METHOD = {"Status": "inspect", "ListReceipts": "inspect", "RotateKeys": "write", "ListErasures": "erase"}
BOUND = {"department", "operator", "mirror"}  # by grants
REFERENCE = {"_unit", "_succession", "_catalogue"}
WIDE = {"ubnd_tinh", "van_phong_ubnd", "thanh_tra"}
ACTIVE = 2
NONE, BASIC, SENSITIVE = "none", "basic", "sensitive"
ALL_LEVELS = frozenset({NONE, BASIC, SENSITIVE})
NO_LEVELS = frozenset()

RULES = {
    "state": "who is not active is a stranger",
    "table": "a method is for the roles of its row",
    "verb": "a grant must have the verb",
    "unit": "a grant must have the unit",
    "collection": "a grant must have the collection",
    "field": "a grant must have the field",
    "one": "one grant must have all of it",
    "whole": "a write, a change-set and a feed need a grant of all that could be left out",
    "all": "all stands for every one",
    "empty": "an empty list gives nothing",
    "reference": "with any grant to read a department has the reference collections",
    "federation": "with any grant to pull a mirror has the feeds of the federation",
    "reader": "a reader sees what is not personal",
    "departments": "all_departments are those organisations of that kind",
    "owner": "an owner sees all",
    "wide": "three offices see none and basic of everything",
    "masked": "what is more personal than one's level is out of sight",
    "unknown org": "an organisation that the catalogue does not know sees nothing",
    "own commune": "a commune sees all of its own records",
    "province's": "a commune sees what is not personal of the province's",
    "neighbour": "a commune sees nothing of another commune's",
    "built-in": "built-in collections are the operators'",
    "place": "records of a collection stand in certain units only",
    "writers": "the catalogue says who writes, and where",
    "blind": "who writes must be allowed to read there",
    "around": "a node is sent its own commune, the province and the federation",
    "openings": "a node is sent the personal values of its own commune",
    "opened": "a mirror is sent the personal values that it was granted",
    "author": "who pushes is who wrote",
    "own feed": "a node writes for its own commune",
    "written by communes": "a node's changes are of collections that communes write",
    "given": "nobody gives more than one own grant has",
    "commune given": "a node is let in by who has all of its commune",
    "everywhere": "what is out of sight in one unit cannot be filtered by in any",
}


def table():
    rows = {}
    for line in TABLE.strip().split("\n"):
        cells = line.split()
        rows[cells[0]] = ({r for r, x in zip(ROLES, cells[1:10]) if x == "x"}, cells[10])
    return rows


METHODS = table()
NAMES = list(METHODS)


def is_commune(unit):
    return re.fullmatch("[0-9]{5}", unit) is not None


def wants_all(words):
    return "all" in words or "*" in words


class World:
    """A province: its catalogue, who is in its registry, and the units that are spoken of."""

    def __init__(self, province, catalogue, builtin, units):
        self.province, self.units, self.builtin = province, units, builtin
        self.kind = {o["id"]: o["kind"] for o in catalogue["organisations"]}
        self.collection = {c["id"]: c for c in catalogue["collections"]}
        self.personal = {(c["id"], f["name"]): f["personal"] for c in catalogue["collections"] for f in c["fields"]}
        self.unit_field = {c["id"] for c in catalogue["collections"] if any(f.get("is_unit") for f in c["fields"])}
        self.memo = {}

    # ---- grants ----

    def word(self, words, item, off):
        if wants_all(words) and off != "all":
            return True
        if not words:
            return off == "empty"
        return item is None or item in words

    def full(self, words, off):
        return (wants_all(words) and off != "all") or (off == "empty" and not words)

    def granted(self, who, verb, off, unit=None, collection=None, field=None, whole=False, alone=False):
        """One grant with the verb and with everything that is named."""
        if who.role not in BOUND or verb is None:
            return True
        if verb == "pull" and unit == "_" and off != "federation":
            alone = True
        if who.role == "department" and collection in REFERENCE and off != "reference":
            alone = True
        pieces = [off == "verb", False, False, False]
        for verbs, units, collections, fields in who.grants:
            v = self.word(verbs, verb, off) and (bool(verbs) or off == "empty") or off == "verb"
            if not v:
                continue
            if alone:
                return True
            u = off == "unit" or self.word(units, unit, off)
            if verb == "pull":
                c = f = off == "whole" or (self.full(collections, off) and self.full(fields, off))
            else:
                c = off == "collection" or self.word(collections, collection, off)
                if whole and off != "whole":
                    f = self.full(fields, off)
                else:
                    f = off == "field" or self.word(fields, field, off)
            if u and c and f:
                return True
            pieces = [True, pieces[1] or u, pieces[2] or c, pieces[3] or f]
        if off == "verb" and not who.grants:
            return True
        return off == "one" and all(pieces)

    # ---- what role and catalogue give ----

    def stands(self, collection, unit):
        if unit is None:
            return True
        if collection in self.builtin:
            return unit == "_" or (collection in ("_verdict", "_erase", "_ruling") and (is_commune(unit) or unit == self.province))
        return is_commune(unit) or unit == self.province

    def department_levels(self, org, collection, off):
        c, rights = self.collection[collection], set()
        if org not in self.kind and off != "unknown org":
            return NO_LEVELS
        if org in c["readers"] and off != "reader":
            rights |= {NONE}
        if "all_departments" in c["readers"]:
            if self.kind.get(org) == "department" or off in ("departments", "unknown org"):
                rights |= {NONE}
        if org in c["owner_departments"] and off != "owner":
            rights |= ALL_LEVELS
        if org in WIDE and off != "wide":
            rights |= {NONE, BASIC}
        return rights

    def levels(self, who, unit, collection, off):
        """The personal levels in sight; grants apart. unit None: in some unit."""
        if not self.stands(collection, unit) and off != "place":
            return NO_LEVELS
        if collection in self.builtin:
            if who.role in ("operator", "machine") or off == "built-in":
                return {NONE}
            common = who.role == "department" or (who.role == "clerk" and who.commune)
            return {NONE} if collection in REFERENCE and common else NO_LEVELS
        if who.role in ("operator", "machine"):
            return {NONE}
        if who.role == "clerk" and who.commune:
            if unit in (None, who.unit):
                return ALL_LEVELS if off != "own commune" else NO_LEVELS
            if unit == self.province:
                return {NONE} if off != "province's" else NO_LEVELS
            return {NONE} if off == "neighbour" else NO_LEVELS
        if who.role == "department":
            return self.department_levels(who.org, collection, off)
        return NO_LEVELS

    def records(self, who, unit, collection, off=None):
        return bool(self.levels(who, unit, collection, off)) and self.granted(who, "read", off, unit, collection)

    def sees(self, who, unit, collection, field, off=None):
        levels = self.levels(who, unit, collection, off)
        if not levels:
            return False
        if self.personal.get((collection, field), NONE) not in levels and off != "masked":
            return False
        return self.granted(who, "read", off, unit, collection, field)

    def everywhere(self, who, collection, field, off):
        key = (who.no, collection, field)
        if off is None and key in self.memo:
            return self.memo[key]
        yes = all(self.sees(who, u, collection, field, off) for u in self.units if self.records(who, u, collection, off))
        if off is None:
            self.memo[key] = yes
        return yes

    def writer(self, who, unit, collection, off=None):
        """0, 1 as the commune, 2 as the province, 3 for a department."""
        if collection in self.builtin:
            return 0
        c, commune = self.collection[collection], is_commune(unit)
        writers, code = c["writers"], 0
        if who.role == "clerk":
            if commune and unit == who.unit and (("commune" in writers and c["unit_rule"] == "commune") or off == "writers"):
                code = 1
        elif commune or unit == self.province:
            fits = c["unit_rule"] == ("commune" if commune else "province")
            if not commune and collection not in self.unit_field:
                fits = True
            if fits or off == "writers":
                code = 2 if "province" in writers else 3 if "department" in writers or off == "writers" else 0
        if code and self.granted(who, "write", off, unit, collection, whole=True):
            if off == "blind" or self.records(who, unit, collection, off):
                return code
        return 0

    def changes(self, collection, off):
        if collection in self.builtin:
            return False
        c = self.collection[collection]
        return off == "written by communes" or c["unit_rule"] == "commune" and "commune" in c["writers"]

    def pull(self, who, unit, off=None):
        if unit != "_" and unit != self.province and not is_commune(unit):
            return False
        if who.role == "mirror":
            return self.granted(who, "pull", off, unit)
        return not is_commune(unit) or unit == who.unit or off == "around"

    def opens(self, who, unit, collection, field, off=None):
        if who.role == "mirror":
            if unit != "_" and unit != self.province and not is_commune(unit):
                return False
            return off == "opened" or self.granted(who, "open", off, unit, collection, field)
        return is_commune(unit) and unit == who.unit or off == "openings"

    def give(self, who, other, off=None):
        if who.role == "machine" or off == "given":
            return True
        for own in who.grants:
            if not self.word(own[0], "enrol", None) or not own[0]:
                continue
            if other.role_no == 1:  # a node
                if off == "commune given" or (other.unit in own[1] or wants_all(own[1])) and wants_all(own[2]) and wants_all(own[3]):
                    return True
                continue
            if not other.grants:
                continue
            asked = other.grants[0]
            if all(words and all(wants_all(mine) or (w in mine and w not in ("all", "*")) for w in words)
                   for mine, words in zip(own, asked)):
                return True
        return False

    # ---- the question ----

    def decide(self, who, method, unit, collection, field, other, off=None):
        """(may it; of Pull: with the value, of Push: with a change of the collection; as which writer)"""
        if who.former and off == "state":
            who = who.as_active
        may, scope = METHODS[method]
        short = method.rsplit("/", 1)[1]
        if who.role not in may and off != "table":
            return False, False, 0
        verb = VERB.get(scope) or VERB_OF_METHOD.get(short)
        if not self.granted(who, verb, off, alone=True):
            return False, False, 0
        if scope == "field":
            return self.sees(who, unit, collection, field, off), False, 0
        if scope == "filter":
            if not self.records(who, unit, collection, off):
                return False, False, 0
            return off == "everywhere" or self.everywhere(who, collection, field, off), False, 0
        if scope == "records":
            return self.records(who, unit, collection, off), False, 0
        if scope == "write":
            code = self.writer(who, unit, collection, off)
            return code != 0, False, code
        if scope == "push":
            mine = off == "author" or other.no == who.no
            own = is_commune(unit) and unit == who.unit or off == "own feed"
            return mine and own, own and self.changes(collection, off), 0
        if scope == "pull":
            return self.pull(who, unit, off), self.opens(who, unit, collection, field, off), 0
        if scope == "inspect":
            return self.granted(who, "inspect", off, "_" if short in ("Scrub", "Recovery", "ShowCheckpoint", "ListEntries", "VerifyLog", "ProveEntry") else unit), False, 0
        if scope == "log":
            return self.granted(who, "inspect", off, unit, collection, whole=True), False, 0
        if scope == "erase":  # a record's field; or all of them at once
            if collection in self.builtin or not self.stands(collection, unit):
                return False, False, 0
            return self.granted(who, "erase", off, unit, collection, field), \
                self.granted(who, "erase", off, unit, collection, whole=True), 0
        if scope == "enrol":
            return self.granted(who, "enrol", off, unit), False, 0
        if scope == "rebuild":  # of a hub nobody gets an answer meanwhile
            return who.role == "clerk" or self.granted(who, "enrol", off, "_"), False, 0
        if scope == "give":
            return self.give(who, other, off), False, 0
        return True, False, 0
