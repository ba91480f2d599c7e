/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The proc connector: its messages, and a socket that listens to it. The kernel has one count of listeners for all programs.
 * Each listener must unsubscribe when it stops; a program that unsubscribes too often stops the events for all of them.
 */

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "source/netlink/socket.h"

/* One message. @what is PROC_EVENT_*; PROC_EVENT_NONE is the answer to a request. */
struct cn_event {
	uint64_t nsec; /* CLOCK_MONOTONIC */
	uint32_t what;
	uint32_t cpu;
	uint32_t seq; /* counts the messages of a CPU, answers included; wraps */
	uint32_t tid, tgid;
	bool unheard; /* an exit that is known from its record only: its time is that of reading it */
	bool late;    /* and that may be long after the record was made */
	bool reused;  /* an exit: another process may have its pid now */
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
	CN_E_OTHER,	/* not a message of the proc connector, or of an unknown kind */
	CN_E_MALFORMED, /* shorter than its length field */
};

/* cn_decode() - read one message; the content is not trusted. Return: 0, CN_E_OTHER, CN_E_MALFORMED. */
int cn_decode(struct cn_event *event, const struct nlmsghdr *message);

/*
 * A request to the kernel. Every listener gets the answer. It carries @ack plus one; its sequence number is the CPU's next
 * one, as for an event, and not the request's.
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

/* cn_socket_open() - Return: a descriptor or a negative errno (-EPROTONOSUPPORT: the kernel has no connector). */
int cn_socket_open(uint64_t buffer);

enum {
	_CN_SOCKET_E_SUCCESS,
	CN_SOCKET_E_SILENT,  /* the kernel does not answer: its count of listeners is wrong */
	CN_SOCKET_E_FOREIGN, /* it never sends events here: not the initial pid and user namespaces */
};

/*
 * cn_socket_listen() - subscribe, and wait for the answer: only the answer proves that events will come
 * @fn: gets all messages that arrive meanwhile, the answer too
 * Return: 0, CN_SOCKET_E_SILENT, CN_SOCKET_E_FOREIGN, or a negative errno.
 */
int cn_socket_listen(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/*
 * cn_socket_insist() - like cn_socket_listen(), but correct a count of listeners that another program made negative
 * Each socket that subscribes adds one, so it takes as many sockets as were subtracted. With @wait_usec 0, when the event loop
 * must not be delayed, a few hundred: the next call continues.
 */
int cn_socket_insist(int fd, uint64_t wait_usec, struct netlink_arena *arena, netlink_fn fn, void *userdata,
		     struct netlink_drain *drain);

/* cn_socket_ignore() - unsubscribe; call this before a subscribed socket is closed */
void cn_socket_ignore(int fd);
