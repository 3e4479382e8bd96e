#include "tests/fuzz/lib/ways.h"

#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/feed/changeset_impl.h"
#include "proto/model/change_read.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define ARENA ((size_t)64 << 20)

size_t fuzz_ways_by_hand;

static void
same_list(char *const *a, char *const *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		FUZZ_MUST(strcmp(a[i], b[i]) == 0);
}

/* Every member, whatever packing would make of it. */
static void
same_value(const Ltpb__Value *a, const Ltpb__Value *b)
{
	FUZZ_MUST(a->v_case == b->v_case && a->base.descriptor == b->base.descriptor);
	FUZZ_MUST(a->base.n_unknown_fields == b->base.n_unknown_fields);
	switch (a->v_case) {
	case LTPB__VALUE__V_TEXT:
		FUZZ_MUST(strcmp(a->text, b->text) == 0);
		break;
	case LTPB__VALUE__V_ENUMERATION:
		FUZZ_MUST(strcmp(a->enumeration, b->enumeration) == 0);
		break;
	case LTPB__VALUE__V_INTEGER:
		FUZZ_MUST(a->integer == b->integer);
		break;
	case LTPB__VALUE__V_DECIMAL:
		FUZZ_MUST(a->decimal->unscaled == b->decimal->unscaled &&
			  a->decimal->scale == b->decimal->scale);
		break;
	case LTPB__VALUE__V_BOOLEAN:
		FUZZ_MUST(a->boolean == b->boolean);
		break;
	case LTPB__VALUE__V_DATE:
		FUZZ_MUST(a->date == b->date);
		break;
	case LTPB__VALUE__V_TIMESTAMP:
		FUZZ_MUST(a->timestamp == b->timestamp);
		break;
	case LTPB__VALUE__V_BYTES:
		FUZZ_MUST(a->bytes.len == b->bytes.len);
		FUZZ_MUST(
		    a->bytes.len == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0);
		break;
	case LTPB__VALUE__V_SET:
		FUZZ_MUST(a->set->n_item == b->set->n_item);
		same_list(a->set->item, b->set->item, a->set->n_item);
		break;
	default:
		FUZZ_MUST(!"a value is set");
	}
}

static void
same_set(const struct lt_field_set *a, const struct lt_field_set *b)
{
	struct lt_buf x = { 0 }, y = { 0 };

	FUZZ_MUST(a->raw.data == b->raw.data && a->raw.len == b->raw.len);
	FUZZ_MUST(strcmp(a->pb->name, b->pb->name) == 0);
	same_value(a->pb->value, b->pb->value);
	FUZZ_MUST(a->pb->n_added == b->pb->n_added && a->pb->n_removed == b->pb->n_removed);
	same_list(a->pb->added, b->pb->added, a->pb->n_added);
	same_list(a->pb->removed, b->pb->removed, a->pb->n_removed);
	FUZZ_MUST(lt_wire_pack(&a->pb->base, LT_MESSAGE_MAX, &x) == LT_OK);
	FUZZ_MUST(lt_wire_pack(&b->pb->base, LT_MESSAGE_MAX, &y) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y)));
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

static void
same_change(const struct lt_change *a, const struct lt_change *b)
{
	size_t i;

	FUZZ_MUST(strcmp(a->collection, b->collection) == 0 && strcmp(a->key, b->key) == 0);
	FUZZ_MUST(a->is_delete == b->is_delete);
	FUZZ_MUST(a->nset == b->nset && a->ncleared == b->ncleared);
	FUZZ_MUST(a->ncontext == b->ncontext && a->npersonal == b->npersonal);
	for (i = 0; i < a->nset; i++)
		same_set(&a->set[i], &b->set[i]);
	same_list(a->cleared, b->cleared, a->ncleared);
	same_list(a->personal, b->personal, a->npersonal);
	for (i = 0; i < a->ncontext; i++)
		FUZZ_MUST(lt_feed_id_cmp(&a->context[i].feed, &b->context[i].feed) == 0 &&
			  a->context[i].seq == b->context[i].seq &&
			  a->context[i].hash8 == b->context[i].hash8);
	FUZZ_MUST(lt_hash_eq(&a->personal_root, &b->personal_root));
	FUZZ_MUST(lt_slice_eq(a->raw, b->raw));
}

static void
same_answer(int a, int b, const struct lt_err *x, const struct lt_err *y)
{
	FUZZ_MUST(a == b);
	FUZZ_MUST(a == LT_OK || strcmp(x->text, y->text) == 0);
}

