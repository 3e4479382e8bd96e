/* The hub's files put back by hand, without the tool, and a disk of the hub's that lies: log and tables of one older moment, either of them
 * alone, and what was acknowledged gone at a power cut.
 *
 * What is promised. What a node wrote and was told is saved is at the hub in the end, judged and receipted, whatever was put back. What the
 * hub signed, and some node has, comes back, and nothing is signed under a number that was given, where the hub can know of it in time:
 * at its start, when its tables show more than its log; else from the first node on that has more, which says so when it says hello.
 * When it knows, all its epochs are over, and it signs nothing before every node was heard, as after a restore by the tool.
 *
 * What cannot be promised. When log and tables were put back together, nothing at the hub tells, and until a node that has more says hello
 * the hub may sign numbers again that this node has. Then two branches of the hub's own feed are a fact, signed by the hub: they are found
 * at the first contact, evidence is kept, the branch at the hub is ruled to count, and nothing more is signed in the epoch. The node's
 * own feeds are not touched: they are pushed, judged and receipted. But it has a branch of the hub's that does not count, and will not get
 * the other one: an operator goes on without it, and when it has pushed all it has sets it up anew. The hub's own change-sets
 * of that branch are gone with it (hub_lost), and a change that named one of them as seen waits or is refused for good, with its reason. A verdict that comes back when another one was said on the same change-sets, after an operator went on without the
 * node that had it, contradicts that: it is taken with all that stands behind it, the later one counts, and that node is set up anew, too. Counted, not hidden. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/wire.h"
#include "proto/store/author.h"
#include "proto/store/backup.h"
#include "proto/store/kv_image.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

bool
sim_hub_was_back(const struct sim *s)
{
	return s->restored_hub != 0 || s->hub_went_back != 0;
}

/* ---- other files ---- */

/* Of one environment. */
static bool
put_file(struct sim *s, enum lt_kv_kind kind, const struct lt_kv_image *img, struct lt_kv **kv)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	struct lt_kv_options o = {
		.kind = kind, .federation = hub->id.federation.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };

	lt_kv_close(*kv);
	*kv = NULL;
	if (lt_kv_open_image(&o, img, kv, &err) != LT_OK) {
		sim_fail(s, "a file of the hub cannot be put back: %s", err.text);
		return false;
	}
	lt_kv_set_fault(*kv, sim_store_call, hub);
	return true;
}

/* The tables were made when the log was longer, as FORMAT.md 9.3 lays out their cursor. */
static bool
tables_tell(struct sim *s)
{
	struct lt_kv_txn *log, *derived;
	struct lt_slice v;
	uint64_t at = 0, last = 0;

	if (lt_kv_begin_read(s->m[SIM_HUB].derived, &derived) != LT_OK ||
	    lt_kv_begin_read(s->m[SIM_HUB].kv, &log) != LT_OK ||
	    lt_feed_log_last(log, &last) != LT_OK)
		abort();
	if (lt_kv_get(derived, LT_T_CURSOR, lt_slice_str("projector"), &v) == LT_OK)
		at = lt_load_u64(v.data + 16);
	lt_kv_abort(derived);
	lt_kv_abort(log);
	return at > last;
}

/* NULL: that one stays. The hub is off. */
static void
put_back(struct sim *s, const struct lt_kv_image *log, const struct lt_kv_image *derived,
    const struct sim_watch *w)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	bool told = s->hub_must_doubt; /* the log went back in this same down time */

	hub->crash_in = 0;
	hub->disk_full_until = 0;
	if (derived != NULL && !put_file(s, LT_KV_HUB_DERIVED, derived, &hub->derived))
		return;
	s->news_seen = 0;
	if (log != NULL) {
		if (!put_file(s, LT_KV_HUB_LOG, log, &hub->kv))
			return;
		sim_watch_put(hub, w);
		s->hub_went_back++;
	}
	s->hub_must_doubt = tables_tell(s);
	/* Tables that told may be gone again. */
	if ((log == NULL && !told) || s->hub_must_doubt)
		return;
	sim_forkable_note_hub(s);
	/* The province writes before any node is there: what nobody can tell it yet. */
	s->hub_hurries = sim_rng_chance(&s->rng, 500);
}

