/* A history from tests/vectors/golden_store.py, written from FORMAT.md alone, is taken in; every row of every table is then
 * what that file worked out from the whole of it, byte for byte, and reads back as what it was made from. */
#include "tests/lib/golden.h"
#include "world.h"

#include "proto/base/wire.h"
#include "proto/feed/crypto.h"
#include "proto/model/digest.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"
#include "proto/store/author.h"
#include "proto/store/catalogue_store.h"
#include "proto/store/projection.h"
#include "proto/store/mend.h"
#include "proto/store/rebuild.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

struct fix {
	const json_t *store;
	struct env env;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct lt_catalogue *cat;
	struct lt_unit unit;
	bool hub;
};

static void
copy(void *out, size_t len, struct lt_slice from)
{
	assert_int_equal(from.len, len);
	memcpy(out, from.data, len);
}

static struct lt_feed_id
feed_in(const json_t *o)
{
	struct lt_feed_id f;

	copy(f.b, sizeof(f.b), golden_bytes(o, "feed"));
	return f;
}

/* Refused as [index, reason], held as index. */
static void
judgement_of(const json_t *e, uint64_t seq, struct lt_arena *a, struct lt_judgement *j)
{
	const json_t *v, *list = golden_in(e, "refused");
	size_t i;

	memset(j, 0, sizeof(*j));
	j->refused = lt_arena_alloc(a, (json_array_size(list) + 1) * sizeof(*j->refused));
	json_array_foreach(list, i, v)
	{
		Ltpb__RefusedDot *r = lt_arena_alloc(a, sizeof(*r));

		ltpb__refused_dot__init(r);
		r->seq = seq;
		r->index = (uint32_t)json_integer_value(json_array_get(v, 0));
		r->reason = (Ltpb__ReasonCode)json_integer_value(json_array_get(v, 1));
		j->refused[j->nrefused++] = r;
	}
	list = golden_in(e, "held");
	j->held = lt_arena_alloc(a, (json_array_size(list) + 1) * sizeof(*j->held));
	json_array_foreach(list, i, v)
	{
		Ltpb__HeldDot *h = lt_arena_alloc(a, sizeof(*h));

		ltpb__held_dot__init(h);
		h->seq = seq;
		h->index = (uint32_t)json_integer_value(v);
		j->held[j->nheld++] = h;
	}
	list = golden_in(e, "clamp");
	j->clamped = json_array_size(list) == 2;
	if (j->clamped) {
		j->floor = golden_u64(json_array_get(list, 0));
		j->ceiling = golden_u64(json_array_get(list, 1));
	}
}

/* A hub takes in what is judged. */
static void
project(struct fix *f, const json_t *e, const struct lt_changeset *cs, const struct lt_judgement *j,
    uint64_t position)
{
	struct lt_projection_options o = {
		.log = f->txn, .derived = f->txn, .catalogue = f->cat, .overlay = !f->hub
	};
	bool judged = json_is_true(golden_in(e, "judged"));
	struct lt_projection *p;
	struct lt_merge_change mc = { .by_hub = json_is_true(golden_in(e, "by_hub")) };
	uint32_t i;

	ok(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)));
	ok(lt_projection_begin(&o, &p));
	for (i = 0; i < cs->nchange; i++) {
		mc.dot = (struct lt_dot){ cs->feed, cs->seq, i };
		mc.stamp = golden_u64(golden_in(e, "effective"));
		mc.hash8 = lt_load_u64(cs->hash.b);
		mc.change = &cs->change[i];
		if (!judged && f->hub)
			continue;
		if (!judged)
			ok(lt_projection_add_overlay(p, &cs->unit, &mc, position));
		else if (lt_judgement_refuses(j, i, NULL) || lt_judgement_holds(j, i))
			ok(lt_projection_note(p, &cs->unit, &mc, position));
		else
			ok(lt_projection_add(p, &cs->unit, &mc, position));
	}
	ok(lt_projection_flush(p, NULL, NULL));
}

