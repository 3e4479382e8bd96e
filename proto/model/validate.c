#include "proto/model/validate_impl.h"

#include "proto/base/limits.h"
#include "proto/model/value.h"

#include <assert.h>
#include <string.h>

static int
refuse_whole(struct lt_violation *v, Ltpb__ReasonCode reason, const char *rule, const char *name,
    const char *en, const char *vi)
{
	struct lt_complaint c = { reason, rule, name, NULL, NULL, en, vi, NULL };
	int rc = lt_refuse(v, &c);

	/* name is the collection: it stands in the message, not in the place for a field */
	if (v != NULL)
		v->field[0] = '\0';
	return rc;
}

static int
refuse_field(struct lt_violation *v, Ltpb__ReasonCode reason, const char *rule, const char *name,
    const struct lt_field *f, const char *en, const char *vi)
{
	struct lt_complaint c = { reason, rule, name, f, NULL, en, vi, NULL };

	return lt_refuse(v, &c);
}

/* May the record stand in the feed's unit? */
static bool
unit_fits(const struct lt_collection *col, const struct lt_writer_info *who)
{
	bool of_province = lt_unit_eq(&who->unit, &who->province) && who->by_hub;

	switch (col->unit_rule) {
	case LT_UNIT_FEDERATION:
		return strcmp(who->unit.s, "_") == 0;
	case LT_UNIT_PROVINCE:
		return of_province;
	case LT_UNIT_COMMUNE:
		return lt_unit_is_commune(&who->unit) || (!col->has_unit_field && of_province);
	case LT_UNIT_ANY:
		return true;
	}
	return false;
}

static int
check_place(const struct lt_collection *col, const struct lt_writer_info *who, const char *key,
    struct lt_violation *v)
{
	if (col->builtin && !who->by_hub)
		return refuse_whole(v, LTPB__REASON_CODE__REASON_AUTHORITY, "authority", col->id,
		    "only the hub writes this collection",
		    "chỉ máy chủ tỉnh được ghi loại hồ sơ này");
	if (who->lane != col->lane)
		return refuse_whole(v, LTPB__REASON_CODE__REASON_LANE, "lane", col->id,
		    "the collection belongs to another lane", "loại hồ sơ này thuộc luồng khác");
	if (!unit_fits(col, who))
		return refuse_whole(v, LTPB__REASON_CODE__REASON_FOREIGN_UNIT, "unit_rule", col->id,
		    "records of this collection do not stand in this unit",
		    "hồ sơ loại này không thuộc đơn vị này");
	return lt_key_check(col, &who->unit, key, v);
}

static bool
has_authority(const struct lt_field *f, const struct lt_writer_info *who)
{
	/* authority has no effect on the unit's own field */
	if (f->is_unit)
		return true;
	switch (f->rule.authority) {
	case LT_AUTHORITY_ANY:
		return true;
	case LT_AUTHORITY_UNIT:
		return !who->by_hub || lt_unit_is_province(&who->unit);
	case LT_AUTHORITY_HUB:
		return who->by_hub;
	}
	return false;
}

/* The field, if it is known, not of the key, and the author's to write; NULL: refused. */
static const struct lt_field *
touch(const struct lt_collection *col, const struct lt_writer_info *who, const char *name,
    struct lt_violation *v)
{
	const struct lt_field *f = lt_collection_field(col, name);

	if (f == NULL)
		refuse_field(v, LTPB__REASON_CODE__REASON_UNKNOWN_FIELD, "field", name, NULL,
		    "the collection has no such field", "loại hồ sơ này không có trường đó");
	else if (f->in_key)
		refuse_field(v, LTPB__REASON_CODE__REASON_BAD_KEY, "in_key", name, f,
		    "a key field stands in the key alone", "trường khóa chỉ nằm trong khóa");
	else if (has_authority(f, who))
		return f;
	else if (f->rule.authority == LT_AUTHORITY_HUB)
		refuse_field(v, LTPB__REASON_CODE__REASON_AUTHORITY, "authority", name, f,
		    "only the hub may write this field", "chỉ máy chủ tỉnh được ghi trường này");
	else
		refuse_field(v, LTPB__REASON_CODE__REASON_AUTHORITY, "authority", name, f,
		    "only the unit that owns the record may write this field",
		    "chỉ đơn vị sở hữu hồ sơ được ghi trường này");
	return NULL;
}

