/* Stores whose values are nonsense though their checksums are right: each table's decoders, and hub and node over them.
 *
 * Input: u8 kind (store, and whether a machine is opened over it), then damages: u8 what, u8 table, u16 place among the
 * table's entries, and as needed a new key or value. Must hold: whatever stands there, reading, querying, writing on, opening a
 * hub or a node and working out records anew ends in an answer or an error, in bounded memory.
 */
#include "node/receipts.h"
#include "proto/base/limits.h"
#include "proto/store/author.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/log_view.h"
#include "proto/store/projection_impl.h"
#include "proto/store/rebuild.h"
#include "proto/store/registry.h"
#include "tests/fuzz/lib/world.h"
#include "tests/lib/random.h"

#include <stdlib.h>
#include <string.h>

#define DAMAGES_MAX 16
#define POSITIONS_MAX 64
#define READ_ARENA ((size_t)64 << 20)

static struct lt_catalogue *cat;
static struct lt_unit unit, province;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct lt_kv_txn *txn;
	struct lt_err err = { "" };
	struct lt_kv *kv;

	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_world();
	kv = fuzz_world_store(FUZZ_NODE);
	FUZZ_MUST(lt_kv_begin_read(kv, &txn) == LT_OK);
	FUZZ_MUST(lt_catalogue_load(txn, 1, &cat, &err) == LT_OK);
	lt_kv_abort(txn);
	lt_kv_close(kv);
	FUZZ_MUST(lt_unit_set(&unit, lt_slice_str(FUZZ_WORLD_UNIT)) == LT_OK);
	FUZZ_MUST(lt_unit_set(&province, lt_slice_str("40")) == LT_OK);
	return 0;
}

/* ---- damage ---- */

static const struct fuzz_entry *
entry_of(enum fuzz_store which, unsigned table, unsigned place)
{
	const struct fuzz_entry *e;
	size_t n, i, first = 0, count = 0;

	e = fuzz_world_entries(which, &n);
	for (i = 0; i < n; i++)
		if (e[i].table == table && count++ == 0)
			first = i;
	return count == 0 ? NULL : &e[first + place % count];
}

static void
put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice value)
{
	if (key.len >= 1 && key.len <= LT_KV_KEY_MAX)
		FUZZ_MUST(lt_kv_put(txn, table, key, value) == LT_OK);
}

static void
damage(struct lt_kv_txn *txn, enum fuzz_store which, struct fuzz_in *in)
{
	unsigned what = fuzz_u8(in) % 7, table = fuzz_u8(in) % LT_T_COUNT, place = fuzz_u16(in);
	const struct fuzz_entry *e = entry_of(which, table, place), *other;
	struct lt_slice key = e == NULL ? lt_slice("k", 1) : e->key;
	struct lt_slice value = e == NULL ? lt_slice("", 0) : e->value, from;
	uint8_t *copy;
	size_t i, n;

	switch (what) {
	case 0: /* another value */
		put(txn, table, key, fuzz_block(in));
		break;
	case 1: /* gone */
		(void)lt_kv_del(txn, table, key);
		break;
	case 2: /* another key, the same value */
		put(txn, table, fuzz_bytes(in, fuzz_u8(in)), value);
		break;
	case 3: /* bytes changed */
		copy = fuzz_copy(value);
		for (i = 1 + fuzz_u8(in) % 4; i > 0 && value.len != 0; i--) {
			n = fuzz_u16(in);
			copy[n % value.len] = fuzz_u8(in);
		}
		put(txn, table, key, lt_slice(copy, value.len));
		free(copy);
		break;
	case 4: /* cut */
		n = fuzz_u16(in);
		put(txn, table, key, lt_slice(value.data, value.len == 0 ? 0 : n % value.len));
		break;
	case 5: /* the value of another entry */
		other = entry_of(which, table, fuzz_u16(in));
		if (other != NULL)
			put(txn, table, key, other->value);
		break;
	default: /* a key and a value of its own */
		from = fuzz_bytes(in, fuzz_u8(in));
		put(txn, table, from, fuzz_block(in));
		break;
	}
}

