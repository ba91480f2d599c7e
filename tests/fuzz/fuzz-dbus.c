// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Requests on D-Bus: any dictionary that a client can send, as the JSON object that is parsed as a request, and back.
 *
 * sd-bus has validated a message before the broker sees it, so an input is not its bytes, but a program that writes one: bytes
 * that choose a type, and values for it. What an input lacks is zero.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "request.h"
#include "serve/dbus/dictionary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUEST_MAX 4096
#define DEPTH_MAX   24
#define TEXT_MAX    64

struct writer {
	sd_bus_message *message;
	const uint8_t *data;
	size_t left;
	unsigned int depth;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static uint8_t take(struct writer *writer)
{
	if (writer->left == 0)
		return 0;
	writer->left--;
	return *writer->data++;
}

/* Words of requests, or ASCII of the input. */
static const char *take_text(struct writer *writer, char buf[static TEXT_MAX])
{
	static const char *const words[] = { "types",	  "pids",  "tree", "uids",    "comm", "cgroup",
					     "status",	  "since", "exec", "exit",    "pid",  "*a*",
					     "startUsec", "-5min", "",	   "snapshot" };
	uint8_t n = take(writer);
	size_t size = 0;

	if (n < 128)
		return words[n % 16];
	for (n %= TEXT_MAX; n > 0; n--) {
		uint8_t byte = take(writer) & 127;

		if (byte == 0)
			break;
		buf[size++] = (char)byte;
	}
	buf[size] = '\0';
	return buf;
}

static int put_basic(struct writer *writer, char type)
{
	uint8_t value[8] = { 0 };
	char buf[TEXT_MAX];
	int truth;

	if (type == 's')
		return sd_bus_message_append_basic(writer->message, 's', take_text(writer, buf));
	truth = take(writer) & 1;
	if (type == 'b')
		return sd_bus_message_append_basic(writer->message, 'b', &truth);
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = take(writer);
	return sd_bus_message_append_basic(writer->message, type, value);
}

static int put_variant(struct writer *writer);
static int put_dictionary(struct writer *writer);

static int put_array(struct writer *writer, const char *contents)
{
	int r = sd_bus_message_open_container(writer->message, 'a', contents);

	for (uint8_t n = take(writer) % 16; r >= 0 && n > 0; n--)
		r = contents[0] == 'v' ? put_variant(writer) : put_basic(writer, contents[0]);
	return r < 0 ? r : sd_bus_message_close_container(writer->message);
}

static int put_variant(struct writer *writer)
{
	static const char *const types[] = { "s", "t", "x",  "u",  "b",	 "i",  "q",	"n",
					     "y", "d", "as", "at", "av", "ab", "a{sv}", "v" };
	/* A nested one may be of any depth: sd-bus has a limit. */
	const char *type = types[writer->depth++ < DEPTH_MAX ? take(writer) % 16 : 0];
	int r = sd_bus_message_open_container(writer->message, 'v', type);

	if (r < 0)
		return r;
	if (strcmp(type, "a{sv}") == 0)
		r = put_dictionary(writer);
	else if (type[0] == 'v')
		r = put_variant(writer);
	else
		r = type[0] == 'a' ? put_array(writer, type + 1) : put_basic(writer, type[0]);
	writer->depth--;
	return r < 0 ? r : sd_bus_message_close_container(writer->message);
}

static int put_dictionary(struct writer *writer)
{
	int r = sd_bus_message_open_container(writer->message, 'a', "{sv}");
	char buf[TEXT_MAX];

	for (uint8_t n = take(writer) % 8; r >= 0 && n > 0; n--) {
		r = sd_bus_message_open_container(writer->message, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append_basic(writer->message, 's', take_text(writer, buf));
		if (r >= 0)
			r = put_variant(writer);
		if (r >= 0)
			r = sd_bus_message_close_container(writer->message);
	}
	return r < 0 ? r : sd_bus_message_close_container(writer->message);
}

/* A connection on which nothing is sent: messages are made for one. */
static sd_bus *open_bus(void)
{
	sd_bus *bus = NULL;
	int fds[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	check(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);
	return bus;
}

static sd_bus_message *make_call(sd_bus *bus)
{
	sd_bus_message *call = NULL;

	check(sd_bus_message_new_method_call(bus, &call, "org.forkbus1", "/org/forkbus1",
					     "org.forkbus1.Manager", "Subscribe") >= 0);
	return call;
}

/* What was read can be written again. */
static void check_object(sd_bus *bus, json_t *object)
{
	struct request request = { .query = REQUEST_SUBSCRIBE };
	struct filter_error error = { 0 };
	sd_bus_message *call = make_call(bus);
	int r = dbus_append_object(call, object);

	/* sd-bus takes only so many levels. */
	check(r >= 0 || r == -EINVAL);
	sd_bus_message_unref(call);
	r = request_parse_object(&request, object, &error);
	check(r == 0 || (r == FILTER_E_INVALID && error.detail[0]));
	if (r == 0)
		request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static sd_bus *bus;
	struct writer writer = { .data = data, .left = size };
	struct filter_error error = { 0 };
	json_t *object = NULL;
	int r;

	if (!bus)
		bus = open_bus();
	writer.message = make_call(bus);
	if (put_dictionary(&writer) >= 0) {
		check(sd_bus_message_seal(writer.message, 1, 0) >= 0);
		check(sd_bus_message_rewind(writer.message, true) >= 0);
		r = dbus_read_request(writer.message, REQUEST_MAX, &object, &error);
		check(r <= 0 || (r == FILTER_E_INVALID && error.detail[0]));
		check((r == 0) == (object != NULL));
		if (object)
			check_object(bus, object);
		json_decref(object);
	}
	sd_bus_message_unref(writer.message);
	return 0;
}
