#include "hub/pull.h"

#include <pthread.h>
#include <stdlib.h>

#define STREAMS_MAX 4096

struct stream {
	struct lt_pulls *pulls;
	struct lt_call *call;
	struct lt_pull_plan *plan;
	struct stream *next, *prev;
};

struct lt_pulls {
	struct lt_hub *h;
	struct lt_pool *pool;
	pthread_mutex_t mx; /* guards what follows */
	struct stream *first;
	size_t nstream;
	uint64_t seen; /* log position up to which streams were woken */
	bool scanning;
};

/* Which units moved since last time, and whose streams that wakes. */
static void
scan(void *arg)
{
	struct lt_pulls *p = arg;
	struct lt_pull_news news;
	struct stream *s;
	uint64_t seen;

	pthread_mutex_lock(&p->mx);
	p->scanning = false;
	seen = p->seen;
	pthread_mutex_unlock(&p->mx);
	if (lt_pull_news_read(p->h, &seen, &news) != LT_OK)
		return;
	pthread_mutex_lock(&p->mx);
	if (seen > p->seen)
		p->seen = seen;
	for (s = p->first; s != NULL; s = s->next)
		if (lt_pull_news_concern(&news, lt_pull_plan_unit(s->plan)))
			lt_call_kick(s->call);
	pthread_mutex_unlock(&p->mx);
}

void
lt_pulls_news(struct lt_pulls *p)
{
	bool start;

	pthread_mutex_lock(&p->mx);
	start = p->first != NULL && !p->scanning;
	if (start)
		p->scanning = true;
	pthread_mutex_unlock(&p->mx);
	if (start && lt_pool_submit(p->pool, scan, p) != LT_OK) {
		pthread_mutex_lock(&p->mx);
		p->scanning = false; /* the next commit tries again */
		pthread_mutex_unlock(&p->mx);
	}
}

void
lt_pulls_recheck(struct lt_pulls *p)
{
	struct stream *s;

	pthread_mutex_lock(&p->mx);
	for (s = p->first; s != NULL; s = s->next)
		lt_call_kick(s->call);
	pthread_mutex_unlock(&p->mx);
}

static int
send_on(void *ctx, const ProtobufCMessage *item)
{
	return lt_call_send(ctx, item);
}

static void
ready(struct lt_call *call, void *ctx)
{
	struct stream *s = ctx;
	struct lt_status st;
	int rc = lt_pull_plan_send(s->plan, send_on, call);

	if (rc == LT_E_BUSY || rc == LT_E_CLOSED || (rc == LT_OK && lt_pull_plan_follows(s->plan)))
		return;
	if (rc == LT_OK)
		lt_status_set(&st, LT_STATUS_OK, "", "%s", "");
	else
		lt_status_set(&st, lt_status_from_error(rc), "PULL", "%s", lt_strerror(rc));
	lt_call_stream_end(call, &st);
}

static void
closed(void *ctx)
{
	struct stream *s = ctx;
	struct lt_pulls *p = s->pulls;

	pthread_mutex_lock(&p->mx);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		p->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	p->nstream--;
	pthread_mutex_unlock(&p->mx);
	lt_pull_plan_free(s->plan);
	free(s);
}

void
lt_pulls_start(struct lt_pulls *p, struct lt_call *call, struct lt_pull_plan *plan)
{
	static const struct lt_stream_ops ops = { ready, closed };
	struct stream *s = calloc(1, sizeof(*s));
	int rc = s == NULL ? LT_E_NOMEM : LT_OK;

	pthread_mutex_lock(&p->mx);
	if (rc == LT_OK && p->nstream == STREAMS_MAX)
		rc = LT_E_UNAVAILABLE;
	if (rc == LT_OK) {
		s->pulls = p;
		s->call = call;
		s->plan = plan;
		s->next = p->first;
		if (s->next != NULL)
			s->next->prev = s;
		p->first = s;
		p->nstream++;
	}
	pthread_mutex_unlock(&p->mx);
	if (rc != LT_OK) {
		lt_call_failf(call, lt_status_from_error(rc), "PULL", "%s", lt_strerror(rc));
		lt_pull_plan_free(plan);
		free(s);
		return;
	}
	lt_call_stream(call, &ops, s);
}

int
lt_pulls_open(struct lt_hub *h, struct lt_pool *pool, struct lt_pulls **out)
{
	struct lt_pulls *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return LT_E_NOMEM;
	p->h = h;
	p->pool = pool;
	p->seen = lt_hub_log_position(h);
	pthread_mutex_init(&p->mx, NULL);
	*out = p;
	return LT_OK;
}

void
lt_pulls_close(struct lt_pulls *p)
{
	if (p == NULL)
		return;
	pthread_mutex_destroy(&p->mx);
	free(p);
}
