/* What goes wrong, how often, and how it ends. */
#include "tests/sim/sim.h"

#include <stdio.h>

#define SIM_FAULT_NAME(name, text) text,
const char *const sim_fault_name[] = { SIM_FAULTS(SIM_FAULT_NAME) };
#undef SIM_FAULT_NAME

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)

/* ---- options of a seed ---- */

/* Those that strike messages, in each thousand of them, at most. */
static const struct {
	enum sim_fault kind;
	unsigned most;
} of_messages[] = {
	{ SIM_F_DELAY, 12 },
	{ SIM_F_DUPLICATE, 60 },
	{ SIM_F_LOST_REPLY, 100 },
	{ SIM_F_REORDER, 100 },
	{ SIM_F_LOST_NOTIFY, 300 },
	{ SIM_F_FORGED, 80 },
	{ SIM_F_LOSS, 90 },
};

static bool
strikes_messages(enum sim_fault f)
{
	size_t i;

	for (i = 0; i < sizeof(of_messages) / sizeof(of_messages[0]); i++)
		if (of_messages[i].kind == f)
			return true;
	return false;
}

void
sim_options_from(struct sim_options *o, uint64_t seed)
{
	struct sim_rng r;
	size_t i;

	memset(o, 0, sizeof(*o));
	sim_rng_seed(&r, seed ^ UINT64_C(0x6c69656e74686f6e)); /* not the stream of the run */
	o->seed = seed;
	o->nodes = (unsigned)sim_rng_between(&r, 2, 10);
	o->writes = (unsigned)sim_rng_between(&r, 15, 50);
	o->faults = (unsigned)sim_rng_between(&r, 15, 75);
	if (sim_rng_chance(&r, 20)) { /* a long one */
		o->nodes = SIM_NODES - SIM_LATE;
		o->writes = (unsigned)sim_rng_between(&r, 200, 400);
		o->faults = (unsigned)sim_rng_between(&r, 40, 120);
	}
	o->late = (unsigned)sim_rng_between(&r, 0, 2);
	o->fault_ms = sim_rng_between(&r, 20, 240) * 1000;
	o->latency_ms = sim_rng_between(&r, 1, 300);
	o->disk_ms = sim_rng_between(&r, 0, 60);
	o->check_every = (unsigned)sim_rng_between(&r, 100, 400);
	o->second_catalogue = sim_rng_chance(&r, 300);
	for (i = 0; i < SIM_F_COUNT; i++)
		if (!strikes_messages((enum sim_fault)i) && sim_rng_chance(&r, 700))
			o->weight[i] = (uint32_t)sim_rng_between(&r, 1, 6);
	o->weight[SIM_F_HUB_DOWN] *= 3; /* is often down already when its turn comes */
	o->weight[SIM_F_DISK_FULL] *= 2; /* counts only where somebody writes */
	for (i = 0; i < sizeof(of_messages) / sizeof(of_messages[0]); i++)
		if (sim_rng_chance(&r, 500))
			o->per_mille[of_messages[i].kind] =
			    (unsigned)sim_rng_between(&r, 1, of_messages[i].most);
}

void
sim_options_print(const struct sim_options *o)
{
	size_t i;

	printf("seed %llu: %u nodes at work, %u writes, %u late, faults %u in %lld ms, latency up "
	       "to %lld ms, "
	       "disk up to %lld ms, deep checks every %u steps%s\n",
	    (unsigned long long)o->seed, o->nodes, o->writes, o->late, o->faults,
	    (long long)o->fault_ms, (long long)o->latency_ms, (long long)o->disk_ms, o->check_every,
	    o->second_catalogue ? ", a second catalogue" : "");
	printf("  weights:");
	for (i = 0; i < SIM_F_COUNT; i++)
		if (o->weight[i] != 0)
			printf(" %s %u", sim_fault_name[i], o->weight[i]);
	printf("\n  in a thousand messages:");
	for (i = 0; i < SIM_F_COUNT; i++)
		if (o->per_mille[i] != 0)
			printf(" %s %u", sim_fault_name[i], o->per_mille[i]);
	printf("\n");
}

/* ---- the disk ---- */

