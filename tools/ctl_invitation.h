/* tools/ctl_invitation.h - how an invitation is handed over and taken in: line, file, QR code. */
#ifndef LT_TOOLS_CTL_INVITATION_H
#define LT_TOOLS_CTL_INVITATION_H

#include "tools/ctl.h"

#include "lienthong/v1/trust.pb-c.h"

/* What the hub's operator is given for one that was invited. */
struct ctl_handing {
	const char *line; /* without the line's end; a secret */
	Ltpb__Role role;
	const char *unit, *unit_name, *org;
	int64_t expires_s;
	const char *out; /* file; NULL: none */
	bool qr, no_qr;
};

/* May the file be made? Complains. Asked before the hub is, so that no invitation is made that nobody gets. */
enum ctl_exit ctl_hand_check(const struct ctl_handing *h);
/* The line to stdout unless it goes to a file only, the file (new, mode 0600, for the officer in Vietnamese), the code where stdout is a
 * terminal. The federation's words come from the directory's identity. */
enum ctl_exit ctl_hand_over(struct ctl *c, const struct ctl_handing *h);

/* From the command line's words: the line itself in one word or several, @FILE, FILE, "-" or nothing for standard input. Complains of what
 * is wrong and says what to do. anyway: also when it has expired by this machine's clock. The arena keeps the message, which
 * holds a secret. */
enum ctl_exit ctl_take_invitation(
    const struct ctl_list *args, bool anyway, struct lt_arena *arena, Ltpb__Invitation **out);

/* Fingerprint of the machine, words of the federation: lines to be compared over the telephone. */
void ctl_print_words(FILE *to, const struct lt_identity *id);
/* The same for programs, with who the machine is. */
json_t *ctl_words_json(const struct lt_identity *id);

#endif
