/* The store in memory: for each table a treap that is copied along the path of a write, so that a
 * snapshot is a reference to a version of the whole and costs nothing to take or to hold. */
#include "proto/store/kv_image.h"
#include "proto/store/kv_impl.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* One entry's bytes, shared by all versions of the tree that hold it. */
struct blob {
	atomic_uint refs;
	size_t klen;
	size_t slen;
	uint8_t bytes[]; /* key, then stored */
};

/* A node with one reference belongs to one parent alone and may be changed in place. */
struct node {
	atomic_uint refs;
	uint64_t prio; /* no child's is higher */
	struct blob *b;
	struct node *l, *r;
};

struct root {
	struct node *n;
	uint64_t count;
};

/* What a commit left. Constant; held by the environment, by transactions and by images. */
struct version {
	atomic_uint refs;
	uint64_t rnd; /* for the next writer */
	struct root root[LT_KV_TABLES_MAX];
};

struct mem {
	struct lt_kv base;
	enum lt_kv_kind kind;
	bool has_federation;
	uint8_t federation[32];
	pthread_mutex_t mx; /* guards now and writing */
	pthread_cond_t idle;
	bool writing;
	uint64_t rnd; /* of the writer */
	struct version *now;
};

struct lt_kv_image {
	enum lt_kv_kind kind;
	bool has_federation;
	uint8_t federation[32];
	uint8_t incarnation[LT_KV_INCARNATION_LEN];
	unsigned ntables;
	struct version *v;
};

struct mem_txn {
	struct lt_kv_txn base;
	struct version *v; /* what it sees */
	struct version *next; /* what a writer makes; NULL for readers */
	bool touched[LT_KV_TABLES_MAX]; /* next has its own root of the table */
};

struct mem_cursor {
	struct lt_kv_cursor base;
	struct blob *at; /* borrowed from the transaction's tree */
};

static struct lt_slice
blob_key(const struct blob *b)
{
	return lt_slice(b->bytes, b->klen);
}

static struct lt_slice
blob_stored(const struct blob *b)
{
	return lt_slice(b->bytes + b->klen, b->slen);
}

static struct blob *
blob_new(struct lt_slice key, struct lt_slice stored)
{
	struct blob *b = malloc(sizeof(*b) + key.len + stored.len);

	if (b == NULL)
		return NULL;
	atomic_init(&b->refs, 1);
	b->klen = key.len;
	b->slen = stored.len;
	memcpy(b->bytes, key.data, key.len);
	if (stored.len != 0)
		memcpy(b->bytes + key.len, stored.data, stored.len);
	return b;
}

