#include "tools/bench/flood.h"
#include "proto/base/log.h"
#include "proto/base/thread.h"
#include "tools/bench/proc.h"

#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 64 /* at once */
#define CALL_MS 120000
#define READY "ready\n"

/* At the beginning of the file; then the sets, each behind its length. Written and read by the same program. */
struct plan {
	int32_t port;
	uint32_t kind; /* enum bench_flood_kind */
	uint32_t nset; /* of PUSHES and NEW */
	uint8_t federation[LT_FED_LEN], hub_pk[32], line_sk[32];
};

/* ---- the process ---- */

struct flood {
	struct lt_conn *conn;
	struct plan plan;
	ProtobufCBinaryData *set; /* plan.nset */
	pthread_mutex_t mx; /* guards next: calls begin in the order of their sets */
	size_t next; /* set */
	_Atomic bool over, failed; /* anything else than an answer, or "later" */
	_Atomic uint64_t answered, refused;
};

/* Totals over all that there is. */
static int
ask_totals(struct flood *f, ProtobufCMessage **m, struct lt_status *st)
{
	Ltpb__AggregateRequest req = LTPB__AGGREGATE_REQUEST__INIT;
	char *by[] = { (char *)"status" };

	req.collection = (char *)"dossier";
	req.group_by = by;
	req.n_group_by = 1;
	return (int)lt_conn_call_wait(
	    f->conn, &ltpb__query__descriptor, "Aggregate", &req.base, CALL_MS, m, st);
}

/* A call of which nobody waits for the answer but who began it. */
struct waiting {
	struct flood *f;
	size_t from;
	struct lt_status st;
	sem_t ended;
};

/* It lacks what comes before: from there on again. */
static void
on_reply(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PushReply *r = (const Ltpb__PushReply *)m;
	struct waiting *w = ctx;

	pthread_mutex_lock(&w->f->mx);
	if (r->n_need != 0 && r->need[0]->seq < w->f->next)
		w->f->next = (size_t)r->need[0]->seq;
	pthread_mutex_unlock(&w->f->mx);
}

static void
on_end(void *ctx, const struct lt_status *st)
{
	struct waiting *w = ctx;

	w->st = *st;
	if (st->code != LT_STATUS_OK) {
		pthread_mutex_lock(&w->f->mx);
		if (w->from < w->f->next)
			w->f->next = w->from;
		pthread_mutex_unlock(&w->f->mx);
	}
	(void)sem_post(&w->ended);
}

/* NEW: the next ones; when there are no more, from the first on. PUSHES: always the same, which the hub has had since the first of them. One
 * at a time is packed: 64 at once would take this machine from the hub, and nobody who floods from elsewhere can do that. */
static int
push(struct flood *f, ProtobufCMessage **m, struct lt_status *st)
{
	static const struct lt_call_ops ops = { .item = on_reply, .end = on_end };
	Ltpb__PushRequest req = LTPB__PUSH_REQUEST__INIT;
	struct waiting w = { .f = f };
	int rc;

	*m = NULL;
	if (sem_init(&w.ended, 0, 0) != 0)
		return LT_STATUS_INTERNAL;
	pthread_mutex_lock(&f->mx);
	if (f->next >= f->plan.nset || f->plan.kind == BENCH_FLOOD_PUSHES)
		f->next = 0;
	w.from = f->next;
	req.change_set = f->set + w.from;
	req.n_change_set =
	    f->plan.nset - w.from < LT_PUSH_MAX ? f->plan.nset - w.from : LT_PUSH_MAX;
	rc = lt_conn_call(
	    f->conn, &ltpb__sync__descriptor, "Push", &req.base, CALL_MS, &ops, &w, NULL);
	if (rc == LT_OK)
		f->next += req.n_change_set;
	pthread_mutex_unlock(&f->mx);
	while (rc == LT_OK && sem_wait(&w.ended) != 0)
		continue;
	(void)sem_destroy(&w.ended);
	if (rc != LT_OK)
		return LT_STATUS_INTERNAL;
	*st = w.st;
	return (int)w.st.code;
}

