/* Any bytes as a compressed message, and any message compressed.
 *
 * Input: u8 limit (what a message may hold: 0, 1, ... up to a whole one), then the frame. Must hold: what is taken is no longer than
 * the limit and what zstd's stream decoder makes of the same bytes, a little at a time; what that takes as one whole frame with its
 * size is refused only for its size; whatever came before, a good frame then gives what is in it; any bytes packed and
 * unpacked are the same.
 */
#include "proto/base/limits.h"
#include "proto/rpc/zstd.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PIECE 29 /* bytes at a time for the stream decoder */
#define WINDOW_LOG 20
#define BLOCK_MAX ((size_t)128 * 1024)

static struct lt_buf good, good_frame;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	unsigned i;

	(void)argc;
	(void)argv;
	fuzz_setup();
	for (i = 0; i < 700; i++)
		lt_buf_u32(&good, i * i / 3);
	lt_buf_put_slice(&good_frame, lt_buf_slice(&good));
	FUZZ_MUST(lt_zstd_pack(&good_frame, LT_ZSTD_FAST) && good_frame.len < good.len);
	return 0;
}

static size_t
limit_of(unsigned choice)
{
	static const size_t some[] = { LT_MESSAGE_MAX, LT_MESSAGE_MAX, 0, 1, LT_ZSTD_MIN,
		LT_ZSTD_MIN + 1, 65536, LT_MESSAGE_MAX - 1 };

	return choice < 128 ? some[choice % 8] : (size_t)(choice - 127) * 64;
}

/* One whole frame and nothing behind it, as the other decoder has it: a little at a time, and with a window of its own. Of a frame whose
 * last block is empty that one does not look whether it has as much as it says (libzstd 1.5.4): the caller does. */
static bool
streamed(struct lt_slice frame, size_t max, struct lt_buf *out)
{
	ZSTD_DStream *d = ZSTD_createDStream();
	ZSTD_inBuffer in = { frame.data, 0, 0 };
	uint8_t *place = malloc(BLOCK_MAX);
	size_t n = 1;

	FUZZ_MUST(d != NULL && place != NULL);
	FUZZ_MUST(!ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG)));
	while (n != 0 && !ZSTD_isError(n) && out->len <= max) {
		ZSTD_outBuffer to = { place, BLOCK_MAX, 0 };
		size_t from = in.pos;

		if (in.size < frame.len && in.pos == in.size)
			in.size = frame.len - in.size < PIECE ? frame.len : in.size + PIECE;
		n = ZSTD_decompressStream(d, &to, &in);
		lt_buf_put(out, place, to.pos);
		if (to.pos == 0 && in.pos == from && in.size == frame.len)
			break; /* it wants more than there is */
	}
	ZSTD_freeDStream(d);
	free(place);
	return n == 0 && in.pos == frame.len && out->len <= max;
}

static void
check_frame(struct lt_slice frame, size_t max)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	unsigned long long said = ZSTD_getFrameContentSize(frame.data, frame.len);
	struct lt_buf out = { 0 }, want = { 0 };
	bool is = streamed(frame, LT_MESSAGE_MAX, &want) && frame.len >= 4 &&
		  memcmp(frame.data, magic, 4) == 0 && said == want.len;
	int rc = lt_zstd_unpack(frame, max, &out);

	FUZZ_MUST(rc == LT_OK || rc == LT_E_INVALID || rc == LT_E_TOOBIG);
	if (rc == LT_OK) {
		FUZZ_MUST(out.len <= max && out.len == said);
		FUZZ_MUST(!is || lt_slice_eq(lt_buf_slice(&out), lt_buf_slice(&want)));
	} else {
		FUZZ_MUST(out.len == 0);
		FUZZ_MUST(!is || want.len > max);
	}
	FUZZ_MUST(rc != LT_E_TOOBIG || said > max);
	lt_buf_fini(&out);
	lt_buf_fini(&want);
}

/* A context that met nonsense is used again. */
static void
check_good(void)
{
	struct lt_buf out = { 0 };

	FUZZ_MUST(lt_zstd_unpack(lt_buf_slice(&good_frame), good.len, &out) == LT_OK);
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&out), lt_buf_slice(&good)));
	lt_buf_fini(&out);
	memset(&out, 0, sizeof(out));
	FUZZ_MUST(lt_zstd_unpack(lt_buf_slice(&good_frame), good.len - 1, &out) == LT_E_TOOBIG);
	lt_buf_fini(&out);
}

static void
check_packed(struct lt_slice plain, enum lt_zstd_effort effort)
{
	struct lt_buf b = { 0 }, out = { 0 };

	lt_buf_put_slice(&b, plain);
	if (lt_zstd_pack(&b, effort)) {
		FUZZ_MUST(plain.len > LT_ZSTD_MIN && b.len <= plain.len - plain.len / 16);
		FUZZ_MUST(lt_zstd_unpack(lt_buf_slice(&b), plain.len, &out) == LT_OK);
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&out), plain));
	} else {
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&b), plain));
	}
	lt_buf_fini(&b);
	lt_buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in;
	struct lt_slice frame;
	size_t max;

	fuzz_in_init(&in, data, size);
	max = limit_of(fuzz_u8(&in));
	frame = fuzz_rest(&in);
	check_frame(frame, max);
	check_good();
	check_packed(frame, max % 2 == 0 ? LT_ZSTD_FAST : LT_ZSTD_SMALL);
	return 0;
}

/* ---- mutation ---- */

/* What is in the frame, changed, in a frame again: of one of the ways in which a frame can be. */
static size_t
frame_again(uint8_t *data, size_t size, size_t max_size, struct fuzz_rng *rng)
{
	struct lt_buf plain = { 0 };
	size_t room, n;
	uint8_t *p, *to;
	ZSTD_CCtx *c;

	if (!streamed(lt_slice(data, size), LT_MESSAGE_MAX, &plain))
		lt_buf_put(&plain, data, size);
	room = plain.len + 4096;
	p = malloc(room);
	to = malloc(ZSTD_compressBound(room));
	c = ZSTD_createCCtx();
	FUZZ_MUST(p != NULL && to != NULL && c != NULL);
	if (plain.len != 0)
		memcpy(p, plain.data, plain.len);
	n = LLVMFuzzerMutate(p, plain.len, room);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, (int)fuzz_below(rng, 8) - 2);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, (int)fuzz_below(rng, 2));
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, fuzz_below(rng, 8) != 0);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, (int)(10 + fuzz_below(rng, 16)));
	n = ZSTD_compress2(c, to, ZSTD_compressBound(room), p, n);
	if (!ZSTD_isError(n) && n <= max_size) {
		memcpy(data, to, n);
		size = n;
	}
	ZSTD_freeCCtx(c);
	free(p);
	free(to);
	lt_buf_fini(&plain);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };

	if (size < 2 || fuzz_below(&rng, 4) != 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (fuzz_below(&rng, 8) == 0)
		data[0] = (uint8_t)fuzz_next(&rng);
	return 1 + frame_again(data + 1, size - 1, max_size - 1, &rng);
}
