/* proto/model/change.h - one change, decoded and found well-formed (FORMAT.md 3.3).
 *
 * Decoding keeps the bytes: what a row or an opening stores is what was received, never a
 * re-encoding. Pure; any thread.
 */
#ifndef LT_MODEL_CHANGE_H
#define LT_MODEL_CHANGE_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/ids.h"

#include "lienthong/v1/changeset.pb-c.h"

#include <string.h>

#define LT_ACTOR_FIELD "_actor"

/* Nearly every name begins otherwise. */
static inline bool
lt_field_is_actor(const char *name)
{
	return name[0] == '_' && strcmp(name, LT_ACTOR_FIELD) == 0;
}

struct lt_field_set {
	const Ltpb__FieldSet *pb; /* unpacked */
	struct lt_slice raw; /* FieldSet bytes as received; borrowed from the change bytes */
};

struct lt_context {
	struct lt_feed_id feed;
	uint64_t seq;
	uint64_t hash8;
};

struct lt_change {
	const char *collection;
	const char *key;
	bool is_delete;
	size_t nset;
	struct lt_field_set *set; /* strictly rising by name */
	size_t ncleared;
	char **cleared;
	size_t ncontext;
	struct lt_context *context; /* strictly rising by feed */
	size_t npersonal;
	char **personal; /* names of committed leaves, _actor included */
	struct lt_hash personal_root;
	struct lt_slice raw; /* the change bytes; borrowed */
};

/* Change.origin (FORMAT.md 3.10): of which change of a branch that does not count this is a re-issue. Two such branches may have a change
 * under one dot: the hash tells them apart. */
struct lt_origin {
	struct lt_dot dot;
	uint64_t hash8; /* of its change-set */
};
#define LT_ORIGIN_LEN (LT_FEED_LEN + 8 + 4 + 8)
void lt_origin_pack(const struct lt_origin *origin, uint8_t out[LT_ORIGIN_LEN]);
/* false: it is none, or says nothing that can be read. */
bool lt_change_origin(const struct lt_change *c, struct lt_origin *out);
bool lt_origin_eq(const struct lt_origin *a, const struct lt_origin *b);

/* Decode and check everything of FORMAT.md 3.3 and 2 that needs no catalogue. `raw` must outlive
 * *out; everything else lives in the arena. own: the feed the change stands in (context must not
 * name it), NULL to skip that check.
 * LT_E_INVALID, LT_E_TOOBIG: err says which field and rule. LT_E_NOMEM: arena cap. */
int lt_change_decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, struct lt_err *err);
/* The same for a change of a push, whose personal_root may have been left out (FORMAT.md 3.9): *lean tells, and then out's
 * personal_root is zeros and its raw lacks field 8. */
int lt_change_decode_lean(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err);
/* A change that this machine decoded before and keeps: what merge and the reader of names need, nothing is checked but what
 * memory hangs on. The field sets have their name and no value. As above. LT_E_CORRUPT, LT_E_NOMEM. */
int lt_change_skim(struct lt_slice raw, struct lt_arena *arena, struct lt_change *out);
/* The same checks for the bytes of one opening. *out in the arena, raw borrowed. */
int lt_field_set_decode(
    struct lt_slice raw, struct lt_arena *arena, struct lt_field_set *out, struct lt_err *err);
/* Append the packed Change. The caller fills pb by the rules above (asserted). */
int lt_change_encode(const Ltpb__Change *pb, struct lt_buf *out);

/* lower-case letters, digits, '_', starting with a letter or '_', 1..64 bytes */
bool lt_name_valid(const char *s);

#endif
