/* Decoding of changes and field sets: everything of FORMAT.md 3.3 that needs no catalogue. */
#include "proto/model/change.h"

#include "proto/base/limits.h"
#include "proto/model/change_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A change with every member, built with protobuf-c directly so that a test can spoil any part. */
struct fixture {
	Ltpb__Change change;
	Ltpb__FieldSet field[3];
	Ltpb__Value value[3];
	Ltpb__TextSet set;
	Ltpb__ContextEntry context[2];
	Ltpb__FieldSet *fields[3];
	Ltpb__ContextEntry *contexts[2];
	char *items[2];
	char *added[1];
	char *cleared[2];
	char *personal[2];
	char name[4][LT_NAME_MAX + 2];
	char key[LT_KEY_MAX + 2];
	uint8_t feed[2][LT_FEED_LEN + 1];
	uint8_t root[LT_HASH_LEN + 1];
};

static void
fixture_init(struct fixture *f)
{
	static const char *names[] = { "amount", "list", "title" };
	size_t i;

	memset(f, 0, sizeof(*f));
	ltpb__change__init(&f->change);
	strcpy(f->name[3], "dossier");
	f->change.collection = f->name[3];
	strcpy(f->key, "H21.65-250709-0001/a%2Fb~_");
	f->change.key = f->key;
	f->change.kind = LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	for (i = 0; i < 3; i++) {
		ltpb__field_set__init(&f->field[i]);
		ltpb__value__init(&f->value[i]);
		(void)snprintf(f->name[i], sizeof(f->name[i]), "%s", names[i]);
		f->field[i].name = f->name[i];
		f->field[i].value = &f->value[i];
		f->fields[i] = &f->field[i];
	}
	f->value[0].v_case = LTPB__VALUE__V_INTEGER;
	f->value[0].integer = -5;
	ltpb__text_set__init(&f->set);
	f->items[0] = (char *)"a";
	f->items[1] = (char *)"b";
	f->set.n_item = 2;
	f->set.item = f->items;
	f->value[1].v_case = LTPB__VALUE__V_SET;
	f->value[1].set = &f->set;
	f->added[0] = f->items[0];
	f->field[1].n_added = 1;
	f->field[1].added = f->added;
	f->value[2].v_case = LTPB__VALUE__V_TEXT;
	f->value[2].text = (char *)"Hồ sơ";
	f->change.n_set = 3;
	f->change.set = f->fields;
	f->cleared[0] = (char *)"bonus";
	f->cleared[1] = (char *)"note";
	f->change.n_cleared = 2;
	f->change.cleared = f->cleared;
	f->personal[0] = (char *)LT_ACTOR_FIELD;
	f->personal[1] = (char *)"applicant";
	f->change.n_personal = 2;
	f->change.personal = f->personal;
	f->change.personal_root.data = f->root;
	f->change.personal_root.len = LT_HASH_LEN;
	memset(f->root, 7, sizeof(f->root));
	for (i = 0; i < 2; i++) {
		ltpb__context_entry__init(&f->context[i]);
		memset(f->feed[i], (int)(0x10 + i), sizeof(f->feed[i]));
		f->feed[i][LT_ID_LEN] = LT_LANE_NORMAL;
		f->context[i].feed.data = f->feed[i];
		f->context[i].feed.len = LT_FEED_LEN;
		f->context[i].seq = 1 + i;
		f->context[i].hash8 = 0x0102030405060708u + i;
		f->contexts[i] = &f->context[i];
	}
	f->change.n_context = 2;
	f->change.context = f->contexts;
}

static struct lt_slice
packed(const Ltpb__Change *c)
{
	size_t n = ltpb__change__get_packed_size(c);
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	assert_int_equal(ltpb__change__pack(c, p), n);
	return lt_slice(p, n);
}

