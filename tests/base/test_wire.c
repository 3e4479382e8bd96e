#include "tests/base/base_test.h"

#include "proto/base/limits.h"
#include "proto/base/wire.h"

#include "lienthong/v1/changeset.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "tests/base/wire.pb-c.h"

#define SHAPE (&lttest__shape__descriptor)
#define DEEP (&lttest__deep__descriptor)

static struct lt_slice
from_hex(const char *hex, uint8_t *bytes, size_t cap)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= cap);
	assert_int_equal(lt_unhex(bytes, n, hex), LT_OK);
	return lt_slice(bytes, n);
}

static const struct {
	const char *descr;
	const char *hex;
	int want;
} shapes[] = {
	{ "nothing", "", LT_OK },

	{ "int32 1", "0801", LT_OK },
	{ "int32 -1, ten bytes", "08ffffffffffffffffff01", LT_OK },
	{ "int32 2^31 - 1", "08ffffffff07", LT_OK },
	{ "int32 2^31", "088080808008", LT_E_INVALID },
	{ "int32 -2^31", "0880808080f8ffffffff01", LT_OK },
	{ "int32 -2^31 - 1", "08fffffffff7ffffffff01", LT_E_INVALID },
	{ "int64 -1", "10ffffffffffffffffff01", LT_OK },
	{ "int64 above 64 bits", "10ffffffffffffffffff02", LT_E_INVALID },
	{ "int64 in eleven bytes", "108080808080808080808000", LT_E_INVALID },
	{ "int64 cut", "1080", LT_E_INVALID },
	{ "int64 missing", "10", LT_E_INVALID },
	{ "uint32 2^32 - 1", "18ffffffff0f", LT_OK },
	{ "uint32 2^32", "188080808010", LT_E_INVALID },
	{ "uint32 0 in ten bytes", "1880808080808080808000", LT_OK },
	{ "uint64 2^64 - 1", "20ffffffffffffffffff01", LT_OK },
	{ "sint32 -2^31", "28ffffffff0f", LT_OK },
	{ "sint32 above 32 bits", "288080808010", LT_E_INVALID },
	{ "sint64 -2^63", "30ffffffffffffffffff01", LT_OK },
	{ "fixed32", "3d01020304", LT_OK },
	{ "fixed32 cut", "3d010203", LT_E_INVALID },
	{ "fixed64", "410102030405060708", LT_OK },
	{ "fixed64 cut", "4101020304050607", LT_E_INVALID },
	{ "sfixed32", "4d01020304", LT_OK },
	{ "sfixed64", "510102030405060708", LT_OK },
	{ "float", "5d0000803f", LT_OK },
	{ "double", "61000000000000f03f", LT_OK },
	{ "bool 0", "6800", LT_OK },
	{ "bool 1", "6801", LT_OK },
	{ "bool 2", "6802", LT_E_INVALID },
	{ "bool 2^32", "688080808010", LT_E_INVALID },

	{ "enumeration 0", "7000", LT_OK },
	{ "enumeration 7", "7007", LT_OK },
	{ "enumeration 2, a gap", "7002", LT_E_INVALID },
	{ "enumeration 8, after the last", "7008", LT_E_INVALID },
	{ "enumeration -1", "70ffffffffffffffffff01", LT_E_INVALID },
	{ "enumeration 2^32 + 1, cut it is 1", "708180808010", LT_E_INVALID },

	{ "text", "7a026162", LT_OK },
	{ "empty text", "7a00", LT_OK },
	{ "Vietnamese text", "7a03e1bb87", LT_OK },
	{ "text with a NUL", "7a03610062", LT_E_INVALID },
	{ "text not UTF-8", "7a02c328", LT_E_INVALID },
	{ "text overlong", "7a02c080", LT_E_INVALID },
	{ "text surrogate", "7a03eda080", LT_E_INVALID },
	{ "text one byte beyond the end", "7a036162", LT_E_INVALID },
	{ "text without length", "7a", LT_E_INVALID },
	{ "bytes with a NUL, not UTF-8", "82010300ff00", LT_OK },
	{ "length 2^31 - 1", "8201ffffffff07", LT_E_INVALID },
	{ "length 2^32 - 1", "8201ffffffff0f", LT_E_INVALID },
	{ "length 2^32 + 1, cut it is 1", "8201818080801000", LT_E_INVALID },
	{ "length 2^63", "820180808080808080808001", LT_E_INVALID },
	{ "length 2^64 - 1", "8201ffffffffffffffffff01", LT_E_INVALID },
	{ "length 0 in six bytes", "8201808080808000", LT_E_INVALID },
	{ "length 0 in five bytes", "82018080808000", LT_OK },

	{ "sub-message", "8a01021805", LT_OK },
	{ "empty sub-message", "8a0100", LT_OK },
	{ "sub-message cut inside", "8a010118", LT_E_INVALID },
	{ "sub-message beyond the end", "8a01031805", LT_E_INVALID },
	{ "field of the sub-message runs over its end", "8a0103120500", LT_E_INVALID },

	{ "packed", "920103018001", LT_OK },
	{ "packed, nothing", "920100", LT_OK },
	{ "packed field unpacked", "90010190010290012c", LT_OK },
	{ "packed last one cut", "9201020180", LT_E_INVALID },
	{ "packed above 32 bits", "9201058080808010", LT_E_INVALID },
	{ "packed beyond the end", "92010401", LT_E_INVALID },
	{ "unpacked field packed", "9a01020102", LT_OK },
	{ "unpacked", "98010198012c", LT_OK },
	{ "words", "a2010161a20100a20103e1bb87", LT_OK },
	{ "words, the second with a NUL", "a2010161a2010100", LT_E_INVALID },
	{ "blobs", "aa0100aa0101ff", LT_OK },
	{ "enumerations packed", "b20103000107", LT_OK },
	{ "enumerations packed, one unknown", "b20103000207", LT_E_INVALID },
	{ "enumerations unpacked, one unknown", "b00101b00102", LT_E_INVALID },
	{ "fixed32 packed", "ba01080102030405060708", LT_OK },
	{ "fixed32 packed, 7 bytes", "ba010701020304050607", LT_E_INVALID },
	{ "truths packed", "c201020001", LT_OK },
	{ "truths packed, one is 2", "c201020002", LT_E_INVALID },
	{ "words as numbers", "a00101", LT_E_INVALID },

	{ "twice", "08010801", LT_E_INVALID },
	{ "twice with others between", "080110010801", LT_E_INVALID },
	{ "text twice", "7a007a00", LT_E_INVALID },
	{ "sub-message twice, protobuf would merge", "8a01008a0100", LT_E_INVALID },
	{ "order does not matter", "10010801", LT_OK },
	{ "one member", "f20100", LT_OK },
	{ "two members of one group", "f20100f80101", LT_E_INVALID },
	{ "two members, a message between", "820200f20100", LT_E_INVALID },
	{ "one member twice", "f80101f80101", LT_E_INVALID },
	{ "members of two groups", "f80101880201", LT_OK },
	{ "two members of the other group", "880201900201", LT_E_INVALID },

	{ "number as fixed32", "0d01020304", LT_E_INVALID },
	{ "number as fixed64", "090102030405060708", LT_E_INVALID },
	{ "single number as packed", "0a0101", LT_E_INVALID },
	{ "text as number", "7801", LT_E_INVALID },
	{ "text as fixed32", "7d01020304", LT_E_INVALID },
	{ "fixed32 as number", "3801", LT_E_INVALID },
	{ "fixed32 as fixed64", "390102030405060708", LT_E_INVALID },
	{ "sub-message as number", "880101", LT_E_INVALID },

	{ "unknown number", "a006ffffffffffffffffff01", LT_OK },
	{ "unknown number cut", "a00680", LT_E_INVALID },
	{ "unknown number above 64 bits", "a006ffffffffffffffffff02", LT_E_INVALID },
	{ "unknown fixed64", "a1060102030405060708", LT_OK },
	{ "unknown fixed64 cut", "a10601020304050607", LT_E_INVALID },
	{ "unknown bytes", "a2060200ff", LT_OK },
	{ "unknown bytes beyond the end", "a2060300ff", LT_E_INVALID },
	{ "unknown bytes, length 2^63", "a20680808080808080808001", LT_E_INVALID },
	{ "unknown fixed32", "a50601020304", LT_OK },
	{ "unknown fixed32 cut", "a506010203", LT_E_INVALID },
	{ "unknown twice", "a00601a00601", LT_OK },
	{ "unknown in a sub-message", "8a0103a00601", LT_OK },

	{ "group", "0b0c", LT_E_INVALID },
	{ "end of group", "0c", LT_E_INVALID },
	{ "unknown group", "a306a406", LT_E_INVALID },
	{ "wire type 6", "0e", LT_E_INVALID },
	{ "wire type 7", "0f", LT_E_INVALID },
	{ "unknown with wire type 7", "a706", LT_E_INVALID },
	{ "field number 0", "0001", LT_E_INVALID },
	{ "field number 0 in five bytes", "808080800001", LT_E_INVALID },
	{ "field number 2^29 - 1", "f8ffffff0f01", LT_OK },
	{ "field number 2^29, cut it is 0", "808080801001", LT_E_INVALID },
	{ "field number 2^29 + 1, cut it is 1", "888080801001", LT_E_INVALID },
	{ "tag in six bytes", "88808080800001", LT_E_INVALID },
	{ "tag in five bytes", "888080800001", LT_OK },
	{ "tag cut", "88", LT_E_INVALID },
	{ "tag without end", "ffffffffffffffffffff", LT_E_INVALID },
};

