/* Checkpoints: their bytes, the two signatures on them, and what two of them say together. */
#include "proto/feed/checkpoint.h"

#include "tests/lib/golden.h"

#include <stdio.h>

static const uint8_t federation[32] = { 1, 2, 3 };

static struct lt_hash
hash_of(uint8_t v)
{
	struct lt_hash h = { { v } };

	return h;
}

/* A head a letter: lane, epoch, number, hash. */
struct word {
	int lane;
	uint64_t epoch, seq;
	uint8_t hash;
};

static void
make(struct lt_checkpoint *c, const struct word *w, size_t n)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	memcpy(c->federation.b, federation, 32);
	memset(c->hub.b, 7, LT_ID_LEN);
	c->key_no = 1;
	c->time_ms = 1000;
	c->position = 9;
	c->nhead = n;
	for (i = 0; i < n && i < LT_CHECKPOINT_HEADS_MAX; i++) {
		c->head[i].feed = lt_feed_id_make(c->hub, (enum lt_lane)w[i].lane, w[i].epoch);
		c->head[i].seq = w[i].seq;
		c->head[i].hash = hash_of(w[i].hash);
	}
}

/* ---- bytes ---- */

static int
made(const struct lt_checkpoint *c)
{
	struct lt_buf b = { 0 };
	struct lt_checkpoint back;
	int rc = lt_checkpoint_pack(c, &b);

	if (rc == LT_OK) {
		assert_int_equal(b.len, 102 + 49 * c->nhead);
		assert_int_equal(lt_checkpoint_parse(lt_buf_slice(&b), &back, NULL), LT_OK);
		assert_memory_equal(&back, c, sizeof(back));
	} else {
		assert_int_equal(b.len, 0);
	}
	lt_buf_fini(&b);
	return rc;
}

static void
what_is_no_checkpoint_is_not_made(void **state)
{
	static const struct word good[] = { { 1, 5, 1, 1 }, { 1, 6, 1, 1 }, { 2, 5, 1, 1 } };
	static const struct word bad[][2] = {
		{ { 1, 6, 1, 1 }, { 1, 5, 1, 1 } }, /* unsorted */
		{ { 2, 5, 1, 1 }, { 1, 6, 1, 1 } },
		{ { 1, 5, 1, 1 }, { 1, 5, 2, 2 } }, /* twice */
		{ { 1, 5, 0, 1 }, { 1, 6, 1, 1 } }, /* number 0 */
		{ { 0, 5, 1, 1 }, { 1, 6, 1, 1 } }, /* no lane */
		{ { 1, 5, 1, 1 }, { 4, 6, 1, 1 } },
		{ { 1, 5, UINT64_C(1) << 63, 1 }, { 1, 6, 1, 1 } },
	};
	struct word many[LT_CHECKPOINT_HEADS_MAX + 1];
	struct lt_checkpoint c;
	size_t i;

	(void)state;
	make(&c, good, 3);
	assert_int_equal(made(&c), LT_OK);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make(&c, bad[i], 2);
		assert_int_equal(made(&c), LT_E_INVALID);
	}
	make(&c, good, 0);
	assert_int_equal(made(&c), LT_E_INVALID);
	for (i = 0; i <= LT_CHECKPOINT_HEADS_MAX; i++)
		many[i] = (struct word){ 3, i, i + 1, 1 };
	make(&c, many, LT_CHECKPOINT_HEADS_MAX);
	assert_int_equal(made(&c), LT_OK);
	make(&c, many, LT_CHECKPOINT_HEADS_MAX + 1);
	assert_int_equal(made(&c), LT_E_INVALID);
	make(&c, good, 3);
	c.key_no = 0;
	assert_int_equal(made(&c), LT_E_INVALID);
	make(&c, good, 3);
	c.time_ms = UINT64_C(1) << 47;
	assert_int_equal(made(&c), LT_E_INVALID);
	c.time_ms--;
	assert_int_equal(made(&c), LT_OK);
	c.head[1].feed.b[0] ^= 1; /* another author's */
	assert_int_equal(made(&c), LT_E_INVALID);
}

