/* Repair: what is damaged in the log is found, asked for, and put back so that not a byte differs; what did not stand there is not. */
#include "world.h"

#include "proto/base/clock.h"
#include "proto/store/erase.h"
#include "proto/store/feed_log_impl.h"
#include "proto/store/kv_sums.h"
#include "proto/store/kv_test.h"
#include "proto/store/repair_impl.h"
#include "proto/store/scrubber.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STAMP(n) LT_STAMP(LT_BUILD_FLOOR_MS + 1000, n)
#define SETS 5 /* of the node's feed */
#define ENROLLED 2 /* change-sets of the hub before them */

/* ---- what it costs: the linker brings these calls of the libraries here ---- */

static _Atomic size_t allocated; /* bytes */
static atomic_uint walks; /* through a segment of a table */

/* The linker's names (--wrap) are not ours to declare. */
#define REAL(name) __asm__("__real_" #name)
#define IN_PLACE_OF(name) __asm__("__wrap_" #name)

void *real_malloc(size_t n) REAL(malloc);
void *real_calloc(size_t n, size_t size) REAL(calloc);
void *real_realloc(void *p, size_t n) REAL(realloc);
int real_sums_seen(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count,
    uint64_t *sum, uint64_t *damaged) REAL(lt_kv_sums_seen);
void *counted_malloc(size_t n) IN_PLACE_OF(malloc);
void *counted_calloc(size_t n, size_t size) IN_PLACE_OF(calloc);
void *counted_realloc(void *p, size_t n) IN_PLACE_OF(realloc);
int counted_sums_seen(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count,
    uint64_t *sum, uint64_t *damaged) IN_PLACE_OF(lt_kv_sums_seen);

void *
counted_malloc(size_t n)
{
	allocated += n;
	return real_malloc(n);
}

void *
counted_calloc(size_t n, size_t size)
{
	allocated += n * size;
	return real_calloc(n, size);
}

void *
counted_realloc(void *p, size_t n)
{
	allocated += n;
	return real_realloc(p, n);
}

int
counted_sums_seen(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count,
    uint64_t *sum, uint64_t *damaged)
{
	walks++;
	return real_sums_seen(txn, table, key, count, sum, damaged);
}

struct fix {
	struct env env;
	struct lt_arena arena;
	struct author hub, node;
	struct feed hub_feed, feed, before; /* before: as it was before its last change-set */
	struct lt_catalogue *builtin;
	struct lt_registry *reg;
	struct lt_writer *writer;
	struct lt_repairer *repairer;
	struct lt_repairer_options o;
	struct lt_fed fed;
	bool open_all; /* what may_open answers */
	struct lt_slice sealed[ENROLLED + SETS + 1]; /* by position, with openings */
	struct lt_buf whole; /* every row, before any damage */
	struct lt_id peer;
};

static struct lt_registry *
registry(void *ctx)
{
	return lt_registry_ref(((struct fix *)ctx)->reg);
}

static bool
may_open(void *ctx, const struct lt_unit *unit, const char *collection, const char *field)
{
	(void)unit;
	assert_string_equal(collection, "thing");
	assert_non_null(field);
	return ((struct fix *)ctx)->open_all;
}

static void
enrol(struct fix *f, struct lt_kv_txn *txn, const struct author *a, const char *role,
    const char *unit)
{
	char key[64];
	struct lt_draft d[2];

	lt_hex(key, a->id.b, LT_ID_LEN);
	d[0] = world_draft(&f->arena, "_registry", key, fs_enum(&f->arena, "role", role),
	    fs_text(&f->arena, "unit", unit), fs_enum(&f->arena, "state", "active"), NULL);
	(void)snprintf(key + 2 * LT_ID_LEN, sizeof(key) - 2 * LT_ID_LEN, "/1");
	d[1] = world_draft(&f->arena, "_key", key, fs_bytes(&f->arena, "sign_key", a->key.pk, 32),
	    fs_enum(&f->arena, "state", "active"), NULL);
	world_publish(txn, &f->hub_feed, f->builtin, d, 2, &f->arena);
}

static struct lt_draft
draft(struct lt_arena *a, const char *key, const char *value)
{
	struct lt_draft d = world_draft(a, "thing", key, fs_text(a, "a", value), NULL);

	d.personal = lt_arena_alloc(a, 3 * sizeof(*d.personal));
	d.personal[d.npersonal++] = fs_text(a, LT_ACTOR_FIELD, "acc-12");
	d.personal[d.npersonal++] = fs_text(a, "p", value);
	d.personal[d.npersonal++] = fs_text(a, "q", "khong ai biet");
	return d;
}

static struct lt_slice
keep(struct fix *f, struct lt_buf *b)
{
	uint8_t *copy = lt_arena_dup(&f->arena, b->data, b->len);
	size_t len = b->len;

	assert_non_null(copy);
	lt_buf_fini(b);
	return lt_slice(copy, len);
}

static struct lt_slice
seal(struct fix *f, struct feed *feed, unsigned n, const char *value)
{
	struct lt_draft d[2];
	struct lt_buf b = { 0 };

	d[0] = draft(&f->arena, "17254/1", value);
	d[1] = draft(&f->arena, "17254/2", "hai");
	feed_seal(feed, STAMP(n), d, 1 + n % 2, &b);
	return keep(f, &b);
}

/* The change-set at a position as a peer would send it. */
static struct lt_slice
composed(struct fix *f, uint64_t position)
{
	struct lt_buf b = { 0 };
	struct lt_kv_txn *txn;
	struct lt_entry e;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_feed_log_read(txn, position, &e));
	ok(lt_feed_log_compose(txn, &e, NULL, NULL, &b, NULL));
	lt_kv_abort(txn);
	return keep(f, &b);
}

/* Every row of every table. The time at which a change-set came is not known any more when it is put back: that of its neighbour stands
 * there then, and zeros here. */
static void
dump(struct fix *f, struct lt_buf *out)
{
	static const unsigned others[] = { LT_T_FEED, LT_T_SEQ, LT_T_OPENING, LT_T_JUDGEMENT,
		LT_T_LOCAL, LT_T_RECORD, LT_T_HISTORY, LT_T_SUMS, LT_T_COUNT };
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc;

	lt_buf_clear(out);
	ok(lt_kv_begin_read(f->env.kv, &txn));
	env_dump(txn, others, out);
	ok(lt_kv_cursor_open(txn, LT_T_ENTRY, &c));
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		size_t at;

		lt_buf_framed(out, k);
		at = out->len;
		lt_buf_framed(out, v);
		memset(out->data + at + 4 + 1, 0, 8);
	}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	assert_int_equal(rc, LT_E_NOTFOUND);
}

static void
fill(struct fix *f)
{
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position;
	unsigned i;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	enrol(f, txn, &f->hub, "hub", WORLD_PROVINCE);
	enrol(f, txn, &f->node, "node", WORLD_UNIT);
	ok(lt_registry_load(txn, NULL, 0, &f->reg, NULL));
	for (i = 0; i < SETS; i++) {
		char value[8];

		(void)snprintf(value, sizeof(value), "gt%u", i);
		f->before = f->feed;
		world_append(txn, seal(f, &f->feed, i, value), &f->arena, &cs, &position);
		assert_int_equal(position, ENROLLED + 1 + i);
	}
	ok(lt_kv_commit(txn));
	for (i = 1; i <= ENROLLED + SETS; i++)
		f->sealed[i] = composed(f, i);
	dump(f, &f->whole);
}

static void
reopen(struct fix *f, bool node)
{
	lt_repairer_close(f->repairer);
	f->o.self = node ? &f->node.id : &f->hub.id;
	f->o.may_open = node ? may_open : NULL;
	ok(lt_repairer_open(&f->o, &f->repairer));
}

static int
setup_kind(void **state, bool disk)
{
	static const struct lt_writer_options manual = { .manual = true };
	struct fix *f = calloc(1, sizeof(*f));

	env_open(&f->env, disk);
	lt_arena_init(&f->arena, (size_t)512 << 20);
	author_init(&f->hub, 1);
	author_init(&f->node, 2);
	feed_init(&f->hub_feed, &f->hub, "_", LT_LANE_NORMAL, 1);
	feed_init(&f->feed, &f->node, WORLD_UNIT, LT_LANE_NORMAL, 5);
	ok(lt_catalogue_builtin(&f->builtin));
	fill(f);
	ok(lt_writer_start(f->env.kv, &manual, &f->writer));
	f->fed = world_fed();
	memset(f->peer.b, 9, LT_ID_LEN);
	f->o = (struct lt_repairer_options){ .log = f->env.kv,
		.writer = f->writer,
		.federation = &f->fed,
		.clock = lt_clock_system(),
		.registry = registry,
		.ctx = f };
	reopen(f, false);
	*state = f;
	return 0;
}

static int
setup_mem(void **state)
{
	return setup_kind(state, false);
}

static int
setup_disk(void **state)
{
	return setup_kind(state, true);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_repairer_close(f->repairer);
	lt_writer_stop(f->writer);
	env_close(&f->env);
	lt_registry_unref(f->reg);
	lt_catalogue_unref(f->builtin);
	lt_arena_fini(&f->arena);
	lt_buf_fini(&f->whole);
	free(f);
	return 0;
}

