/* What a node keeps of its hub, as tests/vectors/golden_parties.py, written from FORMAT.md alone, worked it out: the identity file,
 * receipts, refused changes, verdicts whose turn has not come, a branch aside; and the file of receipts that ltctl writes. */
#include "tests/lib/daemon.h"
#include "tests/lib/golden.h"

#include "node/node.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/feed/changeset.h"
#include "proto/store/feed_log.h"
#include "proto/store/tables.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 60000

static char dir[64];

static void
path_of(char out[128], const char *name)
{
	(void)snprintf(out, 128, "%s/%s", dir, name);
}

static void
file_is(const char *name, const char *want)
{
	struct lt_buf b = { 0 };
	char path[128];

	path_of(path, name);
	assert_int_equal(lt_file_read(path, 1 << 20, &b, NULL), LT_OK);
	golden_same(name, lt_slice_str(want), lt_buf_slice(&b));
	lt_buf_fini(&b);
}

/* Read, written again and the same. */
static struct lt_identity *
identity(const char *name)
{
	const char *text = golden_text(golden("parties"), name);
	struct lt_err err = { "" };
	struct lt_identity *id;
	char path[128];

	path_of(path, "identity");
	assert_int_equal(lt_file_write(path, lt_slice_str(text), 0600, false, NULL), LT_OK);
	if (lt_identity_load(dir, &id, &err) != LT_OK)
		fail_msg("%s: %s", name, err.text);
	if (lt_identity_write(id, dir, true, &err) != LT_OK)
		fail_msg("%s: %s", name, err.text);
	file_is("identity", text);
	return id;
}

static void
identity_of_a_hub(void **state)
{
	struct lt_identity *id = identity("identity_hub");

	(void)state;
	assert_int_equal(id->role, LTPB__ROLE__ROLE_HUB);
	assert_string_equal(id->unit.s, golden_text(golden("parties"), "province"));
	golden_same("certificate", golden_bytes(golden("parties"), "certificate"), id->certificate);
	lt_identity_free(id);
}

/* ---- taking in ---- */

struct applied {
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cv;
	bool done;
	int rc;
	char why[256];
};

static void
applied(void *ctx, int rc, const char *why)
{
	struct applied *a = ctx;

	pthread_mutex_lock(&a->mx);
	a->done = true;
	a->rc = rc;
	(void)snprintf(a->why, sizeof(a->why), "%s", why != NULL ? why : "");
	pthread_cond_signal(&a->cv);
	pthread_mutex_unlock(&a->mx);
}

static void
comes(struct lt_node *n, struct lt_slice bytes)
{
	struct applied a = { .mx = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER };

	assert_int_equal(lt_node_apply(n, bytes, applied, &a), LT_OK);
	pthread_mutex_lock(&a.mx);
	while (!a.done)
		pthread_cond_wait(&a.cv, &a.mx);
	pthread_mutex_unlock(&a.mx);
	if (a.rc != LT_OK)
		fail_msg("%s: %s", lt_strerror(a.rc), a.why);
	pthread_cond_destroy(&a.cv);
	pthread_mutex_destroy(&a.mx);
}

static void
table_is(struct lt_kv_txn *txn, unsigned table, const json_t *rows)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t n = 0;
	int rc;

	assert_int_equal(lt_kv_cursor_open(txn, table, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		const json_t *row = json_array_get(rows, n++);

		assert_non_null(row);
		golden_same(lt_table_names[table], golden_bytes(row, "key"), k);
		golden_same(lt_table_names[table], golden_bytes(row, "value"), v);
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	assert_int_equal(n, json_array_size(rows));
	lt_kv_cursor_close(c);
}

/* Names of `local` that do not begin like one of these stand in the vectors of the store. */
static bool
spoken_of(struct lt_slice k)
{
	static const char *const begin[] = { "hub_certificate", "province", "verdict/" };
	size_t i;

	for (i = 0; i < sizeof(begin) / sizeof(begin[0]); i++)
		if (k.len >= strlen(begin[i]) && memcmp(k.data, begin[i], strlen(begin[i])) == 0)
			return true;
	return false;
}

static void
local_is(struct lt_kv_txn *txn, const json_t *rows)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	size_t n = 0;
	int rc;

	assert_int_equal(lt_kv_cursor_open(txn, LT_T_LOCAL, &c), LT_OK);
	for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
	     rc = lt_kv_next(c, &k, &v)) {
		const json_t *row;

		if (!spoken_of(k))
			continue;
		row = json_array_get(rows, n++);
		assert_non_null(row);
		golden_same("name in local", golden_bytes(row, "key"), k);
		golden_same("value in local", golden_bytes(row, "value"), v);
	}
	assert_int_equal(rc, LT_E_NOTFOUND);
	assert_int_equal(n, json_array_size(rows));
	lt_kv_cursor_close(c);
}

