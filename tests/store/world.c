#include "world.h"

#include "proto/base/clock.h"
#include "proto/base/file.h"
#include "proto/store/projection.h"
#include "proto/store/tables.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t
rnd(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

size_t
rnd_below(uint64_t *state, size_t n)
{
	return (size_t)(rnd(state) >> 33) % n;
}

struct lt_fed
world_fed(void)
{
	struct lt_fed f;

	memset(f.b, 0x5f, sizeof(f.b));
	return f;
}

void
env_open(struct env *e, bool disk)
{
	struct lt_fed fed = world_fed();
	struct lt_kv_options o = {
		.kind = LT_KV_TEST, .federation = fed.b, .tables = lt_table_names
	};
	struct lt_err err = { "" };

	memset(e, 0, sizeof(*e));
	e->disk = disk;
	o.map_bytes = (uint64_t)1 << 30;
	if (!disk) {
		ok(lt_kv_open_mem(&o, &e->kv, &err));
		return;
	}
	strcpy(e->dir, "/tmp/lt-store-XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	o.path = e->dir;
	if (lt_kv_open_lmdb(&o, &e->kv, &err) != LT_OK)
		fail_msg("%s", err.text);
}

void
env_close(struct env *e)
{
	char cmd[128];

	lt_kv_close(e->kv);
	if (!e->disk)
		return;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", e->dir);
	ok(system(cmd));
}

void
env_dump(struct lt_kv_txn *txn, const unsigned *tables, struct lt_buf *out)
{
	struct lt_buf mem = { 0 };
	struct lt_kv_cursor *c;
	struct lt_slice k, v;
	int rc;

	for (; *tables != LT_T_COUNT; tables++) {
		lt_buf_u32(out, *tables);
		ok(lt_kv_cursor_open(txn, *tables, &c));
		for (rc = lt_kv_seek(c, lt_slice(NULL, 0), &k, &v); rc == LT_OK;
		     rc = lt_kv_next(c, &k, &v)) {
			lt_buf_framed(out, k);
			if (*tables == LT_T_RECORD)
				ok(lt_record_whole(txn, k, v, &mem, &v));
			lt_buf_framed(out, v);
		}
		assert_int_equal(rc, LT_E_NOTFOUND);
		lt_kv_cursor_close(c);
	}
	lt_buf_fini(&mem);
	ok(out->err);
}

void
env_dump_all(struct lt_kv *kv, struct lt_buf *out)
{
	unsigned all[LT_T_COUNT + 1], i;
	struct lt_kv_txn *txn;

	for (i = 0; i <= LT_T_COUNT; i++)
		all[i] = i;
	ok(lt_kv_begin_read(kv, &txn));
	env_dump(txn, all, out);
	lt_kv_abort(txn);
}

void
author_init(struct author *a, uint8_t n)
{
	uint8_t seed[32];

	memset(seed, n, sizeof(seed));
	memset(a->id.b, n, sizeof(a->id.b));
	lt_sign_key_from_seed(seed, &a->key);
}

void
feed_init(
    struct feed *f, const struct author *a, const char *unit, enum lt_lane lane, uint64_t epoch)
{
	memset(f, 0, sizeof(*f));
	f->author = a;
	ok(lt_unit_set(&f->unit, lt_slice_str(unit)));
	f->id = lt_feed_id_make(a->id, lane, epoch);
	f->catalogue_version = WORLD_CATALOGUE;
}

void
feed_seal(
    struct feed *f, uint64_t stamp, const struct lt_draft *drafts, size_t n, struct lt_buf *out)
{
	struct lt_seal s = { .federation = world_fed(),
		.unit = f->unit,
		.feed = f->id,
		.seq = f->seq + 1,
		.prev = f->hash,
		.stamp = stamp,
		.catalogue_version = f->catalogue_version,
		.key_no = 1,
		.key = &f->author->key,
		.ndraft = n,
		.draft = drafts };
	struct lt_err err = { "" };

	memset(s.seed, (int)(f->seq % 251), sizeof(s.seed));
	s.seed[0] = f->id.b[0];
	s.seed[1] = (uint8_t)(f->seq >> 8);
	if (lt_changeset_seal(&s, out, &f->hash, &err) != LT_OK)
		fail_msg("%s", err.text);
	f->seq++;
	f->stamp = stamp;
}

void
world_append(struct lt_kv_txn *txn, struct lt_slice bytes, struct lt_arena *arena,
    struct lt_changeset *cs, uint64_t *position)
{
	struct lt_head head;
	struct lt_err err = { "" };

	if (lt_changeset_parse(bytes, arena, cs, &err) != LT_OK)
		fail_msg("%s", err.text);
	ok(lt_feed_log_head(txn, &cs->unit, &cs->feed, &head));
	ok(lt_changeset_verify_chain(cs, head.seq, &head.hash, head.stamp));
	ok(lt_feed_log_append(txn, cs, 1000 + cs->seq, position));
}

void
world_publish(struct lt_kv_txn *txn, struct feed *f, const struct lt_catalogue *cat,
    const struct lt_draft *drafts, size_t n, struct lt_arena *arena)
{
	struct lt_projection_options o = { .log = txn, .derived = txn, .catalogue = cat };
	struct lt_merge_change mc = { .by_hub = true };
	struct lt_projection *p;
	struct lt_changeset cs;
	struct lt_buf b = { 0 };
	uint64_t position;
	uint8_t *copy;
	size_t i;

	ok(lt_unit_set(&o.province, lt_slice_str(WORLD_PROVINCE)));
	feed_seal(f, f->stamp == 0 ? LT_STAMP(LT_BUILD_FLOOR_MS, 0) : f->stamp + 1, drafts, n, &b);
	copy = lt_arena_dup(arena, b.data, b.len);
	world_append(txn, lt_slice(copy, b.len), arena, &cs, &position);
	lt_buf_fini(&b);
	ok(lt_projection_begin(&o, &p));
	for (i = 0; i < cs.nchange; i++) {
		mc.dot = (struct lt_dot){ cs.feed, cs.seq, (uint32_t)i };
		mc.stamp = cs.stamp;
		mc.hash8 = lt_load_u64(cs.hash.b);
		mc.change = &cs.change[i];
		ok(lt_projection_add(p, &cs.unit, &mc, position));
	}
	ok(lt_projection_flush(p, NULL, NULL));
}

struct lt_draft
world_draft(struct lt_arena *arena, const char *collection, const char *key, ...)
{
	struct lt_draft d = { .collection = collection };
	Ltpb__FieldSet *fs;
	va_list ap;

	d.key = lt_arena_dup(arena, key, strlen(key));
	d.set = lt_arena_alloc(arena, 16 * sizeof(*d.set));
	va_start(ap, key);
	while ((fs = va_arg(ap, Ltpb__FieldSet *)) != NULL)
		d.set[d.nset++] = fs;
	va_end(ap);
	return d;
}

static Ltpb__FieldSet *
fs_new(struct lt_arena *a, const char *name, Ltpb__Value__VCase type)
{
	Ltpb__FieldSet *f = lt_arena_alloc(a, sizeof(*f));
	Ltpb__Value *v = lt_arena_alloc(a, sizeof(*v));

	assert_non_null(f);
	assert_non_null(v);
	ltpb__field_set__init(f);
	ltpb__value__init(v);
	f->name = lt_arena_dup(a, name, strlen(name));
	f->value = v;
	v->v_case = type;
	return f;
}

Ltpb__FieldSet *
fs_text(struct lt_arena *a, const char *name, const char *text)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_TEXT);

	f->value->text = lt_arena_dup(a, text, strlen(text));
	return f;
}

