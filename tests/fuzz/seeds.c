/* fuzz_seeds FOLDER - first inputs of the fuzz targets, FOLDER/<target>/<name>: made of the golden vectors, of the samples in
 * tests/data and of what our own programs write. tools/fuzz.sh --seeds minimises them into the kept corpora.
 *
 * Exit 0, or 3: a file is not there or cannot be written.
 */
#include "proto/base/file.h"
#include "proto/base/wire.h"
#include "proto/feed/identity.h"
#include "proto/feed/proof.h"
#include "proto/feed/trust.h"
#include "proto/rpc/describe.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/methods.h"
#include "proto/rpc/zstd.h"
#include "proto/store/audit_dir.h"
#include "proto/store/checkpoints.h"
#include "tests/fuzz/lib/changeset.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/fuzz/lib/sample.h"
#include "tests/fuzz/lib/seed.h"
#include "tests/fuzz/lib/world.h"

#include "lienthong/v1/audit.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/rpc.pb-c.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder;
static json_t *golden;

/* Nothing is mutated here, but what mutates is in the same library. */
size_t
LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	(void)data;
	(void)max_size;
	return size;
}

void
fuzz_seed(const char *target, const char *name, struct lt_slice bytes)
{
	char path[4096];
	struct lt_err err = { "" };

	(void)snprintf(path, sizeof(path), "%s/%s", folder, target);
	if (lt_dir_make(path, 0755, &err) != LT_OK)
		goto fail;
	(void)snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	if (lt_file_write(path, bytes, 0644, false, &err) == LT_OK)
		return;
fail:
	(void)fprintf(stderr, "%s\n", err.text);
	exit(3);
}

