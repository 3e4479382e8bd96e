#include "node/checkpoint.h"
#include "node/node_impl.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/feed/trust.h"
#include "proto/store/checkpoints.h"
#include "proto/store/hub_cert.h"

#include <stdlib.h>
#include <string.h>

/* What checkpoints say of numbers that are not here yet: a node that is behind meets a few for each checkpoint that others were shown. */
#define CLAIMS_MAX 256
#define FOUND_MAX LT_EQUIVOCATIONS_MAX /* each leaves a row */
#define CERT_ARENA 65536
#define OPEN_ARENA (LT_MESSAGE_MAX + 65536)

static const struct lt_unit federation = { "_" };

struct claim {
	struct lt_checkpoint_head head;
	bool newest; /* the row that says it: the newest one, or what this node cosigned */
	struct lt_id principal;
};

struct lt_watch {
	_Atomic uint64_t equivocations;
	atomic_bool said_full; /* that promises were forgotten */
	pthread_mutex_t mx; /* guards what follows */
	size_t nclaim;
	struct claim claim[CLAIMS_MAX];
	/* The newest one that agrees with the log, signed. */
	bool agreed;
	uint32_t key_no;
	struct lt_hash hash;
	uint8_t cosignature[LT_SIG_LEN];
};

/* ---- what is to come ---- */

/* With the lock, or before there are threads. Full: what others were shown is compared when it comes, and when they are shown more. */
static void
add_claim(struct lt_watch *w, const struct claim *c)
{
	size_t i;

	for (i = 0; i < w->nclaim; i++)
		if (w->claim[i].head.seq == c->head.seq &&
		    lt_feed_id_cmp(&w->claim[i].head.feed, &c->head.feed) == 0 &&
		    lt_hash_eq(&w->claim[i].head.hash, &c->head.hash))
			return;
	if (w->nclaim < CLAIMS_MAX)
		w->claim[w->nclaim++] = *c;
}

/* What of it is not here yet. from: the row that keeps it. */
static int
add_claims(struct lt_watch *w, struct lt_kv_txn *txn, const struct lt_checkpoint *c,
    const struct claim *from)
{
	struct claim claim = *from;
	struct lt_head here;
	size_t i;

	for (i = 0; i < c->nhead; i++) {
		int rc = lt_feed_log_head(txn, &federation, &c->head[i].feed, &here);

		if (rc != LT_OK && rc != LT_E_CORRUPT)
			return rc;
		claim.head = c->head[i];
		if (rc == LT_OK && here.seq < claim.head.seq)
			add_claim(w, &claim);
	}
	return LT_OK;
}

/* What is durable here has been compared when it came. */
static void
drop_claims(struct lt_watch *w, struct lt_kv_txn *txn)
{
	struct lt_head here;
	size_t i, n = 0;

	for (i = 0; i < w->nclaim; i++)
		if (lt_feed_log_head(txn, &federation, &w->claim[i].head.feed, &here) != LT_OK ||
		    here.seq < w->claim[i].head.seq)
			w->claim[n++] = w->claim[i];
	w->nclaim = n;
}

struct load {
	struct lt_watch *w;
	struct lt_kv_txn *txn;
};

static int
load_one(void *ctx, const struct lt_cosigned *row)
{
	struct claim from = { .principal = row->principal };
	struct lt_checkpoint c;
	struct load *l = ctx;

	return lt_checkpoint_parse(row->checkpoint.body, &c, NULL) == LT_OK
		   ? add_claims(l->w, l->txn, &c, &from)
		   : LT_OK;
}

static int
load_promised(void *ctx, const struct lt_checkpoint_signed *row)
{
	static const struct claim from = { .newest = false };
	struct lt_checkpoint c;
	struct load *l = ctx;

	return lt_checkpoint_parse(row->body, &c, NULL) == LT_OK
		   ? add_claims(l->w, l->txn, &c, &from)
		   : LT_OK;
}

