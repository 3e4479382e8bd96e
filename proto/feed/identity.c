#include "proto/feed/identity.h"

#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/feed/trust.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "LTID1\n"
/* Sum of what the format allows, with room: certificate 4 KiB and addresses 1 KiB in hex, and the keys. */
#define FILE_MAX (16 * 1024)
#define CERTIFICATE_MAX 4096
#define SUM_LEN 8

/* Every line of the file, in the order in which they are written. */
enum line {
	L_ROLE,
	L_FEDERATION,
	L_ROOT_KEY,
	L_SALT,
	L_PRINCIPAL,
	L_KEY_NO,
	L_SIGN_SEED,
	L_LINE_SECRET,
	L_HUB_LINE_KEY,
	L_UNIT,
	L_ORG,
	L_TOKEN,
	L_ADDRESSES,
	L_CERTIFICATE,
	L_SUM,
	LINES
};

static const struct {
	const char *name;
	size_t min, max; /* bytes */
} lines[LINES] = {
	[L_ROLE] = { "role", 1, 1 },
	[L_FEDERATION] = { "federation", LT_FED_LEN, LT_FED_LEN },
	[L_ROOT_KEY] = { "root_key", 32, 32 },
	[L_SALT] = { "salt", 16, 16 },
	[L_PRINCIPAL] = { "principal", LT_ID_LEN, LT_ID_LEN },
	[L_KEY_NO] = { "key_no", 4, 4 },
	[L_SIGN_SEED] = { "sign_seed", 32, 32 },
	[L_LINE_SECRET] = { "line_secret", 32, 32 },
	[L_HUB_LINE_KEY] = { "hub_line_key", 32, 32 },
	[L_UNIT] = { "unit", 0, LT_UNIT_MAX },
	[L_ORG] = { "org", 0, LT_NAME_MAX },
	[L_TOKEN] = { "token", 16, 16 },
	[L_ADDRESSES] = { "addresses", 0, sizeof(((struct lt_identity *)0)->addresses) - 1 },
	[L_CERTIFICATE] = { "certificate", 0, CERTIFICATE_MAX },
	[L_SUM] = { "sum", SUM_LEN, SUM_LEN },
};

/* The text of a file in guarded memory: it holds the secret keys. */
struct text {
	char *p;
	size_t len;
	bool full;
};

static int
io_err(struct lt_err *err, int rc, const char *en, const char *vi, const char *path, int e)
{
	char text[2][LT_ERR_TEXT];

	(void)snprintf(text[0], sizeof(text[0]), "%s \"%s\": %s", en, path, strerror(e));
	(void)snprintf(text[1], sizeof(text[1]), "%s \"%s\": %s", vi, path, lt_errno_vi(e));
	return lt_err_pair(err, rc, text[0], text[1]);
}

static int
text_init(struct text *t, struct lt_err *err)
{
	memset(t, 0, sizeof(*t));
	if (sodium_init() < 0 || (t->p = sodium_malloc(FILE_MAX + 1)) == NULL)
		return lt_err_set(err, LT_E_NOMEM, "identity: no memory for keys");
	return LT_OK;
}

static void
text_put(struct text *t, enum line which, const void *data, size_t len)
{
	size_t name = strlen(lines[which].name);

	if (FILE_MAX - t->len < name + 2 * len + 2) {
		t->full = true;
		return;
	}
	memcpy(t->p + t->len, lines[which].name, name);
	t->len += name;
	t->p[t->len++] = '=';
	lt_hex(t->p + t->len, data, len);
	t->len += 2 * len;
	t->p[t->len++] = '\n';
}

/* FORMAT.md 9.1. A key with one digit changed would
 * be a key too, and the hub would refuse it without anybody knowing why. */
static void
sum_of(const char *p, size_t len, uint8_t sum[SUM_LEN])
{
	static const uint8_t table[] = { 0, 0, 0, 8, 'i', 'd', 'e', 'n', 't', 'i', 't', 'y', 0, 0,
		0, 0 };
	const struct lt_slice parts[2] = { lt_slice(table, sizeof(table)), lt_slice(p, len) };
	struct lt_hash h;

	lt_h("lt1.value", parts, 2, &h);
	memcpy(sum, h.b, SUM_LEN);
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	return sodium_is_zero(p, n) == 1;
}

