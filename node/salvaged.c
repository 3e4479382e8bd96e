/* node/salvaged.c - a node whose store was made anew from what could be read of it: what is missing, what waits, and when it is over. */
#include "node/salvage_impl.h"
#include "proto/base/log.h"
#include "proto/store/compact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define ROW_HEAD (1 + 1 + 1 + 8 + 8)
#define ROW_FEED (LT_FEED_LEN + 8)
#define DROP_MAX 64 /* in one transaction */
#define KEPT_HASH 8 /* bytes of the hash in a name */
#define BRANCHES_MAX 16 /* of one number that are looked at */

int
lt_salvage_row_read(struct lt_kv_txn *txn, struct lt_salvage_row *out)
{
	struct lt_slice v;
	int rc = lt_local_get(txn, LT_SALVAGE_ROW, &v);
	size_t i;

	memset(out, 0, sizeof(*out));
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	if (v.len < ROW_HEAD || v.data[0] != VERSION || (v.len - ROW_HEAD) % ROW_FEED != 0 ||
	    (v.len - ROW_HEAD) / ROW_FEED > LT_SALVAGE_FEEDS_MAX)
		return LT_E_CORRUPT;
	out->open = v.data[1] != 0;
	out->older = v.data[2] != 0;
	out->at_ms = (int64_t)lt_load_u64(v.data + 3);
	out->rows = lt_load_u64(v.data + 11);
	out->nfeed = (v.len - ROW_HEAD) / ROW_FEED;
	for (i = 0; i < out->nfeed; i++) {
		const uint8_t *p = v.data + ROW_HEAD + i * ROW_FEED;

		memcpy(out->feed[i].feed.b, p, LT_FEED_LEN);
		out->feed[i].to = lt_load_u64(p + LT_FEED_LEN);
	}
	return LT_OK;
}

int
lt_salvage_row_write(struct lt_kv_txn *txn, const struct lt_salvage_row *row)
{
	struct lt_buf b;
	size_t i;
	int rc;

	lt_buf_init(&b, ROW_HEAD + LT_SALVAGE_FEEDS_MAX * ROW_FEED);
	lt_buf_u8(&b, VERSION);
	lt_buf_u8(&b, row->open);
	lt_buf_u8(&b, row->older);
	lt_buf_u64(&b, (uint64_t)row->at_ms);
	lt_buf_u64(&b, row->rows);
	for (i = 0; i < row->nfeed; i++) {
		lt_buf_put(&b, row->feed[i].feed.b, LT_FEED_LEN);
		lt_buf_u64(&b, row->feed[i].to);
	}
	rc = b.err != LT_OK ? b.err : lt_local_put(txn, LT_SALVAGE_ROW, lt_buf_slice(&b));
	lt_buf_fini(&b);
	return rc;
}

void
lt_salvage_row_note(struct lt_salvage_row *row, const struct lt_feed_id *feed, uint64_t seq)
{
	size_t i = 0;

	while (i < row->nfeed && lt_feed_id_cmp(&row->feed[i].feed, feed) != 0)
		i++;
	if (i == LT_SALVAGE_FEEDS_MAX || seq == 0)
		return;
	if (i == row->nfeed) {
		row->feed[i] = (struct lt_salvage_feed){ *feed, 0 };
		row->nfeed++;
	}
	if (row->feed[i].to < seq)
		row->feed[i].to = seq;
}

static size_t
kept_prefix(char out[LT_SALVAGE_NAME], const struct lt_feed_id *feed)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	return (size_t)snprintf(out, LT_SALVAGE_NAME, LT_SALVAGE_KEPT "%s/", hex);
}

void
lt_salvage_kept_name(char out[LT_SALVAGE_NAME], const struct lt_feed_id *feed, uint64_t seq,
    const struct lt_hash *hash)
{
	char hex[2 * KEPT_HASH + 1];
	size_t len = kept_prefix(out, feed);

	lt_hex(hex, hash->b, KEPT_HASH);
	(void)snprintf(
	    out + len, LT_SALVAGE_NAME - len, "%016llx/%s", (unsigned long long)seq, hex);
}