static int
one_change(struct lt_slice raw, const struct lt_feed_id *own, bool push)
{
	struct lt_arena x, y;
	struct lt_change a, b;
	struct lt_err p = { "" }, q = { "" };
	bool la = false, lb = false;
	int rc, other;

	lt_arena_init(&x, ARENA);
	lt_arena_init(&y, ARENA);
	rc = push ? lt_change_decode_lean(raw, own, &x, &a, &la, &p)
		  : lt_change_decode(raw, own, &x, &a, &p);
	other = lt_change_walk(raw, own, &y, &b, push ? &lb : NULL, &q);
	same_answer(rc, other, &p, &q);
	FUZZ_MUST(rc != LT_OK || la == lb);
	if (rc == LT_OK)
		same_change(&a, &b);
	lt_arena_fini(&x);
	lt_arena_fini(&y);
	return rc;
}

static void
count_by_hand(struct lt_slice raw)
{
	struct lt_change_parts parts;
	struct lt_arena arena;

	lt_arena_init(&arena, ARENA);
	fuzz_ways_by_hand += lt_change_read(raw, &arena, &parts);
	lt_arena_fini(&arena);
}

bool
fuzz_ways_change(struct lt_slice given, const struct lt_feed_id *own)
{
	uint8_t *exact = fuzz_copy(given);
	struct lt_slice raw = lt_slice(exact, given.len);
	int rc = one_change(raw, own, false), pushed = one_change(raw, own, true);

	FUZZ_MUST(rc != LT_OK || pushed == LT_OK);
	count_by_hand(raw);
	free(exact);
	return rc == LT_OK || pushed == LT_OK;
}

bool
fuzz_ways_field_set(struct lt_slice given)
{
	uint8_t *exact = fuzz_copy(given);
	struct lt_slice raw = lt_slice(exact, given.len);
	struct lt_err p = { "" }, q = { "" };
	struct lt_field_set a, b;
	struct lt_arena x, y;
	int rc;

	lt_arena_init(&x, ARENA);
	lt_arena_init(&y, ARENA);
	rc = lt_field_set_decode(raw, &x, &a, &p);
	same_answer(rc, lt_field_set_walk(raw, &y, &b, &q), &p, &q);
	if (rc == LT_OK)
		same_set(&a, &b);
	lt_arena_fini(&x);
	lt_arena_fini(&y);
	free(exact);
	return rc == LT_OK;
}

static void
same_changeset(const struct lt_changeset *a, const struct lt_changeset *b)
{
	size_t i;

	FUZZ_MUST(lt_hash_eq(&a->hash, &b->hash) && a->nchange == b->nchange);
	FUZZ_MUST(lt_slice_eq(a->header, b->header) && lt_slice_eq(a->signature, b->signature));
	FUZZ_MUST(a->has_openings == b->has_openings && lt_slice_eq(a->seed, b->seed));
	FUZZ_MUST(a->nopening == b->nopening);
	for (i = 0; i < a->nchange; i++) {
		FUZZ_MUST(lt_slice_eq(a->change_raw[i], b->change_raw[i]));
		/* What was lean lies in memory of its own: the slices are not the same. */
		if (a->change[i].raw.data == b->change[i].raw.data)
			same_change(&a->change[i], &b->change[i]);
	}
	for (i = 0; i < a->nopening; i++) {
		const struct lt_opening *o = &a->opening[i], *p = &b->opening[i];

		FUZZ_MUST(o->change == p->change && strcmp(o->name, p->name) == 0);
		FUZZ_MUST(o->withheld == p->withheld && lt_hash_eq(&o->leaf, &p->leaf));
		FUZZ_MUST(memcmp(o->salt, p->salt, LT_SALT_LEN) == 0);
		if (!o->withheld)
			same_set(&o->field, &p->field);
	}
}

static int
one_changeset(struct lt_slice raw, bool push)
{
	struct lt_err p = { "" }, q = { "" };
	struct lt_changeset a, b;
	struct lt_arena x, y;
	size_t i;
	int rc;

	lt_arena_init(&x, ARENA);
	lt_arena_init(&y, ARENA);
	rc = push ? lt_changeset_parse_lean(raw, &x, &x, &a, &p)
		  : lt_changeset_parse(raw, &x, &a, &p);
	same_answer(rc, lt_changeset_parse_walk(raw, &y, push ? &y : NULL, &b, &q), &p, &q);
	if (rc == LT_OK)
		same_changeset(&a, &b);
	if (rc == LT_OK) {
		/* Found true while parsing, or by computing it all again. */
		b = a;
		b.openings_true = false;
		FUZZ_MUST(lt_changeset_verify_openings(&a, NULL) ==
			  lt_changeset_verify_openings(&b, NULL));
	}
	for (i = 0; rc == LT_OK && !push && i < a.nchange; i++)
		FUZZ_MUST(fuzz_ways_change(a.change_raw[i], &a.feed));
	lt_arena_fini(&x);
	lt_arena_fini(&y);
	return rc;
}

bool
fuzz_ways_changeset(struct lt_slice given)
{
	uint8_t *exact = fuzz_copy(given);
	struct lt_slice raw = lt_slice(exact, given.len);
	int rc = one_changeset(raw, false), pushed = one_changeset(raw, true);

	free(exact);
	return rc == LT_OK || pushed == LT_OK;
}