static struct lt_kv *
damaged(enum fuzz_store which, struct fuzz_in *in)
{
	struct lt_kv *kv = fuzz_world_store(which);
	struct lt_kv_txn *txn;
	unsigned i;

	FUZZ_MUST(lt_kv_begin_write(kv, &txn) == LT_OK);
	for (i = 0; i < DAMAGES_MAX && fuzz_left(in) != 0; i++)
		damage(txn, which, in);
	FUZZ_MUST(lt_kv_commit(txn) == LT_OK);
	return kv;
}

/* ---- reading ---- */

static void
read_position(struct lt_kv_txn *txn, uint64_t position, struct lt_arena *a)
{
	static const char *const fields[] = { "applicant_name", "applicant_id_no", "_actor" };
	struct lt_log_view view = { 0 };
	struct lt_merge_change mc;
	struct lt_judgement j;
	struct lt_change change;
	struct lt_entry e;
	struct lt_buf out = { 0 };
	struct lt_slice fs;
	struct lt_hash leaf;
	uint8_t salt[LT_SALT_LEN];
	struct lt_err err = { "" };
	size_t i;

	if (lt_feed_log_read(txn, position, &e) == LT_OK)
		(void)lt_feed_log_compose(txn, &e, NULL, NULL, &out, &err);
	lt_buf_fini(&out);
	if (lt_feed_log_judgement(txn, position, a, &j) == LT_OK) {
		(void)lt_judgement_refuses(&j, 0, NULL);
		(void)lt_judgement_holds(&j, 0);
		(void)lt_judgement_stamp(&j, LT_STAMP(LT_BUILD_FLOOR_MS, 0));
	}
	for (i = 0; i < 3; i++)
		(void)lt_opening_get(txn, position, 0, fields[i], a, &fs, salt, &leaf);
	if (lt_log_view_open(&view, txn, position) == LT_OK)
		for (i = 0; i < view.nchange && i < 4; i++)
			if (lt_log_view_change(&view, (uint32_t)i, a, &change) == LT_OK)
				lt_log_view_merge_change(&view, (uint32_t)i, &change, &mc);
	lt_log_view_close(&view);
}

static int
read_feed(
    void *ctx, const struct lt_unit *u, const struct lt_feed_id *feed, const struct lt_head *head)
{
	struct lt_kv_txn *txn = ctx;
	struct lt_hash hash;
	struct lt_head again;
	uint64_t n;

	FUZZ_MUST(lt_unit_valid(u->s));
	(void)lt_feed_log_head(txn, u, feed, &again);
	(void)lt_feed_log_find(txn, u, feed, head->seq, &n);
	(void)lt_feed_log_hash(txn, u, feed, head->seq, &hash);
	(void)lt_node_receipted(txn, u, feed, &n);
	(void)lt_node_tied(txn, u, feed, head, &n);
	return LT_OK;
}

static int
on_history(void *ctx, const struct lt_dot *dot, uint64_t position)
{
	(void)ctx;
	(void)dot;
	(void)position;
	return LT_OK;
}

static int
on_shown(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	Ltpb__Record *r;

	(void)rk;
	(void)lt_record_unpack(record, ctx, &r);
	return LT_OK;
}

static int
on_index(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct lt_slice c, u, k;

	(void)ctx;
	(void)index_key;
	(void)lt_key_record_split(rk, &c, &u, &k);
	return LT_OK;
}

static void
read_record(struct lt_kv_txn *txn, const struct lt_collection *col, const char *u, const char *key,
    struct lt_arena *a)
{
	const struct lt_dot dot = { .seq = 1 };
	const struct lt_feed_id own = { { 1 } };
	struct lt_context *context;
	struct lt_shown shown;
	struct lt_buf row = { 0 };
	Ltpb__Record *r;
	struct lt_err err = { "" };
	uint8_t sum[16];
	size_t n;

