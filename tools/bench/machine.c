#include "tools/bench/bench.h"

#include <fcntl.h>
#include <lmdb.h>
#include <nng/nng.h>
#include <protobuf-c/protobuf-c.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SYNCS 201

/* The value of a "name : value" or "name: value" line of a file of /proc. */
static void
line_of(const char *path, const char *name, char *out, size_t cap)
{
	char line[512];
	FILE *f = fopen(path, "r");

	(void)snprintf(out, cap, "unknown");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *v = strchr(line, ':');

		if (v == NULL || strncmp(line, name, strlen(name)) != 0)
			continue;
		v += 1 + strspn(v + 1, " \t");
		v[strcspn(v, "\n")] = '\0';
		(void)snprintf(out, cap, "%s", v);
		break;
	}
	(void)fclose(f);
}

static bool
is_rotating(dev_t dev)
{
	char path[128];
	FILE *f;
	int c;

	(void)snprintf(
	    path, sizeof(path), "/sys/dev/block/%u:%u/queue/rotational", major(dev), minor(dev));
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	c = fgetc(f);
	(void)fclose(f);
	return c == '1';
}

/* "... MAJ:MIN ... - TYPE SOURCE ..." of the mount that holds the folder. */
static void
describe_disk(const char *dir, char *out, size_t cap)
{
	char line[1024], want[32], type[32], source[96];
	struct stat st;
	FILE *f = fopen("/proc/self/mountinfo", "r");

	(void)snprintf(out, cap, "unknown");
	if (f == NULL || stat(dir, &st) != 0) {
		if (f != NULL)
			(void)fclose(f);
		return;
	}
	(void)snprintf(want, sizeof(want), " %u:%u ", major(st.st_dev), minor(st.st_dev));
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *p = strstr(line, " - ");

		if (strstr(line, want) == NULL || p == NULL ||
		    sscanf(p, " - %31s %95s", type, source) != 2)
			continue;
		(void)snprintf(out, cap, "%s on %s, %s", type, source,
		    is_rotating(st.st_dev) ? "rotating" : "not rotating");
	}
	(void)fclose(f);
}

static int
measure_sync(struct bench *b, double *median_us)
{
	char path[BENCH_PATH];
	uint8_t page[4096];
	int64_t took[SYNCS];
	int fd, i, rc = LT_OK;

	bench_path(b, "sync", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return lt_err_set(&b->err, LT_E_IO, "cannot write in '%s'", b->dir);
	randombytes_buf(page, sizeof(page));
	for (i = 0; rc == LT_OK && i < SYNCS; i++) {
		int64_t from = bench_now_ns();

		if (pwrite(fd, page, sizeof(page), (off_t)i * 4096) != 4096 || fdatasync(fd) != 0)
			rc = lt_err_set(&b->err, LT_E_IO, "cannot write in '%s'", b->dir);
		took[i] = bench_now_ns() - from;
	}
	(void)close(fd);
	(void)unlink(path);
	if (rc == LT_OK)
		*median_us = (double)bench_percentile(took, SYNCS, 50) / 1000;
	return rc;
}

int
bench_machine(struct bench *b, struct bench_machine *m)
{
	struct utsname u;
	double load[1] = { 0 };
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	memset(m, 0, sizeof(*m));
	(void)getloadavg(load, 1);
	m->load = load[0];
	m->cores = b->cores;
	line_of("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	m->memory_mib = (uint64_t)pages * (uint64_t)page >> 20;
	if (uname(&u) == 0)
		(void)snprintf(m->kernel, sizeof(m->kernel), "%.40s %.40s", u.release, u.machine);
	describe_disk(b->dir, m->disk, sizeof(m->disk));
	(void)snprintf(m->versions, sizeof(m->versions),
	    "lienthong %s, LMDB %d.%d.%d, libsodium %s, nng %s, protobuf-c %s, compiler %s, %s",
	    LT_VERSION, MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH,
	    sodium_version_string(), nng_version(), protobuf_c_version(), __VERSION__,
	    LT_BUILD_TYPE);
	return measure_sync(b, &m->sync_us);
}

/* ---- others ---- */

/* Seconds in which any core worked since the start of the machine: user, nice, system, interrupts, and what the host took. */
static double
busy_seconds(void)
{
	char line[512] = "", *p = line + 4, *end;
	double field, sum = 0;
	FILE *f = fopen("/proc/stat", "r");
	unsigned i;

	if (f == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) == NULL || strncmp(line, "cpu ", 4) != 0)
		line[4] = '\0';
	(void)fclose(f);
	for (i = 0; i < 8; i++, p = end) {
		field = strtod(p, &end);
		if (i != 3 && i != 4) /* idle, waiting for a disk */
			sum += field;
	}
	return sum / (double)sysconf(_SC_CLK_TCK);
}

static double
seconds_of(int who)
{
	struct rusage u;

	if (getrusage(who, &u) != 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void
bench_others_begin(struct bench_machine *m)
{
	m->busy_s = busy_seconds();
	m->own_s = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN);
	m->from_ns = bench_now_ns();
}

void
bench_others_end(struct bench_machine *m)
{
	double busy = busy_seconds() - m->busy_s;
	double own = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN) - m->own_s;

	m->others = (busy - own) / bench_seconds(bench_now_ns() - m->from_ns);
	if (m->others < 0)
		m->others = 0; /* clock ticks are coarse */
}
