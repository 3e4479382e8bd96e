/* lt-damage: damages stores, so many times, and says what came of it. */
#include "damage.h"

#include "proto/base/log.h"
#include "proto/store/damage_bug.h"
#include "proto/store/kv_check.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef LT_DAMAGE_BUGS
int lt_damage_bug;
#endif

struct tally {
	uint64_t all, live, by_kind[KINDS][OUTCOMES], by_place[PLACES][OUTCOMES],
	    by_store[STORES][OUTCOMES], by_left[LEFTS][OUTCOMES], by_outcome[OUTCOMES],
	    repair[STORES][REPAIRS], lies[LIES];
};

#define JOBS_MAX 64

struct order {
	uint64_t seed, count, only, jobs;
	bool has_only, verbose, large, until_defect;
	enum kind kind; /* this alone; KINDS: any */
	const char *keep;
};

static const char usage[] =
    "usage: lt-damage [--count N] [--seed N] [--only N] [--verbose] [-j JOBS] [--bug NAME]\n"
    "                 [--large] [--rows | --keys] [--until-defect] [--stores DIR]\n"
    "Damage real stores N times (1000) and print what came of it. Exit 1: a wrong answer, a\n"
    "death, a hang, or something missing that no scrub finds. --large: as if every store were\n"
    "so large that only roots and samples are looked at before it is opened. --rows: only many\n"
    "values of a log at a time, so that peers are asked for much. --keys: only the length of a "
    "key\n"
    "of the log. --until-defect: each job ends "
    "with\n"
    "the first defect, and exit 0 says that one was found. --stores: keep the sound stores in DIR, "
    "or take them\n"
    "from there; the same stores, seed and number are the same damage.\n";

static void
row(const char *name, const uint64_t n[OUTCOMES])
{
	uint64_t all = 0;
	unsigned i;

	for (i = 0; i < OUTCOMES; i++)
		all += n[i];
	(void)printf("%-15s %8llu", name, (unsigned long long)all);
	for (i = 0; i < OUTCOMES; i++)
		(void)printf(" %12llu", (unsigned long long)n[i]);
	(void)printf("\n");
}

/* What became of them, with a peer that has everything. */
static void
print_repairs(const struct stores *s, const struct tally *t)
{
	unsigned i, k;

	(void)printf("\n%-15s", "with a peer");
	for (i = 0; i < REPAIRS; i++)
		(void)printf(" %12s", repair_name[i]);
	for (i = 0; i < STORES; i++) {
		(void)printf("\n%-15s", s->s[i].name);
		for (k = 0; k < REPAIRS; k++)
			(void)printf(" %12llu", (unsigned long long)t->repair[i][k]);
	}
	(void)printf("\n\nthe other peer ");
	for (i = 0; i < LIES; i++)
		(void)printf(
		    "%s%s %llu", i == 0 ? "" : ", ", lie_name[i], (unsigned long long)t->lies[i]);
	(void)printf("\n\n");
}

static void
print(const struct stores *s, const struct tally *t)
{
	unsigned i;

	(void)printf("%-15s %8s", "", "all");
	for (i = 0; i < OUTCOMES; i++)
		(void)printf(" %12s", outcome_name[i]);
	(void)printf("\n");
	for (i = 0; i < KINDS; i++)
		row(kind_name[i], t->by_kind[i]);
	(void)printf("\n");
	for (i = 0; i < PLACES; i++)
		row(place_name[i], t->by_place[i]);
	(void)printf("\n");
	for (i = 0; i < STORES; i++)
		row(s->s[i].name, t->by_store[i]);
	(void)printf("\n");
	for (i = 0; i < LEFTS; i++)
		row(left_name[i], t->by_left[i]);
	(void)printf("\n");
	row("all", t->by_outcome);
	print_repairs(s, t);
	(void)printf("%llu of %llu in pages that are in use\n", (unsigned long long)t->live,
	    (unsigned long long)t->all);
}

/* The note that a store left like this has beside it. */
static const uint8_t *
note_for(const struct sample *x, enum left left, uint8_t out[64])
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "lt1.guard";

	memcpy(out, x->guard, 64);
	if (left == LEFT_BARE)
		return NULL;
	out[8] = left != LEFT_KILLED;
	(void)crypto_shorthash(out + 56, out, 56, key);
	return out;
}

