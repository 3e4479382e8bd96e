#include "proto/base/ids.h"
#include "proto/base/error.h"

static bool
digits(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return s[n] == '\0';
}

bool
lt_unit_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 1)
		return s[0] == '_';
	return (n == 2 || n == 5) && digits(s, n);
}

int
lt_unit_set(struct lt_unit *u, struct lt_slice s)
{
	struct lt_unit t;

	if (s.len == 0 || s.len > LT_UNIT_MAX)
		return LT_E_INVALID;
	memset(&t, 0, sizeof(t));
	memcpy(t.s, s.data, s.len);
	if (strlen(t.s) != s.len || !lt_unit_valid(t.s))
		return LT_E_INVALID;
	*u = t;
	return LT_OK;
}

bool
lt_unit_is_commune(const struct lt_unit *u)
{
	return strlen(u->s) == 5;
}

bool
lt_unit_is_province(const struct lt_unit *u)
{
	return strlen(u->s) == 2;
}
