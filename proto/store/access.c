/* Rights: who asks decides which personal levels are in sight, grants then narrow it. */
#include "proto/store/access.h"
#include "proto/store/access_bug.h"

#include <stdio.h>

/* How far the fields of a record may be seen. */
enum level { SEE_NOTHING, SEE_NONE, SEE_BASIC, SEE_ALL };

#define VERB(v) (1u << (v))

/* What each asker may do at most; departments, operators and mirrors need a grant for it besides. The rows of the
 * table whose columns are the methods' verbs (proto/rpc/methods.c). */
#define VERBS_STRANGER (VERB(LT_VERB_NONE) | VERB(LT_VERB_JOIN))
#define VERBS_NODE (VERBS_STRANGER | VERB(LT_VERB_SYNC) | VERB(LT_VERB_PULL) | VERB(LT_VERB_OPEN))
#define VERBS_MIRROR (VERBS_STRANGER | VERB(LT_VERB_PULL) | VERB(LT_VERB_OPEN))
#define VERBS_DEPARTMENT (VERBS_STRANGER | VERB(LT_VERB_READ))
#define VERBS_OPERATOR \
	(VERBS_STRANGER | VERB(LT_VERB_READ) | VERB(LT_VERB_WRITE) | VERB(LT_VERB_INSPECT) | \
	    VERB(LT_VERB_ENROL) | VERB(LT_VERB_ERASE))
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
	    (p->state != LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE &&
		!(LT_ACCESS_BUG(SUSPENDED_MAY) &&
		    p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED)))
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
	return u != NULL && lt_unit_is_commune(u) ? u : NULL;
}

/* ---- grants ---- */

static const char *const verb_name[LT_VERB_COUNT] = { [LT_VERB_READ] = "read",
	[LT_VERB_WRITE] = "write",
	[LT_VERB_INSPECT] = "inspect",
	[LT_VERB_ENROL] = "enrol",
	[LT_VERB_ERASE] = "erase",
	[LT_VERB_PULL] = "pull",
	[LT_VERB_OPEN] = "open" };

static bool
granted_item(const char *const *list, size_t n, const char *item)
{
	/* Lists of codes cannot hold a star in every store that there ever was: "all" means the same. */
	if (among(list, n, "all") || among(list, n, "*"))
		return true;
	return item != NULL ? among(list, n, item) : false;
}

/* A list against an item; NULL: any one will do, and whole: only all of them. */
static bool
list_fits(const char *const *list, size_t n, const char *item, bool whole)
{
	if (whole && !LT_ACCESS_BUG(PART_FOR_WHOLE))
		return granted_item(list, n, NULL);
	if (LT_ACCESS_BUG(EMPTY_IS_ALL) && n == 0)
		return true;
	return item != NULL ? granted_item(list, n, item) : n != 0;
}

static const char *
collection_of(const struct lt_ask *ask)
{
	return ask->collection != NULL ? ask->collection->id : ask->collection_id;
}

static const char *
field_of(const struct lt_ask *ask)
{
	return ask->field != NULL ? ask->field->rule.name : ask->field_name;
}

/* A method, or a verb in nothing in particular. */
static bool
verb_alone(const struct lt_ask *ask)
{
	return ask->unit == NULL && collection_of(ask) == NULL;
}

static bool
grant_fits(const struct lt_grant *g, const struct lt_ask *ask, bool verb_only)
{
	bool feeds = ask->verb == LT_VERB_PULL;

	if (!granted_item(g->verb, g->nverb, verb_name[ask->verb]))
		return false;
	if (verb_only)
		return true;
	/* A feed has no gaps: what a collection's grant would leave out cannot be left out. */
	return list_fits(g->collection, g->ncollection, collection_of(ask), feeds) &&
	       list_fits(g->unit, g->nunit, ask->unit, false) &&
	       list_fits(g->field, g->nfield, field_of(ask), feeds || ask->whole);
}

/* What the words mean, and where: nobody can ask or read without. */
static bool
is_reference(const char *collection)
{
	return strcmp(collection, "_unit") == 0 || strcmp(collection, "_succession") == 0 ||
	       strcmp(collection, "_catalogue") == 0;
}

