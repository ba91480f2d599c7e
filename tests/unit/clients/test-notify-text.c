// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/notify/server.h"

#define TEXT(_literal)                         \
	{                                      \
		_literal, sizeof(_literal) - 1 \
	}
#define BAD "\xef\xbf\xbd"

static void test_duration(void **state)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} cases[] = {
		{ 0, "0 ms" },
		{ 999, "0 ms" },
		{ 240000, "240 ms" },
		{ 999999, "999 ms" },
		{ 1000000, "1.0 s" },
		{ 3299999, "3.2 s" },
		{ 9999999, "9.9 s" },
		{ 10000000, "10 s" },
		{ 59999999, "59 s" },
		{ 60000000, "1 min" },
		{ 125000000, "2 min 5 s" },
		{ 3599999999, "59 min 59 s" },
		{ 3600000000, "1 h" },
		{ 3780000000, "1 h 3 min" },
		{ 86400000000, "1 d" },
		{ 187200000000, "2 d 4 h" },
		{ UINT64_MAX, "213503982 d 8 h" },
	};
	char buf[DURATION_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(duration_print(buf, cases[i].usec), cases[i].text);
}

static void test_signal(void **state)
{
	char buf[SIGNAL_MAX];

	(void)state;
	assert_string_equal(signal_print(buf, SIGSEGV), "SIGSEGV");
	assert_string_equal(signal_print(buf, SIGKILL), "SIGKILL");
	assert_string_equal(signal_print(buf, 40), "signal 40");
	assert_string_equal(signal_print(buf, UINT64_MAX), "signal 615");
}

