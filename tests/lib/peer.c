#include "tests/lib/peer.h"
#include "proto/base/wire.h"
#include "proto/model/value.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void
check(int rc, const char *what, const char *why)
{
	if (rc != LT_OK)
		fail_msg("%s: %s %s", what, lt_strerror(rc), why);
}

/* ---- who ---- */

void
fed_stranger(struct fed *f, struct fed_peer *p)
{
	memset(p, 0, sizeof(*p));
	lt_identity_keys(&p->id);
	p->id.federation = f->hub_id->federation;
	memcpy(p->id.hub_line_key, f->hub_id->line_pk, 32);
}

void
fed_invite(struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where, bool approve)
{
	fed_invite_grant(f, p, role, where, approve, NULL);
}

void
fed_invite_grant(struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where,
    bool approve, const Ltpb__Grant *grant)
{
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	struct lt_err err = { "" };
	Ltpb__Invitation *inv;
	struct lt_arena arena;
	struct lt_buf line;
	int64_t expires;

	fed_stranger(f, p);
	p->id.role = role;
	req.role = role;
	req.auto_approve = approve;
	req.grant = (Ltpb__Grant *)grant;
	if (role == LTPB__ROLE__ROLE_NODE) {
		req.unit = (char *)where;
		check(lt_unit_set(&p->id.unit, lt_slice_str(where)), "unit", "");
	} else if (role == LTPB__ROLE__ROLE_DEPARTMENT) {
		req.org = (char *)where;
		(void)snprintf(p->id.org, sizeof(p->id.org), "%s", where);
	}
	lt_buf_init(&line, 4096);
	check(lt_enrol_invite(f->enrol, &req, f->addresses, 1, &line, &expires, &err), "invite",
	    err.text);
	lt_buf_u8(&line, 0);
	lt_arena_init(&arena, 1 << 20);
	check(lt_invitation_parse((const char *)line.data, &arena, &inv, &err), "invitation",
	    err.text);
	memcpy(p->id.token, inv->token.data, 16);
	lt_arena_fini(&arena);
	lt_buf_fini(&line);
}

int
fed_dial(struct fed *f, struct fed_peer *p)
{
	struct lt_dial_options o = { .pool = f->pool,
		.clock = lt_clock_system(),
		.url = f->address,
		.line_sk = p->id.line_sk,
		.remote_line_key = p->id.hub_line_key,
		.federation = p->id.federation.b };
	struct lt_err err = { "" };

	return lt_dial(&o, &p->conn, &err);
}

void
fed_local(struct fed *f, struct fed_peer *p)
{
	struct lt_dial_options o = { .pool = f->pool, .clock = lt_clock_system(), .url = f->local };
	struct lt_err err = { "" };

	fed_stranger(f, p);
	check(lt_dial(&o, &p->conn, &err), "the local socket", err.text);
}

void
fed_hang_up(struct fed_peer *p)
{
	lt_conn_close(p->conn);
	p->conn = NULL;
}

int
fed_join(struct fed_peer *p, Ltpb__PrincipalState *state)
{
	Ltpb__JoinRequest r;
	ProtobufCMessage *m;
	struct lt_status st;
	uint8_t proof[LT_SIG_LEN];
	int code;

	fed_join_request(&p->id, proof, &r);
	code = fed_ask(p, &ltpb__enrol__descriptor, "Join", &r.base, &m, &st);
	if (code == LT_STATUS_OK) {
		*state = ((const Ltpb__JoinReply *)m)->state;
		protobuf_c_message_free_unpacked(m, NULL);
	}
	return code;
}

void
fed_enrol(struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where, bool approve)
{
	Ltpb__PrincipalState state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_UNSPECIFIED;

	fed_invite(f, p, role, where, approve);
	check(fed_dial(f, p), "dial", where);
	assert_int_equal(fed_join(p, &state), LT_STATUS_OK);
	assert_int_equal(state, approve ? LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
					: LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING);
}

void
fed_principal_hex(const struct fed_peer *p, char out[2 * LT_ID_LEN + 1])
{
	lt_hex(out, p->id.principal.b, LT_ID_LEN);
}

/* ---- calls ---- */

struct waiting {
	pthread_mutex_t mx; /* guards done */
	pthread_cond_t cv;
	bool done;
	fed_item_fn *item;
	void *ctx;
	struct lt_status *st;
};

