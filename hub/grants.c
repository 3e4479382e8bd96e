#include "hub/grants.h"
#include "proto/base/wire.h"
#include "proto/store/projection.h"
#include "proto/store/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRANTS_ARENA ((size_t)16 * 1024 * 1024)
#define ONE_KEPT ((size_t)256 * 1024) /* of the largest grant */
#define KEY_LEN (2 * LT_ID_LEN + 12) /* principal/number and the end */
#define TRIES_MAX 64 /* of a number that somebody else took meanwhile */

/* ---- reading ---- */

struct reading {
	const char *prefix; /* principal in hexadecimal and a slash */
	struct lt_arena *arena, one; /* one: of the record that is looked at */
	struct lt_grant_held *held;
	size_t n, cap;
};

static const Ltpb__Value *
value_of(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++)
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value;
	return NULL;
}

static void
words_of(const Ltpb__Record *r, const char *name, char ***list, size_t *n)
{
	const Ltpb__Value *v = value_of(r, name);

	if (v == NULL || v->v_case != LTPB__VALUE__V_SET)
		return;
	*list = v->set->item;
	*n = v->set->n_item;
}

/* Room for one more, zeroed. NULL: memory. */
static struct lt_grant_held *
room(struct reading *x)
{
	size_t cap = x->cap == 0 ? 16 : x->cap * 2;
	struct lt_grant_held *wider;

	if (x->n == x->cap) {
		wider = lt_arena_alloc(x->arena, cap * sizeof(*wider));
		if (wider == NULL)
			return NULL;
		if (x->n != 0)
			memcpy(wider, x->held, x->n * sizeof(*wider));
		x->held = wider;
		x->cap = cap;
	}
	return &x->held[x->n++];
}

/* r lives in the arena from now on. */
static Ltpb__Grant *
grant_of(const Ltpb__Record *r, struct lt_arena *arena)
{
	Ltpb__Grant *g = lt_arena_alloc(arena, sizeof(*g));

	if (g == NULL)
		return NULL;
	ltpb__grant__init(g);
	words_of(r, "verbs", &g->verbs, &g->n_verbs);
	words_of(r, "units", &g->units, &g->n_units);
	words_of(r, "collections", &g->collections, &g->n_collections);
	words_of(r, "fields", &g->fields, &g->n_fields);
	return g;
}

static bool
is_active(const Ltpb__Record *r)
{
	const Ltpb__Value *state = value_of(r, "state");

	return state != NULL && state->v_case == LTPB__VALUE__V_ENUMERATION &&
	       strcmp(state->enumeration, "active") == 0;
}

static int
unpack(struct lt_slice record, struct lt_arena *arena, Ltpb__Record **out)
{
	ProtobufCMessage *m = NULL;
	int rc = lt_wire_unpack(&ltpb__record__descriptor, record, LT_MESSAGE_MAX, arena, &m, NULL);

	*out = (Ltpb__Record *)m;
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
}

static int
add(struct reading *x, struct lt_slice record, const Ltpb__Record *r, uint32_t no)
{
	struct lt_grant_held *to = room(x);
	Ltpb__Record *kept;
	int rc;

	if (to == NULL)
		return LT_E_NOMEM;
	to->no = no;
	to->active = is_active(r);
	if (!to->active)
		return LT_OK;
	rc = unpack(record, x->arena, &kept);
	if (rc != LT_OK)
		return rc;
	to->grant = grant_of(kept, x->arena);
	return to->grant == NULL ? LT_E_NOMEM : LT_OK;
}

static int
on_record(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	struct reading *x = ctx;
	struct lt_slice collection, unit, key;
	size_t len = strlen(x->prefix);
	Ltpb__Record *r;
	unsigned long no;
	char *end;
	int rc = lt_key_record_split(rk, &collection, &unit, &key);

	if (rc != LT_OK)
		return rc;
	/* Keys rise: behind this principal's there are none of it. */
	if (key.len < len || memcmp(key.data, x->prefix, len) != 0)
		return LT_E_CANCELLED;
	lt_arena_recycle(&x->one, ONE_KEPT);
	rc = unpack(record, &x->one, &r);
	if (rc != LT_OK)
		return rc;
	no = strtoul(r->key + len, &end, 10);
	return *end != '\0' || no == 0 || no > UINT32_MAX ? LT_OK : add(x, record, r, (uint32_t)no);
}

