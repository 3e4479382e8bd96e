/* The command table and what people type: every row, every option kind, values and filters by a real catalogue. */
#include "proto/base/file.h"
#include "proto/model/value.h"
#include "tools/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct lt_catalogue *cat;
static const struct lt_collection *col;

static int
load(void **state)
{
	struct lt_buf b;

	(void)state;
	lt_buf_init(&b, 0);
	if (lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &b, NULL) !=
		LT_OK ||
	    lt_catalogue_parse(lt_buf_slice(&b), 1, &cat, NULL) != LT_OK)
		return -1;
	lt_buf_fini(&b);
	col = lt_catalogue_find(cat, "household_poverty");
	return col == NULL;
}

static int
unload(void **state)
{
	(void)state;
	lt_catalogue_unref(cat);
	return 0;
}

/* ---- the program ---- */

/* Run with stdout and stderr in files; the exit code. */
static int
run(const char *out, const char *err, const char *line)
{
	char text[512], *argv[32], *save = NULL;
	int argc = 0, code, keep_out = dup(1), keep_err = dup(2);

	(void)snprintf(text, sizeof(text), "%s", line);
	for (argv[argc] = strtok_r(text, " ", &save); argv[argc] != NULL;
	     argv[argc] = strtok_r(NULL, " ", &save))
		argc++;
	(void)fflush(stdout);
	(void)fflush(stderr);
	assert_non_null(freopen(out, "w", stdout));
	assert_non_null(freopen(err, "w", stderr));
	code = ctl_main(argc, argv);
	(void)fflush(stdout);
	(void)fflush(stderr);
	(void)dup2(keep_out, 1);
	(void)dup2(keep_err, 2);
	(void)close(keep_out);
	(void)close(keep_err);
	clearerr(stdout);
	return code;
}

static size_t
size_of(const char *path)
{
	struct lt_buf b = { 0 };
	size_t n;

	assert_int_equal(lt_file_read(path, 1 << 20, &b, NULL), LT_OK);
	n = b.len;
	lt_buf_fini(&b);
	return n;
}

/* Help is an answer: exit 0, on stdout, nothing on stderr. A mistake is the other way round. */
static void
every_row_explains_itself(void **state)
{
	char line[128];
	size_t i, k;

	(void)state;
	assert_true(ctl_ncommands >= 25);
	for (i = 0; i < ctl_ncommands; i++) {
		const struct ctl_command *c = &ctl_commands[i];

		assert_true(c->help_en[0] != '\0' && c->help_vi[0] != '\0');
		assert_non_null(c->usage);
		for (k = 0; k < i; k++)
			assert_string_not_equal(c->name, ctl_commands[k].name);
		(void)snprintf(line, sizeof(line), "ltctl %s --help", c->name);
		assert_int_equal(run("ctl.out", "ctl.err", line), 0);
		assert_true(size_of("ctl.out") > strlen(c->name));
		assert_int_equal(size_of("ctl.err"), 0);
		(void)snprintf(line, sizeof(line), "ltctl %s --no-such-option", c->name);
		if (strcmp(c->name, "help") != 0) {
			assert_int_equal(run("ctl.out", "ctl.err", line), 2);
			assert_int_equal(size_of("ctl.out"), 0);
			assert_true(size_of("ctl.err") > 0);
		}
	}
}

