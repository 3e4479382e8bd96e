/* proto/model/catalogue_impl.h - what the parts of the catalogue share; not for other modules.
 *
 * catalogue.c holds and finds, catalogue_parse.c reads the file, builtin.c knows FORMAT.md 8,
 * pattern.c decides which regular expressions are harmless.
 */
#ifndef LT_MODEL_CATALOGUE_IMPL_H
#define LT_MODEL_CATALOGUE_IMPL_H

#include "proto/model/catalogue.h"

#include <stdatomic.h>

#include <jansson.h>

/* Far above the catalogue of today (37 collections, at most 25 fields, 7,700 JSON values); they bound
 * what a hostile file costs. */
#define LT_COLLECTIONS_MAX 256
#define LT_ENUM_VALUES_MAX 1024
#define LT_ORGS_MAX 256
#define LT_LIST_MAX 64 /* departments, summands, checks of one collection */
#define LT_CATALOGUE_JSON_VALUES_MAX 65536
#define LT_CATALOGUE_JSON_DEPTH_MAX 16
#define LT_CATALOGUE_ARENA_MAX ((size_t)32 * 1024 * 1024)
#define LT_INDEXED_MAX 6 /* index_rule of the catalogue */
#define LT_PATTERN_MAX 300
#define LT_PATTERN_NODES_MAX 1000 /* of one pattern, repetitions written out */
#define LT_PATTERNS_NODES_MAX 20000 /* of all patterns of a catalogue; about 45 MiB when compiled */
#define LT_PATTERN_REPEAT_MAX 255
#define LT_PATTERN_DEPTH_MAX 8

/* The first and the last eight bytes of a name (FORMAT.md 2), or less of a shorter one: up to 16 bytes that and its length are all of it. */
struct lt_name_words {
	uint64_t first, last;
	size_t len;
};

struct lt_name_slot {
	struct lt_name_words words;
	const char *name; /* NULL: free */
	const void *what;
};

/* Fields or collections by name: by a hash of it, open addressing. Admission, merging and showing a row ask for every field. */
struct lt_names {
	struct lt_name_slot *slot;
	size_t nslot; /* a power of two, more than there are names */
};

struct lt_catalogue {
	atomic_uint refs;
	uint64_t version;
	struct lt_arena arena; /* everything below but the compiled patterns */
	size_t ncollection;
	struct lt_collection *collection; /* room for the file's and the built-in ones */
	struct lt_names by_id;
	size_t norg;
	struct lt_org *org;
};

/* Sort the orders by name once all collections are in. LT_E_NOMEM; LT_E_EXISTS: an id or a field name
 * twice, err names it. */
int lt_catalogue_seal(struct lt_catalogue *c, struct lt_err *err);
/* An empty catalogue with room for n collections and the built-in ones; NULL: out of memory. */
struct lt_catalogue *lt_catalogue_new(uint64_t version, size_t n);

/* Append the built-in collections (FORMAT.md 8) to the catalogue. */
int lt_builtin_add(struct lt_catalogue *c);

/* Bounded JSON: size, depth and number of values are counted before the parser allocates. */
int lt_catalogue_json(struct lt_slice text, json_t **out, struct lt_err *err);

/* Is the pattern of the kind the catalogue allows (anchored, ASCII, no backslash) and cheap? *nodes:
 * its size with repetitions written out. LT_E_INVALID, LT_E_TOOBIG. */
int lt_pattern_check(const char *pattern, size_t *nodes, struct lt_err *err);
/* Compile a checked pattern for the C locale. LT_E_INVALID, LT_E_NOMEM. */
int lt_pattern_compile(const char *pattern, regex_t *out, struct lt_err *err);
bool lt_pattern_match(const regex_t *regex, const char *text);

#endif
