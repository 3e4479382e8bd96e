#include "tools/bench/world.h"
#include "node/import_units.h"
#include "proto/base/file.h"
#include "proto/feed/identity.h"
#include "proto/feed/trust.h"
#include "proto/model/value.h"
#include "proto/store/catalogue_store.h"
#include "tools/gen_rows.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROVINCE "25" /* the one with the most communes */
#define ARENA ((size_t)64 * 1024 * 1024)
#define ROWS 240 /* acts in one write: of 60 nodes */
#define ACTS_A_NODE 4
#define READER_ORG "van_phong_ubnd" /* owns the dossiers: sees every field */

/* ---- the hub ---- */

static void
set_bytes(ProtobufCBinaryData *b, const void *data, size_t len)
{
	b->data = (uint8_t *)data;
	b->len = len;
}

static int
write_identity(struct bench *b, struct bench_world *w, struct lt_identity *id)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_sign_key root;
	struct lt_buf cert;
	uint8_t seed[32];
	int rc;

	randombytes_buf(seed, sizeof(seed));
	lt_sign_key_from_seed(seed, &root);
	id->role = LTPB__ROLE__ROLE_HUB;
	memcpy(id->root_key, root.pk, sizeof(id->root_key));
	randombytes_buf(id->salt, sizeof(id->salt));
	lt_federation_id(id->root_key, id->salt, &id->federation);
	lt_identity_keys(id);
	memcpy(id->hub_line_key, id->line_pk, sizeof(id->hub_line_key));
	rc = lt_unit_set(&id->unit, lt_slice_str(PROVINCE));
	set_bytes(&body.federation, id->federation.b, LT_FED_LEN);
	set_bytes(&body.principal, id->principal.b, LT_ID_LEN);
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = id->key_no;
	set_bytes(&body.sign_key, id->sign.pk, 32);
	set_bytes(&body.line_key, id->line_pk, 32);
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_buf_init(&cert, 4096);
	if (rc == LT_OK)
		rc = lt_certificate_make(&body, &root, &cert);
	id->certificate = lt_buf_slice(&cert);
	if (rc == LT_OK)
		rc = lt_identity_write(id, w->dir, false, &b->err);
	lt_buf_fini(&cert);
	return rc;
}

static int
make_identity(struct bench *b, struct bench_world *w)
{
	struct lt_identity *id = calloc(1, sizeof(*id));
	int rc = id == NULL ? LT_E_NOMEM : lt_dir_make(w->dir, 0700, &b->err);

	if (rc == LT_OK)
		rc = write_identity(b, w, id);
	free(id);
	return rc == LT_OK ? lt_identity_load(w->dir, &w->hub, &b->err) : rc;
}

int
bench_world_hub(struct bench *b, const struct bench_world *w, struct lt_hub **out)
{
	struct lt_hub_options o = { .dir = w->dir, .identity = w->hub, .clock = lt_clock_system() };

	return lt_hub_open(&o, out, &b->err);
}

static int
write_acts(struct bench *b, struct lt_hub *hub, struct lt_write *row, size_t n)
{
	struct lt_unit federation = { "_" };
	struct lt_arena arena;
	size_t i;
	int rc;

	lt_arena_init(&arena, ARENA);
	rc = lt_hub_write(hub, &federation, row, n, &arena, &b->err);
	for (i = 0; rc == LT_OK && i < n; i++)
		if (row[i].rc != LT_OK)
			rc = lt_err_set(&b->err, row[i].rc, "%s %s: %s", row[i].collection,
			    row[i].key, row[i].violation.message);
	lt_arena_fini(&arena);
	return rc;
}

/* ---- the catalogue's bench profile ---- */

static bool
is_in(const json_t *list, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		if (strcmp(json_string_value(v), word) == 0)
			return true;
	}
	return false;
}

/* Of the benchmark's collection only the fields that "bench" names keep their index. */
static int
narrow(struct bench *b, json_t *root)
{
	json_t *bench = json_object_get(root, "bench"), *c, *f;
	const char *id = json_string_value(json_object_get(bench, "collection"));
	size_t i, k, kept = 0;

	json_array_foreach(json_object_get(root, "collections"), i, c)
	{
		if (id == NULL || strcmp(json_string_value(json_object_get(c, "id")), id) != 0)
			continue;
		json_array_foreach(json_object_get(c, "fields"), k, f)
		{
			bool in = is_in(json_object_get(bench, "indexed_fields"),
			    json_string_value(json_object_get(f, "name")));

			json_object_set_new(f, "indexed", json_boolean(in));
			kept += in;
		}
	}
	return kept == 3 ? LT_OK
			 : lt_err_set(&b->err, LT_E_INVALID,
			       "the catalogue's bench profile does not name three fields");
}

