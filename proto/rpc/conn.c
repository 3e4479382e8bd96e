#include "proto/rpc/conn_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RX_SMALL 2048
#define RX_LARGE ((size_t)36 * 1024)
#define RX_SMALL_RUN 64
#define TX_BATCH ((size_t)16 * 1024)
/* A connection that has sent so often has something to gain from a second operation, and memory for it. */
#define TX_NOW_AFTER 16
/* Of most answers, so that their buffer need not grow. */
#define TX_ROOM 1024
/* How often a clock that is not the machine's is looked at: it may jump. */
#define DRIVEN_CLOCK_MS 10

#ifdef __SANITIZE_THREAD__
/* Of the sanitizer's run time, which has no header for them. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define UNSEEN_BEGIN() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define UNSEEN_END() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define UNSEEN_BEGIN() ((void)0)
#define UNSEEN_END() ((void)0)
#endif

static void rx_start(struct lt_conn *c);

int
lt_conn_nng_error(int rv)
{
	switch (rv) {
	case 0:
		return LT_OK;
	case NNG_ENOMEM:
		return LT_E_NOMEM;
	case NNG_EINVAL:
	case NNG_EADDRINVAL:
	case NNG_ENOTSUP:
		return LT_E_INVALID;
	case NNG_EADDRINUSE:
		return LT_E_BUSY;
	case NNG_ETIMEDOUT:
		return LT_E_TIMEOUT;
	case NNG_ECLOSED:
	case NNG_ECONNSHUT:
	case NNG_ECONNRESET:
	case NNG_ECANCELED:
		return LT_E_CLOSED;
	case NNG_EPERM:
		return LT_E_DENIED;
	default:
		return LT_E_UNAVAILABLE;
	}
}

int64_t
lt_conn_now(const struct lt_conn *c)
{
	return lt_mono_ms(c->clock);
}

void
lt_conn_ref(struct lt_conn *c)
{
	atomic_fetch_add(&c->refs, 1);
}

void
lt_conn_unref(struct lt_conn *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	c->ops->fini(c);
	lt_line_free(c->line);
	lt_mux_fini(&c->mux);
	lt_buf_fini(&c->txbuf);
	free(c->rxbuf);
	pthread_mutex_destroy(&c->mx);
	free(c);
}

static void
release(void *arg)
{
	lt_conn_unref(arg);
}

void
lt_conn_push(struct lt_conn *c)
{
	lt_conn_ref(c);
	lt_pool_push(c->pool, &c->task);
}

void
lt_conn_push_task(struct lt_conn *c, struct lt_task *t)
{
	struct lt_conn_batch *b = c->batch;

	if (b == NULL) {
		lt_pool_push(c->pool, t);
		return;
	}
	if (b->n == sizeof(b->task) / sizeof(b->task[0])) {
		lt_pool_push_all(c->pool, b->task, b->n);
		b->n = 0;
	}
	b->task[b->n++] = t;
}

/* ---- the end ---- */

/* nng's dialer is held by us and by each stream that it makes; whoever lets go last destroys its mutex: for a dial
 * that came to nothing nng's own thread, which knows by an atomic count that we have left the mutex for good. The
 * sanitizer does not see the atomics of a library built without it and would take the two for a race, so our steps
 * inside nng are not recorded here. That holds for this one mutex; what they order for others still counts. */
static void
dialer_close(struct lt_conn *c)
{
	UNSEEN_BEGIN();
	if (c->dialer != NULL)
		nng_stream_dialer_close(c->dialer);
	if (c->dial != NULL)
		nng_aio_stop(c->dial);
	UNSEEN_END();
}

static void
dialer_free(struct lt_conn *c)
{
	UNSEEN_BEGIN();
	if (c->dialer != NULL)
		nng_stream_dialer_free(c->dialer);
	UNSEEN_END();
}