/* Reading again what was decoded once finds the same. */
static void
same_skimmed(const struct lt_change *c)
{
	struct lt_arena arena;
	struct lt_change s;
	size_t i;

	lt_arena_init(&arena, lt_arena_cap_for(c->raw.len));
	assert_int_equal(lt_change_skim(c->raw, &arena, &s), LT_OK);
	assert_string_equal(s.collection, c->collection);
	assert_string_equal(s.key, c->key);
	assert_int_equal(s.is_delete, c->is_delete);
	assert_int_equal(s.nset, c->nset);
	assert_int_equal(s.ncleared, c->ncleared);
	assert_int_equal(s.npersonal, c->npersonal);
	assert_int_equal(s.ncontext, c->ncontext);
	for (i = 0; i < c->nset; i++) {
		assert_string_equal(s.set[i].pb->name, c->set[i].pb->name);
		assert_ptr_equal(s.set[i].raw.data, c->set[i].raw.data);
		assert_int_equal(s.set[i].raw.len, c->set[i].raw.len);
	}
	for (i = 0; i < c->ncleared; i++)
		assert_string_equal(s.cleared[i], c->cleared[i]);
	for (i = 0; i < c->npersonal; i++)
		assert_string_equal(s.personal[i], c->personal[i]);
	for (i = 0; i < c->ncontext; i++) {
		assert_memory_equal(s.context[i].feed.b, c->context[i].feed.b, LT_FEED_LEN);
		assert_int_equal(s.context[i].seq, c->context[i].seq);
		assert_int_equal(s.context[i].hash8, c->context[i].hash8);
	}
	assert_memory_equal(s.personal_root.b, c->personal_root.b, LT_HASH_LEN);
	assert_ptr_equal(s.raw.data, c->raw.data);
	lt_arena_fini(&arena);
}

static int
decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_err *err)
{
	struct lt_arena arena;
	struct lt_change out;
	int rc, again;

	lt_arena_init(&arena, lt_arena_cap_for(raw.len));
	rc = lt_change_decode(raw, own, &arena, &out, err);
	if (rc == LT_OK) {
		same_skimmed(&out);
	} else {
		again = lt_change_skim(raw, &arena, &out);
		assert_true(again == LT_OK || again == LT_E_CORRUPT || again == LT_E_NOMEM);
	}
	lt_arena_fini(&arena);
	return rc;
}

static void
test_whole(void **state)
{
	struct fixture f;
	struct lt_arena arena;
	struct lt_change c;
	struct lt_slice raw;
	struct lt_buf again;
	size_t i, found;

	(void)state;
	fixture_init(&f);
	raw = packed(&f.change);
	lt_arena_init(&arena, lt_arena_cap_for(raw.len));
	assert_int_equal(lt_change_decode(raw, NULL, &arena, &c, NULL), LT_OK);
	same_skimmed(&c);
	assert_string_equal(c.collection, "dossier");
	assert_string_equal(c.key, f.key);
	assert_false(c.is_delete);
	assert_int_equal(c.nset, 3);
	for (i = 0; i < 3; i++) {
		uint8_t want[256];
		size_t n = ltpb__field_set__pack(&f.field[i], want);

		assert_string_equal(c.set[i].pb->name, f.name[i]);
		assert_int_equal(c.set[i].raw.len, n);
		assert_memory_equal(c.set[i].raw.data, want, n);
		/* borrowed: it lies within the change bytes */
		assert_true(
		    c.set[i].raw.data > raw.data && c.set[i].raw.data + n <= raw.data + raw.len);
	}
	assert_int_equal(c.ncleared, 2);
	assert_string_equal(c.cleared[1], "note");
	assert_int_equal(c.npersonal, 2);
	assert_string_equal(c.personal[0], LT_ACTOR_FIELD);
	assert_memory_equal(c.personal_root.b, f.root, LT_HASH_LEN);
	assert_int_equal(c.ncontext, 2);
	for (found = 0; found < 2; found++) {
		assert_memory_equal(c.context[found].feed.b, f.feed[found], LT_FEED_LEN);
		assert_int_equal(c.context[found].seq, 1 + found);
		assert_int_equal(c.context[found].hash8, 0x0102030405060708u + found);
	}
	lt_buf_init(&again, 0);
	assert_int_equal(lt_change_encode(&f.change, &again), LT_OK);
	assert_int_equal(again.len, raw.len);
	assert_memory_equal(again.data, raw.data, raw.len);
	lt_buf_fini(&again);
	lt_arena_fini(&arena);
	free((void *)raw.data);
}

static void
as_is(struct fixture *f)
{
	(void)f;
}

static void
collection_empty(struct fixture *f)
{
	f->name[3][0] = '\0';
}

static void
collection_upper(struct fixture *f)
{
	f->name[3][2] = 'S';
}

static void
collection_digit_first(struct fixture *f)
{
	f->name[3][0] = '1';
}