/* Whatever option the help names, the manual explains. */
static void
manual_has_every_option(void **state)
{
	char name[64], wanted[80];
	struct lt_buf man = { 0 };
	size_t i, n, seen = 0;
	const char *p;

	(void)state;
	assert_int_equal(lt_file_read(LT_SOURCE_DIR "/tools/ltctl.1", 1 << 20, &man, NULL), LT_OK);
	lt_buf_u8(&man, 0);
	for (i = 0; i < ctl_ncommands; i++) {
		for (p = strstr(ctl_commands[i].usage, "--"); p != NULL; p = strstr(p, "--")) {
			p += 2;
			n = strspn(p, "abcdefghijklmnopqrstuvwxyz-");
			assert_in_range(n, 1, sizeof(name) - 1);
			memcpy(name, p, n);
			name[n] = '\0';
			(void)snprintf(wanted, sizeof(wanted), "Fl -%s", name);
			if (strstr((const char *)man.data, wanted) == NULL)
				fail_msg(
				    "the manual lacks --%s of '%s'", name, ctl_commands[i].name);
			seen++;
		}
	}
	assert_true(seen > 50);
	lt_buf_fini(&man);
}

static void
exit_codes(void **state)
{
	static const struct {
		const char *line;
		int code;
	} rows[] = {
		{ "ltctl", 2 },
		{ "ltctl --help", 0 },
		{ "ltctl --version", 0 },
		{ "ltctl version", 0 },
		{ "ltctl version more", 2 },
		{ "ltctl help", 0 },
		{ "ltctl help put", 0 },
		{ "ltctl help nothing", 2 },
		{ "ltctl help hub", 0 },
		{ "ltctl nothing", 2 },
		{ "ltctl hub", 2 },
		{ "ltctl hub --help", 0 },
		{ "ltctl hub nothing", 2 },
		{ "ltctl hubinit", 2 },
		{ "ltctl -C", 2 },
		{ "ltctl --lang fr status", 2 },
		{ "ltctl --lang", 2 },
		{ "ltctl -x status", 2 },
		{ "ltctl -C /nonexistent status", 3 },
		{ "ltctl -C /nonexistent get dossier x", 3 },
		{ "ltctl -C /nonexistent verify all --offline", 3 },
		{ "ltctl get dossier", 2 },
		{ "ltctl get dossier a b", 2 },
		{ "ltctl list dossier --page", 2 },
		{ "ltctl list dossier --page x", 2 },
		{ "ltctl list dossier --page=-1", 2 },
		{ "ltctl list dossier --page 0", 2 },
		{ "ltctl list dossier --page-size 1001", 2 },
		{ "ltctl list dossier --csv --json", 2 },
		{ "ltctl list dossier --all=yes", 2 },
		{ "ltctl status --within 5x", 2 },
		{ "ltctl import dossier", 2 },
		{ "ltctl import dossier f --batch 0", 2 },
		{ "ltctl import dossier f --batch 257", 2 },
		{ "ltctl enrol invite", 2 },
		{ "ltctl enrol invite --unit 17254 --operator", 2 },
		{ "ltctl enrol invite --unit 17254 --collections dossier", 2 },
		{ "ltctl enrol invite --unit 17254 --units 17254", 2 },
		{ "ltctl enrol invite --unit 17254 --verbs read", 2 },
		{ "ltctl enrol invite --unit 17254 --fields status", 2 },
		{ "ltctl enrol invite --org so_noi_vu --collections", 2 },
		{ "ltctl enrol invite --org so_noi_vu --collections=", 2 },
		{ "ltctl enrol invite --org so_noi_vu --collections dossier,", 2 },
		{ "ltctl enrol invite --org so_noi_vu --units ,17254", 2 },
		{ "ltctl enrol invite --org so_noi_vu --units 17254 --units 16906,,16855", 2 },
		{ "ltctl enrol invite --org so_noi_vu --fields ,", 2 },
		{ "ltctl enrol invite --org so_noi_vu --verbs=", 2 },
		{ "ltctl -C /nonexistent enrol invite --org so_noi_vu --collections dossier", 3 },
		{ "ltctl enrol approve xyz", 2 },
		{ "ltctl hub init", 2 },
		{ "ltctl hub init --province 17254", 2 },
		{ "ltctl hub init --province 40 --listen http://x", 2 },
		{ "ltctl verify 17254", 2 },
		{ "ltctl show 17254 normal x", 2 },
		{ "ltctl node init LT1.x", 1 },
		{ "ltctl node init @/nonexistent", 3 },
		{ "ltctl verify-receipt /nonexistent", 3 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (run("ctl.out", "ctl.err", rows[i].line) != rows[i].code)
			fail_msg("'%s' does not exit with %d", rows[i].line, rows[i].code);
}

/* A full disk under the answer is not an answer. */
static void
unwritten_answer_is_a_failure(void **state)
{
	(void)state;
	assert_int_equal(run("/dev/full", "ctl.err", "ltctl version"), 3);
	assert_true(size_of("ctl.err") > 0);
	assert_int_equal(run("/dev/full", "ctl.err", "ltctl --help"), 3);
}

static void
seconds(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t s;
	} rows[] = { { "0", true, 0 }, { "30", true, 30 }, { "30s", true, 30 },
		{ "15m", true, 900 }, { "8h", true, 28800 }, { "7d", true, 604800 },
		{ "", false, 0 }, { "s", false, 0 }, { "-1s", false, 0 }, { " 1s", false, 0 },
		{ "1 s", false, 0 }, { "1w", false, 0 }, { "1sx", false, 0 },
		{ "3162240000", true, UINT64_C(3162240000) }, { "3162240001", false, 0 },
		{ "99999999999999999999", false, 0 } };
	uint64_t s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = 77;
		if (ctl_seconds(rows[i].text, &s) != rows[i].ok ||
		    s != (rows[i].ok ? rows[i].s : 77))
			fail_msg("'%s'", rows[i].text);
	}
}

