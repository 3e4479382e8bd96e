/* The network: what link.c and the RPC server do for the programs, over lines that break. Requests, replies and items travel
 * as packed bytes and are unpacked within the limits of the wire. */
#include "proto/base/wire.h"
#include "proto/rpc/methods.h"
#include "proto/store/feed_log.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define IDLE_MS 60000 /* of the server's and the client's options */
#define CREDIT 8
#define CONNECT_MS 5000
#define REQUEST_ARENA ((size_t)8 * 1024 * 1024)

static uint64_t
hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* ---- lines ---- */

static struct sim_line *
find_line(struct sim *s, uint64_t id)
{
	size_t i;

	for (i = s->nline; i-- > 0;)
		if (s->line[i]->id == id)
			return s->line[i];
	return NULL;
}

/* Lines that nobody has open any more are forgotten now and then. */
static void
forget_lines(struct sim *s)
{
	size_t i, k = 0;

	for (i = 0; i < s->nline; i++) {
		struct sim_line *l = s->line[i];

		if (l->node_open || l->hub_open || s->m[l->node].line == l)
			s->line[k++] = l;
		else
			free(l);
	}
	s->nline = k;
}

static struct sim_line *
new_line(struct sim *s, int node)
{
	struct sim_line *l = calloc(1, sizeof(*l));

	if (s->nline > 200)
		forget_lines(s);
	if (s->nline == s->line_cap) {
		s->line_cap = s->line_cap == 0 ? 64 : 2 * s->line_cap;
		s->line = realloc(s->line, s->line_cap * sizeof(struct sim_line *));
	}
	if (l == NULL || s->line == NULL)
		abort();
	l->id = ++s->next_id;
	l->node = node;
	l->node_life = s->m[node].life;
	l->node_open = true;
	l->latency_ms = sim_rng_between(&s->rng, 1, s->o.latency_ms);
	s->line[s->nline++] = l;
	return l;
}

static struct sim_message *
new_message(enum sim_message_kind kind, const struct sim_line *l, uint64_t call)
{
	struct sim_message *m = calloc(1, sizeof(*m));

	if (m == NULL)
		abort();
	m->kind = kind;
	m->line = l->id;
	m->call = call;
	lt_buf_init(&m->bytes, LT_MESSAGE_MAX);
	return m;
}

static struct sim_message *
copy_message(const struct sim_message *m)
{
	struct sim_message *c = malloc(sizeof(*c));

	if (c == NULL)
		abort();
	*c = *m;
	lt_buf_init(&c->bytes, LT_MESSAGE_MAX);
	lt_buf_put(&c->bytes, m->bytes.data, m->bytes.len);
	return c;
}

static void
drop_message(struct sim_message *m)
{
	lt_buf_fini(&m->bytes);
	free(m);
}

static bool
strikes(struct sim *s, enum sim_fault f)
{
	if (s->healed || s->o.per_mille[f] == 0 || !sim_rng_chance(&s->rng, s->o.per_mille[f]))
		return false;
	s->count[f]++;
	return true;
}

/* One bit of a change-set on its way turns over: the line's own protection is not simulated, what is behind it is. */
static void
forge(struct sim *s, struct sim_line *l, struct sim_message *m)
{
	size_t at;

	s->count[SIM_F_FORGED]++;
	at = 8 + sim_rng_below(&s->rng, m->bytes.len - 8);
	m->bytes.data[at] ^= (uint8_t)(1u << sim_rng_below(&s->rng, 8));
	s->m[l->node].forged_at = true;
}

/* Field 1 of a PullItem and of a PushRequest. */
static bool
carries_changesets(const struct sim_message *m)
{
	return m->bytes.len > 64 && m->bytes.data[0] == 0x0a &&
	       (m->kind == SIM_M_ITEM || (m->kind == SIM_M_CALL && strcmp(m->method, "Push") == 0));
}

