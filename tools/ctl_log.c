#include "tools/ctl_log.h"
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/author.h"
#include "proto/store/feed_log.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 64
#define CERTIFICATE_MAX 4096
#define ARENA_MAX ((size_t)1024 * 1024)

/* ---- opening ---- */

static enum ctl_exit
open_store(struct ctl_log *log)
{
	struct ctl *c = log->c;
	bool hub = c->id->role == LTPB__ROLE__ROLE_HUB;
	struct lt_kv_options o = { .kind = hub ? LT_KV_HUB_LOG : LT_KV_NODE,
		.federation = c->id->federation.b,
		.tables = lt_table_names,
		.read_only = true };
	struct lt_err err = { "" };
	int rc;

	if (ctl_is_client(c))
		return ctl_fail(CTL_USAGE, "%s",
		    T("a client keeps no store; --offline is for nodes and hubs",
			"máy khách không có kho; --offline dành cho máy của xã và đầu mối"));
	o.path = ctl_path(c, hub ? "log" : "store");
	if (o.path == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	rc = lt_kv_open_lmdb(&o, &log->kv, &err);
	if (rc == LT_E_CORRUPT)
		return ctl_fail(CTL_NO, "%s", ctl_said(rc, &err));
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static int
note_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct ctl_log *log = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct ctl_feed *f;

	if (log->nfeed == CTL_FEEDS_MAX)
		return LT_E_TOOBIG;
	f = &log->feed[log->nfeed++];
	f->unit = *unit;
	f->feed = *feed;
	f->seq = head->seq;
	f->hash = head->hash;
	f->judged = head->judged;
	f->forked_from = f->forked_to = 0;
	f->time_ms = LT_STAMP_MS(head->effective != 0 ? head->effective : head->stamp);
	f->author = ctl_hex(&log->c->arena, author.b, LT_ID_LEN);
	return LT_OK;
}

static enum ctl_exit
list_offline(struct ctl_log *log, const char *unit)
{
	struct lt_kv_txn *txn;
	struct lt_unit u;
	int rc = LT_OK;

	if (unit != NULL && lt_unit_set(&u, lt_slice_str(unit)) != LT_OK)
		return ctl_fail(
		    CTL_USAGE, T("'%s' is no unit code", "'%s' không phải mã đơn vị"), unit);
	rc = lt_kv_begin_read(log->kv, &txn);
	if (rc == LT_OK) {
		rc = lt_feed_log_each(txn, unit != NULL ? &u : NULL, note_feed, log);
		lt_kv_abort(txn);
	}
	if (rc == LT_E_CORRUPT)
		return ctl_fail(
		    CTL_NO, "%s", T("the table of feeds is damaged", "bảng dòng dữ liệu bị hỏng"));
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, NULL);
}

static bool
take_status(struct ctl_log *log, const Ltpb__FeedStatus *s)
{
	struct ctl_feed *f = &log->feed[log->nfeed];

	if (log->nfeed == CTL_FEEDS_MAX || s->head == NULL || s->head->feed.len != LT_FEED_LEN ||
	    s->head->hash.len != LT_HASH_LEN ||
	    lt_unit_set(&f->unit, lt_slice_str(s->head->unit)) != LT_OK)
		return false;
	memcpy(f->feed.b, s->head->feed.data, LT_FEED_LEN);
	memcpy(f->hash.b, s->head->hash.data, LT_HASH_LEN);
	f->seq = s->head->seq;
	f->judged = s->judged;
	f->forked_from = s->forked_from;
	f->forked_to = s->forked_to;
	f->time_ms = s->time_ms;
	f->author = lt_arena_dup(&log->c->arena, s->author, strlen(s->author));
	if (f->author == NULL)
		return false;
	log->nfeed++;
	return true;
}

static enum ctl_exit
list_online(struct ctl_log *log, const char *unit)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;
	const Ltpb__ListFeedsReply *r;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;
	size_t i;

	if (unit != NULL)
		req.unit = (char *)unit;
	code = ctl_call(log->c, &ltpb__admin__descriptor, "ListFeeds", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListFeedsReply *)m;
	for (i = 0; code == CTL_DONE && i < r->n_feed; i++)
		if (!take_status(log, r->feed[i]))
			code = ctl_fail(CTL_UNKNOWN, "%s",
			    T("the list of feeds makes no sense",
				"danh sách dòng dữ liệu không hợp lệ"));
	ctl_reply_free(m);
	return code;
}

