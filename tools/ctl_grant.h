/* tools/ctl_grant.h - what commands about grants share: what they take from the command line and how a grant is told. */
#ifndef LT_TOOLS_CTL_GRANT_H
#define LT_TOOLS_CTL_GRANT_H

#include "tools/ctl.h"

/* --verbs, --units, --collections, --fields. */
struct ctl_grant_lists {
	struct ctl_list verbs, units, collections, fields;
};

bool ctl_grant_asked(const struct ctl_grant_lists *l);
/* Into an empty grant, in the arena of c; complains of an empty word. */
enum ctl_exit ctl_grant_words(struct ctl *c, const struct ctl_grant_lists *l, Ltpb__Grant *g);
/* NULL: none. */
json_t *ctl_grant_json(const Ltpb__Grant *g);
/* One cell of a table, not cut. NULL: a dash. */
void ctl_grant_cell(struct ctl_table *t, const Ltpb__Grant *g);
/* 32 hexadecimal digits; complains. */
enum ctl_exit ctl_principal(const char *text, uint8_t id[LT_ID_LEN]);

#endif
