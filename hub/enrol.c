#include "hub/enrol.h"
#include "hub/alarm.h"
#include "hub/grant.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/feed/trust.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKERS_MAX 4096
#define ENROL_ARENA ((size_t)8 * 1024 * 1024)
#define ROW_VERSION 2
#define REGISTRY_MS 30000 /* to wait for tables that show who is in */
/* Strangers let in while invitations are out: so many at once, and one more in each of these times. A province whose
 * communes all join in one hour is far below. */
#define DOOR_MAX 128
#define DOOR_EACH_MS 100
#define REFUSALS_EACH_MS 1000
#define ROW_MAX (4096 + LT_ENROL_REASON_MAX + LT_GRANT_BYTES_MAX)

/* Grant bytes, owned by the list that they stand in, and never changed there. */
struct grant {
	uint8_t *data;
	size_t len;
};

/* An invitation at rest: key is the token's hash. */
struct invitation {
	struct lt_hash token;
	int64_t expires_s;
	Ltpb__Role role;
	struct lt_unit unit;
	char org[LT_NAME_MAX + 1];
	char label[LT_NAME_MAX + 1];
	bool auto_approve;
	bool used;
	struct lt_id by;
	struct grant grant;
};

/* Somebody who asked: key is 'p' and the principal. */
struct asker {
	struct lt_id principal;
	Ltpb__PrincipalState state;
	Ltpb__Role role;
	struct lt_unit unit;
	char org[LT_NAME_MAX + 1];
	char label[LT_NAME_MAX + 1];
	uint8_t sign_key[32], line_key[32];
	char address[64];
	int64_t asked_ms;
	struct grant grant;
	char reason[LT_ENROL_REASON_MAX + 1]; /* "" if none was given */
};

/* Locks are taken in this order; of the three only mx is ever waited for by the line's threads. */
struct lt_enrol {
	struct lt_hub *h;
	pthread_mutex_t answer_mx; /* one answer of an operator at a time */
	pthread_mutex_t change_mx; /* orders what changes the lists, held while it goes to disk */
	int64_t refused_ms; /* monotonic; a refusal was logged last; with change_mx */
	unsigned refused_kept_back; /* since then; with change_mx */
	struct lt_alarms *alarms;
	pthread_mutex_t mx; /* guards what follows; never held over disk */
	size_t ninvitation, nasker;
	struct invitation *invitation;
	struct asker *asker;
	unsigned door; /* strangers who may come in now */
	int64_t door_ms; /* monotonic; up to when they are counted */
};

/* What somebody typed, fit for a record: in NFC, not cut within a character; else nothing. */
static void
copy_label(char *out, size_t cap, const char *text)
{
	struct lt_buf nfc;
	size_t n;

	out[0] = '\0';
	lt_buf_init(&nfc, 4096);
	if (lt_text_nfc(&nfc, lt_slice_str(text), NULL) == LT_OK && nfc.err == LT_OK) {
		n = nfc.len < cap - 1 ? nfc.len : cap - 1;
		while (n > 0 && n < nfc.len && (nfc.data[n] & 0xc0) == 0x80)
			n--;
		lt_slice_to_text(out, cap, lt_slice(nfc.data, n));
	}
	lt_buf_fini(&nfc);
}

static int
own_grant(struct lt_slice bytes, struct grant *out)
{
	out->data = malloc(bytes.len + 1);
	if (out->data == NULL)
		return LT_E_NOMEM;
	if (bytes.len != 0)
		memcpy(out->data, bytes.data, bytes.len);
	out->len = bytes.len;
	return LT_OK;
}

/* Rows of version 1 end here: whoever was invited then has all that the role may. */
static int
get_grant(struct lt_reader *r, uint8_t version, Ltpb__Role role, struct grant *out)
{
	struct lt_slice bytes;
	struct lt_arena arena;
	struct lt_buf b;
	Ltpb__Grant *g;
	int rc;

	lt_buf_init(&b, LT_GRANT_BYTES_MAX);
	if (version == 1) {
		rc = r->err != LT_OK ? LT_E_CORRUPT : lt_grant_whole(role, &b);
		bytes = lt_buf_slice(&b);
	} else {
		bytes = lt_read_framed(r);
		lt_arena_init(&arena, ENROL_ARENA);
		rc = r->err != LT_OK ? LT_E_CORRUPT : lt_grant_read(bytes, &arena, &g);
		lt_arena_fini(&arena);
	}
	if (rc == LT_OK)
		rc = own_grant(bytes, out);
	lt_buf_fini(&b);
	return rc;
}

static void
put_invitation(struct lt_buf *b, const struct invitation *i)
{
	lt_buf_u8(b, ROW_VERSION);
	lt_buf_u64(b, (uint64_t)i->expires_s);
	lt_buf_u8(b, (uint8_t)i->role);
	lt_buf_framed8(b, lt_slice_str(i->unit.s));
	lt_buf_framed8(b, lt_slice_str(i->org));
	lt_buf_framed8(b, lt_slice_str(i->label));
	lt_buf_u8(b, i->auto_approve);
	lt_buf_u8(b, i->used);
	lt_buf_put(b, i->by.b, LT_ID_LEN);
	lt_buf_framed(b, lt_slice(i->grant.data, i->grant.len));
}

