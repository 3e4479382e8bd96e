#include "tests/rpc/fixture.h"

#include "proto/base/wire.h"
#include "proto/rpc/server_impl.h"
#include "proto/rpc/status_impl.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 20000

_Atomic int64_t fx_clock_ms = 1000;

static int64_t
fx_now(void *ctx)
{
	(void)ctx;
	return fx_clock_ms;
}

const struct lt_clock fx_clock = { fx_now, fx_now, NULL };

const struct lt_method fx_methods[] = {
	{ .name = "/lttest.Echo/Say",
	    .idempotent = true,
	    .deadline_ms = 10000,
	    .deadline_max_ms = 60000 },
	{ .name = "/lttest.Echo/Count", .server_streaming = true, .idempotent = true },
	{ .name = "/lttest.Echo/Walk", .server_streaming = true, .idempotent = true },
	{ .name = "/lttest.Echo/Fail", .idempotent = true, .deadline_ms = 10000 },
	{ .name = "/lttest.Echo/Hold",
	    .idempotent = true,
	    .deadline_ms = 0,
	    .deadline_max_ms = 60000 },
	LT_HEALTH_METHOD,
};
const size_t fx_nmethods = sizeof(fx_methods) / sizeof(fx_methods[0]);

static struct fx *
fx_of(Lttest__Echo_Service *s)
{
	return (struct fx *)(void *)((char *)s - offsetof(struct fx, echo));
}

static void
echo_say(Lttest__Echo_Service *s, const Lttest__EchoRequest *req, Lttest__EchoReply_Closure closure,
    void *data)
{
	Lttest__EchoReply reply = LTTEST__ECHO_REPLY__INIT;
	struct fx *fx = fx_of(s);
	const char *value = lt_call_metadata(lt_call_of(data), "k");
	uint8_t *fill = NULL;

	pthread_mutex_lock(&fx->mx);
	(void)snprintf(
	    fx->said_id, sizeof(fx->said_id), "%s", lt_call_request_id(lt_call_of(data)));
	(void)snprintf(
	    fx->said_metadata, sizeof(fx->said_metadata), "%s", value != NULL ? value : "(none)");
	pthread_mutex_unlock(&fx->mx);
	reply.data = req->data;
	reply.number = req->count;
	if (req->size != 0) {
		fill = malloc(req->size);
		memset(fill, 'x', req->size);
		reply.data.data = fill;
		reply.data.len = req->size;
	}
	closure(&reply, data);
	free(fill);
}

struct counter {
	struct fx *fx;
	uint32_t next, count;
	uint8_t *fill;
	size_t size;
};

/* A reader may give credit back at any moment; so it does here, before `ready` could go. */
static int
send_greedily(struct lt_call *c, const ProtobufCMessage *m)
{
	bool credit;
	int rc;

	for (;;) {
		pthread_mutex_lock(&c->conn->mx);
		credit = c->mc == NULL || lt_mux_writable(&c->conn->mux, c->mc);
		pthread_mutex_unlock(&c->conn->mx);
		rc = lt_call_send(c, m);
		if (rc != LT_E_BUSY || credit)
			return rc;
		(void)sched_yield();
	}
}

static void
count_enter(struct fx *fx)
{
	unsigned now = ++fx->in_ready, most = fx->in_ready_most;

	while (now > most && !atomic_compare_exchange_weak(&fx->in_ready_most, &most, now))
		;
	while (fx->count_stay)
		(void)sched_yield();
}

static void
count_run(struct lt_call *c, struct counter *n)
{
	Lttest__EchoReply item = LTTEST__ECHO_REPLY__INIT;
	struct lt_status st = { 0 };
	int rc;

	item.data.data = n->fill;
	item.data.len = n->size;
	while (n->next < n->count) {
		item.number = n->next;
		rc = n->fx->count_greedy ? send_greedily(c, &item.base)
					 : lt_call_send(c, &item.base);
		if (rc == LT_E_BUSY)
			n->fx->busy++;
		if (rc != LT_OK)
			return;
		n->next++;
		n->fx->items_sent++;
	}
	if (n->next == n->count) {
		n->next++;
		lt_call_stream_end(c, &st);
	}
}

static void
count_ready(struct lt_call *c, void *ctx)
{
	struct counter *n = ctx;
	struct fx *fx = n->fx;

	count_enter(fx);
	count_run(c, n);
	fx->in_ready--;
}

