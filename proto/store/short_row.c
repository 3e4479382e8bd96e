/* Rows without what is shown of them, and whole again. Making one is the projector's, for every change: it trusts the row.
 * Restoring trusts nothing, and in the end the revision tells. */
#include "proto/store/short_row.h"

#include "proto/base/limits.h"
#include "proto/feed/crypto.h"

#include <string.h>

#define WHOLE 1
#define SHORT 2
#define LEFT_VALUES 0x80
#define LEFT_PERSONAL 0xc0
#define LEFT_MAX 64
#define ENTRY_VALUE 1
#define ENTRY_PERSONAL 4
#define CHANGE_COVERS 2
#define CHANGE_ROOT 4
#define TAG_FIELD (4 << 3 | 2) /* of Record */
#define TAG_REVISION (8 << 3 | 2)
#define TAG_NAME (1 << 3 | 2) /* of FieldSet */
#define REVISION_LEN 16
#define VARINT_MAX 10
#define ROW_MAX ((size_t)8 * LT_RECORD_MAX) /* no row is longer (FORMAT.md 5.1, model/row_impl.h) */

/* ---- reading ---- */

struct in {
	const uint8_t *p, *end;
	bool bad; /* sticky; p is at the end then */
};

static struct in
in_of(struct lt_slice s)
{
	return (struct in){ .p = s.data, .end = s.data + s.len };
}

static size_t
left(const struct in *in)
{
	return (size_t)(in->end - in->p);
}

static const uint8_t *
take(struct in *in, uint64_t n)
{
	const uint8_t *p = in->p;

	if (n > left(in)) {
		in->bad = true;
		in->p = in->end;
		return in->end;
	}
	in->p += n;
	return p;
}

/* Empty when there is not as much. */
static struct lt_slice
take_slice(struct in *in, uint64_t n)
{
	const uint8_t *p = take(in, n);

	return lt_slice(p, in->bad ? 0 : (size_t)n);
}

static uint8_t
take_u8(struct in *in)
{
	const uint8_t *p = take(in, 1);

	return in->bad ? 0 : *p;
}

static uint64_t
take_long_varint(struct in *in)
{
	uint64_t v = 0;
	unsigned shift;
	uint8_t c;

	for (shift = 0; shift < 70; shift += 7) {
		c = take_u8(in);
		v |= (uint64_t)(c & 0x7f) << (shift < 63 ? shift : 63);
		if (c < 0x80)
			return v;
	}
	in->bad = true;
	in->p = in->end;
	return 0;
}

static inline uint64_t
take_varint(struct in *in)
{
	return in->p != in->end && *in->p < 0x80 ? *in->p++ : take_long_varint(in);
}

static void
skip_varints(struct in *in, unsigned n)
{
	while (n-- != 0)
		(void)take_varint(in);
}

static void
skip_covers(struct in *in)
{
	uint64_t n = take_varint(in);

	for (; n != 0 && !in->bad; n--)
		skip_varints(in, 3);
}

static void
skip_change(struct in *in)
{
	uint8_t flags;

	skip_varints(in, 3);
	(void)take(in, 8);
	flags = take_u8(in);
	if (flags & CHANGE_COVERS)
		skip_covers(in);
	if (flags & CHANGE_ROOT)
		(void)take(in, LT_HASH_LEN);
}

/* All before the fields but the version. Returns how many fields there are. */
static uint64_t
skip_head(struct in *in)
{
	uint64_t nfeed = take_varint(in), n;
	unsigned i;

	if (nfeed > left(in) / LT_FEED_LEN) {
		in->bad = true;
		return 0;
	}
	(void)take(in, nfeed * LT_FEED_LEN);
	for (n = nfeed; n != 0 && !in->bad; n--)
		if (take_varint(in) != 0)
			(void)take(in, 8);
	for (n = take_varint(in); n != 0 && !in->bad; n--)
		skip_change(in);
	for (i = 0; i < 2; i++) {
		skip_covers(in);
		for (n = take_varint(in); n != 0 && !in->bad; n--)
			(void)take_varint(in);
	}
	return take_varint(in);
}

/* One field with what stands in it. */
struct field {
	struct lt_slice bytes, name, field_set;
	uint64_t change;
	uint8_t flags; /* of the entry when there is one, and nothing else; else 0 */
};