static void test_escape(void **state)
{
	char buf[MARKUP_FACTOR * 16 + 1];

	(void)state;
	assert_string_equal(markup_escape(buf, "a <b> & \"c\" 'd'"),
			    "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
	assert_string_equal(markup_escape(buf, "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""),
			    "&quot;&quot;&quot;&quot;&quot;&quot;&quot;&quot;"
			    "&quot;&quot;&quot;&quot;&quot;&quot;&quot;&quot;");
	assert_string_equal(markup_escape(buf, ""), "");
}

static const struct ending command = {
	.pid = 4711,
	.has_code = true,
	.has_elapsed = true,
	.has_cpu = true,
	.elapsed_usec = 125000000,
	.cpu_usec = 118000000,
	.max_rss_kib = 320000,
	.comm = TEXT("make"),
	.exe = TEXT("/usr/bin/make"),
	.tty = TEXT("pts/3"),
};

static void test_ending(void **state)
{
	struct ending ending = command;
	struct notice notice;

	(void)state;
	notice_of_ending(&notice, &ending, KIND_SUCCESS, URGENCY_LOW);
	assert_string_equal(notice.name, "make");
	assert_string_equal(notice.summary, "make is done after 2 min 5 s");
	assert_string_equal(notice.body,
			    "CPU 1 min 58 s (94 %), up to 312 MiB\n/usr/bin/make, pid 4711 on pts/3");
	assert_string_equal(notice_category(&notice), "x-forkbus.process.exited");
	assert_true(notice_is_transient(&notice));
	assert_int_equal(notice.urgency, URGENCY_LOW);

	ending.code = 2;
	ending.max_rss_kib = 900;
	ending.elapsed_usec = 999999;
	notice_of_ending(&notice, &ending, KIND_FAILURE, URGENCY_NORMAL);
	assert_string_equal(notice.summary, "make failed with 2 after 999 ms");
	assert_string_equal(notice.body, "CPU 1 min 58 s, up to 900 KiB\n/usr/bin/make, pid 4711 on pts/3");
	assert_false(notice_is_transient(&notice));

	ending.has_code = ending.has_elapsed = ending.has_cpu = false;
	ending.signal = SIGKILL;
	notice_of_ending(&notice, &ending, KIND_FAILURE, URGENCY_NORMAL);
	assert_string_equal(notice.summary, "make was killed by SIGKILL");
	assert_string_equal(notice.body, "up to 900 KiB\n/usr/bin/make, pid 4711 on pts/3");

	ending = command;
	ending.signal = SIGINT;
	notice_of_ending(&notice, &ending, KIND_STOPPED, URGENCY_LOW);
	assert_string_equal(notice.summary, "make was stopped after 2 min 5 s");
}

static void test_crash(void **state)
{
	struct ending ending = command;
	struct notice notice;

	(void)state;
	ending.signal = SIGSEGV;
	ending.core_dumped = true;
	notice_of_ending(&notice, &ending, KIND_CRASH, URGENCY_CRITICAL);
	assert_string_equal(notice.summary, "make crashed: SIGSEGV");
	assert_string_equal(notice.body,
			    "core dumped, after 2 min 5 s, CPU 1 min 58 s (94 %), up to 312 MiB\n"
			    "/usr/bin/make, pid 4711 on pts/3");
	assert_string_equal(notice_category(&notice), "x-forkbus.process.crashed");
	assert_false(notice_is_transient(&notice));

	/* A process with few known fields. */
	ending = (struct ending){ .pid = 7, .signal = SIGABRT };
	notice_of_ending(&notice, &ending, KIND_CRASH, URGENCY_CRITICAL);
	assert_string_equal(notice.summary, "process 7 crashed: SIGABRT");
	assert_string_equal(notice.body, "pid 7");
}

static void test_long(void **state)
{
	struct ending ending = command;
	struct notice notice;
	char text[5000];

	(void)state;
	memset(text, '\xff', sizeof(text));
	ending.exe = ending.comm = ending.tty = (struct ending_text){ text, sizeof(text) };
	ending.elapsed_usec = ending.cpu_usec = ending.max_rss_kib = ending.pid = UINT64_MAX;
	ending.signal = UINT64_MAX;
	ending.core_dumped = true;
	for (enum kind kind = KIND_STOPPED; kind < _KIND_MAX; kind++) {
		notice_of_ending(&notice, &ending, kind, URGENCY_LOW);
		assert_true(strlen(notice.body) < sizeof(notice.body) - 1);
		assert_true(strlen(notice.summary) < sizeof(notice.summary) - 1);
		/* Every cut has an ellipsis. */
		assert_non_null(strstr(notice.body, " on " BAD));
	}
}

static struct notice notice_of(const char *name, enum kind kind, enum urgency urgency)
{
	struct notice notice = { .kind = kind, .urgency = urgency };

	strcpy(notice.name, name);
	return notice;
}

static void count(struct tally *tally, const char *name, enum kind kind, enum urgency urgency, int times)
{
	struct notice notice = notice_of(name, kind, urgency);

	for (int i = 0; i < times; i++)
		tally_add(tally, &notice);
}

static void test_tally(void **state)
{
	struct tally tally = {}, other = {};
	struct notice notice;

	(void)state;
	count(&tally, "sleep", KIND_SUCCESS, URGENCY_LOW, 197);
	tally_describe(&tally, &notice, "");
	assert_string_equal(notice.summary, "197 commands ended");
	assert_string_equal(notice.body, "197 done\nsleep (197)");
	assert_int_equal(notice.kind, KIND_SUCCESS);
	assert_int_equal(notice.urgency, URGENCY_LOW);

	count(&tally, "make", KIND_FAILURE, URGENCY_NORMAL, 2);
	count(&tally, "cp", KIND_STOPPED, URGENCY_LOW, 1);
	tally_describe(&tally, &notice, "");
	assert_string_equal(notice.summary, "200 commands ended");
	assert_string_equal(notice.body, "197 done, 2 failed, 1 stopped\nsleep (197), make (2), cp");
	assert_int_equal(notice.kind, KIND_FAILURE);
	assert_int_equal(notice.urgency, URGENCY_NORMAL);

	count(&other, "make", KIND_CRASH, URGENCY_CRITICAL, 1);
	tally_describe(&other, &notice, "In quiet hours: ");
	assert_string_equal(notice.summary, "In quiet hours: 1 crash");
	assert_string_equal(notice.body, "make");
	count(&other, "d", KIND_CRASH, URGENCY_CRITICAL, 2);
	count(&other, "e", KIND_SUCCESS, URGENCY_LOW, 1);
	tally_describe(&other, &notice, "In quiet hours: ");
	assert_string_equal(notice.summary, "In quiet hours: 1 command ended, 3 crashes");
	assert_string_equal(notice.body, "1 done\nmake, d (2), e");

	count(&other, "f", KIND_SUCCESS, URGENCY_LOW, 3);
	tally_merge(&tally, &other);
	tally_describe(&tally, &notice, "");
	assert_string_equal(notice.summary, "204 commands ended, 3 crashes");
	assert_string_equal(
		notice.body,
		"201 done, 2 failed, 1 stopped\nsleep (197), make (3), cp, d (2), e and 3 others");
	assert_int_equal(notice.kind, KIND_CRASH);
	assert_int_equal(notice.urgency, URGENCY_CRITICAL);
	tally = (struct tally){};
	for (int i = 0; i < TALLY_NAMES + 1; i++)
		count(&tally, (const char[]){ (char)('a' + i), '\0' }, KIND_SUCCESS, URGENCY_LOW, 1);
	tally_describe(&tally, &notice, "");
	assert_string_equal(notice.body, "6 done\na, b, c, d, e and 1 other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration), cmocka_unit_test(test_signal), cmocka_unit_test(test_escape),
		cmocka_unit_test(test_ending),	 cmocka_unit_test(test_crash),	cmocka_unit_test(test_long),
		cmocka_unit_test(test_tally),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("notify-text", tests, NULL, NULL);
}