static void
collection_64(struct fixture *f)
{
	memset(f->name[3], 'a', 64);
	f->name[3][64] = '\0';
}

static void
collection_65(struct fixture *f)
{
	memset(f->name[3], 'a', 65);
	f->name[3][65] = '\0';
}

static void
key_empty(struct fixture *f)
{
	f->key[0] = '\0';
}

static void
key_256(struct fixture *f)
{
	memset(f->key, 'k', 256);
	f->key[256] = '\0';
}

static void
key_257(struct fixture *f)
{
	memset(f->key, 'k', 257);
	f->key[257] = '\0';
}

static void
key_space(struct fixture *f)
{
	f->key[1] = ' ';
}

static void
key_marks(struct fixture *f)
{
	strcpy(f->key, "đ");
}

static void
kind_none(struct fixture *f)
{
	f->change.kind = LTPB__CHANGE_KIND__CHANGE_KIND_UNSPECIFIED;
}

static void
kind_unknown(struct fixture *f)
{
	f->change.kind = (Ltpb__ChangeKind)3;
}

static void
nothing_set(struct fixture *f)
{
	f->change.n_set = f->change.n_cleared = f->change.n_personal = f->change.n_context = 0;
	f->change.personal_root.len = 0;
}

static void
delete_with_fields(struct fixture *f)
{
	f->change.kind = LTPB__CHANGE_KIND__CHANGE_KIND_DELETE;
	f->change.n_cleared = f->change.n_personal = 0;
	f->change.personal_root.len = 0;
}

static void
delete_with_clear(struct fixture *f)
{
	delete_with_fields(f);
	f->change.n_set = 0;
	f->change.n_cleared = 1;
}

static void
delete_with_actor(struct fixture *f)
{
	delete_with_fields(f);
	f->change.n_set = 0;
	f->change.n_personal = 1;
	f->change.personal_root.len = LT_HASH_LEN;
}

static void
delete_with_person(struct fixture *f)
{
	delete_with_actor(f);
	f->personal[0] = f->personal[1];
}

static void
delete_with_two(struct fixture *f)
{
	delete_with_actor(f);
	f->change.n_personal = 2;
}

static void
set_unsorted(struct fixture *f)
{
	strcpy(f->name[0], "zz");
}

static void
set_twice(struct fixture *f)
{
	strcpy(f->name[0], "list");
}

static void
set_bad_name(struct fixture *f)
{
	strcpy(f->name[0], "Amount");
}

static void
set_no_value(struct fixture *f)
{
	f->field[0].value = NULL;
}

static void
set_empty_value(struct fixture *f)
{
	f->value[0].v_case = LTPB__VALUE__V__NOT_SET;
}

static void
set_nfd(struct fixture *f)
{
	f->value[2].text = (char *)"Ho\xcc\x82";
}

static void
set_empty_text(struct fixture *f)
{
	static char empty[] = "";

	f->value[2].text = empty;
}

static void
delta_without_set(struct fixture *f)
{
	f->field[0].n_removed = 1;
	f->field[0].removed = f->added;
}

static void
delta_unsorted(struct fixture *f)
{
	static char *items[] = { (char *)"b", (char *)"a" };

	f->field[1].n_removed = 2;
	f->field[1].removed = items;
}

static void
delta_empty_item(struct fixture *f)
{
	f->added[0] = (char *)"";
}

static void
cleared_unsorted(struct fixture *f)
{
	f->cleared[0] = (char *)"zz";
}

static void
cleared_twice(struct fixture *f)
{
	f->cleared[0] = f->cleared[1];
}

static void
cleared_bad_name(struct fixture *f)
{
	f->cleared[0] = (char *)"a-b";
}

static void
cleared_and_set(struct fixture *f)
{
	f->cleared[1] = (char *)"title";
}

static void
personal_and_set(struct fixture *f)
{
	f->personal[1] = (char *)"title";
}

static void
personal_and_last_set(struct fixture *f)
{
	f->change.n_cleared = 0;
	f->personal[1] = (char *)"title";
}

static void
personal_and_first_set(struct fixture *f)
{
	f->change.n_cleared = 0;
	f->personal[1] = (char *)"amount";
}

static void
personal_and_cleared(struct fixture *f)
{
	f->personal[1] = (char *)"note";
}

