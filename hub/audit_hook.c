/* What a call that has ended says to the audit: made of its request and its answer, in one place for all methods. */
#include "hub/service_impl.h"
#include "proto/base/wire.h"

#include "lienthong/v1/admin.pb-c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The request as it is committed to; what a request may be at most. */
#define QUERY_MAX LT_MESSAGE_MAX

/* Most calls are about one unit. */
#define SHARES 8
#define UNIT_ARENA ((size_t)256 * 1024)

struct noting {
	struct lt_service *s;
	struct lt_catalogue *cat;
	struct lt_registry *reg;
	struct lt_asker who;
	struct lt_audit_who named;
	struct lt_kv_txn *derived; /* NULL: not needed yet */
	struct lt_audit_share rest; /* of units for which there is no place */
	struct lt_audit_share few[SHARES], *share; /* few, until there are more */
	size_t n, cap;
	bool overflow; /* more units than that: one share for all */
	const char *collection[LT_AUDIT_COLLECTIONS_MAX]; /* of the request, or of what was given */
	size_t ncollection;
};

static bool
has_room(struct noting *x)
{
	struct lt_audit_share *more;

	if (x->n < x->cap)
		return true;
	if (x->n == LT_AUDIT_PARTS_MAX)
		return false;
	assert(x->cap > 0);
	more = malloc(2 * x->cap * sizeof(*more));
	if (more == NULL)
		return false;
	memcpy(more, x->share, x->n * sizeof(*more));
	if (x->share != x->few)
		free(x->share);
	x->share = more;
	x->cap *= 2;
	return true;
}

static struct lt_audit_share *
share_of(struct noting *x, const char *unit)
{
	size_t i;

	if (unit[0] == '\0' || !lt_audit_unit_valid(unit))
		return NULL;
	/* What is given comes in runs of one unit. */
	for (i = x->n; i > 0; i--)
		if (strcmp(x->share[i - 1].unit, unit) == 0)
			return &x->share[i - 1];
	if (!has_room(x)) {
		x->overflow = true;
		return NULL;
	}
	memset(&x->share[x->n], 0, sizeof(x->share[0]));
	x->share[x->n].unit = unit;
	return &x->share[x->n++];
}

static void
give(struct noting *x, const char *unit, size_t rows, size_t masked, size_t withheld)
{
	struct lt_audit_share *s = share_of(x, unit);

	if (s == NULL)
		s = &x->rest;
	s->rows += (uint32_t)rows;
	s->masked += (uint32_t)masked;
	s->withheld += (uint32_t)withheld;
}

/* Only names of the catalogue stand in the log: a request may have anything in their place, a person's number, too. */
static void
of_collection(struct noting *x, const char *name)
{
	size_t i;

	for (i = 0; i < x->ncollection; i++)
		if (strcmp(x->collection[i], name) == 0)
			return;
	if (x->ncollection < LT_AUDIT_COLLECTIONS_MAX && lt_catalogue_find(x->cat, name) != NULL)
		x->collection[x->ncollection++] = name;
}

/* Is there such a unit? A log has places for so many, and no asker is to fill them with what he made up. */
static bool
is_unit(struct noting *x, const char *code)
{
	struct lt_arena arena;
	Ltpb__Record *r;
	int rc;

	if (strcmp(code, "*") == 0 || strcmp(code, "_") == 0 ||
	    strcmp(code, lt_hub_province(x->s->hub)->s) == 0)
		return true;
	if (x->who.kind == LT_ASKER_PRINCIPAL && strcmp(code, x->who.principal->unit.s) == 0)
		return true;
	if (!lt_audit_unit_valid(code) ||
	    (x->derived == NULL &&
		lt_kv_begin_read(lt_hub_derived(x->s->hub), &x->derived) != LT_OK))
		return false;
	lt_arena_init(&arena, UNIT_ARENA);
	rc = lt_record_get(x->derived, "_unit", "_", code, &arena, &r);
	lt_arena_fini(&arena);
	return rc == LT_OK;
}

