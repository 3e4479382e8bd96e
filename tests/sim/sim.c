/* One run: events in their order, checks after each, and the end. */
#include "tests/sim/bugs.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

void
sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	/* clang 14 does not see the va_start. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

void
sim_say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->o.verbose)
		return;
	printf("%10.3f ", (double)s->now / 1000);
	va_start(ap, fmt);
	/* clang 14 does not see the va_start. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void
sim_trace(struct sim *s, uint64_t a, uint64_t b)
{
	struct sim_rng r;

	sim_rng_seed(&r, s->trace ^ a * UINT64_C(0x9e3779b97f4a7c15) ^ (b << 32 | b >> 32));
	s->trace = sim_rng_next(&r);
}

void
sim_at(struct sim *s, int64_t in_ms, enum sim_event_kind kind, int machine, uint64_t a, uint64_t b)
{
	struct sim_event ev = { .at = s->now + (in_ms < 0 ? 0 : in_ms),
		.kind = kind,
		.machine = machine,
		.life = s->m[machine].life,
		.a = a,
		.b = b };

	if (kind == SIM_EV_START || kind == SIM_EV_WORK || kind == SIM_EV_FAULT ||
	    kind == SIM_EV_FAULT_END || kind == SIM_EV_HEAL || kind == SIM_EV_LOOK ||
	    kind == SIM_EV_IDLE || kind == SIM_EV_BACKUP || kind == SIM_EV_RESTORE ||
	    kind == SIM_EV_COPY || kind == SIM_EV_THIEF)
		ev.life = 0;
	sim_queue_push(&s->queue, &ev);
}

/* Where everybody stands, for whoever looks for the reason. */
static void
tell_states(struct sim *s)
{
	size_t k, open;
	int i;

	sim_say(s, "hub: %s, projected %llu of %llu, %zu streams", s->m[SIM_HUB].up ? "up" : "down",
	    s->hub != NULL ? (unsigned long long)lt_hub_projected(s->hub) : 0,
	    s->hub != NULL ? (unsigned long long)lt_hub_log_position(s->hub) : 0, s->nstream);
	for (i = 1; i < SIM_MACHINES; i++) {
		const struct sim_machine *m = &s->m[i];

		if (i > SIM_NODES && m->copy_of == 0)
			continue;
		if (!m->up) {
			sim_say(s, "node %d is down", i);
			continue;
		}
		for (k = open = 0; k < SIM_CALLS; k++)
			open += m->call[k].open;
		sim_say(s,
		    "node %d: %s, line %llu%s%s, %zu calls, %u applying, clock %lld ms off%s%s", i,
		    lt_sync_phase_name(m->sync.phase),
		    m->line != NULL ? (unsigned long long)m->line->id : 0,
		    m->line != NULL && m->line->up_dead ? ", deaf up" : "",
		    m->line != NULL && m->line->down_dead ? ", deaf down" : "", open,
		    lt_session_applying(m->session), (long long)m->wall_offset_ms,
		    m->sync.pulling ? ", pulling" : "", m->step_due ? ", a turn is due" : "");
		for (k = 0; k < m->sync.nfeed; k++)
			sim_say(s, "  feed of lane %d, epoch %016llx: %llu, the hub has %llu%s%s",
			    (int)lt_feed_lane(&m->sync.feed[k].feed),
			    (unsigned long long)lt_feed_epoch(&m->sync.feed[k].feed),
			    (unsigned long long)m->sync.feed[k].head,
			    (unsigned long long)m->sync.feed[k].held,
			    m->sync.feed[k].usable ? "" : ", not usable",
			    m->sync.feed[k].in_flight ? ", under way" : "");
	}
}

static void
look(struct sim *s)
{
	if (sim_converged(s))
		s->converged_at = s->now;
	else if (s->now > s->healed_at + SIM_CONVERGE_MS)
		sim_fail(s, "not converged %lld s after the last fault: %s",
		    (long long)(SIM_CONVERGE_MS / 1000), s->waits_for);
	else
		sim_at(s, 2000, SIM_EV_LOOK, SIM_HUB, 0, 0);
}

