// SPDX-License-Identifier: LGPL-2.1-or-later
#include <getopt.h>
#include <stdio.h>

#include "base/message.h"
#include "options.h"

enum {
	OPTION_SOURCE = 256,
	OPTION_RUNTIME_DIR,
	OPTION_BUS,
	OPTION_LOG_SIZE,
	OPTION_ARGUMENTS,
	OPTION_CONFIG,
	OPTION_FOREGROUND,
	OPTION_PROBE,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{ "source", required_argument, NULL, OPTION_SOURCE },
	{ "runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR },
	{ "bus", required_argument, NULL, OPTION_BUS },
	{ "log-size", required_argument, NULL, OPTION_LOG_SIZE },
	{ "arguments", required_argument, NULL, OPTION_ARGUMENTS },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "probe", no_argument, NULL, OPTION_PROBE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	puts("Usage: forkbusd [OPTIONS]\n"
	     "\n"
	     "Report what the processes of this machine do, to any number of programs.\n"
	     "\n"
	     "  --source=SOURCE     where events come from: auto, connector, module, or\n"
	     "                      replay:FILE[@SPEED] (a factor, or \"flat\")\n"
	     "  --runtime-dir=DIR   where the sockets and the log are [/run/forkbus]\n"
	     "  --bus=BUS           the message bus to use: system, user, none [system]\n"
	     "  --log-size=SIZE     bytes of history (K, M, G)\n"
	     "  --arguments=SIZE    bytes of a program's arguments to report, up to 4K [0: none]\n"
	     "  --config=FILE       read this configuration [" CONFIG_FILE "]\n"
	     "  --foreground        stay in the foreground, log to standard error\n"
	     "  --probe             print which sources work on this machine, and exit\n"
	     "  -h, --help          print this, and exit\n"
	     "  --version           print the version, and exit\n"
	     "\n"
	     "See forkbusd(8) and forkbusd.conf(5).");
}

int options_parse(struct options *options, int argc, char **argv)
{
	int c;

	*options = (struct options){ .config_file = CONFIG_FILE };
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (c) {
		case OPTION_SOURCE:
			options->source = optarg;
			break;
		case OPTION_RUNTIME_DIR:
			options->runtime_dir = optarg;
			break;
		case OPTION_BUS:
			options->bus = optarg;
			break;
		case OPTION_LOG_SIZE:
			options->log_size = optarg;
			break;
		case OPTION_ARGUMENTS:
			options->arguments = optarg;
			break;
		case OPTION_CONFIG:
			options->config_file = optarg;
			options->config_must_exist = true;
			break;
		case OPTION_FOREGROUND:
			options->foreground = true;
			break;
		case OPTION_PROBE:
			options->probe = true;
			break;
		case 'h':
			print_help();
			return OPTIONS_E_DONE;
		case OPTION_VERSION:
			puts("forkbusd " FORKBUS_VERSION);
			return OPTIONS_E_DONE;
		default:
			fputs("Try 'forkbusd --help'.\n", stderr);
			return OPTIONS_E_INVALID;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "forkbusd: unexpected argument '%s'\nTry 'forkbusd --help'.\n", argv[optind]);
		return OPTIONS_E_INVALID;
	}
	return 0;
}

/* An option that is also a key of the file: the same parser, the same limits. */
static int override(struct config *config, const char *option, const char *section, const char *key,
		    const char *value)
{
	const char *expected;

	if (!value || config_set(config, section, key, value, &expected) == 0)
		return 0;
	msg_err("%s=%s: expected %s", option, value, expected);
	return OPTIONS_E_INVALID;
}

int options_load(const struct options *options, struct config *config)
{
	int r;

	config_init(config);
	r = config_load(config, options->config_file, options->config_must_exist);
	if (r < 0)
		return r;
	if (r != 0 || override(config, "--source", "Source", "Source", options->source) ||
	    override(config, "--runtime-dir", "Broker", "RuntimeDirectory", options->runtime_dir) ||
	    override(config, "--bus", "Broker", "Bus", options->bus) ||
	    override(config, "--log-size", "Log", "Size", options->log_size) ||
	    override(config, "--arguments", "Source", "Arguments", options->arguments))
		return OPTIONS_E_INVALID;
	return 0;
}
