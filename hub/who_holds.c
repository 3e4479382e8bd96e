#include "hub/who_holds.h"
#include "hub/hub_impl.h"
#include "proto/store/log_view.h"
#include "proto/store/projection.h"

#include <string.h>

#define CHANGE_ARENA ((size_t)8 * 1024 * 1024)
#define PAGE_RECORDS 100 /* then the page ends, with the change-set at hand */
#define PAGE_RECORDS_MAX 2048 /* of the indexes, and of one change-set */
#define PAGE_OPENINGS 200000
#define PAGE_MS 2000 /* a read transaction is short */
#define TICK_EVERY 1024
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

/* ---- what was found ---- */

static int
add_field(struct lt_who_holds *w, struct lt_holding *h, const char *field)
{
	size_t i;

	for (i = 0; i < h->nfield; i++)
		if (strcmp(h->field[i], field) == 0)
			return LT_OK;
	if (h->nfield == LT_FIELDS_MAX)
		return LT_OK;
	h->field[h->nfield] = lt_arena_dup(w->arena, field, strlen(field));
	return h->field[h->nfield++] == NULL ? LT_E_NOMEM : LT_OK;
}

static int
found(struct lt_who_holds *w, const char *unit, const char *collection, const char *key,
    const char *field)
{
	const struct lt_collection *c = lt_catalogue_find(w->cat, collection);
	struct lt_holding *h;
	size_t i;

	/* Of a collection that the catalogue has no more nobody's rights are known. */
	if (c == NULL || !w->may(w->ctx, c, unit, field))
		return LT_OK;
	for (i = 0; i < w->n; i++)
		if (strcmp(w->holding[i].key, key) == 0 &&
		    strcmp(w->holding[i].unit.s, unit) == 0 &&
		    strcmp(w->holding[i].collection, c->id) == 0)
			return add_field(w, &w->holding[i], field);
	if (w->n == PAGE_RECORDS_MAX)
		return LT_OK;
	h = &w->holding[w->n];
	h->collection = c->id;
	h->key = lt_arena_dup(w->arena, key, strlen(key));
	h->field = lt_arena_alloc(w->arena, LT_FIELDS_MAX * sizeof(*h->field));
	if (h->key == NULL || h->field == NULL ||
	    lt_unit_set(&h->unit, lt_slice_str(unit)) != LT_OK)
		return LT_E_NOMEM;
	w->n++;
	return add_field(w, h, field);
}

/* ---- by the indexes ---- */

struct by_index {
	struct lt_who_holds *w;
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

	(void)index_key;
	b->rc = lt_key_record_split(rk, &c, &u, &k);
	if (b->rc == LT_OK && (u.len >= sizeof(unit) || k.len >= sizeof(key)))
		b->rc = LT_E_CORRUPT;
	if (b->rc == LT_OK) {
		lt_slice_to_text(unit, sizeof(unit), u);
		lt_slice_to_text(key, sizeof(key), k);
		b->rc = found(b->w, unit, b->c->id, key, b->field);
	}
	return b->rc == LT_OK ? LT_OK : LT_E_CANCELLED;
}

/* Entries of exactly this value: no text has a byte below 01. An entry tells of a value only its first 96 bytes. */
static int
look_up(struct lt_who_holds *w, struct lt_kv_txn *derived, const struct lt_collection *c,
    const struct lt_field *f)
{
	struct by_index b = { w, c, f->rule.name, LT_OK };
	char to[LT_WHO_VALUE_MAX + 2];
	size_t len = strlen(w->value);
	int rc;

	memcpy(to, w->value, len);
	to[len] = 1;
	rc = lt_index_each(derived, c->id, f->rule.name, lt_slice_str(w->value),
	    lt_slice(to, len + 1), lt_slice(NULL, 0), false, on_index, &b);
	return rc == LT_OK || rc == LT_E_CANCELLED ? b.rc : rc;
}

