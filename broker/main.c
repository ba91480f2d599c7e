// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "broker.h"
#include "sources.h"

/* A pipe to the waiting parent, which gets a byte when clients can connect; -1 in the foreground. */
static int ready_fd = -1;

/* Until now errors go to the terminal that started the broker; later messages go to the log of the system. */
static void on_ready(void)
{
	msg_use_syslog();
	dup2(STDIN_FILENO, STDERR_FILENO);
	(void)!write(ready_fd, "", 1);
	ready_fd = close_fd(ready_fd);
}

/* The parent exits when the broker is ready, so that a script can connect at once. End of file means that the start failed. */
static int wait_until_ready(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Return: 0 in the background, or a negative errno; the parent does not return. */
static int go_to_background(void)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(fds[1]);
		_exit(wait_until_ready(fds[0]));
	}
	close(fds[0]);
	ready_fd = fds[1];
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close(null);
	return 0;
}

int main(int argc, char **argv)
{
	struct options options;
	struct config config;
	int r;

	r = options_parse(&options, argc, argv);
	if (r == OPTIONS_E_DONE)
		return EXIT_SUCCESS;
	if (r == OPTIONS_E_INVALID)
		return OPTIONS_EXIT_USAGE;
	if (options.probe)
		return sources_probe() ? EXIT_SUCCESS : EXIT_FAILURE;
	r = options_load(&options, &config);
	if (r != 0)
		return r == OPTIONS_E_INVALID ? OPTIONS_EXIT_USAGE : EXIT_FAILURE;
	/* A service manager watches the process that it started; it is notified of readiness. */
	if (!options.foreground && !getenv("NOTIFY_SOCKET"))
		r = go_to_background();
	if (r == 0)
		r = broker_run(&options, &config, ready_fd >= 0 ? on_ready : NULL);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
