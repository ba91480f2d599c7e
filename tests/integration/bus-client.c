// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bus-client ADDRESS [uid=N] [group=N]… [runs] - a client of a message bus, which lines of input command
 *
 *   call DESTINATION PATH INTERFACE MEMBER SIGNATURE ARGUMENTS
 *                  ARGUMENTS is a JSON array; - as SIGNATURE: there are none. A variant is {"type": SIGNATURE, "data": …},
 *                  or of the type that JSON has for it; a dictionary an object, or an array of pairs
 *   match RULE
 *
 * Prints what it receives, in order, each as a line of JSON:
 *
 *   {"name": ":1.5"}
 *   {"reply": […]} {"error": NAME, "message": …}                      in the order of the calls
 *   {"signal": MEMBER, "path": …, "interface": …, "sender": …, "destination": …, "args": […]}
 *   {"call": MEMBER, …}                          what others call, never answered; but a Ping is, and is not reported
 *
 * With "runs", of signals whose first argument is a number of events, only which: {"path": …, "from": 1, "to": 17}, when it is
 * broken, or when there is nothing more for now.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define LINE_SIZE    (4 * 1024 * 1024)
#define GROUPS_MAX   8
#define FOREVER_USEC UINT64_MAX

static bool only_runs;
static struct {
	char path[64];
	uint64_t from, to;
} run;

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bus-client: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void print(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

/* What JSON says, as D-Bus has it */

static void append(sd_bus_message *message, const char *signature, json_t *value);

static const char *type_of(json_t *value)
{
	json_t *first = json_array_get(value, 0);

	if (json_is_object(value))
		return "a{sv}";
	if (json_is_array(value))
		return json_is_integer(first) ? "at" : json_is_object(first) ? "aa{sv}" : "as";
	return json_is_integer(value) ? "t" : json_is_boolean(value) ? "b" : "s";
}

static void append_variant(sd_bus_message *message, json_t *value)
{
	json_t *type = json_object_get(value, "type"), *data = json_object_get(value, "data");
	const char *signature = type && data ? json_string_value(type) : type_of(value);

	check(sd_bus_message_open_container(message, 'v', signature), signature);
	append(message, signature, type && data ? data : value);
	check(sd_bus_message_close_container(message), signature);
}

static void append_entry(sd_bus_message *message, const char *contents, json_t *key, json_t *value)
{
	char key_type[2] = { contents[0], '\0' };

	check(sd_bus_message_open_container(message, 'e', contents), contents);
	append(message, key_type, key);
	append(message, contents + 1, value);
	check(sd_bus_message_close_container(message), contents);
}

static void append_array(sd_bus_message *message, const char *contents, json_t *value)
{
	char *entry = contents[0] == '{' ? strndup(contents + 1, strlen(contents) - 2) : NULL;
	const char *name;
	json_t *member;
	size_t i;

	check(sd_bus_message_open_container(message, 'a', contents), contents);
	json_array_foreach(value, i, member) {
		if (entry)
			append_entry(message, entry, json_array_get(member, 0), json_array_get(member, 1));
		else
			append(message, contents, member);
	}
	json_object_foreach(value, name, member) {
		json_t *key = json_string(name);

		append_entry(message, entry, key, member);
		json_decref(key);
	}
	check(sd_bus_message_close_container(message), contents);
	free(entry);
}

/* One complete type. */
static void append(sd_bus_message *message, const char *signature, json_t *value)
{
	union {
		uint8_t y;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		int b;
		double d;
	} number = { .x = json_integer_value(value) };
	char *contents;

	switch (signature[0]) {
	case 'v':
		append_variant(message, value);
		return;
	case 'a':
		append_array(message, signature + 1, value);
		return;
	case '(':
		contents = strndup(signature + 1, strlen(signature) - 2);
		check(sd_bus_message_open_container(message, 'r', contents), signature);
		for (size_t i = 0; i < strlen(contents); i++) /* of basic types */
			append(message, (char[]){ contents[i], '\0' }, json_array_get(value, i));
		check(sd_bus_message_close_container(message), signature);
		free(contents);
		return;
	case 's':
	case 'o':
	case 'g':
		check(sd_bus_message_append_basic(message, signature[0], json_string_value(value)),
		      signature);
		return;
	case 'b':
		number.b = json_is_true(value);
		break;
	case 'd':
		number.d = json_number_value(value);
		break;
	default: /* the rest begins with the lowest byte */
		break;
	}
	check(sd_bus_message_append_basic(message, signature[0], &number), signature);
}

/* What D-Bus says, as JSON */

static json_t *take(sd_bus_message *message, bool is_dictionary);

static json_t *take_basic(sd_bus_message *message, char type)
{
	union {
		uint64_t t;
		int64_t x;
		int32_t i;
		int16_t n;
		int b;
		double d;
		const char *s;
	} value = {};

	check(sd_bus_message_read_basic(message, type, &value), "read");
	switch (type) {
	case 's':
	case 'o':
	case 'g':
		return json_string(value.s);
	case 'b':
		return json_boolean(value.b);
	case 'd':
		return json_real(value.d);
	case 'i':
		return json_integer(value.i);
	case 'n':
		return json_integer(value.n);
	default:
		return json_integer(value.x);
	}
}

/* One value, however nested; a dictionary's has a text as its key. */
static json_t *take_one(sd_bus_message *message)
{
	const char *contents;
	json_t *value, *variant;
	char type;

	check(sd_bus_message_peek_type(message, &type, &contents), "peek");
	if (!strchr("avr", type))
		return take_basic(message, type);
	check(sd_bus_message_enter_container(message, type, contents), "enter");
	value = take(message, type == 'a' && contents[0] == '{');
	check(sd_bus_message_exit_container(message), "exit");
	if (type != 'v')
		return value;
	variant = json_pack("{s:s,s:O}", "type", contents, "data", json_array_get(value, 0));
	json_decref(value);
	return variant;
}

/* All that is left of this container. */
static json_t *take(sd_bus_message *message, bool is_dictionary)
{
	json_t *all = is_dictionary ? json_object() : json_array();
	int r;

	while ((r = sd_bus_message_at_end(message, false)) == 0) {
		const char *key;

		if (!is_dictionary) {
			json_array_append_new(all, take_one(message));
			continue;
		}
		check(sd_bus_message_enter_container(message, 'e', NULL), "entry");
		check(sd_bus_message_read_basic(message, 's', &key), "key");
		if (json_object_get(all, key))
			check(-EEXIST, key);
		json_object_set_new(all, key, take_one(message));
		check(sd_bus_message_exit_container(message), "entry");
	}
	check(r, "end");
	return all;
}

/* Messages */

static void end_run(void)
{
	if (run.to > 0)
		print(json_pack("{s:s,s:I,s:I}", "path", run.path, "from", (json_int_t)run.from, "to",
				(json_int_t)run.to));
	run.to = 0;
}

/* Return: whether it is one with a number, which is noted. */
static bool note_run(sd_bus_message *message)
{
	const char *path = sd_bus_message_get_path(message);
	uint64_t seq;

	if (!sd_bus_message_get_signature(message, true) ||
	    sd_bus_message_get_signature(message, true)[0] != 't')
		return false;
	check(sd_bus_message_read_basic(message, 't', &seq), "seq");
	if (run.to > 0 && (seq != run.to + 1 || strcmp(path, run.path) != 0))
		end_run();
	if (run.to == 0) {
		run.from = seq;
		snprintf(run.path, sizeof(run.path), "%s", path);
	}
	run.to = seq;
	return true;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	bool is_signal = sd_bus_message_is_signal(message, NULL, NULL);

	(void)userdata, (void)error;
	if (!is_signal && (!sd_bus_message_is_method_call(message, NULL, NULL) ||
			   sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Peer", NULL)))
		return 0;
	if (is_signal && only_runs && note_run(message))
		return 0;
	end_run();
	print(json_pack("{s:s,s:s,s:s,s:s,s:s?,s:o}", is_signal ? "signal" : "call",
			sd_bus_message_get_member(message), "path", sd_bus_message_get_path(message),
			"interface", sd_bus_message_get_interface(message), "sender",
			sd_bus_message_get_sender(message), "destination",
			sd_bus_message_get_destination(message), "args", take(message, false)));
	return !is_signal;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *refused = sd_bus_message_get_error(reply);

	(void)userdata, (void)error;
	end_run();
	if (refused)
		print(json_pack("{s:s,s:s?}", "error", refused->name, "message", refused->message));
	else
		print(json_pack("{s:o}", "reply", take(reply, false)));
	return 0;
}

/* Commands */

static void call(sd_bus *bus, char *arguments)
{
	char *destination = strsep(&arguments, " "), *path = strsep(&arguments, " ");
	char *interface = strsep(&arguments, " "), *member = strsep(&arguments, " ");
	char *signature = strsep(&arguments, " ");
	sd_bus_message *message;
	json_t *values = json_loads(arguments ? arguments : "[]", 0, NULL), *value;
	size_t i;

	check(values && signature ? 0 : -EINVAL, "call");
	check(sd_bus_message_new_method_call(bus, &message, destination, path, interface, member), member);
	/* As many values as there are complete types: a single one may have several letters. */
	json_array_foreach(values, i, value)
		append(message, json_array_size(values) == 1 ? signature : (char[]){ signature[i], '\0' },
		       value);
	check(sd_bus_call_async(bus, NULL, message, on_reply, NULL, FOREVER_USEC), member);
	sd_bus_message_unref(message);
	json_decref(values);
}

static void obey(sd_bus *bus, char *line)
{
	char *verb = strsep(&line, " ");

	if (strcmp(verb, "call") == 0)
		call(bus, line);
	else if (strcmp(verb, "match") == 0)
		check(sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
					       "org.freedesktop.DBus", "AddMatch", on_reply, NULL, "s",
					       line ? line : ""),
		      "match");
	else
		check(-EINVAL, verb);
}

/* Lines that are there as a whole. Return: false at the end. */
static bool read_commands(sd_bus *bus)
{
	static char buffer[LINE_SIZE];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, buffer + used, sizeof(buffer) - used);
	char *end, *at = buffer;

	if (n <= 0)
		return false;
	used += (size_t)n;
	while ((end = memchr(at, '\n', used - (size_t)(at - buffer)))) {
		*end = '\0';
		obey(bus, at);
		at = end + 1;
	}
	used -= (size_t)(at - buffer);
	memmove(buffer, at, used);
	return true;
}

static void become(int argc, char **argv)
{
	gid_t groups[GROUPS_MAX], group;
	int n_groups = 0;
	uid_t uid;

	for (int i = 2; i < argc; i++)
		if (n_groups < GROUPS_MAX && sscanf(argv[i], "group=%u", &group) == 1)
			groups[n_groups++] = group;
	for (int i = 2; i < argc; i++) {
		only_runs |= strcmp(argv[i], "runs") == 0;
		if (sscanf(argv[i], "uid=%u", &uid) != 1)
			continue;
		check(setgroups((size_t)n_groups, groups) == 0 ? 0 : -errno, "setgroups");
		check(setresgid(uid, uid, uid) == 0 ? 0 : -errno, "setresgid");
		check(setresuid(uid, uid, uid) == 0 ? 0 : -errno, "setresuid");
	}
}

int main(int argc, char **argv)
{
	const char *name;
	sd_bus *bus;
	int r = 0;

	if (argc < 2)
		return 2;
	become(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	check(sd_bus_new(&bus), "bus");
	check(sd_bus_set_address(bus, argv[1]), "address");
	check(sd_bus_set_bus_client(bus, true), "client");
	check(sd_bus_start(bus), "start");
	check(sd_bus_add_filter(bus, NULL, on_message, NULL), "filter");
	check(sd_bus_get_unique_name(bus, &name), "name");
	print(json_pack("{s:s}", "name", name));
	for (;;) {
		struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
					{ .fd = sd_bus_get_fd(bus) } };
		uint64_t until = UINT64_MAX;

		while ((r = sd_bus_process(bus, NULL)) > 0)
			;
		end_run();
		if (r < 0)
			break;
		fds[1].events = (short)sd_bus_get_events(bus);
		check(sd_bus_get_timeout(bus, &until), "timeout");
		if (poll(fds, 2, until == UINT64_MAX ? -1 : 0) < 0)
			break;
		if (fds[0].revents != 0 && !read_commands(bus))
			break;
	}
	if (r < 0)
		print(json_pack("{s:s}", "gone", strerror(-r)));
	sd_bus_close_unref(bus);
	return 0;
}
