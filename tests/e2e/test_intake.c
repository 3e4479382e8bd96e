/* What a hub makes of change-sets that no honest node of ours would send, or that come in an awkward order; and what a
 * node makes of the hub's verdicts when they run ahead of what they judge. No line: bytes are handed over directly. */
#include "hub/recovery.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/model/value.h"
#include "proto/store/author.h"
#include "proto/store/backup.h"
#include "proto/store/feed_log.h"
#include "proto/store/kv_test.h"
#include "tests/lib/federation.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT "17254"
#define MANY 256

/* A node's keys without a node: the test signs what it likes. */
struct pen {
	struct fed_node n;
	struct lt_feed_id feed;
	uint64_t seq, stamp;
	struct lt_hash hash;
};

static void
join(struct fed *f, struct fed_node *n)
{
	fed_node_setup(f, n, UNIT);
	fed_node_join(f, n, "");
}

static void
new_epoch(struct pen *p, uint64_t epoch)
{
	p->feed = lt_feed_id_make(p->n.id->principal, LT_LANE_NORMAL, epoch);
	p->seq = 0;
	memset(&p->hash, 0, sizeof(p->hash));
}

static Ltpb__FieldSet *
field(struct lt_arena *a, const char *name, enum lt_type type, const char *text)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a, sizeof(*fs));
	struct lt_err err = { "" };

	ltpb__field_set__init(fs);
	fs->name = (char *)name;
	assert_int_equal(lt_value_parse(type, 0, lt_slice_str(text), a, &fs->value, &err), LT_OK);
	return fs;
}

/* n dossiers from number first on; context NULL: none. status "nonsense" is refused by the catalogue. */
static struct lt_slice
seal(struct pen *p, struct lt_arena *a, unsigned first, size_t n, const char *status,
    const struct lt_context *context)
{
	struct lt_draft *d = lt_arena_alloc(a, n * sizeof(*d));
	struct lt_seal s = { .federation = p->n.id->federation,
		.unit = p->n.id->unit,
		.feed = p->feed,
		.seq = p->seq + 1,
		.prev = p->hash,
		.stamp = (p->stamp += UINT64_C(1) << 16),
		.catalogue_version = 1,
		.key_no = p->n.id->key_no,
		.key = &p->n.id->sign,
		.ndraft = n,
		.draft = d };
	struct lt_err err = { "" };
	struct lt_buf out;
	struct lt_slice bytes;
	size_t i;

	for (i = 0; i < n; i++) {
		char *key = lt_arena_alloc(a, 64);
		Ltpb__FieldSet **set = lt_arena_alloc(a, 2 * sizeof(*set));

		(void)snprintf(key, 64, "H41.65-261120-%04u", first + (unsigned)i);
		set[0] = field(a, "status", LT_TYPE_ENUM, status);
		set[1] = field(a, "applicant_name", LT_TYPE_TEXT, "Vi Văn Mẫu");
		d[i].collection = "dossier";
		d[i].key = key;
		d[i].nset = 1;
		d[i].set = set;
		d[i].npersonal = 1;
		d[i].personal = set + 1;
		d[i].ncontext = context != NULL;
		d[i].context = context;
	}
	lt_buf_init(&out, LT_MESSAGE_MAX);
	if (lt_changeset_seal(&s, &out, &p->hash, &err) != LT_OK)
		fail_msg("%s", err.text);
	p->seq++;
	bytes = lt_slice(lt_arena_dup(a, out.data, out.len), out.len);
	lt_buf_fini(&out);
	return bytes;
}

struct answer {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool done;
	int rc;
	size_t nfeed, nreceipt, nrefused;
	uint64_t held;
};

static void
answered(void *ctx, const struct lt_intake_result *r)
{
	struct answer *a = ctx;
	size_t i;

	pthread_mutex_lock(&a->mx);
	a->rc = r->rc;
	a->nfeed = r->nfeed;
	for (i = 0; i < r->nfeed; i++)
		if (r->feed[i].receipt.len != 0) {
			Ltpb__Receipt *m = ltpb__receipt__unpack(
			    NULL, r->feed[i].receipt.len, r->feed[i].receipt.data);
			Ltpb__ReceiptBody *b =
			    ltpb__receipt_body__unpack(NULL, m->body.len, m->body.data);

			a->nreceipt++;
			a->nrefused += b->n_refused;
			a->held = b->seq;
			ltpb__receipt_body__free_unpacked(b, NULL);
			ltpb__receipt__free_unpacked(m, NULL);
		}
	a->done = true;
	pthread_cond_signal(&a->cv);
	pthread_mutex_unlock(&a->mx);
}

