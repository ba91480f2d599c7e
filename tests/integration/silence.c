// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * silence [BELOW | brief] - make the proc connector stop sending events to all its listeners, as any program can
 *
 * The kernel counts listeners. A socket that says "ignore" takes one from the count unless "ignore" is what it said last;
 * whether it ever listened does not matter, so any other message before is enough, even an unknown one. It repeats this
 * until no event arrives any more, then BELOW times more, so that the next listener is not enough. Prints how often it was.
 *
 * A brief silence ends at once, because this program listens itself then. Some children live during it; their times are
 * printed.
 */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENOUGH	   1000000
#define UNKNOWN_OP 4711
#define CHILDREN   5

static void check(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

/* One that gets the messages that any listener causes. */
static int open_observer(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);

	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "observer");
	return fd;
}

static void say(int fd, uint32_t op)
{
	struct {
		struct nlmsghdr header;
		struct cn_msg message;
		uint32_t op;
	} __attribute__((packed)) request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE },
		.message = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(request.op) },
		.op = op,
	};

	check(send(fd, &request, sizeof(request), 0) == sizeof(request), "send");
}

static void ignore_once(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);

	check(fd >= 0, "socket");
	say(fd, UNKNOWN_OP);
	say(fd, PROC_CN_MCAST_IGNORE);
	close(fd);
}

/* Our own change of name comes back to the observer before prctl() returns, if anything does. */
static bool is_silent(int observer)
{
	char data[8192];

	while (recv(observer, data, sizeof(data), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	prctl(PR_SET_NAME, "silence");
	return recv(observer, data, sizeof(data), MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void live_and_end(void)
{
	uint64_t begin = now_usec();
	pid_t pid = fork();

	check(pid >= 0, "fork");
	if (pid == 0)
		_exit(0);
	check(waitpid(pid, NULL, 0) == pid, "waitpid");
	printf("{\"pid\":%d,\"beginUsec\":%lu,\"endUsec\":%lu}\n", pid, begin, now_usec());
}

int main(int argc, char **argv)
{
	bool brief = argc > 1 && strcmp(argv[1], "brief") == 0;
	int below = argc > 1 && !brief ? atoi(argv[1]) : 0;
	int observer = open_observer();
	unsigned int count = 0;

	for (; !is_silent(observer); count++) {
		if (count == ENOUGH) {
			fputs("silence: it does not stop sending events\n", stderr);
			return 1;
		}
		ignore_once();
	}
	for (; below > 0; below--, count++)
		ignore_once();
	if (brief) {
		for (int i = 0; i < CHILDREN; i++)
			live_and_end();
		say(observer, PROC_CN_MCAST_LISTEN);
		return 0;
	}
	printf("{\"ignored\":%u}\n", count);
	return 0;
}