static void
count_closed(void *ctx)
{
	struct counter *n = ctx;

	n->fx->streams_open--;
	free(n->fill);
	free(n);
}

static void
echo_count(Lttest__Echo_Service *s, const Lttest__EchoRequest *req,
    Lttest__EchoReply_Closure closure, void *data)
{
	static const struct lt_stream_ops ops = { count_ready, count_closed };
	struct counter *n = calloc(1, sizeof(*n));

	(void)closure;
	n->fx = fx_of(s);
	n->count = req->count;
	n->size = req->size;
	n->fill = calloc(1, req->size + 1);
	n->fx->streams_open++;
	lt_call_stream(lt_call_of(data), &ops, n);
}

struct walker {
	struct fx *fx;
	uint32_t next, count, sent;
	bool ended;
};

static void
walk_ready(struct lt_call *c, void *ctx)
{
	struct walker *w = ctx;
	Lttest__EchoReply item = LTTEST__ECHO_REPLY__INIT;
	struct lt_status st = { 0 };
	uint8_t behind[8];
	int rc;

	while (w->next < w->count) {
		if (w->fx->walk_burst != 0 && w->sent >= w->fx->walk_burst)
			return;
		item.number = w->next;
		lt_store_u64(behind, (uint64_t)w->next + 1);
		rc = w->fx->walk_bare
			 ? lt_call_send(c, &item.base)
			 : lt_call_send_at(c, &item.base, lt_slice(behind, sizeof(behind)));
		if (rc != LT_OK)
			return;
		w->next++;
		w->sent++;
	}
	if (!w->ended) {
		w->ended = true;
		lt_call_stream_end(c, &st);
	}
}

static void
walk_closed(void *ctx)
{
	struct walker *w = ctx;

	w->fx->streams_open--;
	free(w);
}

static void
echo_walk(Lttest__Echo_Service *s, const Lttest__EchoRequest *req,
    Lttest__EchoReply_Closure closure, void *data)
{
	static const struct lt_stream_ops ops = { walk_ready, walk_closed };
	struct fx *fx = fx_of(s);
	struct lt_slice at = lt_call_resume_at(lt_call_of(data));
	uint64_t from = at.len == 8 && !fx->walk_bare ? lt_load_u64(at.data) : 0;
	struct walker *w;

	(void)closure;
	if (at.len != 0 && from < fx->walk_oldest) {
		lt_call_resume_gone(lt_call_of(data));
		return;
	}
	w = calloc(1, sizeof(*w));
	w->fx = fx;
	w->count = req->count;
	w->next = (uint32_t)from;
	fx->streams_open++;
	lt_call_stream(lt_call_of(data), &ops, w);
}

static void
echo_fail(Lttest__Echo_Service *s, const Lttest__FailRequest *req,
    Lttest__EchoReply_Closure closure, void *data)
{
	struct lt_status st;

	(void)s;
	(void)closure;
	lt_status_set(&st, (enum lt_status_code)req->code, req->reason, "%s", req->message);
	st.retry_delay_ms = req->retry_delay_ms;
	(void)snprintf(st.field, sizeof(st.field), "%s", req->field);
	(void)snprintf(st.rule, sizeof(st.rule), "%s", req->rule);
	lt_call_fail(lt_call_of(data), &st);
}

static void
echo_hold(Lttest__Echo_Service *s, const Lttest__EchoRequest *req,
    Lttest__EchoReply_Closure closure, void *data)
{
	Lttest__EchoReply reply = LTTEST__ECHO_REPLY__INIT;
	struct fx *fx = fx_of(s);
	bool stopping;

	(void)req;
	pthread_mutex_lock(&fx->mx);
	assert_true(fx->nheld < FX_HELD_MAX);
	stopping = fx->stopping;
	if (!stopping) {
		fx->held_closure[fx->nheld] = closure;
		fx->held[fx->nheld++] = lt_call_of(data);
	}
	pthread_mutex_unlock(&fx->mx);
	if (stopping)
		closure(&reply, data);
}

unsigned
fx_held(struct fx *fx)
{
	unsigned n;

	pthread_mutex_lock(&fx->mx);
	n = fx->nheld;
	pthread_mutex_unlock(&fx->mx);
	return n;
}

