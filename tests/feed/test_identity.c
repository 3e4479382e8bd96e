/* The identity file: what is written comes back, and every damage, mode and foreign owner is refused. */
#include "proto/feed/identity.h"

#include "proto/base/file.h"
#include "proto/feed/trust.h"

#include <setjmp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[80];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/lt_identity_XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/identity", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static void
node(struct lt_identity *id)
{
	memset(id, 0, sizeof(*id));
	id->role = LTPB__ROLE__ROLE_NODE;
	memset(id->root_key, 1, 32);
	memset(id->salt, 2, 16);
	lt_federation_id(id->root_key, id->salt, &id->federation);
	lt_identity_keys(id);
	memset(id->hub_line_key, 3, 32);
	assert_int_equal(lt_unit_set(&id->unit, lt_slice("23956", 5)), LT_OK);
	memset(id->token, 4, 16);
	(void)snprintf(id->addresses, sizeof(id->addresses), "tcp://a:1 tcp://b:2");
}

static int
load(struct lt_err *err)
{
	struct lt_identity *id = NULL;
	int rc = lt_identity_load(dir, &id, err);

	assert_true((rc == LT_OK) == (id != NULL));
	lt_identity_free(id);
	return rc;
}

/* Is the page that has this address locked in memory (VmFlags "lo", proc(5))? */
static bool
is_locked(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uintptr_t from = 0, to = 0;
	bool here = false, locked = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own words */
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			here = from <= (uintptr_t)at && (uintptr_t)at < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			locked = strstr(line, " lo") != NULL;
	}
	(void)fclose(f);
	return locked;
}

/* Keys lie in pages that are not swapped out, also those that were read from the file. */
static void
keys_are_locked(void **state)
{
	struct lt_identity plain, *id = lt_identity_new();
	struct lt_err err = { "" };
	struct rlimit lock;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* the sanitizers' mlock() does nothing */
#endif
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &lock), 0);
	if (lock.rlim_cur < 65536 && geteuid() != 0)
		skip(); /* not allowed to this user: the program says so and goes on */
	node(&plain);
	assert_false(is_locked(&plain));
	assert_non_null(id);
	assert_true(is_locked(id));
	lt_identity_free(id);
	assert_int_equal(lt_identity_write(&plain, dir, false, &err), LT_OK);
	assert_int_equal(lt_identity_load(dir, &id, &err), LT_OK);
	assert_true(is_locked(id));
	assert_true(is_locked((const uint8_t *)id + sizeof(*id) - 1));
	lt_identity_free(id);
}

static void
fresh_keys(void **state)
{
	struct lt_identity a, b;
	uint8_t shared1[32], shared2[32];

	(void)state;
	node(&a);
	node(&b);
	assert_memory_not_equal(a.sign.pk, b.sign.pk, 32);
	assert_memory_not_equal(a.line_sk, b.line_sk, 32);
	assert_memory_not_equal(a.principal.b, b.principal.b, 16);
	assert_int_equal(a.key_no, 1);
	/* The pairs are pairs. */
	assert_int_equal(crypto_scalarmult(shared1, a.line_sk, b.line_pk), 0);
	assert_int_equal(crypto_scalarmult(shared2, b.line_sk, a.line_pk), 0);
	assert_memory_equal(shared1, shared2, 32);
	/* Only what is missing is made up: a new key of the same principal. */
	b = a;
	b.key_no = 2;
	lt_identity_keys(&b);
	assert_memory_equal(a.principal.b, b.principal.b, 16);
	assert_int_equal(b.key_no, 2);
	assert_memory_not_equal(a.sign.sk, b.sign.sk, 64);
}

