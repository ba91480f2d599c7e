/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service: ends of processes from the broker, through the rules, to the notification server, or to standard output.
 */

#include "conf.h"
#include "options.h"

/* notify_run() - @conf: taken over. Return: an exit status, all said. */
int notify_run(const struct options *options, struct conf *conf);
