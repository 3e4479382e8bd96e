#include "proto/store/page_walk.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(size_t) == 8 && BYTE_ORDER == LITTLE_ENDIAN,
    "LMDB's file is laid out as the machine is; other machines need a layout of their own here");

#define PAGE \
	LT_PAGES_PAGE /* what LMDB takes on all machines that we run on; another size is refused */
#define HEADER 16u
#define NODE 8u
#define MAGIC 0xBEEFC0DEu
#define MDB_FORMAT 1u
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32u /* CURSOR_STACK of LMDB */
/* Pages at the end that were taken and given back in one transaction were never written; more than this is no store's. */
#define UNWRITTEN_MAX ((uint64_t)4 << 20)

/* To hash in search of a flipped bit of a key. */
#define FLIPS_BYTES ((size_t)4 << 20)

enum { P_BRANCH = 1, P_LEAF = 2, P_OVERFLOW = 4, P_META = 8 };
enum { F_BIGDATA = 1, F_SUBDATA = 2 };
#define FREE_KEY 8u /* MDB_INTEGERKEY */
#define NOSUBDIR 0x4000u /* a flag of the environment that LMDB notes beside it */

/* Tables that are LMDB's own. */
#define T_FREE (-1)
#define T_MAIN (-2)

struct tree {
	uint16_t flags, depth;
	uint64_t branch, leaf, large, entries, root;
};

struct walk {
	const struct lt_pages_options *o;
	struct lt_pages_report *r;
	uint64_t pages; /* that LMDB counts */
	uint64_t taken; /* of them, known to be something */
	int table;
	struct tree want, have;
	struct lt_slice last; /* key before */
	uint64_t rng;
};

static uint16_t
u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t
u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool
fault(struct walk *w, enum lt_pages_fault f, uint64_t page)
{
	if (w->r->fault == LT_PAGES_WHOLE) {
		w->r->fault = f;
		w->r->fault_page = page;
		w->r->fault_table = w->table;
	}
	return false;
}

static const uint8_t *
page_at(const struct walk *w, uint64_t page)
{
	return w->o->file + page * PAGE;
}

/* ---- meta pages ---- */

#define META_TREE(n) (HEADER + 24 + 48 * (n))
#define TREE_LEN 48u
#define META_LAST (HEADER + 120)
#define META_TXN (HEADER + 128)

static struct tree
tree_of(const uint8_t *p)
{
	return (struct tree){ u16(p + 4), u16(p + 6), u64(p + 8), u64(p + 16), u64(p + 24),
		u64(p + 32), u64(p + 40) };
}

static bool
meta_ok(const uint8_t *p, uint64_t page)
{
	/* LMDB does not fill in the rest of the header of these. */
	return u64(p) == page && u16(p + 10) == P_META && u32(p + HEADER) == MAGIC &&
	       u32(p + HEADER + 4) == MDB_FORMAT && u32(p + META_TREE(0)) == PAGE;
}

/* The newest of the two, which follow one another and take turns; NULL when they do not. */
static const uint8_t *
newest(const uint8_t *page0, const uint8_t *page1)
{
	uint64_t t0, t1;

	if (!meta_ok(page0, 0) || !meta_ok(page1, 1))
		return NULL;
	t0 = u64(page0 + META_TXN);
	t1 = u64(page1 + META_TXN);
	if (t0 == 0 && t1 == 0) /* nothing was ever committed */
		return page0;
	if (t1 == t0 + 1 && t1 % 2 == 1)
		return page1;
	return t0 == t1 + 1 && t0 % 2 == 0 ? page0 : NULL;
}

bool
lt_pages_meta(const uint8_t *page0, const uint8_t *page1, uint64_t *txnid, uint64_t *sum)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "lt1.meta";
	const uint8_t *m = newest(page0, page1);
	uint8_t out[crypto_shorthash_BYTES];

	if (m == NULL)
		return false;
	*txnid = u64(m + META_TXN);
	(void)crypto_shorthash(out, m, LT_PAGES_META_LEN, key);
	memcpy(sum, out, sizeof(*sum));
	return true;
}

uint64_t
lt_pages_names_at(const uint8_t *page0, const uint8_t *page1)
{
	const uint8_t *m = newest(page0, page1);
	uint64_t root = m == NULL ? NO_PAGE : tree_of(m + META_TREE(1)).root;

	return root == NO_PAGE ? 0 : root;
}

uint64_t
lt_pages_names(const uint8_t *page)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "lt1.names";
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t sum;

	(void)crypto_shorthash(out, page, PAGE, key);
	sum = u64(out);
	return sum != 0 ? sum : 1;
}