static void
personal_unsorted(struct fixture *f)
{
	f->personal[0] = (char *)"zz";
}

static void
root_missing(struct fixture *f)
{
	f->change.personal_root.len = 0;
}

static void
root_short(struct fixture *f)
{
	f->change.personal_root.len = 31;
}

static void
root_long(struct fixture *f)
{
	f->change.personal_root.len = 33;
}

static void
root_without_leaves(struct fixture *f)
{
	f->change.n_personal = 0;
}

static void
context_unsorted(struct fixture *f)
{
	f->feed[0][0] = 0xff;
}

static void
context_twice(struct fixture *f)
{
	memcpy(f->feed[1], f->feed[0], LT_FEED_LEN);
}

static void
context_seq_0(struct fixture *f)
{
	f->context[0].seq = 0;
}

static void
context_lane_0(struct fixture *f)
{
	f->feed[0][LT_ID_LEN] = 0;
}

static void
context_lane_4(struct fixture *f)
{
	f->feed[0][LT_ID_LEN] = 4;
}

static void
context_feed_24(struct fixture *f)
{
	f->context[0].feed.len = 24;
}

static void
context_feed_26(struct fixture *f)
{
	f->context[0].feed.len = 26;
}

static void
test_rules(void **state)
{
	static const struct {
		const char *descr;
		void (*spoil)(struct fixture *f);
		int rc;
	} cases[] = {
		{ "as built", as_is, LT_OK },
		{ "no collection", collection_empty, LT_E_INVALID },
		{ "collection with a capital", collection_upper, LT_E_INVALID },
		{ "collection with a digit first", collection_digit_first, LT_E_INVALID },
		{ "collection of 64 bytes", collection_64, LT_OK },
		{ "collection of 65 bytes", collection_65, LT_E_INVALID },
		{ "no key", key_empty, LT_E_INVALID },
		{ "key of 256 bytes", key_256, LT_OK },
		{ "key of 257 bytes", key_257, LT_E_TOOBIG },
		{ "key with a blank", key_space, LT_E_INVALID },
		{ "key with a letter that must be encoded", key_marks, LT_E_INVALID },
		{ "no kind", kind_none, LT_E_INVALID },
		{ "unknown kind", kind_unknown, LT_E_INVALID },
		{ "a put of nothing", nothing_set, LT_OK },
		{ "a delete with fields", delete_with_fields, LT_E_INVALID },
		{ "a delete with a cleared field", delete_with_clear, LT_E_INVALID },
		{ "a delete with its actor", delete_with_actor, LT_OK },
		{ "a delete with another personal field", delete_with_person, LT_E_INVALID },
		{ "a delete with its actor and one more", delete_with_two, LT_E_INVALID },
		{ "set out of order", set_unsorted, LT_E_INVALID },
		{ "a field set twice", set_twice, LT_E_INVALID },
		{ "a field name with a capital", set_bad_name, LT_E_INVALID },
		{ "a field without a value", set_no_value, LT_E_INVALID },
		{ "a field with an empty Value", set_empty_value, LT_E_INVALID },
		{ "text in NFD", set_nfd, LT_E_INVALID },
		{ "an empty text", set_empty_text, LT_OK },
		{ "removed items without a set", delta_without_set, LT_E_INVALID },
		{ "removed items out of order", delta_unsorted, LT_E_INVALID },
		{ "an empty added item", delta_empty_item, LT_E_INVALID },
		{ "cleared out of order", cleared_unsorted, LT_E_INVALID },
		{ "cleared twice", cleared_twice, LT_E_INVALID },
		{ "cleared with a bad name", cleared_bad_name, LT_E_INVALID },
		{ "cleared and set", cleared_and_set, LT_E_INVALID },
		{ "personal and set", personal_and_set, LT_E_INVALID },
		{ "personal and the last set", personal_and_last_set, LT_E_INVALID },
		{ "personal and the first set", personal_and_first_set, LT_E_INVALID },
		{ "personal and cleared", personal_and_cleared, LT_E_INVALID },
		{ "personal out of order", personal_unsorted, LT_E_INVALID },
		{ "personal without a root", root_missing, LT_E_INVALID },
		{ "root of 31 bytes", root_short, LT_E_INVALID },
		{ "root of 33 bytes", root_long, LT_E_INVALID },
		{ "root without leaves", root_without_leaves, LT_E_INVALID },
		{ "context out of order", context_unsorted, LT_E_INVALID },
		{ "context twice", context_twice, LT_E_INVALID },
		{ "context seq 0", context_seq_0, LT_E_INVALID },
		{ "context lane 0", context_lane_0, LT_E_INVALID },
		{ "context lane 4", context_lane_4, LT_E_INVALID },
		{ "context feed of 24 bytes", context_feed_24, LT_E_INVALID },
		{ "context feed of 26 bytes", context_feed_26, LT_E_INVALID },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;
		struct lt_slice raw;
		struct lt_err err = { "" };
		int rc;

		fixture_init(&f);
		cases[i].spoil(&f);
		raw = packed(&f.change);
		rc = decode(raw, NULL, &err);
		if (rc != cases[i].rc)
			fail_msg("%s: %d (%s)", cases[i].descr, rc, err.text);
		if (rc != LT_OK && err.text[0] == '\0')
			fail_msg("%s: no words", cases[i].descr);
		free((void *)raw.data);
	}
}

