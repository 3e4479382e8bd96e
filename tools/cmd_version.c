#include "tools/ctl.h"

enum ctl_exit
cmd_version(struct ctl *c, int argc, char **argv)
{
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 0, 0);

	if (code == CTL_DONE)
		printf("ltctl %s\n", LT_VERSION);
	return code;
}
