/* What is on its way to the hub: begun and not ended, and nothing else; with what the hub has said it holds. */
#include "node/sent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct lt_feed_id
feed(uint64_t epoch)
{
	struct lt_id author;

	memset(author.b, 7, sizeof(author.b));
	return lt_feed_id_make(author, LT_LANE_NORMAL, epoch);
}

static bool
has(const struct lt_sent *s, uint64_t epoch, uint64_t seq)
{
	struct lt_feed_id f = feed(epoch);

	return lt_sent_has(s, &f, seq);
}

static void
begin(struct lt_sent *s, uint64_t epoch, uint64_t to, uint64_t push)
{
	struct lt_feed_id f = feed(epoch);

	lt_sent_begin(s, &f, to, push);
}

static void
on_its_way_until_it_ends(void **state)
{
	struct lt_sent s = { 0 };

	(void)state;
	assert_false(has(&s, 1, 1));
	begin(&s, 1, 5, 1);
	assert_true(has(&s, 1, 5));
	assert_false(has(&s, 1, 6));
	assert_false(has(&s, 2, 5)); /* another feed */
	lt_sent_end(&s, 1, 0);
	assert_false(has(&s, 1, 5)); /* no answer: saved */
	assert_false(has(&s, 1, 1));
}

/* Who reads a snapshot of before the receipt still sees "sent", never "saved" in between. */
static void
answered_stays(void **state)
{
	struct lt_sent s = { 0 };

	(void)state;
	begin(&s, 1, 5, 1);
	lt_sent_end(&s, 1, 3); /* the hub took fewer than were sent */
	assert_true(has(&s, 1, 3));
	assert_false(has(&s, 1, 4));
	begin(&s, 1, 9, 2);
	assert_true(has(&s, 1, 9));
	lt_sent_end(&s, 2, 0);
	assert_true(has(&s, 1, 3));
	assert_false(has(&s, 1, 4));
	begin(&s, 1, 9, 3);
	lt_sent_end(&s, 3, 2); /* a hub that says less than it did */
	assert_true(has(&s, 1, 3));
	assert_false(has(&s, 1, 4));
}

static void
the_line_drops(void **state)
{
	struct lt_sent s = { 0 };

	(void)state;
	begin(&s, 1, 5, 1);
	begin(&s, 2, 7, 2);
	lt_sent_drop(&s);
	assert_false(has(&s, 1, 5));
	assert_false(has(&s, 2, 7));
	/* The end of the lost push comes late: the one of the new line is not touched. */
	begin(&s, 1, 6, 3);
	lt_sent_end(&s, 1, 0);
	assert_true(has(&s, 1, 6));
	lt_sent_end(&s, 3, 6);
	assert_true(has(&s, 1, 6));
	lt_sent_drop(&s);
	assert_true(has(&s, 1, 6));
	assert_false(has(&s, 1, 7));
}

/* Epochs come and go: a place whose feed has nothing under way is used again, one under way never is. */
static void
places(void **state)
{
	struct lt_sent s = { 0 };
	uint64_t i;

	(void)state;
	for (i = 1; i <= LT_SYNC_FEEDS_MAX; i++)
		begin(&s, i, 10, i);
	begin(&s, 100, 10, 100);
	assert_false(has(&s, 100, 10));
	for (i = 1; i <= LT_SYNC_FEEDS_MAX; i++)
		assert_true(has(&s, i, 10));
	lt_sent_end(&s, 4, 10);
	begin(&s, 101, 3, 101);
	assert_true(has(&s, 101, 3));
	assert_false(has(&s, 101, 4)); /* nothing of the feed that was there */
	assert_false(has(&s, 4, 1));
	for (i = 1; i <= LT_SYNC_FEEDS_MAX; i++)
		assert_true(has(&s, i, 10) == (i != 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_its_way_until_it_ends),
		cmocka_unit_test(answered_stays),
		cmocka_unit_test(the_line_drops),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
