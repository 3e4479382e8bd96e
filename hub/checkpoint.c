#include "hub/checkpoint.h"
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/store/checkpoints.h"

#include <stdlib.h>
#include <string.h>

/* Until the log is looked at again, where nothing had changed. */
#define LOOK_AGAIN_MS INT64_C(1000)
/* What a checkpoint and a cosignature are on the wire, besides the body: signature, id and number with their tags and lengths. */
#define GROUP_COST 80
#define COSIGNATURE_COST 100
#define NUMBERS 64 /* rows of the tables below that are made room for at once */

struct cosigner {
	struct lt_id principal;
	struct lt_hash checkpoint;
	uint64_t number; /* rises with each that comes, of whomever */
	int64_t at_ms; /* monotonic */
	bool since_start; /* at_ms is of this process */
};

/* What a node was told on its connection. */
struct told {
	struct lt_id node;
	bool any;
	struct lt_hash newest;
	uint64_t number; /* of others' it was told, or could have been, up to this */
	int64_t next_ms;
	int64_t anew_ms; /* from then on a new connection is told of all again */
};

struct lt_checkpoints {
	struct lt_hub *h;
	pthread_mutex_t mx; /* guards what follows */
	bool making;
	int64_t look_ms;
	bool any;
	struct lt_hash hash;
	size_t len;
	uint8_t body[LT_CHECKPOINT_BYTES_MAX], signature[LT_SIG_LEN];
	uint64_t number;
	size_t ncosigner, ntold;
	struct cosigner *cosigner; /* LT_COSIGNERS_MAX at most, as many as there are */
	struct told *told; /* likewise; the longest there gives way */
	size_t oldest;
};

/* One more, zeroed; n is not counted up. NULL: no memory. */
static void *
one_more(void **v, size_t n, size_t size)
{
	void *more = *v;

	if (n % NUMBERS == 0)
		more = realloc(*v, (n + NUMBERS) * size);
	if (more == NULL)
		return NULL;
	*v = more;
	return memset((char *)more + n * size, 0, size);
}

/* ---- life ---- */

static struct cosigner *
find_cosigner(struct lt_checkpoints *c, const struct lt_id *principal)
{
	size_t i;

	for (i = 0; i < c->ncosigner; i++)
		if (lt_id_eq(&c->cosigner[i].principal, principal))
			return &c->cosigner[i];
	return NULL;
}

/* With the lock, or before there are threads. */
static int
note_cosigner(struct lt_checkpoints *c, const struct lt_id *principal, struct lt_slice body)
{
	struct cosigner *s = find_cosigner(c, principal);
	void *v = c->cosigner;

	if (s == NULL && c->ncosigner == LT_COSIGNERS_MAX)
		return LT_E_REFUSED;
	if (s == NULL) {
		s = one_more(&v, c->ncosigner, sizeof(*s));
		if (s == NULL)
			return LT_E_NOMEM;
		c->cosigner = v;
		c->ncosigner++;
		s->principal = *principal;
	}
	lt_checkpoint_hash(body, &s->checkpoint);
	s->number = ++c->number;
	return LT_OK;
}

static int
load_cosigner(void *ctx, const struct lt_cosigned *row)
{
	int rc = note_cosigner(ctx, &row->principal, row->checkpoint.body);

	return rc == LT_E_REFUSED ? LT_OK : rc;
}

static void
publish(struct lt_checkpoints *c, const struct lt_checkpoint_signed *s)
{
	c->any = true;
	c->len = s->body.len;
	memcpy(c->body, s->body.data, s->body.len);
	memcpy(c->signature, s->signature.data, LT_SIG_LEN);
	lt_checkpoint_hash(s->body, &c->hash);
}