Ltpb__FieldSet *
fs_enum(struct lt_arena *a, const char *name, const char *word)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_ENUMERATION);

	f->value->enumeration = lt_arena_dup(a, word, strlen(word));
	return f;
}

Ltpb__FieldSet *
fs_int(struct lt_arena *a, const char *name, int64_t v)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_INTEGER);

	f->value->integer = v;
	return f;
}

Ltpb__FieldSet *
fs_decimal(struct lt_arena *a, const char *name, int64_t unscaled, uint32_t scale)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_DECIMAL);

	f->value->decimal = lt_arena_alloc(a, sizeof(*f->value->decimal));
	ltpb__decimal__init(f->value->decimal);
	f->value->decimal->unscaled = unscaled;
	f->value->decimal->scale = scale;
	return f;
}

Ltpb__FieldSet *
fs_bytes(struct lt_arena *a, const char *name, const void *data, size_t len)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_BYTES);

	f->value->bytes.data = lt_arena_dup(a, data, len);
	f->value->bytes.len = len;
	return f;
}

Ltpb__FieldSet *
fs_set(struct lt_arena *a, const char *name, const char *const *items)
{
	Ltpb__FieldSet *f = fs_new(a, name, LTPB__VALUE__V_SET);
	Ltpb__TextSet *s = lt_arena_alloc(a, sizeof(*s));
	size_t n = 0;

	ltpb__text_set__init(s);
	while (items[n] != NULL)
		n++;
	s->item = lt_arena_alloc(a, (n + 1) * sizeof(char *));
	for (s->n_item = 0; s->n_item < n; s->n_item++)
		s->item[s->n_item] = lt_arena_dup(a, items[s->n_item], strlen(items[s->n_item]));
	f->value->set = s;
	return f;
}

#define FIELD(name, type, merge, authority, personal, indexed, more) \
	FIELD_OF(name, type, merge, authority, personal, indexed, "false", more)
#define KEY_FIELD(name, type, indexed, more) \
	FIELD_OF(name, type, "first", "any", "none", indexed, "true", ",\"in_key\":true" more)
