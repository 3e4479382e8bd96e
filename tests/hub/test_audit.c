/* The read audit's log: what stands in it, what a second implementation says of it, and whatever is done to it by hand is found. */
#include "proto/base/file.h"
#include "tests/hub/audit_fixture.h"

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

static void
test_what_is_noted_stands_there(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_status st;
	struct lt_buf whole = { 0 };
	char path[512];
	struct stat s;

	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_note(w, LT_AUDIT_READ, 2, "17257", 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 300);
	lt_audit_status(w->a, &st);
	assert_int_equal(st.seq, 3);
	assert_false(st.stopped);
	audit_stop(w);
	audit_good(w, 3, 1);
	assert_non_null(strstr(w->said, "[\"17254\", 1, 1, 0, 0, [\"dossier\"]]"));
	assert_non_null(strstr(w->said, "[\"17254\", 2, 300, 0, 0, [\"dossier\"]]"));
	assert_non_null(strstr(w->said, "[\"17257\", 1, 0, 0, 0, [\"dossier\"]]"));
	audit_path(w, 1, path, sizeof(path));
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
	struct audit_world *w = *state;
	uint8_t salt[LT_AUDIT_SALT];
	struct lt_hash h;
	char hex[65], *at;

	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_stop(w);
	assert_true(audit_second(w, ""));
	at = strstr(w->said, "\"salt\": \"");
	assert_non_null(at);
	at[9 + 32] = '\0';
	assert_int_equal(lt_unhex(salt, sizeof(salt), at + 9), LT_OK);
	lt_audit_commit(salt, "/lienthong.v1.Query/Get", lt_slice("nguyen van a", 12), &h);
	lt_hex(hex, h.b, LT_HASH_LEN);
	assert_true(audit_second(w, ""));
	assert_non_null(strstr(w->said, hex));
	lt_audit_commit(salt, "/lienthong.v1.Query/Get", lt_slice("nguyen van b", 12), &h);
	lt_hex(hex, h.b, LT_HASH_LEN);
	assert_null(strstr(w->said, hex));
}

static void
test_denials_alike_are_counted(void **state)
{
	struct audit_world *w = *state;
	unsigned i;

	audit_begin(w, UINT64_C(1) << 30, 0);
	for (i = 0; i < 1000; i++)
		audit_note(w, LT_AUDIT_DENIED, 1, "17254", 0);
	audit_note(w, LT_AUDIT_DENIED, 2, "17254", 0);
	audit_note(w, LT_AUDIT_DENIED, 1, "17257", 0);
	audit_stop(w);
	/* The first of each kind at once, and the others of the first in one. */
	audit_good(w, 4, 1);
	assert_non_null(strstr(w->said, "\"count\": 999"));
}

/* More kinds of denials than there are places: none is lost. */
static void
test_denials_of_many_kinds(void **state)
{
	struct audit_world *w = *state;
	unsigned i, k;
	char unit[8];

	audit_begin(w, UINT64_C(1) << 30, 0);
	for (k = 0; k < 2; k++)
		for (i = 0; i < 300; i++) {
			(void)snprintf(unit, sizeof(unit), "%05u", 10000 + i);
			audit_note(w, LT_AUDIT_DENIED, 1, unit, 0);
			w->mono++;
		}
	audit_stop(w);
	audit_good(w, 600, 1);
}

static void
test_goes_on_after_a_stop(void **state)
{
	struct audit_world *w = *state;
	unsigned i;

	for (i = 0; i < 3; i++) {
		audit_begin(w, UINT64_C(1) << 30, 0);
		audit_note(w, LT_AUDIT_READ, 1, "17254", i);
		audit_stop(w);
	}
	audit_good(w, 3, 1);
	assert_non_null(strstr(w->said, "[\"17254\", 3, 2, 0, 0"));
}

