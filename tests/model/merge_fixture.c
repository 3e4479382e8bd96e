#include "tests/model/merge_fixture.h"
#include "proto/model/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct lt_field_rule *
find(void *ctx, const char *name)
{
	static const struct lt_field_rule rules[] = {
		{ "l", LT_TYPE_TEXT, LT_POLICY_LWW, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "r", LT_TYPE_TEXT, LT_POLICY_REVIEW, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "f", LT_TYPE_TEXT, LT_POLICY_FIRST, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "x", LT_TYPE_INT, LT_POLICY_MAX, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "m", LT_TYPE_INT, LT_POLICY_MIN, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "s", LT_TYPE_SET, LT_POLICY_SET, LT_AUTHORITY_ANY, LT_PERSONAL_NONE },
		{ "u", LT_TYPE_TEXT, LT_POLICY_LWW, LT_AUTHORITY_UNIT, LT_PERSONAL_NONE },
		{ "h", LT_TYPE_TEXT, LT_POLICY_LWW, LT_AUTHORITY_HUB, LT_PERSONAL_NONE },
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].name[0] == name[0])
			return &rules[i];
	return NULL;
}

const struct lt_rules fixture_rules = { find, NULL };

struct lt_feed_id
fixture_feed(char author)
{
	struct lt_id id;

	memset(id.b, author, sizeof(id.b));
	return lt_feed_id_make(id, LT_LANE_NORMAL, 1);
}

static void *
zeroed(struct fixture *fx, size_t n)
{
	void *p = lt_arena_alloc(&fx->arena, n);

	assert_non_null(p);
	return p;
}

static char *
copy(struct fixture *fx, const char *s, size_t n)
{
	char *p = lt_arena_dup(&fx->arena, s, n);

	assert_non_null(p);
	return p;
}

/* Items of "a,b" up to the next sign into a list of up to 8. */
static size_t
items(struct fixture *fx, const char **p, char **out)
{
	size_t n = 0, len;

	while (**p != '\0' && **p != '+' && **p != '-') {
		len = strcspn(*p, ",+-");
		out[n++] = copy(fx, *p, len);
		*p += len;
		if (**p == ',')
			(*p)++;
	}
	return n;
}

static struct lt_slice
pack(struct fixture *fx, const char *name, const char *text)
{
	Ltpb__FieldSet fs = LTPB__FIELD_SET__INIT;
	Ltpb__Value v = LTPB__VALUE__INIT;
	Ltpb__TextSet set = LTPB__TEXT_SET__INIT;
	char *of[8], *added[8], *removed[8];
	uint8_t *raw;
	size_t n;

	fs.name = copy(fx, name, strlen(name));
	fs.value = &v;
	fs.added = added;
	fs.removed = removed;
	if (name[0] == 'x' || name[0] == 'm') {
		v.v_case = LTPB__VALUE__V_INTEGER;
		v.integer = strtol(text, NULL, 10);
	} else if (name[0] == 's') {
		v.v_case = LTPB__VALUE__V_SET;
		v.set = &set;
		set.item = of;
		set.n_item = items(fx, &text, of);
		if (*text == '+') {
			text++;
			fs.n_added = items(fx, &text, added);
		}
		if (*text == '-') {
			text++;
			fs.n_removed = items(fx, &text, removed);
		}
	} else {
		v.v_case = LTPB__VALUE__V_TEXT;
		v.text = copy(fx, text, strlen(text));
	}
	n = ltpb__field_set__get_packed_size(&fs);
	raw = zeroed(fx, n);
	ltpb__field_set__pack(&fs, raw);
	return lt_slice(raw, n);
}

/* "<B3,C2" in order of authors. */
static void
read_context(struct fixture *fx, struct lt_change *c, const char *p)
{
	char *end;

	c->context = zeroed(fx, 8 * sizeof(*c->context));
	while (*p != '\0') {
		struct lt_context *x = &c->context[c->ncontext++];

		x->feed = fixture_feed(*p);
		x->seq = strtoull(p + 1, &end, 10);
		x->hash8 = x->seq * 1000 + (uint64_t)*p;
		p = *end == ',' ? end + 1 : end;
	}
}

static void
read_field(struct fixture *fx, struct lt_change *c, struct lt_slice *opening, const char *w)
{
	size_t len = strcspn(w, "=~");
	char *name = copy(fx, w, len);
	const char *text = w + len + 1;
	struct lt_err err;

	assert_true(w[len] != '\0');
	if (w[len] == '~') {
		if (*text != '\0')
			opening[c->npersonal] = pack(fx, name, text);
		c->personal[c->npersonal++] = name;
		memset(c->personal_root.b, name[0], LT_HASH_LEN);
	} else if (*text == '\0') {
		c->cleared[c->ncleared++] = name;
	} else {
		assert_true(c->nset == 0 || strcmp(c->set[c->nset - 1].pb->name, name) < 0);
		assert_int_equal(
		    lt_field_set_decode(pack(fx, name, text), &fx->arena, &c->set[c->nset], &err),
		    LT_OK);
		c->nset++;
	}
}

