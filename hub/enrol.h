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
#define LT_INVITATION_LATE_S \
	(7 * 86400) /* after its end, who comes with it is still told that it has expired */
#define LT_ENROL_REASON_MAX 255 /* bytes; its length is a u8 in the row */

struct lt_enrol;

/* An operator that invites, and the line key with which it asked for that. */
struct lt_issuer {
	struct lt_id principal;
	uint8_t line_key[32];
};

int lt_enrol_open(struct lt_hub *h, struct lt_enrol **out, struct lt_err *err);
void lt_enrol_close(struct lt_enrol *e); /* NULL allowed */

/* A stranger with this line key: may the handshake go on (it asked before; or an invitation has not expired more than
 * LT_INVITATION_LATE_S ago, used or not, and not too many strangers came just now)? No disk. */
bool lt_enrol_lets_in(struct lt_enrol *e, const uint8_t line_key[32]);
/* It asked before and waits. No disk. */
bool lt_enrol_is_pending(struct lt_enrol *e, const uint8_t line_key[32]);

/* At the hub's own machine. LT_E_INVALID with words. line is appended to out. The request's grant as lt_grant_take() wants it. */
int lt_enrol_invite(struct lt_enrol *e, const Ltpb__InviteRequest *req,
    const char *const *addresses, size_t naddress, struct lt_buf *line, int64_t *expires_s,
    struct lt_err *err);
/* The same by an operator, who may give this (lt_access_give()); NULL: at the hub's own machine. Whoever comes with an invitation to be
 * approved at once waits for a person all the same where the issuer, or its key, is not active then, or may not give this any more. */
int lt_enrol_invite_by(struct lt_enrol *e, const struct lt_issuer *issuer,
    const Ltpb__InviteRequest *req, const char *const *addresses, size_t naddress,
    struct lt_buf *line, int64_t *expires_s, struct lt_err *err);
/* One asks. LT_E_CONFLICT: another machine has used this invitation; the alarm is raised, and the asker told, for it may be
 * the one that was meant. Who holds token and key is told, too: LT_E_TIMEOUT, the invitation has expired; LT_E_CANCELLED; LT_E_EXISTS, the
 * id or the line key is somebody's already. LT_E_DENIED: token unknown, or the proof does not verify; the asker learns no more than
 * "not accepted". Why is logged here, a line in a second. */
int lt_enrol_join(struct lt_enrol *e, const Ltpb__JoinRequest *req, const uint8_t line_key[32],
    const char *address, Ltpb__PrincipalState *state, struct lt_err *err);
/* Shown to this asker? With a lock held: short. */
typedef bool lt_enrol_want_fn(void *ctx, const Ltpb__Enrolment *e);

/* Those who asked and are wanted (want NULL: all), in the arena, as long as a reply has room: who waits comes first, then who asked last;
 * *more: some found none. There are 4096 at most, then one more takes the place of the one that asked longest ago of those refused and those
 * that the registry has; while all wait, nobody can join (LT_E_UNAVAILABLE). */
int lt_enrol_list(struct lt_enrol *e, lt_enrol_want_fn *want, void *ctx, struct lt_arena *arena,
    Ltpb__Enrolment ***out, size_t *n, bool *more);
/* One of them. LT_E_NOTFOUND. */
int lt_enrol_find(struct lt_enrol *e, const struct lt_id *principal, struct lt_arena *arena,
    Ltpb__Enrolment **out);
/* Becomes a principal with the grant of its invitation; visible in the registry when this returns. LT_E_NOTFOUND; done before: LT_OK,
 * and what was decided about it since (suspended, revoked, grants taken) stays. LT_E_UNAVAILABLE: the tables do not show yet who is in. */
int lt_enrol_approve(struct lt_enrol *e, const struct lt_id *principal, struct lt_err *err);
/* reason: for who asked, kept and shown in the list; "" for none. LT_E_INVALID: over LT_ENROL_REASON_MAX bytes in NFC, or with
 * control characters. The first refusal's reason stays. LT_E_CONFLICT: approved already, also if a power cut kept that out of the list;
 * LT_E_UNAVAILABLE: the tables do not show yet who is in. */
int lt_enrol_reject(
    struct lt_enrol *e, const struct lt_id *principal, const char *reason, struct lt_err *err);
/* What was said when this line key was refused; "" when nothing was. No disk. */
void lt_enrol_reason(
    struct lt_enrol *e, const uint8_t line_key[32], char out[LT_ENROL_REASON_MAX + 1]);
/* Invitations that somebody may still come with, or all that are kept; in the arena, without their secrets. Those that a hub in doubt voided
 * (recovery.h) count as cancelled, until the next start, which does not have them any more. LT_E_NOMEM. */
int lt_enrol_invitations(
    struct lt_enrol *e, bool all, struct lt_arena *arena, Ltpb__OpenInvitation ***out, size_t *n);
/* One of them. LT_E_NOTFOUND, LT_E_NOMEM. */
int lt_enrol_invitation(struct lt_enrol *e, const struct lt_hash *id, struct lt_arena *arena,
    Ltpb__OpenInvitation **out);
/* Nobody joins with it any more; durable when this returns LT_OK, done before: LT_OK. LT_E_NOTFOUND; LT_E_CONFLICT: it has been used. */
int lt_enrol_cancel(struct lt_enrol *e, const struct lt_hash *id, struct lt_err *err);
/* Invitations used a second time. Borrowed. */
struct lt_alarms *lt_enrol_alarms(struct lt_enrol *e);

#endif
