/* hub/svc_query.c - Query: what departments and operators ask. Every answer says how fresh it is. */
#include "hub/service_impl.h"
#include "proto/service/reading.h"
#include "proto/service/scrubbing.h"
#include "proto/store/prove.h"

#include <string.h>

struct asking_query {
	struct lt_asking a;
	struct lt_kv_txn *log, *derived;
	struct lt_reading r;
	struct lt_err err;
};

/* The derived tables first: the log read after it has everything they name. */
static int
begin(struct asking_query *x, struct lt_service *s, void *data)
{
	int rc;

	memset(x, 0, sizeof(*x));
	lt_asking_begin(&x->a, s, data);
	rc = lt_kv_begin_read(lt_hub_derived(x->a.s->hub), &x->derived);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_log(x->a.s->hub), &x->log);
	lt_reading_init(
	    &x->r, x->a.call, &x->a.who, x->a.cat, lt_hub_province(x->a.s->hub), &x->a.arena);
	x->r.q.packed = true;
	x->r.q.log = x->log;
	x->r.q.derived = x->derived;
	/* What is not there yet must not look like what is not there. */
	if (rc == LT_OK && lt_hub_mending(s->hub))
		rc = lt_err_set(&x->err, LT_E_UNAVAILABLE,
		    "the hub's tables were damaged and are being built anew from its log; try "
		    "again "
		    "later");
	return rc;
}

static void
end(struct asking_query *x)
{
	lt_kv_abort(x->log);
	lt_kv_abort(x->derived);
	lt_asking_end(&x->a);
}

/* Does the asker see anything of this collection there? col NULL: of any collection. */
static bool
in_sight(const struct asking_query *x, const struct lt_collection *col, const char *unit)
{
	const struct lt_sight *sight = &x->r.sight;
	size_t i;

	if (col != NULL)
		return sight->unit(sight->ctx, col, unit);
	for (i = 0; i < lt_catalogue_count(x->a.cat); i++)
		if (sight->unit(sight->ctx, lt_catalogue_at(x->a.cat, i), unit))
			return true;
	return false;
}

/* Units asked for, or every unit of the province: those that the asker may see in this collection. */
struct unit_list {
	struct asking_query *x;
	const struct lt_collection *col;
	size_t n, cap;
	const char **unit;
};

static int
note_unit(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct unit_list *u = ctx;
	struct lt_slice c, unit, key;
	char *s;

	(void)record;
	if (lt_key_record_split(rk, &c, &unit, &key) != LT_OK || key.len != 5 || u->n == u->cap)
		return LT_OK;
	s = lt_arena_dup(&u->x->a.arena, key.data, key.len);
	if (s == NULL)
		return LT_E_NOMEM;
	if (in_sight(u->x, u->col, s))
		u->unit[u->n++] = s;
	return LT_OK;
}

static int
all_units(struct asking_query *x, const char *collection, struct unit_list *u)
{
	memset(u, 0, sizeof(*u));
	u->x = x;
	u->col = collection == NULL ? NULL : lt_catalogue_find(x->a.cat, collection);
	u->cap = 4096;
	u->unit = lt_arena_alloc(&x->a.arena, u->cap * sizeof(*u->unit));
	if (u->unit == NULL)
		return LT_E_NOMEM;
	if (u->col != NULL && u->col->unit_rule == LT_UNIT_PROVINCE) {
		u->unit[u->n++] = x->r.q.province.s;
		return LT_OK;
	}
	return lt_record_each(x->derived, "_unit", "_", lt_slice(NULL, 0), note_unit, u);
}

/* A unit out of sight is passed over, as in the answer itself. */
static int
these_units(struct asking_query *x, const struct lt_collection *col, size_t n, char *const *units,
    struct unit_list *u)
{
	size_t i;

	memset(u, 0, sizeof(*u));
	u->unit = lt_arena_alloc(&x->a.arena, (n + 1) * sizeof(*u->unit));
	if (u->unit == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++)
		if (in_sight(x, col, units[i]))
			u->unit[u->n++] = units[i];
	return LT_OK;
}

/* No answer goes out without. */
static int
freshness(struct asking_query *x, const char *collection, size_t n, char *const *units,
    Ltpb__FreshnessSummary **out)
{
	const struct lt_collection *col = lt_catalogue_find(x->a.cat, collection);
	Ltpb__FreshnessSummary *f = lt_arena_alloc(&x->a.arena, sizeof(*f));
	struct unit_list all;
	int rc = LT_E_NOMEM;

	if (f != NULL)
		rc = n == 0 ? all_units(x, collection, &all) : these_units(x, col, n, units, &all);
	if (rc != LT_OK)
		return rc;
	ltpb__freshness_summary__init(f);
	lt_fresh_summary(x->a.s->fresh, all.unit, all.n, col == NULL ? 0 : (int)col->lane, f);
	f->findings = lt_scrubbing_findings(x->a.s->scrubber);
	*out = f;
	return LT_OK;
}

static void
fail(struct asking_query *x, int rc)
{
	struct lt_status st;

	if (rc == LT_E_NOTFOUND && lt_scrubbing_not_found(x->a.s->scrubber, &st))
		lt_call_fail(x->a.call, &st);
	else
		lt_asking_refuse(&x->a, rc, "QUERY", &x->err);
}

