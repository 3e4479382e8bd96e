/* Node and hub restored from old backups by the tool's path: every acknowledged record is there, one by one, no number is signed twice,
 * and a restored hub signs nothing before it has heard its nodes. */
#include "hub/keys.h"
#include "hub/recovery.h"
#include "node/delivery.h"
#include "node/link.h"
#include "proto/store/backup.h"
#include "proto/store/feed_log.h"
#include "tests/lib/federation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 40000
#define UNIT "17254"
#define OTHER "16906"

struct expect {
	struct fed *f;
	struct fed_node *n;
	const char *unit;
	unsigned from, to;
};

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

static bool
all_receipted(void *ctx)
{
	struct expect *e = ctx;
	Ltpb__ReasonCode reason;
	struct lt_kv_txn *txn;
	Ltpb__Delivery d;
	bool all = true;
	char key[64];
	unsigned i;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(e->n->node), &txn), LT_OK);
	for (i = e->from; i <= e->to && all; i++) {
		(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", i);
		all = lt_node_delivery(e->n->node, txn, "dossier", key, NULL, NULL, &d, &reason) ==
			  LT_OK &&
		      d == LTPB__DELIVERY__DELIVERY_RECEIPTED;
	}
	lt_kv_abort(txn);
	return all;
}

static bool
all_at_hub(void *ctx)
{
	struct expect *e = ctx;
	char text[256];
	bool all = true;
	unsigned i;

	for (i = e->from; i <= e->to && all; i++)
		all = fed_hub_field(e->f, e->unit, i, "status", text, sizeof(text));
	return all;
}

/* Each of them: at the node as receipted, and at the hub. */
static void
whole(struct fed *f, struct fed_node *n, unsigned from, unsigned to)
{
	struct expect e = { f, n, n->id->unit.s, from, to };

	fed_wait(all_receipted, &e, WAIT_MS, "everything is receipted");
	fed_wait(all_at_hub, &e, WAIT_MS, "everything is at the hub");
}

static void
put(struct fed_node *n, unsigned from, unsigned to)
{
	unsigned i;

	for (i = from; i <= to; i++)
		assert_int_equal(fed_put_dossier(n, i, NULL, NULL), LT_OK);
}

static int
look_aside(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	uint64_t first, last;

	(void)head;
	assert_int_equal(lt_feed_log_aside(ctx, unit, feed, &first, &last), LT_OK);
	assert_int_equal(first, 0);
	return LT_OK;
}

static void
no_fork(struct fed *f, struct fed_node *n)
{
	struct lt_kv_txn *txn;
	uint64_t forks = 1;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_hub_forks(txn, NULL, NULL, &forks), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(forks, 0);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, look_aside, txn), LT_OK);
	lt_kv_abort(txn);
}

/* ---- folders ---- */

static void
make_folder(char *out, size_t cap, const char *what)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "/tmp/lt-restore-%s-XXXXXX", what);
	assert_non_null(mkdtemp(name));
	(void)snprintf(out, cap, "%s", name);
}

static void
drop(const char *path)
{
	char cmd[320];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", path);
	assert_int_equal(system(cmd), 0);
}

static void
backup(const char *dir, const struct lt_identity *id, const char *path)
{
	struct lt_backup_options o = { .dir = dir,
		.path = path,
		.identity = id,
		.keys = id->role == LTPB__ROLE__ROLE_NODE,
		.now_ms = 1 };
	struct lt_backup_info info;
	struct lt_backup_error e;

	if (lt_backup_make(&o, &info, &e) != LT_OK)
		fail_msg("%s", e.err.text);
}

static void
restore(const char *path, const char *dir, const struct lt_identity *id)
{
	struct lt_restore_options o = { .path = path, .dir = dir, .identity = id, .now_ms = 2 };
	struct lt_backup_info info;
	struct lt_backup_error e;

	if (lt_restore(&o, &info, &e) != LT_OK)
		fail_msg("%s", e.err.text);
}

/* ---- a node ---- */

