/* Machines: made, switched on, stopped, crashed. A machine's store is its disk and outlives its process. */
#include "proto/base/file.h"
#include "proto/feed/trust.h"
#include "proto/store/catalogue_store.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t
wall(void *ctx)
{
	const struct sim_machine *m = ctx;
	int64_t ms = SIM_START_MS + m->sim->now + m->wall_offset_ms;

	return ms < 0 ? 0 : ms;
}

static int64_t
mono(void *ctx)
{
	const struct sim_machine *m = ctx;

	return 1000000 * (int64_t)(m->no + 1) + m->sim->now; /* another on each machine */
}

/* ---- identities ---- */

static void
make_root(struct sim *s, struct lt_identity *hub)
{
	uint8_t seed[32];

	sim_rng_fill(&s->machine_rng, seed, sizeof(seed));
	lt_sign_key_from_seed(seed, &s->root);
	memcpy(hub->root_key, s->root.pk, 32);
	sim_rng_fill(&s->machine_rng, hub->salt, sizeof(hub->salt));
	lt_federation_id(hub->root_key, hub->salt, &hub->federation);
}

static bool
certify(struct sim *s, struct lt_identity *id)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_buf cert;

	body.federation.data = id->federation.b;
	body.federation.len = LT_FED_LEN;
	body.principal.data = id->principal.b;
	body.principal.len = LT_ID_LEN;
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = id->key_no;
	body.sign_key.data = id->sign.pk;
	body.sign_key.len = 32;
	body.line_key.data = id->line_pk;
	body.line_key.len = 32;
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(&cert, 4096);
	if (lt_certificate_make(&body, &s->root, &cert) != LT_OK)
		return false;
	id->certificate = lt_buf_slice(&cert); /* owned by the identity from here */
	return true;
}

static bool
make_hub_identity(struct sim *s)
{
	struct lt_identity *id = &s->m[SIM_HUB].id;

	id->role = LTPB__ROLE__ROLE_HUB;
	make_root(s, id);
	lt_identity_keys(id);
	memcpy(id->hub_line_key, id->line_pk, 32);
	return lt_unit_set(&id->unit, lt_slice_str(SIM_PROVINCE)) == LT_OK && certify(s, id);
}

static bool
make_node_identity(struct sim *s, struct sim_machine *m)
{
	static const char *const address[] = { "tcp://hub.invalid:7340" };
	const struct lt_identity *hub = &s->m[SIM_HUB].id;
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	struct lt_err err = { "" };
	Ltpb__Invitation *inv;
	struct lt_arena arena;
	struct lt_buf line;
	int64_t expires;
	bool ok;

	req.role = LTPB__ROLE__ROLE_NODE;
	req.unit = m->unit.s;
	req.auto_approve = true;
	req.expires_in_s = 90 * 86400;
	lt_buf_init(&line, 4096);
	lt_arena_init(&arena, 1 << 20);
	ok = lt_enrol_invite(s->enrol, &req, address, 1, &line, &expires, &err) == LT_OK;
	lt_buf_u8(&line, 0);
	ok = ok && lt_invitation_parse((const char *)line.data, &arena, &inv, &err) == LT_OK;
	if (ok) {
		m->id.role = LTPB__ROLE__ROLE_NODE;
		memcpy(m->id.root_key, hub->root_key, 32);
		memcpy(m->id.salt, hub->salt, 16);
		m->id.federation = hub->federation;
		memcpy(m->id.hub_line_key, hub->line_pk, 32);
		memcpy(m->id.token, inv->token.data, 16);
		m->id.unit = m->unit;
		lt_identity_keys(&m->id);
	}
	if (!ok)
		sim_fail(s, "an invitation for node %d: %s", m->no, err.text);
	lt_arena_fini(&arena);
	lt_buf_fini(&line);
	return ok;
}

/* ---- life ---- */

static void
moved(void *ctx, const struct lt_feed_id *feed, uint64_t head)
{
	struct sim_machine *m = ctx;
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_COMMITTED, .feed = *feed, .seq = head };

	if (!m->dead)
		sim_post_sync(m->sim, m->no, 0, &ev, NULL);
}

static void
pull_broke(void *ctx)
{
	((struct sim_machine *)ctx)->pull_broke = true;
}

/* The invitation is spent: the program writes its identity without it. */
static void
joined(void *ctx)
{
	struct sim_machine *m = ctx;

	if (!m->dead)
		memset(m->id.token, 0, sizeof(m->id.token));
}

