#include "node/repair.h"
#include "node/node_impl.h"
#include "proto/store/access.h"

#include <stdatomic.h>
#include <stdlib.h>

struct lt_node_repair {
	struct lt_node *n;
	struct lt_repairer *repairer;
	_Atomic uint64_t unwanted;
};

static struct lt_registry *
registry(void *ctx)
{
	struct lt_node_repair *r = ctx;

	return lt_node_registry(r->n);
}

/* As the hub decides what goes with a pull; all of the own commune also where the registry here does not tell (yet) who we are. */
static bool
may_open(void *ctx, const struct lt_unit *unit, const char *collection, const char *field)
{
	struct lt_node_repair *r = ctx;
	const struct lt_identity *id = lt_node_identity(r->n);
	struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL };
	struct lt_registry *reg;
	struct lt_unit province;
	bool may;

	if (lt_unit_eq(unit, &id->unit))
		return true;
	reg = lt_node_registry(r->n);
	lt_node_province(r->n, &province);
	who.principal = lt_registry_find(reg, &id->principal);
	may = who.principal != NULL && lt_access_open(&who, &province, unit, collection, field);
	lt_registry_unref(reg);
	return may;
}

int
lt_node_repair_open(struct lt_node *n, struct lt_node_repair **out)
{
	struct lt_node_repair *r = calloc(1, sizeof(*r));
	struct lt_repairer_options o = { .log = n->kv,
		.writer = n->writer,
		.federation = &lt_node_identity(n)->federation,
		.self = &lt_node_identity(n)->principal,
		.clock = n->clock,
		.registry = registry,
		.may_open = may_open,
		.ctx = r };
	int rc;

	*out = NULL;
	if (r == NULL)
		return LT_E_NOMEM;
	r->n = n;
	rc = lt_repairer_open(&o, &r->repairer);
	if (rc != LT_OK) {
		free(r);
		return rc;
	}
	*out = r;
	return LT_OK;
}

void
lt_node_repair_close(struct lt_node_repair *r)
{
	if (r == NULL)
		return;
	lt_repairer_close(r->repairer);
	free(r);
}

struct lt_repairer *
lt_node_repair_repairer(struct lt_node_repair *r)
{
	return r == NULL ? NULL : r->repairer;
}

/* The one peer of a node is whoever the root says is the hub: which one that is makes no difference to what it is asked for. */
static void
hub_of(struct lt_node_repair *r, struct lt_id *hub)
{
	pthread_mutex_lock(&r->n->mx);
	*hub = r->n->hub_known ? r->n->hub.id : (struct lt_id){ { 0 } };
	pthread_mutex_unlock(&r->n->mx);
}

bool
lt_node_repair_lacks(struct lt_node_repair *r)
{
	struct lt_repair_status st;

	if (r == NULL)
		return false;
	lt_repairer_status(r->repairer, &st);
	return st.wanted != 0;
}

/* A branch aside is nowhere but here. */
static bool
may_have(void *ctx, const struct lt_repair_want *w)
{
	(void)ctx;
	return !w->aside;
}

size_t
lt_node_repair_wants(struct lt_node_repair *r, struct lt_repair_want *out, size_t cap)
{
	struct lt_id hub;

	if (r == NULL)
		return 0;
	hub_of(r, &hub);
	return lt_repairer_wants(r->repairer, &hub, may_have, NULL, out, cap);
}

void
lt_node_repair_unasked(struct lt_node_repair *r)
{
	struct lt_id hub;

	if (r == NULL)
		return;
	hub_of(r, &hub);
	lt_repairer_unasked(r->repairer, &hub);
}

int
lt_node_repair_take(struct lt_node_repair *r, struct lt_slice changeset, struct lt_err *err)
{
	struct lt_id hub;
	int rc;

	if (r == NULL)
		return LT_E_NOTFOUND;
	hub_of(r, &hub);
	rc = lt_repairer_take(r->repairer, &hub, changeset, err);
	r->unwanted += rc == LT_E_NOTFOUND;
	return rc;
}

uint64_t
lt_node_repair_unwanted(struct lt_node_repair *r)
{
	return r == NULL ? 0 : r->unwanted;
}
