// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Linux 6.16; not in Debian 12's headers. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define STACK_SIZE ((size_t)PTHREAD_STACK_MIN + 64 * 1024)
#define DROP_SIZE  4096

bool rights_refuse(int fd)
{
	int off = 0;

	return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
}

bool rights_are_refused(int fd)
{
	int on = 1;
	socklen_t size = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, &size) == 0 && on == 0;
}

ssize_t rights_receive(int fd, void *data, size_t room)
{
	struct iovec part = { data, room };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);

	if (n <= 0)
		return n;
	/* There is no room for descriptors. Until the bytes are received, their sender's message holds them, too. */
	if (message.msg_flags & MSG_CTRUNC) {
		errno = EPROTO;
		return -1;
	}
	return recv(fd, data, (size_t)n, MSG_DONTWAIT);
}

struct closer {
	pthread_t thread;
	int queue[2]; /* a pipe of descriptors */
};

/* Shuts the socket down, so that nothing more arrives, and reads what has arrived. */
static bool holds_rights(int fd)
{
	char dropped[DROP_SIZE];
	ssize_t n;

	(void)shutdown(fd, SHUT_RDWR);
	do
		n = rights_receive(fd, dropped, sizeof(dropped));
	while (n > 0);
	return n < 0 && errno == EPROTO;
}

struct last_holder {
	int fd;
	bool alone;
	sem_t holds, may_end;
};

/*
 * A thread with a descriptor table of its own, which has only this socket. When the thread ends, the kernel closes what is
 * left, and a thread that ends does not wait for a socket that lingers.
 */
static void *hold(void *userdata)
{
	struct last_holder *holder = userdata;

	holder->alone = unshare(CLONE_FILES) == 0;
	if (holder->alone) {
		if (holder->fd > 0)
			(void)close_range(0, (unsigned int)holder->fd - 1, 0);
		(void)close_range((unsigned int)holder->fd + 1, UINT_MAX, 0);
	}
	sem_post(&holder->holds);
	sem_wait(&holder->may_end);
	return NULL;
}

static int start(pthread_t *thread, void *(*function)(void *), void *userdata)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int r;

	/* Signals are for the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	r = pthread_create(thread, &attributes, function, userdata);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* Without the other thread, closing may take long here. */
static void close_with_rights(int fd)
{
	struct last_holder holder = { .fd = fd };
	pthread_t thread;

	sem_init(&holder.holds, 0, 0);
	sem_init(&holder.may_end, 0, 0);
	if (start(&thread, hold, &holder) < 0) {
		close(fd);
	} else {
		sem_wait(&holder.holds);
		close(fd);
		sem_post(&holder.may_end);
		pthread_join(thread, NULL);
	}
	sem_destroy(&holder.holds);
	sem_destroy(&holder.may_end);
}

static void *run(void *userdata)
{
	struct closer *closer = userdata;
	int fd;

	while (read(closer->queue[0], &fd, sizeof(fd)) == sizeof(fd)) {
		if (holds_rights(fd))
			close_with_rights(fd);
		else
			close(fd);
	}
	return NULL;
}

int closer_new(struct closer **ret)
{
	struct closer *closer = calloc(1, sizeof(*closer));
	int r;

	if (!closer)
		return -ENOMEM;
	r = pipe2(closer->queue, O_CLOEXEC) < 0 ? -errno : 0;
	if (r < 0) {
		free(closer);
		return r;
	}
	/* It has room for more descriptors than the broker may have. */
	(void)fcntl(closer->queue[1], F_SETFL, O_NONBLOCK);
	r = start(&closer->thread, run, closer);
	if (r < 0) {
		close(closer->queue[0]);
		close(closer->queue[1]);
		free(closer);
		return r;
	}
	*ret = closer;
	return 0;
}

struct closer *closer_free(struct closer *closer)
{
	if (!closer)
		return NULL;
	close(closer->queue[1]);
	pthread_join(closer->thread, NULL);
	close(closer->queue[0]);
	free(closer);
	return NULL;
}

void closer_close(struct closer *closer, int fd)
{
	if (write(closer->queue[1], &fd, sizeof(fd)) != sizeof(fd))
		close(fd);
}