enum ctl_exit
ctl_log_open(struct ctl *c, bool offline, const char *unit, struct ctl_log *log)
{
	enum ctl_exit code;

	memset(log, 0, sizeof(*log));
	log->c = c;
	log->feed = lt_arena_alloc(&c->arena, CTL_FEEDS_MAX * sizeof(*log->feed));
	if (log->feed == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	code = ctl_open(c);
	if (code == CTL_DONE)
		code = offline ? open_store(log) : ctl_connect(c);
	if (code == CTL_DONE)
		code = offline ? list_offline(log, unit) : list_online(log, unit);
	return code;
}

void
ctl_log_close(struct ctl_log *log)
{
	lt_kv_close(log->kv);
	free(log->key);
}

/* ---- naming a feed ---- */

static bool
feed_fits(const struct ctl_feed *f, const char *unit, const char *name)
{
	char hex[2 * LT_FEED_LEN + 1];
	size_t n = strlen(name);

	if (strcmp(f->unit.s, unit) != 0)
		return false;
	if (strcmp(name, ctl_lane((int)lt_feed_lane(&f->feed))) == 0)
		return true;
	lt_hex(hex, f->feed.b, LT_FEED_LEN);
	return n >= 4 && n <= 2 * LT_FEED_LEN && strncmp(hex, name, n) == 0;
}

enum ctl_exit
ctl_log_find(struct ctl_log *log, const char *unit, const char *name, const struct ctl_feed **out)
{
	size_t i, n = 0;

	for (i = 0; i < log->nfeed; i++)
		if (feed_fits(&log->feed[i], unit, name)) {
			*out = &log->feed[i];
			n++;
		}
	if (n == 1)
		return CTL_DONE;
	if (n > 1)
		return ctl_fail(CTL_USAGE,
		    T("several feeds of %s fit '%s'; see 'ltctl feeds'",
			"nhiều dòng của %s khớp '%s'; xem 'ltctl feeds'"),
		    unit, name);
	return ctl_fail(CTL_NO,
	    T("no feed '%s' of unit %s here; see 'ltctl feeds'",
		"ở đây không có dòng '%s' của đơn vị %s; xem 'ltctl feeds'"),
	    name, unit);
}

/* ---- walking ---- */

static enum ctl_exit
bad_change_set(uint64_t seq, int rc, const struct lt_err *err)
{
	return ctl_fail(rc == LT_E_NOMEM ? CTL_UNKNOWN : CTL_NO, "%s %llu: %s",
	    T("change-set", "gói"), (unsigned long long)seq, ctl_said(rc, err));
}

static enum ctl_exit
hand_over(
    struct lt_slice bytes, const struct ctl_feed *feed, uint64_t seq, ctl_log_fn *fn, void *ctx)
{
	struct lt_changeset cs;
	struct lt_err err = { "" };
	struct lt_arena arena;
	enum ctl_exit code;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	rc = lt_changeset_parse(bytes, &arena, &cs, &err);
	if (rc == LT_OK && (cs.seq != seq || !lt_unit_eq(&cs.unit, &feed->unit) ||
			       lt_feed_id_cmp(&cs.feed, &feed->feed) != 0))
		rc = lt_err_set(&err, LT_E_INVALID, "%s",
		    T("another change-set stands in its place", "một gói khác nằm ở chỗ này"));
	code = rc == LT_OK ? fn(ctx, &cs) : bad_change_set(seq, rc, &err);
	lt_arena_fini(&arena);
	return code;
}

static enum ctl_exit
walk_online(struct ctl_log *log, const struct ctl_feed *feed, uint64_t from, uint64_t to,
    ctl_log_fn *fn, void *ctx)
{
	Ltpb__ReadLogRequest req = LTPB__READ_LOG_REQUEST__INIT;
	enum ctl_exit code = CTL_DONE;
	uint64_t seq = from;

	req.unit = (char *)feed->unit.s;
	req.feed.data = (uint8_t *)feed->feed.b;
	req.feed.len = LT_FEED_LEN;
	while (code == CTL_DONE && seq <= to) {
		const Ltpb__ReadLogReply *r;
		ProtobufCMessage *m = NULL;
		size_t i;

		req.from_seq = seq;
		req.limit = to - seq < PAGE ? (uint32_t)(to - seq + 1) : PAGE;
		code = ctl_call(log->c, &ltpb__admin__descriptor, "ReadLog", &req.base, &m);
		if (code != CTL_DONE)
			return code;
		r = (const Ltpb__ReadLogReply *)m;
		if (r->n_change_set == 0)
			code = bad_change_set(seq, LT_E_NOTFOUND, &(struct lt_err){ "" });
		for (i = 0; code == CTL_DONE && i < r->n_change_set && seq <= to; i++, seq++)
			code = hand_over(lt_slice(r->change_set[i].data, r->change_set[i].len),
			    feed, seq, fn, ctx);
		ctl_reply_free(m);
	}
	return code;
}

/* A read transaction for each change-set: short, also beside a daemon that writes. */
static enum ctl_exit
read_offline(struct ctl_log *log, const struct ctl_feed *feed, uint64_t seq, struct lt_buf *out)
{
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_kv_begin_read(log->kv, &txn);

	if (rc != LT_OK)
		return ctl_error(rc, NULL);
	lt_buf_init(out, LT_MESSAGE_MAX);
	rc = lt_feed_log_find(txn, &feed->unit, &feed->feed, seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(txn, &e, NULL, NULL, out, &err);
	lt_kv_abort(txn);
	return rc == LT_OK ? CTL_DONE : bad_change_set(seq, rc, &err);
}

static enum ctl_exit
walk_offline(struct ctl_log *log, const struct ctl_feed *feed, uint64_t from, uint64_t to,
    ctl_log_fn *fn, void *ctx)
{
	enum ctl_exit code = CTL_DONE;
	uint64_t seq;

	for (seq = from; code == CTL_DONE && seq <= to; seq++) {
		struct lt_buf b = { 0 };

		code = read_offline(log, feed, seq, &b);
		if (code == CTL_DONE)
			code = hand_over(lt_buf_slice(&b), feed, seq, fn, ctx);
		lt_buf_fini(&b);
	}
	return code;
}

enum ctl_exit
ctl_log_walk(struct ctl_log *log, const struct ctl_feed *feed, uint64_t from, uint64_t limit,
    ctl_log_fn *fn, void *ctx)
{
	uint64_t to = feed->seq;

	if (from == 0)
		from = 1;
	if (limit != 0 && to >= from && to - from >= limit)
		to = from + limit - 1;
	return log->kv != NULL ? walk_offline(log, feed, from, to, fn, ctx)
			       : walk_online(log, feed, from, to, fn, ctx);
}

/* ---- keys ---- */

static int
add_key(struct ctl_log *log, const struct lt_id *author, uint32_t no, const uint8_t key[32])
{
	struct ctl_key *k;

	if (ctl_log_key(log, author, no) != NULL)
		return LT_OK; /* a key number is never given twice: what came first stays */
	if (log->nkey == log->key_cap) {
		k = realloc(log->key, (log->key_cap * 2 + 64) * sizeof(*k));
		if (k == NULL)
			return LT_E_NOMEM;
		log->key = k;
		log->key_cap = log->key_cap * 2 + 64;
	}
	k = &log->key[log->nkey++];
	k->author = *author;
	k->no = no;
	memcpy(k->sign_key, key, 32);
	return LT_OK;
}

const uint8_t *
ctl_log_key(const struct ctl_log *log, const struct lt_id *author, uint32_t no)
{
	size_t i;

	for (i = 0; i < log->nkey; i++)
		if (log->key[i].no == no && lt_id_eq(&log->key[i].author, author))
			return log->key[i].sign_key;
	return NULL;
}

static int
certificate_of_store(struct lt_kv *kv, struct lt_buf *out)
{
	struct lt_kv_txn *txn;
	struct lt_slice cert;
	int rc = lt_kv_begin_read(kv, &txn);

	if (rc != LT_OK)
		return rc;
	rc = lt_local_get(txn, "hub_certificate", &cert);
	if (rc == LT_OK)
		lt_buf_put_slice(out, cert);
	lt_kv_abort(txn);
	return rc == LT_OK ? out->err : rc;
}

enum ctl_exit
ctl_hub_certificate(struct ctl *c, struct lt_kv *kv, struct lt_buf *out)
{
	struct lt_err err = { "" };
	struct lt_kv_options o = { .kind = LT_KV_NODE,
		.federation = c->id->federation.b,
		.tables = lt_table_names,
		.read_only = true };
	struct lt_kv *own = NULL;
	int rc;

	if (c->id->role == LTPB__ROLE__ROLE_HUB) {
		lt_buf_put_slice(out, c->id->certificate);
		rc = out->err;
	} else if (ctl_is_client(c)) {
		rc = lt_file_read(ctl_path(c, "hub.certificate"), CERTIFICATE_MAX, out, &err);
	} else if (kv != NULL) {
		rc = certificate_of_store(kv, out);
	} else {
		o.path = ctl_path(c, "store");
		rc = o.path == NULL ? LT_E_NOMEM : lt_kv_open_lmdb(&o, &own, &err);
		if (rc == LT_OK)
			rc = certificate_of_store(own, out);
		lt_kv_close(own);
	}
	if (rc == LT_E_NOTFOUND)
		return ctl_fail(CTL_UNKNOWN, "%s",
		    T("the hub's certificate is not here yet: this machine has not been let in so "
		      "far",
			"chưa có chứng thư của đầu mối: máy này chưa được nhận"));
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static enum ctl_exit
learn_hub(struct ctl_log *log)
{
	struct ctl *c = log->c;
	struct lt_err err = { "" };
	Ltpb__CertificateBody *body;
	struct lt_arena arena;
	struct lt_buf cert;
	enum ctl_exit code;
	int rc;

	lt_buf_init(&cert, CERTIFICATE_MAX);
	lt_arena_init(&arena, ARENA_MAX);
	code = ctl_hub_certificate(c, log->kv, &cert);
	if (code == CTL_DONE) {
		rc = lt_certificate_verify(
		    lt_buf_slice(&cert), c->id->root_key, &c->id->federation, &arena, &body, &err);
		if (rc == LT_OK && body->role != LTPB__ROLE__ROLE_HUB)
			rc = LT_E_DENIED;
		if (rc == LT_OK) {
			memcpy(log->hub.b, body->principal.data, LT_ID_LEN);
			log->hub_known = true;
			rc = add_key(log, &log->hub, body->key_no, body->sign_key.data);
		}
		if (rc != LT_OK)
			code = ctl_fail(rc == LT_E_NOMEM ? CTL_UNKNOWN : CTL_NO, "%s: %s",
			    T("the hub's certificate does not verify",
				"chứng thư của đầu mối không đúng"),
			    ctl_said(rc, &err));
	}
	lt_arena_fini(&arena);
	lt_buf_fini(&cert);
	return code;
}

static int
take_key(struct ctl_log *log, const struct lt_change *ch)
{
	const Ltpb__Value *v;
	struct lt_id author;
	uint8_t id[LT_ID_LEN];
	char hex[2 * LT_ID_LEN + 1];
	const char *slash = strchr(ch->key, '/');
	size_t i;

	if (strcmp(ch->collection, "_key") != 0 || ch->is_delete || slash == NULL ||
	    slash - ch->key != 2 * LT_ID_LEN)
		return LT_OK;
	memcpy(hex, ch->key, 2 * LT_ID_LEN);
	hex[2 * LT_ID_LEN] = '\0';
	if (lt_unhex(id, LT_ID_LEN, hex) != LT_OK)
		return LT_OK;
	memcpy(author.b, id, LT_ID_LEN);
	for (i = 0; i < ch->nset; i++) {
		v = ch->set[i].pb->value;
		if (strcmp(ch->set[i].pb->name, "sign_key") == 0 &&
		    v->v_case == LTPB__VALUE__V_BYTES && v->bytes.len == 32)
			return add_key(
			    log, &author, (uint32_t)strtoul(slash + 1, NULL, 10), v->bytes.data);
	}
	return LT_OK;
}

struct learning {
	struct ctl_log *log;
	struct ctl_chain chain;
};

static enum ctl_exit
learn_from(void *ctx, const struct lt_changeset *cs)
{
	struct learning *l = ctx;
	struct lt_err err = { "" };
	uint64_t withheld = 0;
	size_t i;
	int rc = ctl_verify_next(l->log, cs, &l->chain, &withheld, &err);

	for (i = 0; rc == LT_OK && i < cs->nchange; i++)
		rc = take_key(l->log, &cs->change[i]);
	return rc == LT_OK ? CTL_DONE : bad_change_set(cs->seq, rc, &err);
}

/* Offline and online lists may be of one unit only: `_` is listed for itself. */
static enum ctl_exit
feeds_of_federation(struct ctl_log *log, struct ctl_log *own)
{
	*own = *log;
	own->nfeed = 0;
	own->feed = lt_arena_alloc(&log->c->arena, CTL_FEEDS_MAX * sizeof(*own->feed));
	if (own->feed == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	return log->kv != NULL ? list_offline(own, "_") : list_online(own, "_");
}

enum ctl_exit
ctl_log_keys(struct ctl_log *log)
{
	struct ctl_log own;
	struct lt_id author;
	enum ctl_exit code = learn_hub(log);
	size_t i;

	if (code == CTL_DONE)
		code = feeds_of_federation(log, &own);
	for (i = 0; code == CTL_DONE && i < own.nfeed; i++) {
		struct learning l = { .log = log };

		author = lt_feed_author(&own.feed[i].feed);
		if (lt_id_eq(&author, &log->hub))
			code = ctl_log_walk(log, &own.feed[i], 1, 0, learn_from, &l);
	}
	for (i = 0; code == CTL_DONE && i < log->nfeed; i++) {
		author = lt_feed_author(&log->feed[i].feed);
		if (lt_id_eq(&author, &log->hub))
			log->feed[i].author = T("hub", "đầu mối");
	}
	/* A machine knows its own key before the hub has published it. */
	if (code == CTL_DONE &&
	    add_key(log, &log->c->id->principal, log->c->id->key_no, log->c->id->sign.pk) != LT_OK)
		code = ctl_error(LT_E_NOMEM, NULL);
	return code;
}

/* ---- verifying ---- */

int
ctl_verify_next(const struct ctl_log *log, const struct lt_changeset *cs, struct ctl_chain *chain,
    uint64_t *withheld, struct lt_err *err)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	const uint8_t *key = ctl_log_key(log, &author, cs->key_no);
	size_t i, leaves = 0;
	int rc = lt_changeset_verify_chain(cs, chain->seq, &chain->hash, chain->stamp);

	if (rc != LT_OK)
		return lt_err_set(
		    err, rc, "%s: %s", T("the chain is broken", "chuỗi bị đứt"), lt_strerror(rc));
	if (memcmp(cs->federation.b, log->c->id->federation.b, LT_FED_LEN) != 0)
		return lt_err_set(err, LT_E_DENIED, "%s",
		    T("it is of another federation", "thuộc liên thông khác"));
	if (key == NULL)
		return lt_err_set(err, LT_E_UNKNOWN, "%s",
		    T("the author's key is not known here", "ở đây không có khóa của tác giả"));
	rc = lt_changeset_verify_signature(cs, key);
	if (rc != LT_OK)
		return lt_err_set(
		    err, rc, "%s", T("the signature does not verify", "chữ ký không đúng"));
	for (i = 0; i < cs->nchange; i++)
		leaves += cs->change[i].npersonal;
	for (i = 0; i < cs->nopening; i++)
		*withheld += cs->opening[i].withheld;
	/* Whoever may not see any opening gets none, and none at all is no proof against the values. */
	if (leaves != 0 && !cs->has_openings)
		*withheld += leaves;
	else
		rc = lt_changeset_verify_openings(cs, err);
	if (rc == LT_OK) {
		chain->seq = cs->seq;
		chain->hash = cs->hash;
		chain->stamp = cs->stamp;
	}
	return rc;
}
