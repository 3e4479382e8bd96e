#include "proto/store/audit_dir.h"
#include "proto/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_LEN 10
#define LOST_VERSION 1
#define LOST_CHECK 8
#define SYNCED_VERSION 1
#define SYNCED_CHECK 8
/* Of which a start takes less, whatever its table of units. */
#define START_MAX ((size_t)1 << 20)
#define FRAME_MORE ((size_t)13) /* bytes of a frame that are not its payload */

int
lt_audit_dir_path(const char *dir, uint64_t segment, char *out, struct lt_err *err)
{
	int n = snprintf(out, LT_AUDIT_PATH_MAX, "%s/" LT_AUDIT_DIR "/%010llu", dir,
	    (unsigned long long)segment);

	return n > 0 && n < LT_AUDIT_PATH_MAX ? LT_OK
					      : lt_err_set(err, LT_E_INVALID, "path too long");
}

static int
not_opened(struct lt_err *err, int rc, const char *path, int e)
{
	char en[LT_ERR_TEXT], vi[LT_ERR_TEXT];

	(void)snprintf(en, sizeof(en), "cannot open \"%s\": %s", path, strerror(e));
	(void)snprintf(vi, sizeof(vi), "không mở được \"%s\": %s", path, lt_errno_vi(e));
	return lt_err_pair(err, rc, en, vi);
}

int
lt_audit_dir_next(const char *dir, uint64_t segment, char *out, struct lt_err *err)
{
	int n = snprintf(out, LT_AUDIT_PATH_MAX, "%s/" LT_AUDIT_DIR "/%010llu.next", dir,
	    (unsigned long long)segment);

	return n > 0 && n < LT_AUDIT_PATH_MAX ? LT_OK
					      : lt_err_set(err, LT_E_INVALID, "path too long");
}

/* 0: no file of a log. */
static uint64_t
number_of(const char *name)
{
	size_t i;

	for (i = 0; i < NAME_LEN; i++)
		if (name[i] < '0' || name[i] > '9')
			return 0;
	return name[NAME_LEN] == '\0' ? strtoull(name, NULL, 10) : 0;
}

int
lt_audit_dir_list(const char *dir, struct lt_audit_dir *out, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	const struct dirent *e;
	struct stat st;
	DIR *d;

	memset(out, 0, sizeof(*out));
	out->dir = dir;
	out->last_len = SIZE_MAX;
	if (snprintf(path, sizeof(path), "%s/" LT_AUDIT_DIR, dir) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "path too long");
	d = opendir(path);
	if (d == NULL)
		return not_opened(err,
		    errno == ENOENT   ? LT_E_NOTFOUND
		    : errno == EACCES ? LT_E_DENIED
				      : LT_E_IO,
		    path, errno);
	while ((e = readdir(d)) != NULL) {
		uint64_t n = number_of(e->d_name);

		if (n == 0)
			continue;
		if (out->first == 0 || n < out->first)
			out->first = n;
		if (n > out->last)
			out->last = n;
		if (lt_audit_dir_path(dir, n, path, NULL) == LT_OK && stat(path, &st) == 0)
			out->bytes += (uint64_t)st.st_size;
	}
	(void)closedir(d);
	return LT_OK;
}

int
lt_audit_dir_read(
    const struct lt_audit_dir *d, uint64_t segment, struct lt_buf *out, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	size_t before = out->len;
	int rc = lt_audit_dir_path(d->dir, segment, path, err);

	if (rc == LT_OK)
		rc = lt_file_read(path, LT_AUDIT_FILE_MAX, out, err);
	if (rc == LT_OK && segment == d->last && out->len - before > d->last_len)
		out->len = before + d->last_len;
	return rc;
}

