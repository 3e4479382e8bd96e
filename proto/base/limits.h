/* proto/base/limits.h - every limit that two programs must agree on, in one place.
 * Sources: design of lienthong section 5; FORMAT.md 2, 3 and 6. */
#ifndef LT_BASE_LIMITS_H
#define LT_BASE_LIMITS_H

#define LT_KEY_MAX 256 /* bytes of a record key */
#define LT_NAME_MAX 64 /* bytes of a field or collection name */
#define LT_FIELDS_MAX 256 /* fields set, cleared and personal in one change */
#define LT_VALUE_MAX 65536 /* bytes of one value: 64 KiB */
#define LT_RECORD_MAX 524288 /* bytes of a merge row, siblings included: 512 KiB */
#define LT_CHANGES_MAX 1024 /* changes in a change-set */
#define LT_CHANGESET_MAX 524288 /* bytes of a ChangeSet without openings: 512 KiB */
#define LT_MESSAGE_MAX 1048576 /* bytes of one message after decompression: 1 MiB */
#define LT_CONTEXT_MAX 64 /* context entries of a change */
#define LT_SET_ITEMS_MAX 1024 /* items of a text set */
#define LT_UNIT_MAX 8 /* bytes of a unit code */
#define LT_DEPTH_MAX 8 /* nesting of protobuf messages */
#define LT_REPEATED_MAX 65536 /* occurrences of repeated fields in one message, all together */
#define LT_DECIMAL_SCALE_MAX 18
#define LT_FRAME_PAYLOAD_MAX 16384
#define LT_LINE_STRANGER_MAX 1024 /* bytes parsed from a peer that is not yet known */
#define LT_PUSH_MAX 64 /* change-sets in one Push */
#define LT_ANNOUNCE_MAX \
	32 /* own feeds a node announces; what stands behind is not held for fresh */
#define LT_IMPORT_ROWS_MAX 256 /* rows in one Import call */
#define LT_REQUEST_ID_MAX 64 /* bytes of a request's id */
/* Requests to write that are known again (table request), and how long at least if there are no more of them. */
#define LT_REQUESTS_MAX 65536
#define LT_REQUEST_KEEP_MS (INT64_C(30) * 24 * 3600 * 1000)
#define LT_METADATA_MAX 16 /* pairs in the head of a request */
#define LT_METADATA_KEY_MAX 64
#define LT_METADATA_VALUE_MAX 256
#define LT_RESUME_TOKEN_MAX 128 /* bytes of a resume token (FORMAT.md 6.10) */
#define LT_RESUME_POSITION_MAX 111 /* of the position in it: what version and code leave */
#define LT_LOCALIZED_MAX 4 /* languages of a status that are looked at */

#define LT_ID_LEN 16
#define LT_FED_LEN 32
#define LT_HASH_LEN 32
#define LT_SIG_LEN 64
#define LT_FEED_LEN 25
#define LT_SALT_LEN 16

#endif
