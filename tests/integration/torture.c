// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * torture SEED SECONDS [LOAD] - start processes that end in every way that is hard to follow, many at once, at random
 *
 * Prints a line of JSON per process, as workload does, with what it knows beyond that: "uid", the last user id that it took, and
 * "livedUsec", when it lived for certain (CLOCK_BOOTTIME). Reuses pids at random, by clone3(2) with set_tid. The seed decides
 * what each process does, not how the kernel runs it. LOAD is the number of processes at once. Ends early at a line of input.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/lib/death.h"
#include "tests/integration/lib/made.h"

#define LOAD_MAX    64
#define THREADS_MAX 6
#define REUSE_MAX   256
#define PAGE	    4096
#define USER	    47000 /* and the next ones */
#define N_USERS	    3
#define SLOTS_FD    77
#define PROGRAM_FD  78

/* Added to an exit code for each further program that a process runs before its end. */
#define MORE_PROGRAMS 128

/* What the processes share with this program. */
struct slot {
	struct made made;
	uint64_t seed;
	bool used;
	volatile pid_t pid; /* known to a child before its end */
	volatile uid_t uid;
	volatile uint64_t lived_usec;
	volatile int racing; /* threads that wait for the start of a race */
};

static struct slot *slots;
static int load = 40;

/* A child's own */
static struct slot *self;
static uint64_t random_state;
static char **program;

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)(next_random(&random_state) % n);
}

static void mark_alive(void)
{
	self->lived_usec = clock_usec(CLOCK_BOOTTIME);
}

/* Most lives are short; some last over a scan of /proc. */
static unsigned int random_nap(void)
{
	unsigned int kind = below(20);

	if (kind < 8)
		return 0;
	if (kind < 14)
		return below(2000);
	return kind < 19 || below(3) ? below(40000) : below(2500000);
}

static void nap(unsigned int usec)
{
	if (usec > 0)
		usleep(usec);
}

static void exit_thread(int code)
{
	mark_alive();
	for (;;)
		syscall(SYS_exit, code);
}

static void exit_group(int code)
{
	mark_alive();
	_exit(code);
}

static void run_program(int code)
{
	char index[24], exit_code[16],
		*arguments[] = { program[0], (char[]){ "leave" }, index, exit_code, NULL };

	snprintf(index, sizeof(index), "%td", self - slots);
	snprintf(exit_code, sizeof(exit_code), "%d", code);
	mark_alive();
	/* By its descriptor: /proc/self/exe is gone when the leader is. */
	syscall(SYS_execveat, PROGRAM_FD, "", arguments, environ, AT_EMPTY_PATH);
	die("execveat");
}

/* Threads: what each of them does, and when */

enum act { ACT_WAIT, ACT_EXIT, ACT_EXIT_GROUP, ACT_EXEC, ACT_CORE };

struct plan {
	enum act act;
	unsigned int usec;
	int code;
	int racers; /* wait until this number of threads is there, then go at once */
};

static struct plan plans[THREADS_MAX + 1];

static void start_race(int racers)
{
	__atomic_add_fetch(&self->racing, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 200000 && __atomic_load_n(&self->racing, __ATOMIC_SEQ_CST) < racers; i++)
		if (i % 64 == 63)
			sched_yield();
}

static void follow(const struct plan *plan)
{
	if (plan->racers > 0)
		start_race(plan->racers);
	nap(plan->usec);
	switch (plan->act) {
	case ACT_EXIT:
		exit_thread(plan->code);
		break;
	case ACT_EXIT_GROUP:
		exit_group(plan->code);
		break;
	case ACT_EXEC:
		run_program(plan->code);
		break;
	case ACT_CORE:
		mark_alive();
		die_with_core(plan->code);
		break;
	default:
		wait_for_ever(NULL);
	}
}

static void *follow_plan(void *plan)
{
	follow(plan);
	return NULL;
}

static int random_code(void)
{
	return (int)below(100) + 1;
}

/* The first plan is the leader's. */
static void follow_plans(int n)
{
	self->made.threads = n;
	for (int i = 1; i < n; i++)
		add_thread(follow_plan, &plans[i]);
	follow(&plans[0]);
}

static int plan_waiting(void)
{
	int n = 2 + (int)below(THREADS_MAX - 1);

	for (int i = 0; i < n; i++)
		plans[i] = (struct plan){ .act = ACT_WAIT };
	return n;
}

/* The ends */

static void end_plainly(void)
{
	nap(random_nap());
	exit_group(random_code());
}

static void end_from_thread(void)
{
	int n = plan_waiting();

	plans[n - 1] = (struct plan){ .act = ACT_EXIT_GROUP, .usec = random_nap(), .code = random_code() };
	follow_plans(n);
}

/* Each thread ends by itself, the leader first. */
static void end_leader_first(void)
{
	int n = plan_waiting();

	for (int i = 0; i < n; i++)
		plans[i] =
			(struct plan){ .act = ACT_EXIT, .usec = i ? random_nap() : 0, .code = random_code() };
	follow_plans(n);
}

