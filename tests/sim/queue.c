#include "tests/sim/sim.h"

#include <stdlib.h>

static bool
before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

void
sim_queue_push(struct sim_queue *q, const struct sim_event *ev)
{
	struct sim_event *e = malloc(sizeof(*e));
	size_t i;

	if (q->n == q->cap) {
		q->cap = q->cap == 0 ? 256 : 2 * q->cap;
		q->heap = realloc(q->heap, q->cap * sizeof(struct sim_event *));
	}
	if (e == NULL || q->heap == NULL)
		abort();
	*e = *ev;
	e->tie = ++q->tie;
	for (i = q->n++; i > 0 && before(e, q->heap[(i - 1) / 2]); i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = e;
}

struct sim_event *
sim_queue_pop(struct sim_queue *q)
{
	struct sim_event *out, *last;
	size_t i = 0, child;

	if (q->n == 0)
		return NULL;
	out = q->heap[0];
	last = q->heap[--q->n];
	while ((child = 2 * i + 1) < q->n) {
		if (child + 1 < q->n && before(q->heap[child + 1], q->heap[child]))
			child++;
		if (before(last, q->heap[child]))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	if (q->n > 0)
		q->heap[i] = last;
	return out;
}

void
sim_event_free(struct sim_event *ev)
{
	if (ev->message != NULL) {
		lt_buf_fini(&ev->message->bytes);
		free(ev->message);
	}
	free(ev->feeds);
	free(ev);
}

void
sim_queue_clear(struct sim_queue *q)
{
	struct sim_event *ev;

	while ((ev = sim_queue_pop(q)) != NULL)
		sim_event_free(ev);
	free(q->heap);
	memset(q, 0, sizeof(*q));
}
