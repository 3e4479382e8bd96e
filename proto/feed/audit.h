/* proto/feed/audit.h - the read audit's formats (FORMAT.md 13): frames of its log, and the part of an entry that its unit's nodes
 * get. Pure; any thread. */
#ifndef LT_FEED_AUDIT_H
#define LT_FEED_AUDIT_H

#include "proto/feed/crypto.h"
#include "proto/feed/trust.h"

#define LT_TAG_AUDIT "lt1.audit" /* an entry */
#define LT_TAG_AUDIT_PART "lt1.audit-part"
#define LT_TAG_AUDIT_QUERY "lt1.audit-query"
#define LT_TAG_AUDIT_HEAD "lt1.audit-head"
#define LT_TAG_AUDIT_START "lt1.audit-start"
#define LT_TAG_AUDIT_FRAME "lt1.audit-frame"
#define LT_TAG_AUDIT_SALT "lt1.audit-salt"
#define LT_TAG_AUDIT_LOST "lt1.audit-lost"
#define LT_TAG_AUDIT_SYNCED "lt1.audit-synced"

#define LT_AUDIT_METHOD_MAX 100
#define LT_AUDIT_PARTS_MAX 4096 /* of an entry; a call about more is one about "*" */
#define LT_AUDIT_COLLECTIONS_MAX 16 /* of a part */
#define LT_AUDIT_ENTRIES_MAX 4096 /* under one head */
#define LT_AUDIT_UNITS_MAX \
	8192 /* that a log ever has parts of, "*" among them; a call about one more is one about "*" */
#define LT_AUDIT_FRAME_MAX (2u << 20)
#define LT_AUDIT_SALT 16
#define LT_AUDIT_SEGMENT_BYTES (8u << 20)

enum lt_audit_kind {
	LT_AUDIT_READ = 1, /* records were given, or asked for and not there */
	LT_AUDIT_DENIED = 2,
	LT_AUDIT_ACT = 3, /* somebody had something done, as an erasure */
	LT_AUDIT_GAP = 4 /* here entries are missing; method has the reason */
};

enum lt_audit_asker {
	LT_AUDIT_NOBODY = 0, /* not enrolled */
	LT_AUDIT_PRINCIPAL = 1,
	LT_AUDIT_LOCAL = 2 /* at the hub's own machine; its user id */
};

struct lt_audit_who {
	enum lt_audit_asker kind;
	struct lt_id id; /* PRINCIPAL; else zeros */
	uint64_t uid; /* LOCAL */
};

/* ---- an entry: a half that everybody may see who gets any part of it, a salt that stays at the hub, and a part for each unit ---- */

struct lt_audit_entry {
	enum lt_audit_kind kind;
	uint64_t seq;
	int64_t time_ms,
	    until_ms; /* hub clock; until_ms: of the last one, where it stands for several */
	uint32_t count; /* calls that it stands for; of a gap: entries missing, 0 not known */
	struct lt_audit_who who;
	char method[LT_AUDIT_METHOD_MAX + 1];
	uint8_t status;
	struct lt_hash query; /* the commitment, zeros for none */
	uint16_t nparts;
	struct lt_hash parts_root;
};

struct lt_audit_part {
	char unit[LT_UNIT_MAX + 1]; /* a code, or "*" */
	uint64_t no; /* of this unit's parts, from 1 */
	struct lt_hash prev; /* leaf of the one before, zeros at 1 */
	uint32_t rows, masked, withheld;
	uint8_t ncollection;
	char collection[LT_AUDIT_COLLECTIONS_MAX][LT_NAME_MAX + 1];
};

bool lt_audit_unit_valid(const char *unit); /* a unit's code, or "*" */
void lt_audit_entry_put(struct lt_buf *b, const struct lt_audit_entry *e);
/* Back; there is one spelling. LT_E_INVALID, like all readers here. */
int lt_audit_entry_read(struct lt_slice bytes, struct lt_audit_entry *out);
void lt_audit_part_put(struct lt_buf *b, const struct lt_audit_part *p);
int lt_audit_part_read(struct lt_slice bytes, struct lt_audit_part *out);
void lt_audit_part_salt(
    const uint8_t entry_salt[LT_AUDIT_SALT], uint32_t index, uint8_t out[LT_AUDIT_SALT]);
void lt_audit_leaf(
    const uint8_t part_salt[LT_AUDIT_SALT], struct lt_slice part, struct lt_hash *out);
/* What an entry says of a query: of no use to who does not know it, and whoever does can show it. */
void lt_audit_commit(const uint8_t entry_salt[LT_AUDIT_SALT], const char *method,
    struct lt_slice query, struct lt_hash *out);

/* ---- frames ---- */

enum lt_audit_frame { LT_AUDIT_START = 'S', LT_AUDIT_ENTRY = 'E', LT_AUDIT_HEAD = 'H' };

/* A signed head: all entries up to here. */
struct lt_audit_head {
	struct lt_fed federation;
	struct lt_id hub;
	uint32_t key_no;
	uint64_t log; /* random, of one log; another one begins where the hub lost the first */
	uint64_t no, first; /* its number; the first entry under it */
	uint32_t count;
	struct lt_hash root; /* Merkle root over those entries */
	struct lt_hash prev; /* the head or start before */
	int64_t time_ms;
};

