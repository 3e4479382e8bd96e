/* proto/service/serving.h - what a daemon of ours holds around its own parts: its data directory, configuration, workers,
 * server and health. In order of use; every step fails with words, and lt_serving_end() undoes what was done. One thread. */
#ifndef LT_SERVICE_SERVING_H
#define LT_SERVICE_SERVING_H

#include "proto/base/config.h"
#include "proto/feed/identity.h"
#include "proto/rpc/rpc.h"

struct lt_serving {
	const char *dir;
	int lock_fd;
	struct lt_identity *id;
	struct lt_conf *conf;
	struct lt_pool *pool;
	struct lt_health *health;
	struct lt_server *server;
};

/* Take the directory and read who we are. LT_E_USAGE: it is not one of this role (word: "hub", "node"), else as
 * lt_dir_lock() and lt_identity_load(). dir is borrowed. */
int lt_serving_begin(
    struct lt_serving *s, const char *dir, Ltpb__Role role, const char *word, struct lt_err *err);
/* Read dir/lienthong.conf; its log level, which keys must have as [log] level, holds from now on. */
int lt_serving_config(
    struct lt_serving *s, const struct lt_conf_key *keys, size_t nkeys, struct lt_err *err);
/* Workers and health, not serving yet. */
int lt_serving_work(struct lt_serving *s, const struct lt_pool_options *o);
/* A server with health and reflection that listens nowhere yet. o says who is let in; pool, clock, methods,
 * federation and the secret of resume tokens are filled in here. */
int lt_serving_server(struct lt_serving *s, struct lt_server_options *o, struct lt_err *err);
/* The local socket, dir/sock. */
int lt_serving_local(struct lt_serving *s, struct lt_err *err);

/* After a step failed: log why, and return the process's exit code. What the store itself lacks or lost (LT_E_CORRUPT) has a code of its
 * own, LT_EXIT_DAMAGED: to start again mends nothing, so a supervisor should not, and the log says in both languages what to do. */
#define LT_EXIT_FAILED 1
#define LT_EXIT_DAMAGED 4
int lt_serving_failed(
    const struct lt_serving *s, const char *program, int rc, const struct lt_err *err);

/* No more calls. The workers go on: for those parts that must stop in between. */
void lt_serving_quiet(struct lt_serving *s);
/* The workers end. */
void lt_serving_rest(struct lt_serving *s);
/* The rest, and the directory is free. After lt_serving_quiet() and lt_serving_rest(), and after all that used it. */
void lt_serving_end(struct lt_serving *s);

#endif
