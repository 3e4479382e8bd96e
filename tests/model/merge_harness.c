/* Applies histories that merge_reference.py writes and answers what came of them. One command a line:
 *
 *   H                          forget everything
 *   P 0|1                      whether the unit is a province
 *   F name policy authority    a field's rule (numbers of rules.h)
 *   C ...                      the next change (read_change below)
 *   O i i i ...                apply these changes to an empty row:      R hex, or R = as the first
 *   S                          what the first row shows:                 S ..., then V ... a field
 *   M record                   the row as a hub stores it beside this shown record, and put together again:
 *                                                                        M hex
 *   X feed                     context of a new change of that feed:     X feed seq hash8 ...
 *   T feed seq index           whether the row has the dot:              T 0|1
 *   D collection unit key      bucket and digest of the record alone:    D bucket short
 *   B n                        which planted bug is alive (only where they are built)
 */
#include "proto/model/digest.h"
#include "proto/model/merge.h"
#include "proto/model/value.h"
#include "proto/store/short_row.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHANGES_MAX 128
#define FIELDS_MAX 32

#ifdef LT_MERGE_BUGS
extern int lt_merge_bug;
#endif

struct opening {
	const char *field;
	struct lt_slice field_set; /* data NULL: withheld */
};

struct input {
	struct lt_merge_change mc;
	struct lt_change change;
	struct opening *opening; /* as many as change.npersonal */
};

static struct {
	struct lt_arena arena;
	bool province;
	size_t nfield;
	struct lt_field_rule field[FIELDS_MAX];
	size_t nchange;
	struct input change[CHANGES_MAX];
	struct lt_buf row; /* of the first order */
} h;

static char *cursor;

static char *
word(void)
{
	char *w = strtok_r(NULL, " \n", &cursor);

	assert(w != NULL);
	return w;
}

static uint64_t
number(void)
{
	return strtoull(word(), NULL, 10);
}

static const char *
text(void)
{
	const char *w = word();
	const char *s = lt_arena_dup(&h.arena, w, strlen(w));

	assert(s != NULL);
	return s;
}

static struct lt_slice
bytes(const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = lt_arena_alloc(&h.arena, n);
	int rc;

	assert(p != NULL);
	rc = lt_unhex(p, n, hex);
	assert(rc == LT_OK);
	return lt_slice(p, n);
}

static struct lt_feed_id
feed(void)
{
	struct lt_feed_id f;
	int rc = lt_unhex(f.b, sizeof(f.b), word());

	assert(rc == LT_OK);
	return f;
}

static void *
array(size_t n, size_t size)
{
	void *p = lt_arena_alloc(&h.arena, n * size);

	assert(p != NULL);
	return p;
}

static const struct lt_field_rule *
find(void *ctx, const char *name)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < h.nfield; i++)
		if (strcmp(h.field[i].name, name) == 0)
			return &h.field[i];
	return NULL;
}

static const struct lt_rules rules = { find, NULL };

static void
read_context(struct lt_change *c)
{
	size_t i;

	c->ncontext = number();
	c->context = array(c->ncontext, sizeof(*c->context));
	for (i = 0; i < c->ncontext; i++) {
		c->context[i].feed = feed();
		c->context[i].seq = number();
		c->context[i].hash8 = number();
	}
}

static void
read_personal(struct input *in)
{
	struct lt_change *c = &in->change;
	size_t i;
	const char *w;

	c->npersonal = number();
	c->personal = array(c->npersonal, sizeof(char *));
	in->opening = array(c->npersonal, sizeof(*in->opening));
	for (i = 0; i < c->npersonal; i++) {
		c->personal[i] = (char *)(uintptr_t)text();
		in->opening[i].field = c->personal[i];
		w = word();
		if (w[0] != '-')
			in->opening[i].field_set = bytes(w);
	}
	w = word();
	if (w[0] != '-')
		memcpy(c->personal_root.b, bytes(w).data, LT_HASH_LEN);
}

/* C feed seq index stamp hash8 by_hub is_delete ncontext (feed seq hash8)* nset FieldSet*
 * ncleared name* npersonal (name FieldSet|-)* root|- */
static void
read_change(void)
{
	struct input *in = &h.change[h.nchange++];
	struct lt_change *c = &in->change;
	size_t i;

	assert(h.nchange <= CHANGES_MAX);
	memset(in, 0, sizeof(*in));
	in->mc.change = c;
	in->mc.dot.feed = feed();
	in->mc.dot.seq = number();
	in->mc.dot.index = (uint32_t)number();
	in->mc.stamp = number();
	in->mc.hash8 = number();
	in->mc.by_hub = number() != 0;
	c->is_delete = number() != 0;
	read_context(c);
	c->nset = number();
	c->set = array(c->nset, sizeof(*c->set));
	for (i = 0; i < c->nset; i++) {
		struct lt_err err;
		int rc = lt_field_set_decode(bytes(word()), &h.arena, &c->set[i], &err);

		assert(rc == LT_OK);
	}
	c->ncleared = number();
	c->cleared = array(c->ncleared, sizeof(char *));
	for (i = 0; i < c->ncleared; i++)
		c->cleared[i] = (char *)(uintptr_t)text();
	read_personal(in);
}

