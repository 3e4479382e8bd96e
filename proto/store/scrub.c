#include "proto/store/damage_bug.h"
#include "proto/store/scrub_impl.h"

#include "proto/base/log.h"
#include "proto/feed/crypto.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_DEFAULT 256
#define BYTES_DEFAULT ((uint64_t)1 << 20)
#define SAVED_VERSION 1

static const struct {
	lt_scrub_phase_fn *run;
	const char *name;
} phases[LT_SCRUB_PHASES] = {
	[LT_SCRUB_TABLES] = { lt_scrub_tables, "tables" },
	[LT_SCRUB_DERIVED_TABLES] = { lt_scrub_derived_tables, "derived tables" },
	[LT_SCRUB_ENTRIES] = { lt_scrub_entries, "feeds" },
	[LT_SCRUB_HEADS] = { lt_scrub_heads, "heads" },
	[LT_SCRUB_HISTORY] = { lt_scrub_history, "histories" },
	[LT_SCRUB_RECORDS] = { lt_scrub_records, "records" },
	[LT_SCRUB_ORPHANS] = { lt_scrub_orphans, "index entries" },
	[LT_SCRUB_DIGESTS] = { lt_scrub_digests, "digests" },
	[LT_SCRUB_SUSPECTS] = { lt_scrub_suspects, "records once more" },
};

const char *
lt_scrub_what_name(enum lt_scrub_what what)
{
	switch (what) {
	case LT_SCRUB_DAMAGED:
		return "damaged";
	case LT_SCRUB_MISSING:
		return "missing";
	case LT_SCRUB_EXTRA:
		return "extra";
	case LT_SCRUB_WRONG:
		return "wrong";
	case LT_SCRUB_COUNT:
		return "count";
	case LT_SCRUB_UNREADABLE:
		return "unreadable";
	}
	return "unknown";
}

int
lt_scrub_open(const struct lt_scrub_options *o, struct lt_scrub **out)
{
	struct lt_scrub *s = calloc(1, sizeof(*s));

	*out = s;
	if (s == NULL)
		return LT_E_NOMEM;
	s->o = *o;
	s->node = o->log == o->derived;
	s->st.truth_clean = true;
	s->st.phase = "";
	return LT_OK;
}

void
lt_scrub_close(struct lt_scrub *s)
{
	free(s);
}

/* ---- findings ---- */

/* What is worked out from the log. */
static bool
is_derived(unsigned table)
{
	switch (table) {
	case LT_T_RECORD:
	case LT_T_SHOWN:
	case LT_T_INDEX:
	case LT_T_HISTORY:
	case LT_T_DIGEST:
	case LT_T_OVERLAY:
	case LT_T_CURSOR:
		return true;
	default:
		return false;
	}
}

static void
digest_of(unsigned table, struct lt_slice key, uint8_t out[8])
{
	struct lt_buf b = { 0 };
	uint8_t h[16] = { 0 };

	lt_buf_framed(&b, lt_slice_str(lt_table_names[table]));
	lt_buf_framed(&b, key);
	if (b.err == LT_OK)
		lt_h16("lt1.value", lt_buf_slice(&b), h);
	memcpy(out, h, 8);
	lt_buf_fini(&b);
}

