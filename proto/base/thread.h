/* proto/base/thread.h - what a thread of ours says of itself when it begins: its name, and how much of the processor it is
 * given while others want it.
 *
 * The steps are of nice(2), below the main thread's own: a weight, so whoever is low still comes forward, a quarter less with every
 * step. Whoever somebody waits for stays at 0: questions, receipts, the line. A weight says how much, not how soon: who was just
 * woken waits until the turn of the one that runs is over. So threads at 0 ask for short turns, which Linux from 6.12 on lets
 * begin at once before a longer one, and those below are told to be computing ones (SCHED_BATCH), which interrupt nobody.
 * Measured with lt-bench query on two cores: p99 of a Get while some 110,000 changes/s came in 13 to 20 ms without turns and with
 * 5 steps for intake and tables, 4 to 12 with both; Gets 16,000 to 19,000 a second, and 17,000 to 30,000. */
#ifndef LT_BASE_THREAD_H
#define LT_BASE_THREAD_H

#define LT_NICE_NONE 0
#define LT_NICE_LONG 2 /* answers that are worked out for long */
#define LT_NICE_INTAKE 10 /* what nodes push is verified */
#define LT_NICE_DERIVED \
	10 /* the tables follow the log, or are built anew: no slower than it grows */
#define LT_NICE_SCRUB 15 /* what no one waits for */

/* Short turns, for the calling thread and for those that it begins from then on: the main thread of a daemon, before any other. Where
 * the kernel knows none, nothing changes. */
void lt_thread_brief(void);
/* For the thread that calls it, first. name: at most 15 bytes are shown. That the priority cannot be set is no error: nothing but
 * time depends on it. Where threads have none of their own (POSIX says so, Linux does otherwise) it stays as it is. */
void lt_thread_begin(const char *name, int nice_by);
/* Processors that this process may run on, at least 1. */
unsigned lt_thread_cores(void);

#endif
