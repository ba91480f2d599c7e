// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events from a file of JSON lines, as the stream face writes them: as fast as they were recorded, at a
 * factor, or without waiting. Events that were sent to one subscriber alone (ready, heartbeats, its losses) are not
 * published again. The processes of its snapshot go to the table.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "event-json.h"
#include "source/source.h"

#include "base/clock.h"
#include "base/lines.h"
#include "base/message.h"

/* Others are served after this number of lines, or this time. */
#define BATCH_LINES 256
#define BATCH_USEC  5000

/* A longer line is not an event. */
#define LINE_SIZE (256 * 1024)
_Static_assert(LINE_SIZE > EVENT_JSON_MAX, "the longest event fits");

/* A clock that steps back further than this means another recording; smaller steps are differences between CPUs. */
#define NEW_RECORDING_USEC USEC_PER_SEC

/* A clock of the recording. */
struct played_clock {
	bool known;
	uint64_t latest;
};

struct replay {
	struct source source;
	struct hub *hub;
	char *path;
	struct lines lines;
	double speed;
	struct event *timer, *readable;
	bool done;

	/* The event that comes next, if it is not its time yet. */
	struct fb_event next;
	struct event_store store;
	bool waits;

	uint64_t began_usec; /* CLOCK_MONOTONIC */
	double played_usec;  /* of the recording */
	struct played_clock boot, real;

	uint64_t n_lines, events, processes, skipped, malformed;
};

static struct replay *replay_of(const struct source *source)
{
	return (struct replay *)((uintptr_t)source - offsetof(struct replay, source));
}

static void replay_is_malformed(struct replay *replay)
{
	if (replay->malformed++ == 0)
		msg_warning("%s:%" PRIu64 ": this line is not an event; skipping it and others like it",
			    replay->path, replay->n_lines);
}

/* Time */

/* The time that has passed on a clock of the recording since the last event. */
static uint64_t clock_advance(struct played_clock *clock, uint64_t usec)
{
	uint64_t step = 0;

	if (clock->known && usec < clock->latest && clock->latest - usec < NEW_RECORDING_USEC)
		return 0;
	if (clock->known && usec > clock->latest)
		step = usec - clock->latest;
	clock->known = true;
	clock->latest = usec;
	return step;
}

/* Notes the time of the next event in the recording. An event without a time has that of the event before it. */
static void replay_advance(struct replay *replay)
{
	const struct fb_event *event = &replay->next;
	bool by_boot = EVENT_HAS(event, boot_usec) && replay->boot.known;
	uint64_t boot = 0, real = 0;

	if (EVENT_HAS(event, boot_usec))
		boot = clock_advance(&replay->boot, event->boot_usec);
	if (EVENT_HAS(event, time_usec))
		real = clock_advance(&replay->real, event->time_usec);
	replay->played_usec += (double)(by_boot ? boot : real);
}

/* The time until the next event is due; 0: it is due now. */
static uint64_t replay_wait(const struct replay *replay)
{
	double passed, left;

	if (replay->speed <= 0)
		return 0;
	passed = (double)(clock_usec(CLOCK_MONOTONIC) - replay->began_usec);
	left = replay->played_usec / replay->speed - passed;
	/* At most a day at a time: a timer has a limit, a recording's clock may not. */
	return left <= 0 ? 0 : left > 86400e6 ? UINT64_C(86400000000) : (uint64_t)left + 1;
}

/* The content of the lines */

/* Was the event published to all subscribers? Takes a process of a snapshot into the table. */
static bool replay_take(struct replay *replay)
{
	struct fb_event *event = &replay->next;

	EVENT_CLEAR(event, seq);
	EVENT_CLEAR(event, cursor);
	/* JSON does not say what the kernel protected, so the recorded ids decide. */
	EVENT_SET(event, privacy, PRIVACY_NONE);
	switch (event->type) {
	case EVENT_READY:
	case EVENT_HEARTBEAT:
		replay->skipped++;
		return false;
	case EVENT_PROCESS:
		replay->processes++;
		if (hub_learn(replay->hub, event) < 0)
			msg_err("%s:%" PRIu64 ": %s", replay->path, replay->n_lines, strerror(ENOMEM));
		return false;
	case EVENT_LOST:
		/* Positions in another log: the loss concerned one subscriber, which was slow or late. */
		if (EVENT_HAS(event, from) || EVENT_HAS(event, to)) {
			replay->skipped++;
			return false;
		}
		return true;
	default:
		return true;
	}
}

static void replay_line(struct replay *replay, const char *line, size_t len)
{
	while (len > 0 && memchr(" \t\r\n", line[len - 1], 4))
		len--;
	if (len == 0)
		return;
	if (event_json_decode(&replay->next, &replay->store, line, len) < 0) {
		replay_is_malformed(replay);
		return;
	}
	if (!replay_take(replay))
		return;
	replay_advance(replay);
	replay->waits = true;
}

/* r: LINES_E_END, or a negative errno. */
static void replay_finish(struct replay *replay, int r)
{
	char detail[EVENT_TEXT_MAX];

	replay->done = true;
	snprintf(detail, sizeof(detail),
		 "%" PRIu64 " lines: %" PRIu64 " events, %" PRIu64 " processes, %" PRIu64 " skipped, %" PRIu64
		 " malformed",
		 replay->n_lines, replay->events, replay->processes, replay->skipped, replay->malformed);
	if (r < 0)
		msg_err("%s: %s; before: %s", replay->path, strerror(-r), detail);
	else
		msg_info("%s: end of file, %s", replay->path, detail);
	hub_source_changed(replay->hub, replay_source.name, r < 0 ? "read error" : "end of file", detail);
	hub_flush(replay->hub);
}

