// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/integration/lib/made.h"

#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *what)
{
	perror(what);
	_exit(99);
}

void check(bool fine, const char *what)
{
	if (!fine)
		die(what);
}

uint64_t clock_usec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t usec_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

void say(const struct made *made, int status, const struct rusage *usage)
{
	printf("{\"kind\":\"%s\",\"pid\":%d,\"ppid\":%d,\"execs\":%d,\"threads\":%d%s", made->kind, made->pid,
	       made->ppid, made->execs, made->threads, made->more);
	if (WIFSIGNALED(status))
		printf(",\"signal\":%d,\"coreDumped\":%s", WTERMSIG(status),
		       WCOREDUMP(status) ? "true" : "false");
	else
		printf(",\"code\":%d", WEXITSTATUS(status));
	printf(",\"bornAfterUsec\":%lu,\"goneUsec\":%lu", made->since_usec, clock_usec(CLOCK_BOOTTIME));
	if (usage)
		printf(",\"usage\":{\"cpuUsec\":%lu,\"maxRssKib\":%ld,\"minorFaults\":%ld,\"majorFaults\":%"
		       "ld,"
		       "\"voluntarySwitches\":%ld,\"involuntarySwitches\":%ld,"
		       "\"readBytes\":%ld,\"writeBytes\":%ld}",
		       usec_of(usage->ru_utime) + usec_of(usage->ru_stime), usage->ru_maxrss,
		       usage->ru_minflt, usage->ru_majflt, usage->ru_nvcsw, usage->ru_nivcsw,
		       usage->ru_inblock * 512, usage->ru_oublock * 512);
	puts("}");
}

void reap(const struct made *made)
{
	struct rusage usage;
	int status;

	check(wait4(made->pid, &status, 0, &usage) == made->pid, "wait4");
	say(made, status, &usage);
}

/* One process that does @work and, unless that ends it, ends with code 0. */
struct made start(const char *kind, void (*work)(int argument), int argument)
{
	struct made made = {
		.kind = kind, .ppid = getpid(), .threads = 1, .since_usec = clock_usec(CLOCK_BOOTTIME)
	};

	made.pid = fork();
	check(made.pid >= 0, "fork");
	if (made.pid == 0) {
		work(argument);
		_exit(0);
	}
	return made;
}

void start_and_reap(const char *kind, void (*work)(int argument), int argument, int execs, int threads)
{
	struct made made = start(kind, work, argument);

	made.execs = execs;
	made.threads = threads;
	reap(&made);
}