static void
reap(void *arg)
{
	struct lt_conn *c = arg;

	dialer_close(c);
	if (c->stream != NULL)
		nng_stream_close(c->stream);
	if (c->rx != NULL)
		nng_aio_stop(c->rx);
	if (c->tx != NULL)
		nng_aio_stop(c->tx);
	if (c->now != NULL)
		nng_aio_stop(c->now);
	lt_timer_disarm(c->pool, &c->timer);
	/* The dialer first: the stream keeps what it needs of it, and is the last to be let go. */
	dialer_free(c);
	if (c->stream != NULL)
		nng_stream_free(c->stream);
	nng_aio_free(c->rx);
	nng_aio_free(c->tx);
	nng_aio_free(c->now);
	nng_aio_free(c->dial);
	c->ops->gone(c);
	lt_conn_unref(c);
}

void
lt_conn_die(struct lt_conn *c, int rc, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	c->rc = rc;
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	lt_pool_chore(c->pool, &c->reap);
}

/* ---- sending ---- */

static void
tx_send(struct lt_conn *c)
{
	nng_iov iov = { .iov_buf = c->txbuf.data + c->txoff, .iov_len = c->txbuf.len - c->txoff };

	(void)nng_aio_set_iov(c->tx, 1, &iov);
	c->tx_busy = true;
	nng_stream_send(c->stream, c->tx);
}

static void
tx_failed(struct lt_conn *c, int rv)
{
	/* The receiver sees the same end and may know more (a refusal). */
	lt_conn_die(c,
	    c->phase == LT_CONN_HANDSHAKE && lt_line_heard(c->line) ? LT_E_DENIED : LT_E_CLOSED,
	    nng_strerror(rv));
}

static bool
tx_now_ready(struct lt_conn *c)
{
	if (c->now == NULL && ++c->sends >= TX_NOW_AFTER) {
		c->sends = 0;
		if (nng_aio_alloc(&c->now, NULL, NULL) != 0)
			c->now = NULL;
	}
	return c->now != NULL;
}

/* What the stream takes at once needs nobody to be told: an operation without a callback is over when we come back from
 * starting it, or is cancelled, and then has taken nothing. True: all is sent, or the connection is dead. */
static bool
tx_now(struct lt_conn *c)
{
	nng_iov iov;
	int rv;

	do {
		iov.iov_buf = c->txbuf.data + c->txoff;
		iov.iov_len = c->txbuf.len - c->txoff;
		(void)nng_aio_set_iov(c->now, 1, &iov);
		nng_stream_send(c->stream, c->now);
		nng_aio_cancel(c->now);
		nng_aio_wait(c->now);
		rv = nng_aio_result(c->now);
		if (rv == 0)
			c->txoff += nng_aio_count(c->now);
	} while (rv == 0 && c->txoff < c->txbuf.len);
	if (rv == NNG_ECANCELED)
		return false;
	if (rv != 0)
		tx_failed(c, rv);
	return true;
}

static void
wake(struct lt_conn *c, struct lt_mux_call *one, bool all)
{
	struct lt_mux_call *mc;

	if (one != NULL)
		c->ops->writable(c, one);
	for (mc = all ? lt_mux_next(&c->mux, NULL) : NULL; mc != NULL;
	     mc = lt_mux_next(&c->mux, mc)) {
		if (mc->want) {
			mc->want = false;
			c->ops->writable(c, mc);
		}
	}
}

static void
seal_frames(struct lt_conn *c)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_mux_call *woke;
	bool woke_all;
	size_t len;

	if (lt_mux_has_frame(&c->mux))
		(void)lt_buf_reserve(&c->txbuf, TX_ROOM);
	while (c->txbuf.len < TX_BATCH) {
		len = lt_mux_take(&c->mux, frame, &woke, &woke_all);
		if (len == 0)
			break;
		lt_line_seal(c->line, lt_slice(frame, len), &c->txbuf);
		wake(c, woke, woke_all);
	}
}

static bool
all_sent(const struct lt_conn *c)
{
	return !c->tx_busy && c->mux.queued == 0 && !lt_mux_has_frame(&c->mux);
}

