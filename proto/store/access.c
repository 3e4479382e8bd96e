/* Rights: who asks decides which personal levels are in sight, grants then narrow it. */
#include "proto/store/access.h"

#include <stdio.h>

/* How far the fields of a record may be seen. */
enum level { SEE_NOTHING, SEE_NONE, SEE_BASIC, SEE_ALL };

#define VERB(v) (1u << (v))

/* What each asker may do at most; departments and operators need a grant for it besides. */
#define VERBS_STRANGER (VERB(LT_VERB_NONE) | VERB(LT_VERB_JOIN))
#define VERBS_NODE (VERBS_STRANGER | VERB(LT_VERB_SYNC))
#define VERBS_DEPARTMENT (VERBS_STRANGER | VERB(LT_VERB_READ))
#define VERBS_OPERATOR \
	(VERBS_STRANGER | VERB(LT_VERB_READ) | VERB(LT_VERB_WRITE) | VERB(LT_VERB_INSPECT) | \
	    VERB(LT_VERB_ENROL))
#define VERBS_CLERK \
	(VERB(LT_VERB_NONE) | VERB(LT_VERB_READ) | VERB(LT_VERB_WRITE) | VERB(LT_VERB_INSPECT))

static bool
among(const char *const *list, size_t n, const char *s)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(list[i], s) == 0)
			return true;
	}
	return false;
}

/* The principal that counts: one that is not active has no rights left. */
static const struct lt_principal *
principal_of(const struct lt_asker *who)
{
	const struct lt_principal *p = who->principal;

	if (who->kind != LT_ASKER_PRINCIPAL || p == NULL ||
	    p->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE)
		return NULL;
	return p;
}

static bool
is_role(const struct lt_asker *who, Ltpb__Role role)
{
	const struct lt_principal *p = principal_of(who);

	return p != NULL && p->role == role;
}

static bool
local_hub(const struct lt_asker *who)
{
	return who->kind == LT_ASKER_LOCAL && who->local_hub;
}

/* The hub's own people: its operators, and whoever sits at its machine. */
static bool
operates(const struct lt_asker *who)
{
	return local_hub(who) || is_role(who, LTPB__ROLE__ROLE_OPERATOR);
}

/* The commune whose eyes the asker has, NULL when none. */
static const struct lt_unit *
commune_of(const struct lt_asker *who)
{
	const struct lt_unit *u = NULL;

	if (who->kind == LT_ASKER_LOCAL && !who->local_hub)
		u = &who->unit;
	else if (is_role(who, LTPB__ROLE__ROLE_NODE))
		u = &who->principal->unit;
	return u != NULL && lt_unit_is_commune(u) ? u : NULL;
}

/* ---- grants ---- */

static bool
granted_item(const char *const *list, size_t n, const char *item)
{
	/* Lists of codes cannot hold a star in every store that there ever was: "all" means the same. */
	if (among(list, n, "all") || among(list, n, "*"))
		return true;
	return item != NULL ? among(list, n, item) : false;
}

/* What is asked of a grant. unit, collection and field: NULL for "any at all", every_field for "all of them". */
struct want {
	const char *verb, *unit, *collection, *field;
	bool every_field;
	bool verb_alone; /* the rest does not matter */
};

static bool
grant_fits(const struct lt_grant *g, const struct want *w)
{
	if (!among(g->verb, g->nverb, w->verb) && !granted_item(g->verb, g->nverb, NULL))
		return false;
	if (w->verb_alone)
		return true;
	if (w->collection != NULL ? !granted_item(g->collection, g->ncollection, w->collection)
				  : g->ncollection == 0)
		return false;
	if (w->unit != NULL ? !granted_item(g->unit, g->nunit, w->unit) : g->nunit == 0)
		return false;
	if (w->every_field)
		return granted_item(g->field, g->nfield, NULL);
	return w->field != NULL ? granted_item(g->field, g->nfield, w->field) : g->nfield != 0;
}

/* What the words mean, and where: nobody can ask or read without. */
static bool
is_reference(const char *collection)
{
	return strcmp(collection, "_unit") == 0 || strcmp(collection, "_succession") == 0 ||
	       strcmp(collection, "_catalogue") == 0;
}

