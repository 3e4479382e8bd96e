#include "proto/model/value.h"

#include "proto/base/limits.h"
#include "proto/base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define INDEX_TEXT_MAX 96 /* FORMAT.md 9.4 */
#define INDEX_BYTES_MAX 48 /* FORMAT.md 9.4 */
#define DAYS_MIN (-719162) /* 0001-01-01 */
#define DAYS_MAX 2932896 /* 9999-12-31 */
#define TIMESTAMP_MIN (DAYS_MIN * DAY_MS)
#define TIMESTAMP_MAX (DAYS_MAX * DAY_MS + DAY_MS - 1)

/* ---- dates ---- */

static bool
leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int
month_days(int y, int m)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m == 2 && leap(y) ? 29 : days[m - 1];
}

/* Days from 0001-01-01 to the first of January of year y >= 1. */
static int32_t
year_start(int y)
{
	int p = y - 1;

	return p * 365 + p / 4 - p / 100 + p / 400;
}

bool
lt_date_to_days(int year, int month, int day, int32_t *days)
{
	int32_t n;
	int m;

	if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 ||
	    day > month_days(year, month))
		return false;
	n = DAYS_MIN + year_start(year) + day - 1;
	for (m = 1; m < month; m++)
		n += month_days(year, m);
	*days = n;
	return true;
}

void
lt_days_to_date(int32_t days, int *year, int *month, int *day)
{
	int32_t n;
	int y, m;

	/* Outside of the calendar there is no date to give: the nearest one. */
	if (days < DAYS_MIN)
		days = DAYS_MIN;
	if (days > DAYS_MAX)
		days = DAYS_MAX;
	n = days - DAYS_MIN;
	y = n / 366 + 1;
	while (year_start(y + 1) <= n)
		y++;
	n -= year_start(y);
	for (m = 1; n >= month_days(y, m); m++)
		n -= month_days(y, m);
	*year = y;
	*month = m;
	*day = n + 1;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;

	return a % b < 0 ? q - 1 : q;
}

int32_t
lt_days_vietnam(int64_t utc_ms)
{
	const int64_t offset = INT64_C(7) * 3600 * 1000;
	int64_t d;

	/* A clock may say anything; the answer stays within the calendar. */
	if (utc_ms > TIMESTAMP_MAX - offset)
		return DAYS_MAX;
	if (utc_ms < TIMESTAMP_MIN)
		return DAYS_MIN;
	d = floor_div(utc_ms + offset, DAY_MS);
	return (int32_t)d;
}

/* ---- checks ---- */

static int
text_check(const char *s, const char *what, struct lt_err *err)
{
	size_t len = strlen(s);

	if (len > LT_VALUE_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "%s is longer than %d bytes", what, LT_VALUE_MAX);
	if (!lt_text_is_nfc(lt_slice(s, len)))
		return lt_err_set(err, LT_E_INVALID, "%s is not Unicode in form NFC", what);
	return LT_OK;
}

static int
set_check(const Ltpb__TextSet *s, struct lt_err *err)
{
	size_t i, total = 0;
	int rc;

	if (s == NULL)
		return lt_err_set(err, LT_E_INVALID, "no set");
	if (s->n_item > LT_SET_ITEMS_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "a set of more than %d items", LT_SET_ITEMS_MAX);
	for (i = 0; i < s->n_item; i++) {
		if (s->item[i][0] == '\0')
			return lt_err_set(err, LT_E_INVALID, "a set has an empty item");
		rc = text_check(s->item[i], "an item of a set", err);
		if (rc != LT_OK)
			return rc;
		if (i > 0 && strcmp(s->item[i - 1], s->item[i]) >= 0)
			return lt_err_set(
			    err, LT_E_INVALID, "items of a set are not sorted or repeat");
		total += strlen(s->item[i]) + 1;
		if (total > LT_VALUE_MAX)
			return lt_err_set(
			    err, LT_E_TOOBIG, "a set is longer than %d bytes", LT_VALUE_MAX);
	}
	return LT_OK;
}

