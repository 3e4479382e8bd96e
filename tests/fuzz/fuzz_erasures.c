/* A list of erasures, as a restore reads it from a file that anybody may have had in hand (FORMAT.md 12.8).
 *
 * Input: u8 (odd: a node's store), bytes of an Erasures message. The mutator changes it by its schema and makes the change-sets right again.
 * Must hold: what is taken is signed by keys that the root certified for one hub; of a list in which anything does not verify nothing is obeyed; the
 * same list again changes nothing; what a hub is to say again can be read, and is by that hub.
 */
#include "proto/feed/trust.h"
#include "proto/store/author.h"
#include "proto/store/erase.h"
#include "proto/store/erase_list.h"
#include "tests/fuzz/lib/changeset.h"
#include "tests/store/world.h"

#include "lienthong/v1/backup.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define ARENA ((size_t)8 * 1024 * 1024)
#define UNSAID_MAX 4096

static struct env env;
static struct lt_sign_key root;
static struct author hub;
static struct lt_fed fed;
static struct lt_buf certificate[2];

static void
certify(uint32_t no, struct lt_buf *out)
{
	Ltpb__CertificateBody c = LTPB__CERTIFICATE_BODY__INIT;
	uint8_t line[32] = { 9 };

	c.federation.data = fed.b;
	c.federation.len = LT_FED_LEN;
	c.principal.data = hub.id.b;
	c.principal.len = LT_ID_LEN;
	c.role = LTPB__ROLE__ROLE_HUB;
	c.key_no = no;
	c.sign_key.data = hub.key.pk;
	c.line_key.data = line;
	c.sign_key.len = c.line_key.len = 32;
	c.generation = no;
	c.purpose = (char *)(uintptr_t) "hub";
	FUZZ_MUST(lt_certificate_make(&c, &root, out) == LT_OK);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t seed[32] = { 5 };

	(void)argc;
	(void)argv;
	fuzz_setup();
	lt_sign_key_from_seed(seed, &root);
	fed = world_fed();
	author_init(&hub, 1);
	fuzz_sign_key(&hub.key);
	certify(1, &certificate[0]);
	certify(2, &certificate[1]);
	env_open(&env, false);
	return 0;
}

static bool
known(int rc)
{
	return rc == LT_OK || rc == LT_E_INVALID || rc == LT_E_BADSIG || rc == LT_E_BADHASH ||
	       rc == LT_E_DENIED || rc == LT_E_TOOBIG || rc == LT_E_NOMEM;
}

/* What is left to be said: by the hub, with its key, and acts stand in it or nothing is lost with it. */
static size_t
look_at_unsaid(struct lt_kv_txn *txn)
{
	char name[LT_UNSAID_NAME] = "";
	struct lt_changeset cs;
	struct lt_arena arena;
	struct lt_id author;
	size_t n = 0;
	int rc = LT_OK;

	while (rc == LT_OK) {
		lt_arena_init(&arena, ARENA);
		rc = lt_unsaid_next(txn, NULL, NULL, name, &arena, &cs);
		FUZZ_MUST(rc == LT_OK || rc == LT_E_NOTFOUND);
		if (rc == LT_OK) {
			author = lt_feed_author(&cs.feed);
			FUZZ_MUST(lt_id_eq(&author, &hub.id));
			FUZZ_MUST(lt_changeset_verify_signature(&cs, hub.key.pk) == LT_OK);
			FUZZ_MUST(++n <= UNSAID_MAX);
		}
		lt_arena_fini(&arena);
	}
	return n;
}

