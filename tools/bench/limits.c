#include "tools/bench/limits.h"
#include "proto/base/file.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_BYTES ((size_t)64 << 30)
#define TABLES 5
#define MARK "-261120-" /* in every key of a dossier of BENCH_DAY, before its number */

/* ---- signatures and messages ---- */

struct reading {
	const struct bench_feeds *f;
	size_t sets; /* of a feed */
	bool verify, decode, hash;
};

/* What a signature covers it covers by hashes: one of every change; of every opening one for its salt and one for its leaf.
 * (The trees above them are left out.) */
static void
hash_fields(const Ltpb__ChangeSet *m)
{
	uint8_t salt[16], hash[32];
	size_t i;

	for (i = 0; i < m->n_change; i++)
		(void)crypto_generichash(
		    hash, sizeof(hash), m->change[i].data, m->change[i].len, NULL, 0);
	for (i = 0; m->openings != NULL && i < m->openings->n_field; i++) {
		const ProtobufCBinaryData *f = &m->openings->field[i]->field_set;

		(void)crypto_generichash(salt, sizeof(salt), f->data, f->len, hash, 16);
		(void)crypto_generichash(hash, sizeof(hash), f->data, f->len, salt, sizeof(salt));
	}
}

static int
decode_fields(const Ltpb__ChangeSet *m, struct lt_arena *arena)
{
	size_t i;

	for (i = 0; i < m->n_change; i++)
		if (ltpb__change__unpack(&arena->pb, m->change[i].len, m->change[i].data) == NULL)
			return LT_E_INVALID;
	for (i = 0; m->openings != NULL && i < m->openings->n_field; i++)
		if (ltpb__field_set__unpack(&arena->pb, m->openings->field[i]->field_set.len,
			m->openings->field[i]->field_set.data) == NULL)
			return LT_E_INVALID;
	return ltpb__header__unpack(&arena->pb, m->header.len, m->header.data) == NULL
		   ? LT_E_INVALID
		   : LT_OK;
}

/* The two byte strings that a signature needs are the first two of the message: tag, length, bytes. */
static int
head_of(struct lt_slice set, struct lt_slice *header, struct lt_slice *signature)
{
	struct lt_reader r;

	lt_reader_init(&r, set);
	(void)lt_read_u8(&r);
	*header = lt_read_bytes(&r, (size_t)lt_read_varint(&r));
	(void)lt_read_u8(&r);
	*signature = lt_read_bytes(&r, (size_t)lt_read_varint(&r));
	return r.err;
}

static int
read_one(void *ctx, size_t i)
{
	const struct reading *rd = ctx;
	const struct bench_feed *feed = &rd->f->feed[i / rd->sets];
	struct lt_slice set = feed->set[i % rd->sets], header, signature;
	struct lt_arena arena;
	Ltpb__ChangeSet *m;
	int rc = LT_OK;

	if (rd->verify) {
		rc = head_of(set, &header, &signature);
		if (rc == LT_OK)
			rc = lt_sign_verify(
			    feed->node->sign.pk, LT_TAG_CHANGESET, header, signature);
	}
	if (rc != LT_OK || !rd->decode)
		return rc;
	lt_arena_init(&arena, lt_arena_cap_for(set.len) * 2);
	m = ltpb__change_set__unpack(&arena.pb, set.len, set.data);
	rc = m == NULL ? LT_E_INVALID : decode_fields(m, &arena);
	if (rc == LT_OK && rd->hash)
		hash_fields(m);
	lt_arena_fini(&arena);
	return rc;
}

static int
read_all(struct bench *b, const struct bench_feeds *f, const struct reading *what, double *seconds,
    double *cpu_us)
{
	struct reading rd = { f, f->sets / f->nfeed, what->verify, what->decode, what->hash };
	int64_t from = bench_now_ns(), cpu = bench_cpu_ns();
	int rc = bench_parallel(b, f->sets, read_one, &rd);

	*seconds = bench_seconds(bench_now_ns() - from);
	*cpu_us = bench_cpu_us(cpu, f->changes);
	return rc == LT_OK ? rc
			   : lt_err_set(&b->err, rc, "the limit of verifying: %s", lt_strerror(rc));
}