static void
send(struct sim *s, struct sim_line *l, bool up, struct sim_message *m)
{
	struct sim_event ev = { .kind = up ? SIM_EV_UP : SIM_EV_DOWN,
		.machine = up ? SIM_HUB : l->node,
		.message = m };
	int64_t *last = up ? &l->up_at : &l->down_at;
	bool unary = m->kind == SIM_M_CALL || m->kind == SIM_M_REPLY;
	int64_t at = s->now + l->latency_ms + sim_rng_between(&s->rng, 0, l->latency_ms);

	if ((up ? l->up_dead : l->down_dead) || s->m[up ? l->node : SIM_HUB].dead) {
		drop_message(m);
		return;
	}
	if (m->kind == SIM_M_ITEM && strikes(s, SIM_F_LOSS)) {
		s->m[l->node].forged_at = true;
		drop_message(m);
		return;
	}
	if (carries_changesets(m) && !s->healed && s->o.per_mille[SIM_F_FORGED] != 0 &&
	    sim_rng_chance(&s->rng, s->o.per_mille[SIM_F_FORGED]))
		forge(s, l, m);
	if (strikes(s, SIM_F_DELAY))
		at += sim_rng_between(&s->rng, 1000, 70000);
	if (unary && strikes(s, SIM_F_REORDER)) {
		at += sim_rng_between(&s->rng, 10, 3000); /* and others overtake it */
	} else {
		if (at < *last)
			at = *last;
		*last = at;
	}
	ev.at = at;
	sim_queue_push(&s->queue, &ev);
	if (m->kind == SIM_M_CALL && strikes(s, SIM_F_DUPLICATE)) {
		ev.message = copy_message(m);
		ev.at = at + sim_rng_between(&s->rng, 0, 5000);
		sim_queue_push(&s->queue, &ev);
	}
}

/* ---- the node's end ---- */

void
sim_post_sync(struct sim *s, int node, int64_t in_ms, const struct lt_sync_event *ev,
    const struct lt_sync_feed *feeds)
{
	struct sim_event e = { .kind = SIM_EV_SYNC,
		.at = s->now + in_ms,
		.machine = node,
		.life = s->m[node].life,
		.sync = *ev };

	if (feeds != NULL && ev->nfeed != 0) {
		e.feeds = malloc(LT_SYNC_FEEDS_MAX * sizeof(*feeds));
		if (e.feeds == NULL)
			abort();
		memcpy(e.feeds, feeds, LT_SYNC_FEEDS_MAX * sizeof(*feeds));
		e.sync.feeds = e.feeds;
	} else {
		e.sync.feeds = NULL;
	}
	sim_queue_push(&s->queue, &e);
}

static void
post_kind(struct sim *s, int node, enum lt_sync_event_kind kind, bool ok)
{
	struct lt_sync_event ev = { .kind = kind, .ok = ok };

	sim_post_sync(s, node, 0, &ev, NULL);
}

static void
end_call(struct sim *s, int node, struct sim_call *c, const struct lt_status *st)
{
	struct sim_machine *m = &s->m[node];

	if (!c->open)
		return;
	c->open = false;
	if (st->code != LT_STATUS_OK)
		sim_say(s, "node %d: %s ends: %s %s", node, c->method, lt_status_name(st->code),
		    st->message);
	lt_session_end(m->session, &c->c, st);
	if (!m->dead && m->line != NULL && m->line->id == c->line)
		sim_post_sync(s, node, 0, &c->c.ev, c->c.feeds);
	sim_step_due(s, node);
}

static struct sim_call *
find_call(struct sim_machine *m, uint64_t id)
{
	size_t i;

	for (i = 0; i < SIM_CALLS; i++)
		if (m->call[i].open && m->call[i].id == id)
			return &m->call[i];
	return NULL;
}

static void
end_calls(struct sim *s, struct sim_machine *m)
{
	struct lt_status st = { .code = LT_STATUS_UNAVAILABLE };
	size_t i;

	for (i = 0; i < SIM_CALLS; i++)
		end_call(s, m->no, &m->call[i], &st);
}

/* The line is history for this node: calls on it end, and tell nobody. */
static void
hang_up(struct sim *s, struct sim_machine *m)
{
	struct sim_line *l = m->line;

	m->line = NULL;
	m->dialing = false;
	lt_session_drop(m->session);
	end_calls(s, m);
	if (l == NULL || !l->node_open)
		return;
	send(s, l, true, new_message(SIM_M_CLOSE, l, 0));
	l->node_open = false;
}

