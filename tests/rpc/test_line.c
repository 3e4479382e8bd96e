#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/line.h"

#include <sodium.h>

static uint8_t fed[32], i_sk[32], i_pk[32], a_sk[32], a_pk[32];
static struct lt_line_key *i_key, *a_key;

#define FRAMES_MAX 512

/* One end with what it has seen. */
struct end {
	struct lt_line *l;
	struct lt_buf out;
	struct lt_buf frames; /* framed */
	unsigned nframes, nworks, nadmits;
	int (*admit)(void *ctx, const uint8_t key[32]);
	int rc;
};

static int
admit_all(void *ctx, const uint8_t key[32])
{
	struct end *e = ctx;

	e->nadmits++;
	assert_memory_equal(key, i_pk, 32);
	return LT_OK;
}

static int
admit_none(void *ctx, const uint8_t key[32])
{
	struct end *e = ctx;

	(void)key;
	e->nadmits++;
	return LT_E_NOTFOUND;
}

/* Feed bytes and do what comes of it; stops at an error. */
static void
end_feed(struct end *e, const uint8_t *data, size_t len)
{
	uint8_t plain[LT_LINE_PLAIN_MAX];
	size_t plain_len;

	while (e->rc >= 0 && len != 0) {
		e->rc = lt_line_feed(e->l, &data, &len, plain, &plain_len);
		if (e->rc == LT_LINE_WORK) {
			e->nworks++;
			e->rc = lt_line_work(e->l, e->admit, e);
		} else if (e->rc == LT_LINE_FRAME) {
			e->nframes++;
			lt_buf_framed(&e->frames, lt_slice(plain, plain_len));
		}
	}
	if (e->rc >= 0)
		lt_line_out(e->l, &e->out);
}

static void
end_fini(struct end *e)
{
	lt_line_free(e->l);
	lt_buf_fini(&e->out);
	lt_buf_fini(&e->frames);
	memset(e, 0, sizeof(*e));
}

static void
ends_new(struct end *i, struct end *a)
{
	memset(i, 0, sizeof(*i));
	memset(a, 0, sizeof(*a));
	i->l = lt_line_new_initiator(fed, i_key, a_pk);
	a->l = lt_line_new_acceptor(fed, a_key, NULL);
	assert_non_null(i->l);
	assert_non_null(a->l);
	a->admit = admit_all;
	lt_line_out(i->l, &i->out);
	lt_line_out(a->l, &a->out);
}

/* Move what one end wants to say to the other, in pieces of `step` bytes. */
static void
move(struct end *from, struct end *to, size_t step)
{
	struct lt_buf bytes = from->out;
	size_t at, n;

	memset(&from->out, 0, sizeof(from->out));
	for (at = 0; at < bytes.len; at += n) {
		n = bytes.len - at < step ? bytes.len - at : step;
		end_feed(to, bytes.data + at, n);
	}
	lt_buf_fini(&bytes);
}

static void
say(struct end *e, const void *data, size_t len)
{
	lt_line_seal(e->l, lt_slice(data, len), &e->out);
	assert_int_equal(e->out.err, LT_OK);
}

static void
shake(struct end *i, struct end *a, size_t step)
{
	move(a, i, step);
	move(i, a, step);
	move(a, i, step);
}

