/* tests/lib/peer.h - somebody who speaks to the hub of a test federation by hand: a principal of any role or none, over
 * the real line, and feeds sealed with its keys whether or not the program would ever write such a thing. */
#ifndef LT_TESTS_PEER_H
#define LT_TESTS_PEER_H

#include "proto/feed/changeset.h"
#include "proto/feed/trust.h"
#include "tests/lib/federation.h"

#include "lienthong/v1/admin.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

struct fed_peer {
	struct lt_identity id; /* token: of its invitation, zero if it has none */
	struct lt_conn *conn;
};

/* Keys of somebody nobody knows. Not connected. */
void fed_stranger(struct fed *f, struct fed_peer *p);
/* Keys and an invitation. where: unit of a node, organisation of a department, "" for an operator. Not connected. */
void fed_invite(
    struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where, bool approve);
/* The same with a narrower grant; NULL: all that the role may. */
void fed_invite_grant(struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where,
    bool approve, const Ltpb__Grant *grant);
/* Connect over the line; the return code of lt_dial(). */
int fed_dial(struct fed *f, struct fed_peer *p);
/* Ask to join; the call's status code. */
int fed_join(struct fed_peer *p, Ltpb__PrincipalState *state);
/* Invited, connected, joined: active, or waiting where approve is false. Asserts. */
void fed_enrol(struct fed *f, struct fed_peer *p, Ltpb__Role role, const char *where, bool approve);
/* Somebody at the hub's own machine. */
void fed_local(struct fed *f, struct fed_peer *p);
void fed_hang_up(struct fed_peer *p);

/* A call of any kind, to its end; item may be NULL. Returns the status code. */
typedef void fed_item_fn(void *ctx, const ProtobufCMessage *m);
int fed_call(struct fed_peer *p, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, fed_item_fn *item, void *ctx, struct lt_status *st);
/* Unary; *reply is freed with protobuf_c_message_free_unpacked(). */
int fed_ask(struct fed_peer *p, const ProtobufCServiceDescriptor *service, const char *method,
    const ProtobufCMessage *req, ProtobufCMessage **reply, struct lt_status *st);

/* Acts of the hub: one field of a record of `_registry`, `_grant`, ... Visible when it returns. */
void fed_act_enum(
    struct fed *f, const char *collection, const char *key, const char *field, const char *word);
void fed_act_set(
    struct fed *f, const char *collection, const char *key, const char *field, const char *item);
void fed_principal_hex(const struct fed_peer *p, char out[2 * LT_ID_LEN + 1]);

/* A feed written by hand. */
struct fed_feed {
	struct lt_sign_key key;
	struct lt_unit unit;
	struct lt_feed_id id;
	uint64_t seq;
	struct lt_hash hash;
	uint64_t stamp; /* of the last one; the next takes the wall clock, or one more */
	uint64_t next_stamp; /* used once when not 0 */
	uint64_t catalogue_version;
	uint32_t key_no; /* 0: 1 */
};

void fed_feed_init(struct fed_feed *w, const struct fed_peer *as, const char *unit,
    enum lt_lane lane, uint64_t epoch);
/* Seal as the next change-set; appended to out. */
void fed_seal(
    struct fed *f, struct fed_feed *w, const struct lt_draft *drafts, size_t n, struct lt_buf *out);
/* Push what was sealed, each in a buffer of its own. *reply as for fed_ask(), NULL allowed. */
int fed_push(struct fed_peer *p, const struct lt_buf *sets, size_t n, Ltpb__PushReply **reply,
    struct lt_status *st);
/* The receipt's body, verified with the hub's key, in the arena. */
const Ltpb__ReceiptBody *fed_receipt(
    struct fed *f, const Ltpb__PushReply *reply, size_t i, struct lt_arena *arena);

/* Fields for drafts and requests, in the arena. */
Ltpb__FieldSet *fed_field(
    struct lt_arena *a, const char *name, enum lt_type type, const char *text);
/* A whole new dossier: public fields in d->set, personal ones in d->personal. */
void fed_draft_dossier(struct lt_arena *a, struct lt_draft *d, const char *key);
/* One that changes only the status. */
void fed_draft_status(struct lt_arena *a, struct lt_draft *d, const char *key, const char *status);

#endif