int
lt_audit_dir_start(const struct lt_audit_dir *d, uint64_t segment, struct lt_buf *b,
    struct lt_audit_start *out, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	enum lt_audit_frame type;
	struct lt_slice payload, body, sig;
	uint8_t len[4] = { 0 }, *room;
	size_t used, n = 0, want;
	FILE *f;
	int rc = lt_audit_dir_path(d->dir, segment, path, err);

	if (rc != LT_OK)
		return rc;
	f = fopen(path, "rb");
	if (f == NULL)
		return not_opened(err, errno == ENOENT ? LT_E_NOTFOUND : LT_E_IO, path, errno);
	/* A search looks at many. */
	lt_buf_clear(b);
	want = fread(len, 1, sizeof(len), f) == sizeof(len) ? lt_load_u32(len) + FRAME_MORE : 0;
	room = want <= START_MAX ? lt_buf_reserve(b, START_MAX) : NULL;
	if (room != NULL && want != 0) {
		memcpy(room, len, sizeof(len));
		n = sizeof(len) + fread(room + sizeof(len), 1, want - sizeof(len), f);
	}
	(void)fclose(f);
	if (room == NULL && want <= START_MAX)
		return LT_E_NOMEM;
	lt_buf_added(b, n);
	if (lt_audit_frame_read(lt_buf_slice(b), &type, &payload, &used) != LT_OK ||
	    type != LT_AUDIT_START || lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_start_read(body, out) != LT_OK)
		return lt_err_both(
		    err, LT_E_INVALID, "\"%s\" has no start", "\"%s\" không có phần đầu", path);
	return LT_OK;
}

int
lt_audit_frames(struct lt_slice file, lt_audit_frame_fn *fn, void *ctx, size_t *good)
{
	*good = 0;
	while (*good < file.len) {
		enum lt_audit_frame type;
		struct lt_slice payload;
		size_t used;
		int rc = lt_audit_frame_read(
		    lt_slice(file.data + *good, file.len - *good), &type, &payload, &used);

		if (rc == LT_OK)
			rc = fn(ctx, type, payload);
		if (rc != LT_OK)
			return rc;
		*good += used;
	}
	return LT_OK;
}

/* ---- beside the log ---- */

int
lt_audit_witness_parse(struct lt_slice file, struct lt_audit_seen *out)
{
	struct lt_slice payload, body, sig;
	enum lt_audit_frame type;
	struct lt_audit_head h;
	size_t used;

	if (lt_audit_frame_read(file, &type, &payload, &used) != LT_OK || used != file.len ||
	    type != LT_AUDIT_HEAD || lt_audit_signed_read(payload, &body, &sig) != LT_OK ||
	    lt_audit_head_read(body, &h) != LT_OK)
		return LT_E_CORRUPT;
	lt_h1(LT_TAG_AUDIT_HEAD, body, &out->hash);
	out->log = h.log;
	out->no = h.no;
	return LT_OK;
}

int
lt_audit_witness_read(const char *dir, struct lt_audit_seen *out, struct lt_err *err)
{
	char path[LT_AUDIT_PATH_MAX];
	struct lt_buf b = { 0 };
	int rc;

	if (snprintf(path, sizeof(path), "%s/" LT_AUDIT_WITNESS, dir) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "path too long");
	rc = lt_file_read(path, 4096, &b, err);
	if (rc == LT_OK && lt_audit_witness_parse(lt_buf_slice(&b), out) != LT_OK)
		rc = lt_err_both(err, LT_E_CORRUPT, "\"%s\" is damaged", "\"%s\" bị hỏng", path);
	lt_buf_fini(&b);
	return rc;
}

static void
lost_check(const uint8_t record[LT_AUDIT_LOST_BYTES], struct lt_hash *out)
{
	lt_h1(LT_TAG_AUDIT_LOST, lt_slice(record, LT_AUDIT_LOST_BYTES - LOST_CHECK), out);
}

