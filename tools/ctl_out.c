/* What is printed: tables for people, JSON for programs. */
#include "proto/base/text.h"
#include "proto/model/validate.h"
#include "proto/model/value.h"
#include "tools/ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CELL_WIDTH_MAX 44
#define VIETNAM_S (7 * 3600)

/* ---- tables ---- */

void
ctl_table_init(struct ctl_table *t, size_t ncol)
{
	memset(t, 0, sizeof(*t));
	t->ncol = ncol;
}

static void
add_cell(struct ctl_table *t, const char *text)
{
	size_t len = strlen(text), cap = len * 4 + 1;
	char *s = malloc(cap), **more;

	if (t->ncell == t->cap) {
		more = realloc(t->cell, (t->cap * 2 + 64) * sizeof(*t->cell));
		if (more != NULL) {
			t->cell = more;
			t->cap = t->cap * 2 + 64;
		}
	}
	if (s == NULL || t->ncell == t->cap) {
		free(s);
		t->failed = true;
		return;
	}
	s[lt_text_escape(s, cap - 1, lt_slice(text, len))] = '\0';
	t->cell[t->ncell++] = s;
}

void
ctl_cell(struct ctl_table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text == NULL)
		t->failed = true;
	else
		add_cell(t, text);
	free(text);
}

void
ctl_cell_short(struct ctl_table *t, const char *text)
{
	size_t len = strlen(text);

	if (lt_text_width(lt_slice(text, len)) <= CELL_WIDTH_MAX) {
		add_cell(t, text);
		return;
	}
	while (len > 0 && (((uint8_t)text[len] & 0xc0) == 0x80 ||
			      lt_text_width(lt_slice(text, len)) > CELL_WIDTH_MAX - 1))
		len--;
	ctl_cell(t, "%.*s…", (int)len, text);
}

size_t
ctl_table_rows(const struct ctl_table *t)
{
	return t->ncell / t->ncol == 0 ? 0 : t->ncell / t->ncol - 1;
}

static size_t
cell_width(const char *s)
{
	return lt_text_width(lt_slice(s, strlen(s)));
}

void
ctl_table_drop(struct ctl_table *t)
{
	size_t i;

	for (i = 0; i < t->ncell; i++)
		free(t->cell[i]);
	free(t->cell);
	memset(t, 0, sizeof(*t));
}

void
ctl_table_print(struct ctl_table *t)
{
	size_t *width = calloc(t->ncol, sizeof(*width)), i, w;

	for (i = 0; width != NULL && i < t->ncell; i++) {
		w = cell_width(t->cell[i]);
		if (w > width[i % t->ncol])
			width[i % t->ncol] = w;
	}
	for (i = 0; width != NULL && i < t->ncell; i++) {
		bool last = i % t->ncol == t->ncol - 1;

		(void)fputs(t->cell[i], stdout);
		if (last)
			(void)fputc('\n', stdout);
		else
			printf("%*s", (int)(width[i % t->ncol] - cell_width(t->cell[i]) + 2), "");
	}
	if (t->failed || width == NULL)
		ctl_complain("%s", lt_strerror(LT_E_NOMEM));
	free(width);
	ctl_table_drop(t);
}

void
ctl_say_text(FILE *to, const char *text)
{
	size_t len = strlen(text), cap = len * 4 + 1;
	char *s = malloc(cap);

	if (s != NULL)
		(void)fwrite(s, 1, lt_text_escape(s, cap, lt_slice(text, len)), to);
	free(s);
}

/* ---- JSON ---- */

void
ctl_print_json(json_t *o)
{
	/* A write that failed is told once, at the end. */
	if (o == NULL || (json_dumpf(o, stdout, JSON_COMPACT) != 0 && !ferror(stdout)))
		ctl_complain("%s", lt_strerror(LT_E_NOMEM));
	(void)fputc('\n', stdout);
	json_decref(o);
}

json_t *
ctl_json_text(const char *s)
{
	json_t *v = json_string(s);
	char *clean;

	if (v != NULL)
		return v;
	/* Not UTF-8: cannot be from a verified record, but must not break a program's parser. */
	clean = malloc(strlen(s) * 4 + 1);
	if (clean != NULL) {
		clean[lt_text_escape(clean, strlen(s) * 4, lt_slice_str(s))] = '\0';
		v = json_string(clean);
	}
	free(clean);
	return v;
}