static void
one(struct stores *s, const struct order *o, uint64_t n, uint8_t *room, struct tally *t)
{
	struct damage d;
	struct seen seen;
	uint8_t note[64];
	struct sample *x;
	size_t i;

	damage_make(s, o->seed, n, o->kind, &d, room);
	if (o->large)
		d.left = LEFT_LARGE;
	x = &s->s[d.store];
	stores_put(s, d.store, room, d.size, note_for(x, d.left, note));
	serve(s, &d, &seen);
	stores_put(s, d.store, x->file, x->size, x->guard);
	t->all++;
	t->live += d.live;
	t->by_kind[d.kind][seen.outcome]++;
	t->by_place[d.place][seen.outcome]++;
	t->by_store[d.store][seen.outcome]++;
	t->by_left[d.left][seen.outcome]++;
	t->by_outcome[seen.outcome]++;
	t->repair[d.store][seen.repair]++;
	for (i = 0; i < LIES; i++)
		t->lies[i] += seen.lies[i];
	if (seen.outcome >= OUTCOME_DEFECT || o->verbose)
		(void)printf("%llu: %s, %s, page %llu (%s), %s, left %s: %s, %s: %s\n",
		    (unsigned long long)n, x->name, kind_name[d.kind], (unsigned long long)d.page,
		    place_name[d.place], d.text, left_name[d.left], outcome_name[seen.outcome],
		    repair_name[seen.repair], seen.why);
	(void)fflush(stdout);
}

static void
describe(const struct stores *s)
{
	unsigned i;

	for (i = 0; i < STORES; i++) {
		const struct sample *x = &s->s[i];
		size_t k, n[5] = { 0 }, entries = 0;

		for (k = 0; k < x->npage; k++)
			n[x->page[k].kind]++;
		for (k = 0; k < LT_T_COUNT; k++)
			entries += x->table[k].n;
		(void)printf("%-8s %zu entries, %zu KB: %zu branch pages, %zu leaves, %zu of large "
			     "values, %zu free\n",
		    x->name, entries, x->size / 1024, n[LT_PAGES_BRANCH], n[LT_PAGES_LEAF],
		    n[LT_PAGES_LARGE], n[LT_PAGES_FREE_PAGE]);
	}
}

static bool
set_bug(const char *name)
{
#ifdef LT_DAMAGE_BUGS
#define LT_DAMAGE_BUG_NAME(n, text) #n,
	static const char *const names[] = { LT_DAMAGE_BUG_LIST(LT_DAMAGE_BUG_NAME) };
#undef LT_DAMAGE_BUG_NAME
	int i;

	for (i = 0; i + 1 < LT_DAMAGE_BUG_COUNT; i++) {
		if (strcmp(names[i], name) == 0) {
			lt_damage_bug = i + 1;
			return true;
		}
	}
#endif
	(void)fprintf(stderr, "lt-damage: no bug '%s' in this program\n", name);
	return false;
}

static bool
read_order(struct order *o, const char **bug, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0) {
			o->verbose = true;
			continue;
		}
		if (strcmp(argv[i], "--large") == 0) {
			o->large = true;
			continue;
		}
		if (strcmp(argv[i], "--rows") == 0) {
			o->kind = KIND_ROWS;
			continue;
		}
		if (strcmp(argv[i], "--keys") == 0) {
			o->kind = KIND_KEY;
			continue;
		}
		if (strcmp(argv[i], "--until-defect") == 0) {
			o->until_defect = true;
			continue;
		}
		if (i + 1 == argc)
			return false;
		if (strcmp(argv[i], "--bug") == 0)
			*bug = argv[++i];
		else if (strcmp(argv[i], "--count") == 0)
			o->count = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--stores") == 0)
			o->keep = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0)
			o->seed = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "-j") == 0)
			o->jobs = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--only") == 0)
			o->has_only = (o->only = strtoull(argv[++i], NULL, 10), true);
		else
			return false;
	}
	return o->count != 0 && o->jobs >= 1 && o->jobs <= JOBS_MAX;
}

static bool
has_defect(const struct tally *t)
{
	unsigned i;

	for (i = OUTCOME_DEFECT; i < OUTCOMES; i++)
		if (t->by_outcome[i] != 0)
			return true;
	return false;
}

