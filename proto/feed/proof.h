/* proto/feed/proof.h - check the history of one record with its proof (FORMAT.md 11). Pure: bytes and a root key in.
 *
 * What passes was signed by the authors that it names and judged by a hub that the root key certified. That nothing was left
 * out, or that nothing newer exists, no proof says.
 */
#ifndef LT_FEED_PROOF_H
#define LT_FEED_PROOF_H

#include "proto/feed/changeset.h"

#include "lienthong/v1/proof.pb-c.h"
#include "lienthong/v1/trust.pb-c.h"

#define LT_PROOF_VERSION 1
/* Bytes of a proof: what fits an answer with room for the call around it. */
#define LT_PROOF_MAX (LT_MESSAGE_MAX - 16 * 1024)
/* For lt_proof_check(): what a proof of LT_PROOF_MAX unpacks to, with the tables made of it. */
#define LT_PROOF_ARENA ((size_t)128 * 1024 * 1024)

/* Why a file is no proof: code, English, Vietnamese. */
#define LT_PROOF_FAULTS(X) \
	X(NONE, LT_OK, "it holds", "đúng") \
	X(MEMORY, LT_E_NOMEM, "out of memory", "hết bộ nhớ") \
	X(FORM, LT_E_INVALID, "it is no proof, or it is damaged", \
	    "không phải tệp chứng cứ, hoặc đã hỏng") \
	X(SPELLING, LT_E_INVALID, "it is damaged: bytes that no proof has", \
	    "tệp bị hỏng: có byte không thuộc chứng cứ") \
	X(NEWER, LT_E_VERSION, "it is of another version of the format", \
	    "thuộc phiên bản định dạng khác") \
	X(FEDERATION, LT_E_DENIED, "a part is of another federation than the root key's", \
	    "có phần thuộc liên thông khác với khóa gốc") \
	X(CERTIFICATE, LT_E_BADSIG, "a hub's certificate is not signed by this root key", \
	    "chứng thư đầu mối không do khóa gốc này ký") \
	X(PATH, LT_E_BADHASH, "a change is not one of the change-set it is shown with", \
	    "một thay đổi không thuộc gói đi kèm") \
	X(SIGNATURE, LT_E_BADSIG, "a change-set is not signed by the key of its author", \
	    "một gói không do khóa của tác giả ký") \
	X(RECORD, LT_E_DENIED, "a change is of another record", "một thay đổi thuộc bản ghi khác") \
	X(OPENING, LT_E_BADHASH, "a personal value is not the one that was committed to", \
	    "một giá trị cá nhân không phải giá trị đã cam kết") \
	X(AUTHOR, LT_E_UNKNOWN, "the hub did not register the author with this key", \
	    "đầu mối chưa đăng ký tác giả với khóa này") \
	X(REVOKED, LT_E_DENIED, "the author or its key was not valid when the hub judged", \
	    "tác giả hoặc khóa không còn hiệu lực khi đầu mối phán quyết") \
	X(NO_VERDICT, LT_E_UNKNOWN, "the hub's verdict on a change is missing", \
	    "thiếu phán quyết của đầu mối về một thay đổi") \
	X(VERDICTS, LT_E_INVALID, "two verdicts speak of one change-set", \
	    "hai phán quyết về cùng một gói") \
	X(ACT, LT_E_INVALID, "an act of the hub is not what such an act looks like", \
	    "một văn bản của đầu mối không đúng dạng") \
	X(CHAIN, LT_E_GAP, "the chain from a change-set to what the hub signed is broken", \
	    "chuỗi từ một gói tới chỗ đầu mối ký bị đứt") \
	X(RECEIPT, LT_E_BADSIG, "a receipt is not the hub's, or of none of these change-sets", \
	    "một biên nhận không phải của đầu mối, hoặc không thuộc các gói này") \
	X(CONTEXT, LT_E_GAP, "a change names an earlier one that is left out", \
	    "một thay đổi nhắc tới thay đổi trước đó đã bị bỏ ra") \
	X(ORDER, LT_E_INVALID, "its parts are out of order, or one stands twice", \
	    "các phần sai thứ tự, hoặc có phần lặp lại") \
	X(USELESS, LT_E_INVALID, "it holds a part that proves nothing here", \
	    "có phần không chứng minh điều gì ở đây")

#define LT_PROOF_ENUM(name, code, en, vi) LT_PROOF_##name,
enum lt_proof_fault { LT_PROOF_FAULTS(LT_PROOF_ENUM) LT_PROOF_FAULT_COUNT };
#undef LT_PROOF_ENUM

const char *lt_proof_fault_text(enum lt_proof_fault f, bool vietnamese);

enum lt_proof_state { LT_PROOF_ACCEPTED, LT_PROOF_REFUSED, LT_PROOF_HELD };

struct lt_proof_change {
	uint32_t index;
	struct lt_change change;
	struct lt_opening *opening; /* change.npersonal of them */
	enum lt_proof_state state;
	Ltpb__ReasonCode reason; /* when refused */
};

/* One change-set. */
struct lt_proof_part {
	struct lt_changeset cs; /* of the header and signature only */
	uint32_t change_count; /* in the change-set */
	struct lt_hash changes_root;
	size_t nchange; /* of them here */
	struct lt_proof_change *change;
	/* Of record parts: */
	bool by_hub;
	const char *label; /* of the author, as the hub registered it; "" for none */
	uint64_t effective; /* stamp */
	uint64_t judged; /* stamp of the hub's verdict; 0 for a hub's own */
	bool receipted;
	int64_t since_ms; /* the hub held it since then at the latest */
};

/* Everything lives in the arena or borrows from the bytes. */
struct lt_proof {
	const char *collection, *unit, *key;
	struct lt_fed federation;
	size_t nrecord;
	struct lt_proof_part *record; /* by feed and seq */
	size_t nverdict, nregistry, nlink, nreceipt, ncertificate;
	size_t nwithheld; /* leaves without their values */
	enum lt_proof_fault fault;
};

/* LT_OK: it holds. Else the fault's code, fault set, and err says in English what and where; the rest of *out is not to be
 * looked at. arena: LT_PROOF_ARENA. Any thread. */
int lt_proof_check(struct lt_slice bytes, const uint8_t root_key[32], struct lt_arena *arena,
    struct lt_proof *out, struct lt_err *err) __attribute__((warn_unused_result));

#endif
