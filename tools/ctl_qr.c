#include "tools/ctl_qr.h"
#include "proto/base/error.h"

#include <errno.h>
#include <qrencode.h>
#include <string.h>

#define QUIET 4 /* modules around it, as ISO 18004 asks */
#define INK_ON_PAPER "\033[38;5;16;48;5;231m"
#define PLAIN "\033[0m"

/* Of the levels of redundancy the highest that fits. Level H would only be larger: nothing stands in the middle of it. */
static QRcode *
encode(const char *text, size_t columns, int *rc)
{
	static const QRecLevel level[] = { QR_ECLEVEL_Q, QR_ECLEVEL_M, QR_ECLEVEL_L };
	QRcode *q = NULL;
	size_t i;

	*rc = LT_E_TOOBIG;
	for (i = 0; q == NULL && i < sizeof(level) / sizeof(level[0]); i++) {
		q = QRcode_encodeData((int)strlen(text), (const unsigned char *)text, 0, level[i]);
		if (q == NULL && errno != ERANGE)
			*rc = errno == ENOMEM ? LT_E_NOMEM : LT_E_INVALID;
		if (q != NULL && columns != 0 && (size_t)q->width + 2 * QUIET > columns) {
			QRcode_free(q);
			q = NULL;
		}
	}
	return q;
}

static bool
is_dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width &&
	       (q->data[y * q->width + x] & 1) != 0;
}

int
ctl_qr(struct lt_buf *out, const char *text, size_t columns)
{
	static const char *const block[4] = { " ", "\342\226\200", "\342\226\204", "\342\226\210" };
	size_t start = out->len;
	QRcode *q;
	int x, y, rc;

	q = encode(text, columns, &rc);
	if (q == NULL)
		return rc;
	for (y = -QUIET; y < q->width + QUIET; y += 2) {
		lt_buf_str(out, INK_ON_PAPER);
		for (x = -QUIET; x < q->width + QUIET; x++)
			lt_buf_str(out, block[is_dark(q, x, y) | is_dark(q, x, y + 1) << 1]);
		lt_buf_str(out, PLAIN "\n");
	}
	QRcode_free(q);
	if (out->err == LT_OK)
		return LT_OK;
	out->len = start;
	return out->err;
}