/* Units that were asked for are told also where they gave nothing. */
static void
asked(struct noting *x, size_t n, char *const *unit, const char *collection)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_unit(x, unit[i]))
			(void)share_of(x, unit[i]);
	of_collection(x, collection);
}

/* The same, of a unit by the name that the request has for it. */
static void
give_asked(struct noting *x, const char *unit, size_t rows, size_t masked)
{
	if (rows != 0 || is_unit(x, unit))
		give(x, unit, rows, masked, 0);
}

static void
one(struct noting *x, const char *unit, const char *collection)
{
	asked(x, 1, (char *const *)&unit, collection);
}

/* ---- by method ---- */

static void
record(struct noting *x, const Ltpb__Record *r)
{
	give(x, r->unit, 1, r->n_masked, r->n_withheld);
}

static void
get(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__GetRequest *req = (const Ltpb__GetRequest *)q;
	const Ltpb__GetReply *r = (const Ltpb__GetReply *)a;

	one(x, req->unit, req->collection);
	if (r != NULL && r->record != NULL)
		record(x, r->record);
}

static void
list(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__ListRequest *req = (const Ltpb__ListRequest *)q;
	const Ltpb__ListReply *r = (const Ltpb__ListReply *)a;
	size_t i;

	asked(x, req->n_unit, req->unit, req->collection);
	for (i = 0; r != NULL && i < r->n_record; i++)
		record(x, r->record[i]);
	if (req->n_unit == 0 && x->n == 0)
		(void)share_of(x, "*");
}

static bool
in_sight(const struct noting *x, const char *collection, const char *unit)
{
	const struct lt_collection *c = lt_catalogue_find(x->cat, collection);

	return c != NULL && lt_access_records(&x->who, x->cat, lt_hub_province(x->s->hub), c, unit);
}

static void
aggregate(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__AggregateRequest *req = (const Ltpb__AggregateRequest *)q;
	const Ltpb__AggregateReply *r = (const Ltpb__AggregateReply *)a;
	size_t i;

	asked(x, req->n_unit, req->unit, req->collection);
	if (req->n_unit == 0)
		(void)share_of(x, "*");
	/* Figures are over all these units at once, but those that the asker does not see. */
	for (i = 0; r != NULL && i < x->n; i++)
		if (strcmp(x->share[i].unit, "*") == 0 ||
		    in_sight(x, req->collection, x->share[i].unit))
			x->share[i].rows = (uint32_t)r->n_group;
}

static void
history(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__HistoryRequest *req = (const Ltpb__HistoryRequest *)q;
	const Ltpb__HistoryReply *r = (const Ltpb__HistoryReply *)a;
	size_t i;

	one(x, req->unit, req->collection);
	for (i = 0; r != NULL && i < r->n_entry; i++)
		give_asked(x, req->unit, 1, r->entry[i]->n_masked);
}

static void
prove(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__ProveRequest *req = (const Ltpb__ProveRequest *)q;
	const Ltpb__ProveReply *r = (const Ltpb__ProveReply *)a;

	one(x, req->unit, req->collection);
	if (r != NULL)
		give_asked(x, req->unit, r->changes, r->masked);
}

static void
refused(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__RefusedRequest *req = (const Ltpb__RefusedRequest *)q;
	const Ltpb__RefusedReply *r = (const Ltpb__RefusedReply *)a;
	size_t i;

	one(x, req->unit, "");
	for (i = 0; r != NULL && i < r->n_change; i++) {
		give(x, r->change[i]->unit, 1, 0, 0);
		of_collection(x, r->change[i]->collection);
	}
	if (req->unit[0] == '\0' && x->n == 0)
		(void)share_of(x, "*");
}

static void
read_log(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__ReadLogRequest *req = (const Ltpb__ReadLogRequest *)q;
	const Ltpb__ReadLogReply *r = (const Ltpb__ReadLogReply *)a;

	one(x, req->unit, "");
	if (r != NULL)
		give_asked(x, req->unit, r->n_change_set, 0);
}

/* What was erased, or would be. */
static void
erase(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__EraseRequest *req = (const Ltpb__EraseRequest *)q;
	const Ltpb__EraseReply *r = (const Ltpb__EraseReply *)a;

	one(x, req->unit, req->collection);
	if (r != NULL)
		give_asked(x, req->unit, (uint32_t)r->changes, 0);
}

