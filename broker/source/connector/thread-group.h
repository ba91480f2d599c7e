/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A thread group: a process, as far as its threads, their records and their exits are known.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <uthash.h>

#include "event.h"
#include "source/connector/taskstats.h"

/* How good a thread's code is as the status of its process: higher is better. */
enum group_rank {
	GROUP_RANK_NONE,
	GROUP_RANK_STRAY,  /* a thread of the kernel's, or one that an exec ended: killed, but with code 0 */
	GROUP_RANK_THREAD, /* any thread's; the last one counts */
	GROUP_RANK_LAST,   /* reported by the thread that ended the process */
	GROUP_RANK_SIGNAL,
	GROUP_RANK_CORE, /* reported only by the thread that dumped core */
};

/* Not all of its threads were counted. */
#define GROUP_UNCOUNTED UINT64_MAX

struct group {
	uint32_t tgid;
	uint32_t alive;	      /* forks - exits */
	uint64_t fork_nsec;   /* CLOCK_MONOTONIC of its fork; 0: older than the source */
	uint64_t born_nsec;   /* earliest start; older messages belong to a previous process with this tgid */
	uint64_t ending_nsec; /* when it seemed to end, though not all threads had exited; 0: it did not */
	uint64_t check_nsec;  /* when to check that in /proc next */
	bool unseen;	      /* some of its threads may have started and ended unreported */
	bool mismatched;      /* an exit had no record: the sums are too low */
	uint64_t losses;      /* groups->losses when all its threads were counted, or GROUP_UNCOUNTED */
	uint64_t counted_nsec; /* when that was, if a scan did it */
	uint64_t scan;	       /* the number of that scan; 0: none */
	bool mixed;	/* records from before its fork may be those of a process that had its pid before */
	bool last;	/* the thread that ended the process has exited */
	bool missing;	/* the last scan of /proc did not find it */
	bool old_count; /* the last scan did not count its threads */
	uint64_t known_nsec;   /* it certainly had its pid then: at its fork, or when /proc showed it */
	uint64_t changed_nsec; /* of its last message */
	bool has_record;
	enum group_rank rank;
	uint32_t code;
	uint32_t last_code;   /* of the thread that ended last, if any did */
	uint64_t exited_nsec; /* when that was, 0: none has ended */
	uint64_t
		disagreed_nsec; /* when threads last ended with different codes shortly after one another, 0: never */
	uint64_t raced_nsec;  /* as disagreed_nsec, and the earlier code was not 0 */
	uint64_t worker_nsec; /* when a worker of io_uring last ended by itself, 0: never */
	bool worker_certain;  /* it ended because its process did */
	uint64_t codes;	      /* a bit for each code, by its hash */
	struct taskstats_usage usage, all;
	bool has_rss; /* usage.max_rss_kib is that of the running program */
	uint64_t stray_rss_kib;
	bool has_all;	    /* @all: the kernel's sums of all its threads */
	uint32_t ghosts;    /* exits to come of the process that had its pid before */
	bool multithreaded; /* it had more than one thread at some time */
	bool privileged;    /* a thread used a capability */
	bool named;	    /* a thread was named, or may have been, while there were several */
	uint64_t adopted;   /* the number of the last orphan whose new parent it may be */
	bool asked_later;   /* it is in the list of processes to be asked about */
	bool own_ids;	    /* a thread had other ids than the leader */
	uint16_t version;   /* of its records */
	bool has_leader;    /* the following are of the leader's record, else of the last one */
	uint32_t ppid, uid, gid;
	char comm[TASKSTATS_COMM_MAX];
	TAILQ_ENTRY(group) link; /* among those that seem to be ending */
	UT_hash_handle hh;
};

/* Can its threads have different names? A child has the name of the thread that forked it. */
static inline bool group_names_differ(const struct group *group)
{
	return group->multithreaded && group->named;
}

/* How a process ended, as far as is known. */
struct group_end {
	bool has_status;
	bool heard;	 /* all exits were heard, so it is the code of one of them */
	bool in_doubt;	 /* threads ended with different codes at the same time, or their exits are missing */
	bool raced;	 /* and it is as likely that it is: without further proof there is no status */
	uint32_t status; /* as a wait status */
	field_set has;	 /* EVENT_BIT()s of the usage fields that are correct */
	struct taskstats_usage usage;
	bool has_task; /* the following */
	uint32_t ppid, uid, gid;
	const char *comm;
	bool privileged; /* a thread used a capability */
};
