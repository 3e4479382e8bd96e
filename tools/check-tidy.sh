#!/bin/bash
# check-tidy.sh [-p BUILD] [FILE...] - clang-tidy over all our .c files (or the given ones), in
# parallel, with the commands in BUILD/compile_commands.json (build/ unless told).
# LT_TIDY_NODES: how many states of a function the analyzer follows (75000, clang's own "shallow" mode; its "deep" one has
# 225000 and takes three times as long). LT_TIDY_TEST_NODES: of those under tests/ (4000, a third of the time): they run under the
# address sanitizer as they are, which finds what the analyzer would.
# Exit 0 nothing found, 1 findings, 3 could not find out.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3
root=$PWD

build=build
nodes=${LT_TIDY_NODES:-75000}
test_nodes=${LT_TIDY_TEST_NODES:-4000}
if [ "${1:-}" = -p ]; then
	build=$2
	shift 2
fi
db=$build/compile_commands.json
command -v clang-tidy >/dev/null || { echo "clang-tidy is missing" >&2; exit 3; }
[ -r "$db" ] || { echo "no $db: configure and build first" >&2; exit 3; }
if [ $# -gt 0 ]; then
	files=("$@")
else
	mapfile -t files < <(git -c safe.directory="$root" ls-files -- '*.c')
fi
if [ ${#files[@]} -eq 0 ]; then
	echo "no files to check" >&2
	exit 3
fi
# A file that nothing compiles would be read with guessed flags.
for f in "${files[@]}"; do
	if ! grep -qF "$(realpath -- "$f")\"" "$db"; then
		echo "$f is not compiled by $build" >&2
		exit 3
	fi
done

work=$(mktemp -d) || exit 3
trap 'rm -rf "$work"' EXIT
found=$work/found
# Some files are compiled into a program of planted bugs as well: once is enough, as it is compiled first.
/usr/bin/python3 - "$db" "$work/compile_commands.json" <<'END' || exit 3
import json, sys
first = {}
for command in json.load(open(sys.argv[1])):
    first.setdefault(command["file"], command)
json.dump(list(first.values()), open(sys.argv[2], "w"))
END
tidy='exec clang-tidy --quiet -p "$0" --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg="max-nodes=$1" "$2"'
# The largest first: the last ones to end are then small ones, and all processors have something to do until then.
stat --printf '%s %n\0' -- "${files[@]}" | sort -zrn | sed -z 's/^[0-9]* //' |
	while IFS= read -r -d '' f; do
		case $f in
		tests/*) printf '%s\0' "$test_nodes" "$f" ;;
		*) printf '%s\0' "$nodes" "$f" ;;
		esac
	done |
	xargs -0 -P "${LT_JOBS:-$(nproc)}" -n 2 sh -c "$tidy" "$work" 2>/dev/null >"$found"
rc=$?
sort -u "$found" | grep -E ': (warning|error): ' >&2
if [ $rc -ne 0 ]; then
	echo "tidy: findings above; details with clang-tidy -p $build FILE" >&2
	exit 1
fi
echo "tidy: ${#files[@]} files without findings"