/* ---- doing ---- */

static void
look(struct fix *f)
{
	bool done = false;
	unsigned steps;

	lt_repairer_look(f->repairer, false);
	for (steps = 0; !done && steps < 100; steps++)
		ok(lt_repairer_look_step(f->repairer, &done));
	assert_true(done);
}

static struct lt_repair_status
status(struct fix *f)
{
	struct lt_repair_status st;

	lt_repairer_status(f->repairer, &st);
	return st;
}

static size_t
wants(struct fix *f, struct lt_repair_want out[LT_REPAIR_WANTS_MAX])
{
	return lt_repairer_wants(f->repairer, &f->peer, NULL, NULL, out, LT_REPAIR_WANTS_MAX);
}

static int
take(struct fix *f, struct lt_slice bytes)
{
	struct lt_err err = { "" };

	return lt_repairer_take(f->repairer, &f->peer, bytes, &err);
}

/* Of another peer, which was not asked. */
static int
give(struct fix *f, struct lt_slice bytes)
{
	f->peer.b[2]++;
	return take(f, bytes);
}

/* What a peer with everything answers to what it is asked for, over and over; how often something was put back. */
static unsigned
serve(struct fix *f)
{
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	unsigned put = 0, rounds;
	struct lt_changeset cs;
	size_t n, i, k;

	for (rounds = 0; (n = wants(f, w)) != 0; rounds++) {
		assert_true(rounds < 50);
		for (i = 0; i < n; i++)
			for (k = 1; k <= ENROLLED + SETS; k++) {
				ok(lt_changeset_parse(f->sealed[k], &f->arena, &cs, NULL));
				if (cs.seq == w[i].seq && lt_unit_eq(&cs.unit, &w[i].unit) &&
				    lt_feed_id_cmp(&cs.feed, &w[i].feed) == 0)
					put += take(f, f->sealed[k]) == LT_OK;
			}
	}
	return put;
}

static void
assert_whole(struct fix *f)
{
	struct lt_buf now = { 0 };

	dump(f, &now);
	assert_true(lt_slice_eq(lt_buf_slice(&now), lt_buf_slice(&f->whole)));
	lt_buf_fini(&now);
}

/* The sums say what is there. */
static void
assert_summed(struct fix *f, unsigned table, struct lt_slice key)
{
	uint64_t n, sum, said, said_sum, damaged;
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_sums_seen(txn, table, key, &n, &sum, &damaged));
	ok(lt_kv_sums_said(txn, table, key, &said, &said_sum));
	lt_kv_abort(txn);
	assert_int_equal(damaged, 0);
	assert_int_equal(n, said);
	assert_true(sum == said_sum);
}

/* ---- damaging ---- */

struct key {
	uint8_t b[LT_KV_KEY_MAX];
	size_t len;
};

static struct lt_slice
slice(const struct key *k)
{
	return lt_slice(k->b, k->len);
}

/* Key number n of a table; false: it has fewer. */
static bool
key_at(struct fix *f, unsigned table, size_t n, struct key *out)
{
	struct lt_kv_txn *txn;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_cursor_open(txn, table, &c));
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK && n != 0; n--)
		rc = lt_kv_next(c, &k, &v);
	if (rc == LT_OK) {
		memcpy(out->b, k.data, k.len);
		out->len = k.len;
	}
	lt_kv_cursor_close(c);
	lt_kv_abort(txn);
	return rc == LT_OK;
}

static struct key
entry_key(uint64_t position)
{
	struct key k = { .len = 8 };

	lt_store_u64(k.b, position);
	return k;
}

static struct key
opening_key(uint64_t position, uint32_t change, const char *field)
{
	struct key k = entry_key(position);

	lt_store_u32(k.b + 8, change);
	memcpy(k.b + 12, field, strlen(field));
	k.len = 12 + strlen(field);
	return k;
}

static struct key
feed_key(const struct feed *feed)
{
	struct lt_log_key k = { .len = 0 };
	struct key out;

	lt_log_key_feed(&k, &feed->unit, &feed->id);
	memcpy(out.b, k.b, k.len);
	out.len = k.len;
	return out;
}

static struct key
seq_key(const struct feed *feed, uint64_t seq)
{
	struct key k = feed_key(feed);

	lt_store_u64(k.b + k.len, seq);
	k.len += 8;
	return k;
}

static void
flip(struct fix *f, unsigned table, struct key k, size_t bit)
{
	ok(lt_kv_test_flip(f->env.kv, table, slice(&k), bit, NULL));
}

static void
lose(struct fix *f, unsigned table, struct key k)
{
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_test_del_raw(txn, table, slice(&k)));
	ok(lt_kv_commit(txn));
}

/* Another value, with its checksum. */
static void
put(struct fix *f, unsigned table, struct key k, struct lt_slice v)
{
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_put(txn, table, slice(&k), v));
	ok(lt_kv_commit(txn));
}

/* ---- tests ---- */

/* Nothing is damaged: nothing is wanted, and nothing is written. */
static void
nothing(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];

	look(f);
	assert_int_equal(wants(f, w), 0);
	assert_int_equal(take(f, f->sealed[3]), LT_E_NOTFOUND);
	assert_int_equal(status(f).refused, 0);
	assert_int_equal(status(f).mended, 0);
	assert_whole(f);
}

/* Each row of entry, seq and opening, each with a bit the other way (of its value, of its checksum) and gone: afterwards
 * not a byte of the store differs. But of a seed, which is not put back: the openings have their salts. */
static void
every_row(void **state)
{
	static const unsigned tables[] = { LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING };
	struct fix *f = *state;
	struct key k;
	size_t t, n, how, nbits, rows = 0;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (n = 0; key_at(f, tables[t], n, &k); n++) {
			if (tables[t] == LT_T_OPENING && k.len == 12)
				continue;
			for (how = 0; how < 3; how++) {
				assert_int_equal(lt_kv_test_flip(f->env.kv, tables[t], slice(&k),
						     SIZE_MAX, &nbits),
				    LT_E_INVALID);
				if (how == 2)
					lose(f, tables[t], k);
				else
					flip(f, tables[t], k, how == 0 ? nbits / 3 : nbits - 9);
				look(f);
				if (tables[t] == LT_T_SEQ)
					assert_int_equal(status(f).wanted, 0);
				else
					assert_int_equal(serve(f), 1);
				assert_int_equal(status(f).wanted, 0);
				assert_whole(f);
				rows++;
			}
		}
	assert_true(rows > 3 * (ENROLLED + SETS) * 2);
	assert_int_equal(status(f).refused, 0);
}

/* Runs of entries, the last ones among them, with and without their numbers: each proves the next. */
static void
runs(void **state)
{
	struct fix *f = *state;
	uint64_t from, to, i;
	unsigned how;

	for (how = 0; how < 4; how++)
		for (from = 1; from <= ENROLLED + SETS; from++)
			for (to = from; to <= ENROLLED + SETS; to++) {
				/* With no number and none behind, what stood there is anyone's guess. */
				if (how >= 2 && (to != from || to == ENROLLED + SETS))
					continue;
				for (i = from; i <= to; i++) {
					if (how % 2 == 0)
						flip(f, LT_T_ENTRY, entry_key(i), 77);
					else
						lose(f, LT_T_ENTRY, entry_key(i));
					if (how == 2)
						flip(f, LT_T_SEQ,
						    i <= ENROLLED ? seq_key(&f->hub_feed, i)
								  : seq_key(&f->feed, i - ENROLLED),
						    3);
					if (how == 3)
						lose(f, LT_T_SEQ,
						    i <= ENROLLED
							? seq_key(&f->hub_feed, i)
							: seq_key(&f->feed, i - ENROLLED));
				}
				look(f);
				assert_int_equal(status(f).lost, how >= 2 ? 1 : 0);
				assert_int_equal(serve(f), to - from + 1);
				assert_int_equal(status(f).lost, 0);
				assert_int_equal(status(f).wanted, 0);
				assert_whole(f);
			}
}

/* Two peers' answers cross: the second finds nothing to do. */
static void
two_peers(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];

	flip(f, LT_T_ENTRY, entry_key(4), 300);
	look(f);
	assert_int_equal(wants(f, w), 1);
	assert_int_equal(w[0].position, 4);
	assert_int_equal(w[0].seq, 2);
	assert_int_equal(w[0].parts, LT_REPAIR_ENTRY);
	assert_false(w[0].aside);
	/* Not twice of the same; of another. */
	assert_int_equal(wants(f, w), 0);
	f->peer.b[0]++;
	assert_int_equal(wants(f, w), 1);
	/* The line broke. */
	lt_repairer_unasked(f->repairer, &f->peer);
	assert_int_equal(wants(f, w), 1);
	ok(take(f, f->sealed[4]));
	assert_int_equal(take(f, f->sealed[4]), LT_E_NOTFOUND);
	assert_int_equal(status(f).repaired, 1);
	assert_int_equal(status(f).refused, 0);
	assert_whole(f);
}

