#!/bin/sh
# One seed is one run: the same seed twice, in two processes, leaves the same trace; another seed leaves another.
# tests/sim/repeat.sh LT-SIM
set -eu
trace() {
	"$1" --seed "$2" | sed -n 's/^ *trace \([0-9a-f]*\),.*/\1/p'
}
before=
for seed in 3 4 20261122 18446744073709551615; do
	one=$(trace "$1" "$seed")
	two=$(trace "$1" "$seed")
	echo "seed $seed: $one, again $two"
	[ -n "$one" ] && [ "$one" = "$two" ] && [ "$one" != "$before" ]
	before=$one
done
