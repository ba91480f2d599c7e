/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Owning variables: freed when their scope ends. Pointers with a destructor of their own take _cleanup_() and
 * a function of the pointer's address.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

#define ARRAY_SIZE(_array) (sizeof(_array) / sizeof((_array)[0]))

#define _cleanup_(_function) __attribute__((cleanup(_function)))

static inline void free_p(void *pointer)
{
	free(*(void **)pointer);
}

static inline void fclose_p(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_	 _cleanup_(free_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)
