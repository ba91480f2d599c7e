// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/recent.h"

#include <errno.h>
#include <stdlib.h>

int recent_init(struct recent *recent)
{
	*recent = (struct recent){ .kept = UINT64_MAX, .size = RECENT_SIZE };
	recent->entries = calloc(recent->size, sizeof(*recent->entries));
	return recent->entries ? 0 : -ENOMEM;
}

void recent_done(struct recent *recent)
{
	free(recent->entries);
	recent->entries = NULL;
}

void recent_keep(struct recent *recent, bool keep)
{
	recent->kept = keep ? recent->n : UINT64_MAX;
	recent->dropped = false;
}

static struct recent_entry *entry_at(const struct recent *recent, uint64_t number)
{
	return &recent->entries[(number - 1) % recent->size];
}

static void grow(struct recent *recent)
{
	struct recent bigger = { .size = 2 * recent->size };

	bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
	if (!bigger.entries)
		return;
	for (uint64_t number = recent->n - recent->size + 1; number <= recent->n; number++)
		*entry_at(&bigger, number) = *entry_at(recent, number);
	free(recent->entries);
	recent->entries = bigger.entries;
	recent->size = bigger.size;
}

/* Would the next one overwrite one that must be kept? */
static bool is_full(const struct recent *recent)
{
	return recent->kept != UINT64_MAX && recent->n - recent->kept >= recent->size;
}

void recent_add(struct recent *recent, struct process_id id, uint64_t nsec)
{
	uint64_t *head = &recent->heads[id.pid % RECENT_BUCKETS];

	if (is_full(recent) && recent->size < RECENT_SIZE_MAX)
		grow(recent);
	recent->dropped |= is_full(recent);
	recent->n++;
	*entry_at(recent, recent->n) = (struct recent_entry){ id, nsec, *head };
	*head = recent->n;
}

const struct recent_entry *recent_find(const struct recent *recent, uint32_t pid,
				       const struct recent_entry *after)
{
	uint64_t number = after ? after->previous : recent->heads[pid % RECENT_BUCKETS];
	const struct recent_entry *entry;

	/* Older entries than the ring holds have been overwritten. */
	while (number > 0 && number + recent->size > recent->n) {
		entry = entry_at(recent, number);
		if (entry->id.pid == pid)
			return entry;
		number = entry->previous;
	}
	return NULL;
}
