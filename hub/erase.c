#include "hub/erase_impl.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/model/value.h"
#include "proto/store/erase.h"
#include "proto/store/log_view.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTS_MAX 8 /* at once */
#define ACT_BYTES ((size_t)60000) /* LT_VALUE_MAX, with room */
#define BASIS_MAX 500
#define TELLING_MIN 4 /* a shorter value says nothing that a word of the law may not say */
#define VISIBLE_MS 10000

static const char *const reasons[] = { "request", "withdrawn", "unlawful", "expired", "mistake",
	"order", "other" };

const char *
lt_erase_reason(size_t i)
{
	return i < sizeof(reasons) / sizeof(reasons[0]) ? reasons[i] : NULL;
}

/* ---- what there is ---- */

static int
note_place(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	struct lt_erase_looking *l = ctx;
	size_t cap = l->place_cap == 0 ? 16 : l->place_cap * 2;
	struct lt_erase_place *more;

	if (l->nplace == l->place_cap) {
		more = realloc(l->place, cap * sizeof(*more));
		if (more == NULL)
			return LT_E_NOMEM;
		l->place = more;
		l->place_cap = cap;
	}
	l->place[l->nplace++] = (struct lt_erase_place){ *dot, position };
	return LT_OK;
}

bool
lt_erase_wanted(const struct lt_erasing *e, const char *name)
{
	size_t i;

	for (i = 0; i < e->nfield; i++)
		if (strcmp(e->field[i], name) == 0)
			return true;
	return e->nfield == 0 && strcmp(name, LT_ACTOR_FIELD) != 0;
}

struct lt_erasing_field *
lt_erase_account(struct lt_erase_looking *l, const char *name)
{
	struct lt_erasing_report *r = l->r;
	size_t i = 0, k;

	while (i < r->nfield && strcmp(r->field[i].name, name) < 0)
		i++;
	if (i < r->nfield && strcmp(r->field[i].name, name) == 0)
		return &r->field[i];
	if (r->nfield == LT_FIELDS_MAX)
		return NULL;
	for (k = r->nfield++; k > i; k--)
		r->field[k] = r->field[k - 1];
	r->field[i] =
	    (struct lt_erasing_field){ .name = lt_arena_dup(l->arena, name, strlen(name)) };
	return r->field[i].name == NULL ? NULL : &r->field[i];
}

static bool
tells(const char *basis, const char *word)
{
	return strlen(word) >= TELLING_MIN && strstr(basis, word) != NULL;
}

/* As people write dates here; the other form is that of the catalogue. */
static bool
tells_date(const char *basis, int32_t days)
{
	char text[2][32];
	int y, m, d;

	lt_days_to_date(days, &y, &m, &d);
	(void)snprintf(text[0], sizeof(text[0]), "%02d/%02d/%04d", d, m, y);
	(void)snprintf(text[1], sizeof(text[1]), "%d/%d/%d", d, m, y);
	return tells(basis, text[0]) || tells(basis, text[1]);
}

/* As text, an item of a set, a number or a date. */
bool
lt_erase_tells(const char *basis, const Ltpb__Value *v)
{
	struct lt_buf text;
	size_t i;
	bool yes;

	for (i = 0; v->v_case == LTPB__VALUE__V_SET && i < v->set->n_item; i++)
		if (tells(basis, v->set->item[i]))
			return true;
	/* Yes and no, and words of the catalogue, are nobody's. */
	if (v->v_case == LTPB__VALUE__V_SET || v->v_case == LTPB__VALUE__V_BOOLEAN ||
	    v->v_case == LTPB__VALUE__V_ENUMERATION)
		return false;
	if (v->v_case == LTPB__VALUE__V_DATE && tells_date(basis, v->date))
		return true;
	lt_buf_init(&text, LT_MESSAGE_MAX);
	lt_value_text(v, &text);
	lt_buf_u8(&text, 0);
	yes = text.err == LT_OK && tells(basis, (const char *)text.data);
	lt_buf_fini(&text);
	return yes;
}

void
lt_erase_look_in_basis(
    struct lt_erase_looking *l, struct lt_slice field_set, struct lt_arena *scratch)
{
	struct lt_field_set f;

	if (l->e->basis == NULL || lt_field_set_decode(field_set, scratch, &f, NULL) != LT_OK)
		return;
	l->in_basis |= f.pb->value != NULL && lt_erase_tells(l->e->basis, f.pb->value);
}

