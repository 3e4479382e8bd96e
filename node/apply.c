/* node/apply.c - what comes down from the hub: append, then merge; and verdicts on feeds of this unit.
 *
 * The hub's own change-sets count at once. Those of this node and of the commune's other nodes count when the
 * hub's verdict names them: a verdict that runs ahead of the feed it judges waits in table local. */
#include "node/node_impl.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/base/wire.h"
#include "proto/feed/trust.h"
#include "proto/store/admit.h"
#include "proto/store/erase.h"
#include "proto/store/ruling.h"

#include <stdio.h>
#include <string.h>

struct applying {
	struct lt_node *n;
	struct lt_kv_txn *txn;
	const struct lt_registry *reg;
	struct lt_unit province;
	struct lt_projection *proj;
	struct lt_arena *arena;
	struct lt_err *err;
};

static uint64_t
hash8(const struct lt_hash *h)
{
	return lt_load_u64(h->b);
}

static int
open_projection(struct applying *ap, const struct lt_catalogue *cat)
{
	struct lt_projection_options o = { .log = ap->txn,
		.derived = ap->txn,
		.catalogue = cat,
		.province = ap->province,
		.overlay = true,
		.by_hub = lt_node_by_hub,
		.by_hub_ctx = (void *)ap->reg };
	int rc = lt_node_check_rows(ap->n, ap->txn, cat, &o.reindex);

	return rc == LT_OK ? lt_projection_begin(&o, &ap->proj) : rc;
}

int
lt_node_drop_aside(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_write *writes, size_t count)
{
	struct lt_registry *reg = lt_node_registry(n);
	struct applying ap = { .n = n, .txn = txn, .reg = reg };
	size_t i;
	int rc = LT_OK;

	lt_node_province(n, &ap.province);
	for (i = 0; rc == LT_OK && i < count; i++) {
		const struct lt_write *w = &writes[i];

		if (!w->reissue || w->rc != LT_OK || !w->unchanged)
			continue;
		if (ap.proj == NULL)
			rc = open_projection(&ap, cat);
		if (rc == LT_OK)
			rc = lt_projection_drop_aside(
			    ap.proj, &n->identity->unit, w->collection, w->key_out);
	}
	if (rc == LT_OK && ap.proj != NULL)
		rc = lt_projection_flush(ap.proj, NULL, NULL);
	else
		lt_projection_abort(ap.proj);
	lt_registry_unref(reg);
	return rc;
}

int
lt_node_project_own(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_catalogue *cat,
    const struct lt_changeset *cs, uint64_t position)
{
	struct lt_registry *reg = lt_node_registry(n);
	struct applying ap = { .n = n, .txn = txn, .reg = reg };
	size_t i;
	int rc;

	lt_node_province(n, &ap.province);
	rc = open_projection(&ap, cat);
	for (i = 0; rc == LT_OK && i < cs->nchange && !LT_SIM_BUG(OVERLAY_FORGOTTEN); i++) {
		struct lt_merge_change mc = { .dot = { cs->feed, cs->seq, (uint32_t)i },
			.stamp = cs->stamp,
			.hash8 = hash8(&cs->hash),
			.by_hub = false,
			.change = &cs->change[i] };

		rc = lt_projection_add_overlay(ap.proj, &cs->unit, &mc, position);
	}
	if (rc == LT_OK)
		rc = lt_projection_flush(ap.proj, NULL, NULL);
	else
		lt_projection_abort(ap.proj);
	lt_registry_unref(reg);
	return rc;
}

/* ---- verdicts ---- */

/* What a verdict says of one change-set. */
static int
judgement_of(const Ltpb__Verdict *v, uint64_t seq, struct lt_arena *arena, struct lt_judgement *j)
{
	size_t i;

	memset(j, 0, sizeof(*j));
	j->refused = lt_arena_alloc(arena, (v->n_refused + 1) * sizeof(*j->refused));
	j->held = lt_arena_alloc(arena, (v->n_held + 1) * sizeof(*j->held));
	if (j->refused == NULL || j->held == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < v->n_refused; i++)
		if (v->refused[i]->seq == seq)
			j->refused[j->nrefused++] = v->refused[i];
	for (i = 0; i < v->n_held; i++)
		if (v->held[i]->seq == seq)
			j->held[j->nheld++] = v->held[i];
	for (i = 0; i < v->n_clamp; i++)
		if (v->clamp[i]->from <= seq && seq <= v->clamp[i]->to) {
			j->clamped = true;
			j->floor = v->clamp[i]->floor;
			j->ceiling = v->clamp[i]->ceiling;
		}
	return LT_OK;
}

