/* Queries by hand: what no model tells. Tokens, limits, what is hidden, histories, damage. */
#include "query_model.h"

#include "proto/base/clock.h"
#include "proto/base/wire.h"
#include "proto/store/kv_test.h"

#include <stdio.h>
#include <stdlib.h>

/* A shown record as the projection stores it (FORMAT.md 9.6), for tests that need many or odd ones. */
static void
put_shown(struct lt_kv_txn *txn, const char *unit, const char *key, Ltpb__FieldSet **f, size_t n)
{
	Ltpb__Record r = LTPB__RECORD__INIT;
	struct lt_buf rk = { 0 }, packed = { 0 };

	r.collection = (char *)"item";
	r.unit = (char *)unit;
	r.key = (char *)key;
	r.field = f;
	r.n_field = n;
	lt_key_record(&rk, "item", unit, key);
	ok(lt_wire_pack(&r.base, LT_MESSAGE_MAX, &packed));
	ok(lt_kv_put(txn, LT_T_SHOWN, lt_buf_slice(&rk), lt_buf_slice(&packed)));
	lt_buf_fini(&rk);
	lt_buf_fini(&packed);
}

static bool
eye_everything(void *ctx, const struct lt_collection *c, const struct lt_field *f)
{
	(void)ctx;
	(void)c;
	(void)f;
	return true;
}

static int
list_page(struct asking *a, Ltpb__ListRequest *req, Ltpb__ListReply *reply)
{
	int rc;

	a->err.text[0] = '\0';
	rc = lt_query_list(&a->q, req, reply, &a->err);
	if (rc == LT_OK)
		req->page_token = reply->next_page_token;
	else
		assert_true(a->err.text[0] != '\0' || rc == LT_E_CORRUPT);
	return rc;
}

static void
tokens(void **state)
{
	static const uint8_t key1[32] = { 1 }, key2[32] = { 2 };
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT, other;
	Ltpb__HistoryRequest hist = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__HistoryReply hist_reply;
	ProtobufCBinaryData token;
	Ltpb__ListReply reply;
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, false);
	model_fill(&e, 5, 60);
	ask_begin(&a, &e);
	req.collection = (char *)"item";
	req.page_size = 7;
	ok(list_page(&a, &req, &reply));
	token = req.page_token;
	assert_true(token.len > 0);
	/* Every bit, every length. */
	for (i = 0; i < token.len * 8; i++) {
		token.data[i / 8] ^= (uint8_t)(1 << i % 8);
		req.page_token = token;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
		token.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 1; i < token.len; i++) {
		req.page_token.len = i;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	}
	/* Of another request; but a page may have another size. */
	other = req;
	other.page_token = token;
	other.descending = true;
	assert_int_equal(list_page(&a, &other, &reply), LT_E_INVALID);
	other = req;
	other.page_token = token;
	other.order_by = (char *)"n";
	assert_int_equal(list_page(&a, &other, &reply), LT_E_INVALID);
	other = req;
	other.page_token = token;
	other.page_size = 1000;
	ok(list_page(&a, &other, &reply));
	hist.collection = (char *)"item";
	hist.unit = (char *)reply.record[0]->unit;
	hist.key = reply.record[0]->key;
	hist.page_token = token;
	assert_int_equal(
	    lt_query_history(&a.q, &hist, NULL, NULL, &hist_reply, &a.err), LT_E_INVALID);
	/* With a key of its own a token outlives the process; with another it is none. */
	a.q.token_key = key1;
	req.page_token = token;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	req.page_token.len = 0;
	ok(list_page(&a, &req, &reply));
	a.q.token_key = key2;
	token = req.page_token;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	a.q.token_key = key1;
	req.page_token = token;
	ok(list_page(&a, &req, &reply));
	ask_end(&a);
	env_close(&e);
}

