/* What is signed, read by hand and by the walker: the same answer to anything. Real messages, mutated by their schema, cut, with
 * flipped bits, and with what no encoder writes. */
#include "tests/fuzz/lib/ways.h"

#include "proto/base/limits.h"
#include "proto/base/wire_read.h"
#include "proto/feed/changeset_impl.h"
#include "tests/fuzz/lib/changeset.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROOM ((size_t)64 * 1024) /* of a message while it is mutated */
#define SEEDS_MAX 1024

static struct fuzz_rng rng = { 20261122 };

/* protobuf.c's mutation of bytes that are no message; libFuzzer has one where it is. */
size_t
LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	if (size != 0 && fuzz_below(&rng, 2) == 0) {
		data[fuzz_below(&rng, size)] ^= (uint8_t)(1u << fuzz_below(&rng, 8));
		return size;
	}
	if (size < max_size && fuzz_below(&rng, 2) == 0) {
		data[size] = (uint8_t)fuzz_next(&rng);
		return size + 1;
	}
	return size == 0 ? 0 : size - 1;
}

/* ---- seeds ---- */

static struct lt_slice change[SEEDS_MAX], field_set[SEEDS_MAX], changeset[SEEDS_MAX];
static size_t nchange, nfield_set, nchangeset;

static void
keep(struct lt_slice *list, size_t *n, struct lt_slice s)
{
	uint8_t *copy = malloc(s.len + 1);

	assert_non_null(copy);
	if (s.len != 0)
		memcpy(copy, s.data, s.len);
	if (*n < SEEDS_MAX && s.len < ROOM / 2)
		list[(*n)++] = lt_slice(copy, s.len);
	else
		free(copy);
}

/* The changes, the field sets in them and those of the openings; what is malformed yields what can be read. */
static void
take_apart(struct lt_slice whole)
{
	struct lt_wire_item f, g;
	struct lt_reader r, s;

	lt_reader_init(&r, whole);
	while (lt_wire_step(&r, &f)) {
		if (f.number == CS_CHANGE)
			keep(change, &nchange, f.bytes);
		lt_reader_init(&s, f.bytes);
		while ((f.number == CS_CHANGE || f.number == CS_OPENINGS) && lt_wire_step(&s, &g)) {
			if (f.number == CS_CHANGE && g.number == 4)
				keep(field_set, &nfield_set, g.bytes);
		}
	}
}

static void
read_folder(const char *name, bool whole)
{
	char path[512];
	struct dirent *e;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", LT_SOURCE_DIR, name);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		struct lt_buf b;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "tests/fuzz/corpus/%s/%s", name, e->d_name);
		b = fuzz_file(path);
		if (whole) {
			keep(changeset, &nchangeset, lt_buf_slice(&b));
			take_apart(lt_buf_slice(&b));
		} else if (b.len > 2 && (b.data[0] & 1) != 0) {
			keep(field_set, &nfield_set, lt_slice(b.data + 2, b.len - 2));
		}
		lt_buf_fini(&b);
	}
	(void)closedir(dir);
}

