// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events as messages, on a connection without a bus: every event can become a message, which has each field once.
 * tests/integration/dbus.t tests the details of messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/dbus/event-message.h"
#include "tests/unit/random-event.h"

/* The header of a message, which is not part of the event. */
#define HEAD_MAX 256

static sd_bus *bus;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	close(fds[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bus = sd_bus_close_unref(bus);
	return 0;
}

static sd_bus_message *message_of(const struct fb_event *event, field_set without)
{
	sd_bus_message *message = NULL;

	assert_true(sd_bus_message_new_signal(bus, &message, "/a", "b.c", "D") >= 0);
	assert_int_equal(dbus_append_event(message, event, without), 0);
	assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
	assert_string_equal(sd_bus_message_get_signature(message, true), "a{sv}");
	return message;
}

/* The members of the dictionary, and of nested ones, except for bytes. */
static unsigned int count_members(sd_bus_message *message)
{
	unsigned int n = 0;
	const char *key, *contents;
	char type;

	assert_true(sd_bus_message_enter_container(message, 'a', "{sv}") > 0);
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		assert_true(sd_bus_message_read(message, "s", &key) > 0);
		assert_true(sd_bus_message_peek_type(message, &type, &contents) > 0);
		if (strcmp(contents, "a{sv}") == 0) {
			assert_true(sd_bus_message_enter_container(message, 'v', contents) > 0);
			n += count_members(message);
			assert_true(sd_bus_message_exit_container(message) > 0);
		} else {
			assert_true(sd_bus_message_skip(message, "v") > 0);
			n += strcmp(contents, "ay") != 0;
		}
		assert_true(sd_bus_message_exit_container(message) > 0);
	}
	assert_true(sd_bus_message_exit_container(message) > 0);
	return n;
}

/* Whatever there is. */
static void test_any(void **state)
{
	static struct random_event one;
	struct random random = { .state = 3 };

	(void)state;
	for (int round = 0; round < 3000; round++) {
		field_set without = round % 2 ? random_next(&random) : 0, left;
		sd_bus_message *message;
		unsigned int n = 0;

		random_event(&random, &one, FIELDS_ALL);
		message = message_of(&one.event, without);
		left = one.event.has & ~without;
		EVENT_FIELD_FOREACH(number, left)
			n += event_fields[number].group != EVENT_GROUP_NONE;
		assert_int_equal(count_members(message), n);
		sd_bus_message_unref(message);
	}
}

static void test_text(void **state)
{
	static const struct {
		const char *data, *shown;
	} texts[] = {
		{ "", "" },
		{ "caf\xc3\xa9 \xf0\x9d\x84\x9e", "caf\xc3\xa9 \xf0\x9d\x84\x9e" },
		{ "caf\xe9", "caf\xef\xbf\xbd" },
		{ "\xef\xbf\xbe", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xef\xbf\xbd", "\xef\xbf\xbd" },
		{ "\xef\xb7\xaf.", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd." },
		{ "\xef\xb7\xb0", "\xef\xb7\xb0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		sd_bus_message *message;
		const char *shown;

		assert_true(sd_bus_message_new_signal(bus, &message, "/a", "b.c", "D") >= 0);
		assert_true(dbus_append_text(message, event_text(texts[i].data)) >= 0);
		assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
		assert_true(sd_bus_message_read(message, "s", &shown) > 0);
		assert_string_equal(shown, texts[i].shown);
		sd_bus_message_unref(message);
	}
}

/* The longest possible event. */
static void test_size(void **state)
{
	static char bytes[EVENT_PATH_MAX];
	struct fb_event event;

	(void)state;
	fb_event_init(&event, EVENT_PROCESS);
	memset(bytes, 0xff, sizeof(bytes));
	EVENT_SET(&event, exe, ((struct event_text){ bytes, sizeof(bytes) }));
	assert_in_range(dbus_event_size(&event, 0), 4 * sizeof(bytes), 4 * sizeof(bytes) + HEAD_MAX);
	assert_in_range(dbus_event_size(&event, EVENT_BIT(exe)), 0, HEAD_MAX);
	memset(bytes, 'x', sizeof(bytes));
	assert_in_range(dbus_event_size(&event, 0), sizeof(bytes), sizeof(bytes) + HEAD_MAX);
	memset(bytes, 0, sizeof(bytes));
	EVENT_SET(&event, args, event.exe);
	event.has &= ~EVENT_BIT(exe);
	assert_in_range(dbus_event_size(&event, 0), 8 * sizeof(bytes), 13 * sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests_name("dbus-event", tests, setup, teardown);
}