/* Between two pages rows come in before and behind; what was there is given once. */
static void
pages_stay_while_rows_come(void **state)
{
	static const char *const by[] = { "", "t", "m", "n", "x", "_key" };
	Ltpb__ListRequest req;
	Ltpb__ListReply reply;
	static char seen[4096][80];
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	uint8_t token[1024];
	size_t i, k, k2, n, round;
	char key[32];

	(void)state;
	for (round = 0; round < 24; round++) {
		env_open(&e, false);
		model_fill(&e, 900 + round, 60);
		ltpb__list_request__init(&req);
		req.collection = (char *)"item";
		req.page_size = 9;
		req.order_by = (char *)by[round % 6];
		req.descending = round / 6 % 2 == 1;
		for (n = 0, k = 0; k == 0 || req.page_token.len != 0; k++) {
			ask_begin(&a, &e);
			a.q.few = round < 12 ? 1 : 0;
			ok(lt_query_list(&a.q, &req, &reply, &a.err));
			for (i = 0; i < reply.n_record; i++)
				(void)snprintf(seen[n++], sizeof(seen[0]), "%s %s",
				    reply.record[i]->unit, reply.record[i]->key);
			if (reply.next_page_token.len > 0)
				memcpy(
				    token, reply.next_page_token.data, reply.next_page_token.len);
			req.page_token.data = token;
			req.page_token.len = reply.next_page_token.len;
			ask_end(&a);
			lt_arena_init(&arena, (size_t)1 << 20);
			ok(lt_kv_begin_write(e.kv, &txn));
			for (i = 0; i < 3; i++) {
				struct mvalue v;
				struct author author;
				struct feed feed;
				struct lt_draft d = { .collection = "item", .key = key };
				Ltpb__FieldSet *set[4];

				author_init(&author, (uint8_t)(50 + k));
				feed_init(&feed, &author, unit_code[i], LT_LANE_NORMAL, k);
				(void)snprintf(key, sizeof(key), "a/%d", (int)(2000 + k));
				d.set = set;
				for (k2 = T; k2 <= M; k2++) {
					model_value(k2, &v);
					set[d.nset++] = model_to_field(&arena, k2, &v);
				}
				model_project(txn, &feed, &d);
			}
			ok(lt_kv_commit(txn));
			lt_arena_fini(&arena);
			assert_true(k < 200);
		}
		for (i = 0; i < n; i++) {
			for (k = i + 1; k < n; k++)
				assert_string_not_equal(seen[i], seen[k]);
		}
		for (i = 0; i < model.n; i++) {
			char want[80];

			(void)snprintf(want, sizeof(want), "%s %s", unit_code[model.r[i].unit],
			    model.r[i].key);
			for (k = 0; k < n && strcmp(seen[k], want) != 0;)
				k++;
			assert_int_equal(k < n, model.r[i].alive);
		}
		env_close(&e);
	}
}

/* The same question with the fields packed: on the line nobody can tell. */
static void
same_packed(struct asking *a, const Ltpb__GetRequest *req, int rc, const Ltpb__GetReply *reply)
{
	struct lt_buf b = { 0 }, again = { 0 };
	struct lt_err err = { "" };
	Ltpb__GetReply packed;
	ProtobufCMessage *msg;

	a->q.packed = true;
	assert_int_equal(lt_query_get(&a->q, req, &packed, &err), rc);
	a->q.packed = false;
	if (rc == LT_OK) {
		assert_int_equal(packed.record->n_field, 0);
		assert_int_equal(lt_wire_pack(&packed.base, LT_MESSAGE_MAX, &b), LT_OK);
		assert_int_equal(lt_wire_unpack(&ltpb__get_reply__descriptor, lt_buf_slice(&b),
				     LT_MESSAGE_MAX, &a->arena, &msg, NULL),
		    LT_OK);
		lt_buf_clear(&b);
		assert_int_equal(lt_wire_pack(msg, LT_MESSAGE_MAX, &b), LT_OK);
		assert_int_equal(lt_wire_pack(&reply->base, LT_MESSAGE_MAX, &again), LT_OK);
		assert_int_equal(b.len, again.len);
		assert_memory_equal(b.data, again.data, b.len);
	}
	lt_buf_fini(&b);
	lt_buf_fini(&again);
}

static int
get(struct asking *a, const char *col, const char *unit, const char *key, const char *mask,
    Ltpb__GetReply *reply)
{
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	char *names[1] = { (char *)mask };
	int rc;

	req.collection = (char *)col;
	req.unit = (char *)unit;
	req.key = (char *)key;
	req.mask = names;
	req.n_mask = mask != NULL;
	rc = lt_query_get(&a->q, &req, reply, &a->err);
	same_packed(a, &req, rc, reply);
	return rc;
}

