/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What notify.c, which begins and ends the service, shares with listen.c, which takes what the broker brings.
 */

#include "notify.h"
#include "quiet.h"
#include "server.h"
#include "watch.h"

struct notify {
	const struct options *options;
	struct conf conf;
	uint64_t uid;
	sd_event *event;
	sd_bus *bus;
	struct server *server;
	struct fold fold;
	struct quiet quiet;
	struct watch *commands, *crashes;
	bool connected, lost;
	bool failed; /* and it was said why */
};

/* notify_show() - @tally: see fold_add() */
void notify_show(struct notify *notify, const struct notice *notice, const struct tally *tally);

/* notify_fail() - end; it was said why */
void notify_fail(struct notify *notify);

/* notify_listen() - @since: NULL: from now on. Return: 0 or a negative errno, all said. */
int notify_listen(struct notify *notify, struct watch **watch, bool crashes, const char *since);

/* notify_listen_again() - with the least time that commands take now */
void notify_listen_again(struct notify *notify);
