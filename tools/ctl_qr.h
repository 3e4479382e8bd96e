/* tools/ctl_qr.h - a text as a QR code on a terminal. One thread. */
#ifndef LT_TOOLS_CTL_QR_H
#define LT_TOOLS_CTL_QR_H

#include "proto/base/buf.h"

/* Lines of half blocks, two rows of the code each, with the quiet zone that readers want, appended to out. Ink and paper are set
 * as colours of the fixed part of the 256, so that the code is dark on light whatever the terminal's own colours are.
 *
 * columns: of the terminal; 0: any width. The code is made as small as the text lets it, and as hard to spoil as the width lets it.
 * LT_E_TOOBIG: it does not fit the columns, or no code holds the text. LT_E_NOMEM. On error nothing is appended. */
int ctl_qr(struct lt_buf *out, const char *text, size_t columns);

#endif
