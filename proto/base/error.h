/* proto/base/error.h - error codes of every function in the project.
 *
 * A function that can fail returns int: LT_OK (0) or one of these, negative. A peer's mistake is a
 * code, our own mistake is an assert. Codes of LMDB, nng and errno become ours in the wrapper that
 * calls them.
 */
#ifndef LT_BASE_ERROR_H
#define LT_BASE_ERROR_H

#include <stddef.h>

#define LT_ERRORS(X) \
	X(LT_OK, 0, "done") \
	X(LT_E_INVALID, -1, "malformed or not allowed by the format") \
	X(LT_E_TOOBIG, -2, "larger than the limit") \
	X(LT_E_NOMEM, -3, "out of memory or over the memory cap") \
	X(LT_E_NOTFOUND, -4, "not found") \
	X(LT_E_EXISTS, -5, "exists already") \
	X(LT_E_BADSIG, -6, "signature does not verify") \
	X(LT_E_BADHASH, -7, "hash does not match") \
	X(LT_E_GAP, -8, "an earlier change-set is missing") \
	X(LT_E_FORK, -9, "another change-set has this number") \
	X(LT_E_DENIED, -10, "not allowed") \
	X(LT_E_UNKNOWN, -11, "not known here (yet)") \
	X(LT_E_CORRUPT, -12, "stored data is damaged") \
	X(LT_E_NOSPACE, -13, "disk or store is full") \
	X(LT_E_IO, -14, "input/output error") \
	X(LT_E_BUSY, -15, "in use by another process or busy") \
	X(LT_E_CLOSED, -16, "closed") \
	X(LT_E_TIMEOUT, -17, "deadline passed") \
	X(LT_E_CANCELLED, -18, "cancelled") \
	X(LT_E_VERSION, -19, "made by a newer or another program") \
	X(LT_E_CONFLICT, -20, "the record has changed meanwhile") \
	X(LT_E_REFUSED, -21, "refused by a rule") \
	X(LT_E_USAGE, -22, "wrong usage") \
	X(LT_E_UNSUPPORTED, -23, "not supported") \
	X(LT_E_REMOTE, -24, "the other side reported an error") \
	X(LT_E_UNAVAILABLE, -25, "not available now, try again later") \
	X(LT_E_REVOKED, -26, "signed by a key after it was revoked")

#define LT_ERROR_ENUM(name, number, text) name = (number),
enum lt_error { LT_ERRORS(LT_ERROR_ENUM) };
#undef LT_ERROR_ENUM

/* Short lower-case text for a code; never NULL. Static storage. */
const char *lt_strerror(int code);

#define LT_ERR_TEXT 512 /* bytes of each language with its NUL */

/* One error with words: what failed first, the subject in quotes, no full stop. Functions that
 * explain themselves take one, may be NULL; it is written only on failure. The words are English; what people at a
 * commune or a province run into is said in Vietnamese, too: that stands behind the NUL, for lt_err_vi(). */
struct lt_err {
	char text[2 * LT_ERR_TEXT];
};

/* int lt_err_set(struct lt_err *e, int code, const char *fmt, ...): format into e (NULL allowed) and
 * return code, so that a caller can `return lt_err_set(...)`. Arguments are evaluated once.
 *
 * A macro, so that whoever reads one file only (the compiler, the analyser) sees the code come back. */
#define lt_err_set(e, code, ...) (lt_err_put((e), __VA_ARGS__), lt_err_code(code))

/* The same in both languages; both formats take the same arguments in the same order. */
#define lt_err_both(e, code, en, ...) (lt_err_put_both((e), (en), __VA_ARGS__), lt_err_code(code))
/* The same with words that are made already, and are not e's own. */
#define lt_err_pair(e, code, en, vi) (lt_err_put_pair((e), (en), (vi)), lt_err_code(code))
/* What errno says, in Vietnamese; of the rare ones what strerror() says. */
const char *lt_errno_vi(int e);
/* The Vietnamese words; "" where there are none. */
const char *lt_err_vi(const struct lt_err *e);

/* For lt_err_set() and lt_err_both(). */
void lt_err_put(struct lt_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lt_err_put_pair(struct lt_err *e, const char *en, const char *vi);
void lt_err_put_both(struct lt_err *e, const char *en, const char *vi, ...)
    __attribute__((format(printf, 2, 4), format(printf, 3, 4)));
static inline int
lt_err_code(int code)
{
	return code;
}

#endif
