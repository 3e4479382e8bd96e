/* proof_flip FILE ROOT_KEY_HEX: the proof holds, and with any one bit of it flipped it does not. For tests. */
#include "proto/base/file.h"
#include "proto/feed/proof.h"

#include <stdio.h>
#include <string.h>

static int
check(struct lt_slice bytes, const uint8_t root[32])
{
	struct lt_proof p;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, LT_PROOF_ARENA);
	rc = lt_proof_check(bytes, root, &arena, &p, NULL);
	lt_arena_fini(&arena);
	return rc;
}

int
main(int argc, char **argv)
{
	struct lt_buf b = { 0 };
	uint8_t root[32];
	size_t i;

	if (argc != 3 || sodium_init() < 0 || lt_unhex(root, sizeof(root), argv[2]) != LT_OK ||
	    lt_file_read(argv[1], LT_PROOF_MAX, &b, NULL) != LT_OK)
		return 2;
	if (check(lt_buf_slice(&b), root) != LT_OK) {
		printf("it does not hold as it is\n");
		return 1;
	}
	for (i = 0; i < 8 * b.len; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		if (check(lt_buf_slice(&b), root) == LT_OK) {
			printf("byte %zu, bit %zu: it still holds\n", i / 8, i % 8);
			return 1;
		}
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	printf("%zu bits, each one counts\n", 8 * b.len);
	lt_buf_fini(&b);
	return 0;
}