static void
get_one(void **state)
{
	Ltpb__GetReply reply;
	struct lt_kv_txn *txn;
	Ltpb__FieldSet *set[3];
	struct asking a;
	struct env e;
	char words[sizeof(struct lt_err)], no_words[sizeof(struct lt_err)], long_key[300];

	(void)state;
	memset(long_key, 'k', 299);
	long_key[299] = '\0';
	env_open(&e, false);
	ask_begin(&a, &e);
	set[0] = fs_text(&a.arena, "p", "a person");
	set[1] = fs_text(&a.arena, "t", "text");
	set[2] = fs_text(&a.arena, "zz_gone", "of an older catalogue");
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "a/1", set, 3);
	ok(lt_kv_commit(txn));
	ask_end(&a);
	ask_begin(&a, &e);
	ok(get(&a, "item", "16855", "a/1", NULL, &reply));
	assert_int_equal(reply.record->n_field, 5); /* code, no, p, t, unit_code */
	assert_string_equal(reply.record->field[0]->name, "code");
	assert_string_equal(reply.record->field[4]->value->text, "16855");
	assert_int_equal(reply.record->n_masked, 0);
	ok(get(&a, "item", "16855", "a/1", "t", &reply));
	assert_int_equal(reply.record->n_field, 1);
	assert_int_equal(reply.record->n_masked, 0);
	ok(get(&a, "item", "16855", "a/1", "*", &reply));
	assert_int_equal(reply.record->n_field, 5);
	assert_int_equal(get(&a, "item", "16855", "a/1", "none", &reply), LT_E_UNKNOWN);
	assert_int_equal(get(&a, "item", "16855", "a/1", "zz_gone", &reply), LT_E_UNKNOWN);
	assert_int_equal(get(&a, "item", "16855", "", NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "16855", long_key, NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "x", "a/1", NULL, &reply), LT_E_INVALID);
	assert_int_equal(get(&a, "item", "", "a/1", NULL, &reply), LT_E_INVALID);
	/* A field out of sight: named without asking, refused when asked for. */
	a.eyes.no_field[0][P] = true;
	ok(get(&a, "item", "16855", "a/1", NULL, &reply));
	assert_int_equal(reply.record->n_field, 4);
	assert_int_equal(reply.record->n_masked, 1);
	assert_string_equal(reply.record->masked[0], "p");
	/* One that is not set is named as well: that it is set is out of sight, too. */
	a.eyes.no_field[0][P] = false;
	a.eyes.no_field[0][N] = true;
	ok(get(&a, "item", "16855", "a/1", NULL, &reply));
	assert_int_equal(reply.record->n_field, 5);
	assert_int_equal(reply.record->n_masked, 1);
	assert_string_equal(reply.record->masked[0], "n");
	a.eyes.no_field[0][P] = true;
	a.eyes.no_field[0][N] = false;
	assert_int_equal(get(&a, "item", "16855", "a/1", "p", &reply), LT_E_DENIED);
	assert_int_equal(get(&a, "item", "16855", "a/2", "p", &reply), LT_E_DENIED);
	a.eyes.no_field[0][CODE] = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	a.eyes.no_field[0][CODE] = false;
	/* A unit out of sight and a record that is not there: the same words. */
	assert_int_equal(get(&a, "item", "16855", "a/2", NULL, &reply), LT_E_NOTFOUND);
	(void)snprintf(words, sizeof(words), "%s", a.err.text);
	a.eyes.no_unit[0] = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", "p", &reply), LT_E_NOTFOUND);
	assert_string_equal(words, a.err.text);
	/* A collection out of sight and one that is not there: likewise, but for the name. */
	a.eyes.nothing = true;
	assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	(void)snprintf(words, sizeof(words), "%s", a.err.text);
	assert_int_equal(get(&a, "zzzz", "16855", "a/1", NULL, &reply), LT_E_DENIED);
	(void)snprintf(no_words, sizeof(no_words), "%s", a.err.text);
	memcpy(strstr(words, "item"), "zzzz", 4);
	assert_string_equal(words, no_words);
	ask_end(&a);
	env_close(&e);
}

static void
pages_and_orders_that_are_wrong(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	ask_begin(&a, &e);
	req.collection = (char *)"item";
	req.page_size = 1000;
	ok(list_page(&a, &req, &reply));
	req.page_size = 1001;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	req.page_size = 0;
	req.order_by = (char *)"none";
	assert_int_equal(list_page(&a, &req, &reply), LT_E_UNKNOWN);
	req.order_by = (char *)"s";
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	ask_end(&a);
	env_close(&e);
}

static void
filters_that_are_wrong(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[17];
	Ltpb__Value *values[101];
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, false);
	ask_begin(&a, &e);
	for (i = 0; i < 17; i++)
		filters[i] = &filter;
	for (i = 0; i < 101; i++)
		values[i] = fs_int(&a.arena, "x", (int64_t)i)->value;
	filter.field = (char *)"n";
	filter.value = values;
	filter.n_value = 1;
	req.collection = (char *)"item";
	req.filter = filters;
	req.n_filter = 1;
	filter.op = LTPB__FILTER_OP__FILTER_OP_UNSPECIFIED;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.op = (Ltpb__FilterOp)77;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	filter.n_value = 0;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.n_value = 2;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_IN;
	filter.n_value = 100;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	filter.n_value = 101;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.op = LTPB__FILTER_OP__FILTER_OP_IS_NULL;
	filter.n_value = 1;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.n_value = 0;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	req.n_filter = 16;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	req.n_filter = 17;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	req.n_filter = 1;
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.n_value = 1;
	filter.field = (char *)"none";
	assert_int_equal(list_page(&a, &req, &reply), LT_E_UNKNOWN);
	filter.field = (char *)"d"; /* a number for a date */
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	ask_end(&a);
	env_close(&e);
}