static bool
begin_to_lie(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	uint64_t which = sim_rng_below(&s->rng, 3); /* two files, or one of them */

	if (!hub->up || hub->synced != NULL || hub->synced_derived != NULL)
		return false;
	sim_check_step(s, SIM_HUB);
	if ((which != 1 && lt_kv_image_take(hub->kv, &hub->synced) != LT_OK) ||
	    (which != 0 && lt_kv_image_take(hub->derived, &hub->synced_derived) != LT_OK))
		abort();
	hub->synced_watch = sim_watch_copy(hub);
	sim_at(s, sim_rng_between(&s->rng, 500, 40000), SIM_EV_POWER, SIM_HUB, 0, 0);
	return true;
}

void
sim_hub_truth(struct sim *s)
{
	struct sim_machine *hub = &s->m[SIM_HUB];

	if (hub->synced == NULL && hub->synced_derived == NULL)
		return;
	sim_check_step(s, SIM_HUB);
	if (!s->healed && sim_hub_may_go(s)) {
		s->by_hand[SIM_F_HUB_LYING]++;
		sim_say(s, "the disk of the hub had not written what it said (%s%s)",
		    hub->synced != NULL ? "log " : "", hub->synced_derived != NULL ? "tables" : "");
		put_back(s, hub->synced, hub->synced_derived, hub->synced_watch);
	}
	sim_stop_lying(hub);
}

bool
sim_hub_back(struct sim *s, enum sim_by_hand kind)
{
	struct sim_machine *hub = &s->m[SIM_HUB];
	const struct lt_kv_image *log, *derived;
	const struct sim_watch *w;

	if (kind == SIM_F_HUB_LYING)
		return begin_to_lie(s);
	if (!sim_hub_may_go(s) || !sim_backup_of_hub(s, &log, &derived, &w))
		return false;
	sim_stop_lying(hub);
	if (hub->up)
		sim_crash(s, SIM_HUB, sim_rng_between(&s->rng, 100, 60000));
	sim_check_step(s, SIM_HUB);
	s->by_hand[kind]++;
	sim_say(s, "%s is put back by hand", sim_by_hand_name[kind]);
	put_back(
	    s, kind == SIM_F_HUB_TABLES ? NULL : log, kind == SIM_F_HUB_LOG ? NULL : derived, w);
	return true;
}

/* ---- it finds out ---- */

static void
found_out(struct sim *s)
{
	s->hub_doubts++;
	s->hub_must_doubt = false;
	sim_forkable_close_hub(s);
}

void
sim_check_hub_up(struct sim *s)
{
	unsigned writes;

	if (!s->m[SIM_HUB].up || s->m[SIM_HUB].dead)
		return;
	if (s->hub_waits && !sim_recovering(s))
		s->hub_waited_ms = s->now;
	s->hub_waits = sim_recovering(s);
	if (s->hub_hurries && !sim_recovering(s) && lt_hub_knows_principals(s->hub)) {
		s->hub_hurries = false;
		for (writes = 1 + (unsigned)sim_rng_below(&s->rng, 12); writes > 0; writes--)
			sim_work_province(s);
	}
	if (!s->hub_must_doubt)
		return;
	if (!sim_recovering(s))
		sim_fail(s,
		    "the hub's tables show more than its log, and it goes on as if they did not");
	found_out(s);
}

static bool
by_hub(const struct sim *s, const struct lt_feed_id *feed)
{
	struct lt_id author = lt_feed_author(feed);

	return lt_id_eq(&author, &s->m[SIM_HUB].id.principal);
}

