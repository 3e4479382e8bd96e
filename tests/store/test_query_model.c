/* Queries: a model that holds the same values in its own form answers the same random questions. */
#include "query_model.h"

#include "proto/base/wire.h"
#include "proto/model/value.h"

#include <stdlib.h>

#define QUESTIONS 24000

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
	m->f = model_below(3) == 0 ? T + model_below(4) : model_below(FIELDS);
	m->op = ops[model_below(11)];
	m->n = m->op == LTPB__FILTER_OP__FILTER_OP_IN ? 1 + model_below(4) : 1;
	if (m->op == LTPB__FILTER_OP__FILTER_OP_IS_NULL ||
	    m->op == LTPB__FILTER_OP__FILTER_OP_NOT_NULL)
		m->n = 0;
	for (i = 0; i < m->n; i++) {
		const struct mrecord *r = &model.r[model_below(model.n)];

		if (field[m->f].kind == SET)
			model_text(&m->v[i], model_below(8) == 0 ? "none" : codes[model_below(4)]);
		else if (r->v[m->f].has && (m->f < T || m->f > Q || model_below(2) == 0))
			m->v[i] = r->v[m->f];
		else
			model_value(m->f, &m->v[i]);
		/* A shorter beginning, cut where a letter ends. */
		if (m->op == LTPB__FILTER_OP__FILTER_OP_PREFIX && m->v[i].len > 0 &&
		    (m->v[i].text[0] & 0x80) == 0 && model_below(3) == 0) {
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
	if (model_below(2) == 0)
		q->nunit = 1 + model_below(3);
	for (i = 0; i < q->nunit; i++)
		q->unit[i] =
		    model_below(12) == 0 ? (char *)"99999" : (char *)unit_code[model_below(UNITS)];
	q->nfilter = model_below(4);
	for (i = 0; i < q->nfilter; i++)
		random_filter(q, &q->filter[i]);
	q->by = model_below(3) == 0 ? FIELDS : model_below(FIELDS);
	q->descending = model_below(2) == 0;
	q->nmask = model_below(4) == 0 ? 1 + model_below(3) : 0;
	for (i = 0; i < q->nmask; i++)
		q->mask[i] = model_below(Q + 1);
	if (model_below(3) == 0)
		q->eyes.no_unit[model_below(UNITS)] = true;
	for (u = 0; u < UNITS && model_below(4) == 0; u++)
		q->eyes.no_field[u][model_below(Q + 1)] = true;
	if (model_below(5) == 0) {
		i = P + model_below(2);
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
	const Ltpb__Value *v = model_to_value(a, f, want);

	return got->v_case == v->v_case &&
	       ltpb__value__get_packed_size(v) == ltpb__value__get_packed_size(got) &&
	       same_text(v, got);
}

static void
assert_record(struct lt_arena *a, const struct question *q, const struct mrecord *want,
    const Ltpb__Record *got)
{
	size_t f, i, nfield = 0, nmasked = 0, nhidden = 0;
	bool wanted;

	assert_string_equal(got->collection, "item");
	assert_string_equal(got->unit, unit_code[want->unit]);
	assert_string_equal(got->key, hidden(q, want->unit, KEY) ? "" : want->key);
	for (f = 0; f <= Q; f++) {
		for (wanted = q->nmask == 0, i = 0; i < q->nmask; i++)
			wanted = wanted || q->mask[i] == f;
		if (!wanted)
			continue;
		/* By the rule alone: whether it is set is not told. */
		if (hidden(q, want->unit, f)) {
			for (i = 0; i < got->n_masked; i++)
				nmasked += strcmp(got->masked[i], field[f].name) == 0;
			nhidden++;
			continue;
		}
		if (!want->v[f].has)
			continue;
		for (i = 0; i < got->n_field && strcmp(got->field[i]->name, field[f].name) != 0;)
			i++;
		if (i == got->n_field || !same_value(a, f, &want->v[f], got->field[i]->value))
			fail_msg("%s of %s", field[f].name, want->key);
		nfield++;
	}
	assert_int_equal(got->n_field, nfield);
	assert_int_equal(got->n_masked, nmasked);
	assert_int_equal(nmasked, nhidden);
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
						     : model_to_value(a, m->f, &m->v[k]);
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

	a->q.few = few[model_below(5)];
}

/* Half of the replies are asked for packed; they must read the same. */
static void
read_packed(struct asking *a, Ltpb__ListReply *reply)
{
	struct lt_buf b = { 0 };
	ProtobufCMessage *msg;
	size_t i;

	for (i = 0; i < reply->n_record; i++) {
		assert_int_equal(reply->record[i]->n_field, 0);
		lt_buf_clear(&b);
		assert_int_equal(lt_wire_pack(&reply->record[i]->base, LT_MESSAGE_MAX, &b), LT_OK);
		assert_int_equal(lt_wire_unpack(&ltpb__record__descriptor, lt_buf_slice(&b),
				     LT_MESSAGE_MAX, &a->arena, &msg, NULL),
		    LT_OK);
		reply->record[i] = (Ltpb__Record *)msg;
	}
	lt_buf_fini(&b);
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
		req.page_size = model_below(4) == 0 ? 0 : (uint32_t)(1 + model_below(60));
		a->q.packed = model_below(2) == 0;
		rc = lt_query_list(&a->q, &req, &reply, &a->err);
		if (rc != code)
			fail_msg("question %zu: %d, not %d: %s", number, rc, code, a->err.text);
		if (rc != LT_OK)
			return;
		if (a->q.packed)
			read_packed(a, &reply);
		assert_true(reply.n_record <= (req.page_size == 0 ? 100 : req.page_size));
		for (i = 0; i < reply.n_record; i++, at++) {
			if (at >= n ||
			    strcmp(reply.record[i]->unit, unit_code[want[at]->unit]) != 0)
				fail_msg("question %zu: row %zu of %zu", number, at, n);
			assert_record(&a->arena, q, want[at], reply.record[i]);
		}
		assert_true(reply.next_page_token.len <= sizeof(token));
		if (reply.next_page_token.len > 0)
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
		want = model_to_value(a, by[i], v);
		/* Groups of decimals are given at the field's scale. */
		if (field[by[i]].kind == DECIMAL)
			want = fs_decimal(a, "x", v->n, 2)->value;
		if (got->group[i]->v_case != want->v_case || !same_text(want, got->group[i]))
			return false;
	}
	return true;
}

/* By value, missing last; sets have an order of their own. */
static bool
group_follows(const struct mgroup *a, const struct mgroup *b, size_t f)
{
	const struct mvalue *x = &a->first->v[f], *y = &b->first->v[f];

	return field[f].kind == SET || !y->has || (x->has && mcmp(f, x, y) < 0);
}

static void
check_aggregate(struct asking *a, const struct question *q, size_t number)
{
	static const size_t numbers[] = { NO, N, M, X, Q };
	static struct mgroup want[RECORDS + 1];
	const struct mgroup *at[RECORDS + 1];
	size_t by[2], sum[2], nby = model_below(3), nsum = model_below(3), n, i, g, k;
	char *by_name[2], *sum_name[2];
	Ltpb__AggregateRequest req = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply reply;
	int rc, code = filters_code(q);
	bool overflow = false;

	for (i = 0; i < nby; i++) {
		by[i] = model_below(FIELDS);
		by_name[i] = (char *)field[by[i]].name;
		code = code == LT_OK && !may_use(q, by[i]) ? LT_E_DENIED : code;
	}
	for (i = 0; i < nsum; i++) {
		sum[i] = numbers[model_below(5)];
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
		at[i] = &want[g];
		assert_int_equal(reply.group[i]->count, want[g].count);
		assert_int_equal(reply.group[i]->n_sum, nsum);
		for (k = 0; k < nsum; k++) {
			assert_true(reply.group[i]->sum[k]->unscaled == (int64_t)want[g].sum[k]);
			assert_int_equal(
			    reply.group[i]->sum[k]->scale, field[sum[k]].kind == DECIMAL ? 2 : 0);
		}
	}
	for (g = 1; nby == 1 && g < n; g++)
		assert_true(group_follows(at[g - 1], at[g], by[0]));
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
	model_fill(&e, 77, RECORDS);
	ask_begin(&a, &e);
	for (i = 0; i < QUESTIONS; i++) {
		random_question(&q);
		if (i % 3 == 2)
			check_aggregate(&a, &q, i);
		else
			check_list(&a, &q, i);
		rows += list_code(&q) == LT_OK ? answer(&q, want) : 0;
		ask_again(&a);
	}
	/* Questions that find nothing would show little. */
	assert_true(rows > QUESTIONS * 5);
	ask_end(&a);
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
	model_fill(&e, 78, 60);
	ask_begin(&a, &e);
	for (i = 0; i < 600; i++) {
		random_question(&q);
		check_list(&a, &q, i);
		ask_again(&a);
	}
	ask_end(&a);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_disk_too),
		cmocka_unit_test(as_the_model_answers),
	};

	return cmocka_run_group_tests(tests, query_load, query_unload);
}
