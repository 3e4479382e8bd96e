#include "hub/twins.h"

#include "proto/base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_FOR_MS 10000 /* an answer older than that is asked for again */

struct session {
	struct lt_id principal;
	bool open; /* the next two are of a session that said Hello */
	uint8_t instance[LT_INSTANCE_LEN];
	uint64_t conn_id;
	bool asked;
	int64_t asked_ms; /* on the monotonic clock */
	uint64_t frames; /* that had come then */
	uint64_t refused;
};

/* As many as there are principals of the registry that ever came: they do not go again, and are few. */
struct lt_twins {
	const struct lt_clock *clock;
	struct lt_twins_lines lines;
	pthread_mutex_t mx; /* guards what follows */
	size_t n, cap;
	struct session *s;
};

int
lt_twins_open(
    const struct lt_clock *clock, const struct lt_twins_lines *lines, struct lt_twins **out)
{
	struct lt_twins *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return LT_E_NOMEM;
	t->clock = clock;
	t->lines = *lines;
	pthread_mutex_init(&t->mx, NULL);
	*out = t;
	return LT_OK;
}

void
lt_twins_close(struct lt_twins *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->mx);
	free(t->s);
	free(t);
}

/* With the mutex held; NULL: memory. */
static struct session *
session_of(struct lt_twins *t, const struct lt_id *principal)
{
	struct session *more;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (lt_id_eq(&t->s[i].principal, principal))
			return &t->s[i];
	if (t->n == t->cap) {
		more = realloc(t->s, (t->cap == 0 ? 64 : 2 * t->cap) * sizeof(*more));
		if (more == NULL)
			return NULL;
		t->s = more;
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
	}
	t->s[t->n] = (struct session){ .principal = *principal };
	return &t->s[t->n++];
}

/* Of the one that is there, whose connection is not gone. With the mutex held. */
static enum lt_twin
weigh(struct lt_twins *t, struct session *s, uint64_t frames, int64_t now)
{
	if (s->asked && now - s->asked_ms < ASKED_FOR_MS) {
		if (frames != s->frames) {
			s->asked = false;
			s->refused++;
			return LT_TWIN_REFUSED;
		}
		return now - s->asked_ms < LT_TWINS_ASKED_MS ? LT_TWIN_ASKED : LT_TWIN_NONE;
	}
	s->asked = t->lines.look(t->lines.ctx, s->conn_id, true, &s->frames);
	s->asked_ms = now;
	return s->asked ? LT_TWIN_ASKED : LT_TWIN_NONE;
}

int
lt_twins_hello(struct lt_twins *t, const struct lt_id *principal,
    const uint8_t instance[LT_INSTANCE_LEN], uint64_t conn_id, enum lt_twin *out)
{
	uint64_t frames = 0, cut = 0;
	struct session *s;

	*out = LT_TWIN_NONE;
	pthread_mutex_lock(&t->mx);
	s = session_of(t, principal);
	if (s == NULL) {
		pthread_mutex_unlock(&t->mx);
		return LT_E_NOMEM;
	}
	if (s->open && s->conn_id != conn_id &&
	    memcmp(s->instance, instance, LT_INSTANCE_LEN) != 0 &&
	    t->lines.look(t->lines.ctx, s->conn_id, false, &frames)) {
		*out = weigh(t, s, frames, lt_mono_ms(t->clock));
		if (*out == LT_TWIN_NONE)
			cut = s->conn_id;
	}
	if (*out == LT_TWIN_NONE) {
		s->open = true;
		s->asked = false;
		s->conn_id = conn_id;
		memcpy(s->instance, instance, LT_INSTANCE_LEN);
	}
	pthread_mutex_unlock(&t->mx);
	if (cut != 0)
		t->lines.cut(t->lines.ctx, cut);
	return LT_OK;
}

void
lt_twins_gone(struct lt_twins *t, uint64_t conn_id)
{
	size_t i;

	pthread_mutex_lock(&t->mx);
	for (i = 0; i < t->n; i++)
		if (t->s[i].open && t->s[i].conn_id == conn_id)
			t->s[i].open = t->s[i].asked = false;
	pthread_mutex_unlock(&t->mx);
}

uint64_t
lt_twins_refused(struct lt_twins *t, const struct lt_id *principal)
{
	uint64_t n = 0;
	size_t i;

	pthread_mutex_lock(&t->mx);
	for (i = 0; i < t->n; i++)
		if (principal == NULL || lt_id_eq(&t->s[i].principal, principal))
			n += t->s[i].refused;
	pthread_mutex_unlock(&t->mx);
	return n;
}