void
sim_check_hello(struct sim *s, const Ltpb__HelloRequest *req, const Ltpb__HelloReply *r)
{
	struct lt_kv_txn *txn;
	size_t i, more = 0;

	if (s->m[SIM_HUB].dead || lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		return;
	for (i = 0; i < req->n_hub_head; i++) {
		const Ltpb__FeedHead *h = req->hub_head[i];
		struct lt_feed_id feed;
		struct lt_unit unit;
		struct lt_hash have;

		memcpy(feed.b, h->feed.data, LT_FEED_LEN);
		if (lt_unit_set(&unit, lt_slice_str(h->unit)) != LT_OK || !by_hub(s, &feed))
			continue;
		more += lt_feed_log_hash(txn, &unit, &feed, h->seq, &have) != LT_OK ||
			memcmp(have.b, h->hash.data, LT_HASH_LEN) != 0;
	}
	lt_kv_abort(txn);
	if (more != r->n_want)
		sim_fail(s,
		    "a node has %zu feeds of the hub that reach further there, or have something "
		    "else, and the hub asks for %zu",
		    more, r->n_want);
}

/* A bit may have turned over on the way, in the header, or in what that vouches for, or in the signature: nobody signed that, and the hub takes
 * nothing of it. */
static bool
open_own(
    struct sim *s, const ProtobufCBinaryData *d, struct lt_arena *arena, struct lt_changeset *cs)
{
	struct lt_hash prev;
	int openings;

	if (lt_changeset_parse(lt_slice(d->data, d->len), arena, cs, NULL) != LT_OK ||
	    !by_hub(s, &cs->feed) ||
	    lt_changeset_verify_signature(cs, s->m[SIM_HUB].id.sign.pk) != LT_OK)
		return false;
	openings = lt_changeset_verify_openings(cs, NULL);
	return (openings == LT_OK || openings == LT_E_NOTFOUND) &&
	       sim_ledger_prev(s, &cs->feed, cs->seq, &cs->hash, &prev);
}

/* An epoch that is over brings no number twice; who comes with one after a restore was left out of it, but for what was signed since. */
static bool
is_open(struct sim *s, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_slice restored;
	uint64_t epoch = 0;
	char name[64];

	(void)snprintf(name, sizeof(name), "epoch/%s/%d", cs->unit.s, (int)lt_feed_lane(&cs->feed));
	return lt_local_get(txn, LT_LOCAL_RESTORED, &restored) == LT_E_NOTFOUND ||
	       (!sim_recovering(s) &&
		   sim_signed_at(s, &cs->feed, cs->seq, &cs->hash) > s->hub_waited_ms) ||
	       (lt_local_get_u64(txn, name, &epoch) == LT_OK && epoch == lt_feed_epoch(&cs->feed));
}

/* What came back to the hub just now has a verdict that another one contradicts (row of FORMAT.md 9.8): who had it before the other one came to it
 * shows other values, whoever gave it back first. One that the hub does not find shows itself where it and a node judge differently. */
void
sim_check_late(struct sim *s, struct lt_kv_txn *hub, const struct lt_changeset *cs)
{
	char name[160], feed[2 * LT_FEED_LEN + 1];
	struct lt_kv_txn *txn;
	struct lt_slice row;
	struct lt_hash have;
	int i;

	lt_hex(feed, cs->feed.b, LT_FEED_LEN);
	(void)snprintf(name, sizeof(name), "late/%s/%s/%016llx", cs->unit.s, feed,
	    (unsigned long long)cs->seq);
	if (!by_hub(s, &cs->feed) || lt_local_get(hub, name, &row) != LT_OK)
		return;
	for (i = 1; i < SIM_MACHINES; i++) {
		struct sim_machine *m = &s->m[i];

		if (m->kv == NULL || m->said_otherwise)
			continue;
		if (lt_kv_begin_read(m->kv, &txn) != LT_OK)
			abort();
		if (lt_feed_log_hash(txn, &cs->unit, &cs->feed, cs->seq, &have) == LT_OK &&
		    lt_hash_eq(&have, &cs->hash)) {
			m->said_otherwise = true;
			s->hub_contradicted++;
			sim_say(s, "node %d has a verdict that another one contradicts", i);
		}
		lt_kv_abort(txn);
	}
}

/* In an epoch that it still writes in, it signed this, and has it not. */
bool
sim_hub_lacks(struct sim *s, const Ltpb__PushRequest *req)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_hash have;
	bool lacks = false;

	if (req->n_change_set == 0 || lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		return false;
	lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
	/* The first is the one that follows, or proves the other branch. */
	if (open_own(s, &req->change_set[0], &arena, &cs) && is_open(s, txn, &cs))
		lacks = (lt_feed_log_hash(txn, &cs.unit, &cs.feed, cs.seq, &have) != LT_OK ||
			    !lt_hash_eq(&have, &cs.hash)) &&
			!sim_is_known(s, txn, &cs.unit, &cs.feed, cs.seq, &cs.hash);
	lt_arena_fini(&arena);
	lt_kv_abort(txn);
	return lacks;
}

void
sim_check_given_back(struct sim *s, const Ltpb__PushRequest *req, bool lacked)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	struct lt_head head;
	struct lt_hash have;
	size_t i;

	if (lt_kv_begin_read(s->m[SIM_HUB].kv, &txn) != LT_OK)
		return;
	for (i = 0; i < req->n_change_set; i++) {
		lt_arena_init(&arena, lt_arena_cap_for(LT_MESSAGE_MAX));
		if (open_own(s, &req->change_set[i], &arena, &cs) &&
		    lt_feed_log_head(txn, &cs.unit, &cs.feed, &head) == LT_OK &&
		    cs.seq <= head.seq &&
		    lt_feed_log_hash(txn, &cs.unit, &cs.feed, cs.seq, &have) == LT_OK &&
		    !lt_hash_eq(&have, &cs.hash)) {
			s->hub_forked = true;
			if (!sim_is_known(s, txn, &cs.unit, &cs.feed, cs.seq, &cs.hash))
				sim_fail(s, "the hub is shown a second branch of its own feed, and "
					    "keeps no evidence of it");
		}
		lt_arena_fini(&arena);
	}
	lt_kv_abort(txn);
	if (!lacked)
		return;
	if (!sim_recovering(s))
		sim_fail(s, "the hub is given what it signed and does not have, and goes on");
	/* A job before this one may have signed in the same commit: it did not know yet, and that is as if it had committed alone. */
	sim_check_before_push(s, req);
	found_out(s);
}

