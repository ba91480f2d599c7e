// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * forks spawn|fork|vfork WORKERS WARM_MSEC MSEC - how many processes a second this machine starts, and sees end
 *
 * Each worker starts one, waits for its end, and starts the next: "spawn" executes the program "nothing" that lies beside
 * this one (posix_spawn(3), which is vfork(2) and execve(2)), "fork" ends where it forked, and "vfork" does so without
 * memory of its own: nothing costs less. The first WARM_MSEC are not counted. Prints one JSON line:
 *
 *   {"processes":…,"usec":…,"all":…,"cpuUsec":…}
 *
 * "all" includes the processes that were not counted, "cpuUsec" is the processor time of all of them.
 *
 * A sleeping process keeps the time: if clocks are emulated, reading them costs as much as a fork.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 64

/* Each worker counts in a cache line of its own. */
struct shared {
	atomic_bool stop;
	struct {
		_Alignas(64) atomic_ulong processes;
	} workers[WORKERS_MAX];
};

static struct shared *shared;
static char program[4096];

__attribute__((noreturn)) static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static pid_t start_program(void)
{
	char name[] = "nothing", *arguments[] = { name, NULL }, *environment[] = { NULL };
	pid_t pid;

	errno = posix_spawn(&pid, program, NULL, NULL, arguments, environment);
	if (errno)
		die(program);
	return pid;
}

static pid_t just_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		die("fork");
	return pid;
}

static pid_t just_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		die("vfork");
	return pid;
}

static const struct kind {
	const char *name;
	pid_t (*start)(void);
} kinds[] = {
	{ "spawn", start_program },
	{ "fork", just_fork },
	{ "vfork", just_vfork },
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

__attribute__((noreturn)) static void work(pid_t (*start)(void), atomic_ulong *processes)
{
	int status;

	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		pid_t pid = start();

		if (waitpid(pid, &status, 0) != pid || status != 0)
			die("waitpid");
		atomic_fetch_add_explicit(processes, 1, memory_order_relaxed);
	}
	_exit(0);
}

static unsigned long count(unsigned int workers)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < workers; i++)
		sum += atomic_load(&shared->workers[i].processes);
	return sum;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static unsigned long usec_of(const struct timeval *time)
{
	return (unsigned long)time->tv_sec * 1000000 + (unsigned long)time->tv_usec;
}

static void sleep_until(uint64_t usec)
{
	struct timespec until = { (time_t)(usec / 1000000), (long)(usec % 1000000 * 1000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	const struct kind *kind = argc == 5 ? find_kind(argv[1]) : NULL;
	unsigned int workers = argc == 5 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	unsigned long before, processes;
	uint64_t begin, usec;
	struct rusage used;
	int status, failed = 0;
	ssize_t len;
	char *slash;

	if (!kind || workers < 1 || workers > WORKERS_MAX) {
		fprintf(stderr, "usage: forks spawn|fork|vfork WORKERS WARM_MSEC MSEC\n");
		return 2;
	}
	len = readlink("/proc/self/exe", program, sizeof(program) - sizeof("nothing"));
	if (len < 0)
		die("/proc/self/exe");
	program[len] = '\0';
	slash = strrchr(program, '/');
	memcpy(slash + 1, "nothing", sizeof("nothing"));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");

	for (unsigned int i = 0; i < workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(kind->start, &shared->workers[i].processes);
		}
	}
	sleep_until(now_usec() + strtoull(argv[3], NULL, 10) * 1000);
	before = count(workers);
	begin = now_usec();
	sleep_until(begin + strtoull(argv[4], NULL, 10) * 1000);
	processes = count(workers) - before;
	usec = now_usec() - begin;
	atomic_store(&shared->stop, true);
	while (wait(&status) > 0)
		failed |= status;
	getrusage(RUSAGE_CHILDREN, &used);
	printf("{\"processes\":%lu,\"usec\":%lu,\"all\":%lu,\"cpuUsec\":%lu}\n", processes,
	       (unsigned long)usec, count(workers) + workers,
	       usec_of(&used.ru_utime) + usec_of(&used.ru_stime));
	return failed ? 1 : 0;
}
