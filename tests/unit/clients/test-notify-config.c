// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/message.h"
#include "clients/notify/rules.h"
#include "tests/unit/config-test.h"

static bool matches(const struct globs *globs, const char *text)
{
	return globs_match(globs, text, strlen(text));
}

static void assert_defaults(const struct notify_config *config)
{
	assert_int_equal(config->show, 1 << KIND_SUCCESS | 1 << KIND_FAILURE);
	assert_int_equal(config->scope, SCOPE_SHELL);
	assert_int_equal(config->min_elapsed_usec, 10000000);
	for (int i = 0; i < CODES_MAX; i++)
		assert_int_equal(config->stopped[i], i == 130 || i == 141 || i == 143);
	assert_int_equal(config->success_urgency, URGENCY_LOW);
	assert_int_equal(config->failure_urgency, URGENCY_NORMAL);
	assert_true(matches(&config->commands.ignore[ABOUT_COMM], "vim"));
	assert_true(matches(&config->commands.ignore[ABOUT_COMM], "tmux: client"));
	assert_false(matches(&config->commands.ignore[ABOUT_COMM], "make"));
	for (int about = 0; about < _ABOUT_MAX; about++) {
		assert_true(about == ABOUT_COMM || config->commands.ignore[about].n == 0);
		assert_int_equal(config->commands.only[about].n, 0);
		assert_int_equal(config->crashes.ignore[about].n, 0);
		assert_int_equal(config->crashes.only[about].n, 0);
	}
	assert_true(config->show_crashes);
	assert_int_equal(config->crash_urgency, URGENCY_CRITICAL);
	assert_int_equal(config->on_screen, 3);
	assert_false(config->quiet.any);
	assert_false(config->quiet_crashes);
}

static void test_defaults(void **state)
{
	struct notify_config config;

	(void)state;
	memset(&config, 0xff, sizeof(config));
	assert_int_equal(notify_config_init(&config), 0);
	assert_defaults(&config);
	notify_config_done(&config);
	config_write("# nothing\n");
	assert_int_equal(notify_config_load(&config, path, true), 0);
	assert_defaults(&config);
	notify_config_done(&config);
	/* There is no file, or no directory for one. */
	assert_int_equal(notify_config_load(&config, "/nonexistent/notify.conf", false), 0);
	assert_defaults(&config);
	notify_config_done(&config);
	assert_int_equal(notify_config_load(&config, NULL, false), 0);
	assert_defaults(&config);
	notify_config_done(&config);
	assert_string_equal(heard(), "");
}

static void test_all(void **state)
{
	struct notify_config config;

	(void)state;
	config_write("[Commands]\n"
		     "Show=stopped  failure ; a comment\n"
		     "Scope=terminal\n"
		     "MinElapsedSec=1min 30s\n"
		     "StoppedCodes=1 255\n"
		     "SuccessUrgency=critical\n"
		     "FailureUrgency=low\n"
		     "IgnoreComm=mine\n"
		     "IgnoreExe=/opt/* /srv/*\n"
		     "IgnoreExe=/home/*\n"
		     "OnlyCgroup=*/app.slice/*\n"
		     "[Crashes]\n"
		     "Show=no\n"
		     "Urgency=normal\n"
		     "IgnoreComm=a*\n"
		     "OnlyExe=/usr/*\n"
		     "OnlyComm=b?\n"
		     "IgnoreCgroup=/x\n"
		     "[Notifications]\n"
		     "OnScreen=20\n"
		     "QuietHours=22:00-07:30\n"
		     "QuietCrashes=yes\n"
		     "[Commands]\n"
		     "OnlyComm=first\n"
		     "OnlyComm=\n"
		     "OnlyComm=second\n");
	assert_int_equal(notify_config_load(&config, path, true), 0);
	assert_string_equal(heard(), "");
	assert_int_equal(config.show, 1 << KIND_STOPPED | 1 << KIND_FAILURE);
	assert_int_equal(config.scope, SCOPE_TERMINAL);
	assert_int_equal(config.min_elapsed_usec, 90000000);
	assert_true(config.stopped[1] && config.stopped[255] && !config.stopped[130]);
	assert_int_equal(config.success_urgency, URGENCY_CRITICAL);
	assert_int_equal(config.failure_urgency, URGENCY_LOW);
	/* Values are added to the default list. */
	assert_true(matches(&config.commands.ignore[ABOUT_COMM], "mine"));
	assert_true(matches(&config.commands.ignore[ABOUT_COMM], "less"));
	assert_int_equal(config.commands.ignore[ABOUT_EXE].n, 3);
	assert_true(matches(&config.commands.ignore[ABOUT_EXE], "/home/me/x"));
	assert_true(matches(&config.commands.only[ABOUT_CGROUP], "/user.slice/app.slice/x"));
	assert_int_equal(config.commands.only[ABOUT_COMM].n, 1);
	assert_true(matches(&config.commands.only[ABOUT_COMM], "second"));
	assert_false(config.show_crashes);
	assert_int_equal(config.crash_urgency, URGENCY_NORMAL);
	assert_true(matches(&config.crashes.ignore[ABOUT_COMM], "abc"));
	assert_true(matches(&config.crashes.only[ABOUT_EXE], "/usr/bin/x"));
	assert_true(matches(&config.crashes.only[ABOUT_COMM], "bb"));
	assert_true(matches(&config.crashes.ignore[ABOUT_CGROUP], "/x"));
	assert_int_equal(config.on_screen, 20);
	assert_true(config.quiet.any && config.quiet.begin == 22 * 60 && config.quiet.end == 7 * 60 + 30);
	assert_true(config.quiet_crashes);
	notify_config_done(&config);
}

