/* How far each record got, as a clerk reads it: ltctl get and list at a node, beside a hub, all as processes. Saved, sent, receipted,
 * refused, held: each is brought about on the line between them, and read in Vietnamese and as JSON. */
#include "tests/lib/province.h"
#include "tests/lib/proxy.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define START_MS 30000
#define WAIT_MS 20000
#define OUTPUT_MAX ((size_t)256 * 1024)

struct office {
	struct province p;
	struct proxy *proxy;
	struct lt_conn *node; /* its local socket; NULL while it does not run */
	struct fed_feed other; /* of a second machine of the commune, p.peer */
	struct lt_buf first; /* its first change-set: dossier 5 */
};

/* ---- ltctl ---- */

/* Run it in a directory; its output, to be freed, and its exit code. The language is what nobody has chosen. */
static char *
ltctl_in(const char *dir, const char *words, int *code)
{
	char command[1024], *out = calloc(1, OUTPUT_MAX);
	size_t n;
	FILE *f;
	int rc;

	assert_non_null(out);
	assert_true(
	    (size_t)snprintf(command, sizeof(command),
		"env -u LIENTHONG_LANG -u LIENTHONG_DIR -u LC_ALL LANG=C.UTF-8 '%s' -C '%s' %s "
		"2>&1",
		LT_BIN_DIR "/ltctl", dir, words) < sizeof(command));
	f = popen(command, "r"); /* NOLINT(cert-env33-c): no word of it comes from outside */
	assert_non_null(f);
	n = fread(out, 1, OUTPUT_MAX - 1, f);
	out[n] = '\0';
	rc = pclose(f);
	assert_true(WIFEXITED(rc));
	*code = WEXITSTATUS(rc);
	return out;
}

/* At the node. */
static char *
ltctl(const struct office *o, const char *words, int *code)
{
	return ltctl_in(o->p.n.dir, words, code);
}

static json_t *
parse(const char *text)
{
	json_t *j = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);

	if (j == NULL)
		fail_msg("not JSON: %s", text);
	return j;
}

/* What get --json says: delivery and reason, "" for none; false: it is not shown. */
static bool
json_says(const struct office *o, unsigned number, char delivery[32], char reason[64])
{
	const char *d, *r;
	char words[128], *out;
	json_t *j;
	int code;

	delivery[0] = reason[0] = '\0';
	(void)snprintf(words, sizeof(words), "get dossier H41.65-261120-%06u --json", number);
	out = ltctl(o, words, &code);
	if (code == 0) {
		j = parse(out);
		d = json_string_value(json_object_get(j, "delivery"));
		r = json_string_value(json_object_get(j, "reason"));
		(void)snprintf(delivery, 32, "%s", d != NULL ? d : "");
		(void)snprintf(reason, 64, "%s", r != NULL ? r : "");
		json_decref(j);
	} else {
		assert_int_equal(code, 1);
	}
	free(out);
	return code == 0;
}

/* The line of text that begins with, or holds, `mark`; cut out of out in place. */
static const char *
line_with(char *out, const char *mark)
{
	char *at = strstr(out, mark), *end;

	if (at == NULL)
		fail_msg("'%s' is not in: %s", mark, out);
	while (at > out && at[-1] != '\n')
		at--;
	end = strchr(at, '\n');
	if (end != NULL)
		*end = '\0';
	return at;
}

static bool
ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), k = strlen(tail);

	while (n > 0 && s[n - 1] == ' ')
		n--;
	return n >= k && memcmp(s + n - k, tail, k) == 0;
}

struct seen {
	const struct office *o;
	unsigned number;
	const char *delivery, *reason;
};

static bool
is_seen(void *ctx)
{
	const struct seen *s = ctx;
	char delivery[32], reason[64];

	(void)json_says(s->o, s->number, delivery, reason);
	return strcmp(delivery, s->delivery) == 0 && strcmp(reason, s->reason) == 0;
}