/* ---- values ---- */

static void
assignments(void **state)
{
	static const struct {
		const char *text;
		int rc;
		Ltpb__Value__VCase type;
		const char *back; /* text form; NULL: as typed */
	} rows[] = {
		{ "village=Bản Một", LT_OK, LTPB__VALUE__V_TEXT, NULL },
		{ "village=a=b", LT_OK, LTPB__VALUE__V_TEXT, NULL },
		{ "members=5", LT_OK, LTPB__VALUE__V_INTEGER, NULL },
		{ "members=-2", LT_OK, LTPB__VALUE__V_INTEGER, NULL }, /* the range is a rule */
		{ "income_per_head_vnd=1250000", LT_OK, LTPB__VALUE__V_INTEGER, NULL },
		{ "class=ngheo", LT_OK, LTPB__VALUE__V_ENUMERATION, NULL },
		{ "social_protection=true", LT_OK, LTPB__VALUE__V_BOOLEAN, NULL },
		{ "reviewed_date=2025-09-15", LT_OK, LTPB__VALUE__V_DATE, NULL },
		{ "deprivation_codes=nuoc_sach;nha_o", LT_OK, LTPB__VALUE__V_SET,
		    "nha_o;nuoc_sach" },
		{ "members=five", LT_E_INVALID, 0, NULL },
		{ "members=1.5", LT_E_INVALID, 0, NULL },
		{ "members=9223372036854775808", LT_E_INVALID, 0, NULL },
		{ "reviewed_date=31/02/2025", LT_E_INVALID, 0, NULL },
		{ "reviewed_date=2025-02-31", LT_E_INVALID, 0, NULL },
		{ "members", LT_E_USAGE, 0, NULL },
		{ "members=", LT_E_USAGE, 0, NULL },
		{ "=5", LT_E_USAGE, 0, NULL },
		{ "nothing=5", LT_E_UNKNOWN, 0, NULL },
		{ "Members=5", LT_E_UNKNOWN, 0, NULL },
	};
	struct lt_arena arena;
	size_t i;

	(void)state;
	lt_arena_init(&arena, 1 << 20);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lt_err err = { "" };
		Ltpb__FieldSet *fs = NULL;
		const char *want = rows[i].back, *typed = strchr(rows[i].text, '=');

		if (ctl_assignment(col, rows[i].text, &arena, &fs, &err) != rows[i].rc)
			fail_msg("'%s': %s", rows[i].text, err.text);
		if (rows[i].rc != LT_OK) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		assert_int_equal(fs->value->v_case, rows[i].type);
		assert_string_equal(
		    ctl_value_text(&arena, fs->value), want != NULL ? want : typed + 1);
	}
	lt_arena_fini(&arena);
}

