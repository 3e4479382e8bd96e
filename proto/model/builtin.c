/* The built-in collections (FORMAT.md 8): acts of the hub, whose rules no catalogue can change. */
#include "proto/model/catalogue_impl.h"
#include "proto/model/pattern_walk.h"

#include <assert.h>
#include <string.h>

#define VALUES_MAX 8
#define FIELDS_MAX 10

struct act_field {
	const char *name;
	enum lt_type type;
	uint32_t max_len; /* text, set, bytes */
	const char *pattern; /* key fields, which stand first */
	const char *value[VALUES_MAX];
	bool required;
};

struct act {
	const char *id;
	const char *title_vi;
	const char *title_en;
	enum lt_lane lane;
	enum lt_unit_rule unit_rule;
	size_t nkey;
	size_t nkey_min;
	struct act_field field[FIELDS_MAX];
};

#define PRINCIPAL "^[0-9a-f]{32}$"
#define NUMBER "^[1-9][0-9]{0,18}$"
#define KEY(n, t, p) \
	{ \
		.name = (n), .type = (t), .max_len = (t) == LT_TYPE_TEXT ? LT_NAME_MAX : 0, \
		.pattern = (p), .required = true \
	}
#define TEXT(n, len) \
	{ \
		.name = (n), .type = LT_TYPE_TEXT, .max_len = (len) \
	}
#define BYTES(n, len) \
	{ \
		.name = (n), .type = LT_TYPE_BYTES, .max_len = (len) \
	}
#define CODES(n) \
	{ \
		.name = (n), .type = LT_TYPE_SET, .max_len = 16384 \
	}
#define WORD(n, ...) \
	{ \
		.name = (n), .type = LT_TYPE_ENUM, .value = { __VA_ARGS__ } \
	}

static const struct act acts[] = {
	{ "_catalogue", "Danh mục", "Catalogue version", LT_LANE_NORMAL, LT_UNIT_FEDERATION, 2, 1,
	    { KEY("version", LT_TYPE_INT, NUMBER),
		KEY("collection", LT_TYPE_TEXT, "^[a-z][a-z0-9_]{0,63}$"),
		TEXT("json", LT_VALUE_MAX), { .name = "count", .type = LT_TYPE_INT },
		BYTES("digest", LT_HASH_LEN) } },
	{ "_registry", "Sổ thành viên", "Registry of principals", LT_LANE_NORMAL,
	    LT_UNIT_FEDERATION, 1, 1,
	    { KEY("principal", LT_TYPE_TEXT, PRINCIPAL),
		WORD("role", "node", "hub", "department", "operator", "mirror"),
		TEXT("unit", LT_UNIT_MAX), TEXT("org", LT_NAME_MAX),
		WORD("state", "pending", "active", "suspended", "revoked", "rejected"),
		TEXT("label", 500), { .name = "generation", .type = LT_TYPE_INT } } },
	{ "_key", "Khóa", "Keys of principals", LT_LANE_NORMAL, LT_UNIT_FEDERATION, 2, 2,
	    { KEY("principal", LT_TYPE_TEXT, PRINCIPAL), KEY("key_no", LT_TYPE_INT, NUMBER),
		BYTES("sign_key", 32), BYTES("line_key", 32),
		WORD("state", "active", "retired", "revoked"), BYTES("cutoff", LT_VALUE_MAX),
		BYTES("signature", 64) } },
	{ "_grant", "Quyền", "Grants", LT_LANE_NORMAL, LT_UNIT_FEDERATION, 2, 2,
	    { KEY("principal", LT_TYPE_TEXT, PRINCIPAL), KEY("number", LT_TYPE_INT, NUMBER),
		CODES("verbs"), CODES("units"), CODES("collections"), CODES("fields"),
		WORD("state", "active", "revoked") } },
	{ "_unit", "Đơn vị hành chính", "Administrative units", LT_LANE_NORMAL, LT_UNIT_FEDERATION,
	    1, 1,
	    { KEY("code", LT_TYPE_TEXT, "^([0-9]{2}|[0-9]{5})$"), TEXT("name", 500),
		TEXT("type", 100), TEXT("province_code", LT_UNIT_MAX), TEXT("name_ascii", 500) } },
	{ "_succession", "Đơn vị kế thừa", "Successors of old units", LT_LANE_NORMAL,
	    LT_UNIT_FEDERATION, 2, 2,
	    { KEY("old_code", LT_TYPE_TEXT, "^([0-9]{5}|_)$"),
		KEY("new_code", LT_TYPE_TEXT, "^[0-9]{5}$"), TEXT("old_name", 500),
		TEXT("new_name", 500), WORD("kind", "whole", "partial"),
		{ .name = "effective_date", .type = LT_TYPE_DATE }, TEXT("note", 2000) } },
	{ "_federation", "Liên thông", "The federation", LT_LANE_NORMAL, LT_UNIT_FEDERATION, 1, 1,
	    { KEY("name", LT_TYPE_TEXT, "^_$"), TEXT("province", LT_UNIT_MAX),
		BYTES("root_key", 32), BYTES("salt", 16) } },
	{ "_revocation", "Thu hồi khóa", "Revocations of keys", LT_LANE_NORMAL, LT_UNIT_FEDERATION,
	    2, 2,
	    { KEY("principal", LT_TYPE_TEXT, PRINCIPAL), KEY("number", LT_TYPE_INT, NUMBER),
		{ .name = "key_no", .type = LT_TYPE_INT },
		WORD("reason", "stolen", "lost", "compromised", "replaced", "retired", "rotated",
		    "other"),
		BYTES("cutoff", LT_VALUE_MAX), BYTES("by", LT_ID_LEN) } },
	{ "_erase", "Xóa dữ liệu cá nhân", "Erasures of personal data", LT_LANE_URGENT, LT_UNIT_ANY,
	    1, 1,
	    { KEY("number", LT_TYPE_INT, NUMBER), BYTES("dots", LT_VALUE_MAX),
		WORD("reason", "request", "withdrawn", "unlawful", "expired", "mistake", "order",
		    "other"),
		TEXT("basis", 500), BYTES("by", LT_ID_LEN) } },
	{ "_verdict", "Phán quyết", "Verdicts on feeds", LT_LANE_URGENT, LT_UNIT_ANY, 2, 2,
	    { KEY("feed", LT_TYPE_TEXT, "^[0-9a-f]{50}$"), KEY("from", LT_TYPE_INT, NUMBER),
		BYTES("verdict", LT_VALUE_MAX) } },
	{ "_ruling", "Phán quyết nhánh", "Rulings on branches of feeds", LT_LANE_URGENT,
	    LT_UNIT_ANY, 3, 3,
	    { KEY("feed", LT_TYPE_TEXT, "^[0-9a-f]{50}$"), KEY("seq", LT_TYPE_INT, NUMBER),
		KEY("other", LT_TYPE_TEXT, "^[0-9a-f]{16}$"), BYTES("ruling", LT_VALUE_MAX) } },
};

