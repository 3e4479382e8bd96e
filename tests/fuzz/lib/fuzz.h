/* tests/fuzz/lib/fuzz.h - what the fuzz targets share: a reader of the fuzzer's bytes, oracles, and mutation that knows
 * protobuf.
 *
 * A target is one file with LLVMFuzzerTestOneInput(). clang links it to libFuzzer (cmake --preset fuzz); every other build
 * links it to replay.c, which runs kept inputs, so that what was found once stays found. A target must do the same
 * for the same bytes: no clock, no randomness but that of fuzz_setup().
 */
#ifndef LT_TESTS_FUZZ_LIB_FUZZ_H
#define LT_TESTS_FUZZ_LIB_FUZZ_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's names. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Something that must always hold does not: a finding. */
#define FUZZ_MUST(cond) ((cond) ? (void)0 : fuzz_broken(#cond, __FILE__, __LINE__))
void fuzz_broken(const char *what, const char *file, int line) __attribute__((noreturn));

/* Once, from LLVMFuzzerInitialize(): libsodium with numbers that are the same in each run, and no log. */
void fuzz_setup(void);
/* Begin the numbers anew; first thing in a target that draws any. */
void fuzz_reseed(uint64_t seed);

/* An arena with the cap that the product gives a message of this length; fini checks that it was kept. */
void fuzz_arena_init(struct lt_arena *a, size_t len);
void fuzz_arena_fini(struct lt_arena *a);

/* The fuzzer's bytes, from the front; zeros when they are used up. */
struct fuzz_in {
	const uint8_t *p, *end;
};

void fuzz_in_init(struct fuzz_in *in, const uint8_t *data, size_t size);
size_t fuzz_left(const struct fuzz_in *in);
uint8_t fuzz_u8(struct fuzz_in *in);
uint16_t fuzz_u16(struct fuzz_in *in);
uint32_t fuzz_u32(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);
/* Fewer than n when there are no more. Borrowed. */
struct lt_slice fuzz_bytes(struct fuzz_in *in, size_t n);
/* u16 length, bytes. */
struct lt_slice fuzz_block(struct fuzz_in *in);
struct lt_slice fuzz_rest(struct fuzz_in *in);
/* A copy in a block of exactly its size, so that one byte beyond is seen; for free(). */
uint8_t *fuzz_copy(struct lt_slice s);
/* The same with a NUL behind; bytes 0 end it. */
char *fuzz_text(struct lt_slice s);

/* A whole file below the source folder, for lt_buf_fini(). Ends the program if it is not there. */
struct lt_buf fuzz_file(const char *path);

/* A clock that stands until a target moves it. */
extern int64_t fuzz_clock_ms;
extern const struct lt_clock fuzz_clock;

struct fuzz_rng {
	uint64_t s;
};
uint64_t fuzz_next(struct fuzz_rng *r);
size_t fuzz_below(struct fuzz_rng *r, size_t n); /* 0 when n is 0 */

/* ---- protobuf.c ---- */

/* Every message type of our schema, each once. */
const ProtobufCMessageDescriptor *const *fuzz_messages(size_t *n);
/* One field changed, dropped, doubled, moved or added, on any level; bytes fields known to hold a message are entered. What
 * is no message is mutated as bytes. Returns the new size. */
size_t fuzz_pb_mutate(const ProtobufCMessageDescriptor *d, uint8_t *data, size_t size,
    size_t max_size, struct fuzz_rng *rng);
/* Texts that a target's messages hold: used instead of the common ones from now on. Borrowed. */
void fuzz_pb_words(const char *const *words, size_t n);

#endif
