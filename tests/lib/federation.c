#include "tests/lib/federation.h"
#include "proto/rpc/reflection.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/feed/trust.h"
#include "proto/model/value.h"
#include "proto/store/catalogue_store.h"

#include <assert.h>
#include <ftw.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
check(int rc, const char *what, const char *why)
{
	if (rc != LT_OK)
		fail_msg("%s: %s %s", what, lt_strerror(rc), why);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
make_dir(char out[256], const char *what)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(out, 256, "%s/lt-%s-XXXXXX", tmp != NULL ? tmp : "/tmp", what);
	assert_non_null(mkdtemp(out));
}

/* What takes so long on a machine of its own takes longer beside other tests, and much longer under a sanitizer; only a test that fails
 * waits for all of it. */
#define PATIENCE 4

void
fed_wait(bool (*cond)(void *ctx), void *ctx, int timeout_ms, const char *what)
{
	/* Most of what is waited for is there at once: ask often in the beginning. */
	struct timespec pause = { 0, 100000 };
	int64_t until = lt_mono_ms(lt_clock_system()) + (int64_t)timeout_ms * PATIENCE;

	while (!cond(ctx)) {
		if (lt_mono_ms(lt_clock_system()) > until)
			fail_msg("not within %d ms: %s", timeout_ms * PATIENCE, what);
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
}

/* ---- hub ---- */

/* Certified and written, and read as a hub reads it. id is freed. */
static void
certify_hub(struct fed *f, struct lt_identity *id, bool replace)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_err err = { "" };
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
	body.generation = id->key_no;
	body.purpose = (char *)"hub";
	lt_buf_init(&cert, 4096);
	check(lt_certificate_make(&body, &f->root, &cert), "certificate", "");
	id->certificate = lt_buf_slice(&cert);
	check(lt_identity_write(id, f->dir, replace, &err), "identity", err.text);
	lt_buf_fini(&cert);
	free(id);
	check(lt_identity_load(f->dir, &f->hub_id, &err), "identity", err.text);
}

static void
make_hub_identity(struct fed *f)
{
	struct lt_identity *id = calloc(1, sizeof(*id));
	uint8_t seed[32];

	assert_non_null(id);
	randombytes_buf(seed, sizeof(seed));
	lt_sign_key_from_seed(seed, &f->root);
	id->role = LTPB__ROLE__ROLE_HUB;
	memcpy(id->root_key, f->root.pk, 32);
	randombytes_buf(id->salt, sizeof(id->salt));
	lt_federation_id(id->root_key, id->salt, &id->federation);
	lt_identity_keys(id);
	memcpy(id->hub_line_key, id->line_pk, 32);
	check(lt_unit_set(&id->unit, lt_slice_str("40")), "unit", "");
	certify_hub(f, id, false);
}

void
fed_hub_rekey(struct fed *f)
{
	struct lt_identity *id = calloc(1, sizeof(*id));

	assert_non_null(id);
	*id = *f->hub_id;
	lt_identity_keys(id);
	memcpy(id->line_sk, f->hub_id->line_sk, sizeof(id->line_sk));
	memcpy(id->line_pk, f->hub_id->line_pk, sizeof(id->line_pk));
	id->key_no = f->hub_id->key_no + 1;
	lt_identity_free(f->hub_id);
	certify_hub(f, id, true);
}

static Ltpb__FieldSet *
text_field(struct lt_arena *a, const char *name, const char *text)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a, sizeof(*fs));
	Ltpb__Value *v = lt_arena_alloc(a, sizeof(*v));

	ltpb__field_set__init(fs);
	ltpb__value__init(v);
	v->v_case = LTPB__VALUE__V_TEXT;
	v->text = (char *)text;
	fs->name = (char *)name;
	fs->value = v;
	return fs;
}

