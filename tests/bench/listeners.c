// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * listeners [each] connector N | stream PATH N [REQUEST] | ring PATH N - N listeners that read everything, and throw it away
 *
 * Each is a socket of its own: on the kernel's proc connector, or on the stream of a broker, with that request; or a mapping
 * of its own of the log of a broker, PATH being its socket org.forkbus1, and a descriptor by which it is woken. One process
 * reads them all, with the same loop in all cases, so that the readers' own cost is small, and equal. With "each" every
 * listener has its own process, like independent programs.
 *
 * Prints "ready" when all of them listen (on a stream: after "ready" has arrived; on a log: after it has been read to its
 * end). Then answers each line on standard input with one JSON line, and ends when there is no more input:
 *
 *   messages  datagrams, or events of the log, that the average listener received, or lines that the first one received
 *   bytes     of all; 0 of a log, of which nothing is copied
 *   reads     system calls that read something, of all; of a log: turns with events
 *   overruns  times that a socket was overrun: ENOBUFS, or a line that reports a loss to the first one
 *   lost      events of the log that are missing for the average listener, since it was too slow
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/lib/reader.h"
#include "tests/bench/lib/wire.h"

#define LISTENERS_MAX 1000
#define BATCH	      64
#define DATAGRAM_MAX  256
#define RECEIVE_BUF   (1 << 20)
#define READY_MAX     128

/* What all processes share. */
static struct counts {
	atomic_ulong messages, bytes, reads, overruns, lost;
	atomic_uint heard; /* listeners */
} * counts;

static const char *const kinds[] = { "connector", "stream", "ring", NULL };
static enum { CONNECTOR, STREAM, RING, NOTHING } kind;
static int sockets[LISTENERS_MAX]; /* or what wakes a reader of the log */
static struct reader readers[LISTENERS_MAX];
static bool heard[LISTENERS_MAX];
static unsigned int n_sockets;

static void tell_kernel(int fd, enum proc_cn_mcast_op op)
{
	struct {
		struct nlmsghdr header;
		struct cn_msg message;
		enum proc_cn_mcast_op op;
	} __attribute__((packed)) request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE },
		.message = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(request.op) },
		.op = op,
	};

	if (send(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
		die("proc connector");
}

static int open_connector(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR);
	int size = RECEIVE_BUF;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("proc connector");
	tell_kernel(fd, PROC_CN_MCAST_LISTEN);
	return fd;
}

static int open_stream(const char *path, const char *request)
{
	int fd = wire_connect(path);

	wire_send(fd, request, strlen(request));
	wire_send(fd, "\n", 1);
	return fd;
}

/* Messages of one socket, as many as a call brings. */
static void read_connector(int fd)
{
	static char buffers[BATCH][DATAGRAM_MAX];
	static struct iovec parts[BATCH];
	static struct mmsghdr messages[BATCH];
	unsigned long bytes = 0;
	int n;

	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ buffers[i], DATAGRAM_MAX };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0) {
		if (errno == ENOBUFS)
			counts->overruns++;
		else if (errno != EAGAIN && errno != EINTR)
			die("recvmmsg");
		return;
	}
	counts->reads++;
	counts->messages += (unsigned long)n;
	for (int i = 0; i < n; i++)
		bytes += messages[i].msg_len;
	counts->bytes += bytes;
}

static void hear(unsigned int number)
{
	if (heard[number])
		return;
	heard[number] = true;
	if (atomic_fetch_add(&counts->heard, 1) + 1 == n_sockets && write(STDOUT_FILENO, "ready\n", 6) != 6)
		die("standard output");
}

static void look_into(const char *data, size_t len)
{
	static const char loss[] = "\"type\":\"lost\"";
	static char line[64];
	static size_t line_len;

	for (const char *end = data + len; data < end;) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		size_t part = (size_t)((newline ? newline : end) - data);
		size_t room = sizeof(line) - 1 - line_len;

		memcpy(line + line_len, data, part < room ? part : room);
		line_len += part < room ? part : room;
		if (!newline)
			return;
		line[line_len] = '\0';
		counts->messages++;
		counts->overruns += strstr(line, loss) != NULL;
		line_len = 0;
		data = newline + 1;
	}
}