/* What a role gets whole with any grant of the verb. */
static bool
not_narrowed(const struct lt_principal *p, const struct lt_ask *ask)
{
	const char *collection = collection_of(ask);

	if (p->role == LTPB__ROLE__ROLE_DEPARTMENT)
		return collection != NULL && is_reference(collection);
	return p->role == LTPB__ROLE__ROLE_MIRROR && ask->verb == LT_VERB_PULL &&
	       ask->unit != NULL && strcmp(ask->unit, "_") == 0;
}

/* Half of the question from one grant, half from another: what must not be. */
static bool
fits_pieced(const struct lt_principal *p, const struct lt_ask *ask)
{
	bool unit = false, rest = false;
	struct lt_ask anywhere = *ask;
	size_t i;

	anywhere.unit = NULL;
	for (i = 0; i < p->ngrant; i++) {
		const struct lt_grant *g = &p->grant[i];

		unit |= granted_item(g->verb, g->nverb, verb_name[ask->verb]) &&
			list_fits(g->unit, g->nunit, ask->unit, false);
		rest |= grant_fits(g, &anywhere, false);
	}
	return unit && rest;
}

/* Departments, operators and mirrors have what one single grant gives; for all others grants mean nothing. */
static bool
granted(const struct lt_asker *who, const struct lt_ask *ask)
{
	const struct lt_principal *p = principal_of(who);
	bool verb_only;
	size_t i;

	if (verb_name[ask->verb] == NULL || p == NULL ||
	    (p->role != LTPB__ROLE__ROLE_DEPARTMENT && p->role != LTPB__ROLE__ROLE_OPERATOR &&
		p->role != LTPB__ROLE__ROLE_MIRROR))
		return true;
	verb_only = verb_alone(ask) || not_narrowed(p, ask);
	if (LT_ACCESS_BUG(GRANTS_PIECED) && !verb_only)
		return fits_pieced(p, ask);
	for (i = 0; i < p->ngrant; i++) {
		if (grant_fits(&p->grant[i], ask, verb_only))
			return true;
	}
	return false;
}

/* ---- methods ---- */

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
	case LTPB__ROLE__ROLE_MIRROR:
		return VERBS_MIRROR;
	case LTPB__ROLE__ROLE_UNSPECIFIED:
	case LTPB__ROLE__ROLE_HUB:
	case _LTPB__ROLE_IS_INT_SIZE:
		break;
	}
	return VERB(LT_VERB_NONE);
}

bool
lt_access_method(const struct lt_asker *who, enum lt_verb verb)
{
	const struct lt_ask ask = { .verb = verb };

	return lt_access(who, NULL, NULL, &ask);
}

bool
lt_access_unit(const struct lt_asker *who, enum lt_verb verb, const char *unit)
{
	const struct lt_ask ask = { .verb = verb, .unit = unit };

	return lt_access(who, NULL, NULL, &ask);
}

bool
lt_access_log(const struct lt_asker *who, const char *unit, const char *collection)
{
	const struct lt_ask ask = {
		.verb = LT_VERB_INSPECT, .unit = unit, .collection_id = collection, .whole = true
	};

	return lt_access(who, NULL, NULL, &ask);
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
		return LT_ACCESS_BUG(UNKNOWN_ORG_READS) &&
			       among(c->reader, c->nreader, "all_departments")
			   ? SEE_NONE
			   : SEE_NOTHING;
	if (among(c->owner, c->nowner, p->org))
		return SEE_ALL;
	if (among(wide, sizeof(wide) / sizeof(wide[0]), p->org))
		return SEE_BASIC;
	if (among(c->reader, c->nreader, p->org))
		return LT_ACCESS_BUG(READERS_SEE_BASIC) ? SEE_BASIC : SEE_NONE;
	if (strcmp(org->kind, "department") == 0 && among(c->reader, c->nreader, "all_departments"))
		return SEE_NONE;
	return SEE_NOTHING;
}

static enum level
commune_level(const struct lt_unit *own, const struct lt_unit *province, const char *unit)
{
	if (unit == NULL || strcmp(unit, own->s) == 0)
		return SEE_ALL;
	return strcmp(unit, province->s) == 0 || LT_ACCESS_BUG(NEIGHBOURS_SEEN) ? SEE_NONE
										: SEE_NOTHING;
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
	const struct lt_ask ask = { .verb = LT_VERB_READ, .unit = unit, .collection = c };

	return lt_access(who, cat, province, &ask);
}