void
lt_conn_kick(struct lt_conn *c)
{
	if (c->dead || c->phase == LT_CONN_CONNECTING)
		return;
	if (c->mux.err != LT_OK) {
		lt_conn_die(c, c->mux.err, "the peer does not read what it asked for");
		return;
	}
	if (!c->tx_busy) {
		if (c->phase == LT_CONN_OPEN)
			seal_frames(c);
		if (c->txbuf.err != LT_OK) {
			lt_conn_die(c, c->txbuf.err, "out of memory");
			return;
		}
		if (c->txbuf.len == 0)
			return;
		c->txoff = 0;
		c->tx_progress_ms = lt_conn_now(c);
		/* Much more may wait behind a full buffer: that goes piece by piece, without holding the lock all the while. */
		if (c->txbuf.len >= TX_BATCH || !tx_now_ready(c) || !tx_now(c)) {
			tx_send(c);
		} else {
			lt_buf_fini(&c->txbuf); /* an idle connection keeps no memory */
			if (c->finishing && all_sent(c))
				lt_conn_die(c, LT_E_CLOSED, "stopping");
		}
	}
	if (c->mux.queued > LT_CONN_SEND_QUEUE_MAX)
		lt_conn_due(c, c->tx_progress_ms + LT_CONN_STALL_MS);
}

static void
flush(void *arg)
{
	struct lt_conn *c = arg;

	pthread_mutex_lock(&c->mx);
	lt_conn_kick(c);
	pthread_mutex_unlock(&c->mx);
}

void
lt_conn_kick_behind(struct lt_conn *c)
{
	if (c->dead || c->tx_busy || c->phase != LT_CONN_OPEN) {
		lt_conn_kick(c);
		return;
	}
	lt_conn_ref(c);
	if (lt_pool_push_behind(c->pool, &c->flush))
		return;
	lt_conn_kick(c);
	lt_conn_unref(c);
}

void
lt_conn_finish(struct lt_conn *c, const char *why)
{
	if (c->phase != LT_CONN_OPEN || all_sent(c))
		lt_conn_die(c, LT_E_CLOSED, why);
	else
		c->finishing = true;
}

static void
tx_cb(void *arg)
{
	struct lt_conn *c = arg;
	int rv = nng_aio_result(c->tx);

	pthread_mutex_lock(&c->mx);
	if (c->dead)
		goto out;
	if (rv != 0) {
		tx_failed(c, rv);
		goto out;
	}
	c->txoff += nng_aio_count(c->tx);
	c->tx_progress_ms = lt_conn_now(c);
	if (c->txoff < c->txbuf.len) {
		tx_send(c);
		goto out;
	}
	c->tx_busy = false;
	lt_buf_clear(&c->txbuf);
	lt_conn_kick(c);
	if (!c->tx_busy)
		lt_buf_fini(&c->txbuf); /* an idle connection keeps no memory */
	if (c->finishing && all_sent(c))
		lt_conn_die(c, LT_E_CLOSED, "stopping");
out:
	pthread_mutex_unlock(&c->mx);
}

/* ---- receiving ---- */

static void
opened(struct lt_conn *c)
{
	c->phase = LT_CONN_OPEN;
	c->frame_by_ms = INT64_MAX;
	c->last_rx_ms = lt_conn_now(c);
	c->pinged = false;
	lt_conn_due(c, c->last_rx_ms + c->idle_ms / 2);
	c->ops->opened(c);
}

static void
frame_in(struct lt_conn *c, struct lt_slice frame)
{
	struct lt_mux_event ev;
	const char *why;

	c->last_rx_ms = lt_conn_now(c);
	c->pinged = false;
	c->frames_in++;
	if (lt_mux_frame(&c->mux, frame, &ev, &why) != LT_OK) {
		lt_conn_die(c, LT_E_INVALID, why);
		return;
	}
	c->ops->event(c, &ev);
}