void
fx_answer_all(struct fx *fx)
{
	Lttest__EchoReply reply = LTTEST__ECHO_REPLY__INIT;
	uint8_t *data = calloc(1, fx->answer_len + 1);
	unsigned i;

	assert_non_null(data);
	reply.data.data = data;
	reply.data.len = fx->answer_len;
	pthread_mutex_lock(&fx->mx);
	for (i = 0; i < fx->nheld; i++) {
		reply.number = i;
		fx->held_closure[i](&reply, fx->held[i]);
	}
	fx->nheld = 0;
	pthread_mutex_unlock(&fx->mx);
	free(data);
}

static int
on_admit(void *ctx, const struct lt_peer *peer)
{
	struct fx *fx = ctx;

	if (fx->admit_rc != LT_OK)
		return fx->admit_rc;
	if (memcmp(peer->line_key, fx->client_pk, 32) != 0)
		return LT_E_NOTFOUND;
	fx->admitted++;
	return LT_OK;
}

static void
on_authorize(
    void *ctx, const struct lt_peer *peer, const struct lt_method *method, struct lt_status *status)
{
	struct fx *fx = ctx;

	(void)peer;
	fx->authorized++;
	if (fx->deny != 0)
		lt_status_set(status, (enum lt_status_code)(int)fx->deny, "DENIED",
		    "%s is not for you", method->name);
}

static void
on_closed(void *ctx, const struct lt_peer *peer)
{
	struct fx *fx = ctx;

	(void)peer;
	fx->closed++;
}

void
fx_server_start(struct fx *fx, const struct lt_server_options *tweak)
{
	struct lt_server_options o = { 0 };
	struct lt_err err = { "" };
	char url[64];

	if (tweak != NULL)
		o = *tweak;
	o.pool = fx->pool;
	if (o.clock == NULL)
		o.clock = lt_clock_system();
	if (o.methods == NULL) {
		o.methods = fx_methods;
		o.nmethods = fx_nmethods;
	}
	o.admit = on_admit;
	o.authorize = on_authorize;
	o.closed = on_closed;
	o.ctx = fx;
	o.line_sk = fx->server_sk;
	o.federation = fx->fed;
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", fx->port);
	assert_int_equal(lt_server_new(&o, &fx->server, &err), LT_OK);
	assert_int_equal(lt_server_add(fx->server, &fx->echo.base, &err), LT_OK);
	assert_int_equal(lt_server_add(fx->server, lt_health_service(fx->health), &err), LT_OK);
	assert_int_equal(lt_server_listen(fx->server, url, &err), LT_OK);
	assert_int_equal(lt_server_listen(fx->server, fx->ipc, &err), LT_OK);
	fx->port = lt_server_port(fx->server);
	(void)snprintf(fx->tcp, sizeof(fx->tcp), "tcp://127.0.0.1:%d", fx->port);
}

void
fx_server_stop(struct fx *fx)
{
	lt_server_stop(fx->server, 2000);
	fx->server = NULL;
}

