#include "history.h"

#include "proto/base/clock.h"

static const size_t author_of[FEEDS] = { 0, 0, 1, 2 };

const char *
history_key(size_t record)
{
	static const char *const key[RECORDS] = { "17254/1", "17254/2", "17254/30" };

	return key[record];
}

bool
history_by_hub(void *history, const struct lt_id *author)
{
	return lt_id_eq(author, &((struct history *)history)->author[2].id);
}

static const char *
word(struct history *h)
{
	static const char *const words[] = { "ao", "bep", "cay", "dat",
		"\xc4\x91\xc6\xb0\xe1\xbb\x9dng", "" };

	return words[rnd_below(&h->rng, 5)];
}

static Ltpb__FieldSet *
set_field(struct history *h)
{
	static const char *const all[] = { "k1", "k2", "k3", "k4" };
	const char *items[5] = { NULL }, *added[5] = { NULL };
	Ltpb__FieldSet *fs, *delta;
	size_t i, n = 0, m = 0, gone = rnd_below(&h->rng, 8);

	for (i = 0; i < 4; i++) {
		if (rnd_below(&h->rng, 2) == 0)
			continue;
		items[n++] = all[i];
		if (rnd_below(&h->rng, 2) == 0)
			added[m++] = all[i];
	}
	fs = fs_set(&h->arena, "d", items);
	delta = fs_set(&h->arena, "d", added);
	fs->n_added = m;
	fs->added = delta->value->set->item;
	for (i = 0; i < n && gone < 4; i++) {
		if (strcmp(items[i], all[gone]) == 0)
			gone = 4;
	}
	if (gone < 4) {
		added[0] = all[gone];
		added[1] = NULL;
		delta = fs_set(&h->arena, "d", added);
		fs->n_removed = 1;
		fs->removed = delta->value->set->item;
	}
	return fs;
}

static Ltpb__FieldSet *
open_field(struct history *h, char name)
{
	static const char *const color[] = { "red", "green", "blue" };
	const char n[2] = { name, '\0' };

	switch (name) {
	case 'b':
	case 'c':
		return fs_int(&h->arena, n, (int64_t)rnd_below(&h->rng, 9) - 4);
	case 'd':
		return set_field(h);
	case 'e':
		return fs_enum(&h->arena, n, color[rnd_below(&h->rng, 3)]);
	case 'g':
		return fs_decimal(&h->arena, n, (int64_t)rnd_below(&h->rng, 500) - 250, 2);
	default:
		return fs_text(&h->arena, n, word(h));
	}
}

/* For each other feed the highest change-set that touched the record and that the author has applied. */
static void
fill_context(struct history *h, size_t feed, size_t record, struct lt_draft *d)
{
	struct lt_context *c = lt_arena_alloc(&h->arena, FEEDS * sizeof(*c));
	uint64_t seq;
	size_t g;

	d->context = c;
	for (g = 0; g < FEEDS; g++) {
		if (g == feed)
			continue;
		for (seq = h->known[author_of[feed]][g]; seq > 0; seq--) {
			if (h->touched[g][seq] & 1u << record)
				break;
		}
		if (seq == 0 || rnd_below(&h->rng, 10) == 0)
			continue;
		c[d->ncontext].feed = h->feed[g].id;
		c[d->ncontext].seq = seq;
		c[d->ncontext++].hash8 = h->hash8[g][seq];
	}
}

static void
make_draft(struct history *h, size_t feed, size_t record, struct lt_draft *d)
{
	static const char names[] = "abcdefg", personal[] = "pq";
	size_t i;

	memset(d, 0, sizeof(*d));
	d->collection = "thing";
	d->key = history_key(record);
	fill_context(h, feed, record, d);
	d->set = lt_arena_alloc(&h->arena, 16 * sizeof(*d->set));
	d->cleared = lt_arena_alloc(&h->arena, 16 * sizeof(*d->cleared));
	d->personal = lt_arena_alloc(&h->arena, 16 * sizeof(*d->personal));
	if (rnd_below(&h->rng, 2) == 0)
		d->personal[d->npersonal++] = fs_text(&h->arena, LT_ACTOR_FIELD, "acc-1");
	d->is_delete = rnd_below(&h->rng, 8) == 0;
	for (i = 0; !d->is_delete && names[i] != '\0'; i++) {
		size_t what = rnd_below(&h->rng, 8);

		if (what < 3)
			d->set[d->nset++] = open_field(h, names[i]);
		if (what == 3)
			d->cleared[d->ncleared++] = lt_arena_dup(&h->arena, &names[i], 1);
	}
	for (i = 0; !d->is_delete && personal[i] != '\0'; i++) {
		if (rnd_below(&h->rng, 3) == 0)
			d->personal[d->npersonal++] = open_field(h, personal[i]);
	}
}

