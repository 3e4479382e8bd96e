#include "proto/model/change.h"

#include "proto/base/wire.h"
#include "proto/model/value.h"

#include <assert.h>
#include <string.h>

/* Protobuf wire types that our messages use. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2, WIRE_FIXED32 = 5 };

/* Field numbers of Change. */
enum {
	CHANGE_COLLECTION = 1,
	CHANGE_KEY,
	CHANGE_KIND,
	CHANGE_SET,
	CHANGE_CLEARED,
	CHANGE_CONTEXT,
	CHANGE_PERSONAL,
	CHANGE_ROOT
};

struct wire_field {
	uint32_t number;
	uint64_t value; /* of WIRE_VARINT; 0 otherwise */
	struct lt_slice bytes; /* of WIRE_LEN; empty otherwise */
	bool is_len;
};

/* Nearly all are of one byte. */
static inline uint64_t
wire_varint(struct lt_reader *r)
{
	return r->p != r->end && *r->p < 0x80 && r->err == LT_OK ? *r->p++ : lt_read_varint(r);
}

/* The next field of a message that the wire walker has passed. False at the end or when malformed
 * (r->err tells them apart). */
static bool
wire_next(struct lt_reader *r, struct wire_field *f)
{
	uint64_t tag;

	if (r->err != LT_OK || r->p == r->end)
		return false;
	tag = wire_varint(r);
	f->number = (uint32_t)(tag >> 3);
	f->value = 0;
	f->bytes = lt_slice(NULL, 0);
	f->is_len = (tag & 7) == WIRE_LEN;
	switch (tag & 7) {
	case WIRE_VARINT:
		f->value = wire_varint(r);
		break;
	case WIRE_FIXED64:
		(void)lt_read_bytes(r, 8);
		break;
	case WIRE_FIXED32:
		(void)lt_read_bytes(r, 4);
		break;
	case WIRE_LEN: {
		uint64_t len = wire_varint(r);

		if (r->err == LT_OK && len > lt_reader_left(r))
			r->err = LT_E_INVALID;
		else
			f->bytes = lt_read_bytes(r, (size_t)len);
		break;
	}
	default:
		r->err = LT_E_INVALID;
	}
	return r->err == LT_OK;
}

bool
lt_name_valid(const char *s)
{
	size_t i;

	if (!((s[0] >= 'a' && s[0] <= 'z') || s[0] == '_'))
		return false;
	for (i = 1; s[i] != '\0'; i++) {
		if (i == LT_NAME_MAX)
			return false;
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '_'))
			return false;
	}
	return true;
}

static bool
key_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._~%/-", c) != NULL);
}

static int
key_check(const char *key, struct lt_err *err)
{
	size_t i;

	for (i = 0; key[i] != '\0'; i++) {
		if (i == LT_KEY_MAX)
			return lt_err_set(
			    err, LT_E_TOOBIG, "key is longer than %d bytes", LT_KEY_MAX);
		if (!key_char((unsigned char)key[i]))
			return lt_err_set(err, LT_E_INVALID,
			    "key has a byte 0x%02x at %zu that must be percent-encoded",
			    (unsigned char)key[i], i);
	}
	if (i == 0)
		return lt_err_set(err, LT_E_INVALID, "key is empty");
	return LT_OK;
}

/* Strictly rising items of added or removed. */
static int
delta_check(const char *field, const char *what, char *const *item, size_t n, struct lt_err *err)
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
	rc = delta_check(fs->name, "added", fs->added, fs->n_added, err);
	if (rc == LT_OK)
		rc = delta_check(fs->name, "removed", fs->removed, fs->n_removed, err);
	return rc;
}

static int
names_check(char *const *name, size_t n, const char *list, struct lt_err *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!lt_name_valid(name[i]))
			return lt_err_set(
			    err, LT_E_INVALID, "a name in %s is not of a-z, 0-9 and _", list);
		if (i > 0 && strcmp(name[i - 1], name[i]) >= 0)
			return lt_err_set(err, LT_E_INVALID,
			    "\"%s\" in %s is out of order or repeats", name[i], list);
	}
	return LT_OK;
}

