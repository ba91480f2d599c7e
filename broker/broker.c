// SPDX-License-Identifier: LGPL-2.1-or-later
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"

/* Descriptors other than those of connections. */
#define OTHER_FILES 512

/* Events of a low priority that are handled before the loop looks for others. */
#define CALLBACKS_MAX 8

/* Who used more processor time, in percent of one processor, comes after the others. */
#define TIME_PERCENT	10
#define TIME_BURST_USEC (20 * USEC_PER_MSEC)

/* Memory of the peers' filters, and for what is kept to be sent: bytes a connection, and for all together at least. */
#define FILTER_BYTES (8 * 1024)
#define CACHED_BYTES (32 * 1024)
#define BYTES_MIN    (4 * 1024 * 1024)
#define LABEL_BYTES  (16 * 1024)
#define LABELS_MIN   (32 * 1024 * 1024) /* the past of a tree of 200,000 processes needs 8 MiB */

static void on_end(void *userdata)
{
	struct broker *broker = userdata;

	event_base_loopbreak(broker->base);
}

static void on_service_status(void *userdata, char text[static SERVICE_STATUS_MAX])
{
	const struct broker *broker = userdata;
	const struct hub *hub = broker->hub;

	snprintf(text, SERVICE_STATUS_MAX, "Source %s, %llu events, %u subscribers in %u views.",
		 hub_source(hub), (unsigned long long)log_next(hub_log(hub)) - 1,
		 faces_stats(broker->faces).subscribers, views_stats(hub_views(hub))->views);
}

static void get_face_options(const struct broker *broker, struct face_options *options)
{
	const struct config *config = &broker->config;

	*options = (struct face_options){
		.group = broker->group,
		.request_max = config->request_size,
		.request_usec = config->request_timeout_usec,
		.heartbeat_usec = config->heartbeat_usec,
		.coalesce_usec = config->coalesce_usec,
	};
}

/*
 * A group that does not exist on this machine is not an error: then only root sees all processes. Looking it up may ask a
 * server, so this is only done before the loop runs.
 */
static void set_group(struct broker *broker)
{
	int r = config_group(&broker->config, &broker->group);

	if (r > 0)
		msg_warning("this machine has no group '%s': only root sees all processes",
			    broker->config.group);
	else if (r < 0)
		msg_warning("cannot look up the group '%s': %s: only root sees all processes",
			    broker->config.group, strerror(-r));
}

/*
 * Make the table of descriptors as large as it becomes. It grows by doubling, and in a process with threads each time waits
 * until all processors have been seen without readers of the old one, which takes long on a busy machine.
 */
static void grow_files(uint64_t n)
{
	int last = n > 0 && n <= INT_MAX ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)n - 1) : -1;

	if (last >= 0)
		close(last);
}

/*
 * Each connection has a descriptor. Return: for how many there are some. Without this limit connections that nobody accepts
 * would fill the backlog, and there would be no reserve.
 */
static uint64_t raise_files(uint64_t connections)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return connections;
	limit.rlim_cur = connections + OTHER_FILES;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return connections;
	grow_files(limit.rlim_cur);
	if (limit.rlim_cur >= connections + OTHER_FILES)
		return connections;
	connections = limit.rlim_cur > 2 * OTHER_FILES ? limit.rlim_cur - OTHER_FILES : limit.rlim_cur / 2;
	msg_warning("RLIMIT_NOFILE is %llu: at most %llu connections", (unsigned long long)limit.rlim_cur,
		    (unsigned long long)connections);
	return connections;
}

static uint64_t at_least(uint64_t number, uint64_t min)
{
	return number > min ? number : min;
}

static void set_budget(const struct broker *broker)
{
	struct budget *budget = broker->budget;
	uint64_t all = raise_files(broker->config.connections), each = broker->config.connections_per_user;

	budget_set(budget, BUDGET_CONNECTIONS, all, each);
	budget_set(budget, BUDGET_SUBSCRIPTIONS, all, each);
	budget_set(budget, BUDGET_FILTER_BYTES, at_least(all * FILTER_BYTES, BYTES_MIN), UINT64_MAX);
	budget_set(budget, BUDGET_LABELS, at_least(all * LABEL_BYTES, LABELS_MIN), UINT64_MAX);
	budget_set(budget, BUDGET_CACHED_BYTES, at_least(all * CACHED_BYTES, BYTES_MIN), UINT64_MAX);
}

static void apply(struct broker *broker)
{
	const struct config *config = &broker->config;
	struct face_options options;

	msg_set_level(config->log_level);
	set_budget(broker);
	hub_set_wanted(broker->hub, config->armed);
	get_face_options(broker, &options);
	faces_set_options(broker->faces, &options);
}

