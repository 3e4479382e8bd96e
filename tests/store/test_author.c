/* This machine as an author: what is asked for becomes signed change-sets, and only what is new. On a node the derived
 * tables are the log's own transaction, as here; where the hub differs, the test says so. */
#include "proto/model/value.h"
#include "proto/store/author.h"
#include "world.h"

#include "proto/base/file.h"

#include <stdio.h>
#include <string.h>

#define FLOOR LT_BUILD_FLOOR_MS
#define YEAR_MS (INT64_C(365) * 86400000)

struct desk {
	struct env env;
	struct author me;
	struct lt_author a;
	struct lt_clock clock;
	int64_t wall;
	uint64_t dice;
	struct lt_catalogue *cat;
	struct lt_unit unit;
	struct lt_arena arena;
	struct lt_kv_txn *txn;
	size_t nmade;
	struct lt_changeset made[64]; /* of the last write, slices in the arena */
	int project_rc; /* what after_append says */
};

static int64_t
wall_of(void *ctx)
{
	return ((struct desk *)ctx)->wall;
}

static void
roll(void *ctx, void *buf, size_t len)
{
	struct desk *d = ctx;
	uint8_t *p = buf;

	while (len-- > 0)
		*p++ = (uint8_t)(rnd(&d->dice) >> 40);
}

static struct lt_catalogue *
real_catalogue(void)
{
	struct lt_catalogue *cat = NULL;
	struct lt_err err = { "" };
	struct lt_buf file;

	world_catalogue_file(&file);
	if (lt_catalogue_parse(lt_buf_slice(&file), 1, &cat, &err) != LT_OK)
		fail_msg("%s", err.text);
	lt_buf_fini(&file);
	return cat;
}

static void
desk_open(struct desk *d, struct lt_catalogue *cat)
{
	memset(d, 0, sizeof(*d));
	env_open(&d->env, false);
	author_init(&d->me, 0x11);
	d->wall = FLOOR + 5 * YEAR_MS;
	d->dice = 88172645463325252;
	d->clock = (struct lt_clock){ wall_of, wall_of, d };
	d->a.federation = world_fed();
	d->a.id = d->me.id;
	d->a.key_no = 1;
	d->a.key = &d->me.key;
	ok(lt_unit_set(&d->a.province, lt_slice_str(WORLD_PROVINCE)));
	d->a.clock = &d->clock;
	d->a.random = roll;
	d->a.random_ctx = d;
	ok(lt_unit_set(&d->unit, lt_slice_str(WORLD_UNIT)));
	d->cat = cat;
	lt_arena_init(&d->arena, (size_t)256 << 20);
}

static void
desk_close(struct desk *d)
{
	lt_catalogue_unref(d->cat);
	lt_arena_fini(&d->arena);
	env_close(&d->env);
}

/* As a node does it: the next write of the batch sees this one. */
static int
project(void *ctx, const struct lt_made *m)
{
	struct desk *d = ctx;
	struct lt_projection_options o = { .log = d->txn,
		.derived = d->txn,
		.catalogue = d->cat,
		.province = d->a.province,
		.overlay = true };
	struct lt_projection *p;
	size_t i;
	int rc;

	assert_true(d->nmade < 64);
	d->made[d->nmade++] = m->cs;
	if (d->project_rc != LT_OK)
		return d->project_rc;
	rc = lt_projection_begin(&o, &p);
	for (i = 0; rc == LT_OK && i < m->cs.nchange; i++) {
		struct lt_merge_change mc = { .dot = { m->cs.feed, m->cs.seq, (uint32_t)i },
			.stamp = m->cs.stamp,
			.hash8 = lt_load_u64(m->cs.hash.b),
			.by_hub = d->a.by_hub,
			.change = &m->cs.change[i] };

		rc = lt_projection_add_overlay(p, &m->cs.unit, &mc, m->position);
	}
	if (rc == LT_OK)
		return lt_projection_flush(p, NULL, NULL);
	lt_projection_abort(p);
	return rc;
}

static int
try_write(struct desk *d, struct lt_write *w, size_t n)
{
	struct lt_err err = { "" };
	int rc = lt_kv_begin_write(d->env.kv, &d->txn);

	d->nmade = 0;
	if (rc != LT_OK)
		return rc;
	rc = lt_author_write(
	    d->txn, d->txn, &d->a, d->cat, &d->unit, w, n, &d->arena, project, d, &err);
	if (rc == LT_OK)
		return lt_kv_commit(d->txn);
	lt_kv_abort(d->txn);
	return rc;
}

static void
write_all(struct desk *d, struct lt_write *w, size_t n)
{
	ok(try_write(d, w, n));
}

/* One write of a "thing" with the fields up to NULL; its rc. */
static struct lt_write
thing(struct desk *d, int no, ...)
{
	struct lt_write w = { .collection = "thing", .writer = LT_WRITER_COMMUNE };
	char key[32];
	va_list ap;
	Ltpb__FieldSet *fs;

	(void)snprintf(key, sizeof(key), WORLD_UNIT "/%d", no);
	w.key = lt_arena_dup(&d->arena, key, strlen(key));
	w.set = lt_arena_alloc(&d->arena, 16 * sizeof(*w.set));
	va_start(ap, no);
	while ((fs = va_arg(ap, Ltpb__FieldSet *)) != NULL)
		w.set[w.nset++] = fs;
	va_end(ap);
	return w;
}

static int
put(struct desk *d, struct lt_write *w)
{
	write_all(d, w, 1);
	return w->rc;
}

#define A(d) (&(d)->arena)
#define TEXT(d, name, v) fs_text(A(d), name, v)

/* The shown record; NULL when there is none. */
static Ltpb__Record *
shown(struct desk *d, const char *collection, const char *key)
{
	struct lt_kv_txn *txn;
	Ltpb__Record *rec = NULL;
	int rc;

	ok(lt_kv_begin_read(d->env.kv, &txn));
	rc = lt_record_get(txn, collection, d->unit.s, key, &d->arena, &rec);
	lt_kv_abort(txn);
	assert_true(rc == LT_OK || rc == LT_E_NOTFOUND);
	return rc == LT_OK ? rec : NULL;
}

