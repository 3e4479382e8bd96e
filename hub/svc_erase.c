/* hub/svc_erase.c - erasing personal data at the hub, and the list of what was erased (part of Admin). */
#include "hub/erase.h"
#include "hub/service_impl.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/service/call.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"
#include "proto/store/hub_cert.h"
#include "proto/store/projection.h"
#include "proto/store/tables.h"

#include <string.h>

#define LISTED 100 /* acts on a page */
#define WITH_MAX 4 /* change-sets with one act: where it was said again, more than one */
#define ACT_ARENA ((size_t)8 * 1024 * 1024) /* its record and change-sets */
#define REPLY_BYTES ((size_t)768 * 1024) /* then a page ends: a message is 1 MiB */

/* ---- erasing ---- */

/* May the asker do all of it? Of what it may not nothing is told. */
static bool
may_erase(const struct lt_asking *a, const Ltpb__EraseRequest *req)
{
	const struct lt_unit *province = lt_hub_province(a->s->hub);
	const struct lt_collection *c = lt_catalogue_find(a->cat, req->collection);
	size_t i;

	if (c == NULL)
		return false;
	for (i = 0; i < req->n_field; i++)
		if (!lt_access_erase(&a->who, province, c, req->unit, req->field[i]))
			return false;
	return req->n_field != 0 || lt_access_erase(&a->who, province, c, req->unit, NULL);
}

static int
tell_report(struct lt_asking *a, const struct lt_erasing_report *r, Ltpb__EraseReply *out)
{
	Ltpb__ErasedField *f = lt_arena_alloc(&a->arena, (r->nfield + 1) * sizeof(*f));
	size_t i;

	out->field = lt_arena_alloc(&a->arena, (r->nfield + 1) * sizeof(*out->field));
	if (f == NULL || out->field == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r->nfield; i++) {
		ltpb__erased_field__init(&f[i]);
		f[i].name = (char *)r->field[i].name;
		f[i].here = r->field[i].here;
		f[i].erased = r->field[i].erased;
		out->field[out->n_field++] = &f[i];
	}
	out->changes = r->changes;
	out->values = r->values;
	out->more = r->more;
	out->act = r->act;
	out->n_act = r->nact;
	out->unreadable = r->unreadable;
	out->unreached = (char **)(uintptr_t)r->unreached;
	out->n_unreached = r->nunreached;
	return LT_OK;
}

static int
run_erase(struct lt_asking *a, const Ltpb__EraseRequest *req, struct lt_erasing_report *r,
    const char **why, struct lt_err *err)
{
	struct lt_erasing e = { .collection = req->collection,
		.key = req->key,
		.nfield = req->n_field,
		.field = req->field,
		.reason = req->reason,
		.basis = req->basis,
		.by = a->who.principal != NULL ? &a->who.principal->id : NULL };

	*why = "ERASE";
	if (lt_unit_set(&e.unit, lt_slice_str(req->unit)) != LT_OK || req->n_field > LT_FIELDS_MAX)
		return lt_err_set(err, LT_E_INVALID,
		    "name the unit by its code, a collection, a key, and at most %d fields",
		    LT_FIELDS_MAX);
	if (!may_erase(a, req))
		return LT_E_DENIED;
	if (req->confirm && !lt_text_is_nfc(lt_slice_str(req->basis))) {
		*why = "ERASE_BASIS";
		return lt_err_set(err, LT_E_INVALID, "the legal basis is not Unicode in NFC");
	}
	return req->confirm ? lt_hub_erase(a->s->hub, &e, &a->arena, r, why, err)
			    : lt_hub_erase_look(a->s->hub, &e, &a->arena, r, why, err);
}

void
lt_admin_erase(Ltpb__Admin_Service *service, const Ltpb__EraseRequest *req,
    Ltpb__EraseReply_Closure closure, void *data)
{
	Ltpb__EraseReply r = LTPB__ERASE_REPLY__INIT;
	struct lt_erasing_report report = { 0 };
	struct lt_err err = { "" };
	struct lt_asking a;
	const char *why;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = run_erase(&a, req, &report, &why, &err);
	/* Gone for good, and said to be so. */
	r.not_visible = rc == LT_E_TIMEOUT && report.position != 0;
	if (r.not_visible)
		rc = LT_OK;
	if (rc == LT_OK)
		rc = tell_report(&a, &report, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, why, &err);
	lt_asking_end(&a);
}

