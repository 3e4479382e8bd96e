#include "tests/hub/audit_fixture.h"
#include "proto/store/audit_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int64_t
get_wall(void *ctx)
{
	return ((struct audit_world *)ctx)->wall;
}

static int64_t
get_mono(void *ctx)
{
	return ((struct audit_world *)ctx)->mono;
}

void
audit_begin(struct audit_world *w, uint64_t max_bytes, uint64_t segment_bytes)
{
	struct lt_audit_options o = { .dir = w->f.dir,
		.identity = w->f.hub_id,
		.clock = &w->clock,
		.keep_ms = 86400000,
		.max_bytes = max_bytes,
		.segment_bytes = segment_bytes };
	struct lt_err err = { "" };

	if (lt_audit_open(&o, &w->a, &err) != LT_OK)
		fail_msg("%s", err.text);
}

void
audit_stop(struct audit_world *w)
{
	lt_audit_close(w->a);
	w->a = NULL;
}

int
audit_setup(void **state)
{
	struct audit_world *w = calloc(1, sizeof(*w));

	w->wall = INT64_C(1790000000000);
	w->mono = 1000;
	w->clock = (struct lt_clock){ get_wall, get_mono, w };
	fed_found(&w->f, &w->clock);
	*state = w;
	return 0;
}

int
audit_teardown(void **state)
{
	struct audit_world *w = *state;

	lt_audit_close(w->a);
	fed_remove(&w->f);
	free(w);
	return 0;
}

void
audit_note(
    struct audit_world *w, enum lt_audit_kind kind, uint8_t who, const char *unit, uint32_t rows)
{
	static const char *const dossier[] = { "dossier" };
	struct lt_audit_who asker = { .kind = LT_AUDIT_PRINCIPAL };
	struct lt_audit_share share = {
		.unit = unit, .rows = rows, .collection = dossier, .ncollection = 1
	};
	struct lt_audit_event e = { .kind = kind,
		.who = &asker,
		.method = "/lienthong.v1.Query/Get",
		.status = kind == LT_AUDIT_DENIED ? 7 : 0,
		.query = lt_slice("nguyen van a", kind == LT_AUDIT_DENIED ? 0 : 12),
		.share = &share,
		.nshare = 1 };

	asker.id.b[0] = who;
	lt_audit_note(w->a, &e);
}

bool
audit_second(struct audit_world *w, const char *more)
{
	char cmd[1024], key[65];
	size_t n;
	FILE *p;

	lt_hex(key, w->f.hub_id->root_key, 32);
	(void)snprintf(cmd, sizeof(cmd),
	    LT_PYTHON " " LT_SOURCE_DIR "/tests/hub/verify_audit.py log '%s' %s %s 2>&1", w->f.dir,
	    key, more);
	p = popen(cmd, "r");
	assert_non_null(p);
	n = fread(w->said, 1, sizeof(w->said) - 1, p);
	w->said[n] = '\0';
	return pclose(p) == 0;
}

int
audit_first(struct audit_world *w, struct lt_audit_report *r, struct lt_err *err)
{
	struct lt_audit_seen seen;
	struct lt_audit_dir d;
	bool have = lt_audit_witness_read(w->f.dir, &seen, NULL) == LT_OK;

	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, err), LT_OK);
	err->text[0] = '\0';
	return lt_audit_dir_verify(
	    &d, w->f.hub_id->root_key, have ? &seen : NULL, NULL, NULL, r, err);
}

void
audit_good(struct audit_world *w, uint64_t entries, uint32_t logs)
{
	struct lt_audit_report r;
	struct lt_err err;

	if (audit_first(w, &r, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(r.entries, entries);
	assert_int_equal(r.logs, logs);
	if (!audit_second(w, ""))
		fail_msg("%s", w->said);
}

void
audit_path(struct audit_world *w, unsigned n, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s/audit/%010u", w->f.dir, n);
}

void
audit_put_file(const char *path, struct lt_slice b)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
	assert_int_equal(fclose(f), 0);
}
