#include "proto/rpc/status_impl.h"

#include "proto/base/text.h"

#include <stdio.h>
#include <string.h>

#define ANY (-1)

/* A sentence stands by itself: what happened; what to do. An undertaking only says what was asked for, and what the
 * code says follows. A row with a code comes before the row of the same reason without one. */
struct words {
	const char *reason;
	int code;
	bool undertaking;
	const char *vi;
};

static const struct words by_reason[] = {
	/* writing */
	{ "REFUSED", ANY, false,
	    "dữ liệu không hợp quy tắc của danh mục; hãy sửa lại rồi ghi lần nữa" },
	{ "WRITE", LT_STATUS_PERMISSION_DENIED, false,
	    "nơi này không có thẩm quyền ghi loại hồ sơ này; hãy nhờ cơ quan có thẩm quyền ghi" },
	{ "WRITE", LT_STATUS_ABORTED, false,
	    "bản ghi không còn như lúc đọc (vừa được sửa, đã có, hoặc chưa có); hãy đọc lại bản "
	    "ghi rồi quyết định" },
	{ "WRITE", LT_STATUS_NOT_FOUND, false, "không có bản ghi này; hãy xem lại khóa" },
	{ "WRITE", LT_STATUS_INVALID_ARGUMENT, false,
	    "bản ghi sai định dạng hoặc quá lớn; hãy xem lại dữ liệu, bớt nội dung rồi ghi lại" },
	{ "WRITE", ANY, true, "không ghi được bản ghi" },
	{ "NO_CATALOGUE", ANY, false,
	    "danh mục chưa từ đầu mối về máy này; hãy nối mạng với đầu mối một lần rồi ghi lại" },
	{ "FOREIGN_UNIT", ANY, false,
	    "máy này không ghi cho đơn vị khác; hãy ghi ở máy của đơn vị đó" },
	{ "UNKNOWN_COLLECTION", ANY, false,
	    "danh mục không có loại hồ sơ này; hãy xem lại tên, hoặc nối mạng để nhận danh mục "
	    "mới" },
	{ "UNIT", ANY, false, "mã đơn vị không đúng; hãy xem lại mã" },
	{ "REQUEST_ID", ANY, false,
	    "mã yêu cầu không đúng dạng; hãy dùng chương trình cùng phiên bản với nơi trả lời" },
	{ "METADATA", ANY, false,
	    "thông tin kèm yêu cầu quá nhiều, quá dài hoặc sai dạng; hãy bớt đi rồi gửi lại" },
	{ "ROWS", ANY, false,
	    "số dòng của một lần nhập không đúng; hãy chia thành các lần nhỏ hơn (--batch)" },
	{ "IMPORT", LT_STATUS_ABORTED, false,
	    "có bản ghi vừa được sửa ở nơi khác; hãy nhập lại, dòng đã ghi không bị ghi hai lần" },
	{ "IMPORT", ANY, true, "không nhập được dữ liệu" },
	/* reading */
	{ "RECORD_REFUSED", ANY, false,
	    "không có bản ghi này: đầu mối đã từ chối nội dung ghi ở máy này; hãy xem bằng 'ltctl "
	    "history', sửa lại rồi ghi lần nữa" },
	{ "RECORD_HELD", ANY, false,
	    "chưa có bản ghi này: đầu mối đang giữ nội dung ghi ở máy này, chờ dữ liệu trước đó; "
	    "hãy chờ, không phải ghi lại" },
	{ "NOT_FOUND_DAMAGED", ANY, false,
	    "không tìm thấy; nhưng kho dữ liệu ở đây đang hỏng và chưa sửa xong, nên có thể vẫn "
	    "có; "
	    "hãy xem 'ltctl scrub --last'" },
	{ "QUERY", LT_STATUS_NOT_FOUND, false,
	    "không có bản ghi hoặc loại hồ sơ này, hoặc không được xem; hãy xem lại tên và khóa" },
	{ "QUERY", LT_STATUS_PERMISSION_DENIED, false,
	    "không được xem nội dung này; hãy bỏ bớt trường hoặc đơn vị, hay xin tỉnh cấp quyền" },
	{ "QUERY", LT_STATUS_INVALID_ARGUMENT, false,
	    "câu hỏi không đúng; hãy xem lại tên trường, điều kiện lọc và cách gộp" },
	{ "QUERY", LT_STATUS_UNAVAILABLE, false,
	    "các bảng tra cứu của đầu mối đang được dựng lại; hãy thử lại sau ít phút" },
	{ "QUERY", ANY, true, "không tra cứu được" },
	{ "SCRUB", ANY, true, "không kiểm tra được kho dữ liệu" },
	{ "REBUILD", LT_STATUS_DATA_LOSS, false,
	    "nhật ký bị hỏng, phần lấy từ đó không dựng lại được; hãy xem 'ltctl scrub --last' và "
	    "gọi "
	    "người phụ trách" },
	{ "REBUILD", ANY, true, "không dựng lại được các bảng dẫn xuất" },
	{ "NO_AUDIT", ANY, false,
	    "đầu mối này không giữ nhật ký truy cập; hãy hỏi người vận hành đầu mối" },
	{ "AUDIT_UNIT", ANY, false,
	    "máy xã chỉ được xem nhật ký truy cập của xã mình; hãy hỏi mã xã của máy này" },
	{ "AUDIT_EXPIRED", ANY, false,
	    "mục này đã quá hạn lưu trong nhật ký truy cập; hãy xem 'ltctl audit list' để biết còn "
	    "giữ từ khi nào" },
	{ "AUDIT_ENTRY", LT_STATUS_NOT_FOUND, false,
	    "không có mục này dưới một đầu chuỗi đã ký: không hề có, hoặc mới ghi chưa tới một "
	    "giây; hãy thử lại sau" },
	{ "AUDIT_ENTRY", ANY, true, "không lấy được bằng chứng của mục nhật ký truy cập" },
	{ "AUDIT", LT_STATUS_PERMISSION_DENIED, false,
	    "nhật ký truy cập chỉ dành cho người vận hành có quyền inspect với '_'; hãy xin cấp "
	    "quyền" },
	{ "AUDIT", ANY, true, "không đọc được nhật ký truy cập" },
	{ "RECOVERY", LT_STATUS_NOT_FOUND, false,
	    "đầu mối không còn chờ máy nào của đơn vị này; hãy xem 'ltctl recovery'" },
	{ "RECOVERY", ANY, true, "không xem hoặc không đổi được việc chờ sau khôi phục" },
	{ "FRESHNESS", ANY, false, "máy của xã không biết độ mới của nơi khác; hãy hỏi đầu mối" },
	{ "HUB_ONLY", ANY, false, "việc này chỉ đầu mối trả lời; hãy hỏi đầu mối" },
	{ "RECEIPTS", LT_STATUS_UNIMPLEMENTED, false,
	    "biên nhận được giữ ở máy của xã; hãy hỏi ở máy đó" },
	{ "RECEIPTS", ANY, true, "không xem được biên nhận" },
	{ "STATUS", ANY, true, "không xem được tình trạng" },
	{ "NODES", ANY, true, "không xem được danh sách máy" },
	{ "FEEDS", ANY, true, "không xem được danh sách luồng" },
	{ "LOG", ANY, true, "không xem được nhật ký" },
	{ "FORKS", ANY, true, "không xem được danh sách rẽ nhánh" },
	{ "CHECKPOINT", ANY, true, "không xem được điểm mốc" },
	/* who may ask, enrolment */
	{ "METHOD", ANY, false,
	    "không được phép làm việc này ở đây; hãy hỏi người vận hành đầu mối" },
	{ "NOT_A_PRINCIPAL", ANY, false,
	    "đầu mối chưa nhận máy này; hãy nhờ người vận hành đầu mối chấp nhận" },
	{ "LOCAL", ANY, false, "chỉ máy khác mới xin tham gia được; hãy xin từ máy đó" },
	{ "JOIN_NOT_ACCEPTED", ANY, false,
	    "thư mời không được nhận; hãy xin tỉnh một thư mời mới" },
	{ "INVITATION_SPENT", ANY, false,
	    "máy khác đã dùng thư mời này rồi; hãy báo ngay cho tỉnh và xin thư mời mới" },
	{ "INVITATION_EXPIRED", ANY, false,
	    "thư mời này đã hết hạn; hãy xin tỉnh một thư mời mới" },
	{ "INVITATION_CANCELLED", ANY, false,
	    "tỉnh đã hủy thư mời này; hãy gọi cho tỉnh và xin thư mời mới" },
	{ "KEY_TAKEN", ANY, false,
	    "khóa của máy này đã thuộc về một máy khác, vì thư mục bị chép từ máy đó; hãy làm lại "
	    "'ltctl node init' trong thư mục mới, với thư mời mới" },
	{ "INVITATIONS", ANY, true, "không xem được danh sách thư mời" },
	{ "INVITATION", LT_STATUS_NOT_FOUND, false,
	    "không có thư mời này, hoặc nó không thuộc quyền của bạn; hãy xem 'ltctl enrol "
	    "invitations'" },
	{ "INVITATION", LT_STATUS_ABORTED, false,
	    "thư mời này đã được dùng; hãy từ chối hoặc thu hồi máy đã dùng nó" },
	{ "INVITATION", ANY, true, "không hủy được thư mời" },
	{ "WORDS", LT_STATUS_INVALID_ARGUMENT, true, "đây không phải tám từ đối chiếu" },
	{ "WORDS", ANY, false,
	    "tám từ không khớp với máy này, nên chưa chấp nhận; hãy nghe đọc lại, nếu vẫn khác thì "
	    "từ chối máy này" },
	{ "INVITE", ANY, true, "không lập được thư mời" },
	{ "ENROLMENTS", ANY, true, "không xem được danh sách máy xin tham gia" },
	{ "ENROLMENT", ANY, true, "không chấp nhận hay từ chối được máy xin tham gia" },
	{ "NODE_ONLY", ANY, false,
	    "mỗi máy của xã tự đổi khóa của mình; hãy làm lệnh này ngay tại máy đó" },
	{ "ROTATION", LT_STATUS_UNAVAILABLE, false,
	    "chưa nối được với đầu mối để đổi khóa, khóa cũ vẫn dùng được; hãy thử lại khi có "
	    "mạng" },
	{ "ROTATION", ANY, true, "chưa đổi xong khóa, máy vẫn làm việc bình thường" },
	{ "KEYS_UNKNOWN", ANY, false,
	    "không có thành viên hoặc khóa này, hoặc không thuộc quyền của bạn; hãy xem 'ltctl "
	    "keys "
	    "list'" },
	{ "KEYS_STATE", ANY, false,
	    "trạng thái của thành viên này không cho phép việc đó (đã bị thu hồi, đã nghỉ, hoặc có "
	    "nhiều quyền); hãy xem 'ltctl keys show'" },
	{ "KEYS_BEHIND", ANY, false,
	    "máy này còn dữ liệu chưa tới đầu mối; hãy để máy nối mạng gửi hết, hoặc thêm --anyway "
	    "nếu chấp nhận mất phần đó" },
	{ "KEYS_SELF", ANY, false,
	    "không ai tự thu hồi khóa của mình; hãy nhờ người vận hành khác, hoặc làm ngay tại máy "
	    "đầu mối" },
	{ "KEYS_HUB", ANY, false,
	    "khóa của đầu mối do chứng thư của khóa gốc quyết định; hãy dùng khóa gốc" },
	{ "KEYS_INVALID", ANY, false,
	    "lệnh không đúng; hãy xem lại mã, và nêu lý do là một trong: stolen (mất cắp), lost "
	    "(thất lạc), compromised (bị lộ), replaced (thay máy), other (khác)" },
	{ "KEYS", ANY, true, "không đổi được trạng thái khóa" },
	/* erasing */
	{ "ERASE_UNKNOWN", ANY, false,
	    "không có bản ghi này; hãy xem lại đơn vị, loại hồ sơ và khóa ('ltctl who-holds' tìm "
	    "theo số định danh)" },
	{ "ERASE_FIELD", ANY, false,
	    "trường này không có hoặc không phải dữ liệu cá nhân nên không xóa được; hãy sửa lại "
	    "giá trị nếu nó sai" },
	{ "ERASE_REASON", ANY, false,
	    "thiếu lý do xóa; hãy nêu --reason: request, withdrawn, unlawful, expired, mistake, "
	    "order hoặc other" },
	{ "ERASE_BASIS", ANY, false,
	    "căn cứ pháp lý bị thiếu, quá dài hoặc chứa giá trị cần xóa; hãy nêu số hiệu văn bản "
	    "(--basis), không quá 500 byte" },
	{ "ERASE_INVALID", ANY, false,
	    "lệnh xóa không ghi được; hãy xem lại căn cứ (chữ Unicode chuẩn, không có ký tự lạ)" },
	{ "ERASE", ANY, true, "không xóa được dữ liệu cá nhân" },
	{ "WHO_HOLDS", LT_STATUS_INVALID_ARGUMENT, false,
	    "số định danh không đúng; hãy nhập lại, dài 4 đến 256 byte" },
	{ "WHO_HOLDS", ANY, true, "không tìm được nơi giữ dữ liệu của số định danh" },
	{ "GRANTS", LT_STATUS_NOT_FOUND, false,
	    "không có tài khoản hoặc quyền này, hoặc nó không thuộc phần bạn được cấp; hãy xem "
	    "'ltctl grants list'" },
	{ "GRANTS", LT_STATUS_PERMISSION_DENIED, false,
	    "không ai cấp được nhiều hơn một quyền mà chính mình có; hãy thu hẹp loại hồ sơ, đơn "
	    "vị, "
	    "trường, hoặc cấp tại máy đầu mối" },
	{ "GRANTS", ANY, true, "không xem, cấp hay thu hồi được quyền" },
	{ "ALARM", LT_STATUS_NOT_FOUND, false,
	    "không có báo động này, hoặc nó không thuộc quyền của bạn; hãy xem 'ltctl alarms'" },
	{ "ALARM", ANY, true, "không ghi nhận được việc đã xử lý báo động" },
	/* between machines */
	{ "HELLO", ANY, true, "đầu mối không nhận lời chào" },
	{ "ANNOUNCE", ANY, true, "đầu mối không nhận luồng mới" },
	{ "PUSH", ANY, true, "đầu mối không nhận dữ liệu gửi lên" },
	{ "PULL", ANY, true, "không nhận được dữ liệu từ đầu mối" },
	{ "FETCH", ANY, true, "không lấy lại được phần dữ liệu hỏng từ đầu mối" },
	{ "SUPPLY", ANY, true, "đầu mối không nhận lại phần dữ liệu đã hỏng của mình" },
	{ "TWIN", ANY, false,
	    "máy khác đang chạy bằng khóa của máy này (thư mục đã bị chép); hãy dừng một trong hai "
	    "máy và gọi tỉnh, máy thứ hai cần thư mời riêng" },
	{ "TWIN_ASKED", ANY, false,
	    "ở tỉnh còn một phiên cũ của máy này, tỉnh đang hỏi lại phiên đó; hãy đợi vài giây, "
	    "máy "
	    "tự thử lại" },
	{ "FORK", ANY, false,
	    "luồng dữ liệu của máy này bị rẽ nhánh (thư mục bị chép hoặc phục hồi bản cũ); hãy "
	    "dừng "
	    "máy và gọi người phụ trách" },
	{ "TOO_MANY_FEEDS", ANY, false,
	    "máy này đã mở quá nhiều luồng dữ liệu (bị phục hồi hoặc bị chép quá nhiều lần), không "
	    "mở "
	    "thêm được; hãy nhờ người phụ trách đầu mối chạy 'ltctl keys replace' và cài máy mới "
	    "theo lời mời đó" },
	/* the call itself */
	{ "DEADLINE", ANY, false, "quá thời hạn; hãy thử lại, hoặc hỏi ít hơn" },
	{ "CANCELLED", ANY, false, "đã bị hủy; hãy làm lại nếu vẫn cần" },
	{ "STOPPING", ANY, false, "chương trình bên kia đang dừng; hãy thử lại sau ít phút" },
	{ "CONNECTION_LOST", ANY, false,
	    "mất kết nối, chưa biết việc đã xong hay chưa; hãy thử lại, việc đã ghi không bị ghi "
	    "hai "
	    "lần" },
	{ "NOT_SENT", ANY, false, "chưa gửi được yêu cầu; hãy thử lại sau ít phút" },
	{ "TOO_MANY_CALLS", ANY, false, "bên kia đang bận; hãy thử lại sau ít giây" },
	{ "QUOTA_CALLS", ANY, false,
	    "máy này hỏi quá nhiều lần trong một giây; hãy thử lại sau ít giây" },
	{ "QUOTA_BYTES", ANY, false,
	    "máy này đã gửi và nhận quá nhiều dữ liệu trong thời gian ngắn; hãy thử lại sau ít "
	    "giây" },
	{ "QUOTA_ROWS", ANY, false,
	    "máy này đã đọc quá nhiều bản ghi trong thời gian ngắn; hãy thử lại sau ít giây" },
	{ "QUOTA_CHANGES", ANY, false,
	    "máy này gửi quá nhiều thay đổi trong thời gian ngắn, phần còn lại vẫn ở máy; hãy đợi "
	    "ít "
	    "giây, máy tự gửi tiếp" },
	{ "QUOTA_VAIN", ANY, false,
	    "máy này gửi lại quá nhiều dữ liệu mà tỉnh đã có hoặc không nhận; hãy đợi ít giây, máy "
	    "tự thử lại" },
	{ "MEMORY", ANY, false, "bên kia thiếu bộ nhớ; hãy thử lại sau, hoặc gọi người phụ trách" },
	{ "ANSWER_TOO_LARGE", ANY, false,
	    "câu trả lời quá lớn; hãy hỏi ít hơn (--page-size, --fields)" },
	{ "TOO_LARGE", ANY, false, "yêu cầu quá lớn; hãy chia nhỏ rồi gửi lại" },
	{ "MALFORMED", ANY, false,
	    "yêu cầu sai định dạng; hãy dùng chương trình cùng phiên bản với nơi trả lời" },
	{ "PROOF", ANY, false,
	    "chưa lập được bản chứng minh; hãy thử lại, nếu vẫn vậy thì báo người phụ trách" },
	{ "COMPRESSED", ANY, false,
	    "dữ liệu nén bị hỏng hoặc sai định dạng; hãy dùng chương trình cùng phiên bản" },
	{ "RESUME_TOKEN", ANY, false,
	    "không đọc tiếp được: dấu chỗ đọc không phải của lời hỏi này; hãy hỏi lại từ đầu" },
	{ "RESUME_TOO_OLD", ANY, false,
	    "không đọc tiếp được: phần tiếp theo không còn được giữ; hãy hỏi lại từ đầu" },
	{ "RESUME_UNKNOWN", ANY, false,
	    "bên kia không đọc tiếp được từ chỗ đứt; hãy hỏi lại từ đầu" },
	{ "NO_SUCH_METHOD", ANY, false,
	    "việc này không hỏi ở đây; hãy hỏi đúng nơi (xã hay đầu mối), hoặc nâng phiên bản" },
	{ "NO_SUCH_NAME", ANY, false,
	    "ở đây không có dịch vụ, phương thức hay kiểu dữ liệu tên này mà bạn được gọi; hãy xem "
	    "lại tên (ltctl rpc list)" },
	{ "NO_SUCH_SERVICE", ANY, false, "không có dịch vụ này; hãy xem lại tên" },
	{ "NO_ANSWER", ANY, false, "lỗi bên trong chương trình; hãy báo người phụ trách" },
	{ "MALFORMED_ANSWER", ANY, false,
	    "câu trả lời sai định dạng; hãy thử lại, nếu vẫn vậy thì báo người phụ trách" },
	{ "BAD_STATUS", ANY, false,
	    "không đọc được lý do lỗi; hãy thử lại, nếu vẫn vậy thì báo người phụ trách" },
};

