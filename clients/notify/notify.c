// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "notify.h"
#include "server.h"
#include "watch.h"

struct notify {
	const struct options *options;
	struct notify_config config;
	uint64_t uid;
	sd_event *event;
	sd_bus *bus;
	struct server *server;
	struct queue queue;
	struct quiet quiet;
	struct watch *commands, *crashes;
	bool connected, lost;
	bool failed; /* and the reason was logged */
};

static void notify_p(struct notify *notify)
{
	watch_free(notify->commands);
	watch_free(notify->crashes);
	quiet_done(&notify->quiet);
	server_free(notify->server);
	sd_bus_flush_close_unref(notify->bus);
	sd_event_unref(notify->event);
	notify_config_done(&notify->config);
}

/* @tally: see queue_add() */
static void notify_show(struct notify *notify, const struct notice *notice, const struct tally *tally)
{
	uint64_t now = 0;

	(void)sd_event_now(notify->event, CLOCK_MONOTONIC, &now);
	queue_add(&notify->queue, notice, tally, now);
	server_update(notify->server);
}

/* Stop with a failure; the reason was logged. */
static void notify_fail(struct notify *notify)
{
	notify->failed = true;
	(void)sd_event_exit(notify->event, STATUS_FAILURE);
}

static void print_ending(struct notify *notify, const struct notice *notice, const struct ending *ending,
			 bool quiet)
{
	int r = notice_print(notice, ending, quiet);

	if (r == 0)
		return;
	/* A reader that closes the pipe early is not a failure. */
	if (r == -EPIPE) {
		(void)sd_event_exit(notify->event, STATUS_OK);
		return;
	}
	msg_err("cannot write the output: %s", strerror(-r));
	notify_fail(notify);
}

/* The rules need the time of day: with --test the event's, which may be in the past. */
static void get_local_time(const struct notify *notify, const struct forkbus_event *event, struct tm *local)
{
	time_t now = time(NULL);
	uint64_t usec;

	if (notify->options->test && forkbus_event_get_uint(event, FORKBUS_FIELD_TIME_USEC, &usec) == 0)
		now = (time_t)(usec / USEC_PER_SEC);
	localtime_r(&now, local);
}

static void take_ending(struct notify *notify, const struct ending *ending, enum kind kind,
			const struct tm *local)
{
	enum verdict verdict = rules_judge(&notify->config, ending, notify->uid, local, kind);
	struct notice notice;

	if (verdict == VERDICT_PASS)
		return;
	notice_of_ending(&notice, ending, kind, rules_urgency(&notify->config, kind));
	if (notify->options->test)
		print_ending(notify, &notice, ending, verdict == VERDICT_HOLD);
	else if (verdict == VERDICT_HOLD)
		quiet_add(&notify->quiet, &notice);
	else
		notify_show(notify, &notice, NULL);
}

/* Both subscriptions report the same loss, and many losses often follow the first: only the first is logged. */
static void take_loss(struct notify *notify, const struct forkbus_event *event)
{
	const char *reason = "unknown";

	if (notify->lost)
		return;
	notify->lost = true;
	(void)forkbus_event_get_text(event, FORKBUS_FIELD_REASON, &reason, NULL);
	msg_warning("some process exits were missed (%s); not reported again", reason);
}

static void take_event(struct notify *notify, bool crashes, const struct forkbus_event *event)
{
	struct ending ending;
	struct tm local;
	enum kind kind;

	if (forkbus_event_get_type(event) == FORKBUS_TYPE_LOST)
		take_loss(notify, event);
	if (!ending_take(&ending, event))
		return;
	/* Both subscriptions report the crash of a long-running process. */
	kind = rules_kind(&notify->config, &ending);
	if ((kind == KIND_CRASH) != crashes)
		return;
	get_local_time(notify, event, &local);
	take_ending(notify, &ending, kind, &local);
}

static void log_connection(struct notify *notify, bool connected)
{
	const char *dir = notify->options->runtime_dir;

	if (connected && !notify->connected)
		msg_info("listening to the broker at %s, for processes of uid %lu", dir,
			 (unsigned long)notify->uid);
	else if (!connected && notify->connected)
		msg_info("lost the broker at %s; waiting for it", dir);
	else if (!connected)
		msg_info("there is no broker at %s; waiting for it", dir);
	notify->connected = connected;
}

static void on_item(struct watch *watch, int item, const struct forkbus_event *event, void *userdata)
{
	struct notify *notify = userdata;
	bool crashes = watch == notify->crashes;
	const char *why;

	if (item < 0) {
		why = forkbus_get_error(watch_bus(watch));
		msg_err("the broker at %s refused: %s", notify->options->runtime_dir,
			why ? why : strerror(-item));
		notify_fail(notify);
	} else if (item == FORKBUS_EVENT) {
		if (crashes && forkbus_event_get_type(event) == FORKBUS_TYPE_READY)
			log_connection(notify, true);
		take_event(notify, crashes, event);
	} else if (crashes && (item == FORKBUS_DISCONNECTED || item == FORKBUS_RECONNECTED)) {
		log_connection(notify, item == FORKBUS_RECONNECTED);
	}
}

