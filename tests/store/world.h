/* tests/store/world.h - a small federation for the store's tests: authors with keys, feeds that seal
 * change-sets, environments of both kinds, a catalogue with a field of every policy, and dumps. */
#ifndef LT_TESTS_STORE_WORLD_H
#define LT_TESTS_STORE_WORLD_H

#include "proto/model/catalogue.h"
#include "proto/store/feed_log.h"
#include "proto/store/projection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ok(expr) assert_int_equal(expr, LT_OK)

#define WORLD_UNIT "17254"
#define WORLD_PROVINCE "40"
#define WORLD_CATALOGUE 1

/* A store, in memory or in a temporary folder. */
struct env {
	bool disk;
	char dir[64];
	struct lt_kv *kv;
};

void env_open(struct env *e, bool disk);
void env_close(struct env *e);
/* Every entry of the tables named (ends with LT_T_COUNT), keys and values framed. */
void env_dump(struct lt_kv_txn *txn, const unsigned *tables, struct lt_buf *out);
/* Every entry of every table. */
void env_dump_all(struct lt_kv *kv, struct lt_buf *out);

struct author {
	struct lt_id id;
	struct lt_sign_key key;
};

void author_init(struct author *a, uint8_t n);

/* A feed being written. */
struct feed {
	const struct author *author;
	struct lt_unit unit;
	struct lt_feed_id id;
	uint64_t seq;
	struct lt_hash hash;
	uint64_t stamp;
	uint64_t catalogue_version;
};

void feed_init(
    struct feed *f, const struct author *a, const char *unit, enum lt_lane lane, uint64_t epoch);
struct lt_fed world_fed(void);
/* Seal the drafts as the feed's next change-set; bytes appended to out. */
void feed_seal(
    struct feed *f, uint64_t stamp, const struct lt_draft *drafts, size_t n, struct lt_buf *out);
/* Parse, check the chain, append. The change-set lives in the arena and borrows from bytes. */
void world_append(struct lt_kv_txn *txn, struct lt_slice bytes, struct lt_arena *arena,
    struct lt_changeset *cs, uint64_t *position);

/* Seal, append and project as accepted, written by the hub, in one transaction of one environment. */
void world_publish(struct lt_kv_txn *txn, struct feed *f, const struct lt_catalogue *cat,
    const struct lt_draft *drafts, size_t n, struct lt_arena *arena);
/* A draft of a record in `collection` with the fields up to NULL. */
struct lt_draft world_draft(struct lt_arena *arena, const char *collection, const char *key, ...);

Ltpb__FieldSet *fs_text(struct lt_arena *a, const char *name, const char *text);
Ltpb__FieldSet *fs_enum(struct lt_arena *a, const char *name, const char *word);
Ltpb__FieldSet *fs_int(struct lt_arena *a, const char *name, int64_t v);
Ltpb__FieldSet *fs_decimal(struct lt_arena *a, const char *name, int64_t unscaled, uint32_t scale);
Ltpb__FieldSet *fs_bytes(struct lt_arena *a, const char *name, const void *data, size_t len);
/* items: sorted, as many as there are before NULL. */
Ltpb__FieldSet *fs_set(struct lt_arena *a, const char *name, const char *const *items);

/* The real catalogue's common part with two collections of our own, "thing" (every policy) and one with the longest
 * names allowed. Version 1. */
struct lt_catalogue *world_catalogue(void);
/* Version 2 of it: other policies for a, b, e and g, b and f indexed, d and e no longer. */
struct lt_catalogue *world_catalogue_other(void);
/* JSON of the real catalogue file; free with lt_buf_fini. */
void world_catalogue_file(struct lt_buf *out);
const char *world_long_collection(void); /* 64 bytes */
const char *world_long_field(void); /* 64 bytes, indexed text */

/* xorshift64*, so that a seed names a history. */
uint64_t rnd(uint64_t *state);
/* Below n. */
size_t rnd_below(uint64_t *state, size_t n);

#endif
