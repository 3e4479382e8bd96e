/* Any text as the JSON of any message, and any message as JSON.
 *
 * Input: u8 way (by three: 0 a text, 1 a message, 2 a description of types as Reflection gives it), u8 type (0: of tests/rpc/kinds.proto, which
 * has every kind of field), then the text or the bytes. Must hold: what is refused is explained in both languages, in UTF-8; what is read passes the wire walker; what is written
 * is JSON that is read again as the same message; memory stays under the cap.
 */
#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/rpc/describe.h"
#include "proto/rpc/json.h"
#include "tests/fuzz/lib/fuzz.h"

#include "kinds.pb-c.h"

#include <jansson.h>
#include <stdlib.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static const ProtobufCMessageDescriptor *
type_of(uint8_t number)
{
	const ProtobufCMessageDescriptor *const *all;
	size_t n;

	all = fuzz_messages(&n);
	return number == 0 ? &lttest__kinds__descriptor : all[(number - 1u) % n];
}

/* Text of a message, which jansson alone takes for JSON. */
static bool
written(const ProtobufCMessage *m, struct lt_buf *out)
{
	json_t *j;

	lt_buf_init(out, LT_JSON_OUT_MAX);
	if (lt_json_write(m, out) != LT_OK)
		return false;
	FUZZ_MUST(lt_text_valid(lt_buf_slice(out)));
	j = json_loadb((const char *)out->data, out->len, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_MUST(json_is_object(j));
	json_decref(j);
	return true;
}

/* Read and write end in the same text, by way of the wire. */
static void
round_trip(const ProtobufCMessageDescriptor *d, const ProtobufCMessage *m)
{
	struct lt_buf text, again, wire = { 0 };
	struct lt_json_err err;
	struct lt_arena arena;
	ProtobufCMessage *back;
	int rc;

	FUZZ_MUST(written(m, &text));
	lt_arena_init(&arena, 256u << 20);
	rc = lt_json_read(d, lt_buf_slice(&text), &arena, &back, &err);
	FUZZ_MUST(rc == LT_OK || (rc == LT_E_TOOBIG && err.path[0] == '\0'));
	if (rc == LT_OK) {
		FUZZ_MUST(lt_wire_pack(back, 8 * LT_MESSAGE_MAX, &wire) == LT_OK);
		FUZZ_MUST(lt_wire_unpack(d, lt_buf_slice(&wire), 8 * LT_MESSAGE_MAX, &arena, &back,
			      NULL) == LT_OK);
		FUZZ_MUST(written(back, &again));
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&text), lt_buf_slice(&again)));
		lt_buf_fini(&again);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&text);
	lt_buf_fini(&wire);
}

static void
as_text(const ProtobufCMessageDescriptor *d, struct lt_slice s, struct lt_arena *arena)
{
	struct lt_json_err err = { .message = "" };
	struct lt_buf wire = { 0 };
	ProtobufCMessage *m = NULL;
	int rc = lt_json_read(d, s, arena, &m, &err);

	if (rc != LT_OK) {
		FUZZ_MUST(rc == LT_E_INVALID || rc == LT_E_TOOBIG || rc == LT_E_NOMEM);
		FUZZ_MUST(err.message[0] != '\0' && err.message_vi[0] != '\0');
		FUZZ_MUST(lt_text_valid(lt_slice_str(err.message)));
		FUZZ_MUST(lt_text_valid(lt_slice_str(err.message_vi)));
		FUZZ_MUST(lt_text_valid(lt_slice_str(err.path)));
		FUZZ_MUST(lt_text_valid(lt_slice_str(err.value)));
		return;
	}
	FUZZ_MUST(lt_wire_pack(m, 8 * LT_MESSAGE_MAX, &wire) == LT_OK);
	FUZZ_MUST(lt_wire_check(d, lt_buf_slice(&wire), 8 * LT_MESSAGE_MAX, NULL) == LT_OK);
	lt_buf_fini(&wire);
	round_trip(d, m);
}

/* Of what the descriptors made of a description do, with the description's own bytes for a message of each type. */
static void
as_description(struct lt_slice s, struct lt_arena *arena)
{
	struct lt_schema schema;
	struct lt_err err = { "" };
	ProtobufCMessage *m;
	struct lt_arena more;
	struct lt_buf out;
	size_t i;

	if (lt_wire_unpack(&ltpb__describe_reply__descriptor, s, LT_MESSAGE_MAX, arena, &m, NULL) !=
	    LT_OK)
		return;
	lt_arena_init(&more, 64u << 20);
	if (lt_schema_build((const Ltpb__DescribeReply *)m, &more, &schema, &err) != LT_OK) {
		FUZZ_MUST(err.text[0] != '\0');
		goto out;
	}
	for (i = 0; i < schema.nmessages && i < 8; i++) {
		FUZZ_MUST(
		    lt_json_read(schema.messages[i], lt_slice_str("{}"), &more, &m, NULL) == LT_OK);
		FUZZ_MUST(written(m, &out) && out.len == 2);
		lt_buf_fini(&out);
		if (lt_wire_unpack(schema.messages[i], s, LT_MESSAGE_MAX, &more, &m, NULL) == LT_OK)
			round_trip(schema.messages[i], m);
	}
out:
	lt_arena_fini(&more);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *d;
	struct lt_arena arena;
	ProtobufCMessage *m;
	struct lt_slice s;
	struct fuzz_in in;
	uint8_t *exact, way;

	fuzz_in_init(&in, data, size);
	way = fuzz_u8(&in);
	d = type_of(fuzz_u8(&in));
	s = fuzz_rest(&in);
	exact = fuzz_copy(s);
	s.data = exact;
	fuzz_arena_init(&arena, s.len);
	if (way % 3 == 0)
		as_text(d, s, &arena);
	else if (way % 3 == 2)
		as_description(s, &arena);
	else if (lt_wire_unpack(d, s, LT_MESSAGE_MAX, &arena, &m, NULL) == LT_OK)
		round_trip(d, m);
	fuzz_arena_fini(&arena);
	free(exact);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	const ProtobufCMessageDescriptor *d;

	if (size < 2 || data[0] % 3 == 0 || fuzz_below(&rng, 8) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	d = data[0] % 3 == 2 ? &ltpb__describe_reply__descriptor : type_of(data[1]);
	return 2 + fuzz_pb_mutate(d, data + 2, size - 2, max_size - 2, &rng);
}
