#include "proto/feed/invitation_text.h"

#include "proto/base/wire_read.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX_LEN 4 /* "LT1." */
#define CHECK_LEN 4
#define RUN_MAX 4096 /* of characters after the prefix; an invitation's line is shorter */
#define BYTES_MAX (RUN_MAX / 4 * 3 + 3)
/* Places where a line may have begun and ended; each costs a hash of at most 3 KiB. */
#define STARTS_MAX 16
#define ENDS_MAX 4096
/* Ed25519 and X25519 key, salt, token, each with two bytes of protobuf: less is no invitation. */
#define BYTES_MIN (2 * 34 + 2 * 18)

enum gap { GAP_NONE, GAP_BLANK, GAP_PARAGRAPH };

/* The text without what nobody sees: characters of the line's alphabet, 0 for any other, and what stood before each. */
struct compact {
	size_t n;
	char *c;
	uint8_t *gap; /* enum gap; one more than characters */
};

/* ---- characters ---- */

struct source {
	const uint8_t *p, *end;
	enum { UTF8, UTF16_LE, UTF16_BE } form;
};

static void
source_init(struct source *s, struct lt_slice text)
{
	s->p = text.data;
	s->end = text.data + text.len;
	s->form = UTF8;
	if (text.len >= 2 && text.data[0] == 0xff && text.data[1] == 0xfe)
		s->form = UTF16_LE;
	else if (text.len >= 2 && text.data[0] == 0xfe && text.data[1] == 0xff)
		s->form = UTF16_BE;
}

/* The next code point, anything that is none as U+FFFD. With p before end. */
static uint32_t
next_point(struct source *s)
{
	uint32_t v;
	unsigned more, b;

	if (s->form != UTF8) {
		if (s->end - s->p < 2) {
			s->p = s->end;
			return 0xfffd;
		}
		v = s->form == UTF16_LE ? (uint32_t)(s->p[0] | s->p[1] << 8)
					: (uint32_t)(s->p[0] << 8 | s->p[1]);
		s->p += 2;
		return v;
	}
	b = *s->p++;
	if (b < 0x80)
		return b;
	more = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : b >= 0xc0 ? 1 : 0;
	v = b & (0x3fu >> more);
	for (; more > 0 && s->p < s->end && (*s->p & 0xc0) == 0x80; more--)
		v = v << 6 | (*s->p++ & 0x3f);
	return more == 0 && b >= 0xc0 && v >= 0x80 ? v : 0xfffd;
}