/* The time of a frame runs from its first byte, whatever else of it comes. */
static void
frame_begun(struct lt_conn *c)
{
	if (c->dead || c->phase != LT_CONN_OPEN || !lt_line_partial(c->line) ||
	    c->frame_by_ms != INT64_MAX)
		return;
	c->frame_by_ms = lt_conn_now(c) + LT_CONN_FRAME_MS;
	lt_conn_due(c, c->frame_by_ms);
}

/* Returns false when nothing more is to be received for now. */
static bool
feed(struct lt_conn *c, const uint8_t *data, size_t len)
{
	uint8_t plain[LT_LINE_PLAIN_MAX];
	size_t plain_len = 0;
	int rc;

	do {
		rc = lt_line_feed(c->line, &data, &len, plain, &plain_len);
		if (rc < 0) {
			lt_conn_die(c, c->phase == LT_CONN_HANDSHAKE ? LT_E_DENIED : rc,
			    lt_line_why(c->line));
			return false;
		}
		if (rc == LT_LINE_WORK) {
			c->line_work = true;
			if (c->ops->knocked == NULL || c->ops->knocked(c))
				lt_conn_push(c);
			return false;
		}
		if (c->phase == LT_CONN_HANDSHAKE && lt_line_ready(c->line))
			opened(c);
		if (rc == LT_LINE_FRAME) {
			c->frame_by_ms = INT64_MAX;
			frame_in(c, lt_slice(plain, plain_len));
		}
	} while (!c->dead && len != 0);
	frame_begun(c);
	lt_conn_kick(c);
	return !c->dead;
}

/* Idle connections keep a small buffer, busy ones get a large one. */
static void
rx_size(struct lt_conn *c, size_t got)
{
	size_t want = c->rxcap;
	uint8_t *p;

	c->rx_small = got <= RX_SMALL / 2 ? c->rx_small + 1 : 0;
	if (got == c->rxcap)
		want = RX_LARGE;
	else if (c->rx_small > RX_SMALL_RUN)
		want = RX_SMALL;
	if (want == c->rxcap)
		return;
	p = malloc(want);
	if (p == NULL)
		return;
	free(c->rxbuf);
	c->rxbuf = p;
	c->rxcap = want;
}

static void
rx_cb(void *arg)
{
	struct lt_conn *c = arg;
	struct lt_conn_batch batch;
	int rv = nng_aio_result(c->rx);
	size_t got = rv == 0 ? nng_aio_count(c->rx) : 0;
	bool more = false;

	batch.n = 0;
	pthread_mutex_lock(&c->mx);
	if (c->dead)
		goto out;
	if (rv != 0 || got == 0) {
		lt_conn_die(c,
		    c->phase != LT_CONN_HANDSHAKE ? LT_E_CLOSED
		    : lt_line_heard(c->line)      ? LT_E_DENIED
						  : LT_E_UNAVAILABLE,
		    c->phase == LT_CONN_HANDSHAKE ? LT_WHY_AT_THE_DOOR
						  : "closed by the other side");
		goto out;
	}
	c->batch = &batch;
	more = feed(c, c->rxbuf, got);
	c->batch = NULL;
	if (more)
		rx_size(c, got);
out:
	pthread_mutex_unlock(&c->mx);
	/* Nothing else receives or frees what this takes: the end waits until we are back, and when it has begun nng starts
	 * nothing. Before anybody is woken, who might have this thread wait for the processor. */
	if (more)
		rx_start(c);
	lt_pool_push_all(c->pool, batch.task, batch.n);
}

static void
rx_start(struct lt_conn *c)
{
	nng_iov iov = { .iov_buf = c->rxbuf, .iov_len = c->rxcap };

	(void)nng_aio_set_iov(c->rx, 1, &iov);
	nng_stream_recv(c->stream, c->rx);
}

/* ---- the handshake, on a worker ---- */

