// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "serve/send-batch.h"

#define FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

struct send_batch {
	struct io_uring ring;
	bool has_ring;
};

int send_batch_new_plain(struct send_batch **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

/* Completions are made where we wait for them (since Linux 6.1), else wherever the kernel likes. */
static int begin_ring(struct io_uring *ring)
{
	int r = io_uring_queue_init(SENDS_MAX, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	return r == -EINVAL ? io_uring_queue_init(SENDS_MAX, ring, 0) : r;
}

static void end_ring(struct send_batch *batch)
{
	io_uring_queue_exit(&batch->ring);
	batch->has_ring = false;
}

int send_batch_new(struct send_batch **ret)
{
	int r = send_batch_new_plain(ret);

	if (r < 0)
		return r;
	r = begin_ring(&(*ret)->ring);
	(*ret)->has_ring = r == 0;
	if (r < 0)
		msg_debug("no io_uring, falling back to sendmsg(): %s", strerror(-r));
	return 0;
}

struct send_batch *send_batch_free(struct send_batch *batch)
{
	if (batch && batch->has_ring)
		end_ring(batch);
	free(batch);
	return NULL;
}

static void send_one(struct send_op *op)
{
	op->message = (struct msghdr){ .msg_iov = op->parts, .msg_iovlen = op->n_parts };
	op->result = sendmsg(op->fd, &op->message, FLAGS);
	if (op->result < 0)
		op->result = -errno;
}

static void prepare(struct io_uring *ring, struct send_op *op)
{
	/* There is room for all of them: nothing was left from before. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	/* MSG_DONTWAIT has it end at once where a socket is full: without, it would wait for it in the background. */
	if (op->n_parts == 1) {
		io_uring_prep_send(sqe, op->fd, op->parts[0].iov_base, op->size, FLAGS);
	} else {
		op->message = (struct msghdr){ .msg_iov = op->parts, .msg_iovlen = op->n_parts };
		io_uring_prep_sendmsg(sqe, op->fd, &op->message, FLAGS);
	}
	io_uring_sqe_set_data(sqe, op);
}

/* Return: how many have ended. */
static unsigned int reap(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		struct send_op *op = io_uring_cqe_get_data(cqe);

		op->result = cqe->res;
		n++;
	}
	io_uring_cq_advance(ring, n);
	return n;
}

/*
 * Return: how many of them were taken, the first ones; all of these have ended. Fewer than @n: the ring is of no use any
 * more.
 */
static unsigned int run_ring(struct io_uring *ring, struct send_op *ops, unsigned int n)
{
	unsigned int taken = 0, ended = 0;

	for (unsigned int i = 0; i < n; i++)
		prepare(ring, &ops[i]);
	while (ended < n) {
		int r = io_uring_submit_and_wait(ring, n - ended);

		if (r > 0)
			taken += (unsigned int)r;
		ended += reap(ring);
		/* A signal ends the wait; else nothing could be taken, and what was is waited for in vain. */
		if (r < 0 && r != -EINTR && ended == taken)
			return taken;
	}
	return n;
}

void send_batch_run(struct send_batch *batch, struct send_op *ops, unsigned int n)
{
	unsigned int done = 0;

	if (batch->has_ring && n > 1) {
		done = run_ring(&batch->ring, ops, n);
		if (done < n) {
			msg_warning("io_uring fails; falling back to sendmsg()");
			end_ring(batch);
		}
	}
	for (; done < n; done++)
		send_one(&ops[done]);
}