/* The prefix of all that are kept under a number; its length. */
static size_t
number_prefix(char out[LT_SALVAGE_NAME], const struct lt_feed_id *feed, uint64_t seq)
{
	size_t len = kept_prefix(out, feed);

	return len + (size_t)snprintf(
			 out + len, LT_SALVAGE_NAME - len, "%016llx/", (unsigned long long)seq);
}

bool
lt_salvage_is_kept(struct lt_kv_txn *txn, const struct lt_feed_id *feed, uint64_t seq)
{
	char prefix[LT_SALVAGE_NAME];
	size_t len = number_prefix(prefix, feed, seq);
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return false;
	rc = lt_kv_seek_in(c, lt_slice(prefix, len), &k, &v);
	lt_kv_cursor_close(c);
	return rc == LT_OK;
}

/* The number in the name of a row that begins with a prefix of len bytes. */
static bool
kept_seq(struct lt_slice name, size_t len, uint64_t *seq)
{
	uint8_t be[8];
	char hex[17];

	if (name.len != len + 16 + 1 + 2 * KEPT_HASH)
		return false;
	memcpy(hex, name.data + len, 16);
	hex[16] = '\0';
	if (lt_unhex(be, sizeof(be), hex) != LT_OK)
		return false;
	*seq = lt_load_u64(be);
	return true;
}

bool
lt_salvage_kept_parse(struct lt_slice name, struct lt_feed_id *feed, uint64_t *seq)
{
	const size_t head = strlen(LT_SALVAGE_KEPT);
	char hex[2 * LT_FEED_LEN + 1];

	if (name.len < head + sizeof(hex) || memcmp(name.data, LT_SALVAGE_KEPT, head) != 0)
		return false;
	memcpy(hex, name.data + head, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	return name.data[head + sizeof(hex) - 1] == '/' &&
	       lt_unhex(feed->b, LT_FEED_LEN, hex) == LT_OK &&
	       kept_seq(name, head + sizeof(hex), seq);
}

/* ---- what waits ---- */

int
lt_node_show_own(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_changeset *cs)
{
	struct lt_head head;
	uint64_t position;
	int rc = lt_feed_log_head(txn, &cs->unit, &cs->feed, &head);

	if (rc != LT_OK || head.judged >= cs->seq)
		return rc;
	rc = lt_feed_log_find(txn, &cs->unit, &cs->feed, cs->seq, &position);
	return rc == LT_OK ? lt_node_project_own(n, txn, cat, cs, position) : rc;
}

/* This one goes in behind the head, if it follows there. */
static int
join_one(struct lt_node *n, struct lt_kv_txn *txn, struct lt_slice name, struct lt_slice bytes,
    const struct lt_head *head, bool *follows, const struct lt_catalogue *cat,
    const struct lt_registry *reg, struct lt_err *err)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	uint8_t *copy;
	int rc;

	*follows = false;
	lt_arena_init(&arena, LT_NODE_ARENA);
	/* The row moves when the transaction writes. */
	copy = lt_arena_dup(&arena, bytes.data, bytes.len);
	if (copy == NULL) {
		lt_arena_fini(&arena);
		return LT_E_NOMEM;
	}
	*follows = lt_changeset_parse(lt_slice(copy, bytes.len), &arena, &cs, err) == LT_OK &&
		   lt_changeset_verify_chain(&cs, head->seq, &head->hash, head->stamp) == LT_OK;
	rc = *follows ? lt_node_take_kept(n, txn, &cs, cat, reg, &arena, err) : LT_OK;
	if (rc == LT_OK && *follows)
		rc = lt_node_show_own(n, txn, cat, &cs);
	if (rc == LT_OK && *follows)
		rc = lt_kv_del(txn, LT_T_LOCAL, name);
	/* An act may have erased what it has meanwhile, and does not reach it here. */
	if (rc == LT_OK && *follows)
		rc = lt_compact_owe(txn);
	lt_arena_fini(&arena);
	return rc;
}

