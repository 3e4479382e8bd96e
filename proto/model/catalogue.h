/* proto/model/catalogue.h - the catalogue: collections, fields, rules (format 2, JSON).
 *
 * A catalogue is immutable after loading and reference counted; any thread may read it. The
 * built-in collections (FORMAT.md 8) are part of every catalogue. Source: proto/data/catalogue.json.
 */
#ifndef LT_MODEL_CATALOGUE_H
#define LT_MODEL_CATALOGUE_H

#include "proto/base/arena.h"
#include "proto/base/error.h"
#include "proto/base/ids.h"
#include "proto/model/rules.h"

#include <regex.h>

#define LT_CATALOGUE_BYTES_MAX (1024 * 1024)
#define LT_KEY_FIELDS_MAX 8
#define LT_INDEXES_MAX 8

enum lt_unit_rule { LT_UNIT_COMMUNE, LT_UNIT_PROVINCE, LT_UNIT_FEDERATION, LT_UNIT_ANY };

/* Bits of writers and creators. */
#define LT_WRITER_COMMUNE 1u
#define LT_WRITER_PROVINCE 2u
#define LT_WRITER_DEPARTMENT 4u

struct lt_pattern_walk;

struct lt_transition {
	const char *from;
	size_t nto;
	const char **to;
};

struct lt_field {
	struct lt_field_rule rule; /* name, type, policy, authority, personal */
	const char *title_vi;
	const char *unit_of_measure; /* "" if none */
	const char *ref; /* "", "units", "org" or "collection.field" */
	bool required;
	bool indexed;
	bool in_key;
	bool is_unit;
	uint32_t scale; /* decimals */
	uint32_t max_len; /* bytes of text, set (joined) or bytes value; where the file says
	                              * nothing, default_max_len, with a pattern or without; 0: other types */
	bool has_pattern;
	const char *pattern;
	regex_t regex; /* compiled for the C locale; regexec only through lt_field_matches() */
	struct lt_pattern_walk *walk; /* the same, where the pattern is short; owned */
	bool has_min, has_max;
	int64_t min, max; /* in the unit of the field: int, days, unscaled decimal at scale */
	bool wildcard; /* built-in lists: "*" is a code */
	size_t nvalue; /* enum */
	const char **value;
	size_t ntransition;
	struct lt_transition *transition;
};

struct lt_check_sum { /* left op right, each side a sum of fields */
	size_t nleft, nright;
	const char **left, **right;
	char op[3]; /* "=", "<=", ">=", "<", ">" */
};

struct lt_collection {
	const char *id;
	const char *title_vi;
	const char *title_en;
	enum lt_lane lane;
	enum lt_unit_rule unit_rule;
	bool builtin;
	bool immutable;
	bool has_unit_field; /* a field carries is_unit */
	const char *cadence;
	size_t nowner, nreader;
	const char **owner; /* owner_departments */
	const char **reader; /* readers; may hold "all_departments" */
	unsigned writers, creators;
	size_t nkey;
	size_t key[LT_KEY_FIELDS_MAX]; /* places in field[] */
	size_t nkey_min; /* parts a key must have: nkey, but 1 of 2 in _catalogue */
	size_t nfield;
	struct lt_field *field; /* in catalogue order */
	size_t nindex;
	size_t index[LT_INDEXES_MAX];
	size_t ncheck;
	struct lt_check_sum *check;
	struct lt_rules rules; /* for merge: find() over this collection */
};

struct lt_org {
	const char *id;
	const char *name_vi;
	const char *kind; /* department, province, party, other */
};

struct lt_catalogue;

/* Parse a catalogue file's JSON. Every member is checked; err names collection, field and rule.
 * LT_E_TOOBIG, LT_E_INVALID, LT_E_VERSION (format other than 2), LT_E_NOMEM. version: the number
 * under which the federation published it, 0 for a bare file. */
int lt_catalogue_parse(
    struct lt_slice json, uint64_t version, struct lt_catalogue **out, struct lt_err *err);
/* Only the built-in collections (version 0). */
int lt_catalogue_builtin(struct lt_catalogue **out);
struct lt_catalogue *lt_catalogue_ref(struct lt_catalogue *c);
void lt_catalogue_unref(struct lt_catalogue *c); /* NULL allowed */

uint64_t lt_catalogue_version(const struct lt_catalogue *c);
/* Acts that are consumed where they arrive (_verdict, _ruling): they are no records (FORMAT.md 8.2). */
bool lt_act_is_consumed(const char *collection);
/* By id; NULL if unknown. Borrowed from the catalogue. */
const struct lt_collection *lt_catalogue_find(const struct lt_catalogue *c, const char *id);
size_t lt_catalogue_count(
    const struct lt_catalogue *c); /* built-in ones included, these come last */
const struct lt_collection *lt_catalogue_at(const struct lt_catalogue *c, size_t i);
const struct lt_org *lt_catalogue_org(const struct lt_catalogue *c, const char *id);
/* By name; NULL if unknown. */
const struct lt_field *lt_collection_field(const struct lt_collection *c, const char *name);
/* The same for who has the length already; it may hold any bytes. */
const struct lt_field *lt_collection_field_named(
    const struct lt_collection *c, struct lt_slice name);
bool lt_field_matches(const struct lt_field *f, const char *text);

/* Split a file into what a catalogue version publishes (FORMAT.md 8, _catalogue): the common part
 * without "collections", and the JSON text of each collection; and put such parts together again. In the arena. */
struct lt_catalogue_part {
	const char *id; /* collection id, "" for the common part */
	struct lt_slice json;
};
int lt_catalogue_split(struct lt_slice json, struct lt_arena *arena,
    struct lt_catalogue_part **parts, size_t *n, struct lt_err *err);
int lt_catalogue_join(
    const struct lt_catalogue_part *parts, size_t n, struct lt_buf *json, struct lt_err *err);

#endif
