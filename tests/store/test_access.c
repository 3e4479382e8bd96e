/* Rights: a table of the rules by hand. A million random questions are tests/access's. */
#include "proto/store/access.h"
#include "world.h"

static struct lt_catalogue *cat;
static struct lt_unit province;

static int
load(void **state)
{
	struct lt_err err = { "" };
	struct lt_buf file;

	(void)state;
	world_catalogue_file(&file);
	if (lt_catalogue_parse(lt_buf_slice(&file), 1, &cat, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&file);
	ok(lt_unit_set(&province, lt_slice_str("40")));
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

/* ---- askers ---- */

static const char *list_all[] = { "all" };
static const char *list_star[] = { "*" };
static const char *list_read[] = { "read" };

static struct lt_grant
grant_everything(void)
{
	struct lt_grant g = { 1, 1, 1, 1, list_all, list_all, list_star, list_all };

	return g;
}

struct asker {
	struct lt_asker who;
	struct lt_principal principal;
	struct lt_grant grant;
};

static void
principal(struct asker *a, Ltpb__Role role, const char *unit, const char *org)
{
	memset(a, 0, sizeof(*a));
	a->who.kind = LT_ASKER_PRINCIPAL;
	a->who.principal = &a->principal;
	a->principal.role = role;
	a->principal.state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	a->principal.org = org;
	if (unit[0] != '\0')
		ok(lt_unit_set(&a->principal.unit, lt_slice_str(unit)));
	a->grant = grant_everything();
	a->principal.grant = &a->grant;
	a->principal.ngrant = 1;
}

static void
local(struct asker *a, bool hub, const char *unit)
{
	memset(a, 0, sizeof(*a));
	a->who.kind = LT_ASKER_LOCAL;
	a->who.local_hub = hub;
	if (unit[0] != '\0')
		ok(lt_unit_set(&a->who.unit, lt_slice_str(unit)));
}

static const struct lt_collection *
collection(const char *id)
{
	const struct lt_collection *c = lt_catalogue_find(cat, id);

	assert_non_null(c);
	return c;
}

static bool
sees(const struct asker *a, const char *col, const char *unit, const char *field)
{
	const struct lt_collection *c = collection(col);
	const struct lt_field *f = lt_collection_field(c, field);

	assert_non_null(f);
	return lt_access_field(&a->who, cat, &province, c, unit, f);
}

/* ---- verbs ---- */

#define V(v) (1u << LT_VERB_##v)

static void
assert_verbs(const struct asker *a, unsigned want)
{
	unsigned v, got = 0;

	for (v = 0; v < LT_VERB_COUNT; v++)
		got |= lt_access_method(&a->who, (enum lt_verb)v) ? 1u << v : 0;
	assert_int_equal(got, want);
	/* What nobody said anything about, and what is none. */
	assert_false(lt_access_method(&a->who, LT_VERB_UNSET));
	assert_false(lt_access_method(&a->who, LT_VERB_COUNT));
	assert_false(lt_access_method(&a->who, (enum lt_verb)77));
}

static void
verbs_by_role(void **state)
{
	struct asker a;

	(void)state;
	memset(&a, 0, sizeof(a));
	a.who.kind = LT_ASKER_STRANGER;
	assert_verbs(&a, V(NONE) | V(JOIN));
	a.who.kind = LT_ASKER_PENDING;
	assert_verbs(&a, V(NONE) | V(JOIN));
	a.who.kind = LT_ASKER_PRINCIPAL; /* whom nobody found */
	assert_verbs(&a, V(NONE) | V(JOIN));
	principal(&a, LTPB__ROLE__ROLE_NODE, "17254", "");
	assert_verbs(&a, V(NONE) | V(JOIN) | V(SYNC) | V(PULL) | V(OPEN));
	principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "so_y_te");
	assert_verbs(&a, V(NONE) | V(JOIN) | V(READ));
	principal(&a, LTPB__ROLE__ROLE_OPERATOR, "", "");
	assert_verbs(&a, V(NONE) | V(JOIN) | V(READ) | V(WRITE) | V(INSPECT) | V(ENROL) | V(ERASE));
	principal(&a, LTPB__ROLE__ROLE_MIRROR, "", "");
	assert_verbs(&a, V(NONE) | V(JOIN) | V(PULL) | V(OPEN));
	a.grant.verb = list_read;
	assert_verbs(&a, V(NONE) | V(JOIN));
	principal(&a, LTPB__ROLE__ROLE_HUB, "", "");
	assert_verbs(&a, V(NONE));
	local(&a, true, "40");
	assert_verbs(&a, V(NONE) | V(JOIN) | V(READ) | V(WRITE) | V(INSPECT) | V(ENROL) | V(ERASE));
	local(&a, false, "17254");
	assert_verbs(&a, V(NONE) | V(READ) | V(WRITE) | V(INSPECT));
}

static void
who_is_not_active_is_a_stranger(void **state)
{
	static const Ltpb__PrincipalState dead[] = {
		LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_UNSPECIFIED,
		LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_PENDING,
		LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED,
		LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED,
		LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REJECTED,
	};
	struct lt_unit unit;
	struct asker a;
	unsigned writer;
	size_t i, role;

	(void)state;
	ok(lt_unit_set(&unit, lt_slice_str("17254")));
	for (i = 0; i < sizeof(dead) / sizeof(dead[0]); i++) {
		for (role = 1; role <= LTPB__ROLE__ROLE_MIRROR; role++) {
			principal(&a, (Ltpb__Role)role, "17254", "van_phong_ubnd");
			a.principal.state = dead[i];
			assert_verbs(&a, V(NONE) | V(JOIN));
			assert_false(sees(&a, "dossier", "17254", "status"));
			assert_false(
			    lt_access_records(&a.who, cat, &province, collection("_unit"), "_"));
			assert_false(lt_access_write(
			    &a.who, cat, &province, collection("directive"), "40", &writer));
			assert_false(lt_access_pull(&a.who, &province, &unit));
		}
	}
}

static void
without_a_grant_nothing(void **state)
{
	struct asker a;
	unsigned writer;

	(void)state;
	principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "van_phong_ubnd");
	a.principal.ngrant = 0;
	assert_verbs(&a, V(NONE) | V(JOIN));
	assert_false(sees(&a, "dossier", "17254", "status"));
	assert_false(lt_access_records(&a.who, cat, &province, collection("dossier"), NULL));
	principal(&a, LTPB__ROLE__ROLE_OPERATOR, "", "");
	a.principal.ngrant = 0;
	assert_verbs(&a, V(NONE) | V(JOIN));
	assert_false(
	    lt_access_write(&a.who, cat, &province, collection("directive"), "40", &writer));
	assert_int_equal(writer, 0);
}