static void
nothing_noted(struct audit_world *w)
{
	static const char *const names[] = { LT_AUDIT_WITNESS, LT_AUDIT_SYNCED };
	char path[512];
	size_t i;

	for (i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", w->f.dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
}

/* Cut at every byte of the last entry: what stands before it holds, the next start says that something was cut. */
static void
test_torn_end(void **state)
{
	struct audit_world *w = *state;
	struct lt_buf whole = { 0 };
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	size_t before, cut;

	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	before = whole.len;
	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 2);
	audit_stop(w);
	lt_buf_clear(&whole);
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	/* As a power cut leaves it: nothing that came later was witnessed, or noted as synced. */
	nothing_noted(w);
	audit_path(w, 1, path, sizeof(path));
	for (cut = before + 1; cut < whole.len; cut += 37) {
		audit_put_file(path, lt_slice(whole.data, cut));
		assert_int_equal(audit_first(w, &r, &err), LT_OK);
		assert_true(r.torn != 0 || r.unsigned_entries == 1 || r.entries == 2);
		audit_begin(w, UINT64_C(1) << 30, 0);
		audit_stop(w);
		assert_int_equal(audit_first(w, &r, &err), LT_OK);
		assert_int_equal(r.torn, 0);
		assert_int_equal(r.unsigned_entries, 0);
		assert_true(r.gaps == 1 || r.entries == 2);
		nothing_noted(w);
	}
	lt_buf_fini(&whole);
}

/* Any one bit that is not behind the last head: found by both. */
static void
test_every_byte_counts(void **state)
{
	struct audit_world *w = *state;
	struct lt_buf whole = { 0 };
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	unsigned seconds = 0;
	size_t i;

	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_note(w, LT_AUDIT_DENIED, 1, "17257", 0);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	for (i = 0; i < whole.len; i++) {
		whole.data[i] ^= (uint8_t)(1u << i % 8);
		audit_put_file(path, lt_buf_slice(&whole));
		if (audit_first(w, &r, &err) == LT_OK)
			fail_msg("byte %zu of %zu: not found", i, whole.len);
		assert_true(err.text[0] != '\0');
		/* A process each time: here and there. */
		if (i % 251 == 0 && audit_second(w, ""))
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
	struct audit_world *w = *state;
	struct lt_buf whole = { 0 }, made = { 0 };
	struct lt_audit_report r;
	struct frames f = { .n = 0 };
	struct lt_err err;
	char path[512];
	size_t good_len, i, k;

	for (i = 0; i < 3; i++) {
		audit_begin(w, UINT64_C(1) << 30, 0);
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
		audit_note(w, LT_AUDIT_READ, 1, "17257", 1);
		audit_stop(w);
	}
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(lt_file_read(path, 1 << 20, &whole, NULL), LT_OK);
	assert_int_equal(lt_audit_frames(lt_buf_slice(&whole), take_frame, &f, &good_len), LT_OK);
	assert_int_equal(f.n, 10);
	for (i = 0; i < f.n; i++) {
		/* Left out; the end of it, too: that is what the witness is for. */
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++)
			if (k != i)
				lt_buf_put_slice(&made, f.at[k]);
		audit_put_file(path, lt_buf_slice(&made));
		assert_int_not_equal(audit_first(w, &r, &err), LT_OK);
		/* Twice. */
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++) {
			lt_buf_put_slice(&made, f.at[k]);
			if (k == i)
				lt_buf_put_slice(&made, f.at[k]);
		}
		audit_put_file(path, lt_buf_slice(&made));
		if (audit_first(w, &r, &err) == LT_OK)
			fail_msg("frame %zu twice: not found", i);
		/* Changed places with the one behind. */
		if (i + 1 == f.n)
			break;
		lt_buf_clear(&made);
		for (k = 0; k < f.n; k++)
			lt_buf_put_slice(&made, f.at[k == i ? i + 1 : k == i + 1 ? i : k]);
		audit_put_file(path, lt_buf_slice(&made));
		assert_int_not_equal(audit_first(w, &r, &err), LT_OK);
		assert_false(audit_second(w, ""));
	}
	lt_buf_fini(&whole);
	lt_buf_fini(&made);
}

