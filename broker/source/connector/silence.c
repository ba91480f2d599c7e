// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/silence.h"
#include "source/connector/verdict.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

/* Without records: silence is tested after this time without messages. */
#define QUIET_NSEC   (2 * NSEC_PER_SEC)
/*
 * An exit follows its record at once, but the thread that sends it can lose its CPU in between. After this time it is missing,
 * even if the kernel sends events again.
 */
#define OVERDUE_NSEC (1 * NSEC_PER_SEC)

/* The message of a record that has just arrived is probably on its way. */
#define FRESH_NSEC (1 * NSEC_PER_MSEC)

struct finding {
	const struct silence *silence;
	const struct groups *groups;
	uint64_t now;
	struct unheard *unheard;
};

/*
 * Freeing the memory of a large process delays its message: it still exists then. One that waits for its parent is still found by
 * its pid, too, but it has sent its message.
 */
static bool has_ended(uint32_t tgid, uint32_t tid)
{
	if (syscall(SYS_tgkill, tgid, tid, 0) < 0 && errno == ESRCH)
		return true;
	return tgid == tid && verdict_is_zombie(tgid);
}

/* The arrival of a record may be noticed late, but its process lived for as long as the record says. */
static uint64_t time_of_end(const struct taskstats_record *record, const struct group *group)
{
	uint64_t life = record->elapsed_usec * NSEC_PER_USEC;

	if (!group || !group->fork_nsec || record->tid != record->tgid ||
	    group->fork_nsec + life > record->arrival_nsec)
		return record->arrival_nsec;
	return group->fork_nsec + life;
}

static void keep_earliest(uint64_t *earliest, uint64_t nsec)
{
	if (!*earliest || nsec < *earliest)
		*earliest = nsec;
}

static void find_end(const struct taskstats_record *record, void *userdata)
{
	struct finding *finding = userdata;
	struct unheard *unheard = finding->unheard;
	uint32_t tgid = record->tgid ? record->tgid : record->tid;
	struct unheard_end *end;

	unheard->waits = true;
	if (record->arrival_nsec + FRESH_NSEC > finding->now || unheard->n == SILENCE_ENDS_MAX ||
	    !has_ended(tgid, record->tid))
		return;
	end = &unheard->ends[unheard->n++];
	*end = (struct unheard_end){
		.arrival_nsec = record->arrival_nsec,
		.exit = { .what = PROC_EVENT_EXIT,
			  .nsec = time_of_end(record, groups_find(finding->groups, tgid)),
			  .cpu = record->cpu,
			  .tid = record->tid,
			  .tgid = tgid,
			  .exit = { .code = record->code,
				    .parent_tid = record->ppid,
				    .parent_tgid = record->ppid } },
	};
	end->exit.unheard = true;
	end->exit.late = record->arrival_nsec <= finding->silence->crowded_nsec;
	if (record->arrival_nsec <= finding->silence->covered_nsec)
		return;
	keep_earliest(&unheard->since_nsec, record->heard_nsec);
	if (unheard_is_overdue(end, finding->now))
		keep_earliest(&unheard->past_nsec, record->heard_nsec);
}

void silence_find(const struct silence *silence, const struct groups *groups, uint64_t now,
		  struct unheard *unheard)
{
	struct finding finding = { silence, groups, now, unheard };

	unheard->waits = false;
	unheard->since_nsec = unheard->past_nsec = 0;
	unheard->n = 0;
	groups_each_record(groups, find_end, &finding);
}

bool unheard_is_overdue(const struct unheard_end *end, uint64_t now)
{
	return end->arrival_nsec + OVERDUE_NSEC < now;
}

bool silence_is_due(struct silence *silence, uint64_t now, uint64_t messages)
{
	if (messages != silence->messages) {
		silence->messages = messages;
		silence->quiet_since_nsec = now;
		return false;
	}
	if (now <= silence->quiet_since_nsec + QUIET_NSEC)
		return false;
	silence->quiet_since_nsec = now;
	return true;
}

void silence_provoke(void)
{
	char name[16];

	if (prctl(PR_GET_NAME, name) == 0)
		(void)prctl(PR_SET_NAME, name);
}

void silence_init(struct silence *silence, uint64_t now)
{
	*silence = (struct silence){ .quiet_since_nsec = now };
}

void silence_cover(struct silence *silence, uint64_t now)
{
	silence->covered_nsec = now;
}

void silence_crowd(struct silence *silence, uint64_t now)
{
	silence_cover(silence, now);
	silence->crowded_nsec = now;
}