/* The hub's certificate must be of these keys; one copied from elsewhere would be refused by every node. */
static int
check_certificate(const struct lt_identity *id, struct lt_err *err)
{
	Ltpb__CertificateBody *body = NULL;
	struct lt_err why = { "" };
	struct lt_arena arena;
	int rc;

	if (id->certificate.len == 0)
		return LT_OK;
	lt_arena_init(&arena, lt_arena_cap_for(id->certificate.len));
	rc = lt_certificate_verify(
	    id->certificate, id->root_key, &id->federation, &arena, &body, &why);
	if (rc != LT_OK)
		rc = lt_err_set(err, LT_E_INVALID, "identity: %s", why.text);
	else if (memcmp(body->principal.data, id->principal.b, LT_ID_LEN) != 0 ||
		 memcmp(body->sign_key.data, id->sign.pk, 32) != 0 ||
		 memcmp(body->line_key.data, id->line_pk, 32) != 0)
		rc = lt_err_set(err, LT_E_INVALID, "identity: the certificate is of other keys");
	lt_arena_fini(&arena);
	return rc;
}

static int
check_unit(const struct lt_identity *id, struct lt_err *err)
{
	if (id->unit.s[0] != '\0' && !lt_unit_valid(id->unit.s))
		return lt_err_set(err, LT_E_INVALID, "identity: not a unit code");
	if (id->role == LTPB__ROLE__ROLE_NODE && !lt_unit_is_commune(&id->unit))
		return lt_err_set(err, LT_E_INVALID, "identity: a node without its commune");
	if (id->role == LTPB__ROLE__ROLE_HUB && !lt_unit_is_province(&id->unit))
		return lt_err_set(err, LT_E_INVALID, "identity: a hub without its province");
	return LT_OK;
}

/* What must hold of every identity, before it is written and after it is read. */
int
lt_identity_check(const struct lt_identity *id, struct lt_err *err)
{
	struct lt_fed fed;
	int rc;

	if (id->role < LTPB__ROLE__ROLE_NODE || id->role > LTPB__ROLE__ROLE_MIRROR)
		return lt_err_set(err, LT_E_INVALID, "identity: no role");
	lt_federation_id(id->root_key, id->salt, &fed);
	if (memcmp(fed.b, id->federation.b, LT_FED_LEN) != 0)
		return lt_err_set(
		    err, LT_E_INVALID, "identity: the federation is not that of root key and salt");
	if (id->key_no == 0 || all_zero(id->principal.b, LT_ID_LEN))
		return lt_err_set(err, LT_E_INVALID, "identity: no principal or key number");
	if (memchr(id->addresses, '\0', sizeof(id->addresses)) == NULL ||
	    memchr(id->org, '\0', sizeof(id->org)) == NULL ||
	    memchr(id->unit.s, '\0', sizeof(id->unit.s)) == NULL)
		return lt_err_set(err, LT_E_INVALID, "identity: a name is not ended");
	if (id->certificate.len > CERTIFICATE_MAX)
		return lt_err_set(err, LT_E_TOOBIG, "identity: the certificate is too long");
	rc = check_unit(id, err);
	return rc == LT_OK ? check_certificate(id, err) : rc;
}

void
lt_identity_keys(struct lt_identity *id)
{
	uint8_t seed[crypto_sign_SEEDBYTES];

	if (sodium_init() < 0)
		abort(); /* no randomness: better no keys than known ones */
	if (all_zero(id->principal.b, LT_ID_LEN))
		randombytes_buf(id->principal.b, LT_ID_LEN);
	if (id->key_no == 0)
		id->key_no = 1;
	randombytes_buf(seed, sizeof(seed));
	lt_sign_key_from_seed(seed, &id->sign);
	sodium_memzero(seed, sizeof(seed));
	randombytes_buf(id->line_sk, sizeof(id->line_sk));
	(void)crypto_scalarmult_base(id->line_pk, id->line_sk);
}

