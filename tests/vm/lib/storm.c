// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/vm/lib/storm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIFE_SEC 60

struct storm *shared;

const char *self;
unsigned int seed;

unsigned int any(unsigned int below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

void nap(unsigned int usec)
{
	usleep(any(usec) + 1);
}

/* The child is killed after a time limit. */
pid_t bear(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		seed ^= (unsigned int)getpid() * 2654435761U;
		alarm(LIFE_SEC);
	} else if (pid > 0) {
		atomic_fetch_add(&shared->processes, 1);
	}
	return pid;
}

void wait_for(pid_t pid)
{
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0 && errno != EACCES && errno != EPERM)
		nap(10);
	close(fd);
}

void start_threads(int count, void *(*run)(void *argument), void *argument)
{
	pthread_t thread;

	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, run, argument) == 0) {
			pthread_detach(thread);
			atomic_fetch_add(&shared->threads, 1);
		}
}

void burn(unsigned int usec)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < (long)usec);
}

void *live_shortly(void *unused)
{
	nap(2000);
	if (any(2) == 0)
		burn(3000);
	return unused;
}
