#include "tools/ctl.h"
#include "proto/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX ((size_t)256 * 1024 * 1024)

bool ctl_vietnamese = true;

const struct ctl_command ctl_commands[] = {
	{ "hub init", cmd_hub_init,
	    "--province CODE [--listen URL] [--addresses \"URL...\"] [--catalogue FILE] [--units "
	    "FILE] "
	    "[--succession FILE] [--root-words-file FILE]",
	    "make a province's hub in the directory", "tạo đầu mối của tỉnh trong thư mục" },
	{ "hub escrow", cmd_hub_escrow, "FILE", "seal the hub's keys to the root words",
	    "niêm phong khóa của đầu mối bằng khóa gốc" },
	{ "node init", cmd_node_init, "[INVITATION|FILE|-] [--label NAME] [--anyway]",
	    "make a commune's node from an invitation", "tạo máy của xã từ thư mời" },
	{ "node show", cmd_node_show, "[--json]",
	    "who this machine is, with the words to be read over the phone",
	    "máy này là ai, cùng tám từ để đọc qua điện thoại" },
	{ "client init", cmd_client_init, "[INVITATION|FILE|-] [--label NAME] [--anyway]",
	    "make a department's, operator's or mirror's directory from an invitation",
	    "tạo thư mục của sở, người vận hành hoặc máy sao từ thư mời" },
	{ "client join", cmd_client_join, "", "ask the hub to take this client in",
	    "xin đầu mối nhận máy này" },
	{ "enrol invite", cmd_enrol_invite,
	    "--unit CODE | --org ID | --operator | --mirror [--auto-approve] [--expires 7d] "
	    "[--label NAME] "
	    "[--address URL]... "
	    "[-o FILE] [--qr|--no-qr] [--collections a,b] [--units CODE,CODE] [--fields a,b] "
	    "[--verbs read]",
	    "make an invitation", "làm một thư mời" },
	{ "enrol list", cmd_enrol_list, "[--json]", "who has asked to join", "ai đã xin tham gia" },
	{ "enrol approve", cmd_enrol_approve, "PRINCIPAL [--words \"...\"] | --words \"...\" | all",
	    "let somebody in, by the words that its people read",
	    "chấp nhận, theo tám từ nghe được" },
	{ "enrol reject", cmd_enrol_reject, "PRINCIPAL [--reason TEXT]", "refuse somebody",
	    "từ chối" },
	{ "enrol invitations", cmd_enrol_invitations, "[--all] [--json]",
	    "invitations that are out", "các thư mời còn hiệu lực" },
	{ "enrol cancel", cmd_enrol_cancel, "ID", "an invitation that nobody used is void",
	    "hủy một thư mời chưa dùng" },
	{ "grants list", cmd_grants_list, "[PRINCIPAL] [--json]",
	    "what departments, operators and mirrors may",
	    "sở, người vận hành, máy sao được phép làm gì" },
	{ "grants give", cmd_grants_give,
	    "PRINCIPAL --all | [--collections a,b] [--units CODE,CODE] [--fields a,b] "
	    "[--verbs read] [--json]",
	    "give one more grant", "cấp thêm một quyền" },
	{ "grants take", cmd_grants_take, "PRINCIPAL NUMBER...|all",
	    "take grants away, at once, from calls under way too",
	    "thu hồi quyền, có hiệu lực ngay, cả với việc đang chạy" },
	{ "alarms acknowledge", cmd_alarms_acknowledge, "ID|all [--json]",
	    "an alarm was seen to: kept with who and when", "ghi nhận đã xử lý một báo động" },
	{ "alarms", cmd_alarms, "[--all] [--json]", "invitations that a second machine came with",
	    "thư mời bị máy thứ hai dùng" },
	{ "keys list", cmd_keys_list, "[--gone] [--json]", "who is in, and with which keys",
	    "thành viên và khóa của từng thành viên" },
	{ "keys show", cmd_keys_show, "PRINCIPAL [--json]",
	    "one of them, with its keys and what was revoked",
	    "một thành viên: khóa, dấu vân tay, phần đã thu hồi" },
	{ "keys suspend", cmd_keys_suspend, "PRINCIPAL [--json]",
	    "shut somebody out until resumed; its connections are cut",
	    "tạm ngừng một thành viên, cắt ngay kết nối" },
	{ "keys resume", cmd_keys_resume, "PRINCIPAL [--json]", "let a suspended one in again",
	    "cho thành viên bị tạm ngừng hoạt động lại" },
	{ "keys retire", cmd_keys_retire, "PRINCIPAL [--anyway] [--json]",
	    "a machine leaves in order, once all it wrote is here; for ever",
	    "cho máy nghỉ hẳn, khi mọi dữ liệu của nó đã tới; không quay lại được" },
	{ "keys revoke", cmd_keys_revoke,
	    "PRINCIPAL --reason stolen|lost|compromised|replaced|other [--key NO] [--json]",
	    "keys are stolen or lost: nothing signed with them counts from now on; for ever",
	    "khóa bị mất, bị lộ: từ nay mọi thứ ký bằng khóa đó vô hiệu; không lấy lại được" },
	{ "keys replace", cmd_keys_replace,
	    "PRINCIPAL [--reason WORD] [--auto-approve] [--expires 7d] [--address URL]... [--out "
	    "FILE] [--qr|--no-qr]",
	    "revoke a stolen or burnt machine and invite one in its place",
	    "thu hồi khóa của máy mất hoặc hỏng và làm thư mời cho máy thay thế" },
	{ "keys rotate", cmd_keys_rotate, "[--json]",
	    "new keys for this node, while everything goes on",
	    "đổi khóa của máy này, mọi việc vẫn chạy bình thường" },
	{ "status", cmd_status, "[--within 1h] [--json]", "is everything where it should be",
	    "mọi thứ đã tới nơi chưa" },
	{ "nodes", cmd_nodes, "[--all] [--json]", "the communes' machines and how fresh each is",
	    "máy của các xã và độ mới của từng máy" },
	{ "freshness", cmd_freshness, "[--unit CODE]... [--json]",
	    "how old the hub's knowledge of each unit is, by lane",
	    "đầu mối biết dữ liệu của từng đơn vị tới lúc nào, theo từng làn" },
	{ "quarantine list", cmd_quarantine, "[--unit CODE] [--all] [--json]",
	    "changes that were refused, and what to do",
	    "các thay đổi bị từ chối và việc cần làm" },
	{ "quarantine show", cmd_quarantine_show, "ID [--json]", "one of them with its values",
	    "một thay đổi bị từ chối, cùng các giá trị" },
	{ "quarantine", cmd_quarantine, "[--unit CODE] [--all] [--json]",
	    "the same as quarantine list", "như quarantine list" },
	{ "audit list", cmd_audit_list,
	    "[--since TIME] [--until TIME] [--principal ID] [--unit CODE] [--collection NAME] "
	    "[--method NAME] [--denied] [--json]",
	    "who read which records, and who was denied", "ai đã đọc hồ sơ nào, ai đã bị từ chối" },
	{ "audit verify", cmd_audit_verify, "[--head HEAD] [--offline] [--root KEY] [--json]",
	    "the audit's chain, signatures and gaps",
	    "kiểm tra chuỗi, chữ ký và chỗ thiếu của nhật ký truy cập" },
	{ "audit prove", cmd_audit_prove, "ENTRY [--query JSON] [--log LOG] [--json]",
	    "one entry proven, and whether this is what was asked",
	    "chứng minh một mục, và đây có đúng là câu đã hỏi không" },
	{ "scrub", cmd_scrub, "[--full] [--last] [--json]", "check all that lies in the store now",
	    "kiểm tra ngay toàn bộ dữ liệu trong kho" },
	{ "rebuild", cmd_rebuild, "[--anyway] [--json]",
	    "build the derived tables anew from the log", "dựng lại các bảng dẫn xuất từ nhật ký" },
	{ "compact", cmd_compact, "[--json]",
	    "write a stopped machine's store anew, without the bytes it uses no more",
	    "ghi lại kho của máy đã dừng, bỏ các byte không còn dùng" },
	{ "backup verify", cmd_backup_verify, "PATH [--root KEY] [--json]",
	    "check a backup, offline", "kiểm tra một bản sao lưu, không cần mạng" },
	{ "backup", cmd_backup, "PATH [--with-keys|--without-keys] [--json]",
	    "copy this machine's data into a new folder, while it works",
	    "sao lưu dữ liệu của máy này vào một thư mục mới, máy vẫn chạy" },
	{ "restore", cmd_restore,
	    "PATH [--escrow FILE] [--words-file FILE] [--identity FOLDER] [--root KEY]\n"
	    "             [--erasures FILE] [--json]",
	    "make the data folder from a backup", "khôi phục thư mục dữ liệu từ bản sao lưu" },
	{ "recovery", cmd_recovery, "[--without UNIT]... [--without-all] [--json]",
	    "whom a restored hub waits for before it signs",
	    "đầu mối mới khôi phục còn chờ ai trước khi ký" },
	{ "feeds", cmd_feeds, "[--unit CODE] [--json]", "the feeds held here",
	    "các dòng dữ liệu có ở đây" },
	{ "forks export", cmd_forks_export, "UNIT FEED NUMBER -o FILE",
	    "the evidence of a fork with the ruling, into one file",
	    "chứng cứ rẽ nhánh kèm phán quyết, ghi ra một tệp" },
	{ "forks verify", cmd_forks_verify, "FILE [--root HEX] [--json]",
	    "verify such a file with the root key alone, without any connection",
	    "kiểm tra tệp đó chỉ bằng khóa gốc, không cần mạng" },
	{ "forks", cmd_forks, "[--unit CODE] [--json]",
	    "feeds of which two branches were met, and which one counts",
	    "dòng bị rẽ nhánh, và nhánh nào được tính" },
	{ "checkpoint show", cmd_checkpoint_show, "[--json]",
	    "what the hub says of its own history, and which communes say the same",
	    "đầu mối nói gì về lịch sử của chính nó, và xã nào cũng thấy như vậy" },
	{ "checkpoint export", cmd_checkpoint_export, "FILE [--json]",
	    "that with all signatures, and the evidence of an alarm, into one file",
	    "ghi điều đó kèm mọi chữ ký, và chứng cứ của báo động, ra một tệp" },
	{ "checkpoint compare", cmd_checkpoint_compare, "FILE... [--root HEX] [--json]",
	    "was each of them shown the same? with this machine's log, or with the root key alone",
	    "các nơi có được thấy như nhau không? so với nhật ký máy này, hoặc chỉ bằng khóa gốc" },
	{ "log", cmd_log, "UNIT FEED [--from SEQ] [--limit N] [--json]",
	    "the change-sets of a feed, one a line",
	    "các gói thay đổi của một dòng, mỗi gói một hàng" },
	{ "show", cmd_show, "UNIT FEED SEQ [--offline] [--json]",
	    "one change-set verified and explained", "một gói thay đổi, kiểm tra và giải thích" },
	{ "verify", cmd_verify, "[UNIT FEED | all] [--offline] [--json]",
	    "verify chains, signatures and openings", "kiểm tra chuỗi, chữ ký và dữ liệu cá nhân" },
	{ "receipts", cmd_receipts, "[--unit CODE --feed FEED] [--save FILE] [--json]",
	    "the hub's receipts held by this node", "biên nhận của đầu mối có ở máy này" },
	{ "verify-receipt", cmd_verify_receipt, "FILE [--root HEX] [--json]",
	    "verify saved receipts without any connection",
	    "kiểm tra biên nhận đã lưu, không cần mạng" },
	{ "prove", cmd_prove, "COLLECTION KEY -o FILE [--unit CODE] [--offline] [--json]",
	    "a record's history with its proof, into one file",
	    "lịch sử một bản ghi kèm chứng cứ, ghi ra một tệp" },
	{ "verify-proof", cmd_verify_proof, "FILE [--root KEY] [--json]",
	    "verify such a file with the root key alone, without any connection",
	    "kiểm tra tệp đó chỉ bằng khóa gốc, không cần mạng" },
	{ "put", cmd_put,
	    "COLLECTION [KEY] FIELD=VALUE... [--clear FIELD]... [--if-revision HEX|none] [--unit "
	    "CODE] [--actor ID] "
	    "[--json]",
	    "write a record", "ghi một bản ghi" },
	{ "get", cmd_get, "COLLECTION KEY [--unit CODE] [--fields A,B] [--json]", "read a record",
	    "đọc một bản ghi" },
	{ "list", cmd_list,
	    "COLLECTION [--unit CODE]... [--where 'FIELD OP VALUE']... [--order [-]FIELD] [--page "
	    "N] [--page-size N] [--all] "
	    "[--fields A,B] [--refused] [--held] [--json|--csv]",
	    "list records", "liệt kê bản ghi" },
	{ "delete", cmd_delete,
	    "COLLECTION KEY [--unit CODE] [--if-revision HEX] [--actor ID] [--json]",
	    "delete a record", "xóa một bản ghi" },
	{ "history", cmd_history, "COLLECTION KEY [--unit CODE] [--json]",
	    "who changed what and when", "ai đã sửa gì, lúc nào" },
	{ "who-holds", cmd_who_holds, "[NUMBER | -] [--file FILE] [--json]",
	    "where a person's number stands, who has it and who may read it",
	    "số định danh của một người nằm ở đâu, máy nào giữ, sở nào đọc được" },
	{ "erase list", cmd_erase_list, "[--export FILE] [--json]",
	    "what was erased, by whom and why", "đã xóa dữ liệu cá nhân nào, ai, vì sao" },
	{ "erase", cmd_erase,
	    "--unit CODE COLLECTION KEY | --by-number [--file FILE]\n"
	    "             [--field FIELD]... [--reason WORD --basis TEXT --yes] [--json]",
	    "erase personal values everywhere; without --yes only show what would go",
	    "xóa dữ liệu cá nhân ở mọi nơi; không có --yes thì chỉ cho xem trước" },
	{ "query", cmd_query,
	    "COLLECTION [--unit CODE]... [--where 'FIELD OP VALUE']... [--group-by FIELD,_unit] "
	    "[--sum FIELD,...] "
	    "[--json]",
	    "count and sum records by group", "đếm và cộng bản ghi theo nhóm" },
	{ "import", cmd_import,
	    "COLLECTION|all FILE [--map MAP.json] [--rejects FILE] [--source FILENAME] [--batch N] "
	    "[--actor ID] [--dry-run] [--json]\n"
	    "             commune_profile [--units FILE] [--succession FILE] [--province CODE] "
	    "[--dry-run]",
	    "take a list (CSV, JSON lines) in", "nhập một danh sách (CSV, JSON lines)" },
	{ "rpc list", cmd_rpc_list, "[--offline] [--json]", "the methods that may be called there",
	    "các phương thức được gọi ở đó" },
	{ "rpc describe", cmd_rpc_describe, "NAME [--offline] [--json]",
	    "a service, method, message or enumeration, with all types it reaches",
	    "một dịch vụ, phương thức hay kiểu dữ liệu, cùng mọi kiểu nó dùng" },
	{ "rpc call", cmd_rpc_call,
	    "METHOD [JSON|@FILE|-] [--max N] [--timeout 30s] [--reflect] [--json]",
	    "call any method with a request in JSON; answers are JSON, one a line",
	    "gọi một phương thức bất kỳ bằng JSON; mỗi câu trả lời là một dòng JSON" },
	{ "version", cmd_version, "", "print the version", "in phiên bản" },
	{ "help", cmd_help, "[COMMAND]", "print this, or one command's usage",
	    "in trang này, hoặc cách dùng một lệnh" },
};
const size_t ctl_ncommands = sizeof(ctl_commands) / sizeof(ctl_commands[0]);

