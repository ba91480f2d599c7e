// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/ini.h"
#include "base/message.h"
#include "config.h"

/* --- values ------------------------------------------------------------------------------------------------------- */

/*
 * Each parser returns 0, or -EINVAL for an invalid text, and then does not change the member. parse_globs() adds to a list,
 * and keeps the words before an invalid one; it sets @why to a constant sentence, and may return -ENOMEM.
 */

/* Return: the index of the name, or -1. */
static int find_name(const char *const *names, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
			return (int)i;
	return -1;
}

/* Return: the next word from @at on, or NULL at the end of the text. */
static const char *next_word(const char *at, size_t *len)
{
	at += strspn(at, " \t");
	*len = strcspn(at, " \t");
	return *len > 0 ? at : NULL;
}

static int parse_flag(void *member, const char *text, const char **why)
{
	static const char *const names[] = { "no", "yes" };
	int found = find_name(names, 2, text, strlen(text));

	(void)why;
	if (found < 0)
		return -EINVAL;
	*(bool *)member = found == 1;
	return 0;
}

static int parse_urgency(void *member, const char *text, const char **why)
{
	static const char *const names[] = { "low", "normal", "critical" };
	int found = find_name(names, 3, text, strlen(text));

	(void)why;
	if (found < 0)
		return -EINVAL;
	*(enum urgency *)member = (enum urgency)found;
	return 0;
}

static int parse_scope(void *member, const char *text, const char **why)
{
	static const char *const names[] = { "shell", "terminal", "all" };
	int found = find_name(names, 3, text, strlen(text));

	(void)why;
	if (found < 0)
		return -EINVAL;
	*(enum scope *)member = (enum scope)found;
	return 0;
}

/* Parse a decimal number of at most three digits. Return: the number, or -1. */
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

static int parse_on_screen(void *member, const char *text, const char **why)
{
	int number = number_of(text, strlen(text));

	(void)why;
	if (number < 1 || number > ON_SCREEN_MAX)
		return -EINVAL;
	*(uint64_t *)member = (uint64_t)number;
	return 0;
}

static int parse_span(void *member, const char *text, const char **why)
{
	(void)why;
	return timespan_parse(text, member) < 0 ? -EINVAL : 0;
}

static int parse_show(void *member, const char *text, const char **why)
{
	static const char *const names[] = { "success", "failure", "stopped" };
	static const enum kind named[] = { KIND_SUCCESS, KIND_FAILURE, KIND_STOPPED };
	unsigned int parsed = 0;
	size_t len;

	(void)why;
	for (const char *word = text; (word = next_word(word, &len)); word += len) {
		int found = find_name(names, 3, word, len);

		if (found < 0)
			return -EINVAL;
		parsed |= 1U << named[found];
	}
	*(unsigned int *)member = parsed;
	return 0;
}

static int parse_codes(void *member, const char *text, const char **why)
{
	bool parsed[CODES_MAX] = {};
	size_t len;

	(void)why;
	for (const char *word = text; (word = next_word(word, &len)); word += len) {
		int number = number_of(word, len);

		if (number < 1 || number >= CODES_MAX)
			return -EINVAL;
		parsed[number] = true;
	}
	memcpy(member, parsed, sizeof(parsed));
	return 0;
}

/* Parse a number of two digits, at most @max. Return: the number, or -1. */
static int digits(const char *at, int max)
{
	int number;

	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return -1;
	number = (at[0] - '0') * 10 + at[1] - '0';
	return number <= max ? number : -1;
}

/* Parse a time like "07:30" at @at. Return: minutes after midnight, or -1. */
static int clock_parse(const char *at)
{
	int hour = digits(at, 23), minute;

	if (hour < 0 || at[2] != ':')
		return -1;
	minute = digits(at + 3, 59);
	return minute < 0 ? -1 : hour * 60 + minute;
}

static int parse_hours(void *member, const char *text, const char **why)
{
	struct hours *hours = member, parsed = { .any = true };

	(void)why;
	if (*text == '\0') {
		*hours = (struct hours){ .any = false };
		return 0;
	}
	if (strlen(text) != strlen("22:00-07:00") || text[5] != '-')
		return -EINVAL;
	parsed.begin = clock_parse(text);
	parsed.end = clock_parse(text + 6);
	if (parsed.begin < 0 || parsed.end < 0 || parsed.begin == parsed.end)
		return -EINVAL;
	*hours = parsed;
	return 0;
}

static void globs_done(struct globs *globs)
{
	for (size_t i = 0; i < globs->n; i++)
		pattern_free(globs->patterns[i]);
	free(globs->patterns);
	*globs = (struct globs){};
}

