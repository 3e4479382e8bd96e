#include "proto/store/erase.h"
#include "proto/base/wire.h"
#include "proto/store/compact.h"
#include "proto/store/feed_log_impl.h"
#include "proto/store/log_view.h"
#include "proto/store/projection_impl.h"

#include "lienthong/v1/trust.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define CHANGE_ARENA ((size_t)64 * 1024 * 1024)

/* ---- what an act says ---- */

int
lt_erased_pack(const struct lt_erased *e, size_t n, struct lt_buf *out)
{
	Ltpb__Erasure m = LTPB__ERASURE__INIT;
	Ltpb__ErasedChange *c = calloc(n + 1, sizeof(*c));
	size_t i;
	int rc;

	m.change = calloc(n + 1, sizeof(*m.change));
	rc = c == NULL || m.change == NULL ? LT_E_NOMEM : n > LT_ERASED_MAX ? LT_E_TOOBIG : LT_OK;
	for (i = 0; rc == LT_OK && i < n; i++) {
		ltpb__erased_change__init(&c[i]);
		c[i].feed.data = (uint8_t *)e[i].feed.b;
		c[i].feed.len = LT_FEED_LEN;
		c[i].seq = e[i].seq;
		c[i].index = e[i].index;
		c[i].hash8 = e[i].hash8;
		c[i].n_field = e[i].nfield;
		c[i].field = (char **)(uintptr_t)e[i].field;
		m.change[m.n_change++] = &c[i];
	}
	if (rc == LT_OK)
		rc = lt_wire_pack(&m.base, LT_VALUE_MAX, out);
	free(m.change);
	free(c);
	return rc;
}

static bool
is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n != 0 && n <= LT_NAME_MAX && s[n] == '\0' && (s[0] < '0' || s[0] > '9');
}

static bool
erased_ok(const Ltpb__ErasedChange *c)
{
	size_t i;

	if (c->feed.len != LT_FEED_LEN || c->seq == 0 || c->index >= LT_CHANGES_MAX ||
	    c->n_field == 0 || c->n_field > LT_FIELDS_MAX)
		return false;
	for (i = 0; i < c->n_field; i++)
		if (!is_name(c->field[i]))
			return false;
	return true;
}

int
lt_erased_read(struct lt_slice dots, struct lt_arena *arena, struct lt_erased **out, size_t *n)
{
	ProtobufCMessage *msg;
	const Ltpb__Erasure *m;
	struct lt_erased *e;
	size_t i;
	int rc = lt_wire_unpack(&ltpb__erasure__descriptor, dots, LT_VALUE_MAX, arena, &msg, NULL);

	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_INVALID;
	m = (const Ltpb__Erasure *)msg;
	if (m->n_change > LT_ERASED_MAX)
		return LT_E_INVALID;
	e = lt_arena_alloc(arena, (m->n_change + 1) * sizeof(*e));
	if (e == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < m->n_change; i++) {
		const Ltpb__ErasedChange *c = m->change[i];

		if (!erased_ok(c))
			return LT_E_INVALID;
		memcpy(e[i].feed.b, c->feed.data, LT_FEED_LEN);
		e[i].seq = c->seq;
		e[i].index = c->index;
		e[i].hash8 = c->hash8;
		e[i].nfield = c->n_field;
		e[i].field = (const char **)(uintptr_t)c->field;
	}
	*out = e;
	*n = m->n_change;
	return LT_OK;
}

int
lt_erased_of(const struct lt_change *c, struct lt_arena *arena, struct lt_erased **out, size_t *n)
{
	size_t i;

	if (strcmp(c->collection, LT_ERASE_COLLECTION) != 0 || c->is_delete)
		return LT_E_NOTFOUND;
	for (i = 0; i < c->nset; i++) {
		const Ltpb__FieldSet *f = c->set[i].pb;

		if (strcmp(f->name, "dots") == 0 && f->value != NULL &&
		    f->value->v_case == LTPB__VALUE__V_BYTES)
			return lt_erased_read(
			    lt_slice(f->value->bytes.data, f->value->bytes.len), arena, out, n);
	}
	return LT_E_NOTFOUND;
}

/* ---- what is noted ---- */

/* erased/unit/feed/seq/change/field */
#define NOTE_MAX (7 + LT_UNIT_MAX + 1 + 2 * LT_FEED_LEN + 1 + 16 + 1 + 8 + 1 + LT_NAME_MAX + 1)

