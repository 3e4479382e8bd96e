#!/bin/bash
# bench.sh - how fast, in one command: the whole table of lt-bench, then PostgreSQL's logical replication of the same rows in
# the same session.
#
#   tools/bench.sh                 build, measure all (some minutes), compare (three rounds of each, the median counts)
#   tools/bench.sh --quick         all of it, small, one round: shows that it works
#   tools/bench.sh --compare       only the comparison
#   tools/bench.sh --json FILE     the figures also as JSON
#   LT_PRESET=release              another preset of the build; TMPDIR: the disk that is measured
#
# PostgreSQL: two clusters in a temporary folder, made and removed here, run by an unprivileged user (the package's `postgres`
# when this is started by root). wal_level logical, synchronous_commit on; on the subscriber the three indexes that the hub has.
# From the first commit on the publisher to the last row visible on the subscriber, in transactions of 100 rows, as our
# change-sets are of 100 changes. Without PostgreSQL (packages: tools/bench-packages.txt) that part is skipped, and says so.
#
# Exit 0: everything worked, whatever the figures. Quiet machine wanted: nothing else should run.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; }
quick=()
json=
compare_only=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=(--quick) ;;
	--compare) compare_only=1 ;;
	--json) json=${2:?--json FILE}; shift ;;
	--help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
