#include "node/import_cell.h"

#include "proto/base/text.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"

#include <stdio.h>
#include <string.h>

#define VALUE_SHOWN_MAX 119 /* bytes of a value that a message shows */

const char *
lt_import_warning_name(unsigned bit)
{
	switch (bit) {
	case LT_WARN_NFD:
		return "nfd_normalised";
	case LT_WARN_BLANKS:
		return "blanks_trimmed";
	case LT_WARN_FORMULA:
		return "formula_text";
	case LT_WARN_CAPITALS:
		return "toned_capitals_lost";
	case LT_WARN_GROUPING:
		return "nbsp_grouping";
	default:
		return "";
	}
}

/* ---- faults ---- */

/* `name "value": text`, name and value where there are any; what does not fit is cut between characters. */
static void
put_message(char *out, size_t cap, const char *name, const char *value, const char *text)
{
	char shown[VALUE_SHOWN_MAX];
	struct lt_buf b;

	lt_buf_init(&b, 0);
	if (name != NULL)
		lt_buf_str(&b, name);
	if (name != NULL && value != NULL) {
		lt_buf_str(&b, " \"");
		lt_buf_put(&b, shown, lt_text_escape(shown, sizeof(shown), lt_slice_str(value)));
		lt_buf_str(&b, "\"");
	}
	lt_buf_printf(&b, "%s%s", name != NULL ? ": " : "", text);
	(void)lt_text_copy(out, cap, b.err == LT_OK ? lt_buf_slice(&b) : lt_slice_str(text));
	lt_buf_fini(&b);
}

void
lt_import_fault_set(struct lt_import_fault *fault, const char *code, const struct lt_field *f,
    const char *value, const char *text, const char *text_vi)
{
	fault->code = code;
	fault->field = f != NULL ? f->rule.name : "";
	if (f != NULL && f->rule.personal != LT_PERSONAL_NONE)
		value = NULL;
	put_message(
	    fault->message, sizeof(fault->message), f != NULL ? f->rule.name : NULL, value, text);
	put_message(fault->message_vi, sizeof(fault->message_vi), f != NULL ? f->title_vi : NULL,
	    value, text_vi);
}

/* ---- text ---- */

/* Bytes of the blank at s (0: none): space, tab, U+00A0, U+202F, U+FEFF; line breaks only if asked. */
static size_t
blank_len(struct lt_slice s, bool breaks)
{
	const uint8_t *p = s.data;

	if (s.len >= 1 &&
	    (p[0] == ' ' || p[0] == '\t' || (breaks && (p[0] == '\r' || p[0] == '\n'))))
		return 1;
	if (s.len >= 2 && p[0] == 0xc2 && p[1] == 0xa0)
		return 2;
	if (s.len >= 3 && ((p[0] == 0xe2 && p[1] == 0x80 && p[2] == 0xaf) ||
			      (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)))
		return 3;
	return 0;
}

static struct lt_slice
trim_ends(struct lt_slice s, bool *changed)
{
	size_t n, back, from = s.len;

	while ((n = blank_len(s, true)) > 0) {
		s.data += n;
		s.len -= n;
	}
	for (back = 1; back <= 3 && back <= s.len;) {
		n = blank_len(lt_slice(s.data + s.len - back, back), true);
		if (n == back) {
			s.len -= n;
			back = 1;
		} else {
			back++;
		}
	}
	if (s.len != from)
		*changed = true;
	return s;
}

/* Inner runs of blanks become one space; a line break stays, as LF. */
static void
squeeze(struct lt_slice s, struct lt_buf *out, bool *changed)
{
	size_t i = 0, n, run, bytes;

	while (i < s.len) {
		for (run = bytes = 0; (n = blank_len(lt_slice(s.data + i, s.len - i), false)) > 0;
		     run++) {
			i += n;
			bytes += n;
		}
		if (run > 0) {
			lt_buf_u8(out, ' ');
			if (bytes > 1 || s.data[i - 1] != ' ')
				*changed = true;
			continue;
		}
		if (s.data[i] == '\r') {
			lt_buf_u8(out, '\n');
			i += i + 1 < s.len && s.data[i + 1] == '\n' ? 2 : 1;
			continue;
		}
		lt_buf_u8(out, s.data[i++]);
	}
}

bool
lt_import_is_formula(struct lt_slice text)
{
	return text.len > 0 && text.data[0] != 0 && strchr("=+-@\t\r", text.data[0]) != NULL;
}

