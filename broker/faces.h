/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The list of faces: started together, stopped together, with their statistics added up.
 */

#include "serve/face.h"

struct faces;

/* faces_new() - start all faces that the context requests. Return: 0 or a negative errno, after logging why. */
int faces_new(struct faces **ret, const struct face_context *context);
/* NULL is fine. Return: NULL. */
struct faces *faces_free(struct faces *faces);

/* faces_set_options() - new options, for everything that begins from now on */
void faces_set_options(struct faces *faces, const struct face_options *options);
/* faces_prepare() - to be called before every wait of the loop */
void faces_prepare(struct faces *faces);

/* faces_stats() - the sum of all faces. NULL: zeros. */
struct face_stats faces_stats(const struct faces *faces);
