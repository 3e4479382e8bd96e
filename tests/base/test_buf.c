#include "tests/base/base_test.h"

#include "proto/base/buf.h"
#include "proto/base/error.h"

static struct lt_slice
str(const char *s)
{
	return lt_slice_str(s);
}

static void
slices_order_by_bytes_shorter_first(void **state)
{
	(void)state;
	assert_true(lt_slice_cmp(str("a"), str("b")) < 0);
	assert_true(lt_slice_cmp(str("b"), str("a")) > 0);
	assert_true(lt_slice_cmp(str("a"), str("ab")) < 0);
	assert_true(lt_slice_cmp(str("ab"), str("a")) > 0);
	assert_true(lt_slice_cmp(str("b"), str("ab")) > 0);
	assert_true(lt_slice_cmp(str(""), str("a")) < 0);
	assert_int_equal(lt_slice_cmp(str(""), lt_slice(NULL, 0)), 0);
	/* bytes, not signed chars: 0x80 is after 'z' */
	assert_true(lt_slice_cmp(str("\x80"), str("z")) > 0);
	assert_true(lt_slice_eq(str("x"), str("x")));
	assert_false(lt_slice_eq(str("x"), str("xx")));
	assert_true(lt_slice_eq(lt_slice(NULL, 0), str("")));
	assert_int_equal(lt_slice_str(NULL).len, 0);
}

/* Layouts from FORMAT.md 1.1, written out by hand. */
static void
integers_are_big_endian(void **state)
{
	static const uint8_t want[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xf8, 0x09, 0x0a,
		0x0b, 0x0c, 0x0d, 0x0e, 0x0f };
	struct lt_buf b = { 0 };
	struct lt_reader r;

	(void)state;
	lt_buf_u8(&b, 0x01);
	lt_buf_u16(&b, 0x0203);
	lt_buf_u32(&b, 0x04050607);
	lt_buf_u64(&b, UINT64_C(0xf8090a0b0c0d0e0f));
	assert_int_equal(b.err, LT_OK);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	lt_reader_init(&r, lt_buf_slice(&b));
	assert_int_equal(lt_read_u8(&r), 0x01);
	assert_int_equal(lt_read_u16(&r), 0x0203);
	assert_int_equal(lt_read_u32(&r), 0x04050607);
	assert_true(lt_read_u64(&r) == UINT64_C(0xf8090a0b0c0d0e0f));
	assert_int_equal(lt_reader_left(&r), 0);
	assert_int_equal(r.err, LT_OK);
	lt_buf_fini(&b);
}

static const struct {
	uint64_t v;
	const char *hex;
} varints[] = {
	/* from the protobuf encoding guide, and both sides of each length */
	{ 0, "00" },
	{ 1, "01" },
	{ 127, "7f" },
	{ 128, "8001" },
	{ 150, "9601" },
	{ 300, "ac02" },
	{ 16383, "ff7f" },
	{ 16384, "808001" },
	{ UINT32_MAX, "ffffffff0f" },
	{ UINT64_C(1) << 63, "80808080808080808001" },
	{ UINT64_MAX, "ffffffffffffffffff01" },
};

static void
varints_both_ways(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(varints); i++) {
		struct lt_buf b = { 0 };
		struct lt_reader r;
		char hex[32];

		lt_buf_varint(&b, varints[i].v);
		lt_hex(hex, b.data, b.len);
		assert_string_equal(hex, varints[i].hex);
		lt_reader_init(&r, lt_buf_slice(&b));
		assert_true(lt_read_varint(&r) == varints[i].v);
		assert_int_equal(r.err, LT_OK);
		/* one byte less is an error, and says nothing */
		lt_reader_init(&r, lt_slice(b.data, b.len - 1));
		assert_true(lt_read_varint(&r) == 0);
		assert_int_equal(r.err, LT_E_INVALID);
		lt_buf_fini(&b);
	}
}

