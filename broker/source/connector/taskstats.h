/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Taskstats: the resources that a thread used, in a message that the kernel sends when it exits.
 *
 * There is a socket for each CPU, or for a few. Thus no socket has to hold the records of all CPUs under load, and the socket
 * shows the CPU of a record, which the record does not contain: the first one, if several share it.
 */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "source/netlink/socket.h"

#define TASKSTATS_COMM_MAX 32

/*
 * From <linux/acct.h>: a capability let it do something since its fork; killed by a signal; the thread that ended its process
 * (kernel 5.19, version 12).
 */
#define TASKSTATS_ASU	 0x02
#define TASKSTATS_AXSIG	 0x10
#define TASKSTATS_AGROUP 0x20

struct taskstats_usage {
	uint64_t user_usec, system_usec;
	uint64_t max_rss_kib;
	uint64_t minor_faults, major_faults;
	uint64_t voluntary, involuntary;
	uint64_t read_bytes, write_bytes;
	uint64_t read_chars, write_chars;
};

/* The record of one thread. */
struct taskstats_record {
	uint16_t version;
	uint8_t flags;
	bool has_group; /* its process had more than one thread at some time; only in AGROUP records */
	uint32_t code;	/* as a wait status */
	uint32_t tid;
	uint32_t tgid; /* 0: unknown, before version 12 */
	uint32_t ppid, uid, gid;
	char comm[TASKSTATS_COMM_MAX];
	uint64_t elapsed_usec;
	uint64_t life_usec; /* the same of its process; 0: unknown, before version 12 */
	struct taskstats_usage usage;
	/*
	 * With @has_group, sums over all threads that the process ever had: CPU times and switches. Correct from version
	 * 16 on; before, some sums did not include threads that had ended.
	 */
	struct taskstats_usage group;

	/* Set by the receiver */
	unsigned int cpu;      /* the first CPU of the socket */
	uint64_t arrival_nsec; /* CLOCK_MONOTONIC */
	/* It was made after this time: its socket was empty then, and messages were not being lost. */
	uint64_t after_nsec;
	uint64_t heard_nsec; /* last message of the proc connector before the record was made */
	TAILQ_ENTRY(taskstats_record) link;
};

enum {
	_TASKSTATS_E_SUCCESS,
	TASKSTATS_E_OTHER,     /* not about the end of a thread */
	TASKSTATS_E_MALFORMED, /* cut, or of a version with too few fields */
};

/* taskstats_decode() - read one message; the content is not trusted. Return: 0, TASKSTATS_E_OTHER, TASKSTATS_E_MALFORMED. */
int taskstats_decode(struct taskstats_record *record, const struct nlmsghdr *message, uint16_t family);

/*
 * The CPUs of the sockets. All possible CPUs have one, since any of them may be added later, when nobody registers for it. With
 * more of them than sockets, some share one.
 */
#define TASKSTATS_CPUS_MAX    8192
#define TASKSTATS_SOCKETS_MAX 128
#define TASKSTATS_MASK_MAX    (TASKSTATS_CPUS_MAX / TASKSTATS_SOCKETS_MAX * sizeof("8191"))

/* taskstats_parse_cpus() - the CPUs of a list like "0-3,8". Return: their number, or -EINVAL. */
int taskstats_parse_cpus(const char *text, unsigned int *cpus, unsigned int max);
/* taskstats_share() - how many CPUs share a socket */
unsigned int taskstats_share(unsigned int n_cpus);
/* taskstats_print_cpus() - such a list, as the kernel reads it */
void taskstats_print_cpus(char mask[static TASKSTATS_MASK_MAX], const unsigned int *cpus, unsigned int n);

struct taskstats_sockets;

/*
 * taskstats_sockets_new() - register for the records of every thread that exits
 * Return: 0 or a negative errno (-EPERM: needs CAP_NET_ADMIN; -ENOENT: not in this kernel).
 */
int taskstats_sockets_new(struct taskstats_sockets **ret, uint64_t buffer, struct netlink_arena *arena);
/* NULL is fine. Return: NULL. */
struct taskstats_sockets *taskstats_sockets_free(struct taskstats_sockets *sockets);

/* taskstats_sockets_fd() - readable when there are records; -1 of NULL */
int taskstats_sockets_fd(const struct taskstats_sockets *sockets);

typedef void (*taskstats_fn)(const struct taskstats_record *record, void *userdata);

/*
 * taskstats_sockets_drain() - read all records that are queued now
 * @lost: the number of missing records is added to it
 * Return: number of records.
 */
unsigned int taskstats_sockets_drain(struct taskstats_sockets *sockets, struct netlink_arena *arena,
				     taskstats_fn fn, void *userdata, uint64_t *lost);
