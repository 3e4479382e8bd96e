/* tools/bench/timing.c - does the time that a refusal takes tell how much of a secret was guessed (reliability K14)? Two classes of
 * wrong codes, whose first and whose last byte is wrong, in random order; Welch's t between their times, without the slowest tenth
 * (interrupts). After Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017: above 10 it tells. A comparison that ends at the
 * first difference is measured beside them: without a signal there the others' silence would say nothing. */
#include "tools/bench/bench.h"
#include "proto/rpc/line.h"
#include "proto/rpc/resume_token.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 1000000
#define SAMPLES_QUICK 50000
#define CROP 90 /* percentile */
#define T_MAX 10
#define KNOCK_AT 2 /* in the initiator's first record, behind its length */

struct subject {
	/* One refusal. last: the last byte of the code is wrong, else the first. ns, or below 0: it was not refused. */
	int64_t (*refuse)(struct subject *s, bool last);
	struct lt_resume_bond bond;
	uint8_t token[LT_RESUME_TOKEN_MAX];
	size_t token_len;
	uint8_t fed[LT_FED_LEN], nonce[LT_LINE_NONCE_LEN], knock[LT_LINE_KNOCK_LEN];
	struct lt_line_key *key;
	struct lt_buf first; /* what an initiator says first, knock and all */
	struct lt_buf out;
	uint8_t *plain;
};

/* ---- what is refused ---- */

static int64_t
refuse_token(struct subject *s, bool last)
{
	uint8_t *at = s->token + 1 + (last ? LT_RESUME_MAC_LEN - 1 : 0);
	struct lt_slice position;
	int64_t from, took;
	int rc;

	*at ^= 0x55;
	from = bench_now_ns();
	rc = lt_resume_token_check(&s->bond, lt_slice(s->token, s->token_len), &position);
	took = bench_now_ns() - from;
	*at ^= 0x55;
	return rc == LT_E_DENIED ? took : -1;
}

static int64_t
refuse_knock(struct subject *s, bool last)
{
	uint8_t *at = s->first.data + KNOCK_AT + (last ? LT_LINE_KNOCK_LEN - 1 : 0);
	struct lt_line *l = lt_line_new_acceptor(s->fed, s->key, s->nonce);
	const uint8_t *data = s->first.data;
	size_t len = s->first.len, plain_len;
	int64_t from, took;
	int rc;

	if (l == NULL)
		return -1;
	lt_buf_clear(&s->out);
	lt_line_out(l, &s->out);
	*at ^= 0x55;
	from = bench_now_ns();
	rc = lt_line_feed(l, &data, &len, s->plain, &plain_len);
	took = bench_now_ns() - from;
	*at ^= 0x55;
	lt_line_free(l);
	return rc == LT_E_DENIED ? took : -1;
}

/* How it must not be done. */
static int64_t
refuse_early(struct subject *s, bool last)
{
	volatile uint8_t *guess = s->first.data + KNOCK_AT;
	size_t at = last ? LT_LINE_KNOCK_LEN - 1 : 0, i = 0;
	int64_t from, took;

	guess[at] ^= 0x55;
	from = bench_now_ns();
	while (i < LT_LINE_KNOCK_LEN && guess[i] == s->knock[i])
		i++;
	took = bench_now_ns() - from;
	guess[at] ^= 0x55;
	return i == at ? took : -1;
}

/* ---- the statistic ---- */

struct moments {
	double n, mean, m2;
};

static void
add(struct moments *m, double x)
{
	double d = x - m->mean;

	m->n++;
	m->mean += d / m->n;
	m->m2 += d * (x - m->mean);
}

static double
welch(const struct moments *a, const struct moments *b)
{
	double var = a->m2 / (a->n - 1) / a->n + b->m2 / (b->n - 1) / b->n;

	return var > 0 ? fabs(a->mean - b->mean) / sqrt(var) : 0;
}

