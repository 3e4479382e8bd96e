#include "hub/who_holds.h"
#include "hub/hub_impl.h"
#include "proto/store/log_view.h"
#include "proto/store/projection.h"

#include <string.h>

#define CHANGE_ARENA ((size_t)8 * 1024 * 1024)
#define PAGE_OPENINGS 200000
#define PAGE_MS 2000 /* a read transaction is short */
#define TICK_EVERY 1024
#define INDEX_VALUE 95 /* bytes of a value of which an entry has all */
#define KEY_HEAD (8 + 4) /* position, change; then the field's name */
#define VALUE_HEAD (1 + LT_SALT_LEN)

bool
lt_holds_value(const Ltpb__Value *v, const char *value)
{
	size_t i;

	if (v == NULL)
		return false;
	if (v->v_case == LTPB__VALUE__V_TEXT)
		return strcmp(v->text, value) == 0;
	for (i = 0; v->v_case == LTPB__VALUE__V_SET && i < v->set->n_item; i++)
		if (strcmp(v->set->item[i], value) == 0)
			return true;
	return false;
}

/* ---- pages ----
 *
 * A page is asked for by the key of the row that it begins with, in the index or among the openings. */

enum { AT_INDEX = 1, AT_OPENING = 2 };

static int
token(struct lt_arena *arena, uint8_t what, struct lt_slice key, struct lt_slice *out)
{
	uint8_t *t = lt_arena_alloc(arena, 1 + key.len);

	if (t == NULL)
		return LT_E_NOMEM;
	t[0] = what;
	memcpy(t + 1, key.data, key.len);
	*out = lt_slice(t, 1 + key.len);
	return LT_OK;
}

struct scan {
	struct lt_who_holds *w;
	struct lt_kv_txn *log;
	struct lt_log_view view;
	int64_t until_ms;
	const struct lt_clock *clock;
	uint64_t rows; /* of this page, of either kind */
	bool full;
};

/* Before a row is looked at: does the page end here? The first one always has its place, or the pages would not end. */
static int
page_end(struct scan *s, uint8_t what, struct lt_slice key)
{
	struct lt_who_holds *w = s->w;
	bool asked = s->rows != 0 && s->rows % TICK_EVERY == 0;
	int rc = asked && w->tick != NULL ? w->tick(w->ctx) : LT_OK;

	if (rc != LT_OK)
		return rc;
	s->full = w->n == LT_WHO_PAGE || w->looked_at >= PAGE_OPENINGS ||
		  (asked && lt_mono_ms(s->clock) >= s->until_ms);
	s->rows++;
	return s->full ? token(w->arena, what, key, &w->next) : LT_OK;
}

/* ---- what was found ---- */

static int
add_field(struct lt_who_holds *w, struct lt_holding *h, const char *field)
{
	size_t i, cap = h->field_cap == 0 ? 8 : 2 * h->field_cap;
	const char **more;

	for (i = 0; i < h->nfield; i++)
		if (strcmp(h->field[i], field) == 0)
			return LT_OK;
	if (h->nfield == h->field_cap) {
		more = lt_arena_alloc(w->arena, cap * sizeof(*more));
		if (more == NULL)
			return LT_E_NOMEM;
		if (h->nfield != 0)
			memcpy(more, h->field, h->nfield * sizeof(*more));
		h->field = more;
		h->field_cap = cap;
	}
	h->field[h->nfield] = lt_arena_dup(w->arena, field, strlen(field));
	return h->field[h->nfield++] == NULL ? LT_E_NOMEM : LT_OK;
}

/* In the row with this key: there is room for one more record (page_end()). */
static int
found(struct lt_who_holds *w, const char *unit, const char *collection, const char *key,
    const char *field, uint8_t what, struct lt_slice row)
{
	const struct lt_collection *c = lt_catalogue_find(w->cat, collection);
	struct lt_holding *h;
	size_t i;
	int rc;

	/* Of a collection that the catalogue has no more nobody's rights are known. */
	if (c == NULL || !w->may(w->ctx, c, unit, field))
		return LT_OK;
	for (i = 0; i < w->n; i++)
		if (strcmp(w->holding[i].key, key) == 0 &&
		    strcmp(w->holding[i].unit.s, unit) == 0 &&
		    strcmp(w->holding[i].collection, c->id) == 0)
			return add_field(w, &w->holding[i], field);
	h = &w->holding[w->n];
	*h = (struct lt_holding){ .collection = c->id };
	h->key = lt_arena_dup(w->arena, key, strlen(key));
	if (h->key == NULL || lt_unit_set(&h->unit, lt_slice_str(unit)) != LT_OK)
		return LT_E_NOMEM;
	rc = token(w->arena, what, row, &h->at);
	w->n++;
	return rc == LT_OK ? add_field(w, h, field) : rc;
}

