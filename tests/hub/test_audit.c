/* The read audit's log: what stands in it, what a second implementation says of it, and whatever is done to it by hand is found. */
#include "hub/audit.h"
#include "proto/base/file.h"
#include "tests/lib/federation.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	struct fed f;
	struct lt_audit *a;
	int64_t wall, mono;
	struct lt_clock clock;
	char said[1 << 19]; /* by the second implementation */
};

static int64_t
get_wall(void *ctx)
{
	return ((struct world *)ctx)->wall;
}

static int64_t
get_mono(void *ctx)
{
	return ((struct world *)ctx)->mono;
}

static void
begin(struct world *w, uint64_t max_bytes, uint64_t segment_bytes)
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

static void
stop(struct world *w)
{
	lt_audit_close(w->a);
	w->a = NULL;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->wall = INT64_C(1790000000000);
	w->mono = 1000;
	w->clock = (struct lt_clock){ get_wall, get_mono, w };
	fed_found(&w->f, &w->clock);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	lt_audit_close(w->a);
	fed_remove(&w->f);
	free(w);
	return 0;
}

static void
note(struct world *w, enum lt_audit_kind kind, uint8_t who, const char *unit, uint32_t rows)
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

/* What the second implementation says; true: it is good. */
static bool
second(struct world *w, const char *more)
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

static int
first(struct world *w, struct lt_audit_report *r, struct lt_err *err)
{
	struct lt_audit_seen seen;
	struct lt_audit_dir d;
	bool have = lt_audit_witness_read(w->f.dir, &seen, NULL) == LT_OK;

	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, err), LT_OK);
	err->text[0] = '\0';
	return lt_audit_dir_verify(
	    &d, w->f.hub_id->root_key, have ? &seen : NULL, NULL, NULL, r, err);
}

static void
good(struct world *w, uint64_t entries, uint32_t logs)
{
	struct lt_audit_report r;
	struct lt_err err;

	if (first(w, &r, &err) != LT_OK)
		fail_msg("%s", err.text);
	assert_int_equal(r.entries, entries);
	assert_int_equal(r.logs, logs);
	if (!second(w, ""))
		fail_msg("%s", w->said);
}

static void
path_of(struct world *w, unsigned n, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s/audit/%010u", w->f.dir, n);
}

/* Not synced: nobody cuts the power here. */
static void
put_file(const char *path, struct lt_slice b)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
	assert_int_equal(fclose(f), 0);
}

static void
test_what_is_noted_stands_there(void **state)
{
	struct world *w = *state;
	struct lt_audit_status st;
	struct lt_buf whole = { 0 };
	char path[512];
	struct stat s;

	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	note(w, LT_AUDIT_READ, 2, "17257", 0);
	note(w, LT_AUDIT_READ, 1, "17254", 300);
	lt_audit_status(w->a, &st);
	assert_int_equal(st.seq, 3);
	assert_false(st.stopped);
	stop(w);
	good(w, 3, 1);
	assert_non_null(strstr(w->said, "[\"17254\", 1, 1, 0, 0, [\"dossier\"]]"));
	assert_non_null(strstr(w->said, "[\"17254\", 2, 300, 0, 0, [\"dossier\"]]"));
	assert_non_null(strstr(w->said, "[\"17257\", 1, 0, 0, 0, [\"dossier\"]]"));
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	assert_null(memmem(whole.data, whole.len, "nguyen", 6));
	lt_buf_fini(&whole);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
}

/* A query that is shown leads to the commitment; another does not. */
static void
test_commitment(void **state)
{
	struct world *w = *state;
	uint8_t salt[LT_AUDIT_SALT];
	struct lt_hash h;
	char hex[65], *at;

	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	stop(w);
	assert_true(second(w, ""));
	at = strstr(w->said, "\"salt\": \"");
	assert_non_null(at);
	at[9 + 32] = '\0';
	assert_int_equal(lt_unhex(salt, sizeof(salt), at + 9), LT_OK);
	lt_audit_commit(salt, "/lienthong.v1.Query/Get", lt_slice("nguyen van a", 12), &h);
	lt_hex(hex, h.b, LT_HASH_LEN);
	assert_true(second(w, ""));
	assert_non_null(strstr(w->said, hex));
	lt_audit_commit(salt, "/lienthong.v1.Query/Get", lt_slice("nguyen van b", 12), &h);
	lt_hex(hex, h.b, LT_HASH_LEN);
	assert_null(strstr(w->said, hex));
}