static const Ltpb__Value *
value_of(const Ltpb__Record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_field; i++)
		if (strcmp(r->field[i]->name, name) == 0)
			return r->field[i]->value;
	return NULL;
}

static void
revision(struct desk *d, const char *key, uint8_t out[16])
{
	struct lt_kv_txn *txn;
	struct lt_buf row;

	lt_buf_init(&row, 0);
	ok(lt_kv_begin_read(d->env.kv, &txn));
	ok(lt_record_row(txn, txn, d->cat, &d->a.province, "thing", d->unit.s, key, &row));
	lt_kv_abort(txn);
	lt_record_revision(lt_buf_slice(&row), out);
	lt_buf_fini(&row);
}

/* What another author of the unit wrote, accepted: into the judged row. */
static void
others(struct desk *d, struct feed *f, const struct lt_draft *draft, uint64_t stamp)
{
	struct lt_projection_options o = {
		.catalogue = d->cat, .province = d->a.province, .overlay = true
	};
	struct lt_merge_change mc = { .stamp = stamp };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	struct lt_kv_txn *txn;
	uint64_t position;

	feed_seal(f, stamp, draft, 1, &b);
	ok(lt_kv_begin_write(d->env.kv, &txn));
	world_append(txn, lt_slice(lt_arena_dup(A(d), b.data, b.len), b.len), A(d), &cs, &position);
	lt_buf_fini(&b);
	o.log = o.derived = txn;
	ok(lt_projection_begin(&o, &p));
	mc.dot = (struct lt_dot){ cs.feed, cs.seq, 0 };
	mc.hash8 = lt_load_u64(cs.hash.b);
	mc.change = &cs.change[0];
	ok(lt_projection_add(p, &cs.unit, &mc, position));
	ok(lt_projection_flush(p, NULL, NULL));
	ok(lt_kv_commit(txn));
}

/* ---- one record's life ---- */

static void
test_life(void **state)
{
	struct desk d;
	struct lt_write w;
	struct lt_feed_id feed;
	Ltpb__Record *r;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 7, TEXT(&d, "a", "one"), fs_int(A(&d), "b", 5), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.created && !w.unchanged);
	assert_string_equal(w.key_out, WORLD_UNIT "/7");
	assert_int_equal(w.dot.seq, 1);
	assert_int_equal(w.dot.index, 0);
	feed = w.dot.feed;
	assert_int_equal(d.nmade, 1);
	assert_int_equal(d.made[0].catalogue_version, 1);
	ok(lt_changeset_verify_signature(&d.made[0], d.me.key.pk));

	/* The same again makes nothing. */
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged && !w.created);
	assert_int_equal(d.nmade, 0);

	/* Only what differs is written. */
	w = thing(&d, 7, TEXT(&d, "a", "one"), fs_int(A(&d), "b", 6), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_false(w.created);
	assert_int_equal(w.dot.seq, 2);
	assert_memory_equal(w.dot.feed.b, feed.b, LT_FEED_LEN);
	assert_int_equal(d.made[0].change[0].nset, 1);
	assert_string_equal(d.made[0].change[0].set[0].pb->name, "b");

	w = thing(&d, 7, NULL);
	w.is_delete = true;
	assert_int_equal(put(&d, &w), LT_OK);
	assert_null(shown(&d, "thing", WORLD_UNIT "/7"));
	assert_int_equal(put(&d, &w), LT_E_NOTFOUND);
	assert_int_equal(d.nmade, 0);

	w = thing(&d, 7, TEXT(&d, "a", "one"), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.created);
	r = shown(&d, "thing", WORLD_UNIT "/7");
	assert_non_null(r);
	assert_null(value_of(r, "b")); /* what was deleted does not come back */
	assert_string_equal(value_of(r, "a")->text, "one");
	assert_false(r->incomplete);
	desk_close(&d);
}

static void
test_clear(void **state)
{
	struct desk d;
	struct lt_write w;
	char *names[] = { (char *)"a", (char *)"b" }, *key[] = { (char *)"no" },
	     *none[] = { (char *)"zz" }, *twice[] = { (char *)"a", (char *)"a" };

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	put(&d, &w);
	w = thing(&d, 1, NULL);
	w.clear = names;
	w.nclear = 2;
	assert_int_equal(put(&d, &w), LT_OK);
	assert_int_equal(d.made[0].change[0].ncleared, 1); /* b had no value */
	assert_null(value_of(shown(&d, "thing", WORLD_UNIT "/1"), "a"));
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged);
	w.nclear = 1;
	w.clear = key;
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_UNKNOWN_FIELD);
	w.clear = none;
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	w = thing(&d, 1, TEXT(&d, "a", "two"), NULL);
	put(&d, &w);
	w = thing(&d, 1, NULL);
	w.nclear = 2;
	w.clear = twice;
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_string_equal(value_of(shown(&d, "thing", WORLD_UNIT "/1"), "a")->text, "two");
	desk_close(&d);
}

static void
test_if_revision(void **state)
{
	struct desk d;
	struct lt_write w;
	uint8_t rev[16];

	(void)state;
	desk_open(&d, world_catalogue());
	memset(rev, 1, sizeof(rev));
	w = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	w.if_revision = true;
	w.revision = lt_slice(rev, sizeof(rev));
	assert_int_equal(put(&d, &w), LT_E_CONFLICT); /* it does not exist */
	w.revision = lt_slice(NULL, 0);
	assert_int_equal(put(&d, &w), LT_OK); /* must not exist */
	assert_int_equal(put(&d, &w), LT_E_CONFLICT);
	assert_int_equal(d.nmade, 0);
	revision(&d, WORLD_UNIT "/1", rev);
	w = thing(&d, 1, TEXT(&d, "a", "two"), NULL);
	w.if_revision = true;
	w.revision = lt_slice(rev, sizeof(rev));
	assert_int_equal(put(&d, &w), LT_OK);
	assert_int_equal(put(&d, &w), LT_E_CONFLICT); /* it has moved on */
	w.revision = lt_slice(rev, 15);
	assert_int_equal(put(&d, &w), LT_E_CONFLICT);
	desk_close(&d);
}

/* ---- refusals ---- */

