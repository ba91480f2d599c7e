// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/notify/rules.h"

#define TEXT(_literal)                         \
	{                                      \
		_literal, sizeof(_literal) - 1 \
	}
#define UID 1000

/* A command at a shell's prompt that took a minute, and noon. */
static const struct ending command = {
	.pid = 4711,
	.start_usec = 5,
	.ppid = 4000,
	.session = 4000,
	.has_uid = true,
	.has_code = true,
	.has_elapsed = true,
	.uid = UID,
	.elapsed_usec = 60000000,
	.comm = TEXT("make"),
	.exe = TEXT("/usr/bin/make"),
	.cgroup = TEXT("/user.slice/app.slice/term.scope"),
	.tty = TEXT("pts/1"),
};
static const struct tm noon = { .tm_hour = 12 };

static struct notify_config config;

static int setup(void **state)
{
	(void)state;
	return notify_config_init(&config);
}

static int teardown(void **state)
{
	(void)state;
	notify_config_done(&config);
	return 0;
}

static void set(const char *section, const char *key, const char *value)
{
	const char *why;

	assert_int_equal(notify_config_set(&config, section, key, value, &why), 0);
}

static enum verdict judge_at(const struct ending *ending, const struct tm *local)
{
	return rules_judge(&config, ending, UID, local, rules_kind(&config, ending));
}

static enum verdict judge(const struct ending *ending)
{
	return judge_at(ending, &noon);
}

static struct ending by_signal(uint64_t number, bool core)
{
	struct ending ending = command;

	ending.has_code = false;
	ending.signal = number;
	ending.core_dumped = core;
	return ending;
}

