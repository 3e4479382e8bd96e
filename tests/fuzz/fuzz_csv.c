/* An office's list: charset, separator, header, mapping and cells.
 *
 * Input: u8 mapping (4 samples, none, or one of its own), u8 options, u8 piece, [u16 length, mapping,] text. Must hold: read
 * in pieces it gives the same rows; what is taken keeps its field's rules; what is refused says why in both languages; a
 * mapping and any encoding end in NFC.
 */
#include "proto/base/text.h"
#include "tests/fuzz/lib/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lt_import_map *maps[4];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const names[4] = { "ho_ngheo", "du_an_dau_tu", "ho_so_cu_tcvn3",
		"ho_so_cu_cp1258" };
	struct lt_err err = { "" };
	char path[256];
	struct lt_buf b;
	size_t i;

	(void)argc;
	(void)argv;
	fuzz_setup();
	(void)fuzz_catalogue();
	for (i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "tools/data/import/%s.json", names[i]);
		b = fuzz_file(path);
		FUZZ_MUST(lt_import_map_parse(lt_buf_slice(&b), &maps[i], &err) == LT_OK);
		lt_buf_fini(&b);
	}
	return 0;
}

static void
charsets(struct lt_slice text)
{
	static const enum lt_charset all[] = { LT_CHARSET_UTF8, LT_CHARSET_CP1258,
		LT_CHARSET_TCVN3 };
	struct lt_buf out = { 0 };
	size_t i;
	bool nfd;

	for (i = 0; i < 3; i++) {
		if (lt_charset_decode(all[i], text, &out, &nfd) == LT_OK) {
			FUZZ_MUST(lt_text_is_nfc(lt_buf_slice(&out)));
			(void)lt_charset_capitals_lost(lt_buf_slice(&out));
		}
		lt_buf_clear(&out);
	}
	lt_buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char separators[4] = { ';', ',', '\t', '\0' };
	struct lt_import_options o = { .catalogue = fuzz_catalogue() };
	struct lt_import_map *own = NULL;
	struct lt_err err = { "" };
	struct fuzz_in in;
	unsigned map, options, piece;
	struct lt_slice text;

	fuzz_in_init(&in, data, size);
	map = fuzz_u8(&in) % 6;
	options = fuzz_u8(&in);
	piece = fuzz_u8(&in);
	if (map < 4)
		o.map = maps[map];
	else if (map == 5 && lt_import_map_parse(fuzz_block(&in), &own, &err) != LT_OK)
		return 0;
	if (own != NULL)
		o.map = own;
	if (map == 4)
		o.collection = (options & 8) != 0 ? "household_poverty" : "investment_project";
	FUZZ_MUST(
	    lt_unit_set(&o.unit, lt_slice_str((options & 4) != 0 ? "23956" : "16906")) == LT_OK);
	o.any_unit = (options & 1) != 0;
	o.partial = (options & 2) != 0;
	o.separator = separators[(options & 16) != 0 ? options % 3 : 3];
	o.encoding = (options & 32) != 0 ? (enum lt_charset)(options >> 6) : LT_CHARSET_AUTO;
	o.record_max = (options & 64) != 0 ? 64 : 0;
	text = fuzz_rest(&in);
	if (text.len <= 4096)
		charsets(text);
	fuzz_import(&o, text, piece);
	lt_import_map_free(own);
	return 0;
}
