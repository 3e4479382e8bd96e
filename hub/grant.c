#include "hub/grant.h"
#include "proto/base/wire.h"
#include "proto/store/projection.h"

#include <stdlib.h>
#include <string.h>

#define GRANT_ARENA ((size_t)8 * 1024 * 1024)

static char all_word[] = "all";
static char *all_list[] = { all_word };

static char verb_enrol[] = "enrol", verb_erase[] = "erase", verb_inspect[] = "inspect",
	    verb_open[] = "open", verb_pull[] = "pull", verb_read[] = "read", verb_sync[] = "sync",
	    verb_write[] = "write";

/* Rising by bytes, as the record wants them. */
static char *department_verbs[] = { verb_read };
static char *operator_verbs[] = { verb_enrol, verb_inspect, verb_read, verb_write };
/* What an invitation of an operator may name: erasing is never given by saying nothing. */
static char *operator_may[] = { verb_enrol, verb_erase, verb_inspect, verb_read, verb_write };
static char *node_verbs[] = { verb_sync };
static char *mirror_verbs[] = { verb_open, verb_pull };
/* What an invitation of a mirror gives that says nothing: no personal values. */
static char *mirror_verbs_whole[] = { verb_pull };

/* One grant being checked. */
struct taking {
	struct lt_hub *h;
	Ltpb__Role role;
	const struct lt_catalogue *cat;
	const Ltpb__Grant *grant; /* with the collections already checked when fields are */
	struct lt_err *err;
};

static void
whole(Ltpb__Role role, Ltpb__Grant *g)
{
	ltpb__grant__init(g);
	if (role == LTPB__ROLE__ROLE_DEPARTMENT) {
		g->verbs = department_verbs;
		g->n_verbs = sizeof(department_verbs) / sizeof(department_verbs[0]);
	} else if (role == LTPB__ROLE__ROLE_OPERATOR) {
		g->verbs = operator_verbs;
		g->n_verbs = sizeof(operator_verbs) / sizeof(operator_verbs[0]);
	} else if (role == LTPB__ROLE__ROLE_MIRROR) {
		g->verbs = mirror_verbs_whole;
		g->n_verbs = sizeof(mirror_verbs_whole) / sizeof(mirror_verbs_whole[0]);
	} else {
		g->verbs = node_verbs;
		g->n_verbs = sizeof(node_verbs) / sizeof(node_verbs[0]);
	}
	g->units = g->collections = g->fields = all_list;
	g->n_units = g->n_collections = g->n_fields = 1;
}

int
lt_grant_whole(Ltpb__Role role, struct lt_buf *out)
{
	Ltpb__Grant g;

	whole(role, &g);
	return lt_wire_pack(&g.base, LT_GRANT_BYTES_MAX, out);
}

int
lt_grant_read(struct lt_slice bytes, struct lt_arena *arena, Ltpb__Grant **out)
{
	ProtobufCMessage *m;
	int rc =
	    lt_wire_unpack(&ltpb__grant__descriptor, bytes, LT_GRANT_BYTES_MAX, arena, &m, NULL);

	if (rc == LT_E_NOMEM)
		return rc;
	if (rc != LT_OK)
		return LT_E_CORRUPT;
	*out = (Ltpb__Grant *)m;
	return (*out)->n_verbs == 0 || (*out)->n_units == 0 || (*out)->n_collections == 0 ||
		       (*out)->n_fields == 0
		   ? LT_E_CORRUPT
		   : LT_OK;
}

/* ---- one word of each kind ---- */

static int
check_mirror_verb(const struct taking *t, const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof(mirror_verbs) / sizeof(mirror_verbs[0]); i++)
		if (strcmp(mirror_verbs[i], verb) == 0)
			return LT_OK;
	return lt_err_both(t->err, LT_E_INVALID,
	    "a mirror can only pull feeds and open their personal values: its verbs are open, "
	    "pull, not '%.64s'",
	    "máy chủ bản sao chỉ lấy luồng dữ liệu và mở giá trị cá nhân trong đó: quyền của nó là "
	    "open, pull, không phải '%.64s'; hãy sửa lại",
	    verb);
}

static int
check_verb(const struct taking *t, const char *verb)
{
	size_t i;

	if (t->role == LTPB__ROLE__ROLE_MIRROR)
		return check_mirror_verb(t, verb);
	for (i = 0; i < sizeof(operator_may) / sizeof(operator_may[0]); i++) {
		if (strcmp(operator_may[i], verb) != 0)
			continue;
		if (t->role == LTPB__ROLE__ROLE_DEPARTMENT && strcmp(verb, verb_read) != 0)
			return lt_err_both(t->err, LT_E_INVALID,
			    "a department can only read: the verb '%s' would give it nothing; "
			    "leave it out",
			    "sở ngành chỉ được đọc, quyền '%s' không cho thêm gì; hãy bỏ quyền đó",
			    verb);
		return LT_OK;
	}
	return lt_err_both(t->err, LT_E_INVALID,
	    "there is no verb '%.64s'; verbs are enrol, erase, inspect, read, write",
	    "không có quyền '%.64s'; hãy chọn trong enrol, erase, inspect, read, write", verb);
}