#define FIRST_SLOT "identity"
#define SECOND_SLOT "identity.next"

static int
path_of(const char *dir, const char *slot, char path[PATH_MAX], struct lt_err *err)
{
	if ((size_t)snprintf(path, PATH_MAX, "%s/%s", dir, slot) >= PATH_MAX)
		return lt_err_set(err, LT_E_INVALID, "identity: the folder's name is too long");
	return LT_OK;
}

static void
write_lines(struct text *t, const struct lt_identity *id)
{
	uint8_t seed[crypto_sign_SEEDBYTES], role = (uint8_t)id->role, key_no[4], sum[SUM_LEN];

	(void)crypto_sign_ed25519_sk_to_seed(seed, id->sign.sk);
	lt_store_u32(key_no, id->key_no);
	memcpy(t->p, MAGIC, sizeof(MAGIC) - 1);
	t->len = sizeof(MAGIC) - 1;
	text_put(t, L_ROLE, &role, 1);
	text_put(t, L_FEDERATION, id->federation.b, LT_FED_LEN);
	text_put(t, L_ROOT_KEY, id->root_key, 32);
	text_put(t, L_SALT, id->salt, 16);
	text_put(t, L_PRINCIPAL, id->principal.b, LT_ID_LEN);
	text_put(t, L_KEY_NO, key_no, 4);
	text_put(t, L_SIGN_SEED, seed, 32);
	text_put(t, L_LINE_SECRET, id->line_sk, 32);
	text_put(t, L_HUB_LINE_KEY, id->hub_line_key, 32);
	text_put(t, L_UNIT, id->unit.s, strlen(id->unit.s));
	text_put(t, L_ORG, id->org, strlen(id->org));
	text_put(t, L_TOKEN, id->token, 16);
	text_put(t, L_ADDRESSES, id->addresses, strlen(id->addresses));
	text_put(t, L_CERTIFICATE, id->certificate.data, id->certificate.len);
	sum_of(t->p, t->len, sum);
	text_put(t, L_SUM, sum, SUM_LEN);
	sodium_memzero(seed, sizeof(seed));
}

static int
write_slot(const struct lt_identity *id, const char *dir, const char *slot, bool replace,
    struct lt_err *err)
{
	char path[PATH_MAX];
	struct text t;
	int rc;

	if ((rc = path_of(dir, slot, path, err)) != LT_OK ||
	    (rc = lt_identity_check(id, err)) != LT_OK || (rc = text_init(&t, err)) != LT_OK)
		return rc;
	write_lines(&t, id);
	rc = t.full ? lt_err_set(err, LT_E_TOOBIG, "identity: more than %d bytes", FILE_MAX)
		    : lt_file_write(path, lt_slice(t.p, t.len), 0600, !replace, err);
	sodium_free(t.p);
	return rc;
}

int
lt_identity_write(const struct lt_identity *id, const char *dir, bool replace, struct lt_err *err)
{
	return write_slot(id, dir, FIRST_SLOT, replace, err);
}

int
lt_identity_write_next(const struct lt_identity *id, const char *dir, struct lt_err *err)
{
	return write_slot(id, dir, SECOND_SLOT, true, err);
}

int
lt_identity_forget_next(const char *dir, struct lt_err *err)
{
	char path[PATH_MAX];
	int rc = path_of(dir, SECOND_SLOT, path, err);

	if (rc == LT_OK && unlink(path) != 0 && errno != ENOENT)
		rc = io_err(err, LT_E_IO, "cannot remove", "không xóa được", path, errno);
	return rc;
}

int
lt_identity_follow(const struct lt_identity *next, const char *dir, struct lt_err *err)
{
	int rc = write_slot(next, dir, FIRST_SLOT, true, err);

	return rc == LT_OK ? lt_identity_forget_next(dir, err) : rc;
}

