// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bytes that a client sends to the Varlink face, and the answers.
 *
 * An input is what is sent, unchanged, except for three bytes that JSON cannot have: 1: run the broker's loop, 2: an event
 * happens, 3: read all available bytes. Then the client closes its half. It must get an answer to each call up to the first
 * malformed one, in order, and none to a oneway; after the first reply that continues, only replies of this kind.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/message.h"
#include "serve/face.h"
#include "serve/varlink/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUEST_MAX 4096
#define PROCESSES   20
#define ROOM	    (16 << 20)
#define QUIET	    3 /* turns without a byte: nothing comes any more */
#define HANG_NSEC   (10 * NSEC_PER_SEC)

static struct hub *hub;
static struct event_base *base;
static struct face *varlink;
static struct budget *budget;
static struct sockaddr_un address;
static socklen_t address_len;

struct run {
	int fd;
	const uint8_t *sent; /* what of the input is sent */
	size_t size, taken;
	char *got;
	size_t n;
	bool ended;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static void publish(enum event_type type, uint32_t pid)
{
	struct fb_event event;

	fb_event_init(&event, type);
	EVENT_SET(&event, time_usec, 1000000 + pid);
	EVENT_SET(&event, pid, pid);
	EVENT_SET(&event, start_usec, 1000 * pid);
	EVENT_SET(&event, uid, pid % 3);
	EVENT_SET(&event, comm, event_text("fuzz"));
	hub_publish(hub, &event);
}

static char *on_status(void *userdata, bool forget)
{
	(void)userdata, (void)forget;
	return strdup("{}");
}

/* A socket whose name the kernel makes. */
static int on_take_socket(void *userdata, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)userdata, (void)name;
	address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	address_len = sizeof(address);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) == 0);
	check(listen(fd, 10) == 0 && getsockname(fd, (struct sockaddr *)&address, &address_len) == 0);
	return fd;
}

static void open_face(void)
{
	const struct face_context context = {
		.hub = hub,
		.base = base,
		.budget = budget,
		.options = {
			.group = (gid_t)-1,
			.request_max = REQUEST_MAX,
			.request_usec = 3600 * USEC_PER_SEC,
			.heartbeat_usec = 3600 * USEC_PER_SEC,
		},
		.directory = "/nonexistent",
		.bus = FACE_BUS_NONE,
		.take_socket = on_take_socket,
		.status = on_status,
	};

	check(varlink_face.new(&varlink, &context) == 0);
}

static void open_all(void)
{
	char directory[] = "/tmp/fuzz-varlink-XXXXXX", path[64];
	struct log *log = NULL;

	signal(SIGPIPE, SIG_IGN);
	msg_set_level(LOG_ERR);
	check(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/log", directory);
	check(log_open(&log, path, 1 << 20, (gid_t)-1) == 0);
	check(hub_new(&hub, log, 1 << 20) == 0);
	unlink(path);
	rmdir(directory);
	base = event_base_new();
	check(base != NULL);
	check(budget_new(&budget) == 0);
	budget_set(budget, BUDGET_CONNECTIONS, 100, 100);
	open_face();
	for (uint32_t pid = 1; pid <= PROCESSES; pid++)
		publish(EVENT_FORK, pid);
	hub_flush(hub);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Return: whether something came. */
static bool take(struct run *run)
{
	ssize_t n = recv(run->fd, run->got + run->n, ROOM - run->n, MSG_DONTWAIT);

	check(run->n < ROOM);
	if (n > 0)
		run->n += (size_t)n;
	else
		run->ended = n == 0 || errno == ECONNRESET;
	return n > 0;
}

static void say(struct run *run, const uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(run->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN)
			return;
		turn();
		(void)take(run);
	}
}

static void act(struct run *run, uint8_t what)
{
	if (what == 2) {
		publish(EVENT_SESSION, 7);
		hub_flush(hub);
	}
	if (what < 3)
		turn();
	else
		(void)take(run);
}

/* The next whole call, if it is one. */
static bool next_call(struct run *run, struct varlink_call *call)
{
	const uint8_t *at = run->sent + run->taken;
	const uint8_t *end = memchr(at, '\0', run->size - run->taken);

	if (!end || end - at > REQUEST_MAX)
		return false;
	run->taken += (size_t)(end + 1 - at);
	return varlink_call_parse(call, (const char *)at, (size_t)(end - at)) == 0;
}

/* Return: whether others may follow that answer the same call. */
static bool check_reply(const char *text)
{
	json_t *reply = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *value;
	const char *key, *error;
	bool continues;

	check(json_is_object(reply));
	json_object_foreach(reply, key, value)
		check(strcmp(key, "parameters") == 0 || strcmp(key, "error") == 0 ||
		      strcmp(key, "continues") == 0);
	value = json_object_get(reply, "parameters");
	check(!value || json_is_object(value));
	continues = json_is_true(json_object_get(reply, "continues"));
	check(continues || !json_object_get(reply, "continues"));
	error = json_string_value(json_object_get(reply, "error"));
	check(!error || (!continues && strchr(error, '.')));
	json_decref(reply);
	return continues;
}

static void check_replies(struct run *run)
{
	const char *at = run->got, *end = run->got + run->n;
	struct varlink_call call;

	check(run->n == 0 || end[-1] == '\0');
	while (next_call(run, &call)) {
		bool continues = false, more = call.more;

		if (!call.oneway) {
			check(at < end);
			continues = check_reply(at);
			at += strlen(at) + 1;
			check(!continues || (more && strcmp(call.method, "org.forkbus1.Subscribe") == 0));
		}
		varlink_call_done(&call);
		while (continues && at < end) {
			check(check_reply(at));
			at += strlen(at) + 1;
		}
		if (continues)
			break;
	}
	check(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char got[ROOM];
	uint8_t *sent = malloc(size + 1);
	struct run run = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .sent = sent, .got = got };
	size_t begin = 0, quiet = 0;
	uint64_t limit;

	if (!varlink)
		open_all();
	check(sent && run.fd >= 0);
	check(connect(run.fd, (struct sockaddr *)&address, address_len) == 0);
	for (size_t i = 0; i <= size; i++) {
		if (i < size && (data[i] == 0 || data[i] > 3)) {
			sent[run.size++] = data[i];
			continue;
		}
		say(&run, sent + begin, run.size - begin);
		begin = run.size;
		if (i < size)
			act(&run, data[i]);
	}
	shutdown(run.fd, SHUT_WR);
	/* Where the processor is busy, the face pauses for a moment. Only a subscriber stays. */
	limit = monotonic_nsec() + HANG_NSEC;
	while (!run.ended && monotonic_nsec() < limit &&
	       (quiet < QUIET || varlink->ops->stats(varlink)->subscribers == 0)) {
		turn();
		quiet = take(&run) ? 0 : quiet + 1;
	}
	check_replies(&run);
	/* A connection that has received all its answers must be closed, except for a subscriber. */
	check(run.ended || varlink->ops->stats(varlink)->subscribers == 1);
	close(run.fd);
	turn();
	if (varlink->ops->stats(varlink)->connections > 0) {
		/* It is missed at the next heartbeat, or now. */
		varlink = varlink->ops->free(varlink);
		open_face();
	}
	check(budget_used(budget, BUDGET_CONNECTIONS) == 0 && views_stats(hub_views(hub))->views == 0);
	free(sent);
	return 0;
}
