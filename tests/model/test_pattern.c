/* The walk of a pattern beside regexec(), which decides: the same answer to every text, for the patterns of the catalogue and for
 * any other of their kind. */
#include "proto/model/catalogue_impl.h"
#include "proto/model/pattern_walk.h"

#include "proto/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t state = 20261122;

static size_t
below(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state >> 11) % n;
}

/* ---- texts ---- */

#define TEXT_MAX 160

struct text {
	char s[TEXT_MAX + 1];
	size_t len;
};

static void
put(struct text *t, char c)
{
	if (t->len < TEXT_MAX)
		t->s[t->len++] = c;
}

/* Something of the form of the pattern, by reading it: groups and repetitions as they come. */
static const char *make_alternatives(const char *p, struct text *t);

static const char *
make_atom(const char *p, struct text *t)
{
	char from, to;

	if (*p == '(')
		return make_alternatives(p + 1, t) + 1;
	if (*p != '[') {
		put(t, (char)(*p == '.' ? 1 + (int)below(126) : *p));
		return p + 1;
	}
	if (p[1] == '^') {
		put(t, (char)(32 + below(95)));
		return strchr(p + 2, ']') + 1;
	}
	from = to = p[1];
	if (p[2] == '-' && p[3] != ']')
		to = p[3];
	put(t, (char)(from + (int)below((size_t)(to - from) + 1)));
	return strchr(p + 1, ']') + 1;
}

static const char *
make_repeated(const char *p, struct text *t)
{
	struct text none = { .len = 0 };
	const char *after = make_atom(p, &none), *end = after;
	unsigned long least = 1, most = 1;
	char *q;

	if (*after == '?' || *after == '*' || *after == '+') {
		least = *after == '+';
		most = *after == '?' ? 1 : 3;
		end++;
	} else if (*after == '{') {
		least = most = strtoul(after + 1, &q, 10);
		if (*q == ',')
			most = q[1] == '}' ? least + 2 : strtoul(q + 1, &q, 10);
		end = strchr(after, '}') + 1;
	}
	for (most = least + below(most - least + 1); most > 0; most--)
		(void)make_atom(p, t);
	return end;
}

/* One of the alternatives at p, up to the ')' or the final '$', which is returned. */
static const char *
make_alternatives(const char *p, struct text *t)
{
	struct text was = *t;

	for (;;) {
		while (*p != '|' && *p != ')' && p[1] != '\0')
			p = make_repeated(p, t);
		if (*p != '|')
			return p;
		p++;
		if (below(2) == 0)
			*t = was;
		else {
			struct text rest = { .len = 0 };

			return make_alternatives(p, &rest);
		}
	}
}

static void
spoil(struct text *t)
{
	size_t i = below(t->len + 1);

	switch (below(5)) {
	case 0:
		t->len = i;
		break;
	case 1:
		if (i < t->len)
			t->s[i] = (char)(1 + below(126));
		break;
	case 2:
		if (t->len < TEXT_MAX) {
			memmove(t->s + i + 1, t->s + i, t->len - i);
			t->s[i] = (char)(32 + below(95));
			t->len++;
		}
		break;
	case 3:
		if (i < t->len) {
			memmove(t->s + i, t->s + i + 1, t->len - i - 1);
			t->len--;
		}
		break;
	default:
		if (i < t->len && below(4) == 0)
			t->s[i] = (char)(0x80 + below(128));
	}
}

/* ---- both ways ---- */

struct tally {
	size_t yes, no, regex, patterns, walked;
};

static void
judge(const char *pattern, const regex_t *regex, const struct lt_pattern_walk *w, const char *text,
    struct tally *t)
{
	enum lt_pattern_answer a = lt_pattern_walk(w, text);
	bool is = lt_pattern_match(regex, text);

	t->regex += a == LT_PATTERN_ASK_REGEX;
	t->yes += a == LT_PATTERN_YES;
	t->no += a == LT_PATTERN_NO;
	if (a != LT_PATTERN_ASK_REGEX && is != (a == LT_PATTERN_YES))
		fail_msg("\"%s\", \"%s\": regexec says %d", pattern, text, is);
}

static void
try_pattern(const char *pattern, size_t texts, struct tally *t)
{
	struct lt_pattern_walk *w;
	struct lt_err err;
	regex_t regex;
	size_t nodes, i, k;
	struct text text;

	if (lt_pattern_check(pattern, &nodes, &err) != LT_OK ||
	    lt_pattern_compile(pattern, &regex, &err) != LT_OK)
		return;
	w = lt_pattern_walk_new(pattern);
	t->patterns++;
	t->walked += w != NULL;
	judge(pattern, &regex, w, "", t);
	for (i = 0; i < texts; i++) {
		text.len = 0;
		(void)make_alternatives(pattern + 1, &text);
		for (k = below(3); k > 0; k--)
			spoil(&text);
		text.s[text.len] = '\0';
		judge(pattern, &regex, w, text.s, t);
	}
	free(w);
	regfree(&regex);
}