static int
look_at_field(struct lt_erase_looking *l, const struct lt_erase_place *p, const char *name,
    struct lt_erased *w, struct lt_arena *scratch)
{
	struct lt_erasing_field *f;
	enum lt_opening_state state;
	struct lt_slice fs;
	int rc;

	rc = lt_opening_state(l->log, p->position, p->dot.index, name, &state);
	/* What cannot be read now may be put back from a peer later: it is named like what is here. */
	if (rc == LT_E_CORRUPT)
		state = LT_OPENING_HERE;
	else if (rc != LT_OK)
		return rc;
	f = lt_erase_account(l, name);
	if (f == NULL)
		return LT_E_NOMEM;
	f->erased += state == LT_OPENING_ERASED ? 1 : 0;
	if (state != LT_OPENING_HERE)
		return LT_OK;
	f->here++;
	l->r->values++;
	w->field[w->nfield++] = f->name;
	l->bytes += strlen(name) + 2;
	rc = lt_opening_view(l->log, p->position, p->dot.index, name, &fs);
	if (rc == LT_OK)
		lt_erase_look_in_basis(l, fs, scratch);
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
look_at_change(struct lt_erase_looking *l, const struct lt_erase_place *p, struct lt_log_view *view)
{
	struct lt_erased *w = &l->what[l->nwhat];
	struct lt_change change;
	struct lt_arena scratch;
	size_t i;
	int rc = lt_log_view_open(view, l->log, p->position);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&scratch, LT_ERASE_CHANGE_ARENA);
	rc = lt_log_view_change(view, p->dot.index, &scratch, &change);
	*w = (struct lt_erased){ .feed = p->dot.feed,
		.seq = p->dot.seq,
		.index = p->dot.index,
		.hash8 = lt_load_u64(view->hash.b) };
	if (rc == LT_OK) {
		w->field = lt_arena_alloc(l->arena, (change.npersonal + 1) * sizeof(*w->field));
		rc = w->field == NULL ? LT_E_NOMEM : LT_OK;
	}
	for (i = 0; rc == LT_OK && i < change.npersonal; i++)
		if (lt_erase_wanted(l->e, change.personal[i]))
			rc = look_at_field(l, p, change.personal[i], w, &scratch);
	if (rc == LT_OK && w->nfield != 0) {
		l->nwhat++;
		l->r->changes++;
		l->bytes += LT_FEED_LEN + 40;
	}
	lt_arena_fini(&scratch);
	return rc;
}

static int
look_at_all(struct lt_erase_looking *l)
{
	struct lt_log_view view = { 0 };
	size_t i;
	int rc = LT_OK;

	l->what = lt_arena_alloc(l->arena, (l->nplace + 1) * sizeof(*l->what));
	l->r->field = lt_arena_alloc(l->arena, LT_FIELDS_MAX * sizeof(*l->r->field));
	if (l->what == NULL || l->r->field == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < l->nplace && !l->r->more; i++) {
		rc = look_at_change(l, &l->place[i], &view);
		if (rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND)
			rc = lt_erase_look_unread(l, &l->place[i]);
		l->r->more = i + 1 < l->nplace && (l->bytes > (ACTS_MAX - 1) * ACT_BYTES / 2 ||
						      l->nwhat >= ACTS_MAX * LT_ERASED_MAX / 2);
	}
	lt_log_view_close(&view);
	return rc;
}

/* What is asked for makes sense by the catalogue. */
static int
check_asked(struct lt_erase_looking *l, const struct lt_catalogue *cat, const char **why,
    struct lt_err *err)
{
	size_t i;

	*why = "ERASE_FIELD";
	l->col = lt_catalogue_find(cat, l->e->collection);
	for (i = 0; l->col != NULL && i < l->e->nfield; i++) {
		const char *name = l->e->field[i];
		const struct lt_field *f = lt_collection_field(l->col, name);

		if (strcmp(name, LT_ACTOR_FIELD) == 0)
			continue;
		if (f == NULL)
			return lt_err_set(err, LT_E_INVALID, "collection %s has no field '%.64s'",
			    l->col->id, name);
		if (f->rule.personal == LT_PERSONAL_NONE)
			return lt_err_set(err, LT_E_INVALID,
			    "'%.64s' is no personal field: its values are part of what was signed, "
			    "and cannot be erased; correct them",
			    name);
	}
	return LT_OK;
}

