/* Descriptors from descriptions that came over the line. */
#include "proto/rpc/describe.h"

#include "proto/base/limits.h"
#include "proto/rpc/json.h"

#include <string.h>

#define TYPES_MAX 1024
#define FIELDS_MAX 256 /* of a message; as the wire walker has it */
#define VALUES_MAX 1024 /* of an enumeration */
#define METHODS_MAX 256
#define FULL_NAME_MAX 200
#define NUMBER_MAX 536870911 /* of a field: 29 bits */

struct builder {
	const Ltpb__DescribeReply *r;
	struct lt_arena *arena;
	struct lt_err *err;
	ProtobufCMessageDescriptor *message; /* as r->message */
	ProtobufCEnumDescriptor *enumeration;
};

static int
no_memory(struct builder *b)
{
	return lt_err_set(b->err, LT_E_NOMEM, "no memory for the description of a method");
}

static int
bad(struct builder *b, const char *name, const char *what)
{
	return lt_err_set(b->err, LT_E_INVALID,
	    "the other side's description of \"%.100s\" does not hold together: %s", name, what);
}

/* Letters, digits, '_', and where dots may be '.' between such parts. */
static bool
is_name(const char *s, size_t max, bool dots)
{
	bool begin = true;
	size_t n;

	for (n = 0; s[n] != '\0' && n <= max; n++) {
		char c = s[n];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (c == '.' && dots && !begin) {
			begin = true;
			continue;
		}
		if (!letter && (begin || c < '0' || c > '9'))
			return false;
		begin = false;
	}
	return !begin && n <= max;
}

/* Order by name; false: two are the same. name of i: list + i * step. */
static bool
sort_names(unsigned *order, size_t n, const void *list, size_t step)
{
	size_t i, k;
	int cmp;

	for (i = 0; i < n; i++) {
		const char *name, *before;

		memcpy(&name, (const char *)list + i * step, sizeof(name));
		for (k = i; k > 0; k--) {
			memcpy(&before, (const char *)list + order[k - 1] * step, sizeof(before));
			cmp = strcmp(before, name);
			if (cmp == 0)
				return false;
			if (cmp < 0)
				break;
			order[k] = order[k - 1];
		}
		order[k] = (unsigned)i;
	}
	return true;
}

/* Runs of consecutive numbers, and the end of the last. number of i: list + i * step, rising. */
static ProtobufCIntRange *
ranges_of(struct lt_arena *arena, const void *list, size_t n, size_t step, unsigned *nrange)
{
	ProtobufCIntRange *r = lt_arena_alloc(arena, (n + 1) * sizeof(*r));
	int number, last = 0;
	size_t i;

	*nrange = 0;
	for (i = 0; r != NULL && i < n; i++) {
		memcpy(&number, (const char *)list + i * step, sizeof(number));
		if (i == 0 || number - 1 != last) {
			r[*nrange].start_value = number;
			r[(*nrange)++].orig_index = (unsigned)i;
		}
		last = number;
	}
	if (r != NULL)
		r[*nrange].orig_index = (unsigned)n;
	return r;
}

/* ---- enumerations ---- */

/* Rising by number, as lookups want them. */
static bool
sort_values(ProtobufCEnumValue *v, size_t n)
{
	size_t i, k;

	for (i = 1; i < n; i++) {
		ProtobufCEnumValue x = v[i];

		for (k = i; k > 0 && v[k - 1].value > x.value; k--)
			v[k] = v[k - 1];
		v[k] = x;
		if (k > 0 && v[k - 1].value == x.value)
			return false;
	}
	return true;
}

