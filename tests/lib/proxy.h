/* tests/lib/proxy.h - a line that can be damaged or stall: tcp on loopback, forwarded byte for byte, save one bit.
 *
 * Bits are counted from the first frame after the handshake (FORMAT.md 6.1), in each direction for itself, the lowest bit of a byte
 * first. One connection at a time; the next waits until it has ended. */
#ifndef LT_TESTS_PROXY_H
#define LT_TESTS_PROXY_H

#include <stdbool.h>
#include <stdint.h>

enum proxy_direction { PROXY_TO_HUB, PROXY_FROM_HUB };

struct proxy;

/* Listens on `port`, forwards to `target`, both of loopback. Asserts on failure. */
struct proxy *proxy_start(int port, int target);
void proxy_stop(struct proxy *p);
/* The bit to be flipped in the next connection, once; of the one that runs now, when `now`: counted from what has passed. */
void proxy_flip(struct proxy *p, enum proxy_direction d, uint64_t bit, bool now);
void proxy_clean(struct proxy *p);
/* Has it been flipped since it was asked for? */
bool proxy_flipped(struct proxy *p);
/* Let nothing more pass in this direction: it waits at its sender, and the connection stays. on false: goes on. */
void proxy_hold(struct proxy *p, enum proxy_direction d, bool on);
/* The connection that runs ends, on both sides; the next one is taken as ever. Nothing without one. */
void proxy_cut(struct proxy *p);
/* End the next connection, on both sides, once exactly so many bytes of frames have passed in this direction; the one behind it
 * is whole again. */
void proxy_cut_after(struct proxy *p, enum proxy_direction d, uint64_t bytes);
/* Has it been ended so since it was asked for? */
bool proxy_was_cut(struct proxy *p);
/* Bytes of frames that have passed in the connection that runs, or ran last. */
uint64_t proxy_bytes(struct proxy *p, enum proxy_direction d);

#endif