static int
load(struct lt_node *n, struct lt_watch *w)
{
	struct lt_checkpoint_signed newest;
	struct claim from = { .newest = true };
	struct load l = { .w = w };
	struct lt_checkpoint c;
	uint64_t count = 0;
	int rc = lt_kv_begin_read(n->kv, &l.txn);

	if (rc != LT_OK)
		return rc;
	if (lt_checkpoint_get(l.txn, &newest) == LT_OK &&
	    lt_checkpoint_parse(newest.body, &c, NULL) == LT_OK)
		rc = add_claims(w, l.txn, &c, &from);
	if (rc == LT_OK)
		rc = lt_cosigned_each(l.txn, load_one, &l);
	if (rc == LT_OK)
		rc = lt_promised_each(l.txn, load_promised, &l);
	if (rc == LT_OK)
		rc = lt_equivocation_count(l.txn, &count);
	lt_kv_abort(l.txn);
	w->equivocations = count;
	return rc;
}

int
lt_watch_open(struct lt_node *n, struct lt_watch **out)
{
	struct lt_watch *w = calloc(1, sizeof(*w));
	int rc;

	*out = NULL;
	if (w == NULL)
		return LT_E_NOMEM;
	rc = load(n, w);
	if (rc != LT_OK) {
		free(w);
		return rc;
	}
	pthread_mutex_init(&w->mx, NULL);
	if (w->equivocations != 0)
		lt_error("ALARM: it is proven here that the hub signed two change-sets under one "
			 "number, in %llu of its feeds; see 'ltctl checkpoint show'",
		    (unsigned long long)w->equivocations);
	*out = w;
	return LT_OK;
}

void
lt_watch_close(struct lt_watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_destroy(&w->mx);
	free(w);
}

uint64_t
lt_node_equivocations(struct lt_node *n)
{
	return n->watch->equivocations;
}

void
lt_node_equivocation(struct lt_node *n, const struct lt_feed_id *feed, uint64_t seq)
{
	n->watch->equivocations++;
	lt_error("ALARM: the hub has signed two different change-sets under number %llu of one of "
		 "its own feeds (epoch %016llx): it shows communes different histories, or its "
		 "files were put back by hand. This machine goes on working; do not rely on what "
		 "the hub has decided since, call the province, and save the evidence with "
		 "'ltctl checkpoint export'",
	    (unsigned long long)seq, (unsigned long long)lt_feed_epoch(feed));
}

/* ---- evidence ---- */

/* The hub's own signature on what stands here under that number. */
static int
put_against_log(
    struct lt_kv_txn *txn, const struct lt_checkpoint_head *h, struct lt_equivocation *e)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry entry;
	uint64_t position;
	int rc = lt_feed_log_find(txn, &federation, &h->feed, h->seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &entry);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, OPEN_ARENA);
	rc = lt_changeset_open(entry.changeset, &arena, &cs);
	if (rc == LT_OK) {
		e->header = cs.header;
		e->header_signature = cs.signature;
		rc = lt_equivocation_put(txn, e);
	}
	lt_arena_fini(&arena);
	return rc;
}

/* What is nothing new: a feed of which it is proven already, more of them than are kept, and what cannot be read here. */
static int
or_nothing_new(int rc)
{
	return rc == LT_E_EXISTS || rc == LT_E_REFUSED || rc == LT_E_CORRUPT ? LT_OK : rc;
}

/* New: *is_new. A feed of which it is proven already, and more of them than are kept, are nothing new. */
static int
put_evidence(struct lt_kv_txn *txn, const struct lt_checkpoint_head *h,
    const struct lt_checkpoint_signed *one, const struct lt_checkpoint_signed *other,
    uint64_t now_ms, bool *is_new)
{
	struct lt_equivocation e = {
		.feed = h->feed, .seq = h->seq, .found_ms = now_ms, .one = *one
	};
	int rc;

	if (other != NULL)
		e.other = *other;
	rc = other != NULL ? lt_equivocation_put(txn, &e) : put_against_log(txn, h, &e);
	*is_new = rc == LT_OK;
	return or_nothing_new(rc);
}

