/* proto/base/daemon.h - what every daemon of ours does around its own work: arguments, signals, randomness. */
#ifndef LT_BASE_DAEMON_H
#define LT_BASE_DAEMON_H

#include <stdbool.h>

struct lt_daemon_info {
	const char *name; /* "lt-hub" */
	const char
	    *usage; /* printed by --help (stdout, exit 0) and after a mistake (stderr, exit 2) */
	/* Serve the data directory until lt_daemon_wait() returns; the process's exit code. */
	int (*serve)(const char *dir);
};

/* For main(): call it first, before any thread. No core dumps (proto/base/secret.h); blocks SIGTERM, SIGINT and SIGHUP for every thread to come, ignores
 * SIGPIPE, starts libsodium. Returns the exit code. */
int lt_daemon_main(const struct lt_daemon_info *d, int argc, char **argv);
/* Told to stop before lt_daemon_wait() is called: SIGTERM or SIGINT waits. For what takes long at a start. Any thread; false in a
 * program that does not block them. */
bool lt_daemon_told(void);
/* Until SIGTERM or SIGINT; returns the signal. One thread. SIGHUP is passed over. */
int lt_daemon_wait(void);

#endif
