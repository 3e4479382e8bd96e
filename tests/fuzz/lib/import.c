#include "tests/fuzz/lib/import.h"

#include "node/import_units.h"
#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/model/value.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 4096

struct lt_catalogue *
fuzz_catalogue(void)
{
	static struct lt_catalogue *cat;
	struct lt_buf b;
	struct lt_err err = { "" };

	if (cat == NULL) {
		b = fuzz_file("proto/data/catalogue.json");
		FUZZ_MUST(lt_catalogue_parse(lt_buf_slice(&b), 1, &cat, &err) == LT_OK);
		lt_buf_fini(&b);
	}
	return cat;
}

static const struct lt_succession *
succession(void)
{
	static struct lt_succession *list;
	struct lt_err err = { "" };
	struct lt_buf b;

	if (list == NULL) {
		b = fuzz_file("proto/data/succession.csv");
		FUZZ_MUST(lt_succession_load(lt_buf_slice(&b), &list, &err) == LT_OK);
		lt_buf_fini(&b);
	}
	return list;
}

struct pieces {
	struct lt_slice left;
	size_t piece;
};

static int
read_pieces(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
	struct pieces *p = ctx;

	return lt_csv_read_slice(&p->left, buf, cap < p->piece ? cap : p->piece, got);
}

static const struct lt_field *
field_of(const struct lt_import_row *row, const char *name)
{
	const struct lt_field *f = lt_collection_field(row->collection, name);

	FUZZ_MUST(f != NULL);
	return f;
}

/* A value that was taken is one: it may be written, read and told apart. */
static void
check_value(const struct lt_field *f, Ltpb__FieldSet *fs)
{
	struct lt_buf text = { 0 };
	struct lt_err err = { "" };
	struct lt_import_fault fault = { 0 };
	struct lt_arena arena;
	Ltpb__Value *again;

	FUZZ_MUST(lt_value_check(fs->value, &err) == LT_OK);
	FUZZ_MUST(lt_import_check_value(f, fs->value, &fault) == LT_OK);
	lt_value_text(fs->value, &text);
	lt_arena_init(&arena, 8u << 20);
	FUZZ_MUST(lt_value_parse(
		      f->rule.type, f->scale, lt_buf_slice(&text), &arena, &again, &err) == LT_OK);
	FUZZ_MUST(lt_value_eq(fs->value, again));
	lt_arena_fini(&arena);
	lt_buf_fini(&text);
}

static void
check_row(const struct lt_import_row *row)
{
	size_t i;

	if (row->result == LT_IMPORT_REJECT) {
		FUZZ_MUST(row->fault.code != NULL);
		FUZZ_MUST(row->fault.message[0] != '\0' && row->fault.message_vi[0] != '\0');
		FUZZ_MUST(lt_text_valid(lt_slice_str(row->fault.message)));
		FUZZ_MUST(lt_text_valid(lt_slice_str(row->fault.message_vi)));
	}
	if (row->result != LT_IMPORT_ROW)
		return;
	FUZZ_MUST(row->collection != NULL && row->key != NULL && row->key[0] != '\0');
	FUZZ_MUST(strlen(row->key) <= LT_KEY_MAX && lt_unit_valid(row->unit.s));
	for (i = 0; i < row->nvalue; i++) {
		FUZZ_MUST(i == 0 || strcmp(row->value[i - 1]->name, row->value[i]->name) < 0);
		check_value(field_of(row, row->value[i]->name), row->value[i]);
	}
}

static void
hash_text(crypto_generichash_state *st, const char *s)
{
	(void)crypto_generichash_update(
	    st, (const uint8_t *)(s == NULL ? "(none)" : s), s == NULL ? 7 : strlen(s) + 1);
}

static void
hash_row(crypto_generichash_state *st, const struct lt_import_row *row)
{
	uint64_t n[4] = { row->record, row->line, row->result, row->warn };
	struct lt_buf b = { 0 };
	size_t i;

	(void)crypto_generichash_update(st, (const uint8_t *)n, sizeof(n));
	hash_text(st, row->key);
	hash_text(st, row->fault.code);
	hash_text(st, row->fault.message);
	for (i = 0; row->result == LT_IMPORT_ROW && i < row->nvalue; i++)
		FUZZ_MUST(lt_wire_pack(&row->value[i]->base, SIZE_MAX, &b) == LT_OK);
	if (b.len != 0)
		(void)crypto_generichash_update(st, b.data, b.len);
	lt_buf_fini(&b);
}

static void
run(struct lt_import_options *o, struct lt_slice text, size_t piece, uint8_t out[32])
{
	struct pieces p = { text, piece };
	crypto_generichash_state st;
	struct lt_import_row row;
	struct lt_import *im = NULL;
	struct lt_err err = { "" };
	const struct lt_slice *cell;
	size_t n, ncell;
	int rc;

	(void)crypto_generichash_init(&st, NULL, 0, 32);
	o->source.read = read_pieces;
	o->source.ctx = &p;
	rc = lt_import_open(o, &im, &err);
	FUZZ_MUST(rc == LT_OK || err.text[0] != '\0');
	hash_text(&st, err.text);
	for (n = 0; rc == LT_OK && n < ROWS_MAX; n++) {
		rc = lt_import_next(im, &row, &err);
		if (rc != LT_OK)
			break;
		check_row(&row);
		hash_row(&st, &row);
		(void)lt_import_cells(im, &cell, &ncell);
	}
	FUZZ_MUST(im == NULL || rc == LT_OK || rc == LT_E_NOTFOUND || err.text[0] != '\0');
	(void)crypto_generichash_update(&st, (const uint8_t *)&rc, sizeof(rc));
	(void)crypto_generichash_final(&st, out, 32);
	lt_import_close(im);
}

void
fuzz_import(struct lt_import_options *o, struct lt_slice text, size_t piece)
{
	uint8_t whole[32], parts[32];

	o->succession = succession();
	run(o, text, SIZE_MAX, whole);
	run(o, text, piece == 0 ? 1 : piece, parts);
	FUZZ_MUST(memcmp(whole, parts, 32) == 0);
}