static bool
holds(const Ltpb__TextSet *set, const char *item)
{
	size_t i;

	for (i = 0; i < set->n_item; i++)
		if (strcmp(set->item[i], item) == 0)
			return true;
	return false;
}

/* What was added is in the set that results, what was removed is not. */
static int
check_delta(const struct lt_field *f, const Ltpb__FieldSet *fs, struct lt_violation *v)
{
	size_t i;

	if (fs->n_added + fs->n_removed == 0)
		return LT_OK;
	if (f->rule.policy != LT_POLICY_SET)
		return refuse_field(v, LTPB__REASON_CODE__REASON_SET, "merge", f->rule.name, f,
		    "added and removed codes stand only with merge policy set",
		    "mã thêm và mã bớt chỉ dùng với cách trộn set");
	for (i = 0; i < fs->n_added; i++)
		if (!holds(fs->value->set, fs->added[i]))
			return refuse_field(v, LTPB__REASON_CODE__REASON_SET, "added", f->rule.name,
			    f, "an added code is not in the list",
			    "mã được thêm không có trong danh sách");
	for (i = 0; i < fs->n_removed; i++)
		if (holds(fs->value->set, fs->removed[i]))
			return refuse_field(v, LTPB__REASON_CODE__REASON_SET, "removed",
			    f->rule.name, f, "a removed code is in the list",
			    "mã bị bớt vẫn còn trong danh sách");
	return LT_OK;
}

static int
check_value(const struct lt_field *f, const struct lt_writer_info *who, const Ltpb__FieldSet *fs,
    struct lt_violation *v)
{
	int rc = lt_field_check_decoded(f, fs->value, v);

	if (rc != LT_OK)
		return rc;
	if (f->is_unit && strcmp(fs->value->text, who->unit.s) != 0)
		return lt_refuse_value(v, LTPB__REASON_CODE__REASON_UNIT_FIELD, "is_unit", f,
		    fs->value, "is not the unit of the record", "không phải là đơn vị của hồ sơ",
		    NULL);
	return check_delta(f, fs, v);
}

