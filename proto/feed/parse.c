/* From the bytes of a stranger to a change-set that can be asked questions. Order matters: sizes, then the
 * wire walker, then hashes, then what costs memory. */
#include "proto/feed/changeset.h"

#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/base/wire_read.h"
#include "proto/feed/changeset_impl.h"
#include "proto/feed/hash_many.h"
#include "proto/feed/leaf.h"
#include "proto/model/change_read.h"

#include <string.h>

struct parse {
	struct lt_changeset *cs;
	struct lt_arena *arena;
	struct lt_err *err;
	size_t bare; /* bytes without openings, packed */
	struct lt_slice openings; /* Openings bytes */
	struct lt_field_reader reader; /* of the openings */
	bool walk; /* nothing by hand */
	struct lt_arena *whole; /* of changes that were lean; NULL: none may be */
	bool *lean; /* which changes are, with whole */
	uint32_t change_count; /* as the header says */
	struct lt_hash changes_root;
};

static int
invalid(const struct parse *p, const char *what)
{
	return lt_err_set(p->err, LT_E_INVALID, "change-set: %s", what);
}

static int
out_of_memory(const struct parse *p)
{
	return lt_err_set(p->err, LT_E_NOMEM, "change-set: over the memory cap");
}

static int
check_bare(const struct parse *p)
{
	if (p->bare > LT_CHANGESET_MAX)
		return lt_err_set(p->err, LT_E_TOOBIG,
		    "change-set: %zu bytes without openings, at most %d allowed", p->bare,
		    LT_CHANGESET_MAX);
	return LT_OK;
}

/* ---- as every encoder writes it ---- */

static bool
plain_opened(struct lt_slice bytes)
{
	const uint8_t *p = bytes.data, *end = lt_slice_end(bytes);
	struct lt_plain_item f;
	unsigned seen = 0;

	while (p != end) {
		if (!lt_plain_step(&p, end, &f) || !lt_plain_once(&seen, f.tag))
			return false;
		switch (f.tag) {
		case LT_WIRE_TAG(OPENED_CHANGE, LT_WIRE_VARINT):
			if (f.value > UINT32_MAX)
				return false;
			break;
		case LT_WIRE_TAG(OPENED_NAME, LT_WIRE_BYTES):
			if (!lt_text_valid(f.bytes))
				return false;
			break;
		case LT_WIRE_TAG(OPENED_SALT, LT_WIRE_BYTES):
		case LT_WIRE_TAG(OPENED_FIELD_SET, LT_WIRE_BYTES):
		case LT_WIRE_TAG(OPENED_LEAF, LT_WIRE_BYTES):
			break;
		default:
			return false;
		}
	}
	return true;
}

/* *n: repeated fields so far. */
static bool
plain_openings(struct lt_slice bytes, size_t *n)
{
	const uint8_t *p = bytes.data, *end = lt_slice_end(bytes);
	struct lt_plain_item f;
	bool seed = false;

	while (p != end) {
		if (!lt_plain_step(&p, end, &f))
			return false;
		if (f.tag == LT_WIRE_TAG(OPENINGS_FIELD, LT_WIRE_BYTES)) {
			if (++*n > LT_REPEATED_MAX || !plain_opened(f.bytes))
				return false;
		} else if (f.tag == LT_WIRE_TAG(OPENINGS_SEED, LT_WIRE_BYTES) && !seed) {
			seed = true;
		} else {
			return false;
		}
	}
	return true;
}

/* What the walker passes for sure; of what is not, it says whether it does. */
static bool
plain_changeset(struct lt_slice bytes)
{
	const uint8_t *p = bytes.data, *end = lt_slice_end(bytes);
	struct lt_plain_item f;
	unsigned seen = 0;
	size_t n = 0;

	while (p != end) {
		if (!lt_plain_step(&p, end, &f) || f.tag >> 3 > CS_OPENINGS ||
		    (f.tag & 7) != LT_WIRE_BYTES)
			return false;
		if (f.tag >> 3 == CS_CHANGE) {
			if (++n > LT_REPEATED_MAX)
				return false;
			continue;
		}
		if (!lt_plain_once(&seen, f.tag))
			return false;
		if (f.tag >> 3 == CS_OPENINGS && !plain_openings(f.bytes, &n))
			return false;
	}
	return true;
}

