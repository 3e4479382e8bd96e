#include "proto/store/scrubber.h"

#include "proto/base/log.h"
#include "proto/base/thread.h"
#include "proto/store/author.h"
#include "proto/store/compact.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PERCENT_DEFAULT 2
#define FIRST_MS 60000 /* after a start: others have more to do then */
#define KEEP_MS 600000 /* between two notes of the progress: an old disk has little to give */
#define AGAIN_MS 500 /* after a step that could not be taken */
#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 10000
#define NEVER_MS ((int64_t)1 << 40)
#define PROGRESS "scrub" /* in table local */
#define MEND_PAUSE_MS 3600000
#define REPAIR_POLL_MS 1000 /* while a peer may put something back */
#define REPAIR_REST_MS 5000 /* without anything more put back: what was is scrubbed */
#define REPAIR_ROUNDS \
	8 /* for repairs, one after the other: what is damaged again at once does not come from the disk */

struct lt_scrubber {
	struct lt_scrubber_options o;
	pthread_t thread;
	struct lt_scrub *scrub; /* the thread's */
	int64_t kept_ms; /* the thread's; monotonic */
	int64_t mended_ms; /* likewise, 0: never */
	bool looking, look_quick; /* likewise: the repairer's look is under way */
	int64_t looked_ms; /* likewise: wall clock of the last one; 0: none */
	uint64_t put_back; /* likewise: repaired and mended rows, as of the round that began last */
	uint64_t put_back_seen; /* likewise: as of the last question, */
	int64_t put_back_ms; /* and when it rose; monotonic */
	unsigned repair_rounds; /* likewise: left */
	bool quick; /* likewise: the round under way was asked for */
	pthread_mutex_t mx; /* guards what follows */
	pthread_cond_t cond;
	bool stop, asked, asked_full;
	bool answering; /* the round under way was asked for */
	struct lt_scrub_status status;
};

static int64_t
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Until so long has passed, somebody asks, or the end. With the lock. */
static void
pause_for(struct lt_scrubber *s, int64_t ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	while (!s->stop && !s->asked && pthread_cond_timedwait(&s->cond, &s->mx, &ts) == 0)
		;
}

static int
run_keep(struct lt_kv_txn *txn, void *ctx)
{
	const struct lt_buf *b = ctx;

	return lt_local_put(txn, PROGRESS, lt_buf_slice(b));
}

static void
keep(struct lt_scrubber *s)
{
	struct lt_buf b = { 0 };

	s->kept_ms = now_us() / 1000;
	/* Not kept: a round begins again. */
	if (lt_scrub_save(s->scrub, &b) == LT_OK)
		(void)lt_writer_run(s->o.writer, run_keep, &b);
	lt_buf_fini(&b);
}

static void
resume(struct lt_scrub *scrub, struct lt_kv *kv)
{
	struct lt_kv_txn *txn;
	struct lt_slice saved;

	if (lt_kv_begin_read(kv, &txn) != LT_OK)
		return;
	if (lt_local_get(txn, PROGRESS, &saved) == LT_OK)
		(void)lt_scrub_resume(scrub, saved);
	lt_kv_abort(txn);
}

static bool
may_mend(const struct lt_scrub_status *st)
{
	size_t i;

	for (i = 0; i < st->nfinding; i++)
		if (!st->finding[i].derived)
			return false;
	return st->nfinding != 0 && st->truth_clean;
}

/* ---- repairing ---- */

static bool
is_new(const struct lt_scrub_status *st, int64_t since_ms)
{
	size_t i;

	for (i = 0; i < st->nfinding; i++)
		if (!st->finding[i].derived && st->finding[i].since_ms >= since_ms)
			return true;
	return false;
}

/* With what the last round found. quick: somebody waits. */
static void
look_begin(struct lt_scrubber *s, const struct lt_scrub_status *st, bool quick)
{
	struct lt_repair_status rst;

	if (s->o.repair == NULL)
		return;
	lt_repairer_status(s->o.repair, &rst);
	if (st->truth_clean)
		s->repair_rounds = REPAIR_ROUNDS;
	/* What was wanted and is here: a look that finds nothing more says so. */
	if (st->truth_clean && rst.wanted == 0 && rst.lost == 0 && !rst.pages_broken)
		return;
	lt_repairer_look(
	    s->o.repair, s->looked_ms == 0 || rst.pages_broken || is_new(st, s->looked_ms));
	s->looking = true;
	s->look_quick = quick;
	s->looked_ms = lt_wall_ms(lt_clock_system());
}

