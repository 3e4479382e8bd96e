/* lt-access: the decision of access (proto/store/access.h) put to whoever asks, over pipes: model_test.py asks a million times.
 *
 * In: a line of JSON (a world: catalogue, province, who there is, the words of requests, and how many follow), then as many requests
 * of 6 bytes (who, method, unit, collection, field, other), places in the world's lists; again from the beginning, to the end.
 * Out: for each request a byte: 1 it may; 2 with the personal value (Pull), or a change of the collection may stand (Push); 4, 8, 12 writes as the commune, as the province, for a
 * department. How a method's request becomes questions stands in the table here as in the handlers of hub/ and node/.
 *
 * lt-access --bug NAME (of proto/store/access_bug.h, in the build that has them), lt-access --bugs lists them. */
#include "proto/base/buf.h"
#include "proto/rpc/methods.h"
#include "proto/store/access_bug.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKERS_MAX 255
#define WORDS_MAX 255
#define REQUEST_LEN 6

enum scope {
	NOTHING,
	PUSH,
	PULL,
	WRITE,
	FIELD,
	FILTER,
	RECORDS,
	INSPECT,
	LOG,
	GIVE,
	ENROL,
	REBUILD,
	ERASE
};

static const struct {
	const char *method;
	enum scope scope;
	const char *unit; /* in place of the request's */
} scopes[] = {
	{ "/grpc.health.v1.Health/Check", NOTHING, NULL },
	{ "/lienthong.v1.Enrol/Join", NOTHING, NULL },
	{ "/lienthong.v1.Sync/Hello", NOTHING, NULL },
	{ "/lienthong.v1.Sync/Push", PUSH, NULL },
	{ "/lienthong.v1.Sync/Pull", PULL, NULL },
	{ "/lienthong.v1.Sync/Announce", NOTHING, NULL },
	{ "/lienthong.v1.Sync/Fetch", NOTHING, NULL },
	{ "/lienthong.v1.Sync/Supply", NOTHING, NULL },
	{ "/lienthong.v1.Sync/Rotate", NOTHING, NULL },
	{ "/lienthong.v1.Sync/EndRotation", NOTHING, NULL },
	{ "/lienthong.v1.Records/Put", WRITE, NULL },
	{ "/lienthong.v1.Records/Delete", WRITE, NULL },
	{ "/lienthong.v1.Records/Import", WRITE, NULL },
	{ "/lienthong.v1.Query/Get", FIELD, NULL },
	{ "/lienthong.v1.Query/List", FILTER, NULL },
	{ "/lienthong.v1.Query/Aggregate", FILTER, NULL },
	{ "/lienthong.v1.Query/History", FIELD, NULL },
	{ "/lienthong.v1.Query/Freshness", RECORDS, NULL },
	{ "/lienthong.v1.Query/Prove", FIELD, NULL },
	{ "/lienthong.v1.Query/Refused", RECORDS, NULL },
	{ "/lienthong.v1.Admin/Status", NOTHING, NULL },
	{ "/lienthong.v1.Admin/ListNodes", INSPECT, NULL },
	{ "/lienthong.v1.Admin/ListFeeds", INSPECT, NULL },
	{ "/lienthong.v1.Admin/ReadLog", LOG, NULL },
	{ "/lienthong.v1.Admin/ListReceipts", NOTHING, NULL },
	{ "/lienthong.v1.Admin/Invite", GIVE, NULL },
	{ "/lienthong.v1.Admin/ListEnrolments", GIVE, NULL },
	{ "/lienthong.v1.Admin/Approve", GIVE, NULL },
	{ "/lienthong.v1.Admin/Reject", GIVE, NULL },
	{ "/lienthong.v1.Admin/ListInvitations", GIVE, NULL },
	{ "/lienthong.v1.Admin/CancelInvitation", GIVE, NULL },
	{ "/lienthong.v1.Admin/AcknowledgeAlarm", ENROL, NULL },
	{ "/lienthong.v1.Admin/Scrub", INSPECT, "_" },
	{ "/lienthong.v1.Admin/Rebuild", REBUILD, "_" },
	{ "/lienthong.v1.Admin/Recovery", INSPECT, "_" },
	{ "/lienthong.v1.Admin/ListForks", INSPECT, NULL },
	{ "/lienthong.v1.Admin/ShowCheckpoint", INSPECT, "_" },
	{ "/lienthong.v1.Keys/ListPrincipals", GIVE, NULL },
	{ "/lienthong.v1.Keys/ChangePrincipal", GIVE, NULL },
	{ "/lienthong.v1.Keys/ReplacePrincipal", GIVE, NULL },
	{ "/lienthong.v1.Admin/ListGrants", GIVE, NULL },
	{ "/lienthong.v1.Admin/GiveGrant", GIVE, NULL },
	{ "/lienthong.v1.Admin/TakeGrant", GIVE, NULL },
	{ "/lienthong.v1.Keys/RotateKeys", NOTHING, NULL },
	{ "/lienthong.v1.Audit/ListEntries", INSPECT, "_" },
	{ "/lienthong.v1.Audit/VerifyLog", INSPECT, "_" },
	{ "/lienthong.v1.Audit/ProveEntry", INSPECT, "_" },
	{ "/lienthong.v1.Audit/UnitParts", NOTHING, NULL },
	{ "/lienthong.v1.Admin/Erase", ERASE, NULL },
	{ "/lienthong.v1.Admin/WhoHolds", ERASE, NULL },
	{ "/lienthong.v1.Admin/ListErasures", NOTHING, NULL },
	{ "/lienthong.v1.Reflection/ListServices", NOTHING, NULL },
	{ "/lienthong.v1.Reflection/Describe", NOTHING, NULL },
};

