/* From text to jansson's values, bounded before, with numbers kept in their own words: jansson has int64 and double, and
 * a uint64 is neither. */
#include "proto/rpc/json_impl.h"

#include "proto/base/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Begins the string that stands for a number. A text from outside that begins with NUL gets a second one, so that the
 * two cannot be taken for each other; it is refused later, as every NUL is, by its path. */
#define MARK "\\u0000"
#define NUMBER_MARK '#'
#define PLAIN_DIGITS 18 /* always fit int64 */

struct scan {
	struct lt_slice text;
	size_t at; /* read up to here */
	size_t kept; /* copied to out up to here */
	size_t values, depth;
	struct lt_buf out; /* the text rewritten; empty while nothing had to be */
};

int
lt_json_fail(struct lt_json_err *err, int code, const char *en, const char *vi)
{
	if (err != NULL) {
		memset(err, 0, sizeof(*err));
		(void)snprintf(err->message, sizeof(err->message), "%s", en);
		(void)snprintf(err->message_vi, sizeof(err->message_vi), "%s", vi);
	}
	return code;
}

/* ---- numbers ---- */

static size_t
digits(struct lt_slice s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && s.data[at + n] >= '0' && s.data[at + n] <= '9')
		n++;
	return n;
}

bool
lt_json_is_number(struct lt_slice s)
{
	size_t at = s.len != 0 && s.data[0] == '-', n = digits(s, at);

	if (n == 0 || (n > 1 && s.data[at] == '0'))
		return false;
	at += n;
	if (at < s.len && s.data[at] == '.') {
		n = digits(s, at + 1);
		if (n == 0)
			return false;
		at += 1 + n;
	}
	if (at < s.len && (s.data[at] == 'e' || s.data[at] == 'E')) {
		at++;
		at += at < s.len && (s.data[at] == '+' || s.data[at] == '-');
		n = digits(s, at);
		if (n == 0)
			return false;
		at += n;
	}
	return at == s.len;
}

