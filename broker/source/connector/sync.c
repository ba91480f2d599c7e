// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "source/connector/connector.h"
#include "source/lookups.h"

/* Messages that were under way while /proc was read are older than this after its end. */
#define COUNTING_NSEC	(200 * NSEC_PER_MSEC)
/* A storm of losses does not make us read /proc all the time. */
#define SCAN_PAUSE_NSEC (1 * NSEC_PER_SEC)
#define SCAN_SHARE	20
/* Telling waits for a scan no longer than this. */
#define SCAN_WAIT_NSEC	(2 * NSEC_PER_SEC)
/* A record whose exit has not come by then never will, unless its process lives; looked at so often. */
#define RECORD_AGE_NSEC (10 * NSEC_PER_SEC)
/* Without records silence is tested after this, and believed after that. */
#define QUIET_NSEC	(2 * NSEC_PER_SEC)
#define DEAF_NSEC	(1 * NSEC_PER_SEC)
/* An exit follows its record at once. */
#define UNHEARD_NSEC	(2 * NSEC_PER_SEC)

#define SUSPECTS_MAX 16
#define LISTEN_USEC  (100 * USEC_PER_MSEC)

/* The scan */

/* A process that is not in /proc any more. If its exit is still to be told, it has a group, which waits for that. */
static void tell_forgotten(struct connector *connector, uint64_t nsec)
{
	const struct table *table = hub_table(connector->hub);
	const struct process *process;
	size_t slot = 0;

	while ((process = table_walk(table, &slot)))
		if (!groups_find(connector->groups, process->pid))
			connector_tell_gone(connector, process->pid, nsec);
}

struct taking {
	struct connector *connector;
	uint64_t nsec;
};

static void on_reused(void *userdata, uint32_t pid)
{
	const struct taking *taking = userdata;

	connector_tell_gone(taking->connector, pid, taking->nsec);
}

static void take_entry(struct connector *connector, struct proc_entry *entry, uint64_t nsec)
{
	struct taking taking = { connector, nsec };
	uint64_t born = entry->event.start_usec * NSEC_PER_USEC;

	lookup_take_entry(connector->hub, entry, on_reused, &taking);
	groups_adopt(connector->groups, entry->event.pid, 0, clocks_monotonic_nsec(&connector->clocks, born));
	for (size_t i = 0; i < entry->n_tids; i++)
		(void)groups_count_thread(connector->groups, entry->event.pid, entry->tids[i]);
}

static void take_snapshot(struct connector *connector, const struct proc_snapshot *snapshot)
{
	struct proc_entry entry;
	struct group *group;
	size_t at = 0;

	groups_count_begin(connector->groups);
	for (group = groups_first(connector->groups); group; group = group_next(group))
		group->missing = true;
	while (proc_snapshot_next(snapshot, &at, &entry))
		take_entry(connector, &entry, snapshot->end_nsec);
	lookup_take_parents(connector->hub, snapshot);
	tell_forgotten(connector, snapshot->end_nsec);
	connector->counting_until_nsec = snapshot->end_nsec + COUNTING_NSEC;
	hub_flush(connector->hub);
}

int connector_sync_first(struct connector *connector)
{
	struct proc_snapshot snapshot = {};
	int proc = procfs_open(), r;

	if (proc < 0)
		return proc;
	r = proc_snapshot_take(&snapshot, proc);
	if (r == 0)
		take_snapshot(connector, &snapshot);
	proc_snapshot_done(&snapshot);
	close(proc);
	return r;
}

void connector_sync_begin(struct connector *connector)
{
	uint64_t now = monotonic_nsec();

	if (connector->scanning || now < connector->scan_allowed_nsec ||
	    proc_helper_scan(connector->helper) < 0)
		return;
	connector->resync_wanted = false;
	connector->scanning = true;
	connector->scan_started_nsec = now;
}

