/* lt-hub: the provincial hub. All logic is in hub/daemon.c. */
#include "hub/daemon.h"
#include "proto/base/daemon.h"

int
main(int argc, char **argv)
{
	static const struct lt_daemon_info info = {
		.name = "lt-hub",
		.usage =
		    "usage: lt-hub -C DIR\n"
		    "       lt-hub --version\n"
		    "Serve the hub whose data directory is DIR (made by: ltctl -C DIR hub init).\n",
		.serve = lt_hub_serve,
	};

	return lt_daemon_main(&info, argc, argv);
}
