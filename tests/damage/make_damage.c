#include "damage.h"

#include <stdio.h>
#include <string.h>

const char *const kind_name[KINDS] = { "bit flipped", "sector zeroed", "sector stale",
	"pages swapped", "page torn", "file cut", "rows", "key length" };
const char *const place_name[PLACES] = { "meta", "branch", "leaf", "large value", "LMDB's own",
	"free", "end", "rows" };
const char *const left_name[LEFTS] = { "killed", "closed", "no note", "large" };

uint64_t
draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t
below(uint64_t *r, uint64_t n)
{
	return draw(r) % n;
}

static enum place
place_of(const struct live_page *p)
{
	if (p->kind == LT_PAGES_META_PAGE)
		return PLACE_META;
	if (p->kind == LT_PAGES_FREE_PAGE)
		return PLACE_FREE;
	if (p->own)
		return PLACE_OWN;
	if (p->kind == LT_PAGES_BRANCH)
		return PLACE_BRANCH;
	return p->kind == LT_PAGES_LARGE ? PLACE_LARGE : PLACE_LEAF;
}

/* Most pages are leaves and large values: a kind first, then a page of it, half of the time. */
static const struct live_page *
choose(const struct sample *x, uint64_t *r, bool live)
{
	enum place want = (enum place)below(r, PLACE_FREE);
	const struct live_page *p;
	unsigned tries;

	if (!live && x->npage > x->nlive)
		return &x->page[x->nlive + below(r, x->npage - x->nlive)];
	for (tries = 0; below(r, 2) == 0 && tries < 200; tries++) {
		p = &x->page[below(r, x->nlive)];
		if (place_of(p) == want)
			return p;
	}
	return &x->page[below(r, x->nlive)];
}

static void
in_page(
    const struct sample *x, const struct live_page *p, uint64_t *r, struct damage *d, uint8_t *out)
{
	uint8_t *page = out + p->page * PAGE_BYTES;
	size_t sector = below(r, PAGE_BYTES / SECTOR_BYTES), from = p->page * PAGE_BYTES, bit;
	const struct live_page *other;

	switch (d->kind) {
	case KIND_BIT:
		/* Headers are small, and what matters most stands in them. */
		bit = below(r, below(r, 3) == 0 ? 64 * 8 : PAGE_BYTES * 8);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)snprintf(d->text, sizeof(d->text), "bit %zu", bit);
		return;
	case KIND_ZERO:
		memset(page + sector * SECTOR_BYTES, 0, SECTOR_BYTES);
		(void)snprintf(d->text, sizeof(d->text), "sector %zu", sector);
		return;
	case KIND_STALE:
		if (from + PAGE_BYTES <= x->old_size)
			memcpy(page + sector * SECTOR_BYTES, x->old + from + sector * SECTOR_BYTES,
			    SECTOR_BYTES);
		(void)snprintf(d->text, sizeof(d->text), "sector %zu", sector);
		return;
	case KIND_TORN:
		other = &x->page[below(r, x->npage)];
		sector = below(r, 4) == 0 ? 0 : sector; /* 0: all of it */
		if (below(r, 3) != 0 && from + PAGE_BYTES <= x->old_size)
			memcpy(page + sector * SECTOR_BYTES, x->old + from + sector * SECTOR_BYTES,
			    PAGE_BYTES - sector * SECTOR_BYTES);
		else
			memcpy(page + sector * SECTOR_BYTES,
			    x->file + other->page * PAGE_BYTES + sector * SECTOR_BYTES,
			    PAGE_BYTES - sector * SECTOR_BYTES);
		(void)snprintf(d->text, sizeof(d->text), "from sector %zu", sector);
		return;
	case KIND_SWAP:
		other = choose(x, r, below(r, 4) != 0);
		memcpy(page, x->file + other->page * PAGE_BYTES, PAGE_BYTES);
		memcpy(out + other->page * PAGE_BYTES, x->file + from, PAGE_BYTES);
		(void)snprintf(
		    d->text, sizeof(d->text), "with page %llu", (unsigned long long)other->page);
		return;
	case KIND_CUT:
	case KIND_ROWS:
	case KIND_KEY:
	case KINDS:
		return;
	}
}

static unsigned
u16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

