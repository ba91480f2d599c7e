/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Decode and encode messages of the proc connector.
 */

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

/* One message. @what is PROC_EVENT_*; PROC_EVENT_NONE is the answer to a request. */
struct cn_event {
	uint64_t nsec; /* CLOCK_MONOTONIC */
	uint32_t what;
	uint32_t cpu;
	uint32_t seq; /* counts the messages of a CPU, answers included; wraps */
	uint32_t tid, tgid;
	union {
		struct {
			uint32_t parent_tid, parent_tgid;
		} fork;
		struct {
			uint32_t code; /* as a wait status */
			uint32_t parent_tid, parent_tgid;
		} exit;
		struct {
			uint32_t real, effective;
		} id;
		struct {
			uint32_t tracer_tid, tracer_tgid;
		} ptrace;
		char comm[16];
		struct {
			uint32_t ack, error;
		} answer;
	};
};

enum {
	_CN_E_SUCCESS,
	CN_E_OTHER,	/* not of the proc connector, or of a kind that this does not know */
	CN_E_MALFORMED, /* shorter than its length field */
};

/* cn_decode() - read one message, of any content. Return: 0, CN_E_OTHER, CN_E_MALFORMED. */
int cn_decode(struct cn_event *event, const struct nlmsghdr *message);

/*
 * A request to the kernel. The answer, which every listener gets, carries @ack plus one; its sequence number is not the
 * request's but the CPU's next, as if it were an event.
 */
struct cn_request {
	_Alignas(NLMSG_ALIGNTO) unsigned char data[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof(uint32_t))];
};

const struct nlmsghdr *cn_request_init(struct cn_request *request, enum proc_cn_mcast_op op, uint32_t ack);

/* Is this the answer to that request? */
static inline bool cn_event_answers(const struct cn_event *event, uint32_t ack)
{
	return event->what == PROC_EVENT_NONE && event->answer.ack == ack + 1;
}
