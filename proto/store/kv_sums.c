/* Counts and sums of what stands in a table, kept in the transaction that changes it (FORMAT.md 9.12): so that an entry that is
 * gone, or is an older one, is told from one that never was. A sum is that of the entries' checksums, so it costs no hashing. */
#include "proto/store/kv_sums.h"

#include "proto/base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16
#define SUMS_TABLE "sums"
#define BEGUN "\0" /* key of the row that says that all tables have their sums */

/* What part of a key names its segment. Every segment is a run of keys that one short transaction reads. */
enum rule {
	NONE,
	WHOLE, /* the table is one segment */
	POSITION, /* 256 positions of the log */
	LAST_BYTE, /* all but the last byte of a key that ends with a number */
	UNIT, /* framed8(unit) */
	RECORDS, /* collection and unit of a key that begins with rk */
	FIRST, /* the first byte */
	PATH, /* a name up to its second slash, or the whole */
};

static const struct {
	const char *table;
	enum rule rule;
} rules[] = {
	{ "feed", WHOLE },
	{ "opening", POSITION },
	{ "judgement", POSITION },
	{ "held", UNIT },
	{ "receipt", LAST_BYTE },
	{ "overlay", RECORDS },
	{ "quarantine", POSITION },
	{ "request", FIRST },
	{ "enrol", WHOLE },
	{ "fresh", WHOLE },
	{ "local", PATH },
};

/* What a transaction has changed in one segment. */
struct change {
	unsigned table;
	size_t off, len; /* segment, in keys */
	uint64_t count, sum; /* differences, modulo 2^64 */
};

struct lt_kv_sums {
	struct lt_buf keys;
	struct change *change; /* owned */
	size_t n, cap;
	size_t *slot; /* owned; number in change + 1, 0: free */
	size_t nslot;
	size_t last[LT_KV_TABLES_MAX]; /* the one of this table that was changed last, + 1 */
};

void
lt_kv_sums_init(struct lt_kv *kv)
{
	unsigned t;
	size_t i;

	kv->sums_table = LT_KV_TABLES_MAX;
	for (t = 0; t < kv->ntables; t++)
		if (strcmp(kv->table[t].name, SUMS_TABLE) == 0)
			kv->sums_table = t;
	for (t = 0; t < kv->ntables; t++) {
		kv->sums_rule[t] = NONE;
		for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
			if (kv->sums_table != LT_KV_TABLES_MAX &&
			    strcmp(kv->table[t].name, rules[i].table) == 0)
				kv->sums_rule[t] = (uint8_t)rules[i].rule;
	}
}

static size_t
upto(struct lt_slice key, uint8_t byte, unsigned times)
{
	size_t i;

	for (i = 0; i < key.len; i++)
		if (key.data[i] == byte && --times == 0)
			return i + 1;
	return key.len;
}

size_t
lt_kv_segment(const struct lt_kv *kv, unsigned table, struct lt_slice key)
{
	size_t n;

	switch ((enum rule)kv->sums_rule[table]) {
	case POSITION:
		return key.len < 7 ? key.len : 7;
	case LAST_BYTE:
		return key.len == 0 ? 0 : key.len - 1;
	case UNIT:
		n = key.len == 0 ? 0 : 1 + (size_t)key.data[0];
		return n < key.len ? n : key.len;
	case RECORDS:
		return upto(key, 0, 2);
	case FIRST:
		return key.len == 0 ? 0 : 1;
	case PATH:
		return upto(key, '/', 2);
	case NONE:
	case WHOLE:
		break;
	}
	return 0;
}

bool
lt_kv_summed(const struct lt_kv *kv, unsigned table)
{
	return kv->sums_rule[table] != NONE;
}

/* ---- within a transaction ---- */

static size_t
hash_of(unsigned table, struct lt_slice segment)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ table;
	size_t i;

	if (segment.data == NULL)
		return (size_t)(h ^ h >> 32);
	/* Few segments at a time: a flood of collisions would need as many segments in one transaction. */
	for (i = 0; i < segment.len; i++)
		h = (h ^ segment.data[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32);
}