/* head, then bytes. */
static void
seed2(const char *target, const char *name, struct lt_slice head, struct lt_slice bytes)
{
	struct lt_buf b = { 0 };

	lt_buf_put_slice(&b, head);
	lt_buf_put_slice(&b, bytes);
	fuzz_seed(target, name, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

/* A value of the golden vectors, from hexadecimal. */
static struct lt_buf
vector(const json_t *in, const char *name)
{
	const char *hex = json_string_value(json_object_get(in, name));
	struct lt_buf b = { 0 };
	size_t n = hex == NULL ? 0 : strlen(hex) / 2;
	uint8_t *p = lt_buf_reserve(&b, n + 1);

	FUZZ_MUST(hex != NULL && p != NULL && lt_unhex(p, n, hex) == LT_OK);
	lt_buf_added(&b, n);
	return b;
}

static size_t
message_number(const ProtobufCMessageDescriptor *d)
{
	const ProtobufCMessageDescriptor *const *all;
	size_t n, i;

	all = fuzz_messages(&n);
	for (i = 0; i < n; i++)
		if (all[i] == d)
			return i;
	FUZZ_MUST(false);
	return 0;
}

static void
wire_seed(const char *name, const ProtobufCMessageDescriptor *d, struct lt_slice bytes)
{
	uint8_t number = (uint8_t)message_number(d);

	seed2("wire", name, lt_slice(&number, 1), bytes);
}

static void
changesets(void)
{
	static const char *const from[] = { "changeset", "changeset_first" };
	static const char *const form[] = { "bare", "with_seed", "with_salts", "with_withheld" };
	static const char *const lean[] = { "lean_with_seed", "lean_with_salts",
		"lean_with_withheld" };
	struct fuzz_sample sample;
	char name[64];
	struct lt_buf b;
	size_t i, k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < 4; k++) {
			b = vector(
			    json_object_get(json_object_get(golden, from[i]), "made"), form[k]);
			(void)snprintf(name, sizeof(name), "%s_%s", from[i], form[k]);
			b.len = fuzz_changeset_fix(b.data, b.len, b.len);
			fuzz_seed("changeset", name, lt_buf_slice(&b));
			wire_seed(name, &ltpb__change_set__descriptor, lt_buf_slice(&b));
			lt_buf_fini(&b);
		}
	for (k = 0; k < 3; k++) {
		b = vector(json_object_get(json_object_get(golden, from[0]), "made"), lean[k]);
		fuzz_seed("changeset", lean[k], lt_buf_slice(&b));
		lt_buf_fini(&b);
	}
	fuzz_sample(&sample);
	fuzz_seed("changeset", "sample", lt_buf_slice(&sample.bytes));
	wire_seed("header", &ltpb__header__descriptor, sample.cs.header);
	wire_seed("change", &ltpb__change__descriptor, sample.cs.change_raw[0]);
	fuzz_sample_free(&sample);
}

static void
openings(void)
{
	static const uint8_t whole[2] = { 0, 255 }, some[2] = { 0, 0x55 }, one[2] = { 1, 0 };
	struct fuzz_sample sample;
	Ltpb__ChangeSet *cs;
	uint8_t *p;
	size_t i, n;
	char name[64];

	fuzz_sample(&sample);
	cs = ltpb__change_set__unpack(NULL, sample.bytes.len, sample.bytes.data);
	FUZZ_MUST(cs != NULL && cs->openings != NULL);
	p = malloc(protobuf_c_message_get_packed_size(&cs->openings->base));
	FUZZ_MUST(p != NULL);
	n = protobuf_c_message_pack(&cs->openings->base, p);
	seed2("opening", "seed", lt_slice(whole, 2), lt_slice(p, n));
	seed2("opening", "seed_some", lt_slice(some, 2), lt_slice(p, n));
	for (i = 0; i < sample.cs.nopening; i++) {
		(void)snprintf(name, sizeof(name), "field%zu", i);
		seed2("opening", name, lt_slice(one, 2), sample.cs.opening[i].field_set);
	}
	for (i = 0; i < sample.cs.change[0].nset; i++) {
		(void)snprintf(name, sizeof(name), "public%zu", i);
		seed2("opening", name, lt_slice(one, 2), sample.cs.change[0].set[i].raw);
	}
	free(p);
	protobuf_c_message_free_unpacked(&cs->base, NULL);
	fuzz_sample_free(&sample);
}

/* Of the federation and key that fuzz_trust.c has. */
static void
signed_seeds(void)
{
	static uint8_t fed[LT_FED_LEN], id[LT_ID_LEN] = { 7 }, pk[32] = { 8 },
					hash[LT_HASH_LEN] = { 9 };
	static uint8_t feed[LT_FEED_LEN] = { [LT_ID_LEN] = LT_LANE_NORMAL };
	static const uint8_t kind[2] = { 0, 1 };
	Ltpb__CertificateBody c = LTPB__CERTIFICATE_BODY__INIT;
	Ltpb__RefusedDot refused = LTPB__REFUSED_DOT__INIT, *refuseds[1] = { &refused };
	Ltpb__Clamp clamp = LTPB__CLAMP__INIT, *clamps[1] = { &clamp };
	Ltpb__ReceiptBody r = LTPB__RECEIPT_BODY__INIT;
	struct lt_buf out = { 0 };
	struct lt_sign_key key;

	fuzz_sign_key(&key);
	memset(fed, 0x40, sizeof(fed));
	c.federation.data = r.federation.data = fed;
	c.federation.len = r.federation.len = LT_FED_LEN;
	c.principal.data = r.hub.data = id;
	c.principal.len = r.hub.len = LT_ID_LEN;
	c.sign_key.data = c.line_key.data = pk;
	c.sign_key.len = c.line_key.len = 32;
	c.key_no = r.key_no = 1;
	c.role = LTPB__ROLE__ROLE_NODE;
	c.unit = r.unit = (char *)(uintptr_t) "23956";
	FUZZ_MUST(lt_certificate_make(&c, &key, &out) == LT_OK);
	seed2("trust", "certificate_here", lt_slice(&kind[0], 1), lt_buf_slice(&out));
	lt_buf_clear(&out);
	r.feed.data = feed;
	r.feed.len = LT_FEED_LEN;
	r.hash.data = hash;
	r.hash.len = LT_HASH_LEN;
	r.seq = clamp.from = clamp.to = refused.seq = 5;
	refused.reason = LTPB__REASON_CODE__REASON_ENUM;
	r.n_refused = r.n_clamp = 1;
	r.refused = refuseds;
	r.clamp = clamps;
	r.since_ms = LT_BUILD_FLOOR_MS;
	FUZZ_MUST(lt_receipt_make(&r, &key, &out) == LT_OK);
	seed2("trust", "receipt_here", lt_slice(&kind[1], 1), lt_buf_slice(&out));
	lt_buf_fini(&out);
}

static void
trust(void)
{
	static const uint8_t kind[4] = { 0, 1, 2, 3 };
	static const char status[] =
	    "\x08\x05\x12\x09not there\x1a\x0f\x0a\x09NOT_FOUND\x12\x02lt\x22\x03\x08\xe8\x07";
	const json_t *t = json_object_get(golden, "trust");
	struct lt_buf b;
	const char *line = json_string_value(json_object_get(t, "invitation_line"));
	const char *words = json_string_value(json_object_get(t, "root_words"));
	struct lt_arena arena;
	Ltpb__Invitation *inv;
	struct lt_err err = { "" };

	b = vector(t, "certificate");
	seed2("trust", "certificate", lt_slice(&kind[0], 1), lt_buf_slice(&b));
	wire_seed("certificate", &ltpb__certificate__descriptor, lt_buf_slice(&b));
	lt_buf_fini(&b);
	b = vector(t, "receipt");
	seed2("trust", "receipt", lt_slice(&kind[1], 1), lt_buf_slice(&b));
	wire_seed("receipt", &ltpb__receipt__descriptor, lt_buf_slice(&b));
	lt_buf_fini(&b);
	seed2("trust", "status", lt_slice(&kind[2], 1), lt_slice(status, sizeof(status) - 1));
	seed2("invitation", "line", lt_slice(&kind[0], 1), lt_slice_str(line));
	seed2("invitation", "words", lt_slice(&kind[1], 1),
	    lt_slice_str("gao vam kia xe hop viu cai tim"));
	seed2("invitation", "root_words", lt_slice(&kind[2], 1), lt_slice_str(words));
	seed2("invitation", "text", lt_slice((const uint8_t *)"\300", 1), lt_slice_str(line));
	seed2("invitation", "torn", lt_slice((const uint8_t *)"\301", 1),
	    lt_slice_str("\001\002\003\004\005\006\007 and so on"));
	lt_arena_init(&arena, 1u << 20);
	FUZZ_MUST(lt_invitation_parse(line, &arena, &inv, &err) == LT_OK);
	memset(&b, 0, sizeof(b));
	FUZZ_MUST(lt_wire_pack(&inv->base, 65536, &b) == LT_OK);
	seed2("invitation", "message", lt_slice(&kind[3], 1), lt_buf_slice(&b));
	wire_seed("invitation", &ltpb__invitation__descriptor, lt_buf_slice(&b));
	lt_buf_fini(&b);
	lt_arena_fini(&arena);
}

/* See the head of fuzz_audit.c: its kinds, in that order. */
enum {
	AUDIT_FILES,
	AUDIT_ENTRIES,
	AUDIT_PARTS,
	AUDIT_HEADS,
	AUDIT_STARTS,
	AUDIT_WITNESS,
	AUDIT_LOSSES,
	AUDIT_SHOWN
};

static void
audit_seed(const char *name, uint8_t kind, struct lt_slice bytes)
{
	seed2("audit", name, lt_slice(&kind, 1), bytes);
}

struct audit {
	struct lt_sign_key key; /* of root and hub */
	struct lt_audit_chain chain;
	struct lt_buf cert, log, frame; /* frame: payload of the last one */
};

static void
audit_frame(struct audit *a, enum lt_audit_frame type)
{
	struct lt_err err = { "" };

	if (lt_audit_chain_add(&a->chain, type, lt_buf_slice(&a->frame), a->key.pk, &err) != LT_OK)
		fuzz_broken(err.text, __FILE__, __LINE__);
	lt_audit_frame_put(&a->log, type, lt_buf_slice(&a->frame));
}

static void
audit_start(struct audit *a)
{
	struct lt_audit_start s = { .key_no = 1,
		.certificate = lt_buf_slice(&a->cert),
		.log = 5,
		.segment = a->chain.at.segment + 1,
		.next_seq = a->chain.begun ? a->chain.next_seq : 1,
		.next_head = a->chain.begun ? a->chain.next_head : 1,
		.prev = a->chain.prev,
		.time_ms = 1000,
		.nunits = (uint32_t)a->chain.nunit };
	struct lt_buf units = { 0 }, body = { 0 };
	size_t i;

	memset(s.federation.b, 0x40, LT_FED_LEN);
	memset(s.hub.b, 0x33, LT_ID_LEN);
	for (i = 0; i < a->chain.nunit; i++) {
		lt_buf_framed8(&units, lt_slice_str(a->chain.unit[i].unit));
		lt_buf_u64(&units, a->chain.unit[i].no);
		lt_buf_put(&units, a->chain.unit[i].leaf.b, LT_HASH_LEN);
	}
	s.units = lt_buf_slice(&units);
	lt_audit_start_put(&body, &s);
	audit_seed(a->chain.begun ? "start_next" : "start", AUDIT_STARTS, lt_buf_slice(&body));
	lt_buf_clear(&a->frame);
	lt_audit_signed_put(&a->frame, &a->key, LT_TAG_AUDIT_START, lt_buf_slice(&body));
	audit_frame(a, LT_AUDIT_START);
	lt_buf_fini(&units);
	lt_buf_fini(&body);
}

/* Of two units, with a proof of the first one's part under a head of this entry alone. */
static void
audit_entry(struct audit *a, struct lt_hash path[1], struct lt_buf bytes[2])
{
	static const char *const units[] = { "17254", "*" };
	static const uint8_t salt[LT_AUDIT_SALT] = { 1, 2, 3 };
	struct lt_audit_entry e = { .kind = LT_AUDIT_READ,
		.seq = a->chain.next_seq,
		.time_ms = 1001,
		.until_ms = 1002,
		.count = 1,
		.who = { .kind = LT_AUDIT_LOCAL, .uid = 7 },
		.method = "/lienthong.v1.Query/List",
		.nparts = 2 };
	struct lt_buf parts = { 0 };
	uint8_t part_salt[LT_AUDIT_SALT];
	struct lt_hash leaf[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		const struct lt_audit_unit *u = lt_audit_chain_unit(&a->chain, units[i]);
		struct lt_audit_part p = {
			.no = u == NULL ? 1 : u->no + 1, .rows = 3, .ncollection = 1
		};
		struct lt_buf one = { 0 };

		(void)snprintf(p.unit, sizeof(p.unit), "%s", units[i]);
		(void)snprintf(p.collection[0], sizeof(p.collection[0]), "dossier");
		if (u != NULL)
			p.prev = u->leaf;
		lt_audit_part_put(&one, &p);
		lt_audit_part_salt(salt, i, part_salt);
		lt_audit_leaf(part_salt, lt_buf_slice(&one), &leaf[i]);
		lt_buf_framed(&parts, lt_buf_slice(&one));
		audit_seed(i == 0 ? "part" : "part_all", AUDIT_PARTS, lt_buf_slice(&one));
		if (i == 0)
			bytes[1] = one;
		else
			lt_buf_fini(&one);
	}
	lt_merkle_root(leaf, 2, &e.parts_root);
	path[0] = leaf[1];
	lt_buf_clear(&bytes[0]);
	lt_audit_entry_put(&bytes[0], &e);
	lt_buf_clear(&a->frame);
	lt_buf_framed(&a->frame, lt_buf_slice(&bytes[0]));
	lt_buf_put(&a->frame, salt, sizeof(salt));
	lt_buf_put_slice(&a->frame, lt_buf_slice(&parts));
	audit_seed("entry", AUDIT_ENTRIES, lt_buf_slice(&a->frame));
	audit_frame(a, LT_AUDIT_ENTRY);
	lt_buf_fini(&parts);
}

static struct lt_buf
audit_head(struct audit *a)
{
	struct lt_audit_head h = { .federation = a->chain.at.federation,
		.hub = a->chain.at.hub,
		.key_no = 1,
		.log = 5,
		.no = a->chain.next_head,
		.first = a->chain.next_seq - a->chain.nopen,
		.count = a->chain.nopen,
		.prev = a->chain.prev,
		.time_ms = 1003 };
	struct lt_buf body = { 0 };

	lt_merkle_root(a->chain.open, a->chain.nopen, &h.root);
	lt_audit_head_put(&body, &h);
	audit_seed("head", AUDIT_HEADS, lt_buf_slice(&body));
	lt_buf_clear(&a->frame);
	lt_audit_signed_put(&a->frame, &a->key, LT_TAG_AUDIT_HEAD, lt_buf_slice(&body));
	audit_frame(a, LT_AUDIT_HEAD);
	return body;
}

static void
audit_proof(
    const struct audit *a, struct lt_buf bytes[2], struct lt_hash path[1], struct lt_slice head)
{
	static const uint8_t salt[LT_AUDIT_SALT] = { 1, 2, 3 };
	Ltpb__AuditShown m = LTPB__AUDIT_SHOWN__INIT;
	ProtobufCBinaryData step = { LT_HASH_LEN, path[0].b };
	uint8_t part_salt[LT_AUDIT_SALT], sig[LT_SIG_LEN];
	struct lt_buf out = { 0 };

	lt_audit_part_salt(salt, 0, part_salt);
	lt_sign(&a->key, LT_TAG_AUDIT_HEAD, head, sig);
	m.entry = (ProtobufCBinaryData){ bytes[0].len, bytes[0].data };
	m.part = (ProtobufCBinaryData){ bytes[1].len, bytes[1].data };
	m.part_salt = (ProtobufCBinaryData){ sizeof(part_salt), part_salt };
	m.n_part_path = 1;
	m.part_path = &step;
	m.head = (ProtobufCBinaryData){ head.len, (uint8_t *)(uintptr_t)head.data };
	m.signature = (ProtobufCBinaryData){ sizeof(sig), sig };
	FUZZ_MUST(lt_wire_pack(&m.base, 65536, &out) == LT_OK);
	audit_seed("shown", AUDIT_SHOWN, lt_buf_slice(&out));
	lt_buf_fini(&out);
}

static void
audit_certificate(struct audit *a)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	uint8_t fed[LT_FED_LEN], hub[LT_ID_LEN], line[32];

	memset(fed, 0x40, sizeof(fed));
	memset(hub, 0x33, sizeof(hub));
	memset(line, 0x44, sizeof(line));
	fuzz_sign_key(&a->key);
	body.federation = (ProtobufCBinaryData){ sizeof(fed), fed };
	body.principal = (ProtobufCBinaryData){ sizeof(hub), hub };
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = 1;
	body.sign_key = (ProtobufCBinaryData){ 32, a->key.pk };
	body.line_key = (ProtobufCBinaryData){ sizeof(line), line };
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(&a->cert, 4096);
	FUZZ_MUST(lt_certificate_make(&body, &a->key, &a->cert) == LT_OK);
}