/* ---- the list ----
 *
 * First the acts of the log, in the order of unit and number, then those that are to be said again (erase_list.h). A page ends before
 * REPLY_BYTES, whatever stands on it; a change-set comes with the first of its acts, and so on one page alone. */

struct listing {
	struct lt_asking *a;
	Ltpb__ListErasuresReply *r;
	struct lt_kv_txn *log, *derived;
	bool changesets;
	size_t bytes; /* of the page so far */
	struct lt_arena scratch; /* of the act at hand */
	struct lt_slice key; /* of its record */
	struct lt_slice last; /* rk of the last one on the page, in the asking's arena */
	ProtobufCBinaryData with[WITH_MAX]; /* change-sets that come with it, in the scratch */
	size_t nwith;
	bool damaged; /* something of the act at hand */
	bool full;
};

/* What an act says; borrowed. */
struct act_words {
	const char *unit, *number;
	int64_t time_ms;
	const Ltpb__Value *dots, *reason, *basis, *by;
};

static void
take_word(struct act_words *w, const char *name, const Ltpb__Value *v)
{
	if (v == NULL)
		return;
	if (strcmp(name, "dots") == 0 && v->v_case == LTPB__VALUE__V_BYTES)
		w->dots = v;
	else if (strcmp(name, "reason") == 0 && v->v_case == LTPB__VALUE__V_ENUMERATION)
		w->reason = v;
	else if (strcmp(name, "basis") == 0 && v->v_case == LTPB__VALUE__V_TEXT)
		w->basis = v;
	else if (strcmp(name, "by") == 0 && v->v_case == LTPB__VALUE__V_BYTES)
		w->by = v;
}

static int
count_dots(const struct act_words *w, struct lt_arena *scratch, Ltpb__ErasureAct *act)
{
	struct lt_erased *e;
	size_t n, i;
	int rc = w->dots == NULL ? LT_E_INVALID
				 : lt_erased_read(lt_slice(w->dots->bytes.data, w->dots->bytes.len),
				       scratch, &e, &n);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_OK;
	act->changes = n;
	for (i = 0; i < n; i++)
		act->values += e[i].nfield;
	return LT_OK;
}

static char *
copied(struct lt_arena *arena, const char *text)
{
	return lt_arena_dup(arena, text, strlen(text));
}

static int
act_make(struct listing *l, const struct act_words *w, Ltpb__ErasureAct **out)
{
	struct lt_arena *arena = &l->a->arena;
	Ltpb__ErasureAct *act = lt_arena_alloc(arena, sizeof(*act));

	if (act == NULL)
		return LT_E_NOMEM;
	ltpb__erasure_act__init(act);
	act->unit = copied(arena, w->unit);
	act->number = copied(arena, w->number);
	act->reason = copied(arena, w->reason != NULL ? w->reason->enumeration : "");
	act->basis = copied(arena, w->basis != NULL ? w->basis->text : "");
	if (act->unit == NULL || act->number == NULL || act->reason == NULL || act->basis == NULL)
		return LT_E_NOMEM;
	if (w->by != NULL && w->by->bytes.len == LT_ID_LEN) {
		act->by.data = lt_arena_dup(arena, w->by->bytes.data, LT_ID_LEN);
		act->by.len = LT_ID_LEN;
		if (act->by.data == NULL)
			return LT_E_NOMEM;
	}
	act->time_ms = w->time_ms;
	act->damaged = l->damaged;
	*out = act;
	return count_dots(w, &l->scratch, act);
}

/* Acts and their change-sets onto the page, if they fit; whatever they are, one has its place. */
static int
put_on_page(struct listing *l, Ltpb__ErasureAct **act, size_t nact)
{
	size_t i, bytes = 0;

	for (i = 0; i < nact; i++)
		bytes += ltpb__erasure_act__get_packed_size(act[i]) + 8;
	for (i = 0; i < l->nwith; i++)
		bytes += l->with[i].len + 8;
	if (l->r->n_act != 0 && (l->bytes + bytes > REPLY_BYTES || l->r->n_act + nact > LISTED)) {
		l->full = true;
		return LT_OK;
	}
	l->bytes += bytes;
	for (i = 0; i < nact; i++)
		l->r->act[l->r->n_act++] = act[i];
	for (i = 0; i < l->nwith; i++) {
		ProtobufCBinaryData *out = &l->r->changeset[l->r->n_changeset++];

		out->len = l->with[i].len;
		out->data = lt_arena_dup(&l->a->arena, l->with[i].data, l->with[i].len);
		if (out->data == NULL)
			return LT_E_NOMEM;
	}
	return LT_OK;
}

