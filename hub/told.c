#include "hub/told.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TO_LEN 17 /* "/" and 16 digits */
#define AGAIN_HASH 8 /* bytes of the verdict's hash in the name */
#define AGAIN_LEN (TO_LEN + 1 + 2 * AGAIN_HASH)

static const char told[] = "told", again[] = "again";

void
lt_told_name(char out[LT_TOLD_NAME], const char *what, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t to)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	(void)snprintf(
	    out, LT_TOLD_NAME, "%s/%s/%s/%016llx", what, unit->s, hex, (unsigned long long)to);
}

int
lt_told_find(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_arena *arena, char name[LT_TOLD_NAME], const Ltpb__Verdict **out)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, val, from;
	ProtobufCMessage *m;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	lt_told_name(name, told, unit, feed, seq);
	from = lt_slice_str(name);
	/* One that is damaged stops its own feed: what was said is not known then, and was signed. */
	rc = lt_kv_seek_at(c, lt_slice(name, from.len - TO_LEN + 1), from, &k, &val);
	if (rc == LT_OK && k.len != from.len)
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		rc = lt_wire_unpack(&ltpb__verdict__descriptor, val, LT_VALUE_MAX, arena, &m, NULL);
		lt_slice_to_text(name, LT_TOLD_NAME, k);
		if (rc != LT_OK && rc != LT_E_NOMEM)
			rc = LT_E_CORRUPT;
	}
	lt_kv_cursor_close(c);
	if (rc == LT_OK)
		*out = (const Ltpb__Verdict *)m;
	return rc;
}

/* ---- two of them ---- */

static bool
refuses(const Ltpb__Verdict *t, uint64_t seq, uint32_t index)
{
	size_t i;

	for (i = 0; i < t->n_refused; i++)
		if (t->refused[i]->seq == seq && t->refused[i]->index == index)
			return true;
	return false;
}

static const Ltpb__Clamp *
clamp_of(const Ltpb__Verdict *t, uint64_t seq)
{
	const Ltpb__Clamp *c = NULL;
	size_t i;

	for (i = 0; i < t->n_clamp; i++)
		if (t->clamp[i]->from <= seq && seq <= t->clamp[i]->to)
			c = t->clamp[i];
	return c;
}

static bool
clamps_alike(const Ltpb__Verdict *a, const Ltpb__Verdict *b, uint64_t seq)
{
	const Ltpb__Clamp *ca = clamp_of(a, seq), *cb = clamp_of(b, seq);

	if (ca == NULL || cb == NULL)
		return ca == cb;
	return ca->floor == cb->floor && ca->ceiling == cb->ceiling;
}

/* Does `by` refuse within from..to what `other` accepts? What that one held, it refuses from now on, or did in the end. */
static bool
refuses_more(const Ltpb__Verdict *by, const Ltpb__Verdict *other, uint64_t from, uint64_t to)
{
	size_t i;

	for (i = 0; i < by->n_refused; i++) {
		const Ltpb__RefusedDot *d = by->refused[i];

		if (from <= d->seq && d->seq <= to && !refuses(other, d->seq, d->index) &&
		    !lt_verdict_names(other->n_held, other->held, d->seq, d->index))
			return true;
	}
	return false;
}

/* t, of what `first` says of from..to. */
static bool
says_otherwise(const Ltpb__Verdict *first, const Ltpb__Verdict *t, uint64_t from, uint64_t to)
{
	uint64_t seq;
	size_t i;

	if (first->to == t->to && first->to_hash.len == LT_HASH_LEN &&
	    memcmp(first->to_hash.data, t->to_hash.data, LT_HASH_LEN) != 0)
		return false;
	if (refuses_more(t, first, from, to))
		return true;
	if (t->settling) {
		for (i = 0; i < t->n_settled; i++)
			if (from <= t->settled[i]->seq && t->settled[i]->seq <= to &&
			    refuses(first, t->settled[i]->seq, t->settled[i]->index))
				return true;
		return false;
	}
	if (refuses_more(first, t, from, to))
		return true;
	for (seq = from; seq <= to; seq++)
		if (!clamps_alike(first, t, seq))
			return true;
	return false;
}

