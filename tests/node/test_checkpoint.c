/* Checkpoints between a hub and two nodes: made, cosigned, told of, compared. An honest hub raises no alarm, whatever happens to it; one with
 * two faces is found out in the first round that brings what the other node was shown. Both sides keep their bounds. */
#include "hub/checkpoint.h"
#include "hub/keys.h"
#include "hub/recovery.h"
#include "node/checkpoint.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"
#include "proto/store/backup.h"
#include "proto/store/checkpoints.h"
#include "proto/store/kv_image.h"
#include "tests/lib/memnode.h"
#include "tests/lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MINUTE 61000

static struct memnode_story s;
static struct memfed_marks marks;
static struct fed_peer extra, more; /* whom the hub writes about */

/* Somebody who never comes again. */
static void
enrol(struct fed_peer *p, uint64_t seed)
{
	struct lt_peer line;
	uint8_t proof[LT_SIG_LEN];
	Ltpb__JoinRequest r;

	marks.n = 0;
	memfed_invite(&s.m, p, seed, "16906");
	line = memfed_line(&p->id);
	fed_join_request(&p->id, proof, &r);
	assert_int_equal(
	    memfed_ask(&s.m, &line, "/lienthong.v1.Enrol/Join", &r.base, NULL, NULL), LT_STATUS_OK);
}

static int
setup(void **state)
{
	(void)state;
	memset(&marks, 0, sizeof(marks));
	memnode_begin(&s, true, &marks);
	enrol(&extra, 50);
	enrol(&more, 51);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	memnode_end(&s);
	return 0;
}

static void
ok(int rc)
{
	assert_int_equal(rc, LT_OK);
}

/* A change-set of the hub's in `_`. */
static void
act(struct memfed *m, const struct fed_peer *of, bool suspended)
{
	struct lt_err err = { "" };
	const char *why = "";

	marks.n = 0;
	ok(lt_hub_suspend(m->f.hub, &of->id.principal, suspended, &why, &err));
	memfed_settle(m);
}

/* Two rounds, with a minute before each: what the hub makes in the first comes with the second. */
static void
rounds(struct memnode_story *story, struct memnode *x, unsigned n)
{
	for (; n > 0; n--) {
		marks.n = 0;
		story->m.now_ms += MINUTE;
		(void)memnode_sync(story, x);
	}
}

static bool
newest(struct lt_kv *kv, struct lt_checkpoint *c, struct lt_hash *hash)
{
	struct lt_checkpoint_signed row;
	struct lt_kv_txn *txn;
	bool is;

	ok(lt_kv_begin_read(kv, &txn));
	is = lt_checkpoint_get(txn, &row) == LT_OK;
	if (is) {
		ok(lt_checkpoint_parse(row.body, c, NULL));
		lt_checkpoint_hash(row.body, hash);
	}
	lt_kv_abort(txn);
	return is;
}

static bool
has_cosigned(struct lt_kv *kv, const struct lt_id *who, struct lt_hash *hash)
{
	struct lt_cosigned row;
	struct lt_kv_txn *txn;
	bool is;

	ok(lt_kv_begin_read(kv, &txn));
	is = lt_cosigned_get(txn, who, &row) == LT_OK;
	if (is)
		lt_checkpoint_hash(row.checkpoint.body, hash);
	lt_kv_abort(txn);
	return is;
}

static void
no_alarm(void)
{
	assert_int_equal(lt_node_equivocations(s.a.n.node), 0);
	assert_int_equal(lt_node_equivocations(s.b.n.node), 0);
}

/* ---- an honest hub ---- */

static void
both_agree_and_hear_of_each_other(void **state)
{
	const struct lt_id *a = &s.a.n.id->principal, *b = &s.b.n.id->principal;
	struct lt_checkpoint at_hub, at_a;
	struct lt_hash hub, here, of_a, of_b;

	(void)state;
	rounds(&s, &s.a, 3);
	rounds(&s, &s.b, 3);
	rounds(&s, &s.a, 1);
	assert_true(newest(s.m.log, &at_hub, &hub));
	assert_true(newest(s.a.kv, &at_a, &here));
	assert_true(lt_hash_eq(&hub, &here));
	assert_true(has_cosigned(s.m.log, a, &of_a) && lt_hash_eq(&of_a, &hub));
	assert_true(has_cosigned(s.m.log, b, &of_b) && lt_hash_eq(&of_b, &hub));
	assert_true(has_cosigned(s.a.kv, b, &of_b) && lt_hash_eq(&of_b, &hub));
	assert_true(has_cosigned(s.b.kv, a, &of_a) && lt_hash_eq(&of_a, &hub));
	assert_false(has_cosigned(s.a.kv, a, &of_a));
	no_alarm();
}

/* Nothing new, nothing made; something new, at most one a minute. */
static void
one_a_minute_when_something_changed(void **state)
{
	struct lt_checkpoint c = { .nhead = 0 };
	struct lt_hash first, h;

	(void)state;
	rounds(&s, &s.a, 2);
	assert_true(newest(s.m.log, &c, &first));
	rounds(&s, &s.a, 2);
	assert_true(newest(s.m.log, &c, &h) && lt_hash_eq(&first, &h));
	act(&s.m, &extra, true);
	(void)memnode_sync(&s, &s.a);
	assert_true(newest(s.m.log, &c, &h) && !lt_hash_eq(&first, &h));
	act(&s.m, &extra, false);
	first = h;
	(void)memnode_sync(&s, &s.a);
	assert_true(newest(s.m.log, &c, &h) && lt_hash_eq(&first, &h));
	rounds(&s, &s.a, 1);
	assert_true(newest(s.m.log, &c, &h) && !lt_hash_eq(&first, &h));
	no_alarm();
}

