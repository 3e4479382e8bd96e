#include "tests/node/lists.h"
#include "proto/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct lt_buf
read_file(const char *path)
{
	struct lt_buf b = { 0 };
	struct lt_err err = { "" };

	if (lt_file_read(path, (size_t)16 * 1024 * 1024, &b, &err) != LT_OK)
		fail_msg("%s", err.text);
	return b;
}
