/* tests/fuzz/lib/seed.h - for the parts of fuzz_seeds. */
#ifndef LT_TESTS_FUZZ_LIB_SEED_H
#define LT_TESTS_FUZZ_LIB_SEED_H

#include "proto/base/buf.h"

/* Write one input of a target. Ends the program if it cannot. */
void fuzz_seed(const char *target, const char *name, struct lt_slice bytes);

#endif