/* A change with a field of every type, all lists and contexts. */
static void
make_full(void)
{
	static const uint8_t some[] = { 0, 1, 255 };
	char *items[] = { (char *)(uintptr_t) "a", (char *)(uintptr_t) "b" };
	char *cleared[] = { (char *)(uintptr_t) "zz_cleared" };
	char *personal[] = { (char *)(uintptr_t) "_actor", (char *)(uintptr_t) "a_name" };
	Ltpb__Decimal decimal = LTPB__DECIMAL__INIT;
	Ltpb__TextSet set = LTPB__TEXT_SET__INIT;
	Ltpb__Change c = LTPB__CHANGE__INIT;
	Ltpb__ContextEntry entry[2] = { LTPB__CONTEXT_ENTRY__INIT, LTPB__CONTEXT_ENTRY__INIT };
	Ltpb__ContextEntry *entries[] = { &entry[0], &entry[1] };
	Ltpb__FieldSet fs[9], *list[9];
	Ltpb__Value v[9];
	char name[9][8];
	uint8_t feed[2][LT_FEED_LEN], root[LT_HASH_LEN] = { 7 }, bytes[4096];
	size_t i;

	for (i = 0; i < 9; i++) {
		ltpb__field_set__init(&fs[i]);
		ltpb__value__init(&v[i]);
		(void)snprintf(name[i], sizeof(name[i]), "f%zu_x", i);
		fs[i].name = name[i];
		fs[i].value = &v[i];
		v[i].v_case = (Ltpb__Value__VCase)(LTPB__VALUE__V_TEXT + i);
		list[i] = &fs[i];
	}
	v[0].text = (char *)(uintptr_t) "Đăng ký khai sinh";
	v[1].integer = INT64_MIN;
	decimal.unscaled = -12345;
	decimal.scale = 18;
	v[2].decimal = &decimal;
	v[3].boolean = 1;
	v[4].date = -719162;
	v[5].timestamp = INT64_C(1763800000123);
	v[6].bytes.data = (uint8_t *)(uintptr_t)some;
	v[6].bytes.len = sizeof(some);
	v[7].enumeration = (char *)(uintptr_t) "da_tra";
	set.item = items;
	set.n_item = 2;
	v[8].set = &set;
	fs[8].added = items;
	fs[8].n_added = 1;
	fs[8].removed = cleared;
	fs[8].n_removed = 1;
	for (i = 0; i < 2; i++) {
		memset(feed[i], (int)(1 + i), LT_FEED_LEN);
		feed[i][LT_ID_LEN] = LT_LANE_NORMAL;
		entry[i].feed.data = feed[i];
		entry[i].feed.len = LT_FEED_LEN;
		entry[i].seq = UINT64_MAX - i;
		entry[i].hash8 = UINT64_C(0x0102030405060708);
	}
	c.collection = (char *)(uintptr_t) "dossier";
	c.key = (char *)(uintptr_t) "H41.04.792-261120-0002/a%2Fb~_";
	c.kind = LTPB__CHANGE_KIND__CHANGE_KIND_PUT;
	c.set = list;
	c.n_set = 9;
	c.cleared = cleared;
	c.n_cleared = 1;
	c.personal = personal;
	c.n_personal = 2;
	c.personal_root.data = root;
	c.personal_root.len = sizeof(root);
	c.context = entries;
	c.n_context = 2;
	assert_true(ltpb__change__get_packed_size(&c) <= sizeof(bytes));
	keep(change, &nchange, lt_slice(bytes, ltpb__change__pack(&c, bytes)));
	for (i = 0; i < 9; i++)
		keep(field_set, &nfield_set, lt_slice(bytes, ltpb__field_set__pack(&fs[i], bytes)));
	fuzz_ways_by_hand = 0;
	assert_true(fuzz_ways_change(change[nchange - 1], NULL));
	assert_int_equal(fuzz_ways_by_hand, 1);
}

static int
load(void **state)
{
	(void)state;
	fuzz_setup();
	read_folder("changeset", true);
	read_folder("opening", false);
	make_full();
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	while (nchange > 0)
		free((void *)(uintptr_t)change[--nchange].data);
	while (nfield_set > 0)
		free((void *)(uintptr_t)field_set[--nfield_set].data);
	while (nchangeset > 0)
		free((void *)(uintptr_t)changeset[--nchangeset].data);
	return 0;
}

/* ---- what no encoder writes ---- */