static void
receipts_come(struct lt_node *n, const json_t *list)
{
	struct lt_err err = { "" };
	struct lt_feed_id feed;
	const json_t *v;
	uint64_t seq;
	size_t i;

	json_array_foreach(list, i, v)
	{
		if (lt_node_receipt(n, golden_hex(v), &feed, &seq, &err) != LT_OK)
			fail_msg("receipt %zu: %s", i, err.text);
	}
	assert_int_equal(i, 4);
}

static void
what_a_node_keeps_of_its_hub(void **state)
{
	const json_t *p = golden("parties"), *g = golden_in(p, "node"), *t, *v;
	struct lt_identity *id = identity("identity_node");
	struct lt_node_options o = { .dir = dir, .identity = id, .clock = lt_clock_system() };
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_node *n;
	size_t i;

	(void)state;
	if (lt_node_open(&o, &n, &err) != LT_OK)
		fail_msg("%s", err.text);
	if (lt_node_meet_hub(n, golden_bytes(p, "certificate"), golden_text(p, "province"), &err) !=
	    LT_OK)
		fail_msg("%s", err.text);
	json_array_foreach(golden_in(g, "comes"), i, v) comes(n, golden_hex(v));
	receipts_come(n, golden_in(g, "receipts"));
	t = golden_in(g, "tables");
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n), &txn), LT_OK);
	table_is(txn, LT_T_RECEIPT, golden_in(t, "receipt"));
	/* With a branch aside in them. */
	table_is(txn, LT_T_FEED, golden_in(t, "feed"));
	table_is(txn, LT_T_SEQ, golden_in(t, "seq"));
	table_is(txn, LT_T_HISTORY, golden_in(t, "history"));
	table_is(txn, LT_T_OVERLAY, golden_in(t, "overlay"));
	table_is(txn, LT_T_QUARANTINE, golden_in(t, "quarantine"));
	local_is(txn, golden_in(g, "local"));
	lt_kv_abort(txn);
	lt_node_close(n);
	lt_identity_free(id);
}

/* ---- receipts --save ---- */

/* Of the store that the test before left. */
static void
the_file_of_saved_receipts(void **state)
{
	const json_t *g = golden_in(golden("parties"), "node");
	struct test_daemon d = { .program = LT_BIN_DIR "/lt-node", .dir = dir };
	struct lt_pool *pool;
	char command[512];

	(void)state;
	assert_int_equal(lt_pool_start(1, 16, &pool), LT_OK);
	daemon_start(&d, NULL);
	lt_conn_close(daemon_dial_wait(&d, pool, WAIT_MS));
	(void)snprintf(command, sizeof(command),
	    "'%s/ltctl' -C '%s' receipts --save '%s/saved' >/dev/null", LT_BIN_DIR, dir, dir);
	assert_int_equal(
	    system(command), 0); // NOLINT(cert-env33-c): no word of it comes from outside
	(void)daemon_stop(&d);
	lt_pool_stop(pool);
	file_is("saved", golden_text(g, "saved"));
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	lt_log_level_set(getenv("LT_TEST_LOG") == NULL ? LT_LOG_ERROR : LT_LOG_INFO);
	(void)snprintf(dir, sizeof(dir), "%s/lt-golden-XXXXXX", tmp != NULL ? tmp : "/tmp");
	return sodium_init() < 0 || mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command); // NOLINT(cert-env33-c): no word of it comes from outside
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_of_a_hub),
		cmocka_unit_test(what_a_node_keeps_of_its_hub),
		cmocka_unit_test(the_file_of_saved_receipts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