static void
test_node(void **state)
{
	char base[128], path[160], old[256];
	struct lt_dot dot, later;
	struct fed_node n;
	struct fed f;
	const char *text = getenv("LT_RESTORE_TURNS");
	long turn, turns = text != NULL ? strtol(text, NULL, 10) : 1;

	(void)state;
	make_folder(base, sizeof(base), "backups");
	(void)snprintf(path, sizeof(path), "%s/one", base);
	fed_setup(&f);
	fed_node_setup(&f, &n, UNIT);
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue comes down");
	put(&n, 1, 12);
	whole(&f, &n, 1, 12);
	fed_node_stop(&n);
	/* Two that the hub does not have go into the backup. */
	fed_hub_stop(&f);
	fed_node_start(&f, &n);
	put(&n, 13, 14);
	fed_node_stop(&n);
	backup(n.dir, n.id, path);
	fed_hub_start(&f);
	fed_node_start(&f, &n);
	put(&n, 15, 24);
	assert_int_equal(fed_put_dossier(&n, 5, "dang_xu_ly", &dot), LT_OK);
	whole(&f, &n, 1, 24);
	/* From one backup twice: the second machine after the first. LT_RESTORE_TURNS=2; the simulator does it in every run. */
	for (turn = 0; turn < turns; turn++) {
		unsigned number = turn == 0 ? 100 : 200;

		fed_node_stop(&n);
		(void)snprintf(old, sizeof(old), "%s", n.dir);
		make_folder(n.dir, sizeof(n.dir), "node");
		restore(path, n.dir, NULL);
		drop(old);
		/* Without a line: in an epoch of its own, whatever the hub has of the old ones. */
		fed_hub_stop(&f);
		fed_node_start(&f, &n);
		assert_int_equal(fed_put_dossier(&n, number, NULL, &later), LT_OK);
		assert_int_not_equal(lt_feed_id_cmp(&later.feed, &dot.feed), 0);
		assert_int_equal(later.seq, 1);
		fed_hub_start(&f);
		whole(&f, &n, 1, 24);
		whole(&f, &n, number, number);
		put(&n, number + 1, number + 3);
		whole(&f, &n, number, number + 3);
		no_fork(&f, &n);
		dot = later;
	}
	whole(&f, &n, 100, 103);
	fed_node_teardown(&n);
	fed_teardown(&f);
	drop(base);
}

/* ---- the hub ---- */

struct province {
	struct fed f;
	struct fed_node n, m;
	char base[128], path[160];
};

static bool
heard_one(void *ctx)
{
	struct province *p = ctx;

	return lt_recovery_awaited(p->f.hub) == 1;
}

static bool
recovered(void *ctx)
{
	struct fed *f = ctx;

	return !lt_hub_recovering(f->hub);
}

/* Acts of the time after the backup are back. */
static bool
second_catalogue(void *ctx)
{
	struct fed *f = ctx;
	struct lt_catalogue *c = lt_hub_catalogue(f->hub);
	bool is = lt_catalogue_version(c) == 2;

	lt_catalogue_unref(c);
	return is;
}

static bool
node_has_second(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool is = lt_catalogue_version(c) == 2;

	lt_catalogue_unref(c);
	return is;
}

static uint64_t
held_of(struct fed *f, const struct lt_dot *dot)
{
	struct lt_unit unit;
	struct lt_kv_txn *txn;
	struct lt_head head;

	(void)lt_unit_set(&unit, lt_slice_str(UNIT));
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &unit, &dot->feed, &head), LT_OK);
	lt_kv_abort(txn);
	return head.seq;
}

/* A backup, then work of both communes, receipted, and a new catalogue; then the hub's disk is gone, one commune is off, and the
 * hub is restored. *dot: of the commune that is on, its last one. */