static void
test_denials_alike_are_counted(void **state)
{
	struct world *w = *state;
	unsigned i;

	begin(w, UINT64_C(1) << 30, 0);
	for (i = 0; i < 1000; i++)
		note(w, LT_AUDIT_DENIED, 1, "17254", 0);
	note(w, LT_AUDIT_DENIED, 2, "17254", 0);
	note(w, LT_AUDIT_DENIED, 1, "17257", 0);
	stop(w);
	/* The first of each kind at once, and the others of the first in one. */
	good(w, 4, 1);
	assert_non_null(strstr(w->said, "\"count\": 999"));
}

/* More kinds of denials than there are places: none is lost. */
static void
test_denials_of_many_kinds(void **state)
{
	struct world *w = *state;
	unsigned i, k;
	char unit[8];

	begin(w, UINT64_C(1) << 30, 0);
	for (k = 0; k < 2; k++)
		for (i = 0; i < 300; i++) {
			(void)snprintf(unit, sizeof(unit), "%05u", 10000 + i);
			note(w, LT_AUDIT_DENIED, 1, unit, 0);
			w->mono++;
		}
	stop(w);
	good(w, 600, 1);
}

static void
test_goes_on_after_a_stop(void **state)
{
	struct world *w = *state;
	unsigned i;

	for (i = 0; i < 3; i++) {
		begin(w, UINT64_C(1) << 30, 0);
		note(w, LT_AUDIT_READ, 1, "17254", i);
		stop(w);
	}
	good(w, 3, 1);
	assert_non_null(strstr(w->said, "[\"17254\", 3, 2, 0, 0"));
}

/* Cut at every byte of the last entry: what stands before it holds, the next start says that something was cut. */
static void
test_torn_end(void **state)
{
	struct world *w = *state;
	struct lt_buf whole = { 0 };
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	size_t before, cut;

	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	stop(w);
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	before = whole.len;
	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 2);
	stop(w);
	lt_buf_clear(&whole);
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	/* As a power cut leaves it: nothing that came later was witnessed. */
	(void)snprintf(path, sizeof(path), "%s/audit.head", w->f.dir);
	assert_int_equal(unlink(path), 0);
	path_of(w, 1, path, sizeof(path));
	for (cut = before + 1; cut < whole.len; cut += 37) {
		put_file(path, lt_slice(whole.data, cut));
		assert_int_equal(first(w, &r, &err), LT_OK);
		assert_true(r.torn != 0 || r.unsigned_entries == 1 || r.entries == 2);
		begin(w, UINT64_C(1) << 30, 0);
		stop(w);
		assert_int_equal(first(w, &r, &err), LT_OK);
		assert_int_equal(r.torn, 0);
		assert_int_equal(r.unsigned_entries, 0);
		assert_true(r.gaps == 1 || r.entries == 2);
		(void)snprintf(path, sizeof(path), "%s/audit.head", w->f.dir);
		(void)unlink(path);
		path_of(w, 1, path, sizeof(path));
	}
	lt_buf_fini(&whole);
}

/* Any one bit that is not behind the last head: found by both. */
static void
test_every_byte_counts(void **state)
{
	struct world *w = *state;
	struct lt_buf whole = { 0 };
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	unsigned seconds = 0;
	size_t i;

	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	note(w, LT_AUDIT_DENIED, 1, "17257", 0);
	stop(w);
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	for (i = 0; i < whole.len; i++) {
		whole.data[i] ^= (uint8_t)(1u << i % 8);
		put_file(path, lt_buf_slice(&whole));
		if (first(w, &r, &err) == LT_OK)
			fail_msg("byte %zu of %zu: not found", i, whole.len);
		assert_true(err.text[0] != '\0');
		/* A process each time: here and there. */
		if (i % 251 == 0 && second(w, ""))
			seconds += r.torn == 0;
		whole.data[i] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(seconds, 0);
	lt_buf_fini(&whole);
}

struct frames {
	struct lt_slice at[64];
	size_t n;
	const uint8_t *from;
};

static int
take_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct frames *f = ctx;

	(void)type;
	f->at[f->n++] = lt_slice(payload.data - 5, payload.len + 13);
	return LT_OK;
}

