/* tests/lib/federation.h - a federation in temporary folders: a hub with its server on loopback and nodes with their links,
 * all in this process, over real stores and the real line. For tests of what happens between them. */
#ifndef LT_TESTS_FEDERATION_H
#define LT_TESTS_FEDERATION_H

#include "hub/service.h"
#include "node/link.h"
#include "node/node.h"
#include "proto/feed/identity.h"
#include "proto/rpc/health.h"

struct fed_node {
	char dir[256];
	struct lt_identity *id;
	struct lt_node *node;
	struct lt_pool *pool;
	struct lt_link *link;
	bool salvage; /* from its next start on: node/salvage.h */
};

struct fed {
	char dir[256];
	const struct lt_clock *clock; /* of the hub; the line keeps the machine's */
	struct lt_sign_key root;
	struct lt_identity *hub_id;
	struct lt_hub *hub;
	struct lt_enrol *enrol;
	struct lt_fresh *fresh;
	struct lt_pool *pool;
	struct lt_pulls *pulls;
	struct lt_server *server;
	struct lt_health *health;
	struct lt_service service;
	bool
	    no_twins; /* from its next start on the hub does not tell two machines with one key apart */
	char local[256]; /* ipc address */
	int port;
	char address[64];
	const char *addresses[1];
};

/* Province 40, the project's catalogue as version 1, a few units. Asserts on failure. */
void fed_setup(struct fed *f);
void fed_setup_at(struct fed *f, const struct lt_clock *clock);
/* The two parts of it: folder and hub's keys; catalogue and units, once the hub is open. */
void fed_found(struct fed *f, const struct lt_clock *clock);
void fed_publish(struct fed *f);
/* Catalogue 2: two fields of the dossier with another policy, one more indexed, and one no longer. */
void fed_publish_second(struct fed *f);
void fed_hub_start(struct fed *f);
void fed_hub_stop(struct fed *f);
/* The hub, stopped, signs with another key from its next start on, certified by the same root; the key of its line stays. */
void fed_hub_rekey(struct fed *f);
void fed_teardown(struct fed *f);
/* After fed_found(): the folder and the keys. */
void fed_remove(struct fed *f);
/* Keys and an invitation, approved at once. */
void fed_node_setup(struct fed *f, struct fed_node *n, const char *unit);
/* The same with an invitation that is there already. */
void fed_node_invited(struct fed_node *n, const char *line);
/* What a machine sends to join, with its invitation's token; borrows from id and proof, which is filled. */
void fed_join_request(
    const struct lt_identity *id, uint8_t proof[LT_SIG_LEN], Ltpb__JoinRequest *r);
/* The node of fed_node_setup() joins, active; without a line. */
void fed_node_join(struct fed *f, struct fed_node *n, const char *label);
void fed_node_start(struct fed *f, struct fed_node *n);
void fed_node_stop(struct fed_node *n);
/* A copy of a stopped node's folder as a node of its own: the same keys twice. */
void fed_node_copy(const struct fed_node *n, struct fed_node *copy);
void fed_node_teardown(struct fed_node *n);
/* A dossier of this number, made or changed; returns the write's rc. status NULL: tiep_nhan with every required field. */
int fed_put_dossier(struct fed_node *n, unsigned number, const char *status, struct lt_dot *dot);
/* The dossier's text form of a field at the hub; false when it is not there. */
bool fed_hub_field(
    struct fed *f, const char *unit, unsigned number, const char *field, char *out, size_t cap);
/* Ask cond(ctx) until it is true, at most four times timeout_ms (asserts then, naming what). */
void fed_wait(bool (*cond)(void *ctx), void *ctx, int timeout_ms, const char *what);

#endif
