/* Plain FieldSet bytes: what lt_plain() lets pass must be what unpacking and packing anew gives, and be read alike. */
#include "proto/model/plain.h"

#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/model/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>
#include <string.h>

static uint64_t seed = 1;

static uint64_t
any(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 20;
}

static int64_t
any_number(void)
{
	int64_t n = (int64_t)((any() << 32 ^ any()) >> (any() % 64));

	return any() % 2 ? n : -n;
}

struct draft {
	Ltpb__FieldSet fs;
	Ltpb__Value v;
	Ltpb__Decimal d;
	Ltpb__TextSet set;
	char *item[2];
	char text[300];
};

static void
make(struct draft *x, int kind)
{
	size_t len = any() % 20 == 0 ? 150 + any() % 100 : any() % 20, i;

	memset(x, 0, sizeof(*x));
	ltpb__field_set__init(&x->fs);
	ltpb__value__init(&x->v);
	ltpb__decimal__init(&x->d);
	ltpb__text_set__init(&x->set);
	x->fs.name = (char *)"status";
	x->fs.value = &x->v;
	for (i = 0; i < len; i++)
		x->text[i] = (char)('a' + any() % 26);
	x->v.v_case = (Ltpb__Value__VCase)kind;
	switch (kind) {
	case LTPB__VALUE__V_TEXT:
		x->v.text = x->text;
		break;
	case LTPB__VALUE__V_ENUMERATION:
		x->v.enumeration = x->text;
		break;
	case LTPB__VALUE__V_BYTES:
		x->v.bytes.data = (uint8_t *)x->text;
		x->v.bytes.len = len;
		break;
	case LTPB__VALUE__V_INTEGER:
		x->v.integer = any_number();
		break;
	case LTPB__VALUE__V_TIMESTAMP:
		x->v.timestamp = any_number();
		break;
	case LTPB__VALUE__V_DATE:
		x->v.date = (int32_t)any_number();
		break;
	case LTPB__VALUE__V_BOOLEAN:
		x->v.boolean = any() % 2 != 0;
		break;
	case LTPB__VALUE__V_DECIMAL:
		x->d.unscaled = any() % 4 == 0 ? 0 : any_number();
		x->d.scale = (uint32_t)(any() % 20);
		x->v.decimal = &x->d;
		break;
	case LTPB__VALUE__V_SET:
		x->item[0] = x->text;
		x->set.item = x->item;
		x->set.n_item = any() % 2;
		x->v.set = &x->set;
		break;
	default:
		break;
	}
}

/* What lt_plain() says about bytes, checked against protobuf-c. */
static bool
check(struct lt_slice raw)
{
	struct lt_slice value;
	struct lt_arena arena;
	ProtobufCMessage *msg;
	Ltpb__FieldSet *fs;
	struct lt_buf again = { 0 }, slow = { 0 }, fast = { 0 };
	const Ltpb__Value *v;
	int rc;

	if (!lt_plain(raw, lt_slice_str("status"), &value))
		return false;
	lt_arena_init(&arena, 1 << 20);
	msg = protobuf_c_message_unpack(&ltpb__field_set__descriptor, &arena.pb, raw.len, raw.data);
	assert_non_null(msg);
	fs = (Ltpb__FieldSet *)msg;
	assert_string_equal(fs->name, "status");
	assert_non_null(fs->value);
	assert_int_not_equal(fs->value->v_case, LTPB__VALUE__V__NOT_SET);
	assert_int_not_equal(fs->value->v_case, LTPB__VALUE__V_SET);
	assert_true(fs->value->v_case != LTPB__VALUE__V_DECIMAL ||
		    fs->value->decimal->scale <= LT_DECIMAL_SCALE_MAX);
	assert_int_equal(lt_wire_pack(msg, 1 << 20, &again), LT_OK);
	assert_int_equal(again.len, raw.len);
	assert_memory_equal(again.data, raw.data, raw.len);
	rc = lt_plain_value(raw, lt_slice_str("status"), &arena, &v);
	/* Spoilt text need not be UTF-8. */
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	if (rc == LT_OK) {
		assert_int_equal(v->v_case, fs->value->v_case);
		assert_true(lt_value_eq(v, fs->value));
	}
	assert_int_equal(lt_plain_index(value, 2, &fast), lt_value_index(fs->value, 2, 0, &slow));
	assert_true(lt_slice_eq(lt_buf_slice(&fast), lt_buf_slice(&slow)));
	lt_buf_fini(&again);
	lt_buf_fini(&slow);
	lt_buf_fini(&fast);
	lt_arena_fini(&arena);
	return true;
}

