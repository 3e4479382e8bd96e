/* Queries: a model that holds the same values in its own form answers the same random questions; and by hand what no model
 * tells: tokens, limits, what is hidden, damage. */
#include "proto/base/clock.h"
#include "proto/base/wire.h"
#include "proto/model/value.h"
#include "proto/store/kv_test.h"
#include "proto/store/query.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define UNITS 4
#define RECORDS 220
#define QUESTIONS 24000

static const char *const unit_code[UNITS] = { "16855", "16906", "17254", "17300" };

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

static struct lt_catalogue *cat;

static struct lt_catalogue *
make_catalogue(void)
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

/* ---- the model ---- */

enum kind { TEXT, ENUM, BYTES, INT, DECIMAL, DATE, TIME, BOOL, SET };
enum { CODE, NO, UNIT, T, N, M, S, D, W, O, Y, E, X, P, Q, KEY, UNIT2, FIELDS };

static const struct {
	const char *name;
	enum kind kind;
	bool personal;
} field[FIELDS] = { { "code", TEXT, false }, { "no", INT, false }, { "unit_code", TEXT, false },
	{ "t", TEXT, false }, { "n", INT, false }, { "m", DECIMAL, false }, { "s", SET, false },
	{ "d", DATE, false }, { "w", TIME, false }, { "o", BOOL, false }, { "y", BYTES, false },
	{ "e", ENUM, false }, { "x", DECIMAL, false }, { "p", TEXT, true }, { "q", INT, true },
	{ "_key", TEXT, false }, { "_unit", TEXT, false } };

/* Codes that sets are made of, sorted. */
static const char *const codes[4] = { "a", "ab", "b", "c" };

/* Numbers: decimals in hundredths. Sets: bit i for codes[i]. */
struct mvalue {
	bool has;
	int64_t n;
	size_t len;
	char text[160];
};

struct mrecord {
	bool alive;
	size_t unit;
	char key[64];
	struct mvalue v[FIELDS];
};

struct model {
	size_t n;
	struct mrecord r[RECORDS];
};

static struct model model;
static uint64_t rng;

static size_t
below(size_t n)
{
	return rnd_below(&rng, n);
}

static void
mtext(struct mvalue *v, const char *s)
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

	if (below(4) != 0) {
		mtext(v, some[below(12)]);
		return;
	}
	/* Long ones that differ only behind what an index keeps, or just within. */
	memset(s, 'l', 110);
	s[94 + below(4)] = (char)('j' + below(4));
	s[100] = (char)('j' + below(4));
	s[below(2) == 0 ? 95 + below(3) : 110] = '\0';
	mtext(v, s);
}

static void
random_value(size_t f, struct mvalue *v)
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
		mtext(v, words[below(3)]);
		break;
	case BYTES:
		v->len = below(4) == 0 ? 50 + below(2) : below(3);
		memset(v->text, (int)below(2) * 0xff, v->len);
		if (v->len > 0)
			v->text[v->len - 1] = (char)below(3);
		break;
	case INT:
		v->n = f == N ? numbers[below(12)] : (int64_t)below(5) - 2;
		break;
	case DECIMAL:
		v->n = ((int64_t)below(7) - 3) * 50;
		break;
	case DATE:
		v->n = 20000 + (int64_t)below(6) - (below(5) == 0 ? 40000 : 0);
		break;
	case TIME:
		v->n = ((int64_t)below(6) - 2) * 1000;
		break;
	case BOOL:
		v->n = (int64_t)below(2);
		break;
	case SET:
		v->n = 1 + (int64_t)below(15);
		break;
	}
}

static int
order(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
bytes_order(const char *a, size_t na, const char *b, size_t nb)
{
	size_t n = na < nb ? na : nb;
	int c = n == 0 ? 0 : memcmp(a, b, n);

	return c != 0 ? (c > 0) - (c < 0) : order((int64_t)na, (int64_t)nb);
}

static bool
textual(size_t f)
{
	return field[f].kind == TEXT || field[f].kind == ENUM || field[f].kind == BYTES;
}

static int
mcmp(size_t f, const struct mvalue *a, const struct mvalue *b)
{
	return textual(f) ? bytes_order(a->text, a->len, b->text, b->len) : order(a->n, b->n);
}

/* ---- writing the same into a store ---- */

static Ltpb__Value *
to_value(struct lt_arena *a, size_t f, const struct mvalue *v)
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

static Ltpb__FieldSet *
to_field(struct lt_arena *a, size_t f, const struct mvalue *v)
{
	Ltpb__FieldSet *fs = fs_text(a, field[f].name, "");

	fs->value = to_value(a, f, v);
	return fs;
}

/* What a change does to a record, in the model and as a draft. */
static struct lt_draft
random_change(struct lt_arena *a, struct mrecord *r)
{
	struct lt_draft d = { .collection = "item",
		.key = lt_arena_dup(a, r->key, strlen(r->key)) };
	size_t f;

	if (r->alive && below(12) == 0) {
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
		if (below(4) == 0) {
			r->v[f].has = false;
			d.cleared[d.ncleared++] = (char *)field[f].name;
		} else if (below(2) == 0) {
			random_value(f, &r->v[f]);
			if (field[f].personal)
				d.personal[d.npersonal++] = to_field(a, f, &r->v[f]);
			else
				d.set[d.nset++] = to_field(a, f, &r->v[f]);
		}
	}
	return d;
}

static void
project(struct lt_kv_txn *txn, struct feed *f, const struct lt_draft *d)
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
	size_t c = below(4);
	struct mvalue *v = r->v;

	memset(r, 0, sizeof(*r));
	r->unit = below(UNITS);
	v[CODE].has = v[NO].has = v[UNIT].has = v[KEY].has = v[UNIT2].has = true;
	v[NO].n = (int64_t)(i * 37 % 1000) + 1;
	mtext(&v[CODE], code[c]);
	mtext(&v[UNIT], unit_code[r->unit]);
	mtext(&v[UNIT2], unit_code[r->unit]);
	(void)snprintf(r->key, sizeof(r->key), "%s/%d", text[c], (int)v[NO].n);
	mtext(&v[KEY], r->key);
}

static void
fill(struct env *e, uint64_t seed, size_t n)
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
		r = &model.r[i < n ? i : below(n)];
		d = random_change(&arena, r);
		project(txn, &feed[r->unit], &d);
		lt_arena_fini(&arena);
	}
	ok(lt_kv_commit(txn));
}

/* ---- asking ---- */

struct eyes {
	bool no_unit[UNITS];
	bool no_field[UNITS][FIELDS];
	bool nothing;
};

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

struct asking {
	struct eyes eyes;
	struct lt_sight sight;
	struct lt_query q;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_err err;
};

static void
ask(struct asking *a, struct env *e)
{
	memset(a, 0, sizeof(*a));
	ok(lt_kv_begin_read(e->kv, &a->txn));
	lt_arena_init(&a->arena, (size_t)64 << 20);
	a->sight = (struct lt_sight){ eye_unit, eye_field, eye_everywhere, &a->eyes };
	a->q = (struct lt_query){ .log = a->txn,
		.derived = a->txn,
		.catalogue = cat,
		.sight = &a->sight,
		.arena = &a->arena };
	ok(lt_unit_set(&a->q.province, lt_slice_str(WORLD_PROVINCE)));
}

static void
asked(struct asking *a)
{
	lt_arena_fini(&a->arena);
	lt_kv_abort(a->txn);
}

