#include "proto/model/change.h"

#include "proto/base/wire.h"
#include "proto/base/wire_read.h"
#include "proto/model/change_read.h"
#include "proto/model/value.h"

#include <assert.h>
#include <string.h>

/* Field numbers of Change. */
enum {
	CHANGE_COLLECTION = 1,
	CHANGE_KEY,
	CHANGE_KIND,
	CHANGE_SET,
	CHANGE_CLEARED,
	CHANGE_CONTEXT,
	CHANGE_PERSONAL,
	CHANGE_ROOT,
	CHANGE_ORIGIN
};

bool
lt_name_valid(const char *s)
{
	return lt_name_valid_slice(lt_slice(s, strnlen(s, LT_NAME_MAX + 1)));
}

static int
key_check(const char *key, struct lt_err *err)
{
	size_t i;

	for (i = 0; key[i] != '\0'; i++) {
		if (i == LT_KEY_MAX)
			return lt_err_set(
			    err, LT_E_TOOBIG, "key is longer than %d bytes", LT_KEY_MAX);
		if (!lt_key_char_valid((uint8_t)key[i]))
			return lt_err_set(err, LT_E_INVALID,
			    "key has a byte 0x%02x at %zu that must be percent-encoded",
			    (unsigned char)key[i], i);
	}
	if (i == 0)
		return lt_err_set(err, LT_E_INVALID, "key is empty");
	return LT_OK;
}

int
lt_delta_check(const char *field, const char *what, char *const *item, size_t n, struct lt_err *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (item[i][0] == '\0')
			return lt_err_set(
			    err, LT_E_INVALID, "field \"%s\": an empty item in %s", field, what);
		if (i > 0 && strcmp(item[i - 1], item[i]) >= 0)
			return lt_err_set(err, LT_E_INVALID,
			    "field \"%s\": items of %s are not sorted or repeat", field, what);
	}
	return LT_OK;
}

static int
field_set_check(const Ltpb__FieldSet *fs, struct lt_err *err)
{
	struct lt_err why = { "" };
	int rc;

	if (!lt_name_valid(fs->name))
		return lt_err_set(err, LT_E_INVALID, "a field name is not of a-z, 0-9 and _");
	rc = fs->value == NULL ? lt_err_set(&why, LT_E_INVALID, "no value")
			       : lt_value_check(fs->value, &why);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "field \"%s\": %s", fs->name, why.text);
	if (fs->n_added + fs->n_removed == 0)
		return LT_OK;
	if (fs->value->v_case != LTPB__VALUE__V_SET)
		return lt_err_set(
		    err, LT_E_INVALID, "field \"%s\": added or removed without a set", fs->name);
	if (fs->n_added > LT_SET_ITEMS_MAX || fs->n_removed > LT_SET_ITEMS_MAX)
		return lt_err_set(err, LT_E_TOOBIG,
		    "field \"%s\": more than %d items added or removed", fs->name,
		    LT_SET_ITEMS_MAX);
	rc = lt_delta_check(fs->name, "added", fs->added, fs->n_added, err);
	if (rc == LT_OK)
		rc = lt_delta_check(fs->name, "removed", fs->removed, fs->n_removed, err);
	return rc;
}

/* Names mostly differ in their first letter. */
static inline bool
rises(const char *a, const char *b)
{
	return a[0] != b[0] ? (uint8_t)a[0] < (uint8_t)b[0] : strcmp(a, b) < 0;
}

static int
names_check(char *const *name, size_t n, const char *list, bool read, struct lt_err *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!read && !lt_name_valid(name[i]))
			return lt_err_set(
			    err, LT_E_INVALID, "a name in %s is not of a-z, 0-9 and _", list);
		if (i > 0 && !rises(name[i - 1], name[i]))
			return lt_err_set(err, LT_E_INVALID,
			    "\"%s\" in %s is out of order or repeats", name[i], list);
	}
	return LT_OK;
}

