/* Damage at rest: every bit of a stored value of every table that hub and node use is flipped. Whoever reads it gets "damaged" and
 * nothing else, through the bare table and through the function that the program reads it with, and the log names the place.
 * Then one bit of each table under the daemons themselves: what they answer is what they answered before, or an error. */
#include "proto/base/file.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/kv_test.h"
#include "proto/store/projection.h"
#include "tests/lib/province.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS 30000
#define WAIT_MS 60000
#define DOSSIERS 3

/* ---- a province that has something in every table ---- */

struct rest {
	struct province p;
	struct fed_feed feed;
	struct lt_arena arena;
	uint8_t request_id[16]; /* of the last put */
};

static void
push_draft(struct rest *t, const struct lt_draft *draft)
{
	struct lt_status st;
	struct lt_buf cs;

	lt_buf_init(&cs, LT_MESSAGE_MAX);
	fed_seal(&t->p.f, &t->feed, draft, 1, &cs);
	if (fed_push(&t->p.peer, &cs, 1, NULL, &st) != LT_STATUS_OK)
		fail_msg("push: %s", st.message);
	lt_buf_fini(&cs);
}

/* One that is taken, one that is refused, one that waits for what nobody has. */
static void
push_three_fates(struct rest *t)
{
	struct lt_context missing;
	struct lt_draft d;

	fed_feed_init(&t->feed, &t->p.peer, "16906", LT_LANE_NORMAL, 7);
	assert_int_equal(province_dial(&t->p, 0), LT_OK);
	fed_draft_dossier(&t->arena, &d, "H41.65-261120-000001");
	push_draft(t, &d);
	fed_draft_status(&t->arena, &d, "H41.65-261120-000001", "no_such_status");
	push_draft(t, &d);
	fed_draft_status(&t->arena, &d, "H41.65-261120-000001", "dang_xu_ly");
	memset(&missing, 0, sizeof(missing));
	missing.feed = lt_feed_id_make(t->p.peer.id.principal, LT_LANE_NORMAL, 8);
	missing.seq = 1;
	missing.hash8 = 1;
	d.ncontext = 1;
	d.context = &missing;
	push_draft(t, &d);
	fed_hang_up(&t->p.peer);
}

static int
send_put(struct lt_conn *c, struct dossier_put *d)
{
	ProtobufCMessage *reply = NULL;
	struct lt_status st;
	int code = lt_conn_call_wait(
	    c, &ltpb__records__descriptor, "Put", &d->req.base, 10000, &reply, &st);

	province_free(reply);
	return code;
}

static void
put(struct rest *t, struct lt_conn *c, unsigned number, bool fresh, const char *value)
{
	struct dossier_put d;

	dossier_put_init(&d, number, fresh, value);
	memcpy(t->request_id, d.request_id, sizeof(t->request_id));
	assert_int_equal(send_put(c, &d), LT_STATUS_OK);
}

static void
setup(struct rest *t)
{
	struct lt_conn *c;
	unsigned i;

	memset(t, 0, sizeof(*t));
	lt_arena_init(&t->arena, (size_t)16 << 20);
	province_setup(&t->p, "17254", 0);
	province_start(&t->p, NULL, NULL);
	push_three_fates(t);
	c = daemon_dial_wait(&t->p.node, t->p.pool, START_MS);
	for (i = 1; i <= DOSSIERS; i++)
		put(t, c, i, true, "QD-1");
	put(t, c, 1, false, "QD-2");
	province_settle(&t->p, WAIT_MS);
	(void)daemon_stop(&t->p.hub);
	put(t, c, 2, false, "QD-3"); /* no verdict will come: the overlay */
	lt_conn_close(c);
	(void)daemon_stop(&t->p.node);
}

static void
teardown(struct rest *t)
{
	province_teardown(&t->p);
	lt_arena_fini(&t->arena);
}

/* ---- every bit, through the functions that read ---- */

struct env {
	const char *name;
	struct lt_kv *kv;
	struct lt_kv_txn *txn; /* of writing, never committed */
	struct lt_kv_txn *log; /* where the change-sets are: txn itself, or the hub's log */
	struct lt_catalogue *cat;
	const struct lt_unit *province;
	unsigned tables, bits;
};

struct place {
	struct env *e;
	struct lt_slice key;
	struct lt_arena *arena;
};