int
bench_limit_verify(struct bench *b, const struct bench_feeds *f, struct bench_limits *out)
{
	static const struct reading signatures = { .verify = true }, messages = { .decode = true },
				    these = { .verify = true, .decode = true },
				    all = { .verify = true, .decode = true, .hash = true };
	double verify = 1, decode = 1, both = 1, whole = 1;
	int rc = read_all(b, f, &signatures, &verify, &out->verify_us);

	if (rc == LT_OK)
		rc = read_all(b, f, &messages, &decode, &out->decode_us);
	if (rc == LT_OK)
		rc = read_all(b, f, &these, &both, &out->both_us);
	if (rc == LT_OK)
		rc = read_all(b, f, &all, &whole, &out->whole_us);
	out->verify = (double)f->sets / verify;
	out->decode = (double)f->changes / decode;
	out->both = (double)f->changes / both;
	out->whole = (double)f->changes / whole;
	return rc;
}

/* ---- LMDB ---- */

static int
open_env(struct bench *b, const char *dir, unsigned flags, MDB_env **out)
{
	int rc = mdb_env_create(out);

	if (rc == 0)
		rc = mdb_env_set_mapsize(*out, MAP_BYTES);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(*out, 64);
	if (rc == 0)
		rc = mdb_env_open(*out, dir, flags | MDB_NOTLS, 0600);
	return rc == 0 ? LT_OK : lt_err_set(&b->err, LT_E_IO, "%s: %s", dir, mdb_strerror(rc));
}

int
bench_last_txn(struct bench *b, const char *dir, uint64_t *txn)
{
	MDB_env *env = NULL;
	MDB_envinfo info;
	int rc = open_env(b, dir, MDB_RDONLY, &env);

	if (rc == LT_OK && mdb_env_info(env, &info) == 0)
		*txn = info.me_last_txnid;
	if (env != NULL)
		mdb_env_close(env);
	return rc;
}

/* In the order in which the hub would get them: one of each feed, again and again. */
static int
append_all(MDB_env *env, const struct bench_feeds *f, double per_commit)
{
	size_t sets = f->sets / f->nfeed, i;
	double due = per_commit;
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc == 0)
		rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	for (i = 0; rc == 0 && i < sets * f->nfeed; i++) {
		struct lt_slice s = f->feed[i % f->nfeed].set[i / f->nfeed];
		uint8_t number[8];
		MDB_val k = { 8, number }, v = { s.len, (void *)(uintptr_t)s.data };

		lt_store_u64(number, i + 1);
		rc = mdb_put(txn, dbi, &k, &v, MDB_APPEND);
		if (rc != 0 || (double)(i + 1) < due)
			continue;
		due += per_commit;
		rc = mdb_txn_commit(txn);
		txn = NULL;
		if (rc == 0)
			rc = mdb_txn_begin(env, NULL, 0, &txn);
	}
	if (rc == 0) {
		rc = mdb_txn_commit(txn);
		txn = NULL;
	}
	if (txn != NULL)
		mdb_txn_abort(txn);
	return rc;
}

int
bench_limit_append(
    struct bench *b, const struct bench_feeds *f, double per_commit, struct bench_limits *out)
{
	char dir[BENCH_PATH];
	MDB_env *env = NULL;
	int64_t from, cpu;
	int rc;

	bench_path(b, "limit-append", dir);
	rc = lt_dir_make(dir, 0700, &b->err);
	if (rc == LT_OK)
		rc = open_env(b, dir, 0, &env);
	cpu = bench_cpu_ns();
	from = bench_now_ns();
	if (rc == LT_OK && append_all(env, f, per_commit) != 0)
		rc = lt_err_set(&b->err, LT_E_IO, "the limit of appending: LMDB failed");
	out->append = (double)f->changes / bench_seconds(bench_now_ns() - from);
	out->append_us = bench_cpu_us(cpu, f->changes);
	if (env != NULL)
		mdb_env_close(env);
	bench_remove(dir);
	return rc;
}

/* ---- the derived tables' rows ---- */

static const char *const tables[TABLES] = { "record", "shown", "index", "history", "digest" };