/* The first frame of a file. */
struct lt_audit_start {
	struct lt_fed federation;
	struct lt_id hub;
	uint32_t key_no;
	struct lt_slice certificate; /* borrowed, of that key */
	uint64_t log, segment, next_seq, next_head;
	struct lt_hash prev;
	int64_t time_ms;
	uint32_t nunits;
	struct lt_slice units; /* borrowed: framed8(unit) || u64 no || leaf, of each */
};

/* What an entry frame holds, borrowed from it. */
struct lt_audit_full {
	struct lt_audit_entry entry;
	struct lt_slice bytes; /* of the entry */
	const uint8_t *salt;
	struct lt_slice parts; /* framed(part), nparts times */
};

void lt_audit_frame_put(struct lt_buf *b, enum lt_audit_frame type, struct lt_slice payload);
/* The frame at the beginning of bytes, borrowed; used: its length. LT_E_GAP: cut off; LT_E_CORRUPT: damaged, or none. */
int lt_audit_frame_read(
    struct lt_slice bytes, enum lt_audit_frame *type, struct lt_slice *payload, size_t *used);
/* Payload of an entry frame. Every part is read, and parts_root worked out. */
int lt_audit_full_read(struct lt_slice payload, struct lt_audit_full *out);
void lt_audit_head_put(struct lt_buf *b, const struct lt_audit_head *h);
int lt_audit_head_read(struct lt_slice body, struct lt_audit_head *out);
void lt_audit_start_put(struct lt_buf *b, const struct lt_audit_start *s);
int lt_audit_start_read(struct lt_slice body, struct lt_audit_start *out);
/* Payload of a start or a head: framed(body) || signature. */
void lt_audit_signed_put(
    struct lt_buf *b, const struct lt_sign_key *k, const char *tag, struct lt_slice body);
int lt_audit_signed_read(struct lt_slice payload, struct lt_slice *body, struct lt_slice *sig);

/* ---- the chain ---- */

struct lt_audit_unit {
	char unit[LT_UNIT_MAX + 1];
	uint64_t no;
	struct lt_hash leaf;
};

/* Where a log is, frame after frame. Zeroed: before its first one. */
struct lt_audit_chain {
	bool begun;
	uint8_t sign_key[32]; /* of the hub, by the certificate of the start */
	struct lt_audit_start at; /* the last start; its slices are not kept */
	uint64_t next_seq, next_head;
	struct lt_hash prev;
	struct lt_audit_unit *unit; /* by name; owned */
	size_t nunit, cap;
	struct lt_hash *open; /* entries that no head covers yet; owned, LT_AUDIT_ENTRIES_MAX */
	uint32_t nopen;
};

void lt_audit_chain_fini(struct lt_audit_chain *c);
/* The last part of a unit; NULL: none yet. */
const struct lt_audit_unit *lt_audit_chain_unit(const struct lt_audit_chain *c, const char *unit);
/* One frame more: signatures (of a start, its certificate by the root key), order, every link. err says what is wrong;
 * the chain is not to be used any more then. restart: a start that does not go on where the chain is begins
 * another log. LT_E_INVALID, LT_E_BADSIG, LT_E_BADHASH, LT_E_GAP, LT_E_NOMEM. */
int lt_audit_chain_add(struct lt_audit_chain *c, enum lt_audit_frame type, struct lt_slice payload,
    const uint8_t root_key[32], struct lt_err *err);
/* Memory for so many units more. LT_E_TOOBIG: they would be more than LT_AUDIT_UNITS_MAX; LT_E_NOMEM. */
int lt_audit_chain_reserve(struct lt_audit_chain *c, size_t more);
/* The same of one that the caller has made itself a moment ago; cannot fail where its units were reserved and it reads back. */
int lt_audit_chain_made(struct lt_audit_chain *c, const struct lt_audit_full *e);
void lt_audit_chain_sealed(struct lt_audit_chain *c, struct lt_slice head_body);

/* ---- a unit's part, alone ---- */

/* What proves that a part stands in the log. */
struct lt_audit_shown {
	struct lt_slice entry, part; /* bytes */
	uint8_t part_salt[LT_AUDIT_SALT];
	uint32_t index; /* of the part among those of the entry */
	const struct lt_hash *part_path;
	size_t npart_path;
	const struct lt_hash *path; /* of the entry among those of the head */
	size_t npath;
	struct lt_slice head, signature;
};

/* By the hub's key: the part, its entry and its head. Which number and predecessor the part should have the caller knows.
 * LT_E_INVALID, LT_E_BADSIG, LT_E_BADHASH, LT_E_DENIED (another federation). */
int lt_audit_shown_verify(const struct lt_audit_shown *s, const uint8_t sign_key[32],
    const struct lt_fed *fed, struct lt_audit_entry *entry, struct lt_audit_part *part,
    struct lt_audit_head *head, struct lt_err *err);

#endif
