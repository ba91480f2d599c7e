/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connector source, with a kernel, taskstats and /proc of the test, which take the place of the functions that ask the real
 * ones. A program includes this once, after cmocka.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log-format.h"
#include "source/connector/connector.h"
#include "tests/unit/netlink-messages.h"
#include "tests/unit/support.h"

#define QUEUED_MAX 1024
#define PARENT	   1000
#define CHILD	   2000
#define OTHER	   3000

/* The kernel */
static struct test_message queued[QUEUED_MAX];
static size_t n_queued, n_received;
static bool silent;
static uint64_t overrun_nsec;
static uint32_t drops, sequence, cpu;
static struct taskstats_record records[QUEUED_MAX];
static size_t n_records;
static unsigned int n_listened;

/* /proc */
static struct proc_question questions[PROC_QUESTIONS_MAX], *asked[PROC_QUESTIONS_MAX];
static unsigned int first_asked, n_asked, n_free, n_tries;
static struct proc_question *spare[PROC_QUESTIONS_MAX];
static struct fb_event living; /* the process that /proc shows, to each question */
static bool answers, settled;

static struct connector *connector;
static uint64_t seen; /* the log's next event that the test has not seen */
static uint64_t now;

void netlink_arena_init(struct netlink_arena *arena)
{
	(void)arena;
}

int netlink_open(int protocol, uint32_t groups, uint64_t buffer)
{
	(void)protocol, (void)groups, (void)buffer;
	return eventfd(0, EFD_CLOEXEC);
}

static void push(struct proc_event *event)
{
	assert_true(n_queued < QUEUED_MAX);
	event->cpu = cpu;
	event->timestamp_ns = now;
	test_cn(&queued[n_queued++], sequence++, 0, event, sizeof(*event));
}

/* The socket is full, and drops so many messages. It holds what was pushed until then. */
static inline void overflow(uint32_t n)
{
	now += 1000;
	overrun_nsec = now;
	sequence += n;
	drops += n;
}

/* A request to listen: it is answered at once. */
int netlink_send(int fd, const struct nlmsghdr *header)
{
	struct proc_event answer = { .what = PROC_EVENT_NONE };
	struct cn_msg cn;

	(void)fd;
	memcpy(&cn, mnl_nlmsg_get_payload(header), sizeof(cn));
	silent = false;
	n_listened++;
	assert_true(n_queued < QUEUED_MAX);
	answer.timestamp_ns = now;
	test_cn(&queued[n_queued++], sequence++, cn.ack + 1, &answer, sizeof(answer));
	return 0;
}

int netlink_receive(int fd, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		    struct netlink_drain *drain)
{
	(void)fd, (void)arena;
	if (overrun_nsec) {
		drain->overrun = true;
		drain->overrun_nsec = overrun_nsec;
		overrun_nsec = 0;
	}
	if (n_received == n_queued) {
		n_received = n_queued = 0;
		return 0;
	}
	fn((const struct nlmsghdr *)(const void *)queued[n_received++].data, userdata);
	drain->datagrams++;
	return 1;
}

int netlink_errno(int64_t error)
{
	return (int)error;
}

bool netlink_wait(int fd, uint64_t usec)
{
	(void)fd, (void)usec;
	return false;
}

uint32_t netlink_count_drops(int fd, uint32_t *before)
{
	uint32_t count = drops - *before;

	(void)fd;
	*before = drops;
	return count;
}

unsigned int taskstats_sockets_drain(struct taskstats_sockets *sockets, struct netlink_arena *arena,
				     taskstats_fn fn, void *userdata, uint64_t *lost)
{
	size_t n = n_records;

	(void)sockets, (void)arena, (void)lost;
	for (size_t i = 0; i < n; i++)
		fn(&records[i], userdata);
	n_records = 0;
	return (unsigned int)n;
}

int taskstats_sockets_fd(const struct taskstats_sockets *sockets)
{
	(void)sockets;
	return -1;
}

/* The name of the broker's thread is set: this causes a message, unless the kernel is silent. */
int prctl(int option, ...)
{
	struct proc_event event = { .what = PROC_EVENT_COMM };

	if (option == PR_SET_NAME && !silent)
		push(&event);
	return 0;
}

int proc_helper_fd(const struct proc_helper *helper)
{
	(void)helper;
	return -1;
}

struct proc_question *proc_helper_ask(struct proc_helper *helper, uint32_t pid, field_set fields)
{
	struct proc_question *question;

