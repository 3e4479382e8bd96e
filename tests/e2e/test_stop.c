/* A daemon under load stops on SIGTERM within two seconds; a second one on the same directory goes away with a clear message; and
 * clients that come and go leave neither descriptors nor memory behind. */
#include "tests/lib/province.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STOP_MS 10000 /* sanitizers slow down about five times */
#define RSS_GROWTH_MAX ((uint64_t)512 * 1024 * 1024) /* and keep freed memory for a while */
#else
#define STOP_MS 2000
#define RSS_GROWTH_MAX ((uint64_t)48 * 1024 * 1024)
#endif
#define CLERKS 4
#define STOPS 5
#define START_MS 30000
#define WAIT_MS 60000
#define VISITS 300

struct clerk {
	struct load *load;
	unsigned no;
	pthread_t thread;
};

struct load {
	struct province p;
	struct clerk clerk[CLERKS];
	atomic_bool stop;
	_Atomic uint64_t saved;
};

/* Writes as long as there is a node to write to; what fails while it stops is no matter here. */
static void *
write_on(void *arg)
{
	struct clerk *me = arg;
	struct load *l = me->load;
	struct lt_conn *c = NULL;
	struct dossier_put d;
	unsigned number = me->no * 100000;
	struct lt_status st;

	while (!l->stop) {
		ProtobufCMessage *reply = NULL;

		if (c == NULL)
			c = daemon_dial(&l->p.node, l->p.pool);
		if (c == NULL) {
			test_sleep_us(3000);
			continue;
		}
		dossier_put_init(&d, number++, true, "QD-1");
		if (lt_conn_call_wait(c, &ltpb__records__descriptor, "Put", &d.req.base, 10000,
			&reply, &st) == LT_STATUS_OK) {
			l->saved++;
		} else {
			lt_conn_close(c);
			c = NULL;
		}
		province_free(reply);
	}
	lt_conn_close(c);
	return NULL;
}

static void
start_load(struct load *l)
{
	unsigned i;

	memset(l, 0, sizeof(*l));
	province_setup(&l->p, "17254", 0);
	province_start(&l->p, NULL, NULL);
	for (i = 0; i < CLERKS; i++) {
		l->clerk[i].load = l;
		l->clerk[i].no = i + 1;
		assert_int_equal(
		    pthread_create(&l->clerk[i].thread, NULL, write_on, &l->clerk[i]), 0);
	}
}

static void
end_load(struct load *l)
{
	unsigned i;

	l->stop = true;
	for (i = 0; i < CLERKS; i++)
		(void)pthread_join(l->clerk[i].thread, NULL);
}

struct flowing {
	struct load *l;
	struct lt_conn *hub;
	uint64_t saved, head;
};

static bool
flows(void *ctx)
{
	struct flowing *f = ctx;
	Ltpb__StatusReply *r = province_status(f->hub);
	bool yes;

	if (f->head == 0)
		f->head = r->log_head;
	yes = f->l->saved > f->saved + 20 && r->log_head > f->head + 20;
	province_free(r);
	return yes;
}

static void
wait_flow(struct load *l)
{
	struct flowing f = { .l = l, .saved = l->saved };

	f.hub = daemon_dial_wait(&l->p.hub, l->p.pool, START_MS);
	fed_wait(flows, &f, WAIT_MS, "puts are saved and arrive");
	lt_conn_close(f.hub);
}

/* The peer follows the hub's feeds meanwhile: a stream that would never end by itself. */
static void
on_item(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	(void)st;
	atomic_store((atomic_bool *)ctx, true);
}

static bool
is_true(void *ctx)
{
	return atomic_load((atomic_bool *)ctx);
}

static int64_t
stop_hub_with_follower(struct load *l)
{
	static const struct lt_call_ops ops = { on_item, on_end };
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	atomic_bool ended = false;
	int64_t took;

	req.follow = true;
	assert_int_equal(province_dial(&l->p, 0), LT_OK);
	assert_int_equal(lt_conn_call(l->p.peer.conn, &ltpb__sync__descriptor, "Pull", &req.base, 0,
			     &ops, &ended, NULL),
	    LT_OK);
	wait_flow(l);
	took = daemon_stop(&l->p.hub);
	fed_wait(is_true, &ended, WAIT_MS, "the stream ends");
	fed_hang_up(&l->p.peer);
	return took;
}

static void
test_stop_under_load(void **state)
{
	struct load *l = calloc(1, sizeof(*l));
	int64_t took, worst[2] = { 0, 0 };
	unsigned i;

	(void)state;
	assert_non_null(l);
	start_load(l);
	for (i = 0; i < STOPS; i++) {
		took = stop_hub_with_follower(l);
		worst[0] = took > worst[0] ? took : worst[0];
		daemon_start(&l->p.hub, NULL);
		wait_flow(l);
		took = daemon_stop(&l->p.node);
		worst[1] = took > worst[1] ? took : worst[1];
		daemon_start(&l->p.node, NULL);
		wait_flow(l);
	}
	end_load(l);
	print_message("slowest stop: hub %lld ms, node %lld ms, with %llu puts saved\n",
	    (long long)worst[0], (long long)worst[1], (unsigned long long)l->saved);
	assert_true(worst[0] < STOP_MS);
	assert_true(worst[1] < STOP_MS);
	province_teardown(&l->p);
	free(l);
}

