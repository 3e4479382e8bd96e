/* Invitations and those who ask with one: expiry, one use, proofs, the operator's answer, and all of it over a restart. */
#include "hub/grant.h"
#include "hub/keys.h"
#include "proto/store/tables.h"
#include "tests/hub/hub_fixture.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PENDING LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING
#define ACTIVE LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
#define REJECTED LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED
#define DEPARTMENT LTPB__ROLE__ROLE_DEPARTMENT

static bool more; /* lt_enrol_list() had no room for all; where it matters it is looked at */

static int
invite(struct hubfx *h, Ltpb__InviteRequest *req, int64_t *expires_s)
{
	struct lt_err err = { "" };
	struct lt_buf line;
	int rc;

	lt_buf_init(&line, 4096);
	rc = lt_enrol_invite(h->f.enrol, req, h->f.addresses, 1, &line, expires_s, &err);
	if (rc != LT_OK)
		assert_true(err.text[0] != '\0');
	lt_buf_fini(&line);
	return rc;
}

/* How long an invitation may live, and for whom it may be. */
static void
test_inviting(void **state)
{
	static const struct {
		const char *descr;
		Ltpb__Role role;
		const char *unit, *org;
		uint64_t life_s;
		int rc;
		int64_t lives_s;
	} cases[] = {
		{ "a node, a week by default", LTPB__ROLE__ROLE_NODE, HUB_UNIT, "", 0, LT_OK,
		    604800 },
		{ "a second", LTPB__ROLE__ROLE_NODE, HUB_UNIT, "", 1, LT_OK, 1 },
		{ "90 days", LTPB__ROLE__ROLE_NODE, HUB_UNIT, "", 7776000, LT_OK, 7776000 },
		{ "a second more", LTPB__ROLE__ROLE_NODE, HUB_UNIT, "", 7776001, LT_E_INVALID, 0 },
		{ "for ever", LTPB__ROLE__ROLE_NODE, HUB_UNIT, "", UINT64_MAX, LT_E_INVALID, 0 },
		{ "a node of nowhere", LTPB__ROLE__ROLE_NODE, "", "", 0, LT_E_INVALID, 0 },
		{ "a node of the province", LTPB__ROLE__ROLE_NODE, "40", "", 0, LT_E_INVALID, 0 },
		{ "a node of the federation", LTPB__ROLE__ROLE_NODE, "_", "", 0, LT_E_INVALID, 0 },
		{ "a department", LTPB__ROLE__ROLE_DEPARTMENT, "", "so_tu_phap", 0, LT_OK, 604800 },
		{ "none that the catalogue knows", LTPB__ROLE__ROLE_DEPARTMENT, "", "so_x", 0,
		    LT_E_INVALID, 0 },
		{ "an operator", LTPB__ROLE__ROLE_OPERATOR, "", "", 0, LT_OK, 604800 },
		{ "another hub", LTPB__ROLE__ROLE_HUB, "", "", 0, LT_E_INVALID, 0 },
		{ "nobody", LTPB__ROLE__ROLE_UNSPECIFIED, HUB_UNIT, "", 0, LT_E_INVALID, 0 },
	};
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
		int64_t expires = 0;

		print_message("%s\n", cases[i].descr);
		req.role = cases[i].role;
		req.unit = (char *)cases[i].unit;
		req.org = (char *)cases[i].org;
		req.expires_in_s = cases[i].life_s;
		assert_int_equal(invite(&h, &req, &expires), cases[i].rc);
		if (cases[i].rc == LT_OK)
			assert_int_equal(expires, HUB_NOW_MS / 1000 + cases[i].lives_s);
	}
	hubfx_close(&h);
}

/* Until the second it expires in, not from then on; and the door is open a week longer. */
static void
test_expiry(void **state)
{
	Ltpb__PrincipalState st;
	struct fed_peer in_time, late, stranger;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	fed_stranger(&h.f, &stranger);
	assert_false(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	fed_invite(&h.f, &in_time, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &late, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_true(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	h.now_ms = HUB_NOW_MS + INT64_C(604800000) - 1;
	assert_true(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	assert_int_equal(hubfx_join(&h, &in_time, &st), LT_OK);
	assert_int_equal(st, PENDING);
	h.now_ms += 1;
	assert_int_equal(hubfx_join(&h, &late, &st), LT_E_TIMEOUT);
	/* For a week more it is told to who comes late. */
	h.now_ms += INT64_C(604800000) - 1;
	assert_true(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	h.now_ms += 1;
	assert_false(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	assert_int_equal(hubfx_join(&h, &late, &st), LT_E_TIMEOUT);
	/* Who asked in time is let in to hear the answer, however long it takes. */
	h.now_ms += INT64_C(604800000);
	assert_true(lt_enrol_lets_in(h.f.enrol, in_time.id.line_pk));
	assert_int_equal(hubfx_join(&h, &in_time, &st), LT_OK);
	assert_int_equal(st, PENDING);
	hubfx_close(&h);
}

static Ltpb__InvitationAlarm *
one_alarm(struct hubfx *h)
{
	Ltpb__InvitationAlarm **alarm;
	size_t n;

	assert_int_equal(
	    lt_alarms_list(lt_enrol_alarms(h->f.enrol), false, &h->arena, &alarm, &n), LT_OK);
	assert_int_equal(n, 1);
	assert_int_equal(lt_alarms_count(lt_enrol_alarms(h->f.enrol)), 1);
	return alarm[0];
}

/* One machine for each invitation; asking again tells the state; another with the same line learns nothing. */
static void
test_one_use(void **state)
{
	struct fed_peer first, second, third;
	Ltpb__PrincipalState st;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &first, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&h, &first, &st), LT_OK);
	assert_true(lt_enrol_is_pending(h.f.enrol, first.id.line_pk));
	assert_int_equal(hubfx_join(&h, &first, &st), LT_OK);
	assert_int_equal(st, PENDING);
	assert_int_equal(lt_alarms_count(lt_enrol_alarms(h.f.enrol)), 0);
	fed_stranger(&h.f, &second);
	memcpy(second.id.token, first.id.token, 16);
	/* Nothing else is open: the one who was meant has to get as far as the alarm. */
	assert_true(lt_enrol_lets_in(h.f.enrol, second.id.line_pk));
	assert_int_equal(hubfx_join(&h, &second, &st), LT_E_CONFLICT);
	assert_false(lt_enrol_is_pending(h.f.enrol, second.id.line_pk));
	assert_int_equal(one_alarm(&h)->times, 1);
	/* With an invitation of its own, but an id or a line key that is somebody's. */
	fed_invite(&h.f, &third, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	second = third;
	third.id.principal = first.id.principal;
	assert_int_equal(hubfx_join(&h, &third, &st), LT_E_EXISTS);
	third = second;
	memcpy(third.id.line_pk, first.id.line_pk, 32);
	assert_int_equal(hubfx_join(&h, &third, &st), LT_E_EXISTS);
	/* None of this has spent it. */
	assert_int_equal(hubfx_join(&h, &second, &st), LT_OK);
	hubfx_close(&h);
}

/* The first machine has the invitation at once, the second is the one that was meant: it is told, and so is the operator,
 * over the line and after a restart; however often it tries there is one alarm. */
static void
test_second_use(void **state)
{
	struct fed_peer thief, owner, same_id;
	Ltpb__PrincipalState st;
	Ltpb__InvitationAlarm *a;
	struct hubfx h;
	int i;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &thief, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_stranger(&h.f, &owner);
	memcpy(owner.id.token, thief.id.token, 16);
	assert_int_equal(fed_dial(&h.f, &thief), LT_OK);
	assert_int_equal(fed_join(&thief, &st), LT_STATUS_OK);
	assert_int_equal(st, ACTIVE);
	h.now_ms += 5000;
	assert_int_equal(fed_dial(&h.f, &owner), LT_OK);
	assert_int_equal(fed_join(&owner, &st), LT_STATUS_PERMISSION_DENIED);
	fed_hang_up(&owner);
	a = one_alarm(&h);
	assert_int_equal(a->times, 1);
	assert_int_equal(a->role, LTPB__ROLE__ROLE_NODE);
	assert_string_equal(a->unit, HUB_UNIT);
	assert_string_equal(a->address, "127.0.0.1");
	assert_memory_equal(a->principal.data, thief.id.principal.b, LT_ID_LEN);
	assert_int_equal(a->first_ms, HUB_NOW_MS + 5000);
	/* The first one's id, with other keys, is not the first one. */
	fed_stranger(&h.f, &same_id);
	same_id.id.principal = thief.id.principal;
	memcpy(same_id.id.token, thief.id.token, 16);
	assert_int_equal(hubfx_join(&h, &same_id, &st), LT_E_CONFLICT);
	for (i = 0; i < 100; i++)
		assert_int_equal(hubfx_join(&h, &owner, &st), LT_E_CONFLICT);
	h.now_ms += 1000;
	assert_int_equal(hubfx_join(&h, &owner, &st), LT_E_CONFLICT);
	/* The first machine asks again: that is no second use. */
	assert_int_equal(hubfx_join(&h, &thief, &st), LT_OK);
	assert_int_equal(one_alarm(&h)->times, 103);
	fed_hang_up(&thief);
	hubfx_restart(&h);
	a = one_alarm(&h);
	assert_int_equal(a->times, 103);
	assert_int_equal(a->first_ms, HUB_NOW_MS + 5000);
	assert_int_equal(a->last_ms, HUB_NOW_MS + 6000);
	assert_memory_equal(a->principal.data, thief.id.principal.b, LT_ID_LEN);
	hubfx_close(&h);
}

/* Some invitation is out: strangers come in, but not as many as they like; those who asked before always. */
static void
test_door(void **state)
{
	struct fed_peer known, stranger;
	Ltpb__PrincipalState st;
	struct hubfx h;
	unsigned n = 0;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &known, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&h, &known, &st), LT_OK);
	fed_stranger(&h.f, &stranger);
	while (n < 1000 && lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk))
		n++;
	assert_int_equal(n, 128);
	assert_true(lt_enrol_lets_in(h.f.enrol, known.id.line_pk));
	h.now_ms += 99;
	assert_false(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	h.now_ms += 1;
	assert_true(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	assert_false(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	h.now_ms += 3600000;
	for (n = 0; n < 1000 && lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk);)
		n++;
	assert_int_equal(n, 128);
	hubfx_close(&h);
}

static struct lt_alarms *
alarms(struct hubfx *h)
{
	return lt_enrol_alarms(h->f.enrol);
}

static Ltpb__InvitationAlarm *
the_alarm(struct hubfx *h, const struct lt_hash *token)
{
	Ltpb__InvitationAlarm *m;

	assert_int_equal(lt_alarm_find(alarms(h), token, &h->arena, &m), LT_OK);
	return m;
}

/* Seen to: it is told no more, also after a restart, until somebody comes with the invitation again; who and when stays. */
static void
test_alarm_acknowledged(void **state)
{
	struct lt_alarm what = { .role = LTPB__ROLE__ROLE_OPERATOR, .token = { { 7 } } };
	const struct lt_id first = { { 1 } }, second = { { 2 } };
	const struct lt_hash other = { { 8 } };
	Ltpb__InvitationAlarm **list, *m;
	struct hubfx h;
	size_t n;
	int i;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < 3; i++)
		lt_alarm_raise(alarms(&h), &what);
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &other, 0, &first), LT_E_NOTFOUND);
	/* Two of three were shown: the third is an alarm still. */
	h.now_ms += 1000;
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 2, &first), LT_OK);
	assert_int_equal(lt_alarms_count(alarms(&h)), 1);
	h.now_ms += 1000;
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 99, &first), LT_OK);
	assert_int_equal(lt_alarms_count(alarms(&h)), 0);
	/* Said once more, by another: as it was. */
	h.now_ms += 1000;
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 0, &second), LT_OK);
	for (i = 0; i < 2; i++) {
		assert_int_equal(lt_alarms_count(alarms(&h)), 0);
		assert_int_equal(lt_alarms_list(alarms(&h), false, &h.arena, &list, &n), LT_OK);
		assert_int_equal(n, 0);
		assert_int_equal(lt_alarms_list(alarms(&h), true, &h.arena, &list, &n), LT_OK);
		assert_int_equal(n, 1);
		m = the_alarm(&h, &what.token);
		assert_int_equal(m->acknowledged_ms, HUB_NOW_MS + 2000);
		assert_int_equal(m->acknowledged_times, 3);
		assert_memory_equal(m->acknowledged_by.data, first.b, LT_ID_LEN);
		hubfx_restart(&h);
	}
	/* At once, though it rang less than a minute ago, and on disk. */
	lt_alarm_raise(alarms(&h), &what);
	hubfx_restart(&h);
	assert_int_equal(lt_alarms_count(alarms(&h)), 1);
	m = the_alarm(&h, &what.token);
	assert_int_equal(m->times, 4);
	assert_int_equal(m->acknowledged_times, 3);
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 4, NULL), LT_OK);
	m = the_alarm(&h, &what.token);
	assert_int_equal(m->acknowledged_by.len, 0);
	assert_int_equal(m->acknowledged_times, 4);
	hubfx_close(&h);
}

