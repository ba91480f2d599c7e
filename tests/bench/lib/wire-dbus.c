// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * D-Bus: a broadcast signal with a string, and the signals that org.forkbus1 sends to its subscribers. Little-endian.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define BENCH "org.forkbus.Bench"

enum { CALL = 1, RETURN, ERROR, SIGNAL };
enum { PATH = 1, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE };

struct message {
	size_t len;
	char data[WIRE_LINE_MAX + WIRE_MORE];
};

static void align(struct message *message, size_t to)
{
	while (message->len % to != 0)
		message->data[message->len++] = '\0';
}

static void put_u32(struct message *message, uint32_t value)
{
	align(message, 4);
	memcpy(message->data + message->len, &value, 4);
	message->len += 4;
}

static void put_string(struct message *message, const char *text, size_t len)
{
	put_u32(message, (uint32_t)len);
	memcpy(message->data + message->len, text, len);
	message->len += len;
	message->data[message->len++] = '\0';
}

/* A field of the header: its code, its type in a variant. */
static void put_field(struct message *message, int code, char type, const char *text)
{
	align(message, 8);
	message->data[message->len++] = (char)code;
	message->data[message->len++] = 1;
	message->data[message->len++] = type;
	message->data[message->len++] = '\0';
	if (type == 'g') {
		message->data[message->len++] = (char)strlen(text);
		memcpy(message->data + message->len, text, strlen(text) + 1);
		message->len += strlen(text) + 1;
	} else {
		put_string(message, text, strlen(text));
	}
}

static void begin(struct message *message, int type, uint32_t serial)
{
	const char start[] = { 'l', (char)type, type == CALL ? 0 : 1 /* no reply expected */, 1 };

	memcpy(message->data, start, 4);
	message->len = 4;
	put_u32(message, 0); /* of the body */
	put_u32(message, serial);
	put_u32(message, 0); /* of the fields */
}

/* The fields end, the body begins. Return: where. */
static size_t end_fields(struct message *message)
{
	uint32_t size = (uint32_t)(message->len - 16);

	memcpy(message->data + 12, &size, 4);
	align(message, 8);
	return message->len;
}

static void end(struct message *message, size_t body)
{
	uint32_t size = (uint32_t)(message->len - body);

	memcpy(message->data + 4, &size, 4);
}

static void call(struct message *message, uint32_t serial, const char *to, const char *path,
		 const char *interface, const char *member, const char *signature)
{
	begin(message, CALL, serial);
	put_field(message, PATH, 'o', path);
	put_field(message, INTERFACE, 's', interface);
	put_field(message, MEMBER, 's', member);
	put_field(message, DESTINATION, 's', to);
	if (signature)
		put_field(message, SIGNATURE, 'g', signature);
}

static void call_bus(struct message *message, uint32_t serial, const char *member, const char *signature)
{
	call(message, serial, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member,
	     signature);
}

static void dbus_greet(int fd)
{
	static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	static struct message message;

	wire_send(fd, hello, sizeof(hello) - 1);
	call_bus(&message, 1, "Hello", NULL);
	end(&message, end_fields(&message));
	wire_send(fd, message.data, message.len);
}

static void dbus_subscribe(struct wire_peer *peer, const char *request)
{
	static const char match[] = "type='signal',interface='" BENCH "'";
	static struct message message;
	size_t body;

	(void)request;
	dbus_greet(peer->fd);
	call_bus(&message, 2, "AddMatch", "s");
	body = end_fields(&message);
	put_string(&message, match, sizeof(match) - 1);
	end(&message, body);
	wire_send(peer->fd, message.data, message.len);
}

/* Subscribe({}): an empty dictionary */
static void forkbus_subscribe(struct wire_peer *peer, const char *request)
{
	static struct message message;
	size_t body;

	(void)request;
	dbus_greet(peer->fd);
	call(&message, 2, "org.forkbus1", "/org/forkbus1", "org.forkbus1.Manager", "Subscribe", "a{sv}");
	body = end_fields(&message);
	put_u32(&message, 0);
	align(&message, 8);
	end(&message, body);
	wire_send(peer->fd, message.data, message.len);
}

static uint32_t u32_at(const char *data)
{
	uint32_t value;

	memcpy(&value, data, 4);
	return value;
}

/* The text of a field of a header that is whole, "" if there is none. */
static const char *find_field(const char *head, int code)
{
	size_t at = 16, limit = 16 + u32_at(head + 12);

	while (at < limit) {
		char type = head[at + 2];

		if (head[at] == code && type == 's')
			return head + at + 8;
		at += 4;
		if (type == 'g')
			at += (unsigned char)head[at] + 2;
		else
			at += type == 'u' ? 4 : 4 + u32_at(head + at) + 1;
		at = (at + 7) & ~(size_t)7;
	}
	return "";
}

/* Answer Ping: the broker checks that a subscriber is alive. */
static void answer(const struct wire_peer *peer)
{
	static struct message message;
	uint32_t serial = u32_at(peer->head + 8);

	begin(&message, RETURN, 3);
	align(&message, 8);
	memcpy(message.data + message.len, (const char[]){ REPLY_SERIAL, 1, 'u', 0 }, 4);
	message.len += 4;
	put_u32(&message, serial);
	put_field(&message, DESTINATION, 's', find_field(peer->head, SENDER));
	end(&message, end_fields(&message));
	wire_send(peer->fd, message.data, message.len);
}

static bool dbus_head(struct wire_peer *peer)
{
	size_t fields;

	/* What says that one is let in: "DATA", "OK …" */
	if (peer->step == 0) {
		if (peer->head[peer->head_len - 1] != '\n')
			return false;
		if (strncmp(peer->head, "OK", 2) == 0)
			peer->step++;
		return true;
	}
	if (peer->head_len < 16)
		return false;
	fields = (u32_at(peer->head + 12) + 7) & ~(size_t)7;
	switch (peer->head[1]) {
	case CALL:
		if (peer->head_len < 16 + fields)
			return false;
		answer(peer);
		peer->skip = u32_at(peer->head + 4);
		return true;
	case ERROR:
		if (peer->head_len < 16 + fields)
			return false;
		fprintf(stderr, "dbus: %s\n", peer->head + 16 + 8);
		exit(1);
	case RETURN:
		/* of Hello, then of what was asked for */
		peer->ready = ++peer->step > 2;
		break;
	case SIGNAL:
		peer->messages++;
		break;
	}
	peer->skip = fields + u32_at(peer->head + 4);
	return true;
}

static void dbus_take(struct wire_peer *peer, const char *data, size_t size)
{
	wire_frames(peer, data, size, dbus_head);
}

static size_t dbus_put(char *to, const char *line, size_t len)
{
	static struct message message;
	size_t body;

	begin(&message, SIGNAL, 5);
	put_field(&message, PATH, 'o', "/org/forkbus/bench");
	put_field(&message, INTERFACE, 's', BENCH);
	put_field(&message, MEMBER, 's', "Event");
	put_field(&message, SIGNATURE, 'g', "s");
	body = end_fields(&message);
	put_string(&message, line, len);
	end(&message, body);
	memcpy(to, message.data, message.len);
	return message.len;
}

const struct wire wire_dbus = { "dbus", dbus_subscribe, dbus_take, dbus_greet, dbus_put };
const struct wire wire_forkbus_dbus = { "forkbus-dbus", forkbus_subscribe, dbus_take, NULL, NULL };
