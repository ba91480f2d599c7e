// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"
#include "source/netlink/genl.h"
#include "source/surroundings.h"
#include "sources.h"

#define MODULE_FAMILY "forkbus"

/*
 * How long the module and the source that it replaces are both active. A process that is in the middle of its exit when the
 * module starts has finished it when the other source stops, so at least one of them receives each event.
 */
#define OVERLAP_USEC (50 * USEC_PER_MSEC)

/* Best first: the order in which "auto" tries them. It never tries replay. */
static const struct source_ops *const live_sources[] = { &module_source, &connector_source };

#define N_LIVE (sizeof(live_sources) / sizeof(live_sources[0]))

/* How often to retry if no source could be started. */
#define AGAIN_USEC (5 * USEC_PER_SEC)

struct sources {
	struct source_options options;
	enum config_source wanted;
	struct hub *hub;
	struct event_base *base;

	struct source *current;	  /* NULL: none, until the module is loaded again, or a source works again */
	struct source *next;	  /* receives events, but does not publish yet */
	uint64_t next_since_usec; /* CLOCK_BOOTTIME */
	struct event *overlap;
	struct event *again; /* the next attempt, if there is none */

	int watch_fd;
	struct event *watch;
};

/* Starting */

static int start(struct sources *sources, const struct source_ops *ops)
{
	sources->options.later = false;
	hub_set_supported(sources->hub, ops->supported);
	return ops->start(&sources->current, sources->hub, sources->base, &sources->options);
}

#define SHIFTED_TIME "The clocks of this time namespace differ from those of the kernel's events."
#define HIDDEN_FILES \
	"Without CAP_SYS_PTRACE the broker cannot read which files other users' processes run (exe)."

/* As source_ops.probe(), and what concerns all live sources. */
static bool probe(const struct source_ops *ops, char found[static SOURCE_SENTENCE_MAX],
		  char advice[static SOURCE_SENTENCE_MAX])
{
	bool works;

	if (surroundings_shift_time()) {
		snprintf(found, SOURCE_SENTENCE_MAX, "%s", SHIFTED_TIME);
		snprintf(advice, SOURCE_SENTENCE_MAX, "Run in the initial time namespace.");
		return false;
	}
	works = ops->probe(found, advice);
	/* Beside other advice, if there is room. */
	if (works && surroundings_hide_files()) {
		size_t len = strlen(advice);

		snprintf(advice + len, SOURCE_SENTENCE_MAX - len, "%s%s", len > 0 ? " " : "", HIDDEN_FILES);
	}
	return works;
}

static int start_best(struct sources *sources)
{
	char found[SOURCE_SENTENCE_MAX], advice[SOURCE_SENTENCE_MAX];
	int r = -ENODEV;

	for (size_t i = 0; i < N_LIVE; i++) {
		const struct source_ops *ops = live_sources[i];
		bool works = probe(ops, found, advice);

		msg_info("source %s: %s", ops->name, found);
		if (advice[0] != '\0')
			msg_info("source %s: %s", ops->name, advice);
		if (!works)
			continue;
		r = start(sources, ops);
		if (r == 0) {
			msg_info("source: %s, the best available", ops->name);
			return 0;
		}
	}
	msg_err("no source of events works here");
	return r;
}

static int start_wanted(struct sources *sources)
{
	const struct source_ops *ops = NULL;
	int r;

	switch (sources->wanted) {
	case CONFIG_SOURCE_AUTO:
		return start_best(sources);
	case CONFIG_SOURCE_CONNECTOR:
		ops = &connector_source;
		break;
	case CONFIG_SOURCE_MODULE:
		ops = &module_source;
		break;
	case CONFIG_SOURCE_REPLAY:
		ops = &replay_source;
		break;
	}
	if (!ops)
		return -EINVAL;
	if (ops != &replay_source && surroundings_shift_time()) {
		msg_err("source %s: %s", ops->name, SHIFTED_TIME);
		return -EOPNOTSUPP;
	}
	if (ops != &replay_source && surroundings_hide_files())
		msg_info("source %s: %s", ops->name, HIDDEN_FILES);
	r = start(sources, ops);
	if (r == 0)
		msg_info("source: %s, as requested", ops->name);
	else if (ops == &module_source)
		msg_err("source module: requested but unavailable");
	return r;
}