static void
print_usage(FILE *to)
{
	size_t i;

	fprintf(to, "%s: ltctl [-C DIR] [--lang vi|en] %s\n\n", T("usage", "cách dùng"),
	    T("COMMAND ...", "LỆNH ..."));
	for (i = 0; i < ctl_ncommands; i++)
		fprintf(to, "  %-15s %s\n", ctl_commands[i].name,
		    T(ctl_commands[i].help_en, ctl_commands[i].help_vi));
	fprintf(to, "\n%s\n",
	    T("DIR is a data directory; without -C: $LIENTHONG_DIR, else the present one.\n"
	      "'ltctl COMMAND --help' says more. Exit: 0 yes or done, 1 no, 2 wrong usage, 3 could "
	      "not find out.",
		"DIR là thư mục dữ liệu; không có -C thì lấy $LIENTHONG_DIR, không có nữa thì thư "
		"mục hiện tại.\n"
		"'ltctl LỆNH --help' nói rõ hơn. Mã thoát: 0 đúng hoặc xong, 1 không, 2 dùng sai, "
		"3 không biết được."));
}

static void
print_command(FILE *to, const struct ctl_command *cmd)
{
	fprintf(to, "%s: ltctl [-C DIR] %s%s%s\n%s\n", T("usage", "cách dùng"), cmd->name,
	    cmd->usage[0] != '\0' ? " " : "", cmd->usage, T(cmd->help_en, cmd->help_vi));
}

