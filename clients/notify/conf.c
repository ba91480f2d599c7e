// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <string.h>

#include "conf.h"
#include "globs.h"
#include "ignored.h"
#include "request.h"
#include "util.h"

#define STRING(_value)	  STRING_OF(_value)
#define STRING_OF(_value) #_value

struct option {
	const char *section, *key, *standard, *why;
	int (*parse)(void *member, const char *value, const char **why);
	size_t offset;
};

static int parse_flag(void *member, const char *value, const char **why)
{
	(void)why;
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return CONF_E_INVALID;
	*(bool *)member = value[0] == 'y';
	return 0;
}

static int parse_urgency(void *member, const char *value, const char **why)
{
	static const char *const names[] = { "low", "normal", "critical" };

	(void)why;
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], value) == 0) {
			*(enum urgency *)member = (enum urgency)i;
			return 0;
		}
	}
	return CONF_E_INVALID;
}

static int parse_scope(void *member, const char *value, const char **why)
{
	static const char *const names[] = { "shell", "terminal", "all" };

	(void)why;
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], value) == 0) {
			*(enum scope *)member = (enum scope)i;
			return 0;
		}
	}
	return CONF_E_INVALID;
}

static int parse_span(void *member, const char *value, const char **why)
{
	(void)why;
	return timespan_parse(value, member) < 0 ? CONF_E_INVALID : 0;
}

/* A decimal number of at most three digits. Return: it, or -1. */
static int number_of(const char *word, size_t len)
{
	int number = 0;

	if (len < 1 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -1;
		number = number * 10 + word[i] - '0';
	}
	return number;
}

static int parse_on_screen(void *member, const char *value, const char **why)
{
	int number = number_of(value, strlen(value));

	(void)why;
	if (number < 1 || number > CONF_ON_SCREEN_MAX)
		return CONF_E_INVALID;
	*(uint64_t *)member = (uint64_t)number;
	return 0;
}

static int parse_show(void *member, const char *value, const char **why)
{
	static const struct {
		const char *name;
		enum kind kind;
	} kinds[] = { { "success", KIND_SUCCESS }, { "failure", KIND_FAILURE }, { "stopped", KIND_STOPPED } };
	unsigned int show = 0;

	(void)why;
	for (const char *word = value + strspn(value, " \t"); *word != '\0'; word += strspn(word, " \t")) {
		size_t len = strcspn(word, " \t"), i = 0;

		while (i < ARRAY_SIZE(kinds) &&
		       (strlen(kinds[i].name) != len || strncmp(kinds[i].name, word, len) != 0))
			i++;
		if (i == ARRAY_SIZE(kinds))
			return CONF_E_INVALID;
		show |= 1U << kinds[i].kind;
		word += len;
	}
	*(unsigned int *)member = show;
	return 0;
}

static int parse_codes(void *member, const char *value, const char **why)
{
	bool codes[CONF_CODES_MAX] = {};

	(void)why;
	for (const char *word = value + strspn(value, " \t"); *word != '\0'; word += strspn(word, " \t")) {
		size_t len = strcspn(word, " \t");
		int number = number_of(word, len);

		if (number < 1 || number >= CONF_CODES_MAX)
			return CONF_E_INVALID;
		codes[number] = true;
		word += len;
	}
	memcpy(member, codes, sizeof(codes));
	return 0;
}

static int parse_hours(void *member, const char *value, const char **why)
{
	(void)why;
	return hours_parse(member, value) < 0 ? CONF_E_INVALID : 0;
}

static int parse_globs(void *member, const char *value, const char **why)
{
	return globs_add(member, value, why);
}

#define AT(_member) offsetof(struct conf, _member)

#define URGENCIES "expected low, normal or critical"
#define FLAG	  "expected yes or no"

#define LISTS(_section, _at, _ignored)                                                             \
	{ _section, "IgnoreComm", _ignored, NULL, parse_globs, AT(_at.ignore[ABOUT_COMM]) },       \
		{ _section, "IgnoreExe", "", NULL, parse_globs, AT(_at.ignore[ABOUT_EXE]) },       \
		{ _section, "IgnoreCgroup", "", NULL, parse_globs, AT(_at.ignore[ABOUT_CGROUP]) }, \
		{ _section, "OnlyComm", "", NULL, parse_globs, AT(_at.only[ABOUT_COMM]) },         \
		{ _section, "OnlyExe", "", NULL, parse_globs, AT(_at.only[ABOUT_EXE]) },           \
	{                                                                                          \
		_section, "OnlyCgroup", "", NULL, parse_globs, AT(_at.only[ABOUT_CGROUP])          \
	}

static const struct option options[] = {
	{ "Commands", "Show", "success failure", "expected words of success, failure and stopped, or nothing",
	  parse_show, AT(show) },
	{ "Commands", "Scope", "shell", "expected shell, terminal or all", parse_scope, AT(scope) },
	{ "Commands", "MinElapsedSec", "10s", "expected a span, like 10s or 1min 30s", parse_span,
	  AT(min_elapsed_usec) },
	{ "Commands", "StoppedCodes", "130 141 143", "expected numbers from 1 to 255, or nothing",
	  parse_codes, AT(stopped) },
	{ "Commands", "SuccessUrgency", "low", URGENCIES, parse_urgency, AT(success_urgency) },
	{ "Commands", "FailureUrgency", "normal", URGENCIES, parse_urgency, AT(failure_urgency) },
	LISTS("Commands", commands, IGNORED_COMMANDS),
	{ "Crashes", "Show", "yes", FLAG, parse_flag, AT(show_crashes) },
	{ "Crashes", "Urgency", "critical", URGENCIES, parse_urgency, AT(crash_urgency) },
	LISTS("Crashes", crashes, ""),
	{ "Notifications", "OnScreen", "3", "expected a number from 1 to " STRING(CONF_ON_SCREEN_MAX),
	  parse_on_screen, AT(on_screen) },
	{ "Notifications", "QuietHours", "", "expected hours like 22:00-07:00, or nothing", parse_hours,
	  AT(quiet) },
	{ "Notifications", "QuietCrashes", "no", FLAG, parse_flag, AT(quiet_crashes) },
};

static int option_set(struct conf *conf, const struct option *option, const char *value, const char **why)
{
	if (option->why)
		*why = option->why;
	return option->parse((char *)conf + option->offset, value, why);
}

int conf_set(struct conf *conf, const char *section, const char *key, const char *value, const char **why)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].section, section) != 0)
			continue;
		known = true;
		if (strcmp(options[i].key, key) == 0)
			return option_set(conf, &options[i], value, why);
	}
	*why = known ? "there is no such option in this section"
		     : "there is no such section, but Commands, Crashes and Notifications";
	return CONF_E_INVALID;
}

int conf_init(struct conf *conf)
{
	const char *why;

	memset(conf, 0, sizeof(*conf));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (option_set(conf, &options[i], options[i].standard, &why) != 0) {
			conf_done(conf);
			return -ENOMEM;
		}
	}
	return 0;
}

void conf_done(struct conf *conf)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].parse == parse_globs)
			globs_done((struct globs *)((char *)conf + options[i].offset));
}
