/* In a child: open the store, read all of it, ask, scrub, and compare with what stood there before. */
#include "damage.h"

#include "proto/base/log.h"
#include "proto/feed/trust.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/kv_check.h"
#include "proto/store/kv_test.h"
#include "proto/store/query.h"
#include "proto/store/scrub.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define TRUTH_ARENA ((size_t)256 << 20)
#define ASK_ARENA ((size_t)64 << 20)
#define SECONDS 120 /* nothing here takes one, on a machine that does nothing else */

const char *const outcome_name[OUTCOMES] = { "nothing", "found", "refused", "set aside",
	"unreadable", "omitted", "stale", "crashed once", "WRONG", "HIDDEN", "CRASH", "HANG",
	"LOOP", "REPAIR" };
const char *const repair_name[REPAIRS] = { "needless", "built anew", "whole again", "rows left",
	"backup" };

/* What is compared with, learnt from the pristine stores. */
#define ASKS_MAX 160

struct ask {
	bool hub;
	enum { ASK_GET, ASK_LIST, ASK_FILTER, ASK_GROUPS, ASK_HISTORY } what;
	char collection[65], unit[16], key[257];
	struct lt_slice answer;
};

static struct {
	struct lt_catalogue *catalogue[2]; /* of the hub, of the node */
	struct lt_registry *registry[2];
	struct lt_arena arena;
	struct ask ask[ASKS_MAX];
	size_t nask;
} known;

/* A child's result, in memory that both see. */
struct shared {
	bool done, opened, aside;
	int rc; /* of opening */
	unsigned wrong, older, missing, unreadable, differ, errors;
	uint64_t found, truth; /* truth: of them, what is not derived */
	bool feeds; /* of them, something in entries, numbers or openings */
	int scrub_rc;
	bool repairing;
	enum repair repair;
	bool repair_failed;
	uint64_t lies[LIES];
	char first[160];
	const char *volatile phase; /* static text */
};

static struct shared *shared;

