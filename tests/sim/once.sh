#!/bin/sh
# Seeds that failed once, with the options that they failed with, and what it was. tests/sim/once.sh LT-SIM
set -u
failed=0
while read -r seed options; do
	case $seed in '' | '#'*) continue ;; esac
	# shellcheck disable=SC2086 # several words
	"$1" --seed "$seed" $options >/dev/null || {
		echo "seed $seed $options fails again"
		failed=1
	}
done <<'END'
# A dot was held for good that names a branch of a thief, further than the one that counts reaches.
2798 --copies 8
# The hub signs in the commit in which it is shown to be in doubt, by a job before that.
3174 --copies 8
# What is given back to the hub is damaged on the way behind its header, which is whole.
4107 --copies 8
# Two verdicts that contradict each other came back before what they judge, and the second took the place of the first. (3699 was drawn when
# fewer things were; it met that then, as 4061 does.)
3699 --copies 8
4061 --copies 8
# As 2798, of an honest copy, which waited for a verdict.
4228 --copies 8
END
exit $failed