	(void)helper;
	if (n_free == 0)
		return NULL;
	question = spare[--n_free];
	memset(question, 0, offsetof(struct proc_question, link));
	question->pid = pid;
	question->fields = fields;
	asked[(first_asked + n_asked++) % PROC_QUESTIONS_MAX] = question;
	return question;
}

void proc_helper_repeat(struct proc_helper *helper, struct proc_question *question)
{
	(void)helper;
	question->answered = question->found = false;
	question->tries++;
	n_tries++;
	asked[(first_asked + n_asked++) % PROC_QUESTIONS_MAX] = question;
}

void proc_helper_give(struct proc_helper *helper, struct proc_question *question)
{
	(void)helper;
	spare[n_free++] = question;
}

unsigned int proc_helper_room(const struct proc_helper *helper)
{
	(void)helper;
	return n_free;
}

struct proc_question *proc_helper_collect(struct proc_helper *helper)
{
	struct proc_question *question;

	(void)helper;
	if (!answers || n_asked == 0)
		return NULL;
	question = asked[first_asked++ % PROC_QUESTIONS_MAX];
	n_asked--;
	question->answered = true;
	question->found = question->pid == living.pid;
	question->event = living;
	question->stat.settled = settled;
	question->read_nsec = now;
	return question;
}

void proc_helper_changed(struct proc_helper *helper, uint32_t pid, enum proc_change change, uint64_t nsec)
{
	(void)helper;
	for (size_t i = 0; i < PROC_QUESTIONS_MAX; i++)
		if (questions[i].pid == pid && !questions[i].changed_nsec[change])
			questions[i].changed_nsec[change] = nsec;
}

void proc_helper_doubt(struct proc_helper *helper)
{
	(void)helper;
}

int proc_helper_scan(struct proc_helper *helper)
{
	(void)helper;
	return -EBUSY;
}

const struct proc_snapshot *proc_helper_scanned(struct proc_helper *helper, int *result)
{
	(void)helper, (void)result;
	return NULL;
}

/* The source */

static unsigned int nothing(void *userdata)
{
	(void)userdata;
	return 0;
}

static void set_up_connector(void)
{
	static const struct pace_ops idle = { .cycle = nothing };
	struct log *log = NULL;

	connector = calloc(1, sizeof(*connector));
	assert_non_null(connector);
	assert_int_equal(log_open(&log, test_path("log"), LOG_BLOCKS_MIN * LOG_BLOCK_SIZE, (gid_t)-1), 0);
	assert_int_equal(hub_new(&connector->hub, log, 1 << 20), 0);
	assert_int_equal(groups_new(&connector->groups, true), 0);
	assert_int_equal(connector_queue_init(&connector->queue), 0);
	assert_int_equal(resync_new(&connector->resync, connector->hub, &connector->clocks,
				    &connector_resync_ops, connector),
			 0);
	connector->taskstats = (struct taskstats_sockets *)connector;
	connector->fd = eventfd(0, EFD_CLOEXEC);
	/* An answer is waited for as long as the test likes. */
	pace_init(&connector->pace, event_base_new(), 10 * USEC_PER_SEC, &idle, connector);
	assert_int_equal(pace_start(&connector->pace, eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC), -1),
			 0);
	clocks_read(&connector->clocks);
}

static int setup(void **state)
{
	(void)state;
	test_dir_make();
	n_queued = n_received = n_records = 0;
	first_asked = n_asked = n_tries = n_listened = 0;
	silent = answers = false;
	overrun_nsec = 0;
	settled = true;
	drops = sequence = cpu = 0;
	n_free = 0;
	for (size_t i = 0; i < PROC_QUESTIONS_MAX; i++)
		spare[n_free++] = &questions[i];
	fb_event_init(&living, EVENT_PROCESS);
	now = monotonic_nsec() - 100 * NSEC_PER_MSEC;
	set_up_connector();
	seen = log_next(hub_log(connector->hub));
	return 0;
}

static int teardown(void **state)
{
	struct event_base *base = connector->pace.base;

	(void)state;
	pace_stop(&connector->pace);
	event_base_free(base);
	close(connector->fd);
	resync_free(connector->resync);
	groups_free(connector->groups);
	connector_queue_done(&connector->queue);
	hub_free(connector->hub);
	free(connector);
	test_dir_remove();
	return 0;
}

static unsigned int cycle(void)
{
	return connector_pace_ops.cycle(connector);
}

