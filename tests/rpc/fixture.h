/* tests/rpc/fixture.h - a server with the Echo and Health services on tcp and ipc, clients of it, and a raw peer
 * that speaks the frames by hand over a plain socket. */
#ifndef LT_TESTS_RPC_FIXTURE_H
#define LT_TESTS_RPC_FIXTURE_H

#include "proto/rpc/health.h"
#include "proto/rpc/line.h"
#include "proto/rpc/mux.h"
#include "proto/rpc/rpc.h"

#include "echo.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>

#define FX_HELD_MAX 512

struct fx {
	struct lt_pool *pool;
	struct lt_server *server;
	struct lt_health *health;
	Lttest__Echo_Service echo;
	uint8_t fed[32], server_sk[32], server_pk[32], client_sk[32], client_pk[32];
	char dir[64], path[96], ipc[112], tcp[64];
	int port; /* of tcp; 0: not chosen yet */
	_Atomic int admit_rc; /* what `admit` answers */
	_Atomic int deny; /* status `authorize` answers */
	_Atomic unsigned admitted, closed, authorized;
	_Atomic unsigned streams_open, items_sent, busy;
	/* Walk: the first position still there; items of one call before it waits for ever, 0: all; pass over tokens and send
	 * none, as a program from before them. */
	_Atomic unsigned walk_oldest, walk_burst;
	_Atomic bool walk_bare;
	/* Count: in `ready` now, and the most there were; stay there while set; do not return for want of credit, as if it were always
	 * there. */
	_Atomic unsigned in_ready, in_ready_most;
	_Atomic bool count_stay, count_greedy;
	pthread_mutex_t mx; /* guards what follows */
	char said_id[65], said_metadata[257]; /* of the last Say: its request id, its "k" */
	bool stopping;
	struct lt_call *held[FX_HELD_MAX];
	Lttest__EchoReply_Closure held_closure[FX_HELD_MAX];
	size_t answer_len; /* bytes in the answer of a call that was held */
	unsigned nheld;
};

/* A clock that stands still until a test moves it: however slow the machine, nothing is late. */
extern _Atomic int64_t fx_clock_ms;
extern const struct lt_clock fx_clock;

/* o: limits and times to use, may be NULL. Starts pool (4 workers) and server, listens on both. */
void fx_start(struct fx *fx, const struct lt_server_options *o);
void fx_stop(struct fx *fx);
/* The server alone: gone, with all its connections; and back, where it was and with the keys of `fx`. */
void fx_server_stop(struct fx *fx);
void fx_server_start(struct fx *fx, const struct lt_server_options *o);
struct lt_dial_options fx_dial_options(struct fx *fx, bool tcp);
struct lt_conn *fx_dial(struct fx *fx, bool tcp);
/* How many calls Hold holds; answer or fail all of them. */
unsigned fx_held(struct fx *fx);
void fx_answer_all(struct fx *fx);
extern const struct lt_method fx_methods[];
extern const size_t fx_nmethods;

/* Until cond(arg) holds; fails the test after 20 s. */
void fx_until(bool (*cond)(void *arg), void *arg, const char *what);
unsigned fx_open_fds(void);
/* Server-side connections are n. */
void fx_until_connections(struct fx *fx, unsigned n);

/* A peer by hand. */
struct raw {
	int fd;
	struct lt_line *line;
	struct lt_buf in; /* frames received, framed, in order */
	size_t in_off;
	bool eof;
};

int raw_connect(struct fx *fx, bool tcp); /* a plain descriptor */
int raw_free_port(void); /* of loopback, to listen on */
void raw_open(struct raw *r, struct fx *fx, bool tcp); /* with the handshake done */
/* Waits until the socket is full: nobody reads, and nothing more has come in for a while. */
void raw_fill(struct raw *r);
void raw_open_on(
    struct raw *r, struct fx *fx, int fd); /* the same on a connected tcp socket, taken */
void raw_accept(
    struct raw *r, int fd, bool local, struct fx *fx); /* as the acceptor, handshake done */
void raw_close(struct raw *r);
bool raw_send(
    struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t len);
/* Until the server has acted on all that was sent; what it sent meanwhile is skipped. */
void raw_sync(struct raw *r);
/* REQUEST with its head. */
void raw_request(struct raw *r, uint32_t id, const char *method, uint32_t timeout_ms);
/* The next frame, or false at the end of the stream; fails after 20 s. PING is answered and not shown. */
bool raw_next(struct raw *r, struct lt_frame *f);
/* Read until END of the call; its status code, -1 when the stream ended first. */
int raw_end_of(struct raw *r, uint32_t id);
/* Read until the other side closes. */
void raw_until_closed(struct raw *r);
bool fd_until_closed(int fd);

#endif