static void
publish_catalogue(struct fed *f, struct lt_arena *arena)
{
	struct lt_unit us = { "_" };
	struct lt_err err = { "" };
	struct lt_draft *drafts;
	struct lt_write *w;
	struct lt_buf json;
	size_t n, i;

	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	check(lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &json, &err),
	    "catalogue", err.text);
	check(lt_catalogue_publish(lt_buf_slice(&json), 1, arena, &drafts, &n, &err), "publish",
	    err.text);
	w = lt_arena_alloc(arena, n * sizeof(*w));
	for (i = 0; i < n; i++) {
		w[i].collection = drafts[i].collection;
		w[i].key = drafts[i].key;
		w[i].set = drafts[i].set;
		w[i].nset = drafts[i].nset;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	check(lt_hub_write(f->hub, &us, w, n, arena, &err), "write catalogue", err.text);
	for (i = 0; i < n; i++)
		check(w[i].rc, w[i].key, w[i].violation.message);
	lt_buf_fini(&json);
}

static void
publish_units(struct fed *f, struct lt_arena *arena)
{
	static const char *const units[][2] = { { "40", "Nghệ An" }, { "17254", "Con Cuông" },
		{ "16906", "Lượng Minh" }, { "16855", "Chiêu Lưu" } };
	struct lt_unit us = { "_" };
	struct lt_write w[4];
	Ltpb__FieldSet *set[4][1];
	struct lt_err err = { "" };
	size_t i;

	memset(w, 0, sizeof(w));
	for (i = 0; i < 4; i++) {
		set[i][0] = text_field(arena, "name", units[i][1]);
		w[i].collection = "_unit";
		w[i].key = units[i][0];
		w[i].set = set[i];
		w[i].nset = 1;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	check(lt_hub_write(f->hub, &us, w, 4, arena, &err), "units", err.text);
	for (i = 0; i < 4; i++)
		check(w[i].rc, w[i].key, w[i].violation.message);
}

void
fed_hub_start(struct fed *f)
{
	struct lt_hub_options ho = { .dir = f->dir,
		.identity = f->hub_id,
		.clock = f->clock,
		.map_bytes = (uint64_t)1 << 30 };
	struct lt_server_options so = { .clock = lt_clock_system(),
		.methods = lt_methods,
		.nmethods = lt_nmethods,
		.admit = lt_service_admit,
		.authorize = lt_service_authorize,
		.closed = lt_service_closed,
		.ended = lt_service_ended };
	struct lt_err err = { "" };
	char url[64];

	check(lt_hub_open(&ho, &f->hub, &err), "hub", err.text);
	check(lt_enrol_open(f->hub, &f->enrol, &err), "enrol", err.text);
	check(lt_fresh_open(f->hub, &f->fresh), "fresh", "");
	check(lt_pool_start(4, 1024, &f->pool), "pool", "");
	check(lt_pulls_open(f->hub, f->pool, &f->pulls), "pulls", "");
	f->service.hub = f->hub;
	f->service.enrol = f->enrol;
	f->service.fresh = f->fresh;
	f->service.pulls = f->pulls;
	so.pool = f->pool;
	so.ctx = &f->service;
	so.line_sk = f->hub_id->line_sk;
	so.federation = f->hub_id->federation.b;
	check(lt_server_new(&so, &f->server, &err), "server", err.text);
	check(lt_service_add(&f->service, f->server, &err), "services", err.text);
	if (!f->no_twins)
		check(lt_service_twins(&f->service, lt_clock_system()), "twins", "");
	f->health = lt_health_new();
	assert_non_null(f->health);
	check(lt_server_add(f->server, lt_health_service(f->health), &err), "health", err.text);
	check(lt_server_add(f->server, lt_reflection_service(), &err), "reflection", err.text);
	(void)snprintf(f->local, sizeof(f->local), "ipc://%.200s/sock", f->dir);
	check(lt_server_listen(f->server, f->local, &err), "listen", err.text);
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", f->port);
	check(lt_server_listen(f->server, url, &err), "listen", err.text);
	f->port = lt_server_port(f->server);
	(void)snprintf(f->address, sizeof(f->address), "tcp://127.0.0.1:%d", f->port);
	f->addresses[0] = f->address;
	f->service.addresses = f->addresses;
	f->service.naddress = 1;
	lt_hub_on_news(f->hub, lt_service_news, &f->service);
}

void
fed_hub_stop(struct fed *f)
{
	lt_hub_on_news(f->hub, NULL, NULL);
	lt_server_stop(f->server, 1000);
	lt_pool_stop(f->pool);
	lt_pulls_close(f->pulls);
	lt_twins_close(f->service.twins);
	f->service.twins = NULL;
	lt_fresh_close(f->fresh);
	lt_enrol_close(f->enrol);
	lt_hub_close(f->hub);
	lt_health_free(f->health);
	f->hub = NULL;
}

void
fed_setup(struct fed *f)
{
	fed_setup_at(f, lt_clock_system());
}

void
fed_found(struct fed *f, const struct lt_clock *clock)
{
	memset(f, 0, sizeof(*f));
	f->clock = clock;
	assert_true(sodium_init() >= 0);
	if (getenv("LT_TEST_LOG") == NULL)
		lt_log_level_set(LT_LOG_ERROR);
	make_dir(f->dir, "hub");
	make_hub_identity(f);
}

void
fed_publish(struct fed *f)
{
	struct lt_arena arena;

	lt_arena_init(&arena, (size_t)64 * 1024 * 1024);
	publish_catalogue(f, &arena);
	publish_units(f, &arena);
	lt_arena_fini(&arena);
}

/* Two fields of the dossier with another policy, one more indexed, and one no longer. */
void
fed_publish_second(struct fed *f)
{
	struct lt_unit us = { "_" };
	struct lt_err err = { "" };
	json_t *root, *c, *field;
	struct lt_draft *drafts;
	struct lt_arena arena;
	struct lt_write *w;
	struct lt_buf json;
	size_t n, i, k, hits = 0;
	char *text;

	lt_arena_init(&arena, (size_t)64 * 1024 * 1024);
	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	assert_int_equal(
	    lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &json, &err),
	    LT_OK);
	root = json_loadb((const char *)json.data, json.len, 0, NULL);
	json_array_foreach(json_object_get(root, "collections"), i, c)
	{
		if (strcmp(json_string_value(json_object_get(c, "id")), "dossier") != 0)
			continue;
		json_array_foreach(json_object_get(c, "fields"), k, field)
		{
			const char *name = json_string_value(json_object_get(field, "name"));

			if (strcmp(name, "procedure_name") == 0 || strcmp(name, "status") == 0) {
				(void)json_object_set_new(field, "merge", json_string("first"));
				(void)json_object_set_new(field, "indexed",
				    json_boolean(!json_is_true(json_object_get(field, "indexed"))));
				hits++;
			}
		}
	}
	assert_int_equal(hits, 2);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (lt_catalogue_publish(lt_slice_str(text), 2, &arena, &drafts, &n, &err) != LT_OK)
		fail_msg("%s", err.text);
	w = lt_arena_alloc(&arena, n * sizeof(*w));
	for (i = 0; i < n; i++) {
		w[i].collection = drafts[i].collection;
		w[i].key = drafts[i].key;
		w[i].set = drafts[i].set;
		w[i].nset = drafts[i].nset;
		w[i].builtin = true;
		w[i].writer = LT_WRITER_PROVINCE;
	}
	assert_int_equal(lt_hub_write(f->hub, &us, w, n, &arena, &err), LT_OK);
	free(text);
	lt_buf_fini(&json);
	lt_arena_fini(&arena);
}