int
lt_checkpoints_open(struct lt_hub *h, struct lt_checkpoints **out)
{
	struct lt_checkpoints *c = calloc(1, sizeof(*c));
	struct lt_checkpoint_signed newest;
	struct lt_kv_txn *txn;
	int rc;

	*out = NULL;
	if (c == NULL)
		return LT_E_NOMEM;
	c->h = h;
	rc = lt_kv_begin_read(h->log, &txn);
	if (rc == LT_OK) {
		if (lt_checkpoint_get(txn, &newest) == LT_OK)
			publish(c, &newest);
		rc = lt_cosigned_each(txn, load_cosigner, c);
		lt_kv_abort(txn);
	}
	if (rc != LT_OK) {
		free(c->cosigner);
		free(c);
		return rc;
	}
	pthread_mutex_init(&c->mx, NULL);
	*out = c;
	return LT_OK;
}

void
lt_checkpoints_close(struct lt_checkpoints *c)
{
	if (c == NULL)
		return;
	pthread_mutex_destroy(&c->mx);
	free(c->cosigner);
	free(c->told);
	free(c);
}

/* ---- making one ---- */

struct making {
	struct lt_checkpoints *c;
	bool made;
	struct lt_buf body;
	uint8_t signature[LT_SIG_LEN];
};

/* It was restored, or is in doubt, and waits: the flag in memory may be a batch behind. */
static bool
waits(struct lt_kv_txn *txn)
{
	struct lt_slice row;
	int rc = lt_local_get(txn, "restored", &row);

	return rc == LT_OK ? row.len == 0 || row.data[0] == 1 : rc != LT_E_NOTFOUND;
}

/* Does the newest one say the same, with the key of now? */
static bool
is_said(struct lt_kv_txn *txn, const struct lt_checkpoint *now)
{
	struct lt_checkpoint_signed row;
	struct lt_checkpoint before;

	return lt_checkpoint_get(txn, &row) == LT_OK &&
	       lt_checkpoint_parse(row.body, &before, NULL) == LT_OK &&
	       before.key_no == now->key_no &&
	       lt_checkpoint_compare(&before, now, NULL) == LT_CHECKPOINTS_SAME;
}

/* Heads as of this transaction; nhead 0: nothing is to be said. */
static int
read_heads(struct lt_checkpoints *c, struct lt_kv_txn *txn, struct lt_checkpoint *out)
{
	const struct lt_identity *id = c->h->identity;
	int64_t now = lt_wall_ms(c->h->clock);
	int rc;

	memset(out, 0, sizeof(*out));
	rc = lt_checkpoint_read_log(txn, &id->principal, out);
	if (rc != LT_OK)
		return rc;
	out->federation = id->federation;
	out->key_no = id->key_no;
	out->time_ms = now > 0 && now < INT64_C(1) << 47 ? (uint64_t)now : 0;
	if (waits(txn) || (out->nhead != 0 && is_said(txn, out)))
		out->nhead = 0;
	return LT_OK;
}

static int
run_make(struct lt_kv_txn *txn, void *ctx)
{
	struct making *m = ctx;
	struct lt_checkpoint_signed row;
	struct lt_checkpoint now;
	int rc = read_heads(m->c, txn, &now);

	m->made = false;
	lt_buf_clear(&m->body);
	if (rc != LT_OK || now.nhead == 0)
		return rc;
	rc = lt_checkpoint_pack(&now, &m->body);
	if (rc != LT_OK)
		return rc;
	row.body = lt_buf_slice(&m->body);
	lt_sign(&m->c->h->identity->sign, LT_TAG_CHECKPOINT, row.body, m->signature);
	row.signature = lt_slice(m->signature, LT_SIG_LEN);
	m->made = true;
	return lt_checkpoint_put(txn, &row);
}

/* Whoever asks waits for the commit: then it is in this answer already. */
static void
make(struct lt_checkpoints *c)
{
	struct making m = { .c = c };
	int rc = lt_writer_run(c->h->writer, run_make, &m);
	struct lt_checkpoint_signed s = { lt_buf_slice(&m.body),
		lt_slice(m.signature, LT_SIG_LEN) };

	pthread_mutex_lock(&c->mx);
	if (rc == LT_OK && m.made)
		publish(c, &s);
	if (rc != LT_OK || m.made) /* a full disk is tried again no sooner */
		c->look_ms = lt_mono_ms(c->h->clock) + LT_CHECKPOINT_EVERY_MS;
	pthread_mutex_unlock(&c->mx);
	if (rc != LT_OK)
		lt_warn("no checkpoint could be written: %s", lt_strerror(rc));
	lt_buf_fini(&m.body);
}

