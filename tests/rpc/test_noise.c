#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/rpc/noise.h"

#include <jansson.h>
#include <sodium.h>

static struct lt_buf
unhex(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	struct lt_buf b = { 0 };
	uint8_t *p;

	assert_non_null(s);
	p = lt_buf_reserve(&b, strlen(s) / 2);
	assert_non_null(p);
	assert_int_equal(lt_unhex(p, strlen(s) / 2, s), LT_OK);
	lt_buf_added(&b, strlen(s) / 2);
	return b;
}

struct sides {
	struct lt_noise i, r;
	uint8_t i_sk[32], r_sk[32]; /* borrowed by the two */
};

static void
init(struct lt_noise *n, bool initiator, struct lt_slice prologue, const uint8_t sk[32],
    const uint8_t *remote)
{
	uint8_t pk[32];

	assert_int_equal(crypto_scalarmult_base(pk, sk), 0);
	lt_noise_init(n, initiator, prologue, sk, pk, remote);
}

static void
start(struct sides *s, const json_t *v)
{
	struct lt_buf prologue = unhex(v, "init_prologue"), is = unhex(v, "init_static"),
		      ie = unhex(v, "init_ephemeral"), rs = unhex(v, "resp_static"),
		      re = unhex(v, "resp_ephemeral"), pk = unhex(v, "init_remote_static"),
		      rp = unhex(v, "resp_prologue");

	memcpy(s->i_sk, is.data, sizeof(s->i_sk));
	memcpy(s->r_sk, rs.data, sizeof(s->r_sk));
	init(&s->i, true, lt_buf_slice(&prologue), s->i_sk, pk.data);
	init(&s->r, false, lt_buf_slice(&rp), s->r_sk, NULL);
	lt_noise_set_ephemeral(&s->i, ie.data);
	lt_noise_set_ephemeral(&s->r, re.data);
	/* The responder's public key follows from its secret as the vector says. */
	assert_memory_equal(s->r.s_pk, pk.data, 32);
	lt_buf_fini(&prologue);
	lt_buf_fini(&is);
	lt_buf_fini(&ie);
	lt_buf_fini(&rs);
	lt_buf_fini(&re);
	lt_buf_fini(&pk);
	lt_buf_fini(&rp);
}

static void
expect(const struct lt_buf *got, const struct lt_buf *want)
{
	assert_int_equal(got->err, LT_OK);
	assert_int_equal(got->len, want->len);
	assert_memory_equal(got->data, want->data, want->len);
}

static void
handshake_message(
    struct sides *s, size_t n, const struct lt_buf *payload, const struct lt_buf *cipher)
{
	struct lt_buf out = { 0 }, read = { 0 };

	if (n == 0) {
		assert_int_equal(lt_noise_write1(&s->i, lt_buf_slice(payload), &out), LT_OK);
		expect(&out, cipher);
		assert_int_equal(lt_noise_read1_static(&s->r, lt_buf_slice(cipher)), LT_OK);
		assert_memory_equal(s->r.rs, s->i.s_pk, 32);
		assert_int_equal(lt_noise_read1_finish(&s->r, lt_buf_slice(cipher), &read), LT_OK);
	} else {
		assert_int_equal(lt_noise_write2(&s->r, lt_buf_slice(payload), &out), LT_OK);
		expect(&out, cipher);
		assert_int_equal(lt_noise_read2(&s->i, lt_buf_slice(cipher), &read), LT_OK);
	}
	expect(&read, payload);
	lt_buf_fini(&out);
	lt_buf_fini(&read);
}

static void
transport_message(struct lt_noise_cipher *tx, struct lt_noise_cipher *rx,
    const struct lt_buf *payload, const struct lt_buf *cipher)
{
	uint8_t out[512], back[512];

	assert_int_equal(payload->len + 16, cipher->len);
	assert_true(cipher->len <= sizeof(out));
	lt_noise_encrypt(tx, lt_slice(NULL, 0), lt_buf_slice(payload), out);
	assert_memory_equal(out, cipher->data, cipher->len);
	assert_int_equal(
	    lt_noise_decrypt(rx, lt_slice(NULL, 0), lt_buf_slice(cipher), back), LT_OK);
	assert_memory_equal(back, payload->data, payload->len);
}

