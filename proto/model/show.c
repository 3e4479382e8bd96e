/* What a record shows: a pure function of its row (FORMAT.md 7). */
#include "proto/base/wire.h"
#include "proto/model/plain.h"
#include "proto/model/row_impl.h"
#include "proto/model/value.h"

#include <stdlib.h>
#include <string.h>

struct show {
	const struct lt_rules *rules;
	lt_opening_fn *opening;
	void *opening_ctx;
	struct lt_arena *arena;
	bool bytes; /* plain values stay as they are */
	struct lt_row row;
	struct lt_scratch *s;
	struct lt_cover *lowest; /* by feed: the first entry of the field at hand, seq 0: none */
};

/* One sibling with its value. */
struct sibling {
	const struct lt_row_entry *e;
	const Ltpb__FieldSet *fs; /* NULL: a clear, or withheld */
	bool withheld;
};

static bool
is_clear(const struct lt_row_entry *e)
{
	return (e->flags & (LT_ENTRY_SET | LT_ENTRY_PERSONAL)) == 0;
}

/* <0, 0, >0 by (effective stamp, dot). */
static int
age_cmp(const struct lt_row_entry *a, const struct lt_row_entry *b)
{
	if (a->change->stamp != b->change->stamp)
		return a->change->stamp < b->change->stamp ? -1 : 1;
	return LT_BUG(5) ? lt_row_change_cmp(b->change, a->change)
			 : lt_row_change_cmp(a->change, b->change);
}

static int
unpack(const struct show *sh, struct lt_slice raw, const Ltpb__FieldSet **out)
{
	Ltpb__FieldSet *fs = ltpb__field_set__unpack(&sh->arena->pb, raw.len, raw.data);

	if (fs == NULL) /* sound bytes that do not unpack: the arena is full */
		return lt_wire_check(&ltpb__field_set__descriptor, raw, LT_MESSAGE_MAX, NULL) ==
			       LT_OK
			   ? LT_E_NOMEM
			   : LT_E_CORRUPT;
	if (fs->value == NULL || fs->value->v_case == LTPB__VALUE__V__NOT_SET ||
	    (fs->value->v_case == LTPB__VALUE__V_DECIMAL &&
		fs->value->decimal->scale > LT_DECIMAL_SCALE_MAX))
		return LT_E_CORRUPT;
	*out = fs;
	return LT_OK;
}

