#include "proto/store/sort.h"

#include <stdlib.h>
#include <string.h>

/* Up to here insertion sort. */
#define FEW 20

static uint64_t
head_at(struct lt_slice k, size_t depth)
{
	uint8_t b[8] = { 0 };

	if (k.len >= depth + sizeof(b))
		return lt_load_u64(k.data + depth);
	if (k.len > depth)
		memcpy(b, k.data + depth, k.len - depth);
	return lt_load_u64(b);
}

/* Heads say the order, but a key that ended counts as one that goes on with zeros. */
static int
cmp(const struct lt_sorting *a, const struct lt_sorting *b)
{
	return a->head != b->head ? (a->head < b->head ? -1 : 1) : lt_slice_cmp(a->key, b->key);
}

static int
by_key(const void *a, const void *b)
{
	return lt_slice_cmp(
	    ((const struct lt_sorting *)a)->key, ((const struct lt_sorting *)b)->key);
}

static void
sort_few(struct lt_sorting *s, size_t n)
{
	struct lt_sorting t;
	size_t i, j;

	for (i = 1; i < n; i++) {
		t = s[i];
		for (j = i; j > 0 && cmp(&s[j - 1], &t) > 0; j--)
			s[j] = s[j - 1];
		s[j] = t;
	}
}

static bool
in_order(const struct lt_sorting *s, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (cmp(&s[i - 1], &s[i]) > 0)
			return false;
	return true;
}

/* How many bytes all keys have in common, of which `depth` are known. */
static size_t
common(const struct lt_sorting *s, size_t n, size_t depth)
{
	const uint8_t *first = s[0].key.data, *k;
	size_t i, j, len = s[0].key.len;

	for (i = 1; i < n; i++) {
		k = s[i].key.data;
		if (s[i].key.len < len)
			len = s[i].key.len;
		for (j = depth; j + 8 <= len && memcmp(k + j, first + j, 8) == 0; j += 8)
			;
		for (; j < len && k[j] == first[j]; j++)
			;
		len = j < len ? j : len;
	}
	return len < depth ? depth : len;
}

/* The bits in which heads differ. */
static uint64_t
differing(const struct lt_sorting *s, size_t n)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 1; i < n; i++)
		bits |= s[i].head ^ s[0].head;
	return bits;
}

/* Into the order of one byte of the heads; those where it is the same stay as they stood to each other. */
static void
by_byte(struct lt_sorting *s, struct lt_sorting *room, size_t n, unsigned shift)
{
	size_t at[256] = { 0 }, sum = 0, i, count;

	for (i = 0; i < n; i++)
		at[(uint8_t)(s[i].head >> shift)]++;
	for (i = 0; i < 256; i++) {
		count = at[i];
		at[i] = sum;
		sum += count;
	}
	for (i = 0; i < n; i++)
		room[at[(uint8_t)(s[i].head >> shift)]++] = s[i];
	memcpy(s, room, n * sizeof(*s));
}

static void sort_heads(struct lt_sorting *s, struct lt_sorting *room, size_t n, size_t depth);

/* Those whose first `depth` bytes are equal, and what follows if `alike` is set as far as heads tell. */
static void
sort_keys(struct lt_sorting *s, struct lt_sorting *room, size_t n, size_t depth, bool alike)
{
	size_t from = common(s, n, depth), i;

	for (i = 0; i < n; i++)
		s[i].head = head_at(s[i].key, from);
	if (in_order(s, n))
		return;
	/* Keys that end here, and keys that go on with zeros. */
	if (alike && from == depth)
		qsort(s, n, sizeof(*s), by_key);
	else
		sort_heads(s, room, n, from);
}

/* Those whose first `depth` bytes are equal, by what follows. Keys come from outside: there is no order that makes this slow, each of
 * their bytes costs at most one turn. */
static void
sort_heads(struct lt_sorting *s, struct lt_sorting *room, size_t n, size_t depth)
{
	unsigned shift;
	uint64_t bits;
	size_t i, k;

	if (n <= FEW) {
		sort_few(s, n);
		return;
	}
	bits = differing(s, n);
	if (bits == 0) {
		sort_keys(s, room, n, depth, true);
		return;
	}
	shift = 56 - ((unsigned)__builtin_clzll(bits) & ~7u);
	by_byte(s, room, n, shift);
	for (i = 0; i < n; i += k) {
		for (k = 1; i + k < n && s[i + k].head >> shift == s[i].head >> shift; k++)
			;
		if (k > 1)
			sort_heads(s + i, room, k, depth);
	}
}

void
lt_sort(struct lt_sorting *s, size_t n)
{
	struct lt_sorting *room;

	if (n < 2)
		return;
	room = n <= FEW ? NULL : malloc(n * sizeof(*room));
	if (n > FEW && room == NULL)
		qsort(s, n, sizeof(*s), by_key);
	else
		sort_keys(s, room, n, 0, false);
	free(room);
}
