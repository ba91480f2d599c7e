/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The library is compiled with all names hidden; those of the public header are not. */

#pragma GCC visibility push(default)
#include "forkbus.h"
#pragma GCC visibility pop