/* Whatever way the bytes are cut, the handshake and frames come through. */
static void
any_cut(void **state)
{
	static const uint8_t first[] = "first frame", second[] = "second frame, back";
	struct end i, a;
	size_t step;

	(void)state;
	for (step = 1; step < 160; step++) {
		ends_new(&i, &a);
		shake(&i, &a, step);
		assert_int_equal(i.rc, 0);
		assert_int_equal(a.rc, 0);
		assert_true(lt_line_ready(i.l));
		/* The acceptor sends and does nothing before it has opened a frame. */
		assert_false(lt_line_ready(a.l));
		assert_int_equal(i.nworks, 2);
		assert_int_equal(a.nworks, 1);
		assert_int_equal(a.nadmits, 1);
		say(&i, first, sizeof(first));
		say(&i, first, 8);
		move(&i, &a, step);
		assert_true(lt_line_ready(a.l));
		assert_int_equal(a.nframes, 2);
		assert_int_equal(a.frames.len, 4 + sizeof(first) + 4 + 8);
		assert_memory_equal(a.frames.data + 4, first, sizeof(first));
		say(&a, second, sizeof(second));
		move(&a, &i, step);
		assert_int_equal(i.nframes, 1);
		assert_memory_equal(i.frames.data + 4, second, sizeof(second));
		assert_memory_equal(lt_line_remote(a.l), i_pk, 32);
		assert_memory_equal(lt_line_remote(i.l), a_pk, 32);
		end_fini(&i);
		end_fini(&a);
	}
}

