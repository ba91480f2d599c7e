// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "source/module/module.h"

bool module_lacks(const struct module_status *status, char *buf, size_t size)
{
	uint32_t lacking = module_armed(~status->supported);
	size_t at = 0;

	buf[0] = '\0';
	for (enum event_type type = EVENT_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if ((lacking & EVENT_TYPE_BIT(type)) && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%s", at ? ", " : "",
					       event_type_name(type));
	return lacking & ~HUB_ARMED_THREADS;
}

struct asking {
	uint16_t family;
	struct module_status status;
};

static void on_status(const struct nlmsghdr *message, void *userdata)
{
	struct asking *asking = userdata;
	struct module_status status;

	if (module_status_decode(&status, message, asking->family) == 0)
		asking->status = status;
}

static int ask(const struct genl_family_info *family, struct module_status *status)
{
	_cleanup_close_ int fd = netlink_open(NETLINK_GENERIC, 0, 0);
	_cleanup_free_ void *buffer = malloc(MODULE_BUFFER_SIZE);
	struct asking asking = { .family = family->id };
	struct genl_buffer room;
	int r;

	if (fd < 0)
		return fd;
	if (!buffer)
		return -ENOMEM;
	r = genl_request(fd, genl_begin(&room, family->id, FORKBUS_CMD_STATUS, FORKBUS_FAMILY_VERSION),
			 buffer, MODULE_BUFFER_SIZE, on_status, &asking);
	*status = asking.status;
	return r == 0 && status->instance == 0 ? -EPROTO : r;
}

static void say(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
		const char *what, const char *better)
{
	snprintf(found, SOURCE_SENTENCE_MAX, "%s", what);
	snprintf(advice, SOURCE_SENTENCE_MAX, "%s", better);
}

static bool say_refused(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
			int r)
{
	if (r == -ENOENT)
		say(found, advice, "The kernel module forkbus is not loaded.",
		    "Where it is installed, \"modprobe forkbus\" loads it: even short-lived processes are "
		    "fully reported.");
	else if (r == -EPERM)
		say(found, advice, "The kernel module forkbus is loaded, but requires CAP_NET_ADMIN.",
		    "Run as root or with CAP_NET_ADMIN, in the initial user namespace.");
	else
		snprintf(found, SOURCE_SENTENCE_MAX, "The kernel module forkbus gave no valid answer: %s.",
			 strerror(-r));
	return false;
}

static bool say_status(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX],
		       const struct genl_family_info *family, const struct module_status *status)
{
	bool works = (status->supported & MODULE_NEEDS) == MODULE_NEEDS;
	char lacks[128];

	if (module_lacks(status, lacks, sizeof(lacks)))
		snprintf(found, SOURCE_SENTENCE_MAX,
			 "The kernel module forkbus %s %s; it has no hook here for %s.", status->version,
			 works ? "works" : "is loaded", lacks);
	else
		snprintf(found, SOURCE_SENTENCE_MAX, "The kernel module forkbus %s works.", status->version);
	if (family->version != FORKBUS_FAMILY_VERSION)
		snprintf(advice, SOURCE_SENTENCE_MAX,
			 "It has protocol version %u, this broker version %d: what only the newer one "
			 "knows is not reported.",
			 family->version, FORKBUS_FAMILY_VERSION);
	return works;
}

bool module_probe(char found[static SOURCE_SENTENCE_MAX], char advice[static SOURCE_SENTENCE_MAX])
{
	struct genl_family_info family;
	struct module_status status;
	int r = genl_find(&family, FORKBUS_FAMILY_NAME, NULL);

	advice[0] = '\0';
	if (r == 0)
		r = ask(&family, &status);
	return r == 0 ? say_status(found, advice, &family, &status) : say_refused(found, advice, r);
}
