// SPDX-License-Identifier: LGPL-2.1-or-later
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/ctl/format.h"

static const struct term piped = { .utf8 = true };
static const struct term narrow = { .tty = true, .utf8 = true, .width = 80 };
static const struct term wide = { .tty = true, .utf8 = true, .width = 140 };
static const struct term coloured = { .tty = true, .colour = true, .utf8 = true, .width = 140 };

/* Format the lines of @json, one event each. Return: the output, to be freed. */
static char *formatted(const struct term *term, const char *json)
{
	struct format *format;
	char *got = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&got, &size);

	assert_non_null(file);
	assert_int_equal(format_new(&format, term), 0);
	while (*json != '\0') {
		size_t len = strcspn(json, "\n");
		struct forkbus_event *event;

		assert_int_equal(forkbus_event_from_json(json, len, &event), 0);
		format_event(format, file, event);
		forkbus_event_free(event);
		json += len + (json[len] == '\n');
	}
	format_free(format);
	fclose(file);
	return got;
}

static void assert_formatted(const struct term *term, const char *json, const char *expected)
{
	char *got = formatted(term, json);

	assert_string_equal(got, expected);
	free(got);
}

/* An event of a process, without a time. */
#define OF(_type, _rest)     \
	"{\"type\":\"" _type \
	"\",\"pid\":4711,\"startUsec\":9,\"ppid\":4700,\"uid\":0,\"comm\":\"cc1\"" _rest "}"
#define LINE(_type, _details) "-            " _type "    4711    4700 root     cc1             " _details "\n"

static void test_fork(void **state)
{
	(void)state;
	assert_formatted(&piped, OF("fork", ""), LINE("fork    ", "child of 4700"));
	assert_formatted(&piped, OF("fork", ",\"tid\":4712"), LINE("fork    ", "thread 4712"));
	assert_formatted(&piped, "{\"type\":\"fork\"}",
			 "-            fork           -       - -        -               -\n");
}

static void test_exec(void **state)
{
	(void)state;
	assert_formatted(&piped, OF("exec", ",\"exe\":\"/usr/bin/cc\""), LINE("exec    ", "/usr/bin/cc"));
	assert_formatted(&piped, OF("exec", ",\"filename\":\"./cc\""), LINE("exec    ", "./cc"));
	assert_formatted(&piped, OF("exec", ""), LINE("exec    ", "-"));
}

static void test_exit(void **state)
{
	(void)state;
	assert_formatted(&piped,
			 OF("exit",
			    ",\"status\":{\"code\":1},\"usage\":{\"userUsec\":10000,\"systemUsec\":2000,"
			    "\"elapsedUsec\":1240000,\"maxRssKib\":3174}"),
			 LINE("exit    ", "code 1       1.24s  cpu 10ms+2ms  rss 3.09M"));
	assert_formatted(&piped, OF("exit", ",\"status\":{\"code\":255}"), LINE("exit    ", "code 255"));
	assert_formatted(&piped, OF("exit", ",\"status\":{\"signal\":11,\"coreDumped\":true}"),
			 LINE("exit    ", "SIGSEGV (core dumped)"));
	assert_formatted(&piped, OF("exit", ",\"status\":{\"signal\":9,\"coreDumped\":false}"),
			 LINE("exit    ", "SIGKILL"));
	assert_formatted(&piped, OF("exit", ",\"status\":{\"signal\":35}"), LINE("exit    ", "signal 35"));
	assert_formatted(&piped, OF("exit", ",\"status\":{\"signal\":4000000000}"),
			 LINE("exit    ", "signal 4000000000"));
	assert_formatted(&piped, OF("exit", ",\"usage\":{\"elapsedUsec\":850}"),
			 LINE("exit    ", "-            850us"));
	assert_formatted(&piped, OF("exit", ",\"tid\":4712,\"status\":{\"code\":0}"),
			 LINE("exit    ", "thread 4712  code 0"));
	assert_formatted(&piped, OF("exit", ""), LINE("exit    ", "-"));
}

