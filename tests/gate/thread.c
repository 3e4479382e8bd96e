/* Two threads write one number, no lock; without the thread sanitizer nobody notices. */
#include <pthread.h>

#define TIMES 10000

static volatile int number;

static void *
work(void *arg)
{
	int i;

	for (i = 0; i < TIMES; i++)
		number = number + 1;
	return arg;
}

int
main(void)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, work, NULL) != 0)
			return 0;
	for (i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	return 0;
}