static int
sets_check(const Ltpb__Change *pb, bool read, struct lt_err *err)
{
	size_t i;
	int rc;

	for (i = 0; i < pb->n_set; i++) {
		rc = read ? LT_OK : field_set_check(pb->set[i], err);
		if (rc != LT_OK)
			return rc;
		if (i > 0 && !rises(pb->set[i - 1]->name, pb->set[i]->name))
			return lt_err_set(err, LT_E_INVALID,
			    "\"%s\" in set is out of order or repeats", pb->set[i]->name);
	}
	return LT_OK;
}

/* Nearly always there is nothing to find: no name is cleared, and set and personal have none in common. */
static bool
clearly_disjoint(const Ltpb__Change *pb)
{
	size_t s = 0, p = 0;

	if (pb->n_cleared != 0)
		return pb->n_set + pb->n_personal == 0;
	while (s < pb->n_set && p < pb->n_personal) {
		if (rises(pb->set[s]->name, pb->personal[p]))
			s++;
		else if (rises(pb->personal[p], pb->set[s]->name))
			p++;
		else
			return false;
	}
	return true;
}

/* The three lists are each strictly rising: walk them together. */
static int
disjoint_check(const Ltpb__Change *pb, struct lt_err *err)
{
	size_t s = 0, c = 0, p = 0;

	if (clearly_disjoint(pb))
		return LT_OK;
	while (s < pb->n_set || c < pb->n_cleared || p < pb->n_personal) {
		const char *a = s < pb->n_set ? pb->set[s]->name : NULL;
		const char *b = c < pb->n_cleared ? pb->cleared[c] : NULL;
		const char *d = p < pb->n_personal ? pb->personal[p] : NULL;
		const char *low = a;
		int hits;

		if (low == NULL || (b != NULL && strcmp(b, low) < 0))
			low = b;
		if (low == NULL || (d != NULL && strcmp(d, low) < 0))
			low = d;
		hits = 0;
		if (a != NULL && strcmp(a, low) == 0) {
			s++;
			hits++;
		}
		if (b != NULL && strcmp(b, low) == 0) {
			c++;
			hits++;
		}
		if (d != NULL && strcmp(d, low) == 0) {
			p++;
			hits++;
		}
		if (hits > 1)
			return lt_err_set(err, LT_E_INVALID,
			    "\"%s\" stands in more than one of set, cleared and personal", low);
	}
	return LT_OK;
}

static int
context_check(const Ltpb__Change *pb, const struct lt_feed_id *own, struct lt_err *err)
{
	size_t i;

	if (pb->n_context > LT_CONTEXT_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "more than %d context entries", LT_CONTEXT_MAX);
	for (i = 0; i < pb->n_context; i++) {
		const Ltpb__ContextEntry *e = pb->context[i];

		if (e->feed.len != LT_FEED_LEN)
			return lt_err_set(err, LT_E_INVALID,
			    "context entry %zu: the feed is not %d bytes", i, LT_FEED_LEN);
		if (e->feed.data[LT_ID_LEN] < LT_LANE_URGENT ||
		    e->feed.data[LT_ID_LEN] > LT_LANE_BULK)
			return lt_err_set(err, LT_E_INVALID, "context entry %zu: unknown lane", i);
		if (e->seq == 0)
			return lt_err_set(err, LT_E_INVALID, "context entry %zu: seq 0", i);
		if (own != NULL && memcmp(e->feed.data, own->b, LT_FEED_LEN) == 0)
			return lt_err_set(
			    err, LT_E_INVALID, "context entry %zu names the change's own feed", i);
		if (i > 0 && memcmp(pb->context[i - 1]->feed.data, e->feed.data, LT_FEED_LEN) >= 0)
			return lt_err_set(
			    err, LT_E_INVALID, "context entry %zu is out of order or repeats", i);
	}
	return LT_OK;
}

