/* tests/store/history.h - random histories of three records by two nodes and the hub, judged, to be played into
 * environments in any order. */
#ifndef LT_TESTS_STORE_HISTORY_H
#define LT_TESTS_STORE_HISTORY_H

#include "proto/store/projection.h"
#include "world.h"

#define FEEDS 4 /* 0 and 1: node A, two epochs; 2: node B; 3: the hub */
#define RECORDS 3
#define SETS_MAX 64

struct history_set {
	size_t feed;
	struct lt_slice bytes;
	struct lt_changeset cs;
	struct lt_judgement j;
	uint64_t effective;
	bool by_hub;
};

struct history {
	struct lt_arena arena;
	struct author author[3];
	struct feed feed[FEEDS];
	struct lt_catalogue *cat;
	struct lt_unit unit, province;
	uint64_t rng;
	size_t n;
	struct history_set set[SETS_MAX];
	/* while it is made */
	uint8_t touched[FEEDS][SETS_MAX + 1]; /* bit of each record, by seq */
	uint64_t hash8[FEEDS][SETS_MAX + 1];
	uint64_t known[3][FEEDS]; /* what each author has applied */
};

/* n change-sets, the same for the same seed. cat: borrowed. */
void history_make(struct history *h, struct lt_catalogue *cat, uint64_t seed, size_t n);
void history_fini(struct history *h);
const char *history_key(size_t record);
bool history_by_hub(void *history, const struct lt_id *author);
/* Change i of a set as merge sees it; judged: with its effective stamp. */
struct lt_merge_change history_change(const struct history_set *s, size_t i, bool judged);
/* A random order that keeps each feed's own: places in set[]. */
void history_order(struct history *h, size_t order[SETS_MAX]);

#endif