/* An empty personal_root may be written out, too: what is admitted must be readable for ever. */
static void
test_root_written_out(void **state)
{
	static const uint8_t empty_root[] = { 0x42, 0x00 }; /* field 8, no bytes */
	struct lt_err err = { "" };
	struct fixture f;
	struct lt_slice bare;
	uint8_t bytes[1024];

	(void)state;
	fixture_init(&f);
	f.change.n_personal = 0;
	f.change.personal_root.len = 0;
	bare = packed(&f.change);
	assert_true(bare.len + sizeof(empty_root) <= sizeof(bytes));
	memcpy(bytes, bare.data, bare.len);
	memcpy(bytes + bare.len, empty_root, sizeof(empty_root));
	assert_int_equal(decode(lt_slice(bytes, bare.len + sizeof(empty_root)), NULL, &err), LT_OK);
	free((void *)(uintptr_t)bare.data);
}

static void
test_own_feed(void **state)
{
	struct fixture f;
	struct lt_feed_id own;
	struct lt_slice raw;

	(void)state;
	fixture_init(&f);
	raw = packed(&f.change);
	memcpy(own.b, f.feed[1], LT_FEED_LEN);
	assert_int_equal(decode(raw, &own, NULL), LT_E_INVALID);
	own.b[24] ^= 1; /* another epoch of the same author may be named */
	assert_int_equal(decode(raw, &own, NULL), LT_OK);
	free((void *)raw.data);
}

/* 256 names over the three lists fit, 257 do not. */
static void
test_field_count(void **state)
{
	static char name[257][8];
	char *names[257];
	size_t i, n;

	(void)state;
	for (i = 0; i < 257; i++) {
		snprintf(name[i], sizeof(name[i]), "z%03zu", i);
		names[i] = name[i];
	}
	for (n = 251; n <= 252; n++) {
		struct fixture f;
		struct lt_slice raw;

		fixture_init(&f);
		f.change.cleared = names;
		f.change.n_cleared = n; /* with 3 set and 2 personal */
		raw = packed(&f.change);
		assert_int_equal(decode(raw, NULL, NULL), n == 251 ? LT_OK : LT_E_TOOBIG);
		free((void *)raw.data);
	}
}

static void
test_context_count(void **state)
{
	size_t n, i;

	(void)state;
	for (n = LT_CONTEXT_MAX; n <= LT_CONTEXT_MAX + 1; n++) {
		static Ltpb__ContextEntry entry[LT_CONTEXT_MAX + 1];
		static uint8_t feed[LT_CONTEXT_MAX + 1][LT_FEED_LEN];
		Ltpb__ContextEntry *entries[LT_CONTEXT_MAX + 1];
		struct fixture f;
		struct lt_slice raw;

		fixture_init(&f);
		for (i = 0; i < n; i++) {
			ltpb__context_entry__init(&entry[i]);
			feed[i][0] = (uint8_t)i;
			feed[i][LT_ID_LEN] = LT_LANE_BULK;
			entry[i].feed.data = feed[i];
			entry[i].feed.len = LT_FEED_LEN;
			entry[i].seq = 1;
			entries[i] = &entry[i];
		}
		f.change.context = entries;
		f.change.n_context = n;
		raw = packed(&f.change);
		assert_int_equal(
		    decode(raw, NULL, NULL), n == LT_CONTEXT_MAX ? LT_OK : LT_E_TOOBIG);
		free((void *)raw.data);
	}
}

