// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "notify-internal.h"
#include "say.h"
#include "util.h"

static void notify_p(struct notify *notify)
{
	watch_free(notify->commands);
	watch_free(notify->crashes);
	quiet_done(&notify->quiet);
	server_free(notify->server);
	sd_bus_flush_close_unref(notify->bus);
	sd_event_unref(notify->event);
	conf_done(&notify->conf);
}

void notify_show(struct notify *notify, const struct notice *notice, const struct tally *tally)
{
	uint64_t now = 0;

	(void)sd_event_now(notify->event, CLOCK_MONOTONIC, &now);
	fold_add(&notify->fold, notice, tally, now);
	server_update(notify->server);
}

void notify_fail(struct notify *notify)
{
	notify->failed = true;
	(void)sd_event_exit(notify->event, STATUS_FAILURE);
}

static void on_release(const struct notice *notice, const struct tally *tally, void *userdata)
{
	notify_show(userdata, notice, tally);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *signal, void *userdata)
{
	struct notify *notify = userdata;
	const struct options *options = notify->options;
	uint64_t before = notify->conf.min_elapsed_usec;
	struct conf conf;

	(void)source, (void)signal;
	(void)sd_notify(0, "RELOADING=1");
	if (conf_load(&conf, options->config_file, options->config_must_exist) == 0) {
		conf_done(&notify->conf);
		notify->conf = conf;
		fold_resize(&notify->fold, (unsigned int)conf.on_screen);
		if (conf.min_elapsed_usec != before)
			notify_listen_again(notify);
		quiet_update(&notify->quiet);
		say(LOG_INFO, "configuration reloaded");
	} else {
		say(LOG_WARNING, "the configuration stays as it was");
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
	/* What prints has a terminal, and ends with it. */
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

/* Return: 0 or a negative errno, all said. */
static int connect_desktop(struct notify *notify)
{
	int r = sd_bus_open_user(&notify->bus);

	if (r >= 0)
		r = sd_bus_set_exit_on_disconnect(notify->bus, 1);
	if (r >= 0)
		r = sd_bus_attach_event(notify->bus, notify->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = server_new(&notify->server, notify->event, notify->bus, &notify->fold);
	if (r < 0)
		say(LOG_ERR, "cannot connect to the session bus: %s", strerror(-r));
	return r < 0 ? r : 0;
}

static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)fd, (void)events, (void)userdata;
	return sd_event_exit(sd_event_source_get_event(source), STATUS_OK);
}

/* Who reads what is printed may have had enough long before there is more to print. A file cannot be asked, and has no end. */
static int watch_output(struct notify *notify)
{
	int r = sd_event_add_io(notify->event, NULL, STDOUT_FILENO, 0, on_hangup, NULL);

	if (r >= 0 || r == -EPERM)
		return 0;
	say(LOG_ERR, "cannot write the output: %s", strerror(-r));
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
		say(LOG_ERR, "cannot start: %s", strerror(-r));
		return r;
	}
	fold_init(&notify->fold, (unsigned int)notify->conf.on_screen);
	r = notify->options->test ? watch_output(notify) : connect_desktop(notify);
	if (r >= 0)
		r = notify_listen(notify, &notify->crashes, true, notify->options->since);
	if (r >= 0)
		r = notify_listen(notify, &notify->commands, false, notify->options->since);
	return r;
}

int notify_run(const struct options *options, struct conf *conf)
{
	_cleanup_(notify_p) struct notify notify = { .options = options, .conf = *conf, .uid = getuid() };
	int r;

	notify.quiet =
		(struct quiet){ .hours = &notify.conf.quiet, .release = on_release, .userdata = &notify };
	r = notify_start(&notify);
	if (r < 0)
		return r == -EINVAL && options->since ? STATUS_USAGE : STATUS_FAILURE;
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(notify.event);
	(void)sd_notify(0, "STOPPING=1");
	if (r < 0)
		say(LOG_ERR, "%s", strerror(-r));
	else if (r != STATUS_OK && !notify.failed)
		say(LOG_ERR, "the session bus is gone");
	return r < 0 ? STATUS_FAILURE : r;
}
