#include "golden.h"

#include "proto/base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *file;
static void *kept[4096];
static size_t nkept;

static void
release(void)
{
	while (nkept > 0)
		free(kept[--nkept]);
	json_decref(file);
}

const json_t *
golden(const char *name)
{
	json_error_t err;

	if (file == NULL) {
		file = json_load_file(LT_SOURCE_DIR "/tests/vectors/golden.json", 0, &err);
		if (file == NULL)
			fail_msg("golden.json: %s at %d", err.text, err.line);
		(void)atexit(release);
	}
	return golden_in(file, name);
}

const json_t *
golden_in(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	if (v == NULL)
		fail_msg("golden.json has no \"%s\"", name);
	return v;
}

const char *
golden_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(golden_in(o, name));

	if (s == NULL)
		fail_msg("golden.json: \"%s\" is no text", name);
	return s;
}

uint64_t
golden_number(const json_t *o, const char *name)
{
	const json_t *v = golden_in(o, name);

	if (!json_is_integer(v))
		fail_msg("golden.json: \"%s\" is no number", name);
	return (uint64_t)json_integer_value(v);
}

struct lt_slice
golden_hex(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t len;

	assert_non_null(s);
	len = strlen(s) / 2;
	assert_true(nkept < sizeof(kept) / sizeof(kept[0]));
	kept[nkept] = malloc(len + 1);
	assert_non_null(kept[nkept]);
	assert_int_equal(lt_unhex(kept[nkept], len, s), LT_OK);
	return lt_slice(kept[nkept++], len);
}

struct lt_slice
golden_bytes(const json_t *o, const char *name)
{
	return golden_hex(golden_in(o, name));
}

uint64_t
golden_u64(const json_t *v)
{
	struct lt_slice b = golden_hex(v);

	assert_int_equal(b.len, 8);
	return lt_load_u64(b.data);
}

void
golden_same(const char *what, struct lt_slice want, struct lt_slice got)
{
	char whex[97] = "", ghex[97] = "";
	size_t at = 0, n;

	if (lt_slice_eq(want, got))
		return;
	while (at < want.len && at < got.len && want.data[at] == got.data[at])
		at++;
	n = want.len - at < 48 ? want.len - at : 48;
	lt_hex(whex, want.data + at, n);
	n = got.len - at < 48 ? got.len - at : 48;
	lt_hex(ghex, got.data + at, n);
	fail_msg("%s: from byte %zu on\nwant (%zu bytes) %s\nis   (%zu bytes) %s", what, at,
	    want.len, whex, got.len, ghex);
}
