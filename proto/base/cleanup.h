/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every file may need and C does not have. Owning variables: freed when their scope ends. Destructors take NULL and
 * return NULL.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(_function) __attribute__((cleanup(_function)))

#define DEFINE_CLEANUP(_type, _function)                 \
	static inline void _function##_p(_type **object) \
	{                                                \
		if (*object)                             \
			_function(*object);              \
	}

static inline void free_p(void *pointer)
{
	free(*(void **)pointer);
}

static inline int close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
	return -1;
}

static inline void close_p(int *fd)
{
	close_fd(*fd);
}

static inline void fclose_p(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_	 _cleanup_(free_p)
#define _cleanup_close_	 _cleanup_(close_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)

/* Hand the content of an owning pointer on. */
#define steal(_pointer)                                  \
	({                                               \
		__typeof__(_pointer) *_at = &(_pointer); \
		__typeof__(_pointer) _value = *_at;      \
		*_at = NULL;                             \
		_value;                                  \
	})

static inline int steal_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

/* How many elements an array has. Not for pointers. */
#define ARRAY_SIZE(_array) (sizeof(_array) / sizeof((_array)[0]))