static void
a_restart_changes_nothing(void **state)
{
	struct lt_hash before, h;
	struct lt_checkpoint c = { .nhead = 0 };

	(void)state;
	rounds(&s, &s.a, 3);
	rounds(&s, &s.b, 3);
	assert_true(newest(s.m.log, &c, &before));
	memfed_close_hub(&s.m);
	memfed_start_hub(&s.m);
	memnode_stop(&s.a);
	memnode_start(&s, &s.a);
	rounds(&s, &s.a, 2);
	assert_true(newest(s.m.log, &c, &h) && lt_hash_eq(&before, &h));
	assert_true(has_cosigned(s.a.kv, &s.b.n.id->principal, &h));
	act(&s.m, &extra, true);
	rounds(&s, &s.a, 3);
	rounds(&s, &s.b, 3);
	no_alarm();
}

static struct lt_kv *
copy_of(struct lt_kv *kv, enum lt_kv_kind kind)
{
	struct lt_kv_options o = {
		.kind = kind, .federation = s.m.f.hub_id->federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };
	struct lt_kv_image *img;
	struct lt_kv *out;

	ok(lt_kv_image_take(kv, &img));
	ok(lt_kv_open_image(&o, img, &out, &err));
	lt_kv_image_free(img);
	return out;
}

static void
put_back(struct lt_kv *log, struct lt_kv *derived)
{
	static const uint8_t backup[LT_BACKUP_ID_LEN] = { 1 };
	struct lt_kv_txn *txn;
	uint64_t voided;

	memfed_close_hub(&s.m);
	lt_kv_close(s.m.log);
	lt_kv_close(s.m.derived);
	s.m.log = log;
	s.m.derived = derived;
	ok(lt_kv_begin_write(log, &txn));
	ok(lt_restore_mark(txn, true, backup, s.m.now_ms, &voided));
	ok(lt_kv_commit(txn));
	memfed_start_hub(&s.m);
}

/* A backup is restored, and the hub goes on without the one node that has what it signed since: its old epoch stays shorter than it was, and than
 * what that node cosigned. While it waits it makes no checkpoint. */
static void
a_restored_hub_is_shorter_and_no_liar(void **state)
{
	struct lt_kv *log, *derived;
	struct lt_checkpoint c, old;
	struct lt_err err = { "" };
	struct lt_hash before, h;
	size_t n;

	(void)state;
	rounds(&s, &s.a, 2);
	rounds(&s, &s.b, 2);
	log = copy_of(s.m.log, LT_KV_HUB_LOG);
	derived = copy_of(s.m.derived, LT_KV_HUB_DERIVED);
	act(&s.m, &extra, true);
	rounds(&s, &s.a, 3); /* it cosigned what is lost */
	assert_true(newest(s.a.kv, &old, &before));
	put_back(log, derived);
	memfed_settle(&s.m);
	assert_true(lt_hub_recovering(s.m.f.hub));
	assert_true(newest(s.m.log, &c, &before));
	rounds(&s, &s.b, 2);
	assert_true(newest(s.m.log, &c, &h) && lt_hash_eq(&before, &h));
	ok(lt_hub_go_on_without(s.m.f.hub, NULL, NULL, &n, &err));
	memfed_settle(&s.m);
	assert_false(lt_hub_recovering(s.m.f.hub));
	test_random_seed(99); /* of the new epoch */
	act(&s.m, &more, true);
	test_random_constant();
	rounds(&s, &s.b, 3);
	assert_true(newest(s.b.kv, &c, &h));
	assert_int_equal(lt_checkpoint_compare(&old, &c, NULL), LT_CHECKPOINTS_APART);
	/* What it shows now comes to the other one, too. */
	{
		Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT;
		struct lt_checkpoint_signed row;
		struct lt_kv_txn *txn;

		ok(lt_kv_begin_read(s.m.log, &txn));
		ok(lt_checkpoint_get(txn, &row));
		m.body.data = (uint8_t *)row.body.data;
		m.body.len = row.body.len;
		m.signature.data = (uint8_t *)row.signature.data;
		m.signature.len = row.signature.len;
		lt_node_checkpoints_take(s.a.n.node, &m, 0, NULL);
		lt_kv_abort(txn);
	}
	no_alarm();
}

/* ---- a hub with two faces ---- */

static struct memnode_story other; /* the face that b is shown */

static void
two_faces(void)
{
	other = s;
	other.m.clock.ctx = &other.m;
	other.m.log = copy_of(s.m.log, LT_KV_HUB_LOG);
	other.m.derived = copy_of(s.m.derived, LT_KV_HUB_DERIVED);
	memfed_start_hub(&other.m);
}

static void
one_face(void)
{
	memfed_close_hub(&other.m);
	lt_kv_close(other.m.log);
	lt_kv_close(other.m.derived);
}