bool
lt_access_field(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    const struct lt_field *f)
{
	const struct lt_ask ask = {
		.verb = LT_VERB_READ, .unit = unit, .collection = c, .field = f
	};

	return lt_access(who, cat, province, &ask);
}

/* Most grants give all fields of what they give: then one question answers for every field of a level. */
void
lt_access_fields(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit, bool *in)
{
	struct lt_ask ask = { .verb = LT_VERB_READ, .unit = unit, .collection = c, .whole = true };
	enum level level = level_of(who, cat, province, c, unit);
	bool every = lt_access(who, cat, province, &ask);
	size_t i;

	ask.whole = false;
	for (i = 0; i < c->nfield; i++) {
		ask.field = &c->field[i];
		in[i] = every ? level_shows(level, ask.field->rule.personal)
			      : lt_access(who, cat, province, &ask);
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
		if (LT_ACCESS_BUG(HIDDEN_SOMEWHERE) && i == 2)
			return true;
	}
	for (i = 0; p != NULL && i < p->ngrant; i++) {
		for (j = 0; j < p->grant[i].nunit; j++) {
			if (!nowhere_hidden(who, cat, province, c, p->grant[i].unit[j], f))
				return false;
		}
	}
	return true;
}

/* ---- writing ---- */

static unsigned
write_clerk(const struct lt_asker *who, const struct lt_collection *c, const char *unit)
{
	if (strcmp(unit, who->unit.s) != 0 || !lt_unit_is_commune(&who->unit) ||
	    c->unit_rule != LT_UNIT_COMMUNE)
		return 0;
	return c->writers & LT_WRITER_COMMUNE;
}

static unsigned
write_hub(const struct lt_unit *province, const struct lt_collection *c, const char *unit)
{
	struct lt_unit u;

	if (lt_unit_set(&u, lt_slice_str(unit)) != LT_OK)
		return 0;
	if (lt_unit_is_commune(&u)) {
		if (c->unit_rule != LT_UNIT_COMMUNE)
			return 0;
	} else if (!lt_unit_eq(&u, province) ||
		   (c->unit_rule != LT_UNIT_PROVINCE && c->has_unit_field)) {
		return 0;
	}
	return (c->writers & LT_WRITER_PROVINCE) != 0 ? LT_WRITER_PROVINCE
						      : c->writers & LT_WRITER_DEPARTMENT;
}

/* As whom the asker would write this there; 0: not at all. */
static unsigned
writer_of(const struct lt_asker *who, const struct lt_unit *province, const struct lt_collection *c,
    const char *unit)
{
	if (c->builtin || unit == NULL)
		return 0;
	if (who->kind == LT_ASKER_LOCAL && !who->local_hub)
		return write_clerk(who, c, unit);
	return operates(who) ? write_hub(province, c, unit) : 0;
}

bool
lt_access_write(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    unsigned *writer)
{
	const struct lt_ask ask = {
		.verb = LT_VERB_WRITE, .unit = unit, .collection = c, .whole = true
	};

	*writer = lt_access(who, cat, province, &ask) ? writer_of(who, province, c, unit) : 0;
	return *writer != 0;
}

/* ---- erasing ---- */

bool
lt_access_erase(const struct lt_asker *who, const struct lt_unit *province,
    const struct lt_collection *c, const char *unit, const char *field)
{
	const struct lt_ask ask = { .verb = LT_VERB_ERASE,
		.unit = unit,
		.collection = c,
		.field_name = field,
		.whole = field == NULL };

	return lt_access(who, NULL, province, &ask);
}

/* ---- feeds ---- */

bool
lt_access_author(const struct lt_principal *author, const struct lt_unit *unit)
{
	if (author->role == LTPB__ROLE__ROLE_HUB)
		return true;
	return author->role == LTPB__ROLE__ROLE_NODE && lt_unit_is_commune(unit) &&
	       lt_unit_eq(unit, &author->unit);
}

bool
lt_access_change(
    const struct lt_principal *author, const struct lt_collection *c, const struct lt_unit *unit)
{
	if (!lt_access_author(author, unit))
		return false;
	if (author->role == LTPB__ROLE__ROLE_HUB || LT_ACCESS_BUG(ANY_COLLECTION))
		return true;
	return !c->builtin && c->unit_rule == LT_UNIT_COMMUNE &&
	       (c->writers & LT_WRITER_COMMUNE) != 0;
}