/* Is there anything new to say? Asked by who answers, so that the writer is troubled for something only. */
static bool
is_due(struct lt_checkpoints *c)
{
	struct lt_checkpoint now = { .nhead = 0 };
	struct lt_kv_txn *txn;
	int rc;

	if (lt_hub_recovering(c->h))
		return false;
	rc = lt_kv_begin_read(c->h->log, &txn);
	if (rc == LT_OK) {
		rc = read_heads(c, txn, &now);
		lt_kv_abort(txn);
	}
	return rc == LT_OK && now.nhead != 0;
}

static void
look(struct lt_checkpoints *c)
{
	int64_t now = lt_mono_ms(c->h->clock);
	bool mine;

	pthread_mutex_lock(&c->mx);
	mine = !c->making && now >= c->look_ms;
	if (mine) {
		c->making = true;
		c->look_ms = now + LOOK_AGAIN_MS;
	}
	pthread_mutex_unlock(&c->mx);
	if (!mine)
		return;
	if (is_due(c))
		make(c);
	pthread_mutex_lock(&c->mx);
	c->making = false;
	pthread_mutex_unlock(&c->mx);
}

/* ---- what a node is told ---- */

struct telling {
	const struct lt_registry *reg;
	struct lt_arena *arena;
	struct lt_kv_txn *txn;
	size_t n; /* who has something to tell: in the order in which it came */
	struct teller {
		struct lt_id principal;
		uint64_t number;
	} * who;
	size_t ngroup, bytes;
	struct lt_hash hash[LT_COSIGNED_GROUPS_MAX];
	Ltpb__Checkpoint *group[LT_COSIGNED_GROUPS_MAX];
	bool full; /* the last one that was asked for had no room */
};

/* With the lock. NULL: no memory. */
static struct told *
told_of(struct lt_checkpoints *c, const struct lt_id *node)
{
	void *v = c->told;
	struct told *t;
	size_t i;

	for (i = 0; i < c->ntold; i++)
		if (lt_id_eq(&c->told[i].node, node))
			return &c->told[i];
	if (c->ntold == LT_COSIGNERS_MAX) {
		t = &c->told[c->oldest];
		c->oldest = (c->oldest + 1) % LT_COSIGNERS_MAX;
		memset(t, 0, sizeof(*t));
	} else {
		t = one_more(&v, c->ntold, sizeof(*t));
		if (t == NULL)
			return NULL;
		c->told = v;
		c->ntold++;
	}
	t->node = *node;
	return t;
}

static int
pack_one(
    struct lt_arena *arena, struct lt_slice body, struct lt_slice signature, Ltpb__Checkpoint **out)
{
	Ltpb__Checkpoint *m = lt_arena_alloc(arena, sizeof(*m));

	if (m == NULL)
		return LT_E_NOMEM;
	ltpb__checkpoint__init(m);
	m->body.data = lt_arena_dup(arena, body.data, body.len);
	m->body.len = body.len;
	m->signature.data = lt_arena_dup(arena, signature.data, signature.len);
	m->signature.len = signature.len;
	m->cosignature = lt_arena_alloc(arena, LT_COSIGNED_EACH_MAX * sizeof(Ltpb__Cosignature *));
	*out = m;
	return m->body.data == NULL || m->signature.data == NULL || m->cosignature == NULL
		   ? LT_E_NOMEM
		   : LT_OK;
}