static void
judge(struct history *h, struct history_set *s)
{
	Ltpb__RefusedDot *dot;
	size_t i;

	memset(&s->j, 0, sizeof(s->j));
	s->j.refused = lt_arena_alloc(&h->arena, s->cs.nchange * sizeof(*s->j.refused));
	for (i = 0; !s->by_hub && i < s->cs.nchange; i++) {
		if (rnd_below(&h->rng, 8) != 0)
			continue;
		dot = lt_arena_alloc(&h->arena, sizeof(*dot));
		ltpb__refused_dot__init(dot);
		dot->seq = s->cs.seq;
		dot->index = (uint32_t)i;
		dot->reason = LTPB__REASON_CODE__REASON_PATTERN;
		s->j.refused[s->j.nrefused++] = dot;
	}
	if (!s->by_hub && rnd_below(&h->rng, 6) == 0) {
		s->j.clamped = true;
		s->j.floor = LT_STAMP(LT_BUILD_FLOOR_MS + 2000, rnd_below(&h->rng, 9));
		s->j.ceiling = s->j.floor + rnd_below(&h->rng, 9);
	}
	s->effective = lt_judgement_stamp(&s->j, s->cs.stamp);
}

static void
make_set(struct history *h)
{
	struct history_set *s = &h->set[h->n++];
	struct lt_draft d[4];
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };
	struct feed *f;
	uint8_t mask = 0, *copy;
	size_t i, g, n = 1 + rnd_below(&h->rng, 4), a;

	/* The second epoch begins when the first has ended. */
	do
		s->feed = rnd_below(&h->rng, FEEDS);
	while ((s->feed == 1 && h->n < 20) || (s->feed == 0 && h->feed[1].seq != 0));
	f = &h->feed[s->feed];
	a = author_of[s->feed];
	for (g = 0; g < FEEDS; g++) {
		if (author_of[g] == a)
			h->known[a][g] = h->feed[g].seq;
		else if (rnd_below(&h->rng, 2) == 0)
			h->known[a][g] +=
			    rnd_below(&h->rng, (size_t)(h->feed[g].seq - h->known[a][g]) + 1);
	}
	for (i = 0; i < n; i++) {
		size_t record = rnd_below(&h->rng, RECORDS);

		make_draft(h, s->feed, record, &d[i]);
		mask |= (uint8_t)(1u << record);
	}
	feed_seal(f,
	    (f->stamp == 0 ? LT_STAMP(LT_BUILD_FLOOR_MS + 1000, 0) : f->stamp) + 1 +
		rnd_below(&h->rng, 70000),
	    d, n, &b);
	copy = lt_arena_dup(&h->arena, b.data, b.len);
	s->bytes = lt_slice(copy, b.len);
	lt_buf_fini(&b);
	if (lt_changeset_parse(s->bytes, &h->arena, &s->cs, &err) != LT_OK)
		fail_msg("%s", err.text);
	h->touched[s->feed][f->seq] = mask;
	h->hash8[s->feed][f->seq] = lt_load_u64(f->hash.b);
	s->by_hub = a == 2;
	judge(h, s);
}

void
history_make(struct history *h, struct lt_catalogue *cat, uint64_t seed, size_t n)
{
	static const uint64_t epoch[FEEDS] = { 1, 2, 0x00ff000000000000, 77 };
	size_t i;

	memset(h, 0, sizeof(*h));
	lt_arena_init(&h->arena, (size_t)256 << 20);
	h->cat = cat;
	h->rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	ok(lt_unit_set(&h->unit, lt_slice_str(WORLD_UNIT)));
	ok(lt_unit_set(&h->province, lt_slice_str(WORLD_PROVINCE)));
	for (i = 0; i < 3; i++)
		author_init(&h->author[i], (uint8_t)(3 + 50 * i));
	for (i = 0; i < FEEDS; i++)
		feed_init(
		    &h->feed[i], &h->author[author_of[i]], WORLD_UNIT, LT_LANE_NORMAL, epoch[i]);
	while (h->n < n)
		make_set(h);
}

void
history_fini(struct history *h)
{
	lt_arena_fini(&h->arena);
}

struct lt_merge_change
history_change(const struct history_set *s, size_t i, bool judged)
{
	struct lt_merge_change mc = { .dot = { s->cs.feed, s->cs.seq, (uint32_t)i },
		.stamp = judged ? s->effective : s->cs.stamp,
		.hash8 = lt_load_u64(s->cs.hash.b),
		.by_hub = s->by_hub,
		.change = &s->cs.change[i] };

	return mc;
}

void
history_order(struct history *h, size_t order[SETS_MAX])
{
	size_t next[FEEDS] = { 0 }, n = 0, f;

	while (n < h->n) {
		f = rnd_below(&h->rng, FEEDS);
		while (next[f] < h->n && h->set[next[f]].feed != f)
			next[f]++;
		if (next[f] < h->n)
			order[n++] = next[f]++;
	}
}
