#include "proto/rpc/status.h"
#include "proto/base/arena.h"
#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/rpc/status_impl.h"

#include "lienthong/v1/rpc.pb-c.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *
lt_status_name(int code)
{
#define NAME_CASE(name, number) \
	case number: \
		return #name;
	switch (code) {
		LT_STATUS_CODES(NAME_CASE)
	default:
		return "UNKNOWN";
	}
#undef NAME_CASE
}

enum lt_status_code
lt_status_from_error(int rc)
{
	switch (rc) {
	case LT_OK:
		return LT_STATUS_OK;
	case LT_E_INVALID:
	case LT_E_TOOBIG:
	case LT_E_BADSIG:
	case LT_E_BADHASH:
	case LT_E_USAGE:
		return LT_STATUS_INVALID_ARGUMENT;
	case LT_E_NOMEM:
	case LT_E_NOSPACE:
		return LT_STATUS_RESOURCE_EXHAUSTED;
	case LT_E_NOTFOUND:
		return LT_STATUS_NOT_FOUND;
	case LT_E_EXISTS:
		return LT_STATUS_ALREADY_EXISTS;
	case LT_E_DENIED:
	case LT_E_REVOKED:
		return LT_STATUS_PERMISSION_DENIED;
	case LT_E_GAP:
	case LT_E_FORK:
	case LT_E_UNKNOWN:
	case LT_E_REFUSED:
	case LT_E_VERSION:
		return LT_STATUS_FAILED_PRECONDITION;
	case LT_E_CONFLICT:
		return LT_STATUS_ABORTED;
	case LT_E_CORRUPT:
		return LT_STATUS_DATA_LOSS;
	case LT_E_BUSY:
	case LT_E_CLOSED:
	case LT_E_UNAVAILABLE:
		return LT_STATUS_UNAVAILABLE;
	case LT_E_TIMEOUT:
		return LT_STATUS_DEADLINE_EXCEEDED;
	case LT_E_CANCELLED:
		return LT_STATUS_CANCELLED;
	case LT_E_UNSUPPORTED:
		return LT_STATUS_UNIMPLEMENTED;
	case LT_E_IO:
		return LT_STATUS_INTERNAL;
	default:
		return LT_STATUS_UNKNOWN;
	}
}

int
lt_status_to_error(int code)
{
	switch (code) {
	case LT_STATUS_OK:
		return LT_OK;
	case LT_STATUS_CANCELLED:
		return LT_E_CANCELLED;
	case LT_STATUS_INVALID_ARGUMENT:
	case LT_STATUS_OUT_OF_RANGE:
		return LT_E_INVALID;
	case LT_STATUS_DEADLINE_EXCEEDED:
		return LT_E_TIMEOUT;
	case LT_STATUS_NOT_FOUND:
		return LT_E_NOTFOUND;
	case LT_STATUS_ALREADY_EXISTS:
		return LT_E_EXISTS;
	case LT_STATUS_PERMISSION_DENIED:
	case LT_STATUS_UNAUTHENTICATED:
		return LT_E_DENIED;
	case LT_STATUS_FAILED_PRECONDITION:
		return LT_E_REFUSED;
	case LT_STATUS_ABORTED:
		return LT_E_CONFLICT;
	case LT_STATUS_UNIMPLEMENTED:
		return LT_E_UNSUPPORTED;
	case LT_STATUS_RESOURCE_EXHAUSTED:
	case LT_STATUS_UNAVAILABLE:
		return LT_E_UNAVAILABLE;
	case LT_STATUS_DATA_LOSS:
		return LT_E_CORRUPT;
	default: /* UNKNOWN, INTERNAL and what is no code at all */
		return LT_E_REMOTE;
	}
}

