// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring-waiter.h"
#include "ring.h"

/* How often to check a quiet log: a broker that is killed, or that replaces the log, does not wake its readers. */
#define LOOK_SEC      1
/* Where futex_waitv() is unavailable (before Linux 5.16, in a sandbox): how long ring_waiter_stop() may take. */
#define PATIENCE_NSEC 100000000
/* The thread calls only a few functions. */
#define STACK_SIZE    (128 * 1024)

/* The lower bits of @want. Only the reader asks, only the thread goes to sleep. */
enum {
	WANT_NOTHING, /* the reader was woken, and has not asked since */
	WANT_MORE,
	WANT_ASLEEP, /* nothing: the reader has not read for some time, and the thread waits only for the reader */
	WANT_STOP,
	WANT_MASK = 3,
	WANT_ONE = 4, /* the upper bits count requests in this unit */
};

static long futex(const uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* Wait until the log's wake word or the reader's wish changes, at most LOOK_SEC. Return: 0 or a negative errno. */
static int wait_for_both(struct ring_waiter *waiter, uint32_t word, uint32_t want)
{
	struct futex_waitv both[] = {
		{ .val = word, .uaddr = (uintptr_t)&waiter->header->wake, .flags = FUTEX_32 },
		{ .val = want, .uaddr = (uintptr_t)&waiter->want, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
	};
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_SEC;
	if (!waiter->by_turns && syscall(SYS_futex_waitv, both, 2, 0, &until, CLOCK_MONOTONIC) >= 0)
		return 0;
	if (!waiter->by_turns && errno != ENOSYS && errno != EPERM)
		return -errno;
	waiter->by_turns = true;
	until = (struct timespec){ .tv_nsec = PATIENCE_NSEC };
	return futex(&waiter->header->wake, FUTEX_WAIT, word, &until) < 0 ? -errno : 0;
}

/* Check whether more can follow in this file. Return: 0, or what to report to the reader. */
static int look_at_file(const struct ring_waiter *waiter)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fstat(waiter->file, &st) < 0 || (uint64_t)st.st_size < waiter->size)
		return -EBADMSG;
	/* A broker can only continue a log that still has a name, and it holds a lock while it writes. */
	if (st.st_nlink == 0 && fcntl(waiter->file, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK)
		return RING_E_REPLACED;
	return 0;
}

static bool change_want(struct ring_waiter *waiter, uint32_t from, uint32_t state)
{
	return __atomic_compare_exchange_n(&waiter->want, &from, (from & ~(uint32_t)WANT_MASK) | state, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A part of the header; zeros if the file is gone: waiting for its futex then reports that. */
static void read_header(const struct ring_waiter *waiter, size_t offset, void *to, size_t size)
{
	if (pread(waiter->file, to, size, (off_t)offset) != (ssize_t)size)
		memset(to, 0, size);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static uint32_t read_wake(const struct ring_waiter *waiter)
{
	uint32_t wake;

	read_header(waiter, offsetof(struct log_header, wake), &wake, sizeof(wake));
	return wake;
}

/* Has the head moved since the reader asked? */
static bool has_grown(const struct ring_waiter *waiter)
{
	uint64_t head;

	read_header(waiter, offsetof(struct log_header, head), &head, sizeof(head));
	return head != __atomic_load_n(&waiter->seen, __ATOMIC_SEQ_CST);
}

/* If waiting itself fails, sleep, to avoid a busy loop. */
static void wait_without(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PATIENCE_NSEC }, NULL);
}

static void *run(void *userdata)
{
	struct ring_waiter *waiter = userdata;

	for (;;) {
		/* In this order: a reader that asks after @want was read here sees all events up to this wake word. */
		uint32_t word = read_wake(waiter);
		uint32_t want = __atomic_load_n(&waiter->want, __ATOMIC_SEQ_CST);
		int r;

		if ((want & WANT_MASK) == WANT_STOP)
			return NULL;
		if ((want & WANT_MASK) == WANT_MORE && has_grown(waiter)) {
			if (change_want(waiter, want, WANT_NOTHING))
				ring_waiter_signal(waiter);
			continue;
		}
		r = wait_for_both(waiter, word, want);
		if (r < 0 && r != -ETIMEDOUT && r != -EFAULT && r != -EAGAIN && r != -EINTR)
			wait_without();
		if (r == -ETIMEDOUT || r == -EFAULT) {
			r = r == -EFAULT ? -EBADMSG : look_at_file(waiter);
			if (r == 0)
				continue;
			__atomic_store_n(&waiter->end, r, __ATOMIC_SEQ_CST);
			ring_waiter_signal(waiter);
			return NULL;
		}
		/* The log grew again before the reader came back: stop following the log until it asks. */
		if ((want & WANT_MASK) == WANT_NOTHING && read_wake(waiter) != word &&
		    change_want(waiter, want, WANT_ASLEEP)) {
			want = (want & ~(uint32_t)WANT_MASK) | WANT_ASLEEP;
			while (__atomic_load_n(&waiter->want, __ATOMIC_SEQ_CST) == want)
				(void)futex(&waiter->want, FUTEX_WAIT_PRIVATE, want, NULL);
		}
	}
}

int ring_waiter_start(struct ring_waiter *waiter, int file, const struct log_header *header, uint64_t size)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	*waiter = (struct ring_waiter){ .header = header, .file = file, .size = size };
	waiter->event_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waiter->event_fd < 0)
		return -errno;
	r = pthread_attr_init(&attributes);
	if (r)
		return -r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
	if (r == 0)
		r = pthread_create(&waiter->thread, &attributes, run, waiter);
	/* The program's thread-local storage may be larger than this stack. */
	if (r == EINVAL)
		r = pthread_create(&waiter->thread, NULL, run, waiter);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (r == 0)
		waiter->pid = getpid();
	return -r;
}