static int
get_invitation(struct lt_slice k, struct lt_slice v, struct invitation *i)
{
	struct lt_slice unit, id;
	struct lt_reader r;
	uint8_t version;

	memset(i, 0, sizeof(*i));
	memcpy(i->token.b, k.data, LT_HASH_LEN);
	lt_reader_init(&r, v);
	version = lt_read_u8(&r);
	if (version < 1 || version > ROW_VERSION)
		return LT_E_CORRUPT;
	i->expires_s = (int64_t)lt_read_u64(&r);
	i->role = (Ltpb__Role)lt_read_u8(&r);
	unit = lt_read_framed8(&r);
	lt_slice_to_text(i->org, sizeof(i->org), lt_read_framed8(&r));
	lt_slice_to_text(i->label, sizeof(i->label), lt_read_framed8(&r));
	i->auto_approve = lt_read_u8(&r) != 0;
	i->used = lt_read_u8(&r) != 0;
	id = lt_read_bytes(&r, LT_ID_LEN);
	if (r.err != LT_OK || (unit.len != 0 && lt_unit_set(&i->unit, unit) != LT_OK))
		return LT_E_CORRUPT;
	memcpy(i->by.b, id.data, LT_ID_LEN);
	return get_grant(&r, version, i->role, &i->grant);
}

static void
put_asker(struct lt_buf *b, const struct asker *a)
{
	lt_buf_u8(b, ROW_VERSION);
	lt_buf_u8(b, (uint8_t)a->state);
	lt_buf_u8(b, (uint8_t)a->role);
	lt_buf_framed8(b, lt_slice_str(a->unit.s));
	lt_buf_framed8(b, lt_slice_str(a->org));
	lt_buf_framed8(b, lt_slice_str(a->label));
	lt_buf_put(b, a->sign_key, 32);
	lt_buf_put(b, a->line_key, 32);
	lt_buf_framed8(b, lt_slice_str(a->address));
	lt_buf_u64(b, (uint64_t)a->asked_ms);
	lt_buf_framed(b, lt_slice(a->grant.data, a->grant.len));
	if (a->reason[0] != '\0')
		lt_buf_framed8(b, lt_slice_str(a->reason));
}

static int
get_asker(struct lt_slice k, struct lt_slice v, struct asker *a)
{
	struct lt_slice unit, sign, line;
	struct lt_reader r;
	uint8_t version;
	int rc;

	memset(a, 0, sizeof(*a));
	memcpy(a->principal.b, k.data + 1, LT_ID_LEN);
	lt_reader_init(&r, v);
	version = lt_read_u8(&r);
	if (version < 1 || version > ROW_VERSION)
		return LT_E_CORRUPT;
	a->state = (Ltpb__PrincipalState)lt_read_u8(&r);
	a->role = (Ltpb__Role)lt_read_u8(&r);
	unit = lt_read_framed8(&r);
	lt_slice_to_text(a->org, sizeof(a->org), lt_read_framed8(&r));
	lt_slice_to_text(a->label, sizeof(a->label), lt_read_framed8(&r));
	sign = lt_read_bytes(&r, 32);
	line = lt_read_bytes(&r, 32);
	lt_slice_to_text(a->address, sizeof(a->address), lt_read_framed8(&r));
	a->asked_ms = (int64_t)lt_read_u64(&r);
	if (r.err != LT_OK || (unit.len != 0 && lt_unit_set(&a->unit, unit) != LT_OK))
		return LT_E_CORRUPT;
	memcpy(a->sign_key, sign.data, 32);
	memcpy(a->line_key, line.data, 32);
	rc = get_grant(&r, version, a->role, &a->grant);
	if (rc != LT_OK || lt_reader_left(&r) == 0)
		return rc;
	lt_slice_to_text(a->reason, sizeof(a->reason), lt_read_framed8(&r));
	return r.err != LT_OK ? LT_E_CORRUPT : LT_OK;
}

/* ---- storing ---- */

struct save_job {
	const struct lt_hash *gone; /* an invitation that makes room; NULL: none */
	const struct invitation *invitation; /* NULL: not */
	const struct asker *asker;
};

static int
run_save(struct lt_kv_txn *txn, void *ctx)
{
	const struct save_job *j = ctx;
	uint8_t key[1 + LT_ID_LEN];
	struct lt_buf b;
	int rc = LT_OK;

	lt_buf_init(&b, ROW_MAX);
	if (j->gone != NULL)
		rc = lt_kv_del(txn, LT_T_ENROL, lt_slice(j->gone->b, LT_HASH_LEN));
	if (rc == LT_E_NOTFOUND)
		rc = LT_OK;
	if (rc == LT_OK && j->invitation != NULL) {
		put_invitation(&b, j->invitation);
		rc = b.err != LT_OK
			 ? b.err
			 : lt_kv_put(txn, LT_T_ENROL, lt_slice(j->invitation->token.b, LT_HASH_LEN),
			       lt_buf_slice(&b));
	}
	if (rc == LT_OK && j->asker != NULL) {
		lt_buf_clear(&b);
		put_asker(&b, j->asker);
		key[0] = 'p';
		memcpy(key + 1, j->asker->principal.b, LT_ID_LEN);
		rc = b.err != LT_OK
			 ? b.err
			 : lt_kv_put(txn, LT_T_ENROL, lt_slice(key, sizeof(key)), lt_buf_slice(&b));
	}
	lt_buf_fini(&b);
	return rc;
}

