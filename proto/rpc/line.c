#include "proto/rpc/line.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "LT1\n";
static const char local_magic[] = "LTL1";
static const char prologue_tag[] = "lienthong line 1";

#define MAGIC_LEN 4
#define HELLO_LEN (MAGIC_LEN + LT_LINE_NONCE_LEN)
#define PROLOGUE_LEN (sizeof(prologue_tag) - 1 + LT_FED_LEN + LT_LINE_NONCE_LEN)
#define MSG1_LEN (LT_LINE_KNOCK_LEN + LT_NOISE_MSG1_LEN)

enum state {
	I_HELLO, /* initiator: waits for magic and nonce */
	I_WRITE, /* initiator: message 1 is to be computed */
	I_ANSWER, /* initiator: waits for message 2 */
	I_READ, /* initiator: message 2 is to be computed */
	A_MSG1, /* acceptor: waits for knock and message 1 */
	A_WORK, /* acceptor: message 1 is to be computed */
	A_FIRST, /* acceptor: waits for the first transport message */
	L_MAGIC, /* local acceptor: waits for the magic */
	OPEN,
	FAILED,
};

struct lt_line {
	enum state state;
	bool local;
	bool acceptor;
	bool heard;
	bool proven;
	struct lt_noise noise;
	uint8_t federation[LT_FED_LEN];
	struct lt_line_key *key; /* NULL once the handshake is over */
	uint8_t remote[32];
	uint8_t nonce[LT_LINE_NONCE_LEN];
	bool e_given;
	uint8_t e_sk[32];
	struct lt_noise_cipher tx, rx;
	uint64_t tx_count, rx_count, rekey_every;
	struct lt_buf in; /* a part of one record, or handshake bytes waiting for work */
	struct lt_buf out;
	const char *why;
};

/* The handshake is over, one way or the other. */
static void
shaken(struct lt_line *l)
{
	lt_noise_fini(&l->noise);
	lt_line_key_unref(l->key);
	l->key = NULL;
}

static int
fail(struct lt_line *l, int rc, const char *why)
{
	l->state = FAILED;
	l->why = why;
	sodium_memzero(&l->tx, sizeof(l->tx));
	sodium_memzero(&l->rx, sizeof(l->rx));
	shaken(l);
	return rc;
}

static struct lt_line *
line_new(enum state state, bool acceptor)
{
	struct lt_line *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->state = state;
	l->acceptor = acceptor;
	l->rekey_every = LT_LINE_REKEY_EVERY;
	l->why = "";
	return l;
}

struct lt_line *
lt_line_new_initiator(
    const uint8_t federation[LT_FED_LEN], struct lt_line_key *key, const uint8_t remote_pk[32])
{
	struct lt_line *l = line_new(I_HELLO, false);

	if (l == NULL)
		return NULL;
	memcpy(l->federation, federation, sizeof(l->federation));
	l->key = lt_line_key_ref(key);
	memcpy(l->remote, remote_pk, sizeof(l->remote));
	return l;
}

static void
noise_start(struct lt_line *l, bool initiator)
{
	uint8_t prologue[PROLOGUE_LEN], *p = prologue;

	memcpy(p, prologue_tag, sizeof(prologue_tag) - 1);
	p += sizeof(prologue_tag) - 1;
	memcpy(p, l->federation, LT_FED_LEN);
	memcpy(p + LT_FED_LEN, l->nonce, LT_LINE_NONCE_LEN);
	lt_noise_init(&l->noise, initiator, lt_slice(prologue, sizeof(prologue)),
	    lt_line_key_secret(l->key), lt_line_key_public(l->key), initiator ? l->remote : NULL);
	if (l->e_given)
		lt_noise_set_ephemeral(&l->noise, l->e_sk);
}

struct lt_line *
lt_line_new_acceptor(
    const uint8_t federation[LT_FED_LEN], struct lt_line_key *key, const uint8_t *nonce)
{
	struct lt_line *l = line_new(A_MSG1, true);

	if (l == NULL)
		return NULL;
	memcpy(l->federation, federation, sizeof(l->federation));
	l->key = lt_line_key_ref(key);
	if (nonce != NULL)
		memcpy(l->nonce, nonce, sizeof(l->nonce));
	else
		randombytes_buf(l->nonce, sizeof(l->nonce));
	noise_start(l, false);
	lt_buf_put(&l->out, magic, MAGIC_LEN);
	lt_buf_put(&l->out, l->nonce, sizeof(l->nonce));
	return l;
}