struct row {
	uint64_t off; /* key, then value */
	uint32_t klen, vlen;
	uint32_t table;
	uint32_t number; /* of the dossier in its commune, from 1; 0: none */
};

struct rows {
	size_t n, cap;
	struct row *row; /* table by table, keys rising in each */
	struct lt_buf bytes;
	size_t nunit;
	uint32_t last; /* highest number */
};

/* "<agency>-261120-0042": the number, wherever in the key. */
static uint32_t
number_in(const MDB_val *k)
{
	const char *p = memmem(k->mv_data, k->mv_size, MARK, sizeof(MARK) - 1);
	const char *end = (const char *)k->mv_data + k->mv_size;
	uint32_t n = 0;

	if (p == NULL)
		return 0;
	for (p += sizeof(MARK) - 1; p < end && *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uint32_t)(*p - '0');
	return n;
}

static int
keep_row(struct rows *r, unsigned table, const MDB_val *k, const MDB_val *v)
{
	struct row *more;

	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 65536 : r->cap * 2;
		more = realloc(r->row, r->cap * sizeof(*more));
		if (more == NULL)
			return LT_E_NOMEM;
		r->row = more;
	}
	r->row[r->n] = (struct row){ r->bytes.len, (uint32_t)k->mv_size, (uint32_t)v->mv_size,
		table, number_in(k) };
	if (r->row[r->n].number > r->last)
		r->last = r->row[r->n].number;
	r->n++;
	lt_buf_put(&r->bytes, k->mv_data, k->mv_size);
	lt_buf_put(&r->bytes, v->mv_data, v->mv_size);
	return r->bytes.err;
}

static int
load_table(struct rows *r, MDB_txn *txn, unsigned table)
{
	MDB_cursor *c;
	MDB_dbi dbi;
	MDB_val k, v;
	int rc, kept = LT_OK;

	if (mdb_dbi_open(txn, tables[table], 0, &dbi) != 0 || mdb_cursor_open(txn, dbi, &c) != 0)
		return LT_E_NOTFOUND;
	rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
	while (rc == 0 && kept == LT_OK) {
		kept = keep_row(r, table, &k, &v);
		rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(c);
	return kept != LT_OK ? kept : rc == MDB_NOTFOUND ? LT_OK : LT_E_IO;
}

static int
load_rows(struct bench *b, const char *derived, struct rows *r)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	unsigned i;
	int rc = open_env(b, derived, MDB_RDONLY, &env);

	if (rc == LT_OK && mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0)
		rc = LT_E_IO;
	for (i = 0; rc == LT_OK && i < TABLES; i++)
		rc = load_table(r, txn, i);
	if (txn != NULL)
		mdb_txn_abort(txn);
	if (env != NULL)
		mdb_env_close(env);
	return rc;
}

/* One environment of `shards`, filled in batches. */
struct putting {
	const struct rows *r;
	unsigned shards, batches;
	MDB_env *env[64];
};

static bool
is_mine(const struct putting *p, const struct row *w, size_t shard, unsigned batch)
{
	uint64_t of =
	    w->number == 0 ? p->batches - 1 : (uint64_t)(w->number - 1) * p->batches / p->r->last;

	return of == batch && (w->number != 0 ? w->number : w->off) % p->shards == shard;
}

static int
put_batch(
    const struct putting *p, size_t shard, unsigned batch, const struct row *const *mine, size_t n)
{
	const struct rows *r = p->r;
	MDB_dbi dbi[TABLES];
	MDB_txn *txn = NULL;
	size_t i;
	int rc = mdb_txn_begin(p->env[shard], NULL, 0, &txn);

	(void)batch;
	for (i = 0; rc == 0 && i < TABLES; i++)
		rc = mdb_dbi_open(txn, tables[i], MDB_CREATE, &dbi[i]);
	for (i = 0; rc == 0 && i < n; i++) {
		MDB_val k = { mine[i]->klen, r->bytes.data + mine[i]->off };
		MDB_val v = { mine[i]->vlen, r->bytes.data + mine[i]->off + mine[i]->klen };

		rc = mdb_put(txn, dbi[mine[i]->table], &k, &v, 0);
	}
	if (rc == 0)
		return mdb_txn_commit(txn) == 0 ? LT_OK : LT_E_IO;
	if (txn != NULL)
		mdb_txn_abort(txn);
	return LT_E_IO;
}