/* ---- acts of the log ---- */

/* Is this act the first of those in the change-set, as the list has them? */
static bool
is_first_of(const struct lt_changeset *cs, struct lt_slice key)
{
	size_t i;

	for (i = 0; i < cs->nchange; i++)
		if (strcmp(cs->change[i].collection, LT_ERASE_COLLECTION) == 0 &&
		    !cs->change[i].is_delete &&
		    lt_slice_cmp(lt_slice_str(cs->change[i].key), key) < 0)
			return false;
	return true;
}

/* A change-set in which the act stands. */
static int
on_place(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct listing *l = ctx;
	const struct lt_id author = lt_feed_author(&dot->feed);
	ProtobufCBinaryData *out = &l->with[l->nwith];
	struct lt_changeset cs;
	struct lt_entry e;
	size_t i, bytes = 0;
	int rc;

	/* What somebody else wrote under the number of an act was refused, and is noted beside it. */
	if (!lt_registry_is_hub(l->a->reg, &author) || l->nwith == WITH_MAX)
		return LT_OK;
	rc = lt_feed_log_read(l->log, position, &e);
	l->damaged |= rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	for (i = 0; i < l->nwith; i++)
		bytes += l->with[i].len;
	if (l->nwith != 0 && bytes + e.changeset.len > REPLY_BYTES)
		return LT_OK; /* the act said again: one that says it is enough */
	out->data = lt_arena_dup(&l->scratch, e.changeset.data, e.changeset.len);
	out->len = e.changeset.len;
	if (out->data == NULL)
		return LT_E_NOMEM;
	rc = lt_changeset_parse(lt_slice(out->data, out->len), &l->scratch, &cs, NULL);
	l->nwith += rc == LT_OK && is_first_of(&cs, l->key);
	return rc;
}

/* An act of the log, of which w tells what could be read. */
static int
add_act(struct listing *l, const struct act_words *w)
{
	Ltpb__ErasureAct *act;
	int rc = LT_OK;

	l->nwith = 0;
	l->key = lt_slice_str(w->number);
	if (l->changesets)
		rc = lt_history_each(
		    l->derived, LT_ERASE_COLLECTION, w->unit, w->number, on_place, l);
	l->damaged |= rc == LT_E_CORRUPT;
	if (rc == LT_OK || rc == LT_E_CORRUPT)
		rc = act_make(l, w, &act);
	return rc == LT_OK ? put_on_page(l, &act, 1) : rc;
}

/* One row of table shown, whether it can be read or not: its key says which act it is of. */
static int
on_act(struct listing *l, struct lt_slice rk, struct lt_slice record, bool sound)
{
	char unit[LT_UNIT_MAX + 1], number[LT_KEY_MAX + 1];
	struct act_words w = { .unit = unit, .number = number };
	struct lt_slice c, u, k;
	const Ltpb__Record *rec;
	size_t i;

	if (lt_key_record_split(rk, &c, &u, &k) != LT_OK || u.len >= sizeof(unit) ||
	    k.len >= sizeof(number)) {
		l->r->unreadable++;
		return LT_OK;
	}
	lt_slice_to_text(unit, sizeof(unit), u);
	lt_slice_to_text(number, sizeof(number), k);
	if (!lt_access_unit(&l->a->who, LT_VERB_ERASE, unit))
		return LT_OK;
	lt_arena_fini(&l->scratch);
	lt_arena_init(&l->scratch, ACT_ARENA);
	rec = !sound ? NULL
		     : (const Ltpb__Record *)protobuf_c_message_unpack(&ltpb__record__descriptor,
			   &l->scratch.pb, record.len, record.data); /* as stored */
	l->damaged = rec == NULL;
	if (rec != NULL)
		w.time_ms = rec->changed_ms;
	for (i = 0; rec != NULL && i < rec->n_field; i++)
		take_word(&w, rec->field[i]->name, rec->field[i]->value);
	return add_act(l, &w);
}

/* Behind the row with this key. A damaged one is an act of which less is told; where the table cannot be walked on, what is
 * behind is in nobody's list, which says so. */
