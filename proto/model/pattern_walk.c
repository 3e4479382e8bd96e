/* Glushkov's automaton of a pattern: each character that is written out, repetitions counted, is a position, a bit of a word. */
#include "proto/model/pattern_walk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POSITIONS_MAX 64
#define CHARS 128

struct lt_pattern_walk {
	bool empty; /* the empty text has the form */
	uint64_t first, last; /* where a text may begin and end */
	uint64_t at[CHARS]; /* positions where this character may stand */
	uint64_t follow[POSITIONS_MAX]; /* what may come next */
};

/* A piece of the pattern: where it may begin and end, and whether it may be left out. */
struct part {
	bool empty;
	uint64_t first, last;
};

struct build {
	struct lt_pattern_walk *w;
	const char *p, *end; /* at the final '$' */
	unsigned n; /* positions so far */
	bool full;
};

static struct part read_alternatives(struct build *b);

static void
join(struct build *b, uint64_t last, uint64_t first)
{
	for (; last != 0; last &= last - 1)
		b->w->follow[__builtin_ctzll(last)] |= first;
}

static void
append(struct build *b, struct part *all, struct part next)
{
	join(b, all->last, next.first);
	all->first |= all->empty ? next.first : 0;
	all->last = next.last | (next.empty ? all->last : 0);
	all->empty = all->empty && next.empty;
}

/* A new position for the characters that are set. */
static struct part
position(struct build *b, const bool set[CHARS])
{
	uint64_t bit;
	unsigned c;

	if (b->n == POSITIONS_MAX) {
		b->full = true;
		return (struct part){ .empty = true };
	}
	bit = UINT64_C(1) << b->n++;
	for (c = 1; c < CHARS; c++)
		if (set[c])
			b->w->at[c] |= bit;
	return (struct part){ false, bit, bit };
}

static struct part
read_bracket(struct build *b)
{
	bool set[CHARS] = { false }, other = false;
	unsigned c, to;

	if (*++b->p == '^') {
		other = true;
		b->p++;
	}
	while (*b->p != ']') {
		c = to = (unsigned char)*b->p++;
		if (*b->p == '-' && b->p[1] != ']') {
			to = (unsigned char)b->p[1];
			b->p += 2;
		}
		for (; c <= to; c++)
			set[c] = true;
	}
	b->p++;
	for (c = 0; other && c < CHARS; c++)
		set[c] = !set[c];
	return position(b, set);
}

static struct part
read_atom(struct build *b)
{
	bool set[CHARS] = { false };
	struct part part;

	if (*b->p == '[')
		return read_bracket(b);
	if (*b->p == '(') {
		b->p++;
		part = read_alternatives(b);
		b->p += !b->full; /* else it is anywhere */
		return part;
	}
	memset(set, *b->p == '.', sizeof(set));
	set[(unsigned char)*b->p++] = true;
	return position(b, set);
}

/* How often the atom before may stand; most 0: any number of times. */
static void
read_counts(struct build *b, unsigned *least, unsigned *most)
{
	char *after;

	*least = *most = 1;
	switch (*b->p) {
	case '?':
		*least = 0;
		break;
	case '*':
		*least = *most = 0;
		break;
	case '+':
		*most = 0;
		break;
	case '{':
		*least = *most = (unsigned)strtoul(b->p + 1, &after, 10);
		if (*after == ',')
			*most = (unsigned)strtoul(after + 1, &after, 10);
		b->p = after;
		break;
	default:
		return;
	}
	b->p++;
}

/* An atom as many times as its repetition says: what is written again is read again. */
static struct part
read_repeated(struct build *b)
{
	const char *from = b->p, *after;
	struct part all = read_atom(b), one;
	unsigned least, most, i;

	if (b->full)
		return all;
	read_counts(b, &least, &most);
	after = b->p;
	one = all;
	for (i = 1; !b->full && i < (most != 0 ? most : least); i++) {
		b->p = from;
		one = read_atom(b);
		one.empty = one.empty || i >= least;
		append(b, &all, one);
	}
	if (most == 0)
		join(b, one.last, one.first);
	all.empty = all.empty || least == 0;
	b->p = after;
	return all;
}

static struct part
read_sequence(struct build *b)
{
	struct part all = { .empty = true };

	while (!b->full && b->p < b->end && *b->p != '|' && *b->p != ')')
		append(b, &all, read_repeated(b));
	return all;
}

static struct part
read_alternatives(struct build *b)
{
	struct part all = read_sequence(b), one;

	while (!b->full && *b->p == '|') {
		b->p++;
		one = read_sequence(b);
		all.empty = all.empty || one.empty;
		all.first |= one.first;
		all.last |= one.last;
	}
	return all;
}

struct lt_pattern_walk *
lt_pattern_walk_new(const char *pattern)
{
	struct build b = { .p = pattern + 1, .end = pattern + strlen(pattern) - 1 };
	struct part all;

	b.w = calloc(1, sizeof(*b.w));
	if (b.w == NULL)
		return NULL;
	all = read_sequence(&b);
	if (b.full) {
		free(b.w);
		return NULL;
	}
	b.w->empty = all.empty;
	b.w->first = all.first;
	b.w->last = all.last;
	return b.w;
}

static inline uint64_t
what_follows(const struct lt_pattern_walk *w, uint64_t here)
{
	uint64_t next = 0;

	for (; here != 0; here &= here - 1)
		next |= w->follow[__builtin_ctzll(here)];
	return next;
}

enum lt_pattern_answer
lt_pattern_walk(const struct lt_pattern_walk *w, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	uint64_t here = 0, next;

	if (w == NULL)
		return LT_PATTERN_ASK_REGEX;
	if (*p == '\0')
		return w->empty ? LT_PATTERN_YES : LT_PATTERN_NO;
	for (next = w->first; *p != '\0'; p++) {
		if (*p >= CHARS)
			return LT_PATTERN_ASK_REGEX;
		here = next & w->at[*p];
		if (here == 0)
			return LT_PATTERN_NO;
		next = what_follows(w, here);
	}
	return (here & w->last) != 0 ? LT_PATTERN_YES : LT_PATTERN_NO;
}
