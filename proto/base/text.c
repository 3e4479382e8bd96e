#include "proto/base/text.h"
#include "proto/base/error.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Sorting a run of combining marks is quadratic in the library; no language comes near this. */
#define MARKS_MAX 128

static inline bool
is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Two to four bytes of UTF-8 that stand at p; 0 when they are none: cut, overlong, a surrogate, above U+10FFFF. */
static inline size_t
read_long(const uint8_t *p, size_t left, int32_t *cp)
{
	if (p[0] < 0xc2 || left < 2 || !is_tail(p[1]))
		return 0;
	if (p[0] < 0xe0) {
		*cp = (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
		return 2;
	}
	if (left < 3 || !is_tail(p[2]))
		return 0;
	if (p[0] < 0xf0) {
		*cp = (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		return *cp >= 0x800 && (*cp < 0xd800 || *cp > 0xdfff) ? 3 : 0;
	}
	if (left < 4 || !is_tail(p[3]))
		return 0;
	*cp = (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6 | (p[3] & 0x3f);
	return p[0] < 0xf5 && *cp >= 0x10000 && *cp <= 0x10ffff ? 4 : 0;
}

/* One code point at s[*i], which moves on; -1 when it is not UTF-8 or is NUL. */
static inline int32_t
next_char(struct lt_slice s, size_t *i)
{
	int32_t cp;
	size_t n;

	if (s.data[*i] < 0x80) {
		cp = s.data[(*i)++];
		return cp == 0 ? -1 : cp;
	}
	n = read_long(s.data + *i, s.len - *i, &cp);
	*i += n;
	return n == 0 ? -1 : cp;
}

/* How many bytes from i on are ASCII without NUL, looked at eight at a time. */
static inline size_t
skip_ascii(struct lt_slice s, size_t i)
{
	const uint64_t high = UINT64_C(0x8080808080808080), low = UINT64_C(0x0101010101010101);
	uint64_t w;

	for (; s.len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, s.data + i, sizeof(w));
		if (((w | ((w - low) & ~w)) & high) != 0)
			break;
	}
	return i;
}

static void
put_char(struct lt_buf *out, int32_t cp)
{
	utf8proc_uint8_t b[4];

	lt_buf_put(out, b, (size_t)utf8proc_encode_char(cp, b));
}

static bool
is_blank(int32_t cp)
{
	return cp == ' ' || cp == '\t' || cp == '\r' || cp == '\n' || cp == 0xa0 || cp == 0xfeff;
}

bool
lt_text_valid(struct lt_slice s)
{
	size_t i = skip_ascii(s, 0);

	while (i < s.len)
		if (next_char(s, &i) < 0)
			return false;
	return true;
}

enum nfc_guess { NFC_YES, NFC_MAYBE, NFC_NO, NFC_NOT_TEXT };

/* Decides nearly all text without normalising it: below U+0300, in the Vietnamese block and in
 * this range of punctuation nothing decomposes away, combines or reorders. Marks out of canonical
 * order are never NFC; *marks_max is the longest run of marks. */
static enum nfc_guess
guess_nfc(struct lt_slice s, size_t *marks_max)
{
	enum nfc_guess guess = NFC_YES;
	size_t i = skip_ascii(s, 0), marks = 0;
	int32_t cp, ccc, before = 0;

	*marks_max = 0;
	while (i < s.len) {
		cp = next_char(s, &i);
		if (cp < 0)
			return NFC_NOT_TEXT;
		if (cp < 0x300 || (cp >= 0x1ea0 && cp <= 0x1ef9) ||
		    (cp >= 0x2010 && cp <= 0x2027)) {
			before = 0;
			marks = 0;
			continue;
		}
		ccc = utf8proc_get_property(cp)->combining_class;
		if (guess == NFC_YES)
			guess = NFC_MAYBE;
		if (ccc != 0 && ccc < before)
			guess = NFC_NO;
		before = ccc;
		marks = ccc == 0 ? 0 : marks + 1;
		if (marks > *marks_max)
			*marks_max = marks;
	}
	return guess;
}

static int
compose_piece(struct lt_buf *out, struct lt_slice s)
{
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
	utf8proc_uint8_t *p = NULL;
	utf8proc_ssize_t n = utf8proc_map(s.data, (utf8proc_ssize_t)s.len, &p, how);

	if (n < 0)
		return n == UTF8PROC_ERROR_NOMEM ? LT_E_NOMEM : LT_E_INVALID;
	lt_buf_put(out, p, (size_t)n);
	free(p);
	return out->err;
}

/* NFC of valid text, whose marks are few or in order. In pieces, because the library swallows a
 * U+11A7 after a Hangul syllable; that character composes with nothing on either side. */
static int
compose(struct lt_buf *out, struct lt_slice s)
{
	static const char u11a7[] = "\xe1\x86\xa7";
	struct lt_slice left = s;
	const uint8_t *cut;
	size_t n;
	int rc = LT_OK;

	while (rc == LT_OK && left.len > 0) {
		cut = memmem(left.data + 1, left.len - 1, u11a7, 3);
		n = cut == NULL ? left.len : (size_t)(cut - left.data);
		rc = compose_piece(out, lt_slice(left.data, n));
		left = lt_slice(left.data + n, left.len - n);
	}
	return rc;
}

bool
lt_text_is_nfc(struct lt_slice s)
{
	size_t marks;
	enum nfc_guess guess = guess_nfc(s, &marks);
	struct lt_buf nfc = { 0 };
	bool same;

	if (guess != NFC_MAYBE)
		return guess == NFC_YES;
	same = compose(&nfc, s) == LT_OK && lt_slice_eq(lt_buf_slice(&nfc), s);
	lt_buf_fini(&nfc);
	return same;
}

int
lt_text_nfc(struct lt_buf *out, struct lt_slice s, bool *changed)
{
	size_t marks, start = out->len;
	enum nfc_guess guess = guess_nfc(s, &marks);
	int rc;

	if (guess == NFC_NOT_TEXT || marks > MARKS_MAX)
		return LT_E_INVALID;
	if (changed != NULL)
		*changed = false;
	if (guess == NFC_YES) {
		lt_buf_put_slice(out, s);
		return out->err;
	}
	rc = compose(out, s);
	if (rc != LT_OK) {
		out->len = start;
		return rc;
	}
	if (changed != NULL)
		*changed = !lt_slice_eq(lt_slice(out->data + start, out->len - start), s);
	return LT_OK;
}

/* Simple case folding (Unicode CaseFolding.txt, C and S). The library folds in full; where that
 * gives several characters, the simple mapping is the lower case, and for U+0130 none. */
static int32_t
fold_char(int32_t cp)
{
	utf8proc_int32_t full[8];
	int boundary = 0;

	if (cp < 0x80)
		return cp >= 'A' && cp <= 'Z' ? cp + ('a' - 'A') : cp;
	if (utf8proc_decompose_char(cp, full, 8, UTF8PROC_CASEFOLD, &boundary) == 1)
		return full[0];
	return cp == 0x130 ? cp : utf8proc_tolower(cp);
}

static int
squeeze(struct lt_buf *out, struct lt_slice s, bool fold)
{
	size_t i = 0, start = out->len;
	bool blank = false;
	int32_t cp;

	while (i < s.len) {
		cp = next_char(s, &i);
		if (cp < 0) {
			out->len = start;
			return LT_E_INVALID;
		}
		if (is_blank(cp)) {
			blank = true;
			continue;
		}
		if (blank && out->len > start)
			lt_buf_u8(out, ' ');
		blank = false;
		put_char(out, fold ? fold_char(cp) : cp);
	}
	return out->err;
}

int
lt_text_fold(struct lt_buf *out, struct lt_slice s)
{
	struct lt_buf nfc = { 0 }, folded = { 0 };
	int rc;

	rc = lt_text_nfc(&nfc, s, NULL);
	if (rc == LT_OK)
		rc = squeeze(&folded, lt_buf_slice(&nfc), true);
	/* Folding can leave NFC (U+0345 becomes a letter). */
	if (rc == LT_OK)
		rc = lt_text_nfc(out, lt_buf_slice(&folded), NULL);
	lt_buf_fini(&nfc);
	lt_buf_fini(&folded);
	return rc;
}

int
lt_text_trim(struct lt_buf *out, struct lt_slice s, bool *changed)
{
	size_t start = out->len;
	int rc = squeeze(out, s, false);

	if (rc == LT_OK && changed != NULL)
		*changed = out->len - start != s.len ||
			   (s.len != 0 && memcmp(out->data + start, s.data, s.len) != 0);
	return rc;
}

/* What can move the cursor, end a line or turn the reading direction of a terminal. */
static bool
is_control(int32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200e && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

size_t
lt_text_copy(char *out, size_t cap, struct lt_slice s)
{
	size_t len = s.len;

	if (len >= cap)
		for (len = cap - 1; len > 0 && is_tail(s.data[len]);)
			len--;
	if (len > 0)
		memcpy(out, s.data, len);
	out[len] = '\0';
	return len;
}

size_t
lt_text_escape(char *out, size_t cap, struct lt_slice s)
{
	static const char digits[] = "0123456789abcdef";
	size_t i = 0, n = 0, at, k, len;
	int32_t cp;

	while (i < s.len) {
		at = i;
		cp = next_char(s, &i);
		if (cp < 0)
			i = at + 1;
		len = i - at;
		if (cp >= 0 && !is_control(cp)) {
			if (len > cap - n)
				break;
			memcpy(out + n, s.data + at, len);
			n += len;
			continue;
		}
		if (4 * len > cap - n)
			break;
		for (k = at; k < i; k++) {
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = digits[s.data[k] >> 4];
			out[n++] = digits[s.data[k] & 15];
		}
	}
	return n;
}

size_t
lt_text_width(struct lt_slice s)
{
	size_t i = 0, at, columns = 0;
	int32_t cp;
	int w;

	while (i < s.len) {
		at = i;
		cp = next_char(s, &i);
		if (cp < 0) {
			i = at + 1;
			columns++;
			continue;
		}
		w = utf8proc_charwidth(cp);
		columns += w > 0 ? (size_t)w : 0;
	}
	return columns;
}
