/* hub/erase.h - personal values of one record are erased: what is here of them, and the act (FORMAT.md 8.5).
 *
 * The openings go from the log in the transaction that holds the act; the tables follow before lt_hub_erase() returns; nodes
 * follow when the act comes down to them. One at a time is written, any thread. */
#ifndef LT_HUB_ERASE_H
#define LT_HUB_ERASE_H

#include "hub/hub.h"

#define LT_UNREACHED_MAX 16

struct lt_erasing {
	struct lt_unit unit;
	const char *collection;
	const char *key;
	size_t
	    nfield; /* 0: every personal field, the account that wrote (`_actor`) not among them */
	char *const *field;
	const char *reason; /* one of lt_erase_reason() */
	const char *basis; /* the law that asks for it, or the document: for people */
	const struct lt_id *by; /* operator; NULL: somebody at the hub's own machine */
};

/* One field of what there is. */
struct lt_erasing_field {
	const char *name;
	uint64_t here; /* values of it, in all changes of the record */
	uint64_t erased; /* before */
};

struct lt_erasing_report {
	size_t nfield;
	struct lt_erasing_field *field; /* by name; in the arena */
	uint64_t changes; /* with a value that goes */
	uint64_t values;
	bool more; /* there are more than go at once: erase again */
	size_t nact;
	uint64_t *act; /* numbers of the acts written; in the arena */
	uint64_t position; /* of the last one in the log; 0: none was needed */
	uint64_t unreadable; /* changes that are damaged */
	size_t
	    nunreached; /* of these: no act can name them, as the hash of their change-set is not known */
	char *unreached[LT_UNREACHED_MAX]; /* the first of them: feed/seq/change; in the arena */
};

/* The words that a reason may be, by place; NULL behind the last. */
const char *lt_erase_reason(size_t i);

/* Does a value stand in this text, letter for letter (FORMAT.md 8.5)? */
bool lt_erase_tells(const char *basis, const Ltpb__Value *v);

/* What lt_hub_erase() would do, and nothing done. reason and basis are not looked at. *why: a reason for ErrorInfo on failure.
 * LT_E_NOTFOUND: no such record; LT_E_INVALID: a field that is not personal, or not of the collection. */
int lt_hub_erase_look(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err);
/* The same as far as the tables show it now: nothing is waited for. */
int lt_hub_erase_glance(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err);
/* Erase. Done when this returns LT_OK: gone from the log and from what this hub answers; where nothing was left, nothing is written.
 * Of a change-set that cannot be read the act names every field that may stand in the change, so that none comes back with its repair.
 * LT_E_TIMEOUT: gone from the log for good, not yet from the tables. LT_E_INVALID besides: no such reason, or a basis that is
 * empty, too long, or has one of the values in it. LT_E_UNAVAILABLE as lt_hub_write(). */
int lt_hub_erase(struct lt_hub *h, const struct lt_erasing *e, struct lt_arena *arena,
    struct lt_erasing_report *out, const char **why, struct lt_err *err);

#endif