int
lt_grant_commune(struct lt_hub *h, const struct lt_unit *unit, struct lt_err *err)
{
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	int rc = lt_kv_begin_read(lt_hub_derived(h), &txn);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, GRANT_ARENA);
	rc = lt_record_get(txn, "_unit", "_", unit->s, &arena, &rec);
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	if (rc == LT_E_NOTFOUND)
		return lt_err_both(err, LT_E_INVALID,
		    "%s is no commune of province %s; 'ltctl list _unit --unit _' shows the codes",
		    "%s không phải xã của tỉnh %s; hãy xem mã bằng 'ltctl list _unit --unit _'",
		    unit->s, lt_hub_province(h)->s);
	return rc;
}

static int
check_unit(const struct taking *t, const char *code)
{
	const struct lt_unit *province = lt_hub_province(t->h);
	struct lt_unit unit;

	if (lt_unit_set(&unit, lt_slice_str(code)) == LT_OK) {
		if (lt_unit_is_commune(&unit))
			return lt_grant_commune(t->h, &unit, t->err);
		/* What stands in `_` is built in: a department's grant says nothing about it. */
		if (lt_unit_eq(&unit, province) ||
		    (t->role != LTPB__ROLE__ROLE_DEPARTMENT && strcmp(unit.s, "_") == 0))
			return LT_OK;
	}
	return lt_err_both(t->err, LT_E_INVALID,
	    "a grant is for communes by their five-digit codes, the province (%s) or all, not "
	    "'%.16s'",
	    "quyền được cấp theo mã xã năm chữ số, tỉnh (%s) hoặc all, không phải '%.16s'; hãy sửa "
	    "lại",
	    province->s, code);
}

static int
check_collection(const struct taking *t, const char *id)
{
	const struct lt_collection *c =
	    strlen(id) <= LT_NAME_MAX ? lt_catalogue_find(t->cat, id) : NULL;

	if (c == NULL)
		return lt_err_both(t->err, LT_E_INVALID,
		    "the catalogue has no collection '%.64s'; 'ltctl list _catalogue --unit _' "
		    "shows the "
		    "names",
		    "danh mục không có loại hồ sơ '%.64s'; hãy xem tên bằng 'ltctl list _catalogue "
		    "--unit _'",
		    id);
	if (c->builtin && t->role == LTPB__ROLE__ROLE_DEPARTMENT)
		return lt_err_both(t->err, LT_E_INVALID,
		    "no grant opens or closes '%s' to a department; leave it out",
		    "không quyền nào mở hay đóng '%s' cho sở ngành; hãy bỏ tên đó", id);
	return LT_OK;
}

static int
check_field(const struct taking *t, const char *name)
{
	bool every = strcmp(t->grant->collections[0], all_word) == 0;
	size_t i, n = every ? lt_catalogue_count(t->cat) : t->grant->n_collections;

	for (i = 0; strlen(name) <= LT_NAME_MAX && i < n; i++) {
		const struct lt_collection *c =
		    every ? lt_catalogue_at(t->cat, i)
			  : lt_catalogue_find(t->cat, t->grant->collections[i]);

		/* A field of collections that the grant cannot open gives nothing. */
		if (c->builtin && t->role == LTPB__ROLE__ROLE_DEPARTMENT)
			continue;
		if (lt_collection_field(c, name) != NULL)
			return LT_OK;
	}
	if (every)
		return lt_err_both(t->err, LT_E_INVALID,
		    "no collection has a field '%.64s'; check the name in the catalogue",
		    "không loại hồ sơ nào có trường '%.64s'; hãy xem lại tên trong danh mục", name);
	return lt_err_both(t->err, LT_E_INVALID,
	    "none of the collections named has a field '%.64s'; check the name, or name its "
	    "collection",
	    "không loại hồ sơ nào đã nêu có trường '%.64s'; hãy xem lại tên, hoặc nêu loại hồ sơ "
	    "của nó",
	    name);
}

/* ---- a list ---- */

struct kind {
	const char *what;
	size_t max;
	int (*check)(const struct taking *t, const char *item);
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* From what was asked to what is kept: checked, in order, without repeats. *list holds what stands for all. */
static int
take_list(const struct taking *t, const struct kind *k, char *const *asked, size_t n,
    struct lt_arena *arena, char ***list, size_t *nlist)
{
	char **out;
	size_t i, kept = 0;
	int rc = LT_OK;