void
fed_setup_at(struct fed *f, const struct lt_clock *clock)
{
	fed_found(f, clock);
	fed_hub_start(f);
	fed_publish(f);
}

void
fed_remove(struct fed *f)
{
	lt_identity_free(f->hub_id);
	remove_tree(f->dir);
}

void
fed_teardown(struct fed *f)
{
	if (f->hub != NULL)
		fed_hub_stop(f);
	fed_remove(f);
}

/* ---- nodes ---- */

void
fed_node_setup(struct fed *f, struct fed_node *n, const char *unit)
{
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	struct lt_err err = { "" };
	struct lt_buf line;
	int64_t expires;

	req.role = LTPB__ROLE__ROLE_NODE;
	req.unit = (char *)unit;
	req.auto_approve = true;
	lt_buf_init(&line, 4096);
	check(lt_enrol_invite(f->enrol, &req, f->addresses, 1, &line, &expires, &err), "invite",
	    err.text);
	lt_buf_u8(&line, 0);
	fed_node_invited(n, (const char *)line.data);
	lt_buf_fini(&line);
}

void
fed_node_invited(struct fed_node *n, const char *line)
{
	struct lt_identity *id = calloc(1, sizeof(*id));
	struct lt_err err = { "" };
	Ltpb__Invitation *inv;
	struct lt_arena arena;

	memset(n, 0, sizeof(*n));
	make_dir(n->dir, "node");
	lt_arena_init(&arena, 1 << 20);
	check(lt_invitation_parse(line, &arena, &inv, &err), "invitation", err.text);
	assert_non_null(id);
	id->role = LTPB__ROLE__ROLE_NODE;
	memcpy(id->root_key, inv->root_key.data, 32);
	memcpy(id->salt, inv->federation_salt.data, 16);
	lt_federation_id(id->root_key, id->salt, &id->federation);
	memcpy(id->hub_line_key, inv->hub_line_key.data, 32);
	memcpy(id->token, inv->token.data, 16);
	(void)snprintf(id->addresses, sizeof(id->addresses), "%s", inv->address[0]);
	check(lt_unit_set(&id->unit, lt_slice_str(inv->unit)), "unit", "");
	lt_identity_keys(id);
	check(lt_identity_write(id, n->dir, false, &err), "identity", err.text);
	free(id);
	check(lt_identity_load(n->dir, &n->id, &err), "identity", err.text);
	lt_arena_fini(&arena);
}

