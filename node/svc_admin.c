/* node/svc_admin.c - the node about itself: status, feeds, log, receipts. */
#include "node/checkpoint.h"
#include "node/receipts.h"
#include "node/salvage.h"
#include "node/scrub.h"
#include "node/service_impl.h"
#include "proto/base/wire.h"
#include "proto/service/checkpoints.h"
#include "proto/service/feeds.h"
#include "proto/service/forks.h"
#include "proto/service/repairing.h"
#include "proto/service/scrubbing.h"

#include <stdio.h>
#include <string.h>

#define FEEDS_MAX 4096
#define RECEIPTS_MAX 1000 /* of the one feed asked for */
#define RECEIPTS_EACH_MAX 200 /* of every feed when none is named */

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
	uint64_t seq, first, last;
	int rc;

	if (!lt_id_eq(&author, &l->author) || lane < 1 || lane > 3)
		return LT_OK;
	rc = lt_node_tied(l->txn, unit, feed, head, &seq);
	if (rc == LT_OK)
		rc = lt_feed_log_aside(l->txn, unit, feed, &first, &last);
	if (rc != LT_OK)
		return rc;
	l->lane[lane - 1].made += head->seq;
	l->lane[lane - 1].receipted += seq;
	l->lane[lane - 1].forked += first == 0 ? 0 : last - first + 1;
	return LT_OK;
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

struct telling {
	struct lt_arena *arena;
	Ltpb__StatusReply *r;
};

static int
tell_record(void *ctx, const char *record)
{
	struct telling *t = ctx;
	Ltpb__StatusReply *r = t->r;
	size_t i;

	for (i = 0; i < r->n_salvage_record; i++)
		if (strcmp(r->salvage_record[i], record) == 0)
			return LT_OK;
	if (r->n_salvage_record == LT_SALVAGE_RECORDS_MAX)
		return LT_E_CANCELLED;
	r->salvage_record[i] = lt_arena_dup(t->arena, record, strlen(record) + 1);
	if (r->salvage_record[i] == NULL)
		return LT_E_NOMEM;
	r->n_salvage_record++;
	return LT_OK;
}

/* What is kept, and shown nowhere: by the names of its records a person finds the papers. */
static int
tell_records(struct lt_node_call *c, Ltpb__StatusReply *r)
{
	struct telling t = { &c->arena, r };

	r->salvage_record =
	    lt_arena_alloc(&c->arena, (size_t)LT_SALVAGE_RECORDS_MAX * sizeof(*r->salvage_record));
	return r->salvage_record == NULL ? LT_E_NOMEM
					 : lt_node_salvage_records(c->s->node, tell_record, &t);
}

/* Of a store that was made anew: what is missing. */
static int
tell_salvage(struct lt_node_call *c, Ltpb__StatusReply *r)
{
	const size_t cap = 96;
	struct lt_salvage_state st;
	size_t i;
	int rc = lt_node_salvage_state(c->s->node, &st);

	/* What cannot be read is not to hide all the rest; the scrub reports the row. */
	if (rc == LT_E_CORRUPT) {
		r->salvage_open = true;
		return LT_OK;
	}
	if (rc != LT_OK || st.at_ms == 0)
		return rc;
	r->salvaged_ms = st.at_ms;
	r->salvage_rows = st.rows;
	r->salvage_open = st.open;
	r->salvage_older = st.older;
	r->salvage_waiting = st.waiting;
	r->salvage_gap = lt_arena_alloc(&c->arena, (st.ngap + 1) * sizeof(*r->salvage_gap));
	if (r->salvage_gap == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < st.ngap; i++) {
		const struct lt_salvage_gap *g = &st.gap[i];
		char *text = lt_arena_alloc(&c->arena, cap);

		if (text == NULL)
			return LT_E_NOMEM;
		(void)snprintf(text, cap, "%d/%016llx/%llu-%llu", (int)lt_feed_lane(&g->feed),
		    (unsigned long long)lt_feed_epoch(&g->feed), (unsigned long long)g->from,
		    (unsigned long long)g->to);
		r->salvage_gap[r->n_salvage_gap++] = text;
	}
	return st.waiting == 0 ? LT_OK : tell_records(c, r);
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
	r.link_error_vi = link.error_vi;
	r.n_lane = 3;
	r.lane = lane;
	r.last_hub_contact_ms = link.last_contact_ms;
	r.silent_lines = link.silent;
	r.clock_offset_ms = lt_node_clock_offset(c.s->node);
	r.clock_wrong = lt_node_clock_state(c.s->node) == LT_CLOCK_WRONG;
	r.hub_clock_wrong = lt_node_clock_state(c.s->node) == LT_CLOCK_HUB_WRONG;
	r.catalogue_version = lt_catalogue_version(c.cat);
	r.store_bytes = lt_kv_used_bytes(lt_node_kv(c.s->node));
	r.rebuilding = lt_node_mending(c.s->node);
	r.equivocations = lt_node_equivocations(c.s->node);
	lt_scrubbing_status(c.s->scrubber, &r);
	if (rc == LT_OK)
		rc = tell_salvage(&c, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "STATUS");
	lt_node_call_end(&c);
}