	if (n > k->max)
		return lt_err_both(t->err, LT_E_INVALID,
		    "%zu %s in one grant are too many, at most %zu; name fewer, or say all",
		    "%zu %s trong một lần cấp quyền là quá nhiều, nhiều nhất %zu; hãy nêu ít hơn, "
		    "hoặc all",
		    n, k->what, k->max);
	if (n == 0 || (n == 1 && strcmp(asked[0], all_word) == 0))
		return LT_OK;
	out = lt_arena_dup(arena, asked, n * sizeof(*out));
	if (out == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < n; i++) {
		if (strcmp(out[i], all_word) == 0)
			rc = lt_err_both(t->err, LT_E_INVALID,
			    "'all' among the %s stands alone: say all, or name them",
			    "'all' trong %s phải đứng một mình; hãy nêu all, hoặc nêu từng tên",
			    k->what);
		else
			rc = k->check(t, out[i]);
	}
	if (rc != LT_OK)
		return rc;
	qsort(out, n, sizeof(*out), by_text);
	for (i = 0; i < n; i++) {
		if (kept == 0 || strcmp(out[kept - 1], out[i]) != 0)
			out[kept++] = out[i];
	}
	*list = out;
	*nlist = kept;
	return LT_OK;
}

static bool
is_all(size_t n, char *const *list)
{
	return n == 1 && strcmp(list[0], all_word) == 0;
}

/* Feeds come whole or not at all. */
static int
check_feeds(const struct taking *t, const Ltpb__Grant *g)
{
	size_t i;
	bool pull = false;

	for (i = 0; t->role == LTPB__ROLE__ROLE_MIRROR && i < g->n_verbs; i++)
		pull |= strcmp(g->verbs[i], verb_pull) == 0 || strcmp(g->verbs[i], all_word) == 0;
	if (!pull || (is_all(g->n_collections, g->collections) && is_all(g->n_fields, g->fields)))
		return LT_OK;
	return lt_err_both(t->err, LT_E_INVALID,
	    "feeds are pulled whole: name collections and fields in a grant with the verb open "
	    "alone, not with pull",
	    "luồng dữ liệu được lấy trọn vẹn, không lấy từng phần; hãy nêu loại hồ sơ và trường "
	    "trong một lần cấp chỉ có quyền open, không có pull");
}

static int
take(struct taking *t, const Ltpb__Grant *asked, struct lt_arena *arena, Ltpb__Grant *g)
{
	static const struct kind verbs = { "verbs", LT_GRANT_VERBS_MAX, check_verb },
				 units = { "units", LT_GRANT_UNITS_MAX, check_unit },
				 collections = { "collections", LT_GRANT_COLLECTIONS_MAX,
					 check_collection },
				 fields = { "fields", LT_GRANT_FIELDS_MAX, check_field };
	int rc = take_list(t, &verbs, asked->verbs, asked->n_verbs, arena, &g->verbs, &g->n_verbs);

	if (rc == LT_OK)
		rc = take_list(
		    t, &units, asked->units, asked->n_units, arena, &g->units, &g->n_units);
	if (rc == LT_OK)
		rc = take_list(t, &collections, asked->collections, asked->n_collections, arena,
		    &g->collections, &g->n_collections);
	if (rc == LT_OK)
		rc = take_list(
		    t, &fields, asked->fields, asked->n_fields, arena, &g->fields, &g->n_fields);
	return rc == LT_OK ? check_feeds(t, g) : rc;
}

int
lt_grant_take(struct lt_hub *h, Ltpb__Role role, const Ltpb__Grant *asked, struct lt_buf *out,
    struct lt_err *err)
{
	struct taking t = { .h = h, .role = role, .err = err };
	struct lt_catalogue *cat;
	struct lt_arena arena;
	Ltpb__Grant g;
	int rc;

	if (asked == NULL ||
	    asked->n_verbs + asked->n_units + asked->n_collections + asked->n_fields == 0)
		return lt_grant_whole(role, out);
	if (role != LTPB__ROLE__ROLE_DEPARTMENT && role != LTPB__ROLE__ROLE_OPERATOR &&
	    role != LTPB__ROLE__ROLE_MIRROR)
		return lt_err_both(err, LT_E_INVALID,
		    "a grant narrows departments, operators and mirrors only: a node's rights are "
		    "those of its commune; invite it without",
		    "chỉ thu hẹp được quyền của sở ngành, người vận hành và máy chủ bản sao: quyền "
		    "của máy xã là quyền của xã; hãy mời mà không thu hẹp");
	whole(role, &g);
	cat = lt_hub_catalogue(h);
	t.cat = cat;
	t.grant = &g;
	lt_arena_init(&arena, GRANT_ARENA);
	rc = take(&t, asked, &arena, &g);
	if (rc == LT_OK)
		rc = lt_wire_pack(&g.base, LT_GRANT_BYTES_MAX, out);
	lt_arena_fini(&arena);
	lt_catalogue_unref(cat);
	return rc;
}
