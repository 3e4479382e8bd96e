/* proto/model/rules.h - what a field's rule says, as far as validation and merge share it.
 * The numbers are not stored. */
#ifndef LT_MODEL_RULES_H
#define LT_MODEL_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum lt_type {
	LT_TYPE_TEXT, /* catalogue "string" without list_separator */
	LT_TYPE_INT,
	LT_TYPE_DECIMAL,
	LT_TYPE_BOOL,
	LT_TYPE_DATE,
	LT_TYPE_TIMESTAMP,
	LT_TYPE_BYTES,
	LT_TYPE_ENUM,
	LT_TYPE_SET, /* catalogue "string" with list_separator */
};

enum lt_policy {
	LT_POLICY_LWW,
	LT_POLICY_FIRST,
	LT_POLICY_MAX,
	LT_POLICY_MIN,
	LT_POLICY_SET,
	LT_POLICY_REVIEW,
};

enum lt_authority {
	LT_AUTHORITY_ANY, /* authors of the owning unit, and the hub */
	LT_AUTHORITY_UNIT, /* authors of the owning unit; the hub where it makes the record for a province */
	LT_AUTHORITY_HUB,
};

enum lt_personal { LT_PERSONAL_NONE, LT_PERSONAL_BASIC, LT_PERSONAL_SENSITIVE };

struct lt_field_rule {
	const char *name;
	enum lt_type type;
	enum lt_policy policy;
	enum lt_authority authority;
	enum lt_personal personal;
};

/* How merge asks for a field's rule; NULL: unknown field, taken as lww/any/none. */
struct lt_rules {
	const struct lt_field_rule *(*find)(void *ctx, const char *field);
	void *ctx;
};

#endif