int
lt_value_check(const Ltpb__Value *v, struct lt_err *err)
{
	switch (v->v_case) {
	case LTPB__VALUE__V_TEXT:
		return text_check(v->text, "text", err);
	case LTPB__VALUE__V_ENUMERATION:
		return text_check(v->enumeration, "an enumeration value", err);
	case LTPB__VALUE__V_DECIMAL:
		if (v->decimal == NULL || v->decimal->scale > LT_DECIMAL_SCALE_MAX)
			return lt_err_set(err, LT_E_INVALID,
			    "a decimal with more than %d digits after the point",
			    LT_DECIMAL_SCALE_MAX);
		return LT_OK;
	case LTPB__VALUE__V_DATE:
		if (v->date < DAYS_MIN || v->date > DAYS_MAX)
			return lt_err_set(
			    err, LT_E_INVALID, "a date outside of the years 0001 to 9999");
		return LT_OK;
	case LTPB__VALUE__V_TIMESTAMP:
		if (v->timestamp < TIMESTAMP_MIN || v->timestamp > TIMESTAMP_MAX)
			return lt_err_set(
			    err, LT_E_INVALID, "a timestamp outside of the years 0001 to 9999");
		return LT_OK;
	case LTPB__VALUE__V_BYTES:
		if (v->bytes.len > LT_VALUE_MAX)
			return lt_err_set(err, LT_E_TOOBIG, "more than %d bytes", LT_VALUE_MAX);
		return LT_OK;
	case LTPB__VALUE__V_SET:
		return set_check(v->set, err);
	case LTPB__VALUE__V_INTEGER:
	case LTPB__VALUE__V_BOOLEAN:
		return LT_OK;
	case LTPB__VALUE__V__NOT_SET:
	default:
		return lt_err_set(err, LT_E_INVALID, "no value");
	}
}

bool
lt_value_type(const Ltpb__Value *v, enum lt_type *type)
{
	switch (v->v_case) {
	case LTPB__VALUE__V_TEXT:
		*type = LT_TYPE_TEXT;
		return true;
	case LTPB__VALUE__V_INTEGER:
		*type = LT_TYPE_INT;
		return true;
	case LTPB__VALUE__V_DECIMAL:
		*type = LT_TYPE_DECIMAL;
		return true;
	case LTPB__VALUE__V_BOOLEAN:
		*type = LT_TYPE_BOOL;
		return true;
	case LTPB__VALUE__V_DATE:
		*type = LT_TYPE_DATE;
		return true;
	case LTPB__VALUE__V_TIMESTAMP:
		*type = LT_TYPE_TIMESTAMP;
		return true;
	case LTPB__VALUE__V_BYTES:
		*type = LT_TYPE_BYTES;
		return true;
	case LTPB__VALUE__V_ENUMERATION:
		*type = LT_TYPE_ENUM;
		return true;
	case LTPB__VALUE__V_SET:
		*type = LT_TYPE_SET;
		return true;
	case LTPB__VALUE__V__NOT_SET:
	default:
		return false;
	}
}

/* ---- order ---- */

static int64_t
pow10_i64(uint32_t n)
{
	int64_t p = 1;

	assert(n <= LT_DECIMAL_SCALE_MAX);
	while (n-- > 0)
		p *= 10;
	return p;
}

/* Both at scale 18: an int64 times 10^18 fits in 128 bits. */
static int
decimal_cmp(const Ltpb__Decimal *a, const Ltpb__Decimal *b)
{
	__int128 x = (__int128)a->unscaled * pow10_i64(LT_DECIMAL_SCALE_MAX - a->scale);
	__int128 y = (__int128)b->unscaled * pow10_i64(LT_DECIMAL_SCALE_MAX - b->scale);

	return (x > y) - (x < y);
}

static int
set_cmp(const Ltpb__TextSet *a, const Ltpb__TextSet *b)
{
	size_t i;

	for (i = 0; i < a->n_item && i < b->n_item; i++) {
		int c = strcmp(a->item[i], b->item[i]);

		if (c != 0)
			return c;
	}
	return (a->n_item > b->n_item) - (a->n_item < b->n_item);
}