static void
take_in(struct fix *f, const json_t *e)
{
	struct lt_changeset cs;
	struct lt_judgement j;
	struct lt_err err = { "" };
	struct lt_head head;
	uint64_t position;

	if (lt_changeset_parse(golden_bytes(e, "bytes"), &f->arena, &cs, &err) != LT_OK)
		fail_msg("%s", err.text);
	golden_same("hash", golden_bytes(e, "hash"), lt_slice(cs.hash.b, LT_HASH_LEN));
	ok(lt_changeset_verify_openings(&cs, &err));
	ok(lt_feed_log_head(f->txn, &cs.unit, &cs.feed, &head));
	ok(lt_changeset_verify_chain(&cs, head.seq, &head.hash, head.stamp));
	ok(lt_feed_log_append(f->txn, &cs, golden_number(e, "arrival_ms"), &position));
	judgement_of(e, cs.seq, &f->arena, &j);
	if (json_is_true(golden_in(e, "judged")))
		ok(lt_feed_log_judge(f->txn, &cs.unit, &cs.feed, cs.seq, position,
		    golden_u64(golden_in(e, "effective")), &j));
	project(f, e, &cs, &j, position);
}

static void
same_random(void *ctx, void *buf, size_t len)
{
	memset(buf, 0x5a, len);
	(void)ctx;
}

static void
small_state(struct fix *f)
{
	const json_t *local = golden_in(f->store, "local"), *r = golden_in(f->store, "request");
	struct lt_author a = { .random = same_random };
	struct lt_write w = { .rc = LT_OK };
	struct lt_feed_id feed;
	bool building;

	ok(lt_rebuild_check(f->txn, f->cat, false, &building));
	assert_false(building);
	ok(lt_mend_begin(f->txn));
	ok(lt_author_saw(f->txn, golden_u64(golden_in(local, "hub_stamp")),
	    golden_u64(golden_in(local, "hlc"))));
	ok(lt_author_feed(f->txn, &a, &f->unit, (enum lt_lane)golden_number(local, "lane"), &feed));
	golden_same("epoch", golden_bytes(local, "epoch"), lt_slice(feed.b + LT_ID_LEN + 1, 8));
	w.dot = (struct lt_dot){ feed_in(r), golden_number(r, "seq"),
		(uint32_t)golden_number(r, "index") };
	(void)snprintf(w.key_out, sizeof(w.key_out), "%s", golden_text(r, "key"));
	ok(lt_request_remember(f->txn, golden_bytes(r, "id").data, &f->unit, &w,
	    (int64_t)golden_number(r, "asked_ms")));
}

static void
wait_for(struct fix *f)
{
	const json_t *m = golden_in(f->store, "missing");
	struct lt_feed_id feed = feed_in(m);

	ok(lt_held_add(f->txn, &f->unit, &feed, golden_number(m, "seq"),
	    golden_number(m, "position"), (uint32_t)golden_number(m, "change")));
}

static int
setup(void **state)
{
	static struct fix f;
	const json_t *e;
	size_t i;

	memset(&f, 0, sizeof(f));
	f.store = golden("store");
	env_open(&f.env, true); /* sums are begun where a file is opened */
	lt_arena_init(&f.arena, (size_t)64 << 20);
	f.cat = world_catalogue();
	ok(lt_unit_set(&f.unit, lt_slice_str(golden_text(f.store, "unit"))));
	ok(lt_kv_begin_write(f.env.kv, &f.txn));
	small_state(&f);
	json_array_foreach(golden_in(f.store, "entries"), i, e) take_in(&f, e);
	wait_for(&f);
	ok(lt_kv_commit(f.txn));
	ok(lt_kv_begin_read(f.env.kv, &f.txn));
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	lt_kv_abort(f->txn);
	env_close(&f->env);
	lt_catalogue_unref(f->cat);
	lt_arena_fini(&f->arena);
	return 0;
}

/* ---- what is written ---- */