/* A peer that answered is not asked again, whatever becomes of the line; after the next look it is. */
static void
asked_once(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	struct lt_buf b = { 0 };
	struct lt_slice bent;
	unsigned i;

	flip(f, LT_T_ENTRY, entry_key(4), 300);
	look(f);
	assert_int_equal(wants(f, w), 1);
	lt_buf_put_slice(&b, f->sealed[4]);
	b.data[b.len - 1] ^= 1; /* of the last opening */
	assert_int_equal(take(f, keep(f, &b)), LT_E_BADHASH);
	lt_repairer_unasked(f->repairer, &f->peer);
	assert_int_equal(wants(f, w), 0);
	/* Who was not asked and lies takes nobody's place. */
	b = (struct lt_buf){ 0 };
	lt_buf_put_slice(&b, f->sealed[4]);
	b.data[b.len - 1] ^= 1;
	bent = keep(f, &b);
	for (i = 1; i < 2 * LT_REPAIR_ASKED_MAX; i++)
		assert_int_equal(give(f, bent), LT_E_BADHASH);
	for (i = 1; i < LT_REPAIR_ASKED_MAX; i++) {
		f->peer.b[1]++;
		assert_int_equal(wants(f, w), 1);
	}
	f->peer.b[1]++;
	assert_int_equal(wants(f, w), 0);
	look(f);
	assert_int_equal(wants(f, w), 1);
}

/* What did not stand there: garbage, another signature, and what the author himself signed in the same place. */
static void
liars(void **state)
{
	struct fix *f = *state;
	struct lt_buf b = { 0 };
	struct feed other = f->before;
	struct lt_slice fork = seal(f, &other, SETS - 1, "khac");
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	struct author stranger;
	uint64_t last = ENROLLED + SETS;

	flip(f, LT_T_ENTRY, entry_key(last), 300);
	look(f);
	assert_int_equal(wants(f, w), 1);
	assert_int_equal(give(f, lt_slice_str("khong phai")), LT_E_INVALID);
	assert_int_equal(give(f, lt_slice(NULL, 0)), LT_E_INVALID);
	assert_int_equal(give(f, fork), LT_E_BADHASH);
	author_init(&stranger, 2);
	other = f->before;
	stranger.key = f->hub.key; /* signs in the node's name with another key */
	other.author = &stranger;
	assert_int_equal(give(f, seal(f, &other, SETS - 1, "gt4")), LT_E_BADSIG);
	assert_int_equal(status(f).refused, 4);
	assert_int_equal(status(f).wanted, 1);
	/* Nothing but the head said so. Without it the chain before it fits both, and neither is taken. */
	lt_buf_fini(&b);
	flip(f, LT_T_FEED, feed_key(&f->feed), 100);
	look(f);
	assert_int_equal(wants(f, w), 1);
	assert_int_equal(give(f, fork), LT_E_GAP);
	assert_int_equal(give(f, f->sealed[last]), LT_E_GAP);
	flip(f, LT_T_FEED, feed_key(&f->feed), 100); /* back */
	assert_int_equal(give(f, fork), LT_E_BADHASH);
	ok(give(f, f->sealed[last]));
	assert_whole(f);
}

/* The author signed a second branch on the change-set before two that are damaged. What comes before fits both branches; only what comes
 * behind tells which of them stood here. */
static void
second_branch(void **state)
{
	struct fix *f = *state;
	struct feed other = f->feed;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	struct lt_slice fork[2];
	struct lt_changeset cs;
	unsigned how;

	ok(lt_changeset_parse(f->sealed[ENROLLED + 1], &f->arena, &cs, NULL));
	other.seq = 1;
	other.hash = cs.hash;
	other.stamp = cs.stamp;
	fork[0] = seal(f, &other, 1, "khac");
	fork[1] = seal(f, &other, 2, "nua");
	for (how = 0; how < 2; how++) {
		flip(f, LT_T_ENTRY, entry_key(ENROLLED + 2), 300);
		flip(f, LT_T_ENTRY, entry_key(ENROLLED + 3), 300);
		look(f);
		assert_int_equal(wants(f, w), 2);
		assert_int_equal(give(f, fork[0]), LT_E_GAP);
		/* Both of them, each naming the one before: */
		if (how == 1) {
			assert_int_equal(give(f, fork[1]), LT_E_GAP);
			assert_int_equal(give(f, fork[0]), LT_E_GAP);
			look(f);
		}
		assert_int_equal(status(f).wanted, 2);
		assert_int_equal(status(f).repaired, 2 * how);
		f->peer.b[1]++;
		/* The other branch comes last: it does not take the place of what may be the true one. */
		if (how == 1) {
			assert_int_equal(give(f, f->sealed[ENROLLED + 3]), LT_E_GAP);
			assert_int_equal(give(f, fork[1]), LT_E_GAP);
			assert_int_equal(give(f, fork[0]), LT_E_GAP);
			ok(give(f, f->sealed[ENROLLED + 2]));
		}
		assert_int_equal(serve(f), 2 - how);
		assert_int_equal(status(f).wanted, 0);
		assert_whole(f);
	}
}

/* A run is missing, and a peer with the author's key signs branch after branch of it, each time it may answer again: what it says does not
 * take up all the room there is for what may be true. */
static void
one_liar(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	const struct lt_id liar = { { 77 } }, honest = f->peer;
	struct lt_changeset cs;
	unsigned top, i;

	for (i = 1; i <= SETS; i++)
		flip(f, LT_T_ENTRY, entry_key(ENROLLED + i), 300);
	look(f);
	f->peer = liar;
	assert_int_equal(wants(f, w), SETS);
	/* Each answer that is kept lets peers speak again of those before. */
	for (top = 1; top <= SETS; top++)
		for (i = top; i != 0; i--) {
			struct feed other = f->feed;
			char value[16];

			memset(&cs, 0, sizeof(cs));
			if (i > 1)
				ok(lt_changeset_parse(
				    f->sealed[ENROLLED + i - 1], &f->arena, &cs, NULL));
			other.seq = cs.seq;
			other.hash = cs.hash;
			other.stamp = cs.stamp;
			(void)snprintf(value, sizeof(value), "khac %u", top);
			assert_int_equal(take(f, seal(f, &other, SETS + top, value)), LT_E_GAP);
		}
	f->peer = honest;
	assert_int_equal(serve(f), SETS);
	assert_whole(f);
}

/* Nothing but the signature would say that it stood there: the only one of its feed, with nothing behind it and no head. */
static void
no_link(void **state)
{
	struct fix *f = *state;
	struct feed lone;
	struct lt_slice bytes;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position;

	feed_init(&lone, &f->node, WORLD_UNIT, LT_LANE_BULK, 1);
	bytes = seal(f, &lone, 9, "mot");
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, bytes, &f->arena, &cs, &position);
	ok(lt_kv_commit(txn));
	flip(f, LT_T_ENTRY, entry_key(position), 300);
	flip(f, LT_T_FEED, feed_key(&lone), 9);
	look(f);
	assert_int_equal(status(f).wanted, 1);
	assert_int_equal(take(f, bytes), LT_E_GAP);
	assert_int_equal(status(f).wanted, 1);
	assert_int_equal(status(f).repaired, 0);
}

/* Without openings only the entry comes back, and they stay wanted, of others; leaves are no values. */
static void
without_openings(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	struct lt_opening leaf[6];
	struct lt_changeset cs;
	struct lt_buf bare = { 0 }, leaves = { 0 };
	struct key k = opening_key(4, 0, "p");

	ok(lt_changeset_parse(f->sealed[4], &f->arena, &cs, NULL));
	assert_int_equal(cs.nopening, 6);
	ok(lt_changeset_strip(&cs, &bare));
	memcpy(leaf, cs.opening, sizeof(leaf));
	leaf[1].withheld = true;
	assert_string_equal(leaf[1].name, "p");
	ok(lt_changeset_compose(lt_buf_slice(&bare), 6, leaf, &leaves, NULL));

	flip(f, LT_T_ENTRY, entry_key(4), 300);
	flip(f, LT_T_OPENING, k, 20);
	look(f);
	assert_int_equal(wants(f, w), 1);
	ok(take(f, lt_buf_slice(&bare)));
	assert_int_equal(status(f).wanted, 1);
	assert_int_equal(wants(f, w), 0); /* it has answered */
	/* Not once more, whatever it is. */
	assert_int_equal(take(f, f->sealed[4]), LT_E_NOTFOUND);
	assert_int_equal(give(f, lt_buf_slice(&bare)), LT_E_REFUSED);
	assert_int_equal(give(f, lt_buf_slice(&leaves)), LT_E_REFUSED);
	f->peer.b[0]++;
	assert_int_equal(wants(f, w), 1);
	assert_int_equal(w[0].parts, LT_REPAIR_OPENINGS);
	ok(take(f, f->sealed[4]));
	assert_int_equal(status(f).wanted, 0);
	assert_whole(f);
	lt_buf_fini(&bare);
	lt_buf_fini(&leaves);
}