#define NSCOPES (sizeof(scopes) / sizeof(scopes[0]))

#ifdef LT_ACCESS_BUGS
int lt_access_bug;
#endif

struct world {
	json_t *json; /* lends all texts */
	struct lt_catalogue *cat;
	struct lt_unit province;
	size_t nasker, nmethod, nunit, ncollection;
	struct lt_asker asker[ASKERS_MAX];
	struct lt_principal principal[ASKERS_MAX];
	size_t scope[WORDS_MAX]; /* of a method: place in scopes */
	const struct lt_method *method[WORDS_MAX];
	const char *unit[WORDS_MAX];
	const struct lt_collection *collection[WORDS_MAX];
	const struct lt_field *field[WORDS_MAX][WORDS_MAX];
	size_t nrequest;
};

static _Noreturn void
die(const char *what, const char *which)
{
	(void)fprintf(stderr, "lt-access: %s \"%s\"\n", what, which);
	exit(3);
}

static void *
need(void *p)
{
	if (p == NULL)
		die("out of memory for", "a world");
	return p;
}

static const char *
text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	if (s == NULL)
		die("the world has no", name);
	return s;
}

static const char **
words(const json_t *list, size_t *n)
{
	const char **out;
	size_t i;

	*n = json_array_size(list);
	out = need(calloc(*n + 1, sizeof(*out)));
	for (i = 0; i < *n; i++)
		out[i] = need((void *)json_string_value(json_array_get(list, i)));
	return out;
}

/* ---- the world ---- */

static void
take_grants(const json_t *list, struct lt_principal *p)
{
	size_t i;

	p->ngrant = json_array_size(list);
	p->grant = need(calloc(p->ngrant + 1, sizeof(*p->grant)));
	for (i = 0; i < p->ngrant; i++) {
		const json_t *g = json_array_get(list, i);
		struct lt_grant *to = &p->grant[i];

		to->verb = words(json_array_get(g, 0), &to->nverb);
		to->unit = words(json_array_get(g, 1), &to->nunit);
		to->collection = words(json_array_get(g, 2), &to->ncollection);
		to->field = words(json_array_get(g, 3), &to->nfield);
	}
}

static void
take_unit(const char *s, struct lt_unit *unit)
{
	memset(unit, 0, sizeof(*unit));
	if (s[0] != '\0' && lt_unit_set(unit, lt_slice_str(s)) != LT_OK)
		die("no unit", s);
}

static void
take_askers(struct world *w, const json_t *list)
{
	size_t i;

	w->nasker = json_array_size(list);
	for (i = 0; i < w->nasker && i < ASKERS_MAX; i++) {
		const json_t *o = json_array_get(list, i);
		struct lt_principal *p = &w->principal[i];
		struct lt_asker *a = &w->asker[i];

		a->kind = (enum lt_asker_kind)json_integer_value(json_object_get(o, "kind"));
		a->local_hub = json_is_true(json_object_get(o, "machine"));
		take_unit(text(o, "unit"), &p->unit);
		a->unit = p->unit;
		a->principal = json_is_true(json_object_get(o, "lost")) ? NULL : p;
		p->id.b[0] = (uint8_t)(i + 1);
		p->role = (Ltpb__Role)json_integer_value(json_object_get(o, "role"));
		p->state = (Ltpb__PrincipalState)json_integer_value(json_object_get(o, "state"));
		p->org = text(o, "org");
		p->label = "";
		take_grants(json_object_get(o, "grants"), p);
	}
}

