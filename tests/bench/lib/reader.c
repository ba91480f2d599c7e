// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/lib/ring.h"
#include "reader.h"
#include "wire.h"

#define READ_ONCE 4096

/* Varlink: a text that ends with a NUL, and what it says comes back with a descriptor. */
static int ask_for_log(const char *path)
{
	static const char call[] = "{\"method\":\"org.forkbus1.OpenRing\"}";
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(sizeof(int))];
	} control;
	char reply[512];
	struct iovec part = { reply, sizeof(reply) - 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int connection = wire_connect(path), fd = -1;
	struct cmsghdr *header;
	ssize_t len;

	wire_send(connection, call, sizeof(call));
	len = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	header = len > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	} else {
		reply[len > 0 ? len : 0] = '\0';
		fprintf(stderr, "%s: no log: %s\n", path, reply);
		exit(1);
	}
	close(connection);
	return fd;
}

void reader_open(struct reader *reader, const char *path)
{
	*reader = (struct reader){};
	if (ring_new(&reader->ring, ask_for_log(path)) != 0)
		die("the broker's log");
}

int reader_fd(const struct reader *reader)
{
	return ring_fd(reader->ring);
}

struct reader_turn reader_turn(struct reader *reader)
{
	struct reader_turn turn = { .woken = reader->waits };
	struct fb_event event;
	int r = 0;

	while ((r == 0 || r == RING_E_LOST) && turn.events < READ_ONCE) {
		r = ring_next(reader->ring, &event);
		turn.events += r == 0;
		turn.lost += r == RING_E_LOST ? event.count : 0;
	}
	if (r < 0 || r == RING_E_REPLACED) {
		fprintf(stderr, "the log has ended\n");
		exit(1);
	}
	reader->waits = r == RING_E_END;
	return turn;
}