/* The choosing is paid by the limit as well; it is one pass over numbers in memory for each batch. */
static int
put_shard(void *ctx, size_t shard)
{
	const struct putting *p = ctx;
	const struct row **mine = calloc(p->r->n + 1, sizeof(*mine));
	unsigned batch;
	size_t i, n;
	int rc = mine == NULL ? LT_E_NOMEM : LT_OK;

	for (batch = 0; rc == LT_OK && batch < p->batches; batch++) {
		for (i = n = 0; i < p->r->n; i++)
			if (is_mine(p, &p->r->row[i], shard, batch))
				mine[n++] = &p->r->row[i];
		rc = put_batch(p, shard, batch, mine, n);
	}
	free(mine);
	return rc;
}

static int
put_all(struct bench *b, const struct rows *r, unsigned shards, unsigned batches, double *seconds,
    int64_t *cpu_ns)
{
	struct putting p = { .r = r, .shards = shards, .batches = batches };
	char dir[BENCH_PATH], name[32];
	int64_t from;
	unsigned i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < shards; i++) {
		(void)snprintf(name, sizeof(name), "limit-put-%u", i);
		bench_path(b, name, dir);
		rc = lt_dir_make(dir, 0700, &b->err);
		if (rc == LT_OK)
			rc = open_env(b, dir, 0, &p.env[i]);
	}
	*cpu_ns = -bench_cpu_ns();
	from = bench_now_ns();
	if (rc == LT_OK)
		rc = bench_parallel(b, shards, put_shard, &p);
	*seconds = bench_seconds(bench_now_ns() - from);
	*cpu_ns += bench_cpu_ns();
	for (i = 0; i < shards; i++) {
		if (p.env[i] != NULL)
			mdb_env_close(p.env[i]);
		(void)snprintf(name, sizeof(name), "limit-put-%u", i);
		bench_path(b, name, dir);
		bench_remove(dir);
	}
	return rc;
}

/* Once with a guess, then with batches of about a second by what that showed. */
static int
put_timed(struct bench *b, const struct rows *r, unsigned shards, double *seconds, int64_t *cpu_ns)
{
	int rc = put_all(b, r, shards, 1, seconds, cpu_ns);

	if (rc == LT_OK && !b->quick)
		rc = put_all(
		    b, r, shards, *seconds < 1.5 ? 1 : (unsigned)(*seconds + 0.5), seconds, cpu_ns);
	return rc;
}

static void
sizes(const struct rows *r, size_t changes, struct bench_limits *out)
{
	uint64_t bytes[TABLES] = { 0 };
	size_t i;

	for (i = 0; i < r->n; i++)
		bytes[r->row[i].table] += r->row[i].klen + r->row[i].vlen;
	out->record_bytes = (double)bytes[0] / (double)changes;
	out->shown_bytes = (double)bytes[1] / (double)changes;
	for (out->other_bytes = 0, i = 2; i < TABLES; i++)
		out->other_bytes += (double)bytes[i] / (double)changes;
}

int
bench_limit_put(
    struct bench *b, const char *derived, size_t nunit, size_t changes, struct bench_limits *out)
{
	struct rows r = { .nunit = nunit };
	unsigned shards = b->cores < 64 ? b->cores : 64;
	double seconds = 1;
	int64_t cpu = 0;
	int rc;

	lt_buf_init(&r.bytes, 0);
	rc = load_rows(b, derived, &r);
	if (rc == LT_OK && r.last == 0)
		rc = lt_err_set(&b->err, LT_E_CORRUPT, "no dossier in the derived tables");
	sizes(&r, changes, out);
	if (rc == LT_OK)
		rc = put_timed(b, &r, shards, &seconds, &cpu);
	out->put = (double)changes / seconds;
	out->put_us = (double)cpu / 1e3 / (double)changes;
	if (rc == LT_OK)
		rc = put_timed(b, &r, 1, &seconds, &cpu);
	out->put_one = (double)changes / seconds;
	out->put_one_us = (double)cpu / 1e3 / (double)changes;
	free(r.row);
	lt_buf_fini(&r.bytes);
	return rc;
}
