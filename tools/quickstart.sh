#!/bin/bash
# quickstart.sh - a province in miniature on real input, from nothing to a verified receipt; then everything is stopped.
#
#   tools/quickstart.sh                install what is missing, build, run
#   LT_KEEP=1 tools/quickstart.sh      leave the data directories for a look afterwards (their place is printed)
#   LT_LANG=en tools/quickstart.sh     texts of the tools in English (default: Vietnamese, as commune staff see them)
#
# Exit 0 only if every step held.
set -euo pipefail
cd "$(dirname "$0")/.."

step_no=0
step() { step_no=$((step_no + 1)); printf '\n\033[1m== %d. %s\033[0m\n' "$step_no" "$*"; }
fail() { printf '\nquickstart: FAILED at step %d: %s\n' "$step_no" "$*" >&2; exit 1; }
# The command as it can be typed again: in quotes what the shell would read otherwise. (%q makes letters with marks unreadable.)
show_command() {
	local word line='$'
	for word in "${@//$work\//}"; do
		case $word in
		'' | *[[:space:]\<\>\|\&\;\(\)\$\`\\\"\'\*\?\[\]\{\}\~\#\!]*) line+=" '${word//\'/\'\\\'\'}'" ;;
		*) line+=" $word" ;;
		esac
	done
	printf '%s\n' "$line"
}
# Show the command, then run it.
run() { show_command "$@"; "$@" || fail "$* (exit $?)"; }

# ---- packages and build ------------------------------------------------------------------------------

sh tools/install-packages.sh tools/packages.txt
preset=${LT_PRESET:-default}
build=build
[ "$preset" = default ] || build=build-$preset
if ! said=$(cmake --preset "$preset" 2>&1); then
	printf '%s\n' "$said"
	exit 1
fi
echo "== build"
cmake --build --preset "$preset" --parallel "$(nproc)"
bin=$PWD/$build/bin
lang=${LT_LANG:-vi}
ltctl() { "$bin/ltctl" --lang "$lang" "$@"; }

# ---- a place of its own, and an end to everything ----------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/lt-quickstart-XXXXXX")
pids=()
stop_all() {
	local p
	for p in "${pids[@]}"; do kill -TERM "$p" 2>/dev/null || true; done
	for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
	pids=()
}
finish() {
	local code=$?
	stop_all
	if [ "$code" != 0 ]; then
		for log in "$work"/*.log; do
			[ -s "$log" ] && { echo "--- last lines of $(basename "$log")"; tail -n 8 "$log"; }
		done
	fi
	if [ -n "${LT_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A daemon in the background; its process id goes to the named variable.
start() { # VARIABLE PROGRAM DIR
	"$bin/$2" -C "$work/$3" >>"$work/$3.log" 2>&1 &
	pids+=($!)
	printf -v "$1" %s $!
}
# Ask until the answer is yes, at most N seconds.
until_ok() { # SECONDS WHAT COMMAND...
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "not in time: $what"
		sleep 0.2
	done
}
free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

today=$(TZ=Asia/Ho_Chi_Minh date +%F)
port=$(free_port)
began=$SECONDS
declare -A name=([17254]="Con Cuông" [16906]="Lượng Minh" [16855]="Chiêu Lưu")

# ---- the hub -----------------------------------------------------------------------------------------

step "The hub of Nghệ An (40): keys, catalogue of 37 collections, 130 communes"
ltctl -C "$work/hub" hub init --province 40 --listen "tcp://127.0.0.1:$port" --addresses "tcp://127.0.0.1:$port" \
	--root-words-file "$work/root.words" >"$work/init.txt" || fail "hub init"
sed -n '1,12p' "$work/init.txt"
start hub_pid lt-hub hub
until_ok 20 "the hub answers" ltctl -C "$work/hub" nodes

# ---- the nodes ---------------------------------------------------------------------------------------

step "Three communes join by invitation; the province approves them"
for unit in 17254 16906 16855; do
	ltctl -C "$work/hub" enrol invite --unit $unit --label "${name[$unit]}" --out "$work/invite-$unit" >/dev/null ||
		fail "invite $unit"
	ltctl -C "$work/node-$unit" node init "@$work/invite-$unit" >"$work/join-$unit.txt" || fail "node init $unit"
	start "pid_$unit" lt-node "node-$unit"
done
cat "$work/join-17254.txt"
waiting() { [ "$(ltctl -C "$work/hub" enrol list --json | grep -c '"state": *"pending"')" = 3 ]; }
until_ok 30 "three machines ask to join" waiting
run ltctl -C "$work/hub" enrol list
run ltctl -C "$work/hub" enrol approve all
online() { ltctl -C "$work/node-$1" list _unit --unit _ --where "_key = $1" --json | grep -q "$1"; }
for unit in 17254 16906 16855; do
	until_ok 40 "${name[$unit]} has the catalogue" online $unit
done
echo "three nodes are enrolled and have the catalogue, the registry and the units"

# ---- real input --------------------------------------------------------------------------------------

step "At the hub: commune profiles, and the proposals and directives of one notice of the province"
run ltctl -C "$work/hub" import commune_profile
run ltctl -C "$work/hub" import all tools/data/directives.jsonl --source 001_9aabba1340fc8c0f.txt

step "At Lượng Minh: the list of poor households, as exported from a spreadsheet; refused rows are shown"
ltctl -C "$work/node-16906" import household_poverty tests/data/sample/a_ho_ngheo_luong_minh.csv \
	--map tools/data/import/ho_ngheo.json --rejects "$work/refused.csv" && code=0 || code=$?
[ "$code" = 1 ] || fail "the import should say (exit 1) that rows were refused, it said $code"
[ -s "$work/refused.csv" ] || fail "no file of refused rows"

step "At each node: a working day of dossiers ($today)"
for unit in 17254 16906 16855; do
	"$bin/lt-gen" dossiers --unit $unit --day "$today" --count 60 --seed $unit --until 17:00 >"$work/day-$unit.jsonl"
	run ltctl -C "$work/node-$unit" import dossier "$work/day-$unit.jsonl"
done
before=$(ltctl -C "$work/node-17254" status --json | tr ',' '\n' | grep -m1 '"made"' || true)
ltctl -C "$work/node-17254" import dossier "$work/day-17254.jsonl" >/dev/null || fail "second import"
after=$(ltctl -C "$work/node-17254" status --json | tr ',' '\n' | grep -m1 '"made"' || true)
[ "$before" = "$after" ] || fail "the same file again made a change-set ($before, then $after)"
echo "the same file again: nothing changed, no change-set made"

step "Everything converges"
for unit in 17254 16906 16855; do
	until_ok 60 "${name[$unit]}: every change-set is receipted" ltctl -C "$work/node-$unit" status
done
run ltctl -C "$work/node-17254" status
until_ok 30 "the hub holds what every node announced" ltctl -C "$work/hub" status
run ltctl -C "$work/hub" status

# ---- questions ---------------------------------------------------------------------------------------

step "A department joins with its own key and a grant for what it has to ask, no more: Sở Nội vụ"
run ltctl -C "$work/hub" enrol invite --org so_noi_vu --collections dossier,proposal,household_poverty --auto-approve \
	--out "$work/invite-dept"
ltctl -C "$work/dept" client init "@$work/invite-dept" >/dev/null || fail "client init"
until_ok 20 "the department is let in" ltctl -C "$work/dept" client join
ltctl -C "$work/hub" enrol list | grep so_noi_vu

step "Question 1: dossiers past their date and not finished, by commune"
run ltctl -C "$work/dept" query dossier --where "due_date < $today" \
	--where "status in tiep_nhan,dang_xu_ly,yeu_cau_bo_sung,tam_dung" --group-by _unit | tee "$work/q1.txt"
grep -q 17254 "$work/q1.txt" || fail "question 1: Con Cuông is missing"

step "Question 2: proposals of the communes to the province, by sector"
run ltctl -C "$work/dept" query proposal --group-by sector | tee "$work/q2.txt"

step "Question 3: poor households of Lượng Minh; names and identity numbers of persons are hidden from this department"
run ltctl -C "$work/dept" list household_poverty --unit 16906 --where "class = ngheo" | tee "$work/q3.txt"
grep -q HN00001 "$work/q3.txt" || fail "question 3: household HN00001 is missing"
echo "one household whole: name and identity number of its head are among the fields that are hidden"
run ltctl -C "$work/dept" get household_poverty 16906/HN00001 --unit 16906 | tee "$work/q3one.txt"
grep -q "head_id_no.*head_name" "$work/q3one.txt" || fail "question 3: name and number are not told to be hidden"
cat "$work/q3one.txt" >>"$work/q3.txt"
if grep -q "Mẫu\|09908" "$work/q3.txt"; then fail "question 3 shows personal data"; fi
if ltctl -C "$work/dept" list household_poverty --where "head_id_no = 099085000001" >/dev/null 2>"$work/denied.txt"; then
	fail "a masked field could be searched"
fi
cat "$work/denied.txt"

step "Outside its grant: this department may not ask for commune profiles, though the catalogue makes it their owner"
refused() { # COMMAND...: exit 1 and a reason
	local code=0
	show_command "$@"
	"$@" >/dev/null 2>"$work/denied.txt" || code=$?
	[ "$code" = 1 ] || fail "$* should be refused (exit 1), it said $code"
	cat "$work/denied.txt"
}
refused ltctl -C "$work/dept" list commune_profile
grep -q commune_profile "$work/denied.txt" || fail "the refusal does not name the collection"

# ---- the hub is away ---------------------------------------------------------------------------------

step "The hub stops; Con Cuông writes on; the hub comes back and the record arrives"
kill -TERM "$hub_pid"
wait "$hub_pid" || fail "the hub did not stop cleanly"
code_of() { printf 'H41.17.254-%s-9%03d' "$(date -d "$today" +%y%m%d)" "$1"; }
key=$(code_of 1)
run ltctl -C "$work/node-17254" put dossier "$key" procedure_code=1.012784 "procedure_name=Đăng ký khai sinh" \
	field_area=ho_tich authority_level=xa submit_channel=truc_tuyen_toan_trinh "applicant_name=Vi Văn Mẫu" \
	"received_at=${today}T02:00:00Z" "due_date=$today" status=tiep_nhan
run ltctl -C "$work/node-17254" get dossier "$key"
start hub_pid lt-hub hub
arrived() { ltctl -C "$work/dept" get dossier "$key" --unit 17254; }
until_ok 60 "the record arrives at the hub" arrived
run ltctl -C "$work/dept" get dossier "$key" --unit 17254
run ltctl -C "$work/dept" history dossier "$key" --unit 17254

# ---- proof -------------------------------------------------------------------------------------------

step "A receipt: the hub's signature that it holds what was sent; verified offline"
until_ok 60 "the last change-set is receipted" ltctl -C "$work/node-17254" status
run ltctl -C "$work/node-17254" receipts --save "$work/receipt" | tail -n 4
run ltctl -C "$work/node-17254" verify all
step "One record's history with its proof in one file, for whoever has the root key"
until_ok 20 "the hub's verdict on it" ltctl -C "$work/dept" prove dossier "$key" --unit 17254 -o "$work/proof"
run ltctl -C "$work/dept" prove dossier "$key" --unit 17254 -o "$work/proof" | tee "$work/proof.txt"
root=$(grep -o '[0-9a-f]\{64\}' "$work/proof.txt") || fail "prove does not name the root key"
stop_all
echo "(everything is stopped now)"
run ltctl -C "$work/node-17254" verify-receipt "$work/receipt"
run ltctl -C /nonexistent verify-proof "$work/proof" --root "$root"
run ltctl -C "$work/hub" verify all --offline | tail -n 4

printf '\nquickstart: every step held, in %d s after the build.\n' $((SECONDS - began))
