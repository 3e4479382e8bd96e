/* hub init: the root key, the hub's own keys and certificate, and a store that holds the federation, the catalogue and the
 * units, so that the daemon can be started. */
#include "hub/hub.h"
#include "node/import_units.h"
#include "proto/base/file.h"
#include "proto/feed/trust.h"
#include "proto/store/catalogue_store.h"
#include "tools/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_DEFAULT "tcp://0.0.0.0:7340"
#define FIRST_VERSION 1
#define BATCH_ROWS 256
#define BATCH_ARENA ((size_t)64 * 1024 * 1024)
#define CERTIFICATE_MAX 4096

struct making {
	struct ctl *c;
	const char *province, *listen, *addresses, *catalogue, *units, *succession, *words_file;
	struct lt_identity *id; /* guarded memory */
	uint8_t root_seed[32];
	struct lt_buf certificate;
	struct lt_hub *hub;
	struct lt_err err;
	/* rows of one collection on their way */
	const char *collection;
	struct lt_arena arena;
	size_t nrow;
	struct lt_write row[BATCH_ROWS];
	uint64_t written;
};

/* ---- keys ---- */

static int
make_keys(struct making *m)
{
	struct lt_identity *id = m->id;
	struct lt_sign_key root;

	randombytes_buf(m->root_seed, sizeof(m->root_seed));
	lt_sign_key_from_seed(m->root_seed, &root);
	id->role = LTPB__ROLE__ROLE_HUB;
	memcpy(id->root_key, root.pk, sizeof(id->root_key));
	sodium_memzero(&root, sizeof(root));
	randombytes_buf(id->salt, sizeof(id->salt));
	lt_federation_id(id->root_key, id->salt, &id->federation);
	lt_identity_keys(id);
	memcpy(id->hub_line_key, id->line_pk, sizeof(id->hub_line_key));
	return lt_unit_set(&id->unit, lt_slice_str(m->province));
}

static void
set_bytes(ProtobufCBinaryData *b, const void *data, size_t len)
{
	b->data = (uint8_t *)data;
	b->len = len;
}

static int
make_certificate(struct making *m)
{
	Ltpb__CertificateBody body = LTPB__CERTIFICATE_BODY__INIT;
	struct lt_identity *id = m->id;
	struct lt_sign_key root;
	int rc;

	set_bytes(&body.federation, id->federation.b, LT_FED_LEN);
	set_bytes(&body.principal, id->principal.b, LT_ID_LEN);
	body.role = LTPB__ROLE__ROLE_HUB;
	body.key_no = id->key_no;
	set_bytes(&body.sign_key, id->sign.pk, 32);
	set_bytes(&body.line_key, id->line_pk, 32);
	body.generation = 1;
	body.purpose = (char *)"hub";
	lt_sign_key_from_seed(m->root_seed, &root);
	rc = lt_certificate_make(&body, &root, &m->certificate);
	sodium_memzero(&root, sizeof(root));
	id->certificate = lt_buf_slice(&m->certificate);
	return rc;
}

/* ---- records ---- */

static int
flush_rows(struct making *m)
{
	static const struct lt_unit federation = { "_" };
	size_t i;
	int rc;

	if (m->nrow == 0)
		return LT_OK;
	rc = lt_hub_write(m->hub, &federation, m->row, m->nrow, &m->arena, &m->err);
	for (i = 0; rc == LT_OK && i < m->nrow; i++)
		if (m->row[i].rc != LT_OK)
			rc = lt_err_set(&m->err, m->row[i].rc, "%s %s: %s", m->row[i].collection,
			    m->row[i].key,
			    m->row[i].violation.message[0] != '\0' ? m->row[i].violation.message
								   : lt_strerror(m->row[i].rc));
	m->written += m->nrow;
	m->nrow = 0;
	lt_arena_fini(&m->arena);
	lt_arena_init(&m->arena, BATCH_ARENA);
	return rc;
}