static int
quarantine(struct applying *ap, uint64_t position, uint32_t change, Ltpb__ReasonCode reason)
{
	uint8_t key[12], value[2];

	lt_store_u64(key, position);
	lt_store_u32(key + 8, change);
	lt_store_u16(value, (uint16_t)reason);
	return lt_kv_put(
	    ap->txn, LT_T_QUARANTINE, lt_slice(key, sizeof(key)), lt_slice(value, sizeof(value)));
}

/* A change that no row can take must not stand in the way of all that follows, as at the hub: the log line names it. One of a
 * collection that the catalogue here has no more, or not yet, stands in the history: a catalogue that has it works it out. */
static int
or_report(struct applying *ap, const struct lt_unit *unit, const struct lt_merge_change *mc,
    uint64_t position, int rc)
{
	if (rc != LT_E_TOOBIG && rc != LT_E_INVALID && rc != LT_E_UNKNOWN)
		return rc;
	lt_error("change %u of log position %llu (%s) is not merged: %s", mc->dot.index,
	    (unsigned long long)position, mc->change->collection, lt_strerror(rc));
	return rc == LT_E_UNKNOWN ? lt_projection_note(ap->proj, unit, mc, position) : LT_OK;
}

/* Let one judged dot count, or take it out. */
static int
count_dot(struct applying *ap, const struct lt_changeset *cs, uint64_t position, uint32_t i,
    uint64_t stamp, bool accepted)
{
	struct lt_merge_change mc = { .dot = { cs->feed, cs->seq, i },
		.stamp = stamp,
		.hash8 = hash8(&cs->hash),
		.by_hub = false,
		.change = &cs->change[i] };
	struct lt_id author = lt_feed_author(&cs->feed);

	if (lt_id_eq(&author, &ap->n->author.id))
		return or_report(ap, &cs->unit, &mc, position,
		    lt_projection_settle(ap->proj, &cs->unit, &mc, position, accepted));
	return or_report(ap, &cs->unit, &mc, position,
	    accepted ? lt_projection_add(ap->proj, &cs->unit, &mc, position)
		     : lt_projection_note(ap->proj, &cs->unit, &mc, position));
}

/* A held dot does not count yet, but stands in its record's history: whoever asks how far the record got must find it. */
static int
note_dot(struct applying *ap, const struct lt_changeset *cs, uint64_t position, uint32_t i,
    uint64_t stamp)
{
	struct lt_merge_change mc = { .dot = { cs->feed, cs->seq, i },
		.stamp = stamp,
		.hash8 = hash8(&cs->hash),
		.change = &cs->change[i] };

	return or_report(
	    ap, &cs->unit, &mc, position, lt_projection_note(ap->proj, &cs->unit, &mc, position));
}

/* Into its place by index: a judgement names dots in rising order. The caller has room for one more of each held dot. */
static void
refuse_in_order(struct lt_judgement *j, Ltpb__RefusedDot *dot)
{
	size_t i = j->nrefused++;

	for (; i > 0 && j->refused[i - 1]->index > dot->index; i--)
		j->refused[i] = j->refused[i - 1];
	j->refused[i] = dot;
}

static int
judge_dots(struct applying *ap, const struct lt_changeset *cs, uint64_t position,
    const struct lt_judgement *j, uint64_t stamp)
{
	Ltpb__ReasonCode reason;
	uint32_t i;
	int rc = LT_OK;

	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		if (lt_judgement_holds(j, i)) {
			rc = note_dot(ap, cs, position, i, stamp);
		} else if (lt_judgement_refuses(j, i, &reason)) {
			rc = quarantine(ap, position, i, reason);
			if (rc == LT_OK)
				rc = count_dot(ap, cs, position, i, stamp, false);
		} else {
			rc = count_dot(ap, cs, position, i, stamp, true);
		}
	}
	return rc;
}