static int
look(struct lt_erase_looking *l, const char **why, struct lt_err *err)
{
	struct lt_catalogue *cat = lt_hub_catalogue(l->h);
	struct lt_kv_txn *derived = NULL;
	int rc = check_asked(l, cat, why, err);

	memset(l->r, 0, sizeof(*l->r));
	/* Everything that is in the log: also what came a moment ago. */
	if (rc == LT_OK && !l->at_once &&
	    lt_hub_wait_projected(l->h, lt_hub_log_position(l->h), VISIBLE_MS) != LT_OK) {
		*why = "ERASE";
		rc = lt_err_set(err, LT_E_UNAVAILABLE,
		    "the hub's tables do not show yet all that came in; try again later");
	}
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_log(l->h), &l->log);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_derived(l->h), &derived);
	if (rc == LT_OK)
		rc = lt_history_each(
		    derived, l->e->collection, l->e->unit.s, l->e->key, note_place, l);
	if (rc == LT_OK && l->nplace == 0) {
		*why = "ERASE_UNKNOWN";
		rc = lt_err_set(err, LT_E_NOTFOUND, "there is no such record");
	}
	if (rc == LT_OK)
		rc = look_at_all(l);
	lt_kv_abort(derived);
	lt_kv_abort(l->log);
	l->log = NULL;
	free(l->place);
	l->place = NULL;
	lt_catalogue_unref(cat);
	return rc;
}

int
lt_hub_erase_look(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err)
{
	struct lt_erasing asked = *e;
	struct lt_erase_looking l = { .h = h, .e = &asked, .arena = arena, .r = out };

	asked.basis = NULL;
	*why = "ERASE";
	return look(&l, why, err);
}

int
lt_hub_erase_glance(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err)
{
	struct lt_erasing asked = *e;
	struct lt_erase_looking l = {
		.h = h, .e = &asked, .arena = arena, .r = out, .at_once = true
	};

	asked.basis = NULL;
	*why = "ERASE";
	return look(&l, why, err);
}

/* ---- the acts ---- */

struct act {
	char key[24];
	Ltpb__FieldSet fs[4], *set[4];
	Ltpb__Value v[4];
	struct lt_buf dots;
};

static Ltpb__Value *
act_field(struct act *a, struct lt_write *w, const char *name, Ltpb__Value__VCase type)
{
	size_t i = w->nset++;

	ltpb__field_set__init(&a->fs[i]);
	ltpb__value__init(&a->v[i]);
	a->fs[i].name = (char *)name;
	a->fs[i].value = &a->v[i];
	a->v[i].v_case = type;
	a->set[i] = &a->fs[i];
	return &a->v[i];
}

/* One act over these; *number: its key. */
static int
act_make(const struct lt_erasing *e, const struct lt_erased *what, size_t n, struct act *a,
    struct lt_write *w, uint64_t *number)
{
	Ltpb__Value *v;
	int rc;

	randombytes_buf(number, sizeof(*number));
	*number = *number >> 1 | 1; /* drawn, as numbers of revocations are */
	(void)snprintf(a->key, sizeof(a->key), "%llu", (unsigned long long)*number);
	lt_buf_init(&a->dots, LT_VALUE_MAX);
	rc = lt_erased_pack(what, n, &a->dots);
	if (rc != LT_OK)
		return rc;
	*w = (struct lt_write){ .collection = LT_ERASE_COLLECTION,
		.key = a->key,
		.set = a->set,
		.builtin = true,
		.writer = LT_WRITER_PROVINCE };
	v = act_field(a, w, "dots", LTPB__VALUE__V_BYTES);
	v->bytes.data = a->dots.data;
	v->bytes.len = a->dots.len;
	act_field(a, w, "reason", LTPB__VALUE__V_ENUMERATION)->enumeration = (char *)e->reason;
	act_field(a, w, "basis", LTPB__VALUE__V_TEXT)->text = (char *)e->basis;
	if (e->by != NULL) {
		v = act_field(a, w, "by", LTPB__VALUE__V_BYTES);
		v->bytes.data = (uint8_t *)e->by->b;
		v->bytes.len = LT_ID_LEN;
	}
	return LT_OK;
}

