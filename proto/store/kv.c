#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/store/damage_bug.h"
#include "proto/store/kv_sums.h"
#include "proto/store/kv_test.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* In the header: most values are shorter than a call is worth. */
#define XXH_INLINE_ALL
#include <xxhash.h>

void
lt_kv_table_init(struct lt_kv_table *t, const char *name)
{
	size_t len = strlen(name);

	assert(len >= 1);
	assert(len <= LT_KV_NAME_MAX);
	memset(t, 0, sizeof(*t));
	memcpy(t->name, name, len);
	lt_store_u32(t->prefix, (uint32_t)len);
	memcpy(t->prefix + 4, name, len);
	t->prefix_len = 4 + len;
	t->meta = strcmp(name, "meta") == 0;
}

void
lt_kv_init(struct lt_kv *kv, const struct lt_kv_ops *ops, const struct lt_kv_options *o)
{
	unsigned n;

	kv->ops = ops;
	kv->read_only = o->read_only;
	for (n = 0; o->tables[n] != NULL; n++) {
		assert(n < LT_KV_TABLES_MAX);
		lt_kv_table_init(&kv->table[n], o->tables[n]);
	}
	kv->ntables = n;
	lt_kv_sums_init(kv);
	lt_buf_init(&kv->scratch, 0);
	atomic_init(&kv->broken, LT_OK);
	atomic_init(&kv->txns, 0);
	atomic_init(&kv->ordinal, 0);
}

void
lt_kv_fini(struct lt_kv *kv)
{
	lt_buf_fini(&kv->scratch);
}

/* S(place || place, value): in head lies what the place is of. */
static void
sum_of_version_1(struct lt_slice head, struct lt_slice value, uint8_t sum[LT_KV_SUM_LEN])
{
	static const uint8_t tag[crypto_shorthash_KEYBYTES] = "lt1.value";
	uint8_t place[crypto_shorthash_KEYBYTES];

	_Static_assert(crypto_shorthash_BYTES == LT_KV_SUM_LEN, "all of it is stored");
	(void)crypto_shorthash(place, head.data, head.len, tag);
	memcpy(place + LT_KV_SUM_LEN, place, LT_KV_SUM_LEN);
	(void)crypto_shorthash(sum, value.len == 0 ? head.data : value.data, value.len, place);
}

/* The hottest hash of the project: the place in one piece, the value where it lies. It is to find damage, not forgery. */
void
lt_kv_sum(const struct lt_kv_table *t, struct lt_slice key, struct lt_slice value,
    uint8_t sum[LT_KV_SUM_LEN])
{
	uint8_t head[LT_KV_PREFIX_MAX + 4 + LT_KV_KEY_MAX];
	size_t len = t->prefix_len + 4 + key.len;
	const uint8_t *data = value.len == 0 ? head : value.data;

	assert(key.len <= LT_KV_KEY_MAX);
	memcpy(head, t->prefix, t->prefix_len);
	lt_store_u32(head + t->prefix_len, (uint32_t)key.len);
	if (key.len != 0)
		memcpy(head + t->prefix_len + 4, key.data, key.len);
	if (t->meta)
		sum_of_version_1(lt_slice(head, len), value, sum);
	else
		lt_store_u64(sum, XXH3_64bits_withSeed(data, value.len, XXH3_64bits(head, len)));
}

/* Whoever reads it gets a code; the name of the place is for the one who repairs. Keys hold no personal data. */
static int
damaged(const struct lt_kv_table *t, struct lt_slice key)
{
	char text[4 * 128 + 1];
	size_t len = key.len < 128 ? key.len : 128;
	size_t n = lt_text_escape(text, sizeof(text), lt_slice(key.data, len));

	lt_error("a stored value is damaged and is not used: table %s, key \"%.*s\"%s", t->name,
	    (int)n, text, len < key.len ? " (cut)" : "");
	return LT_E_CORRUPT;
}