/* Each bit turned, each cut, a byte more: refused by layout or signature. */
static void
damaged_bytes_are_refused(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_slice body = golden_bytes(g, "body"), sig = golden_bytes(g, "signature");
	const uint8_t *key = golden_bytes(g, "hub_key").data;
	uint8_t bytes[LT_CHECKPOINT_BYTES_MAX + 1] = { 0 };
	struct lt_checkpoint c;
	struct lt_fed fed;
	struct lt_id hub;
	size_t i;

	(void)state;
	memcpy(fed.b, golden_bytes(g, "federation").data, LT_FED_LEN);
	memcpy(hub.b, golden_bytes(g, "hub").data, LT_ID_LEN);
	memcpy(bytes, body.data, body.len);
	assert_int_equal(
	    lt_checkpoint_verify(lt_slice(bytes, body.len), sig, &fed, &hub, key, &c, NULL), LT_OK);
	for (i = 0; i < body.len * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(
		    lt_checkpoint_verify(lt_slice(bytes, body.len), sig, &fed, &hub, key, &c, NULL),
		    LT_OK);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (i = 0; i < body.len; i++)
		assert_int_equal(lt_checkpoint_parse(lt_slice(bytes, i), &c, NULL), LT_E_INVALID);
	assert_int_equal(
	    lt_checkpoint_parse(lt_slice(bytes, body.len + 1), &c, NULL), LT_E_INVALID);
	assert_int_equal(
	    lt_checkpoint_parse(lt_slice(bytes, sizeof(bytes)), &c, NULL), LT_E_INVALID);
	assert_int_equal(
	    lt_checkpoint_verify(body, lt_slice(sig.data, 63), &fed, &hub, key, &c, NULL),
	    LT_E_BADSIG);
	/* Of another federation, of another hub, and by another key. */
	fed.b[0] ^= 1;
	assert_int_equal(lt_checkpoint_verify(body, sig, &fed, &hub, key, &c, NULL), LT_E_DENIED);
	fed.b[0] ^= 1;
	hub.b[0] ^= 1;
	assert_int_equal(lt_checkpoint_verify(body, sig, &fed, &hub, key, &c, NULL), LT_E_DENIED);
	hub.b[0] ^= 1;
	assert_int_equal(
	    lt_checkpoint_verify(body, sig, &fed, &hub, golden_bytes(g, "node_key").data, &c, NULL),
	    LT_E_BADSIG);
}

static void
bytes_are_those_of_the_second_implementation(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_slice body = golden_bytes(g, "body");
	struct lt_sign_key hub, node;
	uint8_t sig[LT_SIG_LEN];
	struct lt_buf b = { 0 };
	struct lt_checkpoint c;
	struct lt_hash h;
	struct lt_id id;

	(void)state;
	assert_int_equal(lt_checkpoint_parse(body, &c, NULL), LT_OK);
	assert_int_equal(c.nhead, 3);
	assert_int_equal(c.key_no, 3);
	assert_int_equal(c.time_ms, UINT64_C(1785542400123));
	assert_int_equal(c.position, 81234);
	assert_int_equal(lt_feed_lane(&c.head[1].feed), LT_LANE_NORMAL);
	assert_int_equal(lt_feed_epoch(&c.head[0].feed), UINT64_C(0x1122334455667788));
	assert_int_equal(c.head[1].seq, 70000);
	assert_int_equal(lt_checkpoint_pack(&c, &b), LT_OK);
	golden_same("body", body, lt_buf_slice(&b));
	lt_checkpoint_hash(body, &h);
	golden_same("hash", golden_bytes(g, "hash"), lt_slice(h.b, LT_HASH_LEN));
	lt_sign_key_from_seed(golden_bytes(g, "hub_seed").data, &hub);
	lt_sign(&hub, LT_TAG_CHECKPOINT, body, sig);
	golden_same("signature", golden_bytes(g, "signature"), lt_slice(sig, LT_SIG_LEN));
	lt_sign_key_from_seed(golden_bytes(g, "node_seed").data, &node);
	memcpy(id.b, golden_bytes(g, "principal").data, LT_ID_LEN);
	lt_cosign(&node, &id, 258, &h, sig);
	golden_same("cosignature", golden_bytes(g, "cosignature"), lt_slice(sig, LT_SIG_LEN));
	lt_buf_clear(&b);
	lt_checkpoint_words(&c, &b);
	lt_buf_u8(&b, 0);
	assert_string_equal((char *)b.data, golden_text(g, "words"));
	lt_buf_fini(&b);
}

static void
a_cosignature_is_of_one_node_key_and_checkpoint(void **state)
{
	const json_t *g = golden("checkpoint");
	struct lt_slice sig = golden_bytes(g, "cosignature");
	const uint8_t *key = golden_bytes(g, "node_key").data;
	struct lt_hash h;
	struct lt_id id;

	(void)state;
	lt_checkpoint_hash(golden_bytes(g, "body"), &h);
	memcpy(id.b, golden_bytes(g, "principal").data, LT_ID_LEN);
	assert_int_equal(lt_cosign_verify(key, &id, 258, &h, sig), LT_OK);
	assert_int_equal(lt_cosign_verify(key, &id, 257, &h, sig), LT_E_BADSIG);
	assert_int_equal(
	    lt_cosign_verify(golden_bytes(g, "hub_key").data, &id, 258, &h, sig), LT_E_BADSIG);
	assert_int_equal(
	    lt_cosign_verify(key, &id, 258, &h, golden_bytes(g, "signature")), LT_E_BADSIG);
	id.b[15] ^= 1;
	assert_int_equal(lt_cosign_verify(key, &id, 258, &h, sig), LT_E_BADSIG);
	id.b[15] ^= 1;
	h.b[31] ^= 1;
	assert_int_equal(lt_cosign_verify(key, &id, 258, &h, sig), LT_E_BADSIG);
}

/* ---- two of them ---- */

struct pair {
	const char *what;
	struct word a[3], b[3];
	size_t na, nb;
	enum lt_checkpoint_relation want;
};

static const struct pair pairs[] = {
	{ "the same", { { 1, 5, 4, 1 } }, { { 1, 5, 4, 1 } }, 1, 1, LT_CHECKPOINTS_SAME },
	{ "shorter", { { 1, 5, 3, 9 } }, { { 1, 5, 4, 1 } }, 1, 1, LT_CHECKPOINTS_BEHIND },
	{ "a new epoch there", { { 1, 5, 4, 1 } }, { { 1, 5, 4, 1 }, { 1, 6, 1, 1 } }, 1, 2,
	    LT_CHECKPOINTS_BEHIND },
	/* After a restore: the old epoch is shorter than it was, and there is a new one. */
	{ "restored", { { 1, 5, 9, 1 } }, { { 1, 5, 4, 3 }, { 1, 6, 1, 1 } }, 1, 2,
	    LT_CHECKPOINTS_APART },
	{ "nothing in common", { { 1, 5, 4, 1 } }, { { 1, 6, 4, 2 } }, 1, 1, LT_CHECKPOINTS_APART },
	{ "another lane", { { 1, 5, 4, 1 } }, { { 2, 5, 4, 2 } }, 1, 1, LT_CHECKPOINTS_APART },
	{ "one number, two hashes", { { 1, 5, 4, 1 } }, { { 1, 5, 4, 2 } }, 1, 1,
	    LT_CHECKPOINTS_CONTRADICT },
	{ "beside what is shorter", { { 1, 5, 3, 1 }, { 2, 5, 4, 1 } },
	    { { 1, 5, 4, 1 }, { 2, 5, 4, 2 } }, 2, 2, LT_CHECKPOINTS_CONTRADICT },
	{ "the last of three", { { 1, 5, 3, 1 }, { 2, 5, 4, 1 }, { 3, 1, 7, 1 } },
	    { { 1, 5, 3, 1 }, { 2, 5, 4, 1 }, { 3, 1, 7, 2 } }, 3, 3, LT_CHECKPOINTS_CONTRADICT },
};

static void
two_together(void **state)
{
	struct lt_checkpoint a, b;
	size_t i, at = 99;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const struct pair *p = &pairs[i];
		enum lt_checkpoint_relation back =
		    p->want == LT_CHECKPOINTS_BEHIND ? LT_CHECKPOINTS_AHEAD : p->want;

		make(&a, p->a, p->na);
		make(&b, p->b, p->nb);
		if (lt_checkpoint_compare(&a, &b, &at) != p->want ||
		    lt_checkpoint_compare(&b, &a, NULL) != back)
			fail_msg("%s", p->what);
	}
	assert_int_equal(at, 2);
	b.hub.b[0] ^= 1;
	assert_int_equal(lt_checkpoint_compare(&a, &b, NULL), LT_CHECKPOINTS_STRANGE);
	b.hub.b[0] ^= 1;
	b.federation.b[0] ^= 1;
	assert_int_equal(lt_checkpoint_compare(&a, &b, NULL), LT_CHECKPOINTS_STRANGE);
}

