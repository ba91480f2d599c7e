// SPDX-License-Identifier: LGPL-2.1-or-later
#include <jansson.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker.h"
#include "event-json.h"
#include "json-print.h"

static json_t *pack_loss(const struct hub_loss *loss)
{
	return json_pack("{s:I, s:I}", "times", (json_int_t)loss->times, "count", (json_int_t)loss->count);
}

static json_t *pack_events(const struct hub_stats *stats)
{
	struct json_builder events = json_build(json_object());

	for (enum event_type type = EVENT_NONE + 1; type < EVENT_PROCESS; type++)
		json_put(&events, event_type_name(type), json_integer((json_int_t)stats->events[type]));
	return json_built(&events);
}

static json_t *pack_lost(const struct hub_stats *stats)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "kernel", pack_loss(&stats->kernel), "netlink",
			 pack_loss(&stats->netlink), "unarmed", pack_loss(&stats->unarmed), "source",
			 pack_loss(&stats->source), "slow", pack_loss(&stats->slow));
}

static json_t *pack_source(const struct broker *broker)
{
	const struct hub *hub = broker->hub;
	char armed[EVENT_TEXT_MAX];
	struct json_builder source = json_build(json_object());

	json_put_text(&source, "name", hub_source(hub));
	/* It may have the name of a file. */
	json_put_text(&source, "detail", hub_source_detail(hub));
	json_put(&source, "sinceUsec", json_integer((json_int_t)hub_source_since(hub)));
	json_put_text(&source, "armed", hub_armed_print(hub, armed));
	if (broker->sources)
		sources_describe(broker->sources, &source);
	return json_built(&source);
}

static json_t *pack_log(const struct hub *hub)
{
	const struct log *log = hub_log(hub);
	uint64_t now = clock_usec(CLOCK_REALTIME);
	uint64_t first = log_first_time(log);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "size", (json_int_t)log_size(log), "used",
			 (json_int_t)log_used(log), "firstSeq", (json_int_t)log_first(log), "nextSeq",
			 (json_int_t)log_next(log), "reachesBackUsec",
			 (json_int_t)(first && first < now ? now - first : 0), "folded",
			 (json_int_t)hub_stats(hub)->folded);
}

static json_t *pack_turn(struct turn *turn, bool forget)
{
	json_t *packed =
		json_pack("{s:I, s:I}", "sinceStartUsec", (json_int_t)(turn->longest_nsec / NSEC_PER_USEC),
			  "sinceLookUsec", (json_int_t)(turn->recent_nsec / NSEC_PER_USEC));

	if (forget)
		turn_forget_recent(turn);
	return packed;
}

char *status_print(struct broker *broker, bool forget)
{
	const struct hub *hub = broker->hub;
	const struct views_stats *views = views_stats(hub_views(hub));
	const struct face_stats faces = faces_stats(broker->faces);
	char cursor[CURSOR_TEXT_MAX];
	char *text;
	json_t *status;

	status = json_pack(
		"{s:s, s:i, s:s, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:{s:I, s:I}, s:I, s:o, s:o}",
		"version", FORKBUS_VERSION, "pid", (int)getpid(), "cursor",
		cursor_print(cursor, log_epoch(hub_log(hub)), log_next(hub_log(hub)) - 1), "startedUsec",
		(json_int_t)broker->started_usec, "source", pack_source(broker), "events",
		pack_events(hub_stats(hub)), "lost", pack_lost(hub_stats(hub)), "processes",
		(json_int_t)table_count(hub_table(hub)), "connections", (json_int_t)faces.connections,
		"subscribers", (json_int_t)faces.subscribers, "views", (json_int_t)views->views, "encoded",
		"events", (json_int_t)views->encoded, "bytes", (json_int_t)views->encoded_bytes, "sentBytes",
		(json_int_t)faces.sent_bytes, "log", pack_log(hub), "longestTurn",
		pack_turn(&broker->turn, forget));
	if (!status)
		return NULL;
	text = json_print(status, JSON_COMPACT, NULL);
	json_decref(status);
	return text;
}
