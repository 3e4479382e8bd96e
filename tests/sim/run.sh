#!/bin/sh
# Any number of seeds: tests/sim/run.sh [SEEDS [FIRST [BUILD [OPTION...]]]], on all processors. Prints counts and the seeds that failed.
set -eu
seeds=${1:-10000}
first=${2:-1}
build=${3:-build}
[ $# -gt 3 ] && shift 3 || set --
exec "$build/bin/lt-sim" --seeds "$first..$((first + seeds - 1))" -j "$(nproc)" "$@"