/* Text is read as the field's type; and brought to NFC. */
static void
texts_in_filters_that_are_wrong(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value *values[1];
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	ask_begin(&a, &e);
	req.collection = (char *)"item";
	req.filter = filters;
	req.n_filter = 1;
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.value = values;
	filter.n_value = 1;
	filter.field = (char *)"d";
	values[0] = fs_text(&a.arena, "x", "2025-07-01")->value;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	values[0] = fs_text(&a.arena, "x", "01/07/2025")->value;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	filter.field = (char *)"t";
	values[0] = fs_text(&a.arena, "x", "e\xcc\x81")->value;
	assert_int_equal(list_page(&a, &req, &reply), LT_OK);
	values[0] = fs_text(&a.arena, "x", "\xff")->value;
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	values[0] = lt_arena_alloc(&a.arena, sizeof(Ltpb__Value));
	ltpb__value__init(values[0]);
	assert_int_equal(list_page(&a, &req, &reply), LT_E_INVALID);
	ask_end(&a);
	env_close(&e);
}

static void
groups_and_sums_that_are_wrong(void **state)
{
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	struct asking a;
	struct env e;
	char *names[9];
	size_t i;

	(void)state;
	env_open(&e, false);
	ask_begin(&a, &e);
	agg.collection = (char *)"item";
	for (i = 0; i < 9; i++)
		names[i] = (char *)"n";
	agg.group_by = agg.sum = names;
	agg.n_group_by = 4;
	agg.n_sum = 8;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	agg.n_group_by = 5;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	agg.n_group_by = 0;
	agg.n_sum = 9;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	agg.n_sum = 1;
	names[0] = (char *)"t";
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_INVALID);
	names[0] = (char *)"none";
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_UNKNOWN);
	ask_end(&a);
	env_close(&e);
}

/* Should who grants a field for the query as a whole be mistaken, the unit that hides it gives nothing. */
static void
a_unit_that_hides_a_field_gives_nothing(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__AggregateReply sums;
	Ltpb__ListReply reply;
	Ltpb__FieldSet *set[1];
	char *by[1] = { (char *)"q" };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	set[0] = fs_int(&arena, "q", 4);
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "a/1", set, 1);
	put_shown(txn, "16906", "a/1", set, 1);
	ok(lt_kv_commit(txn));
	ask_begin(&a, &e);
	a.eyes.no_field[0][Q] = true;
	a.sight.field_everywhere = eye_everything;
	req.collection = agg.collection = (char *)"item";
	filter.field = (char *)"q";
	filter.op = LTPB__FILTER_OP__FILTER_OP_NOT_NULL;
	req.filter = filters;
	req.n_filter = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 1);
	assert_string_equal(reply.record[0]->unit, "16906");
	req.n_filter = 0;
	req.order_by = (char *)"q";
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 1);
	agg.group_by = by;
	agg.n_group_by = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 1);
	assert_int_equal(sums.group[0]->count, 1);
	agg.n_group_by = 0;
	agg.sum = by;
	agg.n_sum = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 4);
	ask_end(&a);
	lt_arena_fini(&arena);
	env_close(&e);
}

/* Decomposed text in a filter finds what is stored composed. */
static void
text_is_found_in_any_form(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value *value;
	Ltpb__ListReply reply;
	struct lt_kv_txn *txn;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "%C3%A9/1", NULL, 0);
	put_shown(txn, "16855", "e/1", NULL, 0);
	ok(lt_kv_commit(txn));
	ask_begin(&a, &e);
	value = fs_text(&a.arena, "x", "e\xcc\x81")->value;
	req.collection = (char *)"item";
	filter.field = (char *)"code";
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	filter.value = &value;
	filter.n_value = 1;
	req.filter = filters;
	req.n_filter = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 1);
	assert_string_equal(reply.record[0]->key, "%C3%A9/1");
	ask_end(&a);
	env_close(&e);
}

struct clock {
	size_t calls, stop_at;
	int rc;
};

static int
tick(void *ctx)
{
	struct clock *c = ctx;

	return ++c->calls == c->stop_at ? c->rc : LT_OK;
}