/* ---- numbers ---- */

struct number {
	char whole[64]; /* digits without leading zeros, "" for 0 */
	char frac[64]; /* digits without trailing zeros */
	bool negative, grouped_by_blank;
	const char *wrong, *wrong_vi; /* set when it is none */
};

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
not_a_number(struct number *n, const char *why, const char *why_vi)
{
	n->wrong = why;
	n->wrong_vi = why_vi;
	return false;
}

/* Say what kind of mistake it is: the person mends it faster. */
static bool
diagnose(struct number *n, struct lt_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((s.data[i] == 'e' || s.data[i] == 'E') && i > 0 && is_digit(s.data[i - 1]) &&
		    i + 1 < s.len &&
		    (is_digit(s.data[i + 1]) || strchr("+-", s.data[i + 1]) != NULL))
			return not_a_number(n, "a number in scientific form",
			    "số ở dạng lũy thừa (E+), phải ghi đủ chữ số");
	for (i = 0; i < s.len; i++)
		if (!is_digit(s.data[i]) && strchr(".,- ", s.data[i]) == NULL &&
		    blank_len(lt_slice(s.data + i, s.len - i), false) == 0 && s.data[i] != 0xa0 &&
		    s.data[i] != 0x80 && s.data[i] != 0xaf)
			return not_a_number(n, "not a number (words or units in a number cell)",
			    "không phải là số (có chữ hoặc đơn vị trong ô số)");
	return not_a_number(
	    n, "wrong thousands groups or decimal mark", "nhóm hàng nghìn hoặc dấu thập phân sai");
}

static bool
add_digits(char *to, size_t cap, struct lt_slice s)
{
	size_t len = strlen(to);

	if (len + s.len >= cap)
		return false;
	memcpy(to + len, s.data, s.len);
	to[len + s.len] = 0;
	return true;
}

static size_t
count_digits(struct lt_slice s)
{
	size_t n = 0;

	while (n < s.len && is_digit(s.data[n]))
		n++;
	return n;
}

/* Bytes of the grouping mark at s: a dot, or a blank. */
static size_t
group_mark(struct lt_slice s)
{
	return s.len > 0 && s.data[0] == '.' ? 1 : blank_len(s, false);
}

/* The whole part in groups; *s moves behind it. 0.500 and 1.2500 are no groups. */
static bool
take_groups(struct number *n, struct lt_slice *s)
{
	size_t digits = count_digits(*s), mark, first = digits;
	struct lt_slice sep = { 0 };

	if (digits == 0 || !add_digits(n->whole, sizeof(n->whole), lt_slice(s->data, digits)))
		return false;
	for (;;) {
		*s = lt_slice(s->data + digits, s->len - digits);
		mark = group_mark(*s);
		if (mark == 0)
			return true;
		if (first > 3 || n->whole[0] == '0' ||
		    (sep.len != 0 && !lt_slice_eq(sep, lt_slice(s->data, mark))))
			return false;
		sep = lt_slice(s->data, mark);
		n->grouped_by_blank |= s->data[0] != '.';
		*s = lt_slice(s->data + mark, s->len - mark);
		digits = count_digits(*s);
		if (digits != 3 ||
		    !add_digits(n->whole, sizeof(n->whole), lt_slice(s->data, digits)))
			return false;
	}
}

static void
strip_zeros(struct number *n)
{
	size_t lead = strspn(n->whole, "0"), len = strlen(n->frac);

	memmove(n->whole, n->whole + lead, strlen(n->whole) - lead + 1);
	while (len > 0 && n->frac[len - 1] == '0')
		n->frac[--len] = 0;
	if (n->whole[0] == 0 && n->frac[0] == 0)
		n->negative = false;
}

static bool
read_number(enum lt_number_format format, struct lt_slice s, struct number *n)
{
	struct lt_slice all = s;
	char mark = format == LT_NUMBER_PLAIN ? '.' : ',';
	size_t digits;
	bool good;

	memset(n, 0, sizeof(*n));
	if (s.len > 0 && s.data[0] == '-') {
		n->negative = true;
		s = lt_slice(s.data + 1, s.len - 1);
	}
	if (format == LT_NUMBER_PLAIN) {
		digits = count_digits(s);
		good =
		    digits > 0 && add_digits(n->whole, sizeof(n->whole), lt_slice(s.data, digits));
		s = lt_slice(s.data + digits, s.len - digits);
	} else {
		good = take_groups(n, &s);
	}
	if (good && s.len > 0) {
		good = s.data[0] == (uint8_t)mark && s.len > 1 &&
		       count_digits(lt_slice(s.data + 1, s.len - 1)) == s.len - 1 &&
		       add_digits(n->frac, sizeof(n->frac), lt_slice(s.data + 1, s.len - 1));
	}
	if (!good)
		return diagnose(n, all);
	strip_zeros(n);
	return true;
}