/* Of those kept under the next number the one that follows, if there is one. */
static int
join_next(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_feed_id *feed,
    const struct lt_head *head, bool *joined, const struct lt_catalogue *cat,
    const struct lt_registry *reg, struct lt_err *err)
{
	char prefix[LT_SALVAGE_NAME];
	uint8_t name[LT_SALVAGE_NAME];
	size_t len = number_prefix(prefix, feed, head->seq + 1);
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	unsigned tried = 0;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c), got;

	*joined = false;
	if (rc != LT_OK)
		return rc;
	for (got = lt_kv_seek_in(c, lt_slice(prefix, len), &k, &v);
	     got == LT_OK && tried < BRANCHES_MAX;
	     got = lt_kv_next_in(c, lt_slice(prefix, len), &k, &v)) {
		tried++;
		if (k.len > sizeof(name))
			continue;
		memcpy(name, k.data, k.len);
		rc = join_one(n, txn, lt_slice(name, k.len), v, head, joined, cat, reg, err);
		/* A write ends what the cursor stands on. */
		if (rc != LT_OK || *joined)
			break;
	}
	lt_kv_cursor_close(c);
	if (rc == LT_OK && !*joined && got != LT_OK && got != LT_E_NOTFOUND && got != LT_E_CORRUPT)
		rc = got;
	return rc;
}

struct kept_job {
	struct lt_node *n;
	struct lt_feed_id feed;
	bool moved; /* out: there may be more */
	uint64_t head;
	struct lt_err err;
};

static int
run_join(struct lt_kv_txn *txn, void *ctx)
{
	struct kept_job *j = ctx;
	struct lt_catalogue *cat = lt_node_catalogue(j->n);
	struct lt_registry *reg = lt_node_registry(j->n);
	struct lt_head head = { 0 };
	int rc = lt_feed_log_head(txn, &lt_node_identity(j->n)->unit, &j->feed, &head);

	j->moved = false;
	if (rc == LT_OK)
		rc = join_next(j->n, txn, &j->feed, &head, &j->moved, cat, reg, &j->err);
	j->moved = j->moved && rc == LT_OK;
	j->head = head.seq + j->moved;
	lt_registry_unref(reg);
	lt_catalogue_unref(cat);
	return rc;
}

/* Here under its number, with its hash: it came back in another way. What stands under that number as another is another branch, and stays. */
static bool
is_back(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, struct lt_slice name)
{
	char have[LT_SALVAGE_NAME];
	struct lt_hash hash;

	if (lt_feed_log_hash(txn, unit, feed, seq, &hash) != LT_OK)
		return false;
	lt_salvage_kept_name(have, feed, seq, &hash);
	return lt_slice_eq(name, lt_slice_str(have));
}

/* Of what is kept, what came back in another way goes. */
static int
run_drop(struct lt_kv_txn *txn, void *ctx)
{
	struct kept_job *j = ctx;
	const struct lt_unit *unit = &lt_node_identity(j->n)->unit;
	char prefix[LT_SALVAGE_NAME], gone[DROP_MAX][LT_SALVAGE_NAME];
	size_t len = kept_prefix(prefix, &j->feed), n = 0, i;
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_head head = { 0 };
	uint64_t seq;
	int rc = lt_feed_log_head(txn, unit, &j->feed, &head), got;

	j->moved = false;
	if (rc == LT_OK)
		rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);
	if (rc != LT_OK)
		return rc;
	for (got = lt_kv_seek_in(c, lt_slice(prefix, len), &k, &v); got == LT_OK && n < DROP_MAX;
	     got = lt_kv_next_in(c, lt_slice(prefix, len), &k, &v)) {
		if (!kept_seq(k, len, &seq))
			continue;
		if (seq > head.seq)
			break;
		if (is_back(txn, unit, &j->feed, seq, k)) {
			memcpy(gone[n], k.data, k.len);
			gone[n++][k.len] = '\0';
		}
	}
	lt_kv_cursor_close(c);
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = lt_kv_del(txn, LT_T_LOCAL, lt_slice_str(gone[i]));
	if (rc == LT_OK && n != 0)
		rc = lt_compact_owe(txn);
	j->moved = n == DROP_MAX;
	return rc == LT_OK && got != LT_OK && got != LT_E_NOTFOUND && got != LT_E_CORRUPT ? got
											  : rc;
}