/* What is built is what protobuf-c itself reads, down to what it does not know: packed again, the same bytes. */
static void
same_as_protobuf_c(
    const ProtobufCMessageDescriptor *d, const ProtobufCMessage *ours, struct lt_slice s)
{
	ProtobufCMessage *theirs = protobuf_c_message_unpack(d, NULL, s.len, s.data);
	struct lt_buf a = { 0 }, b = { 0 };

	assert_non_null(theirs);
	assert_int_equal(lt_wire_pack(ours, LT_MESSAGE_MAX, &a), LT_OK);
	assert_int_equal(lt_wire_pack(theirs, LT_MESSAGE_MAX, &b), LT_OK);
	assert_int_equal(ours->n_unknown_fields, theirs->n_unknown_fields);
	assert_true(lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&b)));
	protobuf_c_message_free_unpacked(theirs, NULL);
	lt_buf_fini(&a);
	lt_buf_fini(&b);
}

/* What the walker lets through must unpack: the two may not read a message differently. */
static void
each_shape_has_its_answer(void **state)
{
	uint8_t bytes[64];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++) {
		struct lt_slice s = from_hex(shapes[i].hex, bytes, sizeof(bytes));
		ProtobufCMessage *msg = NULL;
		struct lt_err err = { "" };
		struct lt_arena a;
		int rc = lt_wire_check(SHAPE, s, 1000, &err);

		if (rc != shapes[i].want)
			fail_msg("%s: %d %s", shapes[i].descr, rc, err.text);
		assert_int_equal(rc == LT_OK, err.text[0] == '\0');
		assert_int_equal(lt_wire_check(SHAPE, s, 1000, NULL), rc);
		lt_arena_init(&a, 65536);
		if (lt_wire_unpack(SHAPE, s, 1000, &a, &msg, NULL) != rc)
			fail_msg("%s: unpacking differs", shapes[i].descr);
		assert_int_equal(rc == LT_OK, msg != NULL);
		if (msg != NULL)
			same_as_protobuf_c(SHAPE, msg, s);
		lt_arena_fini(&a);
	}
}