/* What a cosigned, as it lies at the face that a knows, is taken in by the other one, which then tells b. */
static void
relay(void)
{
	Ltpb__Cosignature sig = LTPB__COSIGNATURE__INIT, *list[1] = { &sig };
	Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT;
	struct lt_registry *reg = lt_hub_registry(other.m.f.hub);
	const struct lt_principal *a = lt_registry_find(reg, &s.a.n.id->principal);
	struct lt_err err = { "" };
	struct lt_cosigned row;
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(s.m.log, &txn));
	ok(lt_cosigned_get(txn, &s.a.n.id->principal, &row));
	m.body.data = (uint8_t *)row.checkpoint.body.data;
	m.body.len = row.checkpoint.body.len;
	m.signature.data = (uint8_t *)row.checkpoint.signature.data;
	m.signature.len = LT_SIG_LEN;
	sig.principal.data = row.principal.b;
	sig.principal.len = LT_ID_LEN;
	sig.key_no = row.key_no;
	sig.signature.data = (uint8_t *)row.cosignature.data;
	sig.signature.len = LT_SIG_LEN;
	m.cosignature = list;
	m.n_cosignature = 1;
	other.m.now_ms += MINUTE;
	ok(lt_hub_checkpoint_cosigned(other.m.f.hub, a, &m, &err));
	lt_kv_abort(txn);
	lt_registry_unref(reg);
	memfed_settle(&other.m);
}

struct proof {
	unsigned n;
	bool by_log;
	uint64_t seq;
};

/* Two change-sets, of which the one that came is of that number, or the next one. */
static int
check_headers(const struct lt_equivocation *e)
{
	const uint8_t *key = s.m.f.hub_id->sign.pk;
	ProtobufCMessage *m;
	const Ltpb__Header *came;
	struct lt_hash here, there;
	struct lt_arena arena;

	ok(lt_sign_verify(key, LT_TAG_CHANGESET, e->came, e->came_signature));
	ok(lt_sign_verify(key, LT_TAG_CHANGESET, e->header, e->header_signature));
	lt_h1(LT_TAG_CHANGESET, e->header, &here);
	lt_h1(LT_TAG_CHANGESET, e->came, &there);
	lt_arena_init(&arena, 65536);
	ok(lt_wire_unpack(&ltpb__header__descriptor, e->came, 65536, &arena, &m, NULL));
	came = (const Ltpb__Header *)m;
	if (came->seq != e->seq) {
		assert_int_equal(came->seq, e->seq + 1);
		memcpy(there.b, came->prev_hash.data, LT_HASH_LEN);
	}
	assert_false(lt_hash_eq(&here, &there));
	lt_arena_fini(&arena);
	return LT_OK;
}

/* Both halves are the hub's, and say different things of one number. */
static int
check_proof(void *ctx, const struct lt_equivocation *e)
{
	const uint8_t *key = s.m.f.hub_id->sign.pk;
	const struct lt_checkpoint_head *one, *two;
	struct lt_checkpoint c, d;
	struct proof *p = ctx;
	struct lt_hash other_hash;

	p->n++;
	p->seq = e->seq;
	p->by_log = e->other.body.len == 0;
	if (e->came.len != 0)
		return check_headers(e);
	ok(lt_checkpoint_verify(e->one.body, e->one.signature, &s.m.f.hub_id->federation,
	    &s.m.f.hub_id->principal, key, &c, NULL));
	one = lt_checkpoint_find(&c, &e->feed);
	assert_non_null(one);
	assert_int_equal(one->seq, e->seq);
	if (p->by_log) {
		ok(lt_sign_verify(key, LT_TAG_CHANGESET, e->header, e->header_signature));
		lt_h1(LT_TAG_CHANGESET, e->header, &other_hash);
	} else {
		ok(lt_checkpoint_verify(e->other.body, e->other.signature,
		    &s.m.f.hub_id->federation, &s.m.f.hub_id->principal, key, &d, NULL));
		two = lt_checkpoint_find(&d, &e->feed);
		assert_non_null(two);
		assert_int_equal(two->seq, e->seq);
		other_hash = two->hash;
	}
	assert_false(lt_hash_eq(&one->hash, &other_hash));
	return LT_OK;
}

static void
is_proven(struct memnode *x, bool by_log)
{
	struct proof p = { 0 };
	struct lt_kv_txn *txn;

	assert_int_equal(lt_node_equivocations(x->n.node), 1);
	ok(lt_kv_begin_read(x->kv, &txn));
	ok(lt_equivocation_each(txn, check_proof, &p));
	lt_kv_abort(txn);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.by_log, by_log);
}

/* b has what its face wrote, further than what a cosigned. One round; the next ones do not say it again; b goes on as ever. */
static void
found_in_the_first_round_that_brings_it(void **state)
{
	(void)state;
	rounds(&s, &s.a, 2);
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	act(&other.m, &more, true);
	act(&other.m, &more, false);
	rounds(&s, &s.a, 3);
	rounds(&other, &s.b, 3);
	no_alarm();
	relay();
	rounds(&other, &s.b, 1);
	is_proven(&s.b, true);
	rounds(&other, &s.b, 2);
	is_proven(&s.b, true);
	memnode_put(&s, &s.b, 7, NULL);
	assert_int_equal(memnode_sync(&other, &s.b), 1);
	memnode_stop(&s.b);
	memnode_start(&s, &s.b);
	is_proven(&s.b, true);
	assert_int_equal(lt_node_equivocations(s.a.n.node), 0);
	one_face();
}

/* b is told what a cosigned before it has its own face's change-set under that number, and both faces have said what comes: two checkpoints
 * are the proof. */
