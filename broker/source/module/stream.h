/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The records of one instance of the module in the order of their numbers, none twice; every gap is reported.
 *
 * They arrive on two channels: new records on LIVE; older ones again on REPLAY, which is requested after a gap in the numbers or
 * an overrun of LIVE. While a replay runs, LIVE is not read: its queue, and then the module's ring, keep the rest. Records that
 * the replay does not have either are lost; their exact number is reported.
 *
 * It reads and sends requests through functions, not sockets, so that tests can replace the kernel.
 */

#include <sys/types.h>

#include "source/module/decode.h"

/* Longer than any message. */
#define MODULE_BUFFER_SIZE (64 * 1024)

enum module_channel { MODULE_LIVE, MODULE_REPLAY, _MODULE_CHANNEL_MAX };

enum module_answer {
	MODULE_TAKEN,
	MODULE_HOLD /* not now: pass it again later, and no other record before */
};

enum module_loss {
	MODULE_LOST_KERNEL,  /* the module had no room */
	MODULE_LOST_NETLINK, /* the socket was full, and the ring no longer has the records */
	MODULE_LOST_UNARMED, /* there was no listener */
};

/* Events that are missing. */
struct module_gap {
	enum module_loss loss;
	uint64_t count;			 /* or HUB_COUNT_UNKNOWN */
	uint64_t since_nsec, until_nsec; /* CLOCK_BOOTTIME; 0: not known */
	uint64_t seq;			 /* the last missing number */
};

struct module_ops {
	/* One datagram of a channel. Return: its length; 0: there is none; -ENOBUFS: some were dropped; another errno. */
	ssize_t (*receive)(void *userdata, enum module_channel channel, void *buffer, size_t size);
	/* Request all records after @from. Return: 0, or a negative errno. */
	int (*replay)(void *userdata, uint64_t from);
	enum module_answer (*record)(void *userdata, struct module_record *record);
	void (*lost)(void *userdata, const struct module_gap *gap);
};

/* A channel, and the position in its current datagram. */
struct module_feed {
	unsigned char *buffer;
	size_t size;
	const struct nlmsghdr *message; /* NULL: the datagram has been processed */
	int left;			/* bytes from @message on */
	bool begun;			/* its records are to be used */
	const struct nlattr *record;	/* the last record that was handled; NULL: none yet */
};

struct module_stream_stats {
	uint64_t messages, records, doubles, replays, replays_failed, overruns, malformed, unknown, foreign;
};

struct module_stream {
	const struct module_ops *ops;
	void *userdata;
	uint16_t family;
	uint64_t instance;
	uint32_t wanted; /* mask of the types that must always be armed */

	uint64_t last;	       /* every record up to this number is published */
	uint64_t last_nsec;    /* and up to this time, CLOCK_BOOTTIME */
	enum module_loss hole; /* the reason that is reported for a gap; another one at the start */

	struct module_feed feeds[_MODULE_CHANNEL_MAX];
	bool replaying;
	bool replay_wanted;		  /* LIVE was overrun: the dropped records are unknown */
	bool replay_refused;		  /* so a gap is a loss at once */
	unsigned int replays_in_vain;	  /* since the last new record */
	uint64_t range_first, range_last; /* of the current replay */

	bool unarmed;
	uint64_t unarmed_since_nsec;

	struct module_stream_stats stats;
};

/* module_stream_init() - Return: 0 or -ENOMEM; call module_stream_done() in either case. */
int module_stream_init(struct module_stream *stream, const struct module_ops *ops, void *userdata);
void module_stream_done(struct module_stream *stream);

/* module_stream_replay() - begin with the earlier records */
void module_stream_replay(struct module_stream *stream);
/* module_stream_give_up() - the current replay has timed out */
void module_stream_give_up(struct module_stream *stream);

enum module_progress {
	MODULE_IDLE, /* nothing more to read on the current channel */
	MODULE_BUSY, /* @datagrams were read, there may be more */
	MODULE_HELD, /* the next record is to be passed again */
};

/*
 * module_stream_run() - read, in the order of the numbers
 * Return: enum module_progress, or a negative errno of a channel that does not work any more.
 */
int module_stream_run(struct module_stream *stream, unsigned int datagrams);

/* The channel to read next. */
static inline enum module_channel module_stream_channel(const struct module_stream *stream)
{
	return stream->replaying ? MODULE_REPLAY : MODULE_LIVE;
}
