// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#include "base/cleanup.h"
#include "base/message.h"

struct loader {
	struct config config; /* the copy that the file is tried on */
	FILE *file;
	int line;	 /* the one that is being read */
	int error_line;	 /* the first that was wrong, 0: none */
	char error[512]; /* what was wrong there */
};

static void __attribute__((format(printf, 2, 3))) loader_fail(struct loader *loader, const char *format, ...)
{
	va_list args;

	if (loader->error_line > 0)
		return;
	loader->error_line = loader->line;
	va_start(args, format);
	vsnprintf(loader->error, sizeof(loader->error), format, args);
	va_end(args);
}

/* inih asks for lines here, in pieces of its own buffer: a longer one would be taken for two. */
static char *loader_read(char *line, int size, void *userdata)
{
	struct loader *loader = userdata;
	size_t len;

	if (!fgets(line, size, loader->file))
		return NULL;
	loader->line++;
	len = strlen(line);
	if (len + 1 == (size_t)size && line[len - 1] != '\n' && !feof(loader->file)) {
		loader_fail(loader, "a line has at most %d bytes", size - 2);
		return NULL;
	}
	return line;
}

static int loader_set(void *userdata, const char *section, const char *key, const char *value)
{
	struct loader *loader = userdata;
	const char *expected;
	int r = config_set(&loader->config, section, key, value, &expected);

	if (r == 0)
		return 1;
	loader_fail(loader, "[%s] %s=%s: %s%s", section, key, value, r == CONFIG_E_INVALID ? "expected " : "",
		    expected);
	return 0;
}

int config_load(struct config *config, const char *path, bool must_exist)
{
	struct loader loader = { .config = *config };
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int r;

	if (!file) {
		r = -errno;
		if (r == -ENOENT && !must_exist)
			return 0;
		msg_err("%s: %s", path, strerror(-r));
		return r;
	}
	loader.file = file;
	r = ini_parse_stream(loader_read, &loader, loader_set, &loader);
	if (ferror(file)) {
		r = errno > 0 ? -errno : -EIO;
		msg_err("%s: %s", path, strerror(-r));
		return r;
	}
	if (r < 0) {
		msg_err("%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	/* inih goes on after an error, and returns the first one's line: before ours, it is one that ours did
	 * not see. */
	if (r > 0 && (loader.error_line == 0 || r < loader.error_line))
		msg_err("%s:%d: expected [Section], Key=value, or a comment", path, r);
	else if (loader.error_line > 0)
		msg_err("%s:%d: %s", path, loader.error_line, loader.error);
	if (r > 0 || loader.error_line > 0)
		return CONFIG_E_INVALID;
	*config = loader.config;
	return 0;
}
