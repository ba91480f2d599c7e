/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the filter share. */

#include "filter.h"

/* Names of the bits of enum filter_status, by number. */
#define FILTER_STATUS_N 4
extern const char *const filter_status_names[FILTER_STATUS_N];