static void test_kinds(void **state)
{
	static const struct {
		uint64_t code, signal;
		bool core;
		enum kind kind;
	} cases[] = {
		{ 0, 0, false, KIND_SUCCESS },	     { 1, 0, false, KIND_FAILURE },
		{ 139, 0, false, KIND_FAILURE },     { 130, 0, false, KIND_STOPPED },
		{ 141, 0, false, KIND_STOPPED },     { 143, 0, false, KIND_STOPPED },
		{ 0, SIGINT, false, KIND_STOPPED },  { 0, SIGTERM, false, KIND_STOPPED },
		{ 0, SIGPIPE, false, KIND_STOPPED }, { 0, SIGKILL, false, KIND_FAILURE },
		{ 0, SIGHUP, false, KIND_FAILURE },  { 0, SIGXCPU, false, KIND_FAILURE },
		{ 0, SIGXCPU, true, KIND_CRASH },    { 0, SIGSEGV, false, KIND_CRASH },
		{ 0, SIGSEGV, true, KIND_CRASH },    { 0, SIGABRT, false, KIND_CRASH },
		{ 0, SIGBUS, false, KIND_CRASH },    { 0, SIGFPE, false, KIND_CRASH },
		{ 0, SIGILL, false, KIND_CRASH },    { 0, SIGSYS, false, KIND_CRASH },
		{ 0, SIGTRAP, false, KIND_CRASH },   { 0, SIGQUIT, false, KIND_FAILURE },
		{ 0, SIGQUIT, true, KIND_FAILURE },  { 0, SIGINT, true, KIND_CRASH },
		{ 1000, 0, false, KIND_FAILURE },    { 0, 1000, false, KIND_FAILURE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ending ending = by_signal(cases[i].signal, cases[i].core);

		ending.has_code = cases[i].signal == 0;
		ending.code = cases[i].code;
		assert_int_equal(rules_kind(&config, &ending), cases[i].kind);
	}
	assert_int_equal(rules_urgency(&config, KIND_CRASH), URGENCY_CRITICAL);
	assert_int_equal(rules_urgency(&config, KIND_FAILURE), URGENCY_NORMAL);
	assert_int_equal(rules_urgency(&config, KIND_SUCCESS), URGENCY_LOW);
	assert_int_equal(rules_urgency(&config, KIND_STOPPED), URGENCY_LOW);
}

static void test_threshold(void **state)
{
	struct ending ending = command;

	(void)state;
	ending.elapsed_usec = 10000000;
	assert_int_equal(judge(&ending), VERDICT_SHOW);
	ending.elapsed_usec--;
	assert_int_equal(judge(&ending), VERDICT_PASS);
	set("Commands", "MinElapsedSec", "0");
	ending.elapsed_usec = 0;
	assert_int_equal(judge(&ending), VERDICT_SHOW);
	ending.has_elapsed = false;
	assert_int_equal(judge(&ending), VERDICT_PASS);
}

static void test_scope(void **state)
{
	struct ending ending = command, shell = command, grandchild = command, service = command;

	(void)state;
	/* The shell is the leader of its session; a child of a command has another parent. */
	shell.pid = shell.session = 4000;
	shell.ppid = 3000;
	grandchild.ppid = 4711;
	service.tty = (struct ending_text){};
	ending.session = ending.ppid = 0;
	assert_int_equal(judge(&command), VERDICT_SHOW);
	assert_int_equal(judge(&shell), VERDICT_PASS);
	assert_int_equal(judge(&grandchild), VERDICT_PASS);
	assert_int_equal(judge(&service), VERDICT_PASS);
	assert_int_equal(judge(&ending), VERDICT_PASS);
	set("Commands", "Scope", "terminal");
	assert_int_equal(judge(&shell), VERDICT_SHOW);
	assert_int_equal(judge(&grandchild), VERDICT_SHOW);
	assert_int_equal(judge(&service), VERDICT_PASS);
	set("Commands", "Scope", "all");
	assert_int_equal(judge(&service), VERDICT_SHOW);
}

static void test_show(void **state)
{
	struct ending failure = command, stopped = by_signal(SIGINT, false);

	(void)state;
	failure.code = 1;
	assert_int_equal(judge(&command), VERDICT_SHOW);
	assert_int_equal(judge(&failure), VERDICT_SHOW);
	assert_int_equal(judge(&stopped), VERDICT_PASS);
	set("Commands", "Show", "failure");
	assert_int_equal(judge(&command), VERDICT_PASS);
	assert_int_equal(judge(&failure), VERDICT_SHOW);
	set("Commands", "Show", "stopped");
	assert_int_equal(judge(&failure), VERDICT_PASS);
	assert_int_equal(judge(&stopped), VERDICT_SHOW);
	set("Commands", "StoppedCodes", "");
	assert_int_equal(judge(&stopped), VERDICT_PASS);
	set("Commands", "Show", "");
	assert_int_equal(judge(&stopped), VERDICT_PASS);
}

static void test_crashes(void **state)
{
	struct ending crash = by_signal(SIGSEGV, true);

	(void)state;
	/* Crashes are shown for any duration, any parent, and also for ignored commands. */
	crash.tty = (struct ending_text){};
	crash.has_elapsed = false;
	crash.ppid = 1;
	set("Commands", "Show", "");
	set("Commands", "IgnoreComm", "*");
	assert_int_equal(judge(&crash), VERDICT_SHOW);
	set("Crashes", "IgnoreComm", "ma*");
	assert_int_equal(judge(&crash), VERDICT_PASS);
	set("Crashes", "IgnoreComm", "");
	assert_int_equal(judge(&crash), VERDICT_SHOW);
	set("Crashes", "Show", "no");
	assert_int_equal(judge(&crash), VERDICT_PASS);
}

static void test_whose(void **state)
{
	struct ending ending = command, crash = by_signal(SIGSEGV, true);

	(void)state;
	ending.uid = crash.uid = 0;
	assert_int_equal(judge(&ending), VERDICT_PASS);
	assert_int_equal(judge(&crash), VERDICT_PASS);
	ending = command;
	ending.has_uid = false;
	assert_int_equal(judge(&ending), VERDICT_PASS);
	/* The exit status is unknown. */
	ending = command;
	ending.has_code = false;
	assert_int_equal(judge(&ending), VERDICT_PASS);
}

static void test_ignore(void **state)
{
	static const struct {
		const char *key, *value;
		enum verdict verdict;
	} cases[] = {
		{ "IgnoreComm", "mak", VERDICT_SHOW },
		{ "IgnoreComm", "make", VERDICT_PASS },
		{ "IgnoreComm", "other m*", VERDICT_PASS },
		{ "IgnoreExe", "make", VERDICT_SHOW },
		{ "IgnoreExe", "*/make", VERDICT_PASS },
		{ "IgnoreCgroup", "/user.slice/*", VERDICT_PASS },
		{ "IgnoreCgroup", "/system.slice/*", VERDICT_SHOW },
		{ "OnlyComm", "make cc1", VERDICT_SHOW },
		{ "OnlyComm", "cc1", VERDICT_PASS },
		{ "OnlyExe", "/usr/*", VERDICT_SHOW },
		{ "OnlyExe", "/opt/*", VERDICT_PASS },
		{ "OnlyCgroup", "*.scope", VERDICT_SHOW },
		{ "OnlyCgroup", "*.service", VERDICT_PASS },
	};
	struct ending nameless = command;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set("Commands", cases[i].key, cases[i].value);
		assert_int_equal(judge(&command), cases[i].verdict);
		set("Commands", cases[i].key, "");
	}
	/* All lists must match; an unknown text matches none. */
	set("Commands", "OnlyComm", "make");
	set("Commands", "OnlyExe", "/usr/*");
	assert_int_equal(judge(&command), VERDICT_SHOW);
	nameless.exe = (struct ending_text){};
	assert_int_equal(judge(&nameless), VERDICT_PASS);
	set("Commands", "IgnoreCgroup", "*/term.scope");
	assert_int_equal(judge(&command), VERDICT_PASS);
}