/* Whole frames left out, put twice, put in another order: each frame's own checksum is right. */
static void
test_altered_by_frames(void **state)
{
	struct world *w = *state;
	struct lt_buf whole = { 0 }, made = { 0 };
	struct lt_audit_report r;
	struct frames f = { .n = 0 };
	struct lt_err err;
	char path[512];
	size_t good_len, i, k;

	for (i = 0; i < 3; i++) {
		begin(w, UINT64_C(1) << 30, 0);
		note(w, LT_AUDIT_READ, 1, "17254", 1);
		note(w, LT_AUDIT_READ, 1, "17257", 1);
		stop(w);
	}
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	assert_int_equal(lt_audit_frames(lt_buf_slice(&whole), take_frame, &f, &good_len), LT_OK);
	assert_int_equal(f.n, 10);
	for (i = 0; i < f.n; i++) {
		/* Left out; the end of it, too: that is what the witness is for. */
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++)
			if (k != i)
				lt_buf_put_slice(&made, f.at[k]);
		put_file(path, lt_buf_slice(&made));
		assert_int_not_equal(first(w, &r, &err), LT_OK);
		/* Twice. */
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++) {
			lt_buf_put_slice(&made, f.at[k]);
			if (k == i)
				lt_buf_put_slice(&made, f.at[k]);
		}
		put_file(path, lt_buf_slice(&made));
		if (first(w, &r, &err) == LT_OK)
			fail_msg("frame %zu twice: not found", i);
		/* Changed places with the one behind. */
		if (i + 1 == f.n)
			break;
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++)
			lt_buf_put_slice(&made, f.at[k == i ? i + 1 : k == i + 1 ? i : k]);
		put_file(path, lt_buf_slice(&made));
		assert_int_not_equal(first(w, &r, &err), LT_OK);
		assert_false(second(w, ""));
	}
	lt_buf_fini(&whole);
	lt_buf_fini(&made);
}

/* The end taken away, and the hub started: it says so, begins another log, and the first stays as it was left. */
static void
test_end_taken_away(void **state)
{
	struct world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	struct stat s;

	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	stop(w);
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(stat(path, &s), 0);
	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 2);
	stop(w);
	assert_int_equal(truncate(path, s.st_size), 0);
	assert_int_equal(first(w, &r, &err), LT_E_GAP);
	begin(w, UINT64_C(1) << 30, 0);
	note(w, LT_AUDIT_READ, 1, "17254", 3);
	stop(w);
	good(w, 3, 2);
	assert_non_null(strstr(w->said, "\"end-missing\""));
	/* All of it. */
	path_of(w, 1, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	path_of(w, 2, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(first(w, &r, &err), LT_E_GAP);
	begin(w, UINT64_C(1) << 30, 0);
	stop(w);
	good(w, 1, 1);
	assert_non_null(strstr(w->said, "\"log-lost\""));
}

/* Many files; one in the middle is missing; the oldest go when there are too many bytes and they are old enough, and no sooner. */
static void
test_files(void **state)
{
	struct world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_dir d, after;
	struct lt_audit_report r;
	struct lt_err err;
	char path[512], away[600];
	unsigned i, k;

	for (i = 0; i < 6; i++) {
		begin(w, 20000, 1500);
		for (k = 0; k < 10; k++)
			note(w, LT_AUDIT_READ, 1, k % 2 == 0 ? "17254" : "17257", 1);
		stop(w);
		w->wall += 1000;
	}
	good(w, 60, 1);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, &err), LT_OK);
	assert_true(d.last >= 4);
	path_of(w, 2, path, sizeof(path));
	(void)snprintf(away, sizeof(away), "%s/away", w->f.dir);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(first(w, &r, &err), LT_E_GAP);
	assert_int_equal(r.bad_file, 2);
	assert_false(second(w, ""));
	assert_int_equal(rename(away, path), 0);
	/* Full, and nothing old: it stops and says so; nothing is let go. */
	begin(w, 20000, 1500);
	for (k = 0; k < 100; k++)
		note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &st);
	assert_true(st.stopped);
	assert_true(st.lost > 0);
	stop(w);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &after, &err), LT_OK);
	assert_int_equal(after.first, d.first);
	/* A day later there is room, and the first thing said is what is missing. */
	w->wall += 2 * 86400000;
	begin(w, 20000, 1500);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	stop(w);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &after, &err), LT_OK);
	assert_true(after.first > d.first);
	assert_int_equal(first(w, &r, &err), LT_OK);
	assert_true(second(w, ""));
}

/* A call about so many units, from this one on. */
static void
note_many(struct world *w, unsigned from, unsigned n)
{
	struct lt_audit_who asker = { .kind = LT_AUDIT_PRINCIPAL };
	struct lt_audit_share *share = calloc(n, sizeof(*share));
	char(*code)[8] = calloc(n, sizeof(*code));
	struct lt_audit_event e = { .kind = LT_AUDIT_READ,
		.who = &asker,
		.method = "/lienthong.v1.Query/List",
		.share = share,
		.nshare = n };
	unsigned i;

	for (i = 0; i < n; i++) {
		(void)snprintf(code[i], sizeof(code[i]), "%05u", from + i);
		share[i].unit = code[i];
		share[i].rows = 1;
	}
	lt_audit_note(w->a, &e);
	free(share);
	free(code);
}

