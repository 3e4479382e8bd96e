#!/usr/bin/env python3
"""ltctl against real daemons: a hub, a node, a department; every command once, exit codes checked.

usage: ltctl_e2e.py BIN SOURCE
"""
import csv as csv_module
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN, SOURCE = (os.path.abspath(x) for x in sys.argv[1:3])
WAIT_S = 60
ENV = {**os.environ, "LIENTHONG_LANG": "en"}
ENV.pop("LIENTHONG_DIR", None)
procs = {}


def run(*args, code=0, cwd=None, env=ENV):
    """ltctl; stdout. The exit code must be the given one, complaints only when it is not 0."""
    p = subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, text=True, cwd=cwd or WORK,
                       env=env, timeout=3 * WAIT_S)
    if p.returncode != code:
        raise SystemExit(f"ltctl {' '.join(args)}: exit {p.returncode}, wanted {code}\n{p.stdout}{p.stderr}")
    return p.stdout


def lines(text):
    return [json.loads(x) for x in text.splitlines()]


def start(program, directory):
    log = open(f"{WORK}/{directory}.log", "ab")
    procs[directory] = subprocess.Popen([f"{BIN}/{program}", "-C", directory], cwd=WORK, stderr=log, stdout=log)


def stop(directory):
    p = procs.pop(directory)
    p.send_signal(signal.SIGTERM)
    assert p.wait(WAIT_S) == 0, f"{directory} did not stop cleanly"


def until(what, *args):
    end = time.monotonic() + WAIT_S
    while subprocess.run([f"{BIN}/ltctl", *args], capture_output=True, cwd=WORK, env=ENV).returncode != 0:
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def check_init():
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    run("-C", "hub", "hub", "init", "--province", "99", code=2)  # no such province
    for many in (" ".join(["tcp://h:1"] * 9), "tcp://" + "h" * 250, " ".join(["tcp://" + "h" * 140] * 7)):
        run("-C", "hub", "hub", "init", "--province", "40", "--listen", url, "--addresses", many, code=2)
    assert not os.path.exists(f"{WORK}/hub")
    out = run("-C", "hub", "hub", "init", "--province", "40", "--listen", url, "--root-words-file", "words")
    words = open(f"{WORK}/words").read().split()
    assert len(words) == 33 and os.stat(f"{WORK}/words").st_mode & 0o777 == 0o600
    assert not any(" ".join(words[i:i + 4]) in out for i in range(29)), "the root key was printed too"
    assert os.stat(f"{WORK}/hub/identity").st_mode & 0o777 == 0o600
    before = open(f"{WORK}/hub/identity").read()
    run("-C", "hub", "hub", "init", "--province", "40", code=1)
    assert open(f"{WORK}/hub/identity").read() == before
    run("-C", "hub", "status", code=3)  # not running
    start("lt-hub", "hub")
    until("the hub answers", "-C", "hub", "nodes")
    words_on_stdout = run("-C", "hub2", "hub", "init", "--province", "40", "--listen", "tcp://127.0.0.1:1")
    assert any(len(x.split()) == 33 for x in words_on_stdout.splitlines())


def check_enrol():
    run("-C", "hub", "enrol", "invite", "--unit", "99999x", code=1)
    run("-C", "hub", "enrol", "invite", "--org", "nobody", code=1)
    run("-C", "hub", "enrol", "approve", "all", code=1)  # nobody waits
    line = run("-C", "hub", "enrol", "invite", "--unit", "16906").strip()
    assert line.startswith("LT1.")
    open(f"{WORK}/inv", "w").write(line)
    run("-C", "node", "client", "init", line, code=1)  # a node's invitation
    run("-C", "node", "node", "init", line[:-1], code=1)
    out = run("-C", "node", "node", "init", "@inv", "--label", "Máy số 1")
    run("-C", "node", "node", "init", "@inv", code=1)  # taken
    start("lt-node", "node")
    until("the node serves", "-C", "node", "feeds")
    end = time.monotonic() + WAIT_S
    while not (waiting := lines(run("-C", "hub", "enrol", "list", "--json"))):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert waiting[0]["state"] == "pending" and waiting[0]["label"] == "Máy số 1"
    assert waiting[0]["fingerprint"] in out, "both sides must read the same words"
    run("-C", "node", "status", code=1)
    run("-C", "node", "put", "dossier", "x=1", code=3)  # no catalogue yet
    run("-C", "hub", "enrol", "approve", waiting[0]["principal"])
    run("-C", "node", "nodes", code=3)  # only a hub knows
    until("the catalogue comes down", "-C", "node", "get", "_unit", "16906")


def check_department():
    run("-C", "hub", "enrol", "invite", "--org", "so_noi_vu", "--out", "inv-dept")
    assert os.stat(f"{WORK}/inv-dept").st_mode & 0o777 == 0o600
    run("-C", "dept", "client", "init", "@inv-dept", "--label", "Sở Nội vụ")
    run("-C", "dept", "client", "join", code=1)
    run("-C", "dept", "list", "dossier", code=3)  # not approved yet
    run("-C", "hub", "enrol", "approve", "all")
    run("-C", "dept", "client", "join")
    run("-C", "dept", "client", "join")
    run("-C", "dept", "nodes", code=1)
    token = [x for x in open(f"{WORK}/dept/identity") if x.startswith("token=")]
    assert set(token[0].strip()[6:]) <= {"0"}, "the spent invitation is still on the disk"
    run("-C", "hub", "enrol", "invite", "--org", "so_y_te", "--out", "inv-no")
    run("-C", "no", "client", "init", "@inv-no")
    run("-C", "no", "client", "join", code=1)
    p = [e["principal"] for e in lines(run("-C", "hub", "enrol", "list", "--json")) if e["state"] == "pending"]
    run("-C", "hub", "enrol", "reject", p[0])
    run("-C", "no", "list", "dossier", code=3)
    # A second machine comes with a spent invitation: it rings until somebody has seen to it.
    h = ["-C", "hub"]
    assert "no alarm is open" in run(*h, "alarms")
    run(*h, "alarms", "acknowledge", "all", code=1)
    run("-C", "thief", "client", "init", "@inv-no")
    run("-C", "thief", "client", "join", code=1)
    ring = lines(run(*h, "alarms", "--json", code=1))
    assert len(ring) == 1 and ring[0]["org"] == "so_y_te" and ring[0]["times"] == 1, ring
    assert ring[0]["principal"] == p[0] and "acknowledged_ms" not in ring[0], ring
    assert ring[0]["id"][:16] in run(*h, "enrol", "list") and ring[0]["id"][:16] in run(*h, "alarms", code=1)
    run(*h, "alarms", "acknowledge", "0000000", code=2)
    run(*h, "alarms", "acknowledge", "00000000", code=1)
    run(*h, "alarms", "acknowledge", ring[0]["id"][:8])
    assert "ALARM" not in run(*h, "enrol", "list") and lines(run(*h, "alarms", "--json")) == []
    seen = lines(run(*h, "alarms", "--all", "--json"))
    assert seen[0]["id"] == ring[0]["id"] and seen[0]["acknowledged_by"] == "" and seen[0]["acknowledged_times"] == 1, seen
    assert "đã xử lý" in run(*h, "alarms", "--all", env={**ENV, "LIENTHONG_LANG": "vi"})
    assert f'{ring[0]["id"][:16]} of an invitation for so_y_te was acknowledged' in open(f"{WORK}/hub.log").read()
    run("-C", "thief", "client", "join", code=1)
    assert lines(run(*h, "alarms", "--json", code=1))[0]["times"] == 2
    run(*h, "alarms", "acknowledge", "all")


