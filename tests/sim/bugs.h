/* tests/sim/bugs.h - the bugs of proto/base/simbug.h, one alive in a run: LT_SIM_BUG=NAME in the environment of
 * lt-sim-bugs. lt-sim has none built in, and there nothing happens. */
#ifndef LT_TESTS_SIM_BUGS_H
#define LT_TESTS_SIM_BUGS_H

/* From here on. At the begin of a run, once its world stands: a bug is to be found by what happens in the run. */
void sim_bug_arm(void);

#endif
