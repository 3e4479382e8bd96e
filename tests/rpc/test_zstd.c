#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/wire.h"
#include "proto/rpc/zstd.h"
#include "tests/rpc/fixture.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

#define ECHO (&lttest__echo__descriptor)
#define BLOCK 131072u /* RFC 8878, 3.1.1.2.4: the most one block holds */

/* Text that shrinks, never the same twice. */
static void
fill_text(struct lt_buf *b, size_t len)
{
	size_t i;

	for (i = 0; b->len < len; i++)
		lt_buf_printf(b, "dossier %zu of commune 2605%zu, received;", i * 7919, i % 13);
	b->len = len;
}

/* A frame by hand (RFC 8878, 3.1.1): one segment, the size in four bytes, then blocks of one repeated byte. */
static size_t
rle_frame(uint8_t *out, uint32_t said, unsigned blocks, uint32_t last_len)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0 };
	size_t n = sizeof(magic);
	uint32_t head;
	unsigned i, k;

	memcpy(out, magic, n);
	for (k = 0; k < 4; k++)
		out[n++] = (uint8_t)(said >> (8 * k));
	for (i = 0; i < blocks; i++) {
		head = (i + 1 == blocks ? 1u | last_len << 3 : BLOCK << 3) | 1u << 1;
		for (k = 0; k < 3; k++)
			out[n++] = (uint8_t)(head >> (8 * k));
		out[n++] = 'z';
	}
	return n;
}

static int
unpack(const void *data, size_t len, size_t *got)
{
	struct lt_buf out = { 0 };
	int rc = lt_zstd_unpack(lt_slice(data, len), LT_MESSAGE_MAX, &out);

	if (got != NULL)
		*got = out.len;
	assert_true(out.cap <= 2 * LT_MESSAGE_MAX);
	lt_buf_fini(&out);
	return rc;
}

/* From 1,025 bytes on, and only what shrinks by a 16th; another caller of the library reads what we wrote. */
static void
packs(void **state)
{
	static const size_t sizes[] = { 0, 1, 1023, 1024, 1025, 16384, 65537, 1048576 };
	static const enum lt_zstd_effort effort[] = { LT_ZSTD_FAST, LT_ZSTD_SMALL };
	static uint8_t plain[LT_MESSAGE_MAX], rnd[4096];
	struct lt_buf b = { 0 };
	size_t n = sizeof(sizes) / sizeof(sizes[0]), k;

	(void)state;
	/* One effort after the other: contexts are taken by both. */
	for (k = 0; k < 2 * n; k++) {
		size_t i = k / 2, e = k % 2;

		fill_text(&b, sizes[i]);
		assert_int_equal(lt_zstd_pack(&b, effort[e]), sizes[i] > 1024);
		if (sizes[i] <= 1024) {
			assert_int_equal(b.len, sizes[i]);
		} else {
			struct lt_buf text = { 0 }, again = { 0 };

			fill_text(&text, sizes[i]);
			assert_true(b.len <= sizes[i] - sizes[i] / 16);
			assert_int_equal(
			    ZSTD_decompress(plain, sizeof(plain), b.data, b.len), sizes[i]);
			assert_memory_equal(plain, text.data, sizes[i]);
			assert_int_equal(lt_zstd_unpack(lt_buf_slice(&b), sizes[i], &again), LT_OK);
			assert_int_equal(again.len, sizes[i]);
			assert_memory_equal(again.data, text.data, sizes[i]);
			lt_buf_fini(&again);
			assert_int_equal(
			    lt_zstd_unpack(lt_buf_slice(&b), sizes[i] - 1, &again), LT_E_TOOBIG);
			assert_null(again.data);
			lt_buf_fini(&text);
		}
		lt_buf_fini(&b);
	}
	randombytes_buf(rnd, sizeof(rnd));
	lt_buf_put(&b, rnd, sizeof(rnd));
	assert_false(lt_zstd_pack(&b, LT_ZSTD_FAST));
	assert_false(lt_zstd_pack(&b, LT_ZSTD_SMALL));
	assert_int_equal(b.len, sizeof(rnd));
	assert_memory_equal(b.data, rnd, sizeof(rnd));
	lt_buf_fini(&b);
}

