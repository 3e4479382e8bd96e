#include "proto/store/repair.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct lt_repairer {
	struct lt_repairer_options o;
	pthread_mutex_t mx; /* guards status */
	struct lt_repair_status status;
};

int
lt_repairer_open(const struct lt_repairer_options *o, struct lt_repairer **out)
{
	struct lt_repairer *r = calloc(1, sizeof(*r));

	*out = r;
	if (r == NULL)
		return LT_E_NOMEM;
	r->o = *o;
	(void)pthread_mutex_init(&r->mx, NULL);
	return LT_OK;
}

void
lt_repairer_close(struct lt_repairer *r)
{
	if (r == NULL)
		return;
	(void)pthread_mutex_destroy(&r->mx);
	free(r);
}

void
lt_repairer_look(struct lt_repairer *r, bool pages)
{
	(void)r;
	(void)pages;
}

int
lt_repairer_look_step(struct lt_repairer *r, bool *done)
{
	(void)r;
	*done = true;
	return LT_OK;
}

size_t
lt_repairer_wants(struct lt_repairer *r, const struct lt_id *peer,
    bool (*may_have)(void *ctx, const struct lt_repair_want *w), void *ctx,
    struct lt_repair_want *out, size_t cap)
{
	(void)r;
	(void)peer;
	(void)may_have;
	(void)ctx;
	(void)out;
	(void)cap;
	return 0;
}

void
lt_repairer_unasked(struct lt_repairer *r, const struct lt_id *peer)
{
	(void)r;
	(void)peer;
}

int
lt_repairer_take(
    struct lt_repairer *r, const struct lt_id *peer, struct lt_slice changeset, struct lt_err *err)
{
	(void)r;
	(void)peer;
	(void)changeset;
	return lt_err_set(err, LT_E_NOTFOUND, "nobody wants this change-set");
}

void
lt_repairer_status(struct lt_repairer *r, struct lt_repair_status *out)
{
	pthread_mutex_lock(&r->mx);
	*out = r->status;
	pthread_mutex_unlock(&r->mx);
}
