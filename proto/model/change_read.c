#include "proto/model/change_read.h"

#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/base/wire_read.h"
#include "proto/model/value.h"

#include <string.h>

/* ---- characters ---- */

/* Bit c of 128: what a key may hold. */
static const uint64_t key_chars[2] = { UINT64_C(0x03ffe02000000000), /* % - . / 0-9 */
	UINT64_C(0x47fffffe87fffffe) }; /* A-Z _ a-z ~ */

static inline bool
stands_in(const uint64_t set[2], uint8_t c)
{
	return c < 0x80 && (set[c >> 6] >> (c & 63) & 1) != 0;
}

bool
lt_key_char_valid(uint8_t c)
{
	return stands_in(key_chars, c);
}

/* One for what a name may hold. */
static inline unsigned
of_name(uint8_t c)
{
	return (uint8_t)(c - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '_';
}

/* The top bit of each byte from first to last: of bytes below 0x80 the sums do not carry into the next. */
static inline uint64_t
between(uint64_t w, uint8_t first, uint8_t last)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);

	return (w + ones * (0x80 - first)) & ~(w + ones * (0x7f - last));
}

/* Eight letters at once. */
static inline bool
all_of_name(const uint8_t *p)
{
	const uint64_t top = UINT64_C(0x8080808080808080);
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return ((between(w, 'a', 'z') | between(w, '0', '9') | between(w, '_', '_')) & ~w & top) ==
	       top;
}

/* Some 25 names a change: without a branch at each letter. */
bool
lt_name_valid_slice(struct lt_slice s)
{
	unsigned all = 1;
	size_t i;

	if (s.len == 0 || s.len > LT_NAME_MAX || (s.data[0] >= '0' && s.data[0] <= '9'))
		return false;
	if (s.len < 8) {
		for (i = 0; i < s.len; i++)
			all &= of_name(s.data[i]);
		return all != 0;
	}
	for (i = 0; i + 8 < s.len; i += 8)
		if (!all_of_name(s.data + i))
			return false;
	return all_of_name(s.data + s.len - 8);
}

static bool
key_valid(struct lt_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!stands_in(key_chars, s.data[i]))
			return false;
	return s.len != 0 && s.len <= LT_KEY_MAX;
}

/* ---- field sets ---- */

/* Fields of FieldSet, Value, Decimal and TextSet. */
enum {
	SET_NAME = LT_WIRE_TAG(1, LT_WIRE_BYTES),
	SET_VALUE = LT_WIRE_TAG(2, LT_WIRE_BYTES),
	SET_ADDED = LT_WIRE_TAG(3, LT_WIRE_BYTES),
	SET_REMOVED = LT_WIRE_TAG(4, LT_WIRE_BYTES),
	VALUE_TEXT = LT_WIRE_TAG(1, LT_WIRE_BYTES),
	VALUE_INTEGER = LT_WIRE_TAG(2, LT_WIRE_VARINT),
	VALUE_DECIMAL = LT_WIRE_TAG(3, LT_WIRE_BYTES),
	VALUE_BOOLEAN = LT_WIRE_TAG(4, LT_WIRE_VARINT),
	VALUE_DATE = LT_WIRE_TAG(5, LT_WIRE_VARINT),
	VALUE_TIMESTAMP = LT_WIRE_TAG(6, LT_WIRE_VARINT),
	VALUE_BYTES = LT_WIRE_TAG(7, LT_WIRE_BYTES),
	VALUE_ENUMERATION = LT_WIRE_TAG(8, LT_WIRE_BYTES),
	VALUE_SET = LT_WIRE_TAG(9, LT_WIRE_BYTES),
	DECIMAL_UNSCALED = LT_WIRE_TAG(1, LT_WIRE_VARINT),
	DECIMAL_SCALE = LT_WIRE_TAG(2, LT_WIRE_VARINT),
	ITEM = LT_WIRE_TAG(1, LT_WIRE_BYTES),
};

struct lt_field_room {
	Ltpb__FieldSet fs;
	Ltpb__Value value;
};

/* The same place in the copy. */
static uint8_t *
place_of(const struct lt_field_reader *r, struct lt_slice s)
{
	return r->copy + (s.data - r->from.data);
}

/* Its NUL stands where the tag of what follows was: everything is read from the message itself, nothing from the copy. */
static char *
text_of(const struct lt_field_reader *r, struct lt_slice s)
{
	uint8_t *text = place_of(r, s);

	text[s.len] = '\0';
	return (char *)text;
}

