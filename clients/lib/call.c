// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>

#include "base/clock.h"
#include "call.h"
#include "filter-set.h"
#include "session.h"

/* --- calls -------------------------------------------------------------------------------------------------------- */

static json_t *subscribe_parameters(const struct forkbus *client)
{
	char cursor[CURSOR_TEXT_MAX];
	json_t *parameters = json_pack("{s:o}", "filter", filter_set_json(&client->set));
	const char *since = client->set.since;
	bool ok = parameters;

	if (client->position.known)
		since = cursor_print(cursor, client->position.epoch, client->position.seq);
	if (ok && since)
		ok = json_object_set_new(parameters, "since", json_string(since)) == 0;
	/* After ready a loss is reported, and nothing is repeated. */
	if (ok && client->set.snapshot && !client->is_ready)
		ok = json_object_set_new(parameters, "snapshot", json_true()) == 0;
	if (ok && client->set.complete && !client->is_ready)
		ok = json_object_set_new(parameters, "complete", json_true()) == 0;
	if (ok)
		return parameters;
	json_decref(parameters);
	return NULL;
}

static json_t *parameters_make(struct forkbus *client)
{
	switch (client->call) {
	case CALL_GET_PROCESS:
		return json_pack("{sI}", "pid", (json_int_t)filter_set_unpinned(&client->set)->pid);
	case CALL_LIST:
		return json_pack("{s:o}", "filter", filter_set_json(&client->set));
	case CALL_SUBSCRIBE:
		return subscribe_parameters(client);
	case CALL_OPEN_RING:
	case CALL_STATUS:
		break;
	}
	return json_object();
}

