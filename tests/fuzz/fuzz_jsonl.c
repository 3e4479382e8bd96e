/* JSON lines, as seeds and exports of other systems come.
 *
 * Input: u8 options, u8 piece, text. Must hold: as for lists (fuzz_csv.c).
 */
#include "tests/fuzz/lib/import.h"

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_setup();
	(void)fuzz_catalogue();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lt_import_options o = { .catalogue = fuzz_catalogue(), .json_lines = true };
	struct fuzz_in in;
	unsigned options, piece;

	fuzz_in_init(&in, data, size);
	options = fuzz_u8(&in);
	piece = fuzz_u8(&in);
	FUZZ_MUST(lt_unit_set(&o.unit, lt_slice_str((options & 1) != 0 ? "23956" : "12")) == LT_OK);
	o.any_unit = (options & 2) != 0;
	o.partial = (options & 4) != 0;
	o.writer = (options & 8) != 0 ? LT_WRITER_PROVINCE : LT_WRITER_COMMUNE;
	if ((options & 16) != 0)
		o.collection = "directive";
	if ((options & 32) != 0) {
		o.filter_field = "collection";
		o.filter_value = "dossier";
	}
	fuzz_import(&o, fuzz_rest(&in), piece);
	return 0;
}
