/* proto/rpc/status_impl.h - a status to and from its message on the wire. For the room's own files. */
#ifndef LT_RPC_STATUS_IMPL_H
#define LT_RPC_STATUS_IMPL_H

#include "proto/base/buf.h"
#include "proto/rpc/status.h"

#include <stdarg.h>

void lt_status_vset_both(struct lt_status *s, enum lt_status_code code, const char *reason,
    const char *en, const char *vi, va_list ap)
    __attribute__((format(printf, 4, 0), format(printf, 5, 0)));
/* Append the Status message to out. What failed without words in Vietnamese gets those of its reason and code. Texts that are not UTF-8 are escaped; the result is far below one frame. */
int lt_status_pack(const struct lt_status *s, struct lt_buf *out);
/* Read a Status message from outside. A code that is none of the 17 becomes UNKNOWN, texts are cut to
 * their room. Of the localized messages the first that is Vietnamese counts, among the first LT_LOCALIZED_MAX. LT_E_INVALID: malformed; *out is then INTERNAL. */
int lt_status_unpack(struct lt_slice bytes, struct lt_status *out);

#endif