/* @since: NULL: from now on. Return: 0 or a negative errno; an error was logged. */
static int notify_listen(struct notify *notify, struct watch **watch, bool crashes, const char *since)
{
	const struct watch_options options = {
		.runtime_dir = notify->options->runtime_dir,
		.uid = notify->uid,
		.signals = crashes,
		.min_elapsed_usec = notify->config.min_elapsed_usec,
		.since = since,
		.take = on_item,
		.userdata = notify,
	};

	return watch_new(watch, notify->event, &options);
}

/* The broker filters by elapsed time: a new limit needs a new subscription, which continues where the old one is. */
static void notify_listen_again(struct notify *notify)
{
	const char *cursor = forkbus_get_cursor(watch_bus(notify->commands));
	struct watch *watch;

	if (notify_listen(notify, &watch, false, cursor) < 0)
		return;
	watch_free(notify->commands);
	notify->commands = watch;
}

static void on_release(const struct notice *notice, const struct tally *tally, void *userdata)
{
	notify_show(userdata, notice, tally);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *signal, void *userdata)
{
	struct notify *notify = userdata;
	const struct options *options = notify->options;
	uint64_t before = notify->config.min_elapsed_usec;
	struct notify_config config;

	(void)source, (void)signal;
	(void)sd_notify(0, "RELOADING=1");
	if (notify_config_load(&config, options->config_file, options->config_must_exist) == 0) {
		notify_config_done(&notify->config);
		notify->config = config;
		queue_resize(&notify->queue, (unsigned int)config.on_screen);
		if (config.min_elapsed_usec != before)
			notify_listen_again(notify);
		quiet_update(&notify->quiet);
		msg_info("configuration reloaded");
	} else {
		msg_warning("the configuration is unchanged");
	}
	(void)sd_notify(0, "READY=1");
	return 0;
}

static int catch_signals(struct notify *notify)
{
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	/* With --test the program runs on a terminal: SIGHUP then means that the terminal was closed. */
	if (!notify->options->test)
		sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(notify->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(notify->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0 && !notify->options->test)
		r = sd_event_add_signal(notify->event, NULL, SIGHUP, on_reload, notify);
	return r;
}

/* Return: 0 or a negative errno; an error was logged. */
static int connect_desktop(struct notify *notify)
{
	int r = sd_bus_open_user(&notify->bus);

	if (r >= 0)
		r = sd_bus_set_exit_on_disconnect(notify->bus, 1);
	if (r >= 0)
		r = sd_bus_attach_event(notify->bus, notify->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = server_new(&notify->server, notify->event, notify->bus, &notify->queue);
	if (r < 0)
		msg_err("cannot connect to the session bus: %s", strerror(-r));
	return r < 0 ? r : 0;
}

static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)fd, (void)events, (void)userdata;
	return sd_event_exit(sd_event_source_get_event(source), STATUS_OK);
}

/* Notice at once when the reader of a pipe is gone, even if nothing is printed. A file has no reader, and epoll refuses it. */
static int watch_output(struct notify *notify)
{
	int r = sd_event_add_io(notify->event, NULL, STDOUT_FILENO, 0, on_hangup, NULL);

	if (r >= 0 || r == -EPERM)
		return 0;
	msg_err("cannot write the output: %s", strerror(-r));
	return r;
}

static int notify_start(struct notify *notify)
{
	int r = sd_event_new(&notify->event);

	if (r >= 0)
		r = catch_signals(notify);
	if (r >= 0)
		r = quiet_init(&notify->quiet, notify->event);
	if (r < 0) {
		msg_err("cannot start: %s", strerror(-r));
		return r;
	}
	queue_init(&notify->queue, (unsigned int)notify->config.on_screen);
	r = notify->options->test ? watch_output(notify) : connect_desktop(notify);
	if (r >= 0)
		r = notify_listen(notify, &notify->crashes, true, notify->options->since);
	if (r >= 0)
		r = notify_listen(notify, &notify->commands, false, notify->options->since);
	return r;
}

int notify_run(const struct options *options, struct notify_config *config)
{
	_cleanup_(notify_p) struct notify notify = { .options = options, .config = *config, .uid = getuid() };
	int r;

	notify.quiet =
		(struct quiet){ .hours = &notify.config.quiet, .release = on_release, .userdata = &notify };
	r = notify_start(&notify);
	if (r < 0)
		return r == -EINVAL && options->since ? STATUS_USAGE : STATUS_FAILURE;
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(notify.event);
	(void)sd_notify(0, "STOPPING=1");
	if (r < 0)
		msg_err("%s", strerror(-r));
	else if (r != STATUS_OK && !notify.failed)
		msg_err("lost the connection to the session bus");
	return r < 0 ? STATUS_FAILURE : r;
}
