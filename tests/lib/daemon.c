#include "tests/lib/daemon.h"
#include "proto/base/file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENV_MAX 256
#define LOG_MAX ((size_t)64 * 1024 * 1024)

extern char **environ;

void
test_sleep_us(int64_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		continue;
}

static void
log_path(const struct test_daemon *d, char out[512])
{
	(void)snprintf(out, 512, "%s/daemon.log", d->dir);
}

/* In the child; only what is safe after fork(). */
static void
become(const struct test_daemon *d, char *const *argv, char *const *env, const char *log)
{
	sigset_t none;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* A test that dies must leave nothing running. */
	if (fd >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(fd, STDOUT_FILENO) >= 0 &&
	    dup2(fd, STDERR_FILENO) >= 0)
		(void)execve(d->program, argv, env);
	_exit(127);
}

void
daemon_start(struct test_daemon *d, const char *const *env)
{
	char *argv[] = { (char *)d->program, (char *)"-C", (char *)d->dir, NULL };
	char *all[ENV_MAX], log[512];
	size_t n = 0;

	assert_int_equal(d->pid, 0);
	for (; environ[n] != NULL && n < ENV_MAX - 16; n++)
		all[n] = environ[n];
	for (; env != NULL && *env != NULL; env++)
		all[n++] = (char *)*env;
	all[n] = NULL;
	log_path(d, log);
	d->pid = fork();
	if (d->pid == 0)
		become(d, argv, all, log);
	assert_true(d->pid > 0);
}

bool
daemon_ended(struct test_daemon *d)
{
	pid_t got;

	if (d->pid == 0)
		return true;
	got = waitpid(d->pid, &d->status, WNOHANG);
	if (got == d->pid)
		d->pid = 0;
	return got != 0;
}

bool
daemon_wait(struct test_daemon *d, int timeout_ms)
{
	int64_t until = lt_mono_ms(lt_clock_system()) + timeout_ms;

	while (!daemon_ended(d)) {
		if (lt_mono_ms(lt_clock_system()) > until)
			return false;
		test_sleep_us(500);
	}
	return true;
}

void
daemon_kill(struct test_daemon *d)
{
	if (daemon_ended(d))
		fail_msg("%s ended by itself: status %x, see %s/daemon.log", d->program, d->status,
		    d->dir);
	assert_int_equal(kill(d->pid, SIGKILL), 0);
	assert_true(daemon_wait(d, 30000));
	if (!WIFSIGNALED(d->status) || WTERMSIG(d->status) != SIGKILL)
		fail_msg("%s ended by itself: status %x, see %s/daemon.log", d->program, d->status,
		    d->dir);
}

int64_t
daemon_stop(struct test_daemon *d)
{
	int64_t from = lt_mono_ms(lt_clock_system());

	if (daemon_ended(d))
		fail_msg("%s ended by itself: status %x, see %s/daemon.log", d->program, d->status,
		    d->dir);
	assert_int_equal(kill(d->pid, SIGTERM), 0);
	if (!daemon_wait(d, 60000))
		fail_msg("%s does not stop on SIGTERM", d->program);
	if (!WIFEXITED(d->status) || WEXITSTATUS(d->status) != 0)
		fail_msg("%s did not stop cleanly: status %x", d->program, d->status);
	return lt_mono_ms(lt_clock_system()) - from;
}

void
daemon_end(struct test_daemon *d)
{
	if (daemon_ended(d))
		return;
	(void)kill(d->pid, SIGKILL);
	(void)daemon_wait(d, 30000);
}

struct lt_conn *
daemon_dial(const struct test_daemon *d, struct lt_pool *pool)
{
	struct lt_dial_options o = { .pool = pool, .clock = lt_clock_system() };
	struct lt_err err = { "" };
	struct lt_conn *c = NULL;
	char url[512];

	(void)snprintf(url, sizeof(url), "ipc://%s/sock", d->dir);
	o.url = url;
	return lt_dial(&o, &c, &err) == LT_OK ? c : NULL;
}

struct lt_conn *
daemon_dial_wait(struct test_daemon *d, struct lt_pool *pool, int timeout_ms)
{
	int64_t until = lt_mono_ms(lt_clock_system()) + timeout_ms;
	struct lt_conn *c;

	while ((c = daemon_dial(d, pool)) == NULL) {
		if (daemon_ended(d))
			fail_msg("%s does not start: status %x, see %s/daemon.log", d->program,
			    d->status, d->dir);
		if (lt_mono_ms(lt_clock_system()) > until)
			fail_msg("%s does not serve within %d ms", d->program, timeout_ms);
		test_sleep_us(2000);
	}
	return c;
}

bool
daemon_logged(const struct test_daemon *d, const char *text)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	char path[512];
	bool found;

	log_path(d, path);
	lt_buf_init(&b, LOG_MAX);
	assert_int_equal(lt_file_read(path, LOG_MAX, &b, &err), LT_OK);
	lt_buf_u8(&b, 0);
	assert_int_equal(b.err, LT_OK);
	found = strstr((const char *)b.data, text) != NULL;
	lt_buf_fini(&b);
	return found;
}

unsigned
daemon_fds(const struct test_daemon *d)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)d->pid);
	dir = opendir(path);
	/* The daemons let no other process of their user look at them, only root's. */
	if (dir == NULL) {
		if (errno == EACCES && geteuid() != 0)
			skip();
		fail_msg("%s: %s", path, strerror(errno));
		return 0;
	}
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n - 2; /* . and .. */
}

uint64_t
daemon_rss(const struct test_daemon *d)
{
	unsigned long long pages = 0;
	char path[64], line[128];
	char *blank;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/statm", (long)d->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	blank = strchr(line, ' ');
	assert_non_null(blank);
	pages = strtoull(blank, NULL, 10);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int
daemon_port(void)
{
	struct sockaddr_in a;
	int port, rc, fd, tries;

	for (tries = 0; tries < 1000; tries++) {
		port = 20000 + (int)randombytes_uniform(12000);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		memset(&a, 0, sizeof(a));
		a.sin_family = AF_INET;
		a.sin_port = htons((uint16_t)port);
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		rc = bind(fd, (struct sockaddr *)&a, sizeof(a));
		(void)close(fd);
		if (rc == 0)
			return port;
	}
	fail_msg("no free port");
	return -1;
}