/* Only its owner may read it: whoever has the keys is this machine. */
static int
check_file(int fd, const char *path, struct lt_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return io_err(err, LT_E_IO, "cannot read", "không đọc được", path, errno);
	if (!S_ISREG(st.st_mode))
		return lt_err_both(err, LT_E_DENIED, "\"%s\" is not a regular file",
		    "\"%s\" không phải tệp thường; hãy xem lại thư mục", path);
	if (st.st_uid != geteuid())
		return lt_err_both(err, LT_E_DENIED,
		    "\"%s\" belongs to user %ld, this program runs as %ld",
		    "\"%s\" thuộc về người dùng %ld, chương trình này chạy bằng %ld; hãy dùng đúng "
		    "tài khoản",
		    path, (long)st.st_uid, (long)geteuid());
	if ((st.st_mode & 07777) != 0600)
		return lt_err_both(err, LT_E_DENIED,
		    "\"%s\" has mode %04o; it must be 0600, and if others could read it, new keys "
		    "are needed",
		    "\"%s\" có quyền %04o; hãy đặt lại 0600 (chmod 600), và nếu người khác đã đọc "
		    "được thì phải thay khóa",
		    path, (unsigned)(st.st_mode & 07777));
	return LT_OK;
}

/* Who may write here could put other keys in the place of ours, and who may look here sees which records there are. */
static int
check_dir(const char *dir, struct lt_err *err)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return io_err(err, errno == ENOENT ? LT_E_NOTFOUND : LT_E_IO, "cannot read",
		    "không đọc được", dir, errno);
	if (st.st_uid != geteuid())
		return lt_err_both(err, LT_E_DENIED,
		    "directory \"%s\" belongs to user %ld, this program runs as %ld",
		    "thư mục \"%s\" thuộc về người dùng %ld, chương trình này chạy bằng %ld; hãy "
		    "dùng đúng tài khoản",
		    dir, (long)st.st_uid, (long)geteuid());
	if ((st.st_mode & 0077) != 0)
		return lt_err_both(err, LT_E_DENIED,
		    "directory \"%s\" has mode %04o, others can get in; it must be its owner's "
		    "alone: "
		    "chmod 700 \"%s\"",
		    "thư mục \"%s\" có quyền %04o nên người khác vào được; hãy đặt lại cho riêng "
		    "chủ của nó: chmod 700 \"%s\"",
		    dir, (unsigned)(st.st_mode & 07777), dir);
	return LT_OK;
}

static int
read_file(const char *path, struct text *t, struct lt_err *err)
{
	int fd, rc, e;
	ssize_t n = 1;

	/* A pipe in its place must not block us, a link must not lead elsewhere. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		e = errno;
		rc = e == ENOENT ? LT_E_NOTFOUND
				 : (e == EACCES || e == ELOOP ? LT_E_DENIED : LT_E_IO);
		return io_err(err, rc, "cannot open", "không mở được", path, e);
	}
	rc = check_file(fd, path, err);
	while (rc == LT_OK && n != 0) {
		n = read(fd, t->p + t->len, FILE_MAX + 1 - t->len);
		if (n < 0 && errno != EINTR)
			rc = io_err(err, LT_E_IO, "cannot read", "không đọc được", path, errno);
		t->len += n > 0 ? (size_t)n : 0;
		if (t->len > FILE_MAX)
			rc = lt_err_both(err, LT_E_INVALID, "\"%s\" is too long",
			    "\"%s\" quá dài, không phải tệp danh tính; hãy phục hồi tệp từ bản sao "
			    "lưu",
			    path);
	}
	(void)close(fd);
	return rc;
}

struct field {
	bool given;
	size_t len;
	uint8_t *data; /* into the text, decoded in place */
};

static int
damaged(const struct text *t, const char *at, const char *what, struct lt_err *err)
{
	size_t i, line = 1;

	for (i = 0; t->p + i < at; i++)
		line += t->p[i] == '\n';
	/* Never the line itself: it may be a key. */
	return lt_err_set(err, LT_E_INVALID, "identity, line %zu: %s", line, what);
}

static int
find_line(const char *name, size_t len)
{
	int i;

	for (i = 0; i < LINES; i++)
		if (strlen(lines[i].name) == len && memcmp(lines[i].name, name, len) == 0)
			return i;
	return -1;
}

