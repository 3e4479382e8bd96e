/* json_peer - reads lines, answers a line to each: for json_diff.py.
 *
 *     r TYPE JSON   message of the JSON: "ok HEX", or "no WORDS"
 *     w TYPE HEX    JSON of the message: "ok JSON", or "no WORDS"
 */
#include "proto/base/limits.h"
#include "proto/base/wire.h"
#include "proto/rpc/json.h"
#include "proto/rpc/methods.h"

#include "kinds.pb-c.h"
#include "lienthong/v1/backup.pb-c.h"
#include "lienthong/v1/proof.pb-c.h"
#include "lienthong/v1/rpc.pb-c.h"
#include "lienthong/v1/trust.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *
find_in(const ProtobufCMessageDescriptor *d, const char *name, unsigned depth)
{
	const ProtobufCMessageDescriptor *found = NULL;
	unsigned i;

	if (strcmp(d->name, name) == 0)
		return d;
	for (i = 0; depth < LT_DEPTH_MAX && found == NULL && i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			found = find_in(d->fields[i].descriptor, name, depth + 1);
	return found;
}

static const ProtobufCMessageDescriptor *
find(const char *name)
{
	static const ProtobufCMessageDescriptor *const more[] = { &lttest__kinds__descriptor,
		&ltpb__proof__descriptor, &ltpb__status__descriptor,
		&ltpb__request_head__descriptor, &ltpb__change_set__descriptor,
		&ltpb__header__descriptor, &ltpb__change__descriptor,
		&ltpb__certificate_body__descriptor, &ltpb__invitation__descriptor,
		&ltpb__verdict__descriptor, &ltpb__ruling__descriptor, &ltpb__cut_off__descriptor,
		&ltpb__erasure__descriptor, &ltpb__receipt_body__descriptor,
		&ltpb__backup_file__descriptor, &ltpb__backup_body__descriptor,
		&ltpb__backup__descriptor, &ltpb__escrow__descriptor,
		&ltpb__escrow_body__descriptor, &ltpb__erasures__descriptor };
	const ProtobufCMessageDescriptor *d = NULL;
	size_t i;
	unsigned k;

	for (i = 0; d == NULL && i < sizeof(more) / sizeof(more[0]); i++)
		d = find_in(more[i], name, 1);
	for (i = 0; i < lt_nservices; i++)
		for (k = 0; d == NULL && k < lt_services[i]->n_methods; k++) {
			d = find_in(lt_services[i]->methods[k].input, name, 1);
			if (d == NULL)
				d = find_in(lt_services[i]->methods[k].output, name, 1);
		}
	return d;
}

static void
answer(bool ok, const char *words)
{
	printf("%s %s\n", ok ? "ok" : "no", words);
	(void)fflush(stdout);
}

static void
read_line(const ProtobufCMessageDescriptor *d, const char *json)
{
	struct lt_json_err err = { .message = "" };
	struct lt_buf wire = { 0 };
	ProtobufCMessage *m;
	struct lt_arena arena;
	char *hex;

	lt_arena_init(&arena, lt_arena_cap_for(strlen(json)));
	if (lt_json_read(d, lt_slice_str(json), &arena, &m, &err) != LT_OK) {
		answer(false, err.message);
	} else if (lt_wire_pack(m, LT_MESSAGE_MAX, &wire) != LT_OK ||
		   lt_wire_check(d, lt_buf_slice(&wire), LT_MESSAGE_MAX, NULL) != LT_OK ||
		   (hex = malloc(2 * wire.len + 1)) == NULL) {
		answer(false, "read, but no message");
	} else {
		lt_hex(hex, wire.data, wire.len);
		answer(true, hex);
		free(hex);
	}
	lt_buf_fini(&wire);
	lt_arena_fini(&arena);
}

static void
write_line(const ProtobufCMessageDescriptor *d, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len + 1);
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };
	ProtobufCMessage *m;
	struct lt_arena arena;

	lt_arena_init(&arena, lt_arena_cap_for(len));
	if (bytes == NULL || lt_unhex(bytes, len, hex) != LT_OK ||
	    lt_wire_unpack(d, lt_slice(bytes, len), LT_MESSAGE_MAX, &arena, &m, &err) != LT_OK) {
		answer(false, err.text);
	} else if (lt_json_write(m, &out) != LT_OK) {
		answer(false, "not written");
	} else {
		lt_buf_u8(&out, 0);
		answer(true, (const char *)out.data);
	}
	free(bytes);
	lt_buf_fini(&out);
	lt_arena_fini(&arena);
}

int
main(void)
{
	const ProtobufCMessageDescriptor *d;
	char *line = NULL, *type, *rest;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 3) {
		line[n - 1] = '\0';
		type = line + 2;
		rest = strchr(type, ' ');
		if (rest == NULL)
			break;
		*rest++ = '\0';
		d = find(type);
		if (d == NULL)
			answer(false, "no such type");
		else if (line[0] == 'r')
			read_line(d, rest);
		else
			write_line(d, rest);
	}
	free(line);
	return 0;
}
