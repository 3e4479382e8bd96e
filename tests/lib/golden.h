/* tests/lib/golden.h - tests/vectors/golden.json for the tests that compare with it. Whatever is not there fails the test. */
#ifndef LT_TESTS_GOLDEN_H
#define LT_TESTS_GOLDEN_H

#include "proto/base/buf.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* A member of the file; borrowed until the program ends. */
const json_t *golden(const char *name);
const json_t *golden_in(const json_t *o, const char *name);
const char *golden_text(const json_t *o, const char *name);
uint64_t golden_number(const json_t *o, const char *name);
/* Bytes of a hexadecimal string, kept until the program ends. */
struct lt_slice golden_hex(const json_t *v);
struct lt_slice golden_bytes(const json_t *o, const char *name);
/* A u64 that stands as its 8 bytes. */
uint64_t golden_u64(const json_t *v);

/* what: named in the message, with the first byte that differs. */
void golden_same(const char *what, struct lt_slice want, struct lt_slice got);

#endif