static void
test_refusals(void **state)
{
	static const char *const nfd = "e\xcc\x81";
	struct desk d;
	struct lt_write w, two[3];
	Ltpb__FieldSet *fs;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "zz", "x"), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_UNKNOWN_FIELD);
	assert_string_equal(w.violation.field, "zz");
	w.collection = "nothing";
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION);
	w = thing(&d, 1, fs_int(A(&d), "a", 3), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_WRONG_TYPE);
	w = thing(&d, 1, fs_enum(A(&d), "e", "pink"), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_ENUM);
	w = thing(&d, 1, TEXT(&d, "f", "only the hub"), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	w = thing(&d, 1, TEXT(&d, "a", nfd), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);

	/* Unit and key may be said again, not otherwise. */
	w = thing(&d, 1, TEXT(&d, "commune_code", WORLD_UNIT), fs_int(A(&d), "no", 1), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	w = thing(&d, 2, TEXT(&d, "commune_code", "16906"), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_UNIT_FIELD);
	w = thing(&d, 2, fs_int(A(&d), "no", 3), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	w = thing(&d, 2, fs_int(A(&d), "no", 2), NULL);
	w.key = "16906/2";
	assert_int_equal(put(&d, &w), LT_E_REFUSED);

	/* The key built from its fields. */
	w = thing(&d, 0, fs_int(A(&d), "no", 9), TEXT(&d, "a", "x"), NULL);
	w.key = NULL;
	assert_int_equal(put(&d, &w), LT_OK);
	assert_string_equal(w.key_out, WORLD_UNIT "/9");
	w = thing(&d, 0, TEXT(&d, "a", "x"), NULL);
	w.key = "";
	assert_int_equal(put(&d, &w), LT_E_REFUSED);

	/* A row that breaks the format is refused alone; the good ones go. */
	fs = TEXT(&d, "a", "x");
	two[0] = thing(&d, 20, TEXT(&d, "a", "good"), NULL);
	two[1] = thing(&d, 21, fs, fs, NULL);
	two[2] = thing(&d, 22, TEXT(&d, "a", "good"), NULL);
	write_all(&d, two, 3);
	assert_int_equal(two[0].rc, LT_OK);
	assert_int_equal(two[1].rc, LT_E_REFUSED);
	assert_int_equal(two[1].violation.reason, LTPB__REASON_CODE__REASON_MALFORMED);
	assert_int_equal(two[2].rc, LT_OK);
	assert_int_equal(d.nmade, 1);
	assert_int_equal(d.made[0].nchange, 2);
	assert_null(shown(&d, "thing", WORLD_UNIT "/21"));

	/* No catalogue yet: its version has no collection. */
	lt_catalogue_unref(d.cat);
	ok(lt_catalogue_builtin(&d.cat));
	w = thing(&d, 30, TEXT(&d, "a", "x"), NULL);
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION);
	assert_int_equal(d.nmade, 0);
	desk_close(&d);
}

static struct lt_write
site(struct desk *d, const char *no, const char *warning)
{
	struct lt_write w = thing(d, 0, TEXT(d, "place", "Bản Xằng"), NULL);

	w.collection = "landslide_site";
	w.key = no;
	w.set[w.nset++] = fs_enum(A(d), "kind", "sat_lo_dat");
	w.set[w.nset++] = fs_int(A(d), "households_at_risk", 4);
	if (warning != NULL)
		w.set[w.nset++] = fs_enum(A(d), "warning", warning);
	return w;
}

static struct lt_write
member(struct desk *d, const char *key)
{
	struct lt_write w = thing(d, 0, TEXT(d, "full_name", "Lô Thị Mẫu"), NULL);

	w.collection = "household_member";
	w.key = key;
	w.set[w.nset] = TEXT(d, "active", "");
	w.set[w.nset]->value->v_case = LTPB__VALUE__V_BOOLEAN;
	w.set[w.nset++]->value->boolean = true;
	return w;
}

static struct lt_write
dossier(struct desk *d, const char *status)
{
	struct lt_write w = thing(d, 0, fs_enum(A(d), "status", status), NULL);
	struct lt_err err;
	Ltpb__FieldSet *fs;

	w.collection = "dossier";
	w.key = "H41.65-261120-0001";
	w.set[w.nset++] = TEXT(d, "procedure_code", "1.012784");
	w.set[w.nset++] = TEXT(d, "procedure_name", "Đăng ký khai sinh");
	w.set[w.nset++] = fs_enum(A(d), "field_area", "ho_tich");
	w.set[w.nset++] = fs_enum(A(d), "authority_level", "xa");
	w.set[w.nset++] = fs_enum(A(d), "submit_channel", "truc_tiep");
	w.set[w.nset++] = TEXT(d, "applicant_name", "Vi Văn Mẫu");
	fs = TEXT(d, "received_at", "");
	ok(lt_value_parse(LT_TYPE_TIMESTAMP, 0, lt_slice_str("2026-11-20T02:00:00.000Z"), A(d),
	    &fs->value, &err));
	w.set[w.nset++] = fs;
	fs = TEXT(d, "due_date", "");
	ok(lt_value_parse(LT_TYPE_DATE, 0, lt_slice_str("2026-11-25"), A(d), &fs->value, &err));
	w.set[w.nset++] = fs;
	return w;
}

static void
test_required_and_transitions(void **state)
{
	struct desk d;
	struct lt_write w;
	char *status[] = { (char *)"procedure_name" };

	(void)state;
	desk_open(&d, real_catalogue());
	w = dossier(&d, "tiep_nhan");
	w.nset -= 2;
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_REQUIRED);
	assert_int_equal(d.nmade, 0);
	w = dossier(&d, "tiep_nhan");
	assert_int_equal(put(&d, &w), LT_OK);
	w = dossier(&d, "da_giai_quyet");
	assert_int_equal(put(&d, &w), LT_OK);
	w = dossier(&d, "tiep_nhan"); /* not a way back */
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_TRANSITION);
	w = thing(&d, 0, NULL);
	w.collection = "dossier";
	w.key = "H41.65-261120-0001";
	w.clear = status;
	w.nclear = 1;
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_REQUIRED);
	desk_close(&d);
}

/* ---- personal data ---- */

