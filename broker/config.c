// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core/hub.h"
#include "event.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/ini.h"
#include "base/message.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

struct option {
	const char *section, *key, *standard, *expected;
	int (*parse)(struct config *config, const struct option *option, const char *value);
	size_t offset;
	uint64_t min, max; /* of the number, or of the length of the text */
};

static int number_set(struct config *config, const struct option *option, uint64_t number)
{
	if (number < option->min || number > option->max)
		return CONFIG_E_INVALID;
	memcpy((char *)config + option->offset, &number, sizeof(number));
	return 0;
}

/* Digits, and the text after them. Return: CONFIG_E_INVALID if there are none, or too many. */
static int digits_parse(const char *value, uint64_t *number, const char **end)
{
	*number = 0;
	if (*value < '0' || *value > '9')
		return CONFIG_E_INVALID;
	for (; *value >= '0' && *value <= '9'; value++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*value - '0'), number))
			return CONFIG_E_INVALID;
	*end = value;
	return 0;
}

static int parse_number(struct config *config, const struct option *option, const char *value)
{
	uint64_t number;
	const char *end;

	if (digits_parse(value, &number, &end) != 0 || *end != '\0')
		return CONFIG_E_INVALID;
	return number_set(config, option, number);
}

static int parse_size(struct config *config, const struct option *option, const char *value)
{
	static const char units[] = "KMGT";
	uint64_t number;
	const char *end, *unit;

	if (digits_parse(value, &number, &end) != 0)
		return CONFIG_E_INVALID;
	if (*end != '\0') {
		unit = strchr(units, *end);
		if (!unit || end[1] != '\0')
			return CONFIG_E_INVALID;
		if (__builtin_mul_overflow(number, UINT64_C(1) << 10 * (unit - units + 1), &number))
			return CONFIG_E_INVALID;
	}
	return number_set(config, option, number);
}

static int parse_span(struct config *config, const struct option *option, const char *value)
{
	uint64_t usec;

	if (timespan_parse(value, &usec) < 0)
		return CONFIG_E_INVALID;
	return number_set(config, option, usec);
}

static int parse_text(struct config *config, const struct option *option, const char *value)
{
	size_t len = strlen(value);

	if (len < option->min || len > option->max)
		return CONFIG_E_INVALID;
	memcpy((char *)config + option->offset, value, len + 1);
	return 0;
}

static int parse_level(struct config *config, const struct option *option, const char *value)
{
	int level = msg_level_from_name(value);

	(void)option;
	if (level < 0)
		return CONFIG_E_INVALID;
	config->log_level = level;
	return 0;
}

static int parse_bus(struct config *config, const struct option *option, const char *value)
{
	static const char *const names[] = {
		[CONFIG_BUS_SYSTEM] = "system",
		[CONFIG_BUS_USER] = "user",
		[CONFIG_BUS_NONE] = "none",
	};

	(void)option;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0) {
			config->bus = (enum config_bus)i;
			return 0;
		}
	return CONFIG_E_INVALID;
}

/* Words, separated by spaces. */
static int parse_armed(struct config *config, const struct option *option, const char *value)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} types[] = {
		{ "chroot", EVENT_TYPE_BIT(EVENT_CHROOT) },
		{ "coredump", EVENT_TYPE_BIT(EVENT_COREDUMP) },
		{ "ptrace", EVENT_TYPE_BIT(EVENT_PTRACE) },
		{ "threads", HUB_ARMED_THREADS },
	};
	uint32_t armed = 0;

	(void)option;
	for (value += strspn(value, " "); *value != '\0'; value += strspn(value, " ")) {
		size_t len = strcspn(value, " "), i = 0;

		while (i < ARRAY_SIZE(types) &&
		       (strlen(types[i].name) != len || memcmp(types[i].name, value, len) != 0))
			i++;
		if (i == ARRAY_SIZE(types))
			return CONFIG_E_INVALID;
		armed |= types[i].bit;
		value += len;
	}
	config->armed = armed;
	return 0;
}

static int parse_source(struct config *config, const struct option *option, const char *value)
{
	(void)option;
	return config_parse_source(config, value);
}

#define AT(_member) offsetof(struct config, _member)

