/* Audit paths in the tree of FORMAT.md 1.5. A subtree is a range of leaves; going down, it is split at the largest power of two
 * below its size, so the path is found from the top and told from the bottom. */
#include "proto/feed/crypto.h"

#include <assert.h>

static size_t
left_part(size_t n)
{
	size_t k = 1;

	while (k < n - k)
		k *= 2;
	return k;
}

void
lt_merkle_path(const struct lt_hash *leaf, size_t n, size_t index,
    struct lt_hash path[LT_MERKLE_PATH_MAX], size_t *len)
{
	struct lt_hash down[LT_MERKLE_PATH_MAX];
	size_t depth = 0, k, i;

	assert(index < n);
	while (n > 1) {
		k = left_part(n);
		assert(depth < LT_MERKLE_PATH_MAX);
		if (index < k) {
			lt_merkle_root(leaf + k, n - k, &down[depth++]);
			n = k;
		} else {
			lt_merkle_root(leaf, k, &down[depth++]);
			leaf += k;
			index -= k;
			n -= k;
		}
	}
	for (i = 0; i < depth; i++)
		path[i] = down[depth - 1 - i];
	*len = depth;
}

/* Bit i of *sides: the path's hash number i, from the top, stands to the left. */
static size_t
way_down(size_t n, size_t index, uint32_t *sides)
{
	size_t depth = 0, k;

	*sides = 0;
	while (n > 1 && depth < LT_MERKLE_PATH_MAX) {
		k = left_part(n);
		if (index < k) {
			n = k;
		} else {
			*sides |= UINT32_C(1) << depth;
			index -= k;
			n -= k;
		}
		depth++;
	}
	return depth;
}

int
lt_merkle_path_root(const struct lt_hash *leaf, size_t n, size_t index, const struct lt_hash *path,
    size_t len, struct lt_hash *out)
{
	struct lt_slice pair[2];
	struct lt_hash at = *leaf;
	uint32_t sides;
	size_t i;

	if (index >= n || way_down(n, index, &sides) != len)
		return LT_E_INVALID;
	for (i = 0; i < len; i++) {
		bool left = (sides >> (len - 1 - i) & 1) != 0;

		pair[left ? 0 : 1] = lt_slice(path[i].b, LT_HASH_LEN);
		pair[left ? 1 : 0] = lt_slice(at.b, LT_HASH_LEN);
		lt_h(LT_TAG_NODE, pair, 2, &at);
	}
	*out = at;
	return LT_OK;
}