/* ---- from one number to the next ---- */

/* Of the numbers of a verdict, from `from` on: a run of which none that waits speaks, or one that a row decides. */
struct run {
	uint64_t from, to;
	const Ltpb__Verdict *by; /* in the arena; NULL: nobody */
};

static int
next_run(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t from, uint64_t to, struct lt_arena *arena, struct run *out)
{
	char name[LT_TOLD_NAME];
	const Ltpb__Verdict *row;
	int rc = lt_told_find(txn, unit, feed, from, arena, name, &row);

	*out = (struct run){ .from = from, .to = to };
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	if (rc != LT_OK)
		return rc;
	/* The walk goes on behind it. */
	if (row->to < from)
		return LT_E_CORRUPT;
	if (row->from > to)
		return LT_OK;
	if (row->from > from) {
		out->to = row->from - 1;
		return LT_OK;
	}
	out->by = row;
	if (row->to < to)
		out->to = row->to;
	return LT_OK;
}

static uint64_t
first_above(const Ltpb__Verdict *t, uint64_t here)
{
	return t->from > here ? t->from : here + 1;
}

int
lt_told_compare(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__Verdict *t, uint64_t here, bool *overlaps, bool *differs)
{
	uint64_t seq = first_above(t, here);
	struct lt_arena arena;
	struct run r;
	int rc = LT_OK;

	*overlaps = *differs = false;
	while (rc == LT_OK && seq != 0 && seq <= t->to) {
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = next_run(txn, unit, feed, seq, t->to, &arena, &r);
		if (rc == LT_OK && r.by != NULL) {
			*overlaps = true;
			*differs |= says_otherwise(r.by, t, r.from, r.to);
		}
		lt_arena_fini(&arena);
		seq = r.to + 1;
	}
	return rc;
}

/* ---- keeping one ---- */

/* What it says of from..to and no more, as parts of one may be many. */
static int
cut(const Ltpb__Verdict *t, uint64_t from, uint64_t to, struct lt_arena *arena, Ltpb__Verdict *out)
{
	size_t i;

	*out = *t;
	out->refused = lt_arena_alloc(arena, (t->n_refused + 1) * sizeof(*out->refused));
	out->held = lt_arena_alloc(arena, (t->n_held + 1) * sizeof(*out->held));
	out->clamp = lt_arena_alloc(arena, (t->n_clamp + 1) * sizeof(*out->clamp));
	if (out->refused == NULL || out->held == NULL || out->clamp == NULL)
		return LT_E_NOMEM;
	out->from = from;
	out->to = to;
	out->n_refused = out->n_held = out->n_clamp = 0;
	for (i = 0; i < t->n_refused; i++)
		if (from <= t->refused[i]->seq && t->refused[i]->seq <= to)
			out->refused[out->n_refused++] = t->refused[i];
	for (i = 0; i < t->n_held; i++)
		if (from <= t->held[i]->seq && t->held[i]->seq <= to)
			out->held[out->n_held++] = t->held[i];
	for (i = 0; i < t->n_clamp; i++)
		if (t->clamp[i]->from <= to && from <= t->clamp[i]->to)
			out->clamp[out->n_clamp++] = t->clamp[i];
	return LT_OK;
}

/* One that ends before its own last one: nothing vouches for that end. */
static int
put_part(struct lt_kv_txn *txn, const char *name, const Ltpb__Verdict *t, const struct run *r,
    struct lt_arena *arena)
{
	Ltpb__Verdict part;
	struct lt_buf bytes;
	int rc = cut(t, r->from, r->to, arena, &part);

	if (rc != LT_OK)
		return rc;
	part.to_hash.len = 0;
	part.to_hash.data = NULL;
	lt_buf_init(&bytes, LT_VALUE_MAX);
	rc = lt_wire_pack(&part.base, LT_VALUE_MAX, &bytes);
	if (rc == LT_OK)
		rc = lt_local_put(txn, name, lt_buf_slice(&bytes));
	lt_buf_fini(&bytes);
	return rc;
}