/* ---- by the indexes ---- */

struct by_index {
	struct scan *s;
	const struct lt_collection *c;
	const char *field;
	int rc;
};

static int
on_index(void *ctx, struct lt_slice index_key, struct lt_slice rk)
{
	struct by_index *b = ctx;
	char unit[LT_UNIT_MAX + 1], key[LT_KEY_MAX + 1];
	struct lt_slice c, u, k;

	b->rc = page_end(b->s, AT_INDEX, index_key);
	if (b->rc != LT_OK || b->s->full)
		return LT_E_CANCELLED;
	b->rc = lt_key_record_split(rk, &c, &u, &k);
	if (b->rc == LT_OK && (u.len >= sizeof(unit) || k.len >= sizeof(key)))
		b->rc = LT_E_CORRUPT;
	if (b->rc == LT_OK) {
		lt_slice_to_text(unit, sizeof(unit), u);
		lt_slice_to_text(key, sizeof(key), k);
		b->rc = found(b->s->w, unit, b->c->id, key, b->field, AT_INDEX, index_key);
	}
	return b->rc == LT_OK ? LT_OK : LT_E_CANCELLED;
}

/* Entries of exactly this value: no text has a byte below 01. An entry tells of a value only its first 96 bytes. */
static int
look_up(struct scan *s, struct lt_kv_txn *derived, const struct lt_collection *c,
    const struct lt_field *f, struct lt_slice from)
{
	struct by_index b = { s, c, f->rule.name, LT_OK };
	char to[LT_WHO_VALUE_MAX + 2];
	size_t len = strlen(s->w->value);
	int rc;

	memcpy(to, s->w->value, len);
	to[len] = 1;
	rc = lt_index_each(derived, c->id, f->rule.name, from, lt_slice(to, len + 1),
	    lt_slice(NULL, 0), false, on_index, &b);
	return rc == LT_OK || rc == LT_E_CANCELLED ? b.rc : rc;
}

static bool
is_looked_up(const struct lt_collection *c, const struct lt_field *f)
{
	return !c->builtin && f->indexed && !f->is_unit &&
	       (f->rule.type == LT_TYPE_TEXT || f->rule.type == LT_TYPE_SET);
}

/* What of an index key stands behind the names, where it is a key of this field's; else empty. */
static struct lt_slice
behind_names(struct lt_slice key, const struct lt_collection *c, const struct lt_field *f)
{
	size_t clen = strlen(c->id) + 1, flen = strlen(f->rule.name) + 1;

	if (key.len <= clen + flen || memcmp(key.data, c->id, clen) != 0 ||
	    memcmp(key.data + clen, f->rule.name, flen) != 0)
		return lt_slice(NULL, 0);
	return lt_slice(key.data + clen + flen, key.len - clen - flen);
}

/* Field after field as the catalogue has them, from the key of an index row on (empty: all). A key tells nothing about other values than
 * the one that is asked for: it must be of that. */
static int
by_indexes(struct scan *s, struct lt_kv_txn *derived, struct lt_slice key)
{
	struct lt_slice value = lt_slice_str(s->w->value), from;
	bool begun = key.len == 0;
	size_t i, k;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && !s->full && i < lt_catalogue_count(s->w->cat); i++) {
		const struct lt_collection *c = lt_catalogue_at(s->w->cat, i);

		for (k = 0; rc == LT_OK && !s->full && k < c->nfield; k++) {
			if (!is_looked_up(c, &c->field[k]))
				continue;
			from = begun ? value : behind_names(key, c, &c->field[k]);
			if (from.len == 0)
				continue; /* before the field at which the page begins */
			if (!begun && (from.len <= value.len ||
					  memcmp(from.data, value.data, value.len) != 0 ||
					  from.data[value.len] != 0))
				return LT_E_INVALID;
			begun = true;
			rc = look_up(s, derived, c, &c->field[k], from);
			/* What is personal is found among the openings all the same. */
			s->w->unreadable += rc == LT_E_CORRUPT;
			rc = rc == LT_E_CORRUPT ? LT_OK : rc;
		}
	}
	return rc == LT_OK && !begun ? LT_E_INVALID : rc;
}

/* ---- through the openings ---- */

/* Most rows do not even have the bytes. */
static bool
has_value(const struct lt_who_holds *w, struct lt_slice v, struct lt_arena *scratch)
{
	struct lt_field_set f;
	struct lt_slice fs;

	if (v.len <= VALUE_HEAD || v.data[0] != 0)
		return false;
	fs = lt_slice(v.data + VALUE_HEAD, v.len - VALUE_HEAD);
	if (memmem(fs.data, fs.len, w->value, strlen(w->value)) == NULL)
		return false;
	return lt_field_set_decode(fs, scratch, &f, NULL) == LT_OK &&
	       lt_holds_value(f.pb->value, w->value);
}

