/* hub/svc_admin.c - Admin at the hub: status, nodes, feeds, the log, enrolment. */
#include "hub/recovery.h"
#include "hub/grant.h"
#include "hub/service_impl.h"
#include "proto/service/checkpoints.h"
#include "proto/service/feeds.h"
#include "proto/service/forks.h"
#include "proto/service/repairing.h"
#include "proto/service/scrubbing.h"

#include <string.h>

#define FEEDS_MAX 65536

/* ---- status ---- */

static void
status(Ltpb__Admin_Service *service, const Ltpb__StatusRequest *req,
    Ltpb__StatusReply_Closure closure, void *data)
{
	Ltpb__StatusReply r = LTPB__STATUS_REPLY__INIT;
	const struct lt_identity *id;
	struct lt_kv_txn *txn;
	struct lt_asking a;
	struct lt_server_counts counts;

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
	r.hub_clock_wrong = lt_fresh_outvoted(a.s->fresh, &r.clock_offset_ms);
	lt_server_counts(a.s->server, &counts);
	r.silent_lines = counts.silent;
	r.catalogue_version = lt_catalogue_version(a.cat);
	r.registry_generation = lt_registry_generation(a.reg);
	if (a.s->twins != NULL)
		r.twins = lt_twins_refused(a.s->twins, NULL);
	r.invitation_alarms = lt_alarms_count(lt_enrol_alarms(a.s->enrol));
	r.store_bytes =
	    lt_kv_used_bytes(lt_hub_log(a.s->hub)) + lt_kv_used_bytes(lt_hub_derived(a.s->hub));
	if (lt_kv_begin_read(lt_hub_derived(a.s->hub), &txn) == LT_OK) {
		(void)lt_kv_count(txn, LT_T_SHOWN, &r.records);
		r.unit_name = (char *)lt_record_unit_name(txn, id->unit.s, &a.arena);
		lt_kv_abort(txn);
	}
	if (lt_kv_begin_read(lt_hub_log(a.s->hub), &txn) == LT_OK) {
		(void)lt_kv_count(txn, LT_T_HELD, &r.held);
		(void)lt_hub_forks(txn, NULL, NULL, &r.forks);
		lt_kv_abort(txn);
	}
	r.rebuilding = lt_hub_mending(a.s->hub);
	r.recovering = lt_hub_recovering(a.s->hub);
	r.awaited = (uint32_t)lt_recovery_awaited(a.s->hub);
	lt_scrubbing_status(a.s->scrubber, &r);
	closure(&r, data);
	lt_asking_end(&a);
}

/* ---- nodes ---- */

static int
node_status(struct lt_asking *a, struct lt_kv_txn *log, struct lt_kv_txn *derived,
    const struct lt_principal *p, Ltpb__NodeStatus **out)
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
		n->foreign = f.foreign;
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
	if (a->s->twins != NULL)
		n->twins = lt_twins_refused(a->s->twins, &p->id);
	*out = n;
	return lt_hub_forks(log, &p->unit, &p->id, &n->forks);
}

static void
list_nodes(Ltpb__Admin_Service *service, const Ltpb__ListNodesRequest *req,
    Ltpb__ListNodesReply_Closure closure, void *data)
{
	Ltpb__ListNodesReply r = LTPB__LIST_NODES_REPLY__INIT;
	struct lt_kv_txn *derived = NULL, *log = NULL;
	struct lt_asking a;
	size_t i;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_kv_begin_read(lt_hub_derived(a.s->hub), &derived);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &log);
	r.node = lt_arena_alloc(&a.arena, (lt_registry_count(a.reg) + 1) * sizeof(*r.node));
	if (rc == LT_OK && r.node == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < lt_registry_count(a.reg); i++) {
		const struct lt_principal *p = lt_registry_at(a.reg, i);
		bool node = p->role == LTPB__ROLE__ROLE_NODE;

		if ((node || req->all_roles) &&
		    lt_access_unit(&a.who, LT_VERB_INSPECT, node ? p->unit.s : "_"))
			rc = node_status(&a, log, derived, p, &r.node[r.n_node]);
		else
			continue;
		r.n_node += rc == LT_OK;
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "NODES", "");
	lt_kv_abort(log);
	lt_kv_abort(derived);
	lt_asking_end(&a);
}