static int
kind_check(const Ltpb__Change *pb, struct lt_err *err)
{
	if (pb->kind == LTPB__CHANGE_KIND__CHANGE_KIND_PUT)
		return LT_OK;
	if (pb->kind != LTPB__CHANGE_KIND__CHANGE_KIND_DELETE)
		return lt_err_set(err, LT_E_INVALID, "the change is neither a put nor a delete");
	if (pb->n_set != 0 || pb->n_cleared != 0 || pb->n_personal > 1 ||
	    (pb->n_personal == 1 && strcmp(pb->personal[0], LT_ACTOR_FIELD) != 0))
		return lt_err_set(err, LT_E_INVALID, "a delete carries fields");
	return LT_OK;
}

static int
place_check(const Ltpb__Change *pb, struct lt_err *err)
{
	if (!lt_name_valid(pb->collection))
		return lt_err_set(
		    err, LT_E_INVALID, "the collection's name is not of a-z, 0-9 and _");
	return key_check(pb->key, err);
}

/* FORMAT.md 3.3; lean: or 3.9, which leaves the root out. read: lt_change_read() found each part well-formed. */
static int
change_check(
    const Ltpb__Change *pb, const struct lt_feed_id *own, bool lean, bool read, struct lt_err *err)
{
	int rc = read ? LT_OK : place_check(pb, err);

	if (rc != LT_OK)
		return rc;
	if (pb->n_set > LT_FIELDS_MAX || pb->n_cleared > LT_FIELDS_MAX ||
	    pb->n_personal > LT_FIELDS_MAX ||
	    pb->n_set + pb->n_cleared + pb->n_personal > LT_FIELDS_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "more than %d fields in one change", LT_FIELDS_MAX);
	if ((rc = kind_check(pb, err)) != LT_OK || (rc = sets_check(pb, read, err)) != LT_OK ||
	    (rc = names_check(pb->cleared, pb->n_cleared, "cleared", read, err)) != LT_OK ||
	    (rc = names_check(pb->personal, pb->n_personal, "personal", read, err)) != LT_OK ||
	    (rc = disjoint_check(pb, err)) != LT_OK || (rc = context_check(pb, own, err)) != LT_OK)
		return rc;
	if (pb->personal_root.len != (pb->n_personal == 0 ? 0 : LT_HASH_LEN) &&
	    !(lean && pb->personal_root.len == 0))
		return lt_err_set(err, LT_E_INVALID,
		    "personal_root has %zu bytes with %zu personal fields", pb->personal_root.len,
		    pb->n_personal);
	return LT_OK;
}

static int
out_of_memory(struct lt_err *err)
{
	return lt_err_set(err, LT_E_NOMEM, "the change needs more memory than its size allows");
}

/* The field sets with their slices in the change bytes, in the order in which they were unpacked. */
static int
gather_sets(
    struct lt_slice raw, struct lt_arena *arena, struct lt_change_parts *parts, struct lt_err *err)
{
	struct lt_reader r;
	struct lt_wire_item f;
	size_t n = 0;

	parts->set = lt_arena_alloc(arena, parts->pb.n_set * sizeof(*parts->set));
	if (parts->set == NULL)
		return out_of_memory(err);
	lt_reader_init(&r, raw);
	while (lt_wire_step(&r, &f)) {
		parts->has_root = parts->has_root || f.number == CHANGE_ROOT;
		if (f.number != CHANGE_SET)
			continue;
		if (n == parts->pb.n_set)
			return lt_err_set(err, LT_E_INVALID, "malformed change");
		parts->set[n].pb = parts->pb.set[n];
		parts->set[n++].raw = f.bytes;
	}
	if (r.err != LT_OK || n != parts->pb.n_set)
		return lt_err_set(err, LT_E_INVALID, "malformed change");
	return LT_OK;
}

/* The general way: anything that the walker passes. */
static int
unpack(
    struct lt_slice raw, struct lt_arena *arena, struct lt_change_parts *parts, struct lt_err *err)
{
	ProtobufCMessage *msg = NULL;
	int rc;

