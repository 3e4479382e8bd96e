/* proto/base/config.h - the daemons' configuration: an INI file against a table of known keys.
 *
 *     [hub]
 *     listen = tcp://0.0.0.0:7340
 *     idle_timeout = 90s          ; a comment after a blank and a semicolon
 *
 * The program gives the table; whatever is not in it is an error that names file and line and says
 * what would be right, because a mistyped key that is silently ignored is found months later. No
 * secrets stand in this file. An lt_conf does not change after loading: any thread may read it.
 */
#ifndef LT_BASE_CONFIG_H
#define LT_BASE_CONFIG_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LT_CONF_FILE_MAX 65536 /* bytes of a configuration file */
#define LT_CONF_LINE_MAX 4096 /* bytes of a line, its end among them */
#define LT_CONF_KEYS_MAX 64 /* keys in a table */

enum lt_conf_type {
	LT_CONF_STR,
	LT_CONF_INT, /* a whole number without unit */
	LT_CONF_MS, /* a time: number with ms, s, m, h or d; 0 needs no unit. Kept in milliseconds */
	LT_CONF_BYTES, /* a size: number, alone or with K, M or G (powers of 1,024). Kept in bytes */
	LT_CONF_BOOL /* yes, no, true, false, on, off, 1, 0 */
};

/* One known key. The table is borrowed and must outlive the lt_conf (it is static in programs). */
struct lt_conf_key {
	const char *section;
	const char *name;
	enum lt_conf_type type;
	const char *def; /* as it would stand in the file; NULL: must be given. "" is no string */
	int64_t min, max; /* of numbers, in the kept unit, both allowed; both 0: no bounds */
	const char *one_of; /* strings: allowed words, blanks between; NULL: any */
};

struct lt_conf; /* opaque */

/* Read the file; one that is missing is an empty one. *out is set on success only.
 *
 * LT_E_INVALID  content: err has "path:line: what, and what would be right".
 * LT_E_TOOBIG   above LT_CONF_FILE_MAX. Else the errors of lt_file_read(). */
int lt_conf_load(struct lt_conf **out, const struct lt_conf_key *keys, size_t nkeys,
    const char *path, struct lt_err *err);
/* The same of text in memory; name stands for the path in messages. */
int lt_conf_parse(struct lt_conf **out, const struct lt_conf_key *keys, size_t nkeys,
    const char *name, struct lt_slice text, struct lt_err *err);
void lt_conf_free(struct lt_conf *c); /* NULL allowed */

/* Value or default. A key that is not in the table, or of another type, is our mistake: assert. */
const char *lt_conf_str(const struct lt_conf *c, const char *section, const char *name);
int64_t lt_conf_int(
    const struct lt_conf *c, const char *section, const char *name); /* any number */
bool lt_conf_bool(const struct lt_conf *c, const char *section, const char *name);
/* It stands in the file (and is not the default). */
bool lt_conf_given(const struct lt_conf *c, const char *section, const char *name);

#endif
