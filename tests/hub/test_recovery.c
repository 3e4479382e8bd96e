/* A hub that finds out that its files were put back by hand: what it is given back by a node that has more, with damage in between, verdicts
 * that say something else than what stands here, and stops in the middle. What it signed and forgot is signed here in a transaction
 * that is given up. */
#include "hub/erase.h"
#include "hub/hub_impl.h"
#include "hub/keys.h"
#include "hub/recovery.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"
#include "proto/store/backup.h"
#include "proto/store/erase.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_image.h"
#include "proto/store/kv_test.h"
#include "proto/store/tables.h"
#include "tests/lib/memfed.h"
#include "tests/lib/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define UNIT "17254"
#define HELLO "/lienthong.v1.Sync/Hello"
#define PUSH "/lienthong.v1.Sync/Push"
#define HEADS_MAX 2048 /* FORMAT.md 12.7 */
#define SETS_MAX 16

struct fix {
	struct memfed m;
	struct memfed_marks marks;
	struct lt_arena arena;
	struct fed_peer node;
	struct lt_peer line;
	struct fed_feed feed;
	struct lt_unit unit;
	size_t nset;
	struct lt_buf set[SETS_MAX]; /* signed by the hub, and not here */
};

static void
begin(struct fix *x)
{
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;

	memset(x, 0, sizeof(*x));
	lt_arena_init(&x->arena, (size_t)256 << 20);
	assert_int_equal(lt_unit_set(&x->unit, lt_slice_str(UNIT)), LT_OK);
	memfed_open(&x->m, true, &x->marks);
	memfed_invite(&x->m, &x->node, 9, UNIT);
	test_random_system(); /* each epoch is another one */
	x->line = memfed_line(&x->node.id);
	fed_join_request(&x->node.id, proof, &r);
	assert_int_equal(
	    memfed_ask(&x->m, &x->line, "/lienthong.v1.Enrol/Join", &r.base, NULL, NULL),
	    LT_STATUS_OK);
	fed_feed_init(&x->feed, &x->node, UNIT, LT_LANE_NORMAL, 1);
}

static void
end(struct fix *x)
{
	memfed_close(&x->m);
	while (x->nset > 0)
		lt_buf_fini(&x->set[--x->nset]);
	lt_arena_fini(&x->arena);
}

/* ---- what is asked of the hub ---- */

static int
push_sets(struct fix *x, const struct lt_buf *set, size_t n)
{
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d[SETS_MAX];
	size_t i;

	for (i = 0; i < n; i++) {
		d[i].data = set[i].data;
		d[i].len = set[i].len;
	}
	r.change_set = d;
	r.n_change_set = n;
	return memfed_ask(&x->m, &x->line, PUSH, &r.base, NULL, NULL);
}

/* status NULL: a dossier made; else only that. */
static void
put(struct fix *x, unsigned number, const char *status)
{
	struct lt_draft draft = { 0 };
	struct lt_buf b;
	char key[32];

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", number);
	if (status == NULL)
		fed_draft_dossier(&x->arena, &draft, key);
	else
		fed_draft_status(&x->arena, &draft, key, status);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	x->feed.next_stamp = lt_hlc_next(x->feed.stamp, x->m.now_ms);
	fed_seal(&x->m.f, &x->feed, &draft, 1, &b);
	assert_int_equal(push_sets(x, &b, 1), LT_STATUS_OK);
	lt_buf_fini(&b);
}

/* The hub writes the name of a unit. */
static void
name_unit(struct fix *x, const char *name, struct lt_write *w, Ltpb__FieldSet *set[1])
{
	memset(w, 0, sizeof(*w));
	set[0] = fed_field(&x->arena, "name", LT_TYPE_TEXT, name);
	w->collection = "_unit";
	w->key = "99998";
	w->builtin = true;
	w->writer = LT_WRITER_PROVINCE;
	w->set = set;
	w->nset = 1;
}

static int
hub_writes(struct fix *x, const char *name)
{
	struct lt_unit all = { "_" };
	struct lt_err err = { "" };
	Ltpb__FieldSet *set[1];
	struct lt_write w;
	int rc;

	name_unit(x, name, &w, set);
	rc = lt_hub_write(x->m.f.hub, &all, &w, 1, &x->arena, &err);
	memfed_settle(&x->m);
	return rc;
}

struct want {
	size_t n;
	uint64_t seq; /* of the first */
};

static void
wanted(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__HelloReply *r = (const Ltpb__HelloReply *)m;
	struct want *w = ctx;

	w->n = r->n_want;
	w->seq = r->n_want != 0 ? r->want[0]->seq : 0;
}

static int
hello(struct fix *x, Ltpb__FeedHead **head, size_t n, struct want *out)
{
	Ltpb__HelloRequest r = LTPB__HELLO_REQUEST__INIT;
	uint8_t instance[16] = { 1 };

	memset(out, 0, sizeof(*out));
	r.principal.data = x->node.id.principal.b;
	r.principal.len = LT_ID_LEN;
	r.instance.data = instance;
	r.instance.len = sizeof(instance);
	r.hub_head = head;
	r.n_hub_head = n;
	return memfed_ask(&x->m, &x->line, HELLO, &r.base, wanted, out);
}

/* ---- the hub's own feeds ---- */

struct heads {
	struct fix *x;
	size_t n;
	Ltpb__FeedHead *v[HEADS_MAX + 1];
	uint64_t position[HEADS_MAX + 1];
};

static Ltpb__FeedHead *
head_of(struct fix *x, const char *unit, const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash)
{
	Ltpb__FeedHead *h = lt_arena_alloc(&x->arena, sizeof(*h));

	assert_non_null(h);
	ltpb__feed_head__init(h);
	h->unit = lt_arena_dup(&x->arena, unit, strlen(unit));
	h->feed.data = lt_arena_dup(&x->arena, feed->b, LT_FEED_LEN);
	h->feed.len = LT_FEED_LEN;
	h->seq = seq;
	h->hash.data = lt_arena_dup(&x->arena, hash->b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	return h;
}

static int
note_head(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct heads *h = ctx;
	struct lt_id author = lt_feed_author(feed);

	if (!lt_id_eq(&author, &h->x->m.f.hub->author.id))
		return LT_OK;
	assert_true(h->n < HEADS_MAX);
	h->position[h->n] = head->last_position;
	h->v[h->n++] = head_of(h->x, unit->s, feed, head->seq, &head->hash);
	return LT_OK;
}

static void
own_heads(struct fix *x, struct heads *h)
{
	struct lt_kv_txn *txn;

	memset(h, 0, sizeof(*h));
	h->x = x;
	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, NULL, note_head, h), LT_OK);
	lt_kv_abort(txn);
	assert_true(h->n > 0);
}

static void
damage_entry(struct fix *x, uint64_t position)
{
	uint8_t key[8];

	lt_store_u64(key, position);
	assert_int_equal(
	    lt_kv_test_flip(x->m.log, LT_T_ENTRY, lt_slice(key, sizeof(key)), 900, NULL), LT_OK);
}

/* The next change-set of the hub's in that unit, behind those signed so before: kept, while the log forgets it with the transaction. */
static void
sign(struct fix *x, struct lt_kv_txn *txn, const struct lt_unit *unit, struct lt_write *w)
{
	struct lt_hub *h = x->m.f.hub;
	struct lt_catalogue *cat = lt_hub_catalogue(h);
	struct lt_buf *out = &x->set[x->nset];
	struct lt_err err = { "" };
	struct lt_kv_txn *derived;
	struct lt_entry e;
	uint64_t last;

	assert_true(x->nset < SETS_MAX);
	assert_int_equal(lt_kv_begin_read(x->m.derived, &derived), LT_OK);
	assert_int_equal(
	    lt_author_write(txn, derived, &h->author, cat, unit, w, 1, &x->arena, NULL, NULL, &err),
	    LT_OK);
	assert_int_equal(w->rc, LT_OK);
	assert_false(w->unchanged);
	lt_kv_abort(derived);
	lt_catalogue_unref(cat);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	assert_int_equal(lt_feed_log_read(txn, last, &e), LT_OK);
	lt_buf_init(out, LT_MESSAGE_MAX);
	assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, out, &err), LT_OK);
	x->nset++;
}

static void
forget_sets(struct fix *x)
{
	while (x->nset > 0)
		lt_buf_fini(&x->set[--x->nset]);
}

static void
sign_name(struct fix *x, const char *name)
{
	struct lt_unit all = { "_" };
	Ltpb__FieldSet *set[1];
	struct lt_kv_txn *txn;
	struct lt_write w;

	name_unit(x, name, &w, set);
	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	sign(x, txn, &all, &w);
	lt_kv_abort(txn);
}

