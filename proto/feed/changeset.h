/* proto/feed/changeset.h - seal, parse and verify change-sets (FORMAT.md 3). Pure: bytes in, bytes out.
 *
 * Four questions, four functions, four answers:
 *   well-formed?            lt_changeset_parse()
 *   signed by this key?     lt_changeset_verify_signature()    (whose key is valid there: registry)
 *   openings true?          lt_changeset_verify_openings()
 *   next in its chain?      lt_changeset_verify_chain()
 * Whether it may be written and is acceptable now is the caller's: access and admission.
 */
#ifndef LT_FEED_CHANGESET_H
#define LT_FEED_CHANGESET_H

#include "proto/feed/crypto.h"
#include "proto/model/change.h"

#include "lienthong/v1/changeset.pb-c.h"

/* Bytes of a ChangeSet with openings written with explicit salts: what a hub may have to pass on, with room for
 * the call around it in one message (FORMAT.md 3.5). */
#define LT_CHANGESET_OPEN_MAX (LT_MESSAGE_MAX - 4096)

struct lt_opening {
	uint32_t change;
	const char *name;
	bool withheld; /* only the leaf is here */
	uint8_t salt[LT_SALT_LEN];
	struct lt_slice field_set; /* FieldSet bytes; borrowed from the message */
	struct lt_field_set field; /* decoded, when not withheld */
	struct lt_hash leaf; /* given, or computed by parse */
};

struct lt_log_rows;

/* A parsed change-set. Slices borrow from the ChangeSet bytes, the rest lives in the arena. */
struct lt_changeset {
	struct lt_fed federation;
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash prev;
	struct lt_hash hash; /* hash(n) */
	uint64_t stamp;
	uint64_t hub_stamp;
	uint64_t catalogue_version;
	uint32_t key_no;
	size_t nearlier;
	Ltpb__FeedHead **earlier;
	size_t nchange;
	struct lt_slice *change_raw;
	struct lt_change *change;
	size_t nopening; /* 0 and has_openings false when the message carries none */
	struct lt_opening *opening;
	bool has_openings;
	bool openings_true; /* lt_changeset_parse_lean() met or made every personal_root */
	struct lt_slice seed; /* of the openings, empty when they come with salts */
	struct lt_slice header;
	struct lt_slice signature;
	struct lt_slice raw; /* whole message */
	const struct lt_log_rows *rows; /* lt_feed_log_prepare(); NULL: not done */
};

/* Sizes, header ranges, change count and root, every change well-formed (lt_change_decode), openings well-formed:
 * one for each leaf, in order, each leaf computed. Missing openings are allowed here.
 * LT_E_TOOBIG, LT_E_INVALID, LT_E_BADHASH (changes_root), LT_E_NOMEM. */
int lt_changeset_parse(
    struct lt_slice bytes, struct lt_arena *arena, struct lt_changeset *out, struct lt_err *err);
/* The same for a ChangeSet of a push, of which personal_roots may have been left out (FORMAT.md 3.9): they are computed from the openings
 * and put back, and *out is that of the whole ChangeSet, but for raw, which is `bytes`. The changes that were lean (change_raw)
 * live in the arena `whole`, which may be the other one. Also LT_E_INVALID: a root is left out without all its openings. */
int lt_changeset_parse_lean(struct lt_slice bytes, struct lt_arena *arena, struct lt_arena *whole,
    struct lt_changeset *out, struct lt_err *err);
/* A ChangeSet without openings that this machine parsed before and keeps: its header and where its changes lie. Nothing is hashed
 * but the header, and change is NULL: lt_change_skim() or lt_change_decode() of change_raw. LT_E_INVALID, LT_E_TOOBIG, LT_E_NOMEM. */
int lt_changeset_open(struct lt_slice bytes, struct lt_arena *arena, struct lt_changeset *out);
/* What appending *cs and judging its contexts need, in an arena of its own: everything but what the changes say, decoded (no
 * collection, key or field in change[], no field in opening[], no earlier). Much less memory than a parsed change-set. The
 * message is borrowed as before. LT_E_NOMEM. */