/* ---- feeds and the log ---- */

static bool
unit_in_sight(void *ctx, const char *unit)
{
	return lt_access_unit(ctx, LT_VERB_INSPECT, unit);
}

static bool
changes_in_sight(void *ctx, const char *unit, const char *collection)
{
	return lt_access_log(ctx, unit, collection);
}

static void
list_feeds(Ltpb__Admin_Service *service, const Ltpb__ListFeedsRequest *req,
    Ltpb__ListFeedsReply_Closure closure, void *data)
{
	Ltpb__ListFeedsReply r = LTPB__LIST_FEEDS_REPLY__INIT;
	struct lt_feeds_sight sight = { unit_in_sight, changes_in_sight, NULL };
	struct lt_kv_txn *txn;
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	sight.ctx = &a.who;
	rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = lt_feeds_list(txn, req, a.reg, &sight, false, FEEDS_MAX, &a.arena, &r);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "FEEDS", "");
	lt_asking_end(&a);
}

static int
each_evidence(void *ctx, struct lt_kv_txn *log, const struct lt_unit *unit,
    int (*fn)(void *to, const struct lt_changeset *cs), void *to)
{
	(void)ctx;
	return lt_forks_evidence(log, unit, fn, to);
}

static void
list_forks(Ltpb__Admin_Service *service, const Ltpb__ListForksRequest *req,
    Ltpb__ListForksReply_Closure closure, void *data)
{
	static const struct lt_forks_from from = { each_evidence, NULL };
	struct lt_feeds_sight sight = { unit_in_sight, changes_in_sight, NULL };
	Ltpb__ListForksReply r = LTPB__LIST_FORKS_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	sight.ctx = &a.who;
	rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = lt_forks_list(txn, req, a.reg, &sight, &from, &a.arena, &r, &err);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "FORKS", &err);
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

static void
read_log(Ltpb__Admin_Service *service, const Ltpb__ReadLogRequest *req,
    Ltpb__ReadLogReply_Closure closure, void *data)
{
	struct lt_feeds_sight sight = { unit_in_sight, changes_in_sight, NULL };
	Ltpb__ReadLogReply r = LTPB__READ_LOG_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	sight.ctx = &a.who;
	rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = lt_feeds_read(txn, req, open_nothing, &sight, &a.arena, &r, &err);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "LOG", &err);
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

/* Nobody gives more than it has: with what stands in the request, or, where that says nothing, all that the role may. */
static int
may_invite(struct lt_asking *a, const Ltpb__InviteRequest *req, struct lt_err *err)
{
	Ltpb__Grant *grant;
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, LT_GRANT_BYTES_MAX);
	rc = lt_grant_take(a->s->hub, req->role, req->grant, &b, err);
	if (rc == LT_OK)
		rc = lt_grant_read(lt_buf_slice(&b), &a->arena, &grant);
	if (rc == LT_OK && !lt_asking_may_give(a, req->role, req->unit, grant))
		rc = req->role == LTPB__ROLE__ROLE_NODE
			 ? lt_err_both(err, LT_E_DENIED,
			       "this operator's grant does not cover all of that commune: it "
			       "cannot invite "
			       "its node",
			       "quyền của người vận hành này không gồm hết xã đó nên không mời "
			       "được máy của xã; hãy "
			       "nhờ người có quyền, hoặc mời tại máy đầu mối")
			 : lt_err_both(err, LT_E_DENIED,
			       "an operator gives no more than its own grant has: name verbs, "
			       "units, "
			       "collections and fields within it",
			       "người vận hành không cấp nhiều hơn quyền mình có; hãy nêu verbs, "
			       "units, "
			       "collections và fields trong phần đó");
	lt_buf_fini(&b);
	return rc;
}

/* What a commune is called, in the arena; "" when that is not known. */
static char *
unit_name(struct lt_asking *a, const char *unit)
{
	const char *name = "";
	struct lt_kv_txn *txn;

	if (unit[0] != '\0' && lt_kv_begin_read(lt_hub_derived(a->s->hub), &txn) == LT_OK) {
		name = lt_record_unit_name(txn, unit, &a->arena);
		lt_kv_abort(txn);
	}
	return (char *)name;
}

