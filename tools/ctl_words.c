#include "tools/ctl_words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define TYPED_MAX 1024

/* Small letters without any mark, all else a blank; in the arena, NULL: memory, or not UTF-8. */
static char *
plain_text(struct lt_arena *arena, const char *typed)
{
	const utf8proc_option_t how =
	    UTF8PROC_STRIPMARK | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_NULLTERM;
	utf8proc_uint8_t *folded = NULL;
	utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)typed, 0, &folded, how), i;
	char *out = n >= 0 ? lt_arena_alloc(arena, (size_t)n + 1) : NULL;
	size_t len = 0;

	for (i = 0; out != NULL && i < n; i++) {
		/* The letter with a stroke is no letter with a mark. */
		if (folded[i] == 0xc4 && folded[i + 1] == 0x91) {
			out[len++] = 'd';
			i++;
		} else if (folded[i] >= 'a' && folded[i] <= 'z') {
			out[len++] = (char)folded[i];
		} else if (len == 0 || out[len - 1] != ' ') {
			out[len++] = ' ';
		}
	}
	if (out != NULL)
		out[len] = '\0';
	free(folded);
	return out;
}

enum ctl_exit
ctl_words(struct ctl *c, const char *typed, uint8_t bytes[CTL_WORDS], const char **plain)
{
	char *text = strlen(typed) <= TYPED_MAX ? plain_text(&c->arena, typed) : NULL;
	char *copy = text != NULL ? lt_arena_dup(&c->arena, text, strlen(text)) : NULL, *word,
	     *rest = NULL;
	size_t n = 0;

	if (copy == NULL)
		return ctl_fail(CTL_USAGE, "%s", T("these are no words", "đây không phải tám từ"));
	for (word = strtok_r(copy, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest), n++)
		if (n < CTL_WORDS && lt_words_parse(word, &bytes[n], 1, NULL) != LT_OK)
			return ctl_fail(CTL_USAGE,
			    T("word %zu, '%s', is none that is used; have it read again",
				"từ thứ %zu, '%s', không có trong bảng từ; hãy nghe đọc lại"),
			    n + 1, word);
	if (n != CTL_WORDS)
		return ctl_fail(CTL_USAGE,
		    T("%d words are needed, %zu were given", "cần %d từ, mới có %zu từ"), CTL_WORDS,
		    n);
	*plain = text;
	return CTL_DONE;
}

bool
ctl_words_of(const char *fingerprint, uint8_t bytes[CTL_WORDS])
{
	return lt_words_parse(fingerprint, bytes, CTL_WORDS, NULL) == LT_OK;
}
