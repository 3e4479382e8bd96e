#include "tests/feed/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define POOL 2048

static Ltpb__FieldSet pool_field[POOL];
static Ltpb__Value pool_value[POOL];
static size_t pool_used;

void
sample_fill(uint8_t *out, size_t n, uint8_t first)
{
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = (uint8_t)(first + i);
}

void
sample_key(struct lt_sign_key *k, uint8_t first)
{
	uint8_t seed[32];

	sample_fill(seed, sizeof(seed), first);
	lt_sign_key_from_seed(seed, k);
}

void
sample_pool_reset(void)
{
	pool_used = 0;
}

static Ltpb__FieldSet *
field(const char *name, Ltpb__Value__VCase v_case)
{
	Ltpb__FieldSet *f = &pool_field[pool_used];
	Ltpb__Value *v = &pool_value[pool_used];

	assert_true(pool_used < POOL);
	pool_used++;
	ltpb__field_set__init(f);
	ltpb__value__init(v);
	f->name = (char *)(uintptr_t)name;
	f->value = v;
	v->v_case = v_case;
	return f;
}

Ltpb__FieldSet *
sample_text(const char *name, const char *text)
{
	Ltpb__FieldSet *f = field(name, LTPB__VALUE__V_TEXT);

	f->value->text = (char *)(uintptr_t)text;
	return f;
}

Ltpb__FieldSet *
sample_integer(const char *name, int64_t v)
{
	Ltpb__FieldSet *f = field(name, LTPB__VALUE__V_INTEGER);

	f->value->integer = v;
	return f;
}

/* One public field of every type, in no order. */
static size_t
public_fields(Ltpb__FieldSet **set)
{
	static Ltpb__Decimal decimal = LTPB__DECIMAL__INIT;
	static Ltpb__TextSet items = LTPB__TEXT_SET__INIT;
	static char a1[] = "a1", b2[] = "b2", c3[] = "c3", d4[] = "d4", xa[] = "xã";
	static char *item[] = { a1, b2, xa };
	static char *added[] = { b2 };
	static char *removed[] = { c3, d4 };
	static uint8_t raw[3] = { 0x00, 0xff, 0x10 };
	Ltpb__FieldSet *f;
	size_t n = 0;

	set[n++] = sample_text("name", "Lường Minh");
	set[n++] = sample_integer("amount", -1250000000);
	f = set[n++] = field("area", LTPB__VALUE__V_DECIMAL);
	decimal.unscaled = 123456;
	decimal.scale = 2;
	f->value->decimal = &decimal;
	f = set[n++] = field("poor", LTPB__VALUE__V_BOOLEAN);
	f->value->boolean = 0;
	f = set[n++] = field("issued", LTPB__VALUE__V_DATE);
	f->value->date = -3653;
	f = set[n++] = field("seen_at", LTPB__VALUE__V_TIMESTAMP);
	f->value->timestamp = INT64_C(1785542400123);
	f = set[n++] = field("scan", LTPB__VALUE__V_BYTES);
	f->value->bytes.data = raw;
	f->value->bytes.len = sizeof(raw);
	f = set[n++] = field("kind", LTPB__VALUE__V_ENUMERATION);
	f->value->enumeration = (char *)(uintptr_t) "near_poor";
	f = set[n++] = field("tags", LTPB__VALUE__V_SET);
	items.item = item;
	items.n_item = 3;
	f->value->set = &items;
	f->added = added;
	f->n_added = 1;
	f->removed = removed;
	f->n_removed = 2;
	return n;
}

static void
drafts(struct sample *s)
{
	static Ltpb__FieldSet *set0[9], *set1[1], *personal0[3], *personal1[1], *personal2[1];
	static char phone2[] = "phone2", note[] = "note";
	static char *cleared1[] = { phone2, note };
	struct lt_id other;

	s->draft[0] = (struct lt_draft){ .collection = "ho_ngheo", .key = "HN-0001" };
	s->draft[0].nset = public_fields(set0);
	s->draft[0].set = set0;
	personal0[0] = sample_text("ho_ten", "Nguyễn Thị Ánh");
	personal0[1] = sample_text("_actor", "acc-7");
	personal0[2] = sample_integer("birth_year", 1961);
	s->draft[0].npersonal = 3;
	s->draft[0].personal = personal0;

	s->draft[1] = (struct lt_draft){ .collection = "ho_ngheo", .key = "HN-0002/a%20b" };
	set1[0] = sample_text("name", "");
	s->draft[1].nset = 1;
	s->draft[1].set = set1;
	s->draft[1].ncleared = 2;
	s->draft[1].cleared = cleared1;
	personal1[0] = sample_text("ho_ten", "Lò Văn Bình");
	s->draft[1].npersonal = 1;
	s->draft[1].personal = personal1;
	sample_fill(other.b, LT_ID_LEN, 0xd0);
	s->context[0].feed = lt_feed_id_make(other, LT_LANE_BULK, UINT64_C(0x8000000000000001));
	s->context[0].seq = 300;
	s->context[0].hash8 = UINT64_C(0x0102030405060708);
	sample_fill(other.b, LT_ID_LEN, 0x10);
	s->context[1].feed = lt_feed_id_make(other, LT_LANE_URGENT, 5);
	s->context[1].seq = 1;
	s->context[1].hash8 = UINT64_C(0xf1f2f3f4f5f6f7f8);
	s->draft[1].ncontext = 2;
	s->draft[1].context = s->context;

	s->draft[2] = (struct lt_draft){ .collection = "du_an", .key = "DA-9", .is_delete = true };
	personal2[0] = sample_text("_actor", "acc-7");
	s->draft[2].npersonal = 1;
	s->draft[2].personal = personal2;
}

void
sample_init(struct sample *s)
{
	struct lt_id author;

	memset(s, 0, sizeof(*s));
	sample_pool_reset();
	sample_key(&s->key, 0x20);
	drafts(s);
	sample_fill(s->seal.federation.b, LT_FED_LEN, 0x40);
	assert_int_equal(lt_unit_set(&s->seal.unit, lt_slice("23956", 5)), LT_OK);
	sample_fill(author.b, LT_ID_LEN, 0xa0);
	s->seal.feed = lt_feed_id_make(author, LT_LANE_NORMAL, UINT64_C(0x1122334455667788));
	s->seal.seq = 7;
	sample_fill(s->seal.prev.b, LT_HASH_LEN, 0x60);
	s->seal.stamp = UINT64_C(1785542400123) << 16 | 9;
	s->seal.hub_stamp = UINT64_C(1785542400000) << 16;
	s->seal.catalogue_version = 12;
	s->seal.key_no = 2;
	s->seal.key = &s->key;
	sample_fill(s->seal.seed, LT_SALT_LEN, 0xe0);
	s->seal.ndraft = 3;
	s->seal.draft = s->draft;
}

void
sample_seal(struct sample *s)
{
	struct lt_err err = { "" };
	int rc = lt_changeset_seal(&s->seal, &s->bytes, &s->hash, &err);

	if (rc != LT_OK)
		fail_msg("%s", err.text);
}

void
sample_fini(struct sample *s)
{
	lt_buf_fini(&s->bytes);
}

int
sample_verify(struct lt_slice bytes, const uint8_t pk[32], struct lt_arena *arena,
    struct lt_changeset *cs, struct lt_err *err)
{
	int rc = lt_changeset_parse(bytes, arena, cs, err);

	if (rc == LT_OK)
		rc = lt_changeset_verify_signature(cs, pk);
	if (rc == LT_OK)
		rc = lt_changeset_verify_openings(cs, err);
	return rc;
}
