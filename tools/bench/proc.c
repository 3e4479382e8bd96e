#include "tools/bench/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 60000
#define STOP_MS 60000
#define CALL_MS 60000

void
bench_sleep_us(int64_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		continue;
}

/* ---- life ---- */

/* In the child; only what is safe after fork(). */
static void
become(const char *path, char *const *argv, const char *log)
{
	sigset_t none;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(fd, STDOUT_FILENO) >= 0 &&
	    dup2(fd, STDERR_FILENO) >= 0)
		(void)execv(path, argv);
	_exit(127);
}

static bool
has_ended(struct bench_proc *p, int *status)
{
	pid_t got = p->pid == 0 ? 0 : waitpid(p->pid, status, WNOHANG);

	if (p->pid == 0)
		return true;
	if (got == p->pid)
		p->pid = 0;
	return got != 0;
}

/* Beside this program, as in the build folder, or in sbin, as installed. */
static int
find_program(struct bench *b, const char *name, char out[BENCH_PATH])
{
	(void)snprintf(out, BENCH_PATH, "%.400s/%.64s", b->bin, name);
	if (access(out, X_OK) == 0)
		return LT_OK;
	(void)snprintf(out, BENCH_PATH, "%.400s/../sbin/%.64s", b->bin, name);
	return access(out, X_OK) == 0
		   ? LT_OK
		   : lt_err_set(&b->err, LT_E_NOTFOUND, "no '%s' beside lt-bench", name);
}

static int
wait_until_it_serves(struct bench *b, struct bench_proc *p)
{
	int64_t until = bench_now_ns() + (int64_t)START_MS * 1000000;
	struct lt_pool *pool = NULL;
	struct lt_conn *c = NULL;
	int status = 0, rc = lt_pool_start(1, 64, &pool);

	while (rc == LT_OK && bench_dial_local(b, pool, p, &c) != LT_OK) {
		if (has_ended(p, &status))
			rc = lt_err_set(&b->err, LT_E_REMOTE, "%s ended at its start, see %s.log",
			    p->program, p->dir);
		else if (bench_now_ns() > until)
			rc = lt_err_set(&b->err, LT_E_TIMEOUT, "%s does not serve", p->program);
		bench_sleep_us(2000);
	}
	lt_conn_close(c);
	lt_pool_stop(pool);
	if (rc == LT_OK)
		b->err.text[0] = '\0';
	return rc;
}

int
bench_proc_start(struct bench *b, struct bench_proc *p, const char *program, const char *dir)
{
	char path[BENCH_PATH], log[BENCH_PATH + 8];
	char *argv[] = { path, (char *)"-C", p->dir, NULL };
	int rc = find_program(b, program, path);

	memset(p, 0, sizeof(*p));
	p->program = program;
	(void)snprintf(p->dir, sizeof(p->dir), "%s", dir);
	(void)snprintf(log, sizeof(log), "%s.log", dir);
	if (rc != LT_OK)
		return rc;
	p->pid = fork();
	if (p->pid == 0)
		become(path, argv, log);
	if (p->pid < 0) {
		p->pid = 0;
		return lt_err_set(&b->err, LT_E_NOMEM, "cannot start '%s'", path);
	}
	rc = wait_until_it_serves(b, p);
	if (rc != LT_OK)
		bench_proc_kill(p);
	return rc;
}

int
bench_proc_stop(struct bench *b, struct bench_proc *p)
{
	int64_t until = bench_now_ns() + (int64_t)STOP_MS * 1000000;
	int status = 0;

	if (p->pid == 0)
		return LT_OK;
	(void)kill(p->pid, SIGTERM);
	while (!has_ended(p, &status)) {
		if (bench_now_ns() > until) {
			bench_proc_kill(p);
			return lt_err_set(&b->err, LT_E_REMOTE, "%s does not stop", p->program);
		}
		bench_sleep_us(2000);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		   ? LT_OK
		   : lt_err_set(
			 &b->err, LT_E_REMOTE, "%s ended with status %x", p->program, status);
}

void
bench_proc_kill(struct bench_proc *p)
{
	if (p->pid == 0)
		return;
	(void)kill(p->pid, SIGKILL);
	(void)waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

/* ---- what it uses ---- */

int
bench_proc_usage(struct bench *b, const struct bench_proc *p, struct bench_usage *out)
{
	char path[64], line[256];
	struct timespec ts;
	clockid_t clock;
	FILE *f;

	memset(out, 0, sizeof(*out));
	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)p->pid);
	f = fopen(path, "r");
	if (f == NULL || clock_getcpuclockid(p->pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) != 0) {
		if (f != NULL)
			(void)fclose(f);
		return lt_err_set(&b->err, LT_E_REMOTE, "%s has ended by itself", p->program);
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "RssAnon:", 8) == 0)
			out->anon_mib = strtod(line + 8, NULL) / 1024;
		if (strncmp(line, "VmRSS:", 6) == 0)
			out->rss_mib = strtod(line + 6, NULL) / 1024;
	}
	(void)fclose(f);
	out->cpu_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return LT_OK;
}

/* ---- calls ---- */

int
bench_port(struct bench *b, int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
		    getsockname(fd, (struct sockaddr *)&a, &len) == 0;

	if (fd >= 0)
		(void)close(fd);
	*port = ntohs(a.sin_port);
	return good ? LT_OK : lt_err_set(&b->err, LT_E_IO, "no port of loopback to be had");
}

int
bench_dial_local(
    struct bench *b, struct lt_pool *pool, const struct bench_proc *p, struct lt_conn **out)
{
	struct lt_dial_options o = { .pool = pool, .clock = lt_clock_system() };
	char url[BENCH_PATH + 16];

	(void)snprintf(url, sizeof(url), "ipc://%s/sock", p->dir);
	o.url = url;
	return lt_dial(&o, out, &b->err);
}

void
bench_dial_options(struct lt_dial_options *o, struct lt_pool *pool, const struct bench_world *w,
    const struct bench_node *as, const char *url)
{
	memset(o, 0, sizeof(*o));
	o->pool = pool;
	o->clock = lt_clock_system();
	o->url = url;
	o->line_sk = as->line_sk;
	o->remote_line_key = w->hub->line_pk;
	o->federation = w->hub->federation.b;
	o->connect_ms = 30000;
}

int
bench_dial(struct bench *b, struct lt_pool *pool, const struct bench_world *w,
    const struct bench_node *as, int port, struct lt_conn **out)
{
	struct lt_dial_options o;
	char url[64];

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	bench_dial_options(&o, pool, w, as, url);
	return lt_dial(&o, out, &b->err);
}

int
bench_call(struct bench *b, struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *req, ProtobufCMessage **reply)
{
	struct lt_status st;

	if (lt_conn_call_wait(c, service, method, req, CALL_MS, reply, &st) == LT_STATUS_OK)
		return LT_OK;
	return lt_err_set(&b->err, LT_E_REMOTE, "%s/%s: %s %s", service->name, method,
	    lt_status_name(st.code), st.message);
}
