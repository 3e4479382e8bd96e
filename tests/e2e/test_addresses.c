/* The addresses that a hub tells to communes: as many and as long as are allowed are served, each of them; one more of either and the
 * hub does not start, and says why. */
#include "tests/lib/province.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define START_MS 30000
#define COUNT_MAX 8
#define TOGETHER_MAX 1023
#define ONE_MAX 255 /* FORMAT.md 4.2 */

/* n addresses, together len bytes, the blanks between among them. */
static void
make_addresses(char *out, size_t cap, unsigned n, size_t len)
{
	static const char tail[] = ".example:7340";
	size_t left = len - (n - 1), at = 0, one;
	unsigned i;

	for (i = 0; i < n; i++) {
		one = left / (n - i);
		left -= one;
		at += (size_t)snprintf(out + at, cap - at, "%stcp://%0*u%s", i > 0 ? " " : "",
		    (int)(one - strlen("tcp://") - strlen(tail)), i, tail);
	}
	assert_int_equal(strlen(out), len);
}

static void
write_conf(struct province *p, const char *addresses)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", p->f.dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fprintf(f, "[hub]\nlisten = tcp://127.0.0.1:%d\naddresses = %s\n", p->port,
			addresses) > 0);
	assert_int_equal(fclose(f), 0);
}

/* The hub serves, and an invitation of it names them all. */
static void
expect_served(struct province *p, const char *addresses)
{
	Ltpb__InviteRequest req = LTPB__INVITE_REQUEST__INIT;
	char joined[2 * TOGETHER_MAX] = "";
	ProtobufCMessage *m = NULL;
	Ltpb__Invitation *inv;
	struct lt_err err = { "" };
	struct lt_arena arena;
	struct lt_status st;
	struct lt_conn *c;
	size_t i, at = 0;

	write_conf(p, addresses);
	daemon_start(&p->hub, NULL);
	c = daemon_dial_wait(&p->hub, p->pool, START_MS);
	req.role = LTPB__ROLE__ROLE_NODE;
	req.unit = (char *)"17254";
	if (lt_conn_call_wait(c, &ltpb__admin__descriptor, "Invite", &req.base, 20000, &m, &st) !=
	    LT_STATUS_OK)
		fail_msg("invite: %s", st.message);
	lt_arena_init(&arena, 1 << 20);
	if (lt_invitation_parse(((Ltpb__InviteReply *)m)->line, &arena, &inv, &err) != LT_OK)
		fail_msg("%s", err.text);
	for (i = 0; i < inv->n_address; i++)
		at += (size_t)snprintf(
		    joined + at, sizeof(joined) - at, "%s%s", i > 0 ? " " : "", inv->address[i]);
	assert_string_equal(joined, addresses);
	lt_arena_fini(&arena);
	province_free(m);
	lt_conn_close(c);
	(void)daemon_stop(&p->hub);
}

static void
expect_refused(struct province *p, const char *addresses, const char *why)
{
	write_conf(p, addresses);
	daemon_start(&p->hub, NULL);
	assert_true(daemon_wait(&p->hub, START_MS));
	assert_true(WIFEXITED(p->hub.status));
	assert_int_equal(WEXITSTATUS(p->hub.status), 1);
	assert_true(daemon_logged(&p->hub, why));
}

static void
test_bounds(void **state)
{
	char text[2 * TOGETHER_MAX];
	struct province p;

	(void)state;
	province_setup(&p, "17254", 0);
	make_addresses(text, sizeof(text), COUNT_MAX + 1, 300);
	expect_refused(&p, text, "'addresses' in the configuration names more than 8");
	make_addresses(text, sizeof(text), COUNT_MAX, 300);
	expect_served(&p, text);
	make_addresses(text, sizeof(text), COUNT_MAX, TOGETHER_MAX + 1);
	expect_refused(&p, text, "'addresses' in the configuration is too long");
	make_addresses(text, sizeof(text), COUNT_MAX, TOGETHER_MAX);
	expect_served(&p, text);
	make_addresses(text, sizeof(text), 1, ONE_MAX + 1);
	expect_refused(&p, text, "an address in the configuration is longer than 255 bytes");
	make_addresses(text, sizeof(text), 1, ONE_MAX);
	expect_served(&p, text);
	province_teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bounds) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
