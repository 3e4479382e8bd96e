/* proto/feed/invitation_text.h - an invitation in the text that people pass on: a file, a message, what a phone read from a picture.
 * Pure; any thread. */
#ifndef LT_FEED_INVITATION_TEXT_H
#define LT_FEED_INVITATION_TEXT_H

#include "proto/feed/trust.h"

/* More is no letter with an invitation in it. */
#define LT_INVITATION_TEXT_MAX 65536

enum lt_invitation_fault {
	LT_INVITATION_NONE = 0,
	LT_INVITATION_NOT_THERE, /* no "LT1." in the text */
	LT_INVITATION_NEWER, /* of a version that this program does not know */
	LT_INVITATION_CUT, /* it ends in the middle */
	LT_INVITATION_CHANGED, /* all there, and a character is another */
	LT_INVITATION_SENSELESS, /* whole, and not for use: a key of the wrong length, no address, no role */
};

/* The first invitation that stands whole in the text, unpacked into the arena (its cap: lt_arena_cap_for() of the text). The text is
 * UTF-8, or UTF-16 with its mark, in any normal form. Blanks, line ends and marks that are not seen may stand anywhere within the
 * line, quoted or not; other words before and after it; dashes may be typographic.
 *
 * LT_E_INVALID: there is none; *fault says why, of the first attempt where there are several. LT_E_TOOBIG: over
 * LT_INVITATION_TEXT_MAX. LT_E_NOMEM. The line is a secret: what is copied here is zeroed. */
int lt_invitation_find(struct lt_slice text, struct lt_arena *arena, Ltpb__Invitation **inv,
    enum lt_invitation_fault *fault);

#endif
