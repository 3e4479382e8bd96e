/* proto/base/thread.h - what a thread of ours says of itself when it begins: its name, and how much of the processor it is
 * given while others want it.
 *
 * The steps are of nice(2), below the main thread's own: a weight, so whoever is low still comes forward, a quarter less with every
 * step. Whoever somebody waits for stays at 0: questions, receipts, the line. */
#ifndef LT_BASE_THREAD_H
#define LT_BASE_THREAD_H

#define LT_NICE_NONE 0
#define LT_NICE_LONG 2 /* answers that are worked out for long */
#define LT_NICE_INTAKE 5 /* what nodes push is verified */
#define LT_NICE_DERIVED \
	5 /* the tables follow the log, or are built anew: no slower than it grows */
#define LT_NICE_SCRUB 15 /* what no one waits for */

/* For the thread that calls it, first. name: at most 15 bytes are shown. That the priority cannot be set is no error: nothing but
 * time depends on it. Where threads have none of their own (POSIX says so, Linux does otherwise) it stays as it is. */
void lt_thread_begin(const char *name, int nice_by);
/* Processors that this process may run on, at least 1. */
unsigned lt_thread_cores(void);

#endif