static uint64_t
wall_ms(const struct lt_node *n)
{
	int64_t now = lt_wall_ms(n->clock);

	return now > 0 ? (uint64_t)now : 0;
}

static bool
says(const struct lt_checkpoint_signed *row, const struct lt_checkpoint_head *head)
{
	const struct lt_checkpoint_head *h;
	struct lt_checkpoint said;

	if (lt_checkpoint_parse(row->body, &said, NULL) != LT_OK)
		return false;
	h = lt_checkpoint_find(&said, &head->feed);
	return h != NULL && h->seq == head->seq && lt_hash_eq(&h->hash, &head->hash);
}

struct finding {
	const struct lt_checkpoint_head *head;
	bool found;
	struct lt_checkpoint_signed row;
};

static int
find_promised(void *ctx, const struct lt_checkpoint_signed *row)
{
	struct finding *f = ctx;

	if (!f->found && says(row, f->head)) {
		f->found = true;
		f->row = *row;
	}
	return LT_OK;
}

/* The row that said it, if it says it still; else that in which it was kept when another one came in its place. */
static int
row_of(struct lt_kv_txn *txn, const struct claim *c, struct lt_checkpoint_signed *out)
{
	struct finding f = { .head = &c->head };
	struct lt_cosigned row;
	int rc;

	if (c->newest) {
		rc = lt_checkpoint_get(txn, out);
	} else {
		rc = lt_cosigned_get(txn, &c->principal, &row);
		*out = row.checkpoint;
	}
	if (rc == LT_OK && says(out, &c->head))
		return LT_OK;
	rc = lt_promised_each(txn, find_promised, &f);
	*out = f.row;
	return rc == LT_OK && !f.found ? LT_E_NOTFOUND : rc;
}

int
lt_node_checkpoints_met(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *alarm)
{
	struct lt_watch *w = n->watch;
	struct lt_checkpoint_signed one;
	struct claim found[CLAIMS_MAX];
	size_t i, k = 0;
	int rc = LT_OK;

	*alarm = false;
	if (LT_SIM_BUG(CHECKPOINT_UNCOMPARED))
		return LT_OK;
	pthread_mutex_lock(&w->mx);
	for (i = 0; i < w->nclaim; i++)
		if (w->claim[i].head.seq == cs->seq &&
		    lt_feed_id_cmp(&w->claim[i].head.feed, &cs->feed) == 0 &&
		    !lt_hash_eq(&w->claim[i].head.hash, &cs->hash))
			found[k++] = w->claim[i];
	pthread_mutex_unlock(&w->mx);
	for (i = 0; rc == LT_OK && !*alarm && i < k; i++)
		if (row_of(txn, &found[i], &one) == LT_OK)
			rc = put_evidence(txn, &found[i].head, &one, NULL, wall_ms(n), alarm);
	return rc;
}

