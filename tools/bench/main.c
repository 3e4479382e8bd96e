/* lt-bench: how fast this machine does it, beside the budgets of the design and the limits of the libraries.
 * Exit 0 done, 1 done and (with --check) a budget was missed, 2 wrong usage, 3 something does not work. */
#include "proto/base/thread.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "tools/bench/bench.h"
#include "tools/bench/flood.h"

#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *name, *what;
	bench_fn *run;
} table[] = {
	{ "intake-1", "change-sets of one change into a hub, and the limits", bench_intake_1 },
	{ "intake-100", "change-sets of 100 changes", bench_intake_100 },
	{ "intake-1000", "change-sets of 1,000 changes", bench_intake_1000 },
	{ "visible", "from the commit at a node to an answer of the hub", bench_visible },
	{ "query", "Get and List over the line, hub idle and ingesting", bench_query },
	{ "connect", "many nodes on one hub", bench_connect },
	{ "node", "a node idle, importing, sending; bytes on the wire", bench_node },
	{ "hostile", "nodes at work while strangers do what they can", bench_hostile },
	{ "timing", "does the time of a refusal tell how much was guessed", bench_timing },
	{ "line", "a backlog over a thin line, whole and cut every minute", bench_line },
};
#define NTABLE (sizeof(table) / sizeof(table[0]))

static const char usage[] =
    "usage: lt-bench [--quick] [--only NAME] [--json FILE] [--dir DIR] [--check] [--list]\n"
    "\n"
    "Measures hub, node and line on this machine, with the limits of the libraries in the same "
    "run.\n"
    "  --quick      all of it, small, in about half a minute: shows that it works, not how fast\n"
    "  --only NAME  that one, or with the part before a dash all that have it; several times if "
    "need be\n"
    "  --json FILE  the figures and the machine as one JSON object\n"
    "  --dir DIR    where to write (TMPDIR or /tmp): the disk of DIR is what is measured\n"
    "  --check      exit 1 when a budget is missed\n"
    "  --list       names and what they measure\n";

#define ONLY_MAX 16

struct arguments {
	const char *only[ONLY_MAX];
	size_t nonly;
	const char *json, *dir;
	bool check;
};

/* "intake-1" is one, "intake" all that begin so before a dash. */
static bool
is_wanted(const struct arguments *a, const char *name)
{
	size_t i, n;

	for (i = 0; i < a->nonly; i++) {
		n = strlen(a->only[i]);
		if (strncmp(name, a->only[i], n) == 0 && (name[n] == '\0' || name[n] == '-'))
			return true;
	}
	return a->nonly == 0;
}

/* A name that names nothing would be a run that shows nothing. */
static bool
all_known(const struct arguments *a)
{
	struct arguments one = { .nonly = 1 };
	size_t i, k;

	for (i = 0; i < a->nonly; i++) {
		one.only[0] = a->only[i];
		for (k = 0; k < NTABLE && !is_wanted(&one, table[k].name); k++)
			continue;
		if (k == NTABLE)
			return false;
	}
	return true;
}

/* ---- JSON ---- */

static json_t *
json_machine(const struct bench_machine *m)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:s, s:f, s:f, s:f, s:s}", "cpu", m->cpu, "cores",
	    (int)m->cores, "memory_mib", (json_int_t)m->memory_mib, "kernel", m->kernel, "disk",
	    m->disk, "sync_4k_us", m->sync_us, "load_before", m->load, "others_cores", m->others,
	    "versions", m->versions);
}

static json_t *
json_figure(const struct bench_figure *f)
{
	json_t *o = json_pack("{s:s, s:s, s:f, s:s}", "benchmark", f->benchmark, "name", f->name,
	    "value", f->value, "unit", f->unit);

	if (f->sense != BENCH_INFO) {
		json_object_set_new(o, "budget", json_real(f->budget));
		json_object_set_new(o, "budget_is",
		    json_string(f->sense == BENCH_AT_LEAST ? "at least" : "at most"));
		json_object_set_new(o, "ratio", json_real(f->value / f->budget));
		json_object_set_new(o, "pass", json_boolean(bench_met(f)));
	}
	if (f->note[0] != '\0')
		json_object_set_new(o, "note", json_string(f->note));
	return o;
}

