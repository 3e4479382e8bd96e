#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/rpc.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/audit.pb-c.h"
#include "lienthong/v1/keys.pb-c.h"
#include "lienthong/v1/proof.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/reflection.pb-c.h"
#include "lienthong/v1/rpc.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 256
#define FIELDS_MAX 512 /* of one level that are looked at */
#define DEPTH_MAX 10
#define GROW_MAX 512 /* bytes that one field may grow by */

/* ---- the schema ---- */

static const ProtobufCMessageDescriptor *messages[MESSAGES_MAX];
static size_t nmessages;

static void
add_message(const ProtobufCMessageDescriptor *d)
{
	size_t i;

	for (i = 0; i < nmessages; i++)
		if (messages[i] == d)
			return;
	FUZZ_MUST(nmessages < MESSAGES_MAX);
	messages[nmessages++] = d;
	for (i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			add_message(d->fields[i].descriptor);
}

static void
add_service(const ProtobufCServiceDescriptor *s)
{
	size_t i;

	for (i = 0; i < s->n_methods; i++) {
		add_message(s->methods[i].input);
		add_message(s->methods[i].output);
	}
}

static const ProtobufCServiceDescriptor *const services[] = {
	&ltpb__enrol__descriptor,
	&ltpb__sync__descriptor,
	&ltpb__records__descriptor,
	&ltpb__query__descriptor,
	&ltpb__admin__descriptor,
	&healthpb__health__descriptor,
	&ltpb__reflection__descriptor,
	&ltpb__keys__descriptor,
	&ltpb__audit__descriptor,
};

const ProtobufCServiceDescriptor *const *
fuzz_services(size_t *n)
{
	*n = sizeof(services) / sizeof(services[0]);
	return services;
}

const ProtobufCMessageDescriptor *const *
fuzz_messages(size_t *n)
{
	size_t i;

	if (nmessages == 0) {
		add_message(&ltpb__change_set__descriptor);
		add_message(&ltpb__header__descriptor);
		add_message(&ltpb__change__descriptor);
		add_message(&ltpb__value__descriptor);
		add_message(&ltpb__certificate_body__descriptor);
		add_message(&ltpb__receipt_body__descriptor);
		add_message(&ltpb__invitation__descriptor);
		add_message(&ltpb__verdict__descriptor);
		add_message(&ltpb__grant__descriptor);
		add_message(&ltpb__request_head__descriptor);
		add_message(&ltpb__status__descriptor);
		for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
			add_service(services[i]);
		add_message(&ltpb__proof__descriptor);
	}
	*n = nmessages;
	return messages;
}

/* Bytes fields that hold a message of their own. */
static const struct {
	const ProtobufCMessageDescriptor *in;
	const char *field;
	const ProtobufCMessageDescriptor *what;
} inner[] = {
	{ &ltpb__change_set__descriptor, "header", &ltpb__header__descriptor },
	{ &ltpb__change_set__descriptor, "change", &ltpb__change__descriptor },
	{ &ltpb__opened_field__descriptor, "field_set", &ltpb__field_set__descriptor },
	{ &ltpb__certificate__descriptor, "body", &ltpb__certificate_body__descriptor },
	{ &ltpb__receipt__descriptor, "body", &ltpb__receipt_body__descriptor },
	{ &ltpb__push_request__descriptor, "change_set", &ltpb__change_set__descriptor },
	{ &ltpb__pull_item__descriptor, "change_set", &ltpb__change_set__descriptor },
	{ &ltpb__proof__descriptor, "certificate", &ltpb__certificate__descriptor },
	{ &ltpb__proof__descriptor, "link", &ltpb__header__descriptor },
	{ &ltpb__proof__descriptor, "receipt", &ltpb__receipt__descriptor },
	{ &ltpb__proof_part__descriptor, "header", &ltpb__header__descriptor },
	{ &ltpb__proof_change__descriptor, "change", &ltpb__change__descriptor },
	/* Of the acts only verdicts; in others it is none and mutated as bytes. */
	{ &ltpb__value__descriptor, "bytes", &ltpb__verdict__descriptor },
};

static const ProtobufCMessageDescriptor *
message_in(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
	size_t i;

	if (f == NULL)
		return NULL;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return f->descriptor;
	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++)
		if (inner[i].in == d && strcmp(inner[i].field, f->name) == 0)
			return inner[i].what;
	return NULL;
}