int
sim_store_call(void *ctx, uint64_t ordinal)
{
	struct sim_machine *m = ctx;
	struct sim *s = m->sim;

	(void)ordinal;
	m->store_calls++;
	if (m->dead)
		return LT_E_NOSPACE;
	if (m->crash_in != 0 && --m->crash_in == 0) {
		m->dead = true;
		s->count[SIM_F_CRASH_STORE]++;
		/* The call that it died at may have reached the disk; what was to follow has not. */
		return m->crash_after_commit ? LT_OK : LT_E_NOSPACE;
	}
	if (s->now < m->disk_full_until) {
		if (!m->disk_was_full)
			s->count[SIM_F_DISK_FULL]++;
		m->disk_was_full = true;
		return LT_E_NOSPACE;
	}
	return LT_OK;
}

/* ---- one strikes ---- */

static struct sim_line *
some_line(struct sim *s)
{
	size_t n = 0, i, at;

	for (i = 0; i < s->nline; i++)
		n += s->line[i]->hub_open && s->line[i]->node_open && !s->line[i]->up_dead &&
		     !s->line[i]->down_dead;
	at = sim_rng_below(&s->rng, n);
	for (i = 0; i < s->nline; i++)
		if (s->line[i]->hub_open && s->line[i]->node_open && !s->line[i]->up_dead &&
		    !s->line[i]->down_dead && at-- == 0)
			return s->line[i];
	return NULL;
}

static struct sim_machine *
some_machine(struct sim *s)
{
	if (sim_rng_chance(&s->rng, 250))
		return &s->m[SIM_HUB];
	return &s->m[1 + sim_rng_below(&s->rng, s->o.nodes)];
}

static void
end_later(struct sim *s, int64_t in_ms, int machine, enum sim_fault kind)
{
	sim_at(s, in_ms, SIM_EV_FAULT_END, machine, (uint64_t)kind, 0);
}

/* Clocks of nodes may be off by years; the hub's, which says when invitations end, by hours. */
static void
move_clock(struct sim *s, struct sim_machine *m, enum sim_fault kind)
{
	int64_t far = m->no == SIM_HUB               ? DAY_MS / 4
		      : sim_rng_chance(&s->rng, 500) ? 10 * 365 * DAY_MS
						     : 10 * MINUTE_MS;
	int64_t by = sim_rng_between(&s->rng, 1, far);

	if (kind == SIM_F_CLOCK_1970) {
		m = &s->m[1 + sim_rng_below(&s->rng, s->o.nodes)];
		m->wall_offset_ms = -SIM_START_MS - s->now;
	} else {
		m->wall_offset_ms += kind == SIM_F_CLOCK_FORWARD ? by : -by;
		if (m->no == SIM_HUB && (m->wall_offset_ms > DAY_MS || m->wall_offset_ms < -DAY_MS))
			m->wall_offset_ms = 0;
	}
	s->count[kind]++;
}

static void
strike_line(struct sim *s, enum sim_fault kind)
{
	struct sim_line *l = some_line(s);

	if (l == NULL)
		return;
	s->count[kind]++;
	sim_say(s, "%s of the line of node %d", sim_fault_name[kind], l->node);
	switch (kind) {
	case SIM_F_CUT:
		sim_line_cut(s, l, sim_rng_chance(&s->rng, 700));
		break;
	case SIM_F_FLAP:
		s->m[l->node].flap_until = s->now + sim_rng_between(&s->rng, 10000, 40000);
		sim_fault_end(s, l->node, SIM_F_FLAP);
		break;
	default:
		sim_line_half(s, l, kind == SIM_F_HALF_UP);
		break;
	}
}