static int
check_wire(const struct parse *p)
{
	struct lt_slice bytes = p->cs->raw;

	if (!p->walk && bytes.len <= LT_MESSAGE_MAX && plain_changeset(bytes))
		return LT_OK;
	return lt_wire_check(&ltpb__change_set__descriptor, bytes, LT_MESSAGE_MAX, p->err);
}

/* ---- its parts ---- */

/* Find header, signature and openings, count the changes. */
static int
scan(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct lt_wire_item f;
	struct lt_reader r;

	lt_reader_init(&r, cs->raw);
	while (lt_wire_step(&r, &f)) {
		switch (f.number) {
		case CS_HEADER:
			cs->header = f.bytes;
			break;
		case CS_SIGNATURE:
			cs->signature = f.bytes;
			break;
		case CS_CHANGE:
			cs->nchange++;
			break;
		case CS_OPENINGS:
			p->openings = f.bytes;
			cs->has_openings = true;
			continue;
		default:
			continue;
		}
		p->bare += lt_field_size(f.bytes.len);
	}
	if (r.err != LT_OK)
		return invalid(p, "malformed");
	if (check_bare(p) != LT_OK)
		return LT_E_TOOBIG;
	if (cs->nchange > LT_CHANGES_MAX)
		return lt_err_set(p->err, LT_E_TOOBIG,
		    "change-set: %zu changes, at most %d allowed", cs->nchange, LT_CHANGES_MAX);
	if (cs->signature.len != LT_SIG_LEN)
		return invalid(p, "the signature is not 64 bytes");
	return LT_OK;
}

/* Cut the changes out. */
static int
gather_changes(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct lt_wire_item f;
	struct lt_reader r;
	size_t n = 0;

	cs->change_raw = lt_arena_alloc(p->arena, cs->nchange * sizeof(*cs->change_raw));
	if (cs->change_raw == NULL)
		return out_of_memory(p);
	lt_reader_init(&r, cs->raw);
	while (lt_wire_step(&r, &f))
		if (f.number == CS_CHANGE)
			cs->change_raw[n++] = f.bytes;
	return LT_OK;
}

#define LEAVES_AT_ONCE 128 /* a complete subtree of the changes' tree */

static void
hash_changes(const struct lt_slice *raw, size_t n, struct lt_hash leaf[LEAVES_AT_ONCE])
{
	static const char head[] = "\x0a" LT_TAG_CHANGE;
	struct lt_hash_job job[LEAVES_AT_ONCE];
	size_t i;

	_Static_assert(sizeof(head) - 2 == 10, "the length of the tag");
	for (i = 0; i < n; i++) {
		job[i].head = lt_slice(head, sizeof(head) - 1);
		job[i].body = raw[i];
		job[i].out = leaf[i].b;
	}
	lt_hash_many(lt_slice(NULL, 0), LT_HASH_LEN, job, n);
}

/* Meet the header's root with them, before anything of them is decoded. */
static int
check_root(struct parse *p)
{
	const struct lt_changeset *cs = p->cs;
	struct lt_hash leaf[LEAVES_AT_ONCE], root;
	struct lt_merkle tree;
	size_t i, n;

	lt_merkle_init(&tree);
	for (i = 0; i < cs->nchange; i += n) {
		n = cs->nchange - i < LEAVES_AT_ONCE ? cs->nchange - i : LEAVES_AT_ONCE;
		hash_changes(cs->change_raw + i, n, leaf);
		lt_merkle_many(leaf, &(uint32_t){ (uint32_t)n }, 1);
		lt_merkle_add(&tree, &leaf[0]);
	}
	lt_merkle_end(&tree, &root);
	if (!lt_hash_eq(&root, &p->changes_root))
		return lt_err_set(p->err, LT_E_BADHASH,
		    "change-set: the changes are not those that the header names");
	return LT_OK;
}

static int
decode_change(struct parse *p, size_t i, struct lt_err *why)
{
	struct lt_changeset *cs = p->cs;
	bool *lean = p->whole == NULL ? NULL : &p->lean[i];

	if (p->walk)
		return lt_change_walk(
		    cs->change_raw[i], &cs->feed, p->arena, &cs->change[i], lean, why);
	if (lean == NULL)
		return lt_change_decode(
		    cs->change_raw[i], &cs->feed, p->arena, &cs->change[i], why);
	return lt_change_decode_lean(
	    cs->change_raw[i], &cs->feed, p->arena, &cs->change[i], lean, why);
}

