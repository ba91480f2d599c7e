/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events of usual size and content, made at little cost: the lives of processes, each a fork, an exec and an exit, as the
 * connector reports them.
 */

#include "event.h"

/*
 * life_event() - the @n-th event
 * @users: the processes belong to so many users in turn, from uid 1000 on. Its texts are constants.
 */
void life_event(struct fb_event *event, uint64_t n, unsigned int users);