	rc = lt_wire_unpack(&ltpb__change__descriptor, raw, LT_CHANGESET_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	parts->pb = *(const Ltpb__Change *)msg;
	parts->has_root = false;
	return LT_OK;
}

static int
change_fill(struct lt_change *c, const Ltpb__Change *pb, struct lt_arena *arena)
{
	size_t i;

	c->collection = pb->collection;
	c->key = pb->key;
	c->is_delete = pb->kind == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE;
	c->nset = pb->n_set;
	c->ncleared = pb->n_cleared;
	c->cleared = pb->cleared;
	c->npersonal = pb->n_personal;
	c->personal = pb->personal;
	c->ncontext = pb->n_context;
	if (pb->n_context != 0)
		c->context = lt_arena_alloc(arena, pb->n_context * sizeof(*c->context));
	if (pb->n_context != 0 && c->context == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < pb->n_context; i++) {
		memcpy(c->context[i].feed.b, pb->context[i]->feed.data, LT_FEED_LEN);
		c->context[i].seq = pb->context[i]->seq;
		c->context[i].hash8 = pb->context[i]->hash8;
	}
	if (pb->personal_root.len != 0)
		memcpy(c->personal_root.b, pb->personal_root.data, LT_HASH_LEN);
	return LT_OK;
}

/* general: not by hand even if that is possible. */
static int
decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena, bool general,
    struct lt_change *out, bool *lean, struct lt_err *err)
{
	struct lt_change c = { .raw = raw };
	struct lt_change_parts parts;
	bool read = !general && lt_change_read(raw, arena, &parts);
	int rc = read ? LT_OK : unpack(raw, arena, &parts, err);

	if (rc == LT_OK)
		rc = change_check(&parts.pb, own, lean != NULL, read, err);
	if (rc != LT_OK)
		return rc;
	if (!read)
		rc = gather_sets(raw, arena, &parts, err);
	if (rc != LT_OK)
		return rc;
	c.set = parts.set;
	if (change_fill(&c, &parts.pb, arena) != LT_OK)
		return out_of_memory(err);
	if (lean != NULL)
		*lean = c.npersonal != 0 && parts.pb.personal_root.len == 0;
	/* Empty, it would look as if it were left out, and stand there twice once it is put back. */
	if (lean != NULL && *lean && parts.has_root)
		return lt_err_set(err, LT_E_INVALID,
		    "personal_root has 0 bytes with %zu personal fields", c.npersonal);
	*out = c;
	return LT_OK;
}

int
lt_change_decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, struct lt_err *err)
{
	return decode(raw, own, arena, false, out, NULL, err);
}

int
lt_change_decode_lean(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err)
{
	return decode(raw, own, arena, false, out, lean, err);
}

int
lt_change_walk(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err)
{
	return decode(raw, own, arena, true, out, lean, err);
}

/* ---- what was decoded before ---- */

enum { FIELD_SET_NAME = 1 };

/* How many of each list there are. */
static int
skim_count(struct lt_change *c)
{
	struct lt_reader r;
	struct lt_wire_item f;

	lt_reader_init(&r, c->raw);
	while (lt_wire_step(&r, &f)) {
		if (f.type != LT_WIRE_BYTES)
			continue;
		c->nset += f.number == CHANGE_SET;
		c->ncleared += f.number == CHANGE_CLEARED;
		c->ncontext += f.number == CHANGE_CONTEXT;
		c->npersonal += f.number == CHANGE_PERSONAL;
	}
	return r.err != LT_OK || c->nset + c->ncleared + c->npersonal > LT_FIELDS_MAX ||
		       c->ncontext > LT_CONTEXT_MAX
		   ? LT_E_CORRUPT
		   : LT_OK;
}

