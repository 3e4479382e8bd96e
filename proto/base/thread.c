#include "proto/base/thread.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#ifdef __linux__
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define NAME_ROOM 16
#define NICE_MAX 19

#define SLICE_NS 100000 /* the least that the kernel takes */

/* As in linux/sched/types.h, its first version: the library has no call of its own for it. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static bool
set_attr(pid_t thread, uint32_t policy, int nice, uint64_t slice_ns)
{
	struct attr a = { .size = sizeof(a), .policy = policy, .nice = nice, .runtime = slice_ns };

	return syscall(SYS_sched_setattr, thread, &a, 0) == 0;
}

void
lt_thread_brief(void)
{
	int own;

	errno = 0;
	own = getpriority(PRIO_PROCESS, 0);
	if (own != -1 || errno == 0)
		(void)set_attr(0, SCHED_OTHER, own, SLICE_NS);
}

void
lt_thread_begin(const char *name, int nice_by)
{
	char text[NAME_ROOM];
	int own, want;

	(void)snprintf(text, sizeof(text), "%s", name);
	(void)pthread_setname_np(pthread_self(), text);
	if (nice_by == 0)
		return;
	/* Counted from the main thread: whoever begins this one may be low already. */
	errno = 0;
	own = getpriority(PRIO_PROCESS, (id_t)getpid());
	if (own == -1 && errno != 0)
		return;
	want = own + nice_by < NICE_MAX ? own + nice_by : NICE_MAX;
	if (!set_attr(0, SCHED_BATCH, want, 0))
		(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), want);
}
#else
void
lt_thread_brief(void)
{
}

void
lt_thread_begin(const char *name, int nice_by)
{
	(void)name;
	(void)nice_by;
}
#endif

unsigned
lt_thread_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	/* Fails where there are more than the set has room for. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}
