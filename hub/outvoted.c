#include "hub/outvoted.h"

#include <stdlib.h>

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

bool
lt_outvoted(int64_t *offset, size_t n, int64_t *by)
{
	size_t i, behind = 0, ahead = 0;

	*by = 0;
	if (n < LT_OUTVOTED_MIN)
		return false;
	for (i = 0; i < n; i++) {
		behind += offset[i] < -LT_OUTVOTED_MS;
		ahead += offset[i] > LT_OUTVOTED_MS;
	}
	if (behind <= n / 2 && ahead <= n / 2)
		return false;
	qsort(offset, n, sizeof(*offset), by_value);
	*by = offset[n / 2];
	return true;
}
