// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * crowd STREAM FIFO BASE USERS SUBSCRIBERS EVENTS STEP - many subscribers of many users, and the events that they wait for
 *
 * Connects SUBSCRIBERS times to the stream interface, as the USERS users from uid BASE on, and writes EVENTS lines into the
 * FIFO that a broker replays, one every STEP µs of the recording: a fork and an exit of one user, then of the next. The events
 * of one more user, whose programs have long paths, are for another program. A tenth of the subscribers stops reading until the
 * others are done, a tenth reconnects again and again and continues at the last event that it got. Each checks that it gets
 * every event of its user and no other one, and that what is missing is in the range of a lost event. Prints the totals, a JSON
 * object.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The time of the first event of the recording. */
#define BEGINNING UINT64_C(1700000000000000)

#define PATH_LENGTH 3900

enum kind { STEADY, STOPPED, RECONNECTING, _KIND_MAX };

static const char *const kinds[_KIND_MAX] = { "steady", "stopped", "reconnecting" };

struct subscriber {
	enum kind kind;
	unsigned int user;
	int fd;
	uint64_t expected; /* number of the next event of its user */
	uint64_t until;	   /* it reconnects when it has had so many events */
	uint64_t had;
	bool ready, reads;
	size_t size;
	char data[16384];
};

static struct {
	const char *stream;
	unsigned int base, users, subscribers;
	uint64_t events, step;
} options;

static struct total {
	uint64_t events, lost, losses, missing, foreign, connections, done;
} totals[_KIND_MAX];

static char epoch[32];	   /* of the log */
static uint64_t first_seq; /* of the first event */
static int epoll;

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Events are numbered from 0 on: two for the first user, two for the second, and so on. */
static unsigned int user_of(uint64_t number)
{
	return (unsigned int)(number / 2 % (options.users + 1));
}

static uint64_t next_of(unsigned int user, uint64_t number)
{
	while (number < options.events && user_of(number) != user)
		number += number % 2 == 0 ? 2 : 1;
	return number;
}

/* Writes all events, in a process of its own. */
static void feed(const char *fifo)
{
	char path[sizeof(",\"exe\":\"/\"") + PATH_LENGTH];
	FILE *file = fopen(fifo, "w");

	if (!file)
		die(fifo);
	snprintf(path, sizeof(path), ",\"exe\":\"/%0*d\"", PATH_LENGTH, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t number = 0; number < options.events; number++)
		fprintf(file,
			"{\"type\":\"%s\",\"timeUsec\":%" PRIu64 ",\"bootUsec\":%" PRIu64 ",\"pid\":%" PRIu64
			",\"startUsec\":%" PRIu64
			",\"uid\":%u,\"gid\":%u,\"euid\":%u,\"egid\":%u,\"comm\":\"crowd\"%s}\n",
			number % 2 ? "exit" : "fork", BEGINNING + number * options.step,
			number * options.step + 1, 100 + number / 2 % 30000,
			number / 2 * 2 * options.step + 1, options.base + user_of(number),
			options.base + user_of(number), options.base + user_of(number),
			options.base + user_of(number), user_of(number) == options.users ? path : "");
	if (fclose(file) != 0)
		die(fifo);
}

static void subscribe(struct subscriber *subscriber, uint64_t after)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = subscriber };
	char request[128] = "{}\n";

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", options.stream);
	if (after)
		snprintf(request, sizeof(request), "{\"since\":\"%s:%" PRIu64 "\"}\n", epoch, after);
	subscriber->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (subscriber->fd < 0 || seteuid(options.base + subscriber->user) < 0)
		die("socket");
	if (connect(subscriber->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(options.stream);
	if (seteuid(0) < 0 || write(subscriber->fd, request, strlen(request)) != (ssize_t)strlen(request))
		die("request");
	if (fcntl(subscriber->fd, F_SETFL, O_NONBLOCK) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, subscriber->fd, &event) < 0)
		die("epoll");
	subscriber->ready = false;
	subscriber->reads = true;
	subscriber->size = 0;
	subscriber->until = subscriber->had + 200 + (uint64_t)random() % 2000;
	totals[subscriber->kind].connections++;
}

static void pause_reading(struct subscriber *subscriber, bool pause)
{
	struct epoll_event event = { .events = pause ? 0 : EPOLLIN, .data.ptr = subscriber };

	subscriber->reads = !pause;
	if (epoll_ctl(epoll, EPOLL_CTL_MOD, subscriber->fd, &event) < 0)
		die("epoll");
}

static uint64_t number_in(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : UINT64_MAX;
}

static void on_event(struct subscriber *subscriber, const char *line)
{
	struct total *total = &totals[subscriber->kind];
	uint64_t number = number_in(line, "{\"seq\":") - first_seq;
	bool right = number_in(line, "\"timeUsec\":") == BEGINNING + number * options.step &&
		     number_in(line, "\"uid\":") == options.base + subscriber->user;

	if (!right || number >= options.events || user_of(number) != subscriber->user) {
		if (total->foreign++ == 0)
			fprintf(stderr, "crowd: user %u got %s\n", options.base + subscriber->user, line);
		return;
	}
	/* An event that comes twice is counted like one that is missing. */
	if (number != subscriber->expected && total->missing++ == 0)
		fprintf(stderr, "crowd: %s subscriber: event %" PRIu64 " instead of %" PRIu64 "\n",
			kinds[subscriber->kind], number, subscriber->expected);
	subscriber->expected = next_of(subscriber->user, number + 1);
	subscriber->had++;
	total->events++;
}

