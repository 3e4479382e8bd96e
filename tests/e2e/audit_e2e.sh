#!/bin/bash
# audit_e2e.sh BIN SOURCE - the read audit over real processes: a department reads, the commune's node shows it, another's does
# not; a denied call is in it; the hub is killed while reads run, and the log verifies.
set -euo pipefail
bin=$1 source=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/lt-audit-XXXXXX")
pids=() hub_pid=
fail() { printf 'audit_e2e: FAILED: %s\n' "$*" >&2; tail -n 5 "$work"/*.log >&2 || true; exit 1; }
finish() {
	local code=$? p
	for p in "${pids[@]}"; do kill -TERM "$p" 2>/dev/null || true; done
	for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
ltctl() { "$bin/ltctl" --lang vi "$@"; }
start() { # VARIABLE PROGRAM DIR
	"$bin/$2" -C "$work/$3" >>"$work/$3.log" 2>&1 &
	pids+=($!)
	printf -v "$1" %s $!
}
until_ok() { # WHAT COMMAND...
	local end=$((SECONDS + 120)) what=$1
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "not in time: $what"
		sleep 0.1
	done
}
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
address=tcp://127.0.0.1:$port
ltctl -C "$work/hub" hub init --province 40 --listen "$address" --addresses "$address" \
	--root-words-file "$work/root" >/dev/null || fail "hub init"
start hub_pid lt-hub hub
until_ok "the hub answers" ltctl -C "$work/hub" nodes
for unit in 17254 16906; do
	ltctl -C "$work/hub" enrol invite --unit $unit --auto-approve --out "$work/invite-$unit" >/dev/null
	ltctl -C "$work/node-$unit" node init "@$work/invite-$unit" >/dev/null
	printf '[node]\naudit_every = 1s\n' >>"$work/node-$unit/lienthong.conf"
	start pid lt-node node-$unit
done
ltctl -C "$work/hub" enrol invite --org so_noi_vu --collections dossier --auto-approve --out "$work/invite-dept" >/dev/null
ltctl -C "$work/dept" client init "@$work/invite-dept" >/dev/null
until_ok "the department is let in" ltctl -C "$work/dept" client join

# A read of one commune, one of all, one that is denied, a thousand times the same.
ltctl -C "$work/dept" list dossier --unit 17254 >/dev/null || fail "list"
ltctl -C "$work/dept" query dossier --group-by status >/dev/null || fail "query"
for i in 1 2 3; do
	if ltctl -C "$work/dept" enrol list >/dev/null 2>&1; then fail "a department lists enrolments"; fi
done
# All of an answer is read before it is searched: a reader that went away is an error to ltctl.
seen() { # DIR PATTERN OPTIONS...
	local dir=$1 pattern=$2
	shift 2
	ltctl -C "$work/$dir" audit list "$@" --json >"$work/seen" && grep -q "$pattern" "$work/seen"
}
seen hub '"method": *"/lienthong.v1.Query/List"' --unit 17254 || fail "the hub's audit lacks the list"
seen hub '"method": *"/lienthong.v1.Query/Aggregate"' --collection dossier || fail "the hub's audit lacks the query"
seen hub '"status": *"PERMISSION_DENIED"' --denied || fail "the hub's audit lacks what was denied"
if seen hub 'Query/List' --unit 16906; then fail "the list is noted under another commune"; fi
unknown() { # DIR
	if ltctl -C "$work/$1" audit list --unit 99999 2>"$work/unknown"; then fail "an unknown unit is listed at $1"; fi
	grep -q "không có đơn vị '99999'" "$work/unknown" || fail "$1 does not say that there is no such unit"
}
unknown hub
if seen dept . 2>/dev/null; then fail "a department reads the audit"; fi
ltctl -C "$work/hub" audit list >"$work/list"
grep -q "BỊ TỪ CHỐI" "$work/list" || fail "the list is not in Vietnamese"
ltctl -C "$work/hub" audit list --method Query/List --json >"$work/seen"
seq=$(grep -o '"seq": *[0-9]*' "$work/seen" | sed -n '1s/.*[^0-9]//p')
until_ok "the read is signed" ltctl -C "$work/hub" audit prove "$seq"
ltctl -C "$work/hub" audit prove "$seq" --query '{"collection": "dossier", "unit": ["16906"]}' >/dev/null && fail "a false query passes"

# The commune sees it at its own machine, with the hub or without; the other one sees what was asked over all, and no more.
shown() { seen node-17254 'Query/List'; }
until_ok "the node of 17254 shows the list" shown
unknown node-17254
all_shown() { seen node-16906 'Query/Aggregate'; }
until_ok "the node of 16906 shows what was asked over all" all_shown
if seen node-16906 '"unit": *"17254"\|dossier.*Query/List'; then fail "16906 is shown what is 17254's"; fi
ltctl -C "$work/node-17254" audit list --method Query/List >"$work/list"
grep -q "đọc  Query/List" "$work/list" || fail "the node's list is not in Vietnamese"
head=$(ltctl -C "$work/node-17254" audit list | grep -o '[0-9a-f]\{16\}:[0-9]*:[0-9a-f]\{64\}')
ltctl -C "$work/hub" audit verify --head "$head" >/dev/null || fail "the head that the node has is not in the hub's log"
last=$(printf '%s' "$head" | tail -c 1 | tr '0-9a-f' '1-9a-f0')
if ltctl -C "$work/hub" audit verify --head "${head%?}$last" >/dev/null; then fail "a head that never was is in the log"; fi

# Killed while reads run: what was answered stands there.
for i in 1 2 3 4; do
	(while [ ! -e "$work/enough" ] && ltctl -C "$work/dept" list dossier --unit 17254 >/dev/null 2>&1; do echo x >>"$work/reads.$i"; done) &
	readers+=($!)
done
running() { [ -s "$work/reads.1" ] && [ -s "$work/reads.4" ] && [ "$(cat "$work"/reads.* | wc -l)" -ge 20 ]; }
until_ok "reads run" running
kill -KILL "$hub_pid"
wait "$hub_pid" 2>/dev/null || true
touch "$work/enough"
ltctl -C "$work/hub" audit verify --offline >/dev/null || fail "the log does not verify after kill -9"
start hub_pid lt-hub hub
until_ok "the hub is back" ltctl -C "$work/hub" nodes
wait "${readers[@]}" || true # who was cut off may ask again for a while
ltctl -C "$work/hub" audit verify >"$work/verify" || fail "verify: $(cat "$work/verify")"
answered=$(cat "$work"/reads.* | wc -l)
# Of the commune alone: before it lists, ltctl reads the catalogue, which is nobody's. Four at most were noted and not answered any more.
noted=$(ltctl -C "$work/hub" audit list --method Query/List --unit 17254 --json |
	/usr/bin/python3 -c 'import json, sys; print(sum(e["count"] for e in map(json.loads, sys.stdin) if e["kind"] == "read"))')
if [ "$noted" -lt "$((answered + 1))" ] || [ "$noted" -gt "$((answered + 5))" ]; then
	fail "$answered reads were answered, $noted are noted"
fi
key=$(grep '^root_key=' "$work/hub/identity" | cut -d= -f2)
/usr/bin/python3 "$source/tests/hub/verify_audit.py" log "$work/hub" "$key" >"$work/second" || fail "the second implementation: $(cat "$work/second")"
# Without a hub the node has it still; a look over its store finds nothing wrong.
kill -TERM "$hub_pid"
wait "$hub_pid" || fail "the hub did not stop cleanly"
shown || fail "the node does not show it without the hub"
ltctl -C "$work/node-17254" scrub >/dev/null || fail "scrub"
# By hand: the first entry altered.
mkdir "$work/copy" && cp -r "$work/hub/audit" "$work/hub/audit.head" "$work/copy/"
printf 'x' | dd of="$work/copy/audit/0000000001" bs=1 seek=700 conv=notrunc 2>/dev/null
if ltctl -C "$work/copy" audit verify --offline --root "$key" >"$work/verify"; then fail "an altered byte is not found"; fi
grep -q "KHÔNG TỐT" "$work/verify" || fail "it does not say that it is not good"
echo "audit_e2e: $answered reads answered, $noted noted, all as it should be"
