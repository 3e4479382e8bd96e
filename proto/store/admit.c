#include "proto/store/admit.h"

#include "proto/base/clock.h"
#include "proto/base/simbug.h"
#include "proto/store/access.h"

/* The author's key, if the author may speak at all. */
static int
author_key(const struct lt_changeset *cs, const struct lt_registry *reg, bool new_entry,
    const struct lt_principal **who, const struct lt_principal_key **key, struct lt_err *err)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	const struct lt_principal *p = lt_registry_find(reg, &author);
	char hex[2 * LT_ID_LEN + 1];
	bool covered;

	lt_hex(hex, author.b, LT_ID_LEN);
	if (p == NULL)
		return lt_err_set(err, LT_E_UNKNOWN, "author \"%s\" is not in the registry", hex);
	*who = p;
	*key = lt_principal_key(p, cs->key_no);
	if (*key == NULL)
		return lt_err_set(
		    err, LT_E_UNKNOWN, "author \"%s\" has no key %u", hex, cs->key_no);
	if (p->role != LTPB__ROLE__ROLE_NODE && p->role != LTPB__ROLE__ROLE_HUB)
		return lt_err_set(err, LT_E_DENIED, "principal \"%s\" is no author", hex);
	if (!lt_principal_covers(p, cs->key_no, &cs->unit, &cs->feed, cs->seq, &cs->hash))
		return lt_err_set(err, LT_E_REVOKED,
		    "change-set %llu of author \"%s\" is beyond the last one that counts under "
		    "key %u, which was revoked",
		    (unsigned long long)cs->seq, hex, cs->key_no);
	/* What a cut-off covers was signed while the key was good. */
	covered = lt_principal_revoked(p, cs->key_no);
	switch (p->state) {
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_ACTIVE:
		break;
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_REVOKED:
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_RETIRED:
		if (covered)
			break;
		/* fallthrough */
	case LTPB__PRINCIPAL_STATE__PRINCIPAL_STATE_SUSPENDED:
		if (!new_entry)
			break;
		return lt_err_set(err, LT_E_DENIED, "author \"%s\" is suspended or revoked", hex);
	default:
		return lt_err_set(err, LT_E_DENIED, "author \"%s\" was never active", hex);
	}
	if (new_entry && !(*key)->active && !covered)
		return lt_err_set(err, LT_E_DENIED, "key %u of author \"%s\" is not valid any more",
		    cs->key_no, hex);
	return LT_OK;
}

/* All of them that ask no signature and no opening. */
static int
admit_author(const struct lt_changeset *cs, const struct lt_fed *fed, const struct lt_registry *reg,
    bool new_entry, const struct lt_principal **who, const struct lt_principal_key **key,
    struct lt_err *err)
{
	int rc;

	if (memcmp(cs->federation.b, fed->b, LT_FED_LEN) != 0)
		return lt_err_set(err, LT_E_DENIED, "the change-set belongs to another federation");
	rc = author_key(cs, reg, new_entry, who, key, err);
	if (rc != LT_OK)
		return rc;
	if (!lt_access_author(*who, &cs->unit))
		return lt_err_set(err, LT_E_DENIED,
		    "the node of unit \"%s\" may not write unit \"%s\"", (*who)->unit.s,
		    cs->unit.s);
	return LT_OK;
}

static int
admit_openings(const struct lt_changeset *cs, bool need_openings, struct lt_err *err)
{
	return need_openings || cs->has_openings ? lt_changeset_verify_openings(cs, err) : LT_OK;
}

int
lt_admit_known(const struct lt_changeset *cs, const struct lt_fed *fed,
    const struct lt_registry *reg, bool new_entry, bool need_openings, struct lt_err *err)
{
	const struct lt_principal *who = NULL;
	const struct lt_principal_key *key = NULL;
	int rc = admit_author(cs, fed, reg, new_entry, &who, &key, err);

	return rc == LT_OK ? admit_openings(cs, need_openings, err) : rc;
}