/* In each of the four forms; the words stand here as the clerk's manual has them. why: of a refusal, in Vietnamese, else NULL. */
static void
expect_forms(const struct office *o, const struct seen *s, const char *vi, const char *why)
{
	char words[128], key[40], want[256], *out;
	const char *line;
	json_t *j;
	int code;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", s->number);
	(void)snprintf(
	    want, sizeof(want), "%s%s%s", vi, why != NULL ? ": " : "", why != NULL ? why : "");
	(void)snprintf(words, sizeof(words), "get dossier %s", key);
	out = ltctl(o, words, &code);
	assert_int_equal(code, 0);
	line = line_with(out, "đường gửi");
	if (!ends_with(line, want))
		fail_msg("'%s' is not the end of '%s'", want, line);
	free(out);
	(void)snprintf(words, sizeof(words), "list dossier --where '_key = %s'", key);
	out = ltctl(o, words, &code);
	assert_int_equal(code, 0);
	line = line_with(out, key);
	if (!ends_with(line, vi))
		fail_msg("'%s' is not the end of '%s'", vi, line);
	free(out);
	(void)snprintf(words, sizeof(words), "list dossier --where '_key = %s' --json", key);
	out = ltctl(o, words, &code);
	assert_int_equal(code, 0);
	j = parse(out);
	assert_string_equal(json_string_value(json_object_get(j, "key")), key);
	assert_string_equal(json_string_value(json_object_get(j, "delivery")), s->delivery);
	json_decref(j);
	free(out);
}

/* The record gets there, and says so in every form. */
static void
expect(const struct office *o, unsigned number, const char *delivery, const char *reason,
    const char *vi, const char *why)
{
	struct seen s = { o, number, delivery, reason };
	char what[128];

	(void)snprintf(what, sizeof(what), "dossier %u is %s %s", number, delivery, reason);
	fed_wait(is_seen, &s, WAIT_MS, what);
	expect_forms(o, &s, vi, why);
}

/* ---- writing ---- */

static void
put(const struct office *o, unsigned number, bool fresh, const char *value)
{
	struct dossier_put d;
	ProtobufCMessage *m = NULL;
	struct lt_status st;

	dossier_put_init(&d, number, fresh, value);
	if (lt_conn_call_wait(o->node, &ltpb__records__descriptor, "Put", &d.req.base, 20000, &m,
		&st) != LT_STATUS_OK)
		fail_msg("put %u: %s", number, st.message);
	province_free(m);
}

static void
note_applied(void *ctx, int rc, const char *why)
{
	if (rc != LT_OK)
		print_message("not applied: %s %s\n", lt_strerror(rc), why);
	*(_Atomic int *)ctx = rc == LT_OK ? 1 : rc;
}

static bool
was_applied(void *ctx)
{
	return *(_Atomic int *)ctx != 0;
}

