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
 *   queue.c          messages that are not published yet; how many are missing
 *   thread-groups.c  count the threads of each process, add up their records (records.c)
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

struct connector {
	struct source source;
	struct hub *hub;
	uint64_t socket_buffer;
	uint32_t self; /* our own pid */

	/* Input */
	int fd;
	struct taskstats_sockets *taskstats; /* NULL: not permitted, or not in this kernel */
	struct netlink_arena *arena;
	struct groups *groups;
	struct proc_helper *helper;
	struct proc_question *late[PROC_QUESTIONS_MAX]; /* answers that no message in the queue waits for */
	unsigned int n_late;
	struct connector_queue queue;
	struct pace pace;

	struct clocks clocks;
	uint64_t published_nsec; /* of the last message that was published */
	uint64_t heard_nsec;	 /* of the latest message that was read */
	uint64_t drained_nsec;	 /* heard_nsec at the time of the last read of records */

	/* Losses and silence */
	struct connector_drops drops;
	uint64_t records_lost, records_since_usec;
	uint64_t expired_nsec; /* when old records were last dropped */
	struct silence silence;
	struct unheard unheard;
	bool answered; /* the kernel has answered a request since the last check */
	bool cure_failed;
	uint64_t cured_nsec; /* when it was last logged */
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

/* publish.c */
/*
 * Begin an event of a process: set its time and its process. Return: the process in the table, to complete the event from,
 * valid until the event is published; NULL: not in the table.
 */
const struct process *connector_begin(const struct connector *connector, struct fb_event *event,
				      enum event_type type, uint64_t nsec, uint32_t pid);
void connector_publish(struct connector *connector, struct fb_event *event);
enum connector_purpose { CONNECTOR_DESCRIBE, CONNECTOR_PARENT, CONNECTOR_ALIVE };
/* Ask /proc. Return: NULL if it cannot be asked now. */
struct proc_question *connector_ask(struct connector *connector, uint32_t pid, field_set fields,
				    enum connector_purpose purpose);
/* All messages but exits. */
void connector_publish_message(struct connector *connector, const struct connector_message *message);
/* An answer to CONNECTOR_DESCRIBE came after its event was published. */
void connector_answer_late(struct connector *connector, struct proc_question *question);

/* exit.c */
extern const struct resync_ops connector_resync_ops;
void connector_publish_exit(struct connector *connector, const struct cn_event *cn);
/* If this fork reuses the pid of a process whose end was missed, publish that end first. */
void connector_end_replaced(struct connector *connector, const struct cn_event *fork);
/* Ask /proc about processes that seem to have ended. */
void connector_check_suspects(struct connector *connector, uint64_t now);
void connector_answer_alive(struct connector *connector, const struct proc_question *question);
void connector_answer_parent(struct connector *connector, const struct proc_question *question);

/* connector.c */
extern const struct pace_ops connector_pace_ops;
/* Subscribe with this socket and wait for the kernel's answer. Return: as cn_socket_insist(). */
int connector_listen(struct connector *connector, int fd, uint64_t wait_usec);
/* Read /proc, then start reporting events. The socket must be subscribed. Return: 0, or a negative errno, logged. */
int connector_run(struct connector *connector);
/* Read and publish everything that is pending. */
void connector_drain(struct connector *connector);
