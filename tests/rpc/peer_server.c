/* tests/rpc/peer_server.c - the C end for tests/rpc/peer.py.
 *
 *   serve FED SECRET PEER SOCK    Health on tcp (port on stdout) and ipc until stdin ends; lets PEER in
 *   dial PORT FED SECRET REMOTE   one Health.Check; prints the status code and the answer
 *
 * All keys in hex. */
#include "proto/rpc/health.h"

#include "grpc/health/v1/health.pb-c.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t fed[32], secret[32], peer_key[32];

static int
admit(void *ctx, const struct lt_peer *peer)
{
	(void)ctx;
	return memcmp(peer->line_key, peer_key, 32) == 0 ? LT_OK : LT_E_NOTFOUND;
}

static int
serve(const char *sock)
{
	static const struct lt_method methods[] = { LT_HEALTH_METHOD };
	struct lt_server_options o = { .clock = lt_clock_system(),
		.methods = methods,
		.nmethods = 1,
		.admit = admit,
		.line_sk = secret,
		.federation = fed };
	struct lt_health *h = lt_health_new();
	struct lt_server *s = NULL;
	struct lt_err err = { "" };
	char url[160];
	int rc;

	(void)snprintf(url, sizeof(url), "ipc://%s", sock);
	rc = h == NULL ? LT_E_NOMEM : lt_pool_start(2, 16, &o.pool);
	if (rc != LT_OK)
		return 1;
	rc = lt_server_new(&o, &s, &err);
	if (rc == LT_OK)
		rc = lt_server_add(s, lt_health_service(h), &err);
	if (rc == LT_OK)
		rc = lt_server_listen(s, "tcp://127.0.0.1:0", &err);
	if (rc == LT_OK)
		rc = lt_server_listen(s, url, &err);
	if (rc == LT_OK) {
		(void)lt_health_set(h, "", true);
		printf("%d\n", lt_server_port(s));
		(void)fflush(stdout);
		while (getchar() != EOF)
			;
	} else {
		(void)fprintf(stderr, "%s\n", err.text);
	}
	lt_server_stop(s, 1000);
	lt_pool_stop(o.pool);
	lt_health_free(h);
	return rc == LT_OK ? 0 : 1;
}

static int
dial(const char *port)
{
	Healthpb__HealthCheckRequest req = HEALTHPB__HEALTH_CHECK_REQUEST__INIT;
	Healthpb__HealthCheckResponse *reply = NULL;
	struct lt_dial_options o = { .clock = lt_clock_system(),
		.line_sk = secret,
		.remote_line_key = peer_key,
		.federation = fed };
	struct lt_conn *c = NULL;
	struct lt_status st;
	struct lt_err err = { "" };
	char url[64];
	int code;

	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%s", port);
	o.url = url;
	if (lt_pool_start(2, 16, &o.pool) != LT_OK)
		return 1;
	if (lt_dial(&o, &c, &err) != LT_OK) {
		printf("no connection\n");
		lt_pool_stop(o.pool);
		return 0;
	}
	code = lt_conn_call_wait(c, &healthpb__health__descriptor, "Check", &req.base, 10000,
	    (ProtobufCMessage **)&reply, &st);
	printf("%d %d %s\n", code, reply != NULL ? (int)reply->status : -1, st.message);
	if (reply != NULL)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	lt_conn_close(c);
	lt_pool_stop(o.pool);
	return 0;
}

int
main(int argc, char **argv)
{
	bool server = argc == 6 && strcmp(argv[1], "serve") == 0,
	     client = argc == 6 && strcmp(argv[1], "dial") == 0;
	int at = client ? 3 : 2;

	if (sodium_init() < 0 || (!server && !client))
		return 2;
	if (lt_unhex(fed, 32, argv[at]) != LT_OK || lt_unhex(secret, 32, argv[at + 1]) != LT_OK ||
	    lt_unhex(peer_key, 32, argv[at + 2]) != LT_OK)
		return 2;
	return server ? serve(argv[5]) : dial(argv[2]);
}