int
lt_kv_unseal(const struct lt_kv_table *t, struct lt_slice key, struct lt_slice stored,
    struct lt_slice *value)
{
	uint8_t sum[LT_KV_SUM_LEN];
	struct lt_slice v;

	/* A damaged page can hand back a key of any length. */
	if (stored.len < LT_KV_SUM_LEN || key.len > LT_KV_KEY_MAX)
		return damaged(t, key);
	v = lt_slice(stored.data, stored.len - LT_KV_SUM_LEN);
	lt_kv_sum(t, key, v, sum);
	if (memcmp(sum, stored.data + v.len, LT_KV_SUM_LEN) != 0 && !LT_DAMAGE_BUG(NO_SUM))
		return damaged(t, key);
	*value = v;
	return LT_OK;
}

int
lt_kv_seal(
    const struct lt_kv_table *t, struct lt_slice key, struct lt_slice value, struct lt_buf *out)
{
	uint8_t sum[LT_KV_SUM_LEN];

	lt_kv_sum(t, key, value, sum);
	lt_buf_put_slice(out, value);
	lt_buf_put(out, sum, sizeof(sum));
	return out->err;
}

static bool
key_ok(struct lt_slice key)
{
	return key.len >= 1 && key.len <= LT_KV_KEY_MAX;
}

static int
fault(struct lt_kv *kv)
{
	if (kv->fault == NULL)
		return LT_OK;
	return kv->fault(kv->fault_ctx, atomic_fetch_add(&kv->ordinal, 1) + 1);
}

void
lt_kv_set_fault(struct lt_kv *kv, lt_kv_fault_fn *fn, void *ctx)
{
	kv->fault = fn;
	kv->fault_ctx = ctx;
	atomic_store(&kv->ordinal, 0);
}

void
lt_kv_close(struct lt_kv *kv)
{
	if (kv == NULL)
		return;
	assert(atomic_load(&kv->txns) == 0);
	kv->ops->close(kv);
}

const uint8_t *
lt_kv_incarnation(const struct lt_kv *kv)
{
	return kv->incarnation;
}

uint64_t
lt_kv_bad_at_open(const struct lt_kv *kv)
{
	return kv->bad_at_open;
}

uint64_t
lt_kv_used_bytes(struct lt_kv *kv)
{
	return kv->ops->used_bytes(kv);
}

static int
begin(struct lt_kv *kv, bool write, struct lt_kv_txn **out)
{
	int rc;

	rc = kv->ops->begin(kv, write, out);
	if (rc != LT_OK)
		return rc;
	(*out)->kv = kv;
	(*out)->write = write;
	(*out)->sums = NULL;
	atomic_fetch_add(&kv->txns, 1);
	return LT_OK;
}

int
lt_kv_begin_read(struct lt_kv *kv, struct lt_kv_txn **out)
{
	return begin(kv, false, out);
}

int
lt_kv_begin_write(struct lt_kv *kv, struct lt_kv_txn **out)
{
	int rc;

	if (kv->read_only)
		return LT_E_DENIED;
	rc = fault(kv);
	if (rc == LT_OK)
		rc = atomic_load(&kv->broken);
	return rc != LT_OK ? rc : begin(kv, true, out);
}

int
lt_kv_commit(struct lt_kv_txn *txn)
{
	struct lt_kv *kv = txn->kv;
	bool write = txn->write;
	int rc = txn->err;

	assert(txn->cursors == 0);
	if (rc == LT_OK && write)
		rc = fault(kv);
	if (rc == LT_OK && write)
		rc = lt_kv_sums_flush(txn);
	if (rc != LT_OK) {
		lt_kv_abort(txn);
		return rc;
	}
	lt_kv_sums_drop(txn);
	atomic_fetch_sub(&kv->txns, 1);
	rc = kv->ops->commit(txn);
	/* A sync that failed once may report success the next time without having written. */
	if (rc != LT_OK && rc != LT_E_NOSPACE && write)
		atomic_store(&kv->broken, rc);
	return rc;
}