static int
by_number(const void *a, const void *b)
{
	const struct teller *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* With the lock: whom this node has not been told of yet, in the order of their numbers: what has room moves the bound, whatever the rest. */
static int
gather(struct lt_checkpoints *c, const struct told *t, struct telling *g)
{
	size_t i, n = 0;

	g->who = lt_arena_alloc(g->arena, (c->ncosigner + 1) * sizeof(*g->who));
	if (g->who == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < c->ncosigner; i++) {
		if (c->cosigner[i].number <= t->number ||
		    lt_id_eq(&c->cosigner[i].principal, &t->node))
			continue;
		g->who[n].principal = c->cosigner[i].principal;
		g->who[n++].number = c->cosigner[i].number;
	}
	if (n > 1)
		qsort(g->who, n, sizeof(*g->who), by_number);
	g->n = n;
	return LT_OK;
}

static int
add_cosignature(struct telling *g, Ltpb__Checkpoint *m, const struct lt_cosigned *row)
{
	Ltpb__Cosignature *s = lt_arena_alloc(g->arena, sizeof(*s));

	if (s == NULL)
		return LT_E_NOMEM;
	ltpb__cosignature__init(s);
	s->principal.data = lt_arena_dup(g->arena, row->principal.b, LT_ID_LEN);
	s->principal.len = LT_ID_LEN;
	s->key_no = row->key_no;
	s->signature.data = lt_arena_dup(g->arena, row->cosignature.data, LT_SIG_LEN);
	s->signature.len = LT_SIG_LEN;
	if (s->principal.data == NULL || s->signature.data == NULL)
		return LT_E_NOMEM;
	m->cosignature[m->n_cosignature++] = s;
	g->bytes += COSIGNATURE_COST;
	return LT_OK;
}

/* first: only what is of a checkpoint that is not in the answer yet; else only another cosignature of one that is. */
static int
tell_one(struct telling *g, const struct lt_id *who, bool first)
{
	struct lt_cosigned row;
	struct lt_hash h;
	size_t i, cost;
	int rc = lt_cosigned_get(g->txn, who, &row);

	if (rc != LT_OK || lt_registry_node_key(g->reg, who, row.key_no) == NULL)
		return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? LT_OK : rc;
	lt_checkpoint_hash(row.checkpoint.body, &h);
	for (i = 0; i < g->ngroup && !lt_hash_eq(&g->hash[i], &h); i++)
		;
	if ((i < g->ngroup) == first)
		return LT_OK;
	cost = COSIGNATURE_COST + (first ? GROUP_COST + row.checkpoint.body.len : 0);
	if (i == LT_COSIGNED_GROUPS_MAX || g->bytes + cost > LT_COSIGNED_BYTES_MAX) {
		g->full = first;
		return LT_OK;
	}
	if (!first)
		return g->group[i]->n_cosignature == LT_COSIGNED_EACH_MAX ||
			       lt_id_eq(who, (const struct lt_id *)(const void *)g->group[i]
						 ->cosignature[0]
						 ->principal.data)
			   ? LT_OK
			   : add_cosignature(g, g->group[i], &row);
	rc =
	    pack_one(g->arena, row.checkpoint.body, row.checkpoint.signature, &g->group[g->ngroup]);
	if (rc != LT_OK)
		return rc;
	g->hash[g->ngroup++] = h;
	g->bytes += cost - COSIGNATURE_COST;
	return add_cosignature(g, g->group[i], &row);
}

/* Each checkpoint once, up to the first that has no room: *upto becomes the number before that one. Then as many cosignatures of these as there
 * is room for. */
static int
tell_others(struct lt_checkpoints *c, struct telling *g, uint64_t *upto)
{
	size_t i, n;
	int rc = lt_kv_begin_read(c->h->log, &g->txn);

	if (rc != LT_OK)
		return rc;
	for (n = 0; rc == LT_OK && n < g->n && !g->full; n++)
		rc = tell_one(g, &g->who[n].principal, true);
	if (g->full)
		*upto = g->who[--n].number - 1;
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = tell_one(g, &g->who[i].principal, false);
	lt_kv_abort(g->txn);
	return rc;
}

/* With the lock: the newest one, and who else is to be told of, as far as it is time. *upto: those with higher numbers come later. */
static int
begin_telling(struct lt_checkpoints *c, const struct lt_id *node, bool hello, struct telling *g,
    Ltpb__Checkpoint **newest, uint64_t *upto)
{
	int64_t now = lt_mono_ms(c->h->clock);
	struct told *t = told_of(c, node);
	int rc = LT_OK;

	*upto = 0;
	if (t == NULL)
		return LT_E_NOMEM;
	if (hello) {
		t->any = false;
		t->next_ms = now;
	}
	if (hello && now >= t->anew_ms) {
		t->number = 0;
		t->anew_ms = now + LT_COSIGNED_ANEW_MS;
	}
	if (c->any && !(t->any && lt_hash_eq(&t->newest, &c->hash))) {
		rc = pack_one(g->arena, lt_slice(c->body, c->len),
		    lt_slice(c->signature, LT_SIG_LEN), newest);
		t->any = true;
		t->newest = c->hash;
	}
	if (rc != LT_OK || now < t->next_ms || c->number <= t->number)
		return rc;
	t->next_ms = now + LT_COSIGNED_EVERY_MS;
	*upto = c->number;
	return gather(c, t, g);
}

int
lt_hub_checkpoint_tell(struct lt_hub *h, const struct lt_registry *reg, const struct lt_id *node,
    bool hello, struct lt_arena *arena, Ltpb__Checkpoint **newest, size_t *ncosigned,
    Ltpb__Checkpoint ***cosigned)
{
	struct lt_checkpoints *c = h->checkpoints;
	struct telling *g = lt_arena_alloc(arena, sizeof(*g));
	struct told *t;
	uint64_t upto;
	int rc;

	if (g == NULL)
		return LT_E_NOMEM;
	look(c);
	g->reg = reg;
	g->arena = arena;
	pthread_mutex_lock(&c->mx);
	rc = begin_telling(c, node, hello, g, newest, &upto);
	pthread_mutex_unlock(&c->mx);
	if (rc == LT_OK && g->n != 0)
		rc = tell_others(c, g, &upto);
	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&c->mx);
	t = told_of(c, node);
	if (t != NULL && upto > t->number)
		t->number = upto;
	pthread_mutex_unlock(&c->mx);
	*ncosigned = g->ngroup;
	*cosigned = g->group;
	return LT_OK;
}

