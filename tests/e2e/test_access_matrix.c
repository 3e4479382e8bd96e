/* Who may call what, see what and send what: every method of every service tried as everybody there is, and records,
 * fields and feeds beyond one's own. Expected values are written by hand from the rules (proto/store/access.h). */
#include "hub/recovery.h"
#include "tests/lib/peer.h"
#include "proto/base/file.h"
#include "proto/feed/proof.h"
#include "proto/rpc/health.h"
#include "proto/store/feed_log.h"
#include "proto/store/query.h"

#include "grpc/health/v1/health.pb-c.h"
#include "lienthong/v1/reflection.pb-c.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOSSIER "H41.65-261120-0001"
#define HOUSEHOLD "HN00975"
#define DIRECTIVE "CD-40-20261102-01"

enum who {
	STRANGER, /* let in because an invitation is open, which is not its own */
	PENDING,
	NODE, /* of 17254 */
	OTHER_NODE, /* of 16906 */
	AGRICULTURE, /* department */
	JUSTICE, /* department */
	OPERATOR,
	MIRROR,
	LOCAL, /* at the hub's own machine */
	SUSPENDED, /* a node of 17254, on the line when it happened */
	REVOKED, /* an operator, likewise */
	WHO_COUNT
};

static const char *const who_name[] = { "stranger", "pending", "node", "other node", "agriculture",
	"justice", "operator", "mirror", "local", "suspended", "revoked" };

struct world {
	struct fed f;
	struct fed_peer who[WHO_COUNT];
	struct fed_feed feed[WHO_COUNT];
	struct lt_arena arena;
	struct lt_id pending, rejected, spare;
};

/* ---- requests that are right in everything but who sends them ---- */

typedef const ProtobufCMessage *request_fn(struct world *w, enum who who);

#define NEW(type, init) \
	type *r = lt_arena_alloc(&w->arena, sizeof(*r)); \
	assert_non_null(r); \
	init(r)

