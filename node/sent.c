#include "node/sent.h"
#include "proto/base/simbug.h"

/* The feed's own place, else a new one, else that of a feed with nothing under way: what it remembers is only held. */
static struct lt_sent_feed *
place_of(struct lt_sent *s, const struct lt_feed_id *feed)
{
	struct lt_sent_feed *idle = NULL;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (lt_feed_id_cmp(&s->feed[i].feed, feed) == 0)
			return &s->feed[i];
		if (idle == NULL && s->feed[i].to == 0)
			idle = &s->feed[i];
	}
	if (s->n < LT_SYNC_FEEDS_MAX)
		idle = &s->feed[s->n++];
	if (idle != NULL)
		*idle = (struct lt_sent_feed){ .feed = *feed };
	return idle;
}

void
lt_sent_begin(struct lt_sent *s, const struct lt_feed_id *feed, uint64_t to, uint64_t push)
{
	struct lt_sent_feed *f = place_of(s, feed);

	if (f == NULL)
		return;
	f->to = to;
	f->push = push;
}

void
lt_sent_end(struct lt_sent *s, uint64_t push, uint64_t held)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		struct lt_sent_feed *f = &s->feed[i];

		if (f->to == 0 || f->push != push)
			continue;
		f->to = 0;
		if (f->held < held)
			f->held = held;
	}
}

void
lt_sent_drop(struct lt_sent *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (LT_SIM_BUG(RESUME_AT_SENDER) && s->feed[i].held < s->feed[i].to)
			s->feed[i].held = s->feed[i].to;
		s->feed[i].to = 0;
	}
}

bool
lt_sent_has(const struct lt_sent *s, const struct lt_feed_id *feed, uint64_t seq)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (lt_feed_id_cmp(&s->feed[i].feed, feed) == 0)
			return seq <= s->feed[i].held || seq <= s->feed[i].to;
	return false;
}
