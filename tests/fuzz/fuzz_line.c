/* The line: handshake of both sides, and transport messages, with somebody in the middle.
 *
 * Input: u8 kind, u8 messages under one key, then bytes (kinds 0 to 3: to one side alone) or steps (4 and 5: two sides, local
 * or secured). Must hold on a secured line: no frame arrives that was not sent, none out of order, and when nobody
 * touched the bytes all of them arrive.
 */
#include "proto/rpc/line.h"
#include "tests/fuzz/lib/fuzz.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 256
#define QUEUE_MAX ((size_t)256 * 1024)
#define MSG1 (LT_LINE_KNOCK_LEN + LT_NOISE_MSG1_LEN)

static uint8_t fed[32], acceptor_sk[32], acceptor_pk[32], initiator_sk[32], initiator_pk[32],
    e1[32], e2[32], nonce[LT_LINE_NONCE_LEN];
static struct lt_line_key *initiator_key, *acceptor_key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	memset(fed, 1, sizeof(fed));
	memset(acceptor_sk, 2, sizeof(acceptor_sk));
	memset(initiator_sk, 3, sizeof(initiator_sk));
	memset(e1, 4, sizeof(e1));
	memset(e2, 5, sizeof(e2));
	memset(nonce, 6, sizeof(nonce));
	(void)crypto_scalarmult_base(acceptor_pk, acceptor_sk);
	(void)crypto_scalarmult_base(initiator_pk, initiator_sk);
	initiator_key = lt_line_key_new(initiator_sk);
	acceptor_key = lt_line_key_new(acceptor_sk);
	return 0;
}

/* One side, and the bytes on their way to it. */
struct side {
	struct lt_line *line;
	struct lt_buf way; /* not yet delivered */
	struct lt_buf sent; /* frames sent to it, framed, in order */
	size_t sent_off;
	bool touched; /* somebody changed bytes on the way */
	bool failed;
	bool secured;
	const uint8_t *remote; /* whose key the other side has */
};

static void
check_frame(struct side *s, struct lt_slice frame)
{
	struct lt_reader r;
	struct lt_slice want;

	FUZZ_MUST(frame.len >= LT_FRAME_HEAD_LEN && frame.len <= LT_LINE_PLAIN_MAX);
	if (!s->secured && s->touched)
		return;
	FUZZ_MUST(s->sent_off < s->sent.len);
	lt_reader_init(&r, lt_slice(s->sent.data + s->sent_off, s->sent.len - s->sent_off));
	want = lt_read_framed(&r);
	FUZZ_MUST(r.err == LT_OK && lt_slice_eq(want, frame));
	s->sent_off += 4 + want.len;
}

static int
admit(void *ctx, const uint8_t key[32])
{
	const struct side *s = ctx;

	/* Not proven yet, but nobody else's key can stand there when nothing was touched. */
	FUZZ_MUST(s->touched || memcmp(key, initiator_pk, 32) == 0);
	return key[0] == 0 ? LT_E_DENIED : LT_OK;
}

static void
deliver(struct side *s, struct side *back, const uint8_t *p, size_t len)
{
	static uint8_t plain[LT_LINE_PLAIN_MAX];
	size_t plain_len = 0;
	int rc;

	while (len != 0 && !s->failed) {
		rc = lt_line_feed(s->line, &p, &len, plain, &plain_len);
		if (rc == LT_LINE_WORK)
			rc = lt_line_work(s->line, admit, s);
		else if (rc == LT_LINE_FRAME)
			check_frame(s, lt_slice(plain, plain_len));
		s->failed = rc < 0;
		lt_line_out(s->line, &back->way);
	}
	FUZZ_MUST(!s->failed || lt_line_why(s->line)[0] != '\0');
	/* Whoever is proven is who there is. */
	if (s->secured && lt_line_remote(s->line) != NULL)
		FUZZ_MUST(memcmp(lt_line_remote(s->line), s->remote, 32) == 0);
}

static void
deliver_front(struct side *s, struct side *back, size_t n)
{
	uint8_t *copy;

	if (n > s->way.len)
		n = s->way.len;
	if (n == 0)
		return;
	copy = fuzz_copy(lt_slice(s->way.data, n));
	memmove(s->way.data, s->way.data + n, s->way.len - n);
	s->way.len -= n;
	deliver(s, back, copy, n);
	free(copy);
}

/* A frame from `from` to `to`. */
static void
send_frame(struct side *from, struct side *to, struct fuzz_in *in, bool initiator)
{
	static uint8_t frame[LT_FRAME_MAX];
	size_t len = LT_FRAME_HEAD_LEN + fuzz_u16(in) % (LT_FRAME_PAYLOAD_MAX + 1);

	memset(frame, fuzz_u8(in), len);
	if (from->failed || !lt_line_ready(from->line) || to->way.len > QUEUE_MAX)
		return;
	/* The acceptor takes no long frame before it knows that the other side has the keys. */
	if (initiator && to->sent.len == 0 && len + LT_NOISE_TAG_LEN > LT_LINE_STRANGER_MAX)
		to->touched = true;
	lt_line_seal(from->line, lt_slice(frame, len), &to->way);
	lt_buf_framed(&to->sent, lt_slice(frame, len));
}

