// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "broker.h"
#include "status.h"

/* How often the service manager is told how things are. */
#define REPORT_SEC  5
/* Descriptors beside those of connections. */
#define OTHER_FILES 512

static struct timeval timeval_of(uint64_t usec)
{
	return (struct timeval){ (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
}

static void add(struct face_stats *sum, const struct face_stats *face)
{
	sum->connections += face->connections;
	sum->subscribers += face->subscribers;
	sum->sent_bytes += face->sent_bytes;
}

struct face_stats broker_faces(const struct broker *broker)
{
	struct face_stats sum = {};

	add(&sum, stream_stats(broker->stream));
	add(&sum, varlink_stats(broker->varlink));
	if (broker->dbus)
		add(&sum, dbus_stats(broker->dbus));
	return sum;
}

static void report(const struct broker *broker)
{
	const struct hub *hub = broker->hub;

	(void)sd_notifyf(0, "STATUS=Source %s, %llu events, %u subscribers in %u views.", hub->source,
			 (unsigned long long)log_next(hub->log) - 1, broker_faces(broker).subscribers,
			 views_stats(hub->views)->views);
}

static void on_report(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what;
	report(userdata);
}

static void on_watchdog(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd, (void)what, (void)userdata;
	(void)sd_notify(0, "WATCHDOG=1");
}

static void on_end(evutil_socket_t signal, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)what;
	msg_info("ending on %s", strsignal((int)signal));
	event_base_loopbreak(broker->base);
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

/* A group that this machine has not got is no reason to stop: then root alone sees all. */
static void set_group(struct broker *broker)
{
	if (config_group(&broker->config, &broker->group) != 0)
		msg_warning("this machine has no group '%s': only root sees all processes",
			    broker->config.group);
}

/* What may change while it runs; the rest stays as it was when it began. */
static void apply(struct broker *broker)
{
	const struct config *config = &broker->config;
	struct face_options options;

	set_group(broker);
	msg_set_level(config->log_level);
	budget_set(broker->budget, (unsigned int)config->connections,
		   (unsigned int)config->connections_per_user);
	get_face_options(broker, &options);
	stream_set(broker->stream, &options);
	varlink_set(broker->varlink, &options);
	if (broker->dbus)
		dbus_set(broker->dbus, &options);
}

static void on_reload(evutil_socket_t signal, short what, void *userdata)
{
	struct broker *broker = userdata;
	struct config config;

	(void)signal, (void)what;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)clock_usec(CLOCK_MONOTONIC));
	if (options_load(broker->options, &config) == 0) {
		broker->config = config;
		apply(broker);
		msg_info("configuration reloaded");
	} else {
		msg_warning("the configuration stays as it was");
	}
	(void)sd_notify(0, "READY=1");
}

static void on_armed(void *userdata)
{
	struct broker *broker = userdata;

	if (!broker->sources)
		return;
	sources_arm(broker->sources);
	/* Not at once: the subscriber that wants it, or wants it no longer, is still coming or going. */
	event_active(broker->flush, EV_TIMEOUT, 0);
	hub_source_changed(broker->hub, broker->hub->source, "armed", broker->hub->source_detail);
}

static void on_flush(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_flush(broker->hub);
}

/* Those who read the mapped log were not woken yet, so that they are not woken too often. */
static void on_early(void *userdata, uint64_t usec)
{
	struct broker *broker = userdata;
	struct timeval after = timeval_of(usec);

	if (!event_pending(broker->wake, EV_TIMEOUT, NULL))
		event_add(broker->wake, &after);
}

static void on_wake(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	(void)fd, (void)what;
	hub_wake(broker->hub);
}

static const struct hub_ops hub_ops = {
	.armed = on_armed,
	.early = on_early,
};

static char *on_status(void *userdata)
{
	return status_print(userdata);
}

