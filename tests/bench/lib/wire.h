/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What brokers speak, as far as it takes to subscribe, to publish, and to count what comes. All of it is asynchronous: a
 * request is written at once, and what comes back is taken piece by piece, as the socket gives it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD_MAX 4096
#define WIRE_LINE_MAX 65536
/* A message is so much longer than the line in it, at most. */
#define WIRE_MORE     512

struct wire;

/* One that subscribes. */
struct wire_peer {
	const struct wire *wire;
	int fd;
	bool ready; /* all that is published from now on comes */
	uint64_t messages, bytes;
	/* A message that has begun: what is known of its head, and what follows it. */
	size_t head_len, skip;
	unsigned int step;
	char head[WIRE_HEAD_MAX];
};

struct wire {
	const char *name;
	/* Asks for all; @request: of the protocols that have one, NULL: the plainest */
	void (*subscribe)(struct wire_peer *peer, const char *request);
	/* Counts what came. */
	void (*take)(struct wire_peer *peer, const char *data, size_t size);
	/* NULL: cannot publish. */
	void (*greet)(int fd);
	/* The message with a line in it. Return: its length. */
	size_t (*put)(char *to, const char *line, size_t len);
};

extern const struct wire wire_lines, wire_stream, wire_varlink, wire_nats, wire_mqtt, wire_dbus,
	wire_forkbus_dbus;

/* wire_find() - by its name, or NULL */
const struct wire *wire_find(const char *name);

/* wire_connect() - to a path, or to a port of this machine. Return: a blocking socket. */
int wire_connect(const char *address);

/* wire_allow_many() - as many descriptors as this process may have at all */
void wire_allow_many(void);

/* All of it, or die. */
void wire_send(int fd, const void *data, size_t size);

/*
 * wire_frames() - pass what came to a protocol whose messages have a head that says how much follows
 * @head: looks at a head as far as it is known. Return: true if it is whole; then @peer->skip is set to what follows.
 */
void wire_frames(struct wire_peer *peer, const char *data, size_t size, bool (*head)(struct wire_peer *peer));

__attribute__((noreturn)) void die(const char *what);