void
fed_join_request(const struct lt_identity *id, uint8_t proof[LT_SIG_LEN], Ltpb__JoinRequest *r)
{
	ltpb__join_request__init(r);
	lt_join_proof(&id->sign, &id->federation, id->token, &id->principal, id->line_pk, proof);
	r->token.data = (uint8_t *)id->token;
	r->token.len = sizeof(id->token);
	r->principal.data = (uint8_t *)id->principal.b;
	r->principal.len = LT_ID_LEN;
	r->sign_key.data = (uint8_t *)id->sign.pk;
	r->sign_key.len = sizeof(id->sign.pk);
	r->proof.data = proof;
	r->proof.len = LT_SIG_LEN;
}

void
fed_node_join(struct fed *f, struct fed_node *n, const char *label)
{
	Ltpb__PrincipalState state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED;
	struct lt_err err = { "" };
	Ltpb__JoinRequest req;
	uint8_t proof[LT_SIG_LEN];

	fed_join_request(n->id, proof, &req);
	req.label = (char *)label;
	check(
	    lt_enrol_join(f->enrol, &req, n->id->line_pk, "test", &state, &err), "join", err.text);
	assert_int_equal(state, LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
}

void
fed_node_start(struct fed *f, struct fed_node *n)
{
	struct lt_node_options no = { .dir = n->dir,
		.identity = n->id,
		.clock = lt_clock_system(),
		.map_bytes = (uint64_t)1 << 30,
		.salvage = n->salvage };
	struct lt_link_options lo = { 0 };
	struct lt_err err = { "" };

	check(lt_node_open(&no, &n->node, &err), "node", err.text);
	check(lt_pool_start(2, 256, &n->pool), "pool", "");
	lo.node = n->node;
	lo.pool = n->pool;
	lo.addresses = f->address;
	check(lt_link_start(&lo, &n->link, &err), "link", err.text);
}

void
fed_node_stop(struct fed_node *n)
{
	lt_link_stop(n->link);
	lt_pool_stop(n->pool);
	lt_node_close(n->node);
	n->node = NULL;
}

void
fed_node_copy(const struct fed_node *n, struct fed_node *copy)
{
	struct lt_err err = { "" };
	char command[600];

	assert_null(n->node);
	memset(copy, 0, sizeof(*copy));
	make_dir(copy->dir, "copy");
	(void)snprintf(command, sizeof(command), "cp -a '%s/.' '%s/'", n->dir, copy->dir);
	assert_int_equal(system(command), 0);
	check(lt_identity_load(copy->dir, &copy->id, &err), "identity", err.text);
}

void
fed_node_teardown(struct fed_node *n)
{
	if (n->node != NULL)
		fed_node_stop(n);
	lt_identity_free(n->id);
	remove_tree(n->dir);
}

/* ---- records ---- */

struct wanted {
	const char *name;
	enum lt_type type;
	const char *text;
};

static const struct wanted new_dossier[] = {
	{ "procedure_code", LT_TYPE_TEXT, "1.012784" },
	{ "procedure_name", LT_TYPE_TEXT, "Đăng ký khai sinh" },
	{ "field_area", LT_TYPE_ENUM, "ho_tich" },
	{ "authority_level", LT_TYPE_ENUM, "xa" },
	{ "submit_channel", LT_TYPE_ENUM, "truc_tuyen_toan_trinh" },
	{ "applicant_name", LT_TYPE_TEXT, "Vi Văn Mẫu" },
	{ "applicant_id_no", LT_TYPE_TEXT, "099170000016" },
	{ "received_at", LT_TYPE_TIMESTAMP, "2026-11-20T02:00:00.000Z" },
	{ "due_date", LT_TYPE_DATE, "2026-11-25" },
};

static Ltpb__FieldSet *
wanted_field(struct lt_arena *a, const struct wanted *w)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a, sizeof(*fs));
	struct lt_err err = { "" };

	ltpb__field_set__init(fs);
	fs->name = (char *)w->name;
	check(lt_value_parse(w->type, 0, lt_slice_str(w->text), a, &fs->value, &err), w->name,
	    err.text);
	return fs;
}

