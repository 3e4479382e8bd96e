/* Patterns as tables: one look-up a byte of text, no memory and no lock. regexec() takes a lock on each compiled pattern, so that
 * threads that check values at the same time wait for each other.
 *
 * A pattern that lt_pattern_check() let through becomes an automaton that may be in several places at once, and that one with a state
 * for each set of places. A pattern whose table would be large has none, and regexec() decides. */
#include "proto/model/catalogue_impl.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 1024
#define STATES_MAX 255 /* state 0: no match any more */
#define CLASSES_MAX 64
#define WORDS (PLACES_MAX / 64)

struct lt_pattern_table {
	uint8_t class_of[256]; /* bytes between which the pattern makes no difference */
	uint8_t nclass;
	uint8_t first;
	uint8_t accepts[STATES_MAX + 1];
	uint8_t next[]; /* state * nclass + class */
};

/* A place: wait for a byte of the set and go on at out, or (fork) go on at out and at other at once. */
struct place {
	bool fork;
	uint16_t out, other;
	uint64_t set[4];
};

#define END 0 /* the place behind the last byte */

struct build {
	size_t nplace;
	bool full;
	struct place place[PLACES_MAX];
	size_t nstate;
	uint64_t state[STATES_MAX + 1][WORDS];
};

static uint16_t
add_place(struct build *b, struct place p)
{
	if (b->nplace == PLACES_MAX) {
		b->full = true;
		return END;
	}
	b->place[b->nplace] = p;
	return (uint16_t)b->nplace++;
}

static uint16_t
add_fork(struct build *b, uint16_t out, uint16_t other)
{
	return add_place(b, (struct place){ .fork = true, .out = out, .other = other });
}

static void
set_add(struct place *p, unsigned byte)
{
	p->set[byte / 64] |= UINT64_C(1) << byte % 64;
}

static bool
set_has(const struct place *p, unsigned byte)
{
	return (p->set[byte / 64] >> byte % 64 & 1) != 0;
}

/* ---- reading: the pattern is known to be well-formed ---- */

static const char *
skip_bracket(const char *p)
{
	return strchr(p, ']') + 1;
}

static const char *
skip_atom(const char *p)
{
	unsigned depth = 0;

	if (*p == '[')
		return skip_bracket(p);
	if (*p != '(')
		return p + 1;
	do {
		if (*p == '[') {
			p = skip_bracket(p);
			continue;
		}
		depth += *p == '(';
		depth -= *p == ')';
		p++;
	} while (depth != 0);
	return p;
}

struct item {
	const char *atom, *end;
	unsigned least, most; /* most 0: any number */
};

/* One atom with its repetition; returns what stands behind. */
static const char *
read_item(const char *p, struct item *out)
{
	char *end;

	out->atom = p;
	out->end = p = skip_atom(p);
	out->least = out->most = 1;
	switch (*p) {
	case '?':
		out->least = 0;
		return p + 1;
	case '*':
		out->least = out->most = 0;
		return p + 1;
	case '+':
		out->most = 0;
		return p + 1;
	case '{':
		out->least = out->most = (unsigned)strtoul(p + 1, &end, 10);
		if (*end == ',')
			out->most = end[1] == '}' ? 0 : (unsigned)strtoul(end + 1, &end, 10);
		return strchr(end, '}') + 1;
	default:
		return p;
	}
}

static void
read_set(const char *p, const char *end, struct place *out)
{
	bool except = p[1] == '^';
	unsigned from, to, i;

	for (p += except ? 2 : 1; p + 1 < end; p++) {
		from = to = (unsigned char)*p;
		if (p[1] == '-' && p + 2 < end - 1) {
			to = (unsigned char)p[2];
			p += 2;
		}
		for (i = from; i <= to; i++)
			set_add(out, i);
	}
	for (i = 0; except && i < 4; i++)
		out->set[i] = ~out->set[i];
}

/* ---- the automaton, from its end to its beginning ---- */

static uint16_t add_sequence(struct build *b, const char *p, const char *end, uint16_t then);

static uint16_t
add_group(struct build *b, const char *p, const char *end, uint16_t then)
{
	uint16_t all = END;
	bool first = true;
	const char *from = p;

	for (;; p = skip_atom(p)) {
		if (p != end && *p != '|')
			continue;
		{
			uint16_t one = add_sequence(b, from, p, then);

			all = first ? one : add_fork(b, one, all);
		}
		first = false;
		if (p == end || b->full)
			return all;
		from = p + 1;
	}
}

static uint16_t
add_atom(struct build *b, const struct item *it, uint16_t then)
{
	struct place p = { .out = then };

	switch (it->atom[0]) {
	case '(':
		return add_group(b, it->atom + 1, it->end - 1, then);
	case '[':
		read_set(it->atom, it->end, &p);
		break;
	case '.':
		memset(p.set, 0xff, sizeof(p.set));
		break;
	default:
		set_add(&p, (unsigned char)it->atom[0]);
	}
	return add_place(b, p);
}

