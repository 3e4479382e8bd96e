/* rpc_newer DIR [old | COUNT] - a daemon with a service that no ltctl was built with, at the socket of a data directory; "old":
 * without Reflection; COUNT: it is gone at once after so many messages of a stream, and gave them as the part of a stream that can
 * be gone on with. Prints a line when it listens, ends with standard input. */
#include "proto/rpc/reflection.h"
#include "proto/rpc/rpc.h"

#include "kinds.pb-c.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct lt_method methods[] = {
	{ "/lttest.Kinder/Say", false, true, 10000, 60000, 3, LT_WORK_QUICK },
	{ "/lttest.Kinder/Repeat", true, true, 0, 0, 3, LT_WORK_QUICK },
	{ "/lttest.Kinder/Fail", false, false, 10000, 60000, 4, LT_WORK_QUICK },
	{ "/lienthong.v1.Reflection/ListServices", false, true, 10000, 60000, 0, LT_WORK_QUICK },
	{ "/lienthong.v1.Reflection/Describe", false, true, 10000, 60000, 0, LT_WORK_QUICK },
};

static void
kinder_say(
    Lttest__Kinder_Service *s, const Lttest__Kinds *req, Lttest__Kinds_Closure closure, void *data)
{
	(void)s;
	closure(req, data);
}

struct repeat {
	const Lttest__Kinds *what; /* valid until the call has ended */
	uint32_t from, sent;
	bool ended;
};

static unsigned die_after; /* 0: never */

static void
repeat_ready(struct lt_call *c, void *ctx)
{
	struct repeat *r = ctx;
	struct lt_status st = { 0 };

	while (r->sent < r->what->uint_32) {
		uint8_t behind[4];

		if (die_after != 0 && r->sent - r->from == die_after) {
			usleep(
			    50 *
			    1000); /* for what was sent to be written: it need not be, but then nothing is shown */
			_exit(0);
		}
		lt_store_u32(behind, r->sent + 1);
		if (lt_call_send_at(c, &r->what->base, lt_slice(behind, sizeof(behind))) != LT_OK)
			return;
		r->sent++;
	}
	if (!r->what->yes && !r->ended) {
		r->ended = true;
		lt_call_stream_end(c, &st);
	}
}

static void
kinder_repeat(
    Lttest__Kinder_Service *s, const Lttest__Kinds *req, Lttest__Kinds_Closure closure, void *data)
{
	static const struct lt_stream_ops ops = { repeat_ready, free };
	struct repeat *r = calloc(1, sizeof(*r));

	(void)s;
	(void)closure;
	if (r == NULL)
		abort();
	r->what = req;
	if (lt_call_resume_at(lt_call_of(data)).len == 4)
		r->from = r->sent = lt_load_u32(lt_call_resume_at(lt_call_of(data)).data);
	lt_call_stream(lt_call_of(data), &ops, r);
}

static void
kinder_fail(
    Lttest__Kinder_Service *s, const Lttest__Nest *req, Lttest__Nest_Closure closure, void *data)
{
	struct lt_status st;

	(void)s;
	(void)closure;
	lt_status_set_both(&st, (enum lt_status_code)req->leaf, "KINDER", "the leaf is %u",
	    "cái lá là %u", (unsigned)req->leaf);
	st.retry_delay_ms = 1500;
	(void)snprintf(st.field, sizeof(st.field), "nest.leaf");
	(void)snprintf(st.rule, sizeof(st.rule), "LEAF");
	lt_call_fail(lt_call_of(data), &st);
}

static const uint8_t secret[32] = { 7 }; /* the same of each that takes the place of another */

static Lttest__Kinder_Service kinder = LTTEST__KINDER__INIT(kinder_);

int
main(int argc, char **argv)
{
	struct lt_server_options o = { .clock = lt_clock_system(),
		.resume_secret = secret,
		.methods = methods,
		.nmethods = sizeof(methods) / sizeof(methods[0]) };
	struct lt_server *s = NULL;
	struct lt_err err = { "" };
	char url[300];
	int rc;

	if (sodium_init() < 0 || argc < 2)
		return 2;
	(void)snprintf(url, sizeof(url), "ipc://%s/sock", argv[1]);
	rc = lt_pool_start(2, 16, &o.pool);
	if (rc != LT_OK)
		return 1;
	rc = lt_server_new(&o, &s, &err);
	if (rc == LT_OK)
		rc = lt_server_add(s, &kinder.base, &err);
	if (argc > 2)
		die_after = (unsigned)strtoul(argv[2], NULL, 10);
	if (rc == LT_OK && (argc == 2 || die_after != 0))
		rc = lt_server_add(s, lt_reflection_service(), &err);
	if (rc == LT_OK)
		rc = lt_server_listen(s, url, &err);
	if (rc == LT_OK) {
		printf("ready\n");
		(void)fflush(stdout);
		while (getchar() != EOF)
			;
	} else {
		(void)fprintf(stderr, "%s\n", err.text);
	}
	lt_server_stop(s, 1000);
	lt_pool_stop(o.pool);
	return rc == LT_OK ? 0 : 1;
}
