#include "proto/feed/crypto.h"
#include "proto/feed/hash_many.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* u8 length || tag, the head of everything hashed. */
static size_t
tag_head(uint8_t out[1 + UINT8_MAX], const char *tag)
{
	size_t n = strlen(tag);

	assert(n > 0 && n <= UINT8_MAX);
	out[0] = (uint8_t)n;
	memcpy(out + 1, tag, n);
	return n + 1;
}

static void
hash_parts(const char *tag, const struct lt_slice *parts, size_t n, uint8_t *out, size_t outlen)
{
	crypto_generichash_state st;
	uint8_t head[1 + UINT8_MAX];
	size_t i;

	(void)crypto_generichash_init(&st, NULL, 0, outlen);
	(void)crypto_generichash_update(&st, head, tag_head(head, tag));
	for (i = 0; i < n; i++)
		if (parts[i].len != 0)
			(void)crypto_generichash_update(&st, parts[i].data, parts[i].len);
	(void)crypto_generichash_final(&st, out, outlen);
}

void
lt_h(const char *tag, const struct lt_slice *parts, size_t n, struct lt_hash *out)
{
	hash_parts(tag, parts, n, out->b, sizeof(out->b));
}

void
lt_h1(const char *tag, struct lt_slice m, struct lt_hash *out)
{
	hash_parts(tag, &m, 1, out->b, sizeof(out->b));
}

void
lt_h16(const char *tag, struct lt_slice m, uint8_t out[16])
{
	hash_parts(tag, &m, 1, out, 16);
}

static void
merkle_node(const struct lt_hash *left, const struct lt_hash *right, struct lt_hash *out)
{
	const struct lt_slice parts[2] = { lt_slice(left->b, sizeof(left->b)),
		lt_slice(right->b, sizeof(right->b)) };
	struct lt_hash h;

	lt_h(LT_TAG_NODE, parts, 2, &h);
	*out = h;
}

void
lt_merkle_init(struct lt_merkle *m)
{
	m->n = 0;
}

/* peak[] holds the roots of complete subtrees, largest first: one for each bit set in n. A new leaf
 * closes as many of them as n has trailing ones. */
void
lt_merkle_add(struct lt_merkle *m, const struct lt_hash *leaf)
{
	size_t depth = (size_t)__builtin_popcount(m->n);
	struct lt_hash h = *leaf;
	uint32_t rest;

	assert(m->n < UINT32_MAX);
	for (rest = m->n; rest & 1; rest >>= 1)
		merkle_node(&m->peak[--depth], &h, &h);
	m->peak[depth] = h;
	m->n++;
}

void
lt_merkle_end(const struct lt_merkle *m, struct lt_hash *out)
{
	size_t depth = (size_t)__builtin_popcount(m->n);
	struct lt_hash h;

	if (depth == 0) {
		lt_h(LT_TAG_EMPTY, NULL, 0, out);
		return;
	}
	h = m->peak[--depth];
	while (depth > 0)
		merkle_node(&m->peak[--depth], &h, &h);
	*out = h;
}

/* A complete subtree at once: in the tree over the roots of such pieces each stands where it stands in the whole. */
#define PIECE 128

void
lt_merkle_root(const struct lt_hash *leaf, size_t n, struct lt_hash *out)
{
	struct lt_hash piece[PIECE];
	struct lt_merkle m;
	uint32_t size;

	lt_merkle_init(&m);
	for (; n != 0; n -= size, leaf += size) {
		size = n < PIECE ? (uint32_t)n : PIECE;
		memcpy(piece, leaf, size * sizeof(*leaf));
		lt_merkle_many(piece, &(uint32_t){ size }, 1);
		lt_merkle_add(&m, &piece[0]);
	}
	lt_merkle_end(&m, out);
}

void
lt_federation_id(const uint8_t root_key[32], const uint8_t salt[16], struct lt_fed *out)
{
	const struct lt_slice parts[2] = { lt_slice(root_key, 32), lt_slice(salt, 16) };

	hash_parts(LT_TAG_FEDERATION, parts, 2, out->b, sizeof(out->b));
}

void
lt_sign_key_from_seed(const uint8_t seed[32], struct lt_sign_key *out)
{
	(void)crypto_sign_seed_keypair(out->pk, out->sk, seed);
}

void
lt_sign(
    const struct lt_sign_key *k, const char *tag, struct lt_slice bytes, uint8_t sig[LT_SIG_LEN])
{
	struct lt_hash h;

	lt_h1(tag, bytes, &h);
	(void)crypto_sign_detached(sig, NULL, h.b, sizeof(h.b), k->sk);
}