static void on_reload(void *userdata)
{
	struct broker *broker = userdata;
	struct config config;

	if (options_load(broker->options, &config) == 0) {
		/* Who has the log open keeps it until a new start, which also ends all connections. */
		if (strcmp(config.group, broker->config.group) != 0)
			msg_warning(
				"Group= is read when the broker starts: '%s' sees all processes until then",
				broker->config.group);
		config_reload(&broker->config, &config);
		apply(broker);
		msg_info("configuration reloaded");
	} else {
		msg_warning("the configuration is unchanged");
	}
}

static const struct service_ops service_ops = {
	.end = on_end,
	.reload = on_reload,
	.status = on_service_status,
};

static void on_armed(void *userdata)
{
	struct broker *broker = userdata;

	if (!broker->sources)
		return;
	sources_arm(broker->sources);
	/* Not at once: the subscriber that caused it is still being added or removed. */
	event_active(broker->flush, EV_TIMEOUT, 0);
	hub_source_changed(broker->hub, hub_source(broker->hub), "armed", hub_source_detail(broker->hub));
}

static void on_flush(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_flush(broker->hub);
}

/* Readers of the mapped log were not woken yet, so that they are not woken too often. */
static void on_early(void *userdata, uint64_t usec)
{
	struct broker *broker = userdata;
	struct timeval after = usec_to_timeval(usec);

	if (!event_pending(broker->wake, EV_TIMEOUT, NULL))
		event_add(broker->wake, &after);
}

static void on_wake(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_wake(broker->hub);
}

/* A timer may fire a little early; then hub_rearm() does nothing, and nothing would call it again. */
#define REARM_SLACK_USEC (10 * USEC_PER_MSEC)

static void on_rearm_later(void *userdata, uint64_t usec)
{
	struct broker *broker = userdata;
	struct timeval after = usec_to_timeval(usec + REARM_SLACK_USEC);

	event_add(broker->rearm, &after);
}

static void on_rearm(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_rearm(broker->hub);
}

static void on_unfold_later(void *userdata, uint64_t usec)
{
	struct broker *broker = userdata;
	struct timeval after = usec_to_timeval(usec);

	if (!event_pending(broker->unfold, EV_TIMEOUT, NULL))
		event_add(broker->unfold, &after);
}

static void on_unfold(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_unfold(broker->hub);
}

static const struct hub_ops hub_ops = {
	.armed = on_armed,
	.early = on_early,
	.rearm = on_rearm_later,
	.unfold = on_unfold_later,
};

static char *on_status(void *userdata, bool forget)
{
	return status_print(userdata, forget);
}

static uint64_t on_longest_turn(void *userdata)
{
	const struct broker *broker = userdata;

	return broker->turn.longest_nsec / NSEC_PER_USEC;
}

static int on_take_socket(void *userdata, const char *name)
{
	struct broker *broker = userdata;

	return service_take_socket(broker->service, name);
}

static unsigned int on_count_subscribers(void *userdata)
{
	const struct broker *broker = userdata;

	return faces_stats(broker->faces).subscribers;
}

static int begin_faces(struct broker *broker)
{
	struct face_context context = {
		.hub = broker->hub,
		.base = broker->base,
		.budget = broker->budget,
		.directory = broker->config.runtime_directory,
		.bus = broker->config.bus == CONFIG_BUS_SYSTEM ? FACE_BUS_SYSTEM
		       : broker->config.bus == CONFIG_BUS_USER ? FACE_BUS_USER
							       : FACE_BUS_NONE,
		.take_socket = on_take_socket,
		.status = on_status,
		.longest_turn = on_longest_turn,
		.count_subscribers = on_count_subscribers,
		.userdata = broker,
	};

	get_face_options(broker, &context.options);
	return faces_new(&broker->faces, &context);
}

/* The hub */

