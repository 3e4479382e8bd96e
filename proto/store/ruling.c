#include "proto/store/ruling.h"
#include "proto/base/log.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"

#include <stdio.h>
#include <string.h>

static const char prefix[] = "ruling/";
#define PREFIX_LEN (sizeof(prefix) - 1)
#define TAIL_LEN (1 + 2 * LT_FEED_LEN + 1 + 16 + 1 + 16) /* behind the unit */
#define RULING_ARENA 65536

static bool
take_hash(struct lt_hash *out, const ProtobufCBinaryData *b)
{
	if (b->len != LT_HASH_LEN)
		return false;
	memcpy(out->b, b->data, LT_HASH_LEN);
	return true;
}

static bool
take_keys(struct lt_ruling *r, const Ltpb__Ruling *m)
{
	size_t i;

	if (m->n_key == 0 || m->n_key > LT_RULING_KEYS)
		return false;
	for (i = 0; i < m->n_key; i++) {
		const Ltpb__RulingKey *k = m->key[i];

		if (k->sign_key.len != 32 || k->key_no == 0 ||
		    (i != 0 && k->key_no <= m->key[i - 1]->key_no))
			return false;
		r->key[i].no = k->key_no;
		memcpy(r->key[i].pk, k->sign_key.data, 32);
	}
	r->nkey = m->n_key;
	return true;
}

int
lt_ruling_parse(const struct lt_unit *unit, struct lt_slice bytes, struct lt_ruling *out)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	const Ltpb__Ruling *p;
	int rc;

	memset(out, 0, sizeof(*out));
	lt_arena_init(&arena, RULING_ARENA);
	rc = lt_wire_unpack(&ltpb__ruling__descriptor, bytes, LT_RULING_MAX, &arena, &m, NULL);
	p = (const Ltpb__Ruling *)m;
	out->unit = *unit;
	if (rc == LT_OK &&
	    (p->feed.len != LT_FEED_LEN || p->seq == 0 || p->seq > INT64_MAX ||
		!take_hash(&out->counts, &p->counts) || !take_hash(&out->other, &p->other) ||
		lt_hash_eq(&out->counts, &out->other) || !take_keys(out, p)))
		rc = LT_E_INVALID;
	if (rc == LT_OK) {
		memcpy(out->feed.b, p->feed.data, LT_FEED_LEN);
		out->seq = p->seq;
	}
	lt_arena_fini(&arena);
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_INVALID;
}

int
lt_ruling_pack(const struct lt_ruling *r, struct lt_buf *out)
{
	Ltpb__RulingKey key[LT_RULING_KEYS], *list[LT_RULING_KEYS];
	Ltpb__Ruling m = LTPB__RULING__INIT;
	size_t i;

	for (i = 0; i < r->nkey; i++) {
		ltpb__ruling_key__init(&key[i]);
		key[i].key_no = r->key[i].no;
		key[i].sign_key.data = (uint8_t *)r->key[i].pk;
		key[i].sign_key.len = 32;
		list[i] = &key[i];
	}
	m.feed.data = (uint8_t *)r->feed.b;
	m.feed.len = LT_FEED_LEN;
	m.seq = r->seq;
	m.counts.data = (uint8_t *)r->counts.b;
	m.counts.len = LT_HASH_LEN;
	m.other.data = (uint8_t *)r->other.b;
	m.other.len = LT_HASH_LEN;
	m.n_key = r->nkey;
	m.key = list;
	return lt_wire_pack(&m.base, LT_RULING_MAX, out);
}

void
lt_ruling_key(const struct lt_ruling *r, char *key, size_t cap)
{
	char feed[2 * LT_FEED_LEN + 1], other[17];

	lt_hex(feed, r->feed.b, LT_FEED_LEN);
	lt_hex(other, r->other.b, 8);
	(void)snprintf(key, cap, "%s/%llu/%s", feed, (unsigned long long)r->seq, other);
}