void
lt_scrub_found(struct lt_scrub *s, unsigned table, struct lt_slice key, enum lt_scrub_what what)
{
	struct lt_scrub_status *st = &s->st;
	int64_t now = lt_wall_ms(s->o.clock);
	struct lt_scrub_finding f = { .table = table,
		.what = what,
		.derived = is_derived(table),
		.since_ms = now,
		.last_ms = now };
	char hex[17];
	size_t i;

	if (LT_DAMAGE_BUG(NO_OMISSION) && what != LT_SCRUB_DAMAGED)
		return;
	digest_of(table, key, f.key_digest);
	st->truth_clean = st->truth_clean && f.derived;
	for (i = 0; i < st->nfinding; i++)
		if (st->finding[i].table == table && st->finding[i].what == what &&
		    memcmp(st->finding[i].key_digest, f.key_digest, sizeof(f.key_digest)) == 0) {
			st->finding[i].last_ms = now;
			s->found[i] = s->round;
			return;
		}
	lt_hex(hex, f.key_digest, sizeof(f.key_digest));
	if (st->nfinding == LT_SCRUB_FINDINGS_MAX) {
		st->more++;
		return;
	}
	lt_error("scrub: table %s, key digest %s: %s", lt_table_names[table], hex,
	    lt_scrub_what_name(what));
	s->found[st->nfinding] = s->round;
	st->finding[st->nfinding++] = f;
}

bool
lt_scrub_is_damage(struct lt_scrub *s, int rc, unsigned table, struct lt_slice key)
{
	switch (rc) {
	case LT_E_CORRUPT:
	case LT_E_INVALID:
	case LT_E_TOOBIG:
		lt_scrub_found(s, table, key, LT_SCRUB_DAMAGED);
		return true;
	case LT_E_NOTFOUND:
		lt_scrub_found(s, table, key, LT_SCRUB_MISSING);
		return true;
	default:
		return false;
	}
}

/* ---- rounds ---- */

static void
round_begin(struct lt_scrub *s)
{
	s->round++;
	s->running = true;
	memset(&s->at, 0, sizeof(s->at));
	s->st.round_began_ms = lt_wall_ms(s->o.clock);
	s->st.entries = s->st.bytes = s->st.sampled = 0;
	s->st.truth_clean = true;
	s->nsuspect = 0;
	s->waits = 0;
}

static void
round_end(struct lt_scrub *s)
{
	struct lt_scrub_status *st = &s->st;
	size_t i, kept = 0;

	for (i = 0; i < st->nfinding; i++) {
		if (s->found[i] != s->round)
			continue;
		st->finding[kept] = st->finding[i];
		s->found[kept++] = s->found[i];
	}
	st->nfinding = kept;
	if (kept < LT_SCRUB_FINDINGS_MAX)
		st->more = 0;
	st->rounds++;
	st->round_ended_ms = lt_wall_ms(s->o.clock);
	st->round_took_ms = st->round_ended_ms - st->round_began_ms;
	st->round_began_ms = 0;
	st->round_full = s->full;
	s->running = s->full = false;
}

void
lt_scrub_restart(struct lt_scrub *s, bool full)
{
	s->running = false;
	s->full = full;
}

void
lt_scrub_took(struct lt_scrub *s, size_t bytes)
{
	s->st.entries++;
	s->st.bytes += bytes;
	s->entries_left -= s->entries_left > 0;
	s->bytes_left -= s->bytes_left < bytes ? s->bytes_left : bytes;
}

bool
lt_scrub_more(const struct lt_scrub *s)
{
	return s->entries_left != 0 && s->bytes_left != 0;
}

static void
step_end(struct lt_scrub *s)
{
	if (s->log != s->derived)
		lt_kv_abort(s->log);
	lt_kv_abort(s->derived);
	s->log = s->derived = NULL;
	lt_catalogue_unref(s->world.catalogue);
	lt_registry_unref(s->world.registry);
	memset(&s->world, 0, sizeof(s->world));
}

/* The derived tables first: the log's snapshot then has all that they were made from. */
static int
step_begin(struct lt_scrub *s)
{
	struct lt_scrub_world after = { 0 };
	int rc = s->o.world(s->o.ctx, &s->world);

	if (rc == LT_OK)
		rc = lt_kv_begin_read(s->o.derived, &s->derived);
	if (rc == LT_OK && s->node)
		s->log = s->derived;
	else if (rc == LT_OK)
		rc = lt_kv_begin_read(s->o.log, &s->log);
	if (rc == LT_OK)
		rc = s->o.world(s->o.ctx, &after);
	/* The snapshots may be of before, of after or of the middle. */
	if (rc == LT_OK &&
	    (after.catalogue != s->world.catalogue || after.builds != s->world.builds))
		rc = LT_E_UNAVAILABLE;
	lt_catalogue_unref(after.catalogue);
	lt_registry_unref(after.registry);
	return rc;
}

