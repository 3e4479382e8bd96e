/* backup, backup verify, restore, hub escrow: a data folder's copy with a signed manifest, and back. */
#include "proto/base/file.h"
#include "proto/feed/escrow.h"
#include "proto/store/backup.h"
#include "proto/store/erase_list.h"
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX ((size_t)1024) /* 33 words of at most 4 letters, as people type them */

/* What stands in the way, and what to do. */
static const char *
next_step(enum lt_backup_why why)
{
	switch (why) {
	case LT_BACKUP_TARGET:
		return T("name a path where nothing is yet", "hãy chọn một đường dẫn chưa có gì");
	case LT_BACKUP_MEDIUM:
		return T("check the disk: is it mounted, is there room, may this user write?",
		    "hãy kiểm tra đĩa: đã gắn chưa, còn chỗ không, người dùng này có quyền ghi "
		    "không?");
	case LT_BACKUP_SOURCE:
		return T("the store here cannot be backed up as it is: see 'ltctl scrub', then "
			 "'ltctl rebuild'",
		    "kho dữ liệu ở đây chưa sao lưu được: hãy xem 'ltctl scrub', rồi 'ltctl "
		    "rebuild'");
	case LT_BACKUP_NO_BACKUP:
		return T("this is no backup, or one that never ended: take another",
		    "đây không phải bản sao lưu, hoặc bản sao lưu dở dang: hãy dùng bản khác");
	case LT_BACKUP_DAMAGED:
		return T("this backup is damaged: take another",
		    "bản sao lưu này bị hỏng: hãy dùng bản khác");
	case LT_BACKUP_UNSIGNED:
		return T("this backup is not what a machine of the federation made: do not use it",
		    "bản sao lưu này không do máy của liên thông làm ra: không được dùng");
	case LT_BACKUP_NEWER:
		return T("this program is older than the backup: install the newer one",
		    "chương trình này cũ hơn bản sao lưu: hãy cài bản mới");
	case LT_BACKUP_FOREIGN:
		return T("backup and keys do not belong together: look for the right one",
		    "bản sao lưu và khóa không thuộc về nhau: hãy tìm đúng bản");
	case LT_BACKUP_NO_KEYS:
		return T("name the keys: --escrow FILE (a hub), or --identity FOLDER",
		    "hãy chỉ ra khóa: --escrow TỆP (đầu mối), hoặc --identity THƯ_MỤC");
	case LT_BACKUP_NOT_EMPTY:
		return T("restore into an empty folder: -C DIR",
		    "hãy khôi phục vào một thư mục trống: -C THƯ_MỤC");
	case LT_BACKUP_ERASURES:
		return T("the list is what 'ltctl erase list --export FILE' wrote at this hub",
		    "danh sách phải là tệp do 'ltctl erase list --export TỆP' ghi ở đầu mối này");
	case LT_BACKUP_IN_USE:
		return T("stop the program that works there first",
		    "hãy dừng chương trình đang chạy ở đó trước");
	case LT_BACKUP_OTHER:
		break;
	}
	return "";
}

static enum ctl_exit
complain(const struct lt_backup_error *e, int rc)
{
	const char *what = ctl_said(rc, &e->err);
	const char *next = next_step(e->why);
	bool no =
	    e->why != LT_BACKUP_OTHER && e->why != LT_BACKUP_MEDIUM && e->why != LT_BACKUP_SOURCE;

	if (next[0] == '\0')
		return ctl_fail(CTL_UNKNOWN, "%s", what);
	if (ctl_vietnamese && e->err.text[0] != '\0' && lt_err_vi(&e->err)[0] == '\0')
		return ctl_fail(
		    no ? CTL_NO : CTL_UNKNOWN, "%s; chi tiết (tiếng Anh): %s", next, what);
	return ctl_fail(no ? CTL_NO : CTL_UNKNOWN, "%s (%s)", next, what);
}