static int
no_space(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return LT_E_NOSPACE;
}

/* What could not be written is not believed: it rings on. */
static void
test_acknowledgement_not_written(void **state)
{
	struct lt_alarm what = { .role = LTPB__ROLE__ROLE_OPERATOR, .token = { { 7 } } };
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	lt_alarm_raise(alarms(&h), &what);
	lt_kv_set_fault(lt_hub_log(h.f.hub), no_space, NULL);
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 0, NULL), LT_E_NOSPACE);
	lt_kv_set_fault(lt_hub_log(h.f.hub), NULL, NULL);
	assert_int_equal(lt_alarms_count(alarms(&h)), 1);
	assert_int_equal(the_alarm(&h, &what.token)->acknowledged_ms, 0);
	assert_int_equal(lt_alarm_acknowledge(alarms(&h), &what.token, 0, NULL), LT_OK);
	assert_int_equal(lt_alarms_count(alarms(&h)), 0);
	hubfx_close(&h);
}

/* When all places are taken, one that was seen to makes room, though others are older. */
static void
test_acknowledged_gives_way(void **state)
{
	struct lt_alarm what = { .role = LTPB__ROLE__ROLE_OPERATOR };
	struct lt_hash seen = { { 0 } }, oldest = { { 0 } };
	Ltpb__InvitationAlarm *m;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < LT_ALARMS_MAX + 1; i++) {
		what.token.b[0] = (uint8_t)i;
		what.token.b[1] = (uint8_t)(i >> 8);
		h.now_ms += 1;
		lt_alarm_raise(alarms(&h), &what);
		if (i != 77)
			continue;
		seen = what.token;
		assert_int_equal(lt_alarm_acknowledge(alarms(&h), &seen, 0, NULL), LT_OK);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(lt_alarms_count(alarms(&h)), LT_ALARMS_MAX);
		assert_int_equal(lt_alarm_find(alarms(&h), &seen, &h.arena, &m), LT_E_NOTFOUND);
		(void)the_alarm(&h, &oldest);
		(void)the_alarm(&h, &what.token);
		hubfx_restart(&h);
	}
	hubfx_close(&h);
}

/* More invitations used again than are kept: the one tried longest ago gives way, on disk too. */
static void
test_alarms_kept(void **state)
{
	struct lt_alarm what = { .role = LTPB__ROLE__ROLE_OPERATOR };
	Ltpb__InvitationAlarm **alarm;
	struct hubfx h;
	size_t i, n;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < LT_ALARMS_MAX + 3; i++) {
		what.token.b[0] = (uint8_t)i;
		what.token.b[1] = (uint8_t)(i >> 8);
		h.now_ms += 1;
		lt_alarm_raise(lt_enrol_alarms(h.f.enrol), &what);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    lt_alarms_list(lt_enrol_alarms(h.f.enrol), false, &h.arena, &alarm, &n), LT_OK);
		assert_int_equal(n, LT_ALARMS_MAX);
		assert_int_equal(alarm[0]->last_ms, HUB_NOW_MS + LT_ALARMS_MAX + 3);
		assert_int_equal(alarm[n - 1]->last_ms, HUB_NOW_MS + 4);
		hubfx_restart(&h);
	}
	hubfx_close(&h);
}