void
lt_kv_abort(struct lt_kv_txn *txn)
{
	if (txn == NULL)
		return;
	assert(txn->cursors == 0);
	lt_kv_sums_drop(txn);
	atomic_fetch_sub(&txn->kv->txns, 1);
	txn->kv->ops->abort(txn);
}

int
lt_kv_get(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *value)
{
	struct lt_slice stored;
	int rc;

	assert(table < txn->kv->ntables);
	if (!key_ok(key))
		return LT_E_INVALID;
	rc = txn->kv->ops->get(txn, table, key, &stored);
	return rc != LT_OK ? rc : lt_kv_unseal(&txn->kv->table[table], key, stored, value);
}

/* Before a write to a table: LT_OK, or why not. */
static int
write_begin(struct lt_kv_txn *txn, unsigned table)
{
	assert(table < txn->kv->ntables);
	assert(txn->write);
	if (txn->err == LT_OK)
		txn->err = fault(txn->kv);
	return txn->err;
}

/* After it: the transaction of a write that failed half-way must not be committed. */
static int
write_end(struct lt_kv_txn *txn, unsigned table, int rc)
{
	txn->gen[table]++;
	if (rc != LT_OK && rc != LT_E_EXISTS && rc != LT_E_NOTFOUND)
		txn->err = rc;
	return rc;
}

struct sum_change {
	uint64_t count, sum;
};

/* Note what becomes of a segment's sum, before the store is touched: key and old value may move then. now: what will stand there,
 * empty: nothing will. new_key: nothing stands there. */
static int
sum_change(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice now,
    bool new_key, struct sum_change *ch)
{
	struct lt_slice was;
	int rc = new_key ? LT_E_NOTFOUND : txn->kv->ops->get(txn, table, key, &was);

	if (rc != LT_OK && rc != LT_E_NOTFOUND)
		return rc;
	if (now.len != 0) {
		ch->count++;
		ch->sum += lt_kv_sum_of(now);
	}
	if (rc == LT_OK) {
		ch->count--;
		ch->sum -= lt_kv_sum_of(was);
	}
	return lt_kv_sums_change(txn, table, key, ch->count, ch->sum);
}

static int
put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value, bool append)
{
	struct lt_kv *kv = txn->kv;
	struct sum_change ch = { 0, 0 };
	int rc;

	if (!key_ok(key))
		return LT_E_INVALID;
	if (value.len > LT_KV_VALUE_MAX)
		return LT_E_TOOBIG;
	rc = write_begin(txn, table);
	if (rc != LT_OK)
		return rc;
	/* Copied before the store is touched: the value may be one that a get just returned. */
	lt_buf_clear(&kv->scratch);
	rc = lt_kv_seal(&kv->table[table], key, value, &kv->scratch);
	if (rc == LT_OK && lt_kv_summed(kv, table))
		rc = sum_change(txn, table, key, lt_buf_slice(&kv->scratch), append, &ch);
	if (rc == LT_OK)
		rc = (append ? kv->ops->append : kv->ops->put)(
		    txn, table, key, lt_buf_slice(&kv->scratch));
	if (rc == LT_E_EXISTS)
		(void)lt_kv_sums_change(txn, table, key, 0 - ch.count, 0 - ch.sum);
	return write_end(txn, table, rc);
}

int
lt_kv_put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value)
{
	return put(txn, table, key, value, false);
}

int
lt_kv_append(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value)
{
	return put(txn, table, key, value, true);
}

int
lt_kv_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	struct sum_change ch = { 0, 0 };
	int rc;

	if (!key_ok(key))
		return LT_E_INVALID;
	rc = write_begin(txn, table);
	if (rc != LT_OK)
		return rc;
	if (lt_kv_summed(txn->kv, table))
		rc = sum_change(txn, table, key, lt_slice(NULL, 0), false, &ch);
	return write_end(txn, table, rc != LT_OK ? rc : txn->kv->ops->del(txn, table, key));
}