static void
print_info(struct ctl *c, const struct lt_backup_info *i, const char *said)
{
	const char *unit = i->unit.s;

	if (c->json) {
		ctl_print_json(json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:b,s:b}",
		    "role", i->role == LTPB__ROLE__ROLE_HUB ? "hub" : "node", "unit", unit,
		    "federation", ctl_json_hex(i->federation.b, LT_FED_LEN), "root_key",
		    ctl_json_hex(i->root_key, sizeof(i->root_key)), "principal",
		    ctl_json_hex(i->principal.b, LT_ID_LEN), "id",
		    ctl_json_hex(i->id, sizeof(i->id)), "made_ms", (json_int_t)i->made_ms, "bytes",
		    (json_int_t)i->bytes, "feeds", (json_int_t)i->feeds, "position",
		    (json_int_t)i->position, "keys", i->keys, "escrow", i->escrow));
		return;
	}
	printf("%s\n", said);
	printf(T("%s %s, %llu change-sets of %llu feeds, %.1f MB, made %s\nroot key: %s\n",
		   "%s %s, %llu gói thay đổi của %llu dòng, %.1f MB, làm lúc %s\nkhóa gốc: %s\n"),
	    ctl_role(i->role), unit, (unsigned long long)i->position, (unsigned long long)i->feeds,
	    (double)i->bytes / 1e6, ctl_time(&c->arena, i->made_ms),
	    ctl_hex(&c->arena, i->root_key, sizeof(i->root_key)));
	if (i->keys)
		printf("%s\n",
		    T("The keys of the machine are in it: guard it like the machine itself.",
			"Trong đó có khóa của máy: phải cất giữ như chính máy đó."));
	else if (i->escrow)
		printf("%s\n", T("The hub's keys are in it, sealed: the root words open them.",
				   "Trong đó có khóa của đầu mối, đã niêm phong: chỉ các từ của "
				   "khóa gốc mở được."));
}

enum ctl_exit
cmd_backup(struct ctl *c, int argc, char **argv)
{
	bool with = false, without = false;
	const struct ctl_option options[] = { { "with-keys", CTL_FLAG, &with },
		{ "without-keys", CTL_FLAG, &without }, { "json", CTL_FLAG, &c->json } };
	struct lt_backup_options o = { .dir = c->dir, .now_ms = lt_wall_ms(lt_clock_system()) };
	struct lt_backup_info info;
	struct lt_backup_error e;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 3, &args, 1, 1);
	int rc;

	if (code == CTL_DONE && with && without)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--with-keys or --without-keys, not both",
			"chỉ một trong hai: --with-keys hoặc --without-keys"));
	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code != CTL_DONE)
		return code;
	if (ctl_is_client(c))
		return ctl_fail(CTL_USAGE, "%s",
		    T("a client has no store: copy its folder",
			"máy khách không có kho: hãy chép thư mục của nó"));
	o.path = args.item[0];
	o.identity = c->id;
	o.keys = with || (!without && c->id->role == LTPB__ROLE__ROLE_NODE);
	rc = lt_backup_make(&o, &info, &e);
	if (rc != LT_OK)
		return complain(&e, rc);
	print_info(c, &info,
	    T("The backup is made, on disk and verified.",
		"Đã sao lưu xong, đã ghi xuống đĩa và kiểm tra."));
	return CTL_DONE;
}

/* 64 hexadecimal digits, or words. */
static bool
read_root(const char *text, uint8_t key[32])
{
	struct lt_err err;

	return (strlen(text) == 64 && lt_unhex(key, 32, text) == LT_OK) ||
	       (strchr(text, ' ') != NULL && lt_root_words_parse(text, key, &err) == LT_OK);
}

static enum ctl_exit
check_root(const char *root, const struct lt_backup_info *info)
{
	uint8_t key[32];

	if (root == NULL)
		return CTL_DONE;
	if (!read_root(root, key))
		return ctl_fail(CTL_USAGE, "%s",
		    T("--root is 64 hexadecimal digits, or the words of the public key",
			"--root là 64 chữ số thập lục phân, hoặc các từ của khóa công khai"));
	if (memcmp(key, info->root_key, 32) != 0)
		return ctl_fail(CTL_NO, "%s",
		    T("this backup is of another federation than that root key",
			"bản sao lưu này thuộc liên thông khác với khóa gốc đó"));
	return CTL_DONE;
}

