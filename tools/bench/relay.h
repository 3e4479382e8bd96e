/* tools/bench/relay.h - loopback to loopback, byte for byte: counts what passes, and lets many connections of one machine
 * look as if they came from many (a hub bounds the connections of an address).
 *
 * A thread of its own; every function may be called from any thread. */
#ifndef LT_TOOLS_BENCH_RELAY_H
#define LT_TOOLS_BENCH_RELAY_H

#include "tools/bench/bench.h"

struct bench_relay;

/* A socket that listens on this port of loopback and does not block; -1: errno says why. */
int bench_listen_on(int port);

/* Listens on `port`, forwards to `target`, both of loopback; every per_address connections have a source address of
 * their own (0: all have 127.0.0.1). */
int bench_relay_start(
    struct bench *b, int port, int target, size_t per_address, struct bench_relay **out);
void bench_relay_stop(struct bench_relay *r); /* NULL allowed */
/* Bytes of the streams that have passed, both ways; what TCP and IP add is not in it. */
void bench_relay_bytes(struct bench_relay *r, uint64_t *up, uint64_t *down);

#endif