int
lt_kv_clear(struct lt_kv_txn *txn, unsigned table)
{
	int rc = write_begin(txn, table);

	if (rc == LT_OK && lt_kv_summed(txn->kv, table))
		txn->err = rc = lt_kv_sums_cleared(txn, table);
	return rc != LT_OK ? rc : write_end(txn, table, txn->kv->ops->clear(txn, table));
}

void *
lt_kv_note(struct lt_kv_txn *txn, unsigned table)
{
	assert(table < txn->kv->ntables);
	if (txn->note_table != table || txn->note_gen != txn->gen[table])
		memset(txn->note, 0, sizeof(txn->note));
	txn->note_table = table;
	txn->note_gen = txn->gen[table];
	return txn->note;
}

int
lt_kv_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n)
{
	assert(table < txn->kv->ntables);
	return txn->kv->ops->count(txn, table, n);
}

int
lt_kv_cursor_open(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out)
{
	int rc;

	assert(table < txn->kv->ntables);
	rc = txn->kv->ops->cursor_open(txn, table, out);
	if (rc != LT_OK)
		return rc;
	(*out)->txn = txn;
	(*out)->table = table;
	txn->cursors++;
	return LT_OK;
}

void
lt_kv_cursor_close(struct lt_kv_cursor *c)
{
	if (c == NULL)
		return;
	assert(c->txn->cursors > 0);
	c->txn->cursors--;
	c->txn->kv->ops->cursor_close(c);
}

/* A value that does not verify leaves the cursor in place: a scrub reports it and goes on. */
static int
cursor_result(struct lt_kv_cursor *c, int rc, struct lt_slice key, struct lt_slice stored,
    struct lt_slice *k, struct lt_slice *v)
{
	c->placed = rc == LT_OK;
	if (rc != LT_OK)
		return rc;
	c->at = key;
	*k = key;
	return lt_kv_unseal(&c->txn->kv->table[c->table], key, stored, v);
}

/* Damage can lead a walk in circles without end, or back: keys that do not go on in order end it. */
static int
astray(struct lt_kv_cursor *c, struct lt_slice *k)
{
	lt_error(
	    "a table is damaged: keys of %s are out of order", c->txn->kv->table[c->table].name);
	c->placed = false;
	/* No place to go on from: who walks on over single damaged rows ends here. */
	*k = lt_slice(NULL, 0);
	return LT_E_CORRUPT;
}

static int
seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v,
    bool before)
{
	const struct lt_kv_ops *ops = c->txn->kv->ops;
	struct lt_slice fk = { NULL, 0 }, fs = { NULL, 0 };
	int rc;

	if (key.len > LT_KV_KEY_MAX)
		return LT_E_INVALID;
	c->gen = c->txn->gen[c->table];
	rc = (before ? ops->seek_before : ops->seek)(c, key, &fk, &fs);
	c->at = key;
	if (rc == LT_OK && key.len != 0 && (lt_slice_cmp(fk, key) < 0) != before)
		return astray(c, k);
	return cursor_result(c, rc, fk, fs, k, v);
}

int
lt_kv_seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v)
{
	return seek(c, key, k, v, false);
}

int
lt_kv_seek_before(
    struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *v)
{
	return seek(c, key, k, v, true);
}

static int
step(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v, bool forward)
{
	const struct lt_kv_ops *ops = c->txn->kv->ops;
	struct lt_slice fk = { NULL, 0 }, fs = { NULL, 0 };
	int rc;

	if (c->gen != c->txn->gen[c->table])
		return LT_E_USAGE;
	if (!c->placed)
		return LT_E_NOTFOUND;
	rc = (forward ? ops->next : ops->prev)(c, &fk, &fs);
	if (rc == LT_OK && (forward ? lt_slice_cmp(fk, c->at) : lt_slice_cmp(c->at, fk)) <= 0)
		return astray(c, k);
	return cursor_result(c, rc, fk, fs, k, v);
}

int
lt_kv_next(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v)
{
	return step(c, k, v, true);
}

int
lt_kv_prev(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *v)
{
	return step(c, k, v, false);
}

