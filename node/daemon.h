/* node/daemon.h - lt-node as a whole: data directory, configuration, local service, line, signals. */
#ifndef LT_NODE_DAEMON_H
#define LT_NODE_DAEMON_H

/* Serve until SIGTERM or SIGINT. Returns the process's exit code: 0 stopped cleanly, 1 it could not serve (said on
 * stderr), 3 the directory is in use or not a node's. Signals must be blocked in every thread of the caller. */
int lt_node_serve(const char *dir);

#endif
