/* import: lists as offices have them, row by row through the daemon. A row that is refused never stops the rest, and comes back
 * with its reason. */
#include "node/import_refused.h"
#include "node/import_units.h"
#include "proto/base/file.h"
#include "proto/model/validate.h"
#include "tools/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCHES_MAX 16 /* (collection, unit) pairs that are filled at once */
#define BATCH_ARENA ((size_t)16 * 1024 * 1024)
#define BATCH_BYTES_MAX (LT_MESSAGE_MAX / 2)
#define TOLD_MAX 50 /* refused rows told on the terminal; the file has all */
#define REFUSED_MAX 1000000

/* A row that the daemon refused: the file is read a second time to give its cells back. */
struct refusal {
	uint32_t record;
	char *code, *field, *message, *message_vi; /* owned */
};

struct batch {
	const char *collection;
	struct lt_unit unit;
	struct lt_arena arena;
	size_t n, bytes;
	Ltpb__ImportRow *row[LT_IMPORT_ROWS_MAX];
	uint64_t line[LT_IMPORT_ROWS_MAX];
};

struct importing {
	struct ctl *c;
	const char *collection, *file, *map_file, *rejects, *source, *actor;
	uint64_t batch_max;
	bool dry_run; /* rows are checked, nothing is written */
	/* commune_profile from the official lists */
	const char *units, *succession, *province;
	struct lt_import_map *map;
	struct lt_succession *succession_table;
	int fd;
	struct lt_import_options options;
	size_t nbatch;
	struct batch *batch[BATCHES_MAX]; /* the one filled longest ago first */
	uint64_t created, updated, unchanged, refused, duplicate, skipped;
	size_t nrefusal, refusal_cap;
	struct refusal *refusal;
};

/* ---- telling ---- */

/* One line for each refused row, the reason as the office's people read it. */
static void
tell_refused(struct importing *im, uint64_t line, const char *field, const char *code,
    const char *message, const char *message_vi)
{
	im->refused++;
	if (im->c->json) {
		ctl_print_json(json_pack("{s:I,s:s,s:s,s:o,s:o}", "line", (json_int_t)line, "field",
		    field, "reason", code, "message", ctl_json_text(message), "message_vi",
		    ctl_json_text(message_vi)));
		return;
	}
	if (im->refused > TOLD_MAX)
		return;
	printf(T("refused, line %llu", "từ chối, dòng %llu"), (unsigned long long)line);
	if (field[0] != '\0')
		printf(", %s %s", T("field", "trường"), field);
	(void)fputs(": ", stdout);
	ctl_say_text(stdout, T(message, message_vi));
	(void)fputc('\n', stdout);
}

/* ---- batches ---- */