/* The row whose name the words begin with; *words is how many the name took. */
static const struct ctl_command *
find_command(int argc, char **argv, int *words)
{
	size_t i, n;

	for (i = 0; i < ctl_ncommands; i++) {
		const char *name = ctl_commands[i].name, *blank = strchr(name, ' ');

		n = blank != NULL ? (size_t)(blank - name) : strlen(name);
		if (strlen(argv[0]) != n || strncmp(argv[0], name, n) != 0)
			continue;
		if (blank == NULL || (argc > 1 && strcmp(argv[1], blank + 1) == 0)) {
			*words = blank != NULL ? 2 : 1;
			return &ctl_commands[i];
		}
	}
	return NULL;
}

/* "hub --help" and "hub x": the rows that begin with the word. */
static bool
print_family(FILE *to, const char *word)
{
	size_t i, n = strlen(word);
	bool any = false;

	for (i = 0; i < ctl_ncommands; i++)
		if (strncmp(ctl_commands[i].name, word, n) == 0 && ctl_commands[i].name[n] == ' ') {
			print_command(to, &ctl_commands[i]);
			any = true;
		}
	return any;
}

enum ctl_exit
cmd_help(struct ctl *c, int argc, char **argv)
{
	const struct ctl_command *cmd;
	int words;

	(void)c;
	if (argc == 0) {
		print_usage(stdout);
		return CTL_DONE;
	}
	cmd = find_command(argc, argv, &words);
	if (cmd == NULL || words != argc) {
		if (argc == 1 && print_family(stdout, argv[0]))
			return CTL_DONE;
		return ctl_fail(CTL_USAGE, T("no command '%s'", "không có lệnh '%s'"), argv[0]);
	}
	print_command(stdout, cmd);
	return CTL_DONE;
}