static void
dir_of(const struct stores *s, uint64_t job, char dir[sizeof(s->dir)])
{
	if (snprintf(dir, sizeof(s->dir), "%s.%llu", s->dir, (unsigned long long)job) >=
	    (int)sizeof(s->dir))
		abort();
}

/* A folder for each job but the first, which works in s->dir: made before any job begins, as files come and go in it then. */
static void
make_dirs(const struct stores *s, uint64_t jobs)
{
	char cmd[256], dir[sizeof(s->dir)];
	uint64_t job;

	for (job = 1; job < jobs; job++) {
		dir_of(s, job, dir);
		(void)snprintf(cmd, sizeof(cmd), "cp -r %s %s", s->dir, dir);
		if (system(cmd) != 0)
			abort();
	}
}

/* Every jobs-th damage, in a folder of its own. */
static void
work(struct stores *s, const struct order *o, uint64_t job, uint8_t *room, struct tally *t)
{
	char cmd[256], dir[sizeof(s->dir)];
	uint64_t i;

	if (o->has_only) {
		one(s, o, o->only, room, t);
		return;
	}
	if (job != 0) {
		dir_of(s, job, dir);
		memcpy(s->dir, dir, sizeof(dir));
	}
	for (i = job; i < o->count && !(o->until_defect && has_defect(t)); i += o->jobs) {
		one(s, o, i, room, t);
		if (job == 0 && t->all % 250 == 0)
			(void)fprintf(stderr, "%llu of %llu\n", (unsigned long long)i,
			    (unsigned long long)o->count);
	}
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", s->dir);
	if (job != 0 && system(cmd) != 0)
		abort();
}

/* The sum of what the jobs counted; false: one of them did not come to its end. */
static bool
work_all(struct stores *s, const struct order *o, uint8_t *room, struct tally *sum)
{
	size_t len = sizeof(*sum) * JOBS_MAX, i, k;
	struct tally *t =
	    mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[JOBS_MAX];
	bool fine = true;
	int status;

	if (t == MAP_FAILED)
		return false;
	(void)fflush(stdout);
	if (!o->has_only)
		make_dirs(s, o->jobs);
	for (i = 1; i < o->jobs; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			serve_apart();
			work(s, o, i, room, &t[i]);
			(void)fflush(stdout);
			_exit(0);
		}
	}
	work(s, o, 0, room, &t[0]);
	for (i = 1; i < o->jobs; i++)
		fine = pid[i] > 0 && waitpid(pid[i], &status, 0) == pid[i] && status == 0 && fine;
	for (i = 0; i < o->jobs; i++)
		for (k = 0; k < sizeof(*sum) / sizeof(uint64_t); k++)
			((uint64_t *)sum)[k] += ((const uint64_t *)&t[i])[k];
	(void)munmap(t, len);
	return fine;
}

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	struct order o = { .seed = 1, .count = 1000, .jobs = 1, .kind = KINDS };
	struct tally *t = calloc(1, sizeof(*t));
	const char *bug = NULL;
	struct stores s;
	uint8_t *room;
	uint64_t i, bad = 0;
	size_t most = 0;
	double began;

	if (t == NULL || sodium_init() < 0 || !read_order(&o, &bug, argc, argv)) {
		(void)fputs(usage, stderr);
		free(t);
		return 2;
	}
	lt_log_level_name("error");
	began = now();
	stores_make(&s, o.keep);
	serve_learn(&s);
	describe(&s);
	/* Only now: the stores themselves are sound. */
	if (bug != NULL && !set_bug(bug))
		return 2;
	(void)printf("seed %llu, made in %.1f s\n", (unsigned long long)o.seed, now() - began);
	(void)fflush(stdout);
	began = now();
	for (i = 0; i < STORES; i++)
		most = s.s[i].size > most ? s.s[i].size : most;
	room = malloc(most + 1);
	if (room == NULL)
		return 2;
	if (!work_all(&s, &o, room, t))
		bad++;
	print(&s, t);
	for (i = OUTCOME_DEFECT; i < OUTCOMES; i++)
		bad += t->by_outcome[i];
	(void)printf("%.1f s, %.1f ms each; %llu defects\n", now() - began,
	    (now() - began) * 1000 / (double)t->all, (unsigned long long)bad);
	serve_forget();
	stores_free(&s);
	free(room);
	free(t);
	return o.until_defect ? bad == 0 : bad != 0;
}
