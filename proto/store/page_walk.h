/* proto/store/page_walk.h - reads LMDB's file (format 1 of 0.9, little-endian, 64 bits) as bytes and says whether it is whole,
 * without LMDB: LMDB believes what stands in a page, and a damaged one makes it crash, or leave out what it hides.
 *
 * Nothing here allocates, locks or calls stdio: it may run in a child of a process
 * with threads. A page that cannot be read (beyond the end of a file that shrinks, a bad sector) raises SIGBUS, so that
 * is where it belongs.
 */
#ifndef LT_STORE_PAGE_WALK_H
#define LT_STORE_PAGE_WALK_H

#include "proto/store/kv_impl.h"

#define LT_PAGES_TABLES_MAX (LT_KV_TABLES_MAX + 1) /* ours and "meta" */

enum lt_pages_fault {
	LT_PAGES_WHOLE = 0,
	LT_PAGES_META, /* a meta page, or the two do not follow one another */
	LT_PAGES_BEYOND, /* a page beyond the end of the file, or of what LMDB counts */
	LT_PAGES_KIND, /* another kind of page, or another page, than the one that points there says */
	LT_PAGES_LAYOUT, /* entries of a page that lie outside it or over one another */
	LT_PAGES_ORDER, /* keys that do not rise, or lie outside what the page above says */
	LT_PAGES_TWICE, /* a page used for two things */
	LT_PAGES_COUNTS, /* a tree has another depth, or number of pages or entries, than noted */
	LT_PAGES_RUN, /* the pages of a large value */
	LT_PAGES_FREE, /* the list of free pages */
	LT_PAGES_TABLE, /* the row of a table */
	LT_PAGES_LOST, /* pages that nothing reaches */
	LT_PAGES_MOVED, /* an entry stands under a key that has one bit flipped: it is missing under its own */
	LT_PAGES_SUMS, /* the entries of a table are not those that were written last (kv_sums.h) */
	/* Not by the walk: */
	LT_PAGES_OLDER, /* the file is of before the last commit that is known of */
	LT_PAGES_NAMES /* the page that says where the tables begin is not the one that was written last */
};

/* What an entry of a page is, for LT_PAGES_SEE. */
enum lt_pages_kind {
	LT_PAGES_META_PAGE,
	LT_PAGES_BRANCH,
	LT_PAGES_LEAF,
	LT_PAGES_LARGE, /* the first of a run */
	LT_PAGES_FREE_PAGE
};

/* Each page that is reached (a run: once, with its number of pages). table: as in the report; -1 LMDB's own two. */
typedef void lt_pages_see_fn(
    void *ctx, uint64_t page, uint64_t npages, enum lt_pages_kind kind, int table);

enum {
	LT_PAGES_NEED_KEYS =
	    1, /* nothing else can tell what is missing: a moved entry is a fault */
	LT_PAGES_NEED_SUMS = 2, /* the table `sums` says what it holds */
	LT_PAGES_IS_SUMS = 4
};

struct lt_pages_options {
	const uint8_t *file; /* mapped; size bytes */
	size_t size;
	const struct lt_kv_table *table; /* ours; the last is "meta" */
	unsigned ntable;
	const uint8_t *need; /* what each table needs: LT_PAGES_NEED_; NULL: nothing */
	uint8_t *seen; /* lt_pages_seen_bytes(), zeroed; NULL: roots and samples only */
	unsigned samples; /* then: walks from a root to a leaf, for each table */
	uint64_t seed; /* where they go */
	lt_pages_see_fn *see; /* NULL allowed */
	void *ctx;
};

struct lt_pages_table {
	uint64_t entries; /* counted in a full walk */
	uint64_t sums; /* the stored checksums of all entries, added */
	uint64_t right; /* as sums, with those that do not verify made anew */
	uint64_t bad; /* entries that do not verify */
	uint64_t
	    moved; /* of these, entries whose key has one bit flipped: one that is missed elsewhere */
	uint64_t want_entries, want_sums; /* as the table `sums` has it */
};