/* ---- one converter a type: trimmed cell to the catalogue's text form ---- */

struct cell {
	const struct lt_field *field;
	const struct lt_cell_rules *rules;
	const char *text; /* for messages */
	struct lt_slice s;
	struct lt_buf *out;
	unsigned *warn;
	struct lt_import_fault *fault;
};

static int
refuse(const struct cell *c, const char *code, const char *why, const char *why_vi)
{
	lt_import_fault_set(c->fault, code, c->field, c->text, why, why_vi);
	return LT_E_REFUSED;
}

static int
convert_number(const struct cell *c)
{
	uint32_t scale = c->field->rule.type == LT_TYPE_DECIMAL ? c->field->scale : 0;
	struct number n;
	char why[80], why_vi[80];

	if (!read_number(c->rules->map ? c->rules->map->number_format : LT_NUMBER_VI, c->s, &n))
		return refuse(c, "bad_number", n.wrong, n.wrong_vi);
	if (strlen(n.frac) > scale) {
		snprintf(why, sizeof(why), "more than %u digits after the comma", scale);
		snprintf(why_vi, sizeof(why_vi), "quá %u chữ số sau dấu phẩy", scale);
		return scale > 0 ? refuse(c, "bad_number", why, why_vi)
				 : refuse(c, "bad_number", "a fraction in a whole number",
				       "có phần lẻ, trường này chỉ nhận số nguyên");
	}
	if (n.grouped_by_blank)
		*c->warn |= LT_WARN_GROUPING;
	lt_buf_printf(c->out, "%s%s", n.negative ? "-" : "", n.whole[0] ? n.whole : "0");
	if (n.frac[0] != 0)
		lt_buf_printf(c->out, ".%s", n.frac);
	return LT_OK;
}

/* A whole number of 1 to max digits at *s, which moves behind it; -1 if there is none. */
static int
take_int(struct lt_slice *s, size_t min, size_t max)
{
	size_t n = count_digits(*s), i;
	int v = 0;

	if (n < min || n > max)
		return -1;
	for (i = 0; i < n; i++)
		v = v * 10 + (s->data[i] - '0');
	*s = lt_slice(s->data + n, s->len - n);
	return v;
}

static bool
take_char(struct lt_slice *s, char c)
{
	if (s->len == 0 || s->data[0] != (uint8_t)c)
		return false;
	*s = lt_slice(s->data + 1, s->len - 1);
	return true;
}

/* A date at *s, which moves behind it. False: not written as a date; *days < 0 never says that. */
static bool
take_date(enum lt_date_format format, struct lt_slice *s, int *year, int *month, int *day)
{
	bool iso = s->len >= 5 && count_digits(*s) == 4;
	char mark;
	int a, b, y;

	if (format == LT_DATE_ISO && !iso)
		return false;
	a = iso ? take_int(s, 4, 4) : take_int(s, 1, 2);
	if (a < 0 || s->len == 0)
		return false;
	mark = (char)s->data[0];
	if (iso ? mark != '-' : mark == 0 || strchr("/-.", mark) == NULL)
		return false;
	take_char(s, mark);
	b = take_int(s, iso ? 2 : 1, 2);
	if (b < 0 || !take_char(s, mark))
		return false;
	y = take_int(s, iso ? 2 : 4, iso ? 2 : 4);
	*year = iso ? a : y;
	*month = iso || format == LT_DATE_DMY ? b : a;
	*day = iso ? y : format == LT_DATE_DMY ? a : b;
	return y >= 0;
}

/* "8:30" or "08:30:15" at *s. */
static bool
take_time(struct lt_slice *s, int *h, int *m, int *sec)
{
	*sec = 0;
	*h = take_int(s, 1, 2);
	if (*h < 0 || *h > 23 || !take_char(s, ':'))
		return false;
	*m = take_int(s, 2, 2);
	if (*m < 0 || *m > 59)
		return false;
	if (take_char(s, ':'))
		*sec = take_int(s, 2, 2);
	return *sec >= 0 && *sec <= 59;
}