/* Fresh memory for the next question. */
static void
again(struct asking *a)
{
	lt_arena_fini(&a->arena);
	lt_arena_init(&a->arena, (size_t)64 << 20);
}

/* ---- random questions ---- */

struct mfilter {
	size_t f;
	Ltpb__FilterOp op;
	size_t n;
	struct mvalue v[4];
};

struct question {
	size_t nunit;
	char *unit[UNITS + 1];
	size_t nfilter;
	struct mfilter filter[4];
	size_t by; /* FIELDS: none */
	bool descending;
	size_t nmask;
	size_t mask[4];
	struct eyes eyes;
};

static bool
has_prefixes(size_t f)
{
	return textual(f) || field[f].kind == SET;
}

static void
random_filter(struct question *q, struct mfilter *m)
{
	static const Ltpb__FilterOp ops[] = { LTPB__FILTER_OP__FILTER_OP_EQ,
		LTPB__FILTER_OP__FILTER_OP_EQ, LTPB__FILTER_OP__FILTER_OP_NE,
		LTPB__FILTER_OP__FILTER_OP_LT, LTPB__FILTER_OP__FILTER_OP_LE,
		LTPB__FILTER_OP__FILTER_OP_GT, LTPB__FILTER_OP__FILTER_OP_GE,
		LTPB__FILTER_OP__FILTER_OP_PREFIX, LTPB__FILTER_OP__FILTER_OP_IN,
		LTPB__FILTER_OP__FILTER_OP_IS_NULL, LTPB__FILTER_OP__FILTER_OP_NOT_NULL };
	size_t i;

	(void)q;
	memset(m, 0, sizeof(*m));
	m->f = below(3) == 0 ? T + below(4) : below(FIELDS);
	m->op = ops[below(11)];
	m->n = m->op == LTPB__FILTER_OP__FILTER_OP_IN ? 1 + below(4) : 1;
	if (m->op == LTPB__FILTER_OP__FILTER_OP_IS_NULL ||
	    m->op == LTPB__FILTER_OP__FILTER_OP_NOT_NULL)
		m->n = 0;
	for (i = 0; i < m->n; i++) {
		const struct mrecord *r = &model.r[below(model.n)];

		if (field[m->f].kind == SET)
			mtext(&m->v[i], below(8) == 0 ? "none" : codes[below(4)]);
		else if (r->v[m->f].has && (m->f < T || m->f > Q || below(2) == 0))
			m->v[i] = r->v[m->f];
		else
			random_value(m->f, &m->v[i]);
		/* A shorter beginning, cut where a letter ends. */
		if (m->op == LTPB__FILTER_OP__FILTER_OP_PREFIX && m->v[i].len > 0 &&
		    (m->v[i].text[0] & 0x80) == 0 && below(3) == 0) {
			m->v[i].len = 1;
			m->v[i].text[1] = '\0';
		}
	}
}

static void
random_question(struct question *q)
{
	size_t i, u;

	memset(q, 0, sizeof(*q));
	if (below(2) == 0)
		q->nunit = 1 + below(3);
	for (i = 0; i < q->nunit; i++)
		q->unit[i] = below(12) == 0 ? (char *)"99999" : (char *)unit_code[below(UNITS)];
	q->nfilter = below(4);
	for (i = 0; i < q->nfilter; i++)
		random_filter(q, &q->filter[i]);
	q->by = below(3) == 0 ? FIELDS : below(FIELDS);
	q->descending = below(2) == 0;
	q->nmask = below(4) == 0 ? 1 + below(3) : 0;
	for (i = 0; i < q->nmask; i++)
		q->mask[i] = below(Q + 1);
	if (below(3) == 0)
		q->eyes.no_unit[below(UNITS)] = true;
	for (u = 0; u < UNITS && below(4) == 0; u++)
		q->eyes.no_field[u][below(Q + 1)] = true;
	if (below(5) == 0) {
		i = P + below(2);
		for (u = 0; u < UNITS; u++)
			q->eyes.no_field[u][i] = true;
	}
}

/* ---- the model's answers ---- */

static bool
reached(const struct question *q, size_t unit)
{
	size_t i;

	if (q->eyes.no_unit[unit])
		return false;
	for (i = 0; i < q->nunit; i++) {
		if (strcmp(q->unit[i], unit_code[unit]) == 0)
			return true;
	}
	return q->nunit == 0;
}

static bool
hidden(const struct question *q, size_t unit, size_t f)
{
	if (f == KEY)
		return q->eyes.no_field[unit][CODE] || q->eyes.no_field[unit][NO];
	return f != UNIT2 && q->eyes.no_field[unit][f];
}

static bool
may_use(const struct question *q, size_t f)
{
	size_t u;

	for (u = 0; u < UNITS; u++) {
		if (reached(q, u) && hidden(q, u, f))
			return false;
	}
	return true;
}

static bool
is_range(Ltpb__FilterOp op)
{
	return op >= LTPB__FILTER_OP__FILTER_OP_LT && op <= LTPB__FILTER_OP__FILTER_OP_GE;
}

static int
filters_code(const struct question *q)
{
	const struct mfilter *m;

	for (m = q->filter; m < q->filter + q->nfilter; m++) {
		if (!may_use(q, m->f))
			return LT_E_DENIED;
		if (is_range(m->op) && field[m->f].kind == SET)
			return LT_E_INVALID;
		if (m->op == LTPB__FILTER_OP__FILTER_OP_PREFIX && !has_prefixes(m->f))
			return LT_E_INVALID;
	}
	return LT_OK;
}

static int
list_code(const struct question *q)
{
	int rc = filters_code(q);
	size_t i;

	if (rc != LT_OK)
		return rc;
	if (q->by < FIELDS && !may_use(q, q->by))
		return LT_E_DENIED;
	if (q->by < FIELDS && field[q->by].kind == SET)
		return LT_E_INVALID;
	for (i = 0; i < q->nmask; i++) {
		if (!may_use(q, q->mask[i]))
			return LT_E_DENIED;
	}
	return LT_OK;
}

static bool
starts(const char *s, size_t len, const struct mvalue *with)
{
	return len >= with->len && memcmp(s, with->text, with->len) == 0;
}

/* Of a set: has it a code that is, or begins with, any of the values? */
static bool
set_matches(const struct mfilter *m, int64_t bits)
{
	size_t i, k;

	for (i = 0; i < m->n; i++) {
		for (k = 0; k < 4; k++) {
			if ((bits >> k & 1) == 0)
				continue;
			if (m->op == LTPB__FILTER_OP__FILTER_OP_PREFIX
				? starts(codes[k], strlen(codes[k]), &m->v[i])
				: strcmp(codes[k], m->v[i].text) == 0)
				return true;
		}
	}
	return false;
}

