#include "proto/service/forks.h"
#include "proto/base/clock.h"
#include "proto/service/reading.h"
#include "proto/store/hub_cert.h"

#include <string.h>

#define FORKS_MAX 1000
#define EVIDENCE_MAX 4 /* a header and 1,024 leaves twice each, and the ruling: under a message */
#define OPEN_ARENA ((size_t)LT_MESSAGE_MAX + 65536)

struct listing {
	struct lt_kv_txn *log;
	const Ltpb__ListForksRequest *req;
	const struct lt_registry *reg;
	const struct lt_feeds_sight *sight;
	const struct lt_forks_from *from;
	const struct lt_unit *unit; /* NULL: all */
	struct lt_arena *arena;
	Ltpb__ListForksReply *reply;
	size_t max;
};

static bool
fill(struct lt_arena *arena, ProtobufCBinaryData *out, const void *data, size_t len)
{
	out->data = lt_arena_dup(arena, data, len);
	out->len = len;
	return out->data != NULL;
}

static bool
asked(const struct listing *l, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	return (l->unit == NULL || lt_unit_eq(l->unit, unit)) &&
	       (l->sight == NULL || l->sight->unit(l->sight->ctx, unit->s)) &&
	       (l->req->feed.len == 0 || memcmp(l->req->feed.data, feed->b, LT_FEED_LEN) == 0);
}

/* ---- evidence ---- */

static int
branch_of(const struct lt_changeset *cs, struct lt_arena *arena, Ltpb__Branch **out)
{
	Ltpb__Branch *b = lt_arena_alloc(arena, sizeof(*b));
	size_t i;

	if (b == NULL)
		return LT_E_NOMEM;
	ltpb__branch__init(b);
	b->leaf = lt_arena_alloc(arena, cs->nchange * sizeof(*b->leaf));
	if (b->leaf == NULL || !fill(arena, &b->header, cs->header.data, cs->header.len) ||
	    !fill(arena, &b->signature, cs->signature.data, cs->signature.len))
		return LT_E_NOMEM;
	for (i = 0; i < cs->nchange; i++) {
		struct lt_hash h;

		lt_h1(LT_TAG_CHANGE, cs->change_raw[i], &h);
		if (!fill(arena, &b->leaf[b->n_leaf++], h.b, LT_HASH_LEN))
			return LT_E_NOMEM;
	}
	*out = b;
	return LT_OK;
}

struct looking {
	struct listing *l;
	const struct lt_ruling *r;
	Ltpb__Fork *f;
	bool found;
};

/* Evidence of the branch that a ruling names: its change-set, or the one behind it, which names its hash. */
static int
look_at(void *ctx, const struct lt_changeset *cs)
{
	struct looking *k = ctx;
	const struct lt_ruling *r = k->r;
	bool itself = cs->seq == r->seq && lt_hash_eq(&cs->hash, &r->other);
	bool behind = cs->seq == r->seq + 1 && lt_hash_eq(&cs->prev, &r->other);

	if (lt_feed_id_cmp(&cs->feed, &r->feed) != 0 || !lt_unit_eq(&cs->unit, &r->unit) ||
	    (!itself && (!behind || k->found)))
		return LT_OK;
	k->found = true;
	return k->l->req->evidence ? branch_of(cs, k->l->arena, &k->f->dropped) : LT_OK;
}

/* Of the key that signed the ruling: the hub may have another one by now. */
static int
add_certificate(struct listing *l, const struct lt_id *hub, uint32_t key_no, Ltpb__Fork *f)
{
	struct lt_slice cert;
	int rc = lt_hub_cert_get(l->log, hub, key_no, &cert);

	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	return fill(l->arena, &f->certificate, cert.data, cert.len) ? LT_OK : LT_E_NOMEM;
}

/* What counts, where it is here, and the act that says so. */
static int
from_log(struct listing *l, uint64_t position, bool whole, Ltpb__Fork *f)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	int rc = lt_feed_log_read(l->log, position, &e);

	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, OPEN_ARENA);
	rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK && !whole)
		rc = branch_of(&cs, l->arena, &f->counting);
	if (rc == LT_OK && whole) {
		struct lt_id hub = lt_feed_author(&cs.feed);

		f->ruled_ms = LT_STAMP_MS(cs.stamp);
		f->hub_key_no = cs.key_no;
		if (!fill(l->arena, &f->hub, hub.b, LT_ID_LEN) ||
		    (l->req->evidence &&
			!fill(l->arena, &f->ruling, e.changeset.data, e.changeset.len)))
			rc = LT_E_NOMEM;
		if (rc == LT_OK && l->req->evidence)
			rc = add_certificate(l, &hub, cs.key_no, f);
	}
	lt_arena_fini(&arena);
	return rc;
}

static int
add_keys(struct listing *l, const struct lt_ruling *r, Ltpb__Fork *f)
{
	size_t i;

	f->key = lt_arena_alloc(l->arena, (r->nkey + 1) * sizeof(*f->key));
	for (i = 0; f->key != NULL && i < r->nkey; i++) {
		Ltpb__RulingKey *k = lt_arena_alloc(l->arena, sizeof(*k));

		if (k == NULL)
			return LT_E_NOMEM;
		ltpb__ruling_key__init(k);
		k->key_no = r->key[i].no;
		if (!fill(l->arena, &k->sign_key, r->key[i].pk, 32))
			return LT_E_NOMEM;
		f->key[f->n_key++] = k;
	}
	return f->key == NULL ? LT_E_NOMEM : LT_OK;
}

/* ---- the list ---- */

