#include "proto/base/log.h"
#include "proto/base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000

static _Atomic int max_level = LT_LOG_INFO;
static _Atomic uint64_t dropped;

void
lt_log_level_set(enum lt_log_level level)
{
	max_level = (int)level;
}

void
lt_log_level_name(const char *name)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			max_level = (int)i;
}

uint64_t
lt_log_dropped(void)
{
	return dropped;
}

void
lt_log(enum lt_log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES * 4 + 64];
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct timespec ts;
	struct tm tm;
	size_t n;
	va_list ap;

	if ((int)level > max_level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(
	    line + n, sizeof(line) - n, ".%03dZ %s ", (int)(ts.tv_nsec / 1000000), names[level]);
	n += lt_text_escape(line + n, sizeof(line) - n - 1, lt_slice_str(raw));
	line[n++] = '\n';
	/* A pipe that nobody reads must not stop the daemon: ask before writing. */
	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT) || write(STDERR_FILENO, line, n) < 0)
		dropped++;
}
