#include "hub/daemon.h"
#include "hub/scrub.h"
#include "hub/service.h"
#include "proto/base/config.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"
#include "proto/base/thread.h"
#include "proto/feed/trust.h"
#include "proto/rpc/health.h"
#include "proto/service/serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Some of the quick calls wait: for a commit, or for the tables to show it. */
#define QUICK_THREADS 8
#define WORK_QUEUE 8192

static const struct lt_conf_key keys[] = {
	{ "hub", "listen", LT_CONF_STR, "tcp://0.0.0.0:7340", 0, 0, NULL },
	{ "hub", "addresses", LT_CONF_STR, "", 0, 0, NULL }, /* told to nodes; blanks between */
	{ "hub", "idle_timeout", LT_CONF_MS, "60s", 1000, 3600000, NULL },
	{ "hub", "scrub_every", LT_CONF_MS, "24h", 0, INT64_C(30) * 86400000,
	    NULL }, /* 0: when asked */
	{ "hub", "scrub_percent", LT_CONF_INT, "2", 1, 100, NULL }, /* of one core */
	LT_QUOTA_KEYS,
	{ "audit", "keep_days", LT_CONF_INT, "365", 1, 36500, NULL },
	{ "audit", "max_bytes", LT_CONF_BYTES, "4G", 16 << 20, INT64_C(1) << 50, NULL },
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
};

struct daemon {
	struct lt_serving s;
	struct lt_hub *hub;
	struct lt_enrol *enrol;
	struct lt_fresh *fresh;
	struct lt_pulls *pulls;
	struct lt_hub_repair *repair;
	struct lt_scrubber *scrubber;
	struct lt_audit *audit;
	struct lt_service service;
	char address_text[LT_ADDRESSES_LEN_MAX + 1];
	const char *address[LT_ADDRESSES_MAX];
};

