/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The module source, for its own files:
 *
 *   module.c   start and stop, and when to read what: the only file that knows the cycle
 *   stream.c   the order of the records (stream.h)
 *   decode.c   one record (decode.h)
 *   publish.c  publishes records to the hub
 *   probe.c    requests to the module: whether it works here, start, status
 */

#include "base/clock.h"
#include "source/module/stream.h"
#include "source/netlink/genl.h"
#include "source/proc/cgroups.h"
#include "source/proc/reader.h"
#include "source/resync.h"
#include "source/source.h"

/* Events that the previous source published while this one was already receiving. */
struct module_seam {
	struct module_published {
		enum event_type type;
		struct process_id id;
		uint64_t boot_usec;
	} * published; /* owned */
	size_t n, max;
	uint64_t until_usec; /* CLOCK_BOOTTIME: later events cannot have been published before */
};

struct module_stats {
	uint64_t wakeups, resyncs, held, unplaced, published_before;
};

struct module {
	struct source source;
	struct hub *hub;
	struct event_base *base;
	uint64_t socket_buffer;
	uint32_t arguments;

	/* The module */
	struct genl_family_info family;
	struct module_status status; /* at the last request */
	uint64_t status_usec;	     /* CLOCK_REALTIME of that request */
	int live_fd, request_fd;
	unsigned char *buffer; /* for answers */
	struct module_stream stream;
	bool failed; /* a failed socket was logged already */

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
	bool patient;			    /* no caller waits for us, so records may be held */
	char tty[PROCFS_TTY_MAX];	    /* of the record that is being published */

	/* The table */
	struct proc_helper *helper;
	struct resync *resync;

	struct module_seam seam;
	struct module_stats stats;
};

/* All records up to this one are published. */
static inline void module_set_origin(struct module *module, uint64_t seq)
{
	const struct hub_origin origin = { .instance = module->stream.instance, .kernel_seq = seq };

	hub_set_origin(module->hub, &origin);
}

/* publish.c */
enum module_answer module_publish(void *userdata, struct module_record *record);
void module_publish_lost(void *userdata, const struct module_gap *gap);
/* resync_ops.gone */
void module_publish_gone(void *userdata, uint32_t pid, uint64_t nsec);
/* Do not publish again the events that the previous source has published since then (CLOCK_BOOTTIME). Return: 0 or -ENOMEM. */
int module_seam_begin(struct module_seam *seam, const struct log *log, uint64_t since_usec);
void module_seam_done(struct module_seam *seam);

/* probe.c */
bool module_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX]);
/* Names of the types that the module lacks, separated by commas. Return: whether there are any. */
bool module_lacks(const struct module_status *status, char *buf, size_t size);
/* Find the module, open both sockets, arm and join. Return: 0 or a negative errno, after logging the error. */
int module_open(struct module *module);
void module_close(struct module *module);
/* Send the wanted types to the module. */
void module_arm(struct module *module);
/* Ask the module for its status. Return: 0; -EBUSY while a replay runs; another negative errno. */
int module_ask_status(struct module *module);
void module_describe(const struct module *module, struct json_builder *object);
