// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * NATS, and MQTT 3.1.1 with QoS 0.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define SUBJECT "forkbus"

/* NATS: lines; a MSG is followed by what it carries. */

static void nats_greet(int fd)
{
	static const char text[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

	wire_send(fd, text, sizeof(text) - 1);
}

static void nats_subscribe(struct wire_peer *peer, const char *request)
{
	static const char text[] = "SUB " SUBJECT " 1\r\nPING\r\n";

	(void)request;
	nats_greet(peer->fd);
	wire_send(peer->fd, text, sizeof(text) - 1);
}

static bool nats_head(struct wire_peer *peer)
{
	if (peer->head[peer->head_len - 1] != '\n')
		return false;
	if (peer->head[0] == 'M') {
		peer->head[peer->head_len - 1] = '\0';
		peer->skip = strtoul(strrchr(peer->head, ' '), NULL, 10) + 2;
		peer->messages++;
	} else if (strncmp(peer->head, "PONG", 4) == 0) {
		peer->ready = true;
	} else if (strncmp(peer->head, "PING", 4) == 0) {
		wire_send(peer->fd, "PONG\r\n", 6);
	} else if (peer->head[0] == '-') {
		fprintf(stderr, "nats: %.*s", (int)peer->head_len, peer->head);
		exit(1);
	}
	return true;
}

static void nats_take(struct wire_peer *peer, const char *data, size_t size)
{
	wire_frames(peer, data, size, nats_head);
}

static size_t nats_put(char *to, const char *line, size_t len)
{
	size_t at = (size_t)sprintf(to, "PUB " SUBJECT " %zu\r\n", len);

	memcpy(to + at, line, len);
	memcpy(to + at + len, "\r\n", 2);
	return at + len + 2;
}

const struct wire wire_nats = { "nats", nats_subscribe, nats_take, nats_greet, nats_put };

/* MQTT: a type, a length, and so many bytes. */

#define MQTT_CONNECT   0x10
#define MQTT_PUBLISH   0x30
#define MQTT_SUBSCRIBE 0x82
#define MQTT_SUBACK    0x90

static size_t put_length(char *to, size_t length)
{
	size_t at = 0;

	do {
		to[at++] = (char)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
		length >>= 7;
	} while (length > 0);
	return at;
}

static size_t put_text(char *to, const char *text, size_t len)
{
	to[0] = (char)(len >> 8);
	to[1] = (char)len;
	memcpy(to + 2, text, len);
	return 2 + len;
}

static void mqtt_packet(int fd, int type, const char *body, size_t len)
{
	char packet[256];
	size_t at = 1;

	packet[0] = (char)type;
	at += put_length(packet + at, len);
	memcpy(packet + at, body, len);
	wire_send(fd, packet, at + len);
}

/* Without keep-alive; each has a name of its own. */
static void mqtt_greet(int fd)
{
	static atomic_uint n;
	char body[64], name[32];
	size_t at = put_text(body, "MQTT", 4);
	unsigned int len;

	body[at++] = 4;
	body[at++] = 2; /* a clean session */
	body[at++] = 0;
	body[at++] = 0;
	len = (unsigned int)sprintf(name, "bench-%d-%u", fd, atomic_fetch_add(&n, 1));
	at += put_text(body + at, name, len);
	mqtt_packet(fd, MQTT_CONNECT, body, at);
}

static void mqtt_subscribe(struct wire_peer *peer, const char *request)
{
	char body[64] = { 0, 1 };
	size_t at = 2;

	(void)request;
	mqtt_greet(peer->fd);
	at += put_text(body + at, SUBJECT, sizeof(SUBJECT) - 1);
	body[at++] = 0; /* QoS */
	mqtt_packet(peer->fd, MQTT_SUBSCRIBE, body, at);
}

static bool mqtt_head(struct wire_peer *peer)
{
	const unsigned char *head = (const unsigned char *)peer->head;
	size_t length = 0;

	if (peer->head_len < 2 || (head[peer->head_len - 1] & 0x80))
		return false;
	for (size_t i = peer->head_len - 1; i > 0; i--)
		length = length << 7 | (head[i] & 0x7f);
	peer->skip = length;
	if ((head[0] & 0xf0) == MQTT_PUBLISH)
		peer->messages++;
	else if (head[0] == MQTT_SUBACK)
		peer->ready = true;
	return true;
}

static void mqtt_take(struct wire_peer *peer, const char *data, size_t size)
{
	wire_frames(peer, data, size, mqtt_head);
}

static size_t mqtt_put(char *to, const char *line, size_t len)
{
	size_t at = 1;

	to[0] = MQTT_PUBLISH;
	at += put_length(to + at, 2 + sizeof(SUBJECT) - 1 + len);
	at += put_text(to + at, SUBJECT, sizeof(SUBJECT) - 1);
	memcpy(to + at, line, len);
	return at + len;
}

const struct wire wire_mqtt = { "mqtt", mqtt_subscribe, mqtt_take, mqtt_greet, mqtt_put };
