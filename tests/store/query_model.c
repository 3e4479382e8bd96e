#include "query_model.h"

#include <stdio.h>

const char *const unit_code[UNITS] = { "16855", "16906", "17254", "17300" };

/* ---- catalogue ---- */

#define F(name, type, personal, indexed, more) \
	"{\"name\":\"" name "\",\"type\":\"" type \
	"\",\"title_vi\":\"x\",\"required\":false,\"indexed\":" indexed \
	",\"personal\":\"" personal "\",\"merge\":\"lww\",\"authority\":\"any\"" more "}"
#define K(name, type, indexed, more) \
	"{\"name\":\"" name "\",\"type\":\"" type \
	"\",\"title_vi\":\"x\",\"required\":true,\"indexed\":" indexed ",\"personal\":\"none\"," \
	"\"merge\":\"first\",\"authority\":\"any\"" more "}"

static const char item_json[] =
    "{\"id\":\"item\",\"title_vi\":\"x\",\"title_en\":\"x\",\"owner_departments\":[\"so_y_te\"],"
    "\"readers\":[],\"writers\":[\"commune\"],\"creators\":[\"commune\"],\"cadence\":\"monthly\","
    "\"lane\":\"normal\",\"unit_rule\":\"commune\",\"key\":{\"fields\":[\"code\",\"no\"],"
    "\"example\":\"x\"},\"contains_personal_data\":true,\"contains_sensitive_personal_data\":true,"
    "\"volume_per_commune\":{},\"source\":[],\"fields\":[" //
    K("code", "string", "false", ",\"in_key\":true,\"pattern\":\"^.{1,20}$\"") "," //
    K("no", "int64", "true", ",\"in_key\":true") "," //
    K("unit_code", "string", "false", ",\"is_unit\":true,\"pattern\":\"^[0-9]{5}$\"") "," //
    F("t", "string", "none", "true", "") "," //
    F("n", "int64", "none", "true", "") "," //
    F("m", "decimal", "none", "true", ",\"scale\":2") "," //
    F("s", "string", "none", "true", ",\"list_separator\":\";\"") "," //
    F("d", "date", "none", "false", "") "," //
    F("w", "timestamp", "none", "false", "") "," //
    F("o", "bool", "none", "false", "") "," //
    F("y", "bytes", "none", "false", "") "," //
    F("e", "enum", "none", "false", ",\"values\":[\"red\",\"green\",\"blue\"]") "," //
    F("x", "decimal", "none", "false", ",\"scale\":2") "," //
    F("p", "string", "basic", "true", "") "," //
    F("q", "int64", "sensitive", "false", "") "]}";

struct lt_catalogue *cat;

