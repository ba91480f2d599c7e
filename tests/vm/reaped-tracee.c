// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * reaped-tracee ROUNDS - attach to processes that are gone, with their parents, before the kernel reports it
 *
 * While PTRACE_ATTACH waits for its tracee, the tracer is moved to a processor where a realtime process spins. When the tracee
 * is killed, the tracer is woken, but does not run until the tracee was reaped, its parent has ended, and the kernel has freed
 * the parent's memory. Then the event of the attachment is reported, about a task whose parent does not exist any more. Prints in
 * how many rounds this succeeded. Requires two processors, root, and no limit for realtime processes.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SEC 120

enum { BUSY = 0, FREE = 1 }; /* processors */

struct tracer {
	pid_t tracee, tid;
	atomic_bool begun, ended;
};

static void check(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check(sched_setaffinity(tid, sizeof(set), &set) == 0, "sched_setaffinity");
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	check(pid >= 0, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Returns when it has the processor. */
static pid_t start_spinning(void)
{
	const struct sched_param param = { .sched_priority = 1 };
	int ready[2];
	char byte = 0;
	pid_t pid;

	check(pipe(ready) == 0, "pipe");
	pid = start_child();
	if (pid > 0) {
		check(read(ready[0], &byte, 1) == 1, "read");
		close(ready[0]), close(ready[1]);
		return pid;
	}
	pin(0, BUSY);
	check(sched_setscheduler(0, SCHED_FIFO, &param) == 0, "sched_setscheduler");
	check(write(ready[1], &byte, 1) == 1, "write");
	for (;;)
		atomic_signal_fence(memory_order_seq_cst);
}

/* The parent of the tracee: its children are reaped by the kernel when they end. Ends when a byte arrives in @hold. */
static void be_parent(int report, int hold)
{
	char byte;
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		for (;;)
			raise(SIGSTOP);
	check(write(report, &pid, sizeof(pid)) == sizeof(pid), "write");
	(void)!read(hold, &byte, 1);
	_exit(0);
}

static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[128] = "", *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	return end ? end[2] : '\0';
}

static void wait_until_stopped(pid_t pid)
{
	while (state_of(pid, pid) != 'T')
		usleep(1000);
}

static void *trace(void *data)
{
	struct tracer *tracer = data;

	pin(0, FREE);
	tracer->tid = gettid();
	atomic_store(&tracer->begun, true);
	ptrace(PTRACE_ATTACH, tracer->tracee, NULL, NULL);
	atomic_store(&tracer->ended, true);
	return NULL;
}

/* Wait until memory that was to be freed before this call is free. */
static void wait_for_rcu(void)
{
	for (int i = 0; i < 3; i++)
		check(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0, "membarrier");
}

/* Return: whether the tracer was held until the end. */
static bool run_round(void)
{
	struct tracer tracer = { 0 };
	int report[2], hold[2], status;
	pid_t parent, spinner;
	pthread_t thread;
	bool held;

	check(pipe(report) == 0 && pipe(hold) == 0, "pipe");
	parent = start_child();
	if (parent == 0)
		be_parent(report[1], hold[0]);
	check(read(report[0], &tracer.tracee, sizeof(pid_t)) == sizeof(pid_t), "read");
	wait_until_stopped(tracer.tracee);
	pin(tracer.tracee, BUSY);
	spinner = start_spinning();

	check(pthread_create(&thread, NULL, trace, &tracer) == 0, "pthread_create");
	while (!atomic_load(&tracer.begun))
		usleep(1000);
	while (!atomic_load(&tracer.ended) && state_of(getpid(), tracer.tid) != 'D')
		usleep(1000);
	pin(tracer.tid, BUSY);
	pin(tracer.tracee, FREE);
	kill(tracer.tracee, SIGKILL);
	check(waitpid(tracer.tracee, &status, __WALL) == tracer.tracee, "waitpid");
	check(write(hold[1], "", 1) == 1, "write");
	check(waitpid(parent, &status, 0) == parent, "waitpid");
	wait_for_rcu();
	held = !atomic_load(&tracer.ended);

	kill(spinner, SIGKILL);
	waitpid(spinner, &status, 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++)
		close(report[i]), close(hold[i]);
	return held;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1, held = 0;

	alarm(LIMIT_SEC);
	pin(0, FREE);
	for (int i = 0; i < rounds; i++)
		held += run_round();
	printf("%d\n", held);
	return 0;
}
