#include "hub/enrol.h"
#include "hub/alarm.h"
#include "hub/grant.h"
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/feed/trust.h"
#include "proto/store/access.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKERS_MAX 4096
#define ENROL_ARENA ((size_t)8 * 1024 * 1024)
#define LISTED_BYTES ((size_t)768 * 1024) /* of those in one reply, beside alarms */
#define LISTED_BESIDE 192 /* name of the unit, and the bytes around one */
#define LISTED_KEPT ((size_t)256 * 1024)
#define ROW_VERSION 2
#define INVITATION_VERSION 3 /* of one that an operator made */
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

/* What became of an invitation, in its row. */
enum use { USE_NONE = 0, USE_USED = 1, USE_CANCELLED = 2 };

/* An invitation at rest: key is the token's hash. */
struct invitation {
	struct lt_hash token;
	int64_t expires_s;
	Ltpb__Role role;
	struct lt_unit unit;
	char org[LT_NAME_MAX + 1];
	char label[LT_NAME_MAX + 1];
	bool auto_approve;
	bool used, cancelled;
	struct lt_id by;
	struct grant grant;
	bool issued; /* by an operator; else at the hub's own machine, and issuer is zeros */
	struct lt_issuer issuer;
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

	out[0] = '\0';
	lt_buf_init(&nfc, 4096);
	if (lt_text_nfc(&nfc, lt_slice_str(text), NULL) == LT_OK && nfc.err == LT_OK)
		(void)lt_text_copy(out, cap, lt_buf_slice(&nfc));
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
	lt_buf_u8(b, i->issued ? INVITATION_VERSION : ROW_VERSION);
	lt_buf_u64(b, (uint64_t)i->expires_s);
	lt_buf_u8(b, (uint8_t)i->role);
	lt_buf_framed8(b, lt_slice_str(i->unit.s));
	lt_buf_framed8(b, lt_slice_str(i->org));
	lt_buf_framed8(b, lt_slice_str(i->label));
	lt_buf_u8(b, i->auto_approve);
	lt_buf_u8(b, i->cancelled ? USE_CANCELLED : i->used ? USE_USED : USE_NONE);
	lt_buf_put(b, i->by.b, LT_ID_LEN);
	lt_buf_framed(b, lt_slice(i->grant.data, i->grant.len));
	if (!i->issued)
		return;
	lt_buf_put(b, i->issuer.principal.b, LT_ID_LEN);
	lt_buf_put(b, i->issuer.line_key, 32);
}

/* LT_E_CORRUPT: cut off. */
static int
get_issuer(struct lt_reader *r, struct invitation *i)
{
	struct lt_slice id = lt_read_bytes(r, LT_ID_LEN), line = lt_read_bytes(r, 32);

	if (r->err != LT_OK)
		return LT_E_CORRUPT;
	i->issued = true;
	memcpy(i->issuer.principal.b, id.data, LT_ID_LEN);
	memcpy(i->issuer.line_key, line.data, 32);
	return LT_OK;
}

static int
get_invitation(struct lt_slice k, struct lt_slice v, struct invitation *i)
{
	struct lt_slice unit, id;
	struct lt_reader r;
	uint8_t version, use;
	int rc;

	memset(i, 0, sizeof(*i));
	memcpy(i->token.b, k.data, LT_HASH_LEN);
	lt_reader_init(&r, v);
	version = lt_read_u8(&r);
	if (version < 1 || version > INVITATION_VERSION)
		return LT_E_CORRUPT;
	i->expires_s = (int64_t)lt_read_u64(&r);
	i->role = (Ltpb__Role)lt_read_u8(&r);
	unit = lt_read_framed8(&r);
	lt_slice_to_text(i->org, sizeof(i->org), lt_read_framed8(&r));
	lt_slice_to_text(i->label, sizeof(i->label), lt_read_framed8(&r));
	i->auto_approve = lt_read_u8(&r) != 0;
	use = lt_read_u8(&r);
	i->used = use == USE_USED;
	i->cancelled = use == USE_CANCELLED;
	id = lt_read_bytes(&r, LT_ID_LEN);
	if (r.err != LT_OK || use > USE_CANCELLED ||
	    (unit.len != 0 && lt_unit_set(&i->unit, unit) != LT_OK))
		return LT_E_CORRUPT;
	memcpy(i->by.b, id.data, LT_ID_LEN);
	rc = get_grant(&r, version, i->role, &i->grant);
	return rc == LT_OK && version == INVITATION_VERSION ? get_issuer(&r, i) : rc;
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
	const struct lt_id *left; /* who asked and makes room; NULL: nobody */
	const struct invitation *invitation; /* NULL: not */
	const struct asker *asker;
	/* out */
	bool voided; /* it was to be used, and is gone: nothing is written */
};