/* ---- the operator ---- */

struct looking {
	struct sim *s;
	struct sim_machine *m;
	struct lt_kv_txn *own, *hub;
	bool foreign, pushed, unknown;
	uint64_t lost;
};

/* To the hub as it is now. */
static bool
has_said_hello(const struct sim *s, const struct sim_machine *m)
{
	return m->sync.phase == LT_SYNC_ONLINE && m->line != NULL && m->line->hub_open &&
	       m->line->hub_life == s->m[SIM_HUB].life;
}

static int
look_feed(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_id author = lt_feed_author(feed);
	struct looking *l = ctx;
	struct lt_hash here, there;
	struct lt_head other;
	uint64_t seq;

	if (lt_feed_log_head(l->hub, unit, feed, &other) != LT_OK)
		return LT_E_IO;
	if (lt_id_eq(&author, &l->m->id.principal))
		l->pushed &= other.seq == head->seq && lt_hash_eq(&other.hash, &head->hash);
	if (!by_hub(l->s, feed))
		return LT_OK;
	for (seq = head->seq < other.seq ? head->seq : other.seq; seq > 0; seq--) {
		if (lt_feed_log_hash(l->own, unit, feed, seq, &here) != LT_OK ||
		    lt_feed_log_hash(l->hub, unit, feed, seq, &there) != LT_OK ||
		    lt_hash_eq(&here, &there))
			break;
		l->foreign = true;
		l->lost++;
	}
	if (seq < head->seq && seq < other.seq) {
		l->lost += head->seq > other.seq ? head->seq - other.seq : 0;
		l->unknown |= !sim_is_known(l->s, l->hub, unit, feed, head->seq, &head->hash);
	}
	return LT_OK;
}