static int
take_row(struct scan *s, struct lt_slice k, struct lt_slice v)
{
	char field[LT_NAME_MAX + 1];
	struct lt_change change;
	struct lt_arena scratch;
	int rc = LT_OK;

	lt_arena_init(&scratch, CHANGE_ARENA);
	if (has_value(s->w, v, &scratch) && k.len - KEY_HEAD < sizeof(field)) {
		lt_slice_to_text(
		    field, sizeof(field), lt_slice(k.data + KEY_HEAD, k.len - KEY_HEAD));
		rc = lt_log_view_open(&s->view, s->log, lt_load_u64(k.data));
		if (rc == LT_OK)
			rc = lt_log_view_change(
			    &s->view, lt_load_u32(k.data + 8), &scratch, &change);
		if (rc == LT_OK)
			rc = found(s->w, s->view.unit.s, change.collection, change.key, field,
			    AT_OPENING, k);
		if (rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND) {
			s->w->unreadable++;
			rc = LT_OK;
		}
	}
	lt_arena_fini(&scratch);
	return rc;
}

static int
next_row(struct scan *s, struct lt_slice k, struct lt_slice v, int read)
{
	int rc;

	if (k.len <= KEY_HEAD)
		return LT_OK;
	rc = page_end(s, AT_OPENING, k);
	if (rc != LT_OK || s->full)
		return rc;
	s->w->looked_at++;
	if (read == LT_E_CORRUPT) {
		s->w->unreadable++;
		return LT_OK;
	}
	return take_row(s, k, v);
}

static int
scan_openings(struct scan *s, struct lt_slice from)
{
	struct lt_kv_cursor *c;
	struct lt_slice k = { NULL, 0 }, v = { NULL, 0 };
	int rc = lt_kv_cursor_open(s->log, LT_T_OPENING, &c), read;

	if (rc != LT_OK)
		return rc;
	read = lt_kv_seek(c, from, &k, &v);
	/* A damaged row is passed over; where the table itself cannot be walked on there is no next key. */
	while (rc == LT_OK && !s->full && (read == LT_OK || (read == LT_E_CORRUPT && k.len != 0))) {
		rc = next_row(s, k, v, read);
		if (rc != LT_OK || s->full)
			break;
		k = lt_slice(NULL, 0);
		read = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc != LT_OK || s->full || read == LT_E_NOTFOUND ? rc : read;
}

static int
read_token(const struct lt_who_holds *w, uint8_t *what, struct lt_slice *key)
{
	*what = w->from.len == 0 ? AT_INDEX : w->from.data[0];
	*key = lt_slice(NULL, 0);
	if (w->from.len == 0)
		return LT_OK;
	*key = lt_slice(w->from.data + 1, w->from.len - 1);
	return w->from.len > LT_WHO_TOKEN_MAX || key->len == 0 ||
		       (*what != AT_INDEX && *what != AT_OPENING)
		   ? LT_E_INVALID
		   : LT_OK;
}

static int
run_indexes(struct lt_hub *h, struct scan *s, struct lt_slice key)
{
	struct lt_kv_txn *derived;
	int rc;

	if (strlen(s->w->value) > INDEX_VALUE)
		return LT_OK;
	rc = lt_kv_begin_read(lt_hub_derived(h), &derived);
	if (rc != LT_OK)
		return rc;
	rc = by_indexes(s, derived, key);
	lt_kv_abort(derived);
	return rc;
}

int
lt_hub_who_holds(struct lt_hub *h, struct lt_who_holds *w)
{
	struct scan s = { .w = w, .clock = h->clock };
	struct lt_slice key;
	uint8_t what;
	int rc = read_token(w, &what, &key);

	w->n = 0;
	w->looked_at = w->unreadable = 0;
	w->next = lt_slice(NULL, 0);
	if (rc != LT_OK)
		return rc;
	w->holding = lt_arena_alloc(w->arena, LT_WHO_PAGE * sizeof(*w->holding));
	if (w->holding == NULL)
		return LT_E_NOMEM;
	s.until_ms = lt_mono_ms(h->clock) + PAGE_MS;
	if (w->until_ms != 0 && w->until_ms < s.until_ms)
		s.until_ms = w->until_ms;
	if (what == AT_INDEX) {
		rc = run_indexes(h, &s, key);
		key = lt_slice(NULL, 0);
	}
	if (rc != LT_OK || s.full)
		return rc;
	rc = lt_kv_begin_read(lt_hub_log(h), &s.log);
	if (rc != LT_OK)
		return rc;
	rc = scan_openings(&s, key);
	lt_log_view_close(&s.view);
	lt_kv_abort(s.log);
	return rc;
}