static int
sets_check(const Ltpb__Change *pb, struct lt_err *err)
{
	size_t i;
	int rc;

	for (i = 0; i < pb->n_set; i++) {
		rc = field_set_check(pb->set[i], err);
		if (rc != LT_OK)
			return rc;
		if (i > 0 && strcmp(pb->set[i - 1]->name, pb->set[i]->name) >= 0)
			return lt_err_set(err, LT_E_INVALID,
			    "\"%s\" in set is out of order or repeats", pb->set[i]->name);
	}
	return LT_OK;
}

/* The three lists are each strictly rising: walk them together. */
static int
disjoint_check(const Ltpb__Change *pb, struct lt_err *err)
{
	size_t s = 0, c = 0, p = 0;

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

/* FORMAT.md 3.3; lean: or 3.9, which leaves the root out. */
static int
change_check(const Ltpb__Change *pb, const struct lt_feed_id *own, bool lean, struct lt_err *err)
{
	int rc;

	if (!lt_name_valid(pb->collection))
		return lt_err_set(
		    err, LT_E_INVALID, "the collection's name is not of a-z, 0-9 and _");
	rc = key_check(pb->key, err);
	if (rc != LT_OK)
		return rc;
	if (pb->n_set > LT_FIELDS_MAX || pb->n_cleared > LT_FIELDS_MAX ||
	    pb->n_personal > LT_FIELDS_MAX ||
	    pb->n_set + pb->n_cleared + pb->n_personal > LT_FIELDS_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "more than %d fields in one change", LT_FIELDS_MAX);
	if ((rc = kind_check(pb, err)) != LT_OK || (rc = sets_check(pb, err)) != LT_OK ||
	    (rc = names_check(pb->cleared, pb->n_cleared, "cleared", err)) != LT_OK ||
	    (rc = names_check(pb->personal, pb->n_personal, "personal", err)) != LT_OK ||
	    (rc = disjoint_check(pb, err)) != LT_OK || (rc = context_check(pb, own, err)) != LT_OK)
		return rc;
	if (pb->personal_root.len != (pb->n_personal == 0 ? 0 : LT_HASH_LEN) &&
	    !(lean && pb->personal_root.len == 0))
		return lt_err_set(err, LT_E_INVALID,
		    "personal_root has %zu bytes with %zu personal fields", pb->personal_root.len,
		    pb->n_personal);
	return LT_OK;
}

/* The slices of field 4 in the change bytes, in the order in which protobuf-c has unpacked them. */
static int
gather_sets(struct lt_change *c, const Ltpb__Change *pb, struct lt_err *err)
{
	struct lt_reader r;
	struct wire_field f;
	size_t n = 0;

	lt_reader_init(&r, c->raw);
	while (wire_next(&r, &f)) {
		if (f.number != CHANGE_SET || !f.is_len)
			continue;
		if (n == pb->n_set)
			return lt_err_set(err, LT_E_INVALID, "malformed change");
		c->set[n].pb = pb->set[n];
		c->set[n].raw = f.bytes;
		n++;
	}
	if (r.err != LT_OK || n != pb->n_set)
		return lt_err_set(err, LT_E_INVALID, "malformed change");
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
	c->set = lt_arena_alloc(arena, pb->n_set * sizeof(*c->set));
	c->context = lt_arena_alloc(arena, pb->n_context * sizeof(*c->context));
	if (c->set == NULL || c->context == NULL)
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

/* Does field 8 stand in it? Empty, it would look as if it were left out, and stand there twice once it is put back. */
static bool
has_root(struct lt_slice raw)
{
	struct lt_reader r;
	struct wire_field f;

	lt_reader_init(&r, raw);
	while (wire_next(&r, &f))
		if (f.number == CHANGE_ROOT)
			return true;
	return false;
}

static int
decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err)
{
	struct lt_change c = { .raw = raw };
	ProtobufCMessage *msg = NULL;
	const Ltpb__Change *pb;
	int rc;

	rc = lt_wire_unpack(&ltpb__change__descriptor, raw, LT_CHANGESET_MAX, arena, &msg, err);
	if (rc != LT_OK)
		return rc;
	pb = (const Ltpb__Change *)msg;
	rc = change_check(pb, own, lean != NULL, err);
	if (rc != LT_OK)
		return rc;
	rc = change_fill(&c, pb, arena);
	if (rc != LT_OK)
		return lt_err_set(err, rc, "the change needs more memory than its size allows");
	rc = gather_sets(&c, pb, err);
	if (rc == LT_OK && lean != NULL) {
		*lean = c.npersonal != 0 && pb->personal_root.len == 0;
		if (*lean && has_root(raw))
			rc = lt_err_set(err, LT_E_INVALID,
			    "personal_root has 0 bytes with %zu personal fields", c.npersonal);
	}
	if (rc == LT_OK)
		*out = c;
	return rc;
}

int
lt_change_decode(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, struct lt_err *err)
{
	return decode(raw, own, arena, out, NULL, err);
}

int
lt_change_decode_lean(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err)
{
	return decode(raw, own, arena, out, lean, err);
}

/* ---- what was decoded before ---- */

enum { FIELD_SET_NAME = 1 };

/* How many of each list there are. */
static int
skim_count(struct lt_change *c)
{
	struct lt_reader r;
	struct wire_field f;

	lt_reader_init(&r, c->raw);
	while (wire_next(&r, &f)) {
		if (!f.is_len)
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
	c->set = lt_arena_alloc(arena, c->nset * sizeof(*c->set));
	c->cleared = lt_arena_alloc(arena, c->ncleared * sizeof(*c->cleared));
	c->personal = lt_arena_alloc(arena, c->npersonal * sizeof(*c->personal));
	c->context = lt_arena_alloc(arena, c->ncontext * sizeof(*c->context));
	*fs = lt_arena_alloc(arena, c->nset * sizeof(**fs));
	return c->set == NULL || c->cleared == NULL || c->personal == NULL || c->context == NULL ||
		       *fs == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

static int
skim_text(struct lt_slice bytes, size_t max, struct lt_arena *arena, char **out)
{
	if (bytes.len > max || (bytes.len != 0 && memchr(bytes.data, 0, bytes.len) != NULL))
		return LT_E_CORRUPT;
	*out = lt_arena_dup(arena, bytes.data, bytes.len);
	return *out == NULL ? LT_E_NOMEM : LT_OK;
}

static int
skim_set(
    struct lt_slice bytes, struct lt_arena *arena, Ltpb__FieldSet *fs, struct lt_field_set *out)
{
	struct lt_reader r;
	struct wire_field f;
	int rc = LT_E_CORRUPT;

	ltpb__field_set__init(fs);
	out->pb = fs;
	out->raw = bytes;
	lt_reader_init(&r, bytes);
	while (rc == LT_E_CORRUPT && wire_next(&r, &f))
		if (f.number == FIELD_SET_NAME && f.is_len)
			rc = skim_text(f.bytes, LT_NAME_MAX, arena, &fs->name);
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

/* Where the next of each list goes. */
struct skim {
	struct lt_change *c;
	struct lt_arena *arena;
	Ltpb__FieldSet *fs;
	size_t set, cleared, context, personal;
};

static int
skim_field(struct skim *s, const struct wire_field *f)
{
	struct lt_change *c = s->c;

	switch (f->number) {
	case CHANGE_COLLECTION:
		return skim_text(
		    f->bytes, LT_NAME_MAX, s->arena, (char **)(uintptr_t)&c->collection);
	case CHANGE_KEY:
		return skim_text(f->bytes, LT_KEY_MAX, s->arena, (char **)(uintptr_t)&c->key);
	case CHANGE_SET:
		s->set++;
		return skim_set(f->bytes, s->arena, &s->fs[s->set - 1], &c->set[s->set - 1]);
	case CHANGE_CLEARED:
		return skim_text(f->bytes, LT_NAME_MAX, s->arena, &c->cleared[s->cleared++]);
	case CHANGE_CONTEXT:
		return skim_context(f->bytes, &c->context[s->context++]);
	case CHANGE_PERSONAL:
		return skim_text(f->bytes, LT_NAME_MAX, s->arena, &c->personal[s->personal++]);
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
	struct skim s = { .c = &c, .arena = arena };
	struct lt_reader r;
	struct wire_field f;
	int rc = skim_count(&c);

	if (rc == LT_OK)
		rc = skim_room(&c, arena, &s.fs);
	lt_reader_init(&r, raw);
	while (rc == LT_OK && wire_next(&r, &f)) {
		if (f.number == CHANGE_KIND && !f.is_len)
			c.is_delete = f.value == LTPB__CHANGE_KIND__CHANGE_KIND_DELETE;
		else if (f.is_len)
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
	assert(change_check(pb, NULL, false, NULL) == LT_OK);
	return lt_wire_pack(&pb->base, LT_CHANGESET_MAX, out);
}
