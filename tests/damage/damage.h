/* tests/damage/damage.h - a rig that damages real stores, and looks at what a program makes of them.
 *
 * The stores of a hub (log, derived tables) and of a node, as a small federation leaves them, are read into memory, with an
 * older copy of each. Each damage is one change to one file, drawn from a seed and its number. Then a child opens the store as a
 * program does (which looks at it in a child of its own), reads every entry forwards, backwards and by key, asks queries, and scrubs.
 * What it got is compared with what stood there before. What a scrub finds is repaired from two peers, of which one lies and the other
 * has everything.
 */
#ifndef LT_TESTS_DAMAGE_H
#define LT_TESTS_DAMAGE_H

#include "proto/feed/identity.h"
#include "proto/store/page_walk.h"
#include "proto/store/repair.h"
#include "proto/store/tables.h"

#define PAGE_BYTES 4096u
#define SECTOR_BYTES 512u

/* ---- stores ---- */

enum store { STORE_LOG, STORE_DERIVED, STORE_NODE, STORES };

struct live_page {
	uint64_t page;
	uint8_t kind; /* enum lt_pages_kind */
	bool own; /* of LMDB's own tables: free pages, names */
};

struct truth_entry {
	struct lt_slice key, value;
};

struct truth_table {
	struct truth_entry *e; /* rising by key */
	size_t n;
};

struct sample {
	const char *name; /* folder: "log", ... */
	enum lt_kv_kind kind;
	uint8_t *file, *old; /* of now, and of some time before */
	size_t size, old_size;
	uint8_t guard[64];
	size_t npage;
	struct live_page *page; /* each page that means something, free ones last */
	size_t nlive; /* of them, those that are not free */
	unsigned depth; /* levels of the deepest table */
	struct lt_arena arena;
	struct truth_table table[LT_T_COUNT];
};

struct stores {
	char from[256]; /* where the pristine files lie */
	char dir[64]; /* a folder in memory, with a folder for each store */
	struct lt_identity *hub, *node;
	struct sample s[STORES];
};

/* A federation writes them, in a process of its own. keep: a folder that exists, where they stay, and are taken from if it has
 * some; else NULL. Asserts on failure. */
void stores_make(struct stores *s, const char *keep);
void stores_free(struct stores *s);
/* Put a store's folder into this state: file, note, and nothing else. guard NULL: no note. */
void stores_put(const struct stores *s, enum store which, const uint8_t *file, size_t size,
    const uint8_t *guard);
/* Open as a program does; -LT_E_ codes. */
int stores_open(const struct stores *s, enum store which, struct lt_kv **out, struct lt_err *err);

/* ---- damages ---- */

enum kind {
	KIND_BIT, /* one bit the other way */
	KIND_ZERO, /* a sector of zeros */
	KIND_STALE, /* a sector as it was in the older copy */
	KIND_SWAP, /* two pages in each other's place */
	KIND_TORN, /* a page whose end is as it was in the older copy, or another page's */
	KIND_CUT, /* the file ends early */
	KIND_ROWS, /* bits of many values of the log, for a repair with much to ask for */
	KIND_KEY, /* the length of a key is one more, or one less, and nothing else of the page speaks of it */
	KINDS
};

enum place {
	PLACE_META,
	PLACE_BRANCH,
	PLACE_LEAF,
	PLACE_LARGE,
	PLACE_OWN,
	PLACE_FREE,
	PLACE_END,
	PLACE_ROWS, /* change-sets and openings, wherever they lie */
	PLACES
};

/* How the store was left before. */
enum left {
	LEFT_KILLED, /* not closed */
	LEFT_CLOSED,
	LEFT_BARE, /* no note beside it, as of an older program */
	LEFT_LARGE, /* closed, and so large that only roots and samples are looked at */
	LEFTS
};

struct damage {
	uint64_t number;
	enum store store;
	enum kind kind;
	enum place place;
	enum left left;
	bool live;
	uint64_t page;
	char text[96];
	size_t size; /* of the damaged file */
	uint64_t rows, lies; /* what KIND_ROWS, and the lying peer, draw from */
};

extern const char *const kind_name[KINDS];
extern const char *const place_name[PLACES];
extern const char *const left_name[LEFTS];

uint64_t draw(uint64_t *state);
/* Damage number n of this seed: the file into out, which has room for the sample's size. only: KIND_ROWS or KIND_KEY, whatever the seed
 * says; KINDS: what it says. */
void damage_make(const struct stores *s, uint64_t seed, uint64_t n, enum kind only,
    struct damage *d, uint8_t *out);

/* ---- what a program makes of it ---- */