/* A proof of another federation, token, principal, line key or signing key is none; a wrong length is none. */
static void
test_proofs(void **state)
{
	struct fed_peer p, bad;
	Ltpb__PrincipalState st;
	struct hubfx h;
	int i;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &p, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	for (i = 0; i < 9; i++) {
		Ltpb__JoinRequest r = LTPB__JOIN_REQUEST__INIT;
		struct lt_err err = { "" };
		uint8_t proof[LT_SIG_LEN];

		bad = p;
		if (i == 0)
			bad.id.federation.b[0] ^= 1;
		if (i == 1)
			bad.id.token[0] ^= 1;
		if (i == 2)
			bad.id.principal.b[0] ^= 1;
		if (i == 3)
			bad.id.line_pk[0] ^= 1;
		if (i == 4)
			lt_identity_keys(&bad.id);
		lt_join_proof(&bad.id.sign, &bad.id.federation, bad.id.token, &bad.id.principal,
		    bad.id.line_pk, proof);
		r.token.data = p.id.token;
		r.token.len = i == 5 ? 15 : 16;
		r.principal.data = p.id.principal.b;
		r.principal.len = i == 6 ? 15 : LT_ID_LEN;
		r.sign_key.data = p.id.sign.pk;
		r.sign_key.len = i == 7 ? 31 : 32;
		r.proof.data = proof;
		r.proof.len = i == 8 ? 63 : LT_SIG_LEN;
		assert_int_equal(lt_enrol_join(h.f.enrol, &r, p.id.line_pk, "192.0.2.1", &st, &err),
		    LT_E_DENIED);
	}
	assert_int_equal(hubfx_join(&h, &p, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	hubfx_close(&h);
}

static bool
is_active(struct hubfx *h, const struct fed_peer *p)
{
	struct lt_registry *reg = lt_hub_registry(h->f.hub);
	const struct lt_principal *who = lt_registry_find(reg, &p->id.principal);
	bool is = who != NULL && who->state == ACTIVE &&
		  lt_registry_by_line_key(reg, p->id.line_pk) == who;

	lt_registry_unref(reg);
	return is;
}

/* The operator's answer is given once; it stands in the registry when the call returns. */
static void
test_answers(void **state)
{
	char longest[LT_ENROL_REASON_MAX + 2] = "", reason[LT_ENROL_REASON_MAX + 1];
	size_t i;
	struct fed_peer yes, no, never;
	struct lt_err err = { "" };
	Ltpb__Enrolment **list;
	Ltpb__PrincipalState st;
	struct lt_buf words;
	struct hubfx h;
	size_t n;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &yes, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &no, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", false);
	fed_stranger(&h.f, &never);
	assert_int_equal(hubfx_join(&h, &yes, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &no, &st), LT_OK);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 2);
	assert_string_equal(list[0]->unit, HUB_UNIT);
	assert_string_equal(list[1]->org, "so_tu_phap");
	assert_int_equal(list[0]->asked_ms, HUB_NOW_MS);
	/* The words that are read over the phone are those of its own keys. */
	lt_buf_init(&words, 256);
	lt_fingerprint(
	    &h.f.hub_id->federation, &yes.id.principal, yes.id.sign.pk, yes.id.line_pk, &words);
	lt_buf_u8(&words, 0);
	assert_string_equal(list[0]->fingerprint, (const char *)words.data);
	lt_buf_fini(&words);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &never.id.principal, &err), LT_E_NOTFOUND);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &never.id.principal, "", &err), LT_E_NOTFOUND);
	assert_false(is_active(&h, &yes));
	assert_int_equal(lt_enrol_approve(h.f.enrol, &yes.id.principal, &err), LT_OK);
	assert_true(is_active(&h, &yes));
	assert_false(lt_enrol_is_pending(h.f.enrol, yes.id.line_pk));
	assert_int_equal(lt_enrol_approve(h.f.enrol, &yes.id.principal, &err), LT_OK);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &yes.id.principal, "", &err), LT_E_CONFLICT);
	assert_true(is_active(&h, &yes));
	memset(longest, 'r', sizeof(longest) - 1);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &no.id.principal, longest, &err), LT_E_INVALID);
	assert_int_equal(
	    lt_enrol_reject(h.f.enrol, &no.id.principal, "two\nlines", &err), LT_E_INVALID);
	assert_true(lt_enrol_is_pending(h.f.enrol, no.id.line_pk));
	longest[LT_ENROL_REASON_MAX] = '\0';
	assert_int_equal(lt_enrol_reject(h.f.enrol, &no.id.principal, longest, &err), LT_OK);
	/* What was said first stays, also over a restart, and is told to who asked alone. */
	assert_int_equal(lt_enrol_reject(h.f.enrol, &no.id.principal, "other", &err), LT_OK);
	hubfx_restart(&h);
	lt_enrol_reason(h.f.enrol, no.id.line_pk, reason);
	assert_string_equal(reason, longest);
	lt_enrol_reason(h.f.enrol, yes.id.line_pk, reason);
	assert_string_equal(reason, "");
	lt_enrol_reason(h.f.enrol, never.id.line_pk, reason);
	assert_string_equal(reason, "");
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	for (i = 0; i < n; i++)
		assert_string_equal(list[i]->reason, list[i]->state == REJECTED ? longest : "");
	assert_int_equal(lt_enrol_approve(h.f.enrol, &no.id.principal, &err), LT_E_CONFLICT);
	assert_false(is_active(&h, &no));
	assert_int_equal(hubfx_join(&h, &no, &st), LT_OK);
	assert_int_equal(st, REJECTED);
	assert_int_equal(hubfx_join(&h, &yes, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	hubfx_close(&h);
}

struct row {
	struct lt_slice key, value;
};

static int
put_row(struct lt_kv_txn *txn, void *ctx)
{
	const struct row *r = ctx;

	return lt_kv_put(txn, LT_T_ENROL, r->key, r->value);
}

static void
plant(struct hubfx *h, struct lt_slice key, const struct lt_buf *value)
{
	struct row r = { .key = key, .value = lt_buf_slice(value) };

	assert_int_equal(value->err, LT_OK);
	assert_int_equal(lt_writer_run(lt_hub_writer(h->f.hub), put_row, &r), LT_OK);
}

struct kept_row {
	uint8_t key[1 + LT_ID_LEN];
	struct lt_buf value;
};

static void
keep_row(struct hubfx *h, const struct fed_peer *p, struct kept_row *k)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;

	k->key[0] = 'p';
	memcpy(k->key + 1, p->id.principal.b, LT_ID_LEN);
	lt_buf_init(&k->value, 0);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, LT_T_ENROL, lt_slice(k->key, sizeof(k->key)), &v), LT_OK);
	lt_buf_put(&k->value, v.data, v.len);
	lt_kv_abort(txn);
}

static Ltpb__PrincipalState
listed(struct hubfx *h, const struct fed_peer *p)
{
	Ltpb__Enrolment *m;

	assert_int_equal(lt_enrol_find(h->f.enrol, &p->id.principal, &h->arena, &m), LT_OK);
	return m->state;
}

/* The registry's acts of an approval, without its row in this list: another list of the same hub approves, and the row is
 * put back as it was. */
static void
approve_elsewhere(struct hubfx *h, const struct fed_peer *p)
{
	struct lt_err err = { "" };
	struct lt_enrol *twin;
	struct kept_row row;

	keep_row(h, p, &row);
	assert_int_equal(lt_enrol_open(h->f.hub, &twin, &err), LT_OK);
	assert_int_equal(lt_enrol_approve(twin, &p->id.principal, &err), LT_OK);
	lt_enrol_close(twin);
	plant(h, lt_slice(row.key, sizeof(row.key)), &row.value);
	lt_buf_fini(&row.value);
}

/* The power went between the registry's acts and the list's row: who is in is in, whatever the row says. */
static void
test_answer_cut_in_two(void **state)
{
	struct fed_peer in, late, waits;
	struct lt_err err = { "" };
	struct kept_row row, other;
	Ltpb__PrincipalState st;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &in, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &late, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &waits, LTPB__ROLE__ROLE_NODE, "16906", false);
	assert_int_equal(hubfx_join(&h, &in, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &late, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &waits, &st), LT_OK);
	keep_row(&h, &in, &row);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &in.id.principal, &err), LT_OK);
	plant(&h, lt_slice(row.key, sizeof(row.key)), &row.value);
	hubfx_restart(&h);
	/* Found at the start, and kept. */
	assert_int_equal(listed(&h, &in), ACTIVE);
	assert_false(lt_enrol_is_pending(h.f.enrol, in.id.line_pk));
	assert_int_equal(lt_enrol_reject(h.f.enrol, &in.id.principal, "", &err), LT_E_CONFLICT);
	assert_true(is_active(&h, &in));
	keep_row(&h, &in, &other);
	assert_false(other.value.len == row.value.len &&
		     memcmp(other.value.data, row.value.data, row.value.len) == 0);
	lt_buf_fini(&other.value);
	lt_buf_fini(&row.value);
	/* Found when the answer is given: the list was read before the acts. */
	approve_elsewhere(&h, &late);
	assert_int_equal(listed(&h, &late), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING);
	err.text[0] = '\0';
	assert_int_equal(lt_enrol_reject(h.f.enrol, &late.id.principal, "no", &err), LT_E_CONFLICT);
	assert_non_null(strstr(err.text, "approved already"));
	assert_true(is_active(&h, &late));
	assert_int_equal(listed(&h, &late), ACTIVE);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &late.id.principal, &err), LT_OK);
	/* Who is not in waits, and may be refused. */
	assert_int_equal(listed(&h, &waits), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &waits.id.principal, "no", &err), LT_OK);
	assert_int_equal(listed(&h, &waits), REJECTED);
	hubfx_restart(&h);
	assert_int_equal(listed(&h, &late), ACTIVE);
	assert_int_equal(listed(&h, &waits), REJECTED);
	hubfx_close(&h);
}

static Ltpb__PrincipalState
state_in_registry(struct hubfx *h, const struct fed_peer *p)
{
	struct lt_registry *reg = lt_hub_registry(h->f.hub);
	const struct lt_principal *who = lt_registry_find(reg, &p->id.principal);
	Ltpb__PrincipalState st;

	assert_non_null(who);
	st = who->state;
	lt_registry_unref(reg);
	return st;
}

static void
suspend(struct hubfx *h, const struct fed_peer *p, bool suspended)
{
	struct lt_err err = { "" };
	const char *why = "";

	assert_int_equal(lt_hub_suspend(h->f.hub, &p->id.principal, suspended, &why, &err), LT_OK);
}

static void
revoke(struct hubfx *h, const struct fed_peer *p, uint32_t key_no)
{
	struct lt_revoking r = {
		.principal = p->id.principal, .key_no = key_no, .reason = "stolen"
	};
	struct lt_err err = { "" };
	const char *why = "";

	assert_int_equal(lt_hub_revoke(h->f.hub, &r, &why, &err), LT_OK);
}

/* Approved, the list not written, then suspended or revoked: approving once more changes the list and nothing else. */
static void
test_approved_again(void **state)
{
	struct fed_peer suspended, revoked, at_start;
	struct lt_err err = { "" };
	Ltpb__PrincipalState st;
	struct kept_row row;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &suspended, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &revoked, LTPB__ROLE__ROLE_OPERATOR, "", false);
	fed_invite(&h.f, &at_start, LTPB__ROLE__ROLE_NODE, "16906", false);
	assert_int_equal(hubfx_join(&h, &suspended, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &revoked, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &at_start, &st), LT_OK);
	approve_elsewhere(&h, &suspended);
	approve_elsewhere(&h, &revoked);
	suspend(&h, &suspended, true);
	revoke(&h, &revoked, 0);
	assert_int_equal(listed(&h, &suspended), PENDING);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &suspended.id.principal, &err), LT_OK);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &revoked.id.principal, &err), LT_OK);
	keep_row(&h, &at_start, &row);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &at_start.id.principal, &err), LT_OK);
	suspend(&h, &at_start, true);
	plant(&h, lt_slice(row.key, sizeof(row.key)), &row.value);
	lt_buf_fini(&row.value);
	hubfx_restart(&h);
	assert_int_equal(listed(&h, &suspended), ACTIVE);
	assert_int_equal(listed(&h, &revoked), ACTIVE);
	assert_int_equal(listed(&h, &at_start), ACTIVE);
	assert_int_equal(
	    state_in_registry(&h, &suspended), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED);
	assert_int_equal(
	    state_in_registry(&h, &revoked), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_int_equal(
	    state_in_registry(&h, &at_start), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED);
	hubfx_close(&h);
}

/* ---- who invited ---- */

