/* proto/rpc/json_impl.h - numbers and bounds of JSON text. For json*.c. */
#ifndef LT_RPC_JSON_IMPL_H
#define LT_RPC_JSON_IMPL_H

#include "proto/rpc/json.h"

#include <jansson.h>

/* Text to values. Numbers that jansson would round or refuse come as what lt_json_number() knows. The caller
 * frees with json_decref(). Errors as lt_json_read(). */
int lt_json_parse(struct lt_slice text, json_t **out, struct lt_json_err *err);
/* Is it a number as JSON writes it: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
bool lt_json_is_number(struct lt_slice s);
/* The words of a number value without quotes, in tmp or in v; false: it is none. */
bool lt_json_number(const json_t *v, char tmp[24], struct lt_slice *words);
/* |value| of a number in words; false: not whole, or above 64 bits. Exact. */
bool lt_json_whole(struct lt_slice words, bool *negative, uint64_t *v);
/* To double whatever the locale; false: beyond its range. */
bool lt_json_double(struct lt_slice words, double *v);
/* To float, rounded; NaN and infinities as they are. False: beyond its range. */
bool lt_json_narrow(double d, float *f);
/* The first of both languages, with a path. Returns code. */
int lt_json_fail(struct lt_json_err *err, int code, const char *en, const char *vi);

#endif
