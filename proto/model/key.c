/* Keys: values of the key fields, percent-encoded, joined by '/' (catalogue key_rule, FORMAT.md 3.3). */
#include "proto/model/validate_impl.h"

#include "proto/base/limits.h"
#include "proto/model/value.h"

#include <string.h>

static int
bad_key(struct lt_violation *v, const char *field, const struct lt_field *f, const char *rule,
    const char *en, const char *vi)
{
	struct lt_complaint c = { LTPB__REASON_CODE__REASON_BAD_KEY, rule, field, f, NULL, en, vi,
		NULL };

	return lt_refuse(v, &c);
}

static bool
unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next part of a key into out (LT_KEY_MAX + 1 bytes); *key moves to the '/' or the end. False when it
 * is empty or not spelled the one way there is. */
static bool
next_part(const char **key, char *out)
{
	const char *s = *key;
	size_t n = 0;

	while (*s != '\0' && *s != '/') {
		int high, low;

		if (n == LT_KEY_MAX)
			return false;
		if (*s != '%') {
			if (!unreserved(*s))
				return false;
			out[n++] = *s++;
			continue;
		}
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || (high == 0 && low == 0) || unreserved((char)(high * 16 + low)))
			return false;
		out[n++] = (char)(high * 16 + low);
		s += 3;
	}
	out[n] = '\0';
	*key = s;
	return n > 0;
}

/* The text of a part as a value of its field. The tiny arena is for a number's few bytes. */
static int
part_value(const struct lt_field *f, const char *text, struct lt_arena *arena, Ltpb__Value **out,
    struct lt_violation *v)
{
	struct lt_buf b;
	bool same;
	int rc;

	rc = lt_value_parse(f->rule.type, f->scale, lt_slice_str(text), arena, out, NULL);
	if (rc == LT_E_NOMEM)
		return rc;
	if (rc != LT_OK)
		return bad_key(v, f->rule.name, f, "type",
		    "the part of the key is not a value of the field",
		    "phần khóa không phải là giá trị của trường");
	lt_buf_init(&b, 0);
	lt_value_text(*out, &b);
	rc = b.err;
	same = rc == LT_OK && lt_slice_eq(lt_buf_slice(&b), lt_slice_str(text));
	lt_buf_fini(&b);
	if (rc != LT_OK)
		return rc;
	return same ? LT_OK
		    : bad_key(v, f->rule.name, f, "form",
			  "the part of the key is not in its one text form",
			  "phần khóa không ở dạng chuẩn");
}

/* Violations in a key all have one reason code, whatever the rule. */
static int
as_bad_key(int rc, struct lt_violation *v)
{
	if (rc == LT_E_REFUSED && v != NULL)
		v->reason = LTPB__REASON_CODE__REASON_BAD_KEY;
	return rc;
}

static int
check_part(const struct lt_field *f, char *text, struct lt_violation *v)
{
	Ltpb__Value here = LTPB__VALUE__INIT, *value = &here;
	struct lt_arena arena;
	int rc = LT_OK;

	lt_arena_init(&arena, 512);
	/* A pattern in ASCII or a list of values decides these; no need to build a value. */
	if (f->rule.type == LT_TYPE_TEXT) {
		here.v_case = LTPB__VALUE__V_TEXT;
		here.text = text;
	} else if (f->rule.type == LT_TYPE_ENUM) {
		here.v_case = LTPB__VALUE__V_ENUMERATION;
		here.enumeration = text;
	} else {
		rc = part_value(f, text, &arena, &value, v);
	}
	if (rc == LT_OK)
		rc = as_bad_key(lt_field_check_decoded(f, value, v), v);
	lt_arena_fini(&arena);
	return rc;
}

static int
wrong_unit(const struct lt_field *f, const char *text, struct lt_violation *v)
{
	struct lt_complaint c = { LTPB__REASON_CODE__REASON_UNIT_FIELD, "is_unit", f->rule.name, f,
		text, "is not the unit of the record", "không phải là đơn vị của hồ sơ", NULL };

	return lt_refuse(v, &c);
}

/* Call fn for each part. */
typedef int part_fn(void *ctx, const struct lt_field *f, char *text, struct lt_violation *v);

static int
each_part(const struct lt_collection *col, const char *key, part_fn *fn, void *ctx,
    struct lt_violation *v)
{
	char text[LT_KEY_MAX + 1];
	size_t n = 0;
	int rc;

	if (strnlen(key, LT_KEY_MAX + 1) > LT_KEY_MAX)
		return bad_key(v, "", NULL, "length", "the key is longer than 256 bytes",
		    "khóa dài quá 256 byte");
	for (;;) {
		const struct lt_field *f = n < col->nkey ? &col->field[col->key[n]] : NULL;

		if (f == NULL)
			return bad_key(v, "", NULL, "parts", "the key has too many parts",
			    "khóa có quá nhiều phần");
		if (!next_part(&key, text))
			return bad_key(v, f->rule.name, f, "encoding",
			    "the part of the key is empty or wrongly percent-encoded",
			    "phần khóa trống hoặc mã hóa phần trăm sai");
		rc = fn(ctx, f, text, v);
		if (rc != LT_OK)
			return rc;
		n++;
		if (*key == '\0')
			break;
		key++;
	}
	if (n < col->nkey_min)
		return bad_key(v, col->field[col->key[n]].rule.name, &col->field[col->key[n]],
		    "parts", "the key lacks this part", "khóa thiếu phần này");
	return LT_OK;
}