/* A verdict on the node's feed as the hub writes them. */
static void
sign_verdict(struct fix *x, struct lt_kv_txn *txn, const Ltpb__Verdict *v)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	Ltpb__Value value = LTPB__VALUE__INIT;
	struct lt_write w = {
		.collection = "_verdict", .builtin = true, .writer = LT_WRITER_PROVINCE
	};
	char hex[2 * LT_FEED_LEN + 1], key[120];
	struct lt_buf bytes;

	lt_hex(hex, x->feed.id.b, LT_FEED_LEN);
	(void)snprintf(key, sizeof(key), "%s/%llu", hex, (unsigned long long)v->from);
	lt_buf_init(&bytes, LT_VALUE_MAX);
	assert_int_equal(lt_wire_pack(&v->base, LT_VALUE_MAX, &bytes), LT_OK);
	value.v_case = LTPB__VALUE__V_BYTES;
	value.bytes.data = bytes.data;
	value.bytes.len = bytes.len;
	fs.name = (char *)(uintptr_t) "verdict";
	fs.value = &value;
	w.key = key;
	w.set = set;
	w.nset = 1;
	sign(x, txn, &x->unit, &w);
	lt_buf_fini(&bytes);
}

/* On change-sets from to to of the node's feed. */
static void
verdict_on(struct fix *x, uint64_t from, uint64_t to, Ltpb__Verdict *v)
{
	struct lt_kv_txn *txn;
	struct lt_hash h;

	ltpb__verdict__init(v);
	v->feed.data = x->feed.id.b;
	v->feed.len = LT_FEED_LEN;
	v->from = from;
	v->to = to;
	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_hash(txn, &x->unit, &x->feed.id, to, &h), LT_OK);
	lt_kv_abort(txn);
	v->to_hash.data = lt_arena_dup(&x->arena, h.b, LT_HASH_LEN);
	v->to_hash.len = LT_HASH_LEN;
}

static uint64_t
position_of(struct fix *x, uint64_t seq)
{
	struct lt_kv_txn *txn;
	uint64_t position;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_find(txn, &x->unit, &x->feed.id, seq, &position), LT_OK);
	lt_kv_abort(txn);
	return position;
}

/* Of the node's feed; in the arena. */
static struct lt_judgement
judged(struct fix *x, uint64_t seq)
{
	uint64_t position = position_of(x, seq);
	struct lt_judgement j;
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_feed_log_judgement(txn, position, &x->arena, &j), LT_OK);
	lt_kv_abort(txn);
	return j;
}

static void
verdicted_name(struct fix *x, char out[160])
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, x->feed.id.b, LT_FEED_LEN);
	(void)snprintf(out, 160, "verdicted/%s/%s", UNIT, hex);
}

/* As if no verdict had been said on the node's feed yet. */
static void
unsay(struct fix *x)
{
	struct lt_kv_txn *txn;
	char name[160];

	verdicted_name(x, name);
	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_local_put_u64(txn, name, 0), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* The last of its own that was signed here is in the hub's log. */
static bool
has_last(struct fix *x)
{
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_hash have;
	int rc;

	assert_int_equal(
	    lt_changeset_parse(lt_buf_slice(&x->set[x->nset - 1]), &x->arena, &cs, NULL), LT_OK);
	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	rc = lt_feed_log_hash(txn, &cs.unit, &cs.feed, cs.seq, &have);
	lt_kv_abort(txn);
	return rc == LT_OK && lt_hash_eq(&have, &cs.hash);
}

static void
go_on(struct fix *x)
{
	struct lt_err err = { "" };
	size_t n;

	assert_int_equal(lt_hub_go_on_without(x->m.f.hub, NULL, NULL, &n, &err), LT_OK);
	assert_int_equal(n, 1);
	memfed_settle(&x->m);
}

/* ---- a rebuild that is owed ---- */

/* Are the tables of before change-sets were judged anew? */
static bool
owed(struct fix *x)
{
	struct lt_kv_txn *txn;
	uint64_t log, derived = 0;
	struct lt_slice v;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, LT_LOCAL_REBUILD, &log), LT_OK);
	lt_kv_abort(txn);
	assert_int_equal(lt_kv_begin_read(x->m.derived, &txn), LT_OK);
	if (lt_kv_get(txn, LT_T_CURSOR, lt_slice_str("rebuilt"), &v) == LT_OK)
		derived = lt_load_u64(v.data);
	lt_kv_abort(txn);
	return log != derived;
}

static void
owe(struct fix *x)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_projector_owe(txn), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* ---- files ---- */

struct copy {
	struct lt_kv_image *log, *derived;
	uint64_t position;
};

static void
copy_take(struct fix *x, struct copy *c)
{
	memfed_settle(&x->m);
	assert_int_equal(lt_kv_image_take(x->m.log, &c->log), LT_OK);
	assert_int_equal(lt_kv_image_take(x->m.derived, &c->derived), LT_OK);
	c->position = lt_hub_log_position(x->m.f.hub);
}

static struct lt_kv *
open_copy(struct fix *x, enum lt_kv_kind kind, const struct lt_kv_image *img)
{
	const struct lt_kv_options o = {
		.kind = kind, .federation = x->m.f.hub_id->federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };
	struct lt_kv *kv;

	assert_int_equal(lt_kv_open_image(&o, img, &kv, &err), LT_OK);
	return kv;
}

/* By hand, while it is off. */
static void
put_tables(struct fix *x, const struct copy *c)
{
	lt_kv_close(x->m.derived);
	x->m.derived = open_copy(x, LT_KV_HUB_DERIVED, c->derived);
}

static void
put_log(struct fix *x, const struct copy *c)
{
	lt_kv_close(x->m.log);
	x->m.log = open_copy(x, LT_KV_HUB_LOG, c->log);
}

static void
copy_drop(struct copy *c)
{
	lt_kv_image_free(c->log);
	lt_kv_image_free(c->derived);
}

/* What the hub signed since is what its nodes give back. */
static void
keep_since(struct fix *x, const struct copy *c)
{
	struct lt_err err = { "" };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	struct lt_id author;
	uint64_t at;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	for (at = c->position + 1; at <= lt_hub_log_position(x->m.f.hub); at++) {
		assert_int_equal(lt_feed_log_read(txn, at, &e), LT_OK);
		assert_int_equal(lt_changeset_open(e.changeset, &x->arena, &cs), LT_OK);
		author = lt_feed_author(&cs.feed);
		if (!lt_id_eq(&author, &x->m.f.hub->author.id))
			continue;
		assert_true(x->nset < SETS_MAX);
		lt_buf_init(&x->set[x->nset], LT_MESSAGE_MAX);
		assert_int_equal(
		    lt_feed_log_compose(txn, &e, NULL, NULL, &x->set[x->nset++], &err), LT_OK);
	}
	lt_kv_abort(txn);
	assert_true(x->nset > 0);
}

/* Another node, which may come in. */
static void
join_other(struct fix *x, struct fed_peer *p, uint64_t seed)
{
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;
	struct lt_peer line;

	memfed_invite(&x->m, p, seed, UNIT);
	test_random_system();
	line = memfed_line(&p->id);
	fed_join_request(&p->id, proof, &r);
	assert_int_equal(memfed_ask(&x->m, &line, "/lienthong.v1.Enrol/Join", &r.base, NULL, NULL),
	    LT_STATUS_OK);
	assert_int_equal(memfed_may(&x->m, &line, HELLO), LT_STATUS_OK);
}

static int
may_come(struct fix *x, const struct fed_peer *p)
{
	struct lt_peer line = memfed_line(&p->id);

	return memfed_may(&x->m, &line, HELLO);
}

static void
revoke(struct fix *x, const struct fed_peer *p)
{
	const struct lt_revoking r = { .principal = p->id.principal, .reason = "stolen" };
	struct lt_err err = { "" };
	const char *why = "";

	assert_int_equal(lt_hub_revoke(x->m.f.hub, &r, &why, &err), LT_OK);
	memfed_settle(&x->m);
	assert_int_not_equal(may_come(x, p), LT_STATUS_OK);
}

static void
go_on_without_all(struct fix *x)
{
	struct lt_err err = { "" };
	size_t n;

	assert_int_equal(lt_hub_go_on_without(x->m.f.hub, NULL, NULL, &n, &err), LT_OK);
	memfed_settle(&x->m);
	assert_false(lt_hub_recovering(x->m.f.hub));
}

/* ---- doubt ---- */

/* In doubt, on again, and in doubt once more, in one process: each has its end. */
static void
test_twice(void **state)
{
	struct fix x;
	unsigned i;
	char name[32];

	(void)state;
	begin(&x);
	for (i = 1; i <= 3; i++) {
		(void)snprintf(name, sizeof(name), "Lần %u", i);
		assert_int_equal(hub_writes(&x, name), LT_OK);
		sign_name(&x, "Bị quên");
		assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
		assert_true(has_last(&x));
		assert_true(lt_hub_recovering(x.m.f.hub));
		assert_int_equal(hub_writes(&x, "Không được"), LT_E_UNAVAILABLE);
		go_on(&x);
		assert_false(lt_hub_recovering(x.m.f.hub));
		forget_sets(&x);
	}
	assert_int_equal(hub_writes(&x, "Sau cùng"), LT_OK);
	end(&x);
}

/* What was signed after a wait was over, in an epoch that is not known here: the files were put back a second time. What was signed before is
 * what a node that was left out may bring. */