static bool
holds(struct lt_slice hay, const char *needle)
{
	return memmem(hay.data, hay.len, needle, strlen(needle)) != NULL;
}

static void
test_personal(void **state)
{
	struct desk d;
	struct lt_write w;
	struct lt_kv_txn *txn;
	struct lt_entry e;
	const struct lt_changeset *cs = &d.made[0];
	size_t i;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "a", "in the open"), TEXT(&d, "p", "Lo Van Kin"),
	    TEXT(&d, "q", "Thai Kin"), NULL);
	w.actor = "canbo-kin";
	assert_int_equal(put(&d, &w), LT_OK);
	assert_int_equal(cs->change[0].nset, 1);
	assert_int_equal(cs->change[0].npersonal, 3);
	assert_int_equal(cs->nopening, 3);
	assert_string_equal(cs->opening[0].name, "_actor");
	assert_string_equal(cs->opening[0].field.pb->value->text, "canbo-kin");
	assert_string_equal(cs->opening[1].field.pb->value->text, "Lo Van Kin");
	ok(lt_changeset_verify_openings(cs, NULL));
	/* What is signed and kept has none of it. */
	ok(lt_kv_begin_read(d.env.kv, &txn));
	ok(lt_feed_log_read(txn, 1, &e));
	assert_true(holds(e.changeset, "in the open"));
	assert_false(holds(e.changeset, "Kin"));
	assert_false(holds(e.changeset, "kin"));
	lt_kv_abort(txn);
	/* Stood there already: read back through the opening. */
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged);
	/* A delete carries the actor and nothing else. */
	w = thing(&d, 1, NULL);
	w.is_delete = true;
	w.actor = "canbo-kin";
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(cs->change[0].is_delete);
	assert_int_equal(cs->change[0].npersonal, 1);
	for (i = 0; i < cs->nopening; i++)
		assert_string_equal(cs->opening[i].name, "_actor");
	/* Nobody named: no leaf. */
	w = thing(&d, 2, TEXT(&d, "a", "x"), NULL);
	w.actor = "";
	assert_int_equal(put(&d, &w), LT_OK);
	assert_int_equal(cs->change[0].npersonal, 0);
	desk_close(&d);
}

/* ---- sets ---- */

static void
test_set_deltas(void **state)
{
	static const char *const ab[] = { "a", "b", NULL }, *const bc[] = { "b", "c", NULL };
	struct desk d;
	struct lt_write w;
	const Ltpb__FieldSet *fs;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, fs_set(A(&d), "d", ab), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	fs = d.made[0].change[0].set[0].pb;
	assert_int_equal(fs->n_added, 2);
	assert_int_equal(fs->n_removed, 0);
	w = thing(&d, 1, fs_set(A(&d), "d", bc), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	fs = d.made[0].change[0].set[0].pb;
	assert_int_equal(fs->value->set->n_item, 2);
	assert_int_equal(fs->n_added, 1);
	assert_string_equal(fs->added[0], "c");
	assert_int_equal(fs->n_removed, 1);
	assert_string_equal(fs->removed[0], "a");
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged);
	desk_close(&d);
}

/* ---- others write too ---- */

/* Two wrote at once; a person's word covers both, whichever it was: the value shown included. */
static void
test_conflict(void **state)
{
	struct desk d;
	struct author b, c;
	struct feed fb, fc;
	struct lt_draft draft;
	struct lt_write w;
	Ltpb__Record *r;
	const struct lt_change *ch;

	(void)state;
	desk_open(&d, world_catalogue());
	author_init(&b, 0x22);
	author_init(&c, 0x33);
	feed_init(&fb, &b, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&fc, &c, WORLD_UNIT, LT_LANE_NORMAL, 1);
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", fs_enum(A(&d), "e", "red"), NULL);
	others(&d, &fb, &draft, LT_STAMP(FLOOR + 1, 0));
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", fs_enum(A(&d), "e", "blue"), NULL);
	others(&d, &fc, &draft, LT_STAMP(FLOOR + 2, 0));
	r = shown(&d, "thing", WORLD_UNIT "/1");
	assert_int_equal(r->n_conflict, 1);
	w = thing(&d, 1, fs_enum(A(&d), "e", "red"), NULL); /* what is shown already */
	assert_int_equal(put(&d, &w), LT_OK);
	assert_false(w.unchanged);
	ch = &d.made[0].change[0];
	assert_int_equal(ch->ncontext, 2);
	assert_memory_equal(ch->context[0].feed.b, fb.id.b, LT_FEED_LEN);
	assert_memory_equal(ch->context[1].feed.b, fc.id.b, LT_FEED_LEN);
	assert_int_equal(ch->context[0].seq, 1);
	assert_int_equal(ch->context[0].hash8, lt_load_u64(fb.hash.b));
	r = shown(&d, "thing", WORLD_UNIT "/1");
	assert_int_equal(r->n_conflict, 0);
	assert_string_equal(value_of(r, "e")->enumeration, "red");
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged);
	/* The own feed is never in the context: it is covered by itself. */
	w = thing(&d, 1, fs_enum(A(&d), "e", "green"), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_int_equal(d.made[0].change[0].ncontext, 2);
	desk_close(&d);
}

/* One cleared it, another set it: the clear is shown (it came first), so nothing is, and a person may settle it so. */
static void
test_conflict_cleared(void **state)
{
	struct desk d;
	struct author b, c;
	struct feed fb, fc;
	struct lt_draft draft;
	struct lt_write w;
	char *e[] = { (char *)"e" };

	(void)state;
	desk_open(&d, world_catalogue());
	author_init(&b, 0x22);
	author_init(&c, 0x33);
	feed_init(&fb, &b, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&fc, &c, WORLD_UNIT, LT_LANE_NORMAL, 1);
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", NULL);
	draft.cleared = e;
	draft.ncleared = 1;
	others(&d, &fb, &draft, LT_STAMP(FLOOR + 1, 0));
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", fs_enum(A(&d), "e", "blue"), NULL);
	others(&d, &fc, &draft, LT_STAMP(FLOOR + 2, 0));
	assert_null(value_of(shown(&d, "thing", WORLD_UNIT "/1"), "e"));
	w = thing(&d, 1, NULL);
	w.clear = e;
	w.nclear = 1;
	assert_int_equal(put(&d, &w), LT_OK);
	assert_false(w.unchanged);
	assert_int_equal(d.made[0].change[0].ncontext, 2);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_true(w.unchanged); /* settled */
	desk_close(&d);
}

