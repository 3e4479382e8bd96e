/* lt-sim - runs of the simulator: one seed, or many.
 *
 *   lt-sim --seed N [--verbose] [--log LEVEL]      prints options, trace hash and counts
 *   lt-sim --seeds A..B [-j JOBS] [--each-fault N] runs them all, each in a process of its own over the same first day;
 *                                                  fails if a seed does, or if a kind of fault struck less than N times
 * --restores N: in each run N machines are restored from old backups, by the tool's path.
 * --copies N: in each run files of nodes and of the hub are copied by hand N times: old ones put back, a second machine started, a thief, a
 * disk that lies. --node-copies N: none of the hub's.
 * Exit codes: 0 all held, 1 a seed failed, 2 wrong usage. */
#include "proto/base/log.h"
#include "tests/sim/sim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct result {
	bool done, failed;
	uint64_t trace, steps, saved, received, pulled, crashes, hub_writes, reads;
	int64_t virtual_ms, converge_ms;
	uint64_t restored_nodes, restored_hub, put_off, lost_with_disk;
	uint64_t by_hand[SIM_BY_HAND_COUNT], copies_put_off, lost_by_hand, branches;
	uint64_t reissued, aside_left, named_other;
	uint64_t hub_doubts, set_up_anew, hub_lost, hub_forked, hub_contradicted, hub_exposed,
	    two_faced;
	uint64_t count[SIM_F_COUNT];
	char why[sizeof(((struct sim *)0)->why)];
};

static struct sim world;
static unsigned restores, copies; /* in each run */
static bool of_nodes; /* copies */
static struct sim_rng *source;

/* ---- what the programs take for the system's randomness ---- */

static const char *
random_name(void)
{
	return "simulated";
}

static uint32_t
random_u32(void)
{
	return (uint32_t)sim_rng_next(source);
}

static void
random_buf(void *buf, size_t len)
{
	sim_rng_fill(source, buf, len);
}

static bool
take_randomness(void)
{
	static struct randombytes_implementation impl = {
		.implementation_name = random_name, .random = random_u32, .buf = random_buf
	};

	source = &world.machine_rng;
	return randombytes_set_implementation(&impl) == 0 && sodium_init() >= 0;
}

/* ---- one ---- */

static void
run_one(const struct sim_options *o, struct result *r)
{
	int64_t began = world.now;

	world.o = *o;
	world.o.restores = restores;
	world.o.copies = copies;
	world.o.of_nodes = of_nodes;
	if (restores != 0 || copies != 0)
		world.o.late =
		    0; /* who joined and is in no backup of anybody else is another matter */
	r->failed = !sim_run(&world);
	r->trace = world.trace;
	r->steps = world.steps;
	r->saved = world.saved;
	r->received = world.received;
	r->pulled = world.pulled;
	r->crashes = world.crashes;
	r->hub_writes = world.hub_writes;
	r->reads = world.reads;
	r->virtual_ms = world.now - began;
	r->converge_ms = world.converged_at - world.healed_at;
	r->restored_nodes = world.restored_nodes;
	r->restored_hub = world.restored_hub;
	r->put_off = world.restores_put_off;
	r->lost_with_disk = world.lost_with_disk;
	memcpy(r->by_hand, world.by_hand, sizeof(r->by_hand));
	r->copies_put_off = world.copies_put_off;
	r->lost_by_hand = world.lost_by_hand;
	r->branches = world.branches;
	r->reissued = world.reissued;
	r->aside_left = world.aside_left;
	r->hub_doubts = world.hub_doubts;
	r->set_up_anew = world.set_up_anew;
	r->hub_lost = world.hub_lost;
	r->hub_forked = world.hub_forked;
	r->hub_exposed = world.hub_exposed;
	r->two_faced = world.two_faced;
	r->hub_contradicted = world.hub_contradicted;
	r->named_other = world.named_other;
	memcpy(r->count, world.count, sizeof(r->count));
	(void)snprintf(r->why, sizeof(r->why), "%s", world.failed ? world.why : "");
	r->done = true;
}

static double
seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
print_counts(const uint64_t count[SIM_F_COUNT])
{
	size_t i;

	printf("  faults:");
	for (i = 0; i < SIM_F_COUNT; i++)
		printf(" %s %llu", sim_fault_name[i], (unsigned long long)count[i]);
	printf("\n");
}

static void
print_restores(const struct result *r)
{
	if (restores != 0)
		printf("  restores: %llu of nodes, %llu of the hub, %llu put off; %llu writes that "
		       "nobody "
		       "else had went with a disk\n",
		    (unsigned long long)r->restored_nodes, (unsigned long long)r->restored_hub,
		    (unsigned long long)r->put_off, (unsigned long long)r->lost_with_disk);
}