static void
found_before_the_change_set_comes(void **state)
{
	(void)state;
	rounds(&s, &s.a, 2);
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	rounds(&s, &s.a, 3);
	relay();
	act(&other.m, &more, true);
	rounds(&other, &s.b, 1);
	is_proven(&s.b, false);
	one_face();
}

/* What a cosigned is two further than b's log, whose face says nothing of that number before it comes. b restarts in between. */
static void
found_when_the_change_set_comes(void **state)
{
	(void)state;
	rounds(&s, &s.a, 2);
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	act(&s.m, &extra, false);
	rounds(&s, &s.a, 3);
	relay();
	act(&other.m, &more, true);
	rounds(&other, &s.b, 1);
	no_alarm();
	memnode_stop(&s.b);
	memnode_start(&s, &s.b);
	act(&other.m, &more, false);
	(void)memnode_sync(&other, &s.b); /* within the minute: no other checkpoint */
	is_proven(&s.b, true);
	one_face();
}

/* What the face that a knows says of itself, to b. */
static void
tell_b(void)
{
	Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT;
	struct lt_checkpoint_signed row;
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(s.m.log, &txn));
	ok(lt_checkpoint_get(txn, &row));
	m.body.data = (uint8_t *)row.body.data;
	m.body.len = row.body.len;
	m.signature.data = (uint8_t *)row.signature.data;
	m.signature.len = LT_SIG_LEN;
	lt_node_checkpoints_take(s.b.n.node, &m, 0, NULL);
	lt_kv_abort(txn);
}

/* b was told what will come, two further than its log, and is told less afterwards: what was said first is not taken back, also over a
 * restart. */
static void
taken_back(bool restart)
{
	rounds(&s, &s.a, 2);
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	act(&s.m, &extra, false);
	rounds(&s, &s.a, 1);
	tell_b();
	rounds(&other, &s.b, 1);
	no_alarm();
	if (restart) {
		memnode_stop(&s.b);
		memnode_start(&s, &s.b);
	}
	act(&other.m, &more, true);
	(void)memnode_sync(&other, &s.b);
	no_alarm();
	act(&other.m, &more, false);
	(void)memnode_sync(&other, &s.b);
	is_proven(&s.b, true);
	one_face();
}

static void
what_was_promised_is_not_taken_back(void **state)
{
	(void)state;
	taken_back(false);
}

static void
nor_over_a_restart(void **state)
{
	(void)state;
	taken_back(true);
}

struct applied {
	bool done;
	int rc;
};

static void
note_applied(void *ctx, int rc, const char *why)
{
	struct applied *a = ctx;

	(void)why;
	a->done = true;
	a->rc = rc;
}

/* The last but `back` of what the face that a knows wrote in `_`, to b. */
static int
give_b(uint64_t back)
{
	const struct lt_unit all = { "_" };
	struct applied a = { .done = false };
	struct lt_err err = { "" };
	struct lt_checkpoint c = { .nhead = 0 };
	struct lt_buf b = { 0 };
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t at = 0, newest_at = 0;
	size_t i, k = 0;

	ok(lt_kv_begin_read(s.m.log, &txn));
	ok(lt_checkpoint_read_log(txn, &s.m.f.hub_id->principal, &c));
	for (i = 0; i < c.nhead; i++) {
		ok(lt_feed_log_find(txn, &all, &c.head[i].feed, c.head[i].seq, &at));
		if (at > newest_at) {
			newest_at = at;
			k = i;
		}
	}
	ok(lt_feed_log_find(txn, &all, &c.head[k].feed, c.head[k].seq - back, &at));
	ok(lt_feed_log_read(txn, at, &e));
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err));
	lt_kv_abort(txn);
	ok(lt_node_apply(s.b.n.node, lt_buf_slice(&b), note_applied, &a));
	while (lt_node_step(s.b.n.node))
		;
	assert_true(a.done);
	lt_buf_fini(&b);
	return a.rc;
}

/* On one line the node is given another change-set under a number that it has: the two headers are the proof, once, also over a restart. What
 * came is refused, and the node goes on. */
static void
two_of_one_number_are_a_proof(void **state)
{
	(void)state;
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	act(&other.m, &more, true);
	(void)memnode_sync(&other, &s.b);
	no_alarm();
	assert_int_equal(give_b(0), LT_E_FORK);
	is_proven(&s.b, true);
	assert_int_equal(give_b(0), LT_E_FORK);
	is_proven(&s.b, true);
	memnode_stop(&s.b);
	memnode_start(&s, &s.b);
	is_proven(&s.b, true);
	memnode_put(&s, &s.b, 7, NULL);
	assert_int_equal(memnode_sync(&other, &s.b), 1);
	one_face();
}

/* Nor can it be told the next one of another branch without that; a gap, and what it has, prove nothing. */
static void
one_of_another_branch_is_a_proof(void **state)
{
	(void)state;
	rounds(&s, &s.b, 2);
	two_faces();
	act(&s.m, &extra, true);
	act(&s.m, &extra, false);
	act(&s.m, &extra, true);
	act(&other.m, &more, true);
	(void)memnode_sync(&other, &s.b);
	assert_int_equal(give_b(0), LT_E_GAP);
	assert_int_equal(give_b(3), LT_OK);
	no_alarm();
	assert_int_equal(give_b(1), LT_E_FORK);
	is_proven(&s.b, true);
	one_face();
}

/* ---- what a liar may send ---- */