static void test_id(void **state)
{
	(void)state;
	assert_formatted(&piped,
			 OF("id", ",\"gid\":0,\"euid\":0,\"old\":{\"uid\":1000,\"gid\":0,\"euid\":1000}"),
			 LINE("id      ", "uid 1000→0  euid 1000→0"));
	assert_formatted(&piped, OF("id", ",\"euid\":5"), LINE("id      ", "uid 0  euid 5"));
	assert_formatted(&piped, OF("id", ",\"old\":{\"uid\":0}"), LINE("id      ", "-"));
	assert_formatted(&(const struct term){ .utf8 = false }, OF("id", ",\"old\":{\"uid\":1}"),
			 LINE("id      ", "uid 1->0"));
}

static void test_rest(void **state)
{
	(void)state;
	assert_formatted(&piped, OF("comm", ""), LINE("comm    ", "new name"));
	assert_formatted(&piped, OF("session", ",\"session\":4711"), LINE("session ", "session 4711"));
	assert_formatted(&piped, OF("chroot", ""), LINE("chroot  ", "new root directory"));
	assert_formatted(&piped, OF("coredump", ""), LINE("coredump", "dumps core"));
	assert_formatted(&piped, OF("ptrace", ",\"tracerPid\":1"), LINE("ptrace  ", "traced by 1"));
	assert_formatted(&piped, OF("ptrace", ",\"tracerPid\":0"), LINE("ptrace  ", "no longer traced"));
	assert_formatted(&piped, OF("process", ",\"exe\":\"/bin/cc\""), LINE("process ", "/bin/cc"));
}

static void test_sentences(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	assert_formatted(&piped,
			 "{\"type\":\"lost\",\"reason\":\"slow\",\"count\":123,\"from\":17,\"to\":139}",
			 "-            lost     lost 123 events (slow): 17…139\n");
	assert_formatted(&piped,
			 "{\"type\":\"lost\",\"reason\":\"expired\",\"count\":1,\"from\":17,\"to\":17}",
			 "-            lost     lost 1 event (expired): 17…17\n");
	assert_formatted(&piped,
			 "{\"type\":\"lost\",\"reason\":\"netlink\",\"detail\":\"overrun\","
			 "\"sinceUsec\":1795419194437896,\"untilUsec\":1795419195000000}",
			 "-            lost     lost events, count unknown (netlink)  "
			 "after 2026-11-23 07:33:14.437  until 2026-11-23 07:33:15.000  overrun\n");
	assert_formatted(&piped,
			 "{\"type\":\"source\",\"source\":\"connector\",\"armed\":\"fork exec\","
			 "\"reason\":\"start\",\"detail\":\"no module\"}",
			 "-            source   source is connector (start): reports fork exec  no module\n");
	assert_formatted(&piped, "{\"type\":\"ready\",\"cursor\":\"0123456789abcdef:5\"}",
			 "-            ready    caught up to 0123456789abcdef:5\n");
}

static void test_hostile_names(void **state)
{
	(void)state;
	assert_formatted(
		&piped,
		"{\"type\":\"exec\",\"comm\":\"a\\u001b[2J\\n\",\"exe\":\"/tmp/\\u009b2J\\u202e\\u0000\"}",
		"-            exec           -       - -        a\\x1b[2J\\x0a    "
		"/tmp/\\xc2\\x9b2J\\xe2\\x80\\xae\\x00\n");
	/* caf and the byte e9 */
	assert_formatted(&piped, "{\"type\":\"comm\",\"comm\":\"caf\\ufffd\",\"commRaw\":\"Y2Fm6Q==\"}",
			 "-            comm           -       - -        caf\\xe9         new name\n");
	assert_formatted(&piped, "{\"type\":\"comm\",\"comm\":\"\"}",
			 "-            comm           -       - -        \"\"              new name\n");
	assert_formatted(&piped,
			 "{\"type\":\"lost\",\"reason\":\"\\u001b]0;\\u0007\",\"detail\":\"\\u0007\"}",
			 "-            lost     lost events, count unknown (\\x1b]0;\\x07)  \\x07\n");
}

static void test_users(void **state)
{
	(void)state;
	/* No user has this uid. It is looked up twice, since the second answer comes from the cache. */
	assert_formatted(
		&piped,
		"{\"type\":\"chroot\",\"uid\":4123456789}\n{\"type\":\"chroot\",\"uid\":0}\n"
		"{\"type\":\"chroot\",\"uid\":4123456789}",
		"-            chroot         -       - 4123456789 -               new root directory\n"
		"-            chroot         -       - root     -               new root directory\n"
		"-            chroot         -       - 4123456789 -               new root directory\n");
	assert_formatted(&narrow, "{\"type\":\"chroot\",\"uid\":4123456789}",
			 "-            chroot         - 4123456… -               new root directory\n");
}