/* ---- feeds and the log ---- */

static void
list_feeds(Ltpb__Admin_Service *service, const Ltpb__ListFeedsRequest *req,
    Ltpb__ListFeedsReply_Closure closure, void *data)
{
	Ltpb__ListFeedsReply r = LTPB__LIST_FEEDS_REPLY__INIT;
	struct lt_node_call c;
	struct lt_kv_txn *txn;
	struct lt_registry *reg;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	reg = lt_node_registry(c.s->node);
	rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		rc = lt_feeds_list(txn, req, reg, NULL, true, FEEDS_MAX, &c.arena, &r);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "FEEDS");
	lt_node_call_end(&c);
	lt_registry_unref(reg);
}

static void
read_log(Ltpb__Admin_Service *service, const Ltpb__ReadLogRequest *req,
    Ltpb__ReadLogReply_Closure closure, void *data)
{
	Ltpb__ReadLogReply r = LTPB__READ_LOG_REPLY__INIT;
	struct lt_node_call c;
	struct lt_kv_txn *txn;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		rc = lt_feeds_read(txn, req, NULL, NULL, &c.arena, &r, &c.err);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "LOG");
	lt_node_call_end(&c);
}

/* ---- forks ---- */

struct asides {
	struct lt_kv_txn *log;
	int (*fn)(void *to, const struct lt_changeset *cs);
	void *to;
};

static int
one_aside(const struct asides *a, const struct lt_unit *unit, const struct lt_feed_id *aside,
    uint64_t seq)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(a->log, unit, aside, seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(a->log, position, &e);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_MESSAGE_MAX + 65536);
	rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK)
		rc = a->fn(a->to, &cs);
	lt_arena_fini(&arena);
	return rc;
}

/* Where a branch begins: what follows hangs on that. */
static int
first_aside(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	const struct asides *a = ctx;
	struct lt_feed_id aside = lt_feed_aside(feed);
	uint64_t first, last;
	int rc = lt_feed_log_aside(a->log, unit, feed, &first, &last);

	(void)head;
	return rc != LT_OK || first == 0 ? rc : one_aside(a, unit, &aside, first);
}

static int
each_aside(void *ctx, struct lt_kv_txn *log, const struct lt_unit *unit,
    int (*fn)(void *to, const struct lt_changeset *cs), void *to)
{
	struct asides a = { log, fn, to };

	(void)ctx;
	return lt_feed_log_each(log, unit, first_aside, &a);
}

static void
list_forks(Ltpb__Admin_Service *service, const Ltpb__ListForksRequest *req,
    Ltpb__ListForksReply_Closure closure, void *data)
{
	static const struct lt_forks_from from = { each_aside, NULL };
	Ltpb__ListForksReply r = LTPB__LIST_FORKS_REPLY__INIT;
	struct lt_node_call c;
	struct lt_kv_txn *txn;
	struct lt_registry *reg;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	reg = lt_node_registry(c.s->node);
	rc = lt_kv_begin_read(lt_node_kv(c.s->node), &txn);
	if (rc == LT_OK) {
		rc = lt_forks_list(txn, req, reg, NULL, &from, &c.arena, &r, &c.err);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "FORKS");
	lt_node_call_end(&c);
	lt_registry_unref(reg);
}

/* ---- checkpoints ---- */

static int
show(struct lt_node_call *c, const struct lt_registry *reg, Ltpb__ShowCheckpointReply *r)
{
	struct lt_slice certificate = lt_slice(NULL, 0);
	struct lt_kv_txn *txn;
	struct lt_hash hash;
	int rc = lt_kv_begin_read(lt_node_kv(c->s->node), &txn);

	if (rc != LT_OK)
		return rc;
	(void)lt_local_get(txn, "hub_certificate", &certificate);
	rc = lt_checkpoint_show(txn, reg, certificate, &c->arena, r);
	lt_kv_abort(txn);
	r->own = lt_node_checkpoint_give(c->s->node, &c->arena, &hash) != NULL;
	return rc;
}