/* Changing */

static bool is_module(const struct source *source)
{
	return source && source->ops == &module_source;
}

static struct source *stop(struct source *source)
{
	return source ? source->ops->stop(source) : NULL;
}

static void drop_next(struct sources *sources)
{
	evtimer_del(sources->overlap);
	sources->next = stop(sources->next);
}

/* No source reports: events are lost, and reported as lost when a source starts again. */
static void enter_no_source(struct sources *sources)
{
	const struct timeval again = { .tv_sec = AGAIN_USEC / USEC_PER_SEC };

	if (sources->wanted == CONFIG_SOURCE_AUTO)
		evtimer_add(sources->again, &again);
	/* While something is armed, the next source event would say that the outage is over. */
	hub_set_supported(sources->hub, 0);
	if (strcmp(hub_source(sources->hub), "none") == 0)
		return;
	msg_warning("source: none, until the kernel module is loaded again");
	hub_source_changed(sources->hub, "none", "gone", "until the kernel module is loaded again");
	hub_flush(sources->hub);
}

/* The current source is gone; events from now on are lost until another one starts. */
static void end_current(struct sources *sources, const char *why)
{
	uint64_t until = sources->current->ops->finish(sources->current);

	sources->current = stop(sources->current);
	hub_begin_outage(sources->hub, "source", why, until);
}

static void start_again(struct sources *sources, bool loaded)
{
	int r = -ENOENT;

	if (loaded)
		r = start(sources, &module_source);
	/* At once: probing the source first would only lose more events. */
	if (r < 0 && sources->wanted == CONFIG_SOURCE_AUTO)
		r = start(sources, &connector_source);
	if (r < 0)
		enter_no_source(sources);
	else
		msg_info("source: %s", sources->current->ops->name);
}

static void on_module_gone(struct sources *sources, bool loaded)
{
	drop_next(sources);
	if (!is_module(sources->current))
		return;
	msg_warning("The kernel module forkbus was unloaded%s.", loaded ? " and loaded again" : "");
	end_current(sources, "the kernel module was unloaded");
	start_again(sources, loaded);
}

static void on_again(evutil_socket_t fd, short what, void *userdata)
{
	struct sources *sources = userdata;
	struct genl_family_info info;

	(void)fd, (void)what;
	if (!sources->current)
		start_again(sources, genl_find(&info, MODULE_FAMILY, NULL) == 0);
}

static void on_overlap(evutil_socket_t fd, short what, void *userdata)
{
	struct sources *sources = userdata;
	struct source *before = sources->current;
	int r;

	(void)fd, (void)what;
	if (before->ops->finish)
		before->ops->finish(before);
	stop(before);
	sources->current = steal(sources->next);
	r = sources->current->ops->take_over(sources->current, sources->next_since_usec);
	if (r == 0) {
		msg_info("source: %s, which was loaded meanwhile", sources->current->ops->name);
		return;
	}
	msg_err("source module: cannot start reporting events: %s", strerror(-r));
	end_current(sources, "the kernel module could not be read");
	if (start(sources, &connector_source) < 0)
		enter_no_source(sources);
}

/* A better source appeared: it starts to receive while the current one still publishes. */
static void begin_overlap(struct sources *sources)
{
	const struct timeval overlap = { .tv_usec = OVERLAP_USEC };
	char found[SOURCE_SENTENCE_MAX], advice[SOURCE_SENTENCE_MAX];

	if (!module_source.probe(found, advice)) {
		msg_info("source module: %s", found);
		return;
	}
	sources->options.later = true;
	sources->next_since_usec = clock_usec(CLOCK_BOOTTIME);
	if (module_source.start(&sources->next, sources->hub, sources->base, &sources->options) == 0)
		evtimer_add(sources->overlap, &overlap);
}

