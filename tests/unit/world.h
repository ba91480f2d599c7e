/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A simulated machine with random processes, the same in each run: they fork, exec, change users, rename themselves, end and
 * leave orphans. It keeps simple data for comparisons in tests.
 */

#include "random-event.h"

#define WORLD_LIVING_MAX 300
#define WORLD_EVER_MAX	 200000

struct world_process {
	uint32_t pid;
	uint64_t start_usec;
	struct world_process *father; /* its first parent; NULL: it existed from the beginning */
	uint32_t ppid;		      /* the current parent: another one after the first has ended */
	uint64_t parent_start_usec;
	uint32_t uid, euid;
	bool lives;
	unsigned int comm, exe, cgroup;
};

struct world {
	struct random random;
	uint64_t now_usec;
	uint32_t next_pid;
	struct world_process *ever; /* all processes, also ended ones */
	size_t n_ever;
	struct world_process *living[WORLD_LIVING_MAX];
	size_t n_living;
	unsigned int users; /* uids are 1000 to 1000 + users - 1, and 0 */
};

void world_init(struct world *world, uint64_t seed, unsigned int users);
void world_done(struct world *world);

/*
 * world_next() - make the next event
 * @event: texts are constants. Return: the process, NULL for a source or lost event.
 */
struct world_process *world_next(struct world *world, struct fb_event *event);

/* An event of a given process, with all known fields. */
void world_event(struct world *world, struct fb_event *event, enum event_type type,
		 const struct world_process *process);
struct world_process *world_fork(struct world *world, struct fb_event *event, struct world_process *father);
void world_exit(struct world *world, struct fb_event *event, struct world_process *process);

/* A random living process. */
struct world_process *world_pick(struct world *world);

/* Is it @root, or does it descend from it? */
bool world_descends(const struct world_process *process, const struct world_process *root);

/* The process with a pid and a start. */
struct world_process *world_find(const struct world *world, uint32_t pid, uint64_t start_usec);
