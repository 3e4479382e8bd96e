/* lt-hub: the provincial hub. All logic is in hub/daemon.c. */
#include "hub/daemon.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: lt-hub -C DIR\n"
    "       lt-hub --version\n"
    "Serve the hub whose data directory is DIR (made by: ltctl -C DIR hub init).\n";

int
main(int argc, char **argv)
{
	sigset_t set;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("lt-hub " LT_VERSION) < 0 || fflush(stdout) != 0;
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
		(void)fputs("lt-hub: no secure randomness on this machine\n", stderr);
		return 1;
	}
	return lt_hub_serve(argv[2]);
}