/* A great table: deadline and cancel end a query in the middle, limits are said in words, pages fit a message. */
static void
limits(void **state)
{
	static const int ends[] = { LT_E_CANCELLED, LT_E_TIMEOUT };
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	Ltpb__ListReply reply;
	Ltpb__FieldSet *set[2];
	Ltpb__Filter filter = LTPB__FILTER__INIT, *filters[1] = { &filter };
	Ltpb__Value *value;
	char key[32], *by[1] = { (char *)"no" }, *sum[1] = { (char *)"n" };
	struct clock clock = { 0 };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	size_t i;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	set[0] = fs_int(&arena, "n", 2);
	set[1] = fs_text(&arena, "t", "x");
	ok(lt_kv_begin_write(e.kv, &txn));
	for (i = 1; i <= LT_SORT_MAX + 1; i++) {
		(void)snprintf(key, sizeof(key), "a/%zu", i);
		put_shown(txn, i <= LT_SORT_MAX ? "16855" : "16906", key, set, 2);
	}
	ok(lt_kv_commit(txn));
	ask_begin(&a, &e);
	a.q.tick = tick;
	a.q.tick_ctx = &clock;
	req.collection = agg.collection = (char *)"item";
	filter.field = (char *)"w";
	filter.op = LTPB__FILTER_OP__FILTER_OP_NOT_NULL;
	req.filter = agg.filter = filters;
	req.n_filter = agg.n_filter = 1;
	for (i = 0; i < 2; i++) {
		clock = (struct clock){ 0, 3, ends[i] };
		assert_int_equal(lt_query_list(&a.q, &req, &reply, &a.err), ends[i]);
		assert_int_equal(clock.calls, 3);
		clock = (struct clock){ 0, 3, ends[i] };
		req.order_by = (char *)"o";
		assert_int_equal(lt_query_list(&a.q, &req, &reply, &a.err), ends[i]);
		req.order_by = (char *)"";
		clock = (struct clock){ 0, 3, ends[i] };
		assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), ends[i]);
	}
	clock = (struct clock){ 0 };
	ok(lt_query_list(&a.q, &req, &reply, &a.err));
	assert_int_equal(clock.calls, (LT_SORT_MAX + 1) / 256);
	/* By an index: what it does not name (these rows were put past it) is not even looked at. */
	clock = (struct clock){ 0 };
	filter.field = (char *)"t";
	filter.op = LTPB__FILTER_OP__FILTER_OP_EQ;
	value = fs_text(&a.arena, "x", "x")->value;
	filter.value = &value;
	filter.n_value = 1;
	ok(lt_query_list(&a.q, &req, &reply, &a.err));
	assert_int_equal(reply.n_record, 0);
	assert_int_equal(clock.calls, 0);
	/* Sorting: the limit is that of the rows that match. */
	req.n_filter = 0;
	req.order_by = (char *)"o";
	assert_int_equal(list_page(&a, &req, &reply), LT_E_TOOBIG);
	req.unit = (char *[]){ (char *)"16855" };
	req.n_unit = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 100);
	/* Groups. */
	agg.n_filter = 0;
	agg.group_by = by;
	agg.n_group_by = 1;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	value = fs_text(&a.arena, "x", "a/1")->value;
	filter.field = (char *)"_key";
	filter.op = LTPB__FILTER_OP__FILTER_OP_PREFIX;
	filter.value = &value;
	filter.n_value = 1;
	agg.n_filter = 1;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	value->text = (char *)"a/10000";
	agg.sum = sum;
	agg.n_sum = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 3); /* 10000, 100000, 100001 */
	assert_true(sums.group[0]->group[0]->integer == 10000);
	assert_true(sums.group[2]->group[0]->integer == 100001);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 2);
	lt_arena_fini(&arena);
	ask_end(&a);
	env_close(&e);
}

/* Great records: a page ends where a message would, and goes on. */
static void
pages_fit_a_message(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__FieldSet *set[8];
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	char key[32], *text;
	size_t i, k, n, pages;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)4 << 20);
	text = lt_arena_alloc(&arena, 60001);
	memset(text, 'l', 60000);
	for (i = 0; i < 8; i++)
		set[i] = fs_text(&arena, "t", text);
	ok(lt_kv_begin_write(e.kv, &txn));
	for (i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "a/%zu", i + 1);
		put_shown(txn, "16855", key, set, i % 9);
	}
	ok(lt_kv_commit(txn));
	for (k = 0; k < 2; k++) {
		ltpb__list_request__init(&req);
		req.collection = (char *)"item";
		req.order_by = k == 0 ? (char *)"" : (char *)"o";
		for (n = 0, pages = 0; pages == 0 || req.page_token.len > 0; pages++) {
			if (pages == 0)
				ask_begin(&a, &e);
			ok(list_page(&a, &req, &reply));
			assert_true(reply.n_record > 0);
			assert_true(ltpb__list_reply__get_packed_size(&reply) <= LT_MESSAGE_MAX);
			n += reply.n_record;
			assert_true(pages < 40);
		}
		assert_int_equal(n, 40);
		assert_true(pages > 5);
		ask_end(&a);
	}
	lt_arena_fini(&arena);
	env_close(&e);
}