static struct answer
push(struct fed *f, struct pen *p, const struct lt_slice *bytes, size_t n)
{
	struct answer a = { .done = false };

	pthread_mutex_init(&a.mx, NULL);
	pthread_cond_init(&a.cv, NULL);
	lt_hub_intake(f->hub, &p->n.id->principal, bytes, n, answered, &a);
	pthread_mutex_lock(&a.mx);
	while (!a.done)
		pthread_cond_wait(&a.cv, &a.mx);
	pthread_mutex_unlock(&a.mx);
	return a;
}

struct shows {
	struct fed *f;
	unsigned number;
	const char *value;
};

static bool
hub_shows(void *ctx)
{
	struct shows *s = ctx;
	char text[256];

	return fed_hub_field(s->f, UNIT, s->number, "status", text, sizeof(text)) &&
	       strcmp(text, s->value) == 0;
}

static size_t
local_rows(struct fed *f, const char *prefix, struct lt_slice *last)
{
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t n = 0, len = strlen(prefix);
	int rc;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(prefix, len), &k, &v);
	     rc == LT_OK && k.len >= len && memcmp(k.data, prefix, len) == 0;
	     rc = lt_kv_next(c, &k, &v)) {
		n++;
		if (last != NULL)
			last->len = v.len;
	}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return n;
}

static bool
nothing_owed(void *ctx)
{
	return local_rows(ctx, "settled/", NULL) == 0;
}

static void
setup(struct fed *f, struct pen *p, struct lt_arena *a)
{
	fed_setup(f);
	memset(p, 0, sizeof(*p));
	join(f, &p->n);
	p->stamp = LT_STAMP((uint64_t)lt_wall_ms(lt_clock_system()) - 3600000, 0);
	new_epoch(p, 7);
	lt_arena_init(a, (size_t)256 << 20);
}

static void
teardown(struct fed *f, struct pen *p, struct lt_arena *a)
{
	lt_arena_fini(a);
	fed_node_teardown(&p->n);
	fed_teardown(f);
}

/* A leaf in place of a personal value is well-formed, but no receipt may say that the value is held. */
static void
test_withheld(void **state)
{
	struct fed f;
	struct pen p;
	struct lt_arena a;
	struct lt_changeset cs;
	struct lt_slice bytes;
	struct answer r;
	struct lt_buf stripped, out;

	(void)state;
	setup(&f, &p, &a);
	bytes = seal(&p, &a, 1, 1, "tiep_nhan", NULL);
	assert_int_equal(lt_changeset_parse(bytes, &a, &cs, NULL), LT_OK);
	lt_buf_init(&stripped, 0);
	lt_buf_init(&out, 0);
	assert_int_equal(lt_changeset_strip(&cs, &stripped), LT_OK);
	assert_int_equal(cs.nopening, 1);
	cs.opening[0].withheld = true;
	assert_int_equal(
	    lt_changeset_compose(lt_buf_slice(&stripped), 1, cs.opening, &out, NULL), LT_OK);
	r = push(&f, &p, &(struct lt_slice){ out.data, out.len }, 1);
	assert_int_equal(r.rc, LT_E_INVALID);
	assert_int_equal(r.nreceipt, 0);
	r = push(&f, &p, &bytes, 1);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nreceipt, 1);
	lt_buf_fini(&stripped);
	lt_buf_fini(&out);
	teardown(&f, &p, &a);
}

/* What was refused is said again with a receipt given again: the first one may have been lost. */
static void
test_receipt_again(void **state)
{
	struct fed f;
	struct pen p;
	struct lt_arena a;
	struct lt_slice b;
	struct answer r;

	(void)state;
	setup(&f, &p, &a);
	b = seal(&p, &a, 1, 3, "nonsense", NULL);
	r = push(&f, &p, &b, 1);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 3);
	r = push(&f, &p, &b, 1);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nreceipt, 1);
	assert_int_equal(r.nrefused, 3);
	teardown(&f, &p, &a);
}

