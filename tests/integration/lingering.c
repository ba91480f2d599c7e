// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * lingering - pass on a TCP socket: the program that closes it last has to wait
 *
 *   lingering SOCKET TEXT       \0 at the end of TEXT: with a NUL
 *
 * Connects to the Unix socket, sends TEXT with the TCP socket, and closes its own descriptor of that. Prints "sent", or why it
 * could not send. Ends with its standard input.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINGER_SEC 600

static void check(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
}

/* Its other end never reads. */
static int make_lingering(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger linger = { 1, LINGER_SEC };
	socklen_t size = sizeof(address);
	static char data[65536];
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(listener, (struct sockaddr *)&address, size), "bind");
	check(listen(listener, 1), "listen");
	check(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
	check(connect(fd, (struct sockaddr *)&address, size), "connect");
	check(accept(listener, NULL, NULL), "accept");
	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), "SO_LINGER");
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)), path);
	return fd;
}

static ssize_t send_with(int to, const char *text, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { (char *)(uintptr_t)text, size };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(to, &message, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
	size_t size = argc == 3 ? strlen(argv[2]) : 0;
	int to, fd;

	if (argc != 3)
		return 2;
	if (size >= 2 && strcmp(argv[2] + size - 2, "\\0") == 0) {
		argv[2][size - 2] = '\0';
		size--;
	}
	to = connect_to(argv[1]);
	fd = make_lingering();
	/* Closing the last descriptor would take long here, too. */
	if (send_with(to, argv[2], size, fd) < 0) {
		puts(strerror(errno));
	} else {
		puts("sent");
		close(fd);
	}
	fflush(stdout);
	while (read(STDIN_FILENO, argv[2], 1) > 0)
		;
	return 0;
}