static void
messages_name_field_and_message(void **state)
{
	uint8_t bytes[8];
	struct lt_err err;

	(void)state;
	assert_int_equal(lt_wire_check(SHAPE, from_hex("7a0100", bytes, 8), 8, &err), LT_E_INVALID);
	assert_non_null(strstr(err.text, "\"text\""));
	assert_non_null(strstr(err.text, "\"lienthong.test.Shape\""));
}

static void
length_limit_is_exact(void **state)
{
	static const uint8_t one[] = { 0x08, 0x01 };
	struct lt_err err;

	(void)state;
	assert_int_equal(lt_wire_check(SHAPE, lt_slice(one, 2), 2, &err), LT_OK);
	assert_int_equal(lt_wire_check(SHAPE, lt_slice(one, 2), 1, &err), LT_E_TOOBIG);
	assert_int_equal(lt_wire_check(SHAPE, lt_slice(NULL, 0), 0, &err), LT_OK);
	/* the length is looked at before the bytes */
	assert_int_equal(
	    lt_wire_check(SHAPE, lt_slice(NULL, SIZE_MAX), 1 << 20, &err), LT_E_TOOBIG);
}

/* Deep.inner (field 1) around itself, depth levels in all. The caller frees. */
static uint8_t *
nest(unsigned depth, uint8_t tag, size_t *len)
{
	size_t cap = (size_t)depth * 5 + 16, at = cap, inside;
	uint8_t *p = calloc(1, cap);
	struct lt_buf b = { 0 };

	assert_non_null(p);
	while (depth-- > 1) {
		inside = cap - at;
		lt_buf_clear(&b);
		lt_buf_u8(&b, tag);
		lt_buf_varint(&b, inside);
		at -= b.len;
		memcpy(p + at, b.data, b.len);
	}
	lt_buf_fini(&b);
	*len = cap - at;
	memmove(p, p + at, *len);
	return p;
}