static int
save(struct lt_enrol *e, const struct lt_hash *gone, const struct invitation *i,
    const struct asker *a)
{
	struct save_job j = { gone, i, a };

	return lt_writer_run(lt_hub_writer(e->h), run_save, &j);
}

static int
load_all(struct lt_enrol *e, struct lt_kv_txn *txn)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_ENROL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK) {
		if (k.len == LT_HASH_LEN && e->ninvitation < LT_INVITATIONS_OPEN_MAX)
			rc = get_invitation(k, v, &e->invitation[e->ninvitation++]);
		else if (k.len == 1 + LT_ID_LEN && k.data[0] == 'p' && e->nasker < ASKERS_MAX)
			rc = get_asker(k, v, &e->asker[e->nasker++]);
		if (rc == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static struct asker *
find_line_key(struct lt_enrol *e, const uint8_t line_key[32])
{
	size_t i;

	for (i = 0; i < e->nasker; i++)
		if (memcmp(e->asker[i].line_key, line_key, 32) == 0)
			return &e->asker[i];
	return NULL;
}

static struct asker *
find_principal(struct lt_enrol *e, const struct lt_id *id)
{
	size_t i;

	for (i = 0; i < e->nasker; i++)
		if (lt_id_eq(&e->asker[i].principal, id))
			return &e->asker[i];
	return NULL;
}

/* ---- who is in already ---- */

/* The registry is written before the list: after a power cut in between, one is in who still stands here as waiting. */
static bool
in_registry(struct lt_enrol *e, const struct asker *a)
{
	struct lt_registry *reg = lt_hub_registry(e->h);
	const struct lt_principal *who = lt_registry_find(reg, &a->principal);
	bool is = who != NULL && who->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
		  lt_registry_by_line_key(reg, a->line_key) == who;

	lt_registry_unref(reg);
	return is;
}

/* What was answered, on disk, then in the list. */
static int
set_answer(struct lt_enrol *e, struct asker *now, Ltpb__PrincipalState state, const char *reason)
{
	struct asker *a;
	int rc;

	now->state = state;
	(void)snprintf(now->reason, sizeof(now->reason), "%s", reason);
	rc = save(e, NULL, NULL, now);
	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&e->mx);
	a = find_principal(e, &now->principal);
	if (a != NULL) {
		a->state = state;
		memcpy(a->reason, now->reason, sizeof(a->reason));
	}
	pthread_mutex_unlock(&e->mx);
	return LT_OK;
}

/* At the start, nobody else has the list yet. */
static int
catch_up(struct lt_enrol *e)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < e->nasker; i++) {
		struct asker now = e->asker[i];

		if (now.state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING &&
		    in_registry(e, &now))
			rc = set_answer(e, &now, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "");
	}
	return rc;
}

/* ---- life ---- */