/* Flip one bit of what `n`-th moves (0: nonce, 1: message 1, 2: message 2, 3: first frame). */
static void
one_flip(unsigned which, size_t bit, bool *beyond)
{
	struct end i, a, *from, *to;
	unsigned n;

	ends_new(&i, &a);
	*beyond = false;
	for (n = 0; n < 4; n++) {
		from = n % 2 == 0 ? &a : &i;
		to = n % 2 == 0 ? &i : &a;
		if (n == 3 && i.rc >= 0)
			say(&i, "12345678ABC", 11);
		if (n == which) {
			if (bit / 8 >= from->out.len) {
				*beyond = true;
				break;
			}
			from->out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		move(from, to, 4096);
		if (i.rc < 0 || a.rc < 0)
			break;
	}
	/* Either somebody noticed, or the flip made a longer record and it is still waited for. In no
	 * case does the acceptor act. */
	if (!*beyond) {
		assert_int_equal(a.nframes, 0);
		assert_false(lt_line_ready(a.l));
		if (which != 3 || bit >= 16)
			assert_true(i.rc < 0 || a.rc < 0);
		if (which < 2)
			assert_int_equal(a.nworks, 0); /* the knock stops it before any curve */
	}
	end_fini(&i);
	end_fini(&a);
}

static void
every_bit(void **state)
{
	static const size_t lens[] = { 20, 2 + 16 + 96, 2 + 48, 2 + 11 + 16 };
	unsigned which;
	size_t bit;
	bool beyond;

	(void)state;
	for (which = 0; which < 4; which++) {
		for (bit = 0;; bit++) {
			one_flip(which, bit, &beyond);
			if (beyond)
				break;
		}
		assert_int_equal(bit, 8 * lens[which]);
	}
}

/* Every cut of the stream: nothing happens early and nothing breaks. */
static void
cut_everywhere(void **state)
{
	struct end i, a;
	struct lt_buf b;
	size_t cut, len = 2 + 16 + 96;

	(void)state;
	for (cut = 0; cut < len; cut++) {
		ends_new(&i, &a);
		move(&a, &i, 99);
		assert_int_equal(i.out.len, len);
		b = i.out;
		end_feed(&a, b.data, cut);
		assert_int_equal(a.rc, 0);
		assert_int_equal(a.nworks, 0);
		assert_int_equal(a.out.len, 0);
		end_feed(&a, b.data + cut, len - cut);
		assert_int_equal(a.nworks, 1);
		assert_int_equal(a.out.len, 50);
		end_fini(&i);
		end_fini(&a);
	}
}

static void
wrong_hub_key(void **state)
{
	struct end i, a;
	uint8_t other[32], sk[32];

	(void)state;
	ends_new(&i, &a);
	randombytes_buf(sk, 32);
	crypto_scalarmult_base(other, sk);
	lt_line_free(i.l);
	i.l = lt_line_new_initiator(fed, i_key, other);
	shake(&i, &a, 99);
	assert_int_equal(a.rc, LT_E_DENIED);
	assert_int_equal(a.nworks, 0);
	end_fini(&i);
	end_fini(&a);
}

static void
wrong_federation(void **state)
{
	struct end i, a;
	uint8_t other[32];

	(void)state;
	ends_new(&i, &a);
	memcpy(other, fed, 32);
	other[31] ^= 1;
	lt_line_free(i.l);
	i.l = lt_line_new_initiator(other, i_key, a_pk);
	shake(&i, &a, 99);
	/* The prologue differs, so the static key does not even decrypt: nobody is asked. */
	assert_true(a.rc < 0);
	assert_int_equal(a.nadmits, 0);
	end_fini(&i);
	end_fini(&a);
}

static void
not_admitted(void **state)
{
	struct end i, a;

	(void)state;
	ends_new(&i, &a);
	a.admit = admit_none;
	shake(&i, &a, 99);
	assert_int_equal(a.rc, LT_E_DENIED);
	assert_int_equal(a.nadmits, 1);
	assert_int_equal(a.out.len, 0);
	assert_null(lt_line_remote(a.l));
	assert_string_equal(lt_line_why(a.l), "key not admitted");
	end_fini(&i);
	end_fini(&a);
}

/* A hub key of low order cannot be dialed. */
static void
low_order_hub(void **state)
{
	static const uint8_t low[32] = { 1 };
	struct end i, a;

	(void)state;
	ends_new(&i, &a);
	lt_line_free(i.l);
	i.l = lt_line_new_initiator(fed, i_key, low);
	move(&a, &i, 99);
	assert_true(i.rc < 0);
	end_fini(&i);
	end_fini(&a);
}

static int
admit_even_low(void *ctx, const uint8_t key[32])
{
	struct end *e = ctx;

	(void)key;
	e->nadmits++;
	return LT_OK;
}

/* Made by hand with the noise functions: message 1 whose static key is of low order, with a right knock. Even
 * where everybody is admitted it proves nothing. */
static void
low_order_static(void **state)
{
	static const uint8_t nonce[16] = { 9 };
	static const uint8_t tag[] = "\x09lt1.knock";
	crypto_generichash_blake2b_state st;
	struct end a = { 0 };
	struct lt_noise n;
	struct lt_buf msg = { 0 }, out = { 0 };
	uint8_t prologue[16 + 32 + 16], key[32], knock[16];

	(void)state;
	a.l = lt_line_new_acceptor(fed, a_key, nonce);
	a.admit = admit_even_low;
	memcpy(prologue, "lienthong line 1", 16);
	memcpy(prologue + 16, fed, 32);
	memcpy(prologue + 48, nonce, 16);
	lt_noise_init(&n, true, lt_slice(prologue, sizeof(prologue)), i_sk, i_pk, a_pk);
	memset(n.s_pk, 0, 32); /* what is sent; what we know of it does not matter */
	assert_int_equal(lt_noise_write1(&n, lt_slice(NULL, 0), &msg), LT_OK);
	crypto_generichash_blake2b_init(&st, NULL, 0, 32);
	crypto_generichash_blake2b_update(&st, tag, sizeof(tag) - 1);
	crypto_generichash_blake2b_update(&st, a_pk, 32);
	crypto_generichash_blake2b_final(&st, key, 32);
	crypto_generichash_blake2b_init(&st, key, 32, 16);
	crypto_generichash_blake2b_update(&st, nonce, 16);
	crypto_generichash_blake2b_update(&st, msg.data, msg.len);
	crypto_generichash_blake2b_final(&st, knock, 16);
	lt_buf_u16(&out, 16 + 96);
	lt_buf_put(&out, knock, 16);
	lt_buf_put(&out, msg.data, msg.len);
	end_feed(&a, out.data, out.len);
	assert_int_equal(a.nadmits, 1);
	assert_true(a.rc < 0);
	assert_null(lt_line_remote(a.l));
	lt_buf_fini(&msg);
	lt_buf_fini(&out);
	end_fini(&a);
}

/* Everything an initiator once sent, sent again to a fresh nonce: stopped by the knock. */
static void
replay(void **state)
{
	struct end i, a, again = { 0 };
	struct lt_buf said = { 0 };

	(void)state;
	ends_new(&i, &a);
	move(&a, &i, 99);
	lt_buf_put(&said, i.out.data, i.out.len);
	move(&i, &a, 99);
	move(&a, &i, 99);
	say(&i, "12345678", 8);
	lt_buf_put(&said, i.out.data, i.out.len);
	move(&i, &a, 99);
	assert_int_equal(a.nframes, 1);
	again.l = lt_line_new_acceptor(fed, a_key, NULL);
	again.admit = admit_all;
	end_feed(&again, said.data, said.len);
	assert_int_equal(again.rc, LT_E_DENIED);
	assert_int_equal(again.nworks, 0);
	assert_int_equal(again.nframes, 0);
	end_fini(&i);
	end_fini(&a);
	end_fini(&again);
	lt_buf_fini(&said);
}

/* Even the recorded first frame behind a handshake of one's own fails: keys differ each time. */
static void
replayed_frame(void **state)
{
	struct end i, a, i2, a2;
	struct lt_buf frame = { 0 };

	(void)state;
	ends_new(&i, &a);
	shake(&i, &a, 99);
	say(&i, "12345678", 8);
	lt_buf_put(&frame, i.out.data, i.out.len);
	ends_new(&i2, &a2);
	shake(&i2, &a2, 99);
	end_feed(&a2, frame.data, frame.len);
	assert_true(a2.rc < 0);
	assert_int_equal(a2.nframes, 0);
	end_fini(&i);
	end_fini(&a);
	end_fini(&i2);
	end_fini(&a2);
	lt_buf_fini(&frame);
}

/* Lengths, on both sides of each bound, in every state. */
static void
lengths(void **state)
{
	static const struct {
		const char *descr;
		int at; /* 0: message 1 at the acceptor, 1: message 2 at the initiator, 2: first frame, 3: later frame */
		uint16_t len;
		bool ok; /* waits for more */
	} cases[] = {
		{ "message 1, right", 0, 112, true },
		{ "message 1, short", 0, 111, false },
		{ "message 1, long", 0, 113, false },
		{ "message 1, zero", 0, 0, false },
		{ "message 1, 64 KiB", 0, 65535, false },
		{ "message 2, right", 1, 48, true },
		{ "message 2, short", 1, 47, false },
		{ "message 2, long", 1, 49, false },
		{ "first frame, smallest", 2, 24, true },
		{ "first frame, too small", 2, 23, false },
		{ "first frame, zero", 2, 0, false },
		{ "first frame, largest", 2, 1024, true },
		{ "first frame, one over", 2, 1025, false },
		{ "later frame, largest", 3, 16416, true },
		{ "later frame, one over", 3, 16417, false },
		{ "later frame, 64 KiB", 3, 65535, false },
		{ "later frame, too small", 3, 23, false },
	};
	struct end i, a, *e;
	uint8_t len[2];
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		print_message("%s\n", cases[n].descr);
		ends_new(&i, &a);
		e = &a;
		if (cases[n].at >= 1) {
			e = &i;
			move(&a, &i, 99);
		}
		if (cases[n].at >= 2) {
			e = &a;
			move(&i, &a, 99);
			move(&a, &i, 99);
		}
		if (cases[n].at == 3) {
			say(&i, "12345678", 8);
			move(&i, &a, 99);
			assert_int_equal(a.nframes, 1);
		}
		lt_store_u16(len, cases[n].len);
		end_feed(e, len, 2);
		assert_int_equal(e->rc >= 0, cases[n].ok);
		end_fini(&i);
		end_fini(&a);
	}
}

