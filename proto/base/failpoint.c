#include "proto/base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *lt_failpoint_armed;
static char armed_name[64];
static atomic_long countdown;

/* A text that is no name or has a count below 1 arms nothing, but says so: a test that believes it
 * kills and does not would pass on nothing. */
__attribute__((constructor)) static void
arm(void)
{
	const char *text = secure_getenv("LIENTHONG_FAILPOINT");
	const char *colon;
	char *end = NULL;
	size_t len;
	long n = 1;

	if (text == NULL || text[0] == '\0')
		return;
	colon = strchr(text, ':');
	len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	if (colon != NULL)
		n = strtol(colon + 1, &end, 10);
	if (len == 0 || len >= sizeof(armed_name) || n < 1 ||
	    (colon != NULL && (end == colon + 1 || *end != '\0'))) {
		(void)fprintf(stderr, "LIENTHONG_FAILPOINT is not name[:count]: ignored\n");
		return;
	}
	memcpy(armed_name, text, len);
	atomic_store(&countdown, n);
	lt_failpoint_armed = armed_name;
}

void
lt_failpoint_pass(const char *name)
{
	if (strcmp(name, armed_name) != 0 || atomic_fetch_sub(&countdown, 1) != 1)
		return;
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}
