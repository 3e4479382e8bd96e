/* hub/erase_unread.c - changes of a record that is erased which cannot be read.
 *
 * The change-set after it, or the feed's head, says the hash of a damaged one; the catalogue, and the keys of its openings, what may stand in
 * it. An act that names all of that takes what is here, and holds for what a repair brings back. */
#include "hub/erase_impl.h"
#include "proto/base/log.h"
#include "proto/store/erase.h"
#include "proto/store/tables.h"

#include <stdio.h>
#include <string.h>

/* LT_E_NOTFOUND: what says it is damaged too. */
static int
hash_from_next(struct lt_erase_looking *l, const struct lt_dot *dot, struct lt_hash *hash)
{
	struct lt_changeset next;
	struct lt_arena scratch;
	struct lt_entry e;
	struct lt_head head;
	uint64_t position;
	int rc = lt_feed_log_head(l->log, &l->e->unit, &dot->feed, &head);

	if (rc == LT_OK && head.seq == dot->seq) {
		*hash = head.hash;
		return LT_OK;
	}
	rc = lt_feed_log_find(l->log, &l->e->unit, &dot->feed, dot->seq + 1, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(l->log, position, &e);
	if (rc != LT_OK)
		return rc == LT_E_CORRUPT ? LT_E_NOTFOUND : rc;
	lt_arena_init(&scratch, LT_ERASE_CHANGE_ARENA);
	rc = lt_changeset_open(e.changeset, &scratch, &next);
	if (rc == LT_OK)
		*hash = next.prev;
	lt_arena_fini(&scratch);
	return rc == LT_OK || rc == LT_E_NOMEM ? rc : LT_E_NOTFOUND;
}

static bool
is_among(const char *const *field, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(field[i], name) == 0)
			return true;
	return false;
}

/* Was it named before, so that a repair brings nothing back? */
static int
is_noted(const struct lt_erase_looking *l, const struct lt_erase_place *p,
    const struct lt_hash *hash, const char *name, bool *noted)
{
	const struct lt_changeset cs = {
		.unit = l->e->unit, .feed = p->dot.feed, .seq = p->dot.seq, .hash = *hash
	};

	return lt_erase_names(l->log, &cs, p->dot.index, name, noted);
}

/* The value itself may well be readable: none goes into what explains the act. */
static int
look_in_opening(struct lt_erase_looking *l, const struct lt_erase_place *p, const char *name)
{
	struct lt_arena scratch;
	struct lt_slice fs;
	int rc = lt_opening_view(l->log, p->position, p->dot.index, name, &fs);

	if (rc == LT_OK) {
		lt_arena_init(&scratch, LT_ERASE_CHANGE_ARENA);
		lt_erase_look_in_basis(l, fs, &scratch);
		lt_arena_fini(&scratch);
	}
	return rc == LT_E_CORRUPT ? LT_OK : rc;
}

static int
name_unread(struct lt_erase_looking *l, const struct lt_erase_place *p, const struct lt_hash *hash,
    const char *name, struct lt_erased *w)
{
	enum lt_opening_state state = LT_OPENING_HERE;
	struct lt_erasing_field *f;
	bool noted = false;
	int rc = lt_opening_state(l->log, p->position, p->dot.index, name, &state);

	if (rc == LT_E_CORRUPT)
		state = LT_OPENING_HERE;
	else if (rc != LT_OK)
		return rc;
	rc = LT_OK;
	/* Of which nothing is here goes into an act once. */
	if (state != LT_OPENING_HERE)
		rc = is_noted(l, p, hash, name, &noted);
	if (rc != LT_OK || (noted && state != LT_OPENING_ERASED) || w->nfield == LT_FIELDS_MAX)
		return rc;
	f = lt_erase_account(l, name);
	if (f == NULL)
		return LT_E_NOMEM;
	f->erased += state == LT_OPENING_ERASED;
	if (noted)
		return LT_OK;
	w->field[w->nfield++] = f->name;
	l->bytes += strlen(name) + 2;
	if (state != LT_OPENING_HERE)
		return LT_OK;
	f->here++;
	l->r->values++;
	return look_in_opening(l, p, name);
}

