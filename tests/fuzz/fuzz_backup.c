/* What a restore reads before anything else: the manifest of a backup, and the escrow of a hub's keys.
 *
 * Input: u8 kind, bytes. MANIFEST: of the file. ESCROW: of the file, as somebody may have changed it. SEALED: of the body, sealed
 * to the root as by somebody who knows the root's public key, which everybody does. The mutator changes bodies by their schema
 * and signs manifests again. Must hold: what is taken names a federation that is its root key's, is signed by the key it
 * names, and of a hub by a key that the root certified; nothing is taken when one more bit is changed.
 */
#include "proto/base/wire.h"
#include "proto/feed/escrow.h"
#include "proto/store/backup.h"
#include "tests/fuzz/lib/changeset.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST, ESCROW, SEALED, KINDS };

static struct lt_sign_key root, key;
static uint8_t salt[16], line_sk[32], line_pk[32];
static struct lt_fed fed;
static struct lt_buf words, certificate;
static char dir[64], manifest[96];

static void
remove_dir(void)
{
	(void)unlink(manifest);
	(void)rmdir(dir);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	Ltpb__CertificateBody c = LTPB__CERTIFICATE_BODY__INIT;
	uint8_t seed[32] = { 9 }, id[LT_ID_LEN] = { 7 };

	(void)argc;
	(void)argv;
	fuzz_setup();
	lt_sign_key_from_seed(seed, &root);
	lt_root_words(&words, seed);
	lt_buf_u8(&words, 0);
	fuzz_sign_key(&key);
	memset(salt, 3, sizeof(salt));
	memset(line_sk, 4, sizeof(line_sk));
	(void)crypto_scalarmult_base(line_pk, line_sk);
	lt_federation_id(root.pk, salt, &fed);
	c.federation.data = fed.b;
	c.federation.len = LT_FED_LEN;
	c.principal.data = id;
	c.principal.len = sizeof(id);
	c.sign_key.data = key.pk;
	c.line_key.data = line_pk;
	c.sign_key.len = c.line_key.len = 32;
	c.key_no = 1;
	c.role = LTPB__ROLE__ROLE_HUB;
	c.unit = (char *)(uintptr_t) "40";
	FUZZ_MUST(lt_certificate_make(&c, &root, &certificate) == LT_OK);
	(void)snprintf(dir, sizeof(dir), "%s/lt-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_MUST(mkdtemp(dir) != NULL);
	(void)snprintf(manifest, sizeof(manifest), "%s/manifest", dir);
	(void)atexit(remove_dir);
	return 0;
}

static int
read_manifest(struct lt_slice bytes, struct lt_backup_info *info)
{
	int fd = open(manifest, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;
	struct lt_backup_error e = { .why = LT_BACKUP_OTHER };

	FUZZ_MUST(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
	(void)close(fd);
	rc = lt_backup_read(dir, info, &e);
	FUZZ_MUST(rc == LT_OK || e.err.text[0] != '\0');
	return rc;
}

static void
a_manifest(struct lt_slice bytes)
{
	struct lt_backup_info info = { 0 };
	Ltpb__Backup *outer;
	Ltpb__BackupBody *b;
	struct lt_fed named;
	uint8_t *changed;

	if (read_manifest(bytes, &info) != LT_OK)
		return;
	outer = ltpb__backup__unpack(NULL, bytes.len, bytes.data);
	FUZZ_MUST(outer != NULL);
	b = ltpb__backup_body__unpack(NULL, outer->body.len, outer->body.data);
	FUZZ_MUST(b != NULL && b->sign_key.len == 32 && b->root_key.len == 32 && b->salt.len == 16);
	lt_federation_id(b->root_key.data, b->salt.data, &named);
	FUZZ_MUST(memcmp(named.b, info.federation.b, LT_FED_LEN) == 0);
	FUZZ_MUST(lt_sign_verify(b->sign_key.data, "lt1.manifest",
		      lt_slice(outer->body.data, outer->body.len),
		      lt_slice(outer->signature.data, outer->signature.len)) == LT_OK);
	/* The only certificate there is names this key. */
	FUZZ_MUST(info.role == LTPB__ROLE__ROLE_NODE ||
		  (info.role == LTPB__ROLE__ROLE_HUB && memcmp(b->sign_key.data, key.pk, 32) == 0));
	FUZZ_MUST(memchr(info.program, 0, sizeof(info.program)) != NULL);
	/* One more bit of what is signed. */
	changed = outer->body.data;
	changed[bytes.data[bytes.len / 2] % outer->body.len] ^= 0x04;
	{
		size_t n = ltpb__backup__get_packed_size(outer);
		uint8_t *packed = malloc(n);

		FUZZ_MUST(packed != NULL);
		(void)ltpb__backup__pack(outer, packed);
		FUZZ_MUST(read_manifest(lt_slice(packed, n), &info) != LT_OK);
		free(packed);
	}
	ltpb__backup_body__free_unpacked(b, NULL);
	ltpb__backup__free_unpacked(outer, NULL);
}

static void
an_escrow(struct lt_slice bytes)
{
	struct lt_identity *id = NULL;
	struct lt_err err = { "" };
	struct lt_fed named;
	int rc = lt_escrow_federation(bytes, &named, &err);
	int opened = lt_escrow_open(bytes, (const char *)words.data, &id, &err);

	FUZZ_MUST(opened != LT_OK || rc == LT_OK);
	if (opened == LT_OK) {
		FUZZ_MUST(memcmp(id->federation.b, named.b, LT_FED_LEN) == 0);
		FUZZ_MUST(memcmp(id->root_key, root.pk, 32) == 0);
		FUZZ_MUST(id->role == LTPB__ROLE__ROLE_HUB);
		FUZZ_MUST(memcmp(id->sign.pk, key.pk, 32) == 0);
		/* Of a secret the bits that X25519 sets itself say nothing. */
		FUZZ_MUST(memcmp(id->line_pk, line_pk, 32) == 0);
	} else {
		FUZZ_MUST(err.text[0] != '\0' && id == NULL);
	}
	lt_identity_free(id);
}

static void
a_sealed_body(struct lt_slice body)
{
	Ltpb__Escrow e = LTPB__ESCROW__INIT;
	uint8_t to[crypto_box_PUBLICKEYBYTES];
	struct lt_buf out = { 0 };

	e.version = 1;
	e.federation.data = fed.b;
	e.federation.len = LT_FED_LEN;
	e.root_key.data = root.pk;
	e.root_key.len = 32;
	e.salt.data = salt;
	e.salt.len = sizeof(salt);
	e.sealed.len = body.len + crypto_box_SEALBYTES;
	e.sealed.data = malloc(e.sealed.len);
	FUZZ_MUST(e.sealed.data != NULL);
	FUZZ_MUST(crypto_sign_ed25519_pk_to_curve25519(to, root.pk) == 0);
	FUZZ_MUST(crypto_box_seal(e.sealed.data, body.data, body.len, to) == 0);
	FUZZ_MUST(lt_wire_pack(&e.base, (size_t)1 << 20, &out) == LT_OK);
	an_escrow(lt_buf_slice(&out));
	lt_buf_fini(&out);
	free(e.sealed.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_slice bytes;
	struct fuzz_in in;
	unsigned kind;
	uint8_t *exact;

	fuzz_reseed(1);
	fuzz_in_init(&in, data, size);
	kind = fuzz_u8(&in) % KINDS;
	bytes = fuzz_rest(&in);
	exact = fuzz_copy(bytes);
	bytes.data = exact;
	if (kind == MANIFEST)
		a_manifest(bytes);
	else if (kind == ESCROW)
		an_escrow(bytes);
	else
		a_sealed_body(bytes);
	free(exact);
	return 0;
}

/* A manifest of our own making is where mutation starts: files, names and lengths as they must be. */
static size_t
fresh(unsigned kind, uint8_t *data, size_t max_size, unsigned seed)
{
	static const char *const name[] = { "data.mdb", "escrow", "heads", "identity",
		"lienthong.conf" };
	Ltpb__BackupFile file[5], *files[5];
	Ltpb__EscrowBody s = LTPB__ESCROW_BODY__INIT;
	Ltpb__BackupBody b = LTPB__BACKUP_BODY__INIT;
	uint8_t id[LT_ID_LEN] = { 7 }, hash[LT_HASH_LEN] = { 1 }, sign_seed[32];
	Ltpb__Backup outer = LTPB__BACKUP__INIT;
	uint8_t body[2048], sig[LT_SIG_LEN];
	size_t i, n;

	if (kind == SEALED) {
		(void)crypto_sign_ed25519_sk_to_seed(sign_seed, key.sk);
		s.federation.data = fed.b;
		s.federation.len = LT_FED_LEN;
		s.principal.data = id;
		s.principal.len = sizeof(id);
		s.key_no = 1;
		s.sign_seed.data = sign_seed;
		s.line_secret.data = line_sk;
		s.sign_seed.len = s.line_secret.len = 32;
		s.unit = (char *)(uintptr_t) "40";
		s.certificate.data = certificate.data;
		s.certificate.len = certificate.len;
		n = ltpb__escrow_body__get_packed_size(&s);
		return n <= max_size ? ltpb__escrow_body__pack(&s, data) : 0;
	}
	b.version = 1;
	b.federation.data = fed.b;
	b.federation.len = LT_FED_LEN;
	b.role = seed % 2 == 0 ? LTPB__ROLE__ROLE_HUB : LTPB__ROLE__ROLE_NODE;
	b.principal.data = id;
	b.id.data = hash;
	b.incarnation.data = hash;
	b.principal.len = b.id.len = b.incarnation.len = 16;
	b.unit = (char *)(uintptr_t)(seed % 2 == 0 ? "40" : "17254");
	b.key_no = 1;
	b.sign_key.data = key.pk;
	b.root_key.data = root.pk;
	b.sign_key.len = b.root_key.len = 32;
	b.salt.data = salt;
	b.salt.len = sizeof(salt);
	b.certificate.data = certificate.data;
	b.certificate.len = seed % 2 == 0 ? certificate.len : 0;
	b.program = (char *)(uintptr_t) "0.1.0";
	for (i = 0; i < 5; i++) {
		ltpb__backup_file__init(&file[i]);
		file[i].name = (char *)(uintptr_t)name[i];
		file[i].hash.data = hash;
		file[i].hash.len = LT_HASH_LEN;
		file[i].size = i;
		files[i] = &file[i];
	}
	b.n_file = 5;
	b.file = files;
	FUZZ_MUST(ltpb__backup_body__get_packed_size(&b) <= sizeof(body));
	outer.body.data = body;
	outer.body.len = ltpb__backup_body__pack(&b, body);
	lt_sign(&key, "lt1.manifest", lt_slice(body, outer.body.len), sig);
	outer.signature.data = sig;
	outer.signature.len = sizeof(sig);
	n = ltpb__backup__get_packed_size(&outer);
	return n <= max_size ? ltpb__backup__pack(&outer, data) : 0;
}

/* The body by its schema, and signed again by the key that it names, mostly. */
static size_t
mutate_manifest(uint8_t *data, size_t size, size_t max_size, struct fuzz_rng *rng)
{
	Ltpb__Backup *outer = ltpb__backup__unpack(NULL, size, data);
	uint8_t sig[LT_SIG_LEN], *body;
	size_t n, room = max_size > 256 ? max_size - 256 : 0;

	if (outer == NULL || outer->body.len > room) {
		if (outer != NULL)
			ltpb__backup__free_unpacked(outer, NULL);
		return fuzz_pb_mutate(&ltpb__backup__descriptor, data, size, max_size, rng);
	}
	body = malloc(room + 1);
	FUZZ_MUST(body != NULL);
	if (outer->body.len != 0)
		memcpy(body, outer->body.data, outer->body.len);
	n = fuzz_pb_mutate(&ltpb__backup_body__descriptor, body, outer->body.len, room, rng);
	free(outer->body.data);
	outer->body.data = body;
	outer->body.len = n;
	if (fuzz_below(rng, 8) != 0) {
		lt_sign(&key, "lt1.manifest", lt_slice(body, n), sig);
		free(outer->signature.data);
		outer->signature.data = fuzz_copy(lt_slice(sig, sizeof(sig)));
		outer->signature.len = sizeof(sig);
	}
	n = ltpb__backup__get_packed_size(outer);
	if (n <= max_size)
		size = ltpb__backup__pack(outer, data);
	ltpb__backup__free_unpacked(outer, NULL);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	unsigned kind = size == 0 ? seed % KINDS : data[0] % KINDS;

	if (max_size < 2 || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < 2 || fuzz_below(&rng, 64) == 0) {
		data[0] = (uint8_t)kind;
		if (kind == ESCROW)
			return LLVMFuzzerMutate(data, size == 0 ? 1 : size, max_size);
		return 1 + fresh(kind, data + 1, max_size - 1, seed);
	}
	if (kind == MANIFEST)
		return 1 + mutate_manifest(data + 1, size - 1, max_size - 1, &rng);
	return 1 + fuzz_pb_mutate(
		       kind == ESCROW ? &ltpb__escrow__descriptor : &ltpb__escrow_body__descriptor,
		       data + 1, size - 1, max_size - 1, &rng);
}