/* LT_DEPTH_MAX levels and no more, in single and in repeated fields; and no deeper recursion for
 * what is unknown, however often it is wrapped. */
static void
nesting(void **state)
{
	static const struct {
		unsigned depth;
		uint8_t tag;
		int want;
	} cases[] = {
		{ 1, 0x0a, LT_OK },
		{ LT_DEPTH_MAX, 0x0a, LT_OK },
		{ LT_DEPTH_MAX + 1, 0x0a, LT_E_TOOBIG },
		{ 10000, 0x0a, LT_E_TOOBIG },
		{ LT_DEPTH_MAX, 0x12, LT_OK },
		{ LT_DEPTH_MAX + 1, 0x12, LT_E_TOOBIG },
		{ 200000, 0x12, LT_E_TOOBIG },
		{ 10000, 0x72, LT_OK }, /* field 14 is unknown */
		{ 200000, 0x72, LT_OK },
	};
	struct lt_arena a;
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uint8_t *p = nest(cases[i].depth, cases[i].tag, &len);
		ProtobufCMessage *msg;

		assert_true(len <= LT_MESSAGE_MAX);
		lt_arena_init(&a, lt_arena_cap_for(len));
		assert_int_equal(
		    lt_wire_unpack(DEEP, lt_slice(p, len), LT_MESSAGE_MAX, &a, &msg, NULL),
		    cases[i].want);
		lt_arena_fini(&a);
		free(p);
	}
}

static void
repeat(struct lt_buf *b, const char *hex, size_t times)
{
	uint8_t bytes[16];
	struct lt_slice s = from_hex(hex, bytes, sizeof(bytes));

	lt_buf_clear(b);
	while (times-- > 0)
		lt_buf_put_slice(b, s);
	assert_int_equal(b->err, LT_OK);
}