static void
show_checkpoint(Ltpb__Admin_Service *service, const Ltpb__ShowCheckpointRequest *req,
    Ltpb__ShowCheckpointReply_Closure closure, void *data)
{
	Ltpb__ShowCheckpointReply r = LTPB__SHOW_CHECKPOINT_REPLY__INIT;
	struct lt_registry *reg;
	struct lt_node_call c;
	int rc;

	(void)req;
	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	reg = lt_node_registry(c.s->node);
	rc = show(&c, reg, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "CHECKPOINT");
	lt_node_call_end(&c);
	lt_registry_unref(reg);
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
		    prefix.len != 0 ? RECEIPTS_MAX : RECEIPTS_EACH_MAX, LT_LISTING_BYTES_MAX,
		    &c.arena, &newest);
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

/* ---- the store ---- */

static void
scrub(Ltpb__Admin_Service *service, const Ltpb__ScrubRequest *req, Ltpb__ScrubReply_Closure closure,
    void *data)
{
	Ltpb__ScrubReply r = LTPB__SCRUB_REPLY__INIT;
	struct lt_node_call c;
	int rc;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	rc = lt_scrubbing_answer(c.s->scrubber, req, &c.arena, &r);
	if (rc == LT_OK)
		rc = lt_repairing_tell(lt_node_repair_repairer(c.s->repair),
		    lt_node_repair_unwanted(c.s->repair), &c.arena, &r.repair);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "SCRUB");
	lt_node_call_end(&c);
}

static void
rebuild(Ltpb__Admin_Service *service, const Ltpb__RebuildRequest *req,
    Ltpb__RebuildReply_Closure closure, void *data)
{
	Ltpb__RebuildReply r = LTPB__REBUILD_REPLY__INIT;
	struct lt_node_call c;
	int rc = LT_OK;

	lt_node_call_begin(&c, LT_NODE_SERVICE_OF(service, admin_rpc), data);
	if (req->start && !req->anyway)
		rc = lt_scrubbing_may_rebuild(c.s->scrubber, &c.err);
	if (rc == LT_OK && req->start)
		rc = lt_node_mend(c.s->node);
	r.running = lt_node_mending(c.s->node);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_node_call_fail(&c, rc, "REBUILD");
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
HUB_ONLY(list_grants, ListGrantsRequest, ListGrantsReply)
HUB_ONLY(give_grant, GiveGrantRequest, GiveGrantReply)
HUB_ONLY(take_grant, TakeGrantRequest, TakeGrantReply)
HUB_ONLY(approve, ApproveRequest, ApproveReply)
HUB_ONLY(reject, RejectRequest, ApproveReply)
HUB_ONLY(list_invitations, ListInvitationsRequest, ListInvitationsReply)
HUB_ONLY(cancel_invitation, CancelInvitationRequest, CancelInvitationReply)
HUB_ONLY(acknowledge_alarm, AcknowledgeAlarmRequest, AcknowledgeAlarmReply)
HUB_ONLY(recovery, RecoveryRequest, RecoveryReply)
HUB_ONLY(erase, EraseRequest, EraseReply)
HUB_ONLY(who_holds, WhoHoldsRequest, WhoHoldsReply)
HUB_ONLY(list_erasures, ListErasuresRequest, ListErasuresReply)

const Ltpb__Admin_Service lt_node_admin_service = { .base = LTPB__ADMIN__BASE_INIT,
	.status = status,
	.list_nodes = list_nodes,
	.list_feeds = list_feeds,
	.read_log = read_log,
	.list_receipts = list_receipts,
	.invite = invite,
	.list_enrolments = list_enrolments,
	.approve = approve,
	.reject = reject,
	.list_invitations = list_invitations,
	.cancel_invitation = cancel_invitation,
	.acknowledge_alarm = acknowledge_alarm,
	.scrub = scrub,
	.rebuild = rebuild,
	.list_grants = list_grants,
	.give_grant = give_grant,
	.take_grant = take_grant,
	.recovery = recovery,
	.erase = erase,
	.who_holds = who_holds,
	.list_erasures = list_erasures,
	.list_forks = list_forks,
	.show_checkpoint = show_checkpoint };