int
lt_admit_signed(const struct lt_changeset *cs, const struct lt_fed *fed,
    const struct lt_registry *reg, bool new_entry, bool need_openings, struct lt_err *err)
{
	const struct lt_principal *who = NULL;
	const struct lt_principal_key *key = NULL;
	int rc = admit_author(cs, fed, reg, new_entry, &who, &key, err);

	if (rc != LT_OK)
		return rc;
	rc = lt_changeset_verify_signature(cs, key->sign_key);
	if (rc != LT_OK)
		return lt_err_set(
		    err, rc, "the signature does not verify with key %u of the author", key->no);
	return admit_openings(cs, need_openings, err);
}

/* The opened fields of one change; *at moves behind them. Openings stand in order of changes. */
static size_t
opened_of(const struct lt_changeset *cs, uint32_t change, size_t *at, struct lt_field_set *out)
{
	size_t n = 0;

	for (; *at < cs->nopening && cs->opening[*at].change == change; ++*at) {
		if (!cs->opening[*at].withheld)
			out[n++] = cs->opening[*at].field;
	}
	return n;
}

/* Room for every dot of the change-set, once; what j holds already is kept. */
static int
refused_room(struct lt_judgement *j, size_t nchange, struct lt_arena *arena)
{
	Ltpb__RefusedDot **wider =
	    lt_arena_alloc(arena, (j->nrefused + nchange) * sizeof(Ltpb__RefusedDot *));

	if (wider == NULL)
		return LT_E_NOMEM;
	if (j->nrefused != 0)
		memcpy(wider, j->refused, j->nrefused * sizeof(Ltpb__RefusedDot *));
	j->refused = wider;
	return LT_OK;
}

/* In its place by index; the room is there. */
static int
refuse(struct lt_judgement *j, uint64_t seq, uint32_t index, Ltpb__ReasonCode reason,
    struct lt_arena *arena)
{
	Ltpb__RefusedDot *dot = lt_arena_alloc(arena, sizeof(*dot));
	size_t i = j->nrefused;

	if (dot == NULL)
		return LT_E_NOMEM;
	ltpb__refused_dot__init(dot);
	dot->seq = seq;
	dot->index = index;
	dot->reason = reason;
	for (; i > 0 && j->refused[i - 1]->index > index; i--)
		j->refused[i] = j->refused[i - 1];
	j->refused[i] = dot;
	j->nrefused++;
	return LT_OK;
}

/* A change that touches no field, a delete first of all, says nothing that the authority of fields could refuse. */
static bool
may_write(const struct lt_catalogue *cat, const struct lt_principal *author,
    const struct lt_changeset *cs, size_t i)
{
	const struct lt_collection *c = lt_catalogue_find(cat, cs->change[i].collection);

	return c != NULL && author != NULL && lt_access_change(author, c, &cs->unit);
}

int
lt_admit_judge(const struct lt_changeset *cs, const struct lt_catalogue *cat,
    const struct lt_registry *reg, const struct lt_unit *province, struct lt_arena *arena,
    struct lt_judgement *j)
{
	struct lt_id author = lt_feed_author(&cs->feed);
	struct lt_writer_info who = {
		.unit = cs->unit, .lane = lt_feed_lane(&cs->feed), .province = *province
	};
	struct lt_violation violation;
	struct lt_field_set *opened;
	size_t i, n, at = 0;
	int rc;

	if (lt_registry_is_hub(reg, &author))
		return LT_OK;
	if (lt_catalogue_version(cat) != cs->catalogue_version)
		return LT_E_UNKNOWN;
	opened = lt_arena_alloc(arena, cs->nopening * sizeof(*opened));
	if (opened == NULL)
		return LT_E_NOMEM;
	rc = refused_room(j, cs->nchange, arena);
	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		n = opened_of(cs, (uint32_t)i, &at, opened);
		rc = lt_admit_change(cat, &who, &cs->change[i], opened, n, &violation);
		if (rc == LT_OK && !may_write(cat, lt_registry_find(reg, &author), cs, i)) {
			violation.reason = LTPB__REASON_CODE__REASON_AUTHORITY;
			rc = LT_E_REFUSED;
		}
		if (rc == LT_E_REFUSED)
			rc = lt_judgement_refuses(j, (uint32_t)i, NULL)
				 ? LT_OK
				 : refuse(j, cs->seq, (uint32_t)i, violation.reason, arena);
	}
	return rc;
}