/* Frames by hand on both sides of every bound. */
static void
bombs(void **state)
{
	static const struct {
		uint32_t said;
		unsigned blocks;
		uint32_t last;
		int rc;
	} cases[] = {
		{ BLOCK * 8, 8, BLOCK, LT_OK }, /* 1 MiB from 41 bytes: what a message may be */
		{ BLOCK * 8 + 1, 9, 1, LT_E_TOOBIG }, /* tells the truth, and is refused for it */
		{ UINT32_MAX, 8, BLOCK, LT_E_TOOBIG },
		{ BLOCK * 8, 9, 1, LT_E_INVALID }, /* holds more than it says */
		{ BLOCK * 8, 200, BLOCK, LT_E_INVALID },
		{ BLOCK * 8, 7, BLOCK, LT_E_INVALID }, /* holds less */
		{ BLOCK * 8, 1, 1, LT_E_INVALID },
		{ 0, 1, 0, LT_OK },
		{ 0, 1, 1, LT_E_INVALID },
		{ 1, 1, 0, LT_E_INVALID },
		{ 1, 1, 1, LT_OK },
	};
	uint8_t frame[1024];
	size_t i, n, got;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = rle_frame(frame, cases[i].said, cases[i].blocks, cases[i].last);
		print_message("says %u, %u blocks\n", cases[i].said, cases[i].blocks);
		assert_int_equal(unpack(frame, n, &got), cases[i].rc);
		assert_int_equal(got, cases[i].rc == LT_OK ? cases[i].said : 0);
	}
}

static size_t
compressed_with(uint8_t *out, size_t cap, const struct lt_buf *b, ZSTD_cParameter p, int v)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, p, v)));
	n = ZSTD_compress2(c, out, cap, b->data, b->len);
	assert_false(ZSTD_isError(n));
	ZSTD_freeCCtx(c);
	return n;
}

