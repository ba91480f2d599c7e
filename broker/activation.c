// SPDX-License-Identifier: LGPL-2.1-or-later
#include "activation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <event2/util.h>

#include "base/cleanup.h"

static void add(struct activation *activation, int fd, const char *name)
{
	if (activation->n == ACTIVATION_MAX || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	activation->sockets[activation->n].fd = fd;
	snprintf(activation->sockets[activation->n].name, sizeof(activation->sockets[0].name), "%s", name);
	activation->n++;
}

void activation_init(struct activation *activation)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	*activation = (struct activation){};
	for (int i = 0; i < n; i++) {
		/* What systemd calls a socket that its unit gives no name. */
		bool unnamed = n == 1 && strcmp(names[i], "unknown") == 0;

		add(activation, SD_LISTEN_FDS_START + i, unnamed ? "" : names[i]);
		free(names[i]);
	}
	free(names);
}

void activation_done(struct activation *activation)
{
	for (unsigned int i = 0; i < activation->n; i++)
		close_fd(activation->sockets[i].fd);
	activation->n = 0;
}

int activation_take(struct activation *activation, const char *name)
{
	for (unsigned int i = 0; i < activation->n; i++) {
		const char *given = activation->sockets[i].name;

		if (activation->sockets[i].fd >= 0 && (given[0] == '\0' || strcmp(given, name) == 0))
			return steal_fd(&activation->sockets[i].fd);
	}
	return -1;
}