void
lt_audit_lost_put(const struct lt_audit_lost *l, uint8_t out[LT_AUDIT_LOST_BYTES])
{
	size_t n = strnlen(l->why, LT_AUDIT_WHY_MAX);
	struct lt_hash check;

	memset(out, 0, LT_AUDIT_LOST_BYTES);
	out[0] = LOST_VERSION;
	lt_store_u64(out + 1, l->log);
	lt_store_u64(out + 9, l->seq);
	lt_store_u64(out + 17, l->count);
	lt_store_u64(out + 25, (uint64_t)l->from_ms);
	lt_store_u64(out + 33, (uint64_t)l->to_ms);
	out[41] = (uint8_t)n;
	memcpy(out + 42, l->why, n);
	lost_check(out, &check);
	memcpy(out + LT_AUDIT_LOST_BYTES - LOST_CHECK, check.b, LOST_CHECK);
}

int
lt_audit_lost_parse(struct lt_slice file, struct lt_audit_lost *out)
{
	uint8_t again[LT_AUDIT_LOST_BYTES];
	size_t n, i;

	memset(out, 0, sizeof(*out));
	if (file.len != LT_AUDIT_LOST_BYTES || file.data[41] > LT_AUDIT_WHY_MAX)
		return LT_E_CORRUPT;
	n = file.data[41];
	for (i = 0; i < n; i++)
		if (file.data[42 + i] <= ' ' || file.data[42 + i] > '~')
			return LT_E_CORRUPT;
	out->log = lt_load_u64(file.data + 1);
	out->seq = lt_load_u64(file.data + 9);
	out->count = lt_load_u64(file.data + 17);
	out->from_ms = (int64_t)lt_load_u64(file.data + 25);
	out->to_ms = (int64_t)lt_load_u64(file.data + 33);
	memcpy(out->why, file.data + 42, n);
	/* One spelling: version, zeros and check are right where this is the same. */
	lt_audit_lost_put(out, again);
	return memcmp(again, file.data, sizeof(again)) == 0 ? LT_OK : LT_E_CORRUPT;
}

void
lt_audit_synced_put(const struct lt_audit_synced *s, uint8_t out[LT_AUDIT_SYNCED_BYTES])
{
	struct lt_hash check;

	out[0] = SYNCED_VERSION;
	lt_store_u64(out + 1, s->log);
	lt_store_u64(out + 9, s->segment);
	lt_store_u64(out + 17, s->bytes);
	lt_h1(LT_TAG_AUDIT_SYNCED, lt_slice(out, LT_AUDIT_SYNCED_BYTES - SYNCED_CHECK), &check);
	memcpy(out + LT_AUDIT_SYNCED_BYTES - SYNCED_CHECK, check.b, SYNCED_CHECK);
}

int
lt_audit_synced_parse(struct lt_slice file, struct lt_audit_synced *out)
{
	uint8_t again[LT_AUDIT_SYNCED_BYTES];

	memset(out, 0, sizeof(*out));
	if (file.len != LT_AUDIT_SYNCED_BYTES)
		return LT_E_CORRUPT;
	out->log = lt_load_u64(file.data + 1);
	out->segment = lt_load_u64(file.data + 9);
	out->bytes = lt_load_u64(file.data + 17);
	lt_audit_synced_put(out, again);
	return memcmp(again, file.data, sizeof(again)) == 0 ? LT_OK : LT_E_CORRUPT;
}

void
lt_audit_synced_read(const char *dir, struct lt_audit_synced *out)
{
	char path[LT_AUDIT_PATH_MAX];
	struct lt_buf b = { 0 };

	memset(out, 0, sizeof(*out));
	if (snprintf(path, sizeof(path), "%s/" LT_AUDIT_SYNCED, dir) < (int)sizeof(path) &&
	    lt_file_read(path, LT_AUDIT_SYNCED_BYTES, &b, NULL) == LT_OK &&
	    lt_audit_synced_parse(lt_buf_slice(&b), out) != LT_OK)
		memset(out, 0, sizeof(*out));
	lt_buf_fini(&b);
}

uint64_t
lt_audit_synced_of(const struct lt_audit_synced *s, uint64_t log, uint64_t segment)
{
	return s->log == log && s->segment == segment ? s->bytes : 0;
}

/* ---- verifying ---- */