json_t *
ctl_json_hex(const void *data, size_t len)
{
	char *hex = malloc(2 * len + 1);
	json_t *v = NULL;

	if (hex != NULL) {
		lt_hex(hex, data, len);
		v = json_string(hex);
	}
	free(hex);
	return v;
}

json_t *
ctl_json_texts(size_t n, char *const *s)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(a, ctl_json_text(s[i]));
	return a;
}

/* Numbers as numbers; what a JSON number would round or not say (decimals, days, times) in its text form. */
json_t *
ctl_json_value(const Ltpb__Value *v)
{
	struct lt_buf b = { 0 };
	json_t *o;

	if (v == NULL || v->v_case == LTPB__VALUE__V__NOT_SET)
		return json_null();
	if (v->v_case == LTPB__VALUE__V_INTEGER)
		return json_integer(v->integer);
	if (v->v_case == LTPB__VALUE__V_BOOLEAN)
		return json_boolean(v->boolean);
	if (v->v_case == LTPB__VALUE__V_SET)
		return ctl_json_texts(v->set->n_item, v->set->item);
	lt_value_text(v, &b);
	lt_buf_u8(&b, 0);
	o = b.err == LT_OK ? ctl_json_text((const char *)b.data) : NULL;
	lt_buf_fini(&b);
	return o;
}

json_t *
ctl_json_fields(size_t n, Ltpb__FieldSet *const *field)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_set_new(o, field[i]->name, ctl_json_value(field[i]->value));
	return o;
}

json_t *
ctl_json_record(const Ltpb__Record *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "collection", ctl_json_text(r->collection));
	json_object_set_new(o, "unit", ctl_json_text(r->unit));
	json_object_set_new(o, "key", ctl_json_text(r->key));
	json_object_set_new(o, "fields", ctl_json_fields(r->n_field, r->field));
	if (r->n_masked != 0)
		json_object_set_new(o, "masked", ctl_json_texts(r->n_masked, r->masked));
	if (r->n_withheld != 0)
		json_object_set_new(o, "withheld", ctl_json_texts(r->n_withheld, r->withheld));
	if (r->n_conflict != 0)
		json_object_set_new(o, "conflict", ctl_json_texts(r->n_conflict, r->conflict));
	if (r->incomplete)
		json_object_set_new(o, "incomplete", json_true());
	if (r->revision.len != 0)
		json_object_set_new(o, "revision", ctl_json_hex(r->revision.data, r->revision.len));
	json_object_set_new(o, "changed_ms", json_integer(r->changed_ms));
	if (r->delivery != LTPB__DELIVERY__DELIVERY_UNSPECIFIED)
		json_object_set_new(o, "delivery", json_string(ctl_delivery_name(r->delivery)));
	if (r->reason != LTPB__REASON_CODE__REASON_UNSPECIFIED)
		json_object_set_new(o, "reason", json_string(lt_reason_name(r->reason)));
	return o;
}

json_t *
ctl_json_freshness(const Ltpb__FreshnessSummary *f)
{
	if (f == NULL)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:I,s:I,s:I}", "units",
	    (json_int_t)f->units, "within_minute", (json_int_t)f->within_minute, "within_hour",
	    (json_int_t)f->within_hour, "within_day", (json_int_t)f->within_day, "older",
	    (json_int_t)f->older, "never", (json_int_t)f->never, "oldest_unit", f->oldest_unit,
	    "oldest_age_ms", (json_int_t)f->oldest_age_ms, "as_of_ms", (json_int_t)f->as_of_ms,
	    "position", (json_int_t)f->position, "log_head", (json_int_t)f->log_head, "findings",
	    (json_int_t)f->findings);
}

/* ---- words ---- */

const char *
ctl_value_text(struct lt_arena *arena, const Ltpb__Value *v)
{
	struct lt_buf b = { 0 };
	const char *s = "";

	if (v == NULL || v->v_case == LTPB__VALUE__V__NOT_SET)
		return s;
	lt_value_text(v, &b);
	if (b.err == LT_OK && b.len != 0)
		s = lt_arena_dup(arena, b.data, b.len);
	lt_buf_fini(&b);
	return s != NULL ? s : "";
}

const char *
ctl_hex(struct lt_arena *arena, const void *data, size_t len)
{
	char *hex = lt_arena_alloc(arena, 2 * len + 1);

	if (hex == NULL)
		return "";
	lt_hex(hex, data, len);
	return hex;
}