/* Whose number was looked for is in the commitment alone; in which communes it was found they may know. */
static void
who_holds(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a)
{
	const Ltpb__WhoHoldsReply *r = (const Ltpb__WhoHoldsReply *)a;
	size_t i;

	(void)q;
	for (i = 0; r != NULL && i < r->n_holding; i++) {
		give(x, r->holding[i]->unit, 1, 0, 0);
		of_collection(x, r->holding[i]->collection);
	}
	if (x->n == 0)
		(void)share_of(x, "*");
}

/* Methods that give records, or tell of some that they are not there. Those that are not here (status, freshness, heads) give none;
 * a node's Pull and Fetch are of what is its commune's own or everybody's, and a mirror's Pull is noted where it begins. */
static const struct reading {
	const char *method;
	const ProtobufCMessageDescriptor *request;
	void (*note)(struct noting *x, const ProtobufCMessage *q, const ProtobufCMessage *a);
} readings[] = {
	{ "/lienthong.v1.Query/Get", &ltpb__get_request__descriptor, get },
	{ "/lienthong.v1.Query/List", &ltpb__list_request__descriptor, list },
	{ "/lienthong.v1.Query/Aggregate", &ltpb__aggregate_request__descriptor, aggregate },
	{ "/lienthong.v1.Query/History", &ltpb__history_request__descriptor, history },
	{ "/lienthong.v1.Query/Prove", &ltpb__prove_request__descriptor, prove },
	{ "/lienthong.v1.Query/Refused", &ltpb__refused_request__descriptor, refused },
	{ "/lienthong.v1.Admin/ReadLog", &ltpb__read_log_request__descriptor, read_log },
	{ "/lienthong.v1.Admin/Erase", &ltpb__erase_request__descriptor, erase },
	{ "/lienthong.v1.Admin/WhoHolds", &ltpb__who_holds_request__descriptor, who_holds },
};