static struct lt_slice
segment_of(const struct lt_kv_sums *s, const struct change *c)
{
	/* Without any key there is no place to count from. */
	return lt_slice(c->len == 0 ? NULL : s->keys.data + c->off, c->len);
}

static bool
is_of(const struct lt_kv_sums *s, const struct change *c, unsigned table, struct lt_slice segment)
{
	return c->table == table && lt_slice_eq(segment_of(s, c), segment);
}

static size_t *
slot_of(
    const struct lt_kv_sums *s, size_t *slot, size_t nslot, unsigned table, struct lt_slice segment)
{
	size_t i = hash_of(table, segment) & (nslot - 1);

	while (slot[i] != 0 && !is_of(s, &s->change[slot[i] - 1], table, segment))
		i = (i + 1) & (nslot - 1);
	return &slot[i];
}

static int
grow(struct lt_kv_sums *s)
{
	size_t nslot = s->nslot == 0 ? SLOTS_MIN : s->nslot * 2, i;
	size_t *slot = calloc(nslot, sizeof(*slot));
	struct change *wider = realloc(s->change, nslot * sizeof(*wider));

	if (wider != NULL)
		s->change = wider;
	if (slot == NULL || wider == NULL) {
		free(slot);
		return LT_E_NOMEM;
	}
	for (i = 0; i < s->n; i++)
		*slot_of(s, slot, nslot, s->change[i].table, segment_of(s, &s->change[i])) = i + 1;
	free(s->slot);
	s->slot = slot;
	s->nslot = nslot;
	return LT_OK;
}

/* The entry of a segment, made when it is the first change there. */
static int
find(struct lt_kv_sums *s, unsigned table, struct lt_slice segment, struct change **out)
{
	size_t *at, last = s->last[table];

	if (last != 0 && lt_slice_eq(segment_of(s, &s->change[last - 1]), segment)) {
		*out = &s->change[last - 1];
		return LT_OK;
	}
	if ((s->n + 1) * 4 > s->nslot * 3 && grow(s) != LT_OK)
		return LT_E_NOMEM;
	at = slot_of(s, s->slot, s->nslot, table, segment);
	if (*at == 0) {
		s->change[s->n] = (struct change){ table, s->keys.len, segment.len, 0, 0 };
		lt_buf_put_slice(&s->keys, segment);
		if (s->keys.err != LT_OK)
			return s->keys.err;
		*at = ++s->n;
	}
	s->last[table] = *at;
	*out = &s->change[*at - 1];
	return LT_OK;
}

uint64_t
lt_kv_sum_of(struct lt_slice stored)
{
	return stored.len < LT_KV_SUM_LEN ? 0
					  : lt_load_u64(stored.data + stored.len - LT_KV_SUM_LEN);
}

int
lt_kv_sums_change(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t count, uint64_t sum)
{
	struct change *c;
	int rc;

	if (count == 0 && sum == 0)
		return LT_OK;
	if (txn->sums == NULL)
		txn->sums = calloc(1, sizeof(*txn->sums));
	if (txn->sums == NULL)
		return LT_E_NOMEM;
	rc = find(txn->sums, table, lt_slice(key.data, lt_kv_segment(txn->kv, table, key)), &c);
	if (rc == LT_OK) {
		c->count += count;
		c->sum += sum;
	}
	return rc;
}

/* ---- the rows ---- */

void
lt_kv_sums_key(struct lt_buf *out, const struct lt_kv *kv, unsigned table, struct lt_slice segment)
{
	lt_buf_framed8(out, lt_slice_str(kv->table[table].name));
	lt_buf_put_slice(out, segment);
}

static int
row_get(struct lt_kv_txn *txn, struct lt_slice key, uint64_t *count, uint64_t *sum)
{
	struct lt_kv *kv = txn->kv;
	struct lt_slice stored, v;
	int rc = kv->ops->get(txn, kv->sums_table, key, &stored);

	*count = *sum = 0;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	rc = lt_kv_unseal(&kv->table[kv->sums_table], key, stored, &v);
	if (rc == LT_OK && v.len != LT_KV_SUMS_ROW)
		rc = LT_E_CORRUPT;
	if (rc == LT_OK) {
		*count = lt_load_u64(v.data);
		*sum = lt_load_u64(v.data + 8);
	}
	return rc;
}