static void replay_again(struct replay *replay, uint64_t usec)
{
	const struct timeval after = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };

	evtimer_add(replay->timer, &after);
}

struct budget {
	unsigned int lines;
	uint64_t until_usec; /* CLOCK_MONOTONIC */
};

static bool budget_is_left(const struct budget *budget)
{
	return budget->lines > 0 && clock_usec(CLOCK_MONOTONIC) < budget->until_usec;
}

/* Reads on until there is an event, or nothing is left of the budget. Return: 0, or as lines_next(). */
static int replay_read(struct replay *replay, struct budget *budget)
{
	const char *line;
	size_t len;
	int r;

	while (!replay->waits && budget_is_left(budget)) {
		r = lines_next(&replay->lines, &line, &len);
		if (r == LINES_E_AGAIN)
			continue;
		if (r != 0 && r != LINES_E_TOO_LONG)
			return r;
		budget->lines--;
		replay->n_lines++;
		if (r == LINES_E_TOO_LONG)
			replay_is_malformed(replay);
		else
			replay_line(replay, line, len);
	}
	return 0;
}

/* One turn: publish the events that are due, up to a batch, and set the timer for the next turn. */
static void replay_run(struct replay *replay)
{
	uint64_t published = replay->events, wait = 0;
	struct budget budget = { BATCH_LINES, clock_usec(CLOCK_MONOTONIC) + BATCH_USEC };
	int r;

	for (;;) {
		r = replay_read(replay, &budget);
		if (!replay->waits)
			break;
		wait = replay_wait(replay);
		if (wait > 0)
			break;
		replay->waits = false;
		replay->events++;
		hub_publish(replay->hub, &replay->next);
	}
	if (replay->events != published)
		hub_flush(replay->hub);
	if (r == 0)
		replay_again(replay, wait);
	else if (r == LINES_E_LATER)
		event_add(replay->readable, NULL);
	else
		replay_finish(replay, r);
}

static void replay_on_event(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	replay_run(userdata);
}

/* The source */

static struct source *replay_stop(struct source *source)
{
	struct replay *replay;

	if (!source)
		return NULL;
	replay = replay_of(source);
	if (replay->timer)
		event_free(replay->timer);
	if (replay->readable)
		event_free(replay->readable);
	lines_close(&replay->lines);
	free(replay->path);
	free(replay);
	return NULL;
}

static void replay_speed_print(const struct replay *replay, char *buf, size_t size)
{
	if (replay->speed > 0)
		snprintf(buf, size, "%g", replay->speed);
	else
		snprintf(buf, size, "flat");
}

static void replay_arm(struct source *source)
{
	(void)source; /* A recording can have events of all types. */
}

static void replay_describe(const struct source *source, struct json_builder *object)
{
	const struct replay *replay = replay_of(source);
	char speed[32];

	replay_speed_print(replay, speed, sizeof(speed));
	json_put_text(object, "file", replay->path);
	json_put_text(object, "speed", speed);
	source_describe_number(object, "lines", replay->n_lines);
	source_describe_number(object, "malformed", replay->malformed);
	json_put(object, "done", json_boolean(replay->done));
}

static bool replay_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	snprintf(found, SOURCE_SENTENCE_MAX, "reads a file of JSON lines; needs no privileges");
	advice[0] = '\0';
	return true;
}

static int replay_init(struct replay *replay, struct event_base *base, const struct source_options *options)
{
	int r;

	replay->speed = options->replay_speed;
	replay->path = strdup(options->replay_file);
	if (!replay->path)
		return -ENOMEM;
	r = lines_open(&replay->lines, replay->path, LINE_SIZE);
	if (r < 0)
		return r;
	replay->timer = evtimer_new(base, replay_on_event, replay);
	replay->readable = event_new(base, replay->lines.fd, EV_READ, replay_on_event, replay);
	return replay->timer && replay->readable ? 0 : -ENOMEM;
}

static int replay_start(struct source **ret, struct hub *hub, struct event_base *base,
			const struct source_options *options)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	char speed[32], detail[EVENT_TEXT_MAX];
	int r = -ENOMEM;

	if (replay) {
		replay->source.ops = &replay_source;
		replay->hub = hub;
		replay->lines.fd = -1;
		r = replay_init(replay, base, options);
	}
	if (r < 0) {
		msg_err("cannot replay %s: %s", options->replay_file, strerror(-r));
		if (replay)
			replay_stop(&replay->source);
		return r;
	}
	replay_speed_print(replay, speed, sizeof(speed));
	snprintf(detail, sizeof(detail), "speed %s, %s", speed, replay->path);
	hub_source_changed(hub, replay_source.name, "started", detail);
	hub_flush(hub);
	replay->began_usec = clock_usec(CLOCK_MONOTONIC);
	replay_again(replay, 0);
	*ret = &replay->source;
	return 0;
}

const struct source_ops replay_source = {
	.name = "replay",
	.supported = HUB_ARMED_ALWAYS,
	.start = replay_start,
	.arm = replay_arm,
	.describe = replay_describe,
	.stop = replay_stop,
	.probe = replay_probe,
};
