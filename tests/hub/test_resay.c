/* Acts of erasure that are to be said again (FORMAT.md 12.8): damage among their rows keeps no hub from starting, nor it from its work. */
#include "hub/hub_impl.h"
#include "proto/store/author.h"
#include "proto/store/erase_list.h"
#include "proto/store/kv_test.h"
#include "tests/hub/hub_fixture.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {
	"unsaid/" HUB_UNIT "/00112233445566778899aabbccddeeff01000000000000000007/0000000000000001",
	"unsaid/" HUB_UNIT "/00112233445566778899aabbccddeeff01000000000000000007/0000000000000002",
};

static void
put_rows(struct hubfx *h)
{
	struct lt_kv_txn *txn;
	size_t i;

	assert_int_equal(lt_kv_begin_write(lt_hub_log(h->f.hub), &txn), LT_OK);
	for (i = 0; i < 2; i++)
		assert_int_equal(lt_local_put(txn, names[i], lt_slice_str("no change-set")), LT_OK);
	assert_int_equal(lt_kv_commit(txn), LT_OK);
	assert_int_equal(
	    lt_kv_test_flip(lt_hub_log(h->f.hub), LT_T_LOCAL, lt_slice_str(names[0]), 3, NULL),
	    LT_OK);
}

static void
works(struct hubfx *h)
{
	struct fed_peer p;

	memset(&p, 0, sizeof(p));
	hubfx_node(h, &p, HUB_UNIT);
	hubfx_settle(h);
}

static void
rows_are_damaged(void **state)
{
	struct hubfx h;
	struct lt_kv_txn *txn;
	uint64_t n;

	(void)state;
	hubfx_open(&h);
	put_rows(&h);
	hubfx_restart(&h);
	works(&h);
	assert_int_equal(lt_kv_begin_read(lt_hub_log(h.f.hub), &txn), LT_OK);
	assert_int_equal(lt_unsaid_unreadable(txn, &n), LT_OK);
	assert_int_equal(n, 2);
	lt_kv_abort(txn);
	hubfx_close(&h);
}

/* Nothing of the table can be read from some row on: the scan of a start ends there, and is none that failed. Without a hub, whose threads
 * read too. */
static void
rows_end_in_damage(void **state)
{
	char dir[] = "/tmp/lt-resay-XXXXXX", cmd[64];
	struct lt_fed federation = { { 1 } };
	struct lt_kv_txn *txn;
	struct lt_kv *kv;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(
	    lt_tables_open(dir, "log", LT_KV_HUB_LOG, &federation, 0, &kv, NULL), LT_OK);
	assert_int_equal(lt_kv_begin_read(kv, &txn), LT_OK);
	atomic_store(&lt_kv_test_read_fails, MDB_CORRUPTED);
	assert_int_equal(lt_resay_scan(NULL, NULL, txn), LT_OK);
	assert_int_equal(atomic_load(&lt_kv_test_read_fails), 0);
	lt_kv_abort(txn);
	lt_kv_close(kv);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_damaged),
		cmocka_unit_test(rows_end_in_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