static int
decode_changes(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct lt_err why;
	size_t i;
	int rc;

	cs->change = lt_arena_alloc(p->arena, cs->nchange * sizeof(*cs->change));
	if (cs->change == NULL)
		return out_of_memory(p);
	why.text[0] = '\0'; /* not all of it: this is the hot path */
	for (i = 0; i < cs->nchange; i++) {
		rc = decode_change(p, i, &why);
		if (rc != LT_OK)
			return lt_err_set(p->err, rc, "change %zu: %s", i, why.text);
	}
	return LT_OK;
}

static bool
lane_known(unsigned lane)
{
	return lane >= LT_LANE_URGENT && lane <= LT_LANE_BULK;
}

static bool
feed_well_formed(const ProtobufCBinaryData *feed)
{
	return feed->len == LT_FEED_LEN && lane_known(feed->data[LT_ID_LEN]);
}

/* Heads of the same author, unit and lane in other epochs; only a first change-set has them. */
static int
check_earlier(struct parse *p, const Ltpb__Header *h)
{
	const struct lt_changeset *cs = p->cs;
	size_t i;

	if (h->n_earlier != 0 && h->seq != 1)
		return invalid(p, "earlier epochs named after the first change-set");
	for (i = 0; i < h->n_earlier; i++) {
		const Ltpb__FeedHead *e = h->earlier[i];

		if (!feed_well_formed(&e->feed) || e->seq == 0 || e->hash.len != LT_HASH_LEN)
			return invalid(p, "malformed head of an earlier epoch");
		/* All but the epoch's 8 bytes at the end are this feed's own. */
		if (strcmp(e->unit, cs->unit.s) != 0 ||
		    memcmp(e->feed.data, cs->feed.b, LT_ID_LEN + 1) != 0)
			return invalid(p, "an earlier epoch is of another author, unit or lane");
		if (memcmp(e->feed.data, cs->feed.b, LT_FEED_LEN) == 0)
			return invalid(p, "the epoch names itself as an earlier one");
	}
	return LT_OK;
}

static int
check_header(struct parse *p, const Ltpb__Header *h)
{
	static const uint8_t zeros[LT_HASH_LEN];

	if (h->federation.len != LT_FED_LEN)
		return invalid(p, "the federation id is not 32 bytes");
	if (h->author.len != LT_ID_LEN)
		return invalid(p, "the author id is not 16 bytes");
	if (!lt_unit_valid(h->unit))
		return invalid(p, "not a unit code");
	if (!lane_known((unsigned)h->lane))
		return invalid(p, "no lane");
	if (h->seq == 0)
		return invalid(p, "seq 0");
	if (h->prev_hash.len != LT_HASH_LEN)
		return invalid(p, "prev_hash is not 32 bytes");
	if (h->seq == 1 && memcmp(h->prev_hash.data, zeros, LT_HASH_LEN) != 0)
		return invalid(p, "prev_hash at seq 1 is not zero");
	if (h->change_count == 0 || h->change_count > LT_CHANGES_MAX)
		return invalid(p, "the number of changes is not that of the header");
	if (h->changes_root.len != LT_HASH_LEN)
		return invalid(p, "changes_root is not 32 bytes");
	if (h->key_no == 0)
		return invalid(p, "key number 0");
	return LT_OK;
}

static void
fill_header(struct parse *p, const Ltpb__Header *h)
{
	struct lt_changeset *cs = p->cs;
	struct lt_id author;

	memcpy(cs->federation.b, h->federation.data, LT_FED_LEN);
	memcpy(author.b, h->author.data, LT_ID_LEN);
	(void)lt_unit_set(&cs->unit, lt_slice_str(h->unit));
	cs->feed = lt_feed_id_make(author, (enum lt_lane)h->lane, h->epoch);
	cs->seq = h->seq;
	memcpy(cs->prev.b, h->prev_hash.data, LT_HASH_LEN);
	cs->stamp = h->stamp;
	cs->hub_stamp = h->hub_stamp;
	cs->catalogue_version = h->catalogue_version;
	cs->key_no = h->key_no;
	cs->nearlier = h->n_earlier;
	cs->earlier = h->earlier;
	p->change_count = h->change_count;
	memcpy(p->changes_root.b, h->changes_root.data, LT_HASH_LEN);
}

