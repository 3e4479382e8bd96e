/* Two live machines with one key: who is let in, by what the first one's line says, in virtual time. */
#include "hub/twins.h"
#include "proto/base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define LINES 8

struct fix {
	struct lt_clock clock;
	int64_t now;
	bool gone[LINES];
	uint64_t frames[LINES];
	unsigned pings[LINES], cuts[LINES];
	struct lt_twins *t;
};

static const struct lt_id node = { { 1 } }, other_node = { { 2 } };
static const uint8_t first[LT_INSTANCE_LEN] = { 1 }, second[LT_INSTANCE_LEN] = { 2 },
		     third[LT_INSTANCE_LEN] = { 3 };

static int64_t
now_ms(void *ctx)
{
	return ((struct fix *)ctx)->now;
}

static bool
look(void *ctx, uint64_t conn_id, bool ping, uint64_t *frames)
{
	struct fix *f = ctx;

	if (f->gone[conn_id])
		return false;
	f->pings[conn_id] += ping;
	*frames = f->frames[conn_id];
	return true;
}

static void
cut(void *ctx, uint64_t conn_id)
{
	struct fix *f = ctx;

	f->cuts[conn_id]++;
	f->gone[conn_id] = true;
	lt_twins_gone(f->t, conn_id); /* as the server tells it; no lock is held */
}

static void
begin(struct fix *f)
{
	struct lt_twins_lines lines = { look, cut, f };

	memset(f, 0, sizeof(*f));
	f->now = 1000;
	f->clock = (struct lt_clock){ now_ms, now_ms, f };
	assert_int_equal(lt_twins_open(&f->clock, &lines, &f->t), LT_OK);
}

static enum lt_twin
hello(struct fix *f, const struct lt_id *who, const uint8_t *instance, uint64_t conn_id)
{
	enum lt_twin answer = LT_TWIN_REFUSED;

	assert_int_equal(lt_twins_hello(f->t, who, instance, conn_id, &answer), LT_OK);
	return answer;
}

/* The first one answers: the second is refused, as often as it comes. */
static void
test_alive(void **state)
{
	struct fix f;
	unsigned i;

	(void)state;
	begin(&f);
	assert_int_equal(hello(&f, &node, first, 1), LT_TWIN_NONE);
	assert_int_equal(hello(&f, &other_node, second, 2), LT_TWIN_NONE);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(hello(&f, &node, second, 3), LT_TWIN_ASKED);
		assert_int_equal(f.pings[1], i);
		f.frames[1]++;
		f.now += LT_TWINS_ASKED_MS;
		assert_int_equal(hello(&f, &node, second, 3), LT_TWIN_REFUSED);
		assert_int_equal(lt_twins_refused(f.t, &node), i);
	}
	assert_int_equal(lt_twins_refused(f.t, &other_node), 0);
	assert_int_equal(lt_twins_refused(f.t, NULL), 3);
	assert_int_equal(f.cuts[1], 0);
	assert_int_equal(hello(&f, &node, first, 1), LT_TWIN_NONE);
	lt_twins_close(f.t);
}

/* A power cut: the line stands half open and says nothing. */
static void
test_half_open(void **state)
{
	struct fix f;

	(void)state;
	begin(&f);
	assert_int_equal(hello(&f, &node, first, 1), LT_TWIN_NONE);
	f.frames[1] = 7;
	f.now += 5000;
	assert_int_equal(hello(&f, &node, second, 2), LT_TWIN_ASKED);
	f.now += LT_TWINS_ASKED_MS - 1;
	assert_int_equal(hello(&f, &node, second, 3), LT_TWIN_ASKED);
	assert_int_equal(f.pings[1], 1);
	f.now++;
	assert_int_equal(hello(&f, &node, second, 4), LT_TWIN_NONE);
	assert_int_equal(f.cuts[1], 1);
	/* Now it is the first. */
	assert_int_equal(hello(&f, &node, third, 5), LT_TWIN_ASKED);
	assert_int_equal(f.pings[4], 1);
	assert_int_equal(lt_twins_refused(f.t, NULL), 0);
	lt_twins_close(f.t);
}

/* What was answered long ago says nothing of now. */
static void
test_old_answer(void **state)
{
	struct fix f;

	(void)state;
	begin(&f);
	assert_int_equal(hello(&f, &node, first, 1), LT_TWIN_NONE);
	assert_int_equal(hello(&f, &node, second, 2), LT_TWIN_ASKED);
	f.frames[1]++;
	f.now += 3600000;
	assert_int_equal(hello(&f, &node, third, 3), LT_TWIN_ASKED);
	assert_int_equal(f.pings[1], 2);
	f.now += LT_TWINS_ASKED_MS;
	assert_int_equal(hello(&f, &node, third, 3), LT_TWIN_NONE);
	lt_twins_close(f.t);
}

/* Gone, or the same process again: nobody is asked. */
static void
test_legitimate(void **state)
{
	struct fix f;

	(void)state;
	begin(&f);
	assert_int_equal(hello(&f, &node, first, 1), LT_TWIN_NONE);
	assert_int_equal(
	    hello(&f, &node, first, 2), LT_TWIN_NONE); /* its line broke, unnoticed here */
	lt_twins_gone(f.t, 1); /* which is told late */
	assert_int_equal(hello(&f, &node, second, 3), LT_TWIN_ASKED);
	assert_int_equal(f.pings[2], 1);
	f.gone[2] = true; /* ended, and not told yet */
	assert_int_equal(hello(&f, &node, second, 3), LT_TWIN_NONE);
	lt_twins_gone(f.t, 3);
	assert_int_equal(hello(&f, &node, third, 4), LT_TWIN_NONE);
	assert_int_equal(f.cuts[1] + f.cuts[2] + f.cuts[3], f.cuts[2]);
	lt_twins_close(f.t);
}

/* Many principals, each for itself. */
static void
test_many(void **state)
{
	struct fix f;
	unsigned i;

	(void)state;
	begin(&f);
	for (i = 0; i < 500; i++) {
		struct lt_id id = { { 9, (uint8_t)(i >> 8), (uint8_t)i } };

		assert_int_equal(hello(&f, &id, first, 1), LT_TWIN_NONE);
	}
	for (i = 0; i < 500; i++) {
		struct lt_id id = { { 9, (uint8_t)(i >> 8), (uint8_t)i } };

		assert_int_equal(hello(&f, &id, second, 2), LT_TWIN_ASKED);
	}
	lt_twins_close(f.t);
	lt_twins_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alive),
		cmocka_unit_test(test_half_open),
		cmocka_unit_test(test_old_answer),
		cmocka_unit_test(test_legitimate),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
