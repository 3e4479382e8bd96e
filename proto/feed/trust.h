/* proto/feed/trust.h - certificates, invitations, join proofs and receipts (FORMAT.md 4). Pure. */
#ifndef LT_FEED_TRUST_H
#define LT_FEED_TRUST_H

#include "proto/base/arena.h"
#include "proto/feed/crypto.h"

#include "lienthong/v1/trust.pb-c.h"

/* Pack and sign a body with the root key; appended to out as Certificate message and verified there.
 * LT_E_INVALID: a length, the role, the unit (a node needs its commune) or the key number. LT_E_TOOBIG: above
 * 4 KiB. On error nothing is appended. Any thread, like all here. */
int lt_certificate_make(
    const Ltpb__CertificateBody *body, const struct lt_sign_key *root, struct lt_buf *out);
/* Verify against the root key and federation; body unpacked into the arena.
 * LT_E_INVALID, LT_E_BADSIG, LT_E_DENIED (another federation). */
int lt_certificate_verify(struct lt_slice bytes, const uint8_t root_key[32],
    const struct lt_fed *fed, struct lt_arena *arena, Ltpb__CertificateBody **body,
    struct lt_err *err);

/* The same for receipts. Making one does not verify it (this is the hub's hot path, and a receipt that does not
 * verify is asked for again). Verifying: hub_key is that of the key number in the body, which the caller knows
 * from the registry; LT_E_BADSIG, LT_E_INVALID, LT_E_DENIED (another federation). */
int lt_receipt_make(
    const Ltpb__ReceiptBody *body, const struct lt_sign_key *hub, struct lt_buf *out);
int lt_receipt_verify(struct lt_slice bytes, const uint8_t hub_key[32], const struct lt_fed *fed,
    struct lt_arena *arena, Ltpb__ReceiptBody **body, struct lt_err *err);

/* Of the hub, as an invitation names them (FORMAT.md 4.2) and a machine keeps them, joined by blanks. */
#define LT_ADDRESSES_MAX 8
#define LT_ADDRESS_LEN_MAX 255
#define LT_ADDRESSES_LEN_MAX 1023 /* together with the blanks */

/* One line, no newline, appended to out. It holds a secret until it is used. 1 to LT_ADDRESSES_MAX addresses, each at most
 * LT_ADDRESS_LEN_MAX bytes of printable ASCII. LT_E_INVALID, LT_E_TOOBIG, LT_E_NOMEM. */
int lt_invitation_line(const Ltpb__Invitation *inv, struct lt_buf *out);
/* Back, unpacked into the arena. Surrounding blanks are ignored. LT_E_INVALID says what is wrong (not ours, cut off, damaged, newer). */
int lt_invitation_parse(
    const char *line, struct lt_arena *arena, Ltpb__Invitation **inv, struct lt_err *err);
/* Signature by the key that asks to join, over what it asks for (FORMAT.md 4.4); LT_E_BADSIG when it is of another
 * federation, token, principal, signing or line key. */
void lt_join_proof(const struct lt_sign_key *k, const struct lt_fed *fed, const uint8_t token[16],
    const struct lt_id *principal, const uint8_t line_key[32], uint8_t sig[LT_SIG_LEN]);
int lt_join_proof_verify(const uint8_t sign_key[32], const struct lt_fed *fed,
    const uint8_t token[16], const struct lt_id *principal, const uint8_t line_key[32],
    struct lt_slice sig) __attribute__((warn_unused_result));

/* New keys of a principal (FORMAT.md 4.6): what the key in use signs, and, with the same bytes, the new one. */
struct lt_rotation {
	struct lt_id principal;
	uint32_t old_no, new_no;
	uint8_t sign_key[32], line_key[32]; /* the new ones */
};
void lt_rotation_sign(const struct lt_sign_key *k, const struct lt_fed *fed,
    const struct lt_rotation *r, uint8_t sig[LT_SIG_LEN]);
/* LT_E_BADSIG. */
int lt_rotation_verify(const uint8_t sign_key[32], const struct lt_fed *fed,
    const struct lt_rotation *r, struct lt_slice sig) __attribute__((warn_unused_result));

/* Whether a list of a verdict or receipt (its held or settled dots) names this one. */
bool lt_verdict_names(size_t n, Ltpb__HeldDot *const *dot, uint64_t seq, uint32_t index);

#endif