/* The range may begin with events of others. */
static void on_lost(struct subscriber *subscriber, const char *line)
{
	struct total *total = &totals[subscriber->kind];
	uint64_t from = number_in(line, "\"from\":"), to = number_in(line, "\"to\":");

	total->losses++;
	if (from > first_seq + subscriber->expected)
		total->missing++;
	while (subscriber->expected < options.events && first_seq + subscriber->expected <= to) {
		subscriber->expected = next_of(subscriber->user, subscriber->expected + 1);
		total->lost++;
	}
}

static void on_ready(struct subscriber *subscriber, const char *line)
{
	const char *cursor = strstr(line, "\"cursor\":\"");

	if (!cursor)
		die(line);
	subscriber->ready = true;
	if (!epoch[0])
		snprintf(epoch, sizeof(epoch), "%.*s", (int)strcspn(cursor + 10, ":"), cursor + 10);
	if (subscriber->expected == subscriber->user * 2 && subscriber->had == 0 && !first_seq)
		first_seq = strtoull(strchr(cursor + 10, ':') + 1, NULL, 10) + 1;
}

static void on_line(struct subscriber *subscriber, const char *line)
{
	if (strncmp(line, "{\"seq\":", 7) == 0)
		on_event(subscriber, line);
	else if (strstr(line, "\"type\":\"lost\""))
		on_lost(subscriber, line);
	else if (strstr(line, "\"type\":\"ready\""))
		on_ready(subscriber, line);
	else if (!strstr(line, "\"type\":\"heartbeat\""))
		die(line);
}

static bool is_done(const struct subscriber *subscriber)
{
	return subscriber->expected >= options.events;
}

static void reconnect(struct subscriber *subscriber)
{
	uint64_t last = subscriber->expected - 1;

	/* The last event of its user that it had. */
	while (user_of(last) != subscriber->user)
		last--;
	close(subscriber->fd);
	subscribe(subscriber, first_seq + last);
}

static void on_readable(struct subscriber *subscriber)
{
	char *line = subscriber->data, *end;
	ssize_t size = read(subscriber->fd, subscriber->data + subscriber->size,
			    sizeof(subscriber->data) - 1 - subscriber->size);
	bool was_done = is_done(subscriber);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		die(size < 0 ? "read" : "the broker ended a connection");
	subscriber->size += (size_t)size;
	subscriber->data[subscriber->size] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		on_line(subscriber, line);
		line = end + 1;
	}
	subscriber->size -= (size_t)(line - subscriber->data);
	memmove(subscriber->data, line, subscriber->size);
	if (is_done(subscriber) && !was_done)
		totals[subscriber->kind].done++;
	else if (subscriber->kind == RECONNECTING && subscriber->had >= subscriber->until &&
		 !is_done(subscriber))
		reconnect(subscriber);
}

static void serve(void)
{
	struct epoll_event events[64];
	int n = epoll_wait(epoll, events, 64, -1);

	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	for (int i = 0; i < n; i++) {
		struct subscriber *subscriber = events[i].data.ptr;

		if (events[i].events & EPOLLIN)
			on_readable(subscriber);
		else if (events[i].events & (EPOLLHUP | EPOLLERR))
			die("the broker ended a connection");
	}
}

static struct subscriber *connect_all(void)
{
	struct subscriber *all = calloc(options.subscribers, sizeof(*all));

	if (!all)
		die("memory");
	for (unsigned int i = 0; i < options.subscribers; i++) {
		/* Each user has as many of each kind. */
		unsigned int turn = i / options.users;

		all[i].user = i % options.users;
		all[i].kind = turn % 10 == 0 ? STOPPED : turn % 10 == 1 ? RECONNECTING : STEADY;
		all[i].expected = next_of(all[i].user, 0);
		subscribe(&all[i], 0);
		while (!all[i].ready)
			serve();
	}
	return all;
}

static void print_totals(void)
{
	printf("{");
	for (unsigned int kind = 0; kind < _KIND_MAX; kind++) {
		const struct total *total = &totals[kind];

		printf("%s\"%s\":{\"events\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"losses\":%" PRIu64
		       ",\"missing\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"connections\":%" PRIu64
		       ",\"done\":%" PRIu64 "}",
		       kind ? "," : "", kinds[kind], total->events, total->lost, total->losses,
		       total->missing, total->foreign, total->connections, total->done);
	}
	printf("}\n");
}

static void run(const char *fifo)
{
	struct subscriber *all = connect_all();
	uint64_t n_stopped = 0, n_others;
	pid_t feeder;

	for (unsigned int i = 0; i < options.subscribers; i++)
		if (all[i].kind == STOPPED) {
			n_stopped++;
			pause_reading(&all[i], true);
		}
	n_others = options.subscribers - n_stopped;
	feeder = fork();
	if (feeder < 0)
		die("fork");
	if (feeder == 0) {
		feed(fifo);
		_exit(0);
	}
	while (totals[STEADY].done + totals[RECONNECTING].done < n_others)
		serve();
	for (unsigned int i = 0; i < options.subscribers; i++)
		if (all[i].kind == STOPPED)
			pause_reading(&all[i], false);
	while (totals[STOPPED].done < n_stopped)
		serve();
	print_totals();
	free(all);
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	if (argc != 8) {
		fprintf(stderr, "usage: crowd STREAM FIFO BASE USERS SUBSCRIBERS EVENTS STEP\n");
		return 2;
	}
	options.stream = argv[1];
	options.base = (unsigned int)strtoul(argv[3], NULL, 10);
	options.users = (unsigned int)strtoul(argv[4], NULL, 10);
	options.subscribers = (unsigned int)strtoul(argv[5], NULL, 10);
	options.events = strtoull(argv[6], NULL, 10);
	options.step = strtoull(argv[7], NULL, 10);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (setgroups(0, NULL) < 0)
		die("setgroups");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		die("epoll_create1");
	run(argv[2]);
	return 0;
}
