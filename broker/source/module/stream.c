// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/module/stream.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/message.h"
#include "core/hub.h"
#include "source/netlink/socket.h"

#define REPLAYS_IN_VAIN 2

int module_stream_init(struct module_stream *stream, const struct module_ops *ops, void *userdata)
{
	*stream = (struct module_stream){ .ops = ops, .userdata = userdata, .hole = MODULE_LOST_NETLINK };
	for (unsigned int i = 0; i < _MODULE_CHANNEL_MAX; i++) {
		stream->feeds[i].buffer = malloc(MODULE_BUFFER_SIZE);
		if (!stream->feeds[i].buffer)
			return -ENOMEM;
	}
	return 0;
}

void module_stream_done(struct module_stream *stream)
{
	for (unsigned int i = 0; i < _MODULE_CHANNEL_MAX; i++)
		free(stream->feeds[i].buffer);
	*stream = (struct module_stream){};
}

/* Losses */

/* All numbers before @next, whose time is @nsec, are missing. */
static void report_hole(struct module_stream *stream, uint64_t next, uint64_t nsec)
{
	const struct module_gap gap = { .loss = stream->hole,
					.count = next - stream->last - 1,
					.since_nsec = stream->last_nsec,
					.until_nsec = nsec,
					.seq = next - 1 };

	stream->last = next - 1;
	stream->ops->lost(stream->userdata, &gap);
}

static void report_kernel_lost(struct module_stream *stream, const struct module_record *record)
{
	/* Do not count again the records that were already reported as missing. */
	const uint64_t first = record->first > stream->last ? record->first : stream->last + 1;
	const struct module_gap gap = { .loss = MODULE_LOST_KERNEL,
					.count = record->seq - first,
					.since_nsec = record->since_nsec,
					.until_nsec = record->nsec,
					.seq = record->seq };

	if (gap.count > 0)
		stream->ops->lost(stream->userdata, &gap);
}

/* Note when a type that must always be armed is no longer armed, and report the loss when it is armed again. */
static void take_armed(struct module_stream *stream, const struct module_record *record)
{
	const bool unarmed = (record->mask & stream->wanted) != stream->wanted;
	const struct module_gap gap = { .loss = MODULE_LOST_UNARMED,
					.count = HUB_COUNT_UNKNOWN,
					.since_nsec = stream->unarmed_since_nsec,
					.until_nsec = record->nsec,
					.seq = record->seq };

	if (unarmed && !stream->unarmed)
		stream->unarmed_since_nsec = record->nsec;
	else if (!unarmed && stream->unarmed)
		stream->ops->lost(stream->userdata, &gap);
	stream->unarmed = unarmed;
}

/* Replays */

static void replay_end(struct module_stream *stream)
{
	stream->replaying = false;
	stream->feeds[MODULE_REPLAY].message = NULL;
	/* Not even the latest record is kept any more. */
	if (stream->range_first > stream->last + 1)
		report_hole(stream, stream->range_first, 0);
	stream->hole = MODULE_LOST_NETLINK;
	/* One replay without new records may have ended before an overrun; after two of them the gap cannot be filled. */
	if (++stream->replays_in_vain >= REPLAYS_IN_VAIN)
		stream->replay_refused = true;
}

/* Without a replay, the gap that it was requested for is a loss. */
void module_stream_give_up(struct module_stream *stream)
{
	stream->stats.replays_failed++;
	stream->replay_refused = true;
	stream->range_first = 0;
	replay_end(stream);
}

void module_stream_replay(struct module_stream *stream)
{
	stream->replay_wanted = false;
	stream->range_first = stream->range_last = 0;
	stream->stats.replays++;
	stream->replaying = true;
	if (stream->ops->replay(stream->userdata, stream->last) < 0)
		module_stream_give_up(stream);
}

/* Records */

enum step {
	STEP_ON,
	STEP_HOLD,
	STEP_REPLAY, /* this record comes after the replay */
};

static enum step take_record(struct module_stream *stream, struct module_record *record, int result)
{
	enum module_answer answer = MODULE_TAKEN;

	if (record->type == FORKBUS_TYPE_LOST && result == 0)
		report_kernel_lost(stream, record);
	else if (record->type == FORKBUS_TYPE_ARMED && result == 0)
		take_armed(stream, record);
	else if (result == 0)
		answer = stream->ops->record(stream->userdata, record);
	if (answer == MODULE_HOLD)
		return STEP_HOLD;
	stream->stats.records++;
	stream->stats.unknown += result == MODULE_E_OTHER;
	stream->stats.malformed += result == MODULE_E_MALFORMED;
	stream->last = record->seq;
	if (record->nsec > stream->last_nsec)
		stream->last_nsec = record->nsec;
	return STEP_ON;
}

