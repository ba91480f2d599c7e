// SPDX-License-Identifier: LGPL-2.1-or-later
/* Calls with one reply, which block until it arrives. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "client.h"
#include "json-print.h"

struct query {
	struct wire *wire; /* has the descriptors that came with the reply */
	struct reply reply;
};

/* The time between attempts to connect to a broker whose queue of connections is full. */
#define RETRY_USEC 10000

/* Wait until a descriptor (-1: none) is ready or the time is over. Return: 0, -ETIMEDOUT, -EINTR. */
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

/* Is this a single reply, and not an error? */
static int reply_accept(struct forkbus *client, const struct reply *reply)
{
	if (reply->error)
		return reason_set_refusal(&client->reason, reply->error, reply->parameters);
	return reply->continues ? -EBADMSG : 0;
}

static void query_done(struct query *query)
{
	reply_done(&query->reply);
	query->wire = wire_free(query->wire);
}

/*
 * Call a method, and wait for the reply.
 * @parameters: ownership is taken; NULL: there was no memory for them
 * @query: on success without an error reply; to be freed by query_done()
 * Return: 0 or a negative errno, as described in forkbus.h.
 */
static int query_ask(struct forkbus *client, const char *method, json_t *parameters, uint64_t timeout_usec,
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

/* --- a process, and the ring -------------------------------------------------------------------------------------- */

int forkbus_get_process(struct forkbus *client, uint32_t pid, uint64_t start_usec, uint64_t timeout_usec,
			struct forkbus_event **ret)
{
	json_t *parameters = json_pack("{sI}", "pid", (json_int_t)pid);
	struct forkbus_event *event;
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
	r = event_from_object(&event, json_object_get(query.reply.parameters, "process"));
	query_done(&query);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	if (event->event.type != EVENT_PROCESS) {
		forkbus_event_free(event);
		return -EBADMSG;
	}
	*ret = event;
	return 0;
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

/* --- a list of processes ------------------------------------------------------------------------------------------ */

struct forkbus_list {
	struct reply reply;
	json_t *processes; /* owned by the reply */
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

/* --- the status --------------------------------------------------------------------------------------------------- */

struct forkbus_status {
	struct reply reply;
	char *json;
	const char *version, *cursor, *source; /* owned by the reply */
	uint64_t processes;
};

/* A text without a NUL, as the interface requires. */
static const char *text_get(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static uint64_t uint_get(json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static int status_read(struct forkbus_status *status)
{
	json_t *parameters = status->reply.parameters;
	uint64_t epoch, seq;

	status->version = text_get(parameters, "version");
	status->cursor = text_get(parameters, "cursor");
	status->source = text_get(json_object_get(parameters, "source"), "name");
	status->processes = uint_get(parameters, "processes");
	if (!status->version || !status->source || reply_cursor(&status->reply, &epoch, &seq) < 0)
		return -EBADMSG;
	status->json = json_print(parameters, JSON_COMPACT, NULL);
	return status->json ? 0 : -ENOMEM;
}

int forkbus_get_status(struct forkbus *client, uint64_t timeout_usec, struct forkbus_status **ret)
{
	struct forkbus_status *status;
	struct query query;
	int r;

	r = query_ask(client, "org.forkbus1.GetStatus", json_object(), timeout_usec, &query);
	if (r < 0)
		return r;
	status = calloc(1, sizeof(*status));
	if (status) {
		status->reply = query.reply;
		query.reply = (struct reply){ 0 };
	}
	query_done(&query);
	r = status ? status_read(status) : -ENOMEM;
	if (r < 0) {
		forkbus_status_free(status);
		return r;
	}
	*ret = status;
	return 0;
}

struct forkbus_status *forkbus_status_free(struct forkbus_status *status)
{
	if (status) {
		reply_done(&status->reply);
		free(status->json);
		free(status);
	}
	return NULL;
}

const char *forkbus_status_get_version(const struct forkbus_status *status)
{
	return status->version;
}

const char *forkbus_status_get_cursor(const struct forkbus_status *status)
{
	return status->cursor;
}

const char *forkbus_status_get_source(const struct forkbus_status *status)
{
	return status->source;
}

const char *forkbus_status_get_json(const struct forkbus_status *status)
{
	return status->json;
}

uint64_t forkbus_status_get_processes(const struct forkbus_status *status)
{
	return status->processes;
}

uint64_t forkbus_status_get_events(const struct forkbus_status *status, enum forkbus_type type)
{
	const char *name = forkbus_type_name(type);

	return name ? uint_get(json_object_get(status->reply.parameters, "events"), name) : 0;
}

void forkbus_status_get_lost(const struct forkbus_status *status, const char *reason, uint64_t *times,
			     uint64_t *count)
{
	json_t *lost = json_object_get(status->reply.parameters, "lost");
	uint64_t sums[2] = { 0, 0 };
	const char *key;
	json_t *value;

	json_object_foreach(lost, key, value) {
		if (reason && strcmp(key, reason) != 0)
			continue;
		sums[0] += uint_get(value, "times");
		sums[1] += uint_get(value, "count");
	}
	if (times)
		*times = sums[0];
	if (count)
		*count = sums[1];
}