/* Two grants, each good for half of the question, are not one that is good for all of it. */
static void
one_grant_must_fit_alone(void **state)
{
	static const char *u1[] = { "17254" }, *u2[] = { "16906" }, *f1[] = { "status" };
	struct lt_grant two[2] = { { 1, 1, 1, 1, list_read, u1, list_all, f1 },
		{ 1, 1, 1, 1, list_read, u2, list_all, list_all } };
	const struct lt_field *status, *due;
	struct asker a;

	(void)state;
	principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "van_phong_ubnd");
	a.principal.grant = two;
	a.principal.ngrant = 2;
	status = lt_collection_field(collection("dossier"), "status");
	due = lt_collection_field(collection("dossier"), "due_date");
	assert_true(sees(&a, "dossier", "17254", "status"));
	assert_false(sees(&a, "dossier", "17254", "due_date"));
	assert_true(sees(&a, "dossier", "16906", "due_date"));
	assert_false(sees(&a, "dossier", "16855", "status"));
	assert_true(
	    lt_access_field_everywhere(&a.who, cat, &province, collection("dossier"), status));
	assert_false(
	    lt_access_field_everywhere(&a.who, cat, &province, collection("dossier"), due));
}

/* What a narrowed operator may look at and hand on: what one grant of its own gives, and no more. */
static void
an_operator_within_its_grant(void **state)
{
	static const char *u[] = { "17254" }, *c[] = { "dossier" }, *f[] = { "status" },
			  *v[] = { "enrol", "inspect", "read" };
	struct lt_grant own[2] = { { 3, 1, 1, 1, v, u, c, list_all },
		{ 2, 1, 1, 1, v, u, list_all, f } };
	struct lt_unit commune, other, none = { "" };
	struct lt_grant given;
	struct asker a;

	(void)state;
	ok(lt_unit_set(&commune, lt_slice_str("17254")));
	ok(lt_unit_set(&other, lt_slice_str("16906")));
	principal(&a, LTPB__ROLE__ROLE_OPERATOR, "", "");
	a.principal.grant = own;
	assert_true(lt_access_unit(&a.who, LT_VERB_INSPECT, "17254"));
	assert_false(lt_access_unit(&a.who, LT_VERB_INSPECT, "16906"));
	assert_false(lt_access_unit(&a.who, LT_VERB_INSPECT, "_"));
	assert_false(lt_access_unit(&a.who, LT_VERB_WRITE, "17254"));
	assert_true(lt_access_log(&a.who, "17254", "dossier"));
	assert_false(lt_access_log(&a.who, "16906", "dossier"));
	assert_false(lt_access_log(&a.who, "17254", "household_poverty"));
	given = own[0];
	assert_true(lt_access_give(&a.who, LTPB__ROLE__ROLE_OPERATOR, &none, &given));
	given.nverb = 1;
	given.verb = list_read;
	assert_true(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
	given.field = f;
	assert_true(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
	given.collection = list_all;
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
	given.collection = c;
	given.unit = list_star;
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
	given = grant_everything();
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_OPERATOR, &none, &given));
	/* A node has all of its commune: not to be given by who has a part of it. */
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_NODE, &commune, &given));
	a.principal.ngrant = 2;
	own[1].field = list_all;
	own[1].verb = v + 1; /* no enrol */
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_NODE, &commune, &given));
	assert_true(lt_access_log(&a.who, "17254", "household_poverty"));
	own[1].verb = v;
	assert_true(lt_access_give(&a.who, LTPB__ROLE__ROLE_NODE, &commune, &given));
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_NODE, &other, &given));
	own[1].field = f; /* bytes cannot be masked */
	assert_false(lt_access_log(&a.who, "17254", "household_poverty"));
	/* Others give nothing, whatever their grants say; the hub's own machine gives everything. */
	principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "van_phong_ubnd");
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
	assert_false(lt_access_unit(&a.who, LT_VERB_INSPECT, "17254"));
	assert_false(lt_access_log(&a.who, "17254", "dossier"));
	local(&a, true, "40");
	assert_true(lt_access_give(&a.who, LTPB__ROLE__ROLE_OPERATOR, &none, &given));
	assert_true(lt_access_unit(&a.who, LT_VERB_ENROL, "_"));
	assert_true(lt_access_log(&a.who, "17254", "dossier"));
	local(&a, false, "17254");
	assert_false(lt_access_give(&a.who, LTPB__ROLE__ROLE_DEPARTMENT, &none, &given));
}