/* The next event of a type; it must have been published. */
static inline void next_event(enum event_type type, struct fb_event *event)
{
	struct log_place place;

	do {
		assert_int_equal(log_seek(hub_log(connector->hub), seen++, &place), 0);
		assert_int_equal(log_read(hub_log(connector->hub), &place, event), 0);
	} while (event->type != type);
}

static inline bool has_event(enum event_type type)
{
	struct log_place place;
	struct fb_event event;

	for (uint64_t at = seen; log_seek(hub_log(connector->hub), at, &place) == 0; at++) {
		assert_int_equal(log_read(hub_log(connector->hub), &place, &event), 0);
		if (event.type == type)
			return true;
	}
	return false;
}

/* A process that the first scan found. */
static inline void old_process(uint32_t pid, uint32_t ppid, uint32_t uid, const char *comm)
{
	struct fb_event event;

	fb_event_init(&event, EVENT_PROCESS);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, connector_boot_usec(connector, now) - 1000000);
	EVENT_SET(&event, ppid, ppid);
	EVENT_SET(&event, uid, uid);
	EVENT_SET(&event, gid, uid);
	EVENT_SET(&event, euid, uid);
	EVENT_SET(&event, egid, uid);
	EVENT_SET(&event, session, 7);
	EVENT_SET(&event, comm, event_text(comm));
	EVENT_SET(&event, exe, event_text(uid ? "/bin/old" : "/bin/root"));
	EVENT_SET(&event, cgroup, event_text("/old"));
	assert_int_equal(hub_learn(connector->hub, &event), 0);
	assert_non_null(groups_adopt(connector->groups, pid, 1, 0));
}

static inline void say(uint32_t what, uint32_t pid, uint32_t tid)
{
	struct proc_event event = { .what = what };

	now += 1000;
	event.event_data.exec.process_pid = (int)tid;
	event.event_data.exec.process_tgid = (int)pid;
	push(&event);
}

static inline void say_fork(uint32_t parent, uint32_t pid, uint32_t tid)
{
	struct proc_event event = { .what = PROC_EVENT_FORK };

	now += 1000;
	event.event_data.fork.parent_pid = event.event_data.fork.parent_tgid = (int)parent;
	event.event_data.fork.child_pid = (int)tid;
	event.event_data.fork.child_tgid = (int)pid;
	push(&event);
}

static inline void say_id(uint32_t what, uint32_t pid, uint32_t id)
{
	struct proc_event event = { .what = what };

	now += 1000;
	event.event_data.id.process_pid = event.event_data.id.process_tgid = (int)pid;
	event.event_data.id.r.ruid = event.event_data.id.e.euid = id;
	push(&event);
}

static inline void say_record(uint32_t pid, uint32_t ppid, uint32_t uid, const char *comm)
{
	struct taskstats_record *record = &records[n_records++];

	*record = (struct taskstats_record){
		.version = 16,
		.flags = TASKSTATS_AGROUP,
		.tid = pid,
		.tgid = pid,
		.ppid = ppid,
		.uid = uid,
		.gid = uid,
		.elapsed_usec = 1,
		.arrival_nsec = now,
	};
	strncpy(record->comm, comm, sizeof(record->comm) - 1);
}

/* The record, then the message. */
static inline void say_exit(uint32_t pid, uint32_t ppid, uint32_t uid, const char *comm)
{
	say_record(pid, ppid, uid, comm);
	say(PROC_EVENT_EXIT, pid, pid);
}

/* What /proc shows of a process from now on. */
static inline void show(uint32_t pid, uint32_t ppid, uint32_t uid, const char *comm, const char *exe,
			const char *cgroup)
{
	fb_event_init(&living, EVENT_PROCESS);
	EVENT_SET(&living, pid, pid);
	EVENT_SET(&living, start_usec, connector_boot_usec(connector, now) / 10000 * 10000);
	EVENT_SET(&living, ppid, ppid);
	EVENT_SET(&living, uid, uid);
	EVENT_SET(&living, gid, uid);
	EVENT_SET(&living, euid, uid);
	EVENT_SET(&living, egid, uid);
	EVENT_SET(&living, session, 7);
	EVENT_SET(&living, comm, event_text(comm));
	EVENT_SET(&living, exe, event_text(exe));
	EVENT_SET(&living, cgroup, event_text(cgroup));
	answers = true;
}

static inline void assert_text(struct event_text text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.data, expected, text.len);
}