int
lt_enrol_open(struct lt_hub *h, struct lt_enrol **out, struct lt_err *err)
{
	struct lt_enrol *e = calloc(1, sizeof(*e));
	struct lt_kv_txn *txn;
	int rc;

	if (e == NULL)
		return LT_E_NOMEM;
	e->h = h;
	e->door = DOOR_MAX;
	e->door_ms = lt_mono_ms(lt_hub_clock(h));
	e->refused_ms = e->door_ms - REFUSALS_EACH_MS;
	pthread_mutex_init(&e->answer_mx, NULL);
	pthread_mutex_init(&e->change_mx, NULL);
	pthread_mutex_init(&e->mx, NULL);
	e->invitation = calloc(LT_INVITATIONS_OPEN_MAX, sizeof(*e->invitation));
	e->asker = calloc(ASKERS_MAX, sizeof(*e->asker));
	rc = e->invitation == NULL || e->asker == NULL ? LT_E_NOMEM
						       : lt_kv_begin_read(lt_hub_log(h), &txn);
	if (rc == LT_OK) {
		rc = load_all(e, txn);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		rc = catch_up(e);
	if (rc == LT_OK)
		rc = lt_alarms_open(h, &e->alarms);
	if (rc != LT_OK) {
		lt_enrol_close(e);
		return lt_err_set(
		    err, rc, "the enrolment table cannot be read: %s", lt_strerror(rc));
	}
	*out = e;
	return LT_OK;
}

void
lt_enrol_close(struct lt_enrol *e)
{
	size_t i;

	if (e == NULL)
		return;
	for (i = 0; e->invitation != NULL && i < e->ninvitation; i++)
		free(e->invitation[i].grant.data);
	for (i = 0; e->asker != NULL && i < e->nasker; i++)
		free(e->asker[i].grant.data);
	lt_alarms_close(e->alarms);
	pthread_mutex_destroy(&e->answer_mx);
	pthread_mutex_destroy(&e->change_mx);
	pthread_mutex_destroy(&e->mx);
	free(e->invitation);
	free(e->asker);
	free(e);
}

/* ---- who may come in ---- */

bool
lt_enrol_is_pending(struct lt_enrol *e, const uint8_t line_key[32])
{
	struct asker *a;
	bool is;

	pthread_mutex_lock(&e->mx);
	a = find_line_key(e, line_key);
	is = a != NULL && a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING;
	pthread_mutex_unlock(&e->mx);
	return is;
}

/* One stranger more, if the door has room. With mx held. */
static bool
through_the_door(struct lt_enrol *e)
{
	int64_t now = lt_mono_ms(lt_hub_clock(e->h)), more = (now - e->door_ms) / DOOR_EACH_MS;

	if (more > 0) {
		e->door = more > DOOR_MAX - (int64_t)e->door ? DOOR_MAX : e->door + (unsigned)more;
		e->door_ms += more * DOOR_EACH_MS;
	}
	if (e->door == 0)
		return false;
	e->door--;
	return true;
}

bool
lt_enrol_lets_in(struct lt_enrol *e, const uint8_t line_key[32])
{
	int64_t now_s = lt_wall_ms(lt_hub_clock(e->h)) / 1000;
	bool in, out = false;
	size_t i;

	pthread_mutex_lock(&e->mx);
	in = find_line_key(e, line_key) != NULL;
	/* A used one counts: who comes with it is the one who tells us that somebody else came before. */
	for (i = 0; i < e->ninvitation && !in && !out; i++)
		out = e->invitation[i].expires_s > now_s;
	if (out)
		in = through_the_door(e);
	pthread_mutex_unlock(&e->mx);
	return in;
}

/* ---- inviting ---- */

static int
check_whom(
    struct lt_enrol *e, const Ltpb__InviteRequest *req, struct invitation *i, struct lt_err *err)
{
	struct lt_catalogue *cat;
	bool known;

	i->role = req->role;
	copy_label(i->label, sizeof(i->label), req->label);
	switch (req->role) {
	case LTPB__ROLE__ROLE_NODE:
		if (lt_unit_set(&i->unit, lt_slice_str(req->unit)) != LT_OK ||
		    !lt_unit_is_commune(&i->unit))
			return lt_err_set(err, LT_E_INVALID,
			    "a node needs the five-digit code of its commune, not '%.16s'",
			    req->unit);
		return lt_grant_commune(e->h, &i->unit, err);
	case LTPB__ROLE__ROLE_DEPARTMENT:
		cat = lt_hub_catalogue(e->h);
		known = strlen(req->org) <= LT_NAME_MAX && lt_catalogue_org(cat, req->org) != NULL;
		lt_catalogue_unref(cat);
		if (!known)
			return lt_err_set(err, LT_E_INVALID,
			    "the catalogue has no organisation '%.64s'", req->org);
		lt_slice_to_text(i->org, sizeof(i->org), lt_slice_str(req->org));
		return LT_OK;
	case LTPB__ROLE__ROLE_OPERATOR:
		return LT_OK;
	default:
		return lt_err_set(
		    err, LT_E_INVALID, "only nodes, departments and operators are invited");
	}
}

static int
check_invite(
    struct lt_enrol *e, const Ltpb__InviteRequest *req, struct invitation *i, struct lt_err *err)
{
	struct lt_buf grant;
	int rc = check_whom(e, req, i, err);

	if (rc != LT_OK)
		return rc;
	lt_buf_init(&grant, LT_GRANT_BYTES_MAX);
	rc = lt_grant_take(e->h, req->role, req->grant, &grant, err);
	if (rc == LT_OK)
		rc = own_grant(lt_buf_slice(&grant), &i->grant);
	lt_buf_fini(&grant);
	return rc;
}

static int
invitation_line(struct lt_enrol *e, const struct invitation *i, uint8_t token[16],
    const char *const *addresses, size_t naddress, struct lt_buf *line)
{
	const struct lt_identity *id = lt_hub_identity(e->h);
	Ltpb__Invitation m = LTPB__INVITATION__INIT;

	m.root_key.data = (uint8_t *)id->root_key;
	m.root_key.len = 32;
	m.federation_salt.data = (uint8_t *)id->salt;
	m.federation_salt.len = 16;
	m.hub_line_key.data = (uint8_t *)id->line_pk;
	m.hub_line_key.len = 32;
	m.token.data = token;
	m.token.len = 16;
	m.address = (char **)addresses;
	m.n_address = naddress;
	m.role = i->role;
	m.unit = (char *)i->unit.s;
	m.org = (char *)i->org;
	m.expires_s = i->expires_s;
	return lt_invitation_line(&m, line);
}

/* The place for one more: at the end, or of one that nobody can come with any more. With change_mx held. */
static size_t
free_place(struct lt_enrol *e, int64_t now_s)
{
	size_t k;

	if (e->ninvitation < LT_INVITATIONS_OPEN_MAX)
		return e->ninvitation;
	for (k = 0; k < e->ninvitation; k++) {
		const struct invitation *i = &e->invitation[k];
		const struct asker *a = i->used ? find_principal(e, &i->by) : NULL;

		/* Who waits for an answer comes again with its token. */
		if (a != NULL && a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING)
			continue;
		if (i->used || i->expires_s <= now_s)
			return k;
	}
	return LT_INVITATIONS_OPEN_MAX;
}

/* Into the list, on disk before. Taken with its grant when LT_OK. */
static int
add_invitation(struct lt_enrol *e, const struct invitation *i, int64_t now_s, struct lt_err *err)
{
	uint8_t *old;
	size_t k;
	int rc = LT_OK;

	pthread_mutex_lock(&e->change_mx);
	k = free_place(e, now_s);
	if (k == LT_INVITATIONS_OPEN_MAX)
		rc = lt_err_set(err, LT_E_UNAVAILABLE,
		    "too many open invitations; wait until some are used or expire");
	if (rc == LT_OK)
		rc = save(e, k < e->ninvitation ? &e->invitation[k].token : NULL, i, NULL);
	if (rc == LT_OK) {
		pthread_mutex_lock(&e->mx);
		old = e->invitation[k].grant.data; /* NULL where the place is new */
		e->invitation[k] = *i;
		e->ninvitation += k == e->ninvitation;
		pthread_mutex_unlock(&e->mx);
		free(old);
	}
	pthread_mutex_unlock(&e->change_mx);
	return rc;
}

int
lt_enrol_invite(struct lt_enrol *e, const Ltpb__InviteRequest *req, const char *const *addresses,
    size_t naddress, struct lt_buf *line, int64_t *expires_s, struct lt_err *err)
{
	struct invitation i = { .auto_approve = req->auto_approve };
	uint64_t life = req->expires_in_s == 0 ? LT_INVITATION_DEFAULT_S : req->expires_in_s;
	int64_t now_s = lt_wall_ms(lt_hub_clock(e->h)) / 1000;
	uint8_t token[16];
	int rc = check_invite(e, req, &i, err);

	if (rc == LT_OK && life > LT_INVITATION_MAX_S)
		rc = lt_err_set(err, LT_E_INVALID, "an invitation lives at most %d days",
		    LT_INVITATION_MAX_S / 86400);
	if (rc != LT_OK)
		goto out;
	i.expires_s = now_s + (int64_t)life;
	randombytes_buf(token, sizeof(token));
	lt_h1(LT_TAG_TOKEN, lt_slice(token, sizeof(token)), &i.token);
	rc = invitation_line(e, &i, token, addresses, naddress, line);
	sodium_memzero(token, sizeof(token));
	if (rc != LT_OK) {
		rc = lt_err_set(err, rc, "the invitation does not fit a line: %s", lt_strerror(rc));
		goto out;
	}
	rc = add_invitation(e, &i, now_s, err);
	*expires_s = i.expires_s;
out:
	if (rc != LT_OK)
		free(i.grant.data);
	return rc;
}

/* ---- joining ---- */

static struct invitation *
find_token(struct lt_enrol *e, const struct lt_hash *token)
{
	struct invitation *found = NULL;
	size_t i;

	for (i = 0; i < e->ninvitation; i++) /* no early end: time tells nothing about the tokens */
		if (sodium_memcmp(e->invitation[i].token.b, token->b, LT_HASH_LEN) == 0)
			found = &e->invitation[i];
	return found;
}

/* The token and the id are known to who saw them; the keys tell the machine. */
static bool
same_machine(struct lt_enrol *e, const struct invitation *inv, const struct lt_id *id,
    const Ltpb__JoinRequest *req, const uint8_t line_key[32])
{
	const struct asker *a = lt_id_eq(&inv->by, id) ? find_principal(e, id) : NULL;

	return a != NULL && memcmp(a->line_key, line_key, 32) == 0 &&
	       memcmp(a->sign_key, req->sign_key.data, 32) == 0;
}

static void
raise_alarm(struct lt_enrol *e, const struct invitation *inv, const char *address)
{
	struct lt_alarm alarm = {
		.token = inv->token, .role = inv->role, .unit = inv->unit, .by = inv->by
	};

	memcpy(alarm.org, inv->org, sizeof(alarm.org));
	lt_slice_to_text(alarm.address, sizeof(alarm.address), lt_slice_str(address));
	lt_alarm_raise(e->alarms, &alarm);
}

static int
check_join(struct lt_enrol *e, const Ltpb__JoinRequest *req, const uint8_t line_key[32],
    const char *address, struct invitation **inv, struct lt_err *err)
{
	int64_t now_s = lt_wall_ms(lt_hub_clock(e->h)) / 1000;
	struct lt_registry *reg;
	struct lt_hash token;
	struct lt_id id;
	bool taken;

	memcpy(id.b, req->principal.data, LT_ID_LEN);
	lt_h1(LT_TAG_TOKEN, lt_slice(req->token.data, req->token.len), &token);
	*inv = find_token(e, &token);
	if (*inv == NULL)
		return lt_err_set(err, LT_E_DENIED, "unknown invitation");
	if (lt_join_proof_verify(req->sign_key.data, &lt_hub_identity(e->h)->federation,
		req->token.data, &id, line_key, lt_slice(req->proof.data, req->proof.len)) != LT_OK)
		return lt_err_set(err, LT_E_DENIED, "the proof of the key does not verify");
	if ((*inv)->used && same_machine(e, *inv, &id, req, line_key))
		return LT_OK;
	if ((*inv)->used) {
		raise_alarm(e, *inv, address);
		return lt_err_set(err, LT_E_CONFLICT, "another machine has used the invitation");
	}
	if ((*inv)->expires_s <= now_s)
		return lt_err_set(err, LT_E_DENIED, "the invitation has expired");
	reg = lt_hub_registry(e->h);
	taken = lt_registry_find(reg, &id) != NULL ||
		lt_registry_by_line_key(reg, line_key) != NULL || find_principal(e, &id) != NULL ||
		find_line_key(e, line_key) != NULL;
	lt_registry_unref(reg);
	return taken ? lt_err_set(err, LT_E_DENIED, "this id or key is known already") : LT_OK;
}

/* One line in a while about those who are refused, whatever they try; the rest is counted. With change_mx held. */
static void
say_refused(struct lt_enrol *e, const char *address, const struct lt_err *err)
{
	int64_t now = lt_mono_ms(lt_hub_clock(e->h));

	if (now - e->refused_ms < REFUSALS_EACH_MS) {
		e->refused_kept_back++;
		return;
	}
	lt_info("join from %s not accepted: %s (%u more before)", address, err->text,
	    e->refused_kept_back);
	e->refused_ms = now;
	e->refused_kept_back = 0;
}

int
lt_enrol_join(struct lt_enrol *e, const Ltpb__JoinRequest *req, const uint8_t line_key[32],
    const char *address, Ltpb__PrincipalState *state, struct lt_err *err)
{
	struct invitation *inv, used;
	struct asker *a, fresh = { .state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING };
	bool approve;
	int rc;

	if (req->token.len != 16 || req->principal.len != LT_ID_LEN || req->sign_key.len != 32)
		return lt_err_set(err, LT_E_DENIED, "malformed");
	memcpy(fresh.principal.b, req->principal.data, LT_ID_LEN);
	/* The lists stand still while change_mx is held; mx is for those who only look. */
	pthread_mutex_lock(&e->change_mx);
	rc = check_join(e, req, line_key, address, &inv, err);
	if (rc == LT_OK && !inv->used && e->nasker == ASKERS_MAX)
		rc = lt_err_set(
		    err, LT_E_UNAVAILABLE, "too many enrolments are kept; reject old ones");
	if (rc == LT_OK && !inv->used) {
		used = *inv;
		used.used = true;
		used.by = fresh.principal;
		fresh.role = inv->role;
		fresh.unit = inv->unit;
		memcpy(fresh.org, inv->org, sizeof(fresh.org));
		copy_label(fresh.label, sizeof(fresh.label),
		    inv->label[0] != '\0' ? inv->label : req->label);
		memcpy(fresh.sign_key, req->sign_key.data, 32);
		memcpy(fresh.line_key, line_key, 32);
		lt_slice_to_text(fresh.address, sizeof(fresh.address), lt_slice_str(address));
		fresh.asked_ms = lt_wall_ms(lt_hub_clock(e->h));
		rc = own_grant(lt_slice(inv->grant.data, inv->grant.len), &fresh.grant);
		if (rc == LT_OK)
			rc = save(e, NULL, &used, &fresh);
		if (rc == LT_OK) {
			pthread_mutex_lock(&e->mx);
			*inv = used;
			e->asker[e->nasker++] = fresh;
			pthread_mutex_unlock(&e->mx);
		} else {
			free(fresh.grant.data);
		}
	}
	if (rc != LT_OK)
		say_refused(e, address, err);
	pthread_mutex_lock(&e->mx); /* an answer may be given meanwhile */
	a = rc == LT_OK ? find_principal(e, &fresh.principal) : NULL;
	if (a != NULL)
		*state = a->state;
	approve = a != NULL && inv->auto_approve &&
		  a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING;
	pthread_mutex_unlock(&e->mx);
	pthread_mutex_unlock(&e->change_mx);
	if (rc == LT_OK && a == NULL)
		return lt_err_set(
		    err, LT_E_CORRUPT, "an invitation is spent by somebody who is not on the list");
	if (approve) {
		rc = lt_enrol_approve(e, &fresh.principal, err);
		if (rc == LT_OK)
			*state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	}
	return rc;
}

/* ---- the operator's answer ---- */

static Ltpb__FieldSet *
field(struct lt_arena *arena, const char *name, Ltpb__Value__VCase type)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(arena, sizeof(*fs));
	Ltpb__Value *v = lt_arena_alloc(arena, sizeof(*v));

	if (fs == NULL || v == NULL)
		return NULL;
	ltpb__field_set__init(fs);
	ltpb__value__init(v);
	fs->name = (char *)name;
	fs->value = v;
	v->v_case = type;
	return fs;
}

