// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * workload KIND[=N]... - start processes in many ways, and report how they ended
 *
 * Does nothing before a line arrives on standard input. Prints one JSON line per process, with the result of wait4(2):
 *
 *   {"kind":"core","pid":7,"ppid":6,"execs":0,"threads":1,"signal":6,"coreDumped":true,"bornAfterUsec":…,
 *    "goneUsec":…,"usage":{…}}
 *
 * Times are of CLOCK_BOOTTIME, before it was started and after it was waited for: together with its pid they say which
 * process it was. Works in the current directory, which it fills with cores and files. It is the reaper of its orphans,
 * so that their status is known too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/lib/death.h"
#include "tests/integration/lib/made.h"

#define PARALLEL  16 /* processes of a burst that live at once */
#define HOLD_MAX  64
#define LOOP_MAX  1000000
#define PAGE	  4096
#define FILE_SIZE (256 * 1024)

static int held_pipe[2] = { -1, -1 };

/* Many of them */

static void leave(int code)
{
	_exit(code);
}

static void make_burst(int count)
{
	struct made living[PARALLEL] = { 0 };
	struct rusage usage;
	int status, n = 0, slot;
	pid_t pid;

	for (int begun = 0; begun < count || n > 0;) {
		if (begun < count && n < PARALLEL) {
			for (slot = 0; living[slot].pid != 0;)
				slot++;
			living[slot] = start("burst", leave, begun++ & 0xff);
			n++;
			continue;
		}
		pid = wait4(-1, &status, 0, &usage);
		check(pid > 0, "wait4");
		for (slot = 0; living[slot].pid != pid;)
			slot++;
		say(&living[slot], status, &usage);
		living[slot].pid = 0;
		n--;
	}
}

/* Until a line is read, or the input ends, with a pause after each. Prints when each of them lived. */
static void make_loop(int pause_msec)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	static struct {
		pid_t pid;
		uint64_t begin_usec, end_usec;
	} lived[LOOP_MAX];
	size_t n;
	int line;

	for (n = 0; n < LOOP_MAX && poll(&input, 1, pause_msec) == 0; n++) {
		lived[n].begin_usec = clock_usec(CLOCK_REALTIME);
		lived[n].pid = start("loop", leave, (int)(n & 0xff)).pid;
		check(waitpid(lived[n].pid, NULL, 0) == lived[n].pid, "waitpid");
		lived[n].end_usec = clock_usec(CLOCK_REALTIME);
	}
	while ((line = getchar()) != EOF && line != '\n')
		;
	for (size_t i = 0; i < n; i++)
		printf("{\"kind\":\"loop\",\"pid\":%d,\"beginUsec\":%lu,\"endUsec\":%lu}\n", lived[i].pid,
		       lived[i].begin_usec, lived[i].end_usec);
}

static void make_vfork(int unused)
{
	struct made made = {
		.kind = "vfork", .ppid = getpid(), .threads = 1, .since_usec = clock_usec(CLOCK_BOOTTIME)
	};

	(void)unused;
	made.pid = vfork();
	check(made.pid >= 0, "vfork");
	if (made.pid == 0)
		_exit(3);
	reap(&made);
}

/* Other programs */

static void make_spawn(int unused)
{
	struct made made = { .kind = "spawn",
			     .ppid = getpid(),
			     .execs = 1,
			     .threads = 1,
			     .since_usec = clock_usec(CLOCK_BOOTTIME) };
	char *arguments[] = { (char[]){ "/bin/false" }, NULL };

	(void)unused;
	check(posix_spawn(&made.pid, arguments[0], NULL, NULL, arguments, environ) == 0, "posix_spawn");
	reap(&made);
}

static void make_failed_exec(int unused)
{
	struct made made = { .kind = "failed-exec",
			     .ppid = getpid(),
			     .threads = 1,
			     .since_usec = clock_usec(CLOCK_BOOTTIME) };

	(void)unused;
	made.pid = vfork();
	check(made.pid >= 0, "vfork");
	if (made.pid == 0) {
		execl("/nonexistent", "nonexistent", NULL);
		_exit(127);
	}
	reap(&made);
}

