/* A peer that lies about what it is asked for: everything that somebody may send who has the same log, the keys of those who wrote it,
 * and what was in it before something was erased. */
#include "damage.h"

#include "proto/feed/changeset.h"
#include "proto/store/repair.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ARENA ((size_t)64 << 20)
#define BRANCHES_MAX 6 /* of one number: more than what is kept of those that may be true */
#define BRANCH_LEN_MAX 3
#define BREAKS_MAX 8 /* of its line: whoever comes back is asked again */
#define LONG_BYTES ((size_t)LT_MESSAGE_MAX + 1)

const char *const lie_name[LIES] = { "bent", "signature", "opening", "another", "branch", "cut",
	"long", "many", "not asked", "bare", "leaves", "erased", "silent", "true" };

static uint64_t
below(struct liar *l, uint64_t n)
{
	return draw(&l->draws) % n;
}

static void
say(struct liar *l, struct lt_slice bytes)
{
	l->told++;
	l->taken += lt_repairer_take(l->repairer, &l->id, bytes, NULL) == LT_OK;
}

static const struct given *
any(struct liar *l)
{
	return repair_given(l->world->which, 1 + below(l, repair_given_count(l->world->which)));
}

static const struct given *
asked_for(const struct liar *l, const struct lt_repair_want *w)
{
	const struct given *g;
	size_t i;

	for (i = 1; i <= repair_given_count(l->world->which); i++) {
		g = repair_given(l->world->which, i);
		if (repair_is(g, w))
			return g;
	}
	return NULL;
}

/* ---- bytes that are nearly right ---- */

