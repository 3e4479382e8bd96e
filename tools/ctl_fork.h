/* tools/ctl_fork.h - a file of evidence: two branches of one feed, and the ruling on them (FORMAT.md 14), as JSON.
 *
 * It says what was signed and nothing of what it was about: headers, and the hashes of changes. Checked with the root key alone. */
#ifndef LT_TOOLS_CTL_FORK_H
#define LT_TOOLS_CTL_FORK_H

#include "proto/base/error.h"
#include "proto/store/ruling.h"

#include "lienthong/v1/admin.pb-c.h"

#include <jansson.h>

#define FORK_FORMAT "lienthong-fork"
#define FORK_FILE_MAX ((size_t)4 * 1024 * 1024)

/* What a file that passes says. */
struct fork_says {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash counts, other; /* without a ruling: the first branch and the second */
	bool ruled;
	int64_t ruled_ms; /* stamp of the ruling */
};

/* The file's content; certificate: of the hub that ruled, empty when none did. NULL: the evidence is not whole, err says what is missing,
 * or memory. */
json_t *fork_file_make(const Ltpb__Fork *f, const uint8_t root_key[32], const uint8_t salt[16],
    struct lt_slice certificate, struct lt_err *err);
/* The root key that the file itself names: not to be believed. False: damaged. */
bool fork_file_root(const json_t *file, uint8_t root_key[32]);
/* LT_OK, or what is wrong first, in err, in the reader's language: LT_E_INVALID (not such a file, or a member that does not fit the others),
 * LT_E_DENIED (another federation or root), LT_E_BADHASH, LT_E_BADSIG, LT_E_NOMEM. */
int fork_file_verify(
    const json_t *file, const uint8_t root_key[32], struct fork_says *out, struct lt_err *err);

#endif