/* Two branches under every number: the evidence is the signed bytes, and there is only so much of it. */
static void
test_forks_are_bounded(void **state)
{
	struct fed f;
	struct pen p, q;
	struct lt_arena a;
	struct lt_slice b, last = { NULL, 0 };
	struct answer r;
	unsigned i;

	(void)state;
	setup(&f, &p, &a);
	q = p;
	b = seal(&p, &a, 1, 1, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	for (i = 0; i < 40; i++) {
		struct pen fork = q;

		fork.stamp += i;
		b = seal(&fork, &a, 100 + i, 1, "tiep_nhan", NULL);
		r = push(&f, &fork, &b, 1);
		assert_int_equal(r.rc, LT_E_FORK);
		assert_int_equal(r.nreceipt, 0);
	}
	assert_int_equal(local_rows(&f, "fork/", &last), 16);
	assert_true(last.len < b.len - 16); /* no opening stands beside the signed bytes */
	teardown(&f, &p, &a);
}

/* A new epoch arrives before the old one whose record it changes, in change-sets as large as nodes make them. All its dots are held,
 * then all are settled at once: the records show them, and the verdict says so. */
static void
test_held_settled(void **state)
{
	struct fed f;
	struct pen p, old;
	struct lt_arena a;
	struct lt_slice first, late[4];
	struct lt_context seen;
	struct shows s = { &f, 1, "dang_xu_ly" };
	struct lt_kv_txn *txn;
	uint64_t held = 1;
	size_t i;

	(void)state;
	setup(&f, &p, &a);
	first = seal(&p, &a, 1, MANY, "tiep_nhan", NULL);
	old = p;
	seen.feed = p.feed;
	seen.seq = 1;
	seen.hash8 = lt_load_u64(p.hash.b);
	new_epoch(&p, 8);
	for (i = 0; i < 4; i++)
		late[i] = seal(&p, &a, 1, MANY, "dang_xu_ly", &seen);
	assert_int_equal(push(&f, &p, late, 4).rc, LT_OK);
	assert_false(hub_shows(&s));
	assert_int_equal(push(&f, &old, &first, 1).rc, LT_OK);
	for (i = 0; i < 4; i++) {
		s.number = 1 + (unsigned)i * (MANY / 4);
		fed_wait(hub_shows, &s, 20000, "held changes count once their past is here");
	}
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_HELD, &held), LT_OK);
	assert_int_equal(held, 0);
	lt_kv_abort(txn);
	assert_int_equal(local_rows(&f, "settled/", NULL), 0);
	teardown(&f, &p, &a);
}

/* ---- a node and the hub's feeds in another order ---- */

struct applied {
	pthread_mutex_t mx;
	pthread_cond_t cv;
	bool done;
	int rc;
	char why[256];
};

static void
on_applied(void *ctx, int rc, const char *why)
{
	struct applied *a = ctx;

	pthread_mutex_lock(&a->mx);
	a->rc = rc;
	(void)snprintf(a->why, sizeof(a->why), "%s", why);
	a->done = true;
	pthread_cond_signal(&a->cv);
	pthread_mutex_unlock(&a->mx);
}

static int
apply(struct lt_node *n, struct lt_slice bytes)
{
	struct applied a = { .done = false };

	pthread_mutex_init(&a.mx, NULL);
	pthread_cond_init(&a.cv, NULL);
	assert_int_equal(lt_node_apply(n, bytes, on_applied, &a), LT_OK);
	pthread_mutex_lock(&a.mx);
	while (!a.done)
		pthread_cond_wait(&a.cv, &a.mx);
	pthread_mutex_unlock(&a.mx);
	if (a.rc != LT_OK)
		print_message("not applied: %s %s\n", lt_strerror(a.rc), a.why);
	return a.rc;
}

