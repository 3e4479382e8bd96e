#include "proto/model/catalogue.h"

#include "proto/model/catalogue_impl.h"
#include "proto/model/pattern_walk.h"
#include "proto/model/change.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUILTIN_MAX 16

struct lt_catalogue *
lt_catalogue_new(uint64_t version, size_t n)
{
	struct lt_catalogue *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	atomic_init(&c->refs, 1);
	c->version = version;
	lt_arena_init(&c->arena, LT_CATALOGUE_ARENA_MAX);
	c->collection = lt_arena_alloc(&c->arena, (n + BUILTIN_MAX) * sizeof(*c->collection));
	if (c->collection == NULL) {
		lt_catalogue_unref(c);
		return NULL;
	}
	return c;
}

struct lt_catalogue *
lt_catalogue_ref(struct lt_catalogue *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
lt_catalogue_unref(struct lt_catalogue *c)
{
	size_t i, k;

	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < c->ncollection; i++)
		for (k = 0; k < c->collection[i].nfield; k++)
			if (c->collection[i].field[k].has_pattern) {
				regfree(&c->collection[i].field[k].regex);
				free(c->collection[i].field[k].walk);
			}
	lt_arena_fini(&c->arena);
	free(c);
}

int
lt_catalogue_builtin(struct lt_catalogue **out)
{
	struct lt_catalogue *c = lt_catalogue_new(0, 0);
	int rc;

	if (c == NULL)
		return LT_E_NOMEM;
	rc = lt_builtin_add(c);
	if (rc == LT_OK)
		rc = lt_catalogue_seal(c, NULL);
	if (rc == LT_OK)
		*out = c;
	else
		lt_catalogue_unref(c);
	return rc;
}

/* ---- finding ---- */

