/* What goes along with a call: both sides of every bound, at the server's door and at the client's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/rpc/head.h"
#include "tests/rpc/fixture.h"

#define PAIRS 20

/* A head with n pairs, the first of key_len and value_len bytes, and an id of id_len. */
struct sample {
	Ltpb__RequestHead m;
	Ltpb__Metadata pair[PAIRS], *pairs[PAIRS];
	char id[100], key[PAIRS][100], value[PAIRS][300];
};

static void
sample(struct sample *s, size_t n, size_t key_len, size_t value_len, size_t id_len)
{
	size_t i;

	memset(s, 0, sizeof(*s));
	ltpb__request_head__init(&s->m);
	memset(s->id, '~', id_len);
	s->m.request_id = s->id;
	s->m.method = (char *)"/lttest.Echo/Say";
	for (i = 0; i < n; i++) {
		ltpb__metadata__init(&s->pair[i]);
		(void)snprintf(s->key[i], sizeof(s->key[i]), "k%zu", i);
		(void)snprintf(s->value[i], sizeof(s->value[i]), "value %zu", i);
		s->pair[i].key = s->key[i];
		s->pair[i].value = s->value[i];
		s->pairs[i] = &s->pair[i];
	}
	memset(s->key[0], 0, sizeof(s->key[0]));
	memset(s->key[0], 'k', key_len);
	memset(s->value[0], 0, sizeof(s->value[0]));
	memset(s->value[0], 'v', value_len);
	s->m.n_metadata = n;
	s->m.metadata = s->pairs;
}

static const struct {
	const char *descr;
	size_t n, key_len, value_len, id_len;
	const char *reason; /* NULL: taken */
} bounds[] = {
	{ "nothing", 0, 0, 0, 0, NULL },
	{ "16 pairs", 16, 1, 0, 1, NULL },
	{ "17 pairs", 17, 1, 0, 1, "METADATA" },
	{ "key of 64", 1, 64, 0, 1, NULL },
	{ "key of 65", 1, 65, 0, 1, "METADATA" },
	{ "key of 0", 1, 0, 0, 1, "METADATA" },
	{ "value of 256", 1, 1, 256, 1, NULL },
	{ "value of 257", 1, 1, 257, 1, "METADATA" },
	{ "id of 64", 0, 0, 0, 64, NULL },
	{ "id of 65", 0, 0, 0, 65, "REQUEST_ID" },
};

static void
taken_within_bounds(void **state)
{
	struct sample s;
	struct lt_status st;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct lt_head h = { 0 };

		sample(&s, bounds[i].n, bounds[i].key_len, bounds[i].value_len, bounds[i].id_len);
		rc = lt_head_take(&h, &s.m, &st);
		print_message("%s\n", bounds[i].descr);
		assert_int_equal(rc == LT_OK, bounds[i].reason == NULL);
		if (rc != LT_OK) {
			assert_string_equal(st.reason, bounds[i].reason);
			assert_int_equal(st.code, LT_STATUS_INVALID_ARGUMENT);
			assert_null(h.metadata);
			continue;
		}
		assert_string_equal(h.request_id, s.id);
		if (bounds[i].n != 0)
			assert_string_equal(lt_head_metadata(&h, s.key[0]), s.value[0]);
		if (bounds[i].n == 16)
			assert_string_equal(lt_head_metadata(&h, "k15"), "value 15");
		assert_null(lt_head_metadata(&h, "k99"));
		lt_head_fini(&h);
		assert_null(lt_head_metadata(&h, "k15"));
	}
}

static void
letters(void **state)
{
	static const char *const good_ids[] = { "", "!", "~", "1a2b-3", "a\"b" };
	static const char *const bad_ids[] = { " ", "a b", "a\n", "\x7f", "mã", "\x1b[31m" };
	static const char *const good_keys[] = { "a", "z", "0", "9", "x-trace_id.v1" };
	static const char *const bad_keys[] = { "", "A", "a b", "mã", "a:", "`", "{", "/" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good_ids) / sizeof(good_ids[0]); i++)
		assert_true(lt_request_id_valid(good_ids[i]));
	for (i = 0; i < sizeof(bad_ids) / sizeof(bad_ids[0]); i++)
		assert_false(lt_request_id_valid(bad_ids[i]));
	for (i = 0; i < sizeof(good_keys) / sizeof(good_keys[0]); i++)
		assert_true(lt_metadata_valid(good_keys[i], "giá trị"));
	for (i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++)
		assert_false(lt_metadata_valid(bad_keys[i], ""));
}

