/* proto/store/tables.h - the tables of every environment, in one numbering (FORMAT.md 9.3).
 *
 * Each environment is opened with all of them; those it does not use stay empty. */
#ifndef LT_STORE_TABLES_H
#define LT_STORE_TABLES_H

#include "proto/base/buf.h"
#include "proto/base/ids.h"
#include "proto/store/kv.h"

#define LT_TABLES(X) \
	X(FEED, "feed") \
	X(ENTRY, "entry") \
	X(SEQ, "seq") \
	X(OPENING, "opening") \
	X(JUDGEMENT, "judgement") \
	X(HELD, "held") \
	X(RECEIPT, "receipt") \
	X(RECORD, "record") \
	X(SHOWN, "shown") \
	X(INDEX, "index") \
	X(HISTORY, "history") \
	X(DIGEST, "digest") \
	X(OVERLAY, "overlay") \
	X(QUARANTINE, "quarantine") \
	X(REQUEST, "request") \
	X(REQUEST_AT, "request_at") \
	X(ENROL, "enrol") \
	X(FRESH, "fresh") \
	X(CURSOR, "cursor") \
	X(LOCAL, "local") \
	X(SUMS, "sums")

#define LT_TABLE_ENUM(name, text) LT_T_##name,
enum lt_table { LT_TABLES(LT_TABLE_ENUM) LT_T_COUNT };
#undef LT_TABLE_ENUM

/* Names in enum order, NULL-terminated: struct lt_kv_options.tables. */
extern const char *const lt_table_names[];

/* The environment dir/name with all tables, made when it is not there. map_bytes 0: the default. LT_E_INVALID: the
 * path is too long; else as lt_kv_open_lmdb(). */
int lt_tables_open(const char *dir, const char *name, enum lt_kv_kind kind,
    const struct lt_fed *federation, uint64_t map_bytes, struct lt_kv **out, struct lt_err *err);

/* uk: framed8(unit) || feed. Appended to out. */
void lt_key_feed(struct lt_buf *out, const struct lt_unit *unit, const struct lt_feed_id *feed);
/* rk: collection || 0 || unit || 0 || key. */
void lt_key_record(struct lt_buf *out, const char *collection, const char *unit, const char *key);
/* Split an rk; LT_E_CORRUPT. The parts borrow from rk and are not NUL-terminated. */
int lt_key_record_split(
    struct lt_slice rk, struct lt_slice *collection, struct lt_slice *unit, struct lt_slice *key);

#endif
