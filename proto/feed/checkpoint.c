#include "proto/feed/checkpoint.h"

#include <string.h>

#define VERSION 1
#define HEAD_LEN 49

/* ---- bytes ---- */

static bool
is_sane(const struct lt_checkpoint *c)
{
	size_t i;

	if (c->nhead == 0 || c->nhead > LT_CHECKPOINT_HEADS_MAX || c->key_no == 0 ||
	    c->time_ms >= UINT64_C(1) << 47)
		return false;
	for (i = 0; i < c->nhead; i++) {
		const struct lt_checkpoint_head *h = &c->head[i];
		struct lt_id author = lt_feed_author(&h->feed);
		enum lt_lane lane = lt_feed_lane(&h->feed);

		if (h->seq == 0 || h->seq > INT64_MAX || lane < LT_LANE_URGENT ||
		    lane > LT_LANE_BULK || !lt_id_eq(&author, &c->hub))
			return false;
		if (i > 0 && lt_feed_id_cmp(&c->head[i - 1].feed, &h->feed) >= 0)
			return false;
	}
	return true;
}

static void
put_heads(const struct lt_checkpoint *c, struct lt_buf *out)
{
	size_t i;

	lt_buf_u8(out, (uint8_t)c->nhead);
	for (i = 0; i < c->nhead; i++) {
		const struct lt_checkpoint_head *h = &c->head[i];

		lt_buf_u8(out, (uint8_t)lt_feed_lane(&h->feed));
		lt_buf_u64(out, lt_feed_epoch(&h->feed));
		lt_buf_u64(out, h->seq);
		lt_buf_put(out, h->hash.b, LT_HASH_LEN);
	}
}

int
lt_checkpoint_pack(const struct lt_checkpoint *c, struct lt_buf *out)
{
	if (!is_sane(c))
		return LT_E_INVALID;
	lt_buf_u8(out, VERSION);
	lt_buf_put(out, c->federation.b, LT_FED_LEN);
	lt_buf_put(out, c->hub.b, LT_ID_LEN);
	lt_buf_u32(out, c->key_no);
	lt_buf_u64(out, c->time_ms);
	lt_buf_u64(out, c->position);
	lt_buf_put(out, c->running.b, LT_HASH_LEN);
	put_heads(c, out);
	return out->err;
}

static void
take(struct lt_reader *r, void *to, size_t len)
{
	struct lt_slice s = lt_read_bytes(r, len);

	if (s.len == len)
		memcpy(to, s.data, len);
}

int
lt_checkpoint_parse(struct lt_slice bytes, struct lt_checkpoint *out, struct lt_err *err)
{
	struct lt_reader r;
	uint8_t version;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (bytes.len > LT_CHECKPOINT_BYTES_MAX)
		return lt_err_both(err, LT_E_INVALID, "checkpoint: too long", "điểm mốc: quá dài");
	lt_reader_init(&r, bytes);
	version = lt_read_u8(&r);
	take(&r, out->federation.b, LT_FED_LEN);
	take(&r, out->hub.b, LT_ID_LEN);
	out->key_no = lt_read_u32(&r);
	out->time_ms = lt_read_u64(&r);
	out->position = lt_read_u64(&r);
	take(&r, out->running.b, LT_HASH_LEN);
	out->nhead = lt_read_u8(&r);
	if (r.err == LT_OK && version != VERSION)
		return lt_err_both(err, LT_E_INVALID,
		    "checkpoint: of a newer format, which this program does not know",
		    "điểm mốc: định dạng mới hơn, chương trình này chưa biết");
	if (r.err != LT_OK || out->nhead > LT_CHECKPOINT_HEADS_MAX ||
	    lt_reader_left(&r) != out->nhead * HEAD_LEN)
		return lt_err_both(err, LT_E_INVALID,
		    "checkpoint: cut off, or with something behind it",
		    "điểm mốc: bị cắt, hoặc thừa dữ liệu");
	for (i = 0; i < out->nhead; i++) {
		struct lt_checkpoint_head *h = &out->head[i];
		uint8_t lane = lt_read_u8(&r);

		h->feed = lt_feed_id_make(out->hub, (enum lt_lane)lane, lt_read_u64(&r));
		h->seq = lt_read_u64(&r);
		take(&r, h->hash.b, LT_HASH_LEN);
	}
	if (!is_sane(out))
		return lt_err_both(err, LT_E_INVALID,
		    "checkpoint: its heads are none, out of order, or of no feed",
		    "điểm mốc: không có đầu dòng, sai thứ tự, hoặc không phải dòng nào");
	return LT_OK;
}

/* ---- signatures ---- */

void
lt_checkpoint_hash(struct lt_slice bytes, struct lt_hash *out)
{
	lt_h1(LT_TAG_CHECKPOINT, bytes, out);
}