static const struct option options[] = {
	{ "Broker", "RuntimeDirectory", "/run/forkbus", "a path of at most 90 bytes", parse_text,
	  AT(runtime_directory), 1, CONFIG_DIRECTORY_MAX },
	{ "Broker", "LogLevel", "info", "err, warning, notice, info or debug", parse_level, 0, 0, 0 },
	{ "Broker", "Bus", "system", "system, user or none", parse_bus, 0, 0, 0 },
	{ "Broker", "HeartbeatSec", "15s", "a span from 100ms to 1h", parse_span, AT(heartbeat_usec),
	  100 * USEC_PER_MSEC, 3600 * USEC_PER_SEC },
	{ "Source", "Source", "auto",
	  "auto, connector, module, or replay:FILE[@SPEED], its speed a number above 0 or \"flat\"",
	  parse_source, 0, 0, 0 },
	{ "Source", "CoalesceSec", "5ms", "a span of at most 1s", parse_span, AT(coalesce_usec), 0,
	  USEC_PER_SEC },
	{ "Source", "SocketBuffer", "16M", "a size from 64K to 1G", parse_size, AT(socket_buffer), 64 * KIB,
	  GIB },
	{ "Source", "Arguments", "0", "a size of at most 4K", parse_size, AT(arguments), 0, EVENT_PATH_MAX },
	{ "Source", "Armed", "", "nothing, or some of chroot, coredump, ptrace and threads", parse_armed, 0,
	  0, 0 },
	{ "Log", "Size", "64M", "a size from 512K to 64G", parse_size, AT(log_size), 512 * KIB, 64 * GIB },
	{ "Access", "Group", "forkbus", "the name or the number of a group, or nothing", parse_text,
	  AT(group), 0, CONFIG_GROUP_MAX },
	{ "Limits", "Connections", "4096", "a number from 1 to 1000000", parse_number, AT(connections), 1,
	  1000000 },
	{ "Limits", "ConnectionsPerUser", "512", "a number from 1 to 1000000", parse_number,
	  AT(connections_per_user), 1, 1000000 },
	{ "Limits", "SubordinateUids", "/etc/subuid", "a path, or nothing", parse_text, AT(subuid), 0,
	  CONFIG_PATH_MAX - 1 },
	{ "Limits", "RequestSize", "64K", "a size from 1K to 16M", parse_size, AT(request_size), KIB,
	  16 * MIB },
	{ "Limits", "RequestTimeoutSec", "10s", "a span from 100ms to 10min", parse_span,
	  AT(request_timeout_usec), 100 * USEC_PER_MSEC, 600 * USEC_PER_SEC },
	{ "Limits", "EncodingCache", "8M", "a size from 1M to 1G", parse_size, AT(encoding_cache), MIB, GIB },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* "flat", or a number above 0 in plain decimal */
static bool speed_parse(const char *value, double *speed)
{
	double number;
	char *end;

	if (strcmp(value, "flat") == 0) {
		*speed = 0;
		return true;
	}
	if (value[0] == '\0' || value[strspn(value, "0123456789.")] != '\0')
		return false;
	number = strtod(value, &end);
	if (*end != '\0' || !(number > 0) || number > 1e9)
		return false;
	*speed = number;
	return true;
}

static int replay_parse(struct config *config, const char *value)
{
	const char *at = strrchr(value, '@');
	size_t len = strlen(value);
	double speed = 1;

	/* A file may have an @ in its name. */
	if (at && speed_parse(at + 1, &speed))
		len = (size_t)(at - value);
	if (len == 0 || len >= sizeof(config->replay_file))
		return CONFIG_E_INVALID;
	memcpy(config->replay_file, value, len);
	config->replay_file[len] = '\0';
	config->replay_speed = speed;
	config->source = CONFIG_SOURCE_REPLAY;
	return 0;
}

int config_parse_source(struct config *config, const char *value)
{
	static const char replay[] = "replay:";

	if (strcmp(value, "auto") == 0)
		config->source = CONFIG_SOURCE_AUTO;
	else if (strcmp(value, "connector") == 0)
		config->source = CONFIG_SOURCE_CONNECTOR;
	else if (strcmp(value, "module") == 0)
		config->source = CONFIG_SOURCE_MODULE;
	else if (strncmp(value, replay, sizeof(replay) - 1) == 0)
		return replay_parse(config, value + sizeof(replay) - 1);
	else
		return CONFIG_E_INVALID;
	return 0;
}

int config_set(struct config *config, const char *section, const char *key, const char *value,
	       const char **expected)
{
	bool known = false;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option *option = &options[i];

		if (strcmp(option->section, section) != 0)
			continue;
		known = true;
		if (strcmp(option->key, key) != 0)
			continue;
		*expected = option->expected;
		return option->parse(config, option, value);
	}
	*expected = known ? "there is no such option in this section"
			  : "there is no such section, but Broker, Source, Log, Access and Limits";
	return CONFIG_E_UNKNOWN;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < N_OPTIONS; i++)
		options[i].parse(config, &options[i], options[i].standard);
}

static int set_option(void *userdata, const char *section, const char *key, const char *value,
		      char why[static INI_WHY_MAX])
{
	const char *expected;
	int r = config_set(userdata, section, key, value, &expected);

	if (r != 0)
		snprintf(why, INI_WHY_MAX, "%s%s", r == CONFIG_E_INVALID ? "expected " : "", expected);
	return r;
}

int config_load(struct config *config, const char *path, bool must_exist)
{
	struct config loaded = *config; /* a file with an error changes nothing */
	int r = ini_load(path, must_exist, set_option, &loaded);

	if (r == 0)
		*config = loaded;
	return r == INI_E_INVALID ? CONFIG_E_INVALID : r;
}

void config_reload(struct config *config, const struct config *loaded)
{
	config->log_level = loaded->log_level;
	config->heartbeat_usec = loaded->heartbeat_usec;
	config->armed = loaded->armed;
	config->connections = loaded->connections;
	config->connections_per_user = loaded->connections_per_user;
	config->request_size = loaded->request_size;
	config->request_timeout_usec = loaded->request_timeout_usec;
}

int config_group(const struct config *config, gid_t *gid)
{
	const struct group *group;
	uint64_t number;
	const char *end;

	*gid = (gid_t)-1;
	if (config->group[0] == '\0')
		return 0;
	if (digits_parse(config->group, &number, &end) == 0 && *end == '\0') {
		if (number >= (gid_t)-1)
			return CONFIG_E_INVALID;
		*gid = (gid_t)number;
		return 0;
	}
	errno = 0;
	group = getgrnam(config->group);
	if (!group) {
		/* The errors that mean that there is no group of that name. */
		if (errno == 0 || errno == ENOENT || errno == ESRCH)
			return CONFIG_E_INVALID;
		return -errno;
	}
	*gid = group->gr_gid;
	return 0;
}