static enum lt_date_format
date_format(const struct cell *c)
{
	return c->rules->map ? c->rules->map->date_format : LT_DATE_DMY;
}

static int
convert_date(const struct cell *c)
{
	struct lt_slice s = c->s;
	int y, m, d, h = 0, min = 0, sec = 0;
	int32_t days;

	if (!take_date(date_format(c), &s, &y, &m, &d))
		return refuse(c, "bad_date", "not a date like 15/09/2025",
		    "không phải là ngày dạng 15/09/2025");
	/* spreadsheets add a midnight to a date */
	if (s.len > 0 && (!take_char(&s, ' ') || !take_time(&s, &h, &min, &sec) || s.len > 0 ||
			     h + min + sec != 0))
		return refuse(
		    c, "bad_date", "more than a date in the cell", "trong ô có thêm ngoài ngày");
	if (!lt_date_to_days(y, m, d, &days))
		return refuse(
		    c, "bad_date", "this day does not exist", "không có ngày này trong lịch");
	lt_buf_printf(c->out, "%04d-%02d-%02d", y, m, d);
	return LT_OK;
}

static int
convert_timestamp(const struct cell *c)
{
	const struct lt_import_map *map = c->rules->map;
	struct lt_slice s = c->s;
	int y, m, d, h = 0, min = 0, sec = 0;
	int32_t days;

	if (memchr(s.data, 'T', s.len) != NULL) {
		lt_buf_put_slice(c->out, s);
		return LT_OK;
	}
	if (map == NULL || !map->has_zone)
		return refuse(c, "bad_time", "a time without its offset from UTC",
		    "thời điểm không ghi múi giờ");
	if (!take_date(date_format(c), &s, &y, &m, &d) || !take_char(&s, ' ') ||
	    !take_time(&s, &h, &min, &sec) || s.len > 0 || !lt_date_to_days(y, m, d, &days))
		return refuse(c, "bad_time", "not a time like 15/09/2025 08:30",
		    "không phải là thời điểm dạng 15/09/2025 08:30");
	lt_buf_printf(c->out, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", y, m, d, h, min, sec,
	    map->zone_minutes < 0 ? '-' : '+',
	    (map->zone_minutes < 0 ? -map->zone_minutes : map->zone_minutes) / 60,
	    (map->zone_minutes < 0 ? -map->zone_minutes : map->zone_minutes) % 60);
	return LT_OK;
}

/* What the mapping says this text means; NULL: nothing. */
static const char *
mapped(const struct cell *c, struct lt_slice s)
{
	const struct lt_import_map *map = c->rules->map;
	struct lt_buf folded = { 0 };
	const char *value = NULL;
	size_t i;

	if (map == NULL || lt_import_fold(&folded, s) != LT_OK)
		map = NULL;
	lt_buf_u8(&folded, 0);
	for (i = 0; map != NULL && folded.err == LT_OK && i < map->nvalue && value == NULL; i++)
		if (strcmp(map->value[i].field, c->field->rule.name) == 0 &&
		    strcmp(map->value[i].folded, (const char *)folded.data) == 0)
			value = map->value[i].value;
	lt_buf_fini(&folded);
	return value;
}

static int
convert_enum(const struct cell *c)
{
	const struct lt_field *f = c->field;
	char why[300] = "none of", why_vi[300] = "không thuộc các giá trị";
	size_t i, n;

	for (i = 0; i < f->nvalue; i++)
		if (lt_slice_eq(c->s, lt_slice_str(f->value[i]))) {
			lt_buf_put_slice(c->out, c->s);
			return LT_OK;
		}
	for (i = 0; i < f->nvalue; i++) {
		n = strlen(why);
		snprintf(why + n, sizeof(why) - n, "%s %s", i ? "," : "", f->value[i]);
		n = strlen(why_vi);
		snprintf(why_vi + n, sizeof(why_vi) - n, "%s %s", i ? "," : "", f->value[i]);
	}
	return refuse(c, "unknown_enum", why, why_vi);
}

