#include "proto/service/feeds.h"
#include "proto/base/clock.h"
#include "proto/service/reading.h"

#include <string.h>

#define LOG_MAX 64
#define PARSE_ARENA ((size_t)64 * 1024 * 1024)

struct listing {
	struct lt_kv_txn *log;
	const struct lt_registry *reg;
	const struct lt_feeds_sight *sight;
	struct lt_arena *arena;
	Ltpb__ListFeedsReply *reply;
	size_t max;
	bool as_signed;
};

static Ltpb__FeedHead *
head_told(struct lt_arena *arena, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	Ltpb__FeedHead *h = lt_arena_alloc(arena, sizeof(*h));

	if (h == NULL)
		return NULL;
	ltpb__feed_head__init(h);
	h->unit = lt_arena_dup(arena, unit->s, strlen(unit->s));
	h->feed.data = lt_arena_dup(arena, feed->b, LT_FEED_LEN);
	h->feed.len = LT_FEED_LEN;
	h->seq = head->seq;
	h->hash.data = lt_arena_dup(arena, head->hash.b, LT_HASH_LEN);
	h->hash.len = LT_HASH_LEN;
	return h->unit == NULL || h->feed.data == NULL || h->hash.data == NULL ? NULL : h;
}

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct listing *l = ctx;
	struct lt_id author = lt_feed_author(feed);
	const char *known = lt_author_label((void *)l->reg, &author);
	Ltpb__FeedStatus *s = lt_arena_alloc(l->arena, sizeof(*s));
	char hex[2 * LT_ID_LEN + 1];
	const char *name = hex;

	if (l->sight != NULL && !l->sight->unit(l->sight->ctx, unit->s))
		return LT_OK;
	if (s == NULL || l->reply->n_feed == l->max)
		return LT_E_NOMEM;
	lt_hex(hex, author.b, LT_ID_LEN);
	if (known != NULL && known[0] != '\0')
		name = known;
	ltpb__feed_status__init(s);
	s->head = head_told(l->arena, unit, feed, head);
	s->author = lt_arena_dup(l->arena, name, strlen(name));
	s->time_ms = LT_STAMP_MS(l->as_signed ? head->stamp : head->effective);
	s->judged = head->judged;
	/* Only a node has branches of its own aside. */
	if (l->as_signed &&
	    lt_feed_log_aside(l->log, unit, feed, &s->forked_from, &s->forked_to) != LT_OK)
		return LT_E_CORRUPT;
	if (s->head == NULL || s->author == NULL)
		return LT_E_NOMEM;
	l->reply->feed[l->reply->n_feed++] = s;
	return LT_OK;
}

int
lt_feeds_list(struct lt_kv_txn *log, const Ltpb__ListFeedsRequest *req,
    const struct lt_registry *reg, const struct lt_feeds_sight *sight, bool as_signed, size_t max,
    struct lt_arena *arena, Ltpb__ListFeedsReply *reply)
{
	struct listing l = { log, reg, sight, arena, reply, max, as_signed };
	struct lt_unit unit;
	bool one = req->unit[0] != '\0';
	int rc = one ? lt_unit_set(&unit, lt_slice_str(req->unit)) : LT_OK;

	if (rc != LT_OK)
		return rc;
	if (one && sight != NULL && !sight->unit(sight->ctx, unit.s))
		return LT_E_DENIED;
	reply->feed = lt_arena_alloc(arena, max * sizeof(*reply->feed));
	if (reply->feed == NULL)
		return LT_E_NOMEM;
	return lt_feed_log_each(log, one ? &unit : NULL, note_feed, &l);
}

/* LT_E_DENIED: some change is not. */
static int
in_sight(const struct lt_feeds_sight *sight, const struct lt_entry *e, struct lt_err *err)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	size_t i;
	int rc;

	if (sight == NULL)
		return LT_OK;
	lt_arena_init(&arena, PARSE_ARENA);
	rc = lt_changeset_parse(e->changeset, &arena, &cs, err);
	if (rc != LT_OK && rc != LT_E_NOMEM)
		rc = LT_E_CORRUPT;
	for (i = 0; rc == LT_OK && i < cs.nchange; i++)
		if (!sight->changes(sight->ctx, cs.unit.s, cs.change[i].collection))
			rc = lt_err_set(err, LT_E_DENIED,
			    "change-set %llu of this feed holds what this grant does not open; go "
			    "on "
			    "from %llu",
			    (unsigned long long)cs.seq, (unsigned long long)cs.seq + 1);
	lt_arena_fini(&arena);
	return rc;
}

/* The change-set at a position into the reply, unless it is full: then *full. */
static int
add_entry(struct lt_kv_txn *log, uint64_t position, lt_may_fn *may,
    const struct lt_feeds_sight *sight, struct lt_arena *arena, Ltpb__ReadLogReply *reply,
    size_t *bytes, bool *full, struct lt_err *err)
{
	ProtobufCBinaryData *d = &reply->change_set[reply->n_change_set];
	struct lt_entry e;
	struct lt_buf b;
	int rc = lt_feed_log_read(log, position, &e);

	if (rc == LT_OK)
		rc = in_sight(sight, &e, err);
	*full = rc == LT_E_DENIED && reply->n_change_set != 0;
	if (rc != LT_OK)
		return *full ? LT_OK : rc;
	lt_buf_init(&b, LT_MESSAGE_MAX);
	rc = lt_feed_log_compose(log, &e, may, NULL, &b, err);
	*full = reply->n_change_set != 0 && *bytes + b.len > LT_LISTING_BYTES_MAX;
	if (rc == LT_OK && !*full) {
		d->data = lt_arena_dup(arena, b.data, b.len);
		d->len = b.len;
		*bytes += b.len;
		rc = d->data == NULL ? LT_E_NOMEM : LT_OK;
		reply->n_change_set += rc == LT_OK;
	}
	lt_buf_fini(&b);
	return rc;
}

int
lt_feeds_read(struct lt_kv_txn *log, const Ltpb__ReadLogRequest *req, lt_may_fn *may,
    const struct lt_feeds_sight *sight, struct lt_arena *arena, Ltpb__ReadLogReply *reply,
    struct lt_err *err)
{
	uint32_t limit = req->limit == 0 || req->limit > LOG_MAX ? LOG_MAX : req->limit;
	uint64_t seq = req->from_seq == 0 ? 1 : req->from_seq, position;
	struct lt_feed_id feed;
	struct lt_unit unit;
	size_t bytes = 0;
	bool full = false;
	int rc = lt_unit_set(&unit, lt_slice_str(req->unit));

	if (rc != LT_OK || req->feed.len != LT_FEED_LEN)
		return lt_err_set(err, LT_E_INVALID, "name a unit and a feed");
	if (sight != NULL && !sight->unit(sight->ctx, unit.s))
		return lt_err_set(err, LT_E_DENIED, "this grant does not open unit %s", unit.s);
	memcpy(feed.b, req->feed.data, LT_FEED_LEN);
	reply->change_set = lt_arena_alloc(arena, limit * sizeof(*reply->change_set));
	if (reply->change_set == NULL)
		return LT_E_NOMEM;
	for (; !full && reply->n_change_set < limit; seq++) {
		rc = lt_feed_log_find(log, &unit, &feed, seq, &position);
		if (rc == LT_E_NOTFOUND)
			return LT_OK;
		if (rc == LT_OK)
			rc = add_entry(log, position, may, sight, arena, reply, &bytes, &full, err);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}