static void end_by_thread_exec(void)
{
	int n = plan_waiting();

	if (below(2))
		plans[0] = (struct plan){ .act = ACT_EXIT, .code = random_code() };
	plans[n - 1] = (struct plan){ .act = ACT_EXEC, .usec = random_nap(), .code = random_code() };
	follow_plans(n);
}

static void race(enum act first, enum act others)
{
	int n = plan_waiting();

	for (int i = 0; i < n; i++)
		plans[i] = (struct plan){ .act = i == n - 1 ? first : others,
					  .code = random_code(),
					  .racers = n };
	follow_plans(n);
}

static void race_exit_group(void)
{
	race(ACT_EXIT_GROUP, ACT_EXIT_GROUP);
}

static void race_exit(void)
{
	race(ACT_EXIT, ACT_EXIT);
}

static void race_exit_and_group(void)
{
	race(ACT_EXIT_GROUP, ACT_EXIT);
}

static void race_exec(void)
{
	race(ACT_EXEC, below(2) ? ACT_EXEC : ACT_EXIT_GROUP);
}

static void end_by_signal(void)
{
	int signals[] = { SIGTERM, SIGKILL, SIGUSR1, SIGPIPE };
	int n = below(2) ? 1 : plan_waiting();

	self->made.threads = n;
	for (int i = 1; i < n; i++)
		add_thread(follow_plan, &plans[i]);
	nap(random_nap());
	mark_alive();
	kill(getpid(), signals[below(4)]);
	wait_for_ever(NULL);
}

static void end_with_core(void)
{
	int n = plan_waiting();

	plans[n - 1] =
		(struct plan){ .act = ACT_CORE, .usec = random_nap(), .code = below(2) ? SIGSEGV : SIGABRT };
	follow_plans(n);
}

static void end_after_execs(void)
{
	nap(random_nap());
	run_program(random_code() + MORE_PROGRAMS * (int)below(6));
}

/* Threads come and go up to the end. */
static void end_among_threads(void)
{
	int n = 5 + (int)below(60);

	self->made.threads = 2;
	plans[0] = (struct plan){ .act = ACT_EXIT, .code = 0 };
	for (int i = 0; i < n; i++) {
		pthread_detach(add_thread(follow_plan, &plans[0]));
		if (below(4) == 0)
			nap(below(500));
	}
	if (below(3) == 0)
		exit_thread(0);
	exit_group(random_code());
}