static void
do_dial(struct sim *s, struct sim_machine *m)
{
	struct lt_sync_event ev = { .kind = LT_SYNC_EV_DIALED };
	struct sim_line *l;

	hang_up(s, m);
	if (s->now < m->blocked_until) {
		sim_post_sync(s, m->no, sim_rng_between(&s->rng, 1, CONNECT_MS), &ev, NULL);
		return;
	}
	l = new_line(s, m->no);
	m->line = l;
	m->dialing = true;
	send(s, l, true, new_message(SIM_M_DIAL, l, 0));
	sim_at(s, CONNECT_MS, SIM_EV_DEADLINE, m->no, 0, l->id);
}

static struct sim_call *
new_call(struct sim *s, struct sim_machine *m)
{
	size_t i;

	for (i = 0; i < SIM_CALLS; i++)
		if (!m->call[i].open)
			return &m->call[i];
	sim_fail(s, "node %d has more than %d calls under way", m->no, SIM_CALLS);
	return NULL;
}

static void
do_call(struct sim *s, struct sim_machine *m, const struct lt_sync_action *a)
{
	struct sim_call *c = new_call(s, m);
	struct lt_session_request r;
	struct sim_message *msg;
	struct lt_arena arena;
	int rc;

	if (c == NULL)
		return;
	/* As the link's thread waits. */
	while (a->kind == LT_SYNC_DO_PULL && lt_session_applying(m->session) > 0)
		if (!lt_node_step(m->node))
			break;
	lt_arena_init(&arena, REQUEST_ARENA);
	rc = lt_session_ask(m->session, a, &arena, &c->c, &r);
	if (rc == LT_OK && (m->line == NULL || !m->line->node_open)) {
		struct lt_status st = { .code = LT_STATUS_CANCELLED };

		lt_session_end(m->session, &c->c, &st);
		rc = LT_E_CLOSED;
	}
	if (rc == LT_OK) {
		c->open = true;
		c->pull = a->kind == LT_SYNC_DO_PULL;
		c->id = ++s->next_id;
		c->line = m->line->id;
		c->service = r.service;
		c->method = r.method;
		msg = new_message(SIM_M_CALL, m->line, c->id);
		msg->service = r.service;
		msg->method = r.method;
		if (lt_wire_pack(r.message, LT_MESSAGE_MAX, &msg->bytes) != LT_OK)
			sim_fail(s, "node %d: request %s does not pack", m->no, r.method);
		sim_trace(s, hash_bytes(msg->bytes.data, msg->bytes.len), c->id);
		if (r.timeout_ms != 0)
			sim_at(s, r.timeout_ms, SIM_EV_DEADLINE, m->no, c->id, c->line);
		if (!m->dead)
			send(s, m->line, true, msg);
		else
			drop_message(msg);
	} else if (!m->dead) {
		sim_post_sync(s, m->no, 0, &c->c.ev, NULL);
	}
	lt_arena_fini(&arena);
}

static void
carry_out(struct sim *s, struct sim_machine *m, const struct lt_sync_todo *todo)
{
	size_t i;

	for (i = 0; i < todo->n && !m->dead; i++) {
		const struct lt_sync_action *a = &todo->action[i];

		sim_trace(s, (uint64_t)a->kind, (uint64_t)m->no);
		switch (a->kind) {
		case LT_SYNC_DO_DIAL:
			do_dial(s, m);
			break;
		case LT_SYNC_DO_CLOSE:
			hang_up(s, m);
			break;
		case LT_SYNC_DO_TIMER:
			m->timer_no++;
			sim_at(s, a->at_ms - lt_mono_ms(&m->clock), SIM_EV_TIMER, m->no,
			    m->timer_no, 0);
			break;
		case LT_SYNC_DO_JOIN:
		case LT_SYNC_DO_HELLO:
		case LT_SYNC_DO_GIVE_BACK:
		case LT_SYNC_DO_PULL:
		case LT_SYNC_DO_PUSH:
		case LT_SYNC_DO_ANNOUNCE:
		case LT_SYNC_DO_FETCH:
		case LT_SYNC_DO_SUPPLY:
			do_call(s, m, a);
			break;
		}
	}
}

void
sim_sync_event(struct sim *s, int node, const struct lt_sync_event *event)
{
	struct sim_machine *m = &s->m[node];
	struct lt_sync_event ev = *event;
	struct lt_sync_todo todo;

	ev.now_ms = lt_mono_ms(&m->clock);
	ev.minute_of_day = (int)((lt_wall_ms(&m->clock) / 1000 + 7 * 3600) % 86400 / 60);
	lt_sync_step(&m->sync, &ev, &todo);
	carry_out(s, m, &todo);
	sim_pull_check(s, node);
}