static void raise_limits(const struct config *config)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = config->connections + OTHER_FILES;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int in_runtime_dir(char path[static PATH_MAX], const struct config *config, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", config->runtime_directory, name) < PATH_MAX ? 0
											     : -ENAMETOOLONG;
}

static int open_log(struct broker *broker, struct log **ret)
{
	const struct config *config = &broker->config;
	char path[PATH_MAX];
	int r;

	if (mkdir(config->runtime_directory, 0755) < 0 && errno != EEXIST) {
		msg_err("cannot make %s: %m", config->runtime_directory);
		return -errno;
	}
	r = in_runtime_dir(path, config, "log");
	if (r == 0)
		r = log_open(ret, path, config->log_size, broker->group);
	if (r == LOG_E_BUSY) {
		msg_err("another broker runs in %s", config->runtime_directory);
		return -EBUSY;
	}
	if (r < 0) {
		errno = -r;
		msg_err("cannot open the log in %s: %m", config->runtime_directory);
		return r;
	}
	if (log_origin(*ret) == LOG_REPLACED)
		msg_warning("the log that was there is not used: %s; a new one begins",
			    log_origin_reason(*ret));
	else if (log_origin(*ret) == LOG_REOPENED)
		msg_info("the log goes on: it holds %llu events",
			 (unsigned long long)(log_next(*ret) - log_first(*ret)));
	return 0;
}

/* What a reopened log cannot know: what happened while nobody wrote it. */
static int bridge_outage(struct broker *broker)
{
	struct hub *hub = broker->hub;
	int r;

	if (log_origin(hub->log) != LOG_REOPENED || broker->config.source == CONFIG_SOURCE_REPLAY)
		return 0;
	r = hub_restore(hub);
	if (r < 0)
		return r;
	if (log_next(hub->log) > 1)
		hub_begin_outage(hub, NULL, NULL, log_last_time(hub->log));
	return 0;
}

static int add_signals(struct broker *broker)
{
	uint64_t watchdog_usec = 0;
	struct timeval every;

	(void)signal(SIGPIPE, SIG_IGN);
	broker->on_term = evsignal_new(broker->base, SIGTERM, on_end, broker);
	broker->on_int = evsignal_new(broker->base, SIGINT, on_end, broker);
	broker->on_hup = evsignal_new(broker->base, SIGHUP, on_reload, broker);
	broker->report = event_new(broker->base, -1, EV_PERSIST, on_report, broker);
	broker->flush = event_new(broker->base, -1, 0, on_flush, broker);
	broker->wake = event_new(broker->base, -1, 0, on_wake, broker);
	broker->watchdog = event_new(broker->base, -1, EV_PERSIST, on_watchdog, broker);
	if (!broker->on_term || !broker->on_int || !broker->on_hup || !broker->report || !broker->flush ||
	    !broker->wake || !broker->watchdog)
		return -ENOMEM;
	event_add(broker->on_term, NULL);
	event_add(broker->on_int, NULL);
	event_add(broker->on_hup, NULL);
	every = (struct timeval){ .tv_sec = REPORT_SEC };
	event_add(broker->report, &every);
	if (sd_watchdog_enabled(0, &watchdog_usec) > 0) {
		every = timeval_of(watchdog_usec / 2);
		event_add(broker->watchdog, &every);
	}
	return 0;
}

/* Ours is the one of that name; a single one needs none. */
static bool is_varlink_socket(int fd, const char *name, int n)
{
	return (strcmp(name, "varlink") == 0 || (n == 1 && strcmp(name, "unknown") == 0)) &&
	       sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0;
}

