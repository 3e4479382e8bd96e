/* Acts of the registry: records of principals, keys, grants and revocations, sound and senseless, in any order.
 *
 * Input: acts of u8 collection, u8 whose, u8 number, u8 count of fields, and for each field u8 name, u8 kind, its value. Must hold: what can be
 * written can be loaded; principals rise by id; a line leads to who has it as an active key; and what was once revoked stays
 * so, whatever is written afterwards.
 */
#include "proto/model/catalogue.h"
#include "proto/store/registry.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/store/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTS_MAX 10
#define FIELDS_MAX 6
#define PRINCIPALS 4
#define KEYS_MAX 4

enum collection { REGISTRY, KEY, GRANT, REVOCATION, COLLECTIONS };

static const char *const collection_name[] = { "_registry", "_key", "_grant", "_revocation" };
static const char *const field_name[] = { "role", "unit", "state", "label", "org", "sign_key",
	"line_key", "verbs", "units", "collections", "fields", "cutoff", "key_no", "reason", "by",
	"principal" };
static const char *const word[] = { "node", "hub", "department", "operator", "mirror", "active",
	"suspended", "revoked", "retired", "pending", "17254", "16906", "40", "*", "read", "write",
	"enrol", "dossier", "stolen", "retired " };
/* Behind the id in a key: none of them is a number as the format wants it, or it is one at a bound. */
static const char *const behind[] = { "", "/", "/0", "/01", "/1/1", "/-1", "/4294967295",
	"/4294967296", "/9223372036854775807", "/9223372036854775808", "/18446744073709551616",
	"00", "/x" };
#define NWORDS (sizeof(word) / sizeof(word[0]))

static struct env env;
static struct author hub;
static struct lt_catalogue *cat;

/* Whose key, by number, the registry has said to be revoked. */
struct revoked {
	bool all[PRINCIPALS], key[PRINCIPALS][KEYS_MAX + 1];
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	env_open(&env, false);
	author_init(&hub, 1);
	FUZZ_MUST(lt_catalogue_builtin(&cat) == LT_OK);
	return 0;
}

static Ltpb__FieldSet *
set_of(struct lt_arena *arena, const char *name, unsigned bits)
{
	/* Sorted, as a set is. */
	static const char *const item[] = { "*", "16906", "17254", "dossier", "enrol", "read",
		"write" };
	const char *list[8];
	size_t n = 0, i;

	for (i = 0; i < 7; i++)
		if ((bits >> i & 1) != 0 || i == bits % 7) /* an empty set cannot be sealed */
			list[n++] = item[i];
	list[n] = NULL;
	return fs_set(arena, name, list);
}

static Ltpb__FieldSet *
value_of(struct lt_arena *arena, const char *name, struct fuzz_in *in)
{
	uint8_t bytes[40];
	unsigned kind = fuzz_u8(in) % 6, a = fuzz_u8(in);

	memset(bytes, (int)(a % 8), sizeof(bytes));
	switch (kind) {
	case 0:
		return fs_enum(arena, name, word[a % NWORDS]);
	case 1:
		return fs_text(arena, name, word[a % NWORDS]);
	case 2:
		return fs_bytes(arena, name, bytes, 32);
	case 3:
		return fs_bytes(arena, name, bytes, a % sizeof(bytes));
	case 4:
		return fs_int(arena, name, (int64_t)a - 3);
	default:
		return set_of(arena, name, a);
	}
}

/* Some of the names, each once. */
static size_t
fields_of(struct lt_arena *arena, struct fuzz_in *in, Ltpb__FieldSet **out)
{
	size_t n = fuzz_u8(in) % (FIELDS_MAX + 1), i, k = 0;
	unsigned seen = 0, name;

	for (i = 0; i < n; i++) {
		name = fuzz_u8(in) % 16;
		if ((seen >> name & 1) != 0)
			continue;
		seen |= 1u << name;
		out[k++] = value_of(arena, field_name[name], in);
	}
	return k;
}

