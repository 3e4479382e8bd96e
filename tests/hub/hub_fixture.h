/* tests/hub/hub_fixture.h - a hub over a real store with a clock that the test moves, principals without a line, and
 * change-sets handed over directly. */
#ifndef LT_TESTS_HUB_FIXTURE_H
#define LT_TESTS_HUB_FIXTURE_H

#include "tests/lib/peer.h"

#include <stdatomic.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define HUB_UNIT "17254"
#define HUB_WAIT_MS 20000
/* 2026-11-22T00:00:00Z, by `date -u -d 2026-11-22 +%s` */
#define HUB_NOW_MS INT64_C(1795305600000)

struct hubfx {
	struct fed f;
	struct lt_clock clock;
	_Atomic int64_t now_ms; /* wall and monotonic */
	struct lt_arena arena;
};

void hubfx_open(struct hubfx *h);
/* The two parts of it: folder and keys, which may be replaced; the hub over them. */
void hubfx_found(struct hubfx *h);
void hubfx_begin(struct hubfx *h);
void hubfx_close(struct hubfx *h);
void hubfx_restart(struct hubfx *h);

/* Asks to join with the peer's keys and token, as from its line; the return code of lt_enrol_join(). */
int hubfx_join(struct hubfx *h, const struct fed_peer *p, Ltpb__PrincipalState *state);
/* A node of the unit, active. */
void hubfx_node(struct hubfx *h, struct fed_peer *p, const char *unit);
/* Everything in the log is projected. */
void hubfx_settle(struct hubfx *h);

/* What intake answered, copied. */
struct answer {
	int rc;
	unsigned calls; /* of done */
	size_t nfeed;
	struct lt_intake_feed feed[8];
	uint64_t position;
	bool has_receipt[8];
};

void hubfx_intake(struct hubfx *h, const struct lt_id *pusher, const struct lt_buf *sets, size_t n,
    struct answer *out);

#endif