/* Two files of a log, and what lies beside it. */
static void
audits(void)
{
	struct lt_audit_lost l = { 5, 3, 9, 1000, 2000, "disk-full" };
	struct audit a = { .log = { 0 } };
	struct lt_buf bytes[2] = { { 0 } }, head, frame = { 0 };
	uint8_t record[LT_AUDIT_LOST_BYTES];
	struct lt_hash path[1];

	audit_certificate(&a);
	audit_start(&a);
	audit_entry(&a, path, bytes);
	head = audit_head(&a);
	audit_proof(&a, bytes, path, lt_buf_slice(&head));
	lt_audit_frame_put(&frame, LT_AUDIT_HEAD, lt_buf_slice(&a.frame));
	audit_seed("witness", AUDIT_WITNESS, lt_buf_slice(&frame));
	lt_buf_fini(&bytes[1]);
	audit_start(&a);
	audit_entry(&a, path, bytes);
	lt_buf_fini(&bytes[1]);
	audit_entry(&a, path, bytes);
	lt_buf_fini(&head);
	head = audit_head(&a);
	audit_seed("files", AUDIT_FILES, lt_buf_slice(&a.log));
	lt_audit_lost_put(&l, record);
	audit_seed("lost", AUDIT_LOSSES, lt_slice(record, sizeof(record)));
	lt_buf_fini(&bytes[0]);
	lt_buf_fini(&bytes[1]);
	lt_buf_fini(&head);
	lt_buf_fini(&frame);
	lt_buf_fini(&a.cert);
	lt_buf_fini(&a.log);
	lt_buf_fini(&a.frame);
	lt_audit_chain_fini(&a.chain);
}