/* What is kept of a feed, and what is missing before and between these. Of a number that the feed has as another what is kept waits, too: it
 * cannot go in, and nobody else may have it. */
static int
kept_of(struct lt_kv_txn *txn, const struct lt_feed_id *feed, struct lt_salvage_state *st,
    uint64_t head, uint64_t to)
{
	char prefix[LT_SALVAGE_NAME];
	size_t len = kept_prefix(prefix, feed);
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint64_t next = head + 1;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c), got;

	if (rc != LT_OK)
		return rc;
	got = lt_kv_seek_in(c, lt_slice(prefix, len), &k, &v);
	for (;; got = lt_kv_next_in(c, lt_slice(prefix, len), &k, &v)) {
		uint64_t seq = to + 1;

		if (got == LT_OK) {
			if (!kept_seq(k, len, &seq))
				continue;
			st->waiting++;
			if (seq < next)
				continue;
		}
		if (seq > next && next <= to) {
			if (st->ngap == LT_SALVAGE_GAPS_MAX)
				st->more = true;
			else
				st->gap[st->ngap++] = (struct lt_salvage_gap){ *feed, next,
					(seq <= to ? seq : to + 1) - 1 };
		}
		next = seq + 1;
		if (got != LT_OK)
			break;
	}
	lt_kv_cursor_close(c);
	/* One that does not verify is among what a scrub reports. */
	return got == LT_E_NOTFOUND || got == LT_E_CORRUPT ? LT_OK : got;
}

static int
state_of(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_salvage_row *row,
    struct lt_salvage_state *out)
{
	size_t i;
	int rc = LT_OK;

	memset(out, 0, sizeof(*out));
	out->at_ms = row->at_ms;
	out->rows = row->rows;
	out->older = row->older;
	out->open = row->open;
	for (i = 0; rc == LT_OK && i < row->nfeed; i++) {
		struct lt_head head;

		rc = lt_feed_log_head(txn, unit, &row->feed[i].feed, &head);
		if (rc == LT_OK)
			rc = kept_of(txn, &row->feed[i].feed, out, head.seq, row->feed[i].to);
	}
	return rc;
}

int
lt_node_salvage_state(struct lt_node *n, struct lt_salvage_state *out)
{
	struct lt_salvage_row *row = malloc(sizeof(*row));
	struct lt_kv_txn *txn;
	int rc;

	memset(out, 0, sizeof(*out));
	if (row == NULL)
		return LT_E_NOMEM;
	rc = lt_kv_begin_read(n->kv, &txn);
	if (rc == LT_OK) {
		rc = lt_salvage_row_read(txn, row);
		if (rc == LT_OK)
			rc = state_of(txn, &lt_node_identity(n)->unit, row, out);
		lt_kv_abort(txn);
	}
	free(row);
	return rc;
}

/* Of one that is kept; *left: how many more may be told. */
static int
records_of(struct lt_slice bytes, size_t *left, lt_salvage_record_fn *fn, void *ctx)
{
	char record[LT_NAME_MAX + 1 + LT_KEY_MAX + 1];
	struct lt_changeset cs;
	struct lt_arena arena;
	size_t i;
	int rc;

	lt_arena_init(&arena, LT_NODE_ARENA);
	rc = lt_changeset_parse(bytes, &arena, &cs, NULL);
	for (i = 0; rc == LT_OK && *left != 0 && i < cs.nchange; i++, --*left) {
		(void)snprintf(
		    record, sizeof(record), "%s/%s", cs.change[i].collection, cs.change[i].key);
		rc = fn(ctx, record);
	}
	lt_arena_fini(&arena);
	return rc;
}