static bool
matches(const struct mfilter *m, const struct mrecord *r)
{
	const struct mvalue *v = &r->v[m->f];
	size_t i;
	int c;

	if (m->op == LTPB__FILTER_OP__FILTER_OP_IS_NULL)
		return !v->has;
	if (!v->has || m->op == LTPB__FILTER_OP__FILTER_OP_NOT_NULL)
		return v->has;
	if (field[m->f].kind == SET)
		return set_matches(m, v->n) != (m->op == LTPB__FILTER_OP__FILTER_OP_NE);
	if (m->op == LTPB__FILTER_OP__FILTER_OP_PREFIX)
		return starts(v->text, v->len, &m->v[0]);
	for (i = 0; m->op == LTPB__FILTER_OP__FILTER_OP_IN && i < m->n; i++) {
		if (mcmp(m->f, v, &m->v[i]) == 0)
			return true;
	}
	c = mcmp(m->f, v, &m->v[0]);
	switch (m->op) {
	case LTPB__FILTER_OP__FILTER_OP_EQ:
		return c == 0;
	case LTPB__FILTER_OP__FILTER_OP_NE:
		return c != 0;
	case LTPB__FILTER_OP__FILTER_OP_LT:
		return c < 0;
	case LTPB__FILTER_OP__FILTER_OP_LE:
		return c <= 0;
	case LTPB__FILTER_OP__FILTER_OP_GT:
		return c > 0;
	case LTPB__FILTER_OP__FILTER_OP_GE:
		return c >= 0;
	default:
		return false;
	}
}

static const struct question *sorting;

static size_t
cut(size_t f, size_t len)
{
	size_t most = f == KEY ? 256 : field[f].kind == BYTES ? 48 : 96;

	return len < most ? len : most;
}

static int
record_order(const void *x, const void *y)
{
	const struct mrecord *a = *(const struct mrecord *const *)x,
			     *b = *(const struct mrecord *const *)y;
	size_t f = sorting->by;
	bool by_value = f < FIELDS && f != UNIT && f != UNIT2;
	const struct mvalue *va = by_value ? &a->v[f] : NULL, *vb = by_value ? &b->v[f] : NULL;
	int c = 0;

	if (by_value && va->has != vb->has)
		return va->has ? -1 : 1;
	if (by_value && va->has)
		c = textual(f) ? bytes_order(va->text, cut(f, va->len), vb->text, cut(f, vb->len))
			       : order(va->n, vb->n);
	if (c == 0)
		c = strcmp(unit_code[a->unit], unit_code[b->unit]);
	if (c == 0)
		c = strcmp(a->key, b->key);
	return sorting->descending && !(by_value && !va->has) ? -c : c;
}

static size_t
answer(const struct question *q, const struct mrecord *out[RECORDS])
{
	size_t i, k, n = 0;
	bool yes;

	for (i = 0; i < model.n; i++) {
		yes = model.r[i].alive && reached(q, model.r[i].unit);
		for (k = 0; yes && k < q->nfilter; k++)
			yes = matches(&q->filter[k], &model.r[i]);
		if (yes)
			out[n++] = &model.r[i];
	}
	return n;
}

/* ---- comparing ---- */

static bool
same_text(const Ltpb__Value *a, const Ltpb__Value *b)
{
	struct lt_buf x = { 0 }, y = { 0 };
	bool same;

	lt_value_text(a, &x);
	lt_value_text(b, &y);
	same = lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y));
	lt_buf_fini(&x);
	lt_buf_fini(&y);
	return same;
}

static bool
same_value(struct lt_arena *a, size_t f, const struct mvalue *want, const Ltpb__Value *got)
{
	const Ltpb__Value *v = to_value(a, f, want);

	return got->v_case == v->v_case &&
	       ltpb__value__get_packed_size(v) == ltpb__value__get_packed_size(got) &&
	       same_text(v, got);
}

static void
assert_record(struct lt_arena *a, const struct question *q, const struct mrecord *want,
    const Ltpb__Record *got)
{
	size_t f, i, nfield = 0, nmasked = 0;
	bool wanted;

	assert_string_equal(got->collection, "item");
	assert_string_equal(got->unit, unit_code[want->unit]);
	assert_string_equal(got->key, hidden(q, want->unit, KEY) ? "" : want->key);
	for (f = 0; f <= Q; f++) {
		for (wanted = q->nmask == 0, i = 0; i < q->nmask; i++)
			wanted = wanted || q->mask[i] == f;
		if (!want->v[f].has || !wanted)
			continue;
		if (hidden(q, want->unit, f)) {
			for (i = 0; i < got->n_masked; i++)
				nmasked += strcmp(got->masked[i], field[f].name) == 0;
			continue;
		}
		for (i = 0; i < got->n_field && strcmp(got->field[i]->name, field[f].name) != 0;)
			i++;
		if (i == got->n_field || !same_value(a, f, &want->v[f], got->field[i]->value))
			fail_msg("%s of %s", field[f].name, want->key);
		nfield++;
	}
	assert_int_equal(got->n_field, nfield);
	assert_int_equal(got->n_masked, nmasked);
}

/* ---- requests ---- */

static void
put_filters(struct lt_arena *a, const struct question *q, size_t *n, Ltpb__Filter ***out)
{
	const struct mfilter *m;
	size_t i, k;

	*out = lt_arena_alloc(a, 4 * sizeof(**out));
	*n = q->nfilter;
	for (i = 0; i < q->nfilter; i++) {
		Ltpb__Filter *f = lt_arena_alloc(a, sizeof(*f));

		m = &q->filter[i];
		ltpb__filter__init(f);
		f->field = (char *)field[m->f].name;
		f->op = m->op;
		f->value = lt_arena_alloc(a, 4 * sizeof(*f->value));
		for (k = 0; k < m->n; k++)
			f->value[f->n_value++] = field[m->f].kind == SET
						     ? fs_text(a, "x", m->v[k].text)->value
						     : to_value(a, m->f, &m->v[k]);
		(*out)[i] = f;
	}
}

static void
put_list(struct lt_arena *a, const struct question *q, Ltpb__ListRequest *req)
{
	size_t i;

	ltpb__list_request__init(req);
	req->collection = (char *)"item";
	req->unit = (char **)q->unit;
	req->n_unit = q->nunit;
	put_filters(a, q, &req->n_filter, &req->filter);
	if (q->by < FIELDS)
		req->order_by = (char *)field[q->by].name;
	req->descending = q->descending;
	req->mask = lt_arena_alloc(a, 4 * sizeof(*req->mask));
	for (i = 0; i < q->nmask; i++)
		req->mask[req->n_mask++] = (char *)field[q->mask[i]].name;
}

static void
random_few(struct asking *a)
{
	static const size_t few[] = { 1, 2, 8, 40, 0 };

	a->q.few = few[below(5)];
}

/* All pages of one question, of random sizes and found in random ways. */
static void
check_list(struct asking *a, const struct question *q, size_t number)
{
	const struct mrecord *want[RECORDS];
	uint8_t token[1024];
	Ltpb__ListRequest req;
	Ltpb__ListReply reply;
	size_t n = answer(q, want), at = 0, i;
	int rc, code = list_code(q);

	sorting = q;
	qsort(want, n, sizeof(want[0]), record_order);
	a->eyes = q->eyes;
	put_list(&a->arena, q, &req);
	do {
		random_few(a);
		req.page_size = below(4) == 0 ? 0 : (uint32_t)(1 + below(60));
		rc = lt_query_list(&a->q, &req, &reply, &a->err);
		if (rc != code)
			fail_msg("question %zu: %d, not %d: %s", number, rc, code, a->err.text);
		if (rc != LT_OK)
			return;
		assert_true(reply.n_record <= (req.page_size == 0 ? 100 : req.page_size));
		for (i = 0; i < reply.n_record; i++, at++) {
			if (at >= n ||
			    strcmp(reply.record[i]->unit, unit_code[want[at]->unit]) != 0)
				fail_msg("question %zu: row %zu of %zu", number, at, n);
			assert_record(&a->arena, q, want[at], reply.record[i]);
		}
		assert_true(reply.next_page_token.len <= sizeof(token));
		memcpy(token, reply.next_page_token.data, reply.next_page_token.len);
		req.page_token.data = token;
		req.page_token.len = reply.next_page_token.len;
		/* A page that says there is more has rows. */
		assert_true(reply.n_record > 0 || req.page_token.len == 0);
	} while (req.page_token.len != 0);
	if (at != n)
		fail_msg("question %zu: %zu of %zu rows", number, at, n);
}