static void
written_comes_back(void **state)
{
	struct lt_identity id, *back = NULL;
	struct stat st;

	(void)state;
	node(&id);
	assert_int_equal(load(NULL), LT_E_NOTFOUND);
	assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(lt_identity_load(dir, &back, NULL), LT_OK);
	assert_int_equal(back->role, LTPB__ROLE__ROLE_NODE);
	assert_memory_equal(back->federation.b, id.federation.b, 32);
	assert_memory_equal(back->root_key, id.root_key, 32);
	assert_memory_equal(back->salt, id.salt, 16);
	assert_memory_equal(back->principal.b, id.principal.b, 16);
	assert_int_equal(back->key_no, 1);
	assert_memory_equal(&back->sign, &id.sign, sizeof(id.sign));
	assert_memory_equal(back->line_sk, id.line_sk, 32);
	assert_memory_equal(back->line_pk, id.line_pk, 32);
	assert_memory_equal(back->hub_line_key, id.hub_line_key, 32);
	assert_string_equal(back->unit.s, "23956");
	assert_string_equal(back->org, "");
	assert_memory_equal(back->token, id.token, 16);
	assert_string_equal(back->addresses, "tcp://a:1 tcp://b:2");
	assert_int_equal(back->certificate.len, 0);
	lt_identity_free(back);
	lt_identity_free(NULL);
}

/* An identity is not overwritten by mistake: its keys would be lost. */
static void
replaced_only_when_asked(void **state)
{
	struct lt_identity a, b, *back = NULL;

	(void)state;
	node(&a);
	node(&b);
	assert_int_equal(lt_identity_write(&a, dir, false, NULL), LT_OK);
	assert_int_equal(lt_identity_write(&b, dir, false, NULL), LT_E_EXISTS);
	assert_int_equal(lt_identity_load(dir, &back, NULL), LT_OK);
	assert_memory_equal(back->sign.pk, a.sign.pk, 32);
	lt_identity_free(back);
	assert_int_equal(lt_identity_write(&b, dir, true, NULL), LT_OK);
	assert_int_equal(lt_identity_load(dir, &back, NULL), LT_OK);
	assert_memory_equal(back->sign.pk, b.sign.pk, 32);
	lt_identity_free(back);
}

static void
hub_with_longest_names(void **state)
{
	struct lt_identity id, *back = NULL;
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_buf cert = { 0 };
	struct lt_sign_key root;
	uint8_t seed[32] = { 7 };

	(void)state;
	node(&id);
	lt_sign_key_from_seed(seed, &root);
	memcpy(id.root_key, root.pk, 32);
	lt_federation_id(id.root_key, id.salt, &id.federation);
	id.role = LTPB__ROLE__ROLE_HUB;
	assert_int_equal(lt_unit_set(&id.unit, lt_slice("52", 2)), LT_OK);
	memset(id.org, 'o', LT_NAME_MAX);
	memset(id.addresses, 'a', sizeof(id.addresses) - 1);
	body.federation.data = id.federation.b;
	body.federation.len = 32;
	body.principal.data = id.principal.b;
	body.principal.len = 16;
	body.sign_key.data = id.sign.pk;
	body.sign_key.len = 32;
	body.line_key.data = id.line_pk;
	body.line_key.len = 32;
	body.key_no = 1;
	body.role = LTPB__ROLE__ROLE_HUB;
	assert_int_equal(lt_certificate_make(&body, &root, &cert), LT_OK);
	id.certificate = lt_buf_slice(&cert);
	assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_OK);
	assert_int_equal(lt_identity_load(dir, &back, NULL), LT_OK);
	assert_int_equal(strlen(back->addresses), sizeof(id.addresses) - 1);
	assert_int_equal(strlen(back->org), LT_NAME_MAX);
	assert_true(lt_slice_eq(back->certificate, lt_buf_slice(&cert)));
	lt_identity_free(back);
	/* The same certificate beside other keys. */
	lt_identity_keys(&id);
	assert_int_equal(lt_identity_write(&id, dir, true, NULL), LT_E_INVALID);
	assert_int_equal(load(NULL), LT_OK);
	lt_buf_fini(&cert);
}