/* The first of two counts; a key is not the beginning of another, and a value is no key. */
static void
which_value(void **state)
{
	struct lt_head h = { 0 };
	struct lt_status st;
	struct sample s;

	(void)state;
	sample(&s, 4, 1, 3, 0);
	(void)strcpy(s.key[0], "kk");
	(void)strcpy(s.key[1], "k");
	(void)strcpy(s.value[1], "other");
	(void)strcpy(s.key[2], "k");
	(void)strcpy(s.value[2], "");
	(void)strcpy(s.key[3], "other");
	(void)strcpy(s.value[3], "last");
	assert_int_equal(lt_head_take(&h, &s.m, &st), LT_OK);
	assert_string_equal(lt_head_metadata(&h, "kk"), "vvv");
	assert_string_equal(lt_head_metadata(&h, "k"), "other");
	assert_string_equal(lt_head_metadata(&h, "other"), "last");
	assert_null(lt_head_metadata(&h, "vvv"));
	assert_null(lt_head_metadata(&h, ""));
	lt_head_fini(&h);
}

static int
say(struct lt_conn *c, const struct lt_call_head *head, struct lt_status *st)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;

	return lt_conn_call_wait_with(
	    c, &lttest__echo__descriptor, "Say", head, &req.base, 10000, NULL, st);
}

static void
said(struct fx *fx, char *id, char *value)
{
	pthread_mutex_lock(&fx->mx);
	memcpy(id, fx->said_id, strlen(fx->said_id) + 1);
	memcpy(value, fx->said_metadata, strlen(fx->said_metadata) + 1);
	pthread_mutex_unlock(&fx->mx);
}

/* The handler sees what the caller gave; an id is made where none is given, another for each call. */
static void
reaches_the_handler(void **state)
{
	const struct lt_metadata pairs[] = { { "j", "1" }, { "k", "giá trị" } };
	const struct lt_call_head head = { .request_id = "mine-1",
		.metadata = pairs,
		.nmetadata = 2 },
				  empty = { .request_id = "" };
	char id[65], before[65], value[257];
	struct lt_status st;
	struct fx fx;
	struct lt_conn *c;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, true);
	assert_int_equal(say(c, &head, &st), LT_STATUS_OK);
	said(&fx, id, value);
	assert_string_equal(id, "mine-1");
	assert_string_equal(value, "giá trị");
	assert_int_equal(say(c, &empty, &st), LT_STATUS_OK);
	said(&fx, before, value);
	assert_string_equal(value, "(none)");
	assert_in_range(strlen(before), 1, LT_REQUEST_ID_MAX);
	assert_int_equal(say(c, NULL, &st), LT_STATUS_OK);
	said(&fx, id, value);
	assert_in_range(strlen(id), 1, LT_REQUEST_ID_MAX);
	assert_string_not_equal(id, before);
	lt_conn_close(c);
	fx_stop(&fx);
}

/* Nothing that the server would refuse is sent. */
static void
client_keeps_bounds(void **state)
{
	struct lt_metadata pairs[PAIRS];
	struct lt_call_head head = { .metadata = pairs };
	struct lt_status st;
	struct sample s;
	struct lt_conn *c;
	struct fx fx;
	size_t i, k;

	(void)state;
	fx_start(&fx, NULL);
	c = fx_dial(&fx, false);
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		sample(&s, bounds[i].n, bounds[i].key_len, bounds[i].value_len, bounds[i].id_len);
		head.request_id = s.id;
		head.nmetadata = bounds[i].n;
		for (k = 0; k < bounds[i].n; k++) {
			pairs[k].key = s.key[k];
			pairs[k].value = s.value[k];
		}
		(void)say(c, &head, &st);
		assert_string_equal(st.reason, bounds[i].reason == NULL ? "" : "NOT_SENT");
		assert_int_equal(
		    st.code, bounds[i].reason == NULL ? LT_STATUS_OK : LT_STATUS_INVALID_ARGUMENT);
	}
	assert_true(lt_conn_alive(c));
	lt_conn_close(c);
	fx_stop(&fx);
}

/* A peer that keeps no bounds is refused in words, call by call; the connection lives. */
static void
server_keeps_bounds(void **state)
{
	struct lt_buf bytes = { 0 };
	struct sample s;
	struct fx fx;
	struct raw r;
	size_t i;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, true);
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		uint32_t id = (uint32_t)(2 * i + 1);

		sample(&s, bounds[i].n, bounds[i].key_len, bounds[i].value_len, bounds[i].id_len);
		lt_buf_clear(&bytes);
		assert_int_equal(lt_wire_pack(&s.m.base, LT_FRAME_PAYLOAD_MAX, &bytes), LT_OK);
		assert_true(raw_send(&r, 1, 0, id, bytes.data, bytes.len));
		assert_true(raw_send(&r, 2, 3, id, "", 0));
		assert_int_equal(raw_end_of(&r, id),
		    bounds[i].reason == NULL ? LT_STATUS_OK : LT_STATUS_INVALID_ARGUMENT);
	}
	raw_close(&r);
	lt_buf_fini(&bytes);
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_within_bounds),
		cmocka_unit_test(letters),
		cmocka_unit_test(which_value),
		cmocka_unit_test(reaches_the_handler),
		cmocka_unit_test(client_keeps_bounds),
		cmocka_unit_test(server_keeps_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