/* ---- one level of a message ---- */

struct part {
	uint64_t number;
	unsigned wire;
	struct lt_slice all; /* with its tag */
	struct lt_slice content; /* of bytes fields */
	uint64_t value; /* of varints */
};

static size_t
split(struct lt_slice bytes, struct part *part, bool *ok)
{
	struct lt_reader r;
	size_t n = 0;

	lt_reader_init(&r, bytes);
	while (lt_reader_left(&r) > 0 && n < FIELDS_MAX && r.err == LT_OK) {
		struct part *p = &part[n];
		const uint8_t *from = r.p;
		uint64_t tag = lt_read_varint(&r);

		memset(p, 0, sizeof(*p));
		p->number = tag >> 3;
		p->wire = tag & 7;
		if (p->wire == 0)
			p->value = lt_read_varint(&r);
		else if (p->wire == 1)
			(void)lt_read_u64(&r);
		else if (p->wire == 5)
			(void)lt_read_u32(&r);
		else if (p->wire == 2)
			p->content = lt_read_bytes(&r, (size_t)lt_read_varint(&r));
		else
			r.err = LT_E_INVALID;
		p->all = lt_slice(from, (size_t)(r.p - from));
		n += r.err == LT_OK;
	}
	*ok = r.err == LT_OK && lt_reader_left(&r) == 0;
	return n;
}

static uint64_t
interesting(struct fuzz_rng *rng)
{
	static const uint64_t some[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 18, 19, 20, 63,
		64, 65, 127, 128, 255, 256, 1023, 1024, 1025, 65535, 65536, INT32_MAX, UINT32_MAX,
		(uint64_t)UINT32_MAX + 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };

	switch (fuzz_below(rng, 4)) {
	case 0:
		return fuzz_next(rng) >> fuzz_below(rng, 64);
	case 1:
		return fuzz_below(rng, 8);
	default:
		return some[fuzz_below(rng, sizeof(some) / sizeof(some[0]))];
	}
}

static const char *const *words;
static size_t nwords;

void
fuzz_pb_words(const char *const *w, size_t n)
{
	words = w;
	nwords = n;
}