static void
hub_news(void *ctx)
{
	struct sim *s = ctx;

	if (!s->m[SIM_HUB].dead)
		sim_news(s);
}

/* A store that cannot commit ends the process. */
static void
store_failed(void *ctx, int rc)
{
	(void)rc;
	((struct sim_machine *)ctx)->dead = true;
}

static bool
open_hub(struct sim *s)
{
	struct sim_machine *m = &s->m[SIM_HUB];
	struct lt_hub_options o = { .dir = "/nonexistent",
		.identity = &m->id,
		.clock = &m->clock,
		.log = m->kv,
		.derived = m->derived,
		.manual = true,
		.store_failed = store_failed,
		.store_failed_ctx = m };
	struct lt_err err = { "" };
	int rc = lt_hub_open(&o, &s->hub, &err);

	if (rc == LT_OK)
		rc = lt_enrol_open(s->hub, &s->enrol, &err);
	if (rc == LT_OK)
		rc = lt_fresh_open(s->hub, &s->fresh);
	if (rc != LT_OK && !m->dead && s->now >= m->disk_full_until)
		sim_fail(s, "the hub does not open: %s %s", lt_strerror(rc), err.text);
	memset(&s->service, 0, sizeof(s->service));
	s->service.hub = s->hub;
	s->service.enrol = s->enrol;
	s->service.fresh = s->fresh;
	if (rc == LT_OK)
		lt_hub_on_news(s->hub, hub_news, s);
	return rc == LT_OK && sim_open_twins(s);
}

static void
close_hub(struct sim *s)
{
	size_t i;

	for (i = 0; i < s->nstream; i++)
		lt_pull_plan_free(s->stream[i].plan);
	s->nstream = 0;
	s->pump_due = false;
	if (s->hub != NULL)
		lt_hub_on_news(s->hub, NULL, NULL);
	lt_twins_close(s->service.twins);
	lt_fresh_close(s->fresh);
	lt_enrol_close(s->enrol);
	lt_hub_close(s->hub);
	s->hub = NULL;
	s->enrol = NULL;
	s->fresh = NULL;
	memset(&s->service, 0, sizeof(s->service));
}

static void
close_node(struct sim_machine *m)
{
	size_t i;

	if (m->node != NULL)
		lt_node_on_moved(m->node, NULL, NULL);
	if (m->session != NULL)
		lt_session_drop(m->session);
	lt_node_close(m->node); /* what is queued runs, and tells the session */
	lt_session_free(m->session);
	m->node = NULL;
	m->session = NULL;
	m->pull_broke = m->dialing = false;
	m->line = NULL;
	for (i = 0; i < SIM_CALLS; i++)
		m->call[i].open = false;
}

static bool
open_node(struct sim *s, struct sim_machine *m)
{
	static const uint8_t no_token[16];
	struct lt_node_options o = { .dir = "/nonexistent",
		.identity = &m->id,
		.clock = &m->clock,
		.kv = m->kv,
		.manual = true,
		.store_failed = store_failed,
		.store_failed_ctx = m };
	struct lt_session_options so = { .joined = joined, .pull_broke = pull_broke, .ctx = m };
	struct lt_sync_config config = { .seed = sim_rng_next(&s->machine_rng) };
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_START };
	struct lt_err err = { "" };
	int rc = lt_node_open(&o, &m->node, &err);

	so.node = m->node;
	if (rc == LT_OK)
		rc = lt_session_new(&so, &m->session);
	if (rc != LT_OK) {
		if (!m->dead && s->now >= m->disk_full_until)
			sim_fail(
			    s, "node %d does not open: %s %s", m->no, lt_strerror(rc), err.text);
		return false;
	}
	config.joining = memcmp(m->id.token, no_token, sizeof(no_token)) != 0;
	lt_sync_init(&m->sync, &config);
	lt_node_on_moved(m->node, moved, m);
	if (!m->thief) /* he has the program's store, and no use for the rest of it */
		sim_post_sync(s, m->no, 0, &ev, NULL);
	sim_step_due(s, m->no); /* a rebuild may wait */
	return true;
}

void
sim_start(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];
	bool up;

	if (m->up || m->held_off || (machine != SIM_HUB && !m->enrolled))
		return;
	m->life++;
	m->up = true;
	m->step_due = false;
	sim_say(s, "machine %d starts", machine);
	up = machine == SIM_HUB ? open_hub(s) : open_node(s, m);
	if (up && !m->dead) {
		if (machine == SIM_HUB)
			sim_step_due(s, SIM_HUB);
		return;
	}
	/* Its disk is full, or it crashed while it started: somebody, or systemd, tries again. */
	sim_crash(s, machine, m->dead ? m->down_for_ms : 5000);
}

