#include "proto/base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
system_wall(void *ctx)
{
	(void)ctx;
	return read_clock(CLOCK_REALTIME);
}

static int64_t
system_mono(void *ctx)
{
	(void)ctx;
	return read_clock(CLOCK_BOOTTIME);
}

const struct lt_clock *
lt_clock_system(void)
{
	static const struct lt_clock c = { system_wall, system_mono, NULL };

	return &c;
}

int64_t
lt_wall_ms(const struct lt_clock *c)
{
	return c->wall_ms(c->ctx);
}

int64_t
lt_mono_ms(const struct lt_clock *c)
{
	return c->mono_ms(c->ctx);
}

int64_t
lt_ms_between(int64_t a, int64_t b)
{
	int64_t d;

	if (__builtin_sub_overflow(a, b, &d))
		return a < b ? INT64_MIN : INT64_MAX;
	return d;
}

uint64_t
lt_hlc_next(uint64_t last, int64_t wall_ms)
{
	const int64_t ms_max = (INT64_C(1) << 48) - 1;
	uint64_t now;

	if (wall_ms < 0 || wall_ms > ms_max)
		wall_ms = 0;
	now = LT_STAMP(wall_ms, 0);
	if (now > last)
		return now;
	return last + 1; /* 0 when last is UINT64_MAX */
}

uint64_t
lt_stamp_clamp(uint64_t stamp, uint64_t floor, uint64_t ceiling)
{
	if (stamp < floor)
		stamp = floor;
	return stamp > ceiling ? ceiling : stamp;
}
