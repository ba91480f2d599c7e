// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a broker sends to the C library: a handle with a subscription, a list, and a status.
 *
 * The first byte of an input chooses the call, the rest are the broker's replies, each ending with a NUL; at a byte 1, which
 * JSON cannot have, the library reads what was sent so far.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients/lib/forkbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/fuzz-client-XXXXXX";

static void check(bool condition)
{
	if (!condition)
		abort();
}

static void remove_directory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/org.forkbus1", directory);
	unlink(path);
	rmdir(directory);
}

static int listen_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	check(mkdtemp(directory) != NULL);
	atexit(remove_directory);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/org.forkbus1", directory);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 16) == 0);
	return fd;
}

static void check_event(const struct forkbus_event *event)
{
	char *text = NULL;
	size_t len = 0;

	check(forkbus_event_to_json(event, 0, &text, &len) == 0);
	check(strlen(text) == len);
	free(text);
}

/* Return: whether the handle can be used further. */
static bool process(struct forkbus *client)
{
	const struct forkbus_event *event;
	int item;

	while ((item = forkbus_process(client, &event)) > 0) {
		check((item == FORKBUS_EVENT) == (event != NULL));
		if (event)
			check_event(event);
		check(!event || forkbus_event_get_type(event) != FORKBUS_TYPE_READY ||
		      forkbus_get_cursor(client));
	}
	return item == 0;
}

/* Sends what fits: the library reads it afterwards. */
static void send_all(int fd, const uint8_t *data, size_t size)
{
	if (size > 0 && fd >= 0)
		(void)send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void subscribe(struct forkbus *client, int listener, const uint8_t *data, size_t size)
{
	size_t begin = 0;
	bool goes_on;
	int fd;

	if (forkbus_start(client) < 0)
		return;
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	goes_on = process(client);
	for (size_t i = 0; i <= size && goes_on; i++) {
		if (i < size && data[i] != 1)
			continue;
		send_all(fd, data + begin, i - begin);
		begin = i + 1;
		goes_on = process(client);
	}
	close(fd);
	(void)process(client);
}

/* A broker that sends its bytes to the next connection, and closes it. */
struct broker {
	int listener;
	const uint8_t *data;
	size_t size;
};

static void *answer(void *userdata)
{
	const struct broker *broker = userdata;
	struct pollfd poll_for = { .fd = broker->listener, .events = POLLIN };
	int fd;

	(void)poll(&poll_for, 1, -1);
	fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC);
	send_all(fd, broker->data, broker->size);
	close(fd);
	return NULL;
}

static void ask(struct forkbus *client, uint8_t which)
{
	struct forkbus_status *status = NULL;
	const struct forkbus_event *event;
	struct forkbus_event *process = NULL;
	struct forkbus_list *list = NULL;

	if (which == 1 && forkbus_list_processes(client, FORKBUS_FOREVER, &list) == 0)
		while (forkbus_list_next(list, &event) > 0)
			check_event(event);
	if (which == 2 && forkbus_get_status(client, FORKBUS_FOREVER, &status) == 0) {
		check(forkbus_status_get_version(status) != NULL);
		(void)forkbus_status_get_processes(status);
	}
	if (which == 3 && forkbus_get_process(client, 7, 0, FORKBUS_FOREVER, &process) == 0)
		check_event(process);
	forkbus_list_free(list);
	forkbus_status_free(status);
	forkbus_event_free(process);
}

static void query(struct forkbus *client, int listener, uint8_t which, const uint8_t *data, size_t size)
{
	struct broker broker = { listener, data, size };
	pthread_t thread;

	check(pthread_create(&thread, NULL, answer, &broker) == 0);
	ask(client, which);
	check(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int listener = -1;
	struct forkbus *client = NULL;

	if (listener < 0)
		listener = listen_there();
	if (size == 0)
		return 0;
	check(forkbus_new(&client, directory, 0) == 0);
	if (data[0] % 4 == 0)
		subscribe(client, listener, data + 1, size - 1);
	else
		query(client, listener, data[0] % 4, data + 1, size - 1);
	forkbus_free(client);
	return 0;
}