static void run_script(int unused)
{
	(void)unused;
	execl("./script", "./script", NULL);
	die("./script");
}

static void make_shebang(int unused)
{
	static const char text[] = "#!/bin/sh\nexit 7\n";
	int fd = open("script", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);

	(void)unused;
	check(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1 && close(fd) == 0, "script");
	start_and_reap("shebang", run_script, 0, 1, 1);
}

/* Threads */

static void *run_shell(void *unused)
{
	execl("/bin/sh", "sh", "-c", "exit 9", NULL);
	die("/bin/sh");
	return unused;
}

static void exec_from_thread(int unused)
{
	(void)unused;
	add_thread(wait_for_ever, NULL);
	add_thread(run_shell, NULL);
	wait_for_ever(NULL);
}

static void *leave_later(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	exit(7);
	return NULL;
}

static void leave_first(int unused)
{
	static pthread_t self;

	(void)unused;
	self = pthread_self();
	add_thread(leave_later, &self);
	pthread_exit(NULL);
}

static void *leave_all(void *code)
{
	_exit((int)(intptr_t)code);
	return NULL;
}

static void leave_from_thread(int code)
{
	for (int i = 0; i < 4; i++)
		add_thread(wait_for_ever, NULL);
	add_thread(leave_all, (void *)(intptr_t)code);
	wait_for_ever(NULL);
}

/* All threads are there before their end comes. */
static void make_killed_threads(int count)
{
	char byte;
	int ready[2];
	struct made made = { .kind = "killed-threads",
			     .ppid = getpid(),
			     .since_usec = clock_usec(CLOCK_BOOTTIME) };

	check(pipe(ready) == 0, "pipe");
	made.threads = count;
	made.pid = fork();
	check(made.pid >= 0, "fork");
	if (made.pid == 0) {
		for (int i = 1; i < count; i++)
			add_thread(wait_for_ever, NULL);
		check(write(ready[1], "", 1) == 1, "write");
		wait_for_ever(NULL);
	}
	check(read(ready[0], &byte, 1) == 1, "read");
	kill(made.pid, SIGKILL);
	reap(&made);
	close(ready[0]);
	close(ready[1]);
}

/* Signals */

static void make_signals(int unused)
{
	(void)unused;
	start_and_reap("signal", die_plainly, SIGTERM, 0, 1);
	start_and_reap("signal", die_plainly, SIGKILL, 0, 1);
	start_and_reap("signal", die_plainly, SIGUSR1, 0, 1);
	start_and_reap("signal", die_plainly, SIGSEGV, 0, 1);
	start_and_reap("core", die_with_core, SIGABRT, 0, 1);
	start_and_reap("core", die_with_core, SIGSEGV, 0, 1);
	start_and_reap("core-threads", die_among_threads, SIGSEGV, 0, 8);
	start_and_reap("core-threads", die_among_threads, SIGABRT, 0, 8);
}

/* Names */

static const char *const names[] = {
	"caf\xe9", "\xff\xfe\x80", "a\"b\\c", "two\nlines\t", "caf\xc3\xa9 \xe2\x82\xac", "{\"x\":1}",
	"",	   "\xe2\x82"
};

static void take_name(int i)
{
	prctl(PR_SET_NAME, names[i]);
}

static void make_names(int unused)
{
	(void)unused;
	for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
		struct made made = start("name", take_name, i);
		char *at = made.more + sprintf(made.more, ",\"comm\":\"");

		for (const char *byte = names[i]; *byte != '\0'; byte++)
			at += sprintf(at, "%02x", (unsigned char)*byte);
		strcpy(at, "\"");
		reap(&made);
	}
}

/* Families */

static void bear_orphan(int fd)
{
	struct made made = {
		.kind = "orphan", .ppid = getpid(), .threads = 1, .since_usec = clock_usec(CLOCK_BOOTTIME)
	};

	made.pid = fork();
	check(made.pid >= 0, "fork");
	if (made.pid > 0) {
		check(write(fd, &made, sizeof(made)) == sizeof(made), "write");
		_exit(4);
	}
	while (getppid() == made.ppid)
		usleep(1000);
	_exit(5);
}

