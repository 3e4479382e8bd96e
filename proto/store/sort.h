/* proto/store/sort.h - keys into the order of a table.
 *
 * Keys of one table begin alike for long: comparing whole keys reads those bytes again and again. Here eight bytes at a time
 * are held as a number beside each key, and only what was equal so far is looked at further. Any thread.
 */
#ifndef LT_STORE_SORT_H
#define LT_STORE_SORT_H

#include "proto/base/buf.h"

struct lt_sorting {
	struct lt_slice key; /* borrowed */
	uint64_t head; /* while sorting */
	size_t tag; /* the caller's */
};

/* By lt_slice_cmp() of the keys. Of equal keys the order is any. */
void lt_sort(struct lt_sorting *s, size_t n);

#endif
