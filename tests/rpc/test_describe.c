/* Descriptors told over the line, and made again of what was told: nothing is lost, and nothing that does not hold together is
 * made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/rpc/describe.h"
#include "proto/rpc/json.h"
#include "proto/rpc/methods.h"

#include "kinds.pb-c.h"

#define ARENA ((size_t)64 << 20)

static const struct lt_described own = { .services = NULL };

static struct lt_described
everything(void)
{
	struct lt_described w = own;

	w.services = lt_services;
	w.nservices = lt_nservices;
	w.methods = lt_methods;
	w.nmethods = lt_nmethods;
	return w;
}

/* As it comes over the line. */
static Ltpb__DescribeReply *
told(struct lt_arena *arena, Ltpb__DescribeReply *r)
{
	struct lt_buf wire = { 0 };
	ProtobufCMessage *m = NULL;

	assert_int_equal(lt_wire_pack(&r->base, LT_MESSAGE_MAX, &wire), LT_OK);
	assert_int_equal(lt_wire_unpack(&ltpb__describe_reply__descriptor, lt_buf_slice(&wire),
			     LT_MESSAGE_MAX, arena, &m, NULL),
	    LT_OK);
	lt_buf_fini(&wire);
	return (Ltpb__DescribeReply *)m;
}

static void
same_message(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b)
{
	const ProtobufCFieldDescriptor *f, *g;
	unsigned i;

	assert_string_equal(a->name, b->name);
	assert_int_equal(a->n_fields, b->n_fields);
	for (i = 0; i < a->n_fields; i++) {
		f = &a->fields[i];
		g = protobuf_c_message_descriptor_get_field(b, f->id);
		assert_ptr_equal(g, &b->fields[i]);
		assert_ptr_equal(protobuf_c_message_descriptor_get_field_by_name(b, f->name), g);
		assert_string_equal(f->name, g->name);
		assert_int_equal(f->type, g->type);
		assert_int_equal(f->label, g->label);
		assert_int_equal(
		    f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF, g->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
	}
	assert_null(protobuf_c_message_descriptor_get_field(b, 0));
	assert_null(protobuf_c_message_descriptor_get_field(b, 536870911));
}

static const ProtobufCMessageDescriptor *
find(const struct lt_schema *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nmessages; i++)
		if (strcmp(s->messages[i]->name, name) == 0)
			return s->messages[i];
	fail_msg("%s is not described", name);
	return NULL;
}

static void
test_whole_schema(void **state)
{
	struct lt_described w = everything();
	Ltpb__DescribeReply r;
	struct lt_schema s;
	struct lt_arena arena;
	struct lt_err err;
	size_t i;
	unsigned k;

	(void)state;
	for (i = 0; i < lt_nservices; i++) {
		const ProtobufCServiceDescriptor *d = lt_services[i];

		lt_arena_init(&arena, ARENA);
		assert_int_equal(lt_describe(&w, d->name, &arena, &r), LT_OK);
		if (lt_schema_build(told(&arena, &r), &arena, &s, &err) != LT_OK)
			fail_msg("%s", err.text);
		assert_string_equal(s.service->name, d->name);
		assert_int_equal(s.service->n_methods, d->n_methods);
		for (k = 0; k < d->n_methods; k++) {
			const ProtobufCMethodDescriptor *m =
			    protobuf_c_service_descriptor_get_method_by_name(
				s.service, d->methods[k].name);

			assert_ptr_equal(m, &s.service->methods[k]);
			same_message(d->methods[k].input, m->input);
			same_message(d->methods[k].output, m->output);
		}
		lt_arena_fini(&arena);
	}
}

/* A service over the message with every kind of field. */
static const ProtobufCMethodDescriptor kinds_method[] = { { "Say", &lttest__kinds__descriptor,
    &lttest__nest__descriptor } };
static const unsigned kinds_order[] = { 0 };
static const ProtobufCServiceDescriptor kinds_service = { PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
	"lttest.Kinder", "Kinder", "", "lttest", 1, kinds_method, kinds_order };
static const ProtobufCServiceDescriptor *const kinds_services[] = { &kinds_service };
static const struct lt_method kinds_methods[] = { { "/lttest.Kinder/Say", true, false, 5, 7, 3,
    LT_WORK_QUICK } };

static struct lt_described
kinds(void)
{
	struct lt_described w = own;

	w.services = kinds_services;
	w.nservices = 1;
	w.methods = kinds_methods;
	w.nmethods = 1;
	return w;
}