bool
lt_json_number(const json_t *v, char tmp[24], struct lt_slice *words)
{
	const char *s;
	size_t n;

	if (json_is_integer(v)) {
		n = (size_t)snprintf(tmp, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		*words = lt_slice(tmp, n);
		return true;
	}
	s = json_string_value(v);
	n = json_string_length(v);
	if (s == NULL || n < 2 || s[0] != '\0' || s[1] != NUMBER_MARK)
		return false;
	*words = lt_slice(s + 2, n - 2);
	return true;
}

static bool
times_ten(uint64_t *v, unsigned digit)
{
	return !__builtin_mul_overflow(*v, 10u, v) && !__builtin_add_overflow(*v, digit, v);
}

/* The power of ten behind e; far beyond every number that fits it no longer matters which. */
static int64_t
exponent(struct lt_slice s, size_t at)
{
	const int64_t far = INT64_C(1) << 40;
	bool negative = at < s.len && s.data[at] == '-';
	int64_t e = 0;

	for (; at < s.len; at++)
		if (s.data[at] >= '0' && s.data[at] <= '9' && e < far)
			e = 10 * e + (s.data[at] - '0');
	return negative ? -e : e;
}

bool
lt_json_whole(struct lt_slice words, bool *negative, uint64_t *v)
{
	size_t at, zeros = 0; /* not counted into *v yet */
	bool point = false, fits = true;
	int64_t e = 0;

	if (!lt_json_is_number(words))
		return false;
	*negative = words.data[0] == '-';
	*v = 0;
	for (at = *negative; at < words.len && (words.data[at] | 0x20) != 'e'; at++) {
		if (words.data[at] == '.') {
			point = true;
			continue;
		}
		e -= point;
		if (words.data[at] == '0') {
			zeros++;
			continue;
		}
		for (; zeros != 0 && *v != 0 && fits; zeros--)
			fits = times_ten(v, 0);
		zeros = 0;
		fits = fits && times_ten(v, (unsigned)(words.data[at] - '0'));
	}
	if (*v == 0 && fits)
		return true;
	e += (int64_t)zeros + (at < words.len ? exponent(words, at + 1) : 0);
	for (; e > 0 && fits; e--)
		fits = times_ten(v, 0);
	return fits && e == 0;
}

bool
lt_json_double(struct lt_slice words, double *v)
{
	json_t *j;

	if (!lt_json_is_number(words))
		return false;
	j = json_loadb(
	    (const char *)words.data, words.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	if (j == NULL)
		return false;
	*v = json_real_value(j);
	json_decref(j);
	return true;
}

bool
lt_json_narrow(double d, float *f)
{
	/* Half a step above FLT_MAX still rounds to it; what C converts ends at it. */
	if (isfinite(d) && fabs(d) > (double)FLT_MAX) {
		*f = d > 0 ? FLT_MAX : -FLT_MAX;
		return fabs(d) < (double)FLT_MAX * (1 + (double)FLT_EPSILON / 4);
	}
	*f = (float)d;
	return true;
}

/* ---- the text ---- */

/* Copy what was read up to here, then what goes in between. */
static void
insert(struct scan *s, size_t at, const char *what)
{
	lt_buf_put(&s->out, s->text.data + s->kept, at - s->kept);
	lt_buf_str(&s->out, what);
	s->kept = at;
}

static void
scan_string(struct scan *s)
{
	const size_t n = sizeof(MARK) - 1;
	uint8_t c;

	s->at++;
	if (s->text.len - s->at >= n && memcmp(s->text.data + s->at, MARK, n) == 0)
		insert(s, s->at, MARK);
	while (s->at < s->text.len) {
		c = s->text.data[s->at++];
		if (c == '"')
			return;
		if (c == '\\' && s->at < s->text.len)
			s->at++;
	}
}

static void
scan_number(struct scan *s)
{
	static const char begin[] = { '"', '\\', 'u', '0', '0', '0', '0', NUMBER_MARK, '\0' };
	size_t from = s->at, minus = s->text.data[from] == '-', n;
	struct lt_slice words;

	while (s->at < s->text.len && s->text.data[s->at] != '\0' &&
	       strchr("+-.0123456789eE", s->text.data[s->at]) != NULL)
		s->at++;
	words = lt_slice(s->text.data + from, s->at - from);
	n = digits(words, minus);
	if (minus + n == words.len && n <= PLAIN_DIGITS &&
	    !(minus && n != 0 && words.data[1] == '0'))
		return;
	if (!lt_json_is_number(words))
		return; /* jansson says what is wrong with it */
	insert(s, from, begin);
	insert(s, s->at, "\"");
}

static int
scan(struct scan *s, struct lt_json_err *err)
{
	s->values = 1;
	while (s->at < s->text.len) {
		uint8_t c = s->text.data[s->at];

		if (c == '"') {
			scan_string(s);
			continue;
		}
		if (c == '-' || (c >= '0' && c <= '9')) {
			scan_number(s);
			continue;
		}
		s->at++;
		if (c == '{' || c == '[')
			s->depth++;
		else if ((c == '}' || c == ']') && s->depth > 0)
			s->depth--;
		s->values += c == ',' || c == '{' || c == '[';
		if (s->depth > LT_JSON_NEST_MAX)
			return lt_json_fail(err, LT_E_TOOBIG, "the JSON is nested too deep",
			    "JSON lồng nhau quá sâu");
		if (s->values > LT_JSON_VALUES_MAX)
			return lt_json_fail(err, LT_E_TOOBIG, "the JSON has too many values",
			    "JSON có quá nhiều giá trị");
	}
	if (s->kept != 0)
		insert(s, s->text.len, "");
	return s->out.err == LT_OK ? LT_OK
				   : lt_json_fail(err, s->out.err, "no memory for the JSON",
					 "không đủ bộ nhớ cho JSON");
}

static int
malformed(struct lt_json_err *err, const json_error_t *e)
{
	char words[301];

	if (json_error_code(e) == json_error_out_of_memory)
		return lt_json_fail(
		    err, LT_E_NOMEM, "no memory for the JSON", "không đủ bộ nhớ cho JSON");
	if (err == NULL)
		return LT_E_INVALID;
	memset(err, 0, sizeof(*err));
	words[lt_text_escape(words, sizeof(words) - 1, lt_slice_str(e->text))] = '\0';
	(void)snprintf(err->message, sizeof(err->message), "not JSON: line %d: %s", e->line, words);
	(void)snprintf(err->message_vi, sizeof(err->message_vi),
	    "không phải JSON: dòng %d (tiếng Anh: %s)", e->line, words);
	return LT_E_INVALID;
}

int
lt_json_parse(struct lt_slice text, json_t **out, struct lt_json_err *err)
{
	struct scan s = { .text = text };
	json_error_t e;
	int rc;

	if (text.len > LT_JSON_TEXT_MAX)
		return lt_json_fail(
		    err, LT_E_TOOBIG, "the JSON is longer than 2 MiB", "JSON dài quá 2 MiB");
	lt_buf_init(&s.out, LT_JSON_TEXT_MAX + 10 * LT_JSON_VALUES_MAX);
	rc = scan(&s, err);
	if (rc == LT_OK && s.out.len != 0)
		text = lt_buf_slice(&s.out);
	*out = NULL;
	if (rc == LT_OK) {
		*out = json_loadb(text.len == 0 ? "" : (const char *)text.data, text.len,
		    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
		rc = *out == NULL ? malformed(err, &e) : LT_OK;
	}
	lt_buf_fini(&s.out);
	return rc;
}
