/* The merge rules in small cases worked out by hand. Each case is applied in every order, and with every
 * change repeated: always the same bytes. Words: merge_fixture.h. */
#include "tests/model/merge_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct merge_case {
	const char *descr;
	const char *changes;
	const char *shown;
};

/* One case in every order of its changes; each order ends with all of them once more. */
struct walk {
	struct fixture *fx;
	const struct merge_case *mc;
	size_t order[32];
	struct lt_buf first;
};

static void
try_order(struct walk *w)
{
	struct lt_buf row = { 0 };
	size_t i, n = w->fx->n;

	for (i = 0; i < n; i++)
		w->order[n + i] = w->order[i];
	fixture_apply(w->fx, w->order, n, &row);
	if (w->first.len == 0)
		lt_buf_put(&w->first, row.data, row.len);
	if (!lt_slice_eq(lt_buf_slice(&row), lt_buf_slice(&w->first)))
		fail_msg("%s: another order, another row", w->mc->descr);
	fixture_apply(w->fx, w->order, 2 * n, &row);
	if (!lt_slice_eq(lt_buf_slice(&row), lt_buf_slice(&w->first)))
		fail_msg("%s: applied twice, another row", w->mc->descr);
	lt_buf_fini(&row);
}

static void
swap(size_t *a, size_t *b)
{
	size_t t = *a;

	*a = *b;
	*b = t;
}

static void
permute(struct walk *w, size_t at)
{
	size_t i;

	if (at == w->fx->n) {
		try_order(w);
		return;
	}
	for (i = at; i < w->fx->n; i++) {
		swap(&w->order[at], &w->order[i]);
		permute(w, at + 1);
		swap(&w->order[at], &w->order[i]);
	}
}

static void
run_case(const struct merge_case *mc, bool province)
{
	struct fixture fx;
	struct walk w = { .fx = &fx, .mc = mc };
	const char *got;
	size_t i;

	fixture_init(&fx, mc->changes);
	fx.province = province;
	for (i = 0; i < fx.n; i++)
		w.order[i] = i;
	permute(&w, 0);
	got = fixture_shown(&fx, lt_buf_slice(&w.first));
	if (strcmp(got, mc->shown) != 0)
		fail_msg("%s: shown \"%s\", expected \"%s\"", mc->descr, got, mc->shown);
	lt_buf_fini(&w.first);
	fixture_fini(&fx);
}

static void
run_cases(const struct merge_case *mc, size_t n, bool province)
{
	size_t i;

	for (i = 0; i < n; i++)
		run_case(&mc[i], province);
}
#define RUN(cases, province) run_cases(cases, sizeof(cases) / sizeof((cases)[0]), province)

static void
lww(void **state)
{
	static const struct merge_case cases[] = {
		{ "one put", "A1@5 l=a", "l=a" },
		{ "the later stamp", "A1@5 l=a;B1@6 l=b", "l=b" },
		{ "the earlier stamp came last", "A1@6 l=a;B1@5 l=b", "l=a" },
		{ "a tie goes to the greater dot", "A1@5 l=a;B1@5 l=b", "l=b" },
		{ "knowing wins over a wrong clock", "A1@9 l=a;B1@2 <A1 l=b", "l=b" },
		{ "one feed is in order by itself", "A1@9 l=a;A2@2 l=b", "l=b" },
		{ "so is one change-set", "A1.0@5 l=a;A1.1@5 l=b", "l=b" },
		{ "different fields live side by side", "A1@5 l=a;B1@6 l2=b", "l=a l2=b" },
		{ "a later clear", "A1@5 l=a;B1@6 l=", "" },
		{ "an earlier clear", "A1@7 l=a;B1@6 l=", "l=a" },
		{ "a clear of what it knows", "A1@7 l=a;B1@6 <A1 l=", "" },
		{ "a field no catalogue knows", "A1@5 z=a;B1@6 z=b", "z=b" },
		{ "a context that stops short", "A1@1 l=a;A2@9 l=b;B1@5 <A1 l=c", "l=b" },
		{ "a context up to the seq takes the whole change-set",
		    "A1.0@8 l=a;A1.7@9 l=b;B1@5 <A1 l=c", "l=c" },
	};

	(void)state;
	RUN(cases, false);
}

/* C knew B, and B knew A; that does not make C know A. But B's own cover counts where B wrote. */
static void
contexts_are_not_closed(void **state)
{
	static const struct merge_case cases[] = {
		{ "through the same field", "A1@9 l=a;B1@1 <A1 l=b;C1@2 <B1 l=c", "l=c" },
		{ "through another field", "A1@9 l=a;B1@1 <A1 l2=b;C1@2 <B1 l=c", "l=a l2=b" },
		{ "no context is not my last context", "A1@9 l=a;B1@1 <A1 l2=b;B2@2 l=c",
		    "l=a l2=b" },
	};

	(void)state;
	RUN(cases, false);
}