/* Told to stop just after it serves: a node is calling its hub then, and at a moment that differs each time. */
static void
test_stop_at_once(void **state)
{
	struct province *p = calloc(1, sizeof(*p));
	unsigned i;

	(void)state;
	assert_non_null(p);
	province_setup(p, "17254", 0);
	for (i = 0; i < 4 * STOPS; i++) {
		daemon_start(&p->hub, NULL);
		lt_conn_close(daemon_dial_wait(&p->hub, p->pool, START_MS));
		daemon_start(&p->node, NULL);
		lt_conn_close(daemon_dial_wait(&p->node, p->pool, START_MS));
		test_sleep_us((int64_t)randombytes_uniform(10000));
		assert_true(daemon_stop(i % 2 == 0 ? &p->hub : &p->node) < STOP_MS);
		assert_true(daemon_stop(i % 2 == 0 ? &p->node : &p->hub) < STOP_MS);
	}
	province_teardown(p);
	free(p);
}

/* ---- while its store is read ---- */

#define LARGE ((off_t)64 << 30) /* of holes: takes half a minute to read */

static bool
has_child(void *ctx)
{
	const struct test_daemon *d = ctx;
	char path[64], c;
	bool has;
	int fd;

	(void)snprintf(
	    path, sizeof(path), "/proc/%ld/task/%ld/children", (long)d->pid, (long)d->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	has = fd >= 0 && read(fd, &c, 1) == 1;
	if (fd >= 0)
		(void)close(fd);
	return has;
}

/* After an unclean stop all of the store is read before it is opened, which takes as long as the disk needs: who is told to stop meanwhile
 * stops, and has changed nothing. */
static void
test_stop_while_read(void **state)
{
	struct province *p = calloc(1, sizeof(*p));
	struct test_daemon *d[2];
	struct stat st;
	char path[512];
	int64_t took;
	unsigned i;

	(void)state;
	assert_non_null(p);
	province_setup(p, "17254", 0);
	province_start(p, NULL, NULL);
	province_settle(p, WAIT_MS);
	d[0] = &p->hub;
	d[1] = &p->node;
	for (i = 0; i < 2; i++) {
		daemon_kill(d[i]);
		(void)snprintf(
		    path, sizeof(path), "%s/%s/data.mdb", d[i]->dir, i == 0 ? "log" : "store");
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, LARGE), 0);
		daemon_start(d[i], NULL);
		fed_wait(has_child, d[i], START_MS, "a child reads the store");
		took = daemon_stop(d[i]);
		assert_true(took < STOP_MS);
		assert_true(daemon_logged(d[i], "told to stop before anything was served"));
		assert_int_equal(truncate(path, st.st_size), 0);
		daemon_start(d[i], NULL);
		lt_conn_close(daemon_dial_wait(d[i], p->pool, START_MS));
	}
	province_teardown(p);
	free(p);
}

/* ---- a second one ---- */

static void
refuses_second(const struct test_daemon *first)
{
	struct test_daemon second = { .program = first->program, .dir = first->dir };
	char text[64];

	daemon_start(&second, NULL);
	assert_true(daemon_wait(&second, START_MS));
	assert_true(WIFEXITED(second.status));
	assert_int_equal(WEXITSTATUS(second.status), 3);
	(void)snprintf(text, sizeof(text), "is in use by process %ld", (long)first->pid);
	assert_true(daemon_logged(first, text));
}

static void
test_second_instance(void **state)
{
	struct province *p = calloc(1, sizeof(*p));
	struct test_daemon *d[2];
	struct lt_conn *c;
	unsigned i;

	(void)state;
	assert_non_null(p);
	province_setup(p, "17254", 0);
	province_start(p, NULL, NULL);
	d[0] = &p->hub;
	d[1] = &p->node;
	for (i = 0; i < 2; i++) {
		refuses_second(d[i]); /* and the first one is as it was: */
		c = daemon_dial_wait(d[i], p->pool, START_MS);
		province_free(province_status(c));
		lt_conn_close(c);
	}
	province_teardown(p);
	free(p);
}

/* ---- nothing stays behind ---- */

/* A stranger who opens a connection, says a few bytes and goes. */
static void
knock_and_go(int port)
{
	struct sockaddr_in a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memset(&a, 0, sizeof(a));
	a.sin_family = AF_INET;
	a.sin_port = htons((uint16_t)port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)!write(fd, "GET / HTTP/1.0\r\n", 16);
	(void)close(fd);
}