/* ---- groups ---- */

struct mgroup {
	const struct mrecord *first;
	uint64_t count;
	__int128 sum[2];
};

static bool
same_group(const size_t *by, size_t nby, const struct mrecord *a, const struct mrecord *b)
{
	size_t i;

	for (i = 0; i < nby; i++) {
		if (a->v[by[i]].has != b->v[by[i]].has ||
		    (a->v[by[i]].has && mcmp(by[i], &a->v[by[i]], &b->v[by[i]]) != 0))
			return false;
	}
	return true;
}

static size_t
group(const struct question *q, const size_t *by, size_t nby, const size_t *sum, size_t nsum,
    struct mgroup *out)
{
	const struct mrecord *row[RECORDS];
	size_t n = answer(q, row), ngroup = 0, i, g, k;

	memset(out, 0, (RECORDS + 1) * sizeof(*out));
	for (i = 0; i < n; i++) {
		for (g = 0; g < ngroup && !same_group(by, nby, out[g].first, row[i]);)
			g++;
		if (g == ngroup)
			out[ngroup++].first = row[i];
		out[g].count++;
		for (k = 0; k < nsum; k++)
			out[g].sum[k] += row[i]->v[sum[k]].has ? row[i]->v[sum[k]].n : 0;
	}
	return nby == 0 && ngroup == 0 ? 1 : ngroup;
}

static bool
group_is(struct lt_arena *a, const struct mgroup *g, const size_t *by, size_t nby,
    const Ltpb__AggregateGroup *got)
{
	size_t i;

	for (i = 0; i < nby; i++) {
		const struct mvalue *v = &g->first->v[by[i]];
		Ltpb__Value *want;

		if (!v->has && got->group[i]->v_case != LTPB__VALUE__V__NOT_SET)
			return false;
		if (!v->has)
			continue;
		want = to_value(a, by[i], v);
		/* Groups of decimals are given at the field's scale. */
		if (field[by[i]].kind == DECIMAL)
			want = fs_decimal(a, "x", v->n, 2)->value;
		if (got->group[i]->v_case != want->v_case || !same_text(want, got->group[i]))
			return false;
	}
	return true;
}

static void
check_aggregate(struct asking *a, const struct question *q, size_t number)
{
	static const size_t numbers[] = { NO, N, M, X, Q };
	static struct mgroup want[RECORDS + 1];
	size_t by[2], sum[2], nby = below(3), nsum = below(3), n, i, g, k;
	char *by_name[2], *sum_name[2];
	Ltpb__AggregateRequest req = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply reply;
	int rc, code = filters_code(q);
	bool overflow = false;

	for (i = 0; i < nby; i++) {
		by[i] = below(FIELDS);
		by_name[i] = (char *)field[by[i]].name;
		code = code == LT_OK && !may_use(q, by[i]) ? LT_E_DENIED : code;
	}
	for (i = 0; i < nsum; i++) {
		sum[i] = numbers[below(5)];
		sum_name[i] = (char *)field[sum[i]].name;
		code = code == LT_OK && !may_use(q, sum[i]) ? LT_E_DENIED : code;
	}
	req.collection = (char *)"item";
	req.unit = (char **)q->unit;
	req.n_unit = q->nunit;
	req.group_by = by_name;
	req.n_group_by = nby;
	req.sum = sum_name;
	req.n_sum = nsum;
	put_filters(&a->arena, q, &req.n_filter, &req.filter);
	n = group(q, by, nby, sum, nsum, want);
	for (g = 0; g < n; g++) {
		for (k = 0; k < nsum; k++)
			overflow =
			    overflow || want[g].sum[k] > INT64_MAX || want[g].sum[k] < INT64_MIN;
	}
	if (code == LT_OK && overflow)
		code = LT_E_TOOBIG;
	a->eyes = q->eyes;
	random_few(a);
	rc = lt_query_aggregate(&a->q, &req, &reply, &a->err);
	if (rc != code)
		fail_msg("question %zu: %d, not %d: %s", number, rc, code, a->err.text);
	if (rc != LT_OK)
		return;
	assert_int_equal(reply.n_group, n);
	for (g = 0; g < n; g++) {
		for (i = 0; i < n && !group_is(&a->arena, &want[g], by, nby, reply.group[i]);)
			i++;
		assert_true(i < n);
		assert_int_equal(reply.group[i]->count, want[g].count);
		assert_int_equal(reply.group[i]->n_sum, nsum);
		for (k = 0; k < nsum; k++) {
			assert_true(reply.group[i]->sum[k]->unscaled == (int64_t)want[g].sum[k]);
			assert_int_equal(
			    reply.group[i]->sum[k]->scale, field[sum[k]].kind == DECIMAL ? 2 : 0);
		}
	}
}

static void
as_the_model_answers(void **state)
{
	static struct question q;
	struct asking a;
	struct env e;
	size_t i, rows = 0;
	const struct mrecord *want[RECORDS];

	(void)state;
	env_open(&e, false);
	fill(&e, 77, RECORDS);
	ask(&a, &e);
	for (i = 0; i < QUESTIONS; i++) {
		random_question(&q);
		if (i % 3 == 2)
			check_aggregate(&a, &q, i);
		else
			check_list(&a, &q, i);
		rows += list_code(&q) == LT_OK ? answer(&q, want) : 0;
		again(&a);
	}
	/* Questions that find nothing would show little. */
	assert_true(rows > QUESTIONS * 5);
	asked(&a);
	env_close(&e);
}

/* The same over a store on disk, with fewer questions. */
static void
on_disk_too(void **state)
{
	static struct question q;
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, true);
	fill(&e, 78, 60);
	ask(&a, &e);
	for (i = 0; i < 600; i++) {
		random_question(&q);
		check_list(&a, &q, i);
		again(&a);
	}
	asked(&a);
	env_close(&e);
}

/* ---- by hand ---- */

/* A shown record as the projection stores it (FORMAT.md 9.6), for tests that need many or odd ones. */
static void
put_shown(struct lt_kv_txn *txn, const char *unit, const char *key, Ltpb__FieldSet **f, size_t n)
{
	Ltpb__Record r = LTPB__RECORD__INIT;
	struct lt_buf rk = { 0 }, packed = { 0 };

	r.collection = (char *)"item";
	r.unit = (char *)unit;
	r.key = (char *)key;
	r.field = f;
	r.n_field = n;
	lt_key_record(&rk, "item", unit, key);
	ok(lt_wire_pack(&r.base, LT_MESSAGE_MAX, &packed));
	ok(lt_kv_put(txn, LT_T_SHOWN, lt_buf_slice(&rk), lt_buf_slice(&packed)));
	lt_buf_fini(&rk);
	lt_buf_fini(&packed);
}

static int
list_page(struct asking *a, Ltpb__ListRequest *req, Ltpb__ListReply *reply)
{
	int rc;

	a->err.text[0] = '\0';
	rc = lt_query_list(&a->q, req, reply, &a->err);
	if (rc == LT_OK)
		req->page_token = reply->next_page_token;
	else
		assert_true(a->err.text[0] != '\0' || rc == LT_E_CORRUPT);
	return rc;
}