static void
test_second_time(void **state)
{
	struct copy c;
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	sign_name(&x, "Trước");
	sign_name(&x, "Bị quên");
	assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	go_on(&x);
	copy_take(&x, &c);
	assert_int_equal(push_sets(&x, x.set + 1, 1), LT_STATUS_OK);
	assert_false(lt_hub_recovering(x.m.f.hub));
	forget_sets(&x);
	put(&x, 1, NULL); /* a verdict, in the first epoch of its unit */
	keep_since(&x, &c);
	memfed_close_hub(&x.m);
	put_log(&x, &c);
	put_tables(&x, &c);
	memfed_start_hub(&x.m);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	go_on(&x);
	assert_int_equal(hub_writes(&x, "Ba"), LT_OK);
	copy_drop(&c);
	end(&x);
}

/* The hub is what the copy is, as `ltctl restore` leaves it. */
static void
restored(struct fix *x, const struct copy *c)
{
	static const uint8_t id[LT_BACKUP_ID_LEN] = { 1 };
	struct lt_kv_txn *txn;
	uint64_t voided;

	memfed_close_hub(&x->m);
	put_log(x, c);
	put_tables(x, c);
	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_restore_mark(txn, true, id, x->m.now_ms, &voided), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	memfed_start_hub(&x->m);
	memfed_settle(&x->m);
	assert_true(lt_hub_recovering(x->m.f.hub));
}

/* A hub restored by the tool goes on without a node, and that one comes: it has what was signed when the clock was ahead, later by its stamp than
 * the end of the wait. In an epoch that is here that is no sign of anything else; in one that is not, it may be. */
static void
left_out(bool known)
{
	struct lt_changeset cs;
	struct copy c;
	struct fix x;

	begin(&x);
	if (known)
		assert_int_equal(hub_writes(&x, "Trong bản sao"), LT_OK);
	copy_take(&x, &c);
	x.m.now_ms += INT64_C(2) * 3600000;
	if (known)
		assert_int_equal(hub_writes(&x, "Đồng hồ nhanh"), LT_OK);
	else
		put(&x, 1, NULL); /* a verdict, in the first epoch of its unit */
	x.m.now_ms -= INT64_C(2) * 3600000;
	keep_since(&x, &c);
	restored(&x, &c);
	go_on(&x);
	assert_int_equal(hub_writes(&x, "Sau khi khôi phục"), LT_OK);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(has_last(&x));
	assert_true(lt_hub_recovering(x.m.f.hub) == !known);
	/* Of the former it was said that the machine of before may run as well. */
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&x.set[0]), &x.arena, &cs, NULL), LT_OK);
	assert_true(lt_recovery_outlived(x.m.f.hub, &cs.feed) == !known);
	assert_false(lt_recovery_outlived(x.m.f.hub, &cs.feed));
	x.m.now_ms += 3600000 - 60000;
	assert_false(lt_recovery_outlived(x.m.f.hub, &cs.feed));
	x.m.now_ms += 120000;
	assert_true(lt_recovery_outlived(x.m.f.hub, &cs.feed));
	if (!known)
		go_on(&x);
	/* It is not asked twice. */
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(hub_writes(&x, "Sau cùng"), LT_OK);
	copy_drop(&c);
	end(&x);
}

static void
test_left_out(void **state)
{
	(void)state;
	left_out(true);
	left_out(false);
}

/* Change-sets of the hub with an act of erasure. */
static size_t
erasures(struct fix *x)
{
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t at;
	size_t i, n = 0;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	for (at = 1; at <= lt_hub_log_position(x->m.f.hub); at++) {
		struct lt_buf b;
		struct lt_err err = { "" };

		assert_int_equal(lt_feed_log_read(txn, at, &e), LT_OK);
		lt_buf_init(&b, LT_MESSAGE_MAX);
		assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err), LT_OK);
		assert_int_equal(lt_changeset_parse(lt_buf_slice(&b), &x->arena, &cs, NULL), LT_OK);
		for (i = 0; i < cs.nchange; i++)
			n += strcmp(cs.change[i].collection, LT_ERASE_COLLECTION) == 0;
		lt_buf_fini(&b);
	}
	lt_kv_abort(txn);
	return n;
}

/* The name of the applicant of the node's first dossier. */
static bool
has_name(struct fix *x)
{
	uint64_t position = position_of(x, 1);
	struct lt_slice v;
	struct lt_kv_txn *txn;
	int rc;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	rc = lt_opening_view(txn, position, 0, "applicant_name", &v);
	lt_kv_abort(txn);
	return rc == LT_OK;
}

static void
erase_first(struct fix *x)
{
	struct lt_erasing e = { .collection = "dossier",
		.key = "H41.65-261120-0001",
		.reason = lt_erase_reason(0),
		.basis = "Thử nghiệm" };
	struct lt_erasing_report report;
	struct lt_err err = { "" };
	const char *why = "";

	e.unit = x->unit;
	assert_true(has_name(x));
	assert_int_equal(lt_hub_erase(x->m.f.hub, &e, &x->arena, &report, &why, &err), LT_OK);
	memfed_settle(&x->m);
	assert_false(has_name(x));
}

/* In the branch that does not count somebody was revoked, and something erased: both are in force at once, over a stop, and said again,
 * once. */
static void
test_acts_of_other_branch(void **state)
{
	struct fed_peer first, second, third;
	struct copy c;
	struct fix x;

	(void)state;
	begin(&x);
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	memset(&third, 0, sizeof(third));
	join_other(&x, &first, 21);
	join_other(&x, &second, 22);
	join_other(&x, &third, 23);
	put(&x, 1, NULL);
	revoke(&x, &first); /* the epochs begin */
	copy_take(&x, &c);
	revoke(&x, &second);
	erase_first(&x);
	keep_since(&x, &c);
	memfed_close_hub(&x.m);
	put_log(&x, &c);
	put_tables(&x, &c);
	memfed_start_hub(&x.m);
	assert_int_equal(may_come(&x, &second), LT_STATUS_OK);
	assert_true(has_name(&x));
	revoke(&x, &third); /* the same numbers again */
	put(&x, 2, NULL);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	assert_false(has_last(&x));
	assert_int_not_equal(may_come(&x, &second), LT_STATUS_OK);
	assert_false(has_name(&x));
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	assert_int_not_equal(may_come(&x, &second), LT_STATUS_OK);
	assert_int_equal(erasures(&x), 0);
	go_on_without_all(&x);
	assert_int_equal(erasures(&x), 1);
	/* From what is signed now. */
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	assert_int_not_equal(may_come(&x, &second), LT_STATUS_OK);
	assert_int_equal(may_come(&x, &x.node), LT_STATUS_OK);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	memfed_settle(&x.m);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(erasures(&x), 1);
	copy_drop(&c);
	end(&x);
}

static int
full(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return LT_E_NOSPACE;
}

static bool
shows(struct fix *x, unsigned number, const char *status)
{
	char text[64];

	return fed_hub_field(&x->m.f, UNIT, number, "status", text, sizeof(text)) &&
	       strcmp(text, status) == 0;
}

/* The key of the one dossier's row. */
static size_t
record_key(struct fix *x, uint8_t key[LT_KV_KEY_MAX])
{
	static const char of[] = "H41.65-261120-0001";
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc;

	assert_int_equal(lt_kv_begin_read(x->m.derived, &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_RECORD, &c), LT_OK);
	rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v);
	while (rc == LT_OK && (k.len < sizeof(of) - 1 || memcmp(k.data + k.len - (sizeof(of) - 1),
							     of, sizeof(of) - 1) != 0))
		rc = lt_kv_next(c, &k, &v);
	assert_int_equal(rc, LT_OK);
	memcpy(key, k.data, k.len);
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return k.len;
}

