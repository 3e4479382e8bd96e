#include "proto/model/catalogue_impl.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>

/* A reader of the small language of patterns: literals, '.', brackets, groups with alternatives, and
 * the repetitions * + ? {n} {n,} {n,m}. What it does not know it refuses. */
struct pattern {
	const char *p;
	const char *end; /* at the final '$' */
	unsigned depth;
	const char *why; /* set on refusal */
};

/* What a part costs when regcomp() writes its repetitions out. */
struct part {
	size_t nodes;
	bool repeats; /* holds a group that may stand more than once */
};

static bool read_alternatives(struct pattern *s, struct part *out);

static bool
refuse(struct pattern *s, const char *why)
{
	if (s->why == NULL)
		s->why = why;
	return false;
}

static char
next(const struct pattern *s)
{
	if (s->p >= s->end)
		return '\0';
	return *s->p;
}

static bool
read_bracket(struct pattern *s)
{
	size_t n = 0;

	s->p++;
	if (next(s) == '^')
		s->p++;
	for (; next(s) != ']'; n++) {
		char from = next(s), to;

		/* '[' would begin a class, whose meaning hangs on the locale */
		if (from == '\0' || from == '[')
			return refuse(s, "a bracket without end, or a bracket in a bracket");
		s->p++;
		if (next(s) != '-' || s->p + 1 >= s->end || s->p[1] == ']')
			continue;
		to = s->p[1];
		if (to < from || to == '[')
			return refuse(s, "a range in a bracket that ends before it begins");
		s->p += 2;
	}
	s->p++;
	return n > 0 ? true : refuse(s, "an empty bracket");
}

static bool
read_group(struct pattern *s, struct part *out)
{
	if (++s->depth > LT_PATTERN_DEPTH_MAX)
		return refuse(s, "groups nested too deep");
	s->p++;
	if (!read_alternatives(s, out))
		return false;
	if (next(s) != ')')
		return refuse(s, "a group without end");
	s->p++;
	s->depth--;
	return true;
}

static bool
read_count(struct pattern *s, unsigned *n)
{
	const char *from = s->p;

	*n = 0;
	while (next(s) >= '0' && next(s) <= '9' && s->p - from < 4)
		*n = *n * 10 + (unsigned)(*s->p++ - '0');
	if (s->p == from)
		return refuse(s, "a repetition without a number");
	return *n <= LT_PATTERN_REPEAT_MAX ? true : refuse(s, "a repetition above 255");
}

static bool
read_interval(struct pattern *s, unsigned *copies, bool *repeated)
{
	unsigned least, most;

	s->p++;
	if (!read_count(s, &least))
		return false;
	most = least;
	*repeated = false;
	if (next(s) == ',') {
		s->p++;
		if (next(s) == '}') {
			*repeated = true;
			most = least + 1;
		} else if (!read_count(s, &most)) {
			return false;
		}
	}
	if (next(s) != '}' || most < least || most == 0)
		return refuse(s, "a malformed repetition");
	s->p++;
	*copies = most;
	*repeated = *repeated || most > 1;
	return true;
}

/* A repetition after an atom, if there is one. */
static bool
read_repetition(struct pattern *s, bool group, struct part *out)
{
	unsigned copies = 1;
	bool repeated = true;

	switch (next(s)) {
	case '?':
		repeated = false;
		s->p++;
		break;
	case '*':
	case '+':
		copies = 2;
		s->p++;
		break;
	case '{':
		if (!read_interval(s, &copies, &repeated))
			return false;
		break;
	default:
		return true;
	}
	if (next(s) != '\0' && strchr("?*+{", next(s)) != NULL)
		return refuse(s, "a repetition of a repetition");
	if (repeated && out->repeats)
		return refuse(s, "a repeated group within a repeated group");
	out->repeats = out->repeats || (repeated && group);
	out->nodes *= copies;
	return out->nodes <= LT_PATTERN_NODES_MAX ? true
						  : refuse(s, "repetitions that grow too large");
}

static bool
read_atom(struct pattern *s, struct part *out)
{
	char c = next(s);
	bool group = c == '(';

	*out = (struct part){ .nodes = 1 };
	if (group) {
		if (!read_group(s, out))
			return false;
	} else if (c == '[') {
		if (!read_bracket(s))
			return false;
	} else if (strchr("]{}*+?^$", c) != NULL) {
		return refuse(s, "a special character where a plain one is expected");
	} else {
		s->p++;
	}
	return read_repetition(s, group, out);
}

static bool
read_sequence(struct pattern *s, struct part *out)
{
	*out = (struct part){ 0 };
	while (next(s) != '\0' && next(s) != '|' && next(s) != ')') {
		struct part atom;

		if (!read_atom(s, &atom))
			return false;
		out->nodes += atom.nodes;
		out->repeats = out->repeats || atom.repeats;
	}
	if (out->nodes > LT_PATTERN_NODES_MAX)
		return refuse(s, "repetitions that grow too large");
	return out->nodes > 0 ? true : refuse(s, "an empty alternative or group");
}

static bool
read_alternatives(struct pattern *s, struct part *out)
{
	struct part one;

	if (!read_sequence(s, out))
		return false;
	while (next(s) == '|') {
		s->p++;
		if (!read_sequence(s, &one))
			return false;
		out->nodes += one.nodes;
		out->repeats = out->repeats || one.repeats;
	}
	return out->nodes <= LT_PATTERN_NODES_MAX ? true
						  : refuse(s, "repetitions that grow too large");
}

int
lt_pattern_check(const char *pattern, size_t *nodes, struct lt_err *err)
{
	size_t len = strlen(pattern), i;
	struct pattern s = { 0 };
	struct part whole;

	if (len > LT_PATTERN_MAX)
		return lt_err_set(
		    err, LT_E_TOOBIG, "a pattern longer than %d bytes", LT_PATTERN_MAX);
	if (len < 3 || pattern[0] != '^' || pattern[len - 1] != '$')
		return lt_err_set(err, LT_E_INVALID, "a pattern must begin with ^ and end with $");
	for (i = 0; i < len; i++)
		if (pattern[i] < 0x20 || pattern[i] > 0x7e || pattern[i] == '\\')
			return lt_err_set(err, LT_E_INVALID,
			    "a pattern with a backslash or a byte outside of ASCII");
	s.p = pattern + 1;
	s.end = pattern + len - 1;
	/* ^a|b$ would be anchored at one end each */
	if (!read_sequence(&s, &whole) || s.p != s.end) {
		if (s.why == NULL)
			s.why = "alternatives outside of a group, or a group without beginning";
		return lt_err_set(err, LT_E_INVALID, "a pattern with %s", s.why);
	}
	*nodes = whole.nodes;
	return LT_OK;
}

static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void
c_locale_make(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

int
lt_pattern_compile(const char *pattern, regex_t *out, struct lt_err *err)
{
	locale_t before;
	int rc;

	/* A program that has called setlocale() would get ranges in the order of its language. */
	pthread_once(&c_locale_once, c_locale_make);
	if (c_locale == (locale_t)0)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	before = uselocale(c_locale);
	rc = regcomp(out, pattern, REG_EXTENDED | REG_NOSUB);
	uselocale(before);
	if (rc == REG_ESPACE)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	return rc == 0 ? LT_OK : lt_err_set(err, LT_E_INVALID, "a pattern that does not compile");
}

bool
lt_pattern_match(const regex_t *regex, const char *text)
{
	locale_t before = uselocale(c_locale);
	bool match = regexec(regex, text, 0, NULL, 0) == 0;

	uselocale(before);
	return match;
}