static int
read_uk(struct lt_slice key, struct lt_unit *unit, struct lt_feed_id *feed, uint64_t *seq)
{
	struct lt_reader r;
	struct lt_slice u, f;

	lt_reader_init(&r, key);
	u = lt_read_framed8(&r);
	f = lt_read_bytes(&r, LT_FEED_LEN);
	*seq = lt_reader_left(&r) >= 8 ? lt_read_u64(&r) : 0;
	assert_int_equal(r.err, LT_OK);
	memcpy(feed->b, f.data, LT_FEED_LEN);
	return lt_unit_set(unit, u);
}

static int
read_feed(const struct place *p)
{
	struct lt_feed_id feed;
	struct lt_unit unit;
	struct lt_head head;
	uint64_t seq;
	int rc = read_uk(p->key, &unit, &feed, &seq);

	return rc == LT_OK ? lt_feed_log_head(p->e->txn, &unit, &feed, &head) : rc;
}

static int
read_entry(const struct place *p)
{
	struct lt_entry e;

	return lt_feed_log_read(p->e->txn, lt_load_u64(p->key.data), &e);
}

static int
read_seq(const struct place *p)
{
	struct lt_feed_id feed;
	struct lt_unit unit;
	uint64_t seq, position;
	int rc = read_uk(p->key, &unit, &feed, &seq);

	return rc == LT_OK ? lt_feed_log_find(p->e->txn, &unit, &feed, seq, &position) : rc;
}

static int
read_opening(const struct place *p)
{
	struct lt_entry e;
	struct lt_buf b;
	int rc = lt_feed_log_read(p->e->txn, lt_load_u64(p->key.data), &e);

	lt_buf_init(&b, LT_MESSAGE_MAX);
	if (rc == LT_OK)
		rc = lt_feed_log_compose(p->e->txn, &e, NULL, NULL, &b, NULL);
	lt_buf_fini(&b);
	return rc;
}

static int
read_judgement(const struct place *p)
{
	struct lt_judgement j;

	return lt_feed_log_judgement(p->e->txn, lt_load_u64(p->key.data), p->arena, &j);
}

static int
read_held(const struct place *p)
{
	struct lt_held_dot *dots;
	struct lt_feed_id feed;
	struct lt_unit unit;
	uint64_t seq;
	size_t n;
	int rc = read_uk(p->key, &unit, &feed, &seq);

	return rc == LT_OK ? lt_held_take(p->e->txn, &unit, &feed, seq, p->arena, &dots, &n) : rc;
}

struct names {
	char collection[65], unit[9], key[257];
};

/* rk, and what may stand behind it. */
static struct names
read_rk(struct lt_slice key)
{
	const char *s = (const char *)key.data;
	struct names n;
	size_t rest;

	(void)snprintf(n.collection, sizeof(n.collection), "%s", s);
	(void)snprintf(n.unit, sizeof(n.unit), "%s", s + strlen(s) + 1);
	s += strlen(n.collection) + strlen(n.unit) + 2;
	rest = key.len - (size_t)((const uint8_t *)s - key.data);
	(void)snprintf(n.key, sizeof(n.key), "%.*s", (int)strnlen(s, rest), s);
	return n;
}

static int
read_row(const struct place *p)
{
	struct names n = read_rk(p->key);
	struct lt_buf b = { 0 };
	int rc = lt_record_row(
	    p->e->log, p->e->txn, p->e->cat, p->e->province, n.collection, n.unit, n.key, &b);

	lt_buf_fini(&b);
	return rc;
}

static int
read_shown(const struct place *p)
{
	struct names n = read_rk(p->key);
	Ltpb__Record *rec;

	return lt_record_get(p->e->txn, n.collection, n.unit, n.key, p->arena, &rec);
}

static int
go_on(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	(void)ctx;
	(void)index_key;
	(void)rk;
	return LT_OK;
}

static int
read_index(const struct place *p)
{
	struct names n = read_rk(p->key); /* collection, and a field name cut at 8 */
	const char *field = (const char *)p->key.data + strlen(n.collection) + 1;

	return lt_index_each(p->e->txn, n.collection, field, lt_slice(NULL, 0), lt_slice(NULL, 0),
	    lt_slice(NULL, 0), false, go_on, NULL);
}

