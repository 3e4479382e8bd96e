/* A hub and nodes of one commune and of several, over real stores and the real line on loopback. */
#include "node/delivery.h"
#include "tests/lib/federation.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 20000

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) == 1;

	lt_catalogue_unref(c);
	return has;
}

struct expect {
	struct fed *f;
	struct fed_node *n;
	const char *unit;
	unsigned number;
	const char *field;
	const char *value;
	Ltpb__Delivery delivery;
};

static bool
hub_shows(void *ctx)
{
	struct expect *e = ctx;
	char text[256];

	return fed_hub_field(e->f, e->unit, e->number, e->field, text, sizeof(text)) &&
	       strcmp(text, e->value) == 0;
}

static bool
delivered(void *ctx)
{
	struct expect *e = ctx;
	Ltpb__ReasonCode reason;
	Ltpb__Delivery d;
	struct lt_kv_txn *txn;
	char key[64];

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", e->number);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(e->n->node), &txn), LT_OK);
	assert_int_equal(
	    lt_node_delivery(e->n->node, txn, "dossier", key, NULL, NULL, &d, &reason), LT_OK);
	lt_kv_abort(txn);
	return d == e->delivery;
}

static bool
node_judged(void *ctx)
{
	struct expect *e = ctx;
	struct lt_kv_txn *txn;
	uint64_t overlay = 1;

	assert_int_equal(lt_kv_begin_read(lt_node_kv(e->n->node), &txn), LT_OK);
	(void)lt_kv_count(txn, LT_T_OVERLAY, &overlay);
	lt_kv_abort(txn);
	return overlay == 0;
}

static void
same_row(struct fed *f, struct fed_node *n, const char *unit, unsigned number)
{
	struct lt_kv_txn *a, *b;
	struct lt_slice ra, rb;
	struct lt_buf key, mem = { 0 };
	char k[64];

	(void)snprintf(k, sizeof(k), "H41.65-261120-%04u", number);
	lt_buf_init(&key, 0);
	lt_key_record(&key, "dossier", unit, k);
	assert_int_equal(lt_kv_begin_read(lt_hub_derived(f->hub), &a), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &b), LT_OK);
	assert_int_equal(lt_kv_get(a, LT_T_RECORD, lt_buf_slice(&key), &ra), LT_OK);
	assert_int_equal(lt_record_whole(a, lt_buf_slice(&key), ra, &mem, &ra), LT_OK);
	assert_int_equal(lt_kv_get(b, LT_T_RECORD, lt_buf_slice(&key), &rb), LT_OK);
	assert_int_equal(ra.len, rb.len);
	assert_memory_equal(ra.data, rb.data, ra.len);
	lt_kv_abort(a);
	lt_kv_abort(b);
	lt_buf_fini(&key);
	lt_buf_fini(&mem);
}

static void
same_digest(struct fed *f, struct fed_node *n, const char *unit)
{
	struct lt_kv_txn *a, *b;
	uint8_t da[16], db[16];

	assert_int_equal(lt_kv_begin_read(lt_hub_derived(f->hub), &a), LT_OK);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(n->node), &b), LT_OK);
	assert_int_equal(lt_digest_short(a, "dossier", unit, da), LT_OK);
	assert_int_equal(lt_digest_short(b, "dossier", unit, db), LT_OK);
	assert_memory_equal(da, db, sizeof(da));
	lt_kv_abort(a);
	lt_kv_abort(b);
}

/* Enrol, write, see it at the hub, get the receipt and the verdict; then the rows are the same bytes. */
static void
test_first_record(void **state)
{
	struct fed f;
	struct fed_node n;
	struct expect e = { &f, &n, "17254", 1, "status", "tiep_nhan",
		LTPB__DELIVERY__DELIVERY_RECEIPTED };

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue comes down");
	assert_int_equal(fed_put_dossier(&n, 1, NULL, NULL), LT_OK);
	fed_wait(hub_shows, &e, WAIT_MS, "the hub shows the dossier");
	fed_wait(delivered, &e, WAIT_MS, "the dossier is receipted");
	fed_wait(node_judged, &e, WAIT_MS, "the verdict came down");
	same_row(&f, &n, "17254", 1);
	e.field = "applicant_name";
	e.value = "Vi Văn Mẫu";
	assert_true(hub_shows(&e));
	fed_node_teardown(&n);
	fed_teardown(&f);
}