/* Approved at once, as the operator wants it. */
static void
invite_by(struct hubfx *h, const struct fed_peer *op, struct fed_peer *p, Ltpb__Role role)
{
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	struct lt_issuer issuer = { .principal = op->id.principal };
	struct lt_err err = { "" };
	Ltpb__Invitation *inv;
	struct lt_buf line;
	int64_t expires;

	fed_stranger(&h->f, p);
	memcpy(issuer.line_key, op->id.line_pk, 32);
	req.role = role;
	req.unit = (char *)(role == LTPB__ROLE__ROLE_NODE ? HUB_UNIT : "");
	req.auto_approve = true;
	lt_buf_init(&line, 4096);
	assert_int_equal(
	    lt_enrol_invite_by(h->f.enrol, &issuer, &req, h->f.addresses, 1, &line, &expires, &err),
	    LT_OK);
	lt_buf_u8(&line, 0);
	assert_int_equal(
	    lt_invitation_parse((const char *)line.data, &h->arena, &inv, &err), LT_OK);
	memcpy(p->id.token, inv->token.data, 16);
	lt_buf_fini(&line);
}

static Ltpb__PrincipalState
joins(struct hubfx *h, const struct fed_peer *p)
{
	Ltpb__PrincipalState st;

	assert_int_equal(hubfx_join(h, p, &st), LT_OK);
	assert_int_equal(is_active(h, p), st == ACTIVE);
	return st;
}

/* An invitation counts as much as who made it when somebody comes with it: then, not when it was made. */
static void
test_issuer(void **state)
{
	struct fed_peer stolen, resting, narrow, other, good, p[8];
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	char *verb[] = { (char *)"enrol" };
	struct lt_err err = { "" };
	struct hubfx h;
	int i;

	(void)state;
	hubfx_open(&h);
	grant.verbs = verb;
	grant.n_verbs = 1;
	fed_invite(&h.f, &stolen, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_invite(&h.f, &resting, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_invite_grant(&h.f, &narrow, LTPB__ROLE__ROLE_OPERATOR, "", true, &grant);
	fed_invite(&h.f, &good, LTPB__ROLE__ROLE_OPERATOR, "", true);
	assert_int_equal(joins(&h, &stolen), ACTIVE);
	assert_int_equal(joins(&h, &resting), ACTIVE);
	assert_int_equal(joins(&h, &narrow), ACTIVE);
	assert_int_equal(joins(&h, &good), ACTIVE);
	other = good;
	memcpy(other.id.line_pk, stolen.id.line_pk, 32);
	invite_by(&h, &stolen, &p[0], LTPB__ROLE__ROLE_OPERATOR);
	invite_by(&h, &stolen, &p[1], LTPB__ROLE__ROLE_NODE);
	invite_by(&h, &resting, &p[2], LTPB__ROLE__ROLE_NODE);
	invite_by(&h, &narrow, &p[3], LTPB__ROLE__ROLE_OPERATOR); /* more than it has */
	invite_by(&h, &other, &p[4], LTPB__ROLE__ROLE_NODE); /* a key of somebody else */
	invite_by(&h, &good, &p[5], LTPB__ROLE__ROLE_OPERATOR);
	invite_by(&h, &narrow, &p[6], LTPB__ROLE__ROLE_NODE);
	fed_invite(&h.f, &p[7], LTPB__ROLE__ROLE_NODE, HUB_UNIT, true); /* at the hub */
	hubfx_restart(&h);
	revoke(&h, &stolen, 0);
	suspend(&h, &resting, true);
	for (i = 0; i < 5; i++)
		assert_int_equal(joins(&h, &p[i]), PENDING);
	for (i = 5; i < 8; i++)
		assert_int_equal(joins(&h, &p[i]), ACTIVE);
	/* It asks again, also after a restart: it waits for a person, who may still let it in. */
	hubfx_restart(&h);
	for (i = 0; i < 5; i++)
		assert_int_equal(joins(&h, &p[i]), PENDING);
	assert_true(lt_enrol_is_pending(h.f.enrol, p[0].id.line_pk));
	assert_int_equal(lt_enrol_reject(h.f.enrol, &p[0].id.principal, "", &err), LT_OK);
	assert_int_equal(joins(&h, &p[0]), REJECTED);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &p[1].id.principal, &err), LT_OK);
	assert_int_equal(joins(&h, &p[1]), ACTIVE);
	hubfx_close(&h);
}

/* Over the line, the operator that asks is the issuer; one key taken away is enough. */
static void
test_issuer_on_the_line(void **state)
{
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	struct lt_err err = { "" };
	struct fed_peer op, p[2];
	struct lt_status status;
	ProtobufCMessage *m;
	Ltpb__Invitation *inv;
	struct hubfx h;
	int i;

	(void)state;
	hubfx_open(&h);
	fed_enrol(&h.f, &op, LTPB__ROLE__ROLE_OPERATOR, "", true);
	req.role = LTPB__ROLE__ROLE_OPERATOR;
	req.auto_approve = true;
	for (i = 0; i < 2; i++) {
		fed_stranger(&h.f, &p[i]);
		assert_int_equal(
		    fed_ask(&op, &ltpb__admin__descriptor, "Invite", &req.base, &m, &status),
		    LT_STATUS_OK);
		assert_int_equal(
		    lt_invitation_parse(((Ltpb__InviteReply *)m)->line, &h.arena, &inv, &err),
		    LT_OK);
		memcpy(p[i].id.token, inv->token.data, 16);
		protobuf_c_message_free_unpacked(m, NULL);
	}
	assert_int_equal(joins(&h, &p[0]), ACTIVE);
	revoke(&h, &op, 1);
	assert_int_equal(joins(&h, &p[1]), PENDING);
	fed_hang_up(&op);
	hubfx_close(&h);
}

/* ---- a full list ---- */

#define LIST_MAX 4096 /* FORMAT.md 9.7 */

static struct lt_id
nth(unsigned i)
{
	struct lt_id id = { { 0 } };

	id.b[0] = 0xee;
	id.b[1] = (uint8_t)(i >> 8);
	id.b[2] = (uint8_t)i;
	return id;
}

/* Rows by hand: who asked as the i-th, in this state. */
static void
asked_row(struct lt_buf *b, unsigned i, Ltpb__PrincipalState st)
{
	uint8_t keys[64] = { 0 };

	memcpy(keys, nth(i).b, LT_ID_LEN);
	memcpy(keys + 32, nth(i).b, LT_ID_LEN);
	lt_buf_clear(b);
	lt_buf_u8(b, 1);
	lt_buf_u8(b, (uint8_t)st);
	lt_buf_u8(b, DEPARTMENT);
	lt_buf_framed8(b, lt_slice_str(""));
	lt_buf_framed8(b, lt_slice_str("so_tu_phap"));
	lt_buf_framed8(b, lt_slice_str(""));
	lt_buf_put(b, keys, sizeof(keys));
	lt_buf_framed8(b, lt_slice_str("192.0.2.1"));
	lt_buf_u64(b, 1000 + i);
}

struct crowd {
	unsigned from, to; /* who asked; those in between wait */
	unsigned refused, gone; /* of these numbers: refused; called active, but of nobody */
};

static int
put_crowd(struct lt_kv_txn *txn, void *ctx)
{
	const struct crowd *c = ctx;
	uint8_t key[1 + LT_ID_LEN] = { 'p' };
	struct lt_buf b;
	unsigned i;
	int rc = LT_OK;

	lt_buf_init(&b, 4096);
	for (i = c->from; rc == LT_OK && i < c->to; i++) {
		memcpy(key + 1, nth(i).b, LT_ID_LEN);
		asked_row(&b, i, i == c->refused ? REJECTED : i == c->gone ? ACTIVE : PENDING);
		rc = lt_kv_put(txn, LT_T_ENROL, lt_slice(key, sizeof(key)), lt_buf_slice(&b));
	}
	lt_buf_fini(&b);
	return rc;
}

static bool
is_listed(struct hubfx *h, const struct lt_id *id)
{
	Ltpb__Enrolment *m;
	int rc = lt_enrol_find(h->f.enrol, id, &h->arena, &m);

	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	return rc == LT_OK;
}

/* Who was answered makes room, the oldest first; who waits never does, nor who is called active and is in no registry. */
static void
test_full_list(void **state)
{
	struct crowd c = { .from = 1, .to = LIST_MAX, .refused = 7, .gone = 3 };
	struct lt_id refused = nth(7), gone = nth(3), second = nth(9);
	struct fed_peer in, a, b, d;
	struct lt_err err = { "" };
	Ltpb__PrincipalState st;
	struct hubfx h;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &in, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_invite(&h.f, &a, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &b, LTPB__ROLE__ROLE_NODE, "16906", false);
	fed_invite(&h.f, &d, LTPB__ROLE__ROLE_NODE, "16906", false);
	assert_int_equal(joins(&h, &in), ACTIVE); /* asked last of those answered */
	assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), put_crowd, &c), LT_OK);
	hubfx_restart(&h);
	assert_int_equal(joins(&h, &a), PENDING);
	assert_false(is_listed(&h, &refused));
	assert_true(is_listed(&h, &in.id.principal) && is_listed(&h, &gone));
	assert_int_equal(joins(&h, &b), PENDING);
	assert_false(is_listed(&h, &in.id.principal));
	assert_true(is_active(&h, &in));
	/* Its invitation tells it so, and no alarm. */
	assert_int_equal(hubfx_join(&h, &in, &st), LT_E_EXISTS);
	assert_int_equal(lt_alarms_count(lt_enrol_alarms(h.f.enrol)), 0);
	/* All wait; rejecting one helps, over a restart too. */
	assert_int_equal(hubfx_join(&h, &d, &st), LT_E_UNAVAILABLE);
	hubfx_restart(&h);
	assert_false(is_listed(&h, &refused) || is_listed(&h, &in.id.principal));
	assert_int_equal(hubfx_join(&h, &d, &st), LT_E_UNAVAILABLE);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &second, "", &err), LT_OK);
	assert_int_equal(joins(&h, &d), PENDING);
	assert_false(is_listed(&h, &second));
	hubfx_close(&h);
}

static bool
wants(void *ctx, const Ltpb__Enrolment *e)
{
	return memcmp(e->principal.data, ctx, LT_ID_LEN) == 0;
}

