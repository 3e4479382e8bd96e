/* tests/lib/random.h - where libsodium's random bytes come from, so that a run of the real code repeats. Every id, epoch, salt,
 * token and hash key of the project comes from there; nothing of this is in a program that ships.
 *
 * Drawn once in a process, so not by each run but by whichever is the first: the key of page tokens
 * (proto/store/query_token.c). */
#ifndef LT_TESTS_RANDOM_H
#define LT_TESTS_RANDOM_H

#include <stdint.h>

/* From now on the stream of this seed, from its beginning: the same calls in the same order get the same bytes. Any
 * thread may draw; the order is then the threads'. */
void test_random_seed(uint64_t seed);
/* Every call of one length gets the same bytes, whoever calls first: for what threads draw side by side. */
void test_random_constant(void);
/* The operating system's again. No thread may be drawing. */
void test_random_system(void);

#endif