static uint16_t
add_item(struct build *b, const struct item *it, uint16_t then)
{
	uint16_t at = then, fork;
	unsigned i;

	if (it->most == 0) {
		fork = add_fork(b, END, then);
		at = add_atom(b, it, fork);
		b->place[fork].out = at;
		at = fork;
	}
	for (i = it->least; i < it->most && !b->full; i++)
		at = add_fork(b, add_atom(b, it, at), then);
	for (i = 0; i < it->least && !b->full; i++)
		at = add_atom(b, it, at);
	return at;
}

static uint16_t
add_sequence(struct build *b, const char *p, const char *end, uint16_t then)
{
	struct item item[LT_PATTERN_MAX];
	size_t n = 0;

	while (p != end)
		p = read_item(p, &item[n++]);
	while (n > 0 && !b->full)
		then = add_item(b, &item[--n], then);
	return then;
}

/* ---- sets of places ---- */

/* The place and all that is reached from it without a byte. */
static void
reach(const struct build *b, uint64_t *set, uint16_t at)
{
	uint16_t stack[PLACES_MAX * 2];
	size_t n = 0;

	stack[n++] = at;
	while (n > 0) {
		at = stack[--n];
		if (set[at / 64] >> at % 64 & 1)
			continue;
		set[at / 64] |= UINT64_C(1) << at % 64;
		if (b->place[at].fork) {
			stack[n++] = b->place[at].out;
			stack[n++] = b->place[at].other;
		}
	}
}

/* The state that is this set of places; 0 for the empty one, or when there are too many. */
static uint8_t
state_of(struct build *b, const uint64_t set[WORDS])
{
	size_t i;

	for (i = 0; i < b->nstate; i++)
		if (memcmp(b->state[i], set, sizeof(b->state[i])) == 0)
			return (uint8_t)i;
	if (b->nstate == STATES_MAX + 1) {
		b->full = true;
		return 0;
	}
	memcpy(b->state[b->nstate], set, sizeof(b->state[0]));
	return (uint8_t)b->nstate++;
}

static uint8_t
step(struct build *b, size_t state, unsigned byte)
{
	uint64_t set[WORDS] = { 0 };
	size_t i;

	for (i = 0; i < b->nplace; i++)
		if ((b->state[state][i / 64] >> i % 64 & 1) && i != END && !b->place[i].fork &&
		    set_has(&b->place[i], byte))
			reach(b, set, b->place[i].out);
	return state_of(b, set);
}

/* Bytes that stand in the same sets are one class. false: too many. */
static bool
classify(const struct build *b, uint8_t class_of[256], uint8_t example[CLASSES_MAX], uint8_t *n)
{
	unsigned byte, k;
	size_t i;

	*n = 0;
	for (byte = 0; byte < 256; byte++) {
		for (k = 0; k < *n; k++) {
			for (i = 0; i < b->nplace; i++)
				if (!b->place[i].fork && set_has(&b->place[i], byte) !=
							     set_has(&b->place[i], example[k]))
					break;
			if (i == b->nplace)
				break;
		}
		if (k == CLASSES_MAX)
			return false;
		if (k == *n)
			example[(*n)++] = (uint8_t)byte;
		class_of[byte] = (uint8_t)k;
	}
	return true;
}

static struct lt_pattern_table *
make_table(struct build *b, const char *pattern, struct lt_arena *arena)
{
	uint8_t class_of[256], example[CLASSES_MAX], nclass, *next;
	struct lt_pattern_table *t = NULL;
	uint64_t set[WORDS] = { 0 };
	uint16_t start;
	uint8_t first;
	size_t s, k;

	b->nplace = 1; /* END */
	start = add_sequence(b, pattern + 1, pattern + strlen(pattern) - 1, END);
	if (b->full || !classify(b, class_of, example, &nclass))
		return NULL;
	b->nstate = 1; /* the empty set */
	reach(b, set, start);
	first = state_of(b, set);
	next = calloc(STATES_MAX + 1, nclass);
	for (s = 1; next != NULL && s < b->nstate && !b->full; s++)
		for (k = 0; k < nclass; k++)
			next[s * nclass + k] = step(b, s, example[k]);
	if (next != NULL && !b->full)
		t = lt_arena_alloc(arena, sizeof(*t) + b->nstate * nclass);
	if (t != NULL) {
		memcpy(t->class_of, class_of, sizeof(t->class_of));
		t->nclass = nclass;
		t->first = first;
		for (s = 0; s < b->nstate; s++)
			t->accepts[s] = (uint8_t)(b->state[s][0] & 1); /* END is among them */
		memcpy(t->next, next, b->nstate * nclass);
	}
	free(next);
	return t;
}

const struct lt_pattern_table *
lt_pattern_table(const char *pattern, struct lt_arena *arena)
{
	const struct lt_pattern_table *t;
	struct build *b;
	size_t nodes;

	if (lt_pattern_check(pattern, &nodes, NULL) != LT_OK)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	t = make_table(b, pattern, arena);
	free(b);
	return t;
}

bool
lt_pattern_table_match(const struct lt_pattern_table *t, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t state = t->first;

	for (; *p != '\0' && state != 0; p++)
		state = t->next[state * t->nclass + t->class_of[*p]];
	return t->accepts[state] != 0;
}
