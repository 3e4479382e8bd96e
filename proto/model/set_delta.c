/* What a change to a field of policy set adds and removes. */
#include "proto/model/merge.h"

#include <string.h>

/* Items of a that b lacks; both rise strictly. */
static int
items_less(const Ltpb__TextSet *a, const Ltpb__TextSet *b, struct lt_arena *arena, char ***out,
    size_t *n_out)
{
	size_t na = a == NULL ? 0 : a->n_item, nb = b == NULL ? 0 : b->n_item, i, j = 0, n = 0;
	char **items = lt_arena_alloc(arena, na * sizeof(*items));

	if (items == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < na; i++) {
		while (j < nb && strcmp(b->item[j], a->item[i]) < 0)
			j++;
		if (j < nb && strcmp(b->item[j], a->item[i]) == 0)
			continue;
		items[n] = lt_arena_dup(arena, a->item[i], strlen(a->item[i]));
		if (items[n++] == NULL)
			return LT_E_NOMEM;
	}
	*out = n == 0 ? NULL : items;
	*n_out = n;
	return LT_OK;
}

int
lt_set_delta(const Ltpb__TextSet *shown, const Ltpb__TextSet *wanted, struct lt_arena *arena,
    Ltpb__FieldSet *out)
{
	int rc = items_less(wanted, shown, arena, &out->added, &out->n_added);

	if (rc == LT_OK)
		rc = items_less(shown, wanted, arena, &out->removed, &out->n_removed);
	return rc;
}
