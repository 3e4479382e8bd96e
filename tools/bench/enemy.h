/* tools/bench/enemy.h - strangers who mean harm, as a process of their own: sockets that say nothing, half of something, one byte a second,
 * nonsense, or read nothing; and knocks that fit, made by who knows the hub's public key. Each stranger comes from an address of
 * 127.0.0.0/8 that 50 others share at most, and comes again a second after it was closed. One thread drives it. */
#ifndef LT_TOOLS_BENCH_ENEMY_H
#define LT_TOOLS_BENCH_ENEMY_H

#include "tools/bench/bench.h"

struct bench_enemy;

struct bench_enemy_plan {
	int port; /* of loopback */
	size_t sockets; /* of the five kinds that do not knock, in equal parts */
	unsigned
	    knocks_per_s; /* connections that knock and go on with noise; each is one X25519 for a server that computes it */
	const uint8_t *hub_pk; /* 32 bytes; NULL without knocks */
};

struct bench_enemy_report {
	uint64_t made, closed; /* connections; of these, closed by the other side */
	uint64_t knocks; /* that were sent */
	double longest_s; /* from connecting until the other side closed it */
	size_t most, left; /* open at once; still open at the end */
};

int bench_enemy_start(struct bench *b, const struct bench_enemy_plan *p, struct bench_enemy **out);
/* Nobody comes any more; who is there stays until it is closed. */
void bench_enemy_calm(struct bench_enemy *e);
void bench_enemy_report(const struct bench_enemy *e, struct bench_enemy_report *out);
/* NULL allowed. */
void bench_enemy_stop(struct bench_enemy *e);

/* What a server of no worth makes of them: greets, hears the knock, closes, or waits as long as a handshake may take; nothing is computed.
 * Beside a measurement it costs the machine what the strangers themselves cost. */
struct bench_dummy;
int bench_dummy_start(struct bench *b, int port, struct bench_dummy **out);
void bench_dummy_stop(struct bench_dummy *d); /* NULL allowed */

#endif