static void
visit(struct province *p, unsigned n)
{
	struct dossier_put d;
	struct lt_status st;
	struct lt_conn *c;
	unsigned i;

	for (i = 0; i < n; i++) {
		ProtobufCMessage *reply = NULL;

		knock_and_go(p->port);
		assert_int_equal(province_dial(p, 0), LT_OK);
		fed_hang_up(&p->peer);
		c = daemon_dial_wait(&p->hub, p->pool, START_MS);
		province_free(province_status(c));
		lt_conn_close(c);
		c = daemon_dial_wait(&p->node, p->pool, START_MS);
		dossier_put_init(&d, i % 100, true, "QD-1");
		(void)lt_conn_call_wait(
		    c, &ltpb__records__descriptor, "Put", &d.req.base, 10000, &reply, &st);
		province_free(reply);
		lt_conn_close(c);
	}
}

struct descriptors {
	const struct test_daemon *d;
	unsigned before;
};

static bool
descriptors_back(void *ctx)
{
	struct descriptors *f = ctx;

	return daemon_fds(f->d) <= f->before;
}

static void
test_visitors(void **state)
{
	struct province *p = calloc(1, sizeof(*p));
	struct descriptors f[2];
	uint64_t rss[2];
	unsigned i;

	(void)state;
	assert_non_null(p);
	province_setup(p, "17254", 0);
	province_start(p, NULL, NULL);
	f[0].d = &p->hub;
	f[1].d = &p->node;
	/* What is taken once is taken by the first visitors. */
	visit(p, VISITS / 10);
	province_settle(p, WAIT_MS);
	for (i = 0; i < 2; i++) {
		f[i].before = daemon_fds(f[i].d) + 1; /* one that just says good-bye */
		rss[i] = daemon_rss(f[i].d);
	}
	visit(p, VISITS);
	province_settle(p, WAIT_MS);
	for (i = 0; i < 2; i++) {
		fed_wait(descriptors_back, &f[i], WAIT_MS, "descriptors are given back");
		if (daemon_rss(f[i].d) > rss[i] + RSS_GROWTH_MAX)
			fail_msg("%s grew from %llu to %llu bytes", f[i].d->program,
			    (unsigned long long)rss[i], (unsigned long long)daemon_rss(f[i].d));
	}
	province_teardown(p);
	free(p);
}

struct reaching {
	struct lt_conn *hub;
	uint64_t records;
};

static bool
has_records(void *ctx)
{
	const struct reaching *r = ctx;
	Ltpb__StatusReply *st = province_status(r->hub);
	bool there = st->records >= r->records;

	province_free(st);
	return there;
}

static void
put_one(struct lt_conn *node, unsigned number)
{
	ProtobufCMessage *reply = NULL;
	struct dossier_put d;
	struct lt_status st;

	dossier_put_init(&d, number, true, "QD-1");
	assert_int_equal(lt_conn_call_wait(node, &ltpb__records__descriptor, "Put", &d.req.base,
			     10000, &reply, &st),
	    LT_STATUS_OK);
	province_free(reply);
}

#define KNOCKERS 64

/* No descriptor is left, and more want in: those who are in go on, and when there are some again others come in. */
static void
test_no_descriptors(void **state)
{
	struct province *p = calloc(1, sizeof(*p));
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct rlimit before, none;
	struct reaching r;
	struct lt_conn *node;
	Ltpb__StatusReply *st;
	int fd[KNOCKERS];
	unsigned i;

	(void)state;
	assert_non_null(p);
	province_setup(p, "17254", 0);
	province_start(p, NULL, NULL);
	province_settle(p, WAIT_MS);
	node = daemon_dial_wait(&p->node, p->pool, START_MS);
	r.hub = daemon_dial_wait(&p->hub, p->pool, START_MS);
	st = province_status(r.hub);
	r.records = st->records + 1;
	province_free(st);
	assert_int_equal(prlimit(p->hub.pid, RLIMIT_NOFILE, NULL, &before), 0);
	none = before;
	none.rlim_cur = 3; /* what is open stays open */
	assert_int_equal(prlimit(p->hub.pid, RLIMIT_NOFILE, &none, NULL), 0);
	to.sin_port = htons((uint16_t)p->port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < KNOCKERS; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&to, sizeof(to)), 0);
	}
	put_one(node, 1);
	fed_wait(has_records, &r, WAIT_MS, "the hub takes in and shows what comes on open lines");
	assert_int_equal(recv(fd[0], &i, 1, MSG_DONTWAIT), -1); /* nobody has greeted it */
	for (i = 0; i < KNOCKERS; i++)
		(void)close(fd[i]);
	assert_int_equal(prlimit(p->hub.pid, RLIMIT_NOFILE, &before, NULL), 0);
	lt_conn_close(r.hub);
	r.hub = daemon_dial_wait(&p->hub, p->pool, START_MS);
	put_one(node, 2);
	r.records++;
	fed_wait(has_records, &r, WAIT_MS, "the hub goes on");
	assert_int_equal(province_dial(p, 0), LT_OK);
	fed_hang_up(&p->peer);
	lt_conn_close(r.hub);
	lt_conn_close(node);
	(void)daemon_stop(&p->hub);
	(void)daemon_stop(&p->node);
	province_teardown(p);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_under_load),
		cmocka_unit_test(test_stop_at_once),
		cmocka_unit_test(test_stop_while_read),
		cmocka_unit_test(test_second_instance),
		cmocka_unit_test(test_visitors),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