static void
sums_by_hand(void **state)
{
	Ltpb__AggregateRequest agg = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply sums;
	Ltpb__FieldSet *set[2];
	char *by[1] = { (char *)"e" }, *sum[2] = { (char *)"n", (char *)"m" };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	ok(lt_kv_begin_write(e.kv, &txn));
	set[0] = fs_int(&arena, "n", INT64_MAX);
	set[1] = fs_decimal(&arena, "m", 15, 1);
	put_shown(txn, "16855", "a/1", set, 2);
	set[0] = fs_int(&arena, "n", 1);
	set[1] = fs_decimal(&arena, "m", -25, 2);
	put_shown(txn, "16855", "a/2", set, 2);
	ok(lt_kv_commit(txn));
	ask_begin(&a, &e);
	agg.collection = (char *)"item";
	agg.sum = sum;
	agg.n_sum = 2;
	assert_int_equal(lt_query_aggregate(&a.q, &agg, &sums, &a.err), LT_E_TOOBIG);
	assert_non_null(strstr(a.err.text, "\"n\""));
	agg.sum = sum + 1;
	agg.n_sum = 1;
	agg.group_by = by;
	agg.n_group_by = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 1);
	assert_int_equal(sums.group[0]->group[0]->v_case, LTPB__VALUE__V__NOT_SET);
	assert_int_equal(sums.group[0]->count, 2);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 125);
	assert_int_equal(sums.group[0]->sum[0]->scale, 2);
	ask_end(&a);
	/* One that goes over and comes back stays exact. */
	ok(lt_kv_begin_write(e.kv, &txn));
	set[0] = fs_int(&arena, "n", -3);
	put_shown(txn, "16906", "a/3", set, 1);
	ok(lt_kv_commit(txn));
	ask_begin(&a, &e);
	agg.sum = sum;
	agg.n_group_by = 0;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_true(sums.group[0]->sum[0]->unscaled == INT64_MAX - 2);
	/* Nothing at all: one group with zeros. */
	agg.unit = (char *[]){ (char *)"99999" };
	agg.n_unit = 1;
	ok(lt_query_aggregate(&a.q, &agg, &sums, &a.err));
	assert_int_equal(sums.n_group, 1);
	assert_int_equal(sums.group[0]->count, 0);
	assert_int_equal(sums.group[0]->sum[0]->unscaled, 0);
	ask_end(&a);
	lt_arena_fini(&arena);
	env_close(&e);
}

/* Damage is told, never given: a bit of a record, a bit of an index entry; an entry without its record shows nothing. */
static void
damage(void **state)
{
	Ltpb__ListRequest req = LTPB__LIST_REQUEST__INIT;
	Ltpb__ListReply reply;
	Ltpb__GetReply one;
	Ltpb__FieldSet *set[1];
	struct lt_buf rk = { 0 };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct asking a;
	struct env e;
	struct lt_slice entry;
	size_t bit, bits = 1;

	(void)state;
	env_open(&e, false);
	lt_arena_init(&arena, (size_t)1 << 20);
	set[0] = fs_text(&arena, "t", "text");
	lt_key_record(&rk, "item", "16855", "a/1");
	ok(lt_kv_begin_write(e.kv, &txn));
	put_shown(txn, "16855", "a/1", set, 1);
	entry = lt_slice("item\0t\0other\0"
			 "16855\0a/1",
	    22);
	ok(lt_kv_put(txn, LT_T_INDEX, entry, lt_slice(NULL, 0)));
	entry = lt_slice("item\0t\0text\0"
			 "16855\0a/9",
	    21);
	ok(lt_kv_put(txn, LT_T_INDEX, entry, lt_slice(NULL, 0)));
	ok(lt_kv_commit(txn));
	req.collection = (char *)"item";
	req.order_by = (char *)"t";
	ask_begin(&a, &e);
	a.q.few = 1;
	ok(list_page(&a, &req, &reply));
	assert_int_equal(reply.n_record, 0);
	ask_end(&a);
	for (bit = 0; bit < bits; bit++) {
		assert_int_equal(
		    lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), bit, NULL), LT_OK);
		(void)lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), (size_t)1 << 30, &bits);
		ask_begin(&a, &e);
		assert_int_equal(get(&a, "item", "16855", "a/1", NULL, &one), LT_E_CORRUPT);
		req.order_by = (char *)"";
		assert_int_equal(list_page(&a, &req, &reply), LT_E_CORRUPT);
		req.order_by = (char *)"t";
		a.q.few = 1;
		assert_int_equal(list_page(&a, &req, &reply), LT_E_CORRUPT);
		ask_end(&a);
		ok(lt_kv_test_flip(e.kv, LT_T_SHOWN, lt_buf_slice(&rk), bit, NULL));
	}
	assert_true(bits > 200);
	lt_buf_fini(&rk);
	lt_arena_fini(&arena);
	env_close(&e);
}