static void
invite(Ltpb__Admin_Service *service, const Ltpb__InviteRequest *req,
    Ltpb__InviteReply_Closure closure, void *data)
{
	Ltpb__InviteReply r = LTPB__INVITE_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_issuer issuer;
	struct lt_asking a;
	struct lt_buf line;
	bool own = req->n_address != 0;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	lt_buf_init(&line, 4096);
	rc = may_invite(&a, req, &err);
	if (rc == LT_OK)
		rc = lt_enrol_invite_by(a.s->enrol, lt_asking_issuer(&a, &issuer), req,
		    own ? (const char *const *)req->address : a.s->addresses,
		    own ? req->n_address : a.s->naddress, &line, &r.expires_s, &err);
	lt_buf_u8(&line, 0);
	if (rc == LT_OK && line.err == LT_OK) {
		r.line = (char *)line.data;
		r.grant = req->grant;
		r.unit_name = unit_name(&a, req->unit);
		closure(&r, data);
	} else {
		lt_asking_refuse(&a, rc != LT_OK ? rc : line.err, "INVITE", &err);
	}
	if (line.len != 0)
		sodium_memzero(line.data, line.len); /* the token lets a machine in */
	lt_buf_fini(&line);
	lt_asking_end(&a);
}

static bool
sees_alarm(const struct lt_asking *a, const Ltpb__InvitationAlarm *m)
{
	return lt_access_unit(&a->who, LT_VERB_ENROL, m->unit[0] != '\0' ? m->unit : "_");
}

/* Those whom the asker may answer. */
static bool
may_answer(void *ctx, const Ltpb__Enrolment *e)
{
	return lt_asking_may_give(ctx, e->role, e->unit, e->grant);
}

/* Who is in the registry has the state that stands there: the list keeps only what was answered, and a machine that was let in may
 * have been suspended, revoked or retired since. */
static void
tell_state(struct lt_asking *a, Ltpb__Enrolment *e)
{
	const struct lt_principal *p;
	struct lt_id id;

	memcpy(id.b, e->principal.data, LT_ID_LEN);
	p = lt_registry_find(a->reg, &id);
	if (p != NULL && p->nkey != 0)
		e->state = p->state;
}

/* And alarms of units within its grant. */
static void
keep_own(struct lt_asking *a, Ltpb__ListEnrolmentsReply *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->n_enrolment; i++) {
		tell_state(a, r->enrolment[i]);
		r->enrolment[i]->unit_name = unit_name(a, r->enrolment[i]->unit);
	}
	for (i = 0; i < r->n_alarm; i++) {
		Ltpb__InvitationAlarm *m = r->alarm[i];

		if (sees_alarm(a, m))
			r->alarm[n++] = m;
	}
	r->n_alarm = n;
}

