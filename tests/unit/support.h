/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Functions for the tests of log, views, cursors and faces. None returns an error: every error ends the program.
 */

#include <sys/types.h>

#include "random-event.h"

/* A directory for the test, made by test_dir_make() and removed with its content by test_dir_remove(). */
void test_dir_make(void);
void test_dir_remove(void);

/* test_path() - path of a name in the directory. Return: one of a few static buffers, used in turn. */
const char *test_path(const char *name);

/* The content of a file, in page-aligned memory; to be freed. */
unsigned char *file_read(const char *path, size_t *size);
void file_write(const char *path, const void *data, size_t size);

/*
 * seq_event() - the event that a log of these tests has for a sequence number
 * It follows only from the number (and @salt, so that two logs differ), so a reader can check it. Some are tiny, most are
 * small, few have the maximum size.
 */
void seq_event(struct random_event *ret, uint64_t seq, uint64_t salt);

/* seq_event_is() - is it that one, byte for byte? */
bool seq_event_is(const struct fb_event *event, uint64_t salt);

/* position_of() - the value of the head or the tail of a mapped log. It must be valid. */
uint64_t position_of(const uint64_t *word);

/* The number of open descriptors of this process. */
unsigned int count_descriptors(void);

/* Does the program run in valgrind, where everything takes fifty times as long, with other instructions? */
bool in_valgrind(void);
