/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many elements an array has. For an array alone: of a pointer it makes nonsense. */
#define ARRAY_SIZE(_array) (sizeof(_array) / sizeof((_array)[0]))