static int
write_json(struct bench *b, const struct bench_machine *m, const char *path)
{
	json_t *list = json_array(), *root;
	char *text;
	size_t i;
	int rc;

	for (i = 0; i < b->nfigure; i++)
		json_array_append_new(list, json_figure(&b->figure[i]));
	root = json_pack(
	    "{s:o, s:b, s:o}", "machine", json_machine(m), "quick", b->quick, "figures", list);
	text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
	json_decref(root);
	if (text == NULL)
		return LT_E_NOMEM;
	rc = lt_file_write(path, lt_slice_str(text), 0644, false, &b->err);
	free(text);
	return rc;
}

/* ---- the run ---- */

/* What is measured runs in a child; this process only waits, and whatever comes first, an end, a crash or a signal, it then
 * ends the daemons and removes the folder, which may hold gigabytes. */
static int
guard(pid_t worker, const sigset_t *set, const char *dir)
{
	int sig, status = 0, stopped = 0;

	while (waitpid(worker, &status, WNOHANG) == 0) {
		if (sigwait(set, &sig) != 0 || sig == SIGCHLD)
			continue;
		stopped = sig;
		(void)kill(worker, SIGKILL);
	}
	/* Daemons of a worker that was killed are killed with it and become children of this process. */
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	bench_remove(dir);
	if (stopped != 0)
		return 128 + stopped;
	if (WIFSIGNALED(status))
		(void)fprintf(stderr, "lt-bench: ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static bool
own_folder(char out[BENCH_PATH])
{
	ssize_t n = readlink("/proc/self/exe", out, BENCH_PATH - 1);
	char *slash;

	if (n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

/* In the build folder the data of the sources, else what was installed with this program, wherever the tree stands now. */
static bool
share_file(const char *bin, const char *name, char out[BENCH_PATH])
{
	if (strcmp(bin, LT_BUILD_BIN) == 0)
		(void)snprintf(out, BENCH_PATH, "%s/%s", LT_SOURCE_DATA, name);
	else
		(void)snprintf(out, BENCH_PATH, "%.400s/%s/%s", bin, LT_SHARE_FROM_BIN, name);
	return access(out, R_OK) == 0;
}

/* 3,321 connections have two ends here. */
static void
raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static void
print_machine(const struct bench_machine *m)
{
	(void)printf(
	    "machine   %s, %u cores, %llu MiB\nkernel    %s\ndisk      %s; 4 KiB synced in "
	    "%.0f us\nsoftware  %s\nload      %.2f before the run\n\n",
	    m->cpu, m->cores, (unsigned long long)m->memory_mib, m->kernel, m->disk, m->sync_us,
	    m->versions, m->load);
	(void)printf("%-62s %12s %-10s %10s %6s\n", "what", "value", "unit", "budget", "ratio");
}

static int
run_all(struct bench *b, const struct arguments *a)
{
	int rc = LT_OK;
	size_t i;

	for (i = 0; rc == LT_OK && i < NTABLE; i++) {
		if (!is_wanted(a, table[i].name))
			continue;
		b->running = table[i].name;
		(void)printf("-- %s: %s\n", table[i].name, table[i].what);
		rc = table[i].run(b);
		if (rc != LT_OK)
			(void)fprintf(stderr, "lt-bench: %s does not work: %s: %s\n", table[i].name,
			    lt_strerror(rc), b->err.text);
	}
	return rc;
}

static int
verdict(const struct bench *b, const struct arguments *a)
{
	size_t i, budgets = 0, met = 0;

	for (i = 0; i < b->nfigure; i++) {
		budgets += b->figure[i].sense != BENCH_INFO;
		met += b->figure[i].sense != BENCH_INFO && bench_met(&b->figure[i]);
	}
	(void)printf("%zu of %zu budgets met%s\n", met, budgets,
	    b->quick ? " (small run: says nothing about speed)" : "");
	return a->check && met < budgets ? 1 : 0;
}

/* In the child. */
static int
work(struct bench *b, const struct arguments *a)
{
	struct bench_machine m;
	int rc = bench_machine(b, &m);

	if (rc == LT_OK) {
		print_machine(&m);
		bench_others_begin(&m);
		rc = run_all(b, a);
		bench_others_end(&m);
	}
	if (rc == LT_OK)
		(void)printf(
		    "\nother processes kept %.2f of %u cores busy meanwhile\n", m.others, m.cores);
	if (rc == LT_OK && a->json != NULL)
		rc = write_json(b, &m, a->json);
	if (rc != LT_OK)
		(void)fprintf(stderr, "lt-bench: %s: %s\n", lt_strerror(rc), b->err.text);
	rc = rc != LT_OK ? 3 : verdict(b, a);
	free(b->figure);
	return fflush(stdout) != 0 ? 3 : rc;
}

static int
run(struct bench *b, const struct arguments *a)
{
	char catalogue[BENCH_PATH], units[BENCH_PATH], bin[BENCH_PATH];
	sigset_t set, before;
	pid_t worker;

	if (!own_folder(bin) || !share_file(bin, "catalogue.json", catalogue) ||
	    !share_file(bin, "units.csv", units)) {
		(void)fprintf(stderr, "lt-bench: catalogue.json and units.csv are not found\n");
		return 3;
	}
	b->catalogue = catalogue;
	b->units = units;
	b->bin = bin;
	if (snprintf(b->dir, sizeof(b->dir), "%s/lt-bench-XXXXXX", a->dir) >= (int)sizeof(b->dir) ||
	    mkdtemp(b->dir) == NULL) {
		(void)fprintf(stderr, "lt-bench: cannot make a folder in '%s'\n", a->dir);
		return 3;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	worker = fork();
	if (worker == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		return work(b, a);
	}
	if (worker < 0) {
		(void)fprintf(stderr, "lt-bench: cannot start a process\n");
		bench_remove(b->dir);
		return 3;
	}
	return guard(worker, &set, b->dir);
}

static int
wrong_usage(void)
{
	(void)fputs(usage, stderr);
	return 2;
}

static int
list(void)
{
	size_t i;

	for (i = 0; i < NTABLE; i++)
		(void)printf("%-12s %s\n", table[i].name, table[i].what);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "quick", no_argument, NULL, 'q' },
		{ "only", required_argument, NULL, 'o' }, { "json", required_argument, NULL, 'j' },
		{ "dir", required_argument, NULL, 'd' }, { "check", no_argument, NULL, 'c' },
		{ "list", no_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	const char *tmp = getenv("TMPDIR");
	struct arguments a = { .dir = tmp != NULL ? tmp : "/tmp" };
	struct bench b = { .running = "start" };
	int c;

	/* Not said in the usage: the program begins itself so. */
	if (argc == 3 && strcmp(argv[1], BENCH_FLOOD_ARG) == 0)
		return sodium_init() < 0 ? 1 : bench_flood_main(argv[2]);
	lt_thread_brief(); /* who asks and who answers share this machine: neither waits for the other's turn to end */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0 ? 3 : 0;
		if (c == 'l')
			return list();
		if (c == 'q')
			b.quick = true;
		else if (c == 'o' && a.nonly < ONLY_MAX)
			a.only[a.nonly++] = optarg;
		else if (c == 'j')
			a.json = optarg;
		else if (c == 'd')
			a.dir = optarg;
		else if (c == 'c')
			a.check = true;
		else
			return wrong_usage();
	}
	if (optind != argc || !all_known(&a) || sodium_init() < 0)
		return wrong_usage();
	(void)signal(SIGPIPE, SIG_IGN);
	lt_log_level_set(LT_LOG_ERROR);
	raise_files();
	b.cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	return run(&b, &a);
}