const char *
ctl_time(struct lt_arena *arena, int64_t ms)
{
	time_t s = (time_t)(ms / 1000 + VIETNAM_S);
	char text[64];
	struct tm tm;
	char *copy;

	if (ms <= 0 || gmtime_r(&s, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "-";
	copy = lt_arena_dup(arena, text, strlen(text));
	return copy != NULL ? copy : "-";
}

const char *
ctl_age(struct lt_arena *arena, int64_t ms)
{
	char text[64], *copy;
	int64_t s = ms / 1000;

	if (ms < 0)
		return T("never", "chưa bao giờ");
	if (s < 120)
		(void)snprintf(text, sizeof(text), "%lld %s", (long long)s, T("s", "giây"));
	else if (s < 7200)
		(void)snprintf(
		    text, sizeof(text), "%lld %s", (long long)(s / 60), T("min", "phút"));
	else if (s < 2 * 86400)
		(void)snprintf(text, sizeof(text), "%lld %s", (long long)(s / 3600), T("h", "giờ"));
	else
		(void)snprintf(
		    text, sizeof(text), "%lld %s", (long long)(s / 86400), T("days", "ngày"));
	copy = lt_arena_dup(arena, text, strlen(text));
	return copy != NULL ? copy : "-";
}

const char *
ctl_lane(int lane)
{
	return lane == LT_LANE_URGENT   ? "urgent"
	       : lane == LT_LANE_NORMAL ? "normal"
	       : lane == LT_LANE_BULK   ? "bulk"
					: "?";
}

const char *
ctl_role(Ltpb__Role role)
{
	switch (role) {
	case LTPB__ROLE__ROLE_NODE:
		return T("node", "máy của xã");
	case LTPB__ROLE__ROLE_HUB:
		return T("hub", "đầu mối");
	case LTPB__ROLE__ROLE_DEPARTMENT:
		return T("department", "sở ngành");
	case LTPB__ROLE__ROLE_OPERATOR:
		return T("operator", "người vận hành");
	case LTPB__ROLE__ROLE_MIRROR:
		return T("mirror", "máy chủ bản sao");
	default:
		return "?";
	}
}

const char *
ctl_role_name(Ltpb__Role role)
{
	switch (role) {
	case LTPB__ROLE__ROLE_NODE:
		return "node";
	case LTPB__ROLE__ROLE_HUB:
		return "hub";
	case LTPB__ROLE__ROLE_DEPARTMENT:
		return "department";
	case LTPB__ROLE__ROLE_OPERATOR:
		return "operator";
	case LTPB__ROLE__ROLE_MIRROR:
		return "mirror";
	default:
		return "?";
	}
}

#define STATE_WORDS(X) \
	X(PENDING, "pending", "đang chờ") \
	X(ACTIVE, "active", "đang hoạt động") \
	X(SUSPENDED, "suspended", "tạm ngừng") \
	X(REVOKED, "revoked", "đã thu hồi") \
	X(REJECTED, "rejected", "bị từ chối") \
	X(RETIRED, "retired", "đã nghỉ")

const char *
ctl_state_name(Ltpb__PrincipalState state)
{
	switch (state) {
#define STATE_NAME(id, en, vi) \
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_##id: \
		return en;
		STATE_WORDS(STATE_NAME)
	default:
		return "?";
	}
}

const char *
ctl_state(Ltpb__PrincipalState state)
{
	switch (state) {
#define STATE_TEXT(id, en, vi) \
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_##id: \
		return T(en, vi);
		STATE_WORDS(STATE_TEXT)
	default:
		return "?";
	}
}

#define DELIVERY_WORDS(X) \
	X(SAVED, "saved", "saved", "đã lưu") \
	X(SENT, "sent", "sent", "đã gửi") \
	X(RECEIPTED, "receipted", "receipted", "đã có biên nhận") \
	X(REFUSED, "refused", "refused", "bị từ chối") \
	X(HELD, "held", "held", "đầu mối đang giữ, chờ dữ liệu trước đó") \
	X(FORKED, "forked", \
	    "only on this machine: the hub holds another change in its place; save it again", \
	    "chỉ có ở máy này: đầu mối giữ thay đổi khác cùng số; hãy lưu lại")

const char *
ctl_delivery_name(Ltpb__Delivery d)
{
	switch (d) {
#define DELIVERY_NAME(id, name, en, vi) \
	case LTPB__DELIVERY__DELIVERY_##id: \
		return name;
		DELIVERY_WORDS(DELIVERY_NAME)
	default:
		return "";
	}
}

const char *
ctl_delivery(Ltpb__Delivery d)
{
	switch (d) {
#define DELIVERY_TEXT(id, name, en, vi) \
	case LTPB__DELIVERY__DELIVERY_##id: \
		return T(en, vi);
		DELIVERY_WORDS(DELIVERY_TEXT)
	default:
		return "";
	}
}

/* ---- answers ---- */

void
ctl_print_freshness(struct ctl *c, const Ltpb__FreshnessSummary *f)
{
	if (f == NULL)
		return;
	if (f->findings != 0)
		printf(
		    T("The store that answers is damaged in %llu places and not repaired yet: "
		      "something may be missing here; see 'ltctl scrub --last'.\n",
			"Kho dữ liệu trả lời đang hỏng ở %llu chỗ và chưa sửa xong: kết quả có thể "
			"thiếu; xem 'ltctl scrub --last'.\n"),
		    (unsigned long long)f->findings);
	if (f->as_of_ms == 0)
		return; /* a node knows no more */
	printf(T("Freshness at %s: of %u units %u within a minute, %u an hour, %u a day, %u older, "
		 "%u never heard",
		   "Độ mới lúc %s: trong %u đơn vị có %u trong vòng 1 phút, %u trong 1 giờ, %u "
		   "trong 1 ngày, %u cũ "
		   "hơn, %u chưa từng gửi"),
	    ctl_time(&c->arena, f->as_of_ms), f->units, f->within_minute, f->within_hour,
	    f->within_day, f->older, f->never);
	if (f->oldest_unit[0] != '\0') {
		(void)fputs(T("; oldest ", "; cũ nhất "), stdout);
		ctl_say_text(stdout, f->oldest_unit);
		printf(" (%s)", ctl_age(&c->arena, f->oldest_age_ms));
	}
	if (f->position != 0 || f->log_head != 0)
		printf(T("; position %llu of %llu", "; vị trí %llu/%llu"),
		    (unsigned long long)f->position, (unsigned long long)f->log_head);
	printf(".\n");
}

static void
print_names(const char *title, size_t n, char *const *name)
{
	size_t i;

	if (n == 0)
		return;
	printf("%s:", title);
	for (i = 0; i < n; i++) {
		(void)fputc(' ', stdout);
		ctl_say_text(stdout, name[i]);
	}
	(void)fputc('\n', stdout);
}

void
ctl_print_record(struct ctl *c, const Ltpb__Record *r)
{
	struct ctl_table t;
	size_t i;

	ctl_table_init(&t, 2);
	ctl_cell(&t, "%s", r->collection);
	ctl_cell(&t, "%s %s", r->unit, r->key);
	for (i = 0; i < r->n_field; i++) {
		ctl_cell(&t, "  %s", r->field[i]->name);
		ctl_cell(&t, "%s", ctl_value_text(&c->arena, r->field[i]->value));
	}
	if (r->changed_ms != 0) {
		ctl_cell(&t, "%s", T("changed", "sửa lúc"));
		ctl_cell(&t, "%s", ctl_time(&c->arena, r->changed_ms));
	}
	if (r->revision.len != 0) {
		ctl_cell(&t, "%s", T("revision", "bản"));
		ctl_cell(&t, "%s", ctl_hex(&c->arena, r->revision.data, r->revision.len));
	}
	if (r->delivery != LTPB__DELIVERY__DELIVERY_UNSPECIFIED) {
		ctl_cell(&t, "%s", T("delivery", "đường gửi"));
		ctl_cell(&t, "%s%s%s", ctl_delivery(r->delivery),
		    r->reason != LTPB__REASON_CODE__REASON_UNSPECIFIED ? ": " : "",
		    r->reason != LTPB__REASON_CODE__REASON_UNSPECIFIED
			? lt_reason_text(r->reason, ctl_vietnamese)
			: "");
	}
	ctl_table_print(&t);
	print_names(T("hidden from you", "bị che"), r->n_masked, r->masked);
	print_names(
	    T("withheld (no opening here)", "không có dữ liệu ở đây"), r->n_withheld, r->withheld);
	print_names(
	    T("needs a person's decision", "cần người quyết định"), r->n_conflict, r->conflict);
	if (r->incomplete)
		printf("%s\n", T("incomplete: an edit survived a delete",
				   "chưa đủ: có sửa đổi sau khi bản ghi bị xóa"));
}
