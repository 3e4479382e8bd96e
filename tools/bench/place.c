#include "tools/bench/place.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"

#include <string.h>

#define WAIT_S 300
#define SAMPLE_US 5000
#define FIELDS 64

/* ---- the node's own words ---- */

struct progress {
	bool online; /* with a catalogue */
	uint64_t made, receipted, judged; /* change-sets of its own feeds */
};

/* The hub's verdicts come down after its receipts; they belong to what the writing cost. */
static int
ask_judged(struct bench_place *p, uint64_t *judged)
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
ask_progress(struct bench_place *p, struct progress *out)
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

int
bench_place_start(struct bench_place *p)
{
	int rc = bench_proc_start(p->b, &p->node, "lt-node", p->dir);

	return rc == LT_OK ? bench_dial_local(p->b, p->pool, &p->node, &p->clerk) : rc;
}

int
bench_place_stop(struct bench_place *p)
{
	lt_conn_close(p->clerk);
	p->clerk = NULL;
	return bench_proc_stop(p->b, &p->node);
}

/* Until it is online and all it made is receipted and judged. worst: the greatest memory seen meanwhile; receipted_ns: when
 * the last receipt was there. */
int
bench_place_settle(struct bench_place *p, struct bench_usage *worst, int64_t *receipted_ns)
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

int
bench_place_open(struct bench *b, size_t n, struct bench_place *p)
{
	struct bench_usage u;
	int64_t when;
	int rc;

	memset(p, 0, sizeof(*p));
	p->b = b;
	p->n = n;
	rc = bench_world_make(b, "hub", 2, &p->w);
	lt_arena_init(&p->arena, (size_t)1 << 30);
	if (rc == LT_OK)
		rc = bench_drafts(b, &p->w, &p->w.node[0], p->n, &p->arena, &p->draft);
	if (rc == LT_OK)
		rc = bench_port(b, &p->port);
	if (rc == LT_OK)
		rc = bench_port(b, &p->behind);
	if (rc == LT_OK)
		rc = bench_world_listen(b, &p->w, p->behind, false);
	if (rc == LT_OK)
		rc = bench_world_node(b, &p->w, 0, p->port, p->dir);
	if (rc == LT_OK)
		rc = bench_proc_start(b, &p->hub, "lt-hub", p->w.dir);
	if (rc == LT_OK)
		rc = bench_relay_start(b, p->port, p->behind, 0, &p->relay);
	if (rc == LT_OK)
		rc = lt_pool_start(2, 256, &p->pool);
	if (rc == LT_OK)
		rc = bench_place_start(p);
	return rc == LT_OK ? bench_place_settle(p, &u, &when) : rc;
}

void
bench_place_close(struct bench_place *p)
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
import_some(struct bench_place *p, size_t from, size_t n, bool update)
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

int
bench_place_import(struct bench_place *p, size_t from, size_t n, bool update, double *seconds)
{
	int64_t begun = bench_now_ns();
	size_t at, now;
	int rc = LT_OK;

	for (at = 0; rc == LT_OK && at < n; at += now) {
		now = n - at < LT_IMPORT_ROWS_MAX ? n - at : LT_IMPORT_ROWS_MAX;
		rc = import_some(p, from + at, now, update);
	}
	*seconds = bench_seconds(bench_now_ns() - begun);
	return rc;
}

/* Written with no line, then sent by a node just started: it has nothing else in memory, and batches are what a backlog makes
 * them. */
int
bench_place_write_apart(struct bench_place *p, size_t from, size_t n, bool update, double *seconds)
{
	int rc = bench_place_stop(p);

	bench_relay_stop(p->relay);
	p->relay = NULL;
	if (rc == LT_OK)
		rc = bench_place_start(p);
	if (rc == LT_OK)
		rc = bench_place_import(p, from, n, update, seconds);
	return rc == LT_OK ? bench_place_stop(p) : rc;
}
