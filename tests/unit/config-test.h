/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tests that read a configuration file, and the messages about it. A program includes this once, after cmocka.h.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static int real_stderr = -1;
static FILE *said;
static char got[8192];

static int config_setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/forkbus-config-XXXXXX");
	fd = mkstemp(path);
	said = tmpfile();
	if (fd < 0 || !said)
		return -1;
	close(fd);
	unsetenv("JOURNAL_STREAM");
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	return dup2(fileno(said), STDERR_FILENO) < 0;
}

static int config_teardown(void **state)
{
	(void)state;
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(said);
	return unlink(path);
}

static void config_write(const char *content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

/* Return: what was logged since the last call. */
static const char *heard(void)
{
	ssize_t len = pread(fileno(said), got, sizeof(got) - 1, 0);

	got[len > 0 ? len : 0] = '\0';
	assert_int_equal(ftruncate(fileno(said), 0), 0);
	lseek(fileno(said), 0, SEEK_SET);
	return got;
}

/* CONFIG_TEST() - a member of the table of tests */
#define CONFIG_TEST(_test) cmocka_unit_test_setup_teardown(_test, config_setup, config_teardown)