/* Values that our fields hold, so that checks of form are passed now and then. */
static void
put_content(struct lt_buf *out, const ProtobufCFieldDescriptor *f, struct fuzz_rng *rng)
{
	static const char *const text[] = { "", "a", "_", "23956", "12", "dossier", "status",
		"HN-0001", "_actor", "all", "*", "read", "_unit", "_key", "Nguyễn Thị Ánh",
		"e\xcc\x81", "a\0b", "\xff", "000000000000000000000000", "tcp://127.0.0.1:7340",
		"ho_ngheo", "name" };
	static const uint8_t lens[] = { 16, 25, 32, 64, 8, 0, 1 };
	struct lt_buf b = { 0 };
	const char *t;
	size_t i, n;

	if (f->type == PROTOBUF_C_TYPE_BYTES) {
		n = lens[fuzz_below(rng, sizeof(lens))];
		for (i = 0; i < n; i++)
			lt_buf_u8(&b, (uint8_t)fuzz_next(rng));
		if (n == 25 && fuzz_below(rng, 4) != 0)
			b.data[16] = (uint8_t)(1 + fuzz_below(rng, 3));
	} else if (f->type == PROTOBUF_C_TYPE_STRING) {
		t = text[fuzz_below(rng, sizeof(text) / sizeof(text[0]))];
		if (nwords != 0 && fuzz_below(rng, 16) != 0)
			t = words[fuzz_below(rng, nwords)];
		lt_buf_str(&b, t);
	}
	lt_buf_varint(out, b.len);
	lt_buf_put_slice(out, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
put_new(struct lt_buf *out, const ProtobufCMessageDescriptor *d, struct fuzz_rng *rng)
{
	const ProtobufCFieldDescriptor *f;
	uint64_t v = interesting(rng);

	if (d->n_fields == 0 || fuzz_below(rng, 16) == 0) { /* one that nobody knows */
		lt_buf_varint(out, (1 + fuzz_below(rng, 30)) << 3);
		lt_buf_varint(out, v);
		return;
	}
	f = &d->fields[fuzz_below(rng, d->n_fields)];
	switch (f->type) {
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		lt_buf_varint(out, (uint64_t)f->id << 3 | 1);
		lt_buf_u64(out, v);
		break;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		lt_buf_varint(out, (uint64_t)f->id << 3 | 2);
		put_content(out, f, rng);
		break;
	default:
		lt_buf_varint(out, (uint64_t)f->id << 3);
		lt_buf_varint(out, v);
		break;
	}
}

static void mutate_level(const ProtobufCMessageDescriptor *d, struct lt_slice in, size_t max,
    struct fuzz_rng *rng, unsigned depth, struct lt_buf *out);

static void
mutate_bytes(struct lt_slice in, size_t max, struct lt_buf *out)
{
	size_t cap = in.len + GROW_MAX < max ? in.len + GROW_MAX : max;
	uint8_t *p = malloc(cap < in.len ? in.len + 1 : cap + 1);

	FUZZ_MUST(p != NULL);
	if (in.len != 0)
		memcpy(p, in.data, in.len);
	lt_buf_put(out, p, LLVMFuzzerMutate(p, in.len, cap < in.len ? in.len : cap));
	free(p);
}

static void
mutate_part(const ProtobufCMessageDescriptor *d, const struct part *p, size_t max,
    struct fuzz_rng *rng, unsigned depth, struct lt_buf *out)
{
	const ProtobufCFieldDescriptor *f =
	    p->number <= UINT32_MAX
		? protobuf_c_message_descriptor_get_field(d, (unsigned)p->number)
		: NULL;
	const ProtobufCMessageDescriptor *m = message_in(d, f);
	struct lt_buf b = { 0 };

	if (p->wire == 0) {
		lt_buf_varint(out, p->number << 3);
		lt_buf_varint(out,
		    fuzz_below(rng, 3) == 0 ? p->value + fuzz_below(rng, 5) - 2 : interesting(rng));
		return;
	}
	if (p->wire != 2) {
		lt_buf_put_slice(out, p->all);
		if (out->len != 0)
			out->data[out->len - 1 - fuzz_below(rng, p->wire == 1 ? 8 : 4)] ^=
			    (uint8_t)(1u << fuzz_below(rng, 8));
		return;
	}
	lt_buf_varint(out, p->number << 3 | 2);
	if (m != NULL && depth < DEPTH_MAX && fuzz_below(rng, 16) != 0) {
		mutate_level(m, p->content, max, rng, depth + 1, &b);
	} else if (m == NULL && f != NULL && fuzz_below(rng, nwords != 0 ? 2 : 4) == 0) {
		put_content(out, f, rng);
		return;
	} else {
		mutate_bytes(p->content, max, &b);
	}
	lt_buf_varint(out, b.len);
	lt_buf_put_slice(out, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
mutate_level(const ProtobufCMessageDescriptor *d, struct lt_slice in, size_t max,
    struct fuzz_rng *rng, unsigned depth, struct lt_buf *out)
{
	struct part *part = calloc(FIELDS_MAX, sizeof(*part)), swap;
	size_t n, i, at, other, what = fuzz_below(rng, 16);
	bool ok;

	FUZZ_MUST(part != NULL);
	n = split(in, part, &ok);
	if (!ok || what == 15) {
		mutate_bytes(in, max, out);
		free(part);
		return;
	}
	if (n == 0)
		what = 12;
	at = fuzz_below(rng, n);
	other = fuzz_below(rng, n);
	if (what == 14) {
		swap = part[at];
		part[at] = part[other];
		part[other] = swap;
	}
	for (i = 0; i < n; i++) {
		if (i == at && what < 10)
			mutate_part(d, &part[i], max, rng, depth, out);
		else if (i != at || what != 10)
			lt_buf_put_slice(out, part[i].all);
		if (i == at && what == 11)
			lt_buf_put_slice(out, part[i].all);
	}
	if (what == 12 || what == 13)
		put_new(out, d, rng);
	free(part);
}

size_t
fuzz_pb_mutate(const ProtobufCMessageDescriptor *d, uint8_t *data, size_t size, size_t max_size,
    struct fuzz_rng *rng)
{
	struct lt_buf out = { 0 };
	size_t n = size;

	mutate_level(d, lt_slice(data, size), max_size, rng, 0, &out);
	if (out.err == LT_OK && out.len <= max_size) {
		n = out.len;
		if (n != 0)
			memcpy(data, out.data, n);
	}
	lt_buf_fini(&out);
	return n;
}