static void
dispatch(struct sim *s, struct sim_event *ev)
{
	switch (ev->kind) {
	case SIM_EV_TIMER:
		if (ev->a == s->m[ev->machine].timer_no)
			sim_sync_event(
			    s, ev->machine, &(struct lt_sync_event){ .kind = LT_SYNC_EV_TIMER });
		break;
	case SIM_EV_SYNC:
		sim_sync_event(s, ev->machine, &ev->sync);
		break;
	case SIM_EV_UP:
		sim_arrive_up(s, ev->message);
		break;
	case SIM_EV_DOWN:
		sim_arrive_down(s, ev->machine, ev->message);
		break;
	case SIM_EV_NODE_STEP:
		sim_node_turn(s, ev->machine);
		break;
	case SIM_EV_HUB_STEP:
		sim_hub_turn(s);
		break;
	case SIM_EV_PUMP:
		sim_pump(s);
		break;
	case SIM_EV_DEADLINE:
		sim_deadline(s, ev->machine, ev->a, ev->b);
		break;
	case SIM_EV_IDLE:
		sim_idle(s, ev->a, ev->b != 0);
		break;
	case SIM_EV_START:
		sim_start(s, ev->machine);
		break;
	case SIM_EV_WORK:
		sim_work(s);
		break;
	case SIM_EV_FAULT:
		sim_fault_strike(s);
		break;
	case SIM_EV_FAULT_END:
		sim_fault_end(s, ev->machine, (enum sim_fault)ev->a);
		break;
	case SIM_EV_HEAL:
		sim_heal(s);
		sim_at(s, 1000, SIM_EV_LOOK, SIM_HUB, 0, 0);
		break;
	case SIM_EV_LOOK:
		look(s);
		break;
	case SIM_EV_BACKUP:
		sim_backup(s);
		break;
	case SIM_EV_RESTORE:
		sim_restore(s);
		break;
	case SIM_EV_COPY:
		sim_copy(s);
		break;
	case SIM_EV_POWER:
		sim_power_cut(s, ev->machine);
		break;
	case SIM_EV_THIEF:
		sim_thief(s, ev->machine);
		break;
	}
}

bool
sim_world_step(struct sim *s)
{
	struct sim_event *ev = sim_queue_pop(&s->queue);
	bool stale;

	if (ev == NULL)
		return false;
	/* A process that is gone gets nothing any more. */
	stale = ev->life != 0 && (ev->life != s->m[ev->machine].life || !s->m[ev->machine].up);
	s->now = ev->at;
	if (!stale) {
		s->steps++;
		sim_trace(
		    s, (uint64_t)ev->at, (uint64_t)ev->kind << 8 | (uint64_t)(unsigned)ev->machine);
		dispatch(s, ev);
		sim_after(s, ev->machine);
		sim_check_step(s, ev->machine);
		if (s->steps % (s->o.check_every == 0 ? 1000 : s->o.check_every) == 0)
			sim_check_deep(s);
	}
	sim_event_free(ev);
	return true;
}

/* Work and faults at random moments of their time. */
static void
plan(struct sim *s)
{
	unsigned i;

	for (i = 0; i < s->o.writes; i++)
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_WORK, SIM_HUB, 0, 0);
	for (i = 0; i < s->o.faults; i++)
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_FAULT, SIM_HUB, 0, 0);
	for (i = 0; i < s->o.restores; i++) {
		sim_at(
		    s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_RESTORE, SIM_HUB, 0, 0);
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_BACKUP, SIM_HUB, 0, 0);
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms / 2), SIM_EV_BACKUP, SIM_HUB, 0,
		    0);
	}
	for (i = 0; i < s->o.copies; i++) {
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_COPY, SIM_HUB, 0, 0);
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms), SIM_EV_BACKUP, SIM_HUB, 0, 0);
		sim_at(s, sim_rng_between(&s->rng, 0, s->o.fault_ms / 2), SIM_EV_BACKUP, SIM_HUB, 0,
		    0);
	}
	sim_at(s, s->o.fault_ms + 1, SIM_EV_HEAL, SIM_HUB, 0, 0);
}

bool
sim_run(struct sim *s)
{
	sim_rng_seed(&s->rng, s->o.seed);
	sim_rng_seed(&s->machine_rng, ~s->o.seed);
	s->trace = s->o.seed;
	s->steps = 0;
	memset(s->count, 0, sizeof(s->count));
	s->received = s->pulled = 0;
	sim_bug_arm();
	plan(s);
	while (!s->failed && s->converged_at == 0 && sim_world_step(s))
		;
	if (!s->failed && s->converged_at == 0)
		sim_fail(s, "nothing more happens");
	if (s->failed)
		tell_states(s);
	else
		sim_check_end(s);
	return !s->failed;
}
