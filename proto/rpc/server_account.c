/* Which account a connection's calls go to: that of the peer whose key is at its other end, or of the key where it is nobody's. */
#include "proto/rpc/server_impl.h"

#include <stdlib.h>
#include <string.h>

static struct lt_patron **
bucket_of(struct lt_server *s, const uint8_t key[LT_PATRON_KEY_LEN])
{
	/* Guests choose their keys, and could choose one bucket: there are never more patrons than connections there can be. */
	return &s->patrons[lt_load_u32(key + 1) % LT_SERVER_PATRON_BUCKETS];
}

/* A guest's key is never taken for somebody's name. */
static void
key_of(const struct lt_conn *c, const struct lt_quota *q, uint8_t key[LT_PATRON_KEY_LEN])
{
	static const uint8_t nobody[sizeof(q->whom)];
	bool named = memcmp(q->whom, nobody, sizeof(nobody)) != 0;

	memset(key, 0, LT_PATRON_KEY_LEN);
	key[0] = named ? 1 : 0;
	if (named)
		memcpy(key + 1, q->whom, sizeof(q->whom));
	else
		memcpy(key + 1, c->peer.line_key, sizeof(c->peer.line_key));
}

static void
forget(struct lt_server *s, struct lt_patron **at)
{
	struct lt_patron *p = *at;

	*at = p->next;
	s->npatrons--;
	lt_account_unref(p->account);
	free(p);
}

static struct lt_patron **
place_of(struct lt_server *s, const struct lt_patron *p)
{
	struct lt_patron **at = bucket_of(s, p->key);

	while (*at != p)
		at = &(*at)->next;
	return at;
}

/* Those without connections go when there are more than can be connected at once. A guest goes with its connection: it comes with
 * another key when it likes, and many of them must not make those be forgotten who owe something. */
static void
forget_absent(struct lt_server *s)
{
	struct lt_patron **at;
	unsigned i;

	for (i = 0; i < LT_SERVER_PATRON_BUCKETS; i++)
		for (at = &s->patrons[i]; *at != NULL;)
			if ((*at)->nconns == 0)
				forget(s, at);
			else
				at = &(*at)->next;
}

static struct lt_patron *
find(struct lt_server *s, const uint8_t key[LT_PATRON_KEY_LEN])
{
	struct lt_patron *p = *bucket_of(s, key);

	while (p != NULL && memcmp(p->key, key, sizeof(p->key)) != 0)
		p = p->next;
	return p;
}

static struct lt_patron *
add(struct lt_server *s, const uint8_t key[LT_PATRON_KEY_LEN], const struct lt_quota *q)
{
	struct lt_patron **at = bucket_of(s, key), *p;

	if (s->npatrons >= s->naddresses)
		forget_absent(s);
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->account = lt_account_new(q, s->o.pool)) == NULL) {
		free(p);
		return NULL;
	}
	memcpy(p->key, key, sizeof(p->key));
	p->next = *at;
	*at = p;
	s->npatrons++;
	return p;
}

/* The server's lock is held. Its own and another connection's lock must not be held at once: who goes is told later. */
static void
take_guest(struct lt_server *s, struct lt_conn *c)
{
	struct lt_conn *i, *oldest = NULL;

	c->sv.guest = true;
	if (s->nguests++ < LT_SERVER_GUESTS_MAX)
		return;
	/* Newest first. */
	for (i = s->conns; i != NULL; i = i->sv.next)
		if (i->sv.guest && !i->sv.guest_going && i != c)
			oldest = i;
	if (oldest == NULL)
		return;
	oldest->sv.guest_going = true;
	lt_conn_ref(oldest);
	c->sv.guest_out = oldest;
}

void
lt_server_guest_out(struct lt_conn *c)
{
	struct lt_conn *out;

	pthread_mutex_lock(&c->mx);
	out = c->sv.guest_out;
	c->sv.guest_out = NULL;
	pthread_mutex_unlock(&c->mx);
	if (out == NULL)
		return;
	pthread_mutex_lock(&out->mx);
	lt_conn_die(out, LT_E_CLOSED, "not enrolled, and others came");
	pthread_mutex_unlock(&out->mx);
	lt_conn_unref(out);
}

void
lt_server_account_open(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_quota q = { 0 };
	uint8_t key[LT_PATRON_KEY_LEN];
	struct lt_patron *p;
	bool over;

	if (c->local || s->o.quota == NULL)
		return;
	s->o.quota(s->o.ctx, &c->peer, &q);
	key_of(c, &q, key);
	pthread_mutex_lock(&s->mx);
	if (q.guest)
		take_guest(s, c);
	p = find(s, key);
	over = p != NULL && q.conns_max != 0 && p->nconns >= q.conns_max;
	/* Nobody there: what it may is as it is now, for who comes first. */
	if (p != NULL && p->nconns == 0)
		lt_account_set_quota(p->account, &q);
	if (p == NULL)
		p = add(s, key, &q);
	if (p != NULL) {
		p->guest = q.guest;
		p->nconns++;
		lt_account_ref(p->account);
		c->sv.account = p->account;
		c->sv.patron = p;
	}
	pthread_mutex_unlock(&s->mx);
	if (p == NULL || over)
		lt_conn_die(c, p == NULL ? LT_E_NOMEM : LT_E_DENIED,
		    p == NULL ? "out of memory" : "too many connections of this peer");
	else if (c->sv.guest_out != NULL)
		lt_conn_push(c); /* to where no lock is held */
}

void
lt_server_account_again(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_quota q = { 0 };

	s->o.quota(s->o.ctx, &c->peer, &q);
	if (q.guest || c->sv.account == NULL)
		return;
	lt_account_set_quota(c->sv.account, &q);
	pthread_mutex_lock(&s->mx);
	c->sv.guest = false;
	s->nguests--;
	c->sv.patron->guest = false;
	s->addresses[c->sv.address_slot].known = true;
	pthread_mutex_unlock(&s->mx);
}

void
lt_server_account_close(struct lt_conn *c)
{
	struct lt_server *s = c->sv.server;
	struct lt_patron *p = c->sv.patron;

	if (c->sv.account == NULL)
		return;
	pthread_mutex_lock(&s->mx);
	if (--p->nconns == 0 && p->guest)
		forget(s, place_of(s, p));
	pthread_mutex_unlock(&s->mx);
	lt_account_unref(c->sv.account);
	c->sv.account = NULL;
	c->sv.patron = NULL;
}

void
lt_server_accounts_free(struct lt_server *s)
{
	unsigned i;

	for (i = 0; i < LT_SERVER_PATRON_BUCKETS; i++)
		while (s->patrons[i] != NULL)
			forget(s, &s->patrons[i]);
}