/* Departments and operators have what one single grant gives; for all others grants mean nothing. */
static bool
granted(const struct lt_asker *who, const struct want *w)
{
	const struct lt_principal *p = principal_of(who);
	const struct want verb_alone = { .verb = w->verb, .verb_alone = true };
	size_t i;

	if (p == NULL ||
	    (p->role != LTPB__ROLE__ROLE_DEPARTMENT && p->role != LTPB__ROLE__ROLE_OPERATOR))
		return true;
	if (p->role == LTPB__ROLE__ROLE_DEPARTMENT && w->collection != NULL &&
	    is_reference(w->collection))
		w = &verb_alone;
	for (i = 0; i < p->ngrant; i++) {
		if (grant_fits(&p->grant[i], w))
			return true;
	}
	return false;
}

/* ---- methods ---- */

static const char *const verb_name[LT_VERB_COUNT] = { [LT_VERB_READ] = "read",
	[LT_VERB_WRITE] = "write",
	[LT_VERB_INSPECT] = "inspect",
	[LT_VERB_ENROL] = "enrol" };

static unsigned
verbs_of(const struct lt_asker *who)
{
	const struct lt_principal *p = principal_of(who);

	if (who->kind == LT_ASKER_LOCAL)
		return who->local_hub ? VERBS_OPERATOR : VERBS_CLERK;
	if (p == NULL)
		return VERBS_STRANGER;
	switch (p->role) {
	case LTPB__ROLE__ROLE_NODE:
		return VERBS_NODE;
	case LTPB__ROLE__ROLE_DEPARTMENT:
		return VERBS_DEPARTMENT;
	case LTPB__ROLE__ROLE_OPERATOR:
		return VERBS_OPERATOR;
	case LTPB__ROLE__ROLE_UNSPECIFIED:
	case LTPB__ROLE__ROLE_HUB:
	case LTPB__ROLE__ROLE_MIRROR:
	case _LTPB__ROLE_IS_INT_SIZE:
		break;
	}
	return VERB(LT_VERB_NONE);
}

bool
lt_access_method(const struct lt_asker *who, enum lt_verb verb)
{
	struct want w = { .verb_alone = true };

	if ((unsigned)verb >= LT_VERB_COUNT || (verbs_of(who) & VERB(verb)) == 0)
		return false;
	if (verb_name[verb] == NULL)
		return true;
	w.verb = verb_name[verb];
	return granted(who, &w);
}

bool
lt_access_unit(const struct lt_asker *who, enum lt_verb verb, const char *unit)
{
	struct want w = { .unit = unit };

	if (!lt_access_method(who, verb))
		return false;
	w.verb = verb_name[verb];
	return w.verb == NULL || granted(who, &w);
}

bool
lt_access_log(const struct lt_asker *who, const char *unit, const char *collection)
{
	struct want w = {
		.verb = "inspect", .unit = unit, .collection = collection, .every_field = true
	};

	return lt_access_method(who, LT_VERB_INSPECT) && granted(who, &w);
}

/* ---- giving ---- */

static bool
covers(const char *const *own, size_t nown, const char *const *given, size_t ngiven)
{
	size_t i;

	for (i = 0; i < ngiven; i++) {
		bool every = strcmp(given[i], "all") == 0 || strcmp(given[i], "*") == 0;

		if (!granted_item(own, nown, every ? NULL : given[i]))
			return false;
	}
	return ngiven != 0;
}

bool
lt_access_give(const struct lt_asker *who, Ltpb__Role role, const struct lt_unit *unit,
    const struct lt_grant *given)
{
	static const char *const enrol = "enrol", *const every = "all";
	const struct lt_principal *p = principal_of(who);
	const char *const commune = unit->s;
	bool node = role == LTPB__ROLE__ROLE_NODE;
	size_t i;

	if (local_hub(who))
		return true;
	if (!is_role(who, LTPB__ROLE__ROLE_OPERATOR))
		return false;
	for (i = 0; i < p->ngrant; i++) {
		const struct lt_grant *g = &p->grant[i];

		if (covers(g->verb, g->nverb, &enrol, 1) &&
		    (node ? covers(g->unit, g->nunit, &commune, 1) &&
				covers(g->collection, g->ncollection, &every, 1) &&
				covers(g->field, g->nfield, &every, 1)
			  : covers(g->verb, g->nverb, given->verb, given->nverb) &&
				covers(g->unit, g->nunit, given->unit, given->nunit) &&
				covers(g->collection, g->ncollection, given->collection,
				    given->ncollection) &&
				covers(g->field, g->nfield, given->field, given->nfield)))
			return true;
	}
	return false;
}

