/* lt-node: the node of a commune. All logic is in node/daemon.c. */
#include "node/daemon.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: lt-node -C DIR\n"
    "       lt-node --version\n"
    "Serve the node whose data directory is DIR (made by: ltctl -C DIR node init INVITATION).\n";

int
main(int argc, char **argv)
{
	sigset_t set;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("lt-node " LT_VERSION) < 0 || fflush(stdout) != 0;
	if (argc != 3 || strcmp(argv[1], "-C") != 0) {
		(void)fputs(usage, stderr);
		return 2;
	}
	/* Before any thread starts: they inherit the mask, and one place waits for signals. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0) {
		(void)fputs("lt-node: no secure randomness on this machine\n", stderr);
		return 1;
	}
	return lt_node_serve(argv[2]);
}
