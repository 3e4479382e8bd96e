/* proto/model/change_read.h - changes and field sets read by hand, in one walk and few pieces of memory. For proto/model and
 * proto/feed.
 *
 * Nearly every message comes from an encoder that writes fields the plain way (proto/base/wire_read.h) and keeps the rules. Those are
 * read here; of anything else the readers say no, and the general way (walker, then checks) gives the answer and its words.
 * So nothing here has an error of its own, and a yes means that the general way would have said yes to the same content.
 */
#ifndef LT_MODEL_CHANGE_READ_H
#define LT_MODEL_CHANGE_READ_H

#include "proto/model/change.h"

/* Decodes field sets that stand in one message. Its texts are one copy of that message, its structs one array. */
struct lt_field_reader {
	struct lt_slice from; /* the message; borrowed */
	struct lt_arena *arena;
	uint8_t *copy; /* of the message; NULL: no memory, everything goes the general way */
	struct lt_field_room *room;
	size_t left; /* field sets there is room for */
	size_t repeats; /* repeated fields so far in the message that counts them */
};

/* At most n field sets are going to be read; more are read the general way. */
void lt_field_reader_init(
    struct lt_field_reader *r, struct lt_slice from, size_t n, struct lt_arena *arena);
/* As lt_field_set_decode(); raw lies in the message. */
int lt_field_reader_next(
    struct lt_field_reader *r, struct lt_slice raw, struct lt_field_set *out, struct lt_err *err);

/* What a change says, each part of it well-formed: what is left to ask is whether the parts go together. */
struct lt_change_parts {
	Ltpb__Change pb;
	struct lt_field_set *set; /* pb.n_set */
	bool has_root; /* field 8 is there, perhaps empty */
};

/* False: not read; the arena may hold some of it. */
bool lt_change_read(struct lt_slice raw, struct lt_arena *arena, struct lt_change_parts *out);

/* The general way alone: lt_change_decode() (lean NULL), lt_change_decode_lean(), lt_field_set_decode(). */
int lt_change_walk(struct lt_slice raw, const struct lt_feed_id *own, struct lt_arena *arena,
    struct lt_change *out, bool *lean, struct lt_err *err);
int lt_field_set_walk(
    struct lt_slice raw, struct lt_arena *arena, struct lt_field_set *out, struct lt_err *err);

/* For change.c: lt_name_valid() of bytes; characters of a key. */
bool lt_name_valid_slice(struct lt_slice s);
bool lt_key_char_valid(uint8_t c);
/* Strictly rising items, none empty, of added or removed. */
int lt_delta_check(
    const char *field, const char *what, char *const *item, size_t n, struct lt_err *err);

#endif