int
lt_admit_context(struct lt_kv_txn *txn, const struct lt_unit *unit, const struct lt_change *change,
    enum lt_context_answer *answer, size_t *missing)
{
	const struct lt_context *c;
	struct lt_head head;
	struct lt_hash hash;
	size_t i;
	int rc;

	*answer = LT_CONTEXT_HERE;
	for (i = 0; i < change->ncontext; i++) {
		c = &change->context[i];
		rc = lt_feed_log_head(txn, unit, &c->feed, &head);
		if (rc != LT_OK)
			return rc;
		if (c->seq > head.seq) {
			if (*answer == LT_CONTEXT_HERE)
				*missing = i;
			*answer = LT_CONTEXT_MISSING;
			continue;
		}
		hash = head.hash;
		rc = c->seq == head.seq ? LT_OK
					: lt_feed_log_hash(txn, unit, &c->feed, c->seq, &hash);
		if (rc != LT_OK)
			return rc == LT_E_NOTFOUND ? LT_E_CORRUPT : rc;
		if (lt_load_u64(hash.b) != c->hash8) {
			*answer = LT_CONTEXT_WRONG;
			return LT_OK;
		}
	}
	return LT_OK;
}

static int
hold(struct lt_judgement *j, uint64_t seq, uint32_t index, size_t nchange, struct lt_arena *arena)
{
	Ltpb__HeldDot *dot = lt_arena_alloc(arena, sizeof(*dot));

	if (j->nheld == 0)
		j->held = lt_arena_alloc(arena, nchange * sizeof(Ltpb__HeldDot *));
	if (dot == NULL || j->held == NULL)
		return LT_E_NOMEM;
	ltpb__held_dot__init(dot);
	dot->seq = seq;
	dot->index = index;
	j->held[j->nheld++] = dot;
	return LT_OK;
}

int
lt_admit_contexts(struct lt_kv_txn *txn, const struct lt_changeset *cs, struct lt_arena *arena,
    struct lt_judgement *j)
{
	enum lt_context_answer answer;
	size_t i, missing;
	int rc = refused_room(j, cs->nchange, arena);

	/* Held dots are found here and nowhere else; an earlier answer is taken anew. */
	j->nheld = 0;
	for (i = 0; rc == LT_OK && i < cs->nchange; i++) {
		if (cs->change[i].ncontext == 0 || lt_judgement_refuses(j, (uint32_t)i, NULL))
			continue;
		rc = lt_admit_context(txn, &cs->unit, &cs->change[i], &answer, &missing);
		if (rc == LT_OK && answer == LT_CONTEXT_WRONG)
			rc = refuse(
			    j, cs->seq, (uint32_t)i, LTPB__REASON_CODE__REASON_BAD_CONTEXT, arena);
		if (rc == LT_OK && answer == LT_CONTEXT_MISSING)
			rc = hold(j, cs->seq, (uint32_t)i, cs->nchange, arena);
	}
	return rc;
}

void
lt_admit_clamp(const struct lt_changeset *cs, int64_t arrival_ms, uint64_t last_effective,
    struct lt_judgement *j)
{
	const int64_t latest = (INT64_C(1) << 48) - 1;
	int64_t ms = arrival_ms < 0 ? 0 : arrival_ms > latest ? latest : arrival_ms;
	uint64_t ceiling = LT_STAMP(ms, UINT16_MAX), floor = LT_STAMP(LT_BUILD_FLOOR_MS, 0);

	if (cs->hub_stamp > floor)
		floor = cs->hub_stamp;
	if (last_effective > floor)
		floor = last_effective;
	if (floor > ceiling)
		floor = ceiling;
	if ((cs->stamp >= floor && cs->stamp <= ceiling) || LT_SIM_BUG(CLAMP_LEFT_OUT))
		return;
	j->clamped = true;
	j->floor = floor;
	j->ceiling = ceiling;
}
