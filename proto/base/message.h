/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages of a service: lines on standard error, with the "<N>" prefix of sd-daemon(3) where the journal reads them
 * ($JOURNAL_STREAM), after the program's name otherwise. One line a call; control characters in it are replaced.
 */

#include <syslog.h>

/* The program's name, a constant; "forkbusd" at first. */
void msg_set_name(const char *name);

/* Lines less important than @level (LOG_ERR to LOG_DEBUG) are not written; LOG_INFO at first. */
void msg_set_level(int level);

/* From now on to syslog(3): nobody reads the standard error of a service in the background. */
void msg_use_syslog(void);

/* Return: the level of "err", "warning", "notice", "info", "debug", or -1. */
int msg_level_from_name(const char *name);

void msg_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define msg_err(...)	 msg_write(LOG_ERR, __VA_ARGS__)
#define msg_warning(...) msg_write(LOG_WARNING, __VA_ARGS__)
#define msg_info(...)	 msg_write(LOG_INFO, __VA_ARGS__)
#define msg_debug(...)	 msg_write(LOG_DEBUG, __VA_ARGS__)
