/* Questions from anybody: filters, orders, groups, masks and page tokens, over records of every type.
 *
 * Input: u8 method, u8 who asks (what is out of sight), request bytes. The mutator knows the schema and the names of fields. Must hold: how
 * rows are found never changes which (the planner is told that every index is narrow, and that none is); pages end to end are
 * the whole list; an aggregate counts what a list lists; nothing out of sight is in an answer; memory stays under the cap.
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/store/query_model.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_HERE 60
#define PAGES_MAX 80

static struct env env;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *words[64];
	size_t i, n = 0;

	(void)argc;
	(void)argv;
	fuzz_setup();
	(void)query_load(NULL);
	env_open(&env, false);
	model_fill(&env, 5, RECORDS_HERE);
	for (i = 0; i < FIELDS; i++)
		words[n++] = field[i].name;
	for (i = 0; i < UNITS; i++)
		words[n++] = unit_code[i];
	for (i = 0; i < 4; i++)
		words[n++] = codes[i];
	for (i = 0; i < 24; i++)
		words[n++] = model.r[i].key;
	words[n++] = "item";
	words[n++] = "red";
	words[n++] = "";
	fuzz_pb_words(words, n);
	return 0;
}

/* One bit each: two units, three fields in one unit, one field everywhere. */
static void
close_eyes(struct eyes *e, unsigned who)
{
	size_t u;

	e->no_unit[1] = (who & 1) != 0;
	e->no_unit[3] = (who & 2) != 0;
	e->no_field[0][T] = (who & 4) != 0;
	e->no_field[2][N] = (who & 8) != 0;
	e->no_field[2][CODE] = (who & 16) != 0;
	for (u = 0; u < UNITS; u++)
		e->no_field[u][P] = (who & 32) != 0;
	e->nothing = (who & 0xc0) == 0xc0;
}

static void
pack(const ProtobufCMessage *m, struct lt_buf *out)
{
	FUZZ_MUST(lt_wire_pack(m, SIZE_MAX, out) == LT_OK);
}

/* No record of a unit out of sight, no value of a field out of sight. */
static void
check_seen(const struct asking *a, const Ltpb__Record *r)
{
	size_t u = 0, i, f;

	while (u < UNITS && strcmp(unit_code[u], r->unit) != 0)
		u++;
	FUZZ_MUST(u < UNITS && !a->eyes.nothing && !a->eyes.no_unit[u]);
	for (i = 0; i < r->n_field; i++)
		for (f = 0; f < FIELDS; f++)
			FUZZ_MUST(!a->eyes.no_field[u][f] ||
				  strcmp(field[f].name, r->field[i]->name) != 0);
}

/* Another page must continue where this one ended: gathers the records, each packed. */
static int
list_all(struct asking *a, const Ltpb__ListRequest *req, uint32_t page_size, struct lt_buf *out,
    size_t *count)
{
	Ltpb__ListRequest r = *req;
	size_t pages, i;
	int rc = LT_OK;

	*count = 0;
	r.page_size = page_size;
	for (pages = 0; pages < PAGES_MAX; pages++) {
		Ltpb__ListReply reply = LTPB__LIST_REPLY__INIT;

		rc = lt_query_list(&a->q, &r, &reply, &a->err);
		if (rc != LT_OK)
			return rc;
		FUZZ_MUST(reply.n_record <= (page_size == 0 ? LT_PAGE_DEFAULT : page_size));
		for (i = 0; i < reply.n_record; i++) {
			check_seen(a, reply.record[i]);
			pack(&reply.record[i]->base, out);
		}
		*count += reply.n_record;
		if (reply.next_page_token.len == 0)
			return LT_OK;
		FUZZ_MUST(reply.n_record != 0);
		r.page_token = reply.next_page_token;
	}
	return LT_E_TOOBIG;
}

static void
same_list(struct asking *a, const Ltpb__ListRequest *req, size_t few, uint32_t page_size, int want,
    const struct lt_buf *all)
{
	struct lt_buf out = { 0 };
	size_t n;
	int rc;

	a->q.few = few;
	rc = list_all(a, req, page_size, &out, &n);
	FUZZ_MUST(rc == want);
	if (rc == LT_OK)
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&out), lt_buf_slice(all)));
	a->q.few = 0;
	lt_buf_fini(&out);
}

static void
list(struct asking *a, Ltpb__ListRequest *req)
{
	Ltpb__AggregateRequest sum = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__AggregateReply summed = LTPB__AGGREGATE_REPLY__INIT;
	Ltpb__ListReply reply = LTPB__LIST_REPLY__INIT;
	struct lt_buf all = { 0 };
	size_t n;
	int rc;

	/* As it came, with its token and page. */
	rc = lt_query_list(&a->q, req, &reply, &a->err);
	FUZZ_MUST(rc == LT_OK || a->err.text[0] != '\0');
	/* The rest asks from the start. */
	memset(&req->page_token, 0, sizeof(req->page_token));
	rc = list_all(a, req, LT_PAGE_MAX, &all, &n);
	same_list(a, req, 1, LT_PAGE_MAX, rc, &all);
	same_list(a, req, SIZE_MAX, LT_PAGE_MAX, rc, &all);
	same_list(a, req, 0, 7, rc, &all);
	if (rc == LT_OK) {
		sum.collection = req->collection;
		sum.unit = req->unit;
		sum.n_unit = req->n_unit;
		sum.filter = req->filter;
		sum.n_filter = req->n_filter;
		FUZZ_MUST(lt_query_aggregate(&a->q, &sum, &summed, &a->err) == LT_OK);
		FUZZ_MUST(summed.n_group == 1 && summed.group[0]->count == n);
	}
	lt_buf_fini(&all);
}