static int
add_row(void *ctx, const struct lt_unit *unit, const char *key, Ltpb__FieldSet **set, size_t nset)
{
	struct making *m = ctx;
	struct lt_write *w = &m->row[m->nrow];
	size_t i;

	(void)unit; /* always `_` for acts */
	memset(w, 0, sizeof(*w));
	w->collection = m->collection;
	w->key = lt_arena_dup(&m->arena, key, strlen(key));
	w->set = lt_arena_alloc(&m->arena, (nset + 1) * sizeof(*w->set));
	w->nset = nset;
	w->writer = LT_WRITER_PROVINCE;
	w->builtin = true;
	if (w->key == NULL || w->set == NULL)
		return LT_E_NOMEM;
	for (i = 0; i < nset; i++) {
		w->set[i] = ctl_field_dup(set[i], &m->arena);
		if (w->set[i] == NULL)
			return LT_E_NOMEM;
	}
	return ++m->nrow == BATCH_ROWS ? flush_rows(m) : LT_OK;
}

static int
read_file(struct making *m, const char *path, size_t max, struct lt_buf *out)
{
	lt_buf_init(out, max + 1);
	return lt_file_read(path, max, out, &m->err);
}

/* Before anything is made. */
static enum ctl_exit
check_province(struct making *m)
{
	const struct lt_unit_info *u = NULL;
	struct lt_units *units = NULL;
	struct lt_buf csv;
	int rc = read_file(m, m->units, LT_UNITS_FILE_MAX, &csv);

	if (rc == LT_OK)
		rc = lt_units_load(lt_buf_slice(&csv), &units, &m->err);
	if (rc == LT_OK)
		u = lt_units_find(units, m->province);
	lt_buf_fini(&csv);
	lt_units_free(units);
	if (rc != LT_OK)
		return ctl_error(rc, &m->err);
	return u != NULL ? CTL_DONE
			 : ctl_fail(CTL_USAGE,
			       T("the list of units has no province '%s'",
				   "danh sách đơn vị không có tỉnh '%s'"),
			       m->province);
}

static int
publish_catalogue(struct making *m)
{
	struct lt_draft *draft;
	struct lt_arena arena;
	struct lt_buf json;
	size_t i, n = 0;
	int rc = read_file(m, m->catalogue, LT_CATALOGUE_BYTES_MAX, &json);

	lt_arena_init(&arena, BATCH_ARENA);
	if (rc == LT_OK)
		rc = lt_catalogue_publish(
		    lt_buf_slice(&json), FIRST_VERSION, &arena, &draft, &n, &m->err);
	m->collection = "_catalogue";
	for (i = 0; rc == LT_OK && i < n; i++)
		rc = add_row(m, NULL, draft[i].key, draft[i].set, draft[i].nset);
	if (rc == LT_OK)
		rc = flush_rows(m);
	lt_arena_fini(&arena);
	lt_buf_fini(&json);
	return rc;
}

static int
write_federation(struct making *m)
{
	Ltpb__FieldSet f[3], *set[3] = { &f[0], &f[1], &f[2] };
	Ltpb__Value v[3];
	size_t i;

	for (i = 0; i < 3; i++) {
		ltpb__field_set__init(&f[i]);
		ltpb__value__init(&v[i]);
		f[i].value = &v[i];
		v[i].v_case = LTPB__VALUE__V_BYTES;
	}
	f[0].name = (char *)"province";
	v[0].v_case = LTPB__VALUE__V_TEXT;
	v[0].text = m->id->unit.s;
	f[1].name = (char *)"root_key";
	set_bytes(&v[1].bytes, m->id->root_key, 32);
	f[2].name = (char *)"salt";
	set_bytes(&v[2].bytes, m->id->salt, 16);
	m->collection = "_federation";
	return add_row(m, NULL, "_", set, 3);
}