static struct lt_catalogue *
query_catalogue(void)
{
	struct lt_catalogue_part *part;
	struct lt_catalogue *c = NULL;
	struct lt_err err = { "" };
	struct lt_buf file, json = { 0 };
	struct lt_arena arena;
	size_t n;

	world_catalogue_file(&file);
	lt_arena_init(&arena, (size_t)16 << 20);
	ok(lt_catalogue_split(lt_buf_slice(&file), &arena, &part, &n, &err));
	/* The common part, and one collection of our own in place of the file's. */
	part[1] = (struct lt_catalogue_part){ "item", lt_slice_str(item_json) };
	if (lt_catalogue_join(part, 2, &json, &err) != LT_OK ||
	    lt_catalogue_parse(lt_buf_slice(&json), 1, &c, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&json);
	lt_buf_fini(&file);
	lt_arena_fini(&arena);
	return c;
}

int
query_load(void **state)
{
	(void)state;
	cat = query_catalogue();
	return 0;
}

int
query_unload(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

/* ---- the model ---- */

const struct model_field field[FIELDS] = { { "code", TEXT, false }, { "no", INT, false },
	{ "unit_code", TEXT, false }, { "t", TEXT, false }, { "n", INT, false },
	{ "m", DECIMAL, false }, { "s", SET, false }, { "d", DATE, false }, { "w", TIME, false },
	{ "o", BOOL, false }, { "y", BYTES, false }, { "e", ENUM, false }, { "x", DECIMAL, false },
	{ "p", TEXT, true }, { "q", INT, true }, { "_key", TEXT, false },
	{ "_unit", TEXT, false } };

/* Codes that sets are made of, sorted. */
const char *const codes[4] = { "a", "ab", "b", "c" };

struct model model;
static uint64_t rng;

size_t
model_below(size_t n)
{
	return rnd_below(&rng, n);
}

void
model_text(struct mvalue *v, const char *s)
{
	v->len = strlen(s);
	memcpy(v->text, s, v->len + 1);
}

static void
random_text(struct mvalue *v)
{
	static const char *const some[] = { "", "a", "ab", "b", "abc", "\x01", "a\x01", "Nghệ An",
		"Nghệ", "đường", "~", "z z" };
	char s[160];

	if (model_below(4) != 0) {
		model_text(v, some[model_below(12)]);
		return;
	}
	/* Long ones that differ only behind what an index keeps, or just within. */
	memset(s, 'l', 110);
	s[94 + model_below(4)] = (char)('j' + model_below(4));
	s[100] = (char)('j' + model_below(4));
	s[model_below(2) == 0 ? 95 + model_below(3) : 110] = '\0';
	model_text(v, s);
}

void
model_value(size_t f, struct mvalue *v)
{
	static const int64_t numbers[] = { 0, 1, 2, 3, -1, -2, 10, INT64_MAX, INT64_MIN, 1000000,
		-1000000, 7 };
	static const char *const words[] = { "red", "green", "blue" };

	memset(v, 0, sizeof(*v));
	v->has = true;
	switch (field[f].kind) {
	case TEXT:
		random_text(v);
		break;
	case ENUM:
		model_text(v, words[model_below(3)]);
		break;
	case BYTES:
		v->len = model_below(4) == 0 ? 50 + model_below(2) : model_below(3);
		memset(v->text, (int)model_below(2) * 0xff, v->len);
		if (v->len > 0)
			v->text[v->len - 1] = (char)model_below(3);
		break;
	case INT:
		v->n = f == N ? numbers[model_below(12)] : (int64_t)model_below(5) - 2;
		break;
	case DECIMAL:
		v->n = ((int64_t)model_below(7) - 3) * 50;
		break;
	case DATE:
		v->n = 20000 + (int64_t)model_below(6) - (model_below(5) == 0 ? 40000 : 0);
		break;
	case TIME:
		v->n = ((int64_t)model_below(6) - 2) * 1000;
		break;
	case BOOL:
		v->n = (int64_t)model_below(2);
		break;
	case SET:
		v->n = 1 + (int64_t)model_below(15);
		break;
	}
}

/* ---- writing the same into a store ---- */

Ltpb__Value *
model_to_value(struct lt_arena *a, size_t f, const struct mvalue *v)
{
	Ltpb__Value *out = lt_arena_alloc(a, sizeof(*out));
	const char *items[5];
	size_t i, n = 0;

	ltpb__value__init(out);
	switch (field[f].kind) {
	case TEXT:
		return fs_text(a, "x", v->text)->value;
	case ENUM:
		return fs_enum(a, "x", v->text)->value;
	case BYTES:
		return fs_bytes(a, "x", v->text, v->len)->value;
	case INT:
		return fs_int(a, "x", v->n)->value;
	case DECIMAL:
		/* Every other with one digit less: the same number. */
		return v->n % 10 == 0 && v->n % 100 != 0 ? fs_decimal(a, "x", v->n / 10, 1)->value
							 : fs_decimal(a, "x", v->n, 2)->value;
	case DATE:
		out->v_case = LTPB__VALUE__V_DATE;
		out->date = (int32_t)v->n;
		return out;
	case TIME:
		out->v_case = LTPB__VALUE__V_TIMESTAMP;
		out->timestamp = v->n;
		return out;
	case BOOL:
		out->v_case = LTPB__VALUE__V_BOOLEAN;
		out->boolean = (protobuf_c_boolean)v->n;
		return out;
	case SET:
		break;
	}
	for (i = 0; i < 4; i++) {
		if ((v->n >> i & 1) != 0)
			items[n++] = codes[i];
	}
	items[n] = NULL;
	return fs_set(a, "x", items)->value;
}

Ltpb__FieldSet *
model_to_field(struct lt_arena *a, size_t f, const struct mvalue *v)
{
	Ltpb__FieldSet *fs = fs_text(a, field[f].name, "");

	fs->value = model_to_value(a, f, v);
	return fs;
}

/* What a change does to a record, in the model and as a draft. */
static struct lt_draft
random_change(struct lt_arena *a, struct mrecord *r)
{
	struct lt_draft d = { .collection = "item",
		.key = lt_arena_dup(a, r->key, strlen(r->key)) };
	size_t f;

	if (r->alive && model_below(12) == 0) {
		d.is_delete = true;
		r->alive = false;
		for (f = T; f <= Q; f++)
			r->v[f].has = false;
		return d;
	}
	r->alive = true;
	d.set = lt_arena_alloc(a, FIELDS * sizeof(*d.set));
	d.personal = lt_arena_alloc(a, FIELDS * sizeof(*d.personal));
	d.cleared = lt_arena_alloc(a, FIELDS * sizeof(*d.cleared));
	for (f = T; f <= Q; f++) {
		if (model_below(4) == 0) {
			r->v[f].has = false;
			d.cleared[d.ncleared++] = (char *)field[f].name;
		} else if (model_below(2) == 0) {
			model_value(f, &r->v[f]);
			if (field[f].personal)
				d.personal[d.npersonal++] = model_to_field(a, f, &r->v[f]);
			else
				d.set[d.nset++] = model_to_field(a, f, &r->v[f]);
		}
	}
	return d;
}

void
model_project(struct lt_kv_txn *txn, struct feed *f, const struct lt_draft *d)
{
	struct lt_arena arena;

	lt_arena_init(&arena, (size_t)64 << 20);
	world_publish(txn, f, cat, d, 1, &arena);
	lt_arena_fini(&arena);
}

static void
new_record(struct mrecord *r, size_t i)
{
	static const char *const code[] = { "a", "b c", "đ", "a~" }, *const text[] = { "a", "b%20c",
		"%C4%91", "a~" };
	size_t c = model_below(4);
	struct mvalue *v = r->v;

	memset(r, 0, sizeof(*r));
	r->unit = model_below(UNITS);
	v[CODE].has = v[NO].has = v[UNIT].has = v[KEY].has = v[UNIT2].has = true;
	v[NO].n = (int64_t)(i * 37 % 1000) + 1;
	model_text(&v[CODE], code[c]);
	model_text(&v[UNIT], unit_code[r->unit]);
	model_text(&v[UNIT2], unit_code[r->unit]);
	(void)snprintf(r->key, sizeof(r->key), "%s/%d", text[c], (int)v[NO].n);
	model_text(&v[KEY], r->key);
}

void
model_fill(struct env *e, uint64_t seed, size_t n)
{
	struct author author;
	struct feed feed[UNITS];
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_draft d;
	struct mrecord *r;
	size_t i;

	rng = seed;
	author_init(&author, 3);
	for (i = 0; i < UNITS; i++)
		feed_init(&feed[i], &author, unit_code[i], LT_LANE_NORMAL, 1);
	ok(lt_kv_begin_write(e->kv, &txn));
	model.n = n;
	for (i = 0; i < n; i++)
		new_record(&model.r[i], i);
	for (i = 0; i < n * 3; i++) {
		lt_arena_init(&arena, (size_t)1 << 20);
		r = &model.r[i < n ? i : model_below(n)];
		d = random_change(&arena, r);
		model_project(txn, &feed[r->unit], &d);
		lt_arena_fini(&arena);
	}
	ok(lt_kv_commit(txn));
}

/* ---- asking ---- */

static size_t
unit_place(const char *unit)
{
	size_t i = 0;

	while (i < UNITS && strcmp(unit_code[i], unit) != 0)
		i++;
	return i;
}

static bool
eye_unit(void *ctx, const struct lt_collection *c, const char *unit)
{
	const struct eyes *e = ctx;

	(void)c;
	if (e->nothing)
		return false;
	return unit == NULL || (unit_place(unit) < UNITS && !e->no_unit[unit_place(unit)]);
}

static size_t
field_place(const char *name)
{
	size_t f = 0;

	while (f < FIELDS && strcmp(field[f].name, name) != 0)
		f++;
	return f;
}

static bool
eye_field(void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f)
{
	const struct eyes *e = ctx;
	size_t place = field_place(f->rule.name);

	/* `_actor` is in no list. */
	return eye_unit(ctx, c, unit) && (place == FIELDS || !e->no_field[unit_place(unit)][place]);
}

static bool
eye_everywhere(void *ctx, const struct lt_collection *c, const struct lt_field *f)
{
	size_t i;

	for (i = 0; i < UNITS; i++) {
		if (eye_unit(ctx, c, unit_code[i]) && !eye_field(ctx, c, unit_code[i], f))
			return false;
	}
	return true;
}

void
ask_begin(struct asking *a, struct env *e)
{
	memset(a, 0, sizeof(*a));
	ok(lt_kv_begin_read(e->kv, &a->txn));
	lt_arena_init(&a->arena, (size_t)64 << 20);
	a->sight = (struct lt_sight){ eye_unit, eye_field, eye_everywhere, NULL, &a->eyes };
	a->q = (struct lt_query){ .log = a->txn,
		.derived = a->txn,
		.catalogue = cat,
		.sight = &a->sight,
		.arena = &a->arena };
	ok(lt_unit_set(&a->q.province, lt_slice_str(WORLD_PROVINCE)));
}

void
ask_end(struct asking *a)
{
	lt_arena_fini(&a->arena);
	lt_kv_abort(a->txn);
}

/* Fresh memory for the next question. */
void
ask_again(struct asking *a)
{
	lt_arena_fini(&a->arena);
	lt_arena_init(&a->arena, (size_t)64 << 20);
}
