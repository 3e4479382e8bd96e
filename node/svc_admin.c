/* node/svc_admin.c - the node about itself: status, feeds, log, receipts. */
#include "node/receipts.h"
#include "node/service_impl.h"
#include "proto/base/wire.h"
#include "proto/store/feed_log.h"

#include <string.h>

#define FEEDS_MAX 4096
#define LOG_MAX 64
#define LOG_BYTES_MAX ((size_t)900 * 1024)
#define RECEIPTS_MAX 1000 /* of the one feed asked for */
#define RECEIPTS_EACH_MAX 200 /* of every feed when none is named */
#define CLOCK_WRONG_MS 300000 /* five minutes from the hub's clock: a person must look */

/* ---- status ---- */

struct lanes {
	struct lt_node_call *c;
	struct lt_kv_txn *txn;
	struct lt_id author;
	Ltpb__LaneStatus lane[3];
};

static int
count_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lanes *l = ctx;
	struct lt_id author = lt_feed_author(feed);
	int lane = (int)lt_feed_lane(feed);
	uint64_t seq;
	int rc;

	if (!lt_id_eq(&author, &l->author) || lane < 1 || lane > 3)
		return LT_OK;
	rc = lt_node_receipted(l->txn, unit, feed, &seq);
	l->lane[lane - 1].made += head->seq;
	l->lane[lane - 1].receipted += seq < head->seq ? seq : head->seq;
	return rc;
}

static int
count_refused(struct lanes *l)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(l->txn, LT_T_QUARANTINE, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK) {
		struct lt_changeset cs;
		struct lt_entry e;
		struct lt_arena arena;
		struct lt_id author;

		if (k.len != 12)
			rc = LT_E_CORRUPT;
		if (rc == LT_OK)
			rc = lt_feed_log_read(l->txn, lt_load_u64(k.data), &e);
		lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
		if (rc == LT_OK)
			rc = lt_changeset_parse(e.changeset, &arena, &cs, NULL);
		if (rc == LT_OK) {
			int lane = (int)lt_feed_lane(&cs.feed);

			author = lt_feed_author(&cs.feed);
			if (lt_id_eq(&author, &l->author) && lane >= 1 && lane <= 3)
				l->lane[lane - 1].refused++;
		}
		lt_arena_fini(&arena);
		if (rc == LT_OK)
			rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
count_lanes(struct lt_node_call *c, struct lanes *l, uint64_t *records)
{
	const struct lt_identity *id = lt_node_identity(c->s->node);
	int i, rc;

	memset(l, 0, sizeof(*l));
	l->c = c;
	l->author = id->principal;
	for (i = 0; i < 3; i++) {
		ltpb__lane_status__init(&l->lane[i]);
		l->lane[i].lane = (Ltpb__Lane)(i + 1);
	}
	rc = lt_kv_begin_read(lt_node_kv(c->s->node), &l->txn);
	if (rc != LT_OK)
		return rc;
	rc = lt_feed_log_each(l->txn, &id->unit, count_feed, l);
	if (rc == LT_OK)
		rc = count_refused(l);
	if (rc == LT_OK)
		rc = lt_kv_count(l->txn, LT_T_SHOWN, records);
	lt_kv_abort(l->txn);
	return rc;
}

static void
status(Ltpb__Admin_Service *service, const Ltpb__StatusRequest *req,
    Ltpb__StatusReply_Closure closure, void *data)
{
	Ltpb__StatusReply r = LTPB__STATUS_REPLY__INIT;
	const struct lt_identity *id;
	struct lt_link_status link = { 0 };
	Ltpb__LaneStatus *lane[3];
	struct lt_node_call c;
	struct lanes l;
	char name[256];
	int i, rc;

	(void)req;
	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	id = lt_node_identity(c.s->node);
	rc = count_lanes(&c, &l, &r.records);
	for (i = 0; i < 3; i++)
		lane[i] = &l.lane[i];
	if (c.s->link != NULL)
		lt_link_status(c.s->link, &link);
	lt_node_unit_name(c.s->node, name, sizeof(name));
	r.role = (char *)"node";
	r.federation.data = (uint8_t *)id->federation.b;
	r.federation.len = LT_FED_LEN;
	r.principal.data = (uint8_t *)id->principal.b;
	r.principal.len = LT_ID_LEN;
	r.unit = (char *)id->unit.s;
	r.unit_name = name;
	r.version = (char *)LT_VERSION;
	r.connected = link.phase == LT_SYNC_ONLINE;
	r.link_state = (char *)(c.s->link != NULL ? lt_sync_phase_name(link.phase) : "no line");
	r.link_error = link.error;
	r.n_lane = 3;
	r.lane = lane;
	r.last_hub_contact_ms = link.last_contact_ms;
	r.clock_offset_ms = lt_node_clock_offset(c.s->node);
	r.clock_wrong = r.clock_offset_ms > CLOCK_WRONG_MS || r.clock_offset_ms < -CLOCK_WRONG_MS;
	r.catalogue_version = lt_catalogue_version(c.cat);
	r.store_bytes = lt_kv_used_bytes(lt_node_kv(c.s->node));
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "STATUS");
	lt_node_call_end(&c);
}