static void
nonsense_is_not_written(void **state)
{
	struct lt_identity id;
	size_t i;

	(void)state;
	for (i = 0; i < 9; i++) {
		node(&id);
		if (i == 0)
			id.role = LTPB__ROLE__ROLE_UNSPECIFIED;
		else if (i == 1)
			id.federation.b[0] ^= 1;
		else if (i == 2)
			id.key_no = 0;
		else if (i == 3)
			memset(id.principal.b, 0, 16);
		else if (i == 4)
			id.unit.s[0] = '\0';
		else if (i == 5)
			id.unit.s[2] = '\0'; /* a province */
		else if (i == 6)
			id.unit.s[2] = 'x';
		else if (i == 7)
			id.role = LTPB__ROLE__ROLE_HUB; /* of a commune */
		else
			memset(id.addresses, 'a', sizeof(id.addresses));
		assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_E_INVALID);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void
other_modes_are_refused(void **state)
{
	static const unsigned modes[] = { 0640, 0604, 0660, 0666, 0644, 0700, 0400, 0000, 04600 };
	struct lt_identity id;
	size_t i;

	(void)state;
	node(&id);
	assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_OK);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(load(NULL), LT_E_DENIED);
	}
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(load(NULL), LT_OK);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
		assert_int_equal(load(NULL), LT_E_DENIED);
	}
}

static void
open_directories_are_refused(void **state)
{
	static const unsigned modes[] = { 0701, 0704, 0702, 0710, 0740, 0720, 0755, 0777, 01777 };
	struct lt_identity id;
	struct lt_err err = { "" };
	struct stat st;
	size_t i;

	(void)state;
	node(&id);
	assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_OK);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(dir, modes[i]), 0);
		assert_int_equal(load(&err), LT_E_DENIED);
		assert_non_null(strstr(err.text, "chmod 700"));
		/* It is told, not mended: somebody has to know that others were in there. */
		assert_int_equal(stat(dir, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
	}
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(load(NULL), LT_OK);
	if (geteuid() == 0) {
		assert_int_equal(chown(dir, 65534, (gid_t)-1), 0);
		assert_int_equal(load(&err), LT_E_DENIED);
		assert_non_null(strstr(err.text, "belongs to user 65534"));
		assert_int_equal(chown(dir, 0, (gid_t)-1), 0);
	}
}

static void
links_pipes_and_folders_are_refused(void **state)
{
	struct lt_identity id;
	char other[96];

	(void)state;
	node(&id);
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(lt_identity_write(&id, dir, false, NULL), LT_OK);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink("other", path), 0);
	assert_int_equal(load(NULL), LT_E_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(NULL), LT_E_DENIED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(load(NULL), LT_E_DENIED);
	assert_int_equal(rmdir(path), 0);
}

