/* proto/base/secret.h - a process that holds keys, and what the system would otherwise show of it. */
#ifndef LT_BASE_SECRET_H
#define LT_BASE_SECRET_H

/* No core dump, neither as a file nor to a program that collects them, and no other process of the same user may look into this one's
 * memory (core(5), PR_SET_DUMPABLE in prctl(2)). First thing in main(), before a key is read; children inherit the former. Tells on standard
 * error what the system would not do, and goes on: a commune must not stand still for it. */
void lt_secret_process(const char *program);

#endif
