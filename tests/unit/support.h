/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of log, views, cursors and faces share. Nothing here returns a failure: what goes wrong ends the program.
 */

#include <sys/types.h>

#include "random-event.h"

/* A directory of the test's own, made by test_dir_make() and removed with all that is in it by test_dir_remove(). */
void test_dir_make(void);
void test_dir_remove(void);

/* test_path() - path of a name in the directory. Return: one of a few static buffers, used in turn. */
const char *test_path(const char *name);

/* All of a file, in memory that begins like a page; to be freed. */
unsigned char *file_read(const char *path, size_t *size);
void file_write(const char *path, const void *data, size_t size);

/*
 * seq_event() - the event that a log of these tests has under a sequence number
 * Derived from the number (and @salt, so that two logs differ) alone: a reader can check whether it is right. Some
 * are tiny, most are small, few are as large as they can be.
 */
void seq_event(struct random_event *ret, uint64_t seq, uint64_t salt);

/* seq_event_is() - is it that one, byte for byte? */
bool seq_event_is(const struct fb_event *event, uint64_t salt);

/* position_of() - what the head or the tail of a mapped log says. It must be whole. */
uint64_t position_of(const uint64_t *word);

/* How many descriptors this process has open. */
unsigned int count_descriptors(void);

/* Does the program run in valgrind, where a step takes fifty times as long and has other instructions? */
bool in_valgrind(void);
