#include "proto/base/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void
lt_secret_process(const char *program)
{
	const struct rlimit none = { 0, 0 };

	/* Where a program collects dumps, the limit is not looked at; a process that cannot be dumped is left out there, too. */
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		(void)fprintf(stderr, "%s: a crash would write the keys to a core dump: %s\n",
		    program, strerror(errno));
}