static void
max_and_min(void **state)
{
	static const struct merge_case cases[] = {
		{ "the greatest", "A1@9 x=3;B1@1 x=7", "x=7" },
		{ "only among siblings", "A1@9 x=7;B1@1 <A1 x=3", "x=3" },
		{ "the least", "A1@1 m=-3;B1@9 m=7", "m=-3" },
		{ "a clear is no value", "A1@1 m=3;B1@9 m=", "m=3" },
		{ "only clears", "A1@1 m=;B1@9 m=", "" },
	};

	(void)state;
	RUN(cases, false);
}

static void
sets(void **state)
{
	static const struct merge_case cases[] = {
		{ "union", "A1@5 s=a,b+a,b;B1@5 s=c+c", "s=a;b;c" },
		{ "what one removed is gone", "A1@1 s=a,b+a,b;B1@2 <A1 s=a-b;C1@3 <A1 s=a,b,c+c",
		    "s=a;c" },
		{ "unless another added it", "A1@1 s=a,b+a,b;B1@2 <A1 s=a-b;C1@3 s=b+b", "s=a;b" },
		{ "a later change sees to all", "A1@1 s=a+a;B1@2 s=b+b;C1@3 <A1,B1 s=c+c-a,b",
		    "s=c" },
		{ "nothing left is an empty set", "A1@1 s=a,b+a,b;B1@2 <A1 s=b-a;C1@3 <A1 s=a-b",
		    "s=" },
	};

	(void)state;
	RUN(cases, false);
}

static void
review(void **state)
{
	static const struct merge_case cases[] = {
		{ "alone", "A1@5 r=a", "r=a" },
		{ "the first one stands, flagged", "A1@5 r=a;B1@6 r=b", "r=a! conflicts=1" },
		{ "a tie goes to the lower dot", "A1@5 r=a;B1@5 r=b", "r=a! conflicts=1" },
		{ "agreement is no conflict", "A1@5 r=a;B1@6 r=a", "r=a" },
		{ "two of three agree", "A1@5 r=a;B1@6 r=a;C1@7 r=c", "r=a! conflicts=1" },
		{ "the first one is a clear", "A1@5 r=;B1@6 r=b", " conflicts=1" },
		{ "a later clear", "A1@5 r=a;B1@6 r=", "r=a! conflicts=1" },
		{ "clears agree", "A1@5 r=;B1@6 r=", "" },
		{ "resolved by a change that covers all", "A1@5 r=a;B1@6 r=b;C1@7 <A1,B1 r=c",
		    "r=c" },
		{ "one that covers half", "A1@5 r=a;B1@6 r=b;C1@7 <A1 r=c", "r=b! conflicts=1" },
	};

	(void)state;
	RUN(cases, false);
}

static void
first(void **state)
{
	static const struct merge_case cases[] = {
		{ "what came first stays", "A1@5 f=a;B1@3 <A1 f=b", "f=a" },
		{ "also in one feed", "A1@5 f=a;A2@3 f=b", "f=a" },
		{ "two firsts", "A1@5 f=a;B1@3 f=b", "f=b! conflicts=1" },
		{ "two equal firsts", "A1@5 f=a;B1@3 f=a", "f=a" },
		{ "a clear later does nothing", "A1@5 f=a;A2@6 f=", "f=a" },
		{ "a clear first", "A1@5 f=;A2@6 f=b", "" },
		{ "after a delete it begins anew", "A1@5 f=a;A2@6 del;A3@7 f=c", "f=c" },
		{ "a delete that did not know the second", "A1@5 f=a;B1@9 <A1 f=b;C1@6 <A1 del",
		    "f=b incomplete" },
		{ "a delete that knew only the second leaves no put",
		    "A1@5 f=a;B1@9 <A1 f=b;C1@6 <B1 del", "gone" },
		{ "settling does not need all", "A1@5 f=a;B1@3 f=b;C1@9 <A1,B1 f=c",
		    "f=b! conflicts=1" },
	};

	(void)state;
	RUN(cases, false);
}

static void
deletes(void **state)
{
	static const struct merge_case cases[] = {
		{ "deleted", "A1@1 l=a;B1@2 <A1 del", "gone" },
		{ "only ever deleted", "A1@1 del", "gone" },
		{ "an edit survives, what it did not touch does not",
		    "A1@1 l=a l2=b;B1@2 <A1 del;C1@3 <A1 l=c", "l=c incomplete" },
		{ "a delete that knew nothing", "A1@1 l=a;B1@2 del", "l=a incomplete" },
		{ "put again", "A1@1 l=a l2=b;A2@2 del;A3@3 l=c", "l=c" },
		{ "put again by one who did not know", "A1@1 l=a;A2@2 del;B1@3 l=c",
		    "l=c incomplete" },
		{ "a field the delete never saw comes late", "B1@2 <A2 del;A1@1 l=a;A2@1 z=x",
		    "gone" },
		{ "after putting again, too", "B1@2 <A2 del;B2@3 l=c;A2@1 z=x", "l=c" },
		{ "one delete known of two", "A1@1 l=a;B1@2 <A1 del;C1@2 <A1 del;A2@3 <B1 l=b",
		    "l=b incomplete" },
		{ "both known", "A1@1 l=a;B1@2 <A1 del;C1@2 <A1 del;A2@3 <B1,C1 l=b", "l=b" },
		{ "a delete of the delete", "A1@1 l=a;B1@2 del;C1@3 <A1,B1 del", "gone" },
		{ "an empty put", "A1@1", "" },
	};

	(void)state;
	RUN(cases, false);
}