/* A node takes a leaf for what it may not see, and no other; what came without openings is not missed, but of its own feeds. */
static void
nodes(void **state)
{
	struct fix *f = *state;
	struct lt_opening leaf[6];
	struct lt_changeset cs;
	struct lt_buf bare = { 0 }, leaves = { 0 };
	struct key k = opening_key(4, 0, "p");
	enum lt_opening_state s;
	struct lt_kv_txn *txn;
	unsigned own;
	size_t i;

	ok(lt_changeset_parse(f->sealed[4], &f->arena, &cs, NULL));
	ok(lt_changeset_strip(&cs, &bare));
	memcpy(leaf, cs.opening, sizeof(leaf));
	leaf[1].withheld = true;
	ok(lt_changeset_compose(lt_buf_slice(&bare), 6, leaf, &leaves, NULL));
	f->o.may_open = may_open;
	for (own = 0; own < 2; own++) {
		static const struct lt_id other = { { 77 } };

		reopen(f, true);
		lt_repairer_close(f->repairer);
		f->o.self = own ? &f->node.id : &other;
		ok(lt_repairer_open(&f->o, &f->repairer));
		flip(f, LT_T_OPENING, k, 20);
		look(f);
		f->open_all = true;
		assert_int_equal(give(f, lt_buf_slice(&leaves)), LT_E_REFUSED);
		f->open_all = false;
		ok(give(f, lt_buf_slice(&leaves)));
		ok(lt_kv_begin_read(f->env.kv, &txn));
		ok(lt_opening_state(txn, 4, 0, "p", &s));
		lt_kv_abort(txn);
		assert_int_equal(s, LT_OPENING_WITHHELD);
		assert_summed(f, LT_T_OPENING, slice(&k));
		/* What it may not see is not kept, though a peer gave it; and what it may see again is. */
		flip(f, LT_T_OPENING, k, 20);
		look(f);
		ok(give(f, f->sealed[4]));
		ok(lt_kv_begin_read(f->env.kv, &txn));
		ok(lt_opening_state(txn, 4, 0, "p", &s));
		lt_kv_abort(txn);
		assert_int_equal(s, LT_OPENING_WITHHELD);
		assert_summed(f, LT_T_OPENING, slice(&k));
		flip(f, LT_T_OPENING, k, 20);
		f->open_all = true;
		look(f);
		ok(give(f, f->sealed[4]));
		assert_summed(f, LT_T_OPENING, slice(&k));
		/* All gone: */
		for (i = 0; i < cs.nopening; i++)
			lose(f, LT_T_OPENING,
			    opening_key(4, cs.opening[i].change, cs.opening[i].name));
		if (!own) /* it is not put back */
			lose(f, LT_T_OPENING, opening_key(4, UINT32_MAX, ""));
		look(f);
		assert_int_equal(status(f).wanted, own);
		if (!own) {
			/* As before, for the other turn. */
			lt_repairer_close(f->repairer);
			f->o.self = &f->node.id;
			ok(lt_repairer_open(&f->o, &f->repairer));
			look(f);
		}
		assert_int_equal(serve(f), 1);
		assert_int_equal(status(f).wanted, 0);
		assert_summed(f, LT_T_OPENING, slice(&k));
	}
	lt_buf_fini(&bare);
	lt_buf_fini(&leaves);
}

static void
lose_openings(struct fix *f, uint64_t position, bool counted)
{
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	size_t i;

	ok(lt_changeset_parse(f->sealed[position], &f->arena, &cs, NULL));
	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (i = 0; i <= cs.nopening; i++) {
		struct key k = i == cs.nopening ? opening_key(position, UINT32_MAX, "")
						: opening_key(position, cs.opening[i].change,
						      cs.opening[i].name);

		int rc = counted ? lt_kv_del(txn, LT_T_OPENING, slice(&k))
				 : lt_kv_test_del_raw(txn, LT_T_OPENING, slice(&k));

		/* A seed is not put back. */
		assert_true(rc == LT_OK || (rc == LT_E_NOTFOUND && i == cs.nopening));
	}
	ok(lt_kv_commit(txn));
}

static bool
is_summed(struct fix *f, unsigned table, struct lt_slice key)
{
	uint64_t n, sum, said, said_sum, damaged;
	struct lt_kv_txn *txn;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_sums_seen(txn, table, key, &n, &sum, &damaged));
	ok(lt_kv_sums_said(txn, table, key, &said, &said_sum));
	lt_kv_abort(txn);
	return damaged == 0 && n == said && sum == said_sum;
}

/* At a node a change-set that came without openings gets them with its entry, while others of the same segment have lost some: in
 * every order the sums say at the end what is there. What was lost whole is not taken for what never came. */
static void
came_without(void **state)
{
	static const struct lt_id other = { { 77 } };
	struct fix *f = *state;
	struct key k = opening_key(4, 0, "p");
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	unsigned how;

	f->open_all = true;
	f->o.may_open = may_open;
	for (how = 0; how < 4; how++) {
		lt_repairer_close(f->repairer);
		f->o.self = &other;
		ok(lt_repairer_open(&f->o, &f->repairer));
		/* 5 came without, or, at the end, has lost them. */
		lose_openings(f, 5, how != 3);
		flip(f, LT_T_ENTRY, entry_key(5), 99);
		if (how != 3) {
			lose(f, LT_T_OPENING, k);
			lose(f, LT_T_OPENING, opening_key(4, 0, "q"));
			lose(f, LT_T_OPENING, opening_key(4, 1, "p"));
			lose(f, LT_T_OPENING, opening_key(4, 1, "q"));
			if (how == 2)
				flip(f, LT_T_OPENING, opening_key(6, 0, "q"), 20);
		}
		look(f);
		assert_int_equal(wants(f, w), how == 3 ? 1 : how == 2 ? 3 : 2);
		ok(take(f, f->sealed[how == 1 ? 4 : 5]));
		if (how != 3)
			ok(take(f, f->sealed[how == 1 ? 5 : 4]));
		if (how == 2)
			ok(take(f, f->sealed[6]));
		assert_int_equal(status(f).wanted, 0);
		assert_summed(f, LT_T_OPENING, slice(&k));
	}
	/* 4 lost them whole, 6 came without as many, and gets them. */
	lose_openings(f, 6, true);
	lose_openings(f, 4, false);
	flip(f, LT_T_ENTRY, entry_key(6), 99);
	look(f);
	ok(take(f, f->sealed[6]));
	assert_int_equal(status(f).wanted, 0);
	assert_false(is_summed(f, LT_T_OPENING, slice(&k)));
}

static void
erase(struct fix *f, uint64_t position, const char *field)
{
	struct lt_erased e = { .index = 0, .nfield = 1, .field = &field };
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t removed;

	ok(lt_changeset_parse(f->sealed[position], &f->arena, &cs, NULL));
	e.feed = cs.feed;
	e.seq = cs.seq;
	e.hash8 = lt_load_u64(cs.hash.b);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_erase(txn, &cs.unit, &e, 1, &removed));
	ok(lt_kv_commit(txn));
	assert_int_equal(removed, 1);
	dump(f, &f->whole);
}

/* What is erased stays so: a peer's value becomes its leaf. A value that is here all the same goes, without a peer. */
static void
erased(void **state)
{
	struct fix *f = *state;
	struct key p = opening_key(4, 0, "p");
	struct lt_slice v;
	struct lt_buf value = { 0 };
	struct lt_kv_txn *txn;
	unsigned how;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_get(txn, LT_T_OPENING, slice(&p), &v));
	lt_buf_put_slice(&value, v);
	lt_kv_abort(txn);
	erase(f, 4, "p");
	for (how = 0; how < 3; how++) {
		if (how != 1)
			flip(f, LT_T_ENTRY, entry_key(4), 99);
		if (how != 0)
			flip(f, LT_T_OPENING, p, 50);
		look(f);
		assert_int_equal(serve(f), 1); /* with the value, as sealed */
		assert_whole(f);
	}
	put(f, LT_T_OPENING, p, lt_buf_slice(&value));
	look(f);
	assert_int_equal(status(f).wanted, 0);
	assert_int_equal(status(f).mended, 1);
	assert_whole(f);
	assert_summed(f, LT_T_OPENING, slice(&p));
	lt_buf_fini(&value);
}

/* An act of erasure that was lost with what was noted of it is obeyed again when it comes back. */
static void
act_put_back(void **state)
{
	struct fix *f = *state;
	const char *field = "p";
	struct lt_erased e = { .nfield = 1, .field = &field };
	struct feed acts;
	struct lt_changeset cs;
	struct lt_buf dots = { 0 }, b = { 0 };
	struct lt_slice bytes;
	enum lt_opening_state is;
	struct lt_kv_txn *txn;
	uint64_t position;
	struct lt_draft d;

	ok(lt_changeset_parse(f->sealed[4], &f->arena, &cs, NULL));
	e.feed = cs.feed;
	e.seq = cs.seq;
	e.hash8 = lt_load_u64(cs.hash.b);
	ok(lt_erased_pack(&e, 1, &dots));
	d = world_draft(&f->arena, LT_ERASE_COLLECTION, "1",
	    fs_bytes(&f->arena, "dots", dots.data, dots.len), NULL);
	feed_init(&acts, &f->hub, WORLD_UNIT, LT_LANE_NORMAL, 9);
	feed_seal(&acts, STAMP(40), &d, 1, &b);
	bytes = keep(f, &b);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	world_append(txn, bytes, &f->arena, &cs, &position);
	ok(lt_kv_commit(txn));
	flip(f, LT_T_ENTRY, entry_key(position), 99);
	look(f);
	assert_int_equal(status(f).wanted, 1);
	ok(take(f, bytes));
	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_opening_state(txn, 4, 0, "p", &is));
	assert_int_equal(is, LT_OPENING_ERASED);
	ok(lt_opening_state(txn, 4, 0, "q", &is));
	assert_int_equal(is, LT_OPENING_HERE);
	lt_kv_abort(txn);
	lt_buf_fini(&dots);
}