/* A later verdict on dots that an earlier one held. */
static int
settle_dots(struct applying *ap, const struct lt_changeset *cs, uint64_t position,
    const Ltpb__Verdict *v, const struct lt_judgement *now)
{
	struct lt_judgement old, kept;
	Ltpb__ReasonCode reason;
	struct lt_id author = lt_feed_author(&cs->feed);
	uint64_t stamp;
	size_t i;
	int rc = lt_feed_log_judgement(ap->txn, position, ap->arena, &old);

	if (rc != LT_OK)
		return rc;
	/* A re-issue that an older self made may be among them: what it is of was left alone until now. */
	if (lt_id_eq(&author, &ap->n->author.id))
		ap->n->aside_came = true;
	kept = old;
	kept.nheld = 0;
	kept.held = lt_arena_alloc(ap->arena, (old.nheld + 1) * sizeof(*kept.held));
	kept.refused =
	    lt_arena_alloc(ap->arena, (old.nrefused + old.nheld + 1) * sizeof(*kept.refused));
	if (kept.held == NULL || kept.refused == NULL)
		return LT_E_NOMEM;
	if (old.nrefused != 0)
		memcpy(kept.refused, old.refused, old.nrefused * sizeof(*kept.refused));
	stamp = lt_judgement_stamp(&old, cs->stamp);
	for (i = 0; rc == LT_OK && i < old.nheld; i++) {
		uint32_t index = old.held[i]->index;

		if (index >= cs->nchange)
			return LT_E_CORRUPT;
		if (lt_verdict_names(v->n_settled, v->settled, cs->seq, index)) {
			rc = count_dot(ap, cs, position, index, stamp, true);
		} else if (lt_judgement_refuses(now, index, &reason)) {
			size_t k = 0;

			/* Once, however often the verdict names it. */
			while (now->refused[k]->index != index)
				k++;
			refuse_in_order(&kept, now->refused[k]);
			rc = quarantine(ap, position, index, reason);
			if (rc == LT_OK)
				rc = count_dot(ap, cs, position, index, stamp, false);
		} else {
			kept.held[kept.nheld++] = old.held[i];
		}
	}
	if (rc != LT_OK)
		return rc;
	return lt_feed_log_judge(ap->txn, &cs->unit, &cs->feed, cs->seq, position, stamp, &kept);
}

static int
judge_read(struct applying *ap, const struct lt_entry *e, uint64_t judged, const Ltpb__Verdict *v)
{
	uint64_t position = e->position, stamp;
	struct lt_judgement j;
	struct lt_changeset cs;
	uint8_t *copy;
	int rc;

	/* The entry's bytes move when the transaction writes. */
	copy = lt_arena_dup(ap->arena, e->changeset.data, e->changeset.len);
	if (copy == NULL)
		return LT_E_NOMEM;
	rc = lt_changeset_parse(lt_slice(copy, e->changeset.len), ap->arena, &cs, ap->err);
	if (rc == LT_OK)
		rc = judgement_of(v, cs.seq, ap->arena, &j);
	if (rc != LT_OK)
		return rc;
	if (cs.seq <= judged)
		return settle_dots(ap, &cs, position, v, &j);
	stamp = lt_judgement_stamp(&j, cs.stamp);
	rc = lt_feed_log_judge(ap->txn, &cs.unit, &cs.feed, cs.seq, position, stamp, &j);
	if (rc == LT_OK)
		rc = judge_dots(ap, &cs, position, &j, stamp);
	return rc == LT_OK ? lt_author_saw(ap->txn, 0, stamp) : rc;
}

/* One change-set, in memory of its own: a verdict covers any number of them. */
static int
judge_one(struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, uint64_t judged, const Ltpb__Verdict *v)
{
	struct applying one = *ap;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc;

	rc = lt_feed_log_find(ap->txn, unit, feed, seq, &position);
	if (rc == LT_OK)
		rc = lt_feed_log_read(ap->txn, position, &e);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_NODE_ARENA);
	one.arena = &arena;
	rc = judge_read(&one, &e, judged, v);
	lt_arena_fini(&arena);
	return rc;
}