/* ---- feeds and the log ---- */

struct feeds {
	struct lt_node_call *c;
	struct lt_registry *reg;
	Ltpb__ListFeedsReply *r;
};

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct feeds *f = ctx;
	struct lt_arena *arena = &f->c->arena;
	struct lt_id author = lt_feed_author(feed);
	const struct lt_principal *p = lt_registry_find(f->reg, &author);
	Ltpb__FeedStatus *s = lt_arena_alloc(arena, sizeof(*s));
	Ltpb__FeedHead *h = lt_arena_alloc(arena, sizeof(*h));
	char hex[2 * LT_ID_LEN + 1];
	const char *name = hex;

	if (s == NULL || h == NULL || f->r->n_feed == FEEDS_MAX)
		return LT_E_NOMEM;
	lt_hex(hex, author.b, LT_ID_LEN);
	if (p != NULL && p->label[0] != '\0')
		name = p->label;
	ltpb__feed_status__init(s);
	ltpb__feed_head__init(h);
	h->unit = lt_arena_dup(arena, unit->s, strlen(unit->s));
	h->feed.data = lt_arena_dup(arena, feed->b, LT_FEED_LEN);
	h->feed.len = LT_FEED_LEN;
	h->seq = head->seq;
	h->hash.data = lt_arena_dup(arena, head->hash.b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	s->head = h;
	s->author = lt_arena_dup(arena, name, strlen(name));
	s->time_ms = LT_STAMP_MS(head->stamp);
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
	struct lt_node_call c;
	struct lt_kv_txn *txn;
	struct lt_unit unit;
	struct feeds f;
	int rc = LT_OK;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	f.c = &c;
	f.r = &r;
	f.reg = lt_node_registry(c.s->node);
	r.feed = lt_arena_alloc(&c.arena, FEEDS_MAX * sizeof(*r.feed));
	if (r.feed == NULL)
		rc = LT_E_NOMEM;
	if (rc == LT_OK && req->unit[0] != '\0')
		rc = lt_unit_set(&unit, lt_slice_str(req->unit));
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		rc = lt_feed_log_each(txn, req->unit[0] != '\0' ? &unit : NULL, note_feed, &f);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "FEEDS");
	lt_node_call_end(&c);
	lt_registry_unref(f.reg);
}