/* Nothing more of the pull is taken: its call is ended. */
void
sim_pull_check(struct sim *s, int node)
{
	struct lt_status st = { .code = LT_STATUS_CANCELLED };
	struct sim_machine *m = &s->m[node];
	size_t i;

	if (!m->pull_broke || !m->up)
		return;
	m->pull_broke = false;
	for (i = 0; i < SIM_CALLS; i++) {
		struct sim_call *c = &m->call[i];

		if (!c->open || !c->pull)
			continue;
		if (m->line != NULL && m->line->id == c->line && m->line->node_open)
			send(s, m->line, true, new_message(SIM_M_CANCEL, m->line, c->id));
		end_call(s, node, c, &st);
	}
}

static void
node_lost(struct sim *s, struct sim_machine *m)
{
	bool dialing = m->dialing;

	sim_say(s, "node %d has lost line %llu", m->no, (unsigned long long)m->line->id);
	m->line->node_open = false;
	m->dialing = false;
	end_calls(s, m);
	post_kind(s, m->no, dialing ? LT_SYNC_EV_DIALED : LT_SYNC_EV_LOST, false);
}

/* Of a call, or (call 0) of the dial of a line. */
void
sim_deadline(struct sim *s, int node, uint64_t call, uint64_t line)
{
	struct lt_status st = { .code = LT_STATUS_DEADLINE_EXCEEDED };
	struct sim_machine *m = &s->m[node];
	struct sim_call *c = find_call(m, call);

	if (c != NULL)
		end_call(s, node, c, &st);
	if (call == 0 && m->dialing && m->line != NULL && m->line->id == line)
		node_lost(s, m);
}

static void
take_item(struct sim *s, struct sim_machine *m, struct sim_call *c, const struct sim_message *msg)
{
	const ProtobufCMethodDescriptor *d =
	    protobuf_c_service_descriptor_get_method_by_name(c->service, c->method);
	struct lt_status st = { .code = LT_STATUS_INTERNAL };
	struct lt_err err = { "" };
	ProtobufCMessage *m2;
	struct lt_arena arena;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	rc =
	    lt_wire_unpack(d->output, lt_buf_slice(&msg->bytes), LT_MESSAGE_MAX, &arena, &m2, &err);
	if (rc != LT_OK) {
		/* As the client does with an answer that it cannot read. */
		if (c->pull)
			send(s, m->line, true, new_message(SIM_M_CANCEL, m->line, c->id));
		end_call(s, m->no, c, &st);
	} else {
		while (c->pull && !lt_session_has_room(m->session))
			if (!lt_node_step(m->node))
				break;
		lt_session_take(m->session, &c->c, m2);
		s->pulled += c->pull;
		sim_step_due(s, m->no);
	}
	lt_arena_fini(&arena);
}

void
sim_arrive_down(struct sim *s, int node, struct sim_message *msg)
{
	struct lt_status ok = { .code = LT_STATUS_OK };
	struct sim_machine *m = &s->m[node];
	struct sim_line *l = m->line;
	struct sim_call *c;

	if (!m->up || l == NULL || l->id != msg->line || !l->node_open)
		return;
	c = find_call(m, msg->call);
	switch (msg->kind) {
	case SIM_M_DIALED:
		m->dialing = false;
		post_kind(s, node, LT_SYNC_EV_DIALED, true);
		break;
	case SIM_M_REFUSED:
	case SIM_M_CLOSE:
		node_lost(s, m);
		break;
	case SIM_M_ITEM:
		if (c == NULL)
			break;
		take_item(s, m, c, msg);
		if (c->open && m->line == l && l->node_open)
			send(s, l, true, new_message(SIM_M_CREDIT, l, c->id));
		break;
	case SIM_M_REPLY:
		if (c == NULL)
			break;
		take_item(s, m, c, msg);
		end_call(s, node, c, &ok);
		break;
	case SIM_M_END:
		if (c != NULL)
			end_call(s, node, c, &msg->status);
		break;
	case SIM_M_PING:
		send(s, l, true, new_message(SIM_M_PONG, l, 0));
		break;
	default:
		break;
	}
	sim_pull_check(s, node);
}

/* ---- the hub's end ---- */

