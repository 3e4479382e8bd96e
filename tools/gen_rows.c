#include "tools/gen_rows.h"

#include "proto/base/ids.h"
#include "proto/model/value.h"

#include <assert.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MORNING (7 * 60 + 30)
#define EVENING (17 * 60)
#define EVENTS_MAX 8
#define TRIES_MAX 200 /* per dossier, to find one still open; each try succeeds in some 40 of 100 */

/* ---- chance ---- */

struct rng {
	uint64_t s;
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t
next64(struct rng *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* lo to hi, both possible. */
static int
between(struct rng *r, int lo, int hi)
{
	assert(lo <= hi);
	return lo + (int)(next64(r) % ((uint64_t)(hi - lo) + 1));
}

static bool
chance(struct rng *r, int percent)
{
	return between(r, 0, 99) < percent;
}

/* ---- people ---- */

static const char *const families[] = { "Lô", "Vi", "Lương", "Ngân", "Hà", "Lữ", "Kha", "Moong",
	"Cụt", "Lộc", "Vang", "Quang", "Nguyễn", "Trần", "Lê", "Phan" };
static const char *const given[] = { "An", "Bình", "Chung", "Dung", "Điệp", "Giang", "Hạnh",
	"Hường", "Khoa", "Lan", "Minh", "Ngọc", "Oanh", "Phúc", "Quý", "Sơn", "Thảo", "Tú", "Uyên",
	"Vinh", "Xuân", "Yến" };
static const char *const peoples[] = { "Thái", "Khơ Mú", "Mông", "Thổ", "Kinh" };

struct person {
	char name[80];
	char id_no[16];
	char phone[16];
};

static void
make_person(struct rng *r, struct person *p)
{
	bool woman = chance(r, 50);
	int born = between(r, 1945, 2007);

	snprintf(p->name, sizeof(p->name), "%s %s Mẫu %s",
	    families[between(r, 0, (int)COUNT(families) - 1)], woman ? "Thị" : "Văn",
	    given[between(r, 0, (int)COUNT(given) - 1)]);
	/* 099, century and sex, year of birth, six digits */
	snprintf(p->id_no, sizeof(p->id_no), "099%d%02d%06d",
	    (born >= 2000 ? 2 : 0) + (woman ? 1 : 0), born % 100, between(r, 0, 999999));
	snprintf(p->phone, sizeof(p->phone), "0000%06d", between(r, 0, 999999));
}

/* ---- days ---- */

/* 1970-01-01 was a Thursday. */
static bool
is_working_day(int32_t day)
{
	int weekday = ((day % 7) + 7 + 3) % 7; /* 0: Monday */

	return weekday < 5;
}

/* n working days after (before) a day. */
static int32_t
add_working_days(int32_t day, int n)
{
	int step = n < 0 ? -1 : 1;

	while (n != 0) {
		day += step;
		if (is_working_day(day))
			n -= step;
	}
	return day;
}

/* A moment of an office: local day and minute. */
struct moment {
	int32_t day;
	int minute;
};

static bool
is_before(struct moment a, struct moment b)
{
	return a.day != b.day ? a.day < b.day : a.minute < b.minute;
}

/* Some minutes later, next morning if the office has closed. */
static struct moment
later(struct moment m, int minutes)
{
	m.minute += minutes;
	if (m.minute > EVENING) {
		m.day = add_working_days(m.day, 1);
		m.minute = MORNING + minutes % 120;
	}
	return m;
}

static struct moment
days_later(struct rng *r, struct moment m, int days)
{
	if (days <= 0)
		return later(m, between(r, 20, 150));
	m.day = add_working_days(m.day, days);
	m.minute = between(r, MORNING, EVENING);
	return m;
}

static void
put_day(json_t *o, const char *name, int32_t day)
{
	char text[16];
	int y, m, d;

	lt_days_to_date(day, &y, &m, &d);
	snprintf(text, sizeof(text), "%04d-%02d-%02d", y, m, d);
	json_object_set_new(o, name, json_string(text));
}

static void
put_moment(json_t *o, const char *name, struct moment at)
{
	int64_t minutes =
	    (int64_t)at.day * 1440 + at.minute - 7 * 60; /* Asia/Ho_Chi_Minh is UTC+7 */
	int32_t day = (int32_t)(minutes >= 0 ? minutes / 1440 : -((1439 - minutes) / 1440));
	int minute = (int)(minutes - (int64_t)day * 1440);
	char text[40];
	int y, m, d;

	lt_days_to_date(day, &y, &m, &d);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:00.000Z", y, m, d, minute / 60,
	    minute % 60);
	json_object_set_new(o, name, json_string(text));
}

/* ---- dossiers ---- */

struct procedure {
	int weight;
	const char *code, *name, *area, *level;
	int days; /* working days allowed; 0: the same day */
	int fee_vnd;
};

/* Weights after what the service centres of communes publish: certification and civil status
 * are most of a day, land is most of what stays open. */
static const struct procedure procedures[] = {
	{ 24, "2.000815", "Chứng thực bản sao từ bản chính giấy tờ, văn bản", "chung_thuc", "xa", 0,
	    8000 },
	{ 8, "2.000884", "Chứng thực chữ ký trong các giấy tờ, văn bản", "chung_thuc", "xa", 0,
	    10000 },
	{ 12, "1.001193", "Đăng ký khai sinh", "ho_tich", "xa", 1, 0 },
	{ 9, "1.004873", "Cấp giấy xác nhận tình trạng hôn nhân", "ho_tich", "xa", 3, 0 },
	{ 6, "2.000635", "Cấp bản sao trích lục hộ tịch", "ho_tich", "xa", 0, 8000 },
	{ 4, "1.000894", "Đăng ký kết hôn", "ho_tich", "xa", 1, 0 },
	{ 3, "1.000656", "Đăng ký khai tử", "ho_tich", "xa", 1, 0 },
	{ 3, "1.004859", "Thay đổi, cải chính, bổ sung thông tin hộ tịch", "ho_tich", "xa", 3, 0 },
	{ 6, "1.012783", "Đăng ký đất đai, cấp giấy chứng nhận quyền sử dụng đất lần đầu",
	    "dat_dai", "xa", 20, 100000 },
	{ 5, "1.012784", "Đăng ký biến động quyền sử dụng đất", "dat_dai", "tinh", 10, 50000 },
	{ 2, "1.012796", "Chuyển mục đích sử dụng đất", "dat_dai", "xa", 15, 0 },
	{ 5, "1.001776", "Trợ cấp xã hội hằng tháng cho đối tượng bảo trợ xã hội", "bao_tro_xa_hoi",
	    "xa", 10, 0 },
	{ 2, "1.001731", "Hỗ trợ chi phí mai táng", "bao_tro_xa_hoi", "xa", 3, 0 },
	{ 2, "1.010833", "Xác nhận thân nhân của người có công", "nguoi_co_cong", "xa", 5, 0 },
	{ 3, "1.001612", "Đăng ký thành lập hộ kinh doanh", "dang_ky_kinh_doanh", "xa", 3, 100000 },
	{ 2, "1.009994", "Cấp giấy phép xây dựng nhà ở riêng lẻ", "xay_dung", "xa", 10, 75000 },
	{ 1, "1.008838", "Xác nhận hợp đồng tiếp cận nguồn gen", "moi_truong", "xa", 3, 0 },
	{ 1, "2.002163", "Đăng ký kê khai số lượng chăn nuôi ban đầu", "nong_nghiep", "xa", 5, 0 },
	{ 1, "1.001758", "Chuyển trường đối với học sinh", "giao_duc", "xa", 2, 0 },
	{ 1, "1.003622", "Thông báo tổ chức lễ hội cấp xã", "van_hoa", "xa", 5, 0 },
};

struct event {
	struct moment at;
	const char *status;
	int32_t due; /* as it stands from then on */
};

struct dossier {
	const struct procedure *procedure;
	struct moment received;
	size_t nevent;
	struct event event[EVENTS_MAX]; /* in order of time; the first is the receipt */
};

static const struct procedure *
pick_procedure(struct rng *r)
{
	int total = 0, at;
	size_t i;

	for (i = 0; i < COUNT(procedures); i++)
		total += procedures[i].weight;
	at = between(r, 0, total - 1);
	for (i = 0; at >= procedures[i].weight; i++)
		at -= procedures[i].weight;
	return &procedures[i];
}

static void
add_event(struct dossier *d, struct moment at, const char *status, int32_t due)
{
	d->event[d->nevent++] = (struct event){ .at = at, .status = status, .due = due };
}

/* How many working days the work takes: nearly always within the time allowed. */
static int
work_days(struct rng *r, const struct procedure *p, bool late)
{
	if (late)
		return p->days + between(r, 2, 8);
	if (p->days == 0)
		return 0;
	return between(r, p->days / 3, p->days - (p->days > 3 ? 1 : 0));
}

/* Ask for a paper, wait for it; the day promised moves by the days waited. */
static struct moment
ask_for_more(struct rng *r, struct dossier *d, struct moment at, int32_t *due)
{
	struct moment back;

	add_event(d, at, "yeu_cau_bo_sung", *due);
	back = days_later(r, at, between(r, 1, 5));
	while (*due < back.day)
		*due = add_working_days(*due, 1);
	*due = add_working_days(*due, 1);
	add_event(d, back, "dang_xu_ly", *due);
	return back;
}

static void
finish(struct rng *r, struct dossier *d, struct moment at, int days, int32_t due)
{
	struct moment done = days_later(r, at, days);
	int what = between(r, 0, 99);

	if (what < 2) {
		add_event(d, done, "rut_ho_so", due);
		return;
	}
	add_event(d, done, what < 5 ? "tu_choi" : "da_giai_quyet", due);
	add_event(
	    d, days_later(r, done, chance(r, 75) ? 0 : between(r, 1, 3)), "da_tra_ket_qua", due);
}

static void
live(struct rng *r, struct dossier *d, int32_t day, bool late)
{
	const struct procedure *p = pick_procedure(r);
	struct moment at = { day, between(r, MORNING, EVENING - 15) };
	int32_t due = add_working_days(day, p->days);

	d->procedure = p;
	d->received = at;
	d->nevent = 0;
	add_event(d, at, "tiep_nhan", due);
	at = later(at, between(r, 5, 90));
	add_event(d, at, "dang_xu_ly", due);
	if (p->days > 1 && chance(r, 8)) {
		at = later(at, between(r, 30, 200));
		at = ask_for_more(r, d, at, &due);
	} else if (p->days > 5 && chance(r, 3)) {
		at = later(at, between(r, 30, 200));
		add_event(d, at, "tam_dung", due);
		at = days_later(r, at, between(r, 1, 4));
		add_event(d, at, "dang_xu_ly", due);
	}
	finish(r, d, at, work_days(r, p, late), due);
}

static struct moment
over_at(const struct dossier *d)
{
	return d->event[d->nevent - 1].at;
}

/* The last event by then, or NULL: not yet received. */
static const struct event *
state_at(const struct dossier *d, struct moment t)
{
	const struct event *e = NULL;
	size_t i;

	for (i = 0; i < d->nevent && !is_before(t, d->event[i].at); i++)
		e = &d->event[i];
	return e;
}

static bool
is_at_work(const char *status)
{
	return strcmp(status, "tiep_nhan") == 0 || strcmp(status, "dang_xu_ly") == 0 ||
	       strcmp(status, "yeu_cau_bo_sung") == 0 || strcmp(status, "tam_dung") == 0;
}

static bool
is_overdue(const struct dossier *d, int32_t day)
{
	const struct event *e = state_at(d, (struct moment){ day, LT_GEN_END_OF_DAY });

	return e != NULL && is_at_work(e->status) && e->due < day;
}

/* Received before the day and not over when the office opens. */
static bool
live_open(struct rng *r, struct dossier *d, const struct lt_gen_options *o, bool overdue)
{
	struct moment morning = { o->day, 0 };
	int32_t from;
	int i, back;

	for (i = 0; i < TRIES_MAX; i++) {
		back = between(r, 1, (int)o->open_days);
		from = o->day - back;
		if (!is_working_day(from))
			continue;
		live(r, d, from, overdue || chance(r, 3));
		if (is_before(over_at(d), morning))
			continue;
		if (overdue && !is_overdue(d, o->day))
			continue;
		return true;
	}
	return false;
}

static const struct event *
reached(const struct dossier *d, const struct event *now, const char *status)
{
	const struct event *e;

	for (e = d->event; e <= now; e++)
		if (strcmp(e->status, status) == 0)
			return e;
	return NULL;
}

static const char *
pick_channel(struct rng *r)
{
	int what = between(r, 0, 99);

	return what < 70   ? "truc_tuyen_toan_trinh"
	       : what < 93 ? "truc_tuyen_mot_phan"
	       : what < 98 ? "truc_tiep"
			   : "buu_chinh_cong_ich";
}

static void
put_text(json_t *o, const char *name, const char *text)
{
	json_object_set_new(o, name, json_string(text));
}

/* What does not change while the dossier goes its way. Every random number is drawn here, whatever the state,
 * so that a later `until` shows the same dossier. */
static void
put_fixed(struct rng *r, json_t *j, const struct dossier *d, const struct lt_gen_options *o)
{
	const struct procedure *p = d->procedure;
	struct person who;
	char text[80];

	make_person(r, &who);
	put_text(j, "commune_code", o->unit);
	put_text(j, "procedure_code", p->code);
	put_text(j, "procedure_name", p->name);
	put_text(j, "field_area", p->area);
	put_text(j, "authority_level", p->level);
	put_text(j, "submit_channel", pick_channel(r));
	put_text(j, "applicant_name", who.name);
	put_text(j, "applicant_id_no", who.id_no);
	put_text(j, "applicant_phone", who.phone);
	snprintf(text, sizeof(text), "Bản Mẫu %d", between(r, 1, 12));
	put_text(j, "applicant_address", text);
	put_moment(j, "received_at", d->received);
	json_object_set_new(j, "fee_vnd", json_integer(p->fee_vnd));
	json_object_set_new(j, "digitised", json_boolean(chance(r, 88)));
	snprintf(text, sizeof(text), "MC-%02d", between(r, 1, 5));
	put_text(j, "handler_code", text);
}

static void
put_result(struct rng *r, json_t *j, const struct dossier *d, const struct event *now)
{
	static const char *const why[] = { "Chờ kết quả xác minh của cơ quan chuyên môn",
		"Hệ thống phần mềm gián đoạn, chưa ký số được", "Phải đo đạc lại thực địa" };
	static const char *const happy[] = { "rat_hai_long", "hai_long", "hai_long",
		"khong_hai_long" };
	int doc = between(r, 1, 900), reason = between(r, 0, 2), mood = between(r, 0, 99);
	const struct event *done = reached(d, now, "da_giai_quyet");
	const struct event *no = reached(d, now, "tu_choi");
	const struct event *back = reached(d, now, "da_tra_ket_qua");
	char text[40];

	if (done == NULL)
		done = no;
	if (done != NULL) {
		put_moment(j, "resolved_at", done->at);
		snprintf(text, sizeof(text), "%d/%s-UBND", doc, no == NULL ? "KQ" : "TB");
		put_text(j, "result_doc_no", text);
	}
	if (back != NULL)
		put_moment(j, "returned_at", back->at);
	if (back != NULL && mood < 40)
		put_text(j, "satisfaction", happy[mood % 4]);
	if (done != NULL && done->at.day > done->due)
		put_text(j, "late_reason", why[reason]);
}

static int
put_line(struct lt_buf *out, json_t *j)
{
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (text == NULL)
		return LT_E_NOMEM;
	lt_buf_str(out, text);
	lt_buf_u8(out, '\n');
	free(text);
	return out->err;
}

static int
put_dossier(struct rng *r, const struct dossier *d, const char *agency, int number,
    const struct lt_gen_options *o, struct lt_buf *out)
{
	struct moment t = { o->day, o->until != 0 ? (int)o->until : LT_GEN_END_OF_DAY };
	const struct event *now = state_at(d, t);
	json_t *j = json_object();
	char code[80];
	int y, m, day;

	lt_days_to_date(d->received.day, &y, &m, &day);
	snprintf(code, sizeof(code), "%s-%02d%02d%02d-%04d", agency, y % 100, m, day, number);
	put_text(j, "collection", "dossier");
	put_text(j, "dossier_code", code);
	put_fixed(r, j, d, o);
	if (now == NULL) {
		json_decref(j);
		return LT_OK;
	}
	put_day(j, "due_date", now->due);
	put_text(j, "status", now->status);
	put_result(r, j, d, now);
	return put_line(out, j);
}

/* Groups of 1 to 4 of 0-9 and A-Z between dots, at most 7; the first of at least 2. */
static bool
is_agency(const char *s)
{
	size_t n, groups = 0;

	for (;; s += n + 1) {
		n = strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (n > 4 || n < (groups == 0 ? 2u : 1u) || ++groups > 7)
			return false;
		if (s[n] == 0)
			return true;
		if (s[n] != '.')
			return false;
	}
}

static int
check(const struct lt_gen_options *o, struct lt_err *err)
{
	struct lt_unit u;

	if (o->unit == NULL || lt_unit_set(&u, lt_slice_str(o->unit)) != LT_OK ||
	    !lt_unit_is_commune(&u))
		return lt_err_set(err, LT_E_USAGE, "unit must be the five digits of a commune");
	if (o->agency != NULL && !is_agency(o->agency))
		return lt_err_set(err, LT_E_USAGE, "agency must be like H41.17.254");
	if (o->count == 0 || o->count > LT_GEN_COUNT_MAX)
		return lt_err_set(err, LT_E_USAGE, "count must be 1 to %u", LT_GEN_COUNT_MAX);
	if (o->open_days > LT_GEN_OPEN_DAYS_MAX)
		return lt_err_set(
		    err, LT_E_USAGE, "open-days must be 0 to %u", LT_GEN_OPEN_DAYS_MAX);
	if (o->until > 1439)
		return lt_err_set(err, LT_E_USAGE, "until must be a time of the day");
	/* from 2001: received long before the day, still a date; to 2098: two digits of the year, 9999 never near */
	if (o->day < 11323 || o->day > 47117)
		return lt_err_set(err, LT_E_USAGE, "day must lie in the years 2001 to 2098");
	if (o->first > 900000)
		return lt_err_set(err, LT_E_USAGE, "first must be 1 to 900000");
	return LT_OK;
}

/* The number restarts every day at each receiving unit. */
static int
number_of(int *next, const struct lt_gen_options *o, const struct dossier *d)
{
	return ++next[o->day - d->received.day];
}

/* Every dossier has its own source of chance: one more or less leaves the others as they are. */
static struct rng
rng_of(const struct lt_gen_options *o, uint32_t i)
{
	struct rng mix = { o->seed };
	uint64_t unit = strtoull(o->unit, NULL, 10);

	mix.s = next64(&mix) ^ unit << 20 ^ (uint64_t)(uint32_t)o->day << 40;
	mix.s = next64(&mix) ^ i;
	return mix;
}

int
lt_gen_dossiers(const struct lt_gen_options *o, struct lt_buf *out, struct lt_err *err)
{
	uint32_t i, nopen, noverdue;
	struct dossier d;
	struct rng r;
	char agency[40];
	int *next;
	int rc = check(o, err);

	if (rc != LT_OK)
		return rc;
	next = calloc(LT_GEN_OPEN_DAYS_MAX + 1, sizeof(*next));
	if (next == NULL)
		return lt_err_set(err, LT_E_NOMEM, "out of memory");
	if (o->agency != NULL)
		snprintf(agency, sizeof(agency), "%s", o->agency);
	else
		snprintf(agency, sizeof(agency), "H41.%.2s.%.3s", o->unit, o->unit + 2);
	nopen = o->open_days == 0 ? 0 : o->count * 2 / 5;
	noverdue = o->open_days < 5 ? 0 : (o->count + 19) / 20;
	for (i = 0; i < o->count && rc == LT_OK; i++) {
		r = rng_of(o, i);
		if (i >= nopen || !live_open(&r, &d, o, i < noverdue))
			live(&r, &d, o->day, false);
		rc = put_dossier(&r, &d, agency, number_of(next, o, &d), o, out);
	}
	free(next);
	return rc == LT_OK ? rc : lt_err_set(err, rc, "out of memory");
}

/* ---- households ---- */

static const char *const deprivations[] = { "giao_duc", "nha_o", "nuoc_sach", "thong_tin",
	"viec_lam", "y_te" };
static const char *const causes[] = { "dong_nguoi_phu_thuoc", "om_dau", "thieu_dat", "thieu_von",
	"thieu_viec_lam" };

/* n different ones of a sorted list, joined by ';'. */
static void
put_codes(struct rng *r, json_t *j, const char *name, const char *const *list, int total, int n)
{
	char text[200] = "";
	int left = total, i;

	for (i = 0; i < total && n > 0; i++, left--) {
		if (between(r, 1, left) > n)
			continue;
		n--;
		if (text[0] != 0)
			strncat(text, ";", sizeof(text) - strlen(text) - 1);
		strncat(text, list[i], sizeof(text) - strlen(text) - 1);
	}
	if (text[0] != 0)
		put_text(j, name, text);
}

static int
put_household(struct rng *r, const struct lt_gen_options *o, uint32_t number, struct lt_buf *out)
{
	int32_t reviewed = o->day - between(r, 0, 60);
	bool poor = chance(r, 58), near = !poor && chance(r, 90);
	json_t *j = json_object();
	struct person head;
	char text[80];
	int y, m, d;

	make_person(r, &head);
	lt_days_to_date(reviewed, &y, &m, &d);
	put_text(j, "collection", "household_poverty");
	put_text(j, "commune_code", o->unit);
	snprintf(text, sizeof(text), "HN%05u", number);
	put_text(j, "household_no", text);
	put_text(j, "head_name", head.name);
	put_text(j, "head_id_no", head.id_no);
	snprintf(text, sizeof(text), "Bản Mẫu %d", between(r, 1, 12));
	put_text(j, "village", text);
	put_text(j, "ethnicity", peoples[between(r, 0, (int)COUNT(peoples) - 1)]);
	json_object_set_new(j, "members", json_integer(between(r, 1, 9)));
	put_text(j, "class", poor ? "ngheo" : near ? "can_ngheo" : "thoat_can_ngheo");
	json_object_set_new(j, "income_per_head_vnd",
	    json_integer(1000 * between(r,
				    poor   ? 400
				    : near ? 700
					   : 1600,
				    poor || near ? 1500 : 2500)));
	put_codes(r, j, "deprivation_codes", deprivations, (int)COUNT(deprivations),
	    poor   ? between(r, 3, 5)
	    : near ? between(r, 0, 2)
		   : 0);
	put_codes(r, j, "cause_codes", causes, (int)COUNT(causes), between(r, 1, 2));
	json_object_set_new(j, "social_protection", json_boolean(chance(r, 12)));
	json_object_set_new(j, "recognised_year", json_integer(y));
	put_day(j, "reviewed_date", reviewed);
	return put_line(out, j);
}

int
lt_gen_households(const struct lt_gen_options *o, struct lt_buf *out, struct lt_err *err)
{
	uint32_t i;
	struct rng r;
	int rc = check(o, err);

	if (rc != LT_OK)
		return rc;
	for (i = 0; i < o->count && rc == LT_OK; i++) {
		r = rng_of(o, i);
		rc = put_household(&r, o, (o->first != 0 ? o->first : 101) + i, out);
	}
	return rc == LT_OK ? rc : lt_err_set(err, rc, "out of memory");
}
