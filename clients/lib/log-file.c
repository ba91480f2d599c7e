// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading a log without its broker: forkbus_read_log(). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "client.h"
#include "log-reader.h"

struct forkbus_log {
	struct log_reader reader;
	int fd;
	struct filter *filter;
	uint64_t since_usec, after_seq; /* 0: all */
	uint64_t seq;			/* of the last event that was read */
	struct log_loss loss;		/* to be reported next, if there is any */
	struct forkbus_event event;
	char cursor[CURSOR_TEXT_MAX];
};

/* Refuse requests that only a running broker can answer. */
static int check_set(struct forkbus *client)
{
	const struct filter_set_pid *pid = filter_set_unpinned(&client->set);

	if (client->set.has_tree)
		return reason_set(&client->reason, -EINVAL,
				  "tree: only a running broker knows which processes live");
	if (client->set.snapshot)
		return reason_set(&client->reason, -EINVAL,
				  "snapshot: only a running broker knows which processes live");
	if (pid)
		return reason_set(
			&client->reason, -EINVAL,
			"pids: only a running broker knows which process %u is now; name its start, too",
			pid->id.pid);
	return 0;
}

static int take_set(struct forkbus_log *log, struct forkbus *client)
{
	json_t *object = filter_set_json(&client->set);
	struct filter_error error;
	int r = object ? filter_parse(&log->filter, object, &error) : -ENOMEM;

	json_decref(object);
	if (r > 0)
		return reason_set_filter(&client->reason, &error);
	if (r == 0 && client->set.since) {
		uint64_t now = clock_usec(CLOCK_REALTIME), ago = 0;

		(void)timespan_parse(client->set.since + 1, &ago);
		log->since_usec = now > ago ? now - ago : 0;
	}
	return r;
}

static int take_position(struct forkbus_log *log, struct forkbus *client)
{
	if (!client->position.known)
		return 0;
	if (client->position.epoch != log->reader.header.epoch)
		return reason_set(&client->reason, -ERANGE, "since: the cursor does not belong to this log");
	log->after_seq = client->position.seq;
	return 0;
}

int forkbus_read_log(struct forkbus *client, int fd, struct forkbus_log **ret)
{
	struct forkbus_log *log;
	int r;

	reason_clear(&client->reason);
	r = check_set(client);
	if (r < 0)
		return r;
	log = calloc(1, sizeof(*log));
	if (log)
		log->fd = -1;
	r = log ? take_set(log, client) : -ENOMEM;
	if (r == 0)
		log->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (r == 0)
		r = log->fd < 0 ? -errno : log_reader_open(&log->reader, log->fd);
	if (r == 0)
		r = take_position(log, client);
	if (r < 0) {
		forkbus_log_free(log);
		return r;
	}
	*ret = log;
	return 0;
}

struct forkbus_log *forkbus_log_free(struct forkbus_log *log)
{
	if (log) {
		if (log->fd >= 0)
			close(log->fd);
		filter_free(log->filter);
		event_copy_done(&log->event);
		free(log);
	}
	return NULL;
}

static int report_loss(struct forkbus_log *log)
{
	struct fb_event event;
	int r;

	fb_event_init(&event, EVENT_LOST);
	EVENT_SET(&event, reason, event_text("slow"));
	EVENT_SET(&event, count, log->loss.count);
	EVENT_SET(&event, from, log->loss.from);
	EVENT_SET(&event, to, log->loss.to);
	r = event_copy_set(&log->event, &event);
	if (r == 0) {
		log->seq = log->loss.to;
		log->loss = (struct log_loss){};
	}
	return r;
}

static bool is_wanted(const struct forkbus_log *log, const struct fb_event *event)
{
	if (EVENT_HAS(event, seq) && event->seq <= log->after_seq)
		return false;
	if (EVENT_HAS(event, time_usec) && event->time_usec < log->since_usec)
		return false;
	return filter_match(log->filter, event);
}

/* Return: 1 if the event matches, 0 if not; -ENOMEM: the same event is read again. */
static int take_event(struct forkbus_log *log, const struct fb_event *event, uint64_t position, uint64_t seq)
{
	bool wanted = is_wanted(log, event);

	if (wanted && event_copy_set(&log->event, event) < 0) {
		log->reader.position = position;
		log->reader.seq = seq;
		return -ENOMEM;
	}
	if (EVENT_HAS(event, seq))
		log->seq = event->seq;
	return wanted;
}

int forkbus_log_next(struct forkbus_log *log, const struct forkbus_event **ret)
{
	struct fb_event event;
	int r = 0;

	while (r == 0) {
		uint64_t position = log->reader.position, seq = log->reader.seq;

		if (log->loss.count > 0) {
			r = report_loss(log);
			r = r < 0 ? r : 1;
			break;
		}
		r = log_reader_next(&log->reader, &event);
		if (r == LOG_READER_E_END)
			return 0;
		if (r == LOG_READER_E_LAPPED)
			r = log_reader_resume(&log->reader, &log->loss) == 0 ? 0 : -EBADMSG;
		else
			r = r == 0 ? take_event(log, &event, position, seq) : -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = &log->event;
	return 1;
}

const char *forkbus_log_get_cursor(struct forkbus_log *log)
{
	return cursor_print(log->cursor, log->reader.header.epoch, log->seq);
}