/* Has something been put back that no round has seen yet, and does nothing more come? */
static bool
is_put_back(struct lt_scrubber *s)
{
	struct lt_repair_status st;
	int64_t now = now_us() / 1000;

	if (s->o.repair == NULL || s->looking || s->repair_rounds == 0)
		return false;
	lt_repairer_status(s->o.repair, &st);
	if (st.repaired + st.mended != s->put_back_seen) {
		s->put_back_seen = st.repaired + st.mended;
		s->put_back_ms = now;
	}
	return s->put_back_seen != s->put_back &&
	       (st.wanted == 0 || now - s->put_back_ms >= REPAIR_REST_MS);
}

/* May a peer put something back while nothing is scrubbed? */
static bool
is_awaited(struct lt_scrubber *s)
{
	struct lt_repair_status st;

	if (s->o.repair == NULL || s->repair_rounds == 0)
		return false;
	lt_repairer_status(s->o.repair, &st);
	return st.wanted != 0 || st.repaired + st.mended != s->put_back;
}

static void
round_begins(struct lt_scrubber *s)
{
	struct lt_repair_status st;

	if (s->o.repair == NULL)
		return;
	lt_repairer_status(s->o.repair, &st);
	s->put_back = s->put_back_seen = st.repaired + st.mended;
}

static int
run_clean(struct lt_kv_txn *txn, void *ctx)
{
	(void)ctx;
	return lt_compact_scrubbed(txn);
}

static void
round_done(struct lt_scrubber *s, const struct lt_scrub_status *st)
{
	int64_t now = now_us() / 1000,
		pause = s->o.mend_pause_ms != 0 ? s->o.mend_pause_ms : MEND_PAUSE_MS;

	if (st->nfinding != 0)
		lt_error("scrub: %zu findings; see 'ltctl scrub'", st->nfinding + (size_t)st->more);
	keep(s);
	if (st->nfinding == 0)
		(void)lt_writer_run(s->o.writer, run_clean, NULL);
	look_begin(s, st, s->quick);
	if (s->o.mend == NULL || !may_mend(st) || (s->mended_ms != 0 && now - s->mended_ms < pause))
		return;
	s->mended_ms = now;
	lt_warn("scrub: only derived tables are damaged: they are built anew");
	s->o.mend(s->o.ctx);
}

static int64_t
rest_after(const struct lt_scrubber *s, int64_t took_us, bool quick, int rc)
{
	unsigned percent = s->o.percent != 0 ? s->o.percent : PERCENT_DEFAULT;
	int64_t rest = took_us * (100 - percent) / percent / 1000;

	if (rest < PAUSE_MIN_MS)
		rest = PAUSE_MIN_MS;
	if (rest > PAUSE_MAX_MS)
		rest = PAUSE_MAX_MS;
	if (rc != LT_OK)
		return rest > AGAIN_MS ? rest : AGAIN_MS;
	return quick ? 0 : rest;
}

/* One step, and how long to rest after it. */
static int64_t
step(struct lt_scrubber *s, bool *done)
{
	struct lt_scrub_status *st = malloc(sizeof(*st));
	int64_t took, began = now_us();
	int rc = lt_scrub_step(s->scrub, NULL, done);

	took = now_us() - began;
	if (st != NULL) {
		lt_scrub_status(s->scrub, st);
		pthread_mutex_lock(&s->mx);
		s->status = *st;
		pthread_mutex_unlock(&s->mx);
	}
	if (*done && st != NULL)
		round_done(s, st);
	else if (now_us() / 1000 - s->kept_ms > KEEP_MS)
		keep(s);
	free(st);
	return rest_after(s, took, s->quick, rc);
}

/* The same of the look. */
static int64_t
look(struct lt_scrubber *s)
{
	int64_t began = now_us();
	bool done = false;
	int rc = lt_repairer_look_step(s->o.repair, &done);

	s->looking = !done;
	return rest_after(s, now_us() - began, s->look_quick, rc);
}

/* A machine that is switched off every evening must get through as well: the interval counts from the last round, where the
 * clock can be believed, and a round that was cut off goes on. */
static int64_t
first_pause(const struct lt_scrubber *s)
{
	int64_t ago = lt_wall_ms(lt_clock_system()) - s->status.round_ended_ms;

	if (s->status.round_began_ms != 0 || s->status.round_ended_ms == 0 || ago < 0 ||
	    ago > s->o.every_ms - FIRST_MS)
		return s->o.every_ms < FIRST_MS ? s->o.every_ms : FIRST_MS;
	return s->o.every_ms - ago;
}

