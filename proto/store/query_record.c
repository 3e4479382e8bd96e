/* A record as the asker sees it. Fields out of sight are named, by the rule and whether they are set or not: that one is set
 * may be all there is to know. */
#include "proto/store/query_impl.h"

#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/model/plain.h"
#include "proto/model/value.h"

#include <stdlib.h>

int
lt_mask_make(struct lt_scope *s, char *const *mask, size_t n, const bool **out, struct lt_err *err)
{
	struct lt_qfield f;
	bool *want;
	size_t i;
	int rc = LT_OK;

	*out = NULL;
	if (n == 0 || (n == 1 && strcmp(mask[0], "*") == 0))
		return LT_OK;
	if (n > LT_FIELDS_MAX)
		return lt_err_set(
		    err, LT_E_INVALID, "a mask of more than %d fields", LT_FIELDS_MAX);
	want = lt_arena_alloc(s->q->arena, (s->col->nfield + 1) * sizeof(*want));
	if (want == NULL)
		return lt_nomem(err);
	for (i = 0; rc == LT_OK && i < n; i++) {
		rc = lt_qfield_find(s->col, mask[i], &f, err);
		/* Unit and key stand in every record. */
		if (rc != LT_OK || f.kind != LT_QFIELD)
			continue;
		want[f.place] = true;
		rc = lt_scope_use(s, &f, err);
	}
	*out = want;
	return rc;
}

/* Wanted, and for the asker's eyes. What the catalogue does not know has no rule that would show it. */
static bool
is_shown(
    const struct lt_scope *s, const struct lt_unit_view *view, const bool *mask, const char *name)
{
	const struct lt_field *f = lt_collection_field(s->col, name);
	size_t place;

	if (f == NULL)
		return false;
	place = (size_t)(f - s->col->field);
	return (mask == NULL || mask[place]) && view->field[place];
}

struct making {
	const struct lt_scope *s;
	const struct lt_unit_view *view;
	const bool *mask;
	Ltpb__Record *out;
};

static void
put_field(struct making *m, Ltpb__FieldSet *f)
{
	if (is_shown(m->s, m->view, m->mask, f->name))
		m->out->field[m->out->n_field++] = f;
}

/* Fields that stand in the record's name: of the key, and the unit's. */
static int
put_name(struct making *m, struct lt_row *row)
{
	const struct lt_collection *col = m->s->col;
	struct lt_qfield f;
	const Ltpb__Value *v;
	Ltpb__FieldSet *fs;
	bool withheld;
	size_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < col->nfield; i++) {
		if (!col->field[i].in_key && !col->field[i].is_unit)
			continue;
		rc = lt_qfield_find(col, col->field[i].rule.name, &f, NULL);
		if (rc == LT_OK)
			rc = lt_row_value(row, m->s, &f, &v, &withheld);
		if (rc != LT_OK || v == NULL)
			continue;
		fs = lt_arena_alloc(m->s->q->arena, sizeof(*fs));
		if (fs == NULL)
			return LT_E_NOMEM;
		ltpb__field_set__init(fs);
		fs->name = (char *)f.name;
		fs->value = lt_value_dup(v, m->s->q->arena);
		if (fs->value == NULL)
			return LT_E_NOMEM;
		put_field(m, fs);
	}
	return rc;
}

static int
field_order(const void *a, const void *b)
{
	return strcmp((*(Ltpb__FieldSet *const *)a)->name, (*(Ltpb__FieldSet *const *)b)->name);
}

static void
put_masked(struct making *m)
{
	size_t i, place;

	for (i = 0; i < m->view->nhidden; i++) {
		place = (size_t)(m->view->hidden[i] - m->s->col->field);
		if (m->mask == NULL || m->mask[place])
			m->out->masked[m->out->n_masked++] = (char *)m->view->hidden[i]->rule.name;
	}
}

static void
put_marks(struct making *m, const Ltpb__Record *stored)
{
	size_t i;

	for (i = 0; i < stored->n_conflict; i++) {
		if (is_shown(m->s, m->view, m->mask, stored->conflict[i]))
			m->out->conflict[m->out->n_conflict++] = stored->conflict[i];
	}
	for (i = 0; i < stored->n_withheld; i++) {
		if (is_shown(m->s, m->view, m->mask, stored->withheld[i]))
			m->out->withheld[m->out->n_withheld++] = stored->withheld[i];
	}
}

