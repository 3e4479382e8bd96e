/* Any bytes as any message of the schema.
 *
 * Input: u8 type, bytes. Must hold: check and unpack agree; protobuf-c reads whatever was let through, and reads the same; what is
 * packed again is let through too and gives the same bytes from then on; memory stays under the cap.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static void
round_trip(const ProtobufCMessageDescriptor *d, const ProtobufCMessage *m)
{
	struct lt_buf once = { 0 }, twice = { 0 };
	struct lt_arena arena;
	ProtobufCMessage *again;
	struct lt_err err = { "" };

	FUZZ_MUST(lt_wire_pack(m, LT_MESSAGE_MAX, &once) == LT_OK);
	lt_arena_init(&arena, 64u << 20);
	FUZZ_MUST(
	    lt_wire_unpack(d, lt_buf_slice(&once), LT_MESSAGE_MAX, &arena, &again, &err) == LT_OK);
	FUZZ_MUST(lt_wire_pack(again, LT_MESSAGE_MAX, &twice) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&once), lt_buf_slice(&twice)));
	lt_arena_fini(&arena);
	lt_buf_fini(&once);
	lt_buf_fini(&twice);
}

static void
same(const ProtobufCMessage *ours, const ProtobufCMessage *theirs)
{
	struct lt_buf a = { 0 }, b = { 0 };

	FUZZ_MUST(lt_wire_pack(ours, LT_MESSAGE_MAX, &a) == LT_OK);
	FUZZ_MUST(lt_wire_pack(theirs, LT_MESSAGE_MAX, &b) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&b)));
	lt_buf_fini(&a);
	lt_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *const *all, *d;
	struct lt_err err = { "" };
	struct lt_arena arena;
	ProtobufCMessage *m = NULL, *theirs;
	struct lt_slice s;
	struct fuzz_in in;
	uint8_t *exact;
	size_t n;
	int checked, rc;

	all = fuzz_messages(&n);
	fuzz_in_init(&in, data, size);
	d = all[fuzz_u8(&in) % n];
	s = fuzz_rest(&in);
	exact = fuzz_copy(s);
	s.data = exact;
	checked = lt_wire_check(d, s, LT_MESSAGE_MAX, &err);
	FUZZ_MUST(checked == LT_OK || err.text[0] != '\0');
	fuzz_arena_init(&arena, s.len);
	rc = lt_wire_unpack(d, s, LT_MESSAGE_MAX, &arena, &m, &err);
	FUZZ_MUST(rc == checked || (checked == LT_OK && rc == LT_E_NOMEM));
	if (checked == LT_OK) {
		theirs = protobuf_c_message_unpack(d, NULL, s.len, s.data);
		FUZZ_MUST(theirs != NULL);
		if (rc == LT_OK)
			same(m, theirs);
		protobuf_c_message_free_unpacked(theirs, NULL);
	}
	if (rc == LT_OK)
		round_trip(d, m);
	fuzz_arena_fini(&arena);
	free(exact);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	const ProtobufCMessageDescriptor *const *all;
	struct fuzz_rng rng = { seed };
	size_t n;

	all = fuzz_messages(&n);
	if (size == 0 || fuzz_below(&rng, 8) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return 1 + fuzz_pb_mutate(all[data[0] % n], data + 1, size - 1, max_size - 1, &rng);
}