static void
filters(void **state)
{
	static const struct {
		const char *text;
		int rc;
		Ltpb__FilterOp op;
		size_t n;
		const char *first;
	} rows[] = {
		{ "class = ngheo", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1, "ngheo" },
		{ "class=ngheo", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1, "ngheo" },
		{ " class == ngheo", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1, "ngheo" },
		{ "class != ngheo", LT_OK, LTPB__FILTER_OP__FILTER_OP_NE, 1, "ngheo" },
		{ "members<5", LT_OK, LTPB__FILTER_OP__FILTER_OP_LT, 1, "5" },
		{ "members <= 5", LT_OK, LTPB__FILTER_OP__FILTER_OP_LE, 1, "5" },
		{ "members > -5", LT_OK, LTPB__FILTER_OP__FILTER_OP_GT, 1, "-5" },
		{ "members >= 5", LT_OK, LTPB__FILTER_OP__FILTER_OP_GE, 1, "5" },
		{ "village prefix Bản M", LT_OK, LTPB__FILTER_OP__FILTER_OP_PREFIX, 1, "Bản M" },
		{ "class in ngheo,can_ngheo", LT_OK, LTPB__FILTER_OP__FILTER_OP_IN, 2, "ngheo" },
		{ "left_date is-null", LT_OK, LTPB__FILTER_OP__FILTER_OP_IS_NULL, 0, NULL },
		{ "left_date not-null", LT_OK, LTPB__FILTER_OP__FILTER_OP_NOT_NULL, 0, NULL },
		/* 20,000 days after 1970-01-01 by Python's datetime */
		{ "reviewed_date < today", LT_OK, LTPB__FILTER_OP__FILTER_OP_LT, 1, "2024-10-04" },
		{ "deprivation_codes = nha_o", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1, "nha_o" },
		{ "_key = 16906/HN00001", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1,
		    "16906/HN00001" },
		{ "_unit = 16906", LT_OK, LTPB__FILTER_OP__FILTER_OP_EQ, 1, "16906" },
		{ "members < five", LT_E_INVALID, 0, 0, NULL },
		{ "members < today", LT_E_INVALID, 0, 0, NULL },
		{ "members in 1,", LT_E_INVALID, 0, 0, NULL },
		{ "nothing = 5", LT_E_UNKNOWN, 0, 0, NULL },
		{ "members", LT_E_USAGE, 0, 0, NULL },
		{ "members 5", LT_E_USAGE, 0, 0, NULL },
		{ "members <", LT_E_USAGE, 0, 0, NULL },
		{ "class in", LT_E_USAGE, 0, 0, NULL },
		{ "class inngheo", LT_E_USAGE, 0, 0, NULL },
		{ "left_date is-null now", LT_E_USAGE, 0, 0, NULL },
		{ "= 5", LT_E_USAGE, 0, 0, NULL },
		{ "", LT_E_USAGE, 0, 0, NULL },
	};
	struct lt_arena arena;
	size_t i;

	(void)state;
	lt_arena_init(&arena, 1 << 20);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lt_err err = { "" };
		Ltpb__Filter *f = NULL;

		if (ctl_filter(col, rows[i].text, 20000, &arena, &f, &err) != rows[i].rc)
			fail_msg("'%s': %s", rows[i].text, err.text);
		if (rows[i].rc != LT_OK) {
			assert_true(err.text[0] != '\0');
			continue;
		}
		assert_int_equal(f->op, rows[i].op);
		assert_int_equal(f->n_value, rows[i].n);
		if (rows[i].first != NULL)
			assert_string_equal(ctl_value_text(&arena, f->value[0]), rows[i].first);
	}
	lt_arena_fini(&arena);
}

