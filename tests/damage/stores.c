#include "damage.h"
#include "tests/lib/federation.h"

#include "hub/erase.h"
#include "proto/base/file.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define DOSSIERS 40
#define WAIT_MS 60000
#define FILE_MAX_BYTES ((size_t)64 << 20)

/* ---- in a process of its own: a federation that leaves stores behind ---- */

struct making {
	struct fed f;
	struct fed_node n;
};

static bool
has_catalogue(void *ctx)
{
	struct making *m = ctx;
	struct lt_catalogue *c = lt_node_catalogue(m->n.node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

static uint64_t
count(struct lt_kv *kv, unsigned table)
{
	struct lt_kv_txn *txn;
	uint64_t n = 0;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, table, &n), LT_OK);
	lt_kv_abort(txn);
	return n;
}

static bool
is_settled(void *ctx)
{
	struct making *m = ctx;
	struct lt_kv *kv = lt_node_kv(m->n.node);

	return count(kv, LT_T_OVERLAY) == 0 && count(kv, LT_T_RECEIPT) != 0 &&
	       lt_hub_projected(m->f.hub) == lt_hub_log_position(m->f.hub);
}

static void
copy(const char *from_dir, const char *file, const char *to_dir, const char *name, const char *to)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	char path[512];

	lt_buf_init(&b, FILE_MAX_BYTES);
	(void)snprintf(path, sizeof(path), "%s/%s", from_dir, file);
	if (lt_file_read(path, FILE_MAX_BYTES, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	(void)snprintf(path, sizeof(path), "%s/%s%s%s", to_dir, name, to == NULL ? "" : ".",
	    to == NULL ? "" : to);
	if (lt_file_write(path, lt_buf_slice(&b), 0600, false, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&b);
}

static void
copy_all(const struct making *m, const char *file, const char *dir, const char *to)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "log/%s", file);
	copy(m->f.dir, path, dir, "log", to);
	(void)snprintf(path, sizeof(path), "derived/%s", file);
	copy(m->f.dir, path, dir, "derived", to);
	(void)snprintf(path, sizeof(path), "store/%s", file);
	copy(m->n.dir, path, dir, "store", to);
}

static void
write_dossiers(struct making *m, unsigned from, unsigned to)
{
	static const char *const status[] = { NULL, "dang_xu_ly", "da_tra" };
	unsigned i, k;

	for (i = from; i < to; i++)
		for (k = 0; k < 1 + i % 2; k++)
			assert_int_equal(fed_put_dossier(&m->n, i, status[k], NULL), LT_OK);
	fed_wait(is_settled, m, WAIT_MS, "verdicts and receipts");
}

/* Openings that an act took away. */
static uint64_t
count_erased(struct lt_kv *kv)
{
	const struct lt_slice end = { NULL, 0 };
	enum lt_opening_state state;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	char name[LT_NAME_MAX + 1];
	uint64_t n = 0;
	int rc;

	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_OPENING, &c), LT_OK);
	for (rc = lt_kv_seek(c, end, &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v)) {
		if (k.len <= 12) /* a seed */
			continue;
		(void)snprintf(
		    name, sizeof(name), "%.*s", (int)(k.len - 12), (const char *)k.data + 12);
		assert_int_equal(lt_opening_state(txn, lt_load_u64(k.data), lt_load_u32(k.data + 8),
				     name, &state),
		    LT_OK);
		n += state == LT_OPENING_ERASED;
	}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

static bool
is_erased(void *ctx)
{
	struct making *m = ctx;

	return count_erased(lt_node_kv(m->n.node)) == count_erased(lt_hub_log(m->f.hub));
}