static int
i64_cmp(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
same_type_cmp(enum lt_type type, const Ltpb__Value *a, const Ltpb__Value *b)
{
	switch (type) {
	case LT_TYPE_TEXT:
		return strcmp(a->text, b->text);
	case LT_TYPE_ENUM:
		return strcmp(a->enumeration, b->enumeration);
	case LT_TYPE_INT:
		return i64_cmp(a->integer, b->integer);
	case LT_TYPE_DECIMAL:
		return decimal_cmp(a->decimal, b->decimal);
	case LT_TYPE_BOOL:
		return i64_cmp(a->boolean != 0, b->boolean != 0);
	case LT_TYPE_DATE:
		return i64_cmp(a->date, b->date);
	case LT_TYPE_TIMESTAMP:
		return i64_cmp(a->timestamp, b->timestamp);
	case LT_TYPE_BYTES:
		return lt_slice_cmp(
		    lt_slice(a->bytes.data, a->bytes.len), lt_slice(b->bytes.data, b->bytes.len));
	case LT_TYPE_SET:
		return set_cmp(a->set, b->set);
	}
	return 0;
}

int
lt_value_cmp(const Ltpb__Value *a, const Ltpb__Value *b)
{
	enum lt_type ta = LT_TYPE_TEXT, tb = LT_TYPE_TEXT;
	bool ha, hb;
	int c;

	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	ha = lt_value_type(a, &ta);
	hb = lt_value_type(b, &tb);
	if (!ha || !hb)
		return ha - hb;
	if (ta != tb)
		return ta < tb ? -1 : 1;
	c = same_type_cmp(ta, a, b);
	return (c > 0) - (c < 0);
}

bool
lt_value_eq(const Ltpb__Value *a, const Ltpb__Value *b)
{
	return lt_value_cmp(a, b) == 0;
}

/* ---- text form ---- */

static void
date_text(int32_t days, struct lt_buf *out)
{
	int y, m, d;

	lt_days_to_date(days, &y, &m, &d);
	lt_buf_printf(out, "%04d-%02d-%02d", y, m, d);
}

static void
timestamp_text(int64_t ms, struct lt_buf *out)
{
	int64_t days, rest;

	if (ms < TIMESTAMP_MIN)
		ms = TIMESTAMP_MIN;
	if (ms > TIMESTAMP_MAX)
		ms = TIMESTAMP_MAX;
	days = floor_div(ms, DAY_MS);
	rest = ms - days * DAY_MS;
	date_text((int32_t)days, out);
	lt_buf_printf(out, "T%02d:%02d:%02d.%03dZ", (int)(rest / 3600000), (int)(rest / 60000 % 60),
	    (int)(rest / 1000 % 60), (int)(rest % 1000));
}

static void
decimal_text(const Ltpb__Decimal *d, struct lt_buf *out)
{
	uint64_t abs = d->unscaled < 0 ? 0 - (uint64_t)d->unscaled : (uint64_t)d->unscaled;
	uint64_t unit = (uint64_t)pow10_i64(d->scale);

	if (d->unscaled < 0)
		lt_buf_str(out, "-");
	lt_buf_printf(out, "%" PRIu64, abs / unit);
	if (d->scale > 0)
		lt_buf_printf(out, ".%0*" PRIu64, (int)d->scale, abs % unit);
}

static void
hex_text(const uint8_t *p, size_t len, struct lt_buf *out)
{
	uint8_t *room = lt_buf_reserve(out, 2 * len + 1); /* lt_hex() ends with a NUL */

	if (room == NULL)
		return;
	lt_hex((char *)room, p, len);
	lt_buf_added(out, 2 * len);
}

static void
set_text(const Ltpb__TextSet *s, struct lt_buf *out)
{
	size_t i;

	for (i = 0; i < s->n_item; i++) {
		if (i > 0)
			lt_buf_str(out, ";");
		lt_buf_str(out, s->item[i]);
	}
}

void
lt_value_text(const Ltpb__Value *v, struct lt_buf *out)
{
	switch (v->v_case) {
	case LTPB__VALUE__V_TEXT:
		lt_buf_str(out, v->text);
		break;
	case LTPB__VALUE__V_ENUMERATION:
		lt_buf_str(out, v->enumeration);
		break;
	case LTPB__VALUE__V_INTEGER:
		lt_buf_printf(out, "%" PRId64, v->integer);
		break;
	case LTPB__VALUE__V_DECIMAL:
		decimal_text(v->decimal, out);
		break;
	case LTPB__VALUE__V_BOOLEAN:
		lt_buf_str(out, v->boolean ? "true" : "false");
		break;
	case LTPB__VALUE__V_DATE:
		date_text(v->date, out);
		break;
	case LTPB__VALUE__V_TIMESTAMP:
		timestamp_text(v->timestamp, out);
		break;
	case LTPB__VALUE__V_BYTES:
		hex_text(v->bytes.data, v->bytes.len, out);
		break;
	case LTPB__VALUE__V_SET:
		set_text(v->set, out);
		break;
	case LTPB__VALUE__V__NOT_SET:
	default:
		break;
	}
}

/* ---- parsing ---- */

static bool
digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly n digits. */
static bool
digits(struct lt_reader *r, int n, int *value)
{
	int v = 0;

	while (n-- > 0) {
		char c = (char)lt_read_u8(r);

		if (r->err != LT_OK || !digit(c))
			return false;
		v = v * 10 + (c - '0');
	}
	*value = v;
	return true;
}

static bool
literal(struct lt_reader *r, char c)
{
	return lt_reader_left(r) > 0 && (char)lt_read_u8(r) == c;
}

static bool
read_date(struct lt_reader *r, int32_t *days)
{
	int y, m, d;

	return digits(r, 4, &y) && literal(r, '-') && digits(r, 2, &m) && literal(r, '-') &&
	       digits(r, 2, &d) && lt_date_to_days(y, m, d, days);
}

/* Next byte without taking it, 0 at the end. */
static char
peek(const struct lt_reader *r)
{
	if (lt_reader_left(r) == 0)
		return '\0';
	return (char)r->p[0];
}

/* Up to three digits of a second's fraction. */
static bool
read_fraction(struct lt_reader *r, int *ms)
{
	int n, v = 0, d;

	for (n = 0; n < 3 && digit(peek(r)); n++) {
		if (!digits(r, 1, &d))
			return false;
		v = v * 10 + d;
	}
	if (n == 0 || digit(peek(r)))
		return false;
	for (; n < 3; n++)
		v *= 10;
	*ms = v;
	return true;
}

static bool
read_offset(struct lt_reader *r, int *minutes)
{
	char c = peek(r);
	int h, m;

	if (c == 'Z') {
		*minutes = 0;
		return literal(r, 'Z');
	}
	if (c != '+' && c != '-')
		return false;
	if (!literal(r, c) || !digits(r, 2, &h) || !literal(r, ':') || !digits(r, 2, &m) ||
	    h > 23 || m > 59)
		return false;
	*minutes = (c == '-' ? -1 : 1) * (h * 60 + m);
	return true;
}

static bool
read_timestamp(struct lt_reader *r, int64_t *out)
{
	int h, m, s = 0, ms = 0, offset;
	int32_t days;
	int64_t t;

	if (!read_date(r, &days) || !literal(r, 'T') || !digits(r, 2, &h) || !literal(r, ':') ||
	    !digits(r, 2, &m))
		return false;
	if (peek(r) == ':' && (!literal(r, ':') || !digits(r, 2, &s)))
		return false;
	if (peek(r) == '.' && (!literal(r, '.') || !read_fraction(r, &ms)))
		return false;
	if (!read_offset(r, &offset) || lt_reader_left(r) != 0 || h > 23 || m > 59 || s > 59)
		return false;
	t = days * DAY_MS + ((h * INT64_C(60) + m - offset) * 60 + s) * 1000 + ms;
	*out = t;
	return t >= TIMESTAMP_MIN && t <= TIMESTAMP_MAX;
}

/* Sign and digits with at most `scale` after a point, brought to that scale. */
static bool
read_number(struct lt_slice s, uint32_t scale, int64_t *out)
{
	const char *p = (const char *)s.data, *end = p + s.len;
	bool negative = false;
	unsigned __int128 v = 0;
	uint32_t after = 0;
	const char *first;

	if (p < end && *p == '-') {
		negative = true;
		p++;
	}
	first = p;
	while (p < end && digit(*p) && p - first < 20)
		v = v * 10 + (unsigned)(*p++ - '0');
	if (p == first || (*first == '0' && p - first > 1))
		return false;
	if (p < end && *p == '.' && scale > 0) {
		for (p++; p < end && digit(*p) && after < scale; after++)
			v = v * 10 + (unsigned)(*p++ - '0');
		if (after == 0)
			return false;
	}
	if (p != end)
		return false;
	for (; after < scale; after++)
		v *= 10;
	if (v > (unsigned __int128)INT64_MAX + (negative ? 1 : 0))
		return false;
	if (negative)
		*out = v == 0 ? 0 : -(int64_t)(v - 1) - 1;
	else
		*out = (int64_t)v;
	return true;
}

static char *
nfc_dup(struct lt_slice text, struct lt_arena *arena, int *rc)
{
	struct lt_buf b;
	char *s = NULL;

	lt_buf_init(&b, LT_VALUE_MAX);
	*rc = lt_text_nfc(&b, text, NULL);
	if (*rc == LT_OK)
		*rc = b.err;
	if (*rc == LT_OK) {
		s = lt_arena_dup(arena, b.data, b.len);
		*rc = s == NULL ? LT_E_NOMEM : LT_OK;
	}
	lt_buf_fini(&b);
	return s;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Cut at ';', trim blanks, sort, drop repeats. s is ours to cut. */
static int
parse_set(char *s, struct lt_arena *arena, Ltpb__TextSet *set, struct lt_err *err)
{
	size_t n = 1, i, kept = 0;
	char *p;

	for (p = s; *p != '\0'; p++)
		n += *p == ';';
	if (s[strspn(s, " \t")] == '\0')
		return LT_OK;
	if (n > LT_SET_ITEMS_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "a list of more than %d codes", LT_SET_ITEMS_MAX);
	set->item = lt_arena_alloc(arena, n * sizeof(*set->item));
	if (set->item == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		char *end = s + strcspn(s, ";");
		char *next = end + 1;

		s += strspn(s, " \t");
		while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end <= s)
			return lt_err_set(
			    err, LT_E_INVALID, "an empty code in a list separated by ;");
		*end = '\0';
		set->item[i] = s;
		s = next;
	}
	qsort(set->item, n, sizeof(*set->item), by_bytes);
	for (i = 0; i < n; i++)
		if (kept == 0 || strcmp(set->item[kept - 1], set->item[i]) != 0)
			set->item[kept++] = set->item[i];
	set->n_item = kept;
	return LT_OK;
}

static int
parse_textual(enum lt_type type, struct lt_slice text, struct lt_arena *arena, Ltpb__Value *v,
    struct lt_err *err)
{
	int rc;
	char *s = nfc_dup(text, arena, &rc);

	if (rc == LT_E_TOOBIG)
		return lt_err_set(err, rc, "longer than %d bytes", LT_VALUE_MAX);
	if (rc == LT_E_NOMEM)
		return lt_err_set(err, rc, "out of memory");
	if (rc != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "not valid UTF-8 text");
	if (type == LT_TYPE_TEXT) {
		v->v_case = LTPB__VALUE__V_TEXT;
		v->text = s;
		return LT_OK;
	}
	if (type == LT_TYPE_ENUM) {
		v->v_case = LTPB__VALUE__V_ENUMERATION;
		v->enumeration = s;
		return LT_OK;
	}
	v->v_case = LTPB__VALUE__V_SET;
	v->set = lt_arena_alloc(arena, sizeof(*v->set));
	if (v->set == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	ltpb__text_set__init(v->set);
	return parse_set(s, arena, v->set, err);
}

static int
parse_bytes(struct lt_slice text, struct lt_arena *arena, Ltpb__Value *v, struct lt_err *err)
{
	size_t len = text.len / 2;
	char *hex;

	if (text.len % 2 != 0)
		return lt_err_set(err, LT_E_INVALID, "an odd number of hex digits");
	if (len > LT_VALUE_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "longer than %d bytes", LT_VALUE_MAX);
	hex = lt_arena_dup(arena, text.data, text.len);
	v->v_case = LTPB__VALUE__V_BYTES;
	v->bytes.data = lt_arena_alloc(arena, len);
	v->bytes.len = len;
	if (hex == NULL || v->bytes.data == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	if (strlen(hex) != text.len || lt_unhex(v->bytes.data, len, hex) != LT_OK)
		return lt_err_set(err, LT_E_INVALID, "not hex digits");
	return LT_OK;
}

static int
parse_decimal(uint32_t scale, struct lt_slice text, struct lt_arena *arena, Ltpb__Value *v,
    struct lt_err *err)
{
	v->v_case = LTPB__VALUE__V_DECIMAL;
	v->decimal = lt_arena_alloc(arena, sizeof(*v->decimal));
	if (v->decimal == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	ltpb__decimal__init(v->decimal);
	v->decimal->scale = scale;
	if (scale > LT_DECIMAL_SCALE_MAX || !read_number(text, scale, &v->decimal->unscaled))
		return lt_err_set(err, LT_E_INVALID,
		    "expected a number with a point and at most %u digits after it, like -12.5",
		    scale);
	return LT_OK;
}

static int
parse_scalar(enum lt_type type, struct lt_slice text, Ltpb__Value *v, struct lt_err *err)
{
	struct lt_reader r;

	lt_reader_init(&r, text);
	switch (type) {
	case LT_TYPE_INT:
		v->v_case = LTPB__VALUE__V_INTEGER;
		if (!read_number(text, 0, &v->integer) || (v->integer == 0 && text.data[0] == '-'))
			return lt_err_set(
			    err, LT_E_INVALID, "expected a whole number of 64 bits, like -12");
		return LT_OK;
	case LT_TYPE_BOOL:
		v->v_case = LTPB__VALUE__V_BOOLEAN;
		v->boolean = lt_slice_eq(text, lt_slice_str("true"));
		if (!v->boolean && !lt_slice_eq(text, lt_slice_str("false")))
			return lt_err_set(err, LT_E_INVALID, "expected true or false");
		return LT_OK;
	case LT_TYPE_DATE:
		v->v_case = LTPB__VALUE__V_DATE;
		if (!read_date(&r, &v->date) || lt_reader_left(&r) != 0)
			return lt_err_set(err, LT_E_INVALID, "expected a date, like 2025-07-01");
		return LT_OK;
	default:
		v->v_case = LTPB__VALUE__V_TIMESTAMP;
		if (!read_timestamp(&r, &v->timestamp))
			return lt_err_set(err, LT_E_INVALID,
			    "expected a time with its offset, like 2025-07-01T08:30:00+07:00");
		return LT_OK;
	}
}

int
lt_value_parse(enum lt_type type, uint32_t scale, struct lt_slice text, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_err *err)
{
	Ltpb__Value *v = lt_arena_alloc(arena, sizeof(*v));
	int rc = LT_E_INVALID;

	if (v == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	ltpb__value__init(v);
	switch (type) {
	case LT_TYPE_TEXT:
	case LT_TYPE_ENUM:
	case LT_TYPE_SET:
		rc = parse_textual(type, text, arena, v, err);
		break;
	case LT_TYPE_BYTES:
		rc = parse_bytes(text, arena, v, err);
		break;
	case LT_TYPE_DECIMAL:
		rc = parse_decimal(scale, text, arena, v, err);
		break;
	case LT_TYPE_INT:
	case LT_TYPE_BOOL:
	case LT_TYPE_DATE:
	case LT_TYPE_TIMESTAMP:
		rc = parse_scalar(type, text, v, err);
		break;
	}
	if (rc == LT_OK)
		*out = v;
	return rc;
}

/* ---- copies and index ---- */

static Ltpb__TextSet *
set_dup(const Ltpb__TextSet *s, struct lt_arena *arena)
{
	Ltpb__TextSet *c = lt_arena_alloc(arena, sizeof(*c));
	size_t i;

	if (c == NULL)
		return NULL;
	ltpb__text_set__init(c);
	if (s->n_item == 0)
		return c;
	c->item = lt_arena_alloc(arena, s->n_item * sizeof(*c->item));
	if (c->item == NULL)
		return NULL;
	for (i = 0; i < s->n_item; i++) {
		c->item[i] = lt_arena_dup(arena, s->item[i], strlen(s->item[i]));
		if (c->item[i] == NULL)
			return NULL;
	}
	c->n_item = s->n_item;
	return c;
}

static Ltpb__Decimal *
decimal_dup(const Ltpb__Decimal *d, struct lt_arena *arena)
{
	Ltpb__Decimal *c = lt_arena_alloc(arena, sizeof(*c));

	if (c == NULL)
		return NULL;
	ltpb__decimal__init(c);
	c->unscaled = d->unscaled;
	c->scale = d->scale;
	return c;
}

Ltpb__Value *
lt_value_dup(const Ltpb__Value *v, struct lt_arena *arena)
{
	Ltpb__Value *c = lt_arena_alloc(arena, sizeof(*c));

	if (c == NULL)
		return NULL;
	ltpb__value__init(c);
	c->v_case = v->v_case;
	switch (v->v_case) {
	case LTPB__VALUE__V_TEXT:
		c->text = lt_arena_dup(arena, v->text, strlen(v->text));
		return c->text == NULL ? NULL : c;
	case LTPB__VALUE__V_ENUMERATION:
		c->enumeration = lt_arena_dup(arena, v->enumeration, strlen(v->enumeration));
		return c->enumeration == NULL ? NULL : c;
	case LTPB__VALUE__V_BYTES:
		c->bytes.len = v->bytes.len;
		c->bytes.data = lt_arena_dup(arena, v->bytes.data, v->bytes.len);
		return c->bytes.data == NULL ? NULL : c;
	case LTPB__VALUE__V_DECIMAL:
		c->decimal = decimal_dup(v->decimal, arena);
		return c->decimal == NULL ? NULL : c;
	case LTPB__VALUE__V_SET:
		c->set = set_dup(v->set, arena);
		return c->set == NULL ? NULL : c;
	case LTPB__VALUE__V_INTEGER:
		c->integer = v->integer;
		return c;
	case LTPB__VALUE__V_BOOLEAN:
		c->boolean = v->boolean;
		return c;
	case LTPB__VALUE__V_DATE:
		c->date = v->date;
		return c;
	case LTPB__VALUE__V_TIMESTAMP:
		c->timestamp = v->timestamp;
		return c;
	case LTPB__VALUE__V__NOT_SET:
	default:
		return c;
	}
}

static void
index_number(int64_t n, struct lt_buf *out)
{
	char text[17];
	uint8_t b[8];

	lt_store_u64(b, (uint64_t)n ^ UINT64_C(1) << 63);
	lt_hex(text, b, sizeof(b));
	lt_buf_put(out, text, sizeof(text) - 1);
}

static void
index_text(const char *s, struct lt_buf *out)
{
	size_t len = strlen(s);

	lt_buf_put(out, s, len > INDEX_TEXT_MAX ? INDEX_TEXT_MAX : len);
}

/* At another scale than the field's the nearest below, and the ends of the range beyond it: the
 * order stays, only different values may share their bytes. */
static int64_t
rescale(const Ltpb__Decimal *d, uint32_t scale)
{
	__int128 v = d->unscaled;

	if (d->scale > scale)
		return floor_div(d->unscaled, pow10_i64(d->scale - scale));
	v *= pow10_i64(scale - d->scale);
	if (v > INT64_MAX)
		return INT64_MAX;
	return v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int
lt_value_index(const Ltpb__Value *v, uint32_t scale, size_t item, struct lt_buf *out)
{
	if (item > 0 && v->v_case != LTPB__VALUE__V_SET)
		return LT_E_NOTFOUND;
	switch (v->v_case) {
	case LTPB__VALUE__V_TEXT:
		index_text(v->text, out);
		break;
	case LTPB__VALUE__V_ENUMERATION:
		index_text(v->enumeration, out);
		break;
	case LTPB__VALUE__V_SET:
		if (item >= v->set->n_item)
			return LT_E_NOTFOUND;
		index_text(v->set->item[item], out);
		break;
	case LTPB__VALUE__V_INTEGER:
		index_number(v->integer, out);
		break;
	case LTPB__VALUE__V_DECIMAL:
		index_number(rescale(v->decimal, scale), out);
		break;
	case LTPB__VALUE__V_DATE:
		index_number(v->date, out);
		break;
	case LTPB__VALUE__V_TIMESTAMP:
		index_number(v->timestamp, out);
		break;
	case LTPB__VALUE__V_BOOLEAN:
		lt_buf_str(out, v->boolean ? "01" : "00");
		break;
	case LTPB__VALUE__V_BYTES:
		hex_text(v->bytes.data,
		    v->bytes.len > INDEX_BYTES_MAX ? INDEX_BYTES_MAX : v->bytes.len, out);
		break;
	case LTPB__VALUE__V__NOT_SET:
	default:
		return LT_E_NOTFOUND;
	}
	return out->err;
}