static int
write_units(struct making *m)
{
	struct lt_catalogue *cat = lt_hub_catalogue(m->hub);
	struct lt_succession *succession = NULL;
	struct lt_units *units = NULL;
	struct lt_buf units_csv, succession_csv;
	int rc = read_file(m, m->units, LT_UNITS_FILE_MAX, &units_csv);

	lt_buf_init(&succession_csv, 0);
	if (rc == LT_OK)
		rc = read_file(m, m->succession, LT_UNITS_FILE_MAX, &succession_csv);
	if (rc == LT_OK)
		rc = lt_units_load(lt_buf_slice(&units_csv), &units, &m->err);
	if (rc == LT_OK)
		rc = lt_succession_load(lt_buf_slice(&succession_csv), &succession, &m->err);
	m->collection = "_unit";
	if (rc == LT_OK)
		rc = lt_units_rows(
		    LT_ROWS_UNIT, cat, units, succession, m->province, add_row, m, &m->err);
	if (rc == LT_OK)
		rc = flush_rows(m);
	m->collection = "_succession";
	if (rc == LT_OK)
		rc = lt_units_rows(
		    LT_ROWS_SUCCESSION, cat, units, succession, m->province, add_row, m, &m->err);
	if (rc == LT_OK)
		rc = flush_rows(m);
	lt_units_free(units);
	lt_succession_free(succession);
	lt_buf_fini(&units_csv);
	lt_buf_fini(&succession_csv);
	lt_catalogue_unref(cat);
	return rc;
}

static int
fill_store(struct making *m)
{
	struct lt_hub_options o = {
		.dir = m->c->dir, .identity = m->id, .clock = lt_clock_system()
	};
	int rc = lt_hub_open(&o, &m->hub, &m->err);

	if (rc == LT_OK)
		rc = write_federation(m);
	if (rc == LT_OK)
		rc = flush_rows(m);
	if (rc == LT_OK)
		rc = publish_catalogue(m);
	if (rc == LT_OK)
		rc = write_units(m);
	lt_hub_close(m->hub);
	m->hub = NULL;
	return rc;
}

/* ---- files and words ---- */

/* What nodes will dial: where we listen, or, listening everywhere, this machine's name. */
static int
choose_addresses(struct making *m, char *out, size_t cap)
{
	const char *port = strrchr(m->listen, ':');
	char host[256] = "";

	if (m->addresses != NULL)
		return snprintf(out, cap, "%s", m->addresses) < (int)cap ? LT_OK : LT_E_TOOBIG;
	if (strncmp(m->listen, "tcp://0.0.0.0:", 14) != 0 &&
	    strncmp(m->listen, "tcp://*:", 8) != 0 && strncmp(m->listen, "tcp://[::]:", 11) != 0)
		return snprintf(out, cap, "%s", m->listen) < (int)cap ? LT_OK : LT_E_TOOBIG;
	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' || port == NULL)
		(void)snprintf(host, sizeof(host), "localhost");
	return snprintf(out, cap, "tcp://%s%s", host, port != NULL ? port : ":7340") < (int)cap
		   ? LT_OK
		   : LT_E_TOOBIG;
}

static enum ctl_exit
write_conf(struct making *m, char *addresses, size_t cap)
{
	char text[2048];

	if (choose_addresses(m, addresses, cap) != LT_OK ||
	    snprintf(text, sizeof(text),
		"; lt-hub, see lt-hub(8)\n[hub]\n; where nodes and departments are awaited\nlisten "
		"= %s\n"
		"; what invitations tell them to dial, blanks between\naddresses = %s\n",
		m->listen, addresses) >= (int)sizeof(text))
		return ctl_fail(
		    CTL_USAGE, "%s", T("the addresses are too long", "địa chỉ quá dài"));
	return ctl_write_new(m->c, "lienthong.conf", text);
}

/* The root key leaves this process as words only. They are out before the identity makes the hub real: a hub whose root
 * nobody has could never be replaced. */
