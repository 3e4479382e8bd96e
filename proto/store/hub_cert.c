#include "proto/store/hub_cert.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"

#include "lienthong/v1/trust.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERT_ARENA 65536
#define CERT_MAX 4096 /* FORMAT.md 4.2 */
#define ROW_NAME 64

static size_t
prefix_of(char out[ROW_NAME], const struct lt_id *hub)
{
	char hex[2 * LT_ID_LEN + 1];

	lt_hex(hex, hub->b, LT_ID_LEN);
	return (size_t)snprintf(out, ROW_NAME, "certificate/%s/", hex);
}

static void
name_of(char out[ROW_NAME], const struct lt_id *hub, uint32_t key_no)
{
	size_t n = prefix_of(out, hub);

	(void)snprintf(out + n, ROW_NAME - n, "%08x", key_no);
}

static int
read_body(struct lt_slice certificate, struct lt_id *hub, uint32_t *key_no)
{
	struct lt_arena arena;
	ProtobufCMessage *m;
	int rc;

	lt_arena_init(&arena, CERT_ARENA);
	rc =
	    lt_wire_unpack(&ltpb__certificate__descriptor, certificate, CERT_MAX, &arena, &m, NULL);
	if (rc == LT_OK) {
		const ProtobufCBinaryData *b = &((const Ltpb__Certificate *)m)->body;

		rc = lt_wire_unpack(&ltpb__certificate_body__descriptor, lt_slice(b->data, b->len),
		    CERT_MAX, &arena, &m, NULL);
	}
	if (rc == LT_OK) {
		const Ltpb__CertificateBody *b = (const Ltpb__CertificateBody *)m;

		if (b->principal.len != LT_ID_LEN || b->key_no == 0)
			rc = LT_E_INVALID;
		else
			memcpy(hub->b, b->principal.data, LT_ID_LEN);
		*key_no = b->key_no;
	}
	lt_arena_fini(&arena);
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_INVALID;
}

int
lt_hub_cert_keep(struct lt_kv_txn *txn, struct lt_slice certificate)
{
	struct lt_slice have;
	char name[ROW_NAME];
	struct lt_id hub;
	uint32_t no;
	int rc = read_body(certificate, &hub, &no);

	if (rc != LT_OK)
		return rc;
	name_of(name, &hub, no);
	rc = lt_local_get(txn, name, &have);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? lt_local_put(txn, name, certificate)
							 : rc;
}

int
lt_hub_cert_get(
    struct lt_kv_txn *txn, const struct lt_id *hub, uint32_t key_no, struct lt_slice *out)
{
	char name[ROW_NAME];

	name_of(name, hub, key_no);
	return lt_local_get(txn, name, out);
}

int
lt_hub_cert_each(struct lt_kv_txn *txn, const struct lt_id *hub, lt_hub_cert_fn *fn, void *ctx)
{
	char prefix[ROW_NAME], name[ROW_NAME];
	struct lt_slice in = lt_slice(prefix, prefix_of(prefix, hub)), k, v;
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_in(c, in, &k, &v);
	while (rc == LT_OK) {
		if (k.len == in.len + 8) {
			lt_slice_to_text(name, sizeof(name), k);
			rc = fn(ctx, (uint32_t)strtoul(name + in.len, NULL, 16), v);
		}
		if (rc == LT_OK)
			rc = lt_kv_next_in(c, in, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}
