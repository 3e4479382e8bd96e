#include "tests/fuzz/lib/net.h"

#include "proto/rpc/pool_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 100000 /* of callbacks in one run: beyond, something turns in a circle */
#define PIECES_MAX 1024 /* reads and writes in pieces in one run, then whole ones */

struct nng_aio {
	void (*cb)(void *);
	void *arg;
	int result;
	size_t count;
	nng_iov iov;
	void *output;
	bool pending; /* an operation is under way */
	bool done; /* its callback is due */
	struct nng_aio *next;
};

struct nng_stream {
	struct fuzz_end *end;
	nng_aio *rx, *tx;
	bool closed;
	struct nng_stream *next;
};

struct nng_stream_listener {
	nng_aio *accept;
};

struct nng_stream_dialer {
	nng_aio *dial;
};

struct lt_pool {
	struct lt_task *first, *last;
	struct lt_timer *timer[64];
	size_t ntimer;
	struct lt_chore *chore_first, *chore_last;
};

static struct lt_pool pool;
static nng_aio *aios;
static nng_stream *streams;
static nng_stream_listener *listener;
static nng_stream_dialer *dialer;
static unsigned nlisteners, ndialers;
static unsigned rounds;

/* ---- nng: operations ---- */

int
nng_aio_alloc(nng_aio **out, void (*cb)(void *), void *arg)
{
	nng_aio *a = calloc(1, sizeof(*a));

	FUZZ_MUST(a != NULL);
	a->cb = cb;
	a->arg = arg;
	a->next = aios;
	aios = a;
	*out = a;
	return 0;
}

static void
complete(nng_aio *a, int rv, size_t count)
{
	FUZZ_MUST(a->pending && !a->done);
	a->result = rv;
	a->count = count;
	a->done = true;
}

static void
call_back(nng_aio *a)
{
	a->pending = a->done = false;
	if (a->cb != NULL)
		a->cb(a->arg);
}

static void
begin(nng_aio *a)
{
	FUZZ_MUST(!a->pending); /* one operation at a time */
	a->pending = true;
	a->done = false;
	a->result = 0;
	a->count = 0;
}

static void
forget(nng_aio *a)
{
	nng_stream *s;

	for (s = streams; s != NULL; s = s->next) {
		if (s->rx == a)
			s->rx = NULL;
		if (s->tx == a)
			s->tx = NULL;
	}
	if (listener != NULL && listener->accept == a)
		listener->accept = NULL;
	if (dialer != NULL && dialer->dial == a)
		dialer->dial = NULL;
}

void
nng_aio_stop(nng_aio *a)
{
	if (a == NULL || !a->pending)
		return;
	forget(a);
	if (!a->done)
		complete(a, NNG_ECANCELED, 0);
	call_back(a);
}

void
nng_aio_cancel(nng_aio *a)
{
	if (!a->pending || a->done)
		return;
	forget(a);
	complete(a, NNG_ECANCELED, 0);
}

/* Only for operations without a callback that are over or have been cancelled: nothing moves meanwhile. */
void
nng_aio_wait(nng_aio *a)
{
	FUZZ_MUST(a->cb == NULL && (!a->pending || a->done));
	a->pending = a->done = false;
}

