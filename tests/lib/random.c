#include "tests/lib/random.h"

#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096

static pthread_mutex_t mx = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static bool constant;
static uint8_t key[crypto_stream_chacha20_KEYBYTES];
static uint64_t blocks; /* made of the stream */
static uint8_t block[BLOCK];
static size_t used = BLOCK;

static const char *
name(void)
{
	return "seeded";
}

static void
refill(void)
{
	uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };

	memcpy(nonce, &blocks, sizeof(blocks));
	(void)crypto_stream_chacha20(block, sizeof(block), nonce, key);
	blocks++;
	used = 0;
}

static void
draw(void *const out, const size_t len)
{
	uint8_t *at = out;
	size_t left = len, n;

	(void)pthread_mutex_lock(&mx);
	if (constant)
		used = BLOCK;
	while (left > 0) {
		if (used == BLOCK) {
			blocks = constant ? 0 : blocks;
			refill();
		}
		n = left < BLOCK - used ? left : BLOCK - used;
		memcpy(at, block + used, n);
		used += n;
		at += n;
		left -= n;
	}
	(void)pthread_mutex_unlock(&mx);
}

static uint32_t
draw_number(void)
{
	uint32_t n;

	draw(&n, sizeof(n));
	return n;
}

static void
begin(uint64_t seed, bool all_alike)
{
	static struct randombytes_implementation own = {
		.implementation_name = name, .random = draw_number, .buf = draw
	};

	if (sodium_init() < 0) /* draws, the first time */
		abort();
	(void)pthread_mutex_lock(&mx);
	memset(key, 0, sizeof(key));
	memcpy(key, &seed, sizeof(seed));
	constant = all_alike;
	blocks = 0;
	used = BLOCK;
	(void)pthread_mutex_unlock(&mx);
	(void)randombytes_set_implementation(&own);
}

void
test_random_seed(uint64_t seed)
{
	begin(seed, false);
}

void
test_random_constant(void)
{
	begin(0, true);
}

void
test_random_system(void)
{
	(void)randombytes_set_implementation(&randombytes_sysrandom_implementation);
}