static void
lose_record(struct fix *x)
{
	uint8_t key[LT_KV_KEY_MAX];
	size_t len = record_key(x, key);
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(x->m.derived, &txn), LT_OK);
	assert_int_equal(lt_kv_del(txn, LT_T_RECORD, lt_slice(key, len)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

/* What the tables show of the same. */
static bool
shows_name(struct fix *x)
{
	char text[256];

	return fed_hub_field(&x->m.f, UNIT, 1, "applicant_name", text, sizeof(text));
}

/* With an act of erasure in the branch that does not count, and tables of before it. */
static void
begin_erased(struct fix *x)
{
	struct copy c;

	begin(x);
	assert_int_equal(hub_writes(x, "Xã thử"), LT_OK);
	put(x, 1, NULL);
	copy_take(x, &c);
	erase_first(x);
	assert_false(shows_name(x));
	keep_since(x, &c);
	memfed_close_hub(&x->m);
	put_log(x, &c);
	put_tables(x, &c);
	memfed_start_hub(&x->m);
	put(x, 2, NULL); /* its verdict has the number of the act */
	assert_true(shows_name(x));
	copy_drop(&c);
}

/* What was erased in a branch that does not count is not shown, long before the act is said again: that waits for every node. */
static void
test_erased_is_not_shown(void **state)
{
	struct fix x;

	(void)state;
	begin_erased(&x);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	memfed_settle(&x.m);
	assert_true(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(erasures(&x), 0);
	assert_false(has_name(&x));
	assert_false(shows_name(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	assert_int_equal(x.m.f.hub->builds, 0); /* nothing was built anew for that */
	go_on_without_all(&x);
	assert_int_equal(erasures(&x), 1);
	assert_false(shows_name(&x));
	end(&x);
}

/* Stopped when the log had let go of it and the tables had not: they let go of it before anything is answered. */
static void
test_erased_over_a_stop(void **state)
{
	struct copy c;
	struct fix x;

	(void)state;
	begin_erased(&x);
	copy_take(&x, &c);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	memfed_close_hub(&x.m);
	put_tables(&x, &c);
	memfed_start_hub(&x.m);
	assert_int_equal(erasures(&x), 0);
	assert_false(shows_name(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	copy_drop(&c);
	end(&x);
}

/* Where there is no room for it the hub goes on all the same, also over a start, and does it when there is. */
static void
test_erased_on_a_full_disk(void **state)
{
	struct fix x;

	(void)state;
	begin_erased(&x);
	lt_kv_set_fault(x.m.derived, full, NULL);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	memfed_settle(&x.m);
	assert_false(has_name(&x));
	assert_true(shows_name(&x));
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	assert_true(shows_name(&x));
	lt_kv_set_fault(x.m.derived, NULL, NULL);
	x.m.now_ms += 2 * LT_HUB_RETRY_MS;
	memfed_settle(&x.m);
	assert_false(shows_name(&x));
	end(&x);
}

/* Where the tables are damaged there, they are built anew without it. */
static void
test_erased_over_damage(void **state)
{
	uint8_t key[LT_KV_KEY_MAX];
	struct fix x;
	size_t len;

	(void)state;
	begin_erased(&x);
	len = record_key(&x, key);
	assert_int_equal(
	    lt_kv_test_flip(x.m.derived, LT_T_RECORD, lt_slice(key, len), 3, NULL), LT_OK);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	memfed_settle(&x.m);
	assert_int_equal(x.m.f.hub->builds, 1);
	assert_false(shows_name(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	end(&x);
}

/* The lost branch is longer than the one that counts: what it revoked is in force wherever in it that stands, and who is shut out by it is not
 * waited for. */
static void
test_acts_further_on(void **state)
{
	struct fed_peer lost[3], other;
	struct copy c;
	struct fix x;
	size_t i;

	(void)state;
	begin(&x);
	memset(lost, 0, sizeof(lost));
	memset(&other, 0, sizeof(other));
	join_other(&x, &other, 20);
	for (i = 0; i < 3; i++)
		join_other(&x, &lost[i], 21 + i);
	copy_take(&x, &c);
	for (i = 0; i < 3; i++)
		revoke(&x, &lost[i]);
	keep_since(&x, &c);
	memfed_close_hub(&x.m);
	put_log(&x, &c);
	put_tables(&x, &c);
	memfed_start_hub(&x.m);
	for (i = 0; i < 3; i++)
		assert_int_equal(may_come(&x, &lost[i]), LT_STATUS_OK);
	revoke(&x, &other); /* in the place of the first of them, and no more */
	memfed_close_hub(&x.m); /* who said hello to this process was heard */
	memfed_start_hub(&x.m);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	for (i = 0; i < 3; i++)
		assert_int_not_equal(may_come(&x, &lost[i]), LT_STATUS_OK);
	assert_int_equal(lt_recovery_awaited(x.m.f.hub), 1); /* the node itself */
	go_on_without_all(&x);
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	for (i = 0; i < 3; i++)
		assert_int_not_equal(may_come(&x, &lost[i]), LT_STATUS_OK);
	copy_drop(&c);
	end(&x);
}

/* Two branches that do not count have an act each under one number: both are said again, over a stop. */
static void
test_acts_of_two_branches(void **state)
{
	struct fed_peer lost[2], other;
	struct copy c;
	struct fix x;
	size_t i;

	(void)state;
	begin(&x);
	memset(lost, 0, sizeof(lost));
	memset(&other, 0, sizeof(other));
	join_other(&x, &other, 20);
	for (i = 0; i < 2; i++)
		join_other(&x, &lost[i], 21 + i);
	copy_take(&x, &c);
	for (i = 0; i < 2; i++) {
		revoke(&x, &lost[i]);
		keep_since(&x, &c);
		memfed_close_hub(&x.m);
		put_log(&x, &c);
		put_tables(&x, &c);
		memfed_start_hub(&x.m);
		assert_int_equal(may_come(&x, &lost[i]), LT_STATUS_OK);
	}
	revoke(&x, &other);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	for (i = 0; i < 3; i++) { /* as it came, from the rows, and from what is signed anew */
		assert_int_not_equal(may_come(&x, &lost[0]), LT_STATUS_OK);
		assert_int_not_equal(may_come(&x, &lost[1]), LT_STATUS_OK);
		if (i == 1)
			go_on_without_all(&x);
		memfed_close_hub(&x.m);
		memfed_start_hub(&x.m);
		memfed_settle(&x.m);
	}
	copy_drop(&c);
	end(&x);
}

/* The row that a restore left at its end, by a program that did not note when that was. */
static void
test_ended_before(void **state)
{
	struct lt_kv_txn *txn;
	struct fix x;

	(void)state;
	begin(&x);
	memfed_close_hub(&x.m);
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	assert_int_equal(
	    lt_kv_put(txn, LT_T_LOCAL, lt_slice_str("restored"), lt_slice("\2", 1)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	memfed_start_hub(&x.m);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	end(&x);
}

/* ---- damage in between ---- */

static void
flip_row(struct fix *x, unsigned table, const char *key)
{
	assert_int_equal(lt_kv_test_flip(x->m.log, table, lt_slice_str(key), 3, NULL), LT_OK);
}

/* Rows that the doubt takes away cannot be read, and one behind them: neither way into it is shut by that. */
static void
doubt_over_damage(bool at_start)
{
	char name[64];
	struct lt_kv_txn *txn;
	struct copy c;
	struct fix x;

	begin(&x);
	copy_take(&x, &c);
	put(&x, 1, NULL);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	(void)snprintf(name, sizeof(name), "epoch/_/%d", (int)LT_LANE_NORMAL);
	if (at_start) {
		copy_drop(&c);
		copy_take(&x, &c);
		assert_int_equal(hub_writes(&x, "Hai"), LT_OK);
		memfed_close_hub(&x.m);
		put_log(&x, &c);
	} else {
		sign_name(&x, "Hai");
	}
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	assert_int_equal(lt_local_put_u64(txn, "epoch/_/zz", 1), LT_OK);
	assert_int_equal(lt_local_put_u64(txn, "epocha", 1), LT_OK);
	assert_int_equal(
	    lt_kv_put(txn, LT_T_ENROL, lt_slice_str("damaged"), lt_slice_str("row")), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	flip_row(&x, LT_T_LOCAL, name);
	flip_row(&x, LT_T_LOCAL, "epoch/_/zz");
	flip_row(&x, LT_T_LOCAL, "epocha");
	flip_row(&x, LT_T_ENROL, "damaged");
	if (at_start)
		memfed_start_hub(&x.m);
	else
		assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	memfed_settle(&x.m);
	go_on(&x);
	assert_int_equal(hub_writes(&x, "Ba"), LT_OK);
	copy_drop(&c);
	end(&x);
}

static void
test_doubt_over_damage(void **state)
{
	(void)state;
	doubt_over_damage(false);
	doubt_over_damage(true);
}

/* Tables of before, put back alone, with somebody in them whom the log revoked since; they are to be built anew, too. At no time is that one
 * let in, whether there is room for it or not. */
static void
revoked_while_owed(bool room)
{
	struct fed_peer other;
	struct copy c;
	struct fix x;

	begin(&x);
	memset(&other, 0, sizeof(other));
	join_other(&x, &other, 21);
	copy_take(&x, &c);
	revoke(&x, &other);
	owe(&x);
	memfed_close_hub(&x.m);
	put_tables(&x, &c);
	if (!room)
		lt_kv_set_fault(x.m.derived, full, NULL);
	memfed_start_hub(&x.m);
	assert_int_not_equal(may_come(&x, &other), LT_STATUS_OK);
	memfed_settle(&x.m);
	assert_int_not_equal(may_come(&x, &other), LT_STATUS_OK);
	lt_kv_set_fault(x.m.derived, NULL, NULL);
	memfed_settle(&x.m);
	memfed_settle(&x.m);
	assert_false(owed(&x));
	assert_int_not_equal(may_come(&x, &other), LT_STATUS_OK);
	assert_int_equal(may_come(&x, &x.node), LT_STATUS_OK);
	copy_drop(&c);
	end(&x);
}

static void
test_revoked_while_owed(void **state)
{
	(void)state;
	revoked_while_owed(true);
	revoked_while_owed(false);
}

/* Nodes that have all say so in each hello: not one entry is read for that, and one that is damaged keeps nobody out. */
static void
test_hello_over_damage(void **state)
{
	struct heads h;
	struct want w;
	struct fix x;
	size_t i;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	assert_int_equal(hub_writes(&x, "Hai"), LT_OK);
	own_heads(&x, &h);
	assert_int_equal(hello(&x, h.v, h.n, &w), LT_STATUS_OK);
	assert_int_equal(w.n, 0);
	for (i = 0; i < h.n; i++)
		damage_entry(&x, h.position[i]);
	assert_int_equal(hello(&x, h.v, h.n, &w), LT_STATUS_OK);
	assert_int_equal(w.n, 0);
	/* Another head under that number: it is asked for, the entry is not needed for that. */
	h.v[0]->hash.data[0] ^= 1;
	assert_int_equal(hello(&x, h.v, h.n, &w), LT_STATUS_OK);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.seq, h.v[0]->seq);
	end(&x);
}

/* A node that is behind names one that is damaged: what it has cannot be told, and it comes in. */
static void
test_hello_behind_damage(void **state)
{
	struct lt_hash nothing = { { 0 } };
	struct lt_unit all = { "_" };
	Ltpb__FeedHead *behind;
	struct lt_feed_id feed;
	struct lt_kv_txn *txn;
	struct lt_head head;
	uint64_t position;
	struct want w;
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	assert_int_equal(hub_writes(&x, "Hai"), LT_OK);
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	assert_int_equal(
	    lt_author_feed(txn, &x.m.f.hub->author, &all, LT_LANE_NORMAL, &feed), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &all, &feed, &head), LT_OK);
	assert_true(head.seq > 1);
	assert_int_equal(lt_feed_log_find(txn, &all, &feed, head.seq - 1, &position), LT_OK);
	lt_kv_abort(txn);
	behind = head_of(&x, "_", &feed, head.seq - 1, &nothing);
	assert_int_equal(hello(&x, &behind, 1, &w), LT_STATUS_OK);
	assert_int_equal(w.n, 1);
	damage_entry(&x, position);
	assert_int_equal(hello(&x, &behind, 1, &w), LT_STATUS_OK);
	assert_int_equal(w.n, 0);
	end(&x);
}

/* A feed named twice, and one feed too many. */
static void
test_heads_named(void **state)
{
	struct lt_hash nothing = { { 0 } };
	struct lt_feed_id feed;
	struct heads h;
	struct want w;
	struct fix x;
	size_t have;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	own_heads(&x, &h);
	have = h.n;
	h.v[h.n] = h.v[0];
	assert_int_equal(hello(&x, h.v, h.n + 1, &w), LT_STATUS_INVALID_ARGUMENT);
	for (; h.n < HEADS_MAX + 1; h.n++) {
		feed = lt_feed_id_make(x.m.f.hub->author.id, LT_LANE_NORMAL, h.n + 1000);
		h.v[h.n] = head_of(&x, "_", &feed, 1, &nothing);
	}
	assert_int_equal(hello(&x, h.v, HEADS_MAX, &w), LT_STATUS_OK);
	assert_int_equal(w.n, HEADS_MAX - have);
	assert_int_equal(hello(&x, h.v, HEADS_MAX + 1, &w), LT_STATUS_INVALID_ARGUMENT);
	end(&x);
}

/* A verdict comes back on change-sets of which the last is damaged here: the one behind it names its hash, or the head does. */
static void
verdict_over_damage(uint64_t to)
{
	Ltpb__Clamp clamp = LTPB__CLAMP__INIT, *clamps[1] = { &clamp };
	struct lt_judgement j;
	struct lt_kv_txn *txn;
	Ltpb__Verdict v;
	struct fix x;
	unsigned i;

	begin(&x);
	for (i = 1; i <= 3; i++)
		put(&x, i, NULL);
	unsay(&x);
	verdict_on(&x, 1, to, &v);
	clamp.from = clamp.to = 1;
	clamp.floor = 1;
	clamp.ceiling = LT_STAMP(x.m.now_ms - 3600000, 0);
	v.clamp = clamps;
	v.n_clamp = 1;
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	sign_verdict(&x, txn, &v);
	lt_kv_abort(txn);
	damage_entry(&x, position_of(&x, to));
	assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
	assert_true(has_last(&x));
	assert_true(lt_hub_recovering(x.m.f.hub));
	j = judged(&x, 1);
	assert_true(j.clamped);
	assert_true(j.ceiling == clamp.ceiling);
	end(&x);
}

static void
test_verdict_over_damage(void **state)
{
	(void)state;
	verdict_over_damage(2);
	verdict_over_damage(3);
}

/* That one and the next are damaged: nothing can be compared, and what else came is taken. */
static void
test_verdict_not_compared(void **state)
{
	struct lt_kv_txn *txn;
	Ltpb__Verdict v, behind;
	struct fix x;
	unsigned i;

	(void)state;
	begin(&x);
	for (i = 1; i <= 4; i++)
		put(&x, i, NULL);
	unsay(&x);
	verdict_on(&x, 1, 2, &v);
	verdict_on(&x, 3, 4, &behind);
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	sign_verdict(&x, txn, &v);
	sign_verdict(&x, txn, &behind);
	lt_kv_abort(txn);
	damage_entry(&x, position_of(&x, 2));
	damage_entry(&x, position_of(&x, 3));
	assert_int_equal(push_sets(&x, x.set, 2), LT_STATUS_OK);
	assert_true(has_last(&x));
	assert_true(lt_hub_recovering(x.m.f.hub));
	end(&x);
}

/* ---- verdicts that say something else than what stands here ---- */

static uint64_t
quarantined(struct fix *x)
{
	struct lt_kv_txn *txn;
	uint64_t n;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_QUARANTINE, &n), LT_OK);
	lt_kv_abort(txn);
	return n;
}

/* Sign this verdict, and give it back. */
static void
say(struct fix *x, const Ltpb__Verdict *v)
{
	struct lt_kv_txn *txn;

	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	sign_verdict(x, txn, v);
	lt_kv_abort(txn);
	assert_int_equal(push_sets(x, x->set, x->nset), LT_STATUS_OK);
	assert_true(has_last(x));
}

static void
refuse(struct fix *x, Ltpb__Verdict *v, uint64_t seq, Ltpb__ReasonCode reason)
{
	Ltpb__RefusedDot *dot = lt_arena_alloc(&x->arena, sizeof(*dot));

	v->refused = lt_arena_alloc(&x->arena, sizeof(Ltpb__RefusedDot *));
	assert_non_null(dot);
	assert_non_null(v->refused);
	ltpb__refused_dot__init(dot);
	dot->seq = seq;
	dot->index = 0;
	dot->reason = reason;
	v->refused[0] = dot;
	v->n_refused = 1;
}

/* It was refused then, as of what the registry said, and taken since: nodes have it refused. */
static void
test_refused_then(void **state)
{
	struct lt_judgement j;
	Ltpb__Verdict v;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	put(&x, 2, NULL);
	assert_true(shows(&x, 1, "tiep_nhan"));
	assert_int_equal(quarantined(&x), 0);
	unsay(&x);
	verdict_on(&x, 1, 2, &v);
	refuse(&x, &v, 1, LTPB__REASON_CODE__REASON_AUTHORITY);
	say(&x, &v);
	j = judged(&x, 1);
	assert_int_equal(j.nrefused, 1);
	assert_int_equal(j.refused[0]->reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	assert_int_equal(judged(&x, 2).nrefused, 0);
	assert_int_equal(quarantined(&x), 1);
	assert_false(shows(&x, 1, "tiep_nhan"));
	assert_true(shows(&x, 2, "tiep_nhan"));
	end(&x);
}

/* And the other way round: it counted then, and was refused since. */
static void
test_counted_then(void **state)
{
	Ltpb__Verdict v;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	put(&x, 1, "xong_roi");
	assert_int_equal(judged(&x, 2).nrefused, 1);
	assert_int_equal(quarantined(&x), 1);
	unsay(&x);
	verdict_on(&x, 1, 2, &v);
	say(&x, &v);
	assert_int_equal(judged(&x, 2).nrefused, 0);
	assert_int_equal(quarantined(&x), 0);
	assert_true(shows(&x, 1, "xong_roi"));
	end(&x);
}

/* Of numbers that are not all here it is not known that they are those of the verdict: it adds refusals, and takes none away. */
static void
test_not_all_here(void **state)
{
	Ltpb__Verdict v;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	put(&x, 1, "xong_roi");
	unsay(&x);
	verdict_on(&x, 1, 2, &v);
	v.to = 3;
	refuse(&x, &v, 1, LTPB__REASON_CODE__REASON_AUTHORITY);
	say(&x, &v);
	assert_int_equal(judged(&x, 1).nrefused, 1);
	assert_int_equal(judged(&x, 2).nrefused, 1);
	assert_int_equal(quarantined(&x), 2);
	end(&x);
}

/* A dossier of the node's that names what is not here yet: the first of feed `second`, which is another one of its own. */
static void
put_early(struct fix *x, const struct fed_feed *second)
{
	struct lt_draft draft = { 0 };
	struct lt_context seen = { .feed = second->id, .seq = 1 };
	struct lt_buf b;

	fed_draft_dossier(&x->arena, &draft, "H41.65-261120-0001");
	draft.context = &seen;
	draft.ncontext = 1;
	lt_buf_init(&b, LT_MESSAGE_MAX);
	x->feed.next_stamp = lt_hlc_next(x->feed.stamp, x->m.now_ms);
	fed_seal(&x->m.f, &x->feed, &draft, 1, &b);
	assert_int_equal(push_sets(x, &b, 1), LT_STATUS_OK);
	lt_buf_fini(&b);
	assert_int_equal(judged(x, 1).nheld, 1);
}

/* It is held here, and was refused then, or counted: so it stays, also when what it waited for comes. */
static void
held_here(bool refused)
{
	struct fed_feed first, second;
	Ltpb__Verdict v;
	struct fix x;

	begin(&x);
	fed_feed_init(&second, &x.node, UNIT, LT_LANE_NORMAL, 2);
	put_early(&x, &second);
	assert_false(shows(&x, 1, "tiep_nhan"));
	unsay(&x);
	verdict_on(&x, 1, 1, &v);
	if (refused)
		refuse(&x, &v, 1, LTPB__REASON_CODE__REASON_BAD_CONTEXT);
	say(&x, &v);
	assert_int_equal(judged(&x, 1).nheld, 0);
	assert_int_equal(judged(&x, 1).nrefused, refused);
	assert_true(shows(&x, 1, "tiep_nhan") == !refused);
	go_on(&x);
	first = x.feed;
	x.feed = second;
	put(&x, 2, NULL);
	assert_true(shows(&x, 2, "tiep_nhan"));
	x.feed = first;
	assert_int_equal(judged(&x, 1).nheld, 0);
	assert_int_equal(judged(&x, 1).nrefused, refused);
	assert_true(shows(&x, 1, "tiep_nhan") == !refused);
	end(&x);
}

static void
test_held_here(void **state)
{
	(void)state;
	held_here(true);
	held_here(false);
}

/* Dots that settling verdicts of the hub on the node's feed name, as what counts, or as refused. */
struct settled {
	struct fix *x;
	size_t counts, refused;
};

static void
note_settled(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct settled *s = ctx;
	struct lt_changeset cs;
	ProtobufCMessage *v;
	size_t i;

	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	assert_int_equal(lt_changeset_parse(lt_slice(it->change_set.data, it->change_set.len),
			     &s->x->arena, &cs, NULL),
	    LT_OK);
	for (i = 0; i < cs.nchange; i++) {
		const struct lt_change *c = &cs.change[i];

		if (strcmp(c->collection, "_verdict") != 0)
			continue;
		assert_int_equal(
		    lt_wire_unpack(&ltpb__verdict__descriptor,
			lt_slice(c->set[0].pb->value->bytes.data, c->set[0].pb->value->bytes.len),
			LT_VALUE_MAX, &s->x->arena, &v, NULL),
		    LT_OK);
		if (!((const Ltpb__Verdict *)v)->settling)
			continue;
		s->counts += ((const Ltpb__Verdict *)v)->n_settled;
		s->refused += ((const Ltpb__Verdict *)v)->n_refused;
	}
}

static void
hold(struct fix *x, Ltpb__Verdict *v, uint64_t seq)
{
	Ltpb__HeldDot *dot = lt_arena_alloc(&x->arena, sizeof(*dot));

	v->held = lt_arena_alloc(&x->arena, sizeof(Ltpb__HeldDot *));
	assert_non_null(dot);
	assert_non_null(v->held);
	ltpb__held_dot__init(dot);
	dot->seq = seq;
	v->held[0] = dot;
	v->n_held = 1;
}

/* It was held then, and is not held here, where something was said since or not: who has that verdict is told what became of it. */
static void
held_then(bool said, bool refused)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;
	struct settled s = { .x = NULL };
	Ltpb__Verdict v;
	struct fix x;

	begin(&x);
	s.x = &x;
	put(&x, 1, NULL);
	put(&x, refused ? 1 : 2, refused ? "xong_roi" : NULL);
	assert_int_equal(judged(&x, 2).nrefused, refused);
	if (!said)
		unsay(&x);
	verdict_on(&x, 1, 2, &v);
	hold(&x, &v, 2);
	if (refused && !said)
		refuse(&x, &v, 1, LTPB__REASON_CODE__REASON_AUTHORITY);
	say(&x, &v);
	go_on(&x);
	assert_int_equal(judged(&x, 2).nheld, 0);
	assert_int_equal(
	    memfed_ask(&x.m, &x.line, "/lienthong.v1.Sync/Pull", &r.base, note_settled, &s),
	    LT_STATUS_OK);
	assert_int_equal(s.refused, judged(&x, 2).nrefused);
	assert_int_equal(s.counts, 1 - judged(&x, 2).nrefused);
	end(&x);
}

static void
test_held_then(void **state)
{
	(void)state;
	held_then(true, false);
	held_then(true, true);
	held_then(false, false);
	held_then(false, true);
}

/* What a node gets, in order: epochs of the hub's verdicts on it. */
struct order {
	struct fix *x;
	size_t n;
	uint64_t epoch[8];
};

static void
pulled(void *ctx, const ProtobufCMessage *m)
{
	const Ltpb__PullItem *it = (const Ltpb__PullItem *)m;
	struct order *o = ctx;
	struct lt_changeset cs;
	struct lt_id author;

	if (it->item_case != LTPB__PULL_ITEM__ITEM_CHANGE_SET)
		return;
	assert_int_equal(lt_changeset_parse(lt_slice(it->change_set.data, it->change_set.len),
			     &o->x->arena, &cs, NULL),
	    LT_OK);
	author = lt_feed_author(&cs.feed);
	if (!lt_id_eq(&author, &o->x->m.f.hub->author.id) || !lt_unit_eq(&cs.unit, &o->x->unit))
		return;
	assert_true(o->n < sizeof(o->epoch) / sizeof(o->epoch[0]));
	o->epoch[o->n++] = lt_feed_epoch(&cs.feed);
}

static void
pull(struct fix *x, struct order *o)
{
	Ltpb__PullRequest r = LTPB__PULL_REQUEST__INIT;

	memset(o, 0, sizeof(*o));
	o->x = x;
	assert_int_equal(memfed_ask(&x->m, &x->line, "/lienthong.v1.Sync/Pull", &r.base, pulled, o),
	    LT_STATUS_OK);
}

/* Another epoch of the hub's for verdicts on the node, behind the one of before in the order of feeds. Returns that one. */
static uint64_t
new_epoch(struct fix *x)
{
	struct lt_kv_txn *txn;
	char name[64];
	uint64_t was;

	(void)snprintf(name, sizeof(name), "epoch/%s/%d", UNIT, (int)LT_LANE_URGENT);
	assert_int_equal(lt_kv_begin_write(x->m.log, &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &was), LT_OK);
	assert_true(was != 0);
	assert_int_equal(lt_local_put_u64(txn, name, UINT64_MAX - 1), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	return was;
}

/* A verdict comes back that says something else than the one that was said since. That one counts, here and at who gets both; and what stands
 * behind the other in its feed is taken all the same. */
static void
test_contradicted(void **state)
{
	struct lt_draft draft = { 0 };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_judgement j;
	struct order o;
	struct fed_feed ahead;
	struct lt_buf b;
	uint64_t before;
	Ltpb__Verdict v, behind;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	/* The node's second, which the hub has not got again yet when it signs the first verdict on it. */
	ahead = x.feed;
	fed_draft_dossier(&x.arena, &draft, "H41.65-261120-0002");
	lt_buf_init(&b, LT_MESSAGE_MAX);
	ahead.next_stamp = lt_hlc_next(ahead.stamp, x.m.now_ms);
	fed_seal(&x.m.f, &ahead, &draft, 1, &b);
	assert_int_equal(lt_changeset_parse(lt_buf_slice(&b), &x.arena, &cs, NULL), LT_OK);
	verdict_on(&x, 1, 1, &behind);
	verdict_on(&x, 1, 1, &v);
	v.from = v.to = 2;
	v.to_hash.data = cs.hash.b;
	refuse(&x, &v, 2, LTPB__REASON_CODE__REASON_AUTHORITY);
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	sign_verdict(&x, txn, &v);
	sign_verdict(&x, txn, &behind);
	lt_kv_abort(txn);
	before = new_epoch(&x);
	assert_int_equal(push_sets(&x, &b, 1), LT_STATUS_OK);
	pull(&x, &o);
	assert_int_equal(o.n, 2);
	assert_int_equal(o.epoch[0], before);
	assert_true(o.epoch[1] == UINT64_MAX - 1);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_true(has_last(&x));
	assert_true(lt_hub_recovering(x.m.f.hub));
	j = judged(&x, 2);
	assert_int_equal(j.nrefused, 0);
	assert_true(shows(&x, 2, "tiep_nhan"));
	pull(&x, &o);
	assert_int_equal(o.n, 4);
	assert_true(o.epoch[1] == UINT64_MAX - 1);
	assert_int_equal(o.epoch[2], before);
	assert_int_equal(o.epoch[3], before);
	lt_buf_fini(&b);
	end(&x);
}

/* ---- stops, and a full disk ---- */

static void
count_call(void *ctx, const struct lt_intake_result *r)
{
	assert_int_equal(r->rc, LT_OK);
	++*(unsigned *)ctx;
}

/* A verdict comes back long after the hub went on, and it stops between the commit and the tables: they are built anew at the next start. */
static void
test_stopped_between(void **state)
{
	struct lt_slice bytes;
	struct lt_kv_txn *txn;
	unsigned calls = 0;
	Ltpb__Verdict v;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	unsay(&x);
	verdict_on(&x, 1, 1, &v);
	refuse(&x, &v, 1, LTPB__REASON_CODE__REASON_AUTHORITY);
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	sign_verdict(&x, txn, &v);
	lt_kv_abort(txn);
	sign_name(&x, "Hai");
	assert_int_equal(push_sets(&x, x.set + 1, 1), LT_STATUS_OK);
	assert_true(lt_hub_recovering(x.m.f.hub));
	go_on(&x);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_false(owed(&x));
	bytes = lt_buf_slice(&x.set[0]);
	lt_hub_take_back(x.m.f.hub, &bytes, 1, count_call, &calls);
	while (calls == 0)
		assert_true(lt_writer_step(x.m.f.hub->writer));
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_true(owed(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	assert_false(lt_hub_recovering(x.m.f.hub));
	assert_false(shows(&x, 1, "tiep_nhan"));
	assert_false(owed(&x));
	/* And not once more. */
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	assert_int_equal(x.m.f.hub->builds, 0);
	end(&x);
}

/* A rebuild that began before is none. */
static void
test_judged_while_built(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	owe(&x);
	lt_hub_rebuild(x.m.f.hub);
	memfed_settle(&x.m);
	assert_false(owed(&x));
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	lt_hub_rebuild(x.m.f.hub);
	assert_true(lt_projector_step(x.m.f.hub)); /* it begins */
	owe(&x);
	memfed_settle(&x.m);
	assert_true(owed(&x));
	lt_hub_rebuild(x.m.f.hub);
	memfed_settle(&x.m);
	assert_false(owed(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	end(&x);
}

/* A wait that goes on over a restart builds nothing anew. */
static void
test_restart_in_doubt(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	sign_name(&x, "Hai");
	assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	assert_true(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(x.m.f.hub->builds, 0);
	assert_true(shows(&x, 1, "tiep_nhan"));
	end(&x);
}

/* Tables of before, put back by hand, whose cursor fits. */
static void
test_old_tables(void **state)
{
	struct lt_kv_txn *txn;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	owe(&x);
	lt_hub_rebuild(x.m.f.hub);
	memfed_settle(&x.m);
	memfed_close_hub(&x.m);
	assert_int_equal(lt_kv_begin_write(x.m.derived, &txn), LT_OK);
	assert_int_equal(lt_kv_del(txn, LT_T_CURSOR, lt_slice_str("rebuilt")), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	assert_int_equal(x.m.f.hub->builds, 1);
	assert_false(owed(&x));
	assert_true(shows(&x, 1, "tiep_nhan"));
	end(&x);
}

/* A rebuild is owed and the tables cannot be emptied: it starts, says that they are being mended, and builds them when there is room. */
static void
test_full_disk(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	owe(&x);
	memfed_close_hub(&x.m);
	lose_record(&x);
	lt_kv_set_fault(x.m.derived, full, NULL);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	assert_true(lt_hub_mending(x.m.f.hub));
	assert_true(owed(&x));
	lt_kv_set_fault(x.m.derived, NULL, NULL);
	memfed_settle(&x.m);
	memfed_settle(&x.m);
	assert_false(lt_hub_mending(x.m.f.hub));
	assert_true(shows(&x, 1, "tiep_nhan"));
	assert_false(owed(&x));
	end(&x);
}

/* The hub is off: its tables have more than the log; by: another program's, of so many merge versions on. */
static void
lose_the_end_of(struct fix *x, uint32_t by)
{
	struct lt_kv_txn *txn;
	uint8_t cursor[68]; /* FORMAT.md 9.3 */
	struct lt_slice v;

	memfed_close_hub(&x->m);
	assert_int_equal(lt_kv_begin_write(x->m.derived, &txn), LT_OK);
	assert_int_equal(lt_kv_get(txn, LT_T_CURSOR, lt_slice_str("projector"), &v), LT_OK);
	assert_int_equal(v.len, sizeof(cursor));
	memcpy(cursor, v.data, v.len);
	lt_store_u64(cursor + 16, lt_load_u64(cursor + 16) + 1);
	lt_store_u32(cursor + 56, lt_load_u32(cursor + 56) + by);
	assert_int_equal(lt_kv_put(txn, LT_T_CURSOR, lt_slice_str("projector"),
			     lt_slice(cursor, sizeof(cursor))),
	    LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
}

static void
lose_the_end(struct fix *x)
{
	lose_the_end_of(x, 0);
}

/* What the row `restored` begins with; 0: there is none. */
static unsigned
row_restored(struct fix *x)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	unsigned first = 0;

	assert_int_equal(lt_kv_begin_read(x->m.log, &txn), LT_OK);
	if (lt_local_get(txn, LT_LOCAL_RESTORED, &v) == LT_OK)
		first = v.data[0];
	lt_kv_abort(txn);
	return first;
}

/* No room in the log for the doubt itself: it starts, is in doubt all the same, answers, takes nothing in, and keeps the tables that tell it,
 * however often it is started. When there is room it goes on by itself. */
static void
test_full_log_in_doubt(void **state)
{
	struct lt_err err = { "" };
	struct fix x;
	unsigned i;
	size_t n;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	lose_the_end(&x);
	lt_kv_set_fault(x.m.log, full, NULL);
	for (i = 0; i < 2; i++) {
		memfed_start_hub(&x.m);
		memfed_settle(&x.m);
		assert_int_equal(row_restored(&x), 0);
		assert_true(lt_hub_recovering(x.m.f.hub));
		assert_true(lt_hub_mending(x.m.f.hub));
		assert_true(shows(&x, 1, "tiep_nhan"));
		assert_int_equal(hub_writes(&x, "Một"), LT_E_UNAVAILABLE);
		assert_int_equal(
		    lt_hub_go_on_without(x.m.f.hub, NULL, NULL, &n, &err), LT_E_NOSPACE);
		lt_hub_heard(x.m.f.hub, &x.node.id.principal); /* all there are */
		x.m.now_ms += LT_HUB_RETRY_MS;
		memfed_settle(&x.m);
		assert_true(lt_hub_recovering(x.m.f.hub));
		if (i == 0)
			memfed_close_hub(&x.m);
	}
	lt_kv_set_fault(x.m.log, NULL, NULL);
	x.m.now_ms += LT_HUB_RETRY_MS;
	memfed_settle(&x.m);
	assert_false(lt_hub_mending(x.m.f.hub));
	assert_true(shows(&x, 1, "tiep_nhan"));
	assert_false(lt_hub_recovering(x.m.f.hub)); /* the one that it heard was the last */
	assert_int_equal(row_restored(&x), 2);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	put(&x, 2, NULL);
	end(&x);
}

/* Tables of another merge version tell it, too: they go once that is written down, and nothing is answered from them before. */
static void
test_other_version_in_doubt(void **state)
{
	struct lt_hub off = { 0 };
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	lose_the_end_of(&x, 1);
	off.log = x.m.log;
	off.derived = x.m.derived;
	off.clock = &x.m.clock;
	lt_kv_set_fault(x.m.log, full, NULL);
	assert_int_equal(lt_recovery_ask_tables(&off), LT_E_NOSPACE);
	assert_false(atomic_load(&off.doubt_owed));
	lt_kv_set_fault(x.m.log, NULL, NULL);
	memfed_start_hub(&x.m);
	memfed_settle(&x.m);
	assert_true(lt_hub_recovering(x.m.f.hub));
	assert_int_equal(row_restored(&x), 1);
	assert_true(shows(&x, 1, "tiep_nhan"));
	go_on(&x);
	end(&x);
}

/* Another code than that of a full disk is told as what it is, and tried again like it. */
static int
broken(void *ctx, uint64_t ordinal)
{
	(void)ctx;
	(void)ordinal;
	return LT_E_IO;
}

static void
test_not_only_full(void **state)
{
	struct lt_err err = { "" };
	struct fix x;
	size_t n;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	lose_the_end(&x);
	lt_kv_set_fault(x.m.log, full, NULL);
	memfed_start_hub(&x.m);
	assert_int_equal(lt_hub_go_on_without(x.m.f.hub, NULL, NULL, &n, &err), LT_E_NOSPACE);
	lt_kv_set_fault(x.m.log, broken, NULL);
	assert_int_equal(lt_hub_go_on_without(x.m.f.hub, NULL, NULL, &n, &err), LT_E_IO);
	assert_non_null(strstr(err.text, lt_strerror(LT_E_IO)));
	x.m.now_ms += LT_HUB_RETRY_MS;
	memfed_settle(&x.m);
	assert_int_equal(row_restored(&x), 0);
	lt_kv_set_fault(x.m.log, NULL, NULL);
	x.m.now_ms += LT_HUB_RETRY_MS;
	memfed_settle(&x.m);
	assert_int_equal(row_restored(&x), 1);
	go_on(&x);
	end(&x);
}

/* What a node gives back as soon as there is room comes with the doubt, and not before it. */
static void
test_full_log_and_a_tail(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	sign_name(&x, "Hai");
	lose_the_end(&x);
	lt_kv_set_fault(x.m.log, full, NULL);
	memfed_start_hub(&x.m);
	assert_int_not_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_int_equal(row_restored(&x), 0);
	assert_true(lt_hub_recovering(x.m.f.hub));
	lt_kv_set_fault(x.m.log, NULL, NULL);
	assert_int_equal(push_sets(&x, x.set, x.nset), LT_STATUS_OK);
	assert_int_equal(row_restored(&x), 1);
	assert_true(has_last(&x));
	memfed_close_hub(&x.m);
	memfed_start_hub(&x.m);
	assert_true(lt_hub_recovering(x.m.f.hub));
	go_on(&x);
	end(&x);
}

/* The cursor of the tables is beyond the log: in doubt, and there is no room to empty them. */
static void
test_full_disk_in_doubt(void **state)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	struct lt_buf row;
	struct fix x;

	(void)state;
	begin(&x);
	put(&x, 1, NULL);
	lose_the_end(&x);
	lt_kv_set_fault(x.m.derived, full, NULL);
	memfed_start_hub(&x.m);
	assert_true(lt_hub_recovering(x.m.f.hub));
	assert_true(lt_hub_mending(x.m.f.hub));
	/* Started once more it is in no new doubt: what the row says stays. */
	assert_int_equal(lt_kv_begin_write(x.m.log, &txn), LT_OK);
	assert_int_equal(lt_local_get(txn, LT_LOCAL_RESTORED, &v), LT_OK);
	lt_buf_init(&row, 256);
	lt_buf_put(&row, v.data, v.len);
	lt_buf_put(&row, x.node.id.principal.b, LT_ID_LEN);
	assert_int_equal(lt_local_put(txn, LT_LOCAL_RESTORED, lt_buf_slice(&row)), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	memfed_close_hub(&x.m);
	x.m.now_ms += 5000;
	memfed_start_hub(&x.m);
	assert_int_equal(lt_kv_begin_read(x.m.log, &txn), LT_OK);
	assert_int_equal(lt_local_get(txn, LT_LOCAL_RESTORED, &v), LT_OK);
	assert_true(lt_slice_eq(v, lt_buf_slice(&row)));
	lt_kv_abort(txn);
	lt_buf_fini(&row);
	assert_true(lt_hub_recovering(x.m.f.hub));
	lt_kv_set_fault(x.m.derived, NULL, NULL);
	memfed_settle(&x.m);
	memfed_settle(&x.m);
	memfed_settle(&x.m);
	assert_false(lt_hub_mending(x.m.f.hub));
	assert_true(shows(&x, 1, "tiep_nhan"));
	assert_false(lt_hub_recovering(x.m.f.hub)); /* the one that is left out was the last */
	end(&x);
}

/* ---- what is given in vain ---- */

struct took {
	unsigned calls;
	int rc;
	size_t vain;
};

static void
note_taken(void *ctx, const struct lt_intake_result *r)
{
	struct took *t = ctx;

	t->calls++;
	t->rc = r->rc;
	t->vain = r->vain;
}

/* Change-sets, and behind them one that is none. */
static void
takes_back(struct fix *x, const struct lt_buf *set, size_t n, bool bad, int rc, size_t vain)
{
	struct lt_slice bytes[SETS_MAX + 1];
	struct took t = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = lt_buf_slice(&set[i]);
	if (bad)
		bytes[n++] = lt_slice_str("no change-set");
	lt_hub_take_back(x->m.f.hub, bytes, n, note_taken, &t);
	while (t.calls == 0)
		assert_true(lt_writer_step(x->m.f.hub->writer));
	memfed_settle(&x->m);
	assert_int_equal(t.calls, 1);
	assert_int_equal(t.rc, rc);
	assert_int_equal(t.vain, vain);
}

/* A node that was left out gives what this hub signed in an epoch that is over: what is new here is not in vain, nor what the hub had no room for;
 * what is here already is, and what is nothing. */
static void
test_in_vain(void **state)
{
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	sign_name(&x, "Bị quên");
	assert_int_equal(push_sets(&x, x.set, 1), LT_STATUS_OK);
	takes_back(&x, x.set, 1, false, LT_OK, 0); /* it waits, and asked for it */
	go_on(&x);
	takes_back(&x, x.set, 1, false, LT_OK, 1);
	takes_back(&x, NULL, 0, true, LT_E_INVALID, 1);
	end(&x);
}

static void
test_not_in_vain(void **state)
{
	struct copy c;
	struct fix x;

	(void)state;
	begin(&x);
	assert_int_equal(hub_writes(&x, "Một"), LT_OK);
	copy_take(&x, &c);
	assert_int_equal(hub_writes(&x, "Hai"), LT_OK);
	assert_int_equal(hub_writes(&x, "Ba"), LT_OK);
	keep_since(&x, &c);
	restored(&x, &c);
	go_on(&x);
	lt_kv_set_fault(x.m.log, full, NULL);
	takes_back(&x, x.set, 2, false, LT_E_NOSPACE, 0);
	lt_kv_set_fault(x.m.log, NULL, NULL);
	takes_back(&x, x.set, 1, false, LT_OK, 0);
	takes_back(&x, x.set, 2, true, LT_OK,
	    2); /* the first again, the second new, and one that is none */
	takes_back(&x, x.set, 2, false, LT_OK, 2);
	assert_false(lt_hub_recovering(x.m.f.hub));
	copy_drop(&c);
	end(&x);
}

/* What stands in a branch that does not count is evidence once, and acts further on in it are in force and said again: neither is in vain. */
static void
test_branch_in_vain(void **state)
{
	struct fed_peer lost[3], other;
	struct copy c;
	struct fix x;
	size_t i;

	(void)state;
	begin(&x);
	memset(lost, 0, sizeof(lost));
	memset(&other, 0, sizeof(other));
	join_other(&x, &other, 20);
	for (i = 0; i < 3; i++)
		join_other(&x, &lost[i], 21 + i);
	copy_take(&x, &c);
	for (i = 0; i < 3; i++)
		revoke(&x, &lost[i]);
	keep_since(&x, &c);
	assert_int_equal(x.nset, 3);
	memfed_close_hub(&x.m);
	put_log(&x, &c);
	put_tables(&x, &c);
	memfed_start_hub(&x.m);
	revoke(&x, &other);
	takes_back(&x, x.set, 1, false, LT_OK, 0); /* in doubt */
	go_on_without_all(&x);
	takes_back(&x, x.set + 2, 1, false, LT_OK, 0); /* further on */
	takes_back(
	    &x, x.set + 1, 1, false, LT_OK, 0); /* in the place of another one: evidence, too */
	takes_back(&x, x.set, 3, false, LT_OK, 3);
	copy_drop(&c);
	end(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_second_time),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_in_vain),
		cmocka_unit_test(test_not_in_vain),
		cmocka_unit_test(test_branch_in_vain),
		cmocka_unit_test(test_acts_of_other_branch),
		cmocka_unit_test(test_erased_is_not_shown),
		cmocka_unit_test(test_erased_over_a_stop),
		cmocka_unit_test(test_erased_on_a_full_disk),
		cmocka_unit_test(test_erased_over_damage),
		cmocka_unit_test(test_acts_further_on),
		cmocka_unit_test(test_acts_of_two_branches),
		cmocka_unit_test(test_ended_before),
		cmocka_unit_test(test_doubt_over_damage),
		cmocka_unit_test(test_revoked_while_owed),
		cmocka_unit_test(test_hello_over_damage),
		cmocka_unit_test(test_hello_behind_damage),
		cmocka_unit_test(test_heads_named),
		cmocka_unit_test(test_verdict_over_damage),
		cmocka_unit_test(test_verdict_not_compared),
		cmocka_unit_test(test_refused_then),
		cmocka_unit_test(test_counted_then),
		cmocka_unit_test(test_not_all_here),
		cmocka_unit_test(test_held_here),
		cmocka_unit_test(test_held_then),
		cmocka_unit_test(test_contradicted),
		cmocka_unit_test(test_stopped_between),
		cmocka_unit_test(test_judged_while_built),
		cmocka_unit_test(test_old_tables),
		cmocka_unit_test(test_restart_in_doubt),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_full_disk_in_doubt),
		cmocka_unit_test(test_full_log_in_doubt),
		cmocka_unit_test(test_full_log_and_a_tail),
		cmocka_unit_test(test_other_version_in_doubt),
		cmocka_unit_test(test_not_only_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
