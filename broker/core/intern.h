/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shared texts, stored once: the paths of programs and cgroups. The last few unused texts stay for a while, so that a
 * program that is run repeatedly needs no allocation each time.
 */

#include <stddef.h>

struct intern;

/* The number of unused texts to keep. */
#define INTERN_IDLE_MAX 256

int intern_new(struct intern **ret);
/* All texts must have been given back. NULL is fine. Return: NULL. */
struct intern *intern_free(struct intern *intern);

/*
 * intern_get() - take a reference to the text with these bytes
 * @data: no NUL in it; need not be terminated
 * Return: the text, terminated, or NULL without memory.
 */
const char *intern_get(struct intern *intern, const char *data, size_t len);

/* One reference less. NULL is fine. Return: NULL. */
const char *intern_put(struct intern *intern, const char *text);

/* Texts, held or idle. */
size_t intern_count(const struct intern *intern);
