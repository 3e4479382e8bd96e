/* proto/base/text.h - Unicode text: checks, NFC, case folding, escaping. Pure; any thread. */
#ifndef LT_BASE_TEXT_H
#define LT_BASE_TEXT_H

#include "proto/base/buf.h"

#include <stdbool.h>

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong form) without NUL. */
bool lt_text_valid(struct lt_slice s);
/* Valid and in NFC. */
bool lt_text_is_nfc(struct lt_slice s);
/* NFC form appended to out. LT_E_INVALID: not UTF-8, has a NUL, or more than 128 combining marks in a
 * row (no language has; sorting them is quadratic). Out is as before on error. *changed (NULL allowed): differs from s. */
int lt_text_nfc(struct lt_buf *out, struct lt_slice s, bool *changed);
/* NFC, lower case (Unicode simple folding), blanks (U+0020, tab, CR, LF, U+00A0, U+FEFF) trimmed and
 * inner runs made one. For comparing what people type. Errors as lt_text_nfc(). */
int lt_text_fold(struct lt_buf *out, struct lt_slice s);
/* Trim blanks as above and make inner runs of blanks one U+0020; case kept. *changed as above.
 * LT_E_INVALID: not UTF-8, or a NUL. */
int lt_text_trim(struct lt_buf *out, struct lt_slice s, bool *changed);
/* For logs and terminals: control characters (also those of reading direction), DEL and bytes that are not UTF-8 become \xNN. Writes at
 * most cap bytes, NUL not included and not written. Returns bytes written. */
size_t lt_text_escape(char *out, size_t cap, struct lt_slice s);
/* As much of s as fits into cap - 1 bytes (cap at least 1), cut between characters, and a NUL. Returns bytes written, without it. */
size_t lt_text_copy(char *out, size_t cap, struct lt_slice s);
/* Columns on a terminal (wide and combining characters counted rightly). */
size_t lt_text_width(struct lt_slice s);

#endif