static int
convert_bool(const struct cell *c)
{
	static const char *const yes[] = { "true", "có", "x", "1", "đúng" };
	static const char *const no[] = { "false", "không", "0", "sai" };
	struct lt_buf b = { 0 };
	struct lt_slice s;
	int rc = lt_import_fold(&b, c->s);
	size_t i;

	s = lt_buf_slice(&b);
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]) && c->out->len == 0; i++)
		if (lt_slice_eq(s, lt_slice_str(yes[i])))
			lt_buf_str(c->out, "true");
	for (i = 0; i < sizeof(no) / sizeof(no[0]) && c->out->len == 0; i++)
		if (lt_slice_eq(s, lt_slice_str(no[i])))
			lt_buf_str(c->out, "false");
	lt_buf_fini(&b);
	if (rc == LT_OK && c->out->len > 0)
		return LT_OK;
	return refuse(c, "bad_bool", "neither yes (true, có, x, 1) nor no (false, không, 0)",
	    "phải là có hoặc không");
}

static bool
is_code(struct lt_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!is_digit(s.data[i]) && !(s.data[i] >= 'A' && s.data[i] <= 'Z') &&
		    !(s.data[i] >= 'a' && s.data[i] <= 'z') &&
		    (s.data[i] == 0 || strchr("._:-", s.data[i]) == NULL))
			return false;
	return s.len > 0;
}

/* Codes between ; or , ; an empty one between two separators is nothing. */
static int
convert_list(const struct cell *c)
{
	struct lt_slice item;
	size_t i, from = 0;
	const char *value;
	bool ignored;

	for (i = 0; i <= c->s.len; i++) {
		if (i < c->s.len && c->s.data[i] != ';' && c->s.data[i] != ',' &&
		    c->s.data[i] != '\n')
			continue;
		item = trim_ends(lt_slice(c->s.data + from, i - from), &ignored);
		from = i + 1;
		if (item.len == 0)
			continue;
		value = mapped(c, item);
		if (value != NULL)
			item = lt_slice_str(value);
		if (!is_code(item))
			return refuse(c, "bad_list", "not a list of codes separated by ; or ,",
			    "không phải là danh sách mã cách nhau bởi ; hoặc ,");
		if (c->out->len > 0)
			lt_buf_u8(c->out, ';');
		lt_buf_put_slice(c->out, item);
	}
	return LT_OK;
}

static int
convert_text(const struct cell *c)
{
	if (lt_import_is_formula(c->s))
		*c->warn |= LT_WARN_FORMULA;
	if (c->rules->charset == LT_CHARSET_TCVN3 && lt_charset_capitals_lost(c->s))
		*c->warn |= LT_WARN_CAPITALS;
	lt_buf_put_slice(c->out, c->s);
	return LT_OK;
}

static int
convert(const struct cell *c)
{
	switch (c->field->rule.type) {
	case LT_TYPE_INT:
	case LT_TYPE_DECIMAL:
		return convert_number(c);
	case LT_TYPE_DATE:
		return convert_date(c);
	case LT_TYPE_TIMESTAMP:
		return convert_timestamp(c);
	case LT_TYPE_ENUM:
		return convert_enum(c);
	case LT_TYPE_BOOL:
		return convert_bool(c);
	case LT_TYPE_SET:
		return convert_list(c);
	case LT_TYPE_BYTES:
		lt_buf_put_slice(c->out, c->s);
		return LT_OK;
	case LT_TYPE_TEXT:
	default:
		return convert_text(c);
	}
}

/* ---- checks by the catalogue ---- */

static const char *
code_of(const struct lt_violation *v)
{
	switch (v->reason) {
	case LTPB__REASON_CODE__REASON_PATTERN:
		return "pattern";
	case LTPB__REASON_CODE__REASON_RANGE:
		return "range";
	case LTPB__REASON_CODE__REASON_TOO_LONG:
		return "too_long";
	case LTPB__REASON_CODE__REASON_ENUM:
		return "unknown_enum";
	case LTPB__REASON_CODE__REASON_SET:
		return "bad_list";
	default:
		return "wrong_type";
	}
}

int
lt_import_check_value(const struct lt_field *f, Ltpb__Value *value, struct lt_import_fault *fault)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	struct lt_violation v = { 0 };
	char name[LT_NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s", f->rule.name);
	fs.name = name;
	fs.value = value;
	if (lt_field_check(f, &fs, &v) == LT_OK)
		return LT_OK;
	fault->code = code_of(&v);
	fault->field = f->rule.name;
	memcpy(fault->message, v.message, sizeof(fault->message));
	memcpy(fault->message_vi, v.message_vi, sizeof(fault->message_vi));
	return LT_E_REFUSED;
}