static void
sign_checkpoint(struct lt_checkpoint *c, struct lt_buf *body, uint8_t sig[LT_SIG_LEN],
    const struct lt_sign_key *key)
{
	lt_buf_clear(body);
	ok(lt_checkpoint_pack(c, body));
	lt_sign(key, LT_TAG_CHECKPOINT, lt_buf_slice(body), sig);
}

static unsigned
count_cosigned(struct lt_kv *kv)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v, in = lt_slice_str("cosigned/");
	struct lt_kv_txn *txn;
	unsigned n = 0;
	int rc;

	ok(lt_kv_begin_read(kv, &txn));
	ok(lt_kv_cursor_open(txn, LT_T_LOCAL, &c));
	for (rc = lt_kv_seek_in(c, in, &k, &v); rc == LT_OK; rc = lt_kv_next_in(c, in, &k, &v))
		n++;
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

/* The hub announces so much that never comes that what it says next has no place in memory: what it takes back is compared all the same. */
static void
nor_behind_much_that_never_comes(void **state)
{
	Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT;
	struct lt_buf body = { 0 };
	uint8_t sig[LT_SIG_LEN];
	struct lt_checkpoint c = { .nhead = 0 };
	struct lt_hash h;
	size_t i, k;

	(void)state;
	rounds(&s, &s.b, 2);
	assert_true(newest(s.b.kv, &c, &h));
	for (i = 0; i < 9; i++) {
		c.nhead = LT_CHECKPOINT_HEADS_MAX;
		for (k = 0; k < c.nhead; k++)
			c.head[k] = (struct lt_checkpoint_head){
				.feed = lt_feed_id_make(c.hub, LT_LANE_BULK, 1000 * i + k + 1),
				.seq = 1
			};
		c.time_ms++;
		sign_checkpoint(&c, &body, sig, &s.m.f.hub_id->sign);
		m.body.data = body.data;
		m.body.len = body.len;
		m.signature.data = sig;
		m.signature.len = LT_SIG_LEN;
		lt_node_checkpoints_take(s.b.n.node, &m, 0, NULL);
	}
	lt_buf_fini(&body);
	no_alarm();
	two_faces();
	act(&s.m, &extra, true);
	act(&s.m, &extra, false);
	rounds(&s, &s.a, 1);
	tell_b();
	rounds(&other, &s.b, 1);
	no_alarm();
	act(&other.m, &more, true);
	(void)memnode_sync(&other, &s.b);
	act(&other.m, &more, false);
	(void)memnode_sync(&other, &s.b); /* within the minute: no other checkpoint */
	no_alarm();
	rounds(&other, &s.b, 1);
	is_proven(&s.b, true);
	one_face();
}

/* Two of which neither is here: b has none of it, and both are the hub's. */
static void
two_that_are_ahead_contradict_each_other(void **state)
{
	struct lt_buf one = { 0 }, two = { 0 };
	uint8_t sig[LT_SIG_LEN], sig2[LT_SIG_LEN];
	Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT, o = LTPB__CHECKPOINT__INIT, *list[1] = { &o };
	struct lt_checkpoint c = { .nhead = 0 };
	struct lt_hash h;

	(void)state;
	rounds(&s, &s.b, 2);
	assert_true(newest(s.b.kv, &c, &h));
	c.head[0].seq += 5;
	sign_checkpoint(&c, &one, sig, &s.m.f.hub_id->sign);
	m.body.data = one.data;
	m.body.len = one.len;
	m.signature.data = sig;
	m.signature.len = LT_SIG_LEN;
	lt_node_checkpoints_take(s.b.n.node, &m, 0, NULL);
	no_alarm();
	c.head[0].hash.b[0] ^= 1;
	sign_checkpoint(&c, &two, sig2, &extra.id.sign); /* not the hub's word */
	o.body.data = two.data;
	o.body.len = two.len;
	o.signature.data = sig2;
	o.signature.len = LT_SIG_LEN;
	lt_node_checkpoints_take(s.b.n.node, NULL, 1, list);
	no_alarm();
	sign_checkpoint(&c, &two, sig2, &s.m.f.hub_id->sign);
	lt_node_checkpoints_take(s.b.n.node, NULL, 1, list);
	is_proven(&s.b, false);
	/* It is not what stands in its log: it does not sign that. */
	{
		struct lt_arena arena;

		lt_arena_init(&arena, 65536);
		assert_null(lt_node_checkpoint_give(s.b.n.node, &arena, &h));
		lt_arena_fini(&arena);
	}
	lt_buf_fini(&one);
	lt_buf_fini(&two);
}

