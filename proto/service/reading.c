#include "proto/service/reading.h"
#include "proto/service/call.h"
#include "proto/store/tables.h"

#include <string.h>

void
lt_reading_init(struct lt_reading *r, struct lt_call *call, const struct lt_asker *who,
    const struct lt_catalogue *cat, const struct lt_unit *province, struct lt_arena *arena)
{
	memset(r, 0, sizeof(*r));
	r->q.catalogue = cat;
	r->q.province = *province;
	r->of.who = who;
	r->of.catalogue = cat;
	r->of.province = &r->q.province;
	lt_sight_of_asker(&r->of, &r->sight);
	r->q.sight = &r->sight;
	r->q.tick = lt_call_tick;
	r->q.tick_ctx = call;
	r->q.arena = arena;
	r->q.token_key = lt_call_page_key(call);
}

static int
note_any(void *ctx, struct lt_slice rk, struct lt_slice record)
{
	(void)rk;
	(void)record;
	*(bool *)ctx = true;
	return LT_E_CANCELLED;
}

static bool
is_there(const struct lt_reading *r, const char *code)
{
	struct lt_unit unit;
	struct lt_buf rk = { 0 };
	struct lt_slice v;
	bool any = false;
	int rc;

	if (lt_unit_set(&unit, lt_slice_str(code)) != LT_OK || strcmp(unit.s, "_") == 0 ||
	    lt_unit_eq(&unit, &r->q.province) ||
	    (r->of.who->kind == LT_ASKER_LOCAL && lt_unit_eq(&unit, &r->of.who->unit)))
		return true;
	lt_key_record(&rk, "_unit", "_", code);
	rc = rk.err != LT_OK ? rk.err : lt_kv_get(r->q.derived, LT_T_SHOWN, lt_buf_slice(&rk), &v);
	lt_buf_fini(&rk);
	if (rc != LT_E_NOTFOUND)
		return true;
	(void)lt_record_each(r->q.derived, "_unit", "_", lt_slice(NULL, 0), note_any, &any);
	return !any;
}

bool
lt_reading_units(const struct lt_reading *r, struct lt_call *call, char *const *unit, size_t n)
{
	size_t i;

	for (i = 0; i < n && n <= LT_UNITS_MAX; i++) {
		if (is_there(r, unit[i]))
			continue;
		lt_call_refuse(call, LT_STATUS_INVALID_ARGUMENT, "UNIT",
		    "there is no unit '%s' in this province; 'ltctl list _unit --unit _' shows the "
		    "codes",
		    "tỉnh không có đơn vị '%s'; hãy xem lại mã bằng 'ltctl list _unit --unit _'",
		    unit[i]);
		return false;
	}
	return true;
}

bool
lt_reading_filter(const struct lt_reading *r, struct lt_call *call, const char *unit)
{
	char *one = (char *)(uintptr_t)unit;
	struct lt_unit code;

	if (unit[0] == '\0' || strcmp(unit, "*") == 0)
		return true;
	if (lt_unit_set(&code, lt_slice_str(unit)) == LT_OK)
		return lt_reading_units(r, call, &one, 1);
	lt_call_refuse(call, LT_STATUS_INVALID_ARGUMENT, "UNIT", "'%.16s' is no unit code",
	    "'%.16s' không phải mã đơn vị; hãy xem lại mã", unit);
	return false;
}

const char *
lt_author_label(void *registry, const struct lt_id *author)
{
	const struct lt_principal *p = lt_registry_find(registry, author);

	if (p == NULL)
		return NULL;
	return p->label[0] != '\0' ? p->label : p->unit.s;
}