/* The socket that a service manager made for us. Return: it, or -1. */
static int take_activation(void)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names), fd = -1;

	for (int i = 0; i < n; i++) {
		if (fd < 0 && is_varlink_socket(SD_LISTEN_FDS_START + i, names[i], n))
			fd = SD_LISTEN_FDS_START + i;
		else
			close(SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
	if (fd >= 0)
		evutil_make_socket_nonblocking(fd);
	return fd;
}

/* One way or the other. */
static int listen_varlink(struct broker *broker, const struct face_options *options)
{
	_cleanup_close_ int fd = take_activation();
	char path[PATH_MAX];
	int r = in_runtime_dir(path, &broker->config, "org.forkbus1");

	if (r == 0)
		r = varlink_new(&broker->varlink, fd < 0 ? path : NULL, fd, broker->hub, broker->base,
				broker->budget, options, on_status, broker);
	if (r == 0) {
		fd = -1;
	} else {
		errno = -r;
		msg_err("cannot listen at %s: %m", path);
	}
	return r;
}

static int listen_stream(struct broker *broker, const struct face_options *options)
{
	char path[PATH_MAX];
	int r = in_runtime_dir(path, &broker->config, "stream");

	if (r == 0)
		r = stream_new(&broker->stream, path, broker->hub, broker->base, broker->budget, options,
			       on_status, broker);
	if (r < 0) {
		errno = -r;
		msg_err("cannot listen at %s: %m", path);
	}
	return r;
}

static unsigned int on_subscribers(void *userdata)
{
	return broker_faces(userdata).subscribers;
}

static int go_on_bus(struct broker *broker, const struct face_options *options)
{
	enum config_bus bus = broker->config.bus;

	return bus == CONFIG_BUS_NONE
		       ? 0
		       : dbus_new(&broker->dbus, bus == CONFIG_BUS_USER ? DBUS_USER : DBUS_SYSTEM,
				  broker->hub, broker->base, broker->budget, options, on_subscribers, broker);
}

static int begin(struct broker *broker)
{
	const struct config *config = &broker->config;
	struct face_options options;
	struct log *log = NULL;
	int r;

	set_group(broker);
	raise_limits(config);
	broker->base = event_base_new();
	if (!broker->base)
		return -ENOMEM;
	r = add_signals(broker);
	if (r == 0)
		r = open_log(broker, &log);
	if (r < 0)
		return r;
	r = hub_new(&broker->hub, log, config->encoding_cache);
	if (r < 0) {
		log_free(log);
		return r;
	}
	hub_set_ops(broker->hub, &hub_ops, broker);
	r = bridge_outage(broker);
	if (r == 0)
		r = budget_new(&broker->budget, (unsigned int)config->connections,
			       (unsigned int)config->connections_per_user);
	if (r == 0)
		r = sources_new(&broker->sources, config, broker->hub, broker->base);
	if (r < 0)
		return r;
	get_face_options(broker, &options);
	r = listen_varlink(broker, &options);
	if (r == 0)
		r = listen_stream(broker, &options);
	return r == 0 ? go_on_bus(broker, &options) : r;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void end(struct broker *broker)
{
	dbus_free(broker->dbus);
	varlink_free(broker->varlink);
	stream_free(broker->stream);
	sources_free(broker->sources);
	hub_free(broker->hub);
	budget_free(broker->budget);
	free_event(broker->on_term);
	free_event(broker->on_int);
	free_event(broker->on_hup);
	free_event(broker->report);
	free_event(broker->flush);
	free_event(broker->wake);
	free_event(broker->watchdog);
	if (broker->base)
		event_base_free(broker->base);
}

/* Until somebody breaks it. */
static void loop(struct broker *broker)
{
	do {
		if (broker->dbus)
			dbus_prepare(broker->dbus);
		event_base_loop(broker->base, EVLOOP_ONCE);
	} while (!event_base_got_break(broker->base));
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
		(void)sd_notify(0, "READY=1");
		report(&broker);
		msg_info("ready in %s", broker.config.runtime_directory);
		if (ready)
			ready();
		loop(&broker);
		(void)sd_notify(0, "STOPPING=1");
	} else if (r == -ENOMEM) {
		msg_err("out of memory");
	}
	end(&broker);
	return r;
}