static int open_log(struct log **ret, const struct config *config, gid_t group)
{
	char path[PATH_MAX];
	int r;

	if (mkdir(config->runtime_directory, 0755) < 0 && errno != EEXIST) {
		msg_err("cannot make %s: %m", config->runtime_directory);
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/log", config->runtime_directory);
	r = log_open(ret, path, config->log_size, group);
	if (r == LOG_E_BUSY) {
		msg_err("another broker runs in %s", config->runtime_directory);
		return -EBUSY;
	}
	if (r == LOG_E_FOREIGN) {
		msg_err("%s is not safe: it must belong to root or to the broker's user, and nobody else may "
			"write there",
			config->runtime_directory);
		return -EPERM;
	}
	if (r < 0) {
		errno = -r;
		msg_err("cannot open the log in %s: %m", config->runtime_directory);
		return r;
	}
	if (log_origin(*ret) == LOG_REPLACED)
		msg_warning("the existing log is not used: %s; a new one begins", log_origin_reason(*ret));
	else if (log_origin(*ret) == LOG_REOPENED)
		msg_info("log reopened with %llu events",
			 (unsigned long long)(log_next(*ret) - log_first(*ret)));
	return 0;
}

/* A reopened log does not have the events from the time when no broker ran. */
static int bridge_outage(struct hub *hub, const struct config *config)
{
	int r;

	if (log_origin(hub_log(hub)) != LOG_REOPENED || config->source == CONFIG_SOURCE_REPLAY)
		return 0;
	r = hub_restore(hub);
	if (r < 0)
		return r;
	if (log_next(hub_log(hub)) > 1)
		hub_begin_outage(hub, NULL, NULL, log_last_time(hub_log(hub)));
	return 0;
}

static int begin_hub(struct broker *broker)
{
	struct log *log = NULL;
	int r;

	broker->flush = event_new(broker->base, -1, 0, on_flush, broker);
	broker->wake = event_new(broker->base, -1, 0, on_wake, broker);
	broker->rearm = event_new(broker->base, -1, 0, on_rearm, broker);
	broker->unfold = event_new(broker->base, -1, 0, on_unfold, broker);
	if (!broker->flush || !broker->wake || !broker->rearm || !broker->unfold)
		return -ENOMEM;
	event_priority_set(broker->flush, PRIORITY_SOURCE);
	event_priority_set(broker->wake, PRIORITY_SOURCE);
	event_priority_set(broker->rearm, PRIORITY_SOURCE);
	event_priority_set(broker->unfold, PRIORITY_SOURCE);
	r = open_log(&log, &broker->config, broker->group);
	if (r < 0)
		return r;
	r = hub_new(&broker->hub, log, broker->config.encoding_cache);
	if (r < 0) {
		log_free(log);
		return r;
	}
	hub_set_ops(broker->hub, &hub_ops, broker);
	hub_set_wanted(broker->hub, broker->config.armed);
	return bridge_outage(broker->hub, &broker->config);
}

static int begin_budget(struct broker *broker)
{
	int r = owners_new(&broker->owners, broker->config.subuid, OWNERS_PASSWD_FILE);

	if (r == 0)
		r = budget_new(&broker->budget);
	if (r < 0)
		return r;
	budget_set_time(broker->budget, TIME_PERCENT, TIME_BURST_USEC);
	budget_set_owners(broker->budget, broker->owners);
	set_budget(broker);
	/* A recording is published as it is. */
	return broker->config.source == CONFIG_SOURCE_REPLAY ? 0
							     : hub_begin_fold(broker->hub, broker->owners);
}

/* After a few events of a low priority it looks for new ones of a high priority. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_MAX, PRIORITY_DELIVERY) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	if (base)
		event_base_priority_init(base, _PRIORITY_MAX);
	return base;
}

static void on_gone(void *userdata, const char *path)
{
	struct broker *broker = userdata;

	msg_err("%s was removed, so clients do not find this broker any more; ending, to be started again",
		path);
	broker->result = -ENOENT;
	event_base_loopbreak(broker->base);
}

/* Without it the broker works as well, but if it is not found, the reason stays unknown. */
static void watch_place(struct broker *broker)
{
	int r = place_new(&broker->place, broker->base, broker->config.runtime_directory, on_gone, broker);

	if (r < 0)
		msg_warning("cannot watch %s: %s; if it is removed, nobody will notice",
			    broker->config.runtime_directory, strerror(-r));
}

static int begin(struct broker *broker)
{
	const struct config *config = &broker->config;
	int r;

	set_group(broker);
	broker->base = new_base();
	if (!broker->base)
		return -ENOMEM;
	r = service_new(&broker->service, broker->base, &service_ops, broker);
	if (r == 0)
		r = begin_hub(broker);
	if (r == 0)
		r = begin_budget(broker);
	if (r == 0)
		r = sources_new(&broker->sources, config, broker->hub, broker->base);
	if (r == 0)
		r = begin_faces(broker);
	if (r == 0)
		watch_place(broker);
	return r;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void end(struct broker *broker)
{
	place_free(broker->place);
	faces_free(broker->faces);
	sources_free(broker->sources);
	hub_free(broker->hub);
	budget_free(broker->budget);
	owners_free(broker->owners);
	service_free(broker->service);
	free_event(broker->flush);
	free_event(broker->wake);
	free_event(broker->rearm);
	free_event(broker->unfold);
	if (broker->base)
		event_base_free(broker->base);
}

/* Until a signal ends it, or its sockets are gone. */
static void loop(struct broker *broker)
{
	turn_watch(&broker->turn);
	do {
		faces_prepare(broker->faces);
		event_base_loop(broker->base, EVLOOP_ONCE);
	} while (!event_base_got_break(broker->base));
	turn_done(&broker->turn);
}

int broker_run(const struct options *options, const struct config *config, void (*ready)(void))
{
	struct broker broker = { .options = options,
				 .config = *config,
				 .started_usec = clock_usec(CLOCK_REALTIME) };
	int r;

	msg_set_level(broker.config.log_level);
	r = begin(&broker);
	if (r == 0) {
		service_ready(broker.service);
		msg_info("ready in %s", broker.config.runtime_directory);
		if (ready)
			ready();
		loop(&broker);
		service_stopping();
		r = broker.result;
	} else if (r == -ENOMEM) {
		msg_err("out of memory");
	}
	end(&broker);
	return r;
}