rounds=3
[ ${#quick[@]} -eq 0 ] || rounds=1

# ---- build -------------------------------------------------------------------------------------------

sh tools/install-packages.sh tools/packages.txt
preset=${LT_PRESET:-default}
build=build
[ "$preset" = default ] || build=build-$preset
if ! said=$(cmake --preset "$preset" 2>&1); then
	printf '%s\n' "$said"
	exit 1
fi
echo "== build"
cmake --build --preset "$preset" --parallel "${LT_JOBS:-$(nproc)}" --target lt-bench lt-gen lt-hub lt-node | tail -n 1
bin=$PWD/$build/bin

# ---- a place of its own, and an end to everything ----------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/lt-bench-pg-XXXXXX")
child=
finish() {
	local code=$? d
	[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null && wait "$child" 2>/dev/null; } || true
	for d in pub sub; do
		[ ! -e "$work/$d/postmaster.pid" ] || as_owner "$pg/pg_ctl" -D "$work/$d" -m immediate -w stop >/dev/null 2>&1 || true
	done
	rm -rf "$work"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background and waited for: a signal to this script is then heard at once.
run() {
	"$@" &
	child=$!
	local rc=0
	wait "$child" || rc=$?
	child=
	return $rc
}

# ---- lt-bench ----------------------------------------------------------------------------------------

if [ -z "$compare_only" ]; then
	run "$bin/lt-bench" "${quick[@]}" --json "$work/all.json"
fi

figure() { # FILE NAME : its value
	/usr/bin/python3 - "$1" "$2" <<-'END'
		import json, sys
		print([f["value"] for f in json.load(open(sys.argv[1]))["figures"] if f["name"] == sys.argv[2]][0])
	END
}
ours=()
our_round() {
	run "$bin/lt-bench" "${quick[@]}" --only intake-100 --json "$work/ours.json" >"$work/ours.txt" 2>&1 ||
		{ cat "$work/ours.txt"; return 1; }
	ours+=("$(figure "$work/ours.json" "100 changes: intake to queryable")")
}

# ---- PostgreSQL --------------------------------------------------------------------------------------

pg=
for v in 13 14 16 17 18 15; do # the last that is there; Debian 12 has 15
	[ ! -x "/usr/lib/postgresql/$v/bin/initdb" ] || pg=/usr/lib/postgresql/$v/bin
done
owner=()
if [ "$(id -u)" = 0 ]; then
	if id postgres >/dev/null 2>&1; then owner=(runuser -u postgres --); else pg=; fi
fi
# From a folder that the other user may enter.
as_owner() { (cd / && "${owner[@]}" "$@"); }
sql() { as_owner "$pg/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$work" -d postgres -p "$@"; }
readonly pub_port=1 sub_port=2 # names of sockets in $work; nothing listens on the network

cluster() { # NAME PORT
	as_owner "$pg/initdb" -D "$work/$1" -A trust -E UTF8 --locale=C --no-instructions >"$work/$1.init" 2>&1 ||
		{ cat "$work/$1.init"; return 1; }
	as_owner tee -a "$work/$1/postgresql.conf" >/dev/null <<-END
		listen_addresses = ''
		unix_socket_directories = '$work'
		port = $2
		wal_level = logical
		fsync = on
		synchronous_commit = on
		shared_buffers = 512MB
		max_wal_size = 4GB
	END
	as_owner "$pg/pg_ctl" -D "$work/$1" -l "$work/$1.log" -w start >/dev/null || { cat "$work/$1.log"; return 1; }
}

columns="commune_code text, dossier_code text, procedure_code text, procedure_name text, field_area text,
	authority_level text, submit_channel text, applicant_name text, applicant_id_no text, applicant_phone text,
	applicant_address text, received_at timestamptz, due_date date, status text, resolved_at timestamptz,
	returned_at timestamptz, result_doc_no text, fee_vnd bigint, digitised boolean, late_reason text,
	handler_code text, satisfaction text"
names=$(echo "$columns" | tr -d '\n\t' | sed -E 's/ *([a-z_]+) [a-z]+/\1/g; s/,/, /g')
typed=$(echo "$columns" | tr -d '\n\t' | sed -E "s/ *([a-z_]+) ([a-z]+)/(line->>'\1')::\2/g; s/,/, /g")

make_tables() {
	local port
	for port in $pub_port $sub_port; do
		sql "$port" -c "CREATE TABLE dossier ($columns, PRIMARY KEY (commune_code, dossier_code))" \
			-c "CREATE TABLE mark (id int PRIMARY KEY)"
	done
	for field in status due_date procedure_code; do
		sql $sub_port -c "CREATE INDEX ON dossier ($field)"
	done
	sql $pub_port -c "CREATE PUBLICATION feed FOR TABLE dossier, mark"
	sql $sub_port -c "CREATE SUBSCRIPTION feed CONNECTION 'host=$work port=$pub_port dbname=postgres' PUBLICATION feed
		WITH (copy_data = false)" 2>/dev/null
}

# The rows of lt-bench: the same generator, options and seed; batches as change-sets come, one of each commune in turn.
stage_rows() { # COMMUNES ROWS-A-COMMUNE
	local unit
	awk -F, '$4 == "25" && length($1) == 5 { print $1 }' proto/data/units.csv | head -n "$1" |
		while read -r unit; do
			"$bin/lt-gen" dossiers --unit "$unit" --day 2026-11-20 --count "$2" --open-days 0
		done >"$work/rows"
	sql $pub_port -c "CREATE UNLOGGED TABLE raw (id bigint GENERATED ALWAYS AS IDENTITY, line json)" \
		-c "\\copy raw (line) FROM STDIN WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')" <"$work/rows"
	sql $pub_port -c "CREATE UNLOGGED TABLE staging AS SELECT ((id - 1) % $2 / 100 * $1 + (id - 1) / $2)::int AS batch,
			$(echo "$typed" | sed -E "s/\(line->>'([a-z_]+)'\)::[a-z]+/& AS \1/g") FROM raw ORDER BY 1" \
		-c "DROP TABLE raw" -c "CREATE INDEX ON staging (batch)" -c "ANALYZE staging"
	rm "$work/rows"
	sql $pub_port -c "CREATE PROCEDURE load(first int, step int, last int) LANGUAGE plpgsql AS \$\$
		BEGIN
			FOR i IN first..last BY step LOOP
				INSERT INTO dossier SELECT $names FROM staging WHERE batch = i;
				COMMIT;
			END LOOP;
		END \$\$"
}

marks=0
# Write a mark and wait until the subscriber shows it; prints that moment, by the clock of both.
mark_seen() {
	marks=$((marks + 1))
	sql $pub_port -c "INSERT INTO mark VALUES ($marks)"
	sql $sub_port -c "SET statement_timeout = '10min'" -c "DO \$\$ BEGIN
			LOOP
				PERFORM 1 FROM mark WHERE id = $marks;
				EXIT WHEN FOUND;
				PERFORM pg_sleep(0.001);
			END LOOP;
		END \$\$" -c "SELECT extract(epoch FROM clock_timestamp())"
}

pg_round() { # SYNCHRONOUS-COMMIT-OF-THE-SUBSCRIPTION ROWS : prints rows/s
	local last from to i have
	sql $sub_port -c "ALTER SUBSCRIPTION feed SET (synchronous_commit = '$1')"
	sql $pub_port -c "TRUNCATE dossier"
	mark_seen >/dev/null
	sql $pub_port -c CHECKPOINT
	sql $sub_port -c CHECKPOINT
	last=$(($2 / 100 - 1))
	for ((i = 0; i < writers; i++)); do
		sql $pub_port -c "SELECT extract(epoch FROM clock_timestamp())" -c "CALL load($i, $writers, $last)" >"$work/from.$i" &
	done
	wait
	mark_seen >"$work/to"
	to=$(tail -n 1 "$work/to")
	from=$(cat "$work"/from.* | sort -n | head -n 1)
	have=$(sql $sub_port -c "SELECT count(*) FROM dossier")
	[ "$have" = "$2" ] || { echo "PostgreSQL has $have of $2 rows" >&2; return 1; }
	awk -v n="$2" -v a="$from" -v b="$to" 'BEGIN { printf "%.0f\n", n / (b - a) }'
}

median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
line() { printf '%-62s %12s %-10s %10s %6s %-5s %s\n' "$@"; }

compare() {
	local communes=148 rows i on=() off=() us them lax
	writers=$(nproc)
	echo "-- postgresql: logical replication of the same rows, $("$pg/postgres" --version)"
	our_round
	rows=$(figure "$work/ours.json" "100 changes: dossiers")
	rows=${rows%.*}
	chmod 711 "$work"
	mkdir "$work/pub" "$work/sub"
	if [ ${#owner[@]} -gt 0 ]; then
		# The other user's sockets and logs stand here too.
		chown postgres "$work" "$work/pub" "$work/sub"
	fi
	cluster pub $pub_port
	cluster sub $sub_port
	make_tables
	stage_rows $communes $((rows / communes))
	for ((i = 0; i < rounds; i++)); do
		[ "$i" = 0 ] || our_round
		pg_round on "$rows" >"$work/round"
		on+=("$(cat "$work/round")")
		pg_round off "$rows" >"$work/round"
		off+=("$(cat "$work/round")")
	done
	us=$(median "${ours[@]}")
	them=$(median "${on[@]}")
	lax=$(median "${off[@]}")
	line "hub, 100 changes a change-set, to queryable" "${us%.*}" rows/s "" "" "" "median of ${ours[*]%.*}"
	line "PostgreSQL, 100 rows a transaction, to visible" "$them" rows/s "" "" "" "median of ${on[*]}"
	line "PostgreSQL, subscription not synchronous (its default)" "$lax" rows/s "" "" "" "median of ${off[*]}"
	line "hub to queryable, of PostgreSQL" \
		"$(awk -v a="$us" -v b="$them" 'BEGIN { printf "%.2f", a / b }')" times "> 1.50" \
		"$(awk -v a="$us" -v b="$them" 'BEGIN { printf "%.2f", a / b / 1.5 }')" \
		"$(awk -v a="$us" -v b="$them" 'BEGIN { print (a / b >= 1.5) ? "pass" : "no" }')" "$rows rows"
	line "hub to queryable, of PostgreSQL not synchronous" \
		"$(awk -v a="$us" -v b="$lax" 'BEGIN { printf "%.2f", a / b }')" times "" "" "" ""
	/usr/bin/python3 - "$work/pg.json" "$us" "$them" "$lax" "$rows" <<-'END'
		import json, sys
		us, them, lax, rows = map(float, sys.argv[2:])
		json.dump({"rows": int(rows), "hub_rows_per_s": us, "postgresql_rows_per_s": them,
		           "postgresql_not_synchronous_rows_per_s": lax, "ratio": us / them, "budget": 1.5,
		           "pass": us >= 1.5 * them}, open(sys.argv[1], "w"))
	END
}

if [ -n "$pg" ]; then
	compare
else
	echo "-- postgresql: skipped, PostgreSQL is not installed (packages: tools/bench-packages.txt)"
fi
if [ -n "$json" ]; then
	/usr/bin/python3 - "$work/all.json" "$work/ours.json" "$work/pg.json" "$json" <<-'END'
		import json, os, sys
		first = sys.argv[1] if os.path.exists(sys.argv[1]) else sys.argv[2]
		out = json.load(open(first)) if os.path.exists(first) else {}
		if os.path.exists(sys.argv[3]):
		    out["postgresql"] = json.load(open(sys.argv[3]))
		json.dump(out, open(sys.argv[4], "w"), indent=1, ensure_ascii=False)
	END
fi