/* Plain bytes: it may lie in memory shared with another process. */
struct lt_pages_report {
	enum lt_pages_fault fault; /* the first one; the walk ends there */
	uint64_t fault_page;
	int fault_table; /* index; -1: LMDB's own, or none */
	uint64_t txnid; /* of the newest meta page */
	uint64_t pages; /* that LMDB counts, the meta pages among them */
	uint64_t read; /* pages that were looked at */
	unsigned version; /* of the store's format, as its table meta says; 0: not seen */
	bool summed; /* the table `sums` is there and complete */
	uint64_t bad; /* entries that do not verify, of all tables */
	int bad_table; /* of the first of them */
	uint8_t bad_key_len;
	uint8_t bad_key[64]; /* its beginning */
	struct lt_pages_table table[LT_PAGES_TABLES_MAX];
};

/* Bytes of memory for a full walk; 0: the meta pages are damaged (lt_pages_walk() says how). */
size_t lt_pages_seen_bytes(const uint8_t *file, size_t size);
/* Pages that LMDB counts; 0: the meta pages are damaged. */
uint64_t lt_pages_counted(const uint8_t *file, size_t size);
/* Fills the report. A walk over bytes that change meanwhile ends, and says nothing of use. */
void lt_pages_walk(const struct lt_pages_options *o, struct lt_pages_report *r);
/* Short lower-case English; never NULL. */
const char *lt_pages_fault_text(enum lt_pages_fault fault);
/* What stands in the newest meta page, as one number, and its transaction; false: neither is one. */
bool lt_pages_meta(const uint8_t *page0, const uint8_t *page1, uint64_t *txnid, uint64_t *sum);

#define LT_PAGES_META_LEN 152 /* bytes of a meta page that mean something */

#define LT_PAGES_PAGE 4096u /* bytes of a page */
/* Where the page with the tables' names lies, as the newest meta page says; 0: there is none, or neither is one. */
uint64_t lt_pages_names_at(const uint8_t *page0, const uint8_t *page1);
/* That page as one number, never 0. */
uint64_t lt_pages_names(const uint8_t *page);

/* ---- what can still be read of a file that does not hold together (salvage.h) ---- */

struct lt_pages_gathered_table {
	bool named; /* the newest table of names has it */
	uint64_t root
	    [2]; /* as the newest meta page has it, and the one before; all ones: not there, or empty */
	uint64_t entries; /* that there should be */
	uint64_t rows; /* given: their checksums are right */
	uint64_t
	    left; /* pages that cannot be read, or are not those that belong there; what stands below them is not counted */
};

/* Plain bytes, as a report. */
struct lt_pages_gathered {
	uint64_t txnid; /* of the meta page that was followed */
	bool
	    older; /* what was committed last may not be among it: of a table, or all, the meta page before was followed, or which is the newest cannot be told */
	uint64_t left; /* as above, of the table of names */
	struct lt_pages_gathered_table table[LT_PAGES_TABLES_MAX];
};

#define LT_PAGES_GATHER_STACK ((size_t)34 * LT_PAGES_PAGE)
#define LT_PAGES_GATHER_LARGE ((size_t)LT_KV_VALUE_MAX + 2 * LT_PAGES_PAGE)

struct lt_pages_gather {
	size_t size; /* of the file */
	const struct lt_kv_table *table; /* as in lt_pages_options */
	unsigned ntable;
	uint8_t *seen; /* lt_pages_gather_bytes() */
	uint8_t *stack, *large; /* LT_PAGES_GATHER_STACK and LT_PAGES_GATHER_LARGE bytes */
	/* Pages of the file; false: they cannot be read. */
	bool (*read)(void *ctx, uint64_t page, size_t npages, uint8_t *into);
	/* An entry whose checksum is right, as it is stored. false: no more. */
	bool (*row)(void *ctx, unsigned table, struct lt_slice key, struct lt_slice stored);
	void *ctx;
};

size_t lt_pages_gather_bytes(size_t size);
/* Walk the tree of each table as the newest meta page that leads to them has it, and give every entry that can be reached and verifies. What
 * is damaged is left out, with what lies below it. false: neither meta page leads to any table, or row said so. */
bool lt_pages_gather(const struct lt_pages_gather *o, struct lt_pages_gathered *r);

#endif
