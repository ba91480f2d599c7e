/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Taskstats of all CPUs, with a socket for each. Thus no socket has to hold the records of all CPUs under load, and the
 * socket shows the CPU of a record, which the record does not contain.
 */

#include "source/connector/taskstats.h"
#include "source/netlink/socket.h"

struct taskstats_sockets;

/*
 * taskstats_sockets_new() - register for the records of every thread that exits
 * Return: 0 or a negative errno (-EPERM: needs CAP_NET_ADMIN; -ENOENT: not in this kernel).
 */
int taskstats_sockets_new(struct taskstats_sockets **ret, uint64_t buffer, struct netlink_arena *arena);
/* NULL is fine. Return: NULL. */
struct taskstats_sockets *taskstats_sockets_free(struct taskstats_sockets *sockets);

typedef void (*taskstats_fn)(const struct taskstats_record *record, void *userdata);

/*
 * taskstats_sockets_drain() - all that is queued now
 * @lost: how many records are missing, added
 * Return: number of records.
 */
unsigned int taskstats_sockets_drain(struct taskstats_sockets *sockets, struct netlink_arena *arena,
				     taskstats_fn fn, void *userdata, uint64_t *lost);
