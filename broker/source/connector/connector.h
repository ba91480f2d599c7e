/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connector source, for its own files:
 *
 *   connector.c        start, stop, describe
 *   read.c   when to wake up; from the sockets into the queue
 *   publish.c   from the queue to the hub: one proc connector message to events
 *   exit.c   the end of threads and processes
 *   sync.c   what keeps the table true: the scan at the start, losses, silence
 *   probe.c  would it work here?
 *
 * A cycle is: read proc connector messages until there are none, then taskstats, then tell what was read in the order of
 * the queue. The order matters: a thread's record is queued before its exit. Reading never waits for telling: an exec
 * whose answer from /proc is on its way holds back what follows in the queue, for a bounded time.
 */

#include "base/clock.h"
#include "source/clocks.h"
#include "source/connector/socket.h"
#include "source/connector/taskstats-socket.h"
#include "source/connector/thread-groups.h"
#include "source/proc/reader.h"
#include "source/source.h"

#define CONNECTOR_QUEUE_MAX 32768 /* a power of 2 */
#define CONNECTOR_CPUS_MAX  8192

/* A message between the socket and the hub. */
struct connector_message {
	struct cn_event cn;
	bool lost;  /* messages of this CPU are missing before it */
	bool asked; /* the question was asked, or could not be */
	uint64_t read_nsec;
	struct proc_question *question;
};

struct connector_queue {
	struct connector_message *messages;
	uint64_t head, tail; /* count up; modulo the size they are places */
};

struct connector_stats {
	uint64_t wakeups, messages, lost_messages, lost_records, resyncs, proc_reads, proc_late, proc_skipped;
	uint64_t unarmed, malformed;
};

struct connector {
	struct source source;
	struct hub *hub;
	struct event_base *base;
	uint64_t coalesce_usec, socket_buffer;
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
	struct connector_cpu {
		bool counting;
		uint32_t next;
		uint64_t last_nsec;
	} * cpus;

	/* When it is read */
	struct event *readable; /* a message, when quiet */
	struct event *answered; /* the helper has something, when quiet */
	struct event *pace;	/* under load */
	struct event *hold;	/* a question is late */
	struct event *tick;	/* slowly, for all that nobody wakes us for */
	bool paced;
	uint64_t window_usec; /* CLOCK_MONOTONIC: since when messages are counted, to tell load */
	unsigned int window_messages;

	struct clocks clocks;
	uint64_t told_nsec;    /* the last message that was told */
	uint64_t heard_nsec;   /* the latest one that was read */
	uint64_t drained_nsec; /* and the latest one that was when records were read last */

	/* What is amiss */
	uint64_t records_lost, records_since_usec;
	uint64_t lost, lost_since_nsec,
		lost_until_nsec; /* messages, of those in the queue; told with the first hole */
	bool resync_wanted;
	bool scanning;	 /* nothing is told until it is done */
	bool scan_stale; /* the scan took too long and is not to be used */
	uint64_t scan_started_nsec, scan_allowed_nsec;
	uint64_t counting_until_nsec; /* what is older may be as old as the scan; 0: no scan */
	uint64_t tick_messages;	      /* stats.messages at the last tick */
	bool tick_suspicious;	      /* and records had come without messages */
	uint64_t quiet_since_nsec, tested_nsec;
	uint32_t thread_test; /* silence was tested by a thread of our own */
	bool cure_failed;
	uint64_t covered_nsec; /* records that arrived before show no silence that is not told already */
	uint64_t expired_nsec; /* when records were last looked through */

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

/* read.c */
void connector_message(const struct nlmsghdr *message, void *userdata); /* a netlink_fn */
/* Read all there is and tell what can be told. Return: number of messages. */
unsigned int connector_cycle(struct connector *connector);
/* Tell what is in the queue; @now: do not wait for any answer. */
void connector_process(struct connector *connector, bool now);
/* The messages that wait: the nth after the one that is being told; NULL: no more. */
const struct connector_message *connector_peek(const struct connector *connector, uint64_t n);
/* Read the records that have arrived. Return: how many. */
unsigned int connector_drain_records(struct connector *connector);
/* Up to now all is told as lost that was: what the records that have arrived say of it is known. */
void connector_cover(struct connector *connector);
int connector_read_start(struct connector *connector);
void connector_read_stop(struct connector *connector);
/* Listen to another socket from now on. */
int connector_read_socket(struct connector *connector);

/* publish.c */
void connector_tell(struct connector *connector, struct connector_message *message);
/* An event of a process: its time, and whose it is. */
void connector_begin(struct connector *connector, struct fb_event *event, enum event_type type, uint64_t nsec,
		     uint32_t pid);
/* Ask /proc; @awaited: a message will take the answer. */
struct proc_question *connector_ask(struct connector *connector, uint32_t pid, field_set fields,
				    unsigned int purpose);
/*
 * What the helper has answered since. To be collected before messages are read, and used after: then all that had changed
 * when the answer was read is known.
 */
void connector_collect(struct connector *connector);
void connector_use_late(struct connector *connector);

enum connector_purpose { CONNECTOR_DESCRIBE, CONNECTOR_PARENT, CONNECTOR_ALIVE };

/* exit.c */
void connector_tell_exit(struct connector *connector, const struct cn_event *cn);
/* A process has ended, of which no more is known than its group, if there is one. */
void connector_tell_gone(struct connector *connector, uint32_t pid, uint64_t nsec);

/* sync.c */
int connector_sync_first(struct connector *connector);
/* Begin a scan if one is wanted and may be. */
void connector_sync_begin(struct connector *connector);
/* Take in the scan, if it is done. */
void connector_sync_end(struct connector *connector);
/* Events are newer than the scan now. */
void connector_sync_close(struct connector *connector);
/* All holes of the messages in the queue at once. */
void connector_tell_lost(struct connector *connector);
void connector_tick(struct connector *connector);

/* probe.c */
bool connector_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX]);