	if (lt_record_row(txn, txn, cat, &province, col->id, u, key, &row) == LT_OK) {
		(void)lt_row_check(lt_buf_slice(&row), &err);
		(void)lt_row_has(lt_buf_slice(&row), &dot);
		(void)lt_row_context(lt_buf_slice(&row), &own, a, &context, &n);
		(void)lt_merge_show(&col->rules, lt_buf_slice(&row), NULL, NULL, a, &shown);
		lt_record_revision(lt_buf_slice(&row), sum);
	}
	(void)lt_record_get(txn, col->id, u, key, a, &r);
	(void)lt_history_each(txn, col->id, u, key, on_history, NULL);
	(void)lt_digest_short(txn, col->id, u, sum);
	lt_buf_fini(&row);
}

static void
ask(struct lt_kv_txn *log, struct lt_kv_txn *derived)
{
	Ltpb__GetRequest get = LTPB__GET_REQUEST__INIT;
	Ltpb__GetReply got = LTPB__GET_REPLY__INIT;
	Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply listed = LTPB__LIST_REPLY__INIT;
	Ltpb__AggregateRequest sum = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply summed = LTPB__AGGREGATE_REPLY__INIT;
	Ltpb__HistoryRequest history = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__HistoryReply told = LTPB__HISTORY_REPLY__INIT;
	char *by[1] = { (char *)(uintptr_t) "status" };
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct lt_query q = { .log = log,
		.derived = derived,
		.catalogue = cat,
		.province = province,
		.sight = fuzz_all_in_sight(),
		.arena = &arena };

	lt_arena_init(&arena, READ_ARENA);
	get.collection = list.collection = sum.collection = history.collection =
	    (char *)(uintptr_t) "dossier";
	get.unit = history.unit = (char *)(uintptr_t)FUZZ_WORLD_UNIT;
	get.key = history.key = (char *)(uintptr_t) "H41.65-261120-0001";
	(void)lt_query_get(&q, &get, &got, &err);
	(void)lt_query_history(&q, &history, NULL, NULL, &told, &err);
	(void)lt_query_list(&q, &list, &listed, &err);
	list.order_by = by[0];
	list.descending = true;
	(void)lt_query_list(&q, &list, &listed, &err);
	sum.group_by = by;
	sum.n_group_by = 1;
	(void)lt_query_aggregate(&q, &sum, &summed, &err);
	FUZZ_MUST(arena.used <= arena.cap);
	lt_arena_fini(&arena);
}

/* Keys of records as they were, and those that stand there now. */
static void
read_records(struct lt_kv_txn *txn, enum fuzz_store which, struct lt_arena *a)
{
	const struct lt_collection *col = lt_catalogue_find(cat, "dossier");
	const struct fuzz_entry *e;
	struct lt_slice c, u, k;
	char *unit_text, *key_text;
	size_t n, i;

	e = fuzz_world_entries(which, &n);
	for (i = 0; i < n; i++) {
		if (e[i].table != LT_T_RECORD ||
		    lt_key_record_split(e[i].key, &c, &u, &k) != LT_OK ||
		    !lt_slice_eq(c, lt_slice_str("dossier")))
			continue;
		unit_text = fuzz_text(u);
		key_text = fuzz_text(k);
		read_record(txn, col, unit_text, key_text, a);
		free(unit_text);
		free(key_text);
	}
	(void)lt_record_each(txn, "dossier", NULL, lt_slice(NULL, 0), on_shown, a);
	(void)lt_record_each(txn, "_registry", NULL, lt_slice(NULL, 0), on_shown, a);
	for (i = 0; i < col->nindex; i++)
		(void)lt_index_each(txn, "dossier", col->field[col->index[i]].rule.name,
		    lt_slice(NULL, 0), lt_slice(NULL, 0), lt_slice(NULL, 0), (i & 1) != 0, on_index,
		    NULL);
	(void)lt_record_unit_name(txn, FUZZ_WORLD_UNIT, a);
}

