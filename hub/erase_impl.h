/* hub/erase_impl.h - for erase*.c only: a record that is looked at before it is erased. */
#ifndef LT_HUB_ERASE_IMPL_H
#define LT_HUB_ERASE_IMPL_H

#include "hub/erase.h"
#include "hub/hub_impl.h"
#include "proto/store/erase.h"

#define LT_ERASE_CHANGE_ARENA ((size_t)8 * 1024 * 1024) /* to read one change */

struct lt_erase_place {
	struct lt_dot dot;
	uint64_t position;
};

struct lt_erase_looking {
	struct lt_hub *h;
	const struct lt_erasing *e;
	const struct lt_collection *col;
	struct lt_arena *arena;
	struct lt_erasing_report *r;
	struct lt_kv_txn *log;
	struct lt_erase_place *place; /* owned */
	size_t nplace, place_cap;
	struct lt_erased *what; /* in the arena */
	size_t nwhat;
	size_t bytes; /* of the acts that would name it, about */
	bool in_basis; /* a value that goes stands there */
	bool at_once; /* what the tables show now is enough */
};

/* Does the asker want this field gone? */
bool lt_erase_wanted(const struct lt_erasing *e, const char *name);
/* The account of a field in the report; made at its first value. NULL: no memory, or too many fields. */
struct lt_erasing_field *lt_erase_account(struct lt_erase_looking *l, const char *name);
/* Nothing personal goes into what explains the act (FORMAT.md 8.5): it stays for ever. */
void lt_erase_look_in_basis(
    struct lt_erase_looking *l, struct lt_slice field_set, struct lt_arena *scratch);
/* A change whose change-set cannot be read: what may stand in it goes into the act, or it is reported as unreached. */
int lt_erase_look_unread(struct lt_erase_looking *l, const struct lt_erase_place *p);

#endif
