/* Reads one past the end of what it allocated; without the address sanitizer nobody notices. */
#include <stdlib.h>

int
main(int argc, char **argv)
{
	volatile unsigned char *p = malloc((size_t)argc);
	int past;

	(void)argv;
	if (p == NULL)
		return 0;
	p[0] = 1;
	past = p[argc];
	free((void *)p);
	return past == 256 ? 1 : 0;
}