static void
of_the_catalogue(void **unused)
{
	struct lt_catalogue *cat;
	struct lt_err err = { "" };
	struct lt_buf json;
	struct tally t = { 0 };
	size_t i, k;

	(void)unused;
	lt_buf_init(&json, LT_CATALOGUE_BYTES_MAX);
	assert_int_equal(
	    lt_file_read(LT_PROTO_DATA "/catalogue.json", LT_CATALOGUE_BYTES_MAX, &json, &err),
	    LT_OK);
	assert_int_equal(lt_catalogue_parse(lt_buf_slice(&json), 1, &cat, &err), LT_OK);
	for (i = 0; i < lt_catalogue_count(cat); i++) {
		const struct lt_collection *col = lt_catalogue_at(cat, i);

		for (k = 0; k < col->nfield; k++)
			if (col->field[k].has_pattern)
				try_pattern(col->field[k].pattern, 40, &t);
	}
	/* Nearly all are short enough. */
	assert_true(t.patterns > 100 && t.walked > t.patterns - t.patterns / 10);
	assert_true(t.yes > 500 && t.no > 500);
	lt_catalogue_unref(cat);
	lt_buf_fini(&json);
}

/* ---- patterns ---- */

static void make_pattern(struct text *t, unsigned depth);

static void
pattern_atom(struct text *t, unsigned depth)
{
	static const char plain[] = "ab01-_/,:;#%&'\"!<=>@~` ";
	size_t i;

	if (depth > 0 && below(4) == 0) {
		put(t, '(');
		make_pattern(t, depth - 1);
		while (below(2) == 0) {
			put(t, '|');
			make_pattern(t, depth - 1);
		}
		put(t, ')');
	} else if (below(3) == 0) {
		put(t, '[');
		if (below(4) == 0)
			put(t, '^');
		for (i = 1 + below(3); i > 0; i--) {
			put(t, (char)('a' + (int)below(3)));
			if (below(2) == 0) {
				put(t, '-');
				put(t, (char)('c' + (int)below(3)));
			}
		}
		if (below(6) == 0)
			put(t, '-');
		put(t, ']');
	} else {
		put(t, (char)(below(8) == 0 ? '.' : plain[below(sizeof(plain) - 1)]));
	}
}

static void
make_pattern(struct text *t, unsigned depth)
{
	static const char *const again[] = { "?", "*", "+", "{2}", "{0,2}", "{1,3}", "{2,}", "{0,}",
		"{1}", "{0,1}" };
	size_t i;
	const char *s;

	for (i = 1 + below(3); i > 0; i--) {
		pattern_atom(t, depth);
		if (below(2) == 0)
			for (s = again[below(sizeof(again) / sizeof(again[0]))]; *s != '\0'; s++)
				put(t, *s);
	}
}

static void
of_any(void **unused)
{
	struct tally t = { 0 };
	struct text p;
	size_t i;

	(void)unused;
	for (i = 0; i < 3000; i++) {
		p.len = 0;
		put(&p, '^');
		make_pattern(&p, 3);
		put(&p, '$');
		p.s[p.len] = '\0';
		if (p.len < TEXT_MAX)
			try_pattern(p.s, 12, &t);
	}
	assert_true(t.patterns > 1000 && t.walked > 900);
	assert_true(t.yes > 1000 && t.no > 1000 && t.regex > 10);
}

/* 64 characters written out, and one more. */
static void
as_long_as_a_word(void **unused)
{
	struct lt_pattern_walk *w = lt_pattern_walk_new("^[a-z]{64}$");
	char text[66];

	(void)unused;
	assert_non_null(w);
	memset(text, 'x', sizeof(text));
	text[63] = '\0';
	assert_int_equal(lt_pattern_walk(w, text), LT_PATTERN_NO);
	text[63] = 'x';
	text[64] = '\0';
	assert_int_equal(lt_pattern_walk(w, text), LT_PATTERN_YES);
	text[64] = 'x';
	text[65] = '\0';
	assert_int_equal(lt_pattern_walk(w, text), LT_PATTERN_NO);
	free(w);
	assert_null(lt_pattern_walk_new("^[a-z]{65}$"));
	assert_null(lt_pattern_walk_new("^a(b(c(d[0-9]{62}))|e)f$"));
	assert_int_equal(lt_pattern_walk(NULL, "a"), LT_PATTERN_ASK_REGEX);
	w = lt_pattern_walk_new("^.*$");
	assert_non_null(w);
	assert_int_equal(lt_pattern_walk(w, ""), LT_PATTERN_YES);
	assert_int_equal(lt_pattern_walk(w, "a\xc3\xa9"), LT_PATTERN_ASK_REGEX);
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_the_catalogue),
		cmocka_unit_test(of_any),
		cmocka_unit_test(as_long_as_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