static void
list_enrolments(Ltpb__Admin_Service *service, const Ltpb__ListEnrolmentsRequest *req,
    Ltpb__ListEnrolmentsReply_Closure closure, void *data)
{
	Ltpb__ListEnrolmentsReply r = LTPB__LIST_ENROLMENTS_REPLY__INIT;
	struct lt_asking a;
	bool more = false;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_enrol_list(
	    a.s->enrol, may_answer, &a, &a.arena, &r.enrolment, &r.n_enrolment, &more);
	r.more = more;
	if (rc == LT_OK)
		rc = lt_alarms_list(
		    lt_enrol_alarms(a.s->enrol), req->acknowledged, &a.arena, &r.alarm, &r.n_alarm);
	if (rc == LT_OK)
		keep_own(&a, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ENROLMENTS", "");
	lt_asking_end(&a);
}

/* What was heard over the telephone against what is so. */
static int
check_words(const char *heard, const char *fingerprint, struct lt_err *err)
{
	uint8_t a[8], b[8];
	int rc = lt_words_parse(heard, a, sizeof(a), err);

	if (rc == LT_OK)
		rc = lt_words_parse(fingerprint, b, sizeof(b), err);
	if (rc == LT_OK && sodium_memcmp(a, b, sizeof(a)) != 0)
		rc = lt_err_both(err, LT_E_REFUSED,
		    "the words are not this machine's: nobody was let in; have them read again, "
		    "and "
		    "reject the machine if they still differ",
		    "tám từ không phải của máy này, nên chưa chấp nhận ai; hãy nghe đọc lại, nếu "
		    "vẫn khác thì từ chối máy này");
	return rc;
}

static void
answer(Ltpb__Admin_Service *service, void *data, Ltpb__ApproveReply_Closure closure,
    const ProtobufCBinaryData *principal, bool approve, const char *words, const char *reason)
{
	const char *subject = "ENROLMENT";
	Ltpb__ApproveReply r = LTPB__APPROVE_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	Ltpb__Enrolment *e;
	struct lt_id id;
	int rc = LT_E_INVALID;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	if (principal->len == LT_ID_LEN) {
		memcpy(id.b, principal->data, LT_ID_LEN);
		rc = lt_enrol_find(a.s->enrol, &id, &a.arena, &e);
		if (rc == LT_OK && !lt_asking_may_give(&a, e->role, e->unit, e->grant))
			rc = LT_E_NOTFOUND;
		if (rc == LT_E_NOTFOUND)
			(void)lt_err_both(&err, rc,
			    "nobody with this id has asked to join, or it would get more than who "
			    "answers has itself",
			    "không có máy nào mang mã này xin tham gia, hoặc nó xin nhiều quyền "
			    "hơn bạn có; hãy xem 'ltctl enrol list'");
	}
	if (rc == LT_OK && words[0] != '\0') {
		rc = check_words(words, e->fingerprint, &err);
		if (rc != LT_OK)
			subject = "WORDS";
	}
	if (rc == LT_OK) {
		rc = approve ? lt_enrol_approve(a.s->enrol, &id, &err)
			     : lt_enrol_reject(a.s->enrol, &id, reason, &err);
	}
	r.state = approve ? LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
			  : LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED;
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, subject, &err);
	lt_asking_end(&a);
}

static void
approve(Ltpb__Admin_Service *service, const Ltpb__ApproveRequest *req,
    Ltpb__ApproveReply_Closure closure, void *data)
{
	answer(service, data, closure, &req->principal, true, req->words, "");
}

static void
reject(Ltpb__Admin_Service *service, const Ltpb__RejectRequest *req,
    Ltpb__ApproveReply_Closure closure, void *data)
{
	answer(service, data, closure, &req->principal, false, "", req->reason);
}

static bool
sees_invitation(struct lt_asking *a, const Ltpb__OpenInvitation *i)
{
	return lt_asking_may_give(a, i->role, i->unit, i->grant);
}

static void
list_invitations(Ltpb__Admin_Service *service, const Ltpb__ListInvitationsRequest *req,
    Ltpb__ListInvitationsReply_Closure closure, void *data)
{
	Ltpb__ListInvitationsReply r = LTPB__LIST_INVITATIONS_REPLY__INIT;
	struct lt_asking a;
	size_t i, n;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = lt_enrol_invitations(a.s->enrol, req->all, &a.arena, &r.invitation, &n);
	for (i = 0; rc == LT_OK && i < n; i++) {
		if (!sees_invitation(&a, r.invitation[i]))
			continue;
		r.invitation[i]->unit_name = unit_name(&a, r.invitation[i]->unit);
		r.invitation[r.n_invitation++] = r.invitation[i];
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "INVITATIONS", "");
	lt_asking_end(&a);
}

/* What the asker may not give is not there. */
static int
cancel(struct lt_asking *a, const Ltpb__CancelInvitationRequest *req, Ltpb__OpenInvitation **out,
    struct lt_err *err)
{
	struct lt_hash id;
	int rc;