static int
parse_header(struct parse *p)
{
	ProtobufCMessage *msg = NULL;
	const Ltpb__Header *h;
	int rc;

	rc = lt_wire_unpack(
	    &ltpb__header__descriptor, p->cs->header, LT_CHANGESET_MAX, p->arena, &msg, p->err);
	if (rc != LT_OK)
		return rc;
	h = (const Ltpb__Header *)msg;
	rc = check_header(p, h);
	if (rc != LT_OK)
		return rc;
	fill_header(p, h);
	lt_h1(LT_TAG_CHANGESET, p->cs->header, &p->cs->hash);
	return check_earlier(p, h);
}

/* As many changes as the header says. */
static int
check_count(const struct parse *p)
{
	return p->change_count == p->cs->nchange
		   ? LT_OK
		   : invalid(p, "the number of changes is not that of the header");
}

int
lt_header_read(struct lt_slice header, struct lt_arena *arena, struct lt_changeset *cs,
    uint32_t *change_count, struct lt_hash *changes_root, struct lt_err *err)
{
	struct parse p = { .cs = cs, .arena = arena, .err = err };
	int rc;

	memset(cs, 0, sizeof(*cs));
	cs->header = header;
	rc = parse_header(&p);
	if (rc == LT_OK) {
		*change_count = p.change_count;
		*changes_root = p.changes_root;
	}
	return rc;
}

static size_t
count_leaves(const struct lt_changeset *cs)
{
	size_t i, n = 0;

	for (i = 0; i < cs->nchange; i++)
		n += cs->change[i].npersonal;
	return n;
}

/* One OpenedField as it stands in the message. */
struct opened {
	uint64_t change;
	struct lt_slice name;
	struct lt_slice salt;
	struct lt_slice field_set;
	struct lt_slice leaf;
};

static void
read_opened(struct lt_slice bytes, struct opened *o)
{
	struct lt_wire_item f;
	struct lt_reader r;

	memset(o, 0, sizeof(*o));
	lt_reader_init(&r, bytes);
	while (lt_wire_step(&r, &f)) {
		switch (f.number) {
		case OPENED_CHANGE:
			o->change = f.value;
			break;
		case OPENED_NAME:
			o->name = f.bytes;
			break;
		case OPENED_SALT:
			o->salt = f.bytes;
			break;
		case OPENED_FIELD_SET:
			o->field_set = f.bytes;
			break;
		case OPENED_LEAF:
			o->leaf = f.bytes;
			break;
		default:
			break;
		}
	}
}

/* The three forms of FORMAT.md 3.5: by the seed, with a salt, withheld. */
static bool
form_allowed(const struct opened *o, bool seeded)
{
	if (seeded)
		return o->salt.len == 0 && o->leaf.len == 0 && o->field_set.len != 0;
	if (o->leaf.len != 0)
		return o->leaf.len == LT_HASH_LEN && o->salt.len == 0 && o->field_set.len == 0;
	return o->salt.len == LT_SALT_LEN && o->field_set.len != 0;
}

static int
decode_opened(struct parse *p, struct lt_opening *out)
{
	struct lt_err why;
	int rc;

	why.text[0] = '\0';
	rc = p->walk ? lt_field_set_walk(out->field_set, p->arena, &out->field, &why)
		     : lt_field_reader_next(&p->reader, out->field_set, &out->field, &why);
	if (rc != LT_OK)
		return lt_err_set(
		    p->err, rc, "opening of change %u: %s", (unsigned)out->change, why.text);
	if (strcmp(out->field.pb->name, out->name) != 0)
		return invalid(p, "an opening names one field and holds another");
	if (lt_field_is_actor(out->name) && out->field.pb->value->v_case != LTPB__VALUE__V_TEXT)
		return invalid(p, "the actor is not a text");
	return LT_OK;
}

/* Opening o must be that of field `name` of change `index`. */
static int
parse_opened(struct parse *p, const struct opened *o, struct lt_slice seed, uint32_t index,
    const char *name, struct lt_opening *out)
{
	if (o->change != index || !lt_slice_eq(o->name, lt_slice_str(name)))
		return invalid(p, "openings and personal fields do not go together");
	if (!form_allowed(o, seed.len != 0))
		return invalid(p, "an opening has neither value nor leaf, or both");
	out->change = index;
	out->name = name;
	out->withheld = o->leaf.len != 0;
	if (out->withheld) {
		memcpy(out->leaf.b, o->leaf.data, LT_HASH_LEN);
		return LT_OK;
	}
	out->field_set = o->field_set;
	if (seed.len == 0 && o->salt.data != NULL) /* it is there: form_allowed() */
		memcpy(out->salt, o->salt.data, LT_SALT_LEN);
	return decode_opened(p, out);
}