/* *out NULL: no more fit. */
static int
begin(struct listing *l, const struct lt_ruling *r, bool counts, Ltpb__Fork **out)
{
	struct lt_id author = lt_feed_author(&r->feed);
	const char *known = lt_author_label((void *)l->reg, &author);
	char hex[2 * LT_ID_LEN + 1];
	Ltpb__Fork *f;

	*out = NULL;
	if (l->reply->n_fork == l->max) {
		l->reply->more = true;
		return LT_OK;
	}
	lt_hex(hex, author.b, LT_ID_LEN);
	if (known == NULL || known[0] == '\0')
		known = hex;
	f = lt_arena_alloc(l->arena, sizeof(*f));
	if (f == NULL)
		return LT_E_NOMEM;
	ltpb__fork__init(f);
	f->unit = lt_arena_dup(l->arena, r->unit.s, strlen(r->unit.s));
	f->author = lt_arena_dup(l->arena, known, strlen(known));
	f->seq = r->seq;
	if (f->unit == NULL || f->author == NULL ||
	    !fill(l->arena, &f->feed, r->feed.b, LT_FEED_LEN) ||
	    (counts && !fill(l->arena, &f->counts, r->counts.b, LT_HASH_LEN)) ||
	    !fill(l->arena, &f->other, r->other.b, LT_HASH_LEN))
		return LT_E_NOMEM;
	l->reply->fork[l->reply->n_fork++] = f;
	*out = f;
	return LT_OK;
}

/* Both branches, as far as they are here. */
static int
find_branches(struct listing *l, const struct lt_ruling *r, bool counts, Ltpb__Fork *f)
{
	struct looking k = { .l = l, .r = r, .f = f };
	struct lt_hash have;
	uint64_t position;
	int rc = l->from->each(l->from->ctx, l->log, &r->unit, look_at, &k);

	if (rc != LT_OK || !counts)
		return rc;
	rc = lt_feed_log_find(l->log, &r->unit, &r->feed, r->seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_hash(l->log, &r->unit, &r->feed, r->seq, &have);
	f->here = rc == LT_OK && k.found && lt_hash_eq(&have, &r->counts);
	if (rc == LT_OK && l->req->evidence && lt_hash_eq(&have, &r->counts))
		rc = from_log(l, position, false, f);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
add_ruling(void *ctx, const struct lt_ruling *r)
{
	struct listing *l = ctx;
	Ltpb__Fork *f;
	int rc;

	if (!asked(l, &r->unit, &r->feed) || (l->req->seq != 0 && l->req->seq != r->seq))
		return LT_OK;
	rc = begin(l, r, true, &f);
	if (rc != LT_OK || f == NULL)
		return rc;
	rc = add_keys(l, r, f);
	if (rc == LT_OK)
		rc = from_log(l, r->position, true, f);
	return rc == LT_OK ? find_branches(l, r, true, f) : rc;
}

struct unruled {
	struct listing *l;
	const struct lt_changeset *cs;
	bool ruled;
};

static int
covers(void *ctx, const struct lt_ruling *r)
{
	struct unruled *u = ctx;

	if (lt_feed_id_cmp(&r->feed, &u->cs->feed) == 0 && r->seq <= u->cs->seq)
		u->ruled = true;
	return LT_OK;
}

/* A branch that no ruling speaks of yet. */
static int
add_unruled(void *ctx, const struct lt_changeset *cs)
{
	struct listing *l = ctx;
	struct unruled u = { .l = l, .cs = cs };
	struct lt_ruling r = {
		.unit = cs->unit, .feed = cs->feed, .seq = cs->seq, .other = cs->hash
	};
	Ltpb__Fork *f;
	bool counts;
	int rc;

	if (!asked(l, &cs->unit, &cs->feed) || (l->req->seq != 0 && l->req->seq != cs->seq))
		return LT_OK;
	rc = lt_ruling_each(l->log, &cs->unit, covers, &u);
	if (rc != LT_OK || u.ruled)
		return rc;
	rc = lt_feed_log_hash(l->log, &cs->unit, &cs->feed, cs->seq, &r.counts);
	counts = rc == LT_OK && !lt_hash_eq(&r.counts, &r.other);
	if (rc == LT_OK || rc == LT_E_NOTFOUND)
		rc = begin(l, &r, counts, &f);
	return rc != LT_OK || f == NULL ? rc : find_branches(l, &r, counts, f);
}

int
lt_forks_list(struct lt_kv_txn *log, const Ltpb__ListForksRequest *req,
    const struct lt_registry *reg, const struct lt_feeds_sight *sight,
    const struct lt_forks_from *from, struct lt_arena *arena, Ltpb__ListForksReply *reply,
    struct lt_err *err)
{
	struct listing l = { .log = log,
		.req = req,
		.reg = reg,
		.sight = sight,
		.from = from,
		.arena = arena,
		.reply = reply,
		.max = req->evidence ? EVIDENCE_MAX : FORKS_MAX };
	struct lt_unit unit;
	int rc;

	if (req->unit[0] != '\0') {
		if (lt_unit_set(&unit, lt_slice_str(req->unit)) != LT_OK)
			return lt_err_set(err, LT_E_INVALID, "this is no unit code");
		if (sight != NULL && !sight->unit(sight->ctx, unit.s))
			return LT_E_DENIED;
		l.unit = &unit;
	}
	if (req->feed.len != 0 && req->feed.len != LT_FEED_LEN)
		return lt_err_set(err, LT_E_INVALID, "a feed is named by 25 bytes");
	reply->fork = lt_arena_alloc(arena, l.max * sizeof(*reply->fork));
	if (reply->fork == NULL)
		return LT_E_NOMEM;
	rc = lt_ruling_each(log, l.unit, add_ruling, &l);
	return rc == LT_OK ? from->each(from->ctx, log, l.unit, add_unruled, &l) : rc;
}
