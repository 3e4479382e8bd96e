/* tests/model/merge_fixture.h - changes written as words, and what a record shows as words.
 *
 *   A5.1@9 <B3,C2 l=a r= p~x q~    author A (H: the hub), seq 5, index 1, stamp 9; its context; sets l, clears r,
 *                                  commits p with its opening, q with none
 *   B1@2 <A5 del                   a delete
 *
 * The first letter of a field says its rule: l lww, r review, f first, x max, m min (integers), s set
 * (s=a,b+b-c: is a and b, added b, removed c), u lww of the unit, h lww of the hub, anything else unknown.
 */
#ifndef LT_TESTS_MERGE_FIXTURE_H
#define LT_TESTS_MERGE_FIXTURE_H

#include "proto/model/merge.h"

struct fixture {
	struct lt_arena arena;
	bool province;
	size_t n;
	struct lt_merge_change change[16];
	struct lt_slice *opening[16]; /* of each personal name */
};

extern const struct lt_rules fixture_rules;

/* Changes separated by ';'. Aborts the test on a slip in the words. */
void fixture_init(struct fixture *fx, const char *changes);
void fixture_fini(struct fixture *fx);
/* Apply in this order, from an empty row. */
void fixture_apply(struct fixture *fx, const size_t *order, size_t n, struct lt_buf *row);
/* "l=a r=b! p?", "gone", with " incomplete" and " conflicts=n" where there are some. Static storage. */
const char *fixture_shown(struct fixture *fx, struct lt_slice row);
struct lt_feed_id fixture_feed(char author);

#endif
