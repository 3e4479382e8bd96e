#include "proto/base/daemon.h"
#include "proto/base/secret.h"
#include "proto/base/thread.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define DESCRIPTORS_MAX 65536

/* As many as the system lets us have, and some bound of our own: nothing here uses select(2), for whose sake the usual limit is low. */
static void
take_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= DESCRIPTORS_MAX)
		return;
	r.rlim_cur = r.rlim_max < DESCRIPTORS_MAX ? r.rlim_max : DESCRIPTORS_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

int
lt_daemon_main(const struct lt_daemon_info *d, int argc, char **argv)
{
	sigset_t set;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(d->usage, stdout) < 0 || fflush(stdout) != 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("%s %s\n", d->name, LT_VERSION) < 0 || fflush(stdout) != 0;
	if (argc != 3 || strcmp(argv[1], "-C") != 0) {
		(void)fputs(d->usage, stderr);
		return 2;
	}
	lt_secret_process(d->name);
	/* Before any thread starts: they inherit the mask, and one place waits for signals. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0) {
		(void)fprintf(stderr, "%s: no secure randomness on this machine\n", d->name);
		return 1;
	}
	take_descriptors();
	lt_thread_brief();
	return d->serve(argv[2]);
}

bool
lt_daemon_told(void)
{
	sigset_t set;

	return sigpending(&set) == 0 &&
	       (sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGINT) == 1);
}

int
lt_daemon_wait(void)
{
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)sigwait(&set, &sig);
	return sig;
}