/* ---- verdicts in turn ----
 *
 * Those on one feed count in the order of what they judge, those that settle in the order in which they came, each as a whole, and
 * only once the change-set that it names by its hash is the one here: until then it waits. What waits may be ahead of the feed, or
 * speak of another branch than ours. */

/* `verdict/unit/feed/` and its place in the hub's feed. */
#define WAITING_TAIL (16 + 8)

static void
waiting_name(char *out, size_t cap, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	(void)snprintf(out, cap, "verdict/%s/%s/", unit->s, hex);
}

/* The first that waits behind `after` (NULL: of all), its name and bytes in the arena; LT_E_NOTFOUND. */
static int
next_waiting(struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const char *after, struct lt_arena *arena, char **name, struct lt_slice *bytes)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v, from, in;
	char prefix[160];
	int rc = lt_kv_cursor_open(ap->txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	waiting_name(prefix, sizeof(prefix), unit, feed);
	in = lt_slice_str(prefix);
	from = lt_slice_str(after != NULL ? after : prefix);
	/* Of this feed one that is damaged stops it; what is behind the last one does not. */
	rc = lt_kv_seek_at(c, in, from, &k, &v);
	if (rc == LT_OK && after != NULL && lt_slice_eq(k, from))
		rc = lt_kv_next_at(c, in, &k, &v);
	if (rc == LT_OK && k.len != in.len + WAITING_TAIL)
		rc = LT_E_NOTFOUND;
	if (rc == LT_OK) {
		*name = lt_arena_dup(arena, k.data, k.len);
		bytes->data = lt_arena_dup(arena, v.data, v.len);
		bytes->len = v.len;
		rc = *name == NULL || bytes->data == NULL ? LT_E_NOMEM : LT_OK;
	}
	lt_kv_cursor_close(c);
	return rc;
}

static int
verdict_read(struct applying *ap, struct lt_slice bytes, struct lt_arena *arena,
    const Ltpb__Verdict **out, struct lt_feed_id *feed)
{
	ProtobufCMessage *msg;
	const Ltpb__Verdict *v;
	int rc =
	    lt_wire_unpack(&ltpb__verdict__descriptor, bytes, LT_VALUE_MAX, arena, &msg, ap->err);

	if (rc != LT_OK)
		return rc;
	v = (const Ltpb__Verdict *)msg;
	if (v->feed.len != LT_FEED_LEN || v->from == 0 || v->to < v->from ||
	    v->to_hash.len != LT_HASH_LEN)
		return lt_err_set(ap->err, LT_E_INVALID, "a verdict of the hub is malformed");
	memcpy(feed->b, v->feed.data, LT_FEED_LEN);
	*out = v;
	return LT_OK;
}

enum branch { OURS, NOT_HERE_YET, ANOTHER };

