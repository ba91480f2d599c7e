// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "client.h"
#include "query.h"

/* Between attempts at a broker whose queue is full of those who connect. */
#define RETRY_USEC 10000

/* Wait for a descriptor, or for nothing, up to a time. Return: 0, -ETIMEDOUT, -EINTR. */
static int wait_until(int fd, short events, uint64_t deadline)
{
	struct pollfd poll = { .fd = fd, .events = events };
	uint64_t now = clock_usec(CLOCK_MONOTONIC), left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { (time_t)(left / 1000000), (long)(left % 1000000 * 1000) };
	int r;

	r = ppoll(&poll, fd >= 0 ? 1 : 0, deadline == FORKBUS_FOREVER ? NULL : &timeout, NULL);
	if (r < 0)
		return -errno;
	return r > 0 ? 0 : -ETIMEDOUT;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int connect_until(struct wire **ret, const char *path, uint64_t deadline)
{
	int r;

	while ((r = wire_new(ret, path)) == -EAGAIN) {
		r = wait_until(-1, 0, earlier(deadline, clock_usec(CLOCK_MONOTONIC) + RETRY_USEC));
		if (r == -EINTR || clock_usec(CLOCK_MONOTONIC) >= deadline)
			return r;
	}
	return r;
}

static int read_until(struct wire *wire, struct reply *ret, uint64_t deadline)
{
	int r;

	while ((r = wire_read(wire, ret)) == WIRE_E_MORE) {
		r = wait_until(wire_fd(wire), wire_events(wire), deadline);
		if (r < 0)
			return r;
	}
	return r == WIRE_E_END ? -ECONNRESET : r;
}

/* An answer is the only one, and no refusal. */
static int reply_accept(struct forkbus *client, const struct reply *reply)
{
	if (reply->error)
		return reason_set_refusal(&client->reason, reply->error, reply->parameters);
	return reply->continues ? -EBADMSG : 0;
}

int query_ask(struct forkbus *client, const char *method, json_t *parameters, uint64_t timeout_usec,
	      struct query *query)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC), deadline;
	int r = parameters ? 0 : -ENOMEM;

	*query = (struct query){ 0 };
	reason_clear(&client->reason);
	if (__builtin_add_overflow(now, timeout_usec, &deadline))
		deadline = FORKBUS_FOREVER;
	if (r == 0)
		r = connect_until(&query->wire, client->path, deadline);
	if (r == 0)
		r = wire_call(query->wire, method, parameters, false);
	if (r == 0)
		r = read_until(query->wire, &query->reply, deadline);
	if (r == 0)
		r = reply_accept(client, &query->reply);
	json_decref(parameters);
	if (r < 0)
		query_done(query);
	return r;
}

void query_done(struct query *query)
{
	reply_done(&query->reply);
	query->wire = wire_free(query->wire);
}

int forkbus_get_process(struct forkbus *client, uint32_t pid, uint64_t start_usec, uint64_t timeout_usec,
			struct forkbus_event **ret)
{
	json_t *parameters = json_pack("{sI}", "pid", (json_int_t)pid);
	struct forkbus_event *event;
	struct event_store *store;
	struct query query;
	int r;

	if (parameters && start_usec > 0 &&
	    json_object_set_new(parameters, "startUsec", json_integer((json_int_t)start_usec)) < 0) {
		json_decref(parameters);
		return -ENOMEM;
	}
	r = query_ask(client, "org.forkbus1.GetProcess", parameters, timeout_usec, &query);
	if (r < 0)
		return r;
	event = calloc(1, sizeof(*event));
	store = malloc(sizeof(*store));
	r = event && store
		    ? event_copy_decode(event, store, json_object_get(query.reply.parameters, "process"))
		    : -ENOMEM;
	free(store);
	query_done(&query);
	if (r == 0 && event->event.type == EVENT_PROCESS) {
		*ret = event;
		return 0;
	}
	forkbus_event_free(event);
	return r < 0 ? r : -EBADMSG;
}

int forkbus_open_ring(struct forkbus *client, uint64_t timeout_usec, int *fd)
{
	struct query query;
	json_t *index;
	int r;

	r = query_ask(client, "org.forkbus1.OpenRing", json_object(), timeout_usec, &query);
	if (r < 0)
		return r;
	index = json_object_get(query.reply.parameters, "ring");
	r = -EBADMSG;
	if (json_is_integer(index) && json_integer_value(index) >= 0)
		r = wire_take_fd(query.wire, (size_t)json_integer_value(index));
	query_done(&query);
	if (r < 0)
		return r;
	*fd = r;
	return 0;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

struct forkbus_list {
	struct reply reply;
	json_t *processes; /* its */
	size_t next;
	char cursor[CURSOR_TEXT_MAX];
	struct forkbus_event event;
	struct event_store store;
};

int forkbus_list_processes(struct forkbus *client, uint64_t timeout_usec, struct forkbus_list **ret)
{
	struct forkbus_list *list;
	uint64_t epoch, seq;
	struct query query;
	int r;

	r = query_ask(client, "org.forkbus1.ListProcesses",
		      json_pack("{s:o}", "filter", filter_set_json(&client->set)), timeout_usec, &query);
	if (r < 0)
		return r;
	list = calloc(1, sizeof(*list));
	r = list ? reply_cursor(&query.reply, &epoch, &seq) : -ENOMEM;
	if (r == 0) {
		cursor_print(list->cursor, epoch, seq);
		list->processes = json_object_get(query.reply.parameters, "processes");
		list->reply = query.reply;
		query.reply = (struct reply){ 0 };
		r = json_is_array(list->processes) ? 0 : -EBADMSG;
	}
	query_done(&query);
	if (r < 0) {
		forkbus_list_free(list);
		return r;
	}
	*ret = list;
	return 0;
}

struct forkbus_list *forkbus_list_free(struct forkbus_list *list)
{
	if (list) {
		reply_done(&list->reply);
		event_copy_done(&list->event);
		free(list);
	}
	return NULL;
}

int forkbus_list_next(struct forkbus_list *list, const struct forkbus_event **ret)
{
	int r;

	if (list->next >= json_array_size(list->processes))
		return 0;
	r = event_copy_decode(&list->event, &list->store, json_array_get(list->processes, list->next));
	if (r < 0)
		return r;
	if (r == EVENT_COPY_E_UNKNOWN || list->event.event.type != EVENT_PROCESS)
		return -EBADMSG;
	list->next++;
	*ret = &list->event;
	return 1;
}

const char *forkbus_list_get_cursor(const struct forkbus_list *list)
{
	return list->cursor;
}