int
lt_sign_verify(const uint8_t pk[32], const char *tag, struct lt_slice bytes, struct lt_slice sig)
{
	struct lt_hash h;

	if (sig.len != LT_SIG_LEN)
		return LT_E_BADSIG;
	lt_h1(tag, bytes, &h);
	if (crypto_sign_verify_detached(sig.data, h.b, sizeof(h.b), pk) != 0)
		return LT_E_BADSIG;
	return LT_OK;
}

/* FORMAT.md 4.5: spelled without tone marks, so that any keyboard can type them. Rising by bytes. */
/* clang-format off */
static const char word_list[256][6] = {
	"ba", "bai", "bam", "bao", "bap", "be", "bem", "beo", "bep", "bi", "bia", "bim", "bip", "biu", "bo", "boi",
	"bom", "bop", "bu", "bui", "bum", "bup", "ca", "cai", "cam", "cao", "cap", "cha", "chai", "cham", "chao",
	"chap", "che", "chem", "cheo", "chep", "chi", "chia", "chim", "chip", "chiu", "cho", "choi", "chom", "chop",
	"chu", "chui", "chum", "chup", "co", "coi", "com", "cop", "cui", "cum", "cup", "ga", "gai", "gam", "gao",
	"gap", "ghe", "ghem", "gheo", "ghep", "ghi", "ghim", "go", "goi", "gom", "gop", "gu", "gui", "gum", "gup",
	"ha", "hai", "ham", "hao", "hap", "he", "hem", "heo", "hep", "hi", "hia", "him", "hip", "hiu", "ho", "hoi",
	"hom", "hop", "hu", "hui", "hum", "hup", "ke", "kem", "keo", "kep", "ki", "kia", "kim", "kip", "kiu", "la",
	"lai", "lam", "lao", "lap", "le", "lem", "leo", "lep", "li", "lia", "lim", "lip", "liu", "lo", "loi", "lom",
	"lop", "lu", "lui", "lum", "lup", "ma", "mai", "mam", "mao", "map", "me", "mem", "meo", "mep", "mi", "mia",
	"mim", "mip", "miu", "mo", "moi", "mom", "mop", "mu", "mui", "mum", "mup", "nga", "ngai", "ngam", "ngao",
	"ngap", "nghe", "nghem", "ngheo", "nghep", "nghi", "nghia", "nghim", "ngo", "ngoi", "ngom", "ngop", "ngui",
	"ngum", "ngup", "ta", "tai", "tam", "tao", "tap", "te", "tem", "teo", "tep", "tha", "thai", "tham", "thao",
	"thap", "the", "them", "theo", "thep", "thi", "thia", "thim", "thip", "thiu", "tho", "thoi", "thom", "thop",
	"thu", "thui", "thum", "thup", "ti", "tia", "tim", "tip", "tiu", "to", "toi", "tom", "top", "tu", "tui",
	"tum", "tup", "va", "vai", "vam", "vao", "vap", "ve", "vem", "veo", "vep", "vi", "via", "vim", "vip", "viu",
	"vo", "voi", "vom", "vop", "vui", "vum", "vup", "xa", "xai", "xam", "xao", "xap", "xe", "xem", "xeo", "xep",
	"xi", "xia", "xim", "xip", "xiu", "xo", "xoi", "xom", "xop", "xu", "xui", "xum", "xup",
};
/* clang-format on */

#define WORD_MAX 5 /* the longest */

void
lt_words(struct lt_buf *out, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (i != 0)
			lt_buf_u8(out, ' ');
		lt_buf_str(out, word_list[data[i]]);
	}
}

/* What sounds the same and some people write otherwise: c and k, g and gh, ng and ngh by the vowel that follows, a final y of its
 * own for i. */
static void
spell(const char *w, char out[WORD_MAX + 2])
{
	size_t n = strcspn(w, "aeiouy");
	bool front = w[n] == 'e' || w[n] == 'i' || w[n] == 'y';
	const char *onset = NULL;

	if (n == 1 && (w[0] == 'c' || w[0] == 'k'))
		onset = front ? "k" : "c";
	else if (n >= 1 && strncmp(w, "gh", n) == 0)
		onset = front ? "gh" : "g";
	else if (n >= 2 && strncmp(w, "ngh", n) == 0)
		onset = front ? "ngh" : "ng";
	if (onset != NULL)
		(void)snprintf(out, WORD_MAX + 2, "%s%s", onset, w + n);
	else
		(void)snprintf(out, WORD_MAX + 2, "%s", w);
	n = strlen(out);
	if (n >= 2 && out[n - 1] == 'y' && strchr("aeiou", out[n - 2]) == NULL)
		out[n - 1] = 'i';
}