/* Set what the reader wants, and wake the thread if it sleeps. */
static void set_want(struct ring_waiter *waiter, uint32_t state, bool at_once)
{
	uint32_t before = __atomic_load_n(&waiter->want, __ATOMIC_SEQ_CST);

	while (!__atomic_compare_exchange_n(&waiter->want, &before,
					    ((before & ~(uint32_t)WANT_MASK) + WANT_ONE) | state, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (at_once || (before & WANT_MASK) == WANT_ASLEEP)
		(void)futex(&waiter->want, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

void ring_waiter_stop(struct ring_waiter *waiter)
{
	/* In the child of a fork there is no thread. */
	if (waiter->pid != 0 && waiter->pid == getpid()) {
		set_want(waiter, WANT_STOP, true);
		pthread_join(waiter->thread, NULL);
	}
	waiter->pid = 0;
	if (waiter->event_fd >= 0)
		close(waiter->event_fd);
	waiter->event_fd = -1;
}

static bool wants_more(const struct ring_waiter *waiter)
{
	return (__atomic_load_n(&waiter->want, __ATOMIC_SEQ_CST) & WANT_MASK) == WANT_MORE;
}

/* Make the descriptor unreadable. */
static void forget_signals(struct ring_waiter *waiter)
{
	uint64_t count;

	(void)!read(waiter->event_fd, &count, sizeof(count));
}

bool ring_waiter_ask(struct ring_waiter *waiter, uint64_t position)
{
	uint64_t seen = log_position_seal(position);

	if (wants_more(waiter) && __atomic_load_n(&waiter->seen, __ATOMIC_RELAXED) == seen) {
		/*
		 * The signal may answer an earlier request: clear it, so that poll() does not return for it repeatedly. If
		 * it answers this request, the thread has changed @want before it signalled.
		 */
		forget_signals(waiter);
		if (wants_more(waiter))
			return false;
	}
	__atomic_store_n(&waiter->seen, seen, __ATOMIC_SEQ_CST);
	set_want(waiter, WANT_MORE, false);
	/* Clear older signals. The caller looks at the head once more, so it sees whatever the thread signals from here on. */
	forget_signals(waiter);
	return true;
}

void ring_waiter_signal(struct ring_waiter *waiter)
{
	const uint64_t one = 1;

	(void)!write(waiter->event_fd, &one, sizeof(one));
}
