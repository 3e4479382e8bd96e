#include "proto/rpc/head.h"
#include "proto/base/limits.h"
#include "proto/rpc/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
lt_request_id_valid(const char *id)
{
	size_t n;

	for (n = 0; id[n] != '\0'; n++)
		if (n == LT_REQUEST_ID_MAX || id[n] < '!' || id[n] > '~')
			return false;
	return true;
}

bool
lt_metadata_valid(const char *key, const char *value)
{
	size_t n = strlen(key);

	return n >= 1 && n <= LT_METADATA_KEY_MAX &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == n &&
	       strlen(value) <= LT_METADATA_VALUE_MAX;
}

void
lt_head_bad_token(struct lt_status *st)
{
	lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "RESUME_TOKEN",
	    "the resume token was not given here, or not for this caller, method and request");
}

static int
check(const Ltpb__RequestHead *m, struct lt_status *st)
{
	size_t i;

	if (!lt_request_id_valid(m->request_id)) {
		lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "REQUEST_ID",
		    "the id of a request is at most %d bytes of visible ASCII", LT_REQUEST_ID_MAX);
		return LT_E_INVALID;
	}
	if (m->n_metadata > LT_METADATA_MAX) {
		lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "METADATA",
		    "a request carries at most %d pairs of metadata", LT_METADATA_MAX);
		return LT_E_TOOBIG;
	}
	if (m->resume_token.len > LT_RESUME_TOKEN_MAX) {
		lt_head_bad_token(st);
		return LT_E_TOOBIG;
	}
	for (i = 0; i < m->n_metadata; i++)
		if (!lt_metadata_valid(m->metadata[i]->key, m->metadata[i]->value)) {
			lt_status_set(st, LT_STATUS_INVALID_ARGUMENT, "METADATA",
			    "metadata has keys of 1 to %d bytes, of a-z 0-9 _ . -, and values of "
			    "at "
			    "most %d",
			    LT_METADATA_KEY_MAX, LT_METADATA_VALUE_MAX);
			return LT_E_INVALID;
		}
	return LT_OK;
}

int
lt_head_take(struct lt_head *h, const Ltpb__RequestHead *m, struct lt_status *st)
{
	size_t i, size = 0;
	char *at;
	int rc = check(m, st);

	if (rc != LT_OK)
		return rc;
	for (i = 0; i < m->n_metadata; i++)
		size += strlen(m->metadata[i]->key) + strlen(m->metadata[i]->value) + 2;
	h->metadata = m->n_metadata == 0 ? NULL : malloc(size);
	if (m->n_metadata != 0 && h->metadata == NULL) {
		lt_status_set(st, LT_STATUS_RESOURCE_EXHAUSTED, "MEMORY", "out of memory");
		return LT_E_NOMEM;
	}
	at = h->metadata;
	for (i = 0; i < m->n_metadata; i++) {
		at = stpcpy(at, m->metadata[i]->key) + 1;
		at = stpcpy(at, m->metadata[i]->value) + 1;
	}
	h->nmetadata = m->n_metadata;
	h->want_tokens = m->want_tokens;
	h->resume_len = m->resume_token.len;
	if (h->resume_len != 0)
		memcpy(h->resume_token, m->resume_token.data, h->resume_len);
	h->zstd = (m->accept_encoding & LT_ENCODING_ZSTD) != 0;
	(void)snprintf(h->request_id, sizeof(h->request_id), "%s", m->request_id);
	return LT_OK;
}

void
lt_head_fini(struct lt_head *h)
{
	free(h->metadata);
	memset(h, 0, sizeof(*h));
}

const char *
lt_head_metadata(const struct lt_head *h, const char *key)
{
	const char *at = h->metadata, *value;
	size_t i;

	for (i = 0; i < h->nmetadata; i++) {
		value = at + strlen(at) + 1;
		if (strcmp(at, key) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}