static int
branch_of(struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__Verdict *v, enum branch *out)
{
	struct lt_hash have;
	int rc = lt_feed_log_hash(ap->txn, unit, feed, v->to, &have);

	*out = rc == LT_E_NOTFOUND                                 ? NOT_HERE_YET
	       : memcmp(have.b, v->to_hash.data, LT_HASH_LEN) == 0 ? OURS
								   : ANOTHER;
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static int
count_verdict(struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const Ltpb__Verdict *v)
{
	struct lt_head head;
	uint64_t seq;
	int rc = lt_feed_log_head(ap->txn, unit, feed, &head);

	for (seq = v->from; rc == LT_OK && seq <= v->to; seq++)
		rc = judge_one(ap, unit, feed, seq, head.judged, v);
	return rc;
}

/* What it speaks of begins where judging ended, or was judged. A hub that was restored goes on in a new epoch, and its epochs come down in
 * any order: one of the new may be here before those of the old that it stands behind. */
static bool
is_in_turn(const Ltpb__Verdict *v, uint64_t judged)
{
	return v->settling ? v->to <= judged : v->from <= judged + 1;
}

/* One whose turn has come. *done: none is left that could count now. */
static int
apply_one_waiting(
    struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed, bool *done)
{
	char last[160], *after = NULL;
	struct lt_head head;
	int rc = lt_feed_log_head(ap->txn, unit, feed, &head);

	*done = false;
	while (rc == LT_OK && !*done) {
		enum branch branch = NOT_HERE_YET;
		const Ltpb__Verdict *v = NULL;
		struct lt_feed_id judged;
		struct lt_arena arena;
		struct lt_slice bytes;
		bool turn = false, counted = false;
		char *name = NULL;

		/* Memory of its own: any number may have waited. */
		lt_arena_init(&arena, LT_NODE_ARENA);
		rc = next_waiting(ap, unit, feed, after, &arena, &name, &bytes);
		if (rc == LT_OK)
			rc = verdict_read(ap, bytes, &arena, &v, &judged);
		if (rc == LT_OK)
			rc = branch_of(ap, unit, feed, v, &branch);
		if (rc == LT_OK)
			turn = is_in_turn(v, head.judged);
		if (rc == LT_OK && turn && branch == OURS) {
			rc = count_verdict(ap, unit, feed, v);
			if (rc == LT_OK)
				rc = lt_kv_del(ap->txn, LT_T_LOCAL, lt_slice_str(name));
			counted = true;
		}
		/* The next in turn waits for the feed. */
		*done = rc == LT_OK && turn && branch == NOT_HERE_YET;
		if (rc == LT_OK) {
			(void)snprintf(last, sizeof(last), "%s", name);
			after = last;
		}
		lt_arena_fini(&arena);
		if (counted)
			return rc;
	}
	if (rc == LT_E_NOTFOUND) {
		*done = true;
		rc = LT_OK;
	}
	return rc;
}

/* All whose turn has come. */
static int
apply_waiting(struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	bool done = false;
	int rc = LT_OK;

	while (rc == LT_OK && !done)
		rc = apply_one_waiting(ap, unit, feed, &done);
	return rc;
}

static int
apply_verdict(struct applying *ap, const struct lt_unit *unit, struct lt_slice bytes,
    uint64_t position, uint32_t index)
{
	const Ltpb__Verdict *v;
	struct lt_feed_id feed;
	enum branch branch;
	char name[160];
	size_t len;
	int rc = verdict_read(ap, bytes, ap->arena, &v, &feed);

	if (rc == LT_OK)
		rc = branch_of(ap, unit, &feed, v, &branch);
	if (rc != LT_OK)
		return rc;
	if (branch == ANOTHER)
		lt_error("the hub judged another branch of one of this unit's feeds at number "
			 "%llu: two machines sign with one key, or one was restored from an old "
			 "copy; report this to the province",
		    (unsigned long long)v->to);
	if (branch != OURS && LT_SIM_BUG(EARLY_VERDICT))
		return LT_OK;
	waiting_name(name, sizeof(name), unit, &feed);
	len = strlen(name);
	(void)snprintf(
	    name + len, sizeof(name) - len, "%016llx%08x", (unsigned long long)position, index);
	rc = lt_local_put(ap->txn, name, bytes);
	return rc == LT_OK ? apply_waiting(ap, unit, &feed) : rc;
}

/* ---- rulings ---- */

/* The epoch is over: what is written next must not stand behind what another machine wrote in it. */
static int
end_epoch_of(struct applying *ap, const struct lt_feed_id *feed)
{
	const struct lt_unit *unit = &ap->n->identity->unit;
	struct lt_feed_id now;
	int rc = lt_author_feed(ap->txn, &ap->n->author, unit, lt_feed_lane(feed), &now);

	if (rc != LT_OK || lt_feed_id_cmp(&now, feed) != 0)
		return rc;
	return lt_author_end_epoch(ap->txn, unit, lt_feed_lane(feed));
}

/* One about our own feed may come before the branch that counts does. */
static int
obey(struct applying *ap, const struct lt_ruling *r)
{
	struct lt_id author = lt_feed_author(&r->feed);
	struct lt_hash have;
	int rc;

	if (!lt_id_eq(&author, &ap->n->author.id) || !lt_unit_eq(&r->unit, &ap->n->identity->unit))
		return LT_OK;
	ap->n->aside_came = true;
	lt_error("ALARM: two machines have signed with this machine's keys, or an old copy of it "
		 "was put back: the province has ruled which change-set %llu counts; see 'ltctl "
		 "forks', and report this to the province",
	    (unsigned long long)r->seq);
	rc = lt_feed_log_hash(ap->txn, &r->unit, &r->feed, r->seq, &have);
	if (rc == LT_OK && lt_hash_eq(&have, &r->other))
		rc = end_epoch_of(ap, &r->feed);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Kept, so that a branch that does not count is not taken from anybody, whatever becomes of the hub. */
static int
apply_ruling(
    struct applying *ap, const struct lt_unit *unit, const struct lt_change *c, uint64_t position)
{
	struct lt_slice bytes;
	struct lt_ruling r;
	bool again;
	int rc = lt_ruling_of_change(c, &bytes);

	if (rc == LT_OK)
		rc = lt_ruling_parse(unit, bytes, &r);
	if (rc == LT_E_INVALID)
		return lt_err_set(ap->err, rc, "a ruling of the hub is malformed");
	if (rc != LT_OK)
		return rc;
	r.position = position;
	rc = lt_ruling_put(ap->txn, &r, &again);
	return rc == LT_OK && !again ? obey(ap, &r) : rc;
}

/* ---- change-sets ---- */

static bool
concerns_reload(const char *collection)
{
	static const char *const acts[] = { "_catalogue", "_registry", "_key", "_grant", "_unit",
		"_federation", "_revocation" };
	size_t i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(collection, acts[i]) == 0)
			return true;
	return false;
}

/* In the transaction that makes the act durable: there is no moment at which the one is here and the other is not done. */
static int
apply_erasure(struct applying *ap, const struct lt_changeset *cs, const struct lt_change *c)
{
	struct lt_erased *e;
	uint64_t removed;
	size_t n;
	int rc = lt_erased_of(c, ap->arena, &e, &n);

	if (rc == LT_E_NOTFOUND)
		return LT_OK;
	/* It names nothing, here as at the hub; verdicts behind it do not wait for another. */
	if (rc == LT_E_INVALID) {
		lt_error("erasure %s of unit %s by the hub is malformed and counts for nothing",
		    c->key, cs->unit.s);
		return LT_OK;
	}
	if (rc == LT_OK)
		rc = lt_erase(ap->txn, &cs->unit, e, n, &removed);
	if (rc == LT_OK)
		rc = lt_erase_reshow(ap->proj, ap->txn, &cs->unit, e, n);
	if (rc == LT_OK)
		lt_info("erasure %s of unit %s: %llu personal values are gone here", c->key,
		    cs->unit.s, (unsigned long long)removed);
	return rc;
}

static int
apply_hub_change(struct applying *ap, const struct lt_changeset *cs, uint32_t i, uint64_t position)
{
	const struct lt_change *c = &cs->change[i];
	struct lt_merge_change mc = { .dot = { cs->feed, cs->seq, i },
		.stamp = cs->stamp,
		.hash8 = hash8(&cs->hash),
		.by_hub = true,
		.change = c };
	int rc;

	if (strcmp(c->collection, "_verdict") == 0) {
		if (c->nset != 1 || strcmp(c->set[0].pb->name, "verdict") != 0 ||
		    c->set[0].pb->value == NULL ||
		    c->set[0].pb->value->v_case != LTPB__VALUE__V_BYTES)
			return lt_err_set(
			    ap->err, LT_E_INVALID, "a verdict of the hub is malformed");
		return apply_verdict(ap, &cs->unit,
		    lt_slice(c->set[0].pb->value->bytes.data, c->set[0].pb->value->bytes.len),
		    position, i);
	}
	if (strcmp(c->collection, "_ruling") == 0)
		return apply_ruling(ap, &cs->unit, c, position);
	if (concerns_reload(c->collection))
		ap->n->stale = true;
	if (strcmp(c->collection, "_revocation") == 0)
		ap->n->revoking = true;
	rc = apply_erasure(ap, cs, c);
	if (rc != LT_OK)
		return rc;
	return or_report(
	    ap, &cs->unit, &mc, position, lt_projection_add(ap->proj, &cs->unit, &mc, position));
}

static int
chain_answer(struct applying *ap, const struct lt_changeset *cs)
{
	struct lt_head head;
	struct lt_hash have;
	int rc = lt_feed_log_head(ap->txn, &cs->unit, &cs->feed, &head);

	if (rc != LT_OK)
		return rc;
	rc = lt_changeset_verify_chain(cs, head.seq, &head.hash, head.stamp);
	if (rc == LT_E_GAP && LT_SIM_BUG(PAST_GAP))
		rc = LT_OK;
	if (rc == LT_E_GAP)
		(void)lt_err_set(ap->err, rc,
		    "change-set %llu of a feed of unit %s, lane %d, came; here are %llu",
		    (unsigned long long)cs->seq, cs->unit.s, (int)lt_feed_lane(&cs->feed),
		    (unsigned long long)head.seq);
	if (rc == LT_E_EXISTS) {
		rc = lt_feed_log_hash(ap->txn, &cs->unit, &cs->feed, cs->seq, &have);
		if (rc == LT_OK)
			rc = lt_hash_eq(&have, &cs->hash) ? LT_E_EXISTS : LT_E_FORK;
	}
	if (rc == LT_E_FORK || rc == LT_E_BADHASH)
		return lt_err_set(ap->err, LT_E_FORK,
		    "the hub sent another change-set %llu of a feed of unit %s than the one here",
		    (unsigned long long)cs->seq, cs->unit.s);
	return rc;
}

/* ---- another branch of an own feed ---- */

static int
dots_aside(
    struct applying *ap, const struct lt_unit *unit, const struct lt_feed_id *aside, uint64_t seq)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	uint8_t *copy;
	size_t i;
	int rc = lt_feed_log_find(ap->txn, unit, aside, seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(ap->txn, position, &e);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_NODE_ARENA);
	copy = lt_arena_dup(&arena, e.changeset.data, e.changeset.len);
	rc = copy == NULL
		 ? LT_E_NOMEM
		 : lt_changeset_parse(lt_slice(copy, e.changeset.len), &arena, &cs, ap->err);
	for (i = 0; rc == LT_OK && i < cs.nchange; i++) {
		struct lt_merge_change mc = { .dot = { cs.feed, cs.seq, (uint32_t)i },
			.stamp = cs.stamp,
			.hash8 = hash8(&cs.hash),
			.change = &cs.change[i] };

		rc = lt_projection_set_aside(ap->proj, unit, &mc, position);
		if (rc == LT_OK && LT_SIM_BUG(ASIDE_MERGED))
			rc = lt_projection_settle(ap->proj, unit, &mc, position, true);
		if (rc == LT_E_UNKNOWN)
			rc = LT_OK; /* it went aside, and nothing showed it */
		rc = or_report(ap, unit, &mc, position, rc);
	}
	lt_arena_fini(&arena);
	return rc;
}