/* Everything of a unit that stands in the hub's log, the feeds of `by` first or last. */
static int
carry(struct fed *f, struct lt_node *n, const char *unit, const struct lt_id *by, bool first)
{
	struct lt_kv_txn *txn;
	struct lt_err err = { "" };
	uint64_t last, p;
	int pass, rc = LT_OK;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	for (pass = 0; pass < 2; pass++)
		for (p = 1; p <= last && rc == LT_OK; p++) {
			struct lt_changeset cs;
			struct lt_arena a;
			struct lt_entry e;
			struct lt_buf b;
			struct lt_id author;

			assert_int_equal(lt_feed_log_read(txn, p, &e), LT_OK);
			if (strcmp(e.unit.s, unit) != 0)
				continue;
			lt_arena_init(&a, (size_t)64 << 20);
			lt_buf_init(&b, LT_MESSAGE_MAX);
			assert_int_equal(lt_changeset_parse(e.changeset, &a, &cs, NULL), LT_OK);
			author = lt_feed_author(&cs.feed);
			if ((lt_id_eq(&author, by) == first) == (pass == 0)) {
				assert_int_equal(
				    lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err), LT_OK);
				rc = apply(n, lt_buf_slice(&b));
			}
			lt_buf_fini(&b);
			lt_arena_fini(&a);
		}
	lt_kv_abort(txn);
	return rc;
}

static void
same_tables(struct fed *f, struct lt_node *n)
{
	struct lt_kv_txn *a, *b;
	uint8_t x[16], y[16];

	assert_int_equal(lt_kv_begin_read(lt_hub_derived(f->hub), &a), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n), &b), LT_OK);
	assert_int_equal(lt_digest_short(a, "dossier", UNIT, x), LT_OK);
	assert_int_equal(lt_digest_short(b, "dossier", UNIT, y), LT_OK);
	assert_memory_equal(x, y, sizeof(x));
	lt_kv_abort(a);
	lt_kv_abort(b);
}

static void
open_node(struct fed *f, struct fed_node *n)
{
	struct lt_node_options no = {
		.dir = n->dir, .identity = n->id, .clock = lt_clock_system(), .map_bytes = 1 << 30
	};
	struct lt_err err = { "" };

	assert_int_equal(lt_node_open(&no, &n->node, &err), LT_OK);
	assert_int_equal(lt_node_meet_hub(n->node, f->hub_id->certificate, "40", &err), LT_OK);
}

static void
close_node(struct fed_node *n)
{
	lt_node_close(n->node);
	n->node = NULL;
}

/* Ranges, held dots, what settled them, and refusals; the hub's feed comes before, then after, what it judges. */
static void
test_verdicts_ahead(void **state)
{
	struct fed f;
	struct pen p, old;
	struct lt_arena a;
	struct lt_slice b, first;
	struct lt_context seen;
	struct shows s = { &f, 1, "dang_xu_ly" };
	int way;

	(void)state;
	setup(&f, &p, &a);
	first = seal(&p, &a, 1, 4, "tiep_nhan", NULL);
	old = p;
	seen.feed = p.feed;
	seen.seq = 1;
	seen.hash8 = lt_load_u64(p.hash.b);
	new_epoch(&p, 8);
	b = seal(&p, &a, 1, 4, "dang_xu_ly", &seen);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK); /* held, in the first number of a range */
	b = seal(&p, &a, 20, 2, "nonsense", NULL);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	b = seal(&p, &a, 30, MANY, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	assert_int_equal(push(&f, &old, &first, 1).rc, LT_OK); /* settles */
	fed_wait(hub_shows, &s, 20000, "the held change counts");
	for (way = 0; way < 2; way++) {
		struct fed_node n;

		join(&f, &n);
		open_node(&f, &n);
		assert_int_equal(carry(&f, n.node, "_", &f.hub_id->principal, true), LT_OK);
		assert_int_equal(carry(&f, n.node, UNIT, &f.hub_id->principal, way == 0), LT_OK);
		same_tables(&f, n.node);
		close_node(&n);
		fed_node_teardown(&n);
	}
	teardown(&f, &p, &a);
}

