// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "core/hub.h"
#include "tests/unit/config-test.h"

static void assert_defaults(const struct config *config)
{
	assert_string_equal(config->runtime_directory, "/run/forkbus");
	assert_int_equal(config->log_level, LOG_INFO);
	assert_int_equal(config->heartbeat_usec, 15000000);
	assert_int_equal(config->source, CONFIG_SOURCE_AUTO);
	assert_int_equal(config->coalesce_usec, 5000);
	assert_int_equal(config->socket_buffer, 16 << 20);
	assert_int_equal(config->armed, 0);
	assert_string_equal(config->subuid, "/etc/subuid");
	assert_int_equal(config->log_size, 64 << 20);
	assert_string_equal(config->group, "forkbus");
	assert_int_equal(config->connections, 4096);
	assert_int_equal(config->connections_per_user, 512);
	assert_int_equal(config->request_size, 65536);
	assert_int_equal(config->request_timeout_usec, 10000000);
	assert_int_equal(config->encoding_cache, 8 << 20);
}

static void test_defaults(void **state)
{
	struct config config;

	(void)state;
	memset(&config, 0xff, sizeof(config));
	config_init(&config);
	assert_defaults(&config);
	config_write("");
	assert_int_equal(config_load(&config, path, true), 0);
	assert_defaults(&config);
}

static void test_all(void **state)
{
	struct config config;

	(void)state;
	config_init(&config);
	config_write("# a comment\n"
		     "\n"
		     "[Broker]\n"
		     "RuntimeDirectory = /tmp/x y ; another comment\n"
		     "LogLevel=debug\r\n"
		     "HeartbeatSec=1h\n"
		     "[Source]\n"
		     "Source=replay:/tmp/a@b.json@2.5\n"
		     "CoalesceSec=0\n"
		     "SocketBuffer=65536\n"
		     "Armed=ptrace  threads\n"
		     "[Log]\n"
		     "Size=1G\n"
		     "[Access]\n"
		     "Group=\n"
		     "[Limits]\n"
		     "Connections=1\n"
		     "ConnectionsPerUser=1000000\n"
		     "RequestSize=1K\n"
		     "RequestTimeoutSec=500ms\n"
		     "EncodingCache=1M\n"
		     "[Log]\n"
		     "Size=2G");
	assert_int_equal(config_load(&config, path, true), 0);
	assert_string_equal(heard(), "");
	assert_string_equal(config.runtime_directory, "/tmp/x y");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.heartbeat_usec, 3600000000);
	assert_int_equal(config.source, CONFIG_SOURCE_REPLAY);
	assert_string_equal(config.replay_file, "/tmp/a@b.json");
	assert_true(config.replay_speed == 2.5);
	assert_int_equal(config.coalesce_usec, 0);
	assert_int_equal(config.socket_buffer, 65536);
	assert_int_equal(config.armed, EVENT_TYPE_BIT(EVENT_PTRACE) | HUB_ARMED_THREADS);
	assert_int_equal(config.log_size, UINT64_C(2) << 30);
	assert_string_equal(config.group, "");
	assert_int_equal(config.connections, 1);
	assert_int_equal(config.connections_per_user, 1000000);
	assert_int_equal(config.request_size, 1024);
	assert_int_equal(config.request_timeout_usec, 500000);
	assert_int_equal(config.encoding_cache, 1 << 20);
}

/* The others are read when the broker starts, and parts of it point to them. */
static void test_reload(void **state)
{
	struct config config, loaded;

	(void)state;
	config_init(&config);
	memset(&loaded, 0x11, sizeof(loaded));
	config_reload(&config, &loaded);
	assert_int_equal(config.log_level, loaded.log_level);
	assert_int_equal(config.armed, loaded.armed);
	assert_int_equal(config.heartbeat_usec, loaded.heartbeat_usec);
	assert_int_equal(config.connections, loaded.connections);
	assert_int_equal(config.connections_per_user, loaded.connections_per_user);
	assert_int_equal(config.request_size, loaded.request_size);
	assert_int_equal(config.request_timeout_usec, loaded.request_timeout_usec);
	config_init(&loaded);
	config_reload(&config, &loaded);
	assert_memory_equal(&config, &loaded, sizeof(config));
}

