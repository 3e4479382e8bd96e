/* Nothing wrong: every gate lets this through. */
#include <pthread.h>
#include <stdlib.h>

static int sum;

static void *
work(void *arg)
{
	sum += *(const int *)arg;
	return NULL;
}

int
main(int argc, char **argv)
{
	int *one = malloc(sizeof(*one));
	pthread_t t;

	(void)argv;
	if (one == NULL)
		return 1;
	*one = argc;
	if (pthread_create(&t, NULL, work, one) != 0)
		return 1;
	(void)pthread_join(t, NULL);
	free(one);
	return sum == argc ? 0 : 1;
}
