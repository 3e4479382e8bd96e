/* proto/feed/checkpoint.h - what a hub says of its own feeds in unit `_`, and who agrees with it (FORMAT.md 15). Pure.
 *
 * A hub that shows one commune another history than the next has to sign two of them. Checkpoints carry what each was shown to the
 * others: two that name one number of one feed with two hashes are the proof, whoever brings them together.
 */
#ifndef LT_FEED_CHECKPOINT_H
#define LT_FEED_CHECKPOINT_H

#include "proto/feed/crypto.h"

#define LT_TAG_CHECKPOINT "lt1.checkpoint"
#define LT_TAG_COSIGN "lt1.cosign"
#define LT_TAG_CHECKPOINT_WORDS "lt1.checkpoint-words"

/* Feeds in one: an epoch of a hub has two or three in `_` (one a lane), and begins with a restore or a doubt alone. The newest ones; those
 * of ten restores ago are in checkpoints of then. */
#define LT_CHECKPOINT_HEADS_MAX 32
#define LT_CHECKPOINT_BYTES_MAX (102 + LT_CHECKPOINT_HEADS_MAX * 49)

/* The hub's side and the node's keep to these alike (FORMAT.md 15.4). */
#define LT_COSIGNED_BYTES_MAX 4096 /* of others' checkpoints in one answer */
#define LT_COSIGNED_GROUPS_MAX 16 /* checkpoints in it */
#define LT_COSIGNED_EACH_MAX 8 /* cosignatures on each */
#define LT_COSIGNERS_MAX 4096 /* principals whose newest is kept */

struct lt_checkpoint_head {
	struct lt_feed_id feed; /* by the hub, in unit `_` */
	uint64_t seq; /* at least 1 */
	struct lt_hash hash;
};

struct lt_checkpoint {
	struct lt_fed federation;
	struct lt_id hub;
	uint32_t key_no;
	uint64_t time_ms; /* of the hub's clock, for people */
	uint64_t position; /* of its log, and the running hash there: for who has that log */
	struct lt_hash running;
	size_t nhead;
	struct lt_checkpoint_head head[LT_CHECKPOINT_HEADS_MAX]; /* strictly rising by feed */
};

/* Bytes, appended; what breaks the layout is LT_E_INVALID. LT_E_NOMEM. */
int lt_checkpoint_pack(const struct lt_checkpoint *c, struct lt_buf *out);
/* Back; there is one spelling. LT_E_INVALID, and err says what. */
int lt_checkpoint_parse(struct lt_slice bytes, struct lt_checkpoint *out, struct lt_err *err);
/* H("lt1.checkpoint", bytes): what the hub signs, and by what it is named. */
void lt_checkpoint_hash(struct lt_slice bytes, struct lt_hash *out);
/* Parse, and verify that this hub signed it: hub_key is that of out->key_no, which lt_checkpoint_parse() tells. LT_E_INVALID, LT_E_DENIED
 * (another federation or hub), LT_E_BADSIG. */
int lt_checkpoint_verify(struct lt_slice bytes, struct lt_slice signature, const struct lt_fed *fed,
    const struct lt_id *hub, const uint8_t hub_key[32], struct lt_checkpoint *out,
    struct lt_err *err) __attribute__((warn_unused_result));

/* "My log says the same, all of it": a node's signature on the checkpoint of that hash. */
void lt_cosign(const struct lt_sign_key *k, const struct lt_id *principal, uint32_t key_no,
    const struct lt_hash *checkpoint, uint8_t sig[LT_SIG_LEN]);
/* LT_E_BADSIG. */
int lt_cosign_verify(const uint8_t sign_key[32], const struct lt_id *principal, uint32_t key_no,
    const struct lt_hash *checkpoint, struct lt_slice sig) __attribute__((warn_unused_result));

enum lt_checkpoint_relation {
	LT_CHECKPOINTS_SAME, /* the same heads */
	LT_CHECKPOINTS_BEHIND, /* a says less than b: some feed is shorter in it, or not in it, and none longer */
	LT_CHECKPOINTS_AHEAD, /* the other way round */
	LT_CHECKPOINTS_APART, /* each has something that the other has not: nothing is known from these two alone */
	LT_CHECKPOINTS_CONTRADICT, /* one number of one feed, two hashes */
	LT_CHECKPOINTS_STRANGE, /* of two federations, or two hubs */
};
/* Shorter is no contradiction: a hub that was restored has shorter old epochs than it had. *at: of LT_CHECKPOINTS_CONTRADICT, which head of
 * a; NULL allowed. */
enum lt_checkpoint_relation lt_checkpoint_compare(
    const struct lt_checkpoint *a, const struct lt_checkpoint *b, size_t *at);
/* That of this feed, NULL: it names none. */
const struct lt_checkpoint_head *lt_checkpoint_find(
    const struct lt_checkpoint *c, const struct lt_feed_id *feed);
/* 8 words of its heads, alike for all that have the same ones: to be read out over the telephone. */
void lt_checkpoint_words(const struct lt_checkpoint *c, struct lt_buf *out);

#endif
