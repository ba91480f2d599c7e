/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What would be shown, for people who try their rules: an object of JSON a line.
 */

#include "notice.h"

/* print_notice() - @quiet: it would be held until quiet hours are over. Return: 0 or a negative errno. */
int print_notice(const struct notice *notice, const struct ending *ending, bool quiet);