/* Each is refused, with a message that names the line, and earlier lines of the file have no effect either. */
static void test_errors(void **state)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{ "[Broker]\nRuntimeDirectory=", "RuntimeDirectory=: expected a path" },
		{ "[Broker]\nLogLevel=loud", "LogLevel=loud: expected err, warning" },
		{ "[Broker]\nHeartbeatSec=99ms", "HeartbeatSec=99ms: expected a span from 100ms" },
		{ "[Broker]\nHeartbeatSec=2h", "expected a span" },
		{ "[Broker]\nHeartbeatSec=soon", "expected a span" },
		{ "[Source]\nSource=magic", "Source=magic: expected auto, connector" },
		{ "[Source]\nSource=replay:", "expected auto" },
		{ "[Source]\nSource=replay:@2", "expected auto" },
		{ "[Source]\nCoalesceSec=2s", "expected a span of at most 1s" },
		{ "[Source]\nSocketBuffer=63K", "expected a size from 64K" },
		{ "[Log]\nSize=65G", "expected a size from 512K to 64G" },
		{ "[Log]\nSize=-1", "expected a size" },
		{ "[Log]\nSize=64MB", "expected a size" },
		{ "[Log]\nSize=64Q", "expected a size" },
		{ "[Log]\nSize=M", "expected a size" },
		{ "[Log]\nSize=18446744073709551617", "expected a size" },
		{ "[Log]\nSize=17179869184G", "expected a size" },
		{ "[Limits]\nConnections=0", "expected a number from 1" },
		{ "[Limits]\nConnections=10.5", "expected a number" },
		{ "[Limits]\nConnections=1000001", "expected a number" },
		{ "[Limits]\nSize=1M", "[Limits] Size=1M: there is no such option in this section" },
		{ "[Limit]\nConnections=1", "[Limit] Connections=1: there is no such section" },
		{ "[limits]\nConnections=1", "there is no such section" },
		{ "\nConnections", "expected [Section], Key=value, or a comment" },
		{ "\n[Limits", "expected [Section]" },
	};
	struct config config;
	char content[1024];

	(void)state;
	config_init(&config);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(content, sizeof(content), "[Log]\nSize=1M\n%s\n[Log]\nSize=nothing\n",
			 cases[i].line);
		config_write(content);
		assert_int_equal(config_load(&config, path, true), CONFIG_E_INVALID);
		assert_non_null(strstr(heard(), cases[i].words));
		snprintf(content, sizeof(content), "forkbusd: %s:4: ", path);
		assert_memory_equal(got, content, strlen(content));
		/* Only the first mistake is reported. */
		assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
		assert_defaults(&config);
	}
}

static void test_long_lines(void **state)
{
	struct config config;
	char content[5000];

	(void)state;
	config_init(&config);
	memset(content, 0, sizeof(content));
	strcpy(content, "[Log]\nSize=1M\n#");
	memset(content + strlen(content), 'x', 4000);
	config_write(content);
	assert_int_equal(config_load(&config, path, true), CONFIG_E_INVALID);
	assert_non_null(strstr(heard(), ":3: a line has at most"));
	assert_defaults(&config);

	/* A value at its own limit, and one over it */
	memset(content, 0, sizeof(content));
	strcpy(content, "[Broker]\nRuntimeDirectory=/");
	memset(content + strlen(content), 'x', CONFIG_DIRECTORY_MAX - 1);
	config_write(content);
	assert_int_equal(config_load(&config, path, true), 0);
	assert_int_equal(strlen(config.runtime_directory), CONFIG_DIRECTORY_MAX);
	strcat(content, "x");
	config_write(content);
	assert_int_equal(config_load(&config, path, true), CONFIG_E_INVALID);
	assert_int_equal(strlen(config.runtime_directory), CONFIG_DIRECTORY_MAX);
	assert_int_equal(config.log_size, 64 << 20);
}

static void test_nul(void **state)
{
	static const char content[] = "[Log]\n\0Size=nothing\n";
	struct config config;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	fwrite(content, 1, sizeof(content) - 1, file);
	fclose(file);
	config_init(&config);
	assert_int_equal(config_load(&config, path, true), CONFIG_E_INVALID);
	assert_non_null(strstr(heard(), ":2: a line has no NUL bytes"));
	assert_defaults(&config);
}

static void test_no_file(void **state)
{
	struct config config;

	(void)state;
	config_init(&config);
	assert_int_equal(config_load(&config, "/nonexistent/forkbusd.conf", false), 0);
	assert_string_equal(heard(), "");
	assert_int_equal(config_load(&config, "/nonexistent/forkbusd.conf", true), -ENOENT);
	assert_string_equal(heard(), "forkbusd: /nonexistent/forkbusd.conf: No such file or directory\n");
	assert_int_equal(config_load(&config, "/tmp", false), -EISDIR);
	assert_string_equal(heard(), "forkbusd: /tmp: Is a directory\n");
	assert_defaults(&config);
}

