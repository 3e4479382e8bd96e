/* tools/ctl_checkpoint.h - a file of checkpoints (FORMAT.md 15.6), as JSON: what the hub signed, who cosigned it, and what contradicts what. Checked with
 * the root key alone. */
#ifndef LT_TOOLS_CTL_CHECKPOINT_H
#define LT_TOOLS_CTL_CHECKPOINT_H

#include "proto/base/arena.h"
#include "proto/base/error.h"
#include "proto/feed/checkpoint.h"

#include "lienthong/v1/admin.pb-c.h"

#include <jansson.h>

#define CHECKPOINT_FORMAT "lienthong-checkpoint"
#define CHECKPOINT_FILE_MAX ((size_t)8 * 1024 * 1024)

/* The hub signed: under this number of this feed of `_` stands this. */
struct checkpoint_said {
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash hash;
	unsigned file; /* the caller's */
};

/* What a file that passes says. */
struct checkpoint_file {
	bool any; /* there is a newest one */
	struct lt_checkpoint newest;
	unsigned cosigners; /* of that one */
	size_t nsaid;
	struct checkpoint_said *said; /* in the arena; the newest one's first */
};

/* The file's content. NULL: memory. */
json_t *checkpoint_file_make(
    const Ltpb__ShowCheckpointReply *r, const uint8_t root_key[32], const uint8_t salt[16]);
/* LT_OK, or what is wrong first, in err, in the reader's language: LT_E_INVALID, LT_E_DENIED (another federation or root), LT_E_BADSIG, LT_E_NOMEM.
 * The keys of those who cosigned are what the file says of them: the hub's words are what is proven. */
int checkpoint_file_read(const json_t *file, const uint8_t root_key[32], struct lt_arena *arena,
    struct checkpoint_file *out, struct lt_err *err);

#endif
