// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/ini.h"
#include "base/message.h"

struct loader {
	const char *path;
	FILE *file;
	ini_set_fn set;
	void *userdata;
	int line;	 /* the one that is being read */
	int error_line;	 /* the first that was wrong, 0: none */
	char error[512]; /* what was wrong there */
	int failed;	 /* a negative errno of @set */
};

static void __attribute__((format(printf, 2, 3)))
loader_refuse(struct loader *loader, const char *format, ...)
{
	va_list args;

	if (loader->error_line > 0)
		return;
	loader->error_line = loader->line;
	va_start(args, format);
	vsnprintf(loader->error, sizeof(loader->error), format, args);
	va_end(args);
}

/*
 * inih asks for lines here. It would take a line that is longer than its buffer for two, and a line up to a NUL for all of
 * it: both are refused, which ends the reading.
 */
static char *loader_read(char *line, int size, void *userdata)
{
	struct loader *loader = userdata;
	int len = 0, byte = 0;

	while (byte != '\n' && len + 1 < size && (byte = getc(loader->file)) > 0)
		line[len++] = (char)byte;
	line[len] = '\0';
	if (byte == EOF && len == 0)
		return NULL;
	loader->line++;
	if (byte == '\0')
		loader_refuse(loader, "a line has no NUL bytes");
	else if (byte != EOF && byte != '\n')
		loader_refuse(loader, "a line has at most %d bytes", size - 2);
	else
		return line;
	return NULL;
}

static int loader_set(void *userdata, const char *section, const char *key, const char *value)
{
	struct loader *loader = userdata;
	char why[INI_WHY_MAX] = "";
	int r = loader->set(loader->userdata, section, key, value, why);

	if (r == 0)
		return 1;
	if (r < 0 && loader->failed == 0)
		loader->failed = r;
	loader_refuse(loader, "[%s] %s=%s: %s", section, key, value, why);
	return 0;
}

/* Return: 0, INI_E_INVALID or a negative errno, each logged. */
static int loader_run(struct loader *loader)
{
	int r = ini_parse_stream(loader_read, loader, loader_set, loader);

	if (ferror(loader->file))
		loader->failed = errno > 0 ? -errno : -EIO;
	else if (r < 0)
		loader->failed = -ENOMEM;
	if (loader->failed < 0) {
		msg_err("%s: %s", loader->path, strerror(-loader->failed));
		return loader->failed;
	}
	/* inih goes on after an error, and returns the first one's line: before ours, it is one that ours did not see. */
	if (r > 0 && (loader->error_line == 0 || r < loader->error_line))
		msg_err("%s:%d: expected [Section], Key=value, or a comment", loader->path, r);
	else if (loader->error_line > 0)
		msg_err("%s:%d: %s", loader->path, loader->error_line, loader->error);
	return r > 0 || loader->error_line > 0 ? INI_E_INVALID : 0;
}

int ini_load(const char *path, bool must_exist, ini_set_fn set, void *userdata)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct loader loader = { .path = path, .file = file, .set = set, .userdata = userdata };
	int r = file ? 0 : -errno;

	if (file)
		return loader_run(&loader);
	if (r == -ENOENT && !must_exist)
		return 0;
	msg_err("%s: %s", path, strerror(-r));
	return r;
}