/* An act as the hub's own programs write it: nothing senseless in it. */
static size_t
sound(struct lt_arena *arena, enum collection c, struct fuzz_in *in, Ltpb__FieldSet **out)
{
	uint8_t bytes[32];
	unsigned a = fuzz_u8(in);

	memset(bytes, (int)(a % 8), sizeof(bytes));
	switch (c) {
	case REGISTRY:
		out[0] = fs_enum(arena, "role", word[a % 5]);
		out[1] = fs_text(arena, "unit", a % 5 == 0 ? "17254" : "");
		out[2] = fs_enum(arena, "state", word[5 + a / 5 % 5]);
		return 3;
	case KEY:
		out[0] = fs_bytes(arena, "sign_key", bytes, 32);
		out[1] = fs_bytes(arena, "line_key", bytes, 32);
		out[2] = fs_enum(arena, "state", word[5 + a / 8 % 4]);
		return 3;
	case GRANT:
		out[0] = set_of(arena, "verbs", a);
		out[1] = set_of(arena, "units", a >> 1);
		out[2] = set_of(arena, "collections", a >> 2);
		out[3] = fs_enum(arena, "state", "active");
		return 4;
	default:
		out[0] = fs_int(arena, "key_no", a % (KEYS_MAX + 1));
		out[1] = fs_enum(arena, "reason", a / 8 % 2 == 0 ? "stolen" : "retired");
		out[2] = fs_bytes(arena, "cutoff", "", 0);
		return 3;
	}
}

/* Into the log and the tables, as a hub does it: what cannot be merged is in the log alone. */
static void
publish(struct lt_kv_txn *txn, struct feed *f, const struct lt_draft *d, struct lt_arena *arena)
{
	struct lt_projection_options o = { .log = txn, .derived = txn, .catalogue = cat };
	struct lt_merge_change mc = { .by_hub = true };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	uint64_t position;
	int rc;

	FUZZ_MUST(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)) == LT_OK);
	feed_seal(f, f->stamp == 0 ? LT_STAMP(LT_BUILD_FLOOR_MS, 0) : f->stamp + 1, d, 1, &b);
	world_append(
	    txn, lt_slice(lt_arena_dup(arena, b.data, b.len), b.len), arena, &cs, &position);
	lt_buf_fini(&b);
	FUZZ_MUST(lt_projection_begin(&o, &p) == LT_OK);
	mc.dot = (struct lt_dot){ cs.feed, cs.seq, 0 };
	mc.stamp = cs.stamp;
	mc.hash8 = lt_load_u64(cs.hash.b);
	mc.change = &cs.change[0];
	rc = lt_projection_add(p, &cs.unit, &mc, position);
	FUZZ_MUST(rc == LT_OK || rc == LT_E_INVALID || rc == LT_E_UNKNOWN || rc == LT_E_TOOBIG);
	FUZZ_MUST(lt_projection_flush(p, NULL, NULL) == LT_OK);
}

static struct lt_id
id_of(unsigned who)
{
	struct lt_id id;

	memset(id.b, (int)(who + 1), sizeof(id.b));
	return id;
}

static void
act(struct lt_kv_txn *txn, struct feed *f, struct lt_arena *arena, struct fuzz_in *in)
{
	unsigned kind = fuzz_u8(in), who = fuzz_u8(in) % PRINCIPALS, number = fuzz_u8(in);
	enum collection c = (enum collection)(kind % COLLECTIONS);
	bool is_sound = (kind >> 2 & 3) != 0;
	Ltpb__FieldSet *set[FIELDS_MAX];
	struct lt_draft d = { .collection = collection_name[c], .set = set };
	struct lt_id id = id_of(who);
	char key[80];

	lt_hex(key, id.b, sizeof(id.b));
	if (!is_sound && number % 8 == 0) {
		(void)snprintf(key + strlen(key), sizeof(key) - strlen(key), "%s",
		    behind[number / 8 % (sizeof(behind) / sizeof(behind[0]))]);
	} else {
		if (c != REGISTRY)
			(void)snprintf(key + strlen(key), sizeof(key) - strlen(key), "/%u",
			    1 + number % KEYS_MAX);
	}
	d.key = key;
	d.nset = is_sound ? sound(arena, c, in, set) : fields_of(arena, in, set);
	d.is_delete = !is_sound && (kind & 0x10) != 0;
	if (d.is_delete)
		d.nset = 0;
	if (d.nset == 0 && !d.is_delete)
		return;
	publish(txn, f, &d, arena);
}

