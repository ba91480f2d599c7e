/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the broker says to its administrator: lines on standard error, with the "<N>" prefix of sd-daemon(3)
 * where the journal reads them ($JOURNAL_STREAM), plain otherwise. One line a call.
 */

#include <syslog.h>

/* Lines less important than @level (LOG_ERR to LOG_DEBUG) are not written; LOG_INFO at first. */
void msg_set_level(int level);

/* From now on to syslog(3): a broker in the background has nobody at its standard error. */
void msg_use_syslog(void);

/* Return: the level of "err", "warning", "notice", "info", "debug", or -1. */
int msg_level_from_name(const char *name);

void msg_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define msg_err(...)	 msg_write(LOG_ERR, __VA_ARGS__)
#define msg_warning(...) msg_write(LOG_WARNING, __VA_ARGS__)
#define msg_info(...)	 msg_write(LOG_INFO, __VA_ARGS__)
#define msg_debug(...)	 msg_write(LOG_DEBUG, __VA_ARGS__)