/* ---- history ---- */

static const char *
author_name(void *ctx, const struct lt_id *author)
{
	(void)ctx;
	return author->b[0] == 1 ? "one" : NULL;
}

struct told {
	struct env e;
	struct author author[2];
	struct feed feed[2];
	struct lt_arena arena;
	uint64_t position[4];
};

/* Author one puts, two puts and is refused, one clears and is clamped, one deletes. */
static void
tell(struct told *t)
{
	static Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT, *refusals[1] = { &refused };
	static char *cleared[1] = { (char *)"t" };
	struct lt_judgement no = { .nrefused = 1, .refused = refusals },
			    clamp = { .clamped = true, .ceiling = UINT64_MAX };
	uint64_t base = LT_STAMP(LT_BUILD_FLOOR_MS, 0), hour = LT_STAMP(3600000, 0);
	Ltpb__FieldSet *set[2], *personal[2];
	struct lt_projection_options o = { .catalogue = cat };
	struct lt_draft d[4] = { { .collection = "item", .key = "a/1" } };
	struct lt_merge_change mc = { 0 };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_kv_txn *txn;
	struct lt_buf b;
	uint8_t *copy;
	size_t i;

	memset(t, 0, sizeof(*t));
	env_open(&t->e, false);
	lt_arena_init(&t->arena, (size_t)64 << 20);
	for (i = 0; i < 2; i++) {
		author_init(&t->author[i], (uint8_t)(i + 1));
		feed_init(&t->feed[i], &t->author[i], "16855", LT_LANE_NORMAL, 1);
	}
	refused.seq = 1;
	refused.reason = LTPB__REASON_CODE__REASON_AUTHORITY;
	clamp.floor = base + 3 * hour;
	set[0] = fs_text(&t->arena, "t", "first");
	set[1] = fs_int(&t->arena, "n", 4);
	personal[0] = fs_text(&t->arena, "p", "a person");
	personal[1] = fs_text(&t->arena, "_actor", "account 7");
	d[1] = d[2] = d[3] = d[0];
	d[0].set = set;
	d[0].nset = 2;
	d[0].personal = personal;
	d[0].npersonal = 2;
	d[1].set = set + 1;
	d[1].nset = 1;
	d[2].cleared = cleared;
	d[2].ncleared = 1;
	d[3].is_delete = true;
	ok(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)));
	ok(lt_kv_begin_write(t->e.kv, &txn));
	o.log = o.derived = txn;
	ok(lt_projection_begin(&o, &p));
	for (i = 0; i < 4; i++) {
		/* The third says it is older than all; the verdict says otherwise. */
		static const uint64_t hours[4] = { 1, 2, 2, 4 };

		memset(&b, 0, sizeof(b));
		feed_seal(
		    &t->feed[i == 1], base + hours[i] * hour + (i == 2 ? 1 : 0), &d[i], 1, &b);
		copy = lt_arena_dup(&t->arena, b.data, b.len);
		world_append(txn, lt_slice(copy, b.len), &t->arena, &cs, &t->position[i]);
		lt_buf_fini(&b);
		refused.seq = cs.seq;
		ok(lt_feed_log_judge(txn, &cs.unit, &cs.feed, cs.seq, t->position[i],
		    i == 2 ? clamp.floor : cs.stamp,
		    i == 1   ? &no
		    : i == 2 ? &clamp
			     : &(struct lt_judgement){ 0 }));
		mc.dot = (struct lt_dot){ cs.feed, cs.seq, 0 };
		mc.stamp = i == 2 ? clamp.floor : cs.stamp;
		mc.hash8 = lt_load_u64(cs.hash.b);
		mc.change = &cs.change[0];
		ok(i == 1 ? lt_projection_note(p, &cs.unit, &mc, t->position[i])
			  : lt_projection_add(p, &cs.unit, &mc, t->position[i]));
	}
	ok(lt_projection_flush(p, NULL, NULL));
	ok(lt_kv_commit(txn));
}

static int
history(struct asking *a, const char *key, uint32_t size, Ltpb__HistoryReply *reply)
{
	Ltpb__HistoryRequest req = LTPB__HISTORY_REQUEST__INIT;

	req.collection = (char *)"item";
	req.unit = (char *)"16855";
	req.key = (char *)key;
	req.page_size = size;
	req.page_token = reply->next_page_token;
	return lt_query_history(&a->q, &req, author_name, NULL, reply, &a->err);
}

