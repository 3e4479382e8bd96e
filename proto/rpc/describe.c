#include "proto/rpc/describe.h"
#include "proto/store/access.h"

#include <stdio.h>
#include <string.h>

#define TYPES_MAX 512 /* that a schema of ours may reach */

/* Types in the order in which they were met. */
struct reached {
	const ProtobufCMessageDescriptor *message[TYPES_MAX];
	const ProtobufCEnumDescriptor *enumeration[TYPES_MAX];
	size_t nmessage, nenumeration, looked_into;
	bool full;
};

static const char *
verb_word(unsigned verb)
{
	switch (verb) {
	case LT_VERB_NONE:
		return "any";
	case LT_VERB_JOIN:
		return "join";
	case LT_VERB_SYNC:
		return "sync";
	case LT_VERB_READ:
		return "read";
	case LT_VERB_WRITE:
		return "write";
	case LT_VERB_INSPECT:
		return "inspect";
	case LT_VERB_ENROL:
		return "enrol";
	case LT_VERB_ERASE:
		return "erase";
	case LT_VERB_PULL:
		return "pull";
	case LT_VERB_OPEN:
		return "open";
	default:
		return "";
	}
}

/* The row of a method in sight. */
static const struct lt_method *
row_of(const struct lt_described *w, const ProtobufCServiceDescriptor *s, unsigned index)
{
	size_t n = strlen(s->name), i;

	for (i = 0; i < w->nmethods; i++) {
		const char *name = w->methods[i].name;

		if (name[0] == '/' && strncmp(name + 1, s->name, n) == 0 && name[1 + n] == '/' &&
		    strcmp(name + n + 2, s->methods[index].name) == 0)
			return w->allowed == NULL || w->allowed(w->ctx, &w->methods[i])
				   ? &w->methods[i]
				   : NULL;
	}
	return NULL;
}

/* ---- types ---- */

static void
reach_message(struct reached *r, const ProtobufCMessageDescriptor *d)
{
	size_t i;

	for (i = 0; i < r->nmessage; i++)
		if (r->message[i] == d)
			return;
	if (r->nmessage == TYPES_MAX)
		r->full = true;
	else
		r->message[r->nmessage++] = d;
}

static void
reach_enum(struct reached *r, const ProtobufCEnumDescriptor *d)
{
	size_t i;

	for (i = 0; i < r->nenumeration; i++)
		if (r->enumeration[i] == d)
			return;
	if (r->nenumeration == TYPES_MAX)
		r->full = true;
	else
		r->enumeration[r->nenumeration++] = d;
}

/* All that the messages met so far reach. */
static void
reach_all(struct reached *r)
{
	const ProtobufCMessageDescriptor *d;
	unsigned i;

	for (; r->looked_into < r->nmessage; r->looked_into++) {
		d = r->message[r->looked_into];
		for (i = 0; i < d->n_fields; i++)
			if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
				reach_message(r, d->fields[i].descriptor);
			else if (d->fields[i].type == PROTOBUF_C_TYPE_ENUM)
				reach_enum(r, d->fields[i].descriptor);
	}
}

static Ltpb__FieldType
type_number(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_DOUBLE:
		return LTPB__FIELD_TYPE__FIELD_TYPE_DOUBLE;
	case PROTOBUF_C_TYPE_FLOAT:
		return LTPB__FIELD_TYPE__FIELD_TYPE_FLOAT;
	case PROTOBUF_C_TYPE_INT64:
		return LTPB__FIELD_TYPE__FIELD_TYPE_INT64;
	case PROTOBUF_C_TYPE_UINT64:
		return LTPB__FIELD_TYPE__FIELD_TYPE_UINT64;
	case PROTOBUF_C_TYPE_INT32:
		return LTPB__FIELD_TYPE__FIELD_TYPE_INT32;
	case PROTOBUF_C_TYPE_FIXED64:
		return LTPB__FIELD_TYPE__FIELD_TYPE_FIXED64;
	case PROTOBUF_C_TYPE_FIXED32:
		return LTPB__FIELD_TYPE__FIELD_TYPE_FIXED32;
	case PROTOBUF_C_TYPE_BOOL:
		return LTPB__FIELD_TYPE__FIELD_TYPE_BOOL;
	case PROTOBUF_C_TYPE_STRING:
		return LTPB__FIELD_TYPE__FIELD_TYPE_STRING;
	case PROTOBUF_C_TYPE_MESSAGE:
		return LTPB__FIELD_TYPE__FIELD_TYPE_MESSAGE;
	case PROTOBUF_C_TYPE_BYTES:
		return LTPB__FIELD_TYPE__FIELD_TYPE_BYTES;
	case PROTOBUF_C_TYPE_UINT32:
		return LTPB__FIELD_TYPE__FIELD_TYPE_UINT32;
	case PROTOBUF_C_TYPE_ENUM:
		return LTPB__FIELD_TYPE__FIELD_TYPE_ENUM;
	case PROTOBUF_C_TYPE_SFIXED32:
		return LTPB__FIELD_TYPE__FIELD_TYPE_SFIXED32;
	case PROTOBUF_C_TYPE_SFIXED64:
		return LTPB__FIELD_TYPE__FIELD_TYPE_SFIXED64;
	case PROTOBUF_C_TYPE_SINT32:
		return LTPB__FIELD_TYPE__FIELD_TYPE_SINT32;
	case PROTOBUF_C_TYPE_SINT64:
		return LTPB__FIELD_TYPE__FIELD_TYPE_SINT64;
	}
	return LTPB__FIELD_TYPE__FIELD_TYPE_UNSPECIFIED;
}

