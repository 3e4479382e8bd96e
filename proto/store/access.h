/* proto/store/access.h - one place answers: may this principal do this, on this unit, this collection,
 * these fields? Default deny. Pure: registry snapshot, catalogue and the question; any thread.
 *
 * Rules, in the catalogue's words (readers_rule): a department in readers sees the fields with personal none; owner
 * departments also basic and sensitive; ubnd_tinh, van_phong_ubnd and thanh_tra see none and basic of every collection; the
 * commune that owns a record sees all of it; every commune of the province sees personal none of records owned by the
 * province; the widest right counts. An organisation that the catalogue does not know sees nothing.
 *
 * Operators, and whoever sits at the hub's own machine, see personal none of everything and write for the province through
 * the hub. Built-in collections (in unit `_`): theirs all; departments and communes `_unit`, `_succession` and `_catalogue`.
 *
 * Nodes send feeds of their own commune and are sent those of `_`, the province and their commune, personal values of their commune
 * alone. Mirrors are sent the feeds that they were granted, whole, and of personal values what was granted besides; they write nothing.
 *
 * Grants narrow what departments, operators and mirrors may, they never widen it; without a grant they may nothing. One grant must
 * give the verb, the unit, the collection and the field together; "all" (or "*") in a list stands for every one, an
 * empty list for none. One thing is not narrowed: a department with any grant to read reads `_unit`, `_succession` and
 * `_catalogue` whole, for without them it could not even put a question, and a mirror with any grant to pull gets the feeds of `_`,
 * for without keys it could verify nothing. An operator's grant has to give them. Who writes must be allowed to read there too: the answer
 * to a write says what stood there. A unit is its code and nothing else: who has the new commune has not the old ones by that.
 */
#ifndef LT_STORE_ACCESS_H
#define LT_STORE_ACCESS_H

#include "proto/model/catalogue.h"
#include "proto/store/registry.h"

enum lt_verb {
	LT_VERB_UNSET, /* of a method whose row forgot it: nobody */
	LT_VERB_NONE, /* health: anybody who finished the handshake */
	LT_VERB_JOIN, /* enrolment: pending principals and bearers of an invitation */
	LT_VERB_SYNC, /* nodes: hello, push, announce; of a unit: write its feeds */
	LT_VERB_READ, /* records */
	LT_VERB_WRITE, /* records through this machine's own feeds */
	LT_VERB_INSPECT, /* status, nodes, feeds, log, receipts */
	LT_VERB_ENROL, /* invite, approve, reject, give and take grants */
	LT_VERB_PULL, /* nodes and mirrors: be sent feeds */
	LT_VERB_ERASE, /* personal data: find whose it is, and erase it */
	LT_VERB_OPEN, /* personal values beside the feeds that are pulled; no method has this verb */
	LT_VERB_COUNT
};

/* Who asks. */
enum lt_asker_kind { LT_ASKER_STRANGER, LT_ASKER_PENDING, LT_ASKER_PRINCIPAL, LT_ASKER_LOCAL };

struct lt_asker {
	enum lt_asker_kind kind;
	const struct lt_principal *principal; /* PRINCIPAL: from the registry snapshot in use */
	bool local_hub; /* LOCAL: the hub's own machine (else a node's clerk) */
	struct lt_unit unit; /* LOCAL on a node: its commune */
};

/* What is asked: may who do this verb on ... . Nothing but the verb: may a method of it be called at all? */
struct lt_ask {
	enum lt_verb verb;
	const char *unit; /* NULL: in any unit at all */
	const struct lt_collection *collection; /* NULL: whatever the collection */
	const char
	    *collection_id; /* of one that the catalogue may not have, where collection is NULL */
	const struct lt_field *field; /* NULL: whatever the field */
	const char *field_name; /* the same as collection_id */
	bool whole; /* all fields, for nothing can be left out: a write, a change-set */
};

/* The decision: every function below asks this one, and nothing else decides. First the role: has it the verb? Then what
 * the catalogue and the role give of unit, collection and field; then the grants. cat may be NULL where the ask
 * names no collection, province where it names neither unit nor collection. A verb that is none, an ask that makes no sense: false. */
bool lt_access(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_ask *ask);

/* May the asker use a method of this verb at all? (departments and operators: some grant has the verb) */
bool lt_access_method(const struct lt_asker *who, enum lt_verb verb);
/* May the asker see anything of this collection's records in this unit? unit NULL: in any unit at all. */
bool lt_access_records(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit);
/* May the asker see this field of this collection's records in this unit? */
bool lt_access_field(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    const struct lt_field *f);
/* The same of every field of the collection, by place: in[i]. */
void lt_access_fields(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit, bool *in);
/* For filters, orders and groups over many units: is the field in sight in every unit whose records are? */
bool lt_access_field_everywhere(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const struct lt_field *f);
/* May the asker write this collection for this unit through this machine? *writer gets the LT_WRITER_ bit (0 if not).
 * An operator needs a grant for all fields, as the fields are not looked at here. Built-in collections: never. */
bool lt_access_write(const struct lt_asker *who, const struct lt_catalogue *cat,
    const struct lt_unit *province, const struct lt_collection *c, const char *unit,
    unsigned *writer);
/* May the asker use methods of this verb about this unit, whatever the collection? (feeds and nodes of a unit; what belongs
 * to no commune stands in `_`) */
bool lt_access_unit(const struct lt_asker *who, enum lt_verb verb, const char *unit);
/* May the asker look at change-sets with changes of this collection in this unit? They cannot be masked: one grant has to
 * give `inspect` with all fields. */
bool lt_access_log(const struct lt_asker *who, const char *unit, const char *collection);
/* May the asker erase this field (NULL: whatever the field) of this collection's records in this unit, and be told where a value
 * stands there? Nothing is shown by that, so what one may read does not matter. Built-in collections: never. */
bool lt_access_erase(const struct lt_asker *who, const struct lt_unit *province,
    const struct lt_collection *c, const char *unit, const char *field);
/* May the asker give somebody else this grant, in a role that is invited? Who sits at the hub's machine: any. An operator:
 * what one grant of its own, with `enrol`, covers whole; "all" is covered by "all" alone. unit: of a node, whose verbs are not
 * an operator's: all collections and fields of its commune must be covered. */
bool lt_access_give(const struct lt_asker *who, Ltpb__Role role, const struct lt_unit *unit,
    const struct lt_grant *given);
/* May a node or a mirror be sent feeds of this unit? */
bool lt_access_pull(
    const struct lt_asker *who, const struct lt_unit *province, const struct lt_unit *unit);
/* ... and the personal value of this field with them? By name: the catalogue of today need not have them. */
bool lt_access_open(const struct lt_asker *who, const struct lt_unit *province,
    const struct lt_unit *unit, const char *collection, const char *field);
/* May this author write feeds of this unit? A node those of its commune, a hub any. Of any state: whether its key is valid for
 * what it signed is another question. */
bool lt_access_author(const struct lt_principal *author, const struct lt_unit *unit);
/* May a change of this collection by this author stand in feeds of this unit? Of a node: the catalogue has communes among the writers.
 * (Of the fields lt_admit_change() asks.) Of any state, too. */
bool lt_access_change(
    const struct lt_principal *author, const struct lt_collection *c, const struct lt_unit *unit);
/* May who pushes hand in a change-set by this author of this unit? Its own, in its own commune. */
bool lt_access_push(
    const struct lt_asker *who, const struct lt_id *author, const struct lt_unit *unit);

#endif
