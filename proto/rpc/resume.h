/* proto/rpc/resume.h - read a stream to its end over as many connections as it takes (FORMAT.md 6.10).
 *
 * Every item is told once, in order, whatever is cut in between: the call goes on behind the last item that was told, with the
 * token that came along with it. For tools; a node's replicator has positions of its own (Sync.Pull). */
#ifndef LT_RPC_RESUME_H
#define LT_RPC_RESUME_H

#include "proto/rpc/rpc.h"

/* Between two attempts: anywhere between nothing and the bound, which doubles with every attempt that brought no item. */
#define LT_RESUME_BACKOFF_BASE_MS 100
#define LT_RESUME_BACKOFF_MAX_MS 10000
/* Attempts in a row without an item, where there is no deadline to end them. */
#define LT_RESUME_TRIES_MAX 10

struct lt_resume_options {
	const struct lt_clock *clock;
	/* A connection to the other side; blocks for at most left_ms. It is closed here. An error that another attempt may
	 * mend is LT_E_UNAVAILABLE, LT_E_TIMEOUT or LT_E_CLOSED. */
	int (*dial)(void *ctx, uint32_t left_ms, struct lt_conn **out, struct lt_err *err);
	const ProtobufCServiceDescriptor *service;
	const char *method; /* server streaming */
	const ProtobufCMessage *request;
	const char *request_id; /* of every attempt; NULL: each gets one of its own */
	uint32_t timeout_ms; /* for everything together; 0: none */
	uint32_t backoff_ms; /* the first bound; 0: LT_RESUME_BACKOFF_BASE_MS */
	struct lt_slice token; /* of an item read before; empty: from the start */
	bool (*item)(void *ctx,
	    const ProtobufCMessage *m); /* on a worker; borrowed. false: enough, end with OK */
	/* After each item that has one: keep a copy, and another process can go on. NULL allowed. */
	void (*token_of)(void *ctx, struct lt_slice token);
	void *ctx;
};

struct lt_resume_counts {
	unsigned dials;
	unsigned resumed; /* calls that went on from a token */
	uint64_t items;
};

/* Blocks; not from a callback. Returns status->code. What another attempt does not mend ends it: any status but UNAVAILABLE and
 * RESOURCE_EXHAUSTED with a time; a stream whose items carry no tokens, once one of them was told; DEADLINE_EXCEEDED.
 * A server that passes over the token (an older one) is found out before an item is told twice: FAILED_PRECONDITION.
 * counts: NULL allowed. */
int lt_resume_read(
    const struct lt_resume_options *o, struct lt_status *status, struct lt_resume_counts *counts);

#endif