static void
get(Ltpb__Query_Service *service, const Ltpb__GetRequest *req, Ltpb__GetReply_Closure closure,
    void *data)
{
	Ltpb__GetReply r = LTPB__GET_REPLY__INIT;
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.a.call, (char *const *)&req->unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_get(&x.r.q, req, &r, &x.err);
	if (rc == LT_OK)
		rc = freshness(&x, req->collection, 1, (char *const *)&req->unit, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static void
list(Ltpb__Query_Service *service, const Ltpb__ListRequest *req, Ltpb__ListReply_Closure closure,
    void *data)
{
	Ltpb__ListReply r = LTPB__LIST_REPLY__INIT;
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.a.call, req->unit, req->n_unit))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_list(&x.r.q, req, &r, &x.err);
	if (rc == LT_OK)
		rc = freshness(&x, req->collection, req->n_unit, req->unit, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static void
aggregate(Ltpb__Query_Service *service, const Ltpb__AggregateRequest *req,
    Ltpb__AggregateReply_Closure closure, void *data)
{
	Ltpb__AggregateReply r = LTPB__AGGREGATE_REPLY__INIT;
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.a.call, req->unit, req->n_unit))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_aggregate(&x.r.q, req, &r, &x.err);
	if (rc == LT_OK)
		rc = freshness(&x, req->collection, req->n_unit, req->unit, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static void
history(Ltpb__Query_Service *service, const Ltpb__HistoryRequest *req,
    Ltpb__HistoryReply_Closure closure, void *data)
{
	Ltpb__HistoryReply r = LTPB__HISTORY_REPLY__INIT;
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && !lt_reading_units(&x.r, x.a.call, (char *const *)&req->unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_history(&x.r.q, req, lt_author_label, x.a.reg, &r, &x.err);
	if (rc == LT_OK)
		rc = freshness(&x, req->collection, 1, (char *const *)&req->unit, &r.freshness);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static bool
sees_unknown(void *who, const char *unit, const char *collection)
{
	return lt_access_log(who, unit, collection);
}

static void
refused(Ltpb__Query_Service *service, const Ltpb__RefusedRequest *req,
    Ltpb__RefusedReply_Closure closure, void *data)
{
	Ltpb__RefusedReply r = LTPB__REFUSED_REPLY__INIT;
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && req->unit[0] != '\0' &&
	    !lt_reading_units(&x.r, x.a.call, (char *const *)&req->unit, 1))
		goto out;
	if (rc == LT_OK)
		rc = lt_query_refused(
		    &x.r.q, req, lt_author_label, x.a.reg, sees_unknown, &x.a.who, &r, &x.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		fail(&x, rc);
out:
	end(&x);
}

static int
unit_answers(struct asking_query *x, const char *const *units, size_t n, Ltpb__FreshnessReply *r)
{
	size_t i;

	r->unit = lt_arena_alloc(&x->a.arena, (n + 1) * sizeof(*r->unit));
	if (r->unit == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		Ltpb__UnitFreshness *u = lt_arena_alloc(&x->a.arena, sizeof(*u));

		if (u == NULL)
			return LT_E_NOMEM;
		ltpb__unit_freshness__init(u);
		u->unit = (char *)units[i];
		u->name = (char *)lt_record_unit_name(x->derived, units[i], &x->a.arena);
		lt_fresh_unit(x->a.s->fresh, units[i], u);
		r->unit[r->n_unit++] = u;
	}
	return LT_OK;
}

static void
freshness_of(Ltpb__Query_Service *service, const Ltpb__FreshnessRequest *req,
    Ltpb__FreshnessReply_Closure closure, void *data)
{
	Ltpb__FreshnessReply r = LTPB__FRESHNESS_REPLY__INIT;
	Ltpb__FreshnessSummary sum = LTPB__FRESHNESS_SUMMARY__INIT;
	struct asking_query x;
	struct unit_list all = { 0 };
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	if (rc == LT_OK && req->n_unit > 4096)
		rc = LT_E_TOOBIG;
	if (rc == LT_OK && !lt_reading_units(&x.r, x.a.call, req->unit, req->n_unit))
		goto out;
	if (rc == LT_OK && req->n_unit == 0)
		rc = all_units(&x, NULL, &all);
	if (rc == LT_OK && req->n_unit != 0)
		rc = these_units(&x, NULL, req->n_unit, req->unit, &all);
	if (rc == LT_OK)
		rc = unit_answers(&x, all.unit, all.n, &r);
	if (rc == LT_OK) {
		lt_fresh_summary(x.a.s->fresh, all.unit, all.n, 0, &sum);
		sum.findings = lt_scrubbing_findings(x.a.s->scrubber);
		r.summary = &sum;
		closure(&r, data);
	} else {
		fail(&x, rc);
	}
out:
	end(&x);
}

static void
prove(Ltpb__Query_Service *service, const Ltpb__ProveRequest *req, Ltpb__ProveReply_Closure closure,
    void *data)
{
	Ltpb__ProveReply r = LTPB__PROVE_REPLY__INIT;
	struct lt_prove with = { 0 };
	struct asking_query x;
	int rc = begin(&x, LT_SERVICE_OF(service, query_rpc), data);

	with.q = &x.r.q;
	with.id = lt_hub_identity(x.a.s->hub);
	with.certificate = with.id->certificate;
	if (rc == LT_OK)
		rc = lt_query_prove(&with, req, &r, &x.err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&x.a, rc, "PROOF", &x.err);
	end(&x);
}

const Ltpb__Query_Service lt_query_service = { .base = LTPB__QUERY__BASE_INIT,
	.get = get,
	.list = list,
	.aggregate = aggregate,
	.history = history,
	.freshness = freshness_of,
	.prove = prove,
	.refused = refused };
