#!/bin/bash
# fuzz.sh [--keep|--self-test] [SECONDS] [TARGET...] - build the fuzz targets of tests/fuzz and run each for SECONDS (30), two at a time.
#
#   tools/fuzz.sh                   all targets, 30 s each
#   tools/fuzz.sh 1200 line frame   two of them, 20 minutes each
#   tools/fuzz.sh --keep 60         then fold what was learnt into tests/fuzz/corpus, minimised
#   tools/fuzz.sh --self-test       only: is a crash that was built in on purpose found?
#
# Prints a table: executions, a second, inputs in the corpus, edges that the corpus covered before and after. An input that is
# a finding is kept in build-fuzz/findings/<target>/ with the log beside it. LT_JOBS: how many at a time (2);
# LT_FUZZ_NICE: niceness (0); LT_FUZZ_BUILD: the folder (build-fuzz). Exit 0: nothing found, and the self-test was; 1: findings;
# 3: could not find out.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3

jobs=${LT_JOBS:-2}
build=${LT_FUZZ_BUILD:-build-fuzz}
keep=0
only_self=0
seconds=30
kept_bytes=98304 # of one target's kept corpus
self_runs=400000
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=1 ;;
	--self-test) only_self=1 ;;
	-*) sed -n '2,/^set /p' "$0" | sed '$d;s/^# \{0,1\}//'; exit 2 ;;
	*) break ;;
	esac
	shift
done
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
	seconds=$1
	shift
fi

sh tools/install-packages.sh tools/packages.txt .ci/packages.txt || exit 3
if ! said=$(cmake --preset fuzz -B "$build" -DLT_WERROR="${LT_WERROR:-OFF}" 2>&1); then
	printf '%s\n' "$said"
	exit 3
fi
said=$(cmake --build "$build" --target lt_fuzz --parallel "$jobs" 2>&1) || { printf '%s\n' "$said" | tail -40; exit 3; }
rm -rf "$build/seeds"
"$build/bin/fuzz_seeds" "$build/seeds" || exit 3

# The quarantine is memory that nobody uses; of 512 MiB it would take half.
export ASAN_OPTIONS=quarantine_size_mb=16:detect_stack_use_after_return=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1

# What is found must be found again from what is not random: a fixed seed, and so many runs at most.
self_test() {
	local log=$build/self-test.log empty
	empty=$(mktemp -d) || return 3
	"$build/bin/fuzz_selftest" -seed=1 -runs=$self_runs -artifact_prefix="$empty/" "$empty" "$build/seeds/changeset" >"$log" 2>&1
	if grep -q 'heap-buffer-overflow' "$log" && ls "$empty"/crash-* >/dev/null 2>&1; then
		echo "self-test: the crash built in was found in $(grep -o '^#[0-9]*' "$log" | tail -1 | tr -d '#') runs of at most $self_runs"
		rm -rf "$empty"
		return 0
	fi
	echo "self-test: the crash built in was NOT found; see $log"
	rm -rf "$empty"
	return 1
}

if [ $# -gt 0 ]; then
	targets=("$@")
else
	targets=()
	for f in tests/fuzz/fuzz_*.c; do
		f=${f##*/fuzz_}
		targets+=("${f%.c}")
	done
fi
for t in "${targets[@]}"; do
	[ -x "$build/bin/fuzz_$t" ] || { echo "no target \"$t\"" >&2; exit 2; }
done

# An input is late when it is late alone, too: beside others a machine may be slow.
really_late() { # really_late TARGET INPUT
	local i
	for i in 1 2 3; do
		"$build/bin/fuzz_$1" -timeout=2 "$2" >/dev/null 2>&1 && return 1
	done
	return 0
}

# Lists are read twice and cell by cell: long ones only cost time.
longest() {
	case $1 in
	csv | jsonl) echo 2048 ;;
	catalogue) echo 16384 ;;
	*) echo 65536 ;;
	esac
}