/* One bit of the length of a key in a leaf, such that the entries of its page have the room that they had. */
static const struct live_page *
lengthen_key(const struct sample *x, uint64_t *r, struct damage *d, uint8_t *out)
{
	enum { HEADER = 16, NODE = 8, BIG = 1 };
	const struct live_page *p;
	uint8_t *page, *node;
	unsigned n, i, key, data;

	for (;;) {
		p = &x->page[below(r, x->nlive)];
		page = out + p->page * PAGE_BYTES;
		n = (u16(page + 12) - HEADER) / 2;
		if (p->kind != LT_PAGES_LEAF || p->own || n == 0)
			continue;
		i = (unsigned)below(r, n);
		node = page + u16(page + HEADER + 2 * i);
		key = u16(node + 6);
		data = u16(node) | u16(node + 2) << 16;
		if ((u16(node + 4) & BIG) != 0 ||
		    (NODE + key + data + 1) / 2 != (NODE + (key ^ 1) + data + 1) / 2)
			continue;
		node[6] ^= 1;
		(void)snprintf(d->text, sizeof(d->text), "entry %u, key of %u bytes", i, key);
		return p;
	}
}

void
damage_make(const struct stores *s, uint64_t seed, uint64_t n, enum kind only, struct damage *d,
    uint8_t *out)
{
	static const enum left lefts[] = { LEFT_KILLED, LEFT_KILLED, LEFT_KILLED, LEFT_KILLED,
		LEFT_CLOSED, LEFT_CLOSED, LEFT_CLOSED, LEFT_BARE, LEFT_LARGE, LEFT_LARGE };
	static const enum kind kinds[] = { KIND_BIT, KIND_BIT, KIND_BIT, KIND_BIT, KIND_ZERO,
		KIND_ZERO, KIND_STALE, KIND_STALE, KIND_STALE, KIND_SWAP, KIND_SWAP, KIND_TORN,
		KIND_TORN, KIND_CUT, KIND_ROWS };
	uint64_t r = seed * UINT64_C(0x2545f4914f6cdd1d) + n;
	const struct live_page *p = NULL;
	const struct sample *x;
	unsigned tries;
	bool live;

	memset(d, 0, sizeof(*d));
	d->lies = ~draw(&r);
	d->rows = ~draw(&r);
	d->number = n;
	d->store = (enum store)(n % STORES);
	x = &s->s[d->store];
	d->kind = kinds[below(&r, sizeof(kinds) / sizeof(kinds[0]))];
	d->left = lefts[below(&r, sizeof(lefts) / sizeof(lefts[0]))];
	if (only != KINDS) {
		d->kind = only;
		d->store = n % 2 == 0 ? STORE_LOG : STORE_NODE;
		x = &s->s[d->store];
	} else if (d->kind == KIND_ROWS && d->store == STORE_DERIVED) {
		d->kind = KIND_BIT; /* what is derived is not repaired */
	}
	d->size = x->size;
	if (d->kind == KIND_ROWS) {
		memcpy(out, x->file, x->size);
		d->place = PLACE_ROWS;
		d->left = LEFT_CLOSED;
		d->live = true;
		return;
	}
	if (d->kind == KIND_CUT) {
		memcpy(out, x->file, x->size);
		d->place = PLACE_END;
		d->size = below(&r, 2) == 0 ? below(&r, x->size)
					    : below(&r, x->size / SECTOR_BYTES) * SECTOR_BYTES;
		d->live = true;
		(void)snprintf(d->text, sizeof(d->text), "to %zu bytes", d->size);
		return;
	}
	if (d->kind == KIND_KEY) {
		memcpy(out, x->file, x->size);
		p = lengthen_key(x, &r, d, out);
		d->live = true;
		d->place = place_of(p);
		d->page = p->page;
		return;
	}
	/* A sector that is as it was in the older copy is no damage: again, and after some tries as it is. */
	live = below(&r, 4) != 0;
	for (tries = 0; tries < 100; tries++) {
		memcpy(out, x->file, x->size);
		p = choose(x, &r, live);
		in_page(x, p, &r, d, out);
		if (memcmp(out, x->file, x->size) != 0)
			break;
	}
	d->live = p->kind != LT_PAGES_FREE_PAGE;
	d->place = place_of(p);
	d->page = p->page;
	/* Without a note an older meta page is the file of one commit before, and nothing in it says otherwise. */
	if (d->left == LEFT_BARE && memcmp(out, x->file, (size_t)2 * PAGE_BYTES) != 0)
		d->left = LEFT_KILLED;
}