int
lt_checkpoint_verify(struct lt_slice bytes, struct lt_slice signature, const struct lt_fed *fed,
    const struct lt_id *hub, const uint8_t hub_key[32], struct lt_checkpoint *out,
    struct lt_err *err)
{
	int rc = lt_checkpoint_parse(bytes, out, err);

	if (rc != LT_OK)
		return rc;
	if (memcmp(out->federation.b, fed->b, LT_FED_LEN) != 0 || !lt_id_eq(&out->hub, hub))
		return lt_err_both(err, LT_E_DENIED, "checkpoint: of another federation or hub",
		    "điểm mốc: của liên thông hoặc đầu mối khác");
	if (lt_sign_verify(hub_key, LT_TAG_CHECKPOINT, bytes, signature) != LT_OK)
		return lt_err_both(err, LT_E_BADSIG, "checkpoint: not signed by the hub",
		    "điểm mốc: không phải đầu mối ký");
	return LT_OK;
}

#define COSIGNED_LEN (LT_ID_LEN + 4 + LT_HASH_LEN)

static struct lt_slice
cosigned(uint8_t out[COSIGNED_LEN], const struct lt_id *principal, uint32_t key_no,
    const struct lt_hash *checkpoint)
{
	memcpy(out, principal->b, LT_ID_LEN);
	lt_store_u32(out + LT_ID_LEN, key_no);
	memcpy(out + LT_ID_LEN + 4, checkpoint->b, LT_HASH_LEN);
	return lt_slice(out, COSIGNED_LEN);
}

void
lt_cosign(const struct lt_sign_key *k, const struct lt_id *principal, uint32_t key_no,
    const struct lt_hash *checkpoint, uint8_t sig[LT_SIG_LEN])
{
	uint8_t m[COSIGNED_LEN];

	lt_sign(k, LT_TAG_COSIGN, cosigned(m, principal, key_no, checkpoint), sig);
}

int
lt_cosign_verify(const uint8_t sign_key[32], const struct lt_id *principal, uint32_t key_no,
    const struct lt_hash *checkpoint, struct lt_slice sig)
{
	uint8_t m[COSIGNED_LEN];

	return lt_sign_verify(
	    sign_key, LT_TAG_COSIGN, cosigned(m, principal, key_no, checkpoint), sig);
}

/* ---- two of them ---- */

const struct lt_checkpoint_head *
lt_checkpoint_find(const struct lt_checkpoint *c, const struct lt_feed_id *feed)
{
	size_t i;

	for (i = 0; i < c->nhead; i++)
		if (lt_feed_id_cmp(&c->head[i].feed, feed) == 0)
			return &c->head[i];
	return NULL;
}

/* Has it something that b has not? */
static bool
has_more(const struct lt_checkpoint *a, const struct lt_checkpoint *b)
{
	size_t i;

	for (i = 0; i < a->nhead; i++) {
		const struct lt_checkpoint_head *h = lt_checkpoint_find(b, &a->head[i].feed);

		if (h == NULL || h->seq < a->head[i].seq)
			return true;
	}
	return false;
}

enum lt_checkpoint_relation
lt_checkpoint_compare(const struct lt_checkpoint *a, const struct lt_checkpoint *b, size_t *at)
{
	bool more, less;
	size_t i;

	if (memcmp(a->federation.b, b->federation.b, LT_FED_LEN) != 0 ||
	    !lt_id_eq(&a->hub, &b->hub))
		return LT_CHECKPOINTS_STRANGE;
	for (i = 0; i < a->nhead; i++) {
		const struct lt_checkpoint_head *h = lt_checkpoint_find(b, &a->head[i].feed);

		if (h == NULL || h->seq != a->head[i].seq || lt_hash_eq(&h->hash, &a->head[i].hash))
			continue;
		if (at != NULL)
			*at = i;
		return LT_CHECKPOINTS_CONTRADICT;
	}
	more = has_more(a, b);
	less = has_more(b, a);
	return more && less ? LT_CHECKPOINTS_APART
	       : more       ? LT_CHECKPOINTS_AHEAD
	       : less       ? LT_CHECKPOINTS_BEHIND
			    : LT_CHECKPOINTS_SAME;
}

void
lt_checkpoint_words(const struct lt_checkpoint *c, struct lt_buf *out)
{
	struct lt_buf heads = { 0 };
	struct lt_slice part[3];
	struct lt_hash h;

	put_heads(c, &heads);
	part[0] = lt_slice(c->federation.b, LT_FED_LEN);
	part[1] = lt_slice(c->hub.b, LT_ID_LEN);
	part[2] = lt_buf_slice(&heads);
	lt_h(LT_TAG_CHECKPOINT_WORDS, part, 3, &h);
	if (heads.err == LT_OK)
		lt_words(out, h.b, 8);
	else
		out->err = heads.err;
	lt_buf_fini(&heads);
}