static void
handshake(struct lt_conn *c)
{
	bool due;
	int rc;

	pthread_mutex_lock(&c->mx);
	due = c->line_work && !c->dead;
	pthread_mutex_unlock(&c->mx);
	if (!due)
		return;
	rc = lt_line_work(c->line, c->ops->admit, c);
	pthread_mutex_lock(&c->mx);
	c->line_work = false;
	if (c->dead)
		goto out;
	if (rc != LT_OK) {
		lt_conn_die(c, LT_E_DENIED, lt_line_why(c->line));
		goto out;
	}
	lt_line_out(c->line, &c->txbuf);
	if (lt_line_ready(c->line))
		opened(c);
	lt_conn_kick(c);
	if (!c->dead)
		rx_start(c);
out:
	pthread_mutex_unlock(&c->mx);
}

static void
task(void *arg)
{
	struct lt_conn *c = arg;

	handshake(c);
	c->ops->task(c);
}

/* ---- time ---- */

void
lt_conn_due(struct lt_conn *c, int64_t due_ms)
{
	int64_t delay;

	if (c->dead || due_ms >= c->armed_ms)
		return;
	delay = due_ms - lt_conn_now(c);
	if (c->clock != lt_clock_system() && delay > DRIVEN_CLOCK_MS)
		delay = DRIVEN_CLOCK_MS;
	c->armed_ms = due_ms;
	if (lt_timer_arm(c->pool, &c->timer, delay) != LT_OK)
		lt_conn_die(c, LT_E_NOMEM, "out of memory");
}

/* When the connection itself must be looked at again. */
static int64_t
conn_tick(struct lt_conn *c, int64_t now)
{
	int64_t due = c->last_rx_ms + c->idle_ms, stall;

	if (c->phase != LT_CONN_OPEN) {
		if (now >= c->open_by_ms)
			lt_conn_die(c, LT_E_TIMEOUT, "handshake not finished in time");
		return c->open_by_ms;
	}
	if (now >= due) {
		lt_conn_die(c, LT_E_TIMEOUT, "nothing heard for too long");
		return INT64_MAX;
	}
	if (now >= c->frame_by_ms) {
		lt_conn_die(c, LT_E_TIMEOUT, "a frame has begun and does not end");
		return INT64_MAX;
	}
	if (!c->pinged) {
		due -= c->idle_ms - c->idle_ms / 2;
		if (now >= due) {
			lt_mux_ping(&c->mux, (uint64_t)now);
			c->pinged = true;
			due = c->last_rx_ms + c->idle_ms;
		}
	}
	if (c->tx_busy) {
		stall = c->mux.queued > LT_CONN_SEND_QUEUE_MAX && c->idle_ms > LT_CONN_STALL_MS
			    ? LT_CONN_STALL_MS
			    : c->idle_ms;
		if (now >= c->tx_progress_ms + stall)
			lt_conn_die(c, LT_E_TIMEOUT, "the peer does not read");
		due = c->tx_progress_ms + stall < due ? c->tx_progress_ms + stall : due;
	}
	return c->frame_by_ms < due ? c->frame_by_ms : due;
}

static void
on_timer(void *arg)
{
	struct lt_conn *c = arg;
	int64_t now, due, other;

	pthread_mutex_lock(&c->mx);
	if (c->dead)
		goto out;
	now = lt_conn_now(c);
	c->armed_ms = INT64_MAX;
	due = conn_tick(c, now);
	if (!c->dead && c->phase == LT_CONN_OPEN) {
		other = c->ops->tick(c, now);
		due = other < due ? other : due;
		lt_conn_kick(c);
	}
	lt_conn_due(c, due);
out:
	pthread_mutex_unlock(&c->mx);
}

/* ---- the start ---- */