/* Reference data is a department's whatever its grant narrows, as long as some grant reads; the rest of what is built in
 * stays shut, and an operator's grant has to give even that. */
static void
reference_is_never_narrowed(void **state)
{
	static const char *const open[][2] = { { "_catalogue", "json" }, { "_unit", "name" },
		{ "_succession", "kind" } };
	static const char *const shut[][2] = { { "_registry", "label" }, { "_key", "sign_key" },
		{ "_grant", "verbs" }, { "_federation", "root_key" }, { "_revocation", "reason" },
		{ "_verdict", "verdict" }, { "_ruling", "ruling" } };
	static const char *u[] = { "17254" }, *c[] = { "dossier" }, *f[] = { "status" },
			  *v[] = { "inspect" };
	struct asker a;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		const struct lt_field *field =
		    lt_collection_field(collection(open[i][0]), open[i][1]);

		principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "so_y_te");
		a.grant = (struct lt_grant){ 1, 1, 1, 1, list_read, u, c, f };
		assert_true(sees(&a, open[i][0], "_", open[i][1]));
		assert_true(
		    lt_access_records(&a.who, cat, &province, collection(open[i][0]), NULL));
		assert_true(lt_access_field_everywhere(
		    &a.who, cat, &province, collection(open[i][0]), field));
		assert_false(sees(&a, open[i][0], "17254", open[i][1])); /* none stand there */
		a.grant.nunit = a.grant.ncollection = a.grant.nfield = 0;
		assert_true(sees(&a, open[i][0], "_", open[i][1]));
		a.grant.verb = v;
		assert_false(sees(&a, open[i][0], "_", open[i][1]));
		a.principal.ngrant = 0;
		assert_false(sees(&a, open[i][0], "_", open[i][1]));
		principal(&a, LTPB__ROLE__ROLE_OPERATOR, "", "");
		a.grant = (struct lt_grant){ 1, 1, 1, 1, list_read, list_all, c, list_all };
		assert_false(sees(&a, open[i][0], "_", open[i][1]));
	}
	principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", "so_y_te");
	a.grant = (struct lt_grant){ 1, 1, 1, 1, list_read, u, c, f };
	for (i = 0; i < sizeof(shut) / sizeof(shut[0]); i++)
		assert_false(sees(&a, shut[i][0], "_", shut[i][1]));
	assert_true(sees(&a, "dossier", "17254", "status"));
	assert_false(sees(&a, "dossier", "16906", "status"));
	assert_false(sees(&a, "dossier", "17254", "due_date"));
	assert_false(
	    lt_access_records(&a.who, cat, &province, collection("dossier_daily_summary"), NULL));
}

