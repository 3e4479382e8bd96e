#include "proto/base/secret.h"
#include "tools/ctl.h"

int
main(int argc, char **argv)
{
	lt_secret_process("ltctl");
	return ctl_main(argc, argv);
}