/* Bytes by hand: protobuf would take the last of two, or merge them. FieldSet {name "a", value int 1}:
 * 0a 01 'a' 12 02 10 02. */
static void
test_members_twice(void **state)
{
	static const struct {
		const char *descr;
		const char *hex;
		int rc;
	} cases[] = {
		{ "once", "0a016112021002", LT_OK },
		{ "value first, then name", "120210020a0161", LT_OK },
		{ "unknown member 15", "0a0161120210027801", LT_OK },
		{ "name twice", "0a01610a016112021002", LT_E_INVALID },
		{ "value twice", "0a01611202100212021004", LT_E_INVALID },
		{ "two members in the value",
		    "0a016112041002"
		    "2001",
		    LT_E_INVALID },
		{ "one member twice in the value",
		    "0a01611204"
		    "10021004",
		    LT_E_INVALID },
		{ "no name", "12021002", LT_E_INVALID },
		{ "no value", "0a0161", LT_E_INVALID },
		{ "empty value", "0a01611200", LT_E_INVALID },
		{ "name with NUL",
		    "0a026100"
		    "12021002",
		    LT_E_INVALID },
		{ "length beyond the end", "0a016112091002", LT_E_INVALID },
		{ "nothing", "", LT_E_INVALID },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_arena arena;
		struct lt_field_set fs;
		struct lt_err err = { "" };
		uint8_t raw[64];
		size_t n = strlen(cases[i].hex) / 2;
		int rc;

		assert_int_equal(lt_unhex(raw, n, cases[i].hex), LT_OK);
		lt_arena_init(&arena, lt_arena_cap_for(n));
		rc = lt_field_set_decode(lt_slice(raw, n), &arena, &fs, &err);
		if (rc != cases[i].rc)
			fail_msg("%s: %d (%s)", cases[i].descr, rc, err.text);
		if (rc == LT_OK) {
			assert_ptr_equal(fs.raw.data, raw);
			assert_int_equal(fs.pb->value->integer, 1);
		}
		lt_arena_fini(&arena);
	}
}

/* A second key after the change: what was signed has one meaning or none. */
static void
test_change_member_twice(void **state)
{
	struct fixture f;
	struct lt_slice raw;
	uint8_t *longer;

	(void)state;
	fixture_init(&f);
	raw = packed(&f.change);
	longer = malloc(raw.len + 3);
	assert_non_null(longer);
	memcpy(longer, raw.data, raw.len);
	memcpy(longer + raw.len, "\x12\x01k", 3);
	assert_int_equal(decode(lt_slice(longer, raw.len + 3), NULL, NULL), LT_E_INVALID);
	free(longer);
	free((void *)raw.data);
}

/* Every truncation and every flipped bit: refused, or decoded into something that is well-formed
 * (it packs and decodes again). */
static void
test_damage(void **state)
{
	struct fixture f;
	struct lt_slice raw;
	uint8_t *copy;
	size_t i, taken = 0, refused = 0;

	(void)state;
	fixture_init(&f);
	raw = packed(&f.change);
	for (i = 0; i < raw.len; i++) {
		copy = malloc(i + 1); /* its own block, so that a read past the end is seen */
		assert_non_null(copy);
		memcpy(copy, raw.data, i);
		if (decode(lt_slice(copy, i), NULL, NULL) == LT_OK)
			taken++;
		else
			refused++;
		free(copy);
	}
	copy = malloc(raw.len + 1);
	assert_non_null(copy);
	for (i = 0; i < raw.len * 8; i++) {
		memcpy(copy, raw.data, raw.len);
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		if (decode(lt_slice(copy, raw.len), NULL, NULL) == LT_OK)
			taken++;
		else
			refused++;
	}
	assert_true(taken > 0 && refused > 0);
	free(copy);
	free((void *)raw.data);
}

static bool
may_stand(unsigned c, bool first)
{
	return c < 0x80 && c != 0 &&
	       strchr(
		   first ? "abcdefghijklmnopqrstuvwxyz_" : "abcdefghijklmnopqrstuvwxyz_0123456789",
		   (int)c) != NULL;
}

