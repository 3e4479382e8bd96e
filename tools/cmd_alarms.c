/* alarms: invitations that a second machine came with, and that an operator has seen to it. */
#include "tools/ctl.h"

#include <string.h>

#define ID_DIGITS_MIN 8 /* of an alarm's id, where the beginning says enough */

json_t *
ctl_alarm_json(const Ltpb__InvitationAlarm *a)
{
	json_t *o = json_object();

	json_object_set_new(o, "alarm", json_string("invitation used a second time"));
	json_object_set_new(o, "id", ctl_json_hex(a->id.data, a->id.len));
	json_object_set_new(o, "role", json_string(ctl_role_name(a->role)));
	json_object_set_new(o, "unit", ctl_json_text(a->unit));
	json_object_set_new(o, "org", ctl_json_text(a->org));
	json_object_set_new(o, "principal", ctl_json_hex(a->principal.data, a->principal.len));
	json_object_set_new(o, "address", ctl_json_text(a->address));
	json_object_set_new(o, "first_ms", json_integer(a->first_ms));
	json_object_set_new(o, "last_ms", json_integer(a->last_ms));
	json_object_set_new(o, "times", json_integer((json_int_t)a->times));
	if (a->acknowledged_ms == 0)
		return o;
	json_object_set_new(o, "acknowledged_ms", json_integer(a->acknowledged_ms));
	json_object_set_new(
	    o, "acknowledged_times", json_integer((json_int_t)a->acknowledged_times));
	json_object_set_new(
	    o, "acknowledged_by", ctl_json_hex(a->acknowledged_by.data, a->acknowledged_by.len));
	return o;
}

static bool
is_open(const Ltpb__InvitationAlarm *a)
{
	return a->acknowledged_ms == 0 || a->times > a->acknowledged_times;
}

/* The first digits of its id, as many as a person types. */
static const char *
short_id(struct ctl *c, const Ltpb__InvitationAlarm *a)
{
	return ctl_hex(&c->arena, a->id.data, a->id.len < 8 ? a->id.len : 8);
}

void
ctl_print_alarm(struct ctl *c, const Ltpb__InvitationAlarm *a)
{
	printf(T("%s %s: the invitation for %s %s%s was used a second time, from %s: %llu times, "
		 "first %s, last %s. One of the two machines is not the one that was meant: it "
		 "may be %s, which came first\n",
		   "%s %s: thư mời cho %s %s%s bị dùng lần nữa, từ %s: %llu lần, lần đầu %s, lần "
		   "cuối %s. Một trong hai máy không phải máy được mời: có thể là %s, máy đến "
		   "trước\n"),
	    is_open(a) ? T("ALARM", "BÁO ĐỘNG") : T("seen to", "đã xử lý"), short_id(c, a),
	    ctl_role(a->role), a->unit, a->org, a->address, (unsigned long long)a->times,
	    ctl_time(&c->arena, a->first_ms), ctl_time(&c->arena, a->last_ms),
	    ctl_hex(&c->arena, a->principal.data, a->principal.len));
	if (a->acknowledged_ms != 0)
		printf(T("    acknowledged %s by %s, %llu times\n",
			   "    ghi nhận đã xử lý lúc %s bởi %s, %llu lần\n"),
		    ctl_time(&c->arena, a->acknowledged_ms),
		    a->acknowledged_by.len == 0
			? T("somebody at the hub's machine", "người ở máy đầu mối")
			: ctl_hex(&c->arena, a->acknowledged_by.data, a->acknowledged_by.len),
		    (unsigned long long)a->acknowledged_times);
}

static enum ctl_exit
fetch(struct ctl *c, bool all, ProtobufCMessage **m)
{
	Ltpb__ListEnrolmentsRequest req = LTPB__LIST_ENROLMENTS_REQUEST__INIT;
	enum ctl_exit code = ctl_connect(c);

	req.acknowledged = all;
	return code == CTL_DONE
		   ? ctl_call(c, &ltpb__admin__descriptor, "ListEnrolments", &req.base, m)
		   : code;
}

static void
print_one(struct ctl *c, const Ltpb__InvitationAlarm *a)
{
	if (c->json)
		ctl_print_json(ctl_alarm_json(a));
	else
		ctl_print_alarm(c, a);
}

