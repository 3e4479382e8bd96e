#include "tests/lib/province.h"
#include "proto/base/file.h"
#include "proto/feed/trust.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 30000
#define CHANGESET_ARENA ((size_t)64 * 1024 * 1024)

static void
write_conf(const char *dir, const char *text)
{
	struct lt_err err = { "" };
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", dir);
	if (lt_file_write(path, lt_slice_str(text), 0600, false, &err) != LT_OK)
		fail_msg("%s", err.text);
}

void
province_setup(struct province *p, const char *unit, int node_port)
{
	char text[256];

	memset(p, 0, sizeof(*p));
	fed_setup(&p->f);
	fed_node_setup(&p->f, &p->n, unit);
	fed_enrol(&p->f, &p->peer, LTPB__ROLE__ROLE_NODE, "16906", true);
	fed_hang_up(&p->peer);
	fed_hub_stop(&p->f);
	p->port = daemon_port();
	(void)snprintf(text, sizeof(text), "[hub]\nlisten = tcp://127.0.0.1:%d\n", p->port);
	write_conf(p->f.dir, text);
	(void)snprintf(text, sizeof(text), "[node]\nhub = tcp://127.0.0.1:%d\n",
	    node_port != 0 ? node_port : p->port);
	write_conf(p->n.dir, text);
	p->hub.program = LT_BIN_DIR "/lt-hub";
	p->hub.dir = p->f.dir;
	p->node.program = LT_BIN_DIR "/lt-node";
	p->node.dir = p->n.dir;
	assert_int_equal(lt_pool_start(4, 1024, &p->pool), LT_OK);
}