/* Whatever is repeated or unknown counts, all together, and the limit is exact. */
static void
repeats_are_counted(void **state)
{
	static const char *const pieces[] = {
		"1200", /* Deep.many, empty */
		"9a0600", /* unknown bytes */
		"980601", /* unknown number */
		"18011200", /* a field that may stand once is not counted, but may stand once */
	};
	struct lt_buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		repeat(&b, pieces[i], LT_REPEATED_MAX);
		assert_int_equal(
		    lt_wire_check(DEEP, lt_buf_slice(&b), LT_MESSAGE_MAX, NULL), LT_OK);
		repeat(&b, pieces[i], LT_REPEATED_MAX + 1);
		assert_int_equal(
		    lt_wire_check(DEEP, lt_buf_slice(&b), LT_MESSAGE_MAX, NULL), LT_E_TOOBIG);
	}
	repeat(&b, pieces[3], 2);
	assert_int_equal(lt_wire_check(DEEP, lt_buf_slice(&b), LT_MESSAGE_MAX, NULL), LT_E_INVALID);
	lt_buf_fini(&b);
}

static void
packed_numbers_are_counted(void **state)
{
	struct lt_buf b = { 0 };
	size_t n;

	(void)state;
	/* the packed field itself is one occurrence, then each number */
	for (n = LT_REPEATED_MAX - 2; n <= LT_REPEATED_MAX; n++) {
		size_t i;

		lt_buf_clear(&b);
		lt_buf_put(&b, "\x92\x01", 2);
		lt_buf_varint(&b, n);
		for (i = 0; i < n; i++)
			lt_buf_u8(&b, 1);
		assert_int_equal(lt_wire_check(SHAPE, lt_buf_slice(&b), LT_MESSAGE_MAX, NULL),
		    n < LT_REPEATED_MAX ? LT_OK : LT_E_TOOBIG);
	}
	lt_buf_fini(&b);
}

/* 976 KiB of empty sub-messages, 50 MB once unpacked: refused before they cost memory. */
static void
empty_messages_cost_no_memory(void **state)
{
	struct lt_buf b = { 0 };
	ProtobufCMessage *msg;
	struct lt_arena a;

	(void)state;
	repeat(&b, "1200", 976 * 1024 / 2);
	lt_arena_init(&a, lt_arena_cap_for(b.len));
	assert_int_equal(
	    lt_wire_unpack(DEEP, lt_buf_slice(&b), LT_MESSAGE_MAX, &a, &msg, NULL), LT_E_TOOBIG);
	assert_int_equal(a.used, 0);
	lt_arena_fini(&a);
	/* as many as are allowed: an arena that is too small stays within its cap */
	repeat(&b, "1200", LT_REPEATED_MAX);
	lt_arena_init(&a, 1 << 20);
	assert_int_equal(
	    lt_wire_unpack(DEEP, lt_buf_slice(&b), LT_MESSAGE_MAX, &a, &msg, NULL), LT_E_NOMEM);
	assert_true(a.used <= 1 << 20);
	lt_arena_fini(&a);
	lt_buf_fini(&b);
}

/* Every kind of field once; written by hand from the schema. */
static const char full[] = "08ffffffffffffffffff01"
			   "1002"
			   "1803"
			   "2004"
			   "2805"
			   "3006"
			   "3d07000000"
			   "410800000000000000"
			   "4d09000000"
			   "510a00000000000000"
			   "5d0000803f"
			   "61000000000000f03f"
			   "6801"
			   "7007"
			   "7a06e1bb8761c3aa"
			   "82010300ff00"
			   "8a01060a0218011200"
			   "920103018001"
			   "980105980106"
			   "a2010161a20103e1bb87"
			   "aa0100aa0101ff"
			   "b20103000107"
			   "ba010801020304050607"
			   "08"
			   "c201020001"
			   "f2010178"
			   "880201"
			   "a00601"
			   "a2060161";