struct lt_conn *
lt_conn_new(struct lt_pool *pool, const struct lt_clock *clock, const struct lt_conn_ops *ops,
    bool initiator, uint32_t idle_ms, uint32_t open_ms)
{
	static _Atomic uint64_t ids;
	struct lt_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->rxbuf = malloc(RX_SMALL);
	if (c->rxbuf == NULL || nng_aio_alloc(&c->rx, rx_cb, c) != 0 ||
	    nng_aio_alloc(&c->tx, tx_cb, c) != 0) {
		nng_aio_free(c->rx);
		free(c->rxbuf);
		free(c);
		return NULL;
	}
	c->rxcap = RX_SMALL;
	c->refs = 1;
	c->pool = pool;
	c->clock = clock;
	c->ops = ops;
	c->idle_ms = idle_ms != 0 ? idle_ms : LT_CONN_IDLE_MS;
	c->open_by_ms = lt_mono_ms(clock) + (open_ms != 0 ? open_ms : LT_CONN_HANDSHAKE_MS);
	c->armed_ms = c->frame_by_ms = INT64_MAX;
	c->peer.conn_id = ++ids;
	pthread_mutex_init(&c->mx, NULL);
	lt_mux_init(&c->mux, initiator);
	c->task.fn = task;
	c->flush.fn = flush;
	c->flush.work = LT_WORK_BRIEF;
	c->task.release = c->flush.release = release;
	c->timer.fn = on_timer;
	c->reap.fn = reap;
	c->task.arg = c->flush.arg = c->timer.arg = c->reap.arg = c;
	nng_aio_set_timeout(c->rx, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(c->tx, NNG_DURATION_INFINITE);
	return c;
}

void
lt_conn_start(struct lt_conn *c, nng_stream *stream, struct lt_line *line)
{
	c->stream = stream;
	if (line != NULL)
		c->line = line;
	c->phase = LT_CONN_HANDSHAKE;
	lt_conn_due(c, c->open_by_ms);
	lt_line_out(c->line, &c->txbuf);
	if (lt_line_ready(c->line))
		opened(c);
	lt_conn_kick(c);
	if (!c->dead)
		rx_start(c);
}

/* The other end of a local socket must be us or root; root may talk to anybody's daemon. */
static bool
server_trusted(struct lt_conn *c, nng_stream *s)
{
	uint64_t uid = UINT64_MAX;

	if (!c->local || geteuid() == 0)
		return true;
	return nng_stream_get_uint64(s, NNG_OPT_IPC_PEER_UID, &uid) == 0 &&
	       (uid == 0 || uid == geteuid());
}

static void
dial_cb(void *arg)
{
	struct lt_conn *c = arg;
	int rv = nng_aio_result(c->dial);
	nng_stream *s = rv == 0 ? nng_aio_get_output(c->dial, 0) : NULL;

	pthread_mutex_lock(&c->mx);
	if (c->dead) {
		if (s != NULL)
			nng_stream_free(s);
	} else if (rv != 0) {
		lt_conn_die(
		    c, rv == NNG_ETIMEDOUT ? LT_E_TIMEOUT : LT_E_UNAVAILABLE, nng_strerror(rv));
	} else if (!server_trusted(c, s)) {
		nng_stream_free(s);
		lt_conn_die(c, LT_E_DENIED, "the socket belongs to somebody else");
	} else {
		/* Held back for the other side's acknowledgement, the last piece within a credit window would
		 * wait its 40 ms, once a window. */
		if (!c->local)
			(void)nng_stream_set_bool(s, NNG_OPT_TCP_NODELAY, true);
		lt_conn_start(c, s, NULL);
	}
	pthread_mutex_unlock(&c->mx);
}

int
lt_conn_dial(struct lt_conn *c, const char *url, struct lt_line *line)
{
	int rv;

	c->line = line;
	rv = nng_stream_dialer_alloc(&c->dialer, url);
	if (rv == 0)
		rv = nng_aio_alloc(&c->dial, dial_cb, c);
	if (rv != 0)
		return lt_conn_nng_error(rv) == LT_E_NOMEM ? LT_E_NOMEM : LT_E_INVALID;
	nng_aio_set_timeout(c->dial, NNG_DURATION_INFINITE);
	pthread_mutex_lock(&c->mx);
	lt_conn_due(c, c->open_by_ms);
	UNSEEN_BEGIN();
	nng_stream_dialer_dial(c->dialer, c->dial);
	UNSEEN_END();
	pthread_mutex_unlock(&c->mx);
	return LT_OK;
}