/* What costs the least to ask. */
static int
announce(struct flood *f, ProtobufCMessage **m, struct lt_status *st)
{
	Ltpb__AnnounceRequest req = LTPB__ANNOUNCE_REQUEST__INIT;

	return (int)lt_conn_call_wait(
	    f->conn, &ltpb__sync__descriptor, "Announce", &req.base, CALL_MS, m, st);
}

static void *
flooder(void *arg)
{
	static int (*const ask[])(struct flood * f, ProtobufCMessage * *m,
	    struct lt_status * st) = { [BENCH_FLOOD_NEW] = push,
		[BENCH_FLOOD_PUSHES] = push,
		[BENCH_FLOOD_CALLS] = announce,
		[BENCH_FLOOD_TOTALS] = ask_totals };
	struct flood *f = arg;
	struct lt_status st;

	lt_thread_begin("flooder", LT_NICE_NONE);
	while (!f->over) {
		ProtobufCMessage *m = NULL;
		int code = ask[f->plan.kind](f, &m, &st);

		if (m != NULL)
			protobuf_c_message_free_unpacked(m, NULL);
		if (code == LT_STATUS_OK)
			f->answered++;
		else if (code == LT_STATUS_RESOURCE_EXHAUSTED && st.retry_delay_ms != 0)
			f->refused++;
		else
			f->failed = true;
	}
	return NULL;
}

static bool
read_plan(const char *path, struct flood *f)
{
	FILE *in = fopen(path, "re");
	bool fine = in != NULL && fread(&f->plan, sizeof(f->plan), 1, in) == 1 &&
		    f->plan.nset <= BENCH_FLOOD_SETS_MAX && f->plan.kind <= BENCH_FLOOD_TOTALS &&
		    (f->set = calloc((size_t)f->plan.nset + 1, sizeof(*f->set))) != NULL;
	uint32_t i, len;

	for (i = 0; fine && i < f->plan.nset; i++) {
		fine = fread(&len, sizeof(len), 1, in) == 1 && len <= LT_MESSAGE_MAX &&
		       (f->set[i].data = malloc(len + 1)) != NULL &&
		       fread(f->set[i].data, 1, len, in) == len;
		f->set[i].len = len;
	}
	if (in != NULL)
		(void)fclose(in);
	return fine;
}

static bool
connect_hub(struct flood *f, struct lt_pool **pool)
{
	struct lt_dial_options o = { .clock = lt_clock_system(),
		.line_sk = f->plan.line_sk,
		.remote_line_key = f->plan.hub_pk,
		.federation = f->plan.federation,
		.connect_ms = 30000 };
	struct lt_err err = { "" };
	char url[64];

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", (int)f->plan.port);
	o.url = url;
	if (lt_pool_start(2, 1024, &o.pool) != LT_OK)
		return false;
	*pool = o.pool;
	if (lt_dial(&o, &f->conn, &err) == LT_OK)
		return true;
	(void)fprintf(stderr, "lt-bench: who floods cannot connect: %s\n", err.text);
	return false;
}

int
bench_flood_main(const char *path)
{
	static struct flood f = { .mx = PTHREAD_MUTEX_INITIALIZER };
	struct lt_pool *pool = NULL;
	pthread_t thread[CALLS];
	size_t i, n = 0;
	sigset_t set;
	int sig, rc = 1;

	/* Who floods from elsewhere takes no processor from the hub. At nice 19 64 threads weigh as much as one that is not nice at all. */
	if (sched_setscheduler(0, SCHED_IDLE, &(const struct sched_param){ 0 }) != 0)
		return 1;
	lt_log_level_set(LT_LOG_ERROR); /* not a line for each refusal */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (read_plan(path, &f) && connect_hub(&f, &pool)) {
		for (i = 0; i < CALLS; i++)
			if (pthread_create(&thread[n], NULL, flooder, &f) == 0)
				n++;
		(void)fputs(READY, stdout);
		(void)fflush(stdout);
		(void)sigwait(&set, &sig);
		f.over = true;
		for (i = 0; i < n; i++)
			(void)pthread_join(thread[i], NULL);
		(void)printf(
		    "%llu %llu\n", (unsigned long long)f.answered, (unsigned long long)f.refused);
		rc = fflush(stdout) == 0 && n == CALLS && !f.failed ? 0 : 1;
	}
	lt_conn_close(f.conn);
	lt_pool_stop(pool);
	for (i = 0; f.set != NULL && i < f.plan.nset; i++)
		free(f.set[i].data);
	free(f.set);
	return rc;
}

