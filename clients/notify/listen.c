// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "notify-internal.h"
#include "print.h"
#include "rules.h"
#include "say.h"
#include "util.h"

static void print(struct notify *notify, const struct notice *notice, const struct ending *ending, bool quiet)
{
	int r = print_notice(notice, ending, quiet);

	if (r == 0)
		return;
	/* A reader that has had enough is no failure. */
	if (r == -EPIPE) {
		(void)sd_event_exit(notify->event, STATUS_OK);
		return;
	}
	say(LOG_ERR, "cannot write the output: %s", strerror(-r));
	notify_fail(notify);
}

/* By which clock rules go: what is tried on the past goes by that of the event. */
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
	enum verdict verdict = rules_judge(&notify->conf, ending, notify->uid, local, kind);
	struct notice notice;

	if (verdict == VERDICT_PASS)
		return;
	notice_of_ending(&notice, ending, kind, rules_urgency(&notify->conf, kind));
	if (notify->options->test)
		print(notify, &notice, ending, verdict == VERDICT_HOLD);
	else if (verdict == VERDICT_HOLD)
		quiet_add(&notify->quiet, &notice);
	else
		notify_show(notify, &notice, NULL);
}

/* The same loss is told to both, and is said once: what follows may be lost for the same reason, over and over. */
static void take_loss(struct notify *notify, const struct forkbus_event *event)
{
	const char *reason = "unknown";

	if (notify->lost)
		return;
	notify->lost = true;
	(void)forkbus_event_get_text(event, FORKBUS_FIELD_REASON, &reason, NULL);
	say(LOG_WARNING, "some ends of processes were lost (%s), and are not told; this is said once",
	    reason);
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
	/* A crash after a long time comes on both ways. */
	kind = rules_kind(&notify->conf, &ending);
	if ((kind == KIND_CRASH) != crashes)
		return;
	get_local_time(notify, event, &local);
	take_ending(notify, &ending, kind, &local);
}

static void say_connection(struct notify *notify, bool connected)
{
	const char *dir = notify->options->runtime_dir;

	if (connected && !notify->connected)
		say(LOG_INFO, "listening to the broker at %s, for processes of uid %lu", dir,
		    (unsigned long)notify->uid);
	else if (!connected)
		say(LOG_INFO, "%s at %s: waiting for it",
		    notify->connected ? "the broker is gone" : "there is no broker", dir);
	notify->connected = connected;
}

static void on_item(struct watch *watch, int item, const struct forkbus_event *event, void *userdata)
{
	struct notify *notify = userdata;
	bool crashes = watch == notify->crashes;
	const char *why;

	if (item < 0) {
		why = forkbus_get_error(watch_bus(watch));
		say(LOG_ERR, "the broker at %s refuses: %s", notify->options->runtime_dir,
		    why ? why : strerror(-item));
		notify_fail(notify);
	} else if (item == FORKBUS_EVENT) {
		if (crashes && forkbus_event_get_type(event) == FORKBUS_TYPE_READY)
			say_connection(notify, true);
		take_event(notify, crashes, event);
	} else if (crashes && (item == FORKBUS_DISCONNECTED || item == FORKBUS_RECONNECTED)) {
		say_connection(notify, item == FORKBUS_RECONNECTED);
	}
}

int notify_listen(struct notify *notify, struct watch **watch, bool crashes, const char *since)
{
	const struct watch_options options = {
		.runtime_dir = notify->options->runtime_dir,
		.uid = notify->uid,
		.signals = crashes,
		.min_elapsed_usec = notify->conf.min_elapsed_usec,
		.since = since,
		.take = on_item,
		.userdata = notify,
	};

	return watch_new(watch, notify->event, &options);
}

/* What is long enough is the broker's to know: with another limit there is another subscription, from where this one is. */
void notify_listen_again(struct notify *notify)
{
	const char *cursor = forkbus_get_cursor(watch_bus(notify->commands));
	struct watch *watch;

	if (notify_listen(notify, &watch, false, cursor) < 0)
		return;
	watch_free(notify->commands);
	notify->commands = watch;
}