/* readers_rule, sentence by sentence, on collections of the file. */
static void
readers_rule(void **state)
{
	static const struct {
		const char *org, *col, *field;
		bool yes;
	} rule[] = {
		{ "so_y_te", "dossier", "status", true }, /* in readers */
		{ "so_y_te", "dossier", "applicant_name", false },
		{ "so_y_te", "dossier_daily_summary", "received", true }, /* all_departments */
		{ "ban_to_chuc_tinh_uy", "dossier_daily_summary", "received",
		    false }, /* a party's */
		{ "so_xay_dung", "household_poverty", "class", false }, /* nobody's reader there */
		{ "van_phong_ubnd", "dossier", "applicant_name", true }, /* owner */
		{ "so_nong_nghiep_moi_truong", "household_poverty", "head_id_no", true },
		{ "ubnd_tinh", "dossier", "applicant_name", true }, /* none and basic of all */
		{ "thanh_tra", "household_poverty", "class", true },
		{ "so_y_te", "_unit", "name", true },
		{ "so_y_te", "_succession", "kind", true },
		{ "so_y_te", "_catalogue", "json", true },
		{ "so_y_te", "_registry", "label", false },
		{ "so_y_te", "_key", "sign_key", false },
		{ "nobody", "dossier_daily_summary", "received", false },
		{ "", "dossier_daily_summary", "received", false },
	};
	struct asker a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		principal(&a, LTPB__ROLE__ROLE_DEPARTMENT, "", rule[i].org);
		if (sees(&a, rule[i].col, rule[i].col[0] == '_' ? "_" : "17254", rule[i].field) !=
		    rule[i].yes)
			fail_msg("%s %s.%s", rule[i].org, rule[i].col, rule[i].field);
	}
}

static void
communes_and_operators(void **state)
{
	struct asker a;
	struct lt_unit u;

	(void)state;
	local(&a, false, "17254");
	assert_true(sees(&a, "dossier", "17254", "applicant_name"));
	assert_true(sees(&a, "household_poverty", "17254", "head_id_no"));
	assert_false(sees(&a, "dossier", "16906", "status"));
	assert_true(sees(&a, "directive", "40", "status"));
	assert_false(sees(&a, "directive", "38", "status")); /* another province */
	assert_true(sees(&a, "_catalogue", "_", "json"));
	assert_false(sees(&a, "_grant", "_", "verbs"));
	assert_false(sees(&a, "_unit", "17254", "name"));
	local(&a, true, "40");
	assert_true(sees(&a, "dossier", "16906", "status"));
	assert_false(sees(&a, "dossier", "16906", "applicant_name"));
	assert_true(sees(&a, "_grant", "_", "verbs"));
	principal(&a, LTPB__ROLE__ROLE_NODE, "17254", "");
	ok(lt_unit_set(&u, lt_slice_str("17254")));
	assert_true(lt_access_pull(&a.who, &province, &u));
	ok(lt_unit_set(&u, lt_slice_str("16906")));
	assert_false(lt_access_pull(&a.who, &province, &u));
	ok(lt_unit_set(&u, lt_slice_str("38")));
	assert_false(lt_access_pull(&a.who, &province, &u));
	ok(lt_unit_set(&u, lt_slice_str("_")));
	assert_true(lt_access_pull(&a.who, &province, &u));
	local(&a, true, "40");
	assert_false(lt_access_pull(&a.who, &province, &u));
}