static void
print_hex(struct lt_slice s)
{
	char *hex = malloc(2 * s.len + 1);

	assert(hex != NULL);
	lt_hex(hex, s.data, s.len);
	(void)fputs(hex, stdout);
	free(hex);
}

static void
run_order(void)
{
	struct lt_buf a, b, t;
	struct lt_err err = { "" };
	char *w;
	int rc = LT_OK;

	lt_buf_init(&a, 0);
	lt_buf_init(&b, 0);
	while (rc == LT_OK && (w = strtok_r(NULL, " \n", &cursor)) != NULL) {
		lt_buf_clear(&b);
		rc = lt_merge_apply(
		    &rules, h.province, lt_buf_slice(&a), &h.change[strtoul(w, NULL, 10)].mc, &b);
		t = a;
		a = b;
		b = t;
	}
	if (rc == LT_OK && a.len != 0)
		rc = lt_row_check(lt_buf_slice(&a), &err);
	if (rc != LT_OK) {
		printf("R error %d %s\n", rc, err.text);
	} else if (h.row.len != 0 && lt_slice_eq(lt_buf_slice(&a), lt_buf_slice(&h.row))) {
		puts("R =");
	} else {
		(void)fputs("R ", stdout);
		print_hex(lt_buf_slice(&a));
		putchar('\n');
	}
	if (h.row.len == 0) {
		t = h.row;
		h.row = a;
		a = t;
	}
	lt_buf_fini(&a);
	lt_buf_fini(&b);
}

static int
open_field(void *ctx, const struct lt_dot *dot, const char *field, struct lt_arena *arena,
    struct lt_slice *out)
{
	size_t i, k;

	(void)ctx;
	(void)arena;
	for (i = 0; i < h.nchange; i++) {
		const struct input *in = &h.change[i];

		if (lt_dot_cmp(&in->mc.dot, dot) != 0)
			continue;
		for (k = 0; k < in->change.npersonal; k++)
			if (strcmp(in->opening[k].field, field) == 0 &&
			    in->opening[k].field_set.data != NULL) {
				*out = in->opening[k].field_set;
				return LT_OK;
			}
	}
	return LT_E_NOTFOUND;
}

static void
print_field(const struct lt_shown_field *f)
{
	uint8_t *packed;
	size_t n;

	printf("V %s %d %d ", f->name, f->conflict, f->withheld);
	print_hex(lt_slice(f->dot.feed.b, LT_FEED_LEN));
	printf(" %" PRIu64 " %" PRIu32 " ", f->dot.seq, f->dot.index);
	if (f->value == NULL) {
		puts("-");
		return;
	}
	packed = malloc(ltpb__value__get_packed_size(f->value));
	assert(packed != NULL);
	n = ltpb__value__pack(f->value, packed);
	print_hex(lt_slice(packed, n));
	putchar('\n');
	free(packed);
}

/* One field as lt_merge_show_bytes() gives it, against the value that the reference checks. */
static bool
same_bytes(const struct lt_shown_field *f, const struct lt_shown_field *b)
{
	Ltpb__FieldSet *fs;
	bool same;

	if (strcmp(f->name, b->name) != 0 || f->conflict != b->conflict ||
	    f->withheld != b->withheld)
		return false;
	if (b->field_set.len == 0)
		return lt_value_eq(f->value, b->value);
	fs = ltpb__field_set__unpack(NULL, b->field_set.len, b->field_set.data);
	same = fs != NULL && b->value == NULL && strcmp(fs->name, f->name) == 0 &&
	       lt_value_eq(fs->value, f->value);
	if (fs != NULL)
		ltpb__field_set__free_unpacked(fs, NULL);
	return same;
}

static void
check_bytes(const struct lt_shown *shown, int rc)
{
	struct lt_arena arena;
	struct lt_shown bytes;
	size_t i;
	bool same;

	lt_arena_init(&arena, 1 << 22);
	same = lt_merge_show_bytes(
		   &rules, lt_buf_slice(&h.row), open_field, NULL, &arena, &bytes) == rc;
	if (same && rc == LT_OK)
		same = shown->exists == bytes.exists && shown->incomplete == bytes.incomplete &&
		       shown->stamp == bytes.stamp && shown->nconflict == bytes.nconflict &&
		       shown->nfield == bytes.nfield;
	for (i = 0; same && rc == LT_OK && i < shown->nfield; i++)
		same = same_bytes(&shown->field[i], &bytes.field[i]);
	if (!same)
		puts("S shown as bytes is something else");
	lt_arena_fini(&arena);
}