/* Every fourth dossier's personal values, which the older copy still has. */
static void
erase_some(struct making *m)
{
	struct lt_erasing e = { .collection = "dossier", .basis = "so 12" };
	struct lt_erasing_report report;
	struct lt_err err = { "" };
	struct lt_arena arena;
	const char *why;
	char key[64];
	unsigned i;

	assert_int_equal(lt_unit_set(&e.unit, lt_slice_str("17254")), LT_OK);
	e.key = key;
	e.reason = lt_erase_reason(0);
	for (i = 2; i < DOSSIERS; i += 4) {
		(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", i); /* fed_put_dossier() */
		lt_arena_init(&arena, (size_t)64 << 20);
		if (lt_hub_erase(m->f.hub, &e, &arena, &report, &why, &err) != LT_OK)
			fail_msg("%s", err.text);
		assert_true(report.values != 0);
		lt_arena_fini(&arena);
	}
	assert_true(count_erased(lt_hub_log(m->f.hub)) != 0);
	fed_wait(is_erased, m, WAIT_MS, "the node has let go of it");
}

static void
make(const char *dir)
{
	struct making m;

	memset(&m, 0, sizeof(m));
	fed_setup(&m.f);
	fed_node_setup(&m.f, &m.n, "17254");
	fed_node_start(&m.f, &m.n);
	fed_wait(has_catalogue, &m, WAIT_MS, "the catalogue");
	write_dossiers(&m, 1, DOSSIERS);
	fed_node_stop(&m.n);
	fed_hub_stop(&m.f);
	copy_all(&m, "data.mdb", dir, "old");
	fed_hub_start(&m.f);
	fed_node_start(&m.f, &m.n);
	write_dossiers(&m, DOSSIERS, DOSSIERS + 3);
	assert_int_equal(fed_put_dossier(&m.n, 1, "dang_xu_ly", NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&m.n, 3, "dang_xu_ly", NULL), LT_OK);
	erase_some(&m);
	fed_wait(is_settled, &m, WAIT_MS, "verdicts and receipts");
	fed_hub_stop(&m.f);
	/* No verdict comes for this one: the overlay has something. */
	assert_int_equal(fed_put_dossier(&m.n, 5, "dang_xu_ly", NULL), LT_OK);
	fed_node_stop(&m.n);
	copy_all(&m, "data.mdb", dir, "new");
	copy_all(&m, "guard", dir, "guard");
	copy(m.f.dir, "identity", dir, "hub", "identity");
	copy(m.n.dir, "identity", dir, "node", "identity");
	fed_node_teardown(&m.n);
	fed_remove(&m.f);
}

/* ---- in the rig ---- */

static uint8_t *
load(const struct stores *s, const char *env, const char *what, size_t *len)
{
	struct lt_err err = { "" };
	struct lt_buf b;
	char path[512];

	lt_buf_init(&b, FILE_MAX_BYTES);
	(void)snprintf(path, sizeof(path), "%s/%s.%s", s->from, env, what);
	if (lt_file_read(path, FILE_MAX_BYTES, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	return lt_buf_take(&b, len);
}

static struct lt_identity *
identity_of(const struct stores *s, const char *who)
{
	struct lt_err err = { "" };
	struct lt_identity *id = NULL;
	char dir[512], name[64];

	(void)snprintf(dir, sizeof(dir), "%s/%s.id", s->dir, who);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(name, sizeof(name), "%s.identity", who);
	copy(s->from, name, dir, "identity", NULL);
	if (lt_identity_load(dir, &id, &err) != LT_OK)
		fail_msg("%s", err.text);
	return id;
}

static void
note_page(void *ctx, uint64_t page, uint64_t npages, enum lt_pages_kind kind, int table)
{
	struct sample *s = ctx;
	uint64_t i;

	for (i = page; i < page + npages; i++) {
		assert_true(s->npage < s->size / PAGE_BYTES + 16);
		s->page[s->npage++] = (struct live_page){ i, (uint8_t)kind, table < 0 };
	}
}

static int
free_last(const void *a, const void *b)
{
	const struct live_page *x = a, *y = b;
	int fx = x->kind == LT_PAGES_FREE_PAGE, fy = y->kind == LT_PAGES_FREE_PAGE;

	return fx != fy ? fx - fy : (x->page > y->page) - (x->page < y->page);
}

/* Every page by LMDB's format, and what it is. */
static void
map_pages(struct sample *s)
{
	struct lt_kv_table table[LT_PAGES_TABLES_MAX];
	struct lt_pages_options o = { .file = s->file, .size = s->size, .table = table };
	struct lt_pages_report r;
	unsigned i;

	for (i = 0; i < LT_T_COUNT; i++)
		lt_kv_table_init(&table[i], lt_table_names[i]);
	lt_kv_table_init(&table[LT_T_COUNT], "meta");
	o.ntable = LT_T_COUNT + 1;
	s->page = calloc(s->size / PAGE_BYTES + 16, sizeof(*s->page));
	o.seen = calloc(1, lt_pages_seen_bytes(s->file, s->size));
	assert_non_null(s->page);
	assert_non_null(o.seen);
	o.see = note_page;
	o.ctx = s;
	lt_pages_walk(&o, &r);
	if (r.fault != LT_PAGES_WHOLE || r.bad != 0)
		fail_msg("%s: %s", s->name, lt_pages_fault_text(r.fault));
	free(o.seen);
	qsort(s->page, s->npage, sizeof(*s->page), free_last);
	for (s->nlive = 0; s->nlive < s->npage; s->nlive++)
		if (s->page[s->nlive].kind == LT_PAGES_FREE_PAGE)
			break;
}

void
stores_make(struct stores *s, const char *keep)
{
	static const struct {
		const char *name;
		enum lt_kv_kind kind;
	} is[STORES] = { { "log", LT_KV_HUB_LOG }, { "derived", LT_KV_HUB_DERIVED },
		{ "store", LT_KV_NODE } };
	char made[300];
	int status = 0;
	pid_t pid;
	size_t i, len;

	memset(s, 0, sizeof(*s));
	(void)snprintf(s->dir, sizeof(s->dir), "%s/lt_damage.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->from, sizeof(s->from), "%s", keep == NULL ? s->dir : keep);
	(void)snprintf(made, sizeof(made), "%s/node.identity", s->from);
	/* It has threads, and a library that must not be there when we fork. */
	pid = access(made, F_OK) == 0 ? -1 : fork();
	if (pid == 0) {
		make(s->from);
		_exit(0);
	}
	if (pid > 0)
		assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (i = 0; i < STORES; i++) {
		struct sample *x = &s->s[i];
		char path[128];
		uint8_t *guard;

		x->name = is[i].name;
		x->kind = is[i].kind;
		x->file = load(s, x->name, "new", &x->size);
		x->old = load(s, x->name, "old", &x->old_size);
		guard = load(s, x->name, "guard", &len);
		assert_int_equal(len, sizeof(x->guard));
		memcpy(x->guard, guard, len);
		free(guard);
		map_pages(x);
		(void)snprintf(path, sizeof(path), "%s/%s", s->dir, x->name);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	s->hub = identity_of(s, "hub");
	s->node = identity_of(s, "node");
	for (i = 0; i < STORES; i++)
		stores_put(s, (enum store)i, s->s[i].file, s->s[i].size, s->s[i].guard);
}

void
stores_free(struct stores *s)
{
	char cmd[128];
	size_t i;

	for (i = 0; i < STORES; i++) {
		free(s->s[i].file);
		free(s->s[i].old);
		free(s->s[i].page);
		lt_arena_fini(&s->s[i].arena);
	}
	lt_identity_free(s->hub);
	lt_identity_free(s->node);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", s->dir);
	assert_int_equal(system(cmd), 0);
}

static void
write_file(const char *dir, const char *env, const char *name, const void *data, size_t len)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, env, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(len == 0 ? 0 : fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

void
stores_put(const struct stores *s, enum store which, const uint8_t *file, size_t size,
    const uint8_t *guard)
{
	const char *env = s->s[which].name;
	char path[256];
	unsigned i;

	for (i = 1; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/damaged-%u.mdb", s->dir, env, i);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/%s/guard", s->dir, env);
	(void)unlink(path);
	write_file(s->dir, env, "data.mdb", file, size);
	write_file(s->dir, env, "made", "", 0);
	if (guard != NULL)
		write_file(s->dir, env, "guard", guard, sizeof(s->s[which].guard));
}

int
stores_open(const struct stores *s, enum store which, struct lt_kv **out, struct lt_err *err)
{
	return lt_tables_open(
	    s->dir, s->s[which].name, s->s[which].kind, &s->hub->federation, 0, out, err);
}