static int
build_enum(struct builder *b, const Ltpb__EnumDescription *e, ProtobufCEnumDescriptor *d)
{
	size_t n = e->n_value, i;
	ProtobufCEnumValue *v = lt_arena_alloc(b->arena, (n + 1) * sizeof(*v));
	ProtobufCEnumValueIndex *by_name = lt_arena_alloc(b->arena, (n + 1) * sizeof(*by_name));
	unsigned *order = lt_arena_alloc(b->arena, (n + 1) * sizeof(*order)), nrange;

	if (v == NULL || by_name == NULL || order == NULL)
		return no_memory(b);
	if (n == 0 || n > VALUES_MAX)
		return bad(b, e->name, "no values, or too many");
	for (i = 0; i < n; i++) {
		if (!is_name(e->value[i]->name, LT_NAME_MAX, false))
			return bad(b, e->name, "the name of a value");
		v[i] = (ProtobufCEnumValue){ e->value[i]->name, "", e->value[i]->number };
	}
	if (!sort_values(v, n) || !sort_names(order, n, v, sizeof(*v)))
		return bad(b, e->name, "a value stands twice");
	for (i = 0; i < n; i++)
		by_name[i] = (ProtobufCEnumValueIndex){ v[order[i]].name, order[i] };
	*d = (ProtobufCEnumDescriptor){
		.magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
		.name = e->name,
		.short_name = e->name,
		.c_name = "",
		.package_name = "",
		.n_values = (unsigned)n,
		.values = v,
		.n_value_names = (unsigned)n,
		.values_by_name = by_name,
	};
	d->value_ranges = ranges_of(b->arena, &v[0].value, n, sizeof(*v), &nrange);
	d->n_value_ranges = nrange;
	return d->value_ranges == NULL ? no_memory(b) : LT_OK;
}

/* ---- messages ---- */

static bool
type_of(Ltpb__FieldType number, ProtobufCType *type)
{
	static const struct {
		Ltpb__FieldType number;
		ProtobufCType type;
	} types[] = {
#define TYPE(x) { LTPB__FIELD_TYPE__FIELD_TYPE_##x, PROTOBUF_C_TYPE_##x }
		TYPE(DOUBLE), TYPE(FLOAT), TYPE(INT64), TYPE(UINT64), TYPE(INT32), TYPE(FIXED64),
		TYPE(FIXED32), TYPE(BOOL), TYPE(STRING), TYPE(MESSAGE), TYPE(BYTES), TYPE(UINT32),
		TYPE(ENUM), TYPE(SFIXED32), TYPE(SFIXED64), TYPE(SINT32), TYPE(SINT64)
#undef TYPE
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].number == number) {
			*type = types[i].type;
			return true;
		}
	return false;
}

static const ProtobufCMessageDescriptor *
find_message(const struct builder *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->r->n_message; i++)
		if (strcmp(b->r->message[i]->name, name) == 0)
			return &b->message[i];
	return NULL;
}

static const ProtobufCEnumDescriptor *
find_enum(const struct builder *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->r->n_enumeration; i++)
		if (strcmp(b->r->enumeration[i]->name, name) == 0)
			return &b->enumeration[i];
	return NULL;
}

/* Room in the message for n bytes, aligned for everything. */
static unsigned
take_room(ProtobufCMessageDescriptor *d, size_t n)
{
	size_t at = d->sizeof_message;

	d->sizeof_message += (n + 15) & ~(size_t)15;
	return (unsigned)at;
}

/* Of the group's first field; its own if it is that. */
static unsigned
case_offset(ProtobufCMessageDescriptor *d, const Ltpb__MessageDescription *m,
    const ProtobufCFieldDescriptor *f, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (m->field[i]->oneof == m->field[at]->oneof)
			return f[i].quantifier_offset;
	return take_room(d, sizeof(uint32_t));
}

/* As proto3 sends lists of them. */
static bool
is_packed(ProtobufCType type)
{
	return type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES &&
	       type != PROTOBUF_C_TYPE_MESSAGE;
}

