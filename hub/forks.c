/* hub/forks.c - two branches of one feed: the evidence, which one counts, and the ruling that says so (FORMAT.md 8.6).
 *
 * Evidence is kept in the transaction that meets it (`fork/...` in table local). The ruling is owed from then on and written by the
 * job that writes verdicts, so a stop in between loses nothing, and once: the row that keeps it (store/ruling.h) is written with it. */
#include "hub/hub_impl.h"
#include "hub/recovery.h"
#include "proto/base/log.h"
#include "proto/base/simbug.h"
#include "proto/store/access.h"
#include "proto/store/admit.h"
#include "proto/store/author.h"
#include "proto/store/feed_log.h"
#include "proto/store/hub_cert.h"
#include "proto/store/ruling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORKS_KEPT_MAX 16 /* pieces of evidence kept of one feed */
#define EVIDENCE_TAIL (1 + 16 + 1 + 16) /* of a row's name, behind the feed */

static const char prefix[] = "fork/";

/* ---- evidence ---- */

/* Rows of table local under a prefix, counted up to max. */
static int
count_rows(struct lt_kv_txn *txn, const char *from, uint64_t max, uint64_t *n)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	*n = 0;
	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_in(c, lt_slice_str(from), &k, &v);
	while (rc == LT_OK && *n < max) {
		++*n;
		rc = lt_kv_next_in(c, lt_slice_str(from), &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* Of all evidence of a feed. */
static size_t
feed_name(char name[160], const struct lt_unit *unit, const struct lt_feed_id *feed)
{
	char hex[2 * LT_FEED_LEN + 1];

	lt_hex(hex, feed->b, LT_FEED_LEN);
	return (size_t)snprintf(name, 160, "%s%s/%s/", prefix, unit->s, hex);
}

static void
evidence_name(char name[160], const struct lt_unit *unit, const struct lt_feed_id *feed,
    uint64_t seq, const struct lt_hash *hash)
{
	size_t len = feed_name(name, unit, feed);
	char hex[17];

	lt_hex(hex, hash->b, 8);
	(void)snprintf(name + len, 160 - len, "%016llx/%s", (unsigned long long)seq, hex);
}

/* The one that came first counts; of the other the signed bytes are kept. Openings are not: nobody reads them there, and they would
 * be out of an erase act's reach. A liar gets no more than a few places. */
int
lt_forks_keep(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	struct lt_slice have;
	struct lt_buf bytes;
	char name[160];
	uint64_t kept;
	int rc;

	if (LT_SIM_BUG(FORK_NOT_KEPT))
		return LT_OK;
	(void)feed_name(name, &cs->unit, &cs->feed);
	rc = count_rows(txn, name, FORKS_KEPT_MAX, &kept);
	if (rc != LT_OK)
		return rc;
	evidence_name(name, &cs->unit, &cs->feed, cs->seq, &cs->hash);
	rc = lt_local_get(txn, name, &have);
	lt_error("ALARM: unit %s signed change-set %llu of one feed twice (a copied machine or a "
		 "stolen key)%s; see 'ltctl forks'",
	    cs->unit.s, (unsigned long long)cs->seq,
	    rc != LT_E_NOTFOUND || kept < FORKS_KEPT_MAX ? "; evidence kept" : "");
	/* A damaged one is written again. */
	if (rc != LT_E_CORRUPT && (rc != LT_E_NOTFOUND || kept == FORKS_KEPT_MAX))
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	lt_buf_init(&bytes, LT_MESSAGE_MAX);
	rc = lt_changeset_strip(cs, &bytes);
	if (rc == LT_OK)
		rc = bytes.err;
	if (rc == LT_OK)
		rc = lt_local_put(txn, name, lt_buf_slice(&bytes));
	lt_buf_fini(&bytes);
	if (rc == LT_OK) {
		atomic_store(&h->forked, true);
		lt_verdicts_note(h->verdicts, &cs->unit, &cs->feed);
	}
	return rc;
}

int
lt_forks_keep_new(
    struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, bool *is_new)
{
	struct lt_slice have;
	char name[160];
	uint64_t kept;
	int rc;

	*is_new = false;
	evidence_name(name, &cs->unit, &cs->feed, cs->seq, &cs->hash);
	rc = lt_local_get(txn, name, &have);
	if (rc != LT_E_NOTFOUND && rc != LT_E_CORRUPT)
		return rc;
	(void)feed_name(name, &cs->unit, &cs->feed);
	rc = count_rows(txn, name, FORKS_KEPT_MAX, &kept);
	if (rc != LT_OK || kept == FORKS_KEPT_MAX)
		return rc;
	*is_new = true;
	return lt_forks_keep(h, txn, cs);
}

int
lt_hub_forks(
    struct lt_kv_txn *log, const struct lt_unit *unit, const struct lt_id *author, uint64_t *n)
{
	char name[160], hex[2 * LT_ID_LEN + 1];

	(void)snprintf(name, sizeof(name), "%s", prefix);
	if (author != NULL) {
		/* A feed's name begins with its author. */
		lt_hex(hex, author->b, LT_ID_LEN);
		(void)snprintf(name, sizeof(name), "%s%s/%s", prefix, unit->s, hex);
	}
	return count_rows(log, name, UINT64_MAX, n);
}

static int
row_feed(struct lt_slice k, struct lt_unit *unit, struct lt_feed_id *feed)
{
	const size_t plen = sizeof(prefix) - 1, tail = 1 + 2 * LT_FEED_LEN + EVIDENCE_TAIL;
	char hex[2 * LT_FEED_LEN + 1] = "";

	if (k.len <= plen + tail ||
	    lt_unit_set(unit, lt_slice(k.data + plen, k.len - plen - tail)) != LT_OK)
		return LT_E_CORRUPT;
	memcpy(hex, k.data + k.len - tail + 1, sizeof(hex) - 1);
	return lt_unhex(feed->b, LT_FEED_LEN, hex) == LT_OK ? LT_OK : LT_E_CORRUPT;
}

/* One that cannot be read is no evidence to anybody. */
static int
show_row(struct lt_slice k, struct lt_slice v, lt_evidence_fn *fn, void *ctx)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_feed_id feed;
	struct lt_unit of;
	int rc = row_feed(k, &of, &feed);

	lt_arena_init(&arena, LT_MESSAGE_MAX + 65536);
	if (rc == LT_OK)
		rc = lt_changeset_open(v, &arena, &cs);
	if (rc == LT_E_CORRUPT || rc == LT_E_INVALID) {
		lt_error(
		    "evidence of a second branch that is kept cannot be read: it is passed over");
		rc = LT_OK;
	} else if (rc == LT_OK) {
		rc = fn(ctx, &cs);
	}
	lt_arena_fini(&arena);
	return rc;
}

int
lt_forks_evidence(struct lt_kv_txn *log, const struct lt_unit *unit, lt_evidence_fn *fn, void *ctx)
{
	char name[160];
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(log, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	(void)snprintf(name, sizeof(name), "%s%s%s", prefix, unit != NULL ? unit->s : "",
	    unit != NULL ? "/" : "");
	rc = lt_kv_seek_in(c, lt_slice_str(name), &k, &v);
	while (rc == LT_OK) {
		rc = show_row(k, v, fn, ctx);
		if (rc == LT_OK)
			rc = lt_kv_next_in(c, lt_slice_str(name), &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

/* ---- evidence that is brought ---- */

struct brought {
	struct lt_hub *h;
	struct lt_arena arena;
	struct lt_changeset cs;
};

static void
brought_done(void *ctx, int rc)
{
	struct brought *b = ctx;

	if (rc != LT_OK && rc != LT_E_CLOSED)
		lt_warn("evidence of a second branch of a feed of unit %s could not be kept: %s; "
			"its node brings it again",
		    b->cs.unit.s, lt_strerror(rc));
	lt_arena_fini(&b->arena);
	free(b);
}

static int
run_brought(struct lt_kv_txn *txn, void *ctx)
{
	struct brought *b = ctx;
	struct lt_slice have;
	struct lt_hash ours;
	char name[160];
	int rc = lt_feed_log_hash(txn, &b->cs.unit, &b->cs.feed, b->cs.seq, &ours);

	if (rc != LT_OK || lt_hash_eq(&ours, &b->cs.hash))
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	evidence_name(name, &b->cs.unit, &b->cs.feed, b->cs.seq, &b->cs.hash);
	rc = lt_local_get(txn, name, &have);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT ? lt_forks_keep(b->h, txn, &b->cs) : rc;
}

static int
verify_brought(struct brought *b, const struct lt_id *pusher, struct lt_err *err)
{
	struct lt_registry *reg = lt_hub_registry(b->h);
	const struct lt_asker who = { .kind = LT_ASKER_PRINCIPAL,
		.principal = lt_registry_find(reg, pusher) };
	struct lt_id author = lt_feed_author(&b->cs.feed);
	int rc = LT_OK;

	if (!lt_access_push(&who, &author, &b->cs.unit))
		rc = lt_err_set(
		    err, LT_E_DENIED, "a node tells only of its own feeds, of its own commune");
	if (rc == LT_OK)
		rc = lt_admit_signed(&b->cs, &b->h->identity->federation, reg, true, false, err);
	lt_registry_unref(reg);
	return rc;
}

int
lt_hub_evidence(
    struct lt_hub *h, const struct lt_id *pusher, struct lt_slice bytes, struct lt_err *err)
{
	struct brought *b;
	uint8_t *copy;
	int rc;

	if (lt_hub_recovering(h))
		return LT_OK; /* what counts is not whole yet */
	if (bytes.len > LT_MESSAGE_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "a change-set is larger than a message may be");
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return LT_E_NOMEM;
	b->h = h;
	lt_arena_init(&b->arena, LT_HUB_ARENA);
	copy = lt_arena_dup(&b->arena, bytes.data, bytes.len);
	rc = copy == NULL ? LT_E_NOMEM
			  : lt_changeset_parse(lt_slice(copy, bytes.len), &b->arena, &b->cs, err);
	if (rc == LT_OK)
		rc = verify_brought(b, pusher, err);
	if (rc == LT_OK)
		rc = lt_writer_submit(h->writer, run_brought, brought_done, b);
	if (rc == LT_OK)
		return LT_OK;
	lt_arena_fini(&b->arena);
	free(b);
	return rc;
}

/* ---- the ruling ---- */

/* Where the branch of this evidence leaves the one that counts. LT_E_NOTFOUND: what counts there is not here, or other evidence of the
 * same branch, further back, says it. */
static int
place(struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_ruling *r)
{
	struct lt_slice have;
	char name[160];
	int rc;

	r->seq = cs->seq;
	r->other = cs->hash;
	if (cs->seq > 1) {
		rc = lt_feed_log_hash(txn, &cs->unit, &cs->feed, cs->seq - 1, &r->counts);
		if (rc != LT_OK)
			return rc;
		if (!lt_hash_eq(&r->counts, &cs->prev)) {
			r->seq = cs->seq - 1;
			r->other = cs->prev;
			evidence_name(name, &cs->unit, &cs->feed, r->seq, &r->other);
			rc = lt_local_get(txn, name, &have);
			return rc == LT_OK ? LT_E_NOTFOUND : rc == LT_E_NOTFOUND ? LT_OK : rc;
		}
	}
	rc = lt_feed_log_hash(txn, &cs->unit, &cs->feed, cs->seq, &r->counts);
	return rc == LT_OK && lt_hash_eq(&r->counts, &r->other) ? LT_E_NOTFOUND : rc;
}

/* The key that signed what counts. */
static int
counts_key(struct lt_kv_txn *txn, const struct lt_ruling *r, uint32_t *no)
{
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_entry e;
	uint64_t position;
	int rc = lt_feed_log_find(txn, &r->unit, &r->feed, r->seq, &position);

	if (rc == LT_OK)
		rc = lt_feed_log_read(txn, position, &e);
	if (rc != LT_OK)
		return rc;
	lt_arena_init(&arena, LT_MESSAGE_MAX + 65536);
	rc = lt_changeset_open(e.changeset, &arena, &cs);
	if (rc == LT_OK)
		*no = cs.key_no;
	lt_arena_fini(&arena);
	return rc;
}

static int
add_key(const struct lt_principal *p, struct lt_ruling *r, uint32_t no)
{
	const struct lt_principal_key *k = lt_principal_key(p, no);

	if (k == NULL)
		return LT_E_NOTFOUND;
	r->key[r->nkey].no = no;
	memcpy(r->key[r->nkey++].pk, k->sign_key, 32);
	return LT_OK;
}

/* LT_E_NOTFOUND: the registry does not have them; evidence is taken of known keys alone, so it will. */
static int
name_keys(struct lt_hub *h, struct lt_kv_txn *txn, uint32_t other, struct lt_ruling *r)
{
	struct lt_registry *reg;
	struct lt_id author = lt_feed_author(&r->feed);
	const struct lt_principal *p;
	uint32_t counts = 0;
	int rc = counts_key(txn, r, &counts);

	if (rc != LT_OK)
		return rc;
	reg = lt_hub_registry(h);
	p = lt_registry_find(reg, &author);
	rc = p == NULL ? LT_E_NOTFOUND : add_key(p, r, counts < other ? counts : other);
	if (rc == LT_OK && counts != other)
		rc = add_key(p, r, counts < other ? other : counts);
	lt_registry_unref(reg);
	return rc;
}

/* Signed in a feed of this hub of the same unit, as a verdict is. */
static int
write_act(struct lt_hub *h, struct lt_kv_txn *txn, struct lt_ruling *r, struct lt_arena *arena)
{
	struct lt_write w = {
		.collection = "_ruling", .builtin = true, .writer = LT_WRITER_PROVINCE
	};
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT, *set[1] = { &fs };
	Ltpb__Value value = LTPB__VALUE__INIT;
	struct lt_catalogue *cat;
	struct lt_kv_txn *derived;
	struct lt_err err = { "" };
	struct lt_buf bytes;
	char key[120];
	int rc;

	lt_ruling_key(r, key, sizeof(key));
	lt_buf_init(&bytes, LT_RULING_MAX);
	rc = lt_ruling_pack(r, &bytes);
	if (rc == LT_OK)
		rc = lt_kv_begin_read(h->derived, &derived);
	if (rc != LT_OK) {
		lt_buf_fini(&bytes);
		return rc;
	}
	value.v_case = LTPB__VALUE__V_BYTES;
	value.bytes.data = bytes.data;
	value.bytes.len = bytes.len;
	fs.name = (char *)"ruling";
	fs.value = &value;
	w.key = key;
	w.set = set;
	w.nset = 1;
	cat = lt_hub_catalogue(h);
	rc = lt_author_write(
	    txn, derived, &h->author, cat, &r->unit, &w, 1, arena, NULL, NULL, &err);
	if (rc == LT_OK && w.rc != LT_OK) {
		lt_error("a ruling was not written: %s %s", w.violation.message, err.text);
		rc = w.rc;
	}
	if (rc == LT_OK)
		rc = lt_feed_log_find(txn, &r->unit, &w.dot.feed, w.dot.seq, &r->position);
	lt_catalogue_unref(cat);
	lt_kv_abort(derived);
	lt_buf_fini(&bytes);
	return rc;
}

/* What stands in the store about it cannot be read: no ruling from that, and nothing else waits for it. */
static bool
unreadable(const struct lt_unit *unit, int rc)
{
	if (rc != LT_E_CORRUPT && rc != LT_E_INVALID)
		return false;
	lt_error(
	    "a second branch of a feed of unit %s is not ruled on: %s", unit->s, lt_strerror(rc));
	return true;
}

/* LT_E_NOTFOUND: nothing is to be ruled, or not now. */
static int
draft_ruling(
    struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_ruling *r)
{
	struct lt_ruling before;
	int rc = place(txn, cs, r);

	if (rc != LT_OK)
		return rc;
	rc = lt_ruling_get(txn, &r->unit, &r->feed, r->seq, &r->other, &before);
	if (rc == LT_OK)
		return LT_E_NOTFOUND;
	return rc == LT_E_NOTFOUND ? name_keys(h, txn, cs->key_no, r) : rc;
}

/* Until the act is begun nothing is written, and what cannot be read stops nobody; then the transaction stands or falls with it. */
static int
rule_one(
    struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_arena *arena)
{
	struct lt_ruling r = { .unit = cs->unit, .feed = cs->feed };
	char counts[17], other[17];
	int rc = draft_ruling(h, txn, cs, &r);

	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND || unreadable(&cs->unit, rc) ? LT_OK : rc;
	rc = write_act(h, txn, &r, arena);
	if (rc == LT_OK)
		rc = lt_ruling_put(txn, &r, NULL);
	/* The hub may have another key when somebody wants proof. */
	if (rc == LT_OK && h->identity->certificate.len != 0)
		rc = lt_hub_cert_keep(txn, h->identity->certificate);
	if (rc != LT_OK)
		return rc;
	atomic_store(&h->ruled, true);
	lt_hex(counts, r.counts.b, 8);
	lt_hex(other, r.other.b, 8);
	lt_warn("ruled: of change-set %llu of a feed of unit %s, %s counts and %s does not",
	    (unsigned long long)r.seq, r.unit.s, counts, other);
	return LT_OK;
}

/* Evidence of one feed, copied: writing moves what lies in the store. */
struct pieces {
	struct lt_arena arena;
	size_t n;
	struct lt_slice piece[FORKS_KEPT_MAX];
};

static int
gather(struct lt_kv_txn *txn, const char *name, struct pieces *p)
{
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_in(c, lt_slice_str(name), &k, &v);
	while (rc == LT_OK && p->n < FORKS_KEPT_MAX) {
		uint8_t *copy = lt_arena_dup(&p->arena, v.data, v.len);

		p->piece[p->n++] = lt_slice(copy, v.len);
		rc = copy == NULL ? LT_E_NOMEM : lt_kv_next_in(c, lt_slice_str(name), &k, &v);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

int
lt_forks_rule(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_feed_id *feed)
{
	struct pieces p = { .n = 0 };
	char name[160];
	size_t i;
	int rc;

	if (!atomic_load(&h->forked) || LT_SIM_BUG(RULING_FORGOTTEN))
		return LT_OK;
	lt_arena_init(&p.arena, LT_HUB_ARENA);
	(void)feed_name(name, unit, feed);
	rc = gather(txn, name, &p);
	if (rc != LT_OK && unreadable(unit, rc))
		rc = LT_OK;
	for (i = 0; rc == LT_OK && i < p.n; i++) {
		struct lt_changeset cs;

		rc = lt_changeset_open(p.piece[i], &p.arena, &cs);
		if (rc == LT_OK)
			rc = rule_one(h, txn, &cs, &p.arena);
		else if (unreadable(unit, rc))
			rc = LT_OK;
	}
	lt_arena_fini(&p.arena);
	return rc;
}

int
lt_forks_check(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_changeset *cs)
{
	return atomic_load(&h->ruled) ? lt_ruling_check(txn, cs) : LT_OK;
}

int
lt_forks_told(struct lt_hub *h, struct lt_kv_txn *txn, const struct lt_unit *unit,
    const struct lt_change *c, uint64_t position)
{
	struct lt_slice bytes;
	struct lt_ruling r;
	int rc = lt_ruling_of_change(c, &bytes);

	if (rc == LT_OK)
		rc = lt_ruling_parse(unit, bytes, &r);
	if (rc != LT_OK)
		return rc;
	r.position = position;
	rc = lt_ruling_put(txn, &r, NULL);
	if (rc == LT_OK)
		atomic_store(&h->ruled, true);
	return rc;
}

/* ---- at the start ---- */

/* By the names of the rows alone: one bit in a value that nobody needs here must not keep the hub from starting. */
static int
scan_rows(struct lt_kv_txn *txn, const char *from, struct lt_verdicts *v, atomic_bool *any)
{
	const struct lt_slice in = lt_slice_str(from);
	struct lt_kv_cursor *c;
	struct lt_slice k, val;
	int rc = lt_kv_cursor_open(txn, LT_T_LOCAL, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_kv_seek_at(c, in, in, &k, &val);
	while (rc == LT_OK || (rc == LT_E_CORRUPT && k.len != 0)) {
		struct lt_feed_id feed;
		struct lt_unit unit;

		atomic_store(any, true);
		if (v == NULL)
			break; /* one is enough */
		if (row_feed(k, &unit, &feed) == LT_OK)
			lt_verdicts_note(v, &unit, &feed);
		rc = lt_kv_next_at(c, in, &k, &val);
	}
	lt_kv_cursor_close(c);
	return rc == LT_E_NOTFOUND || rc == LT_E_CORRUPT || rc == LT_E_INVALID ? LT_OK : rc;
}

int
lt_forks_scan(struct lt_hub *h, struct lt_verdicts *v, struct lt_kv_txn *txn)
{
	int rc = scan_rows(txn, "ruling/", NULL, &h->ruled);

	return rc == LT_OK ? scan_rows(txn, prefix, v, &h->forked) : rc;
}
