#include "proto/store/rebuild.h"

#include "proto/base/log.h"
#include "proto/store/author.h"
#include "proto/store/projection_impl.h"

#define MARK "rows"
#define MARK_HEAD (4 + 8 + 1)

/* Whose the rows are. */
struct mark {
	bool there;
	uint32_t merge_version;
	uint64_t catalogue_version;
	bool building;
	size_t done_len; /* rk of the last record that is done */
	uint8_t done[LT_RK_MAX];
};

static int
mark_read(struct lt_kv_txn *txn, struct mark *m)
{
	struct lt_slice v;
	int rc = lt_local_get(txn, MARK, &v);

	memset(m, 0, sizeof(*m));
	if (rc != LT_OK)
		return rc == LT_E_NOTFOUND ? LT_OK : rc;
	if (v.len < MARK_HEAD || v.len - MARK_HEAD > sizeof(m->done) || v.data[12] > 1)
		return LT_E_CORRUPT;
	m->there = true;
	m->merge_version = lt_load_u32(v.data);
	m->catalogue_version = lt_load_u64(v.data + 4);
	m->building = v.data[12] == 1;
	m->done_len = v.len - MARK_HEAD;
	memcpy(m->done, v.data + MARK_HEAD, m->done_len);
	return LT_OK;
}

static int
mark_write(struct lt_kv_txn *txn, uint64_t version, bool building, struct lt_slice done)
{
	uint8_t v[MARK_HEAD + LT_RK_MAX];

	lt_store_u32(v, LT_MERGE_VERSION);
	lt_store_u64(v + 4, version);
	v[12] = building;
	if (done.len != 0)
		memcpy(v + MARK_HEAD, done.data, done.len);
	return lt_local_put(txn, MARK, lt_slice(v, MARK_HEAD + done.len));
}

static bool
is_of(const struct mark *m, uint64_t version)
{
	return m->merge_version == LT_MERGE_VERSION && m->catalogue_version == version;
}

int
lt_rebuild_check(
    struct lt_kv_txn *txn, const struct lt_catalogue *cat, bool unmarked_is_other, bool *building)
{
	uint64_t version = lt_catalogue_version(cat);
	struct mark m;
	int rc = mark_read(txn, &m);

	*building = rc == LT_OK && m.there && m.building;
	/* Without a catalogue there are acts only, and those are built in. */
	if (rc != LT_OK || (m.there ? is_of(&m, version) : version == 0))
		return rc;
	*building = m.there || unmarked_is_other;
	if (!*building)
		return mark_write(txn, version, false, lt_slice(NULL, 0));
	lt_info(
	    "catalogue version %llu: the records are worked out anew", (unsigned long long)version);
	rc = lt_kv_clear(txn, LT_T_INDEX);
	return rc == LT_OK ? mark_write(txn, version, true, lt_slice(NULL, 0)) : rc;
}

int
lt_rebuild_indexed(struct lt_kv_txn *derived, uint64_t catalogue_version, bool *indexed)
{
	struct mark m;
	int rc = mark_read(derived, &m);

	*indexed = !m.there || (!m.building && is_of(&m, catalogue_version));
	return rc;
}

int
lt_rebuild_record(const struct lt_rebuild_options *o, const char *collection,
    const struct lt_unit *unit, const char *key)
{
	struct lt_projection_options po = { .log = o->txn,
		.derived = o->txn,
		.catalogue = o->catalogue,
		.province = o->province,
		.overlay = o->overlay,
		.reindex = true,
		.by_hub = o->by_hub,
		.by_hub_ctx = o->ctx };
	struct lt_projection *p;
	int rc = lt_projection_begin(&po, &p);

	if (rc != LT_OK)
		return rc;
	rc = lt_projection_rebuild(p, collection, unit, key, o->by_hub, o->ctx);
	if (rc == LT_OK)
		return lt_projection_flush(p, NULL, NULL);
	lt_projection_abort(p);
	return rc == LT_E_UNKNOWN || rc == LT_E_INVALID ? LT_OK : rc;
}

/* ---- one step ---- */

struct step {
	const struct lt_rebuild_options *o;
	struct lt_projection *proj;
	struct mark at; /* moves on with the records */
	struct lt_slice rk; /* of the record that failed, in at.done */
	int64_t until;
	size_t n; /* records in the batch */
	bool more;
};

static int
rebuild_record(struct step *s)
{
	char rk[LT_RK_MAX + 1];
	struct lt_slice collection, unit, key;
	struct lt_unit u;
	int rc;

	memcpy(rk, s->at.done, s->at.done_len);
	rk[s->at.done_len] = '\0';
	rc = lt_key_record_split(lt_slice(rk, s->at.done_len), &collection, &unit, &key);
	if (rc == LT_OK && lt_unit_set(&u, unit) != LT_OK)
		rc = LT_E_CORRUPT;
	return rc != LT_OK ? rc
			   : lt_projection_rebuild(s->proj, (const char *)collection.data, &u,
				 (const char *)key.data, s->o->by_hub, s->o->ctx);
}