static int add_word(struct globs *globs, const char *word, size_t len, const char **why)
{
	_cleanup_free_ char *text = strndup(word, len);
	struct pattern **grown;
	int r;

	if (globs->n == GLOBS_MAX) {
		*why = "there are too many globs in this list";
		return -EINVAL;
	}
	grown = reallocarray(globs->patterns, globs->n + 1, sizeof(struct pattern *));
	if (!grown)
		return -ENOMEM;
	globs->patterns = grown;
	r = text ? pattern_new(&globs->patterns[globs->n], text, why) : -ENOMEM;
	if (r < 0)
		return r;
	if (r > 0)
		return -EINVAL;
	globs->n++;
	return 0;
}

static int parse_globs(void *member, const char *text, const char **why)
{
	struct globs *globs = member;
	const char *word = text;
	size_t len;
	int r = 0;

	if (!next_word(word, &len))
		globs_done(globs);
	for (; r == 0 && (word = next_word(word, &len)); word += len)
		r = add_word(globs, word, len, why);
	return r;
}

/* --- options ------------------------------------------------------------------------------------------------------ */

/*
 * Interactive commands: their user ends them, and needs no notification. Names as the kernel has them, of at most 15 bytes.
 * Each line has a group: shells, remote shells and terminal multiplexers (two lines); editors and file managers; pagers, and
 * programs that start them; monitors; mail, news, chat and web; debuggers, and prompts of databases; graphical programs and
 * desktops (two lines). forkbus-notify.conf(5) has the same list.
 */
#define IGNORED_COMMANDS                                                                                 \
	"sh bash dash zsh fish ksh mksh tcsh csh nu elvish xonsh login su newgrp ssh mosh mosh-client "  \
	"telnet tmux* screen zellij byobu "                                                              \
	"vi vim* nvim view nano pico emacs* micro hx helix kak joe mcedit mc ranger nnn lf vifm yazi "   \
	"less more most pager man info git tig lazygit gitui journalctl fzf "                            \
	"top htop btop atop iotop nethogs glances watch tail tee forkbusctl "                            \
	"mutt neomutt aerc weechat irssi newsboat lynx w3m links elinks "                                \
	"gdb lldb ipython* psql mysql mariadb sqlite3 redis-cli "                                        \
	"firefox* chrom* thunderbird code evince okular gimp* soffice* mpv vlc xterm startx xinit sway " \
	"Hyprland niri weston labwc river gnome-session* startplasma*"

#define STRING(_value)	  STRING_OF(_value)
#define STRING_OF(_value) #_value

struct option {
	const char *section, *key, *standard, *why;
	int (*parse)(void *member, const char *value, const char **why);
	size_t offset;
};

#define AT(_member) offsetof(struct notify_config, _member)

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
	{ "Notifications", "OnScreen", "3", "expected a number from 1 to " STRING(ON_SCREEN_MAX),
	  parse_on_screen, AT(on_screen) },
	{ "Notifications", "QuietHours", "", "expected hours like 22:00-07:00, or nothing", parse_hours,
	  AT(quiet) },
	{ "Notifications", "QuietCrashes", "no", FLAG, parse_flag, AT(quiet_crashes) },
};

static int option_set(struct notify_config *config, const struct option *option, const char *value,
		      const char **why)
{
	int r;

	if (option->why)
		*why = option->why;
	r = option->parse((char *)config + option->offset, value, why);
	return r == -EINVAL ? CONFIG_E_INVALID : r;
}

int notify_config_set(struct notify_config *config, const char *section, const char *key, const char *value,
		      const char **why)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].section, section) != 0)
			continue;
		known = true;
		if (strcmp(options[i].key, key) == 0)
			return option_set(config, &options[i], value, why);
	}
	*why = known ? "there is no such option in this section"
		     : "there is no such section; the sections are Commands, Crashes and Notifications";
	return CONFIG_E_INVALID;
}

int notify_config_init(struct notify_config *config)
{
	const char *why;

	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (option_set(config, &options[i], options[i].standard, &why) != 0) {
			notify_config_done(config);
			return -ENOMEM;
		}
	}
	return 0;
}

void notify_config_done(struct notify_config *config)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].parse == parse_globs)
			globs_done((struct globs *)((char *)config + options[i].offset));
}

static int set_option(void *userdata, const char *section, const char *key, const char *value,
		      char why[static INI_WHY_MAX])
{
	const char *text = "";
	int r = notify_config_set(userdata, section, key, value, &text);

	snprintf(why, INI_WHY_MAX, "%s", text);
	return r;
}

int notify_config_load(struct notify_config *config, const char *path, bool must_exist)
{
	struct notify_config loaded;
	int r = notify_config_init(&loaded);

	if (r < 0) {
		msg_err("%s", strerror(-r));
		return r;
	}
	if (path)
		r = ini_load(path, must_exist, set_option, &loaded);
	if (r == 0)
		*config = loaded;
	else
		notify_config_done(&loaded);
	return r == INI_E_INVALID ? CONFIG_E_INVALID : r;
}