/* As many units as a log can have, one more, and far more: the log goes on, and what is too much stands under "*". */
static void
test_units_without_end(void **state)
{
	struct world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_report r;
	struct lt_err err;
	unsigned i;

	begin(w, UINT64_C(1) << 30, 0);
	for (i = 0; i < 8; i++)
		note_many(w, 10000 + 1024 * i, i == 7 ? 1023 : 1024);
	/* 8,191 units and the place for "*" are 8,192. */
	note_many(w, 30000, 1);
	note_many(w, 10000, 3);
	note_many(w, 18190, 3);
	note_many(w, 40000, 4096);
	note_many(w, 10000, 4097);
	lt_audit_status(w->a, &st);
	assert_int_equal(st.seq, 13);
	assert_int_equal(st.lost, 0);
	stop(w);
	assert_int_equal(first(w, &r, &err), LT_OK);
	assert_int_equal(r.entries, 13);
	assert_true(second(w, "| grep -o '\"\\*\", [0-9]*, [0-9]*'"));
	assert_string_equal(w->said, "\"*\", 1, 1\n\"*\", 2, 3\n\"*\", 3, 4096\n\"*\", 4, 4097\n");
	/* And after a stop, with that table in a file's start. */
	begin(w, UINT64_C(1) << 30, 1500);
	note_many(w, 50000, 2);
	stop(w);
	begin(w, UINT64_C(1) << 30, 1500);
	note_many(w, 50000, 2);
	stop(w);
	assert_int_equal(first(w, &r, &err), LT_OK);
	assert_int_equal(r.entries, 15);
	assert_int_equal(r.logs, 1);
	/* A start longer than a file should be does not make the next file due. */
	assert_true(r.files <= 3);
}

/* No byte more, and so many entries that their head is due: nobody waits for ever, and it goes on once there is room. */
static void
test_head_cannot_be_written(void **state)
{
	struct world *w = *state;
	struct rlimit was, less;
	struct lt_audit_status st, then;
	struct lt_audit_report r;
	struct lt_err err;
	uint64_t each;
	unsigned i;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	begin(w, UINT64_C(1) << 30, 0);
	lt_audit_status(w->a, &st);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &then);
	each = then.bytes - st.bytes;
	less = was;
	less.rlim_cur = (rlim_t)(st.bytes + LT_AUDIT_BATCH * each + 10);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	for (i = 0; i < LT_AUDIT_BATCH + 5; i++)
		note(w, LT_AUDIT_READ, 1, "17254", 1);
	for (i = 0; i < 20; i++) {
		(void)usleep(1000);
		lt_audit_status(w->a, &st);
		assert_true(st.lost >= 5);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &st);
	assert_int_equal(st.lost, 0);
	stop(w);
	assert_int_equal(first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.entries - r.gaps + r.missing, LT_AUDIT_BATCH + 7);
	assert_int_equal(r.torn, 0);
}

/* Who holds the hub to a head is not shown one that a power cut takes back. */
static void
test_only_synced_is_shown(void **state)
{
	struct world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_dir all, shown;
	unsigned i;

	begin(w, UINT64_C(1) << 30, 0);
	assert_true(lt_audit_files(w->a, &all));
	assert_true(lt_audit_files_synced(w->a, &shown));
	assert_int_equal(shown.last_len, all.last_len);
	for (i = 0; i < 10; i++)
		note(w, LT_AUDIT_READ, 1, "17254", 1);
	assert_true(lt_audit_files_synced(w->a, &shown));
	lt_audit_status(w->a, &st);
	/* No head yet: no byte of them. */
	if (st.head == 0)
		assert_int_equal(shown.last_len, all.last_len);
	stop(w);
	begin(w, UINT64_C(1) << 30, 0);
	assert_true(lt_audit_files(w->a, &all));
	assert_true(lt_audit_files_synced(w->a, &shown));
	assert_int_equal(shown.last_len, all.last_len);
}

/* Under load, too, a file ends where it should. */
static void
test_next_file_under_load(void **state)
{
	struct world *w = *state;
	struct lt_audit_dir d;
	struct lt_audit_report r;
	struct lt_err err;
	unsigned i;

	begin(w, UINT64_C(1) << 30, 20000);
	do {
		for (i = 0; i < 100; i++)
			note(w, LT_AUDIT_READ, 1, "17254", 1);
		assert_true(lt_audit_files(w->a, &d));
	} while (d.last < 3);
	stop(w);
	assert_int_equal(first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_noted_stands_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commitment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denials_alike_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denials_of_many_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on_after_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_byte_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_altered_by_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_units_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_synced_is_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_file_under_load, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
