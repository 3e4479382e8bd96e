#include "proto/rpc/health.h"

#include "grpc/health/v1/health.pb-c.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct entry *next;
	bool serving;
	char name[128];
};

struct lt_health {
	Healthpb__Health_Service service; /* first: handlers get it */
	pthread_mutex_t mx; /* guards entries */
	struct entry *entries;
};

static struct entry *
find(struct lt_health *h, const char *name)
{
	struct entry *e = h->entries;

	while (e != NULL && strcmp(e->name, name) != 0)
		e = e->next;
	return e;
}

static void
check(Healthpb__Health_Service *service, const Healthpb__HealthCheckRequest *req,
    Healthpb__HealthCheckResponse_Closure closure, void *closure_data)
{
	struct lt_health *h = (struct lt_health *)service;
	Healthpb__HealthCheckResponse reply = HEALTHPB__HEALTH_CHECK_RESPONSE__INIT;
	const struct entry *e;

	pthread_mutex_lock(&h->mx);
	e = find(h, req->service);
	if (e != NULL)
		reply.status = e->serving
				   ? HEALTHPB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
				   : HEALTHPB__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
	pthread_mutex_unlock(&h->mx);
	if (e != NULL)
		closure(&reply, closure_data);
	else
		lt_call_failf(lt_call_of(closure_data), LT_STATUS_NOT_FOUND, "NO_SUCH_SERVICE",
		    "there is no service \"%.100s\" here", req->service);
}

int
lt_health_set(struct lt_health *h, const char *name, bool serving)
{
	struct entry *e;
	int rc = LT_OK;

	if (strlen(name) >= sizeof(e->name))
		return LT_E_TOOBIG;
	pthread_mutex_lock(&h->mx);
	e = find(h, name);
	if (e == NULL && (e = calloc(1, sizeof(*e))) != NULL) {
		memcpy(e->name, name, strlen(name) + 1);
		e->next = h->entries;
		h->entries = e;
	}
	if (e != NULL)
		e->serving = serving;
	else
		rc = LT_E_NOMEM;
	pthread_mutex_unlock(&h->mx);
	return rc;
}

struct lt_health *
lt_health_new(void)
{
	struct lt_health *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	pthread_mutex_init(&h->mx, NULL);
	healthpb__health__init(&h->service, NULL);
	h->service.check = check;
	if (lt_health_set(h, "", false) != LT_OK) {
		lt_health_free(h);
		return NULL;
	}
	return h;
}

void
lt_health_free(struct lt_health *h)
{
	struct entry *e;

	if (h == NULL)
		return;
	while ((e = h->entries) != NULL) {
		h->entries = e->next;
		free(e);
	}
	pthread_mutex_destroy(&h->mx);
	free(h);
}

ProtobufCService *
lt_health_service(struct lt_health *h)
{
	return &h->service.base;
}