/* What others may make: any level, a checksum, the widest window. No size, two frames, anything more or less: none. */
static void
frames_of_others(void **state)
{
	static uint8_t out[LT_MESSAGE_MAX + 65536];
	static const uint8_t skip[] = { 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x' };
	struct lt_buf b = { 0 };
	size_t n, i, got;

	(void)state;
	fill_text(&b, 70000);
	n = compressed_with(out, sizeof(out), &b, ZSTD_c_compressionLevel, 19);
	assert_int_equal(unpack(out, n, &got), LT_OK);
	assert_int_equal(got, 70000);
	n = compressed_with(out, sizeof(out), &b, ZSTD_c_windowLog, 27);
	assert_int_equal(unpack(out, n, &got), LT_OK);
	n = compressed_with(out, sizeof(out), &b, ZSTD_c_contentSizeFlag, 0);
	assert_int_equal(unpack(out, n, &got), LT_E_INVALID);
	n = compressed_with(out, sizeof(out), &b, ZSTD_c_checksumFlag, 1);
	assert_int_equal(unpack(out, n, &got), LT_OK);
	out[n - 1] ^= 1;
	assert_int_equal(unpack(out, n, &got), LT_E_INVALID);
	out[n - 1] ^= 1;
	for (i = 0; i < n; i++)
		assert_int_equal(unpack(out, i, NULL), LT_E_INVALID);
	out[n] = 0;
	assert_int_equal(unpack(out, n + 1, NULL), LT_E_INVALID);
	memcpy(out + n, out, n);
	assert_int_equal(unpack(out, 2 * n, NULL), LT_E_INVALID);
	memcpy(out + n, skip, sizeof(skip));
	assert_int_equal(unpack(out, n + sizeof(skip), NULL), LT_E_INVALID);
	assert_int_equal(unpack(skip, sizeof(skip), NULL), LT_E_INVALID);
	lt_buf_fini(&b);
}

/* Flipped bits and noise: an error or something no longer than a message; the sanitizers watch. */
static void
garbage(void **state)
{
	static uint8_t out[8192], bad[8192];
	struct lt_buf b = { 0 };
	size_t n, i, got;

	(void)state;
	fill_text(&b, 3000);
	n = compressed_with(out, sizeof(out), &b, ZSTD_c_compressionLevel, 3);
	for (i = 0; i < n * 8; i++) {
		memcpy(bad, out, n);
		bad[i / 8] ^= (uint8_t)(1u << i % 8);
		if (unpack(bad, n, &got) != LT_OK)
			assert_int_equal(got, 0);
	}
	for (i = 0; i < 20000; i++) {
		randombytes_buf(bad, 64);
		memcpy(bad, "\x28\xb5\x2f\xfd", i % 2 == 0 ? 4 : 0);
		(void)unpack(bad, i % 65, &got);
	}
	lt_buf_fini(&b);
}

/* ---- over connections ---- */

static void
request(struct raw *r, uint32_t id, uint32_t encodings)
{
	Ltpb__RequestHead head = LTPB__REQUEST_HEAD__INIT;
	struct lt_buf bytes = { 0 };
	char name[] = "/lttest.Echo/Say";

	head.method = name;
	head.accept_encoding = encodings;
	assert_int_equal(lt_wire_pack(&head.base, LT_FRAME_PAYLOAD_MAX, &bytes), LT_OK);
	(void)raw_send(r, LT_FRAME_REQUEST, 0, id, bytes.data, bytes.len);
	lt_buf_fini(&bytes);
}

/* The request message, packed; its data shrinks. */
static void
say_bytes(struct lt_buf *out, size_t len)
{
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_buf text = { 0 };

	fill_text(&text, len);
	req.data.data = text.data;
	req.data.len = text.len;
	assert_int_equal(lt_wire_pack(&req.base, LT_MESSAGE_MAX, out), LT_OK);
	lt_buf_fini(&text);
}

/* Read a whole answer and its end; its bytes on the wire, the flags of its pieces, its data's length. */
static size_t
answer(struct raw *r, uint32_t id, bool *zstd)
{
	struct lt_buf got = { 0 }, plain = { 0 };
	Lttest__EchoReply *reply;
	struct lt_frame f;
	size_t n;

	*zstd = false;
	do {
		assert_true(raw_next(r, &f));
		if (f.type == LT_FRAME_DATA && f.id == id) {
			assert_true(got.len == 0 || *zstd == ((f.flags & LT_DATA_ZSTD) != 0));
			*zstd = (f.flags & LT_DATA_ZSTD) != 0;
			lt_buf_put_slice(&got, f.payload);
		}
	} while (f.type != LT_FRAME_END);
	if (*zstd)
		assert_int_equal(lt_zstd_unpack(lt_buf_slice(&got), LT_MESSAGE_MAX, &plain), LT_OK);
	else
		lt_buf_put_slice(&plain, lt_buf_slice(&got));
	reply = lttest__echo_reply__unpack(NULL, plain.len, plain.data);
	assert_non_null(reply);
	n = reply->data.len;
	lttest__echo_reply__free_unpacked(reply, NULL);
	lt_buf_fini(&got);
	lt_buf_fini(&plain);
	return n;
}

/* Answers are compressed for who says so in the request, from the first on; unknown encodings are nothing. */
static void
answers(void **state)
{
	static const uint32_t encodings[] = { 0, 1, 2, 3, 0 };
	struct lt_buf body = { 0 };
	uint32_t id;
	struct fx fx;
	struct raw r;
	size_t i;
	bool zstd;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, true);
	say_bytes(&body, 9000);
	for (i = 0, id = 1; i < 5; i++, id += 2) {
		request(&r, id, encodings[i]);
		(void)raw_send(&r, LT_FRAME_DATA, 3, id, body.data, body.len);
		assert_int_equal(answer(&r, id, &zstd), 9000);
		assert_int_equal(zstd, (encodings[i] & 1) != 0);
	}
	lt_buf_fini(&body);
	say_bytes(&body, 900); /* too short to be worth it */
	request(&r, id, 1);
	(void)raw_send(&r, LT_FRAME_DATA, 3, id, body.data, body.len);
	assert_int_equal(answer(&r, id, &zstd), 900);
	assert_false(zstd);
	lt_buf_fini(&body);
	raw_close(&r);
	fx_stop(&fx);
}

