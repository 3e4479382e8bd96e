/* tests/lib/province.h - a hub and a node of one commune as processes, over the folders that tests/lib/federation.h makes;
 * and what must hold in their stores once both have stopped. */
#ifndef LT_TESTS_PROVINCE_H
#define LT_TESTS_PROVINCE_H

#include "tests/lib/daemon.h"
#include "tests/lib/peer.h"

struct province {
	struct fed f; /* its hub does not run in this process */
	struct fed_node n; /* neither does this */
	int port;
	struct test_daemon hub, node;
	struct lt_pool *pool;
	struct fed_peer
	    peer; /* a node of 16906 that a test plays by hand; enrolled, not connected */
};

/* Folders and configuration; nothing runs afterwards. node_port: where the node looks for the hub (a proxy), 0: the hub. */
void province_setup(struct province *p, const char *unit, int node_port);
/* Add a line to the section of its own in each daemon's configuration; before they start. */
void province_configure(struct province *p, const char *line);
/* More of the hub's configuration, with its section; before it starts. */
void province_configure_hub(struct province *p, const char *text);
/* Both daemons, until the node has the catalogue. */
void province_start(struct province *p, const char *const *hub_env, const char *const *node_env);
void province_wait_catalogue(struct lt_conn *node);
/* Connect the peer to the hub (port 0) or to what stands before it; the return code of lt_dial(). */
int province_dial(struct province *p, int port);
void province_teardown(struct province *p);

/* Asks over ipc; the reply is freed by the caller. Assert on failure. */
Ltpb__StatusReply *province_status(struct lt_conn *c);
Ltpb__ListFeedsReply *province_feeds(struct lt_conn *c, const char *unit);
void province_free(void *message);

/* A put of a dossier as a clerk sends it; result_doc_no carries `value`. fresh: with every required field.
 * The request borrows from the struct. */
struct dossier_put {
	Ltpb__PutRequest req;
	Ltpb__FieldSet field[16], *list[16];
	Ltpb__Value value[16];
	char key[40], number[48];
	uint8_t request_id[16];
};
void dossier_put_init(struct dossier_put *d, unsigned number, bool fresh, const char *value);

/* Wait until the hub holds and has projected what the node wrote, and the node has receipts and verdicts for it. */
void province_settle(struct province *p, int timeout_ms);

/* ---- the stores after a clean stop ---- */

struct stores {
	struct lt_kv *log, *derived, *node;
};
void stores_open(struct stores *s, const struct province *p, bool read_only);
void stores_close(struct stores *s);
/* Every feed of an environment from 1 to its head: signature, changes' root, openings, chain. Returns the change-sets seen.
 * whole: no opening may be withheld. */
uint64_t verify_feeds(struct lt_kv *kv, const struct province *p, bool whole);
/* The record tables of hub and node are the same bytes, and the node has no overlay. Returns the rows. */
uint64_t verify_same_rows(const struct stores *s);
/* The node's highest receipt of each of its own feeds is signed by the hub and names the head. */
void verify_receipts(const struct stores *s, const struct province *p);

#endif