static void
take_methods(struct world *w, const json_t *list)
{
	size_t i, k, m;
	const char *name;

	w->nmethod = json_array_size(list);
	if (w->nmethod > WORDS_MAX)
		die("too many", "methods");
	for (i = 0; i < w->nmethod; i++) {
		name = json_string_value(json_array_get(list, i));
		for (k = 0; k < NSCOPES && strcmp(scopes[k].method, name) != 0; k++)
			;
		for (m = 0; m < lt_nmethods && strcmp(lt_methods[m].name, name) != 0; m++)
			;
		if (k == NSCOPES || m == lt_nmethods)
			die("no method", name);
		w->scope[i] = k;
		w->method[i] = &lt_methods[m];
	}
	/* A method that nobody asks about would be one that nobody thought about. */
	if (lt_nmethods != w->nmethod || NSCOPES != w->nmethod)
		die("a method has no row in", "tests/access");
}

static void
take_collections(struct world *w, const json_t *list, const json_t *fields)
{
	size_t i, k;

	w->ncollection = json_array_size(list);
	if (w->ncollection > WORDS_MAX)
		die("too many", "collections");
	for (i = 0; i < w->ncollection; i++) {
		const char *id = json_string_value(json_array_get(list, i));
		const json_t *names = json_array_get(fields, i);

		w->collection[i] = lt_catalogue_find(w->cat, id);
		if (w->collection[i] == NULL)
			die("no collection", id);
		for (k = 0; k < json_array_size(names) && k < WORDS_MAX; k++) {
			id = json_string_value(json_array_get(names, k));
			w->field[i][k] = lt_collection_field(w->collection[i], id);
			if (w->field[i][k] == NULL)
				die("no field", id);
		}
	}
}

static struct world *
world_take(char *line)
{
	struct world *w = need(calloc(1, sizeof(*w)));
	struct lt_err err = { "" };
	char *cat;

	w->json = json_loads(line, 0, NULL);
	if (w->json == NULL)
		die("no JSON:", line);
	cat = need(json_dumps(json_object_get(w->json, "catalogue"), JSON_COMPACT));
	if (lt_catalogue_parse(lt_slice_str(cat), 1, &w->cat, &err) != LT_OK)
		die("the catalogue:", err.text);
	free(cat);
	take_unit(text(w->json, "province"), &w->province);
	take_askers(w, json_object_get(w->json, "askers"));
	take_methods(w, json_object_get(w->json, "methods"));
	take_collections(
	    w, json_object_get(w->json, "collections"), json_object_get(w->json, "fields"));
	w->nunit = json_array_size(json_object_get(w->json, "units"));
	if (w->nasker > ASKERS_MAX || w->nunit > WORDS_MAX)
		die("too many", "askers or units");
	{
		size_t i;

		for (i = 0; i < w->nunit; i++)
			w->unit[i] =
			    json_string_value(json_array_get(json_object_get(w->json, "units"), i));
	}
	w->nrequest = (size_t)json_integer_value(json_object_get(w->json, "requests"));
	return w;
}

static void
world_free(struct world *w)
{
	size_t i, k;

	for (i = 0; i < w->nasker; i++) {
		for (k = 0; k < w->principal[i].ngrant; k++) {
			struct lt_grant *g = &w->principal[i].grant[k];

			free(g->verb);
			free(g->unit);
			free(g->collection);
			free(g->field);
		}
		free(w->principal[i].grant);
	}
	lt_catalogue_unref(w->cat);
	json_decref(w->json);
	free(w);
}

/* ---- one request ---- */

struct request {
	const struct world *w;
	const struct lt_asker *who;
	const struct lt_principal *other;
	const char *unit;
	struct lt_unit u; /* unit, where it is one */
	bool is_unit;
	const struct lt_collection *c;
	const struct lt_field *f;
};

static bool
gives(const struct request *r)
{
	static const struct lt_grant none;
	const struct lt_principal *p = r->other;

	return lt_access_give(r->who, p->role, &p->unit, p->ngrant != 0 ? &p->grant[0] : &none);
}

/* Shown in this unit; and asked about all fields at once the answer is no other. */
static uint8_t
shown(const struct request *r)
{
	const struct world *w = r->w;
	bool in[LT_FIELDS_MAX];

	lt_access_fields(r->who, w->cat, &w->province, r->c, r->unit, in);
	if (in[r->f - r->c->field] !=
	    lt_access_field(r->who, w->cat, &w->province, r->c, r->unit, r->f))
		return UINT8_MAX; /* no answer of the reference's */
	return in[r->f - r->c->field];
}

/* A change-set by the other, and whether a change of the collection by the asker itself would stand there. */
static uint8_t
pushed(const struct request *r)
{
	if (!r->is_unit)
		return 0;
	return (uint8_t)(lt_access_push(r->who, &r->other->id, &r->u) |
			 lt_access_change(r->who->principal, r->c, &r->u) << 1);
}

static uint8_t
pulled(const struct request *r)
{
	const struct lt_unit *province = &r->w->province;

	if (!r->is_unit)
		return 0;
	return (uint8_t)(lt_access_pull(r->who, province, &r->u) |
			 lt_access_open(r->who, province, &r->u, r->c->id, r->f->rule.name) << 1);
}