struct lt_line *
lt_line_new_local(bool initiator)
{
	struct lt_line *l = line_new(initiator ? OPEN : L_MAGIC, !initiator);

	if (l == NULL)
		return NULL;
	l->local = true;
	if (initiator)
		lt_buf_put(&l->out, local_magic, MAGIC_LEN);
	return l;
}

void
lt_line_free(struct lt_line *l)
{
	if (l == NULL)
		return;
	lt_buf_fini(&l->in);
	lt_buf_fini(&l->out);
	lt_line_key_unref(l->key);
	sodium_memzero(l, sizeof(*l));
	free(l);
}

void
lt_line_set_rekey(struct lt_line *l, uint64_t every)
{
	assert(every > 0);
	l->rekey_every = every;
}

void
lt_line_set_ephemeral(struct lt_line *l, const uint8_t sk[32])
{
	memcpy(l->e_sk, sk, sizeof(l->e_sk));
	l->e_given = true;
	if (l->acceptor)
		lt_noise_set_ephemeral(&l->noise, sk);
}

/* knock = BLAKE2b(out 16, key H("lt1.knock", acceptor's public key), nonce || message 1) */
static void
knock_of(uint8_t out[LT_LINE_KNOCK_LEN], const uint8_t acceptor_pk[32],
    const uint8_t nonce[LT_LINE_NONCE_LEN], struct lt_slice msg1)
{
	static const uint8_t tag[] = "\x09lt1.knock";
	crypto_generichash_blake2b_state st;
	uint8_t key[32];

	(void)crypto_generichash_blake2b_init(&st, NULL, 0, sizeof(key));
	(void)crypto_generichash_blake2b_update(&st, tag, sizeof(tag) - 1);
	(void)crypto_generichash_blake2b_update(&st, acceptor_pk, 32);
	(void)crypto_generichash_blake2b_final(&st, key, sizeof(key));
	(void)crypto_generichash_blake2b_init(&st, key, sizeof(key), LT_LINE_KNOCK_LEN);
	(void)crypto_generichash_blake2b_update(&st, nonce, LT_LINE_NONCE_LEN);
	(void)crypto_generichash_blake2b_update(&st, msg1.data, msg1.len);
	(void)crypto_generichash_blake2b_final(&st, out, LT_LINE_KNOCK_LEN);
}

/* Bytes of the record that stands at the front of `in`, once its length is known: 0 while it is not.
 * Any length the state does not allow is refused before the bytes behind it are stored. */
static int
record_need(struct lt_line *l, size_t *need)
{
	size_t n;

	*need = 0;
	switch (l->state) {
	case I_HELLO:
		*need = HELLO_LEN;
		return LT_OK;
	case L_MAGIC:
		*need = MAGIC_LEN;
		return LT_OK;
	default:
		break;
	}
	if (l->in.len < 2)
		return LT_OK;
	n = lt_load_u16(l->in.data);
	switch (l->state) {
	case A_MSG1:
		if (n != MSG1_LEN)
			return fail(l, LT_E_INVALID, "wrong length of message 1");
		break;
	case I_ANSWER:
		if (n != LT_NOISE_MSG2_LEN)
			return fail(l, LT_E_INVALID, "wrong length of message 2");
		break;
	case A_FIRST:
		if (n > LT_LINE_STRANGER_MAX)
			return fail(l, LT_E_INVALID, "first frame too long");
		break;
	default:
		break;
	}
	if (l->local && (n < LT_FRAME_HEAD_LEN || n > LT_FRAME_MAX))
		return fail(l, LT_E_INVALID, "wrong length of a frame");
	if (!l->local && (l->state == OPEN || l->state == A_FIRST) &&
	    (n < LT_FRAME_HEAD_LEN + LT_NOISE_TAG_LEN || n > LT_LINE_PLAIN_MAX + LT_NOISE_TAG_LEN))
		return fail(l, LT_E_INVALID, "wrong length of a transport message");
	*need = 2 + n;
	return LT_OK;
}

static void
count_and_rekey(const struct lt_line *l, struct lt_noise_cipher *c, uint64_t *count)
{
	if (++*count % l->rekey_every == 0)
		lt_noise_rekey(c);
}

static int
open_record(struct lt_line *l, struct lt_slice body, uint8_t *plain, size_t *plain_len)
{
	if (l->local) {
		memcpy(plain, body.data, body.len);
		*plain_len = body.len;
		return LT_LINE_FRAME;
	}
	if (lt_noise_decrypt(&l->rx, lt_slice(NULL, 0), body, plain) != LT_OK)
		return fail(l, LT_E_INVALID, "a transport message does not decrypt");
	*plain_len = body.len - LT_NOISE_TAG_LEN;
	count_and_rekey(l, &l->rx, &l->rx_count);
	l->state = OPEN;
	return LT_LINE_FRAME;
}