static void
the_full_message_unpacks_as_written(void **state)
{
	uint8_t bytes[300];
	struct lt_slice s = from_hex(full, bytes, sizeof(bytes));
	ProtobufCMessage *msg = NULL;
	struct lt_err err = { "" };
	struct lt_arena a;
	Lttest__Shape *m;

	(void)state;
	lt_arena_init(&a, lt_arena_cap_for(s.len));
	if (lt_wire_unpack(SHAPE, s, s.len, &a, &msg, &err) != LT_OK)
		fail_msg("%s", err.text);
	m = (Lttest__Shape *)msg;
	assert_int_equal(m->i32, -1);
	assert_int_equal(m->s32, -3);
	assert_true(m->sf64 == 10);
	assert_int_equal(m->colour, LTTEST__COLOUR__COLOUR_BLUE);
	assert_string_equal(m->text, "ệaê");
	assert_int_equal(m->raw.len, 3);
	assert_int_equal(m->deep->inner->n, 1);
	assert_int_equal(m->deep->n_many, 1);
	assert_int_equal(m->n_numbers, 2);
	assert_int_equal(m->numbers[1], 128);
	assert_int_equal(m->n_loose, 2);
	assert_int_equal(m->n_words, 2);
	assert_int_equal(m->n_blobs, 2);
	assert_int_equal(m->n_colours, 3);
	assert_int_equal(m->n_fixed, 2);
	assert_int_equal(m->n_flags, 2);
	assert_int_equal(m->pick_case, LTTEST__SHAPE__PICK_A);
	assert_string_equal(m->a, "x");
	assert_int_equal(m->other_case, LTTEST__SHAPE__OTHER_D);
	assert_int_equal(msg->n_unknown_fields, 2);
	lt_arena_fini(&a);
}

/* The walker's yes binds: protobuf-c must take it too, and any copy is exact memory, so that a
 * read beyond the end is seen by the sanitizer. Returns whether it passed. */
static bool
probe(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	ProtobufCMessage *msg = NULL;
	struct lt_arena a;
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	lt_arena_init(&a, 1 << 20);
	rc = lt_wire_unpack(d, lt_slice(copy, len), LT_MESSAGE_MAX, &a, &msg, NULL);
	assert_true(rc == LT_OK || rc == LT_E_INVALID || rc == LT_E_TOOBIG);
	assert_int_equal(rc == LT_OK, msg != NULL);
	assert_int_equal(lt_wire_check(d, lt_slice(copy, len), LT_MESSAGE_MAX, NULL), rc);
	if (msg != NULL)
		same_as_protobuf_c(d, msg, lt_slice(copy, len));
	lt_arena_fini(&a);
	free(copy);
	return rc == LT_OK;
}

/* Cut anywhere: whole only where a field ends. */
static void
cut_at_every_byte(void **state)
{
	uint8_t bytes[300];
	struct lt_slice s = from_hex(full, bytes, sizeof(bytes));
	unsigned whole = 0;
	size_t n;

	(void)state;
	for (n = 0; n <= s.len; n++)
		whole += probe(SHAPE, bytes, n);
	/* 31 fields end, and nothing at all is a message too */
	assert_int_equal(whole, 32);
}

