#include "proto/store/erase.h"
#include "proto/store/feed_log_impl.h"
#include "proto/base/simbug.h"

#include <assert.h>

void
lt_log_key_put(struct lt_log_key *k, const void *data, size_t len)
{
	assert(len <= sizeof(k->b) - k->len);
	memcpy(k->b + k->len, data, len);
	k->len += len;
}

void
lt_log_key_u32(struct lt_log_key *k, uint32_t v)
{
	uint8_t b[4];

	lt_store_u32(b, v);
	lt_log_key_put(k, b, sizeof(b));
}

void
lt_log_key_u64(struct lt_log_key *k, uint64_t v)
{
	uint8_t b[8];

	lt_store_u64(b, v);
	lt_log_key_put(k, b, sizeof(b));
}

void
lt_log_key_feed(struct lt_log_key *k, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	size_t len = strlen(unit->s);
	uint8_t n = (uint8_t)len;

	lt_log_key_put(k, &n, 1);
	lt_log_key_put(k, unit->s, len);
	lt_log_key_put(k, feed->b, LT_FEED_LEN);
}

struct lt_slice
lt_log_key_slice(const struct lt_log_key *k)
{
	return lt_slice(k->b, k->len);
}

int
lt_log_key_feed_read(struct lt_reader *r, struct lt_unit *unit, struct lt_feed_id *feed)
{
	struct lt_slice u = lt_read_framed8(r), f = lt_read_bytes(r, LT_FEED_LEN);

	if (r->err != LT_OK || lt_unit_set(unit, u) != LT_OK)
		return LT_E_CORRUPT;
	memcpy(feed->b, f.data, LT_FEED_LEN);
	return LT_OK;
}

static int
head_read(struct lt_slice value, struct lt_head *head)
{
	struct lt_reader r;
	struct lt_slice hash;

	if (value.len != LT_HEAD_BYTES)
		return LT_E_CORRUPT;
	lt_reader_init(&r, value);
	head->seq = lt_read_u64(&r);
	hash = lt_read_bytes(&r, LT_HASH_LEN);
	memcpy(head->hash.b, hash.data, LT_HASH_LEN);
	head->stamp = lt_read_u64(&r);
	head->effective = lt_read_u64(&r);
	head->judged = lt_read_u64(&r);
	head->key_no = lt_read_u32(&r);
	head->last_position = lt_read_u64(&r);
	return head->seq == 0 || head->judged > head->seq ? LT_E_CORRUPT : LT_OK;
}

void
lt_feed_log_head_row(const struct lt_head *head, uint8_t out[LT_HEAD_BYTES])
{
	uint8_t *p = out;

	lt_store_u64(p, head->seq);
	memcpy(p + 8, head->hash.b, LT_HASH_LEN);
	p += 8 + LT_HASH_LEN;
	lt_store_u64(p, head->stamp);
	lt_store_u64(p + 8, head->effective);
	lt_store_u64(p + 16, head->judged);
	lt_store_u32(p + 24, head->key_no);
	lt_store_u64(p + 28, head->last_position);
}

int
lt_feed_log_head_put(struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed, const struct lt_head *head)
{
	struct lt_log_key k = { .len = 0 };
	uint8_t b[LT_HEAD_BYTES];

	lt_log_key_feed(&k, unit, feed);
	lt_feed_log_head_row(head, b);
	return lt_kv_put(txn, LT_T_FEED, lt_log_key_slice(&k), lt_slice(b, sizeof(b)));
}

int
lt_feed_log_head(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    struct lt_head *head)
{
	struct lt_log_key k = { .len = 0 };
	struct lt_slice v;
	int rc;

	memset(head, 0, sizeof(*head));
	lt_log_key_feed(&k, unit, feed);
	rc = lt_kv_get(txn, LT_T_FEED, lt_log_key_slice(&k), &v);
	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	return rc == LT_OK ? head_read(v, head) : rc;
}