struct verify {
	struct lt_audit_chain chain;
	const uint8_t *root_key;
	struct lt_audit_report *out;
	struct lt_err *err;
	const struct lt_audit_seen *seen;
	struct lt_audit_synced synced; /* as it was before the first file was read */
	bool seen_log; /* there is a file of its log; its first one begins behind this head */
	uint64_t seen_from;
};

static void
count_entry(struct lt_audit_report *r, struct lt_slice payload)
{
	struct lt_audit_full e;

	r->entries++;
	if (lt_audit_full_read(payload, &e) == LT_OK && e.entry.kind == LT_AUDIT_GAP) {
		r->gaps++;
		r->missing += e.entry.count;
	}
}

static int
on_head(struct verify *v)
{
	const struct lt_audit_chain *c = &v->chain;

	v->out->heads++;
	if (v->seen == NULL || c->at.log != v->seen->log || c->next_head - 1 != v->seen->no)
		return LT_OK;
	if (!lt_hash_eq(&c->prev, &v->seen->hash))
		return lt_err_both(v->err, LT_E_BADHASH,
		    "head %llu is another than the one that was seen: the log was written anew",
		    "đầu chuỗi %llu khác với đầu chuỗi đã thấy: nhật ký đã bị ghi lại",
		    (unsigned long long)v->seen->no);
	v->out->witnessed = true;
	return LT_OK;
}

static int
on_frame(void *ctx, enum lt_audit_frame type, struct lt_slice payload)
{
	struct verify *v = ctx;
	struct lt_audit_report *r = v->out;
	uint64_t log = v->chain.at.log;
	int rc = lt_audit_chain_add(&v->chain, type, payload, v->root_key, v->err);

	if (rc != LT_OK)
		return rc;
	if (type == LT_AUDIT_START && v->seen != NULL && !v->seen_log &&
	    v->chain.at.log == v->seen->log) {
		v->seen_log = true;
		v->seen_from = v->chain.next_head;
	}
	if (type == LT_AUDIT_START && (r->logs == 0 || v->chain.at.log != log)) {
		r->logs++;
		r->first_seq = v->chain.next_seq;
	}
	if (type == LT_AUDIT_ENTRY)
		count_entry(r, payload);
	return type == LT_AUDIT_HEAD ? on_head(v) : LT_OK;
}

static int
verify_file(struct verify *v, const struct lt_audit_dir *d, uint64_t n, struct lt_buf *b)
{
	size_t good = 0;
	uint64_t had;
	int rc;

	lt_buf_clear(b);
	rc = lt_audit_dir_read(d, n, b, v->err);
	if (rc == LT_E_NOTFOUND)
		return rc;
	if (rc == LT_OK)
		rc = lt_audit_frames(lt_buf_slice(b), on_frame, v, &good);
	had = n == d->last ? lt_audit_synced_of(&v->synced, v->chain.at.log, n) : 0;
	/* What was being written when the machine stopped: nobody has answered for it. */
	if ((rc == LT_E_GAP || rc == LT_E_CORRUPT) && n == d->last && good >= had &&
	    v->err->text[0] == '\0') {
		v->out->torn = b->len - good;
		rc = LT_OK;
	}
	if (rc == LT_OK && good < had)
		rc = lt_err_both(v->err, LT_E_GAP,
		    "file %llu ends at %zu, and %llu bytes of it had been synced",
		    "tệp %llu kết thúc ở %zu, trong khi đĩa đã nhận %llu byte của nó",
		    (unsigned long long)n, good, (unsigned long long)had);
	if (rc != LT_OK && v->err->text[0] == '\0')
		(void)lt_err_both(v->err, rc,
		    "the bytes of file %llu are damaged or cut off at %zu",
		    "các byte của tệp %llu bị hỏng hoặc bị cắt ở vị trí %zu", (unsigned long long)n,
		    good);
	if (rc != LT_OK) {
		v->out->bad_file = n;
		v->out->bad_at = good;
	}
	v->out->files++;
	return rc;
}

