/* An act of erasure, a list of such acts and what they leave, as tests/vectors/golden_erase.py, written from FORMAT.md alone, has made them
 * (8.5, 9.3, 9.8, 12.8): read, obeyed before and behind what they name, and every row compared, byte for byte. */
#include "tests/lib/golden.h"
#include "world.h"

#include "proto/store/author.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"

#include <string.h>

struct fix {
	const json_t *g;
	struct env env;
	struct lt_arena arena;
	struct lt_changeset act;
};

static int
setup(void **state)
{
	static struct fix fix;
	struct fix *f = &fix;

	memset(f, 0, sizeof(*f));
	f->g = golden("erase");
	env_open(&f->env, false);
	lt_arena_init(&f->arena, (size_t)64 << 20);
	ok(lt_changeset_parse(golden_bytes(f->g, "act"), &f->arena, &f->act, NULL));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	env_close(&f->env);
	lt_arena_fini(&f->arena);
	return 0;
}

static void
append(struct fix *f, struct lt_kv_txn *txn, const char *name, uint64_t want)
{
	struct lt_changeset cs;
	uint64_t position;

	world_append(txn, golden_bytes(f->g, name), &f->arena, &cs, &position);
	assert_int_equal(position, want);
	ok(lt_changeset_verify_signature(&cs, golden_bytes(f->g, "node_key").data));
}

/* All rows of a table that begin so are those of a member of the file, and no others. text: keys stand there as they are. */
static void
rows_are(struct fix *f, struct lt_kv_txn *txn, unsigned table, const char *prefix,
    const char *member, bool text)
{
	const json_t *rows = golden_in(f->g, member);
	struct lt_slice in = lt_slice_str(prefix), k, v;
	struct lt_kv_cursor *c;
	size_t n = 0;
	int rc;

	ok(lt_kv_cursor_open(txn, table, &c));
	for (rc = lt_kv_seek_at(c, in, in, &k, &v); rc == LT_OK;
	     rc = lt_kv_next_at(c, in, &k, &v)) {
		char name[512];
		size_t i;

		assert_true(k.len * 2 < sizeof(name));
		for (i = 0; !text && i < k.len; i++)
			(void)snprintf(name + 2 * i, 3, "%02x", k.data[i]);
		if (text)
			lt_slice_to_text(name, sizeof(name), k);
		golden_same(name, golden_bytes(rows, name), v);
		n++;
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	assert_int_equal(n, json_object_size(rows));
	lt_kv_cursor_close(c);
}

static void
all_rows(struct fix *f, struct lt_kv_txn *txn)
{
	rows_are(f, txn, LT_T_OPENING, "", "opening", false);
	rows_are(f, txn, LT_T_LOCAL, "erased/", "notes", true);
	rows_are(f, txn, LT_T_LOCAL, "uncompacted", "uncompacted", true);
}

/* What it names, there and back. */
static void
act_reads(void **state)
{
	struct fix *f = *state;
	const json_t *named = golden_in(f->g, "named"), *w, *name;
	struct lt_buf dots = { 0 };
	struct lt_erased *e;
	size_t n, i, k;

	ok(lt_changeset_verify_signature(&f->act, golden_bytes(f->g, "hub_key").data));
	assert_int_equal(f->act.nchange, 1);
	assert_string_equal(f->act.change[0].collection, LT_ERASE_COLLECTION);
	assert_string_equal(f->act.change[0].key, golden_text(f->g, "number"));
	ok(lt_erased_of(&f->act.change[0], &f->arena, &e, &n));
	assert_int_equal(n, json_array_size(named));
	json_array_foreach(named, i, w)
	{
		struct lt_slice feed = golden_bytes(w, "feed");

		assert_int_equal(feed.len, LT_FEED_LEN);
		assert_memory_equal(e[i].feed.b, feed.data, feed.len);
		assert_int_equal(e[i].seq, golden_number(w, "seq"));
		assert_int_equal(e[i].index, golden_number(w, "index"));
		assert_int_equal(e[i].hash8, golden_u64(golden_in(w, "hash8")));
		assert_int_equal(e[i].nfield, json_array_size(golden_in(w, "field")));
		json_array_foreach(golden_in(w, "field"), k, name)
		    assert_string_equal(e[i].field[k], json_string_value(name));
	}
	ok(lt_erased_pack(e, n, &dots));
	golden_same("dots", golden_bytes(f->g, "dots"), lt_buf_slice(&dots));
	lt_buf_fini(&dots);
}

/* Behind what it names, before it, and between: the same rows. */
static void
act_is_obeyed(void **state)
{
	struct fix *f = *state;
	struct lt_kv_txn *txn;
	uint64_t removed;
	int when;

	for (when = 0; when < 3; when++) {
		ok(lt_kv_begin_write(f->env.kv, &txn));
		if (when == 0)
			ok(lt_erase_acts(txn, &f->act, &removed));
		append(f, txn, "changeset", 1);
		if (when == 1)
			ok(lt_erase_acts(txn, &f->act, &removed));
		append(f, txn, "coming", 2);
		if (when == 2)
			ok(lt_erase_acts(txn, &f->act, &removed));
		assert_int_equal(removed, when == 0 ? 0 : when == 1 ? 3 : 4);
		all_rows(f, txn);
		lt_kv_abort(txn);
	}
}

/* The list, at a hub that has what it names and not the act: it keeps that, to say it again. */
static void
list_is_obeyed(void **state)
{
	struct fix *f = *state;
	struct lt_slice list = golden_bytes(f->g, "list"), row;
	const uint8_t *root = golden_bytes(f->g, "root_key").data;
	struct lt_buf bent = { 0 };
	struct lt_fed federation;
	struct lt_kv_txn *txn;
	struct lt_err err = { "" };
	uint64_t acts, values;

	memcpy(federation.b, golden_bytes(f->g, "federation").data, LT_FED_LEN);
	ok(lt_kv_begin_write(f->env.kv, &txn));
	append(f, txn, "changeset", 1);
	append(f, txn, "coming", 2);
	ok(lt_erasures_apply(txn, false, list, root, &federation, &acts, &values, &err));
	assert_int_equal(acts, 1);
	assert_int_equal(values, 4);
	all_rows(f, txn);
	ok(lt_kv_get(txn, LT_T_LOCAL, lt_slice_str(golden_text(f->g, "unsaid")), &row));
	golden_same("unsaid", golden_bytes(f->g, "act"), row);
	lt_kv_abort(txn);

	/* One bit of the basis in the act: its signature is of something else. */
	lt_buf_put_slice(&bent, list);
	*((uint8_t *)memmem(bent.data, bent.len, "QH15", 4)) ^= 1;
	ok(lt_kv_begin_write(f->env.kv, &txn));
	assert_int_not_equal(lt_erasures_apply(txn, false, lt_buf_slice(&bent), root, &federation,
				 &acts, &values, &err),
	    LT_OK);
	lt_kv_abort(txn);
	lt_buf_fini(&bent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(act_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(act_is_obeyed, setup, teardown),
		cmocka_unit_test_setup_teardown(list_is_obeyed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
