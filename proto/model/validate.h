/* proto/model/validate.h - may this change stand, by the catalogue alone?
 *
 * lt_admit_change(): what admission checks (design section 6, "Verdicts"): a pure function of the
 * change, the catalogue version it names, and who wrote it for which unit. It never reads records.
 * lt_write_check(): what the writing program checks besides, against the record as it stands:
 * required at creation, creators, immutable, allowed transitions, sums. Pure; any thread.
 */
#ifndef LT_MODEL_VALIDATE_H
#define LT_MODEL_VALIDATE_H

#include "proto/model/catalogue.h"
#include "proto/model/change.h"
#include "proto/model/merge.h"

#include "lienthong/v1/trust.pb-c.h"

/* What was wrong, for people and programs. */
struct lt_violation {
	Ltpb__ReasonCode reason;
	char field[LT_NAME_MAX + 1]; /* "" when the change as a whole */
	char rule[32]; /* "pattern", "required", "transition", ... */
	char message[400]; /* English: names field, value (never a personal one) and rule */
	char message_vi[400]; /* the same in Vietnamese */
};

struct lt_writer_info {
	struct lt_unit unit; /* unit of the feed */
	enum lt_lane lane;
	bool by_hub;
	struct lt_unit province; /* the federation's province code */
};

/* Check one change and its openings (opened field sets of this change, by name; withheld ones
 * cannot be checked and pass). opened may be NULL when nopened is 0.
 * LT_OK or LT_E_REFUSED with *v. Covers: collection known and not consumed by others, lane, unit rule, is_unit,
 * key (count of parts, percent-encoding, patterns, types), fields known, not in_key, is_unit equal to the unit, type, enum, range, max_len,
 * pattern, scale, personal fields only committed and others never, set deltas only for policy set, authority of the author for every field
 * (UNIT: not the hub, unless the record's unit is the province), built-in collections only by the hub. */
int lt_admit_change(const struct lt_catalogue *cat, const struct lt_writer_info *who,
    const struct lt_change *c, const struct lt_field_set *opened, size_t nopened,
    struct lt_violation *v);

/* The same checks for one field's value on its own (import, put): well-formed (FORMAT.md 2), type, enum, range, pattern, length,
 * list. added and removed are not looked at. */
int lt_field_check(const struct lt_field *f, const Ltpb__FieldSet *fs, struct lt_violation *v);

/* shown: the record as it stands (exists false: it is being made). set and cleared: what is to be written, personal
 * fields among them. writer: one LT_WRITER_ bit. LT_OK or LT_E_REFUSED. Covers: writers, creators, immutable, required (an
 * empty text is no value; a required field is not cleared), transitions (where a value stands and another is to follow),
 * checks (those that name a field being set, where every field has a value that is not withheld). What lt_admit_change()
 * covers is not repeated. */
int lt_write_check(const struct lt_collection *col, unsigned writer, const struct lt_shown *shown,
    const Ltpb__FieldSet *const *set, size_t nset, const char *const *cleared, size_t ncleared,
    bool is_delete, struct lt_violation *v);

/* Of these only what the record has a part in, transitions and checks: for what was written against another state of it. */
int lt_write_check_against(const struct lt_collection *col, const struct lt_shown *shown,
    const Ltpb__FieldSet *const *set, size_t nset, const char *const *cleared, size_t ncleared,
    struct lt_violation *v);

/* Key text from values of the key fields (percent-encoded, joined by '/'). values as fields; is_unit fields
 * come from unit when absent. Appended to key. LT_E_REFUSED with *v when a part is missing or does not match; LT_E_NOMEM. */
int lt_key_build(const struct lt_collection *col, const struct lt_unit *unit,
    const Ltpb__FieldSet *const *set, size_t nset, struct lt_buf *key, struct lt_violation *v);
/* The key's parts as field sets (values typed), in the arena, in key order. A key has one spelling: only what
 * must be is percent-encoded, with capital hex digits. LT_E_REFUSED, LT_E_NOMEM. */
int lt_key_split(const struct lt_collection *col, const char *key, struct lt_arena *arena,
    Ltpb__FieldSet ***fields, size_t *n, struct lt_violation *v);

/* "pattern", "unknown_field", ... for a reason code; and its sentence for people in both languages. */
const char *lt_reason_name(Ltpb__ReasonCode r);
const char *lt_reason_text(Ltpb__ReasonCode r, bool vietnamese);
/* What whoever made the change does about it, in both languages. Never NULL, like those above. */
const char *lt_reason_next(Ltpb__ReasonCode r, bool vietnamese);

#endif
