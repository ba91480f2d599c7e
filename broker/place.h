/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watches whether the broker's sockets are still where clients look for them. A socket whose file was removed cannot be found
 * any more, and a broker without the right to make the directory again can only end, so that it is started again.
 */

struct event_base;
struct place;

/*
 * place_new() - watch the sockets that are in @directory now; it stays the caller's
 * @gone: is called once when one of them is no longer there, with its path
 * Return: 0 or a negative errno, after which nothing is watched.
 */
int place_new(struct place **ret, struct event_base *base, const char *directory,
	      void (*gone)(void *userdata, const char *path), void *userdata);
/* NULL is fine. Return: NULL. */
struct place *place_free(struct place *place);
