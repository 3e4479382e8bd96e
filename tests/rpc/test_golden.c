/* Frames as tests/vectors/golden_line.py, written from FORMAT.md alone, has made them. */
#include "tests/lib/golden.h"

#include "proto/base/wire.h"
#include "proto/rpc/frame.h"

#include "lienthong/v1/rpc.pb-c.h"

static void
frames(void **state)
{
	static uint8_t out[LT_FRAME_MAX];
	const json_t *list = golden_in(golden("line"), "frame"), *v;
	struct lt_slice bytes, payload;
	struct lt_frame f;
	size_t i, len;

	(void)state;
	assert_int_equal(json_array_size(list), 13);
	json_array_foreach(list, i, v)
	{
		bytes = golden_bytes(v, "bytes");
		payload = golden_bytes(v, "payload");
		assert_int_equal(lt_frame_parse(bytes, &f), LT_OK);
		assert_int_equal(f.type, golden_number(v, "type"));
		assert_int_equal(f.flags, golden_number(v, "flags"));
		assert_int_equal(f.id, golden_number(v, "id"));
		golden_same("payload", payload, f.payload);
		len = lt_frame_build(out, f.type, f.flags, f.id, payload);
		golden_same("frame", bytes, lt_slice(out, len));
	}
}

/* What opens and ends a call is read, and packed again gives the same bytes. */
static void
again(
    const char *name, const ProtobufCMessageDescriptor *d, struct lt_arena *a, ProtobufCMessage **m)
{
	struct lt_slice bytes = golden_bytes(golden("line"), name);
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	assert_int_equal(lt_wire_unpack(d, bytes, LT_FRAME_PAYLOAD_MAX, a, m, &err), LT_OK);
	assert_int_equal(lt_wire_pack(*m, LT_FRAME_PAYLOAD_MAX, &b), LT_OK);
	golden_same(name, bytes, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
heads_and_ends(void **state)
{
	const Ltpb__RequestHead *head;
	const Ltpb__Status *st;
	ProtobufCMessage *m;
	struct lt_arena a;

	(void)state;
	lt_arena_init(&a, 65536);
	again("request_head", &ltpb__request_head__descriptor, &a, &m);
	head = (const Ltpb__RequestHead *)m;
	assert_string_equal(head->method, "/lienthong.v1.Sync/Push");
	assert_int_equal(head->timeout_ms, 30000);
	assert_int_equal(head->accept_encoding, 1);
	assert_int_equal(head->n_metadata, 2);
	again("status", &ltpb__status__descriptor, &a, &m);
	st = (const Ltpb__Status *)m;
	assert_int_equal(st->code, 8);
	assert_string_equal(st->error_info->reason, "TOO_MANY");
	assert_int_equal(st->retry_info->retry_delay_ms, 1500);
	assert_string_equal(st->violation[0]->field, "so_tien");
	assert_string_equal(st->localized_message[0]->message, "quá nhiều lời gọi");
	lt_arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(heads_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
