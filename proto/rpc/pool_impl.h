/* proto/rpc/pool_impl.h - what a pool gives the room's own files: tasks that never fail to queue, timers, and
 * the service thread that closes connections. */
#ifndef LT_RPC_POOL_IMPL_H
#define LT_RPC_POOL_IMPL_H

#include "proto/rpc/rpc.h"

/* Work that lies in another struct, so queueing it takes no memory. It runs on one worker at a time; pushed
 * while it runs, it runs again. The pusher has taken a reference to the struct; `release` gives back the one of
 * a push that was merged into another, or of a run that is over. */
struct lt_task {
	struct lt_task *next;
	void (*fn)(void *arg);
	void (*release)(void *arg);
	void *arg;
	enum { LT_TASK_IDLE, LT_TASK_QUEUED, LT_TASK_RUNNING, LT_TASK_AGAIN } state;
	enum lt_work work; /* set before the first push */
};

/* Threads that do this class of work. */
unsigned lt_pool_threads(const struct lt_pool *p, enum lt_work work);

/* Any thread, also under the struct's own lock (release may then run at once; it must not take that lock
 * unless the count falls to zero, which the pusher's own reference prevents). Before lt_pool_stop(). */
void lt_pool_push(struct lt_pool *p, struct lt_task *t);
/* Several at once, in this order: one lock, and at most one thread woken for each class. */
void lt_pool_push_all(struct lt_pool *p, struct lt_task *const *t, size_t n);
/* What can be put off behind work that is there anyway. On a thread of the class that t is for: as lt_pool_push() if something waits
 * there that will run before it. Else false, and nothing has happened: the reference stays the caller's. */
bool lt_pool_push_behind(struct lt_pool *p, struct lt_task *t);

/* One shot. Runs on the service thread; must be short. */
struct lt_timer {
	int64_t due_ms; /* of the service thread's clock */
	size_t at; /* place in the heap + 1, 0: not armed */
	void (*fn)(void *arg);
	void *arg;
};

/* Arm, or move an armed one. LT_E_NOMEM: not armed. */
int lt_timer_arm(struct lt_pool *p, struct lt_timer *t, int64_t delay_ms);
/* Returns when it is neither armed nor running (its own function may call this). */
void lt_timer_disarm(struct lt_pool *p, struct lt_timer *t);

/* Run fn once on the service thread; may block for as long as an nng callback takes. Each chore is queued once. */
struct lt_chore {
	struct lt_chore *next;
	void (*fn)(void *arg);
	void *arg;
};
void lt_pool_chore(struct lt_pool *p, struct lt_chore *c);

#endif