static int
compare_words(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Value of a lower-case word, -1 if it is none. */
static int
word_value(const char *w)
{
	char spelled[WORD_MAX + 2];
	const char(*at)[6];

	spell(w, spelled);
	at = bsearch(spelled, word_list, 256, sizeof(word_list[0]), compare_words);
	return at != NULL ? (int)(at - word_list) : -1;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Next word of *s in lower case; its length as it stands, 0 at the end. Longer words are cut to what
 * fits, which no word of ours matches. */
static size_t
next_word(const char **s, char word[WORD_MAX + 2])
{
	const char *p = *s;
	size_t len = 0, i;

	while (is_blank(*p))
		p++;
	while (p[len] != '\0' && !is_blank(p[len]))
		len++;
	for (i = 0; i < len && i < WORD_MAX + 1; i++)
		word[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + ('a' - 'A') : p[i]);
	word[i] = '\0';
	*s = p + len;
	return len;
}

/* Letters of the refused word that a terminal may show; what a person mistyped is found by its number. */
static void
printable(char out[17], const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < len && i < 16; i++)
		out[i] = (char)(isgraph((unsigned char)word[i]) && (unsigned char)word[i] < 0x80
				    ? word[i]
				    : '?');
	out[i] = '\0';
}

int
lt_words_parse(const char *words, uint8_t *out, size_t len, struct lt_err *err)
{
	char word[WORD_MAX + 2], shown[17];
	const char *p = words;
	size_t i, n;
	int v;

	for (i = 0; (n = next_word(&p, word)) != 0; i++) {
		if (i == len)
			return lt_err_both(err, LT_E_INVALID, "more than the %zu words expected",
			    "nhiều hơn %zu từ cần có; hãy xem lại tờ giấy", len);
		v = word_value(word);
		if (v < 0) {
			printable(shown, p - n, n);
			return lt_err_both(err, LT_E_INVALID,
			    "word %zu, \"%s\", is not one of our words",
			    "từ thứ %zu, \"%s\", không có trong bảng từ; hãy xem lại tờ giấy",
			    i + 1, shown);
		}
		out[i] = (uint8_t)v;
	}
	if (i < len)
		return lt_err_both(err, LT_E_INVALID, "%zu words expected, %zu found",
		    "cần %zu từ, mới có %zu; hãy xem lại tờ giấy", len, i);
	return LT_OK;
}

void
lt_fingerprint(const struct lt_fed *fed, const struct lt_id *principal, const uint8_t sign_key[32],
    const uint8_t line_key[32], struct lt_buf *out)
{
	const struct lt_slice parts[4] = { lt_slice(fed->b, sizeof(fed->b)),
		lt_slice(principal->b, sizeof(principal->b)), lt_slice(sign_key, 32),
		lt_slice(line_key, 32) };
	struct lt_hash h;

	lt_h(LT_TAG_FINGERPRINT, parts, 4, &h);
	lt_words(out, h.b, 8);
}

void
lt_hub_words(const struct lt_fed *fed, struct lt_buf *out)
{
	struct lt_hash h;

	lt_h1(LT_TAG_HUB_WORDS, lt_slice(fed->b, sizeof(fed->b)), &h);
	lt_words(out, h.b, 8);
}

void
lt_root_words(struct lt_buf *out, const uint8_t seed[32])
{
	uint8_t b[33];
	struct lt_hash h;

	memcpy(b, seed, 32);
	lt_h1(LT_TAG_ROOT_WORDS, lt_slice(seed, 32), &h);
	b[32] = h.b[0];
	lt_words(out, b, sizeof(b));
	sodium_memzero(b, sizeof(b));
}

int
lt_root_words_parse(const char *words, uint8_t seed[32], struct lt_err *err)
{
	uint8_t b[33];
	struct lt_hash h;
	int rc = lt_words_parse(words, b, sizeof(b), err);

	if (rc != LT_OK)
		goto out;
	lt_h1(LT_TAG_ROOT_WORDS, lt_slice(b, 32), &h);
	if (h.b[0] != b[32]) {
		rc = lt_err_set(err, LT_E_INVALID,
		    "the check word does not fit: a word is wrong or two are swapped");
		goto out;
	}
	memcpy(seed, b, 32);
out:
	sodium_memzero(b, sizeof(b));
	return rc;
}
