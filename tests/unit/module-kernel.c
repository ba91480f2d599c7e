// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>

#include "module-kernel.h"

struct nlmsghdr *message_begin(struct kernel_message *message, uint8_t command, uint64_t instance)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(message->data);
	struct genlmsghdr *genl;

	header->nlmsg_type = KERNEL_FAMILY;
	genl = mnl_nlmsg_put_extra_header(header, sizeof(*genl));
	genl->cmd = command;
	genl->version = FORKBUS_FAMILY_VERSION;
	mnl_attr_put_u64(header, FORKBUS_A_INSTANCE, instance);
	return header;
}

struct nlattr *record_begin(struct nlmsghdr *message, uint64_t seq, uint32_t type, uint64_t nsec)
{
	struct nlattr *nest = mnl_attr_nest_start(message, FORKBUS_A_RECORD);

	mnl_attr_put_u64(message, FORKBUS_R_SEQ, seq);
	mnl_attr_put_u32(message, FORKBUS_R_TYPE, type);
	mnl_attr_put_u64(message, FORKBUS_R_TIME, nsec);
	return nest;
}

void kernel_init(struct kernel *kernel, uint64_t ring, size_t live, unsigned int batch)
{
	*kernel = (struct kernel){
		.instance = 77, .now = 1000, .ring_size = ring, .live_size = live, .batch = batch
	};
	kernel->ring = calloc(ring, sizeof(*kernel->ring));
	if (!kernel->ring || live > KERNEL_LIVE_MAX)
		abort();
}

void kernel_done(struct kernel *kernel)
{
	for (size_t i = 0; i < kernel->n_live; i++)
		free(kernel->live[i].data);
	free(kernel->ring);
}

/* History is overwritten, unsent records are not. */
static struct kernel_record *append(struct kernel *kernel)
{
	struct kernel_record *record = &kernel->ring[kernel->head % kernel->ring_size];

	if (kernel->head - kernel->tail == kernel->ring_size) {
		if (kernel->tail == kernel->unsent)
			return NULL;
		kernel->tail++;
	}
	kernel->head++;
	record->seq = ++kernel->last;
	return record;
}

static void fill(struct kernel_record *record, struct nlmsghdr *header, struct nlattr *nest)
{
	mnl_attr_nest_end(header, nest);
	record->size = MNL_ALIGN(nest->nla_len);
	if (record->size > KERNEL_RECORD)
		abort();
	memcpy(record->nest, nest, record->size);
}

static bool report_lost(struct kernel *kernel)
{
	static struct kernel_message message;
	struct kernel_record *record;
	struct nlmsghdr *header;
	struct nlattr *nest;

	if (kernel->unreported == 0)
		return true;
	record = append(kernel);
	if (!record)
		return false;
	header = message_begin(&message, FORKBUS_CMD_EVENTS, kernel->instance);
	nest = record_begin(header, record->seq, FORKBUS_TYPE_LOST, kernel->now);
	mnl_attr_put_u64(header, FORKBUS_R_COUNT, kernel->unreported);
	mnl_attr_put_u64(header, FORKBUS_R_SINCE, kernel->unreported_since);
	fill(record, header, nest);
	kernel->unreported = 0;
	return true;
}

static uint64_t write_record(struct kernel *kernel, uint32_t type, int attribute, uint32_t value)
{
	static struct kernel_message message;
	struct kernel_record *record;
	struct nlmsghdr *header;
	struct nlattr *nest;

	kernel->now += 1000;
	record = report_lost(kernel) ? append(kernel) : NULL;
	if (!record) {
		if (kernel->unreported++ == 0)
			kernel->unreported_since = kernel->now;
		return ++kernel->last;
	}
	header = message_begin(&message, FORKBUS_CMD_EVENTS, kernel->instance);
	nest = record_begin(header, record->seq, type, kernel->now);
	mnl_attr_put_u32(header, (uint16_t)attribute, value);
	mnl_attr_put_u64(header, FORKBUS_R_START, UINT64_C(1000) * value);
	fill(record, header, nest);
	return record->seq;
}

uint64_t kernel_event(struct kernel *kernel, uint32_t type, uint32_t pid)
{
	return write_record(kernel, type, FORKBUS_R_TGID, pid);
}

uint64_t kernel_armed(struct kernel *kernel, uint32_t mask)
{
	return write_record(kernel, FORKBUS_TYPE_ARMED, FORKBUS_R_MASK, mask);
}