static int
read_profile(struct bench *b, struct lt_buf *out)
{
	json_error_t je;
	json_t *root = json_load_file(b->catalogue, 0, &je);
	char *text = NULL;
	int rc = root == NULL ? lt_err_set(&b->err, LT_E_INVALID, "%s: %s", b->catalogue, je.text)
			      : narrow(b, root);

	if (rc == LT_OK) {
		text = json_dumps(root, JSON_COMPACT);
		rc = text == NULL ? LT_E_NOMEM : LT_OK;
	}
	if (rc == LT_OK)
		lt_buf_str(out, text);
	free(text);
	json_decref(root);
	return rc == LT_OK ? out->err : rc;
}

static int
publish_catalogue(struct bench *b, struct bench_world *w, struct lt_hub *hub)
{
	struct lt_write *row = NULL;
	struct lt_draft *draft;
	struct lt_arena arena;
	struct lt_buf json;
	size_t n = 0, i;
	int rc;

	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	lt_arena_init(&arena, ARENA);
	rc = read_profile(b, &json);
	if (rc == LT_OK)
		rc = lt_catalogue_parse(lt_buf_slice(&json), 1, &w->catalogue, &b->err);
	if (rc == LT_OK)
		rc = lt_catalogue_publish(lt_buf_slice(&json), 1, &arena, &draft, &n, &b->err);
	if (rc == LT_OK)
		row = lt_arena_alloc(&arena, n * sizeof(*row));
	if (rc == LT_OK && row == NULL)
		rc = LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < n; i++) {
		row[i].collection = draft[i].collection;
		row[i].key = draft[i].key;
		row[i].set = draft[i].set;
		row[i].nset = draft[i].nset;
		row[i].builtin = true;
		row[i].writer = LT_WRITER_PROVINCE;
	}
	if (rc == LT_OK)
		rc = write_acts(b, hub, row, n);
	lt_arena_fini(&arena);
	lt_buf_fini(&json);
	return rc;
}

/* ---- the nodes ---- */

/* Acts under way to the registry. Memory that ran out shows as a NULL at the end. */
struct acts {
	struct lt_arena arena;
	size_t n;
	struct lt_write row[ROWS];
	bool failed;
};

static struct lt_write *
add_act(struct acts *a, const char *collection, const char *key)
{
	struct lt_write *w = &a->row[a->n++];

	memset(w, 0, sizeof(*w));
	w->collection = collection;
	w->key = lt_arena_dup(&a->arena, key, strlen(key));
	w->set = lt_arena_alloc(&a->arena, 8 * sizeof(*w->set));
	w->builtin = true;
	w->writer = LT_WRITER_PROVINCE;
	a->failed |= w->key == NULL || w->set == NULL;
	return w;
}

static Ltpb__Value *
add_value(struct acts *a, struct lt_write *w, const char *name, Ltpb__Value__VCase type)
{
	static Ltpb__Value nowhere;
	Ltpb__FieldSet *fs = lt_arena_alloc(&a->arena, sizeof(*fs));
	Ltpb__Value *v = lt_arena_alloc(&a->arena, sizeof(*v));

	if (fs == NULL || v == NULL || w->set == NULL) {
		a->failed = true;
		return &nowhere;
	}
	ltpb__field_set__init(fs);
	ltpb__value__init(v);
	v->v_case = type;
	fs->name = (char *)name;
	fs->value = v;
	w->set[w->nset++] = fs;
	return v;
}

static void
add_word(struct acts *a, struct lt_write *w, const char *name, const char *word)
{
	add_value(a, w, name, LTPB__VALUE__V_ENUMERATION)->enumeration = (char *)word;
}

static void
add_text(struct acts *a, struct lt_write *w, const char *name, const char *text)
{
	add_value(a, w, name, LTPB__VALUE__V_TEXT)->text = (char *)text;
}

