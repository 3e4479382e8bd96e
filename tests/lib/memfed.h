/* tests/lib/memfed.h - a hub over stores in memory, without a line, with a clock that the test moves; with its threads, or
 * manual. Two of them that are told the same, one of each kind, must come to the same bytes.
 *
 * Random bytes are the same for whoever draws them (tests/lib/random.h), so that the order of threads does not show.
 */
#ifndef LT_TESTS_MEMFED_H
#define LT_TESTS_MEMFED_H

#include "hub/sync_answer.h"
#include "tests/lib/peer.h"

#define MEMFED_MARKS_MAX 256

/* Log positions at which the manual hub came to rest, and where the one with threads is waited for. */
struct memfed_marks {
	size_t n;
	uint64_t at[MEMFED_MARKS_MAX];
};

struct memfed {
	struct fed f; /* hub, enrol, fresh, service and keys; nothing of the line */
	struct lt_kv *log, *derived;
	struct lt_clock clock;
	_Atomic int64_t now_ms; /* wall and monotonic */
	bool manual;
	struct memfed_marks *marks; /* a manual hub writes them, the other reads */
	size_t mark;
};

/* A store of this kind in memory. */
struct lt_kv *memfed_store(const struct fed *f, enum lt_kv_kind kind);
/* Catalogue 1 and units are published. */
void memfed_open(struct memfed *m, bool manual, struct memfed_marks *marks);
void memfed_close_hub(struct memfed *m); /* the stores stay */
void memfed_start_hub(struct memfed *m); /* over them, again */
void memfed_close(struct memfed *m);
/* Until nothing is left to do. Then a second passes. */
void memfed_settle(struct memfed *m);
/* Keys and an invitation of its own, approved; settles. seed: other than that of any other. */
void memfed_invite(struct memfed *m, struct fed_peer *p, uint64_t seed, const char *unit);

/* Ask as this line: lt_service_admit() and lt_service_authorize() decide first. Each: LT_STATUS_OK, or the refusal. */
struct lt_peer memfed_line(const struct lt_identity *id);
int memfed_may(struct memfed *m, const struct lt_peer *peer, const char *method);
typedef void memfed_reply_fn(void *ctx, const ProtobufCMessage *reply);
/* Join, Hello, Announce, Push, Fetch, Supply, or a Pull to its end (an item each); reply is called while the message lives. Settles. */
int memfed_ask(struct memfed *m, const struct lt_peer *peer, const char *method,
    const ProtobufCMessage *req, memfed_reply_fn *reply, void *ctx);

/* Every table, entry for entry. */
void memfed_dump(struct lt_kv *kv, struct lt_buf *out);

#endif
