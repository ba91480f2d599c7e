// SPDX-License-Identifier: LGPL-2.1-or-later
#include "place.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of the directory and of what is in it. There is none for its own removal as long as the broker has it open. */
#define CHANGES \
	(IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static const char *const names[] = { "stream", "org.forkbus1" };

#define N_NAMES (sizeof(names) / sizeof(names[0]))

struct place {
	const char *directory;
	void (*gone)(void *userdata, const char *path);
	void *userdata;
	int fd;
	struct event *changed;
	struct stat sockets[N_NAMES]; /* all zero: there was none */
};

DEFINE_CLEANUP(struct place, place_free)

static void make_path(const struct place *place, size_t i, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", place->directory, names[i]);
}

static bool is_there(const struct place *place, size_t i, const char *path)
{
	const struct stat *before = &place->sockets[i];
	struct stat now;

	if (before->st_ino == 0)
		return true;
	return lstat(path, &now) == 0 && now.st_dev == before->st_dev && now.st_ino == before->st_ino;
}

static void on_changed(evutil_socket_t fd, short what, void *userdata)
{
	struct place *place = userdata;
	char changes[4096], path[PATH_MAX];

	(void)what;
	/* What has changed is seen in the directory: some changes are lost if there are many. */
	while (read(fd, changes, sizeof(changes)) > 0)
		;
	for (size_t i = 0; i < N_NAMES; i++) {
		make_path(place, i, path);
		if (is_there(place, i, path))
			continue;
		event_del(place->changed);
		place->gone(place->userdata, path);
		return;
	}
}

int place_new(struct place **ret, struct event_base *base, const char *directory,
	      void (*gone)(void *userdata, const char *path), void *userdata)
{
	_cleanup_(place_free_p) struct place *place = calloc(1, sizeof(*place));
	char path[PATH_MAX];

	if (!place)
		return -ENOMEM;
	*place = (struct place){ .directory = directory, .gone = gone, .userdata = userdata };
	place->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (place->fd < 0)
		return -errno;
	for (size_t i = 0; i < N_NAMES; i++) {
		make_path(place, i, path);
		if (lstat(path, &place->sockets[i]) < 0 || !S_ISSOCK(place->sockets[i].st_mode))
			place->sockets[i] = (struct stat){ 0 };
	}
	if (inotify_add_watch(place->fd, directory, CHANGES) < 0)
		return -errno;
	place->changed = event_new(base, place->fd, EV_READ | EV_PERSIST, on_changed, place);
	if (!place->changed || event_add(place->changed, NULL) < 0)
		return -ENOMEM;
	/* Removed between looking at them and watching. */
	event_active(place->changed, EV_READ, 0);
	*ret = steal(place);
	return 0;
}

struct place *place_free(struct place *place)
{
	if (!place)
		return NULL;
	if (place->changed)
		event_free(place->changed);
	close_fd(place->fd);
	free(place);
	return NULL;
}
