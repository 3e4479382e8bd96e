/* hub/svc_admin.c - Admin at the hub: status, nodes, feeds, the log, enrolment. */
#include "hub/service_impl.h"
#include "proto/store/feed_log.h"

#include <string.h>

#define FEEDS_MAX 65536
#define LOG_MAX 64
#define LOG_BYTES_MAX ((size_t)900 * 1024)

static char *
text(struct lt_asking *a, const char *s)
{
	return lt_arena_dup(&a->arena, s, strlen(s));
}

/* ---- status ---- */

static void
status(Ltpb__Admin_Service *service, const Ltpb__StatusRequest *req,
    Ltpb__StatusReply_Closure closure, void *data)
{
	Ltpb__StatusReply r = LTPB__STATUS_REPLY__INIT;
	const struct lt_identity *id;
	struct lt_kv_txn *txn;
	struct lt_asking a;

	(void)req;
	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	id = lt_hub_identity(a.s->hub);
	r.role = (char *)"hub";
	r.federation.data = (uint8_t *)id->federation.b;
	r.federation.len = LT_FED_LEN;
	r.principal.data = (uint8_t *)id->principal.b;
	r.principal.len = LT_ID_LEN;
	r.unit = (char *)id->unit.s;
	r.version = (char *)LT_VERSION;
	r.link_state = (char *)"serving";
	r.log_head = lt_hub_log_position(a.s->hub);
	r.projected = lt_hub_projected(a.s->hub);
	r.sessions = lt_server_connections(a.s->server);
	r.catalogue_version = lt_catalogue_version(a.cat);
	r.registry_generation = lt_registry_generation(a.reg);
	r.store_bytes =
	    lt_kv_used_bytes(lt_hub_log(a.s->hub)) + lt_kv_used_bytes(lt_hub_derived(a.s->hub));
	if (lt_kv_begin_read(lt_hub_derived(a.s->hub), &txn) == LT_OK) {
		(void)lt_kv_count(txn, LT_T_SHOWN, &r.records);
		lt_kv_abort(txn);
	}
	if (lt_kv_begin_read(lt_hub_log(a.s->hub), &txn) == LT_OK) {
		(void)lt_kv_count(txn, LT_T_HELD, &r.held);
		lt_kv_abort(txn);
	}
	closure(&r, data);
	lt_asking_end(&a);
}

/* ---- nodes ---- */

static int
node_status(struct lt_asking *a, struct lt_kv_txn *derived, const struct lt_principal *p,
    Ltpb__NodeStatus **out)
{
	Ltpb__NodeStatus *n = lt_arena_alloc(&a->arena, sizeof(*n));
	struct lt_fresh_node f;
	int lane;

	if (n == NULL)
		return LT_E_NOMEM;
	ltpb__node_status__init(n);
	n->principal.data = (uint8_t *)p->id.b;
	n->principal.len = LT_ID_LEN;
	n->unit = (char *)p->unit.s;
	n->unit_name = (char *)lt_record_unit_name(derived, p->unit.s, &a->arena);
	n->label = (char *)p->label;
	n->state = p->state;
	n->role = p->role;
	n->org = (char *)p->org;
	n->fresh_age_ms = -1;
	if (lt_fresh_node(a->s->fresh, &p->id, &f)) {
		int64_t now = lt_wall_ms(lt_hub_clock(a->s->hub)), worst = 0;

		n->connected = f.connected;
		n->last_seen_ms = f.last_seen_ms;
		n->clock_offset_ms = f.clock_offset_ms;
		for (lane = 1; lane <= 3; lane++) {
			n->announced += f.announced[lane];
			n->held += f.held[lane];
			if (worst != -1)
				worst = f.fresh_ms[lane] == 0            ? -1
					: now - f.fresh_ms[lane] > worst ? now - f.fresh_ms[lane]
									 : worst;
		}
		n->fresh_age_ms = worst;
	}
	*out = n;
	return LT_OK;
}

static void
list_nodes(Ltpb__Admin_Service *service, const Ltpb__ListNodesRequest *req,
    Ltpb__ListNodesReply_Closure closure, void *data)
{
	Ltpb__ListNodesReply r = LTPB__LIST_NODES_REPLY__INIT;
	struct lt_kv_txn *derived = NULL;
	struct lt_asking a;
	size_t i;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_kv_begin_read(lt_hub_derived(a.s->hub), &derived);
	r.node = lt_arena_alloc(&a.arena, (lt_registry_count(a.reg) + 1) * sizeof(*r.node));
	if (rc == LT_OK && r.node == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < lt_registry_count(a.reg); i++) {
		const struct lt_principal *p = lt_registry_at(a.reg, i);

		if (p->role == LTPB__ROLE__ROLE_NODE || req->all_roles)
			rc = node_status(&a, derived, p, &r.node[r.n_node]);
		else
			continue;
		r.n_node += rc == LT_OK;
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "NODES", "");
	lt_kv_abort(derived);
	lt_asking_end(&a);
}

