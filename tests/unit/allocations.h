/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts allocations, for code that must not make any, and lets one fail, for code that must survive it. To be included by
 * one file of a program: it stands before the C library's malloc() there. With the address sanitizer, which stands there
 * itself, it asks that one and nothing fails; under valgrind, which stands before all, nothing is counted. A test that cannot
 * do its work there passes, saying so: skip() would be counted as failed (see the Makefile).
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static volatile unsigned long allocations;		 /* ever made */
static volatile unsigned long allocations_until_failure; /* 1: the next one fails; 0: none does */
static volatile long allocations_held;			 /* made and not freed */

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
void __libc_free(void *memory);

static inline bool allocation_fails(void)
{
	allocations++;
	if (allocations_until_failure == 0 || --allocations_until_failure > 0)
		return false;
	errno = ENOMEM;
	return true;
}

static inline void *allocation_made(void *memory)
{
	if (memory)
		allocations_held++;
	return memory;
}

void *malloc(size_t size)
{
	return allocation_fails() ? NULL : allocation_made(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : allocation_made(__libc_calloc(n, size));
}

void *realloc(void *memory, size_t size)
{
	if (allocation_fails())
		return NULL;
	return memory ? __libc_realloc(memory, size) : allocation_made(__libc_malloc(size));
}

void free(void *memory)
{
	if (memory)
		allocations_held--;
	__libc_free(memory);
}

#endif

/* Does counting work here? Says so if not. */
static inline bool allocations_are_counted(void)
{
	unsigned long before = allocations;
	void *volatile memory = malloc(1);

	free(memory);
	if (allocations == before)
		print_message("# allocations are not counted here\n");
	return allocations > before;
}

/* Can one fail here? Says so if not. */
static inline bool allocations_can_fail(void)
{
	void *volatile memory;

	allocations_until_failure = 1;
	memory = malloc(1);
	allocations_until_failure = 0;
	free(memory);
	if (memory)
		print_message("# allocations do not fail here\n");
	return !memory;
}
