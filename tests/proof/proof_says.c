/* proof_says FOLDER...: of each input of tests/fuzz/fuzz_proof.c (a root key, then a proof) whether it holds and what it tells, one
 * line each, for second.py. Exit 0; 3: a folder cannot be read. */
#include "proto/base/clock.h"
#include "proto/base/file.h"
#include "proto/base/limits.h"
#include "proto/feed/proof.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define ROOT_LEN 32

static void
say_change(const struct lt_proof_part *part, const struct lt_proof_change *c)
{
	static const char *const state[] = { "accepted", "refused", "held" };
	char feed[2 * LT_FEED_LEN + 1], label[2 * LT_NAME_MAX + 1] = "";
	size_t i, withheld = 0;

	lt_hex(feed, part->cs.feed.b, LT_FEED_LEN);
	if (strlen(part->label) <= LT_NAME_MAX)
		lt_hex(label, part->label, strlen(part->label));
	for (i = 0; i < c->change.npersonal; i++)
		withheld += c->opening[i].withheld;
	(void)printf(" %s/%llu/%u:%s:%lld:%lld:%lld:%zu:%s", feed, (unsigned long long)part->cs.seq,
	    c->index, state[c->state], (long long)LT_STAMP_MS(part->effective),
	    part->by_hub ? -1LL : (long long)LT_STAMP_MS(part->judged),
	    part->receipted ? (long long)part->since_ms : -1LL, withheld, label);
}

static void
say(const char *name, struct lt_slice bytes)
{
	struct lt_arena arena;
	struct lt_proof p;
	size_t i, k;
	bool good;

	lt_arena_init(&arena, LT_PROOF_ARENA);
	good = bytes.len >= ROOT_LEN &&
	       lt_proof_check(lt_slice(bytes.data + ROOT_LEN, bytes.len - ROOT_LEN), bytes.data,
		   &arena, &p, NULL) == LT_OK;
	(void)printf("%s %s", name, good ? "good" : "refused");
	for (i = 0; good && i < p.nrecord; i++)
		for (k = 0; k < p.record[i].nchange; k++)
			say_change(&p.record[i], &p.record[i].change[k]);
	(void)printf("\n");
	lt_arena_fini(&arena);
}

static bool
say_folder(const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	struct lt_buf b = { 0 };
	char path[4096];
	bool ok = d != NULL;

	while (ok && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		lt_buf_clear(&b);
		ok = lt_file_read(path, ROOT_LEN + LT_PROOF_MAX, &b, NULL) == LT_OK;
		if (ok)
			say(path, lt_buf_slice(&b));
	}
	if (d != NULL)
		(void)closedir(d);
	lt_buf_fini(&b);
	return ok;
}

int
main(int argc, char **argv)
{
	bool ok = argc > 1 && sodium_init() >= 0;
	int i;

	for (i = 1; ok && i < argc; i++)
		ok = say_folder(argv[i]);
	return ok ? 0 : 3;
}