/* The bytes of an entry's value; *at_hand false: it is a clear, or withheld. */
static int
fetch(const struct show *sh, const char *name, const struct lt_row_entry *e, struct lt_slice *raw,
    bool *at_hand)
{
	struct lt_dot dot;
	int rc = LT_E_NOTFOUND;

	*raw = e->field_set;
	*at_hand = !is_clear(e);
	if (!(e->flags & LT_ENTRY_PERSONAL))
		return LT_OK;
	dot = lt_row_dot(&sh->row, e->change);
	if (sh->opening != NULL)
		rc = sh->opening(sh->opening_ctx, &dot, name, sh->arena, raw);
	*at_hand = rc == LT_OK;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Fetch the value of an entry. */
static int
load(const struct show *sh, const char *name, const struct lt_row_entry *e, struct sibling *sib)
{
	struct lt_slice raw;
	bool at_hand;
	int rc = fetch(sh, name, e, &raw, &at_hand);

	*sib = (struct sibling){ .e = e };
	if (rc == LT_OK && !at_hand)
		sib->withheld = !is_clear(e);
	return rc == LT_OK && at_hand ? unpack(sh, raw, &sib->fs) : rc;
}

static bool
differ(const struct sibling *a, const struct sibling *b)
{
	if (is_clear(a->e) || is_clear(b->e))
		return is_clear(a->e) != is_clear(b->e);
	return a->withheld || b->withheld || !lt_value_eq(a->fs->value, b->fs->value);
}

/* Show one sibling's value in out; a clear shows nothing. */
static void
show_one(const struct show *sh, const struct sibling *sib, struct lt_shown_field *out)
{
	if (!sh->bytes)
		out->dot = lt_row_dot(&sh->row, sib->e->change);
	out->withheld = sib->withheld;
	out->value = sib->fs == NULL ? NULL : sib->fs->value;
}

/* Show an entry's value, whatever the others say. */
static int
show_entry(const struct show *sh, const struct lt_row_entry *e, struct lt_shown_field *out)
{
	struct sibling sib = { .e = e };
	struct lt_slice raw, value;
	bool at_hand;
	int rc = fetch(sh, out->name, e, &raw, &at_hand);

	if (rc != LT_OK)
		return rc;
	if (!at_hand) {
		sib.withheld = !is_clear(e);
	} else if (sh->bytes && lt_plain(raw, lt_slice_str(out->name), &value)) {
		out->field_set = raw;
		return LT_OK;
	} else {
		rc = unpack(sh, raw, &sib.fs);
	}
	if (rc == LT_OK)
		show_one(sh, &sib, out);
	return rc;
}

static int
show_lww(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out)
{
	const struct lt_row_entry *best = &f->entry[0];
	size_t i;

	for (i = 1; i < f->nentry; i++)
		if (age_cmp(&f->entry[i], best) > 0)
			best = &f->entry[i];
	return show_entry(sh, best, out);
}

/* The oldest of the entries in `of`, flagged when two of them differ. */
static int
show_oldest(const struct show *sh, const struct lt_row_entry *const *of, size_t n,
    struct lt_shown_field *out)
{
	const struct lt_row_entry *best = of[0];
	struct sibling sib, other;
	size_t i;
	int rc;

	if (n == 1)
		return show_entry(sh, best, out);
	for (i = 1; i < n; i++)
		if (age_cmp(of[i], best) < 0)
			best = of[i];
	rc = load(sh, out->name, best, &sib);
	/* one that differs from the chosen is enough: if none does, all are equal */
	for (i = 0; i < n && rc == LT_OK && !out->conflict; i++) {
		if (of[i] == best)
			continue;
		rc = load(sh, out->name, of[i], &other);
		if (rc == LT_OK)
			out->conflict = differ(&sib, &other);
	}
	if (rc == LT_OK)
		show_one(sh, &sib, out);
	return rc;
}

static int
show_review(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out)
{
	const struct lt_row_entry **all = lt_scratch_alloc(sh->s, f->nentry, sizeof(*all));
	size_t i;

	if (all == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < f->nentry; i++)
		all[i] = &f->entry[i];
	return show_oldest(sh, all, f->nentry, out);
}

/* Whether the entry covers an entry of the field: the lowest of some feed, if any. */
static bool
covers_another(const struct show *sh, const struct lt_row_entry *e)
{
	const struct lt_row_change *ch = e->change;
	const struct lt_cover own = { .feed = ch->feed, .index = ch->index, .seq = ch->seq };
	const struct lt_cover *low = &sh->lowest[ch->feed];
	size_t i;

	if (lt_cover_below(low->seq, low->index, &own))
		return true;
	for (i = 0; i < ch->covers.n; i++) {
		low = &sh->lowest[ch->covers.c[i].feed];
		if (low->seq != 0 && lt_cover_below(low->seq, low->index, &ch->covers.c[i]))
			return true;
	}
	return false;
}

static int
show_first(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out)
{
	const struct lt_row_entry **roots = lt_scratch_alloc(sh->s, f->nentry, sizeof(*roots));
	size_t i, n = 0;

	if (roots == NULL)
		return LT_E_NOMEM;
	for (i = f->nentry; i > 0; i--) {
		const struct lt_row_change *ch = f->entry[i - 1].change;

		sh->lowest[ch->feed] = (struct lt_cover){ .index = ch->index, .seq = ch->seq };
	}
	for (i = 0; i < f->nentry; i++)
		if (!covers_another(sh, &f->entry[i]))
			roots[n++] = &f->entry[i];
	for (i = 0; i < f->nentry; i++)
		sh->lowest[f->entry[i].change->feed].seq = 0;
	/* covering has no circles among honest contexts; among others there may be no first */
	return n == 0 ? LT_OK : show_oldest(sh, roots, n, out);
}

/* Load the values among the siblings. *withheld: one of them is not at hand, out says so. */
static int
load_values(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out,
    struct sibling **sib, size_t *n)
{
	const struct lt_row_entry *newest = NULL;
	size_t i;
	int rc = LT_OK;

	*n = 0;
	*sib = lt_scratch_alloc(sh->s, f->nentry, sizeof(**sib));
	if (*sib == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < f->nentry && rc == LT_OK; i++) {
		if (is_clear(&f->entry[i]))
			continue;
		rc = load(sh, out->name, &f->entry[i], &(*sib)[*n]);
		if (rc != LT_OK)
			break;
		if (newest == NULL || age_cmp(&f->entry[i], newest) > 0)
			newest = &f->entry[i];
		out->withheld = out->withheld || (*sib)[*n].withheld;
		(*n)++;
	}
	if (newest != NULL)
		out->dot = lt_row_dot(&sh->row, newest->change);
	return rc;
}

static int
show_extreme(
    const struct show *sh, const struct lt_row_field *f, int sign, struct lt_shown_field *out)
{
	struct sibling *sib, *best;
	size_t i, n;
	int rc, c;

	if (f->nentry == 1 && !is_clear(&f->entry[0]))
		return show_entry(sh, &f->entry[0], out);
	rc = load_values(sh, f, out, &sib, &n);
	if (rc != LT_OK || n == 0 || out->withheld)
		return rc;
	best = &sib[0];
	for (i = 1; i < n; i++) {
		c = sign * lt_value_cmp(sib[i].fs->value, best->fs->value);
		if (c > 0 || (c == 0 && age_cmp(sib[i].e, best->e) > 0))
			best = &sib[i];
	}
	show_one(sh, best, out);
	return LT_OK;
}

static int
item_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists of texts put together, sorted, without repeats. */
struct items {
	char **item;
	size_t n;
};

static void
items_sort(struct items *it)
{
	size_t i, n = 0;

	if (it->n > 1)
		qsort(it->item, it->n, sizeof(*it->item), item_cmp);
	for (i = 0; i < it->n; i++)
		if (n == 0 || strcmp(it->item[n - 1], it->item[i]) != 0)
			it->item[n++] = it->item[i];
	it->n = n;
}

static bool
items_have(const struct items *it, char *item)
{
	return it->n != 0 && bsearch(&item, it->item, it->n, sizeof(*it->item), item_cmp) != NULL;
}

static void
items_put(struct items *it, char **item, size_t n)
{
	if (n != 0)
		memcpy(it->item + it->n, item, n * sizeof(*item));
	it->n += n;
}

static bool
is_set(const struct sibling *s)
{
	return s->fs->value->v_case == LTPB__VALUE__V_SET;
}

static int
gather(const struct show *sh, const struct sibling *sib, size_t n, struct items *all,
    struct items *added, struct items *removed)
{
	size_t i, na = 0, nb = 0, nc = 0;

	for (i = 0; i < n; i++) {
		na += is_set(&sib[i]) ? sib[i].fs->value->set->n_item : 0;
		nb += sib[i].fs->n_added;
		nc += sib[i].fs->n_removed;
	}
	all->item = lt_arena_alloc(sh->arena, na * sizeof(char *));
	added->item = lt_scratch_alloc(sh->s, nb, sizeof(char *));
	removed->item = lt_scratch_alloc(sh->s, nc, sizeof(char *));
	if (all->item == NULL || added->item == NULL || removed->item == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < n; i++) {
		if (is_set(&sib[i]))
			items_put(all, sib[i].fs->value->set->item, sib[i].fs->value->set->n_item);
		items_put(added, sib[i].fs->added, sib[i].fs->n_added);
		items_put(removed, sib[i].fs->removed, sib[i].fs->n_removed);
	}
	items_sort(all);
	items_sort(added);
	items_sort(removed);
	return LT_OK;
}

static int
set_value(const struct show *sh, const struct items *all, const Ltpb__Value **out)
{
	Ltpb__Value *v = lt_arena_alloc(sh->arena, sizeof(*v));
	Ltpb__TextSet *set = lt_arena_alloc(sh->arena, sizeof(*set));

	if (v == NULL || set == NULL)
		return LT_E_NOMEM;
	ltpb__text_set__init(set);
	ltpb__value__init(v);
	set->item = all->item;
	set->n_item = all->n;
	v->v_case = LTPB__VALUE__V_SET;
	v->set = set;
	*out = v;
	return LT_OK;
}

static int
show_set(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out)
{
	struct items all = { NULL, 0 }, added = { NULL, 0 }, removed = { NULL, 0 };
	struct sibling *sib;
	size_t i, n, kept = 0;
	int rc = load_values(sh, f, out, &sib, &n);

	if (rc != LT_OK || n == 0 || out->withheld)
		return rc;
	rc = gather(sh, sib, n, &all, &added, &removed);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < all.n; i++)
		if (LT_BUG(8) || !items_have(&removed, all.item[i]) ||
		    items_have(&added, all.item[i]))
			all.item[kept++] = all.item[i];
	all.n = kept;
	return set_value(sh, &all, &out->value);
}