enum ctl_exit
cmd_backup_verify(struct ctl *c, int argc, char **argv)
{
	const char *root = NULL;
	const struct ctl_option options[] = { { "root", CTL_TEXT, &root },
		{ "json", CTL_FLAG, &c->json } };
	struct lt_backup_info info;
	struct lt_backup_error e;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 1, 1);
	int rc;

	if (code != CTL_DONE)
		return code;
	rc = lt_backup_verify(args.item[0], &info, &e);
	if (rc != LT_OK)
		return complain(&e, rc);
	code = check_root(root, &info);
	if (code == CTL_DONE)
		print_info(c, &info, T("The backup is whole.", "Bản sao lưu nguyên vẹn."));
	return code;
}

/* ---- restore ---- */

/* From a file, or from whoever types: as many lines as it takes. In guarded memory. */
static enum ctl_exit
read_words(const char *file, char *words)
{
	FILE *from = file != NULL ? fopen(file, "re") : stdin;
	size_t n = 0, count = 0, i;

	words[0] = '\0';
	if (from == NULL)
		return ctl_fail(CTL_UNKNOWN, T("cannot open '%s'", "không mở được '%s'"), file);
	(void)setvbuf(from, NULL, _IONBF, 0); /* no copy of them stays behind */
	if (file == NULL && isatty(STDIN_FILENO))
		fprintf(stderr, "%s\n",
		    T("Type the 33 words of the root key, then Enter:",
			"Hãy gõ 33 từ của khóa gốc, rồi Enter:"));
	while (count < 33 && n < WORDS_MAX - 2 &&
	       fgets(words + n, (int)(WORDS_MAX - n), from) != NULL) {
		n = strlen(words);
		if (n > 0 && words[n - 1] == '\n')
			words[n - 1] = ' ';
		for (i = 0, count = 0; i < n; i++)
			count += words[i] > ' ' && (i == 0 || words[i - 1] <= ' ');
	}
	if (file != NULL)
		(void)fclose(from);
	return CTL_DONE;
}

static enum ctl_exit
say_escrow(int rc, const struct lt_err *err)
{
	if (rc == LT_E_DENIED)
		return ctl_fail(CTL_NO, "%s",
		    T("these words are the root key of another federation: find the paper of this "
		      "one",
			"các từ này là khóa gốc của liên thông khác: hãy tìm đúng tờ giấy"));
	if (rc == LT_E_VERSION)
		return ctl_fail(CTL_NO, "%s (%s)", next_step(LT_BACKUP_NEWER), ctl_said(rc, err));
	return ctl_fail(CTL_NO, "%s: %s",
	    T("the hub's keys cannot be opened; check the words and the file",
		"không mở được khóa của đầu mối; hãy kiểm tra các từ và tệp"),
	    ctl_said(rc, err));
}