/* More is damaged than is asked for at a time, and nobody has any of it: each look goes on behind the one before, entries among them. */
static void
more_than_wanted(void **state)
{
	enum { MORE = LT_REPAIR_WANTS_MAX + 40 };
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	static bool asked[MORE];
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position;
	unsigned looks;
	size_t i, n, all = 0;

	memset(asked, 0, sizeof(asked));
	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (i = 0; i < MORE; i++) {
		world_append(
		    txn, seal(f, &f->feed, 100 + (unsigned)i, "x"), &f->arena, &cs, &position);
		assert_int_equal(position, ENROLLED + SETS + 1 + i);
	}
	ok(lt_kv_commit(txn));
	for (i = 0; i < MORE; i++) {
		position = ENROLLED + SETS + 1 + i;
		if (i == MORE / 2 || i == MORE - 2)
			flip(f, LT_T_ENTRY, entry_key(position), 99);
		else
			flip(f, LT_T_OPENING, opening_key(position, 0, "p"), 50);
	}
	for (looks = 0; looks < 2; looks++) {
		look(f);
		assert_true(status(f).more);
		n = wants(f, w);
		assert_true(n != 0);
		for (i = 0; i < n; i++) {
			assert_in_range(w[i].position, ENROLLED + SETS + 1, ENROLLED + SETS + MORE);
			asked[w[i].position - ENROLLED - SETS - 1] = true;
		}
	}
	for (i = 0; i < MORE; i++)
		all += asked[i];
	assert_int_equal(all, MORE);
	look(f);
	assert_int_equal(wants(f, w), LT_REPAIR_WANTS_MAX); /* from the beginning again */
}

/* A seed that cannot be read goes, and the sums with it; a sound one stays. */
static void
seeds(void **state)
{
	struct fix *f = *state;
	struct key k = opening_key(4, UINT32_MAX, ""), other = opening_key(5, UINT32_MAX, "");
	struct lt_kv_txn *txn;
	struct lt_slice v;

	flip(f, LT_T_OPENING, k, 7);
	look(f);
	assert_int_equal(status(f).mended, 1);
	assert_int_equal(status(f).wanted, 0);
	ok(lt_kv_begin_read(f->env.kv, &txn));
	assert_int_equal(lt_kv_get(txn, LT_T_OPENING, slice(&k), &v), LT_E_NOTFOUND);
	ok(lt_kv_get(txn, LT_T_OPENING, slice(&other), &v));
	lt_kv_abort(txn);
	assert_summed(f, LT_T_OPENING, slice(&k));
	look(f);
	assert_int_equal(status(f).mended, 1);
}

/* Two seeds and an opening of one segment. */
static void
seeds_and_values(void **state)
{
	struct fix *f = *state;
	struct key k = opening_key(4, UINT32_MAX, "");

	flip(f, LT_T_OPENING, k, 7);
	flip(f, LT_T_OPENING, opening_key(6, UINT32_MAX, ""), 7);
	flip(f, LT_T_OPENING, opening_key(5, 0, "q"), 7);
	look(f);
	assert_int_equal(status(f).mended, 2);
	assert_int_equal(serve(f), 1);
	assert_summed(f, LT_T_OPENING, slice(&k));
	look(f);
	assert_int_equal(status(f).wanted, 0);
}

/* The seed goes with a checksum that is another than was counted, while an opening beside it is damaged, or missing. */
static void
seed_checksum(void **state)
{
	struct fix *f = *state;
	struct key k = opening_key(4, UINT32_MAX, ""), o = opening_key(5, 0, "q");
	size_t nbits;
	unsigned how;

	for (how = 0; how < 3; how++) {
		k = opening_key(4 + how, UINT32_MAX, "");
		assert_int_equal(
		    lt_kv_test_flip(f->env.kv, LT_T_OPENING, slice(&k), SIZE_MAX, &nbits),
		    LT_E_INVALID);
		flip(f, LT_T_OPENING, k, nbits - 9);
		if (how == 2)
			lose(f, LT_T_OPENING, o);
		else
			flip(f, LT_T_OPENING, o, how == 0 ? 7 : 20);
		look(f);
		assert_int_equal(status(f).mended, 1 + how);
		assert_int_equal(serve(f), 1);
		assert_int_equal(status(f).wanted, 0);
		assert_summed(f, LT_T_OPENING, slice(&k));
	}
}

/* A head: that of another, alone, and exactly; never one's own, nor one of two. */
static void
heads(void **state)
{
	struct fix *f = *state;
	struct key theirs = feed_key(&f->feed), ours = feed_key(&f->hub_feed);
	unsigned how, judged;

	for (judged = 0; judged < 2; judged++) {
		for (how = 0; how < 2; how++) {
			if (how == 0)
				flip(f, LT_T_FEED, theirs, 100);
			else
				lose(f, LT_T_FEED, theirs);
			look(f);
			assert_whole(f);
		}
		/* Judged up to 2. */
		if (judged == 0) {
			const struct lt_judgement fine = { 0 };
			struct lt_kv_txn *txn;

			ok(lt_kv_begin_write(f->env.kv, &txn));
			ok(lt_feed_log_judge(
			    txn, &f->feed.unit, &f->feed.id, 1, ENROLLED + 1, STAMP(0), &fine));
			ok(lt_feed_log_judge(
			    txn, &f->feed.unit, &f->feed.id, 2, ENROLLED + 2, STAMP(1), &fine));
			ok(lt_kv_commit(txn));
			dump(f, &f->whole);
		}
	}
	assert_int_equal(status(f).mended, 4);
	flip(f, LT_T_FEED, ours, 100);
	look(f);
	assert_int_equal(status(f).mended, 4);
	flip(f, LT_T_FEED, theirs, 100);
	look(f);
	assert_int_equal(status(f).mended, 4);
	flip(f, LT_T_FEED, ours, 100); /* back */
	look(f);
	assert_int_equal(status(f).mended, 5);
	assert_whole(f);
	/* Of a head that says less than there is nothing is known. */
	lose(f, LT_T_FEED, theirs);
	lose(f, LT_T_ENTRY, entry_key(ENROLLED + SETS));
	look(f);
	assert_int_equal(status(f).mended, 5);
	reopen(f, true);
	look(f);
	assert_int_equal(status(f).mended, 0);
}

/* A table whose count is wrong. A row of no change-set that verifies stays, as somebody wrote it: of what is sound nothing is touched.
 * One that does not goes, and nothing else. */
static void
counts(void **state)
{
	struct fix *f = *state;
	struct key k = opening_key(4, 7, "p"); /* of no change */
	struct lt_kv_txn *txn;
	struct lt_slice v;

	put(f, LT_T_OPENING, k, lt_slice_str("khong ai can den"));
	look(f);
	assert_int_equal(status(f).mended, 0);
	assert_int_equal(status(f).wanted, 0);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_get(txn, LT_T_OPENING, slice(&k), &v));
	ok(lt_kv_del(txn, LT_T_OPENING, slice(&k)));
	ok(lt_kv_test_put_raw(txn, LT_T_OPENING, slice(&k), lt_slice_str("khong ai can den")));
	ok(lt_kv_commit(txn));
	look(f);
	assert_int_equal(status(f).mended, 1);
	assert_int_equal(status(f).wanted, 0);
	assert_whole(f);
}

/* ---- rows under keys that are none ---- */

/* Take the row out of its place and put its bytes, as they are, under another key. The sums notice neither. */
static void
move(struct fix *f, unsigned table, struct key from, struct key to, int by)
{
	struct lt_kv_txn *txn;
	struct lt_slice stored;
	struct lt_buf b = { 0 };

	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_kv_test_get_raw(txn, table, slice(&from), &stored));
	/* The key and the value lie behind one another: one has what the other loses. */
	if (by < 0)
		lt_buf_put(&b, from.b + to.len, from.len - to.len);
	lt_buf_put(
	    &b, stored.data + (by > 0 ? (size_t)by : 0), stored.len - (by > 0 ? (size_t)by : 0));
	while (b.len < stored.len)
		lt_buf_u8(&b, 0x5a); /* of the row that stands behind it in the page */
	ok(lt_kv_test_del_raw(txn, table, slice(&from)));
	ok(lt_kv_test_put_raw(txn, table, slice(&to), lt_slice(b.data, stored.len)));
	ok(lt_kv_commit(txn));
	lt_buf_fini(&b);
}

/* What LMDB makes of a row when a bit of its key's length is the other way. */
static struct key
garble(struct fix *f, unsigned table, struct key k, int by)
{
	struct lt_kv_txn *txn;
	struct lt_slice stored;
	struct key to = k;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_test_get_raw(txn, table, slice(&k), &stored));
	if (by > 0) {
		assert_true(k.len + (size_t)by <= sizeof(to.b) && stored.len >= (size_t)by);
		memcpy(to.b + k.len, stored.data, (size_t)by);
	}
	to.len = by > 0 ? k.len + (size_t)by : k.len - (size_t)-by;
	lt_kv_abort(txn);
	move(f, table, k, to, by);
	return to;
}

