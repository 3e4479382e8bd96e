/* An invitation is found in whatever people make of its line on the way, and what is wrong with it is said. */
#include "tests/base/base_test.h"

#include "proto/feed/invitation_text.h"
#include "tests/feed/sample.h"

#include <string.h>

static char line[4096];
static size_t line_len;

/* Its expiry ends the line: 1790000000 in five bytes, then the check. */
static int
make_line(void **state)
{
	static char address[] = "tcp://hub.nghean.example:7340", commune[] = "17254";
	static uint8_t key[32], line_key[32], salt[16], token[16];
	Ltpb__Invitation inv = LTPB__INVITATION__INIT;
	char *addresses[1] = { address };
	struct lt_buf b = { 0 };
	unsigned n;

	(void)state;
	sample_fill(key, 32, 3);
	sample_fill(line_key, 32, 4);
	sample_fill(salt, 16, 5);
	inv.root_key = (ProtobufCBinaryData){ 32, key };
	inv.hub_line_key = (ProtobufCBinaryData){ 32, line_key };
	inv.federation_salt = (ProtobufCBinaryData){ 16, salt };
	inv.token = (ProtobufCBinaryData){ 16, token };
	inv.address = addresses;
	inv.n_address = 1;
	inv.role = LTPB__ROLE__ROLE_NODE;
	inv.unit = commune;
	inv.expires_s = 1790000000;
	/* One with two dashes side by side, which typesetters make one of. */
	for (n = 0; n < 64 && (n == 0 || strstr(line, "--") == NULL); n++) {
		sample_fill(token, 16, (uint8_t)n);
		memcpy(token + 5, "\373\357\276\373\357\276", 6);
		token[11] = (uint8_t)n;
		lt_buf_clear(&b);
		assert_int_equal(lt_invitation_line(&inv, &b), LT_OK);
		memcpy(line, b.data, b.len);
		line[b.len] = '\0';
		line_len = b.len;
	}
	assert_non_null(strstr(line, "--"));
	lt_buf_fini(&b);
	return 0;
}

static int
find(const void *text, size_t len, enum lt_invitation_fault *fault)
{
	Ltpb__Invitation *inv = NULL;
	struct lt_arena a;
	int rc;

	lt_arena_init(&a, lt_arena_cap_for(len));
	rc = lt_invitation_find(lt_slice(text, len), &a, &inv, fault);
	if (rc == LT_OK) {
		assert_string_equal(inv->address[0], "tcp://hub.nghean.example:7340");
		assert_string_equal(inv->unit, "17254");
		assert_int_equal(inv->expires_s, 1790000000);
		assert_int_equal(*fault, LT_INVITATION_NONE);
	}
	lt_arena_fini(&a);
	return rc;
}

static void
finds(const struct lt_buf *b)
{
	enum lt_invitation_fault fault;

	assert_int_equal(b->err, LT_OK);
	if (find(b->data, b->len, &fault) != LT_OK)
		fail_msg("fault %d in: %.*s", fault, (int)b->len, (const char *)b->data);
}

static void
fails(const char *text, enum lt_invitation_fault want)
{
	enum lt_invitation_fault fault;

	assert_int_equal(find(text, strlen(text), &fault), LT_E_INVALID);
	if (fault != want)
		fail_msg("fault %d, not %d, in: %s", fault, want, text);
}

static void
any_break_anywhere(void **state)
{
	static const char *const gaps[] = { "\n", "\r\n", " ", "\n> ", "\n>> ", "\t", "=\r\n",
		"\302\240", "\342\200\213", "\357\273\277", "\n\n", "\r\n\r\n    ", "\302\255" };
	struct lt_buf b = { 0 };
	size_t i, g;

	(void)state;
	for (g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++)
		for (i = 0; i <= line_len; i++) {
			lt_buf_clear(&b);
			lt_buf_put(&b, line, i);
			lt_buf_str(&b, gaps[g]);
			lt_buf_put(&b, line + i, line_len - i);
			finds(&b);
		}
	/* Between all characters. */
	lt_buf_clear(&b);
	for (i = 0; i < line_len; i++)
		lt_buf_printf(&b, "%c\r\n", line[i]);
	finds(&b);
	lt_buf_fini(&b);
}

