// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/connector/connector.h"

#define ANSWER_USEC (500 * USEC_PER_MSEC)

/* Listen for a moment, then unsubscribe. */
static int try_connector(struct netlink_arena *arena)
{
	_cleanup_close_ int fd = cn_socket_open(0);
	struct netlink_drain drain = {};
	int r;

	if (fd < 0)
		return fd;
	r = cn_socket_listen(fd, ANSWER_USEC, arena, NULL, NULL, &drain);
	cn_socket_ignore(fd);
	/* Silenced by another program: start() knows a cure. */
	return r == CN_SOCKET_E_SILENT ? 0 : r;
}

static int try_taskstats(struct netlink_arena *arena)
{
	struct taskstats_sockets *sockets;
	int r = taskstats_sockets_new(&sockets, 0, arena);

	if (r == 0)
		taskstats_sockets_free(sockets);
	return r;
}

static void say(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
		const char *what, const char *better)
{
	snprintf(found, SOURCE_SENTENCE_MAX, "%s", what);
	snprintf(advice, SOURCE_SENTENCE_MAX, "%s", better);
}

static void say_refused(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
			int r)
{
	switch (r) {
	case -EPROTONOSUPPORT:
		say(found, advice, "This kernel has no connector (CONFIG_CONNECTOR).",
		    "A kernel with CONFIG_PROC_EVENTS=y has one.");
		break;
	case -ECONNREFUSED:
		say(found, advice,
		    "The connector refuses: no proc connector in this kernel, or another network namespace "
		    "than the initial "
		    "one.",
		    "Run in the initial network namespace, on a kernel with CONFIG_PROC_EVENTS=y.");
		break;
	case -EPERM:
		say(found, advice, "The proc connector of this kernel is for root alone.",
		    "Run as root or with CAP_NET_ADMIN; from Linux 6.6 on others may listen as well.");
		break;
	case CN_SOCKET_E_FOREIGN:
		say(found, advice,
		    "The proc connector does not answer: in another pid or user namespace it does not.",
		    "Run in the initial pid and user namespaces, outside of a container.");
		break;
	default:
		snprintf(found, SOURCE_SENTENCE_MAX, "The proc connector does not work: %s.", strerror(-r));
		advice[0] = '\0';
		break;
	}
}

bool connector_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	_cleanup_free_ struct netlink_arena *arena = malloc(sizeof(*arena));
	int r;

	if (!arena) {
		say(found, advice, "There is not enough memory to try.", "");
		return false;
	}
	netlink_arena_init(arena);
	r = try_connector(arena);
	if (r != 0) {
		say_refused(found, advice, r);
		return false;
	}
	r = try_taskstats(arena);
	if (r == 0)
		say(found, advice, "The proc connector and taskstats work.", "");
	else if (r == -EPERM)
		say(found, advice,
		    "The proc connector works, taskstats is not allowed: exits carry no usage.",
		    "As root, or with CAP_NET_ADMIN, exits carry what the process used.");
	else
		say(found, advice, "The proc connector works, taskstats does not: exits carry no usage.",
		    "A kernel with CONFIG_TASKSTATS=y and CONFIG_TASK_XACCT=y reports what a process used.");
	return true;
}