bool
lt_rebuild_wants_care(int rc)
{
	return rc == LT_E_CORRUPT || rc == LT_E_TOOBIG || rc == LT_E_INVALID;
}

static void
report(const struct mark *at, int rc)
{
	char rk[LT_RK_MAX + 1];
	size_t i;

	for (i = 0; i < at->done_len; i++)
		rk[i] = (char)(at->done[i] == 0 ? (uint8_t)' ' : at->done[i]);
	rk[at->done_len] = '\0';
	lt_error("record '%s' stays as the catalogue before made it: %s", rk, lt_strerror(rc));
}

/* Gather records in the batch, at most max. *failed: the batch has half of the record at s->at, and is of no use. */
static int
gather(struct step *s, struct lt_kv_cursor *c, size_t max, bool *failed)
{
	struct lt_slice k;
	int rc = LT_OK;

	*failed = false;
	s->more = true;
	for (s->n = 0; s->n < max; s->n++) {
		if (s->n != 0 && s->o->clock != NULL && lt_mono_ms(s->o->clock) >= s->until)
			break;
		rc = lt_history_next_record(c, s->at.done, &s->at.done_len, &k);
		if (rc == LT_E_NOTFOUND) {
			s->more = false;
			return LT_OK;
		}
		if (rc != LT_OK)
			break;
		rc = rebuild_record(s);
		/* Nothing of it is in the batch: refused before its collection came, or the collection has gone. */
		if (rc == LT_E_UNKNOWN)
			rc = LT_OK;
		*failed = lt_rebuild_wants_care(rc);
		if (rc != LT_OK)
			break;
	}
	return rc;
}

static int
run_batch(struct step *s, size_t max, bool *failed)
{
	struct lt_projection_options po = { .log = s->o->txn,
		.derived = s->o->txn,
		.catalogue = s->o->catalogue,
		.province = s->o->province,
		.overlay = s->o->overlay,
		.reindex = true,
		.by_hub = s->o->by_hub,
		.by_hub_ctx = s->o->ctx };
	struct lt_kv_cursor *c;
	int rc = lt_kv_cursor_open(s->o->txn, LT_T_HISTORY, &c);

	if (rc != LT_OK)
		return rc;
	rc = lt_projection_begin(&po, &s->proj);
	if (rc == LT_OK)
		rc = gather(s, c, max, failed);
	lt_kv_cursor_close(c);
	if (rc == LT_OK && s->o->careful) {
		rc = lt_projection_try(s->proj);
		*failed = lt_rebuild_wants_care(rc);
	}
	if (rc == LT_OK)
		rc = lt_projection_flush(s->proj, NULL, NULL);
	else
		lt_projection_abort(s->proj);
	s->proj = NULL;
	return rc;
}

/* Those of a batch, or, when one of them is damaged, those before it; when it is the first, nothing but its name in the log. */
static int
batch_or_report(struct step *s, size_t max)
{
	struct mark from = s->at;
	bool failed = false;
	int rc = run_batch(s, max, &failed);

	if (!failed)
		return rc;
	if (s->n == 0 || max == 1) {
		report(&s->at, rc);
		return LT_OK; /* the step is over this one */
	}
	s->at = from;
	return run_batch(s, s->n, &failed);
}

static int
careful_batches(struct step *s)
{
	const struct lt_rebuild_options *o = s->o;
	size_t i;
	int rc = LT_OK;

	s->more = true;
	for (i = 0; rc == LT_OK && s->more && i < o->records; i++) {
		if (i != 0 && o->clock != NULL && lt_mono_ms(o->clock) >= s->until)
			break;
		rc = batch_or_report(s, 1);
	}
	return rc;
}

int
lt_rebuild_step(const struct lt_rebuild_options *o, bool *more)
{
	struct step s = { .o = o };
	struct mark from;
	int rc = mark_read(o->txn, &from);

	*more = false;
	if (rc != LT_OK || !from.there || !from.building)
		return rc;
	if (o->clock != NULL)
		s.until = lt_mono_ms(o->clock) + o->ms;
	s.at = from;
	rc = o->careful ? careful_batches(&s) : batch_or_report(&s, o->records);
	if (rc == LT_OK)
		rc = mark_write(o->txn, from.catalogue_version, s.more,
		    lt_slice(s.at.done, s.more ? s.at.done_len : 0));
	*more = rc == LT_OK && s.more;
	return rc;
}