static void put_records(struct kernel *kernel, struct nlmsghdr *header, uint64_t *at, uint64_t after,
			unsigned int n)
{
	if (*at < kernel->tail)
		*at = kernel->tail;
	for (; n > 0 && *at < kernel->head; ++*at) {
		const struct kernel_record *record = &kernel->ring[*at % kernel->ring_size];

		if (record->seq <= after)
			continue;
		memcpy(mnl_nlmsg_get_payload_tail(header), record->nest, record->size);
		header->nlmsg_len += (uint32_t)record->size;
		n--;
	}
}

static void multicast(struct kernel *kernel, const struct nlmsghdr *header)
{
	struct kernel_datagram *datagram = &kernel->live[kernel->n_live];

	if (kernel->congested || kernel->n_live == kernel->live_size) {
		kernel->overrun |= !kernel->congested;
		kernel->congested = true;
		return;
	}
	datagram->size = header->nlmsg_len;
	datagram->data = malloc(datagram->size);
	if (!datagram->data)
		abort();
	memcpy(datagram->data, header, datagram->size);
	kernel->n_live++;
}

void kernel_send(struct kernel *kernel)
{
	static struct kernel_message message;
	struct nlmsghdr *header;

	while (kernel->unsent < kernel->head) {
		header = message_begin(&message, FORKBUS_CMD_EVENTS, kernel->instance);
		put_records(kernel, header, &kernel->unsent, 0, kernel->batch);
		multicast(kernel, header);
		report_lost(kernel);
	}
}

void kernel_forget(struct kernel *kernel)
{
	kernel->unsent = kernel->head;
}

static ssize_t receive_live(struct kernel *kernel, void *buffer)
{
	struct kernel_datagram datagram;

	if (kernel->overrun) {
		kernel->overrun = false;
		return -ENOBUFS;
	}
	if (kernel->n_live == 0) {
		kernel->congested = false;
		return 0;
	}
	datagram = kernel->live[0];
	kernel->n_live--;
	memmove(kernel->live, kernel->live + 1, kernel->n_live * sizeof(datagram));
	if (kernel->n_live == 0)
		kernel->congested = false;
	memcpy(buffer, datagram.data, datagram.size);
	free(datagram.data);
	return (ssize_t)datagram.size;
}

static ssize_t receive_replay(struct kernel *kernel, void *buffer)
{
	struct kernel_message *message = buffer;
	uint64_t first = kernel->tail < kernel->head ? kernel->ring[kernel->tail % kernel->ring_size].seq
						     : kernel->last + 1;
	struct nlmsghdr *header;
	uint32_t empty;
	int32_t error = kernel->refuse ? -ENOENT : 0;

	if (!kernel->replaying)
		return 0;
	header = message_begin(message, FORKBUS_CMD_REPLAY, kernel->instance);
	if (!kernel->replay_begun && !kernel->refuse && !kernel->mute) {
		mnl_attr_put_u64(header, FORKBUS_A_FIRST, first);
		mnl_attr_put_u64(header, FORKBUS_A_LAST, kernel->last);
	}
	empty = header->nlmsg_len;
	if (!kernel->refuse && !kernel->mute)
		put_records(kernel, header, &kernel->replay_at, kernel->replay_last, kernel->batch);
	if (header->nlmsg_len == empty && (kernel->replay_begun || kernel->refuse || kernel->mute)) {
		header = mnl_nlmsg_put_header(message->data);
		header->nlmsg_type = kernel->refuse ? NLMSG_ERROR : NLMSG_DONE;
		memcpy(mnl_nlmsg_put_extra_header(header, sizeof(error)), &error, sizeof(error));
		kernel->replaying = false;
	}
	kernel->replay_begun = true;
	return header->nlmsg_len;
}

ssize_t kernel_receive(struct kernel *kernel, enum module_channel channel, void *buffer, size_t size)
{
	if (size != MODULE_BUFFER_SIZE)
		abort();
	return channel == MODULE_LIVE ? receive_live(kernel, buffer) : receive_replay(kernel, buffer);
}

int kernel_replay(struct kernel *kernel, uint64_t from)
{
	if (kernel->replaying)
		return -EBUSY;
	kernel->n_replays++;
	kernel->replaying = true;
	kernel->replay_begun = false;
	kernel->replay_at = 0;
	kernel->replay_last = from;
	return 0;
}
