/* The read audit's formats: what is read is what was written, in one spelling; anything else is refused without harm. */
#include "proto/feed/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
sample_entry(struct lt_audit_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->kind = LT_AUDIT_READ;
	e->seq = 7;
	e->time_ms = 1790000000000;
	e->until_ms = 1790000000001;
	e->count = 2;
	e->who.kind = LT_AUDIT_LOCAL;
	e->who.uid = 1000;
	memcpy(e->method, "/lienthong.v1.Query/Get", 24);
	e->status = 5;
	memset(e->query.b, 9, LT_HASH_LEN);
}

static void
sample_part(struct lt_audit_part *p)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->unit, "17254", 6);
	p->no = 3;
	p->rows = 1;
	p->ncollection = 2;
	memcpy(p->collection[0], "dossier", 8);
	memcpy(p->collection[1], "proposal", 9);
}

static void
sample_full(struct lt_buf *b)
{
	uint8_t salt[LT_AUDIT_SALT] = { 1 }, part_salt[LT_AUDIT_SALT];
	struct lt_audit_entry e;
	struct lt_audit_part p;
	struct lt_buf part = { 0 }, entry = { 0 };

	sample_entry(&e);
	sample_part(&p);
	lt_audit_part_put(&part, &p);
	lt_audit_part_salt(salt, 0, part_salt);
	lt_audit_leaf(part_salt, lt_buf_slice(&part), &e.parts_root);
	e.nparts = 1;
	lt_audit_entry_put(&entry, &e);
	lt_buf_framed(b, lt_buf_slice(&entry));
	lt_buf_put(b, salt, sizeof(salt));
	lt_buf_framed(b, lt_buf_slice(&part));
	lt_buf_fini(&part);
	lt_buf_fini(&entry);
}

static void
sample_head(struct lt_buf *b)
{
	struct lt_audit_head h = { .key_no = 1, .log = 2, .no = 3, .first = 4, .count = 5 };

	lt_audit_head_put(b, &h);
}

static void
sample_start(struct lt_buf *b)
{
	struct lt_audit_start s = { .key_no = 1,
		.certificate = lt_slice("cert", 4),
		.log = 2,
		.segment = 3,
		.next_seq = 4,
		.next_head = 5 };

	lt_audit_start_put(b, &s);
}

enum what { ENTRY, PART, FULL, HEAD, START, NWHAT };

static void
sample(enum what w, struct lt_buf *b)
{
	struct lt_audit_entry e;
	struct lt_audit_part p;

	lt_buf_clear(b);
	switch (w) {
	case ENTRY:
		sample_entry(&e);
		lt_audit_entry_put(b, &e);
		break;
	case PART:
		sample_part(&p);
		lt_audit_part_put(b, &p);
		break;
	case FULL:
		sample_full(b);
		break;
	case HEAD:
		sample_head(b);
		break;
	default:
		sample_start(b);
	}
}

/* Read it; where it is read, write it again into out. */
static int
again(enum what w, struct lt_slice in, struct lt_buf *out)
{
	struct lt_audit_entry e;
	struct lt_audit_part p;
	struct lt_audit_full f;
	struct lt_audit_head h;
	struct lt_audit_start s;
	int rc;

	lt_buf_clear(out);
	switch (w) {
	case ENTRY:
		rc = lt_audit_entry_read(in, &e);
		if (rc == LT_OK)
			lt_audit_entry_put(out, &e);
		return rc;
	case PART:
		rc = lt_audit_part_read(in, &p);
		if (rc == LT_OK)
			lt_audit_part_put(out, &p);
		return rc;
	case FULL:
		rc = lt_audit_full_read(in, &f);
		if (rc != LT_OK)
			return rc;
		lt_buf_framed(out, f.bytes);
		lt_buf_put(out, f.salt, LT_AUDIT_SALT);
		lt_buf_put_slice(out, f.parts);
		return rc;
	case HEAD:
		rc = lt_audit_head_read(in, &h);
		if (rc == LT_OK)
			lt_audit_head_put(out, &h);
		return rc;
	default:
		rc = lt_audit_start_read(in, &s);
		if (rc == LT_OK)
			lt_audit_start_put(out, &s);
		return rc;
	}
}

static void
test_as_written(void **state)
{
	struct lt_buf b = { 0 }, out = { 0 };
	int w;

	(void)state;
	for (w = 0; w < NWHAT; w++) {
		sample((enum what)w, &b);
		assert_int_equal(again((enum what)w, lt_buf_slice(&b), &out), LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&b), lt_buf_slice(&out)));
	}
	lt_buf_fini(&b);
	lt_buf_fini(&out);
}