static void
authority(void **state)
{
	static const struct merge_case commune[] = {
		{ "each its own", "A1@1 h=a u=a;H1@2 h=b u=b", "h=b u=a" },
		{ "a change that counts nowhere still makes a record", "A1@1 h=a", "" },
		{ "it covers nothing either", "H1@1 h=a;A1@2 <H1 h=b", "h=a" },
		{ "the hub's delete leaves the unit's fields, should it be put again",
		    "A1@1 l=a u=b;H1@2 <A1 del;A2@3 <H1 l=c", "l=c u=b" },
		{ "until then the record is gone", "A1@1 l=a u=b;H1@2 <A1 del", "gone" },
		{ "and the other way round", "H1@1 h=x l=y;A1@2 <H1 del;H2@3 <A1 l=z", "h=x l=z" },
		{ "the unit's delete takes its own fields", "A1@1 u=b;A2@2 del;A3@3 l=c", "l=c" },
		{ "deletes of both", "A1@1 u=a;H1@1 h=b;A2@2 <H1 del;H2@2 <A1 del;A3@3 <H2 l=c",
		    "l=c" },
	};
	static const struct merge_case province[] = {
		{ "the hub owns the province's unit", "H1@2 h=c u=b", "h=c u=b" },
		{ "its delete takes all", "H1@1 h=c l=d u=b;H2@2 del;H3@3 l=e", "l=e" },
	};

	(void)state;
	RUN(commune, false);
	RUN(province, true);
}

static void
personal(void **state)
{
	static const struct merge_case cases[] = {
		{ "opened", "A1@1 l~x", "l=x" },
		{ "withheld", "A1@1 l~ l2=b", "l? l2=b" },
		{ "a plain value after it", "A1@1 l~;A2@2 l=x", "l=x" },
		{ "agreement cannot be seen", "A1@1 r=a;B1@2 r~", "r=a! conflicts=1" },
		{ "the chosen one is withheld", "A1@1 r~;B1@2 r=a", "r?! conflicts=1" },
		{ "opened ones agree", "A1@1 r~a;B1@2 r=a", "r=a" },
		{ "the greatest is not known", "A1@1 x~;B1@2 x=5", "x?" },
		{ "the union is not known", "A1@1 s~;B1@2 s=a+a", "s?" },
		{ "set opened", "A1@1 s~b+b;B1@2 s=a+a", "s=a;b" },
		{ "who did it is no field", "A1@1 _actor~ l=a", "l=a" },
		{ "first, opened", "A1@1 f~a;B1@2 <A1 f~", "f=a" },
	};

	(void)state;
	RUN(cases, false);
}

static Ltpb__TextSet
text_set(char **item, size_t n)
{
	Ltpb__TextSet s = LTPB__TEXT_SET__INIT;

	s.item = item;
	s.n_item = n;
	return s;
}

static void
set_delta(void **state)
{
	char *abd[] = { (char[]){ "a" }, (char[]){ "b" }, (char[]){ "d" } };
	char *bce[] = { (char[]){ "b" }, (char[]){ "c" }, (char[]){ "e" } };
	Ltpb__TextSet shown = text_set(abd, 3), wanted = text_set(bce, 3);
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	struct lt_arena arena;

	(void)state;
	lt_arena_init(&arena, 1 << 16);
	assert_int_equal(lt_set_delta(&shown, &wanted, &arena, &fs), LT_OK);
	assert_int_equal(fs.n_added, 2);
	assert_string_equal(fs.added[0], "c");
	assert_string_equal(fs.added[1], "e");
	assert_int_equal(fs.n_removed, 2);
	assert_string_equal(fs.removed[0], "a");
	assert_string_equal(fs.removed[1], "d");
	assert_int_equal(lt_set_delta(NULL, &wanted, &arena, &fs), LT_OK);
	assert_int_equal(fs.n_added, 3);
	assert_int_equal(fs.n_removed, 0);
	assert_int_equal(lt_set_delta(&shown, &shown, &arena, &fs), LT_OK);
	assert_int_equal(fs.n_added + fs.n_removed, 0);
	lt_arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lww),
		cmocka_unit_test(contexts_are_not_closed),
		cmocka_unit_test(max_and_min),
		cmocka_unit_test(sets),
		cmocka_unit_test(review),
		cmocka_unit_test(first),
		cmocka_unit_test(deletes),
		cmocka_unit_test(authority),
		cmocka_unit_test(personal),
		cmocka_unit_test(set_delta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
