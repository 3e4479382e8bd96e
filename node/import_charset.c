#include "node/import_charset.h"

#include "proto/base/text.h"

#include <string.h>
#include <utf8proc.h>

/* TCVN 5712:1993, VN3, bytes 80-FF. 0: the encoding has no such byte. */
static const uint16_t tcvn3[128] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 80 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 90 */
	0x00a0, 0x0102, 0x00c2, 0x00ca, 0x00d4, 0x01a0, 0x01af, 0x0110, /* A0 */
	0x0103, 0x00e2, 0x00ea, 0x00f4, 0x01a1, 0x01b0, 0x0111, 0, 0, 0, 0, 0, 0, /* A8 */
	0x00e0, 0x1ea3, 0x00e3, 0x00e1, 0x1ea1, 0, 0x1eb1, 0x1eb3, 0x1eb5, 0x1eaf, 0, /* B5 */
	0, 0, 0, 0, 0, 0, 0x1eb7, 0x1ea7, 0x1ea9, 0x1eab, 0x1ea5, 0x1ead, 0x00e8, 0, /* C0 */
	0x1ebb, 0x1ebd, 0x00e9, 0x1eb9, 0x1ec1, 0x1ec3, 0x1ec5, 0x1ebf, 0x1ec7, 0x00ec, /* CE */
	0x1ec9, 0, 0, 0, 0x0129, 0x00ed, 0x1ecb, 0x00f2, 0, 0x1ecf, 0x00f5, 0x00f3, /* D8 */
	0x1ecd, 0x1ed3, 0x1ed5, 0x1ed7, 0x1ed1, 0x1ed9, 0x1edd, 0x1edf, 0x1ee1, 0x1edb, /* E4 */
	0x1ee3, 0x00f9, 0, 0x1ee7, 0x0169, 0x00fa, 0x1ee5, 0x1eeb, 0x1eed, 0x1eef, /* EE */
	0x1ee9, 0x1ef1, 0x1ef3, 0x1ef7, 0x1ef9, 0x00fd, 0x1ef5, 0 }; /* F8 */

/* Windows code page 1258 where it is not Latin-1, bytes 80-FF. */
struct code_point {
	uint8_t byte;
	uint16_t cp; /* 0: no such byte */
};
static const struct code_point cp1258[] = { { 0x80, 0x20ac }, { 0x81, 0 }, { 0x82, 0x201a },
	{ 0x83, 0x0192 }, { 0x84, 0x201e }, { 0x85, 0x2026 }, { 0x86, 0x2020 }, { 0x87, 0x2021 },
	{ 0x88, 0x02c6 }, { 0x89, 0x2030 }, { 0x8a, 0 }, { 0x8b, 0x2039 }, { 0x8c, 0x0152 },
	{ 0x8d, 0 }, { 0x8e, 0 }, { 0x8f, 0 }, { 0x90, 0 }, { 0x91, 0x2018 }, { 0x92, 0x2019 },
	{ 0x93, 0x201c }, { 0x94, 0x201d }, { 0x95, 0x2022 }, { 0x96, 0x2013 }, { 0x97, 0x2014 },
	{ 0x98, 0x02dc }, { 0x99, 0x2122 }, { 0x9a, 0 }, { 0x9b, 0x203a }, { 0x9c, 0x0153 },
	{ 0x9d, 0 }, { 0x9e, 0 }, { 0x9f, 0x0178 }, { 0xc3, 0x0102 }, { 0xcc, 0x0300 },
	{ 0xd0, 0x0110 }, { 0xd2, 0x0309 }, { 0xd5, 0x01a0 }, { 0xdd, 0x01af }, { 0xde, 0x0303 },
	{ 0xe3, 0x0103 }, { 0xec, 0x0301 }, { 0xf0, 0x0111 }, { 0xf2, 0x0323 }, { 0xf5, 0x01a1 },
	{ 0xfd, 0x01b0 }, { 0xfe, 0x20ab } };

static const char *const charset_names[] = { "auto", "utf-8", "windows-1258", "tcvn3" };

bool
lt_charset_from_name(const char *name, enum lt_charset *out)
{
	size_t i;

	for (i = 0; i < sizeof(charset_names) / sizeof(charset_names[0]); i++)
		if (strcmp(name, charset_names[i]) == 0) {
			*out = (enum lt_charset)i;
			return true;
		}
	return false;
}

const char *
lt_charset_name(enum lt_charset c)
{
	return charset_names[c];
}

static uint16_t
from_cp1258(uint8_t b)
{
	size_t i;

	for (i = 0; i < sizeof(cp1258) / sizeof(cp1258[0]); i++)
		if (cp1258[i].byte == b)
			return cp1258[i].cp;
	return b;
}

/* TCVN keeps toned capitals of its other variants at 01-17: in a VN3 text these are damage. */
static uint16_t
from_tcvn3(uint8_t b)
{
	if (b >= 0x80)
		return tcvn3[b - 0x80];
	return b >= 0x20 || b == '\t' || b == '\n' || b == '\r' ? b : 0;
}