	if (req->id.len != LT_HASH_LEN)
		return lt_err_both(err, LT_E_INVALID, "an invitation is named by 32 bytes",
		    "thư mời được nêu bằng mã 32 byte; hãy xem 'ltctl enrol invitations'");
	memcpy(id.b, req->id.data, LT_HASH_LEN);
	rc = lt_enrol_invitation(a->s->enrol, &id, &a->arena, out);
	if (rc == LT_E_NOTFOUND || (rc == LT_OK && !sees_invitation(a, *out)))
		return lt_err_both(err, LT_E_NOTFOUND, "there is no such invitation",
		    "không có thư mời này, hoặc nó không thuộc quyền của bạn; hãy xem 'ltctl enrol "
		    "invitations'");
	if (rc == LT_OK)
		rc = lt_enrol_cancel(a->s->enrol, &id, err);
	if (rc == LT_OK)
		rc = lt_enrol_invitation(a->s->enrol, &id, &a->arena, out);
	if (rc == LT_OK)
		(*out)->unit_name = unit_name(a, (*out)->unit);
	return rc;
}

static void
cancel_invitation(Ltpb__Admin_Service *service, const Ltpb__CancelInvitationRequest *req,
    Ltpb__CancelInvitationReply_Closure closure, void *data)
{
	Ltpb__CancelInvitationReply r = LTPB__CANCEL_INVITATION_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = cancel(&a, req, &r.invitation, &err);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "INVITATION", &err);
	lt_asking_end(&a);
}

/* What the asker does not see is not there. */
static int
acknowledge(
    struct lt_asking *a, const Ltpb__AcknowledgeAlarmRequest *req, Ltpb__InvitationAlarm **alarm)
{
	struct lt_alarms *alarms = lt_enrol_alarms(a->s->enrol);
	const struct lt_id *by = a->who.principal != NULL ? &a->who.principal->id : NULL;
	struct lt_hash id;
	int rc;

	if (req->id.len != LT_HASH_LEN)
		return LT_E_INVALID;
	memcpy(id.b, req->id.data, LT_HASH_LEN);
	rc = lt_alarm_find(alarms, &id, &a->arena, alarm);
	if (rc == LT_OK && !sees_alarm(a, *alarm))
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK)
		rc = lt_alarm_acknowledge(alarms, &id, req->times, by);
	return rc == LT_OK ? lt_alarm_find(alarms, &id, &a->arena, alarm) : rc;
}

static void
acknowledge_alarm(Ltpb__Admin_Service *service, const Ltpb__AcknowledgeAlarmRequest *req,
    Ltpb__AcknowledgeAlarmReply_Closure closure, void *data)
{
	Ltpb__AcknowledgeAlarmReply r = LTPB__ACKNOWLEDGE_ALARM_REPLY__INIT;
	struct lt_asking a;
	int rc;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	rc = acknowledge(&a, req, &r.alarm);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "ALARM",
		    rc == LT_E_NOTFOUND  ? "there is no such alarm"
		    : rc == LT_E_INVALID ? "an alarm is named by 32 bytes"
					 : "");
	lt_asking_end(&a);
}

/* ---- the store ---- */

static void
scrub(Ltpb__Admin_Service *service, const Ltpb__ScrubRequest *req, Ltpb__ScrubReply_Closure closure,
    void *data)
{
	Ltpb__ScrubReply r = LTPB__SCRUB_REPLY__INIT;
	struct lt_asking a;
	int rc = LT_E_DENIED;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	/* It is of everybody's data, and costs the hub time. */
	if (lt_access_unit(&a.who, LT_VERB_INSPECT, "_"))
		rc = lt_scrubbing_answer(a.s->scrubber, req, &a.arena, &r);
	if (rc == LT_OK)
		rc = lt_repairing_tell(lt_hub_repair_repairer(a.s->repair),
		    lt_hub_repair_unasked(a.s->repair), &a.arena, &r.repair);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "SCRUB", "");
	lt_asking_end(&a);
}