int
lt_scrub_step(struct lt_scrub *s, const struct lt_scrub_budget *budget, bool *done)
{
	bool through = false;
	int rc;

	*done = false;
	if (!s->running)
		round_begin(s);
	s->entries_left =
	    budget != NULL && budget->entries != 0 ? budget->entries : ENTRIES_DEFAULT;
	s->bytes_left = budget != NULL && budget->bytes != 0 ? budget->bytes : BYTES_DEFAULT;
	s->st.phase = phases[s->at.phase].name;
	rc = step_begin(s);
	if (rc == LT_OK)
		rc = phases[s->at.phase].run(s, &through);
	step_end(s);
	if (rc == LT_OK && through) {
		struct lt_scrub_at next = { .phase = s->at.phase + 1 };

		*done = next.phase == LT_SCRUB_PHASES;
		if (*done) {
			next.phase = 0;
			round_end(s);
		}
		s->at = next;
	}
	return rc;
}

int
lt_scrub_round(struct lt_scrub *s, bool full)
{
	bool done = false;
	int rc = LT_OK;

	lt_scrub_restart(s, full);
	while (rc == LT_OK && !done)
		rc = lt_scrub_step(s, NULL, &done);
	return rc;
}

void
lt_scrub_status(const struct lt_scrub *s, struct lt_scrub_status *out)
{
	*out = s->st;
}

/* ---- progress as bytes ---- */

int
lt_scrub_save(const struct lt_scrub *s, struct lt_buf *out)
{
	const struct lt_scrub_at *at = &s->at;
	size_t i;

	lt_buf_u8(out, SAVED_VERSION);
	lt_buf_u8(out, (uint8_t)(s->running | s->full << 1 | s->st.truth_clean << 2 |
				 s->st.round_full << 3 | at->begun << 4));
	lt_buf_u64(out, s->round);
	lt_buf_u64(out, s->st.rounds);
	lt_buf_u64(out, (uint64_t)s->st.round_began_ms);
	lt_buf_u64(out, (uint64_t)s->st.round_ended_ms);
	lt_buf_u64(out, (uint64_t)s->st.round_took_ms);
	lt_buf_u64(out, s->st.entries);
	lt_buf_u64(out, s->st.bytes);
	lt_buf_u64(out, s->st.sampled);
	lt_buf_u64(out, s->st.more);
	lt_buf_u8(out, (uint8_t)at->phase);
	/* By name: programs may number tables otherwise. */
	lt_buf_framed8(out, lt_slice_str(lt_table_names[at->table]));
	lt_buf_u64(out, at->position);
	lt_buf_framed(out, lt_slice(at->key, at->key_len));
	lt_buf_framed(out, lt_slice(at->segment, at->segment_len));
	lt_buf_put(out, at->running.b, LT_HASH_LEN);
	lt_buf_u8(out, (uint8_t)s->st.nfinding);
	for (i = 0; i < s->st.nfinding; i++) {
		const struct lt_scrub_finding *f = &s->st.finding[i];

		lt_buf_framed8(out, lt_slice_str(lt_table_names[f->table]));
		lt_buf_u8(out, (uint8_t)f->what);
		lt_buf_put(out, f->key_digest, sizeof(f->key_digest));
		lt_buf_u64(out, (uint64_t)f->since_ms);
		lt_buf_u64(out, (uint64_t)f->last_ms);
		lt_buf_u64(out, s->found[i]);
	}
	return out->err;
}