void
lt_feed_log_running(const struct lt_hash *before, uint64_t position,
    const struct lt_hash *changeset, struct lt_hash *out)
{
	uint8_t at[8];
	struct lt_slice part[3] = { lt_slice(before->b, LT_HASH_LEN), lt_slice(at, sizeof(at)),
		lt_slice(changeset->b, LT_HASH_LEN) };

	lt_store_u64(at, position);
	lt_h(LT_TAG_LOG, part, 3, out);
}

/* Where the log ends. An entry is large and is verified when it is read: once a transaction is enough. */
struct tail {
	uint64_t known; /* 1, else the rest says nothing */
	uint64_t last;
	struct lt_hash running;
};
_Static_assert(sizeof(struct tail) <= LT_KV_NOTE_BYTES, "fits");

#define ENTRY_HEAD_MAX (1 + 8 + LT_HASH_LEN + 1 + LT_UNIT_MAX)

/* The value of an entry's row begins so; bytes written. */
static size_t
entry_head(uint8_t *p, const struct lt_unit *unit, uint64_t arrival_ms, const struct tail *tail)
{
	size_t len = strlen(unit->s);

	p[0] = 0;
	lt_store_u64(p + 1, arrival_ms);
	memcpy(p + 9, tail->running.b, LT_HASH_LEN);
	p[9 + LT_HASH_LEN] = (uint8_t)len;
	memcpy(p + 9 + LT_HASH_LEN + 1, unit->s, len);
	return 9 + LT_HASH_LEN + 1 + len;
}

int
lt_feed_log_prepare(struct lt_changeset *cs, struct lt_arena *arena)
{
	static const struct tail unknown;
	struct lt_log_rows *rows = lt_arena_alloc(arena, sizeof(*rows));
	size_t len = lt_changeset_stripped_size(cs), head;
	int rc;

	if (rows == NULL)
		return LT_E_NOMEM;
	rows->entry = lt_arena_room(arena, ENTRY_HEAD_MAX + len);
	if (rows->entry == NULL)
		return LT_E_NOMEM;
	head = entry_head(rows->entry, &cs->unit, 0, &unknown);
	(void)lt_changeset_strip_to(cs, rows->entry + head);
	rows->entry_len = head + len;
	rc = lt_opening_prepare(cs, arena, rows);
	if (rc == LT_OK)
		cs->rows = rows;
	return rc;
}

static int
entry_put_value(struct lt_kv_txn *txn, uint64_t position, struct lt_slice value)
{
	uint8_t key[8];

	lt_store_u64(key, position);
	return lt_kv_append(txn, LT_T_ENTRY, lt_slice(key, sizeof(key)), value);
}

static int
entry_put(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms,
    const struct tail *tail)
{
	struct lt_buf value = { 0 };
	uint8_t *p;
	int rc;

	if (cs->rows != NULL) {
		(void)entry_head(cs->rows->entry, &cs->unit, arrival_ms, tail);
		return entry_put_value(
		    txn, tail->last, lt_slice(cs->rows->entry, cs->rows->entry_len));
	}
	p = lt_buf_reserve(&value, ENTRY_HEAD_MAX + lt_changeset_stripped_size(cs));
	if (p != NULL)
		lt_buf_added(&value, entry_head(p, &cs->unit, arrival_ms, tail));
	rc = lt_changeset_strip(cs, &value);
	if (rc == LT_OK)
		rc = entry_put_value(txn, tail->last, lt_buf_slice(&value));
	lt_buf_fini(&value);
	return rc;
}

static int
seq_put(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position)
{
	return lt_seq_put_back(txn, &cs->unit, &cs->feed, cs->seq, position);
}

int
lt_entry_put_back(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t position,
    uint64_t arrival_ms, const struct lt_hash *running)
{
	const struct tail tail = { .last = position, .running = *running };
	struct lt_buf value = { 0 };
	uint8_t key[8], *p;
	int rc;

	p = lt_buf_reserve(&value, ENTRY_HEAD_MAX + lt_changeset_stripped_size(cs));
	if (p != NULL)
		lt_buf_added(&value, entry_head(p, &cs->unit, arrival_ms, &tail));
	rc = lt_changeset_strip(cs, &value);
	lt_store_u64(key, position);
	if (rc == LT_OK)
		rc = lt_kv_put(txn, LT_T_ENTRY, lt_slice(key, sizeof(key)), lt_buf_slice(&value));
	lt_buf_fini(&value);
	return rc;
}