static int
any_dot(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	(void)ctx;
	(void)dot;
	(void)position;
	return LT_OK;
}

static int
read_history(const struct place *p)
{
	struct names n = read_rk(p->key);

	return lt_history_each(p->e->txn, n.collection, n.unit, n.key, any_dot, NULL);
}

static int
read_digest(const struct place *p)
{
	struct names n = read_rk(p->key);
	uint8_t out[16];

	return lt_digest_short(p->e->txn, n.collection, n.unit, out);
}

static int
read_receipt(const struct place *p)
{
	struct lt_feed_id feed;
	struct lt_unit unit;
	uint64_t seq;
	int rc = read_uk(p->key, &unit, &feed, &seq);

	return rc == LT_OK ? lt_node_receipted(p->e->txn, &unit, &feed, &seq) : rc;
}

static int
read_local(const struct place *p)
{
	char name[512];
	struct lt_slice v;

	(void)snprintf(name, sizeof(name), "%.*s", (int)p->key.len, (const char *)p->key.data);
	return lt_local_get(p->e->txn, name, &v);
}

/* Tables that no single function reads are read by the daemons further down. */
static int (*const reader[LT_T_COUNT])(const struct place *p) = {
	[LT_T_FEED] = read_feed,
	[LT_T_ENTRY] = read_entry,
	[LT_T_SEQ] = read_seq,
	[LT_T_OPENING] = read_opening,
	[LT_T_JUDGEMENT] = read_judgement,
	[LT_T_HELD] = read_held,
	[LT_T_RECEIPT] = read_receipt,
	[LT_T_RECORD] = read_row,
	[LT_T_SHOWN] = read_shown,
	[LT_T_INDEX] = read_index,
	[LT_T_HISTORY] = read_history,
	[LT_T_DIGEST] = read_digest,
	[LT_T_OVERLAY] = read_row,
	[LT_T_LOCAL] = read_local,
};

static void
check_damaged(struct env *e, unsigned table, struct lt_slice key, size_t bit)
{
	struct place p = { .e = e, .key = key };
	struct lt_kv_cursor *c;
	struct lt_arena arena;
	struct lt_slice k, v;
	int rc;

	if (lt_kv_get(e->txn, table, key, &v) != LT_E_CORRUPT)
		fail_msg("%s/%s bit %zu: got", e->name, lt_table_names[table], bit);
	assert_int_equal(lt_kv_cursor_open(e->txn, table, &c), LT_OK);
	if (lt_kv_seek(c, key, &k, &v) != LT_E_CORRUPT)
		fail_msg("%s/%s bit %zu: found", e->name, lt_table_names[table], bit);
	lt_kv_cursor_close(c);
	if (reader[table] == NULL)
		return;
	lt_arena_init(&arena, (size_t)64 << 20);
	p.arena = &arena;
	rc = reader[table](&p);
	if (rc != LT_E_CORRUPT)
		fail_msg("%s/%s bit %zu: read: %s", e->name, lt_table_names[table], bit,
		    lt_strerror(rc));
	lt_arena_fini(&arena);
}

/* Is the place the one this table's reader looks at, and does it read well before it is damaged? */
static void
check_sound(struct env *e, unsigned table, struct lt_slice key)
{
	struct place p = { .e = e, .key = key };
	struct lt_arena arena;
	struct lt_slice v;
	int rc;

	assert_int_equal(lt_kv_get(e->txn, table, key, &v), LT_OK);
	if (reader[table] == NULL || table == LT_T_HELD) /* reading it takes it out */
		return;
	lt_arena_init(&arena, (size_t)64 << 20);
	p.arena = &arena;
	rc = reader[table](&p);
	if (rc != LT_OK)
		fail_msg("%s/%s: %s", e->name, lt_table_names[table], lt_strerror(rc));
	lt_arena_fini(&arena);
}

static void
flip_value(struct env *e, unsigned table, struct lt_slice key)
{
	struct lt_slice stored;
	uint8_t *copy;
	size_t bit, len;

	check_sound(e, table, key);
	assert_int_equal(lt_kv_test_get_raw(e->txn, table, key, &stored), LT_OK);
	len = stored.len;
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, stored.data, len);
	for (bit = 0; bit < len * 8; bit++) {
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
		    lt_kv_test_put_raw(e->txn, table, key, lt_slice(copy, len)), LT_OK);
		check_damaged(e, table, key, bit);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		e->bits++;
	}
	assert_int_equal(lt_kv_test_put_raw(e->txn, table, key, lt_slice(copy, len)), LT_OK);
	check_sound(e, table, key);
	free(copy);
}