/* Published vectors: every handshake and transport message, written and read by us, in both roles. */
static void
vectors(void **state)
{
	json_t *root =
		   json_load_file(LT_TEST_DATA "/noise_ik_25519_chachapoly_blake2b.json", 0, NULL),
	       *v, *m;
	struct lt_noise_cipher i_tx, i_rx, r_tx, r_rx;
	struct sides s;
	size_t i, n, seen = 0;

	(void)state;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		start(&s, v);
		json_array_foreach(json_object_get(v, "messages"), n, m)
		{
			struct lt_buf payload = unhex(m, "payload"),
				      cipher = unhex(m, "ciphertext");

			if (n < 2)
				handshake_message(&s, n, &payload, &cipher);
			if (n == 1) {
				lt_noise_split(&s.i, &i_tx, &i_rx);
				lt_noise_split(&s.r, &r_rx, &r_tx);
			}
			if (n >= 2 && n % 2 == 0)
				transport_message(&i_tx, &r_rx, &payload, &cipher);
			else if (n >= 2)
				transport_message(&r_tx, &i_rx, &payload, &cipher);
			lt_buf_fini(&payload);
			lt_buf_fini(&cipher);
			seen++;
		}
	}
	assert_int_equal(seen, 6);
	json_decref(root);
}

/* Values of Python's hmac with hashlib.blake2b. */
static void
hmac_known(void **state)
{
	uint8_t key[200], out[64], want[64];
	size_t i;

	(void)state;
	lt_noise_hmac(out, lt_slice("key", 3), lt_slice_str("The quick brown fox"));
	assert_int_equal(lt_unhex(want, 64,
			     "5c169e8a18362381efbc0f688fa1d48e99f2bd5885a19c29943e28b43d566f330555d"
			     "6c37a277cd4cbb1deca561f377c02f0d5388c6e1efd6e97de2bd8b2d678"),
	    LT_OK);
	assert_memory_equal(out, want, 64);
	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	lt_noise_hmac(out, lt_slice(key, sizeof(key)), lt_slice(NULL, 0));
	assert_int_equal(lt_unhex(want, 64,
			     "7388546f6fc7f13d6a774d6c7ed213aafc3c82f27851f8fae9fa679c6f52eb7cc873c"
			     "4a7f0b574ce29ff40e0641a436015a41a2cfbb84b9906495d4f801dbe4c"),
	    LT_OK);
	assert_memory_equal(out, want, 64);
}

/* Value of python3-cryptography: ENCRYPT(k, 2^64-1, "", 32 zero bytes), first half. */
static void
rekey_known(void **state)
{
	struct lt_noise_cipher c = { .n = 7, .keyed = true };
	uint8_t want[32];
	size_t i;

	(void)state;
	for (i = 0; i < 32; i++)
		c.k[i] = (uint8_t)i;
	lt_noise_rekey(&c);
	assert_int_equal(
	    lt_unhex(want, 32, "50835543a205b22c9323f2022bc4f67d838f90e61d5ccf33c4513e01f85b5042"),
	    LT_OK);
	assert_memory_equal(c.k, want, 32);
	assert_int_equal(c.n, 7);
}

/* The seven low-order points of Curve25519 that libsodium's list and the literature agree on. */
static void
low_order_points(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct lt_buf out = { 0 };
	struct lt_noise n;
	uint8_t sk[32], point[32], msg[LT_NOISE_MSG1_LEN] = { 0 };
	size_t i;

	(void)state;
	randombytes_buf(sk, sizeof(sk));
	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		assert_int_equal(lt_unhex(point, 32, points[i]), LT_OK);
		init(&n, true, lt_slice(NULL, 0), sk, point);
		assert_int_equal(lt_noise_write1(&n, lt_slice(NULL, 0), &out), LT_E_INVALID);
		init(&n, false, lt_slice(NULL, 0), sk, NULL);
		memcpy(msg, point, 32);
		assert_int_equal(
		    lt_noise_read1_static(&n, lt_slice(msg, sizeof(msg))), LT_E_INVALID);
		lt_noise_fini(&n);
	}
	lt_buf_fini(&out);
}

static void
short_messages(void **state)
{
	struct lt_noise n;
	struct lt_buf out = { 0 };
	uint8_t sk[32], msg[LT_NOISE_MSG1_LEN] = { 0 };

	(void)state;
	randombytes_buf(sk, sizeof(sk));
	init(&n, false, lt_slice(NULL, 0), sk, NULL);
	assert_int_equal(
	    lt_noise_read1_static(&n, lt_slice(msg, LT_NOISE_MSG1_LEN - 1)), LT_E_INVALID);
	assert_int_equal(
	    lt_noise_read2(&n, lt_slice(msg, LT_NOISE_MSG2_LEN - 1), &out), LT_E_INVALID);
	lt_noise_fini(&n);
	lt_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(hmac_known),
		cmocka_unit_test(rekey_known),
		cmocka_unit_test(low_order_points),
		cmocka_unit_test(short_messages),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
