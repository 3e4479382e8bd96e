/* One id names a call in the logs of both daemons: of a push of its own accord, and of what a caller asked for and named. */
#include "tests/lib/province.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 30000
#define SETTLE_MS 60000

static void
say_all(const char *dir)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", dir);
	f = fopen(path, "a");
	assert_non_null(f);
	assert_true(fputs("\n[log]\nlevel = debug\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Ask for what cannot be had, by this name; both languages and the rest are other tests' matter. */
static void
ask_in_vain(struct lt_conn *c, const char *id)
{
	const struct lt_call_head head = { .request_id = id };
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	struct lt_status st;

	req.collection = (char *)(uintptr_t) "no_such_collection";
	req.unit = (char *)(uintptr_t) "17254";
	req.key = (char *)(uintptr_t) "k";
	assert_int_not_equal(lt_conn_call_wait_with(c, &ltpb__query__descriptor, "Get", &head,
				 &req.base, 10000, NULL, &st),
	    LT_STATUS_OK);
}

/* Every line with `what` in one log: its request is in the other log, in a line that says `there`. Returns how many. */
static unsigned
same_ids(const struct test_daemon *d, const char *what, const struct test_daemon *other,
    const char *there)
{
	char path[512], line[2048], word[256];
	unsigned n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/daemon.log", d->dir);
	f = fopen(path, "r");
	assert_non_null(f);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, what), *id = strstr(line, ", request ");

		if (at == NULL || id == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(word, sizeof(word), "%.100s%.100s", there, id);
		if (!daemon_logged(other, word))
			fail_msg(
			    "\"%s\" of %s is not in the other log as \"%s\"", line, d->dir, word);
		n++;
	}
	(void)fclose(f);
	return n;
}

static void
ids_in_both_logs(void **state)
{
	struct dossier_put d;
	struct province p;
	struct lt_conn *c;
	struct lt_status st;

	(void)state;
	province_setup(&p, "17254", 0);
	say_all(p.f.dir);
	say_all(p.n.dir);
	province_start(&p, NULL, NULL);
	c = daemon_dial_wait(&p.node, p.pool, START_MS);
	dossier_put_init(&d, 1, true, "QD-1");
	assert_int_equal(
	    lt_conn_call_wait(c, &ltpb__records__descriptor, "Put", &d.req.base, 10000, NULL, &st),
	    LT_STATUS_OK);
	ask_in_vain(c, "clerk-4711");
	lt_conn_close(c);
	c = daemon_dial_wait(&p.hub, p.pool, START_MS);
	ask_in_vain(c, "operator-4712");
	lt_conn_close(c);
	province_settle(&p, SETTLE_MS);
	(void)daemon_stop(&p.node);
	(void)daemon_stop(&p.hub);
	assert_true(daemon_logged(&p.node, ", request clerk-4711"));
	assert_true(daemon_logged(&p.hub, ", request operator-4712"));
	/* The node says its URL, the hub its address; what stands behind is the same. */
	assert_true(same_ids(&p.node, "/lienthong.v1.Sync/Push to tcp://", &p.hub, "OK") >= 1);
	assert_true(same_ids(&p.hub, "/lienthong.v1.Sync/Push of 127.0.0.1", &p.node, "OK") >= 1);
	province_teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_in_both_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