#define LONG_EXE                                                                                         \
	"/usr/lib/gcc/x86_64-linux-gnu/12/libexec/somewhere/far/down/below/this/and/that/and/even/more/" \
	"cc1plus"

static void test_terminal(void **state)
{
	(void)state;
	assert_formatted(
		&narrow, OF("exec", ",\"exe\":\"" LONG_EXE "\""),
		"-            exec        4711 root     cc1             …at/and/even/more/cc1plus\n");
	assert_formatted(&piped, OF("exec", ",\"exe\":\"" LONG_EXE "\""), LINE("exec    ", LONG_EXE));
	assert_formatted(
		&wide, OF("fork", ""),
		"-            fork        4711    4700 root         cc1             child of 4700\n");
}

static unsigned int widest(const struct term *term, const char *json)
{
	char *got = formatted(term, json);
	unsigned int columns;

	assert_int_equal(got[strlen(got) - 1], '\n');
	columns = term_columns(term, got, strlen(got) - 1);
	free(got);
	return columns;
}

static void test_fits(void **state)
{
	static const char *const lines[] = {
		OF("exec", ",\"exe\":\"" LONG_EXE LONG_EXE LONG_EXE "\""),
		OF("exec",
		   ",\"exe\":\"/日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語\""),
		OF("exec",
		   ",\"exe\":\"/x日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語\""),
		OF("exit",
		   ",\"status\":{\"signal\":11,\"coreDumped\":true},\"usage\":{\"userUsec\":3723000000,"
		   "\"systemUsec\":12345678901,\"elapsedUsec\":93784000000,\"maxRssKib\":3174000}"),
		"{\"type\":\"comm\",\"comm\":\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007日本\"}",
		"{\"type\":\"exec\",\"comm\":\"日本語日本語日本語日本語\",\"exe\":\"" LONG_EXE "\"}",
	};
	struct term term = narrow;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (term.width = 72; term.width < 200; term.width++)
			assert_in_range(widest(&term, lines[i]), 60, term.width);
}

static void test_exit_in_whole_parts(void **state)
{
	static const char exit[] =
		OF("exit", ",\"status\":{\"code\":1},\"usage\":{\"userUsec\":10000,"
			   "\"systemUsec\":2000,\"elapsedUsec\":1240000,\"maxRssKib\":3174}");
	struct term term = narrow;

	(void)state;
	assert_formatted(&term, exit,
			 "-            exit        4711 root     cc1             code 1       1.24s\n");
	term.width = 92;
	assert_formatted(
		&term, exit,
		"-            exit        4711 root     cc1             code 1       1.24s  cpu 10ms+2ms\n");
}

static void test_colour(void **state)
{
	char *got;

	(void)state;
	got = formatted(&coloured, "{\"type\":\"lost\",\"reason\":\"slow\",\"count\":1}");
	assert_non_null(strstr(got, "\033[1;31m"));
	assert_string_equal(got + strlen(got) - 5, "\033[0m\n");
	free(got);
	got = formatted(&coloured, OF("exit", ",\"status\":{\"code\":1}"));
	assert_non_null(strstr(got, "\033[33mcode 1"));
	free(got);
	got = formatted(&coloured, OF("exit", ",\"status\":{\"code\":0}"));
	assert_null(strstr(got, "\033[33m"));
	free(got);
}

/* Of a day long ago, so that the output begins with a line with the date. */
static void test_days(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	assert_formatted(
		&piped,
		"{\"type\":\"chroot\",\"timeUsec\":1000000000001999}\n"
		"{\"type\":\"chroot\",\"timeUsec\":1000000001999999}\n"
		"{\"type\":\"chroot\",\"timeUsec\":1000086400000000}",
		"-- Sun 2001-09-09 --\n"
		"01:46:40.001 chroot         -       - -        -               new root directory\n"
		"01:46:41.999 chroot         -       - -        -               new root directory\n"
		"-- Mon 2001-09-10 --\n"
		"01:46:40.000 chroot         -       - -        -               new root directory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_exit_in_whole_parts),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_days),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests_name("ctl-format", tests, NULL, NULL);
}