int
lt_ruling_of_change(const struct lt_change *c, struct lt_slice *bytes)
{
	const Ltpb__Value *v = c->nset == 1 ? c->set[0].pb->value : NULL;

	if (v == NULL || v->v_case != LTPB__VALUE__V_BYTES ||
	    strcmp(c->set[0].pb->name, "ruling") != 0)
		return LT_E_INVALID;
	*bytes = lt_slice(v->bytes.data, v->bytes.len);
	return LT_OK;
}

static void
row_name(char name[LT_RULING_NAME], const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *other)
{
	char hex[2 * LT_FEED_LEN + 1], hash[17];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	lt_hex(hash, other->b, 8);
	(void)snprintf(name, LT_RULING_NAME, "%s%s/%s/%016llx/%s", prefix, unit->s, hex,
	    (unsigned long long)seq, hash);
}

/* u64 position || Ruling bytes */
static int
row_read(const struct lt_unit *unit, struct lt_slice row, struct lt_ruling *out)
{
	int rc = row.len < 8 ? LT_E_INVALID
			     : lt_ruling_parse(unit, lt_slice(row.data + 8, row.len - 8), out);

	if (rc == LT_OK)
		out->position = lt_load_u64(row.data);
	return rc == LT_E_INVALID ? LT_E_CORRUPT : rc;
}

int
lt_ruling_put(struct lt_kv_txn *txn, const struct lt_ruling *r, bool *again)
{
	char name[LT_RULING_NAME];
	struct lt_slice have;
	struct lt_buf b;
	int rc;

	row_name(name, &r->unit, &r->feed, r->seq, &r->other);
	rc = lt_local_get(txn, name, &have);
	if (again != NULL)
		*again = rc == LT_OK;
	if (rc != LT_E_NOTFOUND)
		return rc;
	lt_buf_init(&b, LT_RULING_MAX + 8);
	lt_buf_u64(&b, r->position);
	rc = lt_ruling_pack(r, &b);
	if (rc == LT_OK)
		rc = b.err != LT_OK ? b.err : lt_local_put(txn, name, lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

int
lt_ruling_get(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *other, struct lt_ruling *out)
{
	char name[LT_RULING_NAME];
	struct lt_slice row;
	int rc;

	row_name(name, unit, feed, seq, other);
	rc = lt_local_get(txn, name, &row);
	if (rc == LT_OK)
		rc = row_read(unit, row, out);
	return rc == LT_OK && !lt_hash_eq(&out->other, other) ? LT_E_NOTFOUND : rc;
}

int
lt_ruling_check(struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_ruling r;
	int rc = lt_ruling_get(txn, &cs->unit, &cs->feed, cs->seq, &cs->hash, &r);

	return rc == LT_OK ? LT_E_FORK : rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_ruling_each(struct lt_kv_txn *txn, const struct lt_unit *unit, lt_ruling_fn *fn, void *ctx)
{
	char name[LT_RULING_NAME];
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	(void)snprintf(name, sizeof(name), "%s%s%s", prefix, unit != NULL ? unit->s : "",
	    unit != NULL ? "/" : "");
	rc = lt_kv_seek_in(c, lt_slice_str(name), &k, &v);
	while (rc == LT_OK) {
		struct lt_ruling r;
		struct lt_unit of;
		int row = LT_E_CORRUPT;

		if (k.len > PREFIX_LEN + TAIL_LEN &&
		    lt_unit_set(
			&of, lt_slice(k.data + PREFIX_LEN, k.len - PREFIX_LEN - TAIL_LEN)) == LT_OK)
			row = row_read(&of, v, &r);
		if (row == LT_E_CORRUPT)
			lt_error("a ruling that is kept cannot be read: it is passed over");
		else
			rc = row == LT_OK ? fn(ctx, &r) : row;
		if (rc == LT_OK)
			rc = lt_kv_next_in(c, lt_slice_str(name), &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