static const char *
by_code(int code)
{
	switch (code) {
	case LT_STATUS_OK:
		return "";
	case LT_STATUS_CANCELLED:
		return "đã bị hủy; hãy làm lại nếu vẫn cần";
	case LT_STATUS_INVALID_ARGUMENT:
		return "yêu cầu hoặc dữ liệu không đúng; hãy sửa lại rồi gửi lần nữa";
	case LT_STATUS_DEADLINE_EXCEEDED:
		return "quá thời hạn; hãy thử lại, hoặc hỏi ít hơn";
	case LT_STATUS_NOT_FOUND:
		return "không tìm thấy, hoặc không được xem; hãy xem lại tên và khóa";
	case LT_STATUS_ALREADY_EXISTS:
		return "đã có rồi; hãy xem lại, nếu cần thì sửa cái đang có";
	case LT_STATUS_PERMISSION_DENIED:
		return "không được phép; hãy hỏi người vận hành đầu mối";
	case LT_STATUS_RESOURCE_EXHAUSTED:
		return "bên kia đang đầy hoặc bận; hãy thử lại sau, nếu vẫn vậy thì báo người phụ "
		       "trách";
	case LT_STATUS_FAILED_PRECONDITION:
		return "chưa đủ điều kiện; hãy xem lại tình trạng (ltctl status) rồi làm lại";
	case LT_STATUS_ABORTED:
		return "dữ liệu vừa bị thay đổi; hãy đọc lại bản ghi rồi quyết định";
	case LT_STATUS_OUT_OF_RANGE:
		return "ra ngoài phạm vi cho phép; hãy xem lại số đã cho";
	case LT_STATUS_UNIMPLEMENTED:
		return "việc này không hỏi ở đây; hãy hỏi đúng nơi (xã hay đầu mối)";
	case LT_STATUS_INTERNAL:
		return "lỗi bên trong chương trình; hãy báo người phụ trách";
	case LT_STATUS_UNAVAILABLE:
		return "lúc này chưa trả lời được; hãy thử lại sau ít phút";
	case LT_STATUS_DATA_LOSS:
		return "dữ liệu lưu bị hỏng; hãy gọi người phụ trách máy";
	case LT_STATUS_UNAUTHENTICATED:
		return "đầu mối chưa nhận máy này; hãy nhờ người vận hành đầu mối chấp nhận";
	default:
		return "lỗi không rõ; hãy thử lại, nếu vẫn vậy thì báo người phụ trách";
	}
}

