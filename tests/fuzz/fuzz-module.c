// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages from the sockets of the forkbus module, and their order.
 *
 * An input is a row of datagrams, each a byte for its channel and for the answer to the one before, two bytes of length, and
 * the bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/hub.h"
#include "source/module/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FAMILY	 31
#define INSTANCE 77

struct run {
	const uint8_t *data;
	size_t size, at;
	uint8_t kind; /* of the last datagram */
	uint64_t accounted;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static ssize_t on_receive(void *userdata, enum module_channel channel, void *buffer, size_t size)
{
	struct run *run = userdata;
	size_t len;

	if (run->at + 3 > run->size)
		return 0;
	run->kind = run->data[run->at];
	len = (size_t)run->data[run->at + 1] << 8 | run->data[run->at + 2];
	run->at += 3;
	if ((run->kind & 3) == 3)
		return -ENOBUFS;
	if ((run->kind & 1) != (channel == MODULE_REPLAY))
		return 0;
	if (len > run->size - run->at)
		len = run->size - run->at;
	check(len <= size);
	memcpy(buffer, run->data + run->at, len);
	run->at += len;
	return (ssize_t)len;
}

static int on_replay(void *userdata, uint64_t from)
{
	struct run *run = userdata;

	check(from == run->accounted || from > run->accounted);
	return run->kind & 4 ? -EBUSY : 0;
}

static enum module_answer on_record(void *userdata, struct module_record *record)
{
	static unsigned char packed[EVENT_PACKED_MAX];
	struct run *run = userdata;
	struct fb_event back;

	if (run->kind & 8) {
		run->kind &= (uint8_t)~8U;
		return MODULE_HOLD;
	}
	check(record->seq > run->accounted);
	run->accounted = record->seq;
	check(EVENT_HAS(&record->event, pid) && EVENT_HAS(&record->event, start_usec));
	check(fb_event_unpack(&back, packed, fb_event_pack(&record->event, packed)) == 0);
	return MODULE_TAKEN;
}

static void on_lost(void *userdata, const struct module_gap *gap)
{
	struct run *run = userdata;

	check(gap->seq > run->accounted || gap->count == HUB_COUNT_UNKNOWN);
	check(gap->count == HUB_COUNT_UNKNOWN || (gap->count > 0 && gap->count <= gap->seq - run->accounted));
	run->accounted = gap->loss == MODULE_LOST_KERNEL ? gap->seq - 1 : gap->seq;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct module_ops ops = { on_receive, on_replay, on_record, on_lost };
	struct run run = { .data = data, .size = size };
	struct module_stream stream;
	struct module_status status;
	size_t at;
	int r;

	check(module_stream_init(&stream, &ops, &run) == 0);
	stream.family = FAMILY;
	stream.instance = INSTANCE;
	stream.wanted = 0xff;
	do {
		at = run.at;
		r = module_stream_run(&stream, 1);
	} while (run.at > at || r == MODULE_HELD || (r == MODULE_BUSY && run.at < size));
	module_stream_done(&stream);

	if (size >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr *copy = malloc(size);

		check(copy != NULL);
		memcpy(copy, data, size);
		if (mnl_nlmsg_ok(copy, (int)size) && copy->nlmsg_len <= size)
			(void)module_status_decode(&status, copy, FAMILY);
		free(copy);
	}
	return 0;
}