static void
look_node(struct sim *s, int no, struct looking *l)
{
	memset(l, 0, sizeof(*l));
	l->s = s;
	l->m = &s->m[no];
	l->pushed = true;
	if (lt_kv_begin_read(l->m->kv, &l->own) != LT_OK ||
	    lt_kv_begin_read(s->m[SIM_HUB].kv, &l->hub) != LT_OK ||
	    lt_feed_log_each(l->own, NULL, look_feed, l) != LT_OK)
		abort();
	lt_kv_abort(l->own);
	lt_kv_abort(l->hub);
}

/* As after the loss of its disk: the same machine with an empty one. What it had besides, in a branch that does not count, goes. */
static void
set_up_anew(struct sim *s, struct sim_machine *m)
{
	struct lt_kv_options o = { .kind = LT_KV_NODE,
		.federation = s->m[SIM_HUB].id.federation.b,
		.tables = lt_table_names };
	struct lt_err err = { "" };

	sim_say(s, "node %d is set up anew: it has another branch of the hub's", m->no);
	sim_stop(s, m->no);
	sim_check_step(s, m->no);
	lt_kv_close(m->kv);
	if (lt_kv_open_mem(&o, &m->kv, &err) != LT_OK)
		abort();
	lt_kv_set_fault(m->kv, sim_store_call, m);
	m->said_otherwise = false;
	sim_watch_put(m, NULL);
	sim_forget_lost(s, m, &s->lost_by_hand);
	s->set_up_anew++;
	s->healed_at = s->now; /* the others have their time from here on */
	sim_start(s, m->no);
}

bool
sim_hub_goes_on(struct sim *s)
{
	size_t n = lt_recovery_awaited(s->hub), foreign = 0;
	struct lt_err err = { "" };
	struct looking l;
	int i;

	if (s->hub_went_back == 0 || !sim_recovering(s))
		return true;
	for (i = 1; i <= SIM_NODES; i++) {
		if (!s->m[i].up)
			continue;
		look_node(s, i, &l);
		foreign += l.foreign;
	}
	(void)snprintf(s->waits_for, sizeof(s->waits_for), "the hub waits for %zu nodes", n);
	/* All others are heard. */
	if (n != 0 && n <= foreign && lt_hub_go_on_without(s->hub, NULL, NULL, &n, &err) != LT_OK)
		sim_fail(s, "the hub does not go on without who has another branch: %s", err.text);
	sim_step_due(s, SIM_HUB);
	return false;
}

bool
sim_hub_left_copy(struct sim *s, int machine)
{
	struct looking l;

	if (s->hub_went_back == 0)
		return false;
	look_node(s, machine, &l);
	return l.foreign && l.pushed && has_said_hello(s, &s->m[machine]);
}

bool
sim_hub_remedy(struct sim *s)
{
	struct looking l;
	int i;

	if (s->hub_went_back == 0)
		return true;
	for (i = 1; i <= SIM_NODES; i++) {
		if (!s->m[i].up)
			continue;
		look_node(s, i, &l);
		if (!l.foreign && !s->m[i].said_otherwise)
			continue;
		s->hub_forked = true;
		(void)snprintf(s->waits_for, sizeof(s->waits_for),
		    "node %d has another branch of a feed of the hub's%s", i,
		    l.pushed ? "" : ", and has not pushed all its own");
		if (!l.pushed || !has_said_hello(s, &s->m[i]))
			return false;
		if (l.unknown) {
			sim_fail(s,
			    "node %d has another branch of the hub's, and the hub knows nothing of "
			    "it",
			    i);
			return false;
		}
		s->hub_lost += l.lost;
		set_up_anew(s, &s->m[i]);
		return false;
	}
	return true;
}