static void
print_copies(const struct result *r)
{
	size_t i;

	if (copies == 0)
		return;
	printf("  by hand:");
	for (i = 0; i < SIM_BY_HAND_COUNT; i++)
		printf(" %s %llu", sim_by_hand_name[i], (unsigned long long)r->by_hand[i]);
	printf(", %llu put off; %llu second branches, all found, of whose writes %llu were made "
	       "again and %llu stand for a person; %llu changes named such a branch and were "
	       "refused; %llu writes went with the files they stood in\n",
	    (unsigned long long)r->copies_put_off, (unsigned long long)r->branches,
	    (unsigned long long)r->reissued, (unsigned long long)r->aside_left,
	    (unsigned long long)r->named_other, (unsigned long long)r->lost_by_hand);
	printf(
	    "  of the hub: in doubt %llu times; in %llu runs it had signed numbers again first, in "
	    "%llu checkpoints showed two histories: %llu nodes set up anew, %llu of them with a "
	    "verdict that another one contradicts, "
	    "%llu change-sets of the hub's went with its branch\n",
	    (unsigned long long)r->hub_doubts, (unsigned long long)r->hub_forked,
	    (unsigned long long)r->hub_exposed, (unsigned long long)r->set_up_anew,
	    (unsigned long long)r->hub_contradicted, (unsigned long long)r->hub_lost);
}

static void
print_failure(uint64_t seed, const struct result *r)
{
	printf("seed %llu FAILED: %s\n  again: lt-sim --seed %llu --verbose\n",
	    (unsigned long long)seed,
	    r->done ? r->why : "the process ended by a signal or an assertion",
	    (unsigned long long)seed);
}

static int
one_seed(uint64_t seed, bool verbose)
{
	double began = seconds(), took;
	struct sim_options o;
	struct result r = { 0 };

	sim_options_from(&o, seed);
	o.verbose = verbose;
	sim_options_print(&o);
	run_one(&o, &r);
	took = seconds() - began;
	printf("  trace %016llx, %llu steps, %llu saved, %llu received, %llu pulled, %llu by the "
	       "hub, %llu reads, "
	       "%llu crashes\n",
	    (unsigned long long)r.trace, (unsigned long long)r.steps, (unsigned long long)r.saved,
	    (unsigned long long)r.received, (unsigned long long)r.pulled,
	    (unsigned long long)r.hub_writes, (unsigned long long)r.reads,
	    (unsigned long long)r.crashes);
	print_counts(r.count);
	print_restores(&r);
	print_copies(&r);
	printf("  %.0f virtual seconds, converged %.0f s after the last fault, %.0f virtual "
	       "seconds a second\n",
	    (double)r.virtual_ms / 1000, (double)r.converge_ms / 1000,
	    (double)r.virtual_ms / 1000 / (took > 0 ? took : 1));
	if (r.failed)
		print_failure(seed, &r);
	sim_world_free(&world);
	return r.failed ? 1 : 0;
}

/* ---- many ---- */

