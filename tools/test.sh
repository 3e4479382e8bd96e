#!/bin/bash
# test.sh [CTEST-ARGUMENT...] - build everything in build/ and run the whole test suite.
#
#   tools/test.sh              all tests
#   tools/test.sh -R base      only those whose name matches
#   LT_WERROR=ON tools/test.sh warnings are errors, as in CI
#   LT_PRESET=asan             another preset: default, asan, tsan, release
#
# Installs missing Debian packages first when run as root. Exit 0 only if all was built and passed.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${LT_PRESET:-default}
jobs=${LT_JOBS:-$(nproc)}

sh tools/install-packages.sh tools/packages.txt
echo "== configure ($preset)"
# Its many lines are of interest only when it fails.
if ! said=$(cmake --preset "$preset" -DLT_WERROR="${LT_WERROR:-OFF}" 2>&1); then
	printf '%s\n' "$said"
	exit 1
fi
echo "== build ($preset, $jobs jobs)"
cmake --build --preset "$preset" --parallel "$jobs"
echo "== test ($preset)"
# On some machines the thread sanitizer cannot place its memory under full address randomisation.
run=()
if [ "$preset" = tsan ]; then
	if setarch -R true 2>/dev/null; then
		run=(setarch -R)
	fi
	# It lets each process sleep a second at its end, to see what threads left behind still do: tests start thousands.
	export TSAN_OPTIONS="atexit_sleep_ms=20${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
fi
# One more than there are processors: some tests wait now and then, for a line to fall silent or a process to end.
tests=${LT_JOBS:-$(($(nproc) + 1))}
# No tests found would be a pass that says nothing.
rc=0
"${run[@]}" ctest --preset "$preset" --no-tests=error --parallel "$tests" "$@" || rc=$?
# What takes longest is where the time of all of them grows.
log=build
[ "$preset" = default ] || log=build-$preset
log=$log/Testing/Temporary/LastTest.log
if [ -r "$log" ]; then
	echo "== the slowest ($preset), in seconds"
	awk '/^[0-9]+\/[0-9]+ Test: / { name = $3 } /^Test time = / { printf "%8.1f %s\n", $4, name }' "$log" | sort -rn | sed -n 1,10p
fi
exit $rc