/* The end taken away, and the hub started: it says so, begins another log, and the first stays as it was left. */
static void
test_end_taken_away(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_report r;
	struct lt_err err;
	char path[512];
	struct stat s;

	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_stop(w);
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(stat(path, &s), 0);
	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 2);
	audit_stop(w);
	assert_int_equal(truncate(path, s.st_size), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_E_GAP);
	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 3);
	audit_stop(w);
	audit_good(w, 3, 2);
	assert_non_null(strstr(w->said, "\"end-missing\""));
	/* All of it. */
	audit_path(w, 1, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	audit_path(w, 2, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_E_GAP);
	audit_begin(w, UINT64_C(1) << 30, 0);
	audit_stop(w);
	audit_good(w, 1, 1);
	assert_non_null(strstr(w->said, "\"log-lost\""));
}

/* Many files; one in the middle is missing; the oldest go when there are too many bytes and they are old enough, and no sooner. */
static void
test_files(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_dir d, after;
	struct lt_audit_report r;
	struct lt_err err;
	char path[512], away[600];
	unsigned i, k;

	for (i = 0; i < 6; i++) {
		audit_begin(w, 20000, 1500);
		for (k = 0; k < 10; k++)
			audit_note(w, LT_AUDIT_READ, 1, k % 2 == 0 ? "17254" : "17257", 1);
		audit_stop(w);
		w->wall += 1000;
	}
	audit_good(w, 60, 1);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, &err), LT_OK);
	assert_true(d.last >= 4);
	audit_path(w, 2, path, sizeof(path));
	(void)snprintf(away, sizeof(away), "%s/away", w->f.dir);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(audit_first(w, &r, &err), LT_E_GAP);
	assert_int_equal(r.bad_file, 2);
	assert_false(audit_second(w, ""));
	assert_int_equal(rename(away, path), 0);
	/* Full, and nothing old: it stops and says so; nothing is let go. */
	audit_begin(w, 20000, 1500);
	for (k = 0; k < 100; k++)
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &st);
	assert_true(st.stopped);
	assert_true(st.lost > 0);
	audit_stop(w);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &after, &err), LT_OK);
	assert_int_equal(after.first, d.first);
	/* A day later there is room, and the first thing said is what is missing. */
	w->wall += 2 * 86400000;
	audit_begin(w, 20000, 1500);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	audit_stop(w);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &after, &err), LT_OK);
	assert_true(after.first > d.first);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_true(audit_second(w, ""));
}

struct going {
	struct audit_world *w;
	unsigned after, from, to; /* files that go once so many were verified */
	unsigned ticks;
};

static int
let_go(void *ctx)
{
	struct going *g = ctx;
	char path[512];
	unsigned i;

	if (++g->ticks != g->after)
		return LT_OK;
	for (i = g->from; i <= g->to; i++) {
		audit_path(g->w, i, path, sizeof(path));
		assert_int_equal(unlink(path), 0);
	}
	return LT_OK;
}

/* The oldest files are let go while the log is verified: what is kept is good, and the report is of that. One in the middle that goes is
 * missing. */
static void
test_let_go_while_verified(void **state)
{
	struct audit_world *w = *state;
	struct going gone = { w, 2, 1, 4, 0 }, hole = { w, 2, 7, 7, 0 };
	struct lt_audit_report r, now;
	struct lt_audit_dir d;
	struct lt_err err;
	unsigned i;

	for (i = 0; i < 10; i++) {
		audit_begin(w, UINT64_C(1) << 30, 1);
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
		audit_stop(w);
	}
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, &err), LT_OK);
	assert_true(d.last > 8);
	assert_int_equal(
	    lt_audit_dir_verify(&d, w->f.hub_id->root_key, NULL, let_go, &gone, &r, &err), LT_OK);
	assert_int_equal(audit_first(w, &now, &err), LT_OK);
	assert_int_equal(r.entries, now.entries);
	assert_int_equal(r.files, now.files);
	assert_int_equal(r.first_seq, now.first_seq);
	assert_int_equal(lt_audit_dir_list(w->f.dir, &d, &err), LT_OK);
	assert_int_equal(d.first, 5);
	assert_int_equal(
	    lt_audit_dir_verify(&d, w->f.hub_id->root_key, NULL, let_go, &hole, &r, &err),
	    LT_E_GAP);
	assert_int_equal(r.bad_file, 7);
}