/* JSON by descriptors made at run time and by the generated ones: the same bytes, and back. */
static void
test_made_descriptors_work(void **state)
{
	static const char *const texts[] = { "{}",
		"{\"int32\":-1,\"sint32\":-2,\"sfixed32\":-3,\"uint32\":4,\"fixed32\":5,\"int64\":"
		"\"-6\","
		"\"sint64\":\"-7\",\"sfixed64\":\"-8\",\"uint64\":\"9\",\"fixed64\":\"10\","
		"\"narrow\":1.5,\"wide\":0.1,\"yes\":true,\"text\":\"a\",\"raw\":\"Zg==\","
		"\"colour\":\"BLUE\",\"nest\":{\"one\":{\"leaf\":3},\"many\":[{},{}]}}",
		"{\"manyInt32\":[1,2],\"manyUint64\":[\"1\",\"2\"],\"manyNarrow\":[0.5],"
		"\"manyWide\":["
		"\"NaN\"],\"manyYes\":[true,false],\"manyText\":[\"\",\"b\"],\"manyRaw\":[\"\","
		"\"Zg==\"],"
		"\"manyColour\":[\"RED\",\"COLOUR_NONE\"],\"manyNest\":[{\"leaf\":1}],"
		"\"manySint64\":["
		"\"-1\"],\"manyFixed32\":[7]}",
		"{\"oneText\":\"\"}", "{\"oneRaw\":\"\"}", "{\"oneUint64\":\"0\"}",
		"{\"oneWide\":2.5}", "{\"oneYes\":false}", "{\"oneColour\":\"COLOUR_NONE\"}",
		"{\"oneNest\":{\"leaf\":1}}",
		"{\"aB\":1,\"with2Digits\":2,\"UpperCase\":3,\"trailing\":4}" };
	struct lt_described w = kinds();
	const ProtobufCMessageDescriptor *d;
	struct lt_buf made = { 0 }, known = { 0 }, out = { 0 };
	ProtobufCMessage *m;
	Ltpb__DescribeReply r;
	struct lt_json_err jerr;
	struct lt_schema s;
	struct lt_arena arena;
	size_t i;

	(void)state;
	lt_arena_init(&arena, ARENA);
	assert_int_equal(lt_describe(&w, "/lttest.Kinder/Say", &arena, &r), LT_OK);
	assert_int_equal(lt_schema_build(told(&arena, &r), &arena, &s, NULL), LT_OK);
	assert_true(s.methods[0].server_streaming && !s.methods[0].idempotent);
	assert_int_equal(s.methods[0].deadline_ms, 5);
	assert_int_equal(s.methods[0].deadline_max_ms, 7);
	d = find(&s, "lttest.Kinds");
	assert_ptr_equal(s.service->methods[0].input, d);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct lt_slice text = lt_slice_str(texts[i]);

		lt_buf_clear(&made);
		lt_buf_clear(&known);
		lt_buf_clear(&out);
		assert_int_equal(
		    lt_json_read(&lttest__kinds__descriptor, text, &arena, &m, &jerr), LT_OK);
		assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &known), LT_OK);
		if (lt_json_read(d, text, &arena, &m, &jerr) != LT_OK)
			fail_msg("%s", jerr.message);
		assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &made), LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&made), lt_buf_slice(&known)));
		assert_int_equal(
		    lt_wire_unpack(d, lt_buf_slice(&known), LT_MESSAGE_MAX, &arena, &m, NULL),
		    LT_OK);
		assert_int_equal(lt_json_write(m, &out), LT_OK);
		assert_true(lt_slice_eq(lt_buf_slice(&out), text));
		/* With the heap, too, as callers of protobuf-c do it. */
		m = protobuf_c_message_unpack(
		    d, NULL, known.len, known.len != 0 ? known.data : (const uint8_t *)"");
		assert_non_null(m);
		protobuf_c_message_free_unpacked(m, NULL);
	}
	assert_int_equal(
	    lt_json_read(d, lt_slice_str("{\"oneText\":\"\",\"oneYes\":true}"), &arena, &m, &jerr),
	    LT_E_INVALID);
	assert_int_equal(
	    lt_json_read(d, lt_slice_str("{\"colour\":7}"), &arena, &m, &jerr), LT_E_INVALID);
	lt_buf_fini(&made);
	lt_buf_fini(&known);
	lt_buf_fini(&out);
	lt_arena_fini(&arena);
}

