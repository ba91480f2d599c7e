// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl.h"
#include "json-print.h"
#include "term.h"

void ctl_error(const char *format, ...)
{
	const struct term term = { .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 };
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0) {
		text = NULL;
		return;
	}
	fputs("forkbusctl: ", stderr);
	term_escape(&term, stderr, text, (size_t)len);
	fputc('\n', stderr);
}

static int set_json(struct ctl *ctl, const char *value)
{
	static const char *const names[] = {
		[CTL_JSON_OFF] = "off",
		[CTL_JSON_SHORT] = "short",
		[CTL_JSON_PRETTY] = "pretty",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], value) == 0) {
			ctl->json = (enum ctl_json)i;
			return CTL_GO_ON;
		}
	}
	ctl_error("--json: expected short, pretty or off, not '%s'", value);
	return CTL_USAGE;
}

int ctl_print(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return CTL_OK;
	ctl_error("cannot write the output: %s", strerror(errno));
	return CTL_FAILURE;
}

int ctl_print_json(enum ctl_json json, const json_t *value)
{
	size_t flags = json == CTL_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
	_cleanup_free_ char *text = json_print(value, flags, NULL);

	if (!text) {
		ctl_error("%s", strerror(ENOMEM));
		return CTL_FAILURE;
	}
	if (isatty(STDOUT_FILENO))
		term_escape_json(stdout, text, strlen(text));
	else
		fputs(text, stdout);
	return ctl_print("\n");
}

int ctl_option(struct ctl *ctl, int option, const char *text)
{
	switch (option) {
	case 'h':
		return ctl_print(text);
	case CTL_OPTION_VERSION:
		return ctl_print("forkbusctl " FORKBUS_VERSION "\n");
	case CTL_OPTION_RUNTIME_DIR:
		ctl->runtime_dir = optarg;
		return CTL_GO_ON;
	case CTL_OPTION_JSON:
		return set_json(ctl, optarg);
	default:
		return CTL_USAGE; /* getopt_long() has printed an error */
	}
}

int ctl_no_arguments(int argc, char *argv[])
{
	if (optind >= argc)
		return CTL_GO_ON;
	ctl_error("unexpected argument '%s'; see --help", argv[optind]);
	return CTL_USAGE;
}