void
fx_start(struct fx *fx, const struct lt_server_options *tweak)
{
	memset(fx, 0, sizeof(*fx));
	assert_true(sodium_init() >= 0);
	randombytes_buf(fx->fed, 32);
	randombytes_buf(fx->server_sk, 32);
	randombytes_buf(fx->client_sk, 32);
	crypto_scalarmult_base(fx->server_pk, fx->server_sk);
	crypto_scalarmult_base(fx->client_pk, fx->client_sk);
	pthread_mutex_init(&fx->mx, NULL);
	(void)snprintf(fx->dir, sizeof(fx->dir), "/tmp/lt-rpc-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	(void)snprintf(fx->path, sizeof(fx->path), "%s/sock", fx->dir);
	(void)snprintf(fx->ipc, sizeof(fx->ipc), "ipc://%s", fx->path);
	assert_int_equal(lt_pool_start(4, 64, &fx->pool), LT_OK);
	lttest__echo__init(&fx->echo, NULL);
	fx->echo.say = echo_say;
	fx->echo.count = echo_count;
	fx->echo.fail = echo_fail;
	fx->echo.hold = echo_hold;
	fx->echo.walk = echo_walk;
	fx->health = lt_health_new();
	fx_server_start(fx, tweak);
}

void
fx_stop(struct fx *fx)
{
	/* A handler may come to hold its call only now, long after the caller has given it up. */
	pthread_mutex_lock(&fx->mx);
	fx->stopping = true;
	pthread_mutex_unlock(&fx->mx);
	fx_answer_all(fx);
	fx_server_stop(fx);
	lt_pool_stop(fx->pool);
	lt_health_free(fx->health);
	pthread_mutex_destroy(&fx->mx);
	(void)unlink(fx->path);
	assert_int_equal(rmdir(fx->dir), 0);
}

struct lt_dial_options
fx_dial_options(struct fx *fx, bool tcp)
{
	struct lt_dial_options o = {
		.pool = fx->pool,
		.clock = lt_clock_system(),
		.url = tcp ? fx->tcp : fx->ipc,
		.line_sk = fx->client_sk,
		.remote_line_key = fx->server_pk,
		.federation = fx->fed,
	};

	return o;
}

struct lt_conn *
fx_dial(struct fx *fx, bool tcp)
{
	struct lt_dial_options o = fx_dial_options(fx, tcp);
	struct lt_err err = { "" };
	struct lt_conn *c = NULL;

	if (lt_dial(&o, &c, &err) != LT_OK)
		fail_msg("%s", err.text);
	return c;
}

void
fx_until(bool (*cond)(void *arg), void *arg, const char *what)
{
	int64_t end = lt_mono_ms(lt_clock_system()) + PATIENCE_MS;

	while (!cond(arg)) {
		if (lt_mono_ms(lt_clock_system()) > end)
			fail_msg("waited in vain until %s", what);
		(void)poll(NULL, 0, 1);
	}
}

unsigned
fx_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

struct count_wait {
	struct fx *fx;
	unsigned n;
};

static bool
connections_are(void *arg)
{
	struct count_wait *w = arg;

	return lt_server_connections(w->fx->server) == w->n;
}

void
fx_until_connections(struct fx *fx, unsigned n)
{
	struct count_wait w = { fx, n };

	fx_until(connections_are, &w, "the number of connections is right");
}

/* ---- by hand ---- */

int
raw_connect(struct fx *fx, bool tcp)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)lt_server_port(fx->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", fx->path);
	assert_int_equal(tcp ? connect(fd, (struct sockaddr *)&in, sizeof(in))
			     : connect(fd, (struct sockaddr *)&un, sizeof(un)),
	    0);
	return fd;
}

int
raw_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

static void
write_all(struct raw *r, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len != 0 && !r->eof) {
		n = send(r->fd, p, len, MSG_NOSIGNAL);
		if (n < 0) {
			r->eof = true;
			return;
		}
		p += n;
		len -= (size_t)n;
	}
}

static void
flush_line(struct raw *r)
{
	struct lt_buf out = { 0 };

	lt_line_out(r->line, &out);
	write_all(r, out.data, out.len);
	lt_buf_fini(&out);
}

/* Read once, at most PATIENCE; feeds the line. */
static void
pump(struct raw *r)
{
	uint8_t bytes[4096], plain[LT_LINE_PLAIN_MAX];
	const uint8_t *p = bytes;
	struct pollfd pfd = { .fd = r->fd, .events = POLLIN };
	size_t len, plain_len;
	ssize_t n;
	int rc;

	if (poll(&pfd, 1, PATIENCE_MS) != 1)
		fail_msg("nothing came");
	n = recv(r->fd, bytes, sizeof(bytes), 0);
	if (n <= 0) {
		r->eof = true;
		return;
	}
	len = (size_t)n;
	while (len != 0) {
		rc = lt_line_feed(r->line, &p, &len, plain, &plain_len);
		if (rc == LT_LINE_WORK)
			rc = lt_line_work(r->line, NULL, NULL);
		else if (rc == LT_LINE_FRAME)
			lt_buf_framed(&r->in, lt_slice(plain, plain_len));
		if (rc < 0)
			fail_msg("%s", lt_line_why(r->line));
	}
	flush_line(r);
}

static void
open_on(struct raw *r, struct fx *fx, int fd, bool tcp)
{
	static const uint8_t eight[8] = { 0 };
	struct lt_line_key *key = lt_line_key_new(fx->client_sk);

	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->line =
	    tcp ? lt_line_new_initiator(fx->fed, key, fx->server_pk) : lt_line_new_local(true);
	lt_line_key_unref(key);
	flush_line(r);
	while (!lt_line_ready(r->line)) {
		pump(r);
		assert_false(r->eof);
	}
	(void)raw_send(r, LT_FRAME_PING, 0, 0, eight, sizeof(eight));
}

