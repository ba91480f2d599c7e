// SPDX-License-Identifier: LGPL-2.1-or-later
#include "source/proc/cgroups-read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "event.h"

/* Where "NN NN N:N ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS" has its mount point; octal escapes are not undone. */
static char *mount_of(const char *line)
{
	const char *type = strstr(line, " - ");
	int begin = 0, end = 0;

	if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
		return NULL;
	if (sscanf(line, "%*s %*s %*s %*s %n%*s%n", &begin, &end) < 0 || end <= begin)
		return NULL;
	return strndup(line + begin, (size_t)(end - begin));
}

char *cgroups_root(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	char *root = NULL;
	size_t size = 0;

	while (!root && file && getline(&line, &size, file) > 0)
		root = mount_of(line);
	return root;
}

static void *grow(void *data, size_t *max, size_t needed, size_t size)
{
	size_t more = *max + *max / 2 + needed;

	data = reallocarray(data, more, size);
	if (data)
		*max = more;
	return data;
}

static int list_add(struct cgroups_list *list, uint64_t id, const char *path)
{
	size_t size = strlen(path) + 1;
	void *grown;

	if (list->n == CGROUPS_READ_MAX)
		return -ENOSPC;
	if (list->n == list->max) {
		grown = grow(list->entries, &list->max, 64, sizeof(*list->entries));
		if (!grown)
			return -ENOMEM;
		list->entries = grown;
	}
	if (list->size + size > list->texts_max) {
		grown = grow(list->texts, &list->texts_max, size + 4096, 1);
		if (!grown)
			return -ENOMEM;
		list->texts = grown;
	}
	list->entries[list->n++] = (struct cgroups_entry){ id, list->size };
	memcpy(list->texts + list->size, path, size);
	list->size += size;
	return 0;
}

static int read_below(struct cgroups_list *list, int fd, char *path, size_t len);

/* Most cgroups have dozens of files and no child. The number of links shows that, and costs less than a listing. */
static int read_child(struct cgroups_list *list, int dir, char *path, size_t len, const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	struct stat st;
	int r;

	if (len + 1 + n >= EVENT_PATH_MAX || fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode))
		return 0;
	path[len] = '/';
	memcpy(path + len + 1, entry->d_name, n + 1);
	r = list_add(list, st.st_ino, path);
	if (r == 0 && st.st_nlink != 2)
		r = read_below(list,
			       openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			       path, len + 1 + n);
	path[len] = '\0';
	return r;
}

/* Closes @fd. A directory that was removed meanwhile is not an error. */
static int read_below(struct cgroups_list *list, int fd, char *path, size_t len)
{
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			r = read_child(list, dirfd(dir), path, len, entry);
	closedir(dir);
	return r;
}

int cgroups_read(struct cgroups_list *list, const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	char path[EVENT_PATH_MAX] = "";
	struct stat st;

	list->n = list->size = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -EIO;
	}
	r = list_add(list, st.st_ino, "/");
	if (r < 0) {
		close(fd);
		return r;
	}
	r = read_below(list, fd, path, 0);
	return r == -ENOSPC ? 0 : r;
}

void cgroups_list_done(struct cgroups_list *list)
{
	free(list->entries);
	free(list->texts);
	*list = (struct cgroups_list){};
}