static bool
is_unseen(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || c == 0xad ||
	       (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	       (c >= 0x205f && c <= 0x2064) || (c >= 0x2066 && c <= 0x2069) || c == 0x3000 ||
	       c == 0xfeff;
}

static bool
is_alphabet(uint32_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Phones and word processors make typographic dashes of plain ones, and one long of two. */
static size_t
dashes(uint32_t c)
{
	return (c >= 0x2010 && c <= 0x2013) || c == 0x2212 ? 1 : c == 0x2014 ? 2 : 0;
}

static void
put(struct compact *t, char c, enum gap gap)
{
	t->c[t->n] = c;
	t->gap[t->n++] = (uint8_t)gap;
}

static int
compact(struct compact *t, struct lt_slice text)
{
	bool line_start = true;
	unsigned ends = 0; /* of lines, since the last character */
	enum gap gap = GAP_NONE;
	struct source s;
	uint32_t c;
	size_t k;

	/* A character of UTF-8 that becomes two dashes has three bytes, one of UTF-16 two. */
	t->n = 0;
	t->c = malloc(text.len + 1);
	t->gap = malloc(text.len + 1);
	if (t->c == NULL || t->gap == NULL)
		return LT_E_NOMEM;
	source_init(&s, text);
	while (s.p < s.end) {
		c = next_point(&s);
		/* Marks of a quoted message, and of a line that goes on in quoted-printable. */
		if (is_unseen(c) || (c == '>' && line_start) ||
		    (c == '=' && s.p < s.end && (*s.p == '\r' || *s.p == '\n'))) {
			ends += c == '\n' || c == 0x2029;
			line_start = line_start || c == '\n';
			gap = ends >= 2 ? GAP_PARAGRAPH : GAP_BLANK;
			continue;
		}
		line_start = false;
		for (k = dashes(c); k > 0; k--) {
			put(t, '-', gap);
			gap = GAP_NONE;
		}
		if (dashes(c) == 0)
			put(t, (char)(is_alphabet(c) || c == '.' ? c : 0), gap);
		gap = GAP_NONE;
		ends = 0;
	}
	t->gap[t->n] = GAP_PARAGRAPH;
	return LT_OK;
}

static void
forget(struct compact *t, size_t cap)
{
	if (t->c != NULL)
		sodium_memzero(t->c, cap);
	free(t->c);
	free(t->gap);
}

/* ---- the line ---- */

/* Where the next one may begin, from at on; n: nowhere. The prefix with another digit is one of another version. */
static size_t
next_start(const struct compact *t, size_t at, char *version)
{
	for (; at + PREFIX_LEN <= t->n; at++)
		if (t->c[at] == 'L' && t->c[at + 1] == 'T' && t->c[at + 2] >= '1' &&
		    t->c[at + 2] <= '9' && t->c[at + 3] == '.') {
			*version = t->c[at + 2];
			return at;
		}
	return t->n;
}

static size_t
run_length(const struct compact *t, size_t at)
{
	size_t n = 0;

	while (at + n < t->n && n < RUN_MAX && t->c[at + n] != 0 && t->c[at + n] != '.')
		n++;
	return n;
}

static bool
decode(const char *text, size_t len, uint8_t out[BYTES_MAX], size_t *n)
{
	return sodium_base642bin(out, BYTES_MAX, text, len, NULL, n, NULL,
		   sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

static bool
check_holds(const uint8_t *bytes, size_t n)
{
	uint8_t check[16];

	lt_h16(LT_TAG_TOKEN, lt_slice(bytes, n - CHECK_LEN), check);
	return memcmp(check, bytes + n - CHECK_LEN, CHECK_LEN) == 0;
}

/* Of the characters that may be one invitation, those that are: their number, or 0. An end is where something unseen stood, or
 * another character. */
static size_t
whole_at(const struct compact *t, size_t at, size_t run, size_t *tries)
{
	uint8_t bytes[BYTES_MAX];
	size_t end, n, found = 0;

	for (end = run; found == 0 && end > 0 && *tries < ENDS_MAX; end--) {
		if (end != run && t->gap[at + end] == GAP_NONE)
			continue;
		if (!decode(t->c + at, end, bytes, &n) || n < BYTES_MIN + CHECK_LEN)
			continue;
		++*tries;
		if (check_holds(bytes, n))
			found = end;
	}
	sodium_memzero(bytes, sizeof(bytes));
	return found;
}

/* A field that cannot be read, because it ends beyond the end: none of an invitation's would do so before a cut. */
static bool
is_impossible(const uint8_t *field, size_t n)
{
	static const uint8_t len[5] = { 0, 32, 16, 32, 16 };

	if (n < 2)
		return false;
	if (field[0] >> 3 >= 1 && field[0] >> 3 <= 4)
		return field[1] != len[field[0] >> 3];
	return field[0] >> 3 == 0 || field[0] >> 3 > 9 || (field[0] & 7) == 3 ||
	       (field[0] & 7) == 4 || (field[0] & 7) > 5;
}

/* Bytes without a check that holds. Every invitation ends with field 9 and the check: was all of it there? */
static enum lt_invitation_fault
fault_of_bytes(const uint8_t *bytes, size_t n)
{
	struct lt_wire_item f;
	struct lt_reader r;
	size_t read = 0;

	lt_reader_init(&r, lt_slice(bytes, n));
	while (lt_wire_step(&r, &f)) {
		read = (size_t)(r.p - bytes);
		if (f.number == 9)
			return n - read >= CHECK_LEN ? LT_INVITATION_CHANGED : LT_INVITATION_CUT;
		if (f.number == 0 || f.number > 15)
			return LT_INVITATION_CHANGED;
	}
	return r.err != LT_OK && is_impossible(bytes + read, n - read) ? LT_INVITATION_CHANGED
								       : LT_INVITATION_CUT;
}

/* What is wrong with the characters, up to the end of their paragraph. */
static enum lt_invitation_fault
fault_of(const struct compact *t, size_t at, size_t run)
{
	enum lt_invitation_fault fault = LT_INVITATION_CUT;
	uint8_t bytes[BYTES_MAX];
	size_t n = 0, end = 0;

	while (end < run && (end == 0 || t->gap[at + end] != GAP_PARAGRAPH))
		end++;
	/* The bits of a byte that was cut through are none of the text's faults. */
	if (end % 4 == 1 || (end % 4 != 0 && !decode(t->c + at, end, bytes, &n)))
		end -= end % 4;
	if (decode(t->c + at, end, bytes, &n))
		fault = fault_of_bytes(bytes, n);
	sodium_memzero(bytes, sizeof(bytes));
	return fault;
}

/* The line, as the other end wrote it. */
static int
take(const struct compact *t, size_t start, size_t len, struct lt_arena *arena,
    Ltpb__Invitation **inv, enum lt_invitation_fault *fault)
{
	struct lt_buf line;
	int rc;

	lt_buf_init(&line, PREFIX_LEN + RUN_MAX + 1);
	lt_buf_put(&line, t->c + start, PREFIX_LEN + len);
	lt_buf_u8(&line, 0);
	rc = line.err != LT_OK ? line.err
			       : lt_invitation_parse((const char *)line.data, arena, inv, NULL);
	if (rc == LT_E_INVALID || rc == LT_E_TOOBIG) {
		rc = LT_E_INVALID;
		*fault = LT_INVITATION_SENSELESS;
	}
	if (line.data != NULL)
		sodium_memzero(line.data, line.len);
	lt_buf_fini(&line);
	return rc;
}

static int
find(const struct compact *t, struct lt_arena *arena, Ltpb__Invitation **inv,
    enum lt_invitation_fault *fault)
{
	enum lt_invitation_fault first = LT_INVITATION_NOT_THERE;
	size_t starts, at = 0, run, len, tries = 0;
	char version = '1';

	for (starts = 0; starts < STARTS_MAX; starts++, at++) {
		at = next_start(t, at, &version);
		if (at == t->n)
			break;
		run = run_length(t, at + PREFIX_LEN);
		len = version == '1' ? whole_at(t, at + PREFIX_LEN, run, &tries) : 0;
		if (len != 0)
			return take(t, at, len, arena, inv, fault);
		if (first == LT_INVITATION_NOT_THERE)
			first = version != '1' ? LT_INVITATION_NEWER
					       : fault_of(t, at + PREFIX_LEN, run);
	}
	*fault = first;
	return LT_E_INVALID;
}

int
lt_invitation_find(struct lt_slice text, struct lt_arena *arena, Ltpb__Invitation **inv,
    enum lt_invitation_fault *fault)
{
	struct compact t = { 0 };
	int rc;

	*fault = LT_INVITATION_NONE;
	if (text.len > LT_INVITATION_TEXT_MAX)
		return LT_E_TOOBIG;
	rc = compact(&t, text);
	if (rc == LT_OK)
		rc = find(&t, arena, inv, fault);
	forget(&t, text.len + 1);
	return rc;
}
