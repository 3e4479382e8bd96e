#include "hub/repair.h"
#include "proto/store/access.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* One change-set that nodes are asked for. */
struct turn {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	int64_t
	    first_ms; /* when it was first thought of, and when a node was last asked; monotonic */
	int64_t asked_ms;
	bool asked;
};

struct lt_hub_repair {
	struct lt_hub *h;
	struct lt_repairer *repairer;
	_Atomic uint64_t unasked;
	pthread_mutex_t mx; /* guards what follows */
	size_t nturn, oldest; /* the next to be replaced once there is no room */
	struct turn turn[LT_REPAIR_WANTS_MAX];
};

static struct lt_registry *
registry(void *ctx)
{
	struct lt_hub_repair *r = ctx;

	return lt_hub_registry(r->h);
}

int
lt_hub_repair_open(struct lt_hub *h, struct lt_hub_repair **out)
{
	struct lt_hub_repair *r = calloc(1, sizeof(*r));
	struct lt_repairer_options o = { .log = lt_hub_log(h),
		.writer = lt_hub_writer(h),
		.federation = &lt_hub_identity(h)->federation,
		.self = &lt_hub_identity(h)->principal,
		.clock = lt_hub_clock(h),
		.registry = registry,
		.ctx = r };
	int rc;

	*out = NULL;
	if (r == NULL)
		return LT_E_NOMEM;
	r->h = h;
	rc = lt_repairer_open(&o, &r->repairer);
	if (rc != LT_OK) {
		free(r);
		return rc;
	}
	pthread_mutex_init(&r->mx, NULL);
	*out = r;
	return LT_OK;
}

void
lt_hub_repair_close(struct lt_hub_repair *r)
{
	if (r == NULL)
		return;
	lt_repairer_close(r->repairer);
	pthread_mutex_destroy(&r->mx);
	free(r);
}

struct lt_repairer *
lt_hub_repair_repairer(struct lt_hub_repair *r)
{
	return r == NULL ? NULL : r->repairer;
}

/* ---- whom to ask ---- */

static struct turn *
turn_of(struct lt_hub_repair *r, const struct lt_repair_want *w, int64_t now)
{
	struct turn *t;
	size_t i;

	for (i = 0; i < r->nturn; i++) {
		t = &r->turn[i];
		if (t->seq == w->seq && lt_feed_id_cmp(&t->feed, &w->feed) == 0 &&
		    lt_unit_eq(&t->unit, &w->unit))
			return t;
	}
	if (r->nturn < LT_REPAIR_WANTS_MAX) {
		t = &r->turn[r->nturn++];
	} else {
		t = &r->turn[r->oldest];
		r->oldest = (r->oldest + 1) % LT_REPAIR_WANTS_MAX;
	}
	*t = (struct turn){ .unit = w->unit, .feed = w->feed, .seq = w->seq, .first_ms = now };
	return t;
}

struct asked {
	struct lt_hub_repair *r;
	struct lt_asker who;
	const struct lt_registry *reg;
	int64_t now;
};

/* Is it this node's turn? Its author's at once; another's when the author had its time, which a hub does not need. */
static bool
take_turn(const struct asked *a, const struct lt_repair_want *w)
{
	struct lt_id author = lt_feed_author(&w->feed);
	bool first =
	    lt_id_eq(&author, &a->who.principal->id) || lt_registry_is_hub(a->reg, &author);
	struct turn *t;
	bool due;

	pthread_mutex_lock(&a->r->mx);
	t = turn_of(a->r, w, a->now);
	due = t->asked ? a->now - t->asked_ms >= LT_HUB_REPAIR_TURN_MS
		       : first || a->now - t->first_ms >= LT_HUB_REPAIR_TURN_MS;
	if (due) {
		t->asked = true;
		t->asked_ms = a->now;
	}
	pthread_mutex_unlock(&a->r->mx);
	return due;
}

/* Was it sent this, or did it write it? Personal values of other units than its own it never had. */
static bool
may_have(void *ctx, const struct lt_repair_want *w)
{
	const struct asked *a = ctx;

	if (w->aside || !lt_access_pull(&a->who, lt_hub_province(a->r->h), &w->unit))
		return false;
	if (w->parts == LT_REPAIR_OPENINGS && !lt_unit_eq(&w->unit, &a->who.principal->unit))
		return false;
	return take_turn(a, w);
}

size_t
lt_hub_repair_ask(struct lt_hub_repair *r, const struct lt_registry *reg,
    const struct lt_principal *node, struct lt_repair_want *out, size_t cap)
{
	struct asked a = {
		.r = r, .who = { .kind = LT_ASKER_PRINCIPAL, .principal = node }, .reg = reg
	};

	if (r == NULL)
		return 0;
	a.now = lt_mono_ms(lt_hub_clock(r->h));
	return lt_repairer_wants(r->repairer, &node->id, may_have, &a, out, cap);
}

/* What nobody is working at: the next who comes may be asked. */
static void
end_turns(struct lt_hub_repair *r)
{
	size_t i;

	pthread_mutex_lock(&r->mx);
	for (i = 0; i < r->nturn; i++)
		if (r->turn[i].asked)
			r->turn[i].asked_ms -= LT_HUB_REPAIR_TURN_MS;
	pthread_mutex_unlock(&r->mx);
}

void
lt_hub_repair_greeted(struct lt_hub_repair *r, const struct lt_id *node)
{
	if (r == NULL)
		return;
	lt_repairer_unasked(r->repairer, node);
}

int
lt_hub_repair_take(struct lt_hub_repair *r, const struct lt_id *node, struct lt_slice changeset,
    struct lt_err *err)
{
	int rc = r == NULL ? LT_E_NOTFOUND : lt_repairer_take(r->repairer, node, changeset, err);

	if (r == NULL || rc == LT_OK)
		return rc;
	if (rc == LT_E_NOTFOUND)
		r->unasked++;
	else
		end_turns(r);
	return rc;
}

uint64_t
lt_hub_repair_unasked(struct lt_hub_repair *r)
{
	return r == NULL ? 0 : r->unasked;
}
