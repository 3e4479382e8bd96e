/* lt-gen: invented records as JSON lines on standard output, for demonstrations and tests.
 * Exit 0 done, 2 wrong usage, 3 could not write. */
#include "proto/model/value.h"
#include "tools/gen_rows.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: lt-gen dossiers   --unit CODE --day YYYY-MM-DD --count N [--seed N] [--open-days N]\n"
    "                         [--until HH:MM] [--agency CODE]\n"
    "       lt-gen households --unit CODE --day YYYY-MM-DD --count N [--seed N] [--first N]\n"
    "\n"
    "Prints one JSON object a line. The same options print the same lines. Nobody in them exists.\n"
    "  --open-days N  also dossiers of the last N days that are still open in the morning (30)\n"
    "  --until HH:MM  the dossiers as they stand at that time of the day (17:30)\n"
    "  --agency CODE  first part of the dossier codes (H41 and the digits of the unit)\n"
    "  --first N      number of the first household (101)\n";

static bool
take_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == 0 && text[0] != '-' && *out <= max;
}

static bool
take_u32(const char *text, uint32_t *out)
{
	uint64_t v;

	if (!take_number(text, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool
take_day(const char *text, int32_t *out)
{
	struct lt_arena arena;
	Ltpb__Value *v;
	bool good;

	lt_arena_init(&arena, 4096);
	good = lt_value_parse(LT_TYPE_DATE, 0, lt_slice_str(text), &arena, &v, NULL) == LT_OK;
	if (good)
		*out = v->date;
	lt_arena_fini(&arena);
	return good;
}

static bool
take_time(const char *text, uint32_t *out)
{
	uint64_t h, m;
	char hour[3] = "";

	if (strlen(text) != 5 || text[2] != ':')
		return false;
	memcpy(hour, text, 2);
	if (!take_number(hour, 23, &h) || !take_number(text + 3, 59, &m))
		return false;
	*out = (uint32_t)(h * 60 + m);
	return *out != 0;
}

static bool
take_option(int c, const char *arg, struct lt_gen_options *o)
{
	switch (c) {
	case 'u':
		o->unit = arg;
		return true;
	case 'a':
		o->agency = arg;
		return true;
	case 'd':
		return take_day(arg, &o->day);
	case 'c':
		return take_u32(arg, &o->count);
	case 'o':
		return take_u32(arg, &o->open_days);
	case 't':
		return take_time(arg, &o->until);
	case 'f':
		return take_u32(arg, &o->first);
	case 's':
		return take_number(arg, UINT64_MAX, &o->seed);
	default:
		return false;
	}
}

static int
wrong_usage(const char *why)
{
	if (why != NULL)
		(void)fprintf(stderr, "lt-gen: %s\n", why);
	(void)fputs(usage, stderr);
	return 2;
}

static int
print(const struct lt_gen_options *o, bool dossiers)
{
	struct lt_buf out = { 0 };
	struct lt_err err = { "" };
	int rc = dossiers ? lt_gen_dossiers(o, &out, &err) : lt_gen_households(o, &out, &err);
	bool written =
	    rc == LT_OK && fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;

	lt_buf_fini(&out);
	if (rc == LT_E_USAGE)
		return wrong_usage(err.text);
	if (!written)
		(void)fprintf(stderr, "lt-gen: %s\n", rc != LT_OK ? err.text : strerror(errno));
	return written ? 0 : 3;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "unit", required_argument, NULL, 'u' },
		{ "day", required_argument, NULL, 'd' }, { "count", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "open-days", required_argument, NULL, 'o' },
		{ "until", required_argument, NULL, 't' },
		{ "agency", required_argument, NULL, 'a' },
		{ "first", required_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	struct lt_gen_options o = { .open_days = 30, .seed = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0 ? 3 : 0;
		if (!take_option(c, optarg, &o))
			return wrong_usage(
			    c == '?' ? NULL : "a value that the option does not take");
	}
	if (optind + 1 != argc)
		return wrong_usage("one of dossiers, households is wanted");
	if (strcmp(argv[optind], "dossiers") == 0)
		return print(&o, true);
	if (strcmp(argv[optind], "households") == 0)
		return print(&o, false);
	return wrong_usage("one of dossiers, households is wanted");
}