static bool
wants_help(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static bool
has_family(const char *word)
{
	size_t i, n = strlen(word);

	for (i = 0; i < ctl_ncommands; i++)
		if (strncmp(ctl_commands[i].name, word, n) == 0 && ctl_commands[i].name[n] == ' ')
			return true;
	return false;
}

/* Of a command of two words the first may be right: what is missing or wrong is the second one. */
static void
complain_unknown(int argc, char **argv)
{
	bool family = has_family(argv[0]);

	if (!family)
		ctl_complain(T("no command '%s'", "không có lệnh '%s'"), argv[0]);
	else if (argc > 1)
		ctl_complain(
		    T("no command '%s %s'; there are:", "không có lệnh '%s %s'; có các lệnh:"),
		    argv[0], argv[1]);
	else
		ctl_complain(T("'%s' needs one word more; there are:",
				 "'%s' còn thiếu một từ; có các lệnh:"),
		    argv[0]);
	if (family)
		(void)print_family(stderr, argv[0]);
	else
		print_usage(stderr);
}

static enum ctl_exit
run_command(const char *dir, int argc, char **argv)
{
	const struct ctl_command *cmd;
	struct ctl c = { .dir = dir };
	enum ctl_exit code;
	int words = 0;

	cmd = find_command(argc, argv, &words);
	if (cmd == NULL) {
		if (argc > 1 && strcmp(argv[1], "--help") == 0 && print_family(stdout, argv[0]))
			return CTL_DONE;
		complain_unknown(argc, argv);
		return CTL_USAGE;
	}
	if (wants_help(argc - words, argv + words)) {
		print_command(stdout, cmd);
		return CTL_DONE;
	}
	c.command = cmd;
	lt_arena_init(&c.arena, ARENA_MAX);
	code = cmd->run(&c, argc - words, argv + words);
	ctl_close(&c);
	lt_arena_fini(&c.arena);
	if (code == CTL_USAGE)
		print_command(stderr, cmd);
	return code;
}

static bool
choose_language(const char *word)
{
	if (strncmp(word, "en", 2) == 0)
		ctl_vietnamese = false;
	else if (strncmp(word, "vi", 2) == 0)
		ctl_vietnamese = true;
	else
		return false;
	return true;
}

static void
language_of_environment(void)
{
	const char *own = getenv("LIENTHONG_LANG"), *lang = getenv("LANG");

	/* LANG says en_US on machines that nobody set up; C and POSIX say nothing: Vietnamese then. */
	if (own == NULL || !choose_language(own))
		(void)(lang != NULL && choose_language(lang));
}

/* A write to stdout that failed is a failure: whoever reads us must not take half an answer for one. */
static enum ctl_exit
flush_answer(enum ctl_exit code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "ltctl: %s: %s\n",
	    T("the answer could not be written", "không ghi ra được câu trả lời"), strerror(errno));
	return CTL_UNKNOWN;
}

