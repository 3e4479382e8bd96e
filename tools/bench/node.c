/* tools/bench/node.c - a commune's real lt-node: idle, importing, and sending what it imported to a real lt-hub through a
 * relay that counts the bytes. */
#include "tools/bench/proc.h"
#include "tools/bench/relay.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S 300
#define SAMPLE_US 5000
#define FIELDS 64

struct place {
	struct bench *b;
	struct bench_world w;
	struct bench_proc hub, node;
	struct bench_relay *relay;
	struct lt_pool *pool;
	struct lt_conn *clerk;
	int port, behind; /* of the relay, of the hub */
	char dir[BENCH_PATH];
	size_t n; /* dossiers */
	struct lt_arena arena;
	struct lt_draft *draft;
};

/* ---- the node's own words ---- */

struct progress {
	bool online; /* with a catalogue */
	uint64_t made, receipted, judged; /* change-sets of its own feeds */
};

/* The hub's verdicts come down after its receipts; they belong to what the writing cost. */
static int
ask_judged(struct place *p, uint64_t *judged)
{
	Ltpb__ListFeedsRequest req = LTPB__LIST_FEEDS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	const Ltpb__ListFeedsReply *r;
	size_t i;
	int rc;

	req.unit = p->w.node[0].unit.s;
	rc = bench_call(p->b, p->clerk, &ltpb__admin__descriptor, "ListFeeds", &req.base, &m);
	if (rc != LT_OK)
		return rc;
	r = (const Ltpb__ListFeedsReply *)m;
	for (i = 0; i < r->n_feed; i++)
		if (r->feed[i]->head->feed.len == LT_FEED_LEN &&
		    memcmp(r->feed[i]->head->feed.data, p->w.node[0].id.b, LT_ID_LEN) == 0)
			*judged += r->feed[i]->judged;
	protobuf_c_message_free_unpacked(m, NULL);
	return LT_OK;
}

static int
ask_progress(struct place *p, struct progress *out)
{
	Ltpb__StatusRequest req = LTPB__STATUS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	const Ltpb__StatusReply *r;
	size_t i;
	int rc = bench_call(p->b, p->clerk, &ltpb__admin__descriptor, "Status", &req.base, &m);

	memset(out, 0, sizeof(*out));
	if (rc != LT_OK)
		return rc;
	r = (const Ltpb__StatusReply *)m;
	out->online = r->connected && r->catalogue_version == 1;
	for (i = 0; i < r->n_lane; i++) {
		out->made += r->lane[i]->made;
		out->receipted += r->lane[i]->receipted;
	}
	protobuf_c_message_free_unpacked(m, NULL);
	return ask_judged(p, &out->judged);
}

static int
start_node(struct place *p)
{
	int rc = bench_proc_start(p->b, &p->node, "lt-node", p->dir);

	return rc == LT_OK ? bench_dial_local(p->b, p->pool, &p->node, &p->clerk) : rc;
}

static int
stop_node(struct place *p)
{
	lt_conn_close(p->clerk);
	p->clerk = NULL;
	return bench_proc_stop(p->b, &p->node);
}

/* Until it is online and all it made is receipted and judged. worst: the greatest memory seen meanwhile; receipted_ns: when
 * the last receipt was there. */