/* The leaf of every opening that is not withheld. */
static void
hash_openings(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct lt_leaf_job job[LEAVES_AT_ONCE];
	size_t i, n = 0;

	for (i = 0; i < cs->nopening; i++) {
		struct lt_opening *o = &cs->opening[i];

		if (!o->withheld)
			job[n++] = (struct lt_leaf_job){ { &cs->unit, &cs->feed, cs->seq, o->change,
							     cs->change[o->change].collection,
							     cs->change[o->change].key, o->name },
				o->field_set, o->salt, &o->leaf };
		if (n != LEAVES_AT_ONCE && i + 1 != cs->nopening)
			continue;
		if (cs->seed.len != 0)
			lt_leaf_salts(cs->seed.data, job, n);
		lt_leaf_hashes(job, n);
		n = 0;
	}
}

static int
check_openings_size(const struct parse *p)
{
	const struct lt_changeset *cs = p->cs;
	size_t i, fields = 0;

	for (i = 0; i < cs->nopening; i++)
		fields += lt_opened_size_max(
		    cs->opening[i].change, cs->opening[i].name, cs->opening[i].field_set.len);
	if (p->bare + lt_field_size(fields) > LT_CHANGESET_OPEN_MAX)
		return lt_err_set(p->err, LT_E_TOOBIG,
		    "change-set: %zu bytes with openings and salts, at most %d allowed",
		    p->bare + lt_field_size(fields), LT_CHANGESET_OPEN_MAX);
	return LT_OK;
}

/* The seed, and whether there are as many openings as leaves. */
static int
scan_openings(struct parse *p, struct lt_slice *seed)
{
	struct lt_wire_item f;
	struct lt_reader r;
	size_t n = 0;

	lt_reader_init(&r, p->openings);
	while (lt_wire_step(&r, &f)) {
		if (f.number == OPENINGS_SEED)
			*seed = f.bytes;
		else if (f.number == OPENINGS_FIELD)
			n++;
	}
	if (seed->len != 0 && seed->len != LT_SALT_LEN)
		return invalid(p, "the seed is not 16 bytes");
	if (n != p->cs->nopening)
		return lt_err_set(p->err, LT_E_INVALID,
		    "change-set: %zu openings for %zu personal fields", n, p->cs->nopening);
	return LT_OK;
}

static int
parse_openings(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct lt_slice seed = { NULL, 0 };
	struct lt_wire_item f;
	struct lt_reader r;
	struct opened o;
	size_t change = 0, name = 0, n = 0;
	int rc;

	cs->nopening = count_leaves(cs);
	rc = scan_openings(p, &seed);
	if (rc != LT_OK)
		return rc;
	cs->seed = seed;
	cs->opening = lt_arena_alloc(p->arena, cs->nopening * sizeof(*cs->opening));
	if (cs->opening == NULL)
		return out_of_memory(p);
	lt_field_reader_init(&p->reader, p->openings, p->walk ? 0 : cs->nopening, p->arena);
	lt_reader_init(&r, p->openings);
	while (lt_wire_step(&r, &f)) {
		if (f.number != OPENINGS_FIELD)
			continue;
		while (name == cs->change[change].npersonal) {
			change++;
			name = 0;
		}
		read_opened(f.bytes, &o);
		rc = parse_opened(p, &o, seed, (uint32_t)change,
		    cs->change[change].personal[name++], &cs->opening[n++]);
		if (rc != LT_OK)
			return rc;
	}
	rc = check_openings_size(p);
	if (rc == LT_OK)
		hash_openings(p);
	return rc;
}

static int
parse_whole(struct parse *p)
{
	int rc;

	if ((rc = check_wire(p)) != LT_OK || (rc = scan(p)) != LT_OK ||
	    (rc = parse_header(p)) != LT_OK || (rc = check_count(p)) != LT_OK ||
	    (rc = gather_changes(p)) != LT_OK || (rc = check_root(p)) != LT_OK ||
	    (rc = decode_changes(p)) != LT_OK)
		return rc;
	return p->cs->has_openings ? parse_openings(p) : LT_OK;
}