static int
skim_room(struct lt_change *c, struct lt_arena *arena, Ltpb__FieldSet **fs)
{
	c->set = lt_arena_room(arena, c->nset * sizeof(*c->set));
	c->cleared = lt_arena_room(arena, c->ncleared * sizeof(*c->cleared));
	c->personal = lt_arena_room(arena, c->npersonal * sizeof(*c->personal));
	c->context = lt_arena_room(arena, c->ncontext * sizeof(*c->context));
	*fs = lt_arena_room(arena, c->nset * sizeof(**fs));
	return c->set == NULL || c->cleared == NULL || c->personal == NULL || c->context == NULL ||
		       *fs == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

/* Where the next of each list goes. */
struct skim {
	struct lt_change *c;
	uint8_t *
	    copy; /* of the change's bytes: what stands behind a text there is never a text, and becomes its end */
	Ltpb__FieldSet *fs;
	size_t set, cleared, context, personal;
};

static int
skim_text(const struct skim *s, struct lt_slice bytes, size_t max, char **out)
{
	uint8_t *text;

	if (bytes.len > max || (bytes.len != 0 && memchr(bytes.data, 0, bytes.len) != NULL))
		return LT_E_CORRUPT;
	text = s->copy + (bytes.data - s->c->raw.data);
	text[bytes.len] = 0;
	*out = (char *)text;
	return LT_OK;
}

static int
skim_set(const struct skim *s, struct lt_slice bytes, Ltpb__FieldSet *fs, struct lt_field_set *out)
{
	struct lt_reader r;
	struct lt_wire_item f;
	int rc = LT_E_CORRUPT;

	ltpb__field_set__init(fs);
	out->pb = fs;
	out->raw = bytes;
	lt_reader_init(&r, bytes);
	while (rc == LT_E_CORRUPT && lt_wire_step(&r, &f))
		if (f.number == FIELD_SET_NAME && f.type == LT_WIRE_BYTES)
			rc = skim_text(s, f.bytes, LT_NAME_MAX, &fs->name);
	return rc;
}

static int
skim_context(struct lt_slice bytes, struct lt_context *out)
{
	Ltpb__ContextEntry *e = ltpb__context_entry__unpack(NULL, bytes.len, bytes.data);
	int rc = e == NULL || e->feed.len != LT_FEED_LEN || e->seq == 0 ? LT_E_CORRUPT : LT_OK;

	if (rc == LT_OK) {
		memcpy(out->feed.b, e->feed.data, LT_FEED_LEN);
		out->seq = e->seq;
		out->hash8 = e->hash8;
	}
	if (e != NULL)
		ltpb__context_entry__free_unpacked(e, NULL);
	return rc;
}

static int
skim_field(struct skim *s, const struct lt_wire_item *f)
{
	struct lt_change *c = s->c;

	switch (f->number) {
	case CHANGE_COLLECTION:
		return skim_text(s, f->bytes, LT_NAME_MAX, (char **)(uintptr_t)&c->collection);
	case CHANGE_KEY:
		return skim_text(s, f->bytes, LT_KEY_MAX, (char **)(uintptr_t)&c->key);
	case CHANGE_SET:
		s->set++;
		return skim_set(s, f->bytes, &s->fs[s->set - 1], &c->set[s->set - 1]);
	case CHANGE_CLEARED:
		return skim_text(s, f->bytes, LT_NAME_MAX, &c->cleared[s->cleared++]);
	case CHANGE_CONTEXT:
		return skim_context(f->bytes, &c->context[s->context++]);
	case CHANGE_PERSONAL:
		return skim_text(s, f->bytes, LT_NAME_MAX, &c->personal[s->personal++]);
	case CHANGE_ROOT:
		/* Written out though empty is what an author may do, and was admitted. */
		if (f->bytes.len != (c->npersonal == 0 ? 0 : LT_HASH_LEN))
			return LT_E_CORRUPT;
		if (c->npersonal != 0)
			memcpy(c->personal_root.b, f->bytes.data, LT_HASH_LEN);
		return LT_OK;
	default:
		return LT_OK;
	}
}

int
lt_change_skim(struct lt_slice raw, struct lt_arena *arena, struct lt_change *out)
{
	struct lt_change c = { .raw = raw };
	struct skim s = { .c = &c };
	struct lt_reader r;
	struct lt_wire_item f;
	int rc = skim_count(&c);

	if (rc == LT_OK)
		rc = skim_room(&c, arena, &s.fs);
	if (rc == LT_OK && (s.copy = lt_arena_dup(arena, raw.data, raw.len)) == NULL)
		rc = LT_E_NOMEM;
	lt_reader_init(&r, raw);
	while (rc == LT_OK && lt_wire_step(&r, &f)) {
		if (f.number == CHANGE_KIND && f.type != LT_WIRE_BYTES)
			c.is_delete = f.value == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE;
		else if (f.type == LT_WIRE_BYTES)
			rc = skim_field(&s, &f);
	}
	if (rc == LT_OK && (c.collection == NULL || c.key == NULL))
		rc = LT_E_CORRUPT;
	if (rc == LT_OK)
		*out = c;
	return rc;
}

int
lt_field_set_decode(
    struct lt_slice raw, struct lt_arena *arena, struct lt_field_set *out, struct lt_err *err)
{
	struct lt_field_reader r;

	lt_field_reader_init(&r, raw, 1, arena);
	return lt_field_reader_next(&r, raw, out, err);
}

int
lt_field_set_walk(
    struct lt_slice raw, struct lt_arena *arena, struct lt_field_set *out, struct lt_err *err)
{
	ProtobufCMessage *msg = NULL;
	const Ltpb__FieldSet *fs;
	int rc;

	rc = lt_wire_unpack(&ltpb__field_set__descriptor, raw, LT_CHANGESET_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	fs = (const Ltpb__FieldSet *)msg;
	rc = field_set_check(fs, err);
	if (rc == LT_OK) {
		out->pb = fs;
		out->raw = raw;
	}
	return rc;
}

int
lt_change_encode(const Ltpb__Change *pb, struct lt_buf *out)
{
	assert(change_check(pb, NULL, false, false, NULL) == LT_OK);
	return lt_wire_pack(&pb->base, LT_CHANGESET_MAX, out);
}

/* ---- re-issues ---- */

void
lt_origin_pack(const struct lt_origin *origin, uint8_t out[LT_ORIGIN_LEN])
{
	memcpy(out, origin->dot.feed.b, LT_FEED_LEN);
	lt_store_u64(out + LT_FEED_LEN, origin->dot.seq);
	lt_store_u32(out + LT_FEED_LEN + 8, origin->dot.index);
	lt_store_u64(out + LT_FEED_LEN + 12, origin->hash8);
}

bool
lt_origin_eq(const struct lt_origin *a, const struct lt_origin *b)
{
	return lt_dot_cmp(&a->dot, &b->dot) == 0 && a->hash8 == b->hash8;
}

bool
lt_change_origin(const struct lt_change *c, struct lt_origin *out)
{
	struct lt_wire_item f;
	struct lt_reader r;
	bool is = false;

	lt_reader_init(&r, c->raw);
	while (lt_wire_step(&r, &f))
		if (f.number == CHANGE_ORIGIN && f.type == LT_WIRE_BYTES &&
		    f.bytes.len == LT_ORIGIN_LEN) {
			memcpy(out->dot.feed.b, f.bytes.data, LT_FEED_LEN);
			out->dot.seq = lt_load_u64(f.bytes.data + LT_FEED_LEN);
			out->dot.index = lt_load_u32(f.bytes.data + LT_FEED_LEN + 8);
			out->hash8 = lt_load_u64(f.bytes.data + LT_FEED_LEN + 12);
			is = out->dot.seq != 0;
		}
	return r.err == LT_OK && is;
}
