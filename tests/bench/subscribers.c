// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subscribers WIRE ADDRESS N [STUCK [REQUEST]] - N subscribers to a broker with the protocol WIRE, which read everything
 *
 * One process reads them all, and only counts, so that the readers' cost is small, and equal. The first STUCK of them read
 * nothing after they have subscribed. A %u in REQUEST is 1000, 1001, …: a different number for each.
 *
 * Prints "{}" when all are subscribed. Then answers each line on standard input, a number of messages, when this many have
 * arrived at all of them together since the last answer, or none for two seconds:
 *
 *   {"messages":…,"bytes":…,"least":…,"most":…,"lastUsec":…}
 *
 * "least" and "most" are the numbers that a single one received, "lastUsec" is when the last bytes arrived (CLOCK_MONOTONIC).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/wire.h"

#define READ_SIZE   (256 * 1024)
#define READY_MAX   128
#define SILENT_MSEC 2000

static struct wire_peer *peers;
static unsigned long n_peers, stuck, n_ready;
static uint64_t messages, bytes, last_usec;
static int epoll;
static bool asked; /* there is a line on standard input */

static void take(struct wire_peer *peer)
{
	static char data[READ_SIZE];
	ssize_t n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
	uint64_t before = peer->messages;
	bool was_ready = peer->ready;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fprintf(stderr, "%s: the broker has ended the connection\n", peer->wire->name);
		exit(1);
	}
	peer->wire->take(peer, data, (size_t)n);
	peer->bytes += (uint64_t)n;
	bytes += (uint64_t)n;
	messages += peer->messages - before;
	if (peer->ready && !was_ready) {
		n_ready++;
		if (peer < peers + stuck)
			epoll_ctl(epoll, EPOLL_CTL_DEL, peer->fd, NULL);
	}
}

/* Return: whether anything came. */
static bool turn(int msec)
{
	struct epoll_event ready[READY_MAX];
	int n = epoll_wait(epoll, ready, READY_MAX, msec);

	for (int i = 0; i < n; i++) {
		if (ready[i].data.ptr)
			take(ready[i].data.ptr);
		else
			asked = true;
	}
	if (n > (int)asked)
		last_usec = now_usec();
	return n > 0;
}

static void add(unsigned long i, const char *address, const char *request)
{
	struct wire_peer *peer = &peers[i];
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
	char text[WIRE_LINE_MAX];
	const char *u = request ? strstr(request, "%u") : NULL;

	peer->fd = wire_connect(address);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event) < 0)
		die("epoll_ctl");
	if (u) {
		snprintf(text, sizeof(text), "%.*s%lu%s", (int)(u - request), request, 1000 + i, u + 2);
		request = text;
	}
	peer->wire->subscribe(peer, request);
	if (peer->ready)
		n_ready++;
	while (turn(0))
		;
}

static void answer(uint64_t wanted)
{
	static uint64_t reported_messages, reported_bytes;
	uint64_t least = UINT64_MAX, most = 0;

	while (messages - reported_messages < wanted && turn(SILENT_MSEC))
		;
	for (unsigned long i = stuck; i < n_peers; i++) {
		uint64_t n = peers[i].messages;

		least = n < least ? n : least;
		most = n > most ? n : most;
		peers[i].messages = 0;
	}
	printf("{\"messages\":%llu,\"bytes\":%llu,\"least\":%llu,\"most\":%llu,\"lastUsec\":%llu}\n",
	       (unsigned long long)(messages - reported_messages),
	       (unsigned long long)(bytes - reported_bytes), (unsigned long long)least,
	       (unsigned long long)most, (unsigned long long)last_usec);
	reported_messages = messages;
	reported_bytes = bytes;
}

static void subscribe_all(const struct wire *wire, const char *address, const char *request)
{
	peers = calloc(n_peers, sizeof(*peers));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!peers || epoll < 0)
		die("memory");
	for (unsigned long i = 0; i < n_peers; i++) {
		peers[i].wire = wire;
		add(i, address, request);
	}
	while (n_ready < n_peers && turn(10 * SILENT_MSEC))
		;
	if (n_ready < n_peers) {
		fprintf(stderr, "%s: %lu of %lu are not subscribed\n", wire->name, n_peers - n_ready,
			n_peers);
		exit(1);
	}
	answer(0);
}

/* Reads while nobody asks, too. */
static void serve(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	char line[64];

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		die("epoll_ctl");
	for (;;) {
		(void)turn(-1);
		if (!asked)
			continue;
		asked = false;
		epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		if (!fgets(line, sizeof(line), stdin))
			return;
		answer(strtoull(line, NULL, 10));
		epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	}
}

int main(int argc, char *argv[])
{
	const struct wire *wire = argc >= 4 && argc <= 6 ? wire_find(argv[1]) : NULL;

	n_peers = wire ? strtoul(argv[3], NULL, 10) : 0;
	stuck = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	if (n_peers < 1 || stuck >= n_peers) {
		fprintf(stderr, "usage: subscribers WIRE ADDRESS N [STUCK [REQUEST]]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	wire_allow_many();
	subscribe_all(wire, argv[2], argc > 5 ? argv[5] : NULL);
	serve();
	return 0;
}