static const uint8_t *
meta_of(const uint8_t *file, size_t size)
{
	const uint8_t *m;
	uint64_t last;

	if (size < 2 * PAGE)
		return NULL;
	m = newest(file, file + PAGE);
	if (m == NULL)
		return NULL;
	last = u64(m + META_LAST);
	return last >= 1 && last < size / PAGE + UNWRITTEN_MAX ? m : NULL;
}

size_t
lt_pages_seen_bytes(const uint8_t *file, size_t size)
{
	const uint8_t *m = meta_of(file, size);

	return m == NULL ? 0 : (size_t)(u64(m + META_LAST) / 8 + 1);
}

uint64_t
lt_pages_counted(const uint8_t *file, size_t size)
{
	const uint8_t *m = meta_of(file, size);

	return m == NULL ? 0 : u64(m + META_LAST) + 1;
}

/* ---- pages ---- */

/* Take n pages for one thing. */
static bool
take(struct walk *w, uint64_t page, uint64_t n)
{
	uint64_t i;

	w->taken += n;
	if (w->o->seen == NULL)
		return true;
	for (i = page; i < page + n; i++) {
		if ((w->o->seen[i / 8] >> i % 8 & 1) != 0)
			return fault(w, LT_PAGES_TWICE, i);
		w->o->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return true;
}

static void
see(const struct walk *w, uint64_t page, uint64_t n, enum lt_pages_kind kind)
{
	w->r->read += kind == LT_PAGES_FREE_PAGE ? 0 : n;
	if (w->o->see != NULL)
		w->o->see(w->o->ctx, page, n, kind, w->table < 0 ? -1 : w->table);
}

/* Is the page there, in the file and in what LMDB counts? */
static bool
within(struct walk *w, uint64_t page, uint64_t n)
{
	if (page < 2 || page >= w->pages || n > w->pages - page)
		return fault(w, LT_PAGES_BEYOND, page);
	if (n > w->o->size / PAGE || page > w->o->size / PAGE - n)
		return fault(w, LT_PAGES_BEYOND, page);
	return true;
}

static unsigned
count(const uint8_t *p)
{
	return (u16(p + 12) - HEADER) / 2;
}

static const uint8_t *
node_at(const uint8_t *p, unsigned i)
{
	return p + u16(p + HEADER + 2 * i);
}

static struct lt_slice
key_of(const uint8_t *node)
{
	return lt_slice(node + NODE, u16(node + 6));
}

static uint32_t
data_len(const uint8_t *node)
{
	return u32(node);
}

static uint64_t
child_of(const uint8_t *node)
{
	return u32(node) | (uint64_t)u16(node + 4) << 32;
}

/* Entries lie between upper and the end, leave no gap, and so cannot lie over one another without being too many. */
static bool
layout_ok(const uint8_t *p)
{
	bool leaf = u16(p + 10) == P_LEAF;
	unsigned lower = u16(p + 12), upper = u16(p + 14), i, n;
	uint64_t sum = 0;

	if (lower < HEADER || lower % 2 != 0 || lower > upper || upper > PAGE)
		return false;
	n = count(p);
	for (i = 0; i < n; i++) {
		unsigned off = u16(p + HEADER + 2 * i);
		uint64_t len = NODE;

		if (off < upper || off % 2 != 0 || off + NODE > PAGE)
			return false;
		len += u16(p + off + 6);
		if (leaf)
			len += (u16(p + off + 4) & F_BIGDATA) != 0 ? 8 : u32(p + off);
		if (off + len > PAGE)
			return false;
		sum += (len + 1) & ~(uint64_t)1;
	}
	return sum == PAGE - upper;
}

static int
cmp(const struct walk *w, struct lt_slice a, struct lt_slice b)
{
	if (w->table != T_FREE || a.len != 8 || b.len != 8)
		return lt_slice_cmp(a, b);
	return u64(a.data) < u64(b.data) ? -1 : u64(a.data) > u64(b.data);
}

/* ---- entries ---- */

/* Would the entry verify with one bit of its key the other way? Then that is what happened. */
static bool
key_flipped(const struct lt_kv_table *t, struct lt_slice key, struct lt_slice value,
    const uint8_t stored[LT_KV_SUM_LEN])
{
	uint8_t k[LT_KV_KEY_MAX], sum[LT_KV_SUM_LEN];
	size_t bit;

	/* Of a value that is large the damage is in the value, all but surely. */
	if (value.len * key.len * 8 > FLIPS_BYTES)
		return false;
	memcpy(k, key.data, key.len);
	for (bit = 0; bit < key.len * 8; bit++) {
		k[bit / 8] ^= (uint8_t)(1u << bit % 8);
		lt_kv_sum(t, lt_slice(k, key.len), value, sum);
		if (memcmp(sum, stored, LT_KV_SUM_LEN) == 0)
			return true;
		k[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return false;
}

static void
note_bad(struct walk *w, struct lt_slice key)
{
	struct lt_pages_report *r = w->r;

	w->r->table[w->table].bad++;
	if (r->bad++ != 0)
		return;
	r->bad_table = w->table;
	r->bad_key_len = (uint8_t)(key.len < sizeof(r->bad_key) ? key.len : sizeof(r->bad_key));
	memcpy(r->bad_key, key.data, r->bad_key_len);
}

/* A row of the table `sums`: framed8(table) || segment, count and sum. One more says that there are all of them. */
static void
note_sums(struct walk *w, struct lt_slice key, struct lt_slice value)
{
	size_t len = key.len == 0 ? 0 : key.data[0];
	unsigned i;

	if (len == 0) {
		w->r->summed = true;
		return;
	}
	for (i = 0; i < w->o->ntable && len < key.len && value.len == 16; i++) {
		const struct lt_kv_table *t = &w->o->table[i];

		if (t->prefix_len - 4 != len || memcmp(t->prefix + 4, key.data + 1, len) != 0)
			continue;
		w->r->table[i].want_entries += lt_load_u64(value.data);
		w->r->table[i].want_sums += lt_load_u64(value.data + 8);
	}
}

/* meta's `format`: LTST, u16 version. */
static void
note_version(struct walk *w, struct lt_slice key, struct lt_slice value)
{
	if (lt_slice_eq(key, lt_slice_str("format")) && value.len >= 6 &&
	    memcmp(value.data, "LTST", 4) == 0)
		w->r->version = (unsigned)value.data[4] << 8 | value.data[5];
}

static unsigned
need(const struct walk *w, int table)
{
	return w->o->need == NULL ? 0 : w->o->need[table];
}

static void
verify(struct walk *w, struct lt_slice key, struct lt_slice stored)
{
	const struct lt_kv_table *t = &w->o->table[w->table];
	struct lt_pages_table *rt = &w->r->table[w->table];
	uint8_t sum[LT_KV_SUM_LEN];
	struct lt_slice value;

	if (stored.len < LT_KV_SUM_LEN || key.len > LT_KV_KEY_MAX) {
		note_bad(w, key);
		return;
	}
	value = lt_slice(stored.data, stored.len - LT_KV_SUM_LEN);
	lt_kv_sum(t, key, value, sum);
	rt->sums += lt_load_u64(stored.data + value.len);
	rt->right += lt_load_u64(sum);
	if (memcmp(sum, stored.data + value.len, LT_KV_SUM_LEN) == 0) {
		if ((need(w, w->table) & LT_PAGES_IS_SUMS) != 0)
			note_sums(w, key, value);
		if (t->meta)
			note_version(w, key, value);
		return;
	}
	note_bad(w, key);
	if (key_flipped(t, key, value, stored.data + value.len))
		rt->moved++;
}

/* A record of the list of free pages: their number, then they, falling. */
static bool
free_pages(struct walk *w, struct lt_slice key, struct lt_slice data, uint64_t at)
{
	uint64_t i, n, page, before = NO_PAGE;

	if (key.len != 8 || data.len < 8 || data.len % 8 != 0)
		return fault(w, LT_PAGES_FREE, at);
	n = u64(data.data);
	/* LMDB reserves room first and fills it later; what it did not need holds nothing. */
	if (n > data.len / 8 - 1)
		return fault(w, LT_PAGES_FREE, at);
	for (i = 1; i <= n; i++) {
		page = u64(data.data + 8 * i);
		if (page < 2 || page >= w->pages || page >= before)
			return fault(w, LT_PAGES_FREE, page);
		before = page;
		if (!take(w, page, 1))
			return false;
		see(w, page, 1, LT_PAGES_FREE_PAGE);
	}
	return true;
}

/* The data of a leaf's entry, also where it lies in pages of its own. */
static bool
data_of(struct walk *w, const uint8_t *node, uint64_t at, struct lt_slice *out)
{
	const uint8_t *data = node + NODE + u16(node + 6), *p;
	uint64_t page, need, have;

	*out = lt_slice(data, data_len(node));
	if ((u16(node + 4) & F_BIGDATA) == 0)
		return true;
	page = u64(data);
	need = (HEADER - 1 + (uint64_t)data_len(node)) / PAGE + 1;
	if (!within(w, page, need))
		return false;
	p = page_at(w, page);
	have = u32(p + 12);
	/* A value that shrank within its transaction keeps its run. */
	if (u64(p) != page || u16(p + 10) != P_OVERFLOW || have < need)
		return fault(w, LT_PAGES_RUN, at);
	if (!within(w, page, have) || !take(w, page, have))
		return false;
	see(w, page, have, LT_PAGES_LARGE);
	w->have.large += have;
	*out = lt_slice(p + HEADER, data_len(node));
	return true;
}

static bool
leaf_entry(struct walk *w, const uint8_t *node, uint64_t at)
{
	unsigned flags = u16(node + 4);
	struct lt_slice data;

	if (flags != (w->table == T_MAIN ? F_SUBDATA : flags & F_BIGDATA))
		return fault(w, LT_PAGES_LAYOUT, at);
	if (!data_of(w, node, at, &data))
		return false;
	w->have.entries++;
	if (w->table == T_FREE)
		return w->o->seen == NULL || free_pages(w, key_of(node), data, at);
	if (w->table == T_MAIN)
		return data.len == 48 || fault(w, LT_PAGES_TABLE, at);
	if (w->table < (int)w->o->ntable)
		verify(w, key_of(node), data);
	return true;
}

/* ---- trees ---- */

/* Keys of a page rise, and lie from lo to below hi. The first key of a branch means nothing. */
static bool
order_ok(struct walk *w, const uint8_t *p, struct lt_slice lo, struct lt_slice hi)
{
	unsigned i, n = count(p), first = u16(p + 10) == P_BRANCH;
	struct lt_slice last = lo;

	for (i = first; i < n; i++) {
		struct lt_slice k = key_of(node_at(p, i));
		int d = last.len == 0 ? 1 : cmp(w, k, last);

		if (k.len == 0 || k.len > LT_KV_KEY_MAX || d < 0 || (d == 0 && i > first))
			return false;
		if (hi.len != 0 && cmp(w, k, hi) >= 0)
			return false;
		last = k;
	}
	return true;
}

/* The page itself, of the kind that stands at this depth. */
static bool
page_ok(struct walk *w, uint64_t page, unsigned depth, struct lt_slice lo, struct lt_slice hi)
{
	bool leaf = depth == w->want.depth;
	const uint8_t *p;

	if (!within(w, page, 1) || !take(w, page, 1))
		return false;
	p = page_at(w, page);
	see(w, page, 1, leaf ? LT_PAGES_LEAF : LT_PAGES_BRANCH);
	if (u64(p) != page || u16(p + 10) != (leaf ? P_LEAF : P_BRANCH))
		return fault(w, LT_PAGES_KIND, page);
	if (!layout_ok(p) || count(p) < (leaf || w->table == T_FREE ? 1 : 2))
		return fault(w, LT_PAGES_LAYOUT, page);
	if (leaf)
		w->have.leaf++;
	else
		w->have.branch++;
	return order_ok(w, p, lo, hi) || fault(w, LT_PAGES_ORDER, page);
}

static bool
walk_leaf(struct walk *w, uint64_t page)
{
	const uint8_t *p = page_at(w, page);
	unsigned i, n = count(p);

	for (i = 0; i < n; i++)
		if (!leaf_entry(w, node_at(p, i), page))
			return false;
	return true;
}

static struct lt_slice
bound_below(const uint8_t *p, unsigned i, struct lt_slice lo)
{
	return i == 0 ? lo : key_of(node_at(p, i));
}

static struct lt_slice
bound_above(const uint8_t *p, unsigned i, struct lt_slice hi)
{
	return i + 1 == count(p) ? hi : key_of(node_at(p, i + 1));
}

struct level {
	const uint8_t *p;
	unsigned next; /* child to go to */
	struct lt_slice lo, hi;
};

/* Every page of a tree, from left to right, on a stack of its own. */
static bool
walk_pages(struct walk *w)
{
	const struct lt_slice none = { NULL, 0 };
	struct level s[DEPTH_MAX];
	unsigned top = 0;

	if (!page_ok(w, w->want.root, 1, none, none))
		return false;
	if (w->want.depth == 1)
		return walk_leaf(w, w->want.root);
	s[0] = (struct level){ page_at(w, w->want.root), 0, none, none };
	for (;;) {
		struct level *l = &s[top];
		struct lt_slice lo, hi;
		uint64_t child;

		if (l->next == count(l->p)) {
			if (top-- == 0)
				return true;
			continue;
		}
		lo = bound_below(l->p, l->next, l->lo);
		hi = bound_above(l->p, l->next, l->hi);
		child = child_of(node_at(l->p, l->next++));
		if (!page_ok(w, child, top + 2, lo, hi))
			return false;
		if (top + 2 == w->want.depth) {
			if (!walk_leaf(w, child))
				return false;
			continue;
		}
		s[++top] = (struct level){ page_at(w, child), 0, lo, hi };
	}
}

static uint64_t
draw(struct walk *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

/* One way down. */
static bool
sample(struct walk *w)
{
	struct lt_slice lo = { NULL, 0 }, hi = { NULL, 0 };
	uint64_t page = w->want.root;
	unsigned depth;

	for (depth = 1;; depth++) {
		const uint8_t *p;
		unsigned i;

		if (!page_ok(w, page, depth, lo, hi))
			return false;
		if (depth == w->want.depth)
			return walk_leaf(w, page);
		p = page_at(w, page);
		i = (unsigned)(draw(w) % count(p));
		lo = bound_below(p, i, lo);
		hi = bound_above(p, i, hi);
		page = child_of(node_at(p, i));
	}
}

static bool
same(const struct tree *a, const struct tree *b)
{
	return a->branch == b->branch && a->leaf == b->leaf && a->large == b->large &&
	       a->entries == b->entries;
}

/* A tree as its row says. at: the page with the row. */
static bool
walk_tree(struct walk *w, int table, struct tree want, uint64_t at)
{
	unsigned i;

	w->table = table;
	w->want = want;
	memset(&w->have, 0, sizeof(w->have));
	if (want.root == NO_PAGE) {
		if (want.depth == 0 && same(&want, &w->have))
			return true;
		return fault(w, LT_PAGES_TABLE, at);
	}
	if (want.depth == 0 || want.depth > DEPTH_MAX || want.entries == 0)
		return fault(w, LT_PAGES_TABLE, at);
	if (w->o->seen != NULL) {
		if (!walk_pages(w))
			return false;
		if (!same(&want, &w->have))
			return fault(w, LT_PAGES_COUNTS, want.root);
		if (table >= 0)
			w->r->table[table].entries = w->have.entries;
		return true;
	}
	for (i = 0; i < (want.depth == 1 ? 1 : w->o->samples); i++)
		if (!sample(w))
			return false;
	return true;
}

static int
table_named(const struct walk *w, struct lt_slice name)
{
	unsigned i;

	for (i = 0; i < w->o->ntable; i++)
		if (lt_slice_eq(
			name, lt_slice(w->o->table[i].prefix + 4, w->o->table[i].prefix_len - 4)))
			return (int)i;
	return (int)w->o->ntable; /* a newer program's: its pages only */
}

/* Each table that LMDB's main tree names. It is walked as a tree itself first. */
static bool
walk_tables(struct walk *w, struct tree main_tree)
{
	struct level s[DEPTH_MAX];
	unsigned top = 0, i;

	if (main_tree.root == NO_PAGE)
		return true;
	s[0] = (struct level){ page_at(w, main_tree.root), 0, { NULL, 0 }, { NULL, 0 } };
	for (;;) {
		struct level *l = &s[top];

		if (top + 1 < main_tree.depth && l->next < count(l->p)) {
			const uint8_t *p = page_at(w, child_of(node_at(l->p, l->next++)));

			s[++top] = (struct level){ p, 0, { NULL, 0 }, { NULL, 0 } };
			continue;
		}
		for (i = 0; top + 1 == main_tree.depth && i < count(l->p); i++) {
			const uint8_t *node = node_at(l->p, i);
			struct tree t = tree_of(node + NODE + u16(node + 6));

			w->table = table_named(w, key_of(node));
			/* A flag would make LMDB read the tree in another way. */
			if (t.flags != 0)
				return fault(w, LT_PAGES_TABLE, u64(l->p));
			if (!walk_tree(w, w->table, t, u64(l->p)))
				return false;
		}
		if (top-- == 0)
			return true;
	}
}

/* The main tree of a sampled walk is read whole: it has a row for each table. */
static bool
walk_main(struct walk *w, struct tree main_tree)
{
	struct walk whole = *w;
	bool fine;

	if (main_tree.flags != 0)
		return fault(w, LT_PAGES_META, 0);
	if (w->o->seen != NULL) {
		fine = walk_tree(w, T_MAIN, main_tree, 0);
	} else {
		whole.table = T_MAIN;
		whole.want = main_tree;
		memset(&whole.have, 0, sizeof(whole.have));
		fine =
		    main_tree.root == NO_PAGE ||
		    (main_tree.depth >= 1 && main_tree.depth <= DEPTH_MAX && walk_pages(&whole) &&
			(same(&whole.have, &main_tree) ||
			    fault(&whole, LT_PAGES_COUNTS, main_tree.root)));
		w->taken = whole.taken;
	}
	return fine && walk_tables(w, main_tree);
}

/* Is everything there that should be? A row of `sums` that cannot be read leaves that open. */
static void
complete(struct walk *w)
{
	bool sure = w->r->summed;
	unsigned i;

	for (i = 0; i < w->o->ntable; i++)
		sure =
		    sure && ((need(w, (int)i) & LT_PAGES_IS_SUMS) == 0 || w->r->table[i].bad == 0);
	for (i = 0; i < w->o->ntable; i++) {
		const struct lt_pages_table *t = &w->r->table[i];

		w->table = (int)i;
		if ((need(w, (int)i) & LT_PAGES_NEED_KEYS) != 0 && t->moved != 0)
			(void)fault(w, LT_PAGES_MOVED, 0);
		/* A checksum that is itself damaged counts as it should be. */
		if (sure && (need(w, (int)i) & LT_PAGES_NEED_SUMS) != 0 &&
		    (t->entries != t->want_entries ||
			(t->sums != t->want_sums && t->right != t->want_sums)))
			(void)fault(w, LT_PAGES_SUMS, 0);
	}
}

void
lt_pages_walk(const struct lt_pages_options *o, struct lt_pages_report *r)
{
	struct walk w = { .o = o, .r = r, .table = T_FREE, .rng = o->seed | 1 };
	const uint8_t *m = meta_of(o->file, o->size);
	struct tree free_tree, main_tree;

	memset(r, 0, sizeof(*r));
	r->fault_table = r->bad_table = -1;
	if (m == NULL) {
		(void)fault(&w, LT_PAGES_META, 0);
		return;
	}
	r->txnid = u64(m + META_TXN);
	r->pages = w.pages = u64(m + META_LAST) + 1;
	free_tree = tree_of(m + META_TREE(0));
	main_tree = tree_of(m + META_TREE(1));
	(void)take(&w, 0, 2);
	see(&w, 0, 2, LT_PAGES_META_PAGE);
	if ((free_tree.flags & ~NOSUBDIR) != FREE_KEY)
		(void)fault(&w, LT_PAGES_META, m == o->file ? 0 : 1);
	else if (walk_tree(&w, T_FREE, free_tree, 0) && walk_main(&w, main_tree) &&
		 o->seen != NULL && w.taken != w.pages)
		(void)fault(&w, LT_PAGES_LOST, w.taken);
	if (r->fault == LT_PAGES_WHOLE && o->seen != NULL)
		complete(&w);
	if (r->fault_table < -1 || r->fault_table >= (int)o->ntable)
		r->fault_table = -1;
}

const char *
lt_pages_fault_text(enum lt_pages_fault fault_code)
{
	static const char *const text[] = { "nothing", "the first pages do not fit together",
		"a page lies beyond the end of the file",
		"a page is not the one that belongs there",
		"the entries of a page do not fit into it", "keys are out of order",
		"a page is used for two things",
		"a table does not have as many entries as it should",
		"a large value lies in pages that are not its own",
		"the list of free pages is not one", "the row of a table is not one",
		"pages have been lost from a table", "an entry is missing, its key is damaged",
		"a table does not hold what was written to it last",
		"it is older than what was last committed to it",
		"the page that names its tables is not the one written last" };

	if ((unsigned)fault_code >= sizeof(text) / sizeof(text[0]))
		return "something";
	return text[fault_code];
}

/* ---- what can still be read of a file that does not hold together ---- */

#define LARGE_MAX ((size_t)LT_KV_VALUE_MAX + LT_KV_SUM_LEN)

struct gather {
	const struct lt_pages_gather *o;
	struct lt_pages_gathered *r;
	uint64_t pages; /* that may be meant: within the file */
	int table;
	bool before; /* the meta page before the newest is followed */
	bool stop;
};

/* A page that is the one that belongs there, of one of the two kinds; false: it cannot be read, or is another, or was met before. */
static bool
gather_page(struct gather *g, uint64_t page, uint8_t *into)
{
	if (page < 2 || page >= g->pages || (g->o->seen[page / 8] >> page % 8 & 1) != 0)
		return false;
	g->o->seen[page / 8] |= (uint8_t)(1u << page % 8);
	return g->o->read(g->o->ctx, page, 1, into) && u64(into) == page &&
	       (u16(into + 10) == P_LEAF || u16(into + 10) == P_BRANCH);
}

/* How many nodes its header tells of, as far as there is room for them. */
static unsigned
gather_count(const uint8_t *p)
{
	unsigned lower = u16(p + 12);

	return lower < HEADER || lower > PAGE ? 0 : (lower - HEADER) / 2;
}

/* A node that lies in its page with its key; NULL. */
static const uint8_t *
gather_node(const uint8_t *p, unsigned i)
{
	unsigned off = u16(p + HEADER + 2 * i);

	if (off < HEADER || off + NODE > PAGE || off + NODE + u16(p + off + 6) > PAGE)
		return NULL;
	return p + off;
}

/* What stands behind a leaf's key, also in pages of its own. */
static bool
gather_data(struct gather *g, const uint8_t *p, const uint8_t *node, struct lt_slice *out)
{
	size_t at = (size_t)(node - p) + NODE + u16(node + 6), len = data_len(node), run;
	uint64_t page;

	if ((u16(node + 4) & F_BIGDATA) == 0) {
		*out = lt_slice(p + at, len);
		return len <= PAGE && at + len <= PAGE;
	}
	if (at + 8 > PAGE || len > LARGE_MAX)
		return false;
	page = u64(p + at);
	run = (HEADER - 1 + len) / PAGE + 1;
	if (page < 2 || page >= g->pages || run > g->pages - page ||
	    !g->o->read(g->o->ctx, page, run, g->o->large) || u64(g->o->large) != page ||
	    u16(g->o->large + 10) != P_OVERFLOW)
		return false;
	*out = lt_slice(g->o->large + HEADER, len);
	return true;
}

/* An entry whose checksum, which is bound to table and key, is right. */
static void
gather_entry(struct gather *g, const uint8_t *p, const uint8_t *node)
{
	const struct lt_kv_table *t = &g->o->table[g->table];
	struct lt_slice key = key_of(node), data;
	uint8_t sum[LT_KV_SUM_LEN];

	if (key.len == 0 || key.len > LT_KV_KEY_MAX || (u16(node + 4) & ~F_BIGDATA) != 0 ||
	    !gather_data(g, p, node, &data) || data.len < LT_KV_SUM_LEN)
		return;
	lt_kv_sum(t, key, lt_slice(data.data, data.len - LT_KV_SUM_LEN), sum);
	if (memcmp(sum, data.data + data.len - LT_KV_SUM_LEN, LT_KV_SUM_LEN) != 0)
		return;
	g->r->table[g->table].rows++;
	g->stop = !g->o->row(g->o->ctx, (unsigned)g->table, key, data);
}

/* Keys of another place: of an older page, or of none that belongs here. */
static bool
in_bounds(const uint8_t *p, struct lt_slice lo, struct lt_slice hi)
{
	unsigned i, n = gather_count(p), first = u16(p + 10) == P_BRANCH;

	for (i = first; i < n; i++) {
		const uint8_t *node = gather_node(p, i);

		if (node != NULL && ((lo.len != 0 && lt_slice_cmp(key_of(node), lo) < 0) ||
					(hi.len != 0 && lt_slice_cmp(key_of(node), hi) >= 0)))
			return false;
	}
	return true;
}

struct gather_level {
	uint8_t *p;
	unsigned next;
	struct lt_slice lo, hi;
};

/* The bound above a child is the key of the next one that can be read. */
static struct lt_slice
gather_above(const uint8_t *p, unsigned i, struct lt_slice hi)
{
	const uint8_t *node = i + 1 < gather_count(p) ? gather_node(p, i + 1) : NULL;

	return node != NULL && key_of(node).len != 0 ? key_of(node) : hi;
}

typedef void gather_leaf_fn(struct gather *g, const uint8_t *p, const uint8_t *node);

/* Every leaf that can be reached from a root, from left to right; what cannot be read is left out with what is below it. *left: how often. */
static void
gather_tree(struct gather *g, uint64_t root, gather_leaf_fn *leaf, uint64_t *left)
{
	struct gather_level s[DEPTH_MAX];
	unsigned top = 0, i;

	s[0] = (struct gather_level){ .p = g->o->stack };
	if (root == NO_PAGE)
		return;
	if (!gather_page(g, root, s[0].p)) {
		++*left;
		return;
	}
	for (;;) {
		struct gather_level *l = &s[top];
		const uint8_t *node;

		if (u16(l->p + 10) == P_LEAF) {
			for (i = 0; i < gather_count(l->p) && !g->stop; i++) {
				node = gather_node(l->p, i);
				if (node != NULL)
					leaf(g, l->p, node);
			}
			l->next = gather_count(l->p);
		}
		if (g->stop || l->next >= gather_count(l->p)) {
			if (g->stop || top-- == 0)
				return;
			continue;
		}
		i = l->next++;
		node = gather_node(l->p, i);
		if (node == NULL || top + 1 == DEPTH_MAX) {
			++*left;
			continue;
		}
		s[top + 1] = (struct gather_level){ .p = l->p + PAGE,
			.lo = i == 0 || key_of(node).len == 0 ? l->lo : key_of(node),
			.hi = gather_above(l->p, i, l->hi) };
		if (gather_page(g, child_of(node), s[top + 1].p) &&
		    in_bounds(s[top + 1].p, s[top + 1].lo, s[top + 1].hi))
			top++;
		else
			++*left;
	}
}

/* A row of LMDB's main tree: noted, for the tables are walked when that was. */
static void
gather_table(struct gather *g, const uint8_t *p, const uint8_t *node)
{
	struct lt_slice name = key_of(node), data;
	struct tree tree;
	unsigned i;

	if (u16(node + 4) != F_SUBDATA)
		return;
	data = lt_slice(node + NODE + name.len, data_len(node));
	if (data.len != TREE_LEN || (size_t)(data.data - p) + data.len > PAGE)
		return;
	tree = tree_of(data.data);
	for (i = 0; i < g->o->ntable; i++) {
		struct lt_pages_gathered_table *t = &g->r->table[i];

		if (!lt_slice_eq(name, lt_slice_str(g->o->table[i].name)))
			continue;
		t->named |= !g->before;
		t->entries = tree.entries;
		t->root[g->before] = tree.root;
	}
}

/* The table of names as a meta page has it. */
static void
gather_names(struct gather *g, const uint8_t *meta, bool before)
{
	g->before = before;
	gather_tree(g, tree_of(meta + META_TREE(1)).root, gather_table, &g->r->left);
}

static bool
may_be_meta(const uint8_t *p)
{
	return u32(p + HEADER) == MAGIC && u32(p + HEADER + 4) == MDB_FORMAT &&
	       u32(p + META_TREE(0)) == PAGE;
}

/* What the newest leads to; of a table to which it does not, what the one before leads to: its pages are not used again yet. */
static void
gather_rows(struct gather *g, unsigned table)
{
	struct lt_pages_gathered_table *t = &g->r->table[table];

	g->table = (int)table;
	gather_tree(g, t->root[0], gather_entry, &t->left);
	if (t->rows != 0 || t->root[1] == t->root[0] || t->root[1] == NO_PAGE ||
	    (t->named && (t->root[0] == NO_PAGE || t->left == 0)))
		return;
	gather_tree(g, t->root[1], gather_entry, &t->left);
	g->r->older |= t->rows != 0;
}

size_t
lt_pages_gather_bytes(size_t size)
{
	return size / PAGE / 8 + 1;
}

bool
lt_pages_gather(const struct lt_pages_gather *o, struct lt_pages_gathered *r)
{
	struct gather g = { .o = o, .r = r, .pages = o->size / PAGE, .table = T_MAIN };
	uint8_t *meta[2] = { o->stack + (size_t)DEPTH_MAX * PAGE,
		o->stack + (size_t)(DEPTH_MAX + 1) * PAGE };
	bool is[2], any = false;
	unsigned i, newer;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < LT_PAGES_TABLES_MAX; i++)
		r->table[i].root[0] = r->table[i].root[1] = NO_PAGE;
	for (i = 0; i < 2; i++)
		is[i] = g.pages > i && o->read(o->ctx, i, 1, meta[i]) && may_be_meta(meta[i]);
	if (!is[0] && !is[1])
		return false;
	newer = is[1] && (!is[0] || u64(meta[1] + META_TXN) > u64(meta[0] + META_TXN));
	r->txnid = u64(meta[newer] + META_TXN);
	/* Which of two that do not follow one another was the last nobody can tell. */
	r->older = !is[0] || !is[1] || newest(meta[0], meta[1]) == NULL;
	if (is[!newer])
		gather_names(&g, meta[!newer], true);
	memset(o->seen, 0, lt_pages_gather_bytes(o->size));
	gather_names(&g, meta[newer], false);
	for (i = 0; i < o->ntable && !g.stop; i++) {
		any |= r->table[i].named || r->table[i].root[1] != NO_PAGE;
		gather_rows(&g, i);
	}
	return any && !g.stop;
}