static int
run_log(struct listing *l, struct lt_slice after)
{
	static const char prefix[] = LT_ERASE_COLLECTION; /* and the 0 behind it */
	const struct lt_slice in = lt_slice(prefix, sizeof(prefix));
	uint8_t from[LT_KV_KEY_MAX + 1];
	struct lt_slice k, v, at = in;
	struct lt_kv_cursor *c;
	int rc, read;

	if (lt_slice_cmp(after, in) >= 0) {
		memcpy(from, after.data, after.len);
		from[after.len] = 0;
		at = lt_slice(from, after.len + 1);
	}
	if (at.len > LT_KV_KEY_MAX)
		return LT_E_INVALID;
	rc = lt_kv_cursor_open(l->derived, LT_T_SHOWN, &c);
	if (rc != LT_OK)
		return rc;
	read = lt_kv_seek_at(c, in, at, &k, &v);
	while (rc == LT_OK && (read == LT_OK || (read == LT_E_CORRUPT && k.len != 0))) {
		rc = on_act(l, k, v, read == LT_OK);
		if (rc != LT_OK || l->full)
			break;
		l->last.data = lt_arena_dup(&l->a->arena, k.data, k.len);
		l->last.len = k.len;
		rc = l->last.data == NULL ? LT_E_NOMEM : LT_OK;
		read = lt_kv_next_at(c, in, &k, &v);
	}
	lt_kv_cursor_close(c);
	if (rc != LT_OK || l->full || read == LT_OK || read == LT_E_NOTFOUND)
		return rc;
	l->r->unreadable += read == LT_E_CORRUPT;
	return read == LT_E_CORRUPT ? LT_OK : read;
}

/* ---- acts that are to be said again ---- */

static int
add_unsaid(struct listing *l, const struct lt_changeset *cs)
{
	Ltpb__ErasureAct *act[LT_CHANGES_MAX];
	size_t i, k, n = 0;
	int rc = LT_OK;

	l->damaged = false;
	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		const struct lt_change *c = &cs->change[i];
		struct act_words w = {
			.unit = cs->unit.s, .number = c->key, .time_ms = LT_STAMP_MS(cs->stamp)
		};

		if (strcmp(c->collection, LT_ERASE_COLLECTION) != 0 || c->is_delete)
			continue;
		for (k = 0; k < c->nset; k++)
			take_word(&w, c->set[k].pb->name, c->set[k].pb->value);
		rc = act_make(l, &w, &act[n++]);
	}
	l->nwith = 0;
	if (rc == LT_OK && n == 0)
		return LT_OK; /* revocations */
	if (rc == LT_OK && l->changesets) {
		struct lt_buf b;

		lt_buf_init(&b, LT_MESSAGE_MAX);
		rc = lt_changeset_strip(cs, &b);
		if (rc == LT_OK)
			rc = b.err;
		l->with[0].data = rc == LT_OK ? lt_arena_dup(&l->scratch, b.data, b.len) : NULL;
		l->with[0].len = b.len;
		l->nwith = 1;
		if (rc == LT_OK && l->with[0].data == NULL)
			rc = LT_E_NOMEM;
		lt_buf_fini(&b);
	}
	return rc == LT_OK ? put_on_page(l, act, n) : rc;
}

/* Behind the row of this name; `name` becomes the last one that is on the page. */
static int
run_unsaid(struct listing *l, char name[LT_UNSAID_NAME])
{
	char next[LT_UNSAID_NAME];
	struct lt_changeset cs;
	uint64_t rows;
	bool here;
	int rc = LT_OK;

	while (rc == LT_OK && !l->full) {
		memcpy(next, name, sizeof(next));
		lt_arena_fini(&l->scratch);
		lt_arena_init(&l->scratch, ACT_ARENA);
		rc = lt_unsaid_next(l->log, NULL, NULL, next, &l->scratch, &cs);
		if (rc == LT_OK)
			rc = lt_unsaid_is_here(l->log, &cs, &here);
		if (rc == LT_OK && !here && lt_access_unit(&l->a->who, LT_VERB_ERASE, cs.unit.s))
			rc = add_unsaid(l, &cs);
		if (rc == LT_OK && !l->full)
			memcpy(name, next, sizeof(next));
	}
	if (rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT)
		return rc;
	/* The last page: rows that say nothing, not even whose acts they were. */
	rc = lt_unsaid_unreadable(l->log, &rows);
	l->r->unreadable += rows;
	return rc;
}