int
lt_seq_put_back(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint64_t position)
{
	struct lt_log_key k = { .len = 0 };
	uint8_t value[8];

	lt_log_key_feed(&k, unit, feed);
	lt_log_key_u64(&k, seq);
	lt_store_u64(value, position);
	return lt_kv_put(txn, LT_T_SEQ, lt_log_key_slice(&k), lt_slice(value, sizeof(value)));
}

static int
tail_read(struct lt_kv_txn *txn, struct tail *out)
{
	struct tail *note = lt_kv_note(txn, LT_T_ENTRY);
	struct lt_entry e;
	int rc = LT_OK;

	if (note->known == 0) {
		rc = lt_feed_log_last(txn, &note->last);
		if (rc == LT_OK && note->last != 0) {
			rc = lt_feed_log_read(txn, note->last, &e);
			note->running = e.running;
		}
		note->known = rc == LT_OK;
	}
	*out = *note;
	return rc;
}

static void
tail_note(struct lt_kv_txn *txn, const struct tail *now)
{
	struct tail *note = lt_kv_note(txn, LT_T_ENTRY);

	*note = *now;
}

/* All rows of it but the head's, which is only worked out. */
static int
append(
    struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms, struct lt_head *head)
{
	struct tail tail;
	int rc = tail_read(txn, &tail);

	if (rc != LT_OK)
		return rc;
	assert(cs->seq == head->seq + 1 || LT_SIM_BUG(PAST_GAP));
	head->seq = cs->seq;
	head->hash = cs->hash;
	head->stamp = cs->stamp;
	head->key_no = cs->key_no;
	head->last_position = ++tail.last;
	lt_feed_log_running(&tail.running, tail.last, &cs->hash, &tail.running);
	rc = entry_put(txn, cs, arrival_ms, &tail);
	if (rc == LT_OK)
		tail_note(txn, &tail);
	if (rc == LT_OK)
		rc = seq_put(txn, cs, tail.last);
	if (rc == LT_OK)
		rc = lt_opening_put_all(txn, cs, tail.last);
	/* However it came: what an act names is not kept. */
	return rc == LT_OK && cs->has_openings ? lt_erase_again(txn, cs, tail.last) : rc;
}

int
lt_feed_log_append(
    struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms, uint64_t *position)
{
	struct lt_head head;
	int rc = lt_feed_log_head(txn, &cs->unit, &cs->feed, &head);

	if (rc == LT_OK)
		rc = append(txn, cs, arrival_ms, &head);
	if (rc == LT_OK)
		rc = lt_feed_log_head_put(txn, &cs->unit, &cs->feed, &head);
	if (rc == LT_OK)
		*position = head.last_position;
	return rc;
}

int
lt_feed_log_take(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t arrival_ms,
    const struct lt_head *head, uint64_t effective, const struct lt_judgement *j,
    uint64_t *position)
{
	struct lt_head now = *head;
	int rc;

	if (!lt_judgement_rising(j))
		return LT_E_INVALID;
	if (cs->seq > head->judged + 1)
		return LT_E_GAP;
	rc = append(txn, cs, arrival_ms, &now);
	/* At a position that was never used before there is no row to take away. */
	if (rc == LT_OK && !lt_judgement_trivial(j))
		rc = lt_judgement_put(txn, &cs->feed, cs->seq, now.last_position, j);
	if (rc != LT_OK)
		return rc;
	now.judged = cs->seq;
	now.effective = effective;
	rc = lt_feed_log_head_put(txn, &cs->unit, &cs->feed, &now);
	if (rc == LT_OK)
		*position = now.last_position;
	return rc;
}

int
lt_feed_log_last(struct lt_kv_txn *txn, uint64_t *position)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_ENTRY, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_before(c, lt_slice(NULL, 0), &k, &v);
	if (rc == LT_OK && k.len != 8)
		rc = LT_E_CORRUPT;
	if (rc == LT_OK)
		*position = lt_load_u64(k.data);
	if (rc == LT_E_NOTFOUND) {
		*position = 0;
		rc = LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc;
}