/* Some bits the other way, within so many bytes from there. */
static void
say_bent(struct liar *l, struct lt_slice bytes, size_t from, size_t len)
{
	struct lt_buf b = { 0 };
	uint64_t i, n = 1 + below(l, 3);

	lt_buf_put_slice(&b, bytes);
	assert_int_equal(b.err, LT_OK);
	for (i = 0; i < n; i++)
		b.data[from + below(l, len)] ^= (uint8_t)(1u << below(l, 8));
	say(l, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

static void
say_long(struct liar *l, struct lt_slice bytes)
{
	struct lt_buf b = { 0 };
	size_t len = below(l, 2) == 0 ? LONG_BYTES : bytes.len + 1 + below(l, bytes.len);

	lt_buf_put_slice(&b, bytes);
	while (b.err == LT_OK && b.len < len)
		lt_buf_put(&b, bytes.data, bytes.len < len - b.len ? bytes.len : len - b.len);
	assert_int_equal(b.err, LT_OK);
	say(l, lt_buf_slice(&b));
	lt_buf_fini(&b);
}

/* Without openings, or with leaves in the place of values. */
static void
say_stripped(struct liar *l, const struct lt_changeset *cs, bool leaves, struct lt_arena *arena)
{
	struct lt_buf bare = { 0 }, b = { 0 };
	struct lt_opening *o = lt_arena_alloc(arena, (cs->nopening + 1) * sizeof(*o));
	size_t i;

	assert_non_null(o);
	assert_int_equal(lt_changeset_strip(cs, &bare), LT_OK);
	for (i = 0; i < cs->nopening; i++) {
		o[i] = cs->opening[i];
		o[i].withheld |= below(l, 2) == 0;
	}
	if (leaves)
		assert_int_equal(
		    lt_changeset_compose(lt_buf_slice(&bare), cs->nopening, o, &b, NULL), LT_OK);
	say(l, lt_buf_slice(leaves ? &b : &bare));
	lt_buf_fini(&bare);
	lt_buf_fini(&b);
}

/* ---- what the author himself signed, elsewhere ---- */

static const struct lt_identity *
author_of(const struct liar *l, const struct lt_changeset *cs)
{
	const struct stores *s = l->world->s;
	struct lt_id author = lt_feed_author(&cs->feed);

	if (lt_id_eq(&author, &s->hub->principal))
		return s->hub;
	return lt_id_eq(&author, &s->node->principal) ? s->node : NULL;
}

static void
seal(struct liar *l, const struct lt_changeset *cs, const struct lt_identity *id,
    struct lt_seal *seal, struct lt_buf *out)
{
	char text[24];
	Ltpb__Value value = LTPB__VALUE__INIT;
	Ltpb__FieldSet set = LTPB__FIELD_SET__INIT, personal = LTPB__FIELD_SET__INIT;
	Ltpb__FieldSet *sets = &set, *personals = &personal;
	struct lt_draft d = { .collection = cs->change[0].collection,
		.key = cs->change[0].key,
		.nset = 1,
		.set = &sets,
		.npersonal = 1,
		.personal = &personals };
	struct lt_err err = { "" };

	(void)snprintf(text, sizeof(text), "%llx", (unsigned long long)draw(&l->draws));
	value.v_case = LTPB__VALUE__V_TEXT;
	value.text = text;
	set.name = (char *)(uintptr_t) "note";
	personal.name = (char *)(uintptr_t) "applicant_name";
	set.value = personal.value = &value;
	seal->federation = cs->federation;
	seal->unit = cs->unit;
	seal->feed = cs->feed;
	seal->catalogue_version = cs->catalogue_version;
	seal->key_no = id->key_no;
	seal->key = &id->sign;
	lt_store_u64(seal->seed, draw(&l->draws));
	seal->ndraft = 1;
	seal->draft = &d;
	if (lt_changeset_seal(seal, out, &seal->prev, &err) != LT_OK)
		fail_msg("%s", err.text);
	seal->draft = NULL;
	seal->seq++;
	seal->stamp++;
}

/* Branches that begin with this number, signed by its author on what stands before it: the last of each first, as it is the one that
 * may bear out those before it. */
static void
say_branches(struct liar *l, const struct lt_changeset *cs)
{
	const struct lt_identity *id = author_of(l, cs);
	struct lt_buf b[BRANCH_LEN_MAX];
	uint64_t n = 1 + below(l, BRANCHES_MAX), len, i;

	if (id == NULL) {
		say(l, any(l)->bytes);
		return;
	}
	for (; n != 0; n--) {
		struct lt_seal s = { .seq = cs->seq, .prev = cs->prev, .stamp = cs->stamp };

		len = 1 + below(l, BRANCH_LEN_MAX);
		for (i = 0; i < len; i++) {
			lt_buf_init(&b[i], 0);
			seal(l, cs, id, &s, &b[i]);
		}
		for (; i != 0; i--)
			say(l, lt_buf_slice(&b[i - 1]));
		for (i = 0; i < len; i++)
			lt_buf_fini(&b[i]);
	}
}

/* ---- one answer ---- */

static void
say_parsed(struct liar *l, enum lie lie, const struct given *g)
{
	struct lt_changeset cs;
	struct lt_arena arena;

	lt_arena_init(&arena, ARENA);
	assert_int_equal(lt_changeset_parse(g->bytes, &arena, &cs, NULL), LT_OK);
	if (lie == LIE_SIGNATURE)
		say_bent(
		    l, g->bytes, (size_t)(cs.signature.data - g->bytes.data), cs.signature.len);
	else if (lie == LIE_BRANCH)
		say_branches(l, &cs);
	else
		say_stripped(l, &cs, lie == LIE_LEAVES && cs.has_openings, &arena);
	lt_arena_fini(&arena);
}

static void
say_many(struct liar *l)
{
	size_t i, n = repair_given_count(l->world->which);
	unsigned times;

	for (times = 0; times < 2; times++)
		for (i = n; i != 0; i--)
			say(l, repair_given(l->world->which, i)->bytes);
}

void
liar_answer(struct liar *l, const struct lt_repair_want *w)
{
	enum lie lie = (enum lie)below(l, LIES);
	const struct given *g = asked_for(l, w);

	l->lies[lie]++;
	if (g == NULL)
		g = any(l);
	switch (lie) {
	case LIE_BENT:
		say_bent(l, g->bytes, 0, g->bytes.len);
		return;
	case LIE_OPENING: /* they stand at the end */
		say_bent(l, g->bytes, g->bytes.len - g->bytes.len / 4, g->bytes.len / 4);
		return;
	case LIE_SIGNATURE:
	case LIE_BRANCH:
	case LIE_BARE:
	case LIE_LEAVES:
		say_parsed(l, lie, g);
		return;
	case LIE_CUT:
		say(l, lt_slice(g->bytes.data, below(l, g->bytes.len)));
		return;
	case LIE_LONG:
		say_long(l, g->bytes);
		return;
	case LIE_MANY:
		say_many(l);
		return;
	case LIE_ANOTHER:
	case LIE_UNASKED: /* the honest one is, or nobody */
		say(l, any(l)->bytes);
		return;
	case LIE_ERASED:
		say(l, g->before.data != NULL ? g->before : g->bytes);
		return;
	case LIE_TRUE:
		say(l, g->bytes);
		return;
	case LIE_SILENT:
	case LIES:
		break;
	}
	if (l->breaks < BREAKS_MAX && below(l, 4) == 0) {
		l->breaks++;
		lt_repairer_unasked(l->repairer, &l->id);
	}
}
