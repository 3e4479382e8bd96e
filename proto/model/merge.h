/* proto/model/merge.h - the merge of changes into rows (FORMAT.md 5 and 7; design section 6).
 *
 * A row is the state of one record: what of its changes can still matter. Applying the same
 * changes in any order, any number of times, gives the same bytes. Pure; any thread.
 */
#ifndef LT_MODEL_MERGE_H
#define LT_MODEL_MERGE_H

#include "proto/model/change.h"
#include "proto/model/rules.h"

/* Rises whenever the same feeds would give other rows, shown values or digests, or these are stored in another form: derived
 * tables are rebuilt. */
#define LT_MERGE_VERSION 2

/* One judged change as merge sees it. */
struct lt_merge_change {
	struct lt_dot dot;
	uint64_t stamp; /* effective */
	uint64_t hash8; /* of the change-set it stands in */
	bool by_hub; /* the author is the hub */
	const struct lt_change *change;
};

/* Apply one change to a row (empty slice: no row yet) and append the new row to out. A change that
 * was applied before gives the same row. Fields whose authority the author lacks are passed over.
 * unit_is_province: the record is owned by the province (the hub then has authority "unit").
 * row is borrowed and must not lie in out's memory (out may move).
 *
 * LT_E_TOOBIG   the new row is larger than LT_RECORD_MAX. It stands in out all the same: the author of
 *               the change refuses to write it, a replica keeps it (several authors may have written
 *               at once, and passing over a change would make the order matter). Only when out got
 *               nothing is the row beyond all bounds (8 times as much).
 * LT_E_CORRUPT  the row does not parse: rebuild it from the feeds. LT_E_NOMEM. Nothing appended. */
int lt_merge_apply(const struct lt_rules *rules, bool unit_is_province, struct lt_slice row,
    const struct lt_merge_change *mc, struct lt_buf *out);

/* The row parses, is canonical (what this module would have written) and its values are well-formed.
 * LT_E_CORRUPT with words; LT_E_NOMEM. */
int lt_row_check(struct lt_slice row, struct lt_err *err);

/* The context a new change to this record must carry: every feed but `own` that has touched it.
 * In the arena, strictly rising by feed. Above LT_CONTEXT_MAX feeds those with a change that still
 * stands come first: dots of the others are covered already wherever they matter, and what is left
 * out can only leave more siblings, never lose one. LT_E_CORRUPT, LT_E_NOMEM. */
int lt_row_context(struct lt_slice row, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_context **out, size_t *n);

/* Whether the dot is within what this row has applied (its touch vector). */
bool lt_row_has(struct lt_slice row, const struct lt_dot *dot);

/* Fetch a personal field's opening: FieldSet bytes into the arena, or LT_E_NOTFOUND when withheld or
 * erased here. */
typedef int lt_opening_fn(void *ctx, const struct lt_dot *dot, const char *field,
    struct lt_arena *arena, struct lt_slice *field_set);

struct lt_shown_field {
	const char *name;
	const Ltpb__Value *value; /* NULL when withheld, or when it stands in field_set */
	struct lt_slice field_set; /* lt_merge_show_bytes() only; empty: it is in value */
	bool conflict; /* needs a person */
	bool withheld; /* committed, but the opening is not here */
	struct lt_dot dot; /* the change the value comes from (for set: the greatest sibling) */
};

struct lt_shown {
	bool exists;
	bool incomplete; /* an edit survived a delete */
	size_t nfield;
	struct lt_shown_field *field; /* rising by name; only fields with a value or withheld */
	uint64_t stamp; /* greatest effective stamp among the entries and deletes of the row */
	size_t nconflict; /* fields in conflict that show no value are counted too */
};

/* What the record shows. opening may be NULL (everything personal is withheld). In the arena; row is
 * borrowed for the call only. An empty row shows nothing.
 * LT_E_CORRUPT: the row, a value in it or an opening does not parse. LT_E_NOMEM. Codes of opening. */
int lt_merge_show(const struct lt_rules *rules, struct lt_slice row, lt_opening_fn *opening,
    void *opening_ctx, struct lt_arena *arena, struct lt_shown *out);

/* The same, but a value that one change gives as it is, in plain form (plain.h), is not taken apart: it is in field_set, the
 * bytes of the FieldSet, which lie where opening put them or in the row. Dots are left out. For whoever passes it on. */
int lt_merge_show_bytes(const struct lt_rules *rules, struct lt_slice row, lt_opening_fn *opening,
    void *opening_ctx, struct lt_arena *arena, struct lt_shown *out);

/* For the author of a change to a field of policy set: what it adds and removes against what is shown
 * (NULL: nothing). Sets added and removed of *out and nothing else; texts in the arena. LT_E_NOMEM. */
int lt_set_delta(const Ltpb__TextSet *shown, const Ltpb__TextSet *wanted, struct lt_arena *arena,
    Ltpb__FieldSet *out);

#endif
