/* New keys for a node: while a clerk goes on writing, over the real line; and killed at every step, as by a power cut. */
#include "hub/keys.h"
#include "node/rotate.h"
#include "proto/store/admit.h"
#include "tests/lib/province.h"

#include "lienthong/v1/keys.pb-c.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000
#define ROUNDS 3

/* ---- in one process ---- */

static bool
has_catalogue(void *ctx)
{
	struct fed_node *n = ctx;
	struct lt_catalogue *c = lt_node_catalogue(n->node);
	bool has = lt_catalogue_version(c) != 0;

	lt_catalogue_unref(c);
	return has;
}

struct clerk {
	struct fed_node *n;
	_Atomic bool stop;
	_Atomic unsigned saved;
};

static void *
write_on(void *arg)
{
	struct clerk *c = arg;

	while (!c->stop) {
		if (fed_put_dossier(c->n, c->saved + 1, NULL, NULL) != LT_OK)
			break;
		c->saved++;
	}
	return NULL;
}

struct at_hub {
	struct fed *f;
	unsigned number;
};

static bool
hub_has(void *ctx)
{
	struct at_hub *h = ctx;
	char text[64];

	return fed_hub_field(h->f, "17254", h->number, "status", text, sizeof(text));
}

static bool
has_saved(void *ctx)
{
	struct clerk *c = ctx;

	return c->saved >= 3;
}

struct check {
	struct lt_kv_txn *txn;
	const struct lt_registry *reg;
	const struct lt_fed *fed;
	unsigned of_key[ROUNDS + 2];
};

static int
check_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct check *c = ctx;
	struct lt_id author = lt_feed_author(feed);
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t seq, position;
	uint32_t last = 0;

	if (strcmp(unit->s, "17254") != 0 || lt_registry_is_hub(c->reg, &author))
		return LT_OK;
	for (seq = 1; seq <= head->seq; seq++) {
		struct lt_err err = { "" };

		lt_arena_init(&arena, (size_t)48 << 20);
		assert_int_equal(lt_feed_log_find(c->txn, unit, feed, seq, &position), LT_OK);
		assert_int_equal(lt_feed_log_read(c->txn, position, &e), LT_OK);
		assert_int_equal(lt_changeset_parse(e.changeset, &arena, &cs, &err), LT_OK);
		if (lt_admit_signed(&cs, c->fed, c->reg, false, false, &err) != LT_OK)
			fail_msg("number %llu: %s", (unsigned long long)seq, err.text);
		assert_true(cs.key_no >= last);
		last = cs.key_no;
		assert_true(last <= ROUNDS + 1);
		c->of_key[last]++;
		lt_arena_fini(&arena);
	}
	return LT_OK;
}

/* Each change-set of the commune verifies with the registry as it is now. */
static void
check_signatures(struct fed *f, struct check *c)
{
	struct lt_registry *reg = lt_hub_registry(f->hub);

	memset(c, 0, sizeof(*c));
	c->reg = reg;
	c->fed = &f->hub_id->federation;
	assert_int_equal(lt_kv_begin_read(lt_hub_log(f->hub), &c->txn), LT_OK);
	assert_int_equal(lt_feed_log_each(c->txn, NULL, check_feed, c), LT_OK);
	lt_kv_abort(c->txn);
	lt_registry_unref(reg);
}

struct keys {
	struct fed *f;
	const struct lt_id *who;
	uint32_t key_no;
};

/* This key alone is in use. */
static bool
only_key(void *ctx)
{
	struct keys *k = ctx;
	struct lt_registry *reg = lt_hub_registry(k->f->hub);
	const struct lt_principal *p = lt_registry_find(reg, k->who);
	bool only = p->nkey == k->key_no;
	size_t i;

	for (i = 0; i < p->nkey; i++)
		only &= p->key[i].active == (p->key[i].no == k->key_no);
	lt_registry_unref(reg);
	return only;
}

/* A clerk writes without a pause while keys change several times; all he wrote is at the hub and verifies, signed with one key
 * after the other; whoever has an old one does not get in. */