static bool
not_that(void *ctx, const struct lt_method *m)
{
	return strcmp(m->name, ctx) != 0;
}

static void
test_sight(void **state)
{
	struct lt_described w = everything();
	Ltpb__ListServicesReply l;
	Ltpb__DescribeReply r;
	struct lt_arena arena;
	size_t i, n;

	(void)state;
	lt_arena_init(&arena, ARENA);
	assert_int_equal(lt_describe_services(&w, &arena, &l), LT_OK);
	for (n = 0, i = 0; i < l.n_service; i++)
		n += l.service[i]->n_method;
	assert_int_equal(l.n_service, lt_nservices);
	assert_int_equal(n, lt_nmethods);
	assert_int_equal(lt_describe(&w, "lienthong.v1.JoinReply", &arena, &r), LT_OK);
	assert_null(r.service);
	assert_string_equal(r.message[0]->name, "lienthong.v1.JoinReply");
	assert_int_equal(r.n_message, 2); /* and Certificate */
	assert_int_equal(r.n_enumeration, 1);
	/* The service has one method: without it there is no service, and no type of its own. */
	w.allowed = not_that;
	w.ctx = (void *)(uintptr_t) "/lienthong.v1.Enrol/Join";
	assert_int_equal(lt_describe_services(&w, &arena, &l), LT_OK);
	assert_int_equal(l.n_service, lt_nservices - 1);
	assert_int_equal(lt_describe(&w, "lienthong.v1.JoinReply", &arena, &r), LT_E_NOTFOUND);
	assert_int_equal(lt_describe(&w, "lienthong.v1.Enrol", &arena, &r), LT_E_NOTFOUND);
	assert_int_equal(lt_describe(&w, "/lienthong.v1.Enrol/Join", &arena, &r), LT_E_NOTFOUND);
	/* The certificate is reached by others. */
	assert_int_equal(lt_describe(&w, "lienthong.v1.Certificate", &arena, &r), LT_OK);
	lt_arena_fini(&arena);
}

/* ---- what does not hold together ---- */

typedef void spoil_fn(Ltpb__DescribeReply *r);

static Ltpb__MessageDescription *
nest(Ltpb__DescribeReply *r)
{
	size_t i;

	for (i = 0; i < r->n_message; i++)
		if (strcmp(r->message[i]->name, "lttest.Nest") == 0)
			return r->message[i];
	return NULL;
}

#define SPOIL(fn, how) \
	static void fn(Ltpb__DescribeReply *r) \
	{ \
		how; \
	}