/* Dots held beside refused ones of a greater number are refused in the end: a wrong hash was named. */
static void
test_settled_as_refused(void **state)
{
	struct fed f;
	struct pen p, old;
	struct fed_node n;
	struct lt_arena a;
	struct lt_slice first;
	struct lt_context seen;
	struct lt_draft d[2];
	struct lt_buf out;
	struct lt_err err = { "" };
	Ltpb__FieldSet *good, *bad;
	struct lt_kv_txn *txn;
	uint64_t quarantined = 0;

	(void)state;
	setup(&f, &p, &a);
	first = seal(&p, &a, 1, 1, "tiep_nhan", NULL);
	old = p;
	seen.feed = p.feed;
	seen.seq = 1;
	seen.hash8 = lt_load_u64(p.hash.b) + 1; /* another past */
	new_epoch(&p, 8);
	good = field(&a, "status", LT_TYPE_ENUM, "dang_xu_ly");
	bad = field(&a, "status", LT_TYPE_ENUM, "nonsense");
	memset(d, 0, sizeof(d));
	d[0].collection = d[1].collection = "dossier";
	d[0].key = "H41.65-261120-0001";
	d[1].key = "H41.65-261120-0002";
	d[0].nset = d[1].nset = 1;
	d[0].set = &good;
	d[1].set = &bad;
	d[0].ncontext = 1;
	d[0].context = &seen;
	{
		struct lt_seal s = { .federation = p.n.id->federation,
			.unit = p.n.id->unit,
			.feed = p.feed,
			.seq = 1,
			.stamp = (p.stamp += UINT64_C(1) << 16),
			.catalogue_version = 1,
			.key_no = p.n.id->key_no,
			.key = &p.n.id->sign,
			.ndraft = 2,
			.draft = d };
		struct lt_slice b;

		lt_buf_init(&out, 0);
		assert_int_equal(lt_changeset_seal(&s, &out, &p.hash, &err), LT_OK);
		b = lt_buf_slice(&out);
		assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
		lt_buf_fini(&out);
	}
	assert_int_equal(push(&f, &old, &first, 1).rc, LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f.hub), &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_QUARANTINE, &quarantined), LT_OK);
	assert_int_equal(quarantined, 2);
	lt_kv_abort(txn);
	fed_wait(nothing_owed, &f, 20000, "the verdict that settles is written");
	join(&f, &n);
	open_node(&f, &n);
	assert_int_equal(carry(&f, n.node, "_", &f.hub_id->principal, true), LT_OK);
	/* What is judged first, so that the range and what settles it are applied one after the other. */
	assert_int_equal(carry(&f, n.node, UNIT, &f.hub_id->principal, false), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n.node), &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_QUARANTINE, &quarantined), LT_OK);
	assert_int_equal(quarantined, 2);
	lt_kv_abort(txn);
	close_node(&n);
	fed_node_teardown(&n);
	teardown(&f, &p, &a);
}

struct find_feed {
	struct lt_id by;
	struct lt_feed_id feed;
	struct lt_head head;
};

static int
find_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct find_feed *f = ctx;
	struct lt_id author = lt_feed_author(feed);

	(void)unit;
	if (lt_id_eq(&author, &f->by)) {
		f->feed = *feed;
		f->head = *head;
	}
	return LT_OK;
}

/* A verdict that settles change 0 of change-set 1 of the pen's feed as refused, n times, signed as the hub's next word. */
static struct lt_slice
seal_verdict(
    struct fed *f, const struct pen *p, struct lt_node *n, size_t times, struct lt_arena *a)
{
	struct find_feed hub = { .by = f->hub_id->principal };
	char hex[2 * LT_FEED_LEN + 1], key[120];
	Ltpb__Verdict v = LTPB__VERDICT__INIT;
	Ltpb__RefusedDot dot = LTPB__REFUSED_DOT__INIT;
	Ltpb__Value value = LTPB__VALUE__INIT;
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	struct lt_draft d = { .collection = "_verdict", .key = key, .nset = 1, .set = set };
	struct lt_seal s = { .ndraft = 1, .draft = &d, .catalogue_version = 1 };
	struct lt_kv_txn *txn;
	struct lt_hash hash;
	struct lt_buf packed, out;
	struct lt_slice bytes;
	size_t i;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(n), &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, &p->n.id->unit, find_feed, &hub), LT_OK);
	lt_kv_abort(txn);
	lt_hex(hex, p->feed.b, LT_FEED_LEN);
	(void)snprintf(key, sizeof(key), "%s/1", hex);
	dot.seq = 1;
	dot.reason = LTPB__REASON_CODE__REASON_BAD_CONTEXT;
	v.feed.data = (uint8_t *)(uintptr_t)p->feed.b;
	v.feed.len = LT_FEED_LEN;
	v.from = v.to = 1;
	v.to_hash.data = (uint8_t *)(uintptr_t)p->hash.b;
	v.to_hash.len = LT_HASH_LEN;
	v.n_refused = times;
	v.refused = lt_arena_alloc(a, times * sizeof(*v.refused));
	for (i = 0; i < times; i++)
		v.refused[i] = &dot;
	lt_buf_init(&packed, LT_VALUE_MAX);
	assert_int_equal(lt_wire_pack(&v.base, LT_VALUE_MAX, &packed), LT_OK);
	value.v_case = LTPB__VALUE__V_BYTES;
	value.bytes.data = packed.data;
	value.bytes.len = packed.len;
	fs.name = (char *)"verdict";
	fs.value = &value;
	s.federation = f->hub_id->federation;
	s.unit = p->n.id->unit;
	s.feed = hub.feed;
	s.seq = hub.head.seq + 1;
	s.prev = hub.head.hash;
	s.stamp = hub.head.stamp + 1;
	s.key_no = f->hub_id->key_no;
	s.key = &f->hub_id->sign;
	lt_buf_init(&out, LT_MESSAGE_MAX);
	assert_int_equal(lt_changeset_seal(&s, &out, &hash, NULL), LT_OK);
	bytes = lt_slice(lt_arena_dup(a, out.data, out.len), out.len);
	lt_buf_fini(&out);
	lt_buf_fini(&packed);
	return bytes;
}