static void test_quiet(void **state)
{
	static const struct {
		const char *hours;
		int hour, minute;
		enum verdict verdict;
	} cases[] = {
		{ "22:00-07:00", 21, 59, VERDICT_SHOW },
		{ "22:00-07:00", 22, 0, VERDICT_HOLD },
		{ "22:00-07:00", 23, 59, VERDICT_HOLD },
		{ "22:00-07:00", 0, 0, VERDICT_HOLD },
		{ "22:00-07:00", 6, 59, VERDICT_HOLD },
		{ "22:00-07:00", 7, 0, VERDICT_SHOW },
		{ "12:30-13:00", 12, 29, VERDICT_SHOW },
		{ "12:30-13:00", 12, 30, VERDICT_HOLD },
		{ "12:30-13:00", 12, 59, VERDICT_HOLD },
		{ "12:30-13:00", 13, 0, VERDICT_SHOW },
		{ "", 0, 0, VERDICT_SHOW },
	};
	struct ending crash = by_signal(SIGSEGV, false), ignored = command;

	(void)state;
	ignored.elapsed_usec = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tm local = { .tm_hour = cases[i].hour, .tm_min = cases[i].minute };

		set("Notifications", "QuietHours", cases[i].hours);
		set("Notifications", "QuietCrashes", "no");
		assert_int_equal(judge_at(&command, &local), cases[i].verdict);
		assert_int_equal(judge_at(&crash, &local), cases[i].verdict);
		assert_int_equal(judge_at(&ignored, &local), VERDICT_PASS);
		set("Notifications", "QuietCrashes", "yes");
		assert_int_equal(judge_at(&command, &local), cases[i].verdict);
		assert_int_equal(judge_at(&crash, &local), VERDICT_SHOW);
	}
}

static time_t at(int day, int hour, int minute)
{
	struct tm local = {
		.tm_year = 126, .tm_mon = 2, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_isdst = -1
	};

	return mktime(&local);
}

static void test_end_of_quiet(void **state)
{
	const struct hours *hours = &config.quiet;

	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	set("Notifications", "QuietHours", "22:00-07:00");
	assert_int_equal(hours_end(hours, at(10, 23, 30)), at(11, 7, 0));
	assert_int_equal(hours_end(hours, at(11, 6, 59)), at(11, 7, 0));
	assert_int_equal(hours_end(hours, at(11, 7, 0)), at(12, 7, 0));
	assert_int_equal(hours_end(hours, at(31, 23, 0)), at(32, 7, 0));
	/* The night in which summer time begins is an hour shorter. */
	assert_int_equal(hours_end(hours, at(28, 22, 0)), at(28, 22, 0) + 8 * 3600);
	assert_int_equal(hours_end(hours, at(28, 22, 0)), at(29, 7, 0));
	/* The end is a time that the clock skips. */
	set("Notifications", "QuietHours", "22:00-02:30");
	assert_in_range(hours_end(hours, at(28, 22, 0)), at(29, 1, 0), at(29, 4, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threshold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scope, setup, teardown),
		cmocka_unit_test_setup_teardown(test_show, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_quiet, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("notify-rules", tests, NULL, NULL);
}
