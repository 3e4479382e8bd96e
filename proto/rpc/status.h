/* proto/rpc/status.h - gRPC's 17 status codes, and a status with message and details. */
#ifndef LT_RPC_STATUS_H
#define LT_RPC_STATUS_H

#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define LT_STATUS_CODES(X) \
	X(OK, 0) X(CANCELLED, 1) X(UNKNOWN, 2) X(INVALID_ARGUMENT, 3) X(DEADLINE_EXCEEDED, 4) \
	X(NOT_FOUND, 5) X(ALREADY_EXISTS, 6) X(PERMISSION_DENIED, 7) X(RESOURCE_EXHAUSTED, 8) \
	X(FAILED_PRECONDITION, 9) X(ABORTED, 10) X(OUT_OF_RANGE, 11) X(UNIMPLEMENTED, 12) \
	X(INTERNAL, 13) X(UNAVAILABLE, 14) X(DATA_LOSS, 15) X(UNAUTHENTICATED, 16)
/* clang-format on */

#define LT_STATUS_ENUM(name, number) LT_STATUS_##name = (number),
enum lt_status_code { LT_STATUS_CODES(LT_STATUS_ENUM) };
#undef LT_STATUS_ENUM

struct lt_status {
	enum lt_status_code code;
	char message[512]; /* English */
	char message_vi
	    [512]; /* Vietnamese; "" on the way out: by reason and code (lt_status_words) */
	char reason[64]; /* ErrorInfo.reason, UPPER_SNAKE_CASE, "" if none */
	uint32_t retry_delay_ms; /* RetryInfo, 0 if none */
	char field[65]; /* first FieldViolation, "" if none */
	char rule[64];
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *lt_status_name(int code);
/* The status a handler answers for one of our error codes. */
enum lt_status_code lt_status_from_error(int rc);
/* The error code a caller sees for a status code. */
int lt_status_to_error(int code);
void lt_status_set(struct lt_status *s, enum lt_status_code code, const char *reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same in both languages, for what names its subject: both formats take the same arguments in the same order. */
void lt_status_set_both(struct lt_status *s, enum lt_status_code code, const char *reason,
    const char *en, const char *vi, ...)
    __attribute__((format(printf, 4, 6), format(printf, 5, 6)));
/* status_words.c: what happened and what to do next, in Vietnamese, by ErrorInfo.reason and code; by the code alone
 * for a reason not known here. "" for OK. Cut between characters. Any thread. */
void lt_status_words(const char *reason, int code, char *out, size_t cap);
/* Is there a row of its own for this reason? */
bool lt_status_words_known(const char *reason);
/* The reasons that have one, in turn; NULL behind the last. */
const char *lt_status_words_reason(size_t i);
/* Are row i's words ever said? No row before it has its reason with its code, or with any. */
bool lt_status_words_reached(size_t i);

#endif
