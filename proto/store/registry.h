/* proto/store/registry.h - the registry as an immutable snapshot: principals, their keys and grants.
 *
 * Read from the records of `_registry`, `_key`, `_grant` and `_revocation` in a derived environment (FORMAT.md 8).
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

/* The last change-set of one feed that counts under a revoked key. */
struct lt_cut {
	struct lt_unit unit;
	struct lt_feed_id feed;
	uint64_t seq;
	struct lt_hash hash;
};

/* One record of `_revocation`: it stays, whatever else is said (FORMAT.md 8.4). */
struct lt_revocation {
	uint64_t number;
	uint32_t key_no; /* 0: every key */
	const char *reason; /* a word of the format; "other" where it says none of them */
	struct lt_id by; /* operator; zeros: somebody at the hub's own machine */
	size_t ncut;
	struct lt_cut *cut;
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
	bool
	    certified; /* by the root, as a hub: records take nothing from it and give it nothing */
	struct lt_unit unit; /* node: its commune */
	const char *org; /* department */
	const char *label;
	Ltpb__PrincipalState state;
	size_t nkey;
	struct lt_principal_key *key;
	size_t ngrant;
	struct lt_grant *grant;
	size_t nrevocation;
	struct lt_revocation *revocation; /* by number */
};

struct lt_registry;

#define LT_CUTS_MAX 700 /* feeds in one cut-off: they fill LT_VALUE_MAX */

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
/* The same, if it is a node and active; NULL. */
const struct lt_principal *lt_registry_active_node(
    const struct lt_registry *r, const struct lt_id *id);
/* Does every revocation of its key leave this change-set of p valid? (seq and hash within each cut-off) */
bool lt_principal_covers(const struct lt_principal *p, uint32_t key_no, const struct lt_unit *unit,
    const struct lt_feed_id *feed, uint64_t seq, const struct lt_hash *hash);
/* Is there a revocation of this key? key_no 0: one of all keys. */
bool lt_principal_revoked(const struct lt_principal *p, uint32_t key_no);
/* Some principal has or had this line key: it is nobody's new one. */
bool lt_registry_knows_line(const struct lt_registry *r, const uint8_t line_key[32]);
/* By an active line key; the principal may be of any state. */
const struct lt_principal *lt_registry_by_line_key(
    const struct lt_registry *r, const uint8_t line_key[32]);
const struct lt_principal_key *lt_principal_key(const struct lt_principal *p, uint32_t key_no);
/* The key of an active node, itself active: whose signature on what is said of now counts. NULL: there is none. Borrowed. */
const struct lt_principal_key *lt_registry_node_key(
    const struct lt_registry *r, const struct lt_id *node, uint32_t key_no);
bool lt_registry_is_hub(const struct lt_registry *r, const struct lt_id *author);
size_t lt_registry_count(const struct lt_registry *r);
const struct lt_principal *lt_registry_at(const struct lt_registry *r, size_t i);

#endif