/* A whole record of the current state. */
static int
take_record(struct lt_line *l, struct lt_slice rec, uint8_t *plain, size_t *plain_len)
{
	uint8_t knock[LT_LINE_KNOCK_LEN];
	struct lt_slice msg;

	switch (l->state) {
	case L_MAGIC:
		if (memcmp(rec.data, local_magic, MAGIC_LEN) != 0)
			return fail(l, LT_E_INVALID, "not our protocol");
		l->state = OPEN;
		return LT_LINE_MORE;
	case I_HELLO:
		if (memcmp(rec.data, magic, MAGIC_LEN) != 0)
			return fail(l, LT_E_INVALID, "not our protocol");
		memcpy(l->nonce, rec.data + MAGIC_LEN, sizeof(l->nonce));
		l->state = I_WRITE;
		return LT_LINE_WORK;
	case A_MSG1:
		msg = lt_slice(rec.data + 2 + LT_LINE_KNOCK_LEN, rec.len - 2 - LT_LINE_KNOCK_LEN);
		knock_of(knock, l->noise.s_pk, l->nonce, msg);
		if (sodium_memcmp(knock, rec.data + 2, sizeof(knock)) != 0)
			return fail(l, LT_E_DENIED, "knock does not fit");
		l->state = A_WORK;
		return LT_LINE_WORK;
	case I_ANSWER:
		l->state = I_READ;
		return LT_LINE_WORK;
	case A_FIRST:
	case OPEN:
		return open_record(l, lt_slice(rec.data + 2, rec.len - 2), plain, plain_len);
	default:
		return fail(l, LT_E_INVALID, "bytes that nobody waits for");
	}
}

/* Drop the record in `in`; big memory is not kept for an idle connection. */
static void
in_done(struct lt_line *l)
{
	if (l->in.cap > 1024)
		lt_buf_fini(&l->in);
	else
		lt_buf_clear(&l->in);
}

/* A whole record inside the caller's bytes is opened where it lies. Returns false if there is none. */
static bool
feed_in_place(struct lt_line *l, const uint8_t **data, size_t *len, uint8_t *plain,
    size_t *plain_len, int *rc)
{
	size_t n, max = l->local ? (size_t)LT_FRAME_MAX : LT_LINE_PLAIN_MAX + LT_NOISE_TAG_LEN;
	size_t min = l->local ? LT_FRAME_HEAD_LEN : LT_FRAME_HEAD_LEN + LT_NOISE_TAG_LEN;

	if (l->state != OPEN || l->in.len != 0 || *len < 2)
		return false;
	n = lt_load_u16(*data);
	if (n < min || n > max || *len < 2 + n)
		return false;
	*rc = open_record(l, lt_slice(*data + 2, n), plain, plain_len);
	*data += 2 + n;
	*len -= 2 + n;
	return true;
}

int
lt_line_feed(
    struct lt_line *l, const uint8_t **data, size_t *len, uint8_t *plain, size_t *plain_len)
{
	size_t need, want, take;
	int rc;

	if (*len != 0)
		l->heard = true;
	while (*len != 0) {
		if (l->state == FAILED)
			return LT_E_INVALID;
		if (l->state == I_WRITE || l->state == I_READ || l->state == A_WORK)
			return fail(l, LT_E_INVALID, "bytes that nobody waits for");
		if (feed_in_place(l, data, len, plain, plain_len, &rc))
			return rc;
		rc = record_need(l, &need);
		if (rc != LT_OK)
			return rc;
		want = (need == 0 ? 2 : need) - l->in.len;
		take = want < *len ? want : *len;
		lt_buf_put(&l->in, *data, take);
		if (l->in.err != LT_OK)
			return fail(l, LT_E_NOMEM, "out of memory");
		*data += take;
		*len -= take;
		rc = record_need(l, &need);
		if (rc != LT_OK)
			return rc;
		if (need == 0 || l->in.len < need)
			continue;
		rc = take_record(l, lt_buf_slice(&l->in), plain, plain_len);
		if (rc != LT_LINE_WORK)
			in_done(l);
		if (rc == LT_LINE_WORK && *len != 0)
			return fail(l, LT_E_INVALID, "bytes that nobody waits for");
		if (rc != LT_LINE_MORE)
			return rc;
	}
	return LT_LINE_MORE;
}