static void
varints_above_64_bits_are_refused(void **state)
{
	static const char *const wrong[] = {
		"ffffffffffffffffff02", /* bit 64 */
		"ffffffffffffffffff7f", /* bits 64 to 69 */
		"8080808080808080808000", /* eleven bytes */
		"ffffffffffffffffffff01",
	};
	uint8_t bytes[16];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		struct lt_reader r;
		size_t n = strlen(wrong[i]) / 2;

		assert_int_equal(lt_unhex(bytes, n, wrong[i]), LT_OK);
		lt_reader_init(&r, lt_slice(bytes, n));
		assert_true(lt_read_varint(&r) == 0);
		assert_int_equal(r.err, LT_E_INVALID);
	}
}

static void
framed_strings_both_ways(void **state)
{
	struct lt_buf b = { 0 };
	struct lt_reader r;
	static const uint8_t want[] = { 0, 0, 0, 2, 'a', 'b', 1, 'c', 0, 0, 0, 0, 0 };

	(void)state;
	lt_buf_framed(&b, str("ab"));
	lt_buf_framed8(&b, str("c"));
	lt_buf_framed(&b, str(""));
	lt_buf_framed8(&b, str(""));
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	lt_reader_init(&r, lt_buf_slice(&b));
	assert_true(lt_slice_eq(lt_read_framed(&r), str("ab")));
	assert_true(lt_slice_eq(lt_read_framed8(&r), str("c")));
	assert_int_equal(lt_read_framed(&r).len, 0);
	assert_int_equal(lt_read_framed8(&r).len, 0);
	assert_int_equal(r.err, LT_OK);
	lt_buf_fini(&b);
}

static void
a_byte_length_holds_255_and_not_256(void **state)
{
	uint8_t bytes[256] = { 0 };
	struct lt_buf b = { 0 };

	(void)state;
	lt_buf_framed8(&b, lt_slice(bytes, 255));
	assert_int_equal(b.err, LT_OK);
	assert_int_equal(b.len, 256);
	lt_buf_framed8(&b, lt_slice(bytes, 256));
	assert_int_equal(b.err, LT_E_TOOBIG);
	assert_int_equal(b.len, 256);
	lt_buf_fini(&b);
}

/* An announced length beyond the end takes nothing and stays an error. */
static void
reader_stops_at_the_end_for_good(void **state)
{
	static const uint8_t beyond[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };
	struct lt_reader r;

	(void)state;
	lt_reader_init(&r, lt_slice(beyond, sizeof(beyond)));
	assert_null(lt_read_framed(&r).data);
	assert_int_equal(r.err, LT_E_INVALID);
	assert_int_equal(lt_reader_left(&r), 0);
	assert_int_equal(lt_read_u8(&r), 0);
	assert_int_equal(lt_read_u16(&r), 0);
	assert_int_equal(lt_read_u32(&r), 0);
	assert_true(lt_read_u64(&r) == 0);
	assert_int_equal(lt_read_bytes(&r, 0).len, 0);
	lt_reader_init(&r, lt_slice(beyond, sizeof(beyond)));
	assert_int_equal(lt_read_bytes(&r, SIZE_MAX).len, 0);
	assert_int_equal(r.err, LT_E_INVALID);
	lt_reader_init(&r, lt_slice(NULL, 0));
	assert_int_equal(lt_reader_left(&r), 0);
	assert_int_equal(lt_read_u8(&r), 0);
	assert_int_equal(r.err, LT_E_INVALID);
}

/* Exactly the cap fits; one byte more is an error that stays, and nothing is half written. */
static void
the_cap_is_exact_and_sticky(void **state)
{
	struct lt_buf b;

	(void)state;
	lt_buf_init(&b, 10);
	lt_buf_put(&b, "0123456789", 10);
	assert_int_equal(b.err, LT_OK);
	lt_buf_u8(&b, 'x');
	assert_int_equal(b.err, LT_E_TOOBIG);
	assert_int_equal(b.len, 10);
	lt_buf_clear(&b);
	assert_int_equal(b.err, LT_OK);
	lt_buf_put(&b, "01234567890", 11);
	assert_int_equal(b.err, LT_E_TOOBIG);
	assert_int_equal(b.len, 0);
	lt_buf_put(&b, "a", 1);
	assert_int_equal(b.len, 0);
	lt_buf_clear(&b);
	assert_null(lt_buf_reserve(&b, SIZE_MAX));
	assert_int_equal(b.err, LT_E_TOOBIG);
	lt_buf_fini(&b);
	assert_null(lt_buf_reserve(&b, SIZE_MAX - 1));
	lt_buf_fini(&b);
}

