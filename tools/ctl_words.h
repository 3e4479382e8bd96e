/* tools/ctl_words.h - the eight words of a fingerprint as people type them. One thread. */
#ifndef LT_TOOLS_CTL_WORDS_H
#define LT_TOOLS_CTL_WORDS_H

#include "tools/ctl.h"

#define CTL_WORDS 8

/* Typed with or without tone marks, in capitals or not, with commas, dashes or line ends between; *plain is what a hub is told, in
 * the arena. Complains of the number of words, or of the first that is none. */
enum ctl_exit ctl_words(
    struct ctl *c, const char *typed, uint8_t bytes[CTL_WORDS], const char **plain);
/* Of a fingerprint that a hub told. False: it is none. */
bool ctl_words_of(const char *fingerprint, uint8_t bytes[CTL_WORDS]);

#endif