static void
aggregate(struct asking *a, const Ltpb__AggregateRequest *req)
{
	Ltpb__AggregateReply first = LTPB__AGGREGATE_REPLY__INIT,
			     second = LTPB__AGGREGATE_REPLY__INIT,
			     whole = LTPB__AGGREGATE_REPLY__INIT;
	Ltpb__AggregateRequest r = *req;
	struct lt_buf x = { 0 }, y = { 0 };
	uint64_t n = 0;
	size_t i;
	int rc;

	a->q.few = 1;
	rc = lt_query_aggregate(&a->q, req, &first, &a->err);
	a->q.few = SIZE_MAX;
	FUZZ_MUST(lt_query_aggregate(&a->q, req, &second, &a->err) == rc);
	FUZZ_MUST(rc == LT_OK || a->err.text[0] != '\0');
	if (rc == LT_OK) {
		pack(&first.base, &x);
		pack(&second.base, &y);
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&x), lt_buf_slice(&y)));
		r.n_group_by = r.n_sum = 0;
		FUZZ_MUST(lt_query_aggregate(&a->q, &r, &whole, &a->err) == LT_OK);
		for (i = 0; i < first.n_group; i++)
			n += first.group[i]->count;
		FUZZ_MUST(whole.n_group == 1 && whole.group[0]->count == n);
	}
	lt_buf_fini(&x);
	lt_buf_fini(&y);
}

static void
get(struct asking *a, const Ltpb__GetRequest *req)
{
	Ltpb__GetReply reply = LTPB__GET_REPLY__INIT;
	int rc = lt_query_get(&a->q, req, &reply, &a->err);

	FUZZ_MUST(rc == LT_OK || a->err.text[0] != '\0');
	if (rc == LT_OK)
		check_seen(a, reply.record);
}

static void
history(struct asking *a, Ltpb__HistoryRequest *req)
{
	Ltpb__HistoryReply reply = LTPB__HISTORY_REPLY__INIT;
	size_t pages, n = 0, whole = 0, size;

	(void)lt_query_history(&a->q, req, NULL, NULL, &reply, &a->err);
	memset(&req->page_token, 0, sizeof(req->page_token));
	for (size = 3; size <= LT_PAGE_MAX; size += LT_PAGE_MAX - 3) {
		req->page_size = (uint32_t)size;
		whole = n;
		n = 0;
		memset(&req->page_token, 0, sizeof(req->page_token));
		for (pages = 0; pages < PAGES_MAX; pages++) {
			ltpb__history_reply__init(&reply);
			if (lt_query_history(&a->q, req, NULL, NULL, &reply, &a->err) != LT_OK)
				return;
			n += reply.n_entry;
			if (reply.next_page_token.len == 0)
				break;
			req->page_token = reply.next_page_token;
		}
	}
	FUZZ_MUST(n == whole);
}

static const ProtobufCMessageDescriptor *
request_of(unsigned method)
{
	switch (method % 4) {
	case 0:
		return &ltpb__list_request__descriptor;
	case 1:
		return &ltpb__aggregate_request__descriptor;
	case 2:
		return &ltpb__get_request__descriptor;
	default:
		return &ltpb__history_request__descriptor;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct asking a;
	struct lt_arena arena;
	struct lt_err err = { "" };
	ProtobufCMessage *m;
	struct lt_slice rest;
	struct fuzz_in in;
	unsigned method, who;

	fuzz_reseed(9);
	fuzz_in_init(&in, data, size);
	method = fuzz_u8(&in);
	who = fuzz_u8(&in);
	rest = fuzz_rest(&in);
	fuzz_arena_init(&arena, rest.len);
	if (lt_wire_unpack(request_of(method), rest, LT_MESSAGE_MAX, &arena, &m, &err) == LT_OK) {
		ask_begin(&a, &env);
		close_eyes(&a.eyes, who);
		if (method % 4 == 0)
			list(&a, (Ltpb__ListRequest *)m);
		else if (method % 4 == 1)
			aggregate(&a, (const Ltpb__AggregateRequest *)m);
		else if (method % 4 == 2)
			get(&a, (const Ltpb__GetRequest *)m);
		else
			history(&a, (Ltpb__HistoryRequest *)m);
		FUZZ_MUST(a.arena.used <= a.arena.cap);
		ask_end(&a);
	}
	fuzz_arena_fini(&arena);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	if (size < 2 || max_size < size)
		return LLVMFuzzerMutate(data, size, max_size);
	if (fuzz_below(&rng, 8) == 0)
		data[1] = (uint8_t)fuzz_next(&rng);
	return 2 + fuzz_pb_mutate(request_of(data[0]), data + 2, size - 2, max_size - 2, &rng);
}