static void
add_set(struct acts *a, struct lt_write *w, const char *name, const char *item)
{
	Ltpb__TextSet *s = lt_arena_alloc(&a->arena, sizeof(*s));
	char **list = lt_arena_alloc(&a->arena, sizeof(*list));

	if (s == NULL || list == NULL) {
		a->failed = true;
		return;
	}
	ltpb__text_set__init(s);
	list[0] = (char *)item;
	s->item = list;
	s->n_item = 1;
	add_value(a, w, name, LTPB__VALUE__V_SET)->set = s;
}

/* What an approval of an enrolment writes. */
static void
add_principal(
    struct acts *a, const struct bench_node *n, const char *role, const char *org, const char *verb)
{
	char hex[2 * LT_ID_LEN + 1], numbered[2 * LT_ID_LEN + 3];
	struct lt_write *w;

	lt_hex(hex, n->id.b, LT_ID_LEN);
	(void)snprintf(numbered, sizeof(numbered), "%s/1", hex);
	w = add_act(a, "_registry", hex);
	add_word(a, w, "role", role);
	add_text(a, w, "unit", n->unit.s);
	add_text(a, w, "org", org);
	add_text(a, w, "label", "bench");
	add_word(a, w, "state", "active");
	w = add_act(a, "_key", numbered);
	set_bytes(&add_value(a, w, "sign_key", LTPB__VALUE__V_BYTES)->bytes, n->sign.pk, 32);
	set_bytes(&add_value(a, w, "line_key", LTPB__VALUE__V_BYTES)->bytes, n->line_pk, 32);
	add_word(a, w, "state", "active");
	w = add_act(a, "_grant", numbered);
	add_set(a, w, "verbs", verb);
	add_set(a, w, "units", "all");
	add_set(a, w, "collections", "all");
	add_set(a, w, "fields", "all");
	add_word(a, w, "state", "active");
}

static void
add_node(struct acts *a, const struct bench_node *n)
{
	add_text(a, add_act(a, "_unit", n->unit.s), "name", n->unit.s);
	add_principal(a, n, "node", "", "sync");
}

static int
register_nodes(struct bench *b, const struct bench_world *w, struct lt_hub *hub)
{
	struct acts *a = calloc(1, sizeof(*a));
	size_t i;
	int rc = a == NULL ? LT_E_NOMEM : LT_OK;

	for (i = 0; rc == LT_OK && i < w->nnode;) {
		lt_arena_init(&a->arena, ARENA);
		a->n = 0;
		if (i == 0)
			add_principal(a, &w->reader, "department", READER_ORG, "read");
		for (; i < w->nnode && a->n + ACTS_A_NODE <= ROWS; i++)
			add_node(a, &w->node[i]);
		rc = a->failed ? LT_E_NOMEM : write_acts(b, hub, a->row, a->n);
		lt_arena_fini(&a->arena);
	}
	free(a);
	return rc;
}

static void
make_node(struct bench_node *n, const char *unit)
{
	struct lt_identity id = { .role = LTPB__ROLE__ROLE_NODE };

	lt_identity_keys(&id);
	if (unit != NULL)
		(void)lt_unit_set(&n->unit, lt_slice_str(unit));
	n->id = id.principal;
	n->sign = id.sign;
	memcpy(n->line_sk, id.line_sk, sizeof(n->line_sk));
	memcpy(n->line_pk, id.line_pk, sizeof(n->line_pk));
	sodium_memzero(&id, sizeof(id));
}

/* Codes of communes, those of PROVINCE first: a line of the list begins with code,name,type,province. */
static int
pick_communes(struct bench *b, struct bench_world *w)
{
	char line[512], code[16], name[128], type[32], province[8];
	size_t n = 0;
	int pass;
	FILE *f = fopen(b->units, "r");

	if (f == NULL)
		return lt_err_set(&b->err, LT_E_NOTFOUND, "no list of units in '%s'", b->units);
	for (pass = 0; pass < 2; pass++) {
		rewind(f);
		while (n < w->nnode && fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line, "%15[0-9],%127[^,],%31[^,],%7[0-9]", code, name, type,
				province) == 4 &&
			    strlen(code) == 5 && (strcmp(province, PROVINCE) == 0) == (pass == 0))
				make_node(&w->node[n++], code);
	}
	(void)fclose(f);
	return n == w->nnode
		   ? LT_OK
		   : lt_err_set(&b->err, LT_E_INVALID, "'%s' has only %zu communes", b->units, n);
}