static void
dump(struct lt_kv_txn *txn, struct lt_buf *out)
{
	static const unsigned tables[] = { LT_T_LOCAL, LT_T_OPENING, LT_T_COUNT };

	lt_buf_clear(out);
	env_dump(txn, tables, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_buf once = { 0 }, twice = { 0 };
	uint64_t acts = 0, values = 0, again = 0;
	struct lt_err err = { "" };
	struct lt_kv_txn *txn;
	struct fuzz_in in;
	uint8_t *exact;
	struct lt_slice list;
	bool node;
	int rc;

	fuzz_reseed(1);
	fuzz_in_init(&in, data, size);
	node = fuzz_u8(&in) % 2 == 1;
	list = fuzz_rest(&in);
	exact = fuzz_copy(list);
	list.data = exact;
	FUZZ_MUST(lt_kv_begin_write(env.kv, &txn) == LT_OK);
	rc = lt_erasures_apply(txn, node, list, root.pk, &fed, &acts, &values, &err);
	FUZZ_MUST(known(rc));
	if (rc == LT_OK) {
		size_t n = look_at_unsaid(txn);

		FUZZ_MUST(node ? n == 0 : n <= acts);
		FUZZ_MUST(values == 0); /* nothing is here to go */
		dump(txn, &once);
		FUZZ_MUST(lt_erasures_apply(
			      txn, node, list, root.pk, &fed, &again, &values, &err) == LT_OK);
		FUZZ_MUST(again == acts);
		dump(txn, &twice);
		FUZZ_MUST(lt_slice_eq(lt_buf_slice(&once), lt_buf_slice(&twice)));
	} else {
		FUZZ_MUST(rc == LT_E_NOMEM || err.text[0] != '\0');
	}
	lt_kv_abort(txn);
	lt_buf_fini(&once);
	lt_buf_fini(&twice);
	free(exact);
	return 0;
}

/* ---- mutation ---- */

/* One act, or two, over changes that nobody has. */
static size_t
fresh(uint8_t *data, size_t max_size, unsigned seed)
{
	static const char *field[] = { "applicant_name", "_actor" };
	struct lt_erased e = { .seq = 7, .index = seed % 5, .hash8 = 1, .nfield = 1 + seed % 2 };
	Ltpb__Erasures m = LTPB__ERASURES__INIT;
	ProtobufCBinaryData set[2], before;
	struct lt_buf dots = { 0 }, cs[2] = { { 0 }, { 0 } };
	struct lt_arena arena;
	struct feed feed;
	size_t i, n;

	lt_arena_init(&arena, ARENA);
	e.field = field;
	memset(e.feed.b, 3, LT_FEED_LEN);
	FUZZ_MUST(lt_erased_pack(&e, 1, &dots) == LT_OK);
	feed_init(&feed, &hub, WORLD_UNIT, LT_LANE_URGENT, 5);
	for (i = 0; i < 2; i++) {
		struct lt_draft d = world_draft(&arena, "_erase", i == 0 ? "1001" : "1002",
		    fs_enum(&arena, "reason", "request"), fs_text(&arena, "basis", "luat 91"),
		    fs_bytes(&arena, "dots", dots.data, dots.len), NULL);

		feed_seal(&feed, LT_STAMP(LT_BUILD_FLOOR_MS + 1000, i), &d, 1, &cs[i]);
		set[i].data = cs[i].data;
		set[i].len = cs[i].len;
	}
	m.version = 1;
	m.n_changeset = 1 + seed / 2 % 2;
	m.changeset = set;
	m.certificate.data = certificate[0].data;
	m.certificate.len = certificate[0].len;
	before.data = certificate[1].data;
	before.len = certificate[1].len;
	m.certificate_before = &before;
	m.n_certificate_before = seed / 4 % 2;
	n = 1 + ltpb__erasures__get_packed_size(&m);
	if (n <= max_size) {
		data[0] = (uint8_t)(seed / 8);
		(void)ltpb__erasures__pack(&m, data + 1);
	}
	for (i = 0; i < 2; i++)
		lt_buf_fini(&cs[i]);
	lt_buf_fini(&dots);
	lt_arena_fini(&arena);
	return n <= max_size ? n : 0;
}

/* One change-set by its schema, and made right, mostly. */
static size_t
mutate_changeset(uint8_t *data, size_t size, size_t max_size, struct fuzz_rng *rng)
{
	Ltpb__Erasures *m = ltpb__erasures__unpack(NULL, size, data);
	ProtobufCBinaryData *cs;
	size_t n, room = max_size > size ? max_size - size : 0;
	uint8_t *bytes;

	if (m == NULL || m->n_changeset == 0) {
		if (m != NULL)
			ltpb__erasures__free_unpacked(m, NULL);
		return fuzz_pb_mutate(&ltpb__erasures__descriptor, data, size, max_size, rng);
	}
	cs = &m->changeset[fuzz_below(rng, m->n_changeset)];
	room += cs->len;
	bytes = calloc(1, room + 1);
	FUZZ_MUST(bytes != NULL);
	if (cs->len != 0)
		memcpy(bytes, cs->data, cs->len);
	n = fuzz_pb_mutate(&ltpb__change_set__descriptor, bytes, cs->len, room, rng);
	if (fuzz_below(rng, 8) != 0)
		n = fuzz_changeset_fix(bytes, n, room);
	free(cs->data);
	cs->data = bytes;
	cs->len = n;
	n = ltpb__erasures__get_packed_size(m);
	if (n <= max_size)
		size = ltpb__erasures__pack(m, data);
	ltpb__erasures__free_unpacked(m, NULL);
	return size;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	size_t n;

	if (max_size < 2)
		return size;
	if (size < 2 || fuzz_below(&rng, 64) == 0)
		return fresh(data, max_size, (unsigned)fuzz_next(&rng));
	if (fuzz_below(&rng, 16) == 0)
		data[0] ^= 1;
	n = fuzz_below(&rng, 3) == 0 ? fuzz_pb_mutate(&ltpb__erasures__descriptor, data + 1,
					   size - 1, max_size - 1, &rng)
				     : mutate_changeset(data + 1, size - 1, max_size - 1, &rng);
	return 1 + n;
}
