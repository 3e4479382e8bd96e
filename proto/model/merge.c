/* Applying a change to a row.
 *
 * A field (and the deletes of a class of authors) is a pair: a cover vector that only grows, and the
 * changes that it does not cover. Both are functions of the set of changes applied: a change that is
 * covered when it comes, and one that becomes covered later, end alike. So order and repetition do not
 * matter, and no list of what was seen is needed. */
#include "proto/model/row_impl.h"

#include <assert.h>
#include <string.h>

#ifdef LT_MERGE_BUGS
int lt_merge_bug;
#endif

/* One application. */
struct apply {
	const struct lt_rules *rules;
	const struct lt_merge_change *mc;
	bool unit_is_province;
	struct lt_scratch *s;
	struct lt_row row;
	struct lt_row_change *ch; /* the change, in the row's table */
	struct lt_covers context; /* what its context covers */
	struct lt_covers covers; /* and with its own position */
	struct lt_covers vd[LT_CLASSES + 1]; /* V_D by class of authors, and of both */
};

enum { CLASS_BOTH = LT_CLASSES };

static const struct lt_field_rule plain_rule = {
	.name = "", .type = LT_TYPE_TEXT, .policy = LT_POLICY_LWW, .authority = LT_AUTHORITY_ANY
};

static const struct lt_field_rule *
find_rule(const struct lt_rules *rules, const char *name)
{
	const struct lt_field_rule *r = NULL;

	if (name[0] != '\0' && rules != NULL && rules->find != NULL)
		r = rules->find(rules->ctx, name);
	return r == NULL ? &plain_rule : r;
}

/* Whose changes count for a field: LT_CLASS_UNIT, LT_CLASS_HUB or CLASS_BOTH. */
static int
counting_class(const struct apply *a, const struct lt_field_rule *rule)
{
	if (LT_BUG(10))
		return CLASS_BOTH;
	switch (rule->authority) {
	case LT_AUTHORITY_UNIT:
		return a->unit_is_province ? CLASS_BOTH : LT_CLASS_UNIT;
	case LT_AUTHORITY_HUB:
		return LT_CLASS_HUB;
	case LT_AUTHORITY_ANY:
		break;
	}
	return CLASS_BOTH;
}

static int
author_class(const struct apply *a)
{
	return a->mc->by_hub ? LT_CLASS_HUB : LT_CLASS_UNIT;
}

/* The feeds the change names, its own in its place: strictly rising, as the context is. */
static int
change_feeds(struct apply *a, const uint8_t ***out, size_t *n)
{
	const struct lt_change *c = a->mc->change;
	const uint8_t *own = a->mc->dot.feed.b;
	const uint8_t **ids = lt_scratch_alloc(a->s, c->ncontext + 1, sizeof(*ids));
	bool placed = false;
	size_t i;

	if (ids == NULL)
		return LT_E_NOMEM;
	*n = 0;
	for (i = 0; i < c->ncontext; i++) {
		int cmp = memcmp(c->context[i].feed.b, own, LT_FEED_LEN);

		assert(cmp != 0); /* change.h: a context never names the own feed */
		if (cmp > 0 && !placed) {
			ids[(*n)++] = own;
			placed = true;
		}
		ids[(*n)++] = c->context[i].feed.b;
	}
	if (!placed)
		ids[(*n)++] = own;
	*out = ids;
	return LT_OK;
}