int
bench_world_make(struct bench *b, const char *name, size_t nnode, struct bench_world *w)
{
	struct lt_hub *hub = NULL;
	int rc;

	memset(w, 0, sizeof(*w));
	bench_path(b, name, w->dir);
	w->nnode = nnode;
	w->node = calloc(nnode, sizeof(*w->node));
	make_node(&w->reader, NULL);
	rc = w->node == NULL ? LT_E_NOMEM : pick_communes(b, w);
	if (rc == LT_OK)
		rc = make_identity(b, w);
	if (rc == LT_OK)
		rc = bench_world_hub(b, w, &hub);
	if (rc == LT_OK)
		rc = publish_catalogue(b, w, hub);
	if (rc == LT_OK)
		rc = register_nodes(b, w, hub);
	lt_hub_close(hub);
	return rc;
}

void
bench_world_free(struct bench_world *w)
{
	if (w->node != NULL)
		sodium_memzero(w->node, w->nnode * sizeof(*w->node));
	free(w->node);
	sodium_memzero(&w->reader, sizeof(w->reader));
	lt_catalogue_unref(w->catalogue);
	lt_identity_free(w->hub);
	if (w->dir[0] != '\0')
		bench_remove(w->dir);
	memset(w, 0, sizeof(*w));
}

/* ---- folders of daemons ---- */

static int
write_conf(struct bench *b, const char *dir, const char *text)
{
	char path[BENCH_PATH + 32];

	(void)snprintf(path, sizeof(path), "%s/lienthong.conf", dir);
	return lt_file_write(path, lt_slice_str(text), 0600, false, &b->err);
}

int
bench_world_listen(struct bench *b, const struct bench_world *w, int port, bool as_shipped)
{
	static const char wide[] = "[quota]\nclient_calls = 1000000\nclient_bytes = 256M\n"
				   "client_rows = 10000000\nnode_calls = 100000\n"
				   "node_bytes = 256M\nnode_changes = 1000000\n"
				   "node_vain = 1000000\n";
	char text[512];

	(void)snprintf(text, sizeof(text),
	    "[hub]\nlisten = tcp://127.0.0.1:%d\n%s[log]\nlevel = warn\n", port,
	    as_shipped ? "" : wide);
	return write_conf(b, w->dir, text);
}

int
bench_world_node(
    struct bench *b, const struct bench_world *w, size_t i, int port, char dir[BENCH_PATH])
{
	const struct bench_node *n = &w->node[i];
	struct lt_identity *id = calloc(1, sizeof(*id));
	char name[32];
	int rc;

	if (id == NULL)
		return LT_E_NOMEM;
	(void)snprintf(name, sizeof(name), "node-%zu", i);
	bench_path(b, name, dir);
	id->role = LTPB__ROLE__ROLE_NODE;
	id->federation = w->hub->federation;
	memcpy(id->root_key, w->hub->root_key, sizeof(id->root_key));
	memcpy(id->salt, w->hub->salt, sizeof(id->salt));
	memcpy(id->hub_line_key, w->hub->line_pk, sizeof(id->hub_line_key));
	id->principal = n->id;
	id->key_no = 1;
	id->sign = n->sign;
	memcpy(id->line_sk, n->line_sk, sizeof(id->line_sk));
	memcpy(id->line_pk, n->line_pk, sizeof(id->line_pk));
	id->unit = n->unit;
	(void)snprintf(id->addresses, sizeof(id->addresses), "tcp://127.0.0.1:%d", port);
	rc = lt_dir_make(dir, 0700, &b->err);
	if (rc == LT_OK)
		rc = lt_identity_write(id, dir, false, &b->err);
	if (rc == LT_OK)
		rc = write_conf(b, dir, "[log]\nlevel = warn\n");
	sodium_memzero(id, sizeof(*id));
	free(id);
	return rc;
}

/* ---- feeds ---- */

struct sealing {
	struct bench *b;
	const struct bench_world *w;
	const struct lt_collection *col;
	size_t first; /* node of the first feed */
	size_t sets, changes;
	struct bench_feeds *out;
};

static int
value_of(const struct lt_field *f, const json_t *v, struct lt_arena *arena, Ltpb__Value **out)
{
	char number[32];
	const char *text = number;

	if (json_is_string(v))
		text = json_string_value(v);
	else if (json_is_boolean(v))
		text = json_is_true(v) ? "true" : "false";
	else
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
	return lt_value_parse(f->rule.type, f->scale, lt_slice_str(text), arena, out, NULL);
}