/* An edit that survived a delete is flagged; writing the record again, though nothing differs, says that it stays. */
static void
test_incomplete(void **state)
{
	struct desk d;
	struct author b, c;
	struct feed fb, fc;
	struct lt_draft draft;
	struct lt_write w;

	(void)state;
	desk_open(&d, world_catalogue());
	author_init(&b, 0x22);
	author_init(&c, 0x33);
	feed_init(&fb, &b, WORLD_UNIT, LT_LANE_NORMAL, 1);
	feed_init(&fc, &c, WORLD_UNIT, LT_LANE_NORMAL, 1);
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", TEXT(&d, "a", "x"), NULL);
	others(&d, &fb, &draft, LT_STAMP(FLOOR + 1, 0));
	draft = world_draft(A(&d), "thing", WORLD_UNIT "/1", NULL);
	draft.is_delete = true;
	others(&d, &fc, &draft, LT_STAMP(FLOOR + 2, 0));
	assert_true(shown(&d, "thing", WORLD_UNIT "/1")->incomplete);
	w = thing(&d, 1, TEXT(&d, "a", "x"), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	assert_false(w.unchanged);
	assert_false(shown(&d, "thing", WORLD_UNIT "/1")->incomplete);
	desk_close(&d);
}

/* A record that grew over the limit because two wrote at once: nothing is added to it, but it can be deleted. */
static void
test_overgrown(void **state)
{
	struct desk d;
	struct author who;
	struct feed f;
	struct lt_write w;
	char *big;
	unsigned n;

	(void)state;
	desk_open(&d, world_catalogue());
	big = lt_arena_alloc(A(&d), 60001); /* signed by others: what they may is not asked here */
	memset(big, 'x', 60000);
	for (n = 0; n < 10; n++) {
		struct lt_draft draft =
		    world_draft(A(&d), "thing", WORLD_UNIT "/1", TEXT(&d, "a", big), NULL);

		author_init(&who, (uint8_t)(0x20 + n));
		feed_init(&f, &who, WORLD_UNIT, LT_LANE_NORMAL, 1);
		others(&d, &f, &draft, LT_STAMP(FLOOR + n, 0));
	}
	w = thing(&d, 1, fs_int(A(&d), "b", 5), NULL);
	assert_int_equal(put(&d, &w), LT_E_TOOBIG);
	assert_int_equal(d.nmade, 0);
	w = thing(&d, 1, NULL);
	w.is_delete = true;
	assert_int_equal(put(&d, &w), LT_OK);
	assert_null(shown(&d, "thing", WORLD_UNIT "/1"));
	desk_close(&d);
}

/* ---- many at once ---- */

static void
test_groups(void **state)
{
	struct desk d;
	struct lt_write *w;
	size_t i;

	(void)state;
	desk_open(&d, world_catalogue());
	w = lt_arena_alloc(A(&d), 513 * sizeof(*w));
	for (i = 0; i < 513; i++)
		w[i] = thing(&d, (int)i, TEXT(&d, "a", "x"), NULL);
	write_all(&d, w, 513);
	assert_int_equal(d.nmade, 3);
	assert_int_equal(d.made[0].nchange, 256);
	assert_int_equal(d.made[1].nchange, 256);
	assert_int_equal(d.made[2].nchange, 1);
	assert_int_equal(w[255].dot.seq, 1);
	assert_int_equal(w[255].dot.index, 255);
	assert_int_equal(w[256].dot.seq, 2);
	assert_int_equal(w[256].dot.index, 0);
	assert_memory_equal(d.made[1].prev.b, d.made[0].hash.b, LT_HASH_LEN);
	assert_true(d.made[1].stamp > d.made[0].stamp);
	write_all(&d, w, 513);
	assert_int_equal(d.nmade, 0);

	desk_close(&d);
}

/* By bytes: no more than 192 KiB of changes, each counted as if it were sealed alone. */
static void
test_groups_by_bytes(void **state)
{
	struct desk d;
	struct lt_write w[100];
	char *text;
	size_t i, n = 0;

	(void)state;
	desk_open(&d, real_catalogue());
	text = lt_arena_alloc(A(&d), 8001);
	memset(text, 'y', 8000);
	for (i = 0; i < 100; i++) {
		char *key = lt_arena_alloc(A(&d), 64);

		(void)snprintf(key, 64, "KN-" WORLD_UNIT "-20260101-%02zu", i + 1);
		w[i] = thing(&d, 0, TEXT(&d, "province_code", WORLD_PROVINCE),
		    TEXT(&d, "text", text), fs_enum(A(&d), "status", "draft"),
		    fs_enum(A(&d), "submitter_kind", "commune"), NULL);
		w[i].set[w[i].nset++] = fs_set(
		    A(&d), "submitted_by", (const char *const[]){ "ubnd_xa_" WORLD_UNIT, NULL });
		w[i].collection = "proposal";
		w[i].key = key;
	}
	write_all(&d, w, 100);
	for (i = 0; i < 100; i++)
		if (w[i].rc != LT_OK)
			fail_msg("%s %s", w[i].key, w[i].violation.message);
	assert_true(d.nmade > 4 && d.nmade < 8); /* 100 times a little over 8,000 bytes */
	for (i = 0; i < d.nmade; i++) {
		assert_true(d.made[i].raw.len <= 192 * 1024);
		n += d.made[i].nchange;
	}
	assert_int_equal(n, 100);
	desk_close(&d);
}

static void
test_one_record_twice(void **state)
{
	struct desk d;
	struct lt_write w[3];

	(void)state;
	desk_open(&d, world_catalogue());
	w[0] = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	w[1] = thing(&d, 1, TEXT(&d, "a", "two"), fs_int(A(&d), "b", 1), NULL);
	w[2] = thing(&d, 1, TEXT(&d, "a", "two"), NULL);
	write_all(&d, w, 3);
	assert_true(w[0].created);
	assert_true(!w[1].created && !w[1].unchanged);
	assert_true(w[2].unchanged);
	assert_int_equal(d.nmade, 2); /* the second looks at what the first left */
	assert_string_equal(value_of(shown(&d, "thing", WORLD_UNIT "/1"), "a")->text, "two");
	desk_close(&d);
}

static void
test_lanes(void **state)
{
	struct desk d;
	struct lt_write w[3];
	size_t i;

	(void)state;
	desk_open(&d, real_catalogue());
	w[0] = member(&d, WORLD_UNIT "/HN00975/3");
	w[1] = dossier(&d, "tiep_nhan");
	w[2] = site(&d, WORLD_UNIT "/SL002", "binh_thuong");
	write_all(&d, w, 3);
	for (i = 0; i < 3; i++)
		if (w[i].rc != LT_OK)
			fail_msg("%s %s", w[i].collection, w[i].violation.message);
	assert_int_equal(d.nmade, 3);
	assert_int_equal(lt_feed_lane(&w[0].dot.feed), LT_LANE_BULK);
	assert_int_equal(lt_feed_lane(&w[1].dot.feed), LT_LANE_NORMAL);
	assert_int_equal(lt_feed_lane(&w[2].dot.feed), LT_LANE_URGENT);
	for (i = 0; i < 3; i++)
		assert_int_equal(d.made[i].seq, 1);
	desk_close(&d);
}

/* ---- the hub ---- */

static void
test_hub(void **state)
{
	struct desk d;
	struct lt_write w;
	struct lt_kv_txn *txn;
	struct lt_feed_id feed;
	struct lt_head head;

	(void)state;
	desk_open(&d, world_catalogue());
	d.a.by_hub = true;
	w = thing(&d, 1, TEXT(&d, "f", "the hub's"), NULL);
	assert_int_equal(put(&d, &w), LT_OK);
	feed = w.dot.feed;
	w = thing(&d, 1, fs_int(A(&d), "c", 1), NULL); /* the unit's own */
	assert_int_equal(put(&d, &w), LT_E_REFUSED);
	assert_int_equal(w.violation.reason, LTPB__REASON_CODE__REASON_AUTHORITY);
	/* What the hub writes is judged as it stands. */
	ok(lt_kv_begin_read(d.env.kv, &txn));
	ok(lt_feed_log_head(txn, &d.unit, &feed, &head));
	assert_int_equal(head.seq, 1);
	assert_int_equal(head.judged, 1);
	assert_int_equal(head.effective, head.stamp);
	lt_kv_abort(txn);
	desk_close(&d);
}

/* ---- stamps ---- */

static uint64_t
stamp_at(struct desk *d, int64_t wall, int no)
{
	struct lt_write w = thing(d, no, TEXT(d, "a", "x"), NULL);

	d->wall = wall;
	assert_int_equal(put(d, &w), LT_OK);
	return d->made[0].stamp;
}

static void
test_wrong_clocks(void **state)
{
	struct desk d;
	struct lt_kv_txn *txn;
	uint64_t s, last;
	int64_t hub = FLOOR + 2 * YEAR_MS;

	(void)state;
	desk_open(&d, world_catalogue());
	last = stamp_at(&d, 0, 1); /* a dead battery says 1970: no earlier than this program */
	assert_int_equal(LT_STAMP_MS(last), FLOOR);
	s = stamp_at(&d, -5, 2);
	assert_int_equal(s, last + 1);
	ok(lt_kv_begin_write(d.env.kv, &txn));
	ok(lt_author_saw(txn, LT_STAMP(hub, 0), 0));
	ok(lt_author_saw(txn, LT_STAMP(hub - 1, 0), 0)); /* what is earlier changes nothing */
	ok(lt_kv_commit(txn));
	s = stamp_at(&d, 0, 3); /* no earlier than the hub's last word */
	assert_int_equal(LT_STAMP_MS(s), hub);
	assert_int_equal(d.made[0].hub_stamp, LT_STAMP(hub, 0));
	s = stamp_at(&d, hub + 1000, 4);
	assert_int_equal(s, LT_STAMP(hub + 1000, 0));
	last = s;
	s = stamp_at(&d, hub + 10, 5); /* jumped back */
	assert_int_equal(s, last + 1);
	s = stamp_at(&d, hub + 60 * YEAR_MS, 6); /* years ahead */
	assert_int_equal(LT_STAMP_MS(s), hub + 60 * YEAR_MS);
	last = s;
	s = stamp_at(&d, hub + 2000, 7); /* and set right: it never falls */
	assert_int_equal(s, last + 1);
	ok(lt_kv_begin_write(d.env.kv, &txn));
	ok(lt_author_saw(txn, 0, LT_STAMP(hub + 61 * YEAR_MS, 3))); /* what others wrote */
	ok(lt_kv_commit(txn));
	s = stamp_at(&d, hub + 2000, 8);
	assert_int_equal(s, LT_STAMP(hub + 61 * YEAR_MS, 4));
	desk_close(&d);
}

/* ---- epochs ---- */

static void
test_epochs(void **state)
{
	struct desk d;
	struct lt_write w;
	struct lt_feed_id first, second;
	struct lt_hash h;
	struct lt_kv_txn *txn;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	put(&d, &w);
	assert_int_equal(d.made[0].nearlier, 0);
	w = thing(&d, 1, TEXT(&d, "a", "two"), NULL);
	put(&d, &w);
	first = w.dot.feed;
	h = d.made[0].hash;
	ok(lt_kv_begin_write(d.env.kv, &txn));
	ok(lt_author_end_epoch(txn, &d.unit, LT_LANE_URGENT)); /* another lane */
	ok(lt_author_feed(txn, &d.a, &d.unit, LT_LANE_NORMAL, &second));
	assert_memory_equal(first.b, second.b, LT_FEED_LEN);
	ok(lt_author_end_epoch(txn, &d.unit, LT_LANE_NORMAL));
	ok(lt_author_feed(txn, &d.a, &d.unit, LT_LANE_NORMAL, &second));
	ok(lt_kv_commit(txn));
	assert_memory_not_equal(first.b, second.b, LT_FEED_LEN);
	w = thing(&d, 1, TEXT(&d, "a", "three"), NULL);
	put(&d, &w);
	assert_memory_equal(w.dot.feed.b, second.b, LT_FEED_LEN);
	assert_int_equal(w.dot.seq, 1);
	assert_int_equal(d.made[0].nearlier, 1);
	assert_int_equal(d.made[0].earlier[0]->seq, 2);
	assert_memory_equal(d.made[0].earlier[0]->feed.data, first.b, LT_FEED_LEN);
	assert_memory_equal(d.made[0].earlier[0]->hash.data, h.b, LT_HASH_LEN);
	/* The own earlier epoch is another feed: the context names it. */
	assert_int_equal(d.made[0].change[0].ncontext, 1);
	assert_memory_equal(d.made[0].change[0].context[0].feed.b, first.b, LT_FEED_LEN);
	assert_int_equal(d.made[0].change[0].context[0].seq, 2);
	assert_string_equal(value_of(shown(&d, "thing", WORLD_UNIT "/1"), "a")->text, "three");
	w = thing(&d, 2, TEXT(&d, "a", "x"), NULL);
	put(&d, &w);
	assert_int_equal(d.made[0].nearlier, 0); /* only the first says it */
	desk_close(&d);
}

/* An author has 700 feeds in a unit (FORMAT.md 3.7), and then makes no more; a hub's go on. */
static void
test_last_epoch(void **state)
{
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct lt_write w;
	struct desk d;
	int i;

	(void)state;
	desk_open(&d, world_catalogue());
	for (i = 1; i <= 700; i++) {
		w = thing(&d, i, TEXT(&d, "a", "x"), NULL);
		put(&d, &w);
		assert_int_equal(w.dot.seq, 1);
		ok(lt_kv_begin_write(d.env.kv, &txn));
		if (i < 700)
			ok(lt_author_end_epoch(txn, &d.unit, LT_LANE_NORMAL));
		assert_int_equal(lt_author_may_begin(txn, &d.unit, &d.a.id, &err),
		    i < 700 ? LT_OK : LT_E_REFUSED);
		ok(lt_kv_commit(txn));
	}
	assert_non_null(strstr(err.text, "keys replace"));
	w = thing(&d, 701, TEXT(&d, "a", "x"), NULL);
	put(&d, &w); /* the last one goes on */
	assert_int_equal(w.dot.seq, 2);
	ok(lt_kv_begin_write(d.env.kv, &txn));
	ok(lt_author_end_epoch(txn, &d.unit, LT_LANE_NORMAL));
	w = thing(&d, 702, TEXT(&d, "a", "x"), NULL);
	assert_int_equal(
	    lt_author_write(txn, txn, &d.a, d.cat, &d.unit, &w, 1, &d.arena, NULL, NULL, &err),
	    LT_E_REFUSED);
	lt_kv_abort(txn);
	d.a.by_hub = true;
	ok(lt_kv_begin_write(d.env.kv, &txn));
	ok(lt_author_end_epoch(txn, &d.unit, LT_LANE_NORMAL));
	ok(lt_kv_commit(txn));
	w = thing(&d, 702, TEXT(&d, "a", "x"), NULL);
	put(&d, &w);
	assert_int_equal(w.dot.seq, 1);
	desk_close(&d);
}

/* ---- request ids ---- */

static void
test_requests(void **state)
{
	static const uint8_t id[16] = "one request id.", other[16] = "and another id.";
	struct desk d;
	struct lt_write w, again;
	struct lt_kv_txn *txn;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	put(&d, &w);
	ok(lt_kv_begin_write(d.env.kv, &txn));
	assert_int_equal(lt_request_recall(txn, id, &again, A(&d), NULL), LT_E_NOTFOUND);
	ok(lt_request_remember(txn, id, &d.unit, &w, 1));
	w.rc = LT_E_REFUSED;
	ok(lt_request_remember(txn, other, &d.unit, &w, 1)); /* what failed may be tried again */
	ok(lt_kv_commit(txn));
	memset(&again, 0xee, sizeof(again));
	ok(lt_kv_begin_read(d.env.kv, &txn));
	ok(lt_request_recall(txn, id, &again, A(&d), NULL));
	assert_int_equal(again.rc, LT_OK);
	assert_string_equal(again.key_out, w.key_out);
	assert_memory_equal(&again.dot, &w.dot, sizeof(w.dot));
	assert_false(again.unchanged);
	assert_int_equal(lt_request_recall(txn, other, &again, A(&d), NULL), LT_E_NOTFOUND);
	lt_kv_abort(txn);
	desk_close(&d);
}

static void
id_of(uint8_t id[16], uint64_t n)
{
	memset(id, 0x77, 16);
	lt_store_u64(id, n);
}

static int
recalls(struct lt_kv_txn *txn, uint64_t n)
{
	struct lt_write again;
	struct lt_arena a;
	uint8_t id[16];
	int rc;

	id_of(id, n);
	lt_arena_init(&a, 1 << 16);
	rc = lt_request_recall(txn, id, &again, &a, NULL);
	lt_arena_fini(&a);
	return rc;
}

static void
remember(struct desk *d, struct lt_kv_txn *txn, uint64_t n, int64_t now_ms)
{
	struct lt_write w = { .rc = LT_OK, .unchanged = true };
	uint8_t id[16];

	id_of(id, n);
	ok(lt_request_remember(txn, id, &d->unit, &w, now_ms));
}

static uint64_t
rows_of(struct lt_kv_txn *txn, unsigned table)
{
	uint64_t n;

	ok(lt_kv_count(txn, table, &n));
	return n;
}

/* Kept for 30 days to the millisecond, and gone with the next one after that; both rows of it. */
static void
test_requests_expire_by_age(void **state)
{
	const int64_t t0 = INT64_C(1795305600000);
	struct lt_kv_txn *txn;
	struct desk d;
	uint64_t i;

	(void)state;
	desk_open(&d, world_catalogue());
	ok(lt_kv_begin_write(d.env.kv, &txn));
	remember(&d, txn, 1, t0);
	remember(&d, txn, 2, t0 + 1);
	remember(&d, txn, 3, t0 + LT_REQUEST_KEEP_MS);
	ok(recalls(txn, 1));
	remember(&d, txn, 4, t0 + LT_REQUEST_KEEP_MS + 1);
	assert_int_equal(recalls(txn, 1), LT_E_NOTFOUND);
	ok(recalls(txn, 2));
	assert_int_equal(rows_of(txn, LT_T_REQUEST), 3);
	assert_int_equal(rows_of(txn, LT_T_REQUEST_AT), 3);
	/* A clock set back: what comes now is not the oldest, once a stamp was given or seen. */
	ok(lt_author_saw(txn, 0, LT_STAMP(t0 + LT_REQUEST_KEEP_MS + 1, 0)));
	remember(&d, txn, 5, 5);
	remember(&d, txn, 6, t0 + LT_REQUEST_KEEP_MS + 2);
	ok(recalls(txn, 5));
	assert_int_equal(recalls(txn, 2), LT_E_NOTFOUND);
	/* After a long time all go, eight with each. */
	for (i = 0; i < 30; i++)
		remember(&d, txn, 100 + i, t0 + 2 * LT_REQUEST_KEEP_MS);
	i = rows_of(txn, LT_T_REQUEST);
	remember(&d, txn, 200, t0 + 4 * LT_REQUEST_KEEP_MS);
	assert_int_equal(rows_of(txn, LT_T_REQUEST), i + 1 - 8);
	remember(&d, txn, 201, t0 + 4 * LT_REQUEST_KEEP_MS);
	assert_int_equal(rows_of(txn, LT_T_REQUEST), i + 2 - 16);
	assert_int_equal(rows_of(txn, LT_T_REQUEST_AT), i + 2 - 16);
	ok(recalls(txn, 201));
	lt_kv_abort(txn);
	desk_close(&d);
}

/* As many as there may be, and one more: the oldest makes room. */
static void
test_requests_expire_by_count(void **state)
{
	const int64_t t0 = INT64_C(1795305600000);
	struct lt_kv_txn *txn;
	uint8_t key[24];
	struct desk d;
	uint64_t i;

	(void)state;
	desk_open(&d, world_catalogue());
	ok(lt_kv_begin_write(d.env.kv, &txn));
	remember(&d, txn, 0, t0);
	for (i = 1; i < LT_REQUESTS_MAX - 1; i++) {
		lt_store_u64(key, (uint64_t)t0 + i);
		id_of(key + 8, i);
		ok(lt_kv_append(
		    txn, LT_T_REQUEST_AT, lt_slice(key, sizeof(key)), lt_slice(NULL, 0)));
	}
	remember(&d, txn, i, t0 + (int64_t)i);
	assert_int_equal(rows_of(txn, LT_T_REQUEST_AT), LT_REQUESTS_MAX);
	ok(recalls(txn, 0));
	remember(&d, txn, i + 1, t0 + (int64_t)i + 1);
	assert_int_equal(rows_of(txn, LT_T_REQUEST_AT), LT_REQUESTS_MAX);
	assert_int_equal(recalls(txn, 0), LT_E_NOTFOUND);
	ok(recalls(txn, i));
	ok(recalls(txn, i + 1));
	lt_kv_abort(txn);
	desk_close(&d);
}

/* ---- faults ---- */

static int
fail_nth(void *ctx, uint64_t ordinal)
{
	return ordinal == *(const uint64_t *)ctx ? LT_E_IO : LT_OK;
}

/* Each store call fails once: the write says so, and everything stands as before. Run again it goes through with the results
 * of a first run. */
static void
test_faults(void **state)
{
	struct desk d;
	struct lt_write first, w[2];
	struct lt_buf before, after;
	uint64_t n;
	int rc = LT_E_IO;
	unsigned failed = 0;

	(void)state;
	for (n = 1; rc != LT_OK; n++) {
		assert_true(n < 200);
		desk_open(&d, world_catalogue());
		lt_buf_init(&before, 0);
		lt_buf_init(&after, 0);
		first = thing(&d, 1, TEXT(&d, "a", "one"), TEXT(&d, "p", "Lo Van Kin"), NULL);
		put(&d, &first);
		w[0] = thing(&d, 1, TEXT(&d, "a", "two"), NULL);
		w[1] = thing(&d, 2, TEXT(&d, "p", "Vi Van Mau"), NULL);
		env_dump_all(d.env.kv, &before);
		lt_kv_set_fault(d.env.kv, fail_nth, &n);
		rc = try_write(&d, w, 2);
		lt_kv_set_fault(d.env.kv, NULL, NULL);
		if (rc != LT_OK) {
			assert_int_equal(rc, LT_E_IO);
			failed++;
			env_dump_all(d.env.kv, &after);
			assert_int_equal(before.len, after.len);
			assert_memory_equal(before.data, after.data, before.len);
		} else {
			assert_true(!w[0].created && w[1].created);
			assert_int_equal(w[0].dot.seq, 2);
			assert_int_equal(w[1].dot.seq, 2);
			assert_int_equal(w[1].dot.index, 1);
		}
		lt_buf_fini(&before);
		lt_buf_fini(&after);
		desk_close(&d);
	}
	assert_true(failed > 10);
}

/* The same after the caller's own work failed, and in a transaction run again. */
static void
test_run_again(void **state)
{
	struct desk d;
	struct lt_write w;

	(void)state;
	desk_open(&d, world_catalogue());
	w = thing(&d, 1, TEXT(&d, "a", "one"), NULL);
	d.project_rc = LT_E_NOSPACE;
	assert_int_equal(try_write(&d, &w, 1), LT_E_NOSPACE);
	assert_null(shown(&d, "thing", WORLD_UNIT "/1"));
	d.project_rc = LT_OK;
	write_all(&d, &w, 1);
	assert_int_equal(w.rc, LT_OK);
	assert_true(w.created);
	assert_int_equal(w.dot.seq, 1);
	desk_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_if_revision),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_required_and_transitions),
		cmocka_unit_test(test_personal),
		cmocka_unit_test(test_set_deltas),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_conflict_cleared),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_overgrown),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_groups_by_bytes),
		cmocka_unit_test(test_one_record_twice),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_hub),
		cmocka_unit_test(test_wrong_clocks),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_last_epoch),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_requests_expire_by_age),
		cmocka_unit_test(test_requests_expire_by_count),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_run_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
