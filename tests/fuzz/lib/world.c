#include "tests/fuzz/lib/world.h"

#include "proto/base/wire.h"
#include "tests/lib/random.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 16384
#define STEPS_MAX 256 /* of a machine until it must have come to rest */

static struct memfed fed;
static struct memfed_marks marks;
static struct fed_node node;
static struct lt_kv_image *image[FUZZ_STORES];
static struct fuzz_entry *entries[FUZZ_STORES];
static size_t nentries[FUZZ_STORES];
static const enum lt_kv_kind kinds[FUZZ_STORES] = { LT_KV_HUB_LOG, LT_KV_HUB_DERIVED, LT_KV_NODE };

/* ---- the talk of node and hub ---- */

struct talk {
	struct lt_session *session;
	struct lt_session_call call;
};

static void
take(void *ctx, const ProtobufCMessage *m)
{
	struct talk *t = ctx;

	while (!lt_session_has_room(t->session) && lt_node_step(node.node))
		;
	lt_session_take(t->session, &t->call, m);
}

static void
ask(struct talk *t, const struct lt_sync_action *a)
{
	struct lt_peer line = fuzz_node_line();
	struct lt_status st = { .code = LT_STATUS_OK };
	struct lt_session_request req;
	struct lt_arena arena;
	char method[128];

	lt_arena_init(&arena, (size_t)64 << 20);
	FUZZ_MUST(lt_session_ask(t->session, a, &arena, &t->call, &req) == LT_OK);
	(void)snprintf(method, sizeof(method), "/%s/%s", req.service->name, req.method);
	st.code = (enum lt_status_code)memfed_ask(&fed, &line, method, req.message, take, t);
	while (lt_session_applying(t->session) > 0 && lt_node_step(node.node))
		;
	lt_session_end(t->session, &t->call, &st);
	FUZZ_MUST(st.code == LT_STATUS_OK);
	lt_arena_fini(&arena);
	fed.now_ms += 1000;
}

static void
sync_once(struct talk *t)
{
	struct lt_sync_action a = { .kind = LT_SYNC_DO_HELLO };
	struct lt_sync_feed feeds[LT_SYNC_FEEDS_MAX];
	size_t i, n;

	ask(t, &a);
	n = t->call.ev.nfeed;
	memcpy(feeds, t->call.feeds, sizeof(feeds));
	for (i = 0; i < n; i++) {
		a = (struct lt_sync_action){ .kind = LT_SYNC_DO_PUSH,
			.feed = feeds[i].feed,
			.from_seq = feeds[i].held + 1,
			.max_bytes = LT_SYNC_BATCH_MAX };
		if (feeds[i].head != feeds[i].held)
			ask(t, &a);
	}
	a = (struct lt_sync_action){ .kind = LT_SYNC_DO_PULL };
	ask(t, &a);
	a.kind = LT_SYNC_DO_ANNOUNCE;
	ask(t, &a);
}

static void
put(unsigned number, const char *status)
{
	FUZZ_MUST(fed_put_dossier(&node, number, status, NULL) == LT_OK);
	fed.now_ms += 1000;
}

/* Written, sent, judged, received; one change more that the hub does not have, and one that it refuses. */
static void
talk(struct lt_kv *kv)
{
	const struct lt_sync_action join = { .kind = LT_SYNC_DO_JOIN };
	struct lt_session_options so = { 0 };
	struct fed_peer asker;
	struct talk t;

	node.node = fuzz_node_open(kv);
	FUZZ_MUST(node.node != NULL);
	so.node = node.node;
	FUZZ_MUST(lt_session_new(&so, &t.session) == LT_OK);
	ask(&t, &join);
	sync_once(&t);
	put(1, NULL);
	put(2, NULL);
	put(1, "dang_xu_ly");
	sync_once(&t);
	put(2, "tam_dung");
	sync_once(&t);
	put(3, NULL);
	fed_invite(&fed.f, &asker, LTPB__ROLE__ROLE_DEPARTMENT, "so_tu_phap", false);
	memfed_settle(&fed);
	while (lt_node_step(node.node))
		;
	lt_session_free(t.session);
	lt_node_close(node.node);
	node.node = NULL;
}

/* ---- images ---- */

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void
remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct lt_slice
keep(struct lt_slice s)
{
	return lt_slice(fuzz_copy(s), s.len);
}

static void
list_entries(enum fuzz_store which, struct lt_kv *kv)
{
	struct fuzz_entry *e = calloc(ENTRIES_MAX, sizeof(*e));
	struct lt_slice k, v;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	unsigned t;
	size_t n = 0;
	int rc;

	FUZZ_MUST(e != NULL && lt_kv_begin_read(kv, &txn) == LT_OK);
	for (t = 0; t < LT_T_COUNT; t++) {
		FUZZ_MUST(lt_kv_cursor_open(txn, t, &c) == LT_OK);
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK && n < ENTRIES_MAX;
		     rc = lt_kv_next(c, &k, &v))
			e[n++] = (struct fuzz_entry){ t, keep(k), keep(v) };
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	entries[which] = e;
	nentries[which] = n;
}