static void
table_is(struct fix *f, unsigned table, const json_t *rows)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	char what[64];
	size_t n = 0;
	int rc;

	ok(lt_kv_cursor_open(f->txn, table, &c));
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		const json_t *row = json_array_get(rows, n);

		(void)snprintf(what, sizeof(what), "key %zu of %s", n, lt_table_names[table]);
		if (row == NULL)
			fail_msg("%s: not expected", what);
		golden_same(what, golden_bytes(row, "key"), k);
		(void)snprintf(what, sizeof(what), "row %zu of %s", n++, lt_table_names[table]);
		golden_same(what, golden_bytes(row, "value"), v);
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	assert_int_equal(n, json_array_size(rows));
	lt_kv_cursor_close(c);
}

#define TABLE(name, number) \
	static void table_##name(void **state) \
	{ \
		struct fix *f = *state; \
\
		table_is(f, number, golden_in(golden_in(f->store, "tables"), #name)); \
	}
TABLE(feed, LT_T_FEED)
TABLE(entry, LT_T_ENTRY)
TABLE(seq, LT_T_SEQ)
TABLE(opening, LT_T_OPENING)
TABLE(judgement, LT_T_JUDGEMENT)
TABLE(held, LT_T_HELD)
TABLE(record, LT_T_RECORD)
TABLE(shown, LT_T_SHOWN)
TABLE(index, LT_T_INDEX)
TABLE(history, LT_T_HISTORY)
TABLE(digest, LT_T_DIGEST)
TABLE(overlay, LT_T_OVERLAY)
TABLE(request, LT_T_REQUEST)
TABLE(request_at, LT_T_REQUEST_AT)
TABLE(sums, LT_T_SUMS)
TABLE(local, LT_T_LOCAL)

/* The same taken in by a hub: its rows are short (FORMAT.md 9.13). */
static void
hub_tables(void **state)
{
	struct fix *node = *state, f = { .store = node->store, .cat = node->cat, .hub = true };
	const json_t *want = golden_in(f.store, "hub"), *e;
	size_t i;

	f.unit = node->unit;
	env_open(&f.env, false);
	lt_arena_init(&f.arena, (size_t)64 << 20);
	ok(lt_kv_begin_write(f.env.kv, &f.txn));
	json_array_foreach(golden_in(f.store, "entries"), i, e) take_in(&f, e);
	table_is(&f, LT_T_RECORD, golden_in(want, "record"));
	table_is(&f, LT_T_SHOWN, golden_in(want, "shown"));
	table_is(&f, LT_T_DIGEST, golden_in(golden_in(f.store, "tables"), "digest"));
	lt_kv_abort(f.txn);
	env_close(&f.env);
	lt_arena_fini(&f.arena);
}

static void
index_values(void **state)
{
	struct fix *f = *state;
	struct lt_buf b = { 0 };
	ProtobufCMessage *m;
	struct lt_err err = { "" };
	const json_t *v;
	size_t i, k, n;
	char what[64];

	json_array_foreach(golden_in(f->store, "index"), i, v)
	{
		const json_t *want = golden_in(v, "index");

		ok(lt_wire_unpack(&ltpb__value__descriptor, golden_bytes(v, "value"),
		    LT_MESSAGE_MAX, &f->arena, &m, &err));
		n = ((Ltpb__Value *)m)->v_case == LTPB__VALUE__V_SET
			? ((Ltpb__Value *)m)->set->n_item
			: 1;
		for (k = 0; k < n; k++) {
			(void)snprintf(
			    what, sizeof(what), "value %zu, %s", i, golden_text(v, "type"));
			lt_buf_clear(&b);
			ok(lt_value_index(
			    (Ltpb__Value *)m, (uint32_t)golden_number(v, "scale"), k, &b));
			/* codes alike in their first 96 bytes share an entry */
			golden_same(what,
			    golden_hex(json_array_get(want, k < json_array_size(want) ? k : 0)),
			    lt_buf_slice(&b));
		}
	}
	lt_buf_fini(&b);
}

static enum lt_type
type_named(const char *name)
{
	static const struct {
		const char *name;
		enum lt_type type;
	} types[] = { { "text", LT_TYPE_TEXT }, { "integer", LT_TYPE_INT },
		{ "date", LT_TYPE_DATE }, { "enumeration", LT_TYPE_ENUM } };
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	}
	fail_msg("no type of a key field: %s", name);
	return LT_TYPE_SET;
}

/* A collection whose key fields take every value of their type. */
static void
key_is(struct fix *f, const json_t *parts, const char *want)
{
	static const char *const names[LT_KEY_FIELDS_MAX] = { "a", "b", "c", "d", "e", "f", "g",
		"h" };
	static const char *words[] = { "near_poor" };
	struct lt_field field[LT_KEY_FIELDS_MAX];
	Ltpb__FieldSet fs[LT_KEY_FIELDS_MAX], *set[LT_KEY_FIELDS_MAX], **back;
	struct lt_collection col = { .id = "keys", .field = field };
	struct lt_violation v;
	struct lt_buf key = { 0 };
	struct lt_err err = { "" };
	ProtobufCMessage *m;
	const json_t *part;
	size_t i, n;

	memset(field, 0, sizeof(field));
	memset(fs, 0, sizeof(fs));
	json_array_foreach(parts, i, part)
	{
		field[i].rule.name = names[i];
		field[i].rule.type = type_named(golden_text(part, "type"));
		field[i].in_key = field[i].required = true;
		field[i].max_len = 256;
		field[i].nvalue = 1;
		field[i].value = words;
		col.key[i] = i;
		ok(lt_wire_unpack(&ltpb__value__descriptor, golden_bytes(part, "value"),
		    LT_MESSAGE_MAX, &f->arena, &m, &err));
		ltpb__field_set__init(&fs[i]);
		fs[i].name = (char *)names[i];
		fs[i].value = (Ltpb__Value *)m;
		set[i] = &fs[i];
	}
	col.nkey = col.nkey_min = col.nfield = i;
	ok(lt_key_build(&col, &f->unit, (const Ltpb__FieldSet *const *)set, i, &key, &v));
	golden_same(want, lt_slice_str(want), lt_buf_slice(&key));
	ok(lt_key_split(&col, want, &f->arena, &back, &n, &v));
	assert_int_equal(n, col.nkey);
	for (i = 0; i < n; i++)
		assert_true(lt_value_eq(back[i]->value, fs[i].value));
	lt_buf_fini(&key);
}

static void
keys_have_one_spelling(void **state)
{
	struct fix *f = *state;
	const json_t *v;
	size_t i;

	json_array_foreach(golden_in(f->store, "keys"), i, v)
	    key_is(f, golden_in(v, "parts"), golden_text(v, "key"));
}

static void
catalogue_digest(void **state)
{
	struct fix *f = *state;
	const json_t *c = golden_in(f->store, "catalogue"), *v;
	struct lt_catalogue_part part[8];
	struct lt_hash h;
	size_t i;

	assert_true(json_array_size(golden_in(c, "parts")) <= 8);
	json_array_foreach(golden_in(c, "parts"), i, v) part[i] =
	    (struct lt_catalogue_part){ golden_text(v, "id"),
		    lt_slice_str(golden_text(v, "json")) };
	ok(lt_catalogue_digest(part, i, &h));
	golden_same("digest", golden_bytes(c, "digest"), lt_slice(h.b, LT_HASH_LEN));
}

/* The contribution of one record by itself; its revision. */
static void
digest_of_one(void **state)
{
	const json_t *d = golden("digest");
	struct lt_record_id id = { golden_text(d, "collection"), golden_text(d, "unit"),
		golden_text(d, "key") };
	uint16_t lanes[LT_DIGEST_LANES] = { 0 };
	uint8_t bytes[LT_DIGEST_BYTES], sum[LT_DIGEST_SHORT], revision[16];

	(void)state;
	assert_int_equal(lt_digest_bucket(&id), golden_number(d, "bucket"));
	lt_digest_add(lanes, &id, golden_bytes(d, "row"));
	lt_digest_store(bytes, lanes);
	golden_same(
	    "contribution", golden_bytes(d, "contribution"), lt_slice(bytes, sizeof(bytes)));
	lt_digest_lanes_short(sum, lanes);
	golden_same("short", golden_bytes(d, "short"), lt_slice(sum, sizeof(sum)));
	lt_record_revision(golden_bytes(d, "row"), revision);
	golden_same("revision", golden_bytes(d, "revision"), lt_slice(revision, sizeof(revision)));
}

/* One raw value of a table of an LMDB environment. */
static struct lt_slice
raw(MDB_txn *txn, const char *table, const char *key)
{
	MDB_val k = { strlen(key), (void *)key }, v;
	MDB_dbi dbi;

	ok(mdb_dbi_open(txn, table, 0, &dbi));
	ok(mdb_get(txn, dbi, &k, &v));
	return lt_slice(v.mv_data, v.mv_size);
}

static void
sealed_is(MDB_txn *txn, const char *key, struct lt_slice want)
{
	struct lt_buf m = { 0 };
	struct lt_slice got = raw(txn, "meta", key);
	uint8_t place[16], sum[8];

	lt_buf_framed(&m, lt_slice_str("meta"));
	lt_buf_framed(&m, lt_slice_str(key));
	crypto_shorthash(place, m.data, m.len, (const uint8_t *)"lt1.value\0\0\0\0\0\0");
	memcpy(place + 8, place, 8);
	crypto_shorthash(sum, want.data, want.len, place);
	assert_int_equal(got.len, want.len + 8);
	golden_same(key, want, lt_slice(got.data, want.len));
	golden_same("checksum", lt_slice(sum, 8), lt_slice(got.data + want.len, 8));
	lt_buf_fini(&m);
}

/* What a folder is opened with says whose it is (FORMAT.md 9.2). */
static void
meta(void **state)
{
	struct fix *f = *state;
	const json_t *want = golden_in(f->store, "meta"), *v;
	struct lt_buf format = { 0 };
	struct lt_err err = { "" };
	struct lt_fed fed;
	MDB_env *env;
	MDB_txn *txn;
	size_t i;

	copy(fed.b, sizeof(fed.b), golden_bytes(f->store, "federation"));
	json_array_foreach(want, i, v)
	{
		char dir[] = "/tmp/lt-golden-XXXXXX", cmd[64], path[64], version[32];
		int major, minor, patch;
		struct lt_kv *kv;

		assert_non_null(mkdtemp(dir));
		if (lt_tables_open(dir, "store", (enum lt_kv_kind)golden_number(v, "kind"), &fed,
			(uint64_t)1 << 26, &kv, &err) != LT_OK)
			fail_msg("%s", err.text);
		lt_kv_close(kv);
		(void)snprintf(path, sizeof(path), "%s/store", dir);
		ok(mdb_env_create(&env));
		ok(mdb_env_set_maxdbs(env, 64));
		ok(mdb_env_open(env, path, MDB_RDONLY, 0600));
		ok(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
		(void)mdb_version(&major, &minor, &patch);
		(void)snprintf(version, sizeof(version), "%d.%d.%d", major, minor, patch);
		lt_buf_clear(&format);
		lt_buf_put(&format, golden_bytes(v, "format_begins").data,
		    golden_bytes(v, "format_begins").len);
		lt_buf_framed(&format, lt_slice_str(version));
		lt_buf_framed(&format, lt_slice_str(LT_VERSION));
		sealed_is(txn, "format", lt_buf_slice(&format));
		sealed_is(txn, "federation", lt_slice(fed.b, sizeof(fed.b)));
		assert_int_equal(raw(txn, "meta", "incarnation").len, 16 + 8);
		mdb_txn_abort(txn);
		mdb_env_close(env);
		(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
		ok(system(cmd));
	}
	lt_buf_fini(&format);
}

/* ---- what is read ---- */

/* With everything the log keeps, a change-set is composed as it was sent. */
static void
entries_read_back(void **state)
{
	struct fix *f = *state;
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };
	struct lt_judgement j, want;
	struct lt_entry at;
	const json_t *e;
	size_t i;

	json_array_foreach(golden_in(f->store, "entries"), i, e)
	{
		struct lt_changeset cs;

		ok(lt_changeset_parse(golden_bytes(e, "bytes"), &f->arena, &cs, &err));
		ok(lt_feed_log_read(f->txn, i + 1, &at));
		assert_int_equal(at.arrival_ms, golden_number(e, "arrival_ms"));
		lt_buf_clear(&b);
		ok(lt_feed_log_compose(f->txn, &at, NULL, NULL, &b, &err));
		golden_same("composed", golden_bytes(e, "bytes"), lt_buf_slice(&b));
		judgement_of(e, cs.seq, &f->arena, &want);
		ok(lt_feed_log_judgement(f->txn, i + 1, &f->arena, &j));
		assert_int_equal(j.nrefused, want.nrefused);
		assert_int_equal(j.nheld, want.nheld);
		assert_int_equal(j.clamped, want.clamped);
		assert_true(!j.clamped || (j.floor == want.floor && j.ceiling == want.ceiling));
	}
	lt_buf_fini(&b);
}

static void
rows_check_and_tell_their_context(void **state)
{
	struct fix *f = *state;
	struct lt_feed_id own = { { 0 } };
	const json_t *v, *want;
	struct lt_context *c;
	struct lt_err err = { "" };
	size_t i, k, n;

	json_array_foreach(golden_in(f->store, "contexts"), i, v)
	{
		if (lt_row_check(golden_bytes(v, "row"), &err) != LT_OK)
			fail_msg("row %zu: %s", i, err.text);
		ok(lt_row_context(golden_bytes(v, "row"), &own, &f->arena, &c, &n));
		want = golden_in(v, "context");
		assert_int_equal(n, json_array_size(want));
		for (k = 0; k < n; k++) {
			const json_t *w = json_array_get(want, k);

			golden_same(
			    "feed", golden_bytes(w, "feed"), lt_slice(c[k].feed.b, LT_FEED_LEN));
			assert_int_equal(c[k].seq, golden_number(w, "seq"));
			assert_int_equal(c[k].hash8, golden_u64(golden_in(w, "hash8")));
		}
	}
}

static void
request_is_recalled(void **state)
{
	struct fix *f = *state;
	const json_t *r = golden_in(f->store, "request");
	struct lt_write w = { .rc = LT_E_INVALID };
	struct lt_err err = { "" };

	ok(lt_request_recall(f->txn, golden_bytes(r, "id").data, &w, &f->arena, &err));
	assert_string_equal(w.key_out, golden_text(r, "key"));
	golden_same("feed", golden_bytes(r, "feed"), lt_slice(w.dot.feed.b, LT_FEED_LEN));
	assert_int_equal(w.dot.seq, golden_number(r, "seq"));
	assert_int_equal(w.dot.index, golden_number(r, "index"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_feed),
		cmocka_unit_test(table_entry),
		cmocka_unit_test(table_seq),
		cmocka_unit_test(table_opening),
		cmocka_unit_test(table_judgement),
		cmocka_unit_test(table_held),
		cmocka_unit_test(table_record),
		cmocka_unit_test(hub_tables),
		cmocka_unit_test(table_shown),
		cmocka_unit_test(table_index),
		cmocka_unit_test(table_history),
		cmocka_unit_test(table_digest),
		cmocka_unit_test(table_overlay),
		cmocka_unit_test(table_request),
		cmocka_unit_test(table_request_at),
		cmocka_unit_test(table_sums),
		cmocka_unit_test(table_local),
		cmocka_unit_test(index_values),
		cmocka_unit_test(keys_have_one_spelling),
		cmocka_unit_test(catalogue_digest),
		cmocka_unit_test(digest_of_one),
		cmocka_unit_test(meta),
		cmocka_unit_test(entries_read_back),
		cmocka_unit_test(rows_check_and_tell_their_context),
		cmocka_unit_test(request_is_recalled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