/* What was asked for; without that, what the catalogue has as personal. */
static int
name_by_catalogue(struct lt_erase_looking *l, const struct lt_erase_place *p,
    const struct lt_hash *hash, struct lt_erased *w)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < l->e->nfield; i++)
		if (!is_among(w->field, w->nfield, l->e->field[i]))
			rc = name_unread(l, p, hash, l->e->field[i], w);
	for (i = 0; rc == LT_OK && l->e->nfield == 0 && l->col != NULL && i < l->col->nfield; i++) {
		const struct lt_field *f = &l->col->field[i];

		if (f->rule.personal != LT_PERSONAL_NONE &&
		    !is_among(w->field, w->nfield, f->rule.name))
			rc = name_unread(l, p, hash, f->rule.name, w);
	}
	return rc;
}

/* What the table of openings has beside that: fields of a catalogue of before. */
static int
name_by_openings(struct lt_erase_looking *l, const struct lt_erase_place *p,
    const struct lt_hash *hash, struct lt_erased *w)
{
	char name[LT_NAME_MAX + 1];
	struct lt_kv_cursor *c;
	struct lt_slice k, v, in;
	uint8_t prefix[12];
	int rc = lt_kv_cursor_open(l->log, LT_T_OPENING, &c), out = LT_OK;

	if (rc != LT_OK)
		return rc;
	lt_store_u64(prefix, p->position);
	lt_store_u32(prefix + 8, p->dot.index);
	in = lt_slice(prefix, sizeof(prefix));
	rc = lt_kv_seek_at(c, in, in, &k, &v);
	while (out == LT_OK && (rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0))) {
		size_t len = k.len - sizeof(prefix);

		if (len != 0 && len < sizeof(name)) {
			lt_slice_to_text(
			    name, sizeof(name), lt_slice(k.data + sizeof(prefix), len));
			if (lt_erase_wanted(l->e, name) && !is_among(w->field, w->nfield, name))
				out = name_unread(l, p, hash, name, w);
		}
		rc = lt_kv_next_at(c, in, &k, &v);
	}
	lt_kv_cursor_close(c);
	return out != LT_OK || rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? out : rc;
}

static int
note_unreached(struct lt_erase_looking *l, const struct lt_dot *dot)
{
	char hex[2 * LT_FEED_LEN + 1], text[2 * LT_FEED_LEN + 40];

	lt_hex(hex, dot->feed.b, LT_FEED_LEN);
	(void)snprintf(
	    text, sizeof(text), "%s/%llu/%u", hex, (unsigned long long)dot->seq, dot->index);
	lt_warn("change %s of unit %s cannot be read, and no act of erasure can name it", text,
	    l->e->unit.s);
	if (l->r->nunreached == LT_UNREACHED_MAX)
		return LT_OK;
	l->r->unreached[l->r->nunreached] = lt_arena_dup(l->arena, text, strlen(text));
	return l->r->unreached[l->r->nunreached++] == NULL ? LT_E_NOMEM : LT_OK;
}

int
lt_erase_look_unread(struct lt_erase_looking *l, const struct lt_erase_place *p)
{
	struct lt_erased *w = &l->what[l->nwhat];
	struct lt_hash hash;
	int rc = hash_from_next(l, &p->dot, &hash);

	l->r->unreadable++;
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? note_unreached(l, &p->dot) : rc;
	*w = (struct lt_erased){ .feed = p->dot.feed,
		.seq = p->dot.seq,
		.index = p->dot.index,
		.hash8 = lt_load_u64(hash.b),
		.field = lt_arena_alloc(l->arena, LT_FIELDS_MAX * sizeof(*w->field)) };
	if (w->field == NULL)
		return LT_E_NOMEM;
	rc = name_by_catalogue(l, p, &hash, w);
	if (rc == LT_OK)
		rc = name_by_openings(l, p, &hash, w);
	if (rc == LT_OK && w->nfield != 0) {
		l->nwhat++;
		l->r->changes++;
		l->bytes += LT_FEED_LEN + 40;
	}
	return rc;
}
