// SPDX-License-Identifier: LGPL-2.1-or-later
#include "notify.h"
#include "util.h"

int main(int argc, char **argv)
{
	_cleanup_(options_done) struct options options;
	struct conf conf;
	int r = options_parse(&options, argc, argv);

	if (r != STATUS_GO_ON)
		return r;
	r = conf_load(&conf, options.config_file, options.config_must_exist);
	if (r != 0)
		return r == CONF_E_INVALID ? STATUS_USAGE : STATUS_FAILURE;
	return notify_run(&options, &conf);
}