/* Where the two part: the number under which this log has another one. 0: nowhere that is here. */
static int
parting(struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t *seq)
{
	struct lt_hash here;
	int rc = lt_feed_log_hash(txn, &federation, &cs->feed, cs->seq, &here);

	*seq = rc == LT_OK && !lt_hash_eq(&here, &cs->hash) ? cs->seq : 0;
	if (rc != LT_E_NOTFOUND || cs->seq == 1)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	rc = lt_feed_log_hash(txn, &federation, &cs->feed, cs->seq - 1, &here);
	*seq = rc == LT_OK && !lt_hash_eq(&here, &cs->prev) ? cs->seq - 1 : 0;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_node_forked(
    struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs, uint64_t *number)
{
	struct lt_checkpoint_head at = { .feed = cs->feed };
	struct lt_equivocation e = { .feed = cs->feed,
		.found_ms = wall_ms(n),
		.came = cs->header,
		.came_signature = cs->signature };
	int rc = parting(txn, cs, &at.seq);

	*number = 0;
	if (rc != LT_OK || at.seq == 0)
		return or_nothing_new(rc);
	e.seq = at.seq;
	rc = put_against_log(txn, &at, &e);
	*number = rc == LT_OK ? at.seq : 0;
	return or_nothing_new(rc);
}

/* ---- what the hub told ---- */

struct told {
	bool newest;
	struct lt_slice body, signature;
	struct lt_checkpoint c;
	size_t ncosigned;
	struct lt_cosigned cosigned[LT_COSIGNED_EACH_MAX];
};

struct taking {
	struct lt_node *n;
	struct lt_registry *reg;
	size_t ntold, nbad;
	struct told told[1 + LT_COSIGNED_GROUPS_MAX];
	/* What the transaction found out. */
	size_t nfound;
	struct lt_checkpoint_head found[FOUND_MAX];
};

/* The hub's key of that number: of now, or of before as far as it is kept. */
static int
hub_key(
    struct lt_node *n, struct lt_kv_txn *txn, uint32_t key_no, struct lt_id *hub, uint8_t out[32])
{
	Ltpb__CertificateBody *body = NULL;
	struct lt_arena arena;
	struct lt_slice cert;
	bool known;
	int rc;

	pthread_mutex_lock(&n->mx);
	known = n->hub_known;
	*hub = n->hub.id;
	if (known && n->hub_key.no == key_no)
		memcpy(out, n->hub_key.sign_key, 32);
	rc = known && n->hub_key.no == key_no ? LT_OK : LT_E_UNKNOWN;
	pthread_mutex_unlock(&n->mx);
	if (rc == LT_OK || !known)
		return rc;
	rc = lt_hub_cert_get(txn, hub, key_no, &cert);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_UNKNOWN : rc;
	lt_arena_init(&arena, CERT_ARENA);
	rc = lt_certificate_verify(
	    cert, n->identity->root_key, &n->identity->federation, &arena, &body, NULL);
	if (rc == LT_OK)
		memcpy(out, body->sign_key.data, 32);
	lt_arena_fini(&arena);
	return rc;
}

/* Another node's, by its key in the registry here. What was kept of it before is not looked at twice. */
static bool
is_cosigned(const struct taking *t, struct lt_kv_txn *txn, const struct told *d,
    const struct lt_hash *hash, const Ltpb__Cosignature *s, struct lt_cosigned *out)
{
	const struct lt_principal_key *key;
	struct lt_cosigned have;
	struct lt_id who;

	if (s->principal.len != LT_ID_LEN || s->signature.len != LT_SIG_LEN)
		return false;
	memcpy(who.b, s->principal.data, LT_ID_LEN);
	key = lt_registry_node_key(t->reg, &who, s->key_no);
	if (key == NULL || lt_id_eq(&who, &t->n->identity->principal) ||
	    (lt_cosigned_get(txn, &who, &have) == LT_OK &&
		lt_slice_eq(have.checkpoint.body, d->body)) ||
	    lt_cosign_verify(key->sign_key, &who, s->key_no, hash,
		lt_slice(s->signature.data, LT_SIG_LEN)) != LT_OK)
		return false;
	*out = (struct lt_cosigned){ .principal = who,
		.seen_ms = wall_ms(t->n),
		.checkpoint = { d->body, d->signature },
		.key_no = s->key_no,
		.cosignature = lt_slice(s->signature.data, LT_SIG_LEN) };
	return true;
}

/* What verifies is one more to be weighed. */
static void
read_one(struct taking *t, struct lt_kv_txn *txn, const Ltpb__Checkpoint *m, bool newest)
{
	struct told *d = &t->told[t->ntold];
	struct lt_err err = { "" };
	uint8_t key[32];
	struct lt_hash hash;
	struct lt_id hub;
	size_t i;
	int rc;

	memset(d, 0, sizeof(*d));
	d->newest = newest;
	d->body = lt_slice(m->body.data, m->body.len);
	d->signature = lt_slice(m->signature.data, m->signature.len);
	rc = lt_checkpoint_parse(d->body, &d->c, &err);
	if (rc == LT_OK)
		rc = hub_key(t->n, txn, d->c.key_no, &hub, key);
	if (rc == LT_OK)
		rc = lt_checkpoint_verify(
		    d->body, d->signature, &t->n->identity->federation, &hub, key, &d->c, &err);
	if (rc != LT_OK) {
		if (t->nbad++ == 0) /* one line an answer */
			lt_warn("a checkpoint that the hub told of is not believed: %s",
			    err.text[0] != '\0' ? err.text : lt_strerror(rc));
		return;
	}
	lt_checkpoint_hash(d->body, &hash);
	for (i = 0; i < m->n_cosignature && i < LT_COSIGNED_EACH_MAX; i++)
		if (is_cosigned(t, txn, d, &hash, m->cosignature[i], &d->cosigned[d->ncosigned]))
			d->ncosigned++;
	t->ntold++;
}

/* Does one of those kept say otherwise? What is here was compared with the log; this is of what is not. */
struct against {
	const struct told *d;
	bool found;
	size_t at;
	struct lt_buf body;
	uint8_t signature[LT_SIG_LEN];
};

static void
weigh_kept(struct against *a, const struct lt_checkpoint_signed *kept)
{
	struct lt_checkpoint c;

	if (a->found || lt_checkpoint_parse(kept->body, &c, NULL) != LT_OK ||
	    lt_checkpoint_compare(&a->d->c, &c, &a->at) != LT_CHECKPOINTS_CONTRADICT)
		return;
	lt_buf_clear(&a->body);
	lt_buf_put_slice(&a->body, kept->body);
	memcpy(a->signature, kept->signature.data, LT_SIG_LEN);
	a->found = a->body.err == LT_OK;
}

static int
weigh_row(void *ctx, const struct lt_cosigned *row)
{
	weigh_kept(ctx, &row->checkpoint);
	return LT_OK;
}

static int
weigh_promised(void *ctx, const struct lt_checkpoint_signed *row)
{
	weigh_kept(ctx, row);
	return LT_OK;
}

static int
find_kept(struct lt_kv_txn *txn, struct against *a)
{
	struct lt_checkpoint_signed newest;
	int rc;

	if (lt_checkpoint_get(txn, &newest) == LT_OK)
		weigh_kept(a, &newest);
	rc = a->found ? LT_OK : lt_cosigned_each(txn, weigh_row, a);
	return rc == LT_OK && !a->found ? lt_promised_each(txn, weigh_promised, a) : rc;
}

static int
weigh_one(struct taking *t, struct lt_kv_txn *txn, const struct told *d)
{
	struct lt_checkpoint_signed one = { d->body, d->signature }, other;
	struct against a = { .d = d };
	enum lt_checkpoint_fit fit;
	bool is_new = false;
	size_t at = 0;
	int rc = lt_checkpoint_weigh(txn, &d->c, &fit, &at);

	if (rc == LT_OK && fit == LT_CHECKPOINT_OTHER) {
		rc = put_evidence(txn, &d->c.head[at], &one, NULL, wall_ms(t->n), &is_new);
	} else if (rc == LT_OK && fit != LT_CHECKPOINT_FITS) {
		rc = find_kept(txn, &a);
		at = a.at;
		other.body = lt_buf_slice(&a.body);
		other.signature = lt_slice(a.signature, LT_SIG_LEN);
		if (rc == LT_OK && a.found)
			rc =
			    put_evidence(txn, &d->c.head[at], &one, &other, wall_ms(t->n), &is_new);
		lt_buf_fini(&a.body);
	}
	if (is_new && t->nfound < FOUND_MAX)
		t->found[t->nfound++] = d->c.head[at];
	return rc;
}

/* A row as it was, while others are written. */
struct kept {
	struct lt_checkpoint_signed s;
	uint8_t body[LT_CHECKPOINT_BYTES_MAX], signature[LT_SIG_LEN];
};

static void
hold(struct kept *k, const struct lt_checkpoint_signed *row)
{
	memcpy(k->body, row->body.data, row->body.len);
	memcpy(k->signature, row->signature.data, LT_SIG_LEN);
	k->s.body = lt_slice(k->body, row->body.len);
	k->s.signature = lt_slice(k->signature, LT_SIG_LEN);
}

/* What it said and came meanwhile, as another one: claims (see add_claim()) may have had no room for it. */
static int
weigh_again(struct taking *t, struct lt_kv_txn *txn, const struct kept *k)
{
	enum lt_checkpoint_fit fit;
	struct lt_checkpoint c;
	bool is_new;
	size_t i;
	int rc = LT_OK;

	if (LT_SIM_BUG(CHECKPOINT_UNCOMPARED) || lt_checkpoint_parse(k->s.body, &c, NULL) != LT_OK)
		return LT_OK;
	for (i = 0; rc == LT_OK && i < c.nhead; i++) {
		rc = lt_checkpoint_weigh_head(txn, &c.head[i], &fit);
		if (rc != LT_OK || fit != LT_CHECKPOINT_OTHER)
			continue;
		rc = put_evidence(txn, &c.head[i], &k->s, NULL, wall_ms(t->n), &is_new);
		if (rc == LT_OK && is_new && t->nfound < FOUND_MAX)
			t->found[t->nfound++] = c.head[i];
	}
	return rc;
}

/* Another one comes in its place: what it said of what is not here yet is kept. */
static int
let_go(struct taking *t, struct lt_kv_txn *txn, const struct lt_checkpoint_signed *was)
{
	struct kept k;
	bool full;
	int rc;

	hold(&k, was);
	rc = weigh_again(t, txn, &k);
	if (rc == LT_OK)
		rc = lt_promised_keep(txn, &k.s, &full);
	if (rc == LT_OK && full && !atomic_exchange(&t->n->watch->said_full, true))
		lt_warn("the hub has announced more change-sets that did not come than are kept: "
			"the oldest of these checkpoints is not compared any more");
	return rc;
}

struct promised {
	size_t n;
	struct kept row[LT_PROMISED_MAX];
};

static int
hold_promised(void *ctx, const struct lt_checkpoint_signed *row)
{
	struct promised *p = ctx;

	if (p->n < LT_PROMISED_MAX)
		hold(&p->row[p->n++], row);
	return LT_OK;
}

/* Rows that gave way, with the log as it is now. */
static int
look_at_promised(struct taking *t, struct lt_kv_txn *txn)
{
	struct promised *p = malloc(sizeof(*p));
	size_t i;
	int rc;

	if (p == NULL)
		return LT_E_NOMEM;
	p->n = 0;
	rc = lt_promised_each(txn, hold_promised, p);
	for (i = 0; rc == LT_OK && i < p->n; i++)
		rc = weigh_again(t, txn, &p->row[i]);
	if (rc == LT_OK && p->n != 0)
		rc = lt_promised_sweep(txn);
	free(p);
	return rc;
}

static int
keep_newest(struct taking *t, struct lt_kv_txn *txn, const struct lt_checkpoint_signed *one)
{
	struct lt_checkpoint_signed was;
	int rc = LT_OK;

	if (lt_checkpoint_get(txn, &was) == LT_OK) {
		if (lt_slice_eq(was.body, one->body))
			return LT_OK;
		rc = let_go(t, txn, &was);
	}
	return rc == LT_OK ? lt_checkpoint_put(txn, one) : rc;
}

static bool
counts(void *ctx, const struct lt_id *principal)
{
	return lt_registry_active_node(ctx, principal) != NULL;
}

static int
make_room(struct taking *t, struct lt_kv_txn *txn)
{
	struct lt_cosigned was;
	struct lt_id gone;
	bool full;
	int rc = lt_cosigned_room(txn, counts, t->reg, &full, &gone);

	if (rc != LT_OK || !full)
		return rc;
	if (lt_cosigned_get(txn, &gone, &was) == LT_OK)
		rc = let_go(t, txn, &was.checkpoint);
	return rc == LT_OK ? lt_cosigned_drop(txn, &gone) : rc;
}

static int
keep_cosigned(struct taking *t, struct lt_kv_txn *txn, const struct lt_cosigned *one)
{
	struct lt_cosigned was;
	int rc = lt_cosigned_get(txn, &one->principal, &was);

	if (rc == LT_OK)
		rc = lt_slice_eq(was.checkpoint.body, one->checkpoint.body)
			 ? LT_OK
			 : let_go(t, txn, &was.checkpoint);
	else
		rc = rc == LT_E_NOTFOUND ? make_room(t, txn) : LT_OK;
	if (rc == LT_E_REFUSED) /* as many as are kept, and all of them count */
		return LT_OK;
	return rc == LT_OK ? lt_cosigned_put(txn, one) : rc;
}

/* Kept, as far as it is new, and what of it is still to come is noted. */
static int
keep_one(struct taking *t, struct lt_kv_txn *txn, const struct told *d)
{
	struct lt_checkpoint_signed one = { d->body, d->signature };
	struct lt_watch *w = t->n->watch;
	struct claim from = { .newest = d->newest };
	size_t i;
	int rc = LT_OK;

	if (d->newest)
		rc = keep_newest(t, txn, &one);
	for (i = 0; rc == LT_OK && i < d->ncosigned; i++) {
		from.principal = d->cosigned[i].principal;
		rc = keep_cosigned(t, txn, &d->cosigned[i]);
	}
	if (rc != LT_OK || (!d->newest && d->ncosigned == 0))
		return rc;
	pthread_mutex_lock(&w->mx);
	rc = add_claims(w, txn, &d->c, &from);
	pthread_mutex_unlock(&w->mx);
	return rc;
}

static int
run_take(struct lt_kv_txn *txn, void *ctx)
{
	struct taking *t = ctx;
	size_t i;
	int rc;

	t->nfound = 0;
	rc = look_at_promised(t, txn);
	for (i = 0; rc == LT_OK && i < t->ntold; i++) {
		if (!LT_SIM_BUG(CHECKPOINT_UNCOMPARED))
			rc = weigh_one(t, txn, &t->told[i]);
		if (rc == LT_OK)
			rc = keep_one(t, txn, &t->told[i]);
	}
	return rc;
}

/* Verified before the writer is troubled. */
static int
read_all(struct taking *t, const Ltpb__Checkpoint *newest, size_t ncosigned,
    Ltpb__Checkpoint *const *cosigned)
{
	struct lt_watch *w = t->n->watch;
	struct lt_kv_txn *txn;
	size_t i;
	int rc = lt_kv_begin_read(t->n->kv, &txn);

	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&w->mx);
	drop_claims(w, txn);
	pthread_mutex_unlock(&w->mx);
	if (newest != NULL)
		read_one(t, txn, newest, true);
	for (i = 0; i < ncosigned && i < LT_COSIGNED_GROUPS_MAX; i++)
		read_one(t, txn, cosigned[i], false);
	lt_kv_abort(txn);
	return LT_OK;
}