static int
check_one(void *ctx, const struct lt_field *f, char *text, struct lt_violation *v)
{
	const struct lt_unit *unit = ctx;
	int rc = check_part(f, text, v);

	if (rc == LT_OK && unit != NULL && f->is_unit && strcmp(text, unit->s) != 0)
		rc = wrong_unit(f, text, v);
	return rc;
}

int
lt_key_check(const struct lt_collection *col, const struct lt_unit *unit, const char *key,
    struct lt_violation *v)
{
	struct lt_unit copy;

	if (unit != NULL)
		copy = *unit;
	return each_part(col, key, check_one, unit == NULL ? NULL : &copy, v);
}

struct split {
	struct lt_arena *arena;
	Ltpb__FieldSet **field;
	size_t n;
};

static int
split_one(void *ctx, const struct lt_field *f, char *text, struct lt_violation *v)
{
	struct split *s = ctx;
	Ltpb__FieldSet *fs = lt_arena_alloc(s->arena, sizeof(*fs));
	Ltpb__Value *value = NULL;
	int rc;

	if (fs == NULL)
		return LT_E_NOMEM;
	rc = check_part(f, text, v);
	if (rc == LT_OK)
		rc = part_value(f, text, s->arena, &value, v);
	if (rc != LT_OK)
		return rc;
	ltpb__field_set__init(fs);
	fs->name = lt_arena_dup(s->arena, f->rule.name, strlen(f->rule.name));
	fs->value = value;
	s->field[s->n++] = fs;
	return fs->name == NULL ? LT_E_NOMEM : LT_OK;
}

int
lt_key_split(const struct lt_collection *col, const char *key, struct lt_arena *arena,
    Ltpb__FieldSet ***fields, size_t *n, struct lt_violation *v)
{
	struct split s = { .arena = arena };
	int rc;

	s.field = lt_arena_alloc(arena, col->nkey * sizeof(Ltpb__FieldSet *));
	if (s.field == NULL)
		return LT_E_NOMEM;
	rc = each_part(col, key, split_one, &s, v);
	if (rc == LT_OK) {
		*fields = s.field;
		*n = s.n;
	}
	return rc;
}

static void
put_encoded(struct lt_buf *key, struct lt_slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (unreserved((char)text.data[i]))
			lt_buf_u8(key, text.data[i]);
		else
			lt_buf_printf(key, "%%%02X", text.data[i]);
	}
}

static const Ltpb__FieldSet *
find_set(const Ltpb__FieldSet *const *set, size_t nset, const char *name)
{
	size_t i;

	for (i = 0; i < nset; i++)
		if (strcmp(set[i]->name, name) == 0)
			return set[i];
	return NULL;
}

/* Append one part from its field. */
static int
build_part(const struct lt_field *f, const struct lt_unit *unit, const Ltpb__FieldSet *fs,
    struct lt_buf *key, struct lt_violation *v)
{
	struct lt_buf text;
	int rc;

	if (fs == NULL) {
		put_encoded(key, lt_slice_str(unit->s));
		return LT_OK;
	}
	rc = as_bad_key(lt_field_check(f, fs, v), v);
	if (rc != LT_OK)
		return rc;
	lt_buf_init(&text, 0);
	lt_value_text(fs->value, &text);
	lt_buf_u8(&text, 0);
	rc = text.err;
	if (rc == LT_OK && text.len == 1)
		rc = bad_key(v, f->rule.name, f, "required", "a key field must not be empty",
		    "trường khóa không được để trống");
	else if (rc == LT_OK && f->is_unit && strcmp((const char *)text.data, unit->s) != 0)
		rc = wrong_unit(f, (const char *)text.data, v);
	else if (rc == LT_OK)
		put_encoded(key, lt_slice(text.data, text.len - 1));
	lt_buf_fini(&text);
	return rc;
}

int
lt_key_build(const struct lt_collection *col, const struct lt_unit *unit,
    const Ltpb__FieldSet *const *set, size_t nset, struct lt_buf *key, struct lt_violation *v)
{
	size_t start = key->len, i;
	int rc;

	for (i = 0; i < col->nkey; i++) {
		const struct lt_field *f = &col->field[col->key[i]];
		const Ltpb__FieldSet *fs = find_set(set, nset, f->rule.name);

		if (fs == NULL && i >= col->nkey_min)
			break;
		if (fs == NULL && !f->is_unit)
			return bad_key(v, f->rule.name, f, "required", "the key field is missing",
			    "thiếu trường khóa");
		if (i > 0)
			lt_buf_u8(key, '/');
		rc = build_part(f, unit, fs, key, v);
		if (rc != LT_OK)
			return rc;
	}
	if (key->err != LT_OK)
		return key->err;
	if (key->len - start > LT_KEY_MAX)
		return bad_key(v, "", NULL, "length", "the key is longer than 256 bytes",
		    "khóa dài quá 256 byte");
	return LT_OK;
}