static void
peer_of(struct sim *s, const struct sim_line *l, struct lt_peer *p)
{
	memset(p, 0, sizeof(*p));
	p->kind = LT_PEER_LINE;
	memcpy(p->line_key, s->m[l->node].id.line_pk, 32);
	(void)snprintf(p->address, sizeof(p->address), "192.0.2.%d", l->node);
	p->conn_id = l->id;
}

static void
drop_stream(struct sim *s, size_t i)
{
	lt_pull_plan_free(s->stream[i].plan);
	s->nstream--;
	memmove(&s->stream[i], &s->stream[i + 1], (s->nstream - i) * sizeof(s->stream[0]));
}

static void
hub_leave(struct sim *s, struct sim_line *l)
{
	struct lt_peer peer;
	size_t i;

	if (!l->hub_open)
		return;
	l->hub_open = false;
	for (i = s->nstream; i-- > 0;)
		if (s->stream[i].line == l->id)
			drop_stream(s, i);
	if (s->hub != NULL) {
		peer_of(s, l, &peer);
		lt_service_closed(&s->service, &peer);
	}
}

static bool
hub_may_send(struct sim *s, const struct sim_line *l)
{
	return l != NULL && l->hub_open && l->hub_life == s->m[SIM_HUB].life && s->m[SIM_HUB].up &&
	       !s->m[SIM_HUB].dead;
}

static void
send_end(struct sim *s, struct sim_line *l, uint64_t call, const struct lt_status *st)
{
	struct sim_message *m;

	if (!hub_may_send(s, l))
		return;
	m = new_message(SIM_M_END, l, call);
	m->status = *st;
	send(s, l, false, m);
}

static void
send_packed(struct sim *s, struct sim_line *l, uint64_t call, enum sim_message_kind kind,
    const ProtobufCMessage *reply)
{
	struct sim_message *m;

	if (!hub_may_send(s, l))
		return;
	m = new_message(kind, l, call);
	if (lt_wire_pack(reply, LT_MESSAGE_MAX, &m->bytes) != LT_OK)
		sim_fail(s, "the hub's reply does not pack: %s", reply->descriptor->name);
	sim_trace(s, hash_bytes(m->bytes.data, m->bytes.len), call);
	if (kind == SIM_M_REPLY && strikes(s, SIM_F_LOST_REPLY)) {
		drop_message(m);
		return;
	}
	send(s, l, false, m);
}

struct push {
	struct sim *s;
	int thief; /* who sent it; 0: no thief */
	bool hub_lacked; /* change-sets of its own */
	const Ltpb__PushRequest *req; /* in the arena */
	uint64_t line, call, life;
	struct lt_buf bytes;
	struct lt_arena arena; /* the request, which intake borrows from */
};

static void
pushed(void *ctx, const Ltpb__PushReply *r, const struct lt_status *st, const struct lt_took *took)
{
	struct push *p = ctx;
	struct sim *s = p->s;
	struct sim_line *l = find_line(s, p->line);
	size_t i;

	(void)took;
	if (!s->m[SIM_HUB].dead && s->m[SIM_HUB].life == p->life) {
		if (r != NULL || strcmp(st->reason, "FORK") == 0)
			sim_check_contact(s, p->req, r == NULL);
		if (p->thief != 0 && r == NULL && strcmp(st->reason, "FORK") == 0)
			sim_thief_met_fork(s, p->thief, p->req);
		if (r != NULL)
			sim_check_given_back(s, p->req, p->hub_lacked);
		for (i = 0; r != NULL && i < r->n_receipt; i++)
			sim_check_receipt(s, r->receipt[i]);
		if (r != NULL)
			send_packed(s, l, p->call, SIM_M_REPLY, &r->base);
		else
			send_end(s, l, p->call, st);
	}
	lt_arena_fini(&p->arena);
	lt_buf_fini(&p->bytes);
	free(p);
}

struct sending {
	struct sim *s;
	struct sim_stream *stream;
	struct sim_line *line;
};

static int
send_item(void *ctx, const ProtobufCMessage *item)
{
	struct sending *w = ctx;

	if (w->stream->credit == 0)
		return LT_E_BUSY;
	w->stream->credit--;
	send_packed(w->s, w->line, w->stream->call, SIM_M_ITEM, item);
	return LT_OK;
}