static void
strike_machine(struct sim *s, struct sim_machine *m, enum sim_fault kind)
{
	if (!m->up)
		return;
	sim_say(s, "%s at machine %d", sim_fault_name[kind], m->no);
	switch (kind) {
	case SIM_F_CRASH_STORE: /* counted when it happens */
		m->crash_in = 1 + sim_rng_below(&s->rng, sim_rng_chance(&s->rng, 700) ? 12 : 150);
		m->crash_after_commit = sim_rng_chance(&s->rng, 500);
		m->down_for_ms = sim_rng_between(&s->rng, 100, 20000);
		break;
	case SIM_F_CRASH_STEP:
		s->count[kind]++;
		sim_crash(s, m->no, sim_rng_between(&s->rng, 100, 20000));
		break;
	case SIM_F_RESTART:
		s->count[kind]++;
		sim_stop(s, m->no);
		sim_at(s, sim_rng_between(&s->rng, 100, 5000), SIM_EV_START, m->no, 0, 0);
		break;
	case SIM_F_SLOW_DISK:
		s->count[kind]++;
		m->disk_slow_until = s->now + sim_rng_between(&s->rng, 5000, 60000);
		break;
	case SIM_F_DISK_FULL: /* counted when somebody writes */
		m->disk_full_until = s->now + sim_rng_between(&s->rng, 2000, 60000);
		m->disk_was_full = false;
		break;
	default:
		break;
	}
}

static enum sim_fault
choose(struct sim *s)
{
	uint64_t sum = 0, at;
	int i;

	for (i = 0; i < SIM_F_COUNT; i++)
		sum += s->o.weight[i];
	at = sim_rng_below(&s->rng, sum);
	for (i = 0; i < SIM_F_COUNT; i++) {
		if (at < s->o.weight[i])
			return (enum sim_fault)i;
		at -= s->o.weight[i];
	}
	return SIM_F_CUT;
}

void
sim_fault_strike(struct sim *s)
{
	enum sim_fault kind = choose(s);

	switch (kind) {
	case SIM_F_CUT:
	case SIM_F_HALF_UP:
	case SIM_F_HALF_DOWN:
	case SIM_F_FLAP:
		strike_line(s, kind);
		break;
	case SIM_F_HUB_DOWN:
		if (!s->m[SIM_HUB].up)
			break;
		s->count[kind]++;
		sim_crash(s, SIM_HUB, sim_rng_between(&s->rng, 20000, 120000));
		break;
	case SIM_F_CLOCK_FORWARD:
	case SIM_F_CLOCK_BACK:
	case SIM_F_CLOCK_1970:
		move_clock(s, some_machine(s), kind);
		break;
	case SIM_F_EXHAUSTED:
		s->count[kind]++;
		s->m[SIM_HUB].exhausted = true;
		end_later(s, sim_rng_between(&s->rng, 1000, 20000), SIM_HUB, kind);
		break;
	default:
		strike_machine(s, some_machine(s), kind);
		break;
	}
}

void
sim_fault_end(struct sim *s, int machine, enum sim_fault kind)
{
	struct sim_machine *m = &s->m[machine];
	size_t i;

	if (kind == SIM_F_EXHAUSTED)
		m->exhausted = false;
	if (kind != SIM_F_FLAP || s->healed || s->now >= m->flap_until)
		return;
	for (i = 0; i < s->nline; i++)
		if (s->line[i]->node == machine && s->line[i]->node_open)
			sim_line_cut(s, s->line[i], true);
	m->blocked_until = s->now + sim_rng_between(&s->rng, 500, 3000);
	end_later(s, 3000, machine, SIM_F_FLAP);
}

/* From here on nothing goes wrong any more. Machines that are off come back at their time, lines that are half open are
 * found out by their silence, clocks stay wrong. */
void
sim_heal(struct sim *s)
{
	size_t k;
	int i;

	s->healed = true;
	s->healed_at = s->now;
	sim_say(s, "the last fault is over");
	for (i = 0; i <= SIM_NODES; i++) {
		struct sim_machine *m = &s->m[i];

		m->crash_in = 0;
		m->disk_full_until = m->disk_slow_until = m->blocked_until = 0;
		m->exhausted = false;
	}
	/* A feed is given up for the session when the hub calls a change-set of it damaged, and of an item that is lost at
	 * the end of a feed nothing is known: on a real line both happen only by breaking the line. */
	for (k = 0; k < s->nline; k++)
		if (s->m[s->line[k]->node].forged_at && s->line[k]->node_open)
			sim_line_cut(s, s->line[k], true);
	while (s->o.late != 0)
		sim_late_join(s);
	for (i = 1; i <= SIM_NODES; i++)
		if (s->m[i].up)
			sim_work_retry(s, i);
}