static int
add_field(const struct lt_field *f, const json_t *v, struct lt_arena *arena, struct lt_draft *d)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(arena, sizeof(*fs));

	if (fs == NULL)
		return LT_E_NOMEM;
	ltpb__field_set__init(fs);
	fs->name = (char *)f->rule.name;
	if (f->rule.personal)
		d->personal[d->npersonal++] = fs;
	else
		d->set[d->nset++] = fs;
	return value_of(f, v, arena, &fs->value);
}

/* Who did it stands with every change a node writes. */
static int
add_actor(struct lt_arena *arena, struct lt_draft *d)
{
	Ltpb__FieldSet *fs = lt_arena_alloc(arena, sizeof(*fs));

	if (fs == NULL)
		return LT_E_NOMEM;
	ltpb__field_set__init(fs);
	fs->name = (char *)"_actor";
	d->personal[d->npersonal++] = fs;
	return lt_value_parse(LT_TYPE_TEXT, 0, lt_slice_str("cb01@mc"), arena, &fs->value, NULL);
}

static int
draft_of(
    const struct lt_collection *col, const json_t *row, struct lt_arena *arena, struct lt_draft *d)
{
	const struct lt_field *f;
	const char *name;
	json_t *v;
	int rc = LT_OK;

	memset(d, 0, sizeof(*d));
	d->collection = col->id;
	d->set = lt_arena_alloc(arena, (col->nfield + 1) * sizeof(*d->set));
	d->personal = lt_arena_alloc(arena, (col->nfield + 1) * sizeof(*d->personal));
	if (d->set == NULL || d->personal == NULL)
		return LT_E_NOMEM;
	json_object_foreach((json_t *)(uintptr_t)row, name, v)
	{
		f = lt_collection_field(col, name);
		if (f == NULL || f->is_unit)
			continue;
		if (f->in_key) {
			d->key = lt_arena_dup(arena, json_string_value(v), json_string_length(v));
			continue;
		}
		if (rc == LT_OK)
			rc = add_field(f, v, arena, d);
	}
	return rc == LT_OK ? add_actor(arena, d) : rc;
}

/* n drafts of as many lines; *line stands behind them then. */
static int
drafts_of(const struct lt_collection *col, char **line, size_t n, struct lt_arena *arena,
    struct lt_draft **out)
{
	size_t i;
	int rc = LT_OK;

	*out = lt_arena_alloc(arena, n * sizeof(**out));
	if (*out == NULL)
		return LT_E_NOMEM;
	for (i = 0; rc == LT_OK && i < n; i++) {
		char *end = strchr(*line, '\n');
		json_t *row =
		    end == NULL ? NULL : json_loadb(*line, (size_t)(end - *line), 0, NULL);

		rc = row == NULL ? LT_E_INVALID : draft_of(col, row, arena, &(*out)[i]);
		json_decref(row);
		*line = end == NULL ? *line : end + 1;
	}
	return rc;
}

int
bench_drafts(struct bench *b, const struct bench_world *w, const struct bench_node *node, size_t n,
    struct lt_arena *arena, struct lt_draft **out)
{
	const struct lt_collection *col = lt_catalogue_find(w->catalogue, "dossier");
	struct lt_gen_options o = {
		.unit = node->unit.s, .day = BENCH_DAY, .count = (uint32_t)n, .seed = 1
	};
	struct lt_buf rows;
	char *line;
	int rc;

	lt_buf_init(&rows, 0);
	rc = col == NULL ? LT_E_UNKNOWN : lt_gen_dossiers(&o, &rows, &b->err);
	lt_buf_u8(&rows, 0);
	line = (char *)rows.data;
	if (rc == LT_OK)
		rc = rows.err;
	if (rc == LT_OK)
		rc = drafts_of(col, &line, n, arena, out);
	lt_buf_fini(&rows);
	return rc;
}

static int
seal_one(const struct sealing *s, struct bench_feed *feed, struct lt_seal *seal, char **line,
    struct lt_err *err)
{
	struct lt_arena arena;
	struct lt_draft *d = NULL;
	struct lt_hash hash = { { 0 } };
	int rc;

