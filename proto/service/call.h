/* proto/service/call.h - ends of a call that every handler needs, on a node and at the hub. Any thread. */
#ifndef LT_SERVICE_CALL_H
#define LT_SERVICE_CALL_H

#include "proto/rpc/rpc.h"

/* End the call with the status of an error code. words: for people; "" gives those of the code. */
void lt_call_fail_code(struct lt_call *c, int rc, const char *reason, const char *words);
/* The same with the words of an error; its Vietnamese ones, where it has some, take the place of what reason and code say. */
void lt_call_fail_err(struct lt_call *c, int rc, const char *reason, const struct lt_err *err);
/* LT_OK while somebody waits for the answer; LT_E_CANCELLED, LT_E_TIMEOUT. ctx is the struct lt_call: made for
 * lt_query.tick. */
int lt_call_tick(void *ctx);

#endif