/* What this process says goes to a file, so that it can be read back. */
static int
log_to_file(char path[64])
{
	int saved = dup(STDERR_FILENO), fd;

	(void)snprintf(path, 64, "/tmp/lt-rest-XXXXXX");
	fd = mkstemp(path);
	assert_true(saved >= 0);
	assert_true(fd >= 0);
	(void)fcntl(fd, F_SETFL, O_APPEND);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	(void)close(fd);
	return saved;
}

static bool
log_names(const char *path, const char *text)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL;
	(void)fclose(f);
	return found;
}

static void
flip_env(struct env *e, const char *log_path)
{
	uint8_t kept[2][LT_KV_KEY_MAX];
	size_t klen[2];
	unsigned table, i;

	assert_int_equal(lt_kv_begin_write(e->kv, &e->txn), LT_OK);
	if (e->log == NULL)
		e->log = e->txn;
	for (table = 0; table < LT_T_COUNT; table++) {
		struct lt_kv_cursor *c;
		struct lt_slice k, v;
		char named[128];

		assert_int_equal(lt_kv_cursor_open(e->txn, table, &c), LT_OK);
		for (i = 0; i < 2; i++) {
			klen[i] = 0;
			if ((i == 0 ? lt_kv_seek(c, lt_slice(NULL, 0), &k, &v)
				    : lt_kv_seek_before(c, lt_slice(NULL, 0), &k, &v)) == LT_OK) {
				memcpy(kept[i], k.data, k.len);
				klen[i] = k.len;
			}
		}
		lt_kv_cursor_close(c);
		if (klen[0] == 0)
			continue;
		e->tables++;
		/* The last one: of records, those of the commune and not the registry's. */
		flip_value(e, table, lt_slice(kept[1], klen[1]));
		(void)snprintf(named, sizeof(named), "damaged and is not used: table %s,",
		    lt_table_names[table]);
		assert_true(log_names(log_path, named));
		assert_int_equal(truncate(log_path, 0), 0);
	}
	lt_kv_abort(e->txn);
}

static void
test_every_bit(void **state)
{
	struct rest *t = calloc(1, sizeof(*t));
	struct lt_catalogue *cat = NULL;
	struct lt_err err = { "" };
	struct env e[3];
	struct lt_kv_txn *txn;
	struct stores s;
	char path[64];
	unsigned i;
	int saved;

	(void)state;
	assert_non_null(t);
	setup(t);
	stores_open(&s, &t->p, false);
	assert_int_equal(lt_kv_begin_read(s.derived, &txn), LT_OK);
	assert_int_equal(lt_catalogue_load(txn, 1, &cat, &err), LT_OK);
	lt_kv_abort(txn);
	memset(e, 0, sizeof(e));
	e[0].name = "log";
	e[0].kv = s.log;
	e[1].name = "derived";
	e[1].kv = s.derived;
	e[2].name = "store";
	e[2].kv = s.node;
	assert_int_equal(lt_kv_begin_read(s.log, &txn), LT_OK);
	e[1].log = txn;
	saved = log_to_file(path);
	for (i = 0; i < 3; i++) {
		e[i].cat = cat;
		e[i].province = &t->p.f.hub_id->unit;
		flip_env(&e[i], path);
	}
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)unlink(path);
	lt_kv_abort(txn);
	for (i = 0; i < 3; i++)
		print_message("%s: %u bits in %u tables\n", e[i].name, e[i].bits, e[i].tables);
	assert_true(e[0].tables >= 8);
	assert_true(e[1].tables >= 6);
	assert_true(e[2].tables >= 11);
	lt_catalogue_unref(cat);
	stores_close(&s);
	teardown(t);
	free(t);
}

/* ---- one bit of each table, under the daemons ---- */

/* Answers, one after the other; what may differ between two runs (times, freshness) is not in it. */
#define ANSWERS_MAX 128

struct answers {
	size_t n;
	int code[ANSWERS_MAX];
	struct lt_buf body[ANSWERS_MAX];
};