static bool
pump_one(struct sim *s, size_t i)
{
	struct sending w = { s, &s->stream[i], find_line(s, s->stream[i].line) };
	struct lt_status st;
	int rc;

	if (w.line == NULL) {
		drop_stream(s, i);
		return false;
	}
	rc = lt_pull_plan_send(w.stream->plan, send_item, &w);
	if (rc == LT_OK || rc == LT_E_BUSY)
		return true;
	lt_status_set(&st, lt_status_from_error(rc), "PULL", "%s", lt_strerror(rc));
	send_end(s, w.line, w.stream->call, &st);
	drop_stream(s, i);
	return false;
}

void
sim_pump(struct sim *s)
{
	struct lt_pull_news news;
	size_t i = 0;

	s->pump_due = false;
	if (lt_pull_news_read(s->hub, &s->news_seen, &news) != LT_OK)
		return;
	while (i < s->nstream) {
		if (!lt_pull_news_concern(&news, lt_pull_plan_unit(s->stream[i].plan)) ||
		    pump_one(s, i))
			i++;
	}
}

void
sim_news(struct sim *s)
{
	if (s->pump_due || s->nstream == 0)
		return;
	/* The pool's queue is full: the next commit tries again. */
	if (strikes(s, SIM_F_LOST_NOTIFY))
		return;
	s->pump_due = true;
	sim_at(s, 0, SIM_EV_PUMP, SIM_HUB, 0, 0);
}

static void
serve_pull(struct sim *s, struct sim_line *l, uint64_t call, struct lt_asking *a,
    const Ltpb__PullRequest *req)
{
	struct lt_pull_plan *plan;
	struct lt_status st;
	struct sim_stream *stream;

	if (s->nstream == sizeof(s->stream) / sizeof(s->stream[0])) {
		lt_status_set(&st, LT_STATUS_UNAVAILABLE, "PULL", "%s", "too many streams");
		send_end(s, l, call, &st);
		return;
	}
	if (!lt_answer_pull(a, req, &plan, &st)) {
		send_end(s, l, call, &st);
		return;
	}
	stream = &s->stream[s->nstream++];
	stream->line = l->id;
	stream->call = call;
	stream->plan = plan;
	stream->credit = CREDIT;
	(void)pump_one(s, s->nstream - 1);
}

static void
serve_push(struct sim *s, struct sim_line *l, struct sim_message *msg, struct lt_asking *a,
    struct push *p, const Ltpb__PushRequest *req)
{
	p->s = s;
	p->req = req;
	p->line = l->id;
	p->call = msg->call;
	p->life = s->m[SIM_HUB].life;
	s->received += req->n_change_set;
	p->hub_lacked = sim_hub_lacks(s, req);
	lt_answer_push(a, req, pushed, p);
	sim_step_due(s, SIM_HUB);
}

static void
serve_unary(struct sim *s, struct sim_line *l, uint64_t call, struct lt_asking *a,
    const char *method, const ProtobufCMessage *req)
{
	Ltpb__JoinReply join = LTPB__JOIN_REPLY__INIT;
	Ltpb__HelloReply hello = LTPB__HELLO_REPLY__INIT;
	Ltpb__AnnounceReply announce = LTPB__ANNOUNCE_REPLY__INIT;
	const ProtobufCMessage *reply = NULL;
	struct lt_status st;

	if (strcmp(method, "Join") == 0 &&
	    lt_answer_join(a, (const Ltpb__JoinRequest *)req, &join, &st))
		reply = &join.base;
	if (strcmp(method, "Hello") == 0 &&
	    lt_answer_hello(a, (const Ltpb__HelloRequest *)req, &hello, &st)) {
		sim_check_hello(s, (const Ltpb__HelloRequest *)req, &hello);
		reply = &hello.base;
	}
	if (strcmp(method, "Announce") == 0 &&
	    lt_answer_announce(a, (const Ltpb__AnnounceRequest *)req, &announce, &st))
		reply = &announce.base;
	if (reply != NULL)
		send_packed(s, l, call, SIM_M_REPLY, reply);
	else
		send_end(s, l, call, &st);
}

static const struct lt_method *
find_method(const struct sim_message *msg)
{
	char name[128];
	size_t i;

	(void)snprintf(name, sizeof(name), "/%s/%s", msg->service->name, msg->method);
	for (i = 0; i < lt_nmethods; i++)
		if (strcmp(lt_methods[i].name, name) == 0)
			return &lt_methods[i];
	return NULL;
}

