/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts allocations, for code that must not make any, and lets one fail, for code that must survive it. Include it in one
 * file of a program: its malloc() replaces that of the C library, or of AddressSanitizer. With ThreadSanitizer no allocation
 * fails; under valgrind, which replaces all of them, nothing is counted. A test that cannot work there passes and prints
 * this: skip() would count as failed (see the Makefile).
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile unsigned long allocations;		 /* ever made */
static volatile unsigned long allocations_until_failure; /* 1: the next one fails; 0: none fails */
static volatile long allocations_held;			 /* made and not freed */

#if defined(__SANITIZE_THREAD__)

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

/* AddressSanitizer replaces the functions of the C library; those of a program replace both. */
#ifdef __SANITIZE_ADDRESS__
#define ALLOCATION_REAL(_name) __interceptor_##_name
#else
#define ALLOCATION_REAL(_name) __libc_##_name
#endif

void *ALLOCATION_REAL(malloc)(size_t size);
void *ALLOCATION_REAL(calloc)(size_t n, size_t size);
void *ALLOCATION_REAL(realloc)(void *memory, size_t size);
void ALLOCATION_REAL(free)(void *memory);

/* Valgrind replaces functions; it cannot replace one that is inlined. */
#define ALLOCATION_FUNCTION __attribute__((noinline, noclone))

static inline bool allocation_fails(void)
{
	allocations++;
	/* A new thread allocates for the sanitizer, which must not fail. */
	if (allocations_until_failure == 0 || gettid() != getpid() || --allocations_until_failure > 0)
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

ALLOCATION_FUNCTION void *malloc(size_t size)
{
	return allocation_fails() ? NULL : allocation_made(ALLOCATION_REAL(malloc)(size));
}

ALLOCATION_FUNCTION void *calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : allocation_made(ALLOCATION_REAL(calloc)(n, size));
}

ALLOCATION_FUNCTION void *realloc(void *memory, size_t size)
{
	if (allocation_fails())
		return NULL;
	return memory ? ALLOCATION_REAL(realloc)(memory, size)
		      : allocation_made(ALLOCATION_REAL(malloc)(size));
}

ALLOCATION_FUNCTION void free(void *memory)
{
	if (memory)
		allocations_held--;
	ALLOCATION_REAL(free)(memory);
}

/* The sanitizer's functions would bypass these. */
#ifdef __SANITIZE_ADDRESS__

char *strndup(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	char *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, text, len);
		copy[len] = '\0';
	}
	return copy;
}

char *strdup(const char *text)
{
	return strndup(text, strlen(text));
}

#endif
#endif

/* Is this much allocated and not freed? AddressSanitizer, which allocates a part of it, reports leaks itself at the end. */
static inline bool allocations_held_are(long number)
{
#ifdef __SANITIZE_ADDRESS__
	(void)number;
	return true;
#else
	return allocations_held == number;
#endif
}

/* Does counting work here? Prints a note if not. */
static inline bool allocations_are_counted(void)
{
	unsigned long before = allocations;
	void *volatile memory = malloc(1);

	free(memory);
	if (allocations == before)
		print_message("# allocations are not counted here\n");
	return allocations > before;
}

/* Can an allocation fail here? Prints a note if not. */
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