void connector_sync_end(struct connector *connector)
{
	const struct proc_snapshot *snapshot;
	uint64_t now = monotonic_nsec();
	int result;

	if (connector->scanning && now > connector->scan_started_nsec + SCAN_WAIT_NSEC) {
		/* What it brings will be about a time that was told already. */
		connector->scanning = false;
		connector->scan_stale = true;
		connector->resync_wanted = true;
	}
	snapshot = proc_helper_scanned(connector->helper, &result);
	if (!snapshot)
		return;
	connector->scan_allowed_nsec =
		now + SCAN_PAUSE_NSEC + SCAN_SHARE * (now - connector->scan_started_nsec);
	connector->scanning = false;
	if (connector->scan_stale || result < 0) {
		connector->scan_stale = false;
		connector->resync_wanted = true;
		return;
	}
	connector->stats.resyncs++;
	take_snapshot(connector, snapshot);
}

/* No message of before the scan can come any more: who it did not find has ended, and nobody told with what. */
void connector_sync_close(struct connector *connector)
{
	struct group *group, *next;

	groups_count_end(connector->groups);
	for (group = groups_first(connector->groups); group; group = next) {
		next = group_next(group);
		if (group->missing)
			connector_tell_gone(connector, group->tgid, connector->counting_until_nsec);
	}
	connector->counting_until_nsec = 0;
}

/* Losses */

void connector_tell_lost(struct connector *connector)
{
	if (!connector->lost)
		return;
	connector->stats.lost_messages += connector->lost;
	connector->resync_wanted = true;
	hub_lost(connector->hub, "netlink", connector->lost,
		 connector_time_usec(connector, connector->lost_since_nsec),
		 connector_time_usec(connector, connector->lost_until_nsec), "proc connector");
	connector->lost = 0;
	connector_cover(connector);
}

static void tell_lost_records(struct connector *connector)
{
	uint64_t now = clock_usec(CLOCK_REALTIME);
	char detail[64];

	if (connector->records_lost > 0) {
		connector->stats.lost_records += connector->records_lost;
		snprintf(detail, sizeof(detail), "taskstats: usage of %llu threads is missing",
			 (unsigned long long)connector->records_lost);
		hub_lost(connector->hub, "netlink", connector->records_lost, connector->records_since_usec,
			 now, detail);
		hub_flush(connector->hub);
		connector->records_lost = 0;
	}
	connector->records_since_usec = now;
}

/* Silence */

