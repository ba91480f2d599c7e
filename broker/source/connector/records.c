// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/records.h"

#include <errno.h>
#include <stdlib.h>

#include "source/pool.h"

/* More than the queue of messages holds, so records beyond this belong to lost exits. */
#define RECORDS_MAX 65536
#define BUCKETS	    4096

/*
 * ac_etime counts from the creation of the task to that of its record. Each message is sent a moment later. If the parent
 * loses its CPU before it sends the fork, the record shows a longer life than the messages do, by the time that a busy
 * machine takes to schedule the parent again. Such a difference is accepted only if no other record fits better.
 */
#define LIFE_SLACK_NSEC UINT64_C(1000000)
#define LIFE_LOOSE_NSEC UINT64_C(100000000)

/* An exit hardly comes so long after its record, unless much memory has to be freed. */
#define LIFE_EARLY_NSEC UINT64_C(5000000)

TAILQ_HEAD(record_list, taskstats_record);

struct records {
	struct pool pool;
	/* Key: the tgid, or the tid where the record has no tgid. Records in order of arrival. */
	struct record_list buckets[BUCKETS];
};

int records_new(struct records **ret)
{
	struct records *records = malloc(sizeof(*records));

	if (!records)
		return -ENOMEM;
	pool_init(&records->pool, sizeof(struct taskstats_record), RECORDS_MAX);
	for (size_t i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&records->buckets[i]);
	*ret = records;
	return 0;
}

struct records *records_free(struct records *records)
{
	if (!records)
		return NULL;
	pool_done(&records->pool);
	free(records);
	return NULL;
}

size_t records_count(const struct records *records)
{
	return records->pool.used;
}

static struct record_list *records_bucket(struct records *records, uint32_t id)
{
	return &records->buckets[id % BUCKETS];
}

int records_add(struct records *records, const struct taskstats_record *record)
{
	struct taskstats_record *copy = pool_take(&records->pool);
	struct record_list *list = records_bucket(records, record->tgid ? record->tgid : record->tid);

	if (!copy)
		return -ENOMEM;
	*copy = *record;
	TAILQ_INSERT_TAIL(list, copy, link);
	return 0;
}

/* Does the record name this process or thread? */
static bool record_names(const struct taskstats_record *record, const struct cn_event *exit)
{
	return record->tgid ? record->tgid == exit->tgid : record->tid == exit->tid;
}

/* Can the record belong to this exit, of a process forked at that time? Both always have the same exit code. */
static bool record_fits(const struct taskstats_record *record, const struct cn_event *exit,
			uint64_t fork_nsec)
{
	return fork_nsec + record->elapsed_usec * 1000 <= exit->nsec + LIFE_LOOSE_NSEC &&
	       record->code == exit->exit.code;
}

bool record_outlives(const struct taskstats_record *record, const struct cn_event *exit, uint64_t fork_nsec)
{
	return fork_nsec + record->elapsed_usec * 1000 > exit->nsec + LIFE_SLACK_NSEC;
}

/* When its thread was done, by the life of the process. */
static uint64_t record_end(const struct taskstats_record *record, uint64_t fork_nsec)
{
	return fork_nsec + (record->life_usec ? record->life_usec : record->elapsed_usec) * 1000;
}

/* If the pid is used again, a record from long before the exit may be of the next process, which lived for a shorter time. */
static bool record_has_life(const struct taskstats_record *record, const struct cn_event *exit,
			    uint64_t fork_nsec)
{
	if (record_outlives(record, exit, fork_nsec))
		return false;
	return !exit->reused || !fork_nsec || record_end(record, fork_nsec) + LIFE_EARLY_NSEC >= exit->nsec;
}

/* How well does the record fit the exit? Best: same thread, the right lifetime, same CPU. */
static unsigned int record_score(const struct taskstats_record *record, const struct cn_event *exit,
				 uint64_t fork_nsec)
{
	return (record->tid == exit->tid ? 4 : 0) + (record_has_life(record, exit, fork_nsec) ? 2 : 0) +
	       (record->cpu == exit->cpu ? 1 : 0);
}

static uint64_t record_distance(const struct taskstats_record *record, const struct cn_event *exit,
				uint64_t fork_nsec)
{
	uint64_t end = record_end(record, fork_nsec);

	return end > exit->nsec ? end - exit->nsec : exit->nsec - end;
}

/*
 * Does @record fit better than @best, which arrived earlier? If both have the same score and came by one socket, the earlier
 * one does, since a socket keeps the order. Otherwise the one whose lifetime is closer to that between the messages does.
 */