static bool
one_verdict(void *ctx)
{
	struct find_feed hub = { .by = ((struct fed *)ctx)->hub_id->principal };
	struct lt_unit unit;
	struct lt_kv_txn *txn;

	assert_int_equal(lt_unit_set(&unit, lt_slice_str(UNIT)), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(((struct fed *)ctx)->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_each(txn, &unit, find_feed, &hub), LT_OK);
	lt_kv_abort(txn);
	return hub.head.seq != 0;
}

/* A hub that has gone wrong names one held dot four thousand times: it is refused once, and no memory but its own is
 * written to. */
static void
test_settled_many_times(void **state)
{
	struct fed f;
	struct pen p;
	struct fed_node n;
	struct lt_arena a;
	struct lt_slice b;
	struct lt_context seen = { .seq = 1 };
	struct lt_kv_txn *txn;
	uint64_t quarantined = 0;

	(void)state;
	setup(&f, &p, &a);
	seen.feed = p.feed; /* never comes */
	new_epoch(&p, 8);
	b = seal(&p, &a, 1, 1, "dang_xu_ly", &seen);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	fed_wait(one_verdict, &f, 20000, "the verdict that holds is written");
	join(&f, &n);
	open_node(&f, &n);
	assert_int_equal(carry(&f, n.node, "_", &f.hub_id->principal, true), LT_OK);
	assert_int_equal(carry(&f, n.node, UNIT, &f.hub_id->principal, false), LT_OK);
	assert_int_equal(apply(n.node, seal_verdict(&f, &p, n.node, 4000, &a)), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n.node), &txn), LT_OK);
	assert_int_equal(lt_kv_count(txn, LT_T_QUARANTINE, &quarantined), LT_OK);
	assert_int_equal(quarantined, 1);
	lt_kv_abort(txn);
	close_node(&n);
	fed_node_teardown(&n);
	teardown(&f, &p, &a);
}

/* A change-set by a catalogue that is not here yet waits; one of another commune is not for this machine. */
static void
test_what_may_come(void **state)
{
	struct fed f;
	struct pen p;
	struct fed_node n;
	struct lt_arena a;
	struct lt_slice b;

	(void)state;
	setup(&f, &p, &a);
	b = seal(&p, &a, 1, 1, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	join(&f, &n);
	open_node(&f, &n);
	assert_int_equal(apply(n.node, b), LT_E_UNKNOWN); /* who is that? */
	assert_int_equal(carry(&f, n.node, "_", &f.hub_id->principal, true), LT_OK);
	assert_int_equal(apply(n.node, b), LT_OK);
	assert_int_equal(apply(n.node, b), LT_OK); /* again: as once */
	close_node(&n);
	fed_node_teardown(&n);
	teardown(&f, &p, &a);
}

/* ---- a hub restored from a backup ---- */

#define YEAR_9999_MS UINT64_C(253370764800000) /* date -u -d 9999-01-01 +%s */

struct covered {
	struct fed *f;
	const struct pen *p;
};

static bool
all_covered(void *ctx)
{
	struct covered *c = ctx;
	char hex[2 * LT_FEED_LEN + 1], name[160];
	struct lt_kv_txn *txn;
	uint64_t seq;

	lt_hex(hex, c->p->feed.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "verdicted/%s/%s", UNIT, hex);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(c->f->hub), &txn), LT_OK);
	assert_int_equal(lt_local_get_u64(txn, name, &seq), LT_OK);
	lt_kv_abort(txn);
	return seq == c->p->seq;
}