static int
work_write1(struct lt_line *l)
{
	struct lt_buf msg = { 0 };
	uint8_t knock[LT_LINE_KNOCK_LEN];
	int rc;

	noise_start(l, true);
	rc = lt_noise_write1(&l->noise, lt_slice(NULL, 0), &msg);
	if (rc == LT_OK) {
		knock_of(knock, l->remote, l->nonce, lt_buf_slice(&msg));
		lt_buf_u16(&l->out, (uint16_t)(sizeof(knock) + msg.len));
		lt_buf_put(&l->out, knock, sizeof(knock));
		lt_buf_put_slice(&l->out, lt_buf_slice(&msg));
		rc = l->out.err;
		l->state = I_ANSWER;
	}
	lt_buf_fini(&msg);
	return rc == LT_OK ? LT_OK : fail(l, rc, "message 1 cannot be made: a bad key");
}

static int
work_read2(struct lt_line *l)
{
	struct lt_buf payload = { 0 };
	int rc = lt_noise_read2(&l->noise, lt_slice(l->in.data + 2, l->in.len - 2), &payload);

	if (rc == LT_OK && payload.len != 0)
		rc = LT_E_INVALID;
	lt_buf_fini(&payload);
	if (rc != LT_OK)
		return fail(l, rc, "message 2 does not verify");
	lt_noise_split(&l->noise, &l->tx, &l->rx);
	shaken(l);
	l->proven = true;
	l->state = OPEN;
	return LT_OK;
}

static int
work_accept(struct lt_line *l, int (*admit)(void *ctx, const uint8_t line_key[32]), void *ctx)
{
	const size_t off = 2 + LT_LINE_KNOCK_LEN;
	struct lt_slice msg1 = lt_slice(l->in.data + off, l->in.len - off);
	struct lt_buf payload = { 0 }, msg = { 0 };
	int rc = lt_noise_read1_static(&l->noise, msg1);

	if (rc != LT_OK)
		return fail(l, rc, "message 1 does not verify");
	if (admit != NULL && admit(ctx, l->noise.rs) != LT_OK)
		return fail(l, LT_E_DENIED, "key not admitted");
	rc = lt_noise_read1_finish(&l->noise, msg1, &payload);
	if (rc == LT_OK && payload.len != 0)
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		rc = lt_noise_write2(&l->noise, lt_slice(NULL, 0), &msg);
	lt_buf_fini(&payload);
	if (rc != LT_OK) {
		lt_buf_fini(&msg);
		return fail(l, rc, "message 1 does not prove its key");
	}
	lt_buf_u16(&l->out, (uint16_t)msg.len);
	lt_buf_put_slice(&l->out, lt_buf_slice(&msg));
	lt_buf_fini(&msg);
	memcpy(l->remote, l->noise.rs, sizeof(l->remote));
	l->proven = true;
	lt_noise_split(&l->noise, &l->rx, &l->tx);
	shaken(l);
	l->state = A_FIRST;
	return l->out.err;
}

int
lt_line_work(struct lt_line *l, int (*admit)(void *ctx, const uint8_t line_key[32]), void *ctx)
{
	int rc;

	switch (l->state) {
	case I_WRITE:
		rc = work_write1(l);
		break;
	case I_READ:
		rc = work_read2(l);
		break;
	case A_WORK:
		rc = work_accept(l, admit, ctx);
		break;
	default:
		return LT_E_INVALID;
	}
	lt_buf_fini(&l->in);
	return rc;
}

void
lt_line_out(struct lt_line *l, struct lt_buf *out)
{
	lt_buf_put_slice(out, lt_buf_slice(&l->out));
	lt_buf_fini(&l->out);
}

void
lt_line_seal(struct lt_line *l, struct lt_slice frame, struct lt_buf *out)
{
	uint8_t *p;

	assert(lt_line_ready(l) && frame.len <= LT_FRAME_MAX);
	if (l->local) {
		lt_buf_u16(out, (uint16_t)frame.len);
		lt_buf_put_slice(out, frame);
		return;
	}
	lt_buf_u16(out, (uint16_t)(frame.len + LT_NOISE_TAG_LEN));
	p = lt_buf_reserve(out, frame.len + LT_NOISE_TAG_LEN);
	if (p == NULL)
		return;
	lt_noise_encrypt(&l->tx, lt_slice(NULL, 0), frame, p);
	lt_buf_added(out, frame.len + LT_NOISE_TAG_LEN);
	count_and_rekey(l, &l->tx, &l->tx_count);
}

bool
lt_line_ready(const struct lt_line *l)
{
	return l->state == OPEN;
}

bool
lt_line_partial(const struct lt_line *l)
{
	return l->in.len != 0;
}

bool
lt_line_heard(const struct lt_line *l)
{
	return l->heard;
}

const uint8_t *
lt_line_remote(const struct lt_line *l)
{
	return l->proven ? l->remote : NULL;
}

const char *
lt_line_why(const struct lt_line *l)
{
	return l->why;
}