static void
grows_over_many_puts(void **state)
{
	struct lt_buf b = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 100000; i++)
		lt_buf_u32(&b, i);
	assert_int_equal(b.err, LT_OK);
	assert_int_equal(b.len, 400000);
	for (i = 0; i < 100000; i++)
		assert_int_equal(lt_load_u32(b.data + (size_t)4 * i), i);
	lt_buf_fini(&b);
}

static void
reserve_write_and_take(void **state)
{
	struct lt_buf b = { 0 };
	uint8_t *p;
	size_t len = 0;

	(void)state;
	assert_non_null(lt_buf_reserve(&b, 0));
	p = lt_buf_reserve(&b, 100);
	p[0] = 'a';
	p[1] = 'b';
	p[2] = 'c';
	lt_buf_added(&b, 3);
	p = lt_buf_take(&b, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(p, "abc", 3);
	free(p);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	lt_buf_str(&b, "again");
	assert_true(lt_slice_eq(lt_buf_slice(&b), str("again")));
	lt_buf_fini(&b);
}

static void
printf_counts_without_its_nul(void **state)
{
	struct lt_buf b = { 0 };

	(void)state;
	lt_buf_printf(&b, "%s-%d", "commune", 17254);
	lt_buf_printf(&b, "%s", "");
	assert_true(lt_slice_eq(lt_buf_slice(&b), str("commune-17254")));
	lt_buf_fini(&b);
}

static void
hex_is_exact(void **state)
{
	uint8_t out[3] = { 9, 9, 9 };
	char hex[7];

	(void)state;
	lt_hex(hex, "\x00\xaf\xff", 3);
	assert_string_equal(hex, "00afff");
	lt_hex(hex, NULL, 0);
	assert_string_equal(hex, "");
	assert_int_equal(lt_unhex(out, 3, "00aFfF"), LT_OK);
	assert_memory_equal(out, "\x00\xaf\xff", 3);
	assert_int_equal(lt_unhex(out, 3, "00afff0"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 3, "00afff00"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 3, "00aff"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 3, "00afg0"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 3, "0xaf00"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 3, " 0af00"), LT_E_INVALID);
	assert_int_equal(lt_unhex(out, 0, ""), LT_OK);
}

/* Room for the text and its end, for one byte less, and for the end alone. */
static void
slice_to_text(void **state)
{
	char out[5];

	(void)state;
	memset(out, 'x', sizeof(out));
	lt_slice_to_text(out, 5, lt_slice("unit", 4));
	assert_memory_equal(out, "unit", 5);
	memset(out, 'x', sizeof(out));
	lt_slice_to_text(out, 4, lt_slice("unit", 4));
	assert_memory_equal(out, "uni\0x", 5);
	lt_slice_to_text(out, 1, lt_slice("unit", 4));
	assert_memory_equal(out, "\0ni\0x", 5);
	lt_slice_to_text(out, 5, lt_slice(NULL, 0));
	assert_memory_equal(out, "\0ni\0x", 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slice_to_text),
		cmocka_unit_test(slices_order_by_bytes_shorter_first),
		cmocka_unit_test(integers_are_big_endian),
		cmocka_unit_test(varints_both_ways),
		cmocka_unit_test(varints_above_64_bits_are_refused),
		cmocka_unit_test(framed_strings_both_ways),
		cmocka_unit_test(a_byte_length_holds_255_and_not_256),
		cmocka_unit_test(reader_stops_at_the_end_for_good),
		cmocka_unit_test(the_cap_is_exact_and_sticky),
		cmocka_unit_test(grows_over_many_puts),
		cmocka_unit_test(reserve_write_and_take),
		cmocka_unit_test(printf_counts_without_its_nul),
		cmocka_unit_test(hex_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