/* ---- what a node cosigned ---- */

struct keeping {
	const struct lt_cosigned *row;
	struct lt_registry *reg;
	bool drops;
	struct lt_id gone; /* whose row gave way */
};

static bool
is_active(void *ctx, const struct lt_id *principal)
{
	return lt_registry_active_node(ctx, principal) != NULL;
}

/* LT_E_REFUSED: there is no room, and all whose rows there are count. */
static int
run_keep(struct lt_kv_txn *txn, void *ctx)
{
	struct keeping *k = ctx;
	struct lt_cosigned was;
	int rc = lt_cosigned_get(txn, &k->row->principal, &was);

	k->drops = false;
	if (rc == LT_E_NOTFOUND)
		rc = lt_cosigned_room(txn, is_active, k->reg, &k->drops, &k->gone);
	else
		rc = LT_OK;
	if (rc == LT_OK && k->drops)
		rc = lt_cosigned_drop(txn, &k->gone);
	return rc == LT_OK ? lt_cosigned_put(txn, k->row) : rc;
}

/* With the lock: its place is that of the last one. */
static void
forget_cosigner(struct lt_checkpoints *c, const struct lt_id *principal)
{
	struct cosigner *s = find_cosigner(c, principal);

	if (s != NULL)
		*s = c->cosigner[--c->ncosigner];
}