static enum ctl_exit
open_escrow(const char *path, const char *words_file, struct lt_identity **out)
{
	char *words = sodium_malloc(WORDS_MAX);
	struct lt_err err = { "" };
	enum ctl_exit code;
	struct lt_fed fed;
	struct lt_buf b;
	int rc;

	if (words == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	lt_buf_init(&b, LT_ESCROW_BYTES_MAX + 1);
	rc = lt_file_read(path, LT_ESCROW_BYTES_MAX, &b, &err);
	code = rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	/* Before anybody types a secret for nothing. */
	if (code == CTL_DONE && (rc = lt_escrow_federation(lt_buf_slice(&b), &fed, &err)) != LT_OK)
		code = say_escrow(rc, &err);
	if (code == CTL_DONE)
		code = read_words(words_file, words);
	if (code == CTL_DONE && (rc = lt_escrow_open(lt_buf_slice(&b), words, out, &err)) != LT_OK)
		code = say_escrow(rc, &err);
	lt_buf_fini(&b);
	sodium_free(words);
	return code;
}

struct restoring {
	const char *path, *escrow, *words, *identity, *root, *erasures;
	struct lt_identity *id;
	struct lt_backup_info info;
};

/* Where the keys come from. */
static enum ctl_exit
find_keys(struct ctl *c, struct restoring *r)
{
	struct lt_err err = { "" };
	char *own;
	size_t n;
	int rc;

	if (r->identity != NULL) {
		rc = lt_identity_load(r->identity, &r->id, &err);
		return rc == LT_OK ? CTL_DONE : ctl_error(rc, &err);
	}
	if (r->escrow != NULL)
		return open_escrow(r->escrow, r->words, &r->id);
	if (r->info.keys || !r->info.escrow)
		return CTL_DONE;
	n = strlen(r->path) + sizeof("/escrow");
	own = lt_arena_alloc(&c->arena, n);
	if (own == NULL)
		return ctl_error(LT_E_NOMEM, NULL);
	(void)snprintf(own, n, "%s/escrow", r->path);
	return open_escrow(own, r->words, &r->id);
}

/* What 'ltctl erase list --export' wrote. */
static enum ctl_exit
read_erasures(const char *path, struct lt_buf *out)
{
	struct lt_err err = { "" };
	int rc;

	if (path == NULL)
		return CTL_DONE;
	lt_buf_init(out, LT_ERASURES_BYTES_MAX + 1);
	rc = lt_file_read(path, LT_ERASURES_BYTES_MAX, out, &err);
	if (rc == LT_OK && out->len == 0)
		rc = lt_err_set(&err, LT_E_INVALID, "\"%s\" is empty", path);
	if (rc == LT_OK)
		return CTL_DONE;
	lt_buf_fini(out);
	return ctl_error(rc, &err);
}

static void
say_next(struct ctl *c, bool hub)
{
	if (c->json)
		return;
	if (hub)
		printf(T("Next: start lt-hub -C %s. It takes nothing in and signs nothing before "
			 "every active node has given "
			 "back\nwhat it has of the hub's feeds: see 'ltctl -C %s recovery'. "
			 "Invitations still open at the "
			 "backup are void: make new ones.\n",
			   "Tiếp theo: chạy lt-hub -C %s. Đầu mối chưa nhận và chưa ký gì khi các "
			   "máy đang hoạt động chưa trả "
			   "lại hết\nnhững gì đầu mối đã ký: xem 'ltctl -C %s recovery'. Thư mời "
			   "còn mở lúc sao lưu không dùng được "
			   "nữa: hãy làm thư mời mới.\n"),
		    c->dir, c->dir);
	else
		printf(
		    T("Next: start lt-node -C %s. It fetches from the hub what it sent since "
		      "the backup, and signs in a new epoch.\nIf the old machine still runs, stop "
		      "it: only one of them may work.\n",
			"Tiếp theo: chạy lt-node -C %s. Máy sẽ lấy lại từ đầu mối những gì đã gửi "
			"từ lúc sao lưu, và ký trong kỷ nguyên mới.\nNếu máy cũ còn chạy thì phải "
			"dừng: chỉ một máy được làm việc.\n"),
		    c->dir);
}

/* Nothing on this machine can know it: what was erased since stands at the hub and at its nodes. */
static void
say_erased(struct ctl *c, bool hub)
{
	if (c->json)
		return;
	if (hub)
		printf("%s\n", T("Restored without --erasures: what was erased since the backup is "
				 "in it again, and is "
				 "shown until the nodes have given the erasures back.",
				   "Khôi phục không có --erasures: những gì đã xóa sau lần sao lưu "
				   "lại có ở đây, và còn "
				   "hiện cho đến khi các máy trả lại quyết định xóa."));
	else
		printf("%s\n", T("Restored without --erasures: what was erased since the backup is "
				 "in it again, and is "
				 "shown until this machine has heard from the hub.",
				   "Khôi phục không có --erasures: những gì đã xóa sau lần sao lưu "
				   "lại có ở đây, và còn "
				   "hiện cho đến khi máy này liên lạc được với đầu mối."));
}

enum ctl_exit
cmd_restore(struct ctl *c, int argc, char **argv)
{
	struct restoring r = { 0 };
	const struct ctl_option options[] = { { "escrow", CTL_TEXT, &r.escrow },
		{ "words-file", CTL_TEXT, &r.words }, { "identity", CTL_TEXT, &r.identity },
		{ "root", CTL_TEXT, &r.root }, { "erasures", CTL_TEXT, &r.erasures },
		{ "json", CTL_FLAG, &c->json } };
	struct lt_buf list = { 0 };
	struct lt_restore_options o = { .dir = c->dir, .now_ms = lt_wall_ms(lt_clock_system()) };
	struct lt_backup_error e;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 6, &args, 1, 1);
	int rc;

	if (code != CTL_DONE)
		return code;
	if (r.identity != NULL && r.escrow != NULL)
		return ctl_fail(CTL_USAGE, "%s",
		    T("--identity or --escrow, not both",
			"chỉ một trong hai: --identity hoặc --escrow"));
	r.path = args.item[0];
	rc = lt_backup_read(r.path, &r.info, &e);
	if (rc != LT_OK)
		return complain(&e, rc);
	code = check_root(r.root, &r.info);
	if (code == CTL_DONE)
		code = find_keys(c, &r);
	if (code != CTL_DONE)
		return code;
	o.path = r.path;
	o.identity = r.id;
	code = read_erasures(r.erasures, &list);
	if (code != CTL_DONE) {
		lt_identity_free(r.id);
		return code;
	}
	o.erasures = lt_buf_slice(&list);
	rc = lt_restore(&o, &r.info, &e);
	lt_identity_free(r.id);
	lt_buf_fini(&list);
	if (rc != LT_OK)
		return complain(&e, rc);
	print_info(c, &r.info, T("Restored.", "Đã khôi phục."));
	say_next(c, r.info.role == LTPB__ROLE__ROLE_HUB);
	if (r.erasures == NULL)
		say_erased(c, r.info.role == LTPB__ROLE__ROLE_HUB);
	return CTL_DONE;
}