static enum step on_record(struct module_stream *stream, enum module_channel channel,
			   const struct nlattr *nest)
{
	struct module_record record;
	int r = module_record_decode(&record, nest);

	if (record.seq == 0) {
		stream->stats.malformed++;
		return STEP_ON;
	}
	if (record.seq <= stream->last) {
		stream->stats.doubles++;
		return STEP_ON;
	}
	if (record.first > stream->last + 1) {
		if (channel == MODULE_LIVE && !stream->replay_refused)
			return STEP_REPLAY;
		report_hole(stream, record.first, record.nsec);
	}
	stream->replay_refused = false;
	stream->replays_in_vain = 0;
	return take_record(stream, &record, r);
}

/* Messages */

/* An answer that is not a message of the module: the replay has ended, or is refused. */
static void on_control(struct module_stream *stream, enum module_channel channel,
		       const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	int r = 0;

	/* Both begin with the error. */
	if (message->nlmsg_len >= MNL_NLMSG_HDRLEN + sizeof(error->error))
		r = netlink_errno(error->error);
	if (channel == MODULE_LIVE && message->nlmsg_type == NLMSG_ERROR && r < 0)
		msg_warning("The kernel module forkbus refused a request: %s", strerror(-r));
	if (channel == MODULE_LIVE || !stream->replaying)
		return;
	if (message->nlmsg_type == NLMSG_DONE && r >= 0)
		replay_end(stream);
	else if (message->nlmsg_type == NLMSG_DONE || (message->nlmsg_type == NLMSG_ERROR && r != 0))
		module_stream_give_up(stream);
}

/* Return: whether to use its records. */
static bool begin_message(struct module_stream *stream, enum module_channel channel,
			  const struct nlmsghdr *message)
{
	struct module_message decoded;
	int r = module_message_decode(&decoded, message, stream->family);

	if (r == MODULE_E_OTHER) {
		on_control(stream, channel, message);
		return false;
	}
	stream->stats.messages++;
	stream->stats.malformed += r == MODULE_E_MALFORMED;
	stream->stats.foreign += r == 0 && decoded.instance != stream->instance;
	if (r != 0 || decoded.instance != stream->instance)
		return false;
	if (channel == MODULE_REPLAY && decoded.has_range) {
		stream->range_first = decoded.first;
		stream->range_last = decoded.last;
	}
	return true;
}

static enum step take_message(struct module_stream *stream, enum module_channel channel)
{
	struct module_feed *feed = &stream->feeds[channel];
	const struct nlattr *record;
	enum step step;

	if (!feed->begun && !begin_message(stream, channel, feed->message))
		return STEP_ON;
	feed->begun = true;
	while ((record = module_record_next(feed->message, feed->record))) {
		step = on_record(stream, channel, record);
		if (step != STEP_ON)
			return step;
		feed->record = record;
	}
	return STEP_ON;
}

/* The rest of a channel's datagram. */
static enum step take_datagram(struct module_stream *stream, enum module_channel channel)
{
	struct module_feed *feed = &stream->feeds[channel];
	enum step step;

	while (feed->message) {
		if (!mnl_nlmsg_ok(feed->message, feed->left) ||
		    feed->message->nlmsg_len > (uint32_t)feed->left) {
			feed->message = NULL;
			break;
		}
		step = take_message(stream, channel);
		if (step != STEP_ON)
			return step;
		/* The end of a replay has dropped the rest. */
		if (feed->message)
			feed->message = mnl_nlmsg_next(feed->message, &feed->left);
		feed->begun = false;
		feed->record = NULL;
	}
	return STEP_ON;
}

static int receive(struct module_stream *stream, enum module_channel channel)
{
	struct module_feed *feed = &stream->feeds[channel];
	ssize_t n = stream->ops->receive(stream->userdata, channel, feed->buffer, MODULE_BUFFER_SIZE);

	if (n <= 0)
		return (int)n;
	feed->message = (const struct nlmsghdr *)(const void *)feed->buffer;
	feed->left = (int)n;
	feed->begun = false;
	feed->record = NULL;
	return 1;
}

/* One datagram. Return: 1; 0 if there was none; HELD; or a negative errno. */
#define HELD INT_MAX
static int run_once(struct module_stream *stream)
{
	enum module_channel channel = module_stream_channel(stream);
	enum step step;
	int r;

	if (!stream->feeds[channel].message) {
		r = receive(stream, channel);
		if (r == -ENOBUFS) {
			stream->stats.overruns += channel == MODULE_LIVE;
			stream->replay_wanted = true;
			return 1;
		}
		if (r == 0 && channel == MODULE_LIVE && stream->replay_wanted) {
			module_stream_replay(stream);
			return 1;
		}
		if (r <= 0)
			return r;
	}
	step = take_datagram(stream, channel);
	if (step == STEP_REPLAY)
		module_stream_replay(stream);
	return step == STEP_HOLD ? HELD : 1;
}

int module_stream_run(struct module_stream *stream, unsigned int datagrams)
{
	int r = 1;

	while (datagrams-- > 0 && (r = run_once(stream)) == 1)
		;
	return r == 1 ? MODULE_BUSY : r == HELD ? MODULE_HELD : r;
}