/* Bytes where it is the other side's turn. */
static void
talks_too_early(void **state)
{
	struct end i, a;

	(void)state;
	ends_new(&i, &a);
	lt_buf_put(&a.out, "x", 1);
	move(&a, &i, 99);
	assert_true(i.rc < 0);
	end_fini(&i);
	end_fini(&a);
	ends_new(&i, &a);
	move(&a, &i, 99);
	lt_buf_put(&i.out, "x", 1);
	move(&i, &a, 999);
	assert_true(a.rc < 0);
	end_fini(&i);
	end_fini(&a);
}

/* A record sent twice, or two swapped: the counter notices. */
static void
order_is_kept(void **state)
{
	struct end i, a;
	struct lt_buf one = { 0 }, two = { 0 };

	(void)state;
	ends_new(&i, &a);
	shake(&i, &a, 99);
	say(&i, "11111111", 8);
	lt_buf_put(&one, i.out.data, i.out.len);
	lt_buf_clear(&i.out);
	say(&i, "22222222", 8);
	lt_buf_put(&two, i.out.data, i.out.len);
	end_feed(&a, one.data, one.len);
	assert_int_equal(a.nframes, 1);
	end_feed(&a, one.data, one.len);
	assert_true(a.rc < 0);
	end_fini(&i);
	end_fini(&a);
	lt_buf_fini(&one);
	lt_buf_fini(&two);
}

