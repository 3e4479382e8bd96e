#include "proto/base/rate.h"

#include <stddef.h>

/* Nobody owes more than this: some hours of the fastest rate, and far from what the type holds. */
#define OWED_MAX (INT64_C(1) << 60)

static int64_t
full_of(const struct lt_rate_limit *l)
{
	return (int64_t)l->burst * 1000;
}

static void
fill(struct lt_rate *r, const struct lt_rate_limit *l, int64_t now_ms)
{
	uint64_t room, passed;

	if (!r->begun) {
		r->begun = true;
		r->at_ms = now_ms;
		r->have = full_of(l);
		return;
	}
	if (now_ms <= r->at_ms)
		return;
	/* A thousandth of per_s for each millisecond, in thousandths. */
	passed = (uint64_t)now_ms - (uint64_t)r->at_ms;
	room = (uint64_t)(full_of(l) - r->have);
	r->have = passed > room / l->per_s ? full_of(l) : r->have + (int64_t)(passed * l->per_s);
	r->at_ms = now_ms;
}

bool
lt_rate_take(
    struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n, int64_t now_ms, uint32_t *wait_ms)
{
	int64_t want = (int64_t)n * 1000;
	uint64_t wait;

	fill(r, l, now_ms);
	if (r->have >= want) {
		r->have -= want;
		return true;
	}
	if (wait_ms != NULL) {
		wait = ((uint64_t)(want - r->have) + l->per_s - 1) / l->per_s;
		*wait_ms = n > l->burst || wait > UINT32_MAX ? UINT32_MAX : (uint32_t)wait;
	}
	return false;
}

void
lt_rate_owe(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n, int64_t now_ms)
{
	fill(r, l, now_ms);
	r->have -= (int64_t)n * 1000;
	if (r->have < -OWED_MAX)
		r->have = -OWED_MAX;
}

void
lt_rate_give(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n)
{
	int64_t back = (int64_t)n * 1000;

	if (r->begun)
		r->have = back > full_of(l) - r->have ? full_of(l) : r->have + back;
}