static int
settle(struct place *p, struct bench_usage *worst, int64_t *receipted_ns)
{
	int64_t until = bench_now_ns() + (int64_t)WAIT_S * 1000000000;
	struct progress now = { 0 };
	struct bench_usage u = { 0 };
	int rc = LT_OK;

	memset(worst, 0, sizeof(*worst));
	*receipted_ns = 0;
	while (rc == LT_OK && (!now.online || now.judged < now.made)) {
		rc = ask_progress(p, &now);
		if (*receipted_ns == 0 && now.online && now.receipted == now.made)
			*receipted_ns = bench_now_ns();
		if (rc == LT_OK)
			rc = bench_proc_usage(p->b, &p->node, &u);
		if (rc == LT_OK && u.anon_mib > worst->anon_mib)
			worst->anon_mib = u.anon_mib;
		if (rc == LT_OK && u.rss_mib > worst->rss_mib)
			worst->rss_mib = u.rss_mib;
		worst->cpu_ns = u.cpu_ns;
		if (rc == LT_OK && bench_now_ns() > until)
			rc = lt_err_set(&p->b->err, LT_E_TIMEOUT,
			    "of %llu change-sets %llu are receipted, %llu judged",
			    (unsigned long long)now.made, (unsigned long long)now.receipted,
			    (unsigned long long)now.judged);
		bench_sleep_us(SAMPLE_US);
	}
	return rc;
}

static int
setup(struct place *p)
{
	struct bench *b = p->b;
	struct bench_usage u;
	int64_t when;
	int rc = bench_world_make(b, "hub", 2, &p->w);

	lt_arena_init(&p->arena, (size_t)1 << 30);
	if (rc == LT_OK)
		rc = bench_drafts(b, &p->w, &p->w.node[0], p->n, &p->arena, &p->draft);
	if (rc == LT_OK)
		rc = bench_port(b, &p->port);
	if (rc == LT_OK)
		rc = bench_port(b, &p->behind);
	if (rc == LT_OK)
		rc = bench_world_listen(b, &p->w, p->behind);
	if (rc == LT_OK)
		rc = bench_world_node(b, &p->w, 0, p->port, p->dir);
	if (rc == LT_OK)
		rc = bench_proc_start(b, &p->hub, "lt-hub", p->w.dir);
	if (rc == LT_OK)
		rc = bench_relay_start(b, p->port, p->behind, 0, &p->relay);
	if (rc == LT_OK)
		rc = lt_pool_start(2, 256, &p->pool);
	if (rc == LT_OK)
		rc = start_node(p);
	return rc == LT_OK ? settle(p, &u, &when) : rc;
}

static void
teardown(struct place *p)
{
	lt_conn_close(p->clerk);
	lt_pool_stop(p->pool);
	bench_proc_kill(&p->node);
	bench_proc_kill(&p->hub);
	bench_relay_stop(p->relay);
	if (p->dir[0] != '\0')
		bench_remove(p->dir);
	bench_world_free(&p->w);
	lt_arena_fini(&p->arena);
}

/* ---- idle ---- */

static int
measure_idle(struct place *p)
{
	struct bench_usage before, after;
	double seconds = p->b->quick ? 1 : 20;
	int64_t from;
	int rc;

	bench_sleep_us(p->b->quick ? 100000 : 2000000); /* what the start left is over */
	rc = bench_proc_usage(p->b, &p->node, &before);
	from = bench_now_ns();
	bench_sleep_us((int64_t)(seconds * 1e6));
	if (rc == LT_OK)
		rc = bench_proc_usage(p->b, &p->node, &after);
	seconds = bench_seconds(bench_now_ns() - from);
	if (rc == LT_OK)
		rc = bench_result(p->b, "node idle: memory (RssAnon)", after.anon_mib, "MiB",
		    BENCH_AT_MOST, 16, "%.1f MiB with pages of files", after.rss_mib);
	if (rc == LT_OK)
		rc = bench_result(p->b, "node idle: processor",
		    100 * bench_seconds(after.cpu_ns - before.cpu_ns) / seconds, "% of core",
		    BENCH_AT_MOST, 0.2, "over %.0f s, connected", seconds);
	return rc;
}

/* ---- writing ---- */