/* ---- reading ---- */

/* Is this a unit whose records of this collection can stand here? NULL: some unit. */
static bool
unit_fits(const struct lt_unit *province, const struct lt_collection *c, const char *unit)
{
	struct lt_unit u;

	if (unit == NULL)
		return true;
	if (lt_unit_set(&u, lt_slice_str(unit)) != LT_OK)
		return false;
	if (c->builtin && c->unit_rule == LT_UNIT_FEDERATION)
		return strcmp(unit, "_") == 0;
	if (lt_unit_is_commune(&u))
		return true;
	return lt_unit_is_province(&u) ? lt_unit_eq(&u, province)
				       : c->builtin && c->unit_rule == LT_UNIT_ANY;
}

static enum level
builtin_level(const struct lt_asker *who, const struct lt_collection *c)
{
	if (operates(who))
		return SEE_NONE;
	if (is_reference(c->id) &&
	    (is_role(who, LTPB__ROLE__ROLE_DEPARTMENT) || commune_of(who) != NULL))
		return SEE_NONE;
	return SEE_NOTHING;
}

/* The catalogue's readers_rule; of several rights the widest. */
static enum level
department_level(
    const struct lt_catalogue *cat, const struct lt_collection *c, const struct lt_principal *p)
{
	static const char *const wide[] = { "ubnd_tinh", "van_phong_ubnd", "thanh_tra" };
	const struct lt_org *org;

	if (p->org == NULL || p->org[0] == '\0')
		return SEE_NOTHING;
	org = lt_catalogue_org(cat, p->org);
	if (org == NULL)
		return SEE_NOTHING;
	if (among(c->owner, c->nowner, p->org))
		return SEE_ALL;
	if (among(wide, sizeof(wide) / sizeof(wide[0]), p->org))
		return SEE_BASIC;
	if (among(c->reader, c->nreader, p->org))
		return SEE_NONE;
	if (strcmp(org->kind, "department") == 0 && among(c->reader, c->nreader, "all_departments"))
		return SEE_NONE;
	return SEE_NOTHING;
}

static enum level
commune_level(const struct lt_unit *own, const struct lt_unit *province, const char *unit)
{
	if (unit == NULL || strcmp(unit, own->s) == 0)
		return SEE_ALL;
	return strcmp(unit, province->s) == 0 ? SEE_NONE : SEE_NOTHING;
}

static enum level
level_of(const struct lt_asker *who, const struct lt_catalogue *cat, const struct lt_unit *province,
    const struct lt_collection *c, const char *unit)
{
	const struct lt_unit *own = commune_of(who);

	if (!unit_fits(province, c, unit))
		return SEE_NOTHING;
	if (c->builtin)
		return builtin_level(who, c);
	/* Operators look after machines, they do not read people's data. */
	if (operates(who))
		return SEE_NONE;
	if (is_role(who, LTPB__ROLE__ROLE_DEPARTMENT))
		return department_level(cat, c, who->principal);
	return own != NULL ? commune_level(own, province, unit) : SEE_NOTHING;
}

static bool
level_shows(enum level level, enum lt_personal personal)
{
	switch (personal) {
	case LT_PERSONAL_NONE:
		return level >= SEE_NONE;
	case LT_PERSONAL_BASIC:
		return level >= SEE_BASIC;
	case LT_PERSONAL_SENSITIVE:
		return level >= SEE_ALL;
	}
	return false;
}

bool
lt_access_records(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit)
{
	struct want w = { .verb = "read", .unit = unit, .collection = c->id };

	return level_of(who, cat, province, c, unit) != SEE_NOTHING && granted(who, &w);
}

bool
lt_access_field(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    const struct lt_field *f)
{
	struct want w = {
		.verb = "read", .unit = unit, .collection = c->id, .field = f->rule.name
	};

	return level_shows(level_of(who, cat, province, c, unit), f->rule.personal) &&
	       granted(who, &w);
}

/* Most grants give all fields of what they give: then one question answers for every field. */
void
lt_access_fields(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit, bool *in)
{
	struct want w = { .verb = "read", .unit = unit, .collection = c->id, .every_field = true };
	enum level level = level_of(who, cat, province, c, unit);
	bool every = granted(who, &w);
	size_t i;

	w.every_field = false;
	for (i = 0; i < c->nfield; i++) {
		w.field = c->field[i].rule.name;
		in[i] =
		    level_shows(level, c->field[i].rule.personal) && (every || granted(who, &w));
	}
}