/* Cosignatures of nobody, of itself, of a department's key, and false ones leave nothing; more than there may be are not looked at. */
static void
false_cosignatures_leave_nothing(void **state)
{
	Ltpb__Cosignature sig[64], *sigs[64];
	Ltpb__Checkpoint m[64], *list[64];
	uint8_t right[LT_SIG_LEN], own[LT_SIG_LEN], hub[LT_SIG_LEN];
	struct lt_checkpoint_signed row;
	struct lt_buf body = { 0 };
	struct lt_kv_txn *txn;
	unsigned before;
	struct lt_hash h;
	size_t i;

	(void)state;
	rounds(&s, &s.b, 2);
	before = count_cosigned(s.b.kv);
	ok(lt_kv_begin_read(s.b.kv, &txn));
	ok(lt_checkpoint_get(txn, &row));
	lt_buf_put_slice(&body, row.body);
	memcpy(hub, row.signature.data, LT_SIG_LEN);
	lt_kv_abort(txn);
	lt_checkpoint_hash(lt_buf_slice(&body), &h);
	lt_cosign(&extra.id.sign, &extra.id.principal, 1, &h, right);
	lt_cosign(&s.b.n.id->sign, &s.b.n.id->principal, 1, &h, own);
	for (i = 0; i < 64; i++) {
		ltpb__cosignature__init(&sig[i]);
		sig[i].principal.data = extra.id.principal.b;
		sig[i].principal.len = LT_ID_LEN;
		sig[i].key_no = 1;
		sig[i].signature.data = right;
		sig[i].signature.len = LT_SIG_LEN;
		sigs[i] = &sig[i];
		ltpb__checkpoint__init(&m[i]);
		m[i].body.data = body.data;
		m[i].body.len = body.len;
		m[i].signature.data = hub;
		m[i].signature.len = LT_SIG_LEN;
		list[i] = &m[i];
	}
	sig[0].key_no = 2;
	sig[1].principal.len = 15;
	sig[2].signature.len = 63;
	sig[3].principal.data = more.id.principal.b; /* another's signature */
	sig[4].principal.data = s.b.n.id->principal.b;
	sig[4].signature.data = own;
	sig[5].principal.data = s.m.f.hub_id->principal.b;
	sig[6].principal.data = own; /* of nobody */
	sig[7].signature.data = hub;
	m[0].cosignature = sigs;
	m[0].n_cosignature = 64; /* the ninth is a good one */
	m[1].body.len--;
	m[2].signature.len = 0;
	m[3].body.len = 0;
	m[16].cosignature = sigs + 8; /* the seventeenth as well */
	m[16].n_cosignature = 1;
	lt_node_checkpoints_take(s.b.n.node, NULL, 64, list);
	assert_int_equal(count_cosigned(s.b.kv), before);
	m[15].cosignature = sigs + 8;
	m[15].n_cosignature = 1;
	lt_node_checkpoints_take(s.b.n.node, NULL, 64, list);
	assert_int_equal(count_cosigned(s.b.kv), before + 1);
	no_alarm();
	lt_buf_fini(&body);
}

/* ---- what the hub takes, and what it tells ---- */

struct given {
	Ltpb__Checkpoint m;
	Ltpb__Cosignature sig, *list[2];
	struct lt_buf body;
	uint8_t hub[LT_SIG_LEN], node[LT_SIG_LEN];
};

static void
give(struct given *g, struct lt_checkpoint *c, const struct lt_identity *by)
{
	struct lt_hash h;

	sign_checkpoint(c, &g->body, g->hub, &s.m.f.hub_id->sign);
	lt_checkpoint_hash(lt_buf_slice(&g->body), &h);
	lt_cosign(&by->sign, &by->principal, by->key_no, &h, g->node);
	ltpb__checkpoint__init(&g->m);
	ltpb__cosignature__init(&g->sig);
	g->m.body.data = g->body.data;
	g->m.body.len = g->body.len;
	g->m.signature.data = g->hub;
	g->m.signature.len = LT_SIG_LEN;
	g->sig.principal.data = (uint8_t *)by->principal.b;
	g->sig.principal.len = LT_ID_LEN;
	g->sig.key_no = by->key_no;
	g->sig.signature.data = g->node;
	g->sig.signature.len = LT_SIG_LEN;
	g->list[0] = g->list[1] = &g->sig;
	g->m.cosignature = g->list;
	g->m.n_cosignature = 1;
}

static int
taken(const struct given *g, const struct lt_identity *from)
{
	struct lt_registry *reg = lt_hub_registry(s.m.f.hub);
	struct lt_err err = { "" };
	int rc = lt_hub_checkpoint_cosigned(
	    s.m.f.hub, lt_registry_find(reg, &from->principal), &g->m, &err);

	lt_registry_unref(reg);
	marks.n = 0;
	memfed_settle(&s.m);
	return rc;
}

static void
the_hub_keeps_one_a_node_that_verifies(void **state)
{
	struct lt_checkpoint c = { .nhead = 0 };
	struct given g = { 0 };
	struct lt_hash h;
	unsigned before;

	(void)state;
	rounds(&s, &s.b, 2);
	assert_true(newest(s.m.log, &c, &h));
	before = count_cosigned(s.m.log);
	give(&g, &c, &extra.id);
	assert_int_equal(taken(&g, &more.id), LT_E_INVALID); /* another's */
	g.m.n_cosignature = 2;
	assert_int_equal(taken(&g, &extra.id), LT_E_INVALID);
	g.m.n_cosignature = 0;
	assert_int_equal(taken(&g, &extra.id), LT_E_INVALID);
	give(&g, &c, &extra.id);
	g.m.body.len = LT_CHECKPOINT_BYTES_MAX + 1;
	assert_int_equal(taken(&g, &extra.id), LT_E_INVALID);
	give(&g, &c, &extra.id);
	g.hub[5] ^= 1;
	assert_int_equal(taken(&g, &extra.id), LT_E_BADSIG);
	g.hub[5] ^= 1;
	g.node[5] ^= 1;
	assert_int_equal(taken(&g, &extra.id), LT_E_BADSIG);
	c.key_no++;
	give(&g, &c, &extra.id);
	assert_int_equal(taken(&g, &extra.id), LT_E_UNKNOWN);
	c.key_no--;
	assert_int_equal(count_cosigned(s.m.log), before);
	give(&g, &c, &extra.id);
	assert_int_equal(taken(&g, &extra.id), LT_OK);
	assert_int_equal(taken(&g, &extra.id), LT_E_EXISTS);
	c.time_ms++;
	give(&g, &c, &extra.id);
	assert_int_equal(taken(&g, &extra.id), LT_E_EXISTS); /* too soon */
	s.m.now_ms += LT_COSIGN_GAP_MS;
	assert_int_equal(taken(&g, &extra.id), LT_OK);
	assert_int_equal(count_cosigned(s.m.log), before + 1);
	lt_buf_fini(&g.body);
}