/* Groups are numbered by their first field. */
static uint32_t
oneof_number(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
	unsigned i;

	if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
		return 0;
	for (i = 0; i < d->n_fields; i++)
		if ((d->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
		    d->fields[i].quantifier_offset == f->quantifier_offset)
			break;
	return i + 1;
}

static void
describe_field(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f,
    Ltpb__FieldDescription *out)
{
	ltpb__field_description__init(out);
	out->name = (char *)f->name;
	out->number = f->id;
	out->type = type_number(f->type);
	out->repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
	out->oneof = oneof_number(d, f);
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		out->type_name = (char *)((const ProtobufCMessageDescriptor *)f->descriptor)->name;
	else if (f->type == PROTOBUF_C_TYPE_ENUM)
		out->type_name = (char *)((const ProtobufCEnumDescriptor *)f->descriptor)->name;
}

static Ltpb__MessageDescription *
describe_message(struct lt_arena *arena, const ProtobufCMessageDescriptor *d)
{
	Ltpb__MessageDescription *out = lt_arena_alloc(arena, sizeof(*out));
	Ltpb__FieldDescription *f = lt_arena_alloc(arena, (d->n_fields + 1) * sizeof(*f));
	Ltpb__FieldDescription **list =
	    lt_arena_alloc(arena, (d->n_fields + 1) * sizeof(Ltpb__FieldDescription *));
	unsigned i;

	if (out == NULL || f == NULL || list == NULL)
		return NULL;
	ltpb__message_description__init(out);
	out->name = (char *)d->name;
	for (i = 0; i < d->n_fields; i++) {
		describe_field(d, &d->fields[i], &f[i]);
		list[i] = &f[i];
	}
	out->field = list;
	out->n_field = d->n_fields;
	return out;
}

static Ltpb__EnumDescription *
describe_enum(struct lt_arena *arena, const ProtobufCEnumDescriptor *d)
{
	Ltpb__EnumDescription *out = lt_arena_alloc(arena, sizeof(*out));
	Ltpb__EnumValueDescription *v = lt_arena_alloc(arena, (d->n_values + 1) * sizeof(*v));
	Ltpb__EnumValueDescription **list =
	    lt_arena_alloc(arena, (d->n_values + 1) * sizeof(Ltpb__EnumValueDescription *));
	unsigned i;

	if (out == NULL || v == NULL || list == NULL)
		return NULL;
	ltpb__enum_description__init(out);
	out->name = (char *)d->name;
	for (i = 0; i < d->n_values; i++) {
		ltpb__enum_value_description__init(&v[i]);
		v[i].name = (char *)d->values[i].name;
		v[i].number = d->values[i].value;
		list[i] = &v[i];
	}
	out->value = list;
	out->n_value = d->n_values;
	return out;
}

static int
describe_types(struct reached *r, struct lt_arena *arena, Ltpb__DescribeReply *out)
{
	size_t i;

	reach_all(r);
	if (r->full)
		return LT_E_TOOBIG;
	out->message =
	    lt_arena_alloc(arena, (r->nmessage + 1) * sizeof(Ltpb__MessageDescription *));
	out->enumeration =
	    lt_arena_alloc(arena, (r->nenumeration + 1) * sizeof(Ltpb__EnumDescription *));
	if (out->message == NULL || out->enumeration == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < r->nmessage; i++)
		if ((out->message[i] = describe_message(arena, r->message[i])) == NULL)
			return LT_E_NOMEM;
	for (i = 0; i < r->nenumeration; i++)
		if ((out->enumeration[i] = describe_enum(arena, r->enumeration[i])) == NULL)
			return LT_E_NOMEM;
	out->n_message = r->nmessage;
	out->n_enumeration = r->nenumeration;
	return LT_OK;
}

/* ---- services ---- */

/* method: NULL for all of the service. *out stays NULL when none of them is in sight. r: NULL, or gets their types. */
static int
describe_service(const struct lt_described *w, const ProtobufCServiceDescriptor *d,
    const char *method, struct lt_arena *arena, struct reached *r, Ltpb__ServiceDescription **out)
{
	Ltpb__ServiceDescription *s = lt_arena_alloc(arena, sizeof(*s));
	Ltpb__MethodDescription *m = lt_arena_alloc(arena, (d->n_methods + 1) * sizeof(*m));
	Ltpb__MethodDescription **list =
	    lt_arena_alloc(arena, (d->n_methods + 1) * sizeof(Ltpb__MethodDescription *));
	const struct lt_method *row;
	unsigned i;

	if (s == NULL || m == NULL || list == NULL)
		return LT_E_NOMEM;
	ltpb__service_description__init(s);
	s->name = (char *)d->name;
	s->method = list;
	for (i = 0; i < d->n_methods; i++) {
		if (method != NULL && strcmp(method, d->methods[i].name) != 0)
			continue;
		row = row_of(w, d, i);
		if (row == NULL)
			continue;
		ltpb__method_description__init(m);
		m->name = (char *)row->name;
		m->input = (char *)d->methods[i].input->name;
		m->output = (char *)d->methods[i].output->name;
		m->server_streaming = row->server_streaming;
		m->idempotent = row->idempotent;
		m->deadline_ms = row->deadline_ms;
		m->deadline_max_ms = row->deadline_max_ms;
		m->verb = (char *)verb_word(row->grant);
		if (r != NULL) {
			reach_message(r, d->methods[i].input);
			reach_message(r, d->methods[i].output);
		}
		list[s->n_method++] = m++;
	}
	*out = s->n_method != 0 ? s : NULL;
	return LT_OK;
}

int
lt_describe_services(
    const struct lt_described *w, struct lt_arena *arena, Ltpb__ListServicesReply *out)
{
	Ltpb__ServiceDescription *s;
	size_t i;
	int rc;

	ltpb__list_services_reply__init(out);
	out->service =
	    lt_arena_alloc(arena, (w->nservices + 1) * sizeof(Ltpb__ServiceDescription *));
	if (out->service == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < w->nservices; i++) {
		rc = describe_service(w, w->services[i], NULL, arena, NULL, &s);
		if (rc != LT_OK)
			return rc;
		if (s != NULL)
			out->service[out->n_service++] = s;
	}
	return LT_OK;
}

/* A service or method of this name. */
static int
find_service(const struct lt_described *w, const char *name, struct lt_arena *arena,
    struct reached *r, Ltpb__DescribeReply *out)
{
	const char *rest;
	size_t i, n;
	int rc;

	name += name[0] == '/';
	for (i = 0; i < w->nservices; i++) {
		n = strlen(w->services[i]->name);
		rest = name + n;
		if (strncmp(name, w->services[i]->name, n) != 0 ||
		    (*rest != '\0' && *rest != '/' && *rest != '.'))
			continue;
		rc = describe_service(
		    w, w->services[i], *rest == '\0' ? NULL : rest + 1, arena, r, &out->service);
		if (rc != LT_OK || out->service != NULL)
			return rc;
	}
	return LT_E_NOTFOUND;
}

/* A type of this name among those that methods in sight reach: then r holds it alone. */
static bool
find_type(const struct lt_described *w, const char *name, struct reached *r)
{
	const ProtobufCMessageDescriptor *message = NULL;
	const ProtobufCEnumDescriptor *enumeration = NULL;
	size_t i;
	unsigned k;

	for (i = 0; i < w->nservices; i++)
		for (k = 0; k < w->services[i]->n_methods; k++)
			if (row_of(w, w->services[i], k) != NULL) {
				reach_message(r, w->services[i]->methods[k].input);
				reach_message(r, w->services[i]->methods[k].output);
			}
	reach_all(r);
	for (i = 0; i < r->nmessage; i++)
		if (strcmp(r->message[i]->name, name) == 0)
			message = r->message[i];
	for (i = 0; i < r->nenumeration; i++)
		if (strcmp(r->enumeration[i]->name, name) == 0)
			enumeration = r->enumeration[i];
	r->nmessage = r->nenumeration = r->looked_into = 0;
	if (message != NULL)
		reach_message(r, message);
	else if (enumeration != NULL)
		reach_enum(r, enumeration);
	return message != NULL || enumeration != NULL;
}

int
lt_describe(const struct lt_described *w, const char *name, struct lt_arena *arena,
    Ltpb__DescribeReply *out)
{
	struct reached *r = lt_arena_alloc(arena, sizeof(*r));
	int rc;

	ltpb__describe_reply__init(out);
	if (r == NULL)
		return LT_E_NOMEM;
	rc = find_service(w, name, arena, r, out);
	if (rc == LT_E_NOTFOUND && find_type(w, name, r))
		rc = LT_OK;
	return rc == LT_OK ? describe_types(r, arena, out) : rc;
}