static int
by_indexes(struct lt_hub *h, struct lt_who_holds *w)
{
	struct lt_kv_txn *derived;
	size_t i, k;
	int rc;

	if (strlen(w->value) > 95)
		return LT_OK;
	rc = lt_kv_begin_read(lt_hub_derived(h), &derived);
	if (rc != LT_OK)
		return rc;
	for (i = 0; rc == LT_OK && i < lt_catalogue_count(w->cat); i++) {
		const struct lt_collection *c = lt_catalogue_at(w->cat, i);

		for (k = 0; rc == LT_OK && !c->builtin && k < c->nfield; k++)
			if (c->field[k].indexed && !c->field[k].is_unit &&
			    (c->field[k].rule.type == LT_TYPE_TEXT ||
				c->field[k].rule.type == LT_TYPE_SET))
				rc = look_up(w, derived, c, &c->field[k]);
	}
	lt_kv_abort(derived);
	return rc;
}

/* ---- through the openings ---- */

struct scan {
	struct lt_who_holds *w;
	struct lt_kv_txn *log;
	struct lt_log_view view;
	int64_t until_ms;
	const struct lt_clock *clock;
	uint64_t position; /* of the row at hand */
};

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
		rc = lt_log_view_open(&s->view, s->log, s->position);
		if (rc == LT_OK)
			rc = lt_log_view_change(
			    &s->view, lt_load_u32(k.data + 8), &scratch, &change);
		if (rc == LT_OK)
			rc = found(s->w, s->view.unit.s, change.collection, change.key, field);
		if (rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND) {
			s->w->unreadable++;
			rc = LT_OK;
		}
	}
	lt_arena_fini(&scratch);
	return rc;
}

static bool
page_is_full(const struct scan *s)
{
	return s->w->n >= PAGE_RECORDS || s->w->looked_at >= PAGE_OPENINGS ||
	       lt_mono_ms(s->clock) >= s->until_ms;
}

static int
next_row(struct scan *s, struct lt_slice k, struct lt_slice v, int read, bool *full)
{
	uint64_t position;

	if (k.len <= KEY_HEAD)
		return LT_OK;
	position = lt_load_u64(k.data);
	/* Pages end between change-sets. */
	if (position != s->position && s->position != 0 &&
	    (s->w->looked_at % TICK_EVERY == 0 || s->w->n >= PAGE_RECORDS)) {
		int rc = s->w->tick == NULL ? LT_OK : s->w->tick(s->w->ctx);

		if (rc != LT_OK)
			return rc;
		*full = page_is_full(s);
		if (*full) {
			s->w->next = position;
			return LT_OK;
		}
	}
	s->position = position;
	s->w->looked_at++;
	if (read == LT_E_CORRUPT) {
		s->w->unreadable++;
		return LT_OK;
	}
	return take_row(s, k, v);
}

static int
scan_openings(struct scan *s)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	uint8_t from[8];
	bool full = false;
	int rc = lt_kv_cursor_open(s->log, LT_T_OPENING, &c), read;

	if (rc != LT_OK)
		return rc;
	lt_store_u64(from, s->w->from);
	read = lt_kv_seek(c, lt_slice(from, sizeof(from)), &k, &v);
	while (rc == LT_OK && !full && (read == LT_OK || read == LT_E_CORRUPT)) {
		rc = next_row(s, k, v, read, &full);
		if (rc == LT_OK && !full)
			read = lt_kv_next(c, &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc != LT_OK || full || read == LT_E_NOTFOUND ? rc : read;
}

int
lt_hub_who_holds(struct lt_hub *h, struct lt_who_holds *w)
{
	struct scan s = { .w = w, .clock = h->clock };
	int rc = LT_OK;

	w->n = 0;
	w->next = w->looked_at = w->unreadable = 0;
	w->holding = lt_arena_alloc(w->arena, PAGE_RECORDS_MAX * sizeof(*w->holding));
	if (w->holding == NULL)
		return LT_E_NOMEM;
	if (w->from == 0)
		rc = by_indexes(h, w);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(lt_hub_log(h), &s.log);
	if (rc != LT_OK)
		return rc;
	s.until_ms = lt_mono_ms(h->clock) + PAGE_MS;
	rc = scan_openings(&s);
	lt_log_view_close(&s.view);
	lt_kv_abort(s.log);
	return rc;
}