static inline uint64_t
load_word(const void *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static inline uint32_t
load_half(const void *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static inline struct lt_name_words
words_of(const char *name, size_t len)
{
	struct lt_name_words w = { .len = len };

	if (len >= 8) {
		w.first = load_word(name);
		w.last = load_word(name + len - 8);
	} else if (len >= 4) {
		w.first = load_half(name);
		w.last = load_half(name + len - 4);
	} else if (len != 0) {
		w.first = (uint8_t)name[0];
		w.last = (uint64_t)(uint8_t)name[len / 2] << 8 | (uint8_t)name[len - 1];
	}
	return w;
}

static inline size_t
slot_of(const struct lt_names *names, const struct lt_name_words *w)
{
	uint64_t h = (w->first + w->len) * UINT64_C(0x9e3779b97f4a7c15) ^
		     w->last * UINT64_C(0xc2b2ae3d27d4eb4f);

	return (h ^ h >> 32) & (names->nslot - 1);
}

/* Where the name stands, or would stand. */
static inline struct lt_name_slot *
find_slot(const struct lt_names *names, const char *name, size_t len)
{
	const struct lt_name_words w = words_of(name, len);
	size_t i = slot_of(names, &w);
	struct lt_name_slot *s;

	for (;; i = (i + 1) & (names->nslot - 1)) {
		s = &names->slot[i];
		if (s->name == NULL)
			return s;
		if (s->words.first == w.first && s->words.last == w.last && s->words.len == len &&
		    (len <= 2 * sizeof(w.first) || memcmp(s->name, name, len) == 0))
			return s;
	}
}

static bool
make_names(struct lt_catalogue *c, struct lt_names *names, size_t n)
{
	for (names->nslot = 8; names->nslot < 2 * n; names->nslot *= 2)
		;
	names->slot = lt_arena_alloc(&c->arena, names->nslot * sizeof(*names->slot));
	return names->slot != NULL;
}

/* False: it stands there already. */
static bool
add_name(const struct lt_names *names, const char *name, const void *what)
{
	struct lt_name_slot *s = find_slot(names, name, strlen(name));

	if (s->name != NULL)
		return false;
	*s = (struct lt_name_slot){ words_of(name, strlen(name)), name, what };
	return true;
}

static const struct lt_field_rule *
find_rule(void *ctx, const char *field)
{
	const struct lt_field *f = find_slot(ctx, field, strlen(field))->what;

	return f == NULL ? NULL : &f->rule;
}

static int
seal_collection(struct lt_catalogue *c, struct lt_collection *col, struct lt_err *err)
{
	struct lt_names *names = lt_arena_alloc(&c->arena, sizeof(*names));
	size_t i;

	if (names == NULL || !make_names(c, names, col->nfield))
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	for (i = 0; i < col->nfield; i++)
		if (!add_name(names, col->field[i].rule.name, &col->field[i]))
			return lt_err_set(err, LT_E_EXISTS,
			    "collection \"%s\": field \"%s\" stands twice", col->id,
			    col->field[i].rule.name);
	col->rules.find = find_rule;
	col->rules.ctx = names;
	return LT_OK;
}

int
lt_catalogue_seal(struct lt_catalogue *c, struct lt_err *err)
{
	size_t i;
	int rc;

	if (!make_names(c, &c->by_id, c->ncollection))
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	for (i = 0; i < c->ncollection; i++) {
		rc = seal_collection(c, &c->collection[i], err);
		if (rc != LT_OK)
			return rc;
	}
	for (i = 0; i < c->ncollection; i++)
		if (!add_name(&c->by_id, c->collection[i].id, &c->collection[i]))
			return lt_err_set(err, LT_E_EXISTS, "collection \"%s\" stands twice",
			    c->collection[i].id);
	return LT_OK;
}

uint64_t
lt_catalogue_version(const struct lt_catalogue *c)
{
	return c->version;
}

const struct lt_collection *
lt_catalogue_find(const struct lt_catalogue *c, const char *id)
{
	return find_slot(&c->by_id, id, strlen(id))->what;
}

size_t
lt_catalogue_count(const struct lt_catalogue *c)
{
	return c->ncollection;
}

const struct lt_collection *
lt_catalogue_at(const struct lt_catalogue *c, size_t i)
{
	assert(i < c->ncollection);
	return &c->collection[i];
}

const struct lt_org *
lt_catalogue_org(const struct lt_catalogue *c, const char *id)
{
	size_t i;

	for (i = 0; i < c->norg; i++)
		if (strcmp(c->org[i].id, id) == 0)
			return &c->org[i];
	return NULL;
}

const struct lt_field *
lt_collection_field_named(const struct lt_collection *c, struct lt_slice name)
{
	return find_slot(c->rules.ctx, (const char *)name.data, name.len)->what;
}

const struct lt_field *
lt_collection_field(const struct lt_collection *c, const char *name)
{
	return find_slot(c->rules.ctx, name, strlen(name))->what;
}

bool
lt_field_matches(const struct lt_field *f, const char *text)
{
	/* Longer than any text form of a number, a date or an enumeration value. */
	size_t max = f->max_len != 0 ? f->max_len : LT_NAME_MAX;
	enum lt_pattern_answer answer;

	if (!f->has_pattern)
		return true;
	if (strnlen(text, max + 1) > max)
		return false;
	answer = lt_pattern_walk(f->walk, text);
	return answer == LT_PATTERN_ASK_REGEX ? lt_pattern_match(&f->regex, text)
					      : answer == LT_PATTERN_YES;
}

/* ---- parts ---- */

static int
part_dump(const json_t *json, struct lt_arena *arena, struct lt_slice *out, struct lt_err *err)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t len;
	char *copy;

	if (text == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	len = strlen(text);
	copy = lt_arena_dup(arena, text, len);
	free(text);
	if (copy == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	*out = lt_slice(copy, len);
	return LT_OK;
}

static int
part_make(struct lt_catalogue_part *part, const char *id, const json_t *json,
    struct lt_arena *arena, struct lt_err *err)
{
	int rc = part_dump(json, arena, &part->json, err);

	if (rc != LT_OK)
		return rc;
	/* a part becomes a value of the record _catalogue */
	if (part->json.len > LT_VALUE_MAX)
		return lt_err_set(err, LT_E_TOOBIG,
		    "collection \"%s\": its text is longer than %d bytes", id, LT_VALUE_MAX);
	part->id = lt_arena_dup(arena, id, strlen(id));
	return part->id != NULL ? LT_OK : lt_err_set(err, LT_E_NOMEM, "out of memory");
}

/* The id of a collection's JSON, NULL if it has none that could be a key. */
static const char *
json_id(const json_t *collection)
{
	const char *id = json_string_value(json_object_get(collection, "id"));

	return id != NULL && id[0] != '_' && lt_name_valid(id) ? id : NULL;
}

static int
split_root(json_t *root, struct lt_arena *arena, struct lt_catalogue_part **parts, size_t *n,
    struct lt_err *err)
{
	json_t *cols = json_object_get(root, "collections");
	size_t count = json_array_size(cols), i;
	struct lt_catalogue_part *p;
	int rc;

	if (!json_is_array(cols) || count > LT_COLLECTIONS_MAX)
		return lt_err_set(err, LT_E_INVALID, "\"collections\" is not a list of at most %d",
		    LT_COLLECTIONS_MAX);
	p = lt_arena_alloc(arena, (count + 1) * sizeof(*p));
	if (p == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	for (i = 0; i < count; i++) {
		const json_t *col = json_array_get(cols, i);

		if (json_id(col) == NULL)
			return lt_err_set(
			    err, LT_E_INVALID, "collection number %zu has no valid \"id\"", i);
		rc = part_make(&p[i + 1], json_id(col), col, arena, err);
		if (rc != LT_OK)
			return rc;
	}
	json_object_del(root, "collections");
	rc = part_make(&p[0], "", root, arena, err);
	if (rc == LT_OK) {
		*parts = p;
		*n = count + 1;
	}
	return rc;
}

int
lt_catalogue_split(struct lt_slice json, struct lt_arena *arena, struct lt_catalogue_part **parts,
    size_t *n, struct lt_err *err)
{
	json_t *root = NULL;
	int rc = lt_catalogue_json(json, &root, err);

	if (rc == LT_OK)
		rc = split_root(root, arena, parts, n, err);
	json_decref(root);
	return rc;
}

static int
join_part(const struct lt_catalogue_part *part, json_t **root, json_t *cols, struct lt_err *err)
{
	json_t *json = NULL;
	int rc = lt_catalogue_json(part->json, &json, err);

	if (rc != LT_OK)
		return rc;
	if (part->id[0] == '\0') {
		if (*root == NULL && json_object_get(json, "collections") == NULL) {
			*root = json;
			return LT_OK;
		}
		rc = lt_err_set(
		    err, LT_E_INVALID, "the common part stands twice or holds collections");
	} else if (json_id(json) == NULL || strcmp(json_id(json), part->id) != 0) {
		rc = lt_err_set(err, LT_E_INVALID, "part \"%s\" has another id inside", part->id);
	} else if (json_array_append(cols, json) != 0) {
		rc = lt_err_set(err, LT_E_NOMEM, "out of memory");
	}
	json_decref(json);
	return rc;
}

int
lt_catalogue_join(
    const struct lt_catalogue_part *parts, size_t n, struct lt_buf *json, struct lt_err *err)
{
	json_t *root = NULL, *cols = json_array();
	char *text = NULL;
	size_t i;
	int rc = LT_OK;

	if (cols == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	if (n > LT_COLLECTIONS_MAX + 1)
		rc = lt_err_set(err, LT_E_TOOBIG, "more than %d collections", LT_COLLECTIONS_MAX);
	for (i = 0; i < n && rc == LT_OK; i++)
		rc = join_part(&parts[i], &root, cols, err);
	if (rc == LT_OK && root == NULL)
		rc = lt_err_set(err, LT_E_NOTFOUND, "the common part of the catalogue is missing");
	if (rc != LT_OK)
		goto out;
	if (json_object_set(root, "collections", cols) == 0)
		text = json_dumps(root, JSON_COMPACT);
	if (text == NULL) {
		rc = lt_err_set(err, LT_E_NOMEM, "out of memory");
		goto out;
	}
	lt_buf_str(json, text);
	rc = json->err;
out:
	free(text);
	json_decref(root);
	json_decref(cols);
	return rc;
}
