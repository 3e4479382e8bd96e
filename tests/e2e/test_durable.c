/* Nothing is said to be saved or received before the disk has it.
 *
 * A preload library (tests/lib/synclog.c) writes down in order what a daemon syncs and what it sends. A commit of LMDB is durable
 * after the fdatasync of the pages and the O_DSYNC write of the meta page have both returned. With a daemon that has nothing else
 * to do, between the request and the first byte of its answer both must stand in the log. That the check
 * can fail is shown with syncs left out; that the answer depends on just those syncs, by making each of them fail once. */
#include "tests/lib/province.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUTS 40
#define START_MS 30000
#define WAIT_MS 30000
#define FAULTS_MAX 24

struct proof {
	struct province p;
	char log[300];
	char env_log[320], env_match[320], env_fault[64];
	const char *env[5];
	struct fed_feed feed; /* of the peer */
	unsigned number;
};

static void
proof_setup(struct proof *t)
{
	memset(t, 0, sizeof(*t));
	province_setup(&t->p, "17254", 0);
	(void)snprintf(t->log, sizeof(t->log), "%s/synclog", t->p.f.dir);
	(void)snprintf(t->env_log, sizeof(t->env_log), "LT_SYNCLOG=%s", t->log);
	fed_feed_init(&t->feed, &t->p.peer, "16906", LT_LANE_NORMAL, 7);
}

/* Start under the preload library; fault: "", or a setting for files whose path holds `file`. */
static void
start_logged(struct proof *t, struct test_daemon *d, const char *fault, const char *file)
{
	(void)snprintf(t->env_match, sizeof(t->env_match), "LT_SYNCLOG_MATCH=%s%s", d->dir, file);
	(void)snprintf(t->env_fault, sizeof(t->env_fault), "%s", fault);
	t->env[0] = "LD_PRELOAD=" LT_SYNCLOG_SO;
	t->env[1] = t->env_log;
	t->env[2] = t->env_match;
	t->env[3] = fault[0] != '\0' ? t->env_fault : NULL;
	t->env[4] = NULL;
	daemon_start(d, t->env);
}

static long
log_end(const struct proof *t)
{
	struct stat st;

	assert_int_equal(stat(t->log, &st), 0);
	return (long)st.st_size;
}

struct seen {
	bool pages, meta; /* both durable, in this order */
	bool sent; /* the first byte of the answer leaves */
	bool right; /* the one after the other */
};

/* One line: seq pid tid ns event result fd bytes name. */
static void
take_line(
    struct seen *s, char *line, pid_t pid, const char *file, const char *to, const char *not_to)
{
	char *word[9], *save = NULL;
	int i;

	for (i = 0; i < 9; i++) {
		word[i] = strtok_r(i == 0 ? line : NULL, i == 8 ? "\n" : " ", &save);
		assert_non_null(word[i]);
	}
	if (strtol(word[1], NULL, 10) != (long)pid)
		return;
	if (strcmp(word[5], "done") == 0 && strstr(word[8], file) != NULL) {
		if (strcmp(word[4], "fdatasync") == 0)
			s->pages = true;
		if (strcmp(word[4], "dsync") == 0 && s->pages)
			s->meta = true;
	}
	if (strcmp(word[4], "send") == 0 && !s->sent && strstr(word[8], to) != NULL &&
	    (not_to == NULL || strstr(word[8], not_to) == NULL)) {
		s->sent = true;
		s->right = s->pages && s->meta;
	}
}

/* Was it durable before the first byte left? Asserts that a byte left at all. */
static bool
durable_before_sent(const struct proof *t, long from, pid_t pid, const char *file, const char *to,
    const char *not_to)
{
	struct seen s = { false, false, false, false };
	char line[2048];
	FILE *f = fopen(t->log, "re");

	assert_non_null(f);
	assert_int_equal(fseek(f, from, SEEK_SET), 0);
	while (fgets(line, sizeof(line), f) != NULL)
		take_line(&s, line, pid, file, to, not_to);
	(void)fclose(f);
	assert_true(s.sent);
	return s.right;
}

/* ---- saved, at a node without a hub ---- */

static int
put(struct lt_conn *c, struct dossier_put *d)
{
	ProtobufCMessage *reply = NULL;
	struct lt_status st;
	int code = lt_conn_call_wait(
	    c, &ltpb__records__descriptor, "Put", &d->req.base, 10000, &reply, &st);

	province_free(reply);
	return code;
}

