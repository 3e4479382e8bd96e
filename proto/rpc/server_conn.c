/* The life of a connection on the server's side: let in, open, gone. */
#include "proto/base/log.h"
#include "proto/rpc/server_impl.h"

#include <string.h>

/* One line a second about what strangers do; the rest is counted. */
static void
log_closed(struct lt_server *s, const struct lt_conn *c, const char *what)
{
	int64_t now = lt_conn_now(c), next = s->next_log_ms;
	unsigned kept;

	if (now < next || !atomic_compare_exchange_strong(&s->next_log_ms, &next, now + 1000)) {
		s->logs_kept_back++;
		return;
	}
	kept = atomic_exchange(&s->logs_kept_back, 0);
	if (kept == 0)
		lt_info("connection of %s closed: %s: %s", c->peer.address, what, c->why);
	else
		lt_info("connection of %s closed: %s: %s (and %u more like this)", c->peer.address,
		    what, c->why, kept);
}

static void
sv_opened(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;

	s->nopen++;
	/* What goes from one process to another on this machine has no line to spare. */
	if (!c->local)
		lt_mux_tell_encodings(&c->mux, LT_ENCODING_ZSTD);
	lt_server_account_open(c);
	lt_server_handshake_done(c);
	if (c->local)
		c->sv.admitted = true;
	if (s->stopping)
		lt_conn_die(c, LT_E_CLOSED, "stopping");
}

static int
sv_admit(void *arg, const uint8_t line_key[32])
{
	struct lt_conn *c = arg;
	struct lt_server *s = c->sv.server;
	int rc = LT_OK;

	/* Before the question, so that a revocation meanwhile finds it (lt_server_cut). */
	pthread_mutex_lock(&c->mx);
	memcpy(c->peer.line_key, line_key, sizeof(c->peer.line_key));
	pthread_mutex_unlock(&c->mx);
	if (s->o.admit != NULL)
		rc = s->o.admit(s->o.ctx, &c->peer);
	if (rc != LT_OK)
		return rc;
	pthread_mutex_lock(&c->mx);
	c->sv.admitted = true;
	pthread_mutex_unlock(&c->mx);
	return LT_OK;
}

static void
count_end(struct lt_server *s, struct lt_conn *c)
{
	if (c->phase == LT_CONN_OPEN) {
		s->nopen--;
		if (c->rc != LT_E_CLOSED) {
			s->n_cut++;
			s->n_silent += c->rc == LT_E_TIMEOUT;
			log_closed(s, c, "cut");
		}
	} else if (c->sv.evicted) {
		s->n_evicted++;
		log_closed(s, c, "silent");
	} else if (c->sv.over_rate) {
		s->n_over_rate++;
		log_closed(s, c, "over its rate");
	} else if (c->rc == LT_E_TIMEOUT) {
		s->n_late++;
		log_closed(s, c, "silent");
	} else if (strcmp(c->why, "key not admitted") == 0) {
		s->n_not_admitted++;
		log_closed(s, c, "not admitted");
	} else {
		s->n_bad++;
		log_closed(s, c, "bad handshake");
	}
}

static void
sv_gone(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_mux_call *mc;

	pthread_mutex_lock(&c->mx);
	for (mc = lt_mux_next(&c->mux, NULL); mc != NULL; mc = lt_mux_next(&c->mux, mc))
		lt_call_over(mc->user);
	lt_mux_fini(&c->mux);
	count_end(s, c);
	c->sv.gone = true;
	lt_conn_push(c);
	pthread_mutex_unlock(&c->mx);
	lt_server_places_done(c);
}

static void
sv_task(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	bool tell, done;

	lt_server_guest_out(c);
	pthread_mutex_lock(&c->mx);
	done = c->sv.gone && !c->sv.closed_told;
	tell = done && c->sv.admitted;
	c->sv.closed_told = c->sv.closed_told || done;
	pthread_mutex_unlock(&c->mx);
	if (tell && s->o.closed != NULL)
		s->o.closed(s->o.ctx, &c->peer);
	if (!done)
		return;
	pthread_mutex_lock(&s->mx);
	if (c->sv.next != NULL)
		c->sv.next->sv.prev = c->sv.prev;
	if (c->sv.prev != NULL)
		c->sv.prev->sv.next = c->sv.next;
	else
		s->conns = c->sv.next;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mx);
}

static void
sv_fini(struct lt_conn *c)
{
	lt_server_account_close(c);
	lt_server_unref(c->sv.server);
}

const struct lt_conn_ops lt_server_conn_ops = {
	.opened = sv_opened,
	.event = lt_server_on_event,
	.writable = lt_server_on_writable,
	.tick = lt_server_on_tick,
	.knocked = lt_server_knocked,
	.admit = sv_admit,
	.gone = sv_gone,
	.task = sv_task,
	.fini = sv_fini,
};