/* One line, hex decoded over itself. end: its newline, made the NUL that lt_unhex() wants. */
static int
read_line(struct text *t, char *line, char *end, struct field *f, struct lt_err *err)
{
	char *eq = memchr(line, '=', (size_t)(end - line));
	size_t digits;
	int which;

	which = eq == NULL ? -1 : find_line(line, (size_t)(eq - line));
	if (which < 0)
		return damaged(t, line, "not a known name and \"=\"", err);
	if (f[which].given)
		return damaged(t, line, "a name for the second time", err);
	digits = (size_t)(end - eq - 1);
	if (digits % 2 != 0 || digits / 2 < lines[which].min || digits / 2 > lines[which].max)
		return damaged(t, line, "wrong number of digits", err);
	*end = '\0';
	if (lt_unhex(eq + 1, digits / 2, eq + 1) != LT_OK)
		return damaged(t, line, "not hexadecimal digits", err);
	f[which].given = true;
	f[which].len = digits / 2;
	f[which].data = (uint8_t *)eq + 1;
	return LT_OK;
}

/* The sum is the last line and covers all before it; to be asked before they are decoded in place. */
static int
check_sum(const struct text *t, struct lt_err *err)
{
	const size_t last = sizeof("sum=") - 1 + 2 * SUM_LEN + 1;
	uint8_t sum[SUM_LEN];
	char want[2 * SUM_LEN + 1];

	if (t->len < sizeof(MAGIC) - 1 || memcmp(t->p, "LTID", 4) != 0)
		return lt_err_both(err, LT_E_INVALID, "identity: not an identity file",
		    "đây không phải tệp danh tính (identity); hãy phục hồi tệp từ bản sao lưu");
	if (memcmp(t->p, MAGIC, sizeof(MAGIC) - 1) != 0)
		return lt_err_both(err, LT_E_INVALID,
		    "identity: made by a newer program, or damaged",
		    "tệp danh tính (identity) do chương trình mới hơn ghi, hoặc bị hỏng; hãy cập "
		    "nhật chương trình, hoặc phục hồi tệp từ bản sao lưu");
	if (t->len < sizeof(MAGIC) - 1 + last || t->p[t->len - 1] != '\n' ||
	    memcmp(t->p + t->len - last, "sum=", 4) != 0)
		return lt_err_both(err, LT_E_INVALID,
		    "identity: cut off; restore the file from its backup",
		    "tệp danh tính (identity) bị cắt cụt; hãy phục hồi tệp từ bản sao lưu");
	sum_of(t->p, t->len - last, sum);
	lt_hex(want, sum, SUM_LEN);
	if (memcmp(want, t->p + t->len - last + 4, 2 * SUM_LEN) != 0)
		return lt_err_both(err, LT_E_INVALID,
		    "identity: damaged, the sum does not fit; restore the file from its backup",
		    "tệp danh tính (identity) bị hỏng, tổng kiểm tra không khớp; hãy phục hồi tệp "
		    "từ bản sao lưu");
	return LT_OK;
}

static int
read_lines(struct text *t, struct field f[LINES], struct lt_err *err)
{
	char *line = t->p + sizeof(MAGIC) - 1, *stop = t->p + t->len, *end;
	int i, rc;

	while (line < stop) {
		end = memchr(line, '\n', (size_t)(stop - line));
		if (end == NULL)
			return damaged(t, line, "not ended", err);
		rc = read_line(t, line, end, f, err);
		if (rc != LT_OK)
			return rc;
		line = end + 1;
	}
	for (i = 0; i < LINES; i++)
		if (!f[i].given)
			return lt_err_set(
			    err, LT_E_INVALID, "identity: no line \"%s\"", lines[i].name);
	return LT_OK;
}

/* Text without NUL into an array with room for max + 1. */
static int
take_text(char *out, const struct field *f, struct lt_err *err)
{
	if (memchr(f->data, '\0', f->len) != NULL)
		return lt_err_set(err, LT_E_INVALID, "identity: a text with a NUL in it");
	memcpy(out, f->data, f->len);
	out[f->len] = '\0';
	return LT_OK;
}