/* rc of the seek or step before; *k is empty if that found no place. */
static int
stay_in(
    struct lt_kv_cursor *c, struct lt_slice prefix, int rc, struct lt_slice *k, struct lt_slice *v)
{
	while (rc == LT_OK || rc == LT_E_CORRUPT) {
		if (k->len != 0 &&
		    (k->len < prefix.len || memcmp(k->data, prefix.data, prefix.len) != 0))
			return LT_E_NOTFOUND;
		if (rc == LT_OK || k->len == 0)
			return rc;
		*k = lt_slice(NULL, 0);
		rc = lt_kv_next(c, k, v);
	}
	return rc;
}

int
lt_kv_seek_in(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v)
{
	*k = lt_slice(NULL, 0);
	return stay_in(c, prefix, lt_kv_seek(c, prefix, k, v), k, v);
}

int
lt_kv_next_in(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v)
{
	struct lt_slice at = lt_slice(NULL, 0);
	int rc = stay_in(c, prefix, lt_kv_next(c, &at, v), &at, v);

	*k = at;
	return rc;
}

/* rc of the seek or step before; *k is empty if that found no place. */
static int
only_in(struct lt_slice prefix, int rc, const struct lt_slice *k)
{
	if ((rc == LT_OK || rc == LT_E_CORRUPT) && k->len != 0 &&
	    (k->len < prefix.len ||
		(prefix.len != 0 && memcmp(k->data, prefix.data, prefix.len) != 0)))
		return LT_E_NOTFOUND;
	return rc;
}

int
lt_kv_seek_at(struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice from,
    struct lt_slice *k, struct lt_slice *v)
{
	struct lt_slice at = lt_slice(NULL, 0);
	int rc = only_in(prefix, lt_kv_seek(c, from, &at, v), &at);

	*k = at;
	return rc;
}

int
lt_kv_next_at(
    struct lt_kv_cursor *c, struct lt_slice prefix, struct lt_slice *k, struct lt_slice *v)
{
	struct lt_slice at = lt_slice(NULL, 0);
	int rc = only_in(prefix, lt_kv_next(c, &at, v), &at);

	*k = at;
	return rc;
}

int
lt_kv_test_get_raw(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *stored)
{
	assert(table < txn->kv->ntables);
	return txn->kv->ops->get(txn, table, key, stored);
}

int
lt_kv_test_put_raw(
    struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	struct lt_buf *b = &txn->kv->scratch;

	assert(table < txn->kv->ntables);
	assert(txn->write);
	lt_buf_clear(b);
	lt_buf_put_slice(b, stored);
	if (b->err != LT_OK)
		return b->err;
	return write_end(txn, table, txn->kv->ops->put(txn, table, key, lt_buf_slice(b)));
}

int
lt_kv_test_del_raw(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	assert(table < txn->kv->ntables);
	assert(txn->write);
	return write_end(txn, table, txn->kv->ops->del(txn, table, key));
}

int
lt_kv_test_flip(struct lt_kv *kv, unsigned table, struct lt_slice key, size_t bit, size_t *nbits)
{
	struct lt_kv_txn *txn;
	struct lt_slice stored;
	struct lt_buf b = { 0 };
	int rc;

	rc = begin(kv, true, &txn);
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_test_get_raw(txn, table, key, &stored);
	if (rc != LT_OK)
		goto out;
	if (nbits != NULL)
		*nbits = stored.len * 8;
	rc = LT_E_INVALID;
	if (bit >= stored.len * 8)
		goto out;
	lt_buf_put_slice(&b, stored);
	rc = b.err;
	if (rc != LT_OK)
		goto out;
	b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	rc = lt_kv_test_put_raw(txn, table, key, lt_buf_slice(&b));
	if (rc == LT_OK) {
		atomic_fetch_sub(&kv->txns, 1);
		rc = kv->ops->commit(txn);
		txn = NULL;
	}
out:
	lt_kv_abort(txn);
	lt_buf_fini(&b);
	return rc;
}
