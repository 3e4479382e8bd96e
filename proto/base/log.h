/* proto/base/log.h - one line a message on stderr, never blocking the daemon for long.
 *
 * Format: ISO time, level, text. Control characters and bytes that are not UTF-8 are escaped as
 * \xNN, a line is cut at 1,000 bytes. stderr is written with a non-blocking write; what does not
 * fit is dropped and counted. Any thread. Nothing personal and no secret goes into a log.
 */
#ifndef LT_BASE_LOG_H
#define LT_BASE_LOG_H

#include <stdint.h>

enum lt_log_level { LT_LOG_ERROR, LT_LOG_WARN, LT_LOG_INFO, LT_LOG_DEBUG };

void lt_log_level_set(enum lt_log_level level);
/* "error", "warn", "info" or "debug"; another word changes nothing. */
void lt_log_level_name(const char *name);
void lt_log(enum lt_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Lines dropped because stderr did not take them. */
uint64_t lt_log_dropped(void);

#define lt_error(...) lt_log(LT_LOG_ERROR, __VA_ARGS__)
#define lt_warn(...) lt_log(LT_LOG_WARN, __VA_ARGS__)
#define lt_info(...) lt_log(LT_LOG_INFO, __VA_ARGS__)
#define lt_debug(...) lt_log(LT_LOG_DEBUG, __VA_ARGS__)

#endif