static void
tokens(void **state)
{
	static const uint8_t key1[32] = { 1 }, key2[32] = { 2 };
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT, other;
	Ltpb__HistoryRequest hist = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__HistoryReply hist_reply;
	ProtobufCBinaryData token;
	Ltpb__ListReply reply;
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, false);
	fill(&e, 5, 60);
	ask(&a, &e);
	req.collection = (char *)"item";
	req.page_size = 7;
	ok(list_page(&a, &req, &reply));
	token = req.page_token;
	assert_true(token.len > 0);
	/* Every bit, every length. */
	for (i = 0; i < token.len * 8; i++) {
		token.data[i / 8] ^= (uint8_t)(1 << i % 8);
		req.page_token = token;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
		token.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 1; i < token.len; i++) {
		req.page_token.len = i;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	}
	/* Of another request; but a page may have another size. */
	other = req;
	other.page_token = token;
	other.descending = true;
	assert_int_equal(list_page(&a, &other, &reply), LT_E_INVALID);
	other = req;
	other.page_token = token;
	other.order_by = (char *)"n";
	assert_int_equal(list_page(&a, &other, &reply), LT_E_INVALID);
	other = req;
	other.page_token = token;
	other.page_size = 1000;
	ok(list_page(&a, &other, &reply));
	hist.collection = (char *)"item";
	hist.unit = (char *)reply.record[0]->unit;
	hist.key = reply.record[0]->key;
	hist.page_token = token;
	assert_int_equal(
	    lt_query_history(&a.q, &hist, NULL, NULL, &hist_reply, &a.err), LT_E_INVALID);
	/* With a key of its own a token outlives the process; with another it is none. */
	a.q.token_key = key1;
	req.page_token = token;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	req.page_token.len = 0;
	ok(list_page(&a, &req, &reply));
	a.q.token_key = key2;
	token = req.page_token;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	a.q.token_key = key1;
	req.page_token = token;
	ok(list_page(&a, &req, &reply));
	asked(&a);
	env_close(&e);
}

/* Between two pages rows come in before and behind; what was there is given once. */
static void
pages_stay_while_rows_come(void **state)
{
	static const char *const by[] = { "", "t", "m", "n", "x", "_key" };
	Ltpb__ListRequest req;
	Ltpb__ListReply reply;
	static char seen[4096][80];
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	uint8_t token[1024];
	size_t i, k, k2, n, round;
	char key[32];

	(void)state;
	for (round = 0; round < 24; round++) {
		env_open(&e, false);
		fill(&e, 900 + round, 60);
		ltpb__list_request__init(&req);
		req.collection = (char *)"item";
		req.page_size = 9;
		req.order_by = (char *)by[round % 6];
		req.descending = round / 6 % 2 == 1;
		for (n = 0, k = 0; k == 0 || req.page_token.len != 0; k++) {
			ask(&a, &e);
			a.q.few = round < 12 ? 1 : 0;
			ok(lt_query_list(&a.q, &req, &reply, &a.err));
			for (i = 0; i < reply.n_record; i++)
				(void)snprintf(seen[n++], sizeof(seen[0]), "%s %s",
				    reply.record[i]->unit, reply.record[i]->key);
			memcpy(token, reply.next_page_token.data, reply.next_page_token.len);
			req.page_token.data = token;
			req.page_token.len = reply.next_page_token.len;
			asked(&a);
			lt_arena_init(&arena, (size_t)1 << 20);
			ok(lt_kv_begin_write(e.kv, &txn));
			for (i = 0; i < 3; i++) {
				struct mvalue v;
				struct author author;
				struct feed feed;
				struct lt_draft d = { .collection = "item", .key = key };
				Ltpb__FieldSet *set[4];

				author_init(&author, (uint8_t)(50 + k));
				feed_init(&feed, &author, unit_code[i], LT_LANE_NORMAL, k);
				(void)snprintf(key, sizeof(key), "a/%d", (int)(2000 + k));
				d.set = set;
				for (k2 = T; k2 <= M; k2++) {
					random_value(k2, &v);
					set[d.nset++] = to_field(&arena, k2, &v);
				}
				project(txn, &feed, &d);
			}
			ok(lt_kv_commit(txn));
			lt_arena_fini(&arena);
			assert_true(k < 200);
		}
		for (i = 0; i < n; i++) {
			for (k = i + 1; k < n; k++)
				assert_string_not_equal(seen[i], seen[k]);
		}
		for (i = 0; i < model.n; i++) {
			char want[80];

			(void)snprintf(want, sizeof(want), "%s %s", unit_code[model.r[i].unit],
			    model.r[i].key);
			for (k = 0; k < n && strcmp(seen[k], want) != 0;)
				k++;
			assert_int_equal(k < n, model.r[i].alive);
		}
		env_close(&e);
	}
}

static int
get(struct asking *a, const char *col, const char *unit, const char *key, const char *mask,
    Ltpb__GetReply *reply)
{
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	char *names[1] = { (char *)mask };

	req.collection = (char *)col;
	req.unit = (char *)unit;
	req.key = (char *)key;
	req.mask = names;
	req.n_mask = mask != NULL;
	return lt_query_get(&a->q, &req, reply, &a->err);
}