/* Re-keying happens on both sides at the same message, in each direction by itself. */
static void
rekeying(void **state)
{
	struct end i, a;
	uint8_t body[16] = { 0 };
	unsigned n;

	(void)state;
	ends_new(&i, &a);
	lt_line_set_rekey(i.l, 3);
	lt_line_set_rekey(a.l, 3);
	shake(&i, &a, 99);
	for (n = 0; n < 20; n++) {
		say(&i, body, sizeof(body));
		move(&i, &a, 7);
		assert_int_equal(a.nframes, n + 1);
		if (n % 4 == 0) {
			say(&a, body, sizeof(body));
			move(&a, &i, 7);
		}
	}
	assert_int_equal(i.nframes, 5);
	/* A side that re-keys at another count is not understood any more. */
	lt_line_set_rekey(i.l, 1000);
	for (n = 0; n < 4; n++)
		say(&i, body, sizeof(body));
	move(&i, &a, 99);
	assert_true(a.rc < 0);
	end_fini(&i);
	end_fini(&a);
}

static void
largest_frame(void **state)
{
	static uint8_t body[LT_FRAME_MAX];
	struct end i, a;

	(void)state;
	ends_new(&i, &a);
	shake(&i, &a, 99);
	say(&i, body, 8);
	say(&i, body, sizeof(body));
	move(&i, &a, 5000);
	assert_int_equal(a.nframes, 2);
	assert_int_equal(a.frames.len, 12 + 4 + sizeof(body));
	end_fini(&i);
	end_fini(&a);
}

static void
local(void **state)
{
	struct end i = { 0 }, a = { 0 };
	size_t step;

	(void)state;
	for (step = 1; step < 40; step++) {
		i.l = lt_line_new_local(true);
		a.l = lt_line_new_local(false);
		assert_true(lt_line_ready(i.l));
		assert_false(lt_line_ready(a.l));
		lt_line_out(i.l, &i.out);
		say(&i, "12345678", 8);
		say(&i, "12345678abcdef", 14);
		assert_int_equal(i.out.len, 4 + 2 + 8 + 2 + 14);
		assert_memory_equal(i.out.data, "LTL1\0\x08", 6);
		move(&i, &a, step);
		assert_int_equal(a.nframes, 2);
		say(&a, "12345678", 8);
		move(&a, &i, step);
		assert_int_equal(i.nframes, 1);
		end_fini(&i);
		end_fini(&a);
	}
}

