/* hub/daemon.h - lt-hub as a whole: data directory, configuration, listeners, signals. */
#ifndef LT_HUB_DAEMON_H
#define LT_HUB_DAEMON_H

/* Serve until SIGTERM or SIGINT. Returns the process's exit code: 0 stopped cleanly, 1 it could not serve (said on
 * stderr), 3 the directory is in use or not a hub's. Signals must be blocked in every thread of the caller. */
int lt_hub_serve(const char *dir);

#endif