static int
check_set_fields(const struct lt_collection *col, const struct lt_writer_info *who,
    const struct lt_change *c, struct lt_violation *v)
{
	const struct lt_field *f;
	size_t i;
	int rc;

	for (i = 0; i < c->nset; i++) {
		const char *name = c->set[i].pb->name;

		if (lt_field_is_actor(name))
			return refuse_field(v, LTPB__REASON_CODE__REASON_PERSONAL_IN_CLEAR,
			    "personal", name, NULL, "the actor must not stand in the clear",
			    "người thực hiện không được ghi công khai");
		f = touch(col, who, name, v);
		if (f == NULL)
			return LT_E_REFUSED;
		if (f->rule.personal != LT_PERSONAL_NONE)
			return refuse_field(v, LTPB__REASON_CODE__REASON_PERSONAL_IN_CLEAR,
			    "personal", name, f, "personal data must not stand in the clear",
			    "dữ liệu cá nhân không được ghi công khai");
		rc = check_value(f, who, c->set[i].pb, v);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

static int
check_cleared(const struct lt_collection *col, const struct lt_writer_info *who,
    const struct lt_change *c, struct lt_violation *v)
{
	const struct lt_field *f;
	size_t i;

	for (i = 0; i < c->ncleared; i++) {
		f = touch(col, who, c->cleared[i], v);
		if (f == NULL)
			return LT_E_REFUSED;
		if (f->is_unit)
			return refuse_field(v, LTPB__REASON_CODE__REASON_UNIT_FIELD, "is_unit",
			    f->rule.name, f, "the unit of a record cannot be cleared",
			    "không được xóa đơn vị của hồ sơ");
	}
	return LT_OK;
}

/* The fields behind the leaves; NULL: the actor. */
struct leaves {
	const struct lt_field *field[LT_FIELDS_MAX];
};

static int
check_leaves(const struct lt_collection *col, const struct lt_writer_info *who,
    const struct lt_change *c, struct leaves *out, struct lt_violation *v)
{
	const struct lt_field *f;
	size_t i;

	assert(c->npersonal <= LT_FIELDS_MAX);
	memset(out->field, 0, c->npersonal * sizeof(out->field[0]));
	for (i = 0; i < c->npersonal; i++) {
		if (lt_field_is_actor(c->personal[i]))
			continue;
		f = out->field[i] = touch(col, who, c->personal[i], v);
		if (f == NULL)
			return LT_E_REFUSED;
		if (f->rule.personal == LT_PERSONAL_NONE)
			return refuse_field(v, LTPB__REASON_CODE__REASON_BAD_LEAF, "personal",
			    f->rule.name, f, "a field that is not personal must stand in the clear",
			    "trường không phải dữ liệu cá nhân phải ghi công khai");
	}
	return LT_OK;
}

static int
check_actor(const Ltpb__FieldSet *fs, struct lt_violation *v)
{
	if (fs->value->v_case != LTPB__VALUE__V_TEXT)
		return refuse_field(v, LTPB__REASON_CODE__REASON_WRONG_TYPE, "type", LT_ACTOR_FIELD,
		    NULL, "the actor is not text", "người thực hiện không phải là văn bản");
	if (strlen(fs->value->text) > LT_KEY_MAX)
		return refuse_field(v, LTPB__REASON_CODE__REASON_TOO_LONG, "max_len",
		    LT_ACTOR_FIELD, NULL, "the actor is longer than 256 bytes",
		    "mã người thực hiện dài quá 256 byte");
	return LT_OK;
}

/* The leaf of an opening, or npersonal. Nearly always they stand in the same order: the one after the last is looked at first. */
static size_t
find_leaf(const struct lt_change *c, const char *name, size_t next)
{
	size_t i;

	if (next < c->npersonal && strcmp(c->personal[next], name) == 0)
		return next;
	for (i = 0; i < c->npersonal; i++)
		if (strcmp(c->personal[i], name) == 0)
			break;
	return i;
}

static int
check_openings(const struct lt_writer_info *who, const struct lt_change *c,
    const struct leaves *leaves, const struct lt_field_set *opened, size_t nopened,
    struct lt_violation *v)
{
	size_t i, at = 0;
	int rc;

	for (i = 0; i < nopened; i++, at++) {
		const Ltpb__FieldSet *fs = opened[i].pb;

		at = find_leaf(c, fs->name, at);
		if (at == c->npersonal)
			return refuse_field(v, LTPB__REASON_CODE__REASON_BAD_LEAF, "personal",
			    fs->name, NULL, "an opening without its commitment",
			    "dữ liệu cá nhân không có cam kết");
		rc = leaves->field[at] == NULL ? check_actor(fs, v)
					       : check_value(leaves->field[at], who, fs, v);
		if (rc != LT_OK)
			return rc;
	}
	return LT_OK;
}

int
lt_admit_change(const struct lt_catalogue *cat, const struct lt_writer_info *who,
    const struct lt_change *c, const struct lt_field_set *opened, size_t nopened,
    struct lt_violation *v)
{
	const struct lt_collection *col = lt_catalogue_find(cat, c->collection);
	struct leaves leaves;
	int rc;

	if (col == NULL)
		return refuse_whole(v, LTPB__REASON_CODE__REASON_UNKNOWN_COLLECTION, "collection",
		    c->collection, "the catalogue has no such collection",
		    "danh mục không có loại hồ sơ này");
	if ((rc = check_place(col, who, c->key, v)) != LT_OK ||
	    (rc = check_set_fields(col, who, c, v)) != LT_OK ||
	    (rc = check_cleared(col, who, c, v)) != LT_OK ||
	    (rc = check_leaves(col, who, c, &leaves, v)) != LT_OK)
		return rc;
	return check_openings(who, c, &leaves, opened, nopened, v);
}