static void
test_while_writing(void **state)
{
	struct lt_rotator_options o = { 0 };
	struct fed_peer old = { 0 };
	struct clerk clerk = { 0 };
	struct lt_rotator *r;
	struct lt_err err = { "" };
	struct at_hub at;
	struct keys keys;
	struct check c;
	struct fed_node n;
	pthread_t thread;
	unsigned before, i;
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue");
	sodium_memzero(n.id->token, sizeof(n.id->token)); /* as the daemon does */
	assert_int_equal(lt_identity_write(n.id, n.dir, true, &err), LT_OK);
	old.id = *n.id;
	o.node = n.node;
	o.pool = n.pool;
	o.dir = n.dir;
	o.addresses = f.address;
	assert_int_equal(lt_rotator_new(&o, &r), LT_OK);
	assert_false(lt_rotator_begun(r));
	assert_int_equal(lt_rotator_resume(r, &err), LT_OK);
	assert_int_equal(lt_node_identity(n.node)->key_no, 1);
	clerk.n = &n;
	assert_int_equal(pthread_create(&thread, NULL, write_on, &clerk), 0);
	fed_wait(has_saved, &clerk, WAIT_MS, "the clerk writes");
	keys = (struct keys){ &f, &n.id->principal, 1 };
	for (i = 1; i <= ROUNDS; i++) {
		before = clerk.saved;
		if (lt_rotator_run(r, &err) != LT_OK)
			fail_msg("%s", err.text);
		keys.key_no = i + 1;
		assert_true(only_key(&keys));
		assert_int_equal(lt_node_identity(n.node)->key_no, i + 1);
		assert_true(clerk.saved > before);
	}
	before = clerk.saved;
	while (clerk.saved == before)
		sched_yield(); /* one more with the last key */
	clerk.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	at = (struct at_hub){ &f, clerk.saved };
	fed_wait(hub_has, &at, WAIT_MS, "the hub has the last one");
	for (i = 1; i <= clerk.saved; i++) {
		at.number = i;
		assert_true(hub_has(&at));
	}
	check_signatures(&f, &c);
	for (i = 1; i <= ROUNDS + 1; i++)
		assert_true(c.of_key[i] > 0);
	assert_int_equal(fed_dial(&f, &old), LT_E_DENIED);
	/* After a restart it is who it is now. */
	lt_rotator_free(r);
	fed_node_stop(&n);
	lt_identity_free(n.id);
	assert_int_equal(lt_identity_load(n.dir, &n.id, &err), LT_OK);
	assert_int_equal(n.id->key_no, ROUNDS + 1);
	fed_node_start(&f, &n);
	assert_int_equal(fed_put_dossier(&n, clerk.saved + 1, NULL, NULL), LT_OK);
	at.number = clerk.saved + 1;
	fed_wait(hub_has, &at, WAIT_MS, "the hub has what came after the restart");
	fed_node_teardown(&n);
	fed_teardown(&f);
}

