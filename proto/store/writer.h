/* proto/store/writer.h - the one writer thread of an environment, with group commit.
 *
 * Jobs wait in a bounded queue; as soon as the writer is free it takes all that wait (up to a
 * maximum), runs them in one transaction, commits, and only then calls their done functions: what is
 * acknowledged is durable. No timer: a lone job is committed at once, and while a commit runs the
 * next batch gathers by itself.
 *
 * A manual writer has no thread: lt_writer_step() is one turn of it, on the caller's thread and by the same code, for whoever
 * must decide himself what happens when (the simulator). All calls then come from one thread, and "the writer thread"
 * below is whoever steps.
 */
#ifndef LT_STORE_WRITER_H
#define LT_STORE_WRITER_H

#include "proto/store/kv.h"

struct lt_writer;

/* Runs on the writer thread, inside the batch's transaction. May be run again (alone, in a
 * transaction of its own) when another job of the batch failed: no effect outside txn and ctx's own
 * result fields. LT_OK keeps its writes; any other code is handed to done, and its writes are undone. */
typedef int lt_job_fn(struct lt_kv_txn *txn, void *ctx);
/* Runs on the writer thread after the commit (rc LT_OK: durable) or the failure. Short: hand over. */
typedef void lt_done_fn(void *ctx, int rc);

struct lt_writer_options {
	size_t queue_max; /* jobs waiting; 0: 4096 */
	size_t batch_max; /* jobs a transaction; 0: 1024 */
	bool manual; /* no thread */
	/* Called when a commit failed with anything but LT_E_NOSPACE, before the jobs' done functions:
	 * the process must stop (never retry a sync). NULL: abort(). Should it return, nothing is written
	 * any more: what waits fails with rc, and nothing more is taken. */
	void (*fatal)(void *ctx, int rc);
	void *fatal_ctx;
	/* Called on the writer thread after each successful commit and its done functions; NULL allowed. */
	void (*committed)(void *ctx, size_t njobs);
	void *committed_ctx;
};

int lt_writer_start(struct lt_kv *kv, const struct lt_writer_options *o, struct lt_writer **out);
/* LT_E_UNAVAILABLE: the queue is full, retry later; LT_E_CLOSED: stopping. Any thread. done is called
 * exactly once if and only if this returns LT_OK. */
int lt_writer_submit(struct lt_writer *w, lt_job_fn *run, lt_done_fn *done, void *ctx);
/* A job without work: in order behind the others, and what comes after a commit comes after its. */
lt_job_fn lt_job_nothing;
/* Jobs that wait now: another commit follows. Any thread. */
size_t lt_writer_waiting(struct lt_writer *w);
/* Submit and wait for the result (rc of the job or its commit). Not from the writer thread. Manual: steps until
 * the job is done, and so runs what waits before it. */
int lt_writer_run(struct lt_writer *w, lt_job_fn *run, void *ctx);
/* The same, after what was submitted before, in a transaction of its own that is given up whatever the job returns: what it
 * would have done, for whoever only asks. Nothing is written or synced, committed is not called. */
int lt_writer_try(struct lt_writer *w, lt_job_fn *run, void *ctx);
/* Manual only: take what waits, at most batch_max, and run it; false: nothing waited. Not from a job or what it calls. */
bool lt_writer_step(struct lt_writer *w);
/* Runs what waits, then ends the thread: from now on submit says LT_E_CLOSED, to whoever may still ask until lt_writer_stop(). Once.
 * NULL allowed. */
void lt_writer_end(struct lt_writer *w);
/* The same, unless it was done, and frees w. NULL allowed. */
void lt_writer_stop(struct lt_writer *w);

#endif
