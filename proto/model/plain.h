/* proto/model/plain.h - values that can be passed on as the bytes they came in.
 *
 * What one change set is shown, compared and indexed far more often than it is taken apart. A FieldSet is plain when packing
 * it anew gives the same bytes: {name, value} in the shortest form and nothing else, the value no set. Pure; any thread.
 */
#ifndef LT_MODEL_PLAIN_H
#define LT_MODEL_PLAIN_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"

#include "lienthong/v1/types.pb-c.h"

/* Whether these FieldSet bytes are plain and of this name; *value: the bytes of the Value in them. Anything that unpacking
 * would refuse or read as something else is not plain. */
bool lt_plain(struct lt_slice field_set, struct lt_slice name, struct lt_slice *value);
/* The value of plain bytes, in the arena. LT_E_NOTFOUND: they are not plain, or their text is no UTF-8. LT_E_NOMEM. */
int lt_plain_value(struct lt_slice field_set, struct lt_slice name, struct lt_arena *arena,
    const Ltpb__Value **out);
/* lt_value_index() (value.h) of a plain value. */
int lt_plain_index(struct lt_slice value, uint32_t scale, struct lt_buf *out);

#endif