static int
row_put(struct lt_kv_txn *txn, struct lt_slice key, struct lt_slice value)
{
	struct lt_kv *kv = txn->kv;
	int rc;

	lt_buf_clear(&kv->scratch);
	rc = lt_kv_seal(&kv->table[kv->sums_table], key, value, &kv->scratch);
	txn->gen[kv->sums_table]++;
	return rc == LT_OK ? kv->ops->put(txn, kv->sums_table, key, lt_buf_slice(&kv->scratch))
			   : rc;
}

static int
flush_one(struct lt_kv_txn *txn, const struct change *c, struct lt_buf *key)
{
	struct lt_kv *kv = txn->kv;
	uint64_t count, sum;
	uint8_t v[LT_KV_SUMS_ROW];
	int rc;

	if (c->count == 0 && c->sum == 0)
		return LT_OK;
	lt_buf_clear(key);
	lt_kv_sums_key(key, kv, c->table, segment_of(txn->sums, c));
	rc = key->err != LT_OK ? key->err : row_get(txn, lt_buf_slice(key), &count, &sum);
	/* What is damaged stays so until a scrub has said it: it must not stand in the way of a write. */
	if (rc != LT_OK)
		return rc == LT_E_CORRUPT ? LT_OK : rc;
	lt_store_u64(v, count + c->count);
	lt_store_u64(v + 8, sum + c->sum);
	if (count + c->count != 0 || sum + c->sum != 0)
		return row_put(txn, lt_buf_slice(key), lt_slice(v, sizeof(v)));
	txn->gen[kv->sums_table]++;
	rc = kv->ops->del(txn, kv->sums_table, lt_buf_slice(key));
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_kv_sums_flush(struct lt_kv_txn *txn)
{
	struct lt_kv_sums *s = txn->sums;
	struct lt_buf key = { 0 };
	size_t i;
	int rc = LT_OK;

	for (i = 0; s != NULL && rc == LT_OK && i < s->n; i++)
		rc = flush_one(txn, &s->change[i], &key);
	lt_buf_fini(&key);
	return rc;
}

void
lt_kv_sums_drop(struct lt_kv_txn *txn)
{
	if (txn->sums == NULL)
		return;
	lt_buf_fini(&txn->sums->keys);
	free(txn->sums->change);
	free(txn->sums->slot);
	free(txn->sums);
	txn->sums = NULL;
}

/* Delete the rows of a table, one after the other: a cursor does not outlive a write. */
static int
rows_delete(struct lt_kv_txn *txn, unsigned table)
{
	struct lt_kv *kv = txn->kv;
	struct lt_buf prefix = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	bool found = true;
	int rc = LT_OK;

	lt_kv_sums_key(&prefix, kv, table, lt_slice(NULL, 0));
	if (prefix.err != LT_OK)
		return prefix.err;
	while (rc == LT_OK && found) {
		rc = lt_kv_cursor_open(txn, kv->sums_table, &c);
		if (rc != LT_OK)
			break;
		rc = lt_kv_seek(c, lt_buf_slice(&prefix), &k, &v);
		found = (rc == LT_OK || rc == LT_E_CORRUPT) && k.len >= prefix.len &&
			memcmp(k.data, prefix.data, prefix.len) == 0;
		lt_kv_cursor_close(c);
		if (!found && (rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT))
			rc = LT_OK;
		if (found) {
			txn->gen[kv->sums_table]++;
			rc = kv->ops->del(txn, kv->sums_table, k);
		}
	}
	lt_buf_fini(&prefix);
	return rc;
}

int
lt_kv_sums_cleared(struct lt_kv_txn *txn, unsigned table)
{
	struct lt_kv_sums *s = txn->sums;
	size_t i;

	for (i = 0; s != NULL && i < s->n; i++)
		if (s->change[i].table == table)
			s->change[i].count = s->change[i].sum = 0;
	return rows_delete(txn, table);
}

/* ---- a store that has none yet ---- */

static int
sum_table(struct lt_kv_txn *txn, unsigned table)
{
	struct lt_kv_cursor *c;
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	int rc = lt_kv_cursor_open(txn, table, &c);

	if (rc != LT_OK)
		return rc;
	/* As stored, whether it verifies or not: that is for the scrub to say. */
	for (rc = txn->kv->ops->seek(c, lt_slice(NULL, 0), &k, &s); rc == LT_OK;
	     rc = txn->kv->ops->next(c, &k, &s)) {
		rc = lt_kv_sums_change(txn, table, k, 1, lt_kv_sum_of(s));
		if (rc != LT_OK)
			break;
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_kv_sums_remake(struct lt_kv_txn *txn, unsigned table)
{
	int rc = lt_kv_sums_cleared(txn, table);

	return rc == LT_OK ? sum_table(txn, table) : rc;
}

int
lt_kv_sums_make(struct lt_kv_txn *txn)
{
	static const uint8_t one = 1;
	struct lt_kv *kv = txn->kv;
	unsigned t;
	int rc = lt_kv_clear(txn, kv->sums_table);

	lt_kv_sums_drop(txn);
	for (t = 0; rc == LT_OK && t < kv->ntables; t++)
		if (lt_kv_summed(kv, t))
			rc = sum_table(txn, t);
	return rc == LT_OK ? row_put(txn, lt_slice(BEGUN, 1), lt_slice(&one, 1)) : rc;
}

int
lt_kv_sums_begin(struct lt_kv *kv)
{
	struct lt_kv_txn *txn;
	struct lt_slice v;
	int rc;

	if (kv->sums_table == LT_KV_TABLES_MAX || kv->read_only)
		return LT_OK;
	rc = lt_kv_begin_read(kv, &txn);
	if (rc != LT_OK)
		return rc;
	rc = kv->ops->get(txn, kv->sums_table, lt_slice(BEGUN, 1), &v);
	lt_kv_abort(txn);
	if (rc != LT_E_NOTFOUND)
		return rc;
	rc = lt_kv_begin_write(kv, &txn);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_sums_make(txn);
	if (rc == LT_OK)
		return lt_kv_commit(txn);
	lt_kv_abort(txn);
	return rc;
}

/* ---- comparing ---- */

int
lt_kv_sums_get(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice segment, uint64_t *count, uint64_t *sum)
{
	struct lt_buf key = { 0 };
	int rc;

	lt_kv_sums_key(&key, txn->kv, table, segment);
	rc = key.err != LT_OK ? key.err : row_get(txn, lt_buf_slice(&key), count, sum);
	lt_buf_fini(&key);
	return rc;
}

/* ---- repairing ---- */

int
lt_kv_sums_said(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count, uint64_t *sum)
{
	struct lt_slice segment = lt_slice(key.data, lt_kv_segment(txn->kv, table, key));
	const struct lt_kv_sums *s = txn->sums;
	size_t i;
	int rc = lt_kv_sums_get(txn, table, segment, count, sum);

	for (i = 0; s != NULL && rc == LT_OK && i < s->n; i++)
		if (is_of(s, &s->change[i], table, segment)) {
			*count += s->change[i].count;
			*sum += s->change[i].sum;
		}
	return rc;
}

int
lt_kv_sums_seen(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, uint64_t *count,
    uint64_t *sum, uint64_t *damaged)
{
	const struct lt_kv *kv = txn->kv;
	struct lt_slice segment = lt_slice(key.data, lt_kv_segment(kv, table, key)), v;
	struct lt_slice k = { NULL, 0 }, s = { NULL, 0 };
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(txn, table, &c);

	*count = *sum = *damaged = 0;
	if (rc != LT_OK)
		return rc;
	for (rc = kv->ops->seek(c, segment, &k, &s); rc == LT_OK; rc = kv->ops->next(c, &k, &s)) {
		if (!lt_slice_eq(lt_slice(k.data, lt_kv_segment(kv, table, k)), segment))
			break;
		++*count;
		*sum += lt_kv_sum_of(s);
		*damaged += lt_kv_unseal(&kv->table[table], k, s, &v) != LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