/* Does the other branch begin right here, behind something that is the same in both, and where the hub never said that it
 * holds ours? */
static int
may_take(struct applying *ap, const struct lt_changeset *cs, const struct lt_head *head)
{
	struct lt_hash before;
	uint64_t tied;
	int rc = lt_node_tied(ap->txn, &cs->unit, &cs->feed, head, &tied);

	if (rc == LT_OK)
		rc = lt_feed_log_hash(ap->txn, &cs->unit, &cs->feed, cs->seq - 1, &before);
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_E_FORK : rc;
	if (cs->seq > tied && lt_hash_eq(&before, &cs->prev))
		return LT_OK;
	return lt_err_set(ap->err, LT_E_FORK,
	    "the hub sent another change-set %llu of this machine's feed than the one it gave a "
	    "receipt or a verdict for",
	    (unsigned long long)cs->seq);
}

/* What the hub holds of an own feed counts (design section 8). Ours from there on stays here, told from the rest. */
static int
take_other_branch(
    struct applying *ap, const struct lt_changeset *cs, const struct lt_catalogue *cat)
{
	struct lt_feed_id aside = lt_feed_aside(&cs->feed);
	struct lt_head head;
	uint64_t seq;
	int rc = lt_feed_log_head(ap->txn, &cs->unit, &cs->feed, &head);

