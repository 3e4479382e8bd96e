/* tools/bench/thin.h - loopback to loopback over a line as thin as a mountain commune's: so many bits a second, so long on the way,
 * packets that get lost, cut now and then.
 *
 * A model above TCP, for machines where the kernel cannot be asked for such a line: bytes leave in packets of THIN_PACKET at
 * the line's rate, each way for itself; each arrives after the delay; one that is lost is sent again after a round trip, and all
 * behind it wait, as in TCP. Both count as bytes on the line. What TCP itself and IP add (40 bytes a packet, acknowledgements) is not
 * in it. A cut ends the connection on both sides, with all that is under way.
 *
 * A thread of its own; one connection at a time, the next waits. Every function from the thread that started it. */
#ifndef LT_TOOLS_BENCH_THIN_H
#define LT_TOOLS_BENCH_THIN_H

#include "tools/bench/bench.h"

#define THIN_PACKET 1400

struct bench_thin_options {
	int port, target; /* of loopback */
	double bits_s; /* each way */
	double delay_ms; /* one way: half a round trip */
	double loss; /* of a packet: 0.05 */
	double cut_s; /* from one cut to the next; 0: never */
	uint64_t seed; /* of what gets lost */
};

struct bench_thin;

int bench_thin_start(struct bench *b, const struct bench_thin_options *o, struct bench_thin **out);
void bench_thin_stop(struct bench_thin *t); /* NULL allowed */

struct bench_thin_count {
	uint64_t up, down; /* bytes that went onto the line, those sent again included */
	uint64_t lost; /* packets */
	uint64_t cuts, connections;
};
void bench_thin_count(struct bench_thin *t, struct bench_thin_count *out);

#endif