/* ---- feeds and the log ---- */

struct feeds {
	struct lt_asking *a;
	Ltpb__ListFeedsReply *r;
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct feeds *f = ctx;
	struct lt_id author = lt_feed_author(feed);
	const struct lt_principal *p = lt_registry_find(f->a->reg, &author);
	Ltpb__FeedStatus *s = lt_arena_alloc(&f->a->arena, sizeof(*s));
	Ltpb__FeedHead *h = lt_arena_alloc(&f->a->arena, sizeof(*h));
	char hex[2 * LT_ID_LEN + 1];

	if (s == NULL || h == NULL || f->r->n_feed == FEEDS_MAX)
		return LT_E_NOMEM;
	ltpb__feed_status__init(s);
	ltpb__feed_head__init(h);
	h->unit = text(f->a, unit->s);
	h->feed.data = lt_arena_dup(&f->a->arena, feed->b, LT_FEED_LEN);
	h->feed.len = LT_FEED_LEN;
	h->seq = head->seq;
	h->hash.data = lt_arena_dup(&f->a->arena, head->hash.b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	lt_hex(hex, author.b, LT_ID_LEN);
	s->head = h;
	s->author = text(f->a, p != NULL && p->label[0] != '\0' ? p->label : hex);
	s->time_ms = LT_STAMP_MS(head->effective);
	s->judged = head->judged;
	if (h->unit == NULL || h->feed.data == NULL || h->hash.data == NULL || s->author == NULL)
		return LT_E_NOMEM;
	f->r->feed[f->r->n_feed++] = s;
	return LT_OK;
}

static void
list_feeds(Ltpb__Admin_Service *service, const Ltpb__ListFeedsRequest *req,
    Ltpb__ListFeedsReply_Closure closure, void *data)
{
	Ltpb__ListFeedsReply r = LTPB__LIST_FEEDS_REPLY__INIT;
	struct lt_kv_txn *txn;
	struct lt_asking a;
	struct feeds f;
	struct lt_unit unit;
	int rc = LT_OK;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	f.a = &a;
	f.r = &r;
	r.feed = lt_arena_alloc(&a.arena, FEEDS_MAX * sizeof(*r.feed));
	if (r.feed == NULL)
		rc = LT_E_NOMEM;
	if (rc == LT_OK && req->unit[0] != '\0')
		rc = lt_unit_set(&unit, lt_slice_str(req->unit));
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = lt_feed_log_each(txn, req->unit[0] != '\0' ? &unit : NULL, note_feed, &f);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "FEEDS", "");
	lt_asking_end(&a);
}

/* Openings hold personal data: IT staff see the signed bytes and the leaves, not the values. */
static bool
open_nothing(void *ctx, const char *collection, const char *field)
{
	(void)ctx;
	(void)collection;
	(void)field;
	return false;
}