static struct result *
shared(size_t n)
{
	void *p = mmap(NULL, n * sizeof(struct result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A process of its own for each seed: it begins with the world as it was made, and takes nothing with it. */
static void
child(uint64_t seed, struct result *r)
{
	struct sim_options o;

	sim_options_from(&o, seed);
	run_one(&o, r);
	_exit(r->failed ? 1 : 0);
}

static unsigned
report(uint64_t first, size_t n, const struct result *r, double took, uint64_t each)
{
	struct result sum = { 0 };
	uint64_t count[SIM_F_COUNT] = { 0 }, steps = 0, saved = 0, received = 0, crashes = 0;
	unsigned failed = 0;
	int64_t ms = 0, longest = 0;
	size_t i, k;

	for (i = 0; i < n; i++) {
		if (!r[i].done || r[i].failed)
			failed++;
		for (k = 0; k < SIM_F_COUNT; k++)
			count[k] += r[i].count[k];
		steps += r[i].steps;
		sum.restored_nodes += r[i].restored_nodes;
		sum.restored_hub += r[i].restored_hub;
		sum.put_off += r[i].put_off;
		sum.lost_with_disk += r[i].lost_with_disk;
		for (k = 0; k < SIM_BY_HAND_COUNT; k++)
			sum.by_hand[k] += r[i].by_hand[k];
		sum.copies_put_off += r[i].copies_put_off;
		sum.lost_by_hand += r[i].lost_by_hand;
		sum.branches += r[i].branches;
		sum.reissued += r[i].reissued;
		sum.aside_left += r[i].aside_left;
		sum.hub_doubts += r[i].hub_doubts;
		sum.set_up_anew += r[i].set_up_anew;
		sum.hub_lost += r[i].hub_lost;
		sum.hub_forked += r[i].hub_forked;
		sum.hub_exposed += r[i].hub_exposed;
		sum.two_faced += r[i].two_faced;
		sum.hub_contradicted += r[i].hub_contradicted;
		sum.named_other += r[i].named_other;
		saved += r[i].saved;
		received += r[i].received;
		crashes += r[i].crashes;
		ms += r[i].virtual_ms;
		if (r[i].converge_ms > longest)
			longest = r[i].converge_ms;
	}
	printf("seeds %llu..%llu: %u failed; %llu steps, %llu saved, %llu received, %llu crashes\n",
	    (unsigned long long)first, (unsigned long long)(first + n - 1), failed,
	    (unsigned long long)steps, (unsigned long long)saved, (unsigned long long)received,
	    (unsigned long long)crashes);
	print_counts(count);
	print_restores(&sum);
	print_copies(&sum);
	printf("  a hub with two faces was found out at the end of %llu runs\n",
	    (unsigned long long)sum.two_faced);
	printf("  %.0f virtual seconds in %.1f s: %.0f virtual seconds a second; longest way to "
	       "convergence %.0f s of %lld s\n",
	    (double)ms / 1000, took, (double)ms / 1000 / took, (double)longest / 1000,
	    (long long)(SIM_CONVERGE_MS / 1000));
	for (k = 0; k < SIM_F_COUNT; k++)
		if (count[k] < each) {
			printf("FAILED: %s struck %llu times, less than %llu\n", sim_fault_name[k],
			    (unsigned long long)count[k], (unsigned long long)each);
			failed++;
		}
	return failed;
}

static int
many_seeds(uint64_t first, uint64_t last, unsigned jobs, uint64_t each, bool stop)
{
	size_t n = (size_t)(last - first + 1), next = 0, running = 0, i;
	struct result *r = shared(n);
	pid_t *pid = calloc(n, sizeof(*pid));
	double began = seconds();
	bool found = false;
	unsigned failed;

	if (r == NULL || pid == NULL)
		return 2;
	(void)fflush(stdout);
	while ((next < n && !found) || running > 0) {
		pid_t p;
		int status;

		while (next < n && !found && running < jobs) {
			pid[next] = fork();
			if (pid[next] == 0)
				child(first + next, &r[next]);
			running += pid[next] > 0;
			next++;
		}
		p = wait(&status);
		if (p < 0)
			break;
		running--;
		for (i = 0; i < next && pid[i] != p; i++)
			;
		if (i < next && status != 0) {
			print_failure(first + i, &r[i]);
			found = stop;
		}
	}
	failed = report(first, stop ? next : n, r, seconds() - began, each);
	if (stop && found)
		printf("found within %zu seeds\n", next);
	free(pid);
	(void)munmap(r, n * sizeof(*r));
	sim_world_free(&world);
	return failed == 0 ? 0 : 1;
}

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: lt-sim --seed N [--verbose] [--log LEVEL] [--restores N] [--copies N | "
	    "--node-copies N]\n"
	    "       lt-sim --seeds A..B [-j JOBS] [--each-fault N] [--stop] [--restores N] "
	    "[--copies N | --node-copies N]\n");
	return 2;
}

int
main(int argc, char **argv)
{
	uint64_t first = 0, last = 0, each = 0;
	bool many = false, verbose = false, stop = false, given = false;
	const char *log = NULL;
	unsigned jobs = 1;
	char *end;
	int i;

	for (i = 1; i < argc; i++) {
		const char *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--verbose") == 0) {
			verbose = true;
			continue;
		}
		if (strcmp(argv[i], "--stop") == 0) {
			stop = true;
			continue;
		}
		if (v == NULL)
			return usage();
		i++;
		if (strcmp(argv[i - 1], "--seed") == 0) {
			first = strtoull(v, &end, 10);
			given = *end == '\0';
		} else if (strcmp(argv[i - 1], "--seeds") == 0) {
			first = strtoull(v, &end, 10);
			given = many = strncmp(end, "..", 2) == 0;
			last = many ? strtoull(end + 2, &end, 10) : 0;
		} else if (strcmp(argv[i - 1], "-j") == 0) {
			jobs = (unsigned)strtoul(v, NULL, 10);
		} else if (strcmp(argv[i - 1], "--each-fault") == 0) {
			each = strtoull(v, NULL, 10);
		} else if (strcmp(argv[i - 1], "--restores") == 0) {
			restores = (unsigned)strtoul(v, NULL, 10);
		} else if (strcmp(argv[i - 1], "--copies") == 0) {
			copies = (unsigned)strtoul(v, NULL, 10);
		} else if (strcmp(argv[i - 1], "--node-copies") == 0) {
			copies = (unsigned)strtoul(v, NULL, 10);
			of_nodes = true;
		} else if (strcmp(argv[i - 1], "--log") == 0) {
			log = v;
		} else {
			return usage();
		}
	}
	if (!given || jobs == 0 || (many && (last < first || last - first > 100000000)))
		return usage();
	lt_log_level_set(LT_LOG_ERROR);
	if (log != NULL)
		lt_log_level_name(log);
	else
		lt_log_level_set(
		    (enum lt_log_level) - 1); /* crashes and full disks would fill it */
	if (!take_randomness() || !sim_world_make(&world)) {
		printf("the world cannot be made: %s\n", world.why);
		return 1;
	}
	return many ? many_seeds(first, last, jobs, each, stop) : one_seed(first, verbose);
}