static int
read_rows(struct lt_node_call *c, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, const Ltpb__ReadLogRequest *req, Ltpb__ReadLogReply *r)
{
	uint32_t limit = req->limit == 0 || req->limit > LOG_MAX ? LOG_MAX : req->limit;
	uint64_t seq = req->from_seq == 0 ? 1 : req->from_seq, position;
	size_t bytes = 0;
	int rc = LT_OK;

	r->change_set = lt_arena_alloc(&c->arena, limit * sizeof(*r->change_set));
	if (r->change_set == NULL)
		return LT_E_NOMEM;
	for (; rc == LT_OK && r->n_change_set < limit; seq++) {
		ProtobufCBinaryData *d = &r->change_set[r->n_change_set];
		struct lt_entry e;
		struct lt_buf b;

		rc = lt_feed_log_find(txn, unit, feed, seq, &position);
		if (rc != LT_OK)
			break;
		lt_buf_init(&b, LT_MESSAGE_MAX);
		rc = lt_feed_log_read(txn, position, &e);
		if (rc == LT_OK)
			rc = lt_feed_log_compose(txn, &e, NULL, NULL, &b, &c->err);
		bytes += b.len;
		if (rc == LT_OK && bytes > LOG_BYTES_MAX && r->n_change_set != 0) {
			lt_buf_fini(&b);
			break;
		}
		if (rc == LT_OK) {
			d->data = lt_arena_dup(&c->arena, b.data, b.len);
			d->len = b.len;
			rc = d->data == NULL ? LT_E_NOMEM : LT_OK;
			r->n_change_set += rc == LT_OK;
		}
		lt_buf_fini(&b);
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static void
read_log(Ltpb__Admin_Service *service, const Ltpb__ReadLogRequest *req,
    Ltpb__ReadLogReply_Closure closure, void *data)
{
	Ltpb__ReadLogReply r = LTPB__READ_LOG_REPLY__INIT;
	struct lt_node_call c;
	struct lt_feed_id feed;
	struct lt_kv_txn *txn;
	struct lt_unit unit;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	rc = lt_unit_set(&unit, lt_slice_str(req->unit));
	if (rc != LT_OK || req->feed.len != LT_FEED_LEN)
		rc = lt_err_set(&c.err, LT_E_INVALID, "name a unit and a feed");
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		memcpy(feed.b, req->feed.data, LT_FEED_LEN);
		rc = read_rows(&c, txn, &unit, &feed, req, &r);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "LOG");
	lt_node_call_end(&c);
}

/* ---- receipts ---- */

static void
list_receipts(Ltpb__Admin_Service *service, const Ltpb__ListReceiptsRequest *req,
    Ltpb__ListReceiptsReply_Closure closure, void *data)
{
	Ltpb__ListReceiptsReply r = LTPB__LIST_RECEIPTS_REPLY__INIT;
	struct lt_receipts newest = { 0 };
	struct lt_node_call c;
	struct lt_feed_id feed;
	struct lt_kv_txn *txn;
	struct lt_unit unit;
	struct lt_buf prefix;
	int rc = LT_OK;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	lt_buf_init(&prefix, LT_KV_KEY_MAX);
	if (req->feed.len != 0) {
		rc = lt_unit_set(&unit, lt_slice_str(req->unit));
		if (rc != LT_OK || req->feed.len != LT_FEED_LEN)
			rc = lt_err_set(&c.err, LT_E_INVALID, "name a unit with the feed");
		if (rc == LT_OK) {
			memcpy(feed.b, req->feed.data, LT_FEED_LEN);
			lt_key_feed(&prefix, &unit, &feed);
		}
	}
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		rc = lt_receipts_newest(txn, lt_buf_slice(&prefix),
		    prefix.len != 0 ? RECEIPTS_MAX : RECEIPTS_EACH_MAX, LOG_BYTES_MAX, &c.arena,
		    &newest);
		r.n_receipt = newest.n;
		r.receipt = newest.receipt;
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "RECEIPTS");
	lt_buf_fini(&prefix);
	lt_node_call_end(&c);
}

/* ---- what only a hub answers ---- */

static void
hub_only(Ltpb__Admin_Service *service, void *data)
{
	struct lt_node_call c;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	lt_call_failf(c.call, LT_STATUS_UNIMPLEMENTED, "HUB_ONLY", "this is asked at the hub");
	lt_node_call_end(&c);
}

#define HUB_ONLY(fn, request, reply) \
	static void fn( \
	    Ltpb__Admin_Service *s, const Ltpb__##request *r, Ltpb__##reply##_Closure c, void *d) \
	{ \
		(void)r; \
		(void)c; \
		hub_only(s, d); \
	}
HUB_ONLY(list_nodes, ListNodesRequest, ListNodesReply)
HUB_ONLY(invite, InviteRequest, InviteReply)
HUB_ONLY(list_enrolments, ListEnrolmentsRequest, ListEnrolmentsReply)
HUB_ONLY(approve, ApproveRequest, ApproveReply)
HUB_ONLY(reject, RejectRequest, ApproveReply)

const Ltpb__Admin_Service lt_node_admin_service = { .base = LTPB__ADMIN__BASE_INIT,
	.status = status,
	.list_nodes = list_nodes,
	.list_feeds = list_feeds,
	.read_log = read_log,
	.list_receipts = list_receipts,
	.invite = invite,
	.list_enrolments = list_enrolments,
	.approve = approve,
	.reject = reject };
