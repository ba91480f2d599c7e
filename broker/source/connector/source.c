// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/connector/connector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"

/* How long to wait for the kernel's answer. */
#define LISTEN_USEC (1 * USEC_PER_SEC)
#define ANSWER_USEC (500 * USEC_PER_MSEC) /* when probing */

static inline struct connector *to_connector(struct source *source)
{
	return (struct connector *)source;
}

static struct source *connector_stop(struct source *source)
{
	struct connector *connector = to_connector(source);

	if (!connector)
		return NULL;
	pace_stop(&connector->pace);
	if (connector->fd >= 0) {
		cn_socket_ignore(connector->fd);
		close(connector->fd);
	}
	taskstats_sockets_free(connector->taskstats);
	proc_helper_free(connector->helper);
	groups_free(connector->groups);
	connector_queue_done(&connector->queue);
	resync_free(connector->resync);
	free(connector->arena);
	free(connector);
	return NULL;
}

static struct connector *connector_free(struct connector *connector)
{
	connector_stop(&connector->source);
	return NULL;
}

DEFINE_CLEANUP(struct connector, connector_free)

static int connector_new(struct connector **ret, struct hub *hub, struct event_base *base,
			 const struct source_options *options)
{
	_cleanup_(connector_free_p) struct connector *connector = calloc(1, sizeof(*connector));

	if (!connector)
		return -ENOMEM;
	connector->fd = -1;
	connector->source.ops = &connector_source;
	connector->hub = hub;
	pace_init(&connector->pace, base, options->coalesce_usec, &connector_pace_ops, connector);
	connector->socket_buffer = options->socket_buffer;
	connector->arena = malloc(sizeof(*connector->arena));
	if (!connector->arena || connector_queue_init(&connector->queue) < 0)
		return -ENOMEM;
	netlink_arena_init(connector->arena);
	*ret = steal(connector);
	return 0;
}

/* Without taskstats, events have fewer fields, but the source still works. */
static void open_taskstats(struct connector *connector)
{
	int r = taskstats_sockets_new(&connector->taskstats, connector->socket_buffer, connector->arena);

	if (r == -EPERM)
		msg_info("Without CAP_NET_ADMIN there is no taskstats: exits carry no usage except the "
			 "elapsed time.");
	else if (r < 0)
		msg_warning("Taskstats does not work, exits carry no usage except the elapsed time: %s",
			    strerror(-r));
}

static int open_connector(struct connector *connector)
{
	int r = cn_socket_open(connector->socket_buffer);

	if (r < 0) {
		msg_err("Cannot open a socket of the proc connector: %s", strerror(-r));
		return r;
	}
	connector->fd = r;
	r = connector_listen(connector, connector->fd, LISTEN_USEC);
	if (r < 0) {
		msg_err("Cannot subscribe to the proc connector: %s", strerror(-r));
		return r;
	}
	if (r == CN_SOCKET_E_FOREIGN)
		msg_err("The proc connector does not answer: it serves the initial pid and user namespaces "
			"alone.");
	else if (r > 0)
		msg_err("The proc connector does not answer.");
	return r > 0 ? -EOPNOTSUPP : 0;
}

/* Subscribe first, then read /proc: a process that starts in between is found by at least one of them. */
static int connector_open(struct connector *connector)
{
	int r;

	open_taskstats(connector);
	r = groups_new(&connector->groups, connector->taskstats != NULL);
	if (r == 0)
		r = proc_helper_new(&connector->helper);
	if (r == 0)
		r = resync_new(&connector->resync, connector->hub, &connector->clocks, &connector_resync_ops,
			       connector);
	if (r < 0) {
		msg_err("Cannot start reading /proc: %s", strerror(-r));
		return r;
	}
	return open_connector(connector);
}