static int
read_config(struct daemon *d, struct lt_err *err)
{
	char *save = NULL, *word;
	int rc = lt_serving_config(&d->s, keys, sizeof(keys) / sizeof(keys[0]), err);

	if (rc != LT_OK)
		return rc;
	if (strlen(lt_conf_str(d->s.conf, "hub", "addresses")) >= sizeof(d->address_text))
		return lt_err_set(err, LT_E_TOOBIG, "'addresses' in the configuration is too long");
	(void)snprintf(d->address_text, sizeof(d->address_text), "%s",
	    lt_conf_str(d->s.conf, "hub", "addresses"));
	for (word = strtok_r(d->address_text, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		if (d->service.naddress == LT_ADDRESSES_MAX)
			return lt_err_set(err, LT_E_TOOBIG,
			    "'addresses' in the configuration names more than %d",
			    LT_ADDRESSES_MAX);
		if (strlen(word) > LT_ADDRESS_LEN_MAX)
			return lt_err_set(err, LT_E_TOOBIG,
			    "an address in the configuration is longer than %d bytes",
			    LT_ADDRESS_LEN_MAX);
		d->address[d->service.naddress++] = word;
	}
	d->service.addresses = d->address;
	lt_quotas_read(d->s.conf, &d->service.quotas);
	return LT_OK;
}

static int
open_parts(struct daemon *d, struct lt_err *err)
{
	struct lt_hub_options ho = {
		.dir = d->s.dir, .identity = d->s.id, .clock = lt_clock_system()
	};
	/* What computes all the time gains nothing from more threads than there are cores. */
	struct lt_pool_options po = { .threads = { [LT_WORK_QUICK] = QUICK_THREADS,
					  [LT_WORK_LONG] = lt_thread_cores(),
					  [LT_WORK_INTAKE] = lt_thread_cores() },
		.queue_max = WORK_QUEUE };
	int rc = lt_hub_open(&ho, &d->hub, err);

	if (rc == LT_OK)
		rc = lt_enrol_open(d->hub, &d->enrol, err);
	if (rc == LT_OK)
		rc = lt_fresh_open(d->hub, &d->fresh);
	if (rc == LT_OK)
		rc = lt_serving_work(&d->s, &po);
	if (rc == LT_OK)
		rc = lt_pulls_open(d->hub, d->s.pool, &d->pulls);
	if (rc == LT_OK)
		rc = lt_hub_repair_open(d->hub, &d->repair);
	if (rc == LT_OK)
		rc = lt_hub_scrubber_start(d->hub, lt_hub_repair_repairer(d->repair),
		    lt_conf_int(d->s.conf, "hub", "scrub_every"),
		    (unsigned)lt_conf_int(d->s.conf, "hub", "scrub_percent"), &d->scrubber);
	d->service.hub = d->hub;
	d->service.enrol = d->enrol;
	d->service.fresh = d->fresh;
	d->service.pulls = d->pulls;
	d->service.scrubber = d->scrubber;
	d->service.repair = d->repair;
	return rc;
}

static int
open_audit(struct daemon *d, struct lt_err *err)
{
	const struct lt_audit_options ao = { .dir = d->s.dir,
		.identity = d->s.id,
		.clock = lt_clock_system(),
		.keep_ms = lt_conf_int(d->s.conf, "audit", "keep_days") * INT64_C(86400000),
		.max_bytes = (uint64_t)lt_conf_int(d->s.conf, "audit", "max_bytes") };
	int rc = lt_audit_open(&ao, &d->audit, err);

	d->service.audit = d->audit;
	return rc;
}

static int
listen_all(struct daemon *d, struct lt_err *err)
{
	struct lt_server_options so = { .admit = lt_service_admit,
		.authorize = lt_service_authorize,
		.closed = lt_service_closed,
		.ended = lt_service_ended,
		.quota = lt_service_quota,
		.ctx = &d->service,
		.line_sk = d->s.id->line_sk,
		.idle_ms = (uint32_t)lt_conf_int(d->s.conf, "hub", "idle_timeout") };
	int rc = lt_serving_server(&d->s, &so, err);

	if (rc == LT_OK)
		rc = lt_service_add(&d->service, d->s.server, err);
	if (rc == LT_OK)
		rc = lt_service_twins(&d->service, lt_clock_system());
	if (rc == LT_OK)
		rc = lt_server_listen(d->s.server, lt_conf_str(d->s.conf, "hub", "listen"), err);
	/* Last: whoever reaches it finds that the province's port is open too. */
	if (rc == LT_OK)
		rc = lt_serving_local(&d->s, err);
	return rc;
}

static void
close_parts(struct daemon *d)
{
	if (d->hub != NULL)
		lt_hub_on_news(d->hub, NULL, NULL);
	lt_serving_quiet(&d->s);
	lt_serving_rest(&d->s);
	lt_scrubber_stop(d->scrubber);
	lt_hub_repair_close(d->repair);
	lt_pulls_close(d->pulls);
	lt_twins_close(d->service.twins);
	lt_fresh_close(d->fresh);
	lt_enrol_close(d->enrol);
	lt_hub_close(d->hub);
	lt_audit_close(d->audit); /* after whoever may yet answer a call */
	lt_serving_end(&d->s);
}

int
lt_hub_serve(const char *dir)
{
	struct daemon d = { 0 };
	struct lt_err err = { "" };
	int rc, code = 1;

	rc = lt_serving_begin(&d.s, dir, LTPB__ROLE__ROLE_HUB, "hub", &err);
	if (rc != LT_OK) {
		code = 3;
		goto out;
	}
	rc = read_config(&d, &err);
	if (rc == LT_OK)
		rc = open_parts(&d, &err);
	if (rc == LT_OK)
		rc = open_audit(&d, &err);
	if (rc == LT_OK)
		rc = listen_all(&d, &err);
	if (rc != LT_OK)
		goto out;
	lt_hub_on_news(d.hub, lt_service_news, &d.service);
	lt_pulls_news(d.pulls); /* for who came in between */
	(void)lt_health_set(d.s.health, "", true);
	lt_info("hub of province %s serves on %s (port %d)", d.s.id->unit.s,
	    lt_conf_str(d.s.conf, "hub", "listen"), lt_server_port(d.s.server));
	lt_info("stopping on signal %d", lt_daemon_wait());
	(void)lt_health_set(d.s.health, "", false);
	code = 0;
out:
	if (rc != LT_OK && code == 3)
		lt_error("%s", err.text[0] != '\0' ? err.text : lt_strerror(rc));
	else if (rc != LT_OK)
		code = lt_serving_failed(&d.s, "lt-hub", rc, &err);
	close_parts(&d);
	return code;
}