/* A hub that found itself in doubt (recovery.h) voided what was open, as it may have been used since: the list has it, and the store does
 * not any more. */
static bool
is_gone(struct lt_kv_txn *txn, const struct invitation *i)
{
	struct lt_slice v;

	return lt_kv_get(txn, LT_T_ENROL, lt_slice(i->token.b, LT_HASH_LEN), &v) == LT_E_NOTFOUND;
}

static void
asker_key(const struct lt_id *principal, uint8_t key[1 + LT_ID_LEN])
{
	key[0] = 'p';
	memcpy(key + 1, principal->b, LT_ID_LEN);
}

static int
delete_row(struct lt_kv_txn *txn, struct lt_slice key)
{
	int rc = lt_kv_del(txn, LT_T_ENROL, key);

	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
run_save(struct lt_kv_txn *txn, void *ctx)
{
	struct save_job *j = ctx;
	uint8_t key[1 + LT_ID_LEN];
	struct lt_buf b;
	int rc = LT_OK;

	j->voided = j->invitation != NULL && j->invitation->used && is_gone(txn, j->invitation);
	if (j->voided)
		return LT_OK;
	lt_buf_init(&b, ROW_MAX);
	if (j->gone != NULL)
		rc = delete_row(txn, lt_slice(j->gone->b, LT_HASH_LEN));
	if (rc == LT_OK && j->left != NULL) {
		asker_key(j->left, key);
		rc = delete_row(txn, lt_slice(key, sizeof(key)));
	}
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
		asker_key(&j->asker->principal, key);
		rc = b.err != LT_OK
			 ? b.err
			 : lt_kv_put(txn, LT_T_ENROL, lt_slice(key, sizeof(key)), lt_buf_slice(&b));
	}
	lt_buf_fini(&b);
	return rc;
}