static int
add_field(struct lt_catalogue *c, struct lt_field *f, const struct act *act,
    const struct act_field *a, bool in_key)
{
	size_t n = 0, i;
	int rc;

	f->rule.name = a->name;
	f->rule.type = a->type;
	/* Of a revocation, and of an erasure, counts what was said first. */
	f->rule.policy = strcmp(act->id, "_revocation") == 0 || strcmp(act->id, "_erase") == 0
			     ? LT_POLICY_FIRST
			     : LT_POLICY_LWW;
	f->rule.authority = LT_AUTHORITY_HUB;
	f->rule.personal = LT_PERSONAL_NONE;
	f->title_vi = a->name;
	f->unit_of_measure = "";
	f->ref = "";
	f->max_len = a->max_len;
	f->wildcard = a->type == LT_TYPE_SET;
	f->in_key = in_key;
	f->required = a->required;
	f->pattern = a->pattern == NULL ? "" : a->pattern;
	while (n < VALUES_MAX && a->value[n] != NULL)
		n++;
	f->value = lt_arena_alloc(&c->arena, n * sizeof(*f->value));
	if (f->value == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++)
		f->value[i] = a->value[i];
	f->nvalue = n;
	if (a->pattern == NULL)
		return LT_OK;
	rc = lt_pattern_compile(a->pattern, &f->regex, NULL);
	f->has_pattern = rc == LT_OK;
	f->walk = rc == LT_OK ? lt_pattern_walk_new(a->pattern) : NULL;
	return rc;
}

static int
add_act(struct lt_catalogue *c, struct lt_collection *col, const struct act *a)
{
	size_t n = 0, i;
	int rc;

	while (n < FIELDS_MAX && a->field[n].name != NULL)
		n++;
	col->id = a->id;
	col->title_vi = a->title_vi;
	col->title_en = a->title_en;
	col->lane = a->lane;
	col->unit_rule = a->unit_rule;
	col->builtin = true;
	col->cadence = "once";
	col->writers = col->creators = LT_WRITER_PROVINCE;
	col->nkey = a->nkey;
	col->nkey_min = a->nkey_min;
	col->field = lt_arena_alloc(&c->arena, n * sizeof(*col->field));
	if (col->field == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		rc = add_field(c, &col->field[i], a, &a->field[i], i < a->nkey);
		col->nfield = i + 1;
		if (rc != LT_OK)
			return rc;
		if (i < a->nkey)
			col->key[i] = i;
	}
	return LT_OK;
}

int
lt_builtin_add(struct lt_catalogue *c)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		rc = add_act(c, &c->collection[c->ncollection++], &acts[i]);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

bool
lt_act_is_consumed(const char *collection)
{
	return strcmp(collection, "_verdict") == 0 || strcmp(collection, "_ruling") == 0;
}