#define FIELD_OF(name, type, merge, authority, personal, indexed, required, more) \
	"{\"name\":\"" name "\",\"type\":\"" type "\",\"title_vi\":\"x\",\"required\":" required \
	",\"indexed\":" indexed ",\"personal\":\"" personal "\",\"merge\":\"" merge \
	"\",\"authority\":\"" authority "\"" more "}"
#define COLLECTION(id, personal, fields, key) \
	"{\"id\":\"" id \
	"\",\"title_vi\":\"x\",\"title_en\":\"x\",\"owner_departments\":[\"so_tai_chinh\"]," \
	"\"readers\":[],\"writers\":[\"commune\"],\"creators\":[\"commune\"],\"cadence\":" \
	"\"monthly\"," \
	"\"lane\":\"normal\",\"unit_rule\":\"commune\",\"key\":{\"fields\":[" key \
	"],\"example\":\"x\"}," \
	"\"contains_personal_data\":" personal ",\"contains_sensitive_personal_data\":" personal \
	"," \
	"\"volume_per_commune\":{},\"source\":[],\"fields\":[" fields "]}"
#define N16 "abcdefghijklmnop"
#define N64 N16 N16 N16 N16
#define LONG_FIELD \
	"z" \
	"bcdefghijklmnop" N16 N16 N16

static const char collections[] = "[" COLLECTION("thing", "true",
    KEY_FIELD("commune_code", "string", "false",
	",\"is_unit\":true,\"pattern\":\"^[0-9]{5}$\"") "," KEY_FIELD("no", "int64", "true",
	"") "," FIELD("a", "string", "lww", "any", "none", "true", "") "," FIELD("b", "int64",
	"max", "any", "none", "false",
	"") "," FIELD("c", "int64", "min", "unit", "none", "false", "") "," FIELD("d", "string",
	"set", "any", "none", "true", ",\"list_separator\":\";\"") "," FIELD("e", "enum", "review",
	"any", "none", "true", ",\"values\":[\"red\",\"green\",\"blue\"]") "," FIELD("f", "string",
	"first", "hub", "none", "false", "") "," FIELD("g", "decimal", "first", "any", "none",
	"true", ",\"scale\":2") "," FIELD("p", "string", "lww", "any", "basic", "true",
	"") "," FIELD("q", "string", "review", "any", "sensitive", "false", ""),
    "\"commune_code\",\"no\"") "," COLLECTION(N64, "false",
    KEY_FIELD("k", "string", "false", ",\"pattern\":\"^k+$\"") "," FIELD(
	LONG_FIELD, "string", "lww", "any", "none", "true", ""),
    "\"k\"") "]";

const char *
world_long_collection(void)
{
	return N64;
}

const char *
world_long_field(void)
{
	return LONG_FIELD;
}

void
world_catalogue_file(struct lt_buf *out)
{
	lt_buf_init(out, 0);
	ok(lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, out, NULL));
}

static struct lt_catalogue *
catalogue_of(uint64_t version, void (*change)(json_t *list))
{
	struct lt_catalogue *cat = NULL;
	struct lt_err err = { "" };
	struct lt_buf file;
	json_error_t je;
	json_t *root, *own;
	char *text;

	world_catalogue_file(&file);
	root = json_loadb((const char *)file.data, file.len, 0, &je);
	own = json_loads(collections, 0, &je);
	if (root == NULL || own == NULL)
		fail_msg("%s at %d", je.text, je.position);
	if (change != NULL)
		change(own);
	(void)json_object_set_new(root, "collections", own);
	text = json_dumps(root, JSON_COMPACT);
	if (lt_catalogue_parse(lt_slice_str(text), version, &cat, &err) != LT_OK)
		fail_msg("%s", err.text);
	free(text);
	json_decref(root);
	lt_buf_fini(&file);
	return cat;
}

struct lt_catalogue *
world_catalogue(void)
{
	return catalogue_of(WORLD_CATALOGUE, NULL);
}

static void
change_things(json_t *list)
{
	static const struct {
		const char *field, *merge;
		bool indexed;
	} to[] = { { "a", "review", true }, { "b", "lww", true }, { "d", "set", false },
		{ "e", "first", false }, { "f", "first", true }, { "g", "lww", true } };
	json_t *fields = json_object_get(json_array_get(list, 0), "fields"), *f;
	size_t i, k, n = 0;

	json_array_foreach(fields, i, f)
	{
		for (k = 0; k < sizeof(to) / sizeof(to[0]); k++) {
			if (strcmp(json_string_value(json_object_get(f, "name")), to[k].field) != 0)
				continue;
			(void)json_object_set_new(f, "merge", json_string(to[k].merge));
			(void)json_object_set_new(f, "indexed", json_boolean(to[k].indexed));
			n++;
		}
	}
	assert_int_equal(n, sizeof(to) / sizeof(to[0]));
}

struct lt_catalogue *
world_catalogue_other(void)
{
	return catalogue_of(WORLD_CATALOGUE + 1, change_things);
}