static enum ctl_exit
global_options(int argc, char **argv, const char **dir, int *first)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-C") == 0 && i + 1 < argc)
			*dir = argv[++i];
		else if (strncmp(argv[i], "-C", 2) == 0 && argv[i][2] != '\0')
			*dir = argv[i] + 2;
		else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc &&
			 choose_language(argv[i + 1]))
			i++;
		else if (strncmp(argv[i], "--lang=", 7) == 0 && choose_language(argv[i] + 7))
			continue;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 ||
			 strcmp(argv[i], "--version") == 0)
			break;
		else
			return ctl_fail(CTL_USAGE,
			    T("option '%s' is unknown or lacks its value",
				"tùy chọn '%s' không có, hoặc thiếu giá trị"),
			    argv[i]);
	}
	*first = i;
	return CTL_DONE;
}

int
ctl_main(int argc, char **argv)
{
	const char *dir = getenv("LIENTHONG_DIR");
	enum ctl_exit code;
	int first = 1;

	language_of_environment();
	lt_log_level_set(LT_LOG_WARN);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		return flush_answer(
		    ctl_fail(CTL_UNKNOWN, T("no randomness", "không có nguồn ngẫu nhiên")));
	if (dir == NULL || dir[0] == '\0')
		dir = ".";
	code = global_options(argc, argv, &dir, &first);
	if (code == CTL_DONE && first < argc && argv[first][0] == '-') {
		if (strcmp(argv[first], "--version") == 0)
			printf("ltctl %s\n", LT_VERSION);
		else
			print_usage(stdout);
	} else if (code == CTL_DONE && first < argc) {
		code = run_command(dir, argc - first, argv + first);
	} else {
		print_usage(stderr);
		code = CTL_USAGE;
	}
	return (int)flush_answer(code);
}