static uint64_t
effective_of(struct fed *f, const struct pen *p)
{
	struct lt_kv_txn *txn;
	struct lt_head head;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_head(txn, &p->n.id->unit, &p->feed, &head), LT_OK);
	lt_kv_abort(txn);
	return head.effective;
}

/* The hub's own change-sets, as a node would have them. */
static size_t
written_by_hub(struct fed *f, struct lt_arena *a, struct lt_slice *out, size_t max)
{
	struct lt_kv_txn *txn;
	struct lt_err err = { "" };
	uint64_t last, at;
	size_t n = 0;

	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &txn), LT_OK);
	assert_int_equal(lt_feed_log_last(txn, &last), LT_OK);
	for (at = 1; at <= last; at++) {
		struct lt_entry e;
		struct lt_buf b;

		assert_int_equal(lt_feed_log_read(txn, at, &e), LT_OK);
		if (!lt_hub_wrote(f->hub, e.changeset))
			continue;
		assert_true(n < max);
		lt_buf_init(&b, LT_MESSAGE_MAX);
		assert_int_equal(lt_feed_log_compose(txn, &e, NULL, NULL, &b, &err), LT_OK);
		out[n++] = lt_slice(lt_arena_dup(a, b.data, b.len), b.len);
		lt_buf_fini(&b);
	}
	lt_kv_abort(txn);
	return n;
}

static void
back_up(struct fed *f, const char *path)
{
	struct lt_backup_options o = {
		.dir = f->dir, .path = path, .identity = f->hub_id, .now_ms = 1
	};
	struct lt_backup_info info;
	struct lt_backup_error e;

	fed_hub_stop(f);
	if (lt_backup_make(&o, &info, &e) != LT_OK)
		fail_msg("%s", e.err.text);
	fed_hub_start(f);
}

