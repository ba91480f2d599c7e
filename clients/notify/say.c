// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text-clean.h"
#include "say.h"
#include "util.h"

/* Longer lines are cut. */
#define SAY_MAX 2048

/* Is standard error the very stream that the journal gave us? */
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

void say(int level, const char *format, ...)
{
	char text[SAY_MAX], line[SAY_MAX + 32];
	va_list args;
	int prefix;
	size_t len;

	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	va_end(args);
	prefix = journal_reads() ? snprintf(line, sizeof(line), "<%d>", level)
				 : snprintf(line, sizeof(line), "forkbus-notify: ");
	len = (size_t)prefix;
	len += text_clean(line + len, SAY_MAX, text, strlen(text));
	line[len++] = '\n';
	/* One write a line, so that nobody's comes between. There is nobody to tell where it fails. */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}
