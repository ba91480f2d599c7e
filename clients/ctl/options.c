// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "options.h"
#include "output.h"

enum kind { NO_FILTER, LIST, ONE, FLAG };

static const struct {
	const char *name, *key;
	enum kind kind;
} keys[_FILTER_OPTION_MAX] = {
	[FILTER_OPTION_TYPE] = { "--type", "types", LIST },
	[FILTER_OPTION_PID] = { "--pid", "pids", LIST },
	[FILTER_OPTION_TREE] = { "--tree", "tree", ONE },
	[FILTER_OPTION_UID] = { "--uid", "uids", LIST },
	[FILTER_OPTION_COMM] = { "--comm", "comm", LIST },
	[FILTER_OPTION_EXE] = { "--exe", "exe", LIST },
	[FILTER_OPTION_CGROUP] = { "--cgroup", "cgroup", LIST },
	[FILTER_OPTION_UNIT] = { "--unit", "unit", LIST },
	[FILTER_OPTION_STATUS] = { "--status", "status", LIST },
	[FILTER_OPTION_MIN_ELAPSED] = { "--min-elapsed", "minElapsedUsec", ONE },
	[FILTER_OPTION_THREADS] = { "--threads", "threads", FLAG },
	[FILTER_OPTION_SNAPSHOT] = { "--snapshot", "snapshot", FLAG },
	[FILTER_OPTION_SINCE] = { "--since", "since", ONE },
};

const char *option_of_key(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].key && strcmp(keys[i].key, key) == 0)
			return keys[i].name;
	return NULL;
}

static int invalid(struct filter_error *error, int option, const char *value, const char *what)
{
	snprintf(error->key, sizeof(error->key), "%s", keys[option].name);
	snprintf(error->detail, sizeof(error->detail), "'%.100s' %s", value, what);
	return OPTIONS_E_INVALID;
}

/* Parse a number of digits only, up to @max. Return: whether it is valid. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret <= max;
}

/* PID or PID@STARTUSEC. */
static int parse_process(json_t **ret, int option, const char *value, struct filter_error *error)
{
	_cleanup_free_ char *text = strdup(value);
	char *at = text ? strchr(text, '@') : NULL;
	uint64_t pid, start = 0;

	if (!text)
		return -ENOMEM;
	if (at)
		*at++ = '\0';
	if (!parse_number(text, INT32_MAX, &pid) || pid == 0 || (at && !parse_number(at, INT64_MAX, &start)))
		return invalid(error, option, value, "is neither PID nor PID@STARTUSEC");
	if (at)
		*ret = json_pack("{sIsI}", "pid", (json_int_t)pid, "startUsec", (json_int_t)start);
	else
		*ret = json_integer((json_int_t)pid);
	return *ret ? 0 : -ENOMEM;
}

static int parse_user(json_t **ret, const char *value, struct filter_error *error)
{
	const struct passwd *passwd;
	uint64_t uid;

	if (!parse_number(value, UINT32_MAX, &uid)) {
		passwd = getpwnam(value);
		if (!passwd)
			return invalid(error, FILTER_OPTION_UID, value, "is not a user of this machine");
		uid = passwd->pw_uid;
	}
	*ret = json_integer((json_int_t)uid);
	return *ret ? 0 : -ENOMEM;
}

static int parse_string(json_t **ret, int option, const char *value, struct filter_error *error)
{
	*ret = json_string(value);
	if (*ret)
		return 0;
	/* JSON, and so jansson, accepts only UTF-8. */
	return invalid(error, option, value, "is not UTF-8");
}

static int parse_item(json_t **ret, int option, const char *value, struct filter_error *error)
{
	switch (option) {
	case FILTER_OPTION_PID:
		return parse_process(ret, option, value, error);
	case FILTER_OPTION_UID:
		return parse_user(ret, value, error);
	default:
		return parse_string(ret, option, value, error);
	}
}

/* The length of the first item of a list: up to a comma that no backslash protects. */
static size_t item_len(const char *list)
{
	size_t len = 0;

	while (list[len] != '\0' && list[len] != ',')
		len += list[len] == '\\' && list[len + 1] != '\0' ? 2 : 1;
	return len;
}