static void on_module_loaded(struct sources *sources)
{
	if (!sources->current)
		start_again(sources, true);
	else if (!is_module(sources->current) && !sources->next)
		begin_overlap(sources);
}

static void on_watch(evutil_socket_t fd, short what, void *userdata)
{
	struct sources *sources = userdata;
	bool gone = genl_watch_read(fd, MODULE_FAMILY), loaded;
	struct genl_family_info info;

	(void)what;
	loaded = genl_find(&info, MODULE_FAMILY, NULL) == 0;
	if (gone)
		on_module_gone(sources, loaded);
	if (loaded)
		on_module_loaded(sources);
}

static int watch_module(struct sources *sources)
{
	if (sources->wanted != CONFIG_SOURCE_AUTO && sources->wanted != CONFIG_SOURCE_MODULE)
		return 0;
	sources->watch_fd = genl_watch_open();
	if (sources->watch_fd < 0) {
		msg_warning("Cannot watch for the kernel module being loaded or unloaded: %s",
			    strerror(-sources->watch_fd));
		return 0;
	}
	sources->watch = event_new(sources->base, sources->watch_fd, EV_READ | EV_PERSIST, on_watch, sources);
	if (!sources->watch)
		return -ENOMEM;
	event_priority_set(sources->watch, PRIORITY_SOURCE);
	event_add(sources->watch, NULL);
	return 0;
}

/* The object */

DEFINE_CLEANUP(struct sources, sources_free)

int sources_new(struct sources **ret, const struct config *config, struct hub *hub, struct event_base *base)
{
	_cleanup_(sources_free_p) struct sources *sources = calloc(1, sizeof(*sources));
	int r;

	if (!sources)
		return -ENOMEM;
	sources->watch_fd = -1;
	sources->wanted = config->source;
	sources->hub = hub;
	sources->base = base;
	sources->options = (struct source_options){
		.coalesce_usec = config->coalesce_usec,
		.socket_buffer = config->socket_buffer,
		.arguments = config->arguments,
		.replay_file = config->replay_file,
		.replay_speed = config->replay_speed,
	};
	sources->overlap = evtimer_new(base, on_overlap, sources);
	sources->again = evtimer_new(base, on_again, sources);
	if (!sources->overlap || !sources->again)
		return -ENOMEM;
	event_priority_set(sources->overlap, PRIORITY_SOURCE);
	event_priority_set(sources->again, PRIORITY_SOURCE);
	/* Before the search for the module, so that no change is missed. */
	r = watch_module(sources);
	if (r == 0)
		r = start_wanted(sources);
	if (r < 0)
		return r;
	*ret = steal(sources);
	return 0;
}

struct sources *sources_free(struct sources *sources)
{
	if (!sources)
		return NULL;
	if (sources->watch)
		event_free(sources->watch);
	close_fd(sources->watch_fd);
	stop(sources->next);
	stop(sources->current);
	if (sources->overlap)
		event_free(sources->overlap);
	if (sources->again)
		event_free(sources->again);
	free(sources);
	return NULL;
}

void sources_arm(struct sources *sources)
{
	if (sources->current)
		sources->current->ops->arm(sources->current);
	if (sources->next)
		sources->next->ops->arm(sources->next);
}

void sources_describe(const struct sources *sources, struct json_builder *object)
{
	if (sources->current)
		sources->current->ops->describe(sources->current, object);
}

/* Probing */

static void print_probe(const char *name, bool works, const char *found, const char *advice)
{
	json_t *object = json_pack("{s:s, s:b, s:s, s:s}", "source", name, "works", works, "found", found,
				   "advice", advice);

	if (!object)
		return;
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

bool sources_probe(void)
{
	char found[SOURCE_SENTENCE_MAX], advice[SOURCE_SENTENCE_MAX];
	bool works, any = false;

	for (size_t i = 0; i < N_LIVE; i++) {
		works = probe(live_sources[i], found, advice);
		any = any || works;
		print_probe(live_sources[i]->name, works, found, advice);
	}
	works = replay_source.probe(found, advice);
	print_probe(replay_source.name, works, found, advice);
	return any;
}