int
lt_told_keep(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__Verdict *t, struct lt_slice bytes, uint64_t here, bool *last)
{
	uint64_t seq = first_above(t, here);
	char name[LT_TOLD_NAME];
	struct lt_arena arena;
	struct run r;
	int rc = LT_OK;

	*last = false;
	while (rc == LT_OK && seq != 0 && seq <= t->to) {
		lt_arena_init(&arena, LT_HUB_ARENA);
		rc = next_run(txn, unit, feed, seq, t->to, &arena, &r);
		if (rc == LT_OK && r.by == NULL) {
			lt_told_name(name, told, unit, feed, r.to);
			*last = r.to == t->to;
			/* With its own `from`: what is decided before has rows with a lower `to`. */
			rc = *last ? lt_local_put(txn, name, bytes)
				   : put_part(txn, name, t, &r, &arena);
		}
		lt_arena_fini(&arena);
		seq = r.to + 1;
	}
	return rc;
}

int
lt_told_keep_again(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t to, struct lt_slice bytes, bool late)
{
	uint8_t hash[crypto_generichash_BYTES];
	char name[LT_TOLD_NAME], hex[2 * AGAIN_HASH + 1];
	struct lt_buf row;
	size_t len;
	int rc;

	(void)crypto_generichash(hash, sizeof(hash), bytes.data, bytes.len, NULL, 0);
	lt_hex(hex, hash, AGAIN_HASH);
	lt_told_name(name, again, unit, feed, to);
	len = strlen(name);
	(void)snprintf(name + len, sizeof(name) - len, "/%s", hex);
	lt_buf_init(&row, 1 + LT_VALUE_MAX);
	lt_buf_u8(&row, late);
	lt_buf_put(&row, bytes.data, bytes.len);
	rc = row.err != LT_OK ? row.err : lt_local_put(txn, name, lt_buf_slice(&row));
	lt_buf_fini(&row);
	return rc;
}

/* ---- taking them ---- */

int
lt_told_take_again(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t to, struct lt_arena *arena, const Ltpb__Verdict **out, bool *late)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, val, in;
	char name[LT_TOLD_NAME];
	ProtobufCMessage *m;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c), deleted;

	if (rc != LT_OK)
		return rc;
	lt_told_name(name, again, unit, feed, to);
	in = lt_slice_str(name);
	rc = lt_kv_seek_at(c, in, in, &k, &val);
	if ((rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0)) &&
	    k.len != in.len - TO_LEN + AGAIN_LEN)
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK)
		rc = val.len == 0 || val.data[0] > 1
			 ? LT_E_CORRUPT
			 : lt_wire_unpack(&ltpb__verdict__descriptor,
			       lt_slice(val.data + 1, val.len - 1), LT_VALUE_MAX, arena, &m, NULL);
	if (rc == LT_OK) {
		*late = val.data[0] == 1;
		*out = (const Ltpb__Verdict *)m;
	}
	if (rc != LT_E_NOTFOUND && k.len != 0)
		lt_slice_to_text(name, sizeof(name), k);
	lt_kv_cursor_close(c);
	if (rc == LT_E_CORRUPT && name[in.len] == '\0')
		return LT_E_NOTFOUND; /* the table cannot be walked: nothing more is to be had */
	if (rc == LT_E_NOTFOUND || rc == LT_E_NOMEM || name[in.len] == '\0')
		return rc;
	deleted = lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(name));
	/* Else a row that stays would be met again for ever. */
	if (deleted != LT_OK)
		return deleted == LT_E_CORRUPT ? LT_E_IO : deleted;
	return rc == LT_OK ? LT_OK : LT_E_CORRUPT;
}

static int
any_in(struct lt_kv_txn *txn, const char *what, bool *any)
{
	const struct lt_slice in = lt_slice_str(what);
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	*any |= rc == LT_OK || rc == LT_E_CORRUPT;
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

int
lt_told_any(struct lt_kv_txn *txn, bool *any)
{
	int rc;

	*any = false;
	rc = any_in(txn, "told/", any);
	return rc == LT_OK ? any_in(txn, "again/", any) : rc;
}