static void
take_image(enum fuzz_store which, struct lt_kv *kv)
{
	list_entries(which, kv);
	FUZZ_MUST(lt_kv_image_take(kv, &image[which]) == LT_OK);
	lt_kv_close(kv);
}

/* What is reached only from libsodium's guarded memory looks lost to the sanitizer. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_IGNORED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(LEAKS_IGNORED)
#include <sanitizer/lsan_interface.h>
#define LEAKS_OFF() __lsan_disable()
#define LEAKS_ON() __lsan_enable()
#else
#define LEAKS_OFF() ((void)0)
#define LEAKS_ON() ((void)0)
#endif

void
fuzz_world(void)
{
	struct lt_kv *kv;

	if (image[0] != NULL)
		return;
	LEAKS_OFF();
	memfed_open(&fed, true, &marks);
	test_random_seed(2);
	fed_node_setup(&fed.f, &node, FUZZ_WORLD_UNIT);
	test_random_seed(3);
	memfed_settle(&fed);
	kv = memfed_store(&fed.f, LT_KV_NODE);
	talk(kv);
	take_image(FUZZ_NODE, kv);
	memfed_close_hub(&fed);
	take_image(FUZZ_HUB_LOG, fed.log);
	take_image(FUZZ_HUB_DERIVED, fed.derived);
	fed.log = fed.derived = NULL;
	remove_tree(fed.f.dir);
	remove_tree(node.dir);
	LEAKS_ON();
}

struct lt_kv *
fuzz_world_store(enum fuzz_store which)
{
	const struct lt_kv_options o = { .kind = kinds[which],
		.federation = fed.f.hub_id->federation.b,
		.tables = lt_table_names };
	struct lt_err err = { "" };
	struct lt_kv *kv;

	FUZZ_MUST(lt_kv_open_image(&o, image[which], &kv, &err) == LT_OK);
	return kv;
}

const struct fuzz_entry *
fuzz_world_entries(enum fuzz_store which, size_t *n)
{
	*n = nentries[which];
	return entries[which];
}

/* ---- machines ---- */

static void
failed(void *ctx, int rc)
{
	(void)ctx;
	(void)rc;
}

bool
fuzz_hub_open(struct lt_kv *log, struct lt_kv *derived)
{
	struct lt_hub_options o = { .identity = fed.f.hub_id,
		.clock = &fed.clock,
		.log = log,
		.derived = derived,
		.manual = true,
		.store_failed = failed };
	struct lt_err err = { "" };
	unsigned i;

	marks.n = 0;
	fed.log = log;
	fed.derived = derived;
	fed.f.hub = NULL;
	fed.f.enrol = NULL;
	fed.f.fresh = NULL;
	if (lt_hub_open(&o, &fed.f.hub, &err) != LT_OK) {
		FUZZ_MUST(err.text[0] != '\0');
		return false;
	}
	if (lt_enrol_open(fed.f.hub, &fed.f.enrol, &err) != LT_OK ||
	    lt_fresh_open(fed.f.hub, &fed.f.fresh) != LT_OK) {
		lt_enrol_close(fed.f.enrol);
		lt_hub_close(fed.f.hub);
		return false;
	}
	fed.f.service.hub = fed.f.hub;
	fed.f.service.enrol = fed.f.enrol;
	fed.f.service.fresh = fed.f.fresh;
	for (i = 0; i < STEPS_MAX && lt_hub_step(fed.f.hub); i++)
		;
	return true;
}

void
fuzz_hub_close(void)
{
	memfed_close_hub(&fed);
	lt_kv_close(fed.log);
	lt_kv_close(fed.derived);
}

struct memfed *
fuzz_hub(void)
{
	return &fed;
}

struct lt_peer
fuzz_node_line(void)
{
	return memfed_line(node.id);
}

const struct lt_identity *
fuzz_node_identity(void)
{
	return node.id;
}

struct lt_node *
fuzz_node_open(struct lt_kv *kv)
{
	const struct lt_node_options o = { .identity = node.id,
		.clock = &fed.clock,
		.kv = kv,
		.manual = true,
		.store_failed = failed };
	struct lt_node *n = NULL;
	struct lt_err err = { "" };

	if (lt_node_open(&o, &n, &err) != LT_OK) {
		FUZZ_MUST(err.text[0] != '\0');
		return NULL;
	}
	return n;
}

static bool
sees_unit(void *ctx, const struct lt_collection *c, const char *unit)
{
	(void)ctx;
	(void)c;
	(void)unit;
	return true;
}

static bool
sees_field(void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f)
{
	(void)ctx;
	(void)c;
	(void)unit;
	(void)f;
	return true;
}

static bool
sees_field_everywhere(void *ctx, const struct lt_collection *c, const struct lt_field *f)
{
	(void)ctx;
	(void)c;
	(void)f;
	return true;
}

const struct lt_sight *
fuzz_all_in_sight(void)
{
	static const struct lt_sight all = {
		.unit = sees_unit, .field = sees_field, .field_everywhere = sees_field_everywhere
	};

	return &all;
}
