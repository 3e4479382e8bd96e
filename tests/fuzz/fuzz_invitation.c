/* What people carry between machines: the line of an invitation, and secrets written as words.
 *
 * Input: u8 kind, text (kind 0: an invitation's line; 1: words of 16 bytes; 2: words of a root seed; 3: bytes of an Invitation
 * message, put into a line). Must hold: what is read, written again and read again, is the same.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static void
same(const Ltpb__Invitation *a, const Ltpb__Invitation *b)
{
	struct lt_buf x = { 0 }, y = { 0 };

	FUZZ_MUST(lt_wire_pack(&a->base, LT_MESSAGE_MAX, &x) == LT_OK);
	FUZZ_MUST(lt_wire_pack(&b->base, LT_MESSAGE_MAX, &y) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y)));
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

static void
line_again(const Ltpb__Invitation *inv)
{
	struct lt_buf out = { 0 };
	Ltpb__Invitation *back;
	struct lt_err err = { "" };
	struct lt_arena arena;

	lt_arena_init(&arena, 1u << 20);
	if (lt_invitation_line(inv, &out) == LT_OK) {
		lt_buf_u8(&out, 0);
		FUZZ_MUST(
		    lt_invitation_parse((const char *)out.data, &arena, &back, &err) == LT_OK);
		same(inv, back);
	} else {
		FUZZ_MUST(out.len == 0);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&out);
}

static void
a_line(const char *text)
{
	Ltpb__Invitation *inv;
	struct lt_err err = { "" };
	struct lt_arena arena;

	fuzz_arena_init(&arena, strlen(text));
	if (lt_invitation_parse(text, &arena, &inv, &err) == LT_OK) {
		struct lt_buf out = { 0 };

		FUZZ_MUST(lt_invitation_line(inv, &out) == LT_OK);
		lt_buf_fini(&out);
		line_again(inv);
	} else {
		FUZZ_MUST(err.text[0] != '\0');
	}
	fuzz_arena_fini(&arena);
}

static void
words(const char *text)
{
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };
	uint8_t b[16], again[16];

	if (lt_words_parse(text, b, sizeof(b), &err) == LT_OK) {
		lt_words(&out, b, sizeof(b));
		lt_buf_u8(&out, 0);
		FUZZ_MUST(
		    lt_words_parse((const char *)out.data, again, sizeof(again), &err) == LT_OK);
		FUZZ_MUST(memcmp(b, again, sizeof(b)) == 0);
	}
	lt_buf_fini(&out);
}

static void
root_words(const char *text, struct lt_slice raw)
{
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };
	uint8_t seed[32] = { 0 }, again[32];

	if (lt_root_words_parse(text, seed, &err) != LT_OK && raw.len != 0)
		memcpy(seed, raw.data, raw.len < 32 ? raw.len : 32);
	lt_root_words(&out, seed);
	lt_buf_u8(&out, 0);
	FUZZ_MUST(lt_root_words_parse((const char *)out.data, again, &err) == LT_OK);
	FUZZ_MUST(memcmp(seed, again, 32) == 0);
	lt_buf_fini(&out);
}

static void
a_message(struct lt_slice raw)
{
	ProtobufCMessage *m;
	struct lt_err err = { "" };
	struct lt_arena arena;

	fuzz_arena_init(&arena, raw.len);
	if (lt_wire_unpack(&ltpb__invitation__descriptor, raw, LT_MESSAGE_MAX, &arena, &m, &err) ==
	    LT_OK)
		line_again((const Ltpb__Invitation *)m);
	fuzz_arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_slice rest;
	struct fuzz_in in;
	unsigned kind;
	char *text;

	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % 4;
	rest = fuzz_rest(&in);
	text = fuzz_text(rest);
	if (kind == 0)
		a_line(text);
	else if (kind == 1)
		words(text);
	else if (kind == 2)
		root_words(text, rest);
	else
		a_message(rest);
	free(text);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	if (size == 0 || data[0] % 4 != 3 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return 1 + fuzz_pb_mutate(
		       &ltpb__invitation__descriptor, data + 1, size - 1, max_size - 1, &rng);
}