static bool
has(Ltpb__Enrolment **list, size_t n, const struct lt_id *id)
{
	while (n > 0)
		if (wants((void *)id, list[--n]))
			return true;
	return false;
}

/* 4,096 are more than a reply has room for: who waits is in it before who was answered, and who asked last before the others; asked for
 * alone, each is. */
static void
test_list_has_room(void **state)
{
	struct crowd c = { .from = 1, .to = LIST_MAX, .refused = LIST_MAX - 1, .gone = 1 };
	struct lt_id refused = nth(LIST_MAX - 1), gone = nth(1), early = nth(2),
		     late = nth(LIST_MAX - 2);
	Ltpb__ListEnrolmentsReply r = LTPB__LIST_ENROLMENTS_REPLY__INIT;
	Ltpb__Enrolment **list;
	struct hubfx h;
	size_t n, i;

	(void)state;
	hubfx_open(&h);
	assert_int_equal(lt_writer_run(lt_hub_writer(h.f.hub), put_crowd, &c), LT_OK);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_true(more);
	assert_in_range(n, 1024, LIST_MAX - 2);
	r.n_enrolment = n;
	r.enrolment = list;
	assert_in_range(ltpb__list_enrolments_reply__get_packed_size(&r), 1, 768 * 1024);
	assert_true(has(list, n, &late));
	assert_false(has(list, n, &early) || has(list, n, &refused) || has(list, n, &gone));
	for (i = 1; i < n; i++)
		assert_true(list[i - 1]->asked_ms < list[i]->asked_ms);
	assert_int_equal(
	    lt_enrol_list(h.f.enrol, wants, &refused, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_false(more);
	assert_true(has(list, n, &refused));
	hubfx_close(&h);
}

/* What was open is open, what was spent is spent, who asked waits. */
static void
test_restart(void **state)
{
	struct fed_peer spent, open, waiting, thief;
	struct lt_err err = { "" };
	Ltpb__PrincipalState st;
	Ltpb__Enrolment **list;
	struct hubfx h;
	size_t n;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &spent, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_invite(&h.f, &open, LTPB__ROLE__ROLE_OPERATOR, "", true);
	fed_invite(&h.f, &waiting, LTPB__ROLE__ROLE_NODE, "16906", false);
	assert_int_equal(hubfx_join(&h, &spent, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &waiting, &st), LT_OK);
	hubfx_restart(&h);
	fed_stranger(&h.f, &thief);
	memcpy(thief.id.token, spent.id.token, 16);
	assert_int_equal(hubfx_join(&h, &thief, &st), LT_E_CONFLICT);
	assert_true(is_active(&h, &spent));
	assert_int_equal(hubfx_join(&h, &spent, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	assert_true(lt_enrol_is_pending(h.f.enrol, waiting.id.line_pk));
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 2);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &waiting.id.principal, &err), LT_OK);
	assert_true(is_active(&h, &waiting));
	assert_int_equal(hubfx_join(&h, &open, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	hubfx_restart(&h);
	assert_true(is_active(&h, &waiting) && is_active(&h, &open) && is_active(&h, &spent));
	/* All used: who comes with one again is heard until they have expired. */
	assert_true(lt_enrol_lets_in(h.f.enrol, thief.id.line_pk));
	h.now_ms += INT64_C(1209600000);
	assert_false(lt_enrol_lets_in(h.f.enrol, thief.id.line_pk));
	hubfx_close(&h);
}

/* ---- grants ---- */

#define WORDS_MAX 512

/* "a,b" or "a*256" (that many times a); "" for none. */
struct words {
	char text[256];
	char *item[WORDS_MAX];
	size_t n;
};

static void
words(struct words *w, const char *text)
{
	char *p, *times;
	size_t i;

	memset(w, 0, sizeof(*w));
	assert_true(snprintf(w->text, sizeof(w->text), "%s", text) < (int)sizeof(w->text));
	times = strchr(w->text, '*');
	if (times != NULL) {
		*times = '\0';
		w->n = strtoul(times + 1, NULL, 10);
		assert_in_range(w->n, 1, WORDS_MAX);
		for (i = 0; i < w->n; i++)
			w->item[i] = w->text;
		return;
	}
	for (p = strtok(w->text, ","); p != NULL; p = strtok(NULL, ","))
		w->item[w->n++] = p;
}

static void
assert_list(size_t n, char *const *item, const char *want)
{
	struct words w;
	size_t i;

	words(&w, want);
	assert_int_equal(n, w.n);
	for (i = 0; i < n; i++)
		assert_string_equal(item[i], w.item[i]);
}

static void
assert_grant(const Ltpb__Grant *g, const char *verbs, const char *units, const char *collections,
    const char *fields)
{
	assert_non_null(g);
	assert_list(g->n_verbs, g->verbs, verbs);
	assert_list(g->n_units, g->units, units);
	assert_list(g->n_collections, g->collections, collections);
	assert_list(g->n_fields, g->fields, fields);
}

/* What a grant may say, both sides of every bound; a refusal names the value. */
static void
test_grant_bounds(void **state)
{
	static const struct {
		const char *descr;
		Ltpb__Role role;
		const char *verbs, *units, *collections, *fields;
		const char *named; /* NULL: taken */
	} cases[] = {
		{ "nothing said", DEPARTMENT, "", "", "", "", NULL },
		{ "all said", DEPARTMENT, "all", "all", "all", "all", NULL },
		{ "some", DEPARTMENT, "read", "17254,40", "dossier", "status", NULL },
		{ "an unknown verb", DEPARTMENT, "dance", "", "", "", "dance" },
		{ "no verb of a department", DEPARTMENT, "read,write", "", "", "", "write" },
		{ "a node's verb", LTPB__ROLE__ROLE_OPERATOR, "sync", "", "", "", "sync" },
		{ "no commune", DEPARTMENT, "", "99999", "", "", "99999" },
		{ "another province", DEPARTMENT, "", "38", "", "", "38" },
		{ "no code", DEPARTMENT, "", "172541", "", "", "172541" },
		{ "what is built in", DEPARTMENT, "", "_", "", "", "'_'" },
		{ "an operator's built in", LTPB__ROLE__ROLE_OPERATOR, "", "_", "_unit", "name",
		    NULL },
		{ "no collection", DEPARTMENT, "", "", "dossier,dossiers", "", "dossiers" },
		{ "an empty word", DEPARTMENT, "", "", "*1", "", "''" },
		{ "a built-in one", DEPARTMENT, "", "", "_grant", "", "_grant" },
		{ "an open one", DEPARTMENT, "", "", "_catalogue", "", "_catalogue" },
		{ "all and more", DEPARTMENT, "", "", "all,dossier", "", "all" },
		{ "all twice", DEPARTMENT, "", "all*2", "", "", "all" },
		{ "no field of any", DEPARTMENT, "", "", "", "no_field", "no_field" },
		{ "a built-in field", DEPARTMENT, "", "", "", "json", "json" },
		{ "a field of another", DEPARTMENT, "", "", "proposal", "applicant_name",
		    "applicant_name" },
		{ "a field of one of two", DEPARTMENT, "", "", "proposal,dossier", "applicant_name",
		    NULL },
		{ "8 verbs", DEPARTMENT, "read*8", "", "", "", NULL },
		{ "9 verbs", DEPARTMENT, "read*9", "", "", "", "9 verbs" },
		{ "256 units", DEPARTMENT, "", "17254*256", "", "", NULL },
		{ "257 units", DEPARTMENT, "", "17254*257", "", "", "257 units" },
		{ "64 collections", DEPARTMENT, "", "", "dossier*64", "", NULL },
		{ "65 collections", DEPARTMENT, "", "", "dossier*65", "", "65 collections" },
		{ "128 fields", DEPARTMENT, "", "", "", "status*128", NULL },
		{ "129 fields", DEPARTMENT, "", "", "", "status*129", "129 fields" },
		{ "an operator who only enrols", LTPB__ROLE__ROLE_OPERATOR, "enrol", "", "", "",
		    NULL },
		{ "a node", LTPB__ROLE__ROLE_NODE, "", "17254", "", "", "node" },
		{ "a node, all", LTPB__ROLE__ROLE_NODE, "", "all", "", "", "node" },
	};
	struct words v, u, c, f;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__Grant grant = LTPB__GRANT__INIT;
		struct lt_err err = { "" };
		struct lt_buf out;
		int rc;

		print_message("%s\n", cases[i].descr);
		words(&v, cases[i].verbs);
		words(&u, cases[i].units);
		words(&c, cases[i].collections);
		words(&f, cases[i].fields);
		grant.verbs = v.item;
		grant.n_verbs = v.n;
		grant.units = u.item;
		grant.n_units = u.n;
		grant.collections = c.item;
		grant.n_collections = c.n;
		grant.fields = f.item;
		grant.n_fields = f.n;
		lt_buf_init(&out, LT_GRANT_BYTES_MAX);
		rc = lt_grant_take(h.f.hub, cases[i].role, &grant, &out, &err);
		assert_int_equal(rc, cases[i].named == NULL ? LT_OK : LT_E_INVALID);
		if (cases[i].named != NULL && strstr(err.text, cases[i].named) == NULL)
			fail_msg("%s", err.text);
		assert_true((out.len != 0) == (rc == LT_OK));
		lt_buf_fini(&out);
	}
	hubfx_close(&h);
}

static void
assert_registry(struct hubfx *h, const struct lt_id *id, const char *verbs, const char *units,
    const char *collections, const char *fields)
{
	struct lt_registry *reg = lt_hub_registry(h->f.hub);
	const struct lt_principal *p = lt_registry_find(reg, id);

	assert_true(p != NULL && p->ngrant == 1);
	assert_list(p->grant[0].nverb, (char *const *)p->grant[0].verb, verbs);
	assert_list(p->grant[0].nunit, (char *const *)p->grant[0].unit, units);
	assert_list(p->grant[0].ncollection, (char *const *)p->grant[0].collection, collections);
	assert_list(p->grant[0].nfield, (char *const *)p->grant[0].field, fields);
	lt_registry_unref(reg);
}

/* Asked for in any order and twice, kept in order and once: from the invitation to the asker to the registry, each over
 * a restart. */
static void
test_grant_is_kept(void **state)
{
	struct words u, c, f;
	Ltpb__Grant grant = LTPB__GRANT__INIT;
	struct fed_peer narrow, wide;
	struct lt_err err = { "" };
	Ltpb__Enrolment **list;
	Ltpb__PrincipalState st;
	struct hubfx h;
	size_t n;

	(void)state;
	hubfx_open(&h);
	words(&u, "40,17254,40,16906");
	words(&c, "proposal,dossier");
	words(&f, "status,due_date,status");
	grant.units = u.item;
	grant.n_units = u.n;
	grant.collections = c.item;
	grant.n_collections = c.n;
	grant.fields = f.item;
	grant.n_fields = f.n;
	fed_invite_grant(&h.f, &narrow, DEPARTMENT, "so_tu_phap", false, &grant);
	fed_invite(&h.f, &wide, DEPARTMENT, "so_y_te", false);
	hubfx_restart(&h);
	assert_int_equal(hubfx_join(&h, &narrow, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &wide, &st), LT_OK);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 2);
	n = strcmp(list[0]->org, "so_tu_phap") == 0 ? 0 : 1;
	assert_grant(
	    list[n]->grant, "read", "16906,17254,40", "dossier,proposal", "due_date,status");
	assert_grant(list[1 - n]->grant, "read", "all", "all", "all");
	assert_int_equal(lt_enrol_approve(h.f.enrol, &narrow.id.principal, &err), LT_OK);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &wide.id.principal, &err), LT_OK);
	assert_registry(&h, &narrow.id.principal, "read", "16906,17254,40", "dossier,proposal",
	    "due_date,status");
	assert_registry(&h, &wide.id.principal, "read", "all", "all", "all");
	hubfx_close(&h);
}