static void first(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void
first(const char *fmt, ...)
{
	va_list ap;

	if (shared->first[0] != '\0')
		return;
	va_start(ap, fmt);
	/* clang 14 does not see the va_start. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(shared->first, sizeof(shared->first), fmt, ap);
	va_end(ap);
}

/* ---- rows ---- */

#define ROWS_MAX 40

/* A change-set, or an opening. A run of change-sets, half of the time. */
static void
damage_rows(const struct sample *x, const struct damage *d, struct lt_kv *kv)
{
	const struct truth_table *entry = &x->table[LT_T_ENTRY], *opening = &x->table[LT_T_OPENING];
	uint64_t r = d->rows, n = 1 + draw(&r) % ROWS_MAX, run = draw(&r) % 2, i;
	uint64_t at = draw(&r) % entry->n;

	for (i = 0; i < n; i++) {
		bool is_entry = run != 0 || draw(&r) % 2 == 0;
		const struct truth_table *t = is_entry ? entry : opening;
		uint64_t to = run != 0 ? at + i : draw(&r) % t->n;
		size_t nbits = 0;

		if (to >= t->n)
			return;
		(void)lt_kv_test_flip(
		    kv, is_entry ? LT_T_ENTRY : LT_T_OPENING, t->e[to].key, SIZE_MAX, &nbits);
		assert_int_equal(lt_kv_test_flip(kv, is_entry ? LT_T_ENTRY : LT_T_OPENING,
				     t->e[to].key, draw(&r) % nbits, NULL),
		    LT_OK);
	}
}

/* ---- every entry ---- */

static int
by_key(const void *a, const void *b)
{
	return lt_slice_cmp(
	    ((const struct truth_entry *)a)->key, ((const struct truth_entry *)b)->key);
}

static const struct truth_entry *
find(const struct truth_table *t, struct lt_slice key)
{
	struct truth_entry want = { key, { NULL, 0 } };

	return t->n == 0 ? NULL : bsearch(&want, t->e, t->n, sizeof(*t->e), by_key);
}

/* Something was read without an error: was it ever so? What carries its checksum, which stands behind it, was written there once:
 * it is older. */
static void
compare(const struct sample *x, unsigned table, struct lt_slice key, struct lt_slice value)
{
	const struct truth_entry *e = find(&x->table[table], key);
	uint8_t sum[LT_KV_SUM_LEN];
	struct lt_kv_table t;

	if (e != NULL && lt_slice_eq(e->value, value))
		return;
	lt_kv_table_init(&t, lt_table_names[table]);
	lt_kv_sum(&t, key, value, sum);
	if (memcmp(sum, value.data + value.len, sizeof(sum)) == 0) {
		shared->older++;
		first("table %s: an older value", lt_table_names[table]);
	} else {
		shared->wrong++;
		first("table %s: a value that never was", lt_table_names[table]);
	}
}

static void
failed(unsigned table, int rc)
{
	shared->unreadable++;
	first("table %s: %s", lt_table_names[table], lt_strerror(rc));
}

static void
absent(unsigned table)
{
	shared->missing++;
	first("table %s: an entry is absent", lt_table_names[table]);
}

/* A pristine store's entries, read from the damaged one. */
struct reading {
	const struct sample *x;
	struct lt_kv *kv;
	struct lt_kv_txn *txn; /* NULL: none could be begun */
};

/* After some errors LMDB answers nothing more in the same transaction, which says nothing about what stands there. */
static void
begin_again(struct reading *r, int rc)
{
	if (rc == LT_OK || rc == LT_E_NOTFOUND)
		return;
	lt_kv_abort(r->txn);
	r->txn = NULL;
	rc = lt_kv_begin_read(r->kv, &r->txn);
	if (rc != LT_OK)
		failed(0, rc);
}

static void
read_one_way(struct reading *r, unsigned table, bool forward)
{
	const struct truth_table *t = &r->x->table[table];
	const struct lt_slice end = { NULL, 0 };
	struct lt_slice k = end, v = end;
	struct lt_kv_cursor *c;
	size_t seen = 0, bound = t->n * 2 + 100;
	bool broken = false;
	int rc = lt_kv_cursor_open(r->txn, table, &c);

	if (rc != LT_OK) {
		failed(table, rc);
		begin_again(r, rc);
		return;
	}
	for (rc = (forward ? lt_kv_seek : lt_kv_seek_before)(c, end, &k, &v);
	     rc != LT_E_NOTFOUND && seen < bound;
	     rc = (forward ? lt_kv_next : lt_kv_prev)(c, &k, &v)) {
		seen++;
		if (rc == LT_OK) {
			compare(r->x, table, k, v);
			continue;
		}
		broken = true;
		failed(table, rc);
		if (rc != LT_E_CORRUPT)
			break;
	}
	lt_kv_cursor_close(c);
	if (!broken && seen < t->n)
		absent(table);
	if (seen >= bound)
		first("table %s: a walk in circles", lt_table_names[table]);
	begin_again(r, rc);
}

static void
read_by_key(struct reading *r, unsigned table)
{
	const struct truth_table *t = &r->x->table[table];
	struct lt_slice v;
	size_t i;

	for (i = 0; i < t->n && r->txn != NULL; i++) {
		int rc = lt_kv_get(r->txn, table, t->e[i].key, &v);

		if (rc == LT_OK)
			compare(r->x, table, t->e[i].key, v);
		else if (rc == LT_E_NOTFOUND)
			absent(table);
		else
			failed(table, rc);
		begin_again(r, rc);
	}
}

static void
read_all(const struct sample *x, struct lt_kv *kv)
{
	struct reading r = { x, kv, NULL };
	unsigned table;

	begin_again(&r, LT_E_IO);
	for (table = 0; table < LT_T_COUNT; table++) {
		if (r.txn != NULL)
			read_one_way(&r, table, true);
		if (r.txn != NULL)
			read_one_way(&r, table, false);
		read_by_key(&r, table);
	}
	lt_kv_abort(r.txn);
}

/* ---- queries ---- */

static bool
all_units(void *ctx, const struct lt_collection *c, const char *unit)
{
	(void)ctx;
	(void)c;
	(void)unit;
	return true;
}

static bool
all_fields(void *ctx, const struct lt_collection *c, const char *unit, const struct lt_field *f)
{
	(void)ctx;
	(void)c;
	(void)unit;
	(void)f;
	return true;
}

static bool
everywhere(void *ctx, const struct lt_collection *c, const struct lt_field *f)
{
	(void)ctx;
	(void)c;
	(void)f;
	return true;
}

static const struct lt_sight sight = {
	.unit = all_units, .field = all_fields, .field_everywhere = everywhere
};

static int
pack(int rc, const ProtobufCMessage *m, struct lt_arena *arena, struct lt_slice *out)
{
	uint8_t *p;

	if (rc != LT_OK)
		return rc;
	p = lt_arena_alloc(arena, protobuf_c_message_get_packed_size(m) + 1);
	if (p == NULL)
		return LT_E_NOMEM;
	*out = lt_slice(p, protobuf_c_message_pack(m, p));
	return LT_OK;
}

static int
ask_list(const struct lt_query *q, const struct ask *a, struct lt_slice *out)
{
	Ltpb__Value value = LTPB__VALUE__INIT, *values = &value;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters = &filter;
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply = LTPB__LIST_REPLY__INIT;
	int rc;

	req.collection = (char *)(uintptr_t)a->collection;
	req.page_size = LT_PAGE_MAX;
	if (a->what == ASK_FILTER) {
		value.v_case = LTPB__VALUE__V_TEXT;
		value.text = (char *)(uintptr_t) "dang_xu_ly";
		filter.field = (char *)(uintptr_t) "status";
		filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
		filter.value = &values;
		filter.n_value = 1;
		req.filter = &filters;
		req.n_filter = 1;
	}
	rc = lt_query_list(q, &req, &reply, NULL);
	reply.next_page_token.len = 0;
	return pack(rc, &reply.base, q->arena, out);
}

static int
ask_groups(const struct lt_query *q, const struct ask *a, struct lt_slice *out)
{
	char *by = (char *)(uintptr_t) "status";
	Ltpb__AggregateRequest req = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply reply = LTPB__AGGREGATE_REPLY__INIT;

	req.collection = (char *)(uintptr_t)a->collection;
	req.group_by = &by;
	req.n_group_by = 1;
	return pack(lt_query_aggregate(q, &req, &reply, NULL), &reply.base, q->arena, out);
}

static int
ask_record(const struct lt_query *q, const struct ask *a, struct lt_slice *out)
{
	Ltpb__GetRequest get = LTPB__GET_REQUEST__INIT;
	Ltpb__GetReply record = LTPB__GET_REPLY__INIT;
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__HistoryReply reply = LTPB__HISTORY_REPLY__INIT;
	int rc;

	get.collection = req.collection = (char *)(uintptr_t)a->collection;
	get.unit = req.unit = (char *)(uintptr_t)a->unit;
	get.key = req.key = (char *)(uintptr_t)a->key;
	if (a->what == ASK_GET)
		return pack(lt_query_get(q, &get, &record, NULL), &record.base, q->arena, out);
	req.page_size = LT_PAGE_MAX;
	rc = lt_query_history(q, &req, NULL, NULL, &reply, NULL);
	reply.next_page_token.len = 0;
	return pack(rc, &reply.base, q->arena, out);
}

static int
ask(const struct stores *s, const struct ask *a, struct lt_kv_txn *log, struct lt_kv_txn *derived,
    struct lt_arena *arena, struct lt_slice *out)
{
	static const uint8_t token_key[32] = { 1 };
	struct lt_query q = { .log = log,
		.derived = derived,
		.catalogue = known.catalogue[a->hub ? 0 : 1],
		.province = s->hub->unit,
		.sight = &sight,
		.arena = arena,
		.token_key = token_key };

	if (a->what == ASK_LIST || a->what == ASK_FILTER)
		return ask_list(&q, a, out);
	return a->what == ASK_GROUPS ? ask_groups(&q, a, out) : ask_record(&q, a, out);
}

static void
ask_all(const struct stores *s, bool hub, struct lt_kv *log, struct lt_kv *derived)
{
	struct lt_kv_txn *l = NULL, *d = NULL;
	size_t i;

	shared->phase = "asking";
	if (lt_kv_begin_read(log, &l) != LT_OK || lt_kv_begin_read(derived, &d) != LT_OK) {
		shared->errors++;
		lt_kv_abort(l);
		return;
	}
	for (i = 0; i < known.nask; i++) {
		const struct ask *a = &known.ask[i];
		struct lt_slice answer = { NULL, 0 };
		struct lt_arena arena;
		int rc;

		if (a->hub != hub)
			continue;
		lt_arena_init(&arena, ASK_ARENA);
		rc = ask(s, a, l, d, &arena, &answer);
		if (rc == LT_E_NOTFOUND) {
			shared->missing++;
			first("query %d: not found", (int)a->what);
		} else if (rc != LT_OK) {
			shared->errors++;
			first("query %d: %s", (int)a->what, lt_strerror(rc));
		} else if (!lt_slice_eq(answer, a->answer)) {
			shared->differ++;
			first("query %d of %s answers otherwise", (int)a->what, a->collection);
		}
		lt_arena_fini(&arena);
	}
	lt_kv_abort(l);
	lt_kv_abort(d);
}

/* ---- scrub ---- */

static int
world(void *ctx, struct lt_scrub_world *out)
{
	const struct lt_scrub_world *w = ctx;

	out->catalogue = lt_catalogue_ref(w->catalogue);
	out->registry = lt_registry_ref(w->registry);
	out->province = w->province;
	out->builds = 0;
	return LT_OK;
}

static void
count_truth(const struct lt_scrub_status *st)
{
	size_t i;

	shared->truth = 0;
	shared->feeds = false;
	for (i = 0; i < st->nfinding; i++) {
		unsigned t = st->finding[i].table;

		shared->truth += !st->finding[i].derived;
		shared->feeds |= t == LT_T_ENTRY || t == LT_T_SEQ || t == LT_T_OPENING;
	}
}

static void
scrub(const struct stores *s, bool hub, struct lt_kv *log, struct lt_kv *derived)
{
	struct lt_scrub_world w = { known.catalogue[hub ? 0 : 1], known.registry[hub ? 0 : 1],
		s->hub->unit, 0 };
	struct lt_scrub_options o = { .log = log,
		.derived = derived,
		.federation = &s->hub->federation,
		.author = hub ? NULL : &s->node->principal,
		.clock = lt_clock_system(),
		.world = world,
		.ctx = &w };
	struct lt_scrub_status *st = calloc(1, sizeof(*st));
	struct lt_scrub *scrubbing;

	shared->phase = "scrubbing";
	shared->scrub_rc = st == NULL ? LT_E_NOMEM : lt_scrub_open(&o, &scrubbing);
	if (shared->scrub_rc == LT_OK) {
		/* Signatures are for what is forged. */
		shared->scrub_rc = lt_scrub_round(scrubbing, false);
		lt_scrub_status(scrubbing, st);
		shared->found = st->nfinding + st->more;
		count_truth(st);
		lt_scrub_close(scrubbing);
	}
	free(st);
}

/* ---- the child ---- */

static bool
set_aside(const struct stores *s, enum store which)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s/damaged-1.mdb", s->dir, s->s[which].name);
	return access(path, F_OK) == 0;
}

static bool
is_empty(struct lt_kv *kv)
{
	static const unsigned tables[] = { LT_T_RECORD, LT_T_SHOWN, LT_T_INDEX, LT_T_HISTORY,
		LT_T_DIGEST, LT_T_CURSOR };
	struct lt_kv_txn *txn;
	uint64_t n = 0, all = 0;
	size_t i;

	if (lt_kv_begin_read(kv, &txn) != LT_OK)
		return false;
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		all += lt_kv_count(txn, tables[i], &n) == LT_OK ? n : 1;
	lt_kv_abort(txn);
	return all == 0;
}

/* Was anything not as it should be? */
static bool
touched(void)
{
	return (shared->wrong | shared->older | shared->missing | shared->unreadable |
		   shared->differ | shared->errors) != 0;
}

/* ---- repair ---- */

/* What was counted before stays as it was judged by. */
static void
repair_failed(const char *why)
{
	shared->repair_failed = true;
	(void)snprintf(shared->first, sizeof(shared->first), "repair: %s", why);
}

static void
repair(const struct stores *s, const struct damage *d, struct lt_kv *kv, struct lt_kv *derived)
{
	enum store which = d->store;
	struct repair_world w = { .s = s,
		.which = which,
		.registry = known.registry[which == STORE_NODE ? 1 : 0],
		.kv = kv,
		.draws = d->lies,
		.lies = shared->lies };
	struct shared was = *shared;
	const char *table;
	uint64_t put = 0;

	shared->phase = "repairing";
	shared->repairing = true;
	if (!repair_run(&w, &put)) {
		shared->repair = REPAIR_BACKUP;
		shared->repairing = false;
		return;
	}
	if (!repair_whole(&s->s[which], kv, &table)) {
		repair_failed(table == NULL ? "it cannot be read" : table);
		return;
	}
	shared->wrong = shared->older = shared->missing = shared->unreadable = shared->differ =
	    shared->errors = 0;
	ask_all(s, which != STORE_NODE, kv, derived);
	if (shared->differ != 0 && was.missing == 0 && was.older == 0)
		repair_failed("a query answers otherwise");
	scrub(s, which != STORE_NODE, kv, derived);
	if (shared->feeds)
		repair_failed("the next scrub finds something in what was repaired");
	shared->repair = shared->truth == 0 ? REPAIR_WHOLE : REPAIR_LEFT;
	shared->repairing = false;
	shared->wrong = was.wrong;
	shared->older = was.older;
	shared->missing = was.missing;
	shared->unreadable = was.unreadable;
	shared->differ = was.differ;
	shared->errors = was.errors;
	shared->found = was.found;
	if (!shared->repair_failed)
		memcpy(shared->first, was.first, sizeof(was.first));
}

static void
repair_all(const struct stores *s, const struct damage *d, struct lt_kv *kv, struct lt_kv *derived)
{
	if (shared->found == 0)
		return;
	if (shared->truth == 0 || d->store == STORE_DERIVED)
		shared->repair = REPAIR_ANEW;
	else
		repair(s, d, kv, derived);
}

static void
child(const struct stores *s, const struct damage *d, bool scrub_all)
{
	enum store which = d->store;
	struct lt_kv *kv = NULL, *other = NULL;
	struct lt_err err = { "" };

	shared->phase = "opening";
	shared->rc = stores_open(s, which, &kv, &err);
	if (shared->rc != LT_OK) {
		first("%s", err.text);
		return;
	}
	shared->opened = true;
	shared->aside = set_aside(s, which);
	if (shared->aside) {
		if (!is_empty(kv))
			shared->wrong++;
		lt_kv_close(kv);
		return;
	}
	if (d->kind == KIND_ROWS)
		damage_rows(&s->s[which], d, kv);
	shared->phase = "reading";
	read_all(&s->s[which], kv);
	if (which == STORE_NODE) {
		ask_all(s, false, kv, kv);
		if (scrub_all || touched())
			scrub(s, false, kv, kv);
		repair_all(s, d, kv, kv);
	} else if (stores_open(s, which == STORE_LOG ? STORE_DERIVED : STORE_LOG, &other, &err) !=
		   LT_OK) {
		first("%s", err.text);
		shared->wrong++;
	} else {
		ask_all(s, true, which == STORE_LOG ? kv : other, which == STORE_LOG ? other : kv);
		if (scrub_all || touched())
			scrub(s, true, which == STORE_LOG ? kv : other,
			    which == STORE_LOG ? other : kv);
		repair_all(s, d, kv, other);
	}
	lt_kv_close(other);
	lt_kv_close(kv);
}

/* What a child says of what it finds is of interest when it is a defect; there may be thousands of lines. */
#define SAID_MAX 4096 /* bytes of it, the last ones */

static void
said_path(const struct stores *s, char path[256])
{
	(void)snprintf(path, 256, "%s/said", s->dir);
}

static void
said_apart(const struct stores *s)
{
	char path[256];
	int fd;

	said_path(s, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	(void)close(fd);
}

static void
said_print(const struct stores *s)
{
	char path[256], text[SAID_MAX];
	FILE *f;
	size_t n;

	said_path(s, path);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fseek(f, -SAID_MAX, SEEK_END) != 0)
		rewind(f);
	n = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	(void)fwrite(text, 1, n, stdout);
}

/* The status that waitpid() gives. */
static int
run(const struct stores *s, const struct damage *d, bool large, bool scrub_all)
{
	int status = 0;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(SECONDS);
		said_apart(s);
		lt_kv_test_check_samples = large ? 1 : LT_KV_CHECK_SAMPLES;
		lt_kv_test_check_always = large ? 0 : LT_KV_CHECK_ALWAYS;
		child(s, d, scrub_all);
		shared->done = true;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static enum outcome
judge(const struct shared *h)
{
	bool found = h->found != 0;

	if (!h->opened)
		return SEEN_REFUSED;
	if (h->wrong != 0)
		return BAD_WRONG;
	if (h->repair_failed)
		return BAD_REPAIR;
	if (h->aside)
		return SEEN_ASIDE;
	/* An answer may lack what is missing, or be of what is older; else it is one that was never right. */
	if (h->differ != 0 && h->missing == 0 && h->older == 0)
		return BAD_WRONG;
	if (h->missing == 0 && h->older == 0 && h->unreadable == 0 && h->errors == 0)
		return found ? SEEN_FOUND : SEEN_NOTHING;
	if (!found)
		return BAD_HIDDEN;
	if (h->older != 0)
		return SEEN_STALE;
	return h->missing != 0 ? SEEN_OMITTED : SEEN_UNREADABLE;
}

static enum outcome
judge_exit(const struct shared *h, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return BAD_HANG;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !h->done)
		return h->repairing ? BAD_REPAIR : BAD_CRASH;
	return judge(h);
}

/* Of what LMDB does with broken pages that nobody looked at: it ends by a signal, which a sanitizer makes an exit, each with a code of
 * its own. A race that it found meanwhile would be its exit too, and stands on stderr: the thread sanitizer's children have one thread. */
static bool
is_death(int status)
{
#if defined(__SANITIZE_ADDRESS__)
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return true;
#elif defined(__SANITIZE_THREAD__)
	if (WIFEXITED(status) && WEXITSTATUS(status) == 66)
		return true;
#endif
	return WIFSIGNALED(status);
}

void
serve(const struct stores *s, const struct damage *d, struct seen *out)
{
	int status = run(s, d, d->left == LEFT_LARGE, d->number % 8 == 0);
	enum outcome again;

	out->outcome = judge_exit(shared, status);
	out->repair = shared->repair;
	memcpy(out->lies, shared->lies, sizeof(out->lies));
	if (out->outcome == SEEN_REFUSED)
		out->repair = REPAIR_BACKUP;
	else if (out->outcome == SEEN_ASIDE)
		out->repair = REPAIR_ANEW;
	(void)snprintf(out->why, sizeof(out->why), "%s", shared->first);
	if (out->outcome == BAD_CRASH || out->outcome == BAD_HANG ||
	    (out->outcome == BAD_REPAIR && !shared->repair_failed))
		(void)snprintf(out->why, sizeof(out->why), "status %d while %s: %s", status,
		    shared->phase == NULL ? "-" : shared->phase, shared->first);
	if (out->outcome == BAD_CRASH && d->left == LEFT_LARGE && is_death(status)) {
		/* It was not closed: the next start looks at all of it. */
		again = judge_exit(shared, run(s, d, true, false));
		out->outcome =
		    again == SEEN_REFUSED || again == SEEN_ASIDE ? SEEN_CRASHED : BAD_LOOP;
		out->repair = again == SEEN_ASIDE ? REPAIR_ANEW : REPAIR_BACKUP;
	} else if (out->outcome == SEEN_REFUSED || out->outcome == SEEN_ASIDE) {
		again = judge_exit(shared, run(s, d, false, false));
		/* What was begun anew is not set aside again: there is no second one. */
		if (again != out->outcome)
			out->outcome = BAD_LOOP;
	}
	if (out->outcome >= OUTCOME_DEFECT)
		said_print(s);
}

/* ---- learning ---- */

/* As the older copy has it. */
static void
learn_before(const struct stores *s, enum store which)
{
	const struct sample *x = &s->s[which];
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_kv *kv;

	stores_put(s, which, x->old, x->old_size, NULL);
	if (stores_open(s, which, &kv, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	repair_learn_before(which, txn);
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

static void
learn_table(struct sample *x, struct lt_kv_txn *txn, unsigned table)
{
	struct truth_table *t = &x->table[table];
	const struct lt_slice end = { NULL, 0 };
	struct lt_slice k = end, v = end;
	struct lt_kv_cursor *c;
	uint64_t n;
	int rc;

	assert_int_equal(lt_kv_count(txn, table, &n), LT_OK);
	t->e = lt_arena_alloc(&x->arena, (size_t)(n + 1) * sizeof(*t->e));
	assert_non_null(t->e);
	assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, end, &k, &v); rc == LT_OK; rc = lt_kv_next(c, &k, &v)) {
		assert_true(t->n < n);
		t->e[t->n].key = lt_slice(lt_arena_dup(&x->arena, k.data, k.len), k.len);
		t->e[t->n++].value = lt_slice(lt_arena_dup(&x->arena, v.data, v.len), v.len);
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	lt_kv_cursor_close(c);
}

static void
learn_world(const struct stores *s, int at, struct lt_kv_txn *txn)
{
	struct lt_principal hub;
	struct lt_principal_key key;
	struct lt_err err = { "" };
	uint64_t version;

	lt_principal_of_hub(
	    &hub, &key, s->hub->principal.b, s->hub->key_no, s->hub->sign.pk, s->hub->line_pk);
	if (lt_catalogue_newest(txn, &version) != LT_OK ||
	    lt_catalogue_load(txn, version, &known.catalogue[at], &err) != LT_OK ||
	    lt_registry_load(txn, &hub, 1, &known.registry[at], &err) != LT_OK)
		fail_msg("%s", err.text);
}

static void
note_ask(const struct stores *s, struct ask *a, struct lt_kv_txn *log, struct lt_kv_txn *derived)
{
	struct lt_slice answer = { NULL, 0 };
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, ASK_ARENA);
	rc = ask(s, a, log, derived, &arena, &answer);
	if (rc != LT_OK)
		fail_msg("query %d of %s: %s", (int)a->what, a->collection, lt_strerror(rc));
	a->answer = lt_slice(lt_arena_dup(&known.arena, answer.data, answer.len), answer.len);
	lt_arena_fini(&arena);
	assert_true(known.nask < ASKS_MAX);
	known.ask[known.nask++] = *a;
}

/* Lists of some collections, groups, and every dossier with its history. */
static void
learn_asks(const struct stores *s, const struct sample *x, bool hub, struct lt_kv_txn *log,
    struct lt_kv_txn *derived)
{
	static const char *const lists[] = { "dossier", "_unit", "_registry" };
	const struct truth_table *t = &x->table[LT_T_SHOWN];
	struct ask a = { .hub = hub };
	size_t i, n = 0;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		a.what = ASK_LIST;
		(void)snprintf(a.collection, sizeof(a.collection), "%s", lists[i]);
		note_ask(s, &a, log, derived);
	}
	(void)snprintf(a.collection, sizeof(a.collection), "dossier");
	a.what = ASK_FILTER;
	note_ask(s, &a, log, derived);
	a.what = ASK_GROUPS;
	note_ask(s, &a, log, derived);
	for (i = 0; i < t->n && n < 12; i++) {
		struct lt_slice c, u, k;

		assert_int_equal(lt_key_record_split(t->e[i].key, &c, &u, &k), LT_OK);
		lt_slice_to_text(a.collection, sizeof(a.collection), c);
		lt_slice_to_text(a.unit, sizeof(a.unit), u);
		lt_slice_to_text(a.key, sizeof(a.key), k);
		if (strcmp(a.collection, "dossier") != 0)
			continue;
		n++;
		a.what = ASK_GET;
		note_ask(s, &a, log, derived);
		a.what = ASK_HISTORY;
		note_ask(s, &a, log, derived);
	}
	assert_int_equal(n, 12);
}

void
serve_apart(void)
{
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
}

void
serve_learn(struct stores *s)
{
	struct lt_kv *kv[STORES];
	struct lt_kv_txn *txn[STORES];
	struct lt_err err = { "" };
	size_t i;
	unsigned t;

	serve_apart();
	lt_arena_init(&known.arena, TRUTH_ARENA);
	for (i = 0; i < STORES; i++) {
		if (stores_open(s, (enum store)i, &kv[i], &err) != LT_OK)
			fail_msg("%s", err.text);
		lt_arena_init(&s->s[i].arena, TRUTH_ARENA);
		assert_int_equal(lt_kv_begin_read(kv[i], &txn[i]), LT_OK);
		for (t = 0; t < LT_T_COUNT; t++)
			learn_table(&s->s[i], txn[i], t);
	}
	repair_learn(STORE_LOG, txn[STORE_LOG]);
	repair_learn(STORE_NODE, txn[STORE_NODE]);
	learn_world(s, 0, txn[STORE_DERIVED]);
	learn_world(s, 1, txn[STORE_NODE]);
	learn_asks(s, &s->s[STORE_DERIVED], true, txn[STORE_LOG], txn[STORE_DERIVED]);
	learn_asks(s, &s->s[STORE_NODE], false, txn[STORE_NODE], txn[STORE_NODE]);
	for (i = 0; i < STORES; i++) {
		lt_kv_abort(txn[i]);
		lt_kv_close(kv[i]);
		if (i != STORE_DERIVED)
			learn_before(s, (enum store)i);
		stores_put(s, (enum store)i, s->s[i].file, s->s[i].size, s->s[i].guard);
	}
}

void
serve_forget(void)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		lt_catalogue_unref(known.catalogue[i]);
		lt_registry_unref(known.registry[i]);
	}
	lt_arena_fini(&known.arena);
	repair_forget();
}