static void cure_silence(struct connector *connector)
{
	uint64_t since = connector_time_usec(connector, connector->told_nsec);
	int fd = cn_socket_open(connector->socket_buffer), old = connector->fd, r = fd;
	struct netlink_drain drain = {};

	connector_process(connector, true);
	if (fd >= 0)
		r = cn_socket_insist(fd, LISTEN_USEC, connector->arena, connector_message, connector, &drain);
	if (r != 0) {
		if (!connector->cure_failed)
			msg_warning("The proc connector is silent and does not answer; retrying.");
		connector->cure_failed = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	/* The old one is not counted any more: saying that it goes would silence somebody else. */
	connector->fd = fd;
	if (connector_read_socket(connector) < 0)
		msg_err("Out of memory: the proc connector is not read any more.");
	close(old);
	connector->cure_failed = false;
	connector->stats.unarmed++;
	connector->resync_wanted = true;
	connector->scan_allowed_nsec = 0;
	hub_lost(connector->hub, "unarmed", HUB_COUNT_UNKNOWN, since, clock_usec(CLOCK_REALTIME),
		 "another program made the kernel stop sending events");
	hub_flush(connector->hub);
	msg_warning("The proc connector had fallen silent; listening again.");
	connector_cover(connector);
}

/* An exit whose record came, and that never came itself: its thread is not there any more. */
struct unheard {
	const struct connector *connector;
	uint64_t until_nsec; /* of records that arrived before */
	uint64_t since_nsec; /* 0: there is none */
};

static void find_unheard(const struct taskstats_record *record, void *userdata)
{
	struct unheard *unheard = userdata;
	uint32_t tgid = record->tgid ? record->tgid : record->tid;

	if (record->arrival_nsec <= unheard->connector->covered_nsec ||
	    record->arrival_nsec > unheard->until_nsec)
		return;
	/* To free the memory of a large process takes long. */
	if (syscall(SYS_tgkill, tgid, record->tid, 0) == 0 || errno != ESRCH)
		return;
	if (!unheard->since_nsec || record->heard_nsec < unheard->since_nsec)
		unheard->since_nsec = record->heard_nsec;
}

/*
 * Somebody else who begins to listen ends a silence for all, maybe before it was noticed here. Messages count
 * their numbers only while there is somebody to hear them, so the records of those who ended are all that
 * shows it.
 */
static void tell_past_silence(struct connector *connector, uint64_t now)
{
	struct unheard unheard = { .connector = connector, .until_nsec = now - UNHEARD_NSEC };

	if (connector->scanning || connector->queue.head != connector->queue.tail)
		return;
	groups_each_record(connector->groups, find_unheard, &unheard);
	if (!unheard.since_nsec)
		return;
	connector->stats.unarmed++;
	connector->resync_wanted = true;
	hub_lost(connector->hub, "unarmed", HUB_COUNT_UNKNOWN,
		 connector_time_usec(connector, unheard.since_nsec), clock_usec(CLOCK_REALTIME),
		 "the kernel stopped sending events for a moment");
	connector_cover(connector);
}

static void *thread_nothing(void *userdata)
{
	return userdata;
}

/* A thread of our own makes a message, if any are made. */
static void test_by_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_nothing, NULL) == 0)
		pthread_join(thread, NULL);
}

/*
 * A record without a message that follows it shows silence; where there are no records, only trying does.
 * Both take a second look, since a record is there a moment before its message.
 */
static bool is_silent(struct connector *connector, uint64_t now, unsigned int records)
{
	bool heard = connector->stats.messages != connector->tick_messages,
	     suspicious = connector->tick_suspicious;

	connector->tick_messages = connector->stats.messages;
	connector->tick_suspicious = false;
	if (heard) {
		connector->quiet_since_nsec = now;
		connector->tested_nsec = 0;
		return false;
	}
	if (connector->taskstats) {
		connector->tick_suspicious = suspicious || records > 0;
		return suspicious;
	}
	if (connector->tested_nsec)
		return now > connector->tested_nsec + DEAF_NSEC;
	if (now > connector->quiet_since_nsec + QUIET_NSEC) {
		test_by_thread();
		connector->tested_nsec = now;
	}
	return false;
}

/* Groups that ought to have ended */

static void check_suspects(struct connector *connector, uint64_t now)
{
	struct proc_question *question;
	struct group *group;

	for (unsigned int i = 0; i < SUSPECTS_MAX && (group = groups_suspect(connector->groups, now)); i++) {
		question = connector_ask(connector, group->tgid, 0, CONNECTOR_ALIVE);
		if (question)
			question->start_usec = group->ending_nsec;
	}
}

void connector_tick(struct connector *connector)
{
	uint64_t now = monotonic_nsec();
	unsigned int records = connector_drain_records(connector);
	bool silent = is_silent(connector, now, records);

	connector_cycle(connector);
	if (silent && !connector->scanning && connector->stats.messages == connector->tick_messages)
		cure_silence(connector);
	tell_lost_records(connector);
	if (connector->counting_until_nsec && now > connector->counting_until_nsec &&
	    connector->queue.head == connector->queue.tail)
		connector_sync_close(connector);
	check_suspects(connector, now);
	tell_past_silence(connector, now);
	if (now > connector->expired_nsec + RECORD_AGE_NSEC) {
		connector->expired_nsec = now;
		groups_expire(connector->groups, now - RECORD_AGE_NSEC);
	}
	hub_flush(connector->hub);
}