void
raw_open(struct raw *r, struct fx *fx, bool tcp)
{
	open_on(r, fx, raw_connect(fx, tcp), tcp);
}

struct filling {
	int fd;
	int had;
	unsigned same;
};

static bool
is_full(void *arg)
{
	struct filling *x = arg;
	int has = 0;

	assert_int_equal(ioctl(x->fd, FIONREAD, &has), 0);
	x->same = has == x->had && has > 50000 ? x->same + 1 : 0;
	x->had = has;
	return x->same == 50;
}

void
raw_fill(struct raw *r)
{
	struct filling fill = { .fd = r->fd };

	fx_until(is_full, &fill, "nothing more comes in");
}

void
raw_open_on(struct raw *r, struct fx *fx, int fd)
{
	open_on(r, fx, fd, true);
}

void
raw_accept(struct raw *r, int fd, bool local, struct fx *fx)
{
	struct lt_line_key *key = lt_line_key_new(fx->server_sk);

	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->line = local ? lt_line_new_local(false) : lt_line_new_acceptor(fx->fed, key, NULL);
	lt_line_key_unref(key);
	flush_line(r);
	while (!lt_line_ready(r->line)) {
		pump(r);
		assert_false(r->eof);
	}
}

void
raw_close(struct raw *r)
{
	(void)close(r->fd);
	lt_line_free(r->line);
	lt_buf_fini(&r->in);
	memset(r, 0, sizeof(*r));
}

bool
raw_send(struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t len)
{
	uint8_t frame[LT_FRAME_MAX];
	struct lt_buf out = { 0 };
	size_t n = lt_frame_build(frame, type, flags, id, lt_slice(data, len));

	lt_line_seal(r->line, lt_slice(frame, n), &out);
	write_all(r, out.data, out.len);
	lt_buf_fini(&out);
	return !r->eof;
}

void
raw_request(struct raw *r, uint32_t id, const char *method, uint32_t timeout_ms)
{
	Ltpb__RequestHead head = LTPB__REQUEST_HEAD__INIT;
	struct lt_buf bytes = { 0 };
	char name[128];

	(void)snprintf(name, sizeof(name), "%s", method);
	head.method = name;
	head.timeout_ms = timeout_ms;
	assert_int_equal(lt_wire_pack(&head.base, LT_FRAME_PAYLOAD_MAX, &bytes), LT_OK);
	(void)raw_send(r, LT_FRAME_REQUEST, 0, id, bytes.data, bytes.len);
	lt_buf_fini(&bytes);
}

bool
raw_next(struct raw *r, struct lt_frame *f)
{
	struct lt_reader rd;
	struct lt_slice s;

	for (;;) {
		while (r->in_off == r->in.len) {
			if (r->eof)
				return false;
			lt_buf_clear(&r->in);
			r->in_off = 0;
			pump(r);
		}
		lt_reader_init(&rd, lt_slice(r->in.data + r->in_off, r->in.len - r->in_off));
		s = lt_read_framed(&rd);
		r->in_off += 4 + s.len;
		assert_int_equal(lt_frame_parse(s, f), LT_OK);
		if (f->type >= LT_FRAME_IGNORED_MIN)
			continue; /* as an older program does */
		if (f->type != LT_FRAME_PING)
			return true;
		(void)raw_send(r, LT_FRAME_PONG, 0, 0, f->payload.data, f->payload.len);
	}
}

void
raw_sync(struct raw *r)
{
	struct lt_frame f = { .type = LT_FRAME_PING };

	(void)raw_send(r, LT_FRAME_PING, 0, 0, "in step!", 8);
	do
		assert_true(raw_next(r, &f));
	while (f.type != LT_FRAME_PONG || memcmp(f.payload.data, "in step!", 8) != 0);
}

int
raw_end_of(struct raw *r, uint32_t id)
{
	struct lt_frame f;
	struct lt_status st;

	while (raw_next(r, &f)) {
		if (f.type == LT_FRAME_END && f.id == id) {
			assert_int_equal(lt_status_unpack(f.payload, &st), LT_OK);
			return (int)st.code;
		}
	}
	return -1;
}

void
raw_until_closed(struct raw *r)
{
	struct lt_frame f;

	while (raw_next(r, &f))
		;
	assert_true(r->eof);
}

bool
fd_until_closed(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t bytes[4096];

	for (;;) {
		if (poll(&pfd, 1, PATIENCE_MS) != 1)
			return false;
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			return true;
	}
}
