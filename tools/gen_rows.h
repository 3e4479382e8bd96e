/* tools/gen_rows.h - invented records for demonstrations and load tests, as JSON lines.
 *
 * Deterministic: the same options give the same bytes on every machine. Nobody in them exists: every name
 * holds "Mẫu", identity numbers begin with 099 (no province has that), telephone numbers with 0000.
 * Procedure names and codes are examples after the national list.
 */
#ifndef LT_TOOLS_GEN_ROWS_H
#define LT_TOOLS_GEN_ROWS_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdint.h>

#define LT_GEN_COUNT_MAX 100000u
#define LT_GEN_OPEN_DAYS_MAX 365u
#define LT_GEN_END_OF_DAY (17 * 60 + 30) /* minutes: the office is closed */

struct lt_gen_options {
	const char *unit; /* five digits */
	const char *agency; /* dossiers: agency part of the code; NULL: H41 and the unit's digits */
	int32_t day; /* days since 1970 */
	uint32_t count; /* dossiers of the whole day; households */
	uint32_t
	    open_days; /* dossiers: how far back those still open in the morning were received; 0: none */
	uint32_t until; /* dossiers: state at this minute of the day; 0: LT_GEN_END_OF_DAY */
	uint32_t first; /* households: number of the first; 0: 101 */
	uint64_t seed;
};

/* A commune's working day: what was received today and what was still open in the morning, each as it stands at
 * `until`. The same seed with a later `until` moves the same dossiers on by allowed transitions.
 * Appended to out, one JSON object a line. LT_E_USAGE with words; LT_E_NOMEM. */
int lt_gen_dossiers(const struct lt_gen_options *o, struct lt_buf *out, struct lt_err *err);
/* Poor and near-poor households, reviewed in the weeks before `day`. */
int lt_gen_households(const struct lt_gen_options *o, struct lt_buf *out, struct lt_err *err);

#endif