static void
read_change(struct fixture *fx, const char *words)
{
	struct lt_merge_change *mc = &fx->change[fx->n];
	struct lt_slice *opening = zeroed(fx, 8 * sizeof(*opening));
	struct lt_change *c = zeroed(fx, sizeof(*c));
	char *line = copy(fx, words, strlen(words)), *next, *w = strtok_r(line, " ", &next), *p;

	assert_non_null(w);
	c->set = zeroed(fx, 8 * sizeof(*c->set));
	c->cleared = zeroed(fx, 8 * sizeof(*c->cleared));
	c->personal = zeroed(fx, 8 * sizeof(*c->personal));
	mc->change = c;
	mc->by_hub = w[0] == 'H';
	mc->dot.feed = fixture_feed(w[0]);
	mc->dot.seq = strtoull(w + 1, &p, 10);
	if (*p == '.')
		mc->dot.index = (uint32_t)strtoul(p + 1, &p, 10);
	assert_int_equal(*p, '@');
	mc->stamp = strtoull(p + 1, NULL, 10);
	mc->hash8 = mc->dot.seq * 1000 + (uint64_t)w[0];
	while ((w = strtok_r(NULL, " ", &next)) != NULL) {
		if (w[0] == '<')
			read_context(fx, c, w + 1);
		else if (strcmp(w, "del") == 0)
			c->is_delete = true;
		else
			read_field(fx, c, opening, w);
	}
	fx->opening[fx->n++] = opening;
}

void
fixture_init(struct fixture *fx, const char *changes)
{
	char *all, *next, *one;

	memset(fx, 0, sizeof(*fx));
	lt_arena_init(&fx->arena, 1 << 20);
	all = copy(fx, changes, strlen(changes));
	for (one = strtok_r(all, ";", &next); one != NULL; one = strtok_r(NULL, ";", &next))
		read_change(fx, one);
}

void
fixture_fini(struct fixture *fx)
{
	lt_arena_fini(&fx->arena);
}

void
fixture_apply(struct fixture *fx, const size_t *order, size_t n, struct lt_buf *row)
{
	struct lt_buf next = { 0 }, t;
	struct lt_err err;
	size_t i;

	lt_buf_clear(row);
	for (i = 0; i < n; i++) {
		lt_buf_clear(&next);
		assert_int_equal(lt_merge_apply(&fixture_rules, fx->province, lt_buf_slice(row),
				     &fx->change[order[i]], &next),
		    LT_OK);
		t = *row;
		*row = next;
		next = t;
		if (lt_row_check(lt_buf_slice(row), &err) != LT_OK)
			fail_msg("the row is not sound: %s", err.text);
	}
	lt_buf_fini(&next);
}

static int
open_field(void *ctx, const struct lt_dot *dot, const char *field, struct lt_arena *arena,
    struct lt_slice *out)
{
	struct fixture *fx = ctx;
	size_t i, k;

	(void)arena;
	for (i = 0; i < fx->n; i++)
		for (k = 0; k < fx->change[i].change->npersonal; k++)
			if (lt_dot_cmp(&fx->change[i].dot, dot) == 0 &&
			    strcmp(fx->change[i].change->personal[k], field) == 0) {
				*out = fx->opening[i][k];
				return out->data == NULL ? LT_E_NOTFOUND : LT_OK;
			}
	return LT_E_INVALID;
}

const char *
fixture_shown(struct fixture *fx, struct lt_slice row)
{
	static char text[512];
	struct lt_shown shown;
	struct lt_buf b = { 0 };
	size_t i;

	assert_int_equal(
	    lt_merge_show(&fixture_rules, row, open_field, fx, &fx->arena, &shown), LT_OK);
	if (!shown.exists)
		lt_buf_str(&b, "gone");
	for (i = 0; i < shown.nfield; i++) {
		const struct lt_shown_field *f = &shown.field[i];

		lt_buf_printf(
		    &b, "%s%s%s", b.len == 0 ? "" : " ", f->name, f->withheld ? "?" : "=");
		if (f->value != NULL)
			lt_value_text(f->value, &b);
		lt_buf_str(&b, f->conflict ? "!" : "");
	}
	lt_buf_str(&b, shown.incomplete ? " incomplete" : "");
	if (shown.nconflict != 0)
		lt_buf_printf(&b, " conflicts=%zu", shown.nconflict);
	snprintf(text, sizeof(text), "%.*s", (int)b.len, (const char *)b.data);
	lt_buf_fini(&b);
	return text;
}