static bool
expected(const struct draft *x)
{
	switch (x->v.v_case) {
	case LTPB__VALUE__V_TEXT:
	case LTPB__VALUE__V_ENUMERATION:
		return x->text[0] != '\0';
	case LTPB__VALUE__V_BYTES:
		return x->v.bytes.len != 0;
	case LTPB__VALUE__V_DECIMAL:
		return (x->d.unscaled != 0 || x->d.scale != 0) &&
		       x->d.scale <= LT_DECIMAL_SCALE_MAX;
	case LTPB__VALUE__V_SET:
	case LTPB__VALUE__V__NOT_SET:
		return false;
	default:
		return true;
	}
}

/* Every kind of value as we pack it, and the same with a byte changed, taken out or put in. */
static void
test_as_protobuf_reads_it(void **state)
{
	struct draft x;
	struct lt_buf b = { 0 };
	uint8_t spoilt[400];
	size_t round, spoil, at, plain = 0, still = 0;

	(void)state;
	for (round = 0; round < 6000; round++) {
		make(&x, (int)(round % 10));
		lt_buf_clear(&b);
		assert_int_equal(lt_wire_pack(&x.fs.base, sizeof(spoilt), &b), LT_OK);
		assert_int_equal(check(lt_buf_slice(&b)), expected(&x));
		plain += expected(&x);
		for (spoil = 0; spoil < 12; spoil++) {
			size_t len = b.len;

			memcpy(spoilt, b.data, b.len);
			at = any() % len;
			if (spoil % 3 == 0) {
				spoilt[at] = (uint8_t)any();
			} else if (spoil % 3 == 1) {
				memmove(spoilt + at, spoilt + at + 1, len - at - 1);
				len--;
			} else {
				memmove(spoilt + at + 1, spoilt + at, len - at);
				spoilt[at] = (uint8_t)any();
				len++;
			}
			still += check(lt_slice(spoilt, len));
		}
	}
	assert_true(plain > 3000);
	assert_true(still > 100);
	lt_buf_fini(&b);
}

/* Spellings that read as a value and are not how it is packed. Bytes by hand from protobuf's encoding. */
static void
test_other_spellings(void **state)
{
	static const struct {
		const char *descr;
		uint8_t b[24];
		size_t len;
		bool plain;
	} c[] = {
		{ "true", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 2, 32, 1 }, 12, true },
		{ "false", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 2, 32, 0 }, 12, true },
		{ "truth 2", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 2, 32, 2 }, 12, false },
		{ "number in two bytes", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 3, 16, 129, 0 },
		    13, false },
		{ "length in two bytes", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 130, 0, 32, 1 },
		    13, false },
		{ "text with a NUL",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 5, 10, 3, 'a', 0, 'b' }, 15, false },
		{ "bytes with a NUL",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 5, 58, 3, 'a', 0, 'b' }, 15, true },
		{ "two values", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 2, 32, 1, 18, 2, 32, 0 },
		    16, false },
		{ "two members", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 4, 32, 1, 40, 2 }, 14,
		    false },
		{ "value first", { 18, 2, 32, 1, 10, 6, 's', 't', 'a', 't', 'u', 's' }, 12, false },
		{ "another name", { 10, 6, 's', 't', 'a', 't', 'u', 't', 18, 2, 32, 1 }, 12,
		    false },
		{ "no value", { 10, 6, 's', 't', 'a', 't', 'u', 's' }, 8, false },
		{ "empty value", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 0 }, 10, false },
		{ "added item", { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 2, 32, 1, 26, 1, 'a' },
		    15, false },
		{ "decimal with scale 0",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 6, 26, 4, 8, 2, 16, 0 }, 16, false },
		{ "decimal with scale 18",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 6, 26, 4, 8, 2, 16, 18 }, 16, true },
		{ "decimal with scale 19",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 6, 26, 4, 8, 2, 16, 19 }, 16,
		    false },
		{ "decimal, scale first",
		    { 10, 6, 's', 't', 'a', 't', 'u', 's', 18, 6, 26, 4, 16, 2, 8, 2 }, 16, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		if (check(lt_slice(c[i].b, c[i].len)) != c[i].plain)
			fail_msg("%s", c[i].descr);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_protobuf_reads_it),
		cmocka_unit_test(test_other_spellings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