static int64_t
zigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The texts with this tag of a message that was stepped through before. */
static bool
read_texts(struct lt_field_reader *r, struct lt_slice raw, unsigned tag, size_t n, char ***out)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;
	size_t i = 0;

	if (n == 0)
		return true;
	if (n > LT_SET_ITEMS_MAX || n > LT_REPEATED_MAX - r->repeats)
		return false;
	r->repeats += n;
	*out = lt_arena_alloc(r->arena, n * sizeof(**out));
	if (*out == NULL)
		return false;
	while (p != end) {
		if (!lt_plain_step(&p, end, &f))
			return false;
		if (f.tag != tag)
			continue;
		if (!lt_text_valid(f.bytes))
			return false;
		(*out)[i++] = text_of(r, f.bytes);
	}
	return true;
}

static bool
read_set(struct lt_field_reader *r, struct lt_slice raw, Ltpb__Value *v)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;
	size_t n = 0;

	for (; p != end; n++)
		if (!lt_plain_step(&p, end, &f) || f.tag != ITEM)
			return false;
	v->v_case = LTPB__VALUE__V_SET;
	v->set = lt_arena_alloc(r->arena, sizeof(*v->set));
	if (v->set == NULL)
		return false;
	ltpb__text_set__init(v->set);
	v->set->n_item = n;
	return read_texts(r, raw, ITEM, n, &v->set->item);
}

static bool
read_decimal(struct lt_field_reader *r, struct lt_slice raw, Ltpb__Value *v)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;
	bool unscaled = false, scale = false;

	v->v_case = LTPB__VALUE__V_DECIMAL;
	v->decimal = lt_arena_alloc(r->arena, sizeof(*v->decimal));
	if (v->decimal == NULL)
		return false;
	ltpb__decimal__init(v->decimal);
	while (p != end) {
		if (!lt_plain_step(&p, end, &f))
			return false;
		if (f.tag == DECIMAL_UNSCALED && !unscaled) {
			v->decimal->unscaled = zigzag(f.value);
			unscaled = true;
		} else if (f.tag == DECIMAL_SCALE && !scale && f.value <= LT_DECIMAL_SCALE_MAX) {
			v->decimal->scale = (uint32_t)f.value;
			scale = true;
		} else {
			return false;
		}
	}
	return true;
}

/* Of a value's text the checks are made here, those of other types by lt_value_check(). */
static bool
text_valid(struct lt_slice s)
{
	return s.len <= LT_VALUE_MAX && lt_text_is_nfc(s);
}

/* Exactly one member. */
static bool
read_value(struct lt_field_reader *r, struct lt_slice raw, Ltpb__Value *v)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;

	ltpb__value__init(v);
	if (p == end || !lt_plain_step(&p, end, &f) || p != end)
		return false;
	switch (f.tag) {
	case VALUE_TEXT:
		v->v_case = LTPB__VALUE__V_TEXT;
		v->text = text_of(r, f.bytes);
		return text_valid(f.bytes);
	case VALUE_ENUMERATION:
		v->v_case = LTPB__VALUE__V_ENUMERATION;
		v->enumeration = text_of(r, f.bytes);
		return text_valid(f.bytes);
	case VALUE_INTEGER:
		v->v_case = LTPB__VALUE__V_INTEGER;
		v->integer = zigzag(f.value);
		return true;
	case VALUE_BOOLEAN:
		v->v_case = LTPB__VALUE__V_BOOLEAN;
		v->boolean = f.value != 0;
		return f.value <= 1;
	case VALUE_DATE:
		v->v_case = LTPB__VALUE__V_DATE;
		v->date = (int32_t)zigzag(f.value & UINT32_MAX);
		return f.value <= UINT32_MAX && lt_value_check(v, NULL) == LT_OK;
	case VALUE_TIMESTAMP:
		v->v_case = LTPB__VALUE__V_TIMESTAMP;
		v->timestamp = zigzag(f.value);
		return lt_value_check(v, NULL) == LT_OK;
	case VALUE_BYTES:
		v->v_case = LTPB__VALUE__V_BYTES;
		v->bytes.len = f.bytes.len;
		v->bytes.data = f.bytes.len == 0 ? NULL : place_of(r, f.bytes);
		return f.bytes.len <= LT_VALUE_MAX;
	case VALUE_DECIMAL:
		return read_decimal(r, f.bytes, v);
	case VALUE_SET:
		return read_set(r, f.bytes, v) && lt_value_check(v, NULL) == LT_OK;
	default:
		return false;
	}
}

/* n_added and n_removed are counted. */
static bool
read_delta(struct lt_field_reader *r, struct lt_slice raw, Ltpb__FieldSet *fs)
{
	return fs->value->v_case == LTPB__VALUE__V_SET &&
	       read_texts(r, raw, SET_ADDED, fs->n_added, &fs->added) &&
	       read_texts(r, raw, SET_REMOVED, fs->n_removed, &fs->removed) &&
	       lt_delta_check(fs->name, "added", fs->added, fs->n_added, NULL) == LT_OK &&
	       lt_delta_check(fs->name, "removed", fs->removed, fs->n_removed, NULL) == LT_OK;
}

