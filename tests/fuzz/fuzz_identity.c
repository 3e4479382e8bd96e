/* Any bytes as the identity file of a data directory, which a daemon and ltctl read first.
 *
 * Input: u8 mode of the file (mostly 0600), then its bytes. The mutator changes lines and mostly makes the sum right again. Must hold:
 * only a file of mode 0600 is read; what is read can be written, and is the same when it is read again, as is what was
 * written; a refusal says why and shows none of the digits, of which some are keys.
 */
#include "proto/feed/identity.h"
#include "tests/fuzz/lib/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "LTID1\n"
#define SUM_LINE (4 + 16 + 1) /* sum=, 8 bytes in digits, newline */
#define LINES_MAX 64
#define SECRET_DIGITS 12 /* so many in a row in a complaint would be told */

static char dir[64], file[80];

static void
sweep(void)
{
	(void)unlink(file);
	(void)rmdir(dir);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)argc;
	(void)argv;
	fuzz_setup();
	(void)snprintf(dir, sizeof(dir), "%s/lt-fuzz-XXXXXX", tmp);
	FUZZ_MUST(mkdtemp(dir) != NULL);
	(void)snprintf(file, sizeof(file), "%s/identity", dir);
	FUZZ_MUST(atexit(sweep) == 0);
	return 0;
}

