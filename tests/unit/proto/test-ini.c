// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ini.h"

static char path[64];
static int real_stderr = -1;
static FILE *log_file;
static char logged_text[4096], options[1024];

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/forkbus-ini-XXXXXX");
	fd = mkstemp(path);
	log_file = tmpfile();
	if (fd < 0 || !log_file)
		return -1;
	close(fd);
	unsetenv("JOURNAL_STREAM");
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	return dup2(fileno(log_file), STDERR_FILENO) < 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(log_file);
	return unlink(path);
}

/* Return: the text that was logged since the last call. */
static const char *logged(void)
{
	ssize_t len = pread(fileno(log_file), logged_text, sizeof(logged_text) - 1, 0);

	logged_text[len > 0 ? len : 0] = '\0';
	assert_int_equal(ftruncate(fileno(log_file), 0), 0);
	lseek(fileno(log_file), 0, SEEK_SET);
	return logged_text;
}

static int set(void *userdata, const char *section, const char *key, const char *value,
	       char why[static INI_WHY_MAX])
{
	int *refused = userdata;

	if (strcmp(key, "Memory") == 0)
		return -ENOMEM;
	if (strcmp(key, "Bad") == 0) {
		snprintf(why, INI_WHY_MAX, "expected something else");
		return ++*refused;
	}
	snprintf(options + strlen(options), sizeof(options) - strlen(options), "%s.%s=%.9s|", section, key,
		 value);
	return 0;
}

/* Return: as ini_load(). The options are in @options. */
static int load(const char *content, size_t len)
{
	FILE *file = fopen(path, "w");
	int refused = 0;

	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, len, file), len);
	fclose(file);
	options[0] = '\0';
	return ini_load(path, true, set, &refused);
}

#define LOAD(_literal) load(_literal, sizeof(_literal) - 1)

static void assert_logged(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void assert_logged(const char *format, ...)
{
	char expected[512];
	int prefix = snprintf(expected, sizeof(expected), "forkbusd: %s", path);
	va_list args;

	va_start(args, format);
	vsnprintf(expected + prefix, sizeof(expected) - (size_t)prefix, format, args);
	va_end(args);
	assert_string_equal(logged(), expected);
}

static void test_options(void **state)
{
	(void)state;
	assert_int_equal(LOAD("# comment\n[A]\nx = 1 ; comment\r\n\ny=2\n[B]\n; comment\nx=3"), 0);
	assert_string_equal(options, "A.x=1|A.y=2|B.x=3|");
	assert_int_equal(LOAD(""), 0);
	assert_string_equal(options, "");
	assert_string_equal(logged(), "");
}

static void test_mistakes(void **state)
{
	(void)state;
	assert_int_equal(LOAD("[A]\nx=1\nBad=2\nBad=3\n[B\n"), INI_E_INVALID);
	assert_logged(":3: [A] Bad=2: expected something else\n");
	assert_int_equal(LOAD("[A]\nword\nBad=3\n"), INI_E_INVALID);
	assert_logged(":2: expected [Section], Key=value, or a comment\n");
	assert_int_equal(LOAD("[A]\nMemory=1\n"), -ENOMEM);
	assert_logged(": Cannot allocate memory\n");
}

/* A NUL at any place does not end a line. */
static void test_nul(void **state)
{
	(void)state;
	assert_int_equal(LOAD("[A]\n\0x=1\ny=2\n"), INI_E_INVALID);
	assert_logged(":2: a line has no NUL bytes\n");
	assert_string_equal(options, "");
	assert_int_equal(LOAD("[A]\nx=1\0y=2\n"), INI_E_INVALID);
	assert_logged(":2: a line has no NUL bytes\n");
	assert_int_equal(LOAD("[A]\nx=1\n\0"), INI_E_INVALID);
	assert_logged(":3: a line has no NUL bytes\n");
}

static void test_long_line(void **state)
{
	char content[8192] = "[A]\nx=1\n#";
	size_t most;

	(void)state;
	memset(content + strlen(content), 'x', 6000);
	assert_int_equal(load(content, strlen(content)), INI_E_INVALID);
	assert_int_equal(sscanf(strstr(logged(), ":3: a line has at most "),
				":3: a line has at most %zu bytes", &most),
			 1);
	strcpy(content + strlen("[A]\nx=1\n") + most, "\ny=2\n");
	assert_int_equal(load(content, strlen(content)), 0);
	assert_string_equal(options, "A.x=1|A.y=2|");
	strcpy(content + strlen("[A]\nx=1\n") + most, "x\ny=2\n");
	assert_int_equal(load(content, strlen(content)), INI_E_INVALID);
	assert_logged(":3: a line has at most %zu bytes\n", most);
}

static void test_no_file(void **state)
{
	(void)state;
	assert_int_equal(ini_load("/nonexistent/x.conf", false, set, NULL), 0);
	assert_string_equal(logged(), "");
	assert_int_equal(ini_load("/nonexistent/x.conf", true, set, NULL), -ENOENT);
	assert_string_equal(logged(), "forkbusd: /nonexistent/x.conf: No such file or directory\n");
	assert_int_equal(ini_load("/tmp", false, set, NULL), -EISDIR);
	assert_string_equal(logged(), "forkbusd: /tmp: Is a directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};

	return cmocka_run_group_tests_name("ini", tests, NULL, NULL);
}