/* Puts one after the other; how many were durable before the answer? */
static unsigned
count_saved(struct proof *t)
{
	struct lt_conn *c = daemon_dial_wait(&t->p.node, t->p.pool, START_MS);
	struct dossier_put d;
	unsigned i, good = 0;
	long from;

	/* What the line itself says at the start is said when a first call has been answered. */
	province_free(province_status(c));
	for (i = 0; i < PUTS; i++) {
		dossier_put_init(&d, ++t->number, true, "QD-1");
		from = log_end(t);
		assert_int_equal(put(c, &d), LT_STATUS_OK);
		good +=
		    durable_before_sent(t, from, t->p.node.pid, "/store/data.mdb", "/sock", NULL);
	}
	lt_conn_close(c);
	return good;
}

static void
test_saved(void **state)
{
	struct proof *t = calloc(1, sizeof(*t));
	unsigned good;

	(void)state;
	assert_non_null(t);
	proof_setup(t);
	province_start(&t->p, NULL, NULL);
	(void)daemon_stop(&t->p.node);
	(void)daemon_stop(&t->p.hub);
	start_logged(t, &t->p.node, "", "/store/");
	assert_int_equal(count_saved(t), PUTS);
	(void)daemon_stop(&t->p.node);
	/* The check has teeth: without syncs not one answer passes. */
	start_logged(t, &t->p.node, "LT_SYNCLOG_SKIP=1", "/store/");
	good = count_saved(t);
	assert_int_equal(good, 0);
	(void)daemon_stop(&t->p.node);
	province_teardown(&t->p);
	free(t);
}

/* ---- receipts, at a hub with one node ---- */

static bool
hub_idle(void *ctx)
{
	Ltpb__StatusReply *a = province_status(ctx), *b;
	bool idle;

	/* A verdict follows each change-set; when answers reach the end of the log twice, none is under way: it would be
	 * written before the derived tables take in what it judges, or soon after. */
	test_sleep_us(20000);
	b = province_status(ctx);
	idle = a->projected == a->log_head && b->log_head == a->log_head;
	province_free(a);
	province_free(b);
	return idle;
}

