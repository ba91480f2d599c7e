/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shared by the commands of forkbusctl: exit statuses, options that are valid before and after the command, messages.
 */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* Documented in forkbusctl(1). */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILURE = 1, /* no broker, connection lost, unreadable log, no working source */
	CTL_USAGE = 2,	 /* the command line is wrong, or the broker refused the request */
	CTL_GO_ON = -1,	 /* do not exit yet */
};

enum ctl_json { CTL_JSON_OFF, CTL_JSON_SHORT, CTL_JSON_PRETTY };

#define CTL_RUNTIME_DIR "/run/forkbus"

/* How long to wait for an answer of the broker. */
#define CTL_TIMEOUT_USEC (10 * UINT64_C(1000000))

struct ctl {
	const char *runtime_dir;
	enum ctl_json json;
};

/* The commands; argv[0] is the program's name, for messages. Return: an exit status. */
int ctl_monitor(struct ctl *ctl, int argc, char *argv[]);
int ctl_status(struct ctl *ctl, int argc, char *argv[]);
int ctl_doctor(struct ctl *ctl, int argc, char *argv[]);
int ctl_log(struct ctl *ctl, int argc, char *argv[]);
int ctl_ps(struct ctl *ctl, int argc, char *argv[]);
int ctl_tree(struct ctl *ctl, int argc, char *argv[]);
int ctl_wait(struct ctl *ctl, int argc, char *argv[]);

/* getopt_long() values; those of options.h continue the numbering. */
enum ctl_option { CTL_OPTION_VERSION = 256, CTL_OPTION_RUNTIME_DIR, CTL_OPTION_JSON, _CTL_OPTION_MAX };

#define CTL_OPTIONS                                                                               \
	{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, CTL_OPTION_VERSION }, \
	{                                                                                         \
		"runtime-dir", required_argument, NULL, CTL_OPTION_RUNTIME_DIR                    \
	}
#define CTL_OPTIONS_JSON                                         \
	{                                                        \
		"json", required_argument, NULL, CTL_OPTION_JSON \
	}

/* Descriptions of these options for --help. */
#define CTL_HELP_JSON	     "  --json=short|pretty|off   as JSON, on one line or on many; default: off\n"
#define CTL_HELP_RUNTIME_DIR "  --runtime-dir=DIR         where the broker is; default: " CTL_RUNTIME_DIR "\n"
#define CTL_HELP_COMMON                           \
	"  -h, --help                show this\n" \
	"  --version                 show the version\n"

/*
 * ctl_option() - handle a value that getopt_long() returned, if it is one of the options above or an error
 * @help: printed for --help
 * Return: an exit status, or CTL_GO_ON.
 */
int ctl_option(struct ctl *ctl, int option, const char *help);

/* ctl_no_arguments() - refuse arguments after the options. Return: CTL_USAGE or CTL_GO_ON. */
int ctl_no_arguments(int argc, char *argv[]);

/* ctl_print() - print the end of the output, and check that all output was written. Return: an exit status. */
int ctl_print(const char *text);
/* Print a JSON value as the whole output. Return: an exit status. */
int ctl_print_json(enum ctl_json json, const json_t *value);

/* Print a line on standard error, after the program's name; control characters in it are escaped. */
void ctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
