/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which systemd unit a cgroup belongs to, by its path.
 */

#include "event.h"

/*
 * unit_from_cgroup() - the system unit: what follows the slices, as sd_pid_get_unit(3) finds it
 * Of what runs below a user's manager that is user@UID.service; user units are not looked at. Return: a part of @path,
 * empty where there is none.
 */
struct event_text unit_from_cgroup(struct event_text path);
