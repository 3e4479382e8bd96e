/* proto/feed/lean.h - change-sets without what their reader can compute, for the line (FORMAT.md 3.9). Pure.
 *
 * A personal_root is 32 bytes that no compression makes smaller, and follows from the openings that travel in the same message:
 * a third of what a bulk of dossiers takes on the line (measured: 99 bytes a change with it, 64 without).
 */
#ifndef LT_FEED_LEAN_H
#define LT_FEED_LEAN_H

#include "proto/base/buf.h"

/* Appends the lean form of a ChangeSet to out: the personal_root of every change is left out whose openings are all in the
 * message with their values and whose bytes are written the way they come back. The rest, and what is no ChangeSet, stays as it
 * is. lt_changeset_parse_lean() reads it. The caller vouches that it is well-formed and its openings true: it parsed it, or made it. LT_E_NOMEM, LT_E_TOOBIG. */
int lt_changeset_lean(struct lt_slice whole, struct lt_buf *out);

#endif
