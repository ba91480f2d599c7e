// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "sources.h"
#include "util/msg.h"

/* Best first: the order in which "auto" tries. replay is never taken unasked. */
static const struct source_ops *const live_sources[] = { &connector_source };

static int start(struct source **ret, const struct source_ops *ops, const struct config *config,
		 struct bus *bus, struct event_base *base)
{
	struct source_options options = {
		.coalesce_usec = config->coalesce_usec,
		.socket_buffer = config->socket_buffer,
		.replay_file = config->replay_file,
		.replay_speed = config->replay_speed,
	};

	bus->tells = ops->tells;
	return ops->start(ret, bus, base, &options);
}

static int start_best(struct source **ret, const struct config *config, struct bus *bus,
		      struct event_base *base)
{
	char found[SOURCE_SENTENCE_MAX], advice[SOURCE_SENTENCE_MAX];
	int r = -ENODEV;

	for (size_t i = 0; i < sizeof(live_sources) / sizeof(live_sources[0]); i++) {
		const struct source_ops *ops = live_sources[i];
		bool works = ops->probe(found, advice);

		msg_info("source %s: %s", ops->name, found);
		if (advice[0] != '\0')
			msg_info("source %s: %s", ops->name, advice);
		if (!works)
			continue;
		r = start(ret, ops, config, bus, base);
		if (r == 0) {
			msg_info("source: %s, the best one that works here", ops->name);
			return 0;
		}
	}
	msg_err("no source of events works here");
	return r;
}

int sources_start(struct source **ret, const struct config *config, struct bus *bus, struct event_base *base)
{
	int r;

	switch (config->source) {
	case CONFIG_SOURCE_AUTO:
		return start_best(ret, config, bus, base);
	case CONFIG_SOURCE_CONNECTOR:
		r = start(ret, &connector_source, config, bus, base);
		break;
	case CONFIG_SOURCE_REPLAY:
		r = start(ret, &replay_source, config, bus, base);
		break;
	case CONFIG_SOURCE_MODULE:
		msg_err("source module: this version of forkbusd has none");
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
	if (r == 0)
		msg_info("source: %s, as asked for", (*ret)->ops->name);
	return r;
}

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

	print_probe("module", false, "this version of forkbusd has no source for a kernel module", "");
	for (size_t i = 0; i < sizeof(live_sources) / sizeof(live_sources[0]); i++) {
		works = live_sources[i]->probe(found, advice);
		any = any || works;
		print_probe(live_sources[i]->name, works, found, advice);
	}
	works = replay_source.probe(found, advice);
	print_probe(replay_source.name, works, found, advice);
	return any;
}
