/* proto/base/clock.h - time behind an interface, and the hybrid logical clock.
 *
 * Nothing else in the project asks the operating system for the time, so that tests and the
 * simulator can drive it.
 */
#ifndef LT_BASE_CLOCK_H
#define LT_BASE_CLOCK_H

#include <stdint.h>

struct lt_clock {
	/* Wall clock, milliseconds since 1970 UTC; may jump, may be wrong by years. */
	int64_t (*wall_ms)(void *ctx);
	/* Monotonic milliseconds; never goes back. For every timer and deadline. */
	int64_t (*mono_ms)(void *ctx);
	void *ctx;
};

/* The machine's clocks (CLOCK_REALTIME, CLOCK_BOOTTIME). Any thread. */
const struct lt_clock *lt_clock_system(void);
int64_t lt_wall_ms(const struct lt_clock *c);
int64_t lt_mono_ms(const struct lt_clock *c);

/* a - b; what a clock of another machine says may be any number: INT64_MAX or INT64_MIN where the difference is none. Pure. */
int64_t lt_ms_between(int64_t a, int64_t b);

/* Stamp: 48 bit milliseconds, 16 bit counter (FORMAT.md 1.4). */
#define LT_STAMP(ms, counter) ((uint64_t)(ms) << 16 | (uint64_t)(counter))
#define LT_STAMP_MS(stamp) ((int64_t)((stamp) >> 16))
/* No clock before this program was built is believed: 2026-08-01T00:00:00Z. */
#define LT_BUILD_FLOOR_MS INT64_C(1785542400000)

/* The next stamp of an author: above `last` and above every stamp it has seen, near `wall_ms`
 * if that is later (a negative or absurd wall clock counts as 0). Pure.
 *
 * last  the greatest stamp this author used or merged (effective stamps only), 0 if none.
 * Returns 0 when the 64 bits are used up (never in practice; treat as LT_E_INVALID). */
uint64_t lt_hlc_next(uint64_t last, int64_t wall_ms);
/* min(max(stamp, floor), ceiling). */
uint64_t lt_stamp_clamp(uint64_t stamp, uint64_t floor, uint64_t ceiling);

#endif
