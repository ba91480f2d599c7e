// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

#include "conf.h"
#include "say.h"
#include "util.h"

struct loader {
	struct conf conf; /* the one that the file is tried on */
	FILE *file;
	int line;	 /* the one that is being read */
	int error_line;	 /* the first that was wrong, 0: none */
	char error[512]; /* what was wrong there */
	bool no_memory;
};

static void loader_p(struct loader *loader)
{
	conf_done(&loader->conf);
	if (loader->file)
		fclose(loader->file);
}

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
	const char *why = "";
	int r = conf_set(&loader->conf, section, key, value, &why);

	if (r == 0)
		return 1;
	loader->no_memory = loader->no_memory || r < 0;
	loader_fail(loader, "[%s] %s=%s: %s", section, key, value, why);
	return 0;
}

/* @r: what inih returned. Return: 0, CONF_E_INVALID or a negative errno, all said. */
static int loader_result(const struct loader *loader, const char *path, int r)
{
	if (ferror(loader->file)) {
		r = errno > 0 ? -errno : -EIO;
		say(LOG_ERR, "%s: %s", path, strerror(-r));
		return r;
	}
	if (r < 0 || loader->no_memory) {
		say(LOG_ERR, "%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	/* inih goes on after an error, and returns the first one's line: before ours, it is one that ours did not see. */
	if (r > 0 && (loader->error_line == 0 || r < loader->error_line))
		say(LOG_ERR, "%s:%d: expected [Section], Key=value, or a comment", path, r);
	else if (loader->error_line > 0)
		say(LOG_ERR, "%s:%d: %s", path, loader->error_line, loader->error);
	return r > 0 || loader->error_line > 0 ? CONF_E_INVALID : 0;
}

int conf_load(struct conf *conf, const char *path, bool must_exist)
{
	_cleanup_(loader_p) struct loader loader = {};
	int r = conf_init(&loader.conf);

	if (r < 0) {
		say(LOG_ERR, "%s", strerror(-r));
		return r;
	}
	loader.file = path ? fopen(path, "re") : NULL;
	if (!loader.file && path && (errno != ENOENT || must_exist)) {
		r = -errno;
		say(LOG_ERR, "%s: %s", path, strerror(-r));
		return r;
	}
	if (loader.file)
		r = loader_result(&loader, path, ini_parse_stream(loader_read, &loader, loader_set, &loader));
	if (r == 0) {
		*conf = loader.conf;
		loader.conf = (struct conf){};
	}
	return r;
}