static void
take_field(struct in *in, struct field *f)
{
	const uint8_t *from = in->p;
	size_t len = take_u8(in);
	bool covered;
	uint64_t n, k;

	f->name = take_slice(in, len);
	covered = in->p != in->end && *in->p != 0;
	skip_covers(in);
	n = take_varint(in);
	f->flags = 0;
	f->field_set = lt_slice(NULL, 0);
	for (k = 0; k < n && !in->bad; k++) {
		f->change = take_varint(in);
		f->flags = take_u8(in);
		if (f->flags & ENTRY_VALUE)
			f->field_set = take_slice(in, take_varint(in));
	}
	if (n != 1 || covered)
		f->flags = 0;
	f->bytes = lt_slice(from, (size_t)(in->p - from));
}

/* ---- what is shown ---- */

struct shown {
	struct in in;
	bool there; /* field_set is one, and name its name */
	struct lt_slice field_set, name;
	struct lt_slice revision; /* of those passed so far */
};

/* The next FieldSet of the Record. */
static void
shown_next(struct shown *s)
{
	struct lt_slice v;
	uint64_t tag, n;

	s->there = false;
	while (!s->there && !s->in.bad && left(&s->in) != 0) {
		tag = take_varint(&s->in);
		n = take_varint(&s->in);
		if ((tag & 7) == 0)
			continue;
		if ((tag & 7) != 2) {
			s->in.bad = true;
			return;
		}
		v = take_slice(&s->in, n);
		if (s->in.bad)
			return;
		if (tag == TAG_REVISION)
			s->revision = v;
		if (tag != TAG_FIELD)
			continue;
		if (v.len < 2 || v.data[0] != TAG_NAME || v.data[1] > LT_NAME_MAX ||
		    v.data[1] > v.len - 2) {
			s->in.bad = true;
			return;
		}
		s->field_set = v;
		s->name = lt_slice(v.data + 2, v.data[1]);
		s->there = true;
	}
}

static void
shown_begin(struct shown *s, struct lt_slice record)
{
	memset(s, 0, sizeof(*s));
	s->in = in_of(record);
	shown_next(s);
}

/* Is it of this name? Then it is the field's, left out or not. */
static bool
shown_has(const struct shown *s, struct lt_slice name)
{
	return s->there && lt_slice_eq(s->name, name);
}

/* ---- making ---- */

bool
lt_short_row_is(struct lt_slice stored)
{
	return stored.len != 0 && stored.data[0] == SHORT;
}

/* Writing into room that was sized before. */
struct out {
	uint8_t *p;
	unsigned run; /* fields left out that are not written yet */
	uint8_t flags;
	uint64_t change;
};

static void
out_bytes(struct out *o, struct lt_slice s)
{
	memcpy(o->p, s.data, s.len);
	o->p += s.len;
}

static void
out_run(struct out *o)
{
	if (o->run == 0)
		return;
	*o->p++ = (uint8_t)((o->flags == ENTRY_VALUE ? LEFT_VALUES : LEFT_PERSONAL) + o->run - 1);
	o->p = lt_store_varint(o->p, o->change);
	o->run = 0;
}

static void
out_left(struct out *o, const struct field *f)
{
	if (o->run == LEFT_MAX || o->flags != f->flags || o->change != f->change)
		out_run(o);
	o->flags = f->flags;
	o->change = f->change;
	o->run++;
}

static bool
is_left_out(const struct field *f, const struct shown *s)
{
	return f->flags == ENTRY_PERSONAL ||
	       (f->flags == ENTRY_VALUE && lt_slice_eq(f->field_set, s->field_set));
}

/* No form is longer than the row. Returns its length; 0: nothing is left out. */
static size_t
shorten(struct lt_slice row, struct lt_slice record, uint8_t *to)
{
	struct in in = in_of(row);
	struct out o = { .p = to };
	struct shown s;
	struct field f;
	bool any = false;
	uint64_t n;

	*o.p++ = SHORT;
	(void)take(&in, 1);
	n = skip_head(&in);
	out_bytes(&o, lt_slice(row.data + 1, (size_t)(in.p - row.data) - 1));
	shown_begin(&s, record);
	for (; n != 0 && !in.bad; n--) {
		bool has;

		take_field(&in, &f);
		has = shown_has(&s, f.name);
		if (has && is_left_out(&f, &s)) {
			any = true;
			out_left(&o, &f);
		} else {
			out_run(&o);
			out_bytes(&o, f.bytes);
		}
		if (has)
			shown_next(&s);
	}
	out_run(&o);
	return in.bad || s.in.bad || !any ? 0 : (size_t)(o.p - to);
}