static void
serve(struct sim *s, struct sim_line *l, struct sim_message *msg)
{
	const ProtobufCMethodDescriptor *d =
	    protobuf_c_service_descriptor_get_method_by_name(msg->service, msg->method);
	struct lt_status st = { .code = LT_STATUS_OK };
	struct push *p = calloc(1, sizeof(*p));
	struct lt_err err = { "" };
	ProtobufCMessage *req;
	struct lt_asking a;
	struct lt_peer peer;
	bool later = false;

	if (p == NULL)
		abort();
	peer_of(s, l, &peer);
	p->bytes = msg->bytes;
	memset(&msg->bytes, 0, sizeof(msg->bytes));
	lt_arena_init(&p->arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	lt_service_authorize(&s->service, &peer, find_method(msg), &st);
	if (st.code == LT_STATUS_OK && s->m[SIM_HUB].exhausted) {
		lt_status_set(&st, LT_STATUS_RESOURCE_EXHAUSTED, "BUSY", "%s", "too many calls");
		st.retry_delay_ms = 1000;
	}
	if (st.code == LT_STATUS_OK && lt_wire_unpack(d->input, lt_buf_slice(&p->bytes),
					   LT_MESSAGE_MAX, &p->arena, &req, &err) != LT_OK)
		lt_status_set(&st, LT_STATUS_INVALID_ARGUMENT, "REQUEST", "%s", err.text);
	if (st.code != LT_STATUS_OK) {
		send_end(s, l, msg->call, &st);
	} else {
		lt_asking_open(&a, &s->service, &peer);
		if (strcmp(msg->method, "Push") == 0) {
			later = true;
			serve_push(s, l, msg, &a, p, (const Ltpb__PushRequest *)req);
		} else if (strcmp(msg->method, "Pull") == 0) {
			serve_pull(s, l, msg->call, &a, (const Ltpb__PullRequest *)req);
		} else {
			serve_unary(s, l, msg->call, &a, msg->method, req);
			sim_step_due(s, SIM_HUB);
		}
		lt_asking_end(&a);
	}
	if (!later) {
		lt_arena_fini(&p->arena);
		lt_buf_fini(&p->bytes);
		free(p);
	}
}

/* From another place, with the line key of the node whose keys he has, and with no hello before. */
void
sim_push_as_thief(struct sim *s, int machine, const Ltpb__PushRequest *req)
{
	static const struct lt_method *method;
	struct sim_message m = { .service = &ltpb__sync__descriptor, .method = "Push" };
	struct lt_status st = { .code = LT_STATUS_OK };
	struct sim_line l = { .node = machine };
	struct push *p = calloc(1, sizeof(*p));
	struct lt_err err = { "" };
	ProtobufCMessage *copy;
	struct lt_asking a;
	struct lt_peer peer;

	if (p == NULL)
		abort();
	l.id = m.call = ++s->next_id;
	peer_of(s, &l, &peer);
	p->thief = machine;
	lt_buf_init(&p->bytes, LT_MESSAGE_MAX);
	lt_arena_init(&p->arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	method = find_method(&m);
	lt_service_authorize(&s->service, &peer, method, &st);
	if (st.code != LT_STATUS_OK ||
	    lt_wire_pack(&req->base, LT_MESSAGE_MAX, &p->bytes) != LT_OK ||
	    lt_wire_unpack(&ltpb__push_request__descriptor, lt_buf_slice(&p->bytes), LT_MESSAGE_MAX,
		&p->arena, &copy, &err) != LT_OK) {
		lt_arena_fini(&p->arena);
		lt_buf_fini(&p->bytes);
		free(p);
		return;
	}
	lt_asking_open(&a, &s->service, &peer);
	serve_push(s, &l, &m, &a, p, (const Ltpb__PushRequest *)copy);
	lt_asking_end(&a);
	lt_service_closed(&s->service, &peer);
}

static void
answer_dial(struct sim *s, struct sim_line *l)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_peer peer;

	if (!l->node_open)
		return;
	peer_of(s, l, &peer);
	if (!hub->up || lt_service_admit(&s->service, &peer) != LT_OK) {
		send(s, l, false, new_message(SIM_M_REFUSED, l, 0));
		return;
	}
	l->hub_open = true;
	l->hub_life = hub->life;
	sim_say(s, "node %d has line %llu", l->node, (unsigned long long)l->id);
	send(s, l, false, new_message(SIM_M_DIALED, l, 0));
}

static void
arrive_of_stream(struct sim *s, const struct sim_message *msg)
{
	size_t i;

	for (i = 0; i < s->nstream; i++) {
		if (s->stream[i].line != msg->line || s->stream[i].call != msg->call)
			continue;
		if (msg->kind == SIM_M_CANCEL) {
			drop_stream(s, i);
		} else {
			s->stream[i].credit++;
			(void)pump_one(s, i);
		}
		return;
	}
}

void
sim_arrive_up(struct sim *s, struct sim_message *msg)
{
	struct sim_line *l = find_line(s, msg->line);

	if (l == NULL)
		return;
	if (msg->kind == SIM_M_DIAL) {
		answer_dial(s, l);
		return;
	}
	if (msg->kind == SIM_M_CLOSE)
		hub_leave(s, l);
	l->frames++;
	if (!hub_may_send(s, l))
		return;
	if (msg->kind == SIM_M_CALL)
		serve(s, l, msg);
	else
		arrive_of_stream(s, msg);
}

/* ---- two machines with one key ---- */

static bool
look_at_line(void *ctx, uint64_t conn_id, bool ping, uint64_t *frames)
{
	struct sim *s = ctx;
	struct sim_line *l = find_line(s, conn_id);

	if (!hub_may_send(s, l))
		return false;
	*frames = l->frames;
	if (ping)
		send(s, l, false, new_message(SIM_M_PING, l, 0));
	return true;
}

static void
cut_line(void *ctx, uint64_t conn_id)
{
	struct sim *s = ctx;

	if (find_line(s, conn_id) != NULL)
		sim_idle(s, conn_id, true);
}

bool
sim_open_twins(struct sim *s)
{
	const struct lt_twins_lines lines = { look_at_line, cut_line, s };

	return lt_twins_open(&s->m[SIM_HUB].clock, &lines, &s->service.twins) == LT_OK;
}

/* ---- how lines end ---- */

/* One side has heard nothing for too long and gives up; it tells the other, which may hear it. */
void
sim_idle(struct sim *s, uint64_t line, bool hub_side)
{
	struct sim_line *l = find_line(s, line);
	struct sim_machine *m;

	if (l == NULL)
		return;
	m = &s->m[l->node];
	if (hub_side && l->hub_open) {
		hub_leave(s, l);
		send(s, l, false, new_message(SIM_M_CLOSE, l, 0));
	}
	if (!hub_side && m->up && m->line == l && l->node_open) {
		send(s, l, true, new_message(SIM_M_CLOSE, l, 0));
		node_lost(s, m);
	}
}

void
sim_line_half(struct sim *s, struct sim_line *l, bool up)
{
	int64_t wait = sim_rng_between(&s->rng, IDLE_MS / 2, IDLE_MS);

	if (up)
		l->up_dead = true;
	else
		l->down_dead = true;
	sim_at(s, wait, SIM_EV_IDLE, up ? SIM_HUB : l->node, l->id, up);
}

/* Both directions; told: both ends learn of it now, else by silence. */
void
sim_line_cut(struct sim *s, struct sim_line *l, bool told)
{
	if (!told) {
		sim_line_half(s, l, true);
		sim_line_half(s, l, false);
		return;
	}
	l->up_dead = l->down_dead = true;
	hub_leave(s, l);
	if (s->m[l->node].up && s->m[l->node].line == l && l->node_open)
		node_lost(s, &s->m[l->node]);
}

void
sim_lines_lost(struct sim *s, int machine, bool silent)
{
	size_t i;

	for (i = 0; i < s->nline; i++) {
		struct sim_line *l = s->line[i];

		if (machine == SIM_HUB && l->hub_open) {
			l->hub_open = false;
			if (silent)
				sim_line_half(s, l, false);
			else
				send(s, l, false, new_message(SIM_M_CLOSE, l, 0));
		}
		if (machine == l->node && l->node_open) {
			l->node_open = false;
			if (silent)
				sim_line_half(s, l, true);
			else
				send(s, l, true, new_message(SIM_M_CLOSE, l, 0));
		}
	}
}
