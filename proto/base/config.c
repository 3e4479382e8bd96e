#include "proto/base/config.h"
#include "proto/base/file.h"
#include "proto/base/text.h"

#include <assert.h>
#include <ctype.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct value {
	char *str; /* owned; NULL: no value */
	int64_t num;
	bool given;
};

struct lt_conf {
	const struct lt_conf_key *keys;
	size_t nkeys;
	struct value values[LT_CONF_KEYS_MAX];
};

/* State of one parse. The library tells its handler no line numbers, so the reader counts. */
struct parse {
	struct lt_conf *c;
	const char *name;
	struct lt_slice left;
	unsigned line;
	int rc;
	struct lt_err *err;
	bool is_long; /* value is that of the present line */
	char value[LT_CONF_LINE_MAX];
};

static const struct unit {
	enum lt_conf_type type;
	const char *name;
	int64_t times;
} units[] = {
	{ LT_CONF_MS, "ms", 1 },
	{ LT_CONF_MS, "s", 1000 },
	{ LT_CONF_MS, "m", 60000 },
	{ LT_CONF_MS, "h", 3600000 },
	{ LT_CONF_MS, "d", 86400000 },
	{ LT_CONF_BYTES, "", 1 },
	{ LT_CONF_BYTES, "K", 1024 },
	{ LT_CONF_BYTES, "M", 1048576 },
	{ LT_CONF_BYTES, "G", 1073741824 },
	{ LT_CONF_INT, "", 1 },
};

static const char *
wanted(enum lt_conf_type t)
{
	switch (t) {
	case LT_CONF_INT:
		return "a whole number";
	case LT_CONF_MS:
		return "a time such as 500ms, 30s, 5m, 2h or 1d";
	case LT_CONF_BYTES:
		return "a size such as 4096, 64K, 10M or 1G";
	case LT_CONF_BOOL:
		return "yes or no";
	default:
		return "text";
	}
}

/* Digits with an optional minus; *rest is what follows. */
static bool
parse_digits(const char *s, int64_t *v, const char **rest)
{
	const bool minus = *s == '-';
	int64_t n = 0;

	s += minus;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, *s - '0', &n))
			return false;
	if (!minus && n == INT64_MIN)
		return false;
	*v = minus ? n : -n;
	*rest = s;
	return true;
}

static bool
parse_number(enum lt_conf_type t, const char *s, int64_t *v)
{
	const char *rest;
	size_t i;

	if (!parse_digits(s, v, &rest))
		return false;
	if (*v == 0 && *rest == '\0')
		return true;
	while (*rest == ' ')
		rest++;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == t && strcmp(units[i].name, rest) == 0)
			return !__builtin_mul_overflow(*v, units[i].times, v);
	return false;
}

static bool
parse_bool(const char *s, int64_t *v)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*v = (int64_t)(i & 1);
			return true;
		}
	}
	return false;
}

static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	for (; *list != '\0'; list += n) {
		list += strspn(list, " ");
		n = strcspn(list, " ");
		if (n != 0 && n == len && memcmp(list, word, n) == 0)
			return true;
	}
	return false;
}

/* The number of s in *num. On failure the problem is in err, without file and line. */
static int
check_value(const struct lt_conf_key *k, const char *s, int64_t *num, struct lt_err *err)
{
	bool ok = true;

	*num = 0;
	if (k->type == LT_CONF_BOOL)
		ok = parse_bool(s, num);
	else if (k->type != LT_CONF_STR)
		ok = parse_number(k->type, s, num);
	else if (k->one_of != NULL && !has_word(k->one_of, s))
		return lt_err_set(err, LT_E_INVALID, "[%s] %s = \"%s\": must be one of: %s",
		    k->section, k->name, s, k->one_of);
	if (!ok)
		return lt_err_set(err, LT_E_INVALID, "[%s] %s = \"%s\": must be %s", k->section,
		    k->name, s, wanted(k->type));
	if (k->type != LT_CONF_STR && k->type != LT_CONF_BOOL && (k->min != 0 || k->max != 0) &&
	    (*num < k->min || *num > k->max))
		return lt_err_set(err, LT_E_INVALID,
		    "[%s] %s = \"%s\": must be from %" PRId64 " to %" PRId64 "%s", k->section,
		    k->name, s, k->min, k->max,
		    k->type == LT_CONF_MS      ? " ms"
		    : k->type == LT_CONF_BYTES ? " bytes"
					       : "");
	return LT_OK;
}

static int
at_line(struct parse *p, const struct lt_err *why)
{
	p->rc = lt_err_set(p->err, LT_E_INVALID, "%s:%u: %s", p->name, p->line, why->text);
	return p->rc;
}

static void
list_add(struct lt_err *list, const char *word)
{
	size_t n = strlen(list->text);

	(void)snprintf(list->text + n, sizeof(list->text) - n, "%s%s", n == 0 ? "" : ", ", word);
}