static const ProtobufCMessage *
req_health(struct world *w, enum who who)
{
	NEW(Healthpb__HealthCheckRequest, healthpb__health_check_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_join(struct world *w, enum who who)
{
	uint8_t *proof = lt_arena_alloc(&w->arena, LT_SIG_LEN);

	NEW(Ltpb__JoinRequest, ltpb__join_request__init);
	fed_join_request(&w->who[who].id, proof, r);
	return &r->base;
}

static const ProtobufCMessage *
req_hello(struct world *w, enum who who)
{
	NEW(Ltpb__HelloRequest, ltpb__hello_request__init);
	r->principal.data = w->who[who].id.principal.b;
	r->principal.len = LT_ID_LEN;
	r->instance.data = w->who[who].id.principal.b;
	r->instance.len = 16;
	r->clock_ms = lt_wall_ms(lt_clock_system());
	return &r->base;
}

static const ProtobufCMessage *
req_push(struct world *w, enum who who)
{
	ProtobufCBinaryData *d = lt_arena_alloc(&w->arena, sizeof(*d));
	struct lt_draft draft;
	struct lt_buf b;

	NEW(Ltpb__PushRequest, ltpb__push_request__init);
	fed_draft_dossier(&w->arena, &draft, "H41.65-261120-7777");
	lt_buf_init(&b, 0);
	fed_seal(&w->f, &w->feed[who], &draft, 1, &b);
	d->data = lt_arena_dup(&w->arena, b.data, b.len);
	d->len = b.len;
	lt_buf_fini(&b);
	r->change_set = d;
	r->n_change_set = 1;
	return &r->base;
}

static const ProtobufCMessage *
req_pull(struct world *w, enum who who)
{
	NEW(Ltpb__PullRequest, ltpb__pull_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_announce(struct world *w, enum who who)
{
	NEW(Ltpb__AnnounceRequest, ltpb__announce_request__init);
	(void)who;
	return &r->base;
}

/* Of something that is nowhere: no error for who may ask. */
static const ProtobufCMessage *
req_fetch(struct world *w, enum who who)
{
	static uint8_t feed[LT_FEED_LEN] = { 1 };
	NEW(Ltpb__FetchRequest, ltpb__fetch_request__init);
	Ltpb__ChangeSetName *name = lt_arena_alloc(&w->arena, sizeof(*name));

	(void)who;
	r->wanted = lt_arena_alloc(&w->arena, sizeof(*r->wanted));
	ltpb__change_set_name__init(name);
	name->unit = (char *)"_";
	name->feed.data = feed;
	name->feed.len = sizeof(feed);
	name->seq = 1;
	r->wanted[r->n_wanted++] = name;
	return &r->base;
}

static const ProtobufCMessage *
req_supply(struct world *w, enum who who)
{
	static uint8_t garbage[] = { 0xff };
	NEW(Ltpb__SupplyRequest, ltpb__supply_request__init);

	(void)who;
	r->change_set = lt_arena_alloc(&w->arena, sizeof(*r->change_set));
	r->change_set[0].data = garbage;
	r->change_set[0].len = sizeof(garbage);
	r->n_change_set = 1;
	return &r->base;
}

static Ltpb__FieldSet **
directive_fields(struct world *w, size_t *n)
{
	struct lt_arena *a = &w->arena;
	Ltpb__FieldSet **v = lt_arena_alloc(a, 8 * sizeof(*v));

	*n = 0;
	v[(*n)++] = fed_field(a, "issuer_person", LT_TYPE_TEXT, "Nguyễn Văn Thử");
	v[(*n)++] = fed_field(a, "issuer_role", LT_TYPE_TEXT, "Chủ tịch");
	v[(*n)++] = fed_field(a, "issuing_body", LT_TYPE_TEXT, "ubnd_tinh");
	v[(*n)++] = fed_field(a, "sector", LT_TYPE_ENUM, "giam_ngheo");
	v[(*n)++] = fed_field(a, "work_text", LT_TYPE_TEXT, "Rà soát hộ nghèo");
	v[(*n)++] = fed_field(a, "deadline_kind", LT_TYPE_ENUM, "none");
	v[(*n)++] = fed_field(a, "lead_orgs", LT_TYPE_SET, "so_tai_chinh");
	v[(*n)++] = fed_field(a, "status", LT_TYPE_ENUM, "assigned");
	return v;
}

static const ProtobufCMessage *
req_put(struct world *w, enum who who)
{
	NEW(Ltpb__PutRequest, ltpb__put_request__init);
	(void)who;
	r->collection = (char *)"directive";
	r->unit = (char *)"40";
	r->key = (char *)DIRECTIVE;
	r->actor = (char *)"op01";
	r->field = directive_fields(w, &r->n_field);
	return &r->base;
}

static const ProtobufCMessage *
req_delete(struct world *w, enum who who)
{
	NEW(Ltpb__DeleteRequest, ltpb__delete_request__init);
	(void)who;
	r->collection = (char *)"directive";
	r->unit = (char *)"40";
	r->key = (char *)"CD-40-20261102-09";
	return &r->base;
}

static const ProtobufCMessage *
req_import(struct world *w, enum who who)
{
	Ltpb__ImportRow *row = lt_arena_alloc(&w->arena, sizeof(*row));
	Ltpb__ImportRow **rows = lt_arena_alloc(&w->arena, sizeof(*rows));

	NEW(Ltpb__ImportRequest, ltpb__import_request__init);
	(void)who;
	ltpb__import_row__init(row);
	row->row = 1;
	row->key = (char *)"CD-40-20261102-02";
	row->field = directive_fields(w, &row->n_field);
	rows[0] = row;
	r->collection = (char *)"directive";
	r->unit = (char *)"40";
	r->row = rows;
	r->n_row = 1;
	return &r->base;
}

static const ProtobufCMessage *
req_get(struct world *w, enum who who)
{
	NEW(Ltpb__GetRequest, ltpb__get_request__init);
	(void)who;
	r->collection = (char *)"dossier";
	r->unit = (char *)"17254";
	r->key = (char *)DOSSIER;
	return &r->base;
}

static const ProtobufCMessage *
req_list(struct world *w, enum who who)
{
	NEW(Ltpb__ListRequest, ltpb__list_request__init);
	(void)who;
	r->collection = (char *)"dossier";
	return &r->base;
}

static const ProtobufCMessage *
req_aggregate(struct world *w, enum who who)
{
	NEW(Ltpb__AggregateRequest, ltpb__aggregate_request__init);
	(void)who;
	r->collection = (char *)"dossier";
	return &r->base;
}

static const ProtobufCMessage *
req_history(struct world *w, enum who who)
{
	NEW(Ltpb__HistoryRequest, ltpb__history_request__init);
	(void)who;
	r->collection = (char *)"dossier";
	r->unit = (char *)"17254";
	r->key = (char *)DOSSIER;
	return &r->base;
}

static const ProtobufCMessage *
req_prove(struct world *w, enum who who)
{
	NEW(Ltpb__ProveRequest, ltpb__prove_request__init);
	(void)who;
	r->collection = (char *)"dossier";
	r->unit = (char *)"17254";
	r->key = (char *)DOSSIER;
	return &r->base;
}

static const ProtobufCMessage *
req_refused(struct world *w, enum who who)
{
	NEW(Ltpb__RefusedRequest, ltpb__refused_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_freshness(struct world *w, enum who who)
{
	NEW(Ltpb__FreshnessRequest, ltpb__freshness_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_status(struct world *w, enum who who)
{
	NEW(Ltpb__StatusRequest, ltpb__status_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_nodes(struct world *w, enum who who)
{
	NEW(Ltpb__ListNodesRequest, ltpb__list_nodes_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_feeds(struct world *w, enum who who)
{
	NEW(Ltpb__ListFeedsRequest, ltpb__list_feeds_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_forks(struct world *w, enum who who)
{
	NEW(Ltpb__ListForksRequest, ltpb__list_forks_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_checkpoint(struct world *w, enum who who)
{
	NEW(Ltpb__ShowCheckpointRequest, ltpb__show_checkpoint_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_log(struct world *w, enum who who)
{
	NEW(Ltpb__ReadLogRequest, ltpb__read_log_request__init);
	(void)who;
	r->unit = (char *)"17254";
	r->feed.data = w->feed[NODE].id.b;
	r->feed.len = LT_FEED_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_receipts(struct world *w, enum who who)
{
	NEW(Ltpb__ListReceiptsRequest, ltpb__list_receipts_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_invite(struct world *w, enum who who)
{
	NEW(Ltpb__InviteRequest, ltpb__invite_request__init);
	(void)who;
	r->role = LTPB__ROLE__ROLE_NODE;
	r->unit = (char *)"16855";
	return &r->base;
}

static const ProtobufCMessage *
req_enrolments(struct world *w, enum who who)
{
	NEW(Ltpb__ListEnrolmentsRequest, ltpb__list_enrolments_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_approve(struct world *w, enum who who)
{
	NEW(Ltpb__ApproveRequest, ltpb__approve_request__init);
	(void)who;
	r->principal.data = w->pending.b;
	r->principal.len = LT_ID_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_reject(struct world *w, enum who who)
{
	NEW(Ltpb__RejectRequest, ltpb__reject_request__init);
	(void)who;
	r->principal.data = w->rejected.b;
	r->principal.len = LT_ID_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_grants(struct world *w, enum who who)
{
	NEW(Ltpb__ListGrantsRequest, ltpb__list_grants_request__init);
	(void)who;
	return &r->base;
}

/* All that the role may, which it has already. */
static const ProtobufCMessage *
req_give(struct world *w, enum who who)
{
	NEW(Ltpb__GiveGrantRequest, ltpb__give_grant_request__init);
	(void)who;
	r->principal.data = w->who[REVOKED].id.principal.b;
	r->principal.len = LT_ID_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_take(struct world *w, enum who who)
{
	uint32_t *number = lt_arena_alloc(&w->arena, sizeof(*number));

	NEW(Ltpb__TakeGrantRequest, ltpb__take_grant_request__init);
	(void)who;
	*number = 1;
	r->principal.data = w->who[REVOKED].id.principal.b;
	r->principal.len = LT_ID_LEN;
	r->number = number;
	r->n_number = 1;
	return &r->base;
}

/* An alarm of a commune: rung once, and the same id each time. */
static struct lt_hash
ring(struct world *w, const char *unit)
{
	struct lt_alarm a = { .role = LTPB__ROLE__ROLE_NODE };

	assert_int_equal(lt_unit_set(&a.unit, lt_slice_str(unit)), LT_OK);
	memcpy(a.token.b, unit, strlen(unit));
	lt_alarm_raise(lt_enrol_alarms(w->f.enrol), &a);
	return a.token;
}

static const ProtobufCMessage *
req_acknowledge(struct world *w, enum who who)
{
	struct lt_hash id = ring(w, "16855");

	NEW(Ltpb__AcknowledgeAlarmRequest, ltpb__acknowledge_alarm_request__init);
	(void)who;
	r->id.data = lt_arena_dup(&w->arena, id.b, LT_HASH_LEN);
	r->id.len = LT_HASH_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_invitations(struct world *w, enum who who)
{
	NEW(Ltpb__ListInvitationsRequest, ltpb__list_invitations_request__init);
	(void)who;
	return &r->base;
}

/* One that is open, for each who asks. */
static const ProtobufCMessage *
req_cancel(struct world *w, enum who who)
{
	struct fed_peer p;
	struct lt_hash id;

	NEW(Ltpb__CancelInvitationRequest, ltpb__cancel_invitation_request__init);
	(void)who;
	fed_invite(&w->f, &p, LTPB__ROLE__ROLE_NODE, "16855", false);
	lt_h1(LT_TAG_TOKEN, lt_slice(p.id.token, 16), &id);
	r->id.data = lt_arena_dup(&w->arena, id.b, LT_HASH_LEN);
	r->id.len = LT_HASH_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_scrub(struct world *w, enum who who)
{
	NEW(Ltpb__ScrubRequest, ltpb__scrub_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_rebuild(struct world *w, enum who who)
{
	NEW(Ltpb__RebuildRequest, ltpb__rebuild_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_recovery(struct world *w, enum who who)
{
	NEW(Ltpb__RecoveryRequest, ltpb__recovery_request__init);
	(void)who;
	return &r->base;
}

/* Nothing goes: it is not confirmed. */
static const ProtobufCMessage *
req_erase(struct world *w, enum who who)
{
	NEW(Ltpb__EraseRequest, ltpb__erase_request__init);
	(void)who;
	r->unit = (char *)"17254";
	r->collection = (char *)"dossier";
	r->key = (char *)DOSSIER;
	return &r->base;
}

static const ProtobufCMessage *
req_who_holds(struct world *w, enum who who)
{
	NEW(Ltpb__WhoHoldsRequest, ltpb__who_holds_request__init);
	(void)who;
	r->value = (char *)"099170000016";
	return &r->base;
}

static const ProtobufCMessage *
req_erasures(struct world *w, enum who who)
{
	NEW(Ltpb__ListErasuresRequest, ltpb__list_erasures_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_audit(struct world *w, enum who who)
{
	NEW(Ltpb__AuditListRequest, ltpb__audit_list_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_audit_verify(struct world *w, enum who who)
{
	NEW(Ltpb__AuditVerifyRequest, ltpb__audit_verify_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_audit_prove(struct world *w, enum who who)
{
	NEW(Ltpb__AuditProveRequest, ltpb__audit_prove_request__init);
	(void)who;
	r->seq = 1;
	return &r->base;
}

static const ProtobufCMessage *
req_audit_unit(struct world *w, enum who who)
{
	static char all[] = "*";
	NEW(Ltpb__AuditUnitRequest, ltpb__audit_unit_request__init);
	(void)who;
	r->unit = all;
	return &r->base;
}

static const ProtobufCMessage *
req_principals(struct world *w, enum who who)
{
	NEW(Ltpb__ListPrincipalsRequest, ltpb__list_principals_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_change(struct world *w, enum who who)
{
	NEW(Ltpb__ChangePrincipalRequest, ltpb__change_principal_request__init);
	(void)who;
	r->principal.data = w->who[OTHER_NODE].id.principal.b;
	r->principal.len = LT_ID_LEN;
	r->action = LTPB__PRINCIPAL_ACTION__PRINCIPAL_ACTION_RESUME;
	return &r->base;
}

static const ProtobufCMessage *
req_replace(struct world *w, enum who who)
{
	NEW(Ltpb__ReplacePrincipalRequest, ltpb__replace_principal_request__init);
	(void)who;
	r->principal.data = w->spare.b;
	r->principal.len = LT_ID_LEN;
	return &r->base;
}

static const ProtobufCMessage *
req_rotate(struct world *w, enum who who)
{
	NEW(Ltpb__RotateRequest, ltpb__rotate_request__init);
	r->key_no = 2;
	r->sign_key.data = w->who[who].id.sign.pk;
	r->line_key.data = w->who[who].id.line_pk;
	r->sign_key.len = r->line_key.len = 32;
	return &r->base;
}

static const ProtobufCMessage *
req_end_rotation(struct world *w, enum who who)
{
	NEW(Ltpb__EndRotationRequest, ltpb__end_rotation_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_rotate_keys(struct world *w, enum who who)
{
	NEW(Ltpb__RotateKeysRequest, ltpb__rotate_keys_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_services(struct world *w, enum who who)
{
	NEW(Ltpb__ListServicesRequest, ltpb__list_services_request__init);
	(void)who;
	return &r->base;
}

static const ProtobufCMessage *
req_describe(struct world *w, enum who who)
{
	NEW(Ltpb__DescribeRequest, ltpb__describe_request__init);
	(void)who;
	r->name = (char *)"grpc.health.v1.Health";
	return &r->base;
}

/* ---- the table ---- */

#define O LT_STATUS_OK
#define D LT_STATUS_PERMISSION_DENIED
#define U LT_STATUS_UNAUTHENTICATED
#define X LT_STATUS_UNIMPLEMENTED
#define I LT_STATUS_INVALID_ARGUMENT

static const struct {
	const char *method;
	request_fn *request;
	int want[SUSPENDED]; /* those who are no more count as strangers: see below */
} table[] = {
	/* stranger, pending, node, other node, agriculture, justice, operator, mirror, local */
	{ "/grpc.health.v1.Health/Check", req_health, { O, O, O, O, O, O, O, O, O } },
	/* The stranger has no invitation of its own; nobody joins who is not on the line. */
	{ "/lienthong.v1.Enrol/Join", req_join, { D, O, O, O, O, O, O, O, D } },
	{ "/lienthong.v1.Sync/Hello", req_hello, { U, U, O, O, D, D, D, D, D } },
	{ "/lienthong.v1.Sync/Push", req_push, { U, U, O, O, D, D, D, D, D } },
	{ "/lienthong.v1.Sync/Pull", req_pull, { U, U, O, O, D, D, D, O, D } },
	{ "/lienthong.v1.Sync/Announce", req_announce, { U, U, O, O, D, D, D, D, D } },
	{ "/lienthong.v1.Sync/Fetch", req_fetch, { U, U, O, O, D, D, D, D, D } },
	{ "/lienthong.v1.Sync/Supply", req_supply, { U, U, O, O, D, D, D, D, D } },
	/* Rightly asked by a node, but for the signatures. */
	{ "/lienthong.v1.Sync/Rotate", req_rotate, { U, U, I, I, D, D, D, D, D } },
	{ "/lienthong.v1.Sync/EndRotation", req_end_rotation, { U, U, O, O, D, D, D, D, D } },
	{ "/lienthong.v1.Records/Put", req_put, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Records/Delete", req_delete, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Records/Import", req_import, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Query/Get", req_get, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/List", req_list, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/Aggregate", req_aggregate, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/History", req_history, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/Refused", req_refused, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/Prove", req_prove, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Query/Freshness", req_freshness, { U, U, D, D, O, O, O, D, O } },
	{ "/lienthong.v1.Admin/Status", req_status, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListNodes", req_nodes, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListFeeds", req_feeds, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListForks", req_forks, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ShowCheckpoint", req_checkpoint, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ReadLog", req_log, { U, U, D, D, D, D, O, D, O } },
	/* Receipts lie with the nodes: the hub says so to those who may ask. */
	{ "/lienthong.v1.Admin/ListReceipts", req_receipts, { U, U, D, D, D, D, X, D, X } },
	{ "/lienthong.v1.Admin/Invite", req_invite, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListEnrolments", req_enrolments, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/Approve", req_approve, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/Reject", req_reject, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListInvitations", req_invitations, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/CancelInvitation", req_cancel, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/AcknowledgeAlarm", req_acknowledge, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/Scrub", req_scrub, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/Rebuild", req_rebuild, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Keys/ListPrincipals", req_principals, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Keys/ChangePrincipal", req_change, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Keys/ReplacePrincipal", req_replace, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/ListGrants", req_grants, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/GiveGrant", req_give, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Admin/TakeGrant", req_take, { U, U, D, D, D, D, O, D, O } },
	{ "/lienthong.v1.Keys/RotateKeys", req_rotate_keys, { U, U, D, D, D, D, X, D, X } },
	{ "/lienthong.v1.Admin/Recovery", req_recovery, { U, U, D, D, D, D, O, D, O } },
	/* The hub of this test keeps no audit, and says so to those who may ask. */
	{ "/lienthong.v1.Audit/ListEntries", req_audit, { U, U, D, D, D, D, X, D, X } },
	{ "/lienthong.v1.Audit/VerifyLog", req_audit_verify, { U, U, D, D, D, D, X, D, X } },
	{ "/lienthong.v1.Audit/ProveEntry", req_audit_prove, { U, U, D, D, D, D, X, D, X } },
	{ "/lienthong.v1.Audit/UnitParts", req_audit_unit, { U, U, X, X, D, D, D, D, D } },
	/* An operator that was invited without saying more may not. */
	{ "/lienthong.v1.Admin/Erase", req_erase, { U, U, D, D, D, D, D, D, O } },
	{ "/lienthong.v1.Admin/WhoHolds", req_who_holds, { U, U, D, D, D, D, D, D, O } },
	{ "/lienthong.v1.Admin/ListErasures", req_erasures, { U, U, D, D, D, D, D, D, O } },
	/* Who may call nothing else learns that. */
	{ "/lienthong.v1.Reflection/ListServices", req_services, { O, O, O, O, O, O, O, O, O } },
	{ "/lienthong.v1.Reflection/Describe", req_describe, { O, O, O, O, O, O, O, O, O } },
};

#define NTABLE (sizeof(table) / sizeof(table[0]))

static const ProtobufCServiceDescriptor *const services[] = { &healthpb__health__descriptor,
	&ltpb__enrol__descriptor, &ltpb__sync__descriptor, &ltpb__records__descriptor,
	&ltpb__query__descriptor, &ltpb__admin__descriptor, &ltpb__keys__descriptor,
	&ltpb__audit__descriptor, &ltpb__reflection__descriptor };

#define NSERVICES (sizeof(services) / sizeof(services[0]))

static bool
in_table(const char *method)
{
	size_t i;

	for (i = 0; i < NTABLE; i++)
		if (strcmp(table[i].method, method) == 0)
			return true;
	return false;
}

/* A method or a service that is added needs a row here before anything else. The method table names every method that
 * a server can be given, so a new service shows there. */
static void
test_every_method_has_a_row(void **state)
{
	size_t i, k, n = 0;
	char name[128];

	(void)state;
	for (i = 0; i < NSERVICES; i++)
		for (k = 0; k < services[i]->n_methods; k++, n++) {
			(void)snprintf(name, sizeof(name), "/%s/%s", services[i]->name,
			    services[i]->methods[k].name);
			if (!in_table(name))
				fail_msg("%s has no row", name);
		}
	assert_int_equal(n, NTABLE);
	for (i = 0; i < lt_nmethods; i++)
		if (!in_table(lt_methods[i].name))
			fail_msg("%s has no row", lt_methods[i].name);
	assert_int_equal(lt_nmethods, NTABLE);
}

/* ---- the world ---- */

static void
push_one(struct world *w, enum who who, const struct lt_draft *d)
{
	struct lt_status st;
	struct lt_buf b;

	lt_buf_init(&b, 0);
	fed_seal(&w->f, &w->feed[who], d, 1, &b);
	if (fed_push(&w->who[who], &b, 1, NULL, &st) != LT_STATUS_OK)
		fail_msg("%s", st.message);
	lt_buf_fini(&b);
}

static void
draft_household(struct lt_arena *a, struct lt_draft *d, const char *key)
{
	memset(d, 0, sizeof(*d));
	d->collection = "household_poverty";
	d->key = key;
	d->set = lt_arena_alloc(a, 8 * sizeof(*d->set));
	d->personal = lt_arena_alloc(a, 8 * sizeof(*d->personal));
	d->set[d->nset++] = fed_field(a, "village", LT_TYPE_TEXT, "Bản Thử");
	d->set[d->nset++] = fed_field(a, "members", LT_TYPE_INT, "4");
	d->set[d->nset++] = fed_field(a, "class", LT_TYPE_ENUM, "ngheo");
	d->set[d->nset++] = fed_field(a, "recognised_year", LT_TYPE_INT, "2025");
	d->set[d->nset++] = fed_field(a, "reviewed_date", LT_TYPE_DATE, "2025-11-20");
	d->personal[d->npersonal++] = fed_field(a, "head_name", LT_TYPE_TEXT, "Lô Thị Mẫu");
	d->personal[d->npersonal++] = fed_field(a, "income_per_head_vnd", LT_TYPE_INT, "900000");
}

/* Verdicts are written behind the answers; a proof needs that on the dossier. */
static bool
dossier_judged(void *ctx)
{
	struct world *w = ctx;
	char name[160], hex[2 * LT_FEED_LEN + 1];
	struct lt_kv_txn *txn;
	uint64_t seq = 0;

	lt_hex(hex, w->feed[NODE].id.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/17254/%s", hex);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &seq), LT_OK);
	lt_kv_abort(txn);
	return seq >= 1;
}

static void
world_open(struct world *w)
{
	struct lt_draft d;
	struct fed_peer gone;
	Ltpb__PrincipalState state;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	uint64_t last;
	enum who i;

	memset(w, 0, sizeof(*w));
	fed_setup(&w->f);
	lt_arena_init(&w->arena, (size_t)64 << 20);
	fed_enrol(&w->f, &w->who[NODE], LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&w->f, &w->who[OTHER_NODE], LTPB__ROLE__ROLE_NODE, "16906", true);
	fed_enrol(&w->f, &w->who[AGRICULTURE], LTPB__ROLE__ROLE_DEPARTMENT,
	    "so_nong_nghiep_moi_truong", true);
	fed_enrol(&w->f, &w->who[JUSTICE], LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", true);
	fed_enrol(&w->f, &w->who[OPERATOR], LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&w->f, &w->who[MIRROR], LTPB__ROLE__ROLE_MIRROR, "", true);
	fed_enrol(&w->f, &w->who[SUSPENDED], LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_enrol(&w->f, &w->who[REVOKED], LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_enrol(&w->f, &w->who[PENDING], LTPB__ROLE__ROLE_NODE, "17254", false);
	fed_local(&w->f, &w->who[LOCAL]);
	fed_stranger(&w->f, &w->who[STRANGER]);
	/* Two more who asked: one to be approved, one to be rejected. */
	fed_enrol(&w->f, &gone, LTPB__ROLE__ROLE_NODE, "17254", false);
	w->pending = gone.id.principal;
	fed_hang_up(&gone);
	fed_enrol(&w->f, &gone, LTPB__ROLE__ROLE_NODE, "17254", true);
	w->spare = gone.id.principal;
	fed_hang_up(&gone);
	fed_enrol(&w->f, &gone, LTPB__ROLE__ROLE_NODE, "17254", false);
	w->rejected = gone.id.principal;
	assert_int_equal(lt_enrol_reject(w->f.enrol, &w->rejected, "", &err), LT_OK);
	assert_int_equal(fed_join(&gone, &state), LT_STATUS_OK);
	assert_int_equal(state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED);
	fed_hang_up(&gone);
	for (i = 0; i < WHO_COUNT; i++)
		fed_feed_init(&w->feed[i], &w->who[i], i == OTHER_NODE ? "16906" : "17254",
		    LT_LANE_NORMAL, 1);
	fed_draft_dossier(&w->arena, &d, DOSSIER);
	push_one(w, NODE, &d);
	push_one(w, OTHER_NODE, &d);
	draft_household(&w->arena, &d, "17254/" HOUSEHOLD);
	push_one(w, NODE, &d);
	/* The log's own word: what the hub says of its position follows the answers. */
	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(lt_hub_wait_projected(w->f.hub, last, 20000), LT_OK);
	fed_wait(dossier_judged, w, 20000, "the verdict on the dossier");
}

static void
world_close(struct world *w)
{
	enum who i;

	for (i = 0; i < WHO_COUNT; i++)
		fed_hang_up(&w->who[i]);
	lt_arena_fini(&w->arena);
	fed_teardown(&w->f);
}

static const ProtobufCServiceDescriptor *
service_of(const char *method, const char **name)
{
	const char *slash = strchr(method + 1, '/');
	size_t i;

	*name = slash + 1;
	for (i = 0; i < NSERVICES; i++)
		if (strncmp(services[i]->name, method + 1, (size_t)(slash - method - 1)) == 0 &&
		    services[i]->name[slash - method - 1] == '\0')
			return services[i];
	return NULL;
}

static void
try_row(struct world *w, size_t row, enum who who, int want)
{
	const char *name;
	const ProtobufCServiceDescriptor *service = service_of(table[row].method, &name);
	struct lt_status st;
	int code =
	    fed_call(&w->who[who], service, name, table[row].request(w, who), NULL, NULL, &st);

	if (code != want)
		fail_msg("%s as %s: %s, not %s: %s", table[row].method, who_name[who],
		    lt_status_name(code), lt_status_name(want), st.message);
	/* Who may not call learns nothing of what it asked about. */
	if (code == U)
		assert_string_equal(st.reason, "NOT_A_PRINCIPAL");
}

static void
test_matrix(void **state)
{
	struct world w;
	struct fed_peer open;
	size_t row;
	enum who i;

	(void)state;
	world_open(&w);
	fed_invite(&w.f, &open, LTPB__ROLE__ROLE_NODE, "17254", false);
	assert_int_equal(fed_dial(&w.f, &w.who[STRANGER]), LT_OK);
	for (row = 0; row < NTABLE; row++)
		for (i = 0; i < SUSPENDED; i++)
			try_row(&w, row, i, table[row].want[i]);
	world_close(&w);
}

/* ---- what is told of it ---- */

#define N LT_STATUS_NOT_FOUND

static bool
is_told(const Ltpb__ListServicesReply *r, const char *method)
{
	size_t i, k;

	for (i = 0; i < r->n_service; i++)
		for (k = 0; k < r->service[i]->n_method; k++)
			if (strcmp(r->service[i]->method[k]->name, method) == 0)
				return true;
	return false;
}

static int
describe(struct world *w, enum who who, const char *name, Ltpb__DescribeReply **reply)
{
	Ltpb__DescribeRequest r = LTPB__DESCRIBE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	int code;

	r.name = (char *)name;
	code = fed_ask(&w->who[who], &ltpb__reflection__descriptor, "Describe", &r.base, &m, &st);
	assert_true(code == O || (code == N && strcmp(st.reason, "NO_SUCH_NAME") == 0));
	*reply = (Ltpb__DescribeReply *)m;
	return code;
}

/* Everybody may ask to join; the invitation decides. */
static bool
may_call(size_t row, enum who who)
{
	int want = table[row].want[who];

	return table[row].request == req_join || (want != U && want != D);
}

/* Everybody is told of the methods that the table lets it call, and of no other; of the types that these reach, and of no
 * other. The words for what is not there and for what is not to be seen are the same. */
static void
test_reflection(void **state)
{
	static const struct {
		const char *name;
		int want[SUSPENDED];
	} names[] = {
		{ "lienthong.v1.Query", { N, N, N, N, O, O, O, N, O } },
		{ "/lienthong.v1.Query/Get", { N, N, N, N, O, O, O, N, O } },
		{ "lienthong.v1.Query.Get", { N, N, N, N, O, O, O, N, O } },
		{ "/lienthong.v1.Query/Nothing", { N, N, N, N, N, N, N, N, N } },
		{ "lienthong.v1.Quer", { N, N, N, N, N, N, N, N, N } },
		{ "", { N, N, N, N, N, N, N, N, N } },
		{ "/", { N, N, N, N, N, N, N, N, N } },
		{ "lienthong.v1.Record", { N, N, N, N, O, O, O, N, O } },
		{ "lienthong.v1.FilterOp", { N, N, N, N, O, O, O, N, O } },
		{ "lienthong.v1.InviteRequest", { N, N, N, N, N, N, O, N, O } },
		{ "lienthong.v1.PullItem", { N, N, O, O, N, N, N, O, N } },
		{ "lienthong.v1.JoinRequest", { O, O, O, O, O, O, O, O, O } },
		/* reached by no method: it stands in bytes */
		{ "lienthong.v1.ChangeSet", { N, N, N, N, N, N, N, N, N } },
		{ "grpc.health.v1.HealthCheckResponse.ServingStatus",
		    { O, O, O, O, O, O, O, O, O } },
		{ "lienthong.v1.Reflection", { O, O, O, O, O, O, O, O, O } },
	};
	Ltpb__DescribeReply *reply;
	struct fed_peer open;
	struct lt_status st;
	ProtobufCMessage *r;
	struct world w;
	size_t i, row;
	enum who who;

	(void)state;
	world_open(&w);
	fed_invite(&w.f, &open, LTPB__ROLE__ROLE_NODE, "17254", false);
	assert_int_equal(fed_dial(&w.f, &w.who[STRANGER]), LT_OK);
	for (who = 0; who < SUSPENDED; who++) {
		assert_int_equal(fed_ask(&w.who[who], &ltpb__reflection__descriptor, "ListServices",
				     req_services(&w, who), &r, &st),
		    O);
		for (row = 0; row < NTABLE; row++)
			if (is_told((Ltpb__ListServicesReply *)r, table[row].method) !=
			    may_call(row, who))
				fail_msg("%s as %s", table[row].method, who_name[who]);
		protobuf_c_message_free_unpacked(r, NULL);
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (describe(&w, who, names[i].name, &reply) != names[i].want[who])
				fail_msg("%s as %s", names[i].name, who_name[who]);
			if (reply != NULL)
				protobuf_c_message_free_unpacked(&reply->base, NULL);
		}
	}
	assert_int_equal(describe(&w, NODE, "/lienthong.v1.Sync/Pull", &reply), O);
	assert_int_equal(reply->service->n_method, 1);
	assert_string_equal(reply->service->method[0]->input, "lienthong.v1.PullRequest");
	assert_string_equal(reply->service->method[0]->output, "lienthong.v1.PullItem");
	assert_string_equal(reply->service->method[0]->verb, "pull");
	assert_true(reply->service->method[0]->server_streaming);
	assert_true(reply->service->method[0]->idempotent);
	assert_string_equal(reply->message[0]->name, "lienthong.v1.PullRequest");
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	world_close(&w);
}

/* ---- who is no more ---- */

static bool
is_cut(void *ctx)
{
	const struct fed_peer *p = ctx;

	return !lt_conn_alive(p->conn);
}

struct follow {
	struct fed_peer *p;
	_Atomic unsigned items, caught_up, ended;
	_Atomic int code;
};

static void
follow_item(void *ctx, const ProtobufCMessage *m)
{
	struct follow *fl = ctx;

	if (((const Ltpb__PullItem *)m)->item_case == LTPB__PULL_ITEM__ITEM_CAUGHT_UP)
		fl->caught_up++;
	fl->items++;
}

static void
follow_end(void *ctx, const struct lt_status *st)
{
	struct follow *fl = ctx;

	fl->code = (int)st->code;
	fl->ended++;
}

static bool
has_caught_up(void *ctx)
{
	return ((struct follow *)ctx)->caught_up != 0;
}

static bool
has_ended(void *ctx)
{
	return ((struct follow *)ctx)->ended != 0;
}

/* Suspended or revoked while on the line, in the middle of a stream: cut off at once, and not let in again, also while
 * strangers are. */
static void
test_no_more(void **state)
{
	static const struct lt_call_ops ops = { follow_item, follow_end };
	struct follow fl = { 0 };
	Ltpb__PullRequest pull = LTPB__PULL_REQUEST__INIT;
	char hex[2 * LT_ID_LEN + 1];
	struct fed_peer open;
	struct lt_status st;
	struct lt_draft d;
	struct lt_buf b;
	struct world w;

	(void)state;
	world_open(&w);
	fl.p = &w.who[SUSPENDED];
	pull.follow = true;
	assert_int_equal(lt_conn_call(fl.p->conn, &ltpb__sync__descriptor, "Pull", &pull.base, 0,
			     &ops, &fl, NULL),
	    LT_OK);
	fed_wait(has_caught_up, &fl, 20000, "the stream has caught up");
	fed_principal_hex(&w.who[SUSPENDED], hex);
	fed_act_enum(&w.f, "_registry", hex, "state", "suspended");
	fed_wait(has_ended, &fl, 20000, "the stream ends");
	assert_int_not_equal(fl.code, LT_STATUS_OK);
	fed_wait(is_cut, &w.who[SUSPENDED], 20000, "the suspended node is cut off");
	fed_principal_hex(&w.who[REVOKED], hex);
	fed_act_enum(&w.f, "_registry", hex, "state", "revoked");
	fed_wait(is_cut, &w.who[REVOKED], 20000, "the revoked operator is cut off");
	/* The others are not. */
	assert_true(lt_conn_alive(w.who[NODE].conn));
	assert_true(lt_conn_alive(w.who[OPERATOR].conn));
	fed_invite(&w.f, &open, LTPB__ROLE__ROLE_NODE, "17254", false);
	fed_hang_up(&w.who[SUSPENDED]);
	assert_int_equal(fed_dial(&w.f, &w.who[SUSPENDED]), LT_E_DENIED);
	fed_hang_up(&w.who[REVOKED]);
	assert_int_equal(fed_dial(&w.f, &w.who[REVOKED]), LT_E_DENIED);
	/* What it signed before does not come in through another node of its commune either. */
	fed_draft_dossier(&w.arena, &d, "H41.65-261120-0009");
	lt_buf_init(&b, 0);
	fed_seal(&w.f, &w.feed[SUSPENDED], &d, 1, &b);
	assert_int_equal(fed_push(&w.who[NODE], &b, 1, NULL, &st), LT_STATUS_PERMISSION_DENIED);
	lt_buf_fini(&b);
	/* A suspension is lifted. */
	fed_principal_hex(&w.who[SUSPENDED], hex);
	fed_act_enum(&w.f, "_registry", hex, "state", "active");
	assert_int_equal(fed_dial(&w.f, &w.who[SUSPENDED]), LT_OK);
	world_close(&w);
}

/* ---- records and fields ---- */

static int
get(struct world *w, enum who who, const char *collection, const char *unit, const char *key,
    Ltpb__GetReply **reply, struct lt_status *st)
{
	Ltpb__GetRequest r = LTPB__GET_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	int code;

	r.collection = (char *)collection;
	r.unit = (char *)unit;
	r.key = (char *)key;
	code = fed_ask(&w->who[who], &ltpb__query__descriptor, "Get", &r.base, &m, st);
	*reply = (Ltpb__GetReply *)m;
	return code;
}

static bool
has_field(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++)
		if (strcmp(r->field[i]->name, name) == 0)
			return true;
	return false;
}

static bool
is_masked(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_masked; i++)
		if (strcmp(r->masked[i], name) == 0)
			return true;
	return false;
}

enum sight { SHOWN, MASKED };

static void
check_record(struct world *w, enum who who, const char *collection, const char *key,
    const char *field, enum sight want)
{
	Ltpb__GetReply *g;
	struct lt_status st;

	if (get(w, who, collection, "17254", key, &g, &st) != LT_STATUS_OK)
		fail_msg("%s as %s: %s", collection, who_name[who], st.message);
	if (has_field(g->record, field) != (want == SHOWN) ||
	    is_masked(g->record, field) != (want == MASKED))
		fail_msg("%s.%s as %s", collection, field, who_name[who]);
	protobuf_c_message_free_unpacked(&g->base, NULL);
}

/* Personal fields: not the value, not an empty one, but the word that there is one. The owner sees all, readers what is
 * personal to nobody, operators no more than that. */
static void
test_personal_fields(void **state)
{
	struct fed_peer office;
	struct world w;

	(void)state;
	world_open(&w);
	check_record(&w, AGRICULTURE, "household_poverty", "17254/" HOUSEHOLD, "class", SHOWN);
	check_record(&w, AGRICULTURE, "household_poverty", "17254/" HOUSEHOLD, "head_name", SHOWN);
	check_record(
	    &w, AGRICULTURE, "household_poverty", "17254/" HOUSEHOLD, "income_per_head_vnd", SHOWN);
	check_record(&w, OPERATOR, "household_poverty", "17254/" HOUSEHOLD, "class", SHOWN);
	check_record(&w, OPERATOR, "household_poverty", "17254/" HOUSEHOLD, "head_name", MASKED);
	check_record(
	    &w, LOCAL, "household_poverty", "17254/" HOUSEHOLD, "income_per_head_vnd", MASKED);
	check_record(&w, AGRICULTURE, "dossier", DOSSIER, "status", SHOWN);
	check_record(&w, AGRICULTURE, "dossier", DOSSIER, "applicant_name", MASKED);
	check_record(&w, JUSTICE, "dossier", DOSSIER, "applicant_id_no", MASKED);
	check_record(&w, OPERATOR, "dossier", DOSSIER, "applicant_name", MASKED);
	check_record(&w, LOCAL, "dossier", DOSSIER, "applicant_name", MASKED);
	/* Whom the collection belongs to. */
	fed_hang_up(&w.who[JUSTICE]);
	fed_enrol(&w.f, &office, LTPB__ROLE__ROLE_DEPARTMENT, "van_phong_ubnd", true);
	w.who[JUSTICE] = office;
	check_record(&w, JUSTICE, "dossier", DOSSIER, "applicant_name", SHOWN);
	/* The inspectorate sees basic fields of everything, sensitive ones of its own only. */
	fed_hang_up(&w.who[JUSTICE]);
	fed_enrol(&w.f, &w.who[JUSTICE], LTPB__ROLE__ROLE_DEPARTMENT, "thanh_tra", true);
	check_record(&w, JUSTICE, "household_poverty", "17254/" HOUSEHOLD, "head_name", SHOWN);
	check_record(
	    &w, JUSTICE, "household_poverty", "17254/" HOUSEHOLD, "income_per_head_vnd", MASKED);
	world_close(&w);
}

/* No word of a personal value in any answer, whatever is asked for. */
static void
test_history_is_masked(void **state)
{
	Ltpb__HistoryRequest r = LTPB__HISTORY_REQUEST__INIT;
	static const char *const secret[] = { "Vi Văn Mẫu", "099170000016", "cb01" };
	const Ltpb__HistoryReply *h;
	ProtobufCMessage *m;
	struct lt_status st;
	struct world w;
	uint8_t *bytes;
	size_t n, i;

	(void)state;
	world_open(&w);
	r.collection = (char *)"dossier";
	r.unit = (char *)"17254";
	r.key = (char *)DOSSIER;
	assert_int_equal(
	    fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "History", &r.base, &m, &st),
	    LT_STATUS_OK);
	h = (const Ltpb__HistoryReply *)m;
	assert_int_equal(h->n_entry, 1);
	assert_true(h->entry[0]->n_masked >= 2);
	assert_true(h->entry[0]->n_field >= 5);
	n = protobuf_c_message_get_packed_size(m);
	bytes = malloc(n);
	assert_non_null(bytes);
	(void)protobuf_c_message_pack(m, bytes);
	for (i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		assert_null(memmem(bytes, n, secret[i], strlen(secret[i])));
	free(bytes);
	protobuf_c_message_free_unpacked(m, NULL);
	world_close(&w);
}

/* The same of a proof: it holds, and what is not for the asker's eyes is not in it. */
static void
test_proof_is_masked(void **state)
{
	Ltpb__ProveRequest r = LTPB__PROVE_REQUEST__INIT;
	static const char *const secret[] = { "Vi Văn Mẫu", "099170000016", "cb01" };
	const Ltpb__ProveReply *reply;
	struct lt_proof proof;
	struct lt_arena arena;
	ProtobufCMessage *m;
	struct lt_status st;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	r.collection = (char *)"dossier";
	r.unit = (char *)"17254";
	r.key = (char *)DOSSIER;
	assert_int_equal(
	    fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "Prove", &r.base, &m, &st),
	    LT_STATUS_OK);
	reply = (const Ltpb__ProveReply *)m;
	assert_int_equal(reply->changes, 1);
	for (i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		assert_null(
		    memmem(reply->proof.data, reply->proof.len, secret[i], strlen(secret[i])));
	lt_arena_init(&arena, LT_PROOF_ARENA);
	assert_int_equal(lt_proof_check(lt_slice(reply->proof.data, reply->proof.len), w.f.root.pk,
			     &arena, &proof, NULL),
	    LT_OK);
	assert_true(proof.nwithheld >= 2);
	lt_arena_fini(&arena);
	protobuf_c_message_free_unpacked(m, NULL);
	/* Out of sight is not there. */
	r.collection = (char *)"household_poverty";
	r.key = (char *)"17254/" HOUSEHOLD;
	assert_int_equal(
	    fed_ask(&w.who[OTHER_NODE], &ltpb__query__descriptor, "Prove", &r.base, &m, &st),
	    LT_STATUS_PERMISSION_DENIED);
	world_close(&w);
}

/* What is hidden may not be asked after by the back door. */
static void
test_using_a_masked_field(void **state)
{
	static const struct {
		const char *descr;
		const char *field; /* filtered, ordered, grouped by in turn */
		int filter, order, group;
	} cases[] = {
		{ "in sight", "status", O, O, O },
		{ "indexed and personal", "applicant_id_no", D, D, D },
		{ "personal", "applicant_name", D, D, D },
	};
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value value = LTPB__VALUE__INIT, *values[1] = { &value };
	struct lt_status st;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	value.v_case = LTPB__VALUE__V_TEXT;
	value.text = (char *)"099170000016";
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.n_value = 1;
	filter.value = values;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
		Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
		char *group[1] = { (char *)cases[i].field };
		char *one[1] = { (char *)"17254" };

		print_message("%s\n", cases[i].descr);
		filter.field = (char *)cases[i].field;
		list.collection = agg.collection = (char *)"dossier";
		list.n_filter = agg.n_filter = 1;
		list.filter = agg.filter = filters;
		assert_int_equal(fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "List",
				     &list.base, NULL, &st),
		    cases[i].filter);
		assert_int_equal(fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "Aggregate",
				     &agg.base, NULL, &st),
		    cases[i].filter);
		/* Naming the unit opens no door; nor does asking whether there is a value at all. */
		list.n_unit = 1;
		list.unit = one;
		filter.op = LTPB__FILTER_OP__FILTER_OP_IS_NULL;
		filter.n_value = 0;
		assert_int_equal(fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "List",
				     &list.base, NULL, &st),
		    cases[i].filter);
		filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
		filter.n_value = 1;
		list.n_filter = agg.n_filter = 0;
		list.order_by = (char *)cases[i].field;
		assert_int_equal(fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "List",
				     &list.base, NULL, &st),
		    cases[i].order);
		agg.n_group_by = 1;
		agg.group_by = group;
		assert_int_equal(fed_ask(&w.who[JUSTICE], &ltpb__query__descriptor, "Aggregate",
				     &agg.base, NULL, &st),
		    cases[i].group);
		assert_int_equal(fed_ask(&w.who[OPERATOR], &ltpb__query__descriptor, "Aggregate",
				     &agg.base, NULL, &st),
		    cases[i].group);
	}
	world_close(&w);
}

static bool
names(const json_t *list, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v) if (strcmp(json_string_value(v), word) == 0) return true;
	return false;
}

static int
list_code(struct world *w, enum who who, const char *collection, struct lt_status *st)
{
	Ltpb__ListRequest r = LTPB__LIST_REQUEST__INIT;

	r.collection = (char *)collection;
	return fed_ask(&w->who[who], &ltpb__query__descriptor, "List", &r.base, NULL, st);
}

/* Every collection of the catalogue as both departments: what the file's lists say, and to who may not a refusal in the
 * very words for a collection that does not exist. */
static void
test_collections(void **state)
{
	static const struct {
		enum who who;
		const char *org;
	} dep[] = { { AGRICULTURE, "so_nong_nghiep_moi_truong" }, { JUSTICE, "so_tu_phap" } };
	static const char *const closed[] = { "_registry", "_key", "_grant", "_verdict",
		"_ruling" };
	static const char *const open[] = { "_unit", "_succession", "_catalogue" };
	struct lt_status st, none;
	json_t *file = json_load_file(LT_PROTO_DATA "/catalogue.json", 0, NULL);
	const json_t *c;
	unsigned seen[2][2] = { { 0 } };
	struct world w;
	size_t i, k;

	(void)state;
	assert_non_null(file);
	world_open(&w);
	for (k = 0; k < 2; k++) {
		assert_int_equal(list_code(&w, dep[k].who, "no_such_thing", &none), D);
		json_array_foreach(json_object_get(file, "collections"), i, c)
		{
			const char *id = json_string_value(json_object_get(c, "id"));
			const json_t *readers = json_object_get(c, "readers");
			bool may = names(json_object_get(c, "owner_departments"), dep[k].org) ||
				   names(readers, dep[k].org) || names(readers, "all_departments");
			int code = list_code(&w, dep[k].who, id, &st);

			if (code != (may ? O : D))
				fail_msg("%s as %s: %s", id, dep[k].org, lt_status_name(code));
			if (!may)
				assert_string_equal(st.reason, none.reason);
			seen[k][may]++;
		}
		assert_true(seen[k][0] > 3 && seen[k][1] > 3);
		for (i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
			if (list_code(&w, dep[k].who, closed[i], &st) != D)
				fail_msg("%s as %s", closed[i], dep[k].org);
		for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
			if (list_code(&w, dep[k].who, open[i], &st) != O)
				fail_msg("%s as %s", open[i], dep[k].org);
	}
	for (i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		assert_int_equal(list_code(&w, OPERATOR, closed[i], &st), O);
	json_decref(file);
	world_close(&w);
}

/* Grants narrow: units, collections, fields and verbs, from one call to the next on the same line. */
static void
test_grants(void **state)
{
	char key[2 * LT_ID_LEN + 3];
	Ltpb__ListRequest r = LTPB__LIST_REQUEST__INIT;
	const Ltpb__Record *rec;
	ProtobufCMessage *m;
	Ltpb__GetReply *g;
	struct lt_status st;
	struct world w;

	(void)state;
	world_open(&w);
	fed_principal_hex(&w.who[AGRICULTURE], key);
	memcpy(key + 2 * (size_t)LT_ID_LEN, "/1", 3);
	r.collection = (char *)"dossier";
	fed_act_set(&w.f, "_grant", key, "units", "16906");
	assert_int_equal(
	    get(&w, AGRICULTURE, "dossier", "17254", DOSSIER, &g, &st), LT_STATUS_NOT_FOUND);
	assert_int_equal(get(&w, AGRICULTURE, "dossier", "16906", DOSSIER, &g, &st), O);
	protobuf_c_message_free_unpacked(&g->base, NULL);
	assert_int_equal(
	    fed_ask(&w.who[AGRICULTURE], &ltpb__query__descriptor, "List", &r.base, &m, &st), O);
	assert_int_equal(((Ltpb__ListReply *)m)->n_record, 1);
	assert_string_equal(((Ltpb__ListReply *)m)->record[0]->unit, "16906");
	protobuf_c_message_free_unpacked(m, NULL);
	fed_act_set(&w.f, "_grant", key, "units", "all");
	fed_act_set(&w.f, "_grant", key, "collections", "household_poverty");
	assert_int_equal(list_code(&w, AGRICULTURE, "dossier", &st), D);
	assert_int_equal(list_code(&w, AGRICULTURE, "household_poverty", &st), O);
	fed_act_set(&w.f, "_grant", key, "fields", "class");
	/* Not even which household: whoever may not see the key cannot ask by it. */
	assert_int_equal(
	    get(&w, AGRICULTURE, "household_poverty", "17254", "17254/" HOUSEHOLD, &g, &st), D);
	r.collection = (char *)"household_poverty";
	assert_int_equal(
	    fed_ask(&w.who[AGRICULTURE], &ltpb__query__descriptor, "List", &r.base, &m, &st), O);
	assert_int_equal(((Ltpb__ListReply *)m)->n_record, 1);
	rec = ((Ltpb__ListReply *)m)->record[0];
	assert_string_equal(rec->key, "");
	assert_true(has_field(rec, "class") && rec->n_field == 1);
	assert_true(is_masked(rec, "head_name") && is_masked(rec, "members"));
	protobuf_c_message_free_unpacked(m, NULL);
	/* A verb that is no right of a department gives it none. */
	fed_act_set(&w.f, "_grant", key, "verbs", "enrol");
	assert_int_equal(list_code(&w, AGRICULTURE, "household_poverty", &st), D);
	try_row(&w, NTABLE - 4, AGRICULTURE, D);
	fed_act_set(&w.f, "_grant", key, "verbs", "read");
	fed_act_set(&w.f, "_grant", key, "collections", "all");
	assert_int_equal(list_code(&w, AGRICULTURE, "dossier", &st), O);
	/* Wider than the catalogue is not to be had by a grant. */
	assert_int_equal(list_code(&w, AGRICULTURE, "citizen_complaint", &st), D);
	fed_act_enum(&w.f, "_grant", key, "state", "revoked");
	assert_int_equal(list_code(&w, AGRICULTURE, "dossier", &st), D);
	world_close(&w);
}

/* What the invitation says is what stands in the registry: a narrowed department sees that, the reference data, and is
 * told of the rest in the very words for a collection that does not exist. */
static void
test_narrow_invitation(void **state)
{
	static char c[] = "dossier", u1[] = "16906", u2[] = "40", f1[] = "status",
		    f2[] = "dossier_code";
	static const char *const open[] = { "_catalogue", "_unit", "_succession" };
	static const char *const shut[] = { "household_poverty", "proposal", "_registry", "_grant",
		"_key", "_federation", "no_such_thing" };
	char *collections[] = { c }, *units[] = { u1, u2 }, *fields[] = { f1, f2 };
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	Ltpb__ListRequest r = LTPB__LIST_REQUEST__INIT;
	Ltpb__PrincipalState joined;
	const Ltpb__Record *rec;
	struct lt_status st, none;
	ProtobufCMessage *m;
	Ltpb__GetReply *g;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	grant.collections = collections;
	grant.n_collections = 1;
	grant.units = units;
	grant.n_units = 2;
	grant.fields = fields;
	grant.n_fields = 2;
	fed_hang_up(&w.who[AGRICULTURE]);
	fed_invite_grant(&w.f, &w.who[AGRICULTURE], LTPB__ROLE__ROLE_DEPARTMENT,
	    "so_nong_nghiep_moi_truong", true, &grant);
	assert_int_equal(fed_dial(&w.f, &w.who[AGRICULTURE]), LT_OK);
	assert_int_equal(fed_join(&w.who[AGRICULTURE], &joined), LT_STATUS_OK);
	r.collection = c;
	assert_int_equal(
	    fed_ask(&w.who[AGRICULTURE], &ltpb__query__descriptor, "List", &r.base, &m, &st), O);
	assert_int_equal(((Ltpb__ListReply *)m)->n_record, 1);
	rec = ((Ltpb__ListReply *)m)->record[0];
	assert_string_equal(rec->unit, "16906");
	assert_string_equal(rec->key, DOSSIER);
	assert_true(has_field(rec, "status") && has_field(rec, "dossier_code"));
	assert_true(rec->n_field == 2 && is_masked(rec, "procedure_code"));
	protobuf_c_message_free_unpacked(m, NULL);
	assert_int_equal(
	    get(&w, AGRICULTURE, "dossier", "17254", DOSSIER, &g, &st), LT_STATUS_NOT_FOUND);
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (list_code(&w, AGRICULTURE, open[i], &st) != O)
			fail_msg("%s", open[i]);
	assert_int_equal(get(&w, AGRICULTURE, "_unit", "_", "17254", &g, &st), O);
	assert_true(g->record != NULL && has_field(g->record, "name"));
	protobuf_c_message_free_unpacked(&g->base, NULL);
	assert_int_equal(list_code(&w, AGRICULTURE, "no_such_thing", &none), D);
	for (i = 0; i < sizeof(shut) / sizeof(shut[0]); i++) {
		if (list_code(&w, AGRICULTURE, shut[i], &st) != D)
			fail_msg("%s", shut[i]);
		assert_string_equal(st.reason, none.reason);
		assert_non_null(strstr(st.message, shut[i]));
	}
	/* The other department has what it had. */
	assert_int_equal(list_code(&w, JUSTICE, "proposal", &st), O);
	world_close(&w);
}

/* ---- an operator of one commune and one collection ---- */

static void
grant_of(Ltpb__Grant *g, char **verbs, size_t nverb, char **unit, char **collection)
{
	ltpb__grant__init(g);
	g->verbs = verbs;
	g->n_verbs = nverb;
	g->units = unit;
	g->n_units = 1;
	g->collections = collection;
	g->n_collections = 1;
}

static int
admin(struct world *w, const char *method, const ProtobufCMessage *req, ProtobufCMessage **m)
{
	struct lt_status st;

	return fed_ask(&w->who[OPERATOR], &ltpb__admin__descriptor, method, req, m, &st);
}

static void
enrol_narrow(struct world *w, char **unit, char **collection)
{
	static char e[] = "enrol", i[] = "inspect", r[] = "read";
	char *verbs[] = { e, i, r };
	Ltpb__PrincipalState joined;
	Ltpb__Grant grant;

	grant_of(&grant, verbs, 3, unit, collection);
	fed_hang_up(&w->who[OPERATOR]);
	fed_invite_grant(&w->f, &w->who[OPERATOR], LTPB__ROLE__ROLE_OPERATOR, "", true, &grant);
	assert_int_equal(fed_dial(&w->f, &w->who[OPERATOR]), LT_OK);
	assert_int_equal(fed_join(&w->who[OPERATOR], &joined), LT_STATUS_OK);
}

/* Feeds of every unit there is: those of its own, and never the bytes of others. */
static void
test_narrow_inspection(void **state)
{
	static char c[] = "dossier", u[] = "17254";
	char *unit[] = { u }, *collection[] = { c };
	Ltpb__ListFeedsRequest feeds = LTPB__LIST_FEEDS_REQUEST__INIT;
	Ltpb__ListNodesRequest nodes = LTPB__LIST_NODES_REQUEST__INIT;
	Ltpb__ReadLogRequest log = LTPB__READ_LOG_REQUEST__INIT;
	unsigned own = 0, foreign = 0, denied = 0, read = 0;
	const Ltpb__ListFeedsReply *all;
	ProtobufCMessage *every, *m;
	struct lt_status st;
	struct fed_peer local;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	enrol_narrow(&w, unit, collection);
	fed_local(&w.f, &local);
	assert_int_equal(
	    fed_ask(&local, &ltpb__admin__descriptor, "ListFeeds", &feeds.base, &every, &st), O);
	all = (const Ltpb__ListFeedsReply *)every;
	for (i = 0; i < all->n_feed; i++) {
		bool mine = strcmp(all->feed[i]->head->unit, u) == 0;
		int code;

		log.unit = all->feed[i]->head->unit;
		log.feed = all->feed[i]->head->feed;
		code = admin(&w, "ReadLog", &log.base, &m);
		own += mine;
		foreign += !mine;
		if (!mine)
			assert_int_equal(code, D);
		denied += code == D && mine;
		read += code == O;
		if (code == O)
			protobuf_c_message_free_unpacked(m, NULL);
	}
	assert_true(own != 0 && foreign != 0 && read + denied == own);
	assert_int_equal(admin(&w, "ListFeeds", &feeds.base, &m), O);
	assert_int_equal(((Ltpb__ListFeedsReply *)m)->n_feed, own);
	for (i = 0; i < own; i++)
		assert_string_equal(((Ltpb__ListFeedsReply *)m)->feed[i]->head->unit, u);
	protobuf_c_message_free_unpacked(m, NULL);
	feeds.unit = (char *)"16906";
	assert_int_equal(admin(&w, "ListFeeds", &feeds.base, NULL), D);
	nodes.all_roles = true;
	assert_int_equal(admin(&w, "ListNodes", &nodes.base, &m), O);
	assert_true(((Ltpb__ListNodesReply *)m)->n_node != 0);
	for (i = 0; i < ((Ltpb__ListNodesReply *)m)->n_node; i++)
		assert_string_equal(((Ltpb__ListNodesReply *)m)->node[i]->unit, u);
	protobuf_c_message_free_unpacked(m, NULL);
	protobuf_c_message_free_unpacked(every, NULL);
	fed_hang_up(&local);
	world_close(&w);
}

static void
assert_freshness(struct world *w, size_t n, char **asked, const char *answered)
{
	Ltpb__FreshnessRequest req = LTPB__FRESHNESS_REQUEST__INIT;
	const Ltpb__FreshnessReply *r;
	ProtobufCMessage *m;
	struct lt_status st;

	req.unit = asked;
	req.n_unit = n;
	assert_int_equal(
	    fed_ask(&w->who[OPERATOR], &ltpb__query__descriptor, "Freshness", &req.base, &m, &st),
	    O);
	r = (const Ltpb__FreshnessReply *)m;
	assert_int_equal(r->n_unit, 1);
	assert_string_equal(r->unit[0]->unit, answered);
	assert_int_equal(r->summary->units, 1);
	protobuf_c_message_free_unpacked(m, NULL);
}

/* How fresh a unit is, is known to who may see something of it; in the answers' own words on freshness, too. */
static void
test_narrow_freshness(void **state)
{
	static char c[] = "dossier", u[] = "17254", v[] = "16906";
	char *unit[] = { u }, *collection[] = { c }, *both[] = { v, u };
	Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
	ProtobufCMessage *m;
	struct lt_status st;
	struct world w;

	(void)state;
	world_open(&w);
	enrol_narrow(&w, unit, collection);
	assert_freshness(&w, 0, NULL, u);
	assert_freshness(&w, 2, both, u);
	list.collection = c;
	list.unit = both;
	list.n_unit = 2;
	assert_int_equal(
	    fed_ask(&w.who[OPERATOR], &ltpb__query__descriptor, "List", &list.base, &m, &st), O);
	assert_int_equal(((Ltpb__ListReply *)m)->freshness->units, 1);
	protobuf_c_message_free_unpacked(m, NULL);
	world_close(&w);
}

/* Nobody gives more than it has: not by an invitation, and not by letting somebody in whom another has invited. */
static void
test_narrow_enrolment(void **state)
{
	static char c[] = "dossier", u[] = "17254", r[] = "read", x[] = "16906";
	char *unit[] = { u }, *collection[] = { c }, *verb[] = { r }, *other[] = { x };
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	Ltpb__ListEnrolmentsRequest list = LTPB__LIST_ENROLMENTS_REQUEST__INIT;
	Ltpb__ApproveRequest approve = LTPB__APPROVE_REQUEST__INIT;
	Ltpb__RejectRequest reject = LTPB__REJECT_REQUEST__INIT;
	struct fed_peer wide, narrow;
	Ltpb__PrincipalState joined;
	Ltpb__Grant grant;
	ProtobufCMessage *m;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	enrol_narrow(&w, unit, collection);
	req.role = LTPB__ROLE__ROLE_OPERATOR;
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), D);
	grant_of(&grant, verb, 1, unit, collection);
	req.grant = &grant;
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), O);
	grant.units = other;
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), D);
	grant.n_units = 0; /* all */
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), D);
	grant.n_units = 1;
	grant.units = unit;
	req.role = LTPB__ROLE__ROLE_DEPARTMENT;
	req.org = (char *)"so_tu_phap";
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), O);
	req.role = LTPB__ROLE__ROLE_NODE;
	req.grant = NULL;
	req.unit = u; /* a node has more than its dossiers */
	assert_int_equal(admin(&w, "Invite", &req.base, NULL), D);
	fed_invite(&w.f, &wide, LTPB__ROLE__ROLE_OPERATOR, "", false);
	fed_invite_grant(&w.f, &narrow, LTPB__ROLE__ROLE_OPERATOR, "", false, &grant);
	assert_int_equal(fed_dial(&w.f, &wide), LT_OK);
	assert_int_equal(fed_dial(&w.f, &narrow), LT_OK);
	assert_int_equal(fed_join(&wide, &joined), LT_STATUS_OK);
	assert_int_equal(fed_join(&narrow, &joined), LT_STATUS_OK);
	assert_int_equal(admin(&w, "ListEnrolments", &list.base, &m), O);
	for (i = 0; i < ((Ltpb__ListEnrolmentsReply *)m)->n_enrolment; i++)
		assert_memory_not_equal(
		    ((Ltpb__ListEnrolmentsReply *)m)->enrolment[i]->principal.data,
		    wide.id.principal.b, LT_ID_LEN);
	assert_true(i != 0);
	protobuf_c_message_free_unpacked(m, NULL);
	approve.principal.len = reject.principal.len = LT_ID_LEN;
	approve.principal.data = reject.principal.data = wide.id.principal.b;
	/* Who waits beyond one's own grant is answered like nobody. */
	assert_int_equal(admin(&w, "Approve", &approve.base, NULL), N);
	assert_int_equal(admin(&w, "Reject", &reject.base, NULL), N);
	approve.principal.data = narrow.id.principal.b;
	assert_int_equal(admin(&w, "Approve", &approve.base, NULL), O);
	fed_hang_up(&wide);
	fed_hang_up(&narrow);
	world_close(&w);
}

/* ---- grants of those who are in ---- */

static int
give(struct world *w, enum who by, enum who to, const Ltpb__Grant *grant, uint32_t *number)
{
	Ltpb__GiveGrantRequest r = LTPB__GIVE_GRANT_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	int code;

	r.principal.data = w->who[to].id.principal.b;
	r.principal.len = LT_ID_LEN;
	r.grant = (Ltpb__Grant *)grant;
	code = fed_ask(&w->who[by], &ltpb__admin__descriptor, "GiveGrant", &r.base, &m, &st);
	if (number != NULL)
		*number = code == O ? ((Ltpb__GiveGrantReply *)m)->number : 0;
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

static int
take(struct world *w, enum who by, enum who from, uint32_t number, struct lt_status *st)
{
	Ltpb__TakeGrantRequest r = LTPB__TAKE_GRANT_REQUEST__INIT;

	r.principal.data = w->who[from].id.principal.b;
	r.principal.len = LT_ID_LEN;
	r.number = &number;
	r.n_number = number != 0;
	return fed_ask(&w->who[by], &ltpb__admin__descriptor, "TakeGrant", &r.base, NULL, st);
}

/* How many grants of somebody are listed; *number: of the last one. */
static size_t
listed(struct world *w, enum who by, enum who of, uint32_t *number)
{
	Ltpb__ListGrantsRequest r = LTPB__LIST_GRANTS_REQUEST__INIT;
	const Ltpb__ListGrantsReply *reply;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	size_t i, n = 0;

	assert_int_equal(
	    fed_ask(&w->who[by], &ltpb__admin__descriptor, "ListGrants", &r.base, &m, &st), O);
	reply = (const Ltpb__ListGrantsReply *)m;
	for (i = 0; i < reply->n_grant; i++) {
		assert_int_equal(reply->grant[i]->principal.len, LT_ID_LEN);
		if (memcmp(reply->grant[i]->principal.data, w->who[of].id.principal.b, LT_ID_LEN) !=
		    0)
			continue;
		n++;
		*number = reply->grant[i]->number;
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return n;
}

static int
dossier_of(struct world *w, enum who who, const char *unit, Ltpb__GetReply **reply)
{
	struct lt_status st;

	return get(w, who, "dossier", unit, DOSSIER, reply, &st);
}

/* On one connection that stays: taken, nothing more is answered; given, as much as was given; of several the sum of
 * what each gives alone. */
static void
test_grants_later(void **state)
{
	static char v[] = "read", u[] = "17254", x[] = "16906", c[] = "dossier",
		    f1[] = "dossier_code", f2[] = "status", w1[] = "write";
	char *verb[] = { v }, *unit[] = { u }, *other[] = { x }, *col[] = { c }, *f[] = { f2, f1 },
	     *bad[] = { w1 };
	Ltpb__GetReply *reply;
	Ltpb__Grant grant, second;
	struct lt_status st;
	uint32_t number;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(dossier_of(&w, JUSTICE, "17254", &reply), O);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(listed(&w, LOCAL, JUSTICE, &number), 1);
	assert_int_equal(number, 1);
	assert_int_equal(listed(&w, LOCAL, NODE, &number), 0);
	assert_int_equal(take(&w, LOCAL, JUSTICE, 1, &st), O);
	assert_int_equal(take(&w, LOCAL, JUSTICE, 1, &st), O); /* sent twice */
	assert_int_equal(dossier_of(&w, JUSTICE, "17254", &reply), D);
	assert_int_equal(listed(&w, LOCAL, JUSTICE, &number), 1);
	assert_int_equal(number, 0);
	grant_of(&grant, verb, 1, unit, col);
	grant.fields = f;
	grant.n_fields = 2;
	assert_int_equal(give(&w, LOCAL, JUSTICE, &grant, &number), O);
	assert_int_equal(number, 2);
	assert_int_equal(give(&w, LOCAL, JUSTICE, &grant, &number), O);
	assert_int_equal(number, 2);
	assert_int_equal(dossier_of(&w, JUSTICE, "17254", &reply), O);
	assert_true(has_field(reply->record, "status"));
	assert_false(has_field(reply->record, "due_date"));
	assert_true(is_masked(reply->record, "due_date"));
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(dossier_of(&w, JUSTICE, "16906", &reply), N);
	grant_of(&second, verb, 1, other, col);
	assert_int_equal(give(&w, LOCAL, JUSTICE, &second, &number), O);
	assert_int_equal(number, 3);
	assert_int_equal(dossier_of(&w, JUSTICE, "16906", &reply), O);
	assert_true(has_field(reply->record, "due_date"));
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(dossier_of(&w, JUSTICE, "17254", &reply), O);
	assert_false(has_field(reply->record, "due_date"));
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	assert_int_equal(take(&w, LOCAL, JUSTICE, 2, &st), O);
	assert_int_equal(dossier_of(&w, JUSTICE, "17254", &reply), N);
	assert_int_equal(listed(&w, LOCAL, JUSTICE, &number), 1);
	assert_int_equal(number, 3);
	/* What grants cannot be. */
	grant.verbs = bad;
	assert_int_equal(give(&w, LOCAL, JUSTICE, &grant, NULL), LT_STATUS_INVALID_ARGUMENT);
	assert_int_equal(give(&w, LOCAL, NODE, NULL, NULL), LT_STATUS_INVALID_ARGUMENT);
	assert_int_equal(give(&w, LOCAL, STRANGER, NULL, NULL), N);
	assert_int_equal(give(&w, LOCAL, PENDING, NULL, NULL), N);
	assert_int_equal(take(&w, LOCAL, JUSTICE, 99, &st), N);
	assert_int_equal(take(&w, LOCAL, STRANGER, 1, &st), N);
	/* All that are left. */
	assert_int_equal(take(&w, LOCAL, JUSTICE, 0, &st), O);
	assert_int_equal(dossier_of(&w, JUSTICE, "16906", &reply), D);
	world_close(&w);
}

/* Sees, gives and takes what lies within one grant of its own. Of the rest it is told what it is told of nobody. */
static void
test_grants_of_a_narrow_operator(void **state)
{
	static char v[] = "read", u[] = "17254", x[] = "16906", c[] = "dossier";
	char *verb[] = { v }, *unit[] = { u }, *other[] = { x }, *col[] = { c };
	Ltpb__Grant within, beyond;
	struct lt_status there = { 0 }, nowhere = { 0 };
	uint32_t number = 0, kept = 0;
	struct world w;

	(void)state;
	world_open(&w);
	enrol_narrow(&w, unit, col);
	grant_of(&within, verb, 1, unit, col);
	grant_of(&beyond, verb, 1, other, col);
	/* Justice has everything, so it is not there; nor has a stranger ever been. */
	assert_int_equal(listed(&w, OPERATOR, JUSTICE, &number), 0);
	assert_int_equal(give(&w, OPERATOR, JUSTICE, &within, NULL), N);
	assert_int_equal(give(&w, OPERATOR, STRANGER, &within, NULL), N);
	assert_int_equal(give(&w, OPERATOR, NODE, &within, NULL), N);
	assert_int_equal(take(&w, OPERATOR, JUSTICE, 1, &there), N);
	assert_int_equal(take(&w, OPERATOR, STRANGER, 1, &nowhere), N);
	assert_string_equal(there.message, nowhere.message);
	assert_string_equal(there.reason, nowhere.reason);
	/* Once it has one that could have been this operator's, it is. */
	assert_int_equal(give(&w, LOCAL, JUSTICE, &within, &number), O);
	assert_int_equal(listed(&w, OPERATOR, JUSTICE, &kept), 1);
	assert_int_equal(kept, number);
	assert_int_equal(give(&w, OPERATOR, JUSTICE, &beyond, NULL), D);
	assert_int_equal(give(&w, OPERATOR, JUSTICE, NULL, NULL), D);
	assert_int_equal(give(&w, OPERATOR, JUSTICE, &within, &kept), O);
	assert_int_equal(kept, number);
	assert_int_equal(take(&w, OPERATOR, JUSTICE, 1, &there), N);
	assert_int_equal(take(&w, OPERATOR, JUSTICE, 7, &nowhere), N);
	assert_string_equal(there.reason, nowhere.reason);
	assert_int_equal(
	    take(&w, OPERATOR, JUSTICE, 0, &there), O); /* its own to take: not the first */
	assert_int_equal(listed(&w, LOCAL, JUSTICE, &kept), 1);
	assert_int_equal(kept, 1);
	assert_int_equal(take(&w, OPERATOR, JUSTICE, number, &there), O); /* sent twice */
	/* Nor does it help itself. */
	assert_int_equal(give(&w, OPERATOR, OPERATOR, &beyond, NULL), D);
	world_close(&w);
}

/* Numbers from..to, all active. */
static void
act_grants(struct world *w, enum who who, unsigned from, unsigned to)
{
	static char active[] = "active";
	struct lt_unit federation = { "_" };
	Ltpb__FieldSet *state[1] = { fed_field(&w->arena, "state", LT_TYPE_ENUM, active) };
	char hex[2 * LT_ID_LEN + 1], key[64][2 * LT_ID_LEN + 8];
	struct lt_write write[64];
	struct lt_err err = { "" };
	unsigned i;

	memset(write, 0, sizeof(write));
	fed_principal_hex(&w->who[who], hex);
	for (i = 0; from + i <= to; i++) {
		(void)snprintf(key[i], sizeof(key[i]), "%s/%u", hex, from + i);
		write[i].collection = "_grant";
		write[i].key = key[i];
		write[i].set = state;
		write[i].nset = 1;
		write[i].builtin = true;
		write[i].writer = LT_WRITER_PROVINCE;
	}
	assert_int_equal(lt_hub_write(w->f.hub, &federation, write, i, &w->arena, &err), LT_OK);
}

static void
test_grants_at_most(void **state)
{
	static char v[] = "read", u[] = "17254", x[] = "16906", c[] = "dossier";
	char *verb[] = { v }, *unit[] = { u }, *other[] = { x }, *col[] = { c };
	Ltpb__Grant grant, more;
	struct lt_status st;
	uint32_t number;
	struct world w;

	(void)state;
	world_open(&w);
	grant_of(&grant, verb, 1, unit, col);
	grant_of(&more, verb, 1, other, col);
	act_grants(&w, AGRICULTURE, 2, 63);
	assert_int_equal(give(&w, LOCAL, AGRICULTURE, &grant, &number), O);
	assert_int_equal(number, 64);
	assert_int_equal(give(&w, LOCAL, AGRICULTURE, &grant, &number), O); /* it has it */
	assert_int_equal(number, 64);
	assert_int_equal(give(&w, LOCAL, AGRICULTURE, &more, &number), LT_STATUS_INVALID_ARGUMENT);
	/* One less, one more; its number is a new one. */
	assert_int_equal(take(&w, LOCAL, AGRICULTURE, 30, &st), O);
	assert_int_equal(give(&w, LOCAL, AGRICULTURE, &more, &number), O);
	assert_int_equal(number, 65);
	assert_int_equal(listed(&w, LOCAL, AGRICULTURE, &number), 64);
	world_close(&w);
}

/* Alarms are those of the operator's units, and what it does not see it cannot silence; that it did is kept with its name. */
static void
test_narrow_alarms(void **state)
{
	static char u[] = "17254", c[] = "dossier";
	char *unit[] = { u }, *collection[] = { c };
	Ltpb__ListEnrolmentsRequest list = LTPB__LIST_ENROLMENTS_REQUEST__INIT;
	Ltpb__AcknowledgeAlarmRequest req = LTPB__ACKNOWLEDGE_ALARM_REQUEST__INIT;
	const Ltpb__ListEnrolmentsReply *r;
	const Ltpb__InvitationAlarm *a;
	struct lt_hash own, foreign;
	ProtobufCMessage *m;
	struct world w;

	(void)state;
	world_open(&w);
	enrol_narrow(&w, unit, collection);
	own = ring(&w, u);
	foreign = ring(&w, "16906");
	assert_int_equal(admin(&w, "ListEnrolments", &list.base, &m), O);
	r = (const Ltpb__ListEnrolmentsReply *)m;
	assert_int_equal(r->n_alarm, 1);
	assert_memory_equal(r->alarm[0]->id.data, own.b, LT_HASH_LEN);
	protobuf_c_message_free_unpacked(m, NULL);
	req.id.data = foreign.b;
	req.id.len = LT_HASH_LEN;
	assert_int_equal(admin(&w, "AcknowledgeAlarm", &req.base, NULL), LT_STATUS_NOT_FOUND);
	req.id.len--;
	assert_int_equal(
	    admin(&w, "AcknowledgeAlarm", &req.base, NULL), LT_STATUS_INVALID_ARGUMENT);
	req.id.len++;
	assert_int_equal(lt_alarms_count(lt_enrol_alarms(w.f.enrol)), 2);
	req.id.data = own.b;
	assert_int_equal(admin(&w, "AcknowledgeAlarm", &req.base, &m), O);
	a = ((const Ltpb__AcknowledgeAlarmReply *)m)->alarm;
	assert_true(a->acknowledged_ms != 0);
	assert_int_equal(a->acknowledged_by.len, LT_ID_LEN);
	assert_memory_equal(a->acknowledged_by.data, w.who[OPERATOR].id.principal.b, LT_ID_LEN);
	protobuf_c_message_free_unpacked(m, NULL);
	assert_int_equal(lt_alarms_count(lt_enrol_alarms(w.f.enrol)), 1);
	assert_int_equal(admin(&w, "ListEnrolments", &list.base, &m), O);
	assert_int_equal(((const Ltpb__ListEnrolmentsReply *)m)->n_alarm, 0);
	protobuf_c_message_free_unpacked(m, NULL);
	world_close(&w);
}

/* ---- what a node may send ---- */

static uint64_t
held(struct world *w, const struct fed_feed *feed)
{
	struct lt_kv_txn *txn;
	struct lt_head head;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(w->f.hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &feed->unit, &feed->id, &head), LT_OK);
	lt_kv_abort(txn);
	return head.seq;
}

static void
test_pushing(void **state)
{
	static const struct {
		const char *descr;
		enum who author; /* whose feed, by name */
		enum who signer; /* whose key */
		const char *unit;
		int want;
	} cases[] = {
		{ "its own", NODE, NODE, "17254", O },
		{ "of another node, signed by it", OTHER_NODE, OTHER_NODE, "16906", D },
		{ "of a node of the same commune", SUSPENDED, SUSPENDED, "17254", D },
		{ "in another's name", OTHER_NODE, NODE, "16906", D },
		{ "another unit's", NODE, NODE, "16906", D },
		{ "the province's", NODE, NODE, "40", D },
		{ "the federation's", NODE, NODE, "_", D },
		{ "a unit that is not there", NODE, NODE, "99999", D },
		{ "its own name, another's key", NODE, OTHER_NODE, "17254",
		    LT_STATUS_INVALID_ARGUMENT },
		{ "a department's", AGRICULTURE, AGRICULTURE, "17254", D },
		{ "a stranger's", STRANGER, STRANGER, "17254", D },
	};
	struct fed_peer hub;
	struct lt_status st;
	struct fed_feed feed;
	struct lt_draft d;
	struct lt_buf b;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].descr);
		fed_feed_init(
		    &feed, &w.who[cases[i].author], cases[i].unit, LT_LANE_NORMAL, 100 + i);
		feed.key = w.who[cases[i].signer].id.sign;
		fed_draft_dossier(&w.arena, &d, "H41.65-261120-0100");
		lt_buf_init(&b, 0);
		fed_seal(&w.f, &feed, &d, 1, &b);
		assert_int_equal(fed_push(&w.who[NODE], &b, 1, NULL, &st), cases[i].want);
		lt_buf_fini(&b);
		assert_int_equal(held(&w, &feed), cases[i].want == O ? 1 : 0);
	}
	/* In the hub's own name, signed with the node's key. */
	hub = w.who[NODE];
	hub.id.principal = w.f.hub_id->principal;
	fed_feed_init(&feed, &hub, "17254", LT_LANE_NORMAL, 1);
	lt_buf_init(&b, 0);
	fed_seal(&w.f, &feed, &d, 1, &b);
	assert_int_not_equal(fed_push(&w.who[NODE], &b, 1, NULL, &st), O);
	lt_buf_fini(&b);
	assert_int_equal(held(&w, &feed), 0);
	assert_false(lt_hub_recovering(w.f.hub));
	/* Hello in another's name. */
	{
		Ltpb__HelloRequest h = LTPB__HELLO_REQUEST__INIT;

		h.principal.data = w.who[OTHER_NODE].id.principal.b;
		h.principal.len = LT_ID_LEN;
		h.instance.data = w.who[OTHER_NODE].id.principal.b;
		h.instance.len = 16;
		assert_int_equal(
		    fed_ask(&w.who[NODE], &ltpb__sync__descriptor, "Hello", &h.base, NULL, &st),
		    LT_STATUS_INVALID_ARGUMENT);
	}
	/* Signed with the hub's own key: what it signed and does not have any more, whoever brings it (FORMAT.md 12.7). It takes that for
	 * its own, and signs nothing before it has heard the others. */
	hub.id.sign = w.f.hub_id->sign;
	fed_feed_init(&feed, &hub, "17254", LT_LANE_NORMAL, 1);
	lt_buf_init(&b, 0);
	fed_seal(&w.f, &feed, &d, 1, &b);
	assert_int_equal(fed_push(&w.who[NODE], &b, 1, NULL, &st), O);
	lt_buf_fini(&b);
	assert_true(lt_hub_recovering(w.f.hub));
	world_close(&w);
}

/* ---- what comes down to a node ---- */

struct pulled {
	struct world *w;
	unsigned sets[4]; /* of `_`, the province, the own commune, others */
	unsigned opened[4], withheld[4];
};

static void
note_pulled(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct pulled *p = ctx;
	struct lt_changeset cs;
	struct lt_arena arena;
	size_t i;
	int k;

	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	lt_arena_init(&arena, (size_t)64 << 20);
	assert_int_equal(lt_changeset_parse(
			     lt_slice(it->change_set.data, it->change_set.len), &arena, &cs, NULL),
	    LT_OK);
	k = strcmp(cs.unit.s, "_") == 0       ? 0
	    : strcmp(cs.unit.s, "40") == 0    ? 1
	    : strcmp(cs.unit.s, "17254") == 0 ? 2
					      : 3;
	p->sets[k]++;
	for (i = 0; i < cs.nopening; i++)
		if (cs.opening[i].withheld)
			p->withheld[k]++;
		else
			p->opened[k]++;
	lt_arena_fini(&arena);
}

/* `_`, the province, the own commune and nothing else; values of personal fields only of the own commune, the leaves of
 * the rest so that signatures still verify. */
static void
test_pulling(void **state)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	Ltpb__FeedHead have = LTPB__FEED_HEAD__INIT, *haves[1] = { &have };
	struct pulled p;
	struct lt_status st;
	struct world w;
	uint8_t zero[LT_HASH_LEN] = { 0 };
	int round;

	(void)state;
	world_open(&w);
	/* A record of the province that says who wrote it. */
	assert_int_equal(fed_ask(&w.who[OPERATOR], &ltpb__records__descriptor, "Put",
			     req_put(&w, OPERATOR), NULL, &st),
	    O);
	for (round = 0; round < 3; round++) {
		memset(&p, 0, sizeof(p));
		p.w = &w;
		/* Naming another commune's feed, as held or as not held, does not bring it. */
		if (round > 0) {
			r.n_have = 1;
			r.have = haves;
			have.unit = (char *)"16906";
			have.feed.data = w.feed[OTHER_NODE].id.b;
			have.feed.len = LT_FEED_LEN;
			have.hash.data = zero;
			have.hash.len = sizeof(zero);
			have.seq = round == 1 ? 0 : INT64_MAX;
		}
		/* As a second machine of the commune: it has nothing yet. */
		assert_int_equal(fed_call(&w.who[SUSPENDED], &ltpb__sync__descriptor, "Pull",
				     &r.base, note_pulled, &p, &st),
		    O);
		assert_true(p.sets[0] >= 2);
		assert_int_equal(p.sets[1], 1);
		/* two of the node's, and the verdicts on them */
		assert_true(p.sets[2] >= 3 && p.sets[2] <= 4);
		assert_int_equal(p.sets[3], 0);
		assert_int_equal(p.opened[2], 5);
		assert_int_equal(p.withheld[2], 0);
		assert_int_equal(p.opened[0] + p.opened[1], 0);
		assert_int_equal(p.withheld[1], 1); /* _actor */
	}
	/* The node itself is not sent what it wrote. */
	r.n_have = 0;
	memset(&p, 0, sizeof(p));
	assert_int_equal(fed_call(&w.who[OTHER_NODE], &ltpb__sync__descriptor, "Pull", &r.base,
			     note_pulled, &p, &st),
	    O);
	assert_int_equal(p.sets[2], 0);
	assert_int_equal(p.opened[0] + p.opened[1] + p.opened[2], 0);
	/* The operator reads the log's bytes, and no opening of them. */
	{
		const Ltpb__ReadLogReply *log;
		struct lt_changeset cs;
		ProtobufCMessage *m;
		struct lt_arena arena;
		size_t i, k;

		assert_int_equal(fed_ask(&w.who[OPERATOR], &ltpb__admin__descriptor, "ReadLog",
				     req_log(&w, OPERATOR), &m, &st),
		    O);
		log = (const Ltpb__ReadLogReply *)m;
		assert_int_equal(log->n_change_set, 2);
		lt_arena_init(&arena, 8 << 20);
		for (i = 0; i < log->n_change_set; i++) {
			assert_int_equal(lt_changeset_parse(lt_slice(log->change_set[i].data,
								log->change_set[i].len),
					     &arena, &cs, NULL),
			    LT_OK);
			assert_true(cs.nopening > 0);
			for (k = 0; k < cs.nopening; k++)
				assert_true(cs.opening[k].withheld);
			assert_int_equal(lt_changeset_verify_openings(&cs, NULL), LT_OK);
		}
		lt_arena_fini(&arena);
		protobuf_c_message_free_unpacked(m, NULL);
	}
	world_close(&w);
}

/* A mirror gets every feed and, by what it is invited with, no personal value; narrowed, the units that are left and those of `_`;
 * taken from it, its stream ends at once. What it never has is in the matrix. */
static void
test_mirror(void **state)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	char hex[2 * LT_ID_LEN + 1], key[2 * LT_ID_LEN + 8];
	static const struct lt_call_ops ops = { follow_item, follow_end };
	Ltpb__PullRequest live = LTPB__PULL_REQUEST__INIT;
	struct follow fl = { 0 };
	struct pulled p = { 0 };
	struct lt_status st;
	struct world w;

	(void)state;
	world_open(&w);
	fed_principal_hex(&w.who[MIRROR], hex);
	(void)snprintf(key, sizeof(key), "%s/1", hex);
	p.w = &w;
	assert_int_equal(fed_call(&w.who[MIRROR], &ltpb__sync__descriptor, "Pull", &r.base,
			     note_pulled, &p, &st),
	    O);
	assert_true(p.sets[0] >= 2 && p.sets[2] >= 3 && p.sets[3] >= 2);
	assert_int_equal(p.opened[0] + p.opened[1] + p.opened[2] + p.opened[3], 0);
	assert_true(p.withheld[2] >= 5 && p.withheld[3] >= 1);
	/* One unit, while a stream is open. */
	live.follow = true;
	assert_int_equal(lt_conn_call(w.who[MIRROR].conn, &ltpb__sync__descriptor, "Pull",
			     &live.base, 0, &ops, &fl, NULL),
	    LT_OK);
	fed_wait(has_caught_up, &fl, 20000, "the mirror has all");
	fed_act_set(&w.f, "_grant", key, "units", "17254");
	memset(&p, 0, sizeof(p));
	p.w = &w;
	assert_int_equal(fed_call(&w.who[MIRROR], &ltpb__sync__descriptor, "Pull", &r.base,
			     note_pulled, &p, &st),
	    O);
	assert_true(p.sets[0] >= 2 && p.sets[2] >= 3);
	assert_int_equal(p.sets[1] + p.sets[3], 0);
	assert_int_equal(p.opened[2], 0);
	/* Personal values of one field, by a grant of their own. */
	(void)snprintf(key, sizeof(key), "%s/2", hex);
	fed_act_set(&w.f, "_grant", key, "verbs", "open");
	fed_act_set(&w.f, "_grant", key, "units", "17254");
	fed_act_set(&w.f, "_grant", key, "collections", "dossier");
	fed_act_set(&w.f, "_grant", key, "fields", "applicant_name");
	fed_act_enum(&w.f, "_grant", key, "state", "active");
	memset(&p, 0, sizeof(p));
	p.w = &w;
	assert_int_equal(fed_call(&w.who[MIRROR], &ltpb__sync__descriptor, "Pull", &r.base,
			     note_pulled, &p, &st),
	    O);
	assert_int_equal(p.opened[2], 1);
	assert_int_equal(p.opened[0] + p.opened[3], 0);
	/* All taken: the open stream ends, without any news that would wake it. */
	assert_int_equal(fl.ended, 0);
	(void)snprintf(key, sizeof(key), "%s/1", hex);
	fed_act_enum(&w.f, "_grant", key, "state", "revoked");
	fed_wait(has_ended, &fl, 20000, "the mirror's stream");
	assert_int_equal(fl.code, D);
	assert_int_equal(fed_call(&w.who[MIRROR], &ltpb__sync__descriptor, "Pull", &r.base,
			     note_pulled, &p, &st),
	    D);
	world_close(&w);
}

/* What the operator may write through the hub: the province's, no commune's own, no act. */
static void
test_operator_writes(void **state)
{
	static const struct {
		const char *collection, *unit, *key;
		int want;
	} cases[] = {
		{ "directive", "40", DIRECTIVE, O },
		{ "directive", "41", DIRECTIVE, D },
		{ "directive", "17254", DIRECTIVE, D },
		{ "household_poverty", "17254", "17254/" HOUSEHOLD, D },
		{ "_registry", "_", "0123456789abcdef0123456789abcdef", D },
		{ "_unit", "_", "17254", D },
		{ "no_such_thing", "40", "x", D },
		{ "directive", "no unit", DIRECTIVE, LT_STATUS_INVALID_ARGUMENT },
	};
	struct lt_status st;
	struct world w;
	size_t i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__PutRequest r = LTPB__PUT_REQUEST__INIT;
		enum who k;

		r.collection = (char *)cases[i].collection;
		r.unit = (char *)cases[i].unit;
		r.key = (char *)cases[i].key;
		r.field = directive_fields(&w, &r.n_field);
		for (k = OPERATOR; k <= LOCAL; k += LOCAL - OPERATOR)
			if (fed_ask(&w.who[k], &ltpb__records__descriptor, "Put", &r.base, NULL,
				&st) != cases[i].want)
				fail_msg("%s of %s: %s: %s", cases[i].collection, cases[i].unit,
				    lt_status_name((int)st.code), st.message);
	}
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_method_has_a_row),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_reflection),
		cmocka_unit_test(test_no_more),
		cmocka_unit_test(test_personal_fields),
		cmocka_unit_test(test_history_is_masked),
		cmocka_unit_test(test_proof_is_masked),
		cmocka_unit_test(test_using_a_masked_field),
		cmocka_unit_test(test_collections),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_narrow_invitation),
		cmocka_unit_test(test_narrow_inspection),
		cmocka_unit_test(test_narrow_freshness),
		cmocka_unit_test(test_narrow_enrolment),
		cmocka_unit_test(test_narrow_alarms),
		cmocka_unit_test(test_grants_later),
		cmocka_unit_test(test_grants_of_a_narrow_operator),
		cmocka_unit_test(test_grants_at_most),
		cmocka_unit_test(test_pushing),
		cmocka_unit_test(test_pulling),
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_operator_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