/* What the newest ones said that were taken. */
static int
tell_taken(struct reading *x, struct lt_kv_txn *txn, size_t taken)
{
	char key[KEY_LEN];
	Ltpb__Record *r;
	size_t i;
	int rc = LT_OK;

	for (i = x->n; rc == LT_OK && i-- > 0 && taken > 0;) {
		if (x->held[i].active)
			continue;
		taken--;
		(void)snprintf(key, sizeof(key), "%s%u", x->prefix, x->held[i].no);
		rc = lt_record_get(txn, "_grant", "_", key, x->arena, &r);
		if (rc != LT_OK)
			return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
		x->held[i].grant = grant_of(r, x->arena);
		rc = x->held[i].grant == NULL ? LT_E_NOMEM : LT_OK;
	}
	return rc;
}

static int
by_number(const void *a, const void *b)
{
	const struct lt_grant_held *x = a, *y = b;

	return (x->no > y->no) - (x->no < y->no);
}

static int
read_all(struct reading *x, struct lt_kv_txn *txn, struct lt_slice after, size_t taken)
{
	int rc;

	lt_arena_init(&x->one, GRANTS_ARENA);
	rc = lt_record_each(txn, "_grant", "_", after, on_record, x);
	lt_arena_fini(&x->one);
	if (x->n != 0)
		qsort(x->held, x->n, sizeof(*x->held), by_number);
	return rc == LT_OK ? tell_taken(x, txn, taken) : rc;
}

int
lt_grants_of(struct lt_hub *h, const struct lt_id *principal, size_t taken, struct lt_arena *arena,
    struct lt_grant_held **out, size_t *n)
{
	char prefix[KEY_LEN];
	struct reading x = { .prefix = prefix, .arena = arena };
	struct lt_buf after = { 0 };
	struct lt_kv_txn *txn;
	int rc;

	lt_hex(prefix, principal->b, LT_ID_LEN);
	prefix[2 * (size_t)LT_ID_LEN] = '/';
	prefix[2 * (size_t)LT_ID_LEN + 1] = '\0';
	lt_key_record(&after, "_grant", "_", prefix);
	rc = after.err != LT_OK ? after.err : lt_kv_begin_read(lt_hub_derived(h), &txn);
	if (rc == LT_OK) {
		rc = read_all(&x, txn, lt_buf_slice(&after), taken);
		lt_kv_abort(txn);
	}
	lt_buf_fini(&after);
	*out = x.held;
	*n = x.n;
	return rc;
}

/* ---- writing ---- */

struct act {
	struct lt_arena *arena;
	char key[KEY_LEN];
	size_t n;
	Ltpb__FieldSet *set[5];
	bool failed;
};

static void
act_begin(struct act *a, struct lt_arena *arena, const struct lt_id *principal, uint32_t no)
{
	char hex[2 * LT_ID_LEN + 1];

	memset(a, 0, sizeof(*a));
	a->arena = arena;
	lt_hex(hex, principal->b, LT_ID_LEN);
	(void)snprintf(a->key, sizeof(a->key), "%s/%u", hex, no);
}

static Ltpb__Value *
act_value(struct act *a, const char *name, Ltpb__Value__VCase type)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a->arena, sizeof(*fs));
	Ltpb__Value *v = lt_arena_alloc(a->arena, sizeof(*v));

	if (fs == NULL || v == NULL) {
		a->failed = true;
		return NULL;
	}
	ltpb__field_set__init(fs);
	ltpb__value__init(v);
	fs->name = (char *)name;
	fs->value = v;
	v->v_case = type;
	a->set[a->n++] = fs;
	return v;
}

static void
act_words(struct act *a, const char *name, char **words, size_t n)
{
	Ltpb__Value *v = act_value(a, name, LTPB__VALUE__V_SET);
	Ltpb__TextSet *s = lt_arena_alloc(a->arena, sizeof(*s));

	if (v == NULL || s == NULL) {
		a->failed = true;
		return;
	}
	ltpb__text_set__init(s);
	s->n_item = n;
	s->item = words;
	v->set = s;
}

static void
act_state(struct act *a, const char *word)
{
	Ltpb__Value *v = act_value(a, "state", LTPB__VALUE__V_ENUMERATION);

	if (v != NULL)
		v->enumeration = (char *)word;
}