static int
build_field(struct builder *b, const Ltpb__MessageDescription *m, size_t at,
    ProtobufCMessageDescriptor *d, ProtobufCFieldDescriptor *f)
{
	const Ltpb__FieldDescription *from = m->field[at];

	memset(&f[at], 0, sizeof(f[at]));
	f[at].name = from->name;
	f[at].id = from->number;
	f[at].label = from->repeated ? PROTOBUF_C_LABEL_REPEATED : PROTOBUF_C_LABEL_NONE;
	if (!is_name(from->name, LT_NAME_MAX, false))
		return bad(b, m->name, "the name of a field");
	if (from->number == 0 || from->number > NUMBER_MAX ||
	    (at != 0 && from->number <= m->field[at - 1]->number))
		return bad(b, m->name, "the number of a field");
	if (!type_of(from->type, &f[at].type) || (from->oneof != 0 && from->repeated))
		return bad(b, m->name, "the type of a field");
	if (f[at].type == PROTOBUF_C_TYPE_MESSAGE)
		f[at].descriptor = find_message(b, from->type_name);
	else if (f[at].type == PROTOBUF_C_TYPE_ENUM)
		f[at].descriptor = find_enum(b, from->type_name);
	else if (from->type_name[0] != '\0')
		return bad(b, m->name, "the type of a field");
	if ((f[at].type == PROTOBUF_C_TYPE_MESSAGE || f[at].type == PROTOBUF_C_TYPE_ENUM) &&
	    f[at].descriptor == NULL)
		return bad(b, m->name, "a type that is not described");
	if (from->repeated) {
		f[at].quantifier_offset = take_room(d, sizeof(size_t));
		f[at].flags = is_packed(f[at].type) ? PROTOBUF_C_FIELD_FLAG_PACKED : 0;
	}
	if (from->oneof != 0) {
		f[at].flags = PROTOBUF_C_FIELD_FLAG_ONEOF;
		f[at].quantifier_offset = case_offset(d, m, f, at);
	}
	/* protobuf-c puts the default there when it has no function for the type; no member of a oneof is there. */
	if (f[at].type == PROTOBUF_C_TYPE_STRING && !from->repeated && from->oneof == 0)
		f[at].default_value = &protobuf_c_empty_string;
	f[at].offset = take_room(d, sizeof(ProtobufCBinaryData));
	return LT_OK;
}

/* Names that differ in the .proto alone would be one member in JSON; protoc refuses them, too. */
static bool
json_names_differ(const ProtobufCFieldDescriptor *f, size_t n)
{
	char a[LT_NAME_MAX + 1], b[LT_NAME_MAX + 1];
	size_t i, k;

	for (i = 0; i < n; i++) {
		lt_json_name(a, sizeof(a), f[i].name);
		for (k = 0; k < i; k++) {
			lt_json_name(b, sizeof(b), f[k].name);
			if (strcmp(a, b) == 0)
				return false;
		}
	}
	return true;
}

static int
build_message(struct builder *b, const Ltpb__MessageDescription *m, ProtobufCMessageDescriptor *d)
{
	size_t n = m->n_field, i;
	ProtobufCFieldDescriptor *f = lt_arena_alloc(b->arena, (n + 1) * sizeof(*f));
	unsigned *order = lt_arena_alloc(b->arena, (n + 1) * sizeof(*order)), nrange;
	int rc;

	if (f == NULL || order == NULL)
		return no_memory(b);
	if (n > FIELDS_MAX)
		return bad(b, m->name, "too many fields");
	*d = (ProtobufCMessageDescriptor){
		.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
		.name = m->name,
		.short_name = m->name,
		.c_name = "",
		.package_name = "",
		.sizeof_message = (sizeof(ProtobufCMessage) + 15) & ~(size_t)15,
		.n_fields = (unsigned)n,
		.fields = f,
		.fields_sorted_by_name = order,
	};
	for (i = 0; i < n; i++) {
		rc = build_field(b, m, i, d, f);
		if (rc != LT_OK)
			return rc;
	}
	if (!sort_names(order, n, f, sizeof(*f)) || !json_names_differ(f, n))
		return bad(b, m->name, "a field stands twice");
	d->field_ranges = ranges_of(b->arena, &f[0].id, n, sizeof(*f), &nrange);
	d->n_field_ranges = nrange;
	return d->field_ranges == NULL ? no_memory(b) : LT_OK;
}

