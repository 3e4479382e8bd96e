/* proto/feed/identity.h - the `identity` file of a data directory (FORMAT.md 9.1): who this
 * machine is, its keys, and the federation it belongs to. */
#ifndef LT_FEED_IDENTITY_H
#define LT_FEED_IDENTITY_H

#include "proto/feed/crypto.h"
#include "proto/feed/trust.h"
#include "lienthong/v1/trust.pb-c.h"

struct lt_identity {
	Ltpb__Role role;
	struct lt_fed federation;
	uint8_t root_key[32];
	uint8_t salt[16];
	struct lt_id principal;
	uint32_t key_no;
	struct lt_sign_key sign;
	uint8_t line_sk[32];
	uint8_t line_pk[32];
	uint8_t hub_line_key[32];
	struct lt_unit unit; /* node: commune; hub: province; others empty */
	char org[LT_NAME_MAX + 1];
	uint8_t token[16]; /* of the invitation, until the principal is active; zero if none */
	char addresses[LT_ADDRESSES_LEN_MAX +
		       1]; /* of the hub, joined by blanks; empty for the hub itself */
	struct lt_slice
	    certificate; /* hub: its own Certificate bytes; owned (malloc) when loaded, else the caller's */
};

/* Fresh signing and line keys from the system's randomness; also a principal if it is all zeros, and key number 1
 * if it is 0. */
void lt_identity_keys(struct lt_identity *id);
/* Write dir/identity, mode 0600, durable. replace false: LT_E_EXISTS when there is one. LT_E_INVALID: what
 * lt_identity_load() would refuse: federation not that of root_key and salt, node without commune, hub without
 * province, no principal, a certificate of other keys. Else as lt_file_write(). */
int lt_identity_write(
    const struct lt_identity *id, const char *dir, bool replace, struct lt_err *err);
/* Read and check dir/identity into guarded memory (sodium_malloc; if the system does not let it be locked, that is
 * a warning in the log). LT_E_NOTFOUND; LT_E_DENIED: mode other than 0600, another owner, no regular file, or a directory that others can get
 * into (0700 is right); LT_E_INVALID:
 * damaged, cut off or a foreign federation (err has the line, never its content); LT_E_NOMEM, LT_E_IO. */
int lt_identity_load(const char *dir, struct lt_identity **out, struct lt_err *err);
/* The second slot, dir/identity.next: keys that are to follow those of dir/identity. In the same format, written and read as the first is;
 * LT_E_NOTFOUND when there is none. */
int lt_identity_write_next(const struct lt_identity *id, const char *dir, struct lt_err *err);
int lt_identity_load_next(const char *dir, struct lt_identity **out, struct lt_err *err);
/* Those keys come into the first slot, durable, and leave the second. Whenever the power fails, the first slot is whole: the old or the new.
 * A second slot with keys no newer than the first is a remainder of that. */
int lt_identity_follow(const struct lt_identity *next, const char *dir, struct lt_err *err);
/* Take the second slot away, if there is one. */
int lt_identity_forget_next(const char *dir, struct lt_err *err);
/* In guarded memory, all zero. NULL: no memory. */
struct lt_identity *lt_identity_new(void);
/* What lt_identity_write() would refuse. LT_E_INVALID, LT_E_TOOBIG. */
int lt_identity_check(const struct lt_identity *id, struct lt_err *err);
/* Zeroes and frees what lt_identity_load() or lt_identity_new() gave; its certificate too. NULL allowed. */
void lt_identity_free(struct lt_identity *id);

#endif