/* A call about so many units, from this one on. */
static void
note_many(struct audit_world *w, unsigned from, unsigned n)
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
	struct audit_world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_report r;
	struct lt_err err;
	unsigned i;

	audit_begin(w, UINT64_C(1) << 30, 0);
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
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.entries, 13);
	assert_true(audit_second(w, "| grep -o '\"\\*\", [0-9]*, [0-9]*'"));
	assert_string_equal(w->said, "\"*\", 1, 1\n\"*\", 2, 3\n\"*\", 3, 4096\n\"*\", 4, 4097\n");
	/* And after a stop, with that table in a file's start. */
	audit_begin(w, UINT64_C(1) << 30, 1500);
	note_many(w, 50000, 2);
	audit_stop(w);
	audit_begin(w, UINT64_C(1) << 30, 1500);
	note_many(w, 50000, 2);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.entries, 15);
	assert_int_equal(r.logs, 1);
	/* A start longer than a file should be does not make the next file due. */
	assert_true(r.files <= 3);
}

/* No byte more, and so many entries that their head is due: nobody waits for ever, and it goes on once there is room. */
static void
test_head_cannot_be_written(void **state)
{
	struct audit_world *w = *state;
	struct rlimit was, less;
	struct lt_audit_status st, then;
	struct lt_audit_report r;
	struct lt_err err;
	uint64_t each;
	unsigned i;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	audit_begin(w, UINT64_C(1) << 30, 0);
	lt_audit_status(w->a, &st);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &then);
	each = then.bytes - st.bytes;
	less = was;
	less.rlim_cur = (rlim_t)(st.bytes + LT_AUDIT_BATCH * each + 10);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	for (i = 0; i < LT_AUDIT_BATCH + 5; i++)
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	for (i = 0; i < 20; i++) {
		(void)usleep(1000);
		lt_audit_status(w->a, &st);
		assert_true(st.lost >= 5);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	lt_audit_status(w->a, &st);
	assert_int_equal(st.lost, 0);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 1);
	assert_int_equal(r.entries - r.gaps + r.missing, LT_AUDIT_BATCH + 7);
	assert_int_equal(r.torn, 0);
}

/* Who holds the hub to a head is not shown one that a power cut takes back. */
static void
test_only_synced_is_shown(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_status st;
	struct lt_audit_dir all, shown;
	unsigned i;

	audit_begin(w, UINT64_C(1) << 30, 0);
	assert_true(lt_audit_files(w->a, &all));
	assert_true(lt_audit_files_synced(w->a, &shown));
	assert_int_equal(shown.last_len, all.last_len);
	for (i = 0; i < 10; i++)
		audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
	assert_true(lt_audit_files_synced(w->a, &shown));
	lt_audit_status(w->a, &st);
	/* No head yet: no byte of them. */
	if (st.head == 0)
		assert_int_equal(shown.last_len, all.last_len);
	audit_stop(w);
	audit_begin(w, UINT64_C(1) << 30, 0);
	assert_true(lt_audit_files(w->a, &all));
	assert_true(lt_audit_files_synced(w->a, &shown));
	assert_int_equal(shown.last_len, all.last_len);
}

/* Under load, too, a file ends where it should. */
static void
test_next_file_under_load(void **state)
{
	struct audit_world *w = *state;
	struct lt_audit_dir d;
	struct lt_audit_report r;
	struct lt_err err;
	unsigned i;

	audit_begin(w, UINT64_C(1) << 30, 20000);
	do {
		for (i = 0; i < 100; i++)
			audit_note(w, LT_AUDIT_READ, 1, "17254", 1);
		assert_true(lt_audit_files(w->a, &d));
	} while (d.last < 3);
	audit_stop(w);
	assert_int_equal(audit_first(w, &r, &err), LT_OK);
	assert_int_equal(r.gaps, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_what_is_noted_stands_there, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(test_commitment, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_denials_alike_are_counted, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_denials_of_many_kinds, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_goes_on_after_a_stop, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(test_torn_end, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_every_byte_counts, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_altered_by_frames, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(test_end_taken_away, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(test_files, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_let_go_while_verified, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_units_without_end, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_head_cannot_be_written, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_only_synced_is_shown, audit_setup, audit_teardown),
		cmocka_unit_test_setup_teardown(
		    test_next_file_under_load, audit_setup, audit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
