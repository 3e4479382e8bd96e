/* node/import_charset.h - the encodings in which offices keep their lists, brought to UTF-8 in NFC.
 *
 * Windows-1258 writes a Vietnamese letter as a base letter and a combining tone byte. TCVN3 is
 * TCVN 5712:1993 VN3, the "ABC" encoding of the .VnTime fonts: one byte a letter, letters at
 * A1-AE and B5-FE, no toned capital letters. The tables stand here, not in iconv, so that a
 * machine without gconv modules imports the same. Pure; any thread.
 */
#ifndef LT_NODE_IMPORT_CHARSET_H
#define LT_NODE_IMPORT_CHARSET_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>

enum lt_charset { LT_CHARSET_AUTO, LT_CHARSET_UTF8, LT_CHARSET_CP1258, LT_CHARSET_TCVN3 };

/* "auto", "utf-8", "windows-1258", "tcvn3"; false for any other name. */
bool lt_charset_from_name(const char *name, enum lt_charset *out);
const char *lt_charset_name(enum lt_charset c);

/* Append s to out as NFC UTF-8. c is not AUTO. *was_nfd (NULL allowed): the text was UTF-8 and not
 * in NFC. LT_E_INVALID: a byte that the encoding does not have, or NUL; LT_E_NOMEM. */
int lt_charset_decode(enum lt_charset c, struct lt_slice s, struct lt_buf *out, bool *was_nfd);

/* Settle the encoding of a file from its first bytes (mark removed) and what the mapping says.
 * Unmarked text is UTF-8 only if all of it is; nothing else is ever guessed. A mapping that names an
 * old encoding for a text that is plainly UTF-8 is refused, since every letter would come in wrong.
 * cut: head is not the whole file, its last character may be cut off.
 * LT_E_UNSUPPORTED, LT_E_INVALID: err says what the mapping must say. */
int lt_charset_settle(enum lt_charset wanted, bool bom, struct lt_slice head, bool cut,
    enum lt_charset *out, struct lt_err *err);

/* TCVN3 has no toned capitals: a word in capitals comes back with some letters small (ĐặNG).
 * True if a word of this text looks like that. s is valid UTF-8 in NFC. */
bool lt_charset_capitals_lost(struct lt_slice s);

#endif