struct act {
	struct lt_arena *arena;
	char key[64];
	size_t n;
	Ltpb__FieldSet *set[8];
	bool failed;
};

static void
act_text(struct act *a, const char *name, const char *text, Ltpb__Value__VCase type)
{
	Ltpb__FieldSet *fs = field(a->arena, name, type);

	if (fs == NULL) {
		a->failed = true;
		return;
	}
	fs->value->text = (char *)text; /* text and enumeration share the place */
	if (text[0] != '\0')
		a->set[a->n++] = fs;
}

static void
act_bytes(struct act *a, const char *name, const void *data, size_t len)
{
	Ltpb__FieldSet *fs = field(a->arena, name, LTPB__VALUE__V_BYTES);

	if (fs == NULL) {
		a->failed = true;
		return;
	}
	fs->value->bytes.data = (uint8_t *)data;
	fs->value->bytes.len = len;
	a->set[a->n++] = fs;
}

/* words: sorted, no repeats */
static void
act_set(struct act *a, const char *name, char **words, size_t n)
{
	Ltpb__FieldSet *fs = field(a->arena, name, LTPB__VALUE__V_SET);
	Ltpb__TextSet *s = lt_arena_alloc(a->arena, sizeof(*s));

	if (fs == NULL || s == NULL) {
		a->failed = true;
		return;
	}
	ltpb__text_set__init(s);
	s->n_item = n;
	s->item = words;
	fs->value->set = s;
	a->set[a->n++] = fs;
}

