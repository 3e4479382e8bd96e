/* Rows: bytes to memory and back (FORMAT.md 5.1). Strict: what is accepted is what would be written. */
#include "proto/model/row_impl.h"

#include <assert.h>
#include <stdlib.h>

/* Least bytes of each part: counts are checked against what is left before they cost memory. */
#define FEED_BYTES_MIN ((size_t)LT_FEED_LEN + 1)
#define CHANGE_BYTES_MIN ((size_t)12)
#define COVER_BYTES_MIN ((size_t)3)
#define FIELD_BYTES_MIN ((size_t)3)
#define ENTRY_BYTES_MIN ((size_t)2)
#define VARINT_MAX ((size_t)10)

struct lt_scratch_block {
	struct lt_scratch_block *next;
	_Alignas(16) uint8_t data[];
};

void
lt_scratch_init(struct lt_scratch *s)
{
	s->p = s->local;
	s->left = sizeof(s->local);
	s->blocks = NULL;
}

void
lt_scratch_fini(struct lt_scratch *s)
{
	struct lt_scratch_block *b, *next;

	for (b = s->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	s->blocks = NULL;
}

void *
lt_scratch_alloc(struct lt_scratch *s, size_t count, size_t size)
{
	struct lt_scratch_block *b;
	size_t n, want;
	void *p;

	if (__builtin_mul_overflow(count, size, &n) || n > SIZE_MAX / 2)
		return NULL;
	n = n == 0 ? 16 : (n + 15) & ~(size_t)15;
	if (n > s->left) {
		want = n > sizeof(s->local) ? n : 4 * sizeof(s->local);
		b = malloc(sizeof(*b) + want);
		if (b == NULL)
			return NULL;
		b->next = s->blocks;
		s->blocks = b;
		s->p = b->data;
		s->left = want;
	}
	p = s->p;
	s->p += n;
	s->left -= n;
	return p;
}

/* Reading; the first failure sticks. */
struct in {
	const uint8_t *p, *end;
	int err;
	bool empty; /* there is no row yet */
	struct lt_scratch *s;
	struct lt_row *row;
	size_t nold; /* feeds in the bytes */
	const uint32_t *map; /* their numbers in the joined table */
};

static int
in_fail(struct in *in, int code)
{
	if (in->err == LT_OK)
		in->err = code;
	in->p = in->end;
	return in->err;
}

static size_t
in_left(const struct in *in)
{
	return (size_t)(in->end - in->p);
}

static inline const uint8_t *
in_bytes(struct in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (n > in_left(in)) {
		in_fail(in, LT_E_CORRUPT);
		return NULL;
	}
	in->p += n;
	return p;
}

static uint8_t
in_u8(struct in *in)
{
	const uint8_t *p = in_bytes(in, 1);

	return p == NULL ? 0 : *p;
}

static uint64_t
in_u64(struct in *in)
{
	const uint8_t *p = in_bytes(in, 8);

	return p == NULL ? 0 : lt_load_u64(p);
}

static uint64_t
in_long_varint(struct in *in, uint64_t max)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t c;

	do {
		c = in_u8(in);
		if (in->err != LT_OK || (shift == 63 && c > 1)) {
			in_fail(in, LT_E_CORRUPT);
			return 0;
		}
		v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	if ((c == 0 && shift > 7) || v > max) {
		in_fail(in, LT_E_CORRUPT);
		return 0;
	}
	return v;
}

/* Nearly all are of one byte. */
static inline uint64_t
in_varint(struct in *in, uint64_t max)
{
	return in->p != in->end && *in->p < 0x80 && *in->p <= max ? *in->p++
								  : in_long_varint(in, max);
}

/* A count of things that take at least min bytes each. */
static size_t
in_count(struct in *in, size_t min)
{
	return (size_t)in_varint(in, in_left(in) / min);
}

static void *
in_alloc(struct in *in, size_t count, size_t size)
{
	void *p = lt_scratch_alloc(in->s, count, size);

	if (p == NULL)
		in_fail(in, LT_E_NOMEM);
	return p;
}

static uint32_t
in_feed(struct in *in)
{
	uint64_t n = in_varint(in, in->nold == 0 ? 0 : in->nold - 1);

	return in->err != LT_OK || in->nold == 0 ? 0 : in->map[n];
}

static void
in_covers(struct in *in, struct lt_covers *v)
{
	size_t i;

	v->n = in_count(in, COVER_BYTES_MIN);
	v->c = NULL;
	if (v->n == 0 || (v->c = in_alloc(in, v->n, sizeof(*v->c))) == NULL)
		return;
	for (i = 0; i < v->n && in->err == LT_OK; i++) {
		struct lt_cover *c = &v->c[i];

		c->feed = in_feed(in);
		c->seq = in_varint(in, UINT64_MAX);
		c->index = (uint32_t)in_varint(in, LT_CHANGES_MAX - 1);
		if (c->seq == 0 || (i > 0 && c->feed <= v->c[i - 1].feed))
			in_fail(in, LT_E_CORRUPT);
		in->row->feed[c->feed].used = true;
	}
}

/* Join the row's feeds with those to add; both rise strictly. */
static void
join_feeds(struct in *in, const uint8_t *ids, const uint8_t *const *add, size_t nadd, uint32_t *map)
{
	struct lt_row_feed *f = in->row->feed;
	size_t i = 0, j = 0, n = 0;
	int c;

	while (i < in->nold || j < nadd) {
		const uint8_t *id = ids == NULL ? NULL : ids + i * LT_FEED_LEN;

		c = i == in->nold ? 1 : j == nadd ? -1 : memcmp(id, add[j], LT_FEED_LEN);
		f[n] = (struct lt_row_feed){ .id = c <= 0 ? id : add[j] };
		if (c <= 0)
			map[i++] = (uint32_t)n;
		if (c >= 0)
			j++;
		n++;
	}
	in->row->nfeed = n;
}

static void
in_feeds(struct in *in, const uint8_t *const *add, size_t nadd)
{
	const uint8_t *ids = NULL;
	uint32_t *map;
	size_t i;

	if (!in->empty) {
		in->nold = in_count(in, FEED_BYTES_MIN);
		ids = in_bytes(in, in->nold * LT_FEED_LEN);
	}
	map = in_alloc(in, in->nold, sizeof(*map));
	in->row->feed = in_alloc(in, in->nold + nadd, sizeof(*in->row->feed));
	in->map = map;
	if (in->err != LT_OK)
		return;
	for (i = 1; i < in->nold; i++)
		if (memcmp(ids + (i - 1) * LT_FEED_LEN, ids + i * LT_FEED_LEN, LT_FEED_LEN) >= 0)
			in_fail(in, LT_E_CORRUPT);
	join_feeds(in, ids, add, nadd, map);
	for (i = 0; i < in->nold && in->err == LT_OK; i++) {
		struct lt_row_feed *f = &in->row->feed[map[i]];

		f->seq = in_varint(in, UINT64_MAX);
		f->hash8 = f->seq == 0 ? 0 : in_u64(in);
		f->used = f->seq != 0;
	}
}

static void
in_change(struct in *in, struct lt_row_change *ch)
{
	memset(ch, 0, sizeof(*ch));
	ch->feed = in_feed(in);
	ch->seq = in_varint(in, UINT64_MAX);
	ch->index = (uint32_t)in_varint(in, LT_CHANGES_MAX - 1);
	ch->stamp = in_u64(in);
	ch->flags = in_u8(in);
	if (in->err != LT_OK)
		return;
	if (ch->seq == 0 || ch->seq > in->row->feed[ch->feed].seq ||
	    (ch->flags & ~(LT_CHANGE_BY_HUB | LT_CHANGE_COVERS | LT_CHANGE_ROOT)) != 0) {
		in_fail(in, LT_E_CORRUPT);
		return;
	}
	if (ch->flags & LT_CHANGE_COVERS)
		in_covers(in, &ch->covers);
	if (ch->flags & LT_CHANGE_ROOT)
		ch->root = in_bytes(in, LT_HASH_LEN);
}

static void
in_changes(struct in *in)
{
	struct lt_row *row = in->row;
	struct lt_row_change *ch;
	size_t i;

	row->nchange = in->empty ? 0 : in_count(in, CHANGE_BYTES_MIN);
	row->change = in_alloc(in, row->nchange + 1, sizeof(struct lt_row_change *));
	ch = in_alloc(in, row->nchange, sizeof(*ch));
	for (i = 0; i < row->nchange && in->err == LT_OK; i++) {
		row->change[i] = &ch[i];
		in_change(in, &ch[i]);
		if (in->err == LT_OK && i > 0 && lt_row_change_cmp(&ch[i - 1], &ch[i]) >= 0)
			in_fail(in, LT_E_CORRUPT);
	}
}

static void
in_entry(struct in *in, struct lt_row_entry *e, bool is_delete, bool existence)
{
	struct lt_row *row = in->row;
	uint64_t n = in_varint(in, row->nchange == 0 ? 0 : row->nchange - 1);
	size_t len;

	if (row->nchange == 0)
		in_fail(in, LT_E_CORRUPT);
	if (in->err != LT_OK)
		return;
	e->change = row->change[n];
	/* deletes come before fields: a change is one or the other, and a delete is named once */
	if (e->change->deletes)
		in_fail(in, LT_E_CORRUPT);
	e->change->used = true;
	e->change->deletes = is_delete;
	e->flags = is_delete ? 0 : in_u8(in);
	e->field_set = lt_slice(NULL, 0);
	if ((e->flags & ~(LT_ENTRY_SET | LT_ENTRY_FIRST | LT_ENTRY_PERSONAL)) != 0 ||
	    (existence && e->flags != 0) ||
	    (e->flags & (LT_ENTRY_SET | LT_ENTRY_PERSONAL)) == (LT_ENTRY_SET | LT_ENTRY_PERSONAL))
		in_fail(in, LT_E_CORRUPT);
	if (e->flags & LT_ENTRY_FIRST)
		e->change->need |= LT_CHANGE_COVERS;
	if (e->flags & LT_ENTRY_PERSONAL)
		e->change->need |= LT_CHANGE_ROOT;
	if (e->flags & LT_ENTRY_SET) {
		len = in_count(in, 1);
		e->field_set = lt_slice(in_bytes(in, len), len);
	}
}

/* Covers say only what the entries do not: for each feed, more than its last entry. Under every policy
 * but first an entry that is covered would not be there. */
static bool
entries_canonical(const struct lt_row_field *f)
{
	size_t i, e = 0;

	for (i = 0; i < f->nentry; i++) {
		const struct lt_row_entry *x = &f->entry[i];

		if ((x->flags ^ f->entry[0].flags) & LT_ENTRY_FIRST)
			return false;
		if (x->flags & LT_ENTRY_FIRST)
			continue;
		if (i > 0 && x[-1].change->feed == x->change->feed)
			return false;
		if (lt_covers_has(&f->covers, x->change))
			return false;
	}

	for (i = 0; i < f->covers.n; i++) {
		const struct lt_cover *v = &f->covers.c[i];

		while (e < f->nentry && f->entry[e].change->feed < v->feed)
			e++;
		for (; e < f->nentry && f->entry[e].change->feed == v->feed; e++)
			if (!lt_cover_below(f->entry[e].change->seq, f->entry[e].change->index, v))
				return false;
	}
	return true;
}

static void
in_entries(struct in *in, struct lt_row_field *f, bool is_delete)
{
	size_t i;

	in_covers(in, &f->covers);
	f->nentry = in_count(in, is_delete ? 1 : ENTRY_BYTES_MIN);
	f->entry = NULL;
	if (f->nentry != 0)
		f->entry = in_alloc(in, f->nentry, sizeof(*f->entry));
	for (i = 0; i < f->nentry && in->err == LT_OK; i++) {
		in_entry(in, &f->entry[i], is_delete, !is_delete && f->name.len == 0);
		if (in->err == LT_OK && i > 0 &&
		    lt_row_change_cmp(f->entry[i - 1].change, f->entry[i].change) >= 0)
			in_fail(in, LT_E_CORRUPT);
	}
	if (in->err == LT_OK && !entries_canonical(f))
		in_fail(in, LT_E_CORRUPT);
}

static bool
name_ok(struct lt_slice s)
{
	size_t i;

	if (s.len > LT_NAME_MAX)
		return false;
	for (i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];

		if (!(c == '_' || (c >= 'a' && c <= 'z') || (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

static void
in_fields(struct in *in)
{
	struct lt_row *row = in->row;
	size_t i;

	row->nfield = in->empty ? 0 : in_count(in, FIELD_BYTES_MIN);
	row->field = in_alloc(in, row->nfield, sizeof(*row->field));
	for (i = 0; i < row->nfield && in->err == LT_OK; i++) {
		struct lt_row_field *f = &row->field[i];
		size_t len = in_u8(in);

		f->name = lt_slice(in_bytes(in, len), len);
		/* whoever touched a field touched existence too, so it comes first */
		if (in->err != LT_OK || !name_ok(f->name) || (i == 0) != (len == 0) ||
		    (i > 0 && lt_slice_cmp(row->field[i - 1].name, f->name) >= 0)) {
			in_fail(in, LT_E_CORRUPT);
			return;
		}
		in_entries(in, f, false);
		if (f->covers.n == 0 && f->nentry == 0)
			in_fail(in, LT_E_CORRUPT);
	}
}

/* Nothing in the tables that nothing names, each change carries exactly what is asked of it, and there is
 * a put or a delete. */
static bool
tables_used(const struct in *in)
{
	const struct lt_row *row = in->row;
	size_t i, n = row->nfield;

	for (i = 0; i < LT_CLASSES; i++)
		n += row->deletes[i].covers.n + row->deletes[i].nentry;
	if (n == 0)
		return false;
	for (i = 0; i < row->nchange; i++)
		if (!row->change[i]->used ||
		    row->change[i]->need != (row->change[i]->flags & ~LT_CHANGE_BY_HUB))
			return false;
	for (i = 0; i < in->nold; i++)
		if (!row->feed[in->map[i]].used)
			return false;
	return true;
}

static bool
class_ok(const struct lt_row_field *deletes, bool by_hub)
{
	size_t i;

	for (i = 0; i < deletes->nentry; i++)
		if (((deletes->entry[i].change->flags & LT_CHANGE_BY_HUB) != 0) != by_hub)
			return false;
	return true;
}

int
lt_row_parse(struct lt_slice bytes, const uint8_t *const *add, size_t nadd, struct lt_scratch *s,
    struct lt_row *row)
{
	struct in in = { .p = bytes.data, .end = bytes.data, .s = s, .row = row };
	size_t i;

	memset(row, 0, sizeof(*row));
	in.empty = bytes.len == 0;
	if (bytes.len > LT_ROW_HARD_MAX)
		return LT_E_CORRUPT;
	if (!in.empty) {
		in.end = bytes.data + bytes.len;
		if (in_u8(&in) != LT_ROW_VERSION)
			return LT_E_CORRUPT;
	}
	in_feeds(&in, add, nadd);
	in_changes(&in);
	for (i = 0; i < LT_CLASSES && !in.empty; i++) {
		in_entries(&in, &row->deletes[i], true);
		if (in.err == LT_OK && !class_ok(&row->deletes[i], i == LT_CLASS_HUB))
			in_fail(&in, LT_E_CORRUPT);
	}
	in_fields(&in);
	if (in.err == LT_OK && !in.empty && (in_left(&in) != 0 || !tables_used(&in)))
		in_fail(&in, LT_E_CORRUPT);
	return in.err;
}

/* Writing into memory that was sized before. */
static uint8_t *
put_bytes(uint8_t *p, const void *data, size_t len)
{
	if (len != 0)
		memcpy(p, data, len);
	return p + len;
}

static uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
	lt_store_u64(p, v);
	return p + 8;
}

static size_t
covers_room(const struct lt_covers *v)
{
	return VARINT_MAX + v->n * 3 * VARINT_MAX;
}

static uint8_t *
put_covers(uint8_t *p, const struct lt_covers *v)
{
	size_t i;

	p = lt_store_varint(p, v->n);
	for (i = 0; i < v->n; i++) {
		p = lt_store_varint(p, v->c[i].feed);
		p = lt_store_varint(p, v->c[i].seq);
		p = lt_store_varint(p, v->c[i].index);
	}
	return p;
}

static uint8_t *
put_change(uint8_t *p, const struct lt_row_change *ch)
{
	p = lt_store_varint(p, ch->feed);
	p = lt_store_varint(p, ch->seq);
	p = lt_store_varint(p, ch->index);
	p = put_u64(p, ch->stamp);
	*p++ = (uint8_t)((ch->flags & LT_CHANGE_BY_HUB) | ch->need);
	if (ch->need & LT_CHANGE_COVERS)
		p = put_covers(p, &ch->covers);
	if (ch->need & LT_CHANGE_ROOT)
		p = put_bytes(p, ch->root, LT_HASH_LEN);
	return p;
}

static uint8_t *
put_entries(uint8_t *p, const struct lt_row_field *f, bool is_delete)
{
	size_t i;

	p = put_covers(p, &f->covers);
	p = lt_store_varint(p, f->nentry);
	for (i = 0; i < f->nentry; i++) {
		const struct lt_row_entry *e = &f->entry[i];

		p = lt_store_varint(p, e->change->no);
		if (is_delete)
			continue;
		*p++ = e->flags;
		if (e->flags & LT_ENTRY_SET) {
			p = lt_store_varint(p, e->field_set.len);
			p = put_bytes(p, e->field_set.data, e->field_set.len);
		}
	}
	return p;
}

/* What the entries ask of the changes; room they take. */
static size_t
mark_entries(const struct lt_row_field *f)
{
	size_t i, room = covers_room(&f->covers) + VARINT_MAX + f->name.len + 1;

	for (i = 0; i < f->nentry; i++) {
		const struct lt_row_entry *e = &f->entry[i];

		e->change->used = true;
		if (e->flags & LT_ENTRY_FIRST)
			e->change->need |= LT_CHANGE_COVERS;
		if (e->flags & LT_ENTRY_PERSONAL)
			e->change->need |= LT_CHANGE_ROOT;
		room += 2 * VARINT_MAX + 1 + e->field_set.len;
	}
	return room;
}

/* Number the changes that are named and drop the others. Returns the room the row may take. */
static size_t
prepare(struct lt_row *row)
{
	size_t i, n = 0, room = 1 + 4 * VARINT_MAX + row->nfeed * (LT_FEED_LEN + VARINT_MAX + 8);

	for (i = 0; i < row->nchange; i++) {
		row->change[i]->used = false;
		row->change[i]->need = 0;
	}
	for (i = 0; i < LT_CLASSES; i++)
		room += mark_entries(&row->deletes[i]);
	for (i = 0; i < row->nfield; i++)
		room += mark_entries(&row->field[i]);
	for (i = 0; i < row->nchange; i++) {
		struct lt_row_change *ch = row->change[i];

		if (!ch->used)
			continue;
		ch->no = (uint32_t)n;
		row->change[n++] = ch;
		room += 3 * VARINT_MAX + 9 + covers_room(&ch->covers) + LT_HASH_LEN;
	}
	row->nchange = n;
	return room;
}

int
lt_row_encode(struct lt_row *row, struct lt_buf *out)
{
	size_t i, room = prepare(row);
	uint8_t *start = lt_buf_reserve(out, room), *p = start;

	if (p == NULL)
		return out->err;
	*p++ = LT_ROW_VERSION;
	p = lt_store_varint(p, row->nfeed);
	for (i = 0; i < row->nfeed; i++)
		p = put_bytes(p, row->feed[i].id, LT_FEED_LEN);
	for (i = 0; i < row->nfeed; i++) {
		p = lt_store_varint(p, row->feed[i].seq);
		if (row->feed[i].seq != 0)
			p = put_u64(p, row->feed[i].hash8);
	}
	p = lt_store_varint(p, row->nchange);
	for (i = 0; i < row->nchange; i++)
		p = put_change(p, row->change[i]);
	for (i = 0; i < LT_CLASSES; i++)
		p = put_entries(p, &row->deletes[i], true);
	p = lt_store_varint(p, row->nfield);
	for (i = 0; i < row->nfield; i++) {
		*p++ = (uint8_t)row->field[i].name.len;
		p = put_bytes(p, row->field[i].name.data, row->field[i].name.len);
		p = put_entries(p, &row->field[i], false);
	}
	assert((size_t)(p - start) <= room);
	if ((size_t)(p - start) > LT_ROW_HARD_MAX)
		return LT_E_TOOBIG;
	lt_buf_added(out, (size_t)(p - start));
	return LT_OK;
}

struct lt_dot
lt_row_dot(const struct lt_row *row, const struct lt_row_change *ch)
{
	struct lt_dot d = { .seq = ch->seq, .index = ch->index };

	memcpy(d.feed.b, row->feed[ch->feed].id, LT_FEED_LEN);
	return d;
}