/* ---- pages ----
 *
 * The token is the rk of the last act on the page before, or `+` and the name of the last row. */

static int
page_of(struct listing *l, struct lt_slice token, char name[LT_UNSAID_NAME])
{
	bool log = token.len == 0 || token.data[0] != '+';
	int rc = LT_OK;

	if (!log && token.len > LT_UNSAID_NAME)
		return LT_E_INVALID;
	if (!log)
		lt_slice_to_text(name, LT_UNSAID_NAME, lt_slice(token.data + 1, token.len - 1));
	if (log) {
		rc = run_log(l, token);
		if (rc != LT_OK || l->full)
			return rc;
	}
	l->last = lt_slice(NULL, 0);
	return run_unsaid(l, name);
}

/* What verifies the change-sets on the page, of whatever age. */
static int
add_certificate(void *ctx, uint32_t key_no, struct lt_slice certificate)
{
	struct listing *l = ctx;
	const struct lt_identity *id = lt_hub_identity(l->a->s->hub);
	ProtobufCBinaryData *out = &l->r->certificate_before[l->r->n_certificate_before];

	if (key_no == id->key_no || l->r->n_certificate_before == LT_HUB_CERTS_MAX)
		return LT_OK;
	out->data = lt_arena_dup(&l->a->arena, certificate.data, certificate.len);
	out->len = certificate.len;
	if (out->data == NULL)
		return LT_E_NOMEM;
	l->r->n_certificate_before++;
	return LT_OK;
}

static int
add_certificates(struct listing *l)
{
	const struct lt_identity *id = lt_hub_identity(l->a->s->hub);
	Ltpb__ListErasuresReply *r = l->r;

	r->certificate.data = (uint8_t *)(uintptr_t)id->certificate.data;
	r->certificate.len = id->certificate.len;
	r->certificate_before =
	    lt_arena_alloc(&l->a->arena, LT_HUB_CERTS_MAX * sizeof(*r->certificate_before));
	if (r->certificate_before == NULL)
		return LT_E_NOMEM;
	return lt_hub_cert_each(l->log, &id->principal, add_certificate, l);
}

static int
run_list(struct listing *l, const Ltpb__ListErasuresRequest *req)
{
	struct lt_slice token = lt_slice(req->page_token.data, req->page_token.len), next;
	char name[1 + LT_UNSAID_NAME] = "+";
	struct lt_asking *a = l->a;
	int rc;

	l->changesets = req->changesets;
	l->r->act = lt_arena_alloc(&a->arena, (LISTED + LT_CHANGES_MAX) * sizeof(*l->r->act));
	l->r->changeset =
	    lt_arena_alloc(&a->arena, (LISTED + 1) * WITH_MAX * sizeof(*l->r->changeset));
	if (l->r->act == NULL || l->r->changeset == NULL)
		return LT_E_NOMEM;
	rc = lt_kv_begin_read(lt_hub_log(a->s->hub), &l->log);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_derived(a->s->hub), &l->derived);
	if (rc == LT_OK && l->changesets)
		rc = add_certificates(l);
	if (rc == LT_OK)
		rc = page_of(l, token, name + 1);
	if (rc != LT_OK || !l->full)
		return rc;
	next = l->last.len != 0 ? l->last : lt_slice_str(name);
	l->r->next_page_token.data = lt_arena_dup(&a->arena, next.data, next.len);
	l->r->next_page_token.len = next.len;
	return l->r->next_page_token.data == NULL ? LT_E_NOMEM : LT_OK;
}

void
lt_admin_list_erasures(Ltpb__Admin_Service *service, const Ltpb__ListErasuresRequest *req,
    Ltpb__ListErasuresReply_Closure closure, void *data)
{
	Ltpb__ListErasuresReply r = LTPB__LIST_ERASURES_REPLY__INIT;
	struct lt_asking a;
	struct listing l = { .a = &a, .r = &r };
	int rc;

	lt_arena_init(&l.scratch, ACT_ARENA);
	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = req->page_token.len > LT_KV_KEY_MAX ? LT_E_INVALID : run_list(&l, req);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ERASE", "");
	lt_kv_abort(l.derived);
	lt_kv_abort(l.log);
	lt_arena_fini(&l.scratch);
	lt_asking_end(&a);
}