static void
read_all(struct lt_kv *kv, enum fuzz_store which)
{
	struct lt_registry *reg = NULL;
	struct lt_catalogue *c = NULL;
	struct lt_receipts receipts;
	struct lt_kv_txn *txn;
	struct lt_arena a;
	struct lt_write w = { 0 };
	struct lt_err err = { "" };
	uint8_t id[16] = { 1 };
	uint64_t n = 0, last = 0, version;
	bool indexed;

	FUZZ_MUST(lt_kv_begin_read(kv, &txn) == LT_OK);
	lt_arena_init(&a, READ_ARENA);
	(void)lt_feed_log_each(txn, NULL, read_feed, txn);
	(void)lt_feed_log_last(txn, &last);
	for (n = 1; n <= last && n <= POSITIONS_MAX; n++)
		read_position(txn, n, &a);
	read_records(txn, which, &a);
	(void)lt_receipts_newest(txn, lt_slice(NULL, 0), 8, 1 << 20, &a, &receipts);
	if (lt_registry_load(txn, NULL, 0, &reg, &err) == LT_OK)
		lt_registry_unref(reg);
	if (lt_catalogue_newest(txn, &version) == LT_OK && which == FUZZ_HUB_DERIVED &&
	    lt_catalogue_load(txn, version, &c, &err) == LT_OK)
		lt_catalogue_unref(c);
	(void)lt_request_recall(txn, id, &w, &a, &err);
	(void)lt_local_get_u64(txn, "hlc", &n);
	(void)lt_rebuild_indexed(txn, 1, &indexed);
	ask(txn, txn);
	FUZZ_MUST(a.used <= a.cap);
	lt_arena_fini(&a);
	lt_kv_abort(txn);
}

/* ---- writing on ---- */

static bool
by_hub(void *ctx, const struct lt_id *author)
{
	(void)ctx;
	return author->b[0] % 2 == 0;
}

static void
rebuild(struct lt_kv *kv)
{
	struct lt_rebuild_options o = { .catalogue = cat,
		.province = province,
		.overlay = true,
		.by_hub = by_hub,
		.records = 4 };
	struct lt_kv_txn *txn;
	bool building = false, more = true;
	unsigned i;
	int rc;

	for (i = 0; i < 8 && more; i++) {
		FUZZ_MUST(lt_kv_begin_write(kv, &txn) == LT_OK);
		rc = lt_rebuild_check(txn, cat, true, &building);
		o.txn = txn;
		if (rc == LT_OK && building)
			rc = lt_rebuild_step(&o, &more);
		if (rc != LT_OK || !building) {
			lt_kv_abort(txn);
			return;
		}
		FUZZ_MUST(lt_kv_commit(txn) == LT_OK);
	}
}

static void
take_held(struct lt_kv *kv)
{
	const struct fuzz_entry *e;
	struct lt_held_dot *dots;
	struct lt_feed_id feed;
	struct lt_kv_txn *txn;
	struct lt_arena a;
	struct lt_unit u;
	size_t n, i, ndots;

	e = fuzz_world_entries(FUZZ_NODE, &n);
	FUZZ_MUST(lt_kv_begin_write(kv, &txn) == LT_OK);
	lt_arena_init(&a, READ_ARENA);
	for (i = 0; i < n; i++) {
		if (e[i].table != LT_T_FEED || e[i].key.len < 1 + LT_FEED_LEN ||
		    lt_unit_set(&u, lt_slice(e[i].key.data + 1, e[i].key.data[0])) != LT_OK)
			continue;
		memcpy(feed.b, e[i].key.data + e[i].key.len - LT_FEED_LEN, LT_FEED_LEN);
		if (lt_held_take(txn, &u, &feed, 5, &a, &dots, &ndots) != LT_OK)
			break;
	}
	lt_arena_fini(&a);
	lt_kv_abort(txn);
}

/* A node over it: writes, takes steps, is asked. */
static void
run_node(struct lt_kv *kv)
{
	struct fed_node n = { .node = fuzz_node_open(kv) };
	unsigned i;

	if (n.node == NULL)
		return;
	(void)fed_put_dossier(&n, 1, "tam_dung", NULL);
	(void)fed_put_dossier(&n, 9, NULL, NULL);
	for (i = 0; i < 64 && lt_node_step(n.node); i++)
		;
	lt_node_close(n.node);
}