/* ---- rows as they were ---- */

/* FORMAT.md 9.7, version 1 of an invitation without its version byte. */
static void
old_invitation(struct lt_buf *b, Ltpb__Role role, const char *unit, const char *org)
{
	static const uint8_t nobody[LT_ID_LEN];

	lt_buf_u64(b, HUB_NOW_MS / 1000 + 60);
	lt_buf_u8(b, (uint8_t)role);
	lt_buf_framed8(b, lt_slice_str(unit));
	lt_buf_framed8(b, lt_slice_str(org));
	lt_buf_framed8(b, lt_slice_str("label"));
	lt_buf_u8(b, 1);
	lt_buf_u8(b, 0);
	lt_buf_put(b, nobody, sizeof(nobody));
}

static uint8_t
row_version(struct hubfx *h, struct lt_slice key)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	uint8_t version;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, LT_T_ENROL, key, &v), LT_OK);
	version = v.data[0];
	lt_kv_abort(txn);
	return version;
}

/* Rows of version 1 mean all that the role may, as they did; what is written anew is of version 2. */
static void
test_rows_of_version_1(void **state)
{
	struct fed_peer invited, node, asked;
	uint8_t key[1 + LT_ID_LEN] = { 'p' };
	struct lt_err err = { "" };
	Ltpb__Enrolment **list;
	Ltpb__PrincipalState st;
	struct lt_hash token;
	struct hubfx h;
	struct lt_buf b;
	size_t n;

	(void)state;
	hubfx_open(&h);
	lt_buf_init(&b, 4096);
	fed_stranger(&h.f, &invited);
	memset(invited.id.token, 7, 16);
	lt_buf_u8(&b, 1);
	old_invitation(&b, DEPARTMENT, "", "so_tu_phap");
	lt_h1(LT_TAG_TOKEN, lt_slice(invited.id.token, 16), &token);
	plant(&h, lt_slice(token.b, LT_HASH_LEN), &b);
	lt_buf_clear(&b);
	fed_stranger(&h.f, &asked);
	memcpy(key + 1, asked.id.principal.b, LT_ID_LEN);
	lt_buf_u8(&b, 1);
	lt_buf_u8(&b, PENDING);
	lt_buf_u8(&b, LTPB__ROLE__ROLE_OPERATOR);
	lt_buf_framed8(&b, lt_slice_str(""));
	lt_buf_framed8(&b, lt_slice_str(""));
	lt_buf_framed8(&b, lt_slice_str("label"));
	lt_buf_put(&b, asked.id.sign.pk, 32);
	lt_buf_put(&b, asked.id.line_pk, 32);
	lt_buf_framed8(&b, lt_slice_str("192.0.2.1"));
	lt_buf_u64(&b, 5);
	plant(&h, lt_slice(key, sizeof(key)), &b);
	fed_stranger(&h.f, &node);
	memset(node.id.token, 9, 16);
	lt_buf_clear(&b);
	lt_buf_u8(&b, 1);
	old_invitation(&b, LTPB__ROLE__ROLE_NODE, HUB_UNIT, "");
	lt_h1(LT_TAG_TOKEN, lt_slice(node.id.token, 16), &token);
	plant(&h, lt_slice(token.b, LT_HASH_LEN), &b);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_grant(list[0]->grant, "enrol,inspect,read,write", "all", "all", "all");
	assert_int_equal(lt_enrol_approve(h.f.enrol, &asked.id.principal, &err), LT_OK);
	assert_registry(&h, &asked.id.principal, "enrol,inspect,read,write", "all", "all", "all");
	assert_int_equal(row_version(&h, lt_slice(key, sizeof(key))), 2);
	assert_int_equal(hubfx_join(&h, &invited, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	assert_registry(&h, &invited.id.principal, "read", "all", "all", "all");
	assert_int_equal(row_version(&h, lt_slice(token.b, LT_HASH_LEN)), 1);
	assert_int_equal(hubfx_join(&h, &node, &st), LT_OK);
	assert_registry(&h, &node.id.principal, "sync", "all", "all", "all");
	assert_int_equal(row_version(&h, lt_slice(token.b, LT_HASH_LEN)), 2);
	hubfx_restart(&h);
	assert_true(is_active(&h, &invited) && is_active(&h, &asked) && is_active(&h, &node));
	lt_buf_fini(&b);
	hubfx_close(&h);
}

/* Versions nobody wrote, and grants cut or empty, are damage: the table is not opened. */
static void
test_rows_that_are_none(void **state)
{
	/* Grant bytes by hand: fields 1 to 4, each a text of two bytes ("ab" is no meaning, but a word). */
	static const uint8_t good[] = "\x0a\x02"
				      "ab\x12\x02"
				      "ab\x1a\x02"
				      "ab\x22\x02"
				      "ab";
	static const struct {
		const char *descr;
		uint8_t version;
		size_t says, has; /* length of the grant */
		int rc;
	} cases[] = {
		{ "whole", 2, 16, 16, LT_OK },
		{ "version 0", 0, 16, 16, LT_E_CORRUPT },
		{ "version 4", 4, 16, 16, LT_E_CORRUPT },
		{ "version 3 without an issuer", 3, 16, 16, LT_E_CORRUPT },
		{ "no grant", 2, 0, 0, LT_E_CORRUPT },
		{ "no fields", 2, 12, 12, LT_E_CORRUPT },
		{ "within a field", 2, 15, 15, LT_E_CORRUPT },
		{ "shorter than it says", 2, 16, 15, LT_E_CORRUPT },
	};
	struct lt_hash token = { { 1 } };
	struct hubfx h;
	size_t i;

	(void)state;
	assert_int_equal(sizeof(good), 16 + 1);
	hubfx_open(&h);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lt_enrol *e = NULL;
		struct lt_err err = { "" };
		struct lt_buf b;

		print_message("%s\n", cases[i].descr);
		lt_buf_init(&b, 4096);
		lt_buf_u8(&b, cases[i].version);
		old_invitation(&b, DEPARTMENT, "", "so_tu_phap");
		lt_buf_u32(&b, (uint32_t)cases[i].says);
		lt_buf_put(&b, good, cases[i].has);
		plant(&h, lt_slice(token.b, LT_HASH_LEN), &b);
		assert_int_equal(lt_enrol_open(h.f.hub, &e, &err), cases[i].rc);
		lt_enrol_close(e);
		lt_buf_fini(&b);
	}
	hubfx_close(&h);
}

/* ---- who is refused, and what each is told ---- */

struct refused_world {
	struct hubfx h;
	struct fed_peer first; /* joined, waits */
};

static struct lt_hash
token_id(const struct fed_peer *p)
{
	struct lt_hash id;

	lt_h1(LT_TAG_TOKEN, lt_slice(p->id.token, 16), &id);
	return id;
}

static void
make_whole(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	(void)w;
	(void)p;
	(void)r;
}

static void
make_guessed(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	(void)w;
	p->id.token[15] ^= 1;
	(void)r;
}

/* Every byte that another machine sent, on a line of its own. */
static void
make_replayed(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	static uint8_t proof[LT_SIG_LEN];

	(void)p;
	fed_join_request(&w->first.id, proof, r);
}

static void
make_foreign(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	static uint8_t proof[LT_SIG_LEN];
	struct lt_fed other = p->id.federation;

	(void)w;
	other.b[0] ^= 1;
	lt_join_proof(&p->id.sign, &other, p->id.token, &p->id.principal, p->id.line_pk, proof);
	r->proof.data = proof;
}

static void
make_truncated(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	(void)w;
	(void)p;
	r->token.len = 15;
}

static void
make_spent(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	(void)r;
	memcpy(p->id.token, w->first.id.token, 16);
}

static void
make_cancelled(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	struct lt_hash id = token_id(p);
	struct lt_err err = { "" };

	(void)r;
	assert_int_equal(lt_enrol_cancel(w->h.f.enrol, &id, &err), LT_OK);
	assert_int_equal(lt_enrol_cancel(w->h.f.enrol, &id, &err), LT_OK);
	hubfx_restart(&w->h);
}

static void
make_expired(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	(void)p;
	(void)r;
	w->h.now_ms += INT64_C(604800000);
}

/* The machine that has joined, with a second invitation, under its own name and under a new one. */
static void
make_again(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	uint8_t token[16];

	(void)r;
	memcpy(token, p->id.token, 16);
	p->id = w->first.id;
	memcpy(p->id.token, token, 16);
}

static void
make_again_renamed(struct refused_world *w, struct fed_peer *p, Ltpb__JoinRequest *r)
{
	make_again(w, p, r);
	p->id.principal.b[0] ^= 1;
}

/* What comes of it; a stranger, who holds no invitation or not the key, hears one thing whatever it tried. */
static void
test_refusals(void **state)
{
	static const struct {
		const char *descr;
		/* Changes the machine, before its proof is made, or the request, after. */
		void (*machine)(struct refused_world *, struct fed_peer *, Ltpb__JoinRequest *);
		void (*request)(struct refused_world *, struct fed_peer *, Ltpb__JoinRequest *);
		const char *reason; /* "" is in, PERMISSION_DENIED otherwise */
	} cases[] = {
		{ "another node of the commune", make_whole, make_whole, "" },
		{ "guessed", make_guessed, make_whole, "JOIN_NOT_ACCEPTED" },
		{ "replayed", make_whole, make_replayed, "JOIN_NOT_ACCEPTED" },
		{ "of another federation", make_whole, make_foreign, "JOIN_NOT_ACCEPTED" },
		{ "truncated", make_whole, make_truncated, "JOIN_NOT_ACCEPTED" },
		{ "spent", make_spent, make_whole, "INVITATION_SPENT" },
		{ "cancelled", make_cancelled, make_whole, "INVITATION_CANCELLED" },
		{ "a key used twice", make_again, make_whole, "KEY_TAKEN" },
		{ "a key used twice, renamed", make_again_renamed, make_whole, "KEY_TAKEN" },
		{ "expired", make_expired, make_whole, "INVITATION_EXPIRED" },
	};
	struct lt_status st, told = { 0 };
	struct refused_world w;
	ProtobufCMessage *m;
	size_t i;

	(void)state;
	hubfx_open(&w.h);
	fed_enrol(&w.h.f, &w.first, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_hang_up(&w.first);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t proof[LT_SIG_LEN];
		Ltpb__JoinRequest r;
		struct fed_peer p;
		int want = cases[i].reason[0] == '\0' ? LT_STATUS_OK : LT_STATUS_PERMISSION_DENIED;

		print_message("%s\n", cases[i].descr);
		fed_invite(&w.h.f, &p, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
		cases[i].machine(&w, &p, NULL);
		fed_join_request(&p.id, proof, &r);
		cases[i].request(&w, &p, &r);
		assert_int_equal(fed_dial(&w.h.f, &p), LT_OK);
		assert_int_equal(
		    fed_ask(&p, &ltpb__enrol__descriptor, "Join", &r.base, &m, &st), want);
		fed_hang_up(&p);
		if (want == LT_STATUS_OK) {
			protobuf_c_message_free_unpacked(m, NULL);
			continue;
		}
		assert_string_equal(st.reason, cases[i].reason);
		assert_true(st.message[0] != '\0' && st.message_vi[0] != '\0');
		if (strcmp(st.reason, "JOIN_NOT_ACCEPTED") != 0)
			continue;
		if (told.reason[0] != '\0') {
			assert_string_equal(st.message, told.message);
			assert_string_equal(st.message_vi, told.message_vi);
			assert_int_equal(st.retry_delay_ms, told.retry_delay_ms);
			assert_string_equal(st.field, told.field);
			assert_string_equal(st.rule, told.rule);
		}
		told = st;
	}
	/* Two nodes of one commune wait, and nobody else. */
	{
		Ltpb__Enrolment **list;
		size_t n;

		assert_int_equal(
		    lt_enrol_list(w.h.f.enrol, NULL, NULL, &w.h.arena, &list, &n, &more), LT_OK);
		assert_int_equal(n, 2);
	}
	hubfx_close(&w.h);
}

/* Which are out: named without their secrets; a used one cannot be cancelled. */
static void
test_invitations(void **state)
{
	struct fed_peer open, used, gone;
	Ltpb__OpenInvitation **list, *one;
	Ltpb__PrincipalState st;
	struct lt_hash id, nobody = { { 0 } };
	struct lt_err err = { "" };
	struct hubfx h;
	size_t n, i;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &open, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_invite(&h.f, &used, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &gone, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&h, &used, &st), LT_OK);
	id = token_id(&used);
	assert_int_equal(lt_enrol_cancel(h.f.enrol, &id, &err), LT_E_CONFLICT);
	assert_int_equal(lt_enrol_cancel(h.f.enrol, &nobody, &err), LT_E_NOTFOUND);
	assert_int_equal(lt_enrol_invitation(h.f.enrol, &nobody, &h.arena, &one), LT_E_NOTFOUND);
	id = token_id(&gone);
	assert_int_equal(lt_enrol_cancel(h.f.enrol, &id, &err), LT_OK);
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    lt_enrol_invitations(h.f.enrol, false, &h.arena, &list, &n), LT_OK);
		assert_int_equal(n, 1);
		id = token_id(&open);
		assert_memory_equal(list[0]->id.data, id.b, LT_HASH_LEN);
		assert_string_equal(list[0]->unit, HUB_UNIT);
		assert_true(list[0]->auto_approve);
		assert_int_equal(list[0]->expires_s, HUB_NOW_MS / 1000 + 604800);
		assert_int_equal(lt_enrol_invitations(h.f.enrol, true, &h.arena, &list, &n), LT_OK);
		assert_int_equal(n, 3);
		id = token_id(&used);
		assert_int_equal(lt_enrol_invitation(h.f.enrol, &id, &h.arena, &one), LT_OK);
		assert_int_equal(one->state, LTPB__INVITATION_STATE__INVITATION_STATE_USED);
		assert_memory_equal(one->principal.data, used.id.principal.b, LT_ID_LEN);
		id = token_id(&gone);
		assert_int_equal(lt_enrol_invitation(h.f.enrol, &id, &h.arena, &one), LT_OK);
		assert_int_equal(one->state, LTPB__INVITATION_STATE__INVITATION_STATE_CANCELLED);
		hubfx_restart(&h);
	}
	/* The machine that asked in time goes on hearing its state; a cancelled one takes in nobody, also not its first comer. */
	assert_int_equal(hubfx_join(&h, &used, &st), LT_OK);
	assert_int_equal(hubfx_join(&h, &gone, &st), LT_E_CANCELLED);
	h.now_ms += INT64_C(604800000);
	assert_int_equal(lt_enrol_invitations(h.f.enrol, false, &h.arena, &list, &n), LT_OK);
	assert_int_equal(n, 0);
	assert_int_equal(hubfx_join(&h, &open, &st), LT_E_TIMEOUT);
	hubfx_close(&h);
}