/* *t, and how far apart the two means are, ns. */
static int
measure(struct bench *b, struct subject *s, double *t, double *apart)
{
	size_t n = b->quick ? SAMPLES_QUICK : SAMPLES, i;
	int64_t *took = malloc(2 * n * sizeof(*took)), limit;
	uint8_t *last = malloc(n);
	struct moments m[2] = { { 0 } };
	int rc = took == NULL || last == NULL ? LT_E_NOMEM : LT_OK;

	if (rc == LT_OK)
		randombytes_buf(last, n);
	for (i = 0; rc == LT_OK && i < n; i++) {
		took[i] = s->refuse(s, (last[i] & 1) != 0);
		if (took[i] < 0)
			rc = lt_err_set(&b->err, LT_E_REMOTE, "a wrong code was not refused");
	}
	if (rc == LT_OK) {
		memcpy(took + n, took, n * sizeof(*took));
		limit = bench_percentile(took + n, n, CROP);
		for (i = 0; i < n; i++)
			if (took[i] <= limit)
				add(&m[last[i] & 1], (double)took[i]);
		*t = welch(&m[0], &m[1]);
		*apart = fabs(m[0].mean - m[1].mean);
	}
	free(took);
	free(last);
	return rc;
}

/* ---- all of it ---- */

/* The first record of an initiator who knows the hub's key, as it answers this nonce. */
static int
knock(struct subject *s)
{
	uint8_t secret[32];
	struct lt_line *acceptor = NULL, *initiator = NULL;
	struct lt_line_key *own;
	const uint8_t *data;
	size_t len, plain_len;
	int rc = LT_E_NOMEM;

	randombytes_buf(secret, sizeof(secret));
	own = lt_line_key_new(secret);
	if (own != NULL && s->key != NULL) {
		acceptor = lt_line_new_acceptor(s->fed, s->key, s->nonce);
		initiator = lt_line_new_initiator(s->fed, own, lt_line_key_public(s->key));
	}
	if (acceptor != NULL && initiator != NULL) {
		lt_line_out(acceptor, &s->out);
		data = s->out.data;
		len = s->out.len;
		rc = lt_line_feed(initiator, &data, &len, s->plain, &plain_len);
		rc = rc == LT_LINE_WORK ? lt_line_work(initiator, NULL, NULL) : LT_E_REMOTE;
		lt_line_out(initiator, &s->first);
	}
	if (rc == LT_OK && s->first.len > KNOCK_AT + LT_LINE_KNOCK_LEN)
		memcpy(s->knock, s->first.data + KNOCK_AT, sizeof(s->knock));
	else if (rc == LT_OK)
		rc = LT_E_REMOTE;
	lt_line_free(acceptor);
	lt_line_free(initiator);
	lt_line_key_unref(own);
	sodium_memzero(secret, sizeof(secret));
	return rc;
}

int
bench_timing(struct bench *b)
{
	static const struct {
		const char *name;
		int64_t (*refuse)(struct subject *s, bool last);
		enum bench_sense sense;
	} all[] = { { "knock of a stranger, |t|", refuse_knock, BENCH_AT_MOST },
		{ "token of a stream, |t|", refuse_token, BENCH_AT_MOST },
		{ "a comparison that ends early, |t|", refuse_early, BENCH_AT_LEAST } };
	const struct lt_peer peer = { .kind = LT_PEER_LOCAL };
	uint8_t secret[32], key[32];
	struct lt_hash request;
	struct subject s = { 0 };
	double t = 0, apart = 0;
	size_t i;
	int rc;

	randombytes_buf(secret, sizeof(secret));
	randombytes_buf(s.nonce, sizeof(s.nonce));
	lt_resume_key(secret, key);
	lt_resume_request(lt_slice_str("request"), &request);
	s.bond = (struct lt_resume_bond){ key, &peer, "/lienthong.v1.Sync/Pull", &request };
	s.token_len = lt_resume_token_make(&s.bond, lt_slice_str("position"), s.token);
	s.key = lt_line_key_new(secret);
	s.plain = malloc(LT_LINE_PLAIN_MAX);
	rc = s.plain == NULL ? LT_E_NOMEM : knock(&s);
	for (i = 0; rc == LT_OK && i < sizeof(all) / sizeof(all[0]); i++) {
		s.refuse = all[i].refuse;
		rc = measure(b, &s, &t, &apart);
		if (rc == LT_OK)
			rc = bench_result(b, all[i].name, t, "", all[i].sense, T_MAX,
			    "first or last byte wrong: %.2f ns apart", apart);
	}
	free(s.plain);
	lt_buf_fini(&s.first);
	lt_buf_fini(&s.out);
	lt_line_key_unref(s.key);
	return rc;
}