def invite_words(*grant, code=1):
    p = subprocess.run([f"{BIN}/ltctl", "-C", "hub", "enrol", "invite", "--org", "so_y_te", *grant],
                       capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
    assert p.returncode == code and not p.stdout, (grant, p)
    return p.stderr


def check_grant():
    h, d = ["-C", "hub"], ["-C", "narrow"]
    for option, word in (("--collections", "no_such"), ("--units", "99999"), ("--fields", "no_field"),
                         ("--verbs", "dance"), ("--verbs", "write"), ("--collections", "_grant")):
        assert word in invite_words(option, word), "the complaint does not name the value"
    invite_words("--collections", "school", "--fields", "applicant_name")  # a field of another
    invite_words("--collections", "dossier,all")
    invite_words("--collections", "", code=2)
    run(*h, "enrol", "invite", "--org", "so_y_te", "--collections", "proposal,dossier", "--collections", "dossier",
        "--units", "16906,40", "--label", "Sở Y tế", "--out", "inv-narrow")
    run(*d, "client", "init", "@inv-narrow")
    run(*d, "client", "join", code=1)
    e = [e for e in lines(run(*h, "enrol", "list", "--json")) if e["label"] == "Sở Y tế"]
    want = {"verbs": ["read"], "units": ["16906", "40"], "collections": ["dossier", "proposal"], "fields": ["all"]}
    assert [x["grant"] for x in e] == [want], e
    shown = run("-C", "hub", "enrol", "list").split("WAITING: ")[1:]
    shown = [x for x in shown if x.startswith("department so_y_te")]
    assert len(shown) == 1 and "read; collections dossier,proposal; units 16906,40" in shown[0], shown
    vi = {**ENV, "LIENTHONG_LANG": "vi"}
    assert "loại dữ liệu dossier,proposal; đơn vị 16906,40" in run(*h, "enrol", "list", env=vi)
    node = [e for e in lines(run(*h, "enrol", "list", "--json")) if e["role"] == "node"]
    assert node and all(e["grant"]["verbs"] == ["sync"] and e["grant"]["units"] == ["all"] for e in node)
    run(*h, "enrol", "approve", e[0]["principal"])
    run(*d, "client", "join")
    record = lines(run(*h, "get", "_grant", e[0]["principal"] + "/1", "--json"))[0]["fields"]
    assert {k: record[k] for k in want} == want, record
    run(*d, "list", "dossier")
    run(*d, "list", "_unit", "--unit", "_")
    run(*d, "list", "_catalogue", "--unit", "_", "--page-size", "1")
    run(*d, "list", "_grant", code=1)
    run(*d, "list", "household_poverty", code=1)
    check_grants(h, d, e[0]["principal"], want)


def check_refusals():
    """A slip of the operator's is answered with its reason in the reader's language, not with what was tried alone; nothing of the other
    language stands beside it."""
    who = lines(run("-C", "hub", "enrol", "list", "--json"))[0]["principal"]
    node, client = ["enrol", "invite", "--unit"], ["enrol", "invite", "--org", "so_y_te"]
    for args, en, vi in (
            ([*node, "99999"], "99999 is no commune of province 40; 'ltctl list _unit --unit _'", "99999 không phải xã của tỉnh 40; hãy xem mã bằng 'ltctl list _unit --unit _'"),
            ([*node, "40"], "five-digit code", "năm chữ số, không phải '40'"),
            ([*node, "17254", "--expires", "91d"], "at most 90 days", "nhiều nhất 90 ngày"),
            (["enrol", "invite", "--org", "so_noi_vv"], "no organisation 'so_noi_vv'", "không có cơ quan 'so_noi_vv'"),
            ([*client, "--collections", "nope"], "no collection 'nope'", "không có loại hồ sơ 'nope'"),
            ([*client, "--verbs", "write"], "can only read", "chỉ được đọc, quyền 'write'"),
            ([*client, "--verbs", "dance"], "no verb 'dance'", "không có quyền 'dance'"),
            ([*client, "--fields", "nope"], "no collection has a field 'nope'", "không loại hồ sơ nào có trường 'nope'"),
            ([*client, "--collections", "school", "--fields", "nope"], "none of the collections", "không loại hồ sơ nào đã nêu có trường 'nope'"),
            ([*client, "--units", "99999"], "no commune of province 40", "không phải xã của tỉnh 40"),
            ([*client, "--units", "x"], "five-digit codes, the province (40)", "mã xã năm chữ số, tỉnh (40)"),
            ([*client, "--collections", "dossier,all"], "stands alone", "phải đứng một mình"),
            ([*client, "--collections", "_grant"], "no grant opens", "không quyền nào mở hay đóng '_grant'"),
            (["enrol", "reject", who], "answered already", "đã được trả lời rồi; hãy xem 'ltctl enrol list'"),
            (["enrol", "reject", who, "--reason", "x" * 256], "at most 255 bytes", "dài nhất 255 byte"),
            (["enrol", "reject", who, "--reason", "a\nb"], "one line", "một dòng"),
            (["enrol", "reject", "ab" * 16], "nobody with this id", "không có máy nào mang mã này"),
            (["enrol", "approve", "ab" * 16], "nobody with this id", "không có máy nào mang mã này"),
            (["recovery", "--without", "9"], "a unit is named by its code", "đơn vị được nêu bằng mã"),
            (["recovery", "--without", "16906"], "waits for nobody", "không chờ máy nào"),
            (["recovery", "--without-all"], "waits for nobody", "không chờ máy nào"),
            (["grants", "give", "ab" * 16, "--all"], "no such principal", "không có tài khoản này"),
            (["grants", "give", who, "--all"], "bind departments", "quyền của máy xã là quyền của xã")):
        said = {}
        for lang, want in (("en", en), ("vi", vi)):
            p = subprocess.run([f"{BIN}/ltctl", "--lang", lang, "-C", "hub", *args], capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
            assert p.returncode == 1 and not p.stdout and want in p.stderr, (args, p)
            said[lang] = p.stderr
        assert "tiếng Anh" not in said["vi"] and len(said["vi"].splitlines()) == 1 and "; hãy " in said["vi"], said
        assert "read the record" not in said["en"], said
        p = subprocess.run([f"{BIN}/ltctl", "-C", "hub", *args, "--json"], capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
        assert vi in json.loads(p.stderr)["message_vi"], p


def check_grants(h, d, who, first):
    """Of one who is in: listed, given and taken, in both languages."""
    vi = {**ENV, "LIENTHONG_LANG": "vi"}
    g = lines(run(*h, "grants", "list", who, "--json"))
    assert [(x["number"], x["role"], x["org"], x["state"], x["grant"]) for x in g] == [
        (1, "department", "so_y_te", "active", first)], g
    run(*h, "grants", "give", who, code=2)
    run(*h, "grants", "give", who, "--all", "--units", "40", code=2)
    run(*h, "grants", "give", "abc", "--all", code=2)
    run(*h, "grants", "give", "ab" * 16, "--all", code=1)
    run(*h, "grants", "give", who, "--verbs", "write", code=1)
    run(*h, "grants", "give", who, "--units", "", code=2)
    run(*h, "grants", "take", who, "0", code=2)
    run(*h, "grants", "take", who, code=2)
    run(*h, "grants", "take", who, "2", code=1)
    assert f"{who} has grant 2" in run(*h, "grants", "give", who, "--collections", "dossier", "--units", "17254",
                                       "--fields", "status,dossier_code")
    assert "có quyền số 2" in run(*h, "grants", "give", who, "--collections", "dossier", "--units", "17254",
                                  "--fields", "dossier_code,status", env=vi)
    shown = [x for x in run(*h, "grants", "list", who).splitlines() if who in x]
    assert len(shown) == 2 and "read; collections dossier; units 17254; fields dossier_code,status" in shown[1], shown
    assert "được phép" in run(*h, "grants", "list", env=vi)
    run(*h, "grants", "take", who, "1", "2")
    run(*d, "list", "dossier", code=1)
    assert [(x["number"], x["grant"]) for x in lines(run(*h, "grants", "list", who, "--json"))] == [(0, None)]
    assert "không gì cả" in run(*h, "grants", "list", who, env=vi)
    run(*h, "grants", "take", who, "all", code=1)
    whole = lines(run(*h, "grants", "give", who, "--all", "--json"))[0]
    assert whole["number"] == 3 and whole["grant"]["collections"] == ["all"], whole
    run(*d, "list", "dossier")
    run(*d, "grants", "list", code=1)
    assert "quyền số 3" in run(*h, "grants", "take", who, "all", env=vi)
    assert f"grant 3 of principal {who} taken by the hub's own machine" in open(f"{WORK}/hub.log").read()


HOUSE = ["village=Bản Một", "head_name=Lô Văn Mẫu", "members=5", "class=ngheo", "recognised_year=2025",
         "reviewed_date=2025-09-15", "head_id_no=099085000001"]


def check_records():
    n, c = ["-C", "node"], "household_poverty"
    key = "16906/HN00500"
    made = lines(run(*n, "put", c, key, *HOUSE, "--actor", "lo.van.mau", "--json"))[0]
    assert not made["unchanged"] and made["key"] == key
    assert lines(run(*n, "put", c, key, *HOUSE, "--json"))[0]["unchanged"]
    run(*n, "put", c, key, "members=6", "--if-revision", "none", code=1)
    run(*n, "put", c, key, "members=6", "--if-revision", "00" * 16, code=1)
    said = subprocess.run([f"{BIN}/ltctl", *n, "put", c, key, "members=6", "--if-revision", "00" * 16],
                          capture_output=True, text=True, cwd=WORK, env=ENV).stderr
    assert made["revision"] in said, "a conflict names the revision there is"
    run(*n, "put", c, key, "members=6", "--if-revision", "xyz", code=2)
    run(*n, "put", c, key, "members=6", "--if-revision", made["revision"])
    run(*n, "put", c, key, "members=six", code=2)
    run(*n, "put", c, key, "members=-6", code=1)
    run(*n, "put", c, key, "nothing=6", code=2)
    run(*n, "put", c, key, code=2)
    run(*n, "put", c, "no key", "members=6", code=1)
    run(*n, "put", "nothing", key, "members=6", code=2)
    run(*n, "put", c, key, "members=6", "--unit", "17254", code=1)
    run(*n, "put", c, key, "--clear", "head_id_no")
    got = lines(run(*n, "get", c, key, "--json"))[0]
    assert got["fields"]["members"] == 6 and got["fields"]["head_name"] == "Lô Văn Mẫu"
    assert "head_id_no" not in got["fields"]
    assert "delivery" in got
    run(*n, "get", c, "16906/HN00999", code=1)
    run(*n, "get", "nothing", key, code=1)
    run(*n, "put", c, "16906/HN00501", *HOUSE)
    run(*n, "delete", c, "16906/HN00501")
    run(*n, "get", c, "16906/HN00501", code=1)
    hist = lines(run(*n, "history", c, key, "--json"))
    assert len(hist) == 3 and hist[-1]["cleared"] == ["head_id_no"], hist
    assert [h["kind"] for h in lines(run(*n, "history", c, "16906/HN00501", "--json"))] == ["put", "delete"]


def refused(lang, *args, env):
    """What a refused call says on stderr; exit code 1."""
    p = subprocess.run([f"{BIN}/ltctl", *lang, *args], capture_output=True, text=True, cwd=WORK, env=env, timeout=WAIT_S)
    assert p.returncode == 1 and p.stdout == "", (args, p.returncode, p.stdout, p.stderr)
    return p.stderr


def check_languages():
    """What only the daemon can find is said in Vietnamese unless English is asked for; programs get both."""
    plain = {k: v for k, v in ENV.items() if k not in ("LIENTHONG_LANG", "LANG")}
    key = "16906/HN00500"
    put = ["-C", "node", "put", "household_poverty", key, "members=6"]
    cases = [
        # a revision that is not the present one
        ([*put, "--if-revision", "00" * 16], "ABORTED", "WRITE", "đọc lại bản ghi", "read the record again"),
        (["-C", "node", "delete", "household_poverty", key, "--if-revision", "00" * 16], "ABORTED", "WRITE",
         "đọc lại bản ghi", "read the record again"),
        # another commune's, the province's, a commune's at the hub
        ([*put, "--unit", "17254"], "PERMISSION_DENIED", "FOREIGN_UNIT", "máy này ghi cho đơn vị 16906, không ghi cho 17254",
         "this node writes for unit 16906, not for 17254"),
        (["-C", "node", "put", "target", "16906/2025/ty_le_ho_ngheo", "target_value=1"], "PERMISSION_DENIED", "WRITE",
         "xã không có thẩm quyền ghi loại hồ sơ 'target'", "a commune does not write 'target'"),
        (["-C", "node", "put", "commune_profile", "16906", "area_km2=1"], "FAILED_PRECONDITION", "REFUSED",
         "do đơn vị khác lập", "are made by others"),
        (["-C", "hub", "put", "household_poverty", key, "members=6", "--unit", "16906"], "PERMISSION_DENIED", "WRITE",
         "không có thẩm quyền", "the hub does not write"),
        # a rule that needs the record as it stands
        (["-C", "node", "put", "household_poverty", "16906/HN00777", "members=6"], "FAILED_PRECONDITION", "REFUSED",
         "trường bắt buộc chưa có giá trị", "a required field has no value"),
        (["-C", "node", "get", "household_poverty", "16906/HN00999"], "NOT_FOUND", "QUERY", "không có bản ghi", "no such record"),
    ]
    for args, code, reason, vi, en in cases:
        for lang, env in (([], plain), (["--lang", "vi"], ENV), ([], {**plain, "LANG": "vi_VN.UTF-8"})):
            said = refused(lang, *args, env=env)
            assert vi in said, (args, said)
            assert en not in said.replace("chi tiết (tiếng Anh)", "").splitlines()[0], said
        for lang, env in ((["--lang", "en"], plain), ([], ENV), ([], {**plain, "LANG": "en_US.UTF-8"})):
            said = refused(lang, *args, env=env)
            assert en in said and vi not in said and said.isascii(), (args, said)
        both = json.loads(refused([], *args, "--json", env=plain))
        assert (both["code"], both["reason"]) == (code, reason) and vi in both["message_vi"], both
        assert both["message"].isascii() and both["message"] != both["message_vi"], both
        log = open(f"{WORK}/{args[1]}.log").read()
        line = [x for x in log.splitlines() if both["request_id"] in x]
        assert len(both["request_id"]) == 32 and len(line) == 1 and f"{code} {reason}," in line[0], (both, line)
        assert key not in line[0], "a log says nothing of records"


def check_import():
    n = ["-C", "node"]
    args = [*n, "import", "household_poverty", f"{SOURCE}/tests/data/sample/a_ho_ngheo_luong_minh.csv", "--map",
            f"{SOURCE}/tools/data/import/ho_ngheo.json"]
    # Nothing is written by a check. What it says is what the import says then.
    def there():
        return [run(*n, *words, "--json") for words in (("feeds", "--unit", "16906"), ("list", "household_poverty", "--all"))]

    none = there()
    trial = lines(run(*args, "--rejects", "refused.csv", "--json", "--dry-run", code=1))
    trial_file = open(f"{WORK}/refused.csv", "rb").read()
    for lang, words in (("en", "nothing was written; an import would give: 5 created"),
                        ("vi", "chưa ghi gì; nếu nhập sẽ được: 5 mới")):
        assert words in run(*args, "--dry-run", code=1, env={**ENV, "LIENTHONG_LANG": lang})
    assert there() == none
    first = lines(run(*args, "--rejects", "refused.csv", "--json", code=1))
    end = first[-1]
    assert trial[:-1] == first[:-1] and trial[-1] == dict(end, dry_run=True) and end["dry_run"] is False, (trial, first)
    assert trial_file == open(f"{WORK}/refused.csv", "rb").read()
    assert end["created"] == 5 and end["refused"] == 12 and end["duplicates"] == 1, end
    assert len(first) == 13 and all(r["message"] and r["line"] for r in first[:-1])
    assert all(r["message_vi"] and r["message"] != r["message_vi"] for r in first[:-1]), first
    refused = open(f"{WORK}/refused.csv", encoding="utf-8-sig").read()
    assert "Why refused" in refused and os.stat(f"{WORK}/refused.csv").st_mode & 0o777 == 0o600
    made = run(*n, "feeds", "--unit", "16906", "--json")
    again = lines(run(*args, "--rejects", "refused.csv", "--json", code=1, env={**ENV, "LIENTHONG_LANG": "vi"}))[-1]
    refused = open(f"{WORK}/refused.csv", encoding="utf-8-sig").read()
    assert "Lý do từ chối" in refused and "Why refused" not in refused
    assert again["created"] == 0 and again["unchanged"] == 5, again
    own = [f["seq"] for f in lines(made) if f["author"] != "hub"]
    assert own == [f["seq"] for f in lines(run(*n, "feeds", "--unit", "16906", "--json")) if f["author"] != "hub"]
    day = subprocess.run([f"{BIN}/lt-gen", "dossiers", "--unit", "16906", "--day", "2026-09-01", "--count", "400"],
                         capture_output=True, check=True).stdout
    open(f"{WORK}/day.jsonl", "wb").write(day)
    end = lines(run(*n, "import", "dossier", "day.jsonl", "--json"))[-1]
    assert end["created"] == 400 and end["refused"] == 0, end
    end = lines(run(*n, "import", "dossier", "day.jsonl", "--batch", "7", "--json"))[-1]
    assert end["created"] == 0 and end["unchanged"] == 400, end
    run(*n, "import", "dossier", "nowhere.jsonl", code=3)
    run(*n, "import", "nothing", "day.jsonl", code=2)
    h = ["-C", "hub"]
    end = lines(run(*h, "import", "commune_profile", "--json", "--dry-run"))[-1]
    assert end["created"] == 130 and end["dry_run"], end
    end = lines(run(*h, "import", "commune_profile", "--json"))[-1]
    assert end["created"] == 130, end
    end = lines(run(*h, "import", "commune_profile", "--json", "--dry-run"))[-1]
    assert end["created"] == 0 and end["unchanged"] == 130, end
    end = lines(run(*h, "import", "proposal", f"{SOURCE}/tools/data/directives.jsonl", "--source",
                    "001_9aabba1340fc8c0f.txt", "--json"))[-1]
    want = [json.loads(x) for x in open(f"{SOURCE}/tools/data/directives.jsonl")]
    want = [w for w in want if w.get("source_file") == "001_9aabba1340fc8c0f.txt" and w["collection"] == "proposal"]
    assert end["created"] == len(want) and end["refused"] == 0, end


def check_query():
    until("all is receipted", "-C", "node", "status")
    until("the hub holds it", "-C", "hub", "status")
    d = ["-C", "dept"]
    out = lines(run(*d, "query", "dossier", "--group-by", "status,_unit", "--json"))
    assert sum(g["count"] for g in out[:-1]) == 400 and out[-1]["freshness"]["units"] == 130
    want = [json.loads(x) for x in open(f"{WORK}/day.jsonl")]
    for g in out[:-1]:
        assert g["count"] == sum(w["status"] == g["group"]["status"] for w in want) and g["group"]["_unit"] == "16906"
    late = lines(run(*d, "list", "dossier", "--where", "due_date < 2026-09-01", "--all", "--json"))
    assert {r["key"] for r in late[:-1]} == {w["dossier_code"] for w in want
                                              if w.get("due_date") and w["due_date"] < "2026-09-01"}
    page = lines(run(*d, "list", "dossier", "--page-size", "150", "--page", "3", "--json"))
    assert len(page) == 101 and not page[-1]["more"]
    desc = [r["fields"]["due_date"] for r in lines(run(*d, "list", "dossier", "--order", "-due_date", "--fields",
                                                       "due_date", "--all", "--json"))[:-1]
            if "due_date" in r["fields"]]
    assert desc == sorted(desc, reverse=True) and desc
    masked = lines(run(*d, "list", "household_poverty", "--unit", "16906", "--json"))
    assert len(masked) == 7 and all("head_name" in r["masked"] for r in masked[:-1])
    table = run(*d, "list", "household_poverty", "--csv")
    assert "Lô Văn" not in table
    # what is not for the asker's eyes is not what is not there
    head, *rows = list(csv_module.DictReader(table.lstrip("\ufeff").splitlines(), delimiter=";")) or [None]
    shown = lines(run(*d, "list", "household_poverty", "--json"))[0]
    masked = shown["masked"]
    assert "head_name" in masked and all(head[x] == "***" for x in masked if x in head), (head, masked)
    absent = [x for x in head if x[0] != "_" and x not in masked and x not in shown["fields"]]
    assert absent and all(head[x] == "" for x in absent), (head, absent)
    run(*d, "list", "household_poverty", "--where", "head_name = x", code=1)
    run(*d, "list", "household_poverty", "--where", "members < x", code=2)
    run(*d, "query", "household_poverty", "--group-by", "nothing", code=2)
    total = lines(run(*d, "query", "household_poverty", "--sum", "members", "--json"))
    assert total[0]["count"] == 6 and int(total[0]["sum"]["members"]) > 0
    run(*d, "put", "dossier", "x", "status=tiep_nhan", code=1)
    csv = run("-C", "node", "list", "household_poverty", "--csv", "--fields", "head_name,members", "--all")
    assert csv.startswith('\ufeff"_unit";"_key";"head_name";"members"') and "Lô Văn Mẫu" in csv
    human = run(*d, "query", "proposal", "--group-by", "sector")
    assert "Freshness" in human
    fresh = lines(run(*d, "freshness", "--json"))
    assert len(fresh) == 131 and fresh[-1]["freshness"]["units"] == 130
    assert {u["unit"] for u in fresh[:-1] if u["known"]} == {"16906"}
    one = lines(run("-C", "hub", "freshness", "--unit", "16906", "--unit", "17254", "--json"))
    assert [(u["unit"], u["known"]) for u in one[:-1]] == [("16906", True), ("17254", False)]
    assert all(one[0][f"{lane}_age_ms"] >= 0 and one[1][f"{lane}_age_ms"] == -1 for lane in ("urgent", "normal", "bulk"))
    assert "bulk" in run("-C", "hub", "freshness") and one[0]["behind"] == 0
    # what is no unit is not answered like one that has nothing, at the hub and at a node
    for place in ("hub", "dept", "node"):
        for command in (["list", "dossier"], ["query", "dossier"], ["get", "dossier", "x"], ["history", "dossier", "x"]):
            p = subprocess.run([f"{BIN}/ltctl", "-C", place, *command, "--unit", "99999"], capture_output=True,
                               text=True, cwd=WORK, env=ENV)
            assert p.returncode == 1 and "99999" in p.stderr, (place, command, p.returncode, p.stderr)
    run("-C", "hub", "freshness", "--unit", "99999", code=1)
    hub = lines(run("-C", "hub", "status", "--json"))[0]
    assert hub["unit_name"] == "Nghệ An" and "Nghệ An (40)" in run("-C", "hub", "status")


def typed(text, *args, code=0):
    p = subprocess.run([f"{BIN}/ltctl", *args], input=text, capture_output=True, text=True, cwd=WORK, env=ENV)
    assert p.returncode == code, (args, p.returncode, p.stdout, p.stderr)
    return p.stdout


def check_erase():
    n, h, number, key = ["-C", "node"], ["-C", "hub"], "099170000777", "16906/HN00777"
    record = ["household_poverty", key]
    run(*n, "put", *record, *[f for f in HOUSE if not f.startswith("head_id_no")], f"head_id_no={number}")
    until("the hub has it", *h, "get", *record, "--unit", "16906")
    run(*n, "who-holds", number, code=1)  # asked at the hub
    held = lines(typed(number + "\n", *h, "who-holds", "--json"))[0]["holdings"]
    assert len(held) == 1 and held[0]["key"] == key and held[0]["fields"] == ["head_id_no"], held
    assert held[0]["shown"] == ["head_id_no"] and {m["role"] for m in held[0]["machines"]} >= {"hub", "node"}, held
    open(f"{WORK}/number", "w").write(number + "\n")
    assert "head_id_no" in run(*h, "who-holds", "--file", "number")
    typed("", *h, "who-holds", code=2)
    typed("123456789012\n", *h, "who-holds", code=1)
    run(*h, "erase", *record, code=2)
    run(*h, "erase", "--unit", "16906", *record, "--yes", code=2)
    run(*h, "erase", "--unit", "16906", *record, "--yes", "--reason", "request", "--basis", number, code=1)
    run(*h, "erase", "--unit", "16906", *record, "--field", "members", code=1)
    look = lines(run(*h, "erase", "--unit", "16906", *record, "--json"))[0]
    assert not look["erased"] and look["values"] >= 2, look
    assert "would go" in run(*h, "erase", "--by-number", "--file", "number")
    why = ["--yes", "--reason", "request", "--basis", "Luật 91/2025/QH15"]
    done = lines(typed(number, *h, "erase", "--by-number", *why, "--json"))[0]
    assert done["erased"] and done["records"] == 1 and done["values"] == look["values"], done
    run(*h, "erase", "--unit", "16906", *record, *why, code=1)  # nothing is left
    typed(number, *h, "who-holds", code=1)
    acts = lines(run(*h, "erase", "list", "--export", "erasures", "--json"))[0]["erasures"]
    assert [a["reason"] for a in acts] == ["request"] and acts[0]["unit"] == "16906", acts
    assert number.encode() not in open(f"{WORK}/erasures", "rb").read()
    in_time("the node obeys", lambda: "head_id_no" in lines(run(*n, "history", *record, "--json"))[0]["erased"])
    assert "head_id_no erased" in run(*n, "history", *record)
    assert "head_id_no" not in lines(run(*n, "get", *record, "--json"))[0]["fields"]
    run(*n, "verify", "all")
    run(*h, "verify", "all")
    run(*n, "scrub", "--full")  # what is erased is not damaged
    run(*h, "scrub", "--full")
    for log in ("hub.log", "node.log"):
        assert number not in open(f"{WORK}/{log}").read()


def complaint(*args, code, lang="en", text=None):
    """What ltctl says on stderr, having failed with this code and answered nothing."""
    p = subprocess.run([f"{BIN}/ltctl", "--lang", lang, *args], capture_output=True, text=True, cwd=WORK, env=ENV,
                       timeout=WAIT_S, input=text)
    assert p.returncode == code and p.stdout == "", (args, p)
    return p.stderr


def check_rpc():
    """Any method by name and from JSON, at a node and the hub by their sockets and as a department over the line."""
    n, h, d, gone = (["-C", x] for x in ("node", "hub", "dept", "/nonexistent"))
    names = {x: {m["name"] for m in lines(run("-C", x, "rpc", "list", "--json"))} for x in ("node", "hub", "dept")}
    everybody = {"/grpc.health.v1.Health/Check", "/lienthong.v1.Reflection/ListServices", "/lienthong.v1.Reflection/Describe"}
    reads = {f"/lienthong.v1.Query/{m}" for m in ("Get", "List", "Aggregate", "History", "Freshness", "Prove", "Refused")}
    assert names["dept"] == everybody | reads | {"/lienthong.v1.Enrol/Join"}, names["dept"]
    assert everybody | reads | {"/lienthong.v1.Records/Put", "/lienthong.v1.Admin/Status"} <= names["node"] & names["hub"]
    assert "/lienthong.v1.Admin/Invite" in names["hub"] - names["node"] and "/lienthong.v1.Sync/Push" not in names["hub"]
    assert "lienthong.v1.Query/Get" in run(*d, "rpc", "list") and "Admin" not in run(*d, "rpc", "list")
    known = {m["name"] for m in lines(run(*gone, "rpc", "list", "--offline", "--json"))}
    assert known > names["hub"] | names["node"]
    run(*gone, "rpc", "list", code=3)
    out = run(*d, "rpc", "describe", "Query/Get")
    assert "rpc Get(lienthong.v1.GetRequest) returns (lienthong.v1.GetReply);" in out and "Aggregate" not in out
    assert "  string collection = 1;\n" in out and "sint64 integer = 2;  // one of group 1 at most" in out
    assert "// needs read; a second time changes nothing; deadline 10 s, at most 60 s\n" in out
    assert "cần quyền read" in run("--lang", "vi", *d, "rpc", "describe", "lienthong.v1.Query")
    kind = json.loads(run(*d, "rpc", "describe", "FilterOp", "--json"))["enumeration"]
    assert kind[0]["value"][1] == {"name": "FILTER_OP_EQ", "number": 1}
    run(*h, "rpc", "describe", "InviteRequest")
    run(*gone, "rpc", "describe", "InviteRequest", "--offline")
    for lang, words in (("en", "nothing that you may call here is named \"lienthong.v1.InviteRequest\""), ("vi", "mà bạn được gọi")):
        assert words in complaint(*d, "rpc", "describe", "InviteRequest", code=1, lang=lang)
    # calls
    key = {"collection": "household_poverty", "unit": "16906", "key": "16906/HN00500"}
    got = json.loads(run(*n, "rpc", "call", "Query/Get", json.dumps(key)))
    assert {"name": "head_name", "value": {"text": "Lô Văn Mẫu"}} in got["record"]["field"], got
    got = json.loads(run(*d, "rpc", "call", "/lienthong.v1.Query/Get", json.dumps(key)))
    assert "head_name" in got["record"]["masked"] and got["freshness"]["units"] == 1, got
    want = sum(w["status"] == "tiep_nhan" for w in map(json.loads, open(f"{WORK}/day.jsonl")))
    ask = {"collection": "dossier", "filter": [{"field": "status", "op": "FILTER_OP_EQ", "value": [{"enumeration": "tiep_nhan"}]}]}
    json.dump(ask, open(f"{WORK}/ask.json", "w"), indent=1)
    got = json.loads(run(*d, "rpc", "call", "Query.Aggregate", "@ask.json"))
    assert [g.get("count", "0") for g in got["group"]] == [str(want)], (got, want)
    p = subprocess.run([f"{BIN}/ltctl", *d, "rpc", "call", "Query/Aggregate", "-"], input=json.dumps(ask), text=True,
                       capture_output=True, cwd=WORK, env=ENV, timeout=WAIT_S)
    assert p.returncode == 0 and json.loads(p.stdout)["group"] == got["group"]
    assert json.loads(run(*n, "rpc", "call", "grpc.health.v1.Health/Check")) == {"status": "SERVING"}
    assert json.loads(run(*h, "rpc", "call", "Health/Check", "--reflect")) == {"status": "SERVING"}
    put = {**key, "field": [{"name": "members", "value": {"integer": 7}}]}
    made = json.loads(run(*n, "rpc", "call", "Records/Put", json.dumps(put)))
    assert len(made["feed"]) == 36 and int(made["seq"]) > 0 and not made.get("unchanged")
    assert json.loads(run(*n, "rpc", "call", "Records/Put", json.dumps(put)))["unchanged"]
    # what is wrong with the request, in both languages, by its path; nothing was asked
    put["field"][0]["value"]["integer"] = "7.5"
    for lang, words in (("en", "field[0].value.integer: \"7.5\" is not a whole number"),
                        ("vi", "field[0].value.integer: \"7.5\" không phải số nguyên")):
        assert words in complaint(*gone, "rpc", "call", "Records/Put", json.dumps(put), code=2, lang=lang)
    assert "--reflect" in complaint(*gone, "rpc", "call", "Query/Get", "{\"newField\":1}", code=2)
    assert "not JSON: line 1" in complaint(*gone, "rpc", "call", "Query/Get", "{", code=2)
    assert "2 MiB" in complaint(*gone, "rpc", "call", "Query/Get", "-", code=2, text=" " * 2**21 + "{}")
    assert "1 MiB" in complaint(*n, "rpc", "call", "Query/Get", "-", code=2, text=json.dumps({"key": "x" * 2**20}))
    complaint(*gone, "rpc", "call", code=2)
    complaint(*gone, "rpc", "call", "Query/Get", "{}", "{}", code=2)
    complaint(*n, "rpc", "call", "Query/Get", "@nowhere.json", code=3)
    complaint(*gone, "rpc", "call", "Query/Get", code=3)
    # refused and not there
    assert "NOT_FOUND QUERY" in complaint(*n, "rpc", "call", "Query/Get", json.dumps({**key, "key": "16906/HN00999"}), code=1)
    assert "PERMISSION_DENIED METHOD" in complaint(*d, "rpc", "call", "Admin/Status", code=1)
    both = json.loads(complaint(*d, "rpc", "call", "Admin/Status", "--json", code=1))
    assert both["code"] == "PERMISSION_DENIED" and both["message"] != both["message_vi"]
    complaint(*d, "rpc", "call", "Query/Nothing", code=1)
    complaint(*d, "rpc", "call", "Nothing/Get", code=1)
    complaint(*d, "rpc", "call", "Record", "--reflect", code=2)
    until("what was written is receipted", *n, "status")


KINDS = ('{"int32":-5,"uint64":"18446744073709551615","wide":0.1,"yes":true,"text":"Ấ","raw":"AAEC","colour":"BLUE",'
         '"nest":{"many":[{},{"leaf":2}]},"manyColour":["RED"],"manySint64":["-1","1"],"oneUint64":"0"}')


def check_rpc_newer():
    """A daemon with a service that this ltctl was not built with, and one that is older than Reflection."""
    k = ["-C", "hub2"]

    def serve(*more):
        p = subprocess.Popen([f"{BIN}/rpc_newer", "hub2", *more], cwd=WORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert p.stdout.readline() == b"ready\n"
        return p

    def done(p):
        p.stdin.close()
        assert p.wait(WAIT_S) == 0

    p = serve()
    assert "/lttest.Kinder/Repeat" in {m["name"] for m in lines(run(*k, "rpc", "list", "--json"))}
    assert "rpc Repeat(lttest.Kinds) returns (stream lttest.Kinds);" in run(*k, "rpc", "describe", "lttest.Kinder")
    assert run(*k, "rpc", "call", "lttest.Kinder/Say", KINDS) == KINDS + "\n"
    assert "nest.many[1].leaf: -1 is not" in complaint(*k, "rpc", "call", "lttest.Kinder/Say",
                                                       "{\"nest\":{\"many\":[{},{\"leaf\":-1}]}}", code=2)
    complaint(*k, "rpc", "call", "lttest.Kinder", code=2)
    # streams
    assert run(*k, "rpc", "call", "lttest.Kinder/Repeat", '{"uint32":300}') == '{"uint32":300}\n' * 300
    assert run(*k, "rpc", "call", "lttest.Kinder/Repeat", '{}') == ""
    open_end = '{"yes":true,"uint32":4}'
    assert run(*k, "rpc", "call", "lttest.Kinder/Repeat", open_end, "--max", "3") == '{"uint32":4,"yes":true}\n' * 3
    assert run(*k, "rpc", "call", "lttest.Kinder/Repeat", open_end, "--max", "4") == '{"uint32":4,"yes":true}\n' * 4
    late = subprocess.run([f"{BIN}/ltctl", *k, "rpc", "call", "lttest.Kinder/Repeat", open_end, "--timeout", "1s"],
                          capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
    assert late.returncode == 3 and len(late.stdout.splitlines()) <= 4 and "DEADLINE_EXCEEDED" in late.stderr, late
    reader = subprocess.Popen([f"{BIN}/ltctl", *k, "rpc", "call", "lttest.Kinder/Repeat", '{"uint32":4294967295}'],
                              cwd=WORK, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert reader.stdout.readline() == b'{"uint32":4294967295}\n'
    reader.stdout.close()
    assert reader.wait(WAIT_S) == 3  # nobody reads the answer
    # every detail of a failure
    said = complaint(*k, "rpc", "call", "lttest.Kinder/Fail", '{"leaf":9}', code=1)
    for words in ("FAILED_PRECONDITION KINDER", "the leaf is 9", "nest.leaf", "LEAF", "1500 ms"):
        assert words in said, said
    assert "cái lá là 9" in complaint(*k, "rpc", "call", "lttest.Kinder/Fail", '{"leaf":9}', code=1, lang="vi")
    both = json.loads(complaint(*k, "rpc", "call", "lttest.Kinder/Fail", '{"leaf":14}', "--json", code=3))
    assert (both["code"], both["reason"], both["field"], both["rule"], both["retry_delay_ms"]) == \
        ("UNAVAILABLE", "KINDER", "nest.leaf", "LEAF", 1500), both
    done(p)
    # a daemon that goes every 70 messages, and another that takes its place: one stream, each message once
    p = serve("70")
    reader = subprocess.Popen([f"{BIN}/ltctl", *k, "rpc", "call", "lttest.Kinder/Repeat", '{"uint32":300}', "--timeout", "60s"],
                              cwd=WORK, env=ENV, stdout=subprocess.PIPE)
    for more in ("70", "70", "70", "100000"):
        assert p.wait(WAIT_S) == 0
        p = serve(more)
    assert reader.communicate(timeout=WAIT_S)[0] == b'{"uint32":300}\n' * 300 and reader.returncode == 0
    done(p)
    p = serve("old")
    assert "lienthong.v1.Query/Get" in run(*k, "rpc", "list")
    assert "rpc Get(" in run(*k, "rpc", "describe", "Query/Get")
    for lang, words in (("en", "the other side is older"), ("vi", "bên kia là phiên bản cũ")):
        assert words in complaint(*k, "rpc", "call", "lttest.Kinder/Say", code=3, lang=lang)
    complaint(*k, "rpc", "call", "Health/Check", "--reflect", code=3)
    assert "UNIMPLEMENTED" in complaint(*k, "rpc", "call", "Health/Check", code=3)
    done(p)


def check_proof():
    n, h = ["-C", "node"], ["-C", "hub"]
    feeds = lines(run(*n, "feeds", "--unit", "16906", "--json"))
    own = max((f for f in feeds if f["lane"] == "normal"), key=lambda f: f["seq"])
    log = lines(run(*n, "log", "16906", own["feed"], "--json"))
    assert [x["seq"] for x in log] == list(range(1, own["seq"] + 1)) and log[-1]["hash"] == own["hash"]
    assert len(lines(run(*n, "log", "16906", own["feed"][:40], "--from", "2", "--limit", "1", "--json"))) == 1
    run(*n, "log", "16906", "ffff", code=1)
    run(*n, "log", "16906", "normal", code=2)  # the hub has one there, too
    one = lines(run(*n, "show", "16906", own["feed"], "1", "--json"))[0]
    assert one["verified"] and one["verdict"] == "accepted" and one["changes"][0]["fields"]["head_name"] == "Lô Văn Mẫu"
    assert one["hash"] == log[0]["hash"] and one["prev_hash"] == "00" * 32
    far = lines(run(*h, "show", "16906", own["feed"], "1", "--json"))[0]
    assert far["verified"] and "head_name" in far["changes"][0]["withheld"] and far["withheld_leaves"] > 0
    run(*n, "show", "16906", own["feed"], str(own["seq"] + 1), code=1)
    run(*n, "show", "16906", own["feed"], "0", code=1)
    run(*n, "verify", "16906", own["feed"])
    assert all(f["good"] for f in lines(run(*n, "verify", "all", "--json")))
    assert all(f["good"] for f in lines(run(*h, "verify", "--json")))
    run(*n, "verify", "all", "--offline")
    run(*h, "verify", "all", "--offline")
    got = lines(run(*n, "receipts", "--save", "receipts.json", "--json"))
    assert got and all(r["good"] for r in got)
    # Receipts come by feed: the copy's new epoch, which the node holds as well, may stand behind.
    newest = [i for i, r in enumerate(got) if r["feed"] == own["feed"]][-1]
    assert got[newest]["seq"] == own["seq"] and got[newest]["hash"] == own["hash"], (got, own)
    run(*h, "receipts", code=3)  # the nodes keep them
    stop("node")
    stop("hub")
    run(*n, "status", code=3)
    run(*n, "verify-receipt", "receipts.json")
    run("-C", "hub2", "verify-receipt", "receipts.json", code=1)  # another federation
    saved = json.load(open(f"{WORK}/receipts.json"))
    run("-C", "/nonexistent", "verify-receipt", "receipts.json", code=3)
    run("-C", "/nonexistent", "verify-receipt", "receipts.json", "--root", saved["root_key"])
    r = saved["receipts"][newest]
    saved["receipts"][newest] = r[:40] + ("0" if r[40] != "0" else "1") + r[41:]
    json.dump(saved, open(f"{WORK}/bad.json", "w"))
    run(*n, "verify-receipt", "bad.json", code=1)
    run(*n, "verify-receipt", "day.jsonl", code=1)
    assert all(f["good"] for f in lines(run(*h, "verify", "all", "--offline", "--json")))
    damage(f"{WORK}/node/store/data.mdb", one["changes"][1]["key"] if len(one["changes"]) > 1 else "Bản Một".encode())
    assert not all(f["good"] for f in lines(run(*n, "verify", "all", "--offline", "--json", code=1)))


def put_copied(directory, number):
    """A record that names its maker's directory."""
    run("-C", directory, "put", "dossier", f"H41.65-261122-{number:04d}", *NEW)


NEW = ("procedure_code=1.012784", "procedure_name=Đăng ký khai sinh", "field_area=ho_tich", "authority_level=xa",
       "submit_channel=truc_tuyen_toan_trinh", "applicant_name=Vi Văn Mẫu", "applicant_id_no=099170000016",
       "received_at=2026-11-20T02:00:00.000Z", "due_date=2026-11-25", "status=tiep_nhan")


def check_copied():
    """A machine copied with its keys: both wrote under one number. Whoever looks is told, in words and for programs."""
    n, k, h = ["-C", "node"], ["-C", "copy"], ["-C", "hub"]
    vi = {**ENV, "LIENTHONG_LANG": "vi"}
    assert all(x["forked"] == 0 for x in json.loads(run(*n, "status", "--json"))["lanes"])
    assert all(f["forked_from"] == f["forked_to"] == 0 for f in lines(run(*n, "feeds", "--json")))
    assert json.loads(run(*h, "status", "--json"))["forks"] == 0
    stop("node")
    shutil.copytree(f"{WORK}/node", f"{WORK}/copy", ignore=shutil.ignore_patterns("*.sock", "sock"))
    start("lt-node", "node")
    until("the node serves", *n, "feeds")
    put_copied("node", 1)
    until("the original's is receipted", *n, "status")
    stop("node")
    stop("hub")
    start("lt-node", "copy")
    until("the copy serves", *k, "feeds")
    put_copied("copy", 2)
    start("lt-hub", "hub")
    end = time.monotonic() + WAIT_S
    while sum(x["forked"] for x in json.loads(subprocess.run(
            [f"{BIN}/ltctl", *k, "status", "--json"], capture_output=True, cwd=WORK, env=ENV).stdout)["lanes"]) == 0:
        assert time.monotonic() < end, "the copy is not told"
        time.sleep(0.1)
    until("the original's branch is here", *k, "get", "dossier", "H41.65-261122-0001")
    status = subprocess.run([f"{BIN}/ltctl", *k, "status", "--json"], capture_output=True, cwd=WORK, env=ENV).stdout
    assert sum(x["forked"] for x in json.loads(status)["lanes"]) == 1
    for env, words in ((ENV, "ONLY ON THIS MACHINE: 1 "), (vi, "CHỈ CÓ Ở MÁY NÀY: 1 ")):
        text = subprocess.run([f"{BIN}/ltctl", *k, "status"], capture_output=True, text=True, cwd=WORK, env=env).stdout
        assert words in text, text
    branch = [f for f in lines(run(*k, "feeds", "--json")) if f["forked_from"]]
    assert len(branch) == 1 and branch[0]["forked_to"] == branch[0]["forked_from"] == branch[0]["seq"], branch
    at = branch[0]["seq"]
    assert f"only on this machine: change-sets {at} to {at} of feed {branch[0]['feed']}" in run(*k, "feeds")
    assert f"chỉ có ở máy này: gói {at} đến {at} của dòng {branch[0]['feed']}" in run(*k, "feeds", env=vi)
    told = lines(run(*k, "history", "dossier", "H41.65-261122-0002", "--json"))
    assert [e["forked"] for e in told if "kind" in e][:1] == [True], told
    told = lines(run(*k, "history", "dossier", "H41.65-261122-0001", "--json"))
    assert [e["forked"] for e in told if "kind" in e] == [False], told
    assert "ONLY ON THIS MACHINE" in run(*k, "history", "dossier", "H41.65-261122-0002")
    assert "CHỈ CÓ Ở MÁY NÀY" in run(*k, "history", "dossier", "H41.65-261122-0002", env=vi)
    assert "ONLY ON THIS MACHINE" not in run(*k, "history", "dossier", "H41.65-261122-0001")
    end = time.monotonic() + WAIT_S
    while True:  # until the copy has announced the branch that it has now, and told of the one that it keeps aside
        nodes = [x for x in lines(run(*h, "nodes", "--json")) if x["unit"] == "16906" and x["state"] == "active"]
        assert len(nodes) == 1 and nodes[0]["forks"] <= 1, nodes
        if not nodes[0]["foreign"] and nodes[0]["forks"] == 1:
            break
        assert time.monotonic() < end, nodes
        time.sleep(0.1)
    # Nothing but the branch was wrong with it: it is written again by itself, and the hub gets it.
    until("what was only there is at the hub", *h, "get", "dossier", "H41.65-261122-0002", "--unit", "16906")
    until("all is receipted", *k, "status")
    assert json.loads(run(*k, "get", "dossier", "H41.65-261122-0002", "--json"))["delivery"] == "receipted"
    told = lines(run(*k, "history", "dossier", "H41.65-261122-0002", "--json"))
    assert [e["forked"] for e in told if "kind" in e] == [True, False], told
    stop("copy")
    start("lt-node", "node")
    until("the node serves", *n, "feeds")
    until("its copy's work comes down", *n, "get", "dossier", "H41.65-261122-0002")
    until("all is receipted", *n, "status")


def damage(path, text):
    """Every occurrence of a text in a store, one bit of it."""
    needle = text if isinstance(text, bytes) else text.encode()
    data = bytearray(open(path, "rb").read())
    at, hits = data.find(needle), 0
    while at >= 0:
        data[at] ^= 1
        hits += 1
        at = data.find(needle, at + 1)
    assert hits, "nothing to damage"
    open(path, "wb").write(data)


def keys_words(*args, code=1, lang="en"):
    p = subprocess.run([f"{BIN}/ltctl", "--lang", lang, "-C", "hub", "keys", *args], capture_output=True, text=True, cwd=WORK,
                       env=ENV, timeout=WAIT_S)
    assert p.returncode == code and not p.stdout, (args, p)
    return p.stderr


def in_time(what, cond):
    end = time.monotonic() + WAIT_S
    while not cond():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def shut_out(directory):
    """The people at a machine that the province lets in no more read what may be, and whom to call."""
    def said(lang):
        p = subprocess.run([f"{BIN}/ltctl", "--lang", lang, "-C", directory, "status"], capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S)
        return [x for x in p.stdout.splitlines() if x.startswith(("line:", "đường truyền:"))][0]
    in_time("it says that it is not let in", lambda: "suspended, revoked" in said("en") and "call the province" in said("en"))
    vi = said("vi")
    assert "tạm ngừng" in vi and "thu hồi" in vi and "hãy gọi cho tỉnh" in vi and not any(x in vi for x in ("hub", "closed", "handshake")), vi


def check_keys():
    def connected():
        return lines(run(*h, "show", who, "--json"))[0]["connected"]

    h, vi = ["-C", "hub", "keys"], {**ENV, "LIENTHONG_LANG": "vi"}
    node = [p for p in lines(run(*h, "list", "--json")) if p["role"] == "node" and p["state"] == "active"]
    n = len(node)
    run("-C", "hub", "enrol", "invite", "--unit", "16906", "--auto-approve", "--out", "inv-burnt", "--label", "Máy cũ")
    run("-C", "burnt", "node", "init", "@inv-burnt")
    start("lt-node", "burnt")
    until("the catalogue comes down", "-C", "burnt", "get", "_unit", "16906")
    node = [p for p in lines(run(*h, "list", "--json")) if p["label"] == "Máy cũ"]
    assert len(node) == 1 and node[0]["unit"] == "16906" and len(node[0]["keys"]) == 1, node
    who = node[0]["principal"]
    assert node[0]["keys"][0]["fingerprint"] in run(*h, "show", who[:12])
    assert lines(run(*h, "show", who, "--json"))[0]["revocations"] == []
    # what is asked wrongly, in both languages
    for args, code, en, vn in ((("show", "xyz"), 2, "hexadecimal", "thập lục phân"), (("show", "abcde"), 2, "6 to 32", "6 đến 32"),
                               (("revoke", who), 2, "--reason", "--reason"),
                               (("revoke", who, "--reason", "why"), 1, "stolen, lost", "mất cắp"),
                               (("revoke", who, "--reason", "lost", "--key", "7"), 1, "no key 7", "không có thành viên"),
                               (("show", "0" * 32), 1, "no principal", "không có thành viên")):
        assert en in keys_words(*args, code=code) and vn in keys_words(*args, code=code, lang="vi"), args
    assert run(*h, "suspend", who).split() == [who, "suspended"]
    assert "tạm ngừng" in run(*h, "list", env=vi)
    in_time("it is cut off", lambda: not connected())
    shut_out("burnt")
    assert lines(run(*h, "resume", who[:8], "--json"))[0]["state"] == "active"
    in_time("it comes back", connected)
    stop("burnt")
    # one command at the hub, one at the new machine
    assert "there already" in keys_words("replace", who, "--out", "inv-burnt")
    assert lines(run(*h, "show", who, "--json"))[0]["state"] == "active", "nobody would have got the invitation"
    line = run(*h, "replace", who, "--auto-approve", "--reason", "stolen").strip()
    assert line.startswith("LT1.")
    # in a file it is the letter of an invitation, for whoever stands at the new machine
    assert run(*h, "replace", who, "--auto-approve", "--out", "letter-fresh") == ""
    letter = open(f"{WORK}/letter-fresh").read()
    assert os.stat(f"{WORK}/letter-fresh").st_mode & 0o777 == 0o600 and "Dành cho: " in letter and "(16906)" in letter, letter
    assert "node init TỆP" in letter and "\nLT1." in letter and "Có hiệu lực đến" in letter, letter
    run("-C", "fresh", "node", "init", "letter-fresh")
    start("lt-node", "fresh")
    until("the new machine has it all", "-C", "fresh", "get", "_unit", "16906")
    start("lt-node", "burnt")
    until("the old one serves, offline", "-C", "burnt", "feeds")
    in_time("and is not let in", lambda: "waiting to dial again" in run("-C", "burnt", "status", code=1))
    assert not connected()
    shut_out("burnt")
    stop("burnt")
    gone = lines(run(*h, "show", who, "--json"))[0]
    assert gone["state"] == "revoked" and gone["revocations"][0]["reason"] == "stolen" and not gone["keys"][0]["active"], gone
    assert gone["revocations"][0]["by"] == "" and gone["revocations"][0]["key_no"] == 0, gone
    assert who not in run(*h, "list") and who in run(*h, "list", "--gone")
    assert "Máy cũ" in run(*h, "show", who).splitlines(), "the label stands on a line of its own"
    assert "mất cắp" in run(*h, "show", who, env=vi) and "every key (stolen)" in run(*h, "show", who)
    assert "revoked" in keys_words("resume", who) and "trạng thái" in keys_words("resume", who, lang="vi")
    # new keys for the new machine
    now = lines(run("-C", "fresh", "keys", "rotate", "--json"))[0]
    who = [p for p in lines(run(*h, "list", "--json")) if p["label"] == "Máy cũ"][0]
    assert now["key_no"] == 2 and [k["active"] for k in who["keys"]] == [False, True], (now, who)
    assert who["keys"][1]["fingerprint"] == now["fingerprint"] and who["revocations"][0]["reason"] == "rotated", who
    assert "đổi khóa" in run(*h, "show", who["principal"], env=vi)
    assert "at its machine" in keys_words("rotate", code=3) and "tại máy đó" in keys_words("rotate", code=3, lang="vi")
    # leaving in order
    now = [p for p in lines(run(*h, "list", "--json")) if p["role"] == "node" and p["state"] == "active"]
    assert len(now) == n + 1, now
    new = [p["principal"] for p in now if p["label"] == "Máy cũ"][0]
    until("all it wrote is here", *h, "retire", new)
    assert lines(run(*h, "show", new, "--json"))[0]["state"] == "retired"
    stop("fresh")


def says(*args, code, lang="vi", directory="hub", text=None):
    """Complaints and answers together."""
    p = subprocess.run([f"{BIN}/ltctl", "--lang", lang, "-C", directory, *args], capture_output=True, text=True, cwd=WORK, env=ENV, timeout=WAIT_S, input=text,
                       stdin=subprocess.DEVNULL if text is None else None)
    assert p.returncode == code, (args, p)
    return p.stdout + p.stderr


def check_checkpoint():
    """What the hub signs of its own history: shown on both sides, exported, compared with a log, with the root key alone, and with another word of the hub's."""
    n, h = ["-C", "node"], ["-C", "hub"]
    until("the hub has told one", *n, "checkpoint", "show")
    end = time.monotonic() + WAIT_S
    while not (shown := json.loads(run(*h, "checkpoint", "show", "--json")))["cosigned"]:
        assert time.monotonic() < end, shown
        time.sleep(0.1)
    assert [(x["unit"], x["newest"]) for x in shown["by"]] == [("16906", True)] and shown["nodes"] == 1, shown
    assert len(shown["words"].split()) == 8 and shown["heads"] and shown["equivocations"] == 0, shown
    text = run(*h, "checkpoint", "show")
    assert "cosigned by 1 of 1, the last from 16906" in text, text
    here = json.loads(run(*n, "checkpoint", "show", "--json"))
    assert here["own"] and here["cosigned"] == 0 and len(here["words"].split()) == 8, here
    until("all is receipted", *n, "status")
    assert json.loads(run(*n, "status", "--json"))["equivocations"] == 0
    run(*n, "checkpoint", "export", code=2)
    run(*n, "checkpoint", "export", "a.ck")
    run(*h, "checkpoint", "export", "b.ck")
    root = next(x[9:] for x in open(f"{WORK}/node/identity").read().split() if x.startswith("root_key="))
    shutil.copy(f"{WORK}/a.ck", f"{WORK}/again.ck")
    assert "The same history" in run(*n, "checkpoint", "compare", "a.ck")
    assert "The same history" in run(*h, "checkpoint", "compare", "a.ck", "b.ck")
    run("checkpoint", "compare", "--root", root, "a.ck", "again.ck")
    run("checkpoint", "compare", "--root", root, "a.ck", code=3)  # with nothing to compare it with
    run("checkpoint", "compare", "--root", root[:-1], "a.ck", code=2)
    assert "liên thông khác" in says("checkpoint", "compare", "--root", "00" * 32, "a.ck", code=1)
    # The hub's other word, made from FORMAT.md 15 alone with its key.
    sys.path.insert(0, f"{SOURCE}/tests/vectors")
    from golden_base import Key, p_bytes, p_fixed64, p_text, p_varint
    seed = next(x[10:] for x in open(f"{WORK}/hub/identity").read().split() if x.startswith("sign_seed="))
    file = json.load(open(f"{WORK}/a.ck"))
    first = file["checkpoints"][0]
    body = bytearray.fromhex(first["checkpoint"])
    body[-1] ^= 1
    first.update(checkpoint=bytes(body).hex(), cosignatures=[])
    json.dump(file, open(f"{WORK}/unsigned.ck", "w"))
    first["signature"] = Key(bytes.fromhex(seed)).sign("lt1.checkpoint", bytes(body)).hex()
    json.dump(file, open(f"{WORK}/other.ck", "w"))
    assert "không phải đầu mối ký" in says("checkpoint", "compare", "unsigned.ck", code=1)
    found = json.loads(run("checkpoint", "compare", "--root", root, "a.ck", "other.ck", "--json", code=1))
    assert found["contradiction"] and found["seq"] >= 1, found
    assert "CONTRADICTION" in run(*n, "checkpoint", "compare", "other.ck", code=1)
    assert "MÂU THUẪN" in run(*h, "checkpoint", "compare", "other.ck", code=1, env={**ENV, "LIENTHONG_LANG": "vi"})
    assert "this machine's log" in run(*n, "checkpoint", "compare", "other.ck", code=1)
    # Headers of change-sets that came: of that number, or of the next one with another prev_hash.
    file = json.load(open(f"{WORK}/a.ck"))
    body = bytes.fromhex(file["checkpoints"][0]["checkpoint"])
    lane, epoch, seq, said = body[102], *(int.from_bytes(body[i:i + 8], "big") for i in (103, 111)), body[119:151]
    for number, prev, code in ((seq, b"\1" * 32, 1), (seq + 1, b"\1" * 32, 1), (seq + 1, said, 3)):
        header = (p_bytes(1, body[1:33]) + p_bytes(2, body[33:49]) + p_text(3, "_") + p_varint(4, lane) + p_fixed64(5, epoch) + p_varint(6, number) +
                  p_bytes(7, prev) + p_varint(12, int.from_bytes(body[49:53], "big")))
        file["headers"] = [{"header": header.hex(), "signature": Key(bytes.fromhex(seed)).sign("lt1.changeset", header).hex()}]
        json.dump(file, open(f"{WORK}/header.ck", "w"))
        found = json.loads(run("checkpoint", "compare", "--root", root, "a.ck", "header.ck", "--json", code=code))
        assert found["contradiction"] == (code == 1) and found.get("seq", seq) == seq, found
    file["more"] = 1
    json.dump(file, open(f"{WORK}/more.ck", "w"))
    assert "thừa hoặc thiếu" in says("checkpoint", "compare", "more.ck", code=1)
    open(f"{WORK}/cut.ck", "w").write(open(f"{WORK}/a.ck").read()[:-9])
    assert "không phải tệp điểm mốc" in says("checkpoint", "compare", "cut.ck", code=1)
    says("checkpoint", "compare", "nowhere", code=3)


def check_vietnamese():
    """What does not come from a daemon is said in the reader's language too: files, folders, the words of the root key, the audit."""
    words = ("cannot", "No such", "file", "found", "damaged", "head", "expected", "exists", "mode", "signed", "is in use", "department", "operator")

    def vi(want, *args, code, **more):
        said = says(*args, code=code, **more)
        assert want in said and not any(x in said for x in words), (args, said)
        return said
    vi('không mở được "nowhere": không có tệp', "node", "init", "@nowhere", code=3, directory="nodir")
    vi('không mở được "nowhere": không có tệp', "forks", "verify", "nowhere", code=3)
    vi('không ghi được "words": đã có rồi', "hub", "escrow", "words", code=1)
    vi("không mở được", "hub", "init", "--province", "40", "--units", "nowhere", code=3, directory="nodir")
    os.mkdir(f"{WORK}/open")
    os.chmod(f"{WORK}/open", 0o755)
    vi('chmod 700 "open"', "status", code=3, directory="open")
    shutil.copy(f"{WORK}/node/identity", f"{WORK}/open")
    os.chmod(f"{WORK}/open", 0o700)
    os.chmod(f"{WORK}/open/identity", 0o644)
    vi("có quyền 0644", "status", code=3, directory="open")
    os.chmod(f"{WORK}/open/identity", 0o600)
    whole = open(f"{WORK}/open/identity").read()
    open(f"{WORK}/open/identity", "w").write(whole[:-9])
    vi("bị cắt cụt", "status", code=3, directory="open")
    # the words of the root key
    run("-C", "hub", "hub", "escrow", "sealed")
    run("-C", "hub", "backup", "kept")
    for text, want in (("", "cần 33 từ, mới có 0"), ("ba ba", "cần 33 từ, mới có 2"), ("ba xyz", "từ thứ 2"), ("ba " * 34, "nhiều hơn 33 từ")):
        open(f"{WORK}/few", "w").write(text)
        vi(want, "restore", "kept", "--escrow", "sealed", "--words-file", "few", code=1, directory="again")
    vi("hãy khôi phục vào một thư mục trống: -C THƯ_MỤC (đã có ", "restore", "kept", "--escrow", "sealed", "--words-file", "words", code=1, directory="hub2")
    vi('"nope": không có tệp', "restore", "kept", "--escrow", "sealed", "--words-file", "words", "--erasures", "nope", code=3, directory="again")
    said = run("-C", "restored", "restore", "kept", "--escrow", "sealed", "--words-file", "words")
    assert "Restored without --erasures" in said and "until the nodes have given the erasures back" in said, said
    # the audit of a hub, a file of it cut
    in_time("a read is signed", lambda: lines(run("-C", "hub", "audit", "verify", "--json"))[0]["entries"] > 0)
    shutil.copytree(f"{WORK}/hub/audit", f"{WORK}/audited/audit")
    os.chmod(f"{WORK}/audited", 0o700)
    last = max(os.listdir(f"{WORK}/audited/audit"))
    data = open(f"{WORK}/audited/audit/{last}", "rb").read()
    open(f"{WORK}/audited/audit/{last}", "wb").write(data[:-10])
    shutil.copy(f"{WORK}/hub/audit/{last}", f"{WORK}/audited/audit/{int(last) + 1:010}")  # so it is not the one that is being written
    root = lines(run("-C", "hub", "backup", "verify", "kept", "--json"))[0]["root_key"]
    vi("KHÔNG TỐT: các byte của tệp 1 bị hỏng hoặc bị cắt ở", "audit", "verify", "--offline", "--root", root, code=1, directory="audited")
    open(f"{WORK}/audited/audit/{last}", "wb").write(data)
    vi("KHÔNG TỐT: chứng thư không được ký bằng khóa gốc này", "audit", "verify", "--offline", "--root", "00" * 32, code=1, directory="audited")
    vi("nhật ký mà ở đây không còn tệp nào", "audit", "verify", "--head", "ab" * 8 + ":4:" + "cd" * 32, code=1)
    # who is meant
    said = says("enrol", "invite", "--operator", "--out", "inv-op", code=0)
    assert said.startswith("thư mời cho người vận hành, có hiệu lực đến"), said
    assert says("enrol", "invite", "--org", "so_noi_vu", "--out", "inv-org", code=0).startswith("thư mời cho sở ngành so_noi_vu, có"), said
    assert "invitation for operator, valid" in says("enrol", "invite", "--operator", "--out", "inv-op2", code=0, lang="en")
    assert "sở ngành so_noi_vu" in says("keys", "list", code=0) and "department so_noi_vu" in says("keys", "list", code=0, lang="en")
    assert {x["role"] for x in lines(says("keys", "list", "--json", code=0))} <= {"node", "hub", "department", "operator", "mirror"}
    # half a command
    for args, en, want in ((("enrol",), "'enrol' needs one word more", "'enrol' còn thiếu một từ"), (("enrol", "bogus"), "no command 'enrol bogus'", "không có lệnh 'enrol bogus'"),
                           (("bogus",), "no command 'bogus'", "không có lệnh 'bogus'")):
        assert want in says(*args, code=2) and en in says(*args, code=2, lang="en")
        assert ("enrol invite" in says(*args, code=2)), args


def check_words():
    long = f"{WORK}/{'x' * 60}/{'y' * 60}"
    os.makedirs(long)
    p = subprocess.run([f"{BIN}/ltctl", "-C", long, "status"], capture_output=True, text=True, env=ENV)
    assert p.returncode == 3 and "chmod 700" in p.stderr, p.stderr  # made with the mode that the shell gives
    os.chmod(long, 0o700)
    shutil.copy(f"{WORK}/node/identity", long)
    p = subprocess.run([f"{BIN}/ltctl", "-C", long, "status"], capture_output=True, text=True, env=ENV)
    assert p.returncode == 3 and "too long" in p.stderr, p.stderr
    vi = {**ENV, "LIENTHONG_LANG": "vi"}
    assert "cách dùng" in run("--help", env=vi) and "usage" in run("--lang", "en", "--help", env=vi)


def give_something(fields):
    """The hub writes, and its tables have it."""
    start("lt-hub", "hub")
    until("the hub is up", "-C", "hub", "status")
    who = [p for p in lines(run("-C", "hub", "keys", "list", "--json")) if p["role"] == "department" and p["state"] == "active"]
    run("-C", "hub", "grants", "give", who[0]["principal"], "--collections", "dossier", "--units", "17254", "--fields", fields)
    stop("hub")


def check_compact():
    """Tables that show more than the log are the witness of files put back by hand: they are not taken away."""
    give_something("status")
    shutil.copytree(f"{WORK}/hub/log", f"{WORK}/old-log")
    give_something("dossier_code")
    os.rename(f"{WORK}/hub/log", f"{WORK}/new-log")
    os.rename(f"{WORK}/old-log", f"{WORK}/hub/log")
    for lang, words in (("en", "show more than its log"), ("vi", "nhiều hơn nhật ký")):
        p = subprocess.run([f"{BIN}/ltctl", "-C", "hub", "compact"], capture_output=True, text=True, cwd=WORK,
                           env={**ENV, "LIENTHONG_LANG": lang})
        assert p.returncode == 1 and words in p.stderr, (p.returncode, p.stdout, p.stderr)
    assert os.path.exists(f"{WORK}/hub/derived/data.mdb")
    shutil.rmtree(f"{WORK}/hub/log")
    os.rename(f"{WORK}/new-log", f"{WORK}/hub/log")
    run("-C", "hub", "compact")
    assert not os.path.exists(f"{WORK}/hub/derived/data.mdb")
    give_something("status,dossier_code")


WORK = tempfile.mkdtemp(prefix="lt-e2e-")
try:
    for step in (check_init, check_enrol, check_department, check_refusals, check_vietnamese, check_grant, check_records, check_checkpoint, check_languages, check_import,
                 check_keys, check_query, check_erase, check_rpc, check_rpc_newer, check_copied, check_proof, check_words, check_compact):
        print(step.__name__, flush=True)
        step()
except BaseException:
    for name in os.listdir(WORK):
        if name.endswith(".log"):
            print(f"--- {name}\n{open(f'{WORK}/{name}').read()[-1500:]}")
    raise
finally:
    for p in procs.values():
        p.kill()
        p.wait()
    shutil.rmtree(WORK, ignore_errors=True)
print("every step held")