/* Without the syncs of lt_file_write(): this happens thousands of times. */
static void
put(const void *data, size_t len)
{
	FILE *f;

	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
read_back(struct lt_buf *b)
{
	struct lt_identity id;

	node(&id);
	assert_int_equal(lt_identity_write(&id, dir, true, NULL), LT_OK);
	assert_int_equal(lt_file_read(path, 1 << 20, b, NULL), LT_OK);
}

/* Every byte changed, every length short of the whole, bytes after the end. */
static void
damage_is_refused(void **state)
{
	struct lt_buf b = { 0 };
	size_t i;

	(void)state;
	read_back(&b);
	for (i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		put(b.data, b.len);
		assert_int_equal(load(NULL), LT_E_INVALID);
		b.data[i] ^= 1;
	}
	for (i = 0; i < b.len; i++) {
		put(b.data, i);
		assert_int_equal(load(NULL), LT_E_INVALID);
	}
	put(b.data, b.len);
	assert_int_equal(load(NULL), LT_OK);
	lt_buf_str(&b, "\n");
	put(b.data, b.len);
	assert_int_equal(load(NULL), LT_E_INVALID);
	lt_buf_fini(&b);
}

/* The file with lines changed and a sum that fits: what a careless hand or program would leave. */
static int
load_edited(const char *text, struct lt_err *err)
{
	static const uint8_t head[] = { 0, 0, 0, 8, 'i', 'd', 'e', 'n', 't', 'i', 't', 'y', 0, 0, 0,
		0 };
	const struct lt_slice parts[2] = { lt_slice(head, sizeof(head)), lt_slice_str(text) };
	struct lt_buf b = { 0 };
	struct lt_hash h;
	char hex[17];
	int rc;

	lt_h("lt1.value", parts, 2, &h);
	lt_hex(hex, h.b, 8);
	lt_buf_printf(&b, "%ssum=%s\n", text, hex);
	put(b.data, b.len);
	rc = load(err);
	lt_buf_fini(&b);
	return rc;
}

static void
each_line_is_needed_once(void **state)
{
	struct lt_buf b = { 0 }, edited = { 0 };
	struct lt_err err = { "" };
	char *line, *end, *secret;
	size_t names = 0;

	(void)state;
	read_back(&b);
	lt_buf_u8(&b, 0);
	*strstr((char *)b.data, "sum=") = '\0';
	assert_int_equal(load_edited((char *)b.data, NULL), LT_OK);
	for (line = strchr((char *)b.data, '\n') + 1; *line != '\0'; line = end, names++) {
		end = strchr(line, '\n') + 1;
		lt_buf_clear(&edited);
		lt_buf_put(&edited, b.data, (size_t)(line - (char *)b.data));
		lt_buf_str(&edited, end);
		lt_buf_u8(&edited, 0);
		assert_int_equal(load_edited((char *)edited.data, &err), LT_E_INVALID);
		assert_non_null(strstr(err.text, "no line"));
		lt_buf_clear(&edited);
		lt_buf_str(&edited, (char *)b.data);
		lt_buf_put(&edited, line, (size_t)(end - line));
		lt_buf_u8(&edited, 0);
		assert_int_equal(load_edited((char *)edited.data, &err), LT_E_INVALID);
		assert_non_null(strstr(err.text, "second time"));
	}
	assert_int_equal(names, 14);
	/* A bad digit in a secret: the error does not show the line. */
	secret = strstr((char *)b.data, "sign_seed=") + 10;
	secret[5] = 'x';
	assert_int_equal(load_edited((char *)b.data, &err), LT_E_INVALID);
	secret[20] = '\0';
	assert_null(strstr(err.text, secret + 8));
	lt_buf_fini(&b);
	lt_buf_fini(&edited);
}

static void
edited_lines_are_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} t[] = {
		{ "role=01", "role=00" },
		{ "role=01", "role=06" },
		{ "role=01", "role=02" }, /* a hub of a commune */
		{ "role=01", "role=0001" },
		{ "role=01", "role=1" },
		{ "role=01", "role 01" },
		{ "role=01", "rule=01" },
		{ "role=01", "role=01\nextra=00" },
		{ "role=01", "role=01\n" },
		{ "role=01", "role=01\r" },
		{ "key_no=00000001", "key_no=00000000" },
		{ "key_no=00000001", "key_no=1" },
		{ "unit=3233393536", "unit=" },
		{ "unit=3233393536", "unit=3233" },
		{ "unit=3233393536", "unit=3233003536" },
		{ "unit=3233393536", "unit=323339353637383930" },
		{ "salt=02", "salt=03" },
		{ "salt=02", "salt=0202" },
		{ "token=04", "token=" },
		{ "certificate=", "certificate=00" },
		{ "addresses=74", "addresses=00" },
	};
	struct lt_buf b = { 0 }, e = { 0 };
	char *at;
	size_t i;

	(void)state;
	read_back(&b);
	lt_buf_u8(&b, 0);
	*strstr((char *)b.data, "sum=") = '\0';
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		at = strstr((char *)b.data, t[i].from);
		assert_non_null(at);
		lt_buf_clear(&e);
		lt_buf_put(&e, b.data, (size_t)(at - (char *)b.data));
		lt_buf_str(&e, t[i].to);
		lt_buf_str(&e, at + strlen(t[i].from));
		lt_buf_u8(&e, 0);
		if (load_edited((char *)e.data, NULL) != LT_E_INVALID)
			fail_msg("accepted: %s", t[i].to);
	}
	put("LTID2\n", 6);
	assert_int_equal(load(NULL), LT_E_INVALID);
	put("", 0);
	assert_int_equal(load(NULL), LT_E_INVALID);
	/* A file far larger than any. */
	lt_buf_clear(&e);
	for (i = 0; i < 40000; i++)
		lt_buf_u8(&e, 'a');
	put(e.data, e.len);
	assert_int_equal(load(NULL), LT_E_INVALID);
	lt_buf_fini(&b);
	lt_buf_fini(&e);
}