	if (rc == LT_OK)
		rc = may_take(ap, cs, &head);
	if (rc == LT_OK)
		rc = lt_feed_log_set_aside(ap->txn, &cs->unit, &cs->feed, cs->seq);
	if (rc == LT_OK)
		rc = end_epoch_of(ap, &cs->feed);
	if (rc == LT_OK)
		rc = open_projection(ap, cat);
	if (rc != LT_OK)
		return rc;
	for (seq = cs->seq; rc == LT_OK && seq <= head.seq; seq++)
		rc = dots_aside(ap, &cs->unit, &aside, seq);
	if (rc == LT_OK)
		rc = lt_projection_flush(ap->proj, NULL, NULL);
	else
		lt_projection_abort(ap->proj);
	ap->proj = NULL;
	ap->n->aside_came = true;
	if (rc == LT_OK)
		lt_error("the province holds other change-sets from number %llu on than this "
			 "machine signed (a copied machine, or one restored from an old copy): "
			 "%llu change-sets are here alone; report this to the province",
		    (unsigned long long)cs->seq, (unsigned long long)(head.seq - cs->seq + 1));
	return rc;
}

/* Only what this commune has to do with; and nothing before the catalogue that it was written by: acts (unit `_`) bring
 * that, the rest waits and is pulled again. */