static void
get_one(void **state)
{
	Ltpb__GetReply reply;
	struct lt_kv_txn *txn;
	Ltpb__FieldSet *set[3];
	struct asking a;
	struct env e;
	char words[512], no_words[512], long_key[300];

	(void)state;
	memset(long_key, 'k', 299);
	long_key[299] = '\0';
	env_open(&e, false);
	ask(&a, &e);
	set[0] = fs_text(&a.arena, "p", "a person");
	set[1] = fs_text(&a.arena, "t", "text");
	set[2] = fs_text(&a.arena, "zz_gone", "of an older catalogue");
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "a/1", set, 3);
	ok(lt_kv_commit(txn));
	asked(&a);
	ask(&a, &e);
	ok(get(&a, "item", "16855", "a/1", NULL, &reply));
	assert_int_equal(reply.record->n_field, 5); /* code, no, p, t, unit_code */
	assert_string_equal(reply.record->field[0]->name, "code");
	assert_string_equal(reply.record->field[4]->value->text, "16855");
	assert_int_equal(reply.record->n_masked, 1);
	assert_string_equal(reply.record->masked[0], "zz_gone");
	ok(get(&a, "item", "16855", "a/1", "t", &reply));
	assert_int_equal(reply.record->n_field, 1);
	assert_int_equal(reply.record->n_masked, 0);
	ok(get(&a, "item", "16855", "a/1", "*", &reply));
	assert_int_equal(reply.record->n_field, 5);
	assert_int_equal(get(&a, "item", "16855", "a/1", "none", &reply), LT_E_UNKNOWN);
	assert_int_equal(get(&a, "item", "16855", "a/1", "zz_gone", &reply), LT_E_UNKNOWN);
	assert_int_equal(get(&a, "item", "16855", "", NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "16855", long_key, NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "x", "a/1", NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "", "a/1", NULL, &reply), LT_E_INVALID);
	/* A field out of sight: named without asking, refused when asked for. */
	a.eyes.no_field[0][P] = true;
	ok(get(&a, "item", "16855", "a/1", NULL, &reply));
	assert_int_equal(reply.record->n_field, 4);
	assert_int_equal(reply.record->n_masked, 2);
	assert_string_equal(reply.record->masked[0], "p");
	assert_int_equal(get(&a, "item", "16855", "a/1", "p", &reply), LT_E_DENIED);
	assert_int_equal(get(&a, "item", "16855", "a/2", "p", &reply), LT_E_DENIED);
	a.eyes.no_field[0][CODE] = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	a.eyes.no_field[0][CODE] = false;
	/* A unit out of sight and a record that is not there: the same words. */
	assert_int_equal(get(&a, "item", "16855", "a/2", NULL, &reply), LT_E_NOTFOUND);
	strcpy(words, a.err.text);
	a.eyes.no_unit[0] = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", "p", &reply), LT_E_NOTFOUND);
	assert_string_equal(words, a.err.text);
	/* A collection out of sight and one that is not there: likewise, but for the name. */
	a.eyes.nothing = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	strcpy(words, a.err.text);
	assert_int_equal(get(&a, "zzzz", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	strcpy(no_words, a.err.text);
	memcpy(strstr(words, "item"), "zzzz", 4);
	assert_string_equal(words, no_words);
	asked(&a);
	env_close(&e);
}

static void
requests_that_are_wrong(void **state)
{
	Ltpb__ListRequest req;
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	Ltpb__ListReply reply;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[17];
	Ltpb__Value *values[101];
	struct asking a;
	struct env e;
	char *names[9];
	size_t i;

	(void)state;
	env_open(&e, false);
	ask(&a, &e);
#define WRONG(code) assert_int_equal(list_page(&a, &req, &reply), code)
#define FRESH \
	ltpb__list_request__init(&req); \
	req.collection = (char *)"item"
	for (i = 0; i < 17; i++)
		filters[i] = &filter;
	for (i = 0; i < 101; i++)
		values[i] = fs_int(&a.arena, "x", (int64_t)i)->value;
	filter.field = (char *)"n";
	filter.value = values;
	FRESH;
	req.page_size = 1000;
	WRONG(LT_OK);
	req.page_size = 1001;
	WRONG(LT_E_INVALID);
	FRESH;
	req.order_by = (char *)"none";
	WRONG(LT_E_UNKNOWN);
	req.order_by = (char *)"s";
	WRONG(LT_E_INVALID);
	FRESH;
	req.filter = filters;
	req.n_filter = 1;
	filter.op = LTPB__FILTER_OP__FILTER_OP_UNSPECIFIED;
	filter.n_value = 1;
	WRONG(LT_E_INVALID);
	filter.op = (Ltpb__FilterOp)77;
	WRONG(LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	WRONG(LT_OK);
	filter.n_value = 0;
	WRONG(LT_E_INVALID);
	filter.n_value = 2;
	WRONG(LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_IN;
	filter.n_value = 100;
	WRONG(LT_OK);
	filter.n_value = 101;
	WRONG(LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_IS_NULL;
	filter.n_value = 1;
	WRONG(LT_E_INVALID);
	filter.n_value = 0;
	WRONG(LT_OK);
	req.n_filter = 16;
	WRONG(LT_OK);
	req.n_filter = 17;
	WRONG(LT_E_INVALID);
	req.n_filter = 1;
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.n_value = 1;
	filter.field = (char *)"none";
	WRONG(LT_E_UNKNOWN);
	filter.field = (char *)"d"; /* a number for a date */
	WRONG(LT_E_INVALID);
	/* Text is read as the field's type; and brought to NFC. */
	values[0] = fs_text(&a.arena, "x", "2025-07-01")->value;
	WRONG(LT_OK);
	values[0] = fs_text(&a.arena, "x", "01/07/2025")->value;
	WRONG(LT_E_INVALID);
	filter.field = (char *)"t";
	values[0] = fs_text(&a.arena, "x", "e\xcc\x81")->value;
	WRONG(LT_OK);
	values[0] = fs_text(&a.arena, "x", "\xff")->value;
	WRONG(LT_E_INVALID);
	values[0] = lt_arena_alloc(&a.arena, sizeof(Ltpb__Value));
	ltpb__value__init(values[0]);
	WRONG(LT_E_INVALID);
	agg.collection = (char *)"item";
	for (i = 0; i < 9; i++)
		names[i] = (char *)"n";
	agg.group_by = agg.sum = names;
	agg.n_group_by = 4;
	agg.n_sum = 8;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	agg.n_group_by = 5;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	agg.n_group_by = 0;
	agg.n_sum = 9;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	agg.n_sum = 1;
	names[0] = (char *)"t";
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	names[0] = (char *)"none";
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_UNKNOWN);
	asked(&a);
	env_close(&e);
}

/* Decomposed text in a filter finds what is stored composed. */
static void
text_is_found_in_any_form(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value *value;
	Ltpb__ListReply reply;
	struct lt_kv_txn *txn;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "%C3%A9/1", NULL, 0);
	put_shown(txn, "16855", "e/1", NULL, 0);
	ok(lt_kv_commit(txn));
	ask(&a, &e);
	value = fs_text(&a.arena, "x", "e\xcc\x81")->value;
	req.collection = (char *)"item";
	filter.field = (char *)"code";
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.value = &value;
	filter.n_value = 1;
	req.filter = filters;
	req.n_filter = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 1);
	assert_string_equal(reply.record[0]->key, "%C3%A9/1");
	asked(&a);
	env_close(&e);
}

struct clock {
	size_t calls, stop_at;
	int rc;
};

static int
tick(void *ctx)
{
	struct clock *c = ctx;

	return ++c->calls == c->stop_at ? c->rc : LT_OK;
}

/* A great table: deadline and cancel end a query in the middle, limits are said in words, pages fit a message. */
static void
limits(void **state)
{
	static const int ends[] = { LT_E_CANCELLED, LT_E_TIMEOUT };
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	Ltpb__ListReply reply;
	Ltpb__FieldSet *set[2];
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value *value;
	char key[32], *by[1] = { (char *)"no" }, *sum[1] = { (char *)"n" };
	struct clock clock = { 0 };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	set[0] = fs_int(&arena, "n", 2);
	set[1] = fs_text(&arena, "t", "x");
	ok(lt_kv_begin_write(e.kv, &txn));
	for (i = 1; i <= LT_SORT_MAX + 1; i++) {
		(void)snprintf(key, sizeof(key), "a/%zu", i);
		put_shown(txn, i <= LT_SORT_MAX ? "16855" : "16906", key, set, 2);
	}
	ok(lt_kv_commit(txn));
	ask(&a, &e);
	a.q.tick = tick;
	a.q.tick_ctx = &clock;
	req.collection = agg.collection = (char *)"item";
	filter.field = (char *)"w";
	filter.op = LTPB__FILTER_OP__FILTER_OP_NOT_NULL;
	req.filter = agg.filter = filters;
	req.n_filter = agg.n_filter = 1;
	for (i = 0; i < 2; i++) {
		clock = (struct clock){ 0, 3, ends[i] };
		assert_int_equal(lt_query_list(&a.q, &req, &reply, &a.err), ends[i]);
		assert_int_equal(clock.calls, 3);
		clock = (struct clock){ 0, 3, ends[i] };
		req.order_by = (char *)"o";
		assert_int_equal(lt_query_list(&a.q, &req, &reply, &a.err), ends[i]);
		req.order_by = (char *)"";
		clock = (struct clock){ 0, 3, ends[i] };
		assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), ends[i]);
	}
	clock = (struct clock){ 0 };
	ok(lt_query_list(&a.q, &req, &reply, &a.err));
	assert_int_equal(clock.calls, (LT_SORT_MAX + 1) / 256);
	/* Sorting: the limit is that of the rows that match. */
	req.n_filter = 0;
	req.order_by = (char *)"o";
	assert_int_equal(list_page(&a, &req, &reply), LT_E_TOOBIG);
	req.unit = (char *[]){ (char *)"16855" };
	req.n_unit = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 100);
	/* Groups. */
	agg.n_filter = 0;
	agg.group_by = by;
	agg.n_group_by = 1;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	value = fs_text(&a.arena, "x", "a/1")->value;
	filter.field = (char *)"_key";
	filter.op = LTPB__FILTER_OP__FILTER_OP_PREFIX;
	filter.value = &value;
	filter.n_value = 1;
	agg.n_filter = 1;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	value->text = (char *)"a/10000";
	agg.sum = sum;
	agg.n_sum = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 3); /* 10000, 100000, 100001 */
	assert_true(sums.group[0]->group[0]->integer == 10000);
	assert_true(sums.group[2]->group[0]->integer == 100001);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 2);
	lt_arena_fini(&arena);
	asked(&a);
	env_close(&e);
}