static void
append_conf(const char *dir, const char *line)
{
	struct lt_err err = { "" };
	struct lt_buf b = { 0 };
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", dir);
	if (lt_file_read(path, 4096, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_str(&b, line);
	if (lt_file_write(path, lt_buf_slice(&b), 0600, false, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&b);
}

void
province_configure(struct province *p, const char *line)
{
	append_conf(p->f.dir, line);
	append_conf(p->n.dir, line);
}

void
province_configure_hub(struct province *p, const char *text)
{
	append_conf(p->f.dir, text);
}

void
province_free(void *message)
{
	if (message != NULL)
		protobuf_c_message_free_unpacked(message, NULL);
}

static ProtobufCMessage *
ask(struct lt_conn *c, const char *method, const ProtobufCMessage *req)
{
	ProtobufCMessage *reply = NULL;
	struct lt_status st;

	if (lt_conn_call_wait(c, &ltpb__admin__descriptor, method, req, 20000, &reply, &st) !=
	    LT_STATUS_OK)
		fail_msg("Admin/%s: %s %s", method, lt_status_name(st.code), st.message);
	return reply;
}

Ltpb__StatusReply *
province_status(struct lt_conn *c)
{
	Ltpb__StatusRequest req = LTPB__STATUS_REQUEST__INIT;

	return (Ltpb__StatusReply *)ask(c, "Status", &req.base);
}

Ltpb__ListFeedsReply *
province_feeds(struct lt_conn *c, const char *unit)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;

	req.unit = (char *)unit;
	return (Ltpb__ListFeedsReply *)ask(c, "ListFeeds", &req.base);
}

static bool
has_catalogue(void *ctx)
{
	Ltpb__StatusReply *r = province_status(ctx);
	bool has = r->catalogue_version == 1;

	province_free(r);
	return has;
}

void
province_wait_catalogue(struct lt_conn *node)
{
	fed_wait(has_catalogue, node, START_MS, "the catalogue comes down");
}

void
province_start(struct province *p, const char *const *hub_env, const char *const *node_env)
{
	struct lt_conn *c;

	daemon_start(&p->hub, hub_env);
	lt_conn_close(daemon_dial_wait(&p->hub, p->pool, START_MS));
	daemon_start(&p->node, node_env);
	c = daemon_dial_wait(&p->node, p->pool, START_MS);
	province_wait_catalogue(c);
	lt_conn_close(c);
}

int
province_dial(struct province *p, int port)
{
	struct lt_dial_options o = { .pool = p->pool,
		.clock = lt_clock_system(),
		.line_sk = p->peer.id.line_sk,
		.remote_line_key = p->peer.id.hub_line_key,
		.federation = p->peer.id.federation.b };
	int64_t until = lt_mono_ms(lt_clock_system()) + START_MS;
	struct lt_err err = { "" };
	char url[64];
	int rc;

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port != 0 ? port : p->port);
	o.url = url;
	/* The hub listens on the local socket first. */
	while ((rc = lt_dial(&o, &p->peer.conn, &err)) == LT_E_UNAVAILABLE &&
	       !daemon_ended(&p->hub) && lt_mono_ms(lt_clock_system()) < until)
		test_sleep_us(2000);
	return rc;
}

void
province_teardown(struct province *p)
{
	fed_hang_up(&p->peer);
	daemon_end(&p->node);
	daemon_end(&p->hub);
	lt_pool_stop(p->pool);
	fed_node_teardown(&p->n);
	fed_teardown(&p->f);
}

/* ---- writing ---- */

static Ltpb__Value *
add_field(struct dossier_put *d, const char *name, Ltpb__Value__VCase type)
{
	size_t i = d->req.n_field++;

	ltpb__field_set__init(&d->field[i]);
	ltpb__value__init(&d->value[i]);
	d->field[i].name = (char *)name;
	d->field[i].value = &d->value[i];
	d->value[i].v_case = type;
	d->list[i] = &d->field[i];
	return &d->value[i];
}

static void
add_required(struct dossier_put *d)
{
	add_field(d, "procedure_code", LTPB__VALUE__V_TEXT)->text = (char *)"1.012784";
	add_field(d, "procedure_name", LTPB__VALUE__V_TEXT)->text = (char *)"Đăng ký khai sinh";
	add_field(d, "field_area", LTPB__VALUE__V_ENUMERATION)->enumeration = (char *)"ho_tich";
	add_field(d, "authority_level", LTPB__VALUE__V_ENUMERATION)->enumeration = (char *)"xa";
	add_field(d, "submit_channel", LTPB__VALUE__V_ENUMERATION)->enumeration =
	    (char *)"truc_tiep";
	add_field(d, "applicant_name", LTPB__VALUE__V_TEXT)->text = (char *)"Vi Văn Mẫu";
	add_field(d, "applicant_id_no", LTPB__VALUE__V_TEXT)->text = (char *)"099170000016";
	/* 2026-11-20T02:00Z and the 25th. */
	add_field(d, "received_at", LTPB__VALUE__V_TIMESTAMP)->timestamp = INT64_C(1795140000000);
	add_field(d, "due_date", LTPB__VALUE__V_DATE)->date = 20782;
	add_field(d, "status", LTPB__VALUE__V_ENUMERATION)->enumeration = (char *)"tiep_nhan";
}

void
dossier_put_init(struct dossier_put *d, unsigned number, bool fresh, const char *value)
{
	memset(d, 0, sizeof(*d));
	ltpb__put_request__init(&d->req);
	(void)snprintf(d->key, sizeof(d->key), "H41.65-261120-%06u", number);
	(void)snprintf(d->number, sizeof(d->number), "%s", value);
	randombytes_buf(d->request_id, sizeof(d->request_id));
	if (fresh)
		add_required(d);
	add_field(d, "result_doc_no", LTPB__VALUE__V_TEXT)->text = d->number;
	d->req.collection = (char *)"dossier";
	d->req.key = d->key;
	d->req.field = d->list;
	d->req.actor = (char *)"cb01";
	d->req.request_id.data = d->request_id;
	d->req.request_id.len = sizeof(d->request_id);
}

/* ---- settling ---- */

struct settling {
	struct lt_conn *hub, *node;
	const char *unit;
	struct lt_id author; /* the node */
};

static const Ltpb__FeedStatus *
find_feed(const Ltpb__ListFeedsReply *r, const Ltpb__FeedHead *like)
{
	size_t i;

	for (i = 0; i < r->n_feed; i++)
		if (memcmp(r->feed[i]->head->feed.data, like->feed.data, LT_FEED_LEN) == 0)
			return r->feed[i];
	return NULL;
}

/* A feed of the node's own has the hub's receipt for its head. A verdict may come down before it, and then the node calls the head tied, too:
 * offered once more, it is receipted a moment later. */
static bool
has_receipt(const struct settling *s, const Ltpb__FeedHead *head)
{
	Ltpb__ListReceiptsRequest req = LTPB__LIST_RECEIPTS_REQUEST__INIT;
	Ltpb__ListReceiptsReply *r;
	Ltpb__ReceiptBody *b;
	bool has = false;
	size_t i;

	if (memcmp(head->feed.data, s->author.b, LT_ID_LEN) != 0)
		return true;
	req.unit = (char *)s->unit;
	req.feed = head->feed;
	r = (Ltpb__ListReceiptsReply *)ask(s->node, "ListReceipts", &req.base);
	for (i = 0; i < r->n_receipt && !has; i++) {
		b = ltpb__receipt_body__unpack(
		    NULL, r->receipt[i]->body.len, r->receipt[i]->body.data);
		assert_non_null(b);
		has = b->seq == head->seq;
		province_free(b);
	}
	province_free(r);
	return has;
}

static bool
settled(void *ctx)
{
	struct settling *s = ctx;
	Ltpb__StatusReply *hs = province_status(s->hub), *ns = province_status(s->node);
	Ltpb__ListFeedsReply *hf = province_feeds(s->hub, s->unit);
	Ltpb__ListFeedsReply *nf = province_feeds(s->node, s->unit);
	bool yes = hs->projected == hs->log_head && nf->n_feed == hf->n_feed;
	size_t i;

	for (i = 0; i < ns->n_lane; i++)
		yes = yes && ns->lane[i]->made == ns->lane[i]->receipted;
	for (i = 0; yes && i < nf->n_feed; i++) {
		const Ltpb__FeedStatus *n = nf->feed[i], *h = find_feed(hf, n->head);

		yes = h != NULL && h->head->seq == n->head->seq && n->judged == n->head->seq &&
		      memcmp(h->head->hash.data, n->head->hash.data, LT_HASH_LEN) == 0 &&
		      has_receipt(s, n->head);
	}
	province_free(hs);
	province_free(ns);
	province_free(hf);
	province_free(nf);
	return yes;
}

void
province_settle(struct province *p, int timeout_ms)
{
	struct settling s = { .unit = p->n.id->unit.s, .author = p->n.id->principal };

	s.hub = daemon_dial_wait(&p->hub, p->pool, START_MS);
	s.node = daemon_dial_wait(&p->node, p->pool, START_MS);
	fed_wait(settled, &s, timeout_ms, "hub and node have the same, receipted and judged");
	lt_conn_close(s.hub);
	lt_conn_close(s.node);
}

/* ---- the stores ---- */

static struct lt_kv *
open_one(const struct province *p, const char *dir, const char *name, enum lt_kv_kind kind,
    bool read_only)
{
	struct lt_kv_options o = { .kind = kind,
		.federation = p->f.hub_id->federation.b,
		.tables = lt_table_names,
		.read_only = read_only };
	struct lt_err err = { "" };
	struct lt_kv *kv = NULL;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	o.path = path;
	if (lt_kv_open_lmdb(&o, &kv, &err) != LT_OK)
		fail_msg("%s: %s", path, err.text);
	return kv;
}

void
stores_open(struct stores *s, const struct province *p, bool read_only)
{
	s->log = open_one(p, p->f.dir, "log", LT_KV_HUB_LOG, read_only);
	s->derived = open_one(p, p->f.dir, "derived", LT_KV_HUB_DERIVED, read_only);
	s->node = open_one(p, p->n.dir, "store", LT_KV_NODE, read_only);
}

void
stores_close(struct stores *s)
{
	lt_kv_close(s->log);
	lt_kv_close(s->derived);
	lt_kv_close(s->node);
	memset(s, 0, sizeof(*s));
}

struct walk {
	struct lt_kv_txn *txn;
	const struct province *p;
	bool whole;
	uint64_t seen;
};

static const uint8_t *
author_key(const struct walk *w, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	if (lt_id_eq(&author, &w->p->f.hub_id->principal))
		return w->p->f.hub_id->sign.pk;
	if (lt_id_eq(&author, &w->p->peer.id.principal))
		return w->p->peer.id.sign.pk;
	assert_true(lt_id_eq(&author, &w->p->n.id->principal));
	return w->p->n.id->sign.pk;
}

/* One change-set in its place; last is that before it and becomes this one. */
static void
verify_one(struct walk *w, const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t seq,
    struct lt_head *last)
{
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct lt_changeset cs = { 0 };
	struct lt_entry e;
	struct lt_buf b;
	uint64_t position;
	size_t i;

	lt_arena_init(&arena, CHANGESET_ARENA);
	lt_buf_init(&b, LT_MESSAGE_MAX);
	assert_int_equal(lt_feed_log_find(w->txn, unit, feed, seq, &position), LT_OK);
	assert_int_equal(lt_feed_log_read(w->txn, position, &e), LT_OK);
	if (lt_feed_log_compose(w->txn, &e, NULL, NULL, &b, &err) != LT_OK ||
	    lt_changeset_parse(lt_buf_slice(&b), &arena, &cs, &err) != LT_OK ||
	    lt_changeset_verify_openings(&cs, &err) != LT_OK)
		fail_msg("unit %s change-set %llu: %s", unit->s, (unsigned long long)seq, err.text);
	assert_int_equal(lt_changeset_verify_signature(&cs, author_key(w, feed)), LT_OK);
	assert_int_equal(
	    lt_changeset_verify_chain(&cs, last->seq, &last->hash, last->stamp), LT_OK);
	assert_int_equal(lt_feed_id_cmp(&cs.feed, feed), 0);
	assert_true(lt_unit_eq(&cs.unit, unit));
	for (i = 0; w->whole && i < cs.nopening; i++)
		assert_false(cs.opening[i].withheld);
	last->seq = cs.seq;
	last->hash = cs.hash;
	last->stamp = cs.stamp;
	w->seen++;
	lt_buf_fini(&b);
	lt_arena_fini(&arena);
}

static int
verify_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_head last = { 0 };
	uint64_t seq;

	assert_true(head->seq > 0);
	for (seq = 1; seq <= head->seq; seq++)
		verify_one(ctx, unit, feed, seq, &last);
	assert_true(lt_hash_eq(&last.hash, &head->hash));
	assert_true(last.stamp == head->stamp);
	assert_true(head->judged == head->seq);
	return LT_OK;
}