static void
writing(void **state)
{
	static const struct {
		bool hub;
		const char *col, *unit;
		unsigned writer; /* 0: not */
	} rule[] = {
		{ false, "dossier", "17254", LT_WRITER_COMMUNE },
		{ false, "dossier", "16906", 0 },
		{ false, "dossier", "40", 0 },
		{ false, "target", "17254", 0 }, /* the province's to write */
		{ false, "directive", "40", 0 },
		{ false, "_unit", "_", 0 },
		{ true, "directive", "40", LT_WRITER_PROVINCE },
		{ true, "directive", "17254", 0 },
		{ true, "guidance_doc", "40", LT_WRITER_DEPARTMENT },
		{ true, "dossier", "17254", LT_WRITER_DEPARTMENT },
		{ true, "dossier", "40", 0 }, /* has a unit field */
		{ true, "proposal", "40", LT_WRITER_PROVINCE },
		{ true, "proposal", "17254", LT_WRITER_PROVINCE },
		{ true, "attachment", "40", LT_WRITER_PROVINCE },
		{ true, "directive_progress", "40", LT_WRITER_DEPARTMENT },
		{ true, "household_poverty", "17254", 0 },
		{ true, "directive", "38", 0 },
		{ true, "proposal", "_", 0 },
		{ true, "_registry", "_", 0 },
	};
	struct asker a;
	unsigned writer = 77;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rule) / sizeof(rule[0]); i++) {
		local(&a, rule[i].hub, rule[i].hub ? "40" : "17254");
		if (lt_access_write(&a.who, cat, &province, collection(rule[i].col), rule[i].unit,
			&writer) != (rule[i].writer != 0) ||
		    writer != rule[i].writer)
			fail_msg("%d %s %s: %u", rule[i].hub, rule[i].col, rule[i].unit, writer);
	}
}

/* A mirror: feeds whole, by units; `_` with any of them; personal values apart; never a word of its own. */
static void
mirrors(void **state)
{
	static const char *pull[] = { "pull" }, *open[] = { "open" }, *u[] = { "17254" },
			  *c[] = { "dossier" }, *f[] = { "applicant_name" };
	struct lt_grant two[2] = { { 1, 1, 1, 1, pull, u, list_all, list_all },
		{ 1, 1, 1, 1, open, u, c, f } };
	struct lt_unit own, other, federation, abroad;
	struct asker a;
	unsigned writer;

	(void)state;
	ok(lt_unit_set(&own, lt_slice_str("17254")));
	ok(lt_unit_set(&other, lt_slice_str("16906")));
	ok(lt_unit_set(&federation, lt_slice_str("_")));
	ok(lt_unit_set(&abroad, lt_slice_str("38")));
	principal(&a, LTPB__ROLE__ROLE_MIRROR, "", "");
	a.principal.grant = two;
	assert_true(lt_access_pull(&a.who, &province, &own));
	assert_true(lt_access_pull(&a.who, &province, &federation));
	assert_false(lt_access_pull(&a.who, &province, &other));
	assert_false(lt_access_pull(&a.who, &province, &province));
	assert_false(lt_access_open(&a.who, &province, &own, "dossier", "applicant_name"));
	a.principal.ngrant = 2;
	assert_true(lt_access_open(&a.who, &province, &own, "dossier", "applicant_name"));
	assert_false(lt_access_open(&a.who, &province, &other, "dossier", "applicant_name"));
	assert_false(lt_access_open(&a.who, &province, &own, "dossier", "applicant_phone"));
	assert_false(
	    lt_access_open(&a.who, &province, &own, "household_poverty", "applicant_name"));
	two[0].collection = c; /* a feed cannot come in part */
	assert_false(lt_access_pull(&a.who, &province, &own));
	two[0] = grant_everything();
	assert_true(lt_access_pull(&a.who, &province, &other));
	assert_false(lt_access_pull(&a.who, &province, &abroad));
	assert_false(sees(&a, "dossier", "17254", "status"));
	assert_false(
	    lt_access_write(&a.who, cat, &province, collection("directive"), "40", &writer));
	assert_false(lt_access_push(&a.who, &a.principal.id, &own));
	assert_false(lt_access_author(&a.principal, &own));
	assert_false(lt_access_unit(&a.who, LT_VERB_INSPECT, "17254"));
}