static void
letters_around_it(void **state)
{
	static const char *const before[] = { "", "\357\273\277", "Th\306\260 m\341\273\235i: ",
		"Thu\314\233 mo\314\233\314\200i (LT1.) d\303\240nh cho x\303\243\r\n\r\n", "\"",
		"`", "<", "LT1. LT1.abc\n" },
				 *const after[] = { "", "\r\n", "\n\nGiu kin.\n", " dung mot lan",
					 "\"", "`", ">", ". Het", "\nLT1.\n",
					 "\n\n\303\220\341\273\215c k\341\273\271", "\0x" };
	struct lt_buf b = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		for (k = 0; k < sizeof(after) / sizeof(after[0]); k++) {
			lt_buf_clear(&b);
			lt_buf_str(&b, before[i]);
			lt_buf_put(&b, line, line_len);
			lt_buf_str(&b, after[k]);
			finds(&b);
		}
	lt_buf_fini(&b);
}

static void
other_encodings(void **state)
{
	struct lt_buf b = { 0 };
	size_t i, form;
	const char *p;

	(void)state;
	for (form = 0; form < 2; form++) {
		lt_buf_clear(&b);
		lt_buf_str(&b, form == 0 ? "\377\376" : "\376\377");
		for (i = 0; i < line_len; i++) {
			if (form == 0)
				lt_buf_u8(&b, (uint8_t)line[i]);
			lt_buf_u8(&b, 0);
			if (form == 1)
				lt_buf_u8(&b, (uint8_t)line[i]);
		}
		finds(&b);
		lt_buf_u8(&b, 'x'); /* half a unit */
		finds(&b);
	}
	/* One long dash for two, other short ones for one. */
	lt_buf_clear(&b);
	for (p = line; *p != '\0'; p++) {
		if (p[0] == '-' && p[1] == '-') {
			lt_buf_str(&b, "\342\200\224");
			p++;
		} else if (*p == '-') {
			lt_buf_str(&b, "\342\200\221");
		} else {
			lt_buf_u8(&b, (uint8_t)*p);
		}
	}
	finds(&b);
	lt_buf_fini(&b);
}

/* Cut after any character: that is what is said, alone and before other words. */
static void
cut_anywhere(void **state)
{
	char text[sizeof(line) + 64];
	size_t n;

	(void)state;
	for (n = 4; n < line_len; n++) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)n, line);
		fails(text, LT_INVITATION_CUT);
		(void)snprintf(text, sizeof(text), "%.*s\r\n\r\nHay giu kin.", (int)n, line);
		fails(text, LT_INVITATION_CUT);
	}
	for (n = 0; n < 4; n++) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)n, line);
		fails(text, LT_INVITATION_NOT_THERE);
	}
}

/* No other character of the alphabet passes anywhere, and within keys, salt and token it is said to be that. */
static void
changed_anywhere(void **state)
{
	char text[sizeof(line) + 64];
	size_t i, changed = 0, cut = 0;
	enum lt_invitation_fault fault;

	(void)state;
	for (i = 4; i < line_len; i++) {
		memcpy(text, line, line_len + 1);
		text[i] = text[i] == 'Q' ? 'R' : 'Q';
		assert_int_equal(find(text, line_len, &fault), LT_E_INVALID);
		changed += fault == LT_INVITATION_CHANGED;
		cut += fault == LT_INVITATION_CUT;
	}
	assert_int_equal(changed + cut, line_len - 4);
	assert_true(changed > 9 * cut);
	/* Two characters swapped; a character too many; one left out. */
	memcpy(text, line, line_len + 1);
	for (i = 20; text[i] == text[i + 1]; i++)
		;
	text[i] = line[i + 1];
	text[i + 1] = line[i];
	fails(text, LT_INVITATION_CHANGED);
	(void)snprintf(text, sizeof(text), "%.40sA%s", line, line + 40);
	assert_int_equal(find(text, strlen(text), &fault), LT_E_INVALID);
	(void)snprintf(text, sizeof(text), "%.40s%s", line, line + 41);
	assert_int_equal(find(text, strlen(text), &fault), LT_E_INVALID);
}

