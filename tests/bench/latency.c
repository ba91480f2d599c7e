// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * latency connector | stream PATH - the time from a fork until its listener has read the event
 *
 * Reads forks from the kernel's proc connector, or from the stream of a broker, and compares the time in the event with the
 * time when it was read: for all events of one call, the time after this call. Prints "ready", reads until standard input
 * ends, then prints one JSON line, in microseconds:
 *
 *   {"n":…,"p50":…,"p99":…,"p999":…,"max":…,"waits":…}       waits: how often it waited for more
 *
 * A line on standard input before that begins again: the events until then were the warm-up.
 */
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/lib/wire.h"

#define SAMPLES_MAX (4 * 1024 * 1024)
#define READ_SIZE   (256 * 1024)
#define RECEIVE_BUF (4 * 1024 * 1024)

static uint32_t samples[SAMPLES_MAX];
static size_t n_samples, n_waits;

static uint64_t now_usec_by(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void add(uint64_t now, uint64_t then)
{
	if (n_samples < SAMPLES_MAX)
		samples[n_samples++] = now > then ? (uint32_t)(now - then) : 0;
}

static int open_connector(void)
{
	struct {
		struct nlmsghdr header;
		struct cn_msg message;
		enum proc_cn_mcast_op op;
	} __attribute__((packed)) request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE },
		.message = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(request.op) },
		.op = PROC_CN_MCAST_LISTEN,
	};
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR), size = RECEIVE_BUF;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
		die("proc connector");
	return fd;
}

/* A datagram an event; its time is CLOCK_MONOTONIC, in ns. */
static void read_connector(int fd)
{
	char data[512];
	const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)data;
	const struct cn_msg *message = NLMSG_DATA(header);
	struct proc_event event;
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*message) + sizeof(event)))
		return;
	memcpy(&event, message->data, sizeof(event));
	if (event.what == PROC_EVENT_FORK)
		add(now_usec_by(CLOCK_MONOTONIC), event.timestamp_ns / 1000);
}

/* "bootUsec" of all lines. What is cut off at the end waits for its rest. */
static void read_stream(int fd)
{
	static const char mark[] = "\"bootUsec\":";
	static char data[READ_SIZE];
	static size_t kept;
	ssize_t n = recv(fd, data + kept, sizeof(data) - kept, MSG_DONTWAIT);
	uint64_t now = now_usec_by(CLOCK_BOOTTIME);
	char *line = data, *end, *newline, *found;

	if (n <= 0)
		return;
	end = data + kept + n;
	for (; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
		found = memmem(line, (size_t)(newline - line), mark, sizeof(mark) - 1);
		if (found && memmem(line, (size_t)(newline - line), "\"fork\"", 6))
			add(now, strtoull(found + sizeof(mark) - 1, NULL, 10));
	}
	kept = (size_t)(end - line);
	memmove(data, line, kept);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned int at(double share)
{
	return n_samples ? samples[(size_t)(share * (double)(n_samples - 1))] : 0;
}

int main(int argc, char *argv[])
{
	bool connector = argc == 2 && strcmp(argv[1], "connector") == 0;
	struct pollfd polls[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	char line[64];

	if (!connector && (argc != 3 || strcmp(argv[1], "stream") != 0)) {
		fprintf(stderr, "usage: latency connector | stream PATH\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	polls[0].fd = connector ? open_connector() : wire_connect(argv[2]);
	if (!connector)
		wire_send(polls[0].fd, "\n", 1);
	puts("ready");
	for (;;) {
		n_waits++;
		if (poll(polls, 2, -1) < 0)
			die("poll");
		if (polls[0].revents && connector)
			read_connector(polls[0].fd);
		else if (polls[0].revents)
			read_stream(polls[0].fd);
		if (!polls[1].revents)
			continue;
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			break;
		n_samples = n_waits = 0;
	}
	qsort(samples, n_samples, sizeof(samples[0]), compare);
	printf("{\"n\":%zu,\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u,\"waits\":%zu}\n", n_samples, at(0.5),
	       at(0.99), at(0.999), at(1), n_waits);
	return 0;
}
