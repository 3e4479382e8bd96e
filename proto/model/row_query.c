/* What else a row is asked: is it sound, what has it applied, what must a new change name. */
#include "proto/model/row_impl.h"

#include <string.h>

/* A value's bytes are a well-formed FieldSet of the field they stand in. */
static int
check_values(const struct lt_row_field *f, struct lt_err *err)
{
	struct lt_arena arena;
	struct lt_field_set fs;
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < f->nentry && rc == LT_OK; i++) {
		struct lt_slice raw = f->entry[i].field_set;

		if (!(f->entry[i].flags & LT_ENTRY_SET))
			continue;
		lt_arena_init(&arena, lt_arena_cap_for(raw.len));
		rc = lt_field_set_decode(raw, &arena, &fs, err);
		if (rc == LT_OK && !lt_slice_eq(lt_slice_str(fs.pb->name), f->name))
			rc =
			    lt_err_set(err, LT_E_CORRUPT, "a value of \"%.*s\" names another field",
				(int)f->name.len, (const char *)f->name.data);
		lt_arena_fini(&arena);
	}
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
}

int
lt_row_check(struct lt_slice bytes, struct lt_err *err)
{
	struct lt_scratch s;
	struct lt_row row;
	size_t i;
	int rc = LT_E_CORRUPT;

	lt_scratch_init(&s);
	if (bytes.len != 0)
		rc = lt_row_parse(bytes, NULL, 0, &s, &row);
	if (rc != LT_OK)
		lt_err_set(err, rc, "the merge row of %zu bytes does not parse", bytes.len);
	for (i = 0; rc == LT_OK && i < row.nfield; i++)
		rc = check_values(&row.field[i], err);
	lt_scratch_fini(&s);
	return rc;
}

/* The feeds that a context should name when it cannot name all: those of changes that still stand.
 * Dots of other feeds are covered already wherever they matter. */
static void
mark_standing(struct lt_row *row)
{
	size_t i;

	for (i = 0; i < row->nfeed; i++)
		row->feed[i].used = false;
	for (i = 0; i < row->nchange; i++)
		row->feed[row->change[i]->feed].used = true;
}

static size_t
count_feeds(const struct lt_row *row, const struct lt_feed_id *own, bool standing)
{
	size_t i, n = 0;

	for (i = 0; i < row->nfeed; i++) {
		const struct lt_row_feed *f = &row->feed[i];

		if (f->seq != 0 && f->used == standing && memcmp(f->id, own->b, LT_FEED_LEN) != 0)
			n++;
	}
	return n;
}

#ifdef LT_MERGE_BUGS
/* Bug 1: contexts closed over what was learnt from other contexts. */
static void
close_context(struct lt_row *row)
{
	size_t i, k;

	for (i = 0; i < row->nfield; i++)
		for (k = 0; k < row->field[i].covers.n; k++) {
			const struct lt_cover *c = &row->field[i].covers.c[k];

			if (c->index == 0 && c->seq > row->feed[c->feed].seq + 1)
				row->feed[c->feed].seq = c->seq - 1;
		}
}
#endif

static int
fill_context(struct lt_row *row, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_context **out, size_t *n)
{
	size_t standing, others, left, i;
	struct lt_context *c;

	mark_standing(row);
	standing = count_feeds(row, own, true);
	others = count_feeds(row, own, false);
	if (standing > LT_CONTEXT_MAX)
		standing = LT_CONTEXT_MAX;
	if (others > LT_CONTEXT_MAX - standing)
		others = LT_CONTEXT_MAX - standing;
	c = lt_arena_alloc(arena, (standing + others) * sizeof(*c));
	if (c == NULL)
		return LT_E_NOMEM;
	left = standing + others;
	*n = 0;
	for (i = 0; i < row->nfeed && *n < left; i++) {
		const struct lt_row_feed *f = &row->feed[i];
		size_t *quota = f->used ? &standing : &others;

		if (f->seq == 0 || memcmp(f->id, own->b, LT_FEED_LEN) == 0 || *quota == 0)
			continue;
		(*quota)--;
		memcpy(c[*n].feed.b, f->id, LT_FEED_LEN);
		c[*n].seq = f->seq;
		c[(*n)++].hash8 = f->hash8;
	}
	*out = c;
	return LT_OK;
}

int
lt_row_context(struct lt_slice bytes, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_context **out, size_t *n)
{
	struct lt_scratch s;
	struct lt_row row;
	int rc;

	*out = NULL;
	*n = 0;
	lt_scratch_init(&s);
	rc = lt_row_parse(bytes, NULL, 0, &s, &row);
#ifdef LT_MERGE_BUGS
	if (rc == LT_OK && LT_BUG(1))
		close_context(&row);
#endif
	if (rc == LT_OK)
		rc = fill_context(&row, own, arena, out, n);
	lt_scratch_fini(&s);
	return rc;
}

bool
lt_row_has(struct lt_slice bytes, const struct lt_dot *dot)
{
	struct lt_scratch s;
	struct lt_row row;
	bool has = false;
	size_t i;

	lt_scratch_init(&s);
	if (lt_row_parse(bytes, NULL, 0, &s, &row) == LT_OK)
		for (i = 0; i < row.nfeed && !has; i++)
			has = memcmp(row.feed[i].id, dot->feed.b, LT_FEED_LEN) == 0 &&
			      dot->seq <= row.feed[i].seq;
	lt_scratch_fini(&s);
	return has;
}
