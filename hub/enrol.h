/* hub/enrol.h - invitations, those who ask with one, and the operator's answer (design section 8).
 *
 * Kept in table enrol of the log environment: they are this hub's business until approved; from then on the
 * registry's records say who is who. Any thread. */
#ifndef LT_HUB_ENROL_H
#define LT_HUB_ENROL_H

#include "hub/alarm.h"
#include "hub/hub.h"

#include "lienthong/v1/admin.pb-c.h"

#define LT_INVITATION_DEFAULT_S (7 * 86400)
#define LT_INVITATION_MAX_S (90 * 86400)
#define LT_INVITATIONS_OPEN_MAX 4096
#define LT_ENROL_REASON_MAX 255 /* bytes; its length is a u8 in the row */

struct lt_enrol;

int lt_enrol_open(struct lt_hub *h, struct lt_enrol **out, struct lt_err *err);
void lt_enrol_close(struct lt_enrol *e); /* NULL allowed */

/* A stranger with this line key: may the handshake go on (it asked before; or an invitation has not expired, used or not,
 * and not too many strangers came just now)? No disk. */
bool lt_enrol_lets_in(struct lt_enrol *e, const uint8_t line_key[32]);
/* It asked before and waits. No disk. */
bool lt_enrol_is_pending(struct lt_enrol *e, const uint8_t line_key[32]);

/* LT_E_INVALID with words. line is appended to out. The request's grant as lt_grant_take() wants it. */
int lt_enrol_invite(struct lt_enrol *e, const Ltpb__InviteRequest *req,
    const char *const *addresses, size_t naddress, struct lt_buf *line, int64_t *expires_s,
    struct lt_err *err);
/* One asks. LT_E_CONFLICT: another machine has used this invitation; the alarm is raised, and the asker told, for it may be
 * the one that was meant. LT_E_DENIED: token unknown, expired, or keys taken; the asker learns no more than "not accepted".
 * Why is logged here, a line in a second. */
int lt_enrol_join(struct lt_enrol *e, const Ltpb__JoinRequest *req, const uint8_t line_key[32],
    const char *address, Ltpb__PrincipalState *state, struct lt_err *err);
/* Those who asked, newest last, in the arena. */
int lt_enrol_list(struct lt_enrol *e, struct lt_arena *arena, Ltpb__Enrolment ***out, size_t *n);
/* One of them. LT_E_NOTFOUND. */
int lt_enrol_find(struct lt_enrol *e, const struct lt_id *principal, struct lt_arena *arena,
    Ltpb__Enrolment **out);
/* Becomes a principal with the grant of its invitation; visible in the registry when this returns. LT_E_NOTFOUND; done before: LT_OK. */
int lt_enrol_approve(struct lt_enrol *e, const struct lt_id *principal, struct lt_err *err);
/* reason: for who asked, kept and shown in the list; "" for none. LT_E_INVALID: over LT_ENROL_REASON_MAX bytes in NFC, or with
 * control characters. The first refusal's reason stays. LT_E_CONFLICT: approved already, also if a power cut kept that out of the list;
 * LT_E_UNAVAILABLE: the tables do not show yet who is in. */
int lt_enrol_reject(
    struct lt_enrol *e, const struct lt_id *principal, const char *reason, struct lt_err *err);
/* What was said when this line key was refused; "" when nothing was. No disk. */
void lt_enrol_reason(
    struct lt_enrol *e, const uint8_t line_key[32], char out[LT_ENROL_REASON_MAX + 1]);
/* Invitations used a second time. Borrowed. */
struct lt_alarms *lt_enrol_alarms(struct lt_enrol *e);

#endif