static void
shut(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];

	if (machine == SIM_HUB)
		close_hub(s);
	else
		close_node(m);
	m->up = false;
	m->step_due = false;
	m->crash_in = 0;
	if (m->dead)
		sim_disk_truth(s, m);
}

void
sim_stop(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];

	if (!m->up)
		return;
	sim_say(s, "machine %d stops", machine);
	shut(s, machine);
	m->dead = false; /* it may have crashed while it stopped */
	sim_lines_lost(s, machine, false);
}

/* Nothing is written from here on: what was committed is what the next process finds. */
void
sim_crash(struct sim *s, int machine, int64_t down_ms)
{
	struct sim_machine *m = &s->m[machine];

	if (!m->up)
		return;
	sim_say(s, "machine %d crashes, down for %lld ms", machine, (long long)down_ms);
	m->dead = true;
	shut(s, machine);
	m->dead = false;
	sim_lines_lost(s, machine, sim_rng_chance(&s->rng, 300));
	s->crashes++;
	sim_at(s, down_ms, SIM_EV_START, machine, 0, 0);
}

void
sim_after(struct sim *s, int machine)
{
	if (s->m[machine].dead)
		sim_crash(s, machine, s->m[machine].down_for_ms);
}

/* ---- turns of the writers ---- */

static int64_t
disk_ms(struct sim *s, const struct sim_machine *m)
{
	int64_t ms = sim_rng_between(&s->rng, 0, s->o.disk_ms);

	return s->now < m->disk_slow_until ? ms + sim_rng_between(&s->rng, 500, 8000) : ms;
}

void
sim_step_due(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];

	if (m->step_due || !m->up)
		return;
	m->step_due = true;
	sim_at(s, disk_ms(s, m), machine == SIM_HUB ? SIM_EV_HUB_STEP : SIM_EV_NODE_STEP, machine,
	    0, 0);
}

void
sim_node_turn(struct sim *s, int machine)
{
	struct sim_machine *m = &s->m[machine];

	m->step_due = false;
	if (lt_node_step(m->node))
		sim_step_due(s, machine);
	sim_pull_check(s, machine);
}

void
sim_hub_turn(struct sim *s)
{
	s->m[SIM_HUB].step_due = false;
	if (lt_hub_step(s->hub) || lt_hub_projected(s->hub) < lt_hub_log_position(s->hub))
		sim_step_due(s, SIM_HUB);
}

/* ---- the province before a run ---- */