static void
seal_one(struct proof *t, struct lt_buf *out)
{
	struct lt_draft draft;
	struct lt_arena arena;
	char key[40];

	(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", ++t->number);
	lt_arena_init(&arena, 1 << 20);
	fed_draft_dossier(&arena, &draft, key);
	lt_buf_init(out, LT_MESSAGE_MAX);
	fed_seal(&t->p.f, &t->feed, &draft, 1, out);
	lt_arena_fini(&arena);
}

static unsigned
count_receipted(struct proof *t)
{
	struct lt_conn *admin = daemon_dial_wait(&t->p.hub, t->p.pool, START_MS);
	Ltpb__PushReply *reply;
	struct lt_arena arena;
	struct lt_status st;
	struct lt_buf cs;
	unsigned i, good = 0;
	long from;

	assert_int_equal(province_dial(&t->p, 0), LT_OK);
	for (i = 0; i < PUTS; i++) {
		seal_one(t, &cs);
		fed_wait(hub_idle, admin, WAIT_MS, "the hub is idle");
		from = log_end(t);
		if (fed_push(&t->p.peer, &cs, 1, &reply, &st) != LT_STATUS_OK)
			fail_msg("push: %s", st.message);
		lt_arena_init(&arena, 1 << 20);
		assert_true(fed_receipt(&t->p.f, reply, 0, &arena)->seq == t->feed.seq);
		lt_arena_fini(&arena);
		province_free(reply);
		good +=
		    durable_before_sent(t, from, t->p.hub.pid, "/log/data.mdb", "socket:", "/sock");
		lt_buf_fini(&cs);
	}
	fed_hang_up(&t->p.peer);
	lt_conn_close(admin);
	return good;
}

static void
test_receipt(void **state)
{
	struct proof *t = calloc(1, sizeof(*t));

	(void)state;
	assert_non_null(t);
	proof_setup(t);
	start_logged(t, &t->p.hub, "", "/log/");
	assert_int_equal(count_receipted(t), PUTS);
	(void)daemon_stop(&t->p.hub);
	start_logged(t, &t->p.hub, "LT_SYNCLOG_SKIP=1", "/log/");
	assert_int_equal(count_receipted(t), 0);
	(void)daemon_stop(&t->p.hub);
	province_teardown(&t->p);
	free(t);
}

/* ---- each sync fails once ---- */

/* false: it ended before it served. */
static bool
serves(struct proof *t, struct test_daemon *d, struct lt_conn **c)
{
	while ((*c = daemon_dial(d, t->p.pool)) == NULL) {
		if (daemon_ended(d))
			return false;
		test_sleep_us(2000);
	}
	return true;
}

/* It must have stopped of its own accord, with words, rather than go on with a disk it does not know. */
static void
stopped_for_the_disk(struct test_daemon *d, const char *why)
{
	if (!daemon_wait(d, WAIT_MS))
		fail_msg("%s goes on after a sync that failed: %s", d->program, why);
	assert_true(WIFEXITED(d->status));
	assert_int_equal(WEXITSTATUS(d->status), 1);
	assert_true(daemon_logged(d, "check the disk"));
}

/* A node whose n-th sync fails says "saved" of nothing that this sync was for. */
static void
test_saved_fault(void **state)
{
	struct proof *t = calloc(1, sizeof(*t));
	struct dossier_put d;
	struct lt_conn *c;
	unsigned n, unsaid = 0;
	char fault[64];

	(void)state;
	assert_non_null(t);
	proof_setup(t);
	province_start(&t->p, NULL, NULL);
	(void)daemon_stop(&t->p.node);
	(void)daemon_stop(&t->p.hub);
	for (n = 1; unsaid < 2; n++) {
		assert_true(n <= FAULTS_MAX);
		(void)snprintf(fault, sizeof(fault), "LT_SYNCLOG_FAIL=%u", n);
		start_logged(t, &t->p.node, fault, "/store/");
		if (!serves(t, &t->p.node, &c))
			continue;
		dossier_put_init(&d, ++t->number, true, "QD-1");
		if (put(c, &d) == LT_STATUS_OK) {
			lt_conn_close(c);
			daemon_end(&t->p.node);
			continue;
		}
		unsaid++;
		stopped_for_the_disk(&t->p.node, "");
		lt_conn_close(c);
		/* Asked again under the same id, it is saved once. */
		daemon_start(&t->p.node, NULL);
		c = daemon_dial_wait(&t->p.node, t->p.pool, START_MS);
		assert_int_equal(put(c, &d), LT_STATUS_OK);
		assert_int_equal(put(c, &d), LT_STATUS_OK);
		lt_conn_close(c);
		(void)daemon_stop(&t->p.node);
	}
	province_teardown(&t->p);
	free(t);
}

/* A hub whose n-th sync of the log fails gives no receipt for what this sync was for. */
static void
test_receipt_fault(void **state)
{
	struct proof *t = calloc(1, sizeof(*t));
	unsigned n, unsaid = 0;
	struct lt_conn *c;
	struct lt_status st = { .message = "no line" };
	struct lt_buf cs;
	char fault[64];
	int code;

	(void)state;
	assert_non_null(t);
	proof_setup(t);
	for (n = 1; unsaid < 2; n++) {
		assert_true(n <= FAULTS_MAX);
		(void)snprintf(fault, sizeof(fault), "LT_SYNCLOG_FAIL=%u", n);
		start_logged(t, &t->p.hub, fault, "/log/");
		if (!serves(t, &t->p.hub, &c))
			continue;
		seal_one(t, &cs);
		code = LT_STATUS_UNAVAILABLE;
		if (province_dial(&t->p, 0) == LT_OK) {
			code = fed_push(&t->p.peer, &cs, 1, NULL, &st);
			fed_hang_up(&t->p.peer);
		}
		lt_conn_close(c);
		if (code == LT_STATUS_OK) {
			daemon_end(&t->p.hub);
		} else {
			unsaid++;
			stopped_for_the_disk(&t->p.hub, st.message);
			daemon_start(&t->p.hub, NULL);
			lt_conn_close(daemon_dial_wait(&t->p.hub, t->p.pool, START_MS));
			assert_int_equal(province_dial(&t->p, 0), LT_OK);
			if (fed_push(&t->p.peer, &cs, 1, NULL, &st) != LT_STATUS_OK)
				fail_msg("push again: %s", st.message);
			fed_hang_up(&t->p.peer);
			(void)daemon_stop(&t->p.hub);
		}
		lt_buf_fini(&cs);
	}
	province_teardown(&t->p);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_receipt),
		cmocka_unit_test(test_saved_fault),
		cmocka_unit_test(test_receipt_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