static bool
read_field_set(struct lt_field_reader *r, struct lt_slice raw, struct lt_field_room *room)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_slice name = { NULL, 0 };
	Ltpb__FieldSet *fs = &room->fs;
	struct lt_plain_item f;

	ltpb__field_set__init(fs);
	while (p != end) {
		if (!lt_plain_step(&p, end, &f))
			return false;
		if (f.tag == SET_NAME && name.data == NULL) {
			name = f.bytes;
		} else if (f.tag == SET_VALUE && fs->value == NULL) {
			fs->value = &room->value;
			if (!read_value(r, f.bytes, fs->value))
				return false;
		} else if (f.tag == SET_ADDED) {
			fs->n_added++;
		} else if (f.tag == SET_REMOVED) {
			fs->n_removed++;
		} else {
			return false;
		}
	}
	if (!lt_name_valid_slice(name) || fs->value == NULL)
		return false;
	fs->name = text_of(r, name);
	return fs->n_added + fs->n_removed == 0 || read_delta(r, raw, fs);
}

void
lt_field_reader_init(
    struct lt_field_reader *r, struct lt_slice from, size_t n, struct lt_arena *arena)
{
	*r = (struct lt_field_reader){ .from = from, .arena = arena };
	if (n == 0)
		return;
	r->room = lt_arena_room(arena, n * sizeof(*r->room));
	r->copy = r->room == NULL ? NULL : lt_arena_dup(arena, from.data, from.len);
	r->left = r->copy == NULL ? 0 : n;
}

static bool
reader_take(struct lt_field_reader *r, struct lt_slice raw, struct lt_field_set *out)
{
	if (r->left == 0 || !read_field_set(r, raw, r->room))
		return false;
	out->pb = &r->room->fs;
	out->raw = raw;
	r->room++;
	r->left--;
	return true;
}

int
lt_field_reader_next(
    struct lt_field_reader *r, struct lt_slice raw, struct lt_field_set *out, struct lt_err *err)
{
	r->repeats = 0; /* each is a message of its own */
	if (raw.len <= LT_CHANGESET_MAX && reader_take(r, raw, out))
		return LT_OK;
	return lt_field_set_walk(raw, r->arena, out, err);
}

/* ---- changes ---- */

enum {
	CHANGE_COLLECTION = LT_WIRE_TAG(1, LT_WIRE_BYTES),
	CHANGE_KEY = LT_WIRE_TAG(2, LT_WIRE_BYTES),
	CHANGE_KIND = LT_WIRE_TAG(3, LT_WIRE_VARINT),
	CHANGE_SET = LT_WIRE_TAG(4, LT_WIRE_BYTES),
	CHANGE_CLEARED = LT_WIRE_TAG(5, LT_WIRE_BYTES),
	CHANGE_CONTEXT = LT_WIRE_TAG(6, LT_WIRE_BYTES),
	CHANGE_PERSONAL = LT_WIRE_TAG(7, LT_WIRE_BYTES),
	CHANGE_ROOT = LT_WIRE_TAG(8, LT_WIRE_BYTES),
	ENTRY_FEED = LT_WIRE_TAG(1, LT_WIRE_BYTES),
	ENTRY_SEQ = LT_WIRE_TAG(2, LT_WIRE_VARINT),
	ENTRY_HASH8 = LT_WIRE_TAG(3, LT_WIRE_64),
};

/* The repeated fields of a change in their order, with what stands once. */
struct pieces {
	unsigned seen; /* bit of a field number: it stood there */
	struct lt_slice collection, key, root;
	uint64_t kind;
	size_t nset, ncleared, ncontext, npersonal;
	size_t n;
	struct piece {
		unsigned tag;
		struct lt_slice bytes;
	} piece[LT_FIELDS_MAX + LT_CONTEXT_MAX];
};

static bool
add_piece(struct pieces *c, const struct lt_plain_item *f)
{
	if (c->n == sizeof(c->piece) / sizeof(c->piece[0]))
		return false;
	c->piece[c->n].tag = f->tag;
	c->piece[c->n++].bytes = f->bytes;
	c->nset += f->tag == CHANGE_SET;
	c->ncleared += f->tag == CHANGE_CLEARED;
	c->ncontext += f->tag == CHANGE_CONTEXT;
	c->npersonal += f->tag == CHANGE_PERSONAL;
	return true;
}