static const struct words *
find(const char *reason, int code)
{
	size_t i;

	for (i = 0; i < sizeof(by_reason) / sizeof(by_reason[0]); i++)
		if (strcmp(by_reason[i].reason, reason) == 0 &&
		    (by_reason[i].code == ANY || by_reason[i].code == code))
			return &by_reason[i];
	return NULL;
}

void
lt_status_words(const char *reason, int code, char *out, size_t cap)
{
	const struct words *w = code == LT_STATUS_OK ? NULL : find(reason, code);
	char text[512];

	if (w == NULL)
		(void)snprintf(text, sizeof(text), "%s", by_code(code));
	else if (w->undertaking)
		(void)snprintf(text, sizeof(text), "%s: %s", w->vi, by_code(code));
	else
		(void)snprintf(text, sizeof(text), "%s", w->vi);
	(void)lt_text_copy(out, cap, lt_slice_str(text));
}

bool
lt_status_words_reached(size_t i)
{
	return i < sizeof(by_reason) / sizeof(by_reason[0]) &&
	       find(by_reason[i].reason, by_reason[i].code) == &by_reason[i];
}

bool
lt_status_words_known(const char *reason)
{
	return find(reason, ANY) != NULL;
}

const char *
lt_status_words_reason(size_t i)
{
	return i < sizeof(by_reason) / sizeof(by_reason[0]) ? by_reason[i].reason : NULL;
}
