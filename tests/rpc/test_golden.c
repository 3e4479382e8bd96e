/* Frames as tests/vectors/golden_line.py, written from FORMAT.md alone, has made them. */
#include "tests/lib/golden.h"

#include "proto/base/wire.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/line.h"
#include "proto/rpc/resume_token.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <string.h>

static void
frames(void **state)
{
	static uint8_t out[LT_FRAME_MAX];
	const json_t *list = golden_in(golden("line"), "frame"), *v;
	struct lt_slice bytes, payload;
	struct lt_frame f;
	size_t i, len;

	(void)state;
	assert_int_equal(json_array_size(list), 15);
	json_array_foreach(list, i, v)
	{
		bytes = golden_bytes(v, "bytes");
		payload = golden_bytes(v, "payload");
		assert_int_equal(lt_frame_parse(bytes, &f), LT_OK);
		assert_int_equal(f.type, golden_number(v, "type"));
		assert_int_equal(f.flags, golden_number(v, "flags"));
		assert_int_equal(f.id, golden_number(v, "id"));
		golden_same("payload", payload, f.payload);
		len = lt_frame_build(out, f.type, f.flags, f.id, payload);
		golden_same("frame", bytes, lt_slice(out, len));
	}
}

/* What opens and ends a call is read, and packed again gives the same bytes. */
static void
again(
    const char *name, const ProtobufCMessageDescriptor *d, struct lt_arena *a, ProtobufCMessage **m)
{
	struct lt_slice bytes = golden_bytes(golden("line"), name);
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	assert_int_equal(lt_wire_unpack(d, bytes, LT_FRAME_PAYLOAD_MAX, a, m, &err), LT_OK);
	assert_int_equal(lt_wire_pack(*m, LT_FRAME_PAYLOAD_MAX, &b), LT_OK);
	golden_same(name, bytes, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
heads_and_ends(void **state)
{
	const Ltpb__RequestHead *head;
	const Ltpb__Status *st;
	ProtobufCMessage *m;
	struct lt_arena a;

	(void)state;
	lt_arena_init(&a, 65536);
	again("request_head", &ltpb__request_head__descriptor, &a, &m);
	head = (const Ltpb__RequestHead *)m;
	assert_string_equal(head->method, "/lienthong.v1.Sync/Push");
	assert_int_equal(head->timeout_ms, 30000);
	assert_int_equal(head->accept_encoding, 1);
	assert_int_equal(head->n_metadata, 2);
	again("status", &ltpb__status__descriptor, &a, &m);
	st = (const Ltpb__Status *)m;
	assert_int_equal(st->code, 8);
	assert_string_equal(st->error_info->reason, "TOO_MANY");
	assert_int_equal(st->retry_info->retry_delay_ms, 1500);
	assert_string_equal(st->violation[0]->field, "so_tien");
	assert_string_equal(st->localized_message[0]->message, "quá nhiều lời gọi");
	lt_arena_fini(&a);
}

/* ---- the first bytes of a line ---- */

/* Feed what the other side says; the event at its end, curve operations done. */
static int
hears(struct lt_line *l, struct lt_slice bytes, uint8_t plain[LT_LINE_PLAIN_MAX], size_t *plain_len)
{
	const uint8_t *data = bytes.data;
	size_t len = bytes.len;
	int rc = LT_LINE_MORE;

	while (rc >= 0 && len != 0) {
		rc = lt_line_feed(l, &data, &len, plain, plain_len);
		if (rc == LT_LINE_WORK)
			rc = lt_line_work(l, NULL, NULL);
	}
	return rc;
}

static void
says(struct lt_line *l, const char *what)
{
	struct lt_buf out = { 0 };

	lt_line_out(l, &out);
	golden_same(what, golden_bytes(golden("handshake"), what), lt_buf_slice(&out));
	lt_buf_fini(&out);
}

static void
seals(struct lt_line *l, const char *frame, const char *sealed)
{
	const json_t *g = golden("handshake");
	struct lt_buf out = { 0 };

	lt_line_seal(l, golden_bytes(g, frame), &out);
	golden_same(sealed, golden_bytes(g, sealed), lt_buf_slice(&out));
	lt_buf_fini(&out);
}

static void
opens(struct lt_line *l, const char *sealed, const char *frame)
{
	static uint8_t plain[LT_LINE_PLAIN_MAX];
	const json_t *g = golden("handshake");
	size_t len = 0;

	assert_int_equal(hears(l, golden_bytes(g, sealed), plain, &len), LT_LINE_FRAME);
	golden_same(frame, golden_bytes(g, frame), lt_slice(plain, len));
}

static struct lt_line *
acceptor(void)
{
	const json_t *g = golden("handshake"), *secret = golden_in(g, "secrets");
	struct lt_line_key *key = lt_line_key_new(golden_bytes(secret, "acceptor").data);
	struct lt_line *l = lt_line_new_acceptor(
	    golden_bytes(g, "federation").data, key, golden_bytes(g, "nonce").data);

	assert_non_null(l);
	lt_line_key_unref(key);
	lt_line_set_ephemeral(l, golden_bytes(secret, "acceptor_ephemeral").data);
	return l;
}

static void
handshake(void **state)
{
	const json_t *g = golden("handshake"), *secret = golden_in(g, "secrets");
	static uint8_t plain[LT_LINE_PLAIN_MAX];
	struct lt_line_key *key = lt_line_key_new(golden_bytes(secret, "initiator").data);
	struct lt_line *a = acceptor(),
		       *i = lt_line_new_initiator(golden_bytes(g, "federation").data, key,
			   golden_bytes(g, "acceptor_public").data);
	size_t len;

	(void)state;
	assert_non_null(i);
	lt_line_key_unref(key);
	lt_line_set_ephemeral(i, golden_bytes(secret, "initiator_ephemeral").data);
	says(a, "hello");
	assert_int_equal(hears(i, golden_bytes(g, "hello"), plain, &len), LT_LINE_MORE);
	says(i, "first"); /* with the knock */
	assert_int_equal(hears(a, golden_bytes(g, "first"), plain, &len), LT_LINE_MORE);
	says(a, "second");
	assert_int_equal(hears(i, golden_bytes(g, "second"), plain, &len), LT_LINE_MORE);
	seals(i, "ping", "sealed_ping");
	opens(a, "sealed_ping", "ping");
	seals(a, "pong", "sealed_pong");
	seals(a, "encodings", "sealed_encodings");
	opens(i, "sealed_pong", "pong");
	opens(i, "sealed_encodings", "encodings");
	lt_line_free(a);
	lt_line_free(i);
}

/* Whoever does not know the acceptor's key is stopped by the 16 bytes behind the length, each bit of them. */
static void
knock(void **state)
{
	const json_t *g = golden("handshake");
	struct lt_slice first = golden_bytes(g, "first"), want = golden_bytes(g, "knock");
	static uint8_t plain[LT_LINE_PLAIN_MAX];
	uint8_t bad[512];
	size_t len, bit;

	(void)state;
	assert_int_equal(want.len, LT_LINE_KNOCK_LEN);
	assert_true(first.len <= sizeof(bad));
	golden_same("knock", want, lt_slice(first.data + 2, LT_LINE_KNOCK_LEN));
	for (bit = 0; bit < 8 * want.len; bit++) {
		struct lt_line *a = acceptor();

		memcpy(bad, first.data, first.len);
		bad[2 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(hears(a, lt_slice(bad, first.len), plain, &len), LT_E_DENIED);
		lt_line_free(a);
	}
}

static void
local_line(void **state)
{
	struct lt_line *i = lt_line_new_local(true), *a = lt_line_new_local(false);
	const json_t *g = golden("handshake");
	struct lt_buf out = { 0 };

	(void)state;
	lt_line_out(i, &out);
	lt_line_seal(i, golden_bytes(g, "ping"), &out);
	golden_same("local", golden_bytes(g, "local"), lt_buf_slice(&out));
	opens(a, "local", "ping");
	lt_buf_fini(&out);
	lt_line_free(i);
	lt_line_free(a);
}

/* A token is made as another program makes it, and holds only for what it was made for. */
static void
tokens(void **state)
{
	const json_t *list = golden("resume"), *v;
	uint8_t key[32], out[LT_RESUME_TOKEN_MAX];
	struct lt_slice line_key, token, position, at;
	struct lt_peer peer = { 0 };
	struct lt_hash request;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(list), 3);
	json_array_foreach(list, i, v)
	{
		const struct lt_resume_bond bond = { key, &peer, golden_text(v, "method"),
			&request };

		lt_resume_key(golden_bytes(v, "secret").data, key);
		lt_resume_request(golden_bytes(v, "request"), &request);
		line_key = golden_bytes(v, "line_key");
		peer.kind = line_key.len != 0 ? LT_PEER_LINE : LT_PEER_LOCAL;
		memset(peer.line_key, 0xee, 32); /* says nothing on a local socket */
		if (line_key.len != 0)
			memcpy(peer.line_key, line_key.data, 32);
		token = golden_bytes(v, "token");
		position = golden_bytes(v, "position");
		golden_same(
		    "token", token, lt_slice(out, lt_resume_token_make(&bond, position, out)));
		assert_int_equal(lt_resume_token_check(&bond, token, &at), LT_OK);
		golden_same("position", position, at);
		request.b[31] ^= 1;
		assert_int_equal(lt_resume_token_check(&bond, token, &at), LT_E_DENIED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(heads_and_ends),
		cmocka_unit_test(tokens),
		cmocka_unit_test(handshake),
		cmocka_unit_test(knock),
		cmocka_unit_test(local_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