/* Requests are taken compressed; what is none ends its call with a reason, not the connection. */
static void
requests(void **state)
{
	struct lt_buf body = { 0 };
	uint8_t frame[1024];
	struct fx fx;
	struct raw r;
	size_t n, half;
	bool zstd;

	(void)state;
	fx_start(&fx, NULL);
	raw_open(&r, &fx, true);
	say_bytes(&body, 60000);
	assert_true(lt_zstd_pack(&body, LT_ZSTD_SMALL));
	half = body.len / 2;
	request(&r, 1, 1);
	(void)raw_send(&r, LT_FRAME_DATA, LT_DATA_ZSTD, 1, body.data, half);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 1, body.data + half, body.len - half);
	assert_int_equal(answer(&r, 1, &zstd), 60000);
	request(&r, 3, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 3, body.data, body.len - 1);
	assert_int_equal(raw_end_of(&r, 3), LT_STATUS_INVALID_ARGUMENT);
	n = rle_frame(frame, BLOCK * 8, 200, BLOCK);
	request(&r, 5, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 5, frame, n);
	assert_int_equal(raw_end_of(&r, 5), LT_STATUS_INVALID_ARGUMENT);
	n = rle_frame(frame, BLOCK * 8 + 1, 9, 1);
	request(&r, 7, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 7, frame, n);
	assert_int_equal(raw_end_of(&r, 7), LT_STATUS_INVALID_ARGUMENT);
	request(&r, 9, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 9, NULL, 0);
	assert_int_equal(raw_end_of(&r, 9), LT_STATUS_INVALID_ARGUMENT);
	/* A whole frame that holds no message. */
	n = rle_frame(frame, 9, 1, 9);
	request(&r, 11, 0);
	(void)raw_send(&r, LT_FRAME_DATA, 7, 11, frame, n);
	assert_int_equal(raw_end_of(&r, 11), LT_STATUS_INVALID_ARGUMENT);
	/* Half of a message compressed breaks the rules of the frames. */
	request(&r, 13, 0);
	(void)raw_send(&r, LT_FRAME_DATA, LT_DATA_ZSTD, 13, body.data, half);
	(void)raw_send(&r, LT_FRAME_DATA, 3, 13, body.data + half, body.len - half);
	raw_until_closed(&r);
	lt_buf_fini(&body);
	raw_close(&r);
	fx_stop(&fx);
}

/* A hub by hand: tells its encodings or, an older program, does not; answers two requests and remembers how they came. */
struct hub {
	struct fx *fx;
	int fd;
	int tells; /* bytes of what it tells, 0: nothing */
	bool zstd[2];
	size_t len[2];
};

static void *
hub_run(void *arg)
{
	static const uint8_t told[6] = { 0, 0, 0, 1, 9, 9 };
	struct hub *h = arg;
	struct raw r;
	struct lt_frame f;
	unsigned n;

	raw_accept(&r, accept(h->fd, NULL, NULL), false, h->fx);
	if (h->tells != 0)
		(void)raw_send(&r, LT_FRAME_ENCODINGS, 0, 0, told, (size_t)h->tells);
	for (n = 0; n < 2; n++) {
		do {
			assert_true(raw_next(&r, &f));
			if (f.type == LT_FRAME_DATA) {
				h->zstd[n] = (f.flags & LT_DATA_ZSTD) != 0;
				h->len[n] += f.payload.len;
			}
		} while (f.type != LT_FRAME_DATA || (f.flags & LT_DATA_NO_MORE) == 0);
		(void)raw_send(&r, LT_FRAME_DATA, 3, f.id, NULL, 0);
		(void)raw_send(&r, LT_FRAME_END, 0, f.id, NULL, 0);
	}
	raw_until_closed(&r);
	raw_close(&r);
	return NULL;
}

