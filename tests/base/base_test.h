/* tests/base/base_test.h - what the tests of this folder share: cmocka in the order it wants. */
#ifndef LT_TESTS_BASE_TEST_H
#define LT_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