static int take_list(json_t *request, int option, const char *value, struct filter_error *error)
{
	json_t *array = json_object_get(request, keys[option].key);
	const char *list = value;
	int r;

	if (!array) {
		array = json_array();
		if (json_object_set_new(request, keys[option].key, array) < 0)
			return -ENOMEM;
	}
	for (;;) {
		size_t len = item_len(list);
		_cleanup_free_ char *item = strndup(list, len);
		json_t *parsed = NULL;

		if (!item)
			return -ENOMEM;
		if (len == 0)
			return invalid(error, option, value, "has an empty item");
		r = parse_item(&parsed, option, item, error);
		if (r != 0)
			return r;
		if (json_array_append_new(array, parsed) < 0)
			return -ENOMEM;
		if (list[len] == '\0')
			return 0;
		list += len + 1;
	}
}

static int take_one(json_t *request, int option, const char *value, struct filter_error *error)
{
	json_t *parsed = NULL;
	uint64_t usec;
	int r = 0;

	if (json_object_get(request, keys[option].key))
		return invalid(error, option, value, "is a second value: this option takes one");
	if (option == FILTER_OPTION_TREE) {
		r = parse_process(&parsed, option, value, error);
	} else if (option == FILTER_OPTION_SINCE) {
		r = parse_string(&parsed, option, value, error);
	} else {
		if (timespan_parse(value, &usec) < 0 || usec > INT64_MAX)
			return invalid(error, option, value, "is not a time span (like 90s, 5min, 1h 30min)");
		parsed = json_integer((json_int_t)usec);
	}
	if (r != 0)
		return r;
	return json_object_set_new(request, keys[option].key, parsed) < 0 ? -ENOMEM : 0;
}

int options_take(json_t *request, int option, const char *value, struct filter_error *error)
{
	switch (option >= 0 && option < _FILTER_OPTION_MAX ? keys[option].kind : NO_FILTER) {
	case LIST:
		return take_list(request, option, value, error);
	case ONE:
		return take_one(request, option, value, error);
	case FLAG:
		return json_object_set_new(request, keys[option].key, json_true()) < 0 ? -ENOMEM : 0;
	default:
		return OPTIONS_E_OTHER;
	}
}

static int parse_count(const char *text, uint64_t *count)
{
	char *end;

	errno = 0;
	*count = strtoull(text, &end, 10);
	if (errno == 0 && isdigit((unsigned char)*text) && *end == '\0' && *count > 0 && *count < OUTPUT_ALL)
		return CTL_GO_ON;
	ctl_error("-n: expected a positive number, not '%s'", text);
	return CTL_USAGE;
}

static int parse_one(struct options *wanted, struct ctl *ctl, int option, const char *help)
{
	struct filter_error error;
	int r;

	/* Flags belong to the command. */
	if (option == 0)
		return CTL_GO_ON;
	if (option == 'n')
		return parse_count(optarg, &wanted->count);
	r = options_take(wanted->request, option, optarg, &error);
	switch (r) {
	case 0:
		return CTL_GO_ON;
	case OPTIONS_E_OTHER:
		return ctl_option(ctl, option, help);
	case OPTIONS_E_INVALID:
		ctl_error("%s: %s", error.key, error.detail);
		return CTL_USAGE;
	default:
		ctl_error("%s", strerror(-r));
		return CTL_FAILURE;
	}
}

/* Commands that have --lines also have -n. */
static const char *short_options(const struct option *options)
{
	for (; options->name; options++)
		if (options->val == 'n')
			return "hn:";
	return "h";
}

int options_parse(struct options *wanted, struct ctl *ctl, int argc, char *argv[],
		  const struct option *options, const char *help)
{
	const char *letters = short_options(options);
	int option, r = CTL_GO_ON;

	*wanted = (struct options){ json_object(), OUTPUT_ALL };
	if (!wanted->request) {
		ctl_error("%s", strerror(ENOMEM));
		return CTL_FAILURE;
	}
	while (r == CTL_GO_ON && (option = getopt_long(argc, argv, letters, options, NULL)) != -1)
		r = parse_one(wanted, ctl, option, help);
	return r;
}

void options_done(struct options *wanted)
{
	json_decref(wanted->request);
	wanted->request = NULL;
}