uint64_t
verify_feeds(struct lt_kv *kv, const struct province *p, bool whole)
{
	struct walk w = { .p = p, .whole = whole };
	uint64_t entries;

	assert_int_equal(lt_kv_begin_read(kv, &w.txn), LT_OK);
	assert_int_equal(lt_feed_log_each(w.txn, NULL, verify_feed, &w), LT_OK);
	/* Nothing lies in the log that no feed names: nothing stands there twice. */
	assert_int_equal(lt_kv_count(w.txn, LT_T_ENTRY, &entries), LT_OK);
	assert_true(entries == w.seen);
	lt_kv_abort(w.txn);
	return w.seen;
}

uint64_t
verify_same_rows(const struct stores *s)
{
	struct lt_kv_txn *hub, *node;
	struct lt_slice hk, hv, nk, nv;
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *h, *n;
	uint64_t rows = 0, overlay;
	int hrc, nrc;

	assert_int_equal(lt_kv_begin_read(s->derived, &hub), LT_OK);
	assert_int_equal(lt_kv_begin_read(s->node, &node), LT_OK);
	assert_int_equal(lt_kv_count(node, LT_T_OVERLAY, &overlay), LT_OK);
	assert_int_equal(overlay, 0);
	assert_int_equal(lt_kv_cursor_open(hub, LT_T_RECORD, &h), LT_OK);
	assert_int_equal(lt_kv_cursor_open(node, LT_T_RECORD, &n), LT_OK);
	hrc = lt_kv_seek(h, lt_slice(NULL, 0), &hk, &hv);
	nrc = lt_kv_seek(n, lt_slice(NULL, 0), &nk, &nv);
	for (; hrc == LT_OK && nrc == LT_OK; rows++) {
		assert_true(lt_slice_eq(hk, nk));
		assert_int_equal(lt_record_whole(hub, hk, hv, &mem, &hv), LT_OK);
		assert_true(lt_slice_eq(hv, nv));
		hrc = lt_kv_next(h, &hk, &hv);
		nrc = lt_kv_next(n, &nk, &nv);
	}
	assert_int_equal(hrc, LT_E_NOTFOUND);
	assert_int_equal(nrc, LT_E_NOTFOUND);
	lt_kv_cursor_close(h);
	lt_kv_cursor_close(n);
	lt_buf_fini(&mem);
	lt_kv_abort(hub);
	lt_kv_abort(node);
	return rows;
}