static void
every_bit_flipped(void **state)
{
	uint8_t bytes[300];
	struct lt_slice s = from_hex(full, bytes, sizeof(bytes));
	size_t i;

	(void)state;
	for (i = 0; i < s.len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		(void)probe(SHAPE, bytes, s.len);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(probe(SHAPE, bytes, s.len));
}

static uint32_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* 200,000 damaged messages from a fixed seed: bytes changed, cut out, doubled, made of nothing. */
static void
damaged_at_random(void **state)
{
	uint64_t seed = 88172645463325252u;
	uint8_t good[300], bytes[600];
	struct lt_slice s = from_hex(full, good, sizeof(good));
	unsigned round, passed = 0;

	(void)state;
	for (round = 0; round < 200000; round++) {
		size_t len = s.len, at, n, k;

		memcpy(bytes, good, len);
		for (k = next_random(&seed) % 4; k > 0; k--)
			bytes[next_random(&seed) % len] = (uint8_t)next_random(&seed);
		at = next_random(&seed) % len;
		n = next_random(&seed) % (len - at);
		if (round % 4 == 1) {
			memmove(bytes + at, bytes + at + n, len - at - n);
			len -= n;
		} else if (round % 4 == 2) {
			memmove(bytes + at + n, bytes + at, len - at);
			len += n;
		} else if (round % 4 == 3) {
			len = n % 24;
			for (k = 0; k < len; k++)
				bytes[k] = (uint8_t)next_random(&seed);
		}
		passed += probe(SHAPE, bytes, len);
	}
	/* neither all refused nor all let through, or the test says nothing */
	assert_true(passed > 1000 && passed < 100000);
}

/* A page of records as dense as real ones get fills a whole message and still unpacks. */
static void
a_full_page_of_short_records_fits_the_arena(void **state)
{
	Ltpb__Value v = LTPB__VALUE__INIT;
	Ltpb__FieldSet f = LTPB__FIELD_SET__INIT, *fields[20];
	Ltpb__Record r = LTPB__RECORD__INIT, *records[4000];
	Ltpb__ListReply page = LTPB__LIST_REPLY__INIT;
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };
	ProtobufCMessage *msg;
	struct lt_arena a;
	size_t i;

	(void)state;
	v.v_case = LTPB__VALUE__V_INTEGER;
	v.integer = 1;
	f.name = (char *)"is_poor";
	f.value = &v;
	for (i = 0; i < COUNT(fields); i++)
		fields[i] = &f;
	r.collection = (char *)"household_poverty";
	r.unit = (char *)"16906";
	r.key = (char *)"16906/2026/0001";
	r.field = fields;
	r.n_field = COUNT(fields);
	for (i = 0; i < COUNT(records); i++)
		records[i] = &r;
	page.record = records;
	page.n_record = 1;
	while (lt_wire_pack(&page.base, LT_MESSAGE_MAX, &b) == LT_OK) {
		lt_buf_clear(&b);
		page.n_record += 10;
		assert_true(page.n_record <= COUNT(records));
	}
	page.n_record -= 10;
	assert_int_equal(lt_wire_pack(&page.base, LT_MESSAGE_MAX, &b), LT_OK);
	assert_true(b.len > LT_MESSAGE_MAX * 9 / 10);
	lt_arena_init(&a, lt_arena_cap_for(b.len));
	if (lt_wire_unpack(&ltpb__list_reply__descriptor, lt_buf_slice(&b), LT_MESSAGE_MAX, &a,
		&msg, &err) != LT_OK)
		fail_msg("%zu records, %zu bytes: %s", page.n_record, b.len, err.text);
	lt_arena_fini(&a);
	lt_buf_fini(&b);
}

static void
packing_keeps_its_limit(void **state)
{
	Ltpb__FeedHead h = LTPB__FEED_HEAD__INIT;
	struct lt_buf b = { 0 };

	(void)state;
	h.unit = (char *)"17254";
	h.seq = 300;
	lt_buf_str(&b, "before");
	assert_int_equal(lt_wire_pack(&h.base, 9, &b), LT_E_TOOBIG);
	assert_int_equal(b.len, 6);
	assert_int_equal(lt_wire_pack(&h.base, 10, &b), LT_OK);
	assert_int_equal(b.len, 16);
	assert_memory_equal(b.data,
	    "before\x0a\x05"
	    "17254\x18\xac\x02",
	    16);
	lt_buf_fini(&b);
	lt_buf_init(&b, 9);
	assert_int_equal(lt_wire_pack(&h.base, 10, &b), LT_E_TOOBIG);
	lt_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_shape_has_its_answer),
		cmocka_unit_test(messages_name_field_and_message),
		cmocka_unit_test(length_limit_is_exact),
		cmocka_unit_test(nesting),
		cmocka_unit_test(repeats_are_counted),
		cmocka_unit_test(packed_numbers_are_counted),
		cmocka_unit_test(empty_messages_cost_no_memory),
		cmocka_unit_test(the_full_message_unpacks_as_written),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(damaged_at_random),
		cmocka_unit_test(a_full_page_of_short_records_fits_the_arena),
		cmocka_unit_test(packing_keeps_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
