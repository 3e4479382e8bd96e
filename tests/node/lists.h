/* tests/node/lists.h - files that the tests of imports read. */
#ifndef LT_TESTS_NODE_LISTS_H
#define LT_TESTS_NODE_LISTS_H

#include "proto/base/buf.h"

/* A whole file, at most 16 MiB; for lt_buf_fini(). Asserts. */
struct lt_buf read_file(const char *path);

#endif