static void read_stream(unsigned int number)
{
	static char buffer[65536];
	ssize_t len = recv(sockets[number], buffer, sizeof(buffer), MSG_DONTWAIT);

	if (len == 0) {
		fprintf(stderr, "the stream of listener %u ended\n", number);
		exit(1);
	}
	if (len < 0) {
		if (errno != EAGAIN && errno != EINTR)
			die("recv");
		return;
	}
	counts->reads++;
	counts->bytes += (unsigned long)len;
	if (number == 0)
		look_into(buffer, (size_t)len);
	hear(number);
}

static void read_ring(unsigned int number)
{
	struct reader_turn turn = reader_turn(&readers[number]);

	counts->reads += turn.events > 0;
	counts->messages += turn.events;
	counts->lost += turn.lost;
	if (readers[number].waits)
		hear(number);
}

/* Return: false at the end of the input. */
static bool answer(int input)
{
	unsigned int among = kind == STREAM ? 1 : n_sockets;
	char lines[256], text[256];
	ssize_t len = read(input, lines, sizeof(lines));

	for (ssize_t i = 0; i < len; i++) {
		int text_len = snprintf(
			text, sizeof(text),
			"{\"messages\":%lu,\"bytes\":%lu,\"reads\":%lu,\"overruns\":%lu,\"lost\":%lu}\n",
			counts->messages / among, counts->bytes, counts->reads, counts->overruns,
			counts->lost / among);

		if (lines[i] == '\n' && write(STDOUT_FILENO, text, (size_t)text_len) != text_len)
			die("standard output");
	}
	return len > 0;
}

static void read_one(unsigned int number)
{
	switch (kind) {
	case CONNECTOR:
		read_connector(sockets[number]);
		break;
	case STREAM:
		read_stream(number);
		break;
	default:
		read_ring(number);
	}
}

static void watch(int epoll, int fd, uint32_t number)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = number };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

/* Until the end of the input, which has the requests. */
static void listen_to(unsigned int first, unsigned int end, int input)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	bool more = true;

	for (unsigned int i = first; i < end; i++)
		watch(epoll, sockets[i], i);
	watch(epoll, input, n_sockets);
	for (unsigned int i = first; kind == CONNECTOR && i < end; i++)
		hear(i);
	while (more) {
		struct epoll_event events[READY_MAX];
		int n = epoll_wait(epoll, events, READY_MAX, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.u32 == n_sockets)
				more = answer(input) && more;
			else
				read_one(events[i].data.u32);
	}
	/* Up to Linux 6.5 the kernel goes on speaking to those that do not say that they leave. */
	for (unsigned int i = first; kind == CONNECTOR && i < end; i++)
		tell_kernel(sockets[i], PROC_CN_MCAST_IGNORE);
}

static void open_all(unsigned int first, unsigned int end, const char *path, const char *request)
{
	for (unsigned int i = first; i < end; i++) {
		if (kind == RING) {
			reader_open(&readers[i], path);
			sockets[i] = reader_fd(&readers[i]);
		} else {
			sockets[i] = kind == CONNECTOR ? open_connector() : open_stream(path, request);
		}
	}
}

/* The children end when this one closes its pipe, or is no more. */
static void listen_each(const char *path, const char *request)
{
	int end[2];

	if (pipe(end) < 0)
		die("pipe");
	for (unsigned int i = 0; i < n_sockets; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(end[1]);
			open_all(i, i + 1, path, request);
			listen_to(i, i + 1, end[0]);
			_exit(0);
		}
	}
	close(end[0]);
	while (answer(STDIN_FILENO))
		;
	close(end[1]);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	bool each = argc > 1 && strcmp(argv[1], "each") == 0;
	const char *path, *request;

	argc -= each;
	argv += each;
	while (kind < NOTHING && (argc < 3 || strcmp(argv[1], kinds[kind]) != 0))
		kind++;
	if (kind == CONNECTOR ? argc == 3 : argc == 4 || (kind == STREAM && argc == 5))
		n_sockets = (unsigned int)strtoul(argv[kind == CONNECTOR ? 2 : 3], NULL, 10);
	if (kind == NOTHING || n_sockets < 1 || n_sockets > LISTENERS_MAX) {
		fprintf(stderr,
			"usage: listeners [each] connector N | stream PATH N [REQUEST] | ring PATH N\n");
		return 2;
	}
	path = argv[2];
	request = argc == 5 ? argv[4] : "{}";
	wire_allow_many();
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		die("mmap");
	if (each) {
		listen_each(path, request);
	} else {
		open_all(0, n_sockets, path, request);
		listen_to(0, n_sockets, STDIN_FILENO);
	}
	return 0;
}
