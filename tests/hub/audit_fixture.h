/* tests/hub/audit_fixture.h - a read audit of its own, and two who judge it. */
#ifndef LT_TESTS_HUB_AUDIT_FIXTURE_H
#define LT_TESTS_HUB_AUDIT_FIXTURE_H

#include "hub/audit.h"
#include "tests/lib/federation.h"

struct audit_world {
	struct fed f;
	struct lt_audit *a;
	int64_t wall, mono;
	struct lt_clock clock;
	char said[1 << 19]; /* by the second implementation */
};

int audit_setup(void **state);
int audit_teardown(void **state);
/* Asserts that it opens. */
void audit_begin(struct audit_world *w, uint64_t max_bytes, uint64_t segment_bytes);
void audit_stop(struct audit_world *w);
/* One call by principal who, of one unit. */
void audit_note(
    struct audit_world *w, enum lt_audit_kind kind, uint8_t who, const char *unit, uint32_t rows);
/* What the second implementation says, in w->said; true: it is good. */
bool audit_second(struct audit_world *w, const char *more);
/* What ours says. */
int audit_first(struct audit_world *w, struct lt_audit_report *r, struct lt_err *err);
/* Both say that it is good, with so many entries in so many logs. */
void audit_good(struct audit_world *w, uint64_t entries, uint32_t logs);
void audit_path(struct audit_world *w, unsigned n, char *out, size_t cap);
/* Not synced: nobody cuts the power here. */
void audit_put_file(const char *path, struct lt_slice b);

#endif