/* Great records: a page ends where a message would, and goes on. */
static void
pages_fit_a_message(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__FieldSet *set[8];
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	char key[32], *text;
	size_t i, k, n, pages;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)4 << 20);
	text = lt_arena_alloc(&arena, 60001);
	memset(text, 'l', 60000);
	for (i = 0; i < 8; i++)
		set[i] = fs_text(&arena, "t", text);
	ok(lt_kv_begin_write(e.kv, &txn));
	for (i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "a/%zu", i + 1);
		put_shown(txn, "16855", key, set, i % 9);
	}
	ok(lt_kv_commit(txn));
	for (k = 0; k < 2; k++) {
		ltpb__list_request__init(&req);
		req.collection = (char *)"item";
		req.order_by = k == 0 ? (char *)"" : (char *)"o";
		for (n = 0, pages = 0; pages == 0 || req.page_token.len > 0; pages++) {
			if (pages == 0)
				ask(&a, &e);
			ok(list_page(&a, &req, &reply));
			assert_true(reply.n_record > 0);
			assert_true(ltpb__list_reply__get_packed_size(&reply) <= LT_MESSAGE_MAX);
			n += reply.n_record;
			assert_true(pages < 40);
		}
		assert_int_equal(n, 40);
		assert_true(pages > 5);
		asked(&a);
	}
	lt_arena_fini(&arena);
	env_close(&e);
}

static void
sums_by_hand(void **state)
{
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	Ltpb__FieldSet *set[2];
	char *by[1] = { (char *)"e" }, *sum[2] = { (char *)"n", (char *)"m" };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	ok(lt_kv_begin_write(e.kv, &txn));
	set[0] = fs_int(&arena, "n", INT64_MAX);
	set[1] = fs_decimal(&arena, "m", 15, 1);
	put_shown(txn, "16855", "a/1", set, 2);
	set[0] = fs_int(&arena, "n", 1);
	set[1] = fs_decimal(&arena, "m", -25, 2);
	put_shown(txn, "16855", "a/2", set, 2);
	ok(lt_kv_commit(txn));
	ask(&a, &e);
	agg.collection = (char *)"item";
	agg.sum = sum;
	agg.n_sum = 2;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	assert_non_null(strstr(a.err.text, "\"n\""));
	agg.sum = sum + 1;
	agg.n_sum = 1;
	agg.group_by = by;
	agg.n_group_by = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 1);
	assert_int_equal(sums.group[0]->group[0]->v_case, LTPB__VALUE__V__NOT_SET);
	assert_int_equal(sums.group[0]->count, 2);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 125);
	assert_int_equal(sums.group[0]->sum[0]->scale, 2);
	asked(&a);
	/* One that goes over and comes back stays exact. */
	ok(lt_kv_begin_write(e.kv, &txn));
	set[0] = fs_int(&arena, "n", -3);
	put_shown(txn, "16906", "a/3", set, 1);
	ok(lt_kv_commit(txn));
	ask(&a, &e);
	agg.sum = sum;
	agg.n_group_by = 0;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_true(sums.group[0]->sum[0]->unscaled == INT64_MAX - 2);
	/* Nothing at all: one group with zeros. */
	agg.unit = (char *[]){ (char *)"99999" };
	agg.n_unit = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 1);
	assert_int_equal(sums.group[0]->count, 0);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 0);
	asked(&a);
	lt_arena_fini(&arena);
	env_close(&e);
}

/* Damage is told, never given: a bit of a record, a bit of an index entry; an entry without its record shows nothing. */
static void
damage(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__GetReply one;
	Ltpb__FieldSet *set[1];
	struct lt_buf rk = { 0 };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	struct lt_slice entry;
	size_t bit, bits = 1;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	set[0] = fs_text(&arena, "t", "text");
	lt_key_record(&rk, "item", "16855", "a/1");
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "a/1", set, 1);
	entry = lt_slice("item\0t\0other\0"
			 "16855\0a/1",
	    22);
	ok(lt_kv_put(txn, LT_T_INDEX, entry, lt_slice(NULL, 0)));
	entry = lt_slice("item\0t\0text\0"
			 "16855\0a/9",
	    21);
	ok(lt_kv_put(txn, LT_T_INDEX, entry, lt_slice(NULL, 0)));
	ok(lt_kv_commit(txn));
	req.collection = (char *)"item";
	req.order_by = (char *)"t";
	ask(&a, &e);
	a.q.few = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 0);
	asked(&a);
	for (bit = 0; bit < bits; bit++) {
		assert_int_equal(
		    lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), bit, NULL), LT_OK);
		(void)lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), (size_t)1 << 30, &bits);
		ask(&a, &e);
		assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &one), LT_E_CORRUPT);
		req.order_by = (char *)"";
		assert_int_equal(list_page(&a, &req, &reply), LT_E_CORRUPT);
		req.order_by = (char *)"t";
		a.q.few = 1;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_CORRUPT);
		asked(&a);
		ok(lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), bit, NULL));
	}
	assert_true(bits > 200);
	lt_buf_fini(&rk);
	lt_arena_fini(&arena);
	env_close(&e);
}

/* ---- history ---- */

static const char *
author_name(void *ctx, const struct lt_id *author)
{
	(void)ctx;
	return author->b[0] == 1 ? "one" : NULL;
}

struct told {
	struct env e;
	struct author author[2];
	struct feed feed[2];
	struct lt_arena arena;
	uint64_t position[4];
};