void
nng_aio_free(nng_aio *a)
{
	nng_aio **at = &aios;

	if (a == NULL)
		return;
	nng_aio_stop(a);
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

int
nng_aio_set_iov(nng_aio *a, unsigned n, const nng_iov *iov)
{
	FUZZ_MUST(n == 1);
	a->iov = *iov;
	return 0;
}

void
nng_aio_set_timeout(nng_aio *a, nng_duration ms)
{
	(void)a;
	(void)ms;
}

int
nng_aio_result(nng_aio *a)
{
	return a->result;
}

size_t
nng_aio_count(nng_aio *a)
{
	return a->count;
}

void *
nng_aio_get_output(nng_aio *a, unsigned i)
{
	(void)i;
	return a->output;
}

const char *
nng_strerror(int rv)
{
	return rv == NNG_ECLOSED ? "Object closed" : "some error of the network";
}

/* ---- nng: streams ---- */

static nng_stream *
stream_new(struct fuzz_end *end)
{
	nng_stream *s = calloc(1, sizeof(*s));

	FUZZ_MUST(s != NULL);
	s->end = end;
	end->stream = s;
	s->next = streams;
	streams = s;
	return s;
}

static bool try_write(nng_stream *s);

void
nng_stream_recv(nng_stream *s, nng_aio *a)
{
	begin(a);
	if (s->closed)
		complete(a, NNG_ECLOSED, 0);
	else
		s->rx = a;
}

void
nng_stream_send(nng_stream *s, nng_aio *a)
{
	begin(a);
	if (s->closed) {
		complete(a, NNG_ECLOSED, 0);
		return;
	}
	s->tx = a;
	if (a->cb == NULL)
		(void)try_write(s);
}

void
nng_stream_close(nng_stream *s)
{
	s->closed = true;
	if (s->rx != NULL)
		complete(s->rx, NNG_ECLOSED, 0);
	if (s->tx != NULL)
		complete(s->tx, NNG_ECLOSED, 0);
	s->rx = s->tx = NULL;
}

void
nng_stream_free(nng_stream *s)
{
	nng_stream **at = &streams;

	FUZZ_MUST(s->rx == NULL && s->tx == NULL);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->end->stream = NULL;
	free(s);
}

int
nng_stream_get_addr(nng_stream *s, const char *name, nng_sockaddr *sa)
{
	(void)s;
	(void)name;
	memset(sa, 0, sizeof(*sa));
	return NNG_ENOTSUP;
}

int
nng_stream_get_uint64(nng_stream *s, const char *name, uint64_t *v)
{
	(void)s;
	(void)name;
	*v = geteuid();
	return 0;
}

int
nng_stream_set_bool(nng_stream *s, const char *name, bool v)
{
	(void)s;
	(void)name;
	(void)v;
	return 0;
}

/* Bytes of the far end into the operation's memory. */
static bool
try_read(nng_stream *s)
{
	struct fuzz_end *e = s->end;
	nng_aio *a = s->rx;
	size_t n;

	if (a == NULL || (e->in.len == 0 && !e->eof))
		return false;
	n = e->in.len < a->iov.iov_len ? e->in.len : a->iov.iov_len;
	if (e->piece != 0 && n > e->piece && rounds < PIECES_MAX)
		n = e->piece;
	s->rx = NULL;
	if (n != 0) {
		memcpy(a->iov.iov_buf, e->in.data, n);
		memmove(e->in.data, e->in.data + n, e->in.len - n);
		e->in.len -= n;
	}
	complete(a, n == 0 ? NNG_ECONNSHUT : 0, n);
	return true;
}

static bool
try_write(nng_stream *s)
{
	struct fuzz_end *e = s->end;
	nng_aio *a = s->tx;
	size_t n;

	if (a == NULL || e->stalled)
		return false;
	n = a->iov.iov_len;
	if (e->piece != 0 && n > e->piece && rounds < PIECES_MAX)
		n = e->piece;
	s->tx = NULL;
	lt_buf_put(&e->out, a->iov.iov_buf, n);
	complete(a, 0, n);
	return true;
}

/* ---- nng: listeners and dialers ---- */

int
nng_stream_listener_alloc(nng_stream_listener **out, const char *url)
{
	(void)url;
	FUZZ_MUST(nlisteners++ == 0);
	*out = listener = calloc(1, sizeof(*listener));
	return 0;
}

int
nng_stream_listener_set_int(nng_stream_listener *l, const char *name, int v)
{
	(void)l;
	(void)name;
	(void)v;
	return 0;
}

int
nng_stream_listener_listen(nng_stream_listener *l)
{
	(void)l;
	return 0;
}

int
nng_stream_listener_get_addr(nng_stream_listener *l, const char *name, nng_sockaddr *sa)
{
	(void)l;
	(void)name;
	(void)sa;
	return NNG_ENOTSUP;
}

void
nng_stream_listener_accept(nng_stream_listener *l, nng_aio *a)
{
	begin(a);
	l->accept = a;
}

void
nng_stream_listener_close(nng_stream_listener *l)
{
	if (l->accept != NULL)
		complete(l->accept, NNG_ECLOSED, 0);
	l->accept = NULL;
}

void
nng_stream_listener_free(nng_stream_listener *l)
{
	nlisteners--;
	listener = NULL;
	free(l);
}

int
nng_stream_dialer_alloc(nng_stream_dialer **out, const char *url)
{
	(void)url;
	FUZZ_MUST(ndialers++ == 0);
	*out = dialer = calloc(1, sizeof(*dialer));
	return 0;
}

void
nng_stream_dialer_dial(nng_stream_dialer *d, nng_aio *a)
{
	begin(a);
	d->dial = a;
}

void
nng_stream_dialer_close(nng_stream_dialer *d)
{
	if (d->dial != NULL)
		complete(d->dial, NNG_ECLOSED, 0);
	d->dial = NULL;
}

void
nng_stream_dialer_free(nng_stream_dialer *d)
{
	ndialers--;
	dialer = NULL;
	free(d);
}

/* ---- the pool ---- */

int
lt_pool_start(unsigned nthreads, size_t queue_max, struct lt_pool **out)
{
	(void)nthreads;
	(void)queue_max;
	*out = &pool;
	return LT_OK;
}

unsigned
lt_pool_threads(const struct lt_pool *p, enum lt_work work)
{
	(void)p;
	(void)work;
	return 1;
}

void
lt_pool_stop(struct lt_pool *p)
{
	(void)p;
	fuzz_net_run();
}

static void
enqueue(struct lt_pool *p, struct lt_task *t)
{
	t->next = NULL;
	t->state = LT_TASK_QUEUED;
	if (p->last != NULL)
		p->last->next = t;
	else
		p->first = t;
	p->last = t;
}

void
lt_pool_push(struct lt_pool *p, struct lt_task *t)
{
	if (t->state == LT_TASK_IDLE) {
		enqueue(p, t);
		return;
	}
	if (t->state == LT_TASK_RUNNING)
		t->state = LT_TASK_AGAIN;
	t->release(t->arg);
}

void
lt_pool_push_all(struct lt_pool *p, struct lt_task *const *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		lt_pool_push(p, t[i]);
}

bool
lt_pool_push_behind(struct lt_pool *p, struct lt_task *t)
{
	if (p->first == NULL)
		return false;
	lt_pool_push(p, t);
	return true;
}

static void
run_task(struct lt_pool *p)
{
	struct lt_task *t = p->first;

	p->first = t->next;
	if (p->first == NULL)
		p->last = NULL;
	t->state = LT_TASK_RUNNING;
	t->fn(t->arg);
	if (t->state == LT_TASK_AGAIN) {
		enqueue(p, t);
	} else {
		t->state = LT_TASK_IDLE;
		t->release(t->arg);
	}
}

int
lt_pool_submit(struct lt_pool *p, void (*fn)(void *), void *arg)
{
	(void)p;
	(void)fn;
	(void)arg;
	return LT_E_UNAVAILABLE;
}

int
lt_timer_arm(struct lt_pool *p, struct lt_timer *t, int64_t delay_ms)
{
	if (t->at == 0) {
		FUZZ_MUST(p->ntimer < sizeof(p->timer) / sizeof(p->timer[0]));
		p->timer[p->ntimer++] = t;
		t->at = p->ntimer;
	}
	t->due_ms = fuzz_clock_ms + (delay_ms < 1 ? 1 : delay_ms);
	return LT_OK;
}

void
lt_timer_disarm(struct lt_pool *p, struct lt_timer *t)
{
	if (t->at == 0)
		return;
	p->timer[t->at - 1] = p->timer[--p->ntimer];
	p->timer[t->at - 1]->at = t->at;
	t->at = 0;
}

static bool
run_timer(struct lt_pool *p)
{
	struct lt_timer *t;
	size_t i;

	for (i = 0; i < p->ntimer; i++) {
		t = p->timer[i];
		if (t->due_ms > fuzz_clock_ms)
			continue;
		lt_timer_disarm(p, t);
		t->fn(t->arg);
		return true;
	}
	return false;
}

void
lt_pool_chore(struct lt_pool *p, struct lt_chore *c)
{
	c->next = NULL;
	if (p->chore_last != NULL)
		p->chore_last->next = c;
	else
		p->chore_first = c;
	p->chore_last = c;
}

static void
run_chore(struct lt_pool *p)
{
	struct lt_chore *c = p->chore_first;

	p->chore_first = c->next;
	if (p->chore_first == NULL)
		p->chore_last = NULL;
	c->fn(c->arg);
}

/* ---- for targets ---- */

struct lt_pool *
fuzz_net_pool(void)
{
	return &pool;
}

bool
fuzz_net_connect(struct fuzz_end *end)
{
	nng_aio *a = listener == NULL ? NULL : listener->accept;

	if (a == NULL)
		return false;
	listener->accept = NULL;
	a->output = stream_new(end);
	complete(a, 0, 0);
	return true;
}

bool
fuzz_net_answer(struct fuzz_end *end, int rv)
{
	nng_aio *a = dialer == NULL ? NULL : dialer->dial;

	if (a == NULL)
		return false;
	dialer->dial = NULL;
	a->output = rv == 0 ? stream_new(end) : NULL;
	complete(a, rv, 0);
	return true;
}

static bool
run_done(void)
{
	nng_aio *a;

	for (a = aios; a != NULL; a = a->next)
		if (a->pending && a->done) {
			call_back(a);
			return true;
		}
	return false;
}

static bool
run_streams(void)
{
	nng_stream *s;

	for (s = streams; s != NULL; s = s->next)
		if (try_write(s) || try_read(s))
			return true;
	return false;
}

void
fuzz_net_run(void)
{
	for (rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		if (run_done())
			continue;
		if (pool.chore_first != NULL)
			run_chore(&pool);
		else if (pool.first != NULL)
			run_task(&pool);
		else if (!run_timer(&pool) && !run_streams())
			return;
	}
	FUZZ_MUST(rounds < ROUNDS_MAX);
}

void
fuzz_net_check_idle(void)
{
	FUZZ_MUST(aios == NULL && streams == NULL && nlisteners == 0 && ndialers == 0);
	FUZZ_MUST(pool.first == NULL && pool.chore_first == NULL && pool.ntimer == 0);
}

void
fuzz_end_fini(struct fuzz_end *end)
{
	lt_buf_fini(&end->in);
	lt_buf_fini(&end->out);
}