static void
what_is_none(void **state)
{
	char text[sizeof(line) + 64];

	(void)state;
	fails("", LT_INVITATION_NOT_THERE);
	fails("LT", LT_INVITATION_NOT_THERE);
	fails("Kính gửi UBND xã", LT_INVITATION_NOT_THERE);
	fails("LT0.abc", LT_INVITATION_NOT_THERE);
	fails("LT1.", LT_INVITATION_CUT);
	fails("LT1.____", LT_INVITATION_CHANGED);
	fails("\377\376", LT_INVITATION_NOT_THERE);
	fails("\341", LT_INVITATION_NOT_THERE);
	memcpy(text, line, line_len + 1);
	text[2] = '2';
	fails(text, LT_INVITATION_NEWER);
	text[2] = '9';
	fails(text, LT_INVITATION_NEWER);
	(void)snprintf(text, sizeof(text), "lt1.%s", line + 4);
	fails(text, LT_INVITATION_NOT_THERE);
}

/* The text's bound, both sides; and the worst that fits: every place may be an end. */
static void
bounds(void **state)
{
	char *text = malloc(LT_INVITATION_TEXT_MAX + 1);
	enum lt_invitation_fault fault;
	size_t i;

	(void)state;
	memset(text, ' ', LT_INVITATION_TEXT_MAX + 1);
	memcpy(text + LT_INVITATION_TEXT_MAX - line_len, line, line_len);
	assert_int_equal(find(text, LT_INVITATION_TEXT_MAX, &fault), LT_OK);
	assert_int_equal(find(text, LT_INVITATION_TEXT_MAX + 1, &fault), LT_E_TOOBIG);
	for (i = 0; i < LT_INVITATION_TEXT_MAX; i++)
		text[i] = "L\nT\n1\n.\nA\nA\nA\nA\n"[i % 16];
	assert_int_equal(find(text, LT_INVITATION_TEXT_MAX, &fault), LT_E_INVALID);
	for (i = 8; i < LT_INVITATION_TEXT_MAX; i++)
		text[i] = i % 2 != 0 ? '\n' : 'A';
	assert_int_equal(find(text, LT_INVITATION_TEXT_MAX, &fault), LT_E_INVALID);
	free(text);
}

/* Whole by its check, and of no use. */
static void
whole_without_sense(void **state)
{
	struct lt_buf bytes = { 0 };
	enum lt_invitation_fault fault;
	char text[512] = "LT1.";
	uint8_t check[16];

	(void)state;
	/* Field 1 of 31 bytes and then field 2 of 70. */
	lt_buf_str(&bytes, "\012\037aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\022\106");
	while (bytes.len < 33 + 2 + 70)
		lt_buf_u8(&bytes, 'b');
	lt_h16(LT_TAG_TOKEN, lt_buf_slice(&bytes), check);
	lt_buf_put(&bytes, check, 4);
	(void)sodium_bin2base64(text + 4, sizeof(text) - 4, bytes.data, bytes.len,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	assert_int_equal(find(text, strlen(text), &fault), LT_E_INVALID);
	assert_int_equal(fault, LT_INVITATION_SENSELESS);
	lt_buf_fini(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_break_anywhere),
		cmocka_unit_test(letters_around_it),
		cmocka_unit_test(other_encodings),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(changed_anywhere),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(bounds),
		cmocka_unit_test(whole_without_sense),
	};

	return cmocka_run_group_tests(tests, make_line, NULL);
}