static void
run_show(void)
{
	struct lt_arena arena;
	struct lt_shown shown;
	size_t i;
	int rc;

	lt_arena_init(&arena, 1 << 22);
	rc = lt_merge_show(&rules, lt_buf_slice(&h.row), open_field, NULL, &arena, &shown);
	if (rc != LT_OK)
		printf("S error %d\n", rc);
	else
		printf("S %d %d %" PRIu64 " %zu %zu\n", shown.exists, shown.incomplete, shown.stamp,
		    shown.nconflict, shown.nfield);
	check_bytes(&shown, rc);
	for (i = 0; rc == LT_OK && i < shown.nfield; i++)
		print_field(&shown.field[i]);
	lt_arena_fini(&arena);
}

/* FORMAT.md 9.13 */
static void
run_short(void)
{
	struct lt_slice record = bytes(word());
	struct lt_buf stored = { 0 }, whole = { 0 };
	int rc = lt_short_row_make(lt_buf_slice(&h.row), record, &stored);

	if (rc == LT_OK && lt_short_row_is(lt_buf_slice(&stored))) {
		rc = lt_short_row_restore(lt_buf_slice(&stored), record, &whole);
		if (rc == LT_OK && !lt_slice_eq(lt_buf_slice(&whole), lt_buf_slice(&h.row)))
			rc = LT_E_CONFLICT;
	}
	if (rc != LT_OK) {
		printf("M error %d\n", rc);
	} else {
		(void)fputs("M ", stdout);
		print_hex(lt_buf_slice(&stored));
		putchar('\n');
	}
	lt_buf_fini(&stored);
	lt_buf_fini(&whole);
}

static void
run_context(void)
{
	struct lt_arena arena;
	struct lt_feed_id own = feed();
	struct lt_context *c;
	size_t i, n;
	int rc;

	lt_arena_init(&arena, 1 << 20);
	rc = lt_row_context(lt_buf_slice(&h.row), &own, &arena, &c, &n);
	(void)fputs(rc == LT_OK ? "X" : "X error", stdout);
	for (i = 0; i < n; i++) {
		putchar(' ');
		print_hex(lt_slice(c[i].feed.b, LT_FEED_LEN));
		printf(" %" PRIu64 " %" PRIu64, c[i].seq, c[i].hash8);
	}
	putchar('\n');
	lt_arena_fini(&arena);
}

static void
run_has(void)
{
	struct lt_dot d = { .feed = feed() };

	d.seq = number();
	d.index = (uint32_t)number();
	printf("T %d\n", lt_row_has(lt_buf_slice(&h.row), &d));
}

static void
run_digest(void)
{
	static const uint16_t zero[LT_DIGEST_LANES];
	uint16_t lanes[LT_DIGEST_LANES] = { 0 };
	uint8_t sum[LT_DIGEST_SHORT];
	struct lt_record_id id;

	id.collection = text();
	id.unit = text();
	id.key = text();
	lt_digest_add(lanes, &id, lt_buf_slice(&h.row));
	lt_digest_lanes_short(sum, lanes);
	printf("D %d ", lt_digest_bucket(&id));
	print_hex(lt_slice(sum, sizeof(sum)));
	lt_digest_sub(lanes, &id, lt_buf_slice(&h.row));
	puts(memcmp(lanes, zero, sizeof(lanes)) == 0 ? "" : " remainder");
}

static void
forget(void)
{
	lt_arena_fini(&h.arena);
	lt_arena_init(&h.arena, 1 << 24);
	lt_buf_clear(&h.row);
	h.nfield = h.nchange = 0;
}

static void
read_rule(void)
{
	struct lt_field_rule *r = &h.field[h.nfield++];

	assert(h.nfield <= FIELDS_MAX);
	memset(r, 0, sizeof(*r));
	r->name = text();
	r->policy = (enum lt_policy)number();
	r->authority = (enum lt_authority)number();
}

static void
run_line(char *line)
{
	const char *verb = strtok_r(line, " \n", &cursor);

	switch (verb == NULL ? '\0' : verb[0]) {
	case 'H':
		forget();
		break;
	case 'P':
		h.province = number() != 0;
		break;
	case 'F':
		read_rule();
		break;
	case 'C':
		read_change();
		break;
	case 'O':
		run_order();
		break;
	case 'S':
		run_show();
		break;
	case 'M':
		run_short();
		break;
	case 'X':
		run_context();
		break;
	case 'T':
		run_has();
		break;
	case 'D':
		run_digest();
		break;
#ifdef LT_MERGE_BUGS
	case 'B':
		lt_merge_bug = (int)number();
		break;
#endif
	default:
		fprintf(stderr, "unknown command \"%s\"\n", line);
		exit(2);
	}
}

int
main(void)
{
	char *line = NULL;
	size_t cap = 0;

	lt_arena_init(&h.arena, 1 << 24);
	lt_buf_init(&h.row, 0);
	while (getline(&line, &cap, stdin) > 0)
		run_line(line);
	free(line);
	lt_arena_fini(&h.arena);
	lt_buf_fini(&h.row);
	return fflush(stdout) == 0 ? 0 : 2;
}