static void
lose_hub(struct province *p, struct lt_dot *dot)
{
	char old[256];

	make_folder(p->base, sizeof(p->base), "backups");
	(void)snprintf(p->path, sizeof(p->path), "%s/hub", p->base);
	fed_setup(&p->f);
	fed_node_setup(&p->f, &p->n, UNIT);
	fed_node_setup(&p->f, &p->m, OTHER);
	fed_node_start(&p->f, &p->n);
	fed_node_start(&p->f, &p->m);
	fed_wait(has_catalogue, &p->n, WAIT_MS, "the catalogue comes down");
	fed_wait(has_catalogue, &p->m, WAIT_MS, "the catalogue comes down");
	put(&p->n, 1, 5);
	put(&p->m, 1, 5);
	whole(&p->f, &p->n, 1, 5);
	whole(&p->f, &p->m, 1, 5);
	fed_hub_stop(&p->f);
	backup(p->f.dir, p->f.hub_id, p->path);
	fed_hub_start(&p->f);
	put(&p->n, 6, 11);
	put(&p->m, 6, 11);
	assert_int_equal(fed_put_dossier(&p->n, 12, NULL, dot), LT_OK);
	whole(&p->f, &p->n, 1, 12);
	whole(&p->f, &p->m, 1, 11);
	fed_publish_second(&p->f);
	fed_wait(node_has_second, &p->n, WAIT_MS, "the second catalogue comes down");
	fed_node_stop(&p->m);
	fed_hub_stop(&p->f);
	(void)snprintf(old, sizeof(old), "%s", p->f.dir);
	make_folder(p->f.dir, sizeof(p->f.dir), "hub");
	restore(p->path, p->f.dir, p->f.hub_id);
	drop(old);
	fed_hub_start(&p->f);
	assert_true(lt_hub_recovering(p->f.hub));
}

static int
hub_writes(struct fed *f)
{
	struct lt_write w = {
		.collection = "_unit", .key = UNIT, .builtin = true, .writer = LT_WRITER_PROVINCE
	};
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	struct lt_unit us = { "_" };
	Ltpb__Value v = LTPB__VALUE__INIT;
	struct lt_err err = { "" };
	struct lt_arena arena;
	int rc;

	fs.name = (char *)(uintptr_t) "name";
	fs.value = &v;
	v.v_case = LTPB__VALUE__V_TEXT;
	v.text = (char *)(uintptr_t) "Xã Mới";
	w.set = set;
	w.nset = 1;
	lt_arena_init(&arena, 8 << 20);
	rc = lt_hub_write(f->hub, &us, &w, 1, &arena, &err);
	lt_arena_fini(&arena);
	return rc == LT_OK ? w.rc : rc;
}

static void
end(struct province *p)
{
	fed_node_teardown(&p->n);
	fed_node_teardown(&p->m);
	fed_teardown(&p->f);
	drop(p->base);
}

/* It waits for the commune that is off, and signs nothing; when that comes, everything comes back. */
static void
test_hub(void **state)
{
	struct province p;
	struct lt_dot dot;
	uint64_t held;

	(void)state;
	lose_hub(&p, &dot);
	fed_wait(heard_one, &p, WAIT_MS, "one of two is heard");
	fed_wait(second_catalogue, &p.f, WAIT_MS, "acts of after the backup are back");
	assert_int_equal(hub_writes(&p.f), LT_E_UNAVAILABLE);
	held = held_of(&p.f, &dot);
	assert_true(held < dot.seq); /* no receipt either */
	put(&p.n, 13, 14);
	/* Over a restart. */
	fed_hub_stop(&p.f);
	fed_hub_start(&p.f);
	assert_true(lt_hub_recovering(p.f.hub));
	fed_wait(heard_one, &p, WAIT_MS, "one of two is heard");
	assert_int_equal(held_of(&p.f, &dot), held);
	fed_node_start(&p.f, &p.m);
	fed_wait(recovered, &p.f, WAIT_MS, "all are heard");
	assert_int_equal(hub_writes(&p.f), LT_OK);
	whole(&p.f, &p.n, 1, 14);
	whole(&p.f, &p.m, 1, 11);
	put(&p.m, 12, 13);
	whole(&p.f, &p.m, 1, 13);
	no_fork(&p.f, &p.n);
	no_fork(&p.f, &p.m);
	/* It does not wait again. */
	fed_hub_stop(&p.f);
	fed_hub_start(&p.f);
	assert_false(lt_hub_recovering(p.f.hub));
	whole(&p.f, &p.n, 1, 14);
	end(&p);
}

