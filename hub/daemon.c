#include "hub/daemon.h"
#include "hub/service.h"
#include "proto/base/config.h"
#include "proto/base/daemon.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/rpc/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 8
#define WORK_QUEUE 8192
#define STOP_MS 1000
#define ADDRESSES_MAX 8
#define ADDRESS_LEN_MAX 255 /* of an invitation, FORMAT.md 4.2 */

static const struct lt_conf_key keys[] = {
	{ "hub", "listen", LT_CONF_STR, "tcp://0.0.0.0:7340", 0, 0, NULL },
	{ "hub", "addresses", LT_CONF_STR, "", 0, 0, NULL }, /* told to nodes; blanks between */
	{ "hub", "idle_timeout", LT_CONF_MS, "60s", 5000, 3600000, NULL },
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
};

struct daemon {
	const char *dir;
	struct lt_conf *conf;
	struct lt_identity *id;
	struct lt_hub *hub;
	struct lt_enrol *enrol;
	struct lt_fresh *fresh;
	struct lt_pool *pool;
	struct lt_pulls *pulls;
	struct lt_server *server;
	struct lt_health *health;
	struct lt_service service;
	char address_text[1024];
	const char *address[ADDRESSES_MAX];
	int lock_fd;
};

static int
read_config(struct daemon *d, struct lt_err *err)
{
	char path[4096];
	char *save = NULL, *word;
	int rc;

	if (snprintf(path, sizeof(path), "%s/lienthong.conf", d->dir) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "the path of the data directory is too long");
	rc = lt_conf_load(&d->conf, keys, sizeof(keys) / sizeof(keys[0]), path, err);
	if (rc != LT_OK)
		return rc;
	lt_log_level_name(lt_conf_str(d->conf, "log", "level"));
	if (strlen(lt_conf_str(d->conf, "hub", "addresses")) >= sizeof(d->address_text))
		return lt_err_set(err, LT_E_TOOBIG, "'addresses' in the configuration is too long");
	(void)snprintf(d->address_text, sizeof(d->address_text), "%s",
	    lt_conf_str(d->conf, "hub", "addresses"));
	for (word = strtok_r(d->address_text, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		if (d->service.naddress == ADDRESSES_MAX)
			return lt_err_set(err, LT_E_TOOBIG,
			    "'addresses' in the configuration names more than %d", ADDRESSES_MAX);
		if (strlen(word) > ADDRESS_LEN_MAX)
			return lt_err_set(err, LT_E_TOOBIG,
			    "an address in the configuration is longer than %d bytes",
			    ADDRESS_LEN_MAX);
		d->address[d->service.naddress++] = word;
	}
	d->service.addresses = d->address;
	return LT_OK;
}

static int
open_parts(struct daemon *d, struct lt_err *err)
{
	struct lt_hub_options ho = { .dir = d->dir, .identity = d->id, .clock = lt_clock_system() };
	int rc = lt_hub_open(&ho, &d->hub, err);

	if (rc == LT_OK)
		rc = lt_enrol_open(d->hub, &d->enrol, err);
	if (rc == LT_OK)
		rc = lt_fresh_open(d->hub, &d->fresh);
	if (rc == LT_OK)
		rc = lt_pool_start(WORKERS, WORK_QUEUE, &d->pool);
	if (rc == LT_OK)
		rc = lt_pulls_open(d->hub, d->pool, &d->pulls);
	if (rc == LT_OK) {
		d->health = lt_health_new();
		rc = d->health == NULL ? LT_E_NOMEM : LT_OK;
	}
	d->service.hub = d->hub;
	d->service.enrol = d->enrol;
	d->service.fresh = d->fresh;
	d->service.pulls = d->pulls;
	return rc;
}

static int
listen_all(struct daemon *d, struct lt_err *err)
{
	struct lt_server_options so = { .pool = d->pool,
		.clock = lt_clock_system(),
		.methods = lt_methods,
		.nmethods = lt_nmethods,
		.admit = lt_service_admit,
		.authorize = lt_service_authorize,
		.closed = lt_service_closed,
		.ctx = &d->service,
		.line_sk = d->id->line_sk,
		.federation = d->id->federation.b };
	char url[4096];
	int rc;

	so.idle_ms = (uint32_t)lt_conf_int(d->conf, "hub", "idle_timeout");
	rc = lt_server_new(&so, &d->server, err);
	if (rc == LT_OK)
		rc = lt_service_add(&d->service, d->server, err);
	if (rc == LT_OK)
		rc = lt_server_add(d->server, lt_health_service(d->health), err);
	if (rc == LT_OK && snprintf(url, sizeof(url), "ipc://%s/sock", d->dir) >= (int)sizeof(url))
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = lt_server_listen(d->server, url, err);
	if (rc == LT_OK)
		rc = lt_server_listen(d->server, lt_conf_str(d->conf, "hub", "listen"), err);
	return rc;
}

static void
close_parts(struct daemon *d)
{
	if (d->hub != NULL)
		lt_hub_on_news(d->hub, NULL, NULL);
	if (d->server != NULL)
		lt_server_stop(d->server, STOP_MS);
	lt_pool_stop(d->pool);
	lt_pulls_close(d->pulls);
	lt_fresh_close(d->fresh);
	lt_enrol_close(d->enrol);
	lt_hub_close(d->hub);
	lt_health_free(d->health);
	lt_identity_free(d->id);
	lt_conf_free(d->conf);
	if (d->lock_fd >= 0)
		(void)close(d->lock_fd);
}

int
lt_hub_serve(const char *dir)
{
	struct daemon d = { .dir = dir, .lock_fd = -1 };
	struct lt_err err = { "" };
	int rc, code = 1;

	rc = lt_dir_lock(dir, &d.lock_fd, &err);
	if (rc == LT_OK)
		rc = lt_identity_load(dir, &d.id, &err);
	if (rc == LT_OK && d.id->role != LTPB__ROLE__ROLE_HUB)
		rc = lt_err_set(&err, LT_E_USAGE,
		    "'%s' is not the directory of a hub; make one with: ltctl -C DIR hub init",
		    dir);
	if (rc != LT_OK) {
		code = 3;
		goto out;
	}
	rc = read_config(&d, &err);
	if (rc == LT_OK)
		rc = open_parts(&d, &err);
	if (rc == LT_OK)
		rc = listen_all(&d, &err);
	if (rc != LT_OK)
		goto out;
	lt_hub_on_news(d.hub, lt_service_news, &d.service);
	lt_pulls_news(d.pulls); /* for who came in between */
	(void)lt_health_set(d.health, "", true);
	lt_info("hub of province %s serves on %s (port %d)", d.id->unit.s,
	    lt_conf_str(d.conf, "hub", "listen"), lt_server_port(d.server));
	lt_info("stopping on signal %d", lt_daemon_wait());
	(void)lt_health_set(d.health, "", false);
	code = 0;
out:
	if (rc != LT_OK)
		lt_error("%s", err.text[0] != '\0' ? err.text : lt_strerror(rc));
	close_parts(&d);
	return code;
}
