// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/thread-count.h"

#include <errno.h>

#define HASH_NONFATAL_OOM	    1
#define uthash_nonfatal_oom(_entry) (oom = true)
#include <uthash.h>

#define THREADS_MAX (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */

/* A thread whose exit was reported is no longer in /proc after this time. */
#define EXITED_NSEC UINT64_C(1000000000)

struct counted_id {
	uint32_t tgid, tid;
};

struct counted {
	struct counted_id id;
	UT_hash_handle hh;
};

int thread_count_init(struct thread_count *count)
{
	*count = (struct thread_count){};
	pool_init(&count->pool, sizeof(struct counted), THREADS_MAX);
	return recent_init(&count->exited);
}

void thread_count_done(struct thread_count *count)
{
	thread_count_end(count);
	recent_done(&count->exited);
}

void thread_count_begin(struct thread_count *count, uint64_t begin_nsec, uint64_t end_nsec)
{
	thread_count_end(count);
	count->active = true;
	count->number++;
	count->begin_nsec = begin_nsec;
	count->end_nsec = end_nsec;
}

void thread_count_end(struct thread_count *count)
{
	HASH_CLEAR(hh, count->threads);
	pool_done(&count->pool);
	count->active = false;
}

static struct counted *counted_find(const struct thread_count *count, uint32_t tgid, uint32_t tid)
{
	const struct counted_id id = { tgid, tid };
	struct counted *counted;

	HASH_FIND(hh, count->threads, &id, sizeof(id), counted);
	return counted;
}

bool thread_count_has(const struct thread_count *count, uint32_t tgid, uint32_t tid, uint64_t fork_nsec)
{
	return count->active && fork_nsec <= count->end_nsec && counted_find(count, tgid, tid);
}

int thread_count_add(struct thread_count *count, uint32_t tgid, uint32_t tid)
{
	struct counted *counted = counted_find(count, tgid, tid);
	bool oom = false;

	if (counted)
		return 0;
	counted = pool_take(&count->pool);
	if (!counted)
		return -ENOMEM;
	counted->id = (struct counted_id){ tgid, tid };
	HASH_ADD(hh, count->threads, id, sizeof(counted->id), counted);
	if (!oom)
		return 0;
	pool_give(&count->pool, counted);
	return -ENOMEM;
}

bool thread_count_drop(struct thread_count *count, uint32_t tgid, uint32_t tid)
{
	struct counted *counted = counted_find(count, tgid, tid);

	if (!counted)
		return false;
	HASH_DEL(count->threads, counted);
	pool_give(&count->pool, counted);
	return true;
}

void thread_count_note_exit(struct thread_count *count, uint32_t tgid, uint32_t tid, uint64_t nsec)
{
	count->latest_nsec = nsec;
	if (tid != tgid)
		recent_add(&count->exited, (struct process_id){ tid, tgid }, nsec);
}

void thread_count_note_fork(struct thread_count *count, uint32_t tgid, uint32_t tid)
{
	if (recent_find(&count->exited, tid, NULL))
		recent_add(&count->exited, (struct process_id){ tid, tgid }, 0);
}

bool thread_count_exited(const struct thread_count *count, uint32_t tgid, uint32_t tid)
{
	const struct recent_entry *exit = recent_find(&count->exited, tid, NULL);

	return exit && exit->id.start_usec == tgid && exit->nsec + EXITED_NSEC >= count->latest_nsec;
}