static int
show_field(const struct show *sh, const struct lt_row_field *f, struct lt_shown_field *out)
{
	const struct lt_field_rule *rule = NULL;

	if (sh->rules != NULL && sh->rules->find != NULL)
		rule = sh->rules->find(sh->rules->ctx, out->name);
	switch (rule == NULL ? LT_POLICY_LWW : rule->policy) {
	case LT_POLICY_FIRST:
		return show_first(sh, f, out);
	case LT_POLICY_MAX:
		return show_extreme(sh, f, 1, out);
	case LT_POLICY_MIN:
		return show_extreme(sh, f, -1, out);
	case LT_POLICY_SET:
		return show_set(sh, f, out);
	case LT_POLICY_REVIEW:
		return show_review(sh, f, out);
	case LT_POLICY_LWW:
		break;
	}
	return show_lww(sh, f, out);
}

/* Puts and deletes among the siblings of the existence field. */
static int
show_existence(const struct show *sh, struct lt_shown *out)
{
	const struct lt_row *row = &sh->row;
	struct lt_covers all, v;
	size_t i, k;
	int rc;

	if (row->nfield == 0 || row->field[0].nentry == 0)
		return LT_OK;
	out->exists = true;
	rc = lt_row_field_covers(&row->field[0], sh->s, &all);
	for (i = 0; i < LT_CLASSES && rc == LT_OK; i++) {
		rc = lt_row_field_covers(&row->deletes[i], sh->s, &v);
		if (rc == LT_OK)
			rc = lt_covers_join(&all, &v, sh->s, &all);
	}
	for (i = 0; i < LT_CLASSES && rc == LT_OK; i++)
		for (k = 0; k < row->deletes[i].nentry; k++)
			if (!lt_covers_has(&all, row->deletes[i].entry[k].change))
				out->incomplete = true;
	return rc;
}

