#include "proto/service/reading.h"
#include "proto/service/call.h"

#include <string.h>

void
lt_reading_init(struct lt_reading *r, struct lt_call *call, const struct lt_asker *who,
    const struct lt_catalogue *cat, const struct lt_unit *province, struct lt_arena *arena)
{
	memset(r, 0, sizeof(*r));
	r->q.catalogue = cat;
	r->q.province = *province;
	r->of.who = who;
	r->of.catalogue = cat;
	r->of.province = &r->q.province;
	lt_sight_of_asker(&r->of, &r->sight);
	r->q.sight = &r->sight;
	r->q.tick = lt_call_tick;
	r->q.tick_ctx = call;
	r->q.arena = arena;
}

const char *
lt_author_label(void *registry, const struct lt_id *author)
{
	const struct lt_principal *p = lt_registry_find(registry, author);

	if (p == NULL)
		return NULL;
	return p->label[0] != '\0' ? p->label : p->unit.s;
}
