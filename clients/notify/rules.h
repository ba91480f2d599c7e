/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the end of a process is, and whether it is told. Knows the configuration, the event and the time, and nothing else.
 */

#include "conf.h"
#include "ending.h"

enum verdict {
	VERDICT_PASS, /* nothing to tell */
	VERDICT_SHOW,
	VERDICT_HOLD, /* it is to be told when quiet hours are over */
};

/*
 * rules_kind() - how a process ended
 * A crash is what a signal ended that programs get for their mistakes, or that made them leave a core. SIGQUIT is sent by
 * people who want one: it is none.
 */
enum kind rules_kind(const struct conf *conf, const struct ending *ending);

enum urgency rules_urgency(const struct conf *conf, enum kind kind);

/* rules_judge() - @uid: whose processes are told of; @local: the time, by the local clock; @kind: of rules_kind() */
enum verdict rules_judge(const struct conf *conf, const struct ending *ending, uint64_t uid,
			 const struct tm *local, enum kind kind);