/* As many rows as there may be, of whom nobody knows (any more); they say what was agreed with that node's. */
static void
crowd(struct lt_kv *kv, const struct lt_checkpoint_signed *what)
{
	static const uint8_t sig[LT_SIG_LEN];
	struct lt_cosigned row = { .checkpoint = *what, .cosignature = lt_slice(sig, LT_SIG_LEN) };
	struct lt_kv_txn *txn;
	unsigned i, n = LT_COSIGNERS_MAX - count_cosigned(kv);

	ok(lt_kv_begin_write(kv, &txn));
	for (i = 0; i < n; i++) {
		lt_store_u32(row.principal.b, i + 1);
		ok(lt_cosigned_put(txn, &row));
	}
	ok(lt_kv_commit(txn));
}

/* The rows of those who are gone give way to the next who cosigns, at the hub, also after a start, and on a node that is told. */
static void
the_gone_give_way(void **state)
{
	const struct lt_id *a = &s.a.n.id->principal, *b = &s.b.n.id->principal;
	struct lt_checkpoint_signed row, kept;
	struct lt_buf body = { 0 };
	uint8_t sig[LT_SIG_LEN];
	struct lt_kv_txn *txn;
	struct lt_hash h;

	(void)state;
	rounds(&s, &s.b, 1);
	ok(lt_kv_begin_write(s.m.log, &txn));
	ok(lt_cosigned_drop(txn, a));
	ok(lt_cosigned_drop(txn, b));
	ok(lt_kv_commit(txn));
	ok(lt_kv_begin_write(s.b.kv, &txn));
	ok(lt_cosigned_drop(txn, a));
	ok(lt_kv_commit(txn));
	ok(lt_kv_begin_read(s.m.log, &txn));
	ok(lt_checkpoint_get(txn, &row));
	lt_buf_put_slice(&body, row.body);
	memcpy(sig, row.signature.data, LT_SIG_LEN);
	lt_kv_abort(txn);
	kept = (struct lt_checkpoint_signed){ lt_buf_slice(&body), lt_slice(sig, LT_SIG_LEN) };
	memfed_close_hub(&s.m);
	crowd(s.m.log, &kept);
	memfed_start_hub(&s.m);
	crowd(s.b.kv, &kept);
	rounds(&s, &s.a, 2);
	assert_true(has_cosigned(s.m.log, a, &h));
	assert_int_equal(count_cosigned(s.m.log), LT_COSIGNERS_MAX);
	memfed_close_hub(&s.m);
	memfed_start_hub(&s.m);
	rounds(&s, &s.b, 2);
	assert_true(has_cosigned(s.m.log, a, &h));
	assert_true(has_cosigned(s.m.log, b, &h));
	assert_int_equal(count_cosigned(s.m.log), LT_COSIGNERS_MAX);
	assert_true(has_cosigned(s.b.kv, a, &h));
	assert_int_equal(count_cosigned(s.b.kv), LT_COSIGNERS_MAX);
	lt_buf_fini(&body);
	no_alarm();
}

struct told {
	Ltpb__Checkpoint *newest, **list;
	size_t n, bytes, cosignatures;
};

static void
tell(struct lt_arena *arena, bool hello, struct told *t)
{
	struct lt_registry *reg = lt_hub_registry(s.m.f.hub);
	size_t i;

	memset(t, 0, sizeof(*t));
	ok(lt_hub_checkpoint_tell(
	    s.m.f.hub, reg, &s.b.n.id->principal, hello, arena, &t->newest, &t->n, &t->list));
	lt_registry_unref(reg);
	for (i = 0; i < t->n; i++) {
		struct lt_buf b = { 0 };

		ok(lt_wire_pack(&t->list[i]->base, LT_MESSAGE_MAX, &b));
		t->bytes += b.len + 4;
		t->cosignatures += t->list[i]->n_cosignature;
		assert_true(t->list[i]->n_cosignature <= LT_COSIGNED_EACH_MAX);
		lt_buf_fini(&b);
	}
	assert_true(t->bytes <= LT_COSIGNED_BYTES_MAX);
	assert_true(t->n <= LT_COSIGNED_GROUPS_MAX);
}

static bool
tells(const struct told *t, const struct lt_id *who)
{
	size_t i, k;

	for (i = 0; i < t->n; i++)
		for (k = 0; k < t->list[i]->n_cosignature; k++)
			if (memcmp(t->list[i]->cosignature[k]->principal.data, who->b, LT_ID_LEN) ==
			    0)
				return true;
	return false;
}