static size_t
note_prefix(
    char out[NOTE_MAX], const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t seq)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	return (size_t)snprintf(
	    out, NOTE_MAX, "erased/%s/%s/%016llx/", unit->s, hex, (unsigned long long)seq);
}

static void
note_name(char out[NOTE_MAX], const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint32_t index, const char *field)
{
	size_t n = note_prefix(out, unit, feed, seq);

	(void)snprintf(out + n, NOTE_MAX - n, "%08x/%s", index, field);
}

/* The note is of this very change-set, not of one that another branch has in its place. */
static bool
is_of(struct lt_slice note, const struct lt_hash *hash)
{
	return note.len == 8 && lt_load_u64(note.data) == lt_load_u64(hash->b);
}

int
lt_erase_names(struct lt_kv_txn *log, const struct lt_changeset *cs, uint32_t index,
    const char *field, bool *named)
{
	char name[NOTE_MAX];
	struct lt_slice v;
	int rc = LT_E_NOTFOUND;

	if (strlen(field) <= LT_NAME_MAX) {
		note_name(name, &cs->unit, &cs->feed, cs->seq, index, field);
		rc = lt_kv_get(log, LT_T_LOCAL, lt_slice_str(name), &v);
	}
	*named = (rc == LT_OK && is_of(v, &cs->hash)) || rc == LT_E_CORRUPT;
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* Does this key name an opening of the change-set? *index and *field of it. */
static bool
is_note(const char *name, size_t prefix, uint32_t *index, const char **field)
{
	char *end;

	*index = (uint32_t)strtoul(name + prefix, &end, 16);
	*field = end + 1;
	return end == name + prefix + 8 && *end == '/' && is_name(end + 1);
}

/* Where the next note of the prefix behind `from` may be. A row that cannot be read names by its key all the same: whose branch is meant
 * stood in what is lost, and what may have been erased does not come back for that. */
static int
walk_notes(struct lt_kv_cursor *c, const struct lt_hash *hash, struct lt_slice from, size_t prefix,
    struct lt_slice *k)
{
	const struct lt_slice in = lt_slice(from.data, prefix);
	struct lt_slice v;
	int rc = lt_kv_seek_at(c, in, from, k, &v);

	while (rc == LT_OK || (rc == LT_E_CORRUPT && k->len != 0)) {
		if (!lt_slice_eq(*k, from) && k->len >= prefix + 10 && k->len < NOTE_MAX &&
		    (rc == LT_E_CORRUPT || is_of(v, hash)))
			return LT_OK;
		rc = lt_kv_next_at(c, in, k, &v);
	}
	return rc; /* also of keys out of order: the table itself is damaged */
}

/* The next one noted of a change-set behind `name`, which becomes it: a prefix at first. LT_E_NOTFOUND. */
static int
next_note(struct lt_kv_txn *log, const struct lt_hash *hash, size_t prefix, char name[NOTE_MAX],
    uint32_t *index, const char **field)
{
	struct lt_kv_cursor *c;
	struct lt_slice k;
	int rc = lt_kv_cursor_open(log, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	do {
		rc = walk_notes(c, hash, lt_slice_str(name), prefix, &k);
		if (rc == LT_OK) {
			memcpy(name, k.data, k.len);
			name[k.len] = '\0';
		}
	} while (rc == LT_OK && !is_note(name, prefix, index, field));
	lt_kv_cursor_close(c);
	return rc;
}

/* ---- taking away ---- */

static bool
is_personal(const struct lt_change *c, const char *field)
{
	size_t i;

	for (i = 0; i < c->npersonal; i++)
		if (strcmp(c->personal[i], field) == 0)
			return true;
	return false;
}

/* A change-set that is here, opened to take values of it away. */
struct taking {
	struct lt_kv_txn *log;
	struct lt_log_view view;
	uint64_t removed; /* values */
	bool dropped; /* rows whose change-set cannot be read */
};

static int
take_fields(struct taking *t, uint32_t index, size_t n, const char *const *field)
{
	struct lt_leaf_place place = {
		.unit = &t->view.unit, .feed = &t->view.feed, .seq = t->view.seq, .index = index
	};
	struct lt_change change;
	struct lt_arena arena;
	bool removed;
	size_t i;
	int rc;

	if (index >= t->view.nchange)
		return LT_OK; /* another branch's, perhaps */
	lt_arena_init(&arena, CHANGE_ARENA);
	rc = lt_log_view_change(&t->view, index, &arena, &change);
	for (i = 0; rc == LT_OK && i < n; i++) {
		if (!is_personal(&change, field[i]))
			continue;
		place.collection = change.collection;
		place.key = change.key;
		place.field = field[i];
		rc = lt_opening_erase(t->log, &place, t->view.position, &removed);
		t->removed += rc == LT_OK && removed ? 1 : 0;
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
note_one(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_erased *e)
{
	uint8_t hash8[8];
	char name[NOTE_MAX];
	size_t i;
	int rc = LT_OK;

	lt_store_u64(hash8, e->hash8);
	for (i = 0; rc == LT_OK && i < e->nfield; i++) {
		note_name(name, unit, &e->feed, e->seq, e->index, e->field[i]);
		rc = lt_kv_put(log, LT_T_LOCAL, lt_slice_str(name), lt_slice(hash8, 8));
	}
	return rc;
}

/* The change-set cannot be read: of what is named nothing stays, and what repairs it finds the notes. */
static int
drop_named(struct lt_kv_txn *log, uint64_t position, const struct lt_erased *e)
{
	size_t i;
	int rc = lt_opening_erase_seed(log, position);

	for (i = 0; rc == LT_OK && i < e->nfield; i++)
		rc = lt_opening_drop(log, position, e->index, e->field[i]);
	return rc;
}

static int
take_one(struct taking *t, uint64_t position, const struct lt_erased *e)
{
	int rc = lt_log_view_open(&t->view, t->log, position);

	if (rc == LT_OK && lt_load_u64(t->view.hash.b) != e->hash8)
		return LT_OK; /* another branch's */
	if (rc == LT_OK)
		rc = take_fields(t, e->index, e->nfield, e->field);
	if (rc == LT_E_CORRUPT || rc == LT_E_NOTFOUND) {
		t->dropped = true;
		return drop_named(t->log, position, e);
	}
	return rc == LT_OK ? lt_opening_erase_seed(t->log, position) : rc;
}

int
lt_erase(struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_erased *e, size_t n,
    uint64_t *removed)
{
	struct taking t = { .log = log };
	uint64_t position;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = note_one(log, unit, &e[i]);
		if (rc == LT_OK)
			rc = lt_feed_log_find(log, unit, &e[i].feed, e[i].seq, &position);
		if (rc == LT_OK)
			rc = take_one(&t, position, &e[i]);
		else if (rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT)
			rc =
			    LT_OK; /* still to come, or to be found again by a repair: lt_erase_again() */
	}
	lt_log_view_close(&t.view);
	if (rc == LT_OK && (t.removed != 0 || t.dropped))
		rc = lt_compact_owe(log);
	*removed = t.removed;
	return rc;
}

int
lt_erase_acts(struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t *removed)
{
	struct lt_arena arena;
	struct lt_erased *e;
	uint64_t gone;
	size_t i, n;
	int rc = LT_OK;

	*removed = 0;
	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		if (strcmp(cs->change[i].collection, LT_ERASE_COLLECTION) != 0)
			continue;
		lt_arena_init(&arena, CHANGE_ARENA);
		rc = lt_erased_of(&cs->change[i], &arena, &e, &n);
		if (rc == LT_OK) {
			rc = lt_erase(log, &cs->unit, e, n, &gone);
			*removed += gone;
		} else if (rc == LT_E_NOTFOUND || rc == LT_E_INVALID) {
			rc = LT_OK;
		}
		lt_arena_fini(&arena);
	}
	return rc;
}

int
lt_erase_again(struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t position)
{
	struct taking t = { .log = log };
	const char *field;
	char name[NOTE_MAX];
	size_t prefix = note_prefix(name, &cs->unit, &cs->feed, cs->seq);
	uint32_t index;
	int rc;

	while ((rc = next_note(log, &cs->hash, prefix, name, &index, &field)) == LT_OK) {
		rc = lt_log_view_open(&t.view, log, position);
		if (rc == LT_OK)
			rc = take_fields(&t, index, 1, &field);
		if (rc == LT_OK)
			rc = lt_opening_erase_seed(log, position);
		if (rc != LT_OK)
			break;
	}
	lt_log_view_close(&t.view);
	if (rc == LT_E_NOTFOUND)
		rc = t.removed != 0 ? lt_compact_owe(log) : LT_OK;
	return rc;
}

int
lt_erase_left(
    struct lt_kv_txn *log, const struct lt_changeset *cs, uint64_t position, uint64_t *left)
{
	enum lt_opening_state state;
	const char *field;
	char name[NOTE_MAX];
	size_t prefix = note_prefix(name, &cs->unit, &cs->feed, cs->seq);
	uint32_t index;
	int rc;

	*left = 0;
	while ((rc = next_note(log, &cs->hash, prefix, name, &index, &field)) == LT_OK) {
		rc = lt_opening_state(log, position, index, field, &state);
		if (rc != LT_OK)
			return rc;
		*left += state == LT_OPENING_HERE ? 1 : 0;
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Which records the changes belonged to that cannot be read stands in the history, and there alone: of each collection the unit's part
 * is looked through. */
struct unread {
	struct lt_projection *p;
	const struct lt_unit *unit;
	const struct lt_erased *e[LT_ERASED_MAX];
	size_t n;
};

static bool
is_unread(const struct unread *u, const uint8_t dot[LT_DOT_KEY])
{
	size_t i;

	for (i = 0; i < u->n; i++)
		if (memcmp(dot, u->e[i]->feed.b, LT_FEED_LEN) == 0 &&
		    lt_load_u64(dot + LT_FEED_LEN) == u->e[i]->seq &&
		    lt_load_u32(dot + LT_FEED_LEN + 8) == u->e[i]->index)
			return true;
	return false;
}

static int
reshow_in(const struct unread *u, const char *collection)
{
	char key[LT_KEY_MAX + 1];
	struct lt_buf prefix = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice in, k, v;
	int rc, stop = LT_OK;

	lt_key_record(&prefix, collection, u->unit->s, "");
	in = lt_buf_slice(&prefix);
	rc =
	    prefix.err != LT_OK ? prefix.err : lt_kv_cursor_open(u->p->o.derived, LT_T_HISTORY, &c);
	if (rc != LT_OK)
		goto out;
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	while (stop == LT_OK && (rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0))) {
		size_t len = k.len - in.len;

		if (len > 1 + LT_DOT_KEY && len - 1 - LT_DOT_KEY < sizeof(key) &&
		    is_unread(u, k.data + k.len - LT_DOT_KEY)) {
			lt_slice_to_text(
			    key, sizeof(key), lt_slice(k.data + in.len, len - 1 - LT_DOT_KEY));
			stop = lt_projection_reshow(u->p, collection, u->unit, key);
		}
		rc = lt_kv_next_at(c, in, &k, &v);
	}
	lt_kv_cursor_close(c);
	rc = stop != LT_OK || rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? stop : rc;
out:
	lt_buf_fini(&prefix);
	return rc;
}

static int
reshow_unread(const struct unread *u)
{
	const struct lt_catalogue *cat = u->p->o.catalogue;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && u->n != 0 && i < lt_catalogue_count(cat); i++)
		rc = reshow_in(u, lt_catalogue_at(cat, i)->id);
	return rc;
}

int
lt_erase_reshow(struct lt_projection *p, struct lt_kv_txn *log, const struct lt_unit *unit,
    const struct lt_erased *e, size_t n)
{
	struct unread u = { .p = p, .unit = unit };
	struct lt_log_view view = { 0 };
	struct lt_change change;
	struct lt_arena arena;
	uint64_t position;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = lt_feed_log_find(log, unit, &e[i].feed, e[i].seq, &position);
		if (rc == LT_E_NOTFOUND) { /* not here yet */
			rc = LT_OK;
			continue;
		}
		if (rc == LT_OK)
			rc = lt_log_view_open(&view, log, position);
		if ((rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT) && u.n < LT_ERASED_MAX) {
			u.e[u.n++] = &e[i];
			rc = LT_OK;
			continue;
		}
		if (rc != LT_OK || e[i].index >= view.nchange ||
		    lt_load_u64(view.hash.b) != e[i].hash8)
			continue;
		lt_arena_init(&arena, CHANGE_ARENA);
		rc = lt_log_view_change(&view, e[i].index, &arena, &change);
		if (rc == LT_OK)
			rc = lt_projection_reshow(p, change.collection, unit, change.key);
		else if (rc == LT_E_CORRUPT)
			rc = LT_OK;
		lt_arena_fini(&arena);
	}
	lt_log_view_close(&view);
	return rc == LT_OK ? reshow_unread(&u) : rc;
}