/* What is read out depends on the heads alone, and on each of them. */
static void
words_are_of_the_heads(void **state)
{
	static const struct word w[] = { { 1, 5, 4, 1 }, { 2, 5, 4, 1 } };
	struct lt_buf one = { 0 }, two = { 0 };
	struct lt_checkpoint c;

	(void)state;
	make(&c, w, 2);
	lt_checkpoint_words(&c, &one);
	c.time_ms++;
	c.position++;
	c.running = hash_of(4);
	c.key_no = 2;
	lt_checkpoint_words(&c, &two);
	assert_true(lt_slice_eq(lt_buf_slice(&one), lt_buf_slice(&two)));
	lt_buf_clear(&two);
	c.head[1].seq++;
	lt_checkpoint_words(&c, &two);
	assert_false(lt_slice_eq(lt_buf_slice(&one), lt_buf_slice(&two)));
	lt_buf_fini(&one);
	lt_buf_fini(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_checkpoint_is_not_made),
		cmocka_unit_test(damaged_bytes_are_refused),
		cmocka_unit_test(bytes_are_those_of_the_second_implementation),
		cmocka_unit_test(a_cosignature_is_of_one_node_key_and_checkpoint),
		cmocka_unit_test(two_together),
		cmocka_unit_test(words_are_of_the_heads),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
