#include "tests/sim/bugs.h"
#include "proto/base/simbug.h"

#ifdef LT_SIM_BUGS
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lt_sim_bug;

static const char *const name[] = {
#define BUG(name, text) #name,
	LT_SIM_BUG_LIST(BUG)
#undef BUG
};

void
sim_bug_arm(void)
{
	const char *wanted = getenv("LT_SIM_BUG");
	size_t i;

	for (i = 0; wanted != NULL && i < sizeof(name) / sizeof(name[0]); i++)
		if (strcmp(name[i], wanted) == 0)
			lt_sim_bug = (int)i + 1;
	if (wanted != NULL && lt_sim_bug == LT_SIM_BUG_NONE) {
		(void)fprintf(stderr, "no bug is called %s\n", wanted);
		exit(2);
	}
}
#else
void
sim_bug_arm(void)
{
}
#endif