static const char *
role_word(Ltpb__Role r)
{
	return r == LTPB__ROLE__ROLE_NODE         ? "node"
	       : r == LTPB__ROLE__ROLE_DEPARTMENT ? "department"
						  : "operator";
}

static void
fill_acts(struct act act[3], const struct asker *a, const Ltpb__Grant *g)
{
	char hex[2 * LT_ID_LEN + 1];

	lt_hex(hex, a->principal.b, LT_ID_LEN);
	(void)snprintf(act[0].key, sizeof(act[0].key), "%s", hex);
	act_text(&act[0], "role", role_word(a->role), LTPB__VALUE__V_ENUMERATION);
	act_text(&act[0], "unit", a->unit.s, LTPB__VALUE__V_TEXT);
	act_text(&act[0], "org", a->org, LTPB__VALUE__V_TEXT);
	act_text(&act[0], "label", a->label, LTPB__VALUE__V_TEXT);
	act_text(&act[0], "state", "active", LTPB__VALUE__V_ENUMERATION);
	(void)snprintf(act[1].key, sizeof(act[1].key), "%s/1", hex);
	act_bytes(&act[1], "sign_key", a->sign_key, 32);
	act_bytes(&act[1], "line_key", a->line_key, 32);
	act_text(&act[1], "state", "active", LTPB__VALUE__V_ENUMERATION);
	(void)snprintf(act[2].key, sizeof(act[2].key), "%s/1", hex);
	act_set(&act[2], "verbs", g->verbs, g->n_verbs);
	act_set(&act[2], "units", g->units, g->n_units);
	act_set(&act[2], "collections", g->collections, g->n_collections);
	act_set(&act[2], "fields", g->fields, g->n_fields);
	act_text(&act[2], "state", "active", LTPB__VALUE__V_ENUMERATION);
}