static void
parse_init(struct parse *p, struct lt_slice bytes, struct lt_arena *arena, struct lt_changeset *out,
    struct lt_err *err)
{
	*p = (struct parse){ .cs = out, .arena = arena, .err = err };
	memset(out, 0, sizeof(*out));
	out->raw = bytes;
}

int
lt_changeset_parse(
    struct lt_slice bytes, struct lt_arena *arena, struct lt_changeset *out, struct lt_err *err)
{
	struct parse p;

	parse_init(&p, bytes, arena, out, err);
	return parse_whole(&p);
}

int
lt_changeset_open(struct lt_slice bytes, struct lt_arena *arena, struct lt_changeset *out)
{
	struct parse p = { .cs = out, .arena = arena };
	int rc;

	memset(out, 0, sizeof(*out));
	out->raw = bytes;
	rc = scan(&p);
	if (rc == LT_OK)
		rc = parse_header(&p);
	if (rc == LT_OK)
		rc = check_count(&p);
	return rc == LT_OK ? gather_changes(&p) : rc;
}

int
lt_changeset_verify_signature(const struct lt_changeset *cs, const uint8_t pk[32])
{
	if (crypto_sign_verify_detached(cs->signature.data, cs->hash.b, sizeof(cs->hash.b), pk) !=
	    0)
		return LT_E_BADSIG;
	return LT_OK;
}

/* The trees of as many changes as fit. */
struct trees {
	struct lt_hash leaf[LT_MERKLE_MANY_MAX]; /* then the roots */
	uint32_t size[LT_MERKLE_MANY_MAX];
	size_t change[LT_MERKLE_MANY_MAX], n;
};

/* Of changes from *i on, whose personal fields' trees are computed together. *at: the next opening. */
static void
compute_trees(const struct lt_changeset *cs, size_t *i, size_t *at, struct trees *t)
{
	size_t leaves = 0, k;

	_Static_assert(LT_MERKLE_MANY_MAX >= LT_FIELDS_MAX, "one change fits");
	t->n = 0;
	for (; *i < cs->nchange; ++*i) {
		const struct lt_change *c = &cs->change[*i];

		if (c->npersonal == 0)
			continue;
		if (c->npersonal > LT_MERKLE_MANY_MAX - leaves)
			break;
		for (k = 0; k < c->npersonal; k++)
			t->leaf[leaves++] = cs->opening[(*at)++].leaf;
		t->change[t->n] = *i;
		t->size[t->n++] = (uint32_t)c->npersonal;
	}
	lt_merkle_many(t->leaf, t->size, t->n);
}

int
lt_changeset_verify_openings(const struct lt_changeset *cs, struct lt_err *err)
{
	struct trees t;
	size_t i, k, at = 0;

	for (i = 0; !cs->has_openings && i < cs->nchange; i++)
		if (cs->change[i].npersonal != 0)
			return lt_err_set(
			    err, LT_E_NOTFOUND, "change %zu: the openings are missing", i);
	for (i = 0; cs->has_openings && !cs->openings_true && i < cs->nchange;) {
		compute_trees(cs, &i, &at, &t);
		for (k = 0; k < t.n; k++)
			if (!lt_hash_eq(&t.leaf[k], &cs->change[t.change[k]].personal_root))
				return lt_err_set(err, LT_E_BADHASH,
				    "change %zu: an opening is not what was signed", t.change[k]);
	}
	return LT_OK;
}

/* ---- lean ones (FORMAT.md 3.9) ---- */

/* A root is known only from all the values that it commits to. */
static int
check_lean(const struct parse *p)
{
	const struct lt_changeset *cs = p->cs;
	size_t i;

	for (i = 0; !cs->has_openings && i < cs->nchange; i++)
		if (p->lean[i])
			return lt_err_set(p->err, LT_E_INVALID,
			    "change %zu: its personal_root is left out, and its openings, too", i);
	for (i = 0; i < cs->nopening; i++)
		if (cs->opening[i].withheld && p->lean[cs->opening[i].change])
			return lt_err_set(p->err, LT_E_INVALID,
			    "change %u: its personal_root is left out, and a value, too",
			    (unsigned)cs->opening[i].change);
	return LT_OK;
}