/* An operator goes on without one; what that one brings later is taken all the same. */
static void
test_without(void **state)
{
	struct lt_err err = { "" };
	struct lt_unit unit;
	struct province p;
	struct lt_dot dot;
	size_t n;

	(void)state;
	lose_hub(&p, &dot);
	fed_wait(heard_one, &p, WAIT_MS, "one of two is heard");
	(void)lt_unit_set(&unit, lt_slice_str("16855"));
	assert_int_equal(lt_hub_go_on_without(p.f.hub, &unit, NULL, &n, &err), LT_E_NOTFOUND);
	assert_true(lt_hub_recovering(p.f.hub));
	(void)lt_unit_set(&unit, lt_slice_str(OTHER));
	assert_int_equal(lt_hub_go_on_without(p.f.hub, &unit, NULL, &n, &err), LT_OK);
	assert_int_equal(n, 1);
	fed_wait(recovered, &p.f, WAIT_MS, "it goes on");
	assert_int_equal(lt_hub_go_on_without(p.f.hub, NULL, NULL, &n, &err), LT_E_EXISTS);
	assert_int_equal(hub_writes(&p.f), LT_OK);
	whole(&p.f, &p.n, 1, 12);
	fed_node_start(&p.f, &p.m);
	put(&p.m, 12, 13);
	whole(&p.f, &p.m, 1, 13);
	no_fork(&p.f, &p.m);
	end(&p);
}

/* ---- a hub with another branch ---- */

struct sums {
	struct lt_id hub;
	uint64_t n;
};

static int
sum_up(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct sums *s = ctx;

	(void)unit;
	if (lt_id_eq(&author, &s->hub))
		s->n += head->seq;
	return LT_OK;
}

/* Change-sets of the hub for the unit. */
static uint64_t
of_hub(const struct fed *f, struct lt_kv *kv, const char *code)
{
	struct sums s = { .hub = f->hub_id->principal };
	struct lt_kv_txn *txn;
	struct lt_unit unit;

	unit = (struct lt_unit){ "_" };
	if (strcmp(code, "_") != 0)
		assert_int_equal(lt_unit_set(&unit, lt_slice_str(code)), LT_OK);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, &unit, sum_up, &s), LT_OK);
	lt_kv_abort(txn);
	return s.n;
}

static bool
node_has_all(void *ctx)
{
	struct province *p = ctx;

	return of_hub(&p->f, lt_node_kv(p->n.node), "_") ==
		   of_hub(&p->f, lt_hub_log(p->f.hub), "_") &&
	       of_hub(&p->f, lt_node_kv(p->n.node), UNIT) ==
		   of_hub(&p->f, lt_hub_log(p->f.hub), UNIT);
}

static bool
unit_is_back(void *ctx)
{
	struct province *p = ctx;

	return of_hub(&p->f, lt_node_kv(p->n.node), UNIT) ==
	       of_hub(&p->f, lt_hub_log(p->f.hub), UNIT);
}

static void
copy(const char *from, const char *to)
{
	char cmd[1024];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(cmd), 0);
}

static bool
online(void *ctx)
{
	struct province *p = ctx;
	struct lt_link_status st;

	lt_link_status(p->n.link, &st);
	return st.phase == LT_SYNC_ONLINE;
}

/* Before its backup the hub was put back by copying files, and signed another branch of one of its feeds: the node that has the first one
 * gives back the others, and is not taken for one that was heard. */