static bool
has_line(const struct lt_principal *p, const uint8_t line_key[32])
{
	size_t i;

	for (i = 0; i < p->nkey; i++)
		if (p->key[i].active && memcmp(p->key[i].line_key, line_key, 32) == 0)
			return true;
	return false;
}

static void
check_principal(const struct lt_registry *r, const struct lt_principal *p)
{
	const struct lt_principal *by;
	struct lt_feed_id feed;
	struct lt_unit unit;
	struct lt_hash hash;
	size_t i;

	memset(&feed, 0xee, sizeof(feed));
	memset(&hash, 0xee, sizeof(hash));
	memset(&unit, 0, sizeof(unit));
	(void)snprintf(unit.s, sizeof(unit.s), "17254");
	FUZZ_MUST(lt_registry_find(r, &p->id) == p);
	for (i = 0; i < p->nkey; i++) {
		by = lt_registry_by_line_key(r, p->key[i].line_key);
		FUZZ_MUST(by == NULL || has_line(by, p->key[i].line_key));
		FUZZ_MUST(lt_principal_key(p, p->key[i].no) != NULL);
		if (!lt_principal_revoked(p, p->key[i].no))
			continue;
		/* No cut-off names this feed. */
		FUZZ_MUST(!lt_principal_covers(p, p->key[i].no, &unit, &feed, 1, &hash));
		FUZZ_MUST(by != p || !p->key[i].active);
	}
}

/* Of one load: what holds of each, and what was revoked in the load before is so now. */
static void
check(struct lt_kv_txn *txn, struct revoked *before)
{
	const struct lt_principal *p, *last = NULL;
	struct lt_registry *r = NULL;
	struct lt_err err = { "" };
	struct lt_id id;
	size_t i;
	unsigned who;
	uint32_t no;
	bool now;

	FUZZ_MUST(lt_registry_load(txn, NULL, 0, &r, &err) == LT_OK);
	for (i = 0; i < lt_registry_count(r); i++) {
		p = lt_registry_at(r, i);
		FUZZ_MUST(last == NULL || memcmp(last->id.b, p->id.b, LT_ID_LEN) < 0);
		check_principal(r, p);
		last = p;
	}
	for (who = 0; who < PRINCIPALS; who++) {
		id = id_of(who);
		p = lt_registry_find(r, &id);
		if (p == NULL)
			continue;
		now = lt_principal_revoked(p, 0);
		FUZZ_MUST(!before->all[who] || now);
		FUZZ_MUST(!now || p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED ||
			  p->state == LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED);
		before->all[who] = now;
		for (no = 1; no <= KEYS_MAX; no++) {
			now = lt_principal_revoked(p, no);
			FUZZ_MUST(!before->key[who][no] || now);
			before->key[who][no] = now;
		}
	}
	lt_registry_unref(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revoked before = { 0 };
	struct lt_kv_txn *txn;
	struct lt_arena arena;
	struct fuzz_in in;
	struct feed f;
	unsigned i;

	fuzz_reseed(1);
	fuzz_in_init(&in, data, size);
	lt_arena_init(&arena, (size_t)16 << 20);
	feed_init(&f, &hub, "_", LT_LANE_NORMAL, 1);
	FUZZ_MUST(lt_kv_begin_write(env.kv, &txn) == LT_OK);
	for (i = 0; i < ACTS_MAX && fuzz_left(&in) != 0; i++) {
		act(txn, &f, &arena, &in);
		check(txn, &before);
	}
	lt_kv_abort(txn);
	lt_arena_fini(&arena);
	return 0;
}
