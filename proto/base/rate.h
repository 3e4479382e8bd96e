/* proto/base/rate.h - how much of something may happen in a time: so much a second, and a reserve for those who come all at once
 * (a token bucket). Pure; the caller brings the time and the lock. */
#ifndef LT_BASE_RATE_H
#define LT_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct lt_rate_limit {
	uint32_t per_s; /* 1 and more */
	uint32_t burst; /* the reserve when it is full, 1 and more */
};

/* Zeroed: full, at its first use. Always with the same reserve. */
struct lt_rate {
	bool begun;
	int64_t at_ms; /* monotonic, of `have` */
	int64_t have; /* thousandths; below zero: owed */
};

/* Take n (0: is nothing owed?). false: there are not so many, nothing was taken; *wait_ms (NULL allowed): when there will be, UINT32_MAX: never, n is more than
 * the reserve. now_ms does not go back; if it does, nothing is added until it is where it was. */
bool lt_rate_take(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n, int64_t now_ms,
    uint32_t *wait_ms);
/* n were used, whether they were there or not: what is missing is owed, and nothing can be taken until it has come in. */
void lt_rate_owe(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n, int64_t now_ms);
/* Put n back that were taken and not used. Never over the reserve. */
void lt_rate_give(struct lt_rate *r, const struct lt_rate_limit *l, uint32_t n);

#endif