static void
run_hub(struct lt_kv *log, struct lt_kv *derived)
{
	struct lt_kv_txn *l, *d;

	if (!fuzz_hub_open(log, derived)) {
		lt_kv_close(log);
		lt_kv_close(derived);
		return;
	}
	FUZZ_MUST(lt_kv_begin_read(log, &l) == LT_OK && lt_kv_begin_read(derived, &d) == LT_OK);
	ask(l, d);
	lt_kv_abort(l);
	lt_kv_abort(d);
	fuzz_hub_close();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_kv *kv;
	struct fuzz_in in;
	unsigned kind;
	enum fuzz_store which;

	test_random_seed(7);
	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in);
	which = (enum fuzz_store)(kind % FUZZ_STORES);
	kv = damaged(which, &in);
	if ((kind & 64) == 0) {
		read_all(kv, which);
		if (which == FUZZ_NODE) {
			take_held(kv);
			rebuild(kv);
		}
		lt_kv_close(kv);
	} else if (which == FUZZ_NODE) {
		run_node(kv);
		lt_kv_close(kv);
	} else if (which == FUZZ_HUB_LOG) {
		run_hub(kv, fuzz_world_store(FUZZ_HUB_DERIVED));
	} else {
		run_hub(fuzz_world_store(FUZZ_HUB_LOG), kv);
	}
	return 0;
}

/* ---- mutation that knows the tables ---- */

/* The message in a table's values, and where it begins. */
static const ProtobufCMessageDescriptor *
message_of(unsigned table, struct lt_slice value, size_t *at)
{
	*at = 0;
	switch (table) {
	case LT_T_SHOWN:
		return &ltpb__record__descriptor;
	case LT_T_JUDGEMENT:
		return &ltpb__verdict__descriptor;
	case LT_T_REQUEST:
		return &ltpb__put_reply__descriptor;
	case LT_T_RECEIPT:
		return &ltpb__receipt__descriptor;
	case LT_T_OPENING:
		*at = 1 + LT_SALT_LEN;
		return &ltpb__field_set__descriptor;
	case LT_T_ENTRY:
		*at = 1 + 8 + LT_HASH_LEN + 1;
		if (value.len > *at)
			*at += value.data[*at - 1];
		return &ltpb__change_set__descriptor;
	default:
		return NULL;
	}
}

/* One damage: a value of the store, changed as what it is. */
static size_t
new_damage(uint8_t *data, size_t max, struct fuzz_rng *rng)
{
	enum fuzz_store which = (enum fuzz_store)(data[0] % FUZZ_STORES);
	const ProtobufCMessageDescriptor *d;
	const struct fuzz_entry *e;
	uint8_t value[8192];
	size_t n, at, len;
	unsigned table, place = (unsigned)fuzz_below(rng, 65536);

	e = fuzz_world_entries(which, &n);
	table = e[fuzz_below(rng, n)].table;
	if (fuzz_below(rng, 2) == 0) /* tables with few entries as often as those with many */
		table = (unsigned)fuzz_below(rng, LT_T_COUNT);
	e = entry_of(which, table, place);
	if (e == NULL || e->value.len > 4096)
		return 1;
	len = e->value.len;
	memcpy(value, e->value.data, len);
	d = message_of(table, e->value, &at);
	if (d != NULL && at <= len)
		len = at + fuzz_pb_mutate(d, value + at, len - at, sizeof(value) - at, rng);
	if (d == NULL || at > len || fuzz_below(rng, 8) == 0)
		len = LLVMFuzzerMutate(value, len, sizeof(value));
	if (1 + 6 + len > max)
		return 1;
	data[1] = 0;
	data[2] = (uint8_t)table;
	lt_store_u16(data + 3, (uint16_t)place);
	lt_store_u16(data + 5, (uint16_t)len);
	memcpy(data + 7, value, len);
	return 7 + len;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	uint8_t *rest;
	size_t n, left;

	if (size == 0 || max_size < 32 || fuzz_below(&rng, 2) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (fuzz_below(&rng, 3) != 0)
		return new_damage(data, max_size, &rng);
	/* In front of those that are there. */
	left = size - 1;
	rest = fuzz_copy(lt_slice(data + 1, left));
	n = new_damage(data, max_size, &rng);
	if (n + left > max_size)
		left = max_size - n;
	if (left != 0)
		memcpy(data + n, rest, left);
	free(rest);
	return n + left;
}
