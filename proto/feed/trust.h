/* proto/feed/trust.h - certificates, invitations, join proofs and receipts (FORMAT.md 4). Pure. */
#ifndef LT_FEED_TRUST_H
#define LT_FEED_TRUST_H

#include "proto/base/arena.h"
#include "proto/feed/crypto.h"

#include "lienthong/v1/trust.pb-c.h"

/* Pack and sign a body with the root key; appended to out as Certificate message. */
int lt_certificate_make(
    const Ltpb__CertificateBody *body, const struct lt_sign_key *root, struct lt_buf *out);
/* Verify against the root key and federation; body unpacked into the arena.
 * LT_E_INVALID, LT_E_BADSIG, LT_E_DENIED (another federation). */
int lt_certificate_verify(struct lt_slice bytes, const uint8_t root_key[32],
    const struct lt_fed *fed, struct lt_arena *arena, Ltpb__CertificateBody **body,
    struct lt_err *err);

int lt_receipt_make(
    const Ltpb__ReceiptBody *body, const struct lt_sign_key *hub, struct lt_buf *out);
int lt_receipt_verify(struct lt_slice bytes, const uint8_t hub_key[32], const struct lt_fed *fed,
    struct lt_arena *arena, Ltpb__ReceiptBody **body, struct lt_err *err);

/* One line, no newline. */
int lt_invitation_line(const Ltpb__Invitation *inv, struct lt_buf *out);
/* Surrounding blanks are ignored. LT_E_INVALID says what is wrong (not ours, cut off, damaged, newer). */
int lt_invitation_parse(
    const char *line, struct lt_arena *arena, Ltpb__Invitation **inv, struct lt_err *err);
void lt_join_proof(const struct lt_sign_key *k, const struct lt_fed *fed, const uint8_t token[16],
    const struct lt_id *principal, const uint8_t line_key[32], uint8_t sig[LT_SIG_LEN]);
int lt_join_proof_verify(const uint8_t sign_key[32], const struct lt_fed *fed,
    const uint8_t token[16], const struct lt_id *principal, const uint8_t line_key[32],
    struct lt_slice sig) __attribute__((warn_unused_result));

#endif