static int
keep(struct lt_hub *h, const struct lt_cosigned *row)
{
	struct lt_checkpoints *c = h->checkpoints;
	struct keeping k = { .row = row, .reg = lt_hub_registry(h) };
	struct cosigner *s;
	int rc = lt_writer_run(h->writer, run_keep, &k);

	lt_registry_unref(k.reg);
	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&c->mx);
	if (k.drops)
		forget_cosigner(c, &k.gone);
	rc = note_cosigner(c, &row->principal, row->checkpoint.body);
	s = find_cosigner(c, &row->principal);
	if (s != NULL) {
		s->at_ms = lt_mono_ms(h->clock);
		s->since_start = true;
	}
	pthread_mutex_unlock(&c->mx);
	return rc;
}

/* LT_OK: something new, and not too soon after the one before. */
static int
is_new(struct lt_checkpoints *c, const struct lt_id *node, struct lt_slice body)
{
	const struct cosigner *s;
	struct lt_hash h;
	int rc = LT_OK;

	lt_checkpoint_hash(body, &h);
	pthread_mutex_lock(&c->mx);
	s = find_cosigner(c, node);
	if (s != NULL &&
	    (lt_hash_eq(&s->checkpoint, &h) ||
		(s->since_start && lt_mono_ms(c->h->clock) - s->at_ms < LT_COSIGN_GAP_MS)))
		rc = LT_E_EXISTS;
	pthread_mutex_unlock(&c->mx);
	return rc;
}

static int
verify(struct lt_hub *h, const struct lt_principal *node, const Ltpb__Checkpoint *m,
    struct lt_err *err)
{
	struct lt_slice body = lt_slice(m->body.data, m->body.len);
	const Ltpb__Cosignature *s = m->cosignature[0];
	const struct lt_principal_key *key = lt_principal_key(node, s->key_no);
	struct lt_checkpoint c;
	struct lt_hash hash;
	int rc = lt_checkpoint_parse(body, &c, err);

	if (rc == LT_OK && c.key_no != h->identity->key_no)
		return lt_err_set(err, LT_E_UNKNOWN, "it is signed with a key of before");
	if (rc == LT_OK)
		rc = lt_checkpoint_verify(body, lt_slice(m->signature.data, m->signature.len),
		    &h->identity->federation, &h->identity->principal, h->identity->sign.pk, &c,
		    err);
	if (rc != LT_OK)
		return rc;
	lt_checkpoint_hash(body, &hash);
	if (key == NULL || !key->active ||
	    lt_cosign_verify(key->sign_key, &node->id, s->key_no, &hash,
		lt_slice(s->signature.data, s->signature.len)) != LT_OK)
		return lt_err_set(err, LT_E_BADSIG, "the node's signature on it does not verify");
	return LT_OK;
}

int
lt_hub_checkpoint_cosigned(struct lt_hub *h, const struct lt_principal *node,
    const Ltpb__Checkpoint *m, struct lt_err *err)
{
	int64_t now = lt_wall_ms(h->clock);
	struct lt_cosigned row;
	int rc;

	if (m->body.len == 0 || m->body.len > LT_CHECKPOINT_BYTES_MAX ||
	    m->signature.len != LT_SIG_LEN || m->n_cosignature != 1 ||
	    m->cosignature[0]->signature.len != LT_SIG_LEN ||
	    m->cosignature[0]->principal.len != LT_ID_LEN ||
	    memcmp(m->cosignature[0]->principal.data, node->id.b, LT_ID_LEN) != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "no checkpoint with this node's signature alone");
	rc = is_new(h->checkpoints, &node->id, lt_slice(m->body.data, m->body.len));
	if (rc == LT_OK)
		rc = verify(h, node, m, err);
	if (rc != LT_OK)
		return rc;
	row = (struct lt_cosigned){ .principal = node->id,
		.seen_ms = now > 0 ? (uint64_t)now : 0,
		.checkpoint = { lt_slice(m->body.data, m->body.len),
		    lt_slice(m->signature.data, LT_SIG_LEN) },
		.key_no = m->cosignature[0]->key_no,
		.cosignature = lt_slice(m->cosignature[0]->signature.data, LT_SIG_LEN) };
	return keep(h, &row);
}