int
lt_short_row_make(struct lt_slice row, struct lt_slice record, struct lt_buf *out)
{
	uint8_t *to;
	size_t len;

	if (row.len == 0)
		return out->err;
	to = lt_buf_reserve(out, row.len);
	if (to == NULL)
		return out->err;
	len = record.len == 0 ? 0 : shorten(row, record, to);
	if (len == 0) {
		memcpy(to, row.data, row.len);
		len = row.len;
	}
	lt_buf_added(out, len);
	return out->err;
}

/* ---- restoring ---- */

static int
put_left(struct lt_buf *out, const struct shown *s, bool personal, uint64_t change)
{
	size_t room = 1 + s->name.len + 3 + 2 * VARINT_MAX + s->field_set.len;
	uint8_t *from = lt_buf_reserve(out, room), *p = from;

	if (p == NULL)
		return out->err;
	*p++ = (uint8_t)s->name.len;
	memcpy(p, s->name.data, s->name.len);
	p += s->name.len;
	*p++ = 0; /* no covers */
	*p++ = 1; /* one entry */
	p = lt_store_varint(p, change);
	*p++ = personal ? ENTRY_PERSONAL : ENTRY_VALUE;
	if (!personal) {
		p = lt_store_varint(p, s->field_set.len);
		memcpy(p, s->field_set.data, s->field_set.len);
		p += s->field_set.len;
	}
	lt_buf_added(out, (size_t)(p - from));
	return out->len > ROW_MAX ? LT_E_CORRUPT : LT_OK;
}

/* The fields of one `left`. */
static int
restore_run(struct in *in, struct shown *s, uint64_t *n, struct lt_buf *out)
{
	uint8_t head = take_u8(in);
	unsigned run = (head & (LEFT_MAX - 1)) + 1;
	uint64_t change = take_varint(in);
	int rc = LT_OK;

	for (; rc == LT_OK && run != 0; run--) {
		if (*n == 0 || !s->there || in->bad)
			return LT_E_CORRUPT;
		rc = put_left(out, s, head >= LEFT_PERSONAL, change);
		shown_next(s);
		--*n;
	}
	return rc;
}

static int
restore_fields(struct in *in, struct shown *s, uint64_t n, struct lt_buf *out)
{
	struct field f;
	int rc = LT_OK;

	while (rc == LT_OK && n != 0) {
		if (in->bad || left(in) == 0)
			return LT_E_CORRUPT;
		if (*in->p >= LEFT_VALUES) {
			rc = restore_run(in, s, &n, out);
			continue;
		}
		take_field(in, &f);
		if (in->bad)
			return LT_E_CORRUPT;
		lt_buf_put_slice(out, f.bytes);
		rc = out->err;
		if (shown_has(s, f.name))
			shown_next(s);
		n--;
	}
	return rc;
}

int
lt_short_row_restore(struct lt_slice stored, struct lt_slice record, struct lt_buf *out)
{
	struct in in = in_of(stored);
	size_t from = out->len;
	uint8_t revision[REVISION_LEN];
	struct shown s;
	uint64_t n;
	int rc;

	if (!lt_short_row_is(stored) || stored.len > ROW_MAX)
		return LT_E_CORRUPT;
	(void)take(&in, 1);
	n = skip_head(&in);
	lt_buf_u8(out, WHOLE);
	lt_buf_put(out, stored.data + 1, (size_t)(in.p - stored.data) - 1);
	shown_begin(&s, record);
	rc = out->err != LT_OK ? out->err : restore_fields(&in, &s, n, out);
	while (s.there)
		shown_next(&s);
	if (rc == LT_OK && (in.bad || left(&in) != 0 || s.in.bad || s.revision.len != REVISION_LEN))
		rc = LT_E_CORRUPT;
	if (rc != LT_OK)
		return rc;
	lt_h16("lt1.value", lt_slice(out->data + from, out->len - from), revision);
	return memcmp(revision, s.revision.data, REVISION_LEN) == 0 ? LT_OK : LT_E_CORRUPT;
}