static void
histories(void **state)
{
	Ltpb__HistoryReply reply = LTPB__HISTORY_REPLY__INIT;
	Ltpb__HistoryEntry *h;
	struct clock clock = { 0, 1, LT_E_CANCELLED };
	struct told t;
	struct asking a;
	uint64_t seqs[4];
	size_t i;

	(void)state;
	tell(&t);
	ask_begin(&a, &t.e);
	ok(history(&a, "a/1", 0, &reply));
	assert_int_equal(reply.n_entry, 4);
	assert_int_equal(reply.next_page_token.len, 0);
	h = reply.entry[0];
	assert_string_equal(h->author, "one");
	assert_int_equal(h->kind, LTPB__CHANGE_KIND__CHANGE_KIND_PUT);
	assert_true(h->time_ms == LT_BUILD_FLOOR_MS + 3600000);
	assert_int_equal(h->n_field, 4); /* _actor n p t */
	assert_string_equal(h->field[0]->value->text, "account 7");
	assert_string_equal(h->field[2]->value->text, "a person");
	assert_int_equal(h->n_masked, 0);
	assert_int_equal(h->refused, 0);
	assert_int_equal(h->feed.len, LT_FEED_LEN);
	assert_int_equal(h->hash.len, LT_HASH_LEN);
	h = reply.entry[1];
	assert_string_equal(h->author, "02020202020202020202020202020202");
	assert_int_equal(h->refused, LTPB__REASON_CODE__REASON_AUTHORITY);
	h = reply.entry[2];
	assert_true(h->time_ms == LT_BUILD_FLOOR_MS + INT64_C(3) * 3600000);
	assert_int_equal(h->n_cleared, 1);
	assert_string_equal(h->cleared[0], "t");
	assert_memory_equal(reply.entry[3]->hash.data, t.feed[0].hash.b, LT_HASH_LEN);
	assert_int_equal(reply.entry[3]->kind, LTPB__CHANGE_KIND__CHANGE_KIND_DELETE);
	/* One by one, the same. */
	for (i = 0; i < 4; i++)
		seqs[i] = reply.entry[i]->seq;
	reply.next_page_token.len = 0;
	for (i = 0; i < 4; i++) {
		ok(history(&a, "a/1", 1, &reply));
		assert_int_equal(reply.n_entry, 1);
		assert_int_equal(reply.entry[0]->seq, seqs[i]);
		assert_int_equal(reply.next_page_token.len != 0, i < 3);
	}
	/* What is out of sight is named. */
	a.eyes.no_field[0][P] = a.eyes.no_field[0][T] = true;
	ok(history(&a, "a/1", 0, &reply));
	assert_int_equal(reply.entry[0]->n_field, 2);
	assert_int_equal(reply.entry[0]->n_masked, 2);
	assert_string_equal(reply.entry[0]->masked[0], "p");
	assert_int_equal(reply.entry[2]->n_cleared, 0);
	assert_int_equal(reply.entry[2]->n_masked, 2); /* touched or not */
	assert_string_equal(reply.entry[2]->masked[1], "t");
	assert_int_equal(reply.entry[3]->n_masked, 0); /* a delete */
	assert_int_equal(history(&a, "a/2", 0, &reply), LT_E_NOTFOUND);
	reply.next_page_token.len = 0;
	a.eyes.no_unit[0] = true;
	assert_int_equal(history(&a, "a/1", 0, &reply), LT_E_NOTFOUND);
	a.eyes.nothing = true;
	assert_int_equal(history(&a, "a/1", 0, &reply), LT_E_DENIED);
	memset(&a.eyes, 0, sizeof(a.eyes));
	assert_int_equal(history(&a, "a/1", 1001, &reply), LT_E_INVALID);
	a.q.tick = tick;
	a.q.tick_ctx = &clock;
	ok(history(&a, "a/1", 0, &reply)); /* too short to be asked */
	ask_end(&a);
	lt_arena_fini(&t.arena);
	env_close(&t.e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_one),
		cmocka_unit_test(pages_and_orders_that_are_wrong),
		cmocka_unit_test(filters_that_are_wrong),
		cmocka_unit_test(texts_in_filters_that_are_wrong),
		cmocka_unit_test(groups_and_sums_that_are_wrong),
		cmocka_unit_test(text_is_found_in_any_form),
		cmocka_unit_test(a_unit_that_hides_a_field_gives_nothing),
		cmocka_unit_test(sums_by_hand),
		cmocka_unit_test(histories),
		cmocka_unit_test(tokens),
		cmocka_unit_test(damage),
		cmocka_unit_test(pages_stay_while_rows_come),
		cmocka_unit_test(pages_fit_a_message),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, query_load, query_unload);
}