static void make_orphan(int unused)
{
	struct made made;
	int fds[2];

	(void)unused;
	check(pipe(fds) == 0, "pipe");
	start_and_reap("orphan-maker", bear_orphan, fds[1], 0, 1);
	check(read(fds[0], &made, sizeof(made)) == sizeof(made), "read");
	sprintf(made.more, ",\"lastPpid\":%d", getpid());
	reap(&made);
	close(fds[0]);
	close(fds[1]);
}

/* Each is the parent of the next one. */
static void continue_chain(int depth)
{
	if (depth > 0) {
		start_and_reap("chain", continue_chain, depth - 1, 0, 1);
		fflush(stdout);
	}
	_exit(depth);
}

static void make_chain(int depth)
{
	start_and_reap("chain", continue_chain, depth, 0, 1);
}

/* A child whose status nobody asks for ends without a parent. */
static void make_ignored(int unused)
{
	char byte;
	int fds[2];
	struct made made = {
		.kind = "ignored", .ppid = getpid(), .threads = 1, .since_usec = clock_usec(CLOCK_BOOTTIME)
	};

	(void)unused;
	check(pipe(fds) == 0, "pipe");
	signal(SIGCHLD, SIG_IGN);
	made.pid = fork();
	check(made.pid >= 0, "fork");
	if (made.pid == 0)
		_exit(6);
	close(fds[1]);
	check(read(fds[0], &byte, 1) == 0, "read");
	while (kill(made.pid, 0) == 0)
		usleep(1000);
	signal(SIGCHLD, SIG_DFL);
	close(fds[0]);
	say(&made, 6 << 8, NULL);
}

static void take_session(int unused)
{
	(void)unused;
	check(setsid() > 0, "setsid");
}

/* What they use */

