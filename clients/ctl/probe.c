// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "probe.h"

/* @ret: DIR/forkbusd, if it is executable. Return: whether it is. */
static bool found_in(char **ret, const char *dir, size_t len)
{
	char *path;

	if (len == 0 || asprintf(&path, "%.*s/forkbusd", (int)len, dir) < 0)
		return false;
	if (access(path, X_OK) == 0) {
		*ret = path;
		return true;
	}
	free(path);
	return false;
}

/* Look next to this program first: that broker was built together with it. */
static char *find_broker(void)
{
	static const char *const admin_dirs[] = { "/usr/local/sbin", "/usr/sbin", "/sbin" };
	const char *path = getenv("PATH");
	char own[PATH_MAX + sizeof("/../sbin")], *ret;
	ssize_t len = readlink("/proc/self/exe", own, PATH_MAX);

	if (len > 0) {
		own[len] = '\0';
		len = strrchr(own, '/') - own;
		if (found_in(&ret, own, (size_t)len))
			return ret;
		strcpy(own + len, "/../sbin");
		if (found_in(&ret, own, strlen(own)))
			return ret;
	}
	while (path && *path != '\0') {
		size_t next = strcspn(path, ":");

		if (found_in(&ret, path, next))
			return ret;
		path += next + (path[next] == ':');
	}
	/* The $PATH of ordinary users does not include these. */
	for (size_t i = 0; i < ARRAY_SIZE(admin_dirs); i++)
		if (found_in(&ret, admin_dirs[i], strlen(admin_dirs[i])))
			return ret;
	return NULL;
}

/* Return: a descriptor to read the program's output, or a negative errno. */
static int spawn_probe(const char *program, pid_t *pid)
{
	char name[] = "forkbusd", probe[] = "--probe";
	char *const arguments[] = { name, probe, NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fds[2], r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
		if (r == 0)
			r = posix_spawn(pid, program, &actions, NULL, arguments, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(pipe_fds[1]);
	if (r == 0)
		return pipe_fds[0];
	close(pipe_fds[0]);
	return -r;
}

static int read_sources(json_t *sources, FILE *file)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, file)) > 0) {
		json_t *source = json_loadb(line, (size_t)len, 0, NULL);

		if (!json_is_string(json_object_get(source, "source")))
			json_decref(source);
		else if (json_array_append_new(sources, source) < 0)
			return -ENOMEM;
	}
	return 0;
}

int probe_sources(json_t **ret, char **program, bool *works)
{
	json_auto_t *sources = json_array();
	_cleanup_fclose_ FILE *file = NULL;
	int fd, r, status = -1;
	pid_t pid;

	*works = false;
	*program = find_broker();
	if (!*program)
		return PROBE_E_NO_BROKER;
	fd = spawn_probe(*program, &pid);
	if (fd < 0)
		return fd;
	file = fdopen(fd, "r");
	if (file && sources)
		r = read_sources(sources, file);
	else
		r = -ENOMEM;
	if (!file)
		close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*works = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (r < 0)
		return r;
	if (json_array_size(sources) == 0)
		return PROBE_E_SILENT;
	*ret = json_incref(sources);
	return 0;
}