SPOIL(leave_alone, (void)r)
SPOIL(no_field_name, nest(r)->field[0]->name = (char *)"")
SPOIL(bad_field_name, nest(r)->field[0]->name = (char *)"a\"b")
SPOIL(digit_first, nest(r)->field[0]->name = (char *)"1a")
SPOIL(dotted_field, nest(r)->field[0]->name = (char *)"a.b")
SPOIL(long_field_name,
    nest(r)->field[0]->name =
	(char *)"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
SPOIL(same_field_name, nest(r)->field[0]->name = nest(r)->field[1]->name)
SPOIL(same_json_name, nest(r)->field[0]->name = (char *)"m_any";
      nest(r)->field[1]->name = (char *)"mAny")
SPOIL(number_0, nest(r)->field[0]->number = 0)
SPOIL(number_twice, nest(r)->field[1]->number = nest(r)->field[0]->number)
SPOIL(number_falls, nest(r)->field[2]->number = 1)
SPOIL(number_large, nest(r)->field[2]->number = 536870912)
SPOIL(type_0, nest(r)->field[2]->type = LTPB__FIELD_TYPE__FIELD_TYPE_UNSPECIFIED)
SPOIL(type_group, nest(r)->field[2]->type = (Ltpb__FieldType)10)
SPOIL(type_unknown, nest(r)->field[2]->type = (Ltpb__FieldType)19)
SPOIL(type_missing, nest(r)->field[0]->type_name = (char *)"lttest.Nothing")
SPOIL(type_is_enum, nest(r)->field[0]->type_name = (char *)"lttest.Colour")
SPOIL(enum_is_message, nest(r)->field[0]->type = LTPB__FIELD_TYPE__FIELD_TYPE_ENUM)
SPOIL(scalar_with_type, nest(r)->field[2]->type_name = (char *)"lttest.Nest")
SPOIL(repeated_oneof, nest(r)->field[1]->oneof = 1)
SPOIL(message_twice, r->message[1]->name = r->message[0]->name)
SPOIL(message_name, r->message[1]->name = (char *)"lttest..Nest")
SPOIL(message_dot_last, r->message[1]->name = (char *)"lttest.")
SPOIL(enum_empty, r->enumeration[0]->n_value = 0)
SPOIL(enum_same_number, r->enumeration[0]->value[1]->number = r->enumeration[0]->value[0]->number)
SPOIL(enum_same_name, r->enumeration[0]->value[1]->name = r->enumeration[0]->value[0]->name)
SPOIL(enum_bad_name, r->enumeration[0]->value[1]->name = (char *)"\x1b[0m")
SPOIL(method_elsewhere, r->service->method[0]->name = (char *)"/lttest.Other/Say")
SPOIL(method_no_slash, r->service->method[0]->name = (char *)"lttest.Kinder/Say")
SPOIL(method_no_name, r->service->method[0]->name = (char *)"/lttest.Kinder/")
SPOIL(method_input, r->service->method[0]->input = (char *)"lttest.Nothing")
SPOIL(method_output, r->service->method[0]->output = (char *)"")
SPOIL(service_name, r->service->name = (char *)"")

static void
test_spoilt(void **state)
{
	static const struct {
		const char *descr;
		spoil_fn *spoil;
	} cases[] = {
#define CASE(fn) { #fn, fn }
		CASE(leave_alone), CASE(no_field_name), CASE(bad_field_name), CASE(digit_first),
		CASE(dotted_field), CASE(long_field_name), CASE(same_field_name),
		CASE(same_json_name), CASE(number_0), CASE(number_twice), CASE(number_falls),
		CASE(number_large), CASE(type_0), CASE(type_group), CASE(type_unknown),
		CASE(type_missing), CASE(type_is_enum), CASE(enum_is_message),
		CASE(scalar_with_type), CASE(repeated_oneof), CASE(message_twice),
		CASE(message_name), CASE(message_dot_last), CASE(enum_empty),
		CASE(enum_same_number), CASE(enum_same_name), CASE(enum_bad_name),
		CASE(method_elsewhere), CASE(method_no_slash), CASE(method_no_name),
		CASE(method_input), CASE(method_output), CASE(service_name)
	};
	struct lt_described w = kinds();
	Ltpb__DescribeReply r, *mine;
	struct lt_schema s;
	struct lt_arena arena;
	struct lt_err err;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lt_arena_init(&arena, ARENA);
		assert_int_equal(lt_describe(&w, "lttest.Kinder", &arena, &r), LT_OK);
		mine = told(&arena, &r);
		cases[i].spoil(mine);
		err.text[0] = '\0';
		rc = lt_schema_build(mine, &arena, &s, &err);
		if (rc != (i == 0 ? LT_OK : LT_E_INVALID) || (i != 0 && err.text[0] == '\0'))
			fail_msg("%s: %d %s", cases[i].descr, rc, err.text);
		lt_arena_fini(&arena);
	}
}

/* Whatever memory there is: made whole, or refused for that. */
static void
test_small_arena(void **state)
{
	struct lt_described w = kinds();
	struct lt_arena arena, small;
	Ltpb__DescribeReply r, *mine;
	struct lt_schema s;
	size_t cap;
	int rc = LT_E_NOMEM;

	(void)state;
	lt_arena_init(&arena, ARENA);
	assert_int_equal(lt_describe(&w, "lttest.Kinder", &arena, &r), LT_OK);
	mine = told(&arena, &r);
	for (cap = 0; rc != LT_OK && cap < ((size_t)1 << 20); cap += 64) {
		lt_arena_init(&small, cap);
		rc = lt_schema_build(mine, &small, &s, NULL);
		assert_true(rc == LT_OK || rc == LT_E_NOMEM);
		lt_arena_fini(&small);
		lt_arena_init(&small, cap);
		(void)lt_describe(&w, "lttest.Kinder", &small, &r);
		lt_arena_fini(&small);
	}
	assert_int_equal(rc, LT_OK);
	lt_arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_schema),
		cmocka_unit_test(test_made_descriptors_work),
		cmocka_unit_test(test_sight),
		cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_small_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