/* The hub is away: writes are saved; when it comes back they arrive. */
static void
test_hub_away(void **state)
{
	struct fed f;
	struct fed_node n;
	struct expect e = { &f, &n, "17254", 2, "status", "dang_xu_ly",
		LTPB__DELIVERY__DELIVERY_SAVED };
	unsigned i;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue comes down");
	fed_hub_stop(&f);
	for (i = 1; i <= 50; i++)
		assert_int_equal(fed_put_dossier(&n, i, NULL, NULL), LT_OK);
	assert_int_equal(fed_put_dossier(&n, 2, "dang_xu_ly", NULL), LT_OK);
	assert_true(delivered(&e));
	fed_node_stop(&n); /* and a restart in between */
	fed_node_start(&f, &n);
	assert_true(delivered(&e));
	fed_hub_start(&f);
	fed_wait(hub_shows, &e, 3 * WAIT_MS, "the hub shows what was written while it was away");
	e.delivery = LTPB__DELIVERY__DELIVERY_RECEIPTED;
	fed_wait(delivered, &e, WAIT_MS, "receipted");
	fed_wait(node_judged, &e, WAIT_MS, "judged");
	for (i = 1; i <= 50; i++)
		same_row(&f, &n, "17254", i);
	same_digest(&f, &n, "17254");
	fed_node_teardown(&n);
	fed_teardown(&f);
}

struct two {
	struct fed_node *n;
	unsigned number;
	const char *status;
};

static bool
node_shows(void *ctx)
{
	struct two *t = ctx;
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	Ltpb__Record *rec;
	bool found = false;
	char key[64];
	size_t i;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%04u", t->number);
	assert_int_equal(lt_kv_begin_read(lt_node_kv(t->n->node), &txn), LT_OK);
	lt_arena_init(&arena, 1 << 20);
	if (lt_record_get(txn, "dossier", "17254", key, &arena, &rec) == LT_OK)
		for (i = 0; i < rec->n_field; i++)
			if (strcmp(rec->field[i]->name, "status") == 0)
				found = strcmp(rec->field[i]->value->enumeration, t->status) == 0;
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return found;
}

/* Two machines of one commune: what one writes, the other sees and goes on from. */
static void
test_two_nodes_of_a_commune(void **state)
{
	struct fed f;
	struct fed_node a, b;
	struct two t = { &b, 7, "tiep_nhan" };
	struct expect e = { &f, &a, "17254", 7, "status", "da_giai_quyet",
		LTPB__DELIVERY__DELIVERY_RECEIPTED };

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &a, "17254");
	fed_node_setup(&f, &b, "17254");
	fed_node_start(&f, &a);
	fed_node_start(&f, &b);
	fed_wait(has_catalogue, &a, WAIT_MS, "catalogue at a");
	fed_wait(has_catalogue, &b, WAIT_MS, "catalogue at b");
	assert_int_equal(fed_put_dossier(&a, 7, NULL, NULL), LT_OK);
	fed_wait(node_shows, &t, 2 * WAIT_MS, "b shows what a wrote");
	assert_int_equal(fed_put_dossier(&b, 7, "da_giai_quyet", NULL), LT_OK);
	t.n = &a;
	t.status = "da_giai_quyet";
	fed_wait(node_shows, &t, 2 * WAIT_MS, "a shows what b wrote over it");
	fed_wait(hub_shows, &e, WAIT_MS, "the hub shows it");
	e.n = &b;
	fed_wait(node_judged, &e, WAIT_MS, "b judged");
	e.n = &a;
	fed_wait(node_judged, &e, WAIT_MS, "a judged");
	same_row(&f, &a, "17254", 7);
	same_row(&f, &b, "17254", 7);
	same_digest(&f, &a, "17254");
	same_digest(&f, &b, "17254");
	fed_node_teardown(&a);
	fed_node_teardown(&b);
	fed_teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_record),
		cmocka_unit_test(test_hub_away),
		cmocka_unit_test(test_two_nodes_of_a_commune),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