static void
unknown_section(struct parse *p, const char *section)
{
	const struct lt_conf_key *k = p->c->keys;
	struct lt_err why, known = { "" };
	size_t i;

	/* Keys of a section stand together in a table. */
	for (i = 0; i < p->c->nkeys; i++)
		if (i == 0 || strcmp(k[i - 1].section, k[i].section) != 0)
			list_add(&known, k[i].section);
	(void)lt_err_set(
	    &why, LT_E_INVALID, "unknown section [%.64s]; known are: %.300s", section, known.text);
	(void)at_line(p, &why);
}

static void
unknown_key(struct parse *p, const char *section, const char *name)
{
	const struct lt_conf_key *k = p->c->keys;
	struct lt_err why, known = { "" };
	size_t i;

	for (i = 0; i < p->c->nkeys; i++)
		if (strcmp(k[i].section, section) == 0)
			list_add(&known, k[i].name);
	(void)lt_err_set(&why, LT_E_INVALID, "unknown key \"%.64s\" in [%.64s]; known are: %.300s",
	    name, section, known.text);
	(void)at_line(p, &why);
}

static bool
section_known(const struct lt_conf *c, const char *section)
{
	size_t i;

	for (i = 0; i < c->nkeys; i++)
		if (strcmp(c->keys[i].section, section) == 0)
			return true;
	return false;
}

static ssize_t
find_key(const struct lt_conf *c, const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < c->nkeys; i++)
		if (strcmp(c->keys[i].section, section) == 0 && strcmp(c->keys[i].name, name) == 0)
			return (ssize_t)i;
	return -1;
}

static int
store_value(struct parse *p, size_t i, const char *text)
{
	const struct lt_conf_key *k = &p->c->keys[i];
	struct value *v = &p->c->values[i];
	struct lt_err why = { "" };

	if (v->given) {
		(void)lt_err_set(&why, LT_E_INVALID,
		    "[%s] %s is given a second time; keep one of the two lines", k->section,
		    k->name);
		return at_line(p, &why);
	}
	if (check_value(k, text, &v->num, &why) != LT_OK)
		return at_line(p, &why);
	v->str = strdup(text);
	v->given = true;
	if (v->str == NULL)
		p->rc = lt_err_set(p->err, LT_E_NOMEM, "%s: out of memory", p->name);
	return p->rc;
}

/* For the library: 1 is good. */
static int
on_value(void *user, const char *section, const char *name, const char *text)
{
	struct parse *p = user;
	ssize_t i;

	if (p->rc != LT_OK)
		return 0;
	if (!section_known(p->c, section)) {
		unknown_section(p, section);
		return 0;
	}
	i = find_key(p->c, section, name);
	if (i < 0) {
		unknown_key(p, section, name);
		return 0;
	}
	if (p->is_long)
		text = p->value;
	return store_value(p, (size_t)i, text == NULL ? "" : text) == LT_OK;
}

/* The library reports a section only with its first key. */
static void
check_section(struct parse *p, const char *line)
{
	const char *end = strchr(line, ']');
	struct lt_err why;
	char section[64];
	size_t n;

	if (end == NULL) {
		(void)lt_err_set(&why, LT_E_INVALID, "\"[\" without \"]\"; a section is [name]");
		(void)at_line(p, &why);
		return;
	}
	n = (size_t)(end - line) - 1;
	if (n >= sizeof(section))
		n = sizeof(section) - 1;
	memcpy(section, line + 1, n);
	section[n] = '\0';
	if (!section_known(p->c, section))
		unknown_section(p, section);
}

/* A line that the library's buffer does not hold: its value waits here, and the library reads a short one in its place. */
static void
read_long(struct parse *p, const char *line, size_t n, char *out, size_t cap)
{
	const char *eq = memchr(line, '=', n), *end = line + n, *at;
	struct lt_err why;

	if (line[0] == ';' || line[0] == '#') {
		(void)snprintf(out, cap, ";\n");
		return;
	}
	if (eq == NULL || (size_t)(eq - line) + sizeof("=?\n") > cap || line[0] == '[') {
		(void)lt_err_set(&why, LT_E_INVALID,
		    "line is longer than %zu bytes and no \"name = value\"", cap - 2);
		(void)at_line(p, &why);
		return;
	}
	(void)snprintf(out, cap, "%.*s=?\n", (int)(eq - line), line);
	/* A remark, as the library knows one: behind a blank. */
	for (at = eq + 1; at < end; at++)
		if (*at == ';' && (at[-1] == ' ' || at[-1] == '\t'))
			end = at;
	for (at = eq + 1; at < end && isspace((unsigned char)*at); at++)
		continue;
	while (end > at && isspace((unsigned char)end[-1]))
		end--;
	(void)snprintf(p->value, sizeof(p->value), "%.*s", (int)(end - at), at);
	p->is_long = true;
}

/* One line a call. Leading blanks go, because the library takes an indented line as the rest of the
 * value above, and a line longer than its buffer as two. */
