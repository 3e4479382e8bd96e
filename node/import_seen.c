#include "node/import_seen.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct lt_seen_slot {
	uint8_t key[12];
	uint8_t values[8];
	uint32_t record; /* 0: free */
};

#define FIRST_CAP 1024

void
lt_seen_init(struct lt_seen *s)
{
	memset(s, 0, sizeof(*s));
}

void
lt_seen_fini(struct lt_seen *s)
{
	free(s->slot);
	memset(s, 0, sizeof(*s));
}

static struct lt_seen_slot *
find(struct lt_seen_slot *slot, size_t cap, const uint8_t key[12])
{
	size_t i = (size_t)lt_load_u64(key) & (cap - 1);

	while (slot[i].record != 0 && memcmp(slot[i].key, key, sizeof(slot[i].key)) != 0)
		i = (i + 1) & (cap - 1);
	return &slot[i];
}

static int
grow(struct lt_seen *s)
{
	size_t cap = s->cap == 0 ? FIRST_CAP : s->cap * 2, i;
	struct lt_seen_slot *slot = calloc(cap, sizeof(*slot));

	if (slot == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < s->cap; i++)
		if (s->slot[i].record != 0)
			*find(slot, cap, s->slot[i].key) = s->slot[i];
	free(s->slot);
	s->slot = slot;
	s->cap = cap;
	return LT_OK;
}

int
lt_seen_add(struct lt_seen *s, struct lt_slice key, struct lt_slice values, uint32_t record,
    uint32_t *before, bool *same)
{
	uint8_t hash[32];
	struct lt_seen_slot fresh, *at;

	crypto_generichash(hash, sizeof(hash), key.data, key.len, NULL, 0);
	memcpy(fresh.key, hash, sizeof(fresh.key));
	crypto_generichash(hash, sizeof(hash), values.data, values.len, NULL, 0);
	memcpy(fresh.values, hash, sizeof(fresh.values));
	fresh.record = record;
	if ((s->count + 1) * 4 > s->cap * 3 && grow(s) != LT_OK)
		return LT_E_NOMEM;
	at = find(s->slot, s->cap, fresh.key);
	if (at->record == 0) {
		*at = fresh;
		s->count++;
		return LT_OK;
	}
	*before = at->record;
	*same = memcmp(at->values, fresh.values, sizeof(fresh.values)) == 0;
	return LT_E_EXISTS;
}
