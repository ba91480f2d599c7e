/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sockets that the service manager opened, and passed on when it started the broker (sd_listen_fds(3)).
 */

#include <stdbool.h>

#define ACTIVATION_MAX 32

struct activation {
	unsigned int n;
	struct {
		int fd; /* -1: it was taken */
		char name[32];
	} sockets[ACTIVATION_MAX];
};

/* activation_init() - take over all that were passed on; those that cannot be a face's are closed */
void activation_init(struct activation *activation);
/* activation_done() - close those that were not taken */
void activation_done(struct activation *activation);

/* activation_take() - a listening socket of this name; where only one was passed on, it needs no name. Return: it, or -1. */
int activation_take(struct activation *activation, const char *name);
