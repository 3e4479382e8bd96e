#!/bin/bash
# check-format.sh [FILE...] - do our C files (or the given ones) look as .clang-format says?
# Exit 0 yes, 1 no (the places are on stderr), 3 could not find out.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3
root=$PWD

command -v clang-format >/dev/null || { echo "clang-format is missing" >&2; exit 3; }
if [ $# -gt 0 ]; then
	files=("$@")
else
	mapfile -t files < <(git -c safe.directory="$root" ls-files -- '*.c' '*.h')
fi
if [ ${#files[@]} -eq 0 ]; then
	echo "no files to check" >&2
	exit 3
fi
if ! clang-format --style="file:$root/.clang-format" --dry-run -Werror "${files[@]}"; then
	echo "format: not as .clang-format says; clang-format -i on the files above mends it" >&2
	exit 1
fi
echo "format: ${#files[@]} files as they should be"