static void
answers_free(struct answers *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		lt_buf_fini(&a->body[i]);
	a->n = 0;
}

static void
note(struct answers *a, int code, const ProtobufCMessage *m)
{
	struct lt_buf *b = &a->body[a->n];
	size_t len = m != NULL ? protobuf_c_message_get_packed_size(m) : 0;

	assert_true(a->n < ANSWERS_MAX);
	lt_buf_init(b, 0);
	if (len != 0) {
		assert_non_null(lt_buf_reserve(b, len));
		(void)protobuf_c_message_pack(m, b->data);
		lt_buf_added(b, len);
	}
	a->code[a->n++] = code;
}

static ProtobufCMessage *
call(struct lt_conn *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, int *code)
{
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	*code = lt_conn_call_wait(c, service, method, req, 20000, &m, &st);
	return m;
}

static void
ask_get(struct lt_conn *c, const char *unit, const char *key, struct answers *a)
{
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	ProtobufCMessage *m;
	int code;

	req.collection = (char *)"dossier";
	req.unit = (char *)unit;
	req.key = (char *)key;
	m = call(c, &ltpb__query__descriptor, "Get", &req.base, &code);
	if (m != NULL && ((Ltpb__GetReply *)m)->record != NULL)
		((Ltpb__GetReply *)m)->record->delivery = LTPB__DELIVERY__DELIVERY_UNSPECIFIED;
	note(a, code, m != NULL ? &((Ltpb__GetReply *)m)->record->base : NULL);
	province_free(m);
}

static void
ask_history(struct lt_conn *c, const char *unit, const char *key, struct answers *a)
{
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__FreshnessSummary *f = NULL;
	Ltpb__HistoryReply *r;
	int code;

	req.collection = (char *)"dossier";
	req.unit = (char *)unit;
	req.key = (char *)key;
	r = (Ltpb__HistoryReply *)call(c, &ltpb__query__descriptor, "History", &req.base, &code);
	if (r != NULL) {
		f = r->freshness;
		r->freshness = NULL;
	}
	note(a, code, r != NULL ? &r->base : NULL);
	if (r != NULL)
		r->freshness = f;
	province_free(r);
}

static void
ask_list(struct lt_conn *c, const char *order, struct answers *a)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply *r;
	size_t i;
	int code;

	req.collection = (char *)"dossier";
	req.order_by = (char *)order;
	r = (Ltpb__ListReply *)call(c, &ltpb__query__descriptor, "List", &req.base, &code);
	for (i = 0; r != NULL && i < r->n_record; i++) {
		r->record[i]->delivery = LTPB__DELIVERY__DELIVERY_UNSPECIFIED;
		note(a, LT_STATUS_OK, &r->record[i]->base);
	}
	note(a, code, NULL);
	province_free(r);
}

static void
ask_log(struct lt_conn *c, const char *unit, struct answers *a)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;
	Ltpb__ReadLogRequest log = LTPB__READ_LOG_REQUEST__INIT;
	Ltpb__ListReceiptsRequest rc = LTPB__LIST_RECEIPTS_REQUEST__INIT;
	Ltpb__ListFeedsReply *f;
	ProtobufCMessage *m;
	size_t i;
	int code;

	req.unit = (char *)unit;
	f = (Ltpb__ListFeedsReply *)call(
	    c, &ltpb__admin__descriptor, "ListFeeds", &req.base, &code);
	note(a, code, NULL);
	for (i = 0; f != NULL && i < f->n_feed; i++) {
		log.unit = rc.unit = (char *)unit;
		log.feed = rc.feed = f->feed[i]->head->feed;
		log.limit = 64;
		m = call(c, &ltpb__admin__descriptor, "ReadLog", &log.base, &code);
		note(a, code, m);
		province_free(m);
		m = call(c, &ltpb__admin__descriptor, "ListReceipts", &rc.base, &code);
		note(a, code, m);
		province_free(m);
	}
	province_free(f);
}