static bool
cut(struct lt_slice raw, struct pieces *c)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;

	while (p != end) {
		if (!lt_plain_step(&p, end, &f))
			return false;
		switch (f.tag) {
		case CHANGE_COLLECTION:
			c->collection = f.bytes;
			break;
		case CHANGE_KEY:
			c->key = f.bytes;
			break;
		case CHANGE_KIND:
			c->kind = f.value;
			break;
		case CHANGE_ROOT:
			c->root = f.bytes;
			break;
		case CHANGE_SET:
		case CHANGE_CLEARED:
		case CHANGE_CONTEXT:
		case CHANGE_PERSONAL:
			if (!add_piece(c, &f))
				return false;
			continue;
		default:
			return false;
		}
		if (!lt_plain_once(&c->seen, f.tag))
			return false;
	}
	return c->kind <= LTPB__CHANGE_KIND__CHANGE_KIND_DELETE &&
	       lt_name_valid_slice(c->collection) && key_valid(c->key);
}

static bool
read_context(const struct lt_field_reader *r, struct lt_slice raw, Ltpb__ContextEntry *e)
{
	const uint8_t *p = raw.data, *end = lt_slice_end(raw);
	struct lt_plain_item f;
	unsigned seen = 0;

	ltpb__context_entry__init(e);
	while (p != end) {
		if (!lt_plain_step(&p, end, &f) || !lt_plain_once(&seen, f.tag))
			return false;
		if (f.tag == ENTRY_FEED) {
			e->feed.len = f.bytes.len;
			e->feed.data = place_of(r, f.bytes);
		} else if (f.tag == ENTRY_SEQ) {
			e->seq = f.value;
		} else if (f.tag == ENTRY_HASH8) {
			e->hash8 = f.value;
		} else {
			return false;
		}
	}
	return true;
}

/* Arrays of pointers for all of them, one after the other. */
static bool
make_room(const struct pieces *c, struct lt_arena *arena, struct lt_change_parts *out,
    Ltpb__ContextEntry **entry)
{
	Ltpb__Change *pb = &out->pb;
	void **p = lt_arena_room(arena, c->n * sizeof(*p));

	out->set = lt_arena_room(arena, c->nset * sizeof(*out->set));
	*entry = lt_arena_room(arena, c->ncontext * sizeof(**entry));
	if (p == NULL || out->set == NULL || *entry == NULL)
		return false;
	pb->set = (Ltpb__FieldSet **)p;
	pb->cleared = (char **)(p + c->nset);
	pb->personal = (char **)(p + c->nset + c->ncleared);
	pb->context = (Ltpb__ContextEntry **)(p + c->nset + c->ncleared + c->npersonal);
	return true;
}

static bool
read_piece(struct lt_field_reader *r, const struct piece *piece, struct lt_change_parts *out,
    Ltpb__ContextEntry *entry)
{
	Ltpb__Change *pb = &out->pb;

	switch (piece->tag) {
	case CHANGE_SET:
		if (!reader_take(r, piece->bytes, &out->set[pb->n_set]))
			return false;
		pb->set[pb->n_set] = (Ltpb__FieldSet *)(uintptr_t)out->set[pb->n_set].pb;
		pb->n_set++;
		return true;
	case CHANGE_CONTEXT:
		pb->context[pb->n_context] = &entry[pb->n_context];
		return read_context(r, piece->bytes, &entry[pb->n_context++]);
	case CHANGE_CLEARED:
		pb->cleared[pb->n_cleared++] = text_of(r, piece->bytes);
		return lt_name_valid_slice(piece->bytes);
	default:
		pb->personal[pb->n_personal++] = text_of(r, piece->bytes);
		return lt_name_valid_slice(piece->bytes);
	}
}

bool
lt_change_read(struct lt_slice raw, struct lt_arena *arena, struct lt_change_parts *out)
{
	struct pieces c;
	struct lt_field_reader r;
	Ltpb__ContextEntry *entry;
	size_t i;

	memset(&c, 0, offsetof(struct pieces, piece));
	if (raw.len > LT_CHANGESET_MAX || !cut(raw, &c))
		return false;
	ltpb__change__init(&out->pb);
	if (!make_room(&c, arena, out, &entry))
		return false;
	lt_field_reader_init(&r, raw, c.nset, arena);
	if (r.copy == NULL)
		r.copy = lt_arena_dup(arena, raw.data, raw.len);
	if (r.copy == NULL)
		return false;
	r.repeats = c.n;
	for (i = 0; i < c.n; i++)
		if (!read_piece(&r, &c.piece[i], out, entry))
			return false;
	out->pb.collection = text_of(&r, c.collection);
	out->pb.key = text_of(&r, c.key);
	out->pb.kind = (Ltpb__ChangeKind)c.kind;
	out->pb.personal_root.len = c.root.len;
	out->pb.personal_root.data = c.root.len == 0 ? NULL : place_of(&r, c.root);
	out->has_root = (c.seen & 1u << (CHANGE_ROOT >> 3)) != 0;
	return true;
}
