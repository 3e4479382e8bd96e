/* proto/rpc/noise.h - Noise_IK_25519_ChaChaPoly_BLAKE2b (Noise, revision 34) on libsodium's primitives.
 *
 * Pure: bytes in, bytes out; no socket, no clock. Names follow the specification. The caller keeps the
 * order of calls:
 *
 *   initiator: init, write1, read2, split        acceptor: init, read1_static, read1_finish, write2, split
 *
 * Any error ends the handshake: call lt_noise_fini() and close. Not thread safe; one owner at a time.
 */
#ifndef LT_RPC_NOISE_H
#define LT_RPC_NOISE_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LT_NOISE_KEY_LEN 32
#define LT_NOISE_HASH_LEN 64
#define LT_NOISE_TAG_LEN 16
#define LT_NOISE_MSG1_LEN (32 + 32 + 16 + 16) /* e, s with its tag, empty payload with its tag */
#define LT_NOISE_MSG2_LEN (32 + 16) /* e, empty payload with its tag */

/* CipherState. */
struct lt_noise_cipher {
	uint8_t k[LT_NOISE_KEY_LEN];
	uint64_t n;
	bool keyed;
};

/* HandshakeState with its SymmetricState. */
struct lt_noise {
	bool initiator;
	uint8_t ck[LT_NOISE_HASH_LEN];
	uint8_t h[LT_NOISE_HASH_LEN];
	struct lt_noise_cipher c;
	const uint8_t *s_sk; /* borrowed */
	uint8_t s_pk[LT_NOISE_KEY_LEN];
	uint8_t e_sk[LT_NOISE_KEY_LEN], e_pk[LT_NOISE_KEY_LEN];
	bool e_given;
	uint8_t rs[LT_NOISE_KEY_LEN], re[LT_NOISE_KEY_LEN];
};

/* static_sk    own X25519 secret, borrowed until lt_noise_fini(): the longest-lived secret is not copied.
 * static_pk    its public key.
 * remote_pk    the acceptor's static key; NULL for the acceptor.
 * No curve operation: who only connects costs none. */
void lt_noise_init(struct lt_noise *n, bool initiator, struct lt_slice prologue,
    const uint8_t static_sk[LT_NOISE_KEY_LEN], const uint8_t static_pk[LT_NOISE_KEY_LEN],
    const uint8_t *remote_pk);
/* Zero every secret. */
void lt_noise_fini(struct lt_noise *n);
/* Tests only: the ephemeral secret instead of a random one. Before the first write. */
void lt_noise_set_ephemeral(struct lt_noise *n, const uint8_t sk[LT_NOISE_KEY_LEN]);

/* Append a handshake message. LT_E_INVALID: a low-order point. */
int lt_noise_write1(struct lt_noise *n, struct lt_slice payload, struct lt_buf *out);
int lt_noise_write2(struct lt_noise *n, struct lt_slice payload, struct lt_buf *out);
/* First half of message 1 (e, es, s): n->rs is the initiator's static key afterwards, not yet proven. */
int lt_noise_read1_static(struct lt_noise *n, struct lt_slice msg);
/* Second half (ss, payload) of the same bytes: proves n->rs. The payload is appended to out. */
int lt_noise_read1_finish(struct lt_noise *n, struct lt_slice msg, struct lt_buf *payload);
int lt_noise_read2(struct lt_noise *n, struct lt_slice msg, struct lt_buf *payload);
/* The two directions of the transport. */
void lt_noise_split(
    struct lt_noise *n, struct lt_noise_cipher *to_acceptor, struct lt_noise_cipher *to_initiator);

/* One transport message; out holds plain.len + 16 bytes. */
void lt_noise_encrypt(
    struct lt_noise_cipher *c, struct lt_slice ad, struct lt_slice plain, uint8_t *out);
/* out holds sealed.len - 16 bytes. LT_E_INVALID: not from the other side; nothing of out is to be used. */
int lt_noise_decrypt(
    struct lt_noise_cipher *c, struct lt_slice ad, struct lt_slice sealed, uint8_t *out);
/* REKEY of section 4.2; the counter goes on. */
void lt_noise_rekey(struct lt_noise_cipher *c);

/* HMAC over BLAKE2b (block 128, hash 64) as section 4.3 builds it; for the known-answer test. */
void lt_noise_hmac(uint8_t out[LT_NOISE_HASH_LEN], struct lt_slice key, struct lt_slice data);

#endif
