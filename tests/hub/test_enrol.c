/* Invitations and those who ask with one: expiry, one use, proofs, the operator's answer, and all of it over a restart. */
#include "tests/hub/hub_fixture.h"

#include <string.h>

#define PENDING LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING
#define ACTIVE LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE
#define REJECTED LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED

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

/* Until the second it expires in, not from then on; and the door is open exactly as long. */
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
	assert_false(lt_enrol_lets_in(h.f.enrol, stranger.id.line_pk));
	assert_int_equal(hubfx_join(&h, &late, &st), LT_E_DENIED);
	/* Who asked in time is let in to hear the answer, however long it takes. */
	h.now_ms += INT64_C(604800000);
	assert_true(lt_enrol_lets_in(h.f.enrol, in_time.id.line_pk));
	assert_int_equal(hubfx_join(&h, &in_time, &st), LT_OK);
	assert_int_equal(st, PENDING);
	hubfx_close(&h);
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
	fed_stranger(&h.f, &second);
	memcpy(second.id.token, first.id.token, 16);
	assert_int_equal(hubfx_join(&h, &second, &st), LT_E_DENIED);
	assert_false(lt_enrol_is_pending(h.f.enrol, second.id.line_pk));
	/* With an invitation of its own, but an id or a line key that is somebody's. */
	fed_invite(&h.f, &third, LTPB__ROLE__ROLE_NODE, HUB_UNIT, false);
	second = third;
	third.id.principal = first.id.principal;
	assert_int_equal(hubfx_join(&h, &third, &st), LT_E_DENIED);
	third = second;
	memcpy(third.id.line_pk, first.id.line_pk, 32);
	assert_int_equal(hubfx_join(&h, &third, &st), LT_E_DENIED);
	/* None of this has spent it. */
	assert_int_equal(hubfx_join(&h, &second, &st), LT_OK);
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
	assert_int_equal(lt_enrol_list(h.f.enrol, &h.arena, &list, &n), LT_OK);
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
	assert_int_equal(lt_enrol_reject(h.f.enrol, &never.id.principal, &err), LT_E_NOTFOUND);
	assert_false(is_active(&h, &yes));
	assert_int_equal(lt_enrol_approve(h.f.enrol, &yes.id.principal, &err), LT_OK);
	assert_true(is_active(&h, &yes));
	assert_false(lt_enrol_is_pending(h.f.enrol, yes.id.line_pk));
	assert_int_equal(lt_enrol_approve(h.f.enrol, &yes.id.principal, &err), LT_OK);
	assert_int_equal(lt_enrol_reject(h.f.enrol, &yes.id.principal, &err), LT_E_CONFLICT);
	assert_true(is_active(&h, &yes));
	assert_int_equal(lt_enrol_reject(h.f.enrol, &no.id.principal, &err), LT_OK);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &no.id.principal, &err), LT_E_CONFLICT);
	assert_false(is_active(&h, &no));
	assert_int_equal(hubfx_join(&h, &no, &st), LT_OK);
	assert_int_equal(st, REJECTED);
	assert_int_equal(hubfx_join(&h, &yes, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
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
	assert_int_equal(hubfx_join(&h, &thief, &st), LT_E_DENIED);
	assert_true(is_active(&h, &spent));
	assert_int_equal(hubfx_join(&h, &spent, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	assert_true(lt_enrol_is_pending(h.f.enrol, waiting.id.line_pk));
	assert_int_equal(lt_enrol_list(h.f.enrol, &h.arena, &list, &n), LT_OK);
	assert_int_equal(n, 2);
	assert_int_equal(lt_enrol_approve(h.f.enrol, &waiting.id.principal, &err), LT_OK);
	assert_true(is_active(&h, &waiting));
	assert_int_equal(hubfx_join(&h, &open, &st), LT_OK);
	assert_int_equal(st, ACTIVE);
	hubfx_restart(&h);
	assert_true(is_active(&h, &waiting) && is_active(&h, &open) && is_active(&h, &spent));
	assert_false(lt_enrol_lets_in(h.f.enrol, thief.id.line_pk));
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inviting),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_one_use),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