int lt_changeset_keep(
    const struct lt_changeset *cs, struct lt_arena *arena, struct lt_changeset *out);
int lt_changeset_verify_signature(const struct lt_changeset *cs, const uint8_t pk[32])
    __attribute__((warn_unused_result));
/* Every leaf accounted for and every personal_root met. A withheld leaf counts as accounted for: who needs the
 * values themselves (a receipt does) looks at opening[].withheld. LT_E_NOTFOUND: openings missing; LT_E_BADHASH. */
int lt_changeset_verify_openings(const struct lt_changeset *cs, struct lt_err *err)
    __attribute__((warn_unused_result));
/* Follows (last_seq, last_hash, last_stamp); last_seq 0: the feed is new.
 * LT_OK; LT_E_GAP: seq too high; LT_E_EXISTS: seq at or below last_seq (the caller compares hashes for a fork);
 * LT_E_BADHASH: prev_hash differs; LT_E_INVALID: stamp does not rise. */
int lt_changeset_verify_chain(const struct lt_changeset *cs, uint64_t last_seq,
    const struct lt_hash *last_hash, uint64_t last_stamp) __attribute__((warn_unused_result));

/* One change to be sealed: everything but context order is the caller's, personal values in `personal`. */
struct lt_draft {
	const char *collection;
	const char *key;
	bool is_delete;
	size_t nset;
	Ltpb__FieldSet **set; /* any order; sealed sorted by name */
	size_t ncleared;
	char **cleared; /* any order */
	size_t ncontext;
	const struct lt_context *context; /* any order, own feed left out by the caller */
	size_t npersonal;
	Ltpb__FieldSet **personal; /* any order; actor as field _actor */
	const struct lt_origin *origin; /* the change of which this is a re-issue; NULL: of none */
};

struct lt_seal {
	struct lt_fed federation;
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash prev;
	uint64_t stamp;
	uint64_t hub_stamp;
	uint64_t catalogue_version;
	uint32_t key_no;
	const struct lt_sign_key *key;
	uint8_t seed[LT_SALT_LEN]; /* random, from the caller */
	size_t nearlier;
	const Ltpb__FeedHead *earlier;
	size_t ndraft;
	const struct lt_draft *draft;
};

/* Build, hash and sign; appends the ChangeSet message (openings with the seed included) to out and sets
 * *hash to hash(n). Reads and verifies the result before returning (a flipped bit in memory must not be
 * published). On error out and *hash are as before.
 * LT_E_INVALID: a draft breaks the format, err says which and how, or there is none. LT_E_TOOBIG: over a limit;
 * split, unless it is one draft. LT_E_BADHASH, LT_E_BADSIG: memory changed meanwhile; try again. LT_E_NOMEM. */
int lt_changeset_seal(
    const struct lt_seal *s, struct lt_buf *out, struct lt_hash *hash, struct lt_err *err);
/* The same bytes with zeros for the signature, and nothing read back: for who asks what admission would say of a draft before
 * anything is signed, at a small part of the cost. s->key is not looked at. What breaks the format is found by lt_changeset_parse(). */
int lt_changeset_try(const struct lt_seal *s, struct lt_buf *out, struct lt_err *err);

/* ChangeSet without openings, from received byte strings (FORMAT.md 9.5), appended to out. */
int lt_changeset_strip(const struct lt_changeset *cs, struct lt_buf *out);
/* The same into memory of lt_changeset_stripped_size() bytes; where they end. */
size_t lt_changeset_stripped_size(const struct lt_changeset *cs);
uint8_t *lt_changeset_strip_to(const struct lt_changeset *cs, uint8_t *out);
/* The stripped bytes and after them the given openings, each with its salt or, when withheld, its leaf (the rest of
 * struct lt_opening is not looked at). n 0: none. Whether they are those that were signed is not checked.
 * LT_E_INVALID: not a stripped ChangeSet, or openings not rising by (change, name). LT_E_TOOBIG. */
int lt_changeset_compose(struct lt_slice stripped, size_t n, const struct lt_opening *opening,
    struct lt_buf *out, struct lt_err *err);

#endif