static void
ask_rest(struct lt_conn *c)
{
	Ltpb__StatusRequest status = LTPB__STATUS_REQUEST__INIT;
	Ltpb__ListNodesRequest nodes = LTPB__LIST_NODES_REQUEST__INIT;
	Ltpb__ListEnrolmentsRequest enrol = LTPB__LIST_ENROLMENTS_REQUEST__INIT;
	int code;

	province_free(call(c, &ltpb__admin__descriptor, "Status", &status.base, &code));
	province_free(call(c, &ltpb__admin__descriptor, "ListNodes", &nodes.base, &code));
	province_free(call(c, &ltpb__admin__descriptor, "ListEnrolments", &enrol.base, &code));
}

/* All that a person at this machine can see. */
static void
ask_all(struct test_daemon *d, struct lt_pool *pool, const char *const *units, struct answers *a)
{
	struct lt_conn *c;
	char key[40];
	unsigned u, i;

	while ((c = daemon_dial(d, pool)) == NULL) {
		if (daemon_ended(d))
			return; /* it refuses to serve from a damaged store */
		test_sleep_us(2000);
	}
	for (u = 0; units[u] != NULL; u++) {
		for (i = 1; i <= DOSSIERS; i++) {
			(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", i);
			ask_get(c, units[u], key, a);
			ask_history(c, units[u], key, a);
		}
		ask_log(c, units[u], a);
	}
	ask_list(c, "", a);
	ask_list(c, "status", a);
	ask_rest(c);
	lt_conn_close(c);
}

/* Each answer that came is one that came from the sound store, or an error. */
static void
compare(const struct answers *sound, const struct answers *now, const char *where)
{
	size_t i, k;

	for (i = 0; i < now->n; i++) {
		if (now->code[i] != LT_STATUS_OK || now->body[i].len == 0)
			continue;
		for (k = 0; k < sound->n; k++)
			if (sound->code[k] == LT_STATUS_OK &&
			    lt_slice_eq(lt_buf_slice(&sound->body[k]), lt_buf_slice(&now->body[i])))
				break;
		if (k == sound->n)
			fail_msg("%s: an answer that was never given before", where);
	}
}

/* What writes: the same request again, an update; and a push of the peer, which has the record merged anew. */
static void
write_at_node(struct rest *t)
{
	struct lt_conn *c = daemon_dial(&t->p.node, t->p.pool);
	struct dossier_put d;

	if (c == NULL)
		return;
	dossier_put_init(&d, 2, false, "QD-3");
	memcpy(d.request_id, t->request_id, sizeof(d.request_id));
	(void)send_put(c, &d);
	dossier_put_init(&d, DOSSIERS, false, "QD-4");
	(void)send_put(c, &d);
	lt_conn_close(c);
}

static void
pull_nothing(void *ctx, const ProtobufCMessage *m)
{
	(void)ctx;
	(void)m;
}

static void
write_at_hub(struct rest *t)
{
	Ltpb__PullRequest req = LTPB__PULL_REQUEST__INIT;
	struct fed_feed feed = t->feed; /* each time from the same place: the store is put back */
	struct lt_draft d;
	struct lt_status st;
	struct lt_buf cs;

	if (province_dial(&t->p, 0) != LT_OK)
		return;
	(void)fed_call(
	    &t->p.peer, &ltpb__sync__descriptor, "Pull", &req.base, pull_nothing, NULL, &st);
	fed_draft_status(&t->arena, &d, "H41.65-261120-000001", "tam_dung");
	lt_buf_init(&cs, LT_MESSAGE_MAX);
	fed_seal(&t->p.f, &feed, &d, 1, &cs);
	(void)fed_push(&t->p.peer, &cs, 1, NULL, &st);
	lt_buf_fini(&cs);
	fed_hang_up(&t->p.peer);
}

static void
copy_file(const char *from, const char *to)
{
	struct lt_err err = { "" };
	struct lt_buf b;

	lt_buf_init(&b, (size_t)256 << 20);
	if (lt_file_read(from, (size_t)256 << 20, &b, &err) != LT_OK ||
	    lt_file_write(to, lt_buf_slice(&b), 0600, false, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&b);
}

struct home {
	const char *env; /* folder */
	enum lt_kv_kind kind;
	bool at_hub;
};

static const struct home homes[] = {
	{ "log", LT_KV_HUB_LOG, true },
	{ "derived", LT_KV_HUB_DERIVED, true },
	{ "store", LT_KV_NODE, false },
};
#define NHOMES (sizeof(homes) / sizeof(homes[0]))

static void
file_of(const struct rest *t, const struct home *h, const char *file, char out[512])
{
	(void)snprintf(out, 512, "%s/%s/%s", h->at_hub ? t->p.f.dir : t->p.n.dir, h->env, file);
}

static void
keep_stores(const struct rest *t, bool back)
{
	/* A file older than the note beside it would not be opened. */
	static const char *const name[][2] = { { "data.mdb", "kept" }, { "guard", "kept.guard" } };
	char data[512], kept[512];
	size_t i, k;

	for (i = 0; i < NHOMES; i++) {
		for (k = 0; k < 2; k++) {
			file_of(t, &homes[i], name[k][0], data);
			file_of(t, &homes[i], name[k][1], kept);
			copy_file(back ? kept : data, back ? data : kept);
		}
	}
}

/* The value that what is done to the daemon below is bound to meet; of most tables the last one. Empty: not in use. */
static void
choose(const struct rest *t, const struct home *h, unsigned table, struct lt_kv_txn *txn,
    struct lt_buf *key)
{
	const char *unit = h->at_hub ? "16906" : "17254";
	const char *dossier = h->at_hub ? "H41.65-261120-000001" : "H41.65-261120-000002";
	struct lt_buf framed = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	struct lt_hash hash;
	int rc;

	if (table == LT_T_RECORD) {
		lt_key_record(key, "dossier", unit, dossier);
	} else if (table == LT_T_DIGEST) {
		lt_buf_framed(&framed, lt_slice_str("dossier"));
		lt_buf_framed(&framed, lt_slice_str(unit));
		lt_buf_framed(&framed, lt_slice_str(dossier));
		lt_h1("lt1.bucket", lt_buf_slice(&framed), &hash);
		lt_buf_fini(&framed);
		lt_buf_put(key, "dossier", strlen("dossier") + 1);
		lt_buf_put(key, unit, strlen(unit) + 1);
		lt_buf_u8(key, hash.b[0] % 16);
	} else if (table == LT_T_REQUEST && !h->at_hub) {
		lt_buf_put(key, t->request_id, sizeof(t->request_id));
	} else {
		assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
		rc = lt_kv_seek_before(c, lt_slice(NULL, 0), &k, &v);
		/* Of openings one that is shown: not a seed, not an actor. */
		while (rc == LT_OK && table == LT_T_OPENING &&
		       (k.len < 14 || memcmp(k.data + k.len - 14, "applicant_name", 14) != 0))
			rc = lt_kv_prev(c, &k, &v);
		if (rc == LT_OK)
			lt_buf_put_slice(key, k);
		lt_kv_cursor_close(c);
	}
	if (key->len != 0 && lt_kv_get(txn, table, lt_buf_slice(key), &v) == LT_E_NOTFOUND)
		lt_buf_clear(key);
}

/* Flip one bit in the middle of a value of a table. false: the table is not in use. */
static bool
damage(const struct rest *t, const struct home *h, unsigned table)
{
	struct lt_kv_options o = {
		.kind = h->kind, .federation = t->p.f.hub_id->federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };
	struct lt_buf key = { 0 };
	struct lt_kv_txn *txn;
	struct lt_kv *kv;
	size_t nbits = 0;
	char path[512];
	bool used;

	file_of(t, h, "", path);
	o.path = path;
	if (lt_kv_open_lmdb(&o, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	choose(t, h, table, txn, &key);
	lt_kv_abort(txn);
	used = key.len != 0;
	if (used) {
		assert_int_equal(
		    lt_kv_test_flip(kv, table, lt_buf_slice(&key), SIZE_MAX, &nbits), LT_E_INVALID);
		assert_int_equal(
		    lt_kv_test_flip(kv, table, lt_buf_slice(&key), nbits / 2, NULL), LT_OK);
	}
	lt_buf_fini(&key);
	lt_kv_close(kv);
	return used;
}

struct behind {
	struct test_daemon *hub;
	struct lt_conn *c;
};

/* It is with its log, or has said why it will not be. */
static bool
is_with_log(void *ctx)
{
	const struct behind *w = ctx;
	Ltpb__StatusReply *r;
	bool there;

	if (daemon_ended(w->hub) || daemon_logged(w->hub, "the projector stopped"))
		return true;
	r = province_status(w->c);
	there = r->projected == r->log_head;
	province_free(r);
	return there;
}

/* Tables that are being built anew give what was true at some earlier position of the log: answers say so of themselves, and they
 * are none of those that are compared here. */
static void
wait_projected(struct rest *t)
{
	struct behind w = { .hub = &t->p.hub };

	while ((w.c = daemon_dial(&t->p.hub, t->p.pool)) == NULL) {
		if (daemon_ended(&t->p.hub))
			return;
		test_sleep_us(2000);
	}
	fed_wait(
	    is_with_log, &w, WAIT_MS, "the hub's tables reach its log, or their projector stops");
	lt_conn_close(w.c);
}

static void
run_daemon(struct rest *t, bool hub, struct answers *a)
{
	static const char *const at_hub[] = { "_", "40", "16906", "17254", NULL };
	static const char *const at_node[] = { "_", "40", "17254", NULL };
	struct test_daemon *d = hub ? &t->p.hub : &t->p.node;
	char log[512];

	(void)snprintf(log, sizeof(log), "%s/daemon.log", d->dir);
	(void)unlink(log);
	a->n = 0;
	daemon_start(d, NULL);
	if (hub)
		wait_projected(t);
	ask_all(d, t->p.pool, hub ? at_hub : at_node, a);
	if (hub)
		write_at_hub(t);
	else
		write_at_node(t);
	/* The derived tables take in what was pushed, or say why not. */
	if (hub)
		wait_projected(t);
}

struct named {
	const struct test_daemon *d;
	char text[128];
};

static bool
is_named(void *ctx)
{
	struct named *n = ctx;

	return daemon_logged(n->d, n->text);
}

/* One table damaged under its daemon. */
static void
one_table(struct rest *t, const struct home *h, unsigned table, const struct answers *sound)
{
	struct test_daemon *d = h->at_hub ? &t->p.hub : &t->p.node;
	struct named named = { .d = d };
	struct answers now = { 0 };
	char where[128];

	(void)snprintf(where, sizeof(where), "%s/%s", h->env, lt_table_names[table]);
	/* Derived tables are set aside before they are opened, and made anew. */
	(void)snprintf(named.text, sizeof(named.text), "%s table %s,",
	    h->kind == LT_KV_HUB_DERIVED ? "do not verify, the first in" : "is not used:",
	    lt_table_names[table]);
	/* Openings are read again when the derived tables are built anew. */
	if (h->at_hub && table == LT_T_OPENING)
		assert_true(damage(t, &homes[1], LT_T_CURSOR));
	run_daemon(t, h->at_hub, &now);
	/* A node merges what the hub's verdict lets count. */
	if (!h->at_hub && table == LT_T_DIGEST)
		daemon_start(&t->p.hub, NULL);
	/* The hub only adds to what it refused, sums are for the scrub, and of requests' times only the first is looked at. */
	if (table != LT_T_SUMS && table != LT_T_REQUEST_AT &&
	    (!h->at_hub || table != LT_T_QUARANTINE))
		fed_wait(is_named, &named, WAIT_MS, where);
	daemon_end(&t->p.hub);
	daemon_end(&t->p.node);
	compare(sound, &now, where);
	answers_free(&now);
	keep_stores(t, true);
}

static void
test_daemons(void **state)
{
	struct rest *t = calloc(1, sizeof(*t));
	struct answers *sound = calloc(2, sizeof(*sound));
	unsigned table, cases = 0;
	size_t i;

	(void)state;
	assert_non_null(t);
	assert_non_null(sound);
	setup(t);
	keep_stores(t, false);
	for (i = 0; i < 2; i++) {
		run_daemon(t, i == 1, &sound[i]);
		daemon_end(i == 1 ? &t->p.hub : &t->p.node);
		keep_stores(t, true);
		assert_true(sound[i].n > 10);
	}
	for (i = 0; i < NHOMES; i++)
		for (table = 0; table < LT_T_COUNT; table++)
			if (damage(t, &homes[i], table)) {
				one_table(t, &homes[i], table, &sound[homes[i].at_hub]);
				cases++;
			}
	print_message("%u tables damaged under the daemons\n", cases);
	assert_true(cases >= 25);
	answers_free(&sound[0]);
	answers_free(&sound[1]);
	free(sound);
	teardown(t);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