/* A text cut at its room may end inside a character: drop the part. */
static void
trim_tail(char *s)
{
	size_t n = strlen(s), i = n;

	while (i > 0 && n - i < 3 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
		i--;
	if (i > 0 && (unsigned char)s[i - 1] >= 0xc0 &&
	    !lt_text_valid(lt_slice(s + i - 1, n - i + 1)))
		s[i - 1] = '\0';
}

static void
begin(struct lt_status *s, enum lt_status_code code, const char *reason)
{
	memset(s, 0, sizeof(*s));
	s->code = code;
	if (reason != NULL)
		(void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

static void __attribute__((format(printf, 3, 0)))
say(char *out, size_t cap, const char *fmt, va_list ap)
{
	if (vsnprintf(out, cap, fmt, ap) >= (int)cap)
		trim_tail(out);
}

void
lt_status_set(
    struct lt_status *s, enum lt_status_code code, const char *reason, const char *fmt, ...)
{
	va_list ap;

	begin(s, code, reason);
	va_start(ap, fmt);
	say(s->message, sizeof(s->message), fmt, ap);
	va_end(ap);
}

void
lt_status_vset_both(struct lt_status *s, enum lt_status_code code, const char *reason,
    const char *en, const char *vi, va_list ap)
{
	va_list again;

	begin(s, code, reason);
	va_copy(again, ap);
	say(s->message, sizeof(s->message), en, ap);
	say(s->message_vi, sizeof(s->message_vi), vi, again);
	va_end(again);
}

void
lt_status_set_both(struct lt_status *s, enum lt_status_code code, const char *reason,
    const char *en, const char *vi, ...)
{
	va_list ap;

	va_start(ap, vi);
	lt_status_vset_both(s, code, reason, en, vi, ap);
	va_end(ap);
}

/* The other side's walker refuses text that is not UTF-8, and snprintf may have cut a character:
 * make it text whatever it was. */
static char *
clean(char *out, size_t cap, const char *s)
{
	size_t n = lt_text_valid(lt_slice_str(s)) ? strlen(s) : 0;

	if (n != 0 && n < cap) {
		memcpy(out, s, n);
		out[n] = '\0';
		return out;
	}
	n = lt_text_escape(out, cap - 1, lt_slice_str(s));
	out[n] = '\0';
	return out;
}

int
lt_status_pack(const struct lt_status *s, struct lt_buf *out)
{
	Ltpb__Status m = LTPB__STATUS__INIT;
	Ltpb__ErrorInfo info = LTPB__ERROR_INFO__INIT;
	Ltpb__RetryInfo retry = LTPB__RETRY_INFO__INIT;
	Ltpb__FieldViolation violation = LTPB__FIELD_VIOLATION__INIT,
			     *violations[1] = { &violation };
	Ltpb__LocalizedMessage vi = LTPB__LOCALIZED_MESSAGE__INIT, *localized[1] = { &vi };
	char words[sizeof(s->message_vi)], message_vi[4 * sizeof(s->message_vi)], locale[] = "vi";
	char message[4 * sizeof(s->message)], reason[4 * sizeof(s->reason)],
	    field[4 * sizeof(s->field)], rule[4 * sizeof(s->rule)], domain[] = "lienthong";

	m.code = (int32_t)s->code;
	m.message = clean(message, sizeof(message), s->message);
	(void)lt_text_copy(words, sizeof(words), lt_slice_str(s->message_vi));
	if (words[0] == '\0')
		lt_status_words(s->reason, (int)s->code, words, sizeof(words));
	if (words[0] != '\0') {
		vi.locale = locale;
		vi.message = clean(message_vi, sizeof(message_vi), words);
		m.localized_message = localized;
		m.n_localized_message = 1;
	}
	if (s->reason[0] != '\0') {
		info.reason = clean(reason, sizeof(reason), s->reason);
		info.domain = domain;
		m.error_info = &info;
	}
	if (s->retry_delay_ms != 0) {
		retry.retry_delay_ms = s->retry_delay_ms;
		m.retry_info = &retry;
	}
	if (s->field[0] != '\0' || s->rule[0] != '\0') {
		violation.field = clean(field, sizeof(field), s->field);
		violation.rule = clean(rule, sizeof(rule), s->rule);
		m.violation = violations;
		m.n_violation = 1;
	}
	return lt_wire_pack(&m.base, LT_FRAME_PAYLOAD_MAX, out);
}

/* "vi" or one of its variants; tags are compared without case (RFC 5646). */
static bool
is_vietnamese(const char *locale)
{
	return strncasecmp(locale, "vi", 2) == 0 && (locale[2] == '\0' || locale[2] == '-');
}

static void
take_localized(const Ltpb__Status *m, struct lt_status *out)
{
	size_t i;

	for (i = 0; i < m->n_localized_message && i < LT_LOCALIZED_MAX; i++)
		if (is_vietnamese(m->localized_message[i]->locale)) {
			(void)lt_text_copy(out->message_vi, sizeof(out->message_vi),
			    lt_slice_str(m->localized_message[i]->message));
			return;
		}
}

int
lt_status_unpack(struct lt_slice bytes, struct lt_status *out)
{
	struct lt_arena arena;
	ProtobufCMessage *base = NULL;
	const Ltpb__Status *m;
	int rc;

	lt_arena_init(&arena, lt_arena_cap_for(bytes.len));
	rc = lt_wire_unpack(
	    &ltpb__status__descriptor, bytes, LT_FRAME_PAYLOAD_MAX, &arena, &base, NULL);
	if (rc != LT_OK) {
		lt_status_set(
		    out, LT_STATUS_INTERNAL, "BAD_STATUS", "the status of the answer is malformed");
		lt_arena_fini(&arena);
		return LT_E_INVALID;
	}
	m = (const Ltpb__Status *)base;
	memset(out, 0, sizeof(*out));
	out->code = m->code >= 0 && m->code <= LT_STATUS_UNAUTHENTICATED
			? (enum lt_status_code)m->code
			: LT_STATUS_UNKNOWN;
	(void)lt_text_copy(out->message, sizeof(out->message), lt_slice_str(m->message));
	if (m->error_info != NULL)
		(void)lt_text_copy(
		    out->reason, sizeof(out->reason), lt_slice_str(m->error_info->reason));
	if (m->retry_info != NULL)
		out->retry_delay_ms = m->retry_info->retry_delay_ms;
	take_localized(m, out);
	if (m->n_violation != 0) {
		(void)lt_text_copy(
		    out->field, sizeof(out->field), lt_slice_str(m->violation[0]->field));
		(void)lt_text_copy(
		    out->rule, sizeof(out->rule), lt_slice_str(m->violation[0]->rule));
	}
	lt_arena_fini(&arena);
	return LT_OK;
}
