/* proto/store/registry.h - the registry as an immutable snapshot: principals, their keys and grants.
 *
 * Read from the records of `_registry`, `_key` and `_grant` in a derived environment (FORMAT.md 8).
 * A snapshot is reference counted and read by any thread; a newer one replaces it.
 */
#ifndef LT_STORE_REGISTRY_H
#define LT_STORE_REGISTRY_H

#include "proto/base/ids.h"
#include "proto/store/kv.h"

#include "lienthong/v1/sync.pb-c.h"

struct lt_principal_key {
	uint32_t no;
	uint8_t sign_key[32];
	uint8_t line_key[32];
	bool active;
};

struct lt_grant {
	size_t nverb, nunit, ncollection, nfield;
	const char **verb; /* "read", "write", "enrol", "inspect" */
	const char **unit; /* codes, or "*" */
	const char **collection; /* ids, or "*" */
	const char **field; /* names, or "*" */
};

struct lt_principal {
	struct lt_id id;
	Ltpb__Role role;
	struct lt_unit unit; /* node: its commune */
	const char *org; /* department */
	const char *label;
	Ltpb__PrincipalState state;
	size_t nkey;
	struct lt_principal_key *key;
	size_t ngrant;
	struct lt_grant *grant;
};

struct lt_registry;

/* The hub as its certificate shows it, for lt_registry_load(). key is filled too and borrowed by p. */
void lt_principal_of_hub(struct lt_principal *p, struct lt_principal_key *key,
    const uint8_t id[LT_ID_LEN], uint32_t key_no, const uint8_t sign_key[32],
    const uint8_t line_key[32]);

/* hub: certified hub principals that need no record (their root certificate is their entry and wins over records), may be
 * NULL; copied. Only active grants are taken. Where two principals claim one active line key, it stays with the lower
 * id, and a warning is logged. LT_E_CORRUPT, LT_E_NOMEM. */
int lt_registry_load(struct lt_kv_txn *derived, const struct lt_principal *hub, size_t nhub,
    struct lt_registry **out, struct lt_err *err);
struct lt_registry *lt_registry_ref(struct lt_registry *r);
void lt_registry_unref(struct lt_registry *r); /* NULL allowed */
/* Rises with every registry change of a process; compared inside the append transaction. */
uint64_t lt_registry_generation(const struct lt_registry *r);
/* NULL when unknown. Borrowed from the snapshot. */
const struct lt_principal *lt_registry_find(const struct lt_registry *r, const struct lt_id *id);
/* By an active line key; the principal may be of any state. */
const struct lt_principal *lt_registry_by_line_key(
    const struct lt_registry *r, const uint8_t line_key[32]);
const struct lt_principal_key *lt_principal_key(const struct lt_principal *p, uint32_t key_no);
bool lt_registry_is_hub(const struct lt_registry *r, const struct lt_id *author);
size_t lt_registry_count(const struct lt_registry *r);
const struct lt_principal *lt_registry_at(const struct lt_registry *r, size_t i);

#endif
