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

/* Events in replies. A mark may be cut in two: the head keeps the end of what came before. */
static void varlink_take(struct wire_peer *peer, const char *data, size_t size)
{
	static const char mark[] = "\"seq\":";
	const size_t len = sizeof(mark) - 1;
	const char *at = data, *end = data + size;
	size_t first = size < len - 1 ? size : len - 1;

	if (memchr(data, '\0', size))
		peer->ready = true;
	memcpy(peer->head + peer->head_len, data, first);
	if (peer->head_len > 0 && memmem(peer->head, peer->head_len + first, mark, len))
		peer->messages++;
	while ((at = memmem(at, (size_t)(end - at), mark, len))) {
		peer->messages++;
		at += len;
	}
	if (size >= len - 1) {
		peer->head_len = len - 1;
		memcpy(peer->head, end - peer->head_len, peer->head_len);
	} else {
		size_t keep = peer->head_len + size < len - 1 ? peer->head_len + size : len - 1;

		memmove(peer->head, peer->head + peer->head_len + size - keep, keep);
		peer->head_len = keep;
	}
}

const struct wire wire_varlink = { "varlink", varlink_subscribe, varlink_take, NULL, NULL };