/* As many as one act takes. */
static size_t
act_takes(const struct lt_erased *what, size_t n)
{
	size_t i, k, bytes = 0;

	for (i = 0; i < n && i < LT_ERASED_MAX; i++) {
		bytes += LT_FEED_LEN + 40;
		for (k = 0; k < what[i].nfield; k++)
			bytes += strlen(what[i].field[k]) + 2;
		if (bytes > ACT_BYTES)
			break;
	}
	return i;
}

struct acts {
	struct act act[ACTS_MAX];
	struct lt_write w[ACTS_MAX];
	size_t n;
};

static int
acts_make(struct acts *a, const struct lt_erase_looking *l)
{
	size_t done = 0, n;
	int rc = LT_OK;

	l->r->act = lt_arena_alloc(l->arena, ACTS_MAX * sizeof(*l->r->act));
	if (l->r->act == NULL)
		return LT_E_NOMEM;
	while (rc == LT_OK && done < l->nwhat && a->n < ACTS_MAX) {
		n = act_takes(l->what + done, l->nwhat - done);
		if (n == 0)
			return LT_E_TOOBIG; /* not reached: one change's names are 17 KiB at most */
		rc =
		    act_make(l->e, l->what + done, n, &a->act[a->n], &a->w[a->n], &l->r->act[a->n]);
		a->n++;
		done += n;
	}
	l->r->more |= done < l->nwhat;
	return rc;
}

static int
write_acts(struct lt_erase_looking *l, const char **why, struct lt_err *err)
{
	struct acts *a = calloc(1, sizeof(*a));
	size_t i;
	int rc;

	if (a == NULL)
		return LT_E_NOMEM;
	rc = acts_make(a, l);
	if (rc == LT_OK)
		rc = lt_hub_write_prepared(
		    l->h, &l->e->unit, a->w, a->n, l->arena, NULL, NULL, &l->r->position, err);
	for (i = 0; i < a->n; i++) {
		if (rc == LT_OK && a->w[i].rc != LT_OK) {
			*why = "ERASE_INVALID";
			rc = lt_err_set(err, LT_E_INVALID, "the act cannot be written: %s",
			    a->w[i].violation.message);
		}
		lt_buf_fini(&a->act[i].dots);
	}
	l->r->nact = l->r->position != 0 ? a->n : 0;
	free(a);
	return rc;
}

static int
check_words(const struct lt_erasing *e, const char **why, struct lt_err *err)
{
	size_t i = 0, len = e->basis == NULL ? 0 : strlen(e->basis);

	*why = "ERASE_REASON";
	while (i < sizeof(reasons) / sizeof(reasons[0]) &&
	       (e->reason == NULL || strcmp(reasons[i], e->reason) != 0))
		i++;
	if (i == sizeof(reasons) / sizeof(reasons[0]))
		return lt_err_set(err, LT_E_INVALID,
		    "an erasure says why: request, withdrawn, unlawful, expired, mistake, order or "
		    "other");
	*why = "ERASE_BASIS";
	if (len == 0 || len > BASIS_MAX || strspn(e->basis, " ") == len)
		return lt_err_set(err, LT_E_INVALID,
		    "an erasure names its legal basis (law and article, or number and date of the "
		    "document), in at most %d bytes",
		    BASIS_MAX);
	return LT_OK;
}

static void
log_erasure(const struct lt_erase_looking *l)
{
	char by[2 * LT_ID_LEN + 1] = "the hub's own machine";

	if (l->e->by != NULL)
		lt_hex(by, l->e->by->b, LT_ID_LEN);
	lt_warn("erasure (%s) by %s: %llu personal values in %llu changes of collection %s, unit "
		"%s, are gone",
	    l->e->reason, by, (unsigned long long)l->r->values, (unsigned long long)l->r->changes,
	    l->e->collection, l->e->unit.s);
}

int
lt_hub_erase(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err)
{
	struct lt_erase_looking l = { .h = h, .e = e, .arena = arena, .r = out };
	int rc = check_words(e, why, err);

	if (rc == LT_OK) {
		*why = "ERASE";
		rc = look(&l, why, err);
	}
	if (rc == LT_OK && l.in_basis) {
		*why = "ERASE_BASIS";
		rc = lt_err_set(err, LT_E_INVALID,
		    "the legal basis has one of the values in it that are to go: it stays for "
		    "ever, so say it without");
	}
	if (rc == LT_OK && l.nwhat != 0)
		rc = write_acts(&l, why, err);
	if (out->position != 0)
		log_erasure(&l);
	return rc;
}