static void test_empty(void **state)
{
	struct notify_config config;

	(void)state;
	config_write("[Commands]\nShow=\nStoppedCodes=\nIgnoreComm=\n[Notifications]\nQuietHours=\n");
	assert_int_equal(notify_config_load(&config, path, true), 0);
	assert_int_equal(config.show, 0);
	assert_false(config.stopped[130]);
	assert_int_equal(config.commands.ignore[ABOUT_COMM].n, 0);
	assert_false(config.quiet.any);
	notify_config_done(&config);
}

/* Each of these is refused with a message that has the line number; earlier values are kept. */
static void test_errors(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "[Commands]\nShow=all", "Show=all: expected words of success, failure and stopped" },
		{ "[Commands]\nShow=success,failure", "expected words of" },
		{ "[Commands]\nScope=me", "Scope=me: expected shell, terminal or all" },
		{ "[Commands]\nMinElapsedSec=soon", "expected a span" },
		{ "[Commands]\nMinElapsedSec=-1", "expected a span" },
		{ "[Commands]\nStoppedCodes=0", "expected numbers from 1 to 255" },
		{ "[Commands]\nStoppedCodes=256", "expected numbers" },
		{ "[Commands]\nStoppedCodes=130,143", "expected numbers" },
		{ "[Commands]\nSuccessUrgency=high", "expected low, normal or critical" },
		{ "[Commands]\nIgnoreComm=good [bad", "IgnoreComm=good [bad: " },
		{ "[Commands]\nUrgency=low", "there is no such option in this section" },
		{ "[Crashes]\nShow=maybe", "expected yes or no" },
		{ "[Crashes]\nShow=true", "expected yes or no" },
		{ "[Crashes]\nUrgency=", "expected low, normal or critical" },
		{ "[Notifications]\nOnScreen=0", "expected a number from 1 to 20" },
		{ "[Notifications]\nOnScreen=21", "expected a number" },
		{ "[Notifications]\nOnScreen=3x", "expected a number" },
		{ "[Notifications]\nQuietHours=22-07", "expected hours like 22:00-07:00" },
		{ "[Notifications]\nQuietHours=22:00-24:00", "expected hours" },
		{ "[Notifications]\nQuietHours=22:00-22:00", "expected hours" },
		{ "[Notifications]\nQuietHours=22:60-23:00", "expected hours" },
		{ "[Notifications]\nQuietHours=22:00-23:000", "expected hours" },
		{ "[commands]\nShow=",
		  "there is no such section; the sections are Commands, Crashes and Notifications" },
		{ "\nShow", "expected [Section], Key=value, or a comment" },
	};
	char content[1024];
	struct notify_config config;

	(void)state;
	config_write("");
	assert_int_equal(notify_config_load(&config, path, true), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(content, sizeof(content), "[Commands]\nScope=all\n%s\n[Commands]\nScope=nothing\n",
			 cases[i].line);
		config_write(content);
		assert_int_equal(notify_config_load(&config, path, true), CONFIG_E_INVALID);
		assert_non_null(strstr(heard(), cases[i].words));
		snprintf(content, sizeof(content), "forkbus-notify: %s:4: ", path);
		assert_memory_equal(got, content, strlen(content));
		/* Only the first error is reported. */
		assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
		assert_defaults(&config);
	}
	notify_config_done(&config);
}

static void test_bounds(void **state)
{
	char content[65536] = "[Commands]\nIgnoreComm=", *at = content + strlen(content);
	struct notify_config config;

	(void)state;
	memset(at, 'x', 4000);
	config_write(content);
	assert_int_equal(notify_config_load(&config, path, true), CONFIG_E_INVALID);
	assert_non_null(strstr(heard(), ":2: a line has at most "));

	strcpy(content, "[Commands]\n");
	at = content + strlen(content);
	for (int i = 0; i < GLOBS_MAX + 1; i++)
		at += sprintf(at, "OnlyComm=a%d\n", i);
	config_write(content);
	assert_int_equal(notify_config_load(&config, path, true), CONFIG_E_INVALID);
	assert_non_null(strstr(heard(), "there are too many globs in this list"));
	strstr(content, "OnlyComm=a1\n")[0] = '#';
	config_write(content);
	assert_int_equal(notify_config_load(&config, path, true), 0);
	assert_int_equal(config.commands.only[ABOUT_COMM].n, GLOBS_MAX);
	notify_config_done(&config);

	assert_true(notify_config_load(&config, "/nonexistent/notify.conf", true) < 0);
	assert_string_equal(heard(), "forkbus-notify: /nonexistent/notify.conf: No such file or directory\n");
	assert_true(notify_config_load(&config, "/", true) < 0);
	assert_non_null(strstr(heard(), "forkbus-notify: /: Is a directory\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(test_defaults), CONFIG_TEST(test_all),    CONFIG_TEST(test_empty),
		CONFIG_TEST(test_errors),   CONFIG_TEST(test_bounds),
	};

	msg_set_name("forkbus-notify");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("notify-config", tests, NULL, NULL);
}