static void
dossier_key(char out[64], unsigned number)
{
	(void)snprintf(out, 64, "H41.65-261120-%04u", number);
}

int
fed_put_dossier(struct fed_node *n, unsigned number, const char *status, struct lt_dot *dot)
{
	struct wanted st = { "status", LT_TYPE_ENUM, status != NULL ? status : "tiep_nhan" };
	Ltpb__FieldSet *set[16];
	struct lt_write w = {
		.collection = "dossier", .set = set, .writer = LT_WRITER_COMMUNE, .actor = "cb01"
	};
	struct lt_err err = { "" };
	struct lt_arena arena;
	char key[64];
	size_t i;
	int rc;

	lt_arena_init(&arena, 8 << 20);
	dossier_key(key, number);
	w.key = key;
	if (status == NULL)
		for (i = 0; i < sizeof(new_dossier) / sizeof(new_dossier[0]); i++)
			set[w.nset++] = wanted_field(&arena, &new_dossier[i]);
	set[w.nset++] = wanted_field(&arena, &st);
	rc = lt_node_write(n->node, &w, 1, NULL, NULL, &arena, &err);
	if (rc == LT_OK && w.rc != LT_OK)
		print_message(
		    "dossier %u refused: %s %s\n", number, w.violation.message, lt_strerror(w.rc));
	if (rc == LT_OK)
		rc = w.rc;
	if (rc == LT_OK && dot != NULL)
		*dot = w.dot;
	lt_arena_fini(&arena);
	return rc;
}

bool
fed_hub_field(
    struct fed *f, const char *unit, unsigned number, const char *field, char *out, size_t cap)
{
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	bool found = false;
	char key[64];
	size_t i;

	if (lt_kv_begin_read(lt_hub_derived(f->hub), &txn) != LT_OK)
		return false;
	lt_arena_init(&arena, 1 << 20);
	dossier_key(key, number);
	if (lt_record_get(txn, "dossier", unit, key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field && !found; i++) {
			struct lt_buf b;

			if (strcmp(rec->field[i]->name, field) != 0)
				continue;
			lt_buf_init(&b, 0);
			lt_value_text(rec->field[i]->value, &b);
			(void)snprintf(out, cap, "%.*s", (int)b.len, (const char *)b.data);
			lt_buf_fini(&b);
			found = true;
		}
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return found;
}
