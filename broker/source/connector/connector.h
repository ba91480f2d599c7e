/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connector source, for its own files:
 *
 *   source.c         probe, start, describe, stop
 *   connector.c      the cycle
 *   pace.c           when to run it
 *   silence.c        does the kernel still send events?
 *   exit.c           publish the end of threads and processes, by a message or a scan
 *   publish.c        publish all other messages
 *   receive.c        messages go into the queue, records to their thread groups, and questions to the helper
 *   answers.c        what /proc says: to which program and process it belongs, and what is asked later
 *   heritage.c       what a new process has from the one that made it
 *   tty.c            does a process still have its terminal?
 *   queue.c          messages that are not published yet; how many are missing
 *   verdict.c        ask the kernel how a process ended
 *   thread-groups.c  count the threads of each process, add up their records (records.c)
 *   thread-end.c     what is certain about the end of a process
 *   thread-record.c  which records are those of a process
 *   thread-code.c    which thread's code is the status of the process, and the sums of their records
 *   thread-count.c   which threads a scan has counted
 *   proc-event.c     messages of the proc connector, and its socket
 *   taskstats.c      records, and their sockets
 *
 * A file calls only files below it in this list. connector.c alone decides the order of steps; the others return results.
 *
 * A cycle: read all proc connector messages, then all taskstats records, then publish the messages in the order of the
 * queue. Reading never waits for publishing. An exec that waits for its answer from /proc holds back the rest of the queue,
 * but only for a bounded time.
 */

#include "base/clock.h"
#include "source/connector/heritage.h"
#include "source/connector/pace.h"
#include "source/connector/queue.h"
#include "source/connector/silence.h"
#include "source/connector/taskstats.h"
#include "source/connector/thread-groups.h"
#include "source/proc/reader.h"
#include "source/resync.h"
#include "source/source.h"

struct connector_stats {
	uint64_t messages, lost_messages, lost_records, resyncs, proc_reads, proc_late, proc_skipped;
	uint64_t unarmed, malformed;
};

/* Processes to be asked about when there is time. */
#define LATER_MAX 8192

struct connector_later {
	struct connector_later_entry {
		struct process_id id;
		uint64_t due_nsec;
	} entries[LATER_MAX]; /* a ring */
	unsigned int first, n;
	uint64_t taken; /* how many were taken from it */
};

struct connector {
	struct source source;
	struct hub *hub;
	uint64_t socket_buffer;

	/* Input */
	int fd;
	struct taskstats_sockets *taskstats; /* NULL: not permitted, or not in this kernel */
	struct netlink_arena *arena;
	struct groups *groups;
	struct proc_helper *helper;
	struct proc_question *late[PROC_QUESTIONS_MAX]; /* answers that no message in the queue waits for */
	unsigned int n_late;
	struct proc_question *early[PROC_QUESTIONS_MAX]; /* answers from before the program ran */
	unsigned int n_early;
	struct connector_later newborn; /* that only forked yet: for the fields that a fork does not have */
	struct connector_later orphans; /* for their new parents */
	uint64_t adopted;		/* how many orphans' new parents are known, in this order */
	struct netlink_drain drain;	/* of the last read */
	struct connector_queue queue;
	struct pace pace;

	struct clocks clocks;
	uint64_t published_nsec; /* of the last message that was published */
	uint64_t idle_nsec;	 /* all messages up to then are published: the queue was empty */
	uint64_t scanned_nsec;	 /* the end of the last scan: the table may have what older messages say */
	uint64_t noted_nsec;	 /* when a loss was last noted: older forks may be missing */
	uint64_t heard_nsec;	 /* of the latest message that was read */
	uint64_t drained_nsec;	 /* heard_nsec at the time of the last read of records */
	uint64_t after_nsec;	 /* records that are read from now on were made after this time */

	/* Losses and silence */
	struct connector_drops drops;
	uint64_t records_lost, records_since_usec; /* not reported yet */
	/* When the last read began, by CLOCK_REALTIME and CLOCK_MONOTONIC: what was lost before was noticed in it. */
	uint64_t records_read_usec, records_read_nsec;
	uint64_t expired_nsec; /* when old records were last dropped */
	struct silence silence;
	struct unheard unheard;
	bool answered;	      /* the kernel has answered a request since the last check */
	uint64_t answer_nsec; /* the time of its last answer */
	bool cure_failed;
	uint64_t cured_nsec;	     /* when it was last logged */
	uint64_t unarmed_nsec;	     /* when it was last reported */
	uint64_t unarmed_since_nsec; /* of a silence that is not reported yet; 0: none */
	const char *unarmed_detail;
	struct resync *resync;

	struct connector_stats stats;
};

/* Messages have times of CLOCK_MONOTONIC; these convert them. */
static inline uint64_t connector_boot_usec(const struct connector *connector, uint64_t nsec)
{
	return clocks_boot_nsec(&connector->clocks, nsec) / NSEC_PER_USEC;
}