static int
build_types(struct builder *b)
{
	const Ltpb__DescribeReply *r = b->r;
	size_t i;
	int rc = LT_OK;

	if (r->n_message > TYPES_MAX || r->n_enumeration > TYPES_MAX)
		return bad(b, "", "too many types");
	b->message = lt_arena_alloc(b->arena, (r->n_message + 1) * sizeof(*b->message));
	b->enumeration = lt_arena_alloc(b->arena, (r->n_enumeration + 1) * sizeof(*b->enumeration));
	if (b->message == NULL || b->enumeration == NULL)
		return no_memory(b);
	for (i = 0; rc == LT_OK && i < r->n_enumeration; i++) {
		const char *name = r->enumeration[i]->name;

		if (!is_name(name, FULL_NAME_MAX, true) || find_enum(b, name) != &b->enumeration[i])
			return bad(b, name, "its name");
		rc = build_enum(b, r->enumeration[i], &b->enumeration[i]);
	}
	for (i = 0; rc == LT_OK && i < r->n_message; i++) {
		const char *name = r->message[i]->name;

		if (!is_name(name, FULL_NAME_MAX, true) || find_message(b, name) != &b->message[i])
			return bad(b, name, "its name");
		rc = build_message(b, r->message[i], &b->message[i]);
	}
	return rc;
}

/* ---- services ---- */

static int
build_method(struct builder *b, const Ltpb__ServiceDescription *s, const Ltpb__MethodDescription *m,
    ProtobufCMethodDescriptor *d, struct lt_method *row)
{
	size_t n = strlen(s->name);

	if (m->name[0] != '/' || strncmp(m->name + 1, s->name, n) != 0 || m->name[1 + n] != '/' ||
	    !is_name(m->name + n + 2, LT_NAME_MAX, false))
		return bad(b, s->name, "the name of a method");
	*d = (ProtobufCMethodDescriptor){ m->name + n + 2, find_message(b, m->input),
		find_message(b, m->output) };
	if (d->input == NULL || d->output == NULL)
		return bad(b, s->name, "a type that is not described");
	*row = (struct lt_method){
		.name = m->name,
		.server_streaming = m->server_streaming,
		.idempotent = m->idempotent,
		.deadline_ms = m->deadline_ms,
		.deadline_max_ms = m->deadline_max_ms,
	};
	return LT_OK;
}

static int
build_service(struct builder *b, struct lt_schema *out)
{
	const Ltpb__ServiceDescription *s = b->r->service;
	size_t n = s->n_method, i;
	ProtobufCServiceDescriptor *d = lt_arena_alloc(b->arena, sizeof(*d));
	ProtobufCMethodDescriptor *m = lt_arena_alloc(b->arena, (n + 1) * sizeof(*m));
	unsigned *order = lt_arena_alloc(b->arena, (n + 1) * sizeof(*order));
	int rc;

	out->methods = lt_arena_alloc(b->arena, (n + 1) * sizeof(*out->methods));
	if (d == NULL || m == NULL || order == NULL || out->methods == NULL)
		return no_memory(b);
	if (!is_name(s->name, FULL_NAME_MAX, true) || n > METHODS_MAX)
		return bad(b, s->name, "its name, or too many methods");
	for (i = 0; i < n; i++) {
		rc = build_method(b, s, s->method[i], &m[i], &out->methods[i]);
		if (rc != LT_OK)
			return rc;
	}
	if (!sort_names(order, n, m, sizeof(*m)))
		return bad(b, s->name, "a method stands twice");
	*d = (ProtobufCServiceDescriptor){
		.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
		.name = s->name,
		.short_name = s->name,
		.c_name = "",
		.package = "",
		.n_methods = (unsigned)n,
		.methods = m,
		.method_indices_by_name = order,
	};
	out->service = d;
	return LT_OK;
}

int
lt_schema_build(
    const Ltpb__DescribeReply *r, struct lt_arena *arena, struct lt_schema *out, struct lt_err *err)
{
	struct builder b = { r, arena, err, NULL, NULL };
	const ProtobufCMessageDescriptor **list;
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = build_types(&b);
	if (rc != LT_OK)
		return rc;
	list = lt_arena_alloc(arena, (r->n_message + 1) * sizeof(ProtobufCMessageDescriptor *));
	if (list == NULL)
		return no_memory(&b);
	for (i = 0; i < r->n_message; i++)
		list[i] = &b.message[i];
	out->messages = list;
	out->nmessages = r->n_message;
	return r->service != NULL ? build_service(&b, out) : LT_OK;
}
