// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/message.h"
#include "core/priority.h"
#include "stream-client.h"
#include "support.h"

struct stage stage;
struct event_base *base;
struct budget *budget;
struct face *stream;
struct face_options options;
const char *status_text;
static unsigned int descriptors;

static char *on_status(void *userdata, bool forget)
{
	(void)forget;
	assert_ptr_equal(userdata, &stage);
	return status_text ? strdup(status_text) : NULL;
}

void fill_context(struct face_context *context, const char *directory)
{
	*context = (struct face_context){
		.hub = stage.hub,
		.base = base,
		.budget = budget,
		.options = options,
		.directory = directory,
		.bus = FACE_BUS_NONE,
		.status = on_status,
		.userdata = &stage,
	};
}

int stream_open(struct face **ret, const char *directory)
{
	struct face_context context;

	fill_context(&context, test_path(directory));
	return stream_face.new(ret, &context);
}

static int set_up(uint64_t blocks)
{
	signal(SIGPIPE, SIG_IGN);
	msg_set_level(LOG_ERR);
	descriptors = count_descriptors();
	test_dir_make();
	assert_int_equal(chmod(test_path("."), 0711), 0);
	stage_open(&stage, blocks, 1 << 20, 5, 3);
	base = event_base_new();
	assert_non_null(base);
	assert_int_equal(event_base_priority_init(base, _PRIORITY_MAX), 0);
	assert_int_equal(budget_new(&budget), 0);
	budget_set(budget, BUDGET_CONNECTIONS, 100, 50);
	/* The user of this program is a member, and so sees all processes. */
	options = (struct face_options){ .group = getegid(),
					 .request_max = REQUEST_MAX,
					 .request_usec = 60 * USEC_PER_SEC,
					 .heartbeat_usec = 60 * USEC_PER_SEC };
	status_text = NULL;
	assert_int_equal(stream_open(&stream, "."), 0);
	return 0;
}

int stream_setup(void **state)
{
	(void)state;
	return set_up(64);
}

int stream_setup_small(void **state)
{
	(void)state;
	return set_up(8);
}

int stream_teardown(void **state)
{
	(void)state;
	assert_null(stream->ops->free(stream));
	assert_int_equal(access(test_path("stream"), F_OK), -1);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
	assert_int_equal(views_stats(hub_views(stage.hub))->views, 0);
	budget_free(budget);
	event_base_free(base);
	stage_close(&stage);
	test_dir_remove();
	assert_int_equal(count_descriptors(), descriptors);
	return 0;
}

void client_open(struct client *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*client = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	assert_true(client->fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("stream"));
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void client_hang_up(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

void client_done(struct client *client)
{
	client_hang_up(client);
	filter_free(client->subscriber.filter);
	free(client->subscriber.got);
	*client = (struct client){ .fd = -1 };
}

void client_send(struct client *client, const char *data, size_t size)
{
	assert_int_equal(send(client->fd, data, size, MSG_NOSIGNAL), size);
}

void client_say(struct client *client, const char *text)
{
	client_send(client, text, strlen(text));
}

size_t client_read(struct client *client, size_t limit)
{
	struct subscriber *subscriber = &client->subscriber;
	size_t before = subscriber->size;

	while (limit > 0) {
		ssize_t n;

		if (subscriber->room - subscriber->size < 65536) {
			subscriber->room = 2 * subscriber->room + 65536;
			subscriber->got = realloc(subscriber->got, subscriber->room);
			assert_non_null(subscriber->got);
		}
		n = recv(client->fd, subscriber->got + subscriber->size, limit < 65535 ? limit : 65535, 0);
		if (n <= 0) {
			/* A broker that closes with bytes unread resets the connection. */
			client->ended = n == 0 || errno == ECONNRESET;
			assert_true(client->ended || errno == EAGAIN);
			break;
		}
		subscriber->size += (size_t)n;
		subscriber->got[subscriber->size] = '\0';
		limit -= (size_t)n;
	}
	return subscriber->size - before;
}

void turn(void)
{
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The broker accepts again after a pause, and lets a user wait who has taken much time. */
#define PAUSE_USEC 1500

void exchange(struct client *client)
{
	unsigned int idle = 0;

	while (idle < 3 && !client->ended) {
		turn();
		idle = client_read(client, SIZE_MAX) ? 0 : idle + 1;
		if (idle)
			usleep(PAUSE_USEC);
	}
}

void client_subscribed(struct client *client, const char *request, struct visibility visibility)
{
	struct filter_error error;
	struct request parsed;

	assert_int_equal(request_parse(&parsed, request, strlen(request), &error), 0);
	client->subscriber.stage = &stage;
	client->subscriber.visibility = visibility;
	client->subscriber.filter = parsed.filter;
	client->subscriber.begin = client->subscriber.next = log_next(hub_log(stage.hub));
	for (int i = 0; !client->subscriber.is_ready && i < 10000; i++) {
		exchange(client);
		assert_false(client->ended);
		subscriber_check(&client->subscriber);
	}
	assert_true(client->subscriber.is_ready);
}

void client_subscribe(struct client *client, const char *request)
{
	client_open(client);
	client_say(client, request);
	client_say(client, "\n");
	client_subscribed(client, request, SEE_ALL);
}

void assert_refused(struct client *client, const char *error, const char *key)
{
	const char *line, *next;
	json_t *object;

	exchange(client);
	line = client->subscriber.got;
	assert_true(client->ended);
	assert_true(client->subscriber.size > 0);
	assert_int_equal(line[client->subscriber.size - 1], '\n');
	while ((next = strchr(line, '\n')) && next[1] != '\0')
		line = next + 1;
	object = json_loads(line, 0, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "error")), error);
	assert_true(strlen(json_string_value(json_object_get(object, "detail"))) > 10);
	if (key)
		assert_string_equal(json_string_value(json_object_get(object, "key")), key);
	else
		assert_null(json_object_get(object, "key"));
	json_decref(object);
	client_done(client);
	turn();
}

void assert_nobody(void)
{
	turn();
	assert_int_equal(stream->ops->stats(stream)->connections, 0);
	assert_int_equal(stream->ops->stats(stream)->subscribers, 0);
	assert_int_equal(budget_used(budget, BUDGET_CONNECTIONS), 0);
}