static enum ctl_exit
give_words(struct making *m)
{
	struct lt_err err = { "" };
	enum ctl_exit code = CTL_DONE;
	struct lt_buf b;
	int rc;

	lt_buf_init(&b, 4096);
	lt_root_words(&b, m->root_seed);
	lt_buf_u8(&b, '\n');
	if (b.err != LT_OK) {
		code = ctl_error(b.err, NULL);
	} else if (m->words_file != NULL) {
		rc = lt_file_write(m->words_file, lt_buf_slice(&b), 0600, true, &err);
		if (rc != LT_OK)
			code = ctl_error(rc, &err);
	} else {
		printf("%s\n\n%.*s\n",
		    T("ROOT KEY. Write these 33 words on paper, keep it locked away, and show "
		      "nobody. They are not kept on this "
		      "machine; without them a lost hub cannot be replaced.",
			"KHÓA GỐC. Hãy chép 33 từ này ra giấy, cất vào két, không cho ai xem. Máy "
			"này không giữ lại; mất "
			"chúng thì không thay được đầu mối khi hỏng."),
		    (int)b.len, (const char *)b.data);
		if (fflush(stdout) != 0)
			code = ctl_fail(CTL_UNKNOWN, "%s",
			    T("the root key could not be written out; nothing was made",
				"không in ra được khóa gốc; chưa tạo gì cả"));
	}
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	lt_buf_fini(&b);
	return code;
}

static enum ctl_exit
refuse_used_directory(struct ctl *c)
{
	static const char *const names[] = { "identity", "log", "derived", "store" };
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = ctl_path(c, names[i]);

		if (path == NULL)
			return ctl_error(LT_E_NOMEM, NULL);
		if (lstat(path, &st) != 0)
			continue;
		return ctl_fail(CTL_NO,
		    T("'%s' is there already: this directory is in use, or an earlier attempt "
		      "broke off; nothing was "
		      "changed",
			"đã có '%s': thư mục này đang được dùng, hoặc lần tạo trước dở dang; không "
			"thay đổi gì"),
		    path);
	}
	return CTL_DONE;
}

/* ---- the command ---- */

/* The folder of this program, "" when the system does not tell. */
static const char *
own_folder(char *path, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", path, cap - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	return path;
}

const char *
ctl_data_file(struct ctl *c, const char *name)
{
	/* From where the program stands: a tree may be installed anywhere, and what is installed owes nothing to the sources. */
	char folder[4096];
	const char *place = LT_SHARE_DIR, *between = "";
	size_t n;
	char *path;

	if (*own_folder(folder, sizeof(folder)) != '\0') {
		place = strcmp(folder, LT_BUILD_BIN) == 0 ? LT_SOURCE_DATA : folder;
		between = place == folder ? "/" LT_SHARE_FROM_BIN : "";
	}
	n = strlen(place) + strlen(between) + strlen(name) + 2;
	path = lt_arena_alloc(&c->arena, n);
	if (path == NULL)
		return "";
	(void)snprintf(path, n, "%s%s/%s", place, between, name);
	return path;
}

static enum ctl_exit
make_all(struct making *m)
{
	char addresses[LT_ADDRESSES_LEN_MAX + 1];
	enum ctl_exit code;
	int rc = make_keys(m);

	if (rc == LT_OK)
		rc = make_certificate(m);
	if (rc == LT_OK)
		rc = fill_store(m);
	if (rc != LT_OK)
		return ctl_error(rc, &m->err);
	code = write_conf(m, addresses, sizeof(addresses));
	if (code == CTL_DONE)
		code = give_words(m);
	if (code != CTL_DONE)
		return code;
	rc = lt_identity_write(m->id, m->c->dir, false, &m->err);
	if (rc != LT_OK)
		return ctl_error(rc, &m->err);
	printf(T("The hub of province %s is made in '%s' (%llu records of catalogue and units).\n"
		 "Nodes will be told to dial: %s (lienthong.conf, 'addresses')\n"
		 "Next: lt-hub -C %s, then: ltctl -C %s enrol invite --unit CODE\n",
		   "Đã tạo đầu mối tỉnh %s trong '%s' (%llu bản ghi danh mục và đơn vị).\n"
		   "Máy của xã sẽ gọi tới: %s (lienthong.conf, 'addresses')\n"
		   "Tiếp theo: lt-hub -C %s, rồi: ltctl -C %s enrol invite --unit MÃ\n"),
	    m->province, m->c->dir, (unsigned long long)m->written, addresses, m->c->dir,
	    m->c->dir);
	return CTL_DONE;
}

