/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connector source, for its own files:
 *
 *   source.c         probe, start, describe, stop
 *   connector.c      the cycle
 *   pace.c           when to run it
 *   silence.c        does the kernel still send events?
 *   exit.c           the end of threads and processes, reported or found by a scan
 *   publish.c        from any other message to the hub
 *   queue.c          messages that were read and not published yet; how many are missing
 *   thread-groups.c  threads counted to processes, their records (records.c) added up
 *   proc-event.c     messages of the proc connector, and its socket
 *   taskstats.c      records, and their sockets
 *
 * Calls go down this list. connector.c alone knows the order of things; the others return what they found.
 *
 * A cycle is: read proc connector messages until there are none, then taskstats, then publish these messages in the order
 * of the queue. Reading never waits for publishing: an exec that waits for its answer from /proc holds back the rest of the
 * queue, but only for a bounded time.
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

	/* What is read */
	int fd;
	struct taskstats_sockets *taskstats; /* NULL: not allowed, or not there */
	struct netlink_arena *arena;
	struct groups *groups;
	struct proc_helper *helper;
	struct proc_question *late[PROC_QUESTIONS_MAX]; /* collected, and awaited by no message */
	unsigned int n_late;
	struct connector_queue queue;
	struct pace pace;

	struct clocks clocks;
	uint64_t published_nsec; /* of the last message that was published */
	uint64_t heard_nsec;	 /* of the latest message that was read */
	uint64_t drained_nsec;	 /* heard_nsec at the time of the last read of records */

	/* Losses and silence */
	uint64_t records_lost, records_since_usec;
	uint64_t expired_nsec; /* when old records were last dropped */
	struct silence silence;
	bool cure_failed;
	struct resync *resync;

	struct connector_stats stats;
};

/* The times of messages are of CLOCK_MONOTONIC. */
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
 * An event of a process: its time, and which one it is. Return: what the table knows of it, to complete the event by; valid
 * until it is published. NULL: nothing.
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
/* To CONNECTOR_DESCRIBE; the event was published without it. */
void connector_answer_late(struct connector *connector, struct proc_question *question);

/* exit.c */
extern const struct resync_ops connector_resync_ops;
void connector_publish_exit(struct connector *connector, const struct cn_event *cn);
/* A process has the pid of one whose end was missed. */
void connector_end_replaced(struct connector *connector, const struct cn_event *fork);
/* Ask for groups that ought to have ended. */
void connector_check_suspects(struct connector *connector, uint64_t now);
void connector_answer_alive(struct connector *connector, const struct proc_question *question);
void connector_answer_parent(struct connector *connector, const struct proc_question *question);

/* connector.c */
extern const struct pace_ops connector_pace_ops;
/* Subscribe by this socket, until the kernel answers. Return: as cn_socket_insist(). */
int connector_listen(struct connector *connector, int fd, uint64_t wait_usec);
/* Read /proc, then report events from now on; the socket listens already. Return: 0 or a negative errno, after logging it. */
int connector_run(struct connector *connector);
/* Read and publish all there is. */
void connector_drain(struct connector *connector);