int
lt_node_salvage_records(struct lt_node *n, lt_salvage_record_fn *fn, void *ctx)
{
	const struct lt_slice prefix = lt_slice_str(LT_SALVAGE_KEPT);
	size_t left = LT_SALVAGE_RECORDS_MAX;
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k, v;
	int rc = lt_kv_begin_read(n->kv, &txn), got;

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);
	if (rc == LT_OK) {
		for (got = lt_kv_seek_in(c, prefix, &k, &v);
		     rc == LT_OK && got == LT_OK && left != 0;
		     got = lt_kv_next_in(c, prefix, &k, &v)) {
			rc = records_of(v, &left, fn, ctx);
			/* One of which nothing can be told does not hide the others. */
			if (rc != LT_OK && rc != LT_E_CANCELLED && rc != LT_E_NOMEM)
				rc = LT_OK;
		}
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	return rc == LT_E_CANCELLED ? LT_OK : rc;
}

/* ---- when it is over ---- */

void
lt_node_salvage_begin(struct lt_node *n)
{
	struct lt_salvage_state st;
	int rc = lt_node_salvage_state(n, &st);

	/* Of a row that cannot be read nobody can say that it is over. */
	n->salvage_open = rc != LT_OK || st.open;
	n->salvage_waits = n->salvage_open || st.waiting != 0;
}

bool
lt_node_salvage_open(struct lt_node *n)
{
	return n->salvage_open;
}

bool
lt_node_salvage_waits(struct lt_node *n)
{
	return n->salvage_open || n->salvage_waits;
}

static int
run_close(struct lt_kv_txn *txn, void *ctx)
{
	struct lt_salvage_row *row = ctx;
	int rc = lt_salvage_row_read(txn, row);

	if (rc != LT_OK || !row->open)
		return rc;
	row->open = false;
	return lt_salvage_row_write(txn, row);
}

static void
say_gaps(const struct lt_salvage_state *st)
{
	size_t i;

	if (st->older)
		lt_error(
		    "SALVAGE: the file was of before what was saved last: see what was saved just "
		    "before the damage, and enter again what is not there (tệp cũ hơn lần lưu "
		    "cuối: "
		    "hãy xem lại những gì lưu ngay trước khi hỏng, thiếu thì nhập lại)");
	for (i = 0; i < st->ngap; i++)
		lt_error(
		    "SALVAGE: change-sets %llu to %llu of this machine (lane %d, epoch "
		    "%016llx) could not be "
		    "read, and the province does not have them: what was saved with them has to "
		    "be entered again (các gói này không đọc được và tỉnh không có: phải nhập "
		    "lại)",
		    (unsigned long long)st->gap[i].from, (unsigned long long)st->gap[i].to,
		    (int)lt_feed_lane(&st->gap[i].feed),
		    (unsigned long long)lt_feed_epoch(&st->gap[i].feed));
	if (st->waiting != 0)
		lt_error(
		    "SALVAGE: %llu change-sets behind these could be read, but cannot be sent; "
		    "they are kept here",
		    (unsigned long long)st->waiting);
}

/* No catalogue, registry or room makes another answer of it: a revocation bars it, or it is not what was signed. It stays kept. */
static bool
is_for_good(int rc)
{
	return rc == LT_E_REVOKED || rc == LT_E_DENIED || rc == LT_E_BADSIG || rc == LT_E_BADHASH ||
	       rc == LT_E_INVALID || rc == LT_E_TOOBIG;
}

