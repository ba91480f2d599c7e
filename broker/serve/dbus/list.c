// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>

#include "serve/dbus/dictionary.h"
#include "serve/dbus/event-message.h"
#include "serve/dbus/job.h"
#include "serve/dbus/objects.h"

/* Pending lists of one peer. */
#define LISTS_MAX   4
/* Processes that count as one message of a turn. */
#define PER_MESSAGE 16
/* dbus-daemon takes 32 MiB in one message, and disconnects the sender of a larger one. */
#define REPLY_MAX   (30 * 1024 * 1024)

struct list {
	struct dbus_job job;
	sd_bus_message *call, *reply; /* @reply grows */
	size_t size;		      /* of it, at most */
};

static struct list *of_job(struct dbus_job *job)
{
	return (struct list *)((char *)job - offsetof(struct list, job));
}

static void list_free(struct dbus_job *job)
{
	struct list *list = of_job(job);

	job->peer->n_lists--;
	dbus_job_end(job);
	sd_bus_message_unref(list->reply);
	sd_bus_message_unref(list->call);
	free(list);
}

#define IDENTITY (EVENT_BIT(pid) | EVENT_BIT(start_usec))

static int append_process(struct list *list, const struct fb_event *event)
{
	sd_bus_message *reply = list->reply;
	int r;

	list->size += dbus_event_size(event, IDENTITY);
	if (list->size > REPLY_MAX)
		return -EMSGSIZE;
	r = sd_bus_message_open_container(reply, 'r', "uta{sv}");
	if (r >= 0)
		r = sd_bus_message_append(reply, "ut", event->pid,
					  EVENT_HAS(event, start_usec) ? event->start_usec : 0);
	if (r >= 0)
		r = dbus_append_event(reply, event, IDENTITY);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Append the processes at @data, within the limits. Return: the bytes that were processed, or a negative errno. */
static ssize_t append_processes(struct list *list, const char *data, size_t size, unsigned int *budget)
{
	struct fb_event event;
	size_t taken = 0, one;
	int r;

	for (unsigned int n = 0; taken<size && * budget> 0; n++) {
		one = encoding_unpack(&event, data + taken);
		r = append_process(list, &event);
		if (r < 0)
			return r;
		taken += one;
		if (n % PER_MESSAGE == 0)
			--*budget;
	}
	return (ssize_t)taken;
}

/* The list ends where the events would begin. Return: -ECANCELED, after the answer. */
static int finish(struct list *list)
{
	int r = sd_bus_message_close_container(list->reply);

	if (r >= 0)
		r = sd_bus_send(list->job.peer->dbus->connection, list->reply, NULL);
	if (r < 0)
		(void)dbus_refuse(list->call, -ENOMEM, NULL);
	return -ECANCELED;
}

static int list_run(struct dbus_job *job, unsigned int *budget)
{
	struct list *list = of_job(job);
	const char *data;
	ssize_t n;
	int r;

	if (job->cursor.phase == CURSOR_READY && !job->cursor.own)
		return finish(list);
	n = cursor_peek(&job->cursor, &data);
	if (n == 0 || n == -EAGAIN)
		return -EAGAIN;
	if (n > 0)
		n = append_processes(list, data, (size_t)n, budget);
	r = n < 0 ? (int)n : cursor_sent(&job->cursor, (size_t)n);
	if (r == 0)
		return -EAGAIN;
	if (r == -EMSGSIZE)
		(void)sd_bus_reply_method_errorf(list->call, SD_BUS_ERROR_LIMITS_EXCEEDED,
						 "The list is too long for one message.");
	else
		(void)dbus_refuse(list->call, -ENOMEM, NULL);
	return r;
}

static int begin_reply(struct list *list)
{
	int r = sd_bus_message_new_method_return(list->call, &list->reply);

	if (r >= 0)
		r = sd_bus_message_open_container(list->reply, 'a', "(uta{sv})");
	return r < 0 ? r : 0;
}

int dbus_list(struct dbus_peer *peer, sd_bus_message *call, struct request *request, bool all)
{
	struct filter_error error = {};
	struct list *list;
	int r;

	if (peer->n_lists == LISTS_MAX)
		return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "This client already has %d lists pending.", LISTS_MAX);
	if (dbus_job_reserve(peer, call) != 0)
		return 1;
	list = calloc(1, sizeof(*list));
	if (!list) {
		budget_give(peer->account, BUDGET_CONNECTIONS, 1);
		return dbus_refuse(call, -ENOMEM, NULL);
	}
	list->call = sd_bus_message_ref(call);
	list->job.run = list_run;
	list->job.free = list_free;
	request->snapshot = true;
	peer->n_lists++;
	r = dbus_job_begin(&list->job, peer, request, all, &error);
	if (r == 0)
		r = begin_reply(list);
	if (r == 0) {
		dbus_job_ready(&list->job);
		return 1;
	}
	list_free(&list->job);
	return dbus_refuse(call, r, &error);
}