/* ---- who begins it ---- */

static int
write_plan(const char *path, const struct plan *p, const struct bench_feed *feed)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool fine = out != NULL && fwrite(p, sizeof(*p), 1, out) == 1;
	uint32_t i, len;

	for (i = 0; fine && i < p->nset; i++) {
		len = (uint32_t)feed->set[i].len;
		fine = fwrite(&len, sizeof(len), 1, out) == 1 &&
		       fwrite(feed->set[i].data, 1, len, out) == len;
	}
	if (out != NULL)
		return fclose(out) == 0 && fine ? LT_OK : LT_E_IO;
	if (fd >= 0)
		(void)close(fd);
	return LT_E_IO;
}

/* In the child; only what is safe after fork(). */
static void
become(char *const *argv, int out)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(out, STDOUT_FILENO) >= 0)
		(void)execv("/proc/self/exe", argv);
	_exit(127);
}

/* Until it says so much, or has ended. */
static size_t
hear(int fd, char *out, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap) {
		ssize_t got = read(fd, out + n, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (out[n++] == '\n')
			break;
	}
	out[n] = '\0';
	return n;
}

static size_t
sets_of(enum bench_flood_kind kind, size_t n)
{
	size_t most = kind == BENCH_FLOOD_NEW      ? BENCH_FLOOD_SETS_MAX
		      : kind == BENCH_FLOOD_PUSHES ? LT_PUSH_MAX
						   : 0;

	return n < most ? n : most;
}

int
bench_flood_start(struct bench *b, const struct bench_world *w, const struct bench_node *as,
    int port, enum bench_flood_kind kind, const struct bench_feed *feed, size_t n,
    struct bench_flood *out)
{
	struct plan p = {
		.port = port, .kind = (uint32_t)kind, .nset = (uint32_t)sets_of(kind, n)
	};
	char path[BENCH_PATH], text[32];
	char *argv[] = { (char *)"lt-bench", (char *)BENCH_FLOOD_ARG, path, NULL };
	int pipefd[2], rc;

	memset(out, 0, sizeof(*out));
	memcpy(p.federation, w->hub->federation.b, sizeof(p.federation));
	memcpy(p.hub_pk, w->hub->line_pk, sizeof(p.hub_pk));
	memcpy(p.line_sk, as->line_sk, sizeof(p.line_sk));
	bench_path(b, "flood", path);
	rc = write_plan(path, &p, feed);
	if (rc != LT_OK || pipe2(pipefd, O_CLOEXEC) != 0)
		return lt_err_set(&b->err, LT_E_IO, "'%s' cannot be written", path);
	out->pid = fork();
	if (out->pid == 0)
		become(argv, pipefd[1]);
	(void)close(pipefd[1]);
	out->said = pipefd[0];
	if (out->pid < 0 || hear(out->said, text, sizeof(text)) == 0 || strcmp(text, READY) != 0)
		rc = lt_err_set(&b->err, LT_E_REMOTE, "who was to flood did not begin");
	(void)unlink(path);
	return rc;
}

int
bench_flood_stop(struct bench *b, struct bench_flood *f, uint64_t *answered, uint64_t *refused)
{
	unsigned long long did = 0, not = 0;
	char text[64] = "";
	int status = 0;

	if (f->pid <= 0)
		return LT_OK;
	(void)kill(f->pid, SIGTERM);
	(void)hear(f->said, text, sizeof(text));
	(void)close(f->said);
	(void)waitpid(f->pid, &status, 0);
	f->pid = 0;
	/* Its own words. NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(text, "%llu %llu", &did, &not ) != 2 || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0)
		return lt_err_set(&b->err, LT_E_REMOTE, "who flooded ended by itself");
	*answered = did;
	*refused = not ;
	return LT_OK;
}