bool
sim_publish(struct sim *s, uint64_t version)
{
	struct lt_unit us = { "_" };
	struct lt_err err = { "" };
	struct lt_draft *drafts;
	struct lt_write *w;
	struct lt_arena arena;
	struct lt_buf json;
	size_t n = 0, i;
	int rc;

	lt_arena_init(&arena, (size_t)32 << 20);
	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	rc = lt_file_read(version == 1 ? SIM_DATA "/catalogue.json" : SIM_DATA "/catalogue2.json",
	    LT_CATALOGUE_BYTES_MAX, &json, &err);
	if (rc == LT_OK)
		rc = lt_catalogue_publish(lt_buf_slice(&json), version, &arena, &drafts, &n, &err);
	if (rc != LT_OK)
		sim_fail(s, "catalogue %llu: %s", (unsigned long long)version, err.text);
	w = lt_arena_alloc(&arena, (n + 1) * sizeof(*w));
	for (i = 0; rc == LT_OK && i < n; i++) {
		w[i].collection = drafts[i].collection;
		w[i].key = drafts[i].key;
		w[i].set = drafts[i].set;
		w[i].nset = drafts[i].nset;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	if (rc == LT_OK)
		rc = lt_hub_write(s->hub, &us, w, n, &arena, &err);
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = w[i].rc;
	if (rc != LT_OK && s->now == 0)
		sim_fail(s, "catalogue %llu: %s %s", (unsigned long long)version, lt_strerror(rc),
		    i > 0 ? w[i - 1].violation.message : err.text);
	lt_buf_fini(&json);
	lt_arena_fini(&arena);
	return rc == LT_OK;
}

/* Eight communes of Nghệ An by their codes; four have two nodes or more. */
static const char *const unit_code[SIM_UNITS] = { "17254", "16906", "16855", "16681", "16690",
	"16696", "16702", "16708" };

static bool
publish_units(struct sim *s)
{
	Ltpb__FieldSet field = LTPB__FIELD_SET__INIT, *set = &field;
	Ltpb__Value name = LTPB__VALUE__INIT;
	struct lt_unit us = { "_" };
	struct lt_write w[SIM_UNITS + 1];
	struct lt_err err = { "" };
	struct lt_arena arena;
	size_t i;
	int rc;

	memset(w, 0, sizeof(w));
	field.name = (char *)"name";
	field.value = &name;
	name.v_case = LTPB__VALUE__V_TEXT;
	name.text = (char *)"Xã";
	for (i = 0; i <= SIM_UNITS; i++) {
		w[i].collection = "_unit";
		w[i].key = i == SIM_UNITS ? SIM_PROVINCE : unit_code[i];
		w[i].set = &set;
		w[i].nset = 1;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	lt_arena_init(&arena, (size_t)16 << 20);
	rc = lt_hub_write(s->hub, &us, w, SIM_UNITS + 1, &arena, &err);
	if (rc != LT_OK || w[0].rc != LT_OK)
		sim_fail(s, "units: %s %s", err.text, w[0].violation.message);
	lt_arena_fini(&arena);
	return !s->failed;
}

static bool
open_disk(struct sim *s, struct sim_machine *m, enum lt_kv_kind kind, struct lt_kv **out)
{
	struct lt_kv_options o = {
		.kind = kind, .federation = s->m[SIM_HUB].id.federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };

	if (lt_kv_open_mem(&o, out, &err) != LT_OK) {
		sim_fail(s, "store: %s", err.text);
		return false;
	}
	lt_kv_set_fault(*out, sim_store_call, m);
	return true;
}

static bool
make_nodes(struct sim *s)
{
	int i;

	for (i = 1; i <= SIM_NODES; i++) {
		struct sim_machine *m = &s->m[i];

		(void)snprintf(m->unit.s, sizeof(m->unit.s), "%s",
		    unit_code[i <= SIM_UNITS ? i - 1 : (i - 1) % 4]);
		if (!make_node_identity(s, m) || !open_disk(s, m, LT_KV_NODE, &m->kv))
			return false;
	}
	return true;
}

/* Runs what is due until the machines that are up have nothing more to say to each other for a while. */
static bool
settle(struct sim *s, int64_t ms)
{
	int64_t until = s->now + ms;

	s->o.fault_ms = INT64_MAX;
	while (!s->failed && s->now < until && sim_world_step(s))
		;
	return !s->failed;
}

bool
sim_world_make(struct sim *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	sim_rng_seed(&s->rng, 1);
	sim_rng_seed(&s->machine_rng, 2);
	s->o.latency_ms = 1;
	for (i = 0; i < SIM_MACHINES; i++) {
		struct sim_machine *m = &s->m[i];

		m->sim = s;
		m->no = i;
		m->clock.wall_ms = wall;
		m->clock.mono_ms = mono;
		m->clock.ctx = m;
	}
	sim_check_open(s);
	if (!make_hub_identity(s) ||
	    !open_disk(s, &s->m[SIM_HUB], LT_KV_HUB_LOG, &s->m[SIM_HUB].kv) ||
	    !open_disk(s, &s->m[SIM_HUB], LT_KV_HUB_DERIVED, &s->m[SIM_HUB].derived))
		return false;
	s->m[SIM_HUB].enrolled = true;
	sim_start(s, SIM_HUB);
	s->catalogue_version = 1;
	if (s->failed || !sim_publish(s, 1) || !publish_units(s) || !make_nodes(s))
		return false;
	for (i = 1; i <= SIM_NODES - SIM_LATE; i++) {
		s->m[i].enrolled = true;
		sim_start(s, i);
	}
	return settle(s, 5000);
}

void
sim_world_free(struct sim *s)
{
	size_t k;
	int i;

	for (i = 0; i < SIM_MACHINES; i++) {
		struct sim_machine *m = &s->m[i];

		if (m->up)
			sim_stop(s, i);
		lt_kv_close(m->kv);
		lt_kv_close(m->derived);
		free(m->saved);
	}
	for (k = 0; k < s->nline; k++)
		free(s->line[k]);
	free(s->line);
	free((void *)(uintptr_t)s->m[SIM_HUB].id.certificate.data);
	sim_check_close(s);
	sim_backups_free(s);
	sim_copies_free(s);
	free(s->forkable);
	sim_queue_clear(&s->queue);
}
