// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lines as they are, the stream face, and the Varlink face.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static size_t count_bytes(const char *data, size_t size, char byte)
{
	const char *end = data + size;
	size_t n = 0;

	while ((data = memchr(data, byte, (size_t)(end - data)))) {
		n++;
		data++;
	}
	return n;
}

static void lines_subscribe(struct wire_peer *peer, const char *request)
{
	(void)request;
	peer->ready = true;
}

static void lines_take(struct wire_peer *peer, const char *data, size_t size)
{
	peer->messages += count_bytes(data, size, '\n');
}

const struct wire wire_lines = { "lines", lines_subscribe, lines_take, NULL, NULL };

static void stream_subscribe(struct wire_peer *peer, const char *request)
{
	if (request)
		wire_send(peer->fd, request, strlen(request));
	wire_send(peer->fd, "\n", 1);
}

/* The first line is "ready", unless there is a snapshot. */
static void stream_take(struct wire_peer *peer, const char *data, size_t size)
{
	size_t n = count_bytes(data, size, '\n');

	if (!peer->ready && n > 0) {
		peer->ready = true;
		n--;
	}
	peer->messages += n;
}

const struct wire wire_stream = { "stream", stream_subscribe, stream_take, NULL, NULL };

static void varlink_subscribe(struct wire_peer *peer, const char *request)
{
	char call[WIRE_LINE_MAX];
	int len = snprintf(
		call, sizeof(call),
		"{\"method\":\"org.forkbus1.Subscribe\",\"parameters\":{\"filter\":%s},\"more\":true}",
		request ? request : "{}");

	wire_send(peer->fd, call, (size_t)len + 1);
}

/* Events in replies, one a line in each; the first one is "ready". */
static void varlink_take(struct wire_peer *peer, const char *data, size_t size)
{
	size_t n = count_bytes(data, size, '\n') + count_bytes(data, size, '\0');

	if (!peer->ready && n > 0) {
		peer->ready = true;
		n--;
	}
	peer->messages += n;
}

const struct wire wire_varlink = { "varlink", varlink_subscribe, varlink_take, NULL, NULL };