/* Every byte at every place of a name of every length. */
static void
test_name_bytes(void **state)
{
	uint8_t name[LT_NAME_MAX + 1];
	size_t len, i;
	unsigned c;

	(void)state;
	memset(name, 'm', sizeof(name));
	for (len = 1; len <= LT_NAME_MAX; len++) {
		assert_true(lt_name_valid_slice(lt_slice(name, len)));
		for (i = 0; i < len; i++) {
			for (c = 0; c < 256; c++) {
				name[i] = (uint8_t)c;
				if (lt_name_valid_slice(lt_slice(name, len)) !=
				    may_stand(c, i == 0))
					fail_msg("byte %u at %zu of %zu", c, i, len);
			}
			name[i] = 'm';
		}
	}
	assert_false(lt_name_valid_slice(lt_slice(name, 0)));
	assert_false(lt_name_valid_slice(lt_slice(name, LT_NAME_MAX + 1)));
}

static void
test_names(void **state)
{
	(void)state;
	assert_true(lt_name_valid("a"));
	assert_true(lt_name_valid("_a9"));
	assert_false(lt_name_valid(""));
	assert_false(lt_name_valid("9a"));
	assert_false(lt_name_valid("a b"));
	assert_false(lt_name_valid("a\xc4\x91"));
}

/* The change of which another is a re-issue: 45 bytes and a number, else it says nothing; the change is good all the same. */
static void
test_origin(void **state)
{
	static const struct {
		const char *descr;
		size_t len;
		uint64_t seq;
		bool says;
	} cases[] = {
		{ "none", 0, 1, false },
		{ "a byte short", LT_ORIGIN_LEN - 1, 1, false },
		{ "the first number", LT_ORIGIN_LEN, 1, true },
		{ "the last number", LT_ORIGIN_LEN, UINT64_MAX, true },
		{ "no number", LT_ORIGIN_LEN, 0, false },
		{ "a byte more", LT_ORIGIN_LEN + 1, 1, false },
	};
	struct lt_origin of = { .dot = { .index = 7 }, .hash8 = 9 }, got;
	size_t i;

	(void)state;
	memset(of.dot.feed.b, 0x41, LT_FEED_LEN);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[512], origin[LT_ORIGIN_LEN + 1] = { 0 };
		struct lt_err err = { "" };
		struct lt_change c;
		struct lt_arena arena;
		struct fixture f;
		size_t n;

		print_message("%s\n", cases[i].descr);
		fixture_init(&f);
		of.dot.seq = cases[i].seq;
		lt_origin_pack(&of, origin);
		f.change.origin.data = origin;
		f.change.origin.len = cases[i].len;
		n = ltpb__change__get_packed_size(&f.change);
		assert_true(n <= sizeof(bytes));
		(void)ltpb__change__pack(&f.change, bytes);
		lt_arena_init(&arena, 1 << 20);
		assert_int_equal(
		    lt_change_decode(lt_slice(bytes, n), NULL, &arena, &c, &err), LT_OK);
		assert_int_equal(lt_change_origin(&c, &got), cases[i].says);
		if (cases[i].says) {
			assert_int_equal(lt_feed_id_cmp(&got.dot.feed, &of.dot.feed), 0);
			assert_true(got.dot.seq == of.dot.seq && got.dot.index == of.dot.index);
			assert_true(got.hash8 == of.hash8);
		}
		lt_arena_fini(&arena);
	}
	/* By hand: feed, then the three numbers with the highest byte first. */
	of.dot.seq = 0x0102030405060708;
	of.hash8 = 0x1112131415161718;
	{
		static const uint8_t tail[20] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7, 0x11, 0x12,
			0x13, 0x14, 0x15, 0x16, 0x17, 0x18 };
		uint8_t origin[LT_ORIGIN_LEN];

		lt_origin_pack(&of, origin);
		assert_int_equal(LT_ORIGIN_LEN, 45);
		assert_memory_equal(origin, of.dot.feed.b, LT_FEED_LEN);
		assert_memory_equal(origin + LT_FEED_LEN, tail, sizeof(tail));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_root_written_out),
		cmocka_unit_test(test_own_feed),
		cmocka_unit_test(test_field_count),
		cmocka_unit_test(test_context_count),
		cmocka_unit_test(test_name_bytes),
		cmocka_unit_test(test_members_twice),
		cmocka_unit_test(test_change_member_twice),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
