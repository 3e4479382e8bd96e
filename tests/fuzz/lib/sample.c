#include "tests/fuzz/lib/sample.h"

#include "proto/model/value.h"
#include "tests/fuzz/lib/changeset.h"

#include <string.h>

static Ltpb__FieldSet *
field(struct lt_arena *a, const char *name, enum lt_type type, uint32_t scale, const char *text)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(a, sizeof(*fs));
	struct lt_err err = { "" };

	FUZZ_MUST(fs != NULL);
	ltpb__field_set__init(fs);
	fs->name = (char *)(uintptr_t)name;
	FUZZ_MUST(lt_value_parse(type, scale, lt_slice_str(text), a, &fs->value, &err) == LT_OK);
	return fs;
}

static size_t
public_fields(struct lt_arena *a, Ltpb__FieldSet **set)
{
	static char a1[] = "a1", c3[] = "c3";
	static char *added[] = { a1 }, *removed[] = { c3 };
	size_t n = 0;

	set[n++] = field(a, "name", LT_TYPE_TEXT, 0, "Lường Minh");
	set[n++] = field(a, "amount", LT_TYPE_INT, 0, "-1250000000");
	set[n++] = field(a, "area", LT_TYPE_DECIMAL, 2, "1234.56");
	set[n++] = field(a, "poor", LT_TYPE_BOOL, 0, "true");
	set[n++] = field(a, "issued", LT_TYPE_DATE, 0, "1960-01-01");
	set[n++] = field(a, "seen_at", LT_TYPE_TIMESTAMP, 0, "2026-08-01T00:00:00.123Z");
	set[n++] = field(a, "scan", LT_TYPE_BYTES, 0, "00ff10");
	set[n++] = field(a, "kind", LT_TYPE_ENUM, 0, "near_poor");
	set[n] = field(a, "tags", LT_TYPE_SET, 0, "a1;b2");
	set[n]->added = added;
	set[n]->n_added = 1;
	set[n]->removed = removed;
	set[n]->n_removed = 1;
	return n + 1;
}

static void
drafts(struct lt_arena *a, struct lt_draft d[3], struct lt_context *context)
{
	static Ltpb__FieldSet *set0[9], *set1[1], *personal0[3], *personal1[1], *personal2[1];
	static char note[] = "note", phone[] = "phone2";
	static char *cleared[] = { phone, note };
	struct lt_id other;

	d[0] = (struct lt_draft){ .collection = "ho_ngheo", .key = "HN-0001" };
	d[0].nset = public_fields(a, set0);
	d[0].set = set0;
	personal0[0] = field(a, "ho_ten", LT_TYPE_TEXT, 0, "Nguyễn Thị Ánh");
	personal0[1] = field(a, "_actor", LT_TYPE_TEXT, 0, "acc-7");
	personal0[2] = field(a, "birth_year", LT_TYPE_INT, 0, "1961");
	d[0].npersonal = 3;
	d[0].personal = personal0;

	d[1] = (struct lt_draft){ .collection = "ho_ngheo", .key = "HN-0002" };
	set1[0] = field(a, "name", LT_TYPE_TEXT, 0, "B");
	d[1].nset = 1;
	d[1].set = set1;
	d[1].ncleared = 2;
	d[1].cleared = cleared;
	personal1[0] = field(a, "ho_ten", LT_TYPE_TEXT, 0, "Lò Văn Bình");
	d[1].npersonal = 1;
	d[1].personal = personal1;
	memset(other.b, 0xd0, LT_ID_LEN);
	context[0].feed = lt_feed_id_make(other, LT_LANE_BULK, 1);
	context[0].seq = 300;
	context[0].hash8 = 77;
	d[1].ncontext = 1;
	d[1].context = context;

	d[2] = (struct lt_draft){ .collection = "du_an", .key = "DA-9", .is_delete = true };
	personal2[0] = field(a, "_actor", LT_TYPE_TEXT, 0, "acc-7");
	d[2].npersonal = 1;
	d[2].personal = personal2;
}

void
fuzz_sample(struct fuzz_sample *s)
{
	struct lt_seal seal = { .seq = 1, .catalogue_version = 1, .key_no = 1, .ndraft = 3 };
	struct lt_err err = { "" };
	struct lt_context context[1];
	struct lt_draft draft[3];
	struct lt_sign_key key;
	struct lt_arena arena;
	struct lt_hash hash;
	struct lt_id author;

	memset(s, 0, sizeof(*s));
	lt_arena_init(&arena, 1u << 20);
	lt_arena_init(&s->arena, 1u << 20);
	drafts(&arena, draft, context);
	fuzz_sign_key(&key);
	memset(seal.federation.b, 0x40, LT_FED_LEN);
	FUZZ_MUST(lt_unit_set(&seal.unit, lt_slice_str("23956")) == LT_OK);
	memset(author.b, 0xa0, LT_ID_LEN);
	seal.feed = lt_feed_id_make(author, LT_LANE_NORMAL, 5);
	seal.stamp = LT_STAMP(LT_BUILD_FLOOR_MS + 5000, 9);
	seal.hub_stamp = LT_STAMP(LT_BUILD_FLOOR_MS, 0);
	seal.key = &key;
	memset(seal.seed, 0xe0, LT_SALT_LEN);
	seal.draft = draft;
	FUZZ_MUST(lt_changeset_seal(&seal, &s->bytes, &hash, &err) == LT_OK);
	FUZZ_MUST(lt_changeset_parse(lt_buf_slice(&s->bytes), &s->arena, &s->cs, &err) == LT_OK);
	lt_arena_fini(&arena);
}

void
fuzz_sample_free(struct fuzz_sample *s)
{
	lt_arena_fini(&s->arena);
	lt_buf_fini(&s->bytes);
}
