// SPDX-License-Identifier: LGPL-2.1-or-later
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/lib/ring.h"
#include "core/log.h"
#include "reader-hosts.h"
#include "wire.h"

#define READY_MAX 16

struct reader_tally *reader_tally_new(void)
{
	void *memory = mmap(NULL, sizeof(struct reader_tally), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("memory");
	return memory;
}

static void read_some(struct reader *reader, struct reader_tally *tally)
{
	struct reader_turn turn = reader_turn(reader);

	__atomic_fetch_add(&tally->events, turn.events, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->lost, turn.lost, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->wakes, turn.woken, __ATOMIC_RELAXED);
}

static void begin(struct reader *reader, const struct log *log, int epoll)
{
	struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = reader };

	if (ring_new(&reader->ring, log_share(log)) != 0 ||
	    ring_seek(reader->ring, log_epoch(log), log_next(log) - 1) != 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, ring_fd(reader->ring), &wanted) < 0)
		die("a reader of the log");
}

/* A process of @n readers, until it is killed. */
static void host(const struct log *log, unsigned int n, struct reader_tally *tally)
{
	struct reader *readers = calloc(n, sizeof(*readers));
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!readers || epoll < 0)
		die("memory");
	for (unsigned int i = 0; i < n; i++) {
		begin(&readers[i], log, epoll);
		read_some(&readers[i], tally);
	}
	__atomic_fetch_add(&tally->ready, n, __ATOMIC_SEQ_CST);
	for (;;) {
		struct epoll_event ready[READY_MAX];
		int woken = epoll_wait(epoll, ready, READY_MAX, -1);

		for (int i = 0; i < woken; i++)
			read_some(ready[i].data.ptr, tally);
	}
}

void reader_hosts_start(struct reader_hosts *hosts, const struct log *log, unsigned int n,
			struct reader_tally *tally)
{
	*hosts = (struct reader_hosts){ .n = n < READER_HOSTS_MAX ? n : READER_HOSTS_MAX };
	tally->ready = 0;
	for (unsigned int i = 0; i < hosts->n; i++) {
		hosts->pids[i] = fork();
		if (hosts->pids[i] < 0)
			die("fork");
		if (hosts->pids[i] == 0)
			host(log, n / hosts->n + (i < n % hosts->n), tally);
	}
	while (__atomic_load_n(&tally->ready, __ATOMIC_SEQ_CST) < n) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			exit(1); /* it has said why */
		usleep(1000);
	}
}

void reader_hosts_stop(struct reader_hosts *hosts)
{
	for (unsigned int i = 0; i < hosts->n; i++)
		kill(hosts->pids[i], SIGKILL);
	for (unsigned int i = 0; i < hosts->n; i++)
		waitpid(hosts->pids[i], NULL, 0);
}
