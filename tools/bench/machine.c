#include "tools/bench/bench.h"

#include <fcntl.h>
#include <lmdb.h>
#include <nng/nng.h>
#include <protobuf-c/protobuf-c.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
