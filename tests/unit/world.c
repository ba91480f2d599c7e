// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static const char *const comms[] = { "sh", "make", "cc1", "ld", "caf\xc3\xa9", "bad\xff", "a\"b\nc", "" };
static const char *const exes[] = { "/usr/bin/dash", "/usr/bin/make", "/usr/lib/gcc/cc1",
				    "/tmp/x (deleted)" };
static const char *const cgroups[] = { "/system.slice/cron.service",
				       "/user.slice/user-1000.slice/session-1.scope", "/" };

#define N(_array) (sizeof(_array) / sizeof((_array)[0]))

static struct world_process *add(struct world *world, struct world_process *father)
{
	struct world_process *process = &world->ever[world->n_ever++];

	if (world->n_ever > WORLD_EVER_MAX)
		abort();
	/* Pids are reused soon. */
	do
		world->next_pid = world->next_pid % 1000 + 1;
	while (world_find(world, world->next_pid, 0));
	*process = (struct world_process){
		.pid = world->next_pid, .start_usec = world->now_usec, .father = father, .lives = true
	};
	if (father) {
		process->ppid = father->pid;
		process->parent_start_usec = father->start_usec;
		process->uid = father->uid;
		process->euid = father->euid;
		process->comm = father->comm;
		process->exe = father->exe;
		process->cgroup = father->cgroup;
	}
	world->living[world->n_living++] = process;
	return process;
}

void world_init(struct world *world, uint64_t seed, unsigned int users)
{
	*world = (struct world){ .random = { seed }, .now_usec = 1000000, .users = users };
	world->ever = calloc(WORLD_EVER_MAX, sizeof(*world->ever));
	if (!world->ever)
		abort();
}

void world_done(struct world *world)
{
	free(world->ever);
}

/* Without a start: the living process. */
struct world_process *world_find(const struct world *world, uint32_t pid, uint64_t start_usec)
{
	if (start_usec == 0) {
		for (size_t i = 0; i < world->n_living; i++)
			if (world->living[i]->pid == pid)
				return world->living[i];
		return NULL;
	}
	for (size_t i = world->n_ever; i > 0; i--)
		if (world->ever[i - 1].pid == pid && world->ever[i - 1].start_usec == start_usec)
			return &world->ever[i - 1];
	return NULL;
}

struct world_process *world_pick(struct world *world)
{
	return world->living[random_below(&world->random, world->n_living)];
}

bool world_descends(const struct world_process *process, const struct world_process *root)
{
	while (process && process != root)
		process = process->father;
	return process;
}

void world_event(struct world *world, struct fb_event *event, enum event_type type,
		 const struct world_process *process)
{
	fb_event_init(event, type);
	EVENT_SET(event, time_usec, UINT64_C(1700000000000000) + world->now_usec);
	EVENT_SET(event, boot_usec, world->now_usec);
	EVENT_SET(event, pid, process->pid);
	EVENT_SET(event, start_usec, process->start_usec);
	if (process->ppid) {
		EVENT_SET(event, ppid, process->ppid);
		EVENT_SET(event, parent_start_usec, process->parent_start_usec);
	}
	EVENT_SET(event, uid, process->uid);
	EVENT_SET(event, euid, process->euid);
	EVENT_SET(event, comm, event_text(comms[process->comm]));
	EVENT_SET(event, exe, event_text(exes[process->exe]));
	EVENT_SET(event, cgroup, event_text(cgroups[process->cgroup]));
}

struct world_process *world_fork(struct world *world, struct fb_event *event, struct world_process *father)
{
	struct world_process *process;

	world->now_usec += 20000;
	process = add(world, father);
	if (!father)
		process->uid = process->euid =
			random_below(&world->random, world->users + 1)
				? 1000 + (uint32_t)random_below(&world->random, world->users)
				: 0;
	world_event(world, event, EVENT_FORK, process);
	return process;
}

/* Orphaned children become children of the eldest process, without an event. */
void world_exit(struct world *world, struct fb_event *event, struct world_process *process)
{
	world_event(world, event, EVENT_EXIT, process);
	if (random_below(&world->random, 3)) {
		EVENT_SET(event, code, (uint32_t)random_below(&world->random, 2));
	} else {
		EVENT_SET(event, signal, 11);
		EVENT_SET(event, core_dumped, random_below(&world->random, 2));
	}
	EVENT_SET(event, elapsed_usec, world->now_usec - process->start_usec);
	EVENT_SET(event, read_bytes, random_integer(&world->random, INT64_MAX));
	process->lives = false;
	for (size_t i = 0; i < world->n_living; i++)
		if (world->living[i] == process) {
			/* Keeps the order of the others: the eldest is the first. */
			for (; i + 1 < world->n_living; i++)
				world->living[i] = world->living[i + 1];
			world->n_living--;
		}
	for (size_t i = 0; i < world->n_living; i++)
		if (world->living[i]->ppid == process->pid) {
			world->living[i]->ppid = world->living[0]->pid;
			world->living[i]->parent_start_usec = world->living[0]->start_usec;
		}
}

static void change_user(struct world *world, struct fb_event *event, struct world_process *process)
{
	uint32_t uid = process->uid, euid = process->euid;
	uint32_t other = random_below(&world->random, 4)
				 ? 1000 + (uint32_t)random_below(&world->random, world->users)
				 : 0;

	/* As a setuid program, or permanently. */
	process->euid = other;
	if (random_below(&world->random, 2))
		process->uid = other;
	world_event(world, event, EVENT_ID, process);
	EVENT_SET(event, old_uid, uid);
	EVENT_SET(event, old_euid, euid);
}

struct world_process *world_next(struct world *world, struct fb_event *event)
{
	uint64_t chance = random_below(&world->random, 100);
	struct world_process *process;

	world->now_usec += random_below(&world->random, 1000);
	if (world->n_living < 20)
		return world_fork(world, event, world->n_living < 2 ? NULL : world_pick(world));
	if (chance < 33 && world->n_living < WORLD_LIVING_MAX - 1)
		return world_fork(world, event, world_pick(world));
	process = world_pick(world);
	if (chance < 66 && process != world->living[0]) {
		world_exit(world, event, process);
	} else if (chance < 80) {
		process->comm = (unsigned int)random_below(&world->random, N(comms));
		process->exe = (unsigned int)random_below(&world->random, N(exes));
		world_event(world, event, EVENT_EXEC, process);
	} else if (chance < 88) {
		change_user(world, event, process);
	} else if (chance < 94) {
		process->comm = (unsigned int)random_below(&world->random, N(comms));
		world_event(world, event, EVENT_COMM, process);
	} else if (chance < 97) {
		/* A thread, which is not a process. */
		world_event(world, event, random_below(&world->random, 2) ? EVENT_FORK : EVENT_EXIT, process);
		EVENT_SET(event, tid, 100000 + (uint32_t)random_below(&world->random, 10000));
	} else if (chance < 99) {
		process->cgroup = (unsigned int)random_below(&world->random, N(cgroups));
		world_event(world, event, EVENT_SESSION, process);
		EVENT_SET(event, session, process->pid);
	} else {
		fb_event_init(event, random_below(&world->random, 2) ? EVENT_LOST : EVENT_SOURCE);
		EVENT_SET(event, time_usec, UINT64_C(1700000000000000) + world->now_usec);
		EVENT_SET(event, reason, event_text("netlink"));
		return NULL;
	}
	return process;
}
