/* Grants of one that is in: given by several at once, and given and taken more often than any list of them may grow. */
#include "hub/grants.h"
#include "tests/hub/hub_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define GIVERS 6

struct giver {
	struct lt_hub *hub;
	const struct lt_id *principal;
	const Ltpb__Grant *grant;
	pthread_barrier_t *together;
	uint32_t no;
	int rc;
};

static void *
give(void *arg)
{
	struct giver *g = arg;
	struct lt_err err = { "" };

	(void)pthread_barrier_wait(g->together);
	g->rc = lt_grants_give(g->hub, g->principal, g->grant, &g->no, &err);
	return NULL;
}

static void
department(struct hubfx *h, struct fed_peer *p)
{
	Ltpb__PrincipalState st;

	fed_invite(&h->f, p, LTPB__ROLE__ROLE_DEPARTMENT, "so_y_te", true);
	assert_int_equal(hubfx_join(h, p, &st), LT_OK);
	assert_int_equal(st, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	hubfx_settle(h);
}

/* A grant of one unit, by its number. */
struct made {
	Ltpb__Grant g;
	char unit[8];
	char *units[1], *verbs[1], *collections[1], *fields[1];
};

static Ltpb__Grant *
make(struct made *m, unsigned i)
{
	memset(m, 0, sizeof(*m));
	ltpb__grant__init(&m->g);
	(void)snprintf(m->unit, sizeof(m->unit), "%05u", 16000 + i);
	m->units[0] = m->unit;
	m->verbs[0] = (char *)"read";
	m->collections[0] = m->fields[0] = (char *)"all";
	m->g.units = m->units;
	m->g.verbs = m->verbs;
	m->g.collections = m->collections;
	m->g.fields = m->fields;
	m->g.n_units = m->g.n_verbs = m->g.n_collections = m->g.n_fields = 1;
	return &m->g;
}

/* The same grant, asked for by several at once or before the first is shown: one record, or what is taken from one of them stays with the
 * other. */
static void
test_given_once(void **state)
{
	struct giver g[GIVERS];
	pthread_t thread[GIVERS];
	pthread_barrier_t together;
	struct lt_grant_held *held;
	struct fed_peer p;
	struct made m;
	struct hubfx h;
	unsigned round, i;
	size_t n;

	(void)state;
	hubfx_open(&h);
	department(&h, &p);
	for (round = 0; round < 3; round++) {
		(void)pthread_barrier_init(&together, NULL, GIVERS);
		for (i = 0; i < GIVERS; i++) {
			g[i] = (struct giver){ .hub = h.f.hub,
				.principal = &p.id.principal,
				.grant = make(&m, round),
				.together = &together };
			assert_int_equal(pthread_create(&thread[i], NULL, give, &g[i]), 0);
		}
		for (i = 0; i < GIVERS; i++) {
			assert_int_equal(pthread_join(thread[i], NULL), 0);
			assert_int_equal(g[i].rc, LT_OK);
			assert_int_equal(g[i].no, g[0].no);
		}
		(void)pthread_barrier_destroy(&together);
		assert_int_equal(
		    lt_grants_of(h.f.hub, &p.id.principal, 0, &h.arena, &held, &n), LT_OK);
		assert_int_equal(n, round + 2); /* the first is the invitation's */
	}
	hubfx_close(&h);
}

/* Eight that were taken: the newest three that are asked for are told, of all the numbers; the next one has a number of its own. */
static void
test_many_taken(void **state)
{
	struct lt_grant_held *held;
	struct lt_err err = { "" };
	struct fed_peer p;
	struct made m;
	struct hubfx h;
	uint32_t no;
	unsigned i;
	size_t n;

	(void)state;
	hubfx_open(&h);
	department(&h, &p);
	for (i = 0; i < 8; i++) {
		assert_int_equal(
		    lt_grants_give(h.f.hub, &p.id.principal, make(&m, i), &no, &err), LT_OK);
		assert_int_equal(no, i + 2);
		assert_int_equal(lt_grants_take(h.f.hub, &p.id.principal, no, &err), LT_OK);
	}
	assert_int_equal(lt_grants_give(h.f.hub, &p.id.principal, make(&m, 8), &no, &err), LT_OK);
	assert_int_equal(no, 10);
	assert_int_equal(lt_grants_of(h.f.hub, &p.id.principal, 3, &h.arena, &held, &n), LT_OK);
	assert_int_equal(n, 10);
	for (i = 0; i < n; i++) {
		assert_int_equal(held[i].no, i + 1);
		assert_int_equal(held[i].active, i == 0 || i == 9);
		if (held[i].active || i >= 6)
			assert_non_null(held[i].grant);
		else
			assert_null(held[i].grant);
	}
	(void)make(&m, 7);
	assert_string_equal(held[8].grant->units[0], m.unit);
	(void)make(&m, 5);
	assert_string_equal(held[6].grant->units[0], m.unit);
	assert_int_equal(lt_grants_of(h.f.hub, &p.id.principal, 0, &h.arena, &held, &n), LT_OK);
	assert_int_equal(n, 10);
	assert_null(held[8].grant);
	assert_non_null(held[9].grant);
	hubfx_close(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_once),
		cmocka_unit_test(test_many_taken),
	};

	return cmocka_run_group_tests_name("hub.grants", tests, NULL, NULL);
}