static int
make_lists(struct making *m, const Ltpb__Record *stored)
{
	struct lt_arena *a = m->s->q->arena;
	size_t names = m->s->col->nkey + 2, fields = stored->n_field + names + m->s->col->nfield;

	m->out->field = lt_arena_alloc(a, fields * sizeof(*m->out->field));
	m->out->masked = lt_arena_alloc(a, (m->view->nhidden + 1) * sizeof(*m->out->masked));
	m->out->conflict = lt_arena_alloc(a, stored->n_conflict * sizeof(*m->out->conflict));
	m->out->withheld = lt_arena_alloc(a, stored->n_withheld * sizeof(*m->out->withheld));
	return m->out->field == NULL || m->out->masked == NULL || m->out->conflict == NULL ||
		       m->out->withheld == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

static int
reply_unpacked(struct lt_scope *s, struct lt_row *row, const bool *mask, Ltpb__Record **out)
{
	struct making m = { .s = s, .mask = mask };
	Ltpb__Record *stored;
	size_t i;
	int rc = lt_record_unpack(row->record, s->q->arena, &stored);

	if (rc == LT_OK)
		rc = lt_scope_view(s, row->unit, &m.view);
	m.out = rc == LT_OK ? lt_arena_alloc(s->q->arena, sizeof(*m.out)) : NULL;
	if (rc == LT_OK && m.out == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		return rc;
	ltpb__record__init(m.out);
	rc = make_lists(&m, stored);
	if (rc != LT_OK)
		return rc;
	m.out->collection = stored->collection;
	m.out->unit = stored->unit;
	/* The key says what its fields say. */
	if (m.view->key)
		m.out->key = stored->key;
	m.out->incomplete = stored->incomplete;
	m.out->revision = stored->revision;
	m.out->changed_ms = stored->changed_ms;
	for (i = 0; i < stored->n_field; i++)
		put_field(&m, stored->field[i]);
	put_marks(&m, stored);
	put_masked(&m);
	rc = put_name(&m, row);
	qsort(m.out->field, m.out->n_field, sizeof(*m.out->field), field_order);
	*out = m.out;
	return rc;
}

/* ---- fields as they lie in the store ---- */

enum { /* tags of Record */
	COLLECTION = 1 << 3 | 2,
	UNIT = 2 << 3 | 2,
	KEY = 3 << 3 | 2,
	FIELD = 4 << 3 | 2,
	CONFLICT = 6 << 3 | 2,
	INCOMPLETE = 7 << 3,
	REVISION = 8 << 3 | 2,
	WITHHELD = 10 << 3 | 2,
	CHANGED_MS = 11 << 3,
};

/* A FieldSet on its way, with its length before it as protobuf-c keeps a field that it does not know. */
struct packed_field {
	char name[LT_NAME_MAX + 1];
	struct lt_slice framed;
};

struct packing {
	struct making m;
	struct packed_field *field;
	size_t n, cap, items;
};

static bool
goes_before(const struct packed_field *a, const struct packed_field *b)
{
	return strcmp(a->name, b->name) < 0;
}

/* In order of names; most come in that order. */
static void
packed_insert(struct packing *p, const char *name, struct lt_slice framed)
{
	struct packed_field f = { .framed = framed };
	size_t i = p->n++;

	lt_slice_to_text(f.name, sizeof(f.name), lt_slice_str(name));
	for (; i > 0 && goes_before(&f, &p->field[i - 1]); i--)
		p->field[i] = p->field[i - 1];
	p->field[i] = f;
}

/* What is no plain value is looked at before it goes on. */
static int
packed_check(struct packing *p, struct lt_slice raw, const char *name)
{
	struct lt_slice value;
	ProtobufCMessage *msg;
	int rc;

	if (lt_plain(raw, lt_slice_str(name), &value)) {
		p->items++;
		return LT_OK;
	}
	rc = lt_wire_unpack(
	    &ltpb__field_set__descriptor, raw, LT_MESSAGE_MAX, p->m.s->q->arena, &msg, NULL);
	if (rc != LT_OK)
		return rc == LT_E_NOMEM ? rc : LT_E_CORRUPT;
	p->items += lt_field_items((const Ltpb__FieldSet *)msg);
	return LT_OK;
}

static int
packed_put(struct packing *p, struct lt_slice raw, struct lt_slice framed)
{
	char name[LT_NAME_MAX + 1];
	int rc;

	/* FieldSet begins with its name. */
	if (raw.len < 2 || raw.data[0] != (1 << 3 | 2) || raw.data[1] > LT_NAME_MAX ||
	    raw.len < 2 + (size_t)raw.data[1])
		return LT_E_CORRUPT;
	lt_slice_to_text(name, sizeof(name), lt_slice(raw.data + 2, raw.data[1]));
	if (!is_shown(p->m.s, p->m.view, p->m.mask, name))
		return LT_OK;
	if (p->n == p->cap)
		return LT_E_CORRUPT;
	rc = packed_check(p, raw, name);
	if (rc == LT_OK)
		packed_insert(p, name, framed);
	return rc;
}

static int
text_of(struct packing *p, struct lt_slice bytes, char **out)
{
	*out = lt_text_valid(bytes) ? lt_arena_dup(p->m.s->q->arena, bytes.data, bytes.len) : NULL;
	return *out != NULL ? LT_OK : lt_text_valid(bytes) ? LT_E_NOMEM : LT_E_CORRUPT;
}

/* conflict and withheld, as put_marks() has them. */
static int
packed_mark(struct packing *p, uint64_t tag, struct lt_slice bytes)
{
	Ltpb__Record *r = p->m.out;
	char *name;
	int rc = text_of(p, bytes, &name);

	if (rc != LT_OK || !is_shown(p->m.s, p->m.view, p->m.mask, name))
		return rc;
	if (tag == CONFLICT)
		r->conflict[r->n_conflict++] = name;
	else
		r->withheld[r->n_withheld++] = name;
	return LT_OK;
}

static int
packed_member(
    struct packing *p, uint64_t tag, uint64_t number, struct lt_slice bytes, struct lt_slice framed)
{
	Ltpb__Record *r = p->m.out;
	char *skipped, **text;

	switch (tag) {
	case FIELD:
		return packed_put(p, bytes, framed);
	case COLLECTION:
	case UNIT:
	case KEY:
		text = tag == COLLECTION ? &r->collection : tag == UNIT ? &r->unit : &r->key;
		/* The key says what its fields say. */
		return text_of(p, bytes, tag == KEY && !p->m.view->key ? &skipped : text);
	case CONFLICT:
	case WITHHELD:
		return packed_mark(p, tag, bytes);
	case INCOMPLETE:
		r->incomplete = number != 0;
		return LT_OK;
	case REVISION:
		r->revision.data = lt_arena_dup(p->m.s->q->arena, bytes.data, bytes.len);
		r->revision.len = bytes.len;
		return r->revision.data == NULL ? LT_E_NOMEM : LT_OK;
	case CHANGED_MS:
		r->changed_ms = (int64_t)number;
		return LT_OK;
	default:
		return LT_OK;
	}
}

/* fn for every member: of those with a length `bytes` without and `framed` with it. */
typedef int member_fn(struct packing *p, uint64_t tag, uint64_t number, struct lt_slice bytes,
    struct lt_slice framed);

static int
each_member(struct packing *p, struct lt_slice record, member_fn *fn)
{
	struct lt_slice bytes, framed;
	struct lt_reader r;
	uint64_t tag, n;
	const uint8_t *from;
	int rc = LT_OK;

	lt_reader_init(&r, record);
	while (rc == LT_OK && r.err == LT_OK && lt_reader_left(&r) != 0) {
		tag = lt_read_varint(&r);
		from = r.p;
		n = lt_read_varint(&r);
		bytes = framed = lt_slice(NULL, 0);
		if ((tag & 7) == 2) {
			bytes = lt_read_bytes(&r, n > lt_reader_left(&r) ? SIZE_MAX : (size_t)n);
			framed = lt_slice(from, (size_t)(r.p - from));
		} else if ((tag & 7) != 0) {
			return LT_E_CORRUPT;
		}
		if (r.err == LT_OK)
			rc = fn(p, tag, n, bytes, framed);
	}
	return rc == LT_OK && r.err != LT_OK ? LT_E_CORRUPT : rc;
}

static int
count_member(
    struct packing *p, uint64_t tag, uint64_t number, struct lt_slice bytes, struct lt_slice framed)
{
	(void)number;
	(void)bytes;
	(void)framed;
	p->cap += tag == FIELD;
	p->items += tag == CONFLICT || tag == WITHHELD;
	return LT_OK;
}

#define LENGTH_MAX 10

/* The length of the body right before it, where there are LENGTH_MAX bytes for it; both together. */
static struct lt_slice
frame(uint8_t *body, size_t len)
{
	size_t n = 1, i;
	uint64_t v = len;

	while (v >>= 7)
		n++;
	for (i = 0, v = len; i < n; i++, v >>= 7)
		body[i - n] = (uint8_t)((v & 0x7f) | (i + 1 < n ? 0x80 : 0));
	return lt_slice(body - n, n + len);
}

/* Fields of the key, and the unit's, packed in the arena. */
static int
packed_name(struct packing *p)
{
	Ltpb__Record *r = p->m.out;
	size_t i, len;
	uint8_t *b;

	for (i = 0; i < r->n_field; i++) {
		len = ltpb__field_set__get_packed_size(r->field[i]);
		b = lt_arena_alloc(p->m.s->q->arena, LENGTH_MAX + len);
		if (b == NULL)
			return LT_E_NOMEM;
		(void)ltpb__field_set__pack(r->field[i], b + LENGTH_MAX);
		packed_insert(p, r->field[i]->name, frame(b + LENGTH_MAX, len));
		p->items++;
	}
	r->n_field = 0;
	return LT_OK;
}

static int
packed_finish(struct packing *p)
{
	ProtobufCMessageUnknownField *u = lt_arena_alloc(p->m.s->q->arena, (p->n + 1) * sizeof(*u));
	size_t i;

	if (u == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < p->n; i++) {
		u[i].tag = FIELD >> 3;
		u[i].wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
		u[i].data = (uint8_t *)(uintptr_t)p->field[i].framed.data;
		u[i].len = p->field[i].framed.len;
	}
	p->m.out->base.unknown_fields = u;
	p->m.out->base.n_unknown_fields = (unsigned)p->n;
	return LT_OK;
}

static int
packed_room(struct packing *p)
{
	struct lt_arena *a = p->m.s->q->arena;
	size_t names = p->m.s->col->nkey + 2 + p->m.s->col->nfield, marks = p->items;
	Ltpb__Record *r = p->m.out;

	p->cap += names;
	p->items = 0;
	p->field = lt_arena_alloc(a, p->cap * sizeof(*p->field));
	r->field = lt_arena_alloc(a, names * sizeof(*r->field));
	r->masked = lt_arena_alloc(a, (p->m.view->nhidden + 1) * sizeof(*r->masked));
	r->conflict = lt_arena_alloc(a, marks * sizeof(*r->conflict));
	r->withheld = lt_arena_alloc(a, marks * sizeof(*r->withheld));
	return p->field == NULL || r->field == NULL || r->masked == NULL || r->conflict == NULL ||
		       r->withheld == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

/* As reply_unpacked(), but what is shown is passed on as it lies in the store: among the fields that protobuf-c does not know,
 * which it writes behind the others. */
static int
reply_packed(
    struct lt_scope *s, struct lt_row *row, const bool *mask, Ltpb__Record **out, size_t *items)
{
	struct packing p = { .m = { .s = s, .mask = mask } };
	int rc = lt_scope_view(s, row->unit, &p.m.view);

	p.m.out = rc == LT_OK ? lt_arena_alloc(s->q->arena, sizeof(*p.m.out)) : NULL;
	if (rc == LT_OK && p.m.out == NULL)
		rc = LT_E_NOMEM;
	if (rc != LT_OK)
		return rc;
	ltpb__record__init(p.m.out);
	rc = each_member(&p, row->record, count_member);
	if (rc == LT_OK)
		rc = packed_room(&p);
	if (rc == LT_OK)
		rc = each_member(&p, row->record, packed_member);
	if (rc == LT_OK) {
		put_masked(&p.m);
		rc = put_name(&p.m, row);
	}
	if (rc == LT_OK)
		rc = packed_name(&p);
	if (rc == LT_OK)
		rc = packed_finish(&p);
	if (rc != LT_OK)
		return rc;
	*items = p.items + 1 + p.m.out->n_masked + p.m.out->n_conflict + p.m.out->n_withheld;
	*out = p.m.out;
	return LT_OK;
}

int
lt_record_reply(
    struct lt_scope *s, struct lt_row *row, const bool *mask, Ltpb__Record **out, size_t *items)
{
	int rc;

	if (s->q->packed)
		return reply_packed(s, row, mask, out, items);
	rc = reply_unpacked(s, row, mask, out);
	if (rc == LT_OK)
		*items = lt_record_items(*out);
	return rc;
}

size_t
lt_field_items(const Ltpb__FieldSet *f)
{
	size_t n = 1 + f->n_added + f->n_removed;

	return f->value != NULL && f->value->v_case == LTPB__VALUE__V_SET
		   ? n + f->value->set->n_item
		   : n;
}

size_t
lt_record_items(const Ltpb__Record *r)
{
	size_t i, n = 1 + r->n_masked + r->n_conflict + r->n_withheld;

	for (i = 0; i < r->n_field; i++)
		n += lt_field_items(r->field[i]);
	return n;
}

bool
lt_room_take(struct lt_room *room, size_t bytes, size_t items)
{
	if (room->bytes != 0 &&
	    (room->bytes + bytes > LT_REPLY_BYTES_MAX || room->items + items > LT_REPLY_ITEMS_MAX))
		return false;
	room->bytes += bytes;
	room->items += items;
	return true;
}