static const struct reading *
reading_of(const char *method)
{
	size_t i;

	for (i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
		if (strcmp(readings[i].method, method) == 0)
			return &readings[i];
	return NULL;
}

/* A denied call may be of any method: what it names as its unit and collection. */
static const char *
text_of(const ProtobufCMessage *m, const char *field)
{
	const ProtobufCFieldDescriptor *f =
	    m == NULL ? NULL
		      : protobuf_c_message_descriptor_get_field_by_name(m->descriptor, field);
	const char *s = NULL;

	if (f == NULL || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
		return "";
	memcpy(&s, (const uint8_t *)m + f->offset, sizeof(s));
	return s == NULL ? "" : s;
}

/* ---- noting ---- */

/* Whose line key it was, though it is active no more. */
static const struct lt_principal *
former(const struct lt_registry *reg, const uint8_t line_key[32])
{
	size_t i, k, n = lt_registry_knows_line(reg, line_key) ? lt_registry_count(reg) : 0;

	for (i = 0; i < n; i++) {
		const struct lt_principal *p = lt_registry_at(reg, i);

		for (k = 0; k < p->nkey; k++)
			if (memcmp(p->key[k].line_key, line_key, 32) == 0)
				return p;
	}
	return NULL;
}

/* Who it is by the line's key, whatever became of him in the meantime: he has had the answer, or was denied as who he is. */
static void
name_asker(struct noting *x, const struct lt_peer *peer)
{
	const struct lt_principal *p;

	lt_service_identify(x->s, x->reg, peer, &x->who);
	lt_asking_who(&x->who, peer, &x->named);
	if (x->named.kind != LT_AUDIT_NOBODY)
		return;
	p = lt_registry_by_line_key(x->reg, peer->line_key);
	if (p == NULL)
		p = former(x->reg, peer->line_key);
	if (p == NULL)
		return;
	x->named.kind = LT_AUDIT_PRINCIPAL;
	x->named.id = p->id;
}

static void
begin(struct noting *x, struct lt_service *s, const struct lt_peer *peer)
{
	x->s = s;
	x->cat = lt_hub_catalogue(s->hub);
	x->reg = lt_hub_registry(s->hub);
	x->derived = NULL;
	x->share = x->few;
	x->cap = SHARES;
	x->n = x->ncollection = 0;
	x->overflow = false;
	memset(&x->rest, 0, sizeof(x->rest));
	name_asker(x, peer);
}

static void
end(struct noting *x)
{
	if (x->derived != NULL)
		lt_kv_abort(x->derived);
	if (x->share != x->few)
		free(x->share);
	lt_registry_unref(x->reg);
	lt_catalogue_unref(x->cat);
}

static void
send_off(struct noting *x, const char *method, const ProtobufCMessage *request, unsigned status)
{
	struct lt_audit_share all = x->rest;
	struct lt_audit_event e = { .method = method, .status = status, .who = &x->named };
	struct lt_buf query = { 0 };
	size_t i;

	e.kind = status == LT_STATUS_PERMISSION_DENIED || status == LT_STATUS_UNAUTHENTICATED
		     ? LT_AUDIT_DENIED
		     : LT_AUDIT_READ;
	/* Of denials only their kinds are kept, and so no query. */
	if (e.kind == LT_AUDIT_READ && lt_wire_pack(request, QUERY_MAX, &query) == LT_OK)
		e.query = lt_buf_slice(&query);
	all.unit = "*";
	for (i = 0; i < x->n; i++) {
		all.rows += x->share[i].rows;
		all.masked += x->share[i].masked;
		all.withheld += x->share[i].withheld;
		x->share[i].collection = x->collection;
		x->share[i].ncollection = x->ncollection;
	}
	all.collection = x->collection;
	all.ncollection = x->ncollection;
	e.share = x->overflow ? &all : x->share;
	e.nshare = x->overflow ? 1 : x->n;
	lt_audit_note(x->s->audit, &e);
	lt_buf_fini(&query);
}

void
lt_service_ended(void *ctx, const struct lt_peer *peer, const struct lt_method *method,
    const ProtobufCMessage *request, const ProtobufCMessage *reply, const struct lt_status *status)
{
	struct lt_service *s = ctx;
	bool denied = status->code == LT_STATUS_PERMISSION_DENIED ||
		      status->code == LT_STATUS_UNAUTHENTICATED;
	const struct reading *r = reading_of(method->name);
	struct noting x;

	/* That something is not there is an answer, too. */
	if (s->audit == NULL ||
	    (!denied && (r == NULL || request == NULL ||
			    (status->code != LT_STATUS_OK && status->code != LT_STATUS_NOT_FOUND))))
		return;
	begin(&x, s, peer);
	if (r != NULL && request != NULL && request->descriptor == r->request)
		r->note(&x, request, reply);
	else
		one(&x, text_of(request, "unit"), text_of(request, "collection"));
	send_off(&x, method->name, request, status->code);
	end(&x);
}

/* What it was granted: a star, or units. */
static void
of_pull(struct noting *x, const struct lt_grant *g)
{
	static const char *const every[] = { "*", "all" };
	bool pull = false;
	size_t i, k;

	for (i = 0; i < g->nverb; i++)
		for (k = 0; k < 2; k++)
			pull |=
			    strcmp(g->verb[i], every[k]) == 0 || strcmp(g->verb[i], "pull") == 0;
	for (i = 0; pull && i < g->nunit; i++)
		(void)share_of(x, strcmp(g->unit[i], "all") == 0 ? "*" : g->unit[i]);
}

void
lt_service_pulling(struct lt_asking *a, const struct lt_peer *peer, const Ltpb__PullRequest *req)
{
	const struct lt_principal *p = a->who.principal;
	struct noting x;
	size_t i;

	if (a->s->audit == NULL || p == NULL || p->role != LTPB__ROLE__ROLE_MIRROR)
		return;
	begin(&x, a->s, peer);
	for (i = 0; i < p->ngrant; i++)
		of_pull(&x, &p->grant[i]);
	send_off(&x, "/lienthong.v1.Sync/Pull", &req->base, LT_STATUS_OK);
	end(&x);
}