/* Two slots: the first is whole at any moment, the second goes into it and is gone. */
static void
second_slot_follows(void **state)
{
	struct lt_identity now, next, *back = NULL;
	struct lt_err err = { "" };
	char second[96];
	struct stat st;

	(void)state;
	(void)snprintf(second, sizeof(second), "%s/identity.next", dir);
	node(&now);
	assert_int_equal(lt_identity_write(&now, dir, false, &err), LT_OK);
	assert_int_equal(lt_identity_load_next(dir, &back, &err), LT_E_NOTFOUND);
	assert_int_equal(lt_identity_forget_next(dir, &err), LT_OK);
	next = now;
	next.key_no = 2;
	lt_identity_keys(&next);
	assert_int_equal(next.key_no, 2);
	assert_memory_equal(next.principal.b, now.principal.b, LT_ID_LEN);
	assert_memory_not_equal(next.sign.pk, now.sign.pk, 32);
	assert_memory_not_equal(next.line_pk, now.line_pk, 32);
	assert_int_equal(lt_identity_write_next(&next, dir, &err), LT_OK);
	assert_int_equal(stat(second, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(lt_identity_load(dir, &back, &err), LT_OK);
	assert_int_equal(back->key_no, 1);
	assert_memory_equal(back->line_sk, now.line_sk, 32);
	lt_identity_free(back);
	assert_int_equal(lt_identity_load_next(dir, &back, &err), LT_OK);
	assert_int_equal(back->key_no, 2);
	assert_memory_equal(back->line_sk, next.line_sk, 32);
	assert_memory_equal(back->sign.pk, next.sign.pk, 32);
	assert_int_equal(lt_identity_follow(back, dir, &err), LT_OK);
	lt_identity_free(back);
	assert_int_equal(lt_identity_load_next(dir, &back, &err), LT_E_NOTFOUND);
	assert_int_equal(lt_identity_load(dir, &back, &err), LT_OK);
	assert_int_equal(back->key_no, 2);
	assert_memory_equal(back->sign.pk, next.sign.pk, 32);
	lt_identity_free(back);
	/* It is read as carefully as the first. */
	assert_int_equal(lt_identity_write_next(&now, dir, &err), LT_OK);
	assert_int_equal(chmod(second, 0644), 0);
	assert_int_equal(lt_identity_load_next(dir, &back, &err), LT_E_DENIED);
	assert_int_equal(lt_identity_forget_next(dir, &err), LT_OK);
	assert_int_not_equal(stat(second, &st), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fresh_keys),
		T(keys_are_locked),
		T(written_comes_back),
		T(replaced_only_when_asked),
		T(hub_with_longest_names),
		T(nonsense_is_not_written),
		T(other_modes_are_refused),
		T(open_directories_are_refused),
		T(links_pipes_and_folders_are_refused),
		T(damage_is_refused),
		T(each_line_is_needed_once),
		T(edited_lines_are_refused),
		T(second_slot_follows),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
