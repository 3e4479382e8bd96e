/* proto/model/validate_impl.h - what the parts of validation share; not for other modules.
 *
 * validate.c: admission; field_check.c: one value; key.c: keys; write_check.c: what the writing program
 * asks besides; violation.c: words.
 */
#ifndef LT_MODEL_VALIDATE_IMPL_H
#define LT_MODEL_VALIDATE_IMPL_H

#include "proto/model/validate.h"

/* What is said of one violation. Texts are borrowed. */
struct lt_complaint {
	Ltpb__ReasonCode reason;
	const char *rule;
	const char *name; /* field, collection or "" */
	const struct lt_field *f; /* its title in Vietnamese; may be NULL */
	const char *value; /* as it was given, NULL: none; never shown for a personal field */
	const char *en; /* what is wrong */
	const char *vi;
	const char *detail; /* after either sentence, NULL: none */
};

/* Fill *v (NULL allowed) and return LT_E_REFUSED. Messages are cut at a character. */
int lt_refuse(struct lt_violation *v, const struct lt_complaint *c);
/* The same for a value: its text form, unless the field is personal. */
int lt_refuse_value(struct lt_violation *v, Ltpb__ReasonCode reason, const char *rule,
    const struct lt_field *f, const Ltpb__Value *value, const char *en, const char *vi,
    const char *detail);

/* lt_field_check() without the checks of FORMAT.md 2, for values that a decoder has passed. */
int lt_field_check_decoded(
    const struct lt_field *f, const Ltpb__Value *value, struct lt_violation *v);

/* Every part of the key matches its field; fields with is_unit equal unit (NULL: not looked at). */
int lt_key_check(const struct lt_collection *col, const struct lt_unit *unit, const char *key,
    struct lt_violation *v);

#endif