#define ROOT_FIELD_LEN (2 + LT_HASH_LEN) /* field 8 in its shortest form: tag, length, root */

/* The change as it was hashed and signed. */
static int
put_root_back(struct parse *p, size_t i, const struct lt_hash *root)
{
	struct lt_slice raw = p->cs->change_raw[i];
	uint8_t *b = lt_arena_alloc(p->whole, raw.len + ROOT_FIELD_LEN);

	if (b == NULL)
		return out_of_memory(p);
	memcpy(b, raw.data, raw.len);
	b[raw.len] = CHANGE_ROOT << 3 | 2;
	b[raw.len + 1] = LT_HASH_LEN;
	memcpy(b + raw.len + 2, root->b, LT_HASH_LEN);
	p->cs->change_raw[i] = p->cs->change[i].raw = lt_slice(b, raw.len + ROOT_FIELD_LEN);
	p->cs->change[i].personal_root = *root;
	return LT_OK;
}

static int
put_roots_back(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	struct trees t;
	size_t i, k, at = 0, odd = 0;
	int rc = check_lean(p);

	for (i = 0; rc == LT_OK && cs->has_openings && i < cs->nchange;) {
		compute_trees(cs, &i, &at, &t);
		for (k = 0; rc == LT_OK && k < t.n; k++)
			if (p->lean[t.change[k]])
				rc = put_root_back(p, t.change[k], &t.leaf[k]);
			else
				odd +=
				    !lt_hash_eq(&t.leaf[k], &cs->change[t.change[k]].personal_root);
	}
	/* Whoever asks for an odd one, hears which it is. */
	cs->openings_true = cs->has_openings && odd == 0;
	return rc;
}

/* Bytes without openings, as they are with the roots. */
static int
count_whole(struct parse *p)
{
	const struct lt_changeset *cs = p->cs;
	size_t i;

	for (i = 0; i < cs->nchange; i++)
		if (p->lean[i])
			p->bare += lt_field_size(cs->change_raw[i].len + ROOT_FIELD_LEN) -
				   lt_field_size(cs->change_raw[i].len);
	return check_bare(p);
}

static int
parse_lean(struct parse *p)
{
	struct lt_changeset *cs = p->cs;
	int rc;

	if ((rc = check_wire(p)) != LT_OK || (rc = scan(p)) != LT_OK ||
	    (rc = parse_header(p)) != LT_OK || (rc = check_count(p)) != LT_OK ||
	    (rc = gather_changes(p)) != LT_OK)
		return rc;
	p->lean = lt_arena_alloc(p->arena, cs->nchange * sizeof(*p->lean));
	if (p->lean == NULL)
		return out_of_memory(p);
	/* The header's root is over what the openings have to make first. */
	if ((rc = decode_changes(p)) != LT_OK || (rc = count_whole(p)) != LT_OK)
		return rc;
	if (cs->has_openings)
		rc = parse_openings(p);
	if (rc == LT_OK)
		rc = put_roots_back(p);
	return rc == LT_OK ? check_root(p) : rc;
}

int
lt_changeset_parse_lean(struct lt_slice bytes, struct lt_arena *arena, struct lt_arena *whole,
    struct lt_changeset *out, struct lt_err *err)
{
	struct parse p;

	parse_init(&p, bytes, arena, out, err);
	p.whole = whole;
	return parse_lean(&p);
}

int
lt_changeset_parse_walk(struct lt_slice bytes, struct lt_arena *arena, struct lt_arena *whole,
    struct lt_changeset *out, struct lt_err *err)
{
	struct parse p;

	parse_init(&p, bytes, arena, out, err);
	p.whole = whole;
	p.walk = true;
	return whole == NULL ? parse_whole(&p) : parse_lean(&p);
}

int
lt_changeset_verify_chain(const struct lt_changeset *cs, uint64_t last_seq,
    const struct lt_hash *last_hash, uint64_t last_stamp)
{
	if (cs->seq <= last_seq)
		return LT_E_EXISTS;
	if (cs->seq - 1 != last_seq)
		return LT_E_GAP;
	/* At seq 1 the parser has seen that prev_hash is zero. */
	if (last_seq != 0 && !lt_hash_eq(&cs->prev, last_hash))
		return LT_E_BADHASH;
	if (cs->stamp <= last_stamp)
		return LT_E_INVALID;
	return LT_OK;
}