static int
may_come(struct applying *ap, const struct lt_changeset *cs, const struct lt_catalogue *cat)
{
	static const struct lt_unit federation = { "_" };

	if (lt_unit_eq(&cs->unit, &federation))
		return LT_OK;
	if (!lt_unit_eq(&cs->unit, &ap->province) && !lt_unit_eq(&cs->unit, &ap->n->identity->unit))
		return lt_err_set(ap->err, LT_E_DENIED,
		    "the hub sent a feed of unit %s, which is not for this machine", cs->unit.s);
	if (cs->catalogue_version > lt_catalogue_version(cat))
		return lt_err_set(ap->err, LT_E_UNKNOWN,
		    "catalogue version %llu has not come down yet",
		    (unsigned long long)cs->catalogue_version);
	return LT_OK;
}

int
lt_node_apply_in(struct lt_node *n, struct lt_kv_txn *txn, const struct lt_changeset *cs,
    const struct lt_catalogue *cat, const struct lt_registry *reg, struct lt_arena *arena,
    struct lt_err *err)
{
	struct applying ap = { .n = n, .txn = txn, .reg = reg, .arena = arena, .err = err };
	struct lt_judgement accepted = { 0 };
	struct lt_id author = lt_feed_author(&cs->feed);
	uint64_t position;
	uint32_t i;
	int rc;

	lt_node_province(n, &ap.province);
	rc = lt_ruling_check(txn, cs);
	if (rc == LT_E_FORK)
		return lt_err_set(err, rc,
		    "the hub sent a change-set %llu of a feed of unit %s that it has ruled out",
		    (unsigned long long)cs->seq, cs->unit.s);
	if (rc == LT_OK)
		rc = chain_answer(&ap, cs);
	if (rc == LT_E_FORK && lt_id_eq(&author, &n->author.id)) {
		rc = take_other_branch(&ap, cs, cat);
		if (rc == LT_OK)
			rc = chain_answer(&ap, cs);
	}
	if (rc == LT_OK)
		rc = may_come(&ap, cs, cat);
	if (rc != LT_OK)
		return rc == LT_E_EXISTS ? LT_OK : rc;
	rc = lt_feed_log_append(txn, cs, (uint64_t)lt_wall_ms(n->clock), &position);
	if (rc == LT_OK)
		rc = open_projection(&ap, cat);
	if (rc != LT_OK)
		return rc;
	if (lt_registry_is_hub(reg, &author)) {
		rc = lt_feed_log_judge(
		    txn, &cs->unit, &cs->feed, cs->seq, position, cs->stamp, &accepted);
		for (i = 0; rc == LT_OK && i < cs->nchange; i++)
			rc = apply_hub_change(&ap, cs, i, position);
		if (rc == LT_OK)
			rc = lt_author_saw(txn, cs->stamp, cs->stamp);
	} else {
		rc = apply_waiting(&ap, &cs->unit, &cs->feed);
	}
	if (rc == LT_OK)
		return lt_projection_flush(ap.proj, NULL, NULL);
	lt_projection_abort(ap.proj);
	return rc;
}