static bool
is_here(struct fix *f, unsigned table, struct key k)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	int rc;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	rc = lt_kv_test_get_raw(txn, table, slice(&k), &v);
	lt_kv_abort(txn);
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	return rc == LT_OK;
}

/* Looks and answers until nothing more is put right, as the scrubber has them. */
static void
repair(struct fix *f)
{
	uint64_t put;
	unsigned rounds = 0;

	do {
		put = status(f).repaired + status(f).mended;
		look(f);
		(void)serve(f);
		assert_true(rounds++ < 8);
	} while (put != status(f).repaired + status(f).mended);
	assert_int_equal(status(f).wanted, 0);
}

static const int lengths[] = { 1, -1, 4, -4 };

/* Each row of entry, seq and opening, under a key of another length: it comes back in its place, and what lay beside it is gone. Not a
 * byte of the store differs then, the sums among them. (But of a seed, which does not come back.) */
static void
garbled_rows(void **state)
{
	static const unsigned tables[] = { LT_T_ENTRY, LT_T_SEQ, LT_T_OPENING };
	struct fix *f = *state;
	struct key k, garbage;
	size_t t, n, how, rows = 0;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (n = 0; key_at(f, tables[t], n, &k); n++)
			for (how = 0; how < sizeof(lengths) / sizeof(lengths[0]); how++) {
				if (tables[t] == LT_T_OPENING && k.len == 12)
					continue;
				garbage = garble(f, tables[t], k, lengths[how]);
				assert_false(is_here(f, tables[t], k));
				repair(f);
				assert_false(is_here(f, tables[t], garbage));
				assert_whole(f);
				rows++;
			}
	assert_true(rows > 4 * (ENROLLED + SETS) * 2);
	assert_int_equal(status(f).refused, 0);
}

/* A seed's: it goes, out of the count as well, and the openings have their salts. */
static void
garbled_seeds(void **state)
{
	struct fix *f = *state;
	struct key k = opening_key(4, UINT32_MAX, ""), garbage;
	struct lt_buf seed = { 0 };
	struct lt_kv_txn *txn;
	struct lt_slice v;
	size_t how;

	ok(lt_kv_begin_read(f->env.kv, &txn));
	ok(lt_kv_get(txn, LT_T_OPENING, slice(&k), &v));
	lt_buf_put_slice(&seed, v);
	lt_kv_abort(txn);
	for (how = 0; how < 2; how++) {
		garbage = garble(f, LT_T_OPENING, k, lengths[how]);
		repair(f);
		assert_false(is_here(f, LT_T_OPENING, garbage));
		assert_summed(f, LT_T_OPENING, slice(&k));
		put(f, LT_T_OPENING, k, lt_buf_slice(&seed));
		assert_whole(f);
	}
	/* An opening of its segment is missing as well. */
	garbage = garble(f, LT_T_OPENING, k, 1);
	(void)garble(f, LT_T_OPENING, opening_key(5, 0, "q"), 1);
	repair(f);
	assert_false(is_here(f, LT_T_OPENING, garbage));
	assert_summed(f, LT_T_OPENING, slice(&k));
	put(f, LT_T_OPENING, k, lt_buf_slice(&seed));
	assert_whole(f);
	lt_buf_fini(&seed);
}

/* The last entry's: nothing may take its place before it is back, so it stays until then. */
static void
garbled_end(void **state)
{
	struct fix *f = *state;
	uint64_t last = ENROLLED + SETS, at = 0;
	struct key garbage = garble(f, LT_T_ENTRY, entry_key(last), 1);
	struct lt_kv_txn *txn;
	unsigned i;

	for (i = 0; i < 3; i++)
		look(f);
	assert_int_equal(status(f).wanted, 1);
	assert_int_equal(status(f).mended, 0);
	assert_true(is_here(f, LT_T_ENTRY, garbage));
	ok(lt_kv_begin_read(f->env.kv, &txn));
	assert_int_equal(lt_feed_log_last(txn, &at), LT_E_CORRUPT);
	lt_kv_abort(txn);
	repair(f);
	assert_whole(f);
	/* A number's stays as long as there is a position that none leads to. */
	garbage = garble(f, LT_T_SEQ, seq_key(&f->feed, 2), 1);
	lose(f, LT_T_ENTRY, entry_key(ENROLLED + 2));
	for (i = 0; i < 3; i++)
		look(f);
	assert_true(is_here(f, LT_T_SEQ, garbage));
	repair(f);
	assert_whole(f);
	/* Its number is gone as well: the head still says that there is one more. */
	garbage = garble(f, LT_T_ENTRY, entry_key(last), 1);
	lose(f, LT_T_SEQ, seq_key(&f->feed, SETS));
	repair(f);
	assert_true(is_here(f, LT_T_ENTRY, garbage));
}

/* Entry, number and all openings of one change-set at once, in the middle and at the end. */
static void
garbled_whole(void **state)
{
	struct fix *f = *state;
	uint64_t position;
	struct key k;
	size_t n;

	for (position = ENROLLED + 1; position <= ENROLLED + SETS; position++) {
		for (n = 0; key_at(f, LT_T_OPENING, n, &k); n++)
			if (k.len != 12 && lt_load_u64(k.b) == position && k.b[k.len - 1] == 'p')
				(void)garble(f, LT_T_OPENING, k, n % 2 == 0 ? 1 : -1);
		(void)garble(f, LT_T_ENTRY, entry_key(position), 1);
		if (position != ENROLLED + SETS)
			(void)garble(f, LT_T_SEQ, seq_key(&f->feed, position - ENROLLED), -1);
		repair(f);
		assert_whole(f);
	}
}

/* The head of another's feed: made anew, and only then what it was goes. This machine's own is not made anew, so what is left of it stays. */
static void
garbled_heads(void **state)
{
	struct fix *f = *state;
	struct key theirs = feed_key(&f->feed), ours = feed_key(&f->hub_feed), garbage;
	size_t how;

	for (how = 0; how < sizeof(lengths) / sizeof(lengths[0]); how++) {
		garbage = garble(f, LT_T_FEED, theirs, lengths[how]);
		repair(f);
		assert_false(is_here(f, LT_T_FEED, garbage));
		assert_whole(f);
	}
	garbage = garble(f, LT_T_FEED, ours, 1);
	repair(f);
	assert_true(is_here(f, LT_T_FEED, garbage));
	assert_false(is_here(f, LT_T_FEED, ours));
}

/* Keys of the right length that no change-set can have: position 0 and far behind the end, a number behind its feed's head or 0, another
 * lane. And an opening under the name of no field, or of a change-set that has no such change. Where one bit makes the difference the
 * look at the pages says so, and nothing is written: then it is not certain that nothing else was moved. */
