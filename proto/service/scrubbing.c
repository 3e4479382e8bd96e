#include "proto/service/scrubbing.h"

#include <stdlib.h>

int
lt_scrubbing_answer(struct lt_scrubber *s, const Ltpb__ScrubRequest *req, struct lt_arena *arena,
    Ltpb__ScrubReply *reply)
{
	struct lt_scrub_status *st = lt_arena_alloc(arena, sizeof(*st));
	Ltpb__ScrubFinding *f;
	bool asked;
	size_t i;

	if (s == NULL)
		return LT_OK;
	if (st == NULL)
		return LT_E_NOMEM;
	if (req->start)
		lt_scrubber_ask(s, req->full);
	lt_scrubber_status(s, st, &asked);
	reply->finding = lt_arena_alloc(arena, (st->nfinding + 1) * sizeof(*reply->finding));
	f = lt_arena_alloc(arena, (st->nfinding + 1) * sizeof(*f));
	if (reply->finding == NULL || f == NULL)
		return LT_E_NOMEM;
	reply->running = asked;
	reply->phase = (char *)st->phase;
	reply->entries = st->entries;
	reply->bytes = st->bytes;
	reply->signatures = st->sampled;
	reply->rounds = st->rounds;
	reply->ended_ms = st->round_ended_ms;
	reply->took_ms = st->round_took_ms;
	reply->full = st->round_full;
	reply->more = st->more;
	for (i = 0; i < st->nfinding; i++, f++) {
		const struct lt_scrub_finding *g = &st->finding[i];

		ltpb__scrub_finding__init(f);
		f->table = (char *)lt_table_names[g->table];
		f->what = (char *)lt_scrub_what_name(g->what);
		f->key_digest.data = (uint8_t *)g->key_digest;
		f->key_digest.len = sizeof(g->key_digest);
		f->derived = g->derived;
		f->since_ms = g->since_ms;
		f->last_ms = g->last_ms;
		reply->finding[reply->n_finding++] = f;
	}
	return LT_OK;
}

static uint64_t
lost_of(const struct lt_scrub_status *st)
{
	uint64_t lost = 0;
	size_t i;

	for (i = 0; i < st->nfinding; i++)
		lost += !st->finding[i].derived;
	return lost;
}

void
lt_scrubbing_status(struct lt_scrubber *s, Ltpb__StatusReply *reply)
{
	struct lt_scrub_status *st = s == NULL ? NULL : malloc(sizeof(*st));
	bool asked;

	if (st == NULL)
		return;
	lt_scrubber_status(s, st, &asked);
	reply->findings = st->nfinding + st->more;
	reply->lost = lost_of(st);
	reply->scrubbed_ms = st->round_ended_ms;
	free(st);
}

uint64_t
lt_scrubbing_findings(struct lt_scrubber *s)
{
	struct lt_scrub_status st;
	bool asked;

	if (s == NULL)
		return 0;
	lt_scrubber_status(s, &st, &asked);
	return st.nfinding + st.more;
}

bool
lt_scrubbing_not_found(struct lt_scrubber *s, struct lt_status *out)
{
	if (lt_scrubbing_findings(s) == 0)
		return false;
	lt_status_set_both(out, LT_STATUS_NOT_FOUND, "NOT_FOUND_DAMAGED",
	    "not found; but the store here is damaged and not repaired yet, so it may be there all "
	    "the same: see 'ltctl scrub --last'",
	    "không tìm thấy; nhưng kho dữ liệu ở đây đang hỏng và chưa sửa xong, nên có thể vẫn "
	    "có; hãy xem 'ltctl scrub --last'");
	return true;
}

int
lt_scrubbing_may_rebuild(struct lt_scrubber *s, struct lt_err *err)
{
	struct lt_scrub_status *st = s == NULL ? NULL : malloc(sizeof(*st));
	uint64_t lost = 0;
	bool asked;

	if (st != NULL) {
		lt_scrubber_status(s, st, &asked);
		lost = lost_of(st);
		free(st);
	}
	return lost == 0 ? LT_OK
			 : lt_err_set(err, LT_E_CORRUPT,
			       "the log is damaged in %llu places: what comes from there could not "
			       "be built again; see 'ltctl scrub'",
			       (unsigned long long)lost);
}