/* A file that was listed is not there. If those before it went too it was let go, and so were they: begin again behind them. */
static int
begin_again(struct verify *v, const struct lt_audit_dir *d, uint64_t *n)
{
	struct lt_audit_dir now;

	if (lt_audit_dir_list(d->dir, &now, NULL) == LT_OK && now.first > *n) {
		lt_audit_chain_fini(&v->chain);
		memset(v->out, 0, sizeof(*v->out));
		v->seen_log = false;
		v->err->text[0] = '\0';
		*n = now.first - 1;
		return LT_OK;
	}
	v->out->bad_file = *n;
	return lt_err_both(
	    v->err, LT_E_GAP, "file %llu is missing", "thiếu tệp %llu", (unsigned long long)*n);
}

/* The head that was seen is not in what is otherwise good. */
static int
not_witnessed(struct verify *v)
{
	unsigned long long no = v->seen->no;

	v->out->expired = v->seen_log && v->seen->no < v->seen_from;
	if (v->out->expired)
		return lt_err_both(v->err, LT_E_NOTFOUND,
		    "head %llu is older than what is kept of the log, which begins behind head "
		    "%llu",
		    "đầu chuỗi %llu cũ hơn phần còn giữ của nhật ký, bắt đầu sau đầu chuỗi %llu",
		    no, (unsigned long long)v->seen_from - 1);
	if (!v->seen_log)
		return lt_err_both(v->err, LT_E_GAP,
		    "head %llu that had been signed is of a log of which no file is here",
		    "đầu chuỗi %llu đã ký thuộc một nhật ký mà ở đây không còn tệp nào", no);
	return lt_err_both(v->err, LT_E_GAP,
	    "the log ends at head %llu, and head %llu that had been signed is not in it: a part "
	    "was "
	    "taken away",
	    "nhật ký kết thúc ở đầu chuỗi %llu, thiếu đầu chuỗi %llu đã ký: một phần đã bị lấy mất",
	    (unsigned long long)v->out->last_head, no);
}

int
lt_audit_dir_verify(const struct lt_audit_dir *d, const uint8_t root_key[32],
    const struct lt_audit_seen *seen, int (*tick)(void *ctx), void *tick_ctx,
    struct lt_audit_report *out, struct lt_err *err)
{
	struct verify v = { .root_key = root_key, .out = out, .seen = seen };
	struct lt_err own = { "" };
	struct lt_buf b = { 0 };
	uint64_t n;
	int rc = LT_OK;

	memset(out, 0, sizeof(*out));
	v.err = err != NULL ? err : &own;
	v.err->text[0] = '\0';
	lt_audit_synced_read(d->dir, &v.synced);
	if (d->last == 0 && seen != NULL)
		rc = lt_err_both(v.err, LT_E_GAP,
		    "the log of the audit is gone: head %llu had been signed",
		    "nhật ký truy cập đã mất: đầu chuỗi %llu từng được ký",
		    (unsigned long long)seen->no);
	else if (d->last == 0)
		rc = lt_err_both(v.err, LT_E_NOTFOUND, "there is no audit here",
		    "ở đây không có nhật ký truy cập; hãy xem lại thư mục (-C)");
	for (n = d->first; rc == LT_OK && n != 0 && n <= d->last; n++) {
		rc = verify_file(&v, d, n, &b);
		if (rc == LT_E_NOTFOUND)
			rc = begin_again(&v, d, &n);
		if (rc == LT_OK && tick != NULL)
			rc = tick(tick_ctx);
	}
	out->last_log = v.chain.at.log;
	out->last_head = v.chain.begun ? v.chain.next_head - 1 : 0;
	out->last_seq = v.chain.begun ? v.chain.next_seq - 1 : 0;
	out->unsigned_entries = v.chain.nopen;
	if (rc == LT_OK && seen != NULL && !out->witnessed)
		rc = not_witnessed(&v);
	lt_audit_chain_fini(&v.chain);
	lt_buf_fini(&b);
	return rc;
}
