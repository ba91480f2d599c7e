/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The module source, for its own files:
 *
 *   module.c         start, stop, describe
 *   socket.c  what is said to the module, and received from it
 *   stream.c  the order of its records (stream.h)
 *   decode.c  one record (decode.h)
 *   publish.c    from a record to the hub
 *   place.c   from the number of a cgroup to its path
 *   read.c    when to read what
 *   seam.c    what another source has told already
 *   probe.c   would it work here?
 */

#include "base/clock.h"
#include "source/module/stream.h"
#include "source/netlink/genl.h"
#include "source/proc/cgroups.h"
#include "source/proc/reader.h"
#include "source/resync.h"
#include "source/source.h"

/* What the source before told of while this one heard already. */
struct module_seam {
	struct module_told {
		enum event_type type;
		struct process_id id;
		uint64_t boot_usec;
	} * told; /* owned */
	size_t n, max;
	uint64_t until_usec; /* CLOCK_BOOTTIME: what comes later was told by nobody */
};

struct module_stats {
	uint64_t wakeups, resyncs, held, unplaced, told_before;
};

struct module {
	struct source source;
	struct hub *hub;
	struct event_base *base;
	uint64_t socket_buffer;
	uint32_t arguments;

	/* The module */
	struct genl_family_info family;
	struct module_status status; /* as of the last time that it was asked */
	uint64_t status_usec;	     /* CLOCK_REALTIME, of then */
	int live_fd, request_fd;
	unsigned char *buffer; /* for answers */
	struct module_stream stream;
	bool failed; /* it was said that a socket does not work */

	/* When it is read */
	struct event *live, *replay; /* a channel is readable */
	struct event *answered;	     /* the helper has something */
	struct event *read_cgroups;
	struct event *hold; /* a record waits */
	struct event *tick;
	unsigned int ticks;
	uint64_t replay_messages; /* stream.stats.messages at the last tick */
	unsigned int replay_ticks;

	struct clocks clocks;

	/* A record that waits for the path of its cgroup */
	struct cgroups *cgroups;	    /* NULL: there is no cgroup v2 here */
	uint64_t held_seq, held_until_nsec; /* CLOCK_MONOTONIC */
	bool patient;			    /* nobody waits for us: records may */
	char tty[PROCFS_TTY_MAX];	    /* of the record that is told */

	/* The table */
	struct proc_helper *helper;
	struct resync *resync;

	struct module_seam seam;
	struct module_stats stats;
};

/* All up to this record is published. */
static inline void module_set_origin(struct module *module, uint64_t seq)
{
	const struct hub_origin origin = { .instance = module->stream.instance, .kernel_seq = seq };

	hub_set_origin(module->hub, &origin);
}

/* socket.c */
/* Find the module, open both sockets, arm and join. Return: 0 or a negative errno, having said why. */
int module_open(struct module *module);
void module_close(struct module *module);
/* Say what is wanted. */
void module_arm(struct module *module);
/* Ask how it does. Return: 0; -EBUSY while a replay runs; another negative errno. */
int module_ask_status(struct module *module);
ssize_t module_receive(void *userdata, enum module_channel channel, void *buffer, size_t size);
int module_ask_replay(void *userdata, uint64_t from);

/* publish.c */
enum module_answer module_tell(void *userdata, struct module_record *record);
void module_tell_lost(void *userdata, const struct module_gap *gap);
/* resync_ops.gone */
void module_tell_gone(void *userdata, uint32_t pid, uint64_t nsec);

/* place.c: fills in cgroup and unit. Return: MODULE_HOLD while the path is looked for. */
enum module_answer module_place(struct module *module, struct fb_event *event, uint64_t seq);

/* read.c */
int module_read_start(struct module *module);
void module_read_stop(struct module *module);
/* Read without waiting for anything, until there is no more, or it takes too long. */
void module_drain(struct module *module);

/* seam.c */
/* Collect what the log tells since then. Return: 0 or -ENOMEM. */
int module_seam_begin(struct module_seam *seam, const struct log *log, uint64_t since_usec);
/* Was this told? Once each. */
bool module_seam_told(struct module_seam *seam, const struct fb_event *event);
void module_seam_done(struct module_seam *seam);

/* probe.c */
bool module_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX]);
/* The types without which there is not much to tell. */
#define MODULE_NEEDS \
	(FORKBUS_MASK(FORKBUS_TYPE_FORK) | FORKBUS_MASK(FORKBUS_TYPE_EXEC) | FORKBUS_MASK(FORKBUS_TYPE_EXIT))
/* Names of the types that the module lacks, separated by commas. Return: whether there are any. */
bool module_lacks(const struct module_status *status, char *buf, size_t size);