static void
rebuild(Ltpb__Admin_Service *service, const Ltpb__RebuildRequest *req,
    Ltpb__RebuildReply_Closure closure, void *data)
{
	Ltpb__RebuildReply r = LTPB__REBUILD_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	int rc = LT_OK;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	/* Nobody gets an answer meanwhile: that is not for everybody who may look. */
	if (!lt_access_unit(&a.who, LT_VERB_ENROL, "_"))
		rc = LT_E_DENIED;
	if (rc == LT_OK && req->start && !req->anyway)
		rc = lt_scrubbing_may_rebuild(a.s->scrubber, &err);
	if (rc == LT_OK && req->start)
		lt_hub_rebuild(a.s->hub);
	r.running = lt_hub_mending(a.s->hub);
	r.position = lt_hub_projected(a.s->hub);
	r.log_head = lt_hub_log_position(a.s->hub);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "REBUILD", &err);
	lt_asking_end(&a);
}

/* Whoever may say so answers for what the hub then does not know. */
static int
go_on(struct lt_asking *a, const Ltpb__RecoveryRequest *req, struct lt_err *err)
{
	const struct lt_id *by = a->who.principal != NULL ? &a->who.principal->id : NULL;
	struct lt_unit unit;
	size_t i, n;
	int rc = LT_OK;

	if (req->n_without == 0 && !req->without_all)
		return LT_OK;
	if (!lt_access_unit(&a->who, LT_VERB_ENROL, "_"))
		return LT_E_DENIED;
	for (i = 0; rc == LT_OK && i < req->n_without; i++) {
		if (lt_unit_set(&unit, lt_slice_str(req->without[i])) != LT_OK)
			return lt_err_both(err, LT_E_INVALID, "a unit is named by its code",
			    "đơn vị được nêu bằng mã của nó; hãy xem 'ltctl recovery'");
		rc = lt_hub_go_on_without(a->s->hub, &unit, by, &n, err);
	}
	if (rc == LT_OK && req->without_all)
		rc = lt_hub_go_on_without(a->s->hub, NULL, by, &n, err);
	return rc;
}

static void
recovery(Ltpb__Admin_Service *service, const Ltpb__RecoveryRequest *req,
    Ltpb__RecoveryReply_Closure closure, void *data)
{
	Ltpb__RecoveryReply r = LTPB__RECOVERY_REPLY__INIT;
	struct lt_err err = { "" };
	struct lt_asking a;
	int rc = LT_E_DENIED;

	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	/* It names machines of every commune. */
	if (lt_access_unit(&a.who, LT_VERB_INSPECT, "_"))
		rc = go_on(&a, req, &err);
	if (rc == LT_OK)
		rc = lt_recovery_tell(a.s->hub, &a.arena, &r);
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_refuse(&a, rc, "RECOVERY", &err);
	lt_asking_end(&a);
}

static void
show_checkpoint(Ltpb__Admin_Service *service, const Ltpb__ShowCheckpointRequest *req,
    Ltpb__ShowCheckpointReply_Closure closure, void *data)
{
	Ltpb__ShowCheckpointReply r = LTPB__SHOW_CHECKPOINT_REPLY__INIT;
	struct lt_kv_txn *txn;
	struct lt_asking a;
	int rc = LT_E_DENIED;

	(void)req;
	lt_asking_begin(&a, LT_SERVICE_OF(service, admin_rpc), data);
	/* It names machines of every commune. */
	if (lt_access_unit(&a.who, LT_VERB_INSPECT, "_"))
		rc = lt_kv_begin_read(lt_hub_log(a.s->hub), &txn);
	if (rc == LT_OK) {
		rc = lt_checkpoint_show(
		    txn, a.reg, lt_hub_identity(a.s->hub)->certificate, &a.arena, &r);
		lt_kv_abort(txn);
	}
	if (rc == LT_OK)
		closure(&r, data);
	else
		lt_asking_fail(&a, rc, "CHECKPOINT", "");
	lt_asking_end(&a);
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
	.reject = reject,
	.list_invitations = list_invitations,
	.cancel_invitation = cancel_invitation,
	.acknowledge_alarm = acknowledge_alarm,
	.scrub = scrub,
	.rebuild = rebuild,
	.list_grants = lt_admin_list_grants,
	.give_grant = lt_admin_give_grant,
	.take_grant = lt_admin_take_grant,
	.recovery = recovery,
	.erase = lt_admin_erase,
	.who_holds = lt_admin_who_holds,
	.list_erasures = lt_admin_list_erasures,
	.list_forks = list_forks,
	.show_checkpoint = show_checkpoint };
