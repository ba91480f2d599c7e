// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages from the netlink sockets, and the thread groups that follow from them.
 *
 * An input is a row of pieces, each a byte of kind, a byte of length in units of 8 bytes, and the bytes: a datagram in the
 * kernel's format, or a few bytes that stand for a well-formed message about one of a few threads, so that their messages
 * are mixed.
 */
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "source/connector/thread-groups.h"
#include "source/netlink/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE_CN, PIECE_TASKSTATS, PIECE_EVENT, PIECE_RECORD, PIECE_COUNT, PIECE_OTHER, _PIECE_MAX };

#define FAMILY 27

struct run {
	struct groups *groups;
	uint64_t now;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static void check_group(const struct groups *groups, const struct group *group)
{
	struct group_end end;

	group_end(groups, group, &end);
	check(group->alive == 0 || !(end.has & ~EVENT_BIT(max_rss_kib)));
	check(end.status <= 0xffff);
	check(!end.has_task || memchr(end.comm, '\0', TASKSTATS_COMM_MAX));
}

static void on_exit_of(struct run *run, const struct cn_event *event)
{
	size_t records = groups_records(run->groups);
	struct group_exit exit;
	struct group_end end;

	(void)groups_peek(run->groups, event, event);
	groups_exit(run->groups, event, &exit);
	check(groups_records(run->groups) <= records);
	check(!exit.ended || (exit.group && exit.group->alive == 0));
	if (exit.ended) {
		check_group(run->groups, exit.group);
		groups_remove(run->groups, exit.group);
	} else if (!exit.group && exit.has_record) {
		group_end_stray(&exit, &end);
	}
}

static void on_event(struct run *run, const struct cn_event *event)
{
	struct group *group;

	switch (event->what) {
	case PROC_EVENT_FORK:
		group = groups_replaced(run->groups, event);
		if (group) {
			groups_settle(run->groups, group, event->nsec);
			check_group(run->groups, group);
			groups_remove(run->groups, group);
		}
		group = groups_fork(run->groups, event);
		check(!group || group->tgid == event->tgid);
		break;
	case PROC_EVENT_EXEC:
		groups_exec(run->groups, event);
		break;
	case PROC_EVENT_EXIT:
		on_exit_of(run, event);
		break;
	default:
		break;
	}
}

static void on_cn(const struct nlmsghdr *message, void *userdata)
{
	struct cn_event event;

	if (cn_decode(&event, message) == 0)
		on_event(userdata, &event);
}

static void on_taskstats(const struct nlmsghdr *message, void *userdata)
{
	struct taskstats_record record;
	struct run *run = userdata;

	if (taskstats_decode(&record, message, FAMILY) != 0)
		return;
	check(memchr(record.comm, '\0', sizeof(record.comm)));
	record.arrival_nsec = run->now;
	record.cpu = message->nlmsg_seq & 3;
	check(groups_record(run->groups, &record) == 0);
}

/* A few threads of a few processes. */
static void small_event(struct run *run, const uint8_t *data)
{
	static const uint32_t kinds[] = { PROC_EVENT_FORK, PROC_EVENT_EXIT, PROC_EVENT_EXEC,
					  PROC_EVENT_EXIT };
	uint32_t tgid = 1 + (data[1] & 3);
	struct cn_event event = { .what = kinds[data[0] & 3],
				  .nsec = run->now,
				  .tgid = tgid,
				  .tid = tgid + (data[1] >> 2 & 3) * 4 };

	if (event.what == PROC_EVENT_EXIT)
		event.exit.code = (uint32_t)data[2] << 8 | data[3];
	on_event(run, &event);
}

static void small_record(struct run *run, const uint8_t *data)
{
	uint32_t tgid = 1 + (data[0] & 3);
	struct taskstats_record record = {
		.version = data[0] & 0x80 ? 16 : 10,
		.flags = data[1] & (TASKSTATS_AXSIG | TASKSTATS_AGROUP),
		.has_group = data[1] & 1,
		.code = (uint32_t)data[2] << 8 | data[3],
		.tgid = data[0] & 0x40 ? tgid : 0,
		.tid = tgid + (data[0] >> 2 & 3) * 4,
		.elapsed_usec = data[1] >> 6,
		.cpu = data[0] >> 4 & 3,
		.arrival_nsec = run->now,
	};

	check(groups_record(run->groups, &record) == 0);
}

static void small_count(struct run *run, const uint8_t *data)
{
	uint32_t tgid = 1 + (data[1] & 3);
	struct group *group;

	switch (data[0] & 3) {
	case 0:
		groups_count_begin(run->groups, 0, UINT64_MAX);
		for (group = groups_first(run->groups); group; group = group_next(group))
			group->missing = true;
		break;
	case 1:
		check(groups_adopt(run->groups, tgid, 0, data[2] & 1 ? run->now : 0) != NULL);
		for (uint32_t i = 0; i < 4; i++)
			if (data[3] >> i & 1)
				check(groups_count_thread(run->groups, tgid, tgid + 4 * i) == 0);
		break;
	case 2:
		groups_count_end(run->groups);
		check(!groups_counting(run->groups));
		break;
	default:
		check(groups_adopt(run->groups, tgid, data[2] & 7, 0) != NULL);
		break;
	}
}

static void small_other(struct run *run, const uint8_t *data)
{
	struct group *group;

	run->now += (uint64_t)data[1] << (data[2] & 31);
	if (data[0] & 1)
		groups_expire(run->groups, run->now);
	if (data[0] & 2) {
		group = groups_suspect(run->groups, run->now);
		check(!group || group->ending_nsec);
		check(group == NULL || groups_ending(run->groups) > 0);
	}
}

static void take_piece(struct run *run, uint8_t kind, const uint8_t *data, size_t size)
{
	/* A copy of its own, aligned as in an arena, so that each access beyond it is seen. */
	uint8_t *copy = malloc(size ? size : 1);

	check(copy != NULL);
	memcpy(copy, data, size);
	run->now += 1000;
	if (kind == PIECE_CN)
		netlink_walk(copy, size, on_cn, run);
	else if (kind == PIECE_TASKSTATS)
		netlink_walk(copy, size, on_taskstats, run);
	else if (size >= 4 && kind == PIECE_EVENT)
		small_event(run, copy);
	else if (size >= 4 && kind == PIECE_RECORD)
		small_record(run, copy);
	else if (size >= 4 && kind == PIECE_COUNT)
		small_count(run, copy);
	else if (size >= 4 && kind == PIECE_OTHER)
		small_other(run, copy);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .now = 1 };
	struct group *group, *next;
	size_t len;

	if (size == 0 || groups_new(&run.groups, data[0] & 1) < 0)
		return 0;
	for (size_t at = 1; at + 2 <= size; at += len) {
		len = (size_t)data[at + 1] * 8;
		at += 2;
		if (len > size - at)
			len = size - at;
		take_piece(&run, data[at - 2] % _PIECE_MAX, data + at, len);
	}
	for (group = groups_first(run.groups); group; group = next) {
		next = group_next(group);
		check_group(run.groups, group);
		groups_remove(run.groups, group);
	}
	check(groups_count(run.groups) == 0 && groups_ending(run.groups) == 0);
	groups_free(run.groups);
	return 0;
}
