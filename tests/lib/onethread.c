/* Preloaded, in the plain build, into tests that are said to have one thread: a second one ends them. For such tests the thread sanitizer has
 * nothing to say, and its build leaves them out (tests/CMakeLists.txt, lt_one_thread). */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	static const char text[] =
	    "a second thread: take this test off lt_one_thread() in tests/CMakeLists.txt\n";

	(void)thread;
	(void)attr;
	(void)run;
	(void)arg;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}
