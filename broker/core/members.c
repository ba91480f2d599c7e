// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/members.h"

#define BITS_MIN 6

void members_done(struct members *members)
{
	free(members->slots);
	*members = (struct members){ 0 };
}

static size_t mask_of(const struct members *members)
{
	return ((size_t)1 << members->bits) - 1;
}

static size_t home_of(const struct members *members, uint32_t pid)
{
	return (size_t)((pid * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - members->bits));
}

static void put(struct members *members, struct process_id id)
{
	size_t i = home_of(members, id.pid);

	while (members->slots[i].pid != 0)
		i = (i + 1) & mask_of(members);
	members->slots[i] = id;
	members->n++;
}

size_t members_size(const struct members *members)
{
	return members->slots ? (mask_of(members) + 1) * sizeof(*members->slots) : 0;
}

static int grow(struct members *members)
{
	struct members larger = { .bits = members->slots ? members->bits + 1 : BITS_MIN };

	larger.slots = calloc(mask_of(&larger) + 1, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; members->slots && i <= mask_of(members); i++)
		if (members->slots[i].pid != 0)
			put(&larger, members->slots[i]);
	free(members->slots);
	*members = larger;
	return 0;
}

struct process_id *members_find(const struct members *members, struct process_id id)
{
	if (!members->slots)
		return NULL;
	for (size_t i = home_of(members, id.pid); members->slots[i].pid != 0; i = (i + 1) & mask_of(members))
		if (members->slots[i].pid == id.pid &&
		    (id.start_usec == 0 || members->slots[i].start_usec == 0 ||
		     event_same_start(members->slots[i].start_usec, id.start_usec)))
			return &members->slots[i];
	return NULL;
}

int members_add(struct members *members, struct process_id id)
{
	if (id.pid == 0)
		return 0;
	if ((!members->slots || members->n > mask_of(members) / 2) && grow(members) < 0)
		return -ENOMEM;
	put(members, id);
	return 0;
}

/* Later ones that are not at their home because of it move up. */
static void close_gap(struct members *members, size_t free)
{
	size_t i = free;

	for (;;) {
		i = (i + 1) & mask_of(members);
		if (members->slots[i].pid == 0)
			break;
		if (((i - home_of(members, members->slots[i].pid)) & mask_of(members)) <
		    ((i - free) & mask_of(members)))
			continue;
		members->slots[free] = members->slots[i];
		free = i;
	}
	members->slots[free].pid = 0;
}

void members_remove(struct members *members, struct process_id *member)
{
	close_gap(members, (size_t)(member - members->slots));
	members->n--;
}

void members_replace(struct members *members, struct process_id id)
{
	size_t i;

	if (!members->slots)
		return;
	i = home_of(members, id.pid);
	while (members->slots[i].pid != 0) {
		if (members->slots[i].pid == id.pid &&
		    (id.start_usec == 0 || members->slots[i].start_usec <= id.start_usec))
			members_remove(members, &members->slots[i]);
		else
			i = (i + 1) & mask_of(members);
	}
}
