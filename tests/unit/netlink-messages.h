/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages in the kernel's format, for the tests of decoders.
 */

#include <libmnl/libmnl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <string.h>

#define TEST_FAMILY 27

struct test_message {
	_Alignas(8) unsigned char data[4096];
};

/* In every version, the members that all kernels have are in the first @size bytes. */
struct test_stats {
	size_t size;
	_Alignas(8) unsigned char data[1024];
};

static inline const struct nlmsghdr *test_cn(struct test_message *message, uint32_t seq, uint32_t ack,
					     const struct proc_event *event, size_t len)
{
	struct nlmsghdr *header;
	struct cn_msg *cn;

	memset(message, 0, sizeof(*message));
	header = mnl_nlmsg_put_header(message->data);
	header->nlmsg_type = NLMSG_DONE;
	header->nlmsg_seq = seq;
	cn = mnl_nlmsg_put_extra_header(header, sizeof(*cn) + len);
	cn->id.idx = CN_IDX_PROC;
	cn->id.val = CN_VAL_PROC;
	cn->seq = seq;
	cn->ack = ack;
	cn->len = (uint16_t)len;
	memcpy(cn->data, event, len);
	return header;
}

static inline struct nlmsghdr *test_taskstats_begin(struct test_message *message, uint32_t seq)
{
	struct nlmsghdr *header;
	struct genlmsghdr *genl;

	memset(message, 0, sizeof(*message));
	header = mnl_nlmsg_put_header(message->data);
	header->nlmsg_type = TEST_FAMILY;
	header->nlmsg_seq = seq;
	genl = mnl_nlmsg_put_extra_header(header, sizeof(*genl));
	genl->cmd = TASKSTATS_CMD_NEW;
	genl->version = TASKSTATS_GENL_VERSION;
	return header;
}

/* @padded: with the empty attribute that aligns the figures on some machines */
static inline void test_taskstats_put(struct nlmsghdr *header, uint16_t aggregate, uint16_t id_type,
				      uint32_t id, const struct test_stats *stats, bool padded)
{
	struct nlattr *nest = mnl_attr_nest_start(header, aggregate);

	mnl_attr_put_u32(header, id_type, id);
	if (padded)
		mnl_attr_put(header, TASKSTATS_TYPE_NULL, 0, NULL);
	mnl_attr_put(header, TASKSTATS_TYPE_STATS, stats->size, stats->data);
	mnl_attr_nest_end(header, nest);
}

static inline void test_stats_init(struct test_stats *stats, const struct taskstats *from, size_t size)
{
	memset(stats, 0, sizeof(*stats));
	/* Members that newer kernels have added at the end must be ignored. */
	memset(stats->data, 0xa5, size);
	memcpy(stats->data, from, size < sizeof(*from) ? size : sizeof(*from));
	stats->size = size;
}