/* ---- voided by a hub in doubt ---- */

static void
void_now(struct lt_kv_txn *txn, const struct fed_peer *p)
{
	struct lt_hash id = token_id(p);

	assert_int_equal(lt_kv_del(txn, LT_T_ENROL, lt_slice(id.b, LT_HASH_LEN)), LT_OK);
}

struct voiding {
	struct hubfx *h;
	const struct fed_peer *p;
	atomic_bool runs;
};

/* In the writer's transaction while somebody who found the invitation open waits behind it to have it used. */
static int
run_void(struct lt_kv_txn *txn, void *ctx)
{
	const struct timespec ms = { 0, 1000000 };
	struct voiding *v = ctx;

	v->runs = true;
	while (lt_writer_waiting(lt_hub_writer(v->h->f.hub)) == 0)
		(void)nanosleep(&ms, NULL);
	void_now(txn, v->p);
	return LT_OK;
}

static void *
voids(void *ctx)
{
	struct voiding *v = ctx;

	assert_int_equal(lt_writer_run(lt_hub_writer(v->h->f.hub), run_void, v), LT_OK);
	return NULL;
}

static Ltpb__InvitationState
state_listed(struct hubfx *h, const struct fed_peer *p, size_t *open)
{
	struct lt_hash id = token_id(p);
	Ltpb__OpenInvitation **list, *one;

	assert_int_equal(lt_enrol_invitations(h->f.enrol, false, &h->arena, &list, open), LT_OK);
	assert_int_equal(lt_enrol_invitation(h->f.enrol, &id, &h->arena, &one), LT_OK);
	return one->state;
}

/* Voided before it is used, and in the very moment in which it is: nobody comes in with it, and it is listed as what it is. One that was used
 * before stays used. */
static void
test_voided(void **state)
{
	const struct timespec ms = { 0, 1000000 };
	struct fed_peer before, moment, used;
	Ltpb__Enrolment **list;
	Ltpb__PrincipalState st;
	struct lt_kv_txn *txn;
	struct voiding v;
	struct hubfx h;
	pthread_t thread;
	size_t n;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &before, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	fed_invite(&h.f, &moment, LTPB__ROLE__ROLE_NODE, HUB_UNIT, true);
	fed_invite(&h.f, &used, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&h, &used, &st), LT_OK);
	assert_int_equal(
	    state_listed(&h, &before, &n), LTPB__INVITATION_STATE__INVITATION_STATE_OPEN);
	assert_int_equal(n, 2);
	assert_int_equal(lt_kv_begin_write(lt_hub_log(h.f.hub), &txn), LT_OK);
	void_now(txn, &before);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	assert_int_equal(
	    state_listed(&h, &before, &n), LTPB__INVITATION_STATE__INVITATION_STATE_CANCELLED);
	assert_int_equal(n, 1);
	assert_int_equal(hubfx_join(&h, &before, &st), LT_E_CANCELLED);
	v.h = &h;
	v.p = &moment;
	atomic_init(&v.runs, false);
	assert_int_equal(pthread_create(&thread, NULL, voids, &v), 0);
	while (!v.runs)
		(void)nanosleep(&ms, NULL);
	assert_int_equal(hubfx_join(&h, &moment, &st), LT_E_CANCELLED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(
	    state_listed(&h, &moment, &n), LTPB__INVITATION_STATE__INVITATION_STATE_CANCELLED);
	assert_int_equal(n, 0);
	assert_int_equal(
	    state_listed(&h, &used, &n), LTPB__INVITATION_STATE__INVITATION_STATE_USED);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_memory_equal(list[0]->principal.data, used.id.principal.b, LT_ID_LEN);
	assert_int_equal(hubfx_join(&h, &moment, &st), LT_E_DENIED);
	hubfx_close(&h);
}

