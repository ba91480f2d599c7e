// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events-options.h"
#include "output.h"

static int parse_count(const char *text, uint64_t *count)
{
	char *end;

	errno = 0;
	*count = strtoull(text, &end, 10);
	if (errno == 0 && isdigit((unsigned char)*text) && *end == '\0' && *count > 0 && *count < OUTPUT_ALL)
		return CTL_GO_ON;
	ctl_error("-n: expected a positive number, not '%s'", text);
	return CTL_USAGE;
}

static int parse_one(struct events_options *wanted, struct ctl *ctl, int option, const char *help)
{
	struct filter_error error;
	int r;

	/* A flag of the command's own. */
	if (option == 0)
		return CTL_GO_ON;
	if (option == 'n')
		return parse_count(optarg, &wanted->count);
	r = filter_options_take(wanted->request, option, optarg, &error);
	switch (r) {
	case 0:
		return CTL_GO_ON;
	case FILTER_OPTIONS_E_OTHER:
		return ctl_option(ctl, option, help);
	case FILTER_OPTIONS_E_INVALID:
		ctl_error("%s: %s", error.key, error.detail);
		return CTL_USAGE;
	default:
		ctl_error("%s", strerror(-r));
		return CTL_FAILURE;
	}
}

/* -n is there where --lines is. */
static const char *short_options(const struct option *options)
{
	for (; options->name; options++)
		if (options->val == 'n')
			return "hn:";
	return "h";
}

int events_options_parse(struct events_options *wanted, struct ctl *ctl, int argc, char *argv[],
			 const struct option *options, const char *help)
{
	const char *letters = short_options(options);
	int option, r = CTL_GO_ON;

	*wanted = (struct events_options){ json_object(), OUTPUT_ALL };
	if (!wanted->request) {
		ctl_error("%s", strerror(ENOMEM));
		return CTL_FAILURE;
	}
	while (r == CTL_GO_ON && (option = getopt_long(argc, argv, letters, options, NULL)) != -1)
		r = parse_one(wanted, ctl, option, help);
	return r;
}

void events_options_done(struct events_options *wanted)
{
	json_decref(wanted->request);
	wanted->request = NULL;
}