static uint8_t
written(const struct request *r)
{
	unsigned writer;

	if (!lt_access_write(r->who, r->w->cat, &r->w->province, r->c, r->unit, &writer))
		return 0;
	return writer == LT_WRITER_COMMUNE    ? 1 | 1 << 2
	       : writer == LT_WRITER_PROVINCE ? 1 | 2 << 2
					      : 1 | 3 << 2;
}

/* The field; and all at once. */
static uint8_t
erased(const struct request *r)
{
	const struct lt_unit *province = &r->w->province;

	return (uint8_t)(lt_access_erase(r->who, province, r->c, r->unit, r->f->rule.name) |
			 lt_access_erase(r->who, province, r->c, r->unit, NULL) << 1);
}

static uint8_t
answer(const struct request *r, size_t method)
{
	const struct world *w = r->w;
	const char *unit = scopes[w->scope[method]].unit;

	if (unit == NULL)
		unit = r->unit;
	if (!lt_access_method(r->who, (enum lt_verb)w->method[method]->grant))
		return 0;
	switch (scopes[w->scope[method]].scope) {
	case NOTHING:
		return 1;
	case PUSH:
		return pushed(r);
	case PULL:
		return pulled(r);
	case WRITE:
		return written(r);
	case FIELD:
		return shown(r);
	case FILTER:
		return lt_access_records(r->who, w->cat, &w->province, r->c, unit) &&
		       lt_access_field_everywhere(r->who, w->cat, &w->province, r->c, r->f);
	case RECORDS:
		return lt_access_records(r->who, w->cat, &w->province, r->c, unit);
	case INSPECT:
		return lt_access_unit(r->who, LT_VERB_INSPECT, unit);
	case LOG:
		return lt_access_log(r->who, unit, r->c->id);
	case GIVE:
		return gives(r);
	case REBUILD: /* a clerk's own node is the clerk's to stop */
		if (r->who->kind == LT_ASKER_LOCAL && !r->who->local_hub)
			return 1;
		return lt_access_unit(r->who, LT_VERB_ENROL, unit);
	case ENROL:
		return lt_access_unit(r->who, LT_VERB_ENROL, unit);
	case ERASE:
		return erased(r);
	}
	return 0;
}

static uint8_t
serve_one(const struct world *w, const uint8_t b[REQUEST_LEN])
{
	struct request r = { .w = w };

	if (b[0] >= w->nasker || b[1] >= w->nmethod || b[2] >= w->nunit || b[3] >= w->ncollection ||
	    b[5] >= w->nasker || w->field[b[3]][b[4]] == NULL)
		die("a request out of", "the world");
	r.who = &w->asker[b[0]];
	r.other = &w->principal[b[5]];
	r.unit = w->unit[b[2]];
	r.is_unit = lt_unit_set(&r.u, lt_slice_str(r.unit)) == LT_OK;
	r.c = w->collection[b[3]];
	r.f = w->field[b[3]][b[4]];
	return answer(&r, b[1]);
}

static void
serve(const struct world *w)
{
	size_t i, n = w->nrequest * REQUEST_LEN;
	uint8_t *in = need(malloc(n + 1)), *out = need(malloc(w->nrequest + 1));

	if (fread(in, 1, n, stdin) != n)
		die("cut short:", "requests");
	for (i = 0; i < w->nrequest; i++)
		out[i] = serve_one(w, in + i * REQUEST_LEN);
	if (fwrite(out, 1, w->nrequest, stdout) != w->nrequest || fflush(stdout) != 0)
		die("cannot write", "answers");
	free(in);
	free(out);
}

static void
take_arguments(int argc, char **argv)
{
#ifdef LT_ACCESS_BUGS
#define NAME(name, text) #name,
	static const char *const names[] = { LT_ACCESS_BUG_LIST(NAME) };
	size_t i;

	if (argc == 2 && strcmp(argv[1], "--bugs") == 0) {
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			printf("%s\n", names[i]);
		exit(0);
	}
	for (i = 0; argc == 3 && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(argv[1], "--bug") == 0 && strcmp(argv[2], names[i]) == 0)
			lt_access_bug = (int)i + 1;
	if (argc > 1 && lt_access_bug == 0)
		die("no bug", argv[argc - 1]);
#else
	if (argc > 1)
		die("this build has no bugs; not", argv[1]);
#endif
}

int
main(int argc, char **argv)
{
	char *line = NULL;
	size_t cap = 0;

	take_arguments(argc, argv);
	while (getline(&line, &cap, stdin) > 0) {
		struct world *w = world_take(line);

		serve(w);
		world_free(w);
	}
	free(line);
	return 0;
}