run_one() { # run_one TARGET: leaves a row of the table in $build/run/TARGET, and what it found in findings/
	local t=$1 log=$build/run/$1.log found=$build/findings/$1 until=$((SECONDS + seconds)) left
	local args=(-timeout=2 -rss_limit_mb=512 -max_len="$(longest "$t")" -print_final_stats=1 -artifact_prefix="$found/") dirs=() d rc first=1 runs=0 rate=0 before=- after=- corpus=-
	mkdir -p "$found" "$build/corpus/$t"
	for d in "tests/fuzz/corpus/$t" "tests/fuzz/regress/$t" "$build/seeds/$t"; do
		[ -d "$d" ] && dirs+=("$d")
	done
	[ -r "tests/fuzz/corpus/$t.dict" ] && args+=(-dict="tests/fuzz/corpus/$t.dict")
	: >"$log"
	while left=$((until - SECONDS)); [ $first = 1 ] || [ $left -gt 2 ]; do
		[ $left -lt 1 ] && left=1
		nice -n "${LT_FUZZ_NICE:-0}" "$build/bin/fuzz_$t" "${args[@]}" -max_total_time=$left "$build/corpus/$t" "${dirs[@]}" >"$log.part" 2>&1
		rc=$?
		cat "$log.part" >>"$log"
		[ $first = 1 ] && before=$(sed -n 's/^#[0-9]*\tINITED cov: \([0-9]*\).*/\1/p' "$log.part" | tail -1)
		first=0
		runs=$((runs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log.part" | tail -1 | grep . || echo 0)))
		[ $rc -eq 0 ] && break
		# Late beside others but not alone: go on.
		d=$(sed -n 's/.*Test unit written to //p' "$log.part" | tail -1)
		case ${d##*/} in
		timeout-* | slow-unit-*)
			if ! really_late "$t" "$d"; then
				rm -f "$d"
				continue
			fi ;;
		esac
		break
	done
	after=$(sed -n 's/^#[0-9]*\t[A-Za-z]* *cov: \([0-9]*\).*/\1/p' "$log.part" | tail -1)
	corpus=$(sed -n 's/^#[0-9]*\t[A-Za-z]* *cov: .* corp: \([0-9]*\).*/\1/p' "$log.part" | tail -1)
	rm -f "$found"/slow-unit-*
	rate=$((runs / (seconds > 0 ? seconds : 1)))
	printf '%-12s %12s %9s %8s %9s %9s\n' "$t" "$runs" "$rate" "${corpus:-0}" "${before:-0}" "${after:-0}" >"$build/run/$t"
	if [ $rc -ne 0 ]; then
		cp "$log" "$found/log"
		printf '%s\n' "$t" >"$build/run/$t.failed"
	else
		rmdir "$found" 2>/dev/null
	fi
}

# The kept corpus is what is left of all inputs that cover something, small ones first, up to a size.
keep_one() {
	local t=$1 into=tests/fuzz/corpus/$1 new sum=0 f n
	new=$(mktemp -d) || return 1
	mkdir -p "$into"
	"$build/bin/fuzz_$t" -merge=1 -timeout=10 -rss_limit_mb=512 -max_len="$(longest "$t")" "$new" "$into" "$build/corpus/$t" "$build/seeds/$t" >"$build/run/$t.merge" 2>&1
	[ -n "$(ls "$new")" ] || { echo "$t: nothing kept; see $build/run/$t.merge"; return 1; }
	rm -f "$into"/*
	while read -r n f; do
		sum=$((sum + n))
		[ $sum -gt $kept_bytes ] && break
		cp "$f" "$into/"
	done < <(find "$new" -type f -printf '%s %p\n' | sort -n)
	rm -rf "$new"
	printf '%-12s %s inputs, %s bytes kept\n' "$t" "$(find "$into" -type f | wc -l)" "$(find "$into" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }')"
}

failed=0
rm -rf "$build/run"
mkdir -p "$build/run" "$build/findings"
self_test || failed=1
if [ $only_self = 0 ]; then
	printf '%s\n' "${targets[@]}" >"$build/run/all"
	for t in "${targets[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		run_one "$t" &
	done
	wait
	printf '%-12s %12s %9s %8s %9s %9s\n' target executions exec/s corpus 'edges: at' 'the end'
	for t in "${targets[@]}"; do
		cat "$build/run/$t" 2>/dev/null || { echo "$t did not run"; failed=1; }
	done
	for t in "${targets[@]}"; do
		if [ -e "$build/run/$t.failed" ]; then
			failed=1
			echo "FOUND by $t:"
			grep -m 3 -E 'SUMMARY|does not hold|ERROR: ' "$build/findings/$t/log"
			find "$build/findings/$t" -type f ! -name log
		fi
	done
fi
if [ $keep = 1 ]; then
	for t in "${targets[@]}"; do
		keep_one "$t"
	done
fi
exit $failed