/* The next status that a clerk may choose for a dossier as it was made; NULL: it is over. */
static const char *
next_status(const struct lt_draft *d)
{
	static const char *const next[][2] = { { "tiep_nhan", "dang_xu_ly" },
		{ "dang_xu_ly", "da_giai_quyet" }, { "yeu_cau_bo_sung", "dang_xu_ly" },
		{ "tam_dung", "dang_xu_ly" }, { "da_giai_quyet", "da_tra_ket_qua" },
		{ "tu_choi", "da_tra_ket_qua" }, { "da_tra_ket_qua", "dang_xu_ly" } };
	const char *now = "";
	size_t i;

	for (i = 0; i < d->nset; i++)
		if (strcmp(d->set[i]->name, "status") == 0)
			now = d->set[i]->value->enumeration;
	for (i = 0; i < sizeof(next) / sizeof(next[0]); i++)
		if (strcmp(next[i][0], now) == 0)
			return next[i][1];
	return NULL;
}

/* One field of a dossier anew: its status, or what can still be said of one that is over. */
struct update {
	Ltpb__FieldSet set;
	Ltpb__Value value;
};

static void
make_update(const struct lt_draft *d, struct update *u)
{
	const char *status = next_status(d);

	ltpb__field_set__init(&u->set);
	ltpb__value__init(&u->value);
	u->set.value = &u->value;
	if (status != NULL) {
		u->set.name = (char *)"status";
		u->value.v_case = LTPB__VALUE__V_ENUMERATION;
		u->value.enumeration = (char *)status;
	} else {
		u->set.name = (char *)"result_doc_no";
		u->value.v_case = LTPB__VALUE__V_TEXT;
		u->value.text = (char *)"17/RHS-UBND";
	}
}

/* 256 rows a call, as ltctl import does it. update: not new dossiers, but one field of each anew. */
static int
import_some(struct place *p, size_t from, size_t n, bool update)
{
	Ltpb__ImportRequest req = LTPB__IMPORT_REQUEST__INIT;
	Ltpb__FieldSet *field[LT_IMPORT_ROWS_MAX][FIELDS];
	struct update changed[LT_IMPORT_ROWS_MAX];
	Ltpb__ImportRow row[LT_IMPORT_ROWS_MAX], *rows[LT_IMPORT_ROWS_MAX];
	ProtobufCMessage *m = NULL;
	size_t i, good = 0;
	int rc;

	for (i = 0; i < n; i++) {
		const struct lt_draft *d = &p->draft[from + i];

		ltpb__import_row__init(&row[i]);
		rows[i] = &row[i];
		row[i].row = (uint32_t)i + 1;
		row[i].key = (char *)d->key;
		row[i].field = field[i];
		if (update) {
			make_update(d, &changed[i]);
			field[i][0] = &changed[i].set;
			row[i].n_field = 1;
			continue;
		}
		memcpy(field[i], d->set, d->nset * sizeof(field[i][0]));
		memcpy(field[i] + d->nset, d->personal, (d->npersonal - 1) * sizeof(field[i][0]));
		row[i].n_field = d->nset + d->npersonal - 1;
	}
	req.collection = (char *)"dossier";
	req.actor = (char *)"cb01@mc";
	req.row = rows;
	req.n_row = n;
	rc = bench_call(p->b, p->clerk, &ltpb__records__descriptor, "Import", &req.base, &m);
	for (i = 0; rc == LT_OK && i < ((const Ltpb__ImportReply *)m)->n_row; i++) {
		const Ltpb__ImportRowReply *r = ((const Ltpb__ImportReply *)m)->row[i];

		good += r->result == (!update ? LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED
					      : LTPB__IMPORT_RESULT__IMPORT_RESULT_UPDATED);
		if (r->result == LTPB__IMPORT_RESULT__IMPORT_RESULT_REFUSED)
			(void)lt_err_set(&p->b->err, 0, "%s %s: %s", r->key, r->rule, r->message);
	}
	if (m != NULL)
		protobuf_c_message_free_unpacked(m, NULL);
	return rc == LT_OK && good != n ? LT_E_REFUSED : rc;
}

