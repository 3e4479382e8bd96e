/* Whose clock is wrong, as a node can know it: its own, unless the hub's jumped or the hub says that most clocks speak against its own. */
#include "hub/fresh.h"
#include "tests/lib/memnode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define HOUR INT64_C(3600000)
#define FIVE_MINUTES 300000

static int64_t mono_ms;

static int64_t
mono(void *ctx)
{
	(void)ctx;
	return mono_ms;
}

static struct memnode_story s;
static struct memfed_marks marks;

static int
setup(void **state)
{
	(void)state;
	memnode_begin(&s, true, &marks);
	mono_ms = 5000;
	s.m.clock.mono_ms = mono;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	memnode_end(&s);
	return 0;
}

/* A second passes for this machine; the hub says a time so far from its own. */
static enum lt_clock_state
hears(int64_t hub_ahead_ms)
{
	mono_ms += 1000;
	s.m.now_ms += 1000;
	assert_int_equal(lt_node_saw_hub_time(s.a.n.node, s.m.now_ms + hub_ahead_ms), LT_OK);
	return lt_node_clock_state(s.a.n.node);
}

static void
five_minutes(void **state)
{
	(void)state;
	assert_int_equal(hears(0), LT_CLOCK_AGREES);
	assert_int_equal(hears(FIVE_MINUTES), LT_CLOCK_AGREES);
	assert_int_equal(hears(-FIVE_MINUTES), LT_CLOCK_AGREES);
	assert_int_equal(hears(FIVE_MINUTES + 1), LT_CLOCK_WRONG);
	assert_int_equal(hears(-FIVE_MINUTES - 1), LT_CLOCK_WRONG);
	assert_int_equal(hears(0), LT_CLOCK_AGREES);
}

/* By more than an hour, to either side, against the clock that only counts; until both agree again. */
static void
the_hubs_jumps(void **state)
{
	int side;

	(void)state;
	for (side = -1; side <= 1; side += 2) {
		assert_int_equal(hears(0), LT_CLOCK_AGREES);
		assert_int_equal(hears(side * HOUR), LT_CLOCK_WRONG);
		assert_int_equal(hears(0), LT_CLOCK_AGREES);
		assert_int_equal(hears(side * (HOUR + 1)), LT_CLOCK_HUB_WRONG);
		assert_int_equal(hears(side * (HOUR + 1)), LT_CLOCK_HUB_WRONG);
		assert_int_equal(hears(0), LT_CLOCK_AGREES);
		assert_int_equal(hears(side * (FIVE_MINUTES + 1)), LT_CLOCK_WRONG);
	}
}

/* A dead battery: this machine's wall clock is years away, and its monotonic one, as the hub's, went on as ever. */
static void
its_own_jumps(void **state)
{
	(void)state;
	assert_int_equal(hears(0), LT_CLOCK_AGREES);
	s.m.now_ms -= 24 * 365 * HOUR;
	assert_int_equal(hears(24 * 365 * HOUR), LT_CLOCK_WRONG);
	assert_int_equal(hears(24 * 365 * HOUR), LT_CLOCK_WRONG);
}

/* Three others, whose clocks are two hours ahead of the hub's. */
static void
others(bool there)
{
	struct lt_unit unit = s.a.n.id->unit;
	struct lt_id id;
	unsigned i;

	for (i = 1; i <= 3; i++) {
		memset(id.b, (int)i, sizeof(id.b));
		if (!there) {
			lt_fresh_gone(s.m.f.fresh, i);
			continue;
		}
		lt_fresh_connected(s.m.f.fresh, &id, &unit, i);
		lt_fresh_announced(s.m.f.fresh, &id, &unit, 0, NULL, s.m.now_ms + 2 * HOUR);
	}
}

static void
the_hub_says_so(void **state)
{
	(void)state;
	others(true);
	(void)memnode_sync(&s, &s.a);
	assert_int_equal(hears(0), LT_CLOCK_AGREES);
	assert_int_equal(hears(-2 * FIVE_MINUTES), LT_CLOCK_HUB_WRONG);
	others(false);
	(void)memnode_sync(&s, &s.a);
	assert_int_equal(hears(-2 * FIVE_MINUTES), LT_CLOCK_WRONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(five_minutes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_hubs_jumps, setup, teardown),
		cmocka_unit_test_setup_teardown(its_own_jumps, setup, teardown),
		cmocka_unit_test_setup_teardown(the_hub_says_so, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