static unsigned
table_named(struct lt_slice name)
{
	unsigned t;

	for (t = 0; t < LT_T_COUNT; t++)
		if (lt_slice_eq(name, lt_slice_str(lt_table_names[t])))
			break;
	return t;
}

static void
take_key(struct lt_reader *r, uint8_t key[LT_KV_KEY_MAX], size_t *len)
{
	struct lt_slice k = lt_read_framed(r);

	if (k.len > LT_KV_KEY_MAX)
		r->err = LT_E_INVALID;
	else if (k.len != 0)
		memcpy(key, k.data, k.len);
	*len = r->err == LT_OK ? k.len : 0;
}

static void
take_finding(struct lt_reader *r, struct lt_scrub *s)
{
	struct lt_scrub_finding *f = &s->st.finding[s->st.nfinding];
	struct lt_slice digest;

	f->table = table_named(lt_read_framed8(r));
	f->what = (enum lt_scrub_what)lt_read_u8(r);
	digest = lt_read_bytes(r, sizeof(f->key_digest));
	f->since_ms = (int64_t)lt_read_u64(r);
	f->last_ms = (int64_t)lt_read_u64(r);
	s->found[s->st.nfinding] = lt_read_u64(r);
	if (r->err != LT_OK || f->table == LT_T_COUNT || f->what < LT_SCRUB_DAMAGED ||
	    f->what > LT_SCRUB_UNREADABLE) {
		r->err = LT_E_INVALID;
		return;
	}
	memcpy(f->key_digest, digest.data, sizeof(f->key_digest));
	f->derived = is_derived(f->table);
	s->st.nfinding++;
}

static void
take_all(struct lt_reader *r, struct lt_scrub *s)
{
	struct lt_slice running;
	uint8_t flags = lt_read_u8(r), n;

	s->running = (flags & 1) != 0;
	s->full = (flags & 2) != 0;
	s->st.truth_clean = (flags & 4) != 0;
	s->st.round_full = (flags & 8) != 0;
	s->at.begun = (flags & 16) != 0;
	s->round = lt_read_u64(r);
	s->st.rounds = lt_read_u64(r);
	s->st.round_began_ms = (int64_t)lt_read_u64(r);
	s->st.round_ended_ms = (int64_t)lt_read_u64(r);
	s->st.round_took_ms = (int64_t)lt_read_u64(r);
	s->st.entries = lt_read_u64(r);
	s->st.bytes = lt_read_u64(r);
	s->st.sampled = lt_read_u64(r);
	s->st.more = lt_read_u64(r);
	s->at.phase = lt_read_u8(r);
	s->at.table = table_named(lt_read_framed8(r));
	s->at.position = lt_read_u64(r);
	take_key(r, s->at.key, &s->at.key_len);
	take_key(r, s->at.segment, &s->at.segment_len);
	running = lt_read_bytes(r, LT_HASH_LEN);
	if (r->err == LT_OK)
		memcpy(s->at.running.b, running.data, LT_HASH_LEN);
	n = lt_read_u8(r);
	if (n > LT_SCRUB_FINDINGS_MAX || s->at.phase >= LT_SCRUB_PHASES ||
	    s->at.table == LT_T_COUNT)
		r->err = LT_E_INVALID;
	while (r->err == LT_OK && s->st.nfinding < n)
		take_finding(r, s);
}

int
lt_scrub_resume(struct lt_scrub *s, struct lt_slice saved)
{
	struct lt_scrub *got;
	struct lt_reader r;
	int rc = lt_scrub_open(&s->o, &got);

	if (rc != LT_OK)
		return rc;
	lt_reader_init(&r, saved);
	if (lt_read_u8(&r) != SAVED_VERSION)
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		take_all(&r, got);
	if (rc == LT_OK && (r.err != LT_OK || lt_reader_left(&r) != 0))
		rc = LT_E_INVALID;
	if (rc == LT_OK)
		*s = *got;
	lt_scrub_close(got);
	return rc;
}
