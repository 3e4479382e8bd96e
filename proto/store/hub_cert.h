/* proto/store/hub_cert.h - certificates of hubs whose acts are kept, by key number: rows `certificate/<hub>/<key number>` of table local.
 *
 * A hub has one key at a time, and what it signed with the one before is to be proven for ever: the certificate is kept with what
 * needs it. Functions work inside the caller's transaction of the log (a node's store). */
#ifndef LT_STORE_HUB_CERT_H
#define LT_STORE_HUB_CERT_H

#include "proto/base/ids.h"
#include "proto/store/kv.h"

#define LT_HUB_CERTS_MAX 64 /* of one hub; it had fewer keys */

/* Keep a certificate that was verified, if it is not here yet. LT_E_INVALID: it is none; store errors. */
int lt_hub_cert_keep(struct lt_kv_txn *txn, struct lt_slice certificate);
/* That of a key. LT_E_NOTFOUND. */
int lt_hub_cert_get(
    struct lt_kv_txn *txn, const struct lt_id *hub, uint32_t key_no, struct lt_slice *out);
/* All that are kept of a hub, rising by key number. fn: LT_OK to go on; it must not write. */
typedef int lt_hub_cert_fn(void *ctx, uint32_t key_no, struct lt_slice certificate);
int lt_hub_cert_each(struct lt_kv_txn *txn, const struct lt_id *hub, lt_hub_cert_fn *fn, void *ctx);

#endif