static void
moved_rows(void **state)
{
	struct fix *f = *state;
	const uint64_t end = ENROLLED + SETS;
	struct key last = entry_key(end), first = entry_key(1), number = seq_key(&f->feed, SETS),
		   opening = opening_key(4, 0, "p"), lane = number;
	const struct {
		unsigned table;
		struct key from, to;
		bool one_bit;
	} rows[] = {
		{ LT_T_ENTRY, first, entry_key(0), true },
		{ LT_T_ENTRY, last, entry_key(end + 16), true },
		{ LT_T_ENTRY, last, entry_key(end + 24), false },
		{ LT_T_ENTRY, last, entry_key(((uint64_t)3 << 40) + end), false },
		{ LT_T_SEQ, number, seq_key(&f->feed, SETS + 1), false },
		{ LT_T_SEQ, number, seq_key(&f->feed, ((uint64_t)1 << 60) + SETS), true },
		{ LT_T_SEQ, seq_key(&f->feed, 1), seq_key(&f->feed, 0), true },
		{ LT_T_OPENING, opening, opening_key(4, 0, "r"), true },
		{ LT_T_OPENING, opening, opening_key(4, 0, "s"), false },
		{ LT_T_OPENING, opening, opening_key(4, 7, "p"), false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reopen(f, false); /* its pages are looked at again */
		move(f, rows[i].table, rows[i].from, rows[i].to, 0);
		if (rows[i].one_bit && f->env.disk) {
			look(f);
			assert_true(status(f).pages_broken);
			move(f, rows[i].table, rows[i].to, rows[i].from, 0);
			assert_whole(f);
			continue;
		}
		repair(f);
		assert_false(is_here(f, rows[i].table, rows[i].to));
		assert_whole(f);
	}
	lane.b[lane.len - 8 - 9] = 9;
	reopen(f, false);
	move(f, LT_T_SEQ, number, lane, 0);
	repair(f);
	assert_false(is_here(f, LT_T_SEQ, lane));
	assert_whole(f);
}

/* What may stay: a row that verifies, whatever its key; what nobody gives back. */
static void
garbled_others(void **state)
{
	static const unsigned tables[] = { LT_T_JUDGEMENT, LT_T_RECEIPT, LT_T_QUARANTINE,
		LT_T_LOCAL, LT_T_REQUEST, LT_T_REQUEST_AT, LT_T_ENROL, LT_T_FRESH, LT_T_HELD,
		LT_T_OVERLAY };
	struct fix *f = *state;
	struct key k = { .len = 8 + 4 }, long_key = entry_key(3), garbage;
	struct lt_slice v = lt_slice_str("mot gia tri");
	size_t t, how;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (how = 0; how < 2; how++) {
			struct lt_kv_txn *txn;

			memset(k.b, 'k', k.len);
			put(f, tables[t], k, v);
			garbage = garble(f, tables[t], k, lengths[how]);
			repair(f);
			assert_true(is_here(f, tables[t], garbage));
			assert_int_equal(status(f).mended, 0);
			ok(lt_kv_begin_write(f->env.kv, &txn));
			ok(lt_kv_test_del_raw(txn, tables[t], slice(&garbage)));
			ok(lt_kv_commit(txn));
		}
	long_key.b[long_key.len++] = 0;
	put(f, LT_T_ENTRY, long_key, v);
	look(f);
	assert_int_equal(status(f).mended, 0);
	assert_true(is_here(f, LT_T_ENTRY, long_key));
}

/* More of them at once than are dropped at a time: the looks after it find the rest. And the writer has no room for it now. */
static void
garbled_many(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *txn;
	struct key k;
	unsigned i;

	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (i = 0; i < 2 * LT_REPAIR_KEYS_MAX + 5; i++) {
		k = i % 2 == 0 ? entry_key(3) : seq_key(&f->feed, 2);
		k.b[k.len++] = (uint8_t)(i / 2);
		ok(lt_kv_test_put_raw(txn, i % 2 == 0 ? LT_T_ENTRY : LT_T_SEQ, slice(&k),
		    lt_slice_str("khong ai can den")));
	}
	ok(lt_kv_commit(txn));
	look(f);
	assert_int_equal(status(f).mended, LT_REPAIR_KEYS_MAX);
	repair(f);
	assert_int_equal(status(f).mended, 2 * LT_REPAIR_KEYS_MAX + 5);
	assert_whole(f);
}

/* An entry that verifies, but is not the one that was there. */
static void
another_entry(void **state)
{
	struct fix *f = *state;
	uint64_t position;
	struct lt_kv_txn *txn;
	struct lt_buf b = { 0 };
	struct lt_slice v;

	for (position = 1; position <= ENROLLED + SETS; position++) {
		struct key from = entry_key(position == 1 ? 2 : position - 1);

		ok(lt_kv_begin_read(f->env.kv, &txn));
		ok(lt_kv_get(txn, LT_T_ENTRY, slice(&from), &v));
		lt_buf_clear(&b);
		lt_buf_put_slice(&b, v);
		lt_kv_abort(txn);
		put(f, LT_T_ENTRY, entry_key(position), lt_buf_slice(&b));
		look(f);
		assert_int_equal(serve(f), 1);
		assert_whole(f);
	}
	lt_buf_fini(&b);
}

/* Both branches keep their rows, each under its own name. */
static void
branches(void **state)
{
	struct fix *f = *state;
	struct feed other = f->before, aside;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position, last = ENROLLED + SETS;
	unsigned how;

	reopen(f, true);
	f->open_all = true;
	ok(lt_kv_begin_write(f->env.kv, &txn));
	ok(lt_feed_log_set_aside(txn, &f->feed.unit, &f->feed.id, SETS));
	world_append(txn, seal(f, &other, SETS - 1, "khac"), &f->arena, &cs, &position);
	f->sealed[0] = cs.raw;
	world_append(txn, seal(f, &other, SETS, "nua"), &f->arena, &cs, &position);
	ok(lt_kv_commit(txn));
	aside = f->feed;
	aside.id = lt_feed_aside(&aside.id);
	dump(f, &f->whole);
	for (how = 0; how < 2; how++) {
		struct lt_repair_want w[LT_REPAIR_WANTS_MAX];

		flip(f, LT_T_ENTRY, entry_key(how == 0 ? last : last + 1), 99);
		look(f);
		assert_int_equal(wants(f, w), 1);
		assert_int_equal(w[0].aside, how == 0);
		assert_int_equal(w[0].position, how == 0 ? last : last + 1);
		assert_int_equal(lt_feed_id_cmp(&w[0].feed, &f->feed.id), 0);
		/* The other branch's change-set of the same number, as well signed. */
		assert_int_equal(give(f, f->sealed[how == 0 ? 0 : last]), LT_E_BADHASH);
		ok(give(f, f->sealed[how == 0 ? last : 0]));
		assert_whole(f);
		/* The number of the branch that counts, which the next one names. Nothing names the last one of the other. */
		flip(f, LT_T_SEQ, seq_key(how == 0 ? &aside : &f->feed, SETS), 9);
		look(f);
		if (how == 0)
			flip(f, LT_T_SEQ, seq_key(&aside, SETS), 9);
		assert_whole(f);
	}
}

/* Each write fails in its turn: nothing is changed, and what is wanted stays so. */
static int
fail_at(void *ctx, uint64_t ordinal)
{
	return ordinal == *(const uint64_t *)ctx ? LT_E_NOSPACE : LT_OK;
}

static void
faults(void **state)
{
	struct fix *f = *state;
	uint64_t at;
	struct lt_buf was = { 0 }, now = { 0 };
	struct lt_kv_txn *txn;
	int rc = LT_E_NOSPACE;

	flip(f, LT_T_ENTRY, entry_key(4), 300);
	flip(f, LT_T_OPENING, opening_key(4, 0, "p"), 20);
	look(f);
	assert_int_equal(status(f).wanted, 1);
	for (at = 1; rc != LT_OK; at++) {
		const unsigned tables[] = { LT_T_SEQ, LT_T_FEED, LT_T_SUMS, LT_T_COUNT };

		assert_true(at < 50);
		lt_buf_clear(&was);
		lt_buf_clear(&now);
		ok(lt_kv_begin_read(f->env.kv, &txn));
		env_dump(txn, tables, &was);
		lt_kv_abort(txn);
		lt_kv_set_fault(f->env.kv, fail_at, &at);
		rc = take(f, f->sealed[4]);
		lt_kv_set_fault(f->env.kv, NULL, NULL);
		if (rc == LT_OK)
			break;
		assert_int_equal(rc, LT_E_NOSPACE);
		assert_int_equal(status(f).wanted, 1);
		ok(lt_kv_begin_read(f->env.kv, &txn));
		env_dump(txn, tables, &now);
		lt_kv_abort(txn);
		assert_true(lt_slice_eq(lt_buf_slice(&was), lt_buf_slice(&now)));
	}
	assert_true(at > 3);
	assert_int_equal(status(f).refused, 0);
	assert_whole(f);
	lt_buf_fini(&was);
	lt_buf_fini(&now);
}

/* Pages that do not hold together: nothing is written, whatever a peer gives; when they do again, it is. */
static void
pages(void **state)
{
	struct fix *f = *state;
	char path[128];
	uint8_t page[LT_KV_KEY_MAX];
	size_t at, broken = 0;
	bool done = false;
	int fd;

	ok(lt_kv_look_pages(f->env.kv, NULL, NULL));
	(void)snprintf(path, sizeof(path), "%s/data.mdb", f->env.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	flip(f, LT_T_ENTRY, entry_key(4), 300);
	ok(lt_kv_look_pages(f->env.kv, NULL, NULL)); /* a value is no page */
	/* The number of a page that is in use: some are free. */
	for (at = 2; broken == 0; at++) {
		assert_int_equal(pread(fd, page, 16, (off_t)(at * 4096)), 16);
		page[0] ^= 1;
		assert_int_equal(pwrite(fd, page, 16, (off_t)(at * 4096)), 16);
		if (lt_kv_look_pages(f->env.kv, NULL, NULL) == LT_E_CORRUPT)
			broken = at;
		page[0] ^= 1;
		if (broken == 0)
			assert_int_equal(pwrite(fd, page, 16, (off_t)(at * 4096)), 16);
	}
	lt_repairer_look(f->repairer, true);
	ok(lt_repairer_look_step(f->repairer, &done));
	assert_true(done);
	assert_true(status(f).pages_broken);
	assert_int_equal(status(f).wanted, 0);
	assert_int_equal(take(f, f->sealed[4]), LT_E_UNAVAILABLE);
	assert_int_equal(pwrite(fd, page, 16, (off_t)(broken * 4096)), 16);
	ok(close(fd));
	lt_repairer_look(f->repairer, true);
	look(f);
	assert_false(status(f).pages_broken);
	assert_int_equal(serve(f), 1);
	assert_whole(f);
}

/* ---- the scrubber ---- */

static int
scrub_world(void *ctx, struct lt_scrub_world *out)
{
	struct fix *f = ctx;

	*out = (struct lt_scrub_world){ .catalogue = lt_catalogue_ref(f->builtin),
		.registry = lt_registry_ref(f->reg) };
	return LT_OK;
}

/* Until it is so; a machine that does something else may take long. */
static void
until(struct fix *f, struct lt_scrubber *s, bool (*is_so)(struct fix *f, struct lt_scrubber *s))
{
	const struct timespec pause = { 0, 10000000 };
	unsigned tries;

	for (tries = 0; !is_so(f, s); tries++) {
		assert_true(tries < 12000);
		(void)nanosleep(&pause, NULL);
	}
}

static bool
is_wanted(struct fix *f, struct lt_scrubber *s)
{
	(void)s;
	return status(f).wanted == 1 && !status(f).looking;
}

static struct lt_scrub_status scrubbed;

/* Nothing of what the log says of feeds and openings is found any more. */
static bool
is_clean(struct fix *f, struct lt_scrubber *s)
{
	bool asked, bad = false;
	size_t i;

	(void)f;
	lt_scrubber_status(s, &scrubbed, &asked);
	for (i = 0; i < scrubbed.nfinding; i++)
		bad |= scrubbed.finding[i].table == LT_T_ENTRY ||
		       scrubbed.finding[i].table == LT_T_OPENING;
	return !asked && !bad && scrubbed.round_began_ms == 0;
}

/* A round that finds damage begins a look; what a peer then gives begins a round, after which nothing is found any more. */
static void
scrubber(void **state)
{
	struct fix *f = *state;
	struct lt_scrub_options so = { .log = f->env.kv,
		.derived = f->env.kv,
		.federation = &f->fed,
		.author = &f->node.id,
		.clock = lt_clock_system(),
		.world = scrub_world,
		.ctx = f };
	struct lt_scrubber_options o = { .scrub = &so, .percent = 100 };
	struct lt_scrubber *s;

	lt_writer_stop(f->writer);
	ok(lt_writer_start(f->env.kv, NULL, &f->writer));
	f->o.writer = o.writer = f->writer;
	reopen(f, false);
	o.repair = f->repairer;
	flip(f, LT_T_ENTRY, entry_key(4), 300);
	ok(lt_scrubber_start(&o, &s));
	lt_scrubber_ask(s, true);
	until(f, s, is_wanted);
	assert_false(is_clean(f, s));
	assert_int_equal(serve(f), 1);
	until(f, s, is_clean);
	assert_true(scrubbed.rounds >= 2);
	lt_scrubber_stop(s);
}

/* Somebody reads the pages: a child of one of our threads. */
static bool
is_reading(struct fix *f, struct lt_scrubber *s)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *d;
	char path[300], c;
	bool found = false;
	int fd;

	(void)f;
	(void)s;
	assert_non_null(tasks);
	while (!found && (d = readdir(tasks)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/children", d->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		found = fd >= 0 && read(fd, &c, 1) == 1;
		if (fd >= 0)
			(void)close(fd);
	}
	(void)closedir(tasks);
	return found;
}

/* The scrubber stops in the middle of a look at pages that takes longer than anybody waits, and of them nothing is known then. */
static void
stopped(void **state)
{
	struct fix *f = *state;
	struct lt_scrub_options so = { .log = f->env.kv,
		.derived = f->env.kv,
		.federation = &f->fed,
		.author = &f->node.id,
		.clock = lt_clock_system(),
		.world = scrub_world,
		.ctx = f };
	struct lt_scrubber_options o = { .scrub = &so, .percent = 100 };
	struct lt_scrubber *s;
	char path[128], aside[128];
	bool done = true;

	lt_writer_stop(f->writer);
	ok(lt_writer_start(f->env.kv, NULL, &f->writer));
	f->o.writer = o.writer = f->writer;
	reopen(f, false);
	o.repair = f->repairer;
	flip(f, LT_T_ENTRY, entry_key(4), 300);
	/* Whoever reads a pipe waits for somebody who writes. */
	(void)snprintf(path, sizeof(path), "%s/data.mdb", f->env.dir);
	(void)snprintf(aside, sizeof(aside), "%s/aside", f->env.dir);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	ok(lt_scrubber_start(&o, &s));
	lt_scrubber_ask(s, true);
	until(f, s, is_reading);
	lt_scrubber_stop(s);
	assert_false(is_reading(f, NULL));
	assert_false(status(f).pages_broken);
	assert_int_equal(lt_repairer_look_step(f->repairer, &done), LT_E_CLOSED);
	assert_false(done);
	assert_int_equal(rename(aside, path), 0);
	ok(lt_kv_look_pages(f->env.kv, NULL, NULL));
}

/* What nobody wants costs nothing, and what says nothing little. The writer reads a segment of openings once for a change-set, and
 * the heads once, however far back the one that is missing was judged. */
static void
costs(void **state)
{
	enum { LITTLE = 8 * 1024, BACK = 20 };
	struct fix *f = *state;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	uint64_t position;
	unsigned i;

	look(f);
	allocated = 0;
	assert_int_equal(take(f, f->sealed[4]), LT_E_NOTFOUND);
	assert_int_equal(allocated, 0);
	flip(f, LT_T_ENTRY, entry_key(4), 300);
	flip(f, LT_T_OPENING, opening_key(4, 0, "p"), 20);
	flip(f, LT_T_OPENING, opening_key(4, 1, "q"), 20);
	look(f);
	allocated = 0;
	assert_int_equal(give(f, lt_slice_str("khong phai")), LT_E_INVALID);
	assert_in_range(allocated, 0, LITTLE);
	walks = 0;
	ok(give(f, f->sealed[4]));
	assert_int_equal(walks, 1);
	/* Who has said what it has to say costs nothing either. */
	flip(f, LT_T_ENTRY, entry_key(4), 300);
	look(f);
	assert_int_equal(take(f, f->sealed[3]), LT_E_NOTFOUND);
	assert_int_equal(take(f, lt_slice(f->sealed[4].data, 40)), LT_E_INVALID);
	assert_int_equal(serve(f), 1);
	assert_whole(f);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	for (i = 0; i < BACK; i++)
		world_append(txn, seal(f, &f->feed, 100 + i, "x"), &f->arena, &cs, &position);
	ok(lt_kv_commit(txn));
	dump(f, &f->whole);
	flip(f, LT_T_FEED, feed_key(&f->feed), 100);
	walks = 0;
	look(f);
	assert_int_equal(walks, 1);
	assert_int_equal(status(f).mended, 1);
	assert_whole(f);
}

/* Steps of a look that fail one after the other end it: the scrub's rounds go on. Nothing is written while the pages
 * were not looked at. */
static void
failing(void **state)
{
	struct fix *f = *state;
	struct lt_repair_want w[LT_REPAIR_WANTS_MAX];
	char path[128], aside[128];
	bool done = false;
	unsigned steps, ended = 0;

	flip(f, LT_T_ENTRY, entry_key(4), 300);
	look(f);
	assert_int_equal(status(f).wanted, 1);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", f->env.dir);
	(void)snprintf(aside, sizeof(aside), "%s/aside", f->env.dir);
	/* The pages cannot be looked at. */
	assert_int_equal(rename(path, aside), 0);
	lt_repairer_look(f->repairer, true);
	for (steps = 0; !done && steps < 100; steps++)
		(void)lt_repairer_look_step(f->repairer, &done);
	assert_true(done);
	assert_true(steps > 1);
	assert_false(status(f).looking);
	assert_false(status(f).pages_broken);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(wants(f, w), 0);
	assert_int_equal(take(f, f->sealed[4]), LT_E_UNAVAILABLE);
	look(f);
	assert_int_equal(wants(f, w), 1);
	/* As soon as they are doubted: */
	lt_repairer_look(f->repairer, true);
	f->peer.b[1]++;
	assert_int_equal(wants(f, w), 0);
	assert_int_equal(take(f, f->sealed[4]), LT_E_UNAVAILABLE);
	look(f);
	assert_int_equal(wants(f, w), 1);
	/* The log cannot be read. */
	lt_repairer_look(f->repairer, false);
	ok(lt_repairer_look_step(f->repairer, &done));
	done = false;
	for (steps = 0; !done && steps < 100; steps++) {
		lt_kv_test_read_fails = EIO;
		ended = (unsigned)lt_repairer_look_step(f->repairer, &done);
	}
	lt_kv_test_read_fails = 0;
	assert_int_equal(ended, LT_OK);
	assert_true(done);
	assert_true(steps > 2);
	look(f);
	assert_int_equal(serve(f), 1);
	assert_whole(f);
}

#define both(fn) \
	cmocka_unit_test_setup_teardown(fn, setup_mem, teardown), \
	    cmocka_unit_test_setup_teardown(fn, setup_disk, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both(nothing),
		both(every_row),
		both(runs),
		both(two_peers),
		both(asked_once),
		both(liars),
		both(second_branch),
		both(one_liar),
		both(no_link),
		both(without_openings),
		both(nodes),
		both(came_without),
		both(erased),
		both(act_put_back),
		both(more_than_wanted),
		both(seeds),
		both(seeds_and_values),
		both(seed_checksum),
		both(heads),
		both(counts),
		both(garbled_rows),
		both(garbled_seeds),
		both(garbled_end),
		both(garbled_whole),
		both(garbled_heads),
		both(garbled_others),
		both(garbled_many),
		both(moved_rows),
		both(another_entry),
		both(branches),
		both(faults),
		both(costs),
		both(scrubber),
		cmocka_unit_test_setup_teardown(stopped, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(failing, setup_disk, teardown),
		cmocka_unit_test_setup_teardown(pages, setup_disk, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