static int
show_fields(const struct show *sh, struct lt_shown *out)
{
	const struct lt_row *row = &sh->row;
	size_t i;
	int rc = LT_OK;

	out->field = lt_arena_alloc(sh->arena, row->nfield * sizeof(*out->field));
	if (out->field == NULL)
		return LT_E_NOMEM;
	for (i = 1; i < row->nfield && rc == LT_OK; i++) {
		const struct lt_row_field *f = &row->field[i];
		struct lt_shown_field *sf = &out->field[out->nfield];

		if (f->nentry == 0)
			continue;
		memset(sf, 0, sizeof(*sf));
		sf->name = lt_arena_dup(sh->arena, f->name.data, f->name.len);
		if (sf->name == NULL)
			return LT_E_NOMEM;
		rc = show_field(sh, f, sf);
		out->nconflict += sf->conflict ? 1 : 0;
		if (sf->value != NULL || sf->field_set.len != 0 || sf->withheld)
			out->nfield++;
	}
	return rc;
}

static int
show_row(struct show *sh, struct lt_slice bytes, struct lt_shown *out)
{
	size_t i;
	int rc = lt_row_parse(bytes, NULL, 0, sh->s, &sh->row);

	if (rc != LT_OK)
		return rc;
	for (i = 0; i < sh->row.nchange; i++)
		if (sh->row.change[i]->stamp > out->stamp)
			out->stamp = sh->row.change[i]->stamp;
	sh->lowest = lt_scratch_alloc(sh->s, sh->row.nfeed, sizeof(*sh->lowest));
	if (sh->lowest == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < sh->row.nfeed; i++)
		sh->lowest[i].seq = 0;
	rc = show_existence(sh, out);
	if (rc == LT_OK && out->exists)
		rc = show_fields(sh, out);
	return rc;
}

static int
show_all(struct show *sh, struct lt_slice row, struct lt_shown *out)
{
	struct lt_scratch s;
	int rc;

	memset(out, 0, sizeof(*out));
	lt_scratch_init(&s);
	sh->s = &s;
	rc = show_row(sh, row, out);
	lt_scratch_fini(&s);
	return rc;
}

int
lt_merge_show(const struct lt_rules *rules, struct lt_slice row, lt_opening_fn *opening,
    void *opening_ctx, struct lt_arena *arena, struct lt_shown *out)
{
	struct show sh = {
		.rules = rules, .opening = opening, .opening_ctx = opening_ctx, .arena = arena
	};

	return show_all(&sh, row, out);
}

int
lt_merge_show_bytes(const struct lt_rules *rules, struct lt_slice row, lt_opening_fn *opening,
    void *opening_ctx, struct lt_arena *arena, struct lt_shown *out)
{
	struct show sh = { .rules = rules,
		.opening = opening,
		.opening_ctx = opening_ctx,
		.arena = arena,
		.bytes = true };

	return show_all(&sh, row, out);
}
