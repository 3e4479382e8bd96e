/* proto/rpc/account.h - what one peer of the line has of the server, over all its connections: calls, rates, and its turn.
 *
 * Two things, so that one who floods costs the others little. A quota: calls at once, calls, bytes and rows a second; above it calls are
 * refused with the time after which there is room. And turns: of each class of work one peer has at most all threads but one at a time;
 * what more it wants waits here, behind its own, and not in the queue that all share. Brief work takes no turns: it is over sooner than
 * a turn is passed on. The streams of a server are a peer of this kind, all together.
 *
 * Bytes and rows are known when they have been received or made, changes and what was in vain when it is done; they may go below zero, and then the
 * next call waits.
 *
 * Any thread. The lock inside is the last one taken. Calls are in it from lt_account_enter() to lt_account_leave(). */
#ifndef LT_RPC_ACCOUNT_H
#define LT_RPC_ACCOUNT_H

#include "proto/rpc/pool_impl.h"
#include "proto/rpc/rpc.h"

struct lt_account;

/* A task that waits for its turn; inside of what the task is about. */
struct lt_turn {
	struct lt_turn *next;
	struct lt_task *task;
};

/* Starts with one holder. NULL: out of memory. */
struct lt_account *lt_account_new(const struct lt_quota *q, struct lt_pool *pool);
void lt_account_ref(struct lt_account *a);
void lt_account_unref(struct lt_account *a); /* NULL allowed */

/* From now on; calls that are in it stay. */
void lt_account_set_quota(struct lt_account *a, const struct lt_quota *q);

/* May one more call begin? OK; RESOURCE_EXHAUSTED with the reason (TOO_MANY_CALLS, QUOTA_CALLS, QUOTA_BYTES, QUOTA_ROWS), and when it is
 * worth trying again. */
enum lt_status_code lt_account_enter(
    struct lt_account *a, bool stream, int64_t now_ms, struct lt_status *st);
void lt_account_leave(struct lt_account *a, bool stream);
void lt_account_bytes(struct lt_account *a, size_t n, int64_t now_ms);
void lt_account_rows(struct lt_account *a, size_t n, int64_t now_ms);
/* Not asked by lt_account_enter(): only calls that give something wait for it. */
void lt_account_took(struct lt_account *a, size_t changes, size_t vain, int64_t now_ms);
/* OK; RESOURCE_EXHAUSTED with the reason (QUOTA_CHANGES, QUOTA_VAIN). */
enum lt_status_code lt_account_owes_nothing(
    struct lt_account *a, int64_t now_ms, struct lt_status *st);

/* Push the task to the pool now (true), or when a turn of its class is free. Whoever got a turn gives it back with
 * lt_account_turn_over(), once, when the thread is free again; the task that follows is pushed there. */
bool lt_account_turn(struct lt_account *a, struct lt_turn *t);
void lt_account_turn_over(struct lt_account *a, enum lt_work work);

#endif
