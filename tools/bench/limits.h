/* tools/bench/limits.h - what the libraries alone can do with the very same bytes on this machine, all cores. */
#ifndef LT_TOOLS_BENCH_LIMITS_H
#define LT_TOOLS_BENCH_LIMITS_H

#include "tools/bench/world.h"

struct bench_limits {
	double verify; /* Ed25519 alone: change-sets a second */
	double decode; /* protobuf-c alone: changes a second */
	double both; /* verify and decode: changes a second */
	double
	    whole; /* and the hashes that the signature covers, libsodium one by one: changes a second */
	double append; /* changes a second */
	double put; /* changes a second, an environment a core; 0: not measured */
	double put_one; /* the same in one environment */
	/* Bytes a change of these rows, keys and sums included. */
	double record_bytes, shown_bytes, other_bytes;
	/* Processor time of each, microseconds of a core a change: what a busy machine does not change much. */
	double verify_us, decode_us, both_us, whole_us, append_us, put_us, put_one_us;
};

/* Signatures (libsodium) and messages (protobuf-c, in an arena) of the feeds. */
int bench_limit_verify(struct bench *b, const struct bench_feeds *f, struct bench_limits *out);
/* LMDB: appended under rising numbers, a synced commit after each per_commit change-sets. */
int bench_limit_append(
    struct bench *b, const struct bench_feeds *f, double per_commit, struct bench_limits *out);
/* LMDB: the rows of a hub's derived tables as they stand in `derived` put again, in batches of about a second, keys
 * sorted in each batch. `changes` is what they were made of. The hub must be closed. */
int bench_limit_put(
    struct bench *b, const char *derived, size_t nunit, size_t changes, struct bench_limits *out);
/* Number of the last transaction of an environment, which nobody has open. */
int bench_last_txn(struct bench *b, const char *dir, uint64_t *txn);

#endif