/* ---- hub escrow ---- */

enum ctl_exit
cmd_hub_escrow(struct ctl *c, int argc, char **argv)
{
	struct lt_err err = { "" };
	struct ctl_list args;
	struct lt_buf b;
	enum ctl_exit code = ctl_options(c, argc, argv, NULL, 0, &args, 1, 1);
	int rc;

	if (code == CTL_DONE)
		code = ctl_open(c);
	if (code != CTL_DONE)
		return code;
	if (c->id->role != LTPB__ROLE__ROLE_HUB)
		return ctl_fail(CTL_USAGE, "%s",
		    T("this is no hub's directory", "đây không phải thư mục của đầu mối"));
	lt_buf_init(&b, LT_ESCROW_BYTES_MAX);
	rc = lt_escrow_seal(c->id, lt_wall_ms(lt_clock_system()), &b);
	if (rc == LT_OK)
		rc = lt_file_write(args.item[0], lt_buf_slice(&b), 0600, true, &err);
	lt_buf_fini(&b);
	if (rc != LT_OK)
		return rc == LT_E_EXISTS ? ctl_fail(CTL_NO, "%s", ctl_said(rc, &err))
					 : ctl_error(rc, &err);
	printf(
	    T("The hub's keys are sealed in '%s': the 33 words of the root key open them, and "
	      "nothing else.\nKeep it away from the words. Every backup of this hub has one too.\n",
		"Đã niêm phong khóa của đầu mối trong '%s': chỉ 33 từ của khóa gốc mở được.\n"
		"Cất nó ở nơi khác với các từ. Mỗi bản sao lưu của đầu mối cũng có một bản.\n"),
	    args.item[0]);
	return CTL_DONE;
}