static int
decode_bytes(enum lt_charset c, struct lt_slice s, struct lt_buf *out)
{
	utf8proc_uint8_t u[4];
	uint16_t cp;
	size_t i;

	for (i = 0; i < s.len; i++) {
		cp = c == LT_CHARSET_TCVN3 ? from_tcvn3(s.data[i])
		     : s.data[i] < 0x80    ? s.data[i]
					   : from_cp1258(s.data[i]);
		if (cp == 0)
			return LT_E_INVALID;
		lt_buf_put(out, u, (size_t)utf8proc_encode_char(cp, u));
	}
	return out->err;
}

int
lt_charset_decode(enum lt_charset c, struct lt_slice s, struct lt_buf *out, bool *was_nfd)
{
	struct lt_buf raw = { 0 };
	int rc;

	if (c == LT_CHARSET_UTF8 || c == LT_CHARSET_AUTO)
		return lt_text_nfc(out, s, was_nfd);
	if (was_nfd != NULL)
		*was_nfd = false;
	rc = decode_bytes(c, s, &raw);
	if (rc == LT_OK)
		rc = lt_text_nfc(out, lt_buf_slice(&raw), NULL);
	lt_buf_fini(&raw);
	return rc;
}

/* Length of s without a character that its end cuts off. */
static size_t
whole_chars(struct lt_slice s)
{
	size_t back, need;
	uint8_t b;

	for (back = 1; back <= 3 && back <= s.len; back++) {
		b = s.data[s.len - back];
		if ((b & 0xc0) == 0x80)
			continue;
		need = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc0 ? 2 : 1;
		return need > back ? s.len - back : s.len;
	}
	return s.len;
}

static size_t
count_above_ascii(struct lt_slice s)
{
	size_t i, n = 0;

	for (i = 0; i < s.len; i++)
		n += s.data[i] >= 0x80;
	return n;
}

/* NUL bytes are a fault of single records, not a sign of another encoding. */
static bool
is_utf8(struct lt_slice s)
{
	utf8proc_int32_t cp;
	utf8proc_ssize_t n;
	size_t i = 0;

	while (i < s.len) {
		n = utf8proc_iterate(s.data + i, (utf8proc_ssize_t)(s.len - i), &cp);
		if (n <= 0)
			return false;
		i += (size_t)n;
	}
	return true;
}

int
lt_charset_settle(enum lt_charset wanted, bool bom, struct lt_slice head, bool cut,
    enum lt_charset *out, struct lt_err *err)
{
	bool utf8;

	if (cut)
		head.len = whole_chars(head);
	utf8 = is_utf8(head);
	*out = wanted == LT_CHARSET_AUTO ? LT_CHARSET_UTF8 : wanted;
	if (*out != LT_CHARSET_UTF8 && bom)
		return lt_err_set(err, LT_E_INVALID,
		    "the file says it is UTF-8 (byte order mark), the mapping says %s",
		    lt_charset_name(wanted));
	/* Eight high bytes in valid sequences by chance: less than one in a million. */
	if (*out != LT_CHARSET_UTF8 && utf8 && count_above_ascii(head) >= 8)
		return lt_err_set(err, LT_E_INVALID,
		    "the file is written in UTF-8, the mapping says %s", lt_charset_name(wanted));
	if (wanted == LT_CHARSET_AUTO && !bom && !utf8)
		return lt_err_set(err, LT_E_UNSUPPORTED,
		    "the file is not UTF-8: the mapping must name its encoding, "
		    "\"windows-1258\" or \"tcvn3\"");
	return LT_OK;
}

/* Small letters that VN3 has no capital for. */
static bool
is_toned(utf8proc_int32_t cp)
{
	size_t i;

	for (i = 0xb5 - 0x80; i < 128; i++)
		if (tcvn3[i] == cp)
			return true;
	return false;
}

struct word {
	size_t letters, upper_inside, small_plain, small_toned;
};

static bool
word_lost(const struct word *w)
{
	return w->upper_inside > 0 && w->small_toned > 0 && w->small_plain == 0;
}

bool
lt_charset_capitals_lost(struct lt_slice s)
{
	struct word w = { 0 };
	utf8proc_category_t cat;
	utf8proc_int32_t cp;
	utf8proc_ssize_t n;
	size_t i = 0;

	while (i < s.len) {
		n = utf8proc_iterate(s.data + i, (utf8proc_ssize_t)(s.len - i), &cp);
		if (n <= 0)
			return false;
		i += (size_t)n;
		cat = utf8proc_category(cp);
		if (cat != UTF8PROC_CATEGORY_LU && cat != UTF8PROC_CATEGORY_LL) {
			if (word_lost(&w))
				return true;
			memset(&w, 0, sizeof(w));
			continue;
		}
		w.upper_inside += cat == UTF8PROC_CATEGORY_LU && w.letters > 0;
		w.small_toned += is_toned(cp);
		w.small_plain += cat == UTF8PROC_CATEGORY_LL && !is_toned(cp);
		w.letters++;
	}
	return word_lost(&w);
}