enum outcome {
	SEEN_NOTHING, /* everything as it was; and the scrub, of every eighth, finds nothing */
	SEEN_FOUND, /* everything as it was, and the scrub finds something */
	SEEN_REFUSED, /* not opened */
	SEEN_ASIDE, /* set aside, begun anew */
	SEEN_UNREADABLE, /* errors in place of answers, the rest as it was; the scrub finds it */
	SEEN_OMITTED, /* something answered as absent; the scrub finds it */
	SEEN_STALE, /* an older value served; the scrub finds it */
	SEEN_CRASHED, /* LEFT_LARGE only: died of a signal once; the next start does not open it */
	/* defects */
	BAD_WRONG, /* a value or an answer that never was true */
	BAD_HIDDEN, /* an omission, an older value or an error that no scrub finds */
	BAD_CRASH,
	BAD_HANG,
	BAD_LOOP, /* the next start fares no better */
	BAD_REPAIR, /* what a peer has is not as it was after the repair, or the repair ends in a crash */
	OUTCOMES
};

/* What became of it, with a peer that has everything, the sound copy of the same store, and another that lies. */
enum repair {
	REPAIR_NEEDLESS, /* nothing was found, or not scrubbed */
	REPAIR_ANEW, /* set aside and begun anew, or what is derived alone: built anew from the log */
	REPAIR_WHOLE, /* everything is as it was, and the next scrub finds nothing more of the log damaged */
	REPAIR_LEFT, /* so are feeds and openings; rows that no change-set tells stay reported */
	REPAIR_BACKUP, /* refused, or its pages do not hold together: nothing was written, a backup is restored */
	REPAIRS
};
extern const char *const repair_name[REPAIRS];
extern const char *const outcome_name[OUTCOMES];
#define OUTCOME_DEFECT BAD_WRONG

/* What the lying peer says of what it is asked for. */
enum lie {
	LIE_BENT, /* altered bytes, anywhere */
	LIE_SIGNATURE, /* likewise, of the signature */
	LIE_OPENING, /* of an opening */
	LIE_ANOTHER, /* another change-set's bytes */
	LIE_BRANCH, /* one of a branch, signed by the same author; several */
	LIE_CUT,
	LIE_LONG, /* more bytes than it has, or than a message may have */
	LIE_MANY, /* everything there is, twice */
	LIE_UNASKED,
	LIE_BARE, /* without openings */
	LIE_LEAVES, /* leaves in the place of values */
	LIE_ERASED, /* values that were erased */
	LIE_SILENT, /* nothing for ever */
	LIE_TRUE, /* who never tells the truth is soon known */
	LIES
};
extern const char *const lie_name[LIES];

struct seen {
	enum outcome outcome;
	enum repair repair;
	uint64_t lies[LIES];
	char why[256];
};

/* ---- repair.c ---- */

struct repair_world {
	const struct stores *s;
	enum store which;
	struct lt_registry *registry;
	struct lt_kv *kv; /* damaged */
	uint64_t draws; /* of the lying peer, which notes here what it said */
	uint64_t *lies;
};

/* A change-set as a peer sends it; before: with what was erased since, NULL: it was not there yet. */
struct given {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_slice bytes, before;
};

/* What a peer of this store would send, of every position. The pristine store. */
void repair_learn(enum store which, struct lt_kv_txn *txn);
/* What stood there in the older copy; after repair_learn(). */
void repair_learn_before(enum store which, struct lt_kv_txn *txn);
void repair_forget(void);
/* From position 1. */
const struct given *repair_given(enum store which, size_t position);
size_t repair_given_count(enum store which);
bool repair_is(const struct given *g, const struct lt_repair_want *w);
/* Repair it: true, or false: its pages are broken. *put: change-sets put back. Asserts that it comes to an end. */
bool repair_run(const struct repair_world *w, uint64_t *put);
/* Are feeds and openings as they were (but for the time at which an entry came, and seeds)? *first: of what table not. */
bool repair_whole(const struct sample *x, struct lt_kv *kv, const char **first);

/* ---- liar.c ---- */

struct liar {
	const struct repair_world *world;
	struct lt_repairer *repairer;
	struct lt_id id;
	uint64_t draws;
	uint64_t *lies; /* counted, by kind */
	unsigned breaks; /* of its line */
	uint64_t told, taken; /* change-sets it sent; of them, put back */
};
/* It is asked for this. */
void liar_answer(struct liar *l, const struct lt_repair_want *w);

/* ---- serve.c ---- */

/* Note the truth of the pristine stores, queries among it. Once. */
void serve_learn(struct stores *s);
/* In a process forked since: results of its own. */
void serve_apart(void);
void serve_forget(void);
/* The damaged file lies in its place. */
void serve(const struct stores *s, const struct damage *d, struct seen *out);

#endif
