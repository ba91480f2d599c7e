// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/message.h"

/* Standard error becomes one end of a packet socket: each write(2) arrives as one packet at the other end. */
static int reader = -1, real_stderr = -1;
static char got[8192];

static int setup(void **state)
{
	int fds[2];

	(void)state;
	unsetenv("JOURNAL_STREAM");
	msg_set_level(LOG_INFO);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	reader = fds[0];
	dup2(fds[1], STDERR_FILENO);
	return close(fds[1]);
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return close(reader);
}

/* Return: the next packet, or "" if there is none. */
static const char *next(void)
{
	ssize_t len = recv(reader, got, sizeof(got) - 1, MSG_DONTWAIT);

	got[len > 0 ? len : 0] = '\0';
	return got;
}

static void test_plain(void **state)
{
	(void)state;
	errno = ENOENT;
	msg_warning("cannot read %s: %m", "/x");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(next(), "forkbusd: cannot read /x: No such file or directory\n");
	assert_string_equal(next(), "");
}

static void test_level(void **state)
{
	(void)state;
	msg_debug("not now");
	assert_string_equal(next(), "");
	msg_set_level(LOG_ERR);
	msg_warning("nor this");
	msg_err("but this");
	assert_string_equal(next(), "forkbusd: but this\n");
	msg_set_level(LOG_DEBUG);
	msg_debug("now");
	assert_string_equal(next(), "forkbusd: now\n");

	assert_int_equal(msg_level_from_name("err"), LOG_ERR);
	assert_int_equal(msg_level_from_name("warning"), LOG_WARNING);
	assert_int_equal(msg_level_from_name("notice"), LOG_NOTICE);
	assert_int_equal(msg_level_from_name("info"), LOG_INFO);
	assert_int_equal(msg_level_from_name("debug"), LOG_DEBUG);
	assert_int_equal(msg_level_from_name("Debug"), -1);
	assert_int_equal(msg_level_from_name(""), -1);
}

static void test_journal(void **state)
{
	struct stat st;
	char stream[64];

	(void)state;
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	msg_err("one");
	assert_string_equal(next(), "<3>one\n");
	msg_info("two");
	assert_string_equal(next(), "<6>two\n");
	/* The variable is inherited, but not the stream: the output was redirected. */
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	msg_err("three");
	assert_string_equal(next(), "forkbusd: three\n");
}

static void test_hostile(void **state)
{
	static const struct {
		const char *name, *written;
	} cases[] = {
		{ "a\nforkbusd: all is well", "a?forkbusd: all is well" },
		{ "\033[2J\r\t\177", "?[2J???" },
		{ "caf\303\251 \342\202\254 \360\237\220\247", "caf\303\251 \342\202\254 \360\237\220\247" },
		{ "\302\233"
		  "0m",
		  "??0m" },
		{ "\300\257 \340\200\257 \355\240\200 \364\220\200\200 \377", "?? ??? ??? ???? ?" },
		{ "\342\200\250", "???" },
		{ "\342\200\256 \342\200\213 \330\234 \357\273\277", "??? ??? ?? ???" },
		{ "cut \342\202", "cut ??" },
	};
	char expected[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		msg_info("'%s'", cases[i].name);
		snprintf(expected, sizeof(expected), "forkbusd: '%s'\n", cases[i].written);
		assert_string_equal(next(), expected);
	}
}

static void test_long(void **state)
{
	char name[5000];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	msg_info("%s", name);
	assert_int_equal(strlen(next()), 2048);
	assert_int_equal(got[2047], '\n');
	assert_string_equal(next(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
