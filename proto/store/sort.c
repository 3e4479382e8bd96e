#include "proto/store/sort.h"

#include <stdlib.h>
#include <string.h>

/* Below it insertion sort. */
#define FEW 12
/* Levels, each of which is for a part of those before it: twice what halving takes. */
#define TRIES 64

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

static void
swap(struct lt_sorting *a, struct lt_sorting *b)
{
	struct lt_sorting t = *a;

	*a = *b;
	*b = t;
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

static uint64_t
middle(uint64_t a, uint64_t b, uint64_t c)
{
	if (a < b)
		return b < c ? b : a < c ? c : a;
	return a < c ? a : b < c ? c : b;
}

static uint64_t
pivot_of(const struct lt_sorting *s, size_t n)
{
	size_t e = n / 8;

	return middle(middle(s[0].head, s[e].head, s[2 * e].head),
	    middle(s[n / 2 - e].head, s[n / 2].head, s[n / 2 + e].head),
	    middle(s[n - 1 - 2 * e].head, s[n - 1 - e].head, s[n - 1].head));
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

static size_t
common(const struct lt_sorting *s, size_t n, size_t depth)
{
	size_t i, j, len = s[0].key.len;

	for (i = 1; i < n; i++) {
		if (s[i].key.len < len)
			len = s[i].key.len;
		for (j = depth; j < len && s[i].key.data[j] == s[0].key.data[j]; j++)
			;
		len = j < len ? j : len;
	}
	return len < depth ? depth : len;
}

static int
by_key(const void *a, const void *b)
{
	return lt_slice_cmp(
	    ((const struct lt_sorting *)a)->key, ((const struct lt_sorting *)b)->key);
}

struct parts {
	size_t less, more; /* [0, less) below the pivot, [more, n) above it */
};

static struct parts
divide(struct lt_sorting *s, size_t n)
{
	struct parts p = { 0, n };
	uint64_t pivot = pivot_of(s, n);
	size_t i = 0;

	while (i < p.more) {
		if (s[i].head < pivot)
			swap(&s[p.less++], &s[i++]);
		else if (s[i].head > pivot)
			swap(&s[i], &s[--p.more]);
		else
			i++;
	}
	return p;
}

/* Heads of what follows the bytes that all have in common. True: it is in order already. */
static bool
fill(struct lt_sorting *s, size_t n, size_t *depth)
{
	size_t i;

	*depth = common(s, n, *depth);
	for (i = 0; i < n; i++)
		s[i].head = head_at(s[i].key, *depth);
	return in_order(s, n);
}

/* Those whose first `depth` bytes are equal and whose heads are filled. Keys come from outside: `tries` bounds what can be
 * done to the choice of pivots. */
static void
sort_heads(struct lt_sorting *s, size_t n, size_t depth, unsigned tries)
{
	struct parts p;
	size_t from = depth;

	if (n <= FEW) {
		sort_few(s, n);
		return;
	}
	p = divide(s, n);
	/* All alike: keys that end here, and keys that go on with zeros. */
	if (tries == 0 || (p.less == 0 && p.more == n)) {
		qsort(s, n, sizeof(*s), by_key);
		return;
	}
	sort_heads(s, p.less, depth, tries - 1);
	sort_heads(s + p.more, n - p.more, depth, tries - 1);
	s += p.less;
	n = p.more - p.less;
	if (n > 1 && !fill(s, n, &from))
		sort_heads(s, n, from, tries - 1);
}

void
lt_sort(struct lt_sorting *s, size_t n)
{
	size_t depth = 0;

	if (n > 1 && !fill(s, n, &depth))
		sort_heads(s, n, depth, TRIES);
}
