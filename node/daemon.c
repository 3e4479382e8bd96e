#include "node/daemon.h"
#include "node/link.h"
#include "node/service.h"
#include "proto/base/config.h"
#include "proto/base/daemon.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/rpc/health.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define WORK_QUEUE 1024
#define STOP_MS 1000

static const struct lt_conf_key keys[] = {
	{ "node", "hub", LT_CONF_STR, "", 0, 0,
	    NULL }, /* addresses in place of the invitation's; blanks between */
	{ "node", "label", LT_CONF_STR, "", 0, 0, NULL }, /* machine name, told when joining */
	{ "node", "bulk_from", LT_CONF_INT, "0", 0, 1439,
	    NULL }, /* minutes of the day; equal: always */
	{ "node", "bulk_to", LT_CONF_INT, "0", 0, 1439, NULL },
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
};

struct daemon {
	const char *dir;
	struct lt_conf *conf;
	struct lt_identity *id;
	struct lt_node *node;
	struct lt_pool *pool;
	struct lt_link *link;
	struct lt_server *server;
	struct lt_health *health;
	struct lt_node_service service;
	int lock_fd;
};

/* The invitation is spent: it need not lie on the disk any longer. */
static void
joined(void *ctx)
{
	struct daemon *d = ctx;
	struct lt_err err = { "" };

	sodium_memzero(d->id->token, sizeof(d->id->token));
	if (lt_identity_write(d->id, d->dir, true, &err) != LT_OK)
		lt_warn("the spent invitation could not be taken out of the identity file: %s",
		    err.text);
	lt_info("this machine is enrolled");
}

static int
read_config(struct daemon *d, struct lt_err *err)
{
	char path[4096];
	int rc;

	if (snprintf(path, sizeof(path), "%s/lienthong.conf", d->dir) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "the path of the data directory is too long");
	rc = lt_conf_load(&d->conf, keys, sizeof(keys) / sizeof(keys[0]), path, err);
	if (rc == LT_OK)
		lt_log_level_name(lt_conf_str(d->conf, "log", "level"));
	return rc;
}

static int
serve_local(struct daemon *d, struct lt_err *err)
{
	struct lt_server_options so = { .pool = d->pool,
		.clock = lt_clock_system(),
		.methods = lt_methods,
		.nmethods = lt_nmethods,
		.authorize = lt_node_service_authorize,
		.ctx = &d->service,
		.federation = d->id->federation.b };
	char url[4096];
	int rc = lt_server_new(&so, &d->server, err);

	if (rc == LT_OK)
		rc = lt_node_service_add(&d->service, d->server, err);
	if (rc == LT_OK)
		rc = lt_server_add(d->server, lt_health_service(d->health), err);
	if (rc == LT_OK && snprintf(url, sizeof(url), "ipc://%s/sock", d->dir) >= (int)sizeof(url))
		rc = LT_E_INVALID;
	return rc == LT_OK ? lt_server_listen(d->server, url, err) : rc;
}

static int
open_parts(struct daemon *d, struct lt_err *err)
{
	struct lt_node_options no = {
		.dir = d->dir, .identity = d->id, .clock = lt_clock_system()
	};
	struct lt_link_options lo = { .joined = joined, .ctx = d };
	const char *configured = lt_conf_str(d->conf, "node", "hub");
	int rc = lt_node_open(&no, &d->node, err);

	if (rc == LT_OK)
		rc = lt_pool_start(WORKERS, WORK_QUEUE, &d->pool);
	if (rc == LT_OK) {
		d->health = lt_health_new();
		rc = d->health == NULL ? LT_E_NOMEM : LT_OK;
	}
	lo.node = d->node;
	lo.pool = d->pool;
	lo.addresses = configured[0] != '\0' ? configured : d->id->addresses;
	lo.label = lt_conf_str(d->conf, "node", "label");
	lo.bulk_from = (int)lt_conf_int(d->conf, "node", "bulk_from");
	lo.bulk_to = (int)lt_conf_int(d->conf, "node", "bulk_to");
	if (rc == LT_OK)
		rc = lt_link_start(&lo, &d->link, err);
	d->service.node = d->node;
	d->service.link = d->link;
	return rc == LT_OK ? serve_local(d, err) : rc;
}

static void
close_parts(struct daemon *d)
{
	if (d->server != NULL)
		lt_server_stop(d->server, STOP_MS);
	lt_link_stop(d->link);
	lt_pool_stop(d->pool);
	lt_node_close(d->node);
	lt_health_free(d->health);
	lt_identity_free(d->id);
	lt_conf_free(d->conf);
	if (d->lock_fd >= 0)
		(void)close(d->lock_fd);
}

int
lt_node_serve(const char *dir)
{
	struct daemon d = { .dir = dir, .lock_fd = -1 };
	struct lt_err err = { "" };
	int rc, code = 1;

	rc = lt_dir_lock(dir, &d.lock_fd, &err);
	if (rc == LT_OK)
		rc = lt_identity_load(dir, &d.id, &err);
	if (rc == LT_OK && d.id->role != LTPB__ROLE__ROLE_NODE)
		rc = lt_err_set(&err, LT_E_USAGE,
		    "'%s' is not the directory of a node; make one with: ltctl -C DIR node init",
		    dir);
	if (rc != LT_OK) {
		code = 3;
		goto out;
	}
	rc = read_config(&d, &err);
	if (rc == LT_OK)
		rc = open_parts(&d, &err);
	if (rc != LT_OK)
		goto out;
	(void)lt_health_set(d.health, "", true);
	lt_info("node of unit %s serves", d.id->unit.s);
	lt_info("stopping on signal %d", lt_daemon_wait());
	code = 0;
out:
	if (rc != LT_OK)
		lt_error("%s", err.text[0] != '\0' ? err.text : lt_strerror(rc));
	close_parts(&d);
	return code;
}
