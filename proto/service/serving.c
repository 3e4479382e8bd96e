#include "proto/service/serving.h"
#include "proto/base/clock.h"
#include "proto/base/daemon.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/rpc/health.h"
#include "proto/rpc/methods.h"
#include "proto/rpc/reflection.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS 1000

int
lt_serving_begin(
    struct lt_serving *s, const char *dir, Ltpb__Role role, const char *word, struct lt_err *err)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->dir = dir;
	s->lock_fd = -1;
	rc = lt_dir_lock(dir, &s->lock_fd, err);
	if (rc == LT_OK)
		rc = lt_identity_load(dir, &s->id, err);
	if (rc == LT_OK && s->id->role != role)
		rc = lt_err_set(err, LT_E_USAGE,
		    "'%s' is not the directory of a %s; make one with: ltctl -C DIR %s init", dir,
		    word, word);
	return rc;
}

int
lt_serving_config(
    struct lt_serving *s, const struct lt_conf_key *keys, size_t nkeys, struct lt_err *err)
{
	char path[4096];
	int rc;

	if (snprintf(path, sizeof(path), "%s/lienthong.conf", s->dir) >= (int)sizeof(path))
		return lt_err_set(err, LT_E_INVALID, "the path of the data directory is too long");
	rc = lt_conf_load(&s->conf, keys, nkeys, path, err);
	if (rc == LT_OK)
		lt_log_level_name(lt_conf_str(s->conf, "log", "level"));
	return rc;
}

int
lt_serving_work(struct lt_serving *s, const struct lt_pool_options *o)
{
	int rc = lt_pool_open(o, &s->pool);

	if (rc != LT_OK)
		return rc;
	s->health = lt_health_new();
	return s->health == NULL ? LT_E_NOMEM : LT_OK;
}

int
lt_serving_server(struct lt_serving *s, struct lt_server_options *o, struct lt_err *err)
{
	int rc;

	o->pool = s->pool;
	o->clock = lt_clock_system();
	o->methods = lt_methods;
	o->nmethods = lt_nmethods;
	o->federation = s->id->federation.b;
	o->resume_secret = s->id->line_sk; /* also where no line is served */
	rc = lt_server_new(o, &s->server, err);
	if (rc == LT_OK)
		rc = lt_server_add(s->server, lt_health_service(s->health), err);
	return rc == LT_OK ? lt_server_add(s->server, lt_reflection_service(), err) : rc;
}

int
lt_serving_local(struct lt_serving *s, struct lt_err *err)
{
	char url[4096];

	if (snprintf(url, sizeof(url), "ipc://%s/sock", s->dir) >= (int)sizeof(url))
		return lt_err_set(err, LT_E_INVALID, "the path of the data directory is too long");
	return lt_server_listen(s->server, url, err);
}

int
lt_serving_failed(const struct lt_serving *s, const char *program, int rc, const struct lt_err *err)
{
	if (rc == LT_E_CLOSED && lt_daemon_told()) {
		lt_info("told to stop before anything was served");
		return 0;
	}
	lt_error("%s", err->text[0] != '\0' ? err->text : lt_strerror(rc));
	if (rc != LT_E_CORRUPT)
		return LT_EXIT_FAILED;
	lt_error("the data in \"%s\" is damaged; nothing is served, so that nothing wrong is. "
		 "Delete nothing and do not "
		 "start this again; copy the directory to another disk, then see DAMAGE in: man %s",
	    s->dir, program);
	lt_error("dữ liệu trong \"%s\" bị hỏng; chương trình không phục vụ để không trả lời sai. "
		 "Đừng xóa gì, đừng khởi động "
		 "lại; hãy chép thư mục sang đĩa khác, rồi xem mục DAMAGE trong: man %s",
	    s->dir, program);
	return LT_EXIT_DAMAGED;
}

void
lt_serving_quiet(struct lt_serving *s)
{
	if (s->server != NULL)
		lt_server_stop(s->server, STOP_MS);
	s->server = NULL;
}

void
lt_serving_rest(struct lt_serving *s)
{
	lt_pool_stop(s->pool);
	s->pool = NULL;
}

void
lt_serving_end(struct lt_serving *s)
{
	lt_health_free(s->health);
	lt_identity_free(s->id);
	lt_conf_free(s->conf);
	if (s->lock_fd >= 0)
		(void)close(s->lock_fd);
}