static bool record_better(const struct taskstats_record *record, const struct taskstats_record *best,
			  const struct cn_event *exit, uint64_t fork_nsec)
{
	unsigned int score = record_score(record, exit, fork_nsec), old = record_score(best, exit, fork_nsec);

	if (score != old)
		return score > old;
	return record->cpu != best->cpu && fork_nsec && exit->tid == exit->tgid &&
	       record_distance(record, exit, fork_nsec) < record_distance(best, exit, fork_nsec);
}

static struct taskstats_record *records_match(struct records *records, struct record_list *list,
					      const struct cn_event *exit, uint64_t fork_nsec)
{
	struct taskstats_record *record, *next, *best = NULL;

	for (record = TAILQ_FIRST(list); record; record = next) {
		next = TAILQ_NEXT(record, link);
		if (!record_names(record, exit))
			continue;
		if (record->arrival_nsec < fork_nsec) {
			/* The record of an earlier process with this pid, whose exit was lost. */
			TAILQ_REMOVE(list, record, link);
			pool_give(&records->pool, record);
			continue;
		}
		if (record_fits(record, exit, fork_nsec) &&
		    (!best || record_better(record, best, exit, fork_nsec)))
			best = record;
	}
	return best;
}

static struct taskstats_record *records_find(struct records *records, const struct cn_event *exit,
					     uint64_t fork_nsec)
{
	struct taskstats_record *record;

	record = records_match(records, records_bucket(records, exit->tgid), exit, fork_nsec);
	if (!record && exit->tid != exit->tgid)
		record = records_match(records, records_bucket(records, exit->tid), exit, fork_nsec);
	return record;
}

static void records_drop(struct records *records, struct taskstats_record *record)
{
	TAILQ_REMOVE(records_bucket(records, record->tgid ? record->tgid : record->tid), record, link);
	pool_give(&records->pool, record);
}

int records_take(struct records *records, const struct cn_event *exit, uint64_t fork_nsec,
		 struct taskstats_record *ret)
{
	struct taskstats_record *record = records_find(records, exit, fork_nsec);

	if (!record)
		return RECORD_E_NONE;
	*ret = *record;
	records_drop(records, record);
	return 0;
}

const struct taskstats_record *records_peek(struct records *records, const struct cn_event *exit,
					    uint64_t fork_nsec)
{
	return records_find(records, exit, fork_nsec);
}

/*
 * The process was as old as the record says, or older when its fork was reported. A record that was made later than that is of
 * the next one, as is one that was made after the next one's fork.
 */
static bool record_may_be_older(const struct taskstats_record *record, uint32_t tgid, uint64_t fork_nsec,
				uint64_t next_nsec)
{
	uint64_t life = (record->life_usec + 1) * 1000;

	if ((record->tgid ? record->tgid : record->tid) != tgid || record->arrival_nsec < fork_nsec ||
	    record->after_nsec >= next_nsec)
		return false;
	return !fork_nsec || !record->life_usec || fork_nsec + life >= record->after_nsec;
}

int records_take_older(struct records *records, uint32_t tgid, uint64_t fork_nsec, uint64_t next_nsec,
		       struct taskstats_record *ret)
{
	struct taskstats_record *record;

	TAILQ_FOREACH(record, records_bucket(records, tgid), link)
		if (record_may_be_older(record, tgid, fork_nsec, next_nsec)) {
			*ret = *record;
			records_drop(records, record);
			return 0;
		}
	return RECORD_E_NONE;
}

/* A socket keeps the order. */
size_t records_count_older(struct records *records, uint32_t tgid, uint64_t fork_nsec, uint64_t next_nsec,
			   bool *in_order)
{
	const struct taskstats_record *record, *first = NULL;
	size_t n = 0;

	*in_order = true;
	TAILQ_FOREACH(record, records_bucket(records, tgid), link) {
		if (!record_may_be_older(record, tgid, fork_nsec, next_nsec))
			continue;
		if (!first)
			first = record;
		*in_order &= record->cpu == first->cpu;
		n++;
	}
	return n;
}

bool records_have(struct records *records, uint32_t tgid)
{
	const struct taskstats_record *record;

	TAILQ_FOREACH(record, records_bucket(records, tgid), link)
		if (record->tgid == tgid)
			return true;
	return false;
}

void records_each(const struct records *records, records_fn fn, void *userdata)
{
	const struct taskstats_record *record;

	for (size_t i = 0; i < BUCKETS && records->pool.used > 0; i++)
		TAILQ_FOREACH(record, &records->buckets[i], link)
			fn(record, userdata);
}

void records_expire(struct records *records, uint64_t nsec, records_keep_fn keep, void *userdata)
{
	struct taskstats_record *record, *next;

	for (size_t i = 0; i < BUCKETS && records->pool.used > 0; i++)
		for (record = TAILQ_FIRST(&records->buckets[i]); record; record = next) {
			next = TAILQ_NEXT(record, link);
			if (record->arrival_nsec < nsec && !keep(record, userdata))
				records_drop(records, record);
		}
}
