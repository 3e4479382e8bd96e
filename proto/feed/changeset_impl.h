/* proto/feed/changeset_impl.h - shared by parse.c, seal.c and their tests only. */
#ifndef LT_FEED_CHANGESET_IMPL_H
#define LT_FEED_CHANGESET_IMPL_H

#include "proto/feed/changeset.h"

/* Field numbers of changeset.proto that are read and written here byte for byte. */
enum { CS_HEADER = 1, CS_SIGNATURE = 2, CS_CHANGE = 3, CS_OPENINGS = 4 };
enum { CHANGE_PERSONAL = 7, CHANGE_ROOT = 8 };
enum { OPENINGS_SEED = 1, OPENINGS_FIELD = 2 };
enum { OPENED_CHANGE = 1, OPENED_NAME = 2, OPENED_SALT = 3, OPENED_FIELD_SET = 4, OPENED_LEAF = 5 };

/* One field of a message whose wire form was checked. */
struct lt_wire_field {
	uint32_t number;
	uint64_t value; /* varint fields */
	struct lt_slice bytes; /* length-delimited fields */
};

/* False at the end, or with r->err set. */
bool lt_wire_next(struct lt_reader *r, struct lt_wire_field *f);

/* A header alone: what it says in *cs (the rest of it empty, hash set), how many changes, and their root. */
int lt_header_read(struct lt_slice header, struct lt_arena *arena, struct lt_changeset *cs,
    uint32_t *change_count, struct lt_hash *changes_root, struct lt_err *err);

/* For the tests: lt_changeset_parse() (whole NULL) and lt_changeset_parse_lean(), but every message in it read by the walker. */
int lt_changeset_parse_walk(struct lt_slice bytes, struct lt_arena *arena, struct lt_arena *whole,
    struct lt_changeset *out, struct lt_err *err);

/* A length-delimited field: bytes it takes, and the field itself. Numbers up to 15. */
size_t lt_field_size(size_t len);
void lt_field_put(struct lt_buf *out, uint32_t number, struct lt_slice bytes);

/* One OpenedField as field of Openings: salt empty where the seed gives it, leaf alone when withheld. */
void lt_opened_put(struct lt_buf *out, uint32_t change, const char *name, struct lt_slice salt,
    struct lt_slice field_set, struct lt_slice leaf);
/* The most that one opening takes in a message without a seed. */
size_t lt_opened_size_max(uint32_t change, const char *name, size_t field_set_len);

/* The two halves of lt_changeset_seal(), apart so that a test can damage what lies between. */
int lt_seal_build(
    const struct lt_seal *s, struct lt_buf *out, struct lt_hash *hash, struct lt_err *err);
int lt_seal_check(
    const struct lt_seal *s, struct lt_slice bytes, const struct lt_hash *hash, struct lt_err *err);

#endif
