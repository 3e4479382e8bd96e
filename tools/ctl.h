/* tools/ctl.h - what the commands of ltctl share: options, the data directory, calls, what is printed.
 *
 * A command is a row of the table in ltctl.c and one file cmd_*.c. Answers go to stdout, complaints to stderr;
 * functions that return `enum ctl_exit` have complained when it is not CTL_DONE. One thread.
 */
#ifndef LT_TOOLS_CTL_H
#define LT_TOOLS_CTL_H

#include "proto/base/arena.h"
#include "proto/feed/identity.h"
#include "proto/model/catalogue.h"
#include "proto/rpc/rpc.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/backup.pb-c.h"
#include "lienthong/v1/keys.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The process's exit codes; style and manual page say the same. */
enum ctl_exit {
	CTL_DONE = 0, /* yes, or done */
	CTL_NO = 1, /* no: behind, refused, not there, bad signature */
	CTL_USAGE = 2, /* the command line is wrong */
	CTL_UNKNOWN = 3, /* could not find out: no connection, no directory, no disk */
};

/* Two languages side by side until the message catalogues of gettext take over; the choice is made once, at start. */
extern bool ctl_vietnamese;
#define T(en, vi) (ctl_vietnamese ? (vi) : (en))

struct ctl_command;

struct ctl {
	const struct ctl_command *command;
	const char *dir; /* -C */
	bool json;
	struct lt_identity *id; /* by ctl_open() */
	struct lt_pool *pool;
	struct lt_conn *conn; /* by ctl_connect() */
	struct lt_catalogue *catalogue; /* by ctl_catalogue() */
	char request_id[33]; /* of the last call: what the other side's log names it by */
	struct lt_arena arena; /* what lives as long as the command */
};

typedef enum ctl_exit ctl_run_fn(struct ctl *c, int argc, char **argv);

struct ctl_command {
	const char *name; /* one word, or two: "hub init" */
	ctl_run_fn *run;
	const char *usage; /* what follows the name; "" for nothing */
	const char *help_en, *help_vi; /* one line each */
};

/* ltctl.c: the table, and the program without its main */
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_ncommands;
int ctl_main(int argc, char **argv);

/* ---- the command line ---- */

enum ctl_option_kind { CTL_FLAG, CTL_TEXT, CTL_LIST, CTL_NUMBER, CTL_SECONDS };

#define CTL_LIST_MAX 256

struct ctl_list {
	size_t n;
	const char *item[CTL_LIST_MAX]; /* borrowed from argv */
};

struct ctl_option {
	const char *name; /* without the dashes */
	enum ctl_option_kind kind;
	void *out; /* bool, const char *, struct ctl_list, uint64_t, uint64_t */
};

/* Take options from anywhere on the line; what is left over goes to args, at least min and at most max of them. "--"
 * ends the options. A value that begins with a dash is a value. */
enum ctl_exit ctl_options(struct ctl *c, int argc, char **argv, const struct ctl_option *options,
    size_t noption, struct ctl_list *args, size_t min, size_t max);
/* "30", "30s", "15m", "8h", "7d". False: neither. */
bool ctl_seconds(const char *text, uint64_t *out);

/* ---- complaints ---- */

void ctl_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Complain and return the code. */
#define ctl_fail(code, ...) (ctl_complain(__VA_ARGS__), (code))
/* What a failed call means for the exit code, said in the reader's language with the next step; with --json one object on
 * stderr, in both languages. */
enum ctl_exit ctl_status(const struct ctl *c, const struct lt_status *status);
/* The same for an error of our own libraries; err may be empty. */
enum ctl_exit ctl_error(int rc, const struct lt_err *err);
/* Its words in the reader's language, as far as there are some; else those of the code. err NULL: these. */
const char *ctl_said(int rc, const struct lt_err *err);

/* ---- the data directory ---- */

/* Load the identity: who this directory is. */
enum ctl_exit ctl_open(struct ctl *c);
bool ctl_is_client(const struct ctl *c); /* a department's or operator's: it asks over the line */
/* Connect: to DIR/sock of a node or hub, over the line for a client. Opens first. A client with an invitation not spent yet asks
 * to join before. */
enum ctl_exit ctl_connect(struct ctl *c);
/* After ctl_connect(): hand over its connection, or a new one where that is gone. No complaints; what lt_dial() says. left_ms: 0
 * for no limit of its own. */
