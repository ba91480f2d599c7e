// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "core/priority.h"
#include "service.h"
#include "tests/unit/support.h"

/* Some seconds. */
#define TURNS 3000000

static struct event_base *base;
static struct service *service;
static bool ended, reloaded, watched;
static int manager; /* the service manager's socket */

static void on_end(void *userdata)
{
	(void)userdata;
	ended = true;
}

static void on_reload(void *userdata)
{
	(void)userdata;
	reloaded = true;
}

static void on_status(void *userdata, char text[static SERVICE_STATUS_MAX])
{
	(void)userdata;
	snprintf(text, SERVICE_STATUS_MAX, "busy");
}

static const struct service_ops ops = { .end = on_end, .reload = on_reload, .status = on_status };

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct event_config *config;
	char text[16];

	(void)state;
	test_dir_make();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_path("notify"));
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("WATCHDOG_PID", text, 1);
	setenv("WATCHDOG_USEC", "20000", 1);
	config = event_config_new();
	assert_int_equal(event_config_set_max_dispatch_interval(config, NULL, 8, PRIORITY_DELIVERY), 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	event_base_priority_init(base, _PRIORITY_MAX);
	assert_int_equal(service_new(&service, base, &ops, NULL), 0);
	ended = reloaded = watched = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	service_free(service);
	event_base_free(base);
	close(manager);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	(void)remove(test_path("notify"));
	test_dir_remove();
	return 0;
}

/* Has the service manager received this? */
static bool is_notified(const char *text)
{
	char message[200];
	ssize_t n;

	while ((n = recv(manager, message, sizeof(message) - 1, 0)) > 0) {
		message[n] = '\0';
		if (strstr(message, text))
			return true;
	}
	return false;
}

/* Sending takes all of the time, as if there were more events than subscribers can be sent. */
static void again(evutil_socket_t fd, short what, void *userdata)
{
	static unsigned int turns;

	(void)fd, (void)what;
	watched = watched || is_notified("WATCHDOG=1");
	if (++turns == TURNS || (ended && reloaded && watched))
		event_base_loopbreak(base);
	else
		event_active(*(struct event **)userdata, EV_TIMEOUT, 0);
}

static void signals_come_before_subscribers(void **state)
{
	struct event *busy;

	(void)state;
	busy = event_new(base, -1, 0, again, &busy);
	event_priority_set(busy, PRIORITY_DELIVERY);
	event_active(busy, EV_TIMEOUT, 0);
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(raise(SIGTERM), 0);
	event_base_loop(base, 0);
	event_free(busy);
	assert_true(ended);
	assert_true(reloaded);
	assert_true(watched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(signals_come_before_subscribers, setup, teardown),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