static enum ctl_exit
remember(struct importing *im, const Ltpb__ImportRowReply *r)
{
	struct refusal *f;

	if (im->nrefusal == REFUSED_MAX)
		return CTL_DONE; /* told and counted all the same */
	if (im->nrefusal == im->refusal_cap) {
		f = realloc(im->refusal, (im->refusal_cap * 2 + 64) * sizeof(*f));
		if (f == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		im->refusal = f;
		im->refusal_cap = im->refusal_cap * 2 + 64;
	}
	f = &im->refusal[im->nrefusal];
	f->record = r->row;
	f->code = strdup(r->rule[0] != '\0' ? r->rule : "refused");
	f->field = strdup(r->field);
	f->message = strdup(r->message);
	f->message_vi = strdup(r->message_vi);
	if (f->code == NULL || f->field == NULL || f->message == NULL || f->message_vi == NULL) {
		free(f->code);
		free(f->field);
		free(f->message);
		free(f->message_vi);
		return ctl_error(LT_E_NOMEM, NULL);
	}
	im->nrefusal++;
	return CTL_DONE;
}

static enum ctl_exit
count_result(struct importing *im, const struct batch *b, const Ltpb__ImportRowReply *r)
{
	uint64_t line = 0;
	size_t i;

	switch (r->result) {
	case LTPB__IMPORT_RESULT__IMPORT_RESULT_CREATED:
		im->created++;
		return CTL_DONE;
	case LTPB__IMPORT_RESULT__IMPORT_RESULT_UPDATED:
		im->updated++;
		return CTL_DONE;
	case LTPB__IMPORT_RESULT__IMPORT_RESULT_UNCHANGED:
		im->unchanged++;
		return CTL_DONE;
	default:
		break;
	}
	for (i = 0; i < b->n; i++)
		if (b->row[i]->row == r->row)
			line = b->line[i];
	tell_refused(im, line, r->field, r->rule[0] != '\0' ? r->rule : "refused", r->message,
	    r->message_vi);
	return remember(im, r);
}

static enum ctl_exit
send_batch(struct importing *im, struct batch *b)
{
	Ltpb__ImportRequest req = LTPB__IMPORT_REQUEST__INIT;
	const Ltpb__ImportReply *r;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;
	size_t i;

	if (b->n == 0)
		return CTL_DONE;
	req.collection = (char *)b->collection;
	req.unit = b->unit.s;
	req.n_row = b->n;
	req.row = b->row;
	req.actor = (char *)(im->actor != NULL ? im->actor : "");
	req.check_only = im->dry_run;
	code = ctl_call(im->c, &ltpb__records__descriptor, "Import", &req.base, &m);
	if (code == CTL_DONE) {
		r = (const Ltpb__ImportReply *)m;
		if (r->n_row != b->n)
			code = ctl_fail(CTL_UNKNOWN, "%s",
			    T("the answer does not fit the rows",
				"câu trả lời không khớp số dòng"));
		for (i = 0; code == CTL_DONE && i < r->n_row; i++)
			code = count_result(im, b, r->row[i]);
	}
	ctl_reply_free(m);
	b->n = b->bytes = 0;
	lt_arena_fini(&b->arena);
	lt_arena_init(&b->arena, BATCH_ARENA);
	return code;
}

static enum ctl_exit
send_all(struct importing *im)
{
	enum ctl_exit code = CTL_DONE;
	size_t i;

	for (i = 0; code == CTL_DONE && i < im->nbatch; i++)
		code = send_batch(im, im->batch[i]);
	return code;
}

/* The batch of this collection and unit; when all places are taken, the oldest is sent and its place used. */
static enum ctl_exit
find_batch(
    struct importing *im, const char *collection, const struct lt_unit *unit, struct batch **out)
{
	enum ctl_exit code = CTL_DONE;
	struct batch *b;
	size_t i;

	for (i = 0; i < im->nbatch; i++) {
		*out = im->batch[i];
		if (lt_unit_eq(&(*out)->unit, unit) && strcmp((*out)->collection, collection) == 0)
			return CTL_DONE;
	}
	if (im->nbatch < BATCHES_MAX) {
		b = calloc(1, sizeof(*b));
		if (b == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		lt_arena_init(&b->arena, BATCH_ARENA);
		im->batch[im->nbatch++] = b;
	} else {
		b = im->batch[0];
		code = send_batch(im, b);
		memmove(im->batch, im->batch + 1, (BATCHES_MAX - 1) * sizeof(im->batch[0]));
		im->batch[BATCHES_MAX - 1] = b;
	}
	b->collection = collection;
	b->unit = *unit;
	*out = b;
	return code;
}

/* Fields that a change carries; the key and the unit go beside them. */
static Ltpb__ImportRow *
make_row(struct lt_arena *arena, uint32_t record, const struct lt_unit *unit, const char *key,
    Ltpb__FieldSet **set, size_t nset)
{
	Ltpb__ImportRow *r = lt_arena_alloc(arena, sizeof(*r));
	size_t i;

	if (r == NULL)
		return NULL;
	ltpb__import_row__init(r);
	r->row = record;
	r->key = lt_arena_dup(arena, key, strlen(key));
	r->unit = lt_arena_dup(arena, unit->s, strlen(unit->s));
	r->field = lt_arena_alloc(arena, (nset + 1) * sizeof(*r->field));
	if (r->key == NULL || r->unit == NULL || r->field == NULL)
		return NULL;
	for (i = 0; i < nset; i++) {
		r->field[i] = ctl_field_dup(set[i], arena);
		if (r->field[i] == NULL)
			return NULL;
		r->n_field = i + 1;
	}
	return r;
}

static enum ctl_exit
add_row(struct importing *im, const char *collection, const struct lt_unit *unit, const char *key,
    Ltpb__FieldSet **set, size_t nset, uint64_t record, uint64_t line)
{
	struct batch *b = NULL;
	Ltpb__ImportRow *r;
	size_t size;
	enum ctl_exit code = find_batch(im, collection, unit, &b);

	if (code != CTL_DONE || b == NULL)
		return code;
	r = make_row(&b->arena, (uint32_t)record, unit, key, set, nset);
	if (r == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	size = ltpb__import_row__get_packed_size(r);
	if (b->n != 0 && b->bytes + size > BATCH_BYTES_MAX) {
		code = send_batch(im, b);
		if (code == CTL_DONE) /* its arena went with the batch */
			r = make_row(&b->arena, (uint32_t)record, unit, key, set, nset);
		if (r == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
	}
	if (code != CTL_DONE)
		return code;
	b->row[b->n] = r;
	b->line[b->n++] = line;
	b->bytes += size;
	return b->n >= im->batch_max ? send_batch(im, b) : CTL_DONE;
}

/* ---- reading ---- */

static bool
is_json_lines(const char *file)
{
	static const char *const ends[] = { ".jsonl", ".ndjson", ".json" };
	size_t i, n = strlen(file);

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (n > strlen(ends[i]) && strcmp(file + n - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

/* Lines of other collections are not this import's business. */
static bool
is_other(const struct importing *im, const struct lt_import_row *row)
{
	return im->options.json_lines && im->options.collection != NULL &&
	       row->fault.code != NULL && strcmp(row->fault.code, "other_collection") == 0;
}

static enum ctl_exit
take_row(struct importing *im, const struct lt_import_row *row)
{
	switch (row->result) {
	case LT_IMPORT_ROW:
		return add_row(im, row->collection->id, &row->unit, row->key, row->set, row->nset,
		    row->record, row->line);
	case LT_IMPORT_DUPLICATE:
		im->duplicate++;
		return CTL_DONE;
	case LT_IMPORT_SKIP:
		im->skipped++;
		return CTL_DONE;
	case LT_IMPORT_REJECT:
		break;
	}
	if (is_other(im, row)) {
		im->skipped++;
		return CTL_DONE;
	}
	tell_refused(im, row->line, row->fault.field != NULL ? row->fault.field : "",
	    row->fault.code != NULL ? row->fault.code : "refused", row->fault.message,
	    row->fault.message_vi);
	return CTL_DONE;
}

static enum ctl_exit
open_import(struct importing *im, struct lt_import **out)
{
	struct lt_err err = { "" };
	int rc;

	im->options.english = !ctl_vietnamese;
	if (lseek(im->fd, 0, SEEK_SET) != 0)
		return ctl_fail(
		    CTL_UNKNOWN, "'%s': %s", im->file, T(strerror(errno), lt_errno_vi(errno)));
	rc = lt_import_open(&im->options, out, &err);
	if (rc == LT_OK)
		return CTL_DONE;
	ctl_complain("'%s': %s", im->file, ctl_said(rc, &err));
	return rc == LT_E_NOMEM || rc == LT_E_IO ? CTL_UNKNOWN : CTL_NO;
}

static void
tell_ignored(struct importing *im, const struct lt_import *in)
{
	const struct lt_slice *header;
	size_t i, n = lt_import_ignored(in, &header);

	for (i = 0; i < n && !im->c->json; i++)
		ctl_complain(T("column '%.*s' is read over", "bỏ qua cột '%.*s'"),
		    (int)header[i].len, (const char *)header[i].data);
}

static enum ctl_exit
read_rows(struct importing *im)
{
	struct lt_import *in = NULL;
	struct lt_import_row row;
	struct lt_err err = { "" };
	enum ctl_exit code = open_import(im, &in);
	int rc = LT_OK;

	if (code == CTL_DONE)
		tell_ignored(im, in);
	while (code == CTL_DONE) {
		rc = lt_import_next(in, &row, &err);
		if (rc != LT_OK)
			break;
		code = take_row(im, &row);
	}
	if (code == CTL_DONE && rc != LT_E_NOTFOUND)
		code = ctl_error(rc, &err);
	lt_import_close(in);
	return code == CTL_DONE ? send_all(im) : code;
}

/* ---- the file of refused rows ---- */

static int
by_record(const void *a, const void *b)
{
	const struct refusal *x = a, *y = b;

	return (x->record > y->record) - (x->record < y->record);
}

static const struct refusal *
refusal_of(const struct importing *im, uint64_t record)
{
	struct refusal want = { .record = (uint32_t)record };

	return im->nrefusal == 0
		   ? NULL
		   : bsearch(&want, im->refusal, im->nrefusal, sizeof(want), by_record);
}

/* Second reading: rows refused here are refused again, those that the daemon refused get its reason. */
static int
write_rejects(
    struct importing *im, struct lt_import *in, struct lt_refused *out, struct lt_err *err)
{
	struct lt_import_row row;
	int rc;

	while ((rc = lt_import_next(in, &row, err)) == LT_OK) {
		const struct refusal *f = refusal_of(im, row.record);

		if (row.result == LT_IMPORT_ROW && f != NULL) {
			row.result = LT_IMPORT_REJECT;
			row.fault.code = f->code;
			row.fault.field = f->field;
			(void)snprintf(
			    row.fault.message, sizeof(row.fault.message), "%s", f->message);
			(void)snprintf(row.fault.message_vi, sizeof(row.fault.message_vi), "%s",
			    f->message_vi);
		}
		if (row.result == LT_IMPORT_REJECT && !is_other(im, &row)) {
			rc = lt_refused_add(out, in, &row, err);
			if (rc != LT_OK)
				return rc;
		}
	}
	return rc == LT_E_NOTFOUND ? LT_OK : rc;
}

static enum ctl_exit
give_back(struct importing *im)
{
	struct lt_refused *out = NULL;
	struct lt_import *in = NULL;
	struct lt_err err = { "" };
	uint64_t rows = 0;
	enum ctl_exit code;
	int rc;

	if (im->rejects == NULL || im->refused == 0)
		return CTL_DONE;
	if (im->nrefusal > 1)
		qsort(im->refusal, im->nrefusal, sizeof(im->refusal[0]), by_record);
	code = open_import(im, &in);
	if (code != CTL_DONE)
		return code;
	rc = lt_refused_open(im->rejects, &out, &err);
	if (rc == LT_OK)
		rc = write_rejects(im, in, out, &err);
	if (rc == LT_OK)
		rc = lt_refused_close(out, &rows, &err);
	else
		lt_refused_abort(out);
	lt_import_close(in);
	if (rc != LT_OK)
		return ctl_error(rc, &err);
	if (!im->c->json)
		printf(T("%llu refused rows with their reasons: %s\n",
			   "%llu dòng bị từ chối, kèm lý do: %s\n"),
		    (unsigned long long)rows, im->rejects);
	return CTL_DONE;
}

/* ---- the official lists ---- */

static enum ctl_exit
load_file(const char *path, size_t max, struct lt_buf *out)
{
	struct lt_err err = { "" };
	int rc;

	lt_buf_init(out, max + 1);
	rc = lt_file_read(path, max, out, &err);
	return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
}

static enum ctl_exit
load_succession(struct importing *im)
{
	struct lt_err err = { "" };
	struct lt_buf csv;
	enum ctl_exit code;
	int rc;

	if (im->succession == NULL)
		im->succession = ctl_data_file(im->c, "succession.csv");
	code = load_file(im->succession, LT_UNITS_FILE_MAX, &csv);
	if (code == CTL_DONE) {
		rc = lt_succession_load(lt_buf_slice(&csv), &im->succession_table, &err);
		code = rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	}
	lt_buf_fini(&csv);
	return code;
}

struct profile_rows {
	struct importing *im;
	uint64_t n;
	enum ctl_exit code;
};

static int
take_profile(
    void *ctx, const struct lt_unit *unit, const char *key, Ltpb__FieldSet **set, size_t nset)
{
	struct profile_rows *p = ctx;

	p->n++;
	p->code = add_row(p->im, lt_units_rows_collection(LT_ROWS_COMMUNE_PROFILE), unit, key, set,
	    nset, p->n, 0);
	return p->code == CTL_DONE ? LT_OK : LT_E_CANCELLED;
}

static enum ctl_exit
import_profiles(struct importing *im)
{
	struct profile_rows p = { .im = im, .code = CTL_DONE };
	struct lt_units *units = NULL;
	struct lt_err err = { "" };
	struct lt_buf csv;
	enum ctl_exit code;
	int rc;

	if (im->units == NULL)
		im->units = ctl_data_file(im->c, "units.csv");
	if (im->province == NULL)
		im->province = ctl_own_unit(im->c);
	code = load_file(im->units, LT_UNITS_FILE_MAX, &csv);
	if (code == CTL_DONE)
		code = load_succession(im);
	if (code == CTL_DONE) {
		rc = lt_units_load(lt_buf_slice(&csv), &units, &err);
		if (rc == LT_OK)
			rc = lt_units_rows(LT_ROWS_COMMUNE_PROFILE, im->c->catalogue, units,
			    im->succession_table, im->province, take_profile, &p, &err);
		if (p.code != CTL_DONE)
			code = p.code;
		else if (rc != LT_OK)
			code = ctl_error(rc, &err);
	}
	if (code == CTL_DONE)
		code = send_all(im);
	lt_units_free(units);
	lt_buf_fini(&csv);
	return code;
}

/* ---- the command ---- */

static enum ctl_exit
load_map(struct importing *im)
{
	struct lt_err err = { "" };
	struct lt_buf json;
	enum ctl_exit code;
	bool derives = false;
	size_t i;
	int rc;

	if (im->map_file == NULL)
		return CTL_DONE;
	code = load_file(im->map_file, LT_IMPORT_MAP_BYTES_MAX, &json);
	if (code == CTL_DONE) {
		rc = lt_import_map_parse(lt_buf_slice(&json), &im->map, &err);
		if (rc != LT_OK)
			code = ctl_fail(CTL_NO, "'%s': %s", im->map_file, ctl_said(rc, &err));
	}
	lt_buf_fini(&json);
	for (i = 0; code == CTL_DONE && i < im->map->nderive; i++)
		derives |= im->map->derive[i].kind == LT_DERIVE_SUCCESSION;
	return derives ? load_succession(im) : code;
}

static enum ctl_exit
set_options(struct importing *im)
{
	struct lt_import_options *o = &im->options;
	bool hub = im->c->id->role != LTPB__ROLE__ROLE_NODE;

	o->catalogue = im->c->catalogue;
	o->map = im->map;
	o->collection = strcmp(im->collection, "all") == 0 ? NULL : im->collection;
	o->unit = im->c->id->unit;
	o->any_unit = hub;
	o->writer = hub ? LT_WRITER_PROVINCE : LT_WRITER_COMMUNE;
	o->json_lines = is_json_lines(im->file);
	o->succession = im->succession_table;
	if (im->source != NULL) {
		o->filter_field = "source_file";
		o->filter_value = im->source;
	}
	o->source.read = lt_csv_read_fd;
	o->source.ctx = &im->fd;
	if (o->collection == NULL && !o->json_lines && im->map == NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("'all' is for JSON lines that name their collections",
			"'all' dành cho JSON lines có nêu loại dữ liệu"));
	if (im->source != NULL && !o->json_lines)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--source is for JSON lines", "--source dành cho JSON lines"));
	im->fd = open(im->file, O_RDONLY | O_CLOEXEC);
	if (im->fd < 0)
		return ctl_fail(
		    CTL_UNKNOWN, "'%s': %s", im->file, T(strerror(errno), lt_errno_vi(errno)));
	return CTL_DONE;
}

static void
print_summary(struct importing *im)
{
	if (im->c->json) {
		ctl_print_json(json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I}", "dry_run",
		    (int)im->dry_run, "created", (json_int_t)im->created, "updated",
		    (json_int_t)im->updated, "unchanged", (json_int_t)im->unchanged, "refused",
		    (json_int_t)im->refused, "duplicates", (json_int_t)im->duplicate, "skipped",
		    (json_int_t)im->skipped));
		return;
	}
	if (im->refused > TOLD_MAX)
		printf(
		    T("... and %llu more refused rows%s\n", "... và %llu dòng bị từ chối nữa%s\n"),
		    (unsigned long long)(im->refused - TOLD_MAX),
		    im->rejects == NULL
			? T(" (--rejects FILE gives all)", " (--rejects TỆP để lấy hết)")
			: "");
	if (im->dry_run)
		(void)fputs(T("nothing was written; an import would give: ",
				"chưa ghi gì; nếu nhập sẽ được: "),
		    stdout);
	printf(
	    T("%llu created, %llu updated, %llu unchanged, %llu refused, %llu duplicates, %llu "
	      "skipped\n",
		"%llu mới, %llu sửa, %llu không đổi, %llu bị từ chối, %llu trùng, %llu bỏ qua\n"),
	    (unsigned long long)im->created, (unsigned long long)im->updated,
	    (unsigned long long)im->unchanged, (unsigned long long)im->refused,
	    (unsigned long long)im->duplicate, (unsigned long long)im->skipped);
}

static enum ctl_exit
import_file(struct importing *im)
{
	enum ctl_exit code = load_map(im);

	if (code == CTL_DONE)
		code = set_options(im);
	if (code == CTL_DONE)
		code = read_rows(im);
	return code == CTL_DONE ? give_back(im) : code;
}

static void
forget(struct importing *im)
{
	size_t i;

	for (i = 0; i < im->nbatch; i++) {
		lt_arena_fini(&im->batch[i]->arena);
		free(im->batch[i]);
	}
	for (i = 0; i < im->nrefusal; i++) {
		free(im->refusal[i].code);
		free(im->refusal[i].field);
		free(im->refusal[i].message);
		free(im->refusal[i].message_vi);
	}
	free(im->refusal);
	lt_import_map_free(im->map);
	lt_succession_free(im->succession_table);
	if (im->fd >= 0)
		(void)close(im->fd);
}

enum ctl_exit
cmd_import(struct ctl *c, int argc, char **argv)
{
	struct importing im = { .c = c, .batch_max = LT_IMPORT_ROWS_MAX, .fd = -1 };
	const struct ctl_option options[] = { { "map", CTL_TEXT, &im.map_file },
		{ "rejects", CTL_TEXT, &im.rejects }, { "source", CTL_TEXT, &im.source },
		{ "batch", CTL_NUMBER, &im.batch_max }, { "actor", CTL_TEXT, &im.actor },
		{ "units", CTL_TEXT, &im.units }, { "succession", CTL_TEXT, &im.succession },
		{ "province", CTL_TEXT, &im.province }, { "dry-run", CTL_FLAG, &im.dry_run } };
	struct ctl_list args;
	bool profiles;
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 1, 2);

	if (code != CTL_DONE)
		return code;
	im.collection = args.item[0];
	im.file = args.n == 2 ? args.item[1] : NULL;
	profiles = im.file == NULL && strcmp(im.collection, "commune_profile") == 0;
	if (im.file == NULL && !profiles)
		return ctl_fail(CTL_USAGE, "%s", T("which file?", "tệp nào?"));
	if (im.batch_max == 0 || im.batch_max > LT_IMPORT_ROWS_MAX)
		return ctl_fail(
		    CTL_USAGE, T("--batch is 1 to %d", "--batch từ 1 đến %d"), LT_IMPORT_ROWS_MAX);
	code = ctl_catalogue(c);
	if (code == CTL_DONE && strcmp(im.collection, "all") != 0 &&
	    lt_catalogue_find(c->catalogue, im.collection) == NULL)
		(void)ctl_collection(c, im.collection, &code);
	if (code == CTL_DONE)
		code = profiles ? import_profiles(&im) : import_file(&im);
	if (code == CTL_DONE || im.created + im.updated + im.unchanged + im.refused != 0)
		print_summary(&im);
	forget(&im);
	if (code == CTL_DONE && im.refused != 0)
		return CTL_NO;
	return code;
}