/* fresh: LT_E_CONFLICT where a record of this number stands. */
static int
act_write(struct lt_hub *h, struct act *a, bool fresh, struct lt_err *err)
{
	struct lt_unit federation = { "_" };
	struct lt_write w = { .collection = "_grant",
		.key = a->key,
		.nset = a->n,
		.set = a->set,
		.if_revision = fresh,
		.writer = LT_WRITER_PROVINCE,
		.builtin = true };
	int rc = a->failed ? LT_E_NOMEM : lt_hub_write(h, &federation, &w, 1, a->arena, err);

	if (rc != LT_OK || w.rc == LT_OK || w.rc == LT_E_CONFLICT)
		return rc != LT_OK ? rc : w.rc;
	return lt_err_both(err, w.rc, "the registry does not take the grant: %s",
	    "sổ đăng ký không nhận quyền này: %s; hãy sửa lại", w.violation.message);
}

static bool
same_words(size_t n, char *const *a, size_t m, char *const *b)
{
	size_t i;

	for (i = 0; i < n && n == m; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return n == m;
}

static bool
same_grant(const Ltpb__Grant *a, const Ltpb__Grant *b)
{
	return same_words(a->n_verbs, a->verbs, b->n_verbs, b->verbs) &&
	       same_words(a->n_units, a->units, b->n_units, b->units) &&
	       same_words(a->n_collections, a->collections, b->n_collections, b->collections) &&
	       same_words(a->n_fields, a->fields, b->n_fields, b->fields);
}

/* Among those that are active: *no of one that says the same; else 0, and how many there are. */
static void
look_for(const struct lt_grant_held *held, size_t n, const Ltpb__Grant *grant, uint32_t *no,
    size_t *active)
{
	size_t i;

	*no = 0;
	*active = 0;
	for (i = 0; i < n; i++) {
		if (!held[i].active)
			continue;
		++*active;
		if (*no == 0 && same_grant(held[i].grant, grant))
			*no = held[i].no;
	}
}

/* One look at what is shown, and one try behind it. LT_E_CONFLICT: another took that number, and it is shown by now. */
static int
try_to_give(struct lt_hub *h, const struct lt_id *principal, const Ltpb__Grant *grant,
    struct lt_arena *arena, uint32_t *no, struct lt_err *err)
{
	struct lt_grant_held *held;
	size_t n, active;
	struct act a;
	int rc = lt_grants_of(h, principal, 0, arena, &held, &n);

	if (rc != LT_OK)
		return rc;
	look_for(held, n, grant, no, &active);
	if (*no != 0)
		return LT_OK;
	if (active >= LT_GRANTS_EACH_MAX)
		return lt_err_both(err, LT_E_INVALID,
		    "%d grants are the most that one principal has; take one that it needs no more",
		    "một tài khoản có nhiều nhất %d quyền; hãy thu hồi quyền không còn cần",
		    LT_GRANTS_EACH_MAX);
	*no = n == 0 ? 1 : held[n - 1].no + 1;
	act_begin(&a, arena, principal, *no);
	act_words(&a, "verbs", grant->verbs, grant->n_verbs);
	act_words(&a, "units", grant->units, grant->n_units);
	act_words(&a, "collections", grant->collections, grant->n_collections);
	act_words(&a, "fields", grant->fields, grant->n_fields);
	act_state(&a, "active");
	return act_write(h, &a, true, err);
}

int
lt_grants_give(struct lt_hub *h, const struct lt_id *principal, const Ltpb__Grant *grant,
    uint32_t *no, struct lt_err *err)
{
	struct lt_arena arena;
	unsigned try;
	int rc = LT_E_CONFLICT;

	for (try = 0; rc == LT_E_CONFLICT && try < TRIES_MAX; try++) {
		lt_arena_init(&arena, GRANTS_ARENA);
		rc = try_to_give(h, principal, grant, &arena, no, err);
		lt_arena_fini(&arena);
	}
	return rc == LT_E_CONFLICT ? LT_E_UNAVAILABLE : rc;
}

int
lt_grants_take(struct lt_hub *h, const struct lt_id *principal, uint32_t no, struct lt_err *err)
{
	struct lt_arena arena;
	struct act a;
	int rc;

	lt_arena_init(&arena, GRANTS_ARENA);
	act_begin(&a, &arena, principal, no);
	act_state(&a, "revoked");
	rc = act_write(h, &a, false, err);
	lt_arena_fini(&arena);
	return rc;
}
