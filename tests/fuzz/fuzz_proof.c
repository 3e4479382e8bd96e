/* Any bytes as the history of a record with its proof.
 *
 * Input: a root key (32 bytes), then the proof. The mutator changes the proof by its schema; those by the keys of the golden vectors are
 * mostly made right again, so that what stands behind hashes and signatures is reached. Must hold: a refusal has its fault
 * and says so in both languages; what holds does not with another root key, nor cut short of anything that is signed, and
 * with less memory it holds or memory is missing; what it tells fits together. tests/proof/second.py asks the second
 * implementation about the same inputs.
 */
#include "proto/feed/proof.h"
#include "tests/fuzz/lib/proof.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_LEN 32

static const char *const words[] = { "", "_", "a", "household_poverty", "16906/HN00500",
	"16906/HN00501", "16906", "17254", "40", "_verdict", "_registry", "_key", "_grant",
	"verdict", "role", "unit", "state", "label", "sign_key", "active", "pending", "suspended",
	"revoked", "node", "department", "hub", "members", "village", "head_name", "_actor",
	"505152535455565758595a5b5c5d5e5f", "505152535455565758595a5b5c5d5e5f/1",
	"505152535455565758595a5b5c5d5e5f/01", "e\xcc\x81" };

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	fuzz_pb_words(words, sizeof(words) / sizeof(words[0]));
	return 0;
}

static int
check(
    struct lt_slice bytes, const uint8_t *root, size_t cap, struct lt_arena *a, struct lt_proof *p)
{
	struct lt_err err = { "" };
	int rc;

	lt_arena_init(a, cap);
	rc = lt_proof_check(bytes, root, a, p, &err);
	FUZZ_MUST((rc == LT_OK) == (p->fault == LT_PROOF_NONE));
	FUZZ_MUST((rc == LT_OK) == (err.text[0] == '\0'));
	FUZZ_MUST(p->fault < LT_PROOF_FAULT_COUNT);
	FUZZ_MUST(lt_proof_fault_text(p->fault, false)[0] != '\0');
	FUZZ_MUST(lt_proof_fault_text(p->fault, true)[0] != '\0');
	if (rc != LT_OK)
		lt_arena_fini(a);
	return rc;
}

static void
told(const struct lt_proof *p, const struct lt_proof_part *part, size_t *withheld)
{
	size_t i, k;

	FUZZ_MUST(part->nchange != 0 && part->nchange <= part->change_count);
	FUZZ_MUST(memcmp(part->cs.federation.b, p->federation.b, LT_FED_LEN) == 0);
	FUZZ_MUST(strcmp(part->cs.unit.s, p->unit) == 0 && part->label != NULL);
	FUZZ_MUST(!part->by_hub || part->judged == 0);
	FUZZ_MUST(part->receipted || part->since_ms == 0);
	for (i = 0; i < part->nchange; i++) {
		const struct lt_proof_change *c = &part->change[i];

		FUZZ_MUST(c->index < part->change_count);
		FUZZ_MUST(i == 0 || c[-1].index < c->index);
		FUZZ_MUST(strcmp(c->change.collection, p->collection) == 0);
		FUZZ_MUST(strcmp(c->change.key, p->key) == 0);
		FUZZ_MUST(c->state == LT_PROOF_ACCEPTED || !part->by_hub);
		FUZZ_MUST(c->state == LT_PROOF_REFUSED ||
			  c->reason == LTPB__REASON_CODE__REASON_UNSPECIFIED);
		for (k = 0; k < c->change.npersonal; k++) {
			FUZZ_MUST(strcmp(c->opening[k].name, c->change.personal[k]) == 0);
			*withheld += c->opening[k].withheld;
		}
	}
}

static size_t
parts(const struct lt_proof *p)
{
	return p->nrecord + p->nverdict + p->nregistry + p->nlink + p->nreceipt;
}

/* What holds, against what must not. */
static void
less(struct lt_slice bytes, const uint8_t *root, const struct lt_proof *was)
{
	uint8_t other[ROOT_LEN];
	struct lt_arena a;
	struct lt_proof p;
	size_t cap, i;

	memcpy(other, root, ROOT_LEN);
	other[bytes.len % ROOT_LEN] ^= 1;
	FUZZ_MUST(check(bytes, other, LT_PROOF_ARENA, &a, &p) != LT_OK);
	for (cap = 1024; cap < LT_PROOF_ARENA; cap *= 8) {
		int rc = check(bytes, root, cap, &a, &p);

		FUZZ_MUST(rc == LT_OK || (rc == LT_E_NOMEM && p.fault == LT_PROOF_MEMORY));
		if (rc == LT_OK)
			lt_arena_fini(&a);
	}
	/* Its last parts are receipts, say: without one it may hold, and says less. */
	for (i = 1; i < 300 && i <= bytes.len; i++) {
		if (check(lt_slice(bytes.data, bytes.len - i), root, LT_PROOF_ARENA, &a, &p) !=
		    LT_OK)
			continue;
		FUZZ_MUST(parts(&p) < parts(was));
		lt_arena_fini(&a);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_arena a;
	struct lt_proof p;
	struct lt_slice bytes;
	size_t i, withheld = 0;

	if (size < ROOT_LEN)
		return 0;
	bytes = lt_slice(data + ROOT_LEN, size - ROOT_LEN);
	if (check(bytes, data, LT_PROOF_ARENA, &a, &p) != LT_OK)
		return 0;
	FUZZ_MUST(p.nrecord != 0);
	for (i = 0; i < p.nrecord; i++)
		told(&p, &p.record[i], &withheld);
	FUZZ_MUST(withheld == p.nwithheld);
	less(bytes, data, &p);
	lt_arena_fini(&a);
	return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct fuzz_rng rng = { seed };
	size_t n, room = max_size - ROOT_LEN;

	if (size <= ROOT_LEN || max_size <= ROOT_LEN || fuzz_below(&rng, 16) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	n = fuzz_pb_mutate(&ltpb__proof__descriptor, data + ROOT_LEN, size - ROOT_LEN, room, &rng);
	if (fuzz_below(&rng, 2) == 0)
		n = fuzz_pb_mutate(&ltpb__proof__descriptor, data + ROOT_LEN, n, room, &rng);
	if (memcmp(data, fuzz_proof_key(FUZZ_ROOT)->pk, ROOT_LEN) == 0 && fuzz_below(&rng, 8) != 0)
		n = fuzz_proof_fix(data + ROOT_LEN, n, room);
	return ROOT_LEN + n;
}
