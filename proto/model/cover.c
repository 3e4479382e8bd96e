/* Cover vectors: what a set of changes covers, feed by feed. */
#include "proto/model/row_impl.h"

#include <assert.h>

bool
lt_covers_has(const struct lt_covers *v, const struct lt_row_change *ch)
{
	size_t lo = 0, hi = v->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (v->c[mid].feed < ch->feed)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < v->n && v->c[lo].feed == ch->feed &&
	       lt_cover_below(ch->seq, ch->index, &v->c[lo]);
}

int
lt_covers_join(const struct lt_covers *a, const struct lt_covers *b, struct lt_scratch *s,
    struct lt_covers *out)
{
	size_t i = 0, j = 0, n = 0;
	struct lt_cover *c;

	if (a->n == 0 || b->n == 0) {
		*out = a->n == 0 ? *b : *a;
		return LT_OK;
	}
	c = lt_scratch_alloc(s, a->n + b->n, sizeof(*c));
	if (c == NULL)
		return LT_E_NOMEM;
	while (i < a->n || j < b->n) {
		const struct lt_cover *x = i < a->n ? &a->c[i] : NULL;
		const struct lt_cover *y = j < b->n ? &b->c[j] : NULL;

		assert(x != NULL || y != NULL);
		if (y == NULL || (x != NULL && x->feed < y->feed)) {
			c[n++] = *x;
			i++;
		} else if (x == NULL || y->feed < x->feed) {
			c[n++] = *y;
			j++;
		} else {
			c[n++] = lt_cover_below(x->seq, x->index, y) ? *y : *x;
			i++;
			j++;
		}
	}
	out->n = n;
	out->c = c;
	return LT_OK;
}

/* The last entry of each feed stands for that feed: entries are in order of dots. */
static bool
last_of_feed(const struct lt_row_field *f, size_t i)
{
	return i + 1 == f->nentry || f->entry[i + 1].change->feed != f->entry[i].change->feed;
}

int
lt_row_field_covers(const struct lt_row_field *f, struct lt_scratch *s, struct lt_covers *out)
{
	struct lt_covers own = { 0, NULL };
	size_t i;

	if (f->nentry != 0) {
		own.c = lt_scratch_alloc(s, f->nentry, sizeof(*own.c));
		if (own.c == NULL)
			return LT_E_NOMEM;
	}
	for (i = 0; i < f->nentry; i++) {
		const struct lt_row_change *ch = f->entry[i].change;

		if (last_of_feed(f, i))
			own.c[own.n++] = (struct lt_cover){
				.feed = ch->feed, .index = ch->index, .seq = ch->seq
			};
	}
	return lt_covers_join(&f->covers, &own, s, out);
}

int
lt_row_field_strip(struct lt_row_field *f, const struct lt_covers *full, struct lt_scratch *s)
{
	struct lt_cover *c = NULL;
	size_t i, e = 0, n = 0;

	if (full->n != 0) {
		c = lt_scratch_alloc(s, full->n, sizeof(*c));
		if (c == NULL)
			return LT_E_NOMEM;
	}
	for (i = 0; i < full->n; i++) {
		const struct lt_cover *v = &full->c[i];
		const struct lt_row_change *ch = NULL;

		for (; e < f->nentry && f->entry[e].change->feed <= v->feed; e++)
			ch = f->entry[e].change;
		if (ch == NULL || ch->feed != v->feed || ch->seq != v->seq || ch->index != v->index)
			c[n++] = *v;
	}
	f->covers.n = n;
	f->covers.c = c;
	return LT_OK;
}