/* A worker of the kernel's is one more thread: its end may be the last. */
static void end_with_ring(void)
{
	struct io_uring_params parameters = { .flags = below(2) ? IORING_SETUP_SQPOLL : 0,
					      .sq_thread_idle = 10 };
	int fd = (int)syscall(SYS_io_uring_setup, 8, &parameters), pipes[2];
	struct io_uring_sqe *sqes;
	char *ring, byte;

	if (fd < 0)
		exit_group(random_code());
	ring = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned int),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, parameters.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	check(ring != MAP_FAILED && sqes != MAP_FAILED && pipe(pipes) == 0, "io_uring");
	memset(sqes, 0, sizeof(*sqes));
	*sqes = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
				       .fd = pipes[0],
				       .addr = (uintptr_t)&byte,
				       .len = 1,
				       .flags = IOSQE_ASYNC };
	((unsigned int *)(void *)(ring + parameters.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned int *)(void *)(ring + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	nap(random_nap());
	mark_alive();
	/* With IORING_SETUP_SQPOLL, the kernel's thread would keep such a process alive without limit. */
	switch (below(parameters.flags ? 2 : 3)) {
	case 0:
		kill(getpid(), SIGKILL);
		wait_for_ever(NULL);
		break;
	case 1:
		exit_group(random_code());
		break;
	default:
		exit_thread(random_code());
	}
}

static void begin(struct slot *slot)
{
	self = slot;
	random_state = slot->seed;
	slot->pid = getpid();
	mark_alive();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (below(2)) {
		uid_t uid = USER + below(N_USERS);

		check(setresuid(uid, uid, uid) == 0, "setresuid");
		prctl(PR_SET_DUMPABLE, 1);
		slot->uid = uid;
		mark_alive();
	}
}

/* One more child of this program's is not its own, but its child's. The child ends after it was born. */
static void end_with_brother(void)
{
	struct clone_args arguments = { .flags = CLONE_PARENT };
	struct slot *brother = self + load;
	long pid;

	brother->made.since_usec = clock_usec(CLOCK_BOOTTIME);
	brother->uid = self->uid;
	pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
	check(pid >= 0, "clone3");
	if (pid == 0) {
		self = brother;
		random_state = brother->seed;
		brother->pid = getpid();
		mark_alive();
		end_plainly();
	}
	end_plainly();
}

static const struct kind {
	const char *name;
	void (*end)(void);
} kinds[] = {
	{ "plain", end_plainly },
	{ "from-thread", end_from_thread },
	{ "leader-first", end_leader_first },
	{ "exec-from-thread", end_by_thread_exec },
	{ "race-exit-group", race_exit_group },
	{ "race-exit", race_exit },
	{ "race-exit-and-group", race_exit_and_group },
	{ "race-exec", race_exec },
	{ "signal", end_by_signal },
	{ "core", end_with_core },
	{ "execs", end_after_execs },
	{ "among-threads", end_among_threads },
	{ "ring", end_with_ring },
	{ "brother", end_with_brother },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Starting and reaping */

/* Pids that are free again. By itself the kernel takes them in a circle. */
static pid_t gone[REUSE_MAX];
static unsigned int n_gone;

static long clone_process(pid_t wanted)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD,
					.set_tid = wanted ? (uintptr_t)&wanted : 0,
					.set_tid_size = wanted != 0 };

	return syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static pid_t random_gone(void)
{
	unsigned int i;

	if (n_gone == 0)
		return 0;
	i = below(n_gone < REUSE_MAX ? n_gone : REUSE_MAX);
	return gone[i];
}

static void start_one(struct slot *slot, bool has_brother)
{
	const struct kind *kind = &kinds[below(has_brother ? N_KINDS : N_KINDS - 1)];
	pid_t wanted = below(3) == 0 ? random_gone() : 0;
	bool vforked = kind->end == end_plainly && below(4) == 0;
	long pid;

	*slot = (struct slot){ .used = true, .seed = next_random(&random_state) };
	slot->made = (struct made){
		.kind = kind->name, .ppid = getpid(), .threads = 1, .since_usec = clock_usec(CLOCK_BOOTTIME)
	};
	if (kind->end == end_with_brother)
		slot[load] = (struct slot){ .used = true,
					    .seed = next_random(&random_state),
					    .made = { .kind = "brothers", .ppid = getpid(), .threads = 1 } };
	if (vforked) {
		slot->made.kind = "vfork";
		pid = vfork();
		if (pid == 0)
			_exit(77);
	} else {
		pid = clone_process(wanted);
		if (pid < 0 && wanted)
			pid = clone_process(0);
		if (pid == 0) {
			begin(slot);
			kind->end();
			_exit(98);
		}
	}
	check(pid > 0, "clone3");
	slot->pid = (pid_t)pid;
}

static void reap_one(void)
{
	struct rusage usage;
	int status;
	pid_t pid = wait4(-1, &status, 0, &usage);

	check(pid > 0, "wait4");
	for (struct slot *slot = slots; slot < slots + 2 * load; slot++) {
		if (!slot->used || slot->pid != pid)
			continue;
		slot->made.pid = pid;
		snprintf(slot->made.more, sizeof(slot->made.more), ",\"uid\":%u,\"livedUsec\":%lu", slot->uid,
			 slot->lived_usec);
		say(&slot->made, status, &usage);
		slot->used = false;
		gone[n_gone++ % REUSE_MAX] = pid;
		return;
	}
	die("an unknown child");
}

/* Of each pair of slots the second one is that of a child's brother. */
static bool start_some(int *living)
{
	for (int i = 0; i < load; i++)
		if (!slots[i].used && !slots[i + load].used) {
			start_one(&slots[i], true);
			*living += slots[i + load].used ? 2 : 1;
			return true;
		}
	return false;
}

static void torture(uint64_t end_usec)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	bool stop = false;
	int living = 0;

	while (!stop || living > 0) {
		stop = stop || clock_usec(CLOCK_BOOTTIME) > end_usec || poll(&input, 1, 0) > 0;
		if (!stop && start_some(&living))
			continue;
		reap_one();
		living--;
	}
}

/* What run_program() runs: the same process goes on with its slot. */
static void leave(int argc, char **argv)
{
	int code = atoi(argv[argc - 1]);

	self = &slots[atoi(argv[argc - 2])];
	mark_alive();
	if (code > MORE_PROGRAMS)
		run_program(code - MORE_PROGRAMS);
	exit_group(code);
}

/* The slots are a file without a name that programs inherit. */
static void open_slots(bool create)
{
	size_t size = 2 * LOAD_MAX * sizeof(*slots);
	int fd = create ? memfd_create("slots", 0) : SLOTS_FD;

	if (create)
		check(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && dup2(fd, SLOTS_FD) >= 0, "memfd_create");
	slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, SLOTS_FD, 0);
	check(slots != MAP_FAILED, "mmap");
}

int main(int argc, char **argv)
{
	static char output[1 << 22];
	char line[64];

	program = argv;
	if (argc == 4 && strcmp(argv[1], "leave") == 0) {
		open_slots(false);
		leave(argc, argv);
	}
	if (argc < 3) {
		fputs("usage: torture SEED SECONDS [LOAD]\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	if (argc > 3)
		load = atoi(argv[3]);
	check(load > 0 && load <= LOAD_MAX && fgets(line, sizeof(line), stdin), "LOAD, input");
	open_slots(true);
	check(dup2(open("/proc/self/exe", O_PATH | O_CLOEXEC), PROGRAM_FD) >= 0, "/proc/self/exe");
	random_state = strtoull(argv[1], NULL, 10);
	torture(clock_usec(CLOCK_BOOTTIME) + strtoull(argv[2], NULL, 10) * 1000000);
	return 0;
}