/* Columns stand under each other by what a terminal shows, and nothing from outside reaches it raw. */
static void
tables(void **state)
{
	static const char want[] = "khóa    x\n"
				   "Bản     1\n"
				   "a\\x1bb  2\n";
	struct lt_buf b = { 0 };
	struct ctl_table t;
	int keep = dup(1);

	(void)state;
	ctl_table_init(&t, 2);
	ctl_cell(&t, "%s", "khóa");
	ctl_cell(&t, "x");
	ctl_cell(&t, "%s", "Bản");
	ctl_cell(&t, "1");
	ctl_cell(&t, "%s", "a\033b");
	ctl_cell(&t, "2");
	assert_int_equal(ctl_table_rows(&t), 2);
	(void)fflush(stdout);
	assert_non_null(freopen("ctl.out", "w", stdout));
	ctl_table_print(&t);
	(void)fflush(stdout);
	(void)dup2(keep, 1);
	(void)close(keep);
	assert_int_equal(lt_file_read("ctl.out", 4096, &b, NULL), LT_OK);
	lt_buf_u8(&b, 0);
	assert_string_equal((const char *)b.data, want);
	lt_buf_fini(&b);
}

/* stdout of ctl_print_nodes(), in b. */
static void
print_nodes(size_t n, Ltpb__NodeStatus *const *node, struct lt_buf *b)
{
	struct ctl c = { 0 };
	int keep = dup(1);

	lt_arena_init(&c.arena, 1 << 20);
	(void)fflush(stdout);
	assert_non_null(freopen("nodes.out", "w", stdout));
	ctl_print_nodes(&c, n, node);
	(void)fflush(stdout);
	(void)dup2(keep, 1);
	(void)close(keep);
	lt_arena_fini(&c.arena);
	lt_buf_clear(b);
	assert_int_equal(lt_file_read("nodes.out", 16384, b, NULL), LT_OK);
	lt_buf_u8(b, 0);
}

/* A second branch of a node's feed is an alarm in words, of that node alone. */
static void
second_branches(void **state)
{
	Ltpb__NodeStatus good = LTPB__NODE_STATUS__INIT, copied = LTPB__NODE_STATUS__INIT,
			 both = LTPB__NODE_STATUS__INIT;
	Ltpb__NodeStatus *nodes[] = { &good, &copied, &both };
	bool was = ctl_vietnamese;
	struct lt_buf b = { 0 };

	(void)state;
	good.unit = (char *)"11111";
	copied.unit = (char *)"22222";
	copied.label = (char *)"M\033y";
	copied.foreign = true;
	both.unit = (char *)"33333";
	both.unit_name = (char *)"Bản";
	both.foreign = true;
	both.forks = 7;
	ctl_vietnamese = false;
	print_nodes(1, nodes, &b);
	assert_null(strstr((const char *)b.data, "ALARM"));
	print_nodes(3, nodes, &b);
	assert_null(strstr((const char *)b.data, "ALARM: 11111"));
	assert_non_null(strstr((const char *)b.data,
	    "ALARM: 22222 M\\x1by: two machines sign with its key, or one was restored from an old "
	    "copy; it has change-sets in whose place the hub holds others\n"));
	assert_non_null(strstr((const char *)b.data, "ALARM: 33333 Bản: "));
	assert_non_null(strstr((const char *)b.data,
	    "others; 7 change-sets of a second branch are kept as evidence\n"));
	both.foreign = false;
	ctl_vietnamese = true;
	print_nodes(3, nodes, &b);
	assert_non_null(strstr((const char *)b.data,
	    "BÁO ĐỘNG: 33333 Bản: hai máy cùng ký bằng một khóa, hoặc máy được khôi phục từ bản "
	    "cũ; 7 gói của nhánh thứ hai được giữ làm chứng cứ\n"));
	assert_non_null(
	    strstr((const char *)b.data, "máy có gói mà đầu mối giữ gói khác cùng số\n"));
	ctl_vietnamese = was;
	lt_buf_fini(&b);
}