/* In one unit: where the records are in sight, is the field too? */
static bool
nowhere_hidden(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    const struct lt_field *f)
{
	return !lt_access_records(who, cat, province, c, unit) ||
	       lt_access_field(who, cat, province, c, unit, f);
}

static bool
named_in_grants(const struct lt_principal *p, const char *unit)
{
	size_t i;

	for (i = 0; p != NULL && i < p->ngrant; i++) {
		if (among(p->grant[i].unit, p->grant[i].nunit, unit))
			return true;
	}
	return false;
}

/* A commune that stands for all that no grant names and that is not the asker's own. */
static struct lt_unit
any_other_commune(const struct lt_principal *p, const struct lt_unit *own)
{
	struct lt_unit u;
	unsigned n = 0;

	do
		(void)snprintf(u.s, sizeof(u.s), "%05u", n % 100000);
	while (n++ < 100000 && (named_in_grants(p, u.s) || (own != NULL && lt_unit_eq(&u, own))));
	return u;
}

/* Rights differ between the kinds of units, the asker's own unit and the units that grants name, and
 * nowhere else: one example of each is enough. */
bool
lt_access_field_everywhere(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const struct lt_field *f)
{
	const struct lt_principal *p = principal_of(who);
	const struct lt_unit *own = commune_of(who);
	const struct lt_unit other = any_other_commune(p, own);
	const char *example[] = { "_", province->s, other.s, own != NULL ? own->s : "_" };
	size_t i, j;

	for (i = 0; i < sizeof(example) / sizeof(example[0]); i++) {
		if (!nowhere_hidden(who, cat, province, c, example[i], f))
			return false;
	}
	for (i = 0; p != NULL && i < p->ngrant; i++) {
		for (j = 0; j < p->grant[i].nunit; j++) {
			if (!nowhere_hidden(who, cat, province, c, p->grant[i].unit[j], f))
				return false;
		}
	}
	return true;
}

/* ---- writing and pulling ---- */

static bool
write_clerk(
    const struct lt_asker *who, const struct lt_collection *c, const char *unit, unsigned *writer)
{
	if (strcmp(unit, who->unit.s) != 0 || !lt_unit_is_commune(&who->unit) ||
	    c->unit_rule != LT_UNIT_COMMUNE || (c->writers & LT_WRITER_COMMUNE) == 0)
		return false;
	*writer = LT_WRITER_COMMUNE;
	return true;
}

static bool
write_hub(const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    unsigned *writer)
{
	struct lt_unit u;

	if (lt_unit_set(&u, lt_slice_str(unit)) != LT_OK ||
	    (c->writers & (LT_WRITER_PROVINCE | LT_WRITER_DEPARTMENT)) == 0)
		return false;
	if (lt_unit_is_commune(&u)) {
		if (c->unit_rule != LT_UNIT_COMMUNE)
			return false;
	} else if (!lt_unit_eq(&u, province) ||
		   (c->unit_rule != LT_UNIT_PROVINCE && c->has_unit_field)) {
		return false;
	}
	*writer =
	    (c->writers & LT_WRITER_PROVINCE) != 0 ? LT_WRITER_PROVINCE : LT_WRITER_DEPARTMENT;
	return true;
}

bool
lt_access_write(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    unsigned *writer)
{
	struct want w = { .verb = "write", .unit = unit, .collection = c->id, .every_field = true };

	(void)cat;
	*writer = 0;
	if (c->builtin)
		return false;
	if (who->kind == LT_ASKER_LOCAL && !who->local_hub)
		return write_clerk(who, c, unit, writer);
	return operates(who) && granted(who, &w) && write_hub(province, c, unit, writer);
}

bool
lt_access_pull(
    const struct lt_asker *who, const struct lt_unit *province, const struct lt_unit *unit)
{
	if (!is_role(who, LTPB__ROLE__ROLE_NODE))
		return false;
	return strcmp(unit->s, "_") == 0 || lt_unit_eq(unit, province) ||
	       (lt_unit_is_commune(unit) && lt_unit_eq(unit, &who->principal->unit));
}