/* LT_E_REFUSED: the invitation that was used is void. */
static int
save(struct lt_enrol *e, const struct lt_hash *gone, const struct lt_id *left,
    const struct invitation *i, const struct asker *a)
{
	struct save_job j = { .gone = gone, .left = left, .invitation = i, .asker = a };
	int rc = lt_writer_run(lt_hub_writer(e->h), run_save, &j);

	return rc == LT_OK && j.voided ? LT_E_REFUSED : rc;
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

/* In any state: what was decided about it since is not this list's to change. */
static bool
registry_has(const struct lt_registry *reg, const struct lt_id *principal)
{
	const struct lt_principal *who = lt_registry_find(reg, principal);

	return who != NULL && who->nkey != 0;
}

/* The registry is written before the list: after a power cut in between, one is in who still stands here as waiting. */
static bool
in_registry(struct lt_enrol *e, const struct asker *a)
{
	struct lt_registry *reg = lt_hub_registry(e->h);
	bool is = registry_has(reg, &a->principal);

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
	rc = save(e, NULL, NULL, NULL, now);
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
	/* A used one counts: who comes with it is the one who tells us that somebody else came before. So does one that
	 * expired a while ago: who comes too late is to hear that. */
	for (i = 0; i < e->ninvitation && !in && !out; i++)
		out = e->invitation[i].expires_s + LT_INVITATION_LATE_S > now_s;
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
			return lt_err_both(err, LT_E_INVALID,
			    "a node needs the five-digit code of its commune, not '%.16s'",
			    "máy của xã cần mã xã năm chữ số, không phải '%.16s'; hãy xem mã bằng "
			    "'ltctl list _unit --unit _'",
			    req->unit);
		return lt_grant_commune(e->h, &i->unit, err);
	case LTPB__ROLE__ROLE_DEPARTMENT:
		cat = lt_hub_catalogue(e->h);
		known = strlen(req->org) <= LT_NAME_MAX && lt_catalogue_org(cat, req->org) != NULL;
		lt_catalogue_unref(cat);
		if (!known)
			return lt_err_both(err, LT_E_INVALID,
			    "the catalogue has no organisation '%.64s'",
			    "danh mục không có cơ quan '%.64s'; hãy xem lại tên", req->org);
		lt_slice_to_text(i->org, sizeof(i->org), lt_slice_str(req->org));
		return LT_OK;
	case LTPB__ROLE__ROLE_OPERATOR:
	case LTPB__ROLE__ROLE_MIRROR:
		return LT_OK;
	default:
		return lt_err_both(err, LT_E_INVALID,
		    "only nodes, departments, operators and mirrors are invited",
		    "chỉ mời được máy của xã, sở ngành, người vận hành và máy chủ bản sao; hãy nêu "
		    "một trong số đó");
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

/* The place for one more: at the end, or of one that nobody can come with any more. With change_mx and mx held: answers are
 * written with mx alone. */
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
		if (i->used || i->cancelled || i->expires_s <= now_s)
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
	pthread_mutex_lock(&e->mx);
	k = free_place(e, now_s);
	pthread_mutex_unlock(&e->mx);
	if (k == LT_INVITATIONS_OPEN_MAX)
		rc = lt_err_both(err, LT_E_UNAVAILABLE,
		    "too many open invitations; wait until some are used or expire",
		    "đã có quá nhiều thư mời chưa dùng; hãy chờ một số thư được dùng hoặc hết hạn, "
		    "hoặc hủy bớt");
	if (rc == LT_OK)
		rc = save(e, k < e->ninvitation ? &e->invitation[k].token : NULL, NULL, i, NULL);
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
	return lt_enrol_invite_by(e, NULL, req, addresses, naddress, line, expires_s, err);
}

int
lt_enrol_invite_by(struct lt_enrol *e, const struct lt_issuer *issuer,
    const Ltpb__InviteRequest *req, const char *const *addresses, size_t naddress,
    struct lt_buf *line, int64_t *expires_s, struct lt_err *err)
{
	struct invitation i = { .auto_approve = req->auto_approve, .issued = issuer != NULL };
	uint64_t life = req->expires_in_s == 0 ? LT_INVITATION_DEFAULT_S : req->expires_in_s;
	int64_t now_s = lt_wall_ms(lt_hub_clock(e->h)) / 1000;
	uint8_t token[16];
	int rc = check_invite(e, req, &i, err);

	if (rc == LT_OK && life > LT_INVITATION_MAX_S)
		rc = lt_err_both(err, LT_E_INVALID, "an invitation lives at most %d days",
		    "thư mời có hiệu lực nhiều nhất %d ngày; hãy đặt --expires ngắn hơn",
		    LT_INVITATION_MAX_S / 86400);
	if (rc != LT_OK)
		goto out;
	if (issuer != NULL)
		i.issuer = *issuer;
	i.expires_s = now_s + (int64_t)life;
	randombytes_buf(token, sizeof(token));
	lt_h1(LT_TAG_TOKEN, lt_slice(token, sizeof(token)), &i.token);
	rc = invitation_line(e, &i, token, addresses, naddress, line);
	sodium_memzero(token, sizeof(token));
	if (rc != LT_OK) {
		rc = lt_err_both(err, rc, "the invitation does not fit a line: %s",
		    "thư mời không vừa một dòng (%s); hãy bớt địa chỉ hoặc rút ngắn tên",
		    lt_strerror(rc));
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

/* Void is cancelled, in the list as well. With change_mx held. */
static void
set_void(struct lt_enrol *e, struct invitation *i)
{
	pthread_mutex_lock(&e->mx);
	i->cancelled = true;
	pthread_mutex_unlock(&e->mx);
}

/* Is it void since, or (NULL) which of all are? What cannot be read now stays as it is: who comes with it hears it when it is written. With
 * change_mx held: all in the list is on disk. */
static void
note_void(struct lt_enrol *e, struct invitation *one)
{
	struct invitation *i = one != NULL ? one : e->invitation;
	size_t n = one != NULL ? 1 : e->ninvitation;
	struct lt_kv_txn *txn;

	if (lt_kv_begin_read(lt_hub_log(e->h), &txn) != LT_OK)
		return;
	for (; n != 0; n--, i++)
		if (!i->used && !i->cancelled && is_gone(txn, i))
			set_void(e, i);
	lt_kv_abort(txn);
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
	/* Answered long ago, and its place in the list taken since: its keys are not here to compare. */
	if ((*inv)->used && lt_id_eq(&(*inv)->by, &id) && find_principal(e, &id) == NULL)
		return lt_err_set(err, LT_E_EXISTS, "this id has asked and was answered long ago");
	if ((*inv)->used) {
		raise_alarm(e, *inv, address);
		return lt_err_set(err, LT_E_CONFLICT, "another machine has used the invitation");
	}
	note_void(e, *inv);
	if ((*inv)->cancelled)
		return lt_err_set(err, LT_E_CANCELLED, "the invitation was cancelled");
	if ((*inv)->expires_s <= now_s)
		return lt_err_set(err, LT_E_TIMEOUT, "the invitation has expired");
	reg = lt_hub_registry(e->h);
	taken = lt_registry_find(reg, &id) != NULL || lt_registry_knows_line(reg, line_key) ||
		find_principal(e, &id) != NULL || find_line_key(e, line_key) != NULL;
	lt_registry_unref(reg);
	return taken ? lt_err_set(err, LT_E_EXISTS, "this id or key is known already") : LT_OK;
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

/* What the store or the registry said is not about the invitation, whose answers have codes of their own. */
static int
not_now(int rc)
{
	return rc == LT_E_TIMEOUT || rc == LT_E_CANCELLED || rc == LT_E_EXISTS ||
		       rc == LT_E_CONFLICT
		   ? LT_E_UNAVAILABLE
		   : rc;
}

/* The place for one more who asks: at the end, or of the one that asked longest ago of those who were refused or are in the
 * registry by now; ASKERS_MAX: everybody waits. With change_mx held. */
static size_t
asker_place(struct lt_enrol *e)
{
	struct lt_registry *reg;
	size_t k, best = ASKERS_MAX;

	if (e->nasker < ASKERS_MAX)
		return e->nasker;
	reg = lt_hub_registry(e->h);
	pthread_mutex_lock(&e->mx);
	for (k = 0; k < e->nasker; k++) {
		const struct asker *a = &e->asker[k];

		if (best != ASKERS_MAX && a->asked_ms >= e->asker[best].asked_ms)
			continue;
		if (a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED ||
		    (a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
			registry_has(reg, &a->principal)))
			best = k;
	}
	pthread_mutex_unlock(&e->mx);
	lt_registry_unref(reg);
	return best;
}

/* On disk, then in the lists: the invitation is used, and who used it waits. With change_mx held. */
static int
take_in(struct lt_enrol *e, struct invitation *inv, struct asker *fresh, struct lt_err *err)
{
	struct invitation used = *inv;
	size_t k = asker_place(e);
	uint8_t *old;
	int rc;

	if (k == ASKERS_MAX)
		return lt_err_set(err, LT_E_UNAVAILABLE,
		    "too many wait for an answer; approve or reject some of them");
	used.used = true;
	used.by = fresh->principal;
	rc = own_grant(lt_slice(inv->grant.data, inv->grant.len), &fresh->grant);
	if (rc != LT_OK)
		return rc;
	rc = save(e, NULL, k < e->nasker ? &e->asker[k].principal : NULL, &used, fresh);
	if (rc != LT_OK)
		free(fresh->grant.data);
	if (rc == LT_E_REFUSED) {
		set_void(e, inv);
		return lt_err_set(err, LT_E_CANCELLED, "the invitation was cancelled");
	}
	if (rc != LT_OK)
		return not_now(rc);
	pthread_mutex_lock(&e->mx);
	old = e->asker[k].grant.data; /* NULL where the place is new */
	*inv = used;
	e->asker[k] = *fresh;
	e->nasker += k == e->nasker;
	pthread_mutex_unlock(&e->mx);
	free(old);
	return LT_OK;
}

static void
describe(struct lt_enrol *e, const struct invitation *inv, const Ltpb__JoinRequest *req,
    const uint8_t line_key[32], const char *address, struct asker *fresh)
{
	fresh->role = inv->role;
	fresh->unit = inv->unit;
	memcpy(fresh->org, inv->org, sizeof(fresh->org));
	copy_label(
	    fresh->label, sizeof(fresh->label), inv->label[0] != '\0' ? inv->label : req->label);
	memcpy(fresh->sign_key, req->sign_key.data, 32);
	memcpy(fresh->line_key, line_key, 32);
	lt_slice_to_text(fresh->address, sizeof(fresh->address), lt_slice_str(address));
	fresh->asked_ms = lt_wall_ms(lt_hub_clock(e->h));
}

static int answer(struct lt_enrol *e, const struct lt_id *principal, Ltpb__PrincipalState state,
    const char *reason, const struct lt_issuer *issuer, struct lt_err *err);

/* As the invitation says, without a person; where its issuer may not give this any more, a person decides. */
static int
approve_at_once(struct lt_enrol *e, const struct invitation *inv, const struct lt_id *principal,
    bool first, Ltpb__PrincipalState *state, struct lt_err *err)
{
	char hex[2 * LT_ID_LEN + 1];
	int rc = answer(e, principal, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "",
	    inv->issued ? &inv->issuer : NULL, err);

	if (rc == LT_OK)
		*state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	if (rc != LT_E_REFUSED || !inv->issued)
		return not_now(rc);
	lt_hex(hex, inv->issuer.principal.b, LT_ID_LEN);
	if (first)
		lt_warn("who came with an invitation of operator %s is not approved at once, but "
			"waits for an answer: %s",
		    hex, err->text);
	return LT_OK;
}

int
lt_enrol_join(struct lt_enrol *e, const Ltpb__JoinRequest *req, const uint8_t line_key[32],
    const char *address, Ltpb__PrincipalState *state, struct lt_err *err)
{
	struct invitation *inv, made = { .expires_s = 0 };
	struct asker *a, fresh = { .state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING };
	bool approve, first;
	int rc;

	if (req->token.len != 16 || req->principal.len != LT_ID_LEN || req->sign_key.len != 32)
		return lt_err_set(err, LT_E_DENIED, "malformed");
	memcpy(fresh.principal.b, req->principal.data, LT_ID_LEN);
	/* The lists stand still while change_mx is held; mx is for those who only look. */
	pthread_mutex_lock(&e->change_mx);
	rc = check_join(e, req, line_key, address, &inv, err);
	first = rc == LT_OK && !inv->used;
	if (first) {
		describe(e, inv, req, line_key, address, &fresh);
		rc = take_in(e, inv, &fresh, err);
	}
	if (rc != LT_OK)
		say_refused(e, address, err);
	else
		made = *inv;
	pthread_mutex_lock(&e->mx); /* an answer may be given meanwhile */
	a = rc == LT_OK ? find_principal(e, &fresh.principal) : NULL;
	if (a != NULL)
		*state = a->state;
	approve = a != NULL && made.auto_approve &&
		  a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING;
	pthread_mutex_unlock(&e->mx);
	pthread_mutex_unlock(&e->change_mx);
	if (rc == LT_OK && a == NULL)
		return lt_err_set(
		    err, LT_E_CORRUPT, "an invitation is spent by somebody who is not on the list");
	return approve ? approve_at_once(e, &made, &fresh.principal, first, state, err) : rc;
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
	       : r == LTPB__ROLE__ROLE_MIRROR     ? "mirror"
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

struct entering {
	struct lt_enrol *e;
	const struct asker *a;
	struct lt_err *err;
};

/* Since it asked, a machine that is in may have taken the same line as its next one. */
static int
check_line(struct lt_kv_txn *log, void *ctx)
{
	const struct entering *w = ctx;
	struct lt_registry *reg = lt_hub_registry(w->e->h);
	int rc = LT_OK;

	(void)log;
	if (lt_registry_knows_line(reg, w->a->line_key) && !in_registry(w->e, w->a))
		rc = lt_err_both(w->err, LT_E_CONFLICT,
		    "the key of its line is somebody's in the registry: it must join anew, with "
		    "new keys",
		    "khóa đường truyền của máy này đã thuộc về một máy khác; máy phải xin lại với "
		    "khóa mới và thư mời mới");
	lt_registry_unref(reg);
	return rc;
}

static int
enter_registry(struct lt_enrol *e, const struct asker *a, struct lt_err *err)
{
	static const char *const collections[3] = { "_registry", "_key", "_grant" };
	struct entering entering = { e, a, err };
	struct lt_unit federation = { "_" };
	struct lt_write w[3];
	struct act act[3];
	struct lt_arena arena;
	Ltpb__Grant *grant;
	uint64_t position;
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
		rc = lt_hub_write_prepared(
		    e->h, &federation, w, 3, &arena, check_line, &entering, &position, err);
	for (i = 0; rc == LT_OK && i < 3; i++)
		if (w[i].rc != LT_OK)
			rc = lt_err_set(err, w[i].rc, "the registry does not take it: %s",
			    w[i].violation.message);
	lt_arena_fini(&arena);
	return rc;
}

/* May who made the invitation still give this, by the registry as it is now? Its key counts, too: one that was taken away made
 * what is not wanted. */
static bool
still_gives(struct lt_enrol *e, const struct lt_issuer *issuer, const struct asker *a)
{
	struct lt_registry *reg = lt_hub_registry(e->h);
	const struct lt_principal *p = lt_registry_by_line_key(reg, issuer->line_key);
	struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL, .principal = p };
	bool may = p != NULL && lt_id_eq(&p->id, &issuer->principal);
	struct lt_arena arena;
	Ltpb__Grant *g;
	size_t i;

	lt_arena_init(&arena, ENROL_ARENA);
	for (i = 0; may && i < p->nkey; i++)
		may = memcmp(p->key[i].line_key, issuer->line_key, 32) != 0 ||
		      !lt_hub_barred(e->h, &p->id, p->key[i].no);
	may = may && lt_grant_read(lt_slice(a->grant.data, a->grant.len), &arena, &g) == LT_OK;
	if (may) {
		const struct lt_grant given = { .nverb = g->n_verbs,
			.nunit = g->n_units,
			.ncollection = g->n_collections,
			.nfield = g->n_fields,
			.verb = (const char **)g->verbs,
			.unit = (const char **)g->units,
			.collection = (const char **)g->collections,
			.field = (const char **)g->fields };

		may = lt_access_give(&who, a->role, &a->unit, &given);
	}
	lt_arena_fini(&arena);
	lt_registry_unref(reg);
	return may;
}

/* Approved before, though the list calls it waiting: what was decided about it since stays. */
static int
answer_known(struct lt_enrol *e, struct asker *now, Ltpb__PrincipalState state, struct lt_err *err)
{
	int rc = set_answer(e, now, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "");

	if (rc != LT_OK || state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		return rc;
	return lt_err_both(err, LT_E_CONFLICT,
	    "this enrolment has been approved already; revoke it instead",
	    "máy này đã được chấp nhận rồi; nếu không muốn nữa thì hãy thu hồi bằng 'ltctl keys "
	    "revoke'");
}

/* issuer: of an invitation that says to approve at once; NULL: a person answers. LT_E_REFUSED: it may not give this now. */
static int
answer_locked(struct lt_enrol *e, const struct lt_id *principal, Ltpb__PrincipalState state,
    const char *reason, const struct lt_issuer *issuer, struct lt_err *err)
{
	struct asker *a, now;
	int rc;

	pthread_mutex_lock(&e->mx);
	a = find_principal(e, principal);
	rc = a == NULL
		 ? lt_err_both(err, LT_E_NOTFOUND, "nobody with this id has asked to join",
		       "không có máy nào mang mã này xin tham gia; hãy xem 'ltctl enrol list'")
		 : LT_OK;
	if (rc == LT_OK)
		now = *a;
	pthread_mutex_unlock(&e->mx);
	if (rc != LT_OK || now.state == state)
		return rc;
	if (now.state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING)
		return lt_err_both(err, LT_E_CONFLICT, "this enrolment has been answered already",
		    "máy này đã được trả lời rồi; hãy xem 'ltctl enrol list', nếu cần thì thu hồi "
		    "máy hoặc mời lại");
	/* The registry in memory may be behind the log. */
	if (lt_hub_wait_projected(e->h, lt_hub_log_position(e->h), REGISTRY_MS) != LT_OK)
		return lt_err_both(err, LT_E_UNAVAILABLE,
		    "the hub's tables do not show yet who is in; try again later",
		    "các bảng của đầu mối chưa cho biết ai đã vào; hãy thử lại sau");
	if (in_registry(e, &now))
		return answer_known(e, &now, state, err);
	if (issuer != NULL && !still_gives(e, issuer, &now))
		return lt_err_set(err, LT_E_REFUSED, "who invited may not give this any more");
	if (state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		rc = enter_registry(e, &now, err);
	return rc == LT_OK ? set_answer(e, &now, state, reason) : rc;
}

/* Approved and rejected at the same moment must not both go through. */
static int
answer(struct lt_enrol *e, const struct lt_id *principal, Ltpb__PrincipalState state,
    const char *reason, const struct lt_issuer *issuer, struct lt_err *err)
{
	int rc;

	pthread_mutex_lock(&e->answer_mx);
	rc = answer_locked(e, principal, state, reason, issuer, err);
	pthread_mutex_unlock(&e->answer_mx);
	return rc;
}

int
lt_enrol_approve(struct lt_enrol *e, const struct lt_id *principal, struct lt_err *err)
{
	return answer(e, principal, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE, "", NULL, err);
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
		    : lt_err_both(err, LT_E_INVALID,
			  "a reason is one line of at most %d bytes of text",
			  "lý do là một dòng chữ, dài nhất %d byte; hãy viết ngắn lại",
			  LT_ENROL_REASON_MAX);
}

int
lt_enrol_reject(
    struct lt_enrol *e, const struct lt_id *principal, const char *reason, struct lt_err *err)
{
	char text[LT_ENROL_REASON_MAX + 1] = "";
	int rc = take_reason(reason, text, err);

	return rc == LT_OK ? answer(e, principal, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED,
				 text, NULL, err)
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

struct listing {
	struct lt_enrol *e;
	lt_enrol_want_fn *want;
	void *ctx;
	struct lt_arena *arena, one;
	size_t n, room; /* bytes left */
	struct listed {
		size_t at;
		bool waits;
		int64_t asked_ms;
		Ltpb__Enrolment *m; /* NULL: not listed */
	} * v;
	bool more;
};

static int
who_first(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->waits != y->waits)
		return x->waits ? -1 : 1;
	if (x->asked_ms != y->asked_ms)
		return x->asked_ms > y->asked_ms ? -1 : 1;
	return (x->at < y->at) - (x->at > y->at);
}

static int
by_place(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* With mx held for this one alone: the door looks at the list, too. */
static int
list_one(struct listing *l, struct listed *to)
{
	const struct asker *a;
	Ltpb__Enrolment *m;
	size_t size = 0;
	int rc;

	lt_arena_recycle(&l->one, LISTED_KEPT);
	pthread_mutex_lock(&l->e->mx);
	a = &l->e->asker[to->at];
	rc = to_message(l->e, a, &l->one, &m);
	if (rc == LT_OK && (l->want == NULL || l->want(l->ctx, m))) {
		size = ltpb__enrolment__get_packed_size(m) + LISTED_BESIDE;
		l->more |= size > l->room;
		if (!l->more)
			rc = to_message(l->e, a, l->arena, &to->m);
	}
	pthread_mutex_unlock(&l->e->mx);
	l->room -= l->more ? 0 : size;
	return rc;
}

static int
list_all(struct listing *l)
{
	size_t i;
	int rc = LT_OK;

	pthread_mutex_lock(&l->e->mx);
	l->n = l->e->nasker;
	l->v = lt_arena_alloc(l->arena, (l->n + 1) * sizeof(*l->v));
	for (i = 0; l->v != NULL && i < l->n; i++) {
		const struct asker *a = &l->e->asker[i];

		l->v[i].at = i;
		l->v[i].waits = a->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING;
		l->v[i].asked_ms = a->asked_ms;
	}
	pthread_mutex_unlock(&l->e->mx);
	if (l->v == NULL)
		return LT_E_NOMEM;
	qsort(l->v, l->n, sizeof(*l->v), who_first);
	for (i = 0; rc == LT_OK && i < l->n && !l->more; i++)
		rc = list_one(l, &l->v[i]);
	qsort(l->v, l->n, sizeof(*l->v), by_place);
	return rc;
}

int
lt_enrol_list(struct lt_enrol *e, lt_enrol_want_fn *want, void *ctx, struct lt_arena *arena,
    Ltpb__Enrolment ***out, size_t *n, bool *more)
{
	struct listing l = {
		.e = e, .want = want, .ctx = ctx, .arena = arena, .room = LISTED_BYTES
	};
	size_t i;
	int rc;

	*n = 0;
	lt_arena_init(&l.one, ENROL_ARENA);
	rc = list_all(&l);
	lt_arena_fini(&l.one);
	*out = lt_arena_alloc(arena, (l.n + 1) * sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < l.n; i++)
		if (l.v[i].m != NULL)
			(*out)[(*n)++] = l.v[i].m;
	*more = l.more;
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

/* ---- invitations that are out ---- */

static Ltpb__InvitationState
state_of(const struct invitation *i, int64_t now_s)
{
	return i->used                ? LTPB__INVITATION_STATE__INVITATION_STATE_USED
	       : i->cancelled         ? LTPB__INVITATION_STATE__INVITATION_STATE_CANCELLED
	       : i->expires_s > now_s ? LTPB__INVITATION_STATE__INVITATION_STATE_OPEN
				      : LTPB__INVITATION_STATE__INVITATION_STATE_EXPIRED;
}

/* With mx held. */
static int
invitation_message(struct lt_enrol *e, const struct invitation *i, struct lt_arena *arena,
    Ltpb__OpenInvitation **out)
{
	Ltpb__OpenInvitation *m = lt_arena_alloc(arena, sizeof(*m));

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__open_invitation__init(m);
	m->id.data = lt_arena_dup(arena, i->token.b, LT_HASH_LEN);
	m->id.len = LT_HASH_LEN;
	m->role = i->role;
	m->unit = lt_arena_dup(arena, i->unit.s, strlen(i->unit.s));
	m->org = lt_arena_dup(arena, i->org, strlen(i->org));
	m->label = lt_arena_dup(arena, i->label, strlen(i->label));
	m->expires_s = i->expires_s;
	m->auto_approve = i->auto_approve;
	m->state = state_of(i, lt_wall_ms(lt_hub_clock(e->h)) / 1000);
	m->principal.data = lt_arena_dup(arena, i->by.b, LT_ID_LEN);
	m->principal.len = i->used ? LT_ID_LEN : 0;
	*out = m;
	if (m->id.data == NULL || m->unit == NULL || m->org == NULL || m->label == NULL ||
	    m->principal.data == NULL)
		return LT_E_NOMEM;
	return lt_grant_read(lt_slice(i->grant.data, i->grant.len), arena, &m->grant);
}

int
lt_enrol_invitations(
    struct lt_enrol *e, bool all, struct lt_arena *arena, Ltpb__OpenInvitation ***out, size_t *n)
{
	int64_t now_s = lt_wall_ms(lt_hub_clock(e->h)) / 1000;
	size_t i;
	int rc = LT_OK;

	pthread_mutex_lock(&e->change_mx);
	note_void(e, NULL);
	pthread_mutex_unlock(&e->change_mx);
	pthread_mutex_lock(&e->mx);
	*out = lt_arena_alloc(arena, (e->ninvitation + 1) * sizeof(**out));
	*n = 0;
	if (*out == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < e->ninvitation; i++) {
		const struct invitation *inv = &e->invitation[i];

		if (!all && state_of(inv, now_s) != LTPB__INVITATION_STATE__INVITATION_STATE_OPEN)
			continue;
		rc = invitation_message(e, inv, arena, &(*out)[*n]);
		*n += rc == LT_OK;
	}
	pthread_mutex_unlock(&e->mx);
	return rc;
}

/* With mx or change_mx held. */
static struct invitation *
find_invitation(struct lt_enrol *e, const struct lt_hash *id)
{
	size_t i;

	for (i = 0; i < e->ninvitation; i++)
		if (memcmp(e->invitation[i].token.b, id->b, LT_HASH_LEN) == 0)
			return &e->invitation[i];
	return NULL;
}

int
lt_enrol_invitation(struct lt_enrol *e, const struct lt_hash *id, struct lt_arena *arena,
    Ltpb__OpenInvitation **out)
{
	const struct invitation *inv;
	int rc;

	pthread_mutex_lock(&e->change_mx);
	note_void(e, NULL);
	pthread_mutex_unlock(&e->change_mx);
	pthread_mutex_lock(&e->mx);
	inv = find_invitation(e, id);
	rc = inv == NULL ? LT_E_NOTFOUND : invitation_message(e, inv, arena, out);
	pthread_mutex_unlock(&e->mx);
	return rc;
}

int
lt_enrol_cancel(struct lt_enrol *e, const struct lt_hash *id, struct lt_err *err)
{
	struct invitation *inv, cancelled;
	int rc = LT_OK;

	pthread_mutex_lock(&e->change_mx);
	inv = find_invitation(e, id);
	if (inv == NULL)
		rc = lt_err_set(err, LT_E_NOTFOUND, "there is no such invitation");
	else if (inv->used)
		rc = lt_err_set(err, LT_E_CONFLICT,
		    "this invitation has been used; reject or revoke the machine that did");
	if (rc == LT_OK && !inv->cancelled) {
		cancelled = *inv;
		cancelled.cancelled = true;
		rc = save(e, NULL, NULL, &cancelled, NULL);
		if (rc == LT_OK) {
			pthread_mutex_lock(&e->mx);
			inv->cancelled = true;
			pthread_mutex_unlock(&e->mx);
		}
	}
	pthread_mutex_unlock(&e->change_mx);
	return rc;
}

struct lt_alarms *
lt_enrol_alarms(struct lt_enrol *e)
{
	return e->alarms;
}