/* What a function prints, in b. */
static void
printed(void (*print)(struct ctl *c, const void *m), const void *m, struct lt_buf *b)
{
	struct ctl c = { 0 };
	int keep = dup(1);

	lt_arena_init(&c.arena, 1 << 20);
	(void)fflush(stdout);
	assert_non_null(freopen("printed.out", "w", stdout));
	print(&c, m);
	(void)fflush(stdout);
	(void)dup2(keep, 1);
	(void)close(keep);
	lt_arena_fini(&c.arena);
	lt_buf_clear(b);
	assert_int_equal(lt_file_read("printed.out", 16384, b, NULL), LT_OK);
	lt_buf_u8(b, 0);
}

static void
recovery_of(struct ctl *c, const void *m)
{
	ctl_print_recovery(c, m);
}

/* Between the last node that was heard and the first signature nobody is to be switched on. */
static void
recovery_that_waits_for_nobody(void **state)
{
	Ltpb__RecoveryReply r = LTPB__RECOVERY_REPLY__INIT;
	Ltpb__Awaited one = LTPB__AWAITED__INIT, *list[] = { &one };
	bool was = ctl_vietnamese;
	struct lt_buf b = { 0 };

	(void)state;
	r.recovering = true;
	r.heard = 3;
	ctl_vietnamese = false;
	printed(recovery_of, &r, &b);
	assert_non_null(strstr((const char *)b.data, "heard 3 nodes"));
	assert_non_null(strstr((const char *)b.data, "by itself"));
	assert_null(strstr((const char *)b.data, "switch"));
	assert_null(strstr((const char *)b.data, "principal"));
	ctl_vietnamese = true;
	printed(recovery_of, &r, &b);
	assert_non_null(strstr((const char *)b.data, "không còn chờ máy nào"));
	assert_null(strstr((const char *)b.data, "hãy bật"));
	one.unit = (char *)"16906";
	r.n_awaited = 1;
	r.awaited = list;
	printed(recovery_of, &r, &b);
	assert_non_null(strstr((const char *)b.data, "còn chờ 1:"));
	assert_non_null(strstr((const char *)b.data, "16906"));
	assert_non_null(strstr((const char *)b.data, "hãy bật"));
	ctl_vietnamese = was;
	lt_buf_fini(&b);
}

/* Once is not "1 times". */
static void
a_second_machine_once(void **state)
{
	Ltpb__NodeStatus node = LTPB__NODE_STATUS__INIT, *nodes[] = { &node };
	bool was = ctl_vietnamese;
	struct lt_buf b = { 0 };

	(void)state;
	node.unit = (char *)"11111";
	ctl_vietnamese = false;
	node.twins = 1;
	print_nodes(1, nodes, &b);
	assert_non_null(strstr((const char *)b.data, "came once with its keys"));
	node.twins = 2;
	print_nodes(1, nodes, &b);
	assert_non_null(strstr((const char *)b.data, "came 2 times with its keys"));
	ctl_vietnamese = was;
	lt_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recovery_that_waits_for_nobody),
		cmocka_unit_test(a_second_machine_once),
		cmocka_unit_test(every_row_explains_itself),
		cmocka_unit_test(manual_has_every_option),
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(unwritten_answer_is_a_failure),
		cmocka_unit_test(seconds),
		cmocka_unit_test(assignments),
		cmocka_unit_test(filters),
		cmocka_unit_test(tables),
		cmocka_unit_test(second_branches),
	};
	char dir[] = "/tmp/lt-ctl-XXXXXX";

	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return 1;
	return cmocka_run_group_tests(tests, load, unload);
}
