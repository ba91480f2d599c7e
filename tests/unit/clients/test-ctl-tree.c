// SPDX-License-Identifier: LGPL-2.1-or-later
/* forkbusctl tree, with a broker whose list of processes the test sets. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/ctl/ctl.h"
#include "tests/unit/fake-broker.h"
#include "tests/unit/support.h"

/* Any user can create a chain of processes as long as the maximum number of processes. */
#define CHAIN 60000

static void *answer_once(void *list)
{
	char byte = 'x';

	fake_accept();
	while (byte != '\0' && recv(fake.link, &byte, 1, 0) == 1)
		;
	fake_say(list);
	fake_hang_up();
	return NULL;
}

/* Return: the output of forkbusctl for a list of processes, without its header; to be freed. */
static char *drawn(char *list)
{
	char name[] = "forkbusctl", *argv[] = { name, NULL }, *text;
	struct ctl ctl = { .runtime_dir = test_path(".") };
	const char *path = test_path("drawn");
	int before = dup(STDOUT_FILENO), file = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	pthread_t broker;
	size_t size;

	assert_true(before >= 0 && file >= 0);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	assert_int_equal(pthread_create(&broker, NULL, answer_once, list), 0);
	optind = 0;
	assert_int_equal(ctl_tree(&ctl, 1, argv), CTL_OK);
	assert_int_equal(pthread_join(broker, NULL), 0);
	fflush(stdout);
	dup2(before, STDOUT_FILENO);
	close(before);
	close(file);
	text = (char *)file_read(path, &size);
	text = realloc(text, size + 1);
	assert_non_null(text);
	text[size] = '\0';
	return text;
}

#define PROCESS(_pid, _ppid) \
	"{\"type\":\"process\",\"pid\":" #_pid ",\"ppid\":" #_ppid ",\"comm\":\"p" #_pid "\"}"

static void a_tree(void **state)
{
	static char list[] = "{\"parameters\":{\"cursor\":\"0123456789abcdef:9\",\"processes\":[" PROCESS(9, 3) "," PROCESS(
		3,
		1) "," PROCESS(1,
			       0) "," PROCESS(5,
					      3) "," PROCESS(4,
							     1) "," PROCESS(6,
									    5) "," PROCESS(8,
											   77) "," PROCESS(7,
													   7) "]}}";
	static const char *const expected[] = { " p1 ",	    " |-p3 ", " | |-p5 ", " | | `-p6 ",
						" | `-p9 ", " `-p4 ", " p7 ",	  " p8 " };
	char *text = drawn(list), *at = strchr(text, '\n');

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		char *line = at + 1;

		assert_non_null(at);
		at = strchr(line, '\n');
		assert_non_null(at);
		*at = ' ';
		if (!memmem(line, (size_t)(at + 1 - line), expected[i], strlen(expected[i])))
			fail_msg("'%s' is not in line %zu", expected[i], i);
	}
	assert_int_equal(at[1], '\0');
	free(text);
}

/* A deep tree needs neither more stack nor more time for each process. */
static void a_long_chain(void **state)
{
	size_t size = 0, lines = 0;
	char *list = NULL, *text;
	FILE *file = open_memstream(&list, &size);

	(void)state;
	assert_non_null(file);
	fprintf(file, "{\"parameters\":{\"cursor\":\"0123456789abcdef:9\",\"processes\":[");
	for (unsigned int pid = 1; pid <= CHAIN; pid++)
		fprintf(file, "%s{\"type\":\"process\",\"pid\":%u,\"ppid\":%u,\"comm\":\"x\"}",
			pid > 1 ? "," : "", pid, pid - 1);
	fprintf(file, "]}}");
	assert_int_equal(fclose(file), 0);
	text = drawn(list);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 1 + CHAIN);
	free(text);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_tree),
		FAKE_TEST(a_long_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