static void
with_hub(struct fx *fx, int tells, bool compressed)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_dial_options o = fx_dial_options(fx, true);
	struct hub h = { .fx = fx, .tells = tells };
	socklen_t len = sizeof(in);
	struct lt_buf text = { 0 };
	struct lt_conn *c;
	struct lt_status st;
	pthread_t thread;
	char url[64];
	int n;

	h.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(h.fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(h.fd, 1), 0);
	assert_int_equal(getsockname(h.fd, (struct sockaddr *)&in, &len), 0);
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", (int)ntohs(in.sin_port));
	o.url = url;
	assert_int_equal(pthread_create(&thread, NULL, hub_run, &h), 0);
	assert_int_equal(lt_dial(&o, &c, NULL), LT_OK);
	fill_text(&text, 20000);
	req.data.data = text.data;
	req.data.len = text.len;
	for (n = 0; n < 2; n++)
		assert_int_equal(
		    lt_conn_call_wait(c, ECHO, "Say", &req.base, 15000, NULL, &st), LT_STATUS_OK);
	lt_conn_close(c);
	(void)pthread_join(thread, NULL);
	/* The first may have gone before it was told. */
	assert_int_equal(h.zstd[1], compressed);
	assert_true(compressed ? h.len[1] < 10000 : h.len[1] > 20000);
	lt_buf_fini(&text);
	(void)close(h.fd);
}

static void
old_and_new_hub(void **state)
{
	struct fx fx;

	(void)state;
	fx_start(&fx, NULL);
	with_hub(&fx, 0, false);
	with_hub(&fx, 3, false); /* not what it should be: as if not said */
	with_hub(&fx, 4, true);
	with_hub(&fx, 6, true); /* a newer one, with more behind */
	fx_stop(&fx);
}

/* Both ends ours, every size about the bounds, many calls at once by two connections: what was said comes back. */
static void
both_ours(void **state)
{
	static const size_t sizes[] = { 0, 1000, 1020, 1024, 1025, 16384, 100000, 1048000 };
	Lttest__EchoRequest req = LTTEST__ECHO_REQUEST__INIT;
	struct lt_status st;
	struct lt_conn *c;
	struct fx fx;
	size_t i;
	int tcp;

	(void)state;
	fx_start(&fx, NULL);
	for (tcp = 0; tcp < 2; tcp++) {
		c = fx_dial(&fx, tcp == 1);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct lt_buf text = { 0 };
			ProtobufCMessage *m;
			const Lttest__EchoReply *reply;

			fill_text(&text, sizes[i]);
			req.data.data = text.data;
			req.data.len = text.len;
			assert_int_equal(
			    lt_conn_call_wait(c, ECHO, "Say", &req.base, 15000, &m, &st),
			    LT_STATUS_OK);
			reply = (const Lttest__EchoReply *)m;
			assert_int_equal(reply->data.len, sizes[i]);
			if (sizes[i] != 0)
				assert_memory_equal(reply->data.data, text.data, sizes[i]);
			protobuf_c_message_free_unpacked(m, NULL);
			lt_buf_fini(&text);
		}
		lt_conn_close(c);
	}
	fx_stop(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packs),
		cmocka_unit_test(bombs),
		cmocka_unit_test(frames_of_others),
		cmocka_unit_test(garbage),
		cmocka_unit_test(answers),
		cmocka_unit_test(requests),
		cmocka_unit_test(old_and_new_hub),
		cmocka_unit_test(both_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