/* Exit 1 where something is open: a script need not read. */
enum ctl_exit
cmd_alarms(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ListEnrolmentsReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	bool all = false;
	const struct ctl_option options[] = { { "all", CTL_FLAG, &all } };
	size_t i, open = 0;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 1, &args, 0, 0);

	if (code == CTL_DONE)
		code = fetch(c, all, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListEnrolmentsReply *)m;
	for (i = 0; i < r->n_alarm; i++) {
		print_one(c, r->alarm[i]);
		open += is_open(r->alarm[i]);
	}
	if (open == 0 && !c->json)
		printf("%s\n", T("no alarm is open", "không có báo động nào"));
	ctl_reply_free(m);
	return open == 0 ? CTL_DONE : CTL_NO;
}

/* ---- acknowledge ---- */

/* As many attempts as were shown: one that comes meanwhile stays an alarm. */
static enum ctl_exit
acknowledge(struct ctl *c, const Ltpb__InvitationAlarm *a)
{
	Ltpb__AcknowledgeAlarmRequest req = LTPB__ACKNOWLEDGE_ALARM_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	enum ctl_exit code;

	req.id = a->id;
	req.times = a->times;
	code = ctl_call(c, &ltpb__admin__descriptor, "AcknowledgeAlarm", &req.base, &m);
	if (code == CTL_DONE && ((const Ltpb__AcknowledgeAlarmReply *)m)->alarm != NULL)
		print_one(c, ((const Ltpb__AcknowledgeAlarmReply *)m)->alarm);
	ctl_reply_free(m);
	return code;
}

static bool
is_named(struct ctl *c, const Ltpb__InvitationAlarm *a, const char *digits)
{
	return strncmp(ctl_hex(&c->arena, a->id.data, a->id.len), digits, strlen(digits)) == 0;
}

static enum ctl_exit
acknowledge_named(struct ctl *c, const Ltpb__ListEnrolmentsReply *r, const char *digits)
{
	const Ltpb__InvitationAlarm *found = NULL;
	size_t i;

	for (i = 0; i < r->n_alarm; i++) {
		if (!is_named(c, r->alarm[i], digits))
			continue;
		if (found != NULL)
			return ctl_fail(CTL_USAGE,
			    T("several alarms begin with '%s': give more digits",
				"nhiều báo động bắt đầu bằng '%s': hãy gõ thêm chữ số"),
			    digits);
		found = r->alarm[i];
	}
	if (found != NULL)
		return acknowledge(c, found);
	return ctl_fail(CTL_NO,
	    T("no alarm '%s', see 'ltctl alarms'", "không có báo động '%s', xem 'ltctl alarms'"),
	    digits);
}

static enum ctl_exit
acknowledge_all(struct ctl *c, const Ltpb__ListEnrolmentsReply *r)
{
	enum ctl_exit code = CTL_DONE, one;
	size_t i, n = 0;

	for (i = 0; i < r->n_alarm; i++) {
		if (!is_open(r->alarm[i]))
			continue;
		n++;
		one = acknowledge(c, r->alarm[i]);
		if (one > code)
			code = one;
	}
	if (n == 0)
		return ctl_fail(CTL_NO, "%s", T("no alarm is open", "không có báo động nào"));
	return code;
}

enum ctl_exit
cmd_alarms_acknowledge(struct ctl *c, int argc, char **argv)
{
	const Ltpb__ListEnrolmentsReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	const char *which;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);

	if (code != CTL_DONE)
		return code;
	which = args.item[0];
	if (strcmp(which, "all") != 0 &&
	    (strlen(which) < ID_DIGITS_MIN || strspn(which, "0123456789abcdef") != strlen(which)))
		return ctl_fail(CTL_USAGE,
		    T("'%s' is no alarm: %d hexadecimal digits or more, see 'ltctl alarms'",
			"'%s' không phải báo động: %d chữ số thập lục phân trở lên, xem 'ltctl "
			"alarms'"),
		    which, ID_DIGITS_MIN);
	code = fetch(c, true, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__ListEnrolmentsReply *)m;
	code = strcmp(which, "all") == 0 ? acknowledge_all(c, r) : acknowledge_named(c, r, which);
	ctl_reply_free(m);
	return code;
}