int
lt_feed_log_read(struct lt_kv_txn *txn, uint64_t position, struct lt_entry *out)
{
	struct lt_reader r;
	struct lt_slice v, unit, running;
	uint8_t key[8], flags;
	int rc;

	lt_store_u64(key, position);
	rc = lt_kv_get(txn, LT_T_ENTRY, lt_slice(key, sizeof(key)), &v);
	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, v);
	flags = lt_read_u8(&r);
	out->position = position;
	out->arrival_ms = lt_read_u64(&r);
	running = lt_read_bytes(&r, LT_HASH_LEN);
	unit = lt_read_framed8(&r);
	if (r.err != LT_OK || flags != 0 || lt_unit_set(&out->unit, unit) != LT_OK)
		return LT_E_CORRUPT;
	memcpy(out->running.b, running.data, LT_HASH_LEN);
	out->changeset = lt_read_bytes(&r, lt_reader_left(&r));
	return LT_OK;
}

int
lt_feed_log_find(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint64_t *position)
{
	struct lt_log_key k = { .len = 0 };
	struct lt_slice v;
	int rc;

	lt_log_key_feed(&k, unit, feed);
	lt_log_key_u64(&k, seq);
	rc = lt_kv_get(txn, LT_T_SEQ, lt_log_key_slice(&k), &v);
	if (rc != LT_OK)
		return rc;
	if (v.len != 8)
		return LT_E_CORRUPT;
	*position = lt_load_u64(v.data);
	return LT_OK;
}

/* The header is field 1, and lt_changeset_strip() writes it first. */
int
lt_entry_header(struct lt_slice changeset, struct lt_slice *header)
{
	struct lt_reader r;
	uint64_t len;

	lt_reader_init(&r, changeset);
	if (lt_read_varint(&r) != (1 << 3 | 2))
		return LT_E_CORRUPT;
	len = lt_read_varint(&r);
	if (r.err != LT_OK || len > lt_reader_left(&r))
		return LT_E_CORRUPT;
	*header = lt_read_bytes(&r, (size_t)len);
	return LT_OK;
}

int
lt_feed_log_hash(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_hash *hash)
{
	struct lt_entry e;
	struct lt_slice header;
	uint64_t position;
	int rc;

	memset(hash, 0, sizeof(*hash));
	if (seq == 0)
		return LT_OK;
	rc = lt_feed_log_find(txn, unit, feed, seq, &position);
	if (rc == LT_OK) {
		rc = lt_feed_log_read(txn, position, &e);
		if (rc == LT_E_NOTFOUND)
			rc = LT_E_CORRUPT;
	}
	if (rc == LT_OK)
		rc = lt_entry_header(e.changeset, &header);
	if (rc == LT_OK)
		lt_h1(LT_TAG_CHANGESET, header, hash);
	return rc;
}

/* ---- another branch ---- */

static int
seq_rename(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_feed_id *aside, uint64_t seq)
{
	struct lt_log_key from = { .len = 0 }, to = { .len = 0 };
	uint8_t value[8];
	uint64_t position;
	int rc = lt_feed_log_find(txn, unit, feed, seq, &position);

	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
	lt_log_key_feed(&from, unit, feed);
	lt_log_key_u64(&from, seq);
	lt_log_key_feed(&to, unit, aside);
	lt_log_key_u64(&to, seq);
	lt_store_u64(value, position);
	rc = lt_kv_put(txn, LT_T_SEQ, lt_log_key_slice(&to), lt_slice(value, sizeof(value)));
	return rc == LT_OK ? lt_kv_del(txn, LT_T_SEQ, lt_log_key_slice(&from)) : rc;
}