static uint32_t
feed_number(const struct lt_row *row, const uint8_t *id)
{
	size_t lo = 0, hi = row->nfeed, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (memcmp(row->feed[mid].id, id, LT_FEED_LEN) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static void
touch(struct apply *a, struct lt_row_feed *f)
{
	if (f->seq < a->mc->dot.seq) {
		f->seq = a->mc->dot.seq;
		f->hash8 = a->mc->hash8;
	} else if (f->seq == a->mc->dot.seq && f->hash8 < a->mc->hash8) {
		f->hash8 =
		    a->mc->hash8; /* one hash for one seq; if not, still the same in any order */
	}
}

/* What the change covers, from its context and its place. */
static int
change_covers(struct apply *a)
{
	const struct lt_change *c = a->mc->change;
	struct lt_cover *v = lt_scratch_alloc(a->s, c->ncontext + 1, sizeof(*v));
	struct lt_cover *own = lt_scratch_alloc(a->s, 1, sizeof(*own));
	struct lt_covers mine = { 1, own };
	size_t i;

	if (v == NULL || own == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < c->ncontext; i++) {
		uint64_t seq = c->context[i].seq;

		v[i].feed = feed_number(&a->row, c->context[i].feed.b);
		v[i].seq = seq == UINT64_MAX ? seq : seq + 1;
		v[i].index = 0;
	}
	a->context.n = c->ncontext;
	a->context.c = v;
	own->feed = feed_number(&a->row, a->mc->dot.feed.b);
	own->seq = a->mc->dot.seq;
	own->index = a->mc->dot.index + (LT_BUG(6) ? 1 : 0);
	touch(a, &a->row.feed[own->feed]);
	return lt_covers_join(&a->context, &mine, a->s, &a->covers);
}

/* The change's place in the row's table; one that stands there already stays. */
static int
enter_change(struct apply *a)
{
	struct lt_row *row = &a->row;
	struct lt_row_change *ch = lt_scratch_alloc(a->s, 1, sizeof(*ch));
	size_t i = row->nchange;
	int c = 1;

	if (ch == NULL)
		return LT_E_NOMEM;
	memset(ch, 0, sizeof(*ch));
	ch->feed = feed_number(row, a->mc->dot.feed.b);
	ch->seq = a->mc->dot.seq;
	ch->index = a->mc->dot.index;
	while (i > 0 && (c = lt_row_change_cmp(row->change[i - 1], ch)) > 0)
		i--;
	if (i > 0 && c == 0) {
		ch = row->change[i - 1];
	} else {
		memmove(row->change + i + 1, row->change + i,
		    (row->nchange - i) * sizeof(struct lt_row_change *));
		row->change[i] = ch;
		row->nchange++;
	}
	ch->stamp = a->mc->stamp;
	ch->flags = a->mc->by_hub ? LT_CHANGE_BY_HUB : 0;
	ch->covers = a->context;
	ch->root = a->mc->change->npersonal == 0 ? NULL : a->mc->change->personal_root.b;
	a->ch = ch;
	return LT_OK;
}

/* Put e among the field's entries unless its change is there. */
static int
add_entry(struct apply *a, struct lt_row_field *f, const struct lt_row_entry *e)
{
	struct lt_row_entry *all = lt_scratch_alloc(a->s, f->nentry + 1, sizeof(*all));
	size_t i = f->nentry;
	int c = 1;

	if (all == NULL)
		return LT_E_NOMEM;
	while (i > 0 && (c = lt_row_change_cmp(f->entry[i - 1].change, e->change)) > 0)
		i--;
	if (i > 0 && c == 0)
		return LT_OK;
	if (f->nentry != 0) {
		memcpy(all, f->entry, i * sizeof(*all));
		memcpy(all + i + 1, f->entry + i, (f->nentry - i) * sizeof(*all));
	}
	all[i] = *e;
	f->entry = all;
	f->nentry++;
	return LT_OK;
}

/* The field after deletes `vd` and, if e is given, after the change. */
static int
update_field(struct apply *a, struct lt_row_field *f, const struct lt_row_entry *e, bool first,
    const struct lt_covers *vd)
{
	static const struct lt_covers none = { 0, NULL };
	struct lt_covers full;
	size_t i, n = 0;
	int rc = LT_OK;

	if (LT_BUG(7) && first)
		vd = &none;
	if (LT_BUG(9) && e != NULL) {
		rc = lt_row_field_covers(f, a->s, &full);
		if (rc != LT_OK || lt_covers_has(&full, e->change) || lt_covers_has(vd, e->change))
			return rc;
	}
	if (e != NULL)
		rc = add_entry(a, f, e);
	if (rc == LT_OK)
		rc = lt_row_field_covers(f, a->s, &full);
	if (rc == LT_OK && e != NULL)
		rc = lt_covers_join(&full, &a->covers, a->s, &full);
	if (rc != LT_OK)
		return rc;
	for (i = 0; i < f->nentry; i++) {
		const struct lt_row_change *ch = f->entry[i].change;

		if (lt_covers_has(vd, ch) || (!first && lt_covers_has(&full, ch)))
			continue;
		if (LT_BUG(2) && f->name.len != 0 && f->entry[i].flags == 0)
			continue;
		f->entry[n++] = f->entry[i];
	}
	f->nentry = n;
	return lt_row_field_strip(f, &full, a->s);
}

static int
join_deletes(struct apply *a)
{
	int i, rc = LT_OK;

	for (i = 0; i < LT_CLASSES && rc == LT_OK; i++)
		rc = lt_row_field_covers(&a->row.deletes[i], a->s, &a->vd[i]);
	if (rc == LT_OK)
		rc = lt_covers_join(
		    &a->vd[LT_CLASS_UNIT], &a->vd[LT_CLASS_HUB], a->s, &a->vd[CLASS_BOTH]);
	return rc;
}

static const struct lt_field_rule *
row_field_rule(const struct apply *a, const struct lt_row_field *f)
{
	char name[LT_NAME_MAX + 1];

	assert(f->name.len <= LT_NAME_MAX); /* the row was parsed */
	memcpy(name, f->name.data, f->name.len);
	name[f->name.len] = '\0';
	return find_rule(a->rules, name);
}

#ifdef LT_MERGE_BUGS
/* Bug 3: a delete that knows only the fields there are. */
static int
delete_known_only(struct apply *a)
{
	size_t i;
	int rc = LT_OK;

	for (i = 0; i < a->row.nfield && rc == LT_OK; i++) {
		struct lt_covers full;

		rc = lt_row_field_covers(&a->row.field[i], a->s, &full);
		if (rc == LT_OK)
			rc = lt_covers_join(&full, &a->covers, a->s, &a->row.field[i].covers);
		if (rc == LT_OK)
			rc = update_field(a, &a->row.field[i], NULL, false, &a->vd[CLASS_BOTH]);
	}
	return rc;
}
#endif

static int
apply_delete(struct apply *a)
{
	static const struct lt_covers none = { 0, NULL };
	const struct lt_row_entry e = { .change = a->ch };
	size_t i;
	int rc;

#ifdef LT_MERGE_BUGS
	if (LT_BUG(3))
		return delete_known_only(a);
#endif
	rc = update_field(a, &a->row.deletes[author_class(a)], &e, false, &none);
	if (rc == LT_OK)
		rc = join_deletes(a);
	for (i = 0; i < a->row.nfield && rc == LT_OK; i++) {
		struct lt_row_field *f = &a->row.field[i];
		const struct lt_field_rule *rule = row_field_rule(a, f);
		int class = counting_class(a, rule);

		if (class == CLASS_BOTH || class == author_class(a))
			rc = update_field(
			    a, f, NULL, rule->policy == LT_POLICY_FIRST, &a->vd[class]);
	}
	return rc;
}

/* The names a put touches, in order, from its three lists and the existence field. */
struct names {
	const struct lt_change *c;
	size_t set, cleared, personal;
	bool begun;
};

static bool
lower(const char **least, const char *name)
{
	if (*least != NULL && strcmp(name, *least) >= 0)
		return false;
	*least = name;
	return true;
}

/* The next name, or NULL; what it carries goes into e. */
static const char *
names_next(struct names *n, struct lt_row_entry *e)
{
	const struct lt_change *c = n->c;
	const char *least = NULL;
	size_t *from = NULL;

	e->flags = 0;
	e->field_set = lt_slice(NULL, 0);
	if (!n->begun) {
		n->begun = true;
		return "";
	}
	if (n->personal < c->npersonal && strcmp(c->personal[n->personal], LT_ACTOR_FIELD) == 0)
		n->personal++;
	if (n->set < c->nset && lower(&least, c->set[n->set].pb->name)) {
		from = &n->set;
		e->flags = LT_ENTRY_SET;
		e->field_set = c->set[n->set].raw;
	}
	if (n->cleared < c->ncleared && lower(&least, c->cleared[n->cleared])) {
		from = &n->cleared;
		e->flags = 0;
		e->field_set = lt_slice(NULL, 0);
	}
	if (n->personal < c->npersonal && lower(&least, c->personal[n->personal])) {
		from = &n->personal;
		e->flags = LT_ENTRY_PERSONAL;
		e->field_set = lt_slice(NULL, 0);
	}
	if (from != NULL)
		(*from)++;
	return least;
}

/* One touched field. Most often it is new and nothing was ever deleted. */
static int
put_field(struct apply *a, struct lt_row_field *f, struct lt_row_entry *e,
    const struct lt_field_rule *rule, int class)
{
	bool first = rule->policy == LT_POLICY_FIRST;

	if (first)
		e->flags |= LT_ENTRY_FIRST;
	if (f->nentry != 0 || f->covers.n != 0 || a->vd[class].n != 0 || LT_BUG(2) || LT_BUG(6))
		return update_field(a, f, e, first, &a->vd[class]);
	f->covers = a->context;
	f->nentry = 1;
	f->entry = lt_scratch_alloc(a->s, 1, sizeof(*f->entry));
	if (f->entry == NULL)
		return LT_E_NOMEM;
	f->entry[0] = *e;
	return LT_OK;
}

static int
apply_put(struct apply *a)
{
	const struct lt_change *c = a->mc->change;
	struct lt_row *row = &a->row;
	struct names names = { .c = c };
	struct lt_row_entry e = { .change = a->ch };
	struct lt_row_field *all = lt_scratch_alloc(
	    a->s, row->nfield + 1 + c->nset + c->ncleared + c->npersonal, sizeof(*all));
	size_t n = 0, i = 0;
	const char *name;
	int rc = join_deletes(a);

	if (all == NULL)
		return LT_E_NOMEM;
	while (rc == LT_OK && (name = names_next(&names, &e)) != NULL) {
		const struct lt_field_rule *rule = find_rule(a->rules, name);
		int class = counting_class(a, rule), cmp = 1;

		if (class != CLASS_BOTH && class != author_class(a))
			continue;
		while (i < row->nfield &&
		       (cmp = lt_slice_cmp(row->field[i].name, lt_slice_str(name))) < 0)
			all[n++] = row->field[i++];
		if (i < row->nfield && cmp == 0)
			all[n] = row->field[i++];
		else
			all[n] = (struct lt_row_field){ .name = lt_slice_str(name) };
		rc = put_field(a, &all[n++], &e, rule, class);
	}
	while (i < row->nfield)
		all[n++] = row->field[i++];
	row->field = all;
	row->nfield = n;
	return rc;
}

#ifdef LT_MERGE_BUGS
/* Bug 4: no context taken as "what I knew when I last wrote here". */
static int
inherit_context(struct apply *a)
{
	struct lt_covers v;
	int rc;

	if (a->mc->change->ncontext != 0 || a->row.nfield == 0)
		return LT_OK;
	rc = lt_row_field_covers(&a->row.field[0], a->s, &v);
	if (rc == LT_OK)
		rc = lt_covers_join(&a->covers, &v, a->s, &a->covers);
	return rc;
}
#endif

static int
apply_change(struct apply *a, struct lt_slice row, struct lt_buf *out)
{
	const uint8_t **ids = NULL;
	size_t nids = 0, before = out->len;
	int rc;

	rc = change_feeds(a, &ids, &nids);
	if (rc == LT_OK)
		rc = lt_row_parse(row, ids, nids, a->s, &a->row);
	if (rc == LT_OK)
		rc = change_covers(a);
	if (rc == LT_OK)
		rc = enter_change(a);
#ifdef LT_MERGE_BUGS
	if (rc == LT_OK && LT_BUG(4))
		rc = inherit_context(a);
#endif
	if (rc == LT_OK)
		rc = a->mc->change->is_delete ? apply_delete(a) : apply_put(a);
	if (rc == LT_OK)
		rc = lt_row_encode(&a->row, out);
	if (rc == LT_OK && out->len - before > LT_RECORD_MAX)
		rc = LT_E_TOOBIG;
	return rc;
}

int
lt_merge_apply(const struct lt_rules *rules, bool unit_is_province, struct lt_slice row,
    const struct lt_merge_change *mc, struct lt_buf *out)
{
	struct lt_scratch s;
	struct apply a = {
		.rules = rules, .mc = mc, .unit_is_province = unit_is_province, .s = &s
	};
	int rc;

	lt_scratch_init(&s);
	rc = apply_change(&a, row, out);
	lt_scratch_fini(&s);
	return rc;
}