/* Into the log of the node, which does not run: as if another program had been at work there. */
static void
apply(struct office *o, const struct lt_buf *set)
{
	struct lt_node_options no = {
		.dir = o->p.n.dir, .identity = o->p.n.id, .clock = lt_clock_system()
	};
	_Atomic int applied = 0;
	struct lt_err err = { "" };
	struct lt_node *n;

	if (lt_node_open(&no, &n, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(lt_node_apply(n, lt_buf_slice(set), note_applied, &applied), LT_OK);
	fed_wait(was_applied, &applied, WAIT_MS, "it stands in the node's log");
	assert_int_equal(applied, 1);
	lt_node_close(n);
}

static void
node_stop(struct office *o)
{
	lt_conn_close(o->node);
	o->node = NULL;
	(void)daemon_stop(&o->p.node);
}

static void
node_start(struct office *o)
{
	daemon_start(&o->p.node, NULL);
	o->node = daemon_dial_wait(&o->p.node, o->p.pool, START_MS);
}

static bool
has_no_line(void *ctx)
{
	const struct office *o = ctx;
	Ltpb__StatusReply *r = province_status(o->node);
	bool yes = !r->connected;

	province_free(r);
	return yes;
}

/* ---- the five ---- */

static void
office_open(struct office *o)
{
	struct lt_arena arena;
	struct lt_draft d;
	int port = daemon_port();

	memset(o, 0, sizeof(*o));
	province_setup(&o->p, "17254", port);
	fed_hub_start(&o->p.f);
	fed_enrol(&o->p.f, &o->p.peer, LTPB__ROLE__ROLE_NODE, "17254", true);
	fed_hang_up(&o->p.peer);
	fed_hub_stop(&o->p.f);
	fed_feed_init(&o->other, &o->p.peer, "17254", LT_LANE_NORMAL, 1);
	lt_buf_init(&o->first, LT_MESSAGE_MAX);
	lt_arena_init(&arena, 1 << 20);
	fed_draft_dossier(&arena, &d, "H41.65-261120-000005");
	fed_seal(&o->p.f, &o->other, &d, 1, &o->first);
	lt_arena_fini(&arena);
	o->proxy = proxy_start(port, o->p.port);
	province_start(&o->p, NULL, NULL);
	o->node = daemon_dial_wait(&o->p.node, o->p.pool, START_MS);
}

static void
office_close(struct office *o)
{
	node_stop(o);
	(void)daemon_stop(&o->p.hub);
	lt_buf_fini(&o->first);
	proxy_stop(o->proxy);
	province_teardown(&o->p);
}

static void
test_saved_sent_receipted(void **state)
{
	struct office o;

	(void)state;
	office_open(&o);
	put(&o, 1, true, "receipted");
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	/* The hub takes it; what it answers stays on the way. */
	proxy_hold(o.proxy, PROXY_FROM_HUB, true);
	put(&o, 2, true, "sent");
	expect(&o, 2, "sent", "", "đã gửi", NULL);
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	/* The line drops with it, and the next one does not come to a greeting: it is not on its way any more. */
	proxy_cut(o.proxy);
	expect(&o, 2, "saved", "", "đã lưu", NULL);
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	proxy_hold(o.proxy, PROXY_FROM_HUB, false);
	expect(&o, 2, "receipted", "", "đã có biên nhận", NULL);
	/* No hub. */
	(void)daemon_stop(&o.p.hub);
	fed_wait(has_no_line, &o, WAIT_MS, "the node sees that the line is down");
	put(&o, 3, true, "saved");
	expect(&o, 3, "saved", "", "đã lưu", NULL);
	/* An edit of what was receipted is another matter than what was receipted. */
	put(&o, 1, false, "edited");
	expect(&o, 1, "saved", "", "đã lưu", NULL);
	expect(&o, 2, "receipted", "", "đã có biên nhận", NULL);
	/* On disk it stays so. */
	node_stop(&o);
	node_start(&o);
	expect(&o, 3, "saved", "", "đã lưu", NULL);
	expect(&o, 2, "receipted", "", "đã có biên nhận", NULL);
	daemon_start(&o.p.hub, NULL);
	expect(&o, 3, "receipted", "", "đã có biên nhận", NULL);
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	office_close(&o);
}

static void
expect_words(const struct office *o, const char *words, int want, const char *a, const char *b)
{
	int code;
	char *out = ltctl(o, words, &code);

	if (code != want || strstr(out, a) == NULL || strstr(out, b) == NULL)
		fail_msg("%s: exit %d, '%s' or '%s' is not in: %s", words, code, a, b, out);
	free(out);
}

/* A record that is not there says why, in every form. */
static void
expect_no_record(
    const struct office *o, unsigned number, const char *reason, const char *en, const char *vi)
{
	char words[128], rule[64];
	json_t *j;
	char *out;
	int code;

	(void)snprintf(words, sizeof(words), "get dossier H41.65-261120-%06u", number);
	expect_words(o, words, 1, "bản ghi này: đầu mối", vi);
	(void)snprintf(words, sizeof(words), "get dossier H41.65-261120-%06u --json", number);
	out = ltctl(o, words, &code);
	assert_int_equal(code, 1);
	j = parse(out);
	assert_string_equal(json_string_value(json_object_get(j, "code")), "NOT_FOUND");
	assert_string_equal(json_string_value(json_object_get(j, "reason")), reason);
	assert_non_null(strstr(json_string_value(json_object_get(j, "message")), en));
	assert_non_null(strstr(json_string_value(json_object_get(j, "message_vi")), vi));
	(void)snprintf(rule, sizeof(rule), "%s", json_string_value(json_object_get(j, "rule")));
	assert_string_equal(rule, strcmp(reason, "RECORD_REFUSED") == 0 ? "unknown_field" : "");
	json_decref(j);
	free(out);
}

/* list --json: whole lines, one a record, the last one of the list; those of the records end with the key's numbers. */
static void
expect_stopped(const struct office *o, const char *words, size_t n, const unsigned *number,
    const char *delivery)
{
	char key[40], *out, *line, *save = NULL;
	size_t i = 0;
	json_t *j;
	int code;

	out = ltctl(o, words, &code);
	assert_int_equal(code, 0);
	for (line = strtok_r(out, "\n", &save); line != NULL && i < n;
	     line = strtok_r(NULL, "\n", &save), i++) {
		j = parse(line);
		(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", number[i]);
		assert_string_equal(json_string_value(json_object_get(j, "key")), key);
		assert_string_equal(json_string_value(json_object_get(j, "delivery")), delivery);
		json_decref(j);
	}
	assert_int_equal(i, n);
	assert_non_null(line);
	j = parse(line);
	assert_int_equal(json_integer_value(json_object_get(j, "records")), n);
	json_decref(j);
	free(out);
}

static void
expect_counts(const struct office *o, unsigned refused, unsigned held)
{
	char *out, *line, *next, *save = NULL;
	json_t *j;
	int code;

	out = ltctl(o, "list dossier --page-size 1 --json", &code);
	assert_int_equal(code, 0);
	line = strtok_r(out, "\n", &save);
	while ((next = strtok_r(NULL, "\n", &save)) != NULL)
		line = next;
	j = parse(line);
	assert_int_equal(json_integer_value(json_object_get(j, "refused")), refused);
	assert_int_equal(json_integer_value(json_object_get(j, "held")), held);
	json_decref(j);
	free(out);
}

/* What was to make a record, and was refused, made none; its history says so, with what had been written. */
static void
expect_refused_creation(const struct office *o, unsigned number)
{
	char words[128], *out;
	int code;

	expect_no_record(o, number, "RECORD_REFUSED", "put it right and write it again",
	    "loại hồ sơ này không có trường đó");
	(void)snprintf(words, sizeof(words), "history dossier H41.65-261120-%06u", number);
	out = ltctl(o, words, &code);
	assert_int_equal(code, 0);
	assert_non_null(strstr(out, "BỊ TỪ CHỐI: loại hồ sơ này không có trường đó"));
	assert_non_null(strstr(out, "procedure_code = 1.012784"));
	free(out);
}

/* What `quarantine --all --json` says of one record, in its order: "open enum", ...; NULL ends them. */
struct quarantined {
	const char *dir;
	unsigned number;
	const char *state, *reason;
	char id[48]; /* found */
};

static bool
is_quarantined(void *ctx)
{
	struct quarantined *q = ctx;
	char key[40], *out, *line, *save = NULL;
	bool found = false;
	json_t *j;
	int code;

	(void)snprintf(key, sizeof(key), "H41.65-261120-%06u", q->number);
	out = ltctl_in(q->dir, "quarantine list --all --json --unit 17254", &code);
	for (line = strtok_r(out, "\n", &save); line != NULL && code < 2;
	     line = strtok_r(NULL, "\n", &save)) {
		j = parse(line);
		if (strcmp(json_string_value(json_object_get(j, "key")), key) == 0) {
			found =
			    strcmp(json_string_value(json_object_get(j, "state")), q->state) == 0 &&
			    strcmp(json_string_value(json_object_get(j, "reason")), q->reason) == 0;
			(void)snprintf(q->id, sizeof(q->id), "%s",
			    json_string_value(json_object_get(j, "id")));
			assert_true(json_string_value(json_object_get(j, "next_vi"))[0] != '\0');
			assert_string_equal(
			    json_string_value(json_object_get(j, "collection")), "dossier");
			assert_string_equal(json_string_value(json_object_get(j, "unit")), "17254");
		}
		json_decref(j);
	}
	free(out);
	return found;
}

/* At the node and at the hub, whose tables may be behind. */
static void
expect_quarantined(
    const struct office *o, unsigned number, const char *state, const char *reason, char id[2][48])
{
	struct quarantined q = { o->p.n.dir, number, state, reason, "" };
	char what[128];
	int i;

	for (i = 0; i < 2; i++) {
		q.dir = i == 0 ? o->p.n.dir : o->p.f.dir;
		(void)snprintf(what, sizeof(what), "dossier %u %s (%s) at the %s", number, state,
		    reason, i == 0 ? "node" : "hub");
		fed_wait(is_quarantined, &q, WAIT_MS, what);
		if (id != NULL)
			memcpy(id[i], q.id, sizeof(q.id));
	}
}

/* Words of an answer and its exit code, at node and hub. */
static void
expect_both(
    const struct office *o, const char *words, int want, const char *first, const char *second)
{
	int i, code;

	for (i = 0; i < 2; i++) {
		char *out = ltctl_in(i == 0 ? o->p.n.dir : o->p.f.dir, words, &code);

		if (code != want || strstr(out, first) == NULL || strstr(out, second) == NULL)
			fail_msg("%s: exit %d, %s", words, code, out);
		free(out);
	}
}

/* A program that was not ours wrote with this machine's key what the catalogue forbids. */
static void
test_refused(void **state)
{
	struct fed_peer own = { 0 };
	struct fed_feed feed;
	struct lt_arena arena;
	struct lt_draft d[2];
	char id[2][48], words[160], *out;
	struct office o;
	struct lt_buf b;
	int i, code;

	(void)state;
	office_open(&o);
	put(&o, 1, true, "good");
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	expect_both(&o, "quarantine", 0, "không có thay đổi nào bị từ chối", "");
	node_stop(&o);
	own.id = *o.p.n.id;
	fed_feed_init(&feed, &own, "17254", LT_LANE_NORMAL, 77);
	lt_arena_init(&arena, 1 << 20);
	fed_draft_status(&arena, &d[0], "H41.65-261120-000001", "nonsense");
	fed_draft_dossier(&arena, &d[1], "H41.65-261120-000002");
	d[1].personal[0]->name = (char *)"no_such_field";
	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_seal(&o.p.f, &feed, d, 2, &b);
	apply(&o, &b);
	lt_buf_fini(&b);
	lt_arena_fini(&arena);
	node_start(&o);
	expect(&o, 1, "refused", "enum", "bị từ chối", "giá trị không có trong danh sách cho phép");
	expect_refused_creation(&o, 2);
	/* Both are found without being asked for by name, page by page too; and told of after a list that shows neither. */
	expect_stopped(&o, "list dossier --refused --json", 2, (unsigned[]){ 1, 2 }, "refused");
	expect_stopped(&o, "list dossier --refused --all --page-size 1 --json", 2,
	    (unsigned[]){ 1, 2 }, "refused");
	expect_stopped(&o, "list dossier --held --json", 0, NULL, "");
	expect_stopped(&o, "list dossier --refused --page 2 --page-size 1 --json", 1,
	    (unsigned[]){ 2 }, "refused");
	expect_counts(&o, 2, 0);
	expect_words(&o, "list dossier --where '_key = none'", 0,
	    "2 bản ghi của đơn vị bị đầu mối từ chối", "ltctl list dossier --refused");
	expect_words(&o, "list dossier --refused", 0,
	    "bị từ chối: loại hồ sơ này không có trường đó",
	    "bị từ chối: giá trị không có trong danh sách cho phép");
	expect_words(&o, "list dossier --refused --where '_key = none'", 2, "--refused", "--where");
	expect_quarantined(&o, 1, "open", "enum", id);
	expect_quarantined(&o, 2, "open", "unknown_field", NULL);
	expect_both(&o, "quarantine", 1, "bị từ chối: giá trị không có trong danh sách cho phép",
	    "việc cần làm: chọn một giá trị trong danh sách rồi lưu lại hồ sơ");
	expect_both(&o, "--lang en quarantine --unit 17254", 1,
	    "refused: the value is not one of those allowed",
	    "what to do: choose one of the values allowed and save the record again");
	expect_both(&o, "quarantine --unit 16906", 0, "không có thay đổi nào bị từ chối", "");
	for (i = 0; i < 2; i++) {
		(void)snprintf(words, sizeof(words), "quarantine show %s", id[i]);
		out = ltctl_in(i == 0 ? o.p.n.dir : o.p.f.dir, words, &code);
		if (code != 0 || strstr(out, "status = nonsense") == NULL)
			fail_msg("%s: exit %d, %s", words, code, out);
		free(out);
	}
	expect_both(&o, "quarantine show 1.0", 1, "ltctl: ", "");
	expect_both(&o, "quarantine show x", 2, "1234.0", "");
	/* A right edit makes it good again, and a right creation too. */
	put(&o, 1, false, "again");
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	expect_quarantined(&o, 1, "superseded", "enum", NULL);
	expect_quarantined(&o, 2, "open", "unknown_field", NULL);
	expect_both(&o, "quarantine --all", 1, "đã xong: hồ sơ đã được lưu lại và chấp nhận",
	    "việc cần làm: lưu lại hồ sơ, bỏ trường này");
	expect_stopped(&o, "list dossier --refused --json", 1, (unsigned[]){ 2 }, "refused");
	put(&o, 2, true, "anew");
	expect(&o, 2, "receipted", "", "đã có biên nhận", NULL);
	expect_stopped(&o, "list dossier --refused --held --json", 0, NULL, "");
	expect_counts(&o, 0, 0);
	expect_quarantined(&o, 2, "superseded", "unknown_field", NULL);
	expect_both(&o, "quarantine", 0, "không có thay đổi nào bị từ chối", "");
	office_close(&o);
}

/* Two machines of one commune: one has, from a stick, what the other wrote and has not sent, and goes on from there. */
static void
test_held(void **state)
{
	struct fed_peer own = { 0 };
	struct lt_context context;
	struct fed_feed feed;
	struct lt_arena arena;
	struct lt_status st;
	struct lt_draft d[2];
	struct office o;
	struct lt_buf b;

	(void)state;
	office_open(&o);
	put(&o, 1, true, "good");
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	node_stop(&o);
	apply(&o, &o.first);
	context.feed = o.other.id;
	context.seq = o.other.seq;
	context.hash8 = lt_load_u64(o.other.hash.b);
	own.id = *o.p.n.id;
	fed_feed_init(&feed, &own, "17254", LT_LANE_NORMAL, 77);
	lt_arena_init(&arena, 1 << 20);
	fed_draft_status(&arena, &d[0], "H41.65-261120-000001", "dang_xu_ly");
	fed_draft_dossier(&arena, &d[1], "H41.65-261120-000003");
	d[0].ncontext = d[1].ncontext = 1;
	d[0].context = d[1].context = &context;
	lt_buf_init(&b, LT_MESSAGE_MAX);
	fed_seal(&o.p.f, &feed, d, 2, &b);
	apply(&o, &b);
	lt_buf_fini(&b);
	lt_arena_fini(&arena);
	node_start(&o);
	expect(&o, 1, "held", "", "đầu mối đang giữ, chờ dữ liệu trước đó", NULL);
	expect_no_record(
	    &o, 3, "RECORD_HELD", "nothing need be written again", "không phải ghi lại");
	expect_stopped(&o, "list dossier --held --json", 2, (unsigned[]){ 1, 3 }, "held");
	expect_stopped(&o, "list dossier --refused --json", 0, NULL, "");
	expect_counts(&o, 0, 2);
	/* What it waits for comes. */
	assert_int_equal(province_dial(&o.p, 0), LT_OK);
	assert_int_equal(fed_push(&o.p.peer, &o.first, 1, NULL, &st), LT_STATUS_OK);
	expect(&o, 1, "receipted", "", "đã có biên nhận", NULL);
	expect(&o, 3, "receipted", "", "đã có biên nhận", NULL);
	expect_counts(&o, 0, 0);
	office_close(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved_sent_receipted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