/* The head as it was when `seq` had just been appended. */
static int
head_back(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_head *head)
{
	struct lt_log_key k = { .len = 0 };
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	int rc;

	if (seq == 0) {
		lt_log_key_feed(&k, unit, feed);
		return lt_kv_del(txn, LT_T_FEED, lt_log_key_slice(&k));
	}
	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	rc = lt_feed_log_find(txn, unit, feed, seq, &head->last_position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, head->last_position, &e);
	if (rc == LT_OK)
		rc = lt_changeset_parse(e.changeset, &arena, &cs, NULL);
	if (rc == LT_OK) {
		head->seq = seq;
		head->hash = cs.hash;
		head->stamp = cs.stamp;
		head->key_no = cs.key_no;
		rc = lt_feed_log_head_put(txn, unit, feed, head);
	}
	lt_arena_fini(&arena);
	return rc == LT_E_NOTFOUND || rc == LT_E_INVALID ? LT_E_CORRUPT : rc;
}

int
lt_feed_log_set_aside(
    struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t from)
{
	struct lt_feed_id aside = lt_feed_aside(feed);
	uint64_t seq, first, last;
	struct lt_head head;
	int rc = lt_feed_log_head(txn, unit, feed, &head);

	if (rc == LT_OK && (from <= head.judged || from > head.seq))
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = lt_feed_log_aside(txn, unit, feed, &first, &last);
	if (rc == LT_OK && first != 0)
		rc = LT_E_EXISTS;
	for (seq = from; rc == LT_OK && seq <= head.seq; seq++)
		rc = seq_rename(txn, unit, feed, &aside, seq);
	return rc == LT_OK ? head_back(txn, unit, feed, from - 1, &head) : rc;
}

/* The first of the branch at or behind the key, or the last before it. */
static int
aside_end(struct lt_kv_cursor *c, const struct lt_log_key *feed, bool last, uint64_t *seq)
{
	struct lt_log_key from = *feed;
	struct lt_slice k, v;
	int rc;

	*seq = 0;
	lt_log_key_u64(&from, last ? UINT64_MAX : 0);
	rc = last ? lt_kv_seek_before(c, lt_log_key_slice(&from), &k, &v)
		  : lt_kv_seek(c, lt_log_key_slice(&from), &k, &v);
	if (rc == LT_OK && k.len == feed->len + 8 && memcmp(k.data, feed->b, feed->len) == 0)
		*seq = lt_load_u64(k.data + feed->len);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_feed_log_aside(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t *first, uint64_t *last)
{
	struct lt_feed_id aside = lt_feed_aside(feed);
	struct lt_log_key k = { .len = 0 };
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(txn, LT_T_SEQ, &c);

	*first = *last = 0;
	if (rc != LT_OK)
		return rc;
	lt_log_key_feed(&k, unit, &aside);
	rc = aside_end(c, &k, false, first);
	if (rc == LT_OK)
		rc = aside_end(c, &k, true, last);
	lt_kv_cursor_close(c);
	return rc;
}

int
lt_feed_log_each(struct lt_kv_txn *txn, const struct lt_unit *unit, lt_feed_fn *fn, void *ctx)
{
	struct lt_kv_cursor *c;
	struct lt_log_key from = { .len = 0 };
	struct lt_slice k, v;
	struct lt_reader r;
	struct lt_unit u;
	struct lt_feed_id feed;
	struct lt_head head;
	uint8_t len;
	int rc = lt_kv_cursor_open(txn, LT_T_FEED, &c), stop = LT_OK;

	if (rc != LT_OK)
		return rc;
	if (unit != NULL) {
		len = (uint8_t)strlen(unit->s);
		lt_log_key_put(&from, &len, 1);
		lt_log_key_put(&from, unit->s, len);
	}
	rc = lt_kv_seek(c, lt_log_key_slice(&from), &k, &v);
	while (rc == LT_OK) {
		lt_reader_init(&r, k);
		stop = lt_log_key_feed_read(&r, &u, &feed);
		if (stop == LT_OK && lt_reader_left(&r) != 0)
			stop = LT_E_CORRUPT;
		if (stop == LT_OK && unit != NULL && !lt_unit_eq(&u, unit))
			break;
		if (stop == LT_OK)
			stop = head_read(v, &head);
		if (stop == LT_OK)
			stop = fn(ctx, &u, &feed, &head);
		if (stop != LT_OK)
			break;
		rc = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return stop != LT_OK ? stop : rc == LT_E_NOTFOUND ? LT_OK : rc;
}
