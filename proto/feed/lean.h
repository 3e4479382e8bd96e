/* proto/feed/lean.h - change-sets without what their reader can compute, for the line (FORMAT.md 3.9). Pure.
 *
 * A personal_root is 32 bytes that no compression makes smaller, and follows from the openings that travel in the same message:
 * a third of what a bulk of dossiers takes on the line (measured: 99 bytes a change with it, 64 without).
 */
#ifndef LT_FEED_LEAN_H
#define LT_FEED_LEAN_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/error.h"

/* Appends the lean form of a ChangeSet to out: the personal_root of every change is left out whose openings are all in the
 * message with their values and whose bytes are written the way they come back. The rest, and what is no ChangeSet, stays as it
 * is. The caller vouches that it is well-formed and its openings true: it parsed it, or made it. LT_E_NOMEM, LT_E_TOOBIG. */
int lt_changeset_lean(struct lt_slice whole, struct lt_buf *out);

/* The ChangeSet that was made lean, to be parsed and verified like any other. *whole is `bytes` itself when nothing was left out,
 * else it lives in the arena. Nothing is believed: a root that does not fit makes another change than the one that was signed.
 * LT_E_INVALID: malformed, or a root is left out without all its openings. LT_E_TOOBIG, LT_E_NOMEM. */
int lt_changeset_restore(
    struct lt_slice bytes, struct lt_arena *arena, struct lt_slice *whole, struct lt_err *err);

#endif