static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	struct waiting *w = ctx;

	if (w->item != NULL)
		w->item(w->ctx, m);
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	struct waiting *w = ctx;

	pthread_mutex_lock(&w->mx);
	*w->st = *st;
	w->done = true;
	pthread_cond_signal(&w->cv);
	pthread_mutex_unlock(&w->mx);
}

int
fed_call(struct fed_peer *p, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, fed_item_fn *item, void *ctx, struct lt_status *st)
{
	static const struct lt_call_ops ops = { on_item, on_end };
	struct waiting w = { .mx = PTHREAD_MUTEX_INITIALIZER,
		.cv = PTHREAD_COND_INITIALIZER,
		.item = item,
		.ctx = ctx,
		.st = st };

	memset(st, 0, sizeof(*st));
	check(lt_conn_call(p->conn, service, method, req, 0, &ops, &w, NULL), method, "");
	pthread_mutex_lock(&w.mx);
	while (!w.done)
		pthread_cond_wait(&w.cv, &w.mx);
	pthread_mutex_unlock(&w.mx);
	pthread_cond_destroy(&w.cv);
	pthread_mutex_destroy(&w.mx);
	return (int)st->code;
}

int
fed_ask(struct fed_peer *p, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, ProtobufCMessage **reply, struct lt_status *st)
{
	return lt_conn_call_wait(p->conn, service, method, req, 0, reply, st);
}

/* ---- acts ---- */

static void
act(struct fed *f, const char *collection, const char *key, Ltpb__FieldSet *fs)
{
	struct lt_write w = { .collection = collection,
		.key = key,
		.nset = 1,
		.set = &fs,
		.builtin = true,
		.writer = LT_WRITER_PROVINCE };
	struct lt_unit us = { "_" };
	struct lt_err err = { "" };
	struct lt_arena arena;

	lt_arena_init(&arena, 8 << 20);
	check(lt_hub_write(f->hub, &us, &w, 1, &arena, &err), key, err.text);
	check(w.rc, key, w.violation.message);
	lt_arena_fini(&arena);
}

void
fed_act_enum(
    struct fed *f, const char *collection, const char *key, const char *field, const char *word)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	Ltpb__Value v = LTPB__VALUE__INIT;

	v.v_case = LTPB__VALUE__V_ENUMERATION;
	v.enumeration = (char *)word;
	fs.name = (char *)field;
	fs.value = &v;
	act(f, collection, key, &fs);
}

void
fed_act_set(
    struct fed *f, const char *collection, const char *key, const char *field, const char *item)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	Ltpb__TextSet s = LTPB__TEXT_SET__INIT;
	Ltpb__Value v = LTPB__VALUE__INIT;
	char *items[1] = { (char *)item };

	s.item = items;
	s.n_item = 1;
	v.v_case = LTPB__VALUE__V_SET;
	v.set = &s;
	fs.name = (char *)field;
	fs.value = &v;
	act(f, collection, key, &fs);
}

/* ---- feeds by hand ---- */

void
fed_feed_init(struct fed_feed *w, const struct fed_peer *as, const char *unit, enum lt_lane lane,
    uint64_t epoch)
{
	memset(w, 0, sizeof(*w));
	w->key = as->id.sign;
	check(lt_unit_set(&w->unit, lt_slice_str(unit)), "unit", unit);
	w->id = lt_feed_id_make(as->id.principal, lane, epoch);
	w->catalogue_version = 1;
}

void
fed_seal(
    struct fed *f, struct fed_feed *w, const struct lt_draft *drafts, size_t n, struct lt_buf *out)
{
	struct lt_seal s = { .federation = f->hub_id->federation,
		.unit = w->unit,
		.feed = w->id,
		.seq = w->seq + 1,
		.prev = w->hash,
		.catalogue_version = w->catalogue_version,
		.key_no = w->key_no != 0 ? w->key_no : 1,
		.key = &w->key,
		.ndraft = n,
		.draft = drafts };
	struct lt_err err = { "" };

	s.stamp = w->next_stamp != 0 ? w->next_stamp
				     : lt_hlc_next(w->stamp, lt_wall_ms(lt_clock_system()));
	randombytes_buf(s.seed, sizeof(s.seed));
	check(lt_changeset_seal(&s, out, &w->hash, &err), "seal", err.text);
	w->stamp = s.stamp;
	w->next_stamp = 0;
	w->seq++;
}