/* A round from its beginning, without pauses; a look that is under way comes first, and is not cut off: its end is what others wait
 * for. With the lock. */
static void
round_at_once(struct lt_scrubber *s, bool full)
{
	lt_scrub_restart(s->scrub, full);
	s->look_quick = true;
	s->answering = true;
}

/* The thread's next turn, with the lock, which is given back meanwhile. *next_ms: when the next step of a round is due, monotonic. */
static void
turn(struct lt_scrubber *s, int64_t *next_ms, bool *idle)
{
	bool done = false, again;
	int64_t rest;

	again = *idle && is_put_back(s);
	if (s->asked) {
		round_at_once(s, s->asked_full);
		s->repair_rounds = REPAIR_ROUNDS;
		s->asked = s->asked_full = false;
	} else if (again) {
		s->repair_rounds--;
		round_at_once(s, false);
	} else if (s->looking) {
		pthread_mutex_unlock(&s->mx);
		rest = look(s);
		pthread_mutex_lock(&s->mx);
		if (rest != 0)
			pause_for(s, rest);
		return;
	} else if (now_us() / 1000 < *next_ms) {
		return;
	}
	if (*idle)
		round_begins(s);
	s->quick = s->answering;
	pthread_mutex_unlock(&s->mx);
	rest = step(s, &done);
	pthread_mutex_lock(&s->mx);
	*idle = done;
	if (done) {
		s->answering = false;
		rest = s->o.every_ms != 0 ? s->o.every_ms : NEVER_MS;
	}
	*next_ms = now_us() / 1000 + rest;
}

/* Until something is due, or may be. With the lock. */
static void
wait_until(struct lt_scrubber *s, int64_t next_ms, bool idle)
{
	int64_t rest = next_ms - now_us() / 1000;

	if (s->looking)
		return;
	if (idle && is_awaited(s) && rest > REPAIR_POLL_MS)
		rest = REPAIR_POLL_MS;
	if (rest > 0)
		pause_for(s, rest);
}

static void *
run(void *arg)
{
	struct lt_scrubber *s = arg;
	bool idle = true;
	int64_t next_ms;

	lt_thread_begin("lt-scrub", LT_NICE_SCRUB);
	pthread_mutex_lock(&s->mx);
	next_ms = now_us() / 1000 + (s->o.every_ms != 0 ? first_pause(s) : NEVER_MS);
	while (!s->stop) {
		wait_until(s, next_ms, idle);
		if (!s->stop)
			turn(s, &next_ms, &idle);
	}
	pthread_mutex_unlock(&s->mx);
	return NULL;
}

int
lt_scrubber_start(const struct lt_scrubber_options *o, struct lt_scrubber **out)
{
	struct lt_scrubber *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	*out = NULL;
	if (s == NULL)
		return LT_E_NOMEM;
	s->o = *o;
	rc = lt_scrub_open(o->scrub, &s->scrub);
	s->o.scrub = NULL;
	if (rc != LT_OK) {
		free(s);
		return rc;
	}
	resume(s->scrub, o->scrub->log);
	s->kept_ms = now_us() / 1000;
	s->repair_rounds = REPAIR_ROUNDS;
	lt_scrub_status(s->scrub, &s->status);
	/* What was found before this start. */
	if (is_new(&s->status, 0))
		look_begin(s, &s->status, false);
	pthread_mutex_init(&s->mx, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&s->thread, NULL, run, s) != 0) {
		pthread_cond_destroy(&s->cond);
		pthread_mutex_destroy(&s->mx);
		lt_scrub_close(s->scrub);
		free(s);
		return LT_E_NOMEM;
	}
	*out = s;
	return LT_OK;
}

void
lt_scrubber_stop(struct lt_scrubber *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->mx);
	s->stop = true;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mx);
	/* It may be waiting for whoever reads a large file. */
	lt_repairer_stop(s->o.repair);
	pthread_join(s->thread, NULL);
	if (s->status.round_began_ms != 0)
		keep(s);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->mx);
	lt_scrub_close(s->scrub);
	free(s);
}

void
lt_scrubber_ask(struct lt_scrubber *s, bool full)
{
	pthread_mutex_lock(&s->mx);
	s->asked = true;
	s->asked_full = s->asked_full || full;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->mx);
}

void
lt_scrubber_status(struct lt_scrubber *s, struct lt_scrub_status *out, bool *asked)
{
	pthread_mutex_lock(&s->mx);
	*out = s->status;
	*asked = s->asked || s->answering;
	pthread_mutex_unlock(&s->mx);
}