static int call_send(struct forkbus *client)
{
	static const char *const methods[] = {
		[CALL_GET_PROCESS] = "org.forkbus1.GetProcess", [CALL_OPEN_RING] = "org.forkbus1.OpenRing",
		[CALL_LIST] = "org.forkbus1.ListProcesses",	[CALL_STATUS] = "org.forkbus1.GetStatus",
		[CALL_SUBSCRIBE] = "org.forkbus1.Subscribe",
	};
	json_t *parameters;
	int r;

	if (client->call == CALL_OPEN_RING && !client->ring_filter) {
		r = filter_set_ring_filter(&client->set, &client->ring_filter);
		if (r < 0)
			return r;
		if (!client->ring_filter) {
			session_subscribe(client);
			return 0;
		}
	}
	parameters = parameters_make(client);
	if (!parameters)
		return -ENOMEM;
	r = wire_call(client->wire, methods[client->call], parameters, client->call == CALL_SUBSCRIBE);
	json_decref(parameters);
	if (r < 0)
		return r;
	client->sent = true;
	return 0;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static int process_replied(struct forkbus *client)
{
	struct filter_set_pid *pid = filter_set_unpinned(&client->set);
	json_t *process = json_object_get(client->reply.parameters, "process");
	json_t *start = json_object_get(process, "startUsec");

	if (!json_is_object(process) || (start && (!json_is_integer(start) || json_integer_value(start) < 0)))
		return -EBADMSG;
	/* From here on it means this process, also when the broker was restarted and the pid is another one's. */
	pid->start_usec = (uint64_t)json_integer_value(start);
	pid->pinned = true;
	session_begin(client);
	return 0;
}

static int ring_replied(struct forkbus *client)
{
	json_t *index = json_object_get(client->reply.parameters, "ring");
	int fd;

	if (!json_is_integer(index) || json_integer_value(index) < 0)
		return -EBADMSG;
	fd = wire_take_fd(client->wire, (size_t)json_integer_value(index));
	if (fd < 0)
		return fd;
	if (session_open_ring(client, fd) < 0)
		session_subscribe(client);
	else
		session_call(client, client->set.snapshot && !client->is_ready ? CALL_LIST : CALL_STATUS);
	return 0;
}

/* Events, or a list of processes, or where the ring is read from: for delivery_next(). */
static int events_replied(struct forkbus *client)
{
	struct batch batch = { .is_list = client->call != CALL_SUBSCRIBE, .end = { .known = true } };

	if (client->call == CALL_SUBSCRIBE)
		batch.events = json_object_get(client->reply.parameters, "events");
	else if (client->call == CALL_LIST)
		batch.events = json_object_get(client->reply.parameters, "processes");
	if ((client->call != CALL_STATUS && !json_is_array(batch.events)) ||
	    reply_cursor(&client->reply, &batch.end.epoch, &batch.end.seq) < 0 ||
	    client->reply.continues != (client->call == CALL_SUBSCRIBE))
		return -EBADMSG;
	client->batch = batch;
	client->backoff_usec = 0;
	client->accepted = true;
	if (client->is_gone)
		client->announce = FORKBUS_RECONNECTED;
	client->is_gone = false;
	return 0;
}

static int refused(struct forkbus *client)
{
	int error = refusal_errno(client->reply.error);
	bool is_full = error == -EUSERS || error == -ENOBUFS;

	if (client->call == CALL_OPEN_RING && !is_full) {
		session_subscribe(client);
		return 0;
	}
	if (is_full && client->accepted) {
		session_wait_again(client);
		return 0;
	}
	return reason_set_refusal(&client->reason, client->reply.error, client->reply.parameters);
}

static int replied(struct forkbus *client)
{
	if (client->reply.error)
		return refused(client);
	switch (client->call) {
	case CALL_GET_PROCESS:
		return process_replied(client);
	case CALL_OPEN_RING:
		return ring_replied(client);
	case CALL_LIST:
	case CALL_STATUS:
	case CALL_SUBSCRIBE:
		return events_replied(client);
	}
	return -EBADMSG;
}

static int call_read(struct forkbus *client)
{
	int r = wire_read(client->wire, &client->reply);

	if (r == WIRE_E_MORE) {
		r = session_watch(client);
		return r < 0 ? r : CALL_E_IDLE;
	}
	if (r == WIRE_E_END) {
		session_wait_again(client);
		return 0;
	}
	/* More processes than one message may have: the snapshot of a subscription has many. */
	if (r == -EMSGSIZE && client->call == CALL_LIST) {
		client->flags &= ~FORKBUS_RING;
		session_disconnect(client);
		client->state = CLIENT_WAITING;
		client->retry_usec = 0;
		return 0;
	}
	if (r < 0)
		return r;
	r = replied(client);
	if (!client->batch.end.known)
		reply_done(&client->reply);
	return r;
}

/* With the ring, the connection only shows whether the broker is there. */
static int ring_watch(struct forkbus *client)
{
	struct reply reply;
	int r;

	if (client->ring_ending && !client->ring_more) {
		session_wait_again(client);
		return 0;
	}
	r = wire_read(client->wire, &reply);
	if (r == WIRE_E_MORE) {
		r = session_watch(client);
		return r < 0 ? r : CALL_E_IDLE;
	}
	if (r == 0)
		reply_done(&reply);
	if (r != WIRE_E_END)
		return r < 0 ? r : -EBADMSG;
	client->ring_ending = true;
	return 0;
}

int call_advance(struct forkbus *client)
{
	int r;

	switch (client->state) {
	case CLIENT_WAITING:
		if (clock_usec(CLOCK_MONOTONIC) < client->retry_usec)
			return CALL_E_IDLE;
		r = session_connect(client);
		if (r < 0 && r != -ENOMEM)
			session_wait_again(client);
		return r == -ENOMEM ? r : 0;
	case CLIENT_CALLING:
		return client->sent ? call_read(client) : call_send(client);
	case CLIENT_RING:
		return ring_watch(client);
	case CLIENT_NEW:
	case CLIENT_FAILED:
		break;
	}
	return CALL_E_IDLE;
}
