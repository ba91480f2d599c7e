/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "conf.h"

/*
 * globs_add() - add the words of a text; one without any empties the list
 * @why: set to a constant sentence where CONF_E_INVALID is returned
 * Return: 0, CONF_E_INVALID, -ENOMEM; on failure the words before stay in the list.
 */
int globs_add(struct globs *globs, const char *text, const char **why);

void globs_done(struct globs *globs);
