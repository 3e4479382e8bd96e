/* tools/ctl_log.h - change-sets to look at, from a running daemon or straight from the store, and the keys to check them by.
 *
 * Keys are taken from nothing that a daemon merely says: the hub's from its certificate, which the root key signed,
 * everybody else's from the hub's signed change-sets of unit `_`. One thread. */
#ifndef LT_TOOLS_CTL_LOG_H
#define LT_TOOLS_CTL_LOG_H

#include "proto/feed/changeset.h"
#include "proto/store/kv.h"
#include "tools/ctl.h"

#define CTL_FEEDS_MAX 65536

struct ctl_feed {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq; /* head */
	struct lt_hash hash; /* of the head */
	uint64_t judged;
	uint64_t forked_from,
	    forked_to; /* of a node: a branch that the hub does not hold; 0: none */
	int64_t time_ms;
	const char *author; /* label for people; in the command's arena */
};

struct ctl_key {
	struct lt_id author;
	uint32_t no;
	uint8_t sign_key[32];
};

struct ctl_log {
	struct ctl *c;
	struct lt_kv *kv; /* offline; else NULL and the calls go to the daemon */
	size_t nfeed;
	struct ctl_feed *feed;
	struct lt_id hub;
	bool hub_known;
	size_t nkey, key_cap;
	struct ctl_key *key; /* owned */
};

/* Open and list the feeds of a unit (NULL: all). Online it connects. */
enum ctl_exit ctl_log_open(struct ctl *c, bool offline, const char *unit, struct ctl_log *out);
void ctl_log_close(struct ctl_log *log);
/* The feed that the words name: 50 hexadecimal digits, an unambiguous beginning of them, or a lane that only one feed of the unit has. */
enum ctl_exit ctl_log_find(
    struct ctl_log *log, const char *unit, const char *name, const struct ctl_feed **out);

/* One change-set, in order. It and what it borrows live until fn returns; anything but CTL_DONE stops and is returned. */
typedef enum ctl_exit ctl_log_fn(void *ctx, const struct lt_changeset *cs);
/* From a seq on, at most limit (0: to the head). What does not parse ends it with CTL_NO after a complaint; bad gets 1. */
enum ctl_exit ctl_log_walk(struct ctl_log *log, const struct ctl_feed *feed, uint64_t from,
    uint64_t limit, ctl_log_fn *fn, void *ctx);
/* Learn the keys: the certificate, then unit `_`. CTL_NO: the certificate or a change-set of `_` is not the hub's. */
enum ctl_exit ctl_log_keys(struct ctl_log *log);
/* NULL: not known. */
const uint8_t *ctl_log_key(const struct ctl_log *log, const struct lt_id *author, uint32_t no);
/* Certificate bytes of the hub as kept in this directory, appended; CTL_UNKNOWN with a complaint when there are none yet. */
enum ctl_exit ctl_hub_certificate(struct ctl *c, struct lt_kv *kv, struct lt_buf *out);

/* ---- what verifying says ---- */

struct ctl_chain {
	uint64_t seq;
	struct lt_hash hash;
	uint64_t stamp;
};

/* Chain, signature and openings of the next change-set; the chain moves on. LT_OK, or the first thing that is wrong, in err.
 * LT_E_UNKNOWN: the author's key is not known here. *withheld: leaves whose values are not here. */
int ctl_verify_next(const struct ctl_log *log, const struct lt_changeset *cs,
    struct ctl_chain *chain, uint64_t *withheld, struct lt_err *err);

#endif
