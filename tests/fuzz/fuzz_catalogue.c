/* Any bytes as a catalogue.
 *
 * Must hold: what parses splits into parts that join to a catalogue with the same collections and fields, and that one splits
 * into the same parts; patterns match or do not, but end.
 */
#include "proto/model/catalogue.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static void
same_field(const struct lt_field *a, const struct lt_field *b)
{
	FUZZ_MUST(strcmp(a->rule.name, b->rule.name) == 0 && a->rule.type == b->rule.type);
	FUZZ_MUST(a->required == b->required && a->indexed == b->indexed && a->in_key == b->in_key);
	FUZZ_MUST(a->scale == b->scale && a->max_len == b->max_len && a->nvalue == b->nvalue);
	FUZZ_MUST(a->has_pattern == b->has_pattern && a->has_min == b->has_min &&
		  a->has_max == b->has_max);
	FUZZ_MUST(a->min == b->min && a->max == b->max && a->ntransition == b->ntransition);
}

/* The joined catalogue may have its collections in another order. */
static void
same(const struct lt_catalogue *a, const struct lt_catalogue *b)
{
	const struct lt_collection *x, *y;
	size_t i, k;

	FUZZ_MUST(lt_catalogue_count(a) == lt_catalogue_count(b));
	for (i = 0; i < lt_catalogue_count(a); i++) {
		x = lt_catalogue_at(a, i);
		y = lt_catalogue_find(b, x->id);
		FUZZ_MUST(y != NULL && x->nfield == y->nfield && x->nkey == y->nkey);
		FUZZ_MUST(
		    x->lane == y->lane && x->unit_rule == y->unit_rule && x->writers == y->writers);
		for (k = 0; k < x->nfield; k++)
			same_field(&x->field[k], &y->field[k]);
	}
}

static void
lookups(const struct lt_catalogue *c)
{
	static const char *const text[] = { "", "a", "23956", "HN-0001", "Nguyễn", "2026-01-01",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	const struct lt_collection *col;
	size_t i, k, t;

	for (i = 0; i < lt_catalogue_count(c); i++) {
		col = lt_catalogue_at(c, i);
		FUZZ_MUST(lt_catalogue_find(c, col->id) == col);
		FUZZ_MUST(col->nkey <= LT_KEY_FIELDS_MAX && col->nindex <= LT_INDEXES_MAX);
		for (k = 0; k < col->nfield; k++) {
			FUZZ_MUST(
			    lt_collection_field(col, col->field[k].rule.name) == &col->field[k]);
			for (t = 0; col->field[k].has_pattern && t < sizeof(text) / sizeof(text[0]);
			     t++)
				(void)lt_field_matches(&col->field[k], text[t]);
		}
		for (k = 0; k < col->nkey; k++)
			FUZZ_MUST(col->key[k] < col->nfield);
	}
}

static void
round_trip(struct lt_slice json, const struct lt_catalogue *c)
{
	struct lt_catalogue_part *parts, *again;
	struct lt_buf joined = { 0 };
	struct lt_catalogue *d;
	struct lt_err err = { "" };
	struct lt_arena arena;
	size_t n, m, i;

	lt_arena_init(&arena, 64u << 20);
	FUZZ_MUST(lt_catalogue_split(json, &arena, &parts, &n, &err) == LT_OK);
	FUZZ_MUST(lt_catalogue_join(parts, n, &joined, &err) == LT_OK);
	if (joined.len <= LT_CATALOGUE_BYTES_MAX) {
		FUZZ_MUST(lt_catalogue_parse(lt_buf_slice(&joined), 1, &d, &err) == LT_OK);
		same(c, d);
		lt_catalogue_unref(d);
		FUZZ_MUST(
		    lt_catalogue_split(lt_buf_slice(&joined), &arena, &again, &m, &err) == LT_OK);
		FUZZ_MUST(n == m);
		for (i = 0; i < n; i++)
			FUZZ_MUST(strcmp(parts[i].id, again[i].id) == 0 &&
				  lt_slice_eq(parts[i].json, again[i].json));
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&joined);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_slice json = lt_slice(data, size);
	struct lt_catalogue *c;
	struct lt_err err = { "" };

	if (lt_catalogue_parse(json, 1, &c, &err) != LT_OK) {
		FUZZ_MUST(err.text[0] != '\0');
		return 0;
	}
	lookups(c);
	round_trip(json, c);
	lt_catalogue_unref(c);
	return 0;
}
