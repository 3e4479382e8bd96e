/* tests/fuzz/lib/net.h - streams and workers without network and threads: nng's functions and the pool's, defined again for
 * programs that link net.c, so that connections, server and client run whole and the same each time.
 *
 * Callbacks run in fuzz_net_run() only. One thread.
 */
#ifndef LT_TESTS_FUZZ_LIB_NET_H
#define LT_TESTS_FUZZ_LIB_NET_H

#include "proto/rpc/rpc.h"
#include "tests/fuzz/lib/fuzz.h"

#include <nng/nng.h>

/* The far end of a stream. */
struct fuzz_end {
	nng_stream *stream; /* the product's; NULL once it has let go of it */
	struct lt_buf in; /* written for the product, not read by it yet */
	struct lt_buf out; /* what the product wrote; the target takes it out */
	size_t piece; /* at most so many bytes a read or write; 0: all */
	bool eof; /* nothing more comes behind `in` */
	bool stalled; /* writes of the product wait */
};

struct lt_pool *fuzz_net_pool(void);
/* The listener's next connection; false: it is not accepting. */
bool fuzz_net_connect(struct fuzz_end *end);
/* Answer the dial that waits: with a stream, or an error of nng. False: none waits. */
bool fuzz_net_answer(struct fuzz_end *end, int rv);
/* Let everything happen that can: reads, writes, tasks, timers that are due by fuzz_clock_ms, until nothing is left. */
void fuzz_net_run(void);
/* Everything is given back; a finding if not. */
void fuzz_net_check_idle(void);
void fuzz_end_fini(struct fuzz_end *end);

#endif