void
lt_node_checkpoints_take(struct lt_node *n, const Ltpb__Checkpoint *newest, size_t ncosigned,
    Ltpb__Checkpoint *const *cosigned)
{
	struct taking *t;
	size_t i;
	int rc;

	if (newest == NULL && ncosigned == 0)
		return;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return;
	t->n = n;
	t->reg = lt_node_registry(n);
	rc = read_all(t, newest, ncosigned, cosigned);
	if (rc == LT_OK && t->ntold != 0)
		rc = lt_writer_run(n->writer, run_take, t);
	lt_registry_unref(t->reg);
	if (rc != LT_OK)
		lt_warn("checkpoints of the hub could not be compared: %s", lt_strerror(rc));
	for (i = 0; rc == LT_OK && i < t->nfound; i++)
		lt_node_equivocation(n, &t->found[i].feed, t->found[i].seq);
	free(t);
}

/* ---- cosigning ---- */

/* All that it says stands here: signed once. */
static void
agree(struct lt_node *n, const struct lt_hash *hash)
{
	const struct lt_identity *id = n->identity;
	struct lt_watch *w = n->watch;

	w->agreed = true;
	w->hash = *hash;
	w->key_no = id->key_no;
	lt_cosign(&id->sign, &id->principal, id->key_no, hash, w->cosignature);
}