static int
verify_receipt(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct walk *w = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct lt_err err = { "" };
	Ltpb__ReceiptBody *body;
	struct lt_arena arena;
	struct lt_slice v;
	struct lt_buf key;
	int rc;

	if (!lt_id_eq(&author, &w->p->n.id->principal))
		return LT_OK;
	lt_buf_init(&key, LT_KV_KEY_MAX);
	lt_key_feed(&key, unit, feed);
	lt_buf_u64(&key, head->seq);
	rc = lt_kv_get(w->txn, LT_T_RECEIPT, lt_buf_slice(&key), &v);
	if (rc != LT_OK)
		fail_msg("no receipt for head %llu", (unsigned long long)head->seq);
	lt_arena_init(&arena, 1 << 20);
	rc = lt_receipt_verify(
	    v, w->p->f.hub_id->sign.pk, &w->p->f.hub_id->federation, &arena, &body, &err);
	if (rc != LT_OK)
		fail_msg("receipt: %s", err.text);
	assert_true(body->seq == head->seq);
	assert_int_equal(body->hash.len, LT_HASH_LEN);
	assert_memory_equal(body->hash.data, head->hash.b, LT_HASH_LEN);
	assert_memory_equal(body->feed.data, feed->b, LT_FEED_LEN);
	assert_string_equal(body->unit, unit->s);
	w->seen++;
	lt_arena_fini(&arena);
	lt_buf_fini(&key);
	return LT_OK;
}

void
verify_receipts(const struct stores *s, const struct province *p)
{
	struct walk w = { .p = p };

	assert_int_equal(lt_kv_begin_read(s->node, &w.txn), LT_OK);
	assert_int_equal(lt_feed_log_each(w.txn, NULL, verify_receipt, &w), LT_OK);
	assert_true(w.seen > 0);
	lt_kv_abort(w.txn);
}