static void
test_other_branch(void **state)
{
	struct lt_err err = { "" };
	char old[160];
	struct province p;
	size_t n;

	(void)state;
	make_folder(p.base, sizeof(p.base), "backups");
	(void)snprintf(p.path, sizeof(p.path), "%s/hub", p.base);
	(void)snprintf(old, sizeof(old), "%s/old", p.base);
	fed_setup(&p.f);
	fed_node_setup(&p.f, &p.n, UNIT);
	fed_node_start(&p.f, &p.n);
	fed_wait(has_catalogue, &p.n, WAIT_MS, "the catalogue comes down");
	put(&p.n, 1, 3);
	whole(&p.f, &p.n, 1, 3);
	fed_wait(node_has_all, &p, WAIT_MS, "the node has what the hub signed");
	fed_hub_stop(&p.f);
	copy(p.f.dir, old);
	fed_hub_start(&p.f);
	assert_int_equal(hub_writes(&p.f), LT_OK);
	fed_publish_second(&p.f);
	put(&p.n, 4, 6);
	whole(&p.f, &p.n, 1, 6);
	fed_wait(node_has_second, &p.n, WAIT_MS, "the second catalogue comes down");
	fed_wait(node_has_all, &p, WAIT_MS, "the node has what the hub signed");
	fed_node_stop(&p.n);
	fed_hub_stop(&p.f);
	copy(old, p.f.dir);
	fed_hub_start(&p.f);
	assert_int_equal(hub_writes(&p.f), LT_OK);
	fed_hub_stop(&p.f);
	backup(p.f.dir, p.f.hub_id, p.path);
	drop(p.f.dir);
	restore(p.path, p.f.dir, p.f.hub_id);
	fed_hub_start(&p.f);
	fed_node_start(&p.f, &p.n);
	fed_wait(unit_is_back, &p, WAIT_MS, "the other feeds come back");
	fed_wait(online, &p, WAIT_MS, "the node has said hello with nothing to give");
	assert_int_equal(lt_recovery_awaited(p.f.hub), 1);
	assert_int_equal(lt_hub_go_on_without(p.f.hub, NULL, NULL, &n, &err), LT_OK);
	fed_wait(recovered, &p.f, WAIT_MS, "it goes on");
	fed_publish_second(&p.f); /* what stood in the branch that is lost is written anew */
	whole(&p.f, &p.n, 1, 6);
	fed_node_teardown(&p.n);
	fed_teardown(&p.f);
	drop(p.base);
}

/* ---- files of the hub put back by hand ---- */

static int
look_judged(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	(void)unit;
	(void)feed;
	*(bool *)ctx &= head->judged == head->seq;
	return LT_OK;
}

/* Nothing is owed to the node: a hub that starts has nothing to sign. */
static bool
all_judged(void *ctx)
{
	struct province *p = ctx;
	struct lt_kv_txn *txn;
	bool all = true;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(p->n.node), &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, look_judged, &all), LT_OK);
	lt_kv_abort(txn);
	return all && node_has_all(p);
}

static bool
in_doubt(void *ctx)
{
	struct fed *f = ctx;

	return lt_hub_recovering(f->hub);
}

/* A copy of the hub's folder, then work and acts; then the hub is off, and what is to be put back lies in old. */
static void
work_after_copy(struct province *p, char old[160])
{
	make_folder(p->base, sizeof(p->base), "copies");
	(void)snprintf(old, 160, "%s/old", p->base);
	fed_setup(&p->f);
	fed_node_setup(&p->f, &p->n, UNIT);
	fed_node_setup(&p->f, &p->m, OTHER);
	fed_node_start(&p->f, &p->n);
	fed_node_start(&p->f, &p->m);
	fed_wait(has_catalogue, &p->n, WAIT_MS, "the catalogue comes down");
	fed_wait(has_catalogue, &p->m, WAIT_MS, "the catalogue comes down");
	put(&p->n, 1, 3);
	put(&p->m, 1, 3);
	whole(&p->f, &p->n, 1, 3);
	whole(&p->f, &p->m, 1, 3);
	fed_node_stop(&p->m);
	fed_wait(all_judged, p, WAIT_MS, "the node has its verdicts");
	fed_hub_stop(&p->f);
	copy(p->f.dir, old);
	fed_hub_start(&p->f);
	fed_publish_second(&p->f);
	put(&p->n, 4, 6);
	whole(&p->f, &p->n, 1, 6);
	fed_wait(node_has_second, &p->n, WAIT_MS, "the second catalogue comes down");
	fed_wait(all_judged, p, WAIT_MS, "the node has its verdicts");
	fed_hub_stop(&p->f);
}

/* It signs nothing before it has heard both; then everything is there, and no number was given twice. */
static void
comes_back(struct province *p)
{
	fed_wait(heard_one, p, WAIT_MS, "one of two is heard");
	fed_wait(second_catalogue, &p->f, WAIT_MS, "acts of after the copy are back");
	assert_int_equal(hub_writes(&p->f), LT_E_UNAVAILABLE);
	fed_node_start(&p->f, &p->m);
	fed_wait(recovered, &p->f, WAIT_MS, "all are heard");
	assert_int_equal(hub_writes(&p->f), LT_OK);
	put(&p->m, 4, 5);
	whole(&p->f, &p->n, 1, 6);
	whole(&p->f, &p->m, 1, 5);
	no_fork(&p->f, &p->n);
	no_fork(&p->f, &p->m);
	end(p);
}

