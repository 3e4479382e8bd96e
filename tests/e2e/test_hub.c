/* The hub by itself: tables built anew, a disk that is full for a while, labels that people type, a write asked for twice. */
#include "proto/base/file.h"
#include "proto/feed/trust.h"
#include "proto/store/tables.h"
#include "tests/lib/peer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT "17254"

static void
join(struct fed *f, struct fed_node *n, const char *label)
{
	fed_node_setup(f, n, UNIT);
	fed_node_join(f, n, label);
}

static Ltpb__PrincipalState
state_of(struct fed *f, const struct fed_node *n)
{
	struct lt_registry *reg = lt_hub_registry(f->hub);
	const struct lt_principal *p = lt_registry_find(reg, &n->id->principal);
	Ltpb__PrincipalState s =
	    p != NULL ? p->state : LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_UNSPECIFIED;

	lt_registry_unref(reg);
	return s;
}

static void
write_text(struct fed *f, const uint8_t *id, const char *collection, const char *key,
    const char *name, const char *text, bool enumeration, struct lt_write *out)
{
	static const struct lt_unit us = { "_" };
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	Ltpb__Value v = LTPB__VALUE__INIT;
	struct lt_write w = { .collection = collection,
		.key = key,
		.set = set,
		.nset = 1,
		.builtin = true,
		.writer = LT_WRITER_PROVINCE };
	struct lt_err err = { "" };
	struct lt_arena a;

	fs.name = (char *)name;
	fs.value = &v;
	v.v_case = enumeration ? LTPB__VALUE__V_ENUMERATION : LTPB__VALUE__V_TEXT;
	v.text = (char *)text; /* shares its place with the enumeration */
	lt_arena_init(&a, 16 << 20);
	if (lt_hub_write_once(f->hub, id, &us, &w, 1, &a, &err) != LT_OK || w.rc != LT_OK)
		fail_msg("%s %s", err.text, w.violation.message);
	lt_arena_fini(&a);
	if (out != NULL)
		*out = w;
}