	lt_arena_init(&arena, ARENA);
	rc = drafts_of(s->col, line, s->changes, &arena, &d);
	seal->ndraft = s->changes;
	seal->draft = d;
	seal->stamp = lt_hlc_next(seal->stamp, lt_wall_ms(lt_clock_system()));
	randombytes_buf(seal->seed, sizeof(seal->seed));
	if (rc == LT_OK)
		rc = lt_changeset_seal(seal, &feed->bytes, &hash, err);
	seal->seq++;
	seal->prev = hash;
	lt_arena_fini(&arena);
	return rc;
}

static int
seal_rows(const struct sealing *s, struct bench_feed *feed, char *line, struct lt_err *err)
{
	const struct bench_node *n = feed->node;
	struct lt_seal seal = { .federation = s->w->hub->federation,
		.unit = n->unit,
		.feed = lt_feed_id_make(n->id, s->col->lane, 1),
		.seq = 1,
		.catalogue_version = 1,
		.key_no = 1,
		.key = &n->sign };
	size_t *end = calloc(s->sets + 1, sizeof(*end));
	size_t i, from = 0;
	int rc = end == NULL ? LT_E_NOMEM : LT_OK;

	for (i = 0; rc == LT_OK && i < s->sets; i++) {
		rc = seal_one(s, feed, &seal, &line, err);
		if (rc == LT_OK)
			end[i] = feed->bytes.len;
	}
	for (i = 0; rc == LT_OK && i < s->sets; i++) {
		feed->set[i] = lt_slice(feed->bytes.data + from, end[i] - from);
		from = end[i];
	}
	feed->nset = s->sets;
	free(end);
	return rc;
}

static int
seal_feed(void *ctx, size_t i)
{
	const struct sealing *s = ctx;
	struct bench_feed *feed = &s->out->feed[i];
	struct lt_gen_options o = {
		.day = BENCH_DAY, .count = (uint32_t)(s->sets * s->changes), .seed = 1
	};
	struct lt_err err = { "" };
	struct lt_buf rows;
	int rc;

	feed->node = &s->w->node[s->first + i];
	feed->set = calloc(s->sets, sizeof(*feed->set));
	o.unit = feed->node->unit.s;
	lt_buf_init(&rows, 0);
	rc = feed->set == NULL ? LT_E_NOMEM : lt_gen_dossiers(&o, &rows, &err);
	lt_buf_u8(&rows, 0);
	if (rc == LT_OK)
		rc = rows.err;
	if (rc == LT_OK)
		rc = seal_rows(s, feed, (char *)rows.data, &err);
	lt_buf_fini(&rows);
	if (rc != LT_OK)
		bench_say(s->b, "feed %zu: %s: %s", i, lt_strerror(rc), err.text);
	return rc;
}

static int
make_feeds(struct bench *b, const struct bench_world *w, size_t first, size_t nfeed, size_t sets,
    size_t changes, struct bench_feeds *out)
{
	struct sealing s = { .b = b,
		.w = w,
		.col = lt_catalogue_find(w->catalogue, "dossier"),
		.first = first,
		.sets = sets,
		.changes = changes,
		.out = out };
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	out->feed = calloc(nfeed, sizeof(*out->feed));
	if (out->feed == NULL || s.col == NULL)
		return LT_E_NOMEM;
	out->nfeed = nfeed;
	out->sets = nfeed * sets;
	out->changes = nfeed * sets * changes;
	rc = bench_parallel(b, nfeed, seal_feed, &s);
	for (i = 0; i < nfeed; i++)
		out->bytes += out->feed[i].bytes.len;
	return rc;
}

int
bench_feeds_make(struct bench *b, const struct bench_world *w, size_t nfeed, size_t sets,
    size_t changes, struct bench_feeds *out)
{
	return make_feeds(b, w, 0, nfeed, sets, changes, out);
}

int
bench_feed_make(struct bench *b, const struct bench_world *w, size_t node, size_t sets,
    size_t changes, struct bench_feeds *out)
{
	return make_feeds(b, w, node, 1, sets, changes, out);
}

void
bench_feeds_free(struct bench_feeds *f)
{
	size_t i;

	for (i = 0; i < f->nfeed; i++) {
		free(f->feed[i].set);
		lt_buf_fini(&f->feed[i].bytes);
	}
	free(f->feed);
	memset(f, 0, sizeof(*f));
}
