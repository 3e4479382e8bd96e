/* Any bytes as a daemon's configuration, by the tables of hub and node and one with every type.
 *
 * Must hold: what is taken has every key within its bounds; what is not is named with its line.
 */
#include "proto/base/config.h"
#include "tests/fuzz/lib/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const struct lt_conf_key keys[] = {
	{ "hub", "listen", LT_CONF_STR, "tcp://0.0.0.0:7340", 0, 0, NULL },
	{ "hub", "idle_timeout", LT_CONF_MS, "90s", 1000, 86400000, NULL },
	{ "hub", "threads", LT_CONF_INT, "4", 1, 64, NULL },
	{ "store", "map_size", LT_CONF_BYTES, "64G", 1 << 20, INT64_C(1) << 42, NULL },
	{ "store", "sync", LT_CONF_BOOL, "yes", 0, 0, NULL },
	{ "log", "level", LT_CONF_STR, "info", 0, 0, "error warn info debug" },
	{ "log", "any", LT_CONF_INT, "0", 0, 0, NULL },
	{ "node", "must", LT_CONF_STR, "", 0, 0, NULL },
};
#define NKEYS (sizeof(keys) / sizeof(keys[0]))

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	return 0;
}

static bool
is_word(const char *words, const char *w)
{
	size_t n = strlen(w);
	const char *p;

	for (p = words; n != 0 && (p = strstr(p, w)) != NULL; p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static void
check_key(const struct lt_conf *c, const struct lt_conf_key *k)
{
	int64_t v;

	(void)lt_conf_given(c, k->section, k->name);
	switch (k->type) {
	case LT_CONF_STR:
		FUZZ_MUST(lt_conf_str(c, k->section, k->name) != NULL);
		if (k->one_of != NULL)
			FUZZ_MUST(is_word(k->one_of, lt_conf_str(c, k->section, k->name)));
		break;
	case LT_CONF_BOOL:
		(void)lt_conf_bool(c, k->section, k->name);
		break;
	default:
		v = lt_conf_int(c, k->section, k->name);
		FUZZ_MUST((k->min == 0 && k->max == 0) || (v >= k->min && v <= k->max));
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_conf *c = NULL;
	struct lt_err err = { "" };
	size_t i;
	int rc = lt_conf_parse(&c, keys, NKEYS, "f", lt_slice(data, size), &err);

	if (rc == LT_OK)
		for (i = 0; i < NKEYS; i++)
			check_key(c, &keys[i]);
	else
		FUZZ_MUST(c == NULL && strncmp(err.text, "f", 1) == 0);
	lt_conf_free(c);
	return 0;
}
