// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hub-open.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/message.h"

static int open_log(struct log **ret, const struct config *config, gid_t group)
{
	char path[PATH_MAX];
	int r;

	if (mkdir(config->runtime_directory, 0755) < 0 && errno != EEXIST) {
		msg_err("cannot make %s: %m", config->runtime_directory);
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/log", config->runtime_directory);
	r = log_open(ret, path, config->log_size, group);
	if (r == LOG_E_BUSY) {
		msg_err("another broker runs in %s", config->runtime_directory);
		return -EBUSY;
	}
	if (r < 0) {
		errno = -r;
		msg_err("cannot open the log in %s: %m", config->runtime_directory);
		return r;
	}
	if (log_origin(*ret) == LOG_REPLACED)
		msg_warning("the existing log is not used: %s; a new one begins", log_origin_reason(*ret));
	else if (log_origin(*ret) == LOG_REOPENED)
		msg_info("the log is reopened: it holds %llu events",
			 (unsigned long long)(log_next(*ret) - log_first(*ret)));
	return 0;
}

/* A reopened log does not hold what happened while no broker ran. */
static int bridge_outage(struct hub *hub, const struct config *config)
{
	int r;

	if (log_origin(hub_log(hub)) != LOG_REOPENED || config->source == CONFIG_SOURCE_REPLAY)
		return 0;
	r = hub_restore(hub);
	if (r < 0)
		return r;
	if (log_next(hub_log(hub)) > 1)
		hub_begin_outage(hub, NULL, NULL, log_last_time(hub_log(hub)));
	return 0;
}

int hub_open(struct hub **ret, const struct config *config, gid_t group)
{
	struct log *log = NULL;
	struct hub *hub;
	int r;

	r = open_log(&log, config, group);
	if (r < 0)
		return r;
	r = hub_new(&hub, log, config->encoding_cache);
	if (r < 0) {
		log_free(log);
		return r;
	}
	r = bridge_outage(hub, config);
	if (r < 0)
		hub_free(hub);
	else
		*ret = hub;
	return r;
}