/* Good proofs, each behind its root key. */
static void
proofs(void)
{
	const json_t *p = json_object_get(golden, "proof"), *good = json_object_get(p, "good");
	struct lt_buf root = vector(p, "root_key"), b;
	char name[32];
	size_t i;

	FUZZ_MUST(json_array_size(good) != 0);
	for (i = 0; i < json_array_size(good); i++) {
		b = vector(json_array_get(good, i), "proof");
		(void)snprintf(name, sizeof(name), "good%zu", i);
		seed2("proof", name, lt_buf_slice(&root), lt_buf_slice(&b));
		if (i == 0)
			wire_seed("proof", &ltpb__proof__descriptor, lt_buf_slice(&b));
		lt_buf_fini(&b);
	}
	lt_buf_fini(&root);
}

/* As it is written for the hub and the node of the small federation. */
static void
identity_seed(const char *name, const struct lt_identity *id)
{
	static const uint8_t mode = 0;
	char dir[] = "/tmp/lt-seeds-XXXXXX", path[64];
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	FUZZ_MUST(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/identity", dir);
	FUZZ_MUST(lt_identity_write(id, dir, false, &err) == LT_OK);
	FUZZ_MUST(lt_file_read(path, 65536, &b, &err) == LT_OK);
	seed2("identity", name, lt_slice(&mode, 1), lt_buf_slice(&b));
	lt_buf_fini(&b);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
identities(void)
{
	fuzz_world();
	identity_seed("node", fuzz_node_identity());
	FUZZ_MUST(
	    fuzz_hub_open(fuzz_world_store(FUZZ_HUB_LOG), fuzz_world_store(FUZZ_HUB_DERIVED)));
	identity_seed("hub", fuzz_hub()->f.hub_id);
	fuzz_hub_close();
}

static void
compressed(void)
{
	static const uint8_t whole = 0, empty[] = { 0, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0 };
	struct lt_buf b = fuzz_file("proto/FORMAT.md"), part = { 0 };
	size_t n;

	for (n = 2048; n <= 32768; n *= 4) {
		char name[32];

		lt_buf_clear(&part);
		lt_buf_put(&part, b.data, n);
		FUZZ_MUST(lt_zstd_pack(&part, LT_ZSTD_FAST));
		(void)snprintf(name, sizeof(name), "text%zu", n);
		seed2("zstd", name, lt_slice(&whole, 1), lt_buf_slice(&part));
	}
	seed2("zstd", "plain", lt_slice(&whole, 1), lt_slice(b.data, 1100));
	fuzz_seed("zstd", "empty", lt_slice(empty, sizeof(empty)));
	lt_buf_fini(&part);
	lt_buf_fini(&b);
}

/* The first lines of a file behind a head. */
static void
file_seed(const char *target, const char *name, struct lt_slice head, const char *path, size_t max)
{
	struct lt_buf b = fuzz_file(path);
	size_t n = b.len;

	if (n > max)
		for (n = max; n > 0 && b.data[n - 1] != '\n'; n--)
			;
	seed2(target, name, head, lt_slice(b.data, n));
	lt_buf_fini(&b);
}

static void
lists(void)
{
	static const char *const list[4] = { "a_ho_ngheo_luong_minh", "b_du_an_ia_ko",
		"c_ho_so_cu_ia_ko_tcvn3", "d_ho_so_cu_ia_ko_cp1258" };
	struct lt_buf head = { 0 }, m;
	uint8_t h[3] = { 0, 1, 7 };
	char path[256];
	uint8_t i;

	for (i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "tests/data/sample/%s.csv", list[i]);
		h[0] = i;
		file_seed("csv", list[i], lt_slice(h, 3), path, 1000);
	}
	h[0] = 5;
	lt_buf_put(&head, h, 3);
	m = fuzz_file("tools/data/import/ho_ngheo.json");
	lt_buf_u16(&head, (uint16_t)m.len);
	lt_buf_put_slice(&head, lt_buf_slice(&m));
	file_seed("csv", "own_map", lt_buf_slice(&head),
	    "tests/data/sample/a_ho_ngheo_luong_minh.csv", 1024);
	h[0] = 4;
	h[1] = 9;
	seed2("csv", "no_map", lt_slice(h, 3),
	    lt_slice_str("commune_code;household_no;head_name;members\n16906;HN1;\"A \"\"B\";5\n"));
	lt_buf_fini(&head);
	lt_buf_fini(&m);
}

static void
lines(void)
{
	static const uint8_t h[2] = { 2, 9 }, p[2] = { 14, 9 };

	seed2("jsonl", "dossier", lt_slice(h, 2),
	    lt_slice_str("{\"collection\":\"dossier\",\"commune_code\":\"23956\",\"dossier_code\":"
			 "\"000.00.16."
			 "H21-250701-0001\",\"procedure_code\":\"1.012784\",\"field_area\":\"ho_"
			 "tich\",\"received_at\":"
			 "\"2026-11-20T02:00:00.000Z\",\"due_date\":\"2026-11-25\",\"status\":"
			 "\"tiep_nhan\"}\n"));
	seed2("jsonl", "project", lt_slice(h, 2),
	    lt_slice_str("{\"collection\":\"investment_project\",\"commune_code\":\"23956\","
			 "\"project_no\":\"DA1\","
			 "\"name\":\"a\",\"priority\":1,\"total_vnd\":1000000000,\"progress_"
			 "percent\":37.5}\n"
			 "{\"collection\":\"household_poverty\",\"commune_code\":\"16906\","
			 "\"household_no\":\"HN1\","
			 "\"deprivation_codes\":[\"nha_o\",\"viec_lam\"],\"members\":null}\n"));
	file_seed("jsonl", "directives", lt_slice(p, 2), "tools/data/directives.jsonl", 1500);
}

static void
catalogues(void)
{
	json_error_t why;
	json_t *whole, *list, *one, *small;
	struct lt_buf b = fuzz_file("proto/data/catalogue.json");
	char *text;
	size_t i, k;
	char name[64];

	/* One seed a collection: small files are changed in more ways in the same time. */
	whole = json_loadb((const char *)b.data, b.len, 0, &why);
	list = json_object_get(whole, "collections");
	FUZZ_MUST(json_array_size(list) != 0);
	for (i = 0; i < json_array_size(list); i++) {
		one = json_array_get(list, i);
		small = json_copy(whole);
		(void)json_object_set_new(small, "collections", json_pack("[O]", one));
		text = json_dumps(small, JSON_COMPACT);
		for (k = 0; k < 60 && json_string_value(json_object_get(one, "id")) != NULL &&
			    json_string_value(json_object_get(one, "id"))[k] != '\0';
		     k++)
			name[k] = json_string_value(json_object_get(one, "id"))[k];
		name[k] = '\0';
		fuzz_seed("catalogue", name, lt_slice_str(text));
		free(text);
		json_decref(small);
	}
	json_decref(whole);
	lt_buf_fini(&b);
}

static void
config(void)
{
	fuzz_seed("config", "all",
	    lt_slice_str(
		"; a comment\n[hub]\nlisten = tcp://0.0.0.0:7340\nidle_timeout = 2m ; "
		"so\nthreads=8\n\n[store]\n"
		"map_size = 16G\nsync = no\n[log]\nlevel = warn\nany = -7\n[node]\nmust = x y\n"));
	fuzz_seed(
	    "config", "bad", lt_slice_str("[hub]\nlisten\n[nosuch]\na = b\n[log]\nlevel = loud\n"));
	fuzz_seed("config", "bom",
	    lt_slice_str("\xef\xbb\xbf[store]\r\nmap_size = 1048576\r\nsync=TRUE\r\n"));
}

static void
line_and_frames(void)
{
	/* Everything delivered, and frames both ways; then the same with one bit flipped, a knock mended, and so on. */
	static const uint8_t open[] = { 5, 3, 7, 7, 7, 0x18, 0, 4, 'a', 7, 8, 0, 9, 'b', 0x18, 0, 0,
		'c', 7, 0x18, 0, 2, 'd', 0x18, 0, 3, 'e', 7 };
	static const uint8_t local[] = { 4, 3, 7, 0x18, 0, 4, 'a', 7, 8, 0, 9, 'b', 7 };
	static const uint8_t flip[] = { 5, 9, 0, 20, 0x12, 0, 200, 0x16, 0x11, 0, 255, 7, 7 };
	static const uint8_t cut[] = { 5, 9, 7, 7, 0x18, 0, 4, 'a', 0x10, 5, 0x14, 2, 0x18, 0, 4,
		'a', 7 };
	static const uint8_t mux[] = { 0, 2, 3, 'x', 4, 0, 9, 26, 26, 26, 26, 9, 11, 7, 0, 200, 27,
		27, 15, 24, 255, 13, 27, 27 };
	static const uint8_t strange[] = { 20, 1, 2, 0, 0, 3, 'a', 'b', 'c', 20, 2, 2, 0, 4, 'a',
		'b', 'c', 'd', 20, 4, 2, 0, 0 };
	static const uint8_t alone[4] = { 0, 1, 2, 3 };
	uint8_t frame[LT_FRAME_MAX];
	struct lt_buf b = { 0 };
	size_t n;

	fuzz_seed("line", "open", lt_slice(open, sizeof(open)));
	fuzz_seed("line", "local", lt_slice(local, sizeof(local)));
	fuzz_seed("line", "flip", lt_slice(flip, sizeof(flip)));
	fuzz_seed("line", "cut", lt_slice(cut, sizeof(cut)));
	for (n = 0; n < 4; n++) {
		lt_buf_clear(&b);
		lt_buf_u8(&b, alone[n]);
		lt_buf_u8(&b, 4);
		lt_buf_u8(&b, 19);
		lt_buf_str(&b, "LT1\n0123456789abcdef");
		fuzz_seed("line",
		    n == 0   ? "alone0"
		    : n == 1 ? "alone1"
		    : n == 2 ? "alone2"
			     : "alone3",
		    lt_buf_slice(&b));
	}
	fuzz_seed("frame", "mux", lt_slice(mux, sizeof(mux)));
	fuzz_seed("frame", "strange", lt_slice(strange, sizeof(strange)));
	n = lt_frame_build(frame, LT_FRAME_DATA, 3, 1, lt_slice_str("hello"));
	fuzz_seed("frame", "data", lt_slice(frame, n));
	lt_buf_fini(&b);
}

/* Method 4 is Pull, 17 a health check; see the heads of the targets. */
static void
calls(void)
{
	static const uint8_t unary[] = { 0, 1, 2, 0, 0, 0, 1, 0, 17, 0, 0, 12, 0, 100, 5, 6, 0, 0,
		8, '1', '2', '3', '4', '5', '6', '7', '8' };
	static const uint8_t stream[] = { 0, 10, 0x00, 0xff, 0xff, 0xf0, 1, 0, 4, 0, 2, 0x10, 1, 5,
		5, 1, 0, 4, 0, 1, 0, 0, 5, 5, 1, 0, 4, 0, 2, 0, 0, 13, 0, 5, 4, 1, 0, 0 };
	static const uint8_t held[] = { 0, 10, 0, 0, 0, 0xaa, 1, 0, 1, 0, 0, 1, 12, 2, 0, 0, 13, 0,
		45, 0, 11, 255, 255 };
	static const uint8_t many[] = { 0, 17, 64, 3, 17, 64, 4, 17, 64, 5, 1, 64, 6, 9, 11, 255,
		255, 9, 8, 1, 0x47, 64, 1, 2, 0, 0 };
	static const uint8_t answer[] = { 0, 0, 1, 3, 0, 0, 2, 10, 0, 5, 0, 0, 0, 9, 0x20, 2, 0x35,
		0, 0, 10, 7, 0, 5, 1, 5 };
	static const uint8_t goaway[] = { 0, 0, 1, 1, 2, 7, 8, 0, 0, 4, 0, 0, 0, 1, 10, 0, 11, 255,
		255, 14 };

	fuzz_seed("rpc_server", "unary", lt_slice(unary, sizeof(unary)));
	fuzz_seed("rpc_server", "stream", lt_slice(stream, sizeof(stream)));
	fuzz_seed("rpc_server", "held", lt_slice(held, sizeof(held)));
	fuzz_seed("rpc_server", "many", lt_slice(many, sizeof(many)));
	fuzz_seed("rpc_client", "answer", lt_slice(answer, sizeof(answer)));
	fuzz_seed("rpc_client", "goaway", lt_slice(goaway, sizeof(goaway)));
}

static void
query_seed(const char *name, uint8_t method, const ProtobufCMessage *m)
{
	const uint8_t head[2] = { method, 0 };
	struct lt_buf b = { 0 };

	FUZZ_MUST(lt_wire_pack(m, 65536, &b) == LT_OK);
	seed2("query", name, lt_slice(head, 2), lt_buf_slice(&b));
	lt_buf_fini(&b);
}

/* Over the collection of tests/store/query_model.c. */
static void
questions(void)
{
	Ltpb__ListRequest list = LTPB__LIST_REQUEST__INIT;
	Ltpb__AggregateRequest sum = LTPB__AGGREGATE_REQUEST__INIT;
	Ltpb__GetRequest get = LTPB__GET_REQUEST__INIT;
	Ltpb__HistoryRequest history = LTPB__HISTORY_REQUEST__INIT;
	Ltpb__Filter f[3] = { LTPB__FILTER__INIT, LTPB__FILTER__INIT, LTPB__FILTER__INIT },
		     *filters[3];
	Ltpb__Value v[3] = { LTPB__VALUE__INIT, LTPB__VALUE__INIT, LTPB__VALUE__INIT }, *values[3];
	static char item[] = "item", t[] = "t", n[] = "n", s[] = "s", unit[] = "17254",
		    by_unit[] = "_unit", m[] = "m", a[] = "a", key[] = "a/1";
	char *groups[2] = { by_unit, t }, *sums[2] = { n, m }, *units[1] = { unit };
	size_t i;

	list.collection = sum.collection = get.collection = history.collection = item;
	query_seed("list", 0, &list.base);
	f[0].field = t;
	f[1].field = n;
	f[2].field = s;
	v[0].v_case = v[2].v_case = LTPB__VALUE__V_TEXT;
	v[0].text = v[2].text = a;
	v[1].v_case = LTPB__VALUE__V_INTEGER;
	v[1].integer = 2;
	for (i = 0; i < 3; i++) {
		filters[i] = &f[i];
		values[i] = &v[i];
		f[i].op =
		    i == 1 ? LTPB__FILTER_OP__FILTER_OP_LE : LTPB__FILTER_OP__FILTER_OP_PREFIX;
		f[i].value = &values[i];
		f[i].n_value = 1;
	}
	list.filter = sum.filter = filters;
	list.n_filter = sum.n_filter = 1;
	list.order_by = n;
	list.descending = true;
	list.unit = units;
	query_seed("list_filter", 0, &list.base);
	list.n_unit = 1;
	list.n_filter = 3;
	query_seed("list_filters", 0, &list.base);
	sum.group_by = groups;
	sum.n_group_by = 2;
	sum.sum = sums;
	sum.n_sum = 2;
	query_seed("aggregate", 1, &sum.base);
	get.unit = history.unit = unit;
	get.key = history.key = key;
	query_seed("get", 2, &get.base);
	query_seed("history", 3, &history.base);
}

/* Kinds of fuzz_store.c: each store read, and a machine opened over it. */
static void
stores(void)
{
	static const uint8_t kind[6] = { 0, 1, 2, 64, 65, 66 };
	uint8_t b[8] = { 0, 3, 0, 0, 0, 1, 0, 9 };
	char name[32];
	size_t i;

	for (i = 0; i < 6; i++) {
		b[0] = kind[i];
		b[2] = (uint8_t)(7 + i); /* record, shown, index, history, digest, overlay */
		(void)snprintf(name, sizeof(name), "kind%zu", i);
		fuzz_seed("store", name, lt_slice(b, i < 3 ? 1 : 8));
	}
}

/* What a hub and a node really said: requests of the node, items of its pull, and small messages by hand. */
static void
sync_seed(const char *name, uint8_t kind, const struct lt_slice *message, size_t n)
{
	struct lt_buf b = { 0 };
	size_t i;

	lt_buf_u8(&b, kind);
	for (i = 0; i < n; i++) {
		lt_buf_u16(&b, (uint16_t)message[i].len);
		lt_buf_put_slice(&b, message[i]);
	}
	fuzz_seed("sync", name, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
sync_message(const char *name, uint8_t kind, const ProtobufCMessage *m)
{
	struct lt_buf b = { 0 };
	struct lt_slice s;

	FUZZ_MUST(lt_wire_pack(m, 60000, &b) == LT_OK);
	s = lt_buf_slice(&b);
	sync_seed(name, kind, &s, 1);
	lt_buf_fini(&b);
}

struct pulled {
	unsigned n;
};

static void
on_pulled(void *ctx, const ProtobufCMessage *m)
{
	struct pulled *p = ctx;
	char name[32];

	(void)snprintf(name, sizeof(name), "pull%u", p->n++);
	if (protobuf_c_message_get_packed_size(m) < 4096)
		sync_message(name, 8, m);
}

static void
on_reply(void *ctx, const ProtobufCMessage *m)
{
	sync_message(ctx, m->descriptor == &ltpb__hello_reply__descriptor ? 5 : 6, m);
}

/* One change-set asked for, and given, to either side (kinds 10 to 13). */
static void
repair_of(const struct lt_unit *unit, const struct lt_feed_id *feed, uint64_t seq,
    ProtobufCBinaryData *change_set)
{
	Ltpb__FetchRequest fetch = LTPB__FETCH_REQUEST__INIT;
	Ltpb__FetchReply fetched = LTPB__FETCH_REPLY__INIT;
	Ltpb__SupplyRequest supply = LTPB__SUPPLY_REQUEST__INIT;
	Ltpb__SupplyReply supplied = LTPB__SUPPLY_REPLY__INIT;
	Ltpb__ChangeSetName wanted = LTPB__CHANGE_SET_NAME__INIT, *names[] = { &wanted };

	wanted.unit = (char *)(uintptr_t)unit->s;
	wanted.feed.data = (uint8_t *)(uintptr_t)feed->b;
	wanted.feed.len = sizeof(feed->b);
	wanted.seq = seq;
	fetch.wanted = names;
	fetched.change_set = supply.change_set = change_set;
	fetch.n_wanted = fetched.n_change_set = supply.n_change_set = 1;
	supplied.taken = 1;
	sync_message("fetch", 10, &fetch.base);
	sync_message("supply", 11, &supply.base);
	sync_message("fetch_reply", 12, &fetched.base);
	sync_message("supply_reply", 13, &supplied.base);
}

static int
push_own(void *ctx, const struct lt_unit *unit, const struct lt_feed_id *feed,
    const struct lt_head *head)
{
	struct lt_kv_txn *txn = ctx;
	struct lt_id author = lt_feed_author(feed);
	Ltpb__PushRequest r = LTPB__PUSH_REQUEST__INIT;
	ProtobufCBinaryData d;
	struct lt_buf cs = { 0 };
	struct lt_entry e;
	struct lt_err err = { "" };
	uint64_t position, seq;
	char name[32];

	if (!lt_id_eq(&author, &fuzz_node_identity()->principal))
		return LT_OK;
	for (seq = 1; seq <= head->seq; seq++) {
		FUZZ_MUST(lt_feed_log_find(txn, unit, feed, seq, &position) == LT_OK);
		FUZZ_MUST(lt_feed_log_read(txn, position, &e) == LT_OK);
		FUZZ_MUST(lt_feed_log_compose(txn, &e, NULL, NULL, &cs, &err) == LT_OK);
		d.data = cs.data;
		d.len = cs.len;
		r.change_set = &d;
		r.n_change_set = 1;
		(void)snprintf(name, sizeof(name), "push%d_%d", (int)lt_feed_lane(feed), (int)seq);
		sync_message(name, 2, &r.base);
		repair_of(unit, feed, seq, &d);
		lt_buf_fini(&cs);
		memset(&cs, 0, sizeof(cs));
	}
	return LT_OK;
}

/* The hub's newest checkpoint with the node's signature, asked for and told. */
static void
cosigned(void)
{
	const struct lt_identity *id = fuzz_node_identity();
	Ltpb__AnnounceRequest ask = LTPB__ANNOUNCE_REQUEST__INIT;
	Ltpb__AnnounceReply told = LTPB__ANNOUNCE_REPLY__INIT;
	Ltpb__Cosignature s = LTPB__COSIGNATURE__INIT, *sigs[2] = { &s, &s };
	Ltpb__Checkpoint m = LTPB__CHECKPOINT__INIT, *all[2] = { &m, &m };
	struct lt_checkpoint_signed row;
	uint8_t sig[LT_SIG_LEN];
	struct lt_kv_txn *txn;
	struct lt_hash hash;

	FUZZ_MUST(lt_kv_begin_read(lt_hub_log(fuzz_hub()->f.hub), &txn) == LT_OK);
	FUZZ_MUST(lt_checkpoint_get(txn, &row) == LT_OK);
	lt_checkpoint_hash(row.body, &hash);
	lt_cosign(&id->sign, &id->principal, id->key_no, &hash, sig);
	m.body.data = (uint8_t *)(uintptr_t)row.body.data;
	m.body.len = row.body.len;
	m.signature.data = (uint8_t *)(uintptr_t)row.signature.data;
	m.signature.len = LT_SIG_LEN;
	s.principal.data = (uint8_t *)(uintptr_t)id->principal.b;
	s.principal.len = LT_ID_LEN;
	s.key_no = id->key_no;
	s.signature.data = sig;
	s.signature.len = LT_SIG_LEN;
	m.cosignature = sigs;
	m.n_cosignature = 1;
	ask.cosigned = told.checkpoint = &m;
	sync_message("announce_cosigned", 1, &ask.base);
	m.n_cosignature = 2;
	told.cosigned = all;
	told.n_cosigned = 2;
	sync_message("announce_reply_cosigned", 6, &told.base);
	lt_kv_abort(txn);
}

static void
replication(void)
{
	static char hello_name[] = "hello_reply", announce_name[] = "announce_reply";
	Ltpb__HelloRequest hello = LTPB__HELLO_REQUEST__INIT;
	Ltpb__AnnounceRequest announce = LTPB__ANNOUNCE_REQUEST__INIT;
	Ltpb__PullRequest pull = LTPB__PULL_REQUEST__INIT;
	Ltpb__JoinRequest join;
	Ltpb__JoinReply joined = LTPB__JOIN_REPLY__INIT;
	Ltpb__PushReply pushed = LTPB__PUSH_REPLY__INIT;
	uint8_t proof[LT_SIG_LEN], instance[16] = { 1 };
	struct pulled p = { 0 };
	struct lt_peer line;
	struct lt_kv_txn *txn;
	struct lt_kv *kv;

	fuzz_world();
	line = fuzz_node_line();
	FUZZ_MUST(
	    fuzz_hub_open(fuzz_world_store(FUZZ_HUB_LOG), fuzz_world_store(FUZZ_HUB_DERIVED)));
	hello.principal.data = (uint8_t *)(uintptr_t)fuzz_node_identity()->principal.b;
	hello.principal.len = LT_ID_LEN;
	hello.instance.data = instance;
	hello.instance.len = sizeof(instance);
	sync_message("hello", 0, &hello.base);
	sync_message("announce", 1, &announce.base);
	sync_message("pull", 3, &pull.base);
	fed_join_request(fuzz_node_identity(), proof, &join);
	sync_message("join", 4, &join.base);
	(void)memfed_ask(
	    fuzz_hub(), &line, "/lienthong.v1.Sync/Hello", &hello.base, on_reply, hello_name);
	(void)memfed_ask(fuzz_hub(), &line, "/lienthong.v1.Sync/Announce", &announce.base, on_reply,
	    announce_name);
	cosigned();
	(void)memfed_ask(fuzz_hub(), &line, "/lienthong.v1.Sync/Pull", &pull.base, on_pulled, &p);
	joined.state = LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE;
	sync_message("join_reply", 9, &joined.base);
	sync_message("push_reply", 7, &pushed.base);
	fuzz_hub_close();
	kv = fuzz_world_store(FUZZ_NODE);
	FUZZ_MUST(lt_kv_begin_read(kv, &txn) == LT_OK);
	FUZZ_MUST(lt_feed_log_each(txn, NULL, push_own, txn) == LT_OK);
	lt_kv_abort(txn);
	lt_kv_close(kv);
}

/* See the head of fuzz_json.c. */
static void
json_texts(void)
{
	static const char *const kinds[] = { "{}",
		"{\"int32\":-5,\"sint64\":\"-7\",\"wide\":1.5e3}",
		"{\"uint64\":18446744073709551615,\"narrow\":\"NaN\",\"yes\":true,\"int32\":1.0}",
		"{\"text\":\"Nguy\\u1ec5n\\n\\\"\",\"raw\":\"Zm9vYg==\",\"colour\":\"RED\",\"many_"
		"colour\":[1,-1]}",
		"{\"nest\":{\"one\":{\"leaf\":1},\"many\":[{},{\"leaf\":2}]},\"manyNest\":[{},{}]}",
		"{\"manyText\":[\"a\",\"\"],\"manyRaw\":[\"-_8\",\"\"],\"manyYes\":[true,false],"
		"\"manyWide\":[-0.0,\"-Infinity\",0.1],\"many_uint_64\":[1,\"2\",3e2]}",
		"{\"oneText\":\"\\u0000#1\"}",
		"{\"oneNest\":null,\"oneColour\":0,\"a__b\":4294967295}",
		"{\"nest\":{\"one\":{\"one\":{\"one\":{\"one\":{\"one\":{\"one\":{}}}}}}}}" };
	static const uint8_t head[2] = { 0, 0 };
	const struct lt_described w = { lt_services, lt_nservices, lt_methods, lt_nmethods, NULL,
		NULL };
	Ltpb__DescribeReply described;
	struct lt_arena arena;
	struct lt_buf wire = { 0 };
	uint8_t own[2] = { 0, 0 };
	char name[16];
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)snprintf(name, sizeof(name), "kinds%zu", i);
		seed2("json", name, lt_slice(head, 2), lt_slice_str(kinds[i]));
	}
	own[1] = (uint8_t)(1 + message_number(&ltpb__list_request__descriptor));
	seed2("json", "list", lt_slice(own, 2),
	    lt_slice_str(
		"{\"collection\":\"dossier\",\"unit\":[\"16906\"],\"filter\":[{\"field\":\"a\","
		"\"op\":"
		"\"FILTER_OP_IN\",\"value\":[{\"text\":\"x\"},{\"integer\":\"-5\"},{\"decimal\":{"
		"\"unscaled\":\"125\",\"scale\":2}}]}],\"pageSize\":10,\"page_token\":\"AAEC\"}"));
	wire = vector(json_object_get(golden, "line"), "request_head");
	own[0] = 1;
	own[1] = (uint8_t)(1 + message_number(&ltpb__request_head__descriptor));
	seed2("json", "head", lt_slice(own, 2), lt_buf_slice(&wire));
	lt_buf_clear(&wire);
	lt_arena_init(&arena, 1u << 20);
	FUZZ_MUST(lt_describe(&w, "lienthong.v1.Enrol", &arena, &described) == LT_OK);
	FUZZ_MUST(lt_wire_pack(&described.base, LT_MESSAGE_MAX, &wire) == LT_OK);
	own[0] = 2;
	seed2("json", "described", lt_slice(own, 2), lt_buf_slice(&wire));
	lt_arena_fini(&arena);
	lt_buf_fini(&wire);
}

int
main(int argc, char **argv)
{
	json_error_t why;
	struct lt_buf b;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
		return 2;
	}
	folder = argv[1];
	fuzz_setup();
	b = fuzz_file("tests/vectors/golden.json");
	golden = json_loadb((const char *)b.data, b.len, 0, &why);
	FUZZ_MUST(golden != NULL);
	changesets();
	openings();
	trust();
	audits();
	signed_seeds();
	proofs();
	identities();
	compressed();
	lists();
	lines();
	catalogues();
	config();
	line_and_frames();
	calls();
	questions();
	stores();
	replication();
	json_texts();
	json_decref(golden);
	lt_buf_fini(&b);
	return 0;
}