static int
read_log_rows(struct lt_asking *a, const Ltpb__ReadLogRequest *req, struct lt_kv_txn *txn,
    Ltpb__ReadLogReply *r, struct lt_err *err)
{
	uint32_t limit = req->limit == 0 || req->limit > LOG_MAX ? LOG_MAX : req->limit;
	uint64_t seq = req->from_seq == 0 ? 1 : req->from_seq, position;
	struct lt_feed_id feed;
	struct lt_unit unit;
	size_t bytes = 0;
	int rc = lt_unit_set(&unit, lt_slice_str(req->unit));

	if (rc != LT_OK || req->feed.len != LT_FEED_LEN)
		return lt_err_set(err, LT_E_INVALID, "name a unit and a feed");
	memcpy(feed.b, req->feed.data, LT_FEED_LEN);
	r->change_set = lt_arena_alloc(&a->arena, limit * sizeof(*r->change_set));
	if (r->change_set == NULL)
		return LT_E_NOMEM;
	for (; r->n_change_set < limit && bytes < LOG_BYTES_MAX; seq++) {
		struct lt_entry e;
		struct lt_buf b;

		rc = lt_feed_log_find(txn, &unit, &feed, seq, &position);
		if (rc != LT_OK)
			break;
		lt_buf_init(&b, LT_MESSAGE_MAX);
		rc = lt_feed_log_read(txn, position, &e);
		if (rc == LT_OK)
			rc = lt_feed_log_compose(txn, &e, open_nothing, NULL, &b, err);
		if (rc == LT_OK && bytes + b.len > LOG_BYTES_MAX && r->n_change_set != 0) {
			lt_buf_fini(&b);
			break;
		}
		if (rc == LT_OK) {
			r->change_set[r->n_change_set].data =
			    lt_arena_dup(&a->arena, b.data, b.len);
			r->change_set[r->n_change_set].len = b.len;
			rc = r->change_set[r->n_change_set].data == NULL ? LT_E_NOMEM : LT_OK;
			bytes += b.len;
			r->n_change_set += rc == LT_OK;
		}
		lt_buf_fini(&b);
		if (rc != LT_OK)
			return rc;
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static void
read_log(Ltpb__Admin_Service *service, const Ltpb__ReadLogRequest *req,
    Ltpb__ReadLogReply_Closure closure, void *data)
{
	Ltpb__ReadLogReply r = LTPB__READ_LOG_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = read_log_rows(&a, req, txn, &r, &err);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "LOG", err.text);
	lt_asking_end(&a);
}

static void
list_receipts(Ltpb__Admin_Service *service, const Ltpb__ListReceiptsRequest *req,
    Ltpb__ListReceiptsReply_Closure closure, void *data)
{
	struct lt_asking a;

	(void)req;
	(void)closure;
	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	lt_call_failf(a.call, LT_STATUS_UNIMPLEMENTED, "RECEIPTS",
	    "receipts are kept by the nodes they were given to");
	lt_asking_end(&a);
}

/* ---- enrolment ---- */

static void
invite(Ltpb__Admin_Service *service, const Ltpb__InviteRequest *req,
    Ltpb__InviteReply_Closure closure, void *data)
{
	Ltpb__InviteReply r = LTPB__INVITE_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	struct lt_buf line;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	lt_buf_init(&line, 4096);
	rc = req->n_address != 0
		 ? lt_enrol_invite(a.s->enrol, req, (const char *const *)req->address,
		       req->n_address, &line, &r.expires_s, &err)
		 : lt_enrol_invite(
		       a.s->enrol, req, a.s->addresses, a.s->naddress, &line, &r.expires_s, &err);
	lt_buf_u8(&line, 0);
	if (rc == LT_OK && line.err == LT_OK) {
		r.line = (char *)line.data;
		closure(&r, data);
	} else {
		lt_asking_fail(&a, rc != LT_OK ? rc : line.err, "INVITE", err.text);
	}
	if (line.len != 0)
		sodium_memzero(line.data, line.len); /* the token lets a machine in */
	lt_buf_fini(&line);
	lt_asking_end(&a);
}

static void
list_enrolments(Ltpb__Admin_Service *service, const Ltpb__ListEnrolmentsRequest *req,
    Ltpb__ListEnrolmentsReply_Closure closure, void *data)
{
	Ltpb__ListEnrolmentsReply r = LTPB__LIST_ENROLMENTS_REPLY__INIT;
	struct lt_asking a;
	int rc;

	(void)req;
	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_enrol_list(a.s->enrol, &a.arena, &r.enrolment, &r.n_enrolment);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ENROLMENTS", "");
	lt_asking_end(&a);
}

static void
answer(Ltpb__Admin_Service *service, void *data, Ltpb__ApproveReply_Closure closure,
    const ProtobufCBinaryData *principal, bool approve)
{
	Ltpb__ApproveReply r = LTPB__APPROVE_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	struct lt_id id;
	int rc = LT_E_INVALID;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	if (principal->len == LT_ID_LEN) {
		memcpy(id.b, principal->data, LT_ID_LEN);
		rc = approve ? lt_enrol_approve(a.s->enrol, &id, &err)
			     : lt_enrol_reject(a.s->enrol, &id, &err);
	}
	r.state = approve ? LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
			  : LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED;
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ENROLMENT", err.text);
	lt_asking_end(&a);
}

static void
approve(Ltpb__Admin_Service *service, const Ltpb__ApproveRequest *req,
    Ltpb__ApproveReply_Closure closure, void *data)
{
	answer(service, data, closure, &req->principal, true);
}

static void
reject(Ltpb__Admin_Service *service, const Ltpb__RejectRequest *req,
    Ltpb__ApproveReply_Closure closure, void *data)
{
	answer(service, data, closure, &req->principal, false);
}

const Ltpb__Admin_Service lt_admin_service = { .base = LTPB__ADMIN__BASE_INIT,
	.status = status,
	.list_nodes = list_nodes,
	.list_feeds = list_feeds,
	.read_log = read_log,
	.list_receipts = list_receipts,
	.invite = invite,
	.list_enrolments = list_enrolments,
	.approve = approve,
	.reject = reject };
