// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core/slice.h"

uint64_t slice_turn_began;
