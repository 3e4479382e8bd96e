/* hub/alarm.h - invitations that were used a second time: kept until an operator has seen to it, not only in the log.
 *
 * One row for each invitation, in table enrol of the log environment (FORMAT.md 9.7). Whoever holds a used invitation can
 * go on trying: what is written and logged about one is written again after a minute at the earliest, in between only
 * counted, and no more than LT_ALARMS_MAX invitations are kept: one that was acknowledged gives way, else the oldest.
 * Any thread. */
#ifndef LT_HUB_ALARM_H
#define LT_HUB_ALARM_H

#include "hub/hub.h"

#include "lienthong/v1/admin.pb-c.h"

#define LT_ALARMS_MAX 256
#define LT_ALARM_QUIET_MS 60000

struct lt_alarm {
	struct lt_hash token; /* the invitation's */
	Ltpb__Role role;
	struct lt_unit unit;
	char org[LT_NAME_MAX + 1];
	struct lt_id by; /* who used it first */
	char address[64]; /* where the last attempt came from */
	int64_t first_ms, last_ms; /* hub's clock */
	uint64_t times; /* attempts, without the first use */
	/* Seen to: when, how many attempts that answers, by whom (zeros: at the hub's own machine). 0: never. */
	int64_t acknowledged_ms;
	uint64_t acknowledged_times;
	struct lt_id acknowledged_by;
};

struct lt_alarms;

int lt_alarms_open(struct lt_hub *h, struct lt_alarms **out);
void lt_alarms_close(struct lt_alarms *a); /* writes what was only counted; NULL allowed */
/* Once more. Times are set here, what was acknowledged stays; the rest of what is copied. That it cannot be written is logged, and it is told all the
 * same until the end of this process. */
void lt_alarm_raise(struct lt_alarms *a, const struct lt_alarm *what);
/* Those that nobody has acknowledged, or that somebody came with again since. */
size_t lt_alarms_count(struct lt_alarms *a);
/* The same, or all with those acknowledged; in the arena, the last one first. LT_E_NOMEM. */
int lt_alarms_list(struct lt_alarms *a, bool acknowledged, struct lt_arena *arena,
    Ltpb__InvitationAlarm ***out, size_t *n);
/* One of them. LT_E_NOTFOUND, LT_E_NOMEM. */
int lt_alarm_find(struct lt_alarms *a, const struct lt_hash *token, struct lt_arena *arena,
    Ltpb__InvitationAlarm **out);
/* An operator has seen to `times` attempts (0 or more than there are: to all of them): durable and logged when this returns
 * LT_OK. Said before of as many: nothing changes. by NULL: somebody at the hub's own machine. LT_E_NOTFOUND; what the store
 * says, and it is an alarm as before. */
int lt_alarm_acknowledge(
    struct lt_alarms *a, const struct lt_hash *token, uint64_t times, const struct lt_id *by);

#endif