/* The derived tables are lost: they come back from the log, and at no moment is somebody let in who was revoked. */
static void
test_rebuild(void **state)
{
	struct fed f;
	struct fed_node stays, leaves;
	char key[2 * LT_ID_LEN + 1], cmd[512], name[8];
	int i;

	(void)state;
	fed_setup(&f);
	join(&f, &leaves, "");
	join(&f, &stays, "");
	for (i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "%05d", 10000 + i);
		write_text(&f, NULL, "_unit", name, "name", "x", false, NULL);
	}
	lt_hex(key, leaves.id->principal.b, LT_ID_LEN);
	write_text(&f, NULL, "_registry", key, "state", "revoked", true, NULL);
	assert_int_equal(state_of(&f, &leaves), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	fed_hub_stop(&f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s/derived'", f.dir);
	assert_int_equal(system(cmd), 0);
	fed_hub_start(&f);
	while (lt_hub_projected(f.hub) < lt_hub_log_position(f.hub) ||
	       !lt_hub_knows_principals(f.hub)) {
		assert_int_not_equal(
		    state_of(&f, &leaves), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
		(void)lt_hub_wait_projected(f.hub, lt_hub_projected(f.hub) + 1, 20);
	}
	assert_int_equal(state_of(&f, &leaves), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED);
	assert_int_equal(state_of(&f, &stays), LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE);
	fed_node_teardown(&stays);
	fed_node_teardown(&leaves);
	fed_teardown(&f);
}

/* ---- a full disk ---- */

struct full {
	atomic_int left; /* calls that still fail */
};

static int
no_space(void *ctx, uint64_t ordinal)
{
	struct full *full = ctx;

	(void)ordinal;
	return atomic_fetch_sub(&full->left, 1) > 0 ? LT_E_NOSPACE : LT_OK;
}

static void
test_projector_waits_out_a_full_disk(void **state)
{
	struct fed f;
	struct lt_kv *log, *derived;
	struct lt_kv_options ko = { .tables = lt_table_names };
	struct lt_hub_options ho = { .clock = lt_clock_system() };
	struct full full = { 2 };
	struct lt_hub *real;
	struct lt_err err = { "" };

	(void)state;
	fed_setup(&f);
	ko.federation = f.hub_id->federation.b;
	ko.kind = LT_KV_HUB_LOG;
	assert_int_equal(lt_kv_open_mem(&ko, &log, &err), LT_OK);
	ko.kind = LT_KV_HUB_DERIVED;
	assert_int_equal(lt_kv_open_mem(&ko, &derived, &err), LT_OK);
	ho.dir = f.dir;
	ho.identity = f.hub_id;
	ho.log = log;
	ho.derived = derived;
	lt_kv_set_fault(derived, no_space, &full);
	real = f.hub;
	assert_int_equal(lt_hub_open(&ho, &f.hub, &err), LT_OK);
	write_text(&f, NULL, "_unit", UNIT, "name", "Con Cuông", false, NULL);
	assert_true(atomic_load(&full.left) <= 0); /* it did fail */
	assert_int_equal(lt_hub_projected(f.hub), lt_hub_log_position(f.hub));
	lt_hub_close(f.hub);
	lt_kv_close(log);
	lt_kv_close(derived);
	f.hub = real;
	fed_teardown(&f);
}

/* ---- people ---- */

/* What a commune calls its machine: longer than a label, cut within a letter if one does not look; or in another form of
 * Unicode. It can be approved, and the label is text. */
static void
test_labels(void **state)
{
	static const char *const labels[] = {
		"Máy chủ bộ phận một cửa Ủy ban nhân dân xã Con Cuông, tỉnh Nghệ Annnnnnnnnnnn",
		"aMáy chủ bộ phận một cửa Ủy ban nhân dân xã Con Cuông, tỉnh Nghệ Annnnnnnnnnnn",
		"abMáy chủ bộ phận một cửa Ủy ban nhân dân xã Con Cuông, tỉnh Nghệ Annnnnnnnnnn",
		"Ma\xcc\x81y", "\xff\xfe"
	};
	struct fed f;
	size_t i;

	(void)state;
	fed_setup(&f);
	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		struct lt_registry *reg;
		const struct lt_principal *p;
		struct fed_node n;

		join(&f, &n, labels[i]);
		reg = lt_hub_registry(f.hub);
		p = lt_registry_find(reg, &n.id->principal);
		assert_non_null(p);
		if (i == 3)
			assert_string_equal(p->label, "Máy");
		if (i == 4)
			assert_string_equal(p->label, "");
		if (i < 3)
			assert_true(strlen(p->label) > 60 &&
				    strncmp(p->label, labels[i], strlen(p->label)) == 0);
		lt_registry_unref(reg);
		fed_node_teardown(&n);
	}
	fed_teardown(&f);
}

/* A request sent again has the effect of one, also when the record has moved on since. */
static void
test_request_once(void **state)
{
	static const uint8_t id[16] = "hub request one";
	struct fed f;
	struct lt_write first, again;
	uint64_t position;

	(void)state;
	fed_setup(&f);
	write_text(&f, id, "_unit", "17255", "name", "one", false, &first);
	write_text(&f, NULL, "_unit", "17255", "name", "two", false, NULL);
	position = lt_hub_log_position(f.hub);
	write_text(&f, id, "_unit", "17255", "name", "one", false, &again);
	assert_int_equal(lt_hub_log_position(f.hub), position);
	assert_int_equal(again.dot.seq, first.dot.seq);
	assert_memory_equal(again.dot.feed.b, first.dot.feed.b, LT_FEED_LEN);
	fed_teardown(&f);
}

/* A page of n units after a token; LT_STATUS_*. *reply is the caller's, NULL unless OK. */
static int
page_of_units(struct fed *f, const ProtobufCBinaryData *token, unsigned n, Ltpb__ListReply **reply)
{
	static char *us[1] = { (char *)"_" };
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct fed_peer local;
	struct lt_status st;
	int code;

	req.collection = (char *)"_unit";
	req.unit = us;
	req.n_unit = 1;
	req.page_size = n;
	if (token != NULL)
		req.page_token = *token;
	fed_local(f, &local);
	code = fed_ask(&local, &ltpb__query__descriptor, "List", &req.base, &m, &st);
	fed_hang_up(&local);
	*reply = (Ltpb__ListReply *)m;
	return code;
}

/* A hub started again, its tables lost even, goes on behind the page that it gave out before; with another line key it says
 * that it knows no such token. */
static void
test_pages_outlive_a_restart(void **state)
{
	Ltpb__ListReply *all, *first, *rest, *none;
	char cmd[512];
	struct fed f;
	size_t i;

	(void)state;
	fed_setup(&f);
	assert_int_equal(lt_hub_wait_projected(f.hub, lt_hub_log_position(f.hub), 20000), LT_OK);
	assert_int_equal(page_of_units(&f, NULL, 1000, &all), LT_STATUS_OK);
	assert_true(all->n_record > 2);
	assert_int_equal(page_of_units(&f, NULL, 2, &first), LT_STATUS_OK);
	assert_int_equal(first->n_record, 2);
	assert_true(first->next_page_token.len > 0);
	fed_hub_stop(&f);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s/derived'", f.dir);
	assert_int_equal(system(cmd), 0);
	fed_hub_start(&f);
	assert_int_equal(lt_hub_wait_projected(f.hub, lt_hub_log_position(f.hub), 20000), LT_OK);
	assert_int_equal(page_of_units(&f, &first->next_page_token, 1000, &rest), LT_STATUS_OK);
	assert_int_equal(first->n_record + rest->n_record, all->n_record);
	for (i = 0; i < rest->n_record; i++)
		assert_string_equal(rest->record[i]->key, all->record[2 + i]->key);
	fed_hub_stop(&f);
	f.hub_id->line_sk[7] ^= 1;
	fed_hub_start(&f);
	assert_int_equal(
	    page_of_units(&f, &first->next_page_token, 1000, &none), LT_STATUS_INVALID_ARGUMENT);
	assert_null(none);
	ltpb__list_reply__free_unpacked(all, NULL);
	ltpb__list_reply__free_unpacked(first, NULL);
	ltpb__list_reply__free_unpacked(rest, NULL);
	fed_teardown(&f);
}

/* A start finds the log damaged: it says so, leaves the file as it is, and the tables too. */
static void
test_damaged_log(void **state)
{
	struct lt_hub_options ho = { .clock = lt_clock_system(), .map_bytes = (uint64_t)1 << 30 };
	char path[1024], tables[1024];
	uint8_t zeros[8192] = { 0 };
	struct lt_err err = { "" };
	struct lt_hub *h = NULL;
	struct stat before, after;
	struct fed f;
	int fd;

	(void)state;
	fed_setup(&f);
	write_text(&f, NULL, "_unit", UNIT, "name", "Con Cuông", false, NULL);
	fed_hub_stop(&f);
	(void)snprintf(path, sizeof(path), "%s/log/data.mdb", f.dir);
	(void)snprintf(tables, sizeof(tables), "%s/derived/data.mdb", f.dir);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	/* Both of LMDB's first pages. */
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	assert_int_equal(close(fd), 0);
	assert_int_equal(stat(tables, &before), 0);
	ho.dir = f.dir;
	ho.identity = f.hub_id;
	assert_int_equal(lt_hub_open(&ho, &h, &err), LT_E_CORRUPT);
	assert_null(h);
	assert_non_null(strstr(err.text, "log"));
	assert_int_equal(stat(tables, &after), 0);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	assert_int_equal(close(fd), 0);
	assert_true(sodium_is_zero(zeros, sizeof(zeros)));
	fed_teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_projector_waits_out_a_full_disk),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_request_once),
		cmocka_unit_test(test_pages_outlive_a_restart),
		cmocka_unit_test(test_damaged_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
