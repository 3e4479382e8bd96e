/* tests/fuzz/lib/import.h - an import run to its end, and what came out as one hash. */
#ifndef LT_TESTS_FUZZ_LIB_IMPORT_H
#define LT_TESTS_FUZZ_LIB_IMPORT_H

#include "node/import_row.h"
#include "tests/fuzz/lib/fuzz.h"

/* The catalogue of the sources. */
struct lt_catalogue *fuzz_catalogue(void);

/* Import the text twice, read in one piece and in pieces of `piece` bytes: both must give the same rows, and each row what its
 * field's rules allow. o: source is set here. */
void fuzz_import(struct lt_import_options *o, struct lt_slice text, size_t piece);

#endif