bool
lt_access_push(const struct lt_asker *who, const struct lt_id *author, const struct lt_unit *unit)
{
	const struct lt_ask ask = { .verb = LT_VERB_SYNC, .unit = unit->s };

	return lt_access(who, NULL, NULL, &ask) && lt_id_eq(author, &who->principal->id);
}

bool
lt_access_pull(
    const struct lt_asker *who, const struct lt_unit *province, const struct lt_unit *unit)
{
	const struct lt_ask ask = { .verb = LT_VERB_PULL, .unit = unit->s };

	return lt_access(who, NULL, province, &ask);
}

bool
lt_access_open(const struct lt_asker *who, const struct lt_unit *province,
    const struct lt_unit *unit, const char *collection, const char *field)
{
	const struct lt_ask ask = { .verb = LT_VERB_OPEN,
		.unit = unit->s,
		.collection_id = collection,
		.field_name = field };

	return lt_access(who, NULL, province, &ask);
}

/* Which units' feeds the role gives: to a mirror those that the federation has, to a node its own surroundings. */
static bool
pull_fits(const struct lt_asker *who, const struct lt_unit *province, const struct lt_unit *unit)
{
	bool commune = lt_unit_is_commune(unit);

	if (strcmp(unit->s, "_") != 0 && !commune && !lt_unit_eq(unit, province))
		return false;
	return is_role(who, LTPB__ROLE__ROLE_MIRROR) || !commune ||
	       lt_unit_eq(unit, &who->principal->unit);
}

static bool
feed_fits(const struct lt_asker *who, const struct lt_unit *province, const struct lt_ask *ask)
{
	struct lt_unit unit;

	if (ask->unit == NULL || lt_unit_set(&unit, lt_slice_str(ask->unit)) != LT_OK)
		return false;
	if (ask->verb == LT_VERB_SYNC)
		return lt_access_author(who->principal, &unit);
	if (ask->verb == LT_VERB_PULL)
		return pull_fits(who, province, &unit);
	if (is_role(who, LTPB__ROLE__ROLE_MIRROR))
		return pull_fits(who, province, &unit);
	return lt_access_author(who->principal, &unit) || LT_ACCESS_BUG(OPEN_ALL);
}

/* ---- the decision ---- */

/* What role and catalogue give of what is asked, the verb being the role's. */
static bool
in_scope(const struct lt_asker *who, const struct lt_catalogue *cat, const struct lt_unit *province,
    const struct lt_ask *ask)
{
	const struct lt_collection *c = ask->collection;
	enum level level;

	if (verb_alone(ask))
		return true;
	switch (ask->verb) {
	case LT_VERB_SYNC:
	case LT_VERB_PULL:
	case LT_VERB_OPEN:
		return feed_fits(who, province, ask);
	case LT_VERB_READ:
		if (c == NULL)
			return collection_of(ask) == NULL;
		level = level_of(who, cat, province, c, ask->unit);
		return ask->field != NULL ? level_shows(level, ask->field->rule.personal)
					  : level != SEE_NOTHING;
	case LT_VERB_WRITE:
		if (c == NULL)
			return collection_of(ask) == NULL;
		return writer_of(who, province, c, ask->unit) != 0 &&
		       (lt_access_records(who, cat, province, c, ask->unit) ||
			   LT_ACCESS_BUG(WRITE_UNSEEN));
	case LT_VERB_ERASE:
		if (c == NULL)
			return collection_of(ask) == NULL;
		return !c->builtin && unit_fits(province, c, ask->unit);
	case LT_VERB_UNSET:
		return false;
	case LT_VERB_NONE:
	case LT_VERB_JOIN:
	case LT_VERB_INSPECT:
	case LT_VERB_ENROL:
	case LT_VERB_COUNT:
		break;
	}
	return true;
}

bool
lt_access(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_ask *ask)
{
	if ((unsigned)ask->verb >= LT_VERB_COUNT || (verbs_of(who) & VERB(ask->verb)) == 0)
		return false;
	return in_scope(who, cat, province, ask) && granted(who, ask);
}