static inline uint64_t connector_time_usec(const struct connector *connector, uint64_t nsec)
{
	return clocks_real_usec(&connector->clocks, clocks_boot_nsec(&connector->clocks, nsec));
}

/* Fields of the running program. Only an exec reports them. */
#define FIELDS_IMAGE (EVENT_BIT(comm) | EVENT_BIT(exe))
/* Where it runs: a process is moved to another cgroup without a message. */
#define FIELDS_PLACE (EVENT_BIT(cgroup) | EVENT_BIT(unit))

/* answers.c */
enum connector_purpose { CONNECTOR_DESCRIBE, CONNECTOR_PARENT, CONNECTOR_ALIVE };
/* Ask /proc. Return: NULL if it cannot be asked now. */
struct proc_question *connector_ask(struct connector *connector, uint32_t pid, field_set fields,
				    enum connector_purpose purpose);
/*
 * Is the answer about this process? Drops what changed before it was read, and the program if it can be another one than
 * that of the message. @cn: the message for which it was asked, the first in the queue; NULL: it was published before.
 */
bool connector_answer_fits(struct connector *connector, struct proc_question *question, uint64_t start_usec,
			   const struct cn_event *cn);
/* An answer to CONNECTOR_DESCRIBE came after its event was published. */
void connector_answer_late(struct connector *connector, struct proc_question *question);
void connector_answer_parent(struct connector *connector, const struct proc_question *question);

/* The end of a process that is in the queue. */
struct connector_end {
	const struct taskstats_record *record; /* NULL: there is none */
	field_set changed;		       /* by messages until then */
};

/* Find the end of the process of a message, which is the first one in the queue. Return: false if it is not there yet. */
bool connector_find_end(struct connector *connector, const struct cn_event *since, struct connector_end *end);

/* Ask when there is time: CONNECTOR_PARENT soon, CONNECTOR_DESCRIBE if the process still lives after a while. */
void connector_ask_later(struct connector *connector, struct process_id id, uint64_t now,
			 enum connector_purpose purpose);
void connector_ask_due(struct connector *connector, uint64_t now);
/* A process ends: ask for the new parents of its children. */
void connector_ask_orphans(struct connector *connector, const struct process *process);
/* Fields that a child of this parent has for certain, see heritage.h, although orphans may have become its children. */
field_set connector_certain(const struct connector *connector, const struct process *parent);

/* Its name changes without a message. */
static inline bool connector_is_kernel_thread(const struct process *process)
{
	return (process->has & EVENT_BIT(ppid)) && process->ppid == HERITAGE_KTHREADD &&
	       !(process->has & EVENT_BIT(exe));
}

/* publish.c */
/*
 * Begin an event of a process: set its time and its process. Return: the process in the table, to complete the event from,
 * valid until the event is published; NULL: not in the table, or not certain after a loss.
 */
const struct process *connector_begin(const struct connector *connector, struct fb_event *event,
				      enum event_type type, uint64_t nsec, uint32_t pid);
/* connector_begin_known() - the same although, after a loss, it is not certain that a message of this pid is about it */
const struct process *connector_begin_known(const struct connector *connector, struct fb_event *event,
					    enum event_type type, uint64_t nsec, uint32_t pid);
/* As subject_describe(), without what may have changed since it was read. */
void connector_describe(const struct connector *connector, const struct process *process,
			struct fb_event *event, field_set fields);
void connector_publish(struct connector *connector, struct fb_event *event);
/* All messages but exits. */
void connector_publish_message(struct connector *connector, const struct connector_message *message);

/* exit.c */
extern const struct resync_ops connector_resync_ops;
void connector_publish_exit(struct connector *connector, const struct cn_event *cn);
/* If this fork reuses the pid of a process whose end was missed, publish that end first. */
void connector_end_replaced(struct connector *connector, const struct cn_event *fork);
/* Ask /proc about processes that seem to have ended. */
void connector_check_suspects(struct connector *connector, uint64_t now);
void connector_answer_alive(struct connector *connector, const struct proc_question *question);

/* receive.c */
/* If the socket has overflowed, messages that it did not hold then come after a loss. */
void connector_take_overrun(struct connector *connector);
/* A message has arrived; @userdata: the connector. */
void connector_take_message(const struct nlmsghdr *header, void *userdata);
/* Read all records that are pending. Return: their number. */
unsigned int connector_take_records(struct connector *connector);

/* connector.c */
extern const struct pace_ops connector_pace_ops;
/* Subscribe with this socket and wait for the kernel's answer. Return: as cn_socket_insist(). */
int connector_listen(struct connector *connector, int fd, uint64_t wait_usec);
/* Read /proc, then start reporting events. The socket must be subscribed. Return: 0, or a negative errno, logged. */
int connector_run(struct connector *connector);
/* Read and publish everything that is pending. */
void connector_drain(struct connector *connector);