int ctl_redial(struct ctl *c, uint32_t left_ms, struct lt_conn **out, struct lt_err *err);
/* Without joining first. Clients only. */
enum ctl_exit ctl_dial_hub(struct ctl *c);
/* Ask to join over the open connection; *state is the hub's answer. When active the token is taken out of the
 * identity file and the hub's certificate, once verified, is kept. */
enum ctl_exit ctl_join(struct ctl *c, Ltpb__PrincipalState *state);
/* Path of a file in the directory, in the arena. NULL: memory. */
char *ctl_path(struct ctl *c, const char *name);
/* Write a file of the directory for the first time, mode 0600. */
enum ctl_exit ctl_write_new(struct ctl *c, const char *name, const char *text);
/* Path of a data file that comes with the program: of the tree in which it stands, or of the sources when it is the build's own.
 * In the arena; "" when that is full. */
const char *ctl_data_file(struct ctl *c, const char *name);
void ctl_close(struct ctl *c);

/* One unary call. *reply is freed by ctl_reply_free(). What only reads is asked again over a new connection when its own is cut,
 * within the minute that a call has: so what goes page by page goes on where it was. */
enum ctl_exit ctl_call(struct ctl *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, ProtobufCMessage **reply);
/* The same, leaving complaints to the caller: status->code is the answer. */
enum ctl_exit ctl_try(struct ctl *c, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *request, ProtobufCMessage **reply, struct lt_status *status);
void ctl_reply_free(void *reply); /* NULL allowed */
/* For a call made without these two: c->request_id is new. */
void ctl_new_request_id(struct ctl *c);

/* ---- the catalogue and values (ctl_value.c) ---- */

/* The newest complete catalogue that the other side shows; the built-in one when there is none. */
enum ctl_exit ctl_catalogue(struct ctl *c);
/* Of the catalogue, fetched when it is not here; NULL after a complaint (wrong usage, or not found out: *code). */
const struct lt_collection *ctl_collection(struct ctl *c, const char *id, enum ctl_exit *code);
/* "name=value" by the catalogue. LT_OK or LT_E_ with words. */
int ctl_assignment(const struct lt_collection *col, const char *text, struct lt_arena *arena,
    Ltpb__FieldSet **out, struct lt_err *err);
/* "status = open", "due_date < today", "class in ngheo,can_ngheo", "name prefix Ba", "left_date is-null", "x not-null".
 * today: days since 1970, what the word stands for in dates. */
int ctl_filter(const struct lt_collection *col, const char *text, int32_t today,
    struct lt_arena *arena, Ltpb__Filter **out, struct lt_err *err);
/* Every --where; complains. */
enum ctl_exit ctl_filters(struct ctl *c, const struct lt_collection *col,
    const struct ctl_list *where, Ltpb__Filter ***out);
/* Split at commas, in the arena; *n items. NULL: memory. */
char **ctl_split(struct lt_arena *arena, const char *text, size_t *n);
/* Deep copy of a field set without set deltas. NULL: the arena's cap. */
Ltpb__FieldSet *ctl_field_dup(const Ltpb__FieldSet *fs, struct lt_arena *arena);
/* Asked for no unit, a node means its own where records can be of communes only: it may see personal fields there. */
void ctl_default_unit(const struct ctl *c, const struct lt_collection *col, struct ctl_list *units);
/* Which side writes: the unit of a node or hub, else "". */
const char *ctl_own_unit(const struct ctl *c);

/* ---- what is printed (ctl_out.c) ---- */

struct ctl_table {
	size_t ncol, ncell, cap;
	char **cell; /* owned */
	bool failed;
};