static int
parse_and_check(const struct lt_field *f, struct lt_slice text, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_import_fault *fault)
{
	char shown[VALUE_SHOWN_MAX + 1];
	struct lt_err err = { "" };
	int rc = lt_value_parse(f->rule.type, f->scale, text, arena, out, &err);

	if (rc == LT_OK) {
		rc = lt_import_check_value(f, *out, fault);
		if (rc != LT_OK)
			*out = NULL;
		return rc;
	}
	*out = NULL;
	if (rc == LT_E_NOMEM)
		return rc;
	(void)lt_text_copy(shown, sizeof(shown), text);
	lt_import_fault_set(fault, rc == LT_E_TOOBIG ? "too_long" : "wrong_type", f, shown,
	    err.text, rc == LT_E_TOOBIG ? "dài quá mức cho phép" : "sai kiểu dữ liệu");
	return LT_E_REFUSED;
}

int
lt_import_text_value(const struct lt_field *f, struct lt_slice text, struct lt_arena *arena,
    Ltpb__Value **out, struct lt_import_fault *fault)
{
	return parse_and_check(f, text, arena, out, fault);
}

/* The converter wrote a well-formed number: what does not fit is out of range. */
static int
finish_value(const struct cell *c, struct lt_arena *arena, Ltpb__Value **out)
{
	enum lt_type t = c->field->rule.type;
	int rc = parse_and_check(c->field, lt_buf_slice(c->out), arena, out, c->fault);

	if (rc != LT_E_REFUSED || strcmp(c->fault->code, "wrong_type") != 0)
		return rc;
	if (t == LT_TYPE_INT || t == LT_TYPE_DECIMAL)
		return refuse(c, "range", "does not fit 64 bits", "số quá lớn");
	if (t == LT_TYPE_TIMESTAMP)
		return refuse(c, "bad_time",
		    "not a time with its offset, like 2025-07-01T08:30:00+07:00",
		    "không phải là thời điểm dạng 2025-07-01T08:30:00+07:00");
	return rc;
}

/* Text squeezed and typed: from here the cell is trimmed NFC. */
static int
convert_trimmed(struct cell *c, struct lt_arena *arena, Ltpb__Value **out)
{
	struct lt_buf text = { 0 }, canonical = { 0 };
	enum lt_type t = c->field->rule.type;
	bool blanks = false;
	const char *value = NULL;
	int rc;

	if (t == LT_TYPE_INT || t == LT_TYPE_DECIMAL)
		lt_buf_put_slice(&text, c->s); /* blanks inside are groups */
	else
		squeeze(c->s, &text, &blanks);
	if (blanks)
		*c->warn |= LT_WARN_BLANKS;
	lt_buf_u8(&text, 0);
	rc = text.err;
	if (rc == LT_OK) {
		c->text = (const char *)text.data;
		c->s = lt_slice(text.data, text.len - 1);
		c->out = &canonical;
		value = t == LT_TYPE_SET ? NULL : mapped(c, c->s);
		if (value != NULL)
			lt_buf_str(&canonical, value);
		else
			rc = convert(c);
	}
	if (rc == LT_OK)
		rc = canonical.err;
	if (rc == LT_OK && canonical.len > 0)
		rc = finish_value(c, arena, out);
	c->out = NULL;
	c->text = NULL;
	lt_buf_fini(&text);
	lt_buf_fini(&canonical);
	return rc;
}

int
lt_import_cell(const struct lt_field *f, const struct lt_cell_rules *rules, struct lt_slice cell,
    struct lt_arena *arena, Ltpb__Value **out, unsigned *warn, struct lt_import_fault *fault)
{
	struct cell c = { .field = f, .rules = rules, .warn = warn, .fault = fault };
	struct lt_buf utf8 = { 0 };
	bool nfd = false, blanks = false;
	int rc = lt_charset_decode(rules->charset, cell, &utf8, &nfd);

	*out = NULL;
	if (rc == LT_E_INVALID) {
		lt_import_fault_set(fault, "bad_encoding", f, NULL,
		    "bytes that are no text in the file's encoding",
		    "có ký tự hỏng, không đúng bảng mã của tệp");
		rc = LT_E_REFUSED;
	}
	if (rc == LT_OK) {
		c.s = trim_ends(lt_buf_slice(&utf8), &blanks);
		if (c.s.len > 0) {
			*warn |= (nfd ? LT_WARN_NFD : 0u) | (blanks ? LT_WARN_BLANKS : 0u);
			rc = convert_trimmed(&c, arena, out);
		}
	}
	lt_buf_fini(&utf8);
	return rc;
}
