// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "source/proc/procfs.h"

#define SNAPSHOT_STEP (256 * 1024)

/* Before the packed event and the thread ids, each padded to 4 bytes. */
struct entry_header {
	uint32_t packed;
	uint32_t n_tids;
};

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

static int snapshot_reserve(struct proc_snapshot *snapshot, size_t size)
{
	size_t max = snapshot->max;
	unsigned char *data;

	if (snapshot->size + size <= max)
		return 0;
	max += max / 2 + size + SNAPSHOT_STEP;
	data = realloc(snapshot->data, max);
	if (!data)
		return -ENOMEM;
	snapshot->data = data;
	snapshot->max = max;
	return 0;
}

static int snapshot_add(const struct fb_event *event, const uint32_t *tids, size_t n_tids, void *userdata)
{
	struct proc_snapshot *snapshot = userdata;
	struct entry_header header = { .n_tids = (uint32_t)n_tids };
	int r = snapshot_reserve(snapshot,
				 sizeof(header) + padded(EVENT_PACKED_MAX) + n_tids * sizeof(*tids));
	unsigned char *at;

	if (r < 0)
		return r;
	at = snapshot->data + snapshot->size;
	header.packed = (uint32_t)fb_event_pack(event, at + sizeof(header));
	memcpy(at, &header, sizeof(header));
	at += sizeof(header) + padded(header.packed);
	memcpy(at, tids, n_tids * sizeof(*tids));
	snapshot->size = (size_t)(at - snapshot->data) + n_tids * sizeof(*tids);
	snapshot->n++;
	return 0;
}

int proc_snapshot_take(struct proc_snapshot *snapshot, int proc)
{
	int r;

	snapshot->size = snapshot->n = 0;
	snapshot->begin_nsec = monotonic_nsec();
	r = procfs_scan(proc, snapshot_add, snapshot, &snapshot->skipped);
	snapshot->end_nsec = monotonic_nsec();
	return r;
}

void proc_snapshot_done(struct proc_snapshot *snapshot)
{
	free(snapshot->data);
	*snapshot = (struct proc_snapshot){};
}

bool proc_snapshot_next(const struct proc_snapshot *snapshot, size_t *at, struct proc_entry *entry)
{
	struct entry_header header;

	if (*at >= snapshot->size)
		return false;
	memcpy(&header, snapshot->data + *at, sizeof(header));
	*at += sizeof(header);
	if (fb_event_unpack(&entry->event, snapshot->data + *at, header.packed) < 0)
		return false;
	*at += padded(header.packed);
	entry->tids = (const uint32_t *)(const void *)(snapshot->data + *at);
	entry->n_tids = header.n_tids;
	*at += header.n_tids * sizeof(*entry->tids);
	return true;
}