static int
fill(struct lt_identity *id, const struct field f[LINES], struct lt_err *err)
{
	uint8_t *certificate;
	size_t i;
	int rc;

	for (i = 0; i < LINES; i++)
		assert(f[i].data != NULL); /* the reader has seen every line */
	id->role = (Ltpb__Role)f[L_ROLE].data[0];
	memcpy(id->federation.b, f[L_FEDERATION].data, LT_FED_LEN);
	memcpy(id->root_key, f[L_ROOT_KEY].data, 32);
	memcpy(id->salt, f[L_SALT].data, 16);
	memcpy(id->principal.b, f[L_PRINCIPAL].data, LT_ID_LEN);
	id->key_no = lt_load_u32(f[L_KEY_NO].data);
	lt_sign_key_from_seed(f[L_SIGN_SEED].data, &id->sign);
	memcpy(id->line_sk, f[L_LINE_SECRET].data, 32);
	(void)crypto_scalarmult_base(id->line_pk, id->line_sk);
	memcpy(id->hub_line_key, f[L_HUB_LINE_KEY].data, 32);
	memcpy(id->token, f[L_TOKEN].data, 16);
	if ((rc = take_text(id->unit.s, &f[L_UNIT], err)) != LT_OK ||
	    (rc = take_text(id->org, &f[L_ORG], err)) != LT_OK ||
	    (rc = take_text(id->addresses, &f[L_ADDRESSES], err)) != LT_OK)
		return rc;
	if (f[L_CERTIFICATE].len == 0)
		return LT_OK;
	certificate = malloc(f[L_CERTIFICATE].len);
	if (certificate == NULL)
		return lt_err_set(err, LT_E_NOMEM, "identity: no memory");
	memcpy(certificate, f[L_CERTIFICATE].data, f[L_CERTIFICATE].len);
	id->certificate = lt_slice(certificate, f[L_CERTIFICATE].len);
	return LT_OK;
}

struct lt_identity *
lt_identity_new(void)
{
	struct lt_identity *id = sodium_malloc(sizeof(*id));

	if (id == NULL)
		return NULL;
	memset(id, 0, sizeof(*id));
	/* sodium_malloc() has tried and keeps silent when the system's limit is reached. */
	if (sodium_mlock(id, sizeof(*id)) != 0)
		lt_warn("cannot lock the keys in memory (limit of locked memory); they could be "
			"written to swap");
	return id;
}

static int
load_slot(const char *dir, const char *slot, struct lt_identity **out, struct lt_err *err)
{
	struct field f[LINES] = { { 0 } };
	struct lt_identity *id = NULL;
	char path[PATH_MAX];
	struct text t;
	int rc;

	if ((rc = path_of(dir, slot, path, err)) != LT_OK || (rc = check_dir(dir, err)) != LT_OK ||
	    (rc = text_init(&t, err)) != LT_OK)
		return rc;
	if ((rc = read_file(path, &t, err)) != LT_OK || (rc = check_sum(&t, err)) != LT_OK ||
	    (rc = read_lines(&t, f, err)) != LT_OK)
		goto out;
	id = lt_identity_new();
	rc = id == NULL ? lt_err_set(err, LT_E_NOMEM, "identity: no memory for keys")
			: fill(id, f, err);
	if (rc == LT_OK)
		rc = lt_identity_check(id, err);
	if (rc == LT_OK) {
		*out = id;
		id = NULL;
	}
out:
	lt_identity_free(id);
	sodium_free(t.p);
	return rc;
}

int
lt_identity_load(const char *dir, struct lt_identity **out, struct lt_err *err)
{
	return load_slot(dir, FIRST_SLOT, out, err);
}

int
lt_identity_load_next(const char *dir, struct lt_identity **out, struct lt_err *err)
{
	return load_slot(dir, SECOND_SLOT, out, err);
}

void
lt_identity_free(struct lt_identity *id)
{
	if (id == NULL)
		return;
	free((void *)(uintptr_t)id->certificate.data);
	sodium_free(id); /* zeroes */
}