static void
local_refuses(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "GET ", 4 },
		{ "LT1\n", 4 },
		{ "LTL1\0\x07", 6 }, /* shorter than a head */
		{ "LTL1\0\0", 6 },
		{ "LTL1\x40\x09", 6 }, /* 16,393 */
		{ "LTL1\xff\xff", 6 },
	};
	struct end a = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		a.l = lt_line_new_local(false);
		end_feed(&a, (const uint8_t *)bad[n].bytes, bad[n].len);
		assert_true(a.rc < 0);
		end_fini(&a);
	}
	a.l = lt_line_new_local(false);
	end_feed(&a, (const uint8_t *)"LTL1\x40\x08", 6); /* 16,392: the largest */
	assert_int_equal(a.rc, 0);
	end_fini(&a);
}

/* Random bytes to every kind of end: an error, or waiting; never a frame on a secured line. */
static void
garbage(void **state)
{
	struct end e;
	uint8_t bytes[600];
	unsigned n;

	(void)state;
	for (n = 0; n < 3000; n++) {
		memset(&e, 0, sizeof(e));
		e.admit = admit_all;
		e.l = n % 2 == 0 ? lt_line_new_acceptor(fed, a_key, NULL)
				 : lt_line_new_initiator(fed, i_key, a_pk);
		randombytes_buf(bytes, sizeof(bytes));
		if (n % 4 >= 2)
			lt_store_u16(bytes, 112);
		if (n % 4 == 3)
			memcpy(bytes, "LT1\n", 4);
		end_feed(&e, bytes, n % 4 == 3 ? 20 : 1 + randombytes_uniform(sizeof(bytes)));
		end_feed(&e, bytes, sizeof(bytes));
		assert_int_equal(e.nframes, 0);
		assert_int_equal(e.nadmits, 0);
		assert_true(e.rc < 0);
		end_fini(&e);
	}
}

/* A part of a frame is told from none, wherever it is cut. */
static void
partial(void **state)
{
	static const uint8_t rec[] = { 'L', 'T', 'L', '1', 0, 9, 6, 0, 0, 0, 0, 0, 0, 0, 'x' };
	uint8_t plain[LT_LINE_PLAIN_MAX];
	const uint8_t *p;
	size_t cut, len, n;
	struct lt_line *l;
	int rc;

	(void)state;
	for (cut = 4; cut <= sizeof(rec); cut++) {
		l = lt_line_new_local(false);
		p = rec;
		len = cut;
		rc = lt_line_feed(l, &p, &len, plain, &n);
		assert_int_equal(rc, cut == sizeof(rec) ? LT_LINE_FRAME : LT_LINE_MORE);
		assert_int_equal(lt_line_partial(l), cut > 4 && cut < sizeof(rec));
		len = sizeof(rec) - cut;
		rc = len == 0 ? LT_LINE_FRAME : lt_line_feed(l, &p, &len, plain, &n);
		assert_int_equal(rc, LT_LINE_FRAME);
		assert_false(lt_line_partial(l));
		lt_line_free(l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut),
		cmocka_unit_test(every_bit),
		cmocka_unit_test(cut_everywhere),
		cmocka_unit_test(wrong_hub_key),
		cmocka_unit_test(wrong_federation),
		cmocka_unit_test(not_admitted),
		cmocka_unit_test(low_order_hub),
		cmocka_unit_test(low_order_static),
		cmocka_unit_test(replay),
		cmocka_unit_test(replayed_frame),
		cmocka_unit_test(lengths),
		cmocka_unit_test(talks_too_early),
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(rekeying),
		cmocka_unit_test(largest_frame),
		cmocka_unit_test(local),
		cmocka_unit_test(local_refuses),
		cmocka_unit_test(garbage),
		cmocka_unit_test(partial),
	};

	if (sodium_init() < 0)
		return 1;
	randombytes_buf(fed, 32);
	randombytes_buf(i_sk, 32);
	randombytes_buf(a_sk, 32);
	crypto_scalarmult_base(i_pk, i_sk);
	crypto_scalarmult_base(a_pk, a_sk);
	i_key = lt_line_key_new(i_sk);
	a_key = lt_line_key_new(a_sk);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