static int
import_all(struct place *p, bool update, double *seconds)
{
	int64_t from = bench_now_ns();
	size_t at, n;
	int rc = LT_OK;

	for (at = 0; rc == LT_OK && at < p->n; at += n) {
		n = p->n - at < LT_IMPORT_ROWS_MAX ? p->n - at : LT_IMPORT_ROWS_MAX;
		rc = import_some(p, at, n, update);
	}
	*seconds = bench_seconds(bench_now_ns() - from);
	return rc;
}

/* ---- sending ---- */

/* Written with no line, then sent by a node just started: it has nothing else in memory, and batches are what a backlog makes
 * them. */
static int
write_apart(struct place *p, bool update, double *seconds)
{
	int rc = stop_node(p);

	bench_relay_stop(p->relay);
	p->relay = NULL;
	if (rc == LT_OK)
		rc = start_node(p);
	if (rc == LT_OK)
		rc = import_all(p, update, seconds);
	return rc == LT_OK ? stop_node(p) : rc;
}

static int
send_all(struct place *p, const char *what, bool memory)
{
	uint64_t up = 0, down = 0;
	struct bench_usage worst;
	char name[96];
	double seconds;
	int64_t from, receipted = 0;
	int rc = bench_relay_start(p->b, p->port, p->behind, 0, &p->relay);

	if (rc == LT_OK)
		rc = start_node(p);
	from = bench_now_ns();
	if (rc == LT_OK)
		rc = settle(p, &worst, &receipted);
	seconds = bench_seconds(receipted - from);
	if (rc != LT_OK)
		return rc;
	bench_relay_bytes(p->relay, &up, &down);
	(void)snprintf(name, sizeof(name), "on the wire, %s", what);
	rc = bench_result(p->b, name, (double)(up + down) / (double)p->n, "B/change", BENCH_AT_MOST,
	    60, "%.1f up, %.1f down; %zu changes, session and all", (double)up / (double)p->n,
	    (double)down / (double)p->n, p->n);
	(void)snprintf(name, sizeof(name), "node sending, %s", what);
	if (rc == LT_OK)
		rc = bench_result(p->b, name, (double)p->n / seconds, "changes/s", BENCH_INFO, 0,
		    "to the last receipt; node %.1f us of a core a change",
		    (double)worst.cpu_ns / 1e3 / (double)p->n);
	(void)snprintf(name, sizeof(name), "node synchronising, %s: processor", what);
	if (rc == LT_OK)
		rc = bench_result(p->b, name, 100 * bench_seconds(worst.cpu_ns) / seconds,
		    "% of core", BENCH_INFO, 0, "over %.1f s, its start and our asking included",
		    seconds);
	if (rc == LT_OK && memory)
		rc = bench_result(p->b, "node synchronising: memory (RssAnon), highest",
		    worst.anon_mib, "MiB", BENCH_AT_MOST, 32, "%.1f MiB with pages of files",
		    worst.rss_mib);
	return rc;
}

int
bench_node(struct bench *b)
{
	struct place p = { .b = b, .n = b->quick ? 1000 : 20000 };
	double seconds = 1;
	int rc = setup(&p);

	if (rc == LT_OK)
		rc = measure_idle(&p);
	if (rc == LT_OK)
		rc = write_apart(&p, false, &seconds);
	if (rc == LT_OK)
		rc = bench_result(b, "import at a node", (double)p.n / seconds, "rows/s",
		    BENCH_INFO, 0, "%d rows a call, durable", LT_IMPORT_ROWS_MAX);
	if (rc == LT_OK)
		rc = send_all(&p, "creations", true);
	if (rc == LT_OK)
		rc = write_apart(&p, true, &seconds);
	if (rc == LT_OK)
		rc = send_all(&p, "updates of one field", false);
	if (rc == LT_OK)
		rc = stop_node(&p);
	if (rc == LT_OK)
		rc = bench_proc_stop(b, &p.hub);
	teardown(&p);
	return rc;
}