static void burn(uint64_t usec)
{
	volatile unsigned long x = 0;
	struct timespec used;

	do {
		for (int i = 0; i < 10000; i++)
			x = x + (unsigned long)i;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	} while ((uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000 < usec);
}

static void *burn_thread(void *msec)
{
	burn((uint64_t)(intptr_t)msec * 1000);
	return NULL;
}

static void burn_cpu(int msec)
{
	burn((uint64_t)msec * 1000);
}

static void burn_in_threads(int msec)
{
	pthread_t other = add_thread(burn_thread, (void *)(intptr_t)msec);

	burn((uint64_t)msec * 1000);
	pthread_join(other, NULL);
}

static void touch_pages(int count)
{
	char *pages =
		mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(pages != MAP_FAILED, "mmap");
	madvise(pages, (size_t)count * PAGE, MADV_NOHUGEPAGE);
	for (int i = 0; i < count; i++)
		pages[i * PAGE] = 1;
}

/* To storage and back: what is on disk is dropped from memory, then read, then faulted in from a mapping. */
static void use_storage(int unused)
{
	static char data[FILE_SIZE];
	int fd = open("data", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	volatile char sum = 0;
	char *map;

	(void)unused;
	memset(data, 'x', sizeof(data));
	check(fd >= 0 && write(fd, data, sizeof(data)) == sizeof(data) && fsync(fd) == 0, "data");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	check(pread(fd, data, FILE_SIZE / 2, 0) == FILE_SIZE / 2, "pread");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	check(map != MAP_FAILED, "mmap");
	for (int i = 0; i < FILE_SIZE; i += PAGE)
		sum = (char)(sum + map[i]);
}

static void sleep_for(int msec)
{
	usleep((useconds_t)msec * 1000);
}

/* Who they are; root alone can do this. */
static void change_ids(int id)
{
	uid_t user = (uid_t)id;
	gid_t group = (gid_t)id;

	check(setresgid(group, group, 0) == 0 && setresuid(user, user, 0) == 0, "set ids");
	check(setresuid(0, 0, 0) == 0, "setresuid");
}

/* Those who stay */

static void stay(int fd)
{
	char byte;

	close(held_pipe[1]);
	(void)!read(fd, &byte, 1);
	_exit(0);
}

static void *do_nothing(void *unused)
{
	usleep(10000);
	return unused;
}

/* Threads come and go until the end, which is another one's than the first. */
static void stay_in_threads(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };
	pthread_t threads[4];

	close(held_pipe[1]);
	while (poll(&end, 1, 0) == 0) {
		for (int i = 0; i < 4; i++)
			threads[i] = add_thread(do_nothing, NULL);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	leave_from_thread(42);
}

static struct made held[HOLD_MAX];
static int n_held;

static void hold(const char *kind, void (*work)(int fd), int count)
{
	check(pipe(held_pipe) == 0, "pipe");
	for (n_held = 0; n_held < count && n_held < HOLD_MAX; n_held++) {
		held[n_held] = start(kind, work, held_pipe[0]);
		printf("{\"kind\":\"holding\",\"pid\":%d}\n", held[n_held].pid);
	}
}

static void make_held(int count)
{
	hold("held", stay, count);
}

static void make_held_threads(int count)
{
	hold("held-threads", stay_in_threads, count);
}

static void release_held(int unused)
{
	(void)unused;
	close(held_pipe[1]);
	while (n_held > 0)
		reap(&held[--n_held]);
	close(held_pipe[0]);
}

static void wait_for_line(int unused)
{
	char line[64];

	(void)unused;
	if (!fgets(line, sizeof(line), stdin))
		_exit(0);
}

static void make_pause(int unused)
{
	puts("{\"kind\":\"pause\"}");
	fflush(stdout);
	wait_for_line(unused);
}

/* @make, or one process that does @work. */
static const struct kind {
	const char *name;
	void (*make)(int n);
	void (*work)(int n);
	int n; /* unless another number is asked for */
	int threads;
} kinds[] = {
	{ .name = "burst", .make = make_burst, .n = 2000 },
	{ .name = "loop", .make = make_loop, .n = 1 },
	{ .name = "vfork", .make = make_vfork },
	{ .name = "spawn", .make = make_spawn },
	{ .name = "failed-exec", .make = make_failed_exec },
	{ .name = "shebang", .make = make_shebang },
	{ .name = "signals", .make = make_signals },
	{ .name = "killed-threads", .make = make_killed_threads, .n = 50 },
	{ .name = "names", .make = make_names },
	{ .name = "orphan", .make = make_orphan },
	{ .name = "chain", .make = make_chain, .n = 5 },
	{ .name = "ignored", .make = make_ignored },
	{ .name = "hold", .make = make_held, .n = 3 },
	{ .name = "hold-threads", .make = make_held_threads, .n = 3 },
	{ .name = "release", .make = release_held },
	{ .name = "pause", .make = make_pause },
	{ .name = "session", .work = take_session, .threads = 1 },
	{ .name = "leader-first", .work = leave_first, .threads = 2 },
	{ .name = "exit-from-thread", .work = leave_from_thread, .n = 11, .threads = 6 },
	{ .name = "cpu", .work = burn_cpu, .n = 100, .threads = 1 },
	{ .name = "cpu-threads", .work = burn_in_threads, .n = 60, .threads = 2 },
	{ .name = "pages", .work = touch_pages, .n = 1000, .threads = 1 },
	{ .name = "storage", .work = use_storage, .threads = 1 },
	{ .name = "sleep", .work = sleep_for, .n = 50, .threads = 1 },
	{ .name = "ids", .work = change_ids, .n = 65534, .threads = 1 },
};

static void make(const char *word)
{
	size_t len = strcspn(word, "=");

	if (strcmp(word, "exec-from-thread") == 0) {
		start_and_reap(word, exec_from_thread, 0, 1, 3);
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *kind = &kinds[i];
		int n = word[len] == '=' ? atoi(word + len + 1) : kind->n;

		if (strlen(kind->name) != len || strncmp(kind->name, word, len) != 0)
			continue;
		if (kind->make)
			kind->make(n);
		else
			start_and_reap(kind->name, kind->work, n, 0, kind->threads);
		return;
	}
	fprintf(stderr, "workload: there is no kind '%s'\n", word);
	_exit(98);
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	wait_for_line(0);
	for (int i = 1; i < argc; i++) {
		make(argv[i]);
		fflush(stdout);
	}
	return 0;
}
