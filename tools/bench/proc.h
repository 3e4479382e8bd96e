/* tools/bench/proc.h - lt-hub and lt-node as processes of their own, what they use, and calls to them. One thread drives
 * a process; they end with this one whatever happens. */
#ifndef LT_TOOLS_BENCH_PROC_H
#define LT_TOOLS_BENCH_PROC_H

#include "proto/rpc/rpc.h"
#include "tools/bench/world.h"

#include <sys/types.h>

struct bench_proc {
	const char *program; /* "lt-hub" */
	char dir[BENCH_PATH];
	pid_t pid; /* 0: does not run */
};

/* Start program -C dir; LT_OK once it answers on its local socket. */
int bench_proc_start(struct bench *b, struct bench_proc *p, const char *program, const char *dir);
/* SIGTERM and wait; LT_E_REMOTE when it did not end well. Not running: LT_OK. */
int bench_proc_stop(struct bench *b, struct bench_proc *p);
/* Gone afterwards, whatever it does. For the way out. */
void bench_proc_kill(struct bench_proc *p);

struct bench_usage {
	double anon_mib; /* RssAnon: memory of its own */
	double rss_mib; /* with the pages of files it looks at */
	int64_t cpu_ns;
};
int bench_proc_usage(struct bench *b, const struct bench_proc *p, struct bench_usage *out);

/* A port of loopback that nobody listens on. */
int bench_port(struct bench *b, int *port);
/* To its local socket. */
int bench_dial_local(
    struct bench *b, struct lt_pool *pool, const struct bench_proc *p, struct lt_conn **out);
/* Over the line, as a node or the reader. */
int bench_dial(struct bench *b, struct lt_pool *pool, const struct bench_world *w,
    const struct bench_node *as, int port, struct lt_conn **out);
void bench_dial_options(struct lt_dial_options *o, struct lt_pool *pool,
    const struct bench_world *w, const struct bench_node *as, const char *url);
/* Unary; *reply to protobuf_c_message_free_unpacked(). LT_E_REMOTE with the status. */
int bench_call(struct bench *b, struct lt_conn *c, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *req, ProtobufCMessage **reply);
void bench_sleep_us(int64_t us);

#endif