/* With the lock. Is the newest one signed, by now? */
static bool
is_agreed(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_checkpoint_signed *row)
{
	struct lt_watch *w = n->watch;
	enum lt_checkpoint_fit fit;
	struct lt_checkpoint c;
	struct lt_hash hash;
	size_t at;

	lt_checkpoint_hash(row->body, &hash);
	if (w->agreed && w->key_no == n->identity->key_no && lt_hash_eq(&w->hash, &hash))
		return true;
	if (lt_checkpoint_parse(row->body, &c, NULL) != LT_OK ||
	    lt_checkpoint_weigh(txn, &c, &fit, &at) != LT_OK || fit != LT_CHECKPOINT_FITS)
		return false;
	agree(n, &hash);
	return true;
}

static Ltpb__Checkpoint *
pack_agreed(struct lt_node *n, struct lt_arena *arena, const struct lt_checkpoint_signed *row)
{
	struct lt_watch *w = n->watch;
	Ltpb__Checkpoint *m = lt_arena_alloc(arena, sizeof(*m));
	Ltpb__Cosignature *s = lt_arena_alloc(arena, sizeof(*s));
	Ltpb__Cosignature **list = lt_arena_alloc(arena, sizeof(Ltpb__Cosignature *));

	if (m == NULL || s == NULL || list == NULL)
		return NULL;
	ltpb__checkpoint__init(m);
	ltpb__cosignature__init(s);
	m->body.data = lt_arena_dup(arena, row->body.data, row->body.len);
	m->body.len = row->body.len;
	m->signature.data = lt_arena_dup(arena, row->signature.data, LT_SIG_LEN);
	m->signature.len = LT_SIG_LEN;
	s->principal.data = lt_arena_dup(arena, n->identity->principal.b, LT_ID_LEN);
	s->principal.len = LT_ID_LEN;
	s->key_no = w->key_no;
	s->signature.data = lt_arena_dup(arena, w->cosignature, LT_SIG_LEN);
	s->signature.len = LT_SIG_LEN;
	m->cosignature = list;
	list[m->n_cosignature++] = s;
	return m->body.data == NULL || m->signature.data == NULL || s->principal.data == NULL ||
		       s->signature.data == NULL
		   ? NULL
		   : m;
}

Ltpb__Checkpoint *
lt_node_checkpoint_give(struct lt_node *n, struct lt_arena *arena, struct lt_hash *hash)
{
	struct lt_watch *w = n->watch;
	struct lt_checkpoint_signed row;
	Ltpb__Checkpoint *m = NULL;
	struct lt_kv_txn *txn;

	if (lt_kv_begin_read(n->kv, &txn) != LT_OK)
		return NULL;
	if (lt_checkpoint_get(txn, &row) == LT_OK) {
		pthread_mutex_lock(&w->mx);
		if (is_agreed(n, txn, &row)) {
			m = pack_agreed(n, arena, &row);
			*hash = w->hash;
		}
		pthread_mutex_unlock(&w->mx);
	}
	lt_kv_abort(txn);
	return m;
}