static void test_source(void **state)
{
	static const struct {
		const char *value, *file;
		double speed;
	} cases[] = {
		{ "replay:a", "a", 1 },
		{ "replay:a@flat", "a", 0 },
		{ "replay:/x/y.json@10", "/x/y.json", 10 },
		{ "replay:a@0.5", "a", 0.5 },
		{ "replay:a@.5", "a", 0.5 },
		{ "replay:a@", "a@", 1 },
		{ "replay:a@0", "a@0", 1 },
		{ "replay:a@-1", "a@-1", 1 },
		{ "replay:a@inf", "a@inf", 1 },
		{ "replay:a@0x10", "a@0x10", 1 },
		{ "replay:a@1e3", "a@1e3", 1 },
		{ "replay:a@1.2.3", "a@1.2.3", 1 },
		{ "replay:a@.", "a@.", 1 },
		{ "replay:@@2", "@", 2 },
		{ "replay:a@2@flat", "a@2", 0 },
	};
	struct config config;
	char value[5000] = "replay:";

	(void)state;
	config_init(&config);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(config_parse_source(&config, cases[i].value), 0);
		assert_int_equal(config.source, CONFIG_SOURCE_REPLAY);
		assert_string_equal(config.replay_file, cases[i].file);
		assert_true(config.replay_speed == cases[i].speed);
	}
	assert_int_equal(config_parse_source(&config, "auto"), 0);
	assert_int_equal(config.source, CONFIG_SOURCE_AUTO);
	assert_int_equal(config_parse_source(&config, "module"), 0);
	assert_int_equal(config.source, CONFIG_SOURCE_MODULE);
	assert_int_equal(config_parse_source(&config, "connector"), 0);
	assert_int_equal(config_parse_source(&config, "replay"), CONFIG_E_INVALID);
	assert_int_equal(config_parse_source(&config, ""), CONFIG_E_INVALID);
	memset(value + 7, 'x', CONFIG_PATH_MAX);
	assert_int_equal(config_parse_source(&config, value), CONFIG_E_INVALID);
	assert_int_equal(config.source, CONFIG_SOURCE_CONNECTOR);
	value[7 + CONFIG_PATH_MAX - 1] = '\0';
	assert_int_equal(config_parse_source(&config, value), 0);
}

static void test_set(void **state)
{
	struct config config;
	const char *expected = NULL;

	(void)state;
	config_init(&config);
	assert_int_equal(config_set(&config, "Log", "Size", "3M", &expected), 0);
	assert_int_equal(config.log_size, 3 << 20);
	assert_int_equal(config_set(&config, "Log", "Size", "3", &expected), CONFIG_E_INVALID);
	assert_non_null(strstr(expected, "512K"));
	assert_int_equal(config_set(&config, "Log", "Sise", "3", &expected), CONFIG_E_UNKNOWN);
	assert_int_equal(config.log_size, 3 << 20);
}

static void test_group(void **state)
{
	struct config config;
	gid_t gid = 5;

	(void)state;
	config_init(&config);
	strcpy(config.group, "");
	assert_int_equal(config_group(&config, &gid), 0);
	assert_true(gid == (gid_t)-1);
	strcpy(config.group, "1234");
	assert_int_equal(config_group(&config, &gid), 0);
	assert_int_equal(gid, 1234);
	strcpy(config.group, "root");
	assert_int_equal(config_group(&config, &gid), 0);
	assert_int_equal(gid, 0);
	/* The number that means none, as if it were a group's, would let no user or all users in. */
	strcpy(config.group, "4294967295");
	assert_int_equal(config_group(&config, &gid), CONFIG_E_INVALID);
	assert_true(gid == (gid_t)-1);
	strcpy(config.group, "no-such-group-here");
	assert_int_equal(config_group(&config, &gid), CONFIG_E_INVALID);
	assert_true(gid == (gid_t)-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(test_defaults),   CONFIG_TEST(test_all), CONFIG_TEST(test_errors),
		CONFIG_TEST(test_long_lines), CONFIG_TEST(test_nul), CONFIG_TEST(test_no_file),
		CONFIG_TEST(test_source),     CONFIG_TEST(test_set), CONFIG_TEST(test_group),
		CONFIG_TEST(test_reload),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
