// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>

#include "base/ini.h"
#include "config.h"

static int set_option(void *userdata, const char *section, const char *key, const char *value,
		      char why[static INI_WHY_MAX])
{
	const char *expected;
	int r = config_set(userdata, section, key, value, &expected);

	if (r != 0)
		snprintf(why, INI_WHY_MAX, "%s%s", r == CONFIG_E_INVALID ? "expected " : "", expected);
	return r;
}

int config_load(struct config *config, const char *path, bool must_exist)
{
	struct config loaded = *config; /* nothing is taken of a file with a mistake in it */
	int r = ini_load(path, must_exist, set_option, &loaded);

	if (r == 0)
		*config = loaded;
	return r == INI_E_INVALID ? CONFIG_E_INVALID : r;
}
