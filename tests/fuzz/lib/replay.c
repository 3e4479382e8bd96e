/* tests/fuzz/lib/replay.c - main of a fuzz target in builds without libFuzzer: runs kept inputs.
 *
 *     fuzz_wire [-m N] FILE|FOLDER...   each file, and N mutants of it (0 unless told)
 *
 * Prints how many ran. Exit 0; 3: nothing to run, or not readable. A finding aborts; the name of the input that
 * did it stands on stderr.
 */
#include "tests/fuzz/lib/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)4 * 1024 * 1024)
#define GROW_MAX 4096

extern int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
    __attribute__((weak));

static struct fuzz_rng rng = { 1 };
static unsigned mutants;
static size_t ran;
static char running[4096];

/* Bytes as a fuzzer would change them: flip, set, insert, cut, repeat. */
size_t
LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	size_t at = fuzz_below(&rng, size), n;

	switch (fuzz_below(&rng, 5)) {
	case 0:
		if (size != 0)
			data[at] ^= (uint8_t)(1u << fuzz_below(&rng, 8));
		return size;
	case 1:
		if (size != 0)
			data[at] = (uint8_t)fuzz_next(&rng);
		return size;
	case 2:
		if (size >= max_size)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = (uint8_t)fuzz_next(&rng);
		return size + 1;
	case 3:
		if (size == 0)
			return size;
		n = 1 + fuzz_below(&rng, size - at < 8 ? size - at : 8);
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	default:
		n = fuzz_below(&rng, size - at < 32 ? size - at : 32);
		if (size + n > max_size)
			return size;
		memmove(data + at + n, data + at, size - at);
		return size + n;
	}
}

static void
run(const uint8_t *data, size_t size)
{
	uint8_t *exact = fuzz_copy(lt_slice(data, size));

	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	ran++;
}

static void
run_mutants(const uint8_t *data, size_t size)
{
	size_t max = size + GROW_MAX, n = size;
	uint8_t *p = malloc(max);
	unsigned i;

	FUZZ_MUST(p != NULL);
	if (size != 0)
		memcpy(p, data, size);
	for (i = 0; i < mutants; i++) {
		if (i % 8 == 0) { /* not ever further from what was meant */
			n = size;
			if (size != 0)
				memcpy(p, data, size);
		}
		n = LLVMFuzzerCustomMutator != NULL ? LLVMFuzzerCustomMutator(p, n, max, i)
						    : LLVMFuzzerMutate(p, n, max);
		run(p, n);
	}
	free(p);
}

static bool
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(INPUT_MAX);
	size_t n;

	if (f == NULL || p == NULL) {
		if (f != NULL)
			(void)fclose(f);
		free(p);
		(void)fprintf(stderr, "cannot read %s\n", path);
		return false;
	}
	(void)snprintf(running, sizeof(running), "%s", path);
	n = fread(p, 1, INPUT_MAX, f);
	(void)fclose(f);
	run(p, n);
	run_mutants(p, n);
	free(p);
	return true;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool
run_path(const char *path)
{
	char name[4096];
	struct dirent **entry = NULL;
	struct stat st;
	bool ok = true;
	int i, n;

	if (stat(path, &st) != 0)
		return true; /* a target without regressions has no such folder */
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	n = scandir(path, &entry, NULL, by_name);
	for (i = 0; i < n; i++) {
		if (entry[i]->d_name[0] != '.') {
			(void)snprintf(name, sizeof(name), "%s/%s", path, entry[i]->d_name);
			ok = run_file(name) && ok;
		}
		free(entry[i]);
	}
	free(entry);
	return ok && n >= 0;
}

/* Only what a signal handler may call. */
static void
on_signal(int sig)
{
	static const char text[] = "the input: ";

	(void)!write(2, text, sizeof(text) - 1);
	(void)!write(2, running, strlen(running));
	(void)!write(2, "\n", 1);
	_exit(128 + sig);
}

int
main(int argc, char **argv)
{
	bool ok = true;
	int i;

	if (LLVMFuzzerInitialize != NULL)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	(void)signal(SIGABRT, on_signal);
	(void)signal(SIGSEGV, on_signal);
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
			mutants = (unsigned)strtoul(argv[++i], NULL, 10);
		else
			ok = run_path(argv[i]) && ok;
	}
	(void)printf("%zu inputs\n", ran);
	return ok && ran != 0 ? 0 : 3;
}