static int connector_start(struct source **ret, struct hub *hub, struct event_base *base,
			   const struct source_options *options)
{
	_cleanup_(connector_free_p) struct connector *connector = NULL;
	int r = connector_new(&connector, hub, base, options);

	if (r == 0)
		r = connector_open(connector);
	if (r == 0)
		r = connector_run(connector);
	if (r < 0)
		return r;
	hub_flush(hub);
	*ret = &steal(connector)->source;
	return 0;
}

/* The kernel sends every kind of message anyway. The wanted types are looked up when events are published. */
static void connector_arm(struct source *source)
{
	(void)source;
}

static void connector_describe_status(const struct source *source, struct json_builder *object)
{
	const struct connector *connector = (const struct connector *)source;
	const struct connector_stats *stats = &connector->stats;

	json_put(object, "taskstats", json_boolean(connector->taskstats));
	source_describe_number(object, "wakeups", connector->pace.wakeups);
	source_describe_number(object, "messages", stats->messages);
	source_describe_number(object, "malformedMessages", stats->malformed);
	source_describe_number(object, "lostMessages", stats->lost_messages);
	source_describe_number(object, "lostUsages", stats->lost_records);
	source_describe_number(object, "resyncs", stats->resyncs);
	source_describe_number(object, "timesSilenced", stats->unarmed);
	source_describe_number(object, "procReads", stats->proc_reads);
	source_describe_number(object, "procTooLate", stats->proc_late);
	source_describe_number(object, "procSkipped", stats->proc_skipped);
	source_describe_number(object, "groups", groups_count(connector->groups));
	source_describe_number(object, "pendingGroups", groups_ending(connector->groups));
	source_describe_number(object, "pendingUsages", groups_records(connector->groups));
	json_put(object, "coalescing", json_boolean(connector->pace.loaded));
}

static uint64_t connector_finish(struct source *source)
{
	struct connector *connector = to_connector(source);

	connector_drain(connector);
	return connector_time_usec(connector, connector->published_nsec);
}

/* Probing */

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
	/* Another program made the kernel stop sending; start() can correct this. */
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
		say(found, advice, "The proc connector of this kernel requires root.",
		    "Run as root or with CAP_NET_ADMIN; from Linux 6.6 on others may listen as well.");
		break;
	case CN_SOCKET_E_FOREIGN:
		say(found, advice,
		    "The proc connector does not answer: it serves only the initial pid and user namespaces.",
		    "Run in the initial pid and user namespaces, outside of a container.");
		break;
	default:
		snprintf(found, SOURCE_SENTENCE_MAX, "The proc connector does not work: %s.", strerror(-r));
		advice[0] = '\0';
		break;
	}
}

/* From 6.6 on, ordinary users may send it requests. */
static bool users_can_silence(void)
{
	unsigned int major, minor;
	struct utsname name;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 6));
}

static bool connector_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	_cleanup_free_ struct netlink_arena *arena = malloc(sizeof(*arena));
	int r;

	if (!arena) {
		say(found, advice, "There is not enough memory to try it.", "");
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
		say(found, advice, "The proc connector and taskstats work.",
		    users_can_silence() ? "Any user can silence the proc connector of this kernel for "
					  "moments, which hides forks, "
					  "but no ends: the kernel module is not affected."
					: "");
	else if (r == -EPERM)
		say(found, advice,
		    "The proc connector works, taskstats is not allowed: exits carry no usage.",
		    "As root, or with CAP_NET_ADMIN, exits carry what the process used.");
	else
		say(found, advice, "The proc connector works, taskstats does not: exits carry no usage.",
		    "A kernel with CONFIG_TASKSTATS=y and CONFIG_TASK_XACCT=y reports what a process used.");
	return true;
}

const struct source_ops connector_source = {
	.name = "connector",
	.supported = HUB_ARMED_ALWAYS | EVENT_TYPE_BIT(EVENT_COREDUMP) | EVENT_TYPE_BIT(EVENT_PTRACE) |
		     HUB_ARMED_THREADS,
	.start = connector_start,
	.finish = connector_finish,
	.arm = connector_arm,
	.describe = connector_describe_status,
	.stop = connector_stop,
	.probe = connector_probe,
};
