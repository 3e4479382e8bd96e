/* tests/lib/daemon.h - lt-hub and lt-node as processes of their own: start, find dead, kill, ask over ipc.
 *
 * What a daemon says goes to <dir>/daemon.log. One thread drives a daemon; asking is for any. */
#ifndef LT_TESTS_DAEMON_H
#define LT_TESTS_DAEMON_H

#include "proto/rpc/rpc.h"

#include <stdbool.h>
#include <sys/types.h>

struct test_daemon {
	const char *program; /* path */
	const char *dir;
	pid_t pid; /* 0: does not run */
	int status; /* of the last end, as waitpid() gives it */
};

/* env: "NAME=value" to be added, NULL-terminated, NULL allowed. Does not wait until it serves. It dies with the thread that
 * started it. */
void daemon_start(struct test_daemon *d, const char *const *env);
/* Has it ended? Then pid is 0 and status tells how. */
bool daemon_ended(struct test_daemon *d);
/* Wait for the end; false when it still runs after timeout_ms. */
bool daemon_wait(struct test_daemon *d, int timeout_ms);
/* kill -9 and wait. Asserts that it was alive until then. */
void daemon_kill(struct test_daemon *d);
/* SIGTERM, wait, assert exit code 0. Returns the milliseconds it took. */
int64_t daemon_stop(struct test_daemon *d);
/* Whatever it does, it is gone afterwards. For teardown. */
void daemon_end(struct test_daemon *d);

/* A connection to its socket, NULL when it does not serve (yet). */
struct lt_conn *daemon_dial(const struct test_daemon *d, struct lt_pool *pool);
/* The same, tried until it serves. Asserts after timeout_ms, and when the daemon has ended. */
struct lt_conn *daemon_dial_wait(struct test_daemon *d, struct lt_pool *pool, int timeout_ms);
/* Does its log hold this text? */
bool daemon_logged(const struct test_daemon *d, const char *text);
/* Open descriptors and resident bytes. */
unsigned daemon_fds(const struct test_daemon *d);
uint64_t daemon_rss(const struct test_daemon *d);

/* A port of loopback that the system does not give to outgoing connections: a daemon can come back to it. */
int daemon_port(void);
void test_sleep_us(int64_t us);

#endif
