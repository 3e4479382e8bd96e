/* proto/model/pattern_walk.h - whether a text has the form of a pattern, without regexec(); for the catalogue alone.
 *
 * A pattern of the catalogue (pattern.c) is mostly some ten or forty characters written out: so many that each fits a bit of a word.
 * Such a one is walked with all its ways at once, a few instructions a character, where regexec() takes a thousand and memory
 * from the heap. The others, and texts that are not ASCII, stay with regexec(); both say the same.
 */
#ifndef LT_MODEL_PATTERN_WALK_H
#define LT_MODEL_PATTERN_WALK_H

#include <stdbool.h>

struct lt_pattern_walk;

/* Of a pattern that lt_pattern_check() has passed, for free(). NULL: too many characters, or no memory; regexec() does it. */
struct lt_pattern_walk *lt_pattern_walk_new(const char *pattern);
enum lt_pattern_answer { LT_PATTERN_NO, LT_PATTERN_YES, LT_PATTERN_ASK_REGEX };
/* Any thread. walk NULL: LT_PATTERN_ASK_REGEX. */
enum lt_pattern_answer lt_pattern_walk(const struct lt_pattern_walk *walk, const char *text);

#endif
