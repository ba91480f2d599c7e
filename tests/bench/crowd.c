// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * crowd N - N processes that do nothing, and the cost of reading them in /proc
 *
 * They share their memory, so that they cost little. Prints "{}" when they run. Each line on standard input is answered with
 * the time of reading /proc once, as is necessary to get the fields of a snapshot for all processes: stat, status, cgroup,
 * and the target of exe; {"processes":…,"usec":…}. The processes end with this program.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/bench/lib/pace.h"
#include "tests/bench/lib/wire.h"

#define STACK 4096

__attribute__((noreturn)) static int idle(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void read_file(int directory, const char *name)
{
	static char data[16384];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, data, sizeof(data)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static unsigned long read_proc(void)
{
	DIR *proc = opendir("/proc");
	char path[PATH_MAX];
	unsigned long n = 0;
	struct dirent *entry;

	if (!proc)
		die("/proc");
	while ((entry = readdir(proc))) {
		int fd = isdigit((unsigned char)entry->d_name[0])
				 ? openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC)
				 : -1;

		if (fd < 0)
			continue;
		read_file(fd, "stat");
		read_file(fd, "status");
		read_file(fd, "cgroup");
		(void)!readlinkat(fd, "exe", path, sizeof(path));
		close(fd);
		n++;
	}
	closedir(proc);
	return n;
}

int main(int argc, char *argv[])
{
	unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, found;
	char line[64], *stacks;
	uint64_t began;

	if (n == 0) {
		fprintf(stderr, "usage: crowd N\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	stacks = mmap(NULL, n * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stacks == MAP_FAILED)
		die("memory");
	for (unsigned long i = 0; i < n; i++)
		if (clone(idle, stacks + (i + 1) * STACK, CLONE_VM | SIGCHLD, NULL) < 0)
			die("clone");
	puts("{}");
	while (fgets(line, sizeof(line), stdin)) {
		began = now_usec();
		found = read_proc();
		printf("{\"processes\":%lu,\"usec\":%llu}\n", found,
		       (unsigned long long)(now_usec() - began));
	}
	return 0;
}