/* Each length, in memory of its own, so that a byte read beyond is found. A start ends with its table, which it does not read. */
static void
test_cut_off(void **state)
{
	struct lt_buf b = { 0 }, out = { 0 };
	size_t n;
	int w;

	(void)state;
	for (w = 0; w < NWHAT; w++) {
		sample((enum what)w, &b);
		for (n = 0; n < b.len; n++) {
			uint8_t *own = malloc(n + 1);

			assert_non_null(own);
			memcpy(own + 1, b.data, n);
			assert_int_equal(
			    again((enum what)w, lt_slice(own + 1, n), &out), LT_E_INVALID);
			free(own);
		}
		lt_buf_u8(&b, 0);
		assert_true(
		    w == START || again((enum what)w, lt_buf_slice(&b), &out) == LT_E_INVALID);
	}
	lt_buf_fini(&b);
	lt_buf_fini(&out);
}

/* Any bytes: refused, or what they say is what they are. */
static void
test_any_bytes(void **state)
{
	struct lt_buf b = { 0 }, out = { 0 };
	uint64_t x = 88172645463325252u;
	unsigned i, k, took = 0;
	int w;

	(void)state;
	for (i = 0; i < 200000; i++) {
		w = (int)(i % NWHAT);
		sample((enum what)w, &b);
		for (k = 0; k < 1 + i % 4; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			b.data[(x >> 16) % b.len] = (uint8_t)x;
		}
		if (again((enum what)w, lt_buf_slice(&b), &out) != LT_OK)
			continue;
		took++;
		if (!lt_slice_eq(lt_buf_slice(&b), lt_buf_slice(&out)))
			fail_msg("two spellings of one %d", w);
	}
	assert_true(took > 1000);
	lt_buf_fini(&b);
	lt_buf_fini(&out);
}

static void
test_frames(void **state)
{
	struct lt_buf b = { 0 };
	enum lt_audit_frame type;
	struct lt_slice payload;
	size_t used, n;

	(void)state;
	lt_audit_frame_put(&b, LT_AUDIT_ENTRY, lt_slice("abc", 3));
	assert_int_equal(b.len, 4 + 1 + 3 + 8);
	assert_int_equal(lt_audit_frame_read(lt_buf_slice(&b), &type, &payload, &used), LT_OK);
	assert_int_equal(used, b.len);
	assert_int_equal(type, LT_AUDIT_ENTRY);
	assert_memory_equal(payload.data, "abc", 3);
	for (n = 0; n < b.len; n++)
		assert_int_equal(
		    lt_audit_frame_read(lt_slice(b.data, n), &type, &payload, &used), LT_E_GAP);
	for (n = 4; n < b.len; n++) {
		b.data[n] ^= 1;
		assert_int_equal(
		    lt_audit_frame_read(lt_buf_slice(&b), &type, &payload, &used), LT_E_CORRUPT);
		b.data[n] ^= 1;
	}
	/* A length that is none costs nothing. */
	lt_store_u32(b.data, LT_AUDIT_FRAME_MAX + 1);
	assert_int_equal(
	    lt_audit_frame_read(lt_buf_slice(&b), &type, &payload, &used), LT_E_CORRUPT);
	lt_store_u32(b.data, LT_AUDIT_FRAME_MAX);
	assert_int_equal(lt_audit_frame_read(lt_buf_slice(&b), &type, &payload, &used), LT_E_GAP);
	lt_buf_fini(&b);
}

/* A chain is given any frames in any order: it refuses, and does no harm. */
static void
test_chain_of_anything(void **state)
{
	static const uint8_t root[32];
	struct lt_buf b = { 0 }, s = { 0 };
	uint64_t x = 1234567;
	unsigned i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		static const enum lt_audit_frame types[] = { LT_AUDIT_START, LT_AUDIT_ENTRY,
			LT_AUDIT_HEAD, (enum lt_audit_frame)'X' };
		struct lt_audit_chain c = { .begun = i % 2 == 1 };
		struct lt_err err = { "" };

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sample((enum what)(x % NWHAT), &b);
		lt_buf_clear(&s);
		lt_buf_framed(&s, lt_buf_slice(&b));
		lt_buf_put(&s, "01234567890123456789012345678901234567890123456789012345678901234",
		    LT_SIG_LEN);
		s.data[(x >> 20) % s.len] ^= (uint8_t)(x >> 40);
		c.next_seq = 1;
		assert_int_not_equal(
		    lt_audit_chain_add(&c, types[(x >> 8) % 4],
			(x >> 12) % 2 == 0 ? lt_buf_slice(&s) : lt_buf_slice(&b), root, &err),
		    LT_OK);
		assert_true(err.text[0] != '\0');
		lt_audit_chain_fini(&c);
	}
	lt_buf_fini(&b);
	lt_buf_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_written),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_chain_of_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