static enum ctl_exit
check_options(const struct making *m)
{
	struct lt_unit u;

	if (m->province == NULL || lt_unit_set(&u, lt_slice_str(m->province)) != LT_OK ||
	    !lt_unit_is_province(&u))
		return ctl_fail(CTL_USAGE, "%s",
		    T("--province needs the two digits of a province",
			"--province cần hai chữ số của tỉnh"));
	if (strncmp(m->listen, "tcp://", 6) != 0 || strpbrk(m->listen, " \n;") != NULL ||
	    (m->addresses != NULL && strpbrk(m->addresses, "\n;") != NULL))
		return ctl_fail(CTL_USAGE, "%s",
		    T("addresses look like tcp://host:port", "địa chỉ có dạng tcp://máy:cổng"));
	return CTL_DONE;
}

/* What lt-hub would refuse to start with, see lt-hub(8). */
static enum ctl_exit
check_addresses(const char *text)
{
	size_t n = 0, len, longest = 0;
	const char *at;

	for (at = text; *at != '\0'; at += len) {
		at += strspn(at, " ");
		len = strcspn(at, " ");
		n += len != 0;
		longest = len > longest ? len : longest;
	}
	if (n <= LT_ADDRESSES_MAX && longest <= LT_ADDRESS_LEN_MAX &&
	    strlen(text) <= LT_ADDRESSES_LEN_MAX)
		return CTL_DONE;
	return ctl_fail(CTL_USAGE,
	    T("at most %d addresses, each of at most %d bytes, %d bytes together",
		"tối đa %d địa chỉ, mỗi địa chỉ tối đa %d byte, tổng cộng tối đa %d byte"),
	    LT_ADDRESSES_MAX, LT_ADDRESS_LEN_MAX, LT_ADDRESSES_LEN_MAX);
}

enum ctl_exit
cmd_hub_init(struct ctl *c, int argc, char **argv)
{
	struct making m = { .c = c, .listen = LISTEN_DEFAULT };
	const struct ctl_option options[] = { { "province", CTL_TEXT, &m.province },
		{ "listen", CTL_TEXT, &m.listen }, { "addresses", CTL_TEXT, &m.addresses },
		{ "catalogue", CTL_TEXT, &m.catalogue }, { "units", CTL_TEXT, &m.units },
		{ "succession", CTL_TEXT, &m.succession },
		{ "root-words-file", CTL_TEXT, &m.words_file } };
	struct ctl_list args;
	int lock = -1, rc;
	enum ctl_exit code =
	    ctl_options(c, argc, argv, options, sizeof(options) / sizeof(options[0]), &args, 0, 0);

	if (code == CTL_DONE)
		code = check_options(&m);
	if (code == CTL_DONE && m.addresses != NULL)
		code = check_addresses(m.addresses);
	if (code == CTL_DONE)
		code = refuse_used_directory(c);
	if (code != CTL_DONE)
		return code;
	if (m.catalogue == NULL)
		m.catalogue = ctl_data_file(c, "catalogue.json");
	if (m.units == NULL)
		m.units = ctl_data_file(c, "units.csv");
	if (m.succession == NULL)
		m.succession = ctl_data_file(c, "succession.csv");
	code = check_province(&m);
	if (code != CTL_DONE)
		return code;
	lt_arena_init(&m.arena, BATCH_ARENA);
	lt_buf_init(&m.certificate, CERTIFICATE_MAX);
	rc = lt_dir_make(c->dir, 0700, &m.err);
	if (rc == LT_OK)
		rc = lt_dir_lock(c->dir, &lock, &m.err);
	m.id = sodium_malloc(sizeof(*m.id));
	if (rc == LT_OK && m.id == NULL)
		rc = LT_E_NOMEM;
	if (rc == LT_OK) {
		memset(m.id, 0, sizeof(*m.id));
		code = make_all(&m);
	} else {
		code = ctl_error(rc, &m.err);
	}
	sodium_memzero(m.root_seed, sizeof(m.root_seed));
	if (m.id != NULL)
		sodium_free(m.id);
	if (lock >= 0)
		(void)close(lock);
	lt_buf_fini(&m.certificate);
	lt_arena_fini(&m.arena);
	return code;
}
