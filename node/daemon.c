#include "node/daemon.h"
#include "node/link.h"
#include "node/rotate.h"
#include "node/scrub.h"
#include "node/service.h"
#include "proto/base/config.h"
#include "proto/base/daemon.h"
#include "proto/base/log.h"
#include "proto/rpc/health.h"
#include "proto/service/serving.h"

#include <stdio.h>
#include <string.h>

#define QUICK_THREADS 3
#define WORK_QUEUE 1024

static const struct lt_conf_key keys[] = {
	{ "node", "hub", LT_CONF_STR, "", 0, 0,
	    NULL }, /* addresses in place of the invitation's; blanks between */
	{ "node", "label", LT_CONF_STR, "", 0, 0, NULL }, /* machine name, told when joining */
	{ "node", "bulk_from", LT_CONF_INT, "0", 0, 1439,
	    NULL }, /* minutes of the day; equal: always */
	{ "node", "bulk_to", LT_CONF_INT, "0", 0, 1439, NULL },
	{ "node", "idle_timeout", LT_CONF_MS, "60s", 1000, 3600000, NULL },
	{ "node", "audit_every", LT_CONF_MS, "60s", 0, INT64_C(7) * 86400000, NULL }, /* 0: never */
	{ "node", "scrub_every", LT_CONF_MS, "24h", 0, INT64_C(30) * 86400000,
	    NULL }, /* 0: when asked */
	{ "node", "scrub_percent", LT_CONF_INT, "2", 1, 100, NULL }, /* of one core */
	{ "node", "salvage", LT_CONF_BOOL, "on", 0, 0,
	    NULL }, /* of a store that cannot be opened */
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
};

struct daemon {
	struct lt_serving s;
	struct lt_node *node;
	struct lt_link *link;
	struct lt_node_repair *repair;
	struct lt_scrubber *scrubber;
	struct lt_rotator *rotator;
	struct lt_node_service service;
};

/* The invitation is spent: it need not lie on the disk any longer. */
static void
joined(void *ctx)
{
	struct daemon *d = ctx;
	struct lt_err err = { "" };

	sodium_memzero(d->s.id->token, sizeof(d->s.id->token));
	if (lt_identity_write(d->s.id, d->s.dir, true, &err) != LT_OK)
		lt_warn("the spent invitation could not be taken out of the identity file: %s",
		    err.text);
	lt_info("this machine is enrolled");
}

static void
resume_rotation(void *ctx)
{
	struct lt_err err = { "" };
	int rc = lt_rotator_resume(ctx, &err);

	if (rc != LT_OK && rc != LT_E_BUSY)
		lt_warn(
		    "the change of keys that was begun does not come to its end yet: %s", err.text);
}

/* A change of keys that a power cut broke off goes on when the hub answers again. */
static void
greeted(void *ctx)
{
	struct daemon *d = ctx;

	if (lt_rotator_begun(d->rotator))
		(void)lt_pool_submit(d->s.pool, resume_rotation, d->rotator);
}

static int
serve_local(struct daemon *d, struct lt_err *err)
{
	struct lt_server_options so = { .authorize = lt_node_service_authorize,
		.ctx = &d->service };
	int rc = lt_serving_server(&d->s, &so, err);

	if (rc == LT_OK)
		rc = lt_node_service_add(&d->service, d->s.server, err);
	return rc == LT_OK ? lt_serving_local(&d->s, err) : rc;
}

static int
open_parts(struct daemon *d, struct lt_err *err)
{
	struct lt_node_options no = {
		.dir = d->s.dir, .identity = d->s.id, .clock = lt_clock_system()
	};
	struct lt_pool_options po = { .threads = { [LT_WORK_QUICK] = QUICK_THREADS,
					  [LT_WORK_LONG] = 1,
					  [LT_WORK_INTAKE] = 1 },
		.queue_max = WORK_QUEUE };
	struct lt_link_options lo = { .joined = joined, .greeted = greeted, .ctx = d };
	struct lt_rotator_options ro = { .dir = d->s.dir };
	const char *configured = lt_conf_str(d->s.conf, "node", "hub");
	int rc;

	no.salvage = lt_conf_bool(d->s.conf, "node", "salvage");
	rc = lt_node_open(&no, &d->node, err);
	if (rc == LT_OK)
		rc = lt_serving_work(&d->s, &po);
	if (rc == LT_OK)
		rc = lt_node_repair_open(d->node, &d->repair);
	lo.repair = d->repair;
	lo.node = d->node;
	lo.pool = d->s.pool;
	lo.addresses = configured[0] != '\0' ? configured : d->s.id->addresses;
	lo.label = lt_conf_str(d->s.conf, "node", "label");
	lo.bulk_from = (int)lt_conf_int(d->s.conf, "node", "bulk_from");
	lo.bulk_to = (int)lt_conf_int(d->s.conf, "node", "bulk_to");
	lo.audit_every_ms = (uint32_t)lt_conf_int(d->s.conf, "node", "audit_every");
	lo.idle_ms = (uint32_t)lt_conf_int(d->s.conf, "node", "idle_timeout");
	ro.node = d->node;
	ro.pool = d->s.pool;
	ro.addresses = lo.addresses;
	if (rc == LT_OK)
		rc = lt_rotator_new(&ro, &d->rotator);
	if (rc == LT_OK)
		rc = lt_link_start(&lo, &d->link, err);
	if (rc == LT_OK)
		rc = lt_node_scrubber_start(d->node, lt_node_repair_repairer(d->repair),
		    lt_conf_int(d->s.conf, "node", "scrub_every"),
		    (unsigned)lt_conf_int(d->s.conf, "node", "scrub_percent"), &d->scrubber);
	d->service.scrubber = d->scrubber;
	d->service.repair = d->repair;
	d->service.node = d->node;
	d->service.link = d->link;
	d->service.rotator = d->rotator;
	return rc == LT_OK ? serve_local(d, err) : rc;
}

static void
close_parts(struct daemon *d)
{
	lt_serving_quiet(&d->s);
	lt_link_stop(d->link);
	lt_serving_rest(&d->s);
	lt_rotator_free(d->rotator);
	lt_scrubber_stop(d->scrubber);
	lt_node_repair_close(d->repair);
	lt_node_close(d->node);
	lt_serving_end(&d->s);
}

int
lt_node_serve(const char *dir)
{
	struct daemon d = { 0 };
	struct lt_err err = { "" };
	int rc, code = 1;

	rc = lt_serving_begin(&d.s, dir, LTPB__ROLE__ROLE_NODE, "node", &err);
	if (rc != LT_OK) {
		code = 3;
		goto out;
	}
	rc = lt_serving_config(&d.s, keys, sizeof(keys) / sizeof(keys[0]), &err);
	if (rc == LT_OK)
		rc = open_parts(&d, &err);
	if (rc != LT_OK)
		goto out;
	(void)lt_health_set(d.s.health, "", true);
	lt_info("node of unit %s serves", d.s.id->unit.s);
	lt_info("stopping on signal %d", lt_daemon_wait());
	code = 0;
out:
	if (rc != LT_OK && code == 3)
		lt_error("%s", err.text[0] != '\0' ? err.text : lt_strerror(rc));
	else if (rc != LT_OK)
		code = lt_serving_failed(&d.s, "lt-node", rc, &err);
	close_parts(&d);
	return code;
}
