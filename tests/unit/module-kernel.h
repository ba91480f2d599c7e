/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A simulation of the kernel module according to proto/forkbus_netlink.h: a ring of records, a group that receives them,
 * replays, and the messages that it sends.
 */

#include "random-event.h"
#include "source/module/stream.h"

#define KERNEL_FAMILY	31
#define KERNEL_RING_MAX 4096
#define KERNEL_LIVE_MAX 64
#define KERNEL_RECORD	512 /* maximum bytes */

struct kernel_record {
	uint64_t seq;
	size_t size;
	_Alignas(8) unsigned char nest[KERNEL_RECORD]; /* the attribute FORKBUS_A_RECORD */
};

struct kernel_datagram {
	size_t size;
	unsigned char *data;
};

struct kernel {
	uint64_t instance, now; /* ns */
	uint64_t last, sent;	/* numbers */
	uint64_t unreported, unreported_since;

	/* [tail, head) of the ring; the place of n is n % ring_size. */
	struct kernel_record *ring;
	uint64_t head, tail, unsent, ring_size;

	/* The queue of the listening socket. */
	struct kernel_datagram live[KERNEL_LIVE_MAX];
	size_t n_live, live_size;
	bool overrun, congested;
	unsigned int batch; /* records in a message */

	/* The current replay. */
	bool replaying, replay_begun, refuse, mute; /* @mute: replays have no records */
	uint64_t replay_at, replay_last;
	unsigned int n_replays;
};

/* kernel_init() - @ring: records that it holds; @live: datagrams that the socket holds; @batch: records in a datagram */
void kernel_init(struct kernel *kernel, uint64_t ring, size_t live, unsigned int batch);
void kernel_done(struct kernel *kernel);

/* An event happens. Return: its number; it may be lost. */
uint64_t kernel_event(struct kernel *kernel, uint32_t type, uint32_t pid);
/* A record that a test has made; its first attributes are set here. */
uint64_t kernel_armed(struct kernel *kernel, uint32_t mask);
/* All unsent records go to the socket. */
void kernel_send(struct kernel *kernel);
/* As if there had been no listener. */
void kernel_forget(struct kernel *kernel);

/* The functions for the stream: its ops' receive and replay, with the kernel as userdata. */
ssize_t kernel_receive(struct kernel *kernel, enum module_channel channel, void *buffer, size_t size);
int kernel_replay(struct kernel *kernel, uint64_t from);

/* Messages by hand. */
struct kernel_message {
	_Alignas(8) unsigned char data[MODULE_BUFFER_SIZE];
};

struct nlmsghdr *message_begin(struct kernel_message *message, uint8_t command, uint64_t instance);
struct nlattr *record_begin(struct nlmsghdr *message, uint64_t seq, uint32_t type, uint64_t nsec);