void ctl_table_init(struct ctl_table *t, size_t ncol);
/* The next cell, row by row, the header's first. Control characters are made harmless. */
void ctl_cell(struct ctl_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A cell cut to a width fit for a table, with an ellipsis. */
void ctl_cell_short(struct ctl_table *t, const char *text);
size_t ctl_table_rows(const struct ctl_table *t); /* the header not counted */
/* Columns aligned by their width on a terminal. Frees the table. */
void ctl_table_print(struct ctl_table *t);
void ctl_table_drop(struct ctl_table *t); /* frees it unprinted */

/* A line of text from outside, control characters made harmless. */
void ctl_say_text(FILE *to, const char *text);
/* One object, one line; taken. */
void ctl_print_json(json_t *o);
json_t *ctl_json_text(const char *s);
json_t *ctl_json_hex(const void *data, size_t len);
json_t *ctl_json_value(const Ltpb__Value *v);
json_t *ctl_json_fields(size_t n, Ltpb__FieldSet *const *field);
json_t *ctl_json_texts(size_t n, char *const *s);
json_t *ctl_json_record(const Ltpb__Record *r);
json_t *ctl_json_freshness(const Ltpb__FreshnessSummary *f);

/* Text form of a value in the arena; "" for NULL. */
const char *ctl_value_text(struct lt_arena *arena, const Ltpb__Value *v);
const char *ctl_hex(struct lt_arena *arena, const void *data, size_t len);
/* "2026-08-01 14:05:09", Vietnam; "-" for 0. */
const char *ctl_time(struct lt_arena *arena, int64_t ms);
/* "5 giây", "3 phút", ...; "chưa bao giờ" for a negative age. */
const char *ctl_age(struct lt_arena *arena, int64_t ms);
const char *ctl_lane(int lane);
/* What 'recovery' says, for people. */
void ctl_print_recovery(struct ctl *c, const Ltpb__RecoveryReply *r);
const char *ctl_role(Ltpb__Role role);
const char *ctl_role_name(Ltpb__Role role); /* for programs */
const char *ctl_state(Ltpb__PrincipalState state); /* in the chosen language */
const char *ctl_state_name(
    Ltpb__PrincipalState state); /* the same word in every language, for programs */
const char *ctl_delivery(Ltpb__Delivery d);
const char *ctl_delivery_name(Ltpb__Delivery d);
/* How fresh an answer is, one line; nothing when the asked side is a node (its own records are always fresh). */
void ctl_print_freshness(struct ctl *c, const Ltpb__FreshnessSummary *f);
/* One record, a field a line. */
void ctl_print_record(struct ctl *c, const Ltpb__Record *r);

/* Nodes with how fresh each is. */
void ctl_print_nodes(struct ctl *c, size_t n, Ltpb__NodeStatus *const *node);

/* ---- the commands, one file each ---- */

/* cmd_alarms.c: an alarm as a JSON object, and for people. */
json_t *ctl_alarm_json(const Ltpb__InvitationAlarm *a);
void ctl_print_alarm(struct ctl *c, const Ltpb__InvitationAlarm *a);

/* cmd_history.c: a change of a record. */
json_t *ctl_entry_json(const Ltpb__HistoryEntry *e);
void ctl_print_entry(struct ctl *c, const Ltpb__HistoryEntry *e);

ctl_run_fn cmd_hub_init, cmd_node_init, cmd_client_init, cmd_client_join, cmd_enrol_invite,
    cmd_enrol_list, cmd_enrol_approve, cmd_enrol_reject, cmd_grants_list, cmd_grants_give,
    cmd_grants_take, cmd_alarms, cmd_alarms_acknowledge, cmd_keys_list, cmd_keys_show,
    cmd_keys_suspend, cmd_keys_resume, cmd_keys_retire, cmd_keys_revoke, cmd_keys_replace,
    cmd_status, cmd_nodes, cmd_freshness, cmd_scrub, cmd_rebuild, cmd_feeds, cmd_log, cmd_show,
    cmd_verify, cmd_receipts, cmd_verify_receipt, cmd_prove, cmd_verify_proof, cmd_put, cmd_get,
    cmd_list, cmd_delete, cmd_history, cmd_query, cmd_import, cmd_rpc_list, cmd_rpc_describe,
    cmd_rpc_call, cmd_backup, cmd_backup_verify, cmd_restore, cmd_hub_escrow, cmd_recovery,
    cmd_version, cmd_help;
ctl_run_fn cmd_keys_rotate, cmd_enrol_invitations, cmd_enrol_cancel, cmd_node_show;
ctl_run_fn cmd_quarantine, cmd_quarantine_show;
ctl_run_fn cmd_audit_list, cmd_audit_verify, cmd_audit_prove;
ctl_run_fn cmd_who_holds, cmd_erase, cmd_erase_list, cmd_compact;
ctl_run_fn cmd_forks, cmd_forks_export, cmd_forks_verify;
ctl_run_fn cmd_checkpoint_show, cmd_checkpoint_export, cmd_checkpoint_compare;

#endif