static void
put_back(struct fed *f, const char *path)
{
	struct lt_restore_options o = {
		.path = path, .dir = f->dir, .identity = f->hub_id, .now_ms = 2
	};
	struct lt_backup_info info;
	struct lt_backup_error e;
	char cmd[320];

	fed_hub_stop(f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", f->dir);
	assert_int_equal(system(cmd), 0);
	if (lt_restore(&o, &info, &e) != LT_OK)
		fail_msg("%s", e.err.text);
	fed_hub_start(f);
	assert_true(lt_hub_recovering(f->hub));
}

static bool
recovered(void *ctx)
{
	return !lt_hub_recovering(((struct fed *)ctx)->hub);
}

static void
give_back(struct fed *f, const struct pen *p, const struct lt_slice *own, size_t n)
{
	size_t i, some;

	for (i = 0; i < n; i += some) {
		struct answer r = { .mx = PTHREAD_MUTEX_INITIALIZER,
			.cv = PTHREAD_COND_INITIALIZER };

		some = n - i < LT_PUSH_MAX ? n - i : LT_PUSH_MAX;
		lt_hub_take_back(f->hub, own + i, some, answered, &r);
		pthread_mutex_lock(&r.mx);
		while (!r.done)
			pthread_cond_wait(&r.cv, &r.mx);
		pthread_mutex_unlock(&r.mx);
		assert_int_equal(r.rc, LT_OK);
	}
	lt_hub_heard(f->hub, &p->n.id->principal);
	fed_wait(recovered, f, 20000, "the node is heard");
}

/* What a look for a told verdict meets where its own feed has none: the row of another feed, and what stands behind them all. */
static void
damage_behind(struct fed *f)
{
	struct lt_kv *log = lt_hub_log(f->hub);
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	char name[256];

	assert_int_equal(lt_kv_begin_write(log, &txn), LT_OK);
	assert_int_equal(lt_local_put(txn, "told0", lt_slice_str("x")), LT_OK);
	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	assert_int_equal(lt_kv_seek_in(c, lt_slice_str("told/"), &k, &v), LT_OK);
	lt_slice_to_text(name, sizeof(name), k);
	lt_kv_cursor_close(c);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	assert_int_equal(lt_kv_test_flip(log, LT_T_LOCAL, lt_slice_str(name), 9, NULL), LT_OK);
	assert_int_equal(lt_kv_test_flip(log, LT_T_LOCAL, lt_slice_str("told0"), 1, NULL), LT_OK);
}

/* A node gives back a genuine verdict, and pushes under its numbers what the hub never saw: policy and clock count for that as for
 * anything new. What the verdict was of comes back with the judgement that it had. */
static void
test_another_branch_after_restore(void **state)
{
	char base[] = "/tmp/lt-intake-XXXXXX", path[64], cmd[80];
	struct lt_slice own[512], was[3], honest[2], b;
	struct pen p, liar, q;
	struct answer r;
	struct lt_arena a;
	uint64_t effective;
	struct fed f;
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(base));
	(void)snprintf(path, sizeof(path), "%s/hub", base);
	setup(&f, &p, &a);
	b = seal(&p, &a, 1, 1, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &p, &b, 1).rc, LT_OK);
	fed_wait(all_covered, &(struct covered){ &f, &p }, 20000, "the verdict is written");
	back_up(&f, path);
	liar = p;
	was[0] = seal(&p, &a, 10, 1, "nonsense", NULL);
	was[1] = seal(&p, &a, 11, 1, "tiep_nhan", NULL);
	was[2] = seal(&p, &a, 12, 1, "tiep_nhan", NULL);
	r = push(&f, &p, was, 3);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 1);
	q = p;
	new_epoch(&q, 8);
	honest[0] = seal(&q, &a, 20, 2, "nonsense", NULL);
	q.stamp = LT_STAMP(YEAR_9999_MS, 0);
	honest[1] = seal(&q, &a, 30, 1, "tiep_nhan", NULL);
	r = push(&f, &q, honest, 2);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 2);
	effective = effective_of(&f, &q);
	fed_wait(all_covered, &(struct covered){ &f, &p }, 20000, "the verdict is written");
	fed_wait(all_covered, &(struct covered){ &f, &q }, 20000, "the verdict is written");
	n = written_by_hub(&f, &a, own, 512);
	put_back(&f, path);
	give_back(&f, &p, own, n);
	/* 2 is refused by the verdict alone, 3 by the catalogue alone. */
	b = seal(&liar, &a, 40, 1, "tiep_nhan", NULL);
	r = push(&f, &liar, &b, 1);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 1);
	liar.stamp = LT_STAMP(YEAR_9999_MS, 0);
	b = seal(&liar, &a, 41, 3, "nonsense", NULL);
	r = push(&f, &liar, &b, 1);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 3);
	assert_true(effective_of(&f, &liar) < LT_STAMP(lt_wall_ms(lt_clock_system()) + 60000, 0));
	b = seal(&liar, &a, 50, 1, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &liar, &b, 1).rc, LT_E_FORK);
	r = push(&f, &q, honest, 2);
	assert_int_equal(r.rc, LT_OK);
	assert_int_equal(r.nrefused, 2);
	assert_true(effective_of(&f, &q) == effective);
	assert_int_equal(local_rows(&f, "told/", NULL), 1); /* the other branch's stays unsaid */
	damage_behind(&f);
	b = seal(&q, &a, 60, 1, "tiep_nhan", NULL);
	assert_int_equal(push(&f, &q, &b, 1).rc, LT_OK);
	teardown(&f, &p, &a);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	assert_int_equal(system(cmd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_withheld),
		cmocka_unit_test(test_receipt_again),
		cmocka_unit_test(test_forks_are_bounded),
		cmocka_unit_test(test_held_settled),
		cmocka_unit_test(test_verdicts_ahead),
		cmocka_unit_test(test_settled_as_refused),
		cmocka_unit_test(test_settled_many_times),
		cmocka_unit_test(test_another_branch_after_restore),
		cmocka_unit_test(test_what_may_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
