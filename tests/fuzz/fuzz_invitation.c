/* What people carry between machines: the line of an invitation, and secrets written as words.
 *
 * Input: u8 kind (below 192 its rest by 4, else 4 and its rest by 2), text (kind 0: an invitation's line; 1: words of 16 bytes; 2:
 * words of a root seed; 3: bytes of an Invitation message, put into a line; 4: any text with an invitation somewhere; 5: a good
 * line, and after each of its characters what the next byte says). Must hold: what is read, written again and read again, is the
 * same; a line is found whatever unseen stands within it; where none is found, why is said.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/feed/invitation_text.h"
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

static void
a_text(struct lt_slice raw)
{
	enum lt_invitation_fault fault;
	Ltpb__Invitation *inv;
	struct lt_arena arena;
	int rc;

	fuzz_arena_init(&arena, raw.len);
	rc = lt_invitation_find(raw, &arena, &inv, &fault);
	FUZZ_MUST((rc == LT_E_INVALID) == (fault != LT_INVITATION_NONE));
	FUZZ_MUST(rc == LT_OK || rc == LT_E_INVALID || rc == LT_E_TOOBIG || rc == LT_E_NOMEM);
	if (rc == LT_OK)
		line_again(inv);
	fuzz_arena_fini(&arena);
}

static void
a_torn_line(struct lt_slice raw)
{
	static const char *const gaps[8] = { "", " ", "\r\n", "\n> ", "\302\240", "\342\200\213",
		"=\n", "\n\n\t" };
	static const uint8_t bytes[32] = { 7 };
	static char address[] = "tcp://h:1", unit[] = "17254";
	char *addresses[1] = { address };
	Ltpb__Invitation inv = LTPB__INVITATION__INIT, *back = NULL;
	struct lt_buf line = { 0 }, torn = { 0 };
	enum lt_invitation_fault fault;
	struct lt_arena arena;
	size_t i;

	inv.root_key = inv.hub_line_key = (ProtobufCBinaryData){ 32, (uint8_t *)bytes };
	inv.federation_salt = inv.token = (ProtobufCBinaryData){ 16, (uint8_t *)bytes };
	inv.address = addresses;
	inv.n_address = 1;
	inv.role = LTPB__ROLE__ROLE_NODE;
	inv.unit = unit;
	inv.expires_s = raw.len == 0 ? 1 : raw.data[0] + 1;
	FUZZ_MUST(lt_invitation_line(&inv, &line) == LT_OK);
	for (i = 0; i < line.len; i++) {
		lt_buf_u8(&torn, line.data[i]);
		if (i < raw.len)
			lt_buf_str(&torn, gaps[raw.data[i] % 8]);
	}
	/* Whatever follows, after what is not of the alphabet. */
	if (raw.len > line.len) {
		lt_buf_str(&torn, "\n\n! ");
		lt_buf_put(&torn, raw.data + line.len, raw.len - line.len);
	}
	lt_arena_init(&arena, 1u << 20);
	if (torn.err == LT_OK && torn.len <= LT_INVITATION_TEXT_MAX) {
		FUZZ_MUST(lt_invitation_find(lt_buf_slice(&torn), &arena, &back, &fault) == LT_OK);
		same(&inv, back);
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&torn);
	lt_buf_fini(&line);
}

/* A quarter of all first bytes is for what came later; those before mean what they did. */
static unsigned
kind_of(uint8_t first)
{
	return first < 192 ? first % 4 : 4 + first % 2;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_slice rest;
	struct fuzz_in in;
	unsigned kind;
	char *text;

	fuzz_in_init(&in, data, size);
	kind = kind_of(fuzz_u8(&in));
	rest = fuzz_rest(&in);
	text = fuzz_text(rest);
	if (kind == 0)
		a_line(text);
	else if (kind == 1)
		words(text);
	else if (kind == 2)
		root_words(text, rest);
	else if (kind == 3)
		a_message(rest);
	else if (kind == 4)
		a_text(rest);
	else
		a_torn_line(rest);
	free(text);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	if (size == 0 || kind_of(data[0]) != 3 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	return 1 + fuzz_pb_mutate(
		       &ltpb__invitation__descriptor, data + 1, size - 1, max_size - 1, &rng);
}