/* Copy the varint at *p with `more` bytes that say nothing. */
static void
put_long(struct lt_buf *out, uint64_t v, size_t more)
{
	while (v >= 0x80) {
		lt_buf_u8(out, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	lt_buf_u8(out, (uint8_t)(v | (more != 0 ? 0x80 : 0)));
	for (; more > 0; more--)
		lt_buf_u8(out, more == 1 ? 0 : 0x80);
}

static void
put_item(struct lt_buf *out, const struct lt_wire_item *f, struct lt_slice bytes)
{
	size_t tag_more = fuzz_below(&rng, 12) == 0 ? fuzz_below(&rng, 6) : 0;
	size_t more = fuzz_below(&rng, 12) == 0 ? fuzz_below(&rng, 11) : 0;
	unsigned type = f->type;

	if (fuzz_below(&rng, 40) == 0)
		type = (unsigned)fuzz_below(&rng, 8);
	put_long(out, (uint64_t)f->number << 3 | type, tag_more);
	if (f->type == LT_WIRE_VARINT) {
		put_long(out, f->value, more);
	} else if (f->type == LT_WIRE_BYTES) {
		put_long(out, bytes.len + (fuzz_below(&rng, 60) == 0), more);
		lt_buf_put_slice(out, bytes);
	} else {
		lt_buf_put(out, "\1\2\3\4\5\6\7\10", f->type == LT_WIRE_64 ? 8 : 4);
	}
}

/* The message with fields left out, doubled, exchanged, unknown ones, wrong types and numbers longer than need be, on any level. */
static void
distort(struct lt_slice in, unsigned depth, struct lt_buf *out)
{
	struct lt_wire_item f, unknown = { .number = 16 };
	struct lt_reader r;
	size_t start;

	lt_reader_init(&r, in);
	while (lt_wire_step(&r, &f)) {
		struct lt_buf inner = { 0 };
		struct lt_slice bytes = f.bytes;

		if (f.type == LT_WIRE_BYTES && depth > 0 && fuzz_below(&rng, 3) == 0) {
			distort(f.bytes, depth - 1, &inner);
			bytes = lt_buf_slice(&inner);
		}
		start = out->len;
		if (fuzz_below(&rng, 25) != 0)
			put_item(out, &f, bytes);
		if (fuzz_below(&rng, 25) == 0)
			put_item(out, &f, bytes);
		if (fuzz_below(&rng, 40) == 0) {
			unknown.type = (enum lt_wire_type[]){ 0, 1, 2, 5 }[fuzz_below(&rng, 4)];
			unknown.number = 5 + (uint32_t)fuzz_below(&rng, 30);
			put_item(out, &unknown, lt_slice("x", 1));
		}
		if (out->len > start && fuzz_below(&rng, 40) == 0)
			out->data[start + fuzz_below(&rng, out->len - start)] ^=
			    (uint8_t)(1u << fuzz_below(&rng, 8));
		lt_buf_fini(&inner);
	}
	if (r.err != LT_OK)
		lt_buf_put_slice(out, in);
}

/* ---- */

typedef bool ways_fn(struct lt_slice s);

static bool
ways_change(struct lt_slice s)
{
	return fuzz_ways_change(s, NULL);
}

/* Mended, so that what stands behind hash and signature is reached. */
static bool
ways_changeset(struct lt_slice s)
{
	uint8_t *copy = malloc(2 * ROOM);
	bool taken;

	assert_non_null(copy);
	assert_true(s.len <= 2 * ROOM);
	if (s.len != 0)
		memcpy(copy, s.data, s.len);
	taken = fuzz_ways_changeset(lt_slice(copy, fuzz_changeset_fix(copy, s.len, 2 * ROOM)));
	free(copy);
	return taken || fuzz_ways_changeset(s);
}

struct tally {
	size_t taken, refused;
};

static void
judge(ways_fn *fn, struct lt_slice s, struct tally *t)
{
	if (fn(s))
		t->taken++;
	else
		t->refused++;
}

/* Every seed as it is; then mutants of seeds drawn at random. */
static void
run(const struct lt_slice *seed, size_t n, const ProtobufCMessageDescriptor *d, ways_fn *fn,
    size_t mutants)
{
	uint8_t *room = malloc(ROOM);
	struct tally t = { 0, 0 };
	size_t i, k;

	assert_non_null(room);
	for (i = 0; i < n; i++)
		judge(fn, seed[i], &t);
	assert_true(t.taken > 0);
	for (i = 0; i < mutants; i++) {
		struct lt_slice s = seed[fuzz_below(&rng, n)];
		struct lt_buf odd = { 0 };
		size_t len = s.len;

		distort(s, 3, &odd);
		judge(fn, lt_buf_slice(&odd), &t);
		lt_buf_fini(&odd);
		memcpy(room, s.data, s.len);
		for (k = 1 + fuzz_below(&rng, 3); k > 0; k--)
			len = fuzz_pb_mutate(d, room, len, ROOM, &rng);
		judge(fn, lt_slice(room, len), &t);
		if (s.len == 0)
			continue;
		memcpy(room, s.data, s.len);
		room[fuzz_below(&rng, s.len)] ^= (uint8_t)(1u << fuzz_below(&rng, 8));
		judge(fn, lt_slice(room, s.len), &t);
		judge(fn, lt_slice(s.data, fuzz_below(&rng, s.len)), &t);
	}
	/* Neither all good nor all bad: both answers were compared. */
	assert_true(t.taken > mutants / 20 && t.refused > mutants / 20);
	free(room);
}

static void
changes(void **state)
{
	(void)state;
	fuzz_ways_by_hand = 0;
	run(change, nchange, &ltpb__change__descriptor, ways_change, 8000);
	assert_true(fuzz_ways_by_hand > 8000 / 20);
}

static void
field_sets(void **state)
{
	(void)state;
	run(field_set, nfield_set, &ltpb__field_set__descriptor, fuzz_ways_field_set, 20000);
}

static void
changesets(void **state)
{
	(void)state;
	run(changeset, nchangeset, &ltpb__change_set__descriptor, ways_changeset, 1000);
}

/* Every cut, and every bit of the full change: whatever byte decides something is among them. */
static void
each_bit(void **state)
{
	struct lt_slice s = change[nchange - 1];
	uint8_t *room = malloc(s.len);
	size_t i;

	(void)state;
	assert_non_null(room);
	for (i = 0; i <= s.len; i++)
		(void)fuzz_ways_change(lt_slice(s.data, i), NULL);
	memcpy(room, s.data, s.len);
	for (i = 0; i < 8 * s.len; i++) {
		room[i / 8] ^= (uint8_t)(1u << i % 8);
		(void)fuzz_ways_change(lt_slice(room, s.len), NULL);
		room[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	free(room);
}

/* ---- both sides of the limits ---- */

static void
put_field(struct lt_buf *out, uint32_t number, struct lt_slice bytes)
{
	lt_buf_u8(out, (uint8_t)(number << 3 | LT_WIRE_BYTES));
	lt_buf_varint(out, bytes.len);
	lt_buf_put_slice(out, bytes);
}

static struct lt_buf
change_head(void)
{
	struct lt_buf b = { 0 };

	put_field(&b, 1, lt_slice("c", 1));
	put_field(&b, 2, lt_slice("k", 1));
	lt_buf_put(&b, "\x18\x01", 2);
	return b;
}

/* n names a0000, a0001 and so on in field `number`. */
static void
put_names(struct lt_buf *out, uint32_t number, size_t n)
{
	char name[32];
	size_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "a%04zu", i);
		put_field(out, number, lt_slice_str(name));
	}
}

static void
check_change(struct lt_buf *b, bool taken)
{
	assert_int_equal(fuzz_ways_change(lt_buf_slice(b), NULL), taken);
	lt_buf_fini(b);
}

static void
limits_of_lists(void **state)
{
	static const size_t n[] = { 0, 1, LT_FIELDS_MAX, LT_FIELDS_MAX + 1, LT_FIELDS_MAX + 100,
		LT_REPEATED_MAX, LT_REPEATED_MAX + 1 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		struct lt_buf b = change_head();

		put_names(&b, 5, n[i]);
		check_change(&b, n[i] <= LT_FIELDS_MAX);
	}
	for (i = LT_CONTEXT_MAX; i <= LT_CONTEXT_MAX + 1; i++) {
		struct lt_buf b = change_head();

		for (k = 0; k < i; k++) {
			uint8_t e[2 + LT_FEED_LEN + 2] = { 0x0a, LT_FEED_LEN };

			e[2] = (uint8_t)k;
			e[2 + LT_ID_LEN] = LT_LANE_NORMAL;
			e[2 + LT_FEED_LEN] = 0x10;
			e[2 + LT_FEED_LEN + 1] = 1;
			put_field(&b, 6, lt_slice(e, sizeof(e)));
		}
		check_change(&b, i <= LT_CONTEXT_MAX);
	}
}

/* A FieldSet of this Value. */
static void
check_value(struct lt_slice value, bool taken)
{
	struct lt_buf b = { 0 };

	put_field(&b, 1, lt_slice("f", 1));
	put_field(&b, 2, value);
	assert_int_equal(fuzz_ways_field_set(lt_buf_slice(&b)), taken);
	lt_buf_fini(&b);
}

static void
limits_of_values(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool taken;
	} number[] = {
		{ "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, true }, /* 2^64 - 1 */
		{ "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, false },
		{ "\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, true }, /* 0, in ten bytes */
		{ "\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12, false },
		{ "\x20\x00", 2, true },
		{ "\x20\x01", 2, true },
		{ "\x20\x02", 2, false },
		{ "\x28\xb4\xe4\x57", 4, true }, /* 719,130: within */
		{ "\x28\xb3\xe4\x57", 4, true },
		{ "\x28\xff\xff\xff\xff\x0f", 6, false }, /* the least of 32 bits */
		{ "\x28\x80\x80\x80\x80\x10", 6, false }, /* 33 bits */
		{ "\x28\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, false },
		{ "\x1a\x02\x10\x12", 4, true }, /* scale 18 */
		{ "\x1a\x02\x10\x13", 4, false },
		{ "\x1a\x06\x10\x80\x80\x80\x80\x10", 8, false }, /* 2^32 would be 0 */
		{ "\x1a\x00", 2, true },
		{ "\x1a\x04\x10\x01\x10\x01", 6, false }, /* given twice */
		{ "\x10\x01\x10\x01", 4, false },
		{ "\x10\x01\x20\x01", 4, false }, /* two members */
		{ "\x0a\x00", 2, true },
		{ "\x0a\x01\x00", 3, false }, /* NUL */
		{ "\x0a\x02\x61\x00", 4, false },
		{ "\x0a\x02\xc0\x80", 4, false }, /* overlong */
		{ "\x0a\x03\x65\xcc\x81", 5, false }, /* e and an accent: not NFC */
		{ "\x0a\x02\xc3\xa9", 4, true },
		{ "\x42\x03\x65\xcc\x81", 5, false },
		{ "\x4a\x00", 2, true },
		{ "\x4a\x02\x0a\x00", 4, false }, /* an empty item */
		{ "\x4a\x06\x0a\x01\x61\x0a\x01\x62", 8, true },
		{ "\x4a\x06\x0a\x01\x61\x0a\x01\x61", 8, false },
		{ "\x4a\x05\x0a\x03\x61\x00\x62", 7, false },
		{ "\x3a\x00", 2, true },
		{ "\x52\x00", 2, false }, /* unknown, and nothing else */
		{ "\x52\x00\x20\x01", 4, true },
		{ "", 0, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		check_value(lt_slice(number[i].bytes, number[i].len), number[i].taken);
	/* Text, bytes and enumeration: 65,536 bytes. */
	for (i = LT_VALUE_MAX; i <= LT_VALUE_MAX + 1; i++) {
		static const uint32_t member[] = { 1, 7, 8 };
		char *text = malloc(i);
		size_t k;

		assert_non_null(text);
		memset(text, 'x', i);
		for (k = 0; k < 3; k++) {
			struct lt_buf v = { 0 };

			put_field(&v, member[k], lt_slice(text, i));
			check_value(lt_buf_slice(&v), i <= LT_VALUE_MAX);
			lt_buf_fini(&v);
		}
		free(text);
	}
}

/* n items in a set, and as many added; in nset fields of one change. */
static bool
sets_taken(size_t items, size_t added, size_t nset)
{
	struct lt_buf b = change_head();
	char name[32];
	bool taken;
	size_t i;

	for (i = 0; i < nset; i++) {
		struct lt_buf set = { 0 }, value = { 0 }, fs = { 0 };

		put_names(&set, 1, items);
		put_field(&value, 9, lt_buf_slice(&set));
		(void)snprintf(name, sizeof(name), "f%03zu", i);
		put_field(&fs, 1, lt_slice_str(name));
		put_field(&fs, 2, lt_buf_slice(&value));
		put_names(&fs, 3, added);
		put_field(&b, 4, lt_buf_slice(&fs));
		lt_buf_fini(&set);
		lt_buf_fini(&value);
		lt_buf_fini(&fs);
	}
	taken = fuzz_ways_change(lt_buf_slice(&b), NULL);
	lt_buf_fini(&b);
	return taken;
}

static void
limits_of_sets(void **state)
{
	(void)state;
	assert_true(sets_taken(LT_SET_ITEMS_MAX, LT_SET_ITEMS_MAX, 1));
	assert_false(sets_taken(LT_SET_ITEMS_MAX + 1, 0, 1));
	assert_false(sets_taken(1, LT_SET_ITEMS_MAX + 1, 1));
	/* 63 fields, 1,039 items each, are 63 + 65,457 = 65,520 repeated fields; of 8 bytes, 524,160. */
	assert_true(sets_taken(LT_SET_ITEMS_MAX, 15, 63));
	assert_false(sets_taken(LT_SET_ITEMS_MAX, 16, 64));
}

/* A name of 64 bytes, a key of 256, and one more; every byte in either. */
static void
limits_of_names(void **state)
{
	char text[LT_KEY_MAX + 2];
	size_t i, place;

	(void)state;
	memset(text, 'a', sizeof(text));
	for (i = 0; i < 3; i++)
		for (place = 0; place < 4; place++) {
			size_t max = place == 1 ? LT_KEY_MAX : LT_NAME_MAX;
			size_t len = i == 0 ? 0 : max + i - 1;
			struct lt_buf b = { 0 };

			put_field(&b, 1, place == 0 ? lt_slice(text, len) : lt_slice("c", 1));
			put_field(&b, 2, place == 1 ? lt_slice(text, len) : lt_slice("k", 1));
			lt_buf_put(&b, "\x18\x01", 2);
			if (place > 1)
				put_field(&b, place == 2 ? 5 : 7, lt_slice(text, len));
			/* A personal field wants a root, which a push may leave out. */
			check_change(&b, i == 1);
		}
	for (i = 0; i < 512; i++) {
		uint8_t c = (uint8_t)i;
		bool letter = (c >= 'a' && c <= 'z') || c == '_';
		bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z';
		struct lt_buf b = { 0 };

		memset(text, 'a', 2);
		text[i < 256 ? 0 : 1] = (char)c;
		put_field(&b, 1, lt_slice(text, 2));
		put_field(&b, 2, lt_slice("k", 1));
		lt_buf_put(&b, "\x18\x01", 2);
		check_change(&b, letter || (digit && i >= 256));
		b = (struct lt_buf){ 0 };
		put_field(&b, 1, lt_slice("c", 1));
		put_field(&b, 2, lt_slice(text, 2));
		lt_buf_put(&b, "\x18\x01", 2);
		check_change(
		    &b, letter || digit || upper || (c != 0 && strchr("._~%/-", c) != NULL));
	}
}

/* The openings of a real change-set with something behind them. */
static void
odd_openings(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool taken;
	} more[] = {
		{ "", 0, true },
		{ "\x18\x01", 2, true }, /* unknown */
		{ "\x82\x01\x00", 3, true },
		{ "\x1b\x1c", 2, false }, /* a group */
		{ "\x12\x00", 2, false }, /* one more opening */
		{ "\x12\x06\x08\x80\x80\x80\x80\x10", 8, false }, /* of change 2^32 */
		{ "\x12\x06\x08\xff\xff\xff\xff\x0f", 8, false },
		{ "\x12\x04\x08\x00\x08\x00", 6, false },
		{ "\x12\x03\x12\x01\xff", 5, false }, /* its name is not UTF-8 */
		{ "\x12\x01\x12", 3, false },
		{ "\x12\x02\x12\x01", 4, false },
		{ "\x0a\x00", 2, false }, /* a second seed */
		{ "\x12", 1, false },
	};
	struct lt_arena arena;
	struct lt_changeset cs;
	size_t i, k;

	(void)state;
	lt_arena_init(&arena, ROOM * 64);
	for (i = 0; i < nchangeset; i++)
		if (lt_changeset_parse(changeset[i], &arena, &cs, NULL) == LT_OK &&
		    cs.nopening > 1 && cs.seed.len != 0)
			break;
	assert_true(i < nchangeset);
	for (k = 0; k < sizeof(more) / sizeof(more[0]); k++) {
		struct lt_buf whole = { 0 }, openings = { 0 };
		struct lt_wire_item f;
		struct lt_reader r;

		lt_reader_init(&r, changeset[i]);
		while (lt_wire_step(&r, &f))
			if (f.number == CS_OPENINGS)
				lt_buf_put_slice(&openings, f.bytes);
		lt_buf_put(&openings, more[k].bytes, more[k].len);
		assert_int_equal(lt_changeset_strip(&cs, &whole), LT_OK);
		put_field(&whole, CS_OPENINGS, lt_buf_slice(&openings));
		assert_int_equal(fuzz_ways_changeset(lt_buf_slice(&whole)), more[k].taken);
		lt_buf_fini(&whole);
		lt_buf_fini(&openings);
	}
	lt_arena_fini(&arena);
}

/* A push with all its roots whose values are other ones is well-formed, and not true. */
static void
other_values(void **state)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	size_t i, found = 0;

	(void)state;
	lt_arena_init(&arena, ROOM * 64);
	for (i = 0; i < nchangeset; i++) {
		struct lt_err err = { "" };

		lt_arena_recycle(&arena, ROOM * 64);
		if (lt_changeset_parse(changeset[i], &arena, &cs, NULL) != LT_OK ||
		    cs.nopening == 0 || cs.seed.len == 0 ||
		    lt_changeset_verify_openings(&cs, NULL) != LT_OK)
			continue;
		((uint8_t *)(uintptr_t)cs.seed.data)[5] ^= 1;
		assert_int_equal(
		    lt_changeset_parse_lean(changeset[i], &arena, &arena, &cs, &err), LT_OK);
		assert_int_equal(lt_changeset_verify_openings(&cs, &err), LT_E_BADHASH);
		assert_non_null(strstr(err.text, "an opening is not what was signed"));
		((uint8_t *)(uintptr_t)cs.seed.data)[5] ^= 1;
		assert_int_equal(
		    lt_changeset_parse_lean(changeset[i], &arena, &arena, &cs, &err), LT_OK);
		assert_int_equal(lt_changeset_verify_openings(&cs, &err), LT_OK);
		found++;
	}
	assert_true(found > 0);
	lt_arena_fini(&arena);
}

/* Where memory ends: what fits is read, and no one is told that a good change is malformed. */
static void
little_memory(void **state)
{
	struct lt_slice s = change[nchange - 1];
	size_t cap;
	int rc = LT_E_NOMEM;

	(void)state;
	for (cap = 0; rc != LT_OK; cap += 16) {
		struct lt_err err = { "" };
		struct lt_arena arena;
		struct lt_change c;

		assert_true(cap < 64 * s.len);
		lt_arena_init(&arena, cap);
		rc = lt_change_decode(s, NULL, &arena, &c, &err);
		assert_true(rc == LT_OK || (rc == LT_E_NOMEM && err.text[0] != '\0'));
		lt_arena_fini(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),
		cmocka_unit_test(field_sets),
		cmocka_unit_test(changesets),
		cmocka_unit_test(each_bit),
		cmocka_unit_test(limits_of_lists),
		cmocka_unit_test(limits_of_values),
		cmocka_unit_test(limits_of_sets),
		cmocka_unit_test(limits_of_names),
		cmocka_unit_test(odd_openings),
		cmocka_unit_test(other_values),
		cmocka_unit_test(little_memory),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