/* Approved with the words that were heard, only if they are this machine's. */
static void
test_words_decide(void **state)
{
	static const struct {
		const char *descr, *words; /* NULL: the right ones */
		int code;
	} cases[] = {
		{ "others", "ba ba ba ba ba ba ba ba", LT_STATUS_FAILED_PRECONDITION },
		{ "seven", "ba ba ba ba ba ba ba", LT_STATUS_INVALID_ARGUMENT },
		{ "none of ours", "ba ba ba ba ba ba ba na", LT_STATUS_INVALID_ARGUMENT },
		{ "the right ones", NULL, LT_STATUS_OK },
	};
	struct fed_peer p, op;
	Ltpb__PrincipalState st;
	struct hubfx h;
	size_t i;

	(void)state;
	hubfx_open(&h);
	fed_invite(&h.f, &p, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	assert_int_equal(hubfx_join(&h, &p, &st), LT_OK);
	fed_local(&h.f, &op);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Ltpb__ApproveRequest r = LTPB__APPROVE_REQUEST__INIT;
		struct lt_status status;
		ProtobufCMessage *m = NULL;
		struct lt_buf words;

		print_message("%s\n", cases[i].descr);
		lt_buf_init(&words, 256);
		lt_fingerprint(
		    &p.id.federation, &p.id.principal, p.id.sign.pk, p.id.line_pk, &words);
		lt_buf_u8(&words, 0);
		r.principal.data = p.id.principal.b;
		r.principal.len = LT_ID_LEN;
		r.words = (char *)(cases[i].words != NULL ? cases[i].words : (char *)words.data);
		assert_int_equal(
		    fed_ask(&op, &ltpb__admin__descriptor, "Approve", &r.base, &m, &status),
		    cases[i].code);
		assert_int_equal(is_active(&h, &p), cases[i].code == LT_STATUS_OK);
		if (cases[i].code != LT_STATUS_OK)
			assert_string_equal(status.reason, "WORDS");
		else
			protobuf_c_message_free_unpacked(m, NULL);
		lt_buf_fini(&words);
	}
	fed_hang_up(&op);
	hubfx_close(&h);
}

/* ---- the vectors ---- */

static void
golden_bytes(const json_t *o, const char *name, struct lt_buf *out)
{
	const char *hex = json_string_value(json_object_get(o, name));
	uint8_t bytes[1024];

	if (hex == NULL || strlen(hex) > 2 * sizeof(bytes)) {
		fail_msg("golden.json: %s", name);
		return;
	}
	assert_int_equal(lt_unhex(bytes, strlen(hex) / 2, hex), LT_OK);
	lt_buf_clear(out);
	lt_buf_put(out, bytes, strlen(hex) / 2);
}

static void
assert_row(struct hubfx *h, struct lt_slice key, const struct lt_buf *want)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(h->f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, LT_T_ENROL, key, &v), LT_OK);
	assert_int_equal(v.len, want->len);
	assert_memory_equal(v.data, want->data, v.len);
	lt_kv_abort(txn);
}

/* An alarm is written as the second implementation writes it, and read again. */
static void
golden_alarm(struct hubfx *h, const json_t *g)
{
	struct lt_alarm what = {
		.role = DEPARTMENT, .org = "so_tu_phap", .address = "198.51.100.7"
	};
	Ltpb__InvitationAlarm *a;
	struct lt_buf b, key;

	lt_buf_init(&b, 4096);
	lt_buf_init(&key, 4096);
	golden_bytes(g, "token_hash", &b);
	memcpy(what.token.b, b.data, LT_HASH_LEN);
	golden_bytes(g, "principal", &b);
	memcpy(what.by.b, b.data, LT_ID_LEN);
	h->now_ms = HUB_NOW_MS;
	lt_alarm_raise(lt_enrol_alarms(h->f.enrol), &what);
	golden_bytes(g, "alarm_key", &key);
	golden_bytes(g, "alarm", &b);
	assert_row(h, lt_buf_slice(&key), &b);
	hubfx_restart(h);
	a = one_alarm(h);
	assert_int_equal(a->times, 1);
	assert_int_equal(a->first_ms, HUB_NOW_MS);
	assert_int_equal(a->last_ms, HUB_NOW_MS);
	assert_string_equal(a->org, "so_tu_phap");
	assert_string_equal(a->address, "198.51.100.7");
	assert_memory_equal(a->principal.data, what.by.b, LT_ID_LEN);
	lt_buf_fini(&b);
	lt_buf_fini(&key);
}

/* Rows of the second implementation are read, and what the hub then writes in their place is its bytes again. */
static void
test_golden_rows(void **state)
{
	json_t *file = json_load_file(LT_SOURCE_DIR "/tests/vectors/golden.json", 0, NULL);
	const json_t *g = json_object_get(file, "enrolment");
	uint8_t key[1 + LT_ID_LEN] = { 'p' };
	struct lt_err err = { "" };
	Ltpb__PrincipalState st;
	Ltpb__Enrolment **list;
	struct lt_buf b, token;
	struct fed_peer p;
	struct lt_id asker;
	struct hubfx h;
	size_t n;

	(void)state;
	assert_non_null(g);
	hubfx_open(&h);
	lt_buf_init(&b, 4096);
	lt_buf_init(&token, 4096);
	fed_stranger(&h.f, &p);
	golden_bytes(g, "token", &b);
	memcpy(p.id.token, b.data, 16);
	golden_bytes(g, "principal", &b);
	memcpy(asker.b, b.data, LT_ID_LEN);
	memcpy(key + 1, b.data, LT_ID_LEN);
	golden_bytes(g, "token_hash", &token);
	golden_bytes(g, "asker_pending", &b);
	plant(&h, lt_slice(key, sizeof(key)), &b);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_string_equal(list[0]->label, "Sở Tư pháp");
	assert_int_equal(list[0]->asked_ms, json_integer_value(json_object_get(g, "asked_ms")));
	assert_grant(list[0]->grant, "read", "16906,40", "dossier,proposal", "all");
	assert_int_equal(lt_enrol_approve(h.f.enrol, &asker, &err), LT_OK);
	golden_bytes(g, "asker_active", &b);
	assert_row(&h, lt_slice(key, sizeof(key)), &b);
	hubfx_close(&h);
	hubfx_open(&h);
	golden_bytes(g, "asker_pending", &b);
	plant(&h, lt_slice(key, sizeof(key)), &b);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &asker,
			     json_string_value(json_object_get(g, "reason")), &err),
	    LT_OK);
	golden_bytes(g, "asker_rejected", &b);
	assert_row(&h, lt_slice(key, sizeof(key)), &b);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_string_equal(list[0]->reason, json_string_value(json_object_get(g, "reason")));
	hubfx_close(&h);
	hubfx_open(&h); /* another hub, where nobody has this id */
	golden_bytes(g, "invitation", &b);
	plant(&h, lt_buf_slice(&token), &b);
	hubfx_restart(&h);
	p.id.federation = h.f.hub_id->federation;
	p.id.principal = asker;
	assert_int_equal(hubfx_join(&h, &p, &st), LT_OK);
	assert_int_equal(st, PENDING);
	golden_bytes(g, "invitation_used", &b);
	assert_row(&h, lt_buf_slice(&token), &b);
	golden_bytes(g, "asker_version_1", &b);
	plant(&h, lt_slice(key, sizeof(key)), &b);
	golden_bytes(g, "invitation_version_1", &b);
	plant(&h, lt_buf_slice(&token), &b);
	hubfx_restart(&h);
	assert_int_equal(lt_enrol_list(h.f.enrol, NULL, NULL, &h.arena, &list, &n, &more), LT_OK);
	assert_int_equal(n, 1);
	assert_grant(list[0]->grant, "read", "all", "all", "all");
	golden_alarm(&h, g);
	lt_buf_fini(&b);
	lt_buf_fini(&token);
	json_decref(file);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_invitations),
		cmocka_unit_test(test_voided),
		cmocka_unit_test(test_words_decide),
		cmocka_unit_test(test_golden_rows),
		cmocka_unit_test(test_grant_bounds),
		cmocka_unit_test(test_grant_is_kept),
		cmocka_unit_test(test_rows_of_version_1),
		cmocka_unit_test(test_rows_that_are_none),
		cmocka_unit_test(test_inviting),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_one_use),
		cmocka_unit_test(test_second_use),
		cmocka_unit_test(test_door),
		cmocka_unit_test(test_alarms_kept),
		cmocka_unit_test(test_alarm_acknowledged),
		cmocka_unit_test(test_acknowledgement_not_written),
		cmocka_unit_test(test_acknowledged_gives_way),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answer_cut_in_two),
		cmocka_unit_test(test_approved_again),
		cmocka_unit_test(test_issuer),
		cmocka_unit_test(test_issuer_on_the_line),
		cmocka_unit_test(test_full_list),
		cmocka_unit_test(test_list_has_room),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