static void
blob_drop(struct blob *b)
{
	if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

static struct node *
node_ref(struct node *n)
{
	if (n != NULL)
		atomic_fetch_add(&n->refs, 1);
	return n;
}

static void
node_drop(struct node *n)
{
	if (n == NULL || atomic_fetch_sub(&n->refs, 1) != 1)
		return;
	node_drop(n->l);
	node_drop(n->r);
	blob_drop(n->b);
	free(n);
}

/* splitmix64: the shape of the tree needs no secret, and a fixed start makes runs repeat. */
static uint64_t
next_prio(struct mem *m)
{
	uint64_t z = m->rnd += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static struct node *
node_new(struct mem *m, struct lt_slice key, struct lt_slice stored)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->b = blob_new(key, stored);
	if (n->b == NULL) {
		free(n);
		return NULL;
	}
	atomic_init(&n->refs, 1);
	n->prio = next_prio(m);
	return n;
}

/* Make *p ours alone, by a copy if a snapshot holds it too. */
static int
own(struct node **p)
{
	struct node *n = *p, *c;

	if (atomic_load(&n->refs) == 1)
		return LT_OK;
	c = malloc(sizeof(*c));
	if (c == NULL)
		return LT_E_NOMEM;
	atomic_init(&c->refs, 1);
	c->prio = n->prio;
	c->b = n->b;
	atomic_fetch_add(&c->b->refs, 1);
	c->l = node_ref(n->l);
	c->r = node_ref(n->r);
	node_drop(n);
	*p = c;
	return LT_OK;
}

/* The left (right) child of *p takes its place. Both are owned. */
static void
rotate(struct node **p, bool left)
{
	struct node *n = *p, *c = left ? n->l : n->r;

	if (left) {
		n->l = c->r;
		c->r = n;
	} else {
		n->r = c->l;
		c->l = n;
	}
	*p = c;
}

/* Put the single node in; taken on success. *fresh: the key was not there. A failure in the
 * middle leaves a tree with the same entries. */
static int
insert(struct node **p, struct node *leaf, bool *fresh)
{
	struct node **side, *n;
	struct blob *b;
	int rc, c;

	if (*p == NULL) {
		*p = leaf;
		*fresh = true;
		return LT_OK;
	}
	rc = own(p);
	if (rc != LT_OK)
		return rc;
	n = *p;
	c = lt_slice_cmp(blob_key(leaf->b), blob_key(n->b));
	if (c == 0) {
		b = n->b;
		n->b = leaf->b;
		leaf->b = b;
		node_drop(leaf);
		*fresh = false;
		return LT_OK;
	}
	side = c < 0 ? &n->l : &n->r;
	rc = insert(side, leaf, fresh);
	if (rc == LT_OK && (*side)->prio > n->prio)
		rotate(p, c < 0);
	return rc;
}

/* Turn the owned node *p down until it has at most one child, then drop it. A failure leaves the
 * order whole; only the balance of a part is lost. */
static int
sink(struct node **p)
{
	struct node *n, *child;
	bool left;
	int rc;

	for (;;) {
		n = *p;
		if (n->l == NULL || n->r == NULL) {
			child = n->l != NULL ? n->l : n->r;
			n->l = n->r = NULL;
			*p = child;
			node_drop(n);
			return LT_OK;
		}
		left = n->l->prio > n->r->prio;
		rc = own(left ? &n->l : &n->r);
		if (rc != LT_OK)
			return rc;
		rotate(p, left);
		p = left ? &(*p)->r : &(*p)->l;
	}
}

static int
erase(struct node **p, struct lt_slice key)
{
	int rc, c;

	while (*p != NULL) {
		rc = own(p);
		if (rc != LT_OK)
			return rc;
		c = lt_slice_cmp(key, blob_key((*p)->b));
		if (c == 0)
			return sink(p);
		p = c < 0 ? &(*p)->l : &(*p)->r;
	}
	return LT_E_NOTFOUND;
}

/* The first entry above the key, or at it if `at` says so. */
static struct blob *
find_above(struct node *n, struct lt_slice key, bool at)
{
	struct blob *best = NULL;
	int c;

	while (n != NULL) {
		c = lt_slice_cmp(blob_key(n->b), key);
		if (c > 0 || (c == 0 && at)) {
			best = n->b;
			n = n->l;
		} else {
			n = n->r;
		}
	}
	return best;
}

/* The last entry below the key. */
static struct blob *
find_below(struct node *n, struct lt_slice key)
{
	struct blob *best = NULL;

	while (n != NULL) {
		if (lt_slice_cmp(blob_key(n->b), key) < 0) {
			best = n->b;
			n = n->r;
		} else {
			n = n->l;
		}
	}
	return best;
}

static struct blob *
find_last(struct node *n)
{
	while (n != NULL && n->r != NULL)
		n = n->r;
	return n == NULL ? NULL : n->b;
}

static struct version *
version_ref(struct version *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

static void
version_drop(struct version *v)
{
	size_t i;

	if (v == NULL || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	for (i = 0; i < LT_KV_TABLES_MAX; i++)
		node_drop(v->root[i].n);
	free(v);
}

static struct version *
version_new(void)
{
	struct version *v = calloc(1, sizeof(*v));

	if (v != NULL)
		atomic_init(&v->refs, 1);
	return v;
}

static void
mem_close(struct lt_kv *kv)
{
	struct mem *m = (struct mem *)kv;

	version_drop(m->now);
	(void)pthread_cond_destroy(&m->idle);
	(void)pthread_mutex_destroy(&m->mx);
	lt_kv_fini(kv);
	free(m);
}

static uint64_t
mem_used_bytes(struct lt_kv *kv)
{
	(void)kv;
	return 0;
}

static int
mem_begin(struct lt_kv *kv, bool write, struct lt_kv_txn **out)
{
	struct mem *m = (struct mem *)kv;
	struct mem_txn *t = calloc(1, sizeof(*t));

	/* Made here, so that a commit needs no memory. */
	if (t != NULL && write)
		t->next = version_new();
	if (t == NULL || (write && t->next == NULL)) {
		free(t);
		return LT_E_NOMEM;
	}
	(void)pthread_mutex_lock(&m->mx);
	while (write && m->writing)
		(void)pthread_cond_wait(&m->idle, &m->mx);
	if (write)
		m->writing = true;
	t->v = version_ref(m->now);
	(void)pthread_mutex_unlock(&m->mx);
	*out = &t->base;
	return LT_OK;
}

/* The tables that were not written to are those of before. */
static void
complete(struct mem_txn *t, uint64_t rnd)
{
	size_t i;

	for (i = 0; i < t->base.kv->ntables; i++)
		if (!t->touched[i]) {
			t->next->root[i].n = node_ref(t->v->root[i].n);
			t->next->root[i].count = t->v->root[i].count;
		}
	t->next->rnd = rnd;
}

/* Ends a transaction; a commit leaves its version in place of the old one. */
static void
mem_end(struct mem_txn *t, bool commit)
{
	struct mem *m = (struct mem *)t->base.kv;
	struct version *old = NULL;

	if (t->base.write) {
		if (commit)
			complete(t, m->rnd);
		(void)pthread_mutex_lock(&m->mx);
		if (commit) {
			old = m->now;
			m->now = t->next;
			t->next = NULL;
		}
		m->writing = false;
		(void)pthread_cond_signal(&m->idle);
		(void)pthread_mutex_unlock(&m->mx);
	}
	version_drop(old);
	version_drop(t->next);
	version_drop(t->v);
	free(t);
}

static int
mem_commit(struct lt_kv_txn *txn)
{
	mem_end((struct mem_txn *)txn, true);
	return LT_OK;
}

static void
mem_abort(struct lt_kv_txn *txn)
{
	mem_end((struct mem_txn *)txn, false);
}

static struct root *
root_of(struct lt_kv_txn *txn, unsigned table)
{
	struct mem_txn *t = (struct mem_txn *)txn;

	return t->touched[table] ? &t->next->root[table] : &t->v->root[table];
}

/* The same, to be written to. */
static struct root *
root_for_write(struct lt_kv_txn *txn, unsigned table)
{
	struct mem_txn *t = (struct mem_txn *)txn;

	if (!t->touched[table]) {
		t->next->root[table].n = node_ref(t->v->root[table].n);
		t->next->root[table].count = t->v->root[table].count;
		t->touched[table] = true;
	}
	return &t->next->root[table];
}

static int
mem_get(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice *stored)
{
	struct blob *b = find_above(root_of(txn, table)->n, key, true);

	if (b == NULL || !lt_slice_eq(blob_key(b), key))
		return LT_E_NOTFOUND;
	*stored = blob_stored(b);
	return LT_OK;
}

static int
mem_put(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	struct root *r = root_for_write(txn, table);
	struct node *leaf = node_new((struct mem *)txn->kv, key, stored);
	bool fresh = false;
	int rc;

	if (leaf == NULL)
		return LT_E_NOMEM;
	rc = insert(&r->n, leaf, &fresh);
	if (rc != LT_OK)
		node_drop(leaf);
	else if (fresh)
		r->count++;
	return rc;
}

static int
mem_append(struct lt_kv_txn *txn, unsigned table, struct lt_slice key, struct lt_slice stored)
{
	struct blob *last = find_last(root_of(txn, table)->n);

	if (last != NULL && lt_slice_cmp(key, blob_key(last)) <= 0)
		return LT_E_EXISTS;
	return mem_put(txn, table, key, stored);
}

static int
mem_del(struct lt_kv_txn *txn, unsigned table, struct lt_slice key)
{
	struct root *r = root_for_write(txn, table);
	int rc = erase(&r->n, key);

	if (rc == LT_OK)
		r->count--;
	return rc;
}

static int
mem_count(struct lt_kv_txn *txn, unsigned table, uint64_t *n)
{
	*n = root_of(txn, table)->count;
	return LT_OK;
}

static int
mem_clear(struct lt_kv_txn *txn, unsigned table)
{
	struct root *r = root_for_write(txn, table);

	node_drop(r->n);
	r->n = NULL;
	r->count = 0;
	return LT_OK;
}

static int
mem_cursor_open(struct lt_kv_txn *txn, unsigned table, struct lt_kv_cursor **out)
{
	struct mem_cursor *c = calloc(1, sizeof(*c));

	(void)txn;
	(void)table;
	if (c == NULL)
		return LT_E_NOMEM;
	*out = &c->base;
	return LT_OK;
}

static void
mem_cursor_close(struct lt_kv_cursor *c)
{
	free(c);
}

static int
stand_on(struct lt_kv_cursor *cur, struct blob *b, struct lt_slice *k, struct lt_slice *s)
{
	struct mem_cursor *c = (struct mem_cursor *)cur;

	c->at = b;
	if (b == NULL)
		return LT_E_NOTFOUND;
	*k = blob_key(b);
	*s = blob_stored(b);
	return LT_OK;
}

static int
mem_seek(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s)
{
	return stand_on(c, find_above(root_of(c->txn, c->table)->n, key, true), k, s);
}

static int
mem_seek_before(struct lt_kv_cursor *c, struct lt_slice key, struct lt_slice *k, struct lt_slice *s)
{
	struct node *n = root_of(c->txn, c->table)->n;

	return stand_on(c, key.len == 0 ? find_last(n) : find_below(n, key), k, s);
}

static int
mem_next(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s)
{
	struct lt_slice at = blob_key(((struct mem_cursor *)c)->at);

	return stand_on(c, find_above(root_of(c->txn, c->table)->n, at, false), k, s);
}

static int
mem_prev(struct lt_kv_cursor *c, struct lt_slice *k, struct lt_slice *s)
{
	struct lt_slice at = blob_key(((struct mem_cursor *)c)->at);

	return stand_on(c, find_below(root_of(c->txn, c->table)->n, at), k, s);
}

static const struct lt_kv_ops mem_ops = {
	.close = mem_close,
	.used_bytes = mem_used_bytes,
	.begin = mem_begin,
	.commit = mem_commit,
	.abort = mem_abort,
	.get = mem_get,
	.put = mem_put,
	.append = mem_append,
	.del = mem_del,
	.count = mem_count,
	.clear = mem_clear,
	.cursor_open = mem_cursor_open,
	.cursor_close = mem_cursor_close,
	.seek = mem_seek,
	.seek_before = mem_seek_before,
	.next = mem_next,
	.prev = mem_prev,
};

static int
open_over(const struct lt_kv_options *o, struct version *v, struct mem **out, struct lt_err *err)
{
	struct mem *m;

	if (sodium_init() < 0) {
		version_drop(v);
		return lt_err_set(err, LT_E_IO, "cannot start the cryptographic library");
	}
	m = calloc(1, sizeof(*m));
	if (v == NULL || m == NULL) {
		version_drop(v);
		free(m);
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	}
	lt_kv_init(&m->base, &mem_ops, o);
	m->kind = o->kind;
	m->has_federation = o->federation != NULL;
	if (m->has_federation)
		memcpy(m->federation, o->federation, sizeof(m->federation));
	(void)pthread_mutex_init(&m->mx, NULL);
	(void)pthread_cond_init(&m->idle, NULL);
	m->now = v;
	m->rnd = v->rnd;
	*out = m;
	return LT_OK;
}

int
lt_kv_open_mem(const struct lt_kv_options *o, struct lt_kv **out, struct lt_err *err)
{
	struct mem *m;
	int rc;

	*out = NULL;
	if (o->read_only)
		return lt_err_set(err, LT_E_NOTFOUND, "a store in memory begins empty");
	rc = open_over(o, version_new(), &m, err);
	if (rc != LT_OK)
		return rc;
	randombytes_buf(m->base.incarnation, sizeof(m->base.incarnation));
	*out = &m->base;
	return LT_OK;
}

/* ---- images ---- */

int
lt_kv_image_take(struct lt_kv *kv, struct lt_kv_image **out)
{
	struct mem *m = (struct mem *)kv;
	struct lt_kv_image *img = calloc(1, sizeof(*img));

	assert(kv->ops == &mem_ops);
	*out = img;
	if (img == NULL)
		return LT_E_NOMEM;
	img->kind = m->kind;
	img->has_federation = m->has_federation;
	memcpy(img->federation, m->federation, sizeof(img->federation));
	memcpy(img->incarnation, kv->incarnation, sizeof(img->incarnation));
	img->ntables = kv->ntables;
	(void)pthread_mutex_lock(&m->mx);
	img->v = version_ref(m->now);
	(void)pthread_mutex_unlock(&m->mx);
	return LT_OK;
}

void
lt_kv_image_free(struct lt_kv_image *img)
{
	if (img == NULL)
		return;
	version_drop(img->v);
	free(img);
}

int
lt_kv_open_image(const struct lt_kv_options *o, const struct lt_kv_image *img, struct lt_kv **out,
    struct lt_err *err)
{
	struct mem *m;
	int rc;

	*out = NULL;
	if (img->kind != o->kind || img->has_federation != (o->federation != NULL) ||
	    (img->has_federation &&
		memcmp(img->federation, o->federation, sizeof(img->federation)) != 0))
		return lt_err_set(err, LT_E_VERSION, "the image is another store's");
	rc = open_over(o, version_ref(img->v), &m, err);
	if (rc != LT_OK)
		return rc;
	if (m->base.ntables != img->ntables) {
		mem_close(&m->base);
		return lt_err_set(err, LT_E_VERSION, "the image has other tables");
	}
	memcpy(m->base.incarnation, img->incarnation, sizeof(m->base.incarnation));
	*out = &m->base;
	return LT_OK;
}