/* Message 1 changed, with a knock that fits: whoever knows the acceptor's public key can do that. */
static void
fix_knock(struct side *s)
{
	static const uint8_t tag[] = "\x09lt1.knock";
	uint8_t key[32], knock[LT_LINE_KNOCK_LEN], *p = s->way.data;
	crypto_generichash_blake2b_state st;

	if (s->way.len < 2 + MSG1 || lt_load_u16(p) != MSG1)
		return;
	(void)crypto_generichash_blake2b_init(&st, NULL, 0, 32);
	(void)crypto_generichash_blake2b_update(&st, tag, sizeof(tag) - 1);
	(void)crypto_generichash_blake2b_update(&st, acceptor_pk, 32);
	(void)crypto_generichash_blake2b_final(&st, key, 32);
	(void)crypto_generichash_blake2b_init(&st, key, 32, LT_LINE_KNOCK_LEN);
	(void)crypto_generichash_blake2b_update(&st, nonce, sizeof(nonce));
	(void)crypto_generichash_blake2b_update(&st, p + 2 + LT_LINE_KNOCK_LEN, LT_NOISE_MSG1_LEN);
	(void)crypto_generichash_blake2b_final(&st, knock, sizeof(knock));
	/* What stands there may be a frame of that length. */
	s->touched = s->touched || memcmp(p + 2, knock, sizeof(knock)) != 0;
	memcpy(p + 2, knock, sizeof(knock));
}

static void
insert(struct side *s, size_t at, struct lt_slice bytes)
{
	struct lt_buf b = { 0 };

	at = at > s->way.len ? s->way.len : at;
	lt_buf_put_slice(&b, lt_slice(s->way.data, at));
	lt_buf_put_slice(&b, bytes);
	if (at < s->way.len)
		lt_buf_put(&b, s->way.data + at, s->way.len - at);
	lt_buf_fini(&s->way);
	s->way = b;
}

/* side[0] is the initiator. */
static void
step(struct side *side, struct fuzz_in *in)
{
	unsigned op = fuzz_u8(in);
	unsigned to = op >> 4 & 1;
	struct side *s = &side[to], *o = &side[1 - to];
	size_t n, at;

	switch (op & 15) {
	case 0:
		deliver_front(s, o, fuzz_u8(in));
		break;
	case 1:
		deliver_front(s, o, fuzz_u16(in));
		break;
	case 2:
		n = fuzz_u16(in);
		if (s->way.len != 0) {
			s->way.data[n / 8 % s->way.len] ^= (uint8_t)(1u << n % 8);
			s->touched = true;
		}
		break;
	case 3:
		s->touched = true;
		at = fuzz_u8(in);
		insert(s, at, fuzz_bytes(in, fuzz_u8(in)));
		break;
	case 4:
		n = fuzz_u8(in);
		n = n > s->way.len ? s->way.len : n;
		if (n != 0) {
			memmove(s->way.data, s->way.data + n, s->way.len - n);
			s->way.len -= n;
			s->touched = true;
		}
		break;
	case 5:
		n = fuzz_u16(in);
		if (n != 0 && s->way.len != 0 && s->way.len < QUEUE_MAX) {
			uint8_t *copy =
			    fuzz_copy(lt_slice(s->way.data, n > s->way.len ? s->way.len : n));

			insert(s, 0, lt_slice(copy, n > s->way.len ? s->way.len : n));
			free(copy);
			s->touched = true;
		}
		break;
	case 6:
		if (to == 1)
			fix_knock(s);
		break;
	case 7: /* nothing is left on the way */
		deliver_front(&side[0], &side[1], SIZE_MAX);
		deliver_front(&side[1], &side[0], SIZE_MAX);
		break;
	default:
		send_frame(o, s, in, to == 1);
		break;
	}
}

static struct side
new_side(bool initiator, bool local, uint64_t every)
{
	struct side s = { .secured = !local };

	s.line = local       ? lt_line_new_local(initiator)
		 : initiator ? lt_line_new_initiator(fed, initiator_key, acceptor_pk)
			     : lt_line_new_acceptor(fed, acceptor_key, nonce);
	s.remote = initiator ? acceptor_pk : initiator_pk;
	FUZZ_MUST(s.line != NULL);
	lt_line_set_rekey(s.line, every);
	if (!local)
		lt_line_set_ephemeral(s.line, initiator ? e1 : e2);
	return s;
}

static void
end_side(struct side *s)
{
	lt_line_free(s->line);
	lt_buf_fini(&s->way);
	lt_buf_fini(&s->sent);
}

static void
alone(bool initiator, bool local, uint64_t every, struct fuzz_in *in)
{
	struct side s = new_side(initiator, local, every), nobody = { 0 };
	struct lt_slice part;
	uint8_t *copy;
	size_t n;

	s.touched = true;
	while (fuzz_left(in) != 0) {
		n = 1 + fuzz_u8(in);
		part = fuzz_bytes(in, n);
		copy = fuzz_copy(part);
		deliver(&s, &nobody, copy, part.len);
		free(copy);
	}
	end_side(&s);
	end_side(&nobody);
}

static void
pair(bool local, uint64_t every, struct fuzz_in *in)
{
	struct side side[2] = { new_side(true, local, every), new_side(false, local, every) };
	unsigned i;

	lt_line_out(side[0].line, &side[1].way);
	lt_line_out(side[1].line, &side[0].way);
	for (i = 0; i < STEPS_MAX && fuzz_left(in) != 0; i++)
		step(side, in);
	for (i = 0; i < 4; i++) {
		deliver_front(&side[0], &side[1], SIZE_MAX);
		deliver_front(&side[1], &side[0], SIZE_MAX);
	}
	if (!side[0].touched && !side[1].touched)
		for (i = 0; i < 2; i++)
			FUZZ_MUST(!side[i].failed && side[i].sent_off == side[i].sent.len);
	end_side(&side[0]);
	end_side(&side[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in;
	unsigned kind;
	uint64_t every;

	fuzz_reseed(1);
	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % 6;
	every = 1 + fuzz_u8(&in);
	if (kind < 4)
		alone((kind & 1) != 0, (kind & 2) != 0, every, &in);
	else
		pair(kind == 4, every, &in);
	return 0;
}
