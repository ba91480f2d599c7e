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

#include "base/message.h"

/* Longer lines are cut. */
#define LINE_MAX_BYTES 2048

static int max_level = LOG_INFO;
static bool use_syslog;

void msg_set_level(int level)
{
	max_level = level;
}

void msg_use_syslog(void)
{
	openlog("forkbusd", LOG_PID, LOG_DAEMON);
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

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
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

/* How long is the printable character at @at? 0: it is none, or no valid UTF-8. */
static size_t printable_length(const unsigned char *at, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *at < 0x80 ? 1 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
	uint32_t point;

	if (len == 1)
		return *at >= 0x20 && *at != 0x7f;
	if (*at < 0xc2 || *at > 0xf4 || len > left)
		return 0;
	point = *at & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3f);
	}
	if (point < smallest[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	/* The control characters of the upper half; separators that some take for the end of a line. */
	if (point < 0xa0 || point == 0x2028 || point == 0x2029)
		return 0;
	return len;
}

/* Names in a message may be anybody's: none may begin a line of its own or speak to the terminal. */
static void line_clean(char *line, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t took = printable_length((unsigned char *)line + i, len - i);

		if (took == 0)
			line[i++] = '?';
		else
			i += took;
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
			      : snprintf(line, sizeof(line), "forkbusd: ");
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
		/* One write a line, so that nobody's comes between. There is nobody to tell where it fails.
		 */
		while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
			;
	}
	errno = saved;
}