/* Author one puts, two puts and is refused, one clears and is clamped, one deletes. */
static void
tell(struct told *t)
{
	static Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT, *refusals[1] = { &refused };
	static char *cleared[1] = { (char *)"t" };
	struct lt_judgement no = { .nrefused = 1, .refused = refusals },
			    clamp = { .clamped = true, .ceiling = UINT64_MAX };
	uint64_t base = LT_STAMP(LT_BUILD_FLOOR_MS, 0), hour = LT_STAMP(3600000, 0);
	Ltpb__FieldSet *set[2], *personal[2];
	struct lt_projection_options o = { .catalogue = cat };
	struct lt_draft d[4] = { { .collection = "item", .key = "a/1" } };
	struct lt_merge_change mc = { 0 };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_buf b;
	uint8_t *copy;
	size_t i;

	memset(t, 0, sizeof(*t));
	env_open(&t->e, false);
	lt_arena_init(&t->arena, (size_t)64 << 20);
	for (i = 0; i < 2; i++) {
		author_init(&t->author[i], (uint8_t)(i + 1));
		feed_init(&t->feed[i], &t->author[i], "16855", LT_LANE_NORMAL, 1);
	}
	refused.seq = 1;
	refused.reason = LTPB__REASON_CODE__REASON_AUTHORITY;
	clamp.floor = base + 3 * hour;
	set[0] = fs_text(&t->arena, "t", "first");
	set[1] = fs_int(&t->arena, "n", 4);
	personal[0] = fs_text(&t->arena, "p", "a person");
	personal[1] = fs_text(&t->arena, "_actor", "account 7");
	d[1] = d[2] = d[3] = d[0];
	d[0].set = set;
	d[0].nset = 2;
	d[0].personal = personal;
	d[0].npersonal = 2;
	d[1].set = set + 1;
	d[1].nset = 1;
	d[2].cleared = cleared;
	d[2].ncleared = 1;
	d[3].is_delete = true;
	ok(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)));
	ok(lt_kv_begin_write(t->e.kv, &txn));
	o.log = o.derived = txn;
	ok(lt_projection_begin(&o, &p));
	for (i = 0; i < 4; i++) {
		/* The third says it is older than all; the verdict says otherwise. */
		static const uint64_t hours[4] = { 1, 2, 2, 4 };

		memset(&b, 0, sizeof(b));
		feed_seal(
		    &t->feed[i == 1], base + hours[i] * hour + (i == 2 ? 1 : 0), &d[i], 1, &b);
		copy = lt_arena_dup(&t->arena, b.data, b.len);
		world_append(txn, lt_slice(copy, b.len), &t->arena, &cs, &t->position[i]);
		lt_buf_fini(&b);
		refused.seq = cs.seq;
		ok(lt_feed_log_judge(txn, &cs.unit, &cs.feed, cs.seq, t->position[i],
		    i == 2 ? clamp.floor : cs.stamp,
		    i == 1   ? &no
		    : i == 2 ? &clamp
			     : &(struct lt_judgement){ 0 }));
		mc.dot = (struct lt_dot){ cs.feed, cs.seq, 0 };
		mc.stamp = i == 2 ? clamp.floor : cs.stamp;
		mc.hash8 = lt_load_u64(cs.hash.b);
		mc.change = &cs.change[0];
		ok(i == 1 ? lt_projection_note(p, &cs.unit, &mc, t->position[i])
			  : lt_projection_add(p, &cs.unit, &mc, t->position[i]));
	}
	ok(lt_projection_flush(p, NULL, NULL));
	ok(lt_kv_commit(txn));
}

static int
history(struct asking *a, const char *key, uint32_t size, Ltpb__HistoryReply *reply)
{
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;

	req.collection = (char *)"item";
	req.unit = (char *)"16855";
	req.key = (char *)key;
	req.page_size = size;
	req.page_token = reply->next_page_token;
	return lt_query_history(&a->q, &req, author_name, NULL, reply, &a->err);
}

static void
histories(void **state)
{
	Ltpb__HistoryReply reply = LTPB__HISTORY_REPLY__INIT;
	Ltpb__HistoryEntry *h;
	struct clock clock = { 0, 1, LT_E_CANCELLED };
	struct told t;
	struct asking a;
	uint64_t seqs[4];
	size_t i;

	(void)state;
	tell(&t);
	ask(&a, &t.e);
	ok(history(&a, "a/1", 0, &reply));
	assert_int_equal(reply.n_entry, 4);
	assert_int_equal(reply.next_page_token.len, 0);
	h = reply.entry[0];
	assert_string_equal(h->author, "one");
	assert_int_equal(h->kind, LTPB__CHANGE_KIND__CHANGE_KIND_PUT);
	assert_true(h->time_ms == LT_BUILD_FLOOR_MS + 3600000);
	assert_int_equal(h->n_field, 4); /* _actor n p t */
	assert_string_equal(h->field[0]->value->text, "account 7");
	assert_string_equal(h->field[2]->value->text, "a person");
	assert_int_equal(h->n_masked, 0);
	assert_int_equal(h->refused, 0);
	assert_int_equal(h->feed.len, LT_FEED_LEN);
	assert_int_equal(h->hash.len, LT_HASH_LEN);
	h = reply.entry[1];
	assert_string_equal(h->author, "02020202020202020202020202020202");
	assert_int_equal(h->refused, LTPB__REASON_CODE__REASON_AUTHORITY);
	h = reply.entry[2];
	assert_true(h->time_ms == LT_BUILD_FLOOR_MS + INT64_C(3) * 3600000);
	assert_int_equal(h->n_cleared, 1);
	assert_string_equal(h->cleared[0], "t");
	assert_memory_equal(reply.entry[3]->hash.data, t.feed[0].hash.b, LT_HASH_LEN);
	assert_int_equal(reply.entry[3]->kind, LTPB__CHANGE_KIND__CHANGE_KIND_DELETE);
	/* One by one, the same. */
	for (i = 0; i < 4; i++)
		seqs[i] = reply.entry[i]->seq;
	reply.next_page_token.len = 0;
	for (i = 0; i < 4; i++) {
		ok(history(&a, "a/1", 1, &reply));
		assert_int_equal(reply.n_entry, 1);
		assert_int_equal(reply.entry[0]->seq, seqs[i]);
		assert_int_equal(reply.next_page_token.len != 0, i < 3);
	}
	/* What is out of sight is named. */
	a.eyes.no_field[0][P] = a.eyes.no_field[0][T] = true;
	ok(history(&a, "a/1", 0, &reply));
	assert_int_equal(reply.entry[0]->n_field, 2);
	assert_int_equal(reply.entry[0]->n_masked, 2);
	assert_string_equal(reply.entry[0]->masked[0], "p");
	assert_int_equal(reply.entry[2]->n_cleared, 0);
	assert_string_equal(reply.entry[2]->masked[0], "t");
	assert_int_equal(history(&a, "a/2", 0, &reply), LT_E_NOTFOUND);
	reply.next_page_token.len = 0;
	a.eyes.no_unit[0] = true;
	assert_int_equal(history(&a, "a/1", 0, &reply), LT_E_NOTFOUND);
	a.eyes.nothing = true;
	assert_int_equal(history(&a, "a/1", 0, &reply), LT_E_DENIED);
	memset(&a.eyes, 0, sizeof(a.eyes));
	assert_int_equal(history(&a, "a/1", 1001, &reply), LT_E_INVALID);
	a.q.tick = tick;
	a.q.tick_ctx = &clock;
	ok(history(&a, "a/1", 0, &reply)); /* too short to be asked */
	asked(&a);
	lt_arena_fini(&t.arena);
	env_close(&t.e);
}

static int
load(void **state)
{
	(void)state;
	cat = make_catalogue();
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_one),
		cmocka_unit_test(requests_that_are_wrong),
		cmocka_unit_test(text_is_found_in_any_form),
		cmocka_unit_test(sums_by_hand),
		cmocka_unit_test(histories),
		cmocka_unit_test(tokens),
		cmocka_unit_test(damage),
		cmocka_unit_test(pages_stay_while_rows_come),
		cmocka_unit_test(pages_fit_a_message),
		cmocka_unit_test(limits),
		cmocka_unit_test(on_disk_too),
		cmocka_unit_test(as_the_model_answers),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
