// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "base/text.h"

/* Longer lines are cut. */
#define LINE_MAX_BYTES 2048

static const char *program = "forkbusd";
static int max_level = LOG_INFO;
static bool use_syslog;

void msg_set_name(const char *name)
{
	program = name;
}

void msg_set_level(int level)
{
	max_level = level;
}

void msg_use_syslog(void)
{
	openlog(program, LOG_PID, LOG_DAEMON);
	use_syslog = true;
}

int msg_level_from_name(const char *name)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{ "err", LOG_ERR },   { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
		{ "info", LOG_INFO }, { "debug", LOG_DEBUG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return levels[i].level;
	return -1;
}

/* Is standard error the very stream that the journal gave us? A child's redirected one inherits the variable
 * too. */
static bool journal_reads(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[48];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

/* Any user may have chosen a name in a message: it must not begin a new line or control the terminal. */
static void line_clean(char *line, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t point;

		n = utf8_decode(line + i, len - i, &point);
		if (n > 0 && !text_is_control(point) && !text_is_hidden(point))
			continue;
		n = n > 0 ? n : 1;
		memset(line + i, '?', n);
	}
}

void msg_write(int level, const char *format, ...)
{
	int saved = errno;
	char line[LINE_MAX_BYTES];
	size_t prefix, len;
	va_list args;
	int n;

	if (level > max_level)
		return;
	n = use_syslog	      ? snprintf(line, sizeof(line), "%s", "")
	    : journal_reads() ? snprintf(line, sizeof(line), "<%d>", level)
			      : snprintf(line, sizeof(line), "%s: ", program);
	prefix = (size_t)n;
	errno = saved; /* for %m */
	va_start(args, format);
	n = vsnprintf(line + prefix, sizeof(line) - prefix, format, args);
	va_end(args);
	if (n >= 0) {
		len = prefix + (size_t)n;
		if (len > sizeof(line) - 1)
			len = sizeof(line) - 1;
		line_clean(line + prefix, len - prefix);
		if (use_syslog) {
			syslog(level, "%.*s", (int)len, line);
			errno = saved;
			return;
		}
		line[len++] = '\n';
		/* One write for a line, so that no other comes between. A failure cannot be reported. */
		while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
			;
	}
	errno = saved;
}
