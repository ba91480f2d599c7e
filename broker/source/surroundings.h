/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the broker needs from the place where it runs, beside what each source needs.
 */

#include <stdbool.h>

/*
 * surroundings_shift_time() - do the clocks of this time namespace differ from those of the initial one?
 * The kernel's events and /proc/PID/stat have times of the initial one: every start and time would be wrong by the difference.
 */
bool surroundings_shift_time(void);

/* surroundings_hide_files() - may this process not read the links in /proc/PID of other users' processes? */
bool surroundings_hide_files(void);