/* Feed by feed, as far as what is kept reaches. One that does not go in stays kept, and does not hold up the others. */
static int
join_feed(struct lt_node *n, const struct lt_feed_id *feed)
{
	struct kept_job j = { .n = n, .feed = *feed, .moved = true };
	bool moved = false;
	int rc = LT_OK;

	while (rc == LT_OK && j.moved)
		rc = lt_writer_run(n->writer, run_drop, &j);
	j.moved = rc == LT_OK;
	while (rc == LT_OK && j.moved) {
		rc = lt_writer_run(n->writer, run_join, &j);
		moved |= rc == LT_OK && j.moved;
	}
	if (rc != LT_OK && !n->salvage_failed) {
		n->salvage_failed = true;
		lt_error("SALVAGE: a change-set that was kept is not taken in%s: %s (một gói được "
			 "giữ lại "
			 "chưa nhận vào được)",
		    is_for_good(rc) ? "" : "; it is tried again",
		    j.err.text[0] != '\0' ? j.err.text : lt_strerror(rc));
	}
	rc = is_for_good(rc) ? LT_OK : rc;
	if (!moved)
		return rc;
	pthread_mutex_lock(&n->moved_mx);
	if (n->moved != NULL)
		n->moved(n->moved_ctx, &j.feed, j.head);
	pthread_mutex_unlock(&n->moved_mx);
	return rc;
}

/* The first feed behind *feed, all zero: the first of all, of which something is kept. LT_E_NOTFOUND. */
static int
next_kept(struct lt_node *n, struct lt_feed_id *feed, bool *first)
{
	char from[LT_SALVAGE_NAME] = LT_SALVAGE_KEPT;
	size_t len = strlen(from);
	struct lt_kv_cursor *c;
	struct lt_kv_txn *txn;
	struct lt_slice k = { NULL, 0 }, v;
	uint64_t seq;
	int rc = lt_kv_begin_read(n->kv, &txn);

	if (rc != LT_OK)
		return rc;
	/* Behind all that begins with its name and a '/'. */
	if (!*first) {
		len = kept_prefix(from, feed);
		from[len - 1]++;
	}
	*first = false;
	rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);
	if (rc == LT_OK) {
		rc = lt_kv_seek(c, lt_slice(from, len), &k, &v);
		/* One that does not verify names its feed all the same. */
		if ((rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0)))
			rc = lt_salvage_kept_parse(k, feed, &seq) ? LT_OK : LT_E_NOTFOUND;
		lt_kv_cursor_close(c);
	}
	lt_kv_abort(txn);
	return rc;
}

/* All that is kept goes in as far as it follows. What fails is tried again at the next catch-up. */
static int
join_all(struct lt_node *n)
{
	struct lt_feed_id feed;
	bool first = true;
	int rc = LT_OK, got;

	while ((got = next_kept(n, &feed, &first)) == LT_OK) {
		got = join_feed(n, &feed);
		rc = rc != LT_OK ? rc : got;
	}
	return rc != LT_OK || got == LT_E_NOTFOUND ? rc : got;
}

/* What waits is asked after for as long as it waits: the hub may get later what it lacks now. Over is only that something may be missing. */
int
lt_node_salvage_caught_up(struct lt_node *n)
{
	struct lt_salvage_row *row;
	struct lt_salvage_state st;
	bool was_open = n->salvage_open;
	int rc;

	if (!n->salvage_waits)
		return LT_OK;
	rc = join_all(n);
	if (rc == LT_OK && was_open) {
		row = malloc(sizeof(*row));
		rc = row == NULL ? LT_E_NOMEM : lt_writer_run(n->writer, run_close, row);
		free(row);
	}
	if (rc == LT_OK)
		rc = lt_node_salvage_state(n, &st);
	if (rc != LT_OK)
		return rc;
	n->salvage_open = false;
	n->salvage_waits = st.waiting != 0;
	if (was_open) {
		lt_info("all that the province has is here again after the store was made anew");
		say_gaps(&st);
	}
	return LT_OK;
}
