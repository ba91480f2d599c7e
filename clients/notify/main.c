// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "notify.h"

#define RUNTIME_DIR "/run/forkbus"

static const char help[] = "forkbus-notify [OPTIONS...]\n"
			   "\n"
			   "Show a desktop notification when a long command ends or a program crashes.\n"
			   "\n"
			   "Options:\n"
			   "  --config=FILE             read this configuration; default:\n"
			   "                            $XDG_CONFIG_HOME/forkbus/notify.conf, if it exists;\n"
			   "                            that directory is ~/.config if it is not set\n"
			   "  --test                    print what would be shown, as lines of JSON\n"
			   "  --since=WHEN              with --test: begin in the past, like -1h\n"
			   "  --runtime-dir=DIR         where the broker is; default: " RUNTIME_DIR "\n"
			   "  -h, --help                show this\n"
			   "  --version                 show the version\n"
			   "\n"
			   "See forkbus-notify(1) and forkbus-notify.conf(5).\n";

enum { OPTION_CONFIG = 256, OPTION_TEST, OPTION_SINCE, OPTION_RUNTIME_DIR, OPTION_VERSION };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "test", no_argument, NULL, OPTION_TEST },
	{ "since", required_argument, NULL, OPTION_SINCE },
	{ "runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{},
};

static int print(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return STATUS_OK;
	msg_err("cannot write the output: %s", strerror(errno));
	return STATUS_FAILURE;
}

/* The path of the user's configuration; NULL without a home directory. */
static int set_default_file(struct options *options)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int r = 0;

	/* By the XDG specification relative paths are ignored. */
	if (config && config[0] == '/')
		r = asprintf(&options->config_file, "%s/forkbus/notify.conf", config);
	else if (home && home[0] == '/')
		r = asprintf(&options->config_file, "%s/.config/forkbus/notify.conf", home);
	if (r >= 0)
		return STATUS_GO_ON;
	options->config_file = NULL;
	msg_err("%s", strerror(ENOMEM));
	return STATUS_FAILURE;
}

static int set_file(struct options *options, const char *path)
{
	free(options->config_file);
	options->config_file = strdup(path);
	options->config_must_exist = true;
	if (options->config_file)
		return STATUS_GO_ON;
	msg_err("%s", strerror(ENOMEM));
	return STATUS_FAILURE;
}

static int take(struct options *options, int option)
{
	switch (option) {
	case OPTION_CONFIG:
		return set_file(options, optarg);
	case OPTION_TEST:
		options->test = true;
		return STATUS_GO_ON;
	case OPTION_SINCE:
		options->since = optarg;
		return STATUS_GO_ON;
	case OPTION_RUNTIME_DIR:
		options->runtime_dir = optarg;
		return STATUS_GO_ON;
	case 'h':
		return print(help);
	case OPTION_VERSION:
		return print("forkbus-notify " FORKBUS_VERSION "\n");
	default:
		return STATUS_USAGE; /* getopt_long() has printed an error */
	}
}

/* @options: to be freed by options_done(). Return: an exit status, an error was logged, or STATUS_GO_ON. */
static int options_parse(struct options *options, int argc, char **argv)
{
	static char name[] = "forkbus-notify";
	int option, r = STATUS_GO_ON;

	*options = (struct options){ .runtime_dir = RUNTIME_DIR };
	if (argc > 0)
		argv[0] = name;
	while (r == STATUS_GO_ON && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		r = take(options, option);
	if (r != STATUS_GO_ON)
		return r;
	if (optind < argc) {
		msg_err("unexpected argument '%s'; see --help", argv[optind]);
		return STATUS_USAGE;
	}
	if (options->since && !options->test) {
		msg_err("--since needs --test");
		return STATUS_USAGE;
	}
	return options->config_file ? r : set_default_file(options);
}

static void options_done(struct options *options)
{
	free(options->config_file);
	*options = (struct options){};
}

int main(int argc, char **argv)
{
	_cleanup_(options_done) struct options options;
	struct notify_config config;
	int r;

	msg_set_name("forkbus-notify");
	r = options_parse(&options, argc, argv);
	if (r != STATUS_GO_ON)
		return r;
	r = notify_config_load(&config, options.config_file, options.config_must_exist);
	if (r != 0)
		return r == CONFIG_E_INVALID ? STATUS_USAGE : STATUS_FAILURE;
	return notify_run(&options, &config);
}