/* Log and tables of one moment: nothing here tells; the first node that has more does, and what it gives proves it. */
static void
test_put_back(void **state)
{
	struct province p;
	char old[160];

	(void)state;
	work_after_copy(&p, old);
	copy(old, p.f.dir);
	fed_hub_start(&p.f);
	fed_wait(in_doubt, &p.f, WAIT_MS, "the node's tail shows that files were put back");
	comes_back(&p);
}

/* The log alone: the tables tell, before anything is signed. */
static void
test_log_put_back(void **state)
{
	char old[160], from[320], to[320];
	struct province p;

	(void)state;
	work_after_copy(&p, old);
	(void)snprintf(from, sizeof(from), "%s/log", old);
	(void)snprintf(to, sizeof(to), "%s/log", p.f.dir);
	copy(from, to);
	fed_hub_start(&p.f);
	assert_true(lt_hub_recovering(p.f.hub));
	comes_back(&p);
}

/* ---- a revocation that comes back ---- */

static atomic_bool disk_full;

static int
fail_while_full(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return disk_full ? LT_E_NOSPACE : LT_OK;
}

static bool
shows_revoked(struct lt_registry *reg, const struct lt_id *id)
{
	const struct lt_principal *who = lt_registry_find(reg, id);
	bool is = who != NULL && who->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED;

	lt_registry_unref(reg);
	return is;
}

static bool
node_knows(void *ctx)
{
	struct province *p = ctx;

	return shows_revoked(lt_node_registry(p->n.node), &p->m.id->principal);
}

static bool
is_barred(void *ctx)
{
	struct province *p = ctx;

	return lt_hub_barred(p->f.hub, &p->m.id->principal, 1);
}

/* Revoked after the backup: from the moment when that is back the key is out, though the tables cannot take it in. */
static void
test_revocation_back(void **state)
{
	struct lt_revoking stolen = { .reason = "stolen" };
	struct lt_err err = { "" };
	const char *why = "";
	struct province p;
	char old[256];

	(void)state;
	make_folder(p.base, sizeof(p.base), "backups");
	(void)snprintf(p.path, sizeof(p.path), "%s/hub", p.base);
	fed_setup(&p.f);
	fed_node_setup(&p.f, &p.n, UNIT);
	fed_node_setup(&p.f, &p.m, OTHER);
	fed_node_join(&p.f, &p.m, "");
	fed_node_start(&p.f, &p.n);
	fed_wait(has_catalogue, &p.n, WAIT_MS, "the catalogue comes down");
	fed_hub_stop(&p.f);
	backup(p.f.dir, p.f.hub_id, p.path);
	fed_hub_start(&p.f);
	stolen.principal = p.m.id->principal;
	assert_int_equal(lt_hub_revoke(p.f.hub, &stolen, &why, &err), LT_OK);
	fed_wait(node_knows, &p, WAIT_MS, "the node has the revocation");
	fed_node_stop(&p.n);
	fed_hub_stop(&p.f);
	(void)snprintf(old, sizeof(old), "%s", p.f.dir);
	make_folder(p.f.dir, sizeof(p.f.dir), "hub");
	restore(p.path, p.f.dir, p.f.hub_id);
	drop(old);
	fed_hub_start(&p.f);
	assert_int_equal(
	    lt_hub_wait_projected(p.f.hub, lt_hub_log_position(p.f.hub), WAIT_MS), LT_OK);
	assert_false(shows_revoked(lt_hub_registry(p.f.hub), &p.m.id->principal));
	disk_full = true;
	lt_kv_set_fault(lt_hub_derived(p.f.hub), fail_while_full, NULL);
	fed_node_start(&p.f, &p.n);
	fed_wait(is_barred, &p, WAIT_MS, "the key is out");
	assert_false(shows_revoked(lt_hub_registry(p.f.hub), &p.m.id->principal));
	disk_full = false;
	fed_wait(recovered, &p.f, WAIT_MS, "all are heard");
	assert_true(shows_revoked(lt_hub_registry(p.f.hub), &p.m.id->principal));
	assert_false(is_barred(&p));
	end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_hub),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_other_branch),
		cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_log_put_back),
		cmocka_unit_test(test_revocation_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
