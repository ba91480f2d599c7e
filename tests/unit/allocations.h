/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts allocations, for code that must not make any. To be included by one file of a program: it stands before the C
 * library's malloc() there, or asks the sanitizer that does. Under valgrind, which stands before both, nothing is counted:
 * see allocations_are_counted().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static volatile unsigned long allocations;

#ifdef __SANITIZE_ADDRESS__

void __sanitizer_malloc_hook(const volatile void *memory, size_t size);
void __sanitizer_free_hook(const volatile void *memory);

void __sanitizer_malloc_hook(const volatile void *memory, size_t size)
{
	(void)memory;
	(void)size;
	allocations++;
}

void __sanitizer_free_hook(const volatile void *memory)
{
	(void)memory;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	allocations++;
	return __libc_realloc(memory, size);
}

#endif

static inline bool allocations_are_counted(void)
{
	unsigned long before = allocations;
	void *volatile memory = malloc(1);

	free(memory);
	return allocations > before;
}
