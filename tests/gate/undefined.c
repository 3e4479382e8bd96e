/* Adds past the greatest int; without the undefined-behaviour sanitizer nobody notices. */
#include <limits.h>

int
main(int argc, char **argv)
{
	volatile int n = INT_MAX;

	(void)argv;
	n += argc;
	return n == 0 ? 1 : 0;
}
