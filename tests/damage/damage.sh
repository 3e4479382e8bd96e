#!/bin/sh
# Any number of damages: tests/damage/damage.sh [COUNT [SEED [BUILD]]], on all processors. Prints counts by kind, place, store and how
# it was left, and every defect. The stores are made anew each time; lt-damage --stores keeps them, so that one can be seen again.
set -eu
count=${1:-20000}
seed=${2:-$(date +%s)}
build=${3:-build}
exec "$build/bin/lt-damage" --count "$count" --seed "$seed" -j "$(nproc)"