/* Who pushes and who wrote are both asked about. */
static void
pushing(void **state)
{
	struct lt_unit own, other, federation;
	struct lt_id stranger = { { 7 } };
	struct asker a;

	(void)state;
	ok(lt_unit_set(&own, lt_slice_str("17254")));
	ok(lt_unit_set(&other, lt_slice_str("16906")));
	ok(lt_unit_set(&federation, lt_slice_str("_")));
	principal(&a, LTPB__ROLE__ROLE_NODE, "17254", "");
	assert_true(lt_access_push(&a.who, &a.principal.id, &own));
	assert_false(lt_access_push(&a.who, &stranger, &own));
	assert_false(lt_access_push(&a.who, &a.principal.id, &other));
	assert_false(lt_access_push(&a.who, &a.principal.id, &federation));
	assert_true(lt_access_open(&a.who, &province, &own, "dossier", "applicant_name"));
	assert_false(lt_access_open(&a.who, &province, &province, "staff", "full_name"));
	a.principal.state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED;
	assert_false(lt_access_push(&a.who, &a.principal.id, &own));
	assert_true(lt_access_author(&a.principal, &own)); /* what it signed before stands */
	a.principal.role = LTPB__ROLE__ROLE_HUB;
	assert_true(lt_access_author(&a.principal, &other));
	assert_true(lt_access_author(&a.principal, &federation));
	a.principal.role = LTPB__ROLE__ROLE_DEPARTMENT;
	assert_false(lt_access_author(&a.principal, &own));
	a.principal.role = LTPB__ROLE__ROLE_NODE;
	ok(lt_unit_set(&a.principal.unit, lt_slice_str("40")));
	assert_false(lt_access_author(&a.principal, &province));
}

/* The answer to a write says what stood there: nobody writes blindly. */
static void
writing_needs_sight(void **state)
{
	static const char *write[] = { "write" }, *both[] = { "read", "write" }, *u[] = { "40" },
			  *c[] = { "directive" };
	struct lt_grant two[2] = { { 1, 1, 1, 1, write, u, c, list_all },
		{ 1, 1, 1, 1, list_read, u, c, list_all } };
	struct asker a;
	unsigned writer;

	(void)state;
	principal(&a, LTPB__ROLE__ROLE_OPERATOR, "", "");
	a.principal.grant = two;
	assert_false(
	    lt_access_write(&a.who, cat, &province, collection("directive"), "40", &writer));
	a.principal.ngrant = 2;
	assert_true(
	    lt_access_write(&a.who, cat, &province, collection("directive"), "40", &writer));
	assert_int_equal(writer, LT_WRITER_PROVINCE);
	a.principal.ngrant = 1;
	two[0].verb = both;
	two[0].nverb = 2;
	assert_true(
	    lt_access_write(&a.who, cat, &province, collection("directive"), "40", &writer));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_by_role),
		cmocka_unit_test(who_is_not_active_is_a_stranger),
		cmocka_unit_test(without_a_grant_nothing),
		cmocka_unit_test(one_grant_must_fit_alone),
		cmocka_unit_test(an_operator_within_its_grant),
		cmocka_unit_test(reference_is_never_narrowed),
		cmocka_unit_test(readers_rule),
		cmocka_unit_test(communes_and_operators),
		cmocka_unit_test(writing),
		cmocka_unit_test(mirrors),
		cmocka_unit_test(pushing),
		cmocka_unit_test(writing_needs_sight),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