static char *
read_line(char *out, int cap, void *user)
{
	struct parse *p = user;
	const uint8_t *end;
	struct lt_err why;
	size_t n;

	if (p->rc != LT_OK || p->left.len == 0)
		return NULL;
	p->line++;
	end = memchr(p->left.data, '\n', p->left.len);
	n = end == NULL ? p->left.len : (size_t)(end - p->left.data) + 1;
	while (n > 1 && (p->left.data[0] == ' ' || p->left.data[0] == '\t')) {
		p->left = lt_slice(p->left.data + 1, p->left.len - 1);
		n--;
	}
	if (n > LT_CONF_LINE_MAX) {
		(void)lt_err_set(
		    &why, LT_E_INVALID, "line is longer than %d bytes", LT_CONF_LINE_MAX - 1);
		(void)at_line(p, &why);
		return NULL;
	}
	p->is_long = false;
	if (n >= (size_t)cap) {
		read_long(p, (const char *)p->left.data, n, out, (size_t)cap);
	} else {
		memcpy(out, p->left.data, n);
		out[n] = '\0';
	}
	p->left = lt_slice(p->left.data + n, p->left.len - n);
	if (p->rc == LT_OK && out[0] == '[')
		check_section(p, out);
	return p->rc == LT_OK ? out : NULL;
}

/* What the file did not give. */
static int
fill_defaults(struct parse *p)
{
	size_t i;

	for (i = 0; i < p->c->nkeys; i++) {
		const struct lt_conf_key *k = &p->c->keys[i];
		struct value *v = &p->c->values[i];

		if (v->given)
			continue;
		if (k->def == NULL)
			return lt_err_set(p->err, LT_E_INVALID,
			    "%s: [%s] %s is missing; it must be %s", p->name, k->section, k->name,
			    k->one_of != NULL ? k->one_of : wanted(k->type));
		if (k->def[0] != '\0' && check_value(k, k->def, &v->num, NULL) != LT_OK)
			assert(!"a default breaks its own rule");
		v->str = strdup(k->def);
		if (v->str == NULL)
			return lt_err_set(p->err, LT_E_NOMEM, "%s: out of memory", p->name);
	}
	return LT_OK;
}

static int
run(struct parse *p)
{
	struct lt_err why;
	int bad;

	if (!lt_text_valid(p->left))
		return lt_err_set(
		    p->err, LT_E_INVALID, "%s: not UTF-8 text; save the file as UTF-8", p->name);
	bad = ini_parse_stream(read_line, p, on_value, p);
	if (p->rc != LT_OK)
		return p->rc;
	if (bad > 0) {
		p->line = (unsigned)bad;
		(void)lt_err_set(&why, LT_E_INVALID,
		    "not understood; a line is [section], name = value, or ; comment");
		return at_line(p, &why);
	}
	if (bad < 0)
		return lt_err_set(p->err, LT_E_NOMEM, "%s: out of memory", p->name);
	return fill_defaults(p);
}

int
lt_conf_parse(struct lt_conf **out, const struct lt_conf_key *keys, size_t nkeys, const char *name,
    struct lt_slice text, struct lt_err *err)
{
	struct parse p = { .name = name, .left = text, .rc = LT_OK, .err = err };
	int rc;

	assert(nkeys <= LT_CONF_KEYS_MAX);
	p.c = calloc(1, sizeof(*p.c));
	if (p.c == NULL)
		return lt_err_set(err, LT_E_NOMEM, "%s: out of memory", name);
	p.c->keys = keys;
	p.c->nkeys = nkeys;
	rc = run(&p);
	if (rc != LT_OK) {
		lt_conf_free(p.c);
		return rc;
	}
	*out = p.c;
	return LT_OK;
}

int
lt_conf_load(struct lt_conf **out, const struct lt_conf_key *keys, size_t nkeys, const char *path,
    struct lt_err *err)
{
	struct lt_buf text = { 0 };
	int rc = lt_file_read(path, LT_CONF_FILE_MAX, &text, err);

	if (rc == LT_OK || rc == LT_E_NOTFOUND)
		rc = lt_conf_parse(out, keys, nkeys, path, lt_buf_slice(&text), err);
	lt_buf_fini(&text);
	return rc;
}

void
lt_conf_free(struct lt_conf *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nkeys; i++)
		free(c->values[i].str);
	free(c);
}

static const struct value *
value_of(const struct lt_conf *c, const char *section, const char *name, bool str, bool truth)
{
	ssize_t i = find_key(c, section, name);

	assert(i >= 0);
	assert((c->keys[i].type == LT_CONF_STR) == str);
	assert((c->keys[i].type == LT_CONF_BOOL) == truth);
	return &c->values[i];
}

const char *
lt_conf_str(const struct lt_conf *c, const char *section, const char *name)
{
	return value_of(c, section, name, true, false)->str;
}

int64_t
lt_conf_int(const struct lt_conf *c, const char *section, const char *name)
{
	return value_of(c, section, name, false, false)->num;
}

bool
lt_conf_bool(const struct lt_conf *c, const char *section, const char *name)
{
	return value_of(c, section, name, false, true)->num != 0;
}

bool
lt_conf_given(const struct lt_conf *c, const char *section, const char *name)
{
	ssize_t i = find_key(c, section, name);

	assert(i >= 0);
	return c->values[i].given;
}
