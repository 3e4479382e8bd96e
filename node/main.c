/* lt-node: the node of a commune. All logic is in node/daemon.c. */
#include "node/daemon.h"
#include "proto/base/daemon.h"

int
main(int argc, char **argv)
{
	static const struct lt_daemon_info info = {
		.name = "lt-node",
		.usage = "usage: lt-node -C DIR\n"
			 "       lt-node --version\n"
			 "Serve the node whose data directory is DIR (made by: ltctl -C DIR node "
			 "init INVITATION).\n",
		.serve = lt_node_serve,
	};

	return lt_daemon_main(&info, argc, argv);
}