/* No hub, no enrolment, a second slot that is damaged or not ours: it says so, or draws anew, and goes on with the keys it has. */
static void
test_refusals(void **state)
{
	struct lt_rotator_options o = { 0 };
	struct lt_identity *next;
	struct lt_rotator *r;
	struct lt_err err = { "" };
	struct keys keys;
	struct fed_node n;
	char path[300];
	struct fed f;
	FILE *file;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue");
	o.node = n.node;
	o.pool = n.pool;
	o.dir = n.dir;
	o.addresses = f.address;
	assert_int_equal(lt_rotator_new(&o, &r), LT_OK);
	assert_int_equal(lt_rotator_run(r, &err), LT_E_REFUSED); /* its invitation is not spent */
	sodium_memzero(n.id->token, sizeof(n.id->token));
	fed_hub_stop(&f);
	assert_int_equal(lt_rotator_run(r, &err), LT_E_UNAVAILABLE);
	assert_int_equal(lt_node_identity(n.node)->key_no, 1);
	/* The keys drawn for that stay, and come in when the hub is there. */
	assert_true(lt_rotator_begun(r));
	assert_int_equal(lt_identity_load_next(n.dir, &next, &err), LT_OK);
	assert_int_equal(next->key_no, 2);
	/* What others may read is not used, but it is not written over either: the hub may have confirmed it. */
	(void)snprintf(path, sizeof(path), "%s/identity.next", n.dir);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(lt_rotator_run(r, &err), LT_E_DENIED);
	assert_int_equal(chmod(path, 0600), 0);
	fed_hub_start(&f);
	assert_int_equal(lt_rotator_resume(r, &err), LT_OK);
	assert_memory_equal(lt_node_identity(n.node)->sign.pk, next->sign.pk, 32);
	assert_memory_equal(lt_node_identity(n.node)->line_pk, next->line_pk, 32);
	lt_identity_free(next);
	keys = (struct keys){ &f, &n.id->principal, 2 };
	assert_true(only_key(&keys));
	assert_int_equal(lt_identity_load_next(n.dir, &next, &err), LT_E_NOTFOUND);
	/* A remainder of a change that is done, and then rubbish. */
	assert_int_equal(lt_identity_write_next(n.id, n.dir, &err), LT_OK);
	assert_int_equal(lt_rotator_run(r, &err), LT_OK);
	keys.key_no = 3;
	assert_true(only_key(&keys));
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("LTID1\nhalf a fi", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(lt_rotator_run(r, &err), LT_OK);
	keys.key_no = 4;
	assert_true(only_key(&keys));
	lt_rotator_free(r);
	fed_node_teardown(&n);
	fed_teardown(&f);
}

struct shown {
	struct fed_node *n;
	uint32_t key_no;
	bool active;
};

/* The node's own registry has this key, and it is in use or not. */
static bool
shows(void *ctx)
{
	struct shown *w = ctx;
	struct lt_registry *reg = lt_node_registry(w->n->node);
	const struct lt_principal *p = lt_registry_find(reg, &w->n->id->principal);
	const struct lt_principal_key *k = p == NULL ? NULL : lt_principal_key(p, w->key_no);
	bool is = k != NULL && k->active == w->active;

	lt_registry_unref(reg);
	return is;
}

/* As the machine asks for it: new keys, signed by those in use, and by themselves. */
static void
confirm(struct fed *f, const struct lt_identity *now, const struct lt_identity *next)
{
	struct lt_rotation rot = { now->principal, now->key_no, next->key_no, { 0 }, { 0 } };
	uint8_t signature[LT_SIG_LEN], proof[LT_SIG_LEN];
	struct lt_err err = { "" };
	const char *why = "";
	bool again;

	memcpy(rot.sign_key, next->sign.pk, 32);
	memcpy(rot.line_key, next->line_pk, 32);
	lt_rotation_sign(&now->sign, &now->federation, &rot, signature);
	lt_rotation_sign(&next->sign, &now->federation, &rot, proof);
	assert_int_equal(lt_hub_rotate(f->hub, &rot, lt_slice(signature, sizeof(signature)),
			     lt_slice(proof, sizeof(proof)), &again, &why, &err),
	    LT_OK);
	assert_false(again);
}

/* Keys that the hub has confirmed are lost with the second slot: while both are good there is no third; when the lost ones are revoked,
 * those in use are followed by others, with a number that nobody had. */
static void
test_lost_slot(void **state)
{
	struct lt_rotator_options o = { 0 };
	struct lt_revoking lost = { .key_no = 2, .reason = "lost" };
	struct lt_registry *reg;
	const struct lt_principal *p;
	struct lt_identity *next;
	struct lt_rotator *r;
	struct lt_err err = { "" };
	const char *why = "";
	struct shown w;
	struct fed_node n;
	char path[300];
	struct fed f;

	(void)state;
	fed_setup(&f);
	fed_node_setup(&f, &n, "17254");
	fed_node_start(&f, &n);
	fed_wait(has_catalogue, &n, WAIT_MS, "the catalogue");
	o.node = n.node;
	o.pool = n.pool;
	o.dir = n.dir;
	o.addresses = f.address;
	sodium_memzero(n.id->token, sizeof(n.id->token));
	assert_int_equal(lt_rotator_new(&o, &r), LT_OK);
	fed_hub_stop(&f);
	assert_int_equal(lt_rotator_run(r, &err), LT_E_UNAVAILABLE);
	fed_hub_start(&f);
	assert_int_equal(lt_identity_load_next(n.dir, &next, &err), LT_OK);
	confirm(&f, n.id, next);
	lt_identity_free(next);
	(void)snprintf(path, sizeof(path), "%s/identity.next", n.dir);
	assert_int_equal(unlink(path), 0);
	w = (struct shown){ &n, 2, true };
	fed_wait(shows, &w, WAIT_MS, "the node hears of the second key");
	assert_int_equal(lt_rotator_run(r, &err), LT_E_REFUSED);
	assert_int_equal(lt_node_identity(n.node)->key_no, 1);
	lost.principal = n.id->principal;
	assert_int_equal(lt_hub_revoke(f.hub, &lost, &why, &err), LT_OK);
	w.active = false;
	fed_wait(shows, &w, WAIT_MS, "and that it is revoked");
	assert_int_equal(lt_rotator_run(r, &err), LT_OK);
	assert_int_equal(lt_node_identity(n.node)->key_no, 3);
	reg = lt_hub_registry(f.hub);
	p = lt_registry_find(reg, &n.id->principal);
	assert_int_equal(p->nkey, 3);
	assert_false(lt_principal_key(p, 1)->active);
	assert_false(lt_principal_key(p, 2)->active);
	assert_true(lt_principal_key(p, 3)->active);
	lt_registry_unref(reg);
	lt_rotator_free(r);
	fed_node_teardown(&n);
	fed_teardown(&f);
}

/* ---- killed at every step ---- */

static int
rotate_once(struct province *p, uint32_t *key_no)
{
	struct lt_conn *c = daemon_dial_wait(&p->node, p->pool, WAIT_MS);
	Ltpb__RotateKeysRequest req = LTPB__ROTATE_KEYS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	int code = lt_conn_call_wait(
	    c, &ltpb__keys__descriptor, "RotateKeys", &req.base, WAIT_MS, &m, &st);

	if (m != NULL)
		*key_no = ((Ltpb__RotateKeysReply *)m)->key_no;
	province_free(m);
	lt_conn_close(c);
	return code;
}

static void
put(struct province *p, unsigned number)
{
	struct lt_conn *c = daemon_dial_wait(&p->node, p->pool, WAIT_MS);
	struct dossier_put d;
	struct lt_status st;

	dossier_put_init(&d, number, true, "QD-1");
	if (lt_conn_call_wait(c, &ltpb__records__descriptor, "Put", &d.req.base, 10000, NULL,
		&st) != LT_STATUS_OK)
		fail_msg("%s", st.message);
	lt_conn_close(c);
}

struct asked {
	struct province *p;
	size_t nkey; /* that there are when the change has come to its end */
};

/* At the hub: the last key alone is in use, those before it are over. Before the machine goes on with the change that is true of the key of
 * before. */
static bool
last_key_alone(void *ctx)
{
	struct asked *a = ctx;
	struct lt_conn *c = daemon_dial_wait(&a->p->hub, a->p->pool, WAIT_MS);
	Ltpb__ListPrincipalsRequest req = LTPB__LIST_PRINCIPALS_REQUEST__INIT;
	Ltpb__ListPrincipalsReply *r;
	ProtobufCMessage *m = NULL;
	struct lt_status st;
	bool alone;
	size_t i;

	req.prefix.data = a->p->n.id->principal.b;
	req.prefix.len = LT_ID_LEN;
	assert_int_equal(lt_conn_call_wait(c, &ltpb__keys__descriptor, "ListPrincipals", &req.base,
			     10000, &m, &st),
	    LT_STATUS_OK);
	r = (Ltpb__ListPrincipalsReply *)m;
	assert_int_equal(r->n_principal, 1);
	alone = r->principal[0]->n_key == a->nkey;
	for (i = 0; alone && i < a->nkey; i++)
		alone = r->principal[0]->key[i]->active == (i + 1 == a->nkey);
	province_free(m);
	lt_conn_close(c);
	return alone;
}

/* After each kill the machine works at once, with the old keys or the new, and comes to the end of the change by itself. */
static void
test_killed(void **state)
{
	static const char *const points[] = { "rotate.drawn", "rotate.confirmed", "rotate.in_place",
		"rotate.in_use", "rotate.ended" };
	const size_t n = sizeof(points) / sizeof(points[0]);
	struct province p;
	struct asked a = { &p, 0 };
	unsigned number = 0;
	uint32_t key_no = 0;
	char env[64];
	size_t i;

	(void)state;
	province_setup(&p, "17254", 0);
	province_start(&p, NULL, NULL);
	put(&p, ++number);
	for (i = 0; i < n; i++) {
		const char *const with[] = { env, NULL };

		print_message("%s\n", points[i]);
		(void)daemon_stop(&p.node);
		(void)snprintf(env, sizeof(env), "LIENTHONG_FAILPOINT=%s", points[i]);
		daemon_start(&p.node, with);
		put(&p, ++number);
		assert_int_not_equal(rotate_once(&p, &key_no), LT_STATUS_OK);
		assert_true(daemon_wait(&p.node, WAIT_MS));
		assert_true(WIFSIGNALED(p.node.status) && WTERMSIG(p.node.status) == SIGKILL);
		daemon_start(&p.node, NULL);
		put(&p, ++number);
		province_settle(&p, WAIT_MS);
		a.nkey = i + 2;
		fed_wait(last_key_alone, &a, WAIT_MS, "the change comes to its end");
	}
	assert_int_equal(rotate_once(&p, &key_no), LT_STATUS_OK);
	assert_int_equal(key_no, n + 2);
	put(&p, ++number);
	province_settle(&p, WAIT_MS);
	a.nkey = n + 2;
	assert_true(last_key_alone(&a));
	province_teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_while_writing),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_lost_slot),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests_name("e2e.rotate", tests, NULL, NULL);
}