static void
put(const void *data, size_t size, mode_t mode)
{
	int fd;

	FUZZ_MUST(unlink(file) == 0 || errno == ENOENT);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FUZZ_MUST(fd >= 0 && fchmod(fd, mode) == 0);
	FUZZ_MUST(write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
}

static struct lt_buf
get(void)
{
	struct lt_buf b = { 0 };
	uint8_t *p = lt_buf_reserve(&b, 65536);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	FUZZ_MUST(fd >= 0 && p != NULL);
	n = read(fd, p, 65536);
	FUZZ_MUST(n >= 0 && n < 65536);
	lt_buf_added(&b, (size_t)n);
	(void)close(fd);
	return b;
}

static void
same(const struct lt_identity *a, const struct lt_identity *b)
{
	FUZZ_MUST(a->role == b->role && a->key_no == b->key_no);
	FUZZ_MUST(memcmp(&a->federation, &b->federation, sizeof(a->federation)) == 0);
	FUZZ_MUST(memcmp(a->root_key, b->root_key, 32) == 0);
	FUZZ_MUST(memcmp(a->salt, b->salt, sizeof(a->salt)) == 0);
	FUZZ_MUST(lt_id_eq(&a->principal, &b->principal));
	FUZZ_MUST(memcmp(&a->sign, &b->sign, sizeof(a->sign)) == 0);
	FUZZ_MUST(memcmp(a->line_sk, b->line_sk, 32) == 0);
	FUZZ_MUST(memcmp(a->line_pk, b->line_pk, 32) == 0);
	FUZZ_MUST(memcmp(a->hub_line_key, b->hub_line_key, 32) == 0);
	FUZZ_MUST(memcmp(a->token, b->token, sizeof(a->token)) == 0);
	FUZZ_MUST(strcmp(a->unit.s, b->unit.s) == 0 && strcmp(a->org, b->org) == 0);
	FUZZ_MUST(strcmp(a->addresses, b->addresses) == 0);
	FUZZ_MUST(lt_slice_eq(a->certificate, b->certificate));
}

/* Written, it is one spelling, whatever was read: read and written again, the same bytes. */
static void
check_again(const struct lt_identity *id)
{
	struct lt_identity *back = NULL;
	struct lt_err err = { "" };
	struct lt_buf once, twice;

	FUZZ_MUST(lt_identity_write(id, dir, false, &err) == LT_E_EXISTS);
	FUZZ_MUST(unlink(file) == 0);
	FUZZ_MUST(lt_identity_write(id, dir, false, &err) == LT_OK);
	once = get();
	FUZZ_MUST(lt_identity_load(dir, &back, &err) == LT_OK);
	same(id, back);
	FUZZ_MUST(lt_identity_write(back, dir, true, &err) == LT_OK);
	twice = get();
	FUZZ_MUST(lt_slice_eq(lt_buf_slice(&once), lt_buf_slice(&twice)));
	lt_identity_free(back);
	lt_buf_fini(&once);
	lt_buf_fini(&twice);
}

static bool
shows_digits(const char *text)
{
	size_t run = 0;

	for (; *text != '\0' && run < SECRET_DIGITS; text++)
		run = strchr("0123456789abcdefABCDEF", *text) != NULL ? run + 1 : 0;
	return run >= SECRET_DIGITS;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_identity *id = NULL;
	struct lt_err err = { "" };
	mode_t mode;
	int rc;

	if (size == 0)
		return 0;
	mode = data[0] < 240 ? 0600 : (mode_t)(0400 | (data[0] & 15) << 2);
	put(data + 1, size - 1, mode);
	rc = lt_identity_load(dir, &id, &err);
	FUZZ_MUST(rc == LT_OK || rc == LT_E_DENIED || rc == LT_E_INVALID || rc == LT_E_TOOBIG);
	FUZZ_MUST((rc == LT_E_DENIED) == (mode != 0600));
	FUZZ_MUST((rc == LT_OK) == (id != NULL) && (rc == LT_OK) == (err.text[0] == '\0'));
	FUZZ_MUST(!shows_digits(err.text));
	if (rc == LT_OK)
		check_again(id);
	lt_identity_free(id);
	return 0;
}

/* ---- mutation ---- */

/* The last line, over all before it. */
static void
put_sum(struct lt_buf *b)
{
	static const uint8_t place[] = { 0, 0, 0, 8, 'i', 'd', 'e', 'n', 't', 'i', 't', 'y', 0, 0,
		0, 0 };
	const struct lt_slice parts[2] = { lt_slice(place, sizeof(place)), lt_buf_slice(b) };
	struct lt_hash h;
	char hex[17];

	lt_h("lt1.value", parts, 2, &h);
	lt_hex(hex, h.b, 8);
	lt_buf_str(b, "sum=");
	lt_buf_str(b, hex);
	lt_buf_str(b, "\n");
}

/* A value that such a line might have, or any. */
static void
put_value(struct lt_buf *out, struct lt_slice was, struct fuzz_rng *rng)
{
	static const char *const some[] = { "", "01", "02", "03", "04", "05", "00", "06",
		"3137323534", "3430", "5f", "736f5f79", "00000000", "00000001", "ffffffff", "0",
		"zz", "AB", "7463703a2f2f613a31207463703a2f2f623a32" };
	uint8_t *p;
	size_t n;

	if (fuzz_below(rng, 3) == 0) {
		lt_buf_str(out, some[fuzz_below(rng, sizeof(some) / sizeof(some[0]))]);
		return;
	}
	p = malloc(was.len + 64);
	FUZZ_MUST(p != NULL);
	if (was.len != 0)
		memcpy(p, was.data, was.len);
	if (fuzz_below(rng, 2) == 0 && was.len != 0) {
		n = was.len;
		p[fuzz_below(rng, n)] = (uint8_t) "0123456789abcdef"[fuzz_below(rng, 16)];
	} else {
		n = LLVMFuzzerMutate(p, was.len, was.len + 64);
	}
	lt_buf_put(out, p, n);
	free(p);
}

static void
put_line(struct lt_buf *out, struct lt_slice line, bool change, struct fuzz_rng *rng)
{
	const uint8_t *eq = line.len == 0 ? NULL : memchr(line.data, '=', line.len);
	size_t name = eq == NULL ? 0 : (size_t)(eq - line.data) + 1;

	if (!change || eq == NULL) {
		lt_buf_put_slice(out, line);
		return;
	}
	lt_buf_put(out, line.data, name);
	put_value(out, lt_slice(line.data + name, line.len - name - 1), rng);
	lt_buf_str(out, "\n");
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	struct lt_slice line[LINES_MAX];
	struct lt_buf out = { 0 };
	size_t at, other, what, i, from = 1 + sizeof(MAGIC) - 1, n = 0;

	if (size <= from + SUM_LINE || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	for (i = from; i < size && n < LINES_MAX; i++)
		if (data[i] == '\n') {
			line[n++] = lt_slice(data + from, i + 1 - from);
			from = i + 1;
		}
	if (n < 2)
		return LLVMFuzzerMutate(data, size, max_size);
	n--; /* the sum is made */
	what = fuzz_below(&rng, 10);
	at = fuzz_below(&rng, n);
	other = fuzz_below(&rng, n);
	lt_buf_put(&out, data + 1, sizeof(MAGIC) - 1);
	for (i = 0; i < n; i++) {
		if (what == 0 && i == at)
			continue;
		put_line(&out, line[what == 1 && i == at ? other : i], what > 2 && i == at, &rng);
		if (what == 2 && i == at)
			put_line(&out, line[other], false, &rng);
	}
	put_sum(&out);
	if (fuzz_below(&rng, 32) == 0)
		data[0] = (uint8_t)fuzz_next(&rng);
	if (out.len + 1 <= max_size) {
		memcpy(data + 1, out.data, out.len);
		size = 1 + out.len;
	}
	lt_buf_fini(&out);
	return size;
}
