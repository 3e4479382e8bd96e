/* proto/model/row_impl.h - a merge row in memory (FORMAT.md 5.1); for the merge files only.
 *
 * Parsing borrows: names, values and feed ids point into the row's bytes and into the change, the
 * rest lies in a scratch that starts on the stack. Not thread safe, no state outside.
 */
#ifndef LT_MODEL_ROW_IMPL_H
#define LT_MODEL_ROW_IMPL_H

#include "proto/model/merge.h"

#ifdef LT_MERGE_BUGS
/* Tests only: which of the planted bugs is alive, 0 for none. */
extern int lt_merge_bug;
#define LT_BUG(n) (lt_merge_bug == (n))
#else
#define LT_BUG(n) false
#endif

#define LT_ROW_VERSION 1
/* Where memory for one row ends. LT_RECORD_MAX is the author's limit; concurrent authors that each
 * kept it can pass it together, and a replica must still merge them. */
#define LT_ROW_HARD_MAX ((size_t)8 * LT_RECORD_MAX)

/* Bump memory: the stack first, blocks from the heap when that is used up. */
struct lt_scratch_block;
struct lt_scratch {
	uint8_t *p;
	size_t left;
	struct lt_scratch_block *blocks; /* owned */
	_Alignas(16) uint8_t local[16 * 1024];
};

void lt_scratch_init(struct lt_scratch *s);
void lt_scratch_fini(struct lt_scratch *s);
/* 16-byte aligned, not zeroed; NULL when memory is out. */
void *lt_scratch_alloc(struct lt_scratch *s, size_t count, size_t size);

/* All dots of the feed below (seq, index) are covered. */
struct lt_cover {
	uint32_t feed; /* number in the row's feed table */
	uint32_t index;
	uint64_t seq;
};

/* Strictly rising by feed. */
struct lt_covers {
	size_t n;
	struct lt_cover *c;
};

struct lt_row_feed {
	const uint8_t *id; /* LT_FEED_LEN bytes */
	uint64_t seq; /* touch */
	uint64_t hash8;
	bool used; /* while checking */
};

#define LT_CHANGE_BY_HUB 0x01
#define LT_CHANGE_COVERS 0x02 /* an entry of a field of policy first names it */
#define LT_CHANGE_ROOT 0x04 /* a personal entry names it */

struct lt_row_change {
	uint32_t feed;
	uint32_t index;
	uint64_t seq;
	uint64_t stamp; /* effective */
	uint8_t flags;
	uint8_t need; /* flags that its entries ask for, while encoding or checking */
	bool used; /* named by an entry, likewise */
	bool deletes; /* a delete, while checking */
	uint32_t no; /* number in the change table, while encoding */
	struct lt_covers covers; /* of its context, without its own position */
	const uint8_t *root; /* LT_HASH_LEN bytes */
};

#define LT_ENTRY_SET 0x01
#define LT_ENTRY_FIRST 0x02
#define LT_ENTRY_PERSONAL 0x04

struct lt_row_entry {
	struct lt_row_change *change;
	uint8_t flags;
	struct lt_slice field_set;
};

/* A field, or the deletes of one class of authors (no name, entries are deletes). `covers` leaves
 * out what the entries' own positions say. */
struct lt_row_field {
	struct lt_slice name;
	struct lt_covers covers;
	size_t nentry;
	struct lt_row_entry *entry; /* strictly rising by dot */
};

enum lt_row_class { LT_CLASS_UNIT, LT_CLASS_HUB, LT_CLASSES };

struct lt_row {
	size_t nfeed;
	struct lt_row_feed *feed; /* strictly rising by id */
	size_t nchange;
	struct lt_row_change **change; /* strictly rising by dot; room for one more */
	struct lt_row_field deletes[LT_CLASSES];
	size_t nfield;
	struct lt_row_field *field; /* strictly rising by name */
};

/* Parse into the scratch. The feeds of `add` (strictly rising ids, LT_FEED_LEN bytes each) join the
 * feed table, and every feed number counts in the joined table. An empty row has nothing in it.
 * LT_E_CORRUPT, LT_E_NOMEM. */
int lt_row_parse(struct lt_slice bytes, const uint8_t *const *add, size_t nadd,
    struct lt_scratch *s, struct lt_row *row);
/* Append the bytes; changes that no entry names are left out. Nothing of the row lies in out (it may move).
 * LT_E_TOOBIG above LT_ROW_HARD_MAX (nothing appended), LT_E_NOMEM. */
int lt_row_encode(struct lt_row *row, struct lt_buf *out);

/* <0, 0, >0 by (feed, seq, index). */
static inline int
lt_row_change_cmp(const struct lt_row_change *a, const struct lt_row_change *b)
{
	if (a->feed != b->feed)
		return a->feed < b->feed ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static inline bool
lt_cover_below(uint64_t seq, uint32_t index, const struct lt_cover *c)
{
	return seq < c->seq || (seq == c->seq && index < c->index);
}

/* Whether v covers the change. */
bool lt_covers_has(const struct lt_covers *v, const struct lt_row_change *ch);
/* The greater of both, feed by feed. out may share memory with a or b. LT_E_NOMEM. */
int lt_covers_join(const struct lt_covers *a, const struct lt_covers *b, struct lt_scratch *s,
    struct lt_covers *out);
/* The field's whole cover: what is written and what its entries' positions say. LT_E_NOMEM. */
int lt_row_field_covers(const struct lt_row_field *f, struct lt_scratch *s, struct lt_covers *out);
/* What of `full` has to be written beside f's entries, into f->covers. LT_E_NOMEM. */
int lt_row_field_strip(struct lt_row_field *f, const struct lt_covers *full, struct lt_scratch *s);

struct lt_dot lt_row_dot(const struct lt_row *row, const struct lt_row_change *ch);

#endif