int
fed_push(struct fed_peer *p, const struct lt_buf *sets, size_t n, Ltpb__PushReply **reply,
    struct lt_status *st)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d[LT_PUSH_MAX];
	ProtobufCMessage *m = NULL;
	size_t i;
	int code;

	assert_true(n <= LT_PUSH_MAX);
	for (i = 0; i < n; i++) {
		d[i].data = sets[i].data;
		d[i].len = sets[i].len;
	}
	r.n_change_set = n;
	r.change_set = d;
	code = fed_ask(p, &ltpb__sync__descriptor, "Push", &r.base, &m, st);
	if (reply != NULL)
		*reply = (Ltpb__PushReply *)m;
	else if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

const Ltpb__ReceiptBody *
fed_receipt(struct fed *f, const Ltpb__PushReply *reply, size_t i, struct lt_arena *arena)
{
	Ltpb__ReceiptBody *body;
	struct lt_err err = { "" };
	struct lt_buf b;

	assert_true(i < reply->n_receipt);
	lt_buf_init(&b, 0);
	check(lt_wire_pack(&reply->receipt[i]->base, LT_MESSAGE_MAX, &b), "receipt", "");
	check(lt_receipt_verify(
		  lt_buf_slice(&b), f->hub_id->sign.pk, &f->hub_id->federation, arena, &body, &err),
	    "receipt", err.text);
	lt_buf_fini(&b);
	return body;
}

/* ---- fields ---- */

Ltpb__FieldSet *
fed_field(struct lt_arena *a, const char *name, enum lt_type type, const char *text)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a, sizeof(*fs));
	struct lt_err err = { "" };

	assert_non_null(fs);
	ltpb__field_set__init(fs);
	fs->name = (char *)name;
	check(lt_value_parse(type, 0, lt_slice_str(text), a, &fs->value, &err), name, err.text);
	return fs;
}

void
fed_draft_dossier(struct lt_arena *a, struct lt_draft *d, const char *key)
{
	memset(d, 0, sizeof(*d));
	d->collection = "dossier";
	d->key = key;
	d->set = lt_arena_alloc(a, 16 * sizeof(*d->set));
	d->personal = lt_arena_alloc(a, 4 * sizeof(*d->personal));
	assert_non_null(d->set);
	assert_non_null(d->personal);
	d->set[d->nset++] = fed_field(a, "procedure_code", LT_TYPE_TEXT, "1.012784");
	d->set[d->nset++] = fed_field(a, "procedure_name", LT_TYPE_TEXT, "Đăng ký khai sinh");
	d->set[d->nset++] = fed_field(a, "field_area", LT_TYPE_ENUM, "ho_tich");
	d->set[d->nset++] = fed_field(a, "authority_level", LT_TYPE_ENUM, "xa");
	d->set[d->nset++] = fed_field(a, "submit_channel", LT_TYPE_ENUM, "truc_tuyen_toan_trinh");
	d->set[d->nset++] =
	    fed_field(a, "received_at", LT_TYPE_TIMESTAMP, "2026-11-20T02:00:00.000Z");
	d->set[d->nset++] = fed_field(a, "due_date", LT_TYPE_DATE, "2026-11-25");
	d->set[d->nset++] = fed_field(a, "status", LT_TYPE_ENUM, "tiep_nhan");
	d->personal[d->npersonal++] = fed_field(a, "applicant_name", LT_TYPE_TEXT, "Vi Văn Mẫu");
	d->personal[d->npersonal++] = fed_field(a, "applicant_id_no", LT_TYPE_TEXT, "099170000016");
	d->personal[d->npersonal++] = fed_field(a, "_actor", LT_TYPE_TEXT, "cb01");
}

void
fed_draft_status(struct lt_arena *a, struct lt_draft *d, const char *key, const char *status)
{
	memset(d, 0, sizeof(*d));
	d->collection = "dossier";
	d->key = key;
	d->set = lt_arena_alloc(a, sizeof(*d->set));
	assert_non_null(d->set);
	d->set[d->nset++] = fed_field(a, "status", LT_TYPE_ENUM, status);
}
