// SPDX-License-Identifier: LGPL-2.1-or-later
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire.h"

static const struct wire *const wires[] = { &wire_lines, &wire_stream, &wire_varlink,	   &wire_nats,
					    &wire_mqtt,	 &wire_dbus,   &wire_forkbus_dbus, NULL };

void die(const char *what)
{
	perror(what);
	exit(1);
}

const struct wire *wire_find(const char *name)
{
	for (const struct wire *const *wire = wires; *wire; wire++)
		if (strcmp((*wire)->name, name) == 0)
			return *wire;
	return NULL;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path);
	return fd;
}

static int connect_port(const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(port);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int wire_connect(const char *address)
{
	return address[0] == '/' ? connect_unix(address) : connect_port(address);
}

void wire_allow_many(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void wire_send(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n < 0)
			die("send");
		at += n;
		size -= (size_t)n;
	}
}

void wire_frames(struct wire_peer *peer, const char *data, size_t size, bool (*head)(struct wire_peer *peer))
{
	while (size > 0) {
		if (peer->skip > 0) {
			size_t passed = peer->skip < size ? peer->skip : size;

			peer->skip -= passed;
			data += passed;
			size -= passed;
			continue;
		}
		if (peer->head_len == WIRE_HEAD_MAX) {
			fprintf(stderr, "%s: this is not what was expected: %.80s\n", peer->wire->name,
				peer->head);
			exit(1);
		}
		peer->head[peer->head_len++] = *data++;
		size--;
		if (head(peer))
			peer->head_len = 0;
	}
}