static int
enter_registry(struct lt_enrol *e, const struct asker *a, struct lt_err *err)
{
	static const char *const collections[3] = { "_registry", "_key", "_grant" };
	struct lt_unit federation = { "_" };
	struct lt_write w[3];
	struct act act[3];
	struct lt_arena arena;
	Ltpb__Grant *grant;
	size_t i;
	int rc;

	lt_arena_init(&arena, ENROL_ARENA);
	memset(act, 0, sizeof(act));
	memset(w, 0, sizeof(w));
	for (i = 0; i < 3; i++)
		act[i].arena = &arena;
	rc = lt_grant_read(lt_slice(a->grant.data, a->grant.len), &arena, &grant);
	if (rc == LT_OK)
		fill_acts(act, a, grant);
	for (i = 0; i < 3; i++) {
		if (act[i].failed)
			rc = LT_E_NOMEM;
		w[i].collection = collections[i];
		w[i].key = act[i].key;
		w[i].set = act[i].set;
		w[i].nset = act[i].n;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	if (rc == LT_OK)
		rc = lt_hub_write(e->h, &federation, w, 3, &arena, err);
	for (i = 0; rc == LT_OK && i < 3; i++)
		if (w[i].rc != LT_OK)
			rc = lt_err_set(err, w[i].rc, "the registry does not take it: %s",
			    w[i].violation.message);
	lt_arena_fini(&arena);
	return rc;
}

/* Is one in whom the list calls waiting? The registry in memory may be behind the log. */
static int
check_reject(struct lt_enrol *e, struct asker *now, struct lt_err *err)
{
	int rc = lt_hub_wait_projected(e->h, lt_hub_log_position(e->h), REGISTRY_MS);

	if (rc != LT_OK)
		return lt_err_set(err, LT_E_UNAVAILABLE,
		    "the hub's tables do not show yet who is in; try again later");
	if (!in_registry(e, now))
		return LT_OK;
	rc = set_answer(e, now, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "");
	return rc != LT_OK ? rc
			   : lt_err_set(err, LT_E_CONFLICT,
				 "this enrolment has been approved already; revoke it instead");
}

static int
answer_locked(struct lt_enrol *e, const struct lt_id *principal, Ltpb__PrincipalState state,
    const char *reason, struct lt_err *err)
{
	struct asker *a, now;
	int rc;

	pthread_mutex_lock(&e->mx);
	a = find_principal(e, principal);
	rc = a == NULL ? lt_err_set(err, LT_E_NOTFOUND, "nobody with this id has asked to join")
		       : LT_OK;
	if (rc == LT_OK)
		now = *a;
	pthread_mutex_unlock(&e->mx);
	if (rc != LT_OK || now.state == state)
		return rc;
	if (now.state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING)
		return lt_err_set(err, LT_E_CONFLICT, "this enrolment has been answered already");
	if (state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		rc = enter_registry(e, &now, err);
	else
		rc = check_reject(e, &now, err);
	return rc == LT_OK ? set_answer(e, &now, state, reason) : rc;
}

/* Approved and rejected at the same moment must not both go through. */
static int
answer(struct lt_enrol *e, const struct lt_id *principal, Ltpb__PrincipalState state,
    const char *reason, struct lt_err *err)
{
	int rc;

	pthread_mutex_lock(&e->answer_mx);
	rc = answer_locked(e, principal, state, reason, err);
	pthread_mutex_unlock(&e->answer_mx);
	return rc;
}

int
lt_enrol_approve(struct lt_enrol *e, const struct lt_id *principal, struct lt_err *err)
{
	return answer(e, principal, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "", err);
}

/* In NFC; it is shown on terminals. */
static int
take_reason(const char *text, char out[LT_ENROL_REASON_MAX + 1], struct lt_err *err)
{
	struct lt_buf nfc;
	size_t i;
	bool good;

	lt_buf_init(&nfc, 4096);
	good = lt_text_nfc(&nfc, lt_slice_str(text), NULL) == LT_OK && nfc.err == LT_OK &&
	       nfc.len <= LT_ENROL_REASON_MAX;
	for (i = 0; good && i < nfc.len; i++)
		good = nfc.data[i] >= 0x20 && nfc.data[i] != 0x7f;
	if (good)
		lt_slice_to_text(out, LT_ENROL_REASON_MAX + 1, lt_buf_slice(&nfc));
	lt_buf_fini(&nfc);
	return good ? LT_OK
		    : lt_err_set(err, LT_E_INVALID,
			  "a reason is one line of at most %d bytes of text", LT_ENROL_REASON_MAX);
}

int
lt_enrol_reject(
    struct lt_enrol *e, const struct lt_id *principal, const char *reason, struct lt_err *err)
{
	char text[LT_ENROL_REASON_MAX + 1] = "";
	int rc = take_reason(reason, text, err);

	return rc == LT_OK ? answer(e, principal, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED,
				 text, err)
			   : rc;
}

void
lt_enrol_reason(struct lt_enrol *e, const uint8_t line_key[32], char out[LT_ENROL_REASON_MAX + 1])
{
	const struct asker *a;

	out[0] = '\0';
	pthread_mutex_lock(&e->mx);
	a = find_line_key(e, line_key);
	if (a != NULL)
		memcpy(out, a->reason, sizeof(a->reason));
	pthread_mutex_unlock(&e->mx);
}

static int
to_message(struct lt_enrol *e, const struct asker *a, struct lt_arena *arena, Ltpb__Enrolment **out)
{
	Ltpb__Enrolment *m = lt_arena_alloc(arena, sizeof(*m));
	struct lt_buf words;
	int rc;

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__enrolment__init(m);
	lt_buf_init(&words, 256);
	lt_fingerprint(
	    &lt_hub_identity(e->h)->federation, &a->principal, a->sign_key, a->line_key, &words);
	m->principal.data = lt_arena_dup(arena, a->principal.b, LT_ID_LEN);
	m->principal.len = LT_ID_LEN;
	m->role = a->role;
	m->unit = lt_arena_dup(arena, a->unit.s, strlen(a->unit.s));
	m->org = lt_arena_dup(arena, a->org, strlen(a->org));
	m->label = lt_arena_dup(arena, a->label, strlen(a->label));
	m->fingerprint = lt_arena_dup(arena, words.data, words.len);
	m->address = lt_arena_dup(arena, a->address, strlen(a->address));
	m->asked_ms = a->asked_ms;
	m->state = a->state;
	m->reason = lt_arena_dup(arena, a->reason, strlen(a->reason));
	lt_buf_fini(&words);
	*out = m;
	rc = lt_grant_read(lt_slice(a->grant.data, a->grant.len), arena, &m->grant);
	if (rc != LT_OK)
		return rc;
	return m->principal.data == NULL || m->unit == NULL || m->org == NULL || m->label == NULL ||
		       m->fingerprint == NULL || m->address == NULL || m->reason == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

int
lt_enrol_list(struct lt_enrol *e, struct lt_arena *arena, Ltpb__Enrolment ***out, size_t *n)
{
	size_t i;
	int rc = LT_OK;

	pthread_mutex_lock(&e->mx);
	*out = lt_arena_alloc(arena, (e->nasker + 1) * sizeof(**out));
	*n = 0;
	if (*out == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < e->nasker; i++) {
		rc = to_message(e, &e->asker[i], arena, &(*out)[i]);
		*n = i + 1;
	}
	pthread_mutex_unlock(&e->mx);
	return rc;
}

int
lt_enrol_find(struct lt_enrol *e, const struct lt_id *principal, struct lt_arena *arena,
    Ltpb__Enrolment **out)
{
	struct asker *a;
	int rc;

	pthread_mutex_lock(&e->mx);
	a = find_principal(e, principal);
	rc = a == NULL ? LT_E_NOTFOUND : to_message(e, a, arena, out);
	pthread_mutex_unlock(&e->mx);
	return rc;
}

struct lt_alarms *
lt_enrol_alarms(struct lt_enrol *e)
{
	return e->alarms;
}