static void
what_is_told_once_a_minute_and_not_of_the_revoked(void **state)
{
	struct lt_revoking r = { .reason = "stolen" };
	struct lt_err err = { "" };
	struct lt_checkpoint c = { .nhead = 0 };
	struct given g = { 0 };
	struct lt_arena arena;
	struct lt_hash h;
	const char *why;
	struct told t;

	(void)state;
	lt_arena_init(&arena, (size_t)1 << 20);
	rounds(&s, &s.b, 2);
	assert_true(newest(s.m.log, &c, &h));
	s.m.now_ms += LT_COSIGNED_ANEW_MS;
	tell(&arena, true, &t);
	assert_non_null(t.newest);
	assert_false(tells(&t, &s.b.n.id->principal)); /* of itself */
	give(&g, &c, &extra.id);
	assert_int_equal(taken(&g, &extra.id), LT_OK);
	tell(&arena, false, &t); /* not before its time */
	assert_null(t.newest);
	assert_int_equal(t.n, 0);
	s.m.now_ms += LT_COSIGNED_EVERY_MS;
	tell(&arena, false, &t); /* what is new, and no more */
	assert_int_equal(t.cosignatures, 1);
	assert_true(tells(&t, &extra.id.principal));
	s.m.now_ms += LT_COSIGNED_EVERY_MS;
	tell(&arena, false, &t);
	assert_int_equal(t.n, 0);
	give(&g, &c, &more.id);
	assert_int_equal(taken(&g, &more.id), LT_OK);
	tell(&arena, true, &t); /* a new connection at once what is new, an hour later all of it */
	assert_true(!tells(&t, &extra.id.principal) && tells(&t, &more.id.principal));
	s.m.now_ms += LT_COSIGNED_ANEW_MS;
	tell(&arena, true, &t);
	assert_true(tells(&t, &extra.id.principal) && tells(&t, &more.id.principal));
	r.principal = extra.id.principal;
	ok(lt_hub_revoke(s.m.f.hub, &r, &why, &err));
	memfed_settle(&s.m);
	s.m.now_ms += LT_COSIGNED_ANEW_MS;
	tell(&arena, true, &t);
	assert_true(!tells(&t, &extra.id.principal) && tells(&t, &more.id.principal));
	lt_buf_fini(&g.body);
	lt_arena_fini(&arena);
}

#define CROWD 24

/* So many checkpoints that one answer has no room for them: each is told of in the end. And so many signatures on one that some are left out. */
static void
a_crowd_is_told_of_in_turns(void **state)
{
	static struct fed_peer crowd[CROWD];
	struct lt_checkpoint c = { .nhead = 0 };
	struct given g = { 0 };
	bool heard[CROWD] = { false };
	struct lt_arena arena;
	struct lt_hash h;
	size_t i, n, all = 0, most = 0, turns;
	struct told t;

	(void)state;
	rounds(&s, &s.b, 2);
	for (i = 0; i < CROWD; i++)
		enrol(&crowd[i], 100 + i);
	rounds(&s, &s.b, 2);
	assert_true(newest(s.m.log, &c, &h));
	for (i = 0; i < CROWD; i++) {
		c.time_ms++;
		give(&g, &c, &crowd[i].id);
		assert_int_equal(taken(&g, &crowd[i].id), LT_OK);
	}
	lt_arena_init(&arena, (size_t)4 << 20);
	for (turns = 0; turns < 12 && all < CROWD; turns++) {
		tell(&arena, turns == 0, &t);
		assert_true(t.n > 0);
		for (n = 0; n < CROWD; n++) {
			all += !heard[n] && tells(&t, &crowd[n].id.principal);
			heard[n] |= tells(&t, &crowd[n].id.principal);
		}
		s.m.now_ms += LT_COSIGNED_EVERY_MS;
	}
	assert_int_equal(all, CROWD);
	assert_true(turns > 1);
	/* Then there is an end, also for a line that comes again at once. */
	tell(&arena, false, &t);
	assert_int_equal(t.n, 0);
	s.m.now_ms += LT_COSIGNED_EVERY_MS;
	tell(&arena, true, &t);
	assert_int_equal(t.n, 0);
	s.m.now_ms += LT_COSIGNED_ANEW_MS;
	tell(&arena, true, &t);
	assert_true(t.n > 0);
	for (i = 0; i < CROWD; i++) {
		s.m.now_ms += LT_COSIGN_GAP_MS;
		give(&g, &c, &crowd[i].id);
		assert_int_equal(taken(&g, &crowd[i].id), i == CROWD - 1 ? LT_E_EXISTS : LT_OK);
	}
	s.m.now_ms += LT_COSIGNED_EVERY_MS;
	tell(&arena, true, &t);
	for (i = 0; i < t.n; i++)
		if (t.list[i]->n_cosignature > most)
			most = t.list[i]->n_cosignature;
	assert_true(t.n <= 2); /* that of the crowd, and what node a has */
	assert_int_equal(most, LT_COSIGNED_EACH_MAX);
	lt_arena_fini(&arena);
	lt_buf_fini(&g.body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_agree_and_hear_of_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    one_a_minute_when_something_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_restored_hub_is_shorter_and_no_liar, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    found_in_the_first_round_that_brings_it, setup, teardown),
		cmocka_unit_test_setup_teardown(found_before_the_change_set_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(found_when_the_change_set_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(two_of_one_number_are_a_proof, setup, teardown),
		cmocka_unit_test_setup_teardown(one_of_another_branch_is_a_proof, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_was_promised_is_not_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(nor_over_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(nor_behind_much_that_never_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    two_that_are_ahead_contradict_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(false_cosignatures_leave_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_gone_give_way, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_hub_keeps_one_a_node_that_verifies, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_told_once_a_minute_and_not_of_the_revoked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crowd_is_told_of_in_turns, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
